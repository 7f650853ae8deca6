//! The file system an instance sees, as a list of steps that the child takes: the host's programs and libraries, the
//! code and the runtime read-only, an `/etc` of our own, a `/tmp`, a few devices, and nothing else of the host.
//! Makes directories on the host once, in [`prepare_etc`]; mounts nothing itself.

use std::cell::Cell;
use std::ffi::{CString, OsStr};
use std::io;
use std::os::fd::{OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use crate::child::{INNER_GID, INNER_UID};
use crate::config::Authority;
use crate::sys::{self, MOUNT_NODEV, MOUNT_NOEXEC, MOUNT_NOSUID, MOUNT_RDONLY};

/// Where the first process of an instance that is more than one finds its program.
pub(crate) const INIT_PATH: &str = "/.cumulet-init";

/// An empty directory, to hide others with.
const COVER: &str = ".cumulet-empty";
const READ_ONLY: u64 = MOUNT_RDONLY | MOUNT_NOSUID | MOUNT_NODEV;
/// Files of `/tmp` for each megabyte of it; they cost kernel memory that is charged to the instance.
const INODES_PER_MB: u64 = 128;

/// A file or directory of the host that appears inside.
pub(crate) struct Source {
    pub path: CString,
    pub recursive: bool,
    pub attributes: u64,
    /// Opened beforehand by a privileged platform, as the function's user may not even see the path.
    pub tree: Option<OwnedFd>,
    /// The child's descriptor of it.
    pub slot: Cell<RawFd>,
}

/// One step; paths are relative to the new root.
pub(crate) enum Step {
    Directory(CString),
    /// An empty file, to mount on.
    File(CString),
    Link {
        target: CString,
        path: CString,
    },
    Attach {
        source: usize,
        path: CString,
    },
    Proc,
    Tmp(CString),
    /// Hides what is at `path`.
    Cover {
        with: CString,
        path: CString,
    },
    ReadOnly(CString),
}

#[derive(Default)]
pub(crate) struct Root {
    pub sources: Vec<Source>,
    pub steps: Vec<Step>,
}

/// What differs between instances.
pub(crate) struct Layout<'a> {
    pub code_dir: &'a Path,
    pub layers_dir: Option<&'a Path>,
    pub runtime_dir: Option<&'a Path>,
    /// The program of the first process, where that is not the runtime.
    pub init: Option<&'a Path>,
    /// Folders of the SDKs, by their place in the runtime's.
    pub sdk: &'a [(&'static str, PathBuf)],
    /// The root of a container image, instead of the host's programs and the code.
    pub image: Option<&'a Path>,
    /// A directory of the host that can be written, and where it appears.
    pub file_system: Option<(&'a Path, &'a str)>,
    /// Interpreters' own directories outside `/usr`.
    pub prefixes: &'a [PathBuf],
    pub ephemeral_mb: u32,
}

const HOST_DIRECTORIES: &[&str] = &["bin", "sbin", "lib", "lib32", "lib64", "libx32", "nix/store"];
/// Of the host's `/etc`, because programs of the host's `/usr` do not work without them, or the user cannot trust a
/// certificate without them. None holds a secret.
const HOST_ETC: &[&str] = &[
    "ssl/certs",
    "ssl/openssl.cnf",
    "pki/tls",
    "pki/ca-trust",
    "ca-certificates",
    "crypto-policies",
    "alternatives",
    "ld.so.cache",
    "localtime",
];
const DEVICES: &[&str] = &["null", "zero", "full", "random", "urandom"];
/// As container runtimes do it: what tells of the host or acts on it.
const PROC_HIDDEN_FILES: &[&str] = &[
    "kcore",
    "keys",
    "key-users",
    "kmsg",
    "kallsyms",
    "latency_stats",
    "timer_list",
    "sched_debug",
    "slabinfo",
    "vmallocinfo",
    "pagetypeinfo",
    "iomem",
    "ioports",
    "modules",
];
const PROC_HIDDEN_DIRECTORIES: &[&str] = &["acpi", "asound", "scsi", "driver", "dynamic_debug"];
const PROC_READ_ONLY: &[&str] = &["bus", "fs", "irq", "sys", "sysrq-trigger", "tty"];

