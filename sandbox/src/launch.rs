//! Starts processes in sandboxes. Everything that can be is done before the clone; a small fixed set of threads does it,
//! because an instance dies with the *thread* that made it, and threads of an async runtime come and go.
//! Knows no runtime and no protocol.
#![allow(unsafe_code)]

use std::ffi::{CString, c_char};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use cumulet_base::limits;
use tokio::sync::{mpsc, oneshot};

use crate::cgroup::{Cgroups, Group, Limits};
use crate::child::{self, INNER_GID, INNER_UID, LISTEN_MAX, Orders, Route, STAGES, Stage};
use crate::clone::{self, Clone, OwnNetwork};
use crate::config::{Network, SDK_FOLDERS, SandboxConfig};
use crate::network::{self, Gateway, Lease};
use crate::process::Process;
use crate::relay::Relay;
use crate::root::{self, Layout, Step};
use crate::seccomp::{self, Instruction, Of};
use crate::sys::{self, CloneArgs};
use crate::templates::Live;
use crate::visitor::Visitor;

const LAUNCHERS: usize = 4;
const LAUNCH_QUEUE_MAX: usize = 256;
const UID_RANGE: u64 = 1 << 24;

/// What is to be started.
#[derive(Debug)]
pub struct Plan {
    /// Whose user the process runs as; plans with the same owner share one.
    pub owner: String,
    /// The program by its path inside, and its arguments.
    pub argv: Vec<String>,
    pub environment: Vec<(String, String)>,
    /// Appears at `/var/task`; must be readable by everyone.
    pub code_dir: PathBuf,
    /// Appears at `/opt`; must be readable by everyone.
    pub layers_dir: Option<PathBuf>,
    /// Appears at `/var/runtime`.
    pub runtime_dir: Option<PathBuf>,
    /// Directories that appear at their own path.
    pub prefixes: Vec<PathBuf>,
    pub memory_mb: u32,
    pub ephemeral_mb: u32,
    /// Descriptor 3 of the process.
    pub channel: Option<OwnedFd>,
    /// The root of a container image; the host's programs and the code do not appear then.
    pub image: Option<PathBuf>,
    /// Where the process begins, inside.
    pub directory: String,
    /// A directory of the host that the process may write, made where it is missing, and where it appears.
    pub file_system: Option<(PathBuf, String)>,
    /// The program at [`root::INIT_PATH`], on the host.
    pub init: Option<PathBuf>,
    /// Ports of the instance's loopback that the host listens on; at most four.
    pub listen: Vec<u16>,
    /// It will make clones of itself.
    pub is_template: bool,
}

/// A started process and its connections.
pub struct Launched {
    pub process: Process,
    pub stdout: OwnedFd,
    pub stderr: OwnedFd,
    /// In the order of [`Plan::listen`].
    pub listeners: Vec<TcpListener>,
    /// How its root was made; what clones of it take again.
    pub(crate) steps: Vec<Step>,
}

/// A sandbox could not be built.
#[derive(Debug, thiserror::Error)]
#[error("{doing}: {source}")]
pub struct LaunchError {
    pub doing: String,
    pub source: io::Error,
    /// Lambda's error type, where it may be that what is to be run cannot be.
    pub unfit: Option<&'static str>,
}

pub(crate) fn failed(doing: impl Into<String>) -> impl FnOnce(io::Error) -> LaunchError {
    let doing = doing.into();
    move |source| LaunchError { doing, source, unfit: None }
}

enum Job {
    Launch(Box<Plan>, oneshot::Sender<Result<Launched, LaunchError>>),
    /// With the memory limit of the clone.
    Clone(Arc<Live>, u32, oneshot::Sender<Result<Clone, LaunchError>>),
    /// The same for the template's stock.
    Ahead(Arc<Live>, u32),
}

/// Makes sandboxes. Its processes are killed when it is dropped.
pub struct Launcher {
    jobs: mpsc::Sender<Job>,
    shared: Arc<Shared>,
}

