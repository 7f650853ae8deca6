//! Control groups version 1: one directory per hierarchy, entered by the child itself. There is no killing of a whole
//! group; the end of the pid namespace does that.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::PathBuf;

use super::{CpuFormat, Group, Hierarchy, Limits, claim, sweep};

const WANTED: &[&str] = &["memory", "cpu", "cpuacct", "pids"];

/// The directories that instances' groups are made in.
pub(super) struct Base {
    hierarchies: Vec<(Vec<String>, PathBuf)>,
    missing: Vec<String>,
    _claims: Vec<File>,
}

impl Base {
    pub(super) fn open(hierarchies: &[Hierarchy], name: &str) -> Base {
        let mut base = Base { hierarchies: Vec::new(), missing: Vec::new(), _claims: Vec::new() };
        for wanted in WANTED {
            if base.has(wanted) {
                continue;
            }
            let Some(hierarchy) = hierarchies.iter().find(|h| h.controllers.iter().any(|c| c == wanted)) else {
                base.missing.push(format!("no `{wanted}` controller"));
                continue;
            };
            let root = hierarchy.own.join("cumulet");
            sweep(&root);
            let place = root.join(name);
            match claim(&place) {
                Ok(claim) => {
                    base.hierarchies.push((hierarchy.controllers.clone(), place));
                    base._claims.push(claim);
                }
                Err(error) => {
                    base.missing.push(format!("no `{wanted}` controller: making `{}`: {error}", place.display()))
                }
            }
        }
        base
    }

    fn has(&self, controller: &str) -> bool {
        self.hierarchies.iter().any(|(controllers, _)| controllers.iter().any(|c| c == controller))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.hierarchies.is_empty()
    }

    pub(super) fn lacking(&self) -> Vec<String> {
        self.missing.clone()
    }

    pub(super) fn create(&self, id: &str, limits: Limits) -> io::Result<Group> {
        let mut group = Group::default();
        for (controllers, place) in &self.hierarchies {
            let directory = place.join(id);
            std::fs::create_dir(&directory)?;
            group.directories.push(directory.clone());
            let set = |file: &str, value: u64| {
                let path = directory.join(file);
                std::fs::write(&path, value.to_string())
                    .map_err(|error| io::Error::new(error.kind(), format!("writing `{}`: {error}", path.display())))
            };
            for controller in controllers {
                match controller.as_str() {
                    "memory" => {
                        set("memory.limit_in_bytes", limits.memory_bytes())?;
                        if directory.join("memory.memsw.limit_in_bytes").exists() {
                            set("memory.memsw.limit_in_bytes", limits.memory_bytes())?;
                        } else {
                            set("memory.swappiness", 0)?;
                        }
                        group.memory_peak = Some(File::open(directory.join("memory.max_usage_in_bytes"))?);
                        group.oom = Some(File::open(directory.join("memory.oom_control"))?);
                    }
                    "cpu" => set("cpu.shares", limits.cpu_weight(1024, 2))?,
                    "cpuacct" => {
                        let file = File::open(directory.join("cpuacct.usage"))?;
                        group.cpu = Some((file, CpuFormat::Nanoseconds));
                    }
                    "pids" => set("pids.max", limits.tasks.into())?,
                    _ => {}
                }
            }
            group.join.push(OpenOptions::new().write(true).open(directory.join("tasks"))?);
        }
        Ok(group)
    }
}

impl Drop for Base {
    fn drop(&mut self) {
        for (_, place) in &self.hierarchies {
            // Instances that are still being stopped may hold it; then the next platform's sweep removes it.
            let _ = std::fs::remove_dir(place);
        }
    }
}
