//! A table stream's mapping at work (<https://docs.aws.amazon.com/lambda/latest/dg/with-ddb.html>): records in their order,
//! one batch at a time per shard, or per group of keys; a batch that fails is tried again and holds up those behind it,
//! until it is given up. How far a shard has been handed over is written down after each round, so that nothing is
//! skipped by a stop, and little is repeated.

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use bytes::Bytes;
use cumulet_base::arn::Arn;
use cumulet_base::clock;
use cumulet_delivery::target::{self, Parcel};
use cumulet_wire::auth::Caller;
use cumulet_wire::client::Client;
use cumulet_wire::error::ApiError;
use cumulet_wire::operation::Changes;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::batch::{self, Ended, Failure};
use super::filter::Filters;
use super::model::{Mapping, Position, StreamSettings};
use super::{FAILED, Work};
use crate::bucket;

const SERVICE: &str = "dynamodbstreams";
/// What GetRecords answers at most.
const RECORDS_MAX: usize = 1000;
/// So long after a tumbling window's end, none of its records is still on its way into the stream.
const WINDOW_GRACE_MS: u64 = 1000;

async fn call(
    client: &Client,
    caller: &Caller,
    mapping: &Mapping,
    operation: &str,
    input: Value,
) -> Result<Value, ApiError> {
    let region = mapping.source_arn.parse::<Arn>().map(|arn| arn.region).unwrap_or_default();
    client.call(caller, &region, SERVICE, operation, input, Bytes::new()).await?.members()
}

pub async fn describe(client: &Client, caller: &Caller, mapping: &Mapping) -> Result<Value, ApiError> {
    let answer = call(client, caller, mapping, "DescribeStream", json!({"StreamArn": mapping.source_arn})).await?;
    Ok(answer["StreamDescription"].clone())
}

pub async fn run(mut work: Work) {
    let mut failures = 0;
    loop {
        match shards(&mut work).await {
            Ok(()) => return,
            Err(error) => {
                tracing::warn!(mapping = work.mapping.uuid, %error, "a stream cannot be read");
                work.say(&format!("PROBLEM: {}", error.message));
                failures += 1;
                if !work.pause(batch::pause_ms(failures)).await {
                    return;
                }
            }
        }
    }
}

/// Reads the shards in their order, each to its end; returns when the mapping is to stop or the stream has ended.
async fn shards(work: &mut Work) -> Result<(), ApiError> {
    let Some(settings) = work.mapping.stream.clone() else { return Ok(()) };
    let mut finished: HashSet<String> = HashSet::new();
    loop {
        let caller = work.caller().await?;
        let client = work.inner.ports.client.clone();
        let stream = describe(&client, &caller, &work.mapping).await?;
        let ids: Vec<String> = stream["Shards"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|shard| shard["ShardId"].as_str().map(str::to_owned))
            .collect();
        let Some(shard) = ids.into_iter().find(|id| !finished.contains(id)) else {
            work.say("PROBLEM: The stream has ended");
            // Deleted or replaced by another: there is nothing to come.
            return Ok(());
        };
        let mut reader = Reader::open(work.clone(), settings.clone(), shard.clone()).await?;
        reader.read().await?;
        if work.is_over() {
            return Ok(());
        }
        finished.insert(shard);
    }
}

/// One shard being read.
struct Reader {
    work: Work,
    settings: StreamSettings,
    shard: String,
    filters: Filters,
    position: Position,
    iterator: String,
    news: Option<Box<dyn Changes>>,
}

/// What became of a batch of records.
enum Settled {
    Done,
    /// The mapping is to stop: what is not done comes again.
    Stopped,
}

fn sequence(record: &Value) -> &str {
    record["dynamodb"]["SequenceNumber"].as_str().unwrap_or_default()
}

fn arrived_ms(record: &Value) -> u64 {
    (record["dynamodb"]["ApproximateCreationDateTime"].as_f64().unwrap_or_default() * 1000.0) as u64
}

