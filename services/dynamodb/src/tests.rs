//! What a real client cannot show: laws against a simple model, two nodes over one store, lost acknowledgements, time that
//! passes, and permissions. The operations themselves are driven by boto3 in `tests/`.

#![allow(clippy::unwrap_used)]
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use cumulet_store_memory::{Faults, MemoryStore};
use cumulet_wire::auth::{Authorizer, Caller, Principal};
use cumulet_wire::call::Context;
use cumulet_wire::operation::Registry;
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::*;

mod exports;

const NOW_MS: u64 = 1_795_428_930_123;

struct Hand(AtomicU64);

impl Clock for Hand {
    fn now_ms(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

#[derive(Default)]
struct Bill(Mutex<BTreeMap<&'static str, u64>>);

impl UsageSink for Bill {
    fn used(&self, usage: Usage) {
        *self.0.lock().unwrap().entry(usage.unit).or_default() += usage.quantity_micro;
    }
}

#[derive(Clone)]
struct Bench {
    db: Arc<DynamoDb>,
    streams: Arc<Streams>,
    store: Arc<MemoryStore>,
    clock: Arc<Hand>,
    bill: Arc<Bill>,
}

fn context(caller: Caller) -> Context {
    Context {
        caller,
        region: "us-east-1".to_owned(),
        request_id: "r".to_owned(),
        host: "localhost:4566".to_owned(),
        now_ms: NOW_MS,
        trace: None,
    }
}

fn call_of(operation: &str, input: Value, caller: Caller) -> Call {
    let Value::Object(input) = input else { panic!("the input is an object") };
    let all = || OPERATIONS.iter().chain(STREAM_OPERATIONS);
    let operation = all().find(|o| o.name == operation).unwrap();
    Call { operation, input, payload: bytes::Bytes::new(), context: context(caller) }
}

impl Bench {
    fn new() -> Bench {
        Bench::over(Arc::new(MemoryStore::new()))
    }

    /// Another node over the same store.
    fn over(store: Arc<MemoryStore>) -> Bench {
        Bench::with(store, Default::default())
    }

    fn with(store: Arc<MemoryStore>, client: Client) -> Bench {
        let clock = Arc::new(Hand(AtomicU64::new(NOW_MS)));
        let bill = Arc::new(Bill::default());
        let db = Arc::new(DynamoDb::new(store.clone(), clock.clone(), bill.clone(), client));
        let streams = Arc::new(db.streams());
        Bench { db, streams, store, clock, bill }
    }

    async fn call(&self, operation: &str, input: Value) -> Result<Value, ApiError> {
        let call = call_of(operation, input, Caller::owner("000000000000"));
        let answer = if STREAM_OPERATIONS.iter().any(|o| o.name == operation) {
            self.streams.call(call).await
        } else {
            self.db.call(call).await
        };
        answer.map(|answer| serde_json::from_slice(&answer.payload.unwrap()).unwrap()).map_err(|mut error| {
            error.code = error.code.rsplit('#').next().unwrap_or_default().to_owned();
            error
        })
    }

    async fn ok(&self, operation: &str, input: Value) -> Value {
        self.call(operation, input).await.unwrap()
    }

    async fn table(&self, name: &str, more: Value) {
        let mut input = json!({
            "TableName": name,
            "BillingMode": "PAY_PER_REQUEST",
            "AttributeDefinitions": [
                {"AttributeName": "pk", "AttributeType": "S"},
                {"AttributeName": "sk", "AttributeType": "N"},
                {"AttributeName": "g", "AttributeType": "S"},
                {"AttributeName": "l", "AttributeType": "B"},
            ],
            "KeySchema": [
                {"AttributeName": "pk", "KeyType": "HASH"},
                {"AttributeName": "sk", "KeyType": "RANGE"},
            ],
            "GlobalSecondaryIndexes": [{
                "IndexName": "byg",
                "KeySchema": [
                    {"AttributeName": "g", "KeyType": "HASH"},
                    {"AttributeName": "sk", "KeyType": "RANGE"},
                ],
                "Projection": {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["v"]},
            }],
            "LocalSecondaryIndexes": [{
                "IndexName": "byl",
                "KeySchema": [
                    {"AttributeName": "pk", "KeyType": "HASH"},
                    {"AttributeName": "l", "KeyType": "RANGE"},
                ],
                "Projection": {"ProjectionType": "ALL"},
            }],
        });
        for (member, value) in more.as_object().unwrap() {
            input[member] = value.clone();
        }
        self.ok("CreateTable", input).await;
    }

    async fn records(&self, table: &str) -> Vec<Value> {
        let listed = self.ok("ListStreams", json!({"TableName": table})).await;
        let arn = &listed["Streams"][0]["StreamArn"];
        let described = self.ok("DescribeStream", json!({"StreamArn": arn})).await;
        let shard = &described["StreamDescription"]["Shards"][0]["ShardId"];
        let wanted = json!({"StreamArn": arn, "ShardId": shard, "ShardIteratorType": "TRIM_HORIZON"});
        let iterator = self.ok("GetShardIterator", wanted).await;
        let found = self.ok("GetRecords", json!({"ShardIterator": iterator["ShardIterator"]})).await;
        found["Records"].as_array().unwrap().clone()
    }
}

/// An item of the property test: few keys, so that they meet.
type Key = (String, i64);

fn item((pk, sk): &Key, g: Option<u8>, l: Option<u8>, v: u16, pad: usize) -> Value {
    let mut item = json!({"pk": {"S": pk}, "sk": {"N": sk.to_string()}, "v": {"N": v.to_string()}});
    if let Some(g) = g {
        item["g"] = json!({"S": format!("g{g}")});
    }
    if let Some(l) = l {
        // Bytes 1, 2 …, as base64.
        let bytes = ["AQ==", "AgA=", "Ag=="][usize::from(l)];
        item["l"] = json!({"B": bytes});
    }
    if pad > 0 {
        item["pad"] = json!({"S": "x".repeat(pad)});
    }
    item
}

#[derive(Clone, Debug)]
enum Step {
    Put(Key, Value),
    Delete(Key),
    /// Adds to `v`, if the item is there.
    Add(Key),
    /// Puts the first two if the third is there.
    Transact(Vec<(Key, Value)>, Key),
}

fn key() -> impl Strategy<Value = Key> {
    (0..2_u8, -2..3_i64).prop_map(|(pk, sk)| (format!("p{pk}"), sk))
}

fn keyed_item() -> impl Strategy<Value = (Key, Value)> {
    let some = |max: u8| prop::option::of(0..max);
    // Now and then one of several rows, and one that is too large to lie in an index.
    let pad = prop_oneof![8 => Just(0_usize), 1 => Just(9_000), 1 => Just(70_000)];
    (key(), some(2), some(3), 0..100_u16, pad).prop_map(|(key, g, l, v, pad)| {
        let item = item(&key, g, l, v, pad);
        (key, item)
    })
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        5 => keyed_item().prop_map(|(key, item)| Step::Put(key, item)),
        2 => key().prop_map(Step::Delete),
        2 => key().prop_map(Step::Add),
        2 => (vec(keyed_item(), 2), key()).prop_map(|(items, key)| Step::Transact(items, key)),
    ]
}

fn key_json((pk, sk): &Key) -> Value {
    json!({"pk": {"S": pk}, "sk": {"N": sk.to_string()}})
}

async fn follow(steps: Vec<Step>) {
    let bench = Bench::new();
    bench.table("tab", json!({"StreamSpecification": {"StreamEnabled": true, "StreamViewType": "NEW_IMAGE"}})).await;
    let mut model: BTreeMap<Key, Value> = BTreeMap::new();
    for step in steps {
        match step {
            Step::Put(key, item) => {
                let put = json!({"TableName": "tab", "Item": item, "ReturnValues": "ALL_OLD"});
                let answer = bench.ok("PutItem", put).await;
                assert_eq!(answer.get("Attributes"), model.insert(key, item).as_ref());
            }
            Step::Delete(key) => {
                let delete = json!({"TableName": "tab", "Key": key_json(&key), "ReturnValues": "ALL_OLD"});
                let answer = bench.ok("DeleteItem", delete).await;
                assert_eq!(answer.get("Attributes"), model.remove(&key).as_ref());
            }
            Step::Add(key) => {
                let update = json!({
                    "TableName": "tab", "Key": key_json(&key), "UpdateExpression": "SET v = v + :one",
                    "ConditionExpression": "attribute_exists(pk)", "ExpressionAttributeValues": {":one": {"N": "1"}},
                });
                let done = bench.call("UpdateItem", update).await;
                assert_eq!(done.is_ok(), model.contains_key(&key));
                if let Some(item) = model.get_mut(&key) {
                    let v: u64 = item["v"]["N"].as_str().unwrap().parse().unwrap();
                    item["v"] = json!({"N": (v + 1).to_string()});
                }
            }
            Step::Transact(items, check) => {
                let is_distinct = items[0].0 != items[1].0 && items.iter().all(|(key, _)| *key != check);
                let mut parts: Vec<Value> =
                    items.iter().map(|(_, item)| json!({"Put": {"TableName": "tab", "Item": item}})).collect();
                parts.push(json!({"ConditionCheck": {
                    "TableName": "tab", "Key": key_json(&check), "ConditionExpression": "attribute_exists(pk)",
                }}));
                let done = bench.call("TransactWriteItems", json!({"TransactItems": parts})).await;
                assert_eq!(done.is_ok(), is_distinct && model.contains_key(&check), "{done:?}");
                if done.is_ok() {
                    model.extend(items);
                }
            }
        }
    }
    compare(&bench, &model).await;
}

/// Table and indexes hold what the model says, in order.
async fn compare(bench: &Bench, model: &BTreeMap<Key, Value>) {
    for pk in ["p0", "p1"] {
        let of_key = || model.iter().filter(|((p, _), _)| p == pk).map(|(_, item)| item.clone());
        let values = json!({":p": {"S": pk}});
        let query = json!({
            "TableName": "tab", "KeyConditionExpression": "pk = :p", "ExpressionAttributeValues": values, "ConsistentRead": true,
        });
        let found = bench.ok("Query", query.clone()).await;
        assert_eq!(found["Items"], Value::Array(of_key().collect()));
        let mut in_index: Vec<Value> = of_key().filter(|item| item.get("l").is_some()).collect();
        // "AQ==" < "Ag==" < "AgA=" as bytes.
        let rank = |item: &Value| ["AQ==", "Ag==", "AgA="].iter().position(|l| item["l"]["B"] == **l);
        in_index.sort_by_key(rank);
        let mut query = query;
        query["IndexName"] = json!("byl");
        let found = bench.ok("Query", query).await;
        let found = found["Items"].as_array().unwrap();
        assert!(found.is_sorted_by_key(rank));
        assert_eq!(sorted(found.clone()), sorted(in_index));
    }
    for g in ["g0", "g1"] {
        let of_index = |item: &&Value| item["g"]["S"] == g;
        let projected = |item: &Value| {
            let names = ["pk", "sk", "g", "v"];
            Value::Object(names.into_iter().map(|name| (name.to_owned(), item[name].clone())).collect())
        };
        let expect: Vec<Value> = model.values().filter(of_index).map(projected).collect();
        let query = json!({
            "TableName": "tab", "IndexName": "byg", "KeyConditionExpression": "g = :g",
            "ExpressionAttributeValues": {":g": {"S": g}},
        });
        let found = bench.ok("Query", query).await;
        assert_eq!(sorted(found["Items"].as_array().unwrap().clone()), sorted(expect));
    }
    let described = bench.ok("DescribeTable", json!({"TableName": "tab"})).await;
    assert_eq!(described["Table"]["ItemCount"], json!(model.len()));
    // The stream, replayed, is the table.
    let mut replayed: BTreeMap<String, Value> = BTreeMap::new();
    for record in bench.records("tab").await {
        let change = &record["dynamodb"];
        match change.get("NewImage") {
            Some(image) => replayed.insert(canonical(&change["Keys"]), image.clone()),
            None => replayed.remove(&canonical(&change["Keys"])),
        };
    }
    assert_eq!(sorted(replayed.into_values().collect()), sorted(model.values().cloned().collect()));
}

/// The order of members does not matter.
fn canonical(item: &Value) -> String {
    let members: BTreeMap<_, _> = item.as_object().unwrap().iter().map(|(name, v)| (name, v.to_string())).collect();
    format!("{members:?}")
}

fn sorted(items: Vec<Value>) -> Vec<String> {
    let mut items: Vec<String> = items.iter().map(canonical).collect();
    items.sort();
    items
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn tables_indexes_and_streams_follow_the_model(steps in vec(step(), 1..25)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(follow(steps));
    }
}

/// Everyone counts up what they read, on condition that it is still so; two nodes do not know of each other. The successes
/// are one line: each value was written by exactly one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn conditional_writes_are_one_line() {
    let store = Arc::new(MemoryStore::new());
    let nodes = [Bench::over(store.clone()), Bench::over(store)];
    nodes[0].table("tab", json!({})).await;
    let key = json!({"pk": {"S": "a"}, "sk": {"N": "1"}});
    let mut start = key.clone();
    start["n"] = json!({"N": "0"});
    nodes[0].ok("PutItem", json!({"TableName": "tab", "Item": start})).await;
    let mut callers = JoinSet::new();
    for caller in 0..12 {
        let (bench, key) = (nodes[caller % 2].clone(), key.clone());
        callers.spawn(async move {
            let mut written = Vec::new();
            while written.len() < 10 {
                let get = json!({"TableName": "tab", "Key": key, "ConsistentRead": true});
                let seen: u64 = bench.ok("GetItem", get).await["Item"]["n"]["N"].as_str().unwrap().parse().unwrap();
                assert!(written.last().is_none_or(|last| seen >= *last), "a read went back in time");
                let update = json!({
                    "TableName": "tab", "Key": key, "UpdateExpression": "SET n = :new", "ConditionExpression": "n = :old",
                    "ExpressionAttributeValues": {":old": {"N": seen.to_string()}, ":new": {"N": (seen + 1).to_string()}},
                });
                match bench.call("UpdateItem", update).await {
                    Ok(_) => written.push(seen + 1),
                    Err(error) => assert_eq!(error.code, "ConditionalCheckFailedException"),
                }
            }
            written
        });
    }
    let mut all: Vec<u64> = callers.join_all().await.concat();
    all.sort_unstable();
    assert_eq!(all, (1..=120).collect::<Vec<u64>>());
}

/// Unconditional writes of two nodes to one item, and transactions over it: none is refused, none is lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn counters_lose_nothing() {
    let store = Arc::new(MemoryStore::new());
    let nodes = [Bench::over(store.clone()), Bench::over(store)];
    nodes[0].table("tab", json!({})).await;
    nodes[0].table("oth", json!({})).await;
    let mut callers = JoinSet::new();
    for caller in 0..8 {
        let bench = nodes[caller % 2].clone();
        callers.spawn(async move {
            for _ in 0..10 {
                let update = |table: &str| {
                    json!({
                        "TableName": table, "Key": {"pk": {"S": "a"}, "sk": {"N": "1"}}, "UpdateExpression": "ADD n :one",
                        "ExpressionAttributeValues": {":one": {"N": "1"}},
                    })
                };
                bench.ok("UpdateItem", update("tab")).await;
                let both = json!({"TransactItems": [{"Update": update("tab")}, {"Update": update("oth")}]});
                bench.ok("TransactWriteItems", both).await;
            }
        });
    }
    callers.join_all().await;
    let get = |table: &str| json!({"Get": {"TableName": table, "Key": {"pk": {"S": "a"}, "sk": {"N": "1"}}}});
    let got = nodes[0].ok("TransactGetItems", json!({"TransactItems": [get("tab"), get("oth")]})).await;
    assert_eq!(got["Responses"][0]["Item"]["n"]["N"], "160");
    assert_eq!(got["Responses"][1]["Item"]["n"]["N"], "80");
}

