//! Objects: put, get, head, copy, delete, delete many; of the current version or a named one.

use std::collections::BTreeMap;
use std::ops::Range;

use cumulet_base::limits;
use futures_util::StreamExt;
use s3s::dto::{Range as AskedRange, *};
use s3s::{S3Error, S3ErrorCode, S3Request, S3Response, S3Result, s3_error};

use super::locks::{self, LockHeaders};
use super::{
    acls, admit_conditions, admit_write, etag, matches, precondition_failed, sealing, seconds, tags, timestamp,
};
use crate::content::{self, Content, Expected};
use crate::model::{Attributes, Bucket, Marks, Object as Record, Place, Version};
use crate::storage::{Along, Changed, Found, New, Write};
use crate::stream::Pieces;
use crate::{Objects, access, errors};

/// Metadata as the client sent it, within AWS's bound.
pub fn metadata(given: Option<Metadata>) -> S3Result<BTreeMap<String, String>> {
    let metadata: BTreeMap<String, String> = given.unwrap_or_default().into_iter().collect();
    if metadata.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>() > limits::OBJECT_METADATA_BYTES_MAX
    {
        return Err(s3_error!(MetadataTooLarge, "Your metadata headers exceed the maximum allowed metadata size"));
    }
    Ok(metadata)
}

/// The record of an object and its bytes, as they were received.
fn new(content: Content, attributes: Attributes, marks: Marks, now_ms: u64) -> New {
    let object = Record {
        size: content.size,
        etag: hex::encode(content.md5),
        modified_ms: now_ms,
        attributes,
        sum: Some(content.sum),
        place: content.blob.map_or(Place::Inline, Place::Blob),
        version: Version::default(),
        marks,
    };
    New { object, inline: content.inline }
}

pub async fn put(s3: &Objects, request: S3Request<PutObjectInput>) -> S3Result<S3Response<PutObjectOutput>> {
    let expected = Expected::of(&request)?;
    // A form's upload comes as a put, and is told of as what it was.
    let event = if access::is_form() { "ObjectCreated:Post" } else { "ObjectCreated:Put" };
    let input = request.input;
    unbuilt(&[
        (input.sse_customer_algorithm.is_some(), "SSECustomerAlgorithm"),
        (input.write_offset_bytes.is_some(), "WriteOffsetBytes"),
    ])?;
    let encryption = sealing::asked(input.server_side_encryption.as_ref(), input.ssekms_key_id)?;
    admit_conditions(input.if_none_match.as_ref())?;
    let bucket = s3.storage.bucket(&input.bucket).await?;
    let now_ms = s3.clock.now_ms();
    let lock = LockHeaders {
        mode: input.object_lock_mode.as_ref(),
        until: input.object_lock_retain_until_date.as_ref(),
        hold: input.object_lock_legal_hold_status.as_ref(),
    };
    let mut marks = lock.marks(&bucket, now_ms)?;
    marks.acl = acls::of_object(&bucket, input.acl.as_ref())?;
    marks.tags = tags::of_header(input.tagging.as_deref())?;
    let attributes = Attributes {
        content_type: input.content_type,
        cache_control: input.cache_control,
        content_disposition: input.content_disposition,
        content_encoding: input.content_encoding.and_then(|encoding| without_chunks(&encoding)),
        content_language: input.content_language,
        expires_s: input.expires.as_ref().map(seconds),
        metadata: metadata(input.metadata)?,
        redirect: redirect(input.website_redirect_location)?,
        storage_class: storage_class(input.storage_class)?,
        encryption,
    };
    let name = s3.storage.new_blob(&input.bucket, None);
    let content = content::receive(&s3.storage, input.body, &expected, "CRC64NVME", &name, false).await?;
    let new = new(content, attributes, marks, s3.clock.now_ms());
    let (if_match, if_none_match) = (input.if_match, input.if_none_match);
    let admit = |old: Option<&Record>| admit_write(old, if_match.as_ref(), if_none_match.as_ref());
    let changed = name.named_by(write(s3, &input.bucket, &input.key, &new, event, admit)).await?;
    s3.count_request("put-requests", &bucket, &input.bucket);
    let sum = content::shown(new.object.sum.as_ref());
    let sealed = sealing::shown(new.object.attributes.encryption.as_ref());
    Ok(S3Response::new(PutObjectOutput {
        e_tag: Some(etag(&new.object.etag)),
        version_id: shown_version(&changed),
        server_side_encryption: sealed.0,
        ssekms_key_id: sealed.1,
        checksum_crc32: sum.checksum_crc32,
        checksum_crc32c: sum.checksum_crc32c,
        checksum_crc64nvme: sum.checksum_crc64nvme,
        checksum_sha1: sum.checksum_sha1,
        checksum_sha256: sum.checksum_sha256,
        checksum_type: sum.checksum_type,
        ..Default::default()
    }))
}

