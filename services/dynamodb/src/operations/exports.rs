//! ExportTableToPointInTime, DescribeExport, ListExports
//! (<https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_ExportTableToPointInTime.html>).

use std::sync::Arc;

use cumulet_base::id;
use cumulet_wire::auth::Principal;
use cumulet_wire::error::ApiError;
use serde_json::{Value as Json, json};

use super::Request;
use super::backups::earliest_ms;
use crate::errors;
use crate::input::{Input, missing, place_of_arn};
use crate::model::{Export, KeySchema, Window};
use crate::schema;
use crate::{Shared, describe, exports};

const PAGE_MAX: i64 = 25;
const WINDOW_MS_MIN: u64 = 15 * 60 * 1000;
const WINDOW_MS_MAX: u64 = 24 * 60 * 60 * 1000;

pub async fn begin(shared: &Arc<Shared>, request: &Request) -> Result<Json, ApiError> {
    let input = Input(&request.input);
    let arn = input.required_text("TableArn")?;
    let bucket = input.required_text("S3Bucket")?;
    let is_ion = input.one_of("ExportFormat", &["DYNAMODB_JSON", "ION"])? == Some("ION");
    let is_incremental =
        input.one_of("ExportType", &["FULL_EXPORT", "INCREMENTAL_EXPORT"])? == Some("INCREMENTAL_EXPORT");
    let place = place_of_arn(arn).ok_or_else(|| errors::export_source_absent(arn))?;
    let context = &request.call.context;
    let is_here = place.account == context.account() && place.region == context.region;
    let live = match shared.tables.active(&place).await {
        Ok(live) if is_here => live,
        _ => return Err(errors::export_source_absent(arn)),
    };
    let token = input.text("ClientToken")?.map(str::to_owned);
    let recovery = live.table.recovery.as_ref().ok_or_else(|| errors::no_recovery(&place.name))?;
    let now_ms = shared.now_ms();
    let specification = input.inner("IncrementalExportSpecification")?;
    if is_incremental && input.has("ExportTime") {
        return Err(errors::parameter("ExportTime cannot be provided for an incremental export"));
    }
    if !is_incremental && specification.is_some() {
        return Err(errors::parameter("IncrementalExportSpecification can be provided for an incremental export only"));
    }
    let times = specification.as_ref().unwrap_or(&input);
    let given_ms = time_ms(times, if is_incremental { "ExportToTime" } else { "ExportTime" });
    let at_ms = given_ms.unwrap_or(now_ms);
    let earliest_ms = earliest_ms(recovery, now_ms);
    if at_ms < earliest_ms || at_ms > now_ms {
        return Err(errors::export_time());
    }
    let window = match is_incremental {
        true => Some(window(times, (earliest_ms, at_ms), &live.table.key)?),
        false => None,
    };
    let sse = input.one_of("S3SseAlgorithm", &["AES256", "KMS"])?;
    let export = Export {
        v: 1,
        arn: format!("{}/export/{now_ms:014}-{}", place.arn(), id::hex(4)),
        table_id: live.table.id.clone(),
        rows: schema::new_rows(),
        source_rows: live.table.rows,
        at_ms,
        started_ms: now_ms,
        ended_ms: None,
        failure: None,
        bucket: bucket.to_owned(),
        prefix: input.text("S3Prefix")?.filter(|prefix| !prefix.is_empty()).map(str::to_owned),
        bucket_owner: input.text("S3BucketOwner")?.map(str::to_owned),
        sse: match sse {
            Some(algorithm) => Some((algorithm.to_owned(), input.text("S3SseKmsKeyId")?.map(str::to_owned))),
            None => None,
        },
        token,
        role_arn: match &context.caller.kind {
            Principal::Role { role_arn } => Some(role_arn.clone()),
            _ => None,
        },
        items: 0,
        bytes: 0,
        is_ion,
        window,
        place,
    };
    if let Some(token) = &export.token {
        let known = shared.storage().exports(context.account(), &context.region).await?;
        if let Some(same) = known.into_iter().find(|known| known.token.as_ref() == Some(token)) {
            let is_same = same.place == export.place
                && (&same.bucket, &same.prefix) == (&export.bucket, &export.prefix)
                && (same.is_ion, &same.window) == (export.is_ion, &export.window)
                && given_ms.is_none_or(|given_ms| given_ms == same.at_ms);
            return if is_same { Ok(shown(&same)) } else { Err(errors::export_conflict()) };
        }
    }
    shared.storage().put_export(&export).await?;
    tokio::spawn(exports::run(shared.clone(), export.clone()));
    Ok(shown(&export))
}

fn time_ms(input: &Input<'_>, member: &str) -> Option<u64> {
    input.get(member).and_then(Json::as_f64).map(|seconds| (seconds * 1000.0).round() as u64)
}

