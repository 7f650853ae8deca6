//! Listings of objects, versions 1 and 2: one walk over the keys for both.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use cumulet_store::prefix_end;
use s3s::dto::*;
use s3s::{S3Request, S3Response, S3Result, s3_error};

use super::{etag, timestamp};
use crate::Objects;
use crate::model::Object as Record;

/// A page of a walk. `next` is where the following page begins, and `last` the last key or common prefix of this one.
#[derive(Default)]
struct Page {
    objects: Vec<(String, Record)>,
    prefixes: Vec<String>,
    next: Option<Vec<u8>>,
    last: String,
}

struct Walk<'a> {
    bucket: &'a str,
    prefix: &'a str,
    delimiter: &'a str,
    max: usize,
}

const READ: u32 = 1000;

impl Walk<'_> {
    async fn page(&self, s3: &Objects, mut from: Vec<u8>) -> S3Result<Page> {
        let mut page = Page::default();
        if self.max == 0 {
            return Ok(page);
        }
        loop {
            let rows = s3.storage.list(self.bucket, self.prefix, &from, READ).await?;
            let was_last = rows.len() < READ as usize;
            let mut skip_below: Option<Vec<u8>> = None;
            for (key, object) in rows {
                if skip_below.as_ref().is_some_and(|end| key.as_bytes() < end.as_slice()) {
                    continue;
                }
                if page.objects.len() + page.prefixes.len() == self.max {
                    page.next = Some(from);
                    return Ok(page);
                }
                match self.common_prefix(&key) {
                    Some(common) => {
                        from = prefix_end(common.as_bytes()).to_vec();
                        skip_below = Some(from.clone());
                        page.last.clone_from(&common);
                        page.prefixes.push(common);
                    }
                    None => {
                        from = [key.as_bytes(), &[0]].concat();
                        page.last.clone_from(&key);
                        page.objects.push((key, object));
                    }
                }
            }
            if was_last {
                return Ok(page);
            }
        }
    }

    fn common_prefix(&self, key: &str) -> Option<String> {
        common_prefix(self.prefix, self.delimiter, key)
    }

    /// Where a page begins that comes after a key or common prefix named by the client.
    fn after(&self, marker: &str) -> Vec<u8> {
        match self.common_prefix(marker) {
            Some(common) if common == marker => prefix_end(common.as_bytes()).to_vec(),
            _ if marker.is_empty() => Vec::new(),
            _ => [marker.as_bytes(), &[0]].concat(),
        }
    }
}

pub fn common_prefix(prefix: &str, delimiter: &str, key: &str) -> Option<String> {
    if delimiter.is_empty() {
        return None;
    }
    let rest = key.get(prefix.len()..)?;
    let at = rest.find(delimiter)?;
    Some(key[..prefix.len() + at + delimiter.len()].to_owned())
}

/// Keys as they are, or percent-encoded where the client asked, because XML cannot hold all of them.
pub fn encoder(encoding: Option<&EncodingType>) -> S3Result<impl Fn(&str) -> String + use<>> {
    if encoding.is_some_and(|encoding| encoding.as_str() != "url") {
        return Err(s3_error!(InvalidArgument, "Invalid Encoding Method specified in Request"));
    }
    let is_url = encoding.is_some();
    let encode = move |text: &str| {
        if !is_url {
            return text.to_owned();
        }
        let mut out = String::with_capacity(text.len());
        for &byte in text.as_bytes() {
            match byte {
                b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'/' | b'*' => {
                    out.push(char::from(byte))
                }
                _ => out.push_str(&format!("%{byte:02X}")),
            }
        }
        out
    };
    Ok(encode)
}

pub fn class(object: &Record) -> String {
    object.storage_class().unwrap_or("STANDARD").to_owned()
}

/// Algorithm and kind of an object's checksum.
pub fn sums(object: &Record) -> (Option<Vec<ChecksumAlgorithm>>, Option<ChecksumType>) {
    let sum = object.sum.as_ref();
    let kind = sum.map(|sum| ChecksumType::from_static(if sum.is_composite { "COMPOSITE" } else { "FULL_OBJECT" }));
    (sum.map(|sum| vec![ChecksumAlgorithm::from(sum.algorithm.clone())]), kind)
}

