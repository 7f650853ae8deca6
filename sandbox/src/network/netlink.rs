//! What the kernel is told about interfaces, in the words of rtnetlink(7): a request each, and its acknowledgement.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::sync::Mutex;

use crate::sys;

/// Of `linux/veth.h`, which libc does not have.
const VETH_INFO_PEER: u16 = 1;
const HEADER_BYTES: usize = 16;

/// The interfaces of one network namespace.
pub(super) struct Netlink(Mutex<File>);

/// One end of a pair. The kernel chooses an index where it is 0.
#[derive(Clone, Copy)]
pub(super) struct End<'a> {
    pub name: &'a str,
    pub index: u32,
}

/// The namespace the other end of a pair lies in.
pub(super) enum Place<'a> {
    Process(i32),
    Namespace(BorrowedFd<'a>),
}

impl Netlink {
    /// Of the network namespace in which the calling thread is now, wherever it is asked from later.
    pub(super) fn open() -> io::Result<Netlink> {
        Ok(Netlink(Mutex::new(sys::route_socket()?.into())))
    }

    /// Two virtual Ethernet interfaces, both down, of which each gets what the other is given (veth(4)).
    pub(super) fn add_pair(&self, here: End<'_>, there: End<'_>, place: &Place<'_>) -> io::Result<()> {
        let create = libc::NLM_F_CREATE | libc::NLM_F_EXCL;
        let mut message = Message::new(libc::RTM_NEWLINK, create as u16, &interface(here.index, false));
        message.text(libc::IFLA_IFNAME, here.name);
        message.nest(libc::IFLA_LINKINFO, |info| {
            info.text(libc::IFLA_INFO_KIND, "veth");
            info.nest(libc::IFLA_INFO_DATA, |data| {
                data.nest(VETH_INFO_PEER, |peer| {
                    peer.0.extend_from_slice(&interface(there.index, false));
                    peer.text(libc::IFLA_IFNAME, there.name);
                    match place {
                        Place::Process(pid) => peer.attribute(libc::IFLA_NET_NS_PID, &pid.to_ne_bytes()),
                        Place::Namespace(fd) => peer.attribute(libc::IFLA_NET_NS_FD, &fd.as_raw_fd().to_ne_bytes()),
                    }
                });
            });
        });
        self.ask(message)
    }

    pub(super) fn raise(&self, index: u32) -> io::Result<()> {
        self.ask(Message::new(libc::RTM_NEWLINK, 0, &interface(index, true)))
    }

    /// Both ends of a pair.
    pub(super) fn remove(&self, index: u32) -> io::Result<()> {
        self.ask(Message::new(libc::RTM_DELLINK, 0, &interface(index, false)))
    }

    /// Whoever is in the network of `other` and `prefix` bits is reached over the interface, which is `local` itself.
    pub(super) fn add_address(&self, index: u32, local: Ipv4Addr, other: Ipv4Addr, prefix: u8) -> io::Result<()> {
        let [a, b, c, d] = index.to_ne_bytes();
        let body = [libc::AF_INET as u8, prefix, 0, libc::RT_SCOPE_UNIVERSE, a, b, c, d];
        let create = libc::NLM_F_CREATE | libc::NLM_F_EXCL;
        let mut message = Message::new(libc::RTM_NEWADDR, create as u16, &body);
        message.attribute(libc::IFA_LOCAL, &local.octets());
        message.attribute(libc::IFA_ADDRESS, &other.octets());
        self.ask(message)
    }

    /// Everything else is reached over `gateway`.
    pub(super) fn add_default_route(&self, index: u32, gateway: Ipv4Addr) -> io::Result<()> {
        let table = libc::RT_TABLE_MAIN;
        let (protocol, scope, kind) = (libc::RTPROT_STATIC, libc::RT_SCOPE_UNIVERSE, libc::RTN_UNICAST);
        let body = [libc::AF_INET as u8, 0, 0, 0, table, protocol, scope, kind, 0, 0, 0, 0];
        let create = libc::NLM_F_CREATE | libc::NLM_F_EXCL;
        let mut message = Message::new(libc::RTM_NEWROUTE, create as u16, &body);
        message.attribute(libc::RTA_GATEWAY, &gateway.octets());
        message.attribute(libc::RTA_OIF, &index.to_ne_bytes());
        self.ask(message)
    }

    fn ask(&self, message: Message) -> io::Result<()> {
        let mut socket = self.0.lock().map_err(|_| io::Error::other("the socket is broken"))?;
        socket.write_all(&message.finished())?;
        // The kernel has answered before the write returns.
        let mut answer = [0; 8192];
        let length = socket.read(&mut answer)?;
        outcome(answer.get(..length).unwrap_or_default())
    }
}

