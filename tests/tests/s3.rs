//! S3 with its real clients, and after a crash.

use std::process::Command;

use cumulet_tests::{Cloud, SmallDisk, eventually, node_runtime, root, succeed};

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

#[test]
fn javascript_streams_and_lists() {
    let cloud = Cloud::start();
    succeed(cloud.command("node").arg(root().join("tests/clients/node/objects.mjs")));
}

#[test]
fn minios_client_streams_and_lists() {
    let cloud = Cloud::start();
    succeed(cloud.command("node").arg(root().join("tests/clients/node/minio.mjs")));
}

#[test]
fn pyarrow_reads_parquet() {
    python("s3_parquet.py");
}

#[test]
fn pandas_reads_parquet_through_s3fs() {
    python("s3_fsspec.py");
}

#[test]
fn clients_that_break_off_lie_or_name_awkwardly() {
    let cloud = Cloud::start();
    let script = root().join("tests/clients/s3_faults.py");
    succeed(cloud.command(root().join(".venv/bin/python")).arg(script).arg(cloud.folder.path().join("data")));
}

#[test]
fn documented_errors() {
    python("s3_errors.py");
}

#[test]
fn ten_thousand_parts_come_and_go() {
    let cloud = Cloud::start();
    let script = root().join("tests/clients/s3_parts.py");
    succeed(cloud.command(root().join(".venv/bin/python")).arg(script).arg(cloud.folder.path().join("data")));
}

#[test]
fn forms_stream() {
    let cloud = Cloud::start();
    let script = root().join("tests/clients/s3_forms.py");
    succeed(cloud.command(root().join(".venv/bin/python")).arg(script).arg(cloud.pid().to_string()));
}

/// A folder with what a backup meets: names with spaces, an empty file, one of several parts.
fn folder(cloud: &Cloud, name: &str) -> std::path::PathBuf {
    let folder = cloud.folder.path().join(name);
    std::fs::create_dir_all(folder.join("deep/er and er")).expect("a folder");
    std::fs::write(folder.join("a b+c.txt"), "text").expect("a file");
    std::fs::write(folder.join("empty"), "").expect("a file");
    let large: Vec<u8> = (0..12_000_000_u32).map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()[3]).collect();
    std::fs::write(folder.join("deep/er and er/large.bin"), large).expect("a file");
    folder
}

fn same(one: &std::path::Path, other: &std::path::Path) {
    succeed(Command::new("diff").arg("-r").arg(one).arg(other));
}

#[test]
fn rclone_syncs_and_checks() {
    let cloud = Cloud::start();
    let (from, to) = (folder(&cloud, "from"), cloud.folder.path().join("to"));
    let remote =
        format!(":s3,provider=Other,env_auth=true,endpoint='{}',region=us-east-1:synced-by-rclone", cloud.endpoint);
    let run = |arguments: &[&str]| {
        let mut command = cloud.command("rclone");
        // Its own transport takes no bundle of authorities.
        command.env_remove("AWS_CA_BUNDLE").env("HOME", cloud.folder.path()).args([
            "--config",
            "/dev/null",
            "--s3-upload-cutoff",
            "5M",
            "--s3-chunk-size",
            "5M",
        ]);
        succeed(command.args(arguments))
    };
    run(&["mkdir", &remote]);
    run(&["sync", &from.to_string_lossy(), &remote]);
    run(&["check", &from.to_string_lossy(), &remote]);
    std::fs::remove_file(from.join("empty")).expect("removing a file");
    run(&["sync", &from.to_string_lossy(), &remote]);
    run(&["sync", &remote, &to.to_string_lossy()]);
    same(&from, &to);
    run(&["purge", &remote]);
}

