//! The way out of instances: a pair of virtual interfaces each, a router for all in a network of its own, forwarding and
//! address translation by it and by the host, and rules that keep instances from the host itself, from link-local addresses and
//! from one another. IPv4 only. Uses `nft`, with a table for each sandbox, so that several platforms on one machine keep out of
//! each other's rules.

mod netlink;
mod router;

use std::collections::HashSet;
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::net::Ipv4Addr;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use cumulet_base::id;

use self::router::Router;
use crate::child::Outbound;
use crate::config::Network;
use crate::sys;

/// Never reached, whatever is allowed.
pub(crate) const FORBIDDEN: &[&str] = &["0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/3"];
/// Not the internet.
pub(crate) const PRIVATE: &[&str] =
    &["10.0.0.0/8", "100.64.0.0/10", "172.16.0.0/12", "192.0.0.0/24", "192.168.0.0/16", "198.18.0.0/15"];

/// Hands out addresses and interfaces.
pub(crate) struct Gateway {
    nft: PathBuf,
    place: Place,
    range: Ipv4Addr,
    router: Router,
    leases: Mutex<Leases>,
}

/// A number that no other gateway of this network namespace has, as long as it is held. Sockets without a file belong to the
/// network namespace, as rules do, and end with their process, which may be in a pid namespace of its own.
struct Place {
    number: u16,
    _claim: UnixListener,
}

#[derive(Default)]
struct Leases {
    last: u16,
    used: HashSet<u16>,
}

/// An address in use; free again when dropped, by when its interface is gone too.
pub(crate) struct Lease {
    gateway: Arc<Gateway>,
    number: u16,
    is_connected: bool,
}

impl Gateway {
    /// Turns on forwarding, installs the rules and connects the router.
    ///
    /// # Errors
    /// A sentence for the operator: what is missing.
    pub(crate) fn open(network: &Network, range: Ipv4Addr, nameservers: &[Ipv4Addr]) -> Result<Arc<Gateway>, String> {
        let nft = find_tool("nft").ok_or("the program `nft` is missing (package nftables)")?;
        sweep(&nft);
        let place = Place::find().map_err(|error| format!("finding a name: {error}"))?;
        let (name, [near, far]) = (place.name(), place.addresses(range));
        run(&nft, &["-f", "-"], &rules(network, &name, [range, far], nameservers))
            .map_err(|error| format!("installing rules: {error}"))?;
        router::setting("ipv4/ip_forward", "1").map_err(|error| format!("turning on forwarding: {error}"))?;
        let router = Router::open(&name, near, far, &nft).map_err(|error| format!("connecting the router: {error}"))?;
        Ok(Arc::new(Gateway { nft, place, range, router, leases: Mutex::default() }))
    }

    /// Reserves an address for an instance about to start.
    pub(crate) fn lease(self: &Arc<Gateway>) -> io::Result<Lease> {
        let mut leases = self.leases.lock().map_err(|_| io::Error::other("the list of addresses is broken"))?;
        let number = leases.next(|number| self.place.takes(number));
        let number = number.ok_or_else(|| io::Error::other("all addresses are in use"))?;
        Ok(Lease { gateway: self.clone(), number, is_connected: false })
    }
}

impl Leases {
    /// One that is neither in use nor taken otherwise, as long after its last use as can be.
    fn next(&mut self, is_taken: impl Fn(u16) -> bool) -> Option<u16> {
        for _ in 0..u16::MAX {
            // 0 is the range itself, 1 the gateway, the last a broadcast address to some.
            self.last = if self.last < 2 || self.last >= u16::MAX - 1 { 2 } else { self.last + 1 };
            if !is_taken(self.last) && self.used.insert(self.last) {
                return Some(self.last);
            }
        }
        None
    }
}

fn address(range: Ipv4Addr, number: u16) -> Ipv4Addr {
    Ipv4Addr::from((u32::from(range) & 0xffff_0000) | u32::from(number))
}

impl Lease {
    pub(crate) fn outbound(&self) -> Outbound {
        let range = self.gateway.range;
        Outbound { address: address(range, self.number), gateway: address(range, 1) }
    }

