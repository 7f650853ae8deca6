//! A network of the platform's own between the host's and those of its instances: their interfaces begin here, so that those
//! of the host stay as they are when instances come and go. Browsers, among others, give up connections when they change.
//! It ends with the platform, however that ends, and all its interfaces with it.

use std::io;
use std::net::Ipv4Addr;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use super::netlink::{End, Netlink, Place};
use super::run;
use crate::sys;

/// Towards the host.
const UPLINK: End<'_> = End { name: "uplink", index: 2 };
/// Indices below are the loopback's and the uplink's; an instance's is this and its number.
const INDEX_BASE: u32 = 16;
/// Instances reach neither the router nor one another. What they may reach beyond is the host's table to say.
const RULES: &str = r#"table inet cumulet {
  chain input {
    type filter hook input priority 0; policy drop;
    ct state established,related accept
  }
  chain forward {
    type filter hook forward priority 0; policy drop;
    iifname "uplink" ct state established,related accept
    iifname "v*" oifname "uplink" meta nfproto ipv4 accept
  }
  chain postrouting {
    type nat hook postrouting priority 100; policy accept;
    oifname "uplink" masquerade
  }
}
"#;

pub(super) struct Router(Netlink);

impl Router {
    /// Connects a new network to this thread's by a pair of interfaces: `name` with the address `near` here, `far` there.
    ///
    /// # Errors
    /// Without the privilege, and when the name or the address is in use.
    pub(super) fn open(name: &str, near: Ipv4Addr, far: Ipv4Addr, nft: &Path) -> io::Result<Router> {
        let (namespace, router) = std::thread::scope(|scope| {
            scope.spawn(|| build(nft)).join().unwrap_or_else(|_| Err(io::Error::other("its thread ended")))
        })?;
        let host = Netlink::open()?;
        let here = End { name, index: 0 };
        host.add_pair(here, UPLINK, &Place::Namespace(namespace.as_fd()))?;
        let index = sys::interface_index(name).ok_or_else(io::Error::last_os_error)?;
        setting(&format!("ipv4/conf/{name}/rp_filter"), "1")?;
        // Missing where the kernel has no IPv6.
        let _no_ipv6 = setting(&format!("ipv6/conf/{name}/disable_ipv6"), "1");
        host.add_address(index, near, near, 31)?;
        host.raise(index)?;
        router.raise(UPLINK.index)?;
        router.add_address(UPLINK.index, far, far, 31)?;
        router.add_default_route(UPLINK.index, near)?;
        Ok(Router(router))
    }

    /// Puts `eth0` into the network namespace of `pid`, and leads `address` there.
    pub(super) fn connect(&self, number: u16, pid: i32, gateway: Ipv4Addr, address: Ipv4Addr) -> io::Result<()> {
        let index = INDEX_BASE + u32::from(number);
        let name = format!("v{number}");
        let here = End { name: &name, index };
        let there = End { name: "eth0", index: 0 };
        self.0.add_pair(here, there, &Place::Process(pid))?;
        self.0.raise(index)?;
        self.0.add_address(index, gateway, address, 32)
    }

    /// When it is gone already, with its instance, there is nothing to do.
    pub(super) fn disconnect(&self, number: u16) {
        let _gone_already = self.0.remove(INDEX_BASE + u32::from(number));
    }
}

/// To be called in a thread of its own, which it takes along.
fn build(nft: &Path) -> io::Result<(OwnedFd, Netlink)> {
    sys::enter_new_network()?;
    setting("ipv4/ip_forward", "1")?;
    // An instance may not speak in another's name; new interfaces begin with what is the default.
    setting("ipv4/conf/default/rp_filter", "1")?;
    setting("ipv4/conf/default/send_redirects", "0")?;
    let _no_ipv6 = setting("ipv6/conf/default/disable_ipv6", "1");
    run(nft, &["-f", "-"], RULES)?;
    Ok((std::fs::File::open("/proc/thread-self/ns/net")?.into(), Netlink::open()?))
}

/// Of the calling thread's network.
pub(super) fn setting(name: &str, value: &str) -> io::Result<()> {
    std::fs::write(format!("/proc/sys/net/{name}"), value)
}