#[test]
fn s3cmd_syncs() {
    let cloud = Cloud::start();
    let (from, to) = (folder(&cloud, "from"), cloud.folder.path().join("to"));
    std::fs::create_dir(&to).expect("a folder");
    let host = cloud.endpoint.trim_start_matches("http://").to_owned();
    let run = |arguments: &[&str]| {
        let mut command = cloud.command("s3cmd");
        command.args([
            "--config=/dev/null",
            "--access_key=test",
            "--secret_key=test",
            "--no-ssl",
            "--region=us-east-1",
        ]);
        command.args([
            format!("--host={host}"),
            format!("--host-bucket={host}"),
            "--multipart-chunk-size-mb=5".to_owned(),
        ]);
        succeed(command.args(arguments))
    };
    run(&["mb", "s3://synced-by-s3cmd"]);
    run(&["sync", &format!("{}/", from.display()), "s3://synced-by-s3cmd/x/"]);
    run(&["sync", "s3://synced-by-s3cmd/x/", &format!("{}/", to.display())]);
    same(&from, &to);
    assert!(run(&["ls", "--recursive", "s3://synced-by-s3cmd"]).contains("er and er/large.bin"));
    assert!(run(&["info", "s3://synced-by-s3cmd/x/empty"]).contains("d41d8cd98f00b204e9800998ecf8427e"));
    run(&["del", "--recursive", "--force", "s3://synced-by-s3cmd/x/"]);
}

#[test]
fn restic_backs_up_forgets_and_checks() {
    let cloud = Cloud::start();
    let (from, to) = (folder(&cloud, "from"), cloud.folder.path().join("to"));
    let run = |arguments: &[&str]| {
        let mut command = cloud.command("restic");
        command.env("RESTIC_REPOSITORY", format!("s3:{}/backups-of-restic", cloud.endpoint));
        command.env("RESTIC_PASSWORD", "secret").env("RESTIC_CACHE_DIR", cloud.folder.path().join("cache"));
        succeed(command.current_dir(&from).args(arguments))
    };
    run(&["init"]);
    run(&["backup", "."]);
    std::fs::write(from.join("later"), "more").expect("a file");
    run(&["backup", "."]);
    run(&["forget", "--keep-last", "1", "--prune"]);
    run(&["check", "--read-data"]);
    run(&["restore", "latest", "--target", &to.to_string_lossy()]);
    same(&from, &to);
}

/// A bucket whose puts a queue hears of.
const BUCKET: &str = r#"
import boto3, json
from botocore.config import Config
s3, sqs = boto3.client("s3", config=Config(s3={"addressing_style": "path"})), boto3.client("sqs")
s3.create_bucket(Bucket="load")
url = sqs.create_queue(QueueName="heard")["QueueUrl"]
arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
allow = {"Effect": "Allow", "Principal": {"Service": "s3.amazonaws.com"}, "Action": "sqs:SendMessage", "Resource": arn}
sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": json.dumps({"Version": "2012-10-17", "Statement": [allow]})})
s3.put_bucket_notification_configuration(Bucket="load", NotificationConfiguration={"QueueConfigurations": [{"QueueArn": arn, "Events": ["s3:ObjectCreated:*"]}]})
"#;

/// What every key holds: in the store, in a blob, or in two parts.
const BODY: &str = r#"
import boto3, hashlib, json, sys, time
from botocore.config import Config
def body(key):
    n = int(key.split("/")[1])
    return hashlib.sha256(key.encode()).digest() * (170_000 if n % 10 == 9 else 10 if n % 2 else 4000)
"#;

/// Puts until the cloud is killed under it; prints what was acknowledged.
const WRITER: &str = r#"
s3 = boto3.client("s3", config=Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}))
def put(key, content):
    if len(content) < 5_242_880:
        return s3.put_object(Bucket="load", Key=key, Body=content)
    at = {"Bucket": "load", "Key": key}
    at["UploadId"] = s3.create_multipart_upload(**at)["UploadId"]
    pieces = [content[:5_242_880], content[5_242_880:]]
    tags = [s3.upload_part(**at, PartNumber=n, Body=piece)["ETag"] for n, piece in enumerate(pieces, 1)]
    s3.complete_multipart_upload(**at, MultipartUpload={"Parts": [{"PartNumber": n, "ETag": tag} for n, tag in enumerate(tags, 1)]})
for n in range(400):
    key = f"{sys.argv[1]}/{n}"
    try:
        put(key, body(key))
    except Exception:
        break
    print(key, flush=True)
"#;

const READER: &str = r#"
s3 = boto3.client("s3", config=Config(s3={"addressing_style": "path"}))
listed = {o["Key"] for p in s3.get_paginator("list_objects_v2").paginate(Bucket="load") for o in p.get("Contents", [])}
said = sys.stdin.read().split()
assert set(said) <= listed, set(said) - listed
for key in listed:
    assert s3.get_object(Bucket="load", Key=key)["Body"].read() == body(key), key