/// What was written, as clients see it, where versions are or were kept.
pub fn shown_version(changed: &Changed) -> Option<String> {
    changed.new.as_ref().filter(|new| !new.version.is_first()).map(|new| new.version_id().to_owned())
}

pub fn redirect(asked: Option<String>) -> S3Result<Option<String>> {
    match asked {
        Some(to) if !["/", "http://", "https://"].iter().any(|start| to.starts_with(start)) => Err(errors::custom(
            "InvalidRedirectLocation",
            400,
            "The website redirect location must have a prefix of 'http://' or 'https://' or '/'.",
        )),
        asked => Ok(asked),
    }
}

/// All classes are kept alike, and shown as asked for; those whose objects have to be restored first are not.
pub fn storage_class(asked: Option<StorageClass>) -> S3Result<Option<String>> {
    let Some(asked) = asked else { return Ok(None) };
    match asked.as_str() {
        "STANDARD" => Ok(None),
        "REDUCED_REDUNDANCY" | "STANDARD_IA" | "ONEZONE_IA" | "INTELLIGENT_TIERING" | "GLACIER_IR" => {
            Ok(Some(asked.as_str().to_owned()))
        }
        "GLACIER" | "DEEP_ARCHIVE" | "OUTPOSTS" | "SNOW" | "EXPRESS_ONEZONE" => {
            unbuilt(&[(true, "StorageClass")])?;
            Ok(None)
        }
        _ => Err(s3_error!(InvalidStorageClass, "The storage class you specified is not valid")),
    }
}

/// Commits a received object; where that is refused, its blob goes.
async fn write(
    s3: &Objects,
    bucket: &str,
    key: &str,
    new: &New,
    event: &'static str,
    admit: impl Fn(Option<&Record>) -> S3Result<()>,
) -> S3Result<Changed> {
    let cause = access::cause(event, new.object.modified_ms)?;
    let admit = |_: &Bucket, old: Option<&Record>| admit(old);
    let written = s3.storage.change(bucket, key, Write::Put(new), Along::default(), &cause, admit).await;
    if let (Err(e), Place::Blob(name)) = (&written, &new.object.place) {
        s3.storage.give_up(std::slice::from_ref(name), e).await;
    }
    written
}

/// What is asked for and not built is refused by name, never left out in silence.
pub fn unbuilt(asked: &[(bool, &str)]) -> S3Result<()> {
    match asked.iter().find(|(is_asked, _)| *is_asked) {
        Some((_, name)) => {
            Err(S3Error::with_message(S3ErrorCode::NotImplemented, format!("not implemented: s3 with {name}")))
        }
        None => Ok(()),
    }
}

/// `aws-chunked` is the wire's encoding, not the object's.
fn without_chunks(encoding: &str) -> Option<String> {
    let kept: Vec<_> = encoding.split(',').map(str::trim).filter(|e| !e.is_empty() && *e != "aws-chunked").collect();
    (!kept.is_empty()).then(|| kept.join(","))
}

struct Conditions<'a> {
    if_match: Option<&'a ETagCondition>,
    if_none_match: Option<&'a ETagCondition>,
    modified: Option<&'a Timestamp>,
    unmodified: Option<&'a Timestamp>,
}

