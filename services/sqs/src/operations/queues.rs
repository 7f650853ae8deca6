//! Queues themselves: made, found, listed, changed, emptied, deleted.

use std::collections::BTreeMap;

use cumulet_wire::call::{Answer, Call};
use cumulet_wire::error::ApiError;
use serde_json::{Map, Value, json};

use super::tags;
use crate::jobs::{self, Job};
use crate::model::{FORMAT, Place, Queue, dead_letter_target};
use crate::{Sqs, attributes, errors, input};

const PAGE_MAX: u64 = 1000;
const PURGE_PAUSE_MS: u64 = 60_000;
const PURGE_STEPS: usize = 10;

pub async fn create(sqs: &Sqs, call: &Call) -> Result<Answer, ApiError> {
    let name = input::required(&call.input, "QueueName")?;
    let given = input::pairs(&call.input, "Attributes")?;
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let stem = name.strip_suffix(".fifo").unwrap_or(name);
    if stem.is_empty() || name.len() > 80 || !stem.chars().all(is_allowed) {
        return Err(errors::invalid(
            "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length",
        ));
    }
    let place = input::here(call, name);
    let is_fifo = name.ends_with(".fifo");
    attributes::check(&given, &place, is_fifo)?;
    attributes::fit_together(&given)?;
    if is_fifo && !given.contains_key("FifoQueue") {
        return Err(errors::invalid(
            "The name of a queue that is not a FIFO queue can only include alphanumeric characters, hyphens, or \
             underscores. 1 to 80 in length",
        ));
    }
    check_redrive(sqs, &given, &place).await?;
    let answer = json!({"QueueUrl": input::url(call, name)});
    let now_ms = sqs.clock.now_ms();
    let queue = Queue {
        v: FORMAT,
        id: cumulet_base::id::hex(16),
        created_ms: now_ms,
        modified_ms: now_ms,
        purged_ms: 0,
        purged_upto: 0,
        attributes: given.clone().into_iter().filter(|(_, value)| !value.is_empty()).collect(),
        tags: tags::checked({
            // The newer model begins the member small.
            let mut tags = input::pairs(&call.input, "tags")?;
            tags.extend(input::pairs(&call.input, "Tags")?);
            tags
        })?,
    };
    if sqs.storage.put_queue(&place, &queue, None).await? {
        return Answer::json(answer);
    }
    let there = sqs.storage.queue(&place).await?;
    for (name, value) in &given {
        let has = there.attributes.get(name).map(String::as_str).or_else(|| attributes::default(name));
        if has.unwrap_or_default() != value {
            return Err(errors::queue_exists(name));
        }
    }
    Answer::json(answer)
}

pub async fn url(sqs: &Sqs, call: &Call) -> Result<Answer, ApiError> {
    let name = input::required(&call.input, "QueueName")?;
    let owner = input::text(&call.input, "QueueOwnerAWSAccountId");
    if owner.is_some_and(|owner| owner != call.context.account()) {
        return Err(errors::no_queue());
    }
    sqs.storage.queue(&input::here(call, name)).await?;
    Answer::json(json!({"QueueUrl": input::url(call, name)}))
}

pub async fn list(sqs: &Sqs, call: &Call) -> Result<Answer, ApiError> {
    let prefix = input::text(&call.input, "QueueNamePrefix").unwrap_or_default();
    page(sqs, call, prefix, "QueueUrls", |_| true).await
}

pub async fn list_sources(sqs: &Sqs, call: &Call) -> Result<Answer, ApiError> {
    let place = input::place(call)?;
    sqs.storage.queue(&place).await?;
    let feeds = |queue: &Queue| queue.redrive().is_some_and(|(target, _)| target == place);
    // The member's name begins small in AWS's model.
    page(sqs, call, "", "queueUrls", feeds).await
}

async fn page(
    sqs: &Sqs,
    call: &Call,
    prefix: &str,
    member: &str,
    wanted: impl Fn(&Queue) -> bool,
) -> Result<Answer, ApiError> {
    let max = input::number(&call.input, "MaxResults", 1, PAGE_MAX)?;
    let limit = usize::try_from(max.unwrap_or(PAGE_MAX)).unwrap_or(1);
    let mut after = input::text(&call.input, "NextToken").map(str::to_owned);
    let mut urls: Vec<String> = Vec::new();
    let at = input::here(call, "");
    let mut token = None;
    'pages: loop {
        let found = sqs.storage.queues(&at, prefix, after.as_deref(), limit + 1).await?;
        let is_last = found.len() <= limit;
        for (name, queue) in found {
            if urls.len() == limit {
                token = after;
                break 'pages;
            }
            if wanted(&queue) {
                urls.push(input::url(call, &name));
            }
            after = Some(name);
        }
        if is_last {
            break;
        }
    }
    let mut answer = json!({});
    // The one member that may be missing is: SQS does not answer with an empty list of queues.
    if !urls.is_empty() || member != "QueueUrls" {
        answer[member] = urls.into();
    }
    // Without a number asked for, AWS gives no token.
    if let Some(token) = token.filter(|_| max.is_some()) {
        answer["NextToken"] = token.into();
    }
    Answer::json(answer)
}

