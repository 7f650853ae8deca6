//! The way out of instances: a pair of virtual interfaces each, forwarding and address translation by the host, and
//! rules that keep them from the host itself, from link-local addresses and from one another. IPv4 only. Uses `ip` and
//! `nft`, with a table for each sandbox, so that several platforms on one machine keep out of each other's rules.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::net::Ipv4Addr;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use cumulet_base::id;

use crate::child::Outbound;
use crate::config::Network;

/// Never reached, whatever is allowed.
pub(crate) const FORBIDDEN: &[&str] = &["0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/3"];
/// Not the internet.
pub(crate) const PRIVATE: &[&str] =
    &["10.0.0.0/8", "100.64.0.0/10", "172.16.0.0/12", "192.0.0.0/24", "192.168.0.0/16", "198.18.0.0/15"];

/// Hands out addresses and interfaces.
pub(crate) struct Gateway {
    ip: PathBuf,
    nft: PathBuf,
    /// What the names of this gateway's interfaces begin with, and its table is named by.
    prefix: String,
    /// Of the prefix.
    _claim: UnixListener,
    range: Ipv4Addr,
    leases: Mutex<Leases>,
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
    /// The host's end, once there is one.
    interface: Option<String>,
}

impl Gateway {
    /// Turns on forwarding and installs the rules.
    ///
    /// # Errors
    /// A sentence for the operator: what is missing.
    pub(crate) fn open(network: &Network, range: Ipv4Addr, nameservers: &[Ipv4Addr]) -> Result<Arc<Gateway>, String> {
        let ip = find_tool("ip").ok_or("the program `ip` is missing (package iproute2)")?;
        let nft = find_tool("nft").ok_or("the program `nft` is missing (package nftables)")?;
        sweep(&nft);
        let (prefix, claim) = prefix().map_err(|error| format!("finding a name: {error}"))?;
        let rules = rules(network, &prefix, range, nameservers);
        run(&nft, &["-f", "-"], &rules).map_err(|error| format!("installing rules: {error}"))?;
        std::fs::write("/proc/sys/net/ipv4/ip_forward", "1")
            .map_err(|error| format!("turning on forwarding: {error}"))?;
        Ok(Arc::new(Gateway {
            ip,
            nft,
            prefix,
            _claim: claim,
            range,
            // A successor does not begin with the addresses of a platform that has just died.
            leases: Mutex::new(Leases { last: std::process::id() as u16, used: HashSet::new() }),
        }))
    }

    /// Reserves an address for an instance about to start.
    pub(crate) fn lease(self: &Arc<Gateway>) -> io::Result<Lease> {
        let mut leases = self.leases.lock().map_err(|_| io::Error::other("the list of addresses is broken"))?;
        // 0 is the range itself, 1 the host, the last a broadcast address to some.
        for _ in 0..u16::MAX {
            leases.last = if leases.last < 2 || leases.last >= u16::MAX - 1 { 2 } else { leases.last + 1 };
            let number = leases.last;
            if leases.used.insert(number) {
                return Ok(Lease { gateway: self.clone(), number, interface: None });
            }
        }
        Err(io::Error::other("all addresses are in use"))
    }

    fn address(&self, number: u16) -> Ipv4Addr {
        Ipv4Addr::from((u32::from(self.range) & 0xffff_0000) | u32::from(number))
    }
}

impl Lease {
    pub(crate) fn outbound(&self) -> Outbound {
        Outbound { address: self.gateway.address(self.number), gateway: self.gateway.address(1) }
    }

    /// Puts one end of a new pair of interfaces into the network namespace of `pid`.
    pub(crate) fn connect(&mut self, pid: i32) -> io::Result<()> {
        static SERIAL: AtomicU32 = AtomicU32::new(0);
        let Outbound { address, gateway } = self.outbound();
        // Names of interfaces have 15 characters at most.
        let serial = SERIAL.fetch_add(1, Ordering::Relaxed) % (1 << 20);
        let name = format!("{}{serial:x}", self.gateway.prefix);
        let script = format!(
            "link add {name} type veth peer name eth0 netns {pid}\nlink set {name} up\naddr add {gateway} peer {address}/32 dev {name}\n"
        );
        self.interface = Some(name.clone());
        run(&self.gateway.ip, &["-batch", "-"], &script)?;
        // An instance may not speak in another's name.
        std::fs::write(format!("/proc/sys/net/ipv4/conf/{name}/rp_filter"), "1")
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(name) = &self.interface {
            // The kernel removes it with the instance, but takes its time; until then its route would catch what is
            // meant for the address's next user. It is no failure to come second.
            let _ = run(&self.gateway.ip, &["link", "del", name], "");
        }
        if let Ok(mut leases) = self.gateway.leases.lock() {
            leases.used.remove(&self.number);
        }
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let table = format!("delete table inet cumulet_{}\n", self.prefix);
        if let Err(error) = run(&self.nft, &["-f", "-"], &table) {
            tracing::warn!("removing rules: {error}");
        }
    }
}

