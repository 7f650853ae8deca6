//! Instances as clones of live templates, host's side: tells a parked template to clone itself, puts the clone into its
//! control group, mounts its `/tmp` and `/proc`, sets up its network where it has one of its own, and lets it go. The template has
//! run the function's code and is believed nothing: what it answers is looked up in the kernel. Which functions have templates is
//! decided in `templates`.

use std::io::{self, IoSlice, Write};
use std::net::TcpListener;
use std::ops::Range;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::cgroup::Group;
use crate::child::Route;
use crate::launch::{LaunchError, failed};
use crate::network::Lease;
use crate::process::Process;
use crate::root::Step;
use crate::seccomp::Instruction;
use crate::sys;
use crate::visitor::Visitor;

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
