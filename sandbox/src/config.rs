//! What the host decides about its sandboxes. Read once, when the sandbox is made.

use std::fmt;
use std::net::TcpStream;
use std::path::PathBuf;
use std::sync::Arc;

use cumulet_engine::sandbox::InstanceSpec;

/// What instances reach beyond their own loopback.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Network {
    /// Only the platform's own endpoint.
    #[default]
    None,
}

/// Called, inside the async runtime, for each connection that an instance makes to the platform's endpoint; must not
/// wait. The stream is in non-blocking mode.
pub type PlatformConnection = Arc<dyn Fn(TcpStream, Arc<InstanceSpec>) + Send + Sync>;

#[derive(Clone)]
pub struct SandboxConfig {
    /// For the files that all instances share; made if absent, not readable by others than its owner.
    pub data_dir: PathBuf,
    /// Holds `node/host.js` and `python/host.py`; appears at `/var/runtime`.
    pub runtime_dir: PathBuf,
    pub network: Network,
    /// Where interpreters are looked for before `PATH`: executables, or directories of them.
    pub interpreters: Vec<PathBuf>,
    /// Take the nearest version of an interpreter when the right one is not there.
    pub lenient_versions: bool,
    /// Serves `http://127.0.0.1:4566` inside instances.
    pub platform: Option<PlatformConnection>,
    /// First of the 2^24 user numbers of the host that functions run under, where the platform is root.
    pub uid_base: u32,
}

/// Beyond what distributions and container tools hand out.
const UID_BASE: u32 = 1_900_000_000;

impl SandboxConfig {
    /// The defaults for everything that has one.
    pub fn new(data_dir: PathBuf, runtime_dir: PathBuf) -> SandboxConfig {
        SandboxConfig {
            data_dir,
            runtime_dir,
            network: Network::None,
            interpreters: Vec::new(),
            lenient_versions: false,
            platform: None,
            uid_base: UID_BASE,
        }
    }
}

impl fmt::Debug for SandboxConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SandboxConfig")
            .field("data_dir", &self.data_dir)
            .field("runtime_dir", &self.runtime_dir)
            .field("network", &self.network)
            .field("interpreters", &self.interpreters)
            .field("lenient_versions", &self.lenient_versions)
            .field("platform", &self.platform.is_some())
            .field("uid_base", &self.uid_base)
            .finish()
    }
}
