//! ReceiveMessage: chooses what is visible, moves it to the end of its visibility timeout, waits where there is nothing.

use std::sync::PoisonError;
use std::time::Duration;

use cumulet_base::limits;
use cumulet_wire::call::{Answer, Call};
use cumulet_wire::error::ApiError;
use serde_json::{Map, Value, json};

use crate::lanes::{Attempt, Claim, Lane};
use crate::model::{Content, Place, Queue, Receipt, State, sequence_number};
use crate::storage::{Change, Due, Found};
use crate::{Sqs, attributes, digest, errors, input};

/// What system attributes a message may be asked for.
const SYSTEM_ATTRIBUTES: &[&str] = &[
    "All",
    "SenderId",
    "SentTimestamp",
    "ApproximateReceiveCount",
    "ApproximateFirstReceiveTimestamp",
    "SequenceNumber",
    "MessageDeduplicationId",
    "MessageGroupId",
    "AWSTraceHeader",
    "DeadLetterQueueSourceArn",
];

/// One receive, in one queue.
struct Receiver<'a> {
    sqs: &'a Sqs,
    place: &'a Place,
    queue: &'a Queue,
    lane: &'a Lane,
    max: usize,
    timeout_ms: u64,
}

type Taken = Vec<(Found, Content)>;

pub async fn run(sqs: &Sqs, call: &Call) -> Result<Answer, ApiError> {
    let place = input::place(call)?;
    let max = input::number(&call.input, "MaxNumberOfMessages", 1, 10)?.unwrap_or(1);
    let timeout = input::number(&call.input, "VisibilityTimeout", 0, limits::QUEUE_VISIBILITY_S_MAX)?;
    let wait = input::number(&call.input, "WaitTimeSeconds", 0, limits::QUEUE_WAIT_S_MAX)?;
    let asked = system_names(call);
    if let Some(unknown) = asked.iter().find(|name| {
        // The older names of a queue's attributes are let pass, as they are by AWS.
        !SYSTEM_ATTRIBUTES.contains(&name.as_str()) && !attributes::is_known(name)
    }) {
        return Err(errors::unknown_attribute(unknown));
    }
    let mut queue = sqs.storage.queue(&place).await?;
    let attempt = input::text(&call.input, "ReceiveRequestAttemptId");
    if let Some(attempt) = attempt.filter(|_| !queue.is_fifo()) {
        return Err(errors::not_for_this_queue("ReceiveRequestAttemptId", attempt));
    }
    let wait = wait.unwrap_or_else(|| queue.number("ReceiveMessageWaitTimeSeconds"));
    let until = tokio::time::Instant::now() + Duration::from_secs(wait);
    let lane = sqs.lane(&queue);
    loop {
        // Before looking, so that what arrives meanwhile is not missed.
        let arrived = lane.arrived.notified();
        tokio::pin!(arrived);
        arrived.as_mut().enable();
        let receiver = Receiver {
            sqs,
            place: &place,
            queue: &queue,
            lane: &lane,
            max: usize::try_from(max).unwrap_or(1),
            timeout_ms: timeout.unwrap_or_else(|| queue.number("VisibilityTimeout")) * 1000,
        };
        let (taken, next_ms) = receiver.receive(attempt).await?;
        if !taken.is_empty() {
            if receiver.timeout_ms < limits::QUEUE_WAIT_S_MAX * 1000 {
                // Those who wait may get it yet.
                lane.wake_all();
            }
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

impl Receiver<'_> {
    /// Up to `max` messages, in flight from now on; if none, when the next may be had.
    async fn receive(&self, attempt: Option<&str>) -> Result<(Taken, Option<u64>), ApiError> {
        let Some(id) = attempt else {
            return if self.queue.is_fifo() { self.in_order().await } else { self.any().await };
        };
        if let Some(again) = self.again(id).await? {
            return Ok((again, None));
        }
        let (taken, next_ms) = self.in_order().await?;
        if !taken.is_empty() {
            let given = taken.iter().map(|(found, _)| (found.sequence, found.state.receives)).collect();
            self.lane.remember(id, Attempt { at_ms: self.sqs.clock.now_ms(), given });
        }
        Ok((taken, next_ms))
    }

    /// What the attempt was given the first time, as long as nobody has touched any of it since.
    async fn again(&self, id: &str) -> Result<Option<Taken>, ApiError> {
        let now_ms = self.sqs.clock.now_ms();
        let Some(attempt) = self.lane.attempt(id, now_ms) else { return Ok(None) };
        let sequences: Vec<u64> = attempt.given.iter().map(|(sequence, _)| *sequence).collect();
        let found = self.sqs.storage.messages(self.queue, &sequences).await?;
        let is_as_given = found.len() == attempt.given.len()
            && found
                .iter()
                .zip(&attempt.given)
                .all(|(found, (_, receives))| found.state.receives == *receives && found.state.visible_ms > now_ms);
        if !is_as_given {
            return Ok(None);
        }
        let contents = self.sqs.storage.contents(self.queue, &sequences).await?;
        let later = |found: Found| {
            let state = State { visible_ms: now_ms + self.timeout_ms, ..found.state.clone() };
            (found, Some(state))
        };
        let changes: Vec<Change> = found.into_iter().map(later).collect();
        if !self.sqs.storage.change(self.queue, &changes, now_ms).await? {
            return Ok(None);
        }
        Ok(Some(handed_out(changes, contents.into_iter().flatten().collect())))
    }

    async fn any(&self) -> Result<(Taken, Option<u64>), ApiError> {
        let storage = &self.sqs.storage;
        loop {
            let now_ms = self.sqs.clock.now_ms();
            let choosing = self.lane.choosing.lock().await;
            let busy = self.lane.messages.lock().unwrap_or_else(PoisonError::into_inner).len();
            let limit = u32::try_from(self.max + busy).unwrap_or(u32::MAX);
            let (due, next_ms) = storage.visible(self.queue, now_ms, limit).await?;
            let due = self.fairly(due, now_ms, limit).await?;
            let mut claim = Claim::first(self.lane, &self.lane.messages, &due, self.max);
            drop(choosing);
            if claim.taken.is_empty() {
                // All that is due is being handed to others, who say so if they let go of it.
                return Ok((Vec::new(), next_ms));
            }
            let found = storage.messages(self.queue, &claim.taken).await?;
            let found: Vec<Found> = found.into_iter().filter(|found| found.state.visible_ms <= now_ms).collect();
            let (changes, contents) = self.judged(found, now_ms).await?;
            // Otherwise all were gone, expired or dead, or somebody changed one meanwhile: look again.
            if storage.change(self.queue, &changes, now_ms).await? {
                claim.is_done = true;
                if !contents.is_empty() {
                    return Ok((handed_out(changes, contents), None));
                }
            }
        }
    }

    /// In the order they are handed out: those of noisy message groups after what there is of others, the longest visible
    /// first within each. Where groups without anything visible are very many, a quiet one's turn may take some receives.
    async fn fairly(&self, due: Vec<Due>, now_ms: u64, limit: u32) -> Result<Vec<u64>, ApiError> {
        let sequences = |due: &[Due]| due.iter().map(|due| due.sequence).collect::<Vec<u64>>();
        if due.iter().all(|due| due.group.is_none()) {
            return Ok(sequences(&due));
        }
        let storage = &self.sqs.storage;
        let noisy = storage.noisy(self.queue, now_ms).await?;
        let is_quiet = |due: &Due| due.group.as_ref().is_none_or(|group| !noisy.contains(group));
        if due.iter().all(is_quiet) {
            return Ok(sequences(&due));
        }
        let mut quiet: Vec<Due> = due.into_iter().filter(is_quiet).collect();
        // Also where there are enough already: messages without a group must not hold up groups either.
        let after = self.lane.looked_at.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let (found, upto) = storage.of_quiet_groups(self.queue, &noisy, &after, now_ms, limit).await?;
        *self.lane.looked_at.lock().unwrap_or_else(PoisonError::into_inner) = upto;
        quiet.extend(found);
        quiet.sort_by_key(|due| (due.visible_ms, due.sequence));
        quiet.dedup();
        let mut order = sequences(&quiet);
        if order.len() < limit as usize {
            order.extend(storage.of_groups(self.queue, &noisy, now_ms, limit).await?);
        }
        Ok(order)
    }

    /// Of each group from the first message on, and as many of one as there are.
    async fn in_order(&self) -> Result<(Taken, Option<u64>), ApiError> {
        let storage = &self.sqs.storage;
        loop {
            let now_ms = self.sqs.clock.now_ms();
            let choosing = self.lane.choosing.lock().await;
            let busy = self.lane.groups.lock().unwrap_or_else(PoisonError::into_inner).len();
            let limit = u32::try_from(self.max + busy).unwrap_or(u32::MAX);
            let (due, next_ms) = storage.turns(self.queue, now_ms, limit).await?;
            let groups: Vec<String> = due.into_iter().map(|turn| turn.group).collect();
            let mut claim = Claim::first(self.lane, &self.lane.groups, &groups, self.max);
            drop(choosing);
            if claim.taken.is_empty() {
                return Ok((Vec::new(), next_ms));
            }
            let mut found = Vec::new();
            for group in &claim.taken {
                let front = storage.front(self.queue, group).await?;
                found.extend(front.into_iter().take_while(|found| found.state.visible_ms <= now_ms));
                if found.len() >= self.max {
                    break;
                }
            }
            found.truncate(self.max);
            let (changes, contents) = self.judged(found, now_ms).await?;
            if storage.change(self.queue, &changes, now_ms).await? {
                // Groups that were not needed are others'.
                claim.is_done = contents.len() < self.max;
                if !contents.is_empty() {
                    return Ok((handed_out(changes, contents), None));
                }
            }
        }
    }

    /// What becomes of messages that are visible: those to be handed out, with their contents in the same order, and those
    /// whose time is over. The dead are put into their own queue.
    async fn judged(&self, found: Vec<Found>, now_ms: u64) -> Result<(Vec<Change>, Vec<Content>), ApiError> {
        let sequences: Vec<u64> = found.iter().map(|found| found.sequence).collect();
        let contents = self.sqs.storage.contents(self.queue, &sequences).await?;
        let retention_ms = self.queue.number("MessageRetentionPeriod") * 1000;
        let (mut changes, mut live) = (Vec::new(), Vec::new());
        for (found, content) in found.into_iter().zip(contents) {
            let is_over = found.state.sent_ms + retention_ms <= now_ms || found.sequence <= self.queue.purged_upto;
            let Some(content) = content.filter(|_| !is_over) else {
                changes.push((found, None));
                continue;
            };
            if self.bury(&found, &content, now_ms).await? {
                continue;
            }
            let state = State {
                visible_ms: now_ms + self.timeout_ms,
                receives: found.state.receives + 1,
                first_received_ms: if found.state.receives == 0 { now_ms } else { found.state.first_received_ms },
                ..found.state.clone()
            };
            changes.push((found, Some(state)));
            live.push(content);
        }
        Ok((changes, live))
    }

    /// Whether the message was received too often and is the dead letter queue's now; without that queue it stays.
    async fn bury(&self, found: &Found, content: &Content, now_ms: u64) -> Result<bool, ApiError> {
        let Some((target, count)) = self.queue.redrive().filter(|(_, count)| found.state.receives >= *count) else {
            return Ok(false);
        };
        tracing::debug!(queue = self.place.name, receives = found.state.receives, count, "a message is dead");
        let storage = &self.sqs.storage;
        let Some((to, _)) = storage.find(&target).await?.filter(|(to, _)| to.id != self.queue.id) else {
            return Ok(false);
        };
        // A standard queue counts the time a message has left from its first sending.
        let sent_ms = if to.is_fifo() { now_ms } else { found.state.sent_ms };
        let state = State { sent_ms, visible_ms: now_ms, receives: 0, first_received_ms: 0, ..found.state.clone() };
        let content = Content { source_arn: Some(self.place.arn()), ..content.clone() };
        // Not done: somebody was faster, and the message is looked at again.
        if storage.relocate(self.queue, &to, found, &state, &content, now_ms).await? {
            self.sqs.lane(&to).wake(1);
        }
        Ok(true)
    }
}

/// The messages that stay, with the states they have now.
fn handed_out(changes: Vec<Change>, contents: Vec<Content>) -> Taken {
    let stay = changes.into_iter().filter_map(|(found, state)| state.map(|state| Found { state, ..found }));
    stay.zip(contents).collect()
}

fn system_names(call: &Call) -> Vec<String> {
    let mut asked = input::texts(&call.input, "MessageSystemAttributeNames");
    asked.extend(input::texts(&call.input, "AttributeNames"));
    asked
}

fn shape(call: &Call, queue: &Queue, found: &Found, content: &Content) -> Value {
    let receipt = Receipt { queue_id: queue.id.clone(), sequence: found.sequence, receives: found.state.receives };
    let mut message = json!({
        "MessageId": content.id,
        "ReceiptHandle": receipt.write(),
        "MD5OfBody": digest::of_body(&content.body),
        "Body": content.body,
    });
    let asked = system_names(call);
    let sequence = queue.is_fifo().then(|| sequence_number(found.sequence));
    let system: Map<String, Value> = [
        ("SenderId", Some(content.sender.clone())),
        ("SentTimestamp", Some(found.state.sent_ms.to_string())),
        ("ApproximateReceiveCount", Some(found.state.receives.to_string())),
        ("ApproximateFirstReceiveTimestamp", Some(found.state.first_received_ms.to_string())),
        ("SequenceNumber", sequence),
        ("MessageDeduplicationId", content.deduplication.clone()),
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
