//! Each operation and the errors it declares, and ticks on their way, over the store in memory.

#![allow(clippy::unwrap_used)]
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use cumulet_store_memory::MemoryStore;
use cumulet_wire::auth::{Authorizer, Caller};
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
static ROLES: ServiceModel = ServiceModel {
    name: "iam",
    protocol: Protocol::Query,
    target: "",
    xmlns: "",
    operations: &[Operation::rpc("GetRole")],
    absent: &[],
};

/// Queues that keep what they are sent and by whom; one called `gone` refuses it.
#[derive(Default)]
struct Queues(Mutex<Vec<(String, Value)>>);

#[async_trait]
impl Service for Queues {
    fn model(&self) -> &'static ServiceModel {
        &QUEUES
    }

    async fn call(&self, call: Call) -> Result<Answer, ApiError> {
        let name = call.input["QueueUrl"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
        if name == "gone" {
            return Err(ApiError::new(400, "QueueDoesNotExist", "gone"));
        }
        assert!(call.context.caller.arn.starts_with("arn:aws:sts::000000000000:assumed-role/r/"));
        self.0.lock().unwrap().push((name, Value::Object(call.input)));
        Ok(Answer::empty())
    }
}

/// Two roles: `r` trusts the scheduler, `other` does not.
struct Roles;

#[async_trait]
impl Service for Roles {
    fn model(&self) -> &'static ServiceModel {
        &ROLES
    }

    async fn call(&self, call: Call) -> Result<Answer, ApiError> {
        let service = match call.input["RoleName"].as_str() {
            Some("r") => "scheduler.amazonaws.com",
            Some("other") => "lambda.amazonaws.com",
            _ => return Err(ApiError::new(404, "NoSuchEntity", "")),
        };
        let document = json!({"Version": "2012-10-17", "Statement": [{
            "Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole",
            "Condition": {"StringEquals": {"aws:SourceAccount": "000000000000"}},
        }]});
        Answer::json(json!({"Role": {"AssumeRolePolicyDocument": document.to_string().replace('{', "%7B")}}))
    }
}

struct Bench {
    scheduler: Arc<Scheduler>,
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
        let scheduler = Arc::new(Scheduler::new(store, clock.clone(), client.clone(), delivery.clone()));
        let queues = Arc::new(Queues::default());
        let registry = Registry::default().with(scheduler.clone()).with(queues.clone()).with(Arc::new(Roles));
        client.connect(registry, Arc::new(Anybody), clock.clone());
        delivery.start();
        Bench { scheduler, queues, clock, delivery }
    }

    async fn end(self) {
        self.delivery.halt();
        self.delivery.settled().await;
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
        self.scheduler.call(call).await.map(|answer| answer.output)
    }

    async fn ok(&self, operation: &str, input: Value) -> Value {
        self.call(operation, input).await.unwrap()
    }

    async fn error(&self, operation: &str, input: Value) -> String {
        self.call(operation, input).await.unwrap_err().code
    }

    /// Waits until the queues were sent as many messages.
    async fn sent(&self, count: usize) -> Vec<(String, Value)> {
        eventually(|| self.queues.0.lock().unwrap().len() >= count).await;
        let sent = self.queues.0.lock().unwrap().clone();
        assert_eq!(sent.len(), count, "{sent:?}");
        sent
    }
}

/// Ticks that lie in the store, which are in the shard of their schedules.
async fn ticks(store: &MemoryStore, group: &str) -> usize {
    use cumulet_store::{KeyWriter, Shard, Space, StoreExt};
    let lane = format!("000000000000/us-east-1/{group}");
    let (lo, hi) = KeyWriter::new().text("task").text(core::TICK).text(&lane).range();
    store.range(Shard::of("scheduler/000000000000/us-east-1"), Space(12), lo, hi, 100).await.unwrap().len()
}