/// `cv` and six characters that no other gateway of this network namespace has, as long as the claim is held.
fn prefix() -> io::Result<(String, UnixListener)> {
    loop {
        let prefix = format!("cv{}", id::hex(6));
        match claim(&prefix) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
            claim => return Ok((prefix, claim?)),
        }
    }
}

/// Takes a name into possession. Sockets without a file belong to the network namespace, as rules do, and end with their
/// process, which may be in a pid namespace of its own.
fn claim(prefix: &str) -> io::Result<UnixListener> {
    UnixListener::bind_addr(&SocketAddr::from_abstract_name(format!("cumulet-{prefix}"))?)
}

/// What the table's gateway has claimed.
fn owner(table: &str) -> Option<&str> {
    let prefix = table.strip_prefix("table inet cumulet_")?;
    prefix.starts_with("cv").then_some(prefix)
}

/// Removes the tables of platforms that are no more.
fn sweep(nft: &Path) {
    let Ok(output) = Command::new(nft).args(["list", "tables"]).output() else {
        return;
    };
    for table in String::from_utf8_lossy(&output.stdout).lines() {
        let Some(prefix) = owner(table) else { continue };
        let Ok(_claim) = claim(prefix) else { continue };
        if let Err(error) = run(nft, &["-f", "-"], &format!("delete {table}\n")) {
            tracing::warn!("removing the rules of a former platform: {error}");
        }
    }
}

fn rules(network: &Network, prefix: &str, range: Ipv4Addr, nameservers: &[Ipv4Addr]) -> String {
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
        r#"table inet cumulet_{prefix}
delete table inet cumulet_{prefix}
table inet cumulet_{prefix} {{
  chain outbound {{
    meta nfproto != ipv4 drop
    oifname "cv*" drop
{outbound}    drop
  }}
  chain input {{
    type filter hook input priority -10; policy accept;
    iifname "{prefix}*" drop
  }}
  chain forward {{
    type filter hook forward priority -10; policy accept;
    iifname "{prefix}*" ct state established,related accept
    iifname "{prefix}*" jump outbound
    oifname "{prefix}*" ct state established,related accept
    oifname "{prefix}*" drop
  }}
  chain postrouting {{
    type nat hook postrouting priority 100; policy accept;
    ip saddr {range} oifname != "cv*" masquerade
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
        let range = Ipv4Addr::new(100, 64, 0, 0);
        let allow = Network::Allow(vec!["0.0.0.0/0".parse().unwrap()]);
        let text = rules(&allow, "cv1g", range, &[]);
        let at = |what: &str| text.find(what).unwrap();
        assert!(at("169.254.0.0/16 drop") < at("0.0.0.0/0 accept"));
        assert!(at("100.64.0.0/16 drop") < at("0.0.0.0/0 accept"));
        let text = rules(&Network::Internet, "cv1g", range, &[Ipv4Addr::new(10, 0, 0, 2)]);
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
        let (prefix, held) = prefix().unwrap();
        assert!(prefix.len() <= 9, "5 digits more are 14 characters");
        assert!(claim(&prefix).is_err());
        drop(held);
        assert!(claim(&prefix).is_ok());
    }

    #[test]
    fn addresses_come_back() {
        let gateway = Arc::new(Gateway {
            ip: PathBuf::new(),
            nft: PathBuf::from("true"),
            prefix: String::new(),
            _claim: prefix().unwrap().1,
            range: Ipv4Addr::new(100, 64, 0, 0),
            leases: Mutex::default(),
        });
        let first = gateway.lease().unwrap();
        let second = gateway.lease().unwrap();
        assert_eq!(first.outbound().address, Ipv4Addr::new(100, 64, 0, 2));
        assert_eq!(second.outbound().address, Ipv4Addr::new(100, 64, 0, 3));
        assert_eq!(second.outbound().gateway, Ipv4Addr::new(100, 64, 0, 1));
        drop(first);
        assert_eq!(gateway.leases.lock().unwrap().used.len(), 1);
    }
}
