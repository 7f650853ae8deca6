//! S3 with its real clients, and after a crash.

use std::process::Command;

use cumulet_tests::{Cloud, node_runtime, root, succeed};

fn python(script: &str) {
    let cloud = Cloud::start();
    succeed(cloud.command(root().join(".venv/bin/python")).arg(root().join("tests/clients").join(script)));
}

#[test]
fn boto3() {
    python("s3.py");
}

#[test]
fn boto3_versions_and_locks() {
    python("s3_versions.py");
}

#[test]
fn boto3_settings_and_websites() {
    python("s3_settings.py");
}

#[test]
fn boto3_events() {
    let cloud = Cloud::start();
    let script = root().join("tests/clients/s3_events.py");
    succeed(cloud.command(root().join(".venv/bin/python")).arg(script).arg(node_runtime()));
}

#[test]
fn aws_cli_copies_and_syncs() {
    let cloud = Cloud::start();
    let run = |arguments: &[&str]| succeed(cloud.command(root().join(".venv/bin/aws")).args(arguments));
    let (from, to) = (cloud.folder.path().join("from"), cloud.folder.path().join("to"));
    std::fs::create_dir_all(from.join("deep/er")).expect("a folder");
    std::fs::write(from.join("a.txt"), "a").expect("a file");
    std::fs::write(from.join("deep/er/b c.bin"), vec![7; 9_000_000]).expect("a file");
    run(&["s3", "mb", "s3://synced"]);
    run(&["s3", "sync", "--quiet", &from.to_string_lossy(), "s3://synced/x"]);
    run(&["s3", "sync", "--quiet", "s3://synced/x", &to.to_string_lossy()]);
    succeed(Command::new("diff").arg("-r").arg(&from).arg(&to));
    assert!(run(&["s3", "ls", "--recursive", "s3://synced"]).contains("deep/er/b c.bin"));
    run(&["s3", "rb", "--force", "s3://synced"]);
}

/// Puts until the cloud is killed under it; prints what was acknowledged.
const WRITER: &str = r#"
import boto3, hashlib, sys
from botocore.config import Config
s3 = boto3.client("s3", config=Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}))
for n in range(400):
    key = f"{sys.argv[1]}/{n}"
    body = hashlib.sha256(key.encode()).digest() * (10 if n % 2 else 4000)
    try:
        s3.put_object(Bucket="load", Key=key, Body=body)
    except Exception:
        break
    print(key, flush=True)
"#;

const READER: &str = r#"
import boto3, hashlib, sys
from botocore.config import Config
s3 = boto3.client("s3", config=Config(s3={"addressing_style": "path"}))
listed = {o["Key"] for p in s3.get_paginator("list_objects_v2").paginate(Bucket="load") for o in p.get("Contents", [])}
said = sys.stdin.read().split()
assert set(said) <= listed, set(said) - listed
for key in listed:
    body = hashlib.sha256(key.encode()).digest() * (10 if int(key.split("/")[1]) % 2 else 4000)
    assert s3.get_object(Bucket="load", Key=key)["Body"].read() == body, key
"#;

#[test]
fn what_was_acknowledged_survives_kill_9() {
    use std::io::{BufRead, BufReader, Read, Write};
    use std::process::Stdio;
    let mut cloud = Cloud::start();
    let python = root().join(".venv/bin/python");
    cloud.aws(&["s3api", "create-bucket", "--bucket", "load"]);
    let mut acknowledged = String::new();
    for round in 0..3 {
        let mut writer = cloud
            .command(&python)
            .args(["-c", WRITER, &round.to_string()])
            .stdout(Stdio::piped())
            .spawn()
            .expect("starting the writer");
        let mut out = BufReader::new(writer.stdout.take().expect("its output is piped"));
        for _ in 0..30 {
            out.read_line(&mut acknowledged).expect("a line of the writer");
        }
        cloud.kill_and_restart();
        out.read_to_string(&mut acknowledged).expect("the rest of the writer's lines");
        writer.wait().expect("the writer ends");
    }
    assert!(acknowledged.lines().count() >= 90);
    let mut reader = cloud.command(&python);
    let mut reader = reader.args(["-c", READER]).stdin(Stdio::piped()).spawn().expect("starting the reader");
    reader.stdin.take().expect("piped").write_all(acknowledged.as_bytes()).expect("telling the reader");
    assert!(reader.wait().expect("the reader ends").success());
}
