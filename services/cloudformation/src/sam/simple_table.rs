//! `AWS::Serverless::SimpleTable`: a table with one key and nothing else; and the policies of functions that use tables
//! (<https://docs.aws.amazon.com/serverless-application-model/latest/developerguide/serverless-policy-template-list.html>).

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

pub fn transform(logical_id: &str, of: &Value, properties: &Map<String, Value>, out: &mut Out) -> Result<(), Error> {
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
        table["Tags"] = tag_list(properties.get("Tags"), "dynamodb:createdBy");
    }
    out.add(logical_id, resource("AWS::DynamoDB::Table", of, table))
}

const READ: &[&str] = &["GetItem", "Scan", "Query", "BatchGetItem", "DescribeTable"];
const WRITE: &[&str] = &["PutItem", "UpdateItem", "BatchWriteItem"];
const CRUD: &[&str] = &[
    "GetItem",
    "DeleteItem",
    "PutItem",
    "Scan",
    "Query",
    "UpdateItem",
    "BatchWriteItem",
    "BatchGetItem",
    "DescribeTable",
    "ConditionCheckItem",
];

/// The document of a policy template, `{DynamoDBCrudPolicy: {TableName: …}}`; `None` for any other.
pub fn policy(map: &Map<String, Value>) -> Option<Value> {
    let (name, given) = map.iter().next().filter(|_| map.len() == 1)?;
    let actions = match name.as_str() {
        "DynamoDBReadPolicy" => READ,
        "DynamoDBWritePolicy" => WRITE,
        "DynamoDBCrudPolicy" => CRUD,
        _ => return None,
    };
    let actions: Vec<String> = actions.iter().map(|action| format!("dynamodb:{action}")).collect();
    let resource = |tail: &str| {
        let arn =
            format!("arn:${{AWS::Partition}}:dynamodb:${{AWS::Region}}:${{AWS::AccountId}}:table/${{tableName}}{tail}");
        json!({ "Fn::Sub": [arn, { "tableName": given.get("TableName")? }] }).into()
    };
    let resources: Option<Vec<Value>> = ["", "/index/*"].into_iter().map(resource).collect();
    Some(json!({
        "Version": "2012-10-17",
        "Statement": [{ "Effect": "Allow", "Action": actions, "Resource": resources? }],
    }))
}
