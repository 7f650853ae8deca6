//! The key layout (`docs/formats/s3.md`) and the commits. The only folder that names the store.
//! Everything of a bucket is in one shard, so that an object, its bytes and its reference to a blob change together.

mod change;
mod pending;
mod versions;

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use cumulet_base::{id, limits};
use cumulet_blobs::Blobs;
use cumulet_delivery::Delivery;
use cumulet_store::{
    Check, Key, KeyReader, KeyWriter, Op, Outcome, Read, Rev, Row, Shard, Space, Store, StoreExt, Txn,
};
use s3s::{S3Result, s3_error};
use serde::Serialize;
use serde::de::DeserializeOwned;

use self::pending::Pending;
use crate::errors;
use crate::model::{Bucket, Object, Part, Upload};

const SPACE: Space = Space(10);
const PAGE: u32 = 1000;
/// How often a commit is repeated of which the store does not say what became of it.
const UNKNOWN_TRIES: usize = 4;

pub struct Storage {
    store: Arc<dyn Store>,
    pub blobs: Arc<Blobs>,
    delivery: Arc<Delivery>,
    /// Tells the blobs of this process from those of earlier ones, which may be orphans.
    boot: String,
    pending: Pending,
    /// Blobs whose record may be there or not: no commit said so.
    doubtful: Mutex<Vec<String>>,
    /// Those who write under a key go one after the other: of two at once the later one would have to begin anew. By hash.
    turns: Vec<tokio::sync::Mutex<()>>,
}

const TURNS: usize = 1024;

pub use change::{Changed, Write};
pub use pending::NewBlob;
pub use versions::{Found, Listed};

/// An object to be written.
pub struct New {
    pub object: Object,
    pub inline: Option<Bytes>,
}

/// Further conditions and changes of the commit that writes an object.
#[derive(Default)]
pub struct Along {
    pub checks: Vec<Check>,
    pub ops: Vec<Op>,
}

fn shard(bucket: &str) -> Shard {
    Shard::of(&format!("s3/{bucket}"))
}

fn index_shard() -> Shard {
    Shard::of("s3")
}

fn index_key(bucket: &str) -> Key {
    KeyWriter::new().text("i").text(bucket).key()
}

fn bucket_key(bucket: &str) -> Key {
    KeyWriter::new().text("b").text(bucket).key()
}

fn objects(bucket: &str) -> KeyWriter {
    KeyWriter::new().text("o").text(bucket)
}

fn object_key(bucket: &str, key: &str) -> Key {
    objects(bucket).bytes(key.as_bytes()).key()
}

/// Versions that are not the current one, and markers of deletion: listings of objects never pass them.
fn all_kept(bucket: &str) -> KeyWriter {
    KeyWriter::new().text("v").text(bucket)
}

fn kept(bucket: &str, key: &str) -> KeyWriter {
    all_kept(bucket).text(key)
}

fn kept_key(bucket: &str, key: &str, id: &str) -> Key {
    kept(bucket, key).bytes(id.as_bytes()).key()
}

/// Which of the kept versions is the `null` one.
fn null_key(bucket: &str, key: &str) -> Key {
    KeyWriter::new().text("n").text(bucket).bytes(key.as_bytes()).key()
}

/// The bytes of one version, where it has a name of its own.
fn bytes_key(bucket: &str, id: &str) -> Key {
    KeyWriter::new().text("e").text(bucket).bytes(id.as_bytes()).key()
}

fn documents(bucket: &str) -> KeyWriter {
    KeyWriter::new().text("c").text(bucket)
}

fn document_key(bucket: &str, kind: &str) -> Key {
    documents(bucket).bytes(kind.as_bytes()).key()
}

fn inline_key(bucket: &str, key: &str) -> Key {
    KeyWriter::new().text("d").text(bucket).bytes(key.as_bytes()).key()
}

fn uploads(bucket: &str) -> KeyWriter {
    KeyWriter::new().text("u").text(bucket)
}

fn upload_key(bucket: &str, key: &str, upload: &str) -> Key {
    uploads(bucket).text(key).text(upload).key()
}

