//! Control groups version 2: one directory, cloned into, killed at one stroke.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use super::{CpuFormat, Group, Hierarchy, Limits, claim, sweep};

/// The directory that instances' groups are made in.
pub(super) struct Base {
    place: PathBuf,
    has_cpu: bool,
    _claim: File,
}

impl Base {
    pub(super) fn open(hierarchies: &[Hierarchy], name: &str) -> Result<Base, String> {
        let hierarchy = hierarchies.iter().find(|h| h.controllers.is_empty()).ok_or("not mounted")?;
        let offered = controllers(&hierarchy.mount);
        if !offered.iter().any(|c| c == "memory") {
            return Err("the memory controller is not in version 2".to_owned());
        }
        let mut candidates = vec![hierarchy.own.clone()];
        if hierarchy.own != hierarchy.mount {
            candidates.push(hierarchy.mount.clone());
        }
        let mut failures = Vec::new();
        for candidate in candidates {
            match settle(&candidate, candidate == hierarchy.mount, name) {
                Ok((place, claim)) => {
                    let has_cpu = controllers(&place).iter().any(|c| c == "cpu");
                    return Ok(Base { place, has_cpu, _claim: claim });
                }
                Err(error) => failures.push(format!("`{}`: {error}", candidate.display())),
            }
        }
        Err(failures.join("; "))
    }

    pub(super) fn lacking(&self) -> Option<String> {
        (!self.has_cpu).then(|| "no `cpu` controller".to_owned())
    }

    pub(super) fn create(&self, id: &str, limits: Limits) -> io::Result<Group> {
        let directory = self.place.join(id);
        std::fs::create_dir(&directory)?;
        let mut group = Group::default();
        group.directories.push(directory.clone());
        let set = |file: &str, value: &str| {
            let path = directory.join(file);
            std::fs::write(&path, value)
                .map_err(|error| io::Error::new(error.kind(), format!("writing `{}`: {error}", path.display())))
        };
        set("memory.max", &limits.memory_bytes().to_string())?;
        set("pids.max", &limits.tasks.to_string())?;
        // One process killed for want of memory takes the instance along. Absent before Linux 4.19.
        let _ = set("memory.oom.group", "1");
        if directory.join("memory.swap.max").exists() {
            set("memory.swap.max", "0")?;
        }
        if self.has_cpu {
            let weight = limits.cpu_weight(100, 1).min(10_000);
            set("cpu.weight", &weight.to_string())?;
        }
        group.into = Some(OwnedFd::from(File::open(&directory)?));
        group.kill = OpenOptions::new().write(true).open(directory.join("cgroup.kill")).ok();
        group.cpu = Some((File::open(directory.join("cpu.stat"))?, CpuFormat::Stat));
        // `memory.peak` came with Linux 5.19.
        group.memory_peak =
            File::open(directory.join("memory.peak")).or_else(|_| File::open(directory.join("memory.current"))).ok();
        group.oom = Some(File::open(directory.join("memory.events"))?);
        Ok(group)
    }
}

impl Drop for Base {
    fn drop(&mut self) {
        // Instances that are still being stopped may hold it; then the next platform's sweep removes it.
        let _ = std::fs::remove_dir(&self.place);
    }
}

fn controllers(group: &Path) -> Vec<String> {
    std::fs::read_to_string(group.join("cgroup.controllers"))
        .unwrap_or_default()
        .split_whitespace()
        .map(str::to_owned)
        .collect()
}

/// Makes `candidate/cumulet/<name>` with the controllers on. A group other than the root may not have both processes
/// and controllers for its children, so the platform moves into a leaf of its own, if it is alone (as under systemd with
/// `Delegate=yes`).
fn settle(candidate: &Path, is_root: bool, name: &str) -> io::Result<(PathBuf, File)> {
    let own_pid = std::process::id().to_string();
    if !is_root {
        let members = std::fs::read_to_string(candidate.join("cgroup.procs"))?;
        if members.lines().any(|pid| pid != own_pid) {
            return Err(io::Error::other("it is shared with other processes"));
        }
        if !members.is_empty() {
            let leaf = candidate.join("cumulet-platform");
            std::fs::create_dir_all(&leaf)?;
            std::fs::write(leaf.join("cgroup.procs"), &own_pid)?;
        }
    }
    enable(candidate)?;
    let root = candidate.join("cumulet");
    sweep(&root);
    std::fs::create_dir_all(&root)?;
    enable(&root)?;
    let place = root.join(name);
    let claim = claim(&place)?;
    enable(&place)?;
    Ok((place, claim))
}

fn enable(group: &Path) -> io::Result<()> {
    let control = group.join("cgroup.subtree_control");
    std::fs::write(&control, "+memory +pids")?;
    // A share of the processor is a comfort; its controller may be held back, as with real-time processes about.
    let _ = std::fs::write(&control, "+cpu");
    Ok(())
}
