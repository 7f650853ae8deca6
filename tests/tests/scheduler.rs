//! EventBridge Scheduler through its real clients.

use cumulet_tests::{Cloud, root, succeed};

#[test]
fn boto3() {
    let cloud = Cloud::start();
    succeed(cloud.command(root().join(".venv/bin/python")).arg(root().join("tests/clients/scheduler.py")));
}