struct Shared {
    privileged: bool,
    uid_base: u32,
    cgroups: Cgroups,
    network: Network,
    network_range: Ipv4Addr,
    nameservers: Vec<Ipv4Addr>,
    way: OnceLock<Result<Way, String>>,
    etc: PathBuf,
    sdk: Vec<(&'static str, PathBuf)>,
    filter: Vec<Instruction>,
    template_filter: Vec<Instruction>,
}

/// The folders of the SDKs that are there, by where they appear in the runtime's.
fn sdk_folders(config: &SandboxConfig) -> Result<Vec<(&'static str, PathBuf)>, LaunchError> {
    let Some(sdk) = &config.sdk_dir else { return Ok(Vec::new()) };
    let folders = SDK_FOLDERS.iter().map(|name| (*name, sdk.join(name)));
    let there = folders.filter(|(name, folder)| folder.is_dir() && config.runtime_dir.join(name).is_dir());
    there
        .map(|(name, folder)| {
            let whole = folder.canonicalize().map_err(failed(format!("finding `{}`", folder.display())))?;
            Ok((name, whole))
        })
        .collect()
}

/// How instances reach what is beyond their loopback.
enum Way {
    Nowhere,
    Gateway(Arc<Gateway>),
    Relay(Relay),
}

impl Shared {
    /// Opened once, by who comes first; the others wait. Otherwise a sentence for the operator.
    fn way(&self) -> &Result<Way, String> {
        self.way.get_or_init(|| match (&self.network, self.privileged) {
            (Network::None, _) => Ok(Way::Nowhere),
            (network, true) => Gateway::open(network, self.network_range, &self.nameservers).map(Way::Gateway),
            (network, false) => Relay::open(network, self.network_range, &self.nameservers).map(Way::Relay),
        })
    }

    fn lacking(&self) -> Vec<String> {
        let mut lacking = Vec::new();
        lacking.extend(self.way().as_ref().err().map(|why| format!("no network but loopback for functions: {why}")));
        lacking.extend(self.cgroups.lacking.iter().cloned());
        if self.cgroups.describe() == "none" {
            lacking.push(
                "no control groups: memory and processor are not limited, and running out of memory is not recognised"
                    .to_owned(),
            );
        }
        if !self.privileged {
            lacking.push(
                "not root: all functions run as the platform's own user on the host, each in its own user namespace"
                    .to_owned(),
            );
        }
        lacking
    }
}

impl Launcher {
    /// Prepares the shared files and starts the launching threads.
    ///
    /// # Errors
    /// When `data_dir` cannot be written or no thread can be started.
    pub fn new(config: &SandboxConfig) -> Result<Launcher, LaunchError> {
        let privileged = sys::effective_ids().0 == 0;
        let nameservers = if config.network == Network::None { Vec::new() } else { network::nameservers() };
        let resolv_conf: String = nameservers.iter().map(|server| format!("nameserver {server}\n")).collect();
        let etc = config.data_dir.join("etc");
        root::prepare_etc(&etc, &resolv_conf, config.authority.as_ref())
            .map_err(failed(format!("preparing `{}`", etc.display())))?;
        let etc = etc.canonicalize().map_err(failed(format!("finding `{}`", etc.display())))?;
        let shared = Arc::new(Shared {
            privileged,
            uid_base: config.uid_base,
            cgroups: Cgroups::detect(),
            network: config.network.clone(),
            network_range: config.network_range,
            nameservers,
            way: OnceLock::new(),
            etc,
            sdk: sdk_folders(config)?,
            filter: seccomp::program(Of::Instance),
            template_filter: seccomp::program(Of::Template),
        });
        let (jobs, queue) = mpsc::channel::<Job>(LAUNCH_QUEUE_MAX);
        let queue = Arc::new(Mutex::new(queue));
        for index in 0..LAUNCHERS {
            let (shared, queue) = (shared.clone(), queue.clone());
            std::thread::Builder::new()
                .name(format!("launch-{index}"))
                .spawn(move || work(&shared, &queue))
                .map_err(failed("starting a launching thread"))?;
        }
        let launcher = Launcher { jobs, shared };
        // Rules for the way out take longer than all else; nobody but the first instance has to wait for them.
        let shared = launcher.shared.clone();
        let say = move || shared.lacking().iter().for_each(|lack| tracing::warn!("sandbox: {lack}"));
        std::thread::Builder::new()
            .name("network".to_owned())
            .spawn(say)
            .map_err(failed("starting a thread for the way out"))?;
        Ok(launcher)
    }

    /// What this machine or user keeps the sandbox from doing, in sentences. Waits until the way out is open.
    pub fn lacking(&self) -> Vec<String> {
        self.shared.lacking()
    }

    /// Starts a process; returns when it executes its program.
    ///
    /// # Errors
    /// When a step fails; nothing is left behind.
    pub async fn launch(&self, plan: Plan) -> Result<Launched, LaunchError> {
        let (reply, answer) = oneshot::channel();
        self.jobs.send(Job::Launch(Box::new(plan), reply)).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }

