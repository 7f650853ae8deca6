//! Events over a queue and a bus that only keep what they are sent: destinations, dead letters, retries, age.
#![allow(clippy::unwrap_used)]
use std::sync::Mutex;
use std::time::Duration;

use cumulet_wire::call::{Answer, Call};
use cumulet_wire::operation::{Operation, Protocol, Registry, Service, ServiceModel};
use serde_json::{Value, json};

use super::*;
use crate::tests::Fixture;

const QUEUE: &str = "arn:aws:sqs:us-east-1:000000000000:q";
const BUS: &str = "arn:aws:events:us-east-1:000000000000:event-bus/default";

const QUEUES: ServiceModel = ServiceModel {
    name: "sqs",
    protocol: Protocol::Json10,
    target: "",
    xmlns: "",
    operations: &[Operation::rpc("SendMessage")],
    absent: &[],
};
const BUSES: ServiceModel = ServiceModel { name: "events", operations: &[Operation::rpc("PutEvents")], ..QUEUES };

/// Keeps what it is sent; may be busy at first.
struct Inbox {
    model: &'static ServiceModel,
    letters: Mutex<Vec<(String, Value)>>,
    busy: Mutex<u32>,
}

#[async_trait]
impl Service for Inbox {
    fn model(&self) -> &'static ServiceModel {
        self.model
    }

    async fn call(&self, call: Call) -> Result<Answer, ApiError> {
        let mut busy = self.busy.lock().unwrap();
        if *busy > 0 {
            *busy -= 1;
            return Err(ApiError::new(503, "ServiceUnavailable", "busy"));
        }
        self.letters.lock().unwrap().push((call.context.caller.arn.clone(), Value::Object(call.input)));
        Answer::json(json!({"Entries": [{}]}))
    }
}

impl Inbox {
    fn new(model: &'static ServiceModel) -> Arc<Inbox> {
        Arc::new(Inbox { model, letters: Mutex::default(), busy: Mutex::new(0) })
    }

    async fn letter(&self) -> (String, Value) {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
        loop {
            if let Some(letter) = self.letters.lock().unwrap().pop() {
                return letter;
            }
            assert!(tokio::time::Instant::now() < deadline, "no letter came");
            tokio::task::yield_now().await;
        }
    }
}

async fn world() -> (Fixture, Arc<Inbox>, Arc<Inbox>) {
    let (queue, bus) = (Inbox::new(&QUEUES), Inbox::new(&BUSES));
    let registry = Registry::default().with(queue.clone()).with(bus.clone());
    let fixture = Fixture::with(registry);
    fixture.create("f").await.unwrap();
    fixture.delivery.start();
    (fixture, queue, bus)
}

async fn send(fixture: &Fixture, payload: &'static str) {
    let input = json!({"FunctionName": "f", "InvocationType": "Event"});
    let answer = fixture.call_raw("Invoke", input, Bytes::from_static(payload.as_bytes())).await.unwrap();
    assert_eq!(answer.status, Some(202));
}

