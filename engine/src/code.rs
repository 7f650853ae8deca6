//! Function code on disk: a zip is checked when it is uploaded and unpacked when first needed.
//! The unpacked folders are a cache of the blob store: losing them loses nothing.

use std::collections::{HashMap, HashSet};
use std::io::{Cursor, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use cumulet_base::limits;
use sha2::{Digest, Sha256};
use tokio::sync::Mutex as AsyncMutex;

use crate::image::{self, BadImage, Left};

/// Why a zip cannot be function code.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadZip {
    #[error("the archive cannot be read: {0}")]
    Unreadable(String),
    #[error("the archive is empty")]
    Empty,
    #[error("`{0}` would lie outside of the function's folder")]
    Escapes(String),
    #[error("unpacked, the archive has more than {} bytes", limits::CODE_UNZIPPED_BYTES_MAX)]
    TooLarge,
    #[error("the archive has more than {} entries", limits::CODE_FILES_MAX)]
    TooManyEntries,
    #[error("unpacking `{path}`: {reason}")]
    Write { path: String, reason: String },
}

/// Reads the whole archive as unpacking would, and writes nothing; how many bytes its files have.
pub fn check_zip(zip: &[u8]) -> Result<u64, BadZip> {
    let mut total = 0;
    walk(zip, |_, mut entry| match &mut entry {
        Entry::File { data, .. } => {
            total += std::io::copy(data, &mut std::io::sink()).map_err(|e| BadZip::Unreadable(e.to_string()))?;
            Ok(())
        }
        Entry::Folder | Entry::Link { .. } => Ok(()),
    })?;
    Ok(total)
}

impl From<BadImage> for BadZip {
    fn from(bad: BadImage) -> BadZip {
        BadZip::Unreadable(bad.to_string())
    }
}

enum Entry<'a> {
    Folder,
    File { data: &'a mut dyn Read, executable: bool },
    Link { target: PathBuf },
}

fn walk(zip: &[u8], mut visit: impl FnMut(&Path, Entry<'_>) -> Result<(), BadZip>) -> Result<(), BadZip> {
    let unreadable = |e: zip::result::ZipError| BadZip::Unreadable(e.to_string());
    let mut archive = zip::ZipArchive::new(Cursor::new(zip)).map_err(unreadable)?;
    if archive.is_empty() {
        return Err(BadZip::Empty);
    }
    if archive.len() > limits::CODE_FILES_MAX {
        return Err(BadZip::TooManyEntries);
    }
    let mut left = limits::CODE_UNZIPPED_BYTES_MAX;
    let (mut paths, mut links) = (Vec::new(), HashSet::new());
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index).map_err(unreadable)?;
        let name = entry.name().to_owned();
        let path = inner_path(&name)?;
        paths.push(path.clone());
        if entry.is_dir() {
            visit(&path, Entry::Folder)?;
        } else if entry.is_symlink() {
            let mut target = String::new();
            entry.by_ref().take(4096).read_to_string(&mut target).map_err(|e| BadZip::Unreadable(e.to_string()))?;
            let target = PathBuf::from(target);
            stays_inside(&path, &target).then_some(()).ok_or_else(|| BadZip::Escapes(name.clone()))?;
            links.insert(path.clone());
            visit(&path, Entry::Link { target })?;
        } else {
            let executable = entry.unix_mode().is_none_or(|mode| mode & 0o111 != 0);
            let mut data = Bounded { inner: &mut entry, left: &mut left, exceeded: false };
            let result = visit(&path, Entry::File { data: &mut data, executable });
            if data.exceeded {
                return Err(BadZip::TooLarge);
            }
            result?;
        }
    }
    // Each link stays inside by itself; through another link it need not, so nothing may lie beneath one.
    match paths.iter().find(|path| path.ancestors().skip(1).any(|above| links.contains(above))) {
        Some(path) => Err(BadZip::Escapes(path.display().to_string())),
        None => Ok(()),
    }
}

/// Counts what really comes out; the sizes an archive states about itself prove nothing.
struct Bounded<'a, R> {
    inner: R,
    left: &'a mut u64,
    exceeded: bool,
}

impl<R: Read> Read for Bounded<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.inner.read(buffer)?;
        match self.left.checked_sub(read as u64) {
            Some(left) => *self.left = left,
            None => {
                self.exceeded = true;
                return Err(std::io::Error::other("too large"));
            }
        }
        Ok(read)
    }
}

fn inner_path(name: &str) -> Result<PathBuf, BadZip> {
    let escapes = || BadZip::Escapes(name.to_owned());
    if name.contains('\\') || name.contains('\0') {
        return Err(escapes());
    }
    let mut path = PathBuf::new();
    for part in Path::new(name).components() {
        match part {
            Component::Normal(part) => path.push(part),
            Component::CurDir => {}
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => {
                return Err(escapes());
            }
        }
    }
    Ok(path)
}