/// What an acknowledgement says.
fn outcome(answer: &[u8]) -> io::Result<()> {
    let number = |at: usize| answer.get(at..at + 4).and_then(|bytes| Some(i32::from_ne_bytes(bytes.try_into().ok()?)));
    let kind = answer.get(4..6).map(|bytes| i32::from(u16::from_ne_bytes([bytes[0], bytes[1]])));
    match (kind, number(HEADER_BYTES)) {
        (Some(libc::NLMSG_ERROR), Some(0)) => Ok(()),
        (Some(libc::NLMSG_ERROR), Some(code)) => Err(io::Error::from_raw_os_error(-code)),
        _ => Err(io::Error::new(io::ErrorKind::InvalidData, "no acknowledgement of the kernel")),
    }
}

/// The kernel's `struct ifinfomsg`.
fn interface(index: u32, is_up: bool) -> [u8; 16] {
    let mut body = [0; 16];
    body[4..8].copy_from_slice(&index.to_ne_bytes());
    if is_up {
        let up = (libc::IFF_UP as u32).to_ne_bytes();
        body[8..12].copy_from_slice(&up);
        body[12..16].copy_from_slice(&up);
    }
    body
}

/// A request, or what lies within one of its attributes.
struct Message(Vec<u8>);

impl Message {
    fn new(kind: u16, flags: u16, body: &[u8]) -> Message {
        let flags = libc::NLM_F_REQUEST as u16 | libc::NLM_F_ACK as u16 | flags;
        let mut bytes = Vec::with_capacity(256);
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(&kind.to_ne_bytes());
        bytes.extend_from_slice(&flags.to_ne_bytes());
        // Nobody asks twice before the answer, so that no number has to tell answers apart; the kernel knows who asks.
        bytes.extend_from_slice(&[0; 8]);
        bytes.extend_from_slice(body);
        Message(bytes)
    }

    fn text(&mut self, kind: u16, text: &str) {
        self.attribute(kind, &[text.as_bytes(), &[0]].concat());
    }

    fn attribute(&mut self, kind: u16, value: &[u8]) {
        self.nest(kind, |within| within.0.extend_from_slice(value));
    }

    /// Lengths are without the padding behind.
    fn nest(&mut self, kind: u16, fill: impl FnOnce(&mut Message)) {
        let start = self.0.len();
        self.0.extend_from_slice(&[0; 2]);
        self.0.extend_from_slice(&kind.to_ne_bytes());
        fill(self);
        let length = (self.0.len() - start) as u16;
        self.0[start..start + 2].copy_from_slice(&length.to_ne_bytes());
        self.0.resize(self.0.len().next_multiple_of(4), 0);
    }

    fn finished(mut self) -> Vec<u8> {
        let length = (self.0.len() as u32).to_ne_bytes();
        self.0[..4].copy_from_slice(&length);
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_lie_in_one_another() {
        let mut message = Message::new(16, 0, &[7; 4]);
        message.nest(18, |info| {
            info.text(1, "veth");
            info.attribute(2, &[9; 2]);
        });
        let bytes = message.finished();
        let mut expected = vec![44, 0, 0, 0, 16, 0, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7, 7, 7, 7];
        expected.extend([24, 0, 18, 0, 9, 0, 1, 0, b'v', b'e', b't', b'h', 0, 0, 0, 0, 6, 0, 2, 0, 9, 9, 0, 0]);
        assert_eq!(bytes, expected);
    }

    #[test]
    fn what_the_kernel_says() {
        let acknowledgement =
            |kind: u8, code: i32| [&[36, 0, 0, 0, kind, 0][..], &[0; 10], &code.to_ne_bytes()].concat();
        assert!(outcome(&acknowledgement(2, 0)).is_ok());
        let refused = outcome(&acknowledgement(2, -libc::EEXIST)).err().map(|error| error.kind());
        assert_eq!(refused, Some(io::ErrorKind::AlreadyExists));
        for odd in [acknowledgement(3, 0), vec![], vec![36, 0, 0, 0, 2, 0]] {
            assert_eq!(outcome(&odd).err().map(|error| error.kind()), Some(io::ErrorKind::InvalidData));
        }
    }

    #[test]
    fn interfaces_that_are_not_there() {
        let Ok(netlink) = Netlink::open() else { return };
        assert!(netlink.remove(0x7fff_fff0).is_err());
    }
}
