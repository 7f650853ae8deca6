//! Blobs too large for memory: written piece by piece under a name made before the bytes are known, read by ranges.
//! They are not checked against their name; who needs that keeps a checksum in the record that names them.

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use object_store::path::Path;
use object_store::{GetOptions, GetRange, GetResultPayload, MultipartUpload, ObjectStore, ObjectStoreExt, PutPayload};
use tokio::task::JoinHandle;

use crate::{Blobs, Error, Result};

const FOLDER: &str = "stream";
const READ_BYTES: u64 = 256 * 1024;

/// A blob being written; nothing of it can be read before [`Writer::finish`]. Dropped unfinished, it leaves nothing but
/// what a crash leaves: rubbish that the next start removes from a directory, and that a bucket's own rule on unfinished
/// uploads removes from a bucket.
pub struct Writer {
    store: Arc<dyn ObjectStore>,
    path: Path,
    pending: BytesMut,
    piece_bytes: usize,
    /// None while all there is fits into one piece, which is put at once.
    upload: Option<Box<dyn MultipartUpload>>,
    /// The piece before, on its way to the disk while the next one is gathered.
    under_way: Option<JoinHandle<object_store::Result<()>>>,
}

impl Writer {
    /// Takes one piece; waits while the one before it is being written, so that memory stays constant.
    ///
    /// # Errors
    /// [`Error::Backend`].
    pub async fn write(&mut self, mut bytes: Bytes) -> Result<()> {
        while !bytes.is_empty() {
            if self.pending.len() == self.piece_bytes {
                self.flush().await?;
            }
            let room = self.piece_bytes - self.pending.len();
            self.pending.extend_from_slice(&bytes.split_to(room.min(bytes.len())));
        }
        Ok(())
    }

    /// Durable when it returns.
    ///
    /// # Errors
    /// [`Error::Backend`].
    pub async fn finish(mut self) -> Result<()> {
        if self.upload.is_none() {
            let all = PutPayload::from(self.pending.split().freeze());
            let put = self.store.put(&self.path, all).await;
            return put.map(drop).map_err(|source| failed("writing a blob", source));
        }
        self.flush().await?;
        self.settle().await?;
        if let Some(upload) = &mut self.upload {
            upload.complete().await.map_err(|source| failed("finishing a blob", source))?;
        }
        self.upload = None;
        Ok(())
    }

    async fn flush(&mut self) -> Result<()> {
        self.settle().await?;
        let piece = PutPayload::from(self.pending.split().freeze());
        let upload = match &mut self.upload {
            Some(upload) => upload,
            None => {
                let begun = self.store.put_multipart(&self.path).await;
                self.upload.insert(begun.map_err(|source| failed("beginning a blob", source))?)
            }
        };
        self.under_way = Some(tokio::spawn(upload.put_part(piece)));
        Ok(())
    }

    async fn settle(&mut self) -> Result<()> {
        let Some(before) = self.under_way.take() else { return Ok(()) };
        let written = before.await.unwrap_or_else(|e| Err(e.into()));
        written.map_err(|source| failed("writing a piece of a blob", source))
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        let (Some(mut upload), Ok(runtime)) = (self.upload.take(), tokio::runtime::Handle::try_current()) else {
            return;
        };
        let under_way = self.under_way.take();
        runtime.spawn(async move {
            if let Some(under_way) = under_way {
                // Whatever became of it, it has ended, and nothing comes after it.
                let _ended = under_way.await;
            }
            if let Err(e) = upload.abort().await {
                tracing::warn!(error = %e, "ending the upload of a blob that was not finished");
            }
        });
    }
}

impl Blobs {
    /// Begins a blob. `name` is letters, digits and `-`, and never used before.
    pub fn create(&self, name: &str) -> Writer {
        Writer {
            store: self.store.clone(),
            path: path(name),
            pending: BytesMut::new(),
            piece_bytes: self.piece_bytes,
            upload: None,
            under_way: None,
        }
    }