impl Conditions<'_> {
    /// In the order that RFC 9110 gives: a tag goes before a time.
    fn admit(&self, object: &Record) -> S3Result<()> {
        let at = i64::try_from(object.modified_ms / 1000).unwrap_or(i64::MAX);
        match (self.if_match, self.unmodified) {
            (Some(condition), _) if !matches(condition, object) => return Err(precondition_failed()),
            (None, Some(time)) if at > seconds(time) => return Err(precondition_failed()),
            _ => {}
        }
        let is_unchanged = match (self.if_none_match, self.modified) {
            (Some(condition), _) => matches(condition, object),
            (None, Some(time)) => at <= seconds(time),
            (None, None) => false,
        };
        if is_unchanged {
            return Err(s3_error!(NotModified, "Not Modified"));
        }
        Ok(())
    }
}

fn span(asked: Option<&AskedRange>, size: u64) -> S3Result<Range<u64>> {
    let Some(asked) = asked else { return Ok(0..size) };
    asked.check(size).map_err(|_| s3_error!(InvalidRange, "The requested range is not satisfiable"))
}

/// A part of an object that was uploaded in parts: its bytes, and how many parts there are.
async fn part(s3: &Objects, bucket: &str, object: &Record, number: i32) -> S3Result<(Range<u64>, Option<i32>)> {
    let invalid = || errors::custom("InvalidPartNumber", 416, "The requested partnumber is not satisfiable");
    let Place::Parts(upload) = &object.place else {
        return if number == 1 { Ok((0..object.size, None)) } else { Err(invalid()) };
    };
    let mut at = 0;
    let parts = s3.storage.parts(bucket, upload, 0, u32::MAX).await?;
    let count = i32::try_from(parts.len()).ok();
    for (n, part) in parts {
        if u64::try_from(number) == Ok(n) {
            return Ok((at..at + part.size, count));
        }
        at += part.size;
    }
    Err(invalid())
}

/// What of an object is asked for, and whether that is all of it.
struct Asked {
    range: Range<u64>,
    is_whole: bool,
    parts: Option<i32>,
}

impl Asked {
    async fn of(
        s3: &Objects,
        bucket: &str,
        object: &Record,
        range: Option<&AskedRange>,
        number: Option<i32>,
    ) -> S3Result<Asked> {
        match number {
            Some(_) if range.is_some() => {
                Err(s3_error!(InvalidRequest, "Cannot specify both Range header and partNumber query parameter"))
            }
            Some(number) => {
                let (range, parts) = part(s3, bucket, object, number).await?;
                Ok(Asked { range, is_whole: parts.is_none(), parts })
            }
            None => Ok(Asked { range: span(range, object.size)?, is_whole: range.is_none(), parts: None }),
        }
    }

    fn content_range(&self, size: u64) -> Option<String> {
        let last = self.range.end.saturating_sub(1);
        (!self.is_whole).then(|| format!("bytes {}-{last}/{size}", self.range.start))
    }
}

/// How many tags there are is only told where there are some.
fn tag_count(marks: &Marks) -> Option<i32> {
    i32::try_from(marks.tags.len()).ok().filter(|count| *count > 0)
}

fn version_of(object: &Record) -> Option<String> {
    (!object.version.is_first()).then(|| object.version_id().to_owned())
}