/// Of what times the changes are exported: a quarter of an hour at least, a day at most.
fn window(input: &Input<'_>, (earliest_ms, to_ms): (u64, u64), key: &KeySchema) -> Result<Window, ApiError> {
    let from_ms = time_ms(input, "ExportFromTime").ok_or_else(|| missing("ExportFromTime"))?;
    let view = input.one_of("ExportViewType", &["NEW_IMAGE", "NEW_AND_OLD_IMAGES"])?;
    if from_ms < earliest_ms || from_ms > to_ms {
        return Err(errors::export_time());
    }
    if !(WINDOW_MS_MIN..=WINDOW_MS_MAX).contains(&(to_ms - from_ms)) {
        let text =
            "the difference between ExportFromTime and ExportToTime must be at least 15 minutes and at most 24 hours";
        return Err(errors::parameter(text));
    }
    let keys = [Some(&key.hash), key.range.as_ref()].into_iter().flatten().map(|attribute| attribute.name.clone());
    Ok(Window { from_ms, with_old: view != Some("NEW_IMAGE"), keys: keys.collect() })
}

pub async fn describe(shared: &Arc<Shared>, request: &Request) -> Result<Json, ApiError> {
    let arn = Input(&request.input).required_text("ExportArn")?;
    let context = &request.call.context;
    let found = shared.storage().export(context.account(), &context.region, arn).await?;
    Ok(shown(&found.ok_or_else(|| errors::no_export(arn))?))
}

pub async fn list(shared: &Arc<Shared>, request: &Request) -> Result<Json, ApiError> {
    let input = Input(&request.input);
    let max = input.between("MaxResults", 1, PAGE_MAX)?.unwrap_or(PAGE_MAX) as usize;
    let table = input.text("TableArn")?;
    let after = input.text("NextToken")?;
    let context = &request.call.context;
    let mut found = shared.storage().exports(context.account(), &context.region).await?;
    found.retain(|export| {
        table.is_none_or(|table| export.place.arn() == table) && after.is_none_or(|after| export.arn.as_str() > after)
    });
    let has_more = found.len() > max;
    found.truncate(max);
    let summary =
        |export: &Export| json!({"ExportArn": export.arn, "ExportStatus": status(export), "ExportType": export.kind()});
    let mut answer = json!({"ExportSummaries": found.iter().map(summary).collect::<Vec<_>>()});
    if let Some(last) = found.last().filter(|_| has_more) {
        answer["NextToken"] = json!(last.arn);
    }
    Ok(answer)
}

fn status(export: &Export) -> &'static str {
    match (&export.ended_ms, &export.failure) {
        (None, _) => "IN_PROGRESS",
        (Some(_), None) => "COMPLETED",
        (Some(_), Some(_)) => "FAILED",
    }
}

fn shown(export: &Export) -> Json {
    let mut shown = json!({
        "ExportArn": export.arn,
        "ExportStatus": status(export),
        "StartTime": describe::seconds(export.started_ms),
        "TableArn": export.place.arn(),
        "TableId": export.table_id,
        "S3Bucket": export.bucket,
        "ExportFormat": export.format(),
        "ExportType": export.kind(),
    });
    let mut put = |member: &str, value: Option<Json>| {
        if let Some(value) = value {
            shown[member] = value;
        }
    };
    match &export.window {
        None => put("ExportTime", Some(describe::seconds(export.at_ms))),
        Some(window) => {
            let specification = json!({
                "ExportFromTime": describe::seconds(window.from_ms),
                "ExportToTime": describe::seconds(export.at_ms),
                "ExportViewType": window.view(),
            });
            put("IncrementalExportSpecification", Some(specification));
        }
    }
    put("S3Prefix", export.prefix.as_ref().map(|prefix| json!(prefix)));
    put("S3BucketOwner", export.bucket_owner.as_ref().map(|owner| json!(owner)));
    put("ClientToken", export.token.as_ref().map(|token| json!(token)));
    put("S3SseAlgorithm", export.sse.as_ref().map(|(algorithm, _)| json!(algorithm)));
    put("S3SseKmsKeyId", export.sse.as_ref().and_then(|(_, key)| key.as_ref()).map(|key| json!(key)));
    put("EndTime", export.ended_ms.map(describe::seconds));
    match &export.failure {
        Some((code, message)) => {
            put("FailureCode", Some(json!(code)));
            put("FailureMessage", Some(json!(message)));
        }
        None if export.ended_ms.is_some() => {
            put("ItemCount", Some(json!(export.items)));
            put("BilledSizeBytes", Some(json!(export.bytes)));
            put("ExportManifest", Some(json!(format!("{}/manifest-summary.json", export.folder()))));
        }
        None => {}
    }
    json!({"ExportDescription": shown})
}
