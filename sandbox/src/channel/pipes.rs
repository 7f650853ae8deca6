//! Standard output and error of a process, read as lines into the log. Nothing printed is ever waited for.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::os::fd::OwnedFd;
use std::task::{Context, Poll, ready};

use cumulet_base::clock::{Clock, SystemClock};
use cumulet_base::limits;
use cumulet_engine::output::InvocationLog;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::net::unix::pipe;

const READ_BYTES: usize = 16 * 1024;
/// Reads from one pipe before other work gets its turn.
const READS_PER_TURN: usize = 16;
/// A pipe holds at most this much (`/proc/sys/fs/pipe-max-size`), so whatever was printed before the drain began is
/// found, and a process that prints without end cannot hold the host in the loop.
const DRAIN_BYTES_MAX: usize = 1024 * 1024 + READ_BYTES;

/// The reading ends of both pipes.
pub struct Pipes {
    stdout: Stream,
    stderr: Stream,
    buffer: Box<[u8]>,
}

struct Stream {
    /// `None` once the other end is closed.
    pipe: Option<AsyncFd<File>>,
    lines: Lines,
}

impl Pipes {
    pub fn new(stdout: OwnedFd, stderr: OwnedFd) -> std::io::Result<Pipes> {
        Ok(Pipes {
            stdout: Stream::new(stdout)?,
            stderr: Stream::new(stderr)?,
            buffer: vec![0; READ_BYTES].into_boxed_slice(),
        })
    }

    /// Of a seat: what a process prints is read for all of them together.
    pub fn none() -> Pipes {
        let none = || Stream { pipe: None, lines: Lines::default() };
        Pipes { stdout: none(), stderr: none(), buffer: Box::default() }
    }

    /// Reads what is there and arranges to be woken for more. Ready once both pipes are closed.
    pub fn poll(&mut self, cx: &mut Context<'_>, log: &mut InvocationLog) -> Poll<()> {
        let out = self.stdout.poll(cx, &mut self.buffer, log);
        let err = self.stderr.poll(cx, &mut self.buffer, log);
        if out.is_ready() && err.is_ready() {
            return Poll::Ready(());
        }
        Poll::Pending
    }

    /// Reads all that is in the pipes and ends unfinished lines.
    pub fn drain(&mut self, log: &mut InvocationLog) {
        self.stdout.drain(&mut self.buffer, log);
        self.stderr.drain(&mut self.buffer, log);
    }
}

