//! System calls that neither std nor tokio wrap, as safe functions of the host's side.
//! What runs between clone and exec is in `child`; no policy is decided here.
#![allow(unsafe_code)]

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::sync::Arc;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// The kernel's `struct mount_attr`.
#[repr(C)]
pub(crate) struct MountAttr {
    pub set: u64,
    pub clear: u64,
    pub propagation: u64,
    pub userns_fd: u64,
}

pub(crate) const MOUNT_RDONLY: u64 = 0x1;
pub(crate) const MOUNT_NOSUID: u64 = 0x2;
pub(crate) const MOUNT_NODEV: u64 = 0x4;
pub(crate) const MOUNT_NOEXEC: u64 = 0x8;
pub(crate) const OPEN_TREE_CLONE: libc::c_uint = 0x1;
pub(crate) const MOVE_MOUNT_F_EMPTY_PATH: libc::c_uint = 0x4;

/// The kernel's `struct clone_args`, second version with `cgroup`.
#[repr(C, align(8))]
#[derive(Default)]
pub(crate) struct CloneArgs {
    pub flags: u64,
    pub pidfd: u64,
    pub child_tid: u64,
    pub parent_tid: u64,
    pub exit_signal: u64,
    pub stack: u64,
    pub stack_size: u64,
    pub tls: u64,
    pub set_tid: u64,
    pub set_tid_size: u64,
    pub cgroup: u64,
}

/// The end of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    Code(i32),
    Signal(i32),
    /// Somehow: it is not this process's child, and the kernel too old to say.
    Unknown,
}

fn check(result: libc::c_long) -> io::Result<libc::c_long> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

fn owned(result: libc::c_long) -> io::Result<OwnedFd> {
    let fd = check(result)? as RawFd;
    // SAFETY: the kernel has just made this descriptor for us; nothing else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// A detached copy of the mount at `path`, private, with `attributes` (`MOUNT_*`) set. Needs the privilege to mount.
pub(crate) fn open_tree(path: &CStr, recursive: bool, attributes: u64) -> io::Result<OwnedFd> {
    let recursive = if recursive { libc::AT_RECURSIVE as libc::c_uint } else { 0 };
    let flags = OPEN_TREE_CLONE | libc::O_CLOEXEC as libc::c_uint | recursive;
    // SAFETY: `path` is a valid C string; open_tree writes no memory.
    let tree = owned(unsafe { libc::syscall(libc::SYS_open_tree, libc::AT_FDCWD, path.as_ptr(), flags) })?;
    let attr = MountAttr { set: attributes, clear: 0, propagation: libc::MS_PRIVATE, userns_fd: 0 };
    // SAFETY: `attr` lives across the call and its true size is passed; the path is the empty C string.
    check(unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            tree.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH as libc::c_uint | recursive,
            &attr,
            size_of::<MountAttr>(),
        )
    })?;
    Ok(tree)
}

/// A connected pair of packet sockets: record borders are kept, and the end of the peer is seen.
pub(crate) fn packet_pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let mut fds = [0; 2];
    // SAFETY: `fds` has room for two descriptors.
    check(
        unsafe { libc::socketpair(libc::AF_UNIX, libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC, 0, fds.as_mut_ptr()) }
            .into(),
    )?;
    // SAFETY: both descriptors are new and owned by nothing else.
    Ok(unsafe { (OwnedFd::from_raw_fd(fds[0]), OwnedFd::from_raw_fd(fds[1])) })
}

/// A pipe: reading end, writing end; both close on exec.
pub(crate) fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let mut fds = [0; 2];
    // SAFETY: `fds` has room for two descriptors.
    check(unsafe { libc::pipe2(fds.as_mut_ptr(), libc::O_CLOEXEC) }.into())?;
    // SAFETY: both descriptors are new and owned by nothing else.
    Ok(unsafe { (OwnedFd::from_raw_fd(fds[0]), OwnedFd::from_raw_fd(fds[1])) })
}

