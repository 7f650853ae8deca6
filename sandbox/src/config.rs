//! What the host decides about its sandboxes. Read once, when the sandbox is made.

use std::fmt;
use std::net::{Ipv4Addr, TcpStream};
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use cumulet_base::limits;
use cumulet_engine::sandbox::InstanceSpec;

/// What instances reach beyond their own loopback.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Network {
    /// Only the platform's own endpoint.
    #[default]
    None,
    /// Public addresses. Needs root, `ip` and `nft`, and turns on the host's forwarding; or `slirp4netns` where not root.
    Internet,
    /// These addresses only; as for `Internet`, never the host's own or other instances'.
    Allow(Vec<Cidr>),
}

/// Of what instances are cloned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Clones {
    /// Of nothing: each is started.
    #[default]
    Off,
    /// Of a booted runtime, which loads the function's code in each clone.
    Runtime,
    /// Of the initialised function where it asks for SnapStart, else of a booted runtime.
    SnapStart,
    /// Of the initialised function.
    On,
}

/// A range of IPv4 addresses, such as `10.1.0.0/16`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cidr {
    pub address: Ipv4Addr,
    /// At most 32.
    bits: u8,
}

/// The text is no range of addresses.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no range of IPv4 addresses such as 10.1.0.0/16")]
pub struct NotCidr(String);

impl Cidr {
    pub(crate) fn host(address: Ipv4Addr) -> Cidr {
        Cidr { address, bits: 32 }
    }

    pub(crate) fn everything() -> Cidr {
        Cidr { address: Ipv4Addr::UNSPECIFIED, bits: 0 }
    }

    pub(crate) fn mask(self) -> Ipv4Addr {
        Ipv4Addr::from(u32::MAX.checked_shl(32 - u32::from(self.bits)).unwrap_or_default())
    }

    pub(crate) fn first(self) -> Ipv4Addr {
        Ipv4Addr::from(u32::from(self.address) & u32::from(self.mask()))
    }

    pub(crate) fn covers(self, other: Cidr) -> bool {
        self.bits <= other.bits && u32::from(other.address) & u32::from(self.mask()) == u32::from(self.first())
    }
}

impl FromStr for Cidr {
    type Err = NotCidr;

    fn from_str(text: &str) -> Result<Cidr, NotCidr> {
        let (address, bits) = text.split_once('/').unwrap_or((text, "32"));
        match (address.parse(), bits.parse()) {
            (Ok(address), Ok(bits)) if bits <= 32 => Ok(Cidr { address, bits }),
            _ => Err(NotCidr(text.to_owned())),
        }
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.bits)
    }
}

/// Called, inside the async runtime, for each connection that an instance makes to the platform's endpoint; must not
/// wait. The stream is in non-blocking mode. How many connections one instance may hold is for the callee to bound.
pub type PlatformConnection = Arc<dyn Fn(TcpStream, Arc<InstanceSpec>) + Send + Sync>;

#[derive(Clone)]
pub struct SandboxConfig {
    /// For the files that all instances share; made if absent, not readable by others than its owner.
    pub data_dir: PathBuf,
    /// Holds `node/host.js` and `python/host.py`; appears at `/var/runtime`.
    pub runtime_dir: PathBuf,
    /// AWS's SDKs as Lambda brings them: its `node_modules` and `python_modules` appear in `/var/runtime`, where
    /// [`SandboxConfig::runtime_dir`] has empty folders of these names.
    pub sdk_dir: Option<PathBuf>,
    pub network: Network,
    /// The first of the 65 536 addresses that instances have among themselves and the host, ending in `.0.0`.
    pub network_range: Ipv4Addr,
    /// Where interpreters are looked for before `PATH`: executables, or directories of them.
    pub interpreters: Vec<PathBuf>,
    /// Take the nearest version of an interpreter when the right one is not there.
    pub lenient_versions: bool,
    /// Holds a directory for each access point of a file system; made when a function is first started with it.
    pub file_systems_dir: PathBuf,
    /// Serves `http://127.0.0.1:4566` inside instances, and `https://127.0.0.1`.
    pub platform: Option<PlatformConnection>,
    /// The port it has outside, which the addresses that it hands out name: it is served at that one as well.
    pub platform_port: Option<u16>,
    /// Who vouches for the platform's name there.
    pub authority: Option<Authority>,
    /// How instances of Node.js and Python functions come to be, where the machine can clone.
    pub clones: Clones,
    /// Make a function's template when it is deployed, not only at its first start.
    pub templates_at_deploy: bool,
    /// Memory of all templates together.
    pub templates_bytes_max: u64,
    /// Clones of each template that are made before anybody asks for them; at most [`limits::CLONES_AHEAD_MAX`].
    pub clones_ahead: usize,
    /// First of the 2^24 user numbers of the host that functions run under, where the platform is root.
    pub uid_base: u32,
}

/// An authority that programs inside trust besides the host's.
#[derive(Clone, Debug)]
pub struct Authority {
    pub pem: String,
    /// As `openssl x509 -hash` prints it.
    pub openssl_hash: &'static str,
}

/// What a folder of SDKs holds.
pub const SDK_FOLDERS: &[&str] = &["node_modules", "python_modules"];

const TEMPLATES_BYTES: u64 = 4 << 30;

/// Beyond what distributions and container tools hand out.
const UID_BASE: u32 = 1_900_000_000;

/// From the range for carriers' own use (RFC 6598), which meets no home or company network.
const NETWORK_RANGE: Ipv4Addr = Ipv4Addr::new(100, 64, 0, 0);

impl SandboxConfig {
    /// The defaults for everything that has one.
    pub fn new(data_dir: PathBuf, runtime_dir: PathBuf) -> SandboxConfig {
        SandboxConfig {
            file_systems_dir: data_dir.join("filesystems"),
            data_dir,
            runtime_dir,
            sdk_dir: None,
            network: Network::None,
            network_range: NETWORK_RANGE,
            interpreters: Vec::new(),
            lenient_versions: false,
            platform: None,
            platform_port: None,
            authority: None,
            clones: Clones::Off,
            templates_at_deploy: false,
            templates_bytes_max: TEMPLATES_BYTES,
            clones_ahead: limits::CLONES_AHEAD_MAX,
            uid_base: UID_BASE,
        }
    }
}

impl fmt::Debug for SandboxConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SandboxConfig")
            .field("data_dir", &self.data_dir)
            .field("runtime_dir", &self.runtime_dir)
            .field("sdk_dir", &self.sdk_dir)
            .field("network", &self.network)
            .field("network_range", &self.network_range)
            .field("interpreters", &self.interpreters)
            .field("lenient_versions", &self.lenient_versions)
            .field("platform", &self.platform.is_some())
            .field("authority", &self.authority.is_some())
            .field("clones", &self.clones)
            .field("templates_at_deploy", &self.templates_at_deploy)
            .field("templates_bytes_max", &self.templates_bytes_max)
            .field("clones_ahead", &self.clones_ahead)
            .field("uid_base", &self.uid_base)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        for good in ["10.1.0.0/16", "0.0.0.0/0", "1.2.3.4/32"] {
            assert_eq!(good.parse::<Cidr>().map(|c| c.to_string()), Ok(good.to_owned()));
        }
        for bad in ["", "10.1.0.0/33", "10.1/16", "::1/128", "1.2.3.4/8; drop"] {
            assert!(bad.parse::<Cidr>().is_err(), "{bad}");
        }
    }
}
