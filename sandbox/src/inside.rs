//! Connections from the host to ports of an instance's own loopback, which nothing leads to from outside: a short-lived
//! process enters the instance's network, connects, and hands the connection back. Works for every instance, whoever the
//! platform runs as.
#![allow(unsafe_code)]

use std::io;
use std::net::TcpStream;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use crate::sys;

/// How long the connecting may take.
const CONNECT_S: libc::time_t = 2;

/// Connects to `port` of 127.0.0.1 in the network of the process; blocks for as long as that takes.
///
/// # Errors
/// When nobody listens there, the process is gone, or its namespaces cannot be entered.
pub(crate) fn connect(pidfd: BorrowedFd<'_>, port: u16) -> io::Result<TcpStream> {
    let (ours, theirs) = sys::packet_pair()?;
    let mut into: libc::c_int = -1;
    // SAFETY: without CLONE_VM the child has its own copy of this thread's stack; it makes system calls on locals only
    // and leaves by `_exit`. Signals are blocked so that no handler runs in it. std can enter no namespace in a child
    // without running code of its own there first.
    let child = unsafe {
        let mut all: libc::sigset_t = std::mem::zeroed();
        let mut before: libc::sigset_t = std::mem::zeroed();
        libc::sigfillset(&mut all);
        libc::pthread_sigmask(libc::SIG_SETMASK, &all, &mut before);
        let flags = libc::CLONE_PIDFD as u64;
        let mut arguments = sys::CloneArgs {
            flags,
            pidfd: (&raw mut into) as u64,
            exit_signal: libc::SIGCHLD as u64,
            ..sys::CloneArgs::default()
        };
        let pid = libc::syscall(libc::SYS_clone3, &raw mut arguments, size_of::<sys::CloneArgs>());
        if pid == 0 {
            visit(pidfd.as_raw_fd(), theirs.as_raw_fd(), port);
        }
        let error = io::Error::last_os_error();
        libc::pthread_sigmask(libc::SIG_SETMASK, &before, std::ptr::null_mut());
        if pid < 0 {
            return Err(error);
        }
        <OwnedFd as std::os::fd::FromRawFd>::from_raw_fd(into)
    };
    drop(theirs);
    let received = sys::receive(ours.as_fd());
    // It has sent all it has to send, or is about to be gone.
    sys::pidfd_exit(child.as_fd(), true, true)?;
    let (record, descriptors) = received?;
    match (record.as_slice(), descriptors.into_iter().next()) {
        ([b'C', ..], Some(connection)) => Ok(TcpStream::from(connection)),
        ([b'E', a, b, c, d], _) => Err(io::Error::from_raw_os_error(i32::from_le_bytes([*a, *b, *c, *d]))),
        _ => Err(io::Error::other("the visit to the instance's network failed")),
    }
}

/// What the short-lived process does; never returns.
///
/// # Safety
/// Only in a process that has just been cloned.
unsafe fn visit(pidfd: RawFd, answer: RawFd, port: u16) -> ! {
    // SAFETY: only system calls, on locals of the sizes that are passed.
    unsafe {
        let socket = reach(pidfd, port);
        if socket < 0 {
            let mut report = [b'E', 0, 0, 0, 0];
            report[1..].copy_from_slice(&(*libc::__errno_location()).to_le_bytes());
            libc::send(answer, report.as_ptr().cast(), report.len(), libc::MSG_NOSIGNAL);
            libc::_exit(1);
        }
        let mut control = [0u64; 4];
        let mut byte = b'C';
        let mut vector = libc::iovec { iov_base: (&raw mut byte).cast(), iov_len: 1 };
        let mut message: libc::msghdr = std::mem::zeroed();
        message.msg_iov = &mut vector;
        message.msg_iovlen = 1;
        message.msg_control = control.as_mut_ptr().cast();
        message.msg_controllen = libc::CMSG_SPACE(size_of::<RawFd>() as u32) as _;
        let header = libc::CMSG_FIRSTHDR(&message);
        (*header).cmsg_level = libc::SOL_SOCKET;
        (*header).cmsg_type = libc::SCM_RIGHTS;
        (*header).cmsg_len = libc::CMSG_LEN(size_of::<RawFd>() as u32) as _;
        libc::CMSG_DATA(header).cast::<RawFd>().write_unaligned(socket);
        libc::sendmsg(answer, &message, libc::MSG_NOSIGNAL);
        libc::_exit(0);
    }
}

/// A connected socket, or -1.
unsafe fn reach(pidfd: RawFd, port: u16) -> RawFd {
    // SAFETY: as for `visit`.
    unsafe {
        // The user namespace first: who owns the network may enter it.
        if libc::syscall(libc::SYS_setns, pidfd, libc::CLONE_NEWUSER | libc::CLONE_NEWNET) < 0 {
            return -1;
        }
        let socket = libc::socket(libc::AF_INET, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, 0);
        if socket < 0 {
            return -1;
        }
        let limit = libc::timeval { tv_sec: CONNECT_S, tv_usec: 0 };
        libc::setsockopt(
            socket,
            libc::SOL_SOCKET,
            libc::SO_SNDTIMEO,
            (&raw const limit).cast(),
            size_of::<libc::timeval>() as libc::socklen_t,
        );
        let mut address: libc::sockaddr_in = std::mem::zeroed();
        address.sin_family = libc::AF_INET as libc::sa_family_t;
        address.sin_port = port.to_be();
        address.sin_addr.s_addr = u32::to_be(0x7f00_0001);
        let length = size_of::<libc::sockaddr_in>() as libc::socklen_t;
        if libc::connect(socket, (&raw const address).cast(), length) < 0 {
            return -1;
        }
        let none = libc::timeval { tv_sec: 0, tv_usec: 0 };
        libc::setsockopt(
            socket,
            libc::SOL_SOCKET,
            libc::SO_SNDTIMEO,
            (&raw const none).cast(),
            size_of::<libc::timeval>() as libc::socklen_t,
        );
        socket
    }
}
