//! Applications: names that deployment groups belong to.

use cumulet_base::{id, limits};
use cumulet_wire::call::{Call, seconds};
use cumulet_wire::error::ApiError;
use serde_json::{Value, json};

use super::{checked, here, name, no_token, platform, tags, text};
use crate::model::{Application, FORMAT};
use crate::storage::{self, Named};
use crate::{Core, errors};

pub async fn create(core: &Core, call: &Call) -> Result<Value, ApiError> {
    let (place, name) = (here(call), name(call, "applicationName")?);
    platform(call)?;
    if core.storage.applications(&place).await?.len() >= limits::DEPLOYMENT_NAMES_MAX {
        return Err(errors::too_many("applications"));
    }
    let application =
        Application { v: FORMAT, id: id::uuid(), created_ms: core.clock.now_ms(), tags: tags(&call.input, "tags")? };
    let txn = storage::put(storage::begin(&place), &place, &Named::Application(name), &application, None)?;
    match core.storage.commit(txn).await? {
        true => Ok(json!({"applicationId": application.id})),
        false => Err(errors::application_exists(name)),
    }
}

pub async fn get(core: &Core, call: &Call) -> Result<Value, ApiError> {
    let (place, name) = (here(call), name(call, "applicationName")?);
    let (found, _) = core.storage.application(&place, name).await?.ok_or_else(|| errors::no_application(name))?;
    Ok(json!({"application": {
        "applicationId": found.id,
        "applicationName": name,
        "createTime": seconds(found.created_ms),
        "linkedToGitHub": false,
        "computePlatform": "Lambda",
    }}))
}

pub async fn list(core: &Core, call: &Call) -> Result<Value, ApiError> {
    no_token(call)?;
    Ok(json!({"applications": core.storage.applications(&here(call)).await?}))
}

/// Another name, as long as it has no groups: those are found by it.
pub async fn update(core: &Core, call: &Call) -> Result<Value, ApiError> {
    let (place, name) = (here(call), name(call, "applicationName")?);
    let (found, rev) = core.storage.application(&place, name).await?.ok_or_else(|| errors::no_application(name))?;
    let Some(new) = text(call, "newApplicationName") else { return Ok(json!({})) };
    checked(new, "applicationName")?;
    if !core.storage.groups(&place, name).await?.is_empty() {
        return Err(errors::not_built("newApplicationName of an application with deployment groups"));
    }
    let txn = storage::delete(storage::begin(&place), &place, &Named::Application(name), rev);
    let txn = storage::without_groups(txn, &place, name);
    let txn = storage::put(txn, &place, &Named::Application(new), &found, None)?;
    match core.storage.commit(txn).await? {
        true => Ok(json!({})),
        false => Err(errors::application_exists(new)),
    }
}

/// With its groups. One that is not there is deleted.
pub async fn delete(core: &Core, call: &Call) -> Result<Value, ApiError> {
    let (place, name) = (here(call), name(call, "applicationName")?);
    let Some((_, rev)) = core.storage.application(&place, name).await? else { return Ok(json!({})) };
    let mut txn = storage::delete(storage::begin(&place), &place, &Named::Application(name), rev);
    for group in core.storage.groups(&place, name).await? {
        if let Some((_, rev)) = core.storage.group(&place, name, &group).await? {
            txn = storage::delete(txn, &place, &Named::Group(name, &group), rev);
        }
    }
    match core.storage.commit(txn).await? {
        true => Ok(json!({})),
        false => Err(errors::conflict()),
    }
}