fn shown(objects: &[(String, Record)], encode: impl Fn(&str) -> String) -> Vec<Object> {
    let one = |(key, object): &(String, Record)| Object {
        key: Some(encode(key)),
        e_tag: Some(etag(&object.etag)),
        size: i64::try_from(object.size).ok(),
        last_modified: Some(timestamp(object.modified_ms)),
        storage_class: Some(ObjectStorageClass::from(class(object))),
        checksum_algorithm: sums(object).0,
        checksum_type: sums(object).1,
        ..Default::default()
    };
    objects.iter().map(one).collect()
}

pub fn max_keys(asked: Option<i32>) -> S3Result<(i32, usize)> {
    let asked = asked.unwrap_or(1000);
    let max = usize::try_from(asked);
    let max =
        max.map_err(|_| s3_error!(InvalidArgument, "Argument maxKeys must be an integer between 0 and 2147483647"))?;
    Ok((asked, max.min(1000)))
}

pub fn commons(prefixes: &[String], encode: impl Fn(&str) -> String) -> Vec<CommonPrefix> {
    prefixes.iter().map(|prefix| CommonPrefix { prefix: Some(encode(prefix)) }).collect()
}

pub async fn v2(s3: &Objects, request: S3Request<ListObjectsV2Input>) -> S3Result<S3Response<ListObjectsV2Output>> {
    let input = request.input;
    let bucket = s3.storage.bucket(&input.bucket).await?;
    s3.count_request("put-requests", &bucket, &input.bucket);
    let (asked, max) = max_keys(input.max_keys)?;
    let (prefix, delimiter) = (input.prefix.unwrap_or_default(), input.delimiter.unwrap_or_default());
    let walk = Walk { bucket: &input.bucket, prefix: &prefix, delimiter: &delimiter, max };
    let from = match &input.continuation_token {
        Some(token) => BASE64_URL_SAFE_NO_PAD
            .decode(token)
            .map_err(|_| s3_error!(InvalidArgument, "The continuation token provided is incorrect"))?,
        None => walk.after(input.start_after.as_deref().unwrap_or_default()),
    };
    let page = walk.page(s3, from).await?;
    let encode = encoder(input.encoding_type.as_ref())?;
    Ok(S3Response::new(ListObjectsV2Output {
        name: Some(input.bucket.clone()),
        prefix: Some(encode(&prefix)),
        delimiter: (!delimiter.is_empty()).then(|| encode(&delimiter)),
        max_keys: Some(asked),
        key_count: i32::try_from(page.objects.len() + page.prefixes.len()).ok(),
        contents: Some(shown(&page.objects, &encode)),
        common_prefixes: Some(commons(&page.prefixes, &encode)),
        is_truncated: Some(page.next.is_some()),
        next_continuation_token: page.next.map(|next| BASE64_URL_SAFE_NO_PAD.encode(next)),
        continuation_token: input.continuation_token,
        start_after: input.start_after.as_deref().map(encode),
        encoding_type: input.encoding_type,
        ..Default::default()
    }))
}

pub async fn v1(s3: &Objects, request: S3Request<ListObjectsInput>) -> S3Result<S3Response<ListObjectsOutput>> {
    let input = request.input;
    let bucket = s3.storage.bucket(&input.bucket).await?;
    s3.count_request("put-requests", &bucket, &input.bucket);
    let (asked, max) = max_keys(input.max_keys)?;
    let (prefix, delimiter) = (input.prefix.unwrap_or_default(), input.delimiter.unwrap_or_default());
    let walk = Walk { bucket: &input.bucket, prefix: &prefix, delimiter: &delimiter, max };
    let marker = input.marker.unwrap_or_default();
    let page = walk.page(s3, walk.after(&marker)).await?;
    let encode = encoder(input.encoding_type.as_ref())?;
    Ok(S3Response::new(ListObjectsOutput {
        name: Some(input.bucket.clone()),
        prefix: Some(encode(&prefix)),
        marker: Some(encode(&marker)),
        max_keys: Some(asked),
        contents: Some(shown(&page.objects, &encode)),
        common_prefixes: Some(commons(&page.prefixes, &encode)),
        is_truncated: Some(page.next.is_some()),
        // Without a delimiter the last key serves.
        next_marker: (page.next.is_some() && !delimiter.is_empty()).then(|| encode(&page.last)),
        delimiter: (!delimiter.is_empty()).then(|| encode(&delimiter)),
        encoding_type: input.encoding_type,
        ..Default::default()
    }))
}
