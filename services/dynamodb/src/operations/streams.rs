//! DynamoDB Streams: ListStreams, DescribeStream, GetShardIterator, GetRecords. A stream is one shard, in the order of its
//! table's commits
//! (<https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_Operations_Amazon_DynamoDB_Streams.html>).

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use cumulet_base::limits;
use cumulet_wire::call::Call;
use cumulet_wire::error::ApiError;
use cumulet_wire::operation::Changes;
use serde_json::{Map, Value as Json, json};

use crate::describe::{self, seconds};
use crate::errors;
use crate::input::{Input, missing, place_of, place_of_arn};
use crate::keys;
use crate::model::Stream;
use crate::storage::Record;
use crate::value::{item_size_bytes, item_to_json};
use crate::{STREAMS_MODEL, Shared};

/// What one GetRecords answers.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;
const ITERATOR_MS: u64 = 15 * 60_000;
/// AWS's sequence numbers have at least 21 digits.
const SEQUENCE_BASE: u128 = 100_000_000_000_000_000_000;

pub(crate) async fn run(shared: &Arc<Shared>, mut call: Call) -> Result<Json, ApiError> {
    let input = Json::Object(std::mem::take(&mut call.input));
    let input = Input(&input);
    match call.operation.name {
        "ListStreams" => list(shared, &call, &input).await,
        "DescribeStream" => describe_stream(shared, &call, &input).await,
        "GetShardIterator" => iterator(shared, &call, &input).await,
        "GetRecords" => records(shared, &call, &input).await,
        other => Err(ApiError::not_implemented(STREAMS_MODEL.name, other)),
    }
}

fn number(sequence: u64) -> String {
    (SEQUENCE_BASE + u128::from(sequence)).to_string()
}

fn sequence_of(number: &str) -> Option<u64> {
    u64::try_from(number.parse::<u128>().ok()?.checked_sub(SEQUENCE_BASE)?).ok()
}

fn shard_id(stream: &Stream) -> String {
    format!("shardId-{:020}-{:08x}", stream.created_ms, stream.rows as u32)
}

/// Wakes a consumer inside when the shard that a stream's records lie in was written to.
pub(crate) struct News {
    shared: Arc<Shared>,
    arn: String,
    moved: Option<tokio::sync::watch::Receiver<cumulet_store::Rev>>,
}

impl News {
    pub(crate) fn of(shared: Arc<Shared>, arn: &str) -> News {
        News { shared, arn: arn.to_owned(), moved: None }
    }

    async fn subscribe(&self) -> Option<tokio::sync::watch::Receiver<cumulet_store::Rev>> {
        let (place, (_, label)) = (place_of_arn(&self.arn)?, self.arn.split_once("/stream/")?);
        let stream = self.shared.storage().stream(&place, label).await.ok()??;
        Some(self.shared.storage().watch(stream.table_rows))
    }
}

#[async_trait]
impl Changes for News {
    async fn changed(&mut self) {
        if let Some(moved) = &mut self.moved {
            // It ends with the store only.
            let _closed = moved.changed().await;
            return;
        }
        self.moved = self.subscribe().await;
        if self.moved.is_none() {
            // There is no such stream; whoever waits for it looks again.
            tokio::time::sleep(Duration::from_millis(limits::TABLE_STREAM_ABSENT_MS)).await;
        }
    }
}

async fn find(shared: &Shared, call: &Call, arn: &str) -> Result<Stream, ApiError> {
    let label = arn.split_once("/stream/").map(|(_, label)| label);
    let (Some(place), Some(label)) = (place_of_arn(arn), label) else {
        return Err(errors::invalid(format!("Invalid StreamArn: {arn}")));
    };
    if place.account != call.context.account() || place.region != call.context.region {
        return Err(errors::no_stream(arn));
    }
    shared.storage().stream(&place, label).await?.ok_or_else(|| errors::no_stream(arn))
}

