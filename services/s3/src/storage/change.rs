//! Putting and deleting what is under a key. What is in the row `o` is the current version; all others, and every marker
//! of deletion, are rows of `v`, newest first. One commit moves, writes, lets go of bytes and puts the notifications.

use bytes::Bytes;
use cumulet_base::limits;
use cumulet_store::{Check, Op, Read, Rev, Row, StoreExt, Txn};
use s3s::{S3Result, s3_error};

use super::{
    Along, New, SPACE, Storage, bucket_key, bytes_key, contended, decode, encode, inline_key, kept, kept_key,
    no_bucket, no_upload, null_key, object_key, refer, reference_key, release_upload, shard,
};
use crate::errors;
use crate::model::{Attributes, Bucket, Marks, Object, Place, Version, Versioning};
use crate::notify::{self, Cause};

/// What is to happen to a key.
#[derive(Clone, Copy)]
pub enum Write<'a> {
    Put(&'a New),
    Delete,
    /// Deletes one version, for good.
    DeleteVersion(&'a str),
}

/// What became of it.
#[derive(Default)]
pub struct Changed {
    /// What was written: an object or a marker.
    pub new: Option<Object>,
    /// What is gone for good, or was replaced or hidden.
    pub old: Option<Object>,
}

/// A key at one moment.
struct Seen {
    rev: Rev,
    bucket: Bucket,
    bucket_rev: Rev,
    current: Option<(Object, Rev)>,
    /// The newest two of the others; none are looked for where versions were never kept.
    kept: Vec<(Object, Rev)>,
    /// Which of the others is the `null` version.
    null: Option<(String, Rev)>,
    /// The version that was asked for.
    target: Option<(Object, Rev)>,
}

/// The commit in the making.
struct Plan<'a> {
    storage: &'a Storage,
    bucket: &'a str,
    key: &'a str,
    txn: Txn,
    /// Blobs without a record after it.
    freed: Vec<String>,
}

impl Storage {
    /// Carries out a write; `admit` sees what it is about, and may refuse.
    pub async fn change(
        &self,
        bucket: &str,
        key: &str,
        write: Write<'_>,
        along: Along,
        cause: &Cause,
        admit: impl Fn(&Bucket, Option<&Object>) -> S3Result<()>,
    ) -> S3Result<Changed> {
        let _turn = self.turn(bucket, key).await;
        for _ in 0..limits::OBJECT_COMMIT_TRIES {
            let version = match write {
                Write::DeleteVersion(version) => Some(version),
                Write::Put(_) | Write::Delete => None,
            };
            let seen = self.seen(bucket, key, version).await?;
            let mut plan = Plan { storage: self, bucket, key, txn: seen.checks(bucket, key), freed: Vec::new() };
            plan.txn.checks.extend(along.checks.clone());
            let current = seen.current.as_ref().map(|(object, _)| object);
            let changed = match write {
                Write::Put(new) => {
                    admit(&seen.bucket, current)?;
                    plan.put(&seen, new).await?
                }
                Write::Delete => {
                    admit(&seen.bucket, current)?;
                    plan.delete(&seen, cause.now_ms).await?
                }
                Write::DeleteVersion(_) => {
                    let Some(target) = seen.target.clone() else {
                        // A null version that moved between two looks is looked for anew.
                        if version == Some("null") && seen.null.is_some() {
                            continue;
                        }
                        return Ok(Changed::default());
                    };
                    admit(&seen.bucket, Some(&target.0))?;
                    plan.delete_version(&seen, target).await?
                }
            };
            if changed.new.is_none() && changed.old.is_none() {
                return Ok(changed);
            }
            plan.txn.ops.extend(along.ops.clone());
            let told = changed.new.as_ref().or(changed.old.as_ref());
            let mut txn = plan.txn;
            let mut wakes = Vec::new();
            for task in notify::tasks(&seen.bucket, bucket, key, told, seen.rev.0 + 1, cause) {
                let (grown, wake) = self.delivery.add(txn, &task).map_err(errors::internal)?;
                txn = grown;
                wakes.push(wake);
            }
            if self.commit(txn).await? {
                wakes.into_iter().for_each(cumulet_delivery::Wake::now);
                self.discard(&plan.freed).await;
                return Ok(changed);
            }
            if !along.checks.is_empty() && !self.still(bucket, &along.checks).await? {
                return Err(no_upload());
            }
        }
        Err(contended())
    }

