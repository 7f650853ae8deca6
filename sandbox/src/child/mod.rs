//! What the new process does between clone and exec. It is a copy of one thread of a process with many: it may not
//! allocate, lock or panic, so everything it needs has been laid out by `launch`, and it only makes system calls.
//! Takes no decisions; the order of the steps is the order in which privileges are used up.
#![allow(unsafe_code)]

pub(crate) mod mounts;
pub(crate) mod net;

use std::ffi::{CStr, c_char, c_int};
use std::os::fd::RawFd;

use crate::root::Root;
use crate::seccomp::Instruction;

/// Listening sockets an instance may have the child open.
pub(crate) const LISTEN_MAX: usize = 4;
/// User and group inside; as in Lambda no root and no owner of any file.
pub(crate) const INNER_UID: u32 = 993;
pub(crate) const INNER_GID: u32 = 990;

const STATUS_FD: RawFd = 4;
/// How long a child waits for its platform's word; far longer than that takes.
const WAIT_MS_MAX: c_int = 30_000;
/// Above every descriptor number that the instance is given.
const PARK_FD: c_int = 64;

/// Everything the child needs, made before the clone.
pub(crate) struct Orders<'a> {
    pub root: &'a Root,
    pub directory: &'a CStr,
    pub argv: &'a [*const c_char],
    pub environment: &'a [*const c_char],
    pub status: RawFd,
    pub stdout: RawFd,
    pub stderr: RawFd,
    pub channel: Option<RawFd>,
    pub listen: &'a [u16],
    pub outbound: Option<Outbound>,
    pub routes: &'a [Route],
    /// `tasks` files of version 1 control groups.
    pub join: &'a [RawFd],
    pub filter: &'a [Instruction],
    pub files_max: u64,
    pub tasks_max: u64,
    pub drop_groups: bool,
    /// Keeps, in the function's own user namespace, the capability that making clones in namespaces takes.
    pub is_template: bool,
}

/// The instance's address and its way out, over an interface `eth0` that the platform has put there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outbound {
    pub address: std::net::Ipv4Addr,
    pub gateway: std::net::Ipv4Addr,
}

/// A route of the instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Route {
    pub to: std::net::Ipv4Addr,
    pub mask: std::net::Ipv4Addr,
    /// Leads nowhere instead of to the gateway.
    pub is_refused: bool,
}

impl Route {
    pub const EVERYWHERE: Route =
        Route { to: std::net::Ipv4Addr::UNSPECIFIED, mask: std::net::Ipv4Addr::UNSPECIFIED, is_refused: false };
}

/// Where the child failed; the position in [`STAGES`] goes over the status socket.
pub(crate) const STAGES: &[&str] = &[
    "waiting for the platform",
    "taking on the function's user",
    "joining the control group",
    "entering a control group namespace",
    "detaching from the host's mounts",
    "opening a directory of the host",
    "mounting the root",
    "building the root",
    "mounting /proc",
    "mounting /tmp",
    "masking /proc",
    "changing the root",
    "setting the host name",
    "raising the loopback interface",
    "setting up the way out",
    "opening a listener",
    "arranging descriptors",
    "setting resource limits",
    "dropping privileges",
    "entering the working directory",
    "tying the instance to the platform",
    "installing the system call filter",
    "executing the runtime",
];

#[derive(Clone, Copy)]
#[repr(u8)]
pub(crate) enum Stage {
    Wait,
    User,
    Join,
    GroupNamespace,
    Detach,
    Source,
    RootMount,
    RootBuild,
    Proc,
    Tmp,
    Mask,
    Pivot,
    HostName,
    Loopback,
    Outbound,
    Listen,
    Descriptors,
    Limits,
    Privileges,
    Directory,
    Death,
    Filter,
    Exec,
}

pub(crate) type Done = Result<(), Stage>;

fn need(result: libc::c_long, stage: Stage) -> Result<libc::c_long, Stage> {
    if result < 0 { Err(stage) } else { Ok(result) }
}

/// Runs the orders; never returns.
///
/// # Safety
/// Only in a process of one thread that has just been cloned, with all pointers in `orders` valid and the arrays
/// ending in null.
pub(crate) unsafe fn run(orders: &Orders<'_>) -> ! {
    // SAFETY: the caller's promise is passed on; every callee only makes system calls on memory laid out beforehand.
    unsafe {
        let mut status = orders.status;
        let stage = match steps(orders, &mut status) {
            Ok(()) => Stage::Exec,
            Err(stage) => stage,
        };
        let mut report = [0u8; 6];
        report[0] = b'E';
        report[1] = stage as u8;
        report[2..6].copy_from_slice(&(*libc::__errno_location()).to_le_bytes());
        libc::write(status, report.as_ptr().cast(), report.len());
        libc::_exit(127)
    }
}