/// An index comes while two nodes write, one of which has not heard of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_index_on_a_live_table_is_whole() {
    let store = Arc::new(MemoryStore::new());
    let nodes = [Bench::over(store.clone()), Bench::over(store)];
    nodes[0].table("tab", json!({})).await;
    let put = |n: i64| json!({"TableName": "tab", "Item": {"pk": {"S": "a"}, "sk": {"N": n.to_string()}, "late": {"S": "x"}}});
    for n in 0..300 {
        nodes[1].ok("PutItem", put(n)).await;
    }
    let writer = {
        let bench = nodes[1].clone();
        tokio::spawn(async move {
            for n in 300..600 {
                bench.ok("PutItem", put(n)).await;
                let delete = json!({"TableName": "tab", "Key": {"pk": {"S": "a"}, "sk": {"N": (n - 300).to_string()}}});
                bench.ok("DeleteItem", delete).await;
            }
        })
    };
    let create = json!({
        "TableName": "tab", "AttributeDefinitions": [{"AttributeName": "late", "AttributeType": "S"}],
        "GlobalSecondaryIndexUpdates": [{"Create": {
            "IndexName": "late", "KeySchema": [{"AttributeName": "late", "KeyType": "HASH"}],
            "Projection": {"ProjectionType": "KEYS_ONLY"},
        }}],
    });
    nodes[0].ok("UpdateTable", create).await;
    let query = json!({
        "TableName": "tab", "IndexName": "late", "Select": "COUNT", "KeyConditionExpression": "late = :x",
        "ExpressionAttributeValues": {":x": {"S": "x"}},
    });
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(20);
    loop {
        let described = nodes[0].ok("DescribeTable", json!({"TableName": "tab"})).await;
        let indexes = described["Table"]["GlobalSecondaryIndexes"].as_array().unwrap().clone();
        if indexes.iter().all(|index| index["IndexStatus"] == "ACTIVE") {
            break;
        }
        // Never seen half-built.
        assert!(nodes[0].call("Query", query.clone()).await.is_err() || indexes.len() == 2);
        assert!(tokio::time::Instant::now() < deadline, "the index is never whole");
        tokio::task::yield_now().await;
    }
    writer.await.unwrap();
    assert_eq!(nodes[0].ok("Query", query).await["Count"], json!(300));
}

