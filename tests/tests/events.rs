//! EventBridge through its real clients, and what it keeps over kills.

use cumulet_tests::{Cloud, root, succeed};

#[test]
fn boto3() {
    let cloud = Cloud::start();
    succeed(cloud.command(root().join(".venv/bin/python")).arg(root().join("tests/clients/events.py")));
}
