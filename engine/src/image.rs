//! Container images on disk: their layers' archives are unpacked over one another, with what they take away again
//! (<https://github.com/opencontainers/image-spec/blob/main/layer.md>). The archives are anybody's: nothing is written
//! outside of the folder, whatever links they hold. Owners, devices and set-user bits are left out, as an instance has one
//! user; what the owner may read or run, everybody may.

use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Component, Path, PathBuf};

use cumulet_base::limits;
use tar::{Archive, Entry, EntryType};

use crate::packed;

/// Why an image cannot be unpacked.
#[derive(Debug, thiserror::Error)]
pub enum BadImage {
    #[error("a layer cannot be read: {0}")]
    Unreadable(io::Error),
    #[error("unpacking `{path}`: {source}")]
    Write { path: String, source: io::Error },
    #[error("`{0}` leads nowhere")]
    Astray(String),
    #[error("unpacked, the image has more than {} bytes", limits::IMAGE_BYTES_MAX)]
    TooLarge,
    #[error("the image has more than {} files", limits::IMAGE_FILES_MAX)]
    TooManyFiles,
}

/// What is left of the bounds that all layers share.
pub struct Left {
    bytes: u64,
    files: usize,
}

impl Default for Left {
    fn default() -> Left {
        Left { bytes: limits::IMAGE_BYTES_MAX, files: limits::IMAGE_FILES_MAX }
    }
}

impl Left {
    /// Counts an entry, whose path it answers.
    fn take<R: Read>(&mut self, entry: &Entry<'_, R>) -> Result<PathBuf, BadImage> {
        self.files = self.files.checked_sub(1).ok_or(BadImage::TooManyFiles)?;
        self.bytes = self.bytes.checked_sub(entry.size()).ok_or(BadImage::TooLarge)?;
        clean(&entry.path().map_err(BadImage::Unreadable)?)
    }
}

const WHITEOUT: &str = ".wh.";
/// Takes away all that lower layers have in its folder.
const OPAQUE: &str = ".wh..wh..opq";
/// Links that one path leads through.
const LINKS_MAX: usize = 40;

/// Looks through a layer without unpacking it, so that what could never be unpacked is told when the image is taken.
///
/// # Errors
/// What is packed wrongly, cut off, too large, or leads out of the image.
pub fn check_layer(layer: &[u8], left: &mut Left) -> Result<(), BadImage> {
    let mut archive = Archive::new(packed::unpacked(layer));
    for entry in archive.entries().map_err(BadImage::Unreadable)? {
        let mut entry = entry.map_err(BadImage::Unreadable)?;
        let path = left.take(&entry)?;
        if entry.header().entry_type() == EntryType::Link {
            clean(&link_of(&mut entry, &path)?)?;
        }
    }
    // What follows upon the end of the archive says whether the packing is whole.
    let mut rest = archive.into_inner().take(left.bytes.saturating_add(1));
    let more = io::copy(&mut rest, &mut io::sink()).map_err(BadImage::Unreadable)?;
    left.bytes = left.bytes.checked_sub(more).ok_or(BadImage::TooLarge)?;
    Ok(())
}

