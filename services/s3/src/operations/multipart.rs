//! Uploads in parts. A part is a blob of its own, and the finished object is the list of them: nothing is copied.

use cumulet_base::limits;
use md5::{Digest, Md5};
use s3s::dto::*;
use s3s::{S3Request, S3Response, S3Result, s3_error};

use super::locks::LockHeaders;
use super::objects::{metadata, redirect, shown_version, source, storage_class, unbuilt};
use super::sealing;
use super::{acls, admit_conditions, admit_write, etag, matches, precondition_failed, seconds, tags, timestamp};
use crate::content::{self, Expected};
use crate::model::{Attributes, Bucket, Object as Record, Part as PartRecord, Place, Upload, Version};
use crate::storage::{Found, New, Write};
use crate::stream::Pieces;
use crate::{Objects, access};

pub async fn create(
    s3: &Objects,
    request: S3Request<CreateMultipartUploadInput>,
) -> S3Result<S3Response<CreateMultipartUploadOutput>> {
    let input = request.input;
    unbuilt(&[(input.sse_customer_algorithm.is_some(), "SSECustomerAlgorithm")])?;
    let encryption = sealing::asked(input.server_side_encryption.as_ref(), input.ssekms_key_id)?;
    let bucket = s3.storage.bucket(&input.bucket).await?;
    let now_ms = s3.clock.now_ms();
    let lock = LockHeaders {
        mode: input.object_lock_mode.as_ref(),
        until: input.object_lock_retain_until_date.as_ref(),
        hold: input.object_lock_legal_hold_status.as_ref(),
    };
    s3.count_request("put-requests", &bucket, &input.bucket);
    let mut marks = lock.marks(&bucket, now_ms)?;
    marks.acl = acls::of_object(&bucket, input.acl.as_ref())?;
    marks.tags = tags::of_header(input.tagging.as_deref())?;
    let is_implied = input.checksum_algorithm.is_none();
    let algorithm = input.checksum_algorithm.as_ref().map_or("CRC64NVME", |a| a.as_str()).to_owned();
    if !content::ALGORITHMS.contains(&algorithm.as_str()) {
        return Err(s3_error!(InvalidRequest, "Checksum algorithm provided is unsupported."));
    }
    let is_composite = match input.checksum_type.as_ref().map(|kind| kind.as_str()) {
        Some("COMPOSITE") if algorithm == "CRC64NVME" => {
            return Err(s3_error!(
                InvalidRequest,
                "The COMPOSITE checksum type cannot be used with the crc64nvme checksum algorithm."
            ));
        }
        Some("FULL_OBJECT") if algorithm.starts_with("SHA") => {
            return Err(s3_error!(
                InvalidRequest,
                "The FULL_OBJECT checksum type cannot be used with the sha checksum algorithms."
            ));
        }
        Some(kind) => kind == "COMPOSITE",
        None => algorithm != "CRC64NVME",
    };
    let attributes = Attributes {
        content_type: input.content_type,
        cache_control: input.cache_control,
        content_disposition: input.content_disposition,
        content_encoding: input.content_encoding,
        content_language: input.content_language,
        expires_s: input.expires.as_ref().map(seconds),
        metadata: metadata(input.metadata)?,
        redirect: redirect(input.website_redirect_location)?,
        storage_class: storage_class(input.storage_class)?,
        encryption,
    };
    let sealed = sealing::shown(attributes.encryption.as_ref());
    let record = Upload { initiated_ms: now_ms, attributes, algorithm, is_composite, is_implied, marks };
    let upload = s3.storage.create_upload(&input.bucket, &input.key, &record).await?;
    Ok(S3Response::new(CreateMultipartUploadOutput {
        bucket: Some(input.bucket),
        key: Some(input.key),
        upload_id: Some(upload),
        checksum_algorithm: Some(ChecksumAlgorithm::from(record.algorithm)),
        checksum_type: Some(kind(is_composite)),
        server_side_encryption: sealed.0,
        ssekms_key_id: sealed.1,
        ..Default::default()
    }))
}

fn kind(is_composite: bool) -> ChecksumType {
    ChecksumType::from_static(if is_composite { "COMPOSITE" } else { "FULL_OBJECT" })
}

struct Target<'a> {
    bucket: &'a str,
    key: &'a str,
    upload: &'a str,
    number: i32,
}

