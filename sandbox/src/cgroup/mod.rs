//! Limits and meters by control groups: version 2 where its controllers can be had, else version 1, else none (and
//! then [`Cgroups::lacking`] says what that means). One group per instance under `cumulet/<platform process>/`.
//! Enforces no idle time and no bandwidth.

mod v1;
mod v2;

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::fd::{OwnedFd, RawFd};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use cumulet_base::{id, limits};
use cumulet_engine::sandbox::Usage;

/// Kernel memory (page tables, sockets, pipes) counts as the instance's own here, though it does not in Lambda.
const MEMORY_ALLOWANCE_BYTES: u64 = 16 * 1024 * 1024;
const MEMORY_MB_PER_CPU: u64 = limits::MEMORY_MB_PER_PROCESSOR as u64;

/// What one instance may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Limits {
    pub memory_mb: u32,
    pub tasks: u32,
}

impl Limits {
    fn memory_bytes(&self) -> u64 {
        u64::from(self.memory_mb) * 1024 * 1024 + MEMORY_ALLOWANCE_BYTES
    }

    /// A share of the processors against other instances, not a ceiling; `one` is the weight of one processor.
    fn cpu_weight(&self, one: u64, min: u64) -> u64 {
        (u64::from(self.memory_mb) * one / MEMORY_MB_PER_CPU).max(min)
    }
}

enum Layout {
    V2(v2::Base),
    V1(v1::Base),
    None,
}

/// Where this platform's groups are made.
pub(crate) struct Cgroups {
    /// Before the layout, whose directories they are in.
    spares: Mutex<HashMap<Limits, Vec<Group>>>,
    layout: Layout,
    pub lacking: Vec<String>,
}

/// Groups made ahead, of one size and of how many sizes.
const SPARES_MAX: usize = 4;
const SPARE_KINDS_MAX: usize = 16;

impl Cgroups {
    /// Finds the place, removes what crashed platforms left there, and makes this platform's own group.
    pub(crate) fn detect() -> Cgroups {
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let membership = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let hierarchies = hierarchies(&mounts, &membership);
        let name = platform_name();
        let mut lacking = Vec::new();
        match v2::Base::open(&hierarchies, &name) {
            Ok(base) => {
                lacking.extend(base.lacking());
                return Cgroups { spares: Mutex::default(), layout: Layout::V2(base), lacking };
            }
            Err(why) => tracing::debug!("control groups version 2: {why}"),
        }
        let base = v1::Base::open(&hierarchies, &name);
        lacking.extend(base.lacking());
        let layout = if base.is_empty() { Layout::None } else { Layout::V1(base) };
        Cgroups { spares: Mutex::default(), layout, lacking }
    }

