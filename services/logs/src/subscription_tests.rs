//! Filters by their operations, and events on their way to a function that keeps what it is called with.

#![allow(clippy::unwrap_used)]
use std::io::Read;
use std::sync::Mutex;
use std::time::Duration;

use bytes::Bytes;
use cumulet_base::clock::SystemClock;
use cumulet_delivery::Delivery;
use cumulet_engine::output::LogEvent;
use cumulet_engine::record::LogSink;
use cumulet_store_memory::MemoryStore;
use cumulet_wire::auth::Authorizer;
use cumulet_wire::call::{Answer, Call, Context};
use cumulet_wire::operation::{Operation, Protocol, Registry, Service, ServiceModel};
use serde_json::Value;

use super::*;
use crate::{Logs, OPERATIONS, Sink};

static FUNCTIONS: ServiceModel = ServiceModel {
    name: "lambda",
    protocol: Protocol::RestJson,
    target: "",
    xmlns: "",
    operations: &[Operation::rpc("Invoke")],
    absent: &[],
};

/// Functions that keep their events; one called `closed` may not be called.
#[derive(Default)]
struct Functions(Mutex<Vec<Value>>);

#[async_trait]
impl Service for Functions {
    fn model(&self) -> &'static ServiceModel {
        &FUNCTIONS
    }

    async fn call(&self, call: Call) -> Result<Answer, ApiError> {
        if call.input["FunctionName"].as_str().unwrap().ends_with("closed") {
            return Err(ApiError::new(403, "AccessDeniedException", ""));
        }
        if call.input["InvocationType"] == "Event" {
            let event: Value = serde_json::from_slice(&call.payload).unwrap();
            let data = STANDARD.decode(event["awslogs"]["data"].as_str().unwrap()).unwrap();
            let mut text = String::new();
            flate2::read::GzDecoder::new(&data[..]).read_to_string(&mut text).unwrap();
            self.0.lock().unwrap().push(serde_json::from_str(&text).unwrap());
        }
        Ok(Answer::empty())
    }
}

struct Anybody;

#[async_trait]
impl Authorizer for Anybody {
    async fn authorize(&self, _: &Caller, _: &str, _: &str) -> Result<(), ApiError> {
        Ok(())
    }
}

struct Bench {
    logs: Arc<Logs>,
    functions: Arc<Functions>,
    sink: Sink,
}

impl Bench {
    fn new() -> Bench {
        let (store, clock, client) = (Arc::new(MemoryStore::new()), Arc::new(SystemClock), Client::default());
        let delivery = Delivery::new(store.clone(), clock.clone());
        let logs = Arc::new(Logs::new(store.clone(), clock.clone(), client.clone(), delivery.clone()));
        let functions = Arc::new(Functions::default());
        let registry = Registry::default().with(logs.clone()).with(functions.clone());
        client.connect(registry, Arc::new(Anybody), clock.clone());
        delivery.start();
        let sink = Sink::start(store, clock, Some(delivery));
        Bench { logs, functions, sink }
    }

    async fn call(&self, operation: &str, input: Value) -> Result<Value, ApiError> {
        let Value::Object(input) = input else { panic!("the input is an object") };
        let call = Call {
            operation: OPERATIONS.iter().find(|o| o.name == operation).unwrap(),
            input,
            payload: Bytes::new(),
            context: Context {
                caller: Caller::owner("000000000000"),
                region: "us-east-1".to_owned(),
                request_id: "r".to_owned(),
                host: "localhost".to_owned(),
                now_ms: 5,
                trace: None,
            },
        };
        self.logs.call(call).await.map(|answer| answer.output)
    }

