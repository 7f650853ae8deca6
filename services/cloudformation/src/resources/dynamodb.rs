//! Tables, their indexes, stream, expiry, recovery and tags. Replicas, Kinesis, imports and contributor insights are refused.

use std::time::Duration;

use cumulet_wire::error::ApiError;
use serde_json::{Map, Value, json};

use super::{Made, Whereabouts, copied, invalid, only, text, typed};

const KNOWN: &[&str] = &[
    "TableName",
    "AttributeDefinitions",
    "KeySchema",
    "BillingMode",
    "ProvisionedThroughput",
    "GlobalSecondaryIndexes",
    "LocalSecondaryIndexes",
    "StreamSpecification",
    "SSESpecification",
    "TimeToLiveSpecification",
    "PointInTimeRecoverySpecification",
    "ResourcePolicy",
    "TableClass",
    "DeletionProtectionEnabled",
    "Tags",
];
const ACTIVE_POLL_MS: u64 = 100;
const ACTIVE_POLLS_MAX: usize = 36_000;

/// Numbers and booleans at any depth, as DynamoDB takes them; names stay text.
fn numbers(value: &Value) -> Value {
    const NUMBERS: [&str; 3] = ["ReadCapacityUnits", "WriteCapacityUnits", "RecoveryPeriodInDays"];
    match value {
        Value::Object(map) => {
            let each = |(name, value): (&String, &Value)| {
                let is_number = NUMBERS.contains(&name.as_str()) || name.ends_with("Enabled");
                (name.clone(), if is_number { typed(value) } else { numbers(value) })
            };
            Value::Object(map.iter().map(each).collect())
        }
        Value::Array(list) => list.iter().map(numbers).collect(),
        other => other.clone(),
    }
}

/// `StreamEnabled` and `Enabled` are not in templates.
fn stream(properties: &Map<String, Value>) -> Value {
    match properties.get("StreamSpecification") {
        Some(given) => json!({ "StreamEnabled": true, "StreamViewType": given["StreamViewType"] }),
        None => json!({ "StreamEnabled": false }),
    }
}

fn encryption(properties: &Map<String, Value>) -> Option<Value> {
    let mut given = numbers(properties.get("SSESpecification")?);
    let is_enabled = given.as_object_mut()?.remove("SSEEnabled")?;
    given["Enabled"] = is_enabled;
    Some(given)
}

async fn described(at: &Whereabouts, name: &str) -> Result<Value, ApiError> {
    let answer = at.client.call("dynamodb", "DescribeTable", json!({ "TableName": name })).await?;
    Ok(answer["Table"].clone())
}

/// What a table answers with.
pub fn made(name: &str, table: &Value) -> Made {
    let made = Made::new(name).with("Arn", &table["TableArn"]).with("TableId", &table["TableId"]);
    match &table["StreamSpecification"] {
        Value::Null => made,
        _ => made.with("StreamArn", &table["LatestStreamArn"]),
    }
}

/// Waits until the table and all of its indexes can be used.
async fn active(at: &Whereabouts, name: &str) -> Result<Made, ApiError> {
    for _ in 0..ACTIVE_POLLS_MAX {
        let table = described(at, name).await?;
        if table["TableStatus"] == "ACTIVE" {
            return Ok(made(name, &table));
        }
        tokio::time::sleep(Duration::from_millis(ACTIVE_POLL_MS)).await;
    }
    Err(invalid(format!("table {name} did not become active")))
}

pub async fn create_table(at: &Whereabouts, properties: &Map<String, Value>) -> Result<Made, ApiError> {
    only(properties, KNOWN)?;
    let name = match properties.get("TableName") {
        Some(name) => text(name),
        None => at.name(255),
    };
    let same = [
        "AttributeDefinitions",
        "KeySchema",
        "BillingMode",
        "ProvisionedThroughput",
        "GlobalSecondaryIndexes",
        "LocalSecondaryIndexes",
        "TableClass",
        "DeletionProtectionEnabled",
    ];
    let mut input = copied(properties, &same);
    input.insert("TableName".into(), name.clone().into());
    input.insert("Tags".into(), at.tag_list(properties));
    if properties.contains_key("StreamSpecification") {
        input.insert("StreamSpecification".into(), stream(properties));
    }
    input.extend(encryption(properties).map(|given| ("SSESpecification".to_owned(), given)));
    if let Some(policy) = properties.get("ResourcePolicy") {
        input.insert("ResourcePolicy".into(), text(&policy["PolicyDocument"]).into());
    }
    at.client.call("dynamodb", "CreateTable", numbers(&input.into())).await?;
    match beside(at, &name, &Map::new(), properties).await {
        Ok(()) => active(at, &name).await,
        Err(error) => {
            // Otherwise a table would stay behind that no stack knows.
            at.client.call("dynamodb", "DeleteTable", json!({ "TableName": name })).await?;
            Err(error)
        }
    }
}