async fn take(s3: &Objects, to: &Target<'_>, body: Option<StreamingBlob>, expected: &Expected) -> S3Result<PartRecord> {
    if !(1..=limits::OBJECT_PARTS_MAX).contains(&to.number) {
        return Err(s3_error!(InvalidArgument, "Part number must be an integer between 1 and 10000, inclusive"));
    }
    let upload = s3.storage.upload(to.bucket, to.key, to.upload).await?;
    s3.count_request("put-requests", &s3.storage.bucket(to.bucket).await?, to.bucket);
    if !upload.is_implied && expected.algorithm().is_some_and(|algorithm| algorithm != upload.algorithm) {
        return Err(s3_error!(
            InvalidRequest,
            "Checksum Type mismatch occurred: the part's algorithm is not the upload's."
        ));
    }
    let name = s3.storage.new_blob(to.bucket, Some(to.upload));
    let content = content::receive(&s3.storage, body, expected, &upload.algorithm, &name, true).await?;
    let part = PartRecord {
        blob: name.clone(),
        size: content.size,
        etag: hex::encode(content.md5),
        modified_ms: s3.clock.now_ms(),
        sum: Some(content.sum),
    };
    let number = u64::try_from(to.number).unwrap_or_default();
    let written = name.named_by(s3.storage.put_part(to.bucket, to.key, to.upload, number, &part)).await;
    if let Err(e) = written {
        s3.storage.give_up(&[part.blob], &e).await;
        return Err(e);
    }
    Ok(part)
}

pub async fn upload_part(s3: &Objects, request: S3Request<UploadPartInput>) -> S3Result<S3Response<UploadPartOutput>> {
    let expected = Expected::of(&request)?;
    let input = request.input;
    unbuilt(&[(input.sse_customer_algorithm.is_some(), "SSECustomerAlgorithm")])?;
    let to = Target { bucket: &input.bucket, key: &input.key, upload: &input.upload_id, number: input.part_number };
    let part = take(s3, &to, input.body, &expected).await?;
    let sum = content::shown(part.sum.as_ref());
    Ok(S3Response::new(UploadPartOutput {
        e_tag: Some(etag(&part.etag)),
        server_side_encryption: sealing::shown(None).0,
        checksum_crc32: sum.checksum_crc32,
        checksum_crc32c: sum.checksum_crc32c,
        checksum_crc64nvme: sum.checksum_crc64nvme,
        checksum_sha1: sum.checksum_sha1,
        checksum_sha256: sum.checksum_sha256,
        ..Default::default()
    }))
}

pub async fn copy_part(
    s3: &Objects,
    request: S3Request<UploadPartCopyInput>,
) -> S3Result<S3Response<UploadPartCopyOutput>> {
    let input = request.input;
    let (from, Found { object, inline, .. }) = source(s3, &input.copy_source).await?;
    let refused = |condition: &Option<ETagCondition>, must: bool| {
        condition.as_ref().is_some_and(|condition| matches(condition, &object) != must)
    };
    if refused(&input.copy_source_if_match, true) || refused(&input.copy_source_if_none_match, false) {
        return Err(precondition_failed());
    }
    unbuilt(&[(
        input.copy_source_if_modified_since.is_some() || input.copy_source_if_unmodified_since.is_some(),
        "CopySourceIfModifiedSince",
    )])?;
    let range = match &input.copy_source_range {
        Some(text) => {
            let bad = || {
                s3_error!(
                    InvalidArgument,
                    "The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are the zero-based offsets of the first and last bytes to copy"
                )
            };
            match Range::parse(text).map_err(|_| bad())? {
                Range::Int { first, last: Some(last) } if first <= last && last < object.size => first..last + 1,
                Range::Int { .. } => {
                    return Err(s3_error!(InvalidRange, "The specified range is not valid for the source object"));
                }
                Range::Suffix { .. } => return Err(bad()),
            }
        }
        None => 0..object.size,
    };
    let body = Pieces::of(s3, &from, &object, inline, range).await?;
    let to = Target { bucket: &input.bucket, key: &input.key, upload: &input.upload_id, number: input.part_number };
    let part = take(s3, &to, Some(body), &Expected::default()).await?;
    let sum = content::shown(part.sum.as_ref());
    let result = CopyPartResult {
        e_tag: Some(etag(&part.etag)),
        last_modified: Some(timestamp(part.modified_ms)),
        checksum_crc32: sum.checksum_crc32,
        checksum_crc32c: sum.checksum_crc32c,
        checksum_crc64nvme: sum.checksum_crc64nvme,
        checksum_sha1: sum.checksum_sha1,
        checksum_sha256: sum.checksum_sha256,
    };
    Ok(S3Response::new(UploadPartCopyOutput { copy_part_result: Some(result), ..Default::default() }))
}

