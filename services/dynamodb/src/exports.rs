//! Writing a table as it was at a point in time, or what changed in it between two, into a bucket, in AWS's forms
//! (<https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/S3DataExport.Output.html>): put together in rows of
//! its own first, then written file by file under the caller's permissions. A stop begins it again.

use std::collections::{BTreeMap, BTreeSet};
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

use crate::keys::{self, ItemKey};
use crate::model::{Export, Window};
use crate::storage::{Span, Undo};
use crate::value::{Item, Number, Value, item_size_bytes, write_item, write_struct};
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
    match &export.window {
        None => put_together(shared, &export).await?,
        Some(window) => gather(shared, &export, window).await?,
    }
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

/// Members of what is kept of a changed item.
const WRITTEN: &str = "written";
const OLD: &str = "old";
const NEW: &str = "new";

/// Of every item that changed within the window: when last, what it was before, and what it was at the end.
async fn gather(shared: &Shared, export: &Export, window: &Window) -> Result<(), ApiError> {
    let storage = shared.storage();
    storage.clear(export.rows, keys::items(export.rows)).await?;
    // The latest changes come first, so that the first seen tells when, and the last what was before.
    let is_within = |undo: &Undo| undo.at_ms < export.at_ms;
    walk_back(shared, export, window.from_ms, is_within, |kept, undo| {
        let kept = kept.get_or_insert_with(Item::default);
        kept.entry(WRITTEN.to_owned()).or_insert_with(|| Value::N(Number::from((undo.at_ms * 1000) as i64)));
        set(kept, OLD, undo.old);
    })
    .await?;
    let (lo, hi) = keys::items(export.rows);
    let mut span = Span { lo, hi, is_reverse: false };
    loop {
        let page = storage.page(export.rows, &mut span, limits::TABLE_STEP_ROWS).await?;
        if page.is_empty() {
            break;
        }
        let keys: Vec<ItemKey> = page.iter().map(|(key, _)| key.clone()).collect();
        let now = storage.items(export.source_rows, &keys).await?;
        let with_new = page.into_iter().zip(now).map(|((key, stored), now)| {
            let mut kept = stored.item;
            set(&mut kept, NEW, now.map(|now| now.item));
            (key, Some(kept))
        });
        storage.overwrite_copy(export.rows, &with_new.collect()).await?;
    }
    // What has changed since, also while the step before was at it, is taken back.
    walk_back(
        shared,
        export,
        export.at_ms,
        |_| true,
        |kept, undo| {
            if let Some(kept) = kept {
                set(kept, NEW, undo.old);
            }
        },
    )
    .await
}

fn set(kept: &mut Item, member: &str, item: Option<Item>) {
    match item {
        Some(item) => kept.insert(member.to_owned(), Value::M(item)),
        None => kept.remove(member),
    };
}

/// Takes the changes from a time on, the latest first, into what is kept of their items.
async fn walk_back(
    shared: &Shared,
    export: &Export,
    from_ms: u64,
    is_wanted: impl Fn(&Undo) -> bool,
    take: impl Fn(&mut Option<Item>, Undo),
) -> Result<(), ApiError> {
    let storage = shared.storage();
    let mut before = u64::MAX;
    loop {
        let page = storage.undos_before(export.source_rows, before, limits::TABLE_STEP_ROWS).await?;
        let changes: Vec<_> = page.into_iter().take_while(|(_, undo)| undo.at_ms >= from_ms).collect();
        let Some((last, _)) = changes.last() else { return Ok(()) };
        before = *last;
        let wanted: Vec<Undo> = changes.into_iter().map(|(_, undo)| undo).filter(&is_wanted).collect();
        let keys: Vec<ItemKey> =
            wanted.iter().map(|undo| undo.key.clone()).collect::<BTreeSet<_>>().into_iter().collect();
        let known = storage.items(export.rows, &keys).await?;
        let mut kept: BTreeMap<ItemKey, Option<Item>> =
            keys.into_iter().zip(known.into_iter().map(|stored| stored.map(|stored| stored.item))).collect();
        for undo in wanted {
            take(kept.entry(undo.key.clone()).or_default(), undo);
        }
        kept.retain(|_, item| item.is_some());
        storage.overwrite_copy(export.rows, &kept).await?;
    }
}

/// One line of a file; `None` where an item came and went within the window.
fn line(export: &Export, mut item: Item) -> Option<(Item, &'static str)> {
    let Some(window) = &export.window else { return Some((item, "Item")) };
    let mut image = |member: &str| match item.remove(member) {
        Some(Value::M(image)) => Some(image),
        _ => None,
    };
    let (new, old) = (image(NEW), image(OLD));
    let some = new.as_ref().or(old.as_ref())?;
    let keys = window.keys.iter().filter_map(|name| Some((name.clone(), some.get(name)?.clone()))).collect();
    let metadata = [("WriteTimestampMicros".to_owned(), item.remove(WRITTEN)?)].into();
    let mut record = Item::from([("Keys".to_owned(), Value::M(keys)), ("Metadata".to_owned(), Value::M(metadata))]);
    set(&mut record, "NewImage", new);
    set(&mut record, "OldImage", old.filter(|_| window.with_old));
    Some((record, "Record"))
}

/// Records have maps where items have values, and no type is told of those.
fn write_line(export: &Export, (item, kind): (&Item, &str), out: &mut Vec<u8>) {
    if export.is_ion {
        let mut text = format!("$ion_1_0 {{{kind}:");
        write_struct(item, &mut text);
        text.push_str("}\n");
        out.extend(text.into_bytes());
    } else if export.window.is_none() {
        out.extend(b"{\"Item\":");
        write_item(item, out);
        out.extend(b"}\n");
    } else {
        for (n, (member, value)) in item.iter().enumerate() {
            let Value::M(part) = value else { continue };
            out.push(if n == 0 { b'{' } else { b',' });
            out.extend(format!("\"{member}\":").into_bytes());
            write_item(part, out);
        }
        out.extend(b"}\n");
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
            let Some((item, kind)) = line(export, stored.item) else { continue };
            write_line(export, (&item, kind), &mut part.text);
            part.items += 1;
            export.items += 1;
            export.bytes += item_size_bytes(&item) as u64;
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
    let mut summary = json!({
        "version": if export.window.is_some() { "2023-08-01" } else { "2020-06-30" },
        "exportArn": export.arn,
        "startTime": clock::iso_ms(export.started_ms),
        "endTime": clock::iso_ms(shared.now_ms()),
        "tableArn": export.place.arn(),
        "tableId": export.table_id,
        "s3Bucket": export.bucket,
        "s3Prefix": export.prefix,
        "s3SseAlgorithm": export.sse.as_ref().map_or("AES256", |(algorithm, _)| algorithm.as_str()),
        "s3SseKmsKeyId": export.sse.as_ref().and_then(|(_, key)| key.clone()),
        "manifestFilesS3Key": manifest_key,
        "billedSizeBytes": export.bytes,
        "itemCount": export.items,
        "outputFormat": export.format(),
        "exportType": export.kind(),
    });
    match &export.window {
        None => summary["exportTime"] = json!(clock::iso_ms(export.at_ms)),
        Some(window) => {
            summary["exportFromTime"] = json!(clock::iso_ms(window.from_ms));
            summary["exportToTime"] = json!(clock::iso_ms(export.at_ms));
            summary["outputView"] = json!(window.view());
        }
    }
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
    let ending = if export.is_ion { "ion" } else { "json" };
    let key = format!("{}/{}.{ending}.gz", export.data_folder(), id::hex(26));
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
