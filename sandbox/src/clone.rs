//! Instances as clones of live templates, host's side: tells a parked template to clone itself, puts the clone into its
//! control group, mounts its `/tmp` and `/proc`, sets up its network where it has one of its own, and lets it go. The template has run the function's code and is believed
//! nothing: what it answers is looked up in the kernel. Which functions have templates is decided in `templates`.
#![allow(unsafe_code)]

use std::io::{self, IoSlice, Write};
use std::net::TcpListener;
use std::ops::Range;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::cgroup::Group;
use crate::child::{Route, STAGES, Stage, mounts, net};
use crate::launch::{LaunchError, failed};
use crate::network::Lease;
use crate::process::Process;
use crate::root::{Root, Step};
use crate::seccomp::Instruction;
use crate::sys;

const MAGIC: u32 = 0x3345_4c43;
const OWN_NETWORK: u32 = 1;
/// A template that does not answer for this long is taken for broken.
const ANSWER_MS: u64 = 2_000;

/// A parked process that makes clones of itself. They live no longer than it does.
pub(crate) struct Template {
    control: Mutex<UnixStream>,
    pub(crate) process: Process,
    /// Of its root those steps that each clone takes again.
    steps: Vec<Step>,
    user_namespace: PathBuf,
    mount_namespace: PathBuf,
    network_namespace: PathBuf,
}

/// What a network of its own begins with.
pub(crate) struct OwnNetwork<'a> {
    pub lease: Option<Lease>,
    pub routes: &'a [Route],
    pub listen: &'a [u16],
}

/// A clone that has everything of its own. It waits for its first frame, or does what that one said.
pub(crate) struct Clone {
    pub process: Process,
    pub channel: UnixStream,
    pub stdout: OwnedFd,
    pub stderr: OwnedFd,
    /// Of its own network, where it has one.
    pub listeners: Vec<TcpListener>,
}

impl Template {
    /// `control`: the channel on which the process has said that it is parked; in blocking mode.
    ///
    /// # Errors
    /// When the process is gone.
    pub(crate) fn new(process: Process, control: UnixStream, steps: Vec<Step>) -> io::Result<Template> {
        control.set_nonblocking(false)?;
        control.set_read_timeout(Some(Duration::from_millis(ANSWER_MS)))?;
        control.set_write_timeout(Some(Duration::from_millis(ANSWER_MS)))?;
        let user_namespace = namespace(process.pid, "user")?;
        let mount_namespace = namespace(process.pid, "mnt")?;
        let network_namespace = namespace(process.pid, "net")?;
        let steps = steps.into_iter().filter(is_taken_again).collect();
        let control = Mutex::new(control);
        Ok(Template { control, process, steps, user_namespace, mount_namespace, network_namespace })
    }
}

fn namespace(pid: i32, kind: &str) -> io::Result<PathBuf> {
    std::fs::read_link(format!("/proc/{pid}/ns/{kind}"))
}

/// Its own `/tmp`, and its own `/proc` with the same things hidden.
fn is_taken_again(step: &Step) -> bool {
    let in_proc = |path: &std::ffi::CString| path.to_bytes().starts_with(b"proc/");
    match step {
        Step::Proc | Step::Tmp(_) => true,
        Step::Cover { path, .. } | Step::ReadOnly(path) => in_proc(path),
        Step::Directory(_) | Step::File(_) | Step::Link { .. } | Step::Attach { .. } => false,
    }
}

/// A thread that enters the namespaces of clones, and comes back each time.
pub(crate) struct Visitor {
    mounts: OwnedFd,
    network: OwnedFd,
}

impl Visitor {
    /// Parts this thread's working directory from that of all others, without which the kernel lets it go nowhere.
    ///
    /// # Errors
    /// Without the privilege to enter other namespaces.
    pub(crate) fn new() -> io::Result<Visitor> {
        // SAFETY: changes nothing but what this thread shares with others.
        if unsafe { libc::unshare(libc::CLONE_FS) } < 0 {
            return Err(io::Error::last_os_error());
        }
        let open = |kind: &str| std::fs::File::open(format!("/proc/thread-self/ns/{kind}")).map(OwnedFd::from);
        Ok(Visitor { mounts: open("mnt")?, network: open("net")? })
    }

    /// What `act` comes to in the process's namespace of that kind.
    fn at<T>(&self, pidfd: &OwnedFd, kind: libc::c_int, act: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        let home = if kind == libc::CLONE_NEWNS { &self.mounts } else { &self.network };
        enter(pidfd.as_raw_fd(), kind)?;
        let done = act();
        enter(home.as_raw_fd(), kind).unwrap_or_else(|error| {
            // This thread must never again touch a path or a network: it stands in a function's.
            tracing::error!("coming back from a function's namespaces: {error}");
            std::process::abort()
        });
        done
    }

