//! EventBridge through its real clients, and what it keeps over kills.

use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;

use cumulet_tests::{Cloud, root, succeed};

const KILLS: usize = 50;

#[test]
fn boto3() {
    let cloud = Cloud::start();
    succeed(cloud.command(root().join(".venv/bin/python")).arg(root().join("tests/clients/events.py")));
}

/// The script holds what was answered against queues, dead letters and the archive.
#[test]
fn what_was_answered_is_delivered_or_buried_over_fifty_kills() {
    let mut cloud = Cloud::start();
    let mut script = cloud.command(root().join(".venv/bin/python"));
    script.arg(root().join("tests/clients/events_kills.py")).arg(KILLS.to_string());
    let mut script = script.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("starting the load");
    let mut answers = script.stdin.take().expect("its standard input is piped");
    let lines = BufReader::new(script.stdout.take().expect("its standard output is piped")).lines();
    let mut kills = 0;
    for line in lines {
        let line = line.expect("what the load says");
        if line == "kill" {
            cloud.kill_and_restart();
            kills += 1;
            writeln!(answers, "up").expect("telling the load");
        } else {
            println!("{line}");
        }
    }
    assert!(script.wait().expect("the load ends").success());
    assert_eq!(kills, KILLS);
}
