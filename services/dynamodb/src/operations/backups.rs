//! CreateBackup, DescribeBackup, DeleteBackup, ListBackups, and whether a table can be taken back to a point in time.

use std::sync::Arc;

use cumulet_base::{id, limits};
use cumulet_wire::error::ApiError;
use serde_json::{Value as Json, json};

use super::Request;
use crate::errors;
use crate::input::{Input, check_name, missing, place_of};
use crate::model::{Backup, Recovery, Table};
use crate::schema;
use crate::{Shared, describe, jobs, keys};

pub async fn create(shared: &Arc<Shared>, request: &Request) -> Result<Json, ApiError> {
    let input = Input(&request.input);
    let place = place_of(&request.call, input.required_text("TableName")?)?;
    let name = input.required_text("BackupName")?;
    check_name("backupName", name)?;
    let live = shared.tables.active(&place).await.map_err(|_| errors::restore_source_absent(&place.name))?;
    let now_ms = shared.now_ms();
    let backup = Backup {
        v: 1,
        name: name.to_owned(),
        arn: format!("{}/backup/{now_ms:014}-{}", place.arn(), id::hex(4)),
        rows: schema::new_rows(),
        created_ms: now_ms,
        is_ready: false,
        items: 0,
        bytes: 0,
        table: live.table.clone(),
    };
    shared.storage().put_backup(&backup).await?;
    let details = describe::backup_creation(&backup);
    tokio::spawn(jobs::copy_backup(shared.clone(), backup));
    Ok(json!({"BackupDetails": details}))
}

pub(super) async fn find(shared: &Shared, request: &Request) -> Result<Backup, ApiError> {
    let arn = Input(&request.input).required_text("BackupArn")?;
    let context = &request.call.context;
    let found = shared.storage().backup(context.account(), &context.region, arn).await?;
    found.ok_or_else(|| errors::no_backup(arn))
}

pub async fn describe(shared: &Arc<Shared>, request: &Request) -> Result<Json, ApiError> {
    Ok(json!({"BackupDescription": describe::backup(&find(shared, request).await?)}))
}

pub async fn delete(shared: &Arc<Shared>, request: &Request) -> Result<Json, ApiError> {
    let backup = find(shared, request).await?;
    if !backup.is_ready {
        return Err(errors::backup_busy(&backup.arn));
    }
    shared.storage().drop_backup(&backup).await?;
    tokio::spawn(jobs::purge(shared.clone(), backup.rows));
    let mut description = describe::backup(&backup);
    description["BackupDetails"]["BackupStatus"] = json!("DELETED");
    Ok(json!({"BackupDescription": description}))
}

pub async fn list(shared: &Arc<Shared>, request: &Request) -> Result<Json, ApiError> {
    let input = Input(&request.input);
    let limit = input.between("Limit", 1, 100)?.unwrap_or(100) as usize;
    let table = input.text("TableName")?.map(|name| place_of(&request.call, name)).transpose()?;
    let kind = input.one_of("BackupType", &["USER", "SYSTEM", "AWS_BACKUP", "ALL"])?;
    let bound = |member: &str| -> Option<u64> { input.get(member)?.as_f64().map(|seconds| (seconds * 1000.0) as u64) };
    let (from, to) = (bound("TimeRangeLowerBound"), bound("TimeRangeUpperBound"));
    let after = input.text("ExclusiveStartBackupArn")?;
    let context = &request.call.context;
    let mut found = shared.storage().backups(context.account(), &context.region).await?;
    found.retain(|backup| {
        table.as_ref().is_none_or(|place| backup.table.place == *place)
            && from.is_none_or(|from| backup.created_ms >= from)
            && to.is_none_or(|to| backup.created_ms < to)
            && after.is_none_or(|after| backup.arn.as_str() > after)
            && matches!(kind, None | Some("USER" | "ALL"))
    });
    let has_more = found.len() > limit;
    found.truncate(limit);
    let mut answer = json!({"BackupSummaries": found.iter().map(describe::backup_summary).collect::<Vec<_>>()});
    if let Some(last) = found.last().filter(|_| has_more) {
        answer["LastEvaluatedBackupArn"] = json!(last.arn);
    }
    Ok(answer)
}

/// From when a table can be restored; what is older than the days kept is forgotten.
pub(super) fn earliest_ms(recovery: &Recovery, now_ms: u64) -> u64 {
    recovery.since_ms.max(now_ms.saturating_sub(recovery.days * 86_400_000))
}

fn continuous(table: &Table, now_ms: u64) -> Json {
    let recovery = match &table.recovery {
        None => json!({"PointInTimeRecoveryStatus": "DISABLED"}),
        Some(recovery) => json!({
            "PointInTimeRecoveryStatus": "ENABLED",
            "RecoveryPeriodInDays": recovery.days,
            "EarliestRestorableDateTime": describe::seconds(earliest_ms(recovery, now_ms)),
            "LatestRestorableDateTime": describe::seconds(now_ms),
        }),
    };
    json!({"ContinuousBackupsDescription": {
        "ContinuousBackupsStatus": "ENABLED",
        "PointInTimeRecoveryDescription": recovery,
    }})
}

pub async fn describe_continuous(shared: &Arc<Shared>, request: &Request) -> Result<Json, ApiError> {
    let place = place_of(&request.call, Input(&request.input).required_text("TableName")?)?;
    let live = shared.tables.find(&place).await?.ok_or_else(|| errors::restore_source_absent(&place.name))?;
    Ok(continuous(&live.table, shared.now_ms()))
}

pub async fn update_continuous(shared: &Arc<Shared>, request: &Request) -> Result<Json, ApiError> {
    let input = Input(&request.input);
    let place = place_of(&request.call, input.required_text("TableName")?)?;
    let given =
        input.inner("PointInTimeRecoverySpecification")?.ok_or_else(|| missing("PointInTimeRecoverySpecification"))?;
    let is_enabled = given.truth("PointInTimeRecoveryEnabled")?.ok_or_else(|| missing("PointInTimeRecoveryEnabled"))?;
    let days_max = limits::TABLE_RECOVERY_DAYS_MAX;
    let days = given.between("RecoveryPeriodInDays", 1, days_max as i64)?.map_or(days_max, |days| days as u64);
    let _switching = shared.switching.lock().await;
    shared.tables.load(&place).await?.ok_or_else(|| errors::restore_source_absent(&place.name))?;
    let now_ms = shared.now_ms();
    let live = shared
        .tables
        .update(&place, |table| {
            table.recovery = match (table.recovery.take(), is_enabled) {
                (_, false) => None,
                (Some(old), true) => Some(Recovery { days, ..old }),
                (None, true) => Some(Recovery { since_ms: now_ms, days }),
            };
            Ok(Vec::new())
        })
        .await?;
    if !is_enabled {
        let prefix = keys::undo_prefix(live.table.rows);
        let end = cumulet_store::prefix_end(&prefix);
        jobs::clear(shared.clone(), live.table.rows, (prefix, end)).await;
    }
    Ok(continuous(&live.table, now_ms))
}
