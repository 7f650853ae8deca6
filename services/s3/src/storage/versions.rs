//! Reading what is under a key: the current version, another one, and all of them in order.

use std::collections::VecDeque;

use bytes::Bytes;
use cumulet_base::limits;
use cumulet_store::{KeyReader, Read, Row, StoreExt};
use s3s::{S3Result, s3_error};

use super::change::{no_key, no_version};
use super::{
    SPACE, Storage, after, all_kept, bucket_key, bytes_key, decode, inline_key, kept, kept_key, no_bucket, null_key,
    object_key, objects, shard,
};
use crate::errors;
use crate::model::{Bucket, Object, Place, Version, Versioning};

/// An object, its bucket and, where they are in the store, its bytes: of one moment.
pub struct Found {
    pub bucket: Bucket,
    pub object: Object,
    pub inline: Bytes,
}

/// A version in a listing.
pub struct Listed {
    pub key: String,
    pub object: Object,
    pub is_latest: bool,
}

impl Storage {
    /// The current version, or the one that is named.
    pub async fn object(&self, bucket: &str, key: &str, version: Option<&str>) -> S3Result<Found> {
        self.find(bucket, key, version, true).await
    }

    /// The same without its bytes, for those who look at the record alone.
    pub async fn described(&self, bucket: &str, key: &str, version: Option<&str>) -> S3Result<Found> {
        self.find(bucket, key, version, false).await
    }

    async fn find(&self, bucket: &str, key: &str, version: Option<&str>, with_bytes: bool) -> S3Result<Found> {
        for _ in 0..limits::OBJECT_COMMIT_TRIES {
            let get = |key| Read::Get(SPACE, key);
            let mut reads = vec![get(bucket_key(bucket)), get(object_key(bucket, key))];
            match version {
                Some(id) if !Version::is_id(id) => {
                    return Err(s3_error!(InvalidArgument, "Invalid version id specified"));
                }
                Some("null") => reads.push(get(null_key(bucket, key))),
                Some(id) => reads.push(get(kept_key(bucket, key, id))),
                None => {}
            }
            if with_bytes {
                reads.push(get(inline_key(bucket, key)));
            }
            let (_, rows) = self.store.read(shard(bucket), reads).await.map_err(errors::store)?;
            let record: Bucket = decode(rows[0].first().ok_or_else(no_bucket)?)?;
            let current: Option<Object> = rows[1].first().map(decode).transpose()?;
            let object = match (version, current) {
                (None, Some(current)) => current,
                (None, None) if record.versioning == Versioning::Never => return Err(no_key()),
                (None, None) => return Err(self.hidden(bucket, key).await?),
                (Some(id), Some(current)) if current.version_id() == id => current,
                (Some("null"), _) => {
                    let Some(pointer) = rows[2].first() else { return Err(no_version()) };
                    let id = String::from_utf8_lossy(&pointer.value).into_owned();
                    let row = self.store.get(shard(bucket), SPACE, kept_key(bucket, key, &id)).await;
                    let Some(row) = row.map_err(errors::store)? else { continue };
                    decode(&row)?
                }
                (Some(_), _) => decode(rows[2].first().ok_or_else(no_version)?)?,
            };
            if object.version_id() == "null" && version.is_some_and(|id| id != "null") {
                return Err(no_version());
            }
            if object.version.is_marker {
                return Err(is_marker(
                    &object,
                    s3_error!(MethodNotAllowed, "The specified method is not allowed against this resource."),
                ));
            }
            let inline = match &object.place {
                _ if !with_bytes => Bytes::new(),
                Place::Inline => {
                    rows.last().and_then(|rows| rows.first()).map(|row| row.value.clone()).unwrap_or_default()
                }
                Place::InlineOf(id) => {
                    let row =
                        self.store.get(shard(bucket), SPACE, bytes_key(bucket, id)).await.map_err(errors::store)?;
                    // Gone between the two looks: what is there now is another.
                    let Some(row) = row else { continue };
                    row.value
                }
                Place::Blob(_) | Place::Parts(_) => Bytes::new(),
            };
            return Ok(Found { bucket: record, object, inline });
        }
        Err(super::contended())
    }

