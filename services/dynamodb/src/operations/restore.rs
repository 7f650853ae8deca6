//! RestoreTableFromBackup and RestoreTableToPointInTime: a new table, filled in the background.

use std::sync::Arc;

use cumulet_base::id;
use cumulet_wire::error::ApiError;
use serde_json::{Value as Json, json};

use super::Request;
use super::backups::{earliest_ms, find};
use super::tables::new_place;
use crate::errors;
use crate::input::{Input, missing, place_of, place_of_arn};
use crate::model::{IndexStatus, Place, Restore, Status, Table, Throughput};
use crate::schema;
use crate::{Shared, describe, jobs};

pub async fn from_backup(shared: &Arc<Shared>, request: &Request) -> Result<Json, ApiError> {
    let backup = find(shared, request).await?;
    if !backup.is_ready {
        return Err(errors::backup_busy(&backup.arn));
    }
    let restore = Restore {
        source: backup.table.place.clone(),
        backup_arn: Some(backup.arn.clone()),
        source_rows: backup.rows,
        at_ms: backup.created_ms,
        is_running: true,
    };
    begin(shared, request, &backup.table, restore).await
}

pub async fn to_point_in_time(shared: &Arc<Shared>, request: &Request) -> Result<Json, ApiError> {
    let input = Input(&request.input);
    let source = match (input.text("SourceTableName")?, input.text("SourceTableArn")?) {
        (Some(name), None) => place_of(&request.call, name)?,
        (None, Some(arn)) => place_of_arn(arn).ok_or_else(|| errors::restore_source_absent(arn))?,
        _ => return Err(errors::invalid("Exactly one of SourceTableName and SourceTableArn is required")),
    };
    let live = shared.tables.active(&source).await.map_err(|_| errors::restore_source_absent(&source.name))?;
    let recovery = live.table.recovery.as_ref().ok_or_else(|| errors::no_recovery(&source.name))?;
    let now_ms = shared.now_ms();
    let given_ms = input.get("RestoreDateTime").and_then(Json::as_f64).map(|seconds| (seconds * 1000.0).round() as u64);
    let at_ms = match (given_ms, input.is("UseLatestRestorableTime")?) {
        (None, true) => now_ms,
        (Some(at_ms), false) => at_ms,
        _ => return Err(errors::invalid("Exactly one of RestoreDateTime and UseLatestRestorableTime is required")),
    };
    if at_ms < earliest_ms(recovery, now_ms) || at_ms > now_ms {
        return Err(errors::restore_time());
    }
    let restore = Restore { source, backup_arn: None, source_rows: live.table.rows, at_ms, is_running: true };
    begin(shared, request, &live.table, restore).await
}

async fn begin(shared: &Arc<Shared>, request: &Request, source: &Table, restore: Restore) -> Result<Json, ApiError> {
    let input = Input(&request.input);
    schema::check_built(&input)?;
    let name = input.text("TargetTableName")?.ok_or_else(|| missing("TargetTableName"))?;
    let place = new_place(request, name)?;
    let table = target(&input, source, place, restore, shared.now_ms())?;
    if !shared.storage().create(&table).await? {
        return Err(errors::restore_target_exists(name));
    }
    shared.remember_place(&table.place.account, &table.place.region);
    let live = shared.tables.load(&table.place).await?.ok_or_else(|| errors::no_table_named(name))?;
    tokio::spawn(jobs::restore(shared.clone(), table.place.clone(), table.rows));
    Ok(json!({"TableDescription": describe::table(&live, None)}))
}

/// As the source was, without its stream, expiry, tags, policy and recovery, as on AWS.
fn target(input: &Input<'_>, source: &Table, place: Place, restore: Restore, now_ms: u64) -> Result<Table, ApiError> {
    let mut table = Table {
        place,
        id: id::uuid(),
        rows: schema::new_rows(),
        created_ms: now_ms,
        status: Status::Creating,
        is_protected: false,
        tags: Default::default(),
        stream: None,
        last_stream: None,
        ttl: None,
        recovery: None,
        policy: None,
        restore: Some(restore),
        ..source.clone()
    };
    match input.one_of("BillingModeOverride", &["PROVISIONED", "PAY_PER_REQUEST"])? {
        Some("PAY_PER_REQUEST") => {
            table.is_provisioned = false;
            table.on_demand_since_ms = Some(now_ms);
            table.throughput = Throughput::default();
            table.indexes.iter_mut().for_each(|index| index.throughput = None);
        }
        Some(_) => table.is_provisioned = true,
        None => {}
    }
    if let Some(given) = input.get("ProvisionedThroughputOverride") {
        let given = json!({"ProvisionedThroughput": given});
        table.throughput = schema::throughput(&Input(&given))?.unwrap_or_default();
    }
    // Fewer indexes may be asked for, not others.
    for (member, is_global) in [("GlobalSecondaryIndexOverride", true), ("LocalSecondaryIndexOverride", false)] {
        let Some(list) = input.list(member)? else { continue };
        let kept: Vec<&str> = list.iter().filter_map(|one| one["IndexName"].as_str()).collect();
        if let Some(unknown) = kept.iter().find(|name| source.index(name).is_none()) {
            return Err(errors::parameter(format!("{member} names an index the source does not have: {unknown}")));
        }
        table.indexes.retain(|index| index.is_global != is_global || kept.contains(&index.name.as_str()));
    }
    table.indexes.iter_mut().for_each(|index| index.status = IndexStatus::Active);
    Ok(table)
}
