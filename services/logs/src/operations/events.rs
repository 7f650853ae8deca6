//! PutLogEvents, GetLogEvents, FilterLogEvents. What is older than the group's retention is not shown.

use std::collections::VecDeque;

use cumulet_base::limits;
use cumulet_wire::call::{Answer, Call};
use cumulet_wire::error::ApiError;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{limit, place, required};
use crate::model::{Event, Place, Position};
use crate::pattern::Pattern;
use crate::storage::{Batch, Missing, Plan};
use crate::{Logs, errors};

const PUT_EVENTS_MAX: usize = 10_000;
const PUT_BYTES_MAX: usize = 1_048_576;
/// AWS counts so many bytes for each event beside its message.
const EVENT_OVERHEAD: usize = 26;
const PAGE_EVENTS_MAX: i64 = 10_000;
const PAGE_BYTES_MAX: usize = 1_048_576;
const DAY_MS: u64 = 86_400_000;

#[derive(Deserialize)]
struct PutEvent {
    timestamp: u64,
    message: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PutInput {
    log_stream_name: Option<String>,
    log_events: Option<Vec<PutEvent>>,
}

pub async fn put(logs: &Logs, call: &Call) -> Result<Answer, ApiError> {
    let place = place(call)?;
    let input: PutInput = call.input()?;
    let stream = required("logStreamName", input.log_stream_name)?;
    let events = required("logEvents", input.log_events)?;
    let bytes: usize = events.iter().map(|e| e.message.len() + EVENT_OVERHEAD).sum();
    if events.is_empty() || events.len() > PUT_EVENTS_MAX || bytes > PUT_BYTES_MAX {
        return Err(errors::invalid(format!(
            "A batch has 1 to {PUT_EVENTS_MAX} events and at most {PUT_BYTES_MAX} bytes."
        )));
    }
    if events.iter().any(|e| e.message.is_empty() || e.message.len() > limits::LOG_EVENT_BYTES_MAX) {
        return Err(errors::invalid(format!("A message has 1 to {} bytes.", limits::LOG_EVENT_BYTES_MAX)));
    }
    if events.windows(2).any(|w| w[0].timestamp > w[1].timestamp) {
        return Err(errors::invalid("Log events in a single PutLogEvents request must be in chronological order."));
    }
    let span = events[events.len() - 1].timestamp - events[0].timestamp;
    if span > DAY_MS {
        return Err(errors::invalid(
            "The batch of log events in a single PutLogEvents request cannot span more than 24 hours.",
        ));
    }
    let batch = Batch { stream, events: events.into_iter().map(|e| (e.timestamp, e.message)).collect() };
    let mut plan = Plan::new(&[batch], call.context.now_ms)?;
    logs.storage.append(&place, &mut plan, Missing::Refuse).await?;
    Answer::json(json!({"nextSequenceToken": "0"}))
}

/// From when on events of a group are shown.
async fn shown_from(logs: &Logs, place: &Place, now_ms: u64) -> Result<u64, ApiError> {
    let group = logs.storage.group(place).await?.ok_or_else(errors::group_not_found)?;
    Ok(group.retention_days.map_or(0, |days| now_ms.saturating_sub(u64::from(days) * DAY_MS)))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct GetInput {
    log_stream_name: Option<String>,
    start_time: Option<u64>,
    end_time: Option<u64>,
    next_token: Option<String>,
    limit: Option<i64>,
    start_from_head: Option<bool>,
}

pub async fn get(logs: &Logs, call: &Call) -> Result<Answer, ApiError> {
    let place = place(call)?;
    let input: GetInput = call.input()?;
    let name = required("logStreamName", input.log_stream_name)?;
    let limit = limit(input.limit, PAGE_EVENTS_MAX, PAGE_EVENTS_MAX as usize)?;
    let shown = shown_from(logs, &place, call.context.now_ms).await?;
    let stream = logs.storage.stream(&place, &name).await?.ok_or_else(errors::stream_not_found)?;
    let (mut from, mut until, mut is_forward) = (Position::MIN, None, input.start_from_head == Some(true));
    if let Some(token) = &input.next_token {
        let position = token.split_once('/').and_then(|(direction, text)| Some((direction, Position::parse(text)?)));
        match position {
            Some(("f", position)) => (from, is_forward) = (position, true),
            Some(("b", position)) => (until, is_forward) = (Some(position), false),
            _ => return Err(errors::invalid("The specified nextToken is invalid.")),
        }
    }
    let start_ms = input.start_time.unwrap_or(0).max(shown).max(stream.first_event_ms.unwrap_or(0));
    let end_ms = input.end_time.unwrap_or(u64::MAX).min(stream.last_event_ms.map_or(0, |t| t + 1));
    let begin = from.max(Position { timestamp_ms: start_ms, ..Position::MIN });
    let mut page: VecDeque<Event> = VecDeque::new();
    let mut bytes = 0;
    logs.storage
        .read(&place, begin, end_ms, |event| {
            if until.is_some_and(|until| event.position >= until) {
                return false;
            }
            if event.stream != name {
                return true;
            }
            let size = event.message.len() + EVENT_OVERHEAD;
            if is_forward && (page.len() >= limit || bytes + size > PAGE_BYTES_MAX) {
                return false;
            }
            bytes += size;
            page.push_back(event);
            while page.len() > limit || bytes > PAGE_BYTES_MAX {
                if let Some(dropped) = page.pop_front() {
                    bytes -= dropped.message.len() + EVENT_OVERHEAD;
                }
            }
            true
        })
        .await?;
    let first = page.front().map(|e| e.position).or(until).unwrap_or(begin);
    let next = match page.back() {
        Some(event) => behind(event.position),
        None => until.unwrap_or(begin),
    };
    let events: Vec<Value> = page
        .iter()
        .map(|e| {
            json!({
                "timestamp": e.position.timestamp_ms,
                "message": e.message,
                "ingestionTime": e.ingested_ms,
            })
        })
        .collect();
    Answer::json(json!({
        "events": events,
        "nextForwardToken": format!("f/{}", next.text()),
        "nextBackwardToken": format!("b/{}", first.text()),
    }))
}

fn behind(position: Position) -> Position {
    Position { index: position.index.saturating_add(1), ..position }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FilterInput {
    log_stream_names: Option<Vec<String>>,
    log_stream_name_prefix: Option<String>,
    start_time: Option<u64>,
    end_time: Option<u64>,
    filter_pattern: Option<String>,
    next_token: Option<String>,
    limit: Option<i64>,
}

pub async fn filter(logs: &Logs, call: &Call) -> Result<Answer, ApiError> {
    let place = place(call)?;
    let input: FilterInput = call.input()?;
    let limit = limit(input.limit, PAGE_EVENTS_MAX, PAGE_EVENTS_MAX as usize)?;
    if input.log_stream_names.is_some() && input.log_stream_name_prefix.is_some() {
        return Err(errors::invalid("Only one of logStreamNames and logStreamNamePrefix can be specified."));
    }
    let pattern = Pattern::parse(input.filter_pattern.as_deref().unwrap_or_default())?;
    let shown = shown_from(logs, &place, call.context.now_ms).await?;
    for name in input.log_stream_names.iter().flatten() {
        if logs.storage.stream(&place, name).await?.is_none() {
            return Err(errors::stream_not_found());
        }
    }
    let token = input
        .next_token
        .as_deref()
        .map(|text| Position::parse(text).ok_or_else(|| errors::invalid("The specified nextToken is invalid.")))
        .transpose()?;
    let begin = token
        .unwrap_or(Position::MIN)
        .max(Position { timestamp_ms: input.start_time.unwrap_or(0).max(shown), ..Position::MIN });
    let end_ms = input.end_time.map_or(u64::MAX, |t| t.saturating_add(1));
    let mut page: Vec<Event> = Vec::new();
    let mut bytes = 0;
    let mut next = None;
    logs.storage
        .read(&place, begin, end_ms, |event| {
            let is_wanted = match (&input.log_stream_names, &input.log_stream_name_prefix) {
                (Some(names), _) => names.contains(&event.stream),
                (None, Some(prefix)) => event.stream.starts_with(prefix.as_str()),
                (None, None) => true,
            };
            if !is_wanted || !pattern.matches(&event.message) {
                return true;
            }
            bytes += event.message.len() + EVENT_OVERHEAD;
            if page.len() >= limit || (bytes > PAGE_BYTES_MAX && !page.is_empty()) {
                next = Some(event.position);
                return false;
            }
            page.push(event);
            true
        })
        .await?;
    let events: Vec<Value> = page
        .iter()
        .map(|e| {
            json!({
                "logStreamName": e.stream,
                "timestamp": e.position.timestamp_ms,
                "message": e.message,
                "ingestionTime": e.ingested_ms,
                "eventId": e.position.text(),
            })
        })
        .collect();
    let mut shape = json!({"events": events, "searchedLogStreams": []});
    if let Some(position) = next {
        shape["nextToken"] = json!(position.text());
    }
    Answer::json(shape)
}