fn stays_inside(link: &Path, target: &Path) -> bool {
    let mut depth = link.components().count() as i64 - 1;
    for part in target.components() {
        match part {
            Component::Normal(_) => depth += 1,
            Component::ParentDir => depth -= 1,
            Component::CurDir => {}
            Component::RootDir | Component::Prefix(_) => return false,
        }
        if depth < 0 {
            return false;
        }
    }
    true
}

pub fn unpack(zip: &[u8], into: &Path) -> Result<(), BadZip> {
    let mut links = Vec::new();
    walk(zip, |path, entry| {
        let full = into.join(path);
        let failed = |e: std::io::Error| BadZip::Write { path: path.display().to_string(), reason: e.to_string() };
        let parent = full.parent().unwrap_or(into);
        match entry {
            Entry::Folder => std::fs::create_dir_all(&full).map_err(failed),
            Entry::Link { target } => {
                links.push((path.to_owned(), target));
                Ok(())
            }
            Entry::File { data, executable } => {
                std::fs::create_dir_all(parent).map_err(failed)?;
                let mut file = std::fs::File::create(&full).map_err(failed)?;
                std::io::copy(data, &mut file).map_err(failed)?;
                let mode = if executable { 0o755 } else { 0o644 };
                file.set_permissions(std::fs::Permissions::from_mode(mode)).map_err(failed)
            }
        }
    })?;
    // Last, so that no file is written through a link.
    for (path, target) in links {
        let full = into.join(&path);
        let failed = |e: std::io::Error| BadZip::Write { path: path.display().to_string(), reason: e.to_string() };
        std::fs::create_dir_all(full.parent().unwrap_or(into)).map_err(failed)?;
        std::os::unix::fs::symlink(target, &full).map_err(failed)?;
    }
    Ok(())
}

/// Puts what is in one folder into another, over what is there. A link of a lower layer gives way to a folder of a higher
/// one: nothing is written through links.
fn lay_over(from: &Path, into: &Path) -> Result<(), BadZip> {
    let failed = |path: &Path| {
        let path = path.display().to_string();
        move |e: std::io::Error| BadZip::Write { path, reason: e.to_string() }
    };
    for entry in std::fs::read_dir(from).map_err(failed(from))? {
        let entry = entry.map_err(failed(from))?;
        let (path, to) = (entry.path(), into.join(entry.file_name()));
        let kind = entry.file_type().map_err(failed(&path))?;
        let there = std::fs::symlink_metadata(&to).ok();
        if kind.is_dir() {
            if there.as_ref().is_some_and(|there| !there.is_dir()) {
                std::fs::remove_file(&to).map_err(failed(&to))?;
            }
            std::fs::create_dir_all(&to).map_err(failed(&to))?;
            lay_over(&path, &to)?;
            continue;
        }
        match there {
            Some(there) if there.is_dir() => std::fs::remove_dir_all(&to).map_err(failed(&to))?,
            Some(_) => std::fs::remove_file(&to).map_err(failed(&to))?,
            None => {}
        }
        if kind.is_symlink() {
            let target = std::fs::read_link(&path).map_err(failed(&path))?;
            std::os::unix::fs::symlink(target, &to).map_err(failed(&to))?;
        } else {
            std::fs::hard_link(&path, &to).map_err(failed(&to))?;
        }
    }
    Ok(())
}

/// Unpacked code by digest.
pub struct CodeCache {
    folder: PathBuf,
    /// One gate a digest, so that two first uses unpack once, and other functions do not wait.
    gates: Mutex<HashMap<String, Arc<AsyncMutex<()>>>>,
}

impl CodeCache {
    pub fn new(folder: PathBuf) -> CodeCache {
        CodeCache { folder, gates: Mutex::default() }
    }

    /// The folder with the unpacked code; `fetch` is asked for the zip when it is not there yet.
    pub async fn folder<E: std::fmt::Display>(
        &self,
        digest: &str,
        fetch: impl Future<Output = Result<Bytes, E>>,
    ) -> Result<PathBuf, BadZip> {
        let ready = self.folder.join(digest);
        if tokio::fs::try_exists(&ready).await.unwrap_or(false) {
            return Ok(ready);
        }
        let gate =
            self.gates.lock().unwrap_or_else(PoisonError::into_inner).entry(digest.to_owned()).or_default().clone();
        let held = gate.lock().await;
        let result = self.unpack_once(&ready, fetch).await;
        drop(held);
        self.gates.lock().unwrap_or_else(PoisonError::into_inner).remove(digest);
        result.map(|()| ready)
    }

