//! Each operation and the errors it declares, over the store in memory, beside services that note what they are asked.

#![allow(clippy::unwrap_used)]
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use cumulet_store_memory::MemoryStore;
use cumulet_wire::auth::Caller;
use cumulet_wire::call::Context;
use cumulet_wire::operation::Registry;
use rsa::pkcs8::DecodePrivateKey;
use serde_json::{Value, json};
use sha1::{Digest, Sha1};

use super::*;

struct Hand(AtomicU64);

impl Clock for Hand {
    fn now_ms(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A service that notes its calls, and fails the first ones of them with the error given.
struct Note {
    model: &'static ServiceModel,
    calls: Mutex<Vec<(Caller, Value, bytes::Bytes)>>,
    fails: AtomicUsize,
    error: ApiError,
}

static QUEUES: ServiceModel = ServiceModel {
    name: "sqs",
    protocol: Protocol::Json10,
    target: "AmazonSQS",
    xmlns: "",
    operations: &[Operation::rpc("SendMessage")],
    absent: &[],
};
static FUNCTIONS: ServiceModel =
    ServiceModel { name: "lambda", operations: &[Operation::rpc("Invoke")], ..QUEUES_BASE };
const QUEUES_BASE: ServiceModel =
    ServiceModel { name: "", protocol: Protocol::Json10, target: "", xmlns: "", operations: &[], absent: &[] };

#[async_trait]
impl Service for Note {
    fn model(&self) -> &'static ServiceModel {
        self.model
    }

    async fn call(&self, call: Call) -> Result<Answer, ApiError> {
        if self.fails.load(Ordering::SeqCst) > 0 {
            self.fails.fetch_sub(1, Ordering::SeqCst);
            return Err(self.error.clone());
        }
        self.calls.lock().unwrap().push((call.context.caller, Value::Object(call.input), call.payload));
        Ok(Answer::empty())
    }
}

struct Everybody;

#[async_trait]
impl Authorizer for Everybody {
    async fn authorize(&self, _: &Caller, _: &str, _: &str) -> Result<(), ApiError> {
        Ok(())
    }
}

#[derive(Clone)]
struct Bench {
    sns: Arc<Sns>,
    clock: Arc<Hand>,
    queues: Arc<Note>,
    functions: Arc<Note>,
}

impl Bench {
    fn new() -> Bench {
        Bench::failing(0, ApiError::internal("broken"))
    }

    /// Queues fail so many times.
    fn failing(fails: usize, error: ApiError) -> Bench {
        let clock = Arc::new(Hand(AtomicU64::new(1_795_428_930_123)));
        let store = Arc::new(MemoryStore::new());
        let note = |model, fails| {
            Arc::new(Note { model, calls: Mutex::default(), fails: AtomicUsize::new(fails), error: error.clone() })
        };
        let (queues, functions) = (note(&QUEUES, fails), note(&FUNCTIONS, 0));
        let client = Client::default();
        let delivery = Delivery::new(store.clone(), clock.clone());
        let sns = Arc::new(Sns::new(store, clock.clone(), delivery.clone(), client.clone()));
        let registry = Registry::default().with(queues.clone()).with(functions.clone());
        client.connect(registry, Arc::new(Everybody), clock.clone());
        delivery.start();
        Bench { sns, clock, queues, functions }
    }

    fn pass(&self, s: u64) {
        self.clock.0.fetch_add(s * 1000, Ordering::Relaxed);
    }

    async fn call(&self, operation: &str, input: Value) -> Result<Value, ApiError> {
        self.sns.call(call_of(operation, input)).await.map(|answer| answer.output)
    }

    async fn ok(&self, operation: &str, input: Value) -> Value {
        self.call(operation, input.clone()).await.unwrap_or_else(|e| panic!("{operation} {input}: {e}"))
    }

    async fn error(&self, operation: &str, input: Value) -> String {
        match self.call(operation, input.clone()).await {
            Ok(answer) => panic!("{operation} {input}: {answer}"),
            Err(error) => error.code,
        }
    }

