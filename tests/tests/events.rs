//! EventBridge through its real clients, and what it keeps over kills.

use cumulet_tests::{Cloud, eventually, kills, root, succeed};

#[test]
fn boto3() {
    let cloud = Cloud::start();
    succeed(cloud.command(root().join(".venv/bin/python")).arg(root().join("tests/clients/events.py")));
}

#[test]
fn filter_patterns_of_logs() {
    let cloud = Cloud::start();
    succeed(cloud.command(root().join(".venv/bin/python")).arg(root().join("tests/clients/log_patterns.py")));
}

/// Not in any file of the store, as it was given.
#[test]
fn secrets_of_connections_are_encrypted_at_rest() {
    let mut cloud = Cloud::start();
    let parameters = r#"{"ApiKeyAuthParameters":{"ApiKeyName":"seen-name","ApiKeyValue":"never-seen-value"}}"#;
    let create = ["events", "create-connection", "--name", "c", "--authorization-type", "API_KEY", "--auth-parameters"];
    cloud.aws(&[&create[..], &[parameters]].concat());
    cloud.aws(&["events", "create-event-bus", "--name", "a-bus-that-is-seen"]);
    cloud.kill_and_restart();
    let shown = cloud.aws(&["events", "describe-connection", "--name", "c"]);
    assert_eq!(shown["AuthParameters"]["ApiKeyAuthParameters"], serde_json::json!({"ApiKeyName": "seen-name"}));
    let mut stored = Vec::new();
    let mut folders = vec![cloud.folder.path().join("data")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("the data").flatten() {
            let path = entry.path();
            match entry.file_type().expect("its type") {
                kind if kind.is_dir() => folders.push(path),
                kind if kind.is_file() => stored.extend(std::fs::read(path).expect("its content")),
                _ => {}
            }
        }
    }
    let has = |text: &str| stored.windows(text.len()).any(|window| window == text.as_bytes());
    assert!(has("a-bus-that-is-seen"), "what is not secret can be found");
    assert!(!has("never-seen-value"));
}

/// The script holds what was answered against queues, dead letters and the archive.
#[test]
fn what_was_answered_is_delivered_or_buried_over_fifty_kills() {
    let mut cloud = Cloud::start();
    let mut script = cloud.command(root().join(".venv/bin/python"));
    script.arg(root().join("tests/clients/events_kills.py")).arg(kills().to_string());
    assert_eq!(cloud.kill_under(script), kills());
}

/// By CloudFormation: made, changed in place, and gone.
#[test]
fn a_stack_of_buses_and_schedules() {
    let cloud = Cloud::start();
    let body = format!("file://{}", root().join("tests/clients/events_stack.yaml").display());
    cloud.aws(&["sqs", "create-queue", "--queue-name", "q"]);
    let deploy = |operation: &str, parameters: &[&str]| {
        let mut arguments = vec!["cloudformation", operation, "--stack-name", "s", "--template-body", &body];
        arguments.extend(["--capabilities", "CAPABILITY_IAM", "--parameters"]);
        arguments.push("ParameterKey=QueueArn,ParameterValue=arn:aws:sqs:us-east-1:000000000000:q");
        arguments.extend(parameters);
        cloud.aws(&arguments);
    };
    // The command line's own waiting looks every half a minute.
    let stands = |status: &str| {
        eventually(status, || {
            let stack = cloud.aws(&["cloudformation", "describe-stacks", "--stack-name", "s"]);
            let now = stack["Stacks"][0]["StackStatus"].as_str().unwrap_or_default().to_owned();
            assert!(!now.contains("ROLLBACK"), "{stack}");
            now == status
        });
    };
    deploy("create-stack", &[]);
    stands("CREATE_COMPLETE");
    let stack = cloud.aws(&["cloudformation", "describe-stacks", "--stack-name", "s"]);
    let outputs = stack["Stacks"][0]["Outputs"].as_array().cloned().unwrap_or_default();
    let output = |key: &str| {
        let found = outputs.iter().find(|output| output["OutputKey"] == key);
        found.and_then(|output| output["OutputValue"].as_str()).unwrap_or_default().to_owned()
    };
    let (bus, rule) =
        output("Rule").split_once('|').map(|(b, r)| (b.to_owned(), r.to_owned())).expect("a bus and a rule");
    assert_eq!(bus, "orders");
    assert!(output("RuleArn").contains(":rule/orders/s-Rule-"), "{}", output("RuleArn"));
    assert!(output("ScheduleArn").contains(":schedule/nightly/s-Schedule-"), "{}", output("ScheduleArn"));
    let targets = cloud.aws(&["events", "list-targets-by-rule", "--rule", &rule, "--event-bus-name", "orders"]);
    assert_eq!(targets["Targets"][0]["RetryPolicy"]["MaximumRetryAttempts"], 3);
    let seen = cloud.aws(&["events", "describe-event-bus", "--name", "orders"]);
    assert!(seen["Policy"].as_str().unwrap_or_default().contains("partner"));

    let changed = ["ParameterKey=State,ParameterValue=DISABLED", "ParameterKey=Retention,ParameterValue=9"];
    deploy("update-stack", &changed);
    stands("UPDATE_COMPLETE");
    let seen = cloud.aws(&["events", "describe-rule", "--name", &rule, "--event-bus-name", "orders"]);
    assert_eq!(seen["State"], "DISABLED");
    assert_eq!(cloud.aws(&["events", "describe-archive", "--archive-name", &output("Archive")])["RetentionDays"], 9);
    let schedules = cloud.aws(&["scheduler", "list-schedules", "--group-name", "nightly"]);
    assert_eq!(schedules["Schedules"][0]["State"], "DISABLED");

    cloud.aws_output(&["cloudformation", "delete-stack", "--stack-name", "s"]);
    eventually("the stack is gone", || {
        let seen = cloud.aws_output(&["cloudformation", "describe-stacks", "--stack-name", "s"]);
        String::from_utf8_lossy(&seen.stderr).contains("does not exist")
    });
    for (service, list, member) in [
        ("events", "list-event-buses", "EventBuses"),
        ("events", "list-rules", "Rules"),
        ("events", "list-archives", "Archives"),
        ("events", "list-connections", "Connections"),
        ("events", "list-api-destinations", "ApiDestinations"),
        ("scheduler", "list-schedules", "Schedules"),
    ] {
        let left = cloud.aws(&[service, list]);
        let left = left[member].as_array().cloned().unwrap_or_default();
        let is_default = |one: &serde_json::Value| one["Name"] == "default";
        assert!(left.iter().all(is_default), "{list}: {left:?}");
    }
}
