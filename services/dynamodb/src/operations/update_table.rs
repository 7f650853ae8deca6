//! UpdateTable: capacity, stream, class, protection, and global indexes that come and go on a live table.

use std::sync::Arc;

use cumulet_wire::error::ApiError;
use serde_json::{Value as Json, json};

use super::Request;
use crate::errors;
use crate::input::{Input, missing, place_of};
use crate::model::{IndexStatus, Status, Stream, Table, Throughput};
use crate::schema;
use crate::{Shared, describe, jobs, keys};

const CHANGES: [&str; 7] = [
    "BillingMode",
    "ProvisionedThroughput",
    "GlobalSecondaryIndexUpdates",
    "StreamSpecification",
    "SSESpecification",
    "TableClass",
    "DeletionProtectionEnabled",
];

pub async fn run(shared: &Arc<Shared>, request: &Request) -> Result<Json, ApiError> {
    let input = Input(&request.input);
    let place = place_of(&request.call, input.required_text("TableName")?)?;
    schema::check_built(&input)?;
    if !CHANGES.iter().any(|member| input.has(member)) {
        return Err(errors::invalid(
            "At least one of ProvisionedThroughput, BillingMode, UpdateStreamEnabled, GlobalSecondaryIndexUpdates or \
             SSESpecification or ReplicaUpdates is required",
        ));
    }
    let now_ms = shared.now_ms();
    let before = shared.tables.load(&place).await?.ok_or_else(|| errors::no_table_named(&place.name))?;
    let live = shared.tables.update(&place, |table| change(&input, table, now_ms)).await?;
    let table = &live.table;
    for index in &table.indexes {
        if index.status == IndexStatus::Creating {
            tokio::spawn(jobs::fill_index(shared.clone(), place.clone(), table.rows, index.id));
        }
    }
    for gone in before.table.indexes.iter().filter(|old| table.indexes.iter().all(|index| index.id != old.id)) {
        tokio::spawn(jobs::clear(shared.clone(), table.rows, keys::entries(table.rows, gone.id)));
    }
    Ok(json!({"TableDescription": describe::table(&live, Some("UPDATING"))}))
}

/// Changes the definition; answers the streams that begin or end.
fn change(input: &Input<'_>, table: &mut Table, now_ms: u64) -> Result<Vec<Stream>, ApiError> {
    if table.status != Status::Active {
        return Err(errors::table_busy(&table.place.name));
    }
    change_capacity(input, table, now_ms)?;
    change_indexes(input, table, now_ms)?;
    if let Some(class) = schema::table_class(input)? {
        table.class = Some(class.to_owned());
        table.class_since_ms = Some(now_ms);
    }
    if let Some(is_protected) = input.truth("DeletionProtectionEnabled")? {
        table.is_protected = is_protected;
    }
    if let Some(key) = schema::kms_key(input, &table.place)? {
        table.kms_key = key;
    }
    match (schema::stream_view(input)?, table.stream.take()) {
        (None, stream) => {
            table.stream = stream;
            Ok(Vec::new())
        }
        (Some(Some(_)), Some(_)) => {
            Err(errors::invalid(format!("Table already has an enabled stream: TableName: {}", table.place.name)))
        }
        (Some(None), None) => {
            Err(errors::invalid(format!("Table has no stream to disable: TableName: {}", table.place.name)))
        }
        (Some(Some(view)), None) => {
            let stream = schema::new_stream(table, view, now_ms);
            table.last_stream = Some(stream.label.clone());
            table.stream = Some(stream.clone());
            Ok(vec![stream])
        }
        (Some(None), Some(ended)) => Ok(vec![Stream { ended_ms: Some(now_ms), ..ended }]),
    }
}

fn rated(old: Throughput, new: Throughput, now_ms: u64) -> Throughput {
    let is_more = new.read > old.read || new.write > old.write;
    let is_less = new.read < old.read || new.write < old.write;
    Throughput {
        read: new.read,
        write: new.write,
        increased_ms: if is_more { Some(now_ms) } else { old.increased_ms },
        decreased_ms: if is_less { Some(now_ms) } else { old.decreased_ms },
        decreases: old.decreases + u64::from(is_less),
    }
}

