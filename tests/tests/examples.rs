//! The examples, deployed and used as their pages say.

use std::process::Command;

use cumulet_tests::{Cloud, eventually, node_runtime, output, python_runtime, root, sdk, succeed};
use serde_json::{Value, json};

/// Deploys an example; answers what the stack puts out.
fn deploy(cloud: &Cloud, example: &str, parameters: &[String]) -> Value {
    let folder = root().join("examples").join(example);
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