/// One record from the child with the descriptors that came along; an empty record when the child has closed its end.
pub(crate) fn receive(socket: BorrowedFd<'_>) -> io::Result<(Vec<u8>, Vec<OwnedFd>)> {
    let mut bytes = [0u8; 64];
    let mut control = [0u64; 16];
    let mut io_vec = libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: bytes.len() };
    // SAFETY: an all-zero msghdr is a valid one.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = &mut io_vec;
    message.msg_iovlen = 1;
    message.msg_control = control.as_mut_ptr().cast();
    message.msg_controllen = size_of_val(&control) as _;
    let received = loop {
        // SAFETY: every pointer in `message` is to a live local of the stated length.
        let result = unsafe { libc::recvmsg(socket.as_raw_fd(), &mut message, libc::MSG_CMSG_CLOEXEC) };
        match check(result as libc::c_long) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            other => break other? as usize,
        }
    };
    let mut descriptors = Vec::new();
    // SAFETY: the CMSG macros walk the control buffer that recvmsg has just filled, within `msg_controllen`; each
    // SCM_RIGHTS entry holds descriptors that the kernel made for us.
    unsafe {
        let mut header = libc::CMSG_FIRSTHDR(&message);
        while !header.is_null() {
            if (*header).cmsg_level == libc::SOL_SOCKET && (*header).cmsg_type == libc::SCM_RIGHTS {
                let length = (*header).cmsg_len as usize - libc::CMSG_LEN(0) as usize;
                let data = libc::CMSG_DATA(header).cast::<RawFd>();
                for index in 0..length / size_of::<RawFd>() {
                    descriptors.push(OwnedFd::from_raw_fd(data.add(index).read_unaligned()));
                }
            }
            header = libc::CMSG_NXTHDR(&message, header);
        }
    }
    Ok((bytes[..received].to_vec(), descriptors))
}

/// Passed with one message.
const DESCRIPTORS_MAX: usize = 100;

/// Sends bytes with descriptors; how many bytes went.
pub(crate) fn send(socket: &impl AsRawFd, bytes: io::IoSlice<'_>, descriptors: &[RawFd]) -> io::Result<usize> {
    let mut control = [0u64; DESCRIPTORS_MAX / 2 + 2];
    let data_bytes = size_of_val(descriptors) as libc::c_uint;
    // SAFETY: an all-zero msghdr is a valid one; an IoSlice has the layout of iovec; the control buffer, aligned for its
    // header, is asserted to have room for the descriptors that are copied into it.
    unsafe {
        assert!(libc::CMSG_SPACE(data_bytes) as usize <= size_of_val(&control), "few descriptors are passed");
        let mut message: libc::msghdr = std::mem::zeroed();
        message.msg_iov = (&raw const bytes).cast_mut().cast();
        message.msg_iovlen = 1;
        message.msg_control = control.as_mut_ptr().cast();
        message.msg_controllen = libc::CMSG_SPACE(data_bytes) as _;
        let header = libc::CMSG_FIRSTHDR(&message);
        (*header).cmsg_level = libc::SOL_SOCKET;
        (*header).cmsg_type = libc::SCM_RIGHTS;
        (*header).cmsg_len = libc::CMSG_LEN(data_bytes) as _;
        std::ptr::copy_nonoverlapping(descriptors.as_ptr().cast(), libc::CMSG_DATA(header), data_bytes as usize);
        check(libc::sendmsg(socket.as_raw_fd(), &message, libc::MSG_NOSIGNAL) as libc::c_long).map(|sent| sent as usize)
    }
}