/// What of messages is left to be deleted goes on in the background.
pub async fn delete(sqs: &Sqs, call: &Call) -> Result<Answer, ApiError> {
    let place = input::place(call)?;
    let queue = sqs.storage.queue(&place).await?;
    let mut wake = None;
    let task = Job::Clear { queue_id: queue.id.clone() }.task(&queue, sqs.clock.now_ms())?;
    sqs.storage
        .delete_queue(&place, |txn| {
            let (txn, woken) = sqs.delivery.add(txn, &task)?;
            wake = Some(woken);
            Ok(txn)
        })
        .await?;
    if let Some(wake) = wake {
        wake.now();
    }
    sqs.lanes.forget(&queue);
    Ok(Answer::empty())
}

/// From the commit on no message sent before it is received; their rows go in the background.
pub async fn purge(sqs: &Sqs, call: &Call) -> Result<Answer, ApiError> {
    let place = input::place(call)?;
    let now_ms = sqs.clock.now_ms();
    let upto = sqs.storage.next(now_ms);
    let change = |queue: &mut Queue| {
        if queue.purged_ms > 0 && now_ms < queue.purged_ms + PURGE_PAUSE_MS {
            return Err(errors::purging());
        }
        queue.purged_ms = now_ms;
        queue.purged_upto = upto;
        Ok(())
    };
    let before = sqs.storage.queue(&place).await?;
    let job = Job::Purge { place: place.clone(), queue_id: before.id.clone(), upto };
    let task = job.task(&before, now_ms)?;
    let mut wake = None;
    let queue = sqs
        .storage
        .update_and(&place, change, |txn| {
            let (txn, woken) = sqs.delivery.add(txn, &task)?;
            wake = Some(woken);
            Ok(txn)
        })
        .await?;
    if let Some(wake) = wake {
        wake.now();
    }
    // A small queue is empty when the caller hears of it.
    for _ in 0..PURGE_STEPS {
        if !jobs::purge_step(&sqs.storage, &queue, upto, now_ms).await? {
            break;
        }
    }
    Ok(Answer::empty())
}

pub async fn set_attributes(sqs: &Sqs, call: &Call) -> Result<Answer, ApiError> {
    let place = input::place(call)?;
    let given = input::pairs(&call.input, "Attributes")?;
    let now_ms = sqs.clock.now_ms();
    if given.is_empty() {
        return Err(errors::missing("Attribute.Name"));
    }
    check_redrive(sqs, &given, &place).await?;
    let change = |queue: &mut Queue| {
        attributes::check(&given, &place, queue.is_fifo())?;
        queue.attributes.extend(given.clone());
        attributes::fit_together(&queue.attributes)?;
        queue.attributes.retain(|_, value| !value.is_empty());
        queue.modified_ms = now_ms;
        Ok(())
    };
    let queue = sqs.storage.update(&place, change).await?;
    // Those who wait reckon with what was.
    sqs.lane(&queue).wake_all();
    Ok(Answer::empty())
}

/// The dead letter queue is there, and takes this one's.
async fn check_redrive(sqs: &Sqs, given: &BTreeMap<String, String>, place: &Place) -> Result<(), ApiError> {
    let target = given.get("RedrivePolicy").and_then(|text| dead_letter_target(text));
    let Some(target) = target else { return Ok(()) };
    let Some((queue, _)) = sqs.storage.find(&target).await? else {
        return Err(errors::redrive_policy("Dead letter target does not exist."));
    };
    if !queue.takes_dead_letters_of(&place.arn()) {
        return Err(errors::redrive_policy("The dead letter queue does not allow this source queue."));
    }
    Ok(())
}

pub async fn attributes(sqs: &Sqs, call: &Call) -> Result<Answer, ApiError> {
    let place = input::place(call)?;
    let queue = sqs.storage.queue(&place).await?;
    let names = input::texts(&call.input, "AttributeNames");
    if let Some(unknown) = names.iter().find(|name| !attributes::is_known(name)) {
        return Err(errors::unknown_attribute(unknown));
    }
    let asks = |name: &str| names.iter().any(|n| n == "All" || n == name);
    let mut shown = Map::new();
    let of_kind = if queue.is_fifo() { attributes::FIFO_DEFAULTS } else { &[] };
    for name in attributes::DEFAULTS.iter().chain(of_kind) {
        shown.insert((*name).to_owned(), attributes::default(name).unwrap_or_default().into());
    }
    shown.extend(queue.attributes.iter().map(|(name, value)| (name.clone(), Value::from(value.clone()))));
    shown.insert("QueueArn".to_owned(), place.arn().into());
    shown.insert("CreatedTimestamp".to_owned(), (queue.created_ms / 1000).to_string().into());
    shown.insert("LastModifiedTimestamp".to_owned(), (queue.modified_ms / 1000).to_string().into());
    if attributes::COMPUTED.iter().any(|name| name.starts_with("Approximate") && asks(name)) {
        let counts = sqs.storage.counts(&queue, sqs.clock.now_ms()).await?;
        for (name, count) in [
            ("ApproximateNumberOfMessages", counts.visible),
            ("ApproximateNumberOfMessagesNotVisible", counts.in_flight),
            ("ApproximateNumberOfMessagesDelayed", counts.delayed),
        ] {
            shown.insert(name.to_owned(), count.to_string().into());
        }
    }
    shown.retain(|name, _| asks(name));
    if shown.is_empty() {
        return Ok(Answer::empty());
    }
    Answer::json(json!({"Attributes": shown}))
}
