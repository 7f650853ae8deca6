//! CloudWatch through its real clients, from a template, and over a kill.

use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use cumulet_tests::{Cloud, eventually, python_runtime, root, succeed};
use serde_json::{Value, json};

#[test]
fn boto3_in_every_protocol() {
    let cloud = Cloud::start();
    let mut script = cloud.command(root().join(".venv/bin/python"));
    succeed(script.arg(root().join("tests/clients/cloudwatch.py")).arg(python_runtime()));
}

#[test]
fn the_sdk_for_javascript() {
    let cloud = Cloud::start();
    succeed(cloud.command("node").arg(root().join("tests/clients/node/cloudwatch.mjs")));
}

/// Milliseconds since 1970 of the middle of the minute before this one.
fn last_minute_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970");
    (now.as_secs() / 60 * 60 - 30) * 1000
}

fn state(cloud: &Cloud, name: &str) -> Value {
    let kinds = ["--alarm-types", "MetricAlarm", "CompositeAlarm"];
    let shown = cloud.aws(&[&["cloudwatch", "describe-alarms", "--alarm-names", name][..], &kinds].concat());
    let one = if shown["MetricAlarms"][0].is_null() { &shown["CompositeAlarms"][0] } else { &shown["MetricAlarms"][0] };
    one["StateValue"].clone()
}

/// An alarm on a metric filter, made by CloudFormation: lines of a minute that has ended set it off, what was measured and
/// what state it is in survive a kill, and the stack leaves nothing behind.
#[test]
fn a_stack_of_a_filter_and_an_alarm() {
    let mut cloud = Cloud::start();
    let body = format!("file://{}", root().join("tests/clients/cloudwatch_stack.yaml").display());
    cloud.aws(&["cloudformation", "create-stack", "--stack-name", "s", "--template-body", &body]);
    let status = |cloud: &Cloud| {
        let stack = cloud.aws(&["cloudformation", "describe-stacks", "--stack-name", "s"]);
        stack["Stacks"][0]["StackStatus"].as_str().unwrap_or_default().to_owned()
    };
    eventually("the stack stands", || {
        let now = status(&cloud);
        assert!(!now.contains("ROLLBACK"), "{now}");
        now == "CREATE_COMPLETE"
    });
    cloud.aws(&["logs", "create-log-stream", "--log-group-name", "watched", "--log-stream-name", "s"]);
    let at = last_minute_ms();
    let lines = json!([{"timestamp": at, "message": "ERROR one"}, {"timestamp": at + 1, "message": "fine"}, {"timestamp": at + 2, "message": "ERROR two"}]);
    let put = ["logs", "put-log-events", "--log-group-name", "watched", "--log-stream-name", "s", "--log-events"];
    cloud.aws(&[&put[..], &[&lines.to_string()]].concat());
    eventually("the alarm goes off", || state(&cloud, "errors") == "ALARM");
    eventually("and the one over it", || state(&cloud, "composite") == "ALARM");
    let url = cloud.aws(&["sqs", "get-queue-url", "--queue-name", "heard"])["QueueUrl"].clone();
    let receive = ["sqs", "receive-message", "--wait-time-seconds", "20", "--queue-url"];
    let told = cloud.aws(&[&receive[..], &[url.as_str().unwrap_or_default()]].concat());
    let notice: Value =
        serde_json::from_str(told["Messages"][0]["Body"].as_str().unwrap_or_default()).expect("a notice");
    assert_eq!(notice["Subject"], "ALARM: \"errors\" in us-east-1");
    cloud.kill_and_restart();
    assert_eq!(state(&cloud, "composite"), "ALARM");
    let history = cloud.aws(&[
        "cloudwatch",
        "describe-alarm-history",
        "--alarm-name",
        "errors",
        "--history-item-type",
        "StateUpdate",
    ]);
    assert_eq!(history["AlarmHistoryItems"][0]["HistorySummary"], "Alarm updated from INSUFFICIENT_DATA to ALARM");
    let stat = json!([{"Id": "m", "MetricStat": {"Metric": {"Namespace": "Stack", "MetricName": "s-errors"}, "Period": 60, "Stat": "Sum"}}]);
    let times = [at / 1000 - 600, at / 1000 + 600].map(|s| s.to_string());
    let ask =
        ["cloudwatch", "get-metric-data", "--start-time", &times[0], "--end-time", &times[1], "--metric-data-queries"];
    let found = cloud.aws(&[&ask[..], &[&stat.to_string()]].concat());
    assert_eq!(found["MetricDataResults"][0]["Values"], json!([2.0]));
    cloud.aws(&["cloudformation", "delete-stack", "--stack-name", "s"]);
    eventually("nothing is left", || {
        let alarms = cloud.aws(&["cloudwatch", "describe-alarms", "--alarm-types", "MetricAlarm", "CompositeAlarm"]);
        let groups = cloud.aws(&["logs", "describe-log-groups", "--log-group-name-prefix", "watched"]);
        alarms["MetricAlarms"] == json!([])
            && alarms["CompositeAlarms"] == json!([])
            && groups["logGroups"] == json!([])
    });
}

/// Every datum that was acknowledged is counted once after kills in the middle of writing.
#[test]
fn what_was_acknowledged_is_counted_over_kills() {
    let mut cloud = Cloud::start();
    let at = last_minute_ms() / 1000;
    let times = [(at - 600).to_string(), (at + 600).to_string()];
    let mut acknowledged = 0;
    for _ in 0..3 {
        let mut writers: Vec<_> = (0..4).map(|_| writer(&cloud, at)).collect();
        // The kill falls between the writers' calls, each of which answers by its own.
        for writer in &mut writers {
            acknowledged += i64::from(writer.wait().expect("the command line ends").success());
        }
        cloud.kill_and_restart();
    }
    let ask = [
        "cloudwatch",
        "get-metric-statistics",
        "--namespace",
        "Kept",
        "--metric-name",
        "m",
        "--period",
        "60",
        "--statistics",
        "Sum",
        "--start-time",
        &times[0],
        "--end-time",
        &times[1],
    ];
    assert_eq!(cloud.aws(&ask)["Datapoints"][0]["Sum"], json!(acknowledged as f64));
    assert_eq!(acknowledged, 12);
}

fn writer(cloud: &Cloud, at_s: u64) -> std::process::Child {
    let mut command: Command = cloud.command(root().join(".venv/bin/aws"));
    command.args(["cloudwatch", "put-metric-data", "--namespace", "Kept", "--metric-name", "m", "--value", "1"]);
    command.args(["--timestamp", &at_s.to_string()]).spawn().expect("the command line starts")
}
