//! Archives: made, described, changed, listed, deleted.

use cumulet_base::arn::Arn;
use cumulet_base::id;
use cumulet_wire::call::{Answer, Call, seconds};
use cumulet_wire::error::ApiError;
use cumulet_wire::validate::Validation;
use serde_json::{Value, json};

use super::put;
use crate::model::{Archive, FORMAT, Place};
use crate::route::find_bus;
use crate::storage::{self, Kind};
use crate::{Events, errors, input, replay};

fn no_archive(name: &str) -> ApiError {
    errors::not_found(format!("Archive {name} does not exist."))
}

fn retention(call: &Call) -> Result<Option<u64>, ApiError> {
    let days = call.input.get("RetentionDays").and_then(Value::as_i64);
    Validation::new().between("retentionDays", days, 0, i64::from(u16::MAX)).finish("ValidationException")?;
    Ok(days.and_then(|days| u64::try_from(days).ok()))
}

pub async fn create(events: &Events, call: &Call) -> Result<Answer, ApiError> {
    let (core, given) = (&events.core, &call.input);
    let name = input::name(given, "ArchiveName", 48)?;
    let source = input::required(given, "EventSourceArn")?;
    input::bounded(given, &[("Description", 512), ("KmsKeyIdentifier", 2048)])?;
    let place = input::here(call);
    let (of, bus) = input::bus_of(&place, Some(source))?;
    if source.parse::<Arn>().is_err() || of != place {
        return Err(errors::parameter("EventSourceArn", "Must be the ARN of an event bus of this account and region."));
    }
    if find_bus(&core.storage, &place, &bus).await?.is_none() {
        return Err(errors::no_bus(&bus));
    }
    let now_ms = core.now_ms();
    let archive = Archive {
        v: FORMAT,
        id: id::hex(16),
        source_arn: source.to_owned(),
        bus: bus.clone(),
        description: input::owned(given, "Description"),
        pattern: super::pattern(given)?,
        retention_days: retention(call)?.unwrap_or_default(),
        kms_key_identifier: input::owned(given, "KmsKeyIdentifier"),
        created_ms: now_ms,
    };
    let txn = storage::put(storage::begin(&place), Kind::Archive, &place, &[name], &archive, None)?;
    let (txn, wake) = core.delivery.add(txn, &replay::expiry(&place, name, &archive, now_ms)?)?;
    if !core.storage.commit(txn).await? {
        return Err(errors::exists(format!("Archive {name} already exists.")));
    }
    wake.now();
    core.routes.forget(&place, &bus);
    Answer::json(changed(&place, name, &archive))
}

fn changed(place: &Place, name: &str, archive: &Archive) -> Value {
    let arn = place.arn(&format!("archive/{name}"));
    json!({"ArchiveArn": arn, "State": "ENABLED", "CreationTime": seconds(archive.created_ms)})
}

async fn shown(events: &Events, place: &Place, name: &str, archive: &Archive) -> Result<Value, ApiError> {
    let (count, bytes) = events.core.storage.count(place, archive).await?;
    Ok(json!({
        "ArchiveName": name,
        "EventSourceArn": archive.source_arn,
        "State": "ENABLED",
        "RetentionDays": archive.retention_days,
        "SizeBytes": bytes,
        "EventCount": count,
        "CreationTime": seconds(archive.created_ms),
    }))
}

pub async fn describe(events: &Events, call: &Call) -> Result<Answer, ApiError> {
    let name = input::required(&call.input, "ArchiveName")?;
    let place = input::here(call);
    let found = events.core.storage.get::<Archive>(Kind::Archive, &place, &[name]).await?;
    let (archive, _) = found.ok_or_else(|| no_archive(name))?;
    let mut output = shown(events, &place, name, &archive).await?;
    output["ArchiveArn"] = place.arn(&format!("archive/{name}")).into();
    put(&mut output, "Description", archive.description);
    put(&mut output, "EventPattern", archive.pattern);
    put(&mut output, "KmsKeyIdentifier", archive.kms_key_identifier);
    Answer::json(output)
}

pub async fn update(events: &Events, call: &Call) -> Result<Answer, ApiError> {
    let (core, given) = (&events.core, &call.input);
    let name = input::required(given, "ArchiveName")?;
    let place = input::here(call);
    let (pattern, days) = (super::pattern(given)?, retention(call)?);
    input::bounded(given, &[("Description", 512), ("KmsKeyIdentifier", 2048)])?;
    let change = |archive: &mut Archive| {
        archive.description = input::owned(given, "Description").or(archive.description.take());
        archive.pattern = pattern.clone().or(archive.pattern.take());
        archive.retention_days = days.unwrap_or(archive.retention_days);
        archive.kms_key_identifier = input::owned(given, "KmsKeyIdentifier").or(archive.kms_key_identifier.take());
        Ok(())
    };
    let updated = core.storage.update::<Archive>(Kind::Archive, &place, &[name], change).await?;
    let archive = updated.ok_or_else(|| no_archive(name))?;
    core.routes.forget(&place, &archive.bus);
    Answer::json(changed(&place, name, &archive))
}

pub async fn list(events: &Events, call: &Call) -> Result<Answer, ApiError> {
    let place = input::here(call);
    let (limit, after) = input::page(&call.input)?;
    let prefix = input::text(&call.input, "NamePrefix").unwrap_or_default();
    let source = input::text(&call.input, "EventSourceArn");
    let state = input::text(&call.input, "State");
    let found = events.core.storage.list::<Archive>(Kind::Archive, &place, &[], prefix, after, limit + 1).await?;
    let (found, token) = input::cut(found, limit);
    let mut list = Vec::new();
    for (name, archive) in &found {
        if source.is_none_or(|source| source == archive.source_arn) && state.is_none_or(|state| state == "ENABLED") {
            list.push(shown(events, &place, name, archive).await?);
        }
    }
    let mut output = json!({"Archives": list});
    put(&mut output, "NextToken", token);
    Answer::json(output)
}

pub async fn delete(events: &Events, call: &Call) -> Result<Answer, ApiError> {
    let core = &events.core;
    let name = input::required(&call.input, "ArchiveName")?;
    let place = input::here(call);
    let found = core.storage.get::<Archive>(Kind::Archive, &place, &[name]).await?;
    let (archive, _) = found.ok_or_else(|| no_archive(name))?;
    let txn = storage::delete(storage::begin(&place), Kind::Archive, &place, &[name]);
    core.storage.commit(storage::clear(txn, &place, &archive)).await?;
    core.routes.forget(&place, &archive.bus);
    Ok(Answer::empty())
}