# Of what was under way there are uploads that can be gone on with; nothing on the disk is nobody's.
named = sum({10: 0, 4000: 1, 170_000: 2}[len(body(key)) // 32] for key in listed)
uploads = s3.list_multipart_uploads(Bucket="load").get("Uploads", [])
for upload in uploads:
    named += len(s3.list_parts(Bucket="load", Key=upload["Key"], UploadId=upload["UploadId"]).get("Parts", []))
from pathlib import Path
folder, until = Path(sys.argv[1]) / "blobs" / "stream", time.monotonic() + 60
while (there := len(list(folder.iterdir()))) != named:
    assert time.monotonic() < until, (there, named)
    time.sleep(0.05)
for upload in uploads:
    s3.abort_multipart_upload(Bucket="load", Key=upload["Key"], UploadId=upload["UploadId"])
# What is there was told of, whether or not its put was acknowledged.
sqs = boto3.client("sqs")
url, heard, until = sqs.get_queue_url(QueueName="heard")["QueueUrl"], set(), time.monotonic() + 60
while not listed <= heard:
    assert time.monotonic() < until, listed - heard
    for message in sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=2).get("Messages", []):
        sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        heard |= {record["s3"]["object"]["key"] for record in json.loads(message["Body"]).get("Records", [])}
assert heard == listed, heard - listed
"#;

#[test]
fn what_was_acknowledged_survives_kill_9() {
    use std::io::{BufRead, BufReader, Read, Write};
    use std::process::Stdio;
    let mut cloud = Cloud::start();
    let python = root().join(".venv/bin/python");
    succeed(cloud.command(&python).args(["-c", BUCKET]));
    let mut acknowledged = String::new();
    for round in 0..3 {
        let mut writer = cloud
            .command(&python)
            .args(["-c", &format!("{BODY}{WRITER}"), &round.to_string()])
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
    let reader = reader.args(["-c", &format!("{BODY}{READER}")]).arg(cloud.folder.path().join("data"));
    let mut reader = reader.stdin(Stdio::piped()).spawn().expect("starting the reader");
    reader.stdin.take().expect("piped").write_all(acknowledged.as_bytes()).expect("telling the reader");
    assert!(reader.wait().expect("the reader ends").success());
}

/// Fills the disk with objects of all sizes, and says what was acknowledged.
const FILLER: &str = r#"
import boto3, hashlib, json, sys
from botocore.config import Config
from botocore.exceptions import ClientError
s3 = boto3.client("s3", config=Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}))
def body(key):
    return hashlib.sha256(key.encode()).digest() * (int(key.split("/")[1]) // 32)
def fill(name, size):
    """Until three in a row are refused."""
    kept, refused = [], 0
    while refused < 3:
        key = f"{name}/{size}/{len(kept)}"
        try:
            s3.put_object(Bucket="full", Key=key, Body=body(key))
            kept.append(key)
            refused = 0
        except ClientError as e:
            status = e.response["ResponseMetadata"]["HTTPStatusCode"]
            assert (e.response["Error"]["Code"], status) == ("ServiceUnavailable", 503), e.response
            refused += 1
    return kept
def check(kept):
    for key in kept:
        assert s3.get_object(Bucket="full", Key=key)["Body"].read() == body(key), key
if sys.argv[1] == "fill":
    s3.create_bucket(Bucket="full")
    s3.put_object(Bucket="full", Key="first/64/0", Body=body("first/64/0"))
    kept = ["first/64/0"]
    upload = s3.create_multipart_upload(Bucket="full", Key="parts")["UploadId"]
    for size in (2**20, 2**17, 2**15):
        kept += fill("a", size)
    try:
        s3.upload_part(Bucket="full", Key="parts", UploadId=upload, PartNumber=1, Body=b"x" * 6_000_000)
        raise AssertionError("a part was taken on a full disk")
    except ClientError as e:
        assert e.response["Error"]["Code"] == "ServiceUnavailable", e.response
    check(kept)
    json.dump(kept, open(sys.argv[2], "w"))
elif sys.argv[1] == "go on":
    # What was refused is gone for good, and its bytes with it.
    kept = json.load(open(sys.argv[2]))
    large = [key for key in kept if key.split("/")[1] == str(2**20)]
    for key in large[:8]:
        s3.delete_object(Bucket="full", Key=key)
        kept.remove(key)
    for n in range(24):
        key = f"b/{2**20}/{n}"
        s3.put_object(Bucket="full", Key=key, Body=body(key))
        kept.append(key)
    check(kept)
    json.dump(kept, open(sys.argv[2], "w"))
else:
    kept = json.load(open(sys.argv[2]))
    check(kept)
    listed = {o["Key"] for p in s3.get_paginator("list_objects_v2").paginate(Bucket="full") for o in p.get("Contents", [])}
    assert listed == set(kept), listed ^ set(kept)
"#;

#[test]
fn a_full_disk_refuses_and_loses_nothing() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let Some(disk) = SmallDisk::at(folder.path().join("data"), 96) else {
        println!("not root, or without mounts: there is no small disk to fill");
        return;
    };
    let mut cloud = Cloud::start_in(folder, &[]);
    let kept = cloud.folder.path().join("kept");
    let run = |cloud: &Cloud, what: &str| {
        succeed(cloud.command(root().join(".venv/bin/python")).args(["-c", FILLER, what]).arg(&kept));
    };
    run(&cloud, "fill");
    run(&cloud, "look");
    // Whoever runs it makes room; nothing has to be started anew.
    disk.grow(128);
    run(&cloud, "go on");
    run(&cloud, "look");
    cloud.kill_and_restart();
    run(&cloud, "look");
    drop(cloud);
}

