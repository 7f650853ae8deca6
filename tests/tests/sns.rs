//! SNS through its real clients, with queues, functions and web endpoints behind it, and what is delivered over kills.

use cumulet_tests::{Cloud, eventually, kills, python_runtime, root, succeed};

#[test]
fn boto3() {
    let cloud = Cloud::start();
    succeed(cloud.command(root().join(".venv/bin/python")).arg(root().join("tests/clients/sns.py")));
}

/// An endpoint with the certificate of an authority of its own; what none takes lies in the dead letter queue.
#[test]
fn encrypted_web_endpoints_and_their_dead_letters() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    for name in ["trusted", "stranger"] {
        let make = |name: &str, more: &[&str]| {
            let (key, certificate) = (file(&format!("{name}.key")), file(&format!("{name}.pem")));
            let mut openssl = std::process::Command::new("openssl");
            openssl.args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-keyout", &key, "-out"]);
            succeed(openssl.arg(certificate).args(more));
        };
        let authority = format!("{name}-authority");
        make(&authority, &["-subj", &format!("/CN={authority}")]);
        let by = [file(&format!("{authority}.pem")), file(&format!("{authority}.key"))];
        let server = ["-addext", "subjectAltName=IP:127.0.0.1", "-addext", "basicConstraints=critical,CA:FALSE"];
        make(name, &[&["-subj", "/CN=server", "-CA", &by[0], "-CAkey", &by[1]], &server[..]].concat());
    }
    let cloud = Cloud::start_with(&["--trust", &file("trusted-authority.pem")]);
    let script = root().join("tests/clients/sns_web.py");
    succeed(cloud.command(root().join(".venv/bin/python")).arg(script).arg(folder.path()));
}

/// sqs-consumer asks for a newer interpreter than the machine's.
#[test]
fn sdk_for_javascript_and_sqs_consumer() {
    let cloud = Cloud::start();
    let folder = root().join("tests/clients/node");
    let node = folder.join("node_modules/node-22/bin/node");
    succeed(cloud.command(node).arg("messages.mjs").current_dir(folder));
}

/// Through queues and topics, standard and FIFO; the script holds what was acknowledged against what comes.
#[test]
fn what_was_acknowledged_is_delivered_over_fifty_kills() {
    let mut cloud = Cloud::start();
    let mut script = cloud.command(root().join(".venv/bin/python"));
    script.arg(root().join("tests/clients/messages_kills.py")).arg(kills().to_string());
    assert_eq!(cloud.kill_under(script), kills());
}

/// A stack with a topic, a function and a queue that are subscribed to it, and the permissions they need.
#[test]
fn a_stack_of_topic_queue_and_function() {
    let cloud = Cloud::start();
    let template = root().join("tests/clients/messages.yaml");
    let runtime = format!("Runtime={}", python_runtime());
    let deploy =
        ["cloudformation", "deploy", "--stack-name", "s", "--capabilities", "CAPABILITY_IAM", "--template-file"];
    let path = template.to_string_lossy().into_owned();
    cloud.aws(&[&deploy[..], &[&path, "--parameter-overrides", &runtime]].concat());
    let outputs = cloud.aws(&["cloudformation", "describe-stacks", "--stack-name", "s"]);
    let output = |name: &str| {
        let list = outputs["Stacks"][0]["Outputs"].as_array().cloned().unwrap_or_default();
        let found = list.iter().find(|o| o["OutputKey"] == name).and_then(|o| o["OutputValue"].as_str());
        found.unwrap_or_default().to_owned()
    };
    cloud.aws(&["sns", "publish", "--topic-arn", &output("Topic"), "--message", "hello"]);
    let queue = output("Queue");
    let receive = ["sqs", "receive-message", "--queue-url", &queue, "--wait-time-seconds", "20"];
    assert_eq!(cloud.aws(&receive)["Messages"][0]["Body"], "hello");
    let group = format!("/aws/lambda/{}", output("Function"));
    eventually("the function was told", || {
        let ran = cloud.aws_output(&["logs", "filter-log-events", "--log-group-name", &group]);
        String::from_utf8_lossy(&ran.stdout).contains("told hello")
    });
    cloud.aws(&["cloudformation", "delete-stack", "--stack-name", "s"]);
    cloud.aws(&["cloudformation", "wait", "stack-delete-complete", "--stack-name", "s"]);
    assert!(cloud.aws_error(&["sns", "get-topic-attributes", "--topic-arn", &output("Topic")]).contains("NotFound"));
}
