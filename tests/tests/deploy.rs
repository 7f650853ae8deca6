//! Tools that deploy, unmodified, and CloudFormation through its real clients.

use std::path::{Path, PathBuf};
use std::process::Command;

use cumulet_tests::{Cloud, eventually, node_runtime, output, python_runtime, root, succeed};
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

/// A copy of an application, which tools may leave their files in.
fn application(name: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let from = root().join("tests/clients/deploy").join(name).join(".");
    succeed(Command::new("cp").arg("-r").arg(from).arg(folder.path()));
    folder
}

fn run_in(cloud: &Cloud, folder: &Path, program: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> String {
    let mut command = cloud.command(program);
    command.args(arguments).current_dir(folder).envs(environment.iter().copied());
    command.env("CI", "1").env("NODE_RUNTIME", node_runtime()).env("NODE_NO_WARNINGS", "1");
    command.env("SLS_TELEMETRY_DISABLED", "1").env("SLS_NOTIFICATIONS_MODE", "off");
    command.env("CDK_DISABLE_VERSION_CHECK", "1");
    let done = output(&mut command);
    let text = format!("{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert!(done.status.success(), "{} {arguments:?}: {text}", program.display());
    text
}

/// The body an API answers with.
fn body_of(cloud: &Cloud, url: &str) -> String {
    let url = url.replacen("https://", "http://", 1);
    let answer = cloud.curl(&["--fail-with-body"], &url);
    String::from_utf8_lossy(&answer.stdout).into_owned()
}

fn is_nothing_left(cloud: &Cloud) {
    for (arguments, member) in [
        (["lambda", "list-functions"], "Functions"),
        (["dynamodb", "list-tables"], "TableNames"),
        (["iam", "list-roles"], "Roles"),
        (["ssm", "describe-parameters"], "Parameters"),
        (["apigatewayv2", "get-apis"], "Items"),
    ] {
        let left = cloud.aws(&arguments);
        assert_eq!(left[member], Value::Array(Vec::new()), "{arguments:?}");
    }
}

#[test]
fn osls() {
    let cloud = Cloud::start();
    let folder = application("osls");
    let program = root().join("tests/clients/deploy/node_modules/.bin/osls");
    let osls =
        |arguments: &[&str], greeting| run_in(&cloud, folder.path(), &program, arguments, &[("GREETING", greeting)]);
    assert!(osls(&["deploy"], "hello").contains("Service deployed"));
    assert!(osls(&["deploy"], "hello").contains("No changes to deploy"));
    assert!(osls(&["deploy"], "other").contains("Service deployed"));
    assert!(osls(&["invoke", "-f", "hello"], "other").contains("other"));
    assert!(osls(&["remove"], "other").contains("removed"));
    is_nothing_left(&cloud);
    assert_eq!(cloud.aws(&["s3api", "list-buckets"])["Buckets"], Value::Array(Vec::new()));
}

#[test]
fn aws_cdk() {
    let cloud = Cloud::start();
    let folder = application("cdk");
    let program = root().join("tests/clients/deploy/node_modules/.bin/cdk");
    let modules = root().join("tests/clients/deploy/node_modules");
    let modules = modules.to_str().expect("a path in UTF-8").to_owned();
    let cdk = |arguments: &[&str], greeting: &str| {
        let environment = [
            ("GREETING", greeting),
            ("NODE_PATH", modules.as_str()),
            ("CDK_DEFAULT_ACCOUNT", "000000000000"),
            ("CDK_DEFAULT_REGION", "us-east-1"),
        ];
        run_in(&cloud, folder.path(), &program, arguments, &environment)
    };
    cdk(&["bootstrap", "aws://000000000000/us-east-1"], "hello");
    let roles = cloud.aws(&["iam", "list-roles"]);
    assert_eq!(roles["Roles"].as_array().map(Vec::len), Some(5), "{roles}");
    let deploy = ["deploy", "--require-approval", "never"];
    cdk(&deploy, "hello");
    let url = {
        let found = cloud.aws(&["cloudformation", "describe-stacks", "--stack-name", "Shop"]);
        let list = found["Stacks"][0]["Outputs"].as_array().cloned().unwrap_or_default();
        let one = list.into_iter().find(|output| output["OutputKey"] == "Url");
        format!("{}/take", one.as_ref().and_then(|one| one["OutputValue"].as_str()).expect("the API's address"))
    };
    assert_eq!(body_of(&cloud, &url), "hello");
    assert!(cdk(&deploy, "hello").contains("no changes"));
    cdk(&deploy, "other");
    assert_eq!(body_of(&cloud, &url), "other");
    cdk(&["destroy", "--force"], "other");
    assert_eq!(cloud.aws(&["lambda", "list-functions"])["Functions"], Value::Array(Vec::new()));
    assert_eq!(cloud.aws(&["dynamodb", "list-tables"])["TableNames"], Value::Array(Vec::new()));
}