/// The directory of [`HOST_ETC`] that is copied, where an authority is to be added to it, and the list in it.
const AUTHORITIES: &str = "ssl/certs";
const AUTHORITIES_LIST: &str = "ca-certificates.crt";

/// Writes the `/etc` that every instance shares into `directory`.
pub(crate) fn prepare_etc(directory: &Path, resolv_conf: &str, authority: Option<&Authority>) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let write = |name: &str, text: &str| -> io::Result<()> {
        let path = directory.join(name);
        std::fs::write(&path, text)?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644))
    };
    make_directory(directory)?;
    write(
        "passwd",
        &format!(
            "root:x:0:0:root:/:/sbin/nologin\nsbx_user1051:x:{INNER_UID}:{INNER_GID}::/tmp:/sbin/nologin\nnobody:x:65534:65534::/:/sbin/nologin\n"
        ),
    )?;
    write("group", &format!("root:x:0:\nsbx_user1051:x:{INNER_GID}:\nnogroup:x:65534:\n"))?;
    write("hosts", "127.0.0.1 localhost instance sandbox sandbox.localdomain\n::1 localhost ip6-localhost\n")?;
    write("resolv.conf", resolv_conf)?;
    write("nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\nservices: files\n")?;
    write("host.conf", "multi on\n")?;
    for name in HOST_ETC {
        let host = Path::new("/etc").join(name);
        let Ok(kind) = std::fs::metadata(&host) else {
            continue;
        };
        let place = directory.join(name);
        if let Some(authority) = authority.filter(|_| has_own_copy(name, &host)) {
            copy_authorities(&host, &place, authority)?;
        } else if kind.is_dir() {
            make_directory(&place)?;
        } else {
            if let Some(parent) = place.parent() {
                make_directory(parent)?;
            }
            write(name, "")?;
        }
    }
    Ok(())
}

/// Whether instances see what was copied at the start, and not the host's own.
fn has_own_copy(name: &str, host: &Path) -> bool {
    name == AUTHORITIES && host.is_dir() && host.join(AUTHORITIES_LIST).is_file()
}

/// The host's authorities, and one more: in the list that most programs read, and by the name that OpenSSL looks for.
fn copy_authorities(host: &Path, place: &Path, authority: &Authority) -> io::Result<()> {
    use std::os::unix::fs::{PermissionsExt, symlink};
    if place.exists() {
        std::fs::remove_dir_all(place)?;
    }
    make_directory(place)?;
    let write = |name: &str, bytes: &[u8]| -> io::Result<()> {
        let path = place.join(name);
        std::fs::write(&path, bytes)?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644))
    };
    for entry in std::fs::read_dir(host)? {
        let entry = entry?;
        let (name, kind) = (entry.file_name(), entry.file_type()?);
        if kind.is_symlink() {
            symlink(std::fs::read_link(entry.path())?, place.join(name))?;
        } else if kind.is_file() {
            let bytes = std::fs::read(entry.path())?;
            write(&name.to_string_lossy(), &bytes)?;
        }
    }
    let mut list = std::fs::read(host.join(AUTHORITIES_LIST))?;
    list.extend_from_slice(authority.pem.as_bytes());
    write(AUTHORITIES_LIST, &list)?;
    write(&format!("{}.0", authority.openssl_hash), authority.pem.as_bytes())
}

fn make_directory(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new().recursive(true).mode(0o755).create(path)
}