    async fn subscribe(&self, topic: &str, protocol: &str, endpoint: &str, attributes: Value) -> String {
        let input = json!({
            "TopicArn": topic, "Protocol": protocol, "Endpoint": endpoint, "Attributes": attributes,
            "ReturnSubscriptionArn": "true",
        });
        self.ok("Subscribe", input).await["SubscriptionArn"].as_str().unwrap().to_owned()
    }
}

fn call_of(operation: &str, input: Value) -> Call {
    let Value::Object(input) = input else { panic!("the input is an object") };
    let context = Context {
        caller: Caller::owner("000000000000"),
        region: "us-east-1".to_owned(),
        request_id: "r".to_owned(),
        host: "localhost:4566".to_owned(),
        now_ms: 0,
        trace: None,
    };
    Call {
        operation: OPERATIONS.iter().find(|o| o.name == operation).unwrap(),
        input,
        payload: bytes::Bytes::new(),
        context,
    }
}

async fn until(mut is: impl FnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
    while !is() {
        assert!(tokio::time::Instant::now() < deadline, "waited too long");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

fn bodies(note: &Note) -> Vec<String> {
    let body = |(_, input, payload): &(Caller, Value, bytes::Bytes)| {
        let text = input["MessageBody"].as_str().map(str::to_owned);
        text.unwrap_or_else(|| String::from_utf8_lossy(payload).into_owned())
    };
    note.calls.lock().unwrap().iter().map(body).collect()
}

const T: &str = "arn:aws:sns:us-east-1:000000000000:t";
const F: &str = "arn:aws:sns:us-east-1:000000000000:t.fifo";
const Q: &str = "arn:aws:sqs:us-east-1:000000000000:q";
const L: &str = "arn:aws:lambda:us-east-1:000000000000:function:f";

fn entry(shown: &Value, name: &str) -> String {
    let entries = shown["Attributes"]["entry"].as_array().unwrap();
    let found = entries.iter().find(|entry| entry["key"] == name);
    found.map_or_else(String::new, |entry| entry["value"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn topics_attributes_and_tags() {
    let b = Bench::new();
    // As a form comes in, and as other services ask.
    let form = json!({"entry": [{"key": "DisplayName", "value": "d"}]});
    let made =
        b.ok("CreateTopic", json!({"Name": "t", "Attributes": form, "Tags": [{"Key": "a", "Value": "1"}]})).await;
    assert_eq!(made["TopicArn"], T);
    b.ok("CreateTopic", json!({"Name": "t", "Attributes": {"DisplayName": "d"}})).await;
    assert_eq!(
        b.error("CreateTopic", json!({"Name": "t", "Attributes": {"DisplayName": "e"}})).await,
        "InvalidParameter"
    );
    assert_eq!(b.error("CreateTopic", json!({"Name": "a b"})).await, "InvalidParameter");
    assert_eq!(b.error("CreateTopic", json!({"Name": "t.fifo"})).await, "InvalidParameter");
    assert_eq!(
        b.error("CreateTopic", json!({"Name": "u", "Attributes": {"FifoTopic": "true"}})).await,
        "InvalidParameter"
    );
    let many: Vec<Value> = (0..51).map(|n| json!({"Key": n.to_string(), "Value": ""})).collect();
    assert_eq!(b.error("CreateTopic", json!({"Name": "u", "Tags": many})).await, "TagLimitExceeded");
    b.ok("SetTopicAttributes", json!({"TopicArn": T, "AttributeName": "SignatureVersion", "AttributeValue": "2"}))
        .await;
    let shown = b.ok("GetTopicAttributes", json!({"TopicArn": T})).await;
    assert_eq!((entry(&shown, "DisplayName"), entry(&shown, "SignatureVersion")), ("d".to_owned(), "2".to_owned()));
    assert!(entry(&shown, "Policy").contains("__default_statement_ID"));
    for (name, value) in [
        ("SignatureVersion", "3"),
        ("Nothing", "x"),
        ("Policy", "{"),
        ("FifoTopic", "true"),
        ("ContentBasedDeduplication", "true"),
    ] {
        let input = json!({"TopicArn": T, "AttributeName": name, "AttributeValue": value});
        assert_eq!(b.error("SetTopicAttributes", input).await, "InvalidParameter", "{name}");
    }
    b.ok("TagResource", json!({"ResourceArn": T, "Tags": [{"Key": "b", "Value": "2"}]})).await;
    b.ok("UntagResource", json!({"ResourceArn": T, "TagKeys": ["a"]})).await;
    let tags = b.ok("ListTagsForResource", json!({"ResourceArn": T})).await;
    assert_eq!(tags["Tags"], json!([{"Key": "b", "Value": "2"}]));
    b.ok("CreateTopic", json!({"Name": "t.fifo", "Attributes": {"FifoTopic": "true"}})).await;
    assert_eq!(b.ok("ListTopics", json!({})).await["Topics"], json!([{"TopicArn": T}, {"TopicArn": F}]));
    b.subscribe(T, "sqs", Q, json!({})).await;
    b.ok("DeleteTopic", json!({"TopicArn": T})).await;
    b.ok("DeleteTopic", json!({"TopicArn": T})).await;
    for operation in ["GetTopicAttributes", "ListSubscriptionsByTopic"] {
        assert_eq!(b.error(operation, json!({"TopicArn": T})).await, "NotFound");
    }
    assert_eq!(b.error("ListTagsForResource", json!({"ResourceArn": T})).await, "ResourceNotFound");
    assert_eq!(b.error("Publish", json!({"TopicArn": T, "Message": "m"})).await, "NotFound");
    b.ok("CreateTopic", json!({"Name": "t"})).await;
    assert_eq!(b.ok("ListSubscriptionsByTopic", json!({"TopicArn": T})).await["Subscriptions"], json!([]));
}

#[tokio::test]
async fn permissions() {
    let b = Bench::new();
    b.ok("CreateTopic", json!({"Name": "t"})).await;
    let add = json!({"TopicArn": T, "Label": "l", "AWSAccountId": ["111111111111"], "ActionName": ["Publish"]});
    b.ok("AddPermission", add.clone()).await;
    assert_eq!(b.error("AddPermission", add.clone()).await, "InvalidParameter");
    let mut other = add;
    other["ActionName"] = json!(["Dance"]);
    assert_eq!(b.error("AddPermission", other).await, "InvalidParameter");
    let policy = entry(&b.ok("GetTopicAttributes", json!({"TopicArn": T})).await, "Policy");
    assert!(policy.contains("arn:aws:iam::111111111111:root") && policy.contains("SNS:Publish"));
    b.ok("RemovePermission", json!({"TopicArn": T, "Label": "l"})).await;
    let policy = entry(&b.ok("GetTopicAttributes", json!({"TopicArn": T})).await, "Policy");
    assert!(!policy.contains("111111111111"));
}

/// Allows nothing, and remembers what it was asked.
#[derive(Default)]
struct Nobody(Mutex<Vec<(String, String)>>);

#[async_trait]
impl Authorizer for Nobody {
    async fn authorize(&self, _: &Caller, action: &str, resource: &str) -> Result<(), ApiError> {
        self.0.lock().unwrap().push((action.to_owned(), resource.to_owned()));
        Err(ApiError::new(403, "AccessDeniedException", "nobody may do anything"))
    }
}

#[tokio::test]
async fn every_operation_asks_and_a_policy_answers() {
    let b = Bench::new();
    let policy = json!({"Statement": {
        "Effect": "Allow", "Principal": {"Service": "events.amazonaws.com"}, "Action": "sns:Publish", "Resource": T,
    }});
    b.ok("CreateTopic", json!({"Name": "t", "Attributes": {"Policy": policy.to_string()}})).await;
    for operation in OPERATIONS {
        let nobody = Nobody::default();
        let input = match operation.name {
            "CreateTopic" => json!({"Name": "t"}),
            "ListTopics" | "ListSubscriptions" => json!({}),
            "TagResource" | "UntagResource" | "ListTagsForResource" => json!({"ResourceArn": T}),
            "Unsubscribe" | "GetSubscriptionAttributes" | "SetSubscriptionAttributes" => {
                json!({"SubscriptionArn": format!("{T}:s")})
            }
            _ => json!({"TopicArn": T}),
        };
        let denied = Service::authorize(&*b.sns, &nobody, &call_of(operation.name, input)).await.unwrap_err();
        assert_eq!((denied.code.as_str(), denied.status), ("AuthorizationError", 403));
        let resource = if operation.name.starts_with("List") && operation.name.ends_with('s') { "*" } else { T };
        let action = format!("sns:{}", operation.name.trim_end_matches("Batch"));
        assert_eq!(*nobody.0.lock().unwrap(), [(action, resource.to_owned())], "{}", operation.name);
    }
    let mut call = call_of("Publish", json!({"TopicArn": T}));
    call.context.caller =
        Caller::service("000000000000", "events.amazonaws.com", "arn:aws:events:us-east-1:000000000000:rule/r");
    assert!(Service::authorize(&*b.sns, &Nobody::default(), &call).await.is_ok());
}

#[tokio::test]
async fn subscriptions() {
    let b = Bench::new();
    b.ok("CreateTopic", json!({"Name": "t"})).await;
    let arn = b.subscribe(T, "sqs", Q, json!({"RawMessageDelivery": "true"})).await;
    assert!(arn.starts_with(&format!("{T}:")));
    assert_eq!(b.subscribe(T, "sqs", Q, json!({})).await, arn);
    let other = json!({"TopicArn": T, "Protocol": "sqs", "Endpoint": Q, "Attributes": {"RawMessageDelivery": "false"}});
    assert_eq!(b.error("Subscribe", other).await, "InvalidParameter");
    for (protocol, endpoint, attributes, code) in [
        ("sqs", "q", json!({}), "InvalidParameter"),
        ("lambda", Q, json!({}), "InvalidParameter"),
        ("sqs", "arn:aws:sqs:us-east-1:000000000000:q.fifo", json!({}), "InvalidParameter"),
        ("http", "https://x", json!({}), "InvalidParameter"),
        ("pigeon", "x", json!({}), "InvalidParameter"),
        ("email", "a", json!({}), "InvalidParameter"),
        ("sms", "+123", json!({}), "NotImplemented"),
        ("lambda", L, json!({"RawMessageDelivery": "true"}), "InvalidParameter"),
        ("lambda", L, json!({"FilterPolicy": "{"}), "InvalidParameter"),
        ("lambda", L, json!({"FilterPolicy": r#"{"a":{"b":["c"]}}"#}), "InvalidParameter"),
        ("lambda", L, json!({"FilterPolicyScope": "Subject"}), "InvalidParameter"),
        ("lambda", L, json!({"RedrivePolicy": "{}"}), "InvalidParameter"),
        ("lambda", L, json!({"Nothing": "x"}), "InvalidParameter"),
    ] {
        let input = json!({"TopicArn": T, "Protocol": protocol, "Endpoint": endpoint, "Attributes": attributes});
        assert_eq!(b.error("Subscribe", input.clone()).await, code, "{input}");
    }
    let set = |name: &str, value: &str| json!({"SubscriptionArn": arn, "AttributeName": name, "AttributeValue": value});
    b.ok("SetSubscriptionAttributes", set("FilterPolicyScope", "MessageBody")).await;
    b.ok("SetSubscriptionAttributes", set("FilterPolicy", r#"{"a":{"b":["c"]}}"#)).await;
    assert_eq!(
        b.error("SetSubscriptionAttributes", set("FilterPolicyScope", "MessageAttributes")).await,
        "InvalidParameter"
    );
    let shown = b.ok("GetSubscriptionAttributes", json!({"SubscriptionArn": arn})).await;
    assert_eq!(entry(&shown, "RawMessageDelivery"), "true");
    assert_eq!(entry(&shown, "PendingConfirmation"), "false");
    assert_eq!(entry(&shown, "FilterPolicyScope"), "MessageBody");
    b.ok("CreateTopic", json!({"Name": "u"})).await;
    b.subscribe(&T.replace(":t", ":u"), "lambda", L, json!({})).await;
    let all = b.ok("ListSubscriptions", json!({})).await;
    let endpoints: Vec<&str> =
        all["Subscriptions"].as_array().unwrap().iter().map(|s| s["Endpoint"].as_str().unwrap()).collect();
    assert_eq!(endpoints, [Q, L]);
    b.ok("Unsubscribe", json!({"SubscriptionArn": arn})).await;
    b.ok("Unsubscribe", json!({"SubscriptionArn": arn})).await;
    assert_eq!(b.error("GetSubscriptionAttributes", json!({"SubscriptionArn": arn})).await, "NotFound");
    assert_eq!(b.error("SetSubscriptionAttributes", set("FilterPolicy", "{}")).await, "NotFound");
    assert_eq!(b.error("Unsubscribe", json!({"SubscriptionArn": "x"})).await, "InvalidParameter");
}

#[tokio::test]
async fn subscriptions_by_mail_wait() {
    let b = Bench::new();
    b.ok("CreateTopic", json!({"Name": "t"})).await;
    let arn = b.subscribe(T, "email-json", "a@b.c", json!({})).await;
    let input = json!({"TopicArn": T, "Protocol": "email-json", "Endpoint": "a@b.c"});
    assert_eq!(b.ok("Subscribe", input).await["SubscriptionArn"], "pending confirmation");
    let shown = b.ok("ListSubscriptionsByTopic", json!({"TopicArn": T})).await["Subscriptions"][0].clone();
    assert_eq!((&shown["SubscriptionArn"], &shown["Protocol"]), (&json!("PendingConfirmation"), &json!("email-json")));
    b.ok("Publish", json!({"TopicArn": T, "Message": "m"})).await;
    b.ok("Unsubscribe", json!({"SubscriptionArn": arn})).await;
    assert_eq!(b.ok("ListSubscriptionsByTopic", json!({"TopicArn": T})).await["Subscriptions"], json!([]));
}

#[tokio::test]
async fn a_message_reaches_whoever_wants_it() {
    let b = Bench::new();
    b.ok("CreateTopic", json!({"Name": "t"})).await;
    let filter = json!({"FilterPolicy": r#"{"kind":["a"]}"#, "RawMessageDelivery": "true"});
    b.subscribe(T, "sqs", Q, filter).await;
    let function = b.subscribe(T, "lambda", L, json!({})).await;
    let kind = |kind: &str| json!({"kind": {"DataType": "String", "StringValue": kind}});
    for (text, of) in [("1", "a"), ("2", "b")] {
        let input = json!({"TopicArn": T, "Message": text, "Subject": "s", "MessageAttributes": kind(of)});
        let sent = b.ok("Publish", input).await;
        assert!(sent["MessageId"].is_string() && sent.get("SequenceNumber").is_none());
    }
    until(|| b.functions.calls.lock().unwrap().len() == 2 && b.queues.calls.lock().unwrap().len() == 1).await;
    let (caller, input, _) = b.queues.calls.lock().unwrap()[0].clone();
    assert_eq!(caller, Caller::service("000000000000", "sns.amazonaws.com", T));
    assert_eq!(input["MessageBody"], "1");
    assert_eq!(input["MessageAttributes"], kind("a"));
    let (_, input, payload) = b
        .functions
        .calls
        .lock()
        .unwrap()
        .iter()
        .find(|call| {
            let event: Value = serde_json::from_slice(&call.2).unwrap();
            event["Records"][0]["Sns"]["Message"] == "2"
        })
        .unwrap()
        .clone();
    assert_eq!(input["InvocationType"], "Event");
    let event: Value = serde_json::from_slice(&payload).unwrap();
    let record = &event["Records"][0];
    assert_eq!(record["EventSource"], "aws:sns");
    assert_eq!(record["EventSubscriptionArn"], function);
    assert_eq!(record["Sns"]["Subject"], "s");
    assert_eq!(record["Sns"]["MessageAttributes"], json!({"kind": {"Type": "String", "Value": "b"}}));
}

#[tokio::test]
async fn an_envelope_is_signed_by_the_installations_key() {
    let b = Bench::new();
    b.ok("CreateTopic", json!({"Name": "t"})).await;
    let arn = b.subscribe(T, "sqs", Q, json!({})).await;
    let texts = r#"{"default":"common","sqs":"queue's"}"#;
    b.ok("Publish", json!({"TopicArn": T, "Message": texts, "MessageStructure": "json", "Subject": "s"})).await;
    until(|| b.queues.calls.lock().unwrap().len() == 1).await;
    let body = bodies(&b.queues)[0].clone();
    assert!(body.starts_with("{\n  \"Type\" : \"Notification\",\n  \"MessageId\" : \""), "{body}");
    let envelope: Value = serde_json::from_str(&body).unwrap();
    let keys: Vec<&String> = envelope.as_object().unwrap().keys().collect();
    assert_eq!(
        keys,
        [
            "Type",
            "MessageId",
            "TopicArn",
            "Subject",
            "Message",
            "Timestamp",
            "SignatureVersion",
            "Signature",
            "SigningCertURL",
            "UnsubscribeURL"
        ]
    );
    assert_eq!(envelope["Message"], "queue's");
    assert!(
        envelope["UnsubscribeURL"].as_str().unwrap().ends_with(&format!("Action=Unsubscribe&SubscriptionArn={arn}"))
    );
    let signed = format!(
        "Message\nqueue's\nMessageId\n{}\nSubject\ns\nTimestamp\n{}\nTopicArn\n{T}\nType\nNotification\n",
        envelope["MessageId"].as_str().unwrap(),
        envelope["Timestamp"].as_str().unwrap()
    );
    use base64::Engine;
    let decode = |text: &str| base64::prelude::BASE64_STANDARD.decode(text).unwrap();
    let stored = b.sns.storage.key().await.unwrap().unwrap();
    let key = rsa::RsaPrivateKey::from_pkcs8_der(&decode(&stored.private)).unwrap().to_public_key();
    let signature = decode(envelope["Signature"].as_str().unwrap());
    key.verify(rsa::Pkcs1v15Sign::new::<Sha1>(), &Sha1::digest(&signed), &signature).unwrap();
    let name = envelope["SigningCertURL"].as_str().unwrap().rsplit('/').next().unwrap();
    let certificate = b.sns.signer.certificate(&b.sns.storage, name).await.unwrap().unwrap();
    assert!(certificate.starts_with("-----BEGIN CERTIFICATE-----\n"));
}

#[tokio::test]
async fn a_failure_is_tried_again_and_in_the_end_buried() {
    // A queue that is broken three times.
    let b = Bench::failing(3, ApiError::internal("broken"));
    b.ok("CreateTopic", json!({"Name": "t"})).await;
    b.subscribe(T, "sqs", Q, json!({"RawMessageDelivery": "true"})).await;
    b.ok("Publish", json!({"TopicArn": T, "Message": "m"})).await;
    until(|| bodies(&b.queues) == ["m"]).await;
    // One that is not there: its dead letter queue is told at once.
    let b = Bench::failing(1, ApiError::new(400, "QueueDoesNotExist", "no such queue"));
    b.ok("CreateTopic", json!({"Name": "t"})).await;
    let dead = r#"{"deadLetterTargetArn":"arn:aws:sqs:us-east-1:000000000000:dead"}"#;
    b.subscribe(T, "sqs", Q, json!({"RawMessageDelivery": "true", "RedrivePolicy": dead})).await;
    b.ok("Publish", json!({"TopicArn": T, "Message": "m"})).await;
    until(|| bodies(&b.queues) == ["m"]).await;
    let (_, input, _) = b.queues.calls.lock().unwrap()[0].clone();
    assert_eq!(input["QueueUrl"], "http://localhost/000000000000/dead");
    assert_eq!(input["MessageAttributes"]["ErrorCode"]["StringValue"], "QueueDoesNotExist");
}

#[tokio::test]
async fn a_fifo_topic_is_in_order_and_takes_a_message_once() {
    let b = Bench::failing(2, ApiError::internal("broken"));
    b.ok(
        "CreateTopic",
        json!({"Name": "t.fifo", "Attributes": {"FifoTopic": "true", "ContentBasedDeduplication": "true"}}),
    )
    .await;
    b.subscribe(F, "sqs", &format!("{Q}.fifo"), json!({"RawMessageDelivery": "true"})).await;
    let mut numbers = Vec::new();
    for n in 0..20 {
        let input = json!({"TopicArn": F, "Message": format!("{n:02}"), "MessageGroupId": "g"});
        let sent = b.ok("Publish", input.clone()).await;
        numbers.push(sent["SequenceNumber"].as_str().unwrap().to_owned());
        assert_eq!(b.ok("Publish", input).await, sent);
    }
    assert!(numbers.is_sorted() && numbers[0].len() == 20);
    until(|| b.queues.calls.lock().unwrap().len() == 20).await;
    let seen = bodies(&b.queues);
    assert!(seen.is_sorted(), "{seen:?}");
    let (_, input, _) = b.queues.calls.lock().unwrap()[0].clone();
    assert_eq!(input["MessageGroupId"], "g");
    assert_eq!(input["MessageDeduplicationId"].as_str().unwrap().len(), 64);
    b.pass(301);
    b.ok("Publish", json!({"TopicArn": F, "Message": "00", "MessageGroupId": "g"})).await;
    until(|| b.queues.calls.lock().unwrap().len() == 21).await;
    for (more, code) in [
        (json!({"Message": "m"}), "InvalidParameter"),
        (json!({"Message": "m", "MessageGroupId": " "}), "InvalidParameter"),
    ] {
        let mut input = json!({"TopicArn": F});
        input.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        assert_eq!(b.error("Publish", input).await, code);
    }
}

#[tokio::test]
async fn messages_that_are_not_taken() {
    let b = Bench::new();
    b.ok("CreateTopic", json!({"Name": "t"})).await;
    b.ok("CreateTopic", json!({"Name": "t.fifo", "Attributes": {"FifoTopic": "true"}})).await;
    let long = "x".repeat(cumulet_base::limits::TOPIC_MESSAGE_BYTES_MAX + 1);
    for (more, code) in [
        (json!({"Message": ""}), "InvalidParameter"),
        (json!({"Message": long}), "InvalidParameter"),
        (json!({"Message": "m", "Subject": "x".repeat(101)}), "InvalidParameter"),
        (json!({"Message": "m", "Subject": "a\nb"}), "InvalidParameter"),
        (json!({"Message": "m", "MessageStructure": "json"}), "InvalidParameter"),
        (json!({"Message": r#"{"sqs":"x"}"#, "MessageStructure": "json"}), "InvalidParameter"),
        (json!({"Message": "m", "MessageStructure": "xml"}), "InvalidParameter"),
        (json!({"Message": "m", "MessageDeduplicationId": "d"}), "InvalidParameter"),
        (
            json!({"Message": "m", "MessageAttributes": {"a": {"DataType": "Text", "StringValue": "x"}}}),
            "ParameterValueInvalid",
        ),
        (
            json!({"Message": "m", "MessageAttributes": {"a": {"DataType": "Number", "StringValue": "x"}}}),
            "ParameterValueInvalid",
        ),
        (
            json!({"Message": "m", "MessageAttributes": {".a": {"DataType": "String", "StringValue": "x"}}}),
            "ParameterValueInvalid",
        ),
        (json!({"Message": "m", "PhoneNumber": "+1"}), "NotImplemented"),
        (json!({"Message": "m", "TopicArn": F, "MessageGroupId": "g"}), "InvalidParameter"),
        (json!({"Message": "m", "TopicArn": "t"}), "InvalidParameter"),
    ] {
        let mut input = json!({"TopicArn": T});
        input.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        assert_eq!(b.error("Publish", input.clone()).await, code, "{more}");
    }
    let batch = |entries: Value| json!({"TopicArn": T, "PublishBatchRequestEntries": entries});
    let one = |id: &str| json!({"Id": id, "Message": "m"});
    let half = "x".repeat(130 * 1024);
    for (entries, code) in [
        (json!([]), "EmptyBatchRequest"),
        ((0..11).map(|n| one(&n.to_string())).collect(), "TooManyEntriesInBatchRequest"),
        (json!([one("a"), one("a")]), "BatchEntryIdsNotDistinct"),
        (json!([one("?")]), "InvalidBatchEntryId"),
        (json!([{"Id": "a", "Message": half}, {"Id": "b", "Message": half}]), "BatchRequestTooLong"),
    ] {
        assert_eq!(b.error("PublishBatch", batch(entries)).await, code);
    }
    let sent = b.ok("PublishBatch", batch(json!([one("a"), {"Id": "b", "Message": ""}]))).await;
    assert_eq!(sent["Successful"][0]["Id"], "a");
    assert_eq!(
        (sent["Failed"][0]["Id"].as_str(), sent["Failed"][0]["Code"].as_str()),
        (Some("b"), Some("InvalidParameter"))
    );
}

#[tokio::test]
async fn a_topic_of_very_many_subscriptions_reaches_them_all() {
    let b = Bench::new();
    b.ok("CreateTopic", json!({"Name": "t"})).await;
    let place = model::Place::from_arn(T).unwrap();
    let count = cumulet_base::limits::TOPIC_FANOUT_MAX * 2 + 3;
    for n in 0..count {
        let subscription = model::Subscription {
            v: 1,
            id: format!("{n:05}"),
            created_ms: 0,
            protocol: model::Protocol::Sqs,
            endpoint: format!("{Q}{n}"),
            attributes: [("RawMessageDelivery".to_owned(), "true".to_owned())].into(),
            token: None,
            is_authenticated: false,
            host: "localhost".to_owned(),
        };
        assert!(b.sns.storage.put_subscription(&place, &subscription, None, Ok).await.unwrap());
    }
    b.ok("Publish", json!({"TopicArn": T, "Message": "m"})).await;
    until(|| b.queues.calls.lock().unwrap().len() == count).await;
    let mut urls: Vec<String> =
        b.queues.calls.lock().unwrap().iter().map(|call| call.1["QueueUrl"].to_string()).collect();
    urls.sort();
    urls.dedup();
    assert_eq!(urls.len(), count);
}
