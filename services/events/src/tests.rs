//! Each operation and the errors it declares, and events on their way, over the store in memory.

#![allow(clippy::unwrap_used)]
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use cumulet_store_memory::MemoryStore;
use cumulet_wire::auth::Caller;
use cumulet_wire::call::Context;
use cumulet_wire::operation::Registry;
use serde_json::{Value, json};

use super::*;

struct Hand(AtomicU64);

impl Clock for Hand {
    fn now_ms(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

struct Anybody;

#[async_trait]
impl Authorizer for Anybody {
    async fn authorize(&self, _: &Caller, _: &str, _: &str) -> Result<(), ApiError> {
        Ok(())
    }
}

static QUEUES: ServiceModel = ServiceModel {
    name: "sqs",
    protocol: Protocol::Json10,
    target: "AmazonSQS",
    xmlns: "",
    operations: &[Operation::rpc("SendMessage")],
    absent: &[],
};

/// Queues that keep what they are sent; those called `busy` and `gone` refuse it.
#[derive(Default)]
struct Queues(Mutex<Vec<(String, Value)>>);

#[async_trait]
impl Service for Queues {
    fn model(&self) -> &'static ServiceModel {
        &QUEUES
    }

    async fn call(&self, call: Call) -> Result<Answer, ApiError> {
        let name = call.input["QueueUrl"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
        match name.as_str() {
            "busy" => Err(ApiError::new(503, "ServiceUnavailable", "busy")),
            "gone" => Err(ApiError::new(400, "QueueDoesNotExist", "gone")),
            _ => {
                self.0.lock().unwrap().push((name, Value::Object(call.input)));
                Ok(Answer::empty())
            }
        }
    }
}

struct Bench {
    events: Arc<Events>,
    queues: Arc<Queues>,
    clock: Arc<Hand>,
    delivery: Arc<Delivery>,
}

const START_MS: u64 = 1_795_428_930_123;

impl Bench {
    fn new() -> Bench {
        Bench::over(Arc::new(MemoryStore::new()), START_MS)
    }

    fn over(store: Arc<MemoryStore>, now_ms: u64) -> Bench {
        let clock = Arc::new(Hand(AtomicU64::new(now_ms)));
        let client = Client::default();
        let delivery = Delivery::new(store.clone(), clock.clone());
        let events = Arc::new(Events::new(store.clone(), clock.clone(), client.clone(), delivery.clone(), &[7; 32]));
        let queues = Arc::new(Queues::default());
        let registry = Registry::default().with(events.clone()).with(queues.clone());
        client.connect(registry, Arc::new(Anybody), clock.clone());
        delivery.start();
        Bench { events, queues, clock, delivery }
    }

    async fn call(&self, operation: &str, input: Value) -> Result<Value, ApiError> {
        let Value::Object(input) = input else { panic!("the input is an object") };
        let context = Context {
            caller: Caller::owner("000000000000"),
            region: "us-east-1".to_owned(),
            request_id: "r".to_owned(),
            host: "localhost:4566".to_owned(),
            now_ms: self.clock.now_ms(),
            trace: None,
        };
        let operation = OPERATIONS.iter().find(|o| o.name == operation).unwrap();
        let call = Call { operation, input, payload: bytes::Bytes::new(), context };
        self.events.call(call).await.map(|answer| answer.output)
    }

    async fn ok(&self, operation: &str, input: Value) -> Value {
        self.call(operation, input).await.unwrap()
    }

    async fn error(&self, operation: &str, input: Value) -> String {
        self.call(operation, input).await.unwrap_err().code
    }

    async fn rule(&self, name: &str, targets: Value) {
        self.ok("PutRule", json!({"Name": name, "EventPattern": "{\"source\":[\"my.app\"]}"})).await;
        let put = self.ok("PutTargets", json!({"Rule": name, "Targets": targets})).await;
        assert_eq!(put["FailedEntryCount"], 0, "{put}");
    }

    /// Waits until the queues were sent as many messages.
    async fn sent(&self, count: usize) -> Vec<(String, Value)> {
        for _ in 0..2000 {
            if self.queues.0.lock().unwrap().len() >= count {
                break;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let sent = self.queues.0.lock().unwrap().clone();
        assert_eq!(sent.len(), count, "{sent:?}");
        sent
    }
}

fn queue(name: &str) -> String {
    format!("arn:aws:sqs:us-east-1:000000000000:{name}")
}

/// Ticks that lie in the store, which are in the shard of their rules.
async fn ticks(store: &MemoryStore) -> usize {
    use cumulet_store::{KeyWriter, Shard, Space, StoreExt};
    let (lo, hi) = KeyWriter::new().text("task").text(core::TICK).range();
    store.range(Shard::of("events/000000000000/us-east-1"), Space(12), lo, hi, 100).await.unwrap().len()
}

fn entry(detail: &str) -> Value {
    json!({"Source": "my.app", "DetailType": "t", "Detail": detail})
}

#[tokio::test]
async fn buses() {
    let b = Bench::new();
    let made = b.ok("CreateEventBus", json!({"Name": "orders", "Tags": [{"Key": "a", "Value": "1"}]})).await;
    assert_eq!(made["EventBusArn"], "arn:aws:events:us-east-1:000000000000:event-bus/orders");
    assert_eq!(b.error("CreateEventBus", json!({"Name": "orders"})).await, "ResourceAlreadyExistsException");
    assert_eq!(b.error("CreateEventBus", json!({"Name": "default"})).await, "ResourceAlreadyExistsException");
    assert_eq!(b.error("CreateEventBus", json!({"Name": "a b"})).await, "ValidationException");
    let listed = b.ok("ListEventBuses", json!({})).await;
    let names: Vec<&str> =
        listed["EventBuses"].as_array().unwrap().iter().map(|b| b["Name"].as_str().unwrap()).collect();
    assert_eq!(names, ["default", "orders"]);
    b.ok("UpdateEventBus", json!({"Name": "orders", "Description": "d"})).await;
    let seen = b.ok("DescribeEventBus", json!({"Name": made["EventBusArn"]})).await;
    assert_eq!((&seen["Name"], &seen["Description"]), (&json!("orders"), &json!("d")));
    assert_eq!(b.ok("DescribeEventBus", json!({})).await["Name"], "default");
    assert_eq!(b.error("DescribeEventBus", json!({"Name": "none"})).await, "ResourceNotFoundException");
    let tags = b.ok("ListTagsForResource", json!({"ResourceARN": made["EventBusArn"]})).await;
    assert_eq!(tags, json!({"Tags": [{"Key": "a", "Value": "1"}]}));
    let rule = json!({"Name": "r", "EventBusName": "orders", "EventPattern": "{\"source\":[\"a\"]}"});
    b.ok("PutRule", rule).await;
    assert_eq!(b.error("DeleteEventBus", json!({"Name": "orders"})).await, "ValidationException");
    assert_eq!(b.error("DeleteEventBus", json!({"Name": "default"})).await, "ValidationException");
    b.ok("DeleteRule", json!({"Name": "r", "EventBusName": "orders"})).await;
    b.ok("DeleteEventBus", json!({"Name": "orders"})).await;
    b.ok("DeleteEventBus", json!({"Name": "orders"})).await;
}

#[tokio::test]
async fn policies_of_buses() {
    let b = Bench::new();
    let put = json!({"Action": "events:PutEvents", "Principal": "111111111111", "StatementId": "s"});
    b.ok("PutPermission", put).await;
    let policy = b.ok("DescribeEventBus", json!({})).await["Policy"].as_str().unwrap().to_owned();
    let policy: Value = serde_json::from_str(&policy).unwrap();
    assert_eq!(policy["Statement"][0]["Principal"]["AWS"], "arn:aws:iam::111111111111:root");
    let bad = json!({"Action": "events:PutRule", "Principal": "*", "StatementId": "s"});
    assert_eq!(b.error("PutPermission", bad).await, "ValidationException");
    assert_eq!(b.error("PutPermission", json!({"Policy": "{}"})).await, "ValidationException");
    let none = json!({"StatementId": "none"});
    assert_eq!(b.error("RemovePermission", none).await, "ResourceNotFoundException");
    b.ok("RemovePermission", json!({"StatementId": "s"})).await;
    assert!(b.ok("DescribeEventBus", json!({})).await.get("Policy").is_none());
    let long = json!({"Version": "2012-10-17", "Statement": [{"Sid": "x".repeat(11_000), "Effect": "Allow", "Principal": "*",
        "Action": "events:PutEvents", "Resource": "*"}]});
    let long = json!({"Policy": long.to_string()});
    assert_eq!(b.error("PutPermission", long).await, "PolicyLengthExceededException");
}

#[tokio::test]
async fn rules_and_targets() {
    let b = Bench::new();
    let none = json!({"Name": "r"});
    assert_eq!(b.error("PutRule", none.clone()).await, "ValidationException");
    for (bad, code) in [
        (json!({"Name": "r", "EventPattern": "{\"a\":1}"}), "InvalidEventPatternException"),
        (json!({"Name": "r", "ScheduleExpression": "rate(1 minutes)"}), "ValidationException"),
        (json!({"Name": "r", "ScheduleExpression": "at(2030-01-01T00:00:00)"}), "ValidationException"),
        (json!({"Name": "r s", "ScheduleExpression": "rate(1 minute)"}), "ValidationException"),
        (json!({"Name": "r", "ScheduleExpression": "rate(1 minute)", "State": "ON"}), "ValidationException"),
        (json!({"Name": "r", "EventBusName": "none", "EventPattern": "{\"a\":[1]}"}), "ResourceNotFoundException"),
    ] {
        assert_eq!(b.error("PutRule", bad.clone()).await, code, "{bad}");
    }
    assert_eq!(b.error("DescribeRule", none.clone()).await, "ResourceNotFoundException");
    let arn = b.ok("PutRule", json!({"Name": "r", "EventPattern": "{\"source\":[\"a\"]}"})).await["RuleArn"].clone();
    assert_eq!(arn, "arn:aws:events:us-east-1:000000000000:rule/r");
    b.ok("DisableRule", none.clone()).await;
    assert_eq!(b.ok("DescribeRule", none.clone()).await["State"], "DISABLED");
    b.ok("EnableRule", none.clone()).await;
    assert_eq!(b.error("EnableRule", json!({"Name": "x"})).await, "ResourceNotFoundException");
    b.ok("TagResource", json!({"ResourceARN": arn, "Tags": [{"Key": "k", "Value": "v"}]})).await;
    b.ok("UntagResource", json!({"ResourceARN": arn, "TagKeys": ["k"]})).await;
    assert_eq!(b.ok("ListTagsForResource", json!({"ResourceARN": arn})).await, json!({"Tags": []}));

    let one = |target: Value| json!({"Rule": "r", "Targets": [target]});
    for (bad, code) in [
        (json!({"Id": "1"}), "ValidationException"),
        (json!({"Id": "a b", "Arn": queue("q")}), "ValidationException"),
        (json!({"Id": "1", "Arn": queue("q"), "Input": "{"}), "ValidationException"),
        (json!({"Id": "1", "Arn": queue("q"), "RetryPolicy": {"MaximumRetryAttempts": 186}}), "ValidationException"),
        (json!({"Id": "1", "Arn": queue("q"), "EcsParameters": {}}), "NotImplemented"),
    ] {
        assert_eq!(b.error("PutTargets", one(bad.clone())).await, code, "{bad}");
    }
    for (bad, code) in [
        (json!({"Id": "1", "Arn": "arn:aws:kinesis:us-east-1:000000000000:stream/s"}), "NotImplemented"),
        (json!({"Id": "1", "Arn": queue("q.fifo")}), "ValidationException"),
        (
            json!({"Id": "1", "Arn": queue("q"), "DeadLetterConfig": {"Arn": "arn:aws:sns:us-east-1:000000000000:t"}}),
            "ValidationException",
        ),
    ] {
        let put = b.ok("PutTargets", one(bad.clone())).await;
        assert_eq!(
            (&put["FailedEntryCount"], &put["FailedEntries"][0]["ErrorCode"]),
            (&json!(1), &json!(code)),
            "{bad}"
        );
    }
    let targets: Vec<Value> = (0..5).map(|at| json!({"Id": at.to_string(), "Arn": queue("q")})).collect();
    b.ok("PutTargets", json!({"Rule": "r", "Targets": targets})).await;
    let sixth = one(json!({"Id": "5", "Arn": queue("q")}));
    assert_eq!(b.error("PutTargets", sixth).await, "LimitExceededException");
    let unknown = json!({"Rule": "x", "Targets": [{"Id": "1", "Arn": queue("q")}]});
    assert_eq!(b.error("PutTargets", unknown).await, "ResourceNotFoundException");
    let first = b.ok("ListTargetsByRule", json!({"Rule": "r", "Limit": 3})).await;
    assert_eq!((first["Targets"].as_array().unwrap().len(), &first["NextToken"]), (3, &json!("2")));
    let names = b.ok("ListRuleNamesByTarget", json!({"TargetArn": queue("q")})).await;
    assert_eq!(names, json!({"RuleNames": ["r"]}));
    assert_eq!(b.error("DeleteRule", none.clone()).await, "ValidationException");
    let removed = b.ok("RemoveTargets", json!({"Rule": "r", "Ids": ["0", "1", "2", "3", "4", "9"]})).await;
    assert_eq!((&removed["FailedEntryCount"], &removed["FailedEntries"][0]["TargetId"]), (&json!(1), &json!("9")));
    b.ok("DeleteRule", none).await;
    assert_eq!(b.ok("ListRules", json!({})).await, json!({"Rules": []}));
}

#[tokio::test]
async fn entries_are_taken_one_by_one() {
    let b = Bench::new();
    b.rule("r", json!([{"Id": "1", "Arn": queue("q")}])).await;
    let put = b
        .ok(
            "PutEvents",
            json!({"Entries": [
                entry("{\"a\":1}"),
                entry("[]"),
                {"Source": "my.app", "DetailType": "t"},
                {"Source": "aws.s3", "DetailType": "t", "Detail": "{}"},
                {"Source": "other", "DetailType": "t", "Detail": "{}"},
                {"Source": "my.app", "DetailType": "t", "Detail": "{}", "EventBusName": "none"},
            ]}),
        )
        .await;
    assert_eq!(put["FailedEntryCount"], 3);
    let codes: Vec<&str> =
        put["Entries"].as_array().unwrap().iter().map(|e| e["ErrorCode"].as_str().unwrap_or("")).collect();
    assert_eq!(codes, ["", "MalformedDetail", "InvalidArgument", "NotAuthorizedForSource", "", ""]);
    let sent = b.sent(1).await;
    let event: Value = serde_json::from_str(sent[0].1["MessageBody"].as_str().unwrap()).unwrap();
    assert_eq!((&event["id"], &event["detail"]), (&put["Entries"][0]["EventId"], &json!({"a": 1})));
    assert_eq!(event["time"], "2026-11-23T10:15:30Z");
    let eleven: Vec<Value> = (0..11).map(|_| entry("{}")).collect();
    assert_eq!(b.error("PutEvents", json!({"Entries": eleven})).await, "ValidationException");
    assert_eq!(b.error("PutEvents", json!({"Entries": []})).await, "ValidationException");
    let long = entry(&json!({"x": "y".repeat(1 << 20)}).to_string());
    assert_eq!(b.error("PutEvents", json!({"Entries": [long]})).await, "ValidationException");
    let test = json!({"EventPattern": "{\"source\":[\"my.app\"]}", "Event": event.to_string()});
    assert_eq!(b.ok("TestEventPattern", test).await, json!({"Result": true}));
    let test = json!({"EventPattern": "{\"source\":[\"x\"]}", "Event": "{}"});
    assert_eq!(b.error("TestEventPattern", test).await, "ValidationException");
}

#[tokio::test]
async fn what_is_not_taken_is_tried_again_and_buried() {
    let b = Bench::new();
    b.rule(
        "r",
        json!([
            {"Id": "gone", "Arn": queue("gone"), "DeadLetterConfig": {"Arn": queue("dead")}},
            {"Id": "busy", "Arn": queue("busy"), "DeadLetterConfig": {"Arn": queue("dead")},
             "RetryPolicy": {"MaximumRetryAttempts": 1}},
        ]),
    )
    .await;
    b.ok("PutEvents", json!({"Entries": [entry("{}")]})).await;
    let attribute = |sent: &Value, name: &str| sent["MessageAttributes"][name]["StringValue"].clone();
    let first = b.sent(1).await.remove(0).1;
    assert_eq!(attribute(&first, "ERROR_CODE"), "NO_RESOURCE");
    assert_eq!(attribute(&first, "RULE_ARN"), "arn:aws:events:us-east-1:000000000000:rule/r");
    assert_eq!(attribute(&first, "TARGET_ARN"), queue("gone"));
    // The other one is due again a little later.
    for _ in 0..2000 {
        b.clock.0.fetch_add(500, Ordering::Relaxed);
        if b.queues.0.lock().unwrap().len() == 2 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let second = b.sent(2).await.remove(1).1;
    assert_eq!(attribute(&second, "EXHAUSTED_RETRY_CONDITION"), "MaximumRetryAttempts");
    assert_eq!(attribute(&second, "RETRY_ATTEMPTS"), "1");
    let event: Value = serde_json::from_str(second["MessageBody"].as_str().unwrap()).unwrap();
    assert_eq!(event["source"], "my.app");
}

#[tokio::test]
async fn from_bus_to_bus_but_not_in_circles() {
    let b = Bench::new();
    b.ok("CreateEventBus", json!({"Name": "other"})).await;
    let bus = |name: &str| format!("arn:aws:events:us-east-1:000000000000:event-bus/{name}");
    b.rule("there", json!([{"Id": "1", "Arn": bus("other"), "DeadLetterConfig": {"Arn": queue("dead")}}, {"Id": "2", "Arn": queue("here")}])).await;
    let back = json!({"Name": "back", "EventBusName": "other", "EventPattern": "{\"source\":[\"my.app\"]}"});
    b.ok("PutRule", back).await;
    let targets = json!([
        {"Id": "1", "Arn": bus("default")},
        {"Id": "2", "Arn": queue("there")},
    ]);
    b.ok("PutTargets", json!({"Rule": "back", "EventBusName": "other", "Targets": targets})).await;
    let put = b.ok("PutEvents", json!({"Entries": [entry("{}")]})).await;
    // Eight buses after the first, and the last one's event is buried.
    let sent = b.sent(10).await;
    let count = |name: &str| sent.iter().filter(|(queue, _)| queue == name).count();
    assert_eq!((count("here"), count("there"), count("dead")), (5, 4, 1));
    for (_, message) in &sent {
        let event: Value = serde_json::from_str(message["MessageBody"].as_str().unwrap()).unwrap();
        assert_eq!(event["id"], put["Entries"][0]["EventId"]);
    }
}

#[tokio::test]
async fn a_rule_ticks_once_each_time_and_once_for_those_missed() {
    let store = Arc::new(MemoryStore::new());
    let b = Bench::over(store.clone(), START_MS);
    b.ok("PutRule", json!({"Name": "r", "ScheduleExpression": "cron(0/10 * * * ? *)"})).await;
    b.ok("PutTargets", json!({"Rule": "r", "Targets": [{"Id": "1", "Arn": queue("q")}]})).await;
    // The same rule again does not tick twice.
    b.ok("PutRule", json!({"Name": "r", "ScheduleExpression": "cron(0/10 * * * ? *)", "Description": "d"})).await;
    b.delivery.halt();
    b.delivery.settled().await;

    // Off for three hours, and a bit.
    let b = Bench::over(store.clone(), START_MS + 3 * 3_600_000);
    let event: Value = serde_json::from_str(b.sent(1).await[0].1["MessageBody"].as_str().unwrap()).unwrap();
    assert_eq!((&event["source"], &event["detail-type"]), (&json!("aws.events"), &json!("Scheduled Event")));
    assert_eq!(event["time"], "2026-11-23T10:20:00Z");
    assert_eq!(event["resources"], json!(["arn:aws:events:us-east-1:000000000000:rule/r"]));
    b.delivery.halt();
    b.delivery.settled().await;

    let b = Bench::over(store.clone(), START_MS + 3 * 3_600_000 + 300_000);
    let event: Value = serde_json::from_str(b.sent(1).await[0].1["MessageBody"].as_str().unwrap()).unwrap();
    assert_eq!(event["time"], "2026-11-23T13:20:00Z");
    b.ok("DisableRule", json!({"Name": "r"})).await;
    b.delivery.halt();
    b.delivery.settled().await;

    // A disabled rule's tick is nothing: the event after it is the first to arrive.
    let b = Bench::over(store.clone(), START_MS + 9 * 3_600_000);
    b.rule("plain", json!([{"Id": "1", "Arn": queue("plain")}])).await;
    b.ok("PutEvents", json!({"Entries": [entry("{}")]})).await;
    assert_eq!(b.sent(1).await[0].0, "plain");
    for _ in 0..2000 {
        if ticks(&store).await == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("the tick is still there");
}

#[tokio::test]
async fn archives_and_replays() {
    let b = Bench::new();
    let bus = "arn:aws:events:us-east-1:000000000000:event-bus/default";
    let archive = json!({"ArchiveName": "a", "EventSourceArn": bus, "EventPattern": "{\"detail\":{\"keep\":[true]}}", "RetentionDays": 1});
    let made = b.ok("CreateArchive", archive.clone()).await;
    assert_eq!(made["ArchiveArn"], "arn:aws:events:us-east-1:000000000000:archive/a");
    assert_eq!(b.error("CreateArchive", archive).await, "ResourceAlreadyExistsException");
    let none = json!({"ArchiveName": "b", "EventSourceArn": "arn:aws:events:us-east-1:000000000000:event-bus/none"});
    assert_eq!(b.error("CreateArchive", none).await, "ResourceNotFoundException");
    let bad = json!({"ArchiveName": "b", "EventSourceArn": bus, "EventPattern": "{"});
    assert_eq!(b.error("CreateArchive", bad).await, "InvalidEventPatternException");
    let big = json!({"keep": true, "x": "y".repeat(100_000)}).to_string();
    let entries = json!({"Entries": [entry("{\"keep\":true,\"n\":1}"), entry("{\"keep\":false}"), entry(&big)]});
    b.ok("PutEvents", entries).await;
    let seen = b.ok("DescribeArchive", json!({"ArchiveName": "a"})).await;
    assert_eq!(seen["EventCount"], 2);
    assert!(seen["SizeBytes"].as_u64().unwrap() > 100_000);
    b.ok("UpdateArchive", json!({"ArchiveName": "a", "RetentionDays": 2})).await;
    assert_eq!(b.ok("ListArchives", json!({})).await["Archives"][0]["RetentionDays"], 2);
    assert_eq!(b.error("DescribeArchive", json!({"ArchiveName": "x"})).await, "ResourceNotFoundException");

    b.rule("r", json!([{"Id": "1", "Arn": queue("q")}])).await;
    b.rule("other", json!([{"Id": "1", "Arn": queue("other")}])).await;
    let seconds = (START_MS / 1000) as f64;
    let replay = |name: &str| {
        json!({
            "ReplayName": name, "EventSourceArn": made["ArchiveArn"], "EventStartTime": seconds - 60.0,
            "EventEndTime": seconds + 60.0,
            "Destination": {"Arn": bus, "FilterArns": ["arn:aws:events:us-east-1:000000000000:rule/r"]},
        })
    };
    assert_eq!(b.ok("StartReplay", replay("p")).await["State"], "STARTING");
    assert_eq!(b.error("StartReplay", replay("p")).await, "ResourceAlreadyExistsException");
    let mut wrong = replay("w");
    wrong["EventEndTime"] = json!(seconds - 61.0);
    assert_eq!(b.error("StartReplay", wrong).await, "ValidationException");
    for (queue, message) in b.sent(2).await {
        let event: Value = serde_json::from_str(message["MessageBody"].as_str().unwrap()).unwrap();
        assert_eq!((queue.as_str(), &event["replay-name"], &event["detail"]["keep"]), ("q", &json!("p"), &json!(true)));
    }
    let named = json!({"ReplayName": "p"});
    for _ in 0..2000 {
        if b.ok("DescribeReplay", named.clone()).await["State"] == "COMPLETED" {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(b.ok("ListReplays", json!({})).await["Replays"][0]["State"], "COMPLETED");
    assert_eq!(b.error("CancelReplay", named).await, "IllegalStatusException");
    // What is replayed is not archived again.
    assert_eq!(b.ok("DescribeArchive", json!({"ArchiveName": "a"})).await["EventCount"], 2);
    b.ok("DeleteArchive", json!({"ArchiveName": "a"})).await;
    assert_eq!(b.error("DeleteArchive", json!({"ArchiveName": "a"})).await, "ResourceNotFoundException");
}

#[tokio::test]
async fn archives_let_go_of_what_is_old() {
    let store = Arc::new(MemoryStore::new());
    let b = Bench::over(store.clone(), START_MS);
    let bus = "arn:aws:events:us-east-1:000000000000:event-bus/default";
    b.ok("CreateArchive", json!({"ArchiveName": "a", "EventSourceArn": bus, "RetentionDays": 1})).await;
    b.ok("PutEvents", json!({"Entries": [entry("{}")]})).await;
    b.delivery.halt();
    b.delivery.settled().await;
    let b = Bench::over(store, START_MS + 2 * 86_400_000);
    for _ in 0..2000 {
        if b.ok("DescribeArchive", json!({"ArchiveName": "a"})).await["EventCount"] == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("the event is still there");
}

#[tokio::test]
async fn connections_and_destinations() {
    let b = Bench::new();
    let connection = json!({"Name": "c", "AuthorizationType": "API_KEY",
        "AuthParameters": {"ApiKeyAuthParameters": {"ApiKeyName": "x-key", "ApiKeyValue": "secret"}}});
    let made = b.ok("CreateConnection", connection.clone()).await;
    assert_eq!(made["ConnectionState"], "AUTHORIZED");
    assert_eq!(b.error("CreateConnection", connection).await, "ResourceAlreadyExistsException");
    let bad = json!({"Name": "d", "AuthorizationType": "BASIC", "AuthParameters": {}});
    assert_eq!(b.error("CreateConnection", bad).await, "ValidationException");
    let seen = b.ok("DescribeConnection", json!({"Name": "c"})).await;
    assert_eq!(seen["AuthParameters"], json!({"ApiKeyAuthParameters": {"ApiKeyName": "x-key"}}));
    assert!(!seen.to_string().contains("secret"));
    let destination = json!({"Name": "d", "ConnectionArn": made["ConnectionArn"], "HttpMethod": "POST",
        "InvocationEndpoint": "https://example.com/*"});
    b.ok("CreateApiDestination", destination.clone()).await;
    assert_eq!(b.error("CreateApiDestination", destination.clone()).await, "ResourceAlreadyExistsException");
    let mut bad = destination.clone();
    bad["InvocationEndpoint"] = json!("ftp://example.com");
    assert_eq!(b.error("CreateApiDestination", bad).await, "ValidationException");
    let mut bad = destination;
    bad["ConnectionArn"] = json!("arn:aws:events:us-east-1:000000000000:connection/x/y");
    assert_eq!(b.error("CreateApiDestination", bad).await, "ResourceNotFoundException");
    b.ok("UpdateApiDestination", json!({"Name": "d", "InvocationRateLimitPerSecond": 5})).await;
    assert_eq!(b.ok("DescribeApiDestination", json!({"Name": "d"})).await["InvocationRateLimitPerSecond"], 5);
    assert_eq!(b.ok("ListApiDestinations", json!({})).await["ApiDestinations"].as_array().unwrap().len(), 1);
    assert_eq!(b.error("DeleteConnection", json!({"Name": "c"})).await, "ValidationException");
    b.ok("DeleteApiDestination", json!({"Name": "d"})).await;
    assert_eq!(b.error("DeleteApiDestination", json!({"Name": "d"})).await, "ResourceNotFoundException");
    assert_eq!(b.ok("DeauthorizeConnection", json!({"Name": "c"})).await["ConnectionState"], "DEAUTHORIZED");
    let again = json!({"Name": "c", "AuthParameters": {"ApiKeyAuthParameters": {"ApiKeyValue": "new"}}});
    assert_eq!(b.ok("UpdateConnection", again).await["ConnectionState"], "AUTHORIZED");
    assert_eq!(b.ok("ListConnections", json!({})).await["Connections"].as_array().unwrap().len(), 1);
    b.ok("DeleteConnection", json!({"Name": "c"})).await;
    assert_eq!(b.error("DescribeConnection", json!({"Name": "c"})).await, "ResourceNotFoundException");
}

#[tokio::test]
async fn what_authorises_a_connection_is_not_stored_readably() {
    let b = Bench::new();
    let basic = json!({"BasicAuthParameters": {"Username": "u", "Password": "hush-hush"}});
    let input = json!({"Name": "c", "AuthorizationType": "BASIC", "AuthParameters": basic});
    let arn = b.ok("CreateConnection", input).await["ConnectionArn"].as_str().unwrap().to_owned();
    let storage = &b.events.core.storage;
    let place = model::Place { account: "000000000000".to_owned(), region: "us-east-1".to_owned() };
    let stored = || async { storage.get::<Value>(storage::Kind::Connection, &place, &["c"]).await.unwrap().unwrap().0 };
    let first = stored().await;
    assert!(!first.to_string().contains("hush"), "{first}");
    assert!(arn.ends_with(first["id"].as_str().unwrap()));
    // What is not given stays, and all of it is sealed again.
    let change = json!({"Name": "c", "AuthParameters": {"BasicAuthParameters": {"Username": "v"}}});
    b.ok("UpdateConnection", change).await;
    assert!(!stored().await.to_string().contains("hush"));
    let (opened, _) = storage.connection(&place, "c").await.unwrap().unwrap();
    let expect = json!({"BasicAuthParameters": {"Username": "v", "Password": "hush-hush"}});
    assert_eq!(opened.auth_parameters, expect);
    assert_eq!(
        b.ok("DescribeConnection", json!({"Name": "c"})).await["AuthParameters"]["BasicAuthParameters"],
        json!({"Username": "v"})
    );
    b.ok("DeauthorizeConnection", json!({"Name": "c"})).await;
    let (closed, _) = storage.connection(&place, "c").await.unwrap().unwrap();
    assert_eq!(closed.auth_parameters, json!({"BasicAuthParameters": {"Username": "v"}}));
}