pub async fn get(s3: &Objects, request: S3Request<GetObjectInput>) -> S3Result<S3Response<GetObjectOutput>> {
    let input = request.input;
    unbuilt(&[(input.sse_customer_algorithm.is_some(), "SSECustomerAlgorithm")])?;
    let Found { bucket, object, inline } =
        s3.storage.object(&input.bucket, &input.key, input.version_id.as_deref()).await?;
    let conditions = Conditions {
        if_match: input.if_match.as_ref(),
        if_none_match: input.if_none_match.as_ref(),
        modified: input.if_modified_since.as_ref(),
        unmodified: input.if_unmodified_since.as_ref(),
    };
    conditions.admit(&object)?;
    s3.count_request("get-requests", &bucket, &input.bucket);
    let asked = Asked::of(s3, &input.bucket, &object, input.range.as_ref(), input.part_number).await?;
    let body = Pieces::of(s3, &input.bucket, &object, inline, asked.range.clone()).await?;
    let sum = content::shown(object.sum.as_ref().filter(|_| asked.is_whole && input.checksum_mode.is_some()));
    let locks = locks::Shown::of(&object.marks);
    let version_id = version_of(&object);
    let class = object.storage_class().map(|class| StorageClass::from(class.to_owned()));
    let sealed = sealing::shown(object.attributes.encryption.as_ref());
    let kept = object.attributes;
    let output = GetObjectOutput {
        accept_ranges: Some("bytes".to_owned()),
        body: Some(body),
        content_length: i64::try_from(asked.range.end - asked.range.start).ok(),
        content_range: asked.content_range(object.size),
        parts_count: asked.parts,
        e_tag: Some(etag(&object.etag)),
        last_modified: Some(timestamp(object.modified_ms)),
        version_id,
        server_side_encryption: sealed.0,
        ssekms_key_id: sealed.1,
        tag_count: tag_count(&object.marks),
        object_lock_mode: locks.mode,
        object_lock_retain_until_date: locks.until,
        object_lock_legal_hold_status: locks.hold,
        website_redirect_location: kept.redirect,
        storage_class: class,
        content_type: input.response_content_type.or(kept.content_type).or_else(octets),
        cache_control: input.response_cache_control.or(kept.cache_control),
        content_disposition: input.response_content_disposition.or(kept.content_disposition),
        content_encoding: input.response_content_encoding.or(kept.content_encoding),
        content_language: input.response_content_language.or(kept.content_language),
        expires: input.response_expires.or(kept.expires_s.and_then(expires)),
        metadata: Some(kept.metadata.into_iter().collect()),
        checksum_crc32: sum.checksum_crc32,
        checksum_crc32c: sum.checksum_crc32c,
        checksum_crc64nvme: sum.checksum_crc64nvme,
        checksum_sha1: sum.checksum_sha1,
        checksum_sha256: sum.checksum_sha256,
        checksum_type: sum.checksum_type,
        ..Default::default()
    };
    let status = if asked.is_whole { http::StatusCode::OK } else { http::StatusCode::PARTIAL_CONTENT };
    Ok(S3Response::with_status(output, status))
}

fn octets() -> Option<String> {
    Some("binary/octet-stream".to_owned())
}

fn expires(s: i64) -> Option<Timestamp> {
    time::OffsetDateTime::from_unix_timestamp(s).ok().map(Timestamp::from)
}

pub async fn head(s3: &Objects, request: S3Request<HeadObjectInput>) -> S3Result<S3Response<HeadObjectOutput>> {
    let input = request.input;
    unbuilt(&[(input.sse_customer_algorithm.is_some(), "SSECustomerAlgorithm")])?;
    let Found { bucket, object, .. } =
        s3.storage.described(&input.bucket, &input.key, input.version_id.as_deref()).await?;
    let conditions = Conditions {
        if_match: input.if_match.as_ref(),
        if_none_match: input.if_none_match.as_ref(),
        modified: input.if_modified_since.as_ref(),
        unmodified: input.if_unmodified_since.as_ref(),
    };
    conditions.admit(&object)?;
    s3.count_request("get-requests", &bucket, &input.bucket);
    let asked = Asked::of(s3, &input.bucket, &object, input.range.as_ref(), input.part_number).await?;
    let sum = content::shown(object.sum.as_ref().filter(|_| asked.is_whole && input.checksum_mode.is_some()));
    let locks = locks::Shown::of(&object.marks);
    let version_id = version_of(&object);
    let class = object.storage_class().map(|class| StorageClass::from(class.to_owned()));
    let sealed = sealing::shown(object.attributes.encryption.as_ref());
    let kept = object.attributes;
    let output = HeadObjectOutput {
        accept_ranges: Some("bytes".to_owned()),
        content_length: i64::try_from(asked.range.end - asked.range.start).ok(),
        content_range: asked.content_range(object.size),
        parts_count: asked.parts,
        e_tag: Some(etag(&object.etag)),
        last_modified: Some(timestamp(object.modified_ms)),
        version_id,
        server_side_encryption: sealed.0,
        ssekms_key_id: sealed.1,
        object_lock_mode: locks.mode,
        object_lock_retain_until_date: locks.until,
        object_lock_legal_hold_status: locks.hold,
        website_redirect_location: kept.redirect,
        storage_class: class,
        content_type: input.response_content_type.or(kept.content_type).or_else(octets),
        cache_control: input.response_cache_control.or(kept.cache_control),
        content_disposition: input.response_content_disposition.or(kept.content_disposition),
        content_encoding: input.response_content_encoding.or(kept.content_encoding),
        content_language: input.response_content_language.or(kept.content_language),
        expires: input.response_expires.or(kept.expires_s.and_then(expires)),
        metadata: Some(kept.metadata.into_iter().collect()),
        checksum_crc32: sum.checksum_crc32,
        checksum_crc32c: sum.checksum_crc32c,
        checksum_crc64nvme: sum.checksum_crc64nvme,
        checksum_sha1: sum.checksum_sha1,
        checksum_sha256: sum.checksum_sha256,
        checksum_type: sum.checksum_type,
        ..Default::default()
    };
    let status = if asked.is_whole { http::StatusCode::OK } else { http::StatusCode::PARTIAL_CONTENT };
    Ok(S3Response::with_status(output, status))
}

