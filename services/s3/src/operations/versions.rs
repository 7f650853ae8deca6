//! ListObjectVersions: every version and marker, by key, newest first.

use cumulet_store::prefix_end;
use s3s::dto::*;
use s3s::{S3Request, S3Response, S3Result, s3_error};

use super::listing::{class, common_prefix, commons, encoder, max_keys, sums};
use super::{acls, etag, timestamp};
use crate::Objects;
use crate::model::Object as Record;
use crate::storage::Listed;

const READ: u32 = 1000;

#[derive(Default)]
struct Page {
    found: Vec<Listed>,
    prefixes: Vec<String>,
    is_truncated: bool,
    /// Key or prefix, and id, of what came last.
    last: (String, String),
}

pub async fn list(
    s3: &Objects,
    request: S3Request<ListObjectVersionsInput>,
) -> S3Result<S3Response<ListObjectVersionsOutput>> {
    let input = request.input;
    let bucket = s3.storage.bucket(&input.bucket).await?;
    s3.count_request("put-requests", &bucket, &input.bucket);
    let (asked, max) = max_keys(input.max_keys)?;
    let (key_marker, id_marker) = (input.key_marker.unwrap_or_default(), input.version_id_marker.unwrap_or_default());
    if key_marker.is_empty() && !id_marker.is_empty() {
        return Err(s3_error!(InvalidArgument, "A version-id marker cannot be specified without a key marker."));
    }
    let (prefix, delimiter) = (input.prefix.unwrap_or_default(), input.delimiter.unwrap_or_default());
    let id = match id_marker.as_str() {
        "null" => {
            s3.storage.described(&input.bucket, &key_marker, Some("null")).await.ok().map(|f| f.object.version.id)
        }
        "" => None,
        id => Some(id.to_owned()),
    };
    let from = start(&prefix, &delimiter, &key_marker, id.is_some());
    let page = page(s3, &input.bucket, (&prefix, &delimiter, max), from, id).await?;
    let encode = encoder(input.encoding_type.as_ref())?;
    let owner = acls::owner(&bucket.account);
    let (mut versions, mut markers) = (Vec::new(), Vec::new());
    for Listed { key, object, is_latest } in page.found {
        if object.version.is_marker {
            markers.push(DeleteMarkerEntry {
                is_latest: Some(is_latest),
                key: Some(encode(&key)),
                last_modified: Some(timestamp(object.modified_ms)),
                owner: Some(owner.clone()),
                version_id: Some(object.version_id().to_owned()),
            });
        } else {
            versions.push(version(&encode, &owner, &key, &object, is_latest));
        }
    }
    let next = page.is_truncated.then_some(page.last);
    Ok(S3Response::new(ListObjectVersionsOutput {
        name: Some(input.bucket),
        prefix: Some(encode(&prefix)),
        delimiter: (!delimiter.is_empty()).then(|| encode(&delimiter)),
        key_marker: Some(encode(&key_marker)),
        version_id_marker: Some(id_marker),
        next_key_marker: next.as_ref().map(|(key, _)| encode(key)),
        next_version_id_marker: next.map(|(_, id)| id).filter(|id| !id.is_empty()),
        max_keys: Some(asked),
        is_truncated: Some(page.is_truncated),
        common_prefixes: Some(commons(&page.prefixes, &encode)),
        versions: Some(versions),
        delete_markers: Some(markers),
        encoding_type: input.encoding_type,
        ..Default::default()
    }))
}

/// Where a page begins: after all of a marker's versions, or among them.
fn start(prefix: &str, delimiter: &str, marker: &str, is_inside: bool) -> Vec<u8> {
    match common_prefix(prefix, delimiter, marker) {
        Some(common) if common == marker => prefix_end(common.as_bytes()).to_vec(),
        _ if marker.is_empty() => Vec::new(),
        _ if is_inside => marker.as_bytes().to_vec(),
        _ => [marker.as_bytes(), &[0]].concat(),
    }
}

async fn page(
    s3: &Objects,
    bucket: &str,
    (prefix, delimiter, max): (&str, &str, usize),
    mut from: Vec<u8>,
    mut id: Option<String>,
) -> S3Result<Page> {
    let mut page = Page::default();
    if max == 0 {
        return Ok(page);
    }
    loop {
        let (listed, is_end) = s3.storage.versions(bucket, prefix, &from, id.as_deref(), READ).await?;
        let mut skip_below: Option<Vec<u8>> = None;
        for one in listed {
            if skip_below.as_ref().is_some_and(|end| one.key.as_bytes() < end.as_slice()) {
                continue;
            }
            if page.found.len() + page.prefixes.len() == max {
                page.is_truncated = true;
                return Ok(page);
            }
            if let Some(common) = common_prefix(prefix, delimiter, &one.key) {
                from = prefix_end(common.as_bytes()).to_vec();
                id = None;
                skip_below = Some(from.clone());
                page.last = (common.clone(), String::new());
                page.prefixes.push(common);
            } else {
                from = one.key.as_bytes().to_vec();
                id = Some(one.object.version.id.clone());
                page.last = (one.key.clone(), one.object.version.id.clone());
                page.found.push(one);
            }
        }
        if is_end {
            return Ok(page);
        }
    }
}

fn version(
    encode: impl Fn(&str) -> String,
    owner: &Owner,
    key: &str,
    object: &Record,
    is_latest: bool,
) -> ObjectVersion {
    let (checksum_algorithm, checksum_type) = sums(object);
    ObjectVersion {
        checksum_algorithm,
        checksum_type,
        e_tag: Some(etag(&object.etag)),
        is_latest: Some(is_latest),
        key: Some(encode(key)),
        last_modified: Some(timestamp(object.modified_ms)),
        owner: Some(owner.clone()),
        restore_status: None,
        size: i64::try_from(object.size).ok(),
        storage_class: Some(ObjectVersionStorageClass::from(class(object))),
        version_id: Some(object.version_id().to_owned()),
    }
}