fn parts(upload: &str) -> KeyWriter {
    KeyWriter::new().text("p").text(upload)
}

/// References: a blob without one is an orphan. Those of an upload share its group, and go together.
fn references(group: &str) -> KeyWriter {
    KeyWriter::new().text("r").text(group)
}

/// The shard and group that a blob's name says.
fn blob_parts(name: &str) -> Option<(Shard, &str, &str, &str)> {
    let mut fields = name.split('-');
    let shard = u32::from_str_radix(fields.next()?, 16).ok()?;
    Some((Shard(shard), fields.next()?, fields.next()?, fields.next()?))
}

fn reference_key(name: &str) -> Option<Key> {
    let (_, _, group, rest) = blob_parts(name)?;
    Some(references(group).bytes(rest.as_bytes()).key())
}

fn encode(record: &impl Serialize) -> Bytes {
    serde_json::to_vec(record).expect("records have string keys and finite numbers").into()
}

fn decode<T: DeserializeOwned>(row: &Row) -> S3Result<T> {
    serde_json::from_slice(&row.value).map_err(errors::internal)
}

impl Storage {
    pub fn new(store: Arc<dyn Store>, blobs: Arc<Blobs>, delivery: Arc<Delivery>) -> Storage {
        let turns = std::iter::repeat_with(Default::default).take(TURNS).collect();
        let (pending, doubtful) = (Pending::default(), Mutex::default());
        Storage { store, blobs, delivery, boot: id::hex(16), pending, doubtful, turns }
    }

