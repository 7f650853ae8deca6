//! Clones made before anybody asks for them. One in stock has its namespaces, control group, mounts and filter, and waits to
//! be let go; an instance then takes the time of its answer alone. What the first instances of a template write to is
//! learnt from the kernel, so that later clones copy those pages while they wait, not at one fault each while they answer
//! (for virtual machines: "Benchmarking, Analysis, and Optimization of Serverless Function Snapshots", ASPLOS 2021).

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use cumulet_base::limits::{CLONE_PAGES_AHEAD_MAX, CLONE_RANGES_AHEAD_MAX, CLONES_AHEAD_MAX};
use tokio::sync::Notify;

use crate::clone::Clone;
use crate::launch::LaunchError;
use crate::sys;

/// What is in stock of one template.
pub(crate) struct Stock {
    count: usize,
    shelf: Mutex<Shelf>,
    written: OnceLock<Vec<Range<u64>>>,
    has_looked: AtomicBool,
    /// Nothing is coming any more.
    settled: Notify,
}

/// A template answers within two seconds, and what it made ends within milliseconds.
const SETTLING: Duration = Duration::from_secs(4);

#[derive(Default)]
struct Shelf {
    ready: Vec<Clone>,
    /// One is being made: one after the other, so that the first failure is known for the first.
    is_coming: bool,
    /// Why the last one could not be made.
    failure: Option<LaunchError>,
}

