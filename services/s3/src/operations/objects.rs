//! Objects: put, get, head, copy, delete, delete many.

use std::collections::BTreeMap;
use std::ops::Range;

use cumulet_base::limits;
use futures_util::StreamExt;
use s3s::dto::{Range as AskedRange, *};
use s3s::{S3Error, S3ErrorCode, S3Request, S3Response, S3Result, s3_error};

use super::{admit_write, etag, matches, precondition_failed, seconds, timestamp};
use crate::content::{self, Content, Expected};
use crate::model::{Attributes, Object as Record, Place};
use crate::storage::{Along, New};
use crate::stream::Pieces;
use crate::{Objects, access};

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
fn new(content: Content, attributes: Attributes, now_ms: u64) -> New {
    let object = Record {
        size: content.size,
        etag: hex::encode(content.md5),
        modified_ms: now_ms,
        attributes,
        sum: Some(content.sum),
        place: content.blob.map_or(Place::Inline, Place::Blob),
    };
    New { object, inline: content.inline }
}

pub async fn put(s3: &Objects, request: S3Request<PutObjectInput>) -> S3Result<S3Response<PutObjectOutput>> {
    let expected = Expected::of(&request)?;
    let input = request.input;
    unbuilt(&[
        (input.sse_customer_algorithm.is_some(), "SSECustomerAlgorithm"),
        (input.ssekms_key_id.is_some(), "SSEKMSKeyId"),
        (input.object_lock_mode.is_some() || input.object_lock_legal_hold_status.is_some(), "ObjectLock"),
        (input.tagging.is_some(), "Tagging"),
        (input.website_redirect_location.is_some(), "WebsiteRedirectLocation"),
        (input.write_offset_bytes.is_some(), "WriteOffsetBytes"),
        (input.acl.as_ref().is_some_and(|acl| is_shared(acl.as_str())), "ACL"),
    ])?;
    s3.storage.bucket(&input.bucket).await?;
    let attributes = Attributes {
        content_type: input.content_type,
        cache_control: input.cache_control,
        content_disposition: input.content_disposition,
        content_encoding: input.content_encoding.and_then(|encoding| without_chunks(&encoding)),
        content_language: input.content_language,
        expires_s: input.expires.as_ref().map(seconds),
        metadata: metadata(input.metadata)?,
    };
    let name = s3.storage.blob_name(&input.bucket, None);
    let content = content::receive(&s3.storage, input.body, &expected, "CRC64NVME", name, false).await?;
    let new = new(content, attributes, s3.clock.now_ms());
    let (if_match, if_none_match) = (input.if_match, input.if_none_match);
    write(s3, &input.bucket, &input.key, &new, |old| admit_write(old, if_match.as_ref(), if_none_match.as_ref()))
        .await?;
    let sum = content::shown(new.object.sum.as_ref());
    Ok(S3Response::new(PutObjectOutput {
        e_tag: Some(etag(&new.object.etag)),
        checksum_crc32: sum.checksum_crc32,
        checksum_crc32c: sum.checksum_crc32c,
        checksum_crc64nvme: sum.checksum_crc64nvme,
        checksum_sha1: sum.checksum_sha1,
        checksum_sha256: sum.checksum_sha256,
        checksum_type: sum.checksum_type,
        ..Default::default()
    }))
}

