//! The program itself: starting, refusing, draining, its own commands.

use std::io::{BufRead, BufReader};
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

#[test]
fn a_flag_wins_over_a_variable_and_that_over_the_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("cumulet.toml");
    std::fs::write(
        &file,
        "access-key-id = \"file\"\nsecret-access-key = \"s\"\naccount = \"111111111111\"\nlisten = \"127.0.0.1:0\"\n",
    )
    .expect("writing the settings");
    let said = |variable: Option<&str>, flag: Option<&str>| {
        let mut command = Command::new(program());
        command
            .args(["--output", "json", "up", "--config"])
            .arg(&file)
            .arg("--data-dir")
            .arg(folder.path().join("data"));
        // The keys of AWS's tools are for the other commands.
        command.env("AWS_ACCESS_KEY_ID", "somebody").env("AWS_SECRET_ACCESS_KEY", "else");
        if let Some(variable) = variable {
            command.env("CUMULET_ACCESS_KEY_ID", variable);
        }
        if let Some(flag) = flag {
            command.args(["--access-key-id", flag]);
        }
        let mut child = command.stdout(std::process::Stdio::piped()).spawn().expect("starting");
        let mut line = String::new();
        let mut lines = BufReader::new(child.stdout.take().expect("it is piped"));
        lines.read_line(&mut line).expect("reading what it says");
        succeed(Command::new("kill").args(["-TERM", &child.id().to_string()]));
        assert!(child.wait().is_ok_and(|status| status.success()));
        let said = parse(line.as_bytes());
        assert_eq!(said["account"], "111111111111");
        said["accessKeyId"].as_str().unwrap_or_default().to_owned()
    };
    assert_eq!(said(None, None), "file");
    assert_eq!(said(Some("variable"), None), "variable");
    assert_eq!(said(Some("variable"), Some("flag")), "flag");

    std::fs::write(&file, "listem = 1\n").expect("writing the settings");
    let ran = output(Command::new(program()).args(["up", "--config"]).arg(&file));
    assert_eq!(ran.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&ran.stderr).contains("listem"), "{}", String::from_utf8_lossy(&ran.stderr));
}

#[test]
fn logs_are_followed() {
    let cloud = Cloud::start();
    let code = "exports.handler = async (event) => { console.log('seen ' + event.n); };";
    cloud.create_function("talks", &node_runtime(), "index.handler", &[("index.js", code)]);
    // Begun before there is anything to see.
    let mut command = cloud.command(program());
    command.args(["logs", "talks", "--follow"]).stdout(std::process::Stdio::piped());
    let mut child = command.spawn().expect("following");
    let (sender, lines) = std::sync::mpsc::channel();
    let stdout = BufReader::new(child.stdout.take().expect("it is piped"));
    let reader = std::thread::spawn(move || {
        for line in stdout.lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    for n in 0..3 {
        cloud.invoke("talks", &format!("{{\"n\":{n}}}"));
        let wanted = format!("seen {n}");
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
        loop {
            let left = deadline.saturating_duration_since(std::time::Instant::now());
            let line = lines.recv_timeout(left).unwrap_or_else(|e| panic!("`{wanted}` was never shown: {e}"));
            if line.ends_with(&wanted) {
                break;
            }
        }
    }
    succeed(Command::new("kill").args(["-INT", &child.id().to_string()]));
    assert!(child.wait().is_ok_and(|status| status.success()));
    reader.join().expect("reading to the end");
    let rest: Vec<String> = lines.try_iter().collect();
    assert!(rest.iter().all(|line| !line.contains("seen 2")), "shown twice: {rest:?}");
}