impl Reader {
    async fn open(work: Work, settings: StreamSettings, shard: String) -> Result<Reader, ApiError> {
        let known = work.inner.storage.positions(&work.mapping.uuid).await?;
        let position = known.into_iter().find(|(part, _)| *part == shard).map(|(_, position)| position);
        let filters = Filters::of(&work.mapping);
        let news = work.inner.ports.client.changes(SERVICE, &work.mapping.source_arn);
        let mut reader = Reader {
            work,
            settings,
            shard,
            filters,
            position: position.unwrap_or_default(),
            iterator: String::new(),
            news,
        };
        reader.renew().await?;
        Ok(reader)
    }

    async fn ask(&self, operation: &str, input: Value) -> Result<Value, ApiError> {
        let caller = self.work.caller().await?;
        call(&self.work.inner.ports.client, &caller, &self.work.mapping, operation, input).await
    }

    /// A place to read from: after what is done, or where the mapping begins.
    async fn renew(&mut self) -> Result<(), ApiError> {
        let input = |kind: &str| json!({"StreamArn": self.work.mapping.source_arn, "ShardId": self.shard, "ShardIteratorType": kind});
        let answer = if self.position.sequence.is_empty() {
            // What was written between the mapping's making and this is taken too: see `read`.
            self.ask("GetShardIterator", input("TRIM_HORIZON")).await?
        } else {
            let mut after = input("AFTER_SEQUENCE_NUMBER");
            after["SequenceNumber"] = json!(self.position.sequence);
            match self.ask("GetShardIterator", after).await {
                // Forgotten meanwhile: what is left of the stream follows.
                Err(error) if error.code == "TrimmedDataAccessException" => {
                    self.ask("GetShardIterator", input("TRIM_HORIZON")).await?
                }
                other => other?,
            }
        };
        self.iterator = answer["ShardIterator"].as_str().unwrap_or_default().to_owned();
        Ok(())
    }

    /// Reads to the shard's end.
    async fn read(&mut self) -> Result<(), ApiError> {
        let size = self.work.mapping.batch_size as usize;
        let window = Duration::from_secs(u64::from(self.work.mapping.window_s));
        let limit = (size * self.settings.parallel as usize).min(RECORDS_MAX);
        // Only what came after the mapping was made is wanted of a stream that is read from its latest record.
        let from_ms = match self.settings.starting_position.as_str() {
            "LATEST" if self.position.sequence.is_empty() => self.work.mapping.created_ms / 1000 * 1000,
            _ => 0,
        };
        let mut waiting: Vec<Value> = Vec::new();
        let mut until: Option<Instant> = None;
        loop {
            if self.work.is_over() {
                return Ok(());
            }
            let input = json!({"ShardIterator": self.iterator, "Limit": limit.saturating_sub(waiting.len()).max(1)});
            let answer = match self.ask("GetRecords", input).await {
                Err(error) if error.code.contains("IteratorException") => {
                    waiting.clear();
                    self.renew().await?;
                    continue;
                }
                Err(error) if error.code == "TrimmedDataAccessException" => {
                    self.renew().await?;
                    continue;
                }
                other => other?,
            };
            let next = answer["NextShardIterator"].as_str().map(str::to_owned);
            if let Value::Array(records) = &answer["Records"] {
                waiting.extend(records.iter().filter(|record| arrived_ms(record) >= from_ms).cloned());
            }
            let has_come = answer["Records"].as_array().is_some_and(|records| !records.is_empty());
            let is_ripe = !waiting.is_empty()
                && (waiting.len() >= limit
                    || next.is_none()
                    || window.is_zero()
                    || until.is_some_and(|until| Instant::now() >= until));
            if is_ripe {
                until = None;
                if let Settled::Stopped = self.hand_over(std::mem::take(&mut waiting)).await? {
                    return Ok(());
                }
            } else if !waiting.is_empty() && until.is_none() {
                until = Some(Instant::now() + window);
            }
            let is_over = !has_come && waiting.is_empty() && self.window_left() == Some(Duration::ZERO);
            if self.position.window.is_some() && (is_over || next.is_none()) {
                if matches!(self.close_window().await?, Settled::Stopped) {
                    return Ok(());
                }
                self.work.inner.storage.put_position(&self.work.mapping.uuid, &self.shard, &self.position).await?;
            }
            match next {
                Some(next) => self.iterator = next,
                None => return Ok(()),
            }
            if !has_come && !self.wait(until.or_else(|| Some(Instant::now() + self.window_left()?))).await {
                return Ok(());
            }
        }
    }

