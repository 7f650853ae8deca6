//! Parameters of the parameter store.

use cumulet_wire::error::ApiError;
use serde_json::{Map, Value, json};

use super::{Made, Whereabouts, copied, invalid, only, required_text, text};

const KNOWN: &[&str] =
    &["Name", "Type", "Value", "Description", "AllowedPattern", "Tier", "Tags", "DataType", "Policies"];

async fn put(at: &Whereabouts, name: &str, properties: &Map<String, Value>, is_new: bool) -> Result<Made, ApiError> {
    only(properties, KNOWN)?;
    let kind = required_text(properties, "Type")?;
    if kind == "SecureString" {
        return Err(invalid("AWS::SSM::Parameter cannot make a SecureString"));
    }
    let value = required_text(properties, "Value")?;
    let mut input = copied(properties, &["Type", "Description", "AllowedPattern", "Tier", "DataType", "Policies"]);
    input.insert("Name".into(), name.into());
    input.insert("Value".into(), value.clone().into());
    input.insert("Overwrite".into(), (!is_new).into());
    if is_new && !at.tags(properties).is_empty() {
        input.insert("Tags".into(), at.tag_list(properties));
    }
    at.client.call("ssm", "PutParameter", input.into()).await?;
    Ok(Made::new(name).with("Type", &kind.into()).with("Value", &value.into()))
}

pub async fn create(at: &Whereabouts, properties: &Map<String, Value>) -> Result<Made, ApiError> {
    let name = properties.get("Name").map_or_else(|| at.name(1024), text);
    put(at, &name, properties, true).await
}

pub async fn update(
    at: &Whereabouts,
    made: &Made,
    old: &Map<String, Value>,
    new: &Map<String, Value>,
) -> Result<Made, ApiError> {
    let name = &made.physical_id;
    let changed = put(at, name, new, false).await?;
    let (removed, tags) = at.tag_changes(old, new);
    if !removed.is_empty() {
        let input = json!({ "ResourceType": "Parameter", "ResourceId": name, "TagKeys": removed });
        at.client.call("ssm", "RemoveTagsFromResource", input).await?;
    }
    if let Some(tags) = tags {
        let input = json!({ "ResourceType": "Parameter", "ResourceId": name, "Tags": tags });
        at.client.call("ssm", "AddTagsToResource", input).await?;
    }
    Ok(changed)
}
