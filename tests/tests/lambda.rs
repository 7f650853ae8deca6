//! Functions through AWS's command line: deployed, invoked, changed, refused, gone, and still there after a crash.

use cumulet_tests::{Cloud, node_runtime, python_runtime, root, succeed};
use serde_json::json;

const HELLO: &str = "exports.handler = async (event, context) => ({ hello: event.name, id: context.awsRequestId });";

#[test]
fn a_function_lives_and_dies() {
    let cloud = Cloud::start();
    cloud.create_function("hello", &node_runtime(), "index.handler", &[("index.js", HELLO)]);
    cloud.aws(&["lambda", "wait", "function-active-v2", "--function-name", "hello"]);
    let (meta, answer) = cloud.invoke("hello", r#"{"name":"you"}"#);
    assert_eq!(answer["hello"], "you");
    assert_eq!((&meta["StatusCode"], &meta["ExecutedVersion"]), (&json!(200), &json!("$LATEST")));
    assert_eq!(meta.get("FunctionError"), None);

    let zip = cloud.zip(&[("index.js", "exports.handler = async () => 'changed';")]);
    let archive = format!("fileb://{}", zip.display());
    cloud.aws(&["lambda", "update-function-code", "--function-name", "hello", "--zip-file", &archive]);
    cloud.aws(&["lambda", "wait", "function-updated-v2", "--function-name", "hello"]);
    assert_eq!(cloud.invoke("hello", "{}").1, "changed");

    cloud.aws(&["lambda", "delete-function", "--function-name", "hello"]);
    assert!(
        cloud.aws_error(&["lambda", "get-function", "--function-name", "hello"]).contains("ResourceNotFoundException")
    );
}

#[test]
fn functions_survive_kill() {
    let mut cloud = Cloud::start();
    cloud.create_function_with(
        "kept",
        &python_runtime(),
        "app.handler",
        &[("app.py", "def handler(event, context):\n    return event['n'] + 1\n")],
        &["--tags", "a=b"],
    );
    cloud.kill_and_restart();
    assert_eq!(cloud.invoke("kept", r#"{"n":41}"#).1, 42);
    let described = cloud.aws(&["lambda", "get-function", "--function-name", "kept"]);
    assert_eq!(described["Tags"]["a"], "b");
}

#[test]
fn errors_of_functions_are_lambdas() {
    let cloud = Cloud::start();
    let mut python = cloud.command(root().join(".venv/bin/python"));
    python.arg(root().join("tests/clients/lambda_errors.py"));
    succeed(python.env("NODE", node_runtime()).env("PYTHON", python_runtime()));
}

#[test]
fn signatures_are_checked() {
    let cloud = Cloud::start();
    let tool = root().join(".venv/bin/aws");
    let run = |key: &str, secret: &str| {
        let mut command = cloud.command(&tool);
        command.env("AWS_ACCESS_KEY_ID", key).env("AWS_SECRET_ACCESS_KEY", secret).args(["lambda", "list-functions"]);
        String::from_utf8_lossy(&cumulet_tests::output(&mut command).stderr).into_owned()
    };
    assert!(run("test", "wrong").contains("InvalidSignatureException"));
    assert!(run("nobody", "test").contains("UnrecognizedClientException"));
    let unsigned = cloud.curl(&["-i"], &format!("{}/2015-03-31/functions", cloud.endpoint));
    let text = String::from_utf8_lossy(&unsigned.stdout).into_owned();
    assert!(text.contains("403") && text.contains("MissingAuthenticationTokenException"), "{text}");
}

#[test]
fn what_is_not_built_says_so() {
    let cloud = Cloud::start();
    assert!(
        cloud
            .aws_error(&["lambda", "list-code-signing-configs"])
            .contains("not implemented: lambda.ListCodeSigningConfigs")
    );
    assert!(cloud.aws_error(&["kinesis", "list-streams"]).contains("not implemented: kinesis"));
}
