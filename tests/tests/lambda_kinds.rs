//! Functions of other kinds than zips in Node.js and Python, and what the operator sets for all of them.

use std::process::Command;

use cumulet_tests::{Cloud, program, python_runtime, root, succeed};

fn boto3(cloud: &Cloud, arguments: &[&str]) {
    let mut python = cloud.command(root().join(".venv/bin/python"));
    python.arg(root().join("tests/clients/lambda_kinds.py")).args(arguments);
    python.env("FOLDER", cloud.folder.path());
    python.env("RUNTIME", python_runtime()).env("IMAGES", cloud.folder.path().join("images"));
    succeed(python.env("PROGRAM", program().with_file_name("cumulet-test-function")));
}

#[test]
fn container_images() {
    let images = tempfile::tempdir().expect("a folder for images");
    let cloud = Cloud::start_with(&["--images-dir", &images.path().to_string_lossy()]);
    std::os::unix::fs::symlink(images.path(), cloud.folder.path().join("images")).expect("a link to the images");
    boto3(&cloud, &["image"]);
}

#[test]
fn images_of_a_registry() {
    let folder = tempfile::tempdir().expect("a folder for images");
    let mut registry = cumulet_tests::Server::start(
        Command::new(root().join(".venv/bin/python")).arg(root().join("tests/clients/registry.py")).arg(folder.path()),
    );
    let (port, credentials) = (registry.line(), folder.path().join("credentials.json"));
    let named = format!("127.0.0.1:{port},localhost:{port}");
    let cloud = Cloud::start_with(&["--registries", &named, "--registry-credentials", &credentials.to_string_lossy()]);
    let mut python = cloud.command(root().join(".venv/bin/python"));
    python.arg(root().join("tests/clients/lambda_registry.py")).env("FOLDER", folder.path());
    python.env("REGISTRY", format!("127.0.0.1:{port}"));
    succeed(python.env("PROGRAM", program().with_file_name("cumulet-test-function")));
}

#[test]
fn files_outlive_instances_and_are_shared() {
    let mut cloud = Cloud::start();
    boto3(&cloud, &["files", "before"]);
    cloud.kill_and_restart();
    boto3(&cloud, &["files", "after"]);
}

#[test]
fn a_bootstrap_in_c() {
    boto3(&Cloud::start(), &["compiled"]);
}

#[test]
fn ruby() {
    boto3(&Cloud::start_with(&["--lenient-versions"]), &["ruby"]);
}

#[test]
fn what_the_operator_allows() {
    boto3(&Cloud::start_with(&["--timeout-seconds-max", "5000"]), &["limits"]);
}

#[test]
fn what_each_operation_refuses() {
    let cloud = Cloud::start();
    let mut python = cloud.command(root().join(".venv/bin/python"));
    succeed(python.arg(root().join("tests/clients/lambda_refusals.py")).env("RUNTIME", python_runtime()));
}
