//! Stacks through boto3: what they wait for, whom they tell, and how they shift traffic.

use cumulet_tests::{Cloud, node_runtime, root, succeed};

#[test]
fn traffic_is_shifted_and_taken_back_across_a_kill() {
    assert_eq!(killed_under("shifts.py"), 1);
}

#[test]
fn what_stacks_wait_for_and_tell_outlives_kills() {
    assert_eq!(killed_under("stacks_kill.py"), 3);
}

/// How often a script has the cloud killed.
fn killed_under(script: &str) -> usize {
    let mut cloud = Cloud::start();
    let mut command = cloud.command(root().join(".venv/bin/python"));
    command.arg(root().join("tests/clients").join(script)).arg(node_runtime());
    cloud.kill_under(command)
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

#[test]
fn what_is_there_is_taken_into_stacks() {
    let cloud = Cloud::start();
    run(&cloud, "imports.py");
}

fn run(cloud: &Cloud, script: &str) {
    let script = root().join("tests/clients").join(script);
    succeed(cloud.command(root().join(".venv/bin/python")).arg(script).env("NODE_RUNTIME", node_runtime()));
}