unsafe fn steps(orders: &Orders<'_>, status: &mut RawFd) -> Done {
    // SAFETY: as promised to `run`.
    unsafe {
        wait_for_platform(*status)?;
        become_user(orders.drop_groups)?;
        join_groups(orders.join)?;
        mounts::build_root(orders.root)?;
        need(libc::sethostname(c"instance".as_ptr(), 8).into(), Stage::HostName)?;
        net::raise_loopback()?;
        if let Some(outbound) = orders.outbound {
            net::join(outbound, orders.routes)?;
        }
        net::open_listeners(orders.listen, *status)?;
        arrange_descriptors(orders, status)?;
        set_limits(orders)?;
        drop_privileges(orders.is_template)?;
        need(libc::chdir(orders.directory.as_ptr()).into(), Stage::Directory)?;
        tie_to_platform(*status)?;
        install_filter(orders.filter)?;
        reset_signals();
        let Some(program) = orders.argv.first() else {
            return Err(Stage::Exec);
        };
        libc::execve(*program, orders.argv.as_ptr(), orders.environment.as_ptr());
        Err(Stage::Exec)
    }
}

/// Until the platform has done its part. If that ends meanwhile, so does this: it holds copies of all of the platform's
/// descriptors, its port's among them, and of both ends of its own socket, so that it would wait for ever. Changing the
/// user takes the tie away again; until then the wait is the only step that may take time.
unsafe fn wait_for_platform(status: RawFd) -> Done {
    // SAFETY: one live pollfd, one byte of the stack.
    unsafe {
        need(libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL, 0, 0, 0).into(), Stage::Wait)?;
        // It may have ended before that.
        let mut poll = libc::pollfd { fd: status, events: libc::POLLIN, revents: 0 };
        let mut go = 0u8;
        if libc::poll(&mut poll, 1, WAIT_MS_MAX) != 1 || libc::read(status, (&raw mut go).cast(), 1) != 1 {
            return Err(Stage::Wait);
        }
    }
    Ok(())
}

unsafe fn become_user(drop_groups: bool) -> Done {
    // Raw calls: glibc's wrappers would wait for the threads that this copy does not have.
    // SAFETY: no memory is passed but a null list of length zero.
    unsafe {
        if drop_groups {
            need(libc::syscall(libc::SYS_setgroups, 0, std::ptr::null::<u32>()), Stage::User)?;
        }
        need(libc::syscall(libc::SYS_setresgid, INNER_GID, INNER_GID, INNER_GID), Stage::User)?;
        need(libc::syscall(libc::SYS_setresuid, INNER_UID, INNER_UID, INNER_UID), Stage::User)?;
    }
    Ok(())
}

/// Writing `0` moves the writer, which spares the kernel the lock over all processes that moving another one takes; that
/// lock can cost a grace period of several milliseconds.
unsafe fn join_groups(join: &[RawFd]) -> Done {
    // SAFETY: the descriptors are open in this copy of the platform; the buffer is static.
    unsafe {
        for fd in join {
            need(libc::write(*fd, c"0".as_ptr().cast(), 1) as libc::c_long, Stage::Join)?;
        }
        need(libc::unshare(libc::CLONE_NEWCGROUP).into(), Stage::GroupNamespace)?;
    }
    Ok(())
}

unsafe fn arrange_descriptors(orders: &Orders<'_>, status: &mut RawFd) -> Done {
    let stage = Stage::Descriptors;
    // SAFETY: only descriptors and a static string are passed.
    unsafe {
        let park = |fd: RawFd| -> Result<RawFd, Stage> {
            Ok(need(libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, PARK_FD).into(), stage)? as RawFd)
        };
        let stdin = need(libc::open(c"/dev/null".as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC).into(), stage)? as RawFd;
        let (stdin, stdout, stderr) = (park(stdin)?, park(orders.stdout)?, park(orders.stderr)?);
        let parked_status = park(*status)?;
        let channel = match orders.channel {
            Some(fd) => Some(park(fd)?),
            None => None,
        };
        *status = parked_status;
        for (from, to) in [(stdin, 0), (stdout, 1), (stderr, 2)] {
            need(libc::dup2(from, to).into(), stage)?;
        }
        match channel {
            Some(fd) => {
                need(libc::dup2(fd, 3).into(), stage)?;
            }
            None => {
                libc::close(3);
            }
        }
        need(libc::dup3(parked_status, STATUS_FD, libc::O_CLOEXEC).into(), stage)?;
        *status = STATUS_FD;
        need(libc::syscall(libc::SYS_close_range, STATUS_FD + 1, u32::MAX, 0), stage)?;
    }
    Ok(())
}

