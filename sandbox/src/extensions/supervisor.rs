//! The host's end of the first process of an instance that is more than one (`runtimes/init/init.c`): has processes
//! started, signalled, and hears how they ended.

use std::io::{self, IoSlice};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream as StdUnixStream;

use tokio::io::AsyncReadExt;
use tokio::net::UnixStream;

use crate::sys::{self, Exit};

/// The runtime's place among the processes.
pub(crate) const RUNTIME: u8 = 0;

/// Has processes started and signalled.
pub(crate) struct Supervisor {
    control: StdUnixStream,
}

/// Hears of ends.
pub(crate) struct Ends {
    control: UnixStream,
}

/// What is to be started.
pub(crate) struct Start<'a> {
    pub slot: u8,
    pub argv: &'a [String],
    /// Variables of the first process's environment that it shall not have.
    pub unset: &'a [&'a str],
    pub stdout: OwnedFd,
    pub stderr: OwnedFd,
    /// Its descriptor 3.
    pub channel: Option<OwnedFd>,
}

/// Both halves of the host's end. Must be called inside a tokio runtime.
pub(crate) fn split(control: OwnedFd) -> io::Result<(Supervisor, Ends)> {
    let control = StdUnixStream::from(control);
    control.set_nonblocking(true)?;
    let ends = UnixStream::from_std(control.try_clone()?)?;
    Ok((Supervisor { control }, Ends { control: ends }))
}

impl Supervisor {
    pub(crate) fn start(&self, start: Start<'_>) -> io::Result<()> {
        let count = u8::try_from(start.argv.len()).map_err(|_| io::Error::other("too many arguments"))?;
        let mut record = vec![b'S', start.slot, count];
        for text in start.argv.iter().map(String::as_str).chain(start.unset.iter().copied()) {
            if text.contains('\0') {
                return Err(io::Error::other("an argument contains a zero byte"));
            }
            record.extend_from_slice(text.as_bytes());
            record.push(0);
        }
        let descriptors = [Some(&start.stdout), Some(&start.stderr), start.channel.as_ref()].into_iter().flatten();
        let numbers: Vec<_> = descriptors.map(AsRawFd::as_raw_fd).collect();
        let sent = sys::send(&self.control, IoSlice::new(&record), &numbers)?;
        if sent == record.len() { Ok(()) } else { Err(io::Error::other("a record was cut")) }
    }

    /// No error when the process, or all of them, are gone.
    pub(crate) fn signal(&self, slot: u8, signal: libc::c_int) {
        let record = [b'K', slot, signal as u8];
        if let Err(error) = sys::send(&self.control, IoSlice::new(&record), &[]) {
            tracing::debug!("signalling a process of an instance: {error}");
        }
    }
}

impl Ends {
    /// The next process that ended; `None` when there will be no more.
    pub(crate) async fn next(&mut self) -> Option<(u8, Exit)> {
        let mut record = [0; 16];
        // Records keep their borders, so that one read is one of them.
        match self.control.read(&mut record).await {
            Ok(6) if record[0] == b'X' => {
                let status = i32::from_le_bytes([record[2], record[3], record[4], record[5]]);
                let exit = if libc::WIFSIGNALED(status) {
                    Exit::Signal(libc::WTERMSIG(status))
                } else {
                    Exit::Code(libc::WEXITSTATUS(status))
                };
                Some((record[1], exit))
            }
            _ => None,
        }
    }
}
