//! A running instance as a process: its end, its usage, and giving everything back. Knows no protocol.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use cumulet_engine::sandbox::Usage;
use tokio::io::unix::AsyncFd;

use crate::cgroup::Group;
use crate::network::Lease;
use crate::relay::Attached;
use crate::sys::{self, Exit};

/// The first process of an instance's pid namespace. Dropping it ends the whole instance and waits for that, which
/// takes about a millisecond; in asynchronous code use [`Process::stop`].
pub struct Process {
    pub(crate) pid: i32,
    pub(crate) pidfd: Arc<OwnedFd>,
    /// From the first time that somebody waits for the end.
    watch: OnceLock<AsyncFd<Arc<OwnedFd>>>,
    pub(crate) group: Option<Group>,
    /// Held for as long as the address is used.
    pub(crate) lease: Option<Lease>,
    pub(crate) relay: Option<Attached>,
    /// A clone is its template's child, not ours: nobody has to wait for it, and how it ended is asked otherwise.
    pub(crate) is_child: bool,
    /// What of its memory is in place, kept open: it is read again and again.
    resident: OnceLock<Option<File>>,
    recent: Mutex<Option<(Instant, Usage)>>,
}

/// Of the answers that come within this, only the first has the kernel asked.
const USAGE_AGE_MAX: Duration = Duration::from_millis(1);
/// A clone that was killed is gone after this, or the kernel is stuck.
const GONE_MS: i32 = 10_000;

impl Process {
    pub(crate) fn new(pid: i32, pidfd: OwnedFd, group: Option<Group>, is_child: bool) -> Process {
        Process {
            pid,
            pidfd: Arc::new(pidfd),
            watch: OnceLock::new(),
            group,
            lease: None,
            relay: None,
            is_child,
            resident: OnceLock::new(),
            recent: Mutex::new(None),
        }
    }

    /// Its number on the host.
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// One cheap look.
    pub fn is_alive(&self) -> bool {
        !sys::is_readable(self.pidfd.as_fd())
    }

    /// Waits for the end without taking the process out of the table; that happens when `self` is dropped.
    ///
    /// # Errors
    /// When the runtime has no room to watch another descriptor.
    pub async fn ended(&self) -> io::Result<Exit> {
        let watch = match self.watch.get() {
            Some(watch) => watch,
            None => {
                let made = sys::watch(self.pidfd.clone())?;
                self.watch.get_or_init(|| made)
            }
        };
        watch.readable().await?.retain_ready();
        self.exit()?.ok_or_else(|| io::Error::other("the process has not ended after all"))
    }

    /// Sends the signal that asks for an orderly end, if the process has a handler for it; whether it has.
    pub(crate) fn ask_to_end(&self) -> bool {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.pid)).unwrap_or_default();
        let caught = text.lines().find_map(|line| line.strip_prefix("SigCgt:"));
        let caught = caught.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
        let is_handled = caught & (1 << (libc::SIGTERM - 1)) != 0;
        if is_handled {
            sys::pidfd_signal(self.pidfd.as_fd(), libc::SIGTERM);
        }
        is_handled
    }

    /// How it ended, if it has.
    pub(crate) fn exit(&self) -> io::Result<Option<Exit>> {
        if self.is_child {
            sys::pidfd_exit(self.pidfd.as_fd(), false, false)
        } else if self.is_alive() {
            Ok(None)
        } else {
            sys::pidfd_exit_of_other(self.pidfd.as_fd())
        }
    }

    /// Whether the kernel ended a process of the instance because the memory limit was passed. `false` also where
    /// there are no control groups to tell.
    pub fn ran_out_of_memory(&self) -> bool {
        self.group.as_ref().is_some_and(Group::ran_out_of_memory)
    }

    /// From the control group, else of the first process alone. The group does not count what was there before it came
    /// into it, nor what a clone shares with its template: the first process's memory in place counts where that is more.
    ///
    /// At most a millisecond old: asking the kernel takes several microseconds, which is more than many an event does.
    pub fn usage(&self) -> Usage {
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, usage)) = *recent
            && at.elapsed() < USAGE_AGE_MAX
        {
            return usage;
        }
        let usage = self.measured();
        *recent = Some((Instant::now(), usage));
        usage
    }

    fn measured(&self) -> Usage {
        match &self.group {
            Some(group) => {
                let mut usage = group.usage();
                usage.memory_peak_bytes = usage.memory_peak_bytes.max(self.resident_bytes());
                usage
            }
            None => usage_of(self.pid),
        }
    }

    fn resident_bytes(&self) -> u64 {
        let file = self.resident.get_or_init(|| File::open(format!("/proc/{}/statm", self.pid)).ok());
        let mut text = [0; 128];
        let length = file.as_ref().and_then(|file| file.read_at(&mut text, 0).ok()).unwrap_or(0);
        let fields = std::str::from_utf8(&text[..length]).unwrap_or_default();
        let pages = fields.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok());
        pages.unwrap_or(0) * sys::page_bytes()
    }

    /// Memory that it shares with no file, as far as the kernel counts it cheaply; 0 where it does not tell.
    pub(crate) fn own_bytes(&self) -> u64 {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.pid)).unwrap_or_default();
        let field = text.lines().find_map(|line| line.strip_prefix("RssAnon:"));
        let kilobytes = field.and_then(|text| text.split_whitespace().next()).and_then(|text| text.parse::<u64>().ok());
        kilobytes.unwrap_or(0) * 1024
    }

    /// Ends every process of the instance and gives its resources back.
    pub async fn stop(self) {
        if let Err(error) = tokio::task::spawn_blocking(move || drop(self)).await {
            tracing::error!("stopping an instance: {error}");
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Some(group) = &self.group {
            group.kill();
        }
        // With its first process the kernel ends all others of the pid namespace, and the first counts as ended only
        // after them.
        sys::pidfd_signal(self.pidfd.as_fd(), libc::SIGKILL);
        if !self.is_child {
            if !sys::wait_readable(self.pidfd.as_fd(), GONE_MS) {
                tracing::error!("process {} does not end", self.pid);
            }
        } else if let Err(error) = sys::pidfd_exit(self.pidfd.as_fd(), true, true) {
            tracing::error!("waiting for process {}: {error}", self.pid);
        }
    }
}

fn usage_of(pid: i32) -> Usage {
    let read = |name: &str| std::fs::read_to_string(format!("/proc/{pid}/{name}"));
    let mut usage = Usage::default();
    if let Ok(stat) = read("schedstat") {
        let nanoseconds: u64 = stat.split_whitespace().next().and_then(|text| text.parse().ok()).unwrap_or(0);
        usage.cpu_us = nanoseconds / 1000;
    }
    if let Ok(status) = read("status") {
        let kilobytes: u64 = status
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:"))
            .and_then(|text| text.split_whitespace().next())
            .and_then(|text| text.parse().ok())
            .unwrap_or(0);
        usage.memory_peak_bytes = kilobytes * 1024;
    }
    usage
}