/// The source of a copy, which the caller has to be allowed to read.
pub async fn source(s3: &Objects, source: &CopySource) -> S3Result<(String, Found)> {
    let CopySource::Bucket { bucket, key, version_id } = source else {
        return Err(s3_error!(NotImplemented, "not implemented: s3 with an access point as copy source"));
    };
    let action = access::action("GetObject", version_id.is_some());
    access::may(s3, action, Some(bucket), Some(key)).await?;
    let found = s3.storage.object(bucket, key, version_id.as_deref()).await;
    match found {
        Err(e) if *e.code() == S3ErrorCode::MethodNotAllowed => Err(s3_error!(
            InvalidRequest,
            "The source of a copy request may not specifically refer to a delete marker by version id."
        )),
        found => Ok((bucket.to_string(), found?)),
    }
}

pub async fn copy(s3: &Objects, request: S3Request<CopyObjectInput>) -> S3Result<S3Response<CopyObjectOutput>> {
    let expected = Expected::default();
    let input = request.input;
    unbuilt(&[
        (input.sse_customer_algorithm.is_some(), "SSECustomerAlgorithm"),
        (input.copy_source_sse_customer_algorithm.is_some(), "SSECustomerAlgorithm"),
    ])?;
    let encryption = sealing::asked(input.server_side_encryption.as_ref(), input.ssekms_key_id)?;
    let (from, Found { object, inline, .. }) = source(s3, &input.copy_source).await?;
    let conditions = Conditions {
        if_match: input.copy_source_if_match.as_ref(),
        if_none_match: input.copy_source_if_none_match.as_ref(),
        modified: input.copy_source_if_modified_since.as_ref(),
        unmodified: input.copy_source_if_unmodified_since.as_ref(),
    };
    conditions.admit(&object).map_err(|_| precondition_failed())?;
    if object.size > limits::OBJECT_PUT_BYTES_MAX {
        return Err(s3_error!(
            InvalidRequest,
            "The specified copy source is larger than the maximum allowable size for a copy source: 5368709120"
        ));
    }
    let replaces = input.metadata_directive.as_ref().is_some_and(|directive| directive.as_str() == "REPLACE");
    let is_itself = matches!(&input.copy_source, CopySource::Bucket { bucket, key, version_id: None } if **bucket == *input.bucket && **key == *input.key);
    let says_new = input.storage_class.is_some()
        || input.website_redirect_location.is_some()
        || input.server_side_encryption.is_some();
    if is_itself && !replaces && !says_new {
        return Err(s3_error!(
            InvalidRequest,
            "This copy request is illegal because it is trying to copy an object to itself without changing the object's metadata, storage class, website redirect location or encryption attributes."
        ));
    }
    let attributes = if replaces {
        Attributes {
            content_type: input.content_type,
            cache_control: input.cache_control,
            content_disposition: input.content_disposition,
            content_encoding: input.content_encoding,
            content_language: input.content_language,
            expires_s: input.expires.as_ref().map(seconds),
            metadata: metadata(input.metadata)?,
            ..Attributes::default()
        }
    } else {
        object.attributes.clone()
    };
    // These are the copy's own in any case.
    let attributes = Attributes {
        redirect: redirect(input.website_redirect_location)?,
        storage_class: storage_class(input.storage_class)?,
        encryption,
        ..attributes
    };
    let bucket = s3.storage.bucket(&input.bucket).await?;
    let lock = LockHeaders {
        mode: input.object_lock_mode.as_ref(),
        until: input.object_lock_retain_until_date.as_ref(),
        hold: input.object_lock_legal_hold_status.as_ref(),
    };
    let mut marks = lock.marks(&bucket, s3.clock.now_ms())?;
    marks.acl = acls::of_object(&bucket, input.acl.as_ref())?;
    marks.tags = if input.tagging_directive.as_ref().is_some_and(|directive| directive.as_str() == "REPLACE") {
        tags::of_header(input.tagging.as_deref())?
    } else {
        object.marks.tags.clone()
    };
    let algorithm = input.checksum_algorithm.as_ref().map(|a| a.as_str().to_owned());
    let algorithm = algorithm.or_else(|| object.sum.as_ref().map(|sum| sum.algorithm.clone()));
    let algorithm = algorithm.unwrap_or_else(|| "CRC64NVME".to_owned());
    let body = Pieces::of(s3, &from, &object, inline, 0..object.size).await?;
    let name = s3.storage.new_blob(&input.bucket, None);
    let content = content::receive(&s3.storage, Some(body), &expected, &algorithm, &name, false).await?;
    let new = new(content, attributes, marks, s3.clock.now_ms());
    let written = write(s3, &input.bucket, &input.key, &new, "ObjectCreated:Copy", |_| Ok(()));
    let changed = name.named_by(written).await?;
    s3.count_request("put-requests", &bucket, &input.bucket);
    let sum = content::shown(new.object.sum.as_ref());
    let sealed = sealing::shown(new.object.attributes.encryption.as_ref());
    let result = CopyObjectResult {
        e_tag: Some(etag(&new.object.etag)),
        last_modified: Some(timestamp(new.object.modified_ms)),
        checksum_crc32: sum.checksum_crc32,
        checksum_crc32c: sum.checksum_crc32c,
        checksum_crc64nvme: sum.checksum_crc64nvme,
        checksum_sha1: sum.checksum_sha1,
        checksum_sha256: sum.checksum_sha256,
        checksum_type: sum.checksum_type,
    };
    Ok(S3Response::new(CopyObjectOutput {
        copy_object_result: Some(result),
        version_id: shown_version(&changed),
        copy_source_version_id: version_of(&object),
        server_side_encryption: sealed.0,
        ssekms_key_id: sealed.1,
        ..Default::default()
    }))
}