    /// Changes what is said of a version beside its bytes.
    pub async fn amend(
        &self,
        bucket: &str,
        key: &str,
        version: Option<&str>,
        cause: &Cause,
        amend: impl Fn(&Bucket, &mut Marks) -> S3Result<()>,
    ) -> S3Result<Object> {
        let _turn = self.turn(bucket, key).await;
        for _ in 0..limits::OBJECT_COMMIT_TRIES {
            let seen = self.seen(bucket, key, version).await?;
            let target = match version {
                Some(_) => seen.target.clone().ok_or_else(no_version)?,
                None => seen.current.clone().ok_or_else(no_key)?,
            };
            let (mut object, rev) = target;
            if object.version.is_marker {
                return Err(s3_error!(MethodNotAllowed, "The specified method is not allowed against this resource."));
            }
            amend(&seen.bucket, &mut object.marks)?;
            let is_current = seen.current.as_ref().is_some_and(|(current, _)| current.version == object.version);
            let row = if is_current { object_key(bucket, key) } else { kept_key(bucket, key, &object.version.id) };
            let mut txn = Txn::new(shard(bucket))
                .check(Check::RevIs(SPACE, bucket_key(bucket), seen.bucket_rev))
                .check(Check::RevIs(SPACE, row.clone(), rev))
                .put(SPACE, row, encode(&object));
            let mut wakes = Vec::new();
            for task in notify::tasks(&seen.bucket, bucket, key, Some(&object), seen.rev.0 + 1, cause) {
                let (grown, wake) = self.delivery.add(txn, &task).map_err(errors::internal)?;
                txn = grown;
                wakes.push(wake);
            }
            if self.commit(txn).await? {
                wakes.into_iter().for_each(cumulet_delivery::Wake::now);
                return Ok(object);
            }
        }
        Err(contended())
    }

    async fn still(&self, bucket: &str, checks: &[Check]) -> S3Result<bool> {
        let mut txn = Txn::new(shard(bucket));
        txn.checks = checks.to_vec();
        self.commit(txn).await
    }

    /// All of it at one moment, or what moves from row to row would be missed.
    async fn seen(&self, bucket: &str, key: &str, version: Option<&str>) -> S3Result<Seen> {
        if version.is_some_and(|version| !Version::is_id(version)) {
            return Err(s3_error!(InvalidArgument, "Invalid version id specified"));
        }
        let get = |key| Read::Get(SPACE, key);
        let mut reads = vec![get(bucket_key(bucket)), get(object_key(bucket, key))];
        let (mut rev, mut rows) = self.store.read(shard(bucket), reads.clone()).await.map_err(errors::store)?;
        let record: Bucket = decode(rows[0].first().ok_or_else(no_bucket)?)?;
        if record.versioning != Versioning::Never {
            let (lo, hi) = kept(bucket, key).range();
            reads.push(Read::Range { space: SPACE, lo, hi, limit: 2, bytes: u32::MAX, reverse: false });
            reads.push(get(null_key(bucket, key)));
            if let Some(id) = version.filter(|version| *version != "null") {
                reads.push(get(kept_key(bucket, key, id)));
            }
            (rev, rows) = self.store.read(shard(bucket), reads.clone()).await.map_err(errors::store)?;
            // Where the null version is, its pointer says.
            if let Some(pointer) = rows[3].first().filter(|_| version == Some("null")) {
                reads.push(get(kept_key(bucket, key, &String::from_utf8_lossy(&pointer.value))));
                (rev, rows) = self.store.read(shard(bucket), reads).await.map_err(errors::store)?;
            }
        }
        let bucket_row = rows[0].first().ok_or_else(no_bucket)?;
        let with_rev = |row: &Row| Ok::<_, s3s::S3Error>((decode::<Object>(row)?, row.rev));
        let null = rows.get(3).and_then(|rows| rows.first());
        let current = rows[1].first().map(with_rev).transpose()?;
        let named = rows.get(4).and_then(|rows| rows.first()).map(with_rev).transpose()?;
        let is_asked = |found: &(Object, Rev)| version == Some(found.0.version_id());
        Ok(Seen {
            rev,
            bucket: decode(bucket_row)?,
            bucket_rev: bucket_row.rev,
            kept: rows.get(2).into_iter().flatten().map(with_rev).collect::<S3Result<_>>()?,
            null: null.map(|row| (String::from_utf8_lossy(&row.value).into_owned(), row.rev)),
            target: current.clone().filter(is_asked).or(named.filter(is_asked)),
            current,
        })
    }
}

