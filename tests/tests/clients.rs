//! The other clients: boto3, the AWS SDK for JavaScript, and the official runtime client on a custom runtime.

use cumulet_tests::{Cloud, node_runtime, python_runtime, root, succeed};

#[test]
fn boto3() {
    let cloud = Cloud::start();
    let mut python = cloud.command(root().join(".venv/bin/python"));
    succeed(python.arg(root().join("tests/clients/flow.py")).env("RUNTIME", python_runtime()));
}

#[test]
fn aws_sdk_for_javascript() {
    let cloud = Cloud::start();
    let mut node = cloud.command("node");
    succeed(node.arg("flow.mjs").current_dir(root().join("tests/clients/node")).env("RUNTIME", node_runtime()));
}
