//! Stacks through boto3: what they wait for, whom they tell, and how they shift traffic.

use cumulet_tests::{Cloud, node_runtime, root, succeed};

#[test]
fn traffic_is_shifted_and_taken_back_across_a_kill() {
    let mut cloud = Cloud::start();
    let mut script = cloud.command(root().join(".venv/bin/python"));
    script.arg(root().join("tests/clients/shifts.py")).arg(node_runtime());
    assert_eq!(cloud.kill_under(script), 1);
}

#[test]
fn stacks_wait_and_tell() {
    let cloud = Cloud::start();
    run(&cloud, "stacks.py");
}

#[test]
fn drift_is_found() {
    let cloud = Cloud::start();
    run(&cloud, "drift.py");
}

#[test]
fn templates_and_what_is_wrong_with_them() {
    let cloud = Cloud::start();
    run(&cloud, "templates.py");
}

fn run(cloud: &Cloud, script: &str) {
    let script = root().join("tests/clients").join(script);
    succeed(cloud.command(root().join(".venv/bin/python")).arg(script).env("NODE_RUNTIME", node_runtime()));
}
