//! Extensions of functions: in Python and JavaScript, with AWS's crate for Rust, and as AWS's web adapter is one.

use cumulet_tests::{Cloud, node_runtime, program, python_runtime, root, succeed};

fn boto3(part: &str) {
    let cloud = Cloud::start();
    let mut python = cloud.command(root().join(".venv/bin/python"));
    python.arg(root().join("tests/clients/extensions.py")).arg(part);
    python.env("RUNTIME", python_runtime()).env("NODE_RUNTIME", node_runtime());
    succeed(python.env("PROGRAM", program().with_file_name("cumulet-test-function")));
}

#[test]
fn external_extensions_and_the_telemetry_api() {
    boto3("beside");
}

#[test]
fn the_logs_api() {
    boto3("older");
}

#[test]
fn extensions_that_fail() {
    boto3("failures");
}

#[test]
fn extensions_within_the_runtime_are_started_not_cloned() {
    boto3("within");
}

#[test]
fn an_extension_with_the_crate_lambda_extension() {
    boto3("rust");
}

#[test]
fn a_plain_web_server_behind_an_adapter() {
    boto3("web");
}

#[test]
fn the_crate_lambda_http_behind_a_function_url() {
    boto3("crate_http");
}
