//! CreateLogGroup, DeleteLogGroup, DescribeLogGroups, PutRetentionPolicy, DeleteRetentionPolicy, AssociateKmsKey,
//! DisassociateKmsKey.

use std::collections::BTreeMap;

use cumulet_base::arn::Arn;
use cumulet_wire::call::{Answer, Call};
use cumulet_wire::error::ApiError;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{at, group_arn, limit, place, required};
use crate::model::{FORMAT, Group};
use crate::{Logs, errors};

/// <https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutRetentionPolicy.html>
const RETENTION_DAYS: &[u32] =
    &[1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653];

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CreateInput {
    tags: Option<BTreeMap<String, String>>,
    kms_key_id: Option<String>,
    log_group_class: Option<String>,
}

pub async fn create(logs: &Logs, call: &Call) -> Result<Answer, ApiError> {
    let place = place(call)?;
    let input: CreateInput = call.input()?;
    let kms_key_id = input.kms_key_id.map(key_arn).transpose()?;
    if input.log_group_class.is_some_and(|class| class != "STANDARD") {
        return Err(errors::not_built("logGroupClass other than STANDARD"));
    }
    let group = Group {
        v: FORMAT,
        created_ms: call.context.now_ms,
        retention_days: None,
        tags: input.tags.unwrap_or_default(),
        subscriptions: Vec::new(),
        metric_filters: Vec::new(),
        kms_key_id,
    };
    logs.storage.create_group(&place, &group).await?;
    Ok(Answer::empty())
}

/// As AWS takes it: the ARN of a key, no alias.
fn key_arn(given: String) -> Result<String, ApiError> {
    let is_key = given.parse::<Arn>().is_ok_and(|arn| arn.service == "kms" && arn.resource.starts_with("key/"));
    is_key.then_some(given).ok_or_else(|| errors::invalid("Specified KMS key ARN is invalid."))
}

/// The group that is named, or whose ARN is given as `resourceIdentifier`.
fn keyed(call: &Call) -> Result<crate::model::Place, ApiError> {
    let Some(identifier) = call.input.get("resourceIdentifier").and_then(Value::as_str) else { return place(call) };
    let name = identifier.split_once(":log-group:").map(|(_, name)| name.trim_end_matches(":*"));
    let name = name.filter(|name| *name != "*").ok_or_else(|| errors::not_built("keys of query results"))?;
    Ok(at(&call.context, name))
}

pub async fn associate_key(logs: &Logs, call: &Call) -> Result<Answer, ApiError> {
    let place = keyed(call)?;
    let given = call.input.get("kmsKeyId").and_then(Value::as_str).map(str::to_owned);
    set_key(logs, &place, Some(key_arn(required("kmsKeyId", given)?)?)).await
}

pub async fn disassociate_key(logs: &Logs, call: &Call) -> Result<Answer, ApiError> {
    set_key(logs, &keyed(call)?, None).await
}

async fn set_key(logs: &Logs, place: &crate::model::Place, key: Option<String>) -> Result<Answer, ApiError> {
    logs.storage
        .update_group(place, |group| {
            group.kms_key_id.clone_from(&key);
            Ok(())
        })
        .await?;
    Ok(Answer::empty())
}

pub async fn delete(logs: &Logs, call: &Call) -> Result<Answer, ApiError> {
    logs.storage.delete_group(&place(call)?).await?;
    Ok(Answer::empty())
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct DescribeInput {
    log_group_name_prefix: Option<String>,
    log_group_name_pattern: Option<String>,
    next_token: Option<String>,
    limit: Option<i64>,
}

pub async fn describe(logs: &Logs, call: &Call) -> Result<Answer, ApiError> {
    let input: DescribeInput = call.input()?;
    let limit = limit(input.limit, 50, 50)?;
    if input.log_group_name_pattern.is_some() {
        return Err(errors::not_built("logGroupNamePattern"));
    }
    let prefix = input.log_group_name_prefix.unwrap_or_default();
    let mut found =
        logs.storage.groups(&at(&call.context, ""), &prefix, input.next_token.as_deref(), limit + 1).await?;
    let is_more = found.len() > limit;
    found.truncate(limit);
    let list: Vec<Value> = found
        .iter()
        .map(|(name, group)| {
            let arn = group_arn(&call.context, name);
            let mut shape = json!({
                "logGroupName": name,
                "creationTime": group.created_ms,
                "metricFilterCount": group.metric_filters.len(),
                "arn": format!("{arn}:*"),
                "logGroupArn": arn,
                "logGroupClass": "STANDARD",
            });
            if let Some(days) = group.retention_days {
                shape["retentionInDays"] = json!(days);
            }
            if let Some(key) = &group.kms_key_id {
                shape["kmsKeyId"] = json!(key);
            }
            shape
        })
        .collect();
    let mut shape = json!({"logGroups": list});
    if let Some((name, _)) = found.last().filter(|_| is_more) {
        shape["nextToken"] = json!(name);
    }
    Answer::json(shape)
}

pub async fn put_retention(logs: &Logs, call: &Call) -> Result<Answer, ApiError> {
    let place = place(call)?;
    let days = call.input.get("retentionInDays").and_then(Value::as_u64);
    let days = required("retentionInDays", days)?;
    let days = u32::try_from(days).ok().filter(|days| RETENTION_DAYS.contains(days)).ok_or_else(|| {
        errors::invalid(format!(
            "1 validation error detected: Value '{days}' at 'retentionInDays' failed to satisfy constraint: \
                 Member must satisfy enum value set: {RETENTION_DAYS:?}"
        ))
    })?;
    set_retention(logs, &place, Some(days)).await
}

pub async fn delete_retention(logs: &Logs, call: &Call) -> Result<Answer, ApiError> {
    set_retention(logs, &place(call)?, None).await
}

async fn set_retention(logs: &Logs, place: &crate::model::Place, days: Option<u32>) -> Result<Answer, ApiError> {
    logs.storage
        .update_group(place, |group| {
            group.retention_days = days;
            Ok(())
        })
        .await?;
    Ok(Answer::empty())
}