    async fn sent(&self, count: usize) -> Vec<Value> {
        for _ in 0..2000 {
            if self.functions.0.lock().unwrap().len() >= count {
                break;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let sent = self.functions.0.lock().unwrap().clone();
        assert_eq!(sent.len(), count, "{sent:?}");
        sent
    }
}

fn filter(name: &str, function: &str) -> Value {
    json!({
        "logGroupName": "g", "filterName": name, "filterPattern": "ERROR",
        "destinationArn": format!("arn:aws:lambda:us-east-1:000000000000:function:{function}"),
    })
}

#[tokio::test]
async fn what_matches_reaches_the_function() {
    let b = Bench::new();
    b.call("CreateLogGroup", json!({"logGroupName": "g"})).await.unwrap();
    b.call("PutSubscriptionFilter", filter("f", "open")).await.unwrap();
    let lines = ["ERROR one", "all is well", "ERROR two"];
    let events =
        lines.iter().enumerate().map(|(at, line)| LogEvent { timestamp_ms: at as u64, message: (*line).to_owned() });
    b.sink.append("000000000000", "us-east-1", "g", "s", events.collect()).await;
    let message = b.sent(1).await.remove(0);
    assert_eq!(message["messageType"], "DATA_MESSAGE");
    assert_eq!((&message["owner"], &message["logGroup"]), (&json!("000000000000"), &json!("g")));
    assert_eq!((&message["logStream"], &message["subscriptionFilters"]), (&json!("s"), &json!(["f"])));
    let seen: Vec<&Value> = message["logEvents"].as_array().unwrap().iter().map(|e| &e["message"]).collect();
    assert_eq!(seen, ["ERROR one", "ERROR two"]);
    // By the API, too; and nothing is sent of what does not match.
    b.call("CreateLogStream", json!({"logGroupName": "g", "logStreamName": "t"})).await.unwrap();
    let put = |line: &str| json!({"logGroupName": "g", "logStreamName": "t", "logEvents": [{"timestamp": 9, "message": line}]});
    b.call("PutLogEvents", put("well")).await.unwrap();
    b.call("PutLogEvents", put("ERROR three")).await.unwrap();
    let message = b.sent(2).await.remove(1);
    let found = b.call("FilterLogEvents", json!({"logGroupName": "g", "filterPattern": "three"})).await.unwrap();
    assert_eq!(message["logEvents"][0]["id"], found["events"][0]["eventId"]);
}

#[tokio::test]
async fn filters() {
    let b = Bench::new();
    assert_eq!(
        b.call("PutSubscriptionFilter", filter("f", "open")).await.unwrap_err().code,
        "ResourceNotFoundException"
    );
    b.call("CreateLogGroup", json!({"logGroupName": "g"})).await.unwrap();
    let closed = b.call("PutSubscriptionFilter", filter("f", "closed")).await.unwrap_err();
    assert!(closed.message.starts_with("Could not execute the lambda function."), "{closed}");
    let mut stream = filter("f", "open");
    stream["destinationArn"] = json!("arn:aws:kinesis:us-east-1:000000000000:stream/s");
    assert_eq!(b.call("PutSubscriptionFilter", stream).await.unwrap_err().code, "NotImplemented");
    for name in ["a", "b", "a"] {
        b.call("PutSubscriptionFilter", filter(name, "open")).await.unwrap();
    }
    assert_eq!(b.call("PutSubscriptionFilter", filter("c", "open")).await.unwrap_err().code, "LimitExceededException");
    let described = b.call("DescribeSubscriptionFilters", json!({"logGroupName": "g", "limit": 1})).await.unwrap();
    assert_eq!(
        (&described["subscriptionFilters"][0]["filterName"], &described["nextToken"]),
        (&json!("a"), &json!("a"))
    );
    b.call("DeleteSubscriptionFilter", json!({"logGroupName": "g", "filterName": "a"})).await.unwrap();
    let gone = b.call("DeleteSubscriptionFilter", json!({"logGroupName": "g", "filterName": "a"})).await.unwrap_err();
    assert_eq!(gone.code, "ResourceNotFoundException");
}

#[tokio::test]
async fn policies_of_an_account() {
    let b = Bench::new();
    let document = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"events.amazonaws.com"},"Action":"logs:PutLogEvents","Resource":"*"}]}"#;
    b.call("PutResourcePolicy", json!({"policyName": "p", "policyDocument": document})).await.unwrap();
    let bad = b.call("PutResourcePolicy", json!({"policyName": "q", "policyDocument": "{"})).await.unwrap_err();
    assert_eq!(bad.code, "InvalidParameterException");
    let described = b.call("DescribeResourcePolicies", json!({})).await.unwrap();
    assert_eq!(described["resourcePolicies"][0]["policyName"], "p");
    b.call("DeleteResourcePolicy", json!({"policyName": "p"})).await.unwrap();
    let gone = b.call("DeleteResourcePolicy", json!({"policyName": "p"})).await.unwrap_err();
    assert_eq!(gone.code, "ResourceNotFoundException");
}
