//! The other clients: boto3, the AWS SDK for JavaScript, and the official runtime client on a custom runtime.

use std::process::Command;

use cumulet_tests::{Cloud, node_runtime, python_runtime, root, succeed};

#[test]
fn boto3() {
    let cloud = Cloud::start();
    let mut python = cloud.command(root().join(".venv/bin/python"));
    succeed(python.arg(root().join("tests/clients/flow.py")).env("RUNTIME", python_runtime()));
}

#[test]
fn function_urls_with_botocores_signatures() {
    let cloud = Cloud::start();
    let mut python = cloud.command(root().join(".venv/bin/python"));
    succeed(python.arg(root().join("tests/clients/urls.py")).env("RUNTIME", python_runtime()));
}

#[test]
fn aws_sdk_for_javascript() {
    let cloud = Cloud::start();
    let mut node = cloud.command("node");
    succeed(node.arg("flow.mjs").current_dir(root().join("tests/clients/node")).env("RUNTIME", node_runtime()));
}

#[test]
fn awslambdaric_on_a_custom_runtime() {
    let cloud = Cloud::start();
    let packages = succeed(
        cloud
            .command(root().join(".venv/bin/python"))
            .args(["-c", "import sysconfig; print(sysconfig.get_path('platlib'))"]),
    );
    let zip = cloud.folder.path().join("ric.zip");
    let code = cloud.folder.path().join("code");
    std::fs::create_dir(&code).expect("a folder");
    std::fs::write(code.join("app.py"), "def handler(event, context):\n    if event.get('fail'):\n        raise KeyError('gone')\n    return {'echo': event, 'id': context.aws_request_id}\n").expect("a file");
    std::fs::write(
        code.join("bootstrap"),
        "#!/bin/sh\ncd /var/task\nexec /usr/bin/python3 -m awslambdaric app.handler\n",
    )
    .expect("a file");
    succeed(Command::new("chmod").arg("755").arg(code.join("bootstrap")));
    for name in ["awslambdaric", "simplejson", "snapshot_restore_py.py"] {
        succeed(Command::new("cp").arg("-r").arg(format!("{}/{name}", packages.trim())).arg(&code));
    }
    let extension =
        succeed(Command::new("find").args([packages.trim(), "-maxdepth", "1", "-name", "*runtime_client*.so"]));
    for file in extension.lines() {
        succeed(Command::new("cp").arg(file).arg(&code));
    }
    succeed(Command::new("zip").args(["-qr", &zip.to_string_lossy(), "."]).current_dir(&code));
    custom_runtime(&cloud, &zip, "KeyError");
}

#[test]
fn lambda_runtime_on_a_custom_runtime() {
    let cloud = Cloud::start();
    let program = cumulet_tests::program().with_file_name("cumulet-test-function");
    let code = cloud.folder.path().join("code");
    std::fs::create_dir(&code).expect("a folder");
    std::fs::copy(program, code.join("bootstrap")).expect("the function's program, built by `make test`");
    let zip = cloud.folder.path().join("rust.zip");
    succeed(Command::new("zip").args(["-qr", &zip.to_string_lossy(), "."]).current_dir(&code));
    custom_runtime(&cloud, &zip, "alloc::boxed::Box");
}

/// Deploys a custom runtime that echoes, and fails when asked to.
fn custom_runtime(cloud: &Cloud, zip: &std::path::Path, error_type: &str) {
    let archive = format!("fileb://{}", zip.display());
    let fixed = [
        "lambda",
        "create-function",
        "--function-name",
        "custom",
        "--runtime",
        "provided.al2023",
        "--handler",
        "app.handler",
        "--timeout",
        "10",
        "--role",
        "arn:aws:iam::000000000000:role/test",
        "--zip-file",
        &archive,
    ];
    cloud.aws(&fixed);
    for n in 0..3 {
        let (meta, answer) = cloud.invoke("custom", &format!("{{\"n\":{n}}}"));
        assert_eq!(meta.get("FunctionError"), None, "{answer}");
        assert_eq!(answer["echo"]["n"], n, "{answer}");
    }
    let (meta, answer) = cloud.invoke("custom", r#"{"fail":"on purpose"}"#);
    assert_eq!(meta["FunctionError"], "Unhandled");
    assert!(answer["errorType"].as_str().is_some_and(|kind| kind.contains(error_type)), "{answer}");
}
