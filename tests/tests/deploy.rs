//! Tools that deploy, unmodified, and CloudFormation through its real clients.

use std::path::PathBuf;

use cumulet_tests::{Cloud, eventually, python_runtime, root, succeed};
use serde_json::{Value, json};

fn tool(name: &str) -> PathBuf {
    root().join(".venv-deploy/bin").join(name)
}

#[test]
fn sam_templates_become_what_the_translator_makes_of_them() {
    let cloud = Cloud::start();
    succeed(cloud.command(tool("python")).arg(root().join("tests/clients/deploy/sam_transform.py")));
}

/// SAM's command line: deploys, sees that nothing has changed, updates, and removes all of it again.
#[test]
fn sam_deploys_updates_and_removes() {
    let cloud = Cloud::start();
    let app = root().join("tests/clients/deploy/app");
    let sam = |arguments: &[&str]| {
        succeed(cloud.command(tool("sam")).args(arguments).env("SAM_CLI_TELEMETRY", "0").current_dir(&app))
    };
    let runtime = format!("Runtime={}", python_runtime());
    let deploy = |more: &[&str]| {
        let fixed = ["deploy", "--stack-name", "shop", "--resolve-s3", "--capabilities", "CAPABILITY_IAM"];
        let asks = ["--no-confirm-changeset", "--no-fail-on-empty-changeset", "--parameter-overrides", &runtime];
        sam(&[&fixed[..], &asks, more].concat())
    };
    let output = |name: &str| {
        let found = cloud.aws(&["cloudformation", "describe-stacks", "--stack-name", "shop"]);
        let list = found["Stacks"][0]["Outputs"].as_array().cloned().unwrap_or_default();
        let one = list.iter().find(|output| output["OutputKey"] == name).map(|output| output["OutputValue"].clone());
        one.and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_else(|| panic!("no {name} in {list:?}"))
    };
    let greeting = || {
        let url = output("Api").replace("https://", "http://");
        serde_json::from_slice::<Value>(&cloud.curl(&[], &url).stdout).unwrap_or_default()["greeting"].clone()
    };
    assert!(deploy(&[]).contains("Successfully created/updated stack"));
    assert_eq!(greeting(), "hello");
    assert!(deploy(&[]).contains("No changes to deploy"));
    deploy(&["Greeting=bye"]);
    let (function, bucket) = (output("Function"), output("Uploads"));
    let configuration = cloud.aws(&["lambda", "get-function-configuration", "--function-name", &function]);
    assert_eq!(configuration["Environment"]["Variables"]["GREETING"], "bye");
    // The alias keeps its version: SAM publishes another only for other code.
    assert_eq!(greeting(), "hello");
    let file = cloud.folder.path().join("file.txt").to_string_lossy().into_owned();
    std::fs::write(&file, "x").expect("writing a file");
    cloud.aws_output(&["s3api", "put-object", "--bucket", &bucket, "--key", "file.txt", "--body", &file]);
    let group = format!("/aws/lambda/{function}");
    eventually("the upload ran the function", || {
        let ran = cloud.aws_output(&["logs", "filter-log-events", "--log-group-name", &group]);
        String::from_utf8_lossy(&ran.stdout).contains("uploaded file.txt")
    });
    cloud.aws_output(&["s3api", "delete-object", "--bucket", &bucket, "--key", "file.txt"]);
    sam(&["delete", "--stack-name", "shop", "--no-prompts"]);
    assert_eq!(cloud.aws(&["lambda", "list-functions"])["Functions"], json!([]));
    assert_eq!(cloud.aws(&["dynamodb", "list-tables"])["TableNames"], json!([]));
}