async fn list(shared: &Arc<Shared>, call: &Call, input: &Input<'_>) -> Result<Json, ApiError> {
    let limit = input.between("Limit", 1, 100)?.unwrap_or(100) as usize;
    let table = input.text("TableName")?.map(|name| place_of(call, name)).transpose()?;
    let after = input.text("ExclusiveStartStreamArn")?;
    let context = &call.context;
    let name = table.as_ref().map(|place| place.name.as_str());
    let mut streams = shared.storage().streams(context.account(), &context.region, name).await?;
    if let Some(after) = after {
        let at = streams.iter().position(|stream| stream.arn() == after);
        streams.drain(..at.map_or(0, |at| at + 1));
    }
    let has_more = streams.len() > limit;
    streams.truncate(limit);
    let shown = |stream: &Stream| json!({"StreamArn": stream.arn(), "TableName": stream.place.name, "StreamLabel": stream.label});
    let mut answer = json!({"Streams": streams.iter().map(shown).collect::<Vec<_>>()});
    if let Some(last) = streams.last().filter(|_| has_more) {
        answer["LastEvaluatedStreamArn"] = json!(last.arn());
    }
    Ok(answer)
}

async fn describe_stream(shared: &Arc<Shared>, call: &Call, input: &Input<'_>) -> Result<Json, ApiError> {
    let stream = find(shared, call, input.required_text("StreamArn")?).await?;
    input.between("Limit", 1, 100)?;
    let mut range = json!({"StartingSequenceNumber": number(stream.trimmed)});
    if stream.ended_ms.is_some() {
        let end = shared.storage().record_end(stream.table_rows, stream.rows).await?;
        range["EndingSequenceNumber"] = json!(number(end));
    }
    let shards = match input.text("ExclusiveStartShardId")? {
        Some(after) if after >= shard_id(&stream).as_str() => Vec::new(),
        _ => vec![json!({"ShardId": shard_id(&stream), "SequenceNumberRange": range})],
    };
    Ok(json!({"StreamDescription": {
        "StreamArn": stream.arn(),
        "StreamLabel": stream.label,
        "StreamStatus": if stream.ended_ms.is_some() { "DISABLED" } else { "ENABLED" },
        "StreamViewType": stream.view.name(),
        "CreationRequestDateTime": seconds(stream.created_ms),
        "TableName": stream.place.name,
        "KeySchema": describe::key_schema(&stream.key),
        "Shards": shards,
    }}))
}

/// Stream, place in it, and when it was made: clients keep it as it is.
fn written(arn: &str, sequence: u64, now_ms: u64) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(format!("{arn}|{sequence}|{now_ms}"))
}

fn read(iterator: &str) -> Option<(String, u64, u64)> {
    let text = String::from_utf8(BASE64_URL_SAFE_NO_PAD.decode(iterator).ok()?).ok()?;
    let mut parts = text.split('|');
    let (arn, sequence, made_ms) = (parts.next()?, parts.next()?, parts.next()?);
    Some((arn.to_owned(), sequence.parse().ok()?, made_ms.parse().ok()?))
}

/// The stream an iterator reads, for the permission to.
pub(crate) fn arn_of_iterator(iterator: &str) -> Option<String> {
    read(iterator).map(|(arn, ..)| arn)
}

/// Refuses places whose records are forgotten.
fn kept(stream: &Stream, sequence: u64) -> Result<u64, ApiError> {
    if sequence < stream.trimmed { Err(errors::trimmed()) } else { Ok(sequence) }
}

