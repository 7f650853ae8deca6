//! Global tables of one region, as the CDK's `TableV2` makes them, are tables: what a template says of its only replica is said
//! of the table. More regions, and capacity that scales by itself, are refused by name.

use cumulet_wire::error::ApiError;
use serde_json::{Map, Value, json};

use super::{Whereabouts, copied, invalid, only, text};

type Properties = Map<String, Value>;

const SAME: &[&str] = &[
    "TableName",
    "AttributeDefinitions",
    "KeySchema",
    "BillingMode",
    "LocalSecondaryIndexes",
    "StreamSpecification",
    "TimeToLiveSpecification",
    "SSESpecification",
];
const OF_REPLICA: &[&str] =
    &["DeletionProtectionEnabled", "PointInTimeRecoverySpecification", "TableClass", "Tags", "ResourcePolicy"];

/// The properties of the table.
pub fn as_table(at: &Whereabouts, properties: &Properties) -> Result<Properties, ApiError> {
    only(properties, &[SAME, &["Replicas", "GlobalSecondaryIndexes"]].concat())?;
    let region = &at.client.context.region;
    let replicas = properties.get("Replicas").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let [Value::Object(replica)] = replicas else {
        return Err(invalid("not implemented: Replicas of AWS::DynamoDB::GlobalTable in other regions"));
    };
    if replica.get("Region").map(text).as_ref() != Some(region) {
        return Err(invalid(format!("Replicas of AWS::DynamoDB::GlobalTable have to be in {region}")));
    }
    let ours = ["Region", "SSESpecification", "GlobalSecondaryIndexes", "ContributorInsightsSpecification"];
    only(replica, &[OF_REPLICA, &ours].concat())?;
    if properties.get("BillingMode").map(text).as_deref() != Some("PAY_PER_REQUEST") {
        return Err(invalid("not implemented: BillingMode PROVISIONED of AWS::DynamoDB::GlobalTable"));
    }
    let is_on = |given: &Value| given["Enabled"] == true || given["Enabled"] == "true";
    if replica.get("ContributorInsightsSpecification").is_some_and(is_on) {
        return Err(invalid("not implemented: property ContributorInsightsSpecification"));
    }
    let mut table = copied(properties, SAME);
    table.extend(copied(replica, OF_REPLICA));
    if let Some(indexes) = properties.get("GlobalSecondaryIndexes").and_then(Value::as_array) {
        let of = |index: &Value| match index {
            Value::Object(index) => copied(index, &["IndexName", "KeySchema", "Projection"]).into(),
            other => other.clone(),
        };
        table.insert("GlobalSecondaryIndexes".into(), indexes.iter().map(of).collect());
    }
    // The kind of encryption is the table's, and the key the replica's.
    if let Some(key) = replica.get("SSESpecification").and_then(|given| given.get("KMSMasterKeyId")) {
        let given = table.entry("SSESpecification").or_insert_with(|| json!({ "SSEEnabled": true, "SSEType": "KMS" }));
        given["KMSMasterKeyId"] = key.clone();
    }
    Ok(table)
}
