//! What secrets hold, and which version is which: GetSecretValue, BatchGetSecretValue, PutSecretValue, UpdateSecret,
//! UpdateSecretVersionStage (<https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_PutSecretValue.html>).

use std::collections::BTreeSet;

use cumulet_wire::call::{Answer, Call};
use cumulet_wire::error::ApiError;
use serde_json::{Value, json};

use super::{description, given_value, live, look, look_up, required, text, version_id};
use crate::model::{CURRENT, Place, Secret, Version, seconds};
use crate::storage::Beside;
use crate::{SecretsManager, errors};

const BATCH_MAX: usize = 20;
/// Versions without a label are kept up to so many in all.
const VERSIONS_MAX: usize = 100;
const STAGES_MAX: usize = 20;
const DAY_MS: u64 = 86_400_000;

/// The version that is asked for, by id, label, or both.
fn chosen<'a>(secret: &'a Secret, id: Option<&str>, stage: Option<&str>) -> Result<(&'a str, &'a Version), ApiError> {
    let of = |id: &str| secret.versions.get_key_value(id).map(|(id, version)| (id.as_str(), version));
    if let Some(id) = id {
        let (id, version) = of(id).ok_or_else(|| errors::no_value(&format!("VersionId: {id}")))?;
        return match stage {
            Some(stage) if !version.stages.contains(stage) => Err(errors::invalid_request(
                "You provided a VersionStage that is not associated to the provided VersionId.",
            )),
            _ => Ok((id, version)),
        };
    }
    let stage = stage.unwrap_or(CURRENT);
    let found = secret.with_stage(stage).and_then(of);
    found.ok_or_else(|| errors::no_value(&format!("staging label: {stage}")))
}

async fn shown(
    manager: &SecretsManager,
    place: &Place,
    secret: &Secret,
    (id, version): (&str, &Version),
) -> Result<Value, ApiError> {
    let missing = || errors::no_value(&format!("VersionId: {id}"));
    let sealed = manager.storage.value(place, id).await?.ok_or_else(missing)?;
    let plain = manager.seal.open(&sealed.text, &place.binding(id)).and_then(|bytes| String::from_utf8(bytes).ok());
    let mut shown = json!({
        "ARN": secret.arn(place),
        "Name": secret.name,
        "VersionId": id,
        "VersionStages": version.stages,
        "CreatedDate": seconds(version.created_ms),
    });
    let member = if sealed.is_binary { "SecretBinary" } else { "SecretString" };
    shown[member] = plain.ok_or_else(errors::decryption)?.into();
    Ok(shown)
}

pub async fn get(manager: &SecretsManager, call: &Call) -> Result<Answer, ApiError> {
    let (place, secret) = live(manager, call).await?;
    let version = chosen(&secret, text(call, "VersionId"), text(call, "VersionStage"))?;
    let shown = shown(manager, &place, &secret, version).await?;
    note_access(manager, &place, &secret, call.context.now_ms).await?;
    Answer::json(shown)
}

/// To the day, so that most reads write nothing.
async fn note_access(manager: &SecretsManager, place: &Place, secret: &Secret, now_ms: u64) -> Result<(), ApiError> {
    let day_ms = now_ms / DAY_MS * DAY_MS;
    if secret.accessed_ms == Some(day_ms) {
        return Ok(());
    }
    let noted = manager.storage.update(place, now_ms, |secret| {
        secret.accessed_ms = Some(day_ms);
        Ok((Beside::default(), ()))
    });
    match noted.await {
        // Somebody has deleted it since.
        Err(error) if error.code == "ResourceNotFoundException" => Ok(()),
        noted => noted,
    }
}

/// What a batch asks for: how each was named, and the secret where there is one.
pub async fn wanted(manager: &SecretsManager, call: &Call) -> Result<Vec<(String, Place, Option<Secret>)>, ApiError> {
    let named: Vec<&str> = call
        .input
        .get("SecretIdList")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let filters = look::filters(call)?;
    if named.is_empty() == filters.is_empty() || named.len() > BATCH_MAX {
        let text = "You must specify either SecretIdList, with up to 20 secrets, or Filters, and not both.";
        return Err(errors::invalid_parameter(text));
    }
    let context = &call.context;
    let mut wanted: Vec<(String, Place, Option<Secret>)> = Vec::new();
    for id in named {
        let (place, found) = look_up(manager, call, id).await?;
        wanted.push((id.to_owned(), place, found));
    }
    if !filters.is_empty() {
        for secret in manager.storage.list(context.account(), &context.region, context.now_ms).await? {
            if secret.gone_ms.is_none() && look::is_wanted(&secret, &filters) {
                wanted.push((secret.name.clone(), super::place(call, &secret.name), Some(secret)));
            }
        }
    }
    Ok(wanted)
}

pub async fn batch(manager: &SecretsManager, call: &Call) -> Result<Answer, ApiError> {
    let window = look::window(call, BATCH_MAX)?;
    let (mut values, mut failed) = (Vec::new(), Vec::new());
    for (id, place, found) in wanted(manager, call).await? {
        let secret = found.ok_or_else(errors::not_found);
        let secret = secret.and_then(|s| if s.gone_ms.is_some() { Err(errors::marked_for_deletion()) } else { Ok(s) });
        let value = match &secret {
            Ok(secret) => match chosen(secret, None, None) {
                Ok(version) => shown(manager, &place, secret, version).await,
                Err(error) => Err(error),
            },
            Err(error) => Err(error.clone()),
        };
        match value {
            Ok(value) => values.push(value),
            Err(error) => failed.push(json!({ "SecretId": id, "ErrorCode": error.code, "Message": error.message })),
        }
    }
    look::paged(json!({ "Errors": failed }), "SecretValues", values, window)
}

