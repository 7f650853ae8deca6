//! Log groups. Their data protection, classes and keys are refused.

use cumulet_wire::error::ApiError;
use serde_json::{Map, Value, json};

use super::{Made, Whereabouts, only, text, typed};

const KNOWN: &[&str] = &["LogGroupName", "RetentionInDays", "Tags"];

pub async fn create_group(at: &Whereabouts<'_>, properties: &Map<String, Value>) -> Result<Made, ApiError> {
    only(properties, KNOWN)?;
    let name = match properties.get("LogGroupName") {
        Some(name) => text(name),
        None => at.name(512),
    };
    let input = json!({ "logGroupName": name, "tags": at.tags(properties) });
    at.client.call("logs", "CreateLogGroup", input).await?;
    let context = &at.client.context;
    let arn = context.arn("logs", format!("log-group:{name}:*"));
    let made = Made::new(name).with("Arn", &arn.into());
    if properties.contains_key("RetentionInDays") {
        update_group(at, &made, properties).await?;
    }
    Ok(made)
}

pub async fn update_group(at: &Whereabouts<'_>, made: &Made, new: &Map<String, Value>) -> Result<Made, ApiError> {
    only(new, KNOWN)?;
    let name = &made.physical_id;
    let (operation, input) = match new.get("RetentionInDays") {
        Some(days) => ("PutRetentionPolicy", json!({ "logGroupName": name, "retentionInDays": typed(days) })),
        None => ("DeleteRetentionPolicy", json!({ "logGroupName": name })),
    };
    at.client.call("logs", operation, input).await?;
    Ok(made.clone())
}