/// Lays out the root of one instance. `privileged`: the sources are opened here and now.
pub(crate) fn compile(layout: &Layout<'_>, etc: &Path, privileged: bool) -> io::Result<Root> {
    let mut root = Root::default();
    for name in ["proc", "tmp", "etc", "dev", "usr", "var", "opt"] {
        root.directory(name)?;
    }
    if layout.image.is_none() {
        root.directory("var/empty")?;
    }
    root.steps.push(Step::Proc);
    root.steps.push(Step::Tmp(text(format!(
        "size={}m,nr_inodes={},mode=1777",
        layout.ephemeral_mb,
        u64::from(layout.ephemeral_mb) * INODES_PER_MB
    ))?));
    if let Some(image) = layout.image {
        root.image(image, etc, layout.file_system.is_some(), privileged)?;
        root.devices(privileged)?;
        root.directory(COVER)?;
        root.mask_proc(COVER)?;
        root.rest(layout, privileged)?;
        return Ok(root);
    }
    root.attach(Path::new("/usr"), "usr", READ_ONLY, privileged)?;
    root.host_directories(privileged)?;
    root.attach(etc, "etc", READ_ONLY, privileged)?;
    for name in HOST_ETC {
        let host = Path::new("/etc").join(name);
        if host.exists() && !(etc.join(name).join(AUTHORITIES_LIST).is_file() && has_own_copy(name, &host)) {
            root.attach(&host, &format!("etc/{name}"), READ_ONLY, privileged)?;
        }
    }
    root.devices(privileged)?;
    root.mask_proc("var/empty")?;
    root.directory("var/task")?;
    root.attach(layout.code_dir, "var/task", READ_ONLY, privileged)?;
    if let Some(layers) = layout.layers_dir {
        root.attach(layers, "opt", READ_ONLY, privileged)?;
    }
    root.directory("var/runtime")?;
    if let Some(runtime) = layout.runtime_dir {
        root.attach(runtime, "var/runtime", READ_ONLY, privileged)?;
        for (name, folder) in layout.sdk {
            root.attach(folder, &format!("var/runtime/{name}"), READ_ONLY, privileged)?;
        }
    }
    root.rest(layout, privileged)?;
    for prefix in layout.prefixes {
        let place = inside(prefix)?;
        root.parents(&place)?;
        root.directory(&place)?;
        root.attach(prefix, &place, READ_ONLY, privileged)?;
    }
    Ok(root)
}

/// An absolute path of the host as a path relative to the new root.
fn inside(path: &Path) -> io::Result<String> {
    let clean =
        path.is_absolute() && path.components().all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
    path.to_str()
        .filter(|_| clean)
        .map(|path| path.trim_matches('/').to_owned())
        .filter(|path| !path.is_empty())
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, format!("`{}` cannot be mounted", path.display())))
}

fn text(value: impl AsRef<OsStr>) -> io::Result<CString> {
    CString::new(value.as_ref().as_bytes())
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, "a path contains a zero byte"))
}

impl Root {
    fn directory(&mut self, path: &str) -> io::Result<()> {
        self.steps.push(Step::Directory(text(path)?));
        Ok(())
    }

    fn parents(&mut self, path: &str) -> io::Result<()> {
        for (at, _) in path.match_indices('/') {
            self.directory(&path[..at])?;
        }
        Ok(())
    }

    fn attach(&mut self, host: &Path, path: &str, attributes: u64, privileged: bool) -> io::Result<()> {
        let directory = host.is_dir();
        let host_path = text(host)?;
        // Without privilege mounts below a directory are locked to it and must come along.
        let recursive = directory && (!privileged || host.starts_with("/usr"));
        let tree = if privileged {
            let named =
                |error: io::Error| io::Error::new(error.kind(), format!("opening `{}`: {error}", host.display()));
            Some(sys::open_tree(&host_path, recursive, attributes).map_err(named)?)
        } else {
            None
        };
        self.sources.push(Source { path: host_path, recursive, attributes, tree, slot: Cell::new(-1) });
        self.steps.push(Step::Attach { source: self.sources.len() - 1, path: text(path)? });
        Ok(())
    }

    /// A container image: each thing at its top, but for what instances have of their own.
    fn image(&mut self, image: &Path, etc: &Path, has_mnt: bool, privileged: bool) -> io::Result<()> {
        const MADE: &[&str] = &["proc", "tmp", "etc", "dev", "usr", "var", "opt"];
        let mut entries: Vec<_> = std::fs::read_dir(image)?.collect::<io::Result<_>>()?;
        entries.sort_by_key(std::fs::DirEntry::file_name);
        for entry in entries {
            let (name, kind) = (entry.file_name(), entry.file_type()?);
            let Some(name) = name.to_str() else { continue };
            if ["proc", "tmp", "dev", "sys"].contains(&name) || (has_mnt && name == "mnt") {
                continue;
            }
            if kind.is_symlink() && !MADE.contains(&name) {
                self.steps.push(Step::Link { target: text(std::fs::read_link(entry.path())?)?, path: text(name)? });
            } else if kind.is_dir() {
                if !MADE.contains(&name) {
                    self.directory(name)?;
                }
                self.attach(&entry.path(), name, READ_ONLY, privileged)?;
            } else if kind.is_file() {
                self.steps.push(Step::File(text(name)?));
                self.attach(&entry.path(), name, READ_ONLY, privileged)?;
            }
        }
        for name in ["hosts", "resolv.conf"] {
            self.attach(&etc.join(name), &format!("etc/{name}"), READ_ONLY, privileged)?;
        }
        Ok(())
    }