impl Seen {
    /// That nothing has come between.
    fn checks(&self, bucket: &str, key: &str) -> Txn {
        let mut txn = Txn::new(shard(bucket)).check(Check::RevIs(SPACE, bucket_key(bucket), self.bucket_rev));
        txn = txn.check(unchanged(object_key(bucket, key), self.current.as_ref().map(|(_, rev)| *rev)));
        if self.bucket.versioning != Versioning::Never {
            txn = txn.check(unchanged(null_key(bucket, key), self.null.as_ref().map(|(_, rev)| *rev)));
            let (lo, hi) = kept(bucket, key).range();
            // Whatever comes is newer than what is there: one look at the head of the range finds it.
            match self.kept.first() {
                Some((newest, _)) => {
                    let newest = kept_key(bucket, key, &newest.version.id);
                    txn = txn.check(Check::RangeEmpty(SPACE, lo, newest.clone())).check(Check::Exists(SPACE, newest));
                }
                None => txn = txn.check(Check::RangeEmpty(SPACE, lo, hi)),
            }
        }
        txn
    }
}

fn unchanged(key: cumulet_store::Key, rev: Option<Rev>) -> Check {
    match rev {
        Some(rev) => Check::RevIs(SPACE, key, rev),
        None => Check::Absent(SPACE, key),
    }
}

