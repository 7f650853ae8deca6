//! Each operation and the errors it declares, over the store in memory.

#![allow(clippy::unwrap_used)]
use std::sync::atomic::{AtomicU64, Ordering};

use cumulet_store_memory::MemoryStore;
use cumulet_wire::auth::Caller;
use cumulet_wire::call::Context;
use serde_json::{Value, json};

use super::*;

mod clock;
mod errors;
mod fair;
mod fifo;
mod moves;

struct Hand(AtomicU64);

impl Clock for Hand {
    fn now_ms(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

#[derive(Clone)]
struct Bench {
    sqs: Arc<Sqs>,
    store: Arc<MemoryStore>,
    clock: Arc<Hand>,
}

impl Bench {
    fn new() -> Bench {
        let clock = Arc::new(Hand(AtomicU64::new(1_795_428_930_123)));
        let store = Arc::new(MemoryStore::new());
        let delivery = Delivery::new(store.clone(), clock.clone());
        let sqs = Arc::new(Sqs::new(store.clone(), clock.clone(), delivery.clone()));
        delivery.start();
        Bench { sqs, store, clock }
    }

    /// The same queues after a start.
    fn again(&self) -> Bench {
        let delivery = Delivery::new(self.store.clone(), self.clock.clone());
        let sqs = Arc::new(Sqs::new(self.store.clone(), self.clock.clone(), delivery));
        Bench { sqs, ..self.clone() }
    }

    fn pass(&self, s: u64) {
        self.clock.0.fetch_add(s * 1000, Ordering::Relaxed);
    }

    async fn call(&self, operation: &str, input: Value) -> Result<Value, ApiError> {
        call(&self.sqs, operation, input, self.clock.now_ms()).await
    }

    async fn ok(&self, operation: &str, input: Value) -> Value {
        self.call(operation, input).await.unwrap()
    }

    async fn error(&self, operation: &str, input: Value) -> String {
        self.call(operation, input).await.unwrap_err().code
    }
}

fn call_of(operation: &str, input: Value, caller: Caller, now_ms: u64) -> Call {
    let Value::Object(input) = input else { panic!("the input is an object") };
    let context = Context {
        caller,
        region: "us-east-1".to_owned(),
        request_id: "r".to_owned(),
        host: "localhost:4566".to_owned(),
        now_ms,
        trace: None,
    };
    let operation = OPERATIONS.iter().find(|o| o.name == operation).unwrap();
    Call { operation, input, payload: bytes::Bytes::new(), context }
}

async fn call(sqs: &Sqs, operation: &str, input: Value, now_ms: u64) -> Result<Value, ApiError> {
    sqs.call(call_of(operation, input, Caller::owner("000000000000"), now_ms)).await.map(|answer| answer.output)
}

const Q: &str = "http://localhost:4566/000000000000/q";
const DEAD: &str = "http://localhost:4566/000000000000/dead";

#[tokio::test]
async fn queues_attributes_and_tags() {
    let b = Bench::new();
    let made = b.ok("CreateQueue", json!({"QueueName": "q", "Attributes": {"DelaySeconds": "1"}})).await;
    assert_eq!(made["QueueUrl"], Q);
    b.ok("CreateQueue", json!({"QueueName": "q"})).await;
    let other = json!({"QueueName": "q", "Attributes": {"DelaySeconds": "2"}});
    assert_eq!(b.error("CreateQueue", other).await, "QueueNameExists");
    assert_eq!(b.error("CreateQueue", json!({"QueueName": "a b"})).await, "InvalidParameterValue");
    let bad = json!({"QueueUrl": Q, "Attributes": {"VisibilityTimeout": "43201"}});
    assert_eq!(b.error("SetQueueAttributes", bad).await, "InvalidAttributeValue");
    let unknown = json!({"QueueUrl": Q, "Attributes": {"X": "1"}});
    assert_eq!(b.error("SetQueueAttributes", unknown).await, "InvalidAttributeName");
    b.ok("SetQueueAttributes", json!({"QueueUrl": Q, "Attributes": {"DelaySeconds": "0"}})).await;
    let shown = b.ok("GetQueueAttributes", json!({"QueueUrl": Q, "AttributeNames": ["All"]})).await;
    assert_eq!(shown["Attributes"]["DelaySeconds"], "0");
    assert_eq!(shown["Attributes"]["QueueArn"], "arn:aws:sqs:us-east-1:000000000000:q");
    b.ok("TagQueue", json!({"QueueUrl": Q, "Tags": {"a": "1", "b": "2"}})).await;
    b.ok("UntagQueue", json!({"QueueUrl": Q, "TagKeys": ["a"]})).await;
    assert_eq!(b.ok("ListQueueTags", json!({"QueueUrl": Q})).await, json!({"Tags": {"b": "2"}}));
    b.ok("CreateQueue", json!({"QueueName": "q2"})).await;
    let first = b.ok("ListQueues", json!({"QueueNamePrefix": "q", "MaxResults": 1})).await;
    assert_eq!(first["QueueUrls"], json!([Q]));
    let rest = b.ok("ListQueues", json!({"MaxResults": 1, "NextToken": first["NextToken"]})).await;
    assert_eq!(rest["QueueUrls"].as_array().unwrap().len(), 1);
    assert!(rest.get("NextToken").is_none());
    assert_eq!(b.ok("ListQueues", json!({"QueueNamePrefix": "none"})).await, json!({}));
    assert_eq!(b.ok("ListDeadLetterSourceQueues", json!({"QueueUrl": Q})).await, json!({"queueUrls": []}));
    b.ok("PurgeQueue", json!({"QueueUrl": Q})).await;
    assert_eq!(b.error("PurgeQueue", json!({"QueueUrl": Q})).await, "PurgeQueueInProgress");
    b.ok("DeleteQueue", json!({"QueueUrl": Q})).await;
    assert_eq!(b.error("GetQueueUrl", json!({"QueueName": "q"})).await, "QueueDoesNotExist");
}

#[tokio::test]
async fn a_message_comes_until_it_is_deleted() {
    let b = Bench::new();
    b.ok("CreateQueue", json!({"QueueName": "q"})).await;
    // Larger than a row of the store.
    let body = "x".repeat(200_000);
    b.ok("SendMessage", json!({"QueueUrl": Q, "MessageBody": body})).await;
    let receive = json!({"QueueUrl": Q, "AttributeNames": ["All"]});
    let first = b.ok("ReceiveMessage", receive.clone()).await["Messages"][0].clone();
    assert_eq!(first["Body"], body);
    assert_eq!(b.ok("ReceiveMessage", receive.clone()).await, Value::Null);
    b.pass(30);
    let second = b.ok("ReceiveMessage", receive.clone()).await["Messages"][0].clone();
    assert_eq!(second["Attributes"]["ApproximateReceiveCount"], "2");
    // An older receipt deletes nothing.
    b.ok("DeleteMessage", json!({"QueueUrl": Q, "ReceiptHandle": first["ReceiptHandle"]})).await;
    let back = json!({"QueueUrl": Q, "ReceiptHandle": second["ReceiptHandle"], "VisibilityTimeout": 0});
    b.ok("ChangeMessageVisibility", back.clone()).await;
    assert_eq!(b.error("ChangeMessageVisibility", back).await, "MessageNotInflight");
    let third = b.ok("ReceiveMessage", receive.clone()).await["Messages"][0].clone();
    b.ok("DeleteMessage", json!({"QueueUrl": Q, "ReceiptHandle": third["ReceiptHandle"]})).await;
    b.pass(60);
    assert_eq!(b.ok("ReceiveMessage", receive).await, Value::Null);
    let bad = json!({"QueueUrl": Q, "ReceiptHandle": "?"});
    assert_eq!(b.error("DeleteMessage", bad).await, "ReceiptHandleIsInvalid");
}

#[tokio::test]
async fn batches_delays_and_retention() {
    let b = Bench::new();
    b.ok("CreateQueue", json!({"QueueName": "q"})).await;
    let entry = |id: &str| json!({"Id": id, "MessageBody": id});
    let send = |entries: Value| json!({"QueueUrl": Q, "Entries": entries});
    assert_eq!(b.error("SendMessageBatch", send(json!([]))).await, "EmptyBatchRequest");
    let twice = send(json!([entry("a"), entry("a")]));
    assert_eq!(b.error("SendMessageBatch", twice).await, "BatchEntryIdsNotDistinct");
    assert_eq!(b.error("SendMessageBatch", send(json!([entry("?")]))).await, "InvalidBatchEntryId");
    let eleven: Vec<Value> = (0..11).map(|i| entry(&i.to_string())).collect();
    assert_eq!(b.error("SendMessageBatch", send(eleven.into())).await, "TooManyEntriesInBatchRequest");
    let late = json!({"Id": "late", "MessageBody": "late", "DelaySeconds": 5});
    let empty = json!({"Id": "empty", "MessageBody": ""});
    let sent = b.ok("SendMessageBatch", send(json!([entry("a"), late, empty]))).await;
    assert_eq!(sent["Successful"].as_array().unwrap().len(), 2);
    assert_eq!(sent["Failed"][0]["Id"], "empty");
    let receive = json!({"QueueUrl": Q, "MaxNumberOfMessages": 10, "VisibilityTimeout": 0});
    let bodies = |answer: &Value| -> Vec<String> {
        let list = answer["Messages"].as_array().cloned().unwrap_or_default();
        list.iter().map(|m| m["Body"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(bodies(&b.ok("ReceiveMessage", receive.clone()).await), ["a"]);
    b.pass(5);
    assert_eq!(bodies(&b.ok("ReceiveMessage", receive.clone()).await), ["a", "late"]);
    b.pass(345_600);
    assert!(bodies(&b.ok("ReceiveMessage", receive).await).is_empty());
    let long = "x".repeat(cumulet_base::limits::QUEUE_MESSAGE_BYTES_MAX + 1);
    let long = json!({"QueueUrl": Q, "MessageBody": long});
    assert_eq!(b.error("SendMessage", long).await, "InvalidParameterValue");
    let odd = json!({"QueueUrl": Q, "MessageBody": "\u{1}"});
    assert_eq!(b.error("SendMessage", odd).await, "InvalidMessageContents");
}

#[tokio::test]
async fn what_is_received_too_often_is_a_dead_letter() {
    let b = Bench::new();
    b.ok("CreateQueue", json!({"QueueName": "dead"})).await;
    let policy = r#"{"deadLetterTargetArn":"arn:aws:sqs:us-east-1:000000000000:dead","maxReceiveCount":2}"#;
    b.ok("CreateQueue", json!({"QueueName": "q", "Attributes": {"RedrivePolicy": policy}})).await;
    assert_eq!(b.ok("ListDeadLetterSourceQueues", json!({"QueueUrl": DEAD})).await["queueUrls"], json!([Q]));
    b.ok("SendMessage", json!({"QueueUrl": Q, "MessageBody": "m"})).await;
    for _ in 0..2 {
        assert_eq!(b.ok("ReceiveMessage", json!({"QueueUrl": Q})).await["Messages"][0]["Body"], "m");
        b.pass(30);
    }
    assert_eq!(b.ok("ReceiveMessage", json!({"QueueUrl": Q})).await, Value::Null);
    let dead = b.ok("ReceiveMessage", json!({"QueueUrl": DEAD, "AttributeNames": ["All"]})).await;
    assert_eq!(dead["Messages"][0]["Body"], "m");
    let source = &dead["Messages"][0]["Attributes"]["DeadLetterQueueSourceArn"];
    assert_eq!(source, "arn:aws:sqs:us-east-1:000000000000:q");
}

#[tokio::test]
async fn a_waiting_receiver_is_woken() {
    let b = Bench::new();
    b.ok("CreateQueue", json!({"QueueName": "q"})).await;
    let (sqs, now_ms) = (b.sqs.clone(), b.clock.now_ms());
    let input = json!({"QueueUrl": Q, "WaitTimeSeconds": 20});
    let waiting = tokio::spawn(async move { call(&sqs, "ReceiveMessage", input, now_ms).await });
    tokio::task::yield_now().await;
    b.ok("SendMessage", json!({"QueueUrl": Q, "MessageBody": "m"})).await;
    assert_eq!(waiting.await.unwrap().unwrap()["Messages"][0]["Body"], "m");
}
