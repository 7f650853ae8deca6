//! Each error that the models of some services declare, by AWS's own client and its models.

use cumulet_tests::{Cloud, node_runtime, root, succeed};

/// What is built of a service, by the coverage page.
fn built(service: &str) -> String {
    let page = std::fs::read_to_string(root().join("docs/reference/coverage.md")).expect("the coverage page");
    let part = page.split(&format!("\n## {service}\n")).nth(1).expect("its part of the page");
    let line = part.lines().find_map(|line| line.strip_prefix("Built: ")).expect("what is built");
    line.trim_end_matches('.').replace(' ', "")
}

fn check(service: &str) {
    let cloud = Cloud::start();
    let script = root().join("tests/clients/declared_errors.py");
    println!(
        "{}",
        succeed(
            cloud
                .command(root().join(".venv/bin/python"))
                .arg(script)
                .args([service, &built(service)])
                .env("NODE_RUNTIME", node_runtime())
        )
    );
}

#[test]
fn sqs() {
    check("sqs");
}

#[test]
fn sns() {
    check("sns");
}

#[test]
fn events() {
    check("events");
}

#[test]
fn codedeploy() {
    check("codedeploy");
}

#[test]
fn scheduler() {
    check("scheduler");
}
