//! A stream's mapping over a stand-in of its stream and of the engine: what is handed over, again, and given up.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use cumulet_base::clock::SystemClock;
use cumulet_engine::catalog::{Access, Target};
use cumulet_engine::invocation::{Invocation, InvokeError, Outcome};
use cumulet_store_memory::MemoryStore;
use cumulet_wire::auth::Authorizer;
use cumulet_wire::operation::{Protocol, Registry, Service, ServiceModel};

use super::model::StreamSettings;
use super::*;

const STREAM: &str = "arn:aws:dynamodb:us-east-1:000000000000:table/t/stream/1";
const DEAD: &str = "arn:aws:sqs:us-east-1:000000000000:dead";

static STREAM_MODEL: ServiceModel = ServiceModel {
    name: "dynamodbstreams",
    protocol: Protocol::Json10,
    target: "",
    xmlns: "",
    operations: &[Operation::rpc("DescribeStream"), Operation::rpc("GetShardIterator"), Operation::rpc("GetRecords")],
    absent: &[],
};

/// Records numbered from 1, all there from the beginning; the stream ends after them.
struct Stream(Vec<Value>);

#[async_trait]
impl Service for Stream {
    fn model(&self) -> &'static ServiceModel {
        &STREAM_MODEL
    }

    async fn call(&self, call: Call) -> Result<Answer, ApiError> {
        Answer::json(match call.operation.name {
            "DescribeStream" => json!({"StreamDescription": {"Shards": [{"ShardId": "s"}]}}),
            "GetShardIterator" => {
                json!({"ShardIterator": call.input.get("SequenceNumber").map_or("0", |n| n.as_str().unwrap())})
            }
            _ => {
                let from: usize = call.input["ShardIterator"].as_str().unwrap().parse().unwrap();
                let to = (from + call.input["Limit"].as_u64().unwrap() as usize).min(self.0.len());
                let next = (to < self.0.len()).then(|| to.to_string());
                json!({"Records": self.0[from..to], "NextShardIterator": next})
            }
        })
    }
}

static QUEUE_MODEL: ServiceModel = ServiceModel {
    name: "sqs",
    protocol: Protocol::Json10,
    target: "",
    xmlns: "",
    operations: &[Operation::rpc("SendMessage")],
    absent: &[],
};

#[derive(Default)]
struct Letters(Mutex<Vec<Value>>);

struct Queue(Arc<Letters>);

