//! EventBridge Scheduler through its real clients, and the examples that timers, rules and logs make run.

use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use cumulet_tests::{Cloud, eventually, python_runtime, root, succeed};
use serde_json::{Value, json};

#[test]
fn boto3() {
    let cloud = Cloud::start();
    succeed(cloud.command(root().join(".venv/bin/python")).arg(root().join("tests/clients/scheduler.py")));
}

/// Deploys an example; answers its outputs.
fn deploy(cloud: &Cloud, example: &str, parameters: &[String]) -> Value {
    let folder = root().join("examples").join(example).to_string_lossy().into_owned();
    let runtime = format!("PythonRuntime={}", python_runtime());
    let mut arguments = vec!["--output", "json", "deploy", &folder, "--parameter", &runtime];
    for parameter in parameters {
        arguments.extend(["--parameter", parameter]);
    }
    let deployed = cloud.cumulet(&arguments);
    assert!(deployed.status.success(), "{}", String::from_utf8_lossy(&deployed.stderr));
    let answer: Value = serde_json::from_slice(&deployed.stdout).expect("what was deployed, as JSON");
    answer["outputs"].clone()
}

fn items(cloud: &Cloud, table: &Value) -> Vec<Value> {
    let table = table.as_str().expect("the table's name");
    cloud.aws(&["dynamodb", "scan", "--table-name", table])["Items"].as_array().cloned().unwrap_or_default()
}

#[test]
fn a_report_is_made_at_night_and_when_it_is_asked_for() {
    let cloud = Cloud::start();
    // A time within the last minute happens at once.
    let now = succeed(Command::new("date").args(["-u", "+%Y-%m-%dT%H:%M:%S"]));
    let at = format!("When=at({})", now.trim());
    let outputs = deploy(&cloud, "nightly", &[at, "Zone=UTC".to_owned()]);
    eventually("the night's report is there", || items(&cloud, &outputs["Table"]).len() == 1);
    let entry =
        json!([{"Source": "office", "DetailType": "report wanted", "Detail": "{\"who\": \"Ada\"}"}]).to_string();
    cloud.aws(&["events", "put-events", "--entries", &entry]);
    eventually("the report that was asked for is there", || {
        let ids: Vec<String> =
            items(&cloud, &outputs["Table"]).iter().map(|item| item["id"]["S"].to_string()).collect();
        ids.len() == 2 && ids.iter().any(|id| id.contains("asked for by Ada"))
    });
}

#[test]
fn errors_in_a_log_are_counted() {
    let cloud = Cloud::start();
    let outputs = deploy(&cloud, "logwatch", &[]);
    let group = outputs["Group"].as_str().expect("the group's name");
    let stream = ["--log-group-name", group, "--log-stream-name", "web-1"];
    cloud.aws(&[&["logs", "create-log-stream"], &stream[..]].concat());
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is past 1970").as_millis() as u64;
    let lines = ["GET / 200", "ERROR no table", "ERROR expected", "FATAL no disk"];
    let events: Vec<Value> = lines.iter().map(|line| json!({"timestamp": now, "message": line})).collect();
    let events = Value::from(events).to_string();
    cloud.aws(&[&["logs", "put-log-events", "--log-events", &events], &stream[..]].concat());
    eventually("both errors are counted", || {
        items(&cloud, &outputs["Table"]).first().is_some_and(|item| {
            item["stream"]["S"] == "web-1" && item["ids"]["SS"].as_array().is_some_and(|ids| ids.len() == 2)
        })
    });
}
