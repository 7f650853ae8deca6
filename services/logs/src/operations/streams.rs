//! CreateLogStream, DescribeLogStreams.

use cumulet_wire::call::{Answer, Call};
use cumulet_wire::error::ApiError;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{group_arn, limit, place, required, stream_name};
use crate::model::{FORMAT, Stream};
use crate::{Logs, errors};

/// Streams that are read to be sorted by their last event.
const SORTED_MAX: usize = 10_000;

pub async fn create(logs: &Logs, call: &Call) -> Result<Answer, ApiError> {
    let place = place(call)?;
    let name = call.input.get("logStreamName").and_then(Value::as_str);
    let name = required("logStreamName", name)?;
    stream_name(name)?;
    let stream = Stream {
        v: FORMAT,
        created_ms: call.context.now_ms,
        first_event_ms: None,
        last_event_ms: None,
        last_ingestion_ms: None,
    };
    logs.storage.create_stream(&place, name, &stream).await?;
    Ok(Answer::empty())
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct DescribeInput {
    log_stream_name_prefix: Option<String>,
    order_by: Option<String>,
    descending: Option<bool>,
    next_token: Option<String>,
    limit: Option<i64>,
}

pub async fn describe(logs: &Logs, call: &Call) -> Result<Answer, ApiError> {
    let place = place(call)?;
    let input: DescribeInput = call.input()?;
    let limit = limit(input.limit, 50, 50)?;
    let by_time = match input.order_by.as_deref() {
        None | Some("LogStreamName") => false,
        Some("LastEventTime") => true,
        Some(_) => return Err(errors::invalid("orderBy is LogStreamName or LastEventTime")),
    };
    if by_time && input.log_stream_name_prefix.is_some() {
        return Err(errors::invalid("Cannot order by LastEventTime with a logStreamNamePrefix."));
    }
    if logs.storage.group(&place).await?.is_none() {
        return Err(errors::group_not_found());
    }
    let prefix = input.log_stream_name_prefix.unwrap_or_default();
    // Both orders are over all streams, for either may be asked for backwards.
    let mut all = logs.storage.streams(&place, &prefix, None, SORTED_MAX).await?;
    if by_time {
        all.sort_by_key(|(_, stream)| stream.last_event_ms);
    }
    if input.descending == Some(true) {
        all.reverse();
    }
    let start = match &input.next_token {
        None => 0,
        Some(token) => all
            .iter()
            .position(|(name, _)| name == token)
            .map(|at| at + 1)
            .ok_or_else(|| errors::invalid("The specified nextToken is invalid."))?,
    };
    let page = &all[start..all.len().min(start + limit)];
    let list: Vec<Value> = page
        .iter()
        .map(|(name, stream)| {
            let mut shape = json!({
                "logStreamName": name,
                "creationTime": stream.created_ms,
                "arn": format!("{}:log-stream:{name}", group_arn(&call.context, &place.group)),
            });
            for (member, value) in [
                ("firstEventTimestamp", stream.first_event_ms),
                ("lastEventTimestamp", stream.last_event_ms),
                ("lastIngestionTime", stream.last_ingestion_ms),
            ] {
                if let Some(value) = value {
                    shape[member] = json!(value);
                }
            }
            shape
        })
        .collect();
    let mut shape = json!({"logStreams": list});
    if let Some((name, _)) = page.last().filter(|_| start + page.len() < all.len()) {
        shape["nextToken"] = json!(name);
    }
    Answer::json(shape)
}