    /// What both kinds of root may have.
    fn rest(&mut self, layout: &Layout<'_>, privileged: bool) -> io::Result<()> {
        if let Some(init) = layout.init {
            let place = INIT_PATH.trim_start_matches('/');
            self.steps.push(Step::File(text(place)?));
            self.attach(init, place, READ_ONLY, privileged)?;
        }
        if let Some((directory, mount)) = layout.file_system {
            let place = inside(Path::new(mount))?;
            self.parents(&place)?;
            self.directory(&place)?;
            self.attach(directory, &place, MOUNT_NOSUID | MOUNT_NODEV, privileged)?;
        }
        Ok(())
    }

    /// `/bin`, `/lib` and their like are links into `/usr` on most hosts and directories on some.
    fn host_directories(&mut self, privileged: bool) -> io::Result<()> {
        for name in HOST_DIRECTORIES {
            let host = Path::new("/").join(name);
            let Ok(kind) = std::fs::symlink_metadata(&host) else {
                continue;
            };
            if kind.is_symlink() {
                self.steps.push(Step::Link { target: text(std::fs::read_link(&host)?)?, path: text(name)? });
            } else if kind.is_dir() {
                self.parents(name)?;
                self.directory(name)?;
                self.attach(&host, name, READ_ONLY, privileged)?;
            }
        }
        Ok(())
    }

    fn devices(&mut self, privileged: bool) -> io::Result<()> {
        for name in DEVICES {
            let path = format!("dev/{name}");
            self.steps.push(Step::File(text(&path)?));
            let host = Path::new("/dev").join(name);
            self.attach(&host, &path, MOUNT_NOSUID | MOUNT_NOEXEC, privileged)?;
        }
        for (name, target) in [("fd", ""), ("stdin", "/0"), ("stdout", "/1"), ("stderr", "/2")] {
            self.steps.push(Step::Link {
                target: text(format!("/proc/self/fd{target}"))?,
                path: text(format!("dev/{name}"))?,
            });
        }
        Ok(())
    }

    fn mask_proc(&mut self, empty: &str) -> io::Result<()> {
        let exists = |name: &&&str| Path::new("/proc").join(name).exists();
        for name in PROC_HIDDEN_FILES.iter().filter(exists) {
            self.steps.push(Step::Cover { with: text("dev/null")?, path: text(format!("proc/{name}"))? });
        }
        for name in PROC_HIDDEN_DIRECTORIES.iter().filter(exists) {
            self.steps.push(Step::Cover { with: text(empty)?, path: text(format!("proc/{name}"))? });
        }
        for name in PROC_READ_ONLY.iter().filter(exists) {
            self.steps.push(Step::ReadOnly(text(format!("proc/{name}"))?));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn only_plain_absolute_paths_are_mounted() {
        assert_eq!(inside(Path::new("/a/b/")).unwrap(), "a/b");
        for bad in ["", "/", "a/b", "/a/../b"] {
            assert!(inside(Path::new(bad)).is_err(), "{bad}");
        }
    }

    #[test]
    fn nothing_of_the_host_is_writable() {
        let etc = tempfile::tempdir().unwrap();
        let layout = Layout {
            code_dir: etc.path(),
            layers_dir: Some(etc.path()),
            runtime_dir: None,
            init: None,
            image: None,
            file_system: None,
            sdk: &[],
            prefixes: &[PathBuf::from("/home/user/node")],
            ephemeral_mb: 512,
        };
        let root = compile(&layout, etc.path(), false).unwrap();
        for source in &root.sources {
            let path = source.path.to_str().unwrap();
            let device = path.starts_with("/dev/");
            assert_eq!(source.attributes & MOUNT_RDONLY == 0, device, "{path}");
            assert_eq!(source.attributes & MOUNT_NODEV == 0, device, "{path}");
            assert_ne!(source.attributes & MOUNT_NOSUID, 0, "{path}");
        }
    }
}