/// Unpacks one layer over what is in `root`.
///
/// # Errors
/// What is in `root` afterwards is of no use.
pub fn unpack_layer(layer: &[u8], root: &Path, left: &mut Left) -> Result<(), BadImage> {
    // Files of this layer, which its own whiteouts do not concern.
    let mut own = std::collections::HashSet::new();
    let mut archive = Archive::new(packed::unpacked(layer));
    for entry in archive.entries().map_err(BadImage::Unreadable)? {
        let mut entry = entry.map_err(BadImage::Unreadable)?;
        let path = left.take(&entry)?;
        let Some(name) = path.file_name().map(|name| name.to_string_lossy().into_owned()) else { continue };
        let parent = folder(root, path.parent().unwrap_or(Path::new("")))?;
        if name == OPAQUE {
            clear(&parent, |path| own.contains(path)).map_err(failed(&path))?;
        } else if let Some(gone) = name.strip_prefix(WHITEOUT) {
            let gone = parent.join(gone);
            if !own.contains(&gone) {
                remove(&gone).map_err(failed(&path))?;
            }
        } else {
            let place = parent.join(&name);
            write(&mut entry, &place, root, &path)?;
            own.insert(place);
        }
    }
    Ok(())
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> BadImage {
    let path = path.display().to_string();
    move |source| BadImage::Write { path, source }
}

/// A path of an archive, relative to the root of the image.
fn clean(path: &Path) -> Result<PathBuf, BadImage> {
    let mut clean = PathBuf::new();
    for part in path.components() {
        match part {
            Component::Normal(part) => clean.push(part),
            Component::CurDir | Component::RootDir => {}
            Component::ParentDir | Component::Prefix(_) => return Err(BadImage::Astray(path.display().to_string())),
        }
    }
    Ok(clean)
}

/// The folder at `path`, made where it is missing. Links are followed as inside of the image, never out of it.
fn folder(root: &Path, path: &Path) -> Result<PathBuf, BadImage> {
    let mut at = PathBuf::new();
    let mut to_go: Vec<_> = path.components().rev().map(|part| part.as_os_str().to_owned()).collect();
    let mut links = 0;
    while let Some(part) = to_go.pop() {
        if part == ".." {
            at.pop();
            continue;
        }
        if part == "." || part == "/" {
            continue;
        }
        let next = at.join(&part);
        let full = root.join(&next);
        match fs::symlink_metadata(&full) {
            Ok(kind) if kind.is_dir() => at = next,
            Ok(kind) if kind.is_symlink() => {
                links += 1;
                if links > LINKS_MAX {
                    return Err(BadImage::Astray(path.display().to_string()));
                }
                let target = fs::read_link(&full).map_err(failed(&next))?;
                if target.is_absolute() {
                    at = PathBuf::new();
                }
                to_go.extend(target.components().rev().map(|part| part.as_os_str().to_owned()));
            }
            Ok(_) => {
                fs::remove_file(&full).and_then(|()| fs::create_dir(&full)).map_err(failed(&next))?;
                at = next;
            }
            Err(_) => {
                fs::create_dir(&full).map_err(failed(&next))?;
                fs::set_permissions(&full, fs::Permissions::from_mode(0o755)).map_err(failed(&next))?;
                at = next;
            }
        }
    }
    Ok(root.join(at))
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(kind) if kind.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(_) => Ok(()),
    }
}

fn clear(folder: &Path, is_kept: impl Fn(&Path) -> bool) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if !is_kept(&path) {
            remove(&path)?;
        }
    }
    Ok(())
}

fn write<R: Read>(entry: &mut Entry<'_, R>, place: &Path, root: &Path, path: &Path) -> Result<(), BadImage> {
    let kind = entry.header().entry_type();
    let is_folder_there = fs::symlink_metadata(place).is_ok_and(|there| there.is_dir());
    let mode = entry.header().mode().unwrap_or(0o755);
    if kind == EntryType::Directory {
        if !is_folder_there {
            remove(place).and_then(|()| fs::create_dir(place)).map_err(failed(path))?;
        }
        return fs::set_permissions(place, fs::Permissions::from_mode(open_to_all(mode) | 0o700)).map_err(failed(path));
    }
    remove(place).map_err(failed(path))?;
    match kind {
        EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
            let mut file = fs::File::create_new(place).map_err(failed(path))?;
            io::copy(entry, &mut file).map_err(failed(path))?;
            file.set_permissions(fs::Permissions::from_mode(open_to_all(mode))).map_err(failed(path))
        }
        EntryType::Symlink | EntryType::Link => {
            let target = link_of(entry, path)?;
            if kind == EntryType::Symlink {
                return symlink(&target, place).map_err(failed(path));
            }
            let target = clean(&target)?;
            let Some(name) = target.file_name() else { return Err(BadImage::Astray(path.display().to_string())) };
            let parent = folder(root, target.parent().unwrap_or(Path::new("")))?;
            fs::hard_link(parent.join(name), place).map_err(failed(path))
        }
        // Devices and pipes: an instance has devices of its own.
        _ => Ok(()),
    }
}

