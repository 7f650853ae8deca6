//! ExportTableToPointInTime, DescribeExport, ListExports
//! (<https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_ExportTableToPointInTime.html>). Incremental exports
//! and Amazon Ion are absent by name.

use std::sync::Arc;

use cumulet_base::id;
use cumulet_wire::auth::Principal;
use cumulet_wire::error::ApiError;
use serde_json::{Value as Json, json};

use super::Request;
use super::backups::earliest_ms;
use crate::errors;
use crate::input::{Input, place_of_arn};
use crate::model::Export;
use crate::schema;
use crate::{MODEL, Shared, describe, exports};

const PAGE_MAX: i64 = 25;

pub async fn begin(shared: &Arc<Shared>, request: &Request) -> Result<Json, ApiError> {
    let input = Input(&request.input);
    let arn = input.required_text("TableArn")?;
    let bucket = input.required_text("S3Bucket")?;
    let absent = |what: &str| ApiError::not_implemented(MODEL.name, &format!("ExportTableToPointInTime {what}"));
    if input.one_of("ExportFormat", &["DYNAMODB_JSON", "ION"])? == Some("ION") {
        return Err(absent("ExportFormat=ION"));
    }
    if input.one_of("ExportType", &["FULL_EXPORT", "INCREMENTAL_EXPORT"])? == Some("INCREMENTAL_EXPORT") {
        return Err(absent("ExportType=INCREMENTAL_EXPORT"));
    }
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
    let given_ms = input.get("ExportTime").and_then(Json::as_f64).map(|seconds| (seconds * 1000.0).round() as u64);
    let at_ms = given_ms.unwrap_or(now_ms);
    if at_ms < earliest_ms(recovery, now_ms) || at_ms > now_ms {
        return Err(errors::export_time());
    }
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
        place,
    };
    if let Some(token) = &export.token {
        let known = shared.storage().exports(context.account(), &context.region).await?;
        if let Some(same) = known.into_iter().find(|known| known.token.as_ref() == Some(token)) {
            let is_same = same.place == export.place
                && (&same.bucket, &same.prefix) == (&export.bucket, &export.prefix)
                && given_ms.is_none_or(|given_ms| given_ms == same.at_ms);
            return if is_same { Ok(shown(&same)) } else { Err(errors::export_conflict()) };
        }
    }
    shared.storage().put_export(&export).await?;
    tokio::spawn(exports::run(shared.clone(), export.clone()));
    Ok(shown(&export))
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
        |export: &Export| json!({"ExportArn": export.arn, "ExportStatus": status(export), "ExportType": "FULL_EXPORT"});
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
        "ExportTime": describe::seconds(export.at_ms),
        "S3Bucket": export.bucket,
        "ExportFormat": "DYNAMODB_JSON",
        "ExportType": "FULL_EXPORT",
    });
    let mut put = |member: &str, value: Option<Json>| {
        if let Some(value) = value {
            shown[member] = value;
        }
    };
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
