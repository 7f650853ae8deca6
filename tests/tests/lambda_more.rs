//! Functions beyond their first version, through real clients: versions, aliases, layers, streams, events that wait.

use std::process::Command;

use cumulet_tests::{Cloud, node_runtime, program, python_runtime, root, sdk, succeed};

fn boto3(cloud: &Cloud, script: &str, arguments: &[&str]) {
    let mut python = cloud.command(root().join(".venv/bin/python"));
    python.arg(root().join("tests/clients").join(script)).args(arguments);
    succeed(python.env("RUNTIME", python_runtime()));
}

#[test]
fn versions_aliases_layers_tenants_and_logs() {
    boto3(&Cloud::start(), "lambda_versions.py", &[]);
}

#[test]
fn the_sdk_for_rust() {
    let cloud = Cloud::start();
    let text = "def handler(event, context):\n    if event.get('fail'):\n        raise ValueError('no')\n    return ['one', 'two']\n";
    let zip = cloud.zip(&[("app.py", text)]);
    let program = program().with_file_name("cumulet-test-sdk");
    succeed(cloud.command(program).arg(zip).arg(python_runtime()));
}

#[test]
fn events_end_where_they_are_sent() {
    let sdk = sdk();
    let cloud = Cloud::start_with(&["--event-retry-seconds", "0,0", "--sdk-dir", &sdk.to_string_lossy()]);
    boto3(&cloud, "lambda_events.py", &[]);
}

#[test]
fn answers_come_as_they_are_written() {
    let cloud = Cloud::start();
    let mut node = cloud.command("node");
    succeed(node.arg("streaming.mjs").current_dir(root().join("tests/clients/node")).env("RUNTIME", node_runtime()));
}

/// Every event that was accepted is run, whatever happens to the platform in between.
#[test]
fn accepted_events_survive_kills() {
    const EVENTS: usize = 40;
    let mut cloud = Cloud::start_with(&["--event-retry-seconds", "0,0"]);
    boto3(&cloud, "lambda_kept.py", &["set-up"]);
    let out = cloud.folder.path().join("out").to_string_lossy().into_owned();
    for n in 0..EVENTS {
        if n % 10 == 9 {
            cloud.kill_and_restart();
        }
        let payload = format!("{{\"n\":{n}}}");
        let mut curl = Command::new("curl");
        let url = format!("{}/2015-03-31/functions/kept/invocations", cloud.endpoint);
        curl.args(["-sS", "--max-time", "20", "--aws-sigv4", "aws:amz:us-east-1:lambda", "--user", "test:test"])
            .args(["-H", "X-Amz-Invocation-Type: Event", "-d", &payload, "-o", &out, "-w", "%{http_code}", &url]);
        assert_eq!(succeed(&mut curl), "202");
    }
    cloud.kill_and_restart();
    boto3(&cloud, "lambda_kept.py", &["check", &EVENTS.to_string()]);
}
