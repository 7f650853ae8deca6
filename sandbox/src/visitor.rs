//! What the host does within the namespaces of a clone that waits to be let go: its mounts and its network.
#![allow(unsafe_code)]

use std::io;
use std::net::TcpListener;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::sync::OnceLock;

use crate::child::{STAGES, Stage, mounts, net};
use crate::clone::OwnNetwork;
use crate::root::{Root, Step};
use crate::sys;

/// A thread that enters the namespaces of clones, and comes back each time.
pub(crate) struct Visitor {
    mounts: OwnedFd,
    network: OwnedFd,
    processes: OwnedFd,
}

impl Visitor {
    /// Parts this thread's working directory from that of all others, without which the kernel lets it go nowhere.
    ///
    /// # Errors
    /// Without the privilege to enter other namespaces.
    pub(crate) fn new() -> io::Result<Visitor> {
        // SAFETY: changes nothing but what this thread shares with others.
        check(unsafe { libc::unshare(libc::CLONE_FS) }.into())?;
        let open = |kind: &str| std::fs::File::open(format!("/proc/thread-self/ns/{kind}")).map(OwnedFd::from);
        Ok(Visitor { mounts: open("mnt")?, network: open("net")?, processes: open("pid")? })
    }

    /// What `act` comes to in the process's namespace of that kind.
    fn at<T>(&self, pidfd: &OwnedFd, kind: libc::c_int, act: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        let home = match kind {
            libc::CLONE_NEWNS => &self.mounts,
            libc::CLONE_NEWPID => &self.processes,
            _ => &self.network,
        };
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
    pub(crate) fn mount(&self, pidfd: &OwnedFd, pid: i32, steps: &[Step]) -> io::Result<()> {
        let pid_namespace = if has_proc_of_others() {
            Some(OwnedFd::from(std::fs::File::open(format!("/proc/{pid}/ns/pid"))?))
        } else {
            None
        };
        let nothing = Root::default();
        self.at(pidfd, libc::CLONE_NEWNS, || {
            for step in steps {
                match (step, &pid_namespace) {
                    (Step::Proc, Some(pid_namespace)) => mount_proc_of(pid_namespace)?,
                    (Step::Proc, None) => self.at(pidfd, libc::CLONE_NEWPID, mount_proc_in_a_child)?,
                    // SAFETY: the steps own their strings, and none of them attaches a source.
                    _ => unsafe { mounts::take(step, &nothing) }.map_err(|_| io::Error::last_os_error())?,
                }
            }
            Ok(())
        })
    }

    /// Sets up the network of the process; its listeners.
    pub(crate) fn connect(&self, pidfd: &OwnedFd, network: &OwnNetwork<'_>) -> io::Result<Vec<TcpListener>> {
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

const FLAGS: libc::c_ulong = libc::MS_NOSUID | libc::MS_NODEV | libc::MS_NOEXEC;

/// The `/proc` of another pid namespace; Linux 6.17 and later.
fn mount_proc_of(pid_namespace: &OwnedFd) -> io::Result<()> {
    const FSMOUNT_CLOEXEC: libc::c_int = 1;
    const CREATE: libc::c_int = 6;
    let none = std::ptr::null::<libc::c_char>();
    let attributes = sys::MOUNT_NOSUID | sys::MOUNT_NODEV | sys::MOUNT_NOEXEC;
    let context = proc_context(pid_namespace)?;
    let fd = context.as_raw_fd();
    // SAFETY: all strings are static, and the descriptor that the kernel makes is owned at once.
    unsafe {
        check(libc::syscall(libc::SYS_fsconfig, fd, CREATE, none, none, 0))?;
        let mount = check(libc::syscall(libc::SYS_fsmount, fd, FSMOUNT_CLOEXEC, attributes))?;
        let mount = OwnedFd::from_raw_fd(mount as RawFd);
        let (place, flags) = (c"/proc".as_ptr(), sys::MOVE_MOUNT_F_EMPTY_PATH);
        check(libc::syscall(libc::SYS_move_mount, mount.as_raw_fd(), c"".as_ptr(), libc::AT_FDCWD, place, flags))?;
    }
    Ok(())
}

/// Of a `/proc` to be made.
fn proc_context(pid_namespace: &OwnedFd) -> io::Result<OwnedFd> {
    const FSOPEN_CLOEXEC: libc::c_int = 1;
    const SET_FD: libc::c_int = 5;
    // SAFETY: all strings are static, and the descriptor that the kernel makes is owned at once.
    unsafe {
        let context = check(libc::syscall(libc::SYS_fsopen, c"proc".as_ptr(), FSOPEN_CLOEXEC))?;
        let context = OwnedFd::from_raw_fd(context as RawFd);
        let (pidns, none) = (c"pidns".as_ptr(), std::ptr::null::<libc::c_char>());
        let namespace = pid_namespace.as_raw_fd();
        check(libc::syscall(libc::SYS_fsconfig, context.as_raw_fd(), SET_FD, pidns, none, namespace))?;
        Ok(context)
    }
}

/// Whether this kernel makes the `/proc` of any namespace it is shown.
fn has_proc_of_others() -> bool {
    static HAS: OnceLock<bool> = OnceLock::new();
    *HAS.get_or_init(|| {
        let own = std::fs::File::open("/proc/self/ns/pid").map(OwnedFd::from);
        own.and_then(|own| proc_context(&own)).is_ok()
    })
}

/// Older kernels take the namespace of who mounts: a process that shares this one's memory, but belongs where this thread's
/// children belong. It has ended when this returns. Whoever is in the namespace can do nothing to it: it is another user's, who
/// is root on the host; when the namespace ends under it, so does it.
fn mount_proc_in_a_child() -> io::Result<()> {
    extern "C" fn mount(_: *mut libc::c_void) -> libc::c_int {
        // SAFETY: strings are static; `errno` is that of the thread that waits for this process.
        unsafe {
            match libc::mount(c"proc".as_ptr(), c"/proc".as_ptr(), c"proc".as_ptr(), FLAGS, std::ptr::null()) {
                0 => 0,
                _ => *libc::__errno_location(),
            }
        }
    }
    let mut stack = vec![0u128; 1024];
    // SAFETY: this thread sleeps until the child, which makes one system call on a stack of its own, has ended; with all signals
    // blocked, none of the platform's handlers runs in it. Sets and status are locals that outlive their calls.
    unsafe {
        let mut all: libc::sigset_t = std::mem::zeroed();
        let mut before: libc::sigset_t = std::mem::zeroed();
        libc::sigfillset(&raw mut all);
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const all, &raw mut before);
        let top = stack.as_mut_ptr_range().end.cast();
        let child = check(libc::clone(mount, top, libc::CLONE_VM | libc::CLONE_VFORK, std::ptr::null_mut()).into());
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const before, std::ptr::null_mut());
        let child = child? as libc::pid_t;
        let mut status = 0;
        while check(libc::waitpid(child, &raw mut status, libc::__WALL).into())
            .is_err_and(|error| error.kind() == io::ErrorKind::Interrupted)
        {}
        match (libc::WIFEXITED(status), libc::WEXITSTATUS(status)) {
            (true, 0) => Ok(()),
            (true, code) => Err(io::Error::from_raw_os_error(code)),
            (false, _) => Err(io::Error::other("the clone has ended")),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::process::{Command, Stdio};

    /// What kernels before 6.17 need, on any.
    #[test]
    fn proc_is_mounted_from_within() {
        if sys::effective_ids().0 != 0 {
            eprintln!("skipped: only root enters namespaces");
            return;
        }
        // Without `--mount-proc`, its `/proc` is the host's.
        let mut command = Command::new("unshare");
        command.args(["--mount", "--pid", "--fork", "sh", "-c", "echo up; read line"]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut said = [0; 3];
        io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut said).unwrap();
        let children = std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", child.id())).unwrap();
        let pid: i32 = children.trim().parse().unwrap();
        let pidfd = sys::pidfd_open(pid).unwrap();
        let names = || {
            let entries = std::fs::read_dir(format!("/proc/{pid}/root/proc")).unwrap();
            let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
            names.filter(|name| name.parse::<u32>().is_ok()).collect::<Vec<_>>()
        };
        assert!(names().len() > 1, "the host's processes");
        std::thread::scope(|scope| {
            let visit = || {
                let visitor = Visitor::new().unwrap();
                let mount = || visitor.at(&pidfd, libc::CLONE_NEWPID, mount_proc_in_a_child);
                visitor.at(&pidfd, libc::CLONE_NEWNS, mount).unwrap();
                // It is home again: a child of this thread sees the host's processes.
                let own = Command::new("cat").arg(format!("/proc/{pid}/comm")).output().unwrap();
                assert_eq!(own.stdout, b"sh\n");
            };
            scope.spawn(visit).join().unwrap();
        });
        assert_eq!(names(), ["1"], "nobody but itself, as the child that mounted has ended");
        drop(child.stdin.take());
        child.wait().unwrap();
        let gone = std::thread::scope(|scope| {
            let visit = || Visitor::new().unwrap().at(&pidfd, libc::CLONE_NEWPID, mount_proc_in_a_child);
            scope.spawn(visit).join().unwrap()
        });
        assert!(gone.is_err());
    }
}