    /// Puts one end of a new pair of interfaces into the network namespace of `pid`.
    pub(crate) fn connect(&mut self, pid: i32) -> io::Result<()> {
        let Outbound { address, gateway } = self.outbound();
        self.is_connected = true;
        self.gateway.router.connect(self.number, pid, gateway, address)
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if self.is_connected {
            // The kernel removes it with the instance, but takes its time; until then its route would catch what is
            // meant for the address's next user.
            self.gateway.router.disconnect(self.number);
        }
        if let Ok(mut leases) = self.gateway.leases.lock() {
            leases.used.remove(&self.number);
        }
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let table = format!("delete table inet cumulet_{}\n", self.place.name());
        if let Err(error) = run(&self.nft, &["-f", "-"], &table) {
            tracing::warn!("removing rules: {error}");
        }
    }
}

impl Place {
    fn find() -> io::Result<Place> {
        loop {
            // Two addresses each, the first of which are the range itself and the gateway.
            let number = u16::from_str_radix(&id::hex(4), 16).map_err(io::Error::other)? >> 1;
            let name = Place::name_of(number);
            // The kernel takes its time to remove the interface of a platform that has just died.
            if number == 0 || number == u16::MAX >> 1 || sys::interface_index(&name).is_some() {
                continue;
            }
            match claim(&name) {
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
                claim => return Ok(Place { number, _claim: claim? }),
            }
        }
    }

    fn name_of(number: u16) -> String {
        format!("cv{number:04x}")
    }

    /// Of the host's interface towards the router. The table is named by it.
    fn name(&self) -> String {
        Place::name_of(self.number)
    }

    /// The host's there, and the router's.
    fn addresses(&self, range: Ipv4Addr) -> [Ipv4Addr; 2] {
        [2 * self.number, 2 * self.number + 1].map(|number| address(range, number))
    }

    fn takes(&self, number: u16) -> bool {
        number / 2 == self.number
    }
}

fn claim(name: &str) -> io::Result<UnixListener> {
    UnixListener::bind_addr(&SocketAddr::from_abstract_name(format!("cumulet-{name}"))?)
}

/// What the table's gateway has claimed.
fn owner(table: &str) -> Option<&str> {
    let name = table.strip_prefix("table inet cumulet_")?;
    name.starts_with("cv").then_some(name)
}

/// Removes the tables of platforms that are no more.
fn sweep(nft: &Path) {
    let Ok(output) = Command::new(nft).args(["list", "tables"]).output() else {
        return;
    };
    for table in String::from_utf8_lossy(&output.stdout).lines() {
        let Some(name) = owner(table) else { continue };
        let Ok(_claim) = claim(name) else { continue };
        if let Err(error) = run(nft, &["-f", "-"], &format!("delete {table}\n")) {
            tracing::warn!("removing the rules of a former platform: {error}");
        }
    }
}

/// The host's, of what comes from its interface `name`: all from the address `router`, behind which the range lies.
fn rules(network: &Network, name: &str, [range, router]: [Ipv4Addr; 2], nameservers: &[Ipv4Addr]) -> String {
    let range = format!("{range}/16");
    let mut outbound = String::new();
    let mut line = |text: String| {
        // Writing to a string cannot fail.
        let _ = writeln!(outbound, "    {text}");
    };
    for server in nameservers {
        line(format!("ip daddr {server} udp dport 53 accept"));
        line(format!("ip daddr {server} tcp dport 53 accept"));
    }
    for forbidden in FORBIDDEN.iter().chain([&range.as_str()]) {
        line(format!("ip daddr {forbidden} drop"));
    }
    match network {
        Network::None => {}
        Network::Internet => {
            for private in PRIVATE {
                line(format!("ip daddr {private} drop"));
            }
            line("accept".to_owned());
        }
        Network::Allow(allowed) => {
            for allowed in allowed {
                line(format!("ip daddr {allowed} accept"));
            }
        }
    }
    format!(
        r#"table inet cumulet_{name}
delete table inet cumulet_{name}
table inet cumulet_{name} {{
  chain outbound {{
    meta nfproto != ipv4 drop
    oifname "cv*" drop
{outbound}    drop
  }}
  chain input {{
    type filter hook input priority -10; policy accept;
    iifname "{name}" drop
  }}
  chain forward {{
    type filter hook forward priority -10; policy accept;
    iifname "{name}" ct state established,related accept
    iifname "{name}" jump outbound
    oifname "{name}" ct state established,related accept
    oifname "{name}" drop
  }}
  chain postrouting {{
    type nat hook postrouting priority 100; policy accept;
    ip saddr {router} masquerade
  }}
}}
"#
    )
}