    /// Why there is no current version: there is nothing, or a marker hides what was there.
    async fn hidden(&self, bucket: &str, key: &str) -> S3Result<s3s::S3Error> {
        let (lo, hi) = kept(bucket, key).range();
        let rows = self.store.range(shard(bucket), SPACE, lo, hi, 1).await.map_err(errors::store)?;
        let newest: Option<Object> = rows.first().map(decode).transpose()?;
        Ok(match newest.filter(|newest| newest.version.is_marker) {
            Some(marker) => is_marker(&marker, no_key()),
            None => no_key(),
        })
    }

    /// Versions after a key and, within it, an id, of the keys that begin with `prefix`: newest first within a key. Whether
    /// these are the last ones.
    pub async fn versions(
        &self,
        bucket: &str,
        prefix: &str,
        from: &[u8],
        after_id: Option<&str>,
        limit: u32,
    ) -> S3Result<(Vec<Listed>, bool)> {
        let head = objects(bucket).key().len();
        let (start, hi) = objects(bucket).bytes(prefix.as_bytes()).range();
        let lo = start.clone().max(objects(bucket).bytes(from).key());
        let text = String::from_utf8_lossy(from);
        // A text's end is left off, so that all keys are found that begin with it.
        let begins = |bytes: &[u8]| all_kept(bucket).bytes(&escaped(bytes));
        let (kept_start, kept_hi) = begins(prefix.as_bytes()).range();
        let kept_lo = match after_id {
            Some(id) => after(&kept_key(bucket, &text, id)),
            None => begins(from).key(),
        };
        let range = |lo: cumulet_store::Key, hi: cumulet_store::Key| {
            let hi = hi.max(lo.clone());
            Read::Range { space: SPACE, lo, hi, limit, bytes: u32::MAX, reverse: false }
        };
        let reads = vec![range(lo, hi), range(kept_lo.max(kept_start), kept_hi)];
        let (_, rows) = self.store.read(shard(bucket), reads).await.map_err(errors::store)?;
        let is_full = |at: usize| rows[at].len() == limit as usize;
        let mut current: VecDeque<(String, Object)> = VecDeque::new();
        for row in &rows[0] {
            current.push_back((String::from_utf8_lossy(&row.key[head..]).into_owned(), decode(row)?));
        }
        let mut others: VecDeque<(String, Object)> = rows[1].iter().map(kept_row).collect::<S3Result<_>>()?;
        // Beyond the shorter page there may be more of the other kind.
        let horizon = [(is_full(0), current.back()), (is_full(1), others.back())];
        let horizon: Option<String> = horizon
            .into_iter()
            .filter_map(|(is_full, last)| last.filter(|_| is_full))
            .map(|(key, _)| key.clone())
            .min();
        let mut inside = after_id.map(|_| text.into_owned());
        let mut listed = Vec::new();
        loop {
            let is_current = match (current.front(), others.front()) {
                (Some((a, _)), Some((b, _))) => a <= b,
                (Some(_), None) => true,
                (None, Some(_)) => false,
                (None, None) => break,
            };
            let Some((key, object)) = (if is_current { current.pop_front() } else { others.pop_front() }) else {
                break;
            };
            if horizon.as_ref().is_some_and(|horizon| key > *horizon) {
                break;
            }
            if is_current
                && after_id.is_some_and(|id| inside.as_ref() == Some(&key) && object.version.id.as_str() <= id)
            {
                continue;
            }
            let is_latest = inside.as_ref() != Some(&key);
            inside = Some(key.clone());
            listed.push(Listed { key, object, is_latest });
        }
        Ok((listed, horizon.is_none()))
    }
}

/// As the store writes the inside of a text.
fn escaped(bytes: &[u8]) -> Vec<u8> {
    let one = |byte: &u8| if *byte == 0 { vec![0, 0xff] } else { vec![*byte] };
    bytes.iter().flat_map(one).collect()
}

fn kept_row(row: &Row) -> S3Result<(String, Object)> {
    let mut reader = KeyReader::new(&row.key);
    let key = reader.text().and_then(|_| reader.text()).and_then(|_| reader.text());
    Ok((key.ok_or_else(|| errors::internal("a version's row has no key"))?, decode(row)?))
}

fn is_marker(marker: &Object, mut error: s3s::S3Error) -> s3s::S3Error {
    let mut headers = http::HeaderMap::new();
    headers.insert("x-amz-delete-marker", http::HeaderValue::from_static("true"));
    if let Ok(id) = http::HeaderValue::from_str(marker.version_id()) {
        headers.insert("x-amz-version-id", id);
    }
    error.set_headers(headers);
    error
}