#[tokio::test]
async fn a_lost_acknowledgement_is_no_second_write() {
    let faults = Faults::default();
    let bench = Bench::over(Arc::new(MemoryStore::with_faults(faults.clone())));
    bench.table("tab", json!({"StreamSpecification": {"StreamEnabled": true, "StreamViewType": "NEW_IMAGE"}})).await;
    let update = json!({
        "TableName": "tab", "Key": {"pk": {"S": "a"}, "sk": {"N": "1"}}, "UpdateExpression": "ADD n :one",
        "ExpressionAttributeValues": {":one": {"N": "1"}}, "ReturnValues": "ALL_NEW",
    });
    faults.apply_next_as_unknown(1);
    assert_eq!(bench.ok("UpdateItem", update.clone()).await["Attributes"]["n"]["N"], "1");
    faults.lose_next(2);
    assert_eq!(bench.ok("UpdateItem", update.clone()).await["Attributes"]["n"]["N"], "2");
    faults.apply_next_as_unknown(1);
    let part = json!({
        "TableName": "tab", "Key": {"pk": {"S": "a"}, "sk": {"N": "1"}}, "UpdateExpression": "ADD n :one",
        "ExpressionAttributeValues": {":one": {"N": "1"}},
    });
    let transaction = json!({"TransactItems": [{"Update": part}], "ClientRequestToken": "x"});
    bench.ok("TransactWriteItems", transaction.clone()).await;
    bench.ok("TransactWriteItems", transaction).await;
    let images: Vec<Value> =
        bench.records("tab").await.iter().map(|r| r["dynamodb"]["NewImage"]["n"]["N"].clone()).collect();
    assert_eq!(images, ["1", "2", "3"]);
    faults.fail_commits(1);
    assert_eq!(bench.call("UpdateItem", update).await.unwrap_err().code, "InternalServerError");
    let described = bench.ok("DescribeTable", json!({"TableName": "tab"})).await;
    assert_eq!(described["Table"]["ItemCount"], json!(1));
    assert!(bench.bill.0.lock().unwrap()["write-request-units"] > 0);
}