#[async_trait]
impl Service for Queue {
    fn model(&self) -> &'static ServiceModel {
        &QUEUE_MODEL
    }

    async fn call(&self, call: Call) -> Result<Answer, ApiError> {
        let body = serde_json::from_str(call.input["MessageBody"].as_str().unwrap()).unwrap();
        self.0.0.lock().unwrap().push(body);
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

/// Answers with what the play says of an event; `None` is a failing function.
type Play = Box<dyn Fn(&Value) -> Option<Value> + Send + Sync>;

struct Stage {
    play: Play,
    events: Mutex<Vec<Value>>,
}

#[async_trait]
impl Invoker for Stage {
    async fn invoke(&self, _: &Target, _: &Access, invocation: Invocation) -> Result<Outcome, InvokeError> {
        let event: Value = serde_json::from_slice(&invocation.payload).unwrap();
        let answer = (self.play)(&event);
        self.events.lock().unwrap().push(event);
        Ok(Outcome {
            payload: Bytes::from(answer.clone().unwrap_or_default().to_string()),
            function_error: answer.is_none().then_some("Unhandled"),
            executed_version: "$LATEST".to_owned(),
            log_tail: Bytes::new(),
            duration_us: 1,
        })
    }

    fn retire(&self, _: &str, _: &str, _: &str, _: Option<&str>, _: Option<&str>) {}
}

fn records(count: u64, arrived_s: u64) -> Vec<Value> {
    let record = |n: u64| {
        json!({"eventName": "INSERT", "dynamodb": {
        "Keys": {"id": {"S": format!("k{}", n % 3)}}, "SequenceNumber": n.to_string(), "ApproximateCreationDateTime": arrived_s}})
    };
    (1..=count).map(record).collect()
}

fn numbers(event: &Value) -> Vec<u64> {
    let of = |r: &Value| r["dynamodb"]["SequenceNumber"].as_str().unwrap().parse().unwrap();
    event["Records"].as_array().unwrap().iter().map(of).collect()
}

/// Mappings of a function `f` over a stream of these records; what was handed over, and the letters left.
async fn set(
    records: Vec<Value>,
    play: impl Fn(&Value) -> Option<Value> + Send + Sync + 'static,
) -> (Mappings, Arc<Stage>, Arc<Letters>) {
    let fixture = crate::tests::Fixture::new();
    fixture.create("f").await.unwrap();
    let letters = Arc::new(Letters::default());
    let stage = Arc::new(Stage { play: Box::new(play), events: Mutex::default() });
    let client = Client::default();
    let registry = Registry::default().with(Arc::new(Stream(records))).with(Arc::new(Queue(letters.clone())));
    client.connect(registry, Arc::new(Everybody), Arc::new(SystemClock));
    let store = Arc::new(MemoryStore::new());
    let mappings = Mappings::new(Ports {
        store,
        functions: fixture.functions.clone(),
        invoker: stage.clone(),
        client,
        clock: Arc::new(SystemClock),
    });
    (mappings, stage, letters)
}

fn mapping() -> Mapping {
    Mapping {
        v: FORMAT,
        uuid: "u".to_owned(),
        account: "000000000000".to_owned(),
        region: "us-east-1".to_owned(),
        function: "f".to_owned(),
        qualifier: None,
        source_arn: STREAM.to_owned(),
        is_enabled: true,
        batch_size: 4,
        window_s: 0,
        filters: Vec::new(),
        reports_failures: false,
        concurrency_max: None,
        stream: Some(StreamSettings {
            starting_position: "TRIM_HORIZON".to_owned(),
            attempts_max: 1,
            age_s_max: -1,
            bisects: false,
            parallel: 1,
            tumbling_s: 0,
            on_failure: Some(DEAD.to_owned()),
        }),
        tags: Default::default(),
        created_ms: 0,
        modified_ms: 0,
    }
}

/// The events of a mapping that read the whole stream, and the letters it left.
async fn run(
    records: Vec<Value>,
    change: impl FnOnce(&mut Mapping),
    play: impl Fn(&Value) -> Option<Value> + Send + Sync + 'static,
) -> (Vec<Value>, Vec<Value>) {
    let (mappings, stage, letters) = set(records, play).await;
    let mut mapping = mapping();
    change(&mut mapping);
    mappings.begin(&mapping);
    let task = mappings.pollers().remove("u").unwrap();
    tokio::time::timeout(Duration::from_secs(20), task.task).await.expect("it reads to the end").unwrap();
    (stage.events.lock().unwrap().clone(), letters.0.lock().unwrap().clone())
}

fn settings(mapping: &mut Mapping) -> &mut StreamSettings {
    mapping.stream.as_mut().unwrap()
}

#[tokio::test]
async fn records_come_in_batches_and_order() {
    let (events, letters) = run(records(10, 1), |_| {}, |_| Some(json!(null))).await;
    assert_eq!(events.iter().map(numbers).collect::<Vec<_>>(), [vec![1, 2, 3, 4], vec![5, 6, 7, 8], vec![9, 10]]);
    assert_eq!(events[0]["Records"][0]["eventSourceARN"], STREAM);
    assert!(letters.is_empty());
}

#[tokio::test]
async fn a_failing_batch_holds_up_those_behind_it_until_it_is_given_up() {
    let fails = |event: &Value| (!numbers(event).contains(&2)).then(|| json!(null));
    let (events, letters) = run(records(6, 1), |_| {}, fails).await;
    assert_eq!(events.iter().map(numbers).collect::<Vec<_>>(), [vec![1, 2, 3, 4], vec![1, 2, 3, 4], vec![5, 6]]);
    assert_eq!(letters.len(), 1);
    assert_eq!(letters[0]["requestContext"]["condition"], "RetryAttemptsExhausted");
    assert_eq!(letters[0]["requestContext"]["approximateInvokeCount"], 2);
    assert_eq!(letters[0]["DDBStreamBatchInfo"]["batchSize"], 4);
}

#[tokio::test]
async fn a_failing_batch_is_split_down_to_its_bad_record() {
    let fails = |event: &Value| (!numbers(event).contains(&3)).then(|| json!(null));
    let (events, letters) = run(records(4, 1), |m| settings(m).bisects = true, fails).await;
    let seen: Vec<_> = events.iter().map(numbers).collect();
    assert_eq!(seen, [vec![1, 2, 3, 4], vec![1, 2], vec![3, 4], vec![3], vec![3], vec![4]]);
    let info = &letters[0]["DDBStreamBatchInfo"];
    assert_eq!((&info["startSequenceNumber"], &info["batchSize"]), (&json!("3"), &json!(1)));
}

#[tokio::test]
async fn what_a_function_reports_is_tried_again_from_there() {
    let tries = std::sync::atomic::AtomicUsize::new(0);
    let play = move |event: &Value| {
        let first = tries.fetch_add(1, std::sync::atomic::Ordering::SeqCst) == 0;
        let failed = if first { json!([{"itemIdentifier": numbers(event)[2].to_string()}]) } else { json!([]) };
        Some(json!({"batchItemFailures": failed}))
    };
    let (events, letters) = run(records(4, 1), |m| m.reports_failures = true, play).await;
    assert_eq!(events.iter().map(numbers).collect::<Vec<_>>(), [vec![1, 2, 3, 4], vec![3, 4]]);
    assert!(letters.is_empty());
}

#[tokio::test]
async fn records_grow_too_old() {
    let (events, letters) = run(records(3, 1), |m| settings(m).age_s_max = 60, |_| Some(json!(null))).await;
    assert!(events.is_empty());
    assert_eq!(letters[0]["requestContext"]["condition"], "RecordAgeExceeded");
}

#[tokio::test]
async fn keys_keep_their_order_beside_one_another() {
    let (events, _) = run(records(30, 1), |m| settings(m).parallel = 3, |_| Some(json!(null))).await;
    for key in 0..3 {
        let of_key: Vec<u64> = events.iter().flat_map(numbers).filter(|n| n % 3 == key).collect();
        assert!(of_key.is_sorted() && of_key.len() == 10, "{of_key:?}");
    }
}

#[tokio::test]
async fn windows_hand_their_state_on() {
    let mut all = records(3, 61);
    all.extend(records(5, 121).split_off(3));
    let play = |event: &Value| {
        let before = event["state"]["sum"].as_u64().unwrap_or(0);
        Some(json!({"state": {"sum": before + numbers(event).iter().sum::<u64>()}}))
    };
    let change = |m: &mut Mapping| {
        settings(m).tumbling_s = 60;
        m.batch_size = 2;
    };
    let (events, _) = run(all, change, play).await;
    let seen: Vec<_> = events
        .iter()
        .map(|e| (numbers(e), e["state"]["sum"].as_u64(), e["isFinalInvokeForWindow"].as_bool().unwrap()))
        .collect();
    assert_eq!(
        seen,
        [
            (vec![1, 2], None, false),
            (vec![3], Some(3), false),
            (vec![], Some(6), true),
            (vec![4], None, false),
            (vec![5], Some(4), false),
            (vec![], Some(9), true),
        ]
    );
    assert_eq!(events[0]["window"], json!({"start": "1970-01-01T00:01:00.000Z", "end": "1970-01-01T00:02:00.000Z"}));
}

/// Whatever changes meet a deletion, nothing works for a mapping that is gone, and nothing is left of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_mapping_works_no_more() {
    let (mappings, ..) = set(records(3, 1), |_| Some(json!(null))).await;
    for round in 0..50 {
        let one = Mapping { uuid: format!("u{round}"), ..mapping() };
        mappings.0.storage.put(&one, None).await.unwrap();
        mappings.settle(&one.uuid);
        mappings.settle(&one.uuid);
        mappings.0.storage.delete(&one.uuid).await.unwrap();
        mappings.settle(&one.uuid);
    }
    let deadline = std::time::Instant::now() + Duration::from_secs(20);
    while !mappings.0.changing.lock().unwrap().is_empty() || !mappings.pollers().is_empty() {
        assert!(std::time::Instant::now() < deadline, "work goes on");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    for round in 0..50 {
        assert!(mappings.0.storage.positions(&format!("u{round}")).await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn a_function_that_causes_itself_is_stopped() {
    let (mappings, stage, _) = set(Vec::new(), |_| Some(json!(null))).await;
    let work = Work {
        inner: mappings.0.clone(),
        mapping: Arc::new(mapping()),
        stop: mappings.0.stop.subscribe(),
        result: Arc::default(),
    };
    let mut trace = id::trace_header(1);
    let arn = work.mapping.target().arn();
    while let Some(next) = crate::asynchronous::lineage::next(&trace, &arn, false) {
        trace = next;
    }
    let fresh = batch::hand_over(&work, Bytes::from("{}"), Some(id::trace_header(1)), &[]).await;
    assert!(matches!(fresh.0, batch::Ended::Done));
    let looped = batch::hand_over(&work, Bytes::from("{}"), Some(trace), &[]).await;
    assert!(matches!(looped.0, batch::Ended::Refused(_)), "{looped:?}");
    assert_eq!(stage.events.lock().unwrap().len(), 1);
}