#[test]
fn what_a_crash_leaves_on_the_disk_is_removed() {
    let mut cloud = Cloud::start();
    let python = root().join(".venv/bin/python");
    let put = "import boto3; s3 = boto3.client('s3'); s3.create_bucket(Bucket='kept'); s3.put_object(Bucket='kept', Key='k', Body=b'x' * 200_000)";
    succeed(cloud.command(&python).args(["-c", put]));
    let folder = cloud.folder.path().join("data/blobs/stream");
    let names = || -> Vec<_> {
        std::fs::read_dir(&folder).expect("the blobs").map(|file| file.expect("a blob").file_name()).collect()
    };
    let kept = names();
    assert_eq!(kept.len(), 1);
    // As a process leaves them that ended between a blob and its record, or within the blob.
    let name = kept[0].to_string_lossy().into_owned();
    let (head, _) = name.rsplit_once('-').expect("a name of four parts");
    std::fs::write(folder.join(format!("{head}-{}", "0".repeat(16))), vec![7; 100_000]).expect("an orphan");
    std::fs::write(folder.join(format!("{head}-{}#1", "1".repeat(16))), "torn").expect("a torn one");
    cloud.kill_and_restart();
    eventually("only what is named is left", || names() == kept);
    let got = cloud.folder.path().join("got");
    succeed(cloud.command(root().join(".venv/bin/aws")).args(["s3", "cp", "s3://kept/k"]).arg(&got));
    assert_eq!(std::fs::read(got).expect("the object"), vec![b'x'; 200_000]);
}

/// Objects of every kind, and that they are as they were put.
const KEPT_IN_A_BUCKET: &str = r#"
s3 = boto3.client("s3", config=Config(s3={"addressing_style": "path"}))
content = {"inline": b"i", "one": body("x/1") * 300, "large": body("x/9") * 3}
if sys.argv[1] == "put":
    s3.create_bucket(Bucket="kept")
    for key, bytes in content.items():
        s3.put_object(Bucket="kept", Key=key, Body=bytes)
    upload = {"Bucket": "kept", "Key": "parts"}
    upload["UploadId"] = s3.create_multipart_upload(**upload)["UploadId"]
    parts = [s3.upload_part(**upload, PartNumber=n, Body=content["large"][:6_000_000])["ETag"] for n in (1, 2)]
    s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": [{"PartNumber": n, "ETag": tag} for n, tag in enumerate(parts, 1)]})
    s3.copy_object(Bucket="kept", Key="copy", CopySource="kept/large")
    s3.put_object(Bucket="kept", Key="gone", Body=content["large"])
    s3.delete_object(Bucket="kept", Key="gone")