#[tokio::test]
async fn time_passes() {
    let bench = Bench::new();
    bench.table("tab", json!({"StreamSpecification": {"StreamEnabled": true, "StreamViewType": "KEYS_ONLY"}})).await;
    let now_s = NOW_MS / 1000;
    let put = |sk: i64, at: u64| json!({"TableName": "tab", "Item": {"pk": {"S": "a"}, "sk": {"N": sk.to_string()}, "at": {"N": at.to_string()}}});
    bench.ok("PutItem", put(1, now_s + 60)).await;
    bench.ok("PutItem", put(2, now_s + 7200)).await;
    let specification = json!({"AttributeName": "at", "Enabled": true});
    bench.ok("UpdateTimeToLive", json!({"TableName": "tab", "TimeToLiveSpecification": specification})).await;
    // What was there before is listed in the background.
    let shared = &bench.db.shared;
    let place =
        model::Place { account: "000000000000".to_owned(), region: "us-east-1".to_owned(), name: "tab".to_owned() };
    let rows = shared.tables.find(&place).await.unwrap().unwrap().table.rows;
    jobs::fill_expiries(shared.clone(), place, rows).await;
    let count = async || bench.ok("Scan", json!({"TableName": "tab", "Select": "COUNT"})).await["Count"].clone();
    jobs::expire(shared).await.unwrap();
    assert_eq!(count().await, json!(2));
    // One that gets more time stays.
    bench.ok("PutItem", put(3, now_s + 60)).await;
    bench.ok("PutItem", put(3, now_s + 7200)).await;
    bench.clock.0.fetch_add(61_000, Ordering::Relaxed);
    jobs::expire(shared).await.unwrap();
    assert_eq!(count().await, json!(2));
    let records = bench.records("tab").await;
    let last = records.last().unwrap();
    assert_eq!((&last["eventName"], &last["userIdentity"]["Type"]), (&json!("REMOVE"), &json!("Service")));
    // An entry that a stop left behind goes, and takes nothing with it.
    let mut batch = storage::Batch::<()>::default();
    let left_behind = keys::expiry(rows, now_s, &[7; 16]);
    batch.put(storage::shard(rows), left_behind.clone(), bytes::Bytes::from_static(&[7; 24]));
    shared.storage().commit(batch).await.unwrap();
    jobs::expire(shared).await.unwrap();
    let span = storage::Span { lo: left_behind.clone(), hi: keys::next(&left_behind), is_reverse: false };
    assert!(shared.storage().raw_page(rows, &span, 1).await.unwrap().is_empty());
    assert_eq!(count().await, json!(2));
    // A day later the records are forgotten, and the token of a transaction long before.
    let part = json!({"Put": {"TableName": "tab", "Item": {"pk": {"S": "b"}, "sk": {"N": "1"}}}});
    let transaction = json!({"TransactItems": [part], "ClientRequestToken": "x"});
    bench.ok("TransactWriteItems", transaction.clone()).await;
    let changed = json!({"TransactItems": [{"Put": {"TableName": "tab", "Item": {"pk": {"S": "c"}, "sk": {"N": "1"}}}}],
        "ClientRequestToken": "x"});
    let mismatch = bench.call("TransactWriteItems", changed.clone()).await.unwrap_err();
    assert_eq!(mismatch.code, "IdempotentParameterMismatchException");
    bench.clock.0.fetch_add(limits_ms(), Ordering::Relaxed);
    bench.ok("TransactWriteItems", changed).await;
    jobs::forget(shared).await.unwrap();
    assert_eq!(bench.records("tab").await.len(), 1);
    let oldest = &records[0]["dynamodb"]["SequenceNumber"];
    let arn = bench.ok("ListStreams", json!({"TableName": "tab"})).await["Streams"][0]["StreamArn"].clone();
    let described = bench.ok("DescribeStream", json!({"StreamArn": arn})).await;
    let shard = &described["StreamDescription"]["Shards"][0]["ShardId"];
    let wanted = json!({
        "StreamArn": arn, "ShardId": shard, "ShardIteratorType": "AT_SEQUENCE_NUMBER", "SequenceNumber": oldest,
    });
    assert_eq!(bench.call("GetShardIterator", wanted).await.unwrap_err().code, "TrimmedDataAccessException");
}