fn change_capacity(input: &Input<'_>, table: &mut Table, now_ms: u64) -> Result<(), ApiError> {
    if !input.has("BillingMode") && !input.has("ProvisionedThroughput") {
        return Ok(());
    }
    let mode = input.one_of("BillingMode", &["PROVISIONED", "PAY_PER_REQUEST"])?;
    let throughput = schema::throughput(input)?;
    let is_provisioned = mode.map_or(table.is_provisioned, |mode| mode == "PROVISIONED");
    if !is_provisioned {
        if throughput.is_some() {
            return Err(errors::parameter(
                "Neither ReadCapacityUnits nor WriteCapacityUnits can be specified when BillingMode is PAY_PER_REQUEST",
            ));
        }
        if table.is_provisioned {
            table.on_demand_since_ms = Some(now_ms);
            table.throughput = Throughput::default();
            table.indexes.iter_mut().for_each(|index| index.throughput = None);
        }
        table.is_provisioned = false;
        return Ok(());
    }
    let throughput = throughput.ok_or_else(|| {
        errors::parameter(
            "ReadCapacityUnits and WriteCapacityUnits must both be specified when BillingMode is PROVISIONED",
        )
    })?;
    if table.is_provisioned && (throughput.read, throughput.write) == (table.throughput.read, table.throughput.write) {
        return Err(errors::invalid(format!(
            "The provisioned throughput for the table will not change. The requested value equals the current value. \
             Current ReadCapacityUnits provisioned for the table: {}. Requested ReadCapacityUnits: {}. Current \
             WriteCapacityUnits provisioned for the table: {}. Requested WriteCapacityUnits: {}. Refer to the Amazon \
             DynamoDB Developer Guide for current limits and how to request higher limits.",
            table.throughput.read, throughput.read, table.throughput.write, throughput.write
        )));
    }
    table.throughput = rated(table.throughput, throughput, now_ms);
    table.is_provisioned = true;
    Ok(())
}

fn change_indexes(input: &Input<'_>, table: &mut Table, now_ms: u64) -> Result<(), ApiError> {
    let updates = input.list("GlobalSecondaryIndexUpdates")?.map_or(&[][..], Vec::as_slice);
    let attributes = schema::attributes(input)?;
    let mut changes = 0;
    for update in updates {
        let update = Input(update);
        match (update.inner("Create")?, update.inner("Update")?, update.inner("Delete")?) {
            (Some(create), None, None) => {
                let known = attributes.clone();
                let mut index = schema::index(create.0, true, &known, &table.key, table.is_provisioned)?;
                if table.indexes.iter().any(|other| other.status == IndexStatus::Creating) {
                    return Err(errors::limit(
                        "Subscriber limit exceeded: Only 1 online index can be created simultaneously per table",
                    ));
                }
                index.id = table.next_index;
                index.status = IndexStatus::Creating;
                table.next_index += 1;
                table.indexes.push(index);
                changes += 1;
            }
            (None, Some(change), None) => {
                let name = change.required_text("IndexName")?;
                let throughput = schema::throughput(&change)?.ok_or_else(|| missing("ProvisionedThroughput"))?;
                let index = table.indexes.iter_mut().find(|index| index.is_global && index.name == name);
                let index = index.ok_or_else(|| errors::no_index_to_change(name))?;
                index.throughput = Some(rated(index.throughput.unwrap_or_default(), throughput, now_ms));
            }
            (None, None, Some(delete)) => {
                let name = delete.required_text("IndexName")?;
                let at = table.indexes.iter().position(|index| index.is_global && index.name == name);
                table.indexes.remove(at.ok_or_else(|| errors::no_index_to_change(name))?);
                changes += 1;
            }
            _ => {
                return Err(errors::parameter(
                    "Exactly one of Create, Update or Delete is required in GlobalSecondaryIndexUpdate",
                ));
            }
        }
    }
    if changes > 1 {
        return Err(errors::limit(
            "Subscriber limit exceeded: Only 1 online index can be created or deleted simultaneously per table",
        ));
    }
    if table.is_provisioned
        && let Some(index) = table.indexes.iter().find(|index| index.is_global && index.throughput.is_none())
    {
        return Err(errors::parameter(format!("ProvisionedThroughput is not specified for index: {}", index.name)));
    }
    // An attribute that is a key twice has one type.
    for index in &table.indexes {
        for attribute in index.key.attributes() {
            let other = table.key.attributes().chain(table.indexes.iter().flat_map(|index| index.key.attributes()));
            if other.into_iter().any(|other| other.name == attribute.name && other.kind != attribute.kind) {
                return Err(errors::parameter(format!(
                    "Cannot change the type of the key attribute {}",
                    attribute.name
                )));
            }
        }
    }
    schema::check_indexes(&table.indexes)
}
