//! The examples, deployed and used as their pages say.

use std::path::Path;
use std::process::Command;

use cumulet_tests::{
    Cloud, eventually, node_runtime, output, python_runtime, ran_in_its_own_network, root, sdk, succeed,
};
use serde_json::{Value, json};

/// Deploys an example; answers what the stack puts out.
fn deploy(cloud: &Cloud, example: &str, parameters: &[String]) -> Value {
    deploy_folder(cloud, &root().join("examples").join(example), parameters)
}

fn deploy_folder(cloud: &Cloud, folder: &Path, parameters: &[String]) -> Value {
    let mut arguments = vec!["--output".to_owned(), "json".to_owned(), "deploy".to_owned()];
    arguments.push(folder.to_string_lossy().into_owned());
    for parameter in parameters {
        arguments.extend(["--parameter".to_owned(), parameter.clone()]);
    }
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let ran = cloud.cumulet(&arguments);
    let said = String::from_utf8_lossy(&ran.stdout).into_owned();
    assert!(ran.status.success(), "{said}{}", String::from_utf8_lossy(&ran.stderr));
    serde_json::from_str::<Value>(&said).unwrap_or_else(|e| panic!("`{said}`: {e}"))["outputs"].clone()
}

fn request(cloud: &Cloud, method: &str, url: &str, body: &Value) -> Value {
    let ran = cloud.curl(&["-X", method, "-d", &body.to_string()], url);
    let text = String::from_utf8_lossy(&ran.stdout).into_owned();
    serde_json::from_str(&text).unwrap_or_else(|_| panic!("{method} {url}: {text}"))
}

#[test]
fn orders() {
    let folder = sdk();
    let cloud = Cloud::start_with(&["--sdk-dir", &folder.to_string_lossy()]);
    let runtime = format!("NodeRuntime={}", node_runtime());
    let outputs = deploy(&cloud, "orders", std::slice::from_ref(&runtime));
    let text = |name: &str| outputs[name].as_str().unwrap_or_else(|| panic!("no {name} in {outputs}")).to_owned();
    let (api, dead) = (text("ApiUrl"), text("Unshipped"));
    let place = |item: &str| request(&cloud, "POST", &format!("{api}/orders"), &json!({"item": item}));
    let order = |id: &Value| {
        let url = format!("{api}/orders/{}", id.as_str().unwrap_or_default());
        let ran = cloud.curl(&[], &url);
        serde_json::from_slice::<Value>(&ran.stdout).unwrap_or_default()
    };
    let plain: Vec<Value> = (0..5).map(|i| place(&format!("book {i}"))["id"].clone()).collect();
    let glass = place("glass")["id"].clone();
    eventually("the books are billed and shipped", || {
        plain.iter().all(|id| order(id)["billed"] == true && order(id)["shipped"] == true)
    });
    let counted = || {
        let attributes = ["sqs", "get-queue-attributes", "--queue-url", &dead, "--attribute-names", "All"];
        cloud.aws(&attributes)["Attributes"].clone()
    };
    eventually("the glass lies in the dead letter queue", || counted()["ApproximateNumberOfMessages"] == "1");
    assert_eq!(order(&glass)["billed"], true);
    assert_eq!(order(&glass)["shipped"], Value::Null);
    let letter = cloud.aws(&["sqs", "receive-message", "--queue-url", &dead, "--visibility-timeout", "0"]);
    let body: Value =
        serde_json::from_str(letter["Messages"][0]["Body"].as_str().unwrap_or_default()).unwrap_or_default();
    assert_eq!(body["id"], glass);
    // The shipping learns it, and the letter is sent on.
    deploy(&cloud, "orders", &[runtime, "ShipsGlass=yes".to_owned()]);
    let arn = counted()["QueueArn"].as_str().unwrap_or_default().to_owned();
    cloud.aws(&["sqs", "start-message-move-task", "--source-arn", &arn]);
    eventually("the glass is shipped", || order(&glass)["shipped"] == true);
    let removed = cloud.cumulet(&["rm", "orders"]);
    assert!(removed.status.success(), "{}", String::from_utf8_lossy(&removed.stderr));
    let left = output(cloud.command(root().join(".venv/bin/aws")).args(["dynamodb", "list-tables"]));
    assert!(String::from_utf8_lossy(&left.stdout).contains("\"TableNames\": []"), "nothing is left");
}

fn items(cloud: &Cloud, table: &Value) -> Vec<Value> {
    let table = table.as_str().expect("the table's name");
    cloud.aws(&["dynamodb", "scan", "--table-name", table])["Items"].as_array().cloned().unwrap_or_default()
}

#[test]
fn nightly() {
    let cloud = Cloud::start_with(&["--sdk-dir", &sdk().to_string_lossy()]);
    // A time within the last minute happens at once.
    let now = succeed(Command::new("date").args(["-u", "+%Y-%m-%dT%H:%M:%S"]));
    let parameters =
        [format!("PythonRuntime={}", python_runtime()), format!("When=at({})", now.trim()), "Zone=UTC".to_owned()];
    let outputs = deploy(&cloud, "nightly", &parameters);
    eventually("the night's report is there", || items(&cloud, &outputs["Table"]).len() == 1);
    let entry =
        json!([{"Source": "office", "DetailType": "report wanted", "Detail": "{\"who\": \"Ada\"}"}]).to_string();
    cloud.aws(&["events", "put-events", "--entries", &entry]);
    eventually("the report that was asked for is there", || {
        let ids: Vec<String> =
            items(&cloud, &outputs["Table"]).iter().map(|item| item["id"]["S"].to_string()).collect();
        ids.len() == 2 && ids.iter().any(|id| id.contains("asked for by Ada"))
    });
}