/// Commits a received object; where that is refused, its blob goes.
async fn write(
    s3: &Objects,
    bucket: &str,
    key: &str,
    new: &New,
    admit: impl Fn(Option<&Record>) -> S3Result<()>,
) -> S3Result<()> {
    let written = s3.storage.replace(bucket, key, Some(new), Along::default(), admit).await;
    if let (Err(e), Place::Blob(name)) = (&written, &new.object.place) {
        // After an internal error the record may be there all the same, and needs its blob.
        if *e.code() != S3ErrorCode::InternalError {
            s3.storage.discard(std::slice::from_ref(name)).await;
        }
    }
    written.map(drop)
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

/// Canned ACLs that let others in; the rest say what is so anyway.
pub fn is_shared(acl: &str) -> bool {
    !matches!(acl, "private" | "bucket-owner-full-control" | "bucket-owner-read")
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

pub async fn get(s3: &Objects, request: S3Request<GetObjectInput>) -> S3Result<S3Response<GetObjectOutput>> {
    let input = request.input;
    unbuilt(&[
        (input.version_id.as_deref().is_some_and(|version| version != "null"), "VersionId"),
        (input.part_number.is_some(), "PartNumber"),
    ])?;
    let (object, inline) = s3.storage.object(&input.bucket, &input.key).await?;
    let conditions = Conditions {
        if_match: input.if_match.as_ref(),
        if_none_match: input.if_none_match.as_ref(),
        modified: input.if_modified_since.as_ref(),
        unmodified: input.if_unmodified_since.as_ref(),
    };
    conditions.admit(&object)?;
    let range = span(input.range.as_ref(), object.size)?;
    let body = Pieces::of(s3, &input.bucket, &object, inline, range.clone()).await?;
    let is_whole = input.range.is_none();
    let sum = content::shown(object.sum.as_ref().filter(|_| is_whole && input.checksum_mode.is_some()));
    let kept = object.attributes;
    let output = GetObjectOutput {
        accept_ranges: Some("bytes".to_owned()),
        body: Some(body),
        content_length: i64::try_from(range.end - range.start).ok(),
        content_range: (!is_whole).then(|| format!("bytes {}-{}/{}", range.start, range.end - 1, object.size)),
        e_tag: Some(etag(&object.etag)),
        last_modified: Some(timestamp(object.modified_ms)),
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
    let status = if is_whole { http::StatusCode::OK } else { http::StatusCode::PARTIAL_CONTENT };
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
    unbuilt(&[
        (input.version_id.as_deref().is_some_and(|version| version != "null"), "VersionId"),
        (input.part_number.is_some(), "PartNumber"),
    ])?;
    let (object, _) = s3.storage.object(&input.bucket, &input.key).await?;
    let conditions = Conditions {
        if_match: input.if_match.as_ref(),
        if_none_match: input.if_none_match.as_ref(),
        modified: input.if_modified_since.as_ref(),
        unmodified: input.if_unmodified_since.as_ref(),
    };
    conditions.admit(&object)?;
    let range = span(input.range.as_ref(), object.size)?;
    let is_whole = input.range.is_none();
    let sum = content::shown(object.sum.as_ref().filter(|_| is_whole && input.checksum_mode.is_some()));
    let kept = object.attributes;
    let output = HeadObjectOutput {
        accept_ranges: Some("bytes".to_owned()),
        content_length: i64::try_from(range.end - range.start).ok(),
        content_range: (!is_whole).then(|| format!("bytes {}-{}/{}", range.start, range.end - 1, object.size)),
        e_tag: Some(etag(&object.etag)),
        last_modified: Some(timestamp(object.modified_ms)),
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
    let status = if is_whole { http::StatusCode::OK } else { http::StatusCode::PARTIAL_CONTENT };
    Ok(S3Response::with_status(output, status))
}

/// The source of a copy, which the caller has to be allowed to read.
pub async fn source(s3: &Objects, source: &CopySource) -> S3Result<(String, Record, bytes::Bytes)> {
    let CopySource::Bucket { bucket, key, version_id } = source else {
        return Err(s3_error!(NotImplemented, "not implemented: s3 with an access point as copy source"));
    };
    unbuilt(&[(version_id.as_deref().is_some_and(|version| version != "null"), "VersionId")])?;
    access::may(&*s3.authorizer, "s3:GetObject", &access::arn(bucket, key)).await?;
    let (object, inline) = s3.storage.object(bucket, key).await?;
    Ok((bucket.to_string(), object, inline))
}

pub async fn copy(s3: &Objects, request: S3Request<CopyObjectInput>) -> S3Result<S3Response<CopyObjectOutput>> {
    let expected = Expected::default();
    let input = request.input;
    unbuilt(&[
        (input.tagging.is_some(), "Tagging"),
        (input.ssekms_key_id.is_some(), "SSEKMSKeyId"),
        (input.acl.as_ref().is_some_and(|acl| is_shared(acl.as_str())), "ACL"),
    ])?;
    let (from, object, inline) = source(s3, &input.copy_source).await?;
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
    let is_itself = matches!(&input.copy_source, CopySource::Bucket { bucket, key, .. } if **bucket == *input.bucket && **key == *input.key);
    if is_itself && !replaces {
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
        }
    } else {
        object.attributes.clone()
    };
    s3.storage.bucket(&input.bucket).await?;
    let algorithm = input.checksum_algorithm.as_ref().map(|a| a.as_str().to_owned());
    let algorithm = algorithm.or_else(|| object.sum.as_ref().map(|sum| sum.algorithm.clone()));
    let algorithm = algorithm.unwrap_or_else(|| "CRC64NVME".to_owned());
    let body = Pieces::of(s3, &from, &object, inline, 0..object.size).await?;
    let name = s3.storage.blob_name(&input.bucket, None);
    let content = content::receive(&s3.storage, Some(body), &expected, &algorithm, name, false).await?;
    let new = new(content, attributes, s3.clock.now_ms());
    write(s3, &input.bucket, &input.key, &new, |_| Ok(())).await?;
    let sum = content::shown(new.object.sum.as_ref());
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
    Ok(S3Response::new(CopyObjectOutput { copy_object_result: Some(result), ..Default::default() }))
}

pub async fn delete(s3: &Objects, request: S3Request<DeleteObjectInput>) -> S3Result<S3Response<DeleteObjectOutput>> {
    let input = request.input;
    unbuilt(&[(input.version_id.as_deref().is_some_and(|version| version != "null"), "VersionId")])?;
    let admit = |old: Option<&Record>| match (old, &input.if_match) {
        (Some(_), Some(_)) => admit_write(old, input.if_match.as_ref(), None),
        _ => Ok(()),
    };
    s3.storage.replace(&input.bucket, &input.key, None, Along::default(), admit).await?;
    Ok(S3Response::with_status(DeleteObjectOutput::default(), http::StatusCode::NO_CONTENT))
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
    let one = |found: ObjectIdentifier| {
        let bucket = &input.bucket;
        async move {
            let outcome = async {
                unbuilt(&[(found.version_id.as_deref().is_some_and(|version| version != "null"), "VersionId")])?;
                access::may(&*s3.authorizer, "s3:DeleteObject", &access::arn(bucket, &found.key)).await?;
                let admit = |old: Option<&Record>| match (old, &found.e_tag) {
                    (Some(old), Some(etag)) if etag.value() != old.etag => Err(precondition_failed()),
                    _ => Ok(()),
                };
                s3.storage.replace(bucket, &found.key, None, Along::default(), admit).await
            };
            (found.key.clone(), outcome.await)
        }
    };
    let outcomes = futures_util::stream::iter(input.delete.objects.into_iter().map(one)).buffered(DELETIONS);
    let outcomes: Vec<(String, S3Result<Option<Record>>)> = outcomes.collect().await;
    let (mut deleted, mut failed) = (Vec::new(), Vec::new());
    for (key, outcome) in outcomes {
        match outcome {
            Ok(_) => deleted.push(DeletedObject { key: Some(key), ..Default::default() }),
            Err(e) => failed.push(Error {
                key: Some(key),
                code: Some(e.code().as_str().to_owned()),
                message: e.message().map(str::to_owned),
                ..Default::default()
            }),
        }
    }
    if input.delete.quiet == Some(true) {
        deleted.clear();
    }
    let output = DeleteObjectsOutput { deleted: Some(deleted), errors: Some(failed), ..Default::default() };
    Ok(S3Response::new(output))
}
