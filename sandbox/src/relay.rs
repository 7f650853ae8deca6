//! The way out of instances where the platform is not root: `slirp4netns`, one process for each instance, speaks for it
//! with the host's own sockets. It knows no destinations, so the instance's routes are the rules; the function has no
//! capability to change them. Routes know no ports: of a name server all are reached.

use std::io::{self, Read};
use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use crate::child::{Outbound, Route};
use crate::config::{Cidr, Network};
use crate::network::{FORBIDDEN, PRIVATE, find_tool};
use crate::sys;

/// Starts relays.
pub(crate) struct Relay {
    program: PathBuf,
    network: Network,
    nameservers: Vec<Ipv4Addr>,
    /// The first 256 addresses are what every instance has on its side.
    range: Ipv4Addr,
}

/// A relay of one instance; ends when dropped, and with the platform.
pub(crate) struct Attached {
    child: Child,
    /// Its other end tells the relay when it is closed.
    _exit: OwnedFd,
}

impl Relay {
    /// # Errors
    /// A sentence for the operator: what is missing.
    pub(crate) fn open(network: &Network, range: Ipv4Addr, nameservers: &[Ipv4Addr]) -> Result<Relay, String> {
        let program =
            find_tool("slirp4netns").ok_or("it needs root, or the program `slirp4netns` (package slirp4netns)")?;
        if std::fs::File::options().read(true).write(true).open("/dev/net/tun").is_err() {
            return Err("it needs root, or leave to open /dev/net/tun".to_owned());
        }
        let nameservers = nameservers.iter().copied().filter(|server| !is_forbidden(Cidr::host(*server))).collect();
        Ok(Relay { program, network: network.clone(), nameservers, range })
    }

    pub(crate) fn outbound(&self) -> Outbound {
        let at = |last: u8| Ipv4Addr::from((u32::from(self.range) & 0xffff_ff00) | u32::from(last));
        Outbound { address: at(100), gateway: at(2) }
    }

    /// Where an instance may go, as routes; the longest match decides.
    ///
    /// # Errors
    /// When the host's own addresses cannot be read, which are never reached.
    pub(crate) fn routes(&self) -> io::Result<Vec<Route>> {
        Ok(routes(&self.network, self.range, &self.nameservers, &sys::own_addresses()?))
    }

    /// Puts the interface into the network namespace of `pid`; returns when it is there.
    pub(crate) fn connect(&self, pid: i32) -> io::Result<Attached> {
        let (exit_relay, exit) = sys::pipe()?;
        let (ready, ready_relay) = sys::pipe()?;
        let inherited = [exit_relay.as_raw_fd(), ready_relay.as_raw_fd()];
        let mut command = Command::new(&self.program);
        command
            .arg(format!("--cidr={}/24", self.range))
            .arg(format!("--exit-fd={}", exit_relay.as_raw_fd()))
            .arg(format!("--ready-fd={}", ready_relay.as_raw_fd()))
            .arg(format!("--userns-path=/proc/{pid}/ns/user"))
            .args(["--disable-host-loopback", "--disable-dns", "--enable-seccomp", "--netns-type=pid"])
            .args([&pid.to_string(), "eth0"])
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        sys::inherit(&mut command, inherited);
        let child = command.spawn()?;
        let mut attached = Attached { child, _exit: exit };
        drop((exit_relay, ready_relay));
        let mut byte = [0];
        if std::fs::File::from(ready).read(&mut byte)? == 1 {
            return Ok(attached);
        }
        let mut why = String::new();
        if let Some(stderr) = &mut attached.child.stderr {
            stderr.take(4096).read_to_string(&mut why)?;
        }
        Err(io::Error::other(format!("`slirp4netns`: {}", why.trim())))
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        // It may have gone with the instance's namespace already.
        let _ended_already = self.child.kill();
        let _ended_already = self.child.wait();
    }
}

