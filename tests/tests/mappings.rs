//! Event source mappings through real clients, and what they keep over kills.

use std::collections::BTreeSet;
use std::fs;

use cumulet_tests::{Cloud, eventually, python_runtime, root, sdk, succeed};
use serde_json::{Value, json};

const KILLS: usize = 50;

#[test]
fn boto3() {
    let cloud = Cloud::start();
    let script = root().join("tests/clients/mappings.py");
    succeed(cloud.command(root().join(".venv/bin/python")).arg(script).arg(python_runtime()));
}

#[test]
fn functions_that_cause_themselves_are_stopped() {
    let cloud = Cloud::start_with(&["--sdk-dir", &sdk().to_string_lossy()]);
    let script = root().join("tests/clients/loops.py");
    succeed(cloud.command(root().join(".venv/bin/python")).arg(script).arg(python_runtime()));
}

/// Partial batch responses as aws-lambda-powertools makes them; tumbling windows that end without a further record.
#[test]
fn batches_and_windows() {
    let cloud = Cloud::start_with(&["--sdk-dir", &sdk().to_string_lossy()]);
    let script = root().join("tests/clients/batches.py");
    succeed(cloud.command(root().join(".venv/bin/python")).arg(script).arg(python_runtime()));
}

fn seen(cloud: &Cloud) -> BTreeSet<String> {
    let answer = cloud.aws(&["dynamodb", "scan", "--table-name", "seen", "--consistent-read"]);
    let items = answer["Items"].as_array().cloned().unwrap_or_default();
    items.iter().filter_map(|item| item["id"]["S"].as_str()).map(str::to_owned).collect()
}

/// Failing, slow and killed functions behind queues, topics and asynchronous invocations; the script holds what was
/// acknowledged against what was handled and what is dead.
#[test]
fn what_was_acknowledged_is_handled_or_dead_over_fifty_kills() {
    let mut cloud = Cloud::start_with(&["--event-retry-seconds", "1,1"]);
    let mut script = cloud.command(root().join(".venv/bin/python"));
    script.arg(root().join("tests/clients/functions_kills.py")).arg(KILLS.to_string()).arg(python_runtime());
    script.arg(cloud.folder.path().join("data"));
    assert_eq!(cloud.kill_under(script), KILLS);
}

/// Every message and every change that was acknowledged is handled at least once, whenever the platform is killed.
#[test]
fn nothing_is_lost_over_kills() {
    let mut cloud = Cloud::start();
    let trust = json!({"Statement": [{"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}]});
    let policy = json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": ["sqs:*", "dynamodb:*"], "Resource": "*"}]});
    cloud.aws(&["iam", "create-role", "--role-name", "r", "--assume-role-policy-document", &trust.to_string()]);
    cloud.aws(&[
        "iam",
        "put-role-policy",
        "--role-name",
        "r",
        "--policy-name",
        "p",
        "--policy-document",
        &policy.to_string(),
    ]);
    for (name, stream) in [("seen", "StreamEnabled=false"), ("things", "StreamEnabled=true,StreamViewType=KEYS_ONLY")] {
        cloud.aws(&[
            "dynamodb",
            "create-table",
            "--table-name",
            name,
            "--billing-mode",
            "PAY_PER_REQUEST",
            "--key-schema",
            "AttributeName=id,KeyType=HASH",
            "--attribute-definitions",
            "AttributeName=id,AttributeType=S",
            "--stream-specification",
            stream,
        ]);
    }
    let recorder = fs::read_to_string(root().join("tests/clients/recorder.py")).expect("the function's code");
    let zip = cloud.zip(&[("recorder.py", &recorder)]);
    cloud.aws(&[
        "lambda",
        "create-function",
        "--function-name",
        "f",
        "--runtime",
        &python_runtime(),
        "--timeout",
        "5",
        "--handler",
        "recorder.handler",
        "--role",
        "arn:aws:iam::000000000000:role/r",
        "--zip-file",
        &format!("fileb://{}", zip.display()),
    ]);
    let made = cloud.aws(&["sqs", "create-queue", "--queue-name", "q", "--attributes", "VisibilityTimeout=5"]);
    let url = made["QueueUrl"].as_str().expect("a URL").to_owned();
    let described = cloud.aws(&["dynamodb", "describe-table", "--table-name", "things"]);
    let stream = described["Table"]["LatestStreamArn"].as_str().expect("a stream").to_owned();
    let map = |source: &str, more: &[&str]| {
        let base = ["lambda", "create-event-source-mapping", "--function-name", "f", "--event-source-arn", source];
        cloud.aws(&[&base[..], more].concat());
    };
    map("arn:aws:sqs:us-east-1:000000000000:q", &[]);
    map(&stream, &["--starting-position", "TRIM_HORIZON"]);
    let mut sent = BTreeSet::new();
    for round in 0..6 {
        let entries: Vec<Value> =
            (0..10).map(|i| json!({"Id": i.to_string(), "MessageBody": format!("m{round}-{i}")})).collect();
        cloud.aws(&["sqs", "send-message-batch", "--queue-url", &url, "--entries", &json!(entries).to_string()]);
        sent.extend((0..10).map(|i| format!("m{round}-{i}")));
        let puts: Vec<Value> =
            (0..10).map(|i| json!({"PutRequest": {"Item": {"id": {"S": format!("t{round}-{i}")}}}})).collect();
        cloud.aws(&["dynamodb", "batch-write-item", "--request-items", &json!({"things": puts}).to_string()]);
        sent.extend((0..10).map(|i| format!("t{round}-{i}")));
        cloud.kill_and_restart();
    }
    eventually("all is handled", || {
        let seen: BTreeSet<String> =
            seen(&cloud).iter().map(|id| id.split('/').next().unwrap_or_default().to_owned()).collect();
        sent.is_subset(&seen)
    });
}