    /// Takes the steps in the mount namespace of the process.
    fn mount(&self, pidfd: &OwnedFd, pid: i32, steps: &[Step]) -> io::Result<()> {
        let pid_namespace: OwnedFd = std::fs::File::open(format!("/proc/{pid}/ns/pid"))?.into();
        self.at(pidfd, libc::CLONE_NEWNS, || take_all(steps, &pid_namespace))
    }

    /// Sets up the network of the process; its listeners.
    fn connect(&self, pidfd: &OwnedFd, network: &OwnNetwork<'_>) -> io::Result<Vec<TcpListener>> {
        let failed = |stage: Stage| {
            let error = io::Error::last_os_error();
            io::Error::new(error.kind(), format!("{}: {error}", STAGES[stage as usize]))
        };
        self.at(pidfd, libc::CLONE_NEWNET, || {
            // SAFETY: this thread is in the clone's network, and whatever descriptors come are owned at once.
            unsafe {
                net::raise_loopback().map_err(failed)?;
                if let Some(lease) = &network.lease {
                    net::join(lease.outbound(), network.routes).map_err(failed)?;
                }
                let open = |port: &u16| {
                    Ok(TcpListener::from(OwnedFd::from_raw_fd(net::open_listener(*port).map_err(failed)?)))
                };
                network.listen.iter().map(open).collect()
            }
        })
    }
}

fn enter(namespace: RawFd, kind: libc::c_int) -> io::Result<()> {
    // SAFETY: no memory is passed; only this thread's namespace changes, as its working directory is its own.
    check(unsafe { libc::setns(namespace, kind) }.into()).map(drop)
}

fn check(result: libc::c_long) -> io::Result<libc::c_long> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

fn take_all(steps: &[Step], pid_namespace: &OwnedFd) -> io::Result<()> {
    let nothing = Root::default();
    for step in steps {
        if let Step::Proc = step {
            mount_proc(pid_namespace)?;
        } else {
            // SAFETY: the steps own their strings, and none of them attaches a source.
            unsafe { mounts::take(step, &nothing) }.map_err(|_| io::Error::last_os_error())?;
        }
    }
    Ok(())
}

/// The `/proc` of another pid namespace; Linux 6.17 and later.
fn mount_proc(pid_namespace: &OwnedFd) -> io::Result<()> {
    const FSOPEN_CLOEXEC: libc::c_int = 1;
    const FSMOUNT_CLOEXEC: libc::c_int = 1;
    const SET_FD: libc::c_int = 5;
    const CREATE: libc::c_int = 6;
    let none = std::ptr::null::<libc::c_char>();
    let attributes = sys::MOUNT_NOSUID | sys::MOUNT_NODEV | sys::MOUNT_NOEXEC;
    // SAFETY: all strings are static, and descriptors that the kernel makes are owned at once.
    unsafe {
        let context = check(libc::syscall(libc::SYS_fsopen, c"proc".as_ptr(), FSOPEN_CLOEXEC))?;
        let context = OwnedFd::from_raw_fd(context as RawFd);
        let fd = context.as_raw_fd();
        let pidns = c"pidns".as_ptr();
        check(libc::syscall(libc::SYS_fsconfig, fd, SET_FD, pidns, none, pid_namespace.as_raw_fd()))?;
        check(libc::syscall(libc::SYS_fsconfig, fd, CREATE, none, none, 0))?;
        let mount = check(libc::syscall(libc::SYS_fsmount, fd, FSMOUNT_CLOEXEC, attributes))?;
        let mount = OwnedFd::from_raw_fd(mount as RawFd);
        let (place, flags) = (c"/proc".as_ptr(), sys::MOVE_MOUNT_F_EMPTY_PATH);
        check(libc::syscall(libc::SYS_move_mount, mount.as_raw_fd(), c"".as_ptr(), libc::AT_FDCWD, place, flags))?;
    }
    Ok(())
}

/// Whether this kernel can mount another namespace's `/proc`, which clones need.
pub(crate) fn is_possible() -> bool {
    const CREATE_NOTHING: libc::c_int = 1;
    // SAFETY: strings are static; the descriptor is owned at once.
    unsafe {
        let Ok(context) = check(libc::syscall(libc::SYS_fsopen, c"proc".as_ptr(), CREATE_NOTHING)) else {
            return false;
        };
        let context = OwnedFd::from_raw_fd(context as RawFd);
        let Ok(own) = std::fs::File::open("/proc/self/ns/pid") else { return false };
        let none = std::ptr::null::<libc::c_char>();
        libc::syscall(libc::SYS_fsconfig, context.as_raw_fd(), 5, c"pidns".as_ptr(), none, own.as_raw_fd()) == 0
    }
}

