//! ReceiveMessage: chooses what is visible, moves it to the end of its visibility timeout, waits where there is nothing.

use std::sync::PoisonError;
use std::time::Duration;

use cumulet_base::limits::{self, QUEUE_PAGE_ROWS};
use cumulet_wire::call::{Answer, Call};
use cumulet_wire::error::ApiError;
use serde_json::{Map, Value, json};

use crate::model::{Content, Place, Queue, Receipt, State};
use crate::storage::Found;
use crate::{Lane, Sqs, digest, input};

pub async fn run(sqs: &Sqs, call: &Call) -> Result<Answer, ApiError> {
    let place = input::place(call)?;
    let max = input::number(&call.input, "MaxNumberOfMessages", 1, 10)?.unwrap_or(1);
    let timeout = input::number(&call.input, "VisibilityTimeout", 0, limits::QUEUE_VISIBILITY_S_MAX)?;
    let wait = input::number(&call.input, "WaitTimeSeconds", 0, limits::QUEUE_WAIT_S_MAX)?;
    let mut queue = sqs.storage.queue(&place).await?;
    let wait = wait.unwrap_or_else(|| queue.number("ReceiveMessageWaitTimeSeconds"));
    let until = tokio::time::Instant::now() + Duration::from_secs(wait);
    let lane = sqs.lane(&queue);
    loop {
        // Before looking, so that what arrives meanwhile is not missed.
        let arrived = lane.arrived.notified();
        tokio::pin!(arrived);
        arrived.as_mut().enable();
        let timeout_ms = timeout.unwrap_or_else(|| queue.number("VisibilityTimeout")) * 1000;
        let count = usize::try_from(max).unwrap_or(1);
        let (taken, next_ms) = take(sqs, &place, &queue, &lane, count, timeout_ms).await?;
        if !taken.is_empty() {
            let list: Vec<Value> = taken.iter().map(|(found, content)| shape(call, &queue, found, content)).collect();
            return Answer::json(json!({"Messages": list}));
        }
        let now = tokio::time::Instant::now();
        if now >= until {
            return Ok(Answer::empty());
        }
        let due = next_ms.map(|ms| now + Duration::from_millis(ms.saturating_sub(sqs.clock.now_ms()).max(1)));
        let wake = due.map_or(until, |due| due.min(until));
        let _either = tokio::time::timeout_at(wake, arrived).await;
        queue = sqs.storage.queue(&place).await?;
    }
}

/// What one receiver has chosen and not yet moved; others pass it by. Given back also when the caller goes away.
struct Claim<'a> {
    lane: &'a Lane,
    sequences: Vec<u64>,
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        let mut claimed = self.lane.claimed.lock().unwrap_or_else(PoisonError::into_inner);
        for sequence in &self.sequences {
            claimed.remove(sequence);
        }
    }
}

type Taken = Vec<(Found, Content)>;

/// Up to `max` messages, in flight from now on; if none, when the next may be had.
async fn take(
    sqs: &Sqs,
    place: &Place,
    queue: &Queue,
    lane: &Lane,
    max: usize,
    timeout_ms: u64,
) -> Result<(Taken, Option<u64>), ApiError> {
    loop {
        let now_ms = sqs.clock.now_ms();
        let choosing = lane.choosing.lock().await;
        let busy = lane.claimed.lock().unwrap_or_else(PoisonError::into_inner).len();
        let limit = QUEUE_PAGE_ROWS.min(u32::try_from(max + busy).unwrap_or(QUEUE_PAGE_ROWS));
        let (due, next_ms) = sqs.storage.visible(queue, now_ms, limit).await?;
        let mut claim = Claim { lane, sequences: Vec::new() };
        {
            let mut claimed = lane.claimed.lock().unwrap_or_else(PoisonError::into_inner);
            for sequence in due.iter().copied() {
                if claim.sequences.len() < max && claimed.insert(sequence) {
                    claim.sequences.push(sequence);
                }
            }
        }
        drop(choosing);
        if claim.sequences.is_empty() {
            // All that is due is being handed to others; what is left of it later has a time of its own.
            let next_ms = if due.is_empty() { next_ms } else { Some(now_ms + 1) };
            return Ok((Vec::new(), next_ms));
        }
        let (mut moves, mut contents) = (Vec::new(), Vec::new());
        for sequence in claim.sequences.iter().copied() {
            let Some(found) = sqs.storage.message(queue, sequence).await? else { continue };
            if found.state.visible_ms > now_ms {
                continue;
            }
            let Some(content) = sqs.storage.content(queue, sequence).await? else { continue };
            if found.state.sent_ms + queue.number("MessageRetentionPeriod") * 1000 <= now_ms {
                sqs.storage.delete(queue, &found).await?;
            } else if !bury(sqs, place, queue, &found, &content, now_ms).await? {
                let state = State {
                    visible_ms: now_ms + timeout_ms,
                    receives: found.state.receives + 1,
                    first_received_ms: if found.state.receives == 0 { now_ms } else { found.state.first_received_ms },
                    ..found.state.clone()
                };
                moves.push((found, state));
                contents.push(content);
            }
        }
        // Otherwise all were gone, expired or dead, or somebody changed one meanwhile: look again.
        if !moves.is_empty() && sqs.storage.shift(queue, &moves).await? {
            let founds = moves.into_iter().map(|(found, state)| Found { state, ..found });
            return Ok((founds.zip(contents).collect(), None));
        }
    }
}

