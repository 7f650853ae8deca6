//! What the tests of tools that deploy share: applications, the tools, and what is left of them.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

use crate::{Cloud, eventually, node_runtime, output, root, succeed};

/// An output of a stack.
pub fn output_of(cloud: &Cloud, stack: &str, name: &str) -> String {
    let found = cloud.aws(&["cloudformation", "describe-stacks", "--stack-name", stack]);
    let list = found["Stacks"][0]["Outputs"].as_array().cloned().unwrap_or_default();
    let one = list.iter().find(|output| output["OutputKey"] == name).map(|output| output["OutputValue"].clone());
    one.and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_else(|| panic!("no {name} in {list:?}"))
}

/// Creates or updates a stack, and waits until it is complete.
pub fn stack(cloud: &Cloud, verb: &str, name: &str, template: &Path, parameters: &[(&str, &str)]) {
    let (operation, body) = (format!("{verb}-stack"), format!("file://{}", template.display()));
    let parameters: Vec<String> =
        parameters.iter().map(|(name, value)| format!("ParameterKey={name},ParameterValue={value}")).collect();
    let mut arguments = vec!["cloudformation", &operation, "--stack-name", name, "--template-body", &body];
    arguments.extend(["--capabilities", "CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"]);
    if !parameters.is_empty() {
        arguments.push("--parameters");
        arguments.extend(parameters.iter().map(String::as_str));
    }
    cloud.aws(&arguments);
    let wanted = format!("{}_COMPLETE", verb.to_uppercase());
    let status = || cloud.aws(&["cloudformation", "describe-stacks", "--stack-name", name])["Stacks"][0].clone();
    eventually("the stack is done", || !status()["StackStatus"].to_string().contains("PROGRESS"));
    let events = || cloud.aws(&["cloudformation", "describe-stack-events", "--stack-name", name]);
    assert_eq!(status()["StackStatus"], wanted.as_str(), "{}", events());
}

/// Deletes a stack, and waits until it is gone.
pub fn no_stack(cloud: &Cloud, name: &str) {
    cloud.aws(&["cloudformation", "delete-stack", "--stack-name", name]);
    let look = ["cloudformation", "describe-stacks", "--stack-name", name];
    eventually("the stack is gone", || !cloud.aws_output(&look).status.success());
}

/// A copy of an application, which tools may leave their files in.
pub fn application(name: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let from = root().join("tests/clients/deploy").join(name).join(".");
    succeed(Command::new("cp").arg("-r").arg(from).arg(folder.path()));
    folder
}

/// Runs a tool in a folder.
fn output_in(cloud: &Cloud, folder: &Path, program: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    let mut command = cloud.command(program);
    command.args(arguments).current_dir(folder).envs(environment.iter().copied());
    command.env("CI", "1").env("NODE_RUNTIME", node_runtime()).env("NODE_NO_WARNINGS", "1");
    command.env("SLS_TELEMETRY_DISABLED", "1").env("SLS_NOTIFICATIONS_MODE", "off");
    command.env("CDK_DISABLE_VERSION_CHECK", "1");
    output(&mut command)
}

/// The same of one that succeeds; answers what it says.
pub fn run_in(
    cloud: &Cloud,
    folder: &Path,
    program: &Path,
    arguments: &[&str],
    environment: &[(&str, &str)],
) -> String {
    let done = output_in(cloud, folder, program, arguments, environment);
    said(&done, &format!("{} {arguments:?}", program.display()))
}

fn said(done: &Output, what: &str) -> String {
    let text = format!("{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert!(done.status.success(), "{what}: {text}");
    text
}

/// That no resource of the kinds that applications have is there any more.
pub fn is_nothing_left(cloud: &Cloud) {
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

/// The CDK in a folder.
pub fn cdk_output(cloud: &Cloud, folder: &Path, arguments: &[&str], greeting: &str) -> Output {
    let modules = root().join("tests/clients/deploy/node_modules");
    let environment = [
        ("GREETING", greeting),
        ("NODE_PATH", modules.to_str().expect("a path in UTF-8")),
        ("CDK_DEFAULT_ACCOUNT", "000000000000"),
        ("CDK_DEFAULT_REGION", "us-east-1"),
    ];
    output_in(cloud, folder, &modules.join(".bin/cdk"), arguments, &environment)
}

/// The same of one that succeeds; answers what it says.
pub fn cdk_in(cloud: &Cloud, folder: &Path, arguments: &[&str], greeting: &str) -> String {
    let done = cdk_output(cloud, folder, arguments, greeting);
    said(&done, &format!("cdk {arguments:?}"))
}
