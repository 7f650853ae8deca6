//! A queue's mapping at work (<https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html>): messages are received by long
//! poll, gathered into batches, handed over, and deleted when they were dealt with. What failed is left to the queue's
//! visibility timeout. As long as there is more than the batches under way take, more of them run at a time.

use std::collections::HashSet;

use bytes::Bytes;
use cumulet_base::arn::Arn;
use cumulet_base::limits;
use cumulet_delivery::target::queue_url;
use cumulet_wire::auth::Caller;
use cumulet_wire::client::Client;
use cumulet_wire::error::ApiError;
use serde_json::{Map, Value, json};
use tokio::task::JoinSet;
use tokio::time::{Duration, Instant};

use super::Work;
use super::batch::{self, Ended};
use super::filter::Filters;
use super::model::Mapping;

const WAIT_S: u64 = 20;
/// SQS gives out and takes back this many at a time.
const RECEIVE_MAX: usize = 10;
/// Left of the visibility timeout when a throttled batch is given back.
const MARGIN_MS: u64 = 1000;

/// The queue as its client sees it.
#[derive(Clone)]
struct Queue {
    url: String,
    region: String,
    arn: String,
}

impl Queue {
    fn of(mapping: &Mapping) -> Option<Queue> {
        let arn: Arn = mapping.source_arn.parse().ok()?;
        Some(Queue { url: queue_url(&arn), region: arn.region.clone(), arn: mapping.source_arn.clone() })
    }

    async fn call(
        &self,
        client: &Client,
        caller: &Caller,
        operation: &str,
        mut input: Value,
    ) -> Result<Value, ApiError> {
        input["QueueUrl"] = json!(self.url);
        client.call(caller, &self.region, "sqs", operation, input, Bytes::new()).await?.members()
    }
}

/// The queue's attributes.
pub async fn attributes(client: &Client, caller: &Caller, mapping: &Mapping) -> Result<Value, ApiError> {
    let queue = Queue::of(mapping).ok_or_else(|| ApiError::internal("a mapping's queue has no ARN"))?;
    queue.call(client, caller, "GetQueueAttributes", json!({"AttributeNames": ["All"]})).await
}

/// What one batch's end says of how many may run.
enum Growth {
    More,
    Fewer,
    Same,
}

pub async fn run(mut work: Work) {
    let Some(queue) = Queue::of(&work.mapping) else { return };
    let filters = std::sync::Arc::new(Filters::of(&work.mapping));
    let most = work.mapping.concurrency_max.map_or(limits::MAPPING_CONCURRENCY_MAX, |max| max as usize);
    let mut allowed = limits::MAPPING_CONCURRENCY_FIRST.min(most);
    let mut running: JoinSet<Growth> = JoinSet::new();
    let mut failures = 0;
    let adjust = |allowed: usize, growth: Growth| match growth {
        Growth::More => (allowed + 1).min(most),
        Growth::Fewer => (allowed / 2).max(1),
        Growth::Same => allowed,
    };
    loop {
        while let Some(ended) = running.try_join_next() {
            allowed = adjust(allowed, ended.unwrap_or(Growth::Same));
        }
        if running.len() >= allowed {
            tokio::select! {
                Some(ended) = running.join_next() => allowed = adjust(allowed, ended.unwrap_or(Growth::Same)),
                _ = work.stop.wait_for(|stop| *stop) => {}
            }
        }
        if work.is_over() {
            break;
        }
        match gather(&mut work, &queue).await {
            Ok((_, messages)) if messages.is_empty() => failures = 0,
            Ok((caller, messages)) => {
                failures = 0;
                let is_full = messages.len() >= (work.mapping.batch_size as usize).min(RECEIVE_MAX);
                let (work, queue, filters) = (work.clone(), queue.clone(), filters.clone());
                running.spawn(async move { process(work, &queue, &caller, messages, &filters, is_full).await });
            }
            Err(error) => {
                tracing::warn!(mapping = work.mapping.uuid, %error, "a queue cannot be read");
                work.say(&format!("PROBLEM: {}", error.message));
                failures += 1;
                if !work.pause(batch::pause_ms(failures)).await {
                    break;
                }
            }
        }
    }
    running.join_all().await;
}