async fn iterator(shared: &Arc<Shared>, call: &Call, input: &Input<'_>) -> Result<Json, ApiError> {
    let arn = input.required_text("StreamArn")?;
    let stream = find(shared, call, arn).await?;
    if input.required_text("ShardId")? != shard_id(&stream) {
        let text = format!("Requested resource not found: Shard does not exist in stream: {arn}");
        return Err(ApiError::new(400, "ResourceNotFoundException", text));
    }
    let kinds = ["LATEST", "AFTER_SEQUENCE_NUMBER", "AT_SEQUENCE_NUMBER", "TRIM_HORIZON"];
    let kind = input.one_of("ShardIteratorType", &kinds)?.ok_or_else(|| missing("ShardIteratorType"))?;
    let given = || -> Result<u64, ApiError> {
        let text = input
            .text("SequenceNumber")?
            .ok_or_else(|| errors::invalid(format!("SequenceNumber is required for a ShardIteratorType of {kind}")))?;
        sequence_of(text).ok_or_else(|| errors::invalid(format!("Invalid SequenceNumber: {text}")))
    };
    let sequence = match kind {
        "TRIM_HORIZON" => stream.trimmed,
        "AT_SEQUENCE_NUMBER" => kept(&stream, given()?)?,
        "AFTER_SEQUENCE_NUMBER" => kept(&stream, given()?)? + 1,
        // Behind everything that was committed, and before whatever comes.
        _ => shared.storage().next_sequence(stream.table_rows).await?,
    };
    Ok(json!({"ShardIterator": written(&stream.arn(), sequence, shared.now_ms())}))
}

async fn records(shared: &Arc<Shared>, call: &Call, input: &Input<'_>) -> Result<Json, ApiError> {
    let limit = input.between("Limit", 1, i64::from(limits::TABLE_STREAM_RECORDS_MAX))?;
    let limit = limit.map_or(limits::TABLE_STREAM_RECORDS_MAX, |limit| limit as u32);
    let iterator = input.required_text("ShardIterator")?;
    let (arn, from, made_ms) = read(iterator).ok_or_else(|| errors::invalid("Invalid ShardIterator."))?;
    let now_ms = shared.now_ms();
    if now_ms.saturating_sub(made_ms) > ITERATOR_MS {
        return Err(errors::expired_iterator());
    }
    let stream = find(shared, call, &arn).await?;
    let from = kept(&stream, from)?;
    // Read before the records, so that none that comes between is skipped.
    let found = shared.storage().records(stream.table_rows, stream.rows, from, limit, ANSWER_BYTES_MAX).await?;
    let next = match found.last() {
        Some((last, _)) => Some(last + 1),
        None if stream.ended_ms.is_some() => None,
        None => Some(from),
    };
    let records: Vec<Json> = found.iter().map(|(sequence, record)| shown(&stream, *sequence, record)).collect();
    let mut answer = json!({"Records": records});
    if let Some(next) = next {
        answer["NextShardIterator"] = json!(written(&arn, next, now_ms));
    }
    Ok(answer)
}

fn shown(stream: &Stream, sequence: u64, record: &Record) -> Json {
    let images = [Some(&record.keys), record.new.as_ref(), record.old.as_ref()];
    let bytes: usize = images.into_iter().flatten().map(item_size_bytes).sum();
    let mut change = Map::new();
    change.insert("ApproximateCreationDateTime".into(), json!(record.at_ms / 1000));
    change.insert("Keys".into(), item_to_json(&record.keys));
    for (member, image) in [("NewImage", &record.new), ("OldImage", &record.old)] {
        if let Some(image) = image {
            change.insert(member.into(), item_to_json(image));
        }
    }
    change.insert("SequenceNumber".into(), json!(number(sequence)));
    change.insert("SizeBytes".into(), json!(bytes));
    change.insert("StreamViewType".into(), json!(stream.view.name()));
    let mut shown = json!({
        "eventID": hex::encode(keys::digest(format!("{}/{sequence}", stream.rows).as_bytes())),
        "eventName": record.event.name(),
        "eventVersion": "1.1",
        "eventSource": "aws:dynamodb",
        "awsRegion": stream.place.region,
        "dynamodb": change,
    });
    if record.is_expiry {
        shown["userIdentity"] = json!({"PrincipalId": "dynamodb.amazonaws.com", "Type": "Service"});
    }
    shown
}