/// A deletion by key and, where one is named, version.
struct Deletion<'a> {
    bucket: &'a str,
    key: &'a str,
    version: Option<&'a str>,
    /// Retention in governance mode is passed over, by those who may.
    bypasses: bool,
}

impl Deletion<'_> {
    async fn carry_out(&self, s3: &Objects, admit: impl Fn(Option<&Record>) -> S3Result<()>) -> S3Result<Changed> {
        if self.bypasses {
            access::may(s3, "s3:BypassGovernanceRetention", Some(self.bucket), Some(self.key)).await?;
        }
        let now_ms = s3.clock.now_ms();
        let cause = access::cause("ObjectRemoved:Delete", now_ms)?;
        let write = self.version.map_or(Write::Delete, Write::DeleteVersion);
        let admit = |bucket: &Bucket, old: Option<&Record>| {
            admit(old)?;
            // Without a version nothing is lost: a marker is put before it.
            match old.filter(|_| self.version.is_some() && bucket.lock.is_some()) {
                Some(old) => locks::admit_delete(&old.marks, self.bypasses, now_ms),
                None => Ok(()),
            }
        };
        s3.storage.change(self.bucket, self.key, write, Along::default(), &cause, admit).await
    }
}

pub async fn delete(s3: &Objects, request: S3Request<DeleteObjectInput>) -> S3Result<S3Response<DeleteObjectOutput>> {
    let input = request.input;
    unbuilt(&[(input.mfa.is_some(), "MFA")])?;
    let admit = |old: Option<&Record>| match (old, &input.if_match) {
        (Some(_), Some(_)) => admit_write(old, input.if_match.as_ref(), None),
        _ => Ok(()),
    };
    let deletion = Deletion {
        bucket: &input.bucket,
        key: &input.key,
        version: input.version_id.as_deref(),
        bypasses: input.bypass_governance_retention == Some(true),
    };
    let changed = deletion.carry_out(s3, admit).await?;
    let output = match (&changed.new, &input.version_id) {
        (Some(marker), _) => DeleteObjectOutput {
            delete_marker: Some(true),
            version_id: Some(marker.version_id().to_owned()),
            ..Default::default()
        },
        (None, Some(version)) => DeleteObjectOutput {
            delete_marker: changed.old.as_ref().filter(|old| old.version.is_marker).map(|_| true),
            version_id: Some(version.clone()),
            ..Default::default()
        },
        (None, None) => DeleteObjectOutput::default(),
    };
    Ok(S3Response::with_status(output, http::StatusCode::NO_CONTENT))
}

