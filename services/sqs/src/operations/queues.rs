//! Queues themselves: made, found, listed, changed, emptied, deleted.

use cumulet_wire::call::{Answer, Call};
use cumulet_wire::error::ApiError;
use serde_json::{Map, Value, json};

use crate::model::{FORMAT, Queue};
use crate::{Sqs, attributes, errors, input};

const PAGE_MAX: u64 = 1000;
const PURGE_PAUSE_MS: u64 = 60_000;

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
    if is_fifo {
        return Err(errors::not_built("FIFO queues"));
    }
    let answer = json!({"QueueUrl": input::url(call, name)});
    let now_ms = sqs.clock.now_ms();
    let queue = Queue {
        v: FORMAT,
        id: cumulet_base::id::hex(16),
        created_ms: now_ms,
        modified_ms: now_ms,
        purged_ms: 0,
        attributes: given.clone().into_iter().filter(|(_, value)| !value.is_empty()).collect(),
        tags: input::pairs(&call.input, "tags")?,
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
    answer[member] = urls.into();
    // Without a number asked for, AWS gives no token.
    if let Some(token) = token.filter(|_| max.is_some()) {
        answer["NextToken"] = token.into();
    }
    Answer::json(answer)
}

pub async fn delete(sqs: &Sqs, call: &Call) -> Result<Answer, ApiError> {
    let queue = sqs.storage.delete_queue(&input::place(call)?).await?;
    sqs.forget(&queue);
    Ok(Answer::empty())
}

pub async fn purge(sqs: &Sqs, call: &Call) -> Result<Answer, ApiError> {
    let now_ms = sqs.clock.now_ms();
    let change = |queue: &mut Queue| {
        if queue.purged_ms > 0 && now_ms < queue.purged_ms + PURGE_PAUSE_MS {
            return Err(errors::purging());
        }
        queue.purged_ms = now_ms;
        Ok(())
    };
    let queue = sqs.storage.update(&input::place(call)?, change).await?;
    sqs.storage.clear(&queue).await?;
    Ok(Answer::empty())
}

pub async fn set_attributes(sqs: &Sqs, call: &Call) -> Result<Answer, ApiError> {
    let place = input::place(call)?;
    let given = input::pairs(&call.input, "Attributes")?;
    let now_ms = sqs.clock.now_ms();
    let change = |queue: &mut Queue| {
        attributes::check(&given, &place, queue.is_fifo())?;
        queue.attributes.extend(given.clone());
        queue.attributes.retain(|_, value| !value.is_empty());
        queue.modified_ms = now_ms;
        Ok(())
    };
    sqs.storage.update(&place, change).await?;
    Ok(Answer::empty())
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
    for name in attributes::DEFAULTS {
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
