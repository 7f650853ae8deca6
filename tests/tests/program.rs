//! The program itself: starting, refusing, draining, its own commands.

use std::process::Command;

use cumulet_tests::{Cloud, eventually, node_runtime, output, program, root, succeed};
use serde_json::Value;

fn parse(text: &[u8]) -> Value {
    serde_json::from_slice(text).unwrap_or_else(|e| panic!("{}: {e}", String::from_utf8_lossy(text)))
}

#[test]
fn the_example_is_deployed_called_logged_billed_and_removed() {
    let cloud = Cloud::start();
    let folder = root().join("examples/products");
    let parameter = format!("NodeRuntime={}", node_runtime());
    let folder = folder.to_string_lossy().into_owned();
    let arguments = ["--output", "json", "deploy", folder.as_str(), "--parameter", &parameter];
    let deployed = cloud.cumulet(&arguments);
    assert!(deployed.status.success(), "{}", String::from_utf8_lossy(&deployed.stderr));
    let outputs = parse(&deployed.stdout)["outputs"].clone();
    let url = format!("{}/products", outputs["ApiUrl"].as_str().expect("an address"));
    let answer = cloud.curl(&["-f"], &url);
    assert_eq!(parse(&answer.stdout), serde_json::json!([{"id": 1, "name": "Product A"}]));
    // Twice is as good as once.
    assert!(cloud.cumulet(&arguments).status.success());

    let function = outputs["FunctionName"].as_str().expect("a name").to_owned();
    eventually("the log is there", || {
        let logs = cloud.cumulet(&["logs", &function]);
        let text = String::from_utf8_lossy(&logs.stdout).into_owned();
        ["START RequestId: ", "END RequestId: ", "REPORT RequestId: "].iter().all(|part| text.contains(part))
    });
    eventually("the bill is there", || {
        let bill = parse(&cloud.cumulet(&["--output", "json", "bill"]).stdout);
        bill["rows"][0]["function"] == function.as_str() && bill["rows"][0]["invocations"] == 1
    });
    assert!(String::from_utf8_lossy(&cloud.cumulet(&["ls"]).stdout).contains(&function));
    let removed = cloud.cumulet(&["rm", "products"]);
    assert!(removed.status.success(), "{}", String::from_utf8_lossy(&removed.stderr));
    assert_eq!(cloud.aws(&["lambda", "list-functions"])["Functions"], serde_json::json!([]));
    assert_eq!(cloud.cumulet(&["rm", "products"]).status.code(), Some(3));
}

#[test]
fn the_aws_command_line_deploys_it_too() {
    let cloud = Cloud::start();
    let packaged = cloud.cumulet(&["package", &root().join("examples/products").to_string_lossy()]);
    assert!(packaged.status.success(), "{}", String::from_utf8_lossy(&packaged.stderr));
    let template = cloud.folder.path().join("packaged.json");
    std::fs::write(&template, packaged.stdout).expect("writing the template");
    let parameter = format!("NodeRuntime={}", node_runtime());
    let arguments = [
        "cloudformation",
        "deploy",
        "--stack-name",
        "shop",
        "--template-file",
        &template.to_string_lossy(),
        "--capabilities",
        "CAPABILITY_IAM",
        "CAPABILITY_AUTO_EXPAND",
        "--parameter-overrides",
        &parameter,
    ];
    cloud.aws(&arguments);
    let stack = cloud.aws(&["cloudformation", "describe-stacks", "--stack-name", "shop"])["Stacks"][0].clone();
    assert_eq!(stack["StackStatus"], "CREATE_COMPLETE");
    let outputs = stack["Outputs"].as_array().cloned().unwrap_or_default();
    let url = outputs
        .iter()
        .find(|o| o["OutputKey"] == "ApiUrl")
        .and_then(|o| o["OutputValue"].as_str())
        .expect("an address")
        .to_owned();
    assert!(String::from_utf8_lossy(&cloud.curl(&["-f"], &format!("{url}/products")).stdout).contains("Product A"));
    cloud.aws(&[&arguments[..], &["--no-fail-on-empty-changeset"]].concat());
    cloud.aws(&["cloudformation", "delete-stack", "--stack-name", "shop"]);
    cloud.aws(&["cloudformation", "wait", "stack-delete-complete", "--stack-name", "shop"]);
    assert!(cloud.aws_error(&["cloudformation", "describe-stacks", "--stack-name", "shop"]).contains("does not exist"));
}

#[test]
fn well_known_credentials_are_not_for_strangers() {
    let folder = tempfile::tempdir().expect("a folder");
    let ran = output(Command::new(program()).args(["up", "--listen", "0.0.0.0:0", "--data-dir"]).arg(folder.path()));
    assert_eq!(ran.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&ran.stderr).contains("refusing to listen"));
}

#[test]
fn terminating_drains() {
    let mut cloud = Cloud::start();
    let code = "exports.handler = async () => { await new Promise(r => setTimeout(r, 1500)); return 'finished'; };";
    cloud.create_function("slow", &node_runtime(), "index.handler", &[("index.js", code)]);
    let mut running = cloud.command(program());
    let child = running.args(["invoke", "slow"]).stdout(std::process::Stdio::piped()).spawn().expect("invoking");
    eventually("the invocation is under way", || {
        let list = parse(&cloud.cumulet(&["--output", "json", "ls"]).stdout);
        list["instances"][0]["Busy"] == 1
    });
    cloud.signal("TERM");
    let answered = child.wait_with_output().expect("its answer");
    assert_eq!(String::from_utf8_lossy(&answered.stdout).trim(), "\"finished\"");
    assert!(cloud.wait().success());
    cloud.restart();
    eventually("its record was kept", || {
        let bill = parse(&cloud.cumulet(&["--output", "json", "bill"]).stdout);
        bill["rows"][0]["invocations"] == 1
    });
}

#[test]
fn two_clouds_do_not_share_a_folder() {
    let cloud = Cloud::start();
    let data = cloud.folder.path().join("data");
    let ran = output(Command::new(program()).args(["up", "--listen", "127.0.0.1:0", "--data-dir"]).arg(data));
    assert_eq!(ran.status.code(), Some(1));
}

#[test]
fn env_doctor_help_and_completion() {
    let cloud = Cloud::start();
    let env = cloud.cumulet(&["env"]);
    assert!(String::from_utf8_lossy(&env.stdout).contains(&format!("export AWS_ENDPOINT_URL='{}'", cloud.endpoint)));
    let doctor = parse(&cloud.cumulet(&["--output", "json", "doctor"]).stdout);
    assert!(doctor["features"].as_array().is_some_and(|f| f.len() > 5));
    assert!(succeed(Command::new(program()).args(["completion", "bash"])).contains("cumulet"));
    assert!(succeed(Command::new(program()).arg("--help")).contains("deploy"));
    assert_eq!(output(Command::new(program()).arg("nonsense")).status.code(), Some(2));
}