/// How a process that is not our child ended, once it has and its parent has taken notice. Linux says so since 6.15.
pub(crate) fn pidfd_exit_of_other(pidfd: BorrowedFd<'_>) -> io::Result<Option<Exit>> {
    /// The kernel's `struct pidfd_info`, first version.
    #[repr(C)]
    #[derive(Default)]
    struct Info {
        mask: u64,
        cgroup: u64,
        pids: [u32; 3],
        ids: [u32; 8],
        exit_code: i32,
    }
    const PIDFD_INFO_EXIT: u64 = 1 << 3;
    const PIDFD_GET_INFO: libc::c_ulong = 0xc040_ff0b;
    const { assert!(size_of::<Info>() == 64) };
    let mut info = Info { mask: PIDFD_INFO_EXIT, ..Info::default() };
    // SAFETY: `info` has the size that is part of the request's number, and outlives the call.
    match check(unsafe { libc::ioctl(pidfd.as_raw_fd(), PIDFD_GET_INFO, &raw mut info) }.into()) {
        Ok(_) => {}
        // Without the request; with it, but for those only who are still there.
        Err(error) if matches!(error.raw_os_error(), Some(libc::ENOTTY | libc::EINVAL | libc::ESRCH)) => {
            return Ok(Some(Exit::Unknown));
        }
        Err(error) => return Err(error),
    }
    if info.mask & PIDFD_INFO_EXIT == 0 {
        return Ok(None);
    }
    let status = info.exit_code;
    Ok(Some(if libc::WIFEXITED(status) {
        Exit::Code(libc::WEXITSTATUS(status))
    } else {
        Exit::Signal(libc::WTERMSIG(status))
    }))
}

/// Waits until the descriptor can be read; whether that came to be in time.
pub(crate) fn wait_readable(fd: BorrowedFd<'_>, limit_ms: i32) -> bool {
    let mut poll = libc::pollfd { fd: fd.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    // SAFETY: one live pollfd.
    unsafe { libc::poll(&mut poll, 1, limit_ms) > 0 }
}

/// Sends a signal to the process behind a pidfd; no error when it is gone.
pub(crate) fn pidfd_signal(pidfd: BorrowedFd<'_>, signal: libc::c_int) {
    // SAFETY: no memory is passed. The only failure is that the process is gone, which is what callers want.
    unsafe {
        libc::syscall(libc::SYS_pidfd_send_signal, pidfd.as_raw_fd(), signal, std::ptr::null::<libc::siginfo_t>(), 0);
    }
}

/// A pidfd of a process that is not our child.
pub(crate) fn pidfd_open(pid: i32) -> io::Result<OwnedFd> {
    // SAFETY: no memory is passed.
    owned(unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) })
}

/// Looks at how a child ended. `wait` blocks until it has; `reap` takes it out of the process table.
pub(crate) fn pidfd_exit(pidfd: BorrowedFd<'_>, wait: bool, reap: bool) -> io::Result<Option<Exit>> {
    let mut options = libc::WEXITED;
    if !wait {
        options |= libc::WNOHANG;
    }
    if !reap {
        options |= libc::WNOWAIT;
    }
    loop {
        // SAFETY: an all-zero siginfo_t is a valid one, and waitid fills it.
        let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
        // SAFETY: `info` lives across the call.
        let result = unsafe { libc::waitid(libc::P_PIDFD, pidfd.as_raw_fd() as libc::id_t, &mut info, options) };
        match check(result.into()) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
            Ok(_) => {}
        }
        // SAFETY: waitid filled these fields, or left them zero when nothing has ended.
        let (pid, status) = unsafe { (info.si_pid(), info.si_status()) };
        return Ok(match (pid, info.si_code) {
            (0, _) => None,
            (_, libc::CLD_EXITED) => Some(Exit::Code(status)),
            _ => Some(Exit::Signal(status)),
        });
    }
}

