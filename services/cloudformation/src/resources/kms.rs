//! Keys and their aliases. `Ref` of a key is its id. A key that is deleted with its stack is there for its window, and costs
//! nothing.

use cumulet_wire::error::ApiError;
use serde_json::{Map, Value, json};

use super::{Made, Whereabouts, copied, gone_is_done, invalid, only, required_text, text, typed};

type Properties = Map<String, Value>;

const KEY: &[&str] = &[
    "Description",
    "Enabled",
    "EnableKeyRotation",
    "RotationPeriodInDays",
    "KeyPolicy",
    "KeySpec",
    "KeyUsage",
    "MultiRegion",
    "Origin",
    "PendingWindowInDays",
    "BypassPolicyLockoutSafetyCheck",
    "Tags",
];

async fn call(at: &Whereabouts, operation: &str, input: Value) -> Result<Value, ApiError> {
    at.client.call("kms", operation, input).await
}

fn tags(at: &Whereabouts, properties: &Properties) -> Value {
    at.tags(properties).iter().map(|(key, value)| json!({ "TagKey": key, "TagValue": value })).collect()
}

fn is_on(properties: &Properties, name: &str, default: bool) -> bool {
    properties.get(name).map_or(default, crate::template::is_true)
}

pub async fn create(at: &Whereabouts, kind: &str, properties: &Properties) -> Result<Made, ApiError> {
    if kind == "AWS::KMS::Alias" {
        only(properties, &["AliasName", "TargetKeyId"])?;
        let name = required_text(properties, "AliasName")?;
        let target = required_text(properties, "TargetKeyId")?;
        call(at, "CreateAlias", json!({ "AliasName": name, "TargetKeyId": target })).await?;
        return Ok(Made::new(name));
    }
    only(properties, KEY)?;
    let mut input = copied(properties, &["Description", "KeySpec", "KeyUsage", "Origin"]);
    if let Some(policy) = properties.get("KeyPolicy") {
        input.insert("Policy".into(), policy.to_string().into());
    }
    if let Some(regions) = properties.get("MultiRegion") {
        input.insert("MultiRegion".into(), typed(regions));
    }
    input.insert("Tags".into(), tags(at, properties));
    let answer = call(at, "CreateKey", input.into()).await?;
    let (id, arn) = (text(&answer["KeyMetadata"]["KeyId"]), &answer["KeyMetadata"]["Arn"]);
    let made = Made::new(id.clone()).with("KeyId", &id.clone().into()).with("Arn", arn);
    switch(at, &id, &Map::new(), properties).await?;
    Ok(made)
}

/// Rotation and whether it is enabled, where they are others than before.
async fn switch(at: &Whereabouts, id: &str, old: &Properties, new: &Properties) -> Result<(), ApiError> {
    let rotation = |properties: &Properties| {
        let days = properties.get("RotationPeriodInDays").map(typed);
        is_on(properties, "EnableKeyRotation", false).then(|| days.unwrap_or_else(|| 365.into()))
    };
    match (rotation(old), rotation(new)) {
        (before, after) if before == after => {}
        (_, Some(days)) => {
            call(at, "EnableKeyRotation", json!({ "KeyId": id, "RotationPeriodInDays": days })).await?;
        }
        (_, None) => drop(call(at, "DisableKeyRotation", json!({ "KeyId": id })).await?),
    }
    match (is_on(old, "Enabled", true), is_on(new, "Enabled", true)) {
        (true, false) => call(at, "DisableKey", json!({ "KeyId": id })).await.map(drop),
        (false, true) => call(at, "EnableKey", json!({ "KeyId": id })).await.map(drop),
        _ => Ok(()),
    }
}

pub async fn update(
    at: &Whereabouts,
    kind: &str,
    made: &Made,
    old: &Properties,
    new: &Properties,
) -> Result<Made, ApiError> {
    let id = &made.physical_id;
    if kind == "AWS::KMS::Alias" {
        let target = required_text(new, "TargetKeyId")?;
        call(at, "UpdateAlias", json!({ "AliasName": id, "TargetKeyId": target })).await?;
        return Ok(made.clone());
    }
    only(new, KEY)?;
    if old.get("Description") != new.get("Description") {
        let description = new.get("Description").map(text).unwrap_or_default();
        call(at, "UpdateKeyDescription", json!({ "KeyId": id, "Description": description })).await?;
    }
    match (old.get("KeyPolicy"), new.get("KeyPolicy")) {
        (before, after) if before == after => {}
        (_, Some(policy)) => {
            call(at, "PutKeyPolicy", json!({ "KeyId": id, "Policy": policy.to_string() })).await?;
        }
        (_, None) => return Err(invalid("KeyPolicy cannot be taken away")),
    }
    switch(at, id, old, new).await?;
    let (gone, changed) = at.tag_changes(old, new);
    if !gone.is_empty() {
        call(at, "UntagResource", json!({ "KeyId": id, "TagKeys": gone })).await?;
    }
    if changed.is_some() {
        call(at, "TagResource", json!({ "KeyId": id, "Tags": tags(at, new) })).await?;
    }
    Ok(made.clone())
}

pub async fn delete(at: &Whereabouts, kind: &str, made: &Made, properties: &Properties) -> Result<(), ApiError> {
    let id = &made.physical_id;
    let answer = match kind {
        "AWS::KMS::Alias" => call(at, "DeleteAlias", json!({ "AliasName": id })).await,
        _ => {
            let days = properties.get("PendingWindowInDays").map_or_else(|| 30.into(), typed);
            match call(at, "ScheduleKeyDeletion", json!({ "KeyId": id, "PendingWindowInDays": days })).await {
                // It is on its way out already.
                Err(error) if error.code == "KMSInvalidStateException" => Ok(Value::Null),
                other => other,
            }
        }
    };
    gone_is_done(answer)
}
