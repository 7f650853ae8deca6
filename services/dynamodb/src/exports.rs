//! Writing a table as it was at a point in time into a bucket, in AWS's form
//! (<https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/S3DataExport.Output.html>): put together in rows of
//! its own first, then written file by file under the caller's permissions. A stop begins it again.

use std::io::Write;
use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use cumulet_base::{clock, id, limits};
use cumulet_wire::auth::Caller;
use cumulet_wire::error::ApiError;
use flate2::Compression;
use flate2::write::GzEncoder;
use md5::{Digest, Md5};
use serde_json::json;

use crate::keys;
use crate::model::Export;
use crate::storage::Span;
use crate::value::{item_size_bytes, write_item};
use crate::{Shared, jobs};

/// Items of one file, before they are compressed.
const FILE_BYTES: usize = 16 * 1024 * 1024;

pub async fn run(shared: Arc<Shared>, export: Export) {
    let arn = export.arn.clone();
    if let Err(error) = try_run(&shared, export).await {
        // It is begun again with the next start.
        tracing::error!(arn, %error, "exporting a table");
    }
}

async fn try_run(shared: &Arc<Shared>, mut export: Export) -> Result<(), ApiError> {
    put_together(shared, &export).await?;
    if let Err(error) = write_out(shared, &mut export).await {
        // The bucket's answer stands; what failed here is tried again at the next start.
        if error.status >= 500 && error.status != 501 {
            return Err(error);
        }
        let code = match error.code.as_str() {
            "NoSuchBucket" => "S3NoSuchBucket".to_owned(),
            "AccessDenied" | "AccessDeniedException" => "S3AccessDenied".to_owned(),
            other => other.to_owned(),
        };
        export.failure = Some((code, error.message));
    }
    export.ended_ms = Some(shared.now_ms());
    shared.storage().put_export(&export).await?;
    jobs::purge(shared.clone(), export.rows).await;
    Ok(())
}

/// Copies what is there, then takes back every change since, the latest first.
async fn put_together(shared: &Shared, export: &Export) -> Result<(), ApiError> {
    let storage = shared.storage();
    storage.clear(export.rows, keys::items(export.rows)).await?;
    let (lo, hi) = keys::items(export.source_rows);
    let mut span = Span { lo, hi, is_reverse: false };
    loop {
        let page = storage.page(export.source_rows, &mut span, limits::TABLE_STEP_ROWS).await?;
        if page.is_empty() {
            break;
        }
        let wanted = page.into_iter().map(|(key, stored)| (key, Some(stored.item))).collect();
        storage.overwrite_copy(export.rows, &wanted).await?;
    }
    let mut before = u64::MAX;
    loop {
        let page = storage.undos_before(export.source_rows, before, limits::TABLE_STEP_ROWS).await?;
        let later: Vec<_> = page.into_iter().take_while(|(_, undo)| undo.at_ms > export.at_ms).collect();
        let Some((last, _)) = later.last() else { return Ok(()) };
        before = *last;
        // Of several changes to one item the earliest decides: it comes last.
        let wanted = later.into_iter().map(|(_, undo)| (undo.key, undo.old)).collect();
        storage.overwrite_copy(export.rows, &wanted).await?;
    }
}

/// A file of items being filled.
#[derive(Default)]
struct Part {
    text: Vec<u8>,
    items: u64,
}

async fn write_out(shared: &Shared, export: &mut Export) -> Result<(), ApiError> {
    let folder = export.folder();
    let (lo, hi) = keys::items(export.rows);
    let mut span = Span { lo, hi, is_reverse: false };
    let mut part = Part::default();
    let mut files = Vec::new();
    (export.items, export.bytes) = (0, 0);
    put(shared, export, &format!("{folder}/_started"), Bytes::new()).await?;
    loop {
        let page = shared.storage().page(export.rows, &mut span, limits::TABLE_STEP_ROWS).await?;
        let is_last = page.is_empty();
        for (_, stored) in page {
            part.text.extend(b"{\"Item\":");
            write_item(&stored.item, &mut part.text);
            part.text.extend(b"}\n");
            part.items += 1;
            export.items += 1;
            export.bytes += item_size_bytes(&stored.item) as u64;
        }
        if part.text.len() >= FILE_BYTES || (is_last && (part.items > 0 || files.is_empty())) {
            files.push(write_part(shared, export, std::mem::take(&mut part)).await?);
        }
        if is_last {
            break;
        }
    }
    let manifest: String = files.iter().map(|file| format!("{file}\n")).collect();
    let manifest_key = format!("{folder}/manifest-files.json");
    put_with_digest(shared, export, &manifest_key, manifest).await?;
    let summary = json!({
        "version": "2020-06-30",
        "exportArn": export.arn,
        "startTime": clock::iso_ms(export.started_ms),
        "endTime": clock::iso_ms(shared.now_ms()),
        "tableArn": export.place.arn(),
        "tableId": export.table_id,
        "exportTime": clock::iso_ms(export.at_ms),
        "s3Bucket": export.bucket,
        "s3Prefix": export.prefix,
        "s3SseAlgorithm": export.sse.as_ref().map_or("AES256", |(algorithm, _)| algorithm.as_str()),
        "s3SseKmsKeyId": export.sse.as_ref().and_then(|(_, key)| key.clone()),
        "manifestFilesS3Key": manifest_key,
        "billedSizeBytes": export.bytes,
        "itemCount": export.items,
        "outputFormat": "DYNAMODB_JSON",
        "exportType": "FULL_EXPORT",
    });
    put_with_digest(shared, export, &format!("{folder}/manifest-summary.json"), summary.to_string()).await
}

/// The line of the manifest for it.
async fn write_part(shared: &Shared, export: &Export, part: Part) -> Result<serde_json::Value, ApiError> {
    let packed = tokio::task::spawn_blocking(move || {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
        gzip.write_all(&part.text)?;
        gzip.finish()
    });
    let packed = packed.await.map_err(|e| ApiError::internal(format!("compressing an export: {e}")))?;
    let packed = packed.map_err(|e| ApiError::internal(format!("compressing an export: {e}")))?;
    let digest = Md5::digest(&packed);
    let key = format!("{}/data/{}.json.gz", export.folder(), id::hex(13));
    put(shared, export, &key, packed.into()).await?;
    Ok(json!({
        "itemCount": part.items,
        "md5Checksum": BASE64_STANDARD.encode(digest),
        "etag": hex::encode(digest),
        "dataFileS3Key": key,
    }))
}

async fn put_with_digest(shared: &Shared, export: &Export, key: &str, text: String) -> Result<(), ApiError> {
    let digest = BASE64_STANDARD.encode(Md5::digest(&text));
    put(shared, export, key, text.into()).await?;
    let key = key.strip_suffix(".json").unwrap_or(key);
    put(shared, export, &format!("{key}.md5"), digest.into()).await
}

async fn put(shared: &Shared, export: &Export, key: &str, content: Bytes) -> Result<(), ApiError> {
    let caller = match &export.role_arn {
        Some(role) => Caller::role(role, "export"),
        None => Some(Caller::owner(&export.place.account)),
    };
    let caller = caller.ok_or_else(|| ApiError::internal("an export's role is none"))?;
    let input = json!({"Bucket": export.bucket, "Key": key});
    shared.client.call(&caller, &export.place.region, "s3", "PutObject", input, content).await.map(drop)
}