/// Whether the descriptor can be read now: of a pidfd, whether its process has ended.
pub(crate) fn is_readable(fd: BorrowedFd<'_>) -> bool {
    let mut poll = libc::pollfd { fd: fd.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    // SAFETY: one live pollfd and no waiting.
    unsafe { libc::poll(&mut poll, 1, 0) > 0 }
}

/// Lets the async runtime wait until the descriptor can be read.
pub(crate) fn watch(fd: Arc<OwnedFd>) -> io::Result<AsyncFd<Arc<OwnedFd>>> {
    // SAFETY: what is returned holds the descriptor, so it stays open for as long as it is registered.
    unsafe { AsyncFd::register_with_interest(fd, Interest::READABLE) }.map_err(|error| error.into_parts().1)
}

pub(crate) fn effective_ids() -> (u32, u32) {
    // SAFETY: these always succeed.
    unsafe { (libc::geteuid(), libc::getegid()) }
}

/// Whether the kernel refuses a call for any other reason than not having it.
pub(crate) fn has_syscall(number: libc::c_long) -> bool {
    // SAFETY: -1 and null are no valid arguments of any call this is used for, so that it does nothing.
    let result = unsafe { libc::syscall(number, -1i64, 0i64, -1i64, 0i64, 0i64, 0i64) };
    result >= 0 || io::Error::last_os_error().raw_os_error() != Some(libc::ENOSYS)
}

/// Lets a command keep descriptors that close on exec in this process.
pub(crate) fn inherit(command: &mut std::process::Command, descriptors: [RawFd; 2]) {
    use std::os::unix::process::CommandExt;
    let keep = move || {
        for descriptor in descriptors {
            // SAFETY: clears a flag of a descriptor that is open here; what is not open is an error, not undefined.
            check(unsafe { libc::fcntl(descriptor, libc::F_SETFD, 0) }.into())?;
        }
        Ok(())
    };
    // SAFETY: `keep` makes system calls only and allocates nothing. Command itself cannot pass descriptors on.
    unsafe { command.pre_exec(keep) };
}

/// IPv4 addresses of this network namespace's interfaces, the loopback's left out.
pub(crate) fn own_addresses() -> io::Result<Vec<std::net::Ipv4Addr>> {
    let mut first: *mut libc::ifaddrs = std::ptr::null_mut();
    // SAFETY: on success `first` is a list that is ours until freed; its entries are valid, and an address of family
    // AF_INET is a sockaddr_in, which may lie unaligned.
    unsafe {
        check(libc::getifaddrs(&raw mut first).into())?;
        let mut addresses = Vec::new();
        let mut entry = first;
        while let Some(interface) = entry.as_ref() {
            if let Some(address) = interface.ifa_addr.as_ref()
                && i32::from(address.sa_family) == libc::AF_INET
            {
                let address = interface.ifa_addr.cast::<libc::sockaddr_in>().read_unaligned();
                addresses.push(std::net::Ipv4Addr::from(u32::from_be(address.sin_addr.s_addr)));
            }
            entry = interface.ifa_next;
        }
        libc::freeifaddrs(first);
        addresses.retain(|address| !address.is_loopback());
        Ok(addresses)
    }
}

/// A socket of rtnetlink(7), of this thread's network namespace.
pub(crate) fn route_socket() -> io::Result<OwnedFd> {
    let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC;
    // SAFETY: passes numbers, and an address of the size that is passed. All zeros but the family, it is the kernel's.
    unsafe {
        let socket = owned(libc::socket(libc::AF_NETLINK, kind, libc::NETLINK_ROUTE).into())?;
        let mut kernel: libc::sockaddr_nl = std::mem::zeroed();
        kernel.nl_family = libc::AF_NETLINK as libc::sa_family_t;
        let length = size_of::<libc::sockaddr_nl>() as libc::socklen_t;
        check(libc::connect(socket.as_raw_fd(), (&raw const kernel).cast(), length).into())?;
        Ok(socket)
    }
}

/// Puts the calling thread into a new network namespace, for good.
pub(crate) fn enter_new_network() -> io::Result<()> {
    // SAFETY: changes nothing but which network this thread sees.
    check(unsafe { libc::unshare(libc::CLONE_NEWNET) }.into()).map(drop)
}

/// The index of an interface of this thread's network namespace, if it has one of that name.
pub(crate) fn interface_index(name: &str) -> Option<u32> {
    let name = std::ffi::CString::new(name).ok()?;
    // SAFETY: `name` is a valid C string and outlives the call.
    let index = unsafe { libc::if_nametoindex(name.as_ptr()) };
    (index > 0).then_some(index)
}

/// Bytes of a page of memory.
pub(crate) fn page_bytes() -> u64 {
    static BYTES: std::sync::OnceLock<u64> = std::sync::OnceLock::new();
    // SAFETY: asks for a number.
    *BYTES.get_or_init(|| u64::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(4096))
}