    /// Whether this platform can clone instances: it must be root.
    pub(crate) fn can_clone(&self) -> bool {
        self.shared.privileged
    }

    /// Sees to it that clones are made ahead where some are lacking. Who waits for one comes first.
    pub(crate) fn restock(&self, live: &Arc<Live>, memory_mb: u32) {
        if live.stock.wants() && self.jobs.try_send(Job::Ahead(live.clone(), memory_mb)).is_err() {
            live.stock.not_now();
        }
    }

    /// Makes a clone.
    pub(crate) async fn clone_of(&self, live: Arc<Live>, memory_mb: u32) -> Result<Clone, LaunchError> {
        let (reply, answer) = oneshot::channel();
        self.jobs.send(Job::Clone(live, memory_mb, reply)).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }
}

fn gone() -> LaunchError {
    failed("launching")(io::Error::other("the launching threads are gone"))
}

fn next_id() -> String {
    static SERIAL: AtomicU64 = AtomicU64::new(0);
    format!("i{}", SERIAL.fetch_add(1, Ordering::Relaxed))
}

fn work(shared: &Shared, queue: &Mutex<mpsc::Receiver<Job>>) {
    let visitor = if shared.privileged { Visitor::new() } else { Err(io::Error::other("clones are off")) };
    loop {
        let job = match queue.lock() {
            Ok(mut queue) => queue.blocking_recv(),
            Err(_) => return,
        };
        // A caller who has gone away drops the answer, and with it the process.
        match job {
            None => return,
            Some(Job::Launch(plan, reply)) => drop(reply.send(launch(shared, *plan))),
            Some(Job::Clone(live, memory_mb, reply)) => {
                let made = make_clone(shared, &visitor, &live, memory_mb);
                drop(reply.send(made));
                shared.cgroups.stock(next_id, limits_of_clone(memory_mb));
            }
            Some(Job::Ahead(live, memory_mb)) => {
                let mut goes_on = true;
                while goes_on {
                    let made = make_clone(shared, &visitor, &live, memory_mb);
                    goes_on = made.is_ok();
                    live.stock.made(made);
                    shared.cgroups.stock(next_id, limits_of_clone(memory_mb));
                    goes_on = goes_on && live.stock.wants();
                }
            }
        }
    }
}

fn limits_of_clone(memory_mb: u32) -> Limits {
    Limits { memory_mb, tasks: limits::INSTANCE_TASKS_MAX }
}

fn make_clone(
    shared: &Shared,
    visitor: &io::Result<Visitor>,
    live: &Live,
    memory_mb: u32,
) -> Result<Clone, LaunchError> {
    let visitor = visitor.as_ref().map_err(|error| failed("cloning")(io::Error::other(error.to_string())))?;
    let group = shared.cgroups.take(next_id, limits_of_clone(memory_mb)).map_err(failed("making the control group"))?;
    let network = match (live.has_own_networks(), shared.way()) {
        (false, _) => None,
        (true, Ok(Way::Gateway(gateway))) => {
            let lease = Some(gateway.lease().map_err(failed("reserving an address"))?);
            Some(OwnNetwork { lease, routes: &[Route::EVERYWHERE], listen: &live.listen })
        }
        (true, _) => Some(OwnNetwork { lease: None, routes: &[], listen: &live.listen }),
    };
    clone::make(visitor, &live.template, group, &shared.filter, live.stock.written(), network)
}

fn c_strings(values: impl IntoIterator<Item = String>) -> Result<Vec<CString>, LaunchError> {
    values
        .into_iter()
        .map(|value| CString::new(value).map_err(|error| failed("passing arguments and environment")(error.into())))
        .collect()
}

/// The array that exec takes: pointers into `values`, then null.
fn pointers(values: &[CString]) -> Vec<*const c_char> {
    values.iter().map(|value| value.as_ptr()).chain([std::ptr::null()]).collect()
}

fn launch(shared: &Shared, plan: Plan) -> Result<Launched, LaunchError> {
    if plan.listen.len() > LISTEN_MAX {
        return Err(failed("opening listeners")(io::Error::other("too many")));
    }
    let argv = c_strings(plan.argv)?;
    let environment = c_strings(plan.environment.into_iter().map(|(name, value)| format!("{name}={value}")))?;
    if let Some((directory, _)) = &plan.file_system {
        own_directory(directory, shared, &plan.owner)
            .map_err(failed(format!("preparing `{}`", directory.display())))?;
    }
    let layout = Layout {
        code_dir: &plan.code_dir,
        layers_dir: plan.layers_dir.as_deref(),
        runtime_dir: plan.runtime_dir.as_deref(),
        init: plan.init.as_deref(),
        image: plan.image.as_deref(),
        file_system: plan.file_system.as_ref().map(|(directory, mount)| (directory.as_path(), mount.as_str())),
        sdk: &shared.sdk,
        prefixes: &plan.prefixes,
        ephemeral_mb: plan.ephemeral_mb,
    };
    let directory = c_strings([plan.directory])?.remove(0);
    let root = root::compile(&layout, &shared.etc, shared.privileged).map_err(failed("laying out the root"))?;
    let limits = Limits { memory_mb: plan.memory_mb, tasks: limits::INSTANCE_TASKS_MAX };
    let group = shared.cgroups.create(&next_id(), limits).map_err(failed("making the control group"))?;
    let (stdout, stdout_child) = sys::pipe().map_err(failed("making a pipe"))?;
    let (stderr, stderr_child) = sys::pipe().map_err(failed("making a pipe"))?;
    let (status, status_child) = sys::packet_pair().map_err(failed("making a socket pair"))?;
    let (argv_pointers, environment_pointers) = (pointers(&argv), pointers(&environment));
    let join = group.as_ref().map(Group::join_fds).unwrap_or_default();
    let way = shared.way().as_ref().unwrap_or(&Way::Nowhere);
    let mut lease = match way {
        Way::Gateway(gateway) => Some(gateway.lease().map_err(failed("reserving an address"))?),
        Way::Nowhere | Way::Relay(_) => None,
    };
    let (outbound, routes) = match way {
        Way::Nowhere => (None, Vec::new()),
        Way::Gateway(_) => (lease.as_ref().map(Lease::outbound), vec![Route::EVERYWHERE]),
        Way::Relay(relay) => (Some(relay.outbound()), relay.routes().map_err(failed("finding the host's addresses"))?),
    };
    let orders = Orders {
        root: &root,
        directory: &directory,
        argv: &argv_pointers,
        environment: &environment_pointers,
        status: status_child.as_raw_fd(),
        stdout: stdout_child.as_raw_fd(),
        stderr: stderr_child.as_raw_fd(),
        channel: plan.channel.as_ref().map(AsRawFd::as_raw_fd),
        listen: &plan.listen,
        outbound,
        routes: &routes,
        join: &join,
        filter: if plan.is_template { &shared.template_filter } else { &shared.filter },
        files_max: limits::INSTANCE_FILES_MAX,
        tasks_max: if plan.is_template { limits::TEMPLATE_TASKS_MAX } else { limits::INSTANCE_TASKS_MAX.into() },
        drop_groups: shared.privileged,
        is_template: plan.is_template,
    };
    let mut process = clone_child(&orders, group).map_err(failed("cloning into new namespaces"))?;
    drop((status_child, stdout_child, stderr_child));
    map_user(&process, shared, &plan.owner).map_err(failed("mapping the function's user"))?;
    expose_to_oom(process.pid);
    if let Some(lease) = &mut lease {
        lease.connect(process.pid).map_err(failed("connecting the instance's network"))?;
    }
    process.lease = lease;
    if let Way::Relay(relay) = way {
        process.relay = Some(relay.connect(process.pid).map_err(failed("connecting the instance's network"))?);
    }
    let mut status = std::os::unix::net::UnixStream::from(status);
    status.write_all(b"g").map_err(failed("letting the child go"))?;
    let listeners = follow(&status, plan.listen.len())?;
    if let Some(group) = &mut process.group {
        group.started();
    }
    Ok(Launched { process, stdout, stderr, listeners, steps: root.steps })
}

fn clone_child(orders: &Orders<'_>, group: Option<Group>) -> io::Result<Process> {
    const CLONE_CLEAR_SIGHAND: u64 = 0x1_0000_0000;
    const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;
    let mut pidfd: libc::c_int = -1;
    let mut arguments = CloneArgs {
        flags: (libc::CLONE_NEWUSER
            | libc::CLONE_NEWPID
            | libc::CLONE_NEWNS
            | libc::CLONE_NEWIPC
            | libc::CLONE_NEWUTS
            | libc::CLONE_NEWNET
            | libc::CLONE_PIDFD) as u64
            | CLONE_CLEAR_SIGHAND,
        pidfd: (&raw mut pidfd) as u64,
        exit_signal: libc::SIGCHLD as u64,
        ..CloneArgs::default()
    };
    if let Some(into) = group.as_ref().and_then(Group::target_fd) {
        arguments.flags |= CLONE_INTO_CGROUP;
        arguments.cgroup = into.as_raw_fd() as u64;
    }
    // SAFETY: without CLONE_VM the child has its own copy of this thread's stack and of all that `orders` points to,
    // and `run` keeps to what may be done there. Signals are blocked meanwhile so that no handler runs in the child.
    // std's Command can make neither namespaces nor a pidfd in the same step.
    unsafe {
        let mut all: libc::sigset_t = std::mem::zeroed();
        let mut before: libc::sigset_t = std::mem::zeroed();
        libc::sigfillset(&mut all);
        libc::pthread_sigmask(libc::SIG_SETMASK, &all, &mut before);
        let pid = libc::syscall(libc::SYS_clone3, &raw mut arguments, size_of::<CloneArgs>());
        if pid == 0 {
            child::run(orders);
        }
        let error = io::Error::last_os_error();
        libc::pthread_sigmask(libc::SIG_SETMASK, &before, std::ptr::null_mut());
        if pid < 0 {
            return Err(error);
        }
        Ok(Process::new(pid as i32, OwnedFd::from_raw_fd(pidfd), group, true))
    }
}

/// The host's user and group that stand for the function's.
fn user_of(shared: &Shared, owner: &str) -> (u32, u32) {
    if !shared.privileged {
        return sys::effective_ids();
    }
    let mut hasher = DefaultHasher::new();
    owner.hash(&mut hasher);
    // Two functions may meet on a number; they still share no namespace.
    let uid = shared.uid_base + (hasher.finish() % UID_RANGE) as u32;
    (uid, uid)
}

/// A directory that belongs to the function's user.
fn own_directory(directory: &Path, shared: &Shared, owner: &str) -> io::Result<()> {
    use std::os::unix::fs::{DirBuilderExt, chown};
    std::fs::DirBuilder::new().recursive(true).mode(0o755).create(directory)?;
    let (uid, gid) = user_of(shared, owner);
    if shared.privileged { chown(directory, Some(uid), Some(gid)) } else { Ok(()) }
}

/// One user and one group exist inside: the function's own. There is no root to become.
fn map_user(process: &Process, shared: &Shared, owner: &str) -> io::Result<()> {
    let (uid, gid) = user_of(shared, owner);
    if !shared.privileged {
        std::fs::write(format!("/proc/{}/setgroups", process.pid), "deny")?;
    }
    let write = |name: &str, inner: u32, outer: u32| {
        std::fs::write(format!("/proc/{}/{name}", process.pid), format!("{inner} {outer} 1"))
    };
    write("uid_map", INNER_UID, uid)?;
    write("gid_map", INNER_GID, gid)
}

/// When the whole machine is short of memory, instances go before the platform; and a platform that is itself exempt
/// does not pass that on, which would keep the kernel from enforcing the memory limit.
fn expose_to_oom(pid: i32) {
    const SCORE: &str = "500";
    if let Err(error) = std::fs::write(format!("/proc/{pid}/oom_score_adj"), SCORE) {
        tracing::warn!("exposing an instance to the kernel's memory killer: {error}");
    }
}

/// Hears the child out until it has executed its program.
fn follow(status: &std::os::unix::net::UnixStream, expected: usize) -> Result<Vec<TcpListener>, LaunchError> {
    let mut listeners = Vec::new();
    loop {
        let (record, descriptors) = sys::receive(status.as_fd()).map_err(failed("listening to the child"))?;
        match record.as_slice() {
            [b'L'] => listeners.extend(descriptors.into_iter().map(TcpListener::from)),
            [b'E', stage, a, b, c, d] => {
                let doing = STAGES.get(usize::from(*stage)).unwrap_or(&"starting");
                let errno = i32::from_le_bytes([*a, *b, *c, *d]);
                let unfit = match *stage {
                    stage if stage == Stage::Directory as u8 => Some("Runtime.InvalidWorkingDir"),
                    stage if stage == Stage::Exec as u8 => Some("Runtime.InvalidEntrypoint"),
                    _ => None,
                };
                return Err(LaunchError { unfit, ..failed(*doing)(io::Error::from_raw_os_error(errno)) });
            }
            [] if listeners.len() == expected => return Ok(listeners),
            _ => {
                return Err(failed("starting the runtime")(io::Error::other("the child ended early")));
            }
        }
    }
}
