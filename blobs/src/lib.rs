//! Immutable bytes named by their SHA-256 digest, in a directory or any object store. `docs/formats/blobs.md` fixes the layout.
//! Knows not who refers to a blob: it exists for the world only when a committed record names it, and only the owner of the
//! records may delete it. Those named by digest are in memory whole; `stream` is for larger ones, under names of their own.

mod bucket;
mod client;
mod crypto;
mod digest;
mod stream;

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use cumulet_base::limits::{BLOB_BYTES_MAX, BLOB_PIECE_BYTES, BLOB_PIECE_LOCAL_BYTES};
use object_store::local::LocalFileSystem;
use object_store::{ObjectStore, ObjectStoreExt};

pub use bucket::{Access, Address, NotAnAddress};
pub use digest::{Digest, NotADigest};
pub use stream::Writer;

const FOLDER: &str = "sha256";

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("there is no blob {0}")]
    NotFound(Digest),
    /// What is stored under the name is not what was put.
    #[error("the blob {0} is damaged")]
    Damaged(Digest),
    #[error("a blob of {bytes} bytes is more than {max}")]
    TooLarge { bytes: usize, max: usize },
    #[error("`{0}` is no option of such a bucket")]
    Option(String),
    #[error("the bucket's folder has another cloud's blobs in it")]
    Taken,
    #[error("{doing}")]
    Backend { doing: &'static str, source: object_store::Error },
    #[error("{doing}")]
    Directory { doing: &'static str, source: io::Error },
}

impl Error {
    /// Whether there was no room left for what was to be written.
    pub fn is_full(&self) -> bool {
        let mut source: Option<&(dyn std::error::Error + 'static)> = Some(self);
        while let Some(error) = source {
            let kind = error.downcast_ref::<io::Error>().map(io::Error::kind);
            if matches!(kind, Some(io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)) {
                return true;
            }
            source = error.source();
        }
        false
    }
}

pub type Result<T> = std::result::Result<T, Error>;

/// Clones share the same bytes.
#[derive(Clone, Debug)]
pub struct Blobs {
    store: Arc<dyn ObjectStore>,
    piece_bytes: usize,
}

impl Blobs {
    /// Blobs of an object store whose `put` is atomic and durable when it returns, as that of S3 is.
    pub fn new(store: Arc<dyn ObjectStore>) -> Blobs {
        Blobs { store, piece_bytes: BLOB_PIECE_BYTES }
    }

    /// Blobs of a directory, which is made where it is missing. Blocks for these few file operations.
    ///
    /// # Errors
    /// [`Error::Directory`] when the file system refuses.
    pub fn local(dir: &Path) -> Result<Blobs> {
        let failed = |source| Error::Directory { doing: "making the blobs' directory", source };
        // Made here and not by the first puts: of two at the same time, one would not wait for the other's fsync.
        make_durable(&dir.join(FOLDER)).map_err(failed)?;
        stream::prepare(dir).map_err(failed)?;
        let store = LocalFileSystem::new_with_prefix(dir)
            .map_err(|source| Error::Backend { doing: "opening the blobs' directory", source })?;
        Ok(Blobs { store: Arc::new(store.with_fsync(true)), piece_bytes: BLOB_PIECE_LOCAL_BYTES })
    }

    /// Durable when it returns. Bytes that are there already are written again: that costs little where blobs are rarely
    /// put twice, needs no trust in what is there, and mends it where it is damaged.
    ///
    /// # Errors
    /// [`Error::TooLarge`], [`Error::Backend`].
    pub async fn put(&self, bytes: Bytes) -> Result<Digest> {
        if bytes.len() > BLOB_BYTES_MAX {
            return Err(Error::TooLarge { bytes: bytes.len(), max: BLOB_BYTES_MAX });
        }
        let (digest, bytes) = hash(bytes).await?;
        let put = self.store.put(&path(&digest), bytes.into()).await;
        put.map_err(|source| Error::Backend { doing: "writing a blob", source })?;
        Ok(digest)
    }

    /// The bytes, after they were checked against their name.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Damaged`], [`Error::Backend`].
    pub async fn get(&self, digest: &Digest) -> Result<Bytes> {
        let failed = |source| self.failed("reading a blob", digest, source);
        let found = self.store.get(&path(digest)).await.map_err(failed)?;
        if found.meta.size > BLOB_BYTES_MAX as u64 {
            return Err(Error::Damaged(*digest));
        }
        let bytes = found.bytes().await.map_err(failed)?;
        let (actual, bytes) = hash(bytes).await?;
        if actual != *digest {
            return Err(Error::Damaged(*digest));
        }
        Ok(bytes)
    }

    /// Whether something is stored under the name; its bytes are not checked.
    ///
    /// # Errors
    /// [`Error::Backend`].
    pub async fn exists(&self, digest: &Digest) -> Result<bool> {
        match self.store.head(&path(digest)).await {
            Ok(_) => Ok(true),
            Err(source) => match self.failed("looking for a blob", digest, source) {
                Error::NotFound(_) => Ok(false),
                error => Err(error),
            },
        }
    }

    /// What is not there is deleted already. After a power failure a local blob may be there again.
    ///
    /// # Errors
    /// [`Error::Backend`].
    pub async fn delete(&self, digest: &Digest) -> Result<()> {
        match self.store.delete(&path(digest)).await {
            Ok(()) => Ok(()),
            Err(source) => match self.failed("deleting a blob", digest, source) {
                Error::NotFound(_) => Ok(()),
                error => Err(error),
            },
        }
    }

    fn failed(&self, doing: &'static str, digest: &Digest, source: object_store::Error) -> Error {
        match source {
            object_store::Error::NotFound { .. } => Error::NotFound(*digest),
            source => Error::Backend { doing, source },
        }
    }
}

fn path(digest: &Digest) -> object_store::path::Path {
    object_store::path::Path::from_iter([FOLDER.to_owned(), digest.to_string()])
}

/// Below this, handing the bytes to another thread takes longer than hashing them.
const HASHED_IN_PLACE_BYTES_MAX: usize = 16 * 1024;

/// Fails only when the runtime shuts down.
async fn hash(bytes: Bytes) -> Result<(Digest, Bytes)> {
    if bytes.len() <= HASHED_IN_PLACE_BYTES_MAX {
        return Ok((Digest::of(&bytes), bytes));
    }
    let hashed = tokio::task::spawn_blocking(move || (Digest::of(&bytes), bytes)).await;
    hashed.map_err(|source| Error::Backend { doing: "hashing a blob", source: source.into() })
}

/// Makes a directory and its missing ancestors, each durable in the one above it.
fn make_durable(dir: &Path) -> io::Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    let parent = match dir.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    make_durable(parent)?;
    match fs::create_dir(dir) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    File::open(parent)?.sync_all()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use object_store::memory::InMemory;

    async fn check(blobs: Blobs) {
        for size in [0, 1, HASHED_IN_PLACE_BYTES_MAX + 1, 300_000] {
            let bytes = Bytes::from(vec![size as u8; size]);
            let digest = Digest::of(&bytes);
            assert!(!blobs.exists(&digest).await.unwrap());
            assert!(matches!(blobs.get(&digest).await, Err(Error::NotFound(d)) if d == digest));
            assert_eq!(blobs.put(bytes.clone()).await.unwrap(), digest);
            assert_eq!(blobs.put(bytes.clone()).await.unwrap(), digest);
            assert!(blobs.exists(&digest).await.unwrap());
            assert_eq!(blobs.get(&digest).await.unwrap(), bytes);
            blobs.delete(&digest).await.unwrap();
            blobs.delete(&digest).await.unwrap();
            assert!(!blobs.exists(&digest).await.unwrap());
        }
    }

    #[tokio::test]
    async fn bytes_come_back_from_a_directory() {
        let dir = tempfile::tempdir().unwrap();
        check(Blobs::local(&dir.path().join("made/for/it")).unwrap()).await;
    }

    #[tokio::test]
    async fn bytes_come_back_from_an_object_store() {
        check(Blobs::new(Arc::new(InMemory::new()))).await;
    }

    #[tokio::test]
    async fn the_layout_is_the_documented_one() {
        let dir = tempfile::tempdir().unwrap();
        let blobs = Blobs::local(dir.path()).unwrap();
        blobs.put("abc".into()).await.unwrap();
        let name = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(fs::read(dir.path().join("sha256").join(name)).unwrap(), b"abc");
    }

    #[tokio::test]
    async fn damage_is_noticed_and_mended() {
        let dir = tempfile::tempdir().unwrap();
        let blobs = Blobs::local(dir.path()).unwrap();
        let digest = blobs.put("abc".into()).await.unwrap();
        let file = dir.path().join("sha256").join(digest.to_string());
        for damage in ["abd", "ab", ""] {
            fs::write(&file, damage).unwrap();
            let got = blobs.get(&digest).await;
            assert!(matches!(got, Err(Error::Damaged(d)) if d == digest));
        }
        blobs.put("abc".into()).await.unwrap();
        assert_eq!(blobs.get(&digest).await.unwrap(), "abc");
        assert_eq!(Blobs::local(dir.path()).unwrap().get(&digest).await.unwrap(), "abc");
    }

    #[tokio::test]
    async fn the_same_bytes_may_be_put_at_the_same_time() {
        let dir = tempfile::tempdir().unwrap();
        let blobs = Blobs::local(dir.path()).unwrap();
        let bytes = Bytes::from(vec![7; 100_000]);
        let puts = (0..16).map(|_| blobs.put(bytes.clone()));
        let digests = futures_util::future::try_join_all(puts).await.unwrap();
        assert!(digests.iter().all(|digest| *digest == digests[0]));
        assert_eq!(blobs.get(&digests[0]).await.unwrap(), bytes);
        assert_eq!(fs::read_dir(dir.path().join("sha256")).unwrap().count(), 1);
    }

    #[tokio::test]
    async fn a_directory_that_cannot_be_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        fs::write(&file, "").unwrap();
        assert!(matches!(Blobs::local(&file), Err(Error::Directory { .. })));
        let blobs = Blobs::local(dir.path()).unwrap();
        fs::remove_dir(dir.path().join("sha256")).unwrap();
        fs::write(dir.path().join("sha256"), "").unwrap();
        assert!(matches!(blobs.put("abc".into()).await, Err(Error::Backend { .. })));
    }
}
