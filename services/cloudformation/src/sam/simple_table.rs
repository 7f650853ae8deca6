//! `AWS::Serverless::SimpleTable`: a table with one key and nothing else.

use serde_json::{Map, Value, json};

use super::{Out, invalid, only, resource, tag_list};
use crate::errors::Error;

const KNOWN: &[&str] = &[
    "PrimaryKey",
    "ProvisionedThroughput",
    "TableName",
    "Tags",
    "SSESpecification",
    "PointInTimeRecoverySpecification",
];

pub fn transform(
    logical_id: &str,
    of: &Value,
    properties: &Map<String, Value>,
    out: &mut Out<'_>,
) -> Result<(), Error> {
    only(logical_id, properties, KNOWN)?;
    let key = properties.get("PrimaryKey").cloned().unwrap_or_else(|| json!({ "Name": "id", "Type": "String" }));
    let kind = match key["Type"].as_str() {
        Some("String") => "S",
        Some("Number") => "N",
        Some("Binary") => "B",
        _ => return Err(invalid(format!("PrimaryKey.Type of {logical_id} must be String, Number or Binary"))),
    };
    let name = &key["Name"];
    let mut table = json!({
        "AttributeDefinitions": [{ "AttributeName": name, "AttributeType": kind }],
        "KeySchema": [{ "AttributeName": name, "KeyType": "HASH" }],
    });
    match properties.get("ProvisionedThroughput") {
        Some(throughput) => table["ProvisionedThroughput"] = throughput.clone(),
        None => table["BillingMode"] = "PAY_PER_REQUEST".into(),
    }
    for same in ["TableName", "SSESpecification", "PointInTimeRecoverySpecification"] {
        if let Some(value) = properties.get(same) {
            table[same] = value.clone();
        }
    }
    if properties.contains_key("Tags") {
        table["Tags"] = tag_list(properties.get("Tags"), "");
    }
    out.add(logical_id, resource("AWS::DynamoDB::Table", of, table))
}