/// Whether the message was received too often and went to the dead letter queue; without that queue it stays.
async fn bury(
    sqs: &Sqs,
    place: &Place,
    queue: &Queue,
    found: &Found,
    content: &Content,
    now_ms: u64,
) -> Result<bool, ApiError> {
    let Some((target, count)) = queue.redrive().filter(|(_, count)| found.state.receives >= *count) else {
        return Ok(false);
    };
    tracing::debug!(queue = place.name, receives = found.state.receives, count, "a message is dead");
    let Some((to, _)) = sqs.storage.find(&target).await?.filter(|(to, _)| to.id != queue.id) else {
        return Ok(false);
    };
    let state = State { visible_ms: now_ms, receives: 0, first_received_ms: 0, ..found.state.clone() };
    let content = Content { source_arn: Some(place.arn()), ..content.clone() };
    sqs.storage.bury(queue, &to, found, &state, &content).await?;
    sqs.lane(&to).arrived.notify_waiters();
    Ok(true)
}

fn shape(call: &Call, queue: &Queue, found: &Found, content: &Content) -> Value {
    let receipt = Receipt { queue_id: queue.id.clone(), sequence: found.sequence, receives: found.state.receives };
    let mut message = json!({
        "MessageId": content.id,
        "ReceiptHandle": receipt.write(),
        "MD5OfBody": digest::of_body(&content.body),
        "Body": content.body,
    });
    let mut asked = input::texts(&call.input, "MessageSystemAttributeNames");
    asked.extend(input::texts(&call.input, "AttributeNames"));
    let system: Map<String, Value> = [
        ("SenderId", Some(content.sender.clone())),
        ("SentTimestamp", Some(found.state.sent_ms.to_string())),
        ("ApproximateReceiveCount", Some(found.state.receives.to_string())),
        ("ApproximateFirstReceiveTimestamp", Some(found.state.first_received_ms.to_string())),
        ("MessageGroupId", content.group.clone()),
        ("AWSTraceHeader", content.trace.clone()),
        ("DeadLetterQueueSourceArn", content.source_arn.clone()),
    ]
    .into_iter()
    .filter(|(name, _)| asked.iter().any(|a| a == "All" || a == name))
    .filter_map(|(name, value)| Some((name.to_owned(), value?.into())))
    .collect();
    if !system.is_empty() {
        message["Attributes"] = system.into();
    }
    let names = input::texts(&call.input, "MessageAttributeNames");
    let wants = |name: &str| {
        let by = |asked: &String| match asked.strip_suffix(".*") {
            Some(prefix) => name.starts_with(prefix),
            None => asked == "All" || asked == name,
        };
        names.iter().any(by)
    };
    let mut attributes = content.attributes.clone();
    attributes.retain(|name, _| wants(name));
    if let Some(digest) = digest::of_attributes(&attributes) {
        message["MD5OfMessageAttributes"] = digest.into();
        message["MessageAttributes"] = json!(attributes);
    }
    message
}
