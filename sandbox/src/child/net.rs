//! An instance's network: its loopback, its way out if it has one, and the listeners it hands to the platform.
//! As everything in `child`, only system calls on memory laid out beforehand. The host does the same for clones with a network
//! of their own.
#![allow(unsafe_code)]

use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};

use super::{Done, LISTEN_MAX, Outbound, Route, Stage, need};

/// The kernel's `struct ifreq` with flags.
#[repr(C)]
struct InterfaceFlags {
    name: [u8; 16],
    flags: i16,
    rest: [u8; 22],
}

/// Closed when it is dropped: the host, which goes on after a failure, would gather them.
fn internet_socket(kind: libc::c_int, stage: Stage) -> Result<OwnedFd, Stage> {
    // SAFETY: passes numbers only, and what the kernel makes is owned at once.
    unsafe {
        let socket = need(libc::socket(libc::AF_INET, kind | libc::SOCK_CLOEXEC, 0).into(), stage)?;
        Ok(OwnedFd::from_raw_fd(socket as RawFd))
    }
}

/// # Safety
/// Only in the instance's network namespace.
pub(crate) unsafe fn raise_loopback() -> Done {
    let mut request = InterfaceFlags {
        name: *b"lo\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
        flags: (libc::IFF_UP | libc::IFF_RUNNING) as i16,
        rest: [0; 22],
    };
    // SAFETY: `request` has the size and layout of an ifreq and outlives the call.
    unsafe {
        let socket = internet_socket(libc::SOCK_DGRAM, Stage::Loopback)?;
        need(libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS as _, &raw mut request).into(), Stage::Loopback)?;
    }
    Ok(())
}

/// A listener of this network namespace's loopback.
///
/// # Safety
/// Only in the instance's network namespace.
pub(crate) unsafe fn open_listener(port: u16) -> Result<RawFd, Stage> {
    // SAFETY: the address is a local of the size that is passed.
    unsafe {
        let socket = internet_socket(libc::SOCK_STREAM, Stage::Listen)?;
        let mut address = socket_address(Ipv4Addr::LOCALHOST);
        address.sin_port = port.to_be();
        let length = size_of::<libc::sockaddr_in>() as libc::socklen_t;
        need(libc::bind(socket.as_raw_fd(), (&raw const address).cast(), length).into(), Stage::Listen)?;
        need(libc::listen(socket.as_raw_fd(), 128).into(), Stage::Listen)?;
        Ok(socket.into_raw_fd())
    }
}

/// Opens the listeners in this network namespace and sends them to the platform, which serves them from its own.
pub(super) unsafe fn open_listeners(ports: &[u16], status: RawFd) -> Done {
    if ports.is_empty() {
        return Ok(());
    }
    let mut sockets = [0 as RawFd; LISTEN_MAX];
    // SAFETY: addresses and control data are locals of the sizes that are passed; `zip` keeps to both lengths.
    unsafe {
        let mut count = 0;
        for (slot, port) in sockets.iter_mut().zip(ports) {
            *slot = open_listener(*port)?;
            count += 1;
        }
        let length = count * size_of::<RawFd>();
        let mut control = [0u64; 8];
        let mut byte = b'L';
        let mut io_vec = libc::iovec { iov_base: (&raw mut byte).cast(), iov_len: 1 };
        let mut message: libc::msghdr = std::mem::zeroed();
        message.msg_iov = &mut io_vec;
        message.msg_iovlen = 1;
        message.msg_control = control.as_mut_ptr().cast();
        message.msg_controllen = libc::CMSG_SPACE(length as u32) as _;
        let header = libc::CMSG_FIRSTHDR(&message);
        if header.is_null() {
            return Err(Stage::Listen);
        }
        (*header).cmsg_level = libc::SOL_SOCKET;
        (*header).cmsg_type = libc::SCM_RIGHTS;
        (*header).cmsg_len = libc::CMSG_LEN(length as u32) as _;
        std::ptr::copy_nonoverlapping(sockets.as_ptr().cast::<u8>(), libc::CMSG_DATA(header), length);
        need(libc::sendmsg(status, &message, libc::MSG_NOSIGNAL) as libc::c_long, Stage::Listen)?;
    }
    Ok(())
}

/// The kernel's `struct ifreq` with an address.
#[repr(C)]
struct InterfaceAddress {
    name: [u8; 16],
    address: libc::sockaddr_in,
    rest: [u8; 8],
}

fn socket_address(address: Ipv4Addr) -> libc::sockaddr_in {
    libc::sockaddr_in {
        sin_family: libc::AF_INET as libc::sa_family_t,
        sin_port: 0,
        sin_addr: libc::in_addr { s_addr: u32::from(address).to_be() },
        sin_zero: [0; 8],
    }
}

const ETH0: [u8; 16] = *b"eth0\0\0\0\0\0\0\0\0\0\0\0\0";

/// Gives `eth0` its address and lays the routes.
///
/// # Safety
/// Only in the instance's network namespace.
pub(crate) unsafe fn join(outbound: Outbound, routes: &[Route]) -> Done {
    let stage = Stage::Outbound;
    let all = Ipv4Addr::BROADCAST;
    // SAFETY: every request has the kernel's layout and outlives its call.
    unsafe {
        let owned = internet_socket(libc::SOCK_DGRAM, stage)?;
        let socket = owned.as_raw_fd();
        for (call, address) in [(libc::SIOCSIFADDR, outbound.address), (libc::SIOCSIFNETMASK, all)] {
            let mut request = InterfaceAddress { name: ETH0, address: socket_address(address), rest: [0; 8] };
            need(libc::ioctl(socket, call as _, &raw mut request).into(), stage)?;
        }
        let mut up = InterfaceFlags { name: ETH0, flags: (libc::IFF_UP | libc::IFF_RUNNING) as i16, rest: [0; 22] };
        need(libc::ioctl(socket, libc::SIOCSIFFLAGS as _, &raw mut up).into(), stage)?;
        let to_gateway = Route { to: outbound.gateway, mask: all, is_refused: false };
        for (index, route) in std::iter::once(&to_gateway).chain(routes).enumerate() {
            let mut entry: libc::rtentry = std::mem::zeroed();
            let generic = |address| -> libc::sockaddr { std::mem::transmute(socket_address(address)) };
            entry.rt_dst = generic(route.to);
            entry.rt_genmask = generic(route.mask);
            entry.rt_flags = libc::RTF_UP;
            if route.is_refused {
                entry.rt_flags |= libc::RTF_REJECT;
            } else {
                entry.rt_dev = c"eth0".as_ptr().cast_mut();
                if index == 0 {
                    entry.rt_flags |= libc::RTF_HOST;
                } else {
                    entry.rt_gateway = generic(outbound.gateway);
                    entry.rt_flags |= libc::RTF_GATEWAY;
                }
            }
            need(libc::ioctl(socket, libc::SIOCADDRT as _, &raw mut entry).into(), stage)?;
        }
    }
    Ok(())
}