fn range(text: &str) -> Option<Cidr> {
    text.parse().ok()
}

/// Whether all of it is.
fn is_forbidden(wanted: Cidr) -> bool {
    FORBIDDEN.iter().filter_map(|text| range(text)).any(|forbidden| forbidden.covers(wanted))
}

fn routes(network: &Network, own: Ipv4Addr, nameservers: &[Ipv4Addr], host: &[Ipv4Addr]) -> Vec<Route> {
    let mut routes = Vec::new();
    let mut reach = |to: Cidr| routes.push(Route { to: to.first(), mask: to.mask(), is_refused: false });
    let whole = |address| Cidr::host(address);
    nameservers.iter().copied().map(whole).for_each(&mut reach);
    match network {
        Network::None => {}
        Network::Internet => reach(Cidr::everything()),
        // A listed range within a forbidden one would win over it, as the longer match.
        Network::Allow(ranges) => ranges.iter().filter(|r| !is_forbidden(**r)).copied().for_each(&mut reach),
    }
    let private: &[&str] = if *network == Network::Internet { PRIVATE } else { &[] };
    let mut refused: Vec<Cidr> = FORBIDDEN.iter().chain(private).filter_map(|text| range(text)).collect();
    refused.extend(format!("{own}/24").parse::<Cidr>());
    refused.extend(host.iter().copied().map(whole));
    routes.extend(refused.into_iter().map(|to| Route { to: to.first(), mask: to.mask(), is_refused: true }));
    // Two routes to the same addresses are an error to the kernel; the refusal stands.
    routes.sort_by_key(|route| (route.to, route.mask, !route.is_refused));
    routes.dedup_by_key(|route| (route.to, route.mask));
    routes
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// What the kernel would choose.
    fn is_reached(routes: &[Route], address: &str) -> bool {
        let address: Ipv4Addr = address.parse().unwrap();
        let within = |r: &&Route| u32::from(address) & u32::from(r.mask) == u32::from(r.to);
        let longest = routes.iter().filter(within).max_by_key(|r| (u32::from(r.mask).count_ones(), r.is_refused));
        longest.is_some_and(|route| !route.is_refused)
    }

    #[test]
    fn the_longest_match_keeps_what_is_forbidden() {
        let own = Ipv4Addr::new(100, 64, 0, 0);
        // Interfaces to other instances have the same address.
        let inside = Ipv4Addr::new(100, 64, 0, 1);
        let host = [inside, Ipv4Addr::new(198, 51, 100, 7), inside, Ipv4Addr::new(10, 0, 0, 5)];
        let internet = routes(&Network::Internet, own, &[Ipv4Addr::new(10, 0, 0, 1)], &host);
        let mut ends: Vec<_> = internet.iter().map(|route| (route.to, route.mask)).collect();
        ends.dedup();
        assert_eq!(ends.len(), internet.len(), "none twice");
        for (address, expected) in [
            ("1.1.1.1", true),
            ("10.0.0.1", true),
            ("10.0.0.2", false),
            ("198.51.100.7", false),
            ("198.51.100.8", true),
            ("169.254.169.254", false),
            ("127.0.0.1", false),
            ("100.64.0.2", false),
        ] {
            assert_eq!(is_reached(&internet, address), expected, "{address}");
        }
        let list = ["10.0.0.0/24", "169.254.169.254/32", "0.0.0.0/0", "198.51.100.7/32"];
        let allow = Network::Allow(list.iter().map(|text| text.parse().unwrap()).collect());
        let listed = routes(&allow, own, &[], &host);
        for (address, expected) in [
            ("10.0.0.9", true),
            ("10.0.0.5", false),
            ("169.254.169.254", false),
            ("198.51.100.7", false),
            ("100.64.0.3", false),
            ("8.8.8.8", true),
        ] {
            assert_eq!(is_reached(&listed, address), expected, "{address}");
        }
    }
}
