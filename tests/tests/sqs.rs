//! SQS through its real clients, and what it keeps over a kill.

use std::collections::BTreeSet;

use cumulet_tests::{Cloud, SmallDisk, root, succeed};

#[test]
fn boto3() {
    let cloud = Cloud::start();
    succeed(cloud.command(root().join(".venv/bin/python")).arg(root().join("tests/clients/sqs.py")));
}

#[test]
fn fifo_queues_and_move_tasks() {
    let cloud = Cloud::start();
    succeed(cloud.command(root().join(".venv/bin/python")).arg(root().join("tests/clients/sqs_fifo.py")));
}

#[test]
fn the_older_protocol() {
    let cloud = Cloud::start();
    succeed(cloud.command(root().join(".venv-older/bin/python")).arg(root().join("tests/clients/older/sqs.py")));
}

#[test]
fn celery() {
    let cloud = Cloud::start();
    succeed(cloud.command(root().join(".venv/bin/python")).arg(root().join("tests/clients/celery_worker.py")));
}

#[test]
fn aws_command_line() {
    let cloud = Cloud::start();
    let dead = "arn:aws:sqs:us-east-1:000000000000:dead";
    cloud.aws(&["sqs", "create-queue", "--queue-name", "dead"]);
    let policy = format!(r#"{{"RedrivePolicy":"{{\"deadLetterTargetArn\":\"{dead}\",\"maxReceiveCount\":1}}"}}"#);
    let made = cloud.aws(&["sqs", "create-queue", "--queue-name", "q", "--attributes", &policy]);
    let url = made["QueueUrl"].as_str().expect("a URL");
    cloud.aws(&["sqs", "send-message", "--queue-url", url, "--message-body", "m"]);
    for _ in 0..2 {
        let receive = ["sqs", "receive-message", "--queue-url", url, "--visibility-timeout", "0"];
        cloud.aws(&receive);
    }
    cloud.aws(&["sqs", "start-message-move-task", "--source-arn", dead]);
    let back = cloud.aws(&["sqs", "receive-message", "--queue-url", url, "--wait-time-seconds", "20"]);
    assert_eq!(back["Messages"][0]["Body"], "m");
    let error = cloud.aws_error(&["sqs", "get-queue-url", "--queue-name", "none"]);
    assert!(error.contains("AWS.SimpleQueueService.NonExistentQueue"), "{error}");
}

#[test]
fn what_was_acknowledged_outlives_a_kill() {
    let mut cloud = Cloud::start();
    let made = cloud.aws(&["sqs", "create-queue", "--queue-name", "q"]);
    let url = made["QueueUrl"].as_str().expect("a URL").to_owned();
    let bodies: BTreeSet<String> = (0..5).map(|i| format!("m{i}")).collect();
    for body in &bodies {
        cloud.aws(&["sqs", "send-message", "--queue-url", &url, "--message-body", body]);
    }
    // Taken before the kill: its receipt holds after it.
    let taken = cloud.aws(&["sqs", "receive-message", "--queue-url", &url, "--visibility-timeout", "3600"]);
    cloud.kill_and_restart();
    let handle = taken["Messages"][0]["ReceiptHandle"].as_str().expect("a handle");
    cloud.aws(&["sqs", "delete-message", "--queue-url", &url, "--receipt-handle", handle]);
    let mut seen = BTreeSet::from([taken["Messages"][0]["Body"].as_str().unwrap_or_default().to_owned()]);
    while seen.len() < bodies.len() {
        let more = cloud.aws(&["sqs", "receive-message", "--queue-url", &url, "--max-number-of-messages", "10"]);
        let list = more["Messages"].as_array().expect("what was acknowledged is there").clone();
        seen.extend(list.iter().filter_map(|m| m["Body"].as_str()).map(str::to_owned));
    }
    assert_eq!(seen, bodies);
}

/// What was acknowledged before the disk was full is there after it has room again, over a kill as well; nothing else is.
#[test]
fn a_full_disk_loses_nothing_that_was_acknowledged() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let Some(disk) = SmallDisk::at(folder.path().join("data"), 12) else {
        println!("not root, or without mounts: there is no small disk to fill");
        return;
    };
    let mut cloud = Cloud::start_in(folder, &[]);
    let made = cloud.aws(&["sqs", "create-queue", "--queue-name", "q"]);
    let url = made["QueueUrl"].as_str().expect("a URL").to_owned();
    let mut script = cloud.command(root().join(".venv/bin/python"));
    script.arg(root().join("tests/clients/full_disk.py")).args(["fill", &url]);
    let acknowledged: usize = succeed(&mut script).trim().parse().expect("how many were acknowledged");
    assert!(acknowledged > 5, "the disk holds some: {acknowledged}");
    disk.grow(64);
    let sent = ["sqs", "send-message", "--queue-url", &url, "--message-body", "after"];
    cloud.aws(&sent);
    cloud.kill_and_restart();
    let mut script = cloud.command(root().join(".venv/bin/python"));
    let count = acknowledged.to_string();
    script.arg(root().join("tests/clients/full_disk.py")).args(["check", &url, &count]);
    succeed(&mut script);
    drop(cloud);
}
