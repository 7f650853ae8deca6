//! SendMessage and SendMessageBatch.

use std::collections::BTreeMap;

use cumulet_base::{id, limits};
use cumulet_wire::call::{Answer, Call};
use cumulet_wire::error::ApiError;
use serde_json::{Value, json};

use super::{Entry, batch_answer, entries, failed};
use crate::model::{Attribute, Content, FORMAT, Queue, State};
use crate::{Sqs, digest, errors, input};

pub async fn one(sqs: &Sqs, call: &Call) -> Result<Answer, ApiError> {
    let queue = sqs.storage.queue(&input::place(call)?).await?;
    let message = message(sqs, call, &queue, &call.input)?;
    let answer = answer(&message.1);
    sqs.storage.send(&queue, &[message], call.context.now_ms).await?;
    sqs.lane(&queue).arrived.notify_waiters();
    Answer::json(answer)
}

pub async fn batch(sqs: &Sqs, call: &Call) -> Result<Answer, ApiError> {
    let queue = sqs.storage.queue(&input::place(call)?).await?;
    let (mut done, mut refused, mut messages) = (Vec::new(), Vec::new(), Vec::new());
    let mut total = 0;
    for (id, entry) in entries(call)? {
        match message(sqs, call, &queue, &entry) {
            Ok(message) => {
                let mut answer = answer(&message.1);
                answer["Id"] = id.into();
                total += bytes(&message.1);
                done.push(answer);
                messages.push(message);
            }
            Err(error) => refused.push(failed(&id, &error)),
        }
    }
    if total > limits::QUEUE_MESSAGE_BYTES_MAX {
        return Err(errors::batch_too_long(limits::QUEUE_MESSAGE_BYTES_MAX, total));
    }
    if !messages.is_empty() {
        sqs.storage.send(&queue, &messages, call.context.now_ms).await?;
        sqs.lane(&queue).arrived.notify_waiters();
    }
    Answer::json(batch_answer(done, refused))
}

fn answer(content: &Content) -> Value {
    let mut answer = json!({"MessageId": content.id, "MD5OfMessageBody": digest::of_body(&content.body)});
    if let Some(digest) = digest::of_attributes(&content.attributes) {
        answer["MD5OfMessageAttributes"] = digest.into();
    }
    answer
}

fn bytes(content: &Content) -> usize {
    let of = |(name, attribute): (&String, &Attribute)| {
        let value = attribute.bytes().map_or(0, |b| b.len());
        name.len() + attribute.data_type.len() + value + attribute.string_value.as_ref().map_or(0, String::len)
    };
    content.body.len() + content.attributes.iter().map(of).sum::<usize>()
}

fn message(sqs: &Sqs, call: &Call, queue: &Queue, entry: &Entry) -> Result<(State, Content), ApiError> {
    let body = input::required(entry, "MessageBody")?;
    if body.is_empty() {
        return Err(errors::missing("MessageBody"));
    }
    // What XML 1.0 cannot carry.
    let is_allowed = |c: char| matches!(c, '\t' | '\n' | '\r' | ' '..='\u{fffd}' | '\u{10000}'..);
    if !body.chars().all(is_allowed) {
        return Err(errors::contents());
    }
    let delay = input::number(entry, "DelaySeconds", 0, limits::QUEUE_DELAY_S_MAX)?;
    if input::text(entry, "MessageDeduplicationId").is_some() {
        return Err(errors::invalid("The request includes a parameter that is not valid for this queue type."));
    }
    let system = entry.get("MessageSystemAttributes").and_then(|m| m.get("AWSTraceHeader"));
    let trace = system.and_then(|header| header.get("StringValue")).and_then(Value::as_str);
    let group = input::text(entry, "MessageGroupId").map(str::to_owned);
    let content = Content {
        v: FORMAT,
        id: id::uuid(),
        body: body.to_owned(),
        attributes: attributes(entry)?,
        sender: call.context.account().to_owned(),
        trace: trace.map(str::to_owned),
        group: group.clone(),
        deduplication: None,
        source_arn: None,
    };
    let max = queue.number("MaximumMessageSize");
    if bytes(&content) as u64 > max {
        return Err(errors::invalid(format!(
            "One or more parameters are invalid. Reason: Message must be shorter than {max} bytes."
        )));
    }
    let now_ms = sqs.clock.now_ms();
    let visible_ms = now_ms + delay.unwrap_or_else(|| queue.number("DelaySeconds")) * 1000;
    let state = State { v: FORMAT, sent_ms: now_ms, visible_ms, receives: 0, first_received_ms: 0, group };
    Ok((state, content))
}

fn attributes(entry: &Entry) -> Result<BTreeMap<String, Attribute>, ApiError> {
    let Some(given) = entry.get("MessageAttributes").filter(|v| !v.is_null()) else { return Ok(BTreeMap::new()) };
    let attributes: BTreeMap<String, Attribute> =
        serde_json::from_value(given.clone()).map_err(|e| ApiError::serialization(&e.to_string()))?;
    if attributes.len() > limits::QUEUE_ATTRIBUTES_MAX {
        let text = format!("Number of message attributes [{}] exceeds the allowed maximum [10].", attributes.len());
        return Err(errors::invalid(text));
    }
    for (name, attribute) in &attributes {
        let kind = attribute.data_type.split('.').next().unwrap_or_default();
        let fits = match kind {
            "String" | "Number" => attribute.string_value.as_ref().is_some_and(|v| !v.is_empty()),
            "Binary" => attribute.bytes().is_some_and(|v| !v.is_empty()),
            _ => return Err(errors::invalid(format!("The type of message (user) attribute '{name}' is invalid."))),
        };
        if !fits {
            let text = format!("The message (user) attribute '{name}' must contain a non-empty value of its type.");
            return Err(errors::invalid(text));
        }
    }
    Ok(attributes)
}
