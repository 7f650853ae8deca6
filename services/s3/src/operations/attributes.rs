//! What is known of an object, without its bytes: GetObjectAttributes.

use s3s::dto::*;
use s3s::{S3Request, S3Response, S3Result, s3_error};

use super::timestamp;
use crate::content;
use crate::model::Place;
use crate::{Objects, storage::Found};

pub async fn get(
    s3: &Objects,
    request: S3Request<GetObjectAttributesInput>,
) -> S3Result<S3Response<GetObjectAttributesOutput>> {
    let input = request.input;
    // One header may name several.
    let asked = input.object_attributes.iter().flat_map(|named| named.as_str().split(','));
    let asked: Vec<&str> = asked.map(str::trim).filter(|name| !name.is_empty()).collect();
    if asked.iter().any(|name| !["ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize"].contains(name)) {
        return Err(s3_error!(InvalidArgument, "Invalid attribute name specified."));
    }
    if asked.is_empty() {
        return Err(s3_error!(InvalidArgument, "At least one of the object attributes must be specified."));
    }
    let Found { object, .. } = s3.storage.described(&input.bucket, &input.key, input.version_id.as_deref()).await?;
    let mut output = GetObjectAttributesOutput {
        last_modified: Some(timestamp(object.modified_ms)),
        version_id: (!object.version.is_first()).then(|| object.version_id().to_owned()),
        ..Default::default()
    };
    if asked.contains(&"ETag") {
        // Without the quotes that it has everywhere else.
        output.e_tag = Some(super::etag(&object.etag));
    }
    if asked.contains(&"ObjectSize") {
        output.object_size = i64::try_from(object.size).ok();
    }
    if asked.contains(&"StorageClass") {
        let class = object.storage_class().unwrap_or("STANDARD").to_owned();
        output.storage_class = Some(StorageClass::from(class));
    }
    if asked.contains(&"Checksum") {
        output.checksum = object.sum.as_ref().map(|sum| {
            let mut sum = sum.clone();
            // The number of parts has a member of its own.
            if let Some((value, _)) = sum.value.split_once('-') {
                sum.value = value.to_owned();
            }
            content::shown(Some(&sum))
        });
    }
    if let (true, Place::Parts(upload)) = (asked.contains(&"ObjectParts"), &object.place) {
        let after = input.part_number_marker.and_then(|n| u64::try_from(n).ok()).unwrap_or_default();
        let max = input.max_parts.and_then(|n| usize::try_from(n).ok()).unwrap_or(1000).clamp(1, 1000);
        let all = s3.storage.parts(&input.bucket, upload, 0, u32::MAX).await?;
        let total = i32::try_from(all.len()).ok();
        let mut rest: Vec<_> = all.into_iter().filter(|(number, _)| *number > after).collect();
        let is_truncated = rest.len() > max;
        rest.truncate(max);
        let next = rest.last().and_then(|(number, _)| i32::try_from(*number).ok());
        // Parts are told one by one only where each has a checksum that was asked for.
        let is_told = object.sum.as_ref().is_some_and(|sum| sum.is_composite);
        let parts = is_told.then(|| {
            let one = |(number, part): (u64, crate::model::Part)| {
                let sum = content::shown(part.sum.as_ref());
                ObjectPart {
                    part_number: i32::try_from(number).ok(),
                    size: i64::try_from(part.size).ok(),
                    checksum_crc32: sum.checksum_crc32,
                    checksum_crc32c: sum.checksum_crc32c,
                    checksum_crc64nvme: sum.checksum_crc64nvme,
                    checksum_sha1: sum.checksum_sha1,
                    checksum_sha256: sum.checksum_sha256,
                }
            };
            rest.into_iter().map(one).collect()
        });
        output.object_parts = Some(GetObjectAttributesParts {
            is_truncated: Some(is_truncated),
            max_parts: i32::try_from(max).ok(),
            next_part_number_marker: next,
            part_number_marker: input.part_number_marker.or(Some(0)),
            parts,
            total_parts_count: total,
        });
    }
    Ok(S3Response::new(output))
}