/// Deletions that run at the same time for one request.
const DELETIONS: usize = 16;

pub async fn delete_many(
    s3: &Objects,
    request: S3Request<DeleteObjectsInput>,
) -> S3Result<S3Response<DeleteObjectsOutput>> {
    let input = request.input;
    if input.delete.objects.is_empty() || input.delete.objects.len() > 1000 {
        return Err(s3_error!(
            MalformedXML,
            "The XML you provided was not well-formed or did not validate against our published schema"
        ));
    }
    s3.storage.bucket(&input.bucket).await?;
    let bypasses = input.bypass_governance_retention == Some(true);
    let one = |found: ObjectIdentifier| {
        let bucket = &input.bucket;
        async move {
            let outcome = async {
                let version = found.version_id.as_deref();
                access::may(s3, access::action("DeleteObject", version.is_some()), Some(bucket), Some(&found.key))
                    .await?;
                let admit = |old: Option<&Record>| match (old, &found.e_tag) {
                    (Some(old), Some(etag)) if etag.value() != old.etag => Err(precondition_failed()),
                    _ => Ok(()),
                };
                Deletion { bucket, key: &found.key, version, bypasses }.carry_out(s3, admit).await
            };
            let outcome = outcome.await;
            (found, outcome)
        }
    };
    let outcomes = futures_util::stream::iter(input.delete.objects.into_iter().map(one)).buffered(DELETIONS);
    let outcomes: Vec<(ObjectIdentifier, S3Result<Changed>)> = outcomes.collect().await;
    let (mut deleted, mut failed) = (Vec::new(), Vec::new());
    for (asked, outcome) in outcomes {
        match outcome {
            Ok(changed) => deleted.push(deleted_object(asked, &changed)),
            Err(e) => failed.push(Error {
                key: Some(asked.key),
                version_id: asked.version_id,
                code: Some(e.code().as_str().to_owned()),
                message: e.message().map(str::to_owned),
            }),
        }
    }
    if input.delete.quiet == Some(true) {
        deleted.clear();
    }
    let output = DeleteObjectsOutput { deleted: Some(deleted), errors: Some(failed), ..Default::default() };
    Ok(S3Response::new(output))
}

fn deleted_object(asked: ObjectIdentifier, changed: &Changed) -> DeletedObject {
    // A marker that was put, or one that was taken off.
    let marker = changed.new.as_ref().or_else(|| changed.old.as_ref().filter(|old| old.version.is_marker));
    DeletedObject {
        key: Some(asked.key),
        delete_marker: marker.map(|_| true),
        delete_marker_version_id: marker.map(|marker| marker.version_id().to_owned()),
        version_id: asked.version_id,
    }
}