content["copy"], content["parts"] = content["large"], content["large"][:6_000_000] * 2
for key, bytes in content.items():
    assert s3.get_object(Bucket="kept", Key=key)["Body"].read() == bytes, key
    middle = s3.get_object(Bucket="kept", Key=key, Range=f"bytes={len(bytes) // 2}-{len(bytes) // 2 + 99}")["Body"].read()
    assert middle == bytes[len(bytes) // 2:][:100], key
"#;

#[test]
fn blobs_live_in_a_bucket() {
    let mut store = Cloud::start();
    store.aws(&["s3api", "create-bucket", "--bucket", "blobs"]);
    let endpoint = format!("aws_endpoint={}", store.endpoint);
    let options = |folder: &str| -> Vec<String> {
        let address = format!("s3://blobs/{folder}");
        let named = ["--blobs", &address, "--blobs-option", &endpoint, "--blobs-option", "aws_access_key_id=test"];
        named.iter().chain(&["--blobs-option", "aws_secret_access_key=test"]).map(|&one| one.to_owned()).collect()
    };
    let borrowed = options("mine");
    let borrowed: Vec<&str> = borrowed.iter().map(String::as_str).collect();
    let mut cloud = Cloud::start_with(&borrowed);
    let python = |cloud: &Cloud, what: &str| {
        let script = format!("{BODY}{KEPT_IN_A_BUCKET}");
        succeed(cloud.command(root().join(".venv/bin/python")).args(["-c", &script, what]));
    };
    python(&cloud, "put");
    let named = |store: &Cloud| -> Vec<String> {
        let listed = store.aws(&["s3api", "list-objects-v2", "--bucket", "blobs", "--prefix", "mine/stream/"]);
        let listed = listed["Contents"].as_array().cloned().unwrap_or_default();
        listed.iter().filter_map(|one| one["Key"].as_str().map(str::to_owned)).collect()
    };
    // Two parts, a copy, and two objects that the store has no room for; nothing of the one that is gone.
    let kept = named(&store);
    assert_eq!(kept.len(), 5, "{kept:?}");
    let files = cloud.folder.path().join("data/blobs");
    let files: Vec<_> =
        std::fs::read_dir(files).expect("the folder").map(|one| one.expect("one").file_name()).collect();
    assert_eq!(files, ["place"], "no bytes are beside the bucket");
    // The bytes are durable in the bucket when a put is answered: neither end may lose them.
    cloud.kill_and_restart();
    python(&cloud, "look");
    store.kill_and_restart();
    python(&cloud, "look");
    // What a crash left between a blob and its record.
    let (head, _) = kept[0].rsplit_once('-').expect("a name of four parts");
    let orphan = format!("{head}-{}", "0".repeat(16));
    store.aws(&["s3api", "put-object", "--bucket", "blobs", "--key", &orphan]);
    cloud.kill_and_restart();
    eventually("only what is named is left", || named(&store) == kept);
    python(&cloud, "look");
    // Without the bucket, what needs it is refused, and comes back with it.
    let put = |cloud: &Cloud| {
        let file = cloud.folder.path().join("file");
        std::fs::write(&file, vec![b'x'; 100_000]).expect("a file");
        cloud.aws_output(&[
            "s3api",
            "put-object",
            "--bucket",
            "kept",
            "--key",
            "late",
            "--body",
            &file.to_string_lossy(),
        ])
    };
    store.signal("STOP");
    store.signal("KILL");
    store.wait();
    let refused = put(&cloud);
    let told = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && told.contains("InternalError"), "{told}");
    store.restart();
    assert!(put(&cloud).status.success());
    // Another cloud may not have the same folder, and this one not another.
    let fresh = tempfile::tempdir().expect("a folder");
    let data = cloud.folder.path().join("data");
    cloud.signal("TERM");
    cloud.wait();
    let refuses = |data: &std::path::Path, options: &[String], why: &str| {
        let mut command = Command::new(cumulet_tests::program());
        command.args(["up", "--listen", "127.0.0.1:0", "--data-dir"]).arg(data).args(options);
        let ran = command.output().expect("starting it");
        let told = String::from_utf8_lossy(&ran.stderr).into_owned();
        assert!(!ran.status.success() && told.contains(why), "{told}");
    };
    refuses(fresh.path(), &options("mine"), "another cloud's blobs");
    refuses(&data, &options("other"), "are in s3://blobs/mine");
    refuses(&data, &[], "are in s3://blobs/mine");
    cloud.restart();
    python(&cloud, "look");
}