unsafe fn set_limits(orders: &Orders<'_>) -> Done {
    // SAFETY: each limit outlives its call.
    unsafe {
        for (resource, value) in [
            (libc::RLIMIT_CORE, 0),
            (libc::RLIMIT_NOFILE, orders.files_max),
            (libc::RLIMIT_NPROC, orders.tasks_max),
            (libc::RLIMIT_MSGQUEUE, 0),
            (libc::RLIMIT_MEMLOCK, 0),
        ] {
            let mut limit: libc::rlimit = std::mem::zeroed();
            libc::getrlimit(resource, &mut limit);
            limit.rlim_max = value.min(limit.rlim_max);
            limit.rlim_cur = limit.rlim_max;
            need(libc::setrlimit(resource, &limit).into(), Stage::Limits)?;
        }
    }
    Ok(())
}

/// The kernel's capability header and data, version 3.
#[repr(C)]
struct CapabilityHeader {
    version: u32,
    pid: i32,
}

const CAP_SYS_ADMIN: c_int = 21;

unsafe fn drop_privileges(is_template: bool) -> Done {
    // SAFETY: header and data have the layout of version 3 and outlive the call.
    unsafe {
        need(libc::setsid().into(), Stage::Privileges)?;
        need(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0).into(), Stage::Privileges)?;
        libc::prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
        // Ends with EINVAL at the first capability the kernel does not know.
        for capability in 0..64 {
            if is_template && capability == CAP_SYS_ADMIN {
                continue;
            }
            if libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0) < 0 {
                break;
            }
        }
        let header = CapabilityHeader { version: 0x2008_0522, pid: 0 };
        let mut data = [0u32; 6];
        if is_template {
            // Effective, permitted and inheritable of the lower half.
            data[..3].fill(1 << CAP_SYS_ADMIN);
        }
        need(libc::syscall(libc::SYS_capset, &raw const header, data.as_ptr()), Stage::Privileges)?;
        if is_template {
            let raise = libc::prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_RAISE, CAP_SYS_ADMIN, 0, 0);
            need(raise.into(), Stage::Privileges)?;
        }
    }
    Ok(())
}

/// Asks to be killed with the thread that made this process, and looks whether that has already happened.
unsafe fn tie_to_platform(status: RawFd) -> Done {
    // SAFETY: one live pollfd.
    unsafe {
        need(libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL, 0, 0, 0).into(), Stage::Death)?;
        let mut poll = libc::pollfd { fd: status, events: 0, revents: 0 };
        if libc::poll(&mut poll, 1, 0) > 0 && poll.revents & (libc::POLLHUP | libc::POLLERR) != 0 {
            return Err(Stage::Death);
        }
    }
    Ok(())
}

/// The kernel's `struct sock_fprog`.
#[repr(C)]
struct FilterProgram {
    length: u16,
    filter: *const Instruction,
}

unsafe fn install_filter(filter: &[Instruction]) -> Done {
    let program = FilterProgram { length: filter.len() as u16, filter: filter.as_ptr() };
    const SET_MODE_FILTER: c_int = 1;
    // SAFETY: the program points to `filter.len()` instructions in the kernel's layout.
    unsafe {
        need(libc::syscall(libc::SYS_seccomp, SET_MODE_FILTER, 0, &raw const program), Stage::Filter)?;
    }
    Ok(())
}

/// Ignored signals stay ignored over exec, and Rust ignores SIGPIPE; the launcher has blocked all of them.
unsafe fn reset_signals() {
    // The kernel's own structure: handler, flags, restorer and mask. The C library's function takes a lock (glibc 2.41), which
    // another thread may have held when this child was made, and nobody would give back.
    const DEFAULT: [u64; 4] = [0; 4];
    const MASK_BYTES: usize = 8;
    // SAFETY: setting a default action and an empty mask is always allowed; failures (KILL, STOP) change nothing.
    unsafe {
        for signal in 1..=libc::SIGRTMAX() {
            let nothing = std::ptr::null_mut::<u64>();
            libc::syscall(libc::SYS_rt_sigaction, signal, DEFAULT.as_ptr(), nothing, MASK_BYTES);
        }
        let mut none: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &none, std::ptr::null_mut());
    }
}