/// Messages for one batch: at once what is there, or as much as comes within the window.
async fn gather(work: &mut Work, queue: &Queue) -> Result<(Caller, Vec<Value>), ApiError> {
    let caller = work.caller().await?;
    let size = work.mapping.batch_size as usize;
    let window = Duration::from_secs(u64::from(work.mapping.window_s));
    let mut messages: Vec<Value> = Vec::new();
    let mut until: Option<Instant> = None;
    let mut bytes = 0;
    loop {
        let wait_s = match until {
            None => WAIT_S,
            Some(until) => until.saturating_duration_since(Instant::now()).as_secs(),
        };
        let input = json!({
            "MaxNumberOfMessages": (size - messages.len()).min(RECEIVE_MAX),
            "WaitTimeSeconds": wait_s.min(WAIT_S),
            "MessageSystemAttributeNames": ["All"],
            "MessageAttributeNames": ["All"],
        });
        let client = work.inner.ports.client.clone();
        let received = tokio::select! {
            received = queue.call(&client, &caller, "ReceiveMessage", input) => received?,
            _ = work.stop.wait_for(|stop| *stop) => return Ok((caller, messages)),
        };
        if let Some(Value::Array(more)) = received.get("Messages") {
            bytes += more.iter().filter_map(|m| m["Body"].as_str()).map(str::len).sum::<usize>();
            messages.extend(more.iter().cloned());
        }
        let is_over = until.is_some_and(|until| Instant::now() >= until)
            || messages.len() >= size
            || bytes >= limits::MAPPING_PAYLOAD_BYTES_MAX / 2;
        if messages.is_empty() || window.is_zero() || is_over {
            return Ok((caller, messages));
        }
        until.get_or_insert(Instant::now() + window);
    }
}

async fn process(
    work: Work,
    queue: &Queue,
    caller: &Caller,
    messages: Vec<Value>,
    filters: &Filters,
    is_full: bool,
) -> Growth {
    let received = Instant::now();
    let trace = messages.iter().find_map(|m| m["Attributes"]["AWSTraceHeader"].as_str()).map(str::to_owned);
    let records: Vec<Value> = messages.iter().map(|message| record(queue, message)).collect();
    let (wanted, unwanted): (Vec<Value>, Vec<Value>) =
        records.into_iter().partition(|record| filters.lets_message(record));
    // Those that no filter lets through are done with.
    let mut done = receipts(unwanted.iter());
    let mut growth = if is_full { Growth::More } else { Growth::Same };
    let mut rest = wanted.as_slice();
    while !rest.is_empty() {
        let (records, later) = rest.split_at(batch::fitting(rest, work.mapping.batch_size as usize));
        rest = later;
        let ids: Vec<String> = records.iter().filter_map(|r| r["messageId"].as_str()).map(str::to_owned).collect();
        match attempt(work.clone(), records, trace.clone(), &ids, received).await {
            Ended::Done => done.extend(receipts(records.iter())),
            Ended::Partly(failed) => {
                let is_fine = |r: &&Value| !r["messageId"].as_str().is_some_and(|id| failed.contains(id));
                done.extend(receipts(records.iter().filter(is_fine)));
            }
            Ended::Throttled => growth = Growth::Fewer,
            Ended::Failed(_) => {}
            Ended::Refused(reason) => {
                tracing::warn!(mapping = work.mapping.uuid, reason, "a function cannot be run");
                growth = Growth::Fewer;
            }
        }
    }
    delete(&work, queue, caller, done).await;
    growth
}