fn limits_ms() -> u64 {
    cumulet_base::limits::TABLE_STREAM_MS + 1
}

/// Allows what is listed.
struct Only(&'static [(&'static str, &'static str)]);

#[async_trait]
impl Authorizer for Only {
    async fn authorize(&self, _: &Caller, action: &str, resource: &str) -> Result<(), ApiError> {
        let is_listed = self.0.iter().any(|(a, r)| *a == action && resource.ends_with(r));
        let refusal = || ApiError::new(400, "AccessDeniedException", format!("{action} on {resource}"));
        if is_listed { Ok(()) } else { Err(refusal()) }
    }
}

#[tokio::test]
async fn every_table_and_action_is_asked_for() {
    let bench = Bench::new();
    bench.table("tab", json!({})).await;
    let role = Caller {
        kind: Principal::Role { role_arn: "arn:aws:iam::000000000000:role/a".to_owned() },
        ..Caller::owner("000000000000")
    };
    let ask = async |only: &'static [(&'static str, &'static str)], operation: &str, input: Value| {
        let call = call_of(operation, input, role.clone());
        let service: &dyn Service =
            if STREAM_OPERATIONS.iter().any(|o| o.name == operation) { &*bench.streams } else { &*bench.db };
        service.authorize(&Only(only), &call).await.map_err(|e| e.message)
    };
    let get = |table: &str| json!({"TransactItems": [{"Get": {"TableName": table}}, {"Get": {"TableName": "tab"}}]});
    let write = json!({"TransactItems": [{"Put": {"TableName": "tab"}}, {"ConditionCheck": {"TableName": "oth"}}]});
    let allowed: &'static [_] = &[
        ("dynamodb:GetItem", "table/tab"),
        ("dynamodb:PutItem", "table/tab"),
        ("dynamodb:BatchGetItem", "table/tab"),
        ("dynamodb:Query", "table/tab/index/byg"),
        ("dynamodb:PartiQLSelect", "table/tab"),
        ("dynamodb:GetRecords", "table/tab/stream/x"),
    ];
    assert_eq!(ask(allowed, "GetItem", json!({"TableName": "tab"})).await, Ok(()));
    assert_eq!(ask(allowed, "TransactGetItems", get("tab")).await, Ok(()));
    let query = json!({"TableName": "tab", "IndexName": "byg"});
    assert_eq!(ask(allowed, "Query", query).await, Ok(()));
    let select = json!({"Statement": "SELECT * FROM \"tab\""});
    assert_eq!(ask(allowed, "ExecuteStatement", select).await, Ok(()));
    for (operation, input, expect) in [
        (
            "GetItem",
            json!({"TableName": "oth"}),
            "dynamodb:GetItem on arn:aws:dynamodb:us-east-1:000000000000:table/oth",
        ),
        ("TransactGetItems", get("oth"), "dynamodb:GetItem on arn:aws:dynamodb:us-east-1:000000000000:table/oth"),
        (
            "TransactWriteItems",
            write,
            "dynamodb:ConditionCheckItem on arn:aws:dynamodb:us-east-1:000000000000:table/oth",
        ),
        (
            "BatchGetItem",
            json!({"RequestItems": {"tab": {}, "oth": {}}}),
            "dynamodb:BatchGetItem on arn:aws:dynamodb:us-east-1:000000000000:table/oth",
        ),
        ("Query", json!({"TableName": "tab"}), "dynamodb:Query on arn:aws:dynamodb:us-east-1:000000000000:table/tab"),
        ("ListTables", json!({}), "dynamodb:ListTables on *"),
        (
            "ExecuteStatement",
            json!({"Statement": "DELETE FROM \"tab\" WHERE pk = 'a'"}),
            "dynamodb:PartiQLDelete on arn:aws:dynamodb:us-east-1:000000000000:table/tab",
        ),
    ] {
        assert_eq!(ask(allowed, operation, input).await, Err(expect.to_owned()));
    }
    // The table itself lets the role in, or keeps it out.
    let arn = "arn:aws:dynamodb:us-east-1:000000000000:table/tab";
    let policy = |effect: &str, action: &str| {
        json!({"Version": "2012-10-17", "Statement": [{
            "Effect": effect, "Principal": {"AWS": "arn:aws:iam::000000000000:role/a"}, "Action": action, "Resource": arn,
        }]})
        .to_string()
    };
    let allow = json!({"ResourceArn": arn, "Policy": policy("Allow", "dynamodb:Scan")});
    bench.ok("PutResourcePolicy", allow).await;
    assert_eq!(ask(&[], "Scan", json!({"TableName": "tab"})).await, Ok(()));
    let deny = json!({"ResourceArn": arn, "Policy": policy("Deny", "dynamodb:*")});
    bench.ok("PutResourcePolicy", deny).await;
    let denied = ask(allowed, "GetItem", json!({"TableName": "tab"})).await.unwrap_err();
    assert!(denied.ends_with("with an explicit deny in a resource-based policy"), "{denied}");
}