#[tokio::test]
async fn success_and_failure_go_to_their_destinations() {
    let (fixture, queue, bus) = world().await;
    let config = json!({"FunctionName": "f", "MaximumRetryAttempts": 1, "DestinationConfig":
        {"OnSuccess": {"Destination": BUS}, "OnFailure": {"Destination": QUEUE}}});
    fixture.call("PutFunctionEventInvokeConfig", config).await.unwrap();
    send(&fixture, r#"{"n":1}"#).await;
    let (caller, letter) = bus.letter().await;
    assert_eq!(caller, "arn:aws:sts::000000000000:assumed-role/r/f");
    let entry = &letter["Entries"][0];
    assert_eq!(
        (&entry["Source"], &entry["DetailType"]),
        (&json!("lambda"), &json!("Lambda Function Invocation Result - Success"))
    );
    let record: Value = serde_json::from_str(entry["Detail"].as_str().unwrap()).unwrap();
    assert_eq!(
        (&record["requestPayload"], &record["responsePayload"], &record["requestContext"]["condition"]),
        (&json!({"n": 1}), &json!({"n": 1}), &json!("Success"))
    );

    *queue.busy.lock().unwrap() = 1;
    send(&fixture, r#"{"fail":true}"#).await;
    let (_, letter) = queue.letter().await;
    let record: Value = serde_json::from_str(letter["MessageBody"].as_str().unwrap()).unwrap();
    assert_eq!(
        (&record["requestContext"]["condition"], &record["requestContext"]["approximateInvokeCount"]),
        (&json!("RetriesExhausted"), &json!(2))
    );
    assert_eq!(record["responseContext"]["functionError"], "Unhandled");
    assert_eq!(record["responsePayload"]["errorMessage"], "as asked");
}

#[tokio::test]
async fn dead_letters_carry_the_event() {
    let (fixture, queue, _) = world().await;
    let dead = json!({"FunctionName": "f", "DeadLetterConfig": {"TargetArn": QUEUE}});
    fixture.call("UpdateFunctionConfiguration", dead).await.unwrap();
    send(&fixture, r#"{"fail":true}"#).await;
    let (_, letter) = queue.letter().await;
    assert_eq!(letter["MessageBody"], r#"{"fail":true}"#);
    assert_eq!(letter["MessageAttributes"]["ErrorMessage"]["StringValue"], "as asked");
    assert_eq!(letter["MessageAttributes"]["ErrorCode"]["StringValue"], "200");
    assert_eq!(fixture.echo.traces.lock().unwrap().len(), 3, "two retries unless said otherwise");
}

#[tokio::test]
async fn throttled_events_wait_and_are_not_counted() {
    let (fixture, _, bus) = world().await;
    let config = json!({"FunctionName": "f", "MaximumRetryAttempts": 0, "DestinationConfig": {"OnSuccess": {"Destination": BUS}}});
    fixture.call("PutFunctionEventInvokeConfig", config).await.unwrap();
    fixture.fail_times(InvokeError::Throttled { reason: "R" }, 1);
    send(&fixture, "{}").await;
    let (_, letter) = bus.letter().await;
    let record: Value = serde_json::from_str(letter["Entries"][0]["Detail"].as_str().unwrap()).unwrap();
    assert_eq!(record["requestContext"]["approximateInvokeCount"], 1);
}

#[tokio::test]
async fn too_old_events_are_given_up() {
    let (fixture, queue, _) = world().await;
    let config = json!({"FunctionName": "f", "MaximumEventAgeInSeconds": 60, "DestinationConfig": {"OnFailure": {"Destination": QUEUE}}});
    fixture.call("PutFunctionEventInvokeConfig", config).await.unwrap();
    let target = crate::tests::target("f");
    let mut event = Event::new(&target, Invocation { payload: "{}".into(), ..Invocation::default() }, 0);
    event.accepted_ms = 1;
    let task = NewTask { owner: OWNER, lane: target.arn(), due_ms: 0, body: event.encode() };
    fixture.delivery.send(vec![task]).await.unwrap();
    let (_, letter) = queue.letter().await;
    let record: Value = serde_json::from_str(letter["MessageBody"].as_str().unwrap()).unwrap();
    assert_eq!(record["requestContext"]["condition"], "EventAgeExceeded");
    assert!(fixture.echo.traces.lock().unwrap().is_empty());
}

#[tokio::test]
async fn the_older_way_is_accepted_too() {
    let (fixture, _, bus) = world().await;
    let config = json!({"FunctionName": "f", "DestinationConfig": {"OnSuccess": {"Destination": BUS}}});
    fixture.call("PutFunctionEventInvokeConfig", config).await.unwrap();
    let answer =
        fixture.call_raw("InvokeAsync", json!({"FunctionName": "f"}), Bytes::from_static(b"{}")).await.unwrap();
    assert_eq!(answer.status, Some(202));
    bus.letter().await;
    let missing = fixture.call_raw("InvokeAsync", json!({"FunctionName": "g"}), Bytes::new()).await;
    assert_eq!(missing.unwrap_err().status, 404);
}