    async fn turn(&self, bucket: &str, key: &str) -> tokio::sync::MutexGuard<'_, ()> {
        let mut hasher = DefaultHasher::new();
        (bucket, key).hash(&mut hasher);
        self.turns[hasher.finish() as usize % TURNS].lock().await
    }

    /// A name for a blob of this bucket, in a group: an upload's, or its own.
    pub fn new_blob(&self, bucket: &str, group: Option<&str>) -> NewBlob {
        let group = group.map_or_else(|| id::hex(32), str::to_owned);
        self.pending.begin(format!("{:04x}-{}-{group}-{}", shard(bucket).0, self.boot, id::hex(16)))
    }

    async fn commit(&self, mut txn: Txn) -> S3Result<bool> {
        txn.id = Some(id::random());
        for _ in 0..UNKNOWN_TRIES {
            match self.store.commit(txn.clone()).await.map_err(errors::store)? {
                Outcome::Done(_) => {
                    self.settle().await;
                    return Ok(true);
                }
                Outcome::Conflict { .. } => return Ok(false),
                Outcome::Unknown => {}
            }
        }
        Err(errors::unknown())
    }

    /// After a commit that failed: its blobs go, unless the commit may have happened all the same.
    pub async fn give_up(&self, names: &[String], e: &s3s::S3Error) {
        if errors::is_settled(e) {
            self.discard(names).await;
        } else {
            self.doubtful.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(names);
        }
    }

    /// Once a later commit is through, an earlier one has happened or never will.
    async fn settle(&self) {
        let names = std::mem::take(&mut *self.doubtful.lock().unwrap_or_else(PoisonError::into_inner));
        for name in names {
            let (Some((shard, ..)), Some(key)) = (blob_parts(&name), reference_key(&name)) else { continue };
            match self.store.get(shard, SPACE, key).await {
                Ok(None) => self.discard(&[name]).await,
                Ok(Some(_)) => {}
                // It stays until the scrubber comes by.
                Err(e) => tracing::warn!(error = %e, blob = name, "looking for the record of a blob"),
            }
        }
    }

    pub async fn bucket(&self, bucket: &str) -> S3Result<Bucket> {
        let row = self.store.get(shard(bucket), SPACE, bucket_key(bucket)).await.map_err(errors::store)?;
        decode(&row.ok_or_else(no_bucket)?)
    }

    /// `false`: there is one already.
    pub async fn create_bucket(&self, bucket: &str, record: &Bucket) -> S3Result<bool> {
        // The index goes first: an entry without a bucket is passed over, a bucket without an entry would be lost.
        self.commit(Txn::new(index_shard()).put(SPACE, index_key(bucket), Bytes::new())).await?;
        let txn = Txn::new(shard(bucket)).check(Check::Absent(SPACE, bucket_key(bucket)));
        self.commit(txn.put(SPACE, bucket_key(bucket), encode(record))).await
    }

    pub async fn delete_bucket(&self, bucket: &str) -> S3Result<()> {
        self.bucket(bucket).await?;
        let mut txn = Txn::new(shard(bucket)).check(Check::Exists(SPACE, bucket_key(bucket)));
        for family in [objects(bucket), all_kept(bucket), uploads(bucket)] {
            let (lo, hi) = family.range();
            txn = txn.check(Check::RangeEmpty(SPACE, lo, hi));
        }
        let (lo, hi) = documents(bucket).range();
        if !self.commit(txn.delete(SPACE, bucket_key(bucket)).delete_range(SPACE, lo, hi)).await? {
            return Err(s3_error!(
                BucketNotEmpty,
                "The bucket you tried to delete is not empty. You must delete all versions in the bucket."
            ));
        }
        Ok(())
    }

    /// Changes a bucket's record and, where one is named, one of its documents, in one commit.
    pub async fn amend_bucket(
        &self,
        bucket: &str,
        document: Option<(&str, Option<Bytes>)>,
        amend: impl Fn(&mut Bucket) -> S3Result<()>,
    ) -> S3Result<Bucket> {
        for _ in 0..limits::OBJECT_COMMIT_TRIES {
            let row = self.store.get(shard(bucket), SPACE, bucket_key(bucket)).await.map_err(errors::store)?;
            let row = row.ok_or_else(no_bucket)?;
            let mut record: Bucket = decode(&row)?;
            amend(&mut record)?;
            let mut txn = Txn::new(shard(bucket)).check(Check::RevIs(SPACE, bucket_key(bucket), row.rev));
            txn = txn.put(SPACE, bucket_key(bucket), encode(&record));
            txn.ops.extend(document.iter().map(|(kind, text)| match text {
                Some(text) => Op::Put(SPACE, document_key(bucket, kind), text.clone()),
                None => Op::Delete(SPACE, document_key(bucket, kind)),
            }));
            if self.commit(txn).await? {
                return Ok(record);
            }
        }
        Err(contended())
    }

    /// A bucket and one of its documents, of one moment.
    pub async fn document(&self, bucket: &str, kind: &str) -> S3Result<(Bucket, Option<Bytes>)> {
        let reads = vec![Read::Get(SPACE, bucket_key(bucket)), Read::Get(SPACE, document_key(bucket, kind))];
        let (_, rows) = self.store.read(shard(bucket), reads).await.map_err(errors::store)?;
        let record = decode(rows[0].first().ok_or_else(no_bucket)?)?;
        Ok((record, rows[1].first().map(|row| row.value.clone())))
    }

    pub async fn buckets(&self) -> S3Result<Vec<(String, Bucket)>> {
        let (mut lo, hi) = KeyWriter::new().text("i").range();
        let mut found = Vec::new();
        loop {
            let rows = self.store.range(index_shard(), SPACE, lo, hi.clone(), PAGE).await.map_err(errors::store)?;
            for row in &rows {
                let mut reader = KeyReader::new(&row.key);
                let Some(name) = reader.text().and_then(|_| reader.text()) else { continue };
                let read = self.store.get(shard(&name), SPACE, bucket_key(&name)).await.map_err(errors::store)?;
                if let Some(row) = read {
                    found.push((name, decode(&row)?));
                }
            }
            match rows.last() {
                Some(last) if rows.len() == PAGE as usize => lo = after(&last.key),
                _ => return Ok(found),
            }
        }
    }

    /// A blob that stays is an orphan, which the scrubber removes: nobody has to wait for it or be told.
    pub async fn discard(&self, names: &[String]) {
        for name in names {
            if let Err(e) = self.blobs.remove(name).await {
                tracing::warn!(error = %e, blob = name, "removing a blob that is no longer named");
            }
        }
    }

    /// Objects whose keys are not below `from`, in order, of those that begin with `prefix`.
    pub async fn list(&self, bucket: &str, prefix: &str, from: &[u8], limit: u32) -> S3Result<Vec<(String, Object)>> {
        let head = objects(bucket).key().len();
        let (start, hi) = objects(bucket).bytes(prefix.as_bytes()).range();
        let lo = start.max(objects(bucket).bytes(from).key());
        if lo >= hi {
            return Ok(Vec::new());
        }
        let rows = self.store.range(shard(bucket), SPACE, lo, hi, limit).await.map_err(errors::store)?;
        rows.iter().map(|row| Ok((String::from_utf8_lossy(&row.key[head..]).into_owned(), decode(row)?))).collect()
    }

    pub async fn create_upload(&self, bucket: &str, key: &str, record: &Upload) -> S3Result<String> {
        let upload = id::hex(32);
        let txn = Txn::new(shard(bucket)).check(Check::Exists(SPACE, bucket_key(bucket)));
        let row = upload_key(bucket, key, &upload);
        if !self.commit(txn.put(SPACE, row, encode(record))).await? {
            return Err(no_bucket());
        }
        Ok(upload)
    }

    pub async fn upload(&self, bucket: &str, key: &str, upload: &str) -> S3Result<Upload> {
        let row = self.store.get(shard(bucket), SPACE, upload_key(bucket, key, upload)).await.map_err(errors::store)?;
        decode(&row.ok_or_else(no_upload)?)
    }

    /// Uploads under way, by key and id, after a pair of them.
    pub async fn uploads(&self, bucket: &str, after_pair: (&str, &str)) -> S3Result<Vec<(String, String, Upload)>> {
        let (start, hi) = uploads(bucket).range();
        let lo = match after_pair {
            ("", "") => start,
            (key, "") => cumulet_store::prefix_end(&uploads(bucket).text(key).key()),
            (key, upload) => after(&upload_key(bucket, key, upload)),
        };
        let rows = self.store.range(shard(bucket), SPACE, lo, hi, PAGE).await.map_err(errors::store)?;
        let mut found = Vec::new();
        for row in &rows {
            let mut reader = KeyReader::new(&row.key);
            let _kind_and_bucket = (reader.text(), reader.text());
            if let (Some(key), Some(upload)) = (reader.text(), reader.text()) {
                found.push((key, upload, decode(row)?));
            }
        }
        Ok(found)
    }

    /// A part of an upload that is still under way; one of the same number is replaced.
    pub async fn put_part(&self, bucket: &str, key: &str, upload: &str, number: u64, part: &Part) -> S3Result<()> {
        let row_key = parts(upload).u64(number).key();
        for _ in 0..limits::OBJECT_COMMIT_TRIES {
            let under_way = Check::Exists(SPACE, upload_key(bucket, key, upload));
            let row = self.store.get(shard(bucket), SPACE, row_key.clone()).await.map_err(errors::store)?;
            let old: Option<Part> = row.as_ref().map(decode).transpose()?;
            let unchanged = match &row {
                Some(row) => Check::RevIs(SPACE, row_key.clone(), row.rev),
                None => Check::Absent(SPACE, row_key.clone()),
            };
            let mut txn = Txn::new(shard(bucket)).check(under_way).check(unchanged);
            txn.ops.extend(old.iter().filter_map(|old| reference_key(&old.blob)).map(|key| Op::Delete(SPACE, key)));
            txn.ops.push(refer(&part.blob)?);
            if self.commit(txn.put(SPACE, row_key.clone(), encode(part))).await? {
                self.discard(&old.map(|old| old.blob).into_iter().collect::<Vec<_>>()).await;
                return Ok(());
            }
            self.upload(bucket, key, upload).await?;
        }
        Err(contended())
    }

    /// Parts with numbers above `after`, in order.
    pub async fn parts(&self, bucket: &str, upload: &str, after: u64, limit: u32) -> S3Result<Vec<(u64, Part)>> {
        let (_, hi) = parts(upload).range();
        let mut lo = parts(upload).u64(after + 1).key();
        let mut found = Vec::new();
        loop {
            let left = limit - u32::try_from(found.len()).unwrap_or(limit).min(limit);
            let page = left.min(PAGE);
            let rows = self.store.range(shard(bucket), SPACE, lo, hi.clone(), page).await.map_err(errors::store)?;
            for row in &rows {
                let mut reader = KeyReader::new(&row.key);
                let _kind_and_upload = (reader.text(), reader.text());
                found.push((reader.u64().unwrap_or_default(), decode(row)?));
            }
            match rows.last() {
                Some(last) if rows.len() == page as usize && left > page => lo = self::after(&last.key),
                _ => return Ok(found),
            }
        }
    }

    /// The shard's revision, for [`Storage::completing`].
    pub async fn revision(&self, bucket: &str) -> S3Result<Rev> {
        let (rev, _) = self.store.read(shard(bucket), Vec::new()).await.map_err(errors::store)?;
        Ok(rev)
    }

    /// What a commit needs to turn an upload into an object: no part came since `seen`, and `dropped` ones are left out.
    pub fn completing(&self, bucket: &str, key: &str, upload: &str, seen: Rev, dropped: &[(u64, Part)]) -> Along {
        let row = upload_key(bucket, key, upload);
        let (lo, hi) = parts(upload).range();
        let checks = vec![Check::Exists(SPACE, row.clone()), Check::RangeUnchangedSince(SPACE, lo, hi, seen)];
        let mut ops = vec![Op::Delete(SPACE, row)];
        for (number, part) in dropped {
            ops.push(Op::Delete(SPACE, parts(upload).u64(*number).key()));
            ops.extend(reference_key(&part.blob).map(|key| Op::Delete(SPACE, key)));
        }
        Along { checks, ops }
    }

    pub async fn abort(&self, bucket: &str, key: &str, upload: &str) -> S3Result<()> {
        self.upload(bucket, key, upload).await?;
        let row = upload_key(bucket, key, upload);
        let mut txn = Txn::new(shard(bucket)).check(Check::Exists(SPACE, row.clone())).delete(SPACE, row);
        let names: Vec<_> = self.parts(bucket, upload, 0, u32::MAX).await?;
        release_upload(upload, &mut txn);
        if !self.commit(txn).await? {
            return Err(no_upload());
        }
        self.discard(&names.into_iter().map(|(_, part)| part.blob).collect::<Vec<_>>()).await;
        Ok(())
    }

    /// A round of the scrubber begins; the answer is for [`Storage::is_orphan`].
    pub fn scrub_round(&self) -> HashSet<String> {
        self.pending.round()
    }

    /// Whether no record names a blob, and none will: it was left behind by an earlier process, by a request of this one
    /// that ended before the last round, or by a removal that failed.
    pub async fn is_orphan(&self, name: &str, young: &HashSet<String>) -> S3Result<bool> {
        let (Some((shard, boot, _, _)), Some(key)) = (blob_parts(name), reference_key(name)) else { return Ok(false) };
        let is_doubtful = || self.doubtful.lock().unwrap_or_else(PoisonError::into_inner).iter().any(|one| one == name);
        if boot == self.boot && (young.contains(name) || self.pending.contains(name) || is_doubtful()) {
            return Ok(false);
        }
        Ok(self.store.get(shard, SPACE, key).await.map_err(errors::store)?.is_none())
    }
}

fn release_upload(upload: &str, txn: &mut Txn) {
    for (lo, hi) in [parts(upload).range(), references(upload).range()] {
        txn.ops.push(Op::DeleteRange(SPACE, lo, hi));
    }
}

fn refer(name: &str) -> S3Result<Op> {
    let key = reference_key(name).ok_or_else(|| errors::internal("a blob's name is not ours"))?;
    Ok(Op::Put(SPACE, key, Bytes::new()))
}

fn after(key: &Key) -> Key {
    [&key[..], &[0]].concat().into()
}

fn contended() -> s3s::S3Error {
    s3_error!(OperationAborted, "A conflicting conditional operation is currently in progress.")
}

fn no_bucket() -> s3s::S3Error {
    s3_error!(NoSuchBucket, "The specified bucket does not exist")
}

fn no_upload() -> s3s::S3Error {
    s3_error!(
        NoSuchUpload,
        "The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted or completed."
    )
}