#[tokio::test]
async fn what_was_interrupted_goes_on() {
    let bench = Bench::new();
    bench.table("tab", json!({})).await;
    for n in 0..10 {
        let item = json!({"pk": {"S": "a"}, "sk": {"N": n.to_string()}});
        bench.ok("PutItem", json!({"TableName": "tab", "Item": item})).await;
    }
    // The rows of a dropped table are marked, and nobody deletes them here: the runtime is not given a turn.
    let place =
        model::Place { account: "000000000000".to_owned(), region: "us-east-1".to_owned(), name: "tab".to_owned() };
    let live = bench.db.shared.tables.load(&place).await.unwrap().unwrap();
    assert!(bench.db.shared.storage().drop_table(&live.table, live.rev, None).await.unwrap());
    let again = Bench::over(bench.store.clone());
    assert_eq!(
        again.call("DescribeTable", json!({"TableName": "tab"})).await.unwrap_err().code,
        "ResourceNotFoundException"
    );
    let found = again.db.shared.storage().everything().await.unwrap();
    assert_eq!(found.purges, [live.table.rows]);
    jobs::purge(again.db.shared.clone(), live.table.rows).await;
    let found = again.db.shared.storage().everything().await.unwrap();
    assert!(found.purges.is_empty() && found.tables.is_empty());
    let (lo, hi) = keys::all(live.table.rows);
    let span = storage::Span { lo, hi, is_reverse: false };
    assert!(again.db.shared.storage().raw_page(live.table.rows, &span, 10).await.unwrap().is_empty());
}