/// Makes one clone, which then waits for its first frame. `written`: the memory that it will write.
pub(crate) fn make(
    visitor: &Visitor,
    template: &Template,
    group: Option<Group>,
    filter: &[Instruction],
    written: &[Range<u64>],
    network: Option<OwnNetwork<'_>>,
) -> Result<Clone, LaunchError> {
    let (stdout, stdout_clone) = sys::pipe().map_err(failed("making a pipe"))?;
    let (stderr, stderr_clone) = sys::pipe().map_err(failed("making a pipe"))?;
    let (mut channel, channel_clone) = UnixStream::pair().map_err(failed("making a channel"))?;
    let mut passed = vec![channel_clone.as_raw_fd(), stdout_clone.as_raw_fd(), stderr_clone.as_raw_fd()];
    passed.extend(group.iter().flat_map(Group::join_fds));
    let pidfd = {
        let control = template.control.lock().unwrap_or_else(PoisonError::into_inner);
        let flags = if network.is_some() { OWN_NETWORK } else { 0 };
        command(&control, &passed, flags, filter, written).map_err(failed("telling the template to clone itself"))?
    };
    drop((channel_clone, stdout_clone, stderr_clone));
    let pid = pid_of(&pidfd).map_err(failed("looking at the clone"))?;
    let mut process = Process::new(pid, pidfd, group, false);
    confirm(template, pid, network.is_some()).map_err(failed("looking at the clone"))?;
    if let Some(group) = &mut process.group {
        group.take_in(pid).map_err(failed("moving the clone into its control group"))?;
        group.started();
    }
    let mut listeners = Vec::new();
    if let Some(mut network) = network {
        let connecting = || failed("connecting the clone's network");
        if let Some(lease) = &mut network.lease {
            lease.connect(pid).map_err(connecting())?;
        }
        listeners = visitor.connect(&process.pidfd, &network).map_err(connecting())?;
        process.lease = network.lease;
    }
    visitor.mount(&process.pidfd, pid, &template.steps).map_err(failed("mounting /tmp and /proc for the clone"))?;
    channel.write_all(b"g").map_err(failed("letting the clone go"))?;
    Ok(Clone { process, channel, stdout, stderr, listeners })
}

/// One command, and the descriptor of the process that came of it.
fn command(
    control: &UnixStream,
    passed: &[RawFd],
    flags: u32,
    filter: &[Instruction],
    written: &[Range<u64>],
) -> io::Result<OwnedFd> {
    let mut bytes = Vec::with_capacity(16 + 8 * filter.len() + 16 * written.len());
    for number in [MAGIC, flags, filter.len() as u32, written.len() as u32] {
        bytes.extend(number.to_le_bytes());
    }
    for Instruction { code, jt, jf, k } in filter {
        bytes.extend(code.to_le_bytes());
        bytes.extend([*jt, *jf]);
        bytes.extend(k.to_le_bytes());
    }
    for Range { start, end } in written {
        bytes.extend(start.to_le_bytes());
        bytes.extend(end.to_le_bytes());
    }
    let ended = |error: io::Error| match error.kind() {
        io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => io::Error::other("the template has ended"),
        _ => error,
    };
    let sent = sys::send(control, IoSlice::new(&bytes), passed).map_err(ended)?;
    let mut rest = control;
    rest.write_all(&bytes[sent..]).map_err(ended)?;
    let (reply, mut descriptors) = sys::receive(std::os::fd::AsFd::as_fd(control)).map_err(ended)?;
    let number = reply.first_chunk::<4>().map(|bytes| i32::from_le_bytes(*bytes));
    match (number, descriptors.len()) {
        (Some(1..), 1) => descriptors.pop().ok_or_else(|| io::Error::other("no descriptor")),
        (Some(error @ ..=0), _) => Err(io::Error::from_raw_os_error(error.saturating_neg())),
        (Some(_), _) => Err(io::Error::other("the template answered without its clone")),
        (None, _) => Err(io::Error::other("the template has ended")),
    }
}

/// The number on the host of the process behind a pidfd, from the kernel.
fn pid_of(pidfd: &OwnedFd) -> io::Result<i32> {
    let text = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", pidfd.as_raw_fd()))?;
    text.lines()
        .find_map(|line| line.strip_prefix("Pid:"))
        .and_then(|number| number.trim().parse().ok())
        .filter(|pid| *pid > 0)
        .ok_or_else(|| io::Error::other("the clone has ended, or is no process"))
}

/// A template could pass any process it can name. Only one of its own user namespace, with mounts of its own, is a clone; and
/// one without a network of its own is the one that shares the template's.
fn confirm(template: &Template, pid: i32, has_own_network: bool) -> io::Result<()> {
    let is_clone = namespace(pid, "user")? == template.user_namespace
        && namespace(pid, "mnt")? != template.mount_namespace
        && (namespace(pid, "net")? != template.network_namespace) == has_own_network
        && pid != template.process.pid;
    if is_clone { Ok(()) } else { Err(io::Error::other("the template answered with a process that is no clone")) }
}