fn link_of<R: Read>(entry: &mut Entry<'_, R>, path: &Path) -> Result<PathBuf, BadImage> {
    let target = entry.link_name().map_err(BadImage::Unreadable)?;
    target.map(std::borrow::Cow::into_owned).ok_or_else(|| BadImage::Astray(path.display().to_string()))
}

/// Everybody has what the owner has, but for writing.
fn open_to_all(mode: u32) -> u32 {
    let owner = (mode >> 6) & 0o5;
    (mode & 0o755) | (owner << 3) | owner
}

/// Makes what has to be there for an instance to mount upon, and what an image is run with.
///
/// # Errors
/// As of the file system.
pub fn make_places(root: &Path) -> Result<(), BadImage> {
    let etc = folder(root, Path::new("etc"))?;
    for name in ["hosts", "resolv.conf"] {
        let path = etc.join(name);
        if fs::symlink_metadata(&path).is_ok_and(|there| there.is_file()) {
            continue;
        }
        remove(&path).and_then(|()| fs::write(&path, "")).map_err(failed(Path::new(name)))?;
    }
    Ok(())
}

/// The program in the image that a name stands for, by the image's own `PATH`; a path stays as it is.
pub fn find_program(root: &Path, name: &str, path: &str) -> String {
    if name.contains('/') {
        return name.to_owned();
    }
    let is_there = |candidate: &String| {
        // Wherever a link leads to is only known inside.
        let relative = candidate.trim_start_matches('/');
        fs::symlink_metadata(root.join(relative)).is_ok_and(|kind| kind.is_symlink() || kind.is_file())
    };
    let candidates = path.split(':').filter(|part| part.starts_with('/')).map(|part| format!("{part}/{name}"));
    candidates.into_iter().find(is_there).unwrap_or_else(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    enum Item {
        Folder(&'static str),
        File(&'static str, &'static str, u32),
        Soft(&'static str, &'static str),
        Hard(&'static str, &'static str),
    }
    use Item::{File, Folder, Hard, Soft};

    fn layer(items: &[Item]) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for item in items {
            let mut header = tar::Header::new_gnu();
            header.set_size(0);
            let (path, text) = match item {
                Folder(path) => {
                    header.set_entry_type(EntryType::Directory);
                    header.set_mode(0o750);
                    (*path, "")
                }
                File(path, text, mode) => {
                    header.set_size(text.len() as u64);
                    header.set_mode(*mode);
                    (*path, *text)
                }
                Soft(path, target) | Hard(path, target) => {
                    let is_soft = matches!(item, Soft(..));
                    header.set_entry_type(if is_soft { EntryType::Symlink } else { EntryType::Link });
                    header.set_link_name_literal(target).unwrap();
                    (*path, "")
                }
            };
            // As hostile archives have them; the builder itself would refuse.
            header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
            header.set_cksum();
            builder.append(&header, text.as_bytes()).unwrap();
        }
        builder.into_inner().unwrap()
    }

    fn unpack(layers: &[&[Item]]) -> (tempfile::TempDir, Result<(), BadImage>) {
        let root = tempfile::tempdir().unwrap();
        let mut left = Left::default();
        let result = layers.iter().try_for_each(|items| unpack_layer(&layer(items), root.path(), &mut left));
        (root, result)
    }

    #[test]
    fn layers_lie_over_one_another() {
        let (root, result) = unpack(&[
            &[
                Folder("a"),
                File("a/one", "1", 0o700),
                File("a/two", "2", 0o644),
                Folder("b/c"),
                File("b/c/three", "3", 0o644),
                Soft("s", "/a"),
            ],
            &[
                File("a/.wh.one", "", 0),
                File("s/four", "4", 0o600),
                Hard("five", "a/four"),
                File("b/c/new", "n", 0o644),
                File("b/c/.wh..wh..opq", "", 0),
                File("x/y/z", "", 0o644),
            ],
            &[File("x", "a file now", 0o644)],
        ]);
        result.unwrap();
        let read = |path: &str| fs::read_to_string(root.path().join(path)).ok();
        assert_eq!(read("a/one"), None);
        assert_eq!((read("a/two").as_deref(), read("a/four").as_deref()), (Some("2"), Some("4")));
        assert_eq!((read("five").as_deref(), read("x").as_deref()), (Some("4"), Some("a file now")));
        assert_eq!((read("b/c/three"), read("b/c/new").as_deref()), (None, Some("n")));
        let mode = |path: &str| fs::metadata(root.path().join(path)).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode("a"), mode("five")), (0o755, 0o644));
    }

    #[test]
    fn nothing_is_written_outside() {
        let outside = tempfile::tempdir().unwrap();
        let target: &'static str = outside.path().to_str().unwrap().to_owned().leak();
        let up: &'static str = "../../../../../../../../../../tmp/cumulet-escaped";
        let (root, result) = unpack(&[
            &[Soft("out", target), File("out/file", "x", 0o644), Soft("up", up)],
            &[File("up/file", "x", 0o644)],
        ]);
        result.unwrap();
        assert!(fs::read_dir(outside.path()).unwrap().next().is_none());
        assert!(root.path().join(target.trim_start_matches('/')).join("file").exists());
        assert!(root.path().join("tmp/cumulet-escaped/file").exists());
        assert!(unpack(&[&[File("a/../../b", "x", 0o644)]]).1.is_err());
        assert!(unpack(&[&[Soft("l", "l"), File("l/x", "x", 0o644)]]).1.is_err());
        assert!(unpack(&[&[Soft("h", "/etc/passwd"), Hard("g", "../../etc/passwd")]]).1.is_err());
    }

    #[test]
    fn what_cannot_be_unpacked_is_seen_before() {
        let check = |layer: &[u8]| check_layer(layer, &mut Left::default());
        let good = layer(&[Folder("a"), File("a/one", "1", 0o644), Hard("two", "a/one"), Soft("up", "../..")]);
        assert!(check(&good).is_ok());
        assert!(check(&good[..good.len() / 2]).is_err());
        assert!(check(b"no archive at all, whatever it may be").is_err());
        for wrong in [File("a/../../b", "x", 0o644), Hard("g", "../../etc/passwd")] {
            assert!(matches!(check(&layer(&[wrong])), Err(BadImage::Astray(_))));
        }
        let mut left = Left { bytes: 1, files: 10 };
        assert!(matches!(check_layer(&layer(&[File("a", "12", 0o644)]), &mut left), Err(BadImage::TooLarge)));
        let mut left = Left { bytes: 1 << 20, files: 1 };
        assert!(matches!(check_layer(&good, &mut left), Err(BadImage::TooManyFiles)));
    }

    #[test]
    fn programs_are_found_by_the_images_path() {
        let (root, _) = unpack(&[&[File("usr/bin/tool", "", 0o755), Soft("opt/tool", "elsewhere")]]);
        for (name, path, expect) in [
            ("tool", "/bin:/usr/bin", "/usr/bin/tool"),
            ("tool", "/opt:/usr/bin", "/opt/tool"),
            ("./tool", "/usr/bin", "./tool"),
            ("none", "/usr/bin", "none"),
        ] {
            assert_eq!(find_program(root.path(), name, path), expect);
        }
    }
}