/// Adds a version under its labels; the same once more changes nothing.
fn add(secret: &mut Secret, id: &str, version: &Version) -> Result<Vec<String>, ApiError> {
    if let Some(known) = secret.versions.get(id) {
        return match known.digest == version.digest {
            true => Ok(Vec::new()),
            false => Err(errors::token_in_use(id, &secret.name)),
        };
    }
    let empty = Version { stages: BTreeSet::new(), ..version.clone() };
    secret.versions.insert(id.to_owned(), empty);
    // The first version is current, whatever it is called.
    let first = secret.with_stage(CURRENT).is_none().then(|| CURRENT.to_owned());
    for stage in version.stages.iter().chain(&first) {
        secret.move_stage(stage, Some(id));
    }
    secret.changed_ms = version.created_ms;
    let mut unlabelled: Vec<(u64, String)> = secret
        .versions
        .iter()
        .filter(|(_, version)| version.stages.is_empty())
        .map(|(id, version)| (version.created_ms, id.clone()))
        .collect();
    unlabelled.sort();
    let surplus = secret.versions.len().saturating_sub(VERSIONS_MAX);
    let dropped: Vec<String> = unlabelled.into_iter().take(surplus).map(|(_, id)| id).collect();
    for id in &dropped {
        secret.versions.remove(id);
    }
    Ok(dropped)
}

pub async fn put(manager: &SecretsManager, call: &Call) -> Result<Answer, ApiError> {
    let (place, _) = live(manager, call).await?;
    let given = given_value(call)?
        .ok_or_else(|| errors::invalid_request("You must provide either SecretString or SecretBinary."))?;
    let stages = call.input.get("VersionStages").and_then(Value::as_array);
    let stages: BTreeSet<String> = match stages {
        None => [CURRENT.to_owned()].into(),
        Some(all) => all.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
    };
    if stages.is_empty() || stages.len() > STAGES_MAX {
        return Err(errors::invalid_parameter("A version has between 1 and 20 staging labels."));
    }
    let id = version_id(call)?;
    let sealed = given.sealed(manager, &place, &id)?;
    let version = Version { created_ms: call.context.now_ms, stages, digest: given.digest() };
    let (arn, stages) = manager
        .storage
        .update(&place, call.context.now_ms, |secret| {
            let is_new = !secret.versions.contains_key(&id);
            let dropped = add(secret, &id, &version)?;
            let put = is_new.then(|| (id.clone(), sealed.clone()));
            let stages = secret.versions.get(&id).map(|version| version.stages.clone()).unwrap_or_default();
            Ok((Beside { put, dropped }, (secret.arn(&place), stages)))
        })
        .await?;
    Answer::json(json!({ "ARN": arn, "Name": place.name, "VersionId": id, "VersionStages": stages }))
}

pub async fn update(manager: &SecretsManager, call: &Call) -> Result<Answer, ApiError> {
    let (place, _) = live(manager, call).await?;
    let (description, given, id) = (description(call)?, given_value(call)?, version_id(call)?);
    let now_ms = call.context.now_ms;
    let sealed = given.as_ref().map(|given| given.sealed(manager, &place, &id)).transpose()?;
    let arn = manager.storage.update(&place, now_ms, |secret| {
        if let Some(description) = &description {
            secret.description = Some(description.clone());
        }
        if let Some(key) = text(call, "KmsKeyId") {
            secret.key = Some(key.to_owned());
        }
        secret.changed_ms = now_ms;
        let mut beside = Beside::default();
        if let (Some(given), Some(sealed)) = (&given, &sealed) {
            let version = Version { created_ms: now_ms, stages: [CURRENT.to_owned()].into(), digest: given.digest() };
            let is_new = !secret.versions.contains_key(&id);
            beside.dropped = add(secret, &id, &version)?;
            beside.put = is_new.then(|| (id.clone(), sealed.clone()));
        }
        Ok((beside, secret.arn(&place)))
    });
    let mut answer = json!({ "ARN": arn.await?, "Name": place.name });
    if given.is_some() {
        answer["VersionId"] = json!(id);
    }
    Answer::json(answer)
}

pub async fn stage(manager: &SecretsManager, call: &Call) -> Result<Answer, ApiError> {
    let (place, _) = live(manager, call).await?;
    let stage = required(call, "VersionStage")?;
    let (from, to) = (text(call, "RemoveFromVersionId"), text(call, "MoveToVersionId"));
    let arn = manager.storage.update(&place, call.context.now_ms, |secret| {
        for id in [from, to].into_iter().flatten() {
            if !secret.versions.contains_key(id) {
                return Err(errors::no_value(&format!("VersionId: {id}")));
            }
        }
        let holder = secret.with_stage(stage);
        if from.is_some() && holder != from {
            let text = format!("The staging label {stage} is not attached to the version given in RemoveFromVersionId.");
            return Err(errors::invalid_parameter(text));
        }
        if from.is_none() && holder.is_some() && holder != to {
            let text = format!(
                "The parameter RemoveFromVersionId can't be empty. Staging label {stage} is currently attached to version {}, so you must explicitly reference that version in RemoveFromVersionId.",
                holder.unwrap_or_default()
            );
            return Err(errors::invalid_parameter(text));
        }
        if stage == CURRENT && to.is_none() {
            return Err(errors::invalid_parameter("You can only move staging label AWSCURRENT to a different secret version. It can't be completely removed."));
        }
        secret.move_stage(stage, to);
        secret.changed_ms = call.context.now_ms;
        Ok((Beside::default(), secret.arn(&place)))
    });
    Answer::json(json!({ "ARN": arn.await?, "Name": place.name }))
}
