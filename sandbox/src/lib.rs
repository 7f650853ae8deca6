//! Linux isolation: starts each instance of a function in its own namespaces, with a read-only root, resource limits
//! and a system call filter, and implements the engine's sandbox port. The only crate with `unsafe` code, and that only
//! in `sys`, `child`, `launch`, `visitor`, `inside` and `host`. No scheduling, no knowledge of languages beyond how to start their
//! interpreters.

mod cgroup;
pub mod channel;
mod child;
mod clone;
mod config;
mod extensions;
#[doc(hidden)]
pub mod fuzz;
mod host;
mod inside;
mod inspect;
mod instance;
mod interpreter;
mod launch;
mod listening;
mod network;
mod probe;
mod process;
mod proof;
mod relay;
mod root;
mod seccomp;
mod stock;
mod sys;
mod templates;
mod visitor;

pub use config::{Authority, Cidr, Clones, Network, NotCidr, PlatformConnection, SDK_FOLDERS, SandboxConfig};
pub use host::{newest_node, newest_python, raise_open_files};
pub use instance::{LinuxSandbox, PLATFORM_PORT, PLATFORM_TLS_ENDPOINT};
pub use launch::{LaunchError, Launched, Launcher, Plan};
pub use probe::{Feature, probe};
pub use process::Process;
pub use sys::Exit;
