//! Functions with the libraries that people write functions with, deployed as they are.

use cumulet_tests::{Cloud, node_runtime, python_runtime, root, sdk, succeed};

fn deploy(language: &str) {
    let sdk = sdk();
    let cloud = Cloud::start_with(&["--sdk-dir", &sdk.to_string_lossy()]);
    let mut python = cloud.command(root().join(".venv/bin/python"));
    python.arg(root().join("tests/clients/libraries.py")).arg(language);
    succeed(python.env("RUNTIME", python_runtime()).env("NODE_RUNTIME", node_runtime()));
}

#[test]
fn powertools_middy_and_express() {
    deploy("javascript");
}

#[test]
fn powertools_and_fastapi() {
    deploy("python");
}