    /// Until there may be something new, or the window is over. `false`: the mapping is to stop.
    async fn wait(&mut self, until: Option<Instant>) -> bool {
        let Reader { work, news, .. } = self;
        let came = async {
            match news {
                Some(news) => news.changed().await,
                None => tokio::time::sleep(Duration::from_secs(1)).await,
            }
        };
        let over = async {
            match until {
                Some(until) => tokio::time::sleep_until(until).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = came => true,
            () = over => true,
            _ = work.stop.wait_for(|stop| *stop) => false,
        }
    }

    /// Hands over records that follow one another, and writes down how far it came.
    async fn hand_over(&mut self, records: Vec<Value>) -> Result<Settled, ApiError> {
        let last = records.last().map(|record| sequence(record).to_owned()).unwrap_or_default();
        let wanted: Vec<Value> = records
            .into_iter()
            .map(|record| self.with_source(record))
            .filter(|record| self.filters.lets(record))
            .collect();
        let stopped = if self.settings.tumbling_s > 0 {
            matches!(self.windows(wanted).await?, Settled::Stopped)
        } else {
            let lanes = lanes(wanted, self.settings.parallel);
            let mut tasks = tokio::task::JoinSet::new();
            for lane in lanes {
                let (work, settings, shard) = (self.work.clone(), self.settings.clone(), self.shard.clone());
                tasks.spawn(async move { in_batches(work, &settings, &shard, lane).await });
            }
            let ends = tasks.join_all().await;
            ends.iter().any(|end| matches!(end, Settled::Stopped))
        };
        if stopped {
            return Ok(Settled::Stopped);
        }
        self.position.sequence = last;
        self.work.inner.storage.put_position(&self.work.mapping.uuid, &self.shard, &self.position).await?;
        Ok(Settled::Done)
    }

    fn with_source(&self, mut record: Value) -> Value {
        record["eventSourceARN"] = json!(self.work.mapping.source_arn);
        record
    }

    /// Records of tumbling windows, each window's with the state of the batches before
    /// (<https://docs.aws.amazon.com/lambda/latest/dg/services-ddb-windows.html>).
    async fn windows(&mut self, records: Vec<Value>) -> Result<Settled, ApiError> {
        let span_ms = u64::from(self.settings.tumbling_s) * 1000;
        let mut rest = records.as_slice();
        while let Some(first) = rest.first() {
            let start_ms = arrived_ms(first) / span_ms * span_ms;
            let is_other = self.position.window.as_ref().is_some_and(|(open_ms, _)| *open_ms != start_ms);
            if is_other && matches!(self.close_window().await?, Settled::Stopped) {
                return Ok(Settled::Stopped);
            }
            let same = rest.iter().take_while(|r| arrived_ms(r) / span_ms * span_ms == start_ms).count();
            let count = batch::fitting(&rest[..same], self.work.mapping.batch_size as usize);
            let (some, later) = rest.split_at(count);
            let state = self.position.window.clone().map_or_else(|| json!({}), |(_, state)| state);
            let extra = window_members(&self.shard, &self.work.mapping, start_ms, span_ms, &state, false);
            let Some(answer) = settle(&mut self.work, &self.settings, &self.shard, some, Some(extra)).await else {
                return Ok(Settled::Stopped);
            };
            let next = answer.get("state").cloned().unwrap_or(state);
            self.position.window = Some((start_ms, next));
            rest = later;
        }
        Ok(Settled::Done)
    }

    /// How long the open window is open still, if there is one.
    fn window_left(&self) -> Option<Duration> {
        let (start_ms, _) = self.position.window.as_ref()?;
        let ends_ms = start_ms + u64::from(self.settings.tumbling_s) * 1000 + WINDOW_GRACE_MS;
        Some(Duration::from_millis(ends_ms.saturating_sub(self.work.inner.ports.clock.now_ms())))
    }

    /// Tells the function that the open window is over, if there is one.
    async fn close_window(&mut self) -> Result<Settled, ApiError> {
        let Some((start_ms, state)) = self.position.window.clone() else { return Ok(Settled::Done) };
        let span_ms = u64::from(self.settings.tumbling_s) * 1000;
        let extra = window_members(&self.shard, &self.work.mapping, start_ms, span_ms, &state, true);
        if settle(&mut self.work, &self.settings, &self.shard, &[], Some(extra)).await.is_none() {
            return Ok(Settled::Stopped);
        }
        self.position.window = None;
        Ok(Settled::Done)
    }
}

fn window_members(shard: &str, mapping: &Mapping, start_ms: u64, span_ms: u64, state: &Value, is_final: bool) -> Value {
    json!({
        "window": {"start": clock::iso_ms(start_ms), "end": clock::iso_ms(start_ms + span_ms)},
        "state": state,
        "shardId": shard,
        "eventSourceARN": mapping.source_arn,
        "isFinalInvokeForWindow": is_final,
        "isWindowTerminatedEarly": false,
    })
}

/// Records by groups of their keys, so that one key's stay in order.
fn lanes(records: Vec<Value>, parallel: u32) -> Vec<Vec<Value>> {
    if parallel <= 1 {
        return vec![records];
    }
    let mut lanes: HashMap<u64, Vec<Value>> = HashMap::new();
    for record in records {
        let mut hasher = DefaultHasher::new();
        record["dynamodb"]["Keys"].to_string().hash(&mut hasher);
        lanes.entry(hasher.finish() % u64::from(parallel)).or_default().push(record);
    }
    lanes.into_values().collect()
}

async fn in_batches(mut work: Work, settings: &StreamSettings, shard: &str, records: Vec<Value>) -> Settled {
    let mut rest = records.as_slice();
    while !rest.is_empty() {
        let (some, later) = rest.split_at(batch::fitting(rest, work.mapping.batch_size as usize));
        if settle(&mut work, settings, shard, some, None).await.is_none() {
            return Settled::Stopped;
        }
        rest = later;
    }
    Settled::Done
}

/// One batch until it is done with: handled, or given up. `None`: the mapping is to stop.
async fn settle(
    work: &mut Work,
    settings: &StreamSettings,
    shard: &str,
    records: &[Value],
    extra: Option<Value>,
) -> Option<Value> {
    // Parts of the batch still to be done, the first one last.
    let mut parts: Vec<Vec<Value>> = vec![records.to_vec()];
    let mut answer = json!({});
    while let Some(part) = parts.pop() {
        let mut part = part;
        let mut attempts = 0_u32;
        let mut pauses = 0;
        loop {
            if work.is_over() {
                return None;
            }
            let now_ms = work.inner.ports.clock.now_ms();
            let age_max_ms = u64::try_from(settings.age_s_max).ok().map(|s| s * 1000);
            let is_old = |record: &Value| age_max_ms.is_some_and(|max| now_ms.saturating_sub(arrived_ms(record)) > max);
            let old = part.iter().take_while(|record| is_old(record)).count();
            if old > 0 {
                let fresh = part.split_off(old);
                give_up(work, settings, shard, &part, "RecordAgeExceeded", attempts, None).await?;
                part = fresh;
            }
            if part.is_empty() && extra.is_none() {
                break;
            }
            let mut event = json!({"Records": part});
            if let (Some(Value::Object(extra)), Some(event)) = (&extra, event.as_object_mut()) {
                event.extend(extra.clone());
            }
            let ids: Vec<String> = part.iter().map(|record| sequence(record).to_owned()).collect();
            let (ended, said) = batch::hand_over(work, Bytes::from(event.to_string()), None, &ids).await;
            let failure = match ended {
                Ended::Done => {
                    answer = said.unwrap_or_default();
                    break;
                }
                Ended::Partly(failed) => {
                    // From the first that failed on, all are tried again.
                    let from = ids.iter().position(|id| failed.contains(id)).unwrap_or_default();
                    if from > 0 {
                        part.drain(..from);
                        attempts = 0;
                    }
                    None
                }
                Ended::Throttled => {
                    pauses += 1;
                    if !work.pause(batch::pause_ms(pauses)).await {
                        return None;
                    }
                    continue;
                }
                Ended::Failed(failure) => Some(failure),
                Ended::Refused(reason) => {
                    tracing::warn!(mapping = work.mapping.uuid, reason, "a function cannot be run");
                    work.say(FAILED);
                    None
                }
            };
            attempts += 1;
            if settings.bisects && part.len() > 1 {
                parts.push(part.split_off(part.len() / 2));
                parts.push(part);
                break;
            }
            if u32::try_from(settings.attempts_max).is_ok_and(|max| attempts > max) {
                give_up(work, settings, shard, &part, "RetryAttemptsExhausted", attempts, failure.as_deref()).await?;
                break;
            }
            pauses += 1;
            if !work.pause(batch::pause_ms(pauses)).await {
                return None;
            }
        }
    }
    Some(answer)
}

/// Tells the destination, where there is one, of records that are given up. `None`: the mapping is to stop, and they are not.
async fn give_up(
    work: &mut Work,
    settings: &StreamSettings,
    shard: &str,
    records: &[Value],
    condition: &str,
    attempts: u32,
    failure: Option<&Failure>,
) -> Option<()> {
    let (Some(to), Some(first), Some(last)) = (&settings.on_failure, records.first(), records.last()) else {
        return Some(());
    };
    let now_ms = work.inner.ports.clock.now_ms();
    let mut message = json!({
        "requestContext": {
            "requestId": failure.map_or_else(cumulet_base::id::uuid, |failure| failure.request_id.clone()),
            "functionArn": work.mapping.target().arn(),
            "condition": condition,
            "approximateInvokeCount": attempts,
        },
        "version": "1.0",
        "timestamp": clock::iso_ms(now_ms),
        "DDBStreamBatchInfo": {
            "shardId": shard,
            "startSequenceNumber": sequence(first),
            "endSequenceNumber": sequence(last),
            "approximateArrivalOfFirstRecord": clock::iso_ms(arrived_ms(first)),
            "approximateArrivalOfLastRecord": clock::iso_ms(arrived_ms(last)),
            "batchSize": records.len(),
            "streamArn": work.mapping.source_arn,
        },
    });
    if let Some(failure) = failure {
        message["responseContext"] = json!({
            "statusCode": 200,
            "executedVersion": failure.executed_version,
            "functionError": failure.function_error,
        });
    }
    let bucket = bucket::of(to);
    if bucket.is_some() {
        // Only there the records themselves have room.
        message["payload"] = json!(json!({"Records": records}).to_string());
    }
    let parcel = Parcel::new(message.to_string());
    let key = format!("aws/lambda/{}/{shard}/{}", work.mapping.uuid, bucket::stamp(now_ms));
    let client = work.inner.ports.client.clone();
    let mut failures = 0;
    loop {
        let told = match (work.caller().await, &bucket) {
            (Ok(caller), None) => target::deliver(&client, &caller, to, &parcel).await.map(drop),
            (Ok(caller), Some(bucket)) => {
                let context = Client::context(&caller, &work.mapping.region);
                bucket::put(&client, context, bucket, &key, parcel.payload.clone()).await
            }
            (Err(error), _) => Err(error),
        };
        let Err(error) = told else { return Some(()) };
        tracing::warn!(mapping = work.mapping.uuid, destination = to, %error, "records that failed could not be reported");
        work.say(&format!("PROBLEM: {}", error.message));
        failures += 1;
        if !work.pause(batch::pause_ms(failures)).await {
            return None;
        }
    }
}