    /// In one word, for reports.
    pub(crate) fn describe(&self) -> &'static str {
        match self.layout {
            Layout::V2(_) => "version 2",
            Layout::V1(_) => "version 1",
            Layout::None => "none",
        }
    }

    /// A group made ahead, or a new one.
    pub(crate) fn take(&self, id: impl FnOnce() -> String, limits: Limits) -> io::Result<Option<Group>> {
        let spare = self.lock().get_mut(&limits).and_then(Vec::pop);
        match spare {
            Some(group) => Ok(Some(group)),
            None => self.create(&id(), limits),
        }
    }

    /// Makes a group ahead for the next instance with these limits, where none is: making one takes longer than all else
    /// that the host does for a clone.
    pub(crate) fn stock(&self, id: impl FnOnce() -> String, limits: Limits) {
        let is_wanted = {
            let spares = self.lock();
            spares.get(&limits).map_or(spares.len() < SPARE_KINDS_MAX, |spares| spares.len() < SPARES_MAX)
        };
        if is_wanted && let Ok(Some(group)) = self.create(&id(), limits) {
            self.lock().entry(limits).or_default().push(group);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Limits, Vec<Group>>> {
        // Nothing that can panic runs under the lock.
        self.spares.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn create(&self, id: &str, limits: Limits) -> io::Result<Option<Group>> {
        match &self.layout {
            Layout::V2(base) => base.create(id, limits).map(Some),
            Layout::V1(base) => base.create(id, limits).map(Some),
            Layout::None => Ok(None),
        }
    }
}

/// The group of one instance; removed when dropped, by when its processes have to be gone.
#[derive(Default)]
pub(crate) struct Group {
    directories: Vec<PathBuf>,
    /// To clone into (version 2).
    into: Option<OwnedFd>,
    /// To write `0` to (version 1).
    join: Vec<File>,
    kill: Option<File>,
    cpu: Option<(File, CpuFormat)>,
    memory_peak: Option<File>,
    oom: Option<File>,
}

#[derive(Clone, Copy)]
enum CpuFormat {
    /// One number.
    Nanoseconds,
    /// A line `usage_usec <n>` among others.
    Stat,
}

impl Group {
    pub(crate) fn target_fd(&self) -> Option<BorrowedFd<'_>> {
        self.into.as_ref().map(AsFd::as_fd)
    }

    pub(crate) fn join_fds(&self) -> Vec<RawFd> {
        self.join.iter().map(AsRawFd::as_raw_fd).collect()
    }

    /// Moves a process that could not be cloned into the group: version 2 only, as in version 1 it joins by itself.
    pub(crate) fn take_in(&self, pid: i32) -> io::Result<()> {
        match &self.into {
            Some(into) => std::fs::write(format!("/proc/self/fd/{}/cgroup.procs", into.as_raw_fd()), pid.to_string()),
            None => Ok(()),
        }
    }

    /// Closes what only starting needs.
    pub(crate) fn started(&mut self) {
        self.into = None;
        self.join = Vec::new();
    }

    /// Ends every member at once, where the kernel can.
    pub(crate) fn kill(&self) {
        if let Some(file) = &self.kill {
            // Failing means an empty group; the pid namespace's end is what is relied upon.
            let _ = file.write_at(b"1", 0);
        }
    }

    pub(crate) fn usage(&self) -> Usage {
        let mut usage = Usage::default();
        if let Some((file, format)) = &self.cpu {
            let text = read(file);
            usage.cpu_us = match format {
                CpuFormat::Nanoseconds => text.trim().parse::<u64>().unwrap_or(0) / 1000,
                CpuFormat::Stat => field(&text, "usage_usec"),
            };
        }
        if let Some(file) = &self.memory_peak {
            usage.memory_peak_bytes = read(file).trim().parse().unwrap_or(0);
        }
        usage
    }

    /// Whether the kernel has ended a process of the group for want of memory.
    pub(crate) fn ran_out_of_memory(&self) -> bool {
        self.oom.as_ref().is_some_and(|file| field(&read(file), "oom_kill") > 0)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        for directory in &self.directories {
            remove(directory);
        }
    }
}

/// Removes an empty group. The kernel may hold on to it for a moment after its last process.
fn remove(directory: &Path) {
    const ATTEMPTS: u32 = 200;
    for attempt in 0..ATTEMPTS {
        match std::fs::remove_dir(directory) {
            Ok(()) => return,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return,
            Err(error) if error.raw_os_error() == Some(libc::EBUSY) && attempt + 1 < ATTEMPTS => {
                std::thread::sleep(std::time::Duration::from_micros(500));
            }
            Err(error) => {
                tracing::warn!("removing control group `{}`: {error}", directory.display());
                return;
            }
        }
    }
}

fn read(file: &File) -> String {
    let mut buffer = [0; 2048];
    let length = file.read_at(&mut buffer, 0).unwrap_or(0);
    String::from_utf8_lossy(&buffer[..length]).into_owned()
}

/// The number after `name` in lines of `name number`.
fn field(text: &str, name: &str) -> u64 {
    text.lines()
        .filter_map(|line| line.split_once(' '))
        .find(|(key, _)| *key == name)
        .and_then(|(_, value)| value.trim().parse().ok())
        .unwrap_or(0)
}

/// A mounted hierarchy and the group this process is in.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Hierarchy {
    mount: PathBuf,
    own: PathBuf,
    /// Empty for version 2.
    controllers: Vec<String>,
}

fn hierarchies(mounts: &str, membership: &str) -> Vec<Hierarchy> {
    let mut found: Vec<Hierarchy> = Vec::new();
    for line in mounts.lines() {
        let Some((left, right)) = line.split_once(" - ") else {
            continue;
        };
        let left: Vec<&str> = left.split(' ').collect();
        let right: Vec<&str> = right.split(' ').collect();
        let (Some(root), Some(mount), Some(kind), Some(options)) =
            (left.get(3), left.get(4), right.first(), right.get(2))
        else {
            continue;
        };
        if *kind != "cgroup" && *kind != "cgroup2" {
            continue;
        }
        let options: Vec<&str> = options.split(',').collect();
        let group = membership.lines().find_map(|line| {
            let mut parts = line.splitn(3, ':');
            let (_, names, path) = (parts.next()?, parts.next()?, parts.next()?);
            let same = if *kind == "cgroup2" {
                names.is_empty()
            } else {
                !names.is_empty() && names.split(',').all(|name| options.contains(&name))
            };
            same.then(|| (names.to_owned(), path.to_owned()))
        });
        let Some((names, path)) = group else { continue };
        // In a container the mount's root is a group further down than the path that is told, or the path is outside.
        let below = Path::new(&path).strip_prefix(root).unwrap_or(Path::new(""));
        let mount = PathBuf::from(mount);
        let mut own = mount.join(below);
        if !own.is_dir() {
            own = mount.clone();
        }
        found.push(Hierarchy {
            mount,
            own,
            controllers: names.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect(),
        });
    }
    found
}

