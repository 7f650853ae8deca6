//! The child's mounts: attaches the sources, takes the steps of [`crate::root`], and makes the result its root.
//! As everything in `child`, only system calls on memory laid out beforehand.
#![allow(unsafe_code)]

use std::ffi::{CStr, c_char};
use std::os::fd::RawFd;

use super::{Done, Stage, need};
use crate::root::{Root, Step};
use crate::sys::{MOUNT_NODEV, MOUNT_NOSUID, MOUNT_RDONLY, MOVE_MOUNT_F_EMPTY_PATH, MountAttr, OPEN_TREE_CLONE};

pub(super) unsafe fn build_root(root: &Root) -> Done {
    let none = std::ptr::null::<c_char>();
    // SAFETY: all strings are C strings owned by `root`, all descriptors are open, and structs outlive their calls.
    unsafe {
        need(
            libc::mount(none, c"/".as_ptr(), none, libc::MS_REC | libc::MS_SLAVE, std::ptr::null()).into(),
            Stage::Detach,
        )?;
        // Sources first: the new root is about to cover a directory of the old one.
        for source in &root.sources {
            let fd = match &source.tree {
                Some(tree) => std::os::fd::AsRawFd::as_raw_fd(tree),
                None => open_source(&source.path, source.recursive, source.attributes)?,
            };
            source.slot.set(fd);
        }
        need(
            libc::mount(
                c"tmpfs".as_ptr(),
                c"/proc".as_ptr(),
                c"tmpfs".as_ptr(),
                libc::MS_NOSUID | libc::MS_NODEV,
                c"size=1m,nr_inodes=512,mode=755".as_ptr().cast(),
            )
            .into(),
            Stage::RootMount,
        )?;
        need(libc::chdir(c"/proc".as_ptr()).into(), Stage::RootMount)?;
        libc::umask(0o022);
        for step in &root.steps {
            take(step, root)?;
        }
        need(libc::syscall(libc::SYS_pivot_root, c".".as_ptr(), c".".as_ptr()), Stage::Pivot)?;
        need(libc::umount2(c".".as_ptr(), libc::MNT_DETACH).into(), Stage::Pivot)?;
        need(libc::chdir(c"/".as_ptr()).into(), Stage::Pivot)?;
        need(set_attributes(libc::AT_FDCWD, c"/", 0, MOUNT_RDONLY | MOUNT_NOSUID | MOUNT_NODEV), Stage::Pivot)?;
    }
    Ok(())
}

unsafe fn set_attributes(fd: RawFd, path: &CStr, flags: libc::c_uint, set: u64) -> libc::c_long {
    let attr = MountAttr { set, clear: 0, propagation: 0, userns_fd: 0 };
    // SAFETY: `attr` outlives the call and its true size is passed.
    unsafe { libc::syscall(libc::SYS_mount_setattr, fd, path.as_ptr(), flags, &attr, size_of::<MountAttr>()) }
}

unsafe fn open_source(path: &CStr, recursive: bool, attributes: u64) -> Result<RawFd, Stage> {
    let flags = if recursive { libc::AT_RECURSIVE as libc::c_uint } else { 0 };
    // SAFETY: only valid C strings are passed.
    unsafe {
        let fd = need(
            libc::syscall(
                libc::SYS_open_tree,
                libc::AT_FDCWD,
                path.as_ptr(),
                OPEN_TREE_CLONE | libc::O_CLOEXEC as libc::c_uint | flags,
            ),
            Stage::Source,
        )? as RawFd;
        need(set_attributes(fd, c"", libc::AT_EMPTY_PATH as libc::c_uint | flags, attributes), Stage::Source)?;
        Ok(fd)
    }
}

pub(crate) unsafe fn take(step: &Step, root: &Root) -> Done {
    let none = std::ptr::null::<c_char>();
    // SAFETY: all strings are C strings owned by the step, or static.
    unsafe {
        match step {
            Step::Directory(path) => {
                if libc::mkdir(path.as_ptr(), 0o755) < 0 && *libc::__errno_location() != libc::EEXIST {
                    return Err(Stage::RootBuild);
                }
            }
            Step::File(path) => {
                let fd = need(
                    libc::open(path.as_ptr(), libc::O_CREAT | libc::O_WRONLY | libc::O_CLOEXEC, 0o644).into(),
                    Stage::RootBuild,
                )?;
                libc::close(fd as RawFd);
            }
            Step::Link { target, path } => {
                need(libc::symlink(target.as_ptr(), path.as_ptr()).into(), Stage::RootBuild)?;
            }
            Step::Attach { source, path } => {
                let Some(source) = root.sources.get(*source) else {
                    return Err(Stage::RootBuild);
                };
                need(
                    libc::syscall(
                        libc::SYS_move_mount,
                        source.slot.get(),
                        c"".as_ptr(),
                        libc::AT_FDCWD,
                        path.as_ptr(),
                        MOVE_MOUNT_F_EMPTY_PATH,
                    ),
                    Stage::RootBuild,
                )?;
            }
            Step::Proc => {
                need(
                    libc::mount(
                        c"proc".as_ptr(),
                        c"proc".as_ptr(),
                        c"proc".as_ptr(),
                        libc::MS_NOSUID | libc::MS_NODEV | libc::MS_NOEXEC,
                        std::ptr::null(),
                    )
                    .into(),
                    Stage::Proc,
                )?;
            }
            Step::Tmp(options) => {
                need(
                    libc::mount(
                        c"tmpfs".as_ptr(),
                        c"tmp".as_ptr(),
                        c"tmpfs".as_ptr(),
                        libc::MS_NOSUID | libc::MS_NODEV,
                        options.as_ptr().cast(),
                    )
                    .into(),
                    Stage::Tmp,
                )?;
            }
            Step::Cover { with, path } => {
                need(
                    libc::mount(with.as_ptr(), path.as_ptr(), none, libc::MS_BIND, std::ptr::null()).into(),
                    Stage::Mask,
                )?;
            }
            Step::ReadOnly(path) => {
                need(
                    libc::mount(path.as_ptr(), path.as_ptr(), none, libc::MS_BIND | libc::MS_REC, std::ptr::null())
                        .into(),
                    Stage::Mask,
                )?;
                need(set_attributes(libc::AT_FDCWD, path, 0, MOUNT_RDONLY), Stage::Mask)?;
            }
        }
    }
    Ok(())
}