    /// The folder with layers laid over one another, the later ones on top; `None` without any.
    pub async fn layers<E: std::fmt::Display, F: Future<Output = Result<Bytes, E>>>(
        &self,
        digests: &[String],
        fetch: impl Fn(&str) -> F,
    ) -> Result<Option<PathBuf>, BadZip> {
        let mut folders = Vec::with_capacity(digests.len());
        for digest in digests {
            folders.push(self.folder(digest, fetch(digest)).await?);
        }
        if folders.len() < 2 {
            return Ok(folders.pop());
        }
        let name = format!("layers-{}", digests.join("+"));
        // A name of a folder has no more than 255 bytes.
        let name = format!("layers-{}", hex::encode(Sha256::digest(name)));
        let gate = self.gates.lock().unwrap_or_else(PoisonError::into_inner).entry(name.clone()).or_default().clone();
        let held = gate.lock().await;
        let ready = self.folder.join(&name);
        let result = if tokio::fs::try_exists(&ready).await.unwrap_or(false) {
            Ok(())
        } else {
            self.make(&ready, move |part| folders.iter().try_for_each(|folder| lay_over(folder, part))).await
        };
        drop(held);
        self.gates.lock().unwrap_or_else(PoisonError::into_inner).remove(&name);
        result.map(|()| Some(ready))
    }

    /// The folder with an image's layers unpacked over one another.
    pub async fn image<E: std::fmt::Display, F: Future<Output = Result<Bytes, E>>>(
        &self,
        layers: &[String],
        fetch: impl Fn(&str) -> F,
    ) -> Result<PathBuf, BadZip> {
        let name = format!("image-{}", hex::encode(Sha256::digest(layers.join("+"))));
        let ready = self.folder.join(&name);
        let gate = self.gates.lock().unwrap_or_else(PoisonError::into_inner).entry(name.clone()).or_default().clone();
        let held = gate.lock().await;
        let result = if tokio::fs::try_exists(&ready).await.unwrap_or(false) {
            Ok(())
        } else {
            self.unpack_image(&ready, layers, fetch).await
        };
        drop(held);
        self.gates.lock().unwrap_or_else(PoisonError::into_inner).remove(&name);
        result.map(|()| ready)
    }

    async fn unpack_image<E: std::fmt::Display, F: Future<Output = Result<Bytes, E>>>(
        &self,
        ready: &Path,
        layers: &[String],
        fetch: impl Fn(&str) -> F,
    ) -> Result<(), BadZip> {
        // One layer after the other is held in memory, not all of them.
        let part = self.folder.join(format!(".part-{}", cumulet_base::id::hex(16)));
        let mut left = Left::default();
        let failed =
            |path: &Path, e: std::io::Error| BadZip::Write { path: path.display().to_string(), reason: e.to_string() };
        tokio::fs::create_dir_all(&part).await.map_err(|e| failed(&part, e))?;
        for digest in layers {
            let layer = fetch(digest).await.map_err(|e| BadZip::Unreadable(e.to_string()))?;
            let root = part.clone();
            let job = tokio::task::spawn_blocking(move || {
                image::unpack_layer(&layer, &root, &mut left).map(|()| left).map_err(BadZip::from)
            });
            left = job.await.map_err(|e| BadZip::Unreadable(e.to_string()))??;
        }
        image::make_places(&part)?;
        tokio::fs::rename(&part, ready).await.map_err(|e| failed(ready, e))
    }

    async fn unpack_once<E: std::fmt::Display>(
        &self,
        ready: &Path,
        fetch: impl Future<Output = Result<Bytes, E>>,
    ) -> Result<(), BadZip> {
        if tokio::fs::try_exists(ready).await.unwrap_or(false) {
            return Ok(());
        }
        let zip = fetch.await.map_err(|e| BadZip::Unreadable(e.to_string()))?;
        self.make(ready, move |part| unpack(&zip, part)).await
    }