impl Plan<'_> {
    async fn put(&mut self, seen: &Seen, new: &New) -> S3Result<Changed> {
        let mut object = new.object.clone();
        let old = seen.current.as_ref().map(|(old, _)| old.clone());
        if seen.bucket.versioning == Versioning::Never {
            if let Some(old) = &old {
                self.release(old).await?;
            }
        } else {
            object.version = self.make_room(seen).await?;
            if object.place == Place::Inline {
                object.place = Place::InlineOf(object.version.id.clone());
            }
        }
        if let Some(bytes) = &new.inline {
            let key = match &object.place {
                Place::InlineOf(id) => bytes_key(self.bucket, id),
                _ => inline_key(self.bucket, self.key),
            };
            self.txn.ops.push(Op::Put(SPACE, key, bytes.clone()));
        }
        if let Place::Blob(name) = &object.place {
            self.txn.ops.push(refer(name)?);
        }
        self.txn.ops.push(Op::Put(SPACE, object_key(self.bucket, self.key), encode(&object)));
        Ok(Changed { new: Some(object), old })
    }

    async fn delete(&mut self, seen: &Seen, now_ms: u64) -> S3Result<Changed> {
        let old = seen.current.as_ref().map(|(old, _)| old.clone());
        let row = object_key(self.bucket, self.key);
        if seen.bucket.versioning == Versioning::Never {
            if let Some(old) = &old {
                self.release(old).await?;
                self.txn.ops.push(Op::Delete(SPACE, row));
            }
            return Ok(Changed { new: None, old });
        }
        let version = Version { is_marker: true, ..self.make_room(seen).await? };
        let marker = Object {
            size: 0,
            etag: String::new(),
            modified_ms: now_ms,
            attributes: Attributes::default(),
            sum: None,
            place: Place::InlineOf(version.id.clone()),
            version,
            marks: Marks::default(),
        };
        self.txn.ops.push(Op::Delete(SPACE, row));
        self.put_kept(&marker);
        Ok(Changed { new: Some(marker), old })
    }

    /// Of the versions that are there, moves or removes what a new one takes the place of; answers the new one.
    async fn make_room(&mut self, seen: &Seen) -> S3Result<Version> {
        let mut version = Version::following(seen.rev.0 + 1);
        version.is_null = seen.bucket.versioning == Versioning::Suspended;
        match &seen.current {
            Some((old, _)) if version.is_null && old.version.is_null => self.release(old).await?,
            Some((old, _)) => self.keep(old).await?,
            None => {}
        }
        if let Some((id, _)) = seen.null.as_ref().filter(|_| version.is_null) {
            let row = kept_key(self.bucket, self.key, id);
            let found = self.storage.store.get(shard(self.bucket), SPACE, row.clone()).await.map_err(errors::store)?;
            if let Some(found) = found {
                self.release(&decode(&found)?).await?;
            }
            self.txn.ops.push(Op::Delete(SPACE, row));
            self.txn.ops.push(Op::Delete(SPACE, null_key(self.bucket, self.key)));
        }
        Ok(version)
    }

    /// Puts what is current among the others.
    async fn keep(&mut self, current: &Object) -> S3Result<()> {
        let mut object = current.clone();
        if object.version.is_first() {
            object.version.id = Version::following(0).id;
        }
        if object.place == Place::Inline {
            let row = inline_key(self.bucket, self.key);
            let bytes = self.storage.store.get(shard(self.bucket), SPACE, row.clone()).await.map_err(errors::store)?;
            let bytes = bytes.map(|row| row.value).unwrap_or_default();
            self.txn.ops.push(Op::Delete(SPACE, row));
            self.txn.ops.push(Op::Put(SPACE, bytes_key(self.bucket, &object.version.id), bytes));
            object.place = Place::InlineOf(object.version.id.clone());
        }
        self.put_kept(&object);
        Ok(())
    }

    fn put_kept(&mut self, object: &Object) {
        let id = &object.version.id;
        if object.version.is_null {
            let id = Bytes::copy_from_slice(id.as_bytes());
            self.txn.ops.push(Op::Put(SPACE, null_key(self.bucket, self.key), id));
        }
        self.txn.ops.push(Op::Put(SPACE, kept_key(self.bucket, self.key, id), encode(object)));
    }

    async fn delete_version(&mut self, seen: &Seen, (target, rev): (Object, Rev)) -> S3Result<Changed> {
        let is_current = seen.current.as_ref().is_some_and(|(current, _)| current.version == target.version);
        let is_first = |at: usize| seen.kept.get(at).is_some_and(|(kept, _)| kept.version == target.version);
        self.release(&target).await?;
        let next = if is_current {
            self.txn.ops.push(Op::Delete(SPACE, object_key(self.bucket, self.key)));
            seen.kept.first()
        } else {
            let row = kept_key(self.bucket, self.key, &target.version.id);
            self.txn.checks.push(Check::RevIs(SPACE, row, rev));
            self.remove_kept(&target);
            seen.kept.get(1).filter(|_| seen.current.is_none() && is_first(0))
        };
        // The newest of the rest is current again, unless it is a marker.
        if let Some((next, rev)) = next.filter(|(next, _)| !next.version.is_marker) {
            let row = kept_key(self.bucket, self.key, &next.version.id);
            self.txn.checks.push(Check::RevIs(SPACE, row, *rev));
            self.remove_kept(next);
            self.txn.ops.push(Op::Put(SPACE, object_key(self.bucket, self.key), encode(next)));
        }
        Ok(Changed { new: None, old: Some(target) })
    }

    fn remove_kept(&mut self, object: &Object) {
        if object.version.is_null {
            self.txn.ops.push(Op::Delete(SPACE, null_key(self.bucket, self.key)));
        }
        self.txn.ops.push(Op::Delete(SPACE, kept_key(self.bucket, self.key, &object.version.id)));
    }

    /// Lets go of an object's bytes.
    async fn release(&mut self, old: &Object) -> S3Result<()> {
        match &old.place {
            Place::Inline => self.txn.ops.push(Op::Delete(SPACE, inline_key(self.bucket, self.key))),
            Place::InlineOf(id) => self.txn.ops.push(Op::Delete(SPACE, bytes_key(self.bucket, id))),
            Place::Blob(name) => {
                self.txn.ops.extend(reference_key(name).map(|key| Op::Delete(SPACE, key)));
                self.freed.push(name.clone());
            }
            Place::Parts(upload) => {
                let parts = self.storage.parts(self.bucket, upload, 0, u32::MAX).await?;
                self.freed.extend(parts.into_iter().map(|(_, part)| part.blob));
                release_upload(upload, &mut self.txn);
            }
        }
        Ok(())
    }
}

pub fn no_key() -> s3s::S3Error {
    s3_error!(NoSuchKey, "The specified key does not exist.")
}

pub fn no_version() -> s3s::S3Error {
    s3_error!(NoSuchVersion, "The specified version does not exist.")
}
