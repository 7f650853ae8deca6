//! AWS's SDKs where Lambda has them: functions that bring none run as they are.

use cumulet_tests::{Cloud, node_runtime, python_runtime, sdk};
use serde_json::json;

const PYTHON: &str = "import boto3
table = boto3.client('dynamodb')
def handler(event, context):
    table.put_item(TableName='seen', Item={'id': {'S': event['id']}})
    return boto3.__version__
";

const COMMON_JS: &str = "const { DynamoDBClient, GetItemCommand } = require('@aws-sdk/client-dynamodb');
const client = new DynamoDBClient({});
exports.handler = async (event) => {
  const found = await client.send(new GetItemCommand({ TableName: 'seen', Key: { id: { S: event.id } } }));
  return found.Item.id.S;
};";

const SENDER: &str = "import boto3
from urllib.parse import urlsplit
def handler(event, context):
    queues = boto3.client('sqs', endpoint_url='http://' + urlsplit(event['url']).netloc)
    return queues.send_message(QueueUrl=event['url'], MessageBody='from inside')['MessageId']
";

const MODULE: &str = "import { DynamoDBDocumentClient, GetCommand } from '@aws-sdk/lib-dynamodb';
import { DynamoDBClient } from '@aws-sdk/client-dynamodb';
const client = DynamoDBDocumentClient.from(new DynamoDBClient({}));
export const handler = async (event) => (await client.send(new GetCommand({ TableName: 'seen', Key: event }))).Item.id;";

#[test]
fn functions_need_not_bring_an_sdk() {
    let folder = sdk();
    let cloud = Cloud::start_with(&["--sdk-dir", &folder.to_string_lossy()]);
    let trust = json!({"Statement": [{"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}]});
    cloud.aws(&["iam", "create-role", "--role-name", "test", "--assume-role-policy-document", &trust.to_string()]);
    let full = "arn:aws:iam::aws:policy/AmazonDynamoDBFullAccess";
    cloud.aws(&["iam", "attach-role-policy", "--role-name", "test", "--policy-arn", full]);
    let attributes = ["--attribute-definitions", "AttributeName=id,AttributeType=S"];
    let key = ["--key-schema", "AttributeName=id,KeyType=HASH", "--billing-mode", "PAY_PER_REQUEST"];
    cloud.aws(&[&["dynamodb", "create-table", "--table-name", "seen"][..], &attributes, &key].concat());
    let long = ["--timeout", "30", "--memory-size", "512"];
    cloud.create_function_with("writer", &python_runtime(), "index.handler", &[("index.py", PYTHON)], &long);
    cloud.create_function_with("reader", &node_runtime(), "index.handler", &[("index.js", COMMON_JS)], &long);
    cloud.create_function_with("module", &node_runtime(), "index.handler", &[("index.mjs", MODULE)], &long);
    for round in ["first", "second"] {
        let event = json!({"id": round}).to_string();
        let (_, version) = cloud.invoke("writer", &event);
        assert!(version.as_str().is_some_and(|version| version.starts_with("1.")), "{version}");
        assert_eq!(cloud.invoke("reader", &event).1, round);
        assert_eq!(cloud.invoke("module", &event).1, round);
    }
}

/// The address of a queue as clients outside were told it, whatever port the cloud listens on.
#[test]
fn the_address_of_a_queue_is_good_inside_as_well() {
    let folder = sdk();
    let cloud = Cloud::start_with(&["--sdk-dir", &folder.to_string_lossy()]);
    let trust = json!({"Statement": [{"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}]});
    cloud.aws(&["iam", "create-role", "--role-name", "test", "--assume-role-policy-document", &trust.to_string()]);
    let full = "arn:aws:iam::aws:policy/AmazonSQSFullAccess";
    cloud.aws(&["iam", "attach-role-policy", "--role-name", "test", "--policy-arn", full]);
    let url =
        cloud.aws(&["sqs", "create-queue", "--queue-name", "q"])["QueueUrl"].as_str().unwrap_or_default().to_owned();
    assert!(url.starts_with("http://127.0.0.1:") && !url.contains(":4566"), "{url}");
    let long = ["--timeout", "30", "--memory-size", "512"];
    cloud.create_function_with("sender", &python_runtime(), "index.handler", &[("index.py", SENDER)], &long);
    for host in ["127.0.0.1", "localhost"] {
        let event = json!({"url": url.replace("127.0.0.1", host)}).to_string();
        let (_, id) = cloud.invoke("sender", &event);
        assert!(id.is_string(), "{id}");
        let got = cloud.aws(&["sqs", "receive-message", "--queue-url", &url, "--wait-time-seconds", "10"]);
        assert_eq!((&got["Messages"][0]["MessageId"], &got["Messages"][0]["Body"]), (&id, &json!("from inside")));
    }
}