impl Stock {
    /// Empty, and never of more than `count`.
    pub(crate) fn new(count: usize) -> Stock {
        let count = count.min(CLONES_AHEAD_MAX);
        Stock {
            count,
            shelf: Mutex::default(),
            written: OnceLock::new(),
            has_looked: AtomicBool::new(false),
            settled: Notify::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Shelf> {
        // Nothing that can panic runs under the lock.
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One that lives, if there is any.
    pub(crate) fn take(&self) -> Option<Clone> {
        let mut dead = Vec::new();
        let mut shelf = self.lock();
        let found = loop {
            match shelf.ready.pop() {
                Some(clone) if !clone.process.is_alive() => dead.push(clone),
                found => break found,
            }
        };
        drop(shelf);
        found
    }

    /// All of them; they are not what is wanted any more.
    pub(crate) fn empty(&self) -> Vec<Clone> {
        std::mem::take(&mut self.lock().ready)
    }

    /// Whether one more is to be made; whoever is told so says what came of it, by [`Stock::made`].
    pub(crate) fn wants(&self) -> bool {
        let mut shelf = self.lock();
        let wants = !shelf.is_coming && shelf.ready.len() < self.count;
        shelf.is_coming |= wants;
        wants
    }

    pub(crate) fn made(&self, clone: Result<Clone, LaunchError>) {
        let mut shelf = self.lock();
        shelf.is_coming = false;
        self.settled.notify_waiters();
        match clone {
            Ok(clone) => {
                shelf.ready.push(clone);
                shelf.failure = None;
            }
            // A template that fails may end by it, which is all that is seen afterwards.
            Err(error) => drop(shelf.failure.get_or_insert(error)),
        }
    }

    /// Nobody makes it after all.
    pub(crate) fn not_now(&self) {
        self.lock().is_coming = false;
        self.settled.notify_waiters();
    }

    /// What went wrong before somebody wanted a clone, told to who wants one now and does not get it either. One that is
    /// being made may be what goes wrong, so that its end is waited for.
    pub(crate) async fn failure(&self) -> Option<LaunchError> {
        let quiet = async {
            loop {
                let settled = self.settled.notified();
                tokio::pin!(settled);
                settled.as_mut().enable();
                if !self.lock().is_coming {
                    return;
                }
                settled.await;
            }
        };
        // Late: then it is told as it looks to the one who asks.
        drop(tokio::time::timeout(SETTLING, quiet).await);
        self.lock().failure.take()
    }

    /// What clones write to, as far as it is known.
    pub(crate) fn written(&self) -> &[Range<u64>] {
        self.written.get().map_or(&[], Vec::as_slice)
    }

    /// Whether a clone that has answered and rests is to be looked at; one is enough.
    pub(crate) fn wants_lesson(&self) -> bool {
        !self.has_looked.load(Ordering::Relaxed) && !self.has_looked.swap(true, Ordering::Relaxed)
    }

    /// From such a clone. One that has ended meanwhile teaches nothing, and the next one may.
    pub(crate) fn learn(&self, pid: i32) {
        match pages_of_its_own(pid) {
            // Nobody else learns meanwhile.
            Ok(found) => drop(self.written.set(found)),
            Err(_) => self.has_looked.store(false, Ordering::Relaxed),
        }
    }
}

const PRESENT: u64 = 1 << 63;
/// Mapped by this process and no other.
const EXCLUSIVE: u64 = 1 << 56;
/// Entries of the page map read at a time.
const ENTRIES: usize = 8192;

/// The pages that a clone shares with no other process, of its private and writable memory
/// (<https://docs.kernel.org/admin-guide/mm/pagemap.html>). As many as may be asked for, in the order of their addresses.
fn pages_of_its_own(pid: i32) -> io::Result<Vec<Range<u64>>> {
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps"))?;
    let pages = File::open(format!("/proc/{pid}/pagemap"))?;
    let size = sys::page_bytes();
    let mut found: Vec<Range<u64>> = Vec::new();
    let mut count = 0;
    let mut entries = vec![0; 8 * ENTRIES];
    for area in maps.lines().filter_map(private_and_writable) {
        let mut at = area.start;
        while at < area.end {
            let want = ((area.end - at) / size).min(ENTRIES as u64) as usize;
            let have = pages.read_at(&mut entries[..8 * want], at / size * 8)? / 8;
            if have == 0 {
                break;
            }
            for entry in entries[..8 * have].chunks_exact(8) {
                let bits = entry.try_into().map_or(0, u64::from_ne_bytes);
                if bits & (PRESENT | EXCLUSIVE) == PRESENT | EXCLUSIVE {
                    let is_full = found.len() == CLONE_RANGES_AHEAD_MAX;
                    match found.last_mut() {
                        Some(last) if last.end == at => last.end += size,
                        _ if is_full => return Ok(found),
                        _ => found.push(at..at + size),
                    }
                    count += 1;
                    if count == CLONE_PAGES_AHEAD_MAX {
                        return Ok(found);
                    }
                }
                at += size;
            }
        }
    }
    Ok(found)
}

/// The addresses of a line of `/proc/PID/maps`.
fn private_and_writable(line: &str) -> Option<Range<u64>> {
    let (addresses, rest) = line.split_once(' ')?;
    let (start, end) = addresses.split_once('-')?;
    let mode = rest.as_bytes().first_chunk::<4>()?;
    (mode[1] == b'w' && mode[3] == b'p')
        .then(|| Some(u64::from_str_radix(start, 16).ok()?..u64::from_str_radix(end, 16).ok()?))?
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn lines_of_maps() {
        let heap = "55d0a1c00000-55d0a1c21000 rw-p 00000000 00:00 0                          [heap]";
        assert_eq!(private_and_writable(heap), Some(0x55d0_a1c0_0000..0x55d0_a1c2_1000));
        assert_eq!(private_and_writable("7f00-7f10 r--p 00000000 08:01 1 /lib/x.so"), None);
        assert_eq!(private_and_writable("7f00-7f10 rw-s 00000000 00:01 1 /memfd:x"), None);
        assert_eq!(private_and_writable("not a line"), None);
    }

    #[test]
    fn what_this_process_has_written_is_its_own() {
        let size = sys::page_bytes() as usize;
        let written = vec![1u8; 64 * size];
        let found = pages_of_its_own(std::process::id() as i32).unwrap();
        let pages = found.iter().map(|range| (range.end - range.start) as usize / size).sum::<usize>();
        assert!(pages > 0 && pages <= CLONE_PAGES_AHEAD_MAX, "{pages}");
        assert!(found.len() <= CLONE_RANGES_AHEAD_MAX);
        assert!(found.windows(2).all(|two| two[0].end < two[1].start), "in order, joined");
        // As the first pages found may be all, what was written here is asked for only where there is room.
        let middle = written.as_ptr() as u64 + 32 * size as u64;
        assert!(pages == CLONE_PAGES_AHEAD_MAX || found.iter().any(|range| range.contains(&middle)));
    }
}