/// One batch; again while it is throttled and the messages are still ours.
async fn attempt(mut work: Work, records: &[Value], trace: Option<String>, ids: &[String], received: Instant) -> Ended {
    let payload = Bytes::from(json!({"Records": records}).to_string());
    let mut visible: Option<Duration> = None;
    let mut failures = 0;
    loop {
        let (ended, _) = batch::hand_over(&work, payload.clone(), trace.clone(), ids).await;
        if !matches!(ended, Ended::Throttled) {
            return ended;
        }
        let visible = match visible {
            Some(known) => known,
            None => *visible.insert(visibility(&work).await),
        };
        let pause_ms = batch::pause_ms(failures);
        let left = visible.saturating_sub(received.elapsed() + Duration::from_millis(pause_ms + MARGIN_MS));
        if left.is_zero() || !work.pause(pause_ms).await {
            return ended;
        }
        failures += 1;
    }
}

async fn visibility(work: &Work) -> Duration {
    let seconds = match work.caller().await {
        Ok(caller) => {
            let found = attributes(&work.inner.ports.client, &caller, &work.mapping).await;
            found.ok().and_then(|found| found["Attributes"]["VisibilityTimeout"].as_str()?.parse().ok())
        }
        Err(_) => None,
    };
    Duration::from_secs(seconds.unwrap_or(30))
}

fn receipts<'a>(records: impl Iterator<Item = &'a Value>) -> Vec<(String, String)> {
    let pair = |r: &Value| Some((r["messageId"].as_str()?.to_owned(), r["receiptHandle"].as_str()?.to_owned()));
    records.filter_map(pair).collect()
}

async fn delete(work: &Work, queue: &Queue, caller: &Caller, done: Vec<(String, String)>) {
    let mut seen = HashSet::new();
    let done: Vec<_> = done.into_iter().filter(|(id, _)| seen.insert(id.clone())).collect();
    for some in done.chunks(RECEIVE_MAX) {
        let entries: Vec<Value> = some
            .iter()
            .enumerate()
            .map(|(i, (_, receipt))| json!({"Id": i.to_string(), "ReceiptHandle": receipt}))
            .collect();
        let client = &work.inner.ports.client;
        // A message that stays comes again: at least once is what a queue promises.
        if let Err(error) = queue.call(client, caller, "DeleteMessageBatch", json!({"Entries": entries})).await {
            tracing::warn!(mapping = work.mapping.uuid, %error, "messages could not be deleted and come again");
            work.say(&format!("PROBLEM: {}", error.message));
        }
    }
}

/// A message as functions get it.
fn record(queue: &Queue, message: &Value) -> Value {
    let text = |member: &str| message.get(member).cloned().unwrap_or_default();
    let mut attributes = Map::new();
    for (name, value) in message["MessageAttributes"].as_object().into_iter().flatten() {
        let mut attribute = Map::new();
        for (from, to) in [("StringValue", "stringValue"), ("BinaryValue", "binaryValue")] {
            if let Some(value) = value.get(from).filter(|value| !value.is_null()) {
                attribute.insert(to.to_owned(), value.clone());
            }
        }
        attribute.insert("stringListValues".to_owned(), json!([]));
        attribute.insert("binaryListValues".to_owned(), json!([]));
        attribute.insert("dataType".to_owned(), value["DataType"].clone());
        attributes.insert(name.clone(), attribute.into());
    }
    let mut record = json!({
        "messageId": text("MessageId"),
        "receiptHandle": text("ReceiptHandle"),
        "body": text("Body"),
        "attributes": text("Attributes"),
        "messageAttributes": attributes,
        "md5OfBody": text("MD5OfBody"),
        "eventSource": "aws:sqs",
        "eventSourceARN": queue.arn,
        "awsRegion": queue.region,
    });
    if let Some(digest) = message.get("MD5OfMessageAttributes") {
        record["md5OfMessageAttributes"] = digest.clone();
    }
    record
}