/// What calls of its own set: expiry and recovery.
async fn beside(
    at: &Whereabouts,
    name: &str,
    old: &Map<String, Value>,
    new: &Map<String, Value>,
) -> Result<(), ApiError> {
    let (before, after) = (old.get("TimeToLiveSpecification"), new.get("TimeToLiveSpecification"));
    let is_on = |given: Option<&Value>| given.is_some_and(|given| typed(&given["Enabled"]) == true);
    if before != after && (is_on(before) || is_on(after)) {
        let specification = match (before, after) {
            (_, Some(after)) => json!({ "AttributeName": after["AttributeName"], "Enabled": is_on(Some(after)) }),
            (Some(before), None) => json!({ "AttributeName": before["AttributeName"], "Enabled": false }),
            (None, None) => return Ok(()),
        };
        let input = json!({ "TableName": name, "TimeToLiveSpecification": specification });
        at.client.call("dynamodb", "UpdateTimeToLive", input).await?;
    }
    let (before, after) = (old.get("PointInTimeRecoverySpecification"), new.get("PointInTimeRecoverySpecification"));
    if before != after {
        let specification = after.map_or(json!({ "PointInTimeRecoveryEnabled": false }), numbers);
        let input = json!({ "TableName": name, "PointInTimeRecoverySpecification": specification });
        at.client.call("dynamodb", "UpdateContinuousBackups", input).await?;
    }
    Ok(())
}

fn indexes(properties: &Map<String, Value>) -> Vec<Value> {
    let list = properties.get("GlobalSecondaryIndexes").and_then(Value::as_array);
    list.into_iter().flatten().map(numbers).collect()
}

pub async fn update_table(
    at: &Whereabouts,
    made: &Made,
    old: &Map<String, Value>,
    new: &Map<String, Value>,
) -> Result<Made, ApiError> {
    only(new, KNOWN)?;
    let name = &made.physical_id;
    let update = async |change: Value| {
        let mut input = numbers(&change);
        input["TableName"] = name.as_str().into();
        at.client.call("dynamodb", "UpdateTable", input).await?;
        active(at, name).await
    };
    let is_changed = |property: &str| old.get(property) != new.get(property);
    if is_changed("BillingMode") || is_changed("ProvisionedThroughput") {
        let mode = new.get("BillingMode").cloned().unwrap_or_else(|| "PROVISIONED".into());
        let mut change = json!({ "BillingMode": mode });
        if let Some(throughput) = new.get("ProvisionedThroughput") {
            change["ProvisionedThroughput"] = throughput.clone();
        }
        update(change).await?;
    }
    if is_changed("StreamSpecification") {
        if old.contains_key("StreamSpecification") {
            update(json!({ "StreamSpecification": { "StreamEnabled": false } })).await?;
        }
        if new.contains_key("StreamSpecification") {
            update(json!({ "StreamSpecification": stream(new) })).await?;
        }
    }
    for property in ["TableClass", "DeletionProtectionEnabled"] {
        if let Some(value) = new.get(property).filter(|_| is_changed(property)) {
            update(json!({ property: value })).await?;
        }
    }
    if let Some(given) = encryption(new).filter(|_| is_changed("SSESpecification")) {
        update(json!({ "SSESpecification": given })).await?;
    }
    let (before, after) = (indexes(old), indexes(new));
    for gone in before.iter().filter(|index| !after.contains(index)) {
        let delete = json!({ "Delete": { "IndexName": gone["IndexName"] } });
        update(json!({ "GlobalSecondaryIndexUpdates": [delete] })).await?;
    }
    for index in after.iter().filter(|index| !before.contains(index)) {
        let definitions = new.get("AttributeDefinitions").cloned().unwrap_or_default();
        let create = json!({ "Create": index });
        update(json!({ "AttributeDefinitions": definitions, "GlobalSecondaryIndexUpdates": [create] })).await?;
    }
    beside(at, name, old, new).await?;
    let arn = &made.attributes.get("Arn").cloned().unwrap_or_default();
    let (removed, changed) = at.tag_changes(old, new);
    if !removed.is_empty() {
        let input = json!({ "ResourceArn": arn, "TagKeys": removed });
        at.client.call("dynamodb", "UntagResource", input).await?;
    }
    if let Some(tags) = changed {
        let input = json!({ "ResourceArn": arn, "Tags": tags });
        at.client.call("dynamodb", "TagResource", input).await?;
    }
    if is_changed("ResourcePolicy") {
        let (operation, input) = match new.get("ResourcePolicy") {
            Some(policy) => {
                ("PutResourcePolicy", json!({ "ResourceArn": arn, "Policy": text(&policy["PolicyDocument"]) }))
            }
            None => ("DeleteResourcePolicy", json!({ "ResourceArn": arn })),
        };
        at.client.call("dynamodb", operation, input).await?;
    }
    active(at, name).await
}
