//! Functions through AWS's command line: deployed, invoked, changed, refused, gone, and still there after a crash.

use std::io::Read;

use cumulet_tests::{Cloud, node_runtime, python_runtime};
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
    let check = |name: &str, runtime: &str, handler: &str, file: (&str, &str), kind: &str, part: &str| {
        cloud.create_function_with(name, runtime, handler, &[file], &["--timeout", "2"]);
        let (meta, answer) = cloud.invoke(name, "{}");
        assert_eq!(meta["FunctionError"], "Unhandled", "{name}: {answer}");
        assert_eq!(answer["errorType"], kind, "{name}: {answer}");
        assert!(answer["errorMessage"].as_str().is_some_and(|m| m.contains(part)), "{name}: {answer}");
    };
    let (node, python) = (node_runtime(), python_runtime());
    check(
        "n1",
        &node,
        "index.handler",
        ("index.js", "exports.handler = async () => { throw new TypeError('no') }"),
        "TypeError",
        "no",
    );
    check("n2", &node, "index.handler", ("other.js", ""), "Runtime.ImportModuleError", "Cannot find module 'index'");
    check(
        "n3",
        &node,
        "index.handler",
        ("index.js", "exports.handler = ("),
        "Runtime.UserCodeSyntaxError",
        "SyntaxError",
    );
    check(
        "n4",
        &node,
        "index.nope",
        ("index.js", HELLO),
        "Runtime.HandlerNotFound",
        "index.nope is undefined or not exported",
    );
    check(
        "n5",
        &node,
        "index.handler",
        ("index.js", "exports.handler = () => new Promise(() => setTimeout(() => {}, 60000))"),
        "Sandbox.Timedout",
        "Task timed out after 2.00 seconds",
    );
    check(
        "n6",
        &node,
        "index.handler",
        ("index.js", "exports.handler = async () => process.exit(7)"),
        "Runtime.ExitError",
        "exit status 7",
    );
    check(
        "p1",
        &python,
        "app.handler",
        ("app.py", "def handler(e, c):\n    raise ValueError('no')\n"),
        "ValueError",
        "no",
    );
    check(
        "p2",
        &python,
        "app.handler",
        ("app.py", "import absent\n"),
        "Runtime.ImportModuleError",
        "No module named 'absent'",
    );
    check(
        "p3",
        &python,
        "app.handler",
        ("app.py", "def handler(:\n"),
        "Runtime.UserCodeSyntaxError",
        "Syntax error in module 'app'",
    );
    check(
        "p4",
        &python,
        "app.nope",
        ("app.py", "x = 1\n"),
        "Runtime.HandlerNotFound",
        "Handler 'nope' missing on module 'app'",
    );
}

#[test]
fn bad_input_is_told_what_is_wrong() {
    let cloud = Cloud::start();
    let climbing = cloud.zip(&[("../../etc/passwd", "x")]);
    let good = cloud.zip(&[("index.js", HELLO)]);
    let node = node_runtime();
    let create = |name: &str, runtime: &str, zip: &std::path::Path, options: &[&str]| {
        let archive = format!("fileb://{}", zip.display());
        let fixed = [
            "lambda",
            "create-function",
            "--function-name",
            name,
            "--runtime",
            runtime,
            "--handler",
            "index.handler",
            "--role",
            "arn:aws:iam::000000000000:role/test",
            "--zip-file",
            &archive,
        ];
        cloud.aws_error(&[&fixed[..], options].concat())
    };
    let bomb = cloud.folder.path().join("bomb.zip");
    std::fs::write(&bomb, zip_bomb()).expect("writing the bomb");
    for (error, part) in [
        (create("a", &node, &climbing, &[]), "Could not unzip uploaded file"),
        (create("a", &node, &bomb, &[]), "Unzipped size must be smaller than 262144000 bytes"),
        (create("a", &node, &good, &["--memory-size", "64"]), "greater than or equal to 128"),
        (create("a", &node, &good, &["--timeout", "901"]), "less than or equal to 900"),
        (create("a", "cobol85", &good, &[]), "InvalidParameterValueException"),
    ] {
        assert!(error.contains(part), "{error}");
    }
    cloud.create_function("f", &node, "index.handler", &[("index.js", HELLO)]);
    assert!(create("f", &node, &good, &[]).contains("ResourceConflictException"));
    let out = cloud.folder.path().join("out").to_string_lossy().into_owned();
    let invoke = |payload: &str| {
        let event = cloud.folder.path().join("event");
        std::fs::write(&event, payload).expect("writing an event");
        cloud.aws_error(&[
            "lambda",
            "invoke",
            "--function-name",
            "f",
            "--payload",
            &format!("fileb://{}", event.display()),
            &out,
        ])
    };
    assert!(invoke("{nope").contains("InvalidRequestContentException"));
    let large = format!("\"{}\"", "x".repeat(6 * 1024 * 1024 - 1));
    assert!(invoke(&large).contains("RequestTooLargeException"));
}

/// Three hundred megabytes of nothing.
fn zip_bomb() -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for name in ["a", "b", "c"] {
        writer.start_file(name, zip::write::SimpleFileOptions::default()).expect("a file of a zip");
        std::io::copy(&mut std::io::repeat(0).take(100_000_000), &mut writer).expect("zeros");
    }
    writer.finish().expect("a whole zip").into_inner()
}

#[test]
fn signatures_are_checked() {
    let cloud = Cloud::start();
    let tool = cumulet_tests::root().join(".venv/bin/aws");
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