pub async fn complete(
    s3: &Objects,
    request: S3Request<CompleteMultipartUploadInput>,
) -> S3Result<S3Response<CompleteMultipartUploadOutput>> {
    let said = Expected::of(&request)?.sum;
    let input = request.input;
    admit_conditions(input.if_none_match.as_ref())?;
    let (bucket, key, id) = (&input.bucket, &input.key, &input.upload_id);
    let upload = s3.storage.upload(bucket, key, id).await?;
    let asked = input.multipart_upload.and_then(|upload| upload.parts).unwrap_or_default();
    if asked.is_empty() {
        return Err(s3_error!(
            MalformedXML,
            "The XML you provided was not well-formed or did not validate against our published schema"
        ));
    }
    let seen = s3.storage.revision(bucket).await?;
    let mut there = s3.storage.parts(bucket, id, 0, u32::MAX).await?;
    let invalid = || {
        s3_error!(
            InvalidPart,
            "One or more of the specified parts could not be found.  The part may not have been uploaded, or the specified entity tag may not match the part's entity tag."
        )
    };
    let mut chosen: Vec<(u64, PartRecord)> = Vec::with_capacity(asked.len());
    for part in &asked {
        let number = part.part_number.and_then(|number| u64::try_from(number).ok()).ok_or_else(invalid)?;
        if chosen.last().is_some_and(|(last, _)| *last >= number) {
            return Err(s3_error!(
                InvalidPartOrder,
                "The list of parts was not in ascending order. Parts must be ordered by part number."
            ));
        }
        let at = there.binary_search_by_key(&number, |(number, _)| *number).map_err(|_| invalid())?;
        let record = &there[at].1;
        if part.e_tag.as_ref().is_none_or(|etag| etag.value() != record.etag) {
            return Err(invalid());
        }
        chosen.push((number, record.clone()));
    }
    if chosen[..chosen.len() - 1].iter().any(|(_, part)| part.size < limits::OBJECT_PART_BYTES_MIN) {
        return Err(s3_error!(EntityTooSmall, "Your proposed upload is smaller than the minimum allowed size"));
    }
    there.retain(|(number, _)| chosen.binary_search_by_key(number, |(number, _)| *number).is_err());
    if there.len() > limits::STORE_TXN_OPS_MAX / 4 {
        return Err(s3_error!(InvalidRequest, "not implemented: s3 with so many parts left out of an upload"));
    }
    let object = assemble(&chosen, &upload, id, s3.clock.now_ms());
    if let (Some(said), Some(sum)) = (&said, &object.sum)
        && (said.algorithm != sum.algorithm || said.value != sum.value)
    {
        return Err(s3_error!(BadDigest, "The checksum you specified did not match the calculated checksum."));
    }
    if input.mpu_object_size.is_some_and(|size| u64::try_from(size) != Ok(object.size)) {
        return Err(s3_error!(InvalidRequest, "The provided x-amz-mp-object-size does not match what was uploaded."));
    }
    let along = s3.storage.completing(bucket, key, id, seen, &there);
    let new = New { object, inline: None };
    let (if_match, if_none_match) = (&input.if_match, &input.if_none_match);
    let admit = |_: &Bucket, old: Option<&Record>| admit_write(old, if_match.as_ref(), if_none_match.as_ref());
    let cause = access::cause("ObjectCreated:CompleteMultipartUpload", new.object.modified_ms)?;
    let changed = s3.storage.change(bucket, key, Write::Put(&new), along, &cause, admit).await?;
    s3.count_request("put-requests", &s3.storage.bucket(bucket).await?, bucket);
    s3.storage.discard(&there.into_iter().map(|(_, part)| part.blob).collect::<Vec<_>>()).await;
    let sum = content::shown(new.object.sum.as_ref());
    let sealed = sealing::shown(new.object.attributes.encryption.as_ref());
    Ok(S3Response::new(CompleteMultipartUploadOutput {
        location: Some(format!("/{bucket}/{key}")),
        bucket: Some(bucket.clone()),
        key: Some(key.clone()),
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

/// The object that the parts make; its tag is the MD5 of theirs, and their number.
fn assemble(parts: &[(u64, PartRecord)], upload: &Upload, id: &str, now_ms: u64) -> Record {
    let mut md5 = Md5::new();
    for (_, part) in parts {
        md5.update(hex::decode(&part.etag).unwrap_or_default());
    }
    // Parts with checksums of another algorithm make a whole without one.
    let fitting = |part: &'_ PartRecord| part.sum.as_ref().is_some_and(|sum| sum.algorithm == upload.algorithm);
    let sums: Option<Vec<_>> =
        parts.iter().map(|(_, part)| Some((part.size, part.sum.as_ref().filter(|_| fitting(part))?))).collect();
    Record {
        size: parts.iter().map(|(_, part)| part.size).sum(),
        etag: format!("{}-{}", hex::encode(md5.finalize()), parts.len()),
        modified_ms: now_ms,
        attributes: upload.attributes.clone(),
        sum: sums.and_then(|sums| content::combine(&upload.algorithm, upload.is_composite, &sums)),
        place: Place::Parts(id.to_owned()),
        version: Version::default(),
        marks: upload.marks.clone(),
    }
}

pub async fn abort(
    s3: &Objects,
    request: S3Request<AbortMultipartUploadInput>,
) -> S3Result<S3Response<AbortMultipartUploadOutput>> {
    let input = request.input;
    s3.storage.abort(&input.bucket, &input.key, &input.upload_id).await?;
    Ok(S3Response::with_status(AbortMultipartUploadOutput::default(), http::StatusCode::NO_CONTENT))
}

pub async fn list_parts(s3: &Objects, request: S3Request<ListPartsInput>) -> S3Result<S3Response<ListPartsOutput>> {
    let input = request.input;
    let upload = s3.storage.upload(&input.bucket, &input.key, &input.upload_id).await?;
    let after = input.part_number_marker.and_then(|n| u64::try_from(n).ok()).unwrap_or_default();
    let max = input.max_parts.and_then(|n| u32::try_from(n).ok()).unwrap_or(1000).clamp(1, 1000);
    let mut found = s3.storage.parts(&input.bucket, &input.upload_id, after, max + 1).await?;
    let is_truncated = found.len() > max as usize;
    found.truncate(max as usize);
    let next = found.last().and_then(|(number, _)| i32::try_from(*number).ok());
    let one = |(number, part): (u64, PartRecord)| {
        let sum = content::shown(part.sum.as_ref());
        Part {
            part_number: i32::try_from(number).ok(),
            size: i64::try_from(part.size).ok(),
            e_tag: Some(etag(&part.etag)),
            last_modified: Some(timestamp(part.modified_ms)),
            checksum_crc32: sum.checksum_crc32,
            checksum_crc32c: sum.checksum_crc32c,
            checksum_crc64nvme: sum.checksum_crc64nvme,
            checksum_sha1: sum.checksum_sha1,
            checksum_sha256: sum.checksum_sha256,
        }
    };
    Ok(S3Response::new(ListPartsOutput {
        bucket: Some(input.bucket),
        key: Some(input.key),
        upload_id: Some(input.upload_id),
        part_number_marker: input.part_number_marker,
        next_part_number_marker: next,
        max_parts: i32::try_from(max).ok(),
        is_truncated: Some(is_truncated),
        parts: Some(found.into_iter().map(one).collect()),
        checksum_algorithm: Some(ChecksumAlgorithm::from(upload.algorithm)),
        checksum_type: Some(kind(upload.is_composite)),
        storage_class: Some(StorageClass::from_static("STANDARD")),
        ..Default::default()
    }))
}

pub async fn list_uploads(
    s3: &Objects,
    request: S3Request<ListMultipartUploadsInput>,
) -> S3Result<S3Response<ListMultipartUploadsOutput>> {
    let input = request.input;
    unbuilt(&[(input.delimiter.as_ref().is_some_and(|d| !d.is_empty()), "Delimiter")])?;
    s3.storage.bucket(&input.bucket).await?;
    let prefix = input.prefix.clone().unwrap_or_default();
    let max = usize::try_from(input.max_uploads.unwrap_or(1000)).unwrap_or(1000).clamp(1, 1000);
    let mut at = (input.key_marker.clone().unwrap_or_default(), input.upload_id_marker.clone().unwrap_or_default());
    let mut found: Vec<(String, String, Upload)> = Vec::new();
    let is_truncated = loop {
        let page = s3.storage.uploads(&input.bucket, (&at.0, &at.1)).await?;
        let Some((key, id, _)) = page.last() else { break false };
        at = (key.clone(), id.clone());
        found.extend(page.into_iter().filter(|(key, _, _)| key.starts_with(&prefix)));
        if found.len() > max {
            break true;
        }
    };
    found.truncate(max);
    let last = found.last().filter(|_| is_truncated).map(|(key, id, _)| (key.clone(), id.clone()));
    let one = |(key, id, upload): (String, String, Upload)| MultipartUpload {
        key: Some(key),
        upload_id: Some(id),
        initiated: Some(timestamp(upload.initiated_ms)),
        storage_class: Some(StorageClass::from_static("STANDARD")),
        checksum_algorithm: Some(ChecksumAlgorithm::from(upload.algorithm)),
        checksum_type: Some(kind(upload.is_composite)),
        ..Default::default()
    };
    Ok(S3Response::new(ListMultipartUploadsOutput {
        bucket: Some(input.bucket),
        prefix: input.prefix,
        key_marker: input.key_marker,
        upload_id_marker: input.upload_id_marker,
        next_key_marker: last.as_ref().map(|(key, _)| key.clone()),
        next_upload_id_marker: last.map(|(_, id)| id),
        max_uploads: i32::try_from(max).ok(),
        is_truncated: Some(is_truncated),
        uploads: Some(found.into_iter().map(one).collect()),
        ..Default::default()
    }))
}