    /// Fills a folder of its own, which has its name only when it is whole.
    async fn make(
        &self,
        ready: &Path,
        fill: impl FnOnce(&Path) -> Result<(), BadZip> + Send + 'static,
    ) -> Result<(), BadZip> {
        let (ready, folder) = (ready.to_owned(), self.folder.clone());
        let job = tokio::task::spawn_blocking(move || {
            let failed =
                |e: std::io::Error| BadZip::Write { path: folder.display().to_string(), reason: e.to_string() };
            let part = folder.join(format!(".part-{}", cumulet_base::id::hex(16)));
            std::fs::create_dir_all(&part).map_err(failed)?;
            let unpacked = fill(&part).and_then(|()| std::fs::rename(&part, &ready).map_err(failed));
            if unpacked.is_err() {
                // What is left is only in the way of the next start, which clears it.
                let _left_behind = std::fs::remove_dir_all(&part);
            }
            unpacked
        });
        job.await.unwrap_or_else(|e| Err(BadZip::Unreadable(e.to_string())))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::io::Write;
    use zip::write::SimpleFileOptions;

    fn zip_of(files: &[(&str, &[u8])]) -> Vec<u8> {
        let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
        for (name, data) in files {
            writer.start_file(*name, SimpleFileOptions::default().unix_permissions(0o755)).unwrap();
            writer.write_all(data).unwrap();
        }
        writer.finish().unwrap().into_inner()
    }

    #[test]
    fn bad_archives_are_refused() {
        assert!(matches!(check_zip(b"not a zip"), Err(BadZip::Unreadable(_))));
        assert!(matches!(check_zip(b""), Err(BadZip::Unreadable(_))));
        let empty = zip::ZipWriter::new(Cursor::new(Vec::new())).finish().unwrap().into_inner();
        assert_eq!(check_zip(&empty), Err(BadZip::Empty));
        for name in ["../x", "/etc/passwd", "a/../../x", "a\\b"] {
            assert!(matches!(check_zip(&zip_of(&[(name, b"x")])), Err(BadZip::Escapes(_))), "{name}");
        }
        let mut cut = zip_of(&[("index.js", b"exports.handler = 1")]);
        let at = cut.iter().position(|b| *b == b'=').unwrap_or(40);
        cut[at] ^= 0x55;
        assert!(matches!(check_zip(&cut), Err(BadZip::Unreadable(_))));
        check_zip(&zip_of(&[("index.js", b"x"), ("lib/./a.js", b"y")])).unwrap();
    }

    #[test]
    fn a_bomb_is_refused() {
        let chunk = vec![0; 64 << 20];
        let bomb = zip_of(&[("a", &chunk), ("b", &chunk), ("c", &chunk), ("d", &chunk)]);
        assert!(bomb.len() < 1 << 20);
        assert_eq!(check_zip(&bomb), Err(BadZip::TooLarge));
    }

    #[test]
    fn links_stay_inside() {
        for (link, target, inside) in [
            ("a", "b", true),
            ("d/a", "../b", true),
            ("d/a", "../../b", false),
            ("a", "/etc", false),
            ("a", "..", false),
        ] {
            assert_eq!(stays_inside(Path::new(link), Path::new(target)), inside, "{link} -> {target}");
        }
    }

    #[test]
    fn links_beneath_links_are_refused() {
        let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
        let options = SimpleFileOptions::default();
        writer.add_symlink("a/b/c/x", "../../..", options).unwrap();
        writer.add_symlink("a/b/c/x/l", "../../../..", options).unwrap();
        let zip = writer.finish().unwrap().into_inner();
        assert!(matches!(check_zip(&zip), Err(BadZip::Escapes(_))));
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(unpack(&zip, folder.path()), Err(BadZip::Escapes(_))));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[tokio::test]
    async fn later_layers_lie_on_top_and_nothing_is_written_through_links() {
        let folder = tempfile::tempdir().unwrap();
        let cache = CodeCache::new(folder.path().join("code"));
        let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
        let options = SimpleFileOptions::default();
        writer.start_file("same", options).unwrap();
        writer.write_all(b"lower").unwrap();
        writer.start_file("own/a", options).unwrap();
        writer.add_symlink("lib", "own", options).unwrap();
        let lower = Bytes::from(writer.finish().unwrap().into_inner());
        let upper = Bytes::from(zip_of(&[("same", b"upper"), ("lib/b", b"b")]));
        let fetch = |digest: &str| {
            let zip = if digest == "l" { lower.clone() } else { upper.clone() };
            async move { Ok::<_, String>(zip) }
        };
        let digests = ["l".to_owned(), "u".to_owned()];
        let path = cache.layers(&digests, fetch).await.unwrap().unwrap();
        assert_eq!(std::fs::read(path.join("same")).unwrap(), b"upper");
        assert!(path.join("lib/b").exists() && !path.join("own/b").exists());
        assert!(!folder.path().join("code/l/own/b").exists());
        assert_eq!(cache.layers(&digests[..1], fetch).await.unwrap().unwrap(), folder.path().join("code/l"));
        assert_eq!(cache.layers(&[], fetch).await.unwrap(), None);
    }

    #[tokio::test]
    async fn code_is_unpacked_once() {
        let folder = tempfile::tempdir().unwrap();
        let cache = CodeCache::new(folder.path().join("code"));
        let zip = Bytes::from(zip_of(&[("lib/index.js", b"x")]));
        let path = cache.folder("d1", async { Ok::<_, String>(zip) }).await.unwrap();
        assert_eq!(std::fs::read(path.join("lib/index.js")).unwrap(), b"x");
        let again = cache.folder("d1", async { Err::<Bytes, _>("not asked for") }).await.unwrap();
        assert_eq!(again, path);
        assert!(cache.folder("d2", async { Err::<Bytes, _>("gone") }).await.is_err());
    }
}
