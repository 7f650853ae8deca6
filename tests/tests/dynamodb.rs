//! DynamoDB through its real clients, and what it keeps over a kill.

use cumulet_tests::{Cloud, eventually, kills, root, succeed};

#[test]
fn boto3() {
    let cloud = Cloud::start();
    succeed(cloud.command(root().join(".venv/bin/python")).arg(root().join("tests/clients/dynamodb.py")));
}

#[test]
fn partiql() {
    let cloud = Cloud::start();
    succeed(cloud.command(root().join(".venv/bin/python")).arg(root().join("tests/clients/partiql.py")));
}

/// The script holds what was acknowledged against tables, indexes and streams after each kill.
#[test]
fn what_was_acknowledged_outlives_fifty_kills() {
    let mut cloud = Cloud::start();
    let mut script = cloud.command(root().join(".venv/bin/python"));
    script.arg(root().join("tests/clients/dynamodb_kills.py")).arg(kills().to_string());
    assert_eq!(cloud.kill_under(script), kills());
}

/// Each error that AWS declares for an operation is produced, or it is said why it cannot happen.
#[test]
fn declared_errors() {
    let cloud = Cloud::start();
    succeed(cloud.command(root().join(".venv/bin/python")).arg(root().join("tests/clients/dynamodb_errors.py")));
}

#[test]
fn a_data_model_of_nosql_workbench() {
    let cloud = Cloud::start();
    succeed(cloud.command(root().join(".venv/bin/python")).arg(root().join("tests/clients/workbench.py")));
}

#[test]
fn libraries_for_python() {
    let cloud = Cloud::start();
    let mut python = cloud.command(root().join(".venv/bin/python"));
    let python = python.env("POWERTOOLS_SERVICE_NAME", "shop").env("AWS_LAMBDA_FUNCTION_NAME", "pay");
    succeed(python.arg(root().join("tests/clients/dynamodb_libraries.py")));
}

#[test]
fn libraries_for_javascript() {
    let cloud = Cloud::start();
    succeed(cloud.command("node").arg("dynamodb.mjs").current_dir(root().join("tests/clients/node")));
}

#[test]
fn aws_command_line() {
    let cloud = Cloud::start();
    let create = "dynamodb create-table --table-name t-1 --billing-mode PAY_PER_REQUEST --attribute-definitions \
                  AttributeName=id,AttributeType=S --key-schema AttributeName=id,KeyType=HASH";
    cloud.aws(&create.split_whitespace().collect::<Vec<_>>());
    cloud.aws(&["dynamodb", "wait", "table-exists", "--table-name", "t-1"]);
    let item = r#"{"id": {"S": "a"}, "n": {"N": "1"}}"#;
    cloud.aws(&["dynamodb", "put-item", "--table-name", "t-1", "--item", item]);
    let got = cloud.aws(&["dynamodb", "get-item", "--table-name", "t-1", "--key", r#"{"id": {"S": "a"}}"#]);
    assert_eq!(got["Item"]["n"]["N"], "1");
    eventually("the put is on the bill", || {
        let bill = cloud.cumulet(&["--output", "json", "bill"]).stdout;
        let bill: serde_json::Value = serde_json::from_slice(&bill).unwrap_or_default();
        let usage = bill["usage"].as_array().cloned().unwrap_or_default();
        usage.iter().any(|row| {
            row["resource"] == "t-1"
                && row["unit"] == "write-request-units"
                && row["quantity"] == 1.0
                && row["total"].is_f64()
        })
    });
    let found = cloud.aws(&["dynamodb", "execute-statement", "--statement", "SELECT n FROM \"t-1\" WHERE id = 'a'"]);
    assert_eq!(found["Items"][0]["n"]["N"], "1");
    let refused = cloud.aws_error(&["dynamodb", "describe-table", "--table-name", "absent"]);
    assert!(refused.contains("ResourceNotFoundException"), "{refused}");
    assert_eq!(cloud.aws(&["dynamodbstreams", "list-streams"])["Streams"], serde_json::json!([]));
}

const TEMPLATE: &str = r#"
AWSTemplateFormatVersion: "2010-09-09"
Transform: AWS::Serverless-2016-10-31
Resources:
  Simple:
    Type: AWS::Serverless::SimpleTable
    Properties:
      TableName: simple
  Orders:
    Type: AWS::DynamoDB::Table
    Properties:
      TableName: orders
      BillingMode: PAY_PER_REQUEST
      AttributeDefinitions:
        - {AttributeName: pk, AttributeType: S}
        - {AttributeName: kind, AttributeType: S}
      KeySchema: [{AttributeName: pk, KeyType: HASH}]
      GlobalSecondaryIndexes:
        - IndexName: INDEX
          KeySchema: [{AttributeName: kind, KeyType: HASH}]
          Projection: {ProjectionType: ALL}
      StreamSpecification: {StreamViewType: NEW_IMAGE}
      TimeToLiveSpecification: {AttributeName: at, Enabled: true}
      PointInTimeRecoverySpecification: {PointInTimeRecoveryEnabled: "true"}
      Tags: [{Key: team, Value: VALUE}]
Outputs:
  Stream:
    Value: !GetAtt Orders.StreamArn
  Arn:
    Value: !GetAtt Orders.Arn
"#;

#[test]
fn cloudformation_makes_changes_and_deletes_tables() {
    let cloud = Cloud::start();
    let folder = cloud.folder.path().join("shop");
    std::fs::create_dir(&folder).expect("a folder");
    let deploy = |index: &str, value: &str| {
        let text = TEMPLATE.replace("INDEX", index).replace("VALUE", value);
        std::fs::write(folder.join("template.yaml"), text).expect("writing the template");
        let deployed = cloud.cumulet(&["deploy", &folder.to_string_lossy()]);
        assert!(deployed.status.success(), "{}", String::from_utf8_lossy(&deployed.stderr));
        cloud.aws(&["dynamodb", "describe-table", "--table-name", "orders"])["Table"].clone()
    };
    let table = deploy("by-kind", "a");
    let arn = table["TableArn"].as_str().expect("an ARN").to_owned();
    assert_eq!(table["StreamSpecification"]["StreamViewType"], "NEW_IMAGE");
    let simple = cloud.aws(&["dynamodb", "describe-table", "--table-name", "simple"]);
    assert_eq!(simple["Table"]["KeySchema"][0]["AttributeName"], "id");
    let ttl = cloud.aws(&["dynamodb", "describe-time-to-live", "--table-name", "orders"]);
    assert_eq!(ttl["TimeToLiveDescription"]["TimeToLiveStatus"], "ENABLED");
    let item = r#"{"pk": {"S": "a"}, "kind": {"S": "k"}}"#;
    cloud.aws(&["dynamodb", "put-item", "--table-name", "orders", "--item", item]);
    // The index is another, the table and its items are the same.
    let changed = deploy("by-kind-2", "b");
    assert_eq!(changed["TableId"], table["TableId"]);
    assert_eq!(changed["GlobalSecondaryIndexes"].as_array().map(Vec::len), Some(1));
    let tags = cloud.aws(&["dynamodb", "list-tags-of-resource", "--resource-arn", &arn]);
    assert!(tags["Tags"].as_array().is_some_and(|tags| tags.iter().any(|tag| tag["Value"] == "b")));
    let found = cloud.aws(&["dynamodb", "scan", "--table-name", "orders", "--index-name", "by-kind-2"]);
    assert_eq!(found["Count"], 1);
    assert!(cloud.cumulet(&["rm", "shop"]).status.success());
    assert_eq!(cloud.aws(&["dynamodb", "list-tables"])["TableNames"], serde_json::json!([]));
}
