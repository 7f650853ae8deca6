//! Log groups. Their data protection is refused; classes and keys are the service's to refuse.

use cumulet_wire::error::ApiError;
use serde_json::{Map, Value, json};

use super::{Made, Whereabouts, invalid, only, text, typed};

const KNOWN: &[&str] = &["KmsKeyId", "LogGroupClass", "LogGroupName", "RetentionInDays", "Tags"];

pub async fn create_group(at: &Whereabouts, properties: &Map<String, Value>) -> Result<Made, ApiError> {
    only(properties, KNOWN)?;
    let name = match properties.get("LogGroupName") {
        Some(name) => text(name),
        None => at.name(512),
    };
    let mut input = json!({ "logGroupName": name, "tags": at.tags(properties) });
    for (property, member) in [("KmsKeyId", "kmsKeyId"), ("LogGroupClass", "logGroupClass")] {
        if let Some(value) = properties.get(property) {
            input[member] = value.clone();
        }
    }
    at.client.call("logs", "CreateLogGroup", input).await?;
    let made = made(at, &name);
    if properties.contains_key("RetentionInDays") {
        retain(at, &made, properties).await?;
    }
    Ok(made)
}

/// What a group answers with.
pub fn made(at: &Whereabouts, name: &str) -> Made {
    let arn = at.client.context.arn("logs", format!("log-group:{name}:*"));
    Made::new(name).with("Arn", &arn.into())
}

async fn retain(at: &Whereabouts, made: &Made, new: &Map<String, Value>) -> Result<(), ApiError> {
    let name = &made.physical_id;
    let (operation, input) = match new.get("RetentionInDays") {
        Some(days) => ("PutRetentionPolicy", json!({ "logGroupName": name, "retentionInDays": typed(days) })),
        None => ("DeleteRetentionPolicy", json!({ "logGroupName": name })),
    };
    at.client.call("logs", operation, input).await.map(drop)
}

pub async fn update_group(
    at: &Whereabouts,
    made: &Made,
    old: &Map<String, Value>,
    new: &Map<String, Value>,
) -> Result<Made, ApiError> {
    only(new, KNOWN)?;
    let class = |of: &Map<String, Value>| of.get("LogGroupClass").map_or_else(|| "STANDARD".to_owned(), text);
    if class(old) != class(new) {
        return Err(invalid("not implemented: change of LogGroupClass"));
    }
    if old.get("RetentionInDays") != new.get("RetentionInDays") {
        retain(at, made, new).await?;
    }
    if old.get("KmsKeyId") != new.get("KmsKeyId") {
        let name = &made.physical_id;
        let (operation, input) = match new.get("KmsKeyId") {
            Some(key) => ("AssociateKmsKey", json!({ "logGroupName": name, "kmsKeyId": key })),
            None => ("DisassociateKmsKey", json!({ "logGroupName": name })),
        };
        at.client.call("logs", operation, input).await?;
    }
    let arn = at.client.context.arn("logs", format!("log-group:{}", made.physical_id));
    let (removed, changed) = at.tag_changes(old, new);
    if !removed.is_empty() {
        at.client.call("logs", "UntagResource", json!({ "resourceArn": arn, "tagKeys": removed })).await?;
    }
    if changed.is_some() {
        at.client.call("logs", "TagResource", json!({ "resourceArn": arn, "tags": at.tags(new) })).await?;
    }
    Ok(made.clone())
}