impl Stream {
    #[expect(
        deprecated,
        reason = "unsound only for types that do not own their descriptor, and a File does; the successor is unsafe"
    )]
    fn new(fd: OwnedFd) -> std::io::Result<Stream> {
        // Tokio's receiver checks that it is a pipe and makes it non-blocking, but reads only when its own record of
        // readiness says so. The drain has to see what the kernel has now, hence the plain file.
        let file = File::from(pipe::Receiver::from_owned_fd(fd)?.into_nonblocking_fd()?);
        Ok(Stream { pipe: Some(AsyncFd::with_interest(file, Interest::READABLE)?), lines: Lines::default() })
    }

    fn poll(&mut self, cx: &mut Context<'_>, buffer: &mut [u8], log: &mut InvocationLog) -> Poll<()> {
        for _ in 0..READS_PER_TURN {
            let Some(pipe) = &self.pipe else {
                return Poll::Ready(());
            };
            let Ok(mut guard) = ready!(pipe.poll_read_ready(cx)) else {
                self.pipe = None;
                return Poll::Ready(());
            };
            match pipe.get_ref().read(buffer) {
                Ok(0) => self.pipe = None,
                Ok(count) => self.lines.feed(&buffer[..count], log),
                Err(error) if error.kind() == ErrorKind::WouldBlock => guard.clear_ready(),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => self.pipe = None,
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn drain(&mut self, buffer: &mut [u8], log: &mut InvocationLog) {
        let mut taken = 0;
        while let Some(pipe) = &self.pipe {
            match pipe.get_ref().read(buffer) {
                Ok(0) => self.pipe = None,
                Ok(count) => {
                    self.lines.feed(&buffer[..count], log);
                    taken += count;
                    if taken >= DRAIN_BYTES_MAX {
                        break;
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => self.pipe = None,
            }
        }
        self.lines.finish(log);
    }
}

/// Cuts bytes into lines. Empty ones are left out: CloudWatch Logs has no empty events.
#[derive(Default)]
struct Lines {
    partial: Vec<u8>,
}

impl Lines {
    fn feed(&mut self, mut bytes: &[u8], log: &mut InvocationLog) {
        let now = SystemClock.now_ms();
        while let Some(end) = bytes.iter().position(|b| *b == b'\n') {
            if self.partial.is_empty() {
                push(&bytes[..end], now, log);
            } else {
                self.partial.extend_from_slice(&bytes[..end]);
                push(&self.partial, now, log);
                self.partial.clear();
            }
            bytes = &bytes[end + 1..];
        }
        self.partial.extend_from_slice(bytes);
        if self.partial.len() >= limits::LOG_EVENT_BYTES_MAX {
            let whole = self.partial.len() - unfinished_char(&self.partial);
            push(&self.partial[..whole], now, log);
            self.partial.drain(..whole);
        }
    }

    fn finish(&mut self, log: &mut InvocationLog) {
        if !self.partial.is_empty() {
            push(&self.partial, SystemClock.now_ms(), log);
            self.partial = Vec::new();
        }
    }
}

fn push(line: &[u8], now: u64, log: &mut InvocationLog) {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    if !line.is_empty() {
        log.push(now, &String::from_utf8_lossy(line));
    }
}

/// How many bytes at the end begin a UTF-8 character whose rest has not come yet.
fn unfinished_char(bytes: &[u8]) -> usize {
    for back in 1..=3.min(bytes.len()) {
        let byte = bytes[bytes.len() - back];
        let length = match byte {
            0x80..=0xBF => continue,
            0xC0..=0xDF => 2,
            0xE0..=0xEF => 3,
            0xF0..=0xF7 => 4,
            _ => 1,
        };
        return if length > back { back } else { 0 };
    }
    0
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn lines(chunks: &[&[u8]]) -> Vec<String> {
        let mut log = InvocationLog::new();
        let mut lines = Lines::default();
        for chunk in chunks {
            lines.feed(chunk, &mut log);
        }
        lines.finish(&mut log);
        log.take().0.into_iter().map(|e| e.message).collect()
    }

    #[test]
    fn bytes_become_lines() {
        assert_eq!(lines(&[b"a\nb\r\nc"]), ["a", "b", "c"]);
        assert_eq!(lines(&[b"hel", b"lo\nwor", b"ld"]), ["hello", "world"]);
        assert_eq!(lines(&[b"\n\n", b"", b"\n"]), [""; 0]);
        assert_eq!(lines(&["gr\u{fc}n".as_bytes()]), ["grün"]);
        assert_eq!(lines(&[b"gr\xc3", b"\xbcn\n"]), ["grün"]);
        assert_eq!(lines(&[b"\xff\xfe\n"]), ["\u{fffd}\u{fffd}"]);
    }

    #[test]
    fn an_endless_line_is_cut_between_characters() {
        let text = "é".repeat(limits::LOG_EVENT_BYTES_MAX);
        let chunks: Vec<&[u8]> = text.as_bytes().chunks(4097).collect();
        let cut = lines(&chunks);
        assert!(cut.len() >= 2);
        assert_eq!(cut.concat(), text);
    }

    #[tokio::test]
    async fn what_was_printed_is_found_without_waiting() {
        use std::io::Write;
        let (out_read, mut out_write) = std::io::pipe().unwrap();
        let (err_read, err_write) = std::io::pipe().unwrap();
        let mut pipes = Pipes::new(out_read.into(), err_read.into()).unwrap();
        let mut log = InvocationLog::new();
        pipes.drain(&mut log);
        out_write.write_all(b"one\ntwo").unwrap();
        pipes.drain(&mut log);
        let messages: Vec<String> = log.take().0.into_iter().map(|e| e.message).collect();
        assert_eq!(messages, ["one", "two"]);
        drop((out_write, err_write));
        std::future::poll_fn(|cx| pipes.poll(cx, &mut log)).await;
    }
}
