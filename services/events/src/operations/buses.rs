//! Event buses: made, described, changed, listed, deleted.

use cumulet_base::limits;
use cumulet_wire::call::{Answer, Call, seconds};
use cumulet_wire::error::ApiError;
use cumulet_wire::validate::Validation;
use serde_json::{Value, json};

use super::put;
use crate::model::{Bus, DEFAULT, FORMAT, Place};
use crate::route::{all, find_bus};
use crate::storage::{self, Kind};
use crate::{Events, errors, input};

pub async fn create(events: &Events, call: &Call) -> Result<Answer, ApiError> {
    let (core, given) = (&events.core, &call.input);
    let name = input::required(given, "Name")?;
    let is_allowed = |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || b"/._-".contains(&b));
    Validation::new()
        .length("name", Some(name), 1, 256)
        .pattern("name", Some(name), r"[/\.\-_A-Za-z0-9]+", is_allowed)
        .finish("ValidationException")?;
    if given.contains_key("EventSourceName") || name.starts_with("aws.partner/") {
        return Err(errors::not_built("partner event sources"));
    }
    if name.contains('/') {
        return Err(errors::invalid("Event bus name must not contain '/'."));
    }
    input::bounded(given, &[("Description", 512), ("KmsKeyIdentifier", 2048)])?;
    let place = input::here(call);
    if name == DEFAULT {
        return Err(errors::exists("Event bus default already exists."));
    }
    let there = core.storage.list::<Bus>(Kind::Bus, &place, &[], "", None, limits::EVENTS_BUSES_MAX).await?;
    if there.iter().any(|(there, _)| there == name) {
        return Err(errors::exists(format!("Event bus {name} already exists.")));
    }
    if there.len() >= limits::EVENTS_BUSES_MAX {
        return Err(errors::limit("The requested resource exceeds the maximum number allowed."));
    }
    let now_ms = core.now_ms();
    let bus = Bus {
        v: FORMAT,
        created_ms: now_ms,
        modified_ms: now_ms,
        description: input::owned(given, "Description"),
        policy: None,
        dead_letter_config: given.get("DeadLetterConfig").cloned(),
        log_config: given.get("LogConfig").cloned(),
        kms_key_identifier: input::owned(given, "KmsKeyIdentifier"),
        tags: input::tags(given)?,
    };
    let txn = storage::put(storage::begin(&place), Kind::Bus, &place, &[name], &bus, None)?;
    if !core.storage.commit(txn).await? {
        return Err(errors::exists(format!("Event bus {name} already exists.")));
    }
    core.routes.forget(&place, name);
    let mut output = json!({"EventBusArn": place.bus_arn(name)});
    settings(&mut output, &bus);
    Answer::json(output)
}

fn settings(output: &mut Value, bus: &Bus) {
    put(output, "Description", bus.description.clone());
    put(output, "KmsKeyIdentifier", bus.kms_key_identifier.clone());
    put(output, "DeadLetterConfig", bus.dead_letter_config.clone());
    put(output, "LogConfig", bus.log_config.clone());
}

fn shown(place: &Place, name: &str, bus: &Bus) -> Value {
    let mut output = json!({"Name": name, "Arn": place.bus_arn(name)});
    put(&mut output, "Description", bus.description.clone());
    put(&mut output, "Policy", bus.policy.clone());
    // The default bus is older than any record of it.
    if bus.created_ms > 0 {
        output["CreationTime"] = seconds(bus.created_ms);
        output["LastModifiedTime"] = seconds(bus.modified_ms);
    }
    output
}

pub async fn describe(events: &Events, call: &Call) -> Result<Answer, ApiError> {
    let (place, name) = input::bus(call, "Name")?;
    let bus = find_bus(&events.core.storage, &place, &name).await?.ok_or_else(|| errors::no_bus(&name))?;
    let mut output = shown(&place, &name, &bus);
    settings(&mut output, &bus);
    Answer::json(output)
}

pub async fn update(events: &Events, call: &Call) -> Result<Answer, ApiError> {
    let (place, name) = input::bus(call, "Name")?;
    let given = &call.input;
    input::bounded(given, &[("Description", 512), ("KmsKeyIdentifier", 2048)])?;
    let now_ms = events.core.now_ms();
    let bus = change(events, &place, &name, |bus| {
        bus.description = input::owned(given, "Description").or(bus.description.take());
        bus.kms_key_identifier = input::owned(given, "KmsKeyIdentifier").or(bus.kms_key_identifier.take());
        for (member, value) in [("DeadLetterConfig", &mut bus.dead_letter_config), ("LogConfig", &mut bus.log_config)] {
            if let Some(new) = given.get(member) {
                *value = Some(new.clone());
            }
        }
        bus.modified_ms = now_ms;
        Ok(())
    })
    .await?;
    let mut output = json!({"Name": name, "Arn": place.bus_arn(&name)});
    settings(&mut output, &bus);
    Answer::json(output)
}

/// Changes a bus; the default one gets its record with the first change.
pub async fn change(
    events: &Events,
    place: &Place,
    name: &str,
    mut change: impl FnMut(&mut Bus) -> Result<(), ApiError>,
) -> Result<Bus, ApiError> {
    let core = &events.core;
    if name == DEFAULT && core.storage.get::<Bus>(Kind::Bus, place, &[name]).await?.is_none() {
        let now_ms = core.now_ms();
        let bus = Bus { v: FORMAT, created_ms: now_ms, modified_ms: now_ms, ..Bus::default() };
        // Where another was faster, its record is there.
        core.storage.commit(storage::put(storage::begin(place), Kind::Bus, place, &[name], &bus, None)?).await?;
    }
    let changed = core.storage.update(Kind::Bus, place, &[name], &mut change).await?;
    core.routes.forget(place, name);
    changed.ok_or_else(|| errors::no_bus(name))
}

pub async fn list(events: &Events, call: &Call) -> Result<Answer, ApiError> {
    let place = input::here(call);
    let (limit, after) = input::page(&call.input)?;
    let prefix = input::text(&call.input, "NamePrefix").unwrap_or_default();
    let core = &events.core;
    // There are few, and the default one is among them whether or not it has a record.
    let mut buses: std::collections::BTreeMap<String, Bus> =
        all::<Bus>(&core.storage, Kind::Bus, &place, &[]).await?.into_iter().collect();
    buses.entry(DEFAULT.to_owned()).or_default();
    let wanted = |name: &String| name.starts_with(prefix) && after.is_none_or(|after| name.as_str() > after);
    let found = buses.into_iter().filter(|(name, _)| wanted(name)).collect();
    let (found, token) = input::cut(found, limit);
    let list: Vec<Value> = found.iter().map(|(name, bus)| shown(&place, name, bus)).collect();
    let mut output = json!({"EventBuses": list});
    put(&mut output, "NextToken", token);
    Answer::json(output)
}

/// Of one that is not there, too, as on AWS.
pub async fn delete(events: &Events, call: &Call) -> Result<Answer, ApiError> {
    let place = input::here(call);
    input::required(&call.input, "Name")?;
    let (_, name) = input::bus(call, "Name")?;
    if name == DEFAULT {
        return Err(errors::invalid("Cannot delete event bus default."));
    }
    let core = &events.core;
    let txn = storage::none(storage::begin(&place), Kind::Rule, &place, &[&name]);
    let txn = storage::delete(txn, Kind::Bus, &place, &[&name]);
    if !core.storage.commit(txn).await? {
        return Err(errors::invalid(format!("Event bus {name} can't be deleted since it has rules.")));
    }
    core.routes.forget(&place, &name);
    Ok(Answer::empty())
}