/// Of a platform's own group; each sandbox of a process has its own.
fn platform_name() -> String {
    format!("{}-{}", std::process::id(), id::hex(16))
}

/// Makes a platform's directory and takes it into possession: a lock ends with its process, and holds in every pid namespace,
/// where the process may not be seen.
fn claim(place: &Path) -> io::Result<File> {
    loop {
        std::fs::create_dir_all(place)?;
        let held = match File::open(place) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            opened => opened?,
        };
        held.lock()?;
        // Somebody who sweeps may have been faster: then it is there no more.
        let is_there = std::fs::metadata(place).is_ok_and(|now| held.metadata().is_ok_and(|it| it.ino() == now.ino()));
        if is_there {
            return Ok(held);
        }
    }
}

/// Ends and removes the groups of platforms that are no more.
fn sweep(root: &Path) {
    for platform in std::fs::read_dir(root).into_iter().flatten().flatten() {
        let place = platform.path();
        let Ok(directory) = File::open(&place) else { continue };
        if !place.is_dir() || directory.try_lock().is_err() {
            continue;
        }
        for group in std::fs::read_dir(&place).into_iter().flatten().flatten() {
            if group.path().is_dir() {
                evict(&group.path());
                remove(&group.path());
            }
        }
        remove(&place);
    }
}

/// Kills every process of a group that nobody owns any more. A fork may outrun one look, so looks are repeated.
fn evict(group: &Path) {
    let killer = File::options().write(true).open(group.join("cgroup.kill"));
    if killer.is_ok_and(|killer| killer.write_at(b"1", 0).is_ok()) {
        return;
    }
    for _ in 0..100 {
        let members = std::fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
        let mut any = false;
        for pid in members.lines().filter_map(|line| line.parse::<i32>().ok()) {
            any = true;
            if let Ok(pidfd) = crate::sys::pidfd_open(pid) {
                crate::sys::pidfd_signal(pidfd.as_fd(), libc::SIGKILL);
            }
        }
        if !any {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_follow_memory() {
        let limits = Limits { memory_mb: 1769, tasks: 1 };
        assert_eq!(limits.cpu_weight(1024, 2), 1024);
        let small = Limits { memory_mb: 1, tasks: 1 };
        assert_eq!(small.cpu_weight(1024, 2), 2);
        assert_eq!(small.memory_bytes(), 17 * 1024 * 1024);
    }

    #[test]
    fn mounts_and_membership() {
        let mounts = "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n\
            32 31 0:29 / /cg/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n\
            33 31 0:30 /outer /cg/memory rw - cgroup cgroup rw,memory\n\
            34 31 0:31 / /cg/systemd rw - cgroup cgroup rw,name=systemd\n\
            35 31 0:32 / /cg/unified rw - cgroup2 cgroup2 rw\n";
        let membership = "4:memory:/outer/in\n3:cpu,cpuacct:/x\n2:name=systemd:/\n0::/user\n";
        let found = hierarchies(mounts, membership);
        let brief: Vec<(&str, String)> =
            found.iter().map(|h| (h.mount.to_str().unwrap_or(""), h.controllers.join("+"))).collect();
        assert_eq!(
            brief,
            [
                ("/cg/cpu,cpuacct", "cpu+cpuacct".to_owned()),
                ("/cg/memory", "memory".to_owned()),
                ("/cg/systemd", "name=systemd".to_owned()),
                ("/cg/unified", String::new()),
            ]
        );
    }

    #[test]
    fn those_who_live_keep_their_groups() {
        let root = tempfile::tempdir().unwrap();
        let (lives, died) = (root.path().join("1-a"), root.path().join("1-b"));
        let held = claim(&lives).unwrap();
        drop(claim(&died).unwrap());
        std::fs::create_dir(lives.join("i0")).unwrap();
        std::fs::create_dir(died.join("i0")).unwrap();
        sweep(root.path());
        assert!(lives.join("i0").exists() && !died.exists());
        drop(held);
        sweep(root.path());
        assert!(!lives.exists());
    }

    #[test]
    fn fields() {
        let text = "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n";
        assert_eq!(field(text, "oom_kill"), 3);
        assert_eq!(field(text, "usage_usec"), 0);
    }
}