async fn eventually(mut holds: impl FnMut() -> bool) {
    for _ in 0..2000 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn queue(name: &str) -> String {
    format!("arn:aws:sqs:us-east-1:000000000000:{name}")
}

fn schedule(name: &str, expression: &str) -> Value {
    json!({
        "Name": name,
        "ScheduleExpression": expression,
        "FlexibleTimeWindow": {"Mode": "OFF"},
        "Target": {"Arn": queue("q"), "RoleArn": "arn:aws:iam::000000000000:role/r"},
    })
}

fn with(mut value: Value, pointer: &str, new: Value) -> Value {
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    value.pointer_mut(parent).unwrap()[name] = new;
    value
}

#[tokio::test]
async fn schedules_are_made_shown_changed_and_deleted() {
    let b = Bench::new();
    let given = schedule("s", "rate(1 hour)");
    let made = b.ok("CreateSchedule", with(given.clone(), "/ClientToken", json!("t"))).await;
    assert_eq!(made["ScheduleArn"], "arn:aws:scheduler:us-east-1:000000000000:schedule/default/s");
    b.ok("CreateSchedule", with(given.clone(), "/ClientToken", json!("t"))).await;
    assert_eq!(b.error("CreateSchedule", given.clone()).await, "ConflictException");
    let seen = b.ok("GetSchedule", json!({"Name": "s"})).await;
    assert_eq!(seen["ScheduleExpressionTimezone"], "UTC");
    assert_eq!(seen["Target"]["RetryPolicy"], json!({"MaximumEventAgeInSeconds": 86400, "MaximumRetryAttempts": 185}));
    let update = with(with(given, "/State", json!("DISABLED")), "/Description", json!("d"));
    b.ok("UpdateSchedule", update.clone()).await;
    let seen = b.ok("GetSchedule", json!({"Name": "s"})).await;
    assert_eq!((&seen["State"], &seen["Description"]), (&json!("DISABLED"), &json!("d")));
    assert_eq!(b.error("UpdateSchedule", with(update, "/Name", json!("x"))).await, "ResourceNotFoundException");
    b.ok("CreateSchedule", schedule("t", "rate(1 hour)")).await;
    let first = b.ok("ListSchedules", json!({"MaxResults": "1"})).await;
    assert_eq!((&first["Schedules"][0]["Name"], &first["NextToken"]), (&json!("s"), &json!("default/s")));
    let rest = b.ok("ListSchedules", json!({"NextToken": "default/s", "GroupName": "default"})).await;
    assert_eq!((&rest["Schedules"][0]["Name"], rest.get("NextToken")), (&json!("t"), None));
    let off = b.ok("ListSchedules", json!({"State": "DISABLED", "NamePrefix": "s"})).await;
    assert_eq!(off["Schedules"].as_array().unwrap().len(), 1);
    b.ok("DeleteSchedule", json!({"Name": "s"})).await;
    for operation in ["DeleteSchedule", "GetSchedule"] {
        assert_eq!(b.error(operation, json!({"Name": "s"})).await, "ResourceNotFoundException");
    }
}

#[tokio::test]
async fn refused() {
    let b = Bench::new();
    let given = schedule("s", "rate(1 hour)");
    for (pointer, value, code) in [
        ("/Name", json!("a b"), "ValidationException"),
        ("/ScheduleExpression", json!("rate(1 second)"), "ValidationException"),
        ("/ScheduleExpressionTimezone", json!("Mars/Olympus"), "ValidationException"),
        ("/FlexibleTimeWindow/Mode", json!("FLEXIBLE"), "ValidationException"),
        ("/FlexibleTimeWindow/MaximumWindowInMinutes", json!(5), "ValidationException"),
        ("/StartDate", json!(1_000_000_000), "ValidationException"),
        ("/EndDate", json!(1_000_000_000), "ValidationException"),
        ("/State", json!("ON"), "ValidationException"),
        ("/GroupName", json!("none"), "ResourceNotFoundException"),
        ("/Target/RoleArn", json!("arn:aws:iam::000000000000:role/other"), "ValidationException"),
        ("/Target/RoleArn", json!("arn:aws:iam::000000000000:role/none"), "ValidationException"),
        ("/Target/RoleArn", json!("r"), "ValidationException"),
        ("/Target/RetryPolicy", json!({"MaximumRetryAttempts": 186}), "ValidationException"),
        ("/Target/EcsParameters", json!({"TaskDefinitionArn": "x"}), "NotImplemented"),
        ("/Target/Arn", json!("arn:aws:states:us-east-1:000000000000:stateMachine:s"), "NotImplemented"),
        ("/Target/Arn", json!("arn:aws:scheduler:::aws-sdk:sqs:receiveMessage"), "ValidationException"),
        ("/Target/Arn", json!("arn:aws:events:us-east-1:000000000000:event-bus/default"), "ValidationException"),
        ("/Target/Arn", json!(queue("q.fifo")), "ValidationException"),
        ("/Target/Input", json!("x".repeat(50_000)), "ServiceQuotaExceededException"),
    ] {
        assert_eq!(
            b.error("CreateSchedule", with(given.clone(), pointer, value.clone())).await,
            code,
            "{pointer} {value}"
        );
    }
    let error = b.call("CreateSchedule", schedule("s", "cron(x)")).await.unwrap_err();
    assert_eq!(error.message, "Invalid Schedule Expression cron(x).");
}

#[tokio::test]
async fn a_group_goes_with_its_schedules() {
    let b = Bench::new();
    let made = b.ok("CreateScheduleGroup", json!({"Name": "g", "Tags": [{"Key": "a", "Value": "1"}]})).await;
    assert_eq!(made["ScheduleGroupArn"], "arn:aws:scheduler:us-east-1:000000000000:schedule-group/g");
    for name in ["g", "default"] {
        assert_eq!(b.error("CreateScheduleGroup", json!({"Name": name})).await, "ConflictException");
    }
    let listed = b.ok("ListScheduleGroups", json!({})).await;
    let names: Vec<&Value> = listed["ScheduleGroups"].as_array().unwrap().iter().map(|g| &g["Name"]).collect();
    assert_eq!(names, ["default", "g"]);
    let arn = &made["ScheduleGroupArn"];
    b.ok("TagResource", json!({"ResourceArn": arn, "Tags": [{"Key": "b", "Value": "2"}]})).await;
    b.ok("UntagResource", json!({"ResourceArn": arn, "TagKeys": ["a"]})).await;
    let tags = b.ok("ListTagsForResource", json!({"ResourceArn": arn})).await;
    assert_eq!(tags, json!({"Tags": [{"Key": "b", "Value": "2"}]}));
    for name in ["s", "t"] {
        b.ok("CreateSchedule", with(schedule(name, "rate(1 hour)"), "/GroupName", json!("g"))).await;
    }
    b.ok("DeleteScheduleGroup", json!({"Name": "g"})).await;
    for _ in 0..2000 {
        if b.call("GetScheduleGroup", json!({"Name": "g"})).await.is_err() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(b.error("GetScheduleGroup", json!({"Name": "g"})).await, "ResourceNotFoundException");
    assert_eq!(b.ok("ListSchedules", json!({})).await, json!({"Schedules": []}));
    assert_eq!(b.error("DeleteScheduleGroup", json!({"Name": "default"})).await, "ValidationException");
}

#[tokio::test]
async fn once_and_gone() {
    let b = Bench::new();
    let input = "{\"at\":\"<aws.scheduler.scheduled-time>\",\"by\":\"<aws.scheduler.schedule-arn>\",\"n\":<aws.scheduler.attempt-number>}";
    let given = schedule("s", "at(2026-11-23T11:15:30)");
    let given = with(given, "/ScheduleExpressionTimezone", json!("Europe/Berlin"));
    let given = with(given, "/ActionAfterCompletion", json!("DELETE"));
    b.ok("CreateSchedule", with(given, "/Target/Input", json!(input))).await;
    let body: Value = serde_json::from_str(b.sent(1).await[0].1["MessageBody"].as_str().unwrap()).unwrap();
    let arn = "arn:aws:scheduler:us-east-1:000000000000:schedule/default/s";
    assert_eq!(body, json!({"at": "2026-11-23T10:15:30Z", "by": arn, "n": 1}));
    for _ in 0..2000 {
        if b.call("GetSchedule", json!({"Name": "s"})).await.is_err() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("the schedule is still there");
}

#[tokio::test]
async fn missed_ticks_happen_once() {
    let store = Arc::new(MemoryStore::new());
    let b = Bench::over(store.clone(), START_MS);
    b.ok("CreateSchedule", schedule("s", "rate(1 minute)")).await;
    // A schedule that is changed has the ticks of its new expression only.
    b.ok("UpdateSchedule", schedule("s", "rate(10 minutes)")).await;
    // The past is no reason to be called.
    b.ok("CreateSchedule", schedule("past", "at(2026-11-22T10:15:30)")).await;
    b.end().await;
    let b = Bench::over(store.clone(), START_MS + 3_600_000);
    let body: Value = serde_json::from_str(b.sent(1).await[0].1["MessageBody"].as_str().unwrap()).unwrap();
    assert_eq!((&body["source"], &body["time"]), (&json!("aws.scheduler"), &json!("2026-11-23T10:25:30Z")));
    b.end().await;
    // Two days later the missed one is too old, and the one after it is not due.
    let b = Bench::over(store.clone(), START_MS + 2 * 86_400_000);
    b.ok("CreateSchedule", schedule("now", "at(2026-11-25T10:15:30)")).await;
    assert!(b.sent(1).await[0].1["MessageBody"].as_str().unwrap().contains("schedule/default/now"));
    b.end().await;
}

/// The clock is set while the platform runs: no tick twice, none too early, and the next one after it has come around.
#[tokio::test]
async fn ticks_follow_a_clock_that_is_set() {
    let b = Bench::new();
    b.ok("CreateSchedule", schedule("s", "rate(10 minutes)")).await;
    let mut expected = 0;
    for (n, (minutes, ticks)) in
        [(5, 0), (65, 1), (-120, 0), (3, 0), (69, 0), (74, 1), (600, 1), (-5, 0)].into_iter().enumerate()
    {
        let now_ms = START_MS.saturating_add_signed(minutes * 60_000);
        b.clock.0.store(now_ms, Ordering::Relaxed);
        // One of its own group, which tells that what was due before it was looked at.
        let now = cumulet_base::clock::iso_ms(now_ms);
        let own = format!("own{n}");
        b.ok("CreateSchedule", schedule(&own, &format!("at({})", &now[..19]))).await;
        let named = |name: &str| {
            let sent = b.queues.0.lock().unwrap();
            sent.iter().filter(|(_, m)| m.to_string().contains(&format!("default/{name}"))).count()
        };
        eventually(|| named(&own) == 1).await;
        expected += ticks;
        eventually(|| named("s") >= expected).await;
        assert_eq!((named(&own), named("s")), (1, expected), "at minute {minutes}");
    }
    b.end().await;
}

#[tokio::test]
async fn windows_starts_and_ends() {
    let store = Arc::new(MemoryStore::new());
    let b = Bench::over(store.clone(), START_MS);
    let second = START_MS / 1000;
    let bounded = with(schedule("s", "rate(10 minutes)"), "/StartDate", json!(second + 60));
    b.ok("CreateSchedule", with(bounded, "/EndDate", json!(second + 660))).await;
    let window = json!({"Mode": "FLEXIBLE", "MaximumWindowInMinutes": 15});
    b.ok("CreateSchedule", with(schedule("w", "at(2026-11-23T10:15:30)"), "/FlexibleTimeWindow", window)).await;
    b.end().await;
    let mut seen = Vec::new();
    for minutes in [1, 2, 11, 12, 31, 300] {
        let b = Bench::over(store.clone(), START_MS + minutes * 60_000);
        // A tick of its own tells that those before it were looked at.
        let now = cumulet_base::clock::iso_ms(b.clock.now_ms());
        b.ok("CreateSchedule", schedule(&format!("now{minutes}"), &format!("at({})", &now[..19]))).await;
        let own = |sent: &[(String, Value)]| sent.iter().any(|(_, m)| m.to_string().contains(&format!("now{minutes}")));
        eventually(|| own(&b.queues.0.lock().unwrap())).await;
        eventually(|| {
            minutes != 1 && minutes != 11
                || b.queues.0.lock().unwrap().iter().any(|(_, m)| m.to_string().contains("default/s"))
        })
        .await;
        eventually(|| {
            minutes != 31
                || seen.iter().any(|(_, n)| n == "w")
                || b.queues.0.lock().unwrap().iter().any(|(_, m)| m.to_string().contains("default/w"))
        })
        .await;
        for (_, message) in b.queues.0.lock().unwrap().iter() {
            let body: Value = serde_json::from_str(message["MessageBody"].as_str().unwrap()).unwrap();
            let name = body["resources"][0].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
            if !name.starts_with("now") {
                seen.push((minutes, name));
            }
        }
        b.end().await;
    }
    let of = |name: &str| seen.iter().filter(|(_, n)| n == name).map(|(minutes, _)| *minutes).collect::<Vec<u64>>();
    assert_eq!(of("s"), [1, 11]);
    assert_eq!(of("w").len(), 1, "{seen:?}");
}

#[tokio::test]
async fn what_is_not_taken_is_buried() {
    let b = Bench::new();
    let given = with(schedule("s", "at(2026-11-23T10:15:30)"), "/Target/Arn", json!(queue("gone")));
    let given = with(given, "/Target/DeadLetterConfig", json!({"Arn": queue("dead")}));
    b.ok("CreateSchedule", with(given, "/Target/Input", json!("\"hello\""))).await;
    let (name, message) = b.sent(1).await.remove(0);
    assert_eq!((name.as_str(), &message["MessageBody"]), ("dead", &json!("\"hello\"")));
    let attribute = |name: &str| message["MessageAttributes"][name]["StringValue"].as_str().unwrap();
    assert_eq!(attribute("ERROR_CODE"), "NO_RESOURCE");
    assert_eq!(attribute("SCHEDULE_ARN"), "arn:aws:scheduler:us-east-1:000000000000:schedule/default/s");
    assert_eq!(attribute("SCHEDULED_TIME"), "2026-11-23T10:15:30Z");
}

#[tokio::test]
async fn any_operation_can_be_a_target() {
    let b = Bench::new();
    let given = with(
        schedule("s", "at(2026-11-23T10:15:30)"),
        "/Target/Arn",
        json!("arn:aws:scheduler:::aws-sdk:sqs:sendMessage"),
    );
    let input = json!({"QueueUrl": "http://localhost/000000000000/q", "MessageBody": "<aws.scheduler.execution-id>"});
    b.ok("CreateSchedule", with(given, "/Target/Input", json!(input.to_string()))).await;
    let (name, message) = b.sent(1).await.remove(0);
    assert_eq!((name.as_str(), message["MessageBody"].as_str().unwrap().len()), ("q", 36));
}

#[tokio::test]
async fn deleted_schedules_leave_no_tick() {
    let store = Arc::new(MemoryStore::new());
    let b = Bench::over(store.clone(), START_MS);
    b.ok("CreateSchedule", schedule("s", "at(2036-11-23T10:15:30)")).await;
    b.ok("UpdateSchedule", schedule("s", "at(2037-11-23T10:15:30)")).await;
    assert_eq!(ticks(&store, "default").await, 1);
    b.ok("DeleteSchedule", json!({"Name": "s"})).await;
    assert_eq!(ticks(&store, "default").await, 0);
}