#[test]
fn logwatch() {
    let cloud = Cloud::start_with(&["--sdk-dir", &sdk().to_string_lossy()]);
    let outputs = deploy(&cloud, "logwatch", &[format!("PythonRuntime={}", python_runtime())]);
    let group = outputs["Group"].as_str().expect("the group's name");
    let stream = ["--log-group-name", group, "--log-stream-name", "web-1"];
    cloud.aws(&[&["logs", "create-log-stream"], &stream[..]].concat());
    let now = succeed(Command::new("date").arg("+%s000"));
    let now: u64 = now.trim().parse().expect("milliseconds");
    let lines = ["GET / 200", "ERROR no table", "ERROR expected", "FATAL no disk"];
    let events: Vec<Value> = lines.iter().map(|line| json!({"timestamp": now, "message": line})).collect();
    let events = Value::from(events).to_string();
    cloud.aws(&[&["logs", "put-log-events", "--log-events", &events], &stream[..]].concat());
    eventually("both errors are counted", || {
        items(&cloud, &outputs["Table"]).first().is_some_and(|item| {
            item["stream"]["S"] == "web-1" && item["ids"]["SS"].as_array().is_some_and(|ids| ids.len() == 2)
        })
    });
}

/// A copy of an example with what its function brings along, as its page says.
fn with_pillow(cloud: &Cloud) -> std::path::PathBuf {
    let copy = cloud.folder.path().join("thumbnails");
    succeed(Command::new("cp").arg("-r").arg(root().join("examples/thumbnails")).arg(&copy));
    let pillow = root().join("tests/clients/pillow/.");
    succeed(Command::new("cp").arg("-r").arg(pillow).arg(copy.join("thumbnail")));
    copy
}

#[test]
fn thumbnails() {
    let sdk = sdk();
    // Browsers give up connections when the machine's interfaces or addresses change. From here on nothing can be installed.
    if ran_in_its_own_network("thumbnails") {
        return;
    }
    let cloud = Cloud::start_with(&["--sdk-dir", &sdk.to_string_lossy()]);
    let outputs = deploy_folder(&cloud, &with_pillow(&cloud), &[format!("PythonRuntime={}", python_runtime())]);
    let image = cloud.folder.path().join("large.png");
    let paint = "from PIL import Image; import sys; Image.new('RGB', (640, 480), (200, 30, 30)).save(sys.argv[1])";
    let mut painter = Command::new("python3");
    painter.env("PYTHONPATH", root().join("tests/clients/pillow")).args(["-c", paint]);
    succeed(painter.arg(&image));
    let page = outputs["Page"].as_str().expect("the page's address");
    let browse = root().join("tests/clients/node/thumbnails.mjs");
    succeed(cloud.command("node").arg(browse).arg(format!("{page}/")).arg(&image));
    let bucket = outputs["Bucket"].as_str().expect("the bucket's name");
    let listed = cloud.aws(&["s3api", "list-objects-v2", "--bucket", bucket]);
    let keys: Vec<&str> =
        listed["Contents"].as_array().into_iter().flatten().filter_map(|object| object["Key"].as_str()).collect();
    assert!(keys.len() == 2 && keys[0].starts_with("thumbnails/") && keys[1].starts_with("uploads/"), "{keys:?}");
}

#[test]
fn backup() {
    let cloud = Cloud::start_with(&["--sdk-dir", &sdk().to_string_lossy()]);
    let runtime = format!("PythonRuntime={}", python_runtime());
    // Long past: nothing is due before the table is full.
    let never = "When=at(2020-01-01T00:00:00)".to_owned();
    let outputs = deploy(&cloud, "backup", &[runtime.clone(), never, "Zone=UTC".to_owned()]);
    let (table, bucket) = (outputs["Table"].as_str().expect("a table"), outputs["Bucket"].as_str().expect("a bucket"));
    succeed(cloud.command(root().join(".venv/bin/python")).args(["-c", FILL, table]));
    // A time within the last minute happens at once.
    let now = succeed(Command::new("date").args(["-u", "+%Y-%m-%dT%H:%M:%S"]));
    deploy(&cloud, "backup", &[runtime, format!("When=at({})", now.trim()), "Zone=UTC".to_owned()]);
    eventually("the table's copy is in the bucket", || {
        let listed = cloud.aws(&["s3api", "list-objects-v2", "--bucket", bucket]);
        listed["Contents"].as_array().is_some_and(|found| found.len() == 1)
    });
    succeed(cloud.command(root().join(".venv/bin/python")).args(["-c", COMPARE, table, bucket]));
}

/// More than a page of a scan, with every kind of value that JSON has not.
const FILL: &str = r#"
import boto3, sys
table = boto3.resource("dynamodb").Table(sys.argv[1])
with table.batch_writer() as batch:
    for n in range(1200):
        batch.put_item(Item={"id": f"note {n}", "n": n, "text": "x" * 2000, "bytes": bytes([n % 256, 255]), "set": {1, n + 2}})
"#;

const COMPARE: &str = r#"
import base64, boto3, gzip, json, sys
s3, table, bucket = boto3.client("s3"), sys.argv[1], sys.argv[2]
key = s3.list_objects_v2(Bucket=bucket)["Contents"][0]["Key"]
assert key.startswith("notes/") and key.endswith(".json.gz"), key
lines = gzip.decompress(s3.get_object(Bucket=bucket, Key=key)["Body"].read()).splitlines()
copied = {item["id"]["S"]: item for item in (json.loads(line)["Item"] for line in lines)}
there = {}
for page in boto3.client("dynamodb").get_paginator("scan").paginate(TableName=table):
    for item in page["Items"]:
        item["bytes"]["B"] = base64.b64encode(item["bytes"]["B"]).decode()
        there[item["id"]["S"]] = item
assert len(there) == 1200 and copied == there
"#;