/// The host's name servers that can be reached from elsewhere than its loopback.
pub(crate) fn nameservers() -> Vec<Ipv4Addr> {
    ["/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"]
        .iter()
        .flat_map(|path| std::fs::read_to_string(path).ok())
        .flat_map(|text| parse_nameservers(&text))
        .take(3)
        .collect()
}

fn parse_nameservers(text: &str) -> Vec<Ipv4Addr> {
    text.lines()
        .filter_map(|line| line.trim().strip_prefix("nameserver"))
        .filter_map(|address| address.trim().parse().ok())
        .filter(|address: &Ipv4Addr| !address.is_loopback())
        .collect()
}

/// Where a program of the system is.
pub(crate) fn find_tool(name: &str) -> Option<PathBuf> {
    ["/usr/sbin", "/usr/bin", "/sbin", "/bin", "/usr/local/sbin", "/usr/local/bin"]
        .iter()
        .map(|directory| Path::new(directory).join(name))
        .find(|path| path.is_file())
}

fn run(program: &Path, arguments: &[&str], input: &str) -> io::Result<()> {
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(input.as_bytes())?;
    }
    let output = child.wait_with_output()?;
    if output.status.success() {
        return Ok(());
    }
    Err(io::Error::other(format!("`{}`: {}", program.display(), String::from_utf8_lossy(&output.stderr).trim())))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_forbidden_comes_before_the_allowed() {
        let range = [Ipv4Addr::new(100, 64, 0, 0), Ipv4Addr::new(100, 64, 32, 1)];
        let allow = Network::Allow(vec!["0.0.0.0/0".parse().unwrap()]);
        let text = rules(&allow, "cv1000", range, &[]);
        let at = |what: &str| text.find(what).unwrap();
        assert!(at("169.254.0.0/16 drop") < at("0.0.0.0/0 accept"));
        assert!(at("100.64.0.0/16 drop") < at("0.0.0.0/0 accept"));
        let text = rules(&Network::Internet, "cv1000", range, &[Ipv4Addr::new(10, 0, 0, 2)]);
        let at = |what: &str| text.find(what).unwrap();
        assert!(at("10.0.0.2 udp dport 53 accept") < at("10.0.0.0/8 drop"));
        assert!(at("10.0.0.0/8 drop") < at("    accept"));
    }

    #[test]
    fn name_servers() {
        let text = "# x\nnameserver 127.0.0.53\nnameserver 9.9.9.9\nnameserver ::1\nsearch a\n";
        assert_eq!(parse_nameservers(text), [Ipv4Addr::new(9, 9, 9, 9)]);
    }

    #[test]
    fn tables_name_their_gateway() {
        assert_eq!(owner("table inet cumulet_cv1f0000"), Some("cv1f0000"));
        for other in ["table inet filter", "table ip cumulet_cv1f0000", "table inet cumulet_x", ""] {
            assert_eq!(owner(other), None, "{other}");
        }
        let place = Place::find().unwrap();
        let name = place.name();
        assert_eq!(owner(&format!("table inet cumulet_{name}")), Some(name.as_str()));
        assert!(claim(&name).is_err());
        drop(place);
        assert!(claim(&name).is_ok());
    }

    #[test]
    fn addresses_come_back() {
        let mut leases = Leases::default();
        let mut next = || leases.next(|number| number / 2 == 2).unwrap();
        assert_eq!((next(), next(), next()), (2, 3, 6), "4 and 5 are somebody's");
        leases.used.remove(&3);
        leases.last = u16::MAX - 1;
        let mut next = || leases.next(|number| number / 2 == 2);
        assert_eq!((next(), next()), (Some(3), Some(7)));
        leases.used.extend(0..=u16::MAX);
        assert_eq!(leases.next(|_| false), None);
        assert_eq!(address(Ipv4Addr::new(100, 64, 0, 0), 0x102), Ipv4Addr::new(100, 64, 1, 2));
    }
}