    /// The bytes of a half-open range, in pieces.
    ///
    /// # Errors
    /// [`Error::Backend`], also where there is no such blob.
    pub async fn read(&self, name: &str, range: Range<u64>) -> Result<BoxStream<'static, Result<Bytes>>> {
        if range.is_empty() {
            return Ok(futures_util::stream::empty().boxed());
        }
        let options = GetOptions { range: Some(GetRange::Bounded(range)), ..GetOptions::default() };
        let found = self.store.get_opts(&path(name), options).await;
        let found = found.map_err(|source| failed("reading a blob", source))?;
        let range = found.range.clone();
        match found.payload {
            // Its own stream reads so little at a time that handing it over costs more than reading it.
            GetResultPayload::File(file, _) => Ok(pieces(file, range)),
            GetResultPayload::Stream(stream) => {
                Ok(stream.map(|piece| piece.map_err(|source| failed("reading a blob", source))).boxed())
            }
        }
    }

    /// What is not there is removed already.
    ///
    /// # Errors
    /// [`Error::Backend`].
    pub async fn remove(&self, name: &str) -> Result<()> {
        match self.store.delete(&path(name)).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(source) => Err(failed("removing a blob", source)),
        }
    }

    /// The names of all finished ones, in no order.
    pub fn names(&self) -> BoxStream<'static, Result<String>> {
        let named = |found: object_store::Result<object_store::ObjectMeta>| {
            let meta = found.map_err(|source| failed("listing blobs", source))?;
            Ok(meta.location.filename().unwrap_or_default().to_owned())
        };
        self.store.list(Some(&Path::from(FOLDER))).map(named).boxed()
    }
}

/// Pieces of a file that are read ahead of the one that is being sent.
const READ_AHEAD: usize = 2;

/// A file's range, piece by piece, each read where blocking is allowed.
fn pieces(file: File, range: Range<u64>) -> BoxStream<'static, Result<Bytes>> {
    let file = Arc::new(file);
    let step = usize::try_from(READ_BYTES).unwrap_or(usize::MAX);
    let read = move |from: u64| {
        let (source, length) = (file.clone(), (range.end - from).min(READ_BYTES));
        let read = tokio::task::spawn_blocking(move || {
            let mut piece = vec![0; usize::try_from(length).unwrap_or_default()];
            source.read_exact_at(&mut piece, from).map(|()| Bytes::from(piece))
        });
        async move {
            let unreadable = |source| Error::Directory { doing: "reading a blob", source };
            read.await.map_err(|e| unreadable(std::io::Error::other(e)))?.map_err(unreadable)
        }
    };
    futures_util::stream::iter((range.start..range.end).step_by(step)).map(read).buffered(READ_AHEAD).boxed()
}

fn path(name: &str) -> Path {
    Path::from_iter([FOLDER, name])
}

fn failed(doing: &'static str, source: object_store::Error) -> Error {
    Error::Backend { doing, source }
}

/// Removes what was being written when the process before this one ended. Only at the start, when nothing is written.
pub(crate) fn prepare(dir: &std::path::Path) -> std::io::Result<()> {
    crate::make_durable(&dir.join(FOLDER))?;
    clear(&dir.join(crate::FOLDER))?;
    clear(&dir.join(FOLDER))
}

fn clear(dir: &std::path::Path) -> std::io::Result<()> {
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().contains('#') {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use cumulet_base::limits::BLOB_PIECE_LOCAL_BYTES as PIECE;
    use futures_util::TryStreamExt;

    use super::*;

    #[tokio::test]
    async fn pieces_come_back_by_ranges() {
        let dir = tempfile::tempdir().unwrap();
        let blobs = Blobs::local(dir.path()).unwrap();
        let bytes: Vec<u8> = (0..2 * PIECE + 17).map(|n| (n % 251) as u8).collect();
        let mut writer = blobs.create("a-1");
        for piece in bytes.chunks(100_003) {
            writer.write(Bytes::copy_from_slice(piece)).await.unwrap();
        }
        assert!(blobs.read("a-1", 0..1).await.is_err(), "unfinished blobs cannot be read");
        writer.finish().await.unwrap();
        let len = bytes.len();
        for range in [0..len, 5..5, 1..2, len - 20..len, PIECE - 1..PIECE + 1] {
            let read = blobs.read("a-1", range.start as u64..range.end as u64).await.unwrap();
            let read: Vec<Bytes> = read.try_collect().await.unwrap();
            assert_eq!(read.concat(), bytes[range]);
        }
        let names: Vec<String> = blobs.names().try_collect().await.unwrap();
        assert_eq!(names, ["a-1"]);
        blobs.remove("a-1").await.unwrap();
        blobs.remove("a-1").await.unwrap();
        assert!(blobs.read("a-1", 0..1).await.is_err());
    }

    #[tokio::test]
    async fn a_torn_write_is_gone_after_the_next_start() {
        let dir = tempfile::tempdir().unwrap();
        Blobs::local(dir.path()).unwrap();
        for torn in ["stream/a-1#1", "sha256/ab#2"] {
            let torn = dir.path().join(torn);
            std::fs::write(&torn, "torn").unwrap();
            Blobs::local(dir.path()).unwrap();
            assert!(!torn.exists());
        }
    }
}
