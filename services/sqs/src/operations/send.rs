//! SendMessage and SendMessageBatch.

use std::collections::BTreeMap;

use cumulet_base::{id, limits};
use cumulet_wire::call::{Answer, Call};
use cumulet_wire::error::ApiError;
use serde_json::{Value, json};

use super::{Entry, batch_answer, entries, failed};
use crate::model::{Attribute, Content, FORMAT, Queue, Sent, State, sequence_number};
use crate::{Sqs, digest, errors, input};

pub async fn one(sqs: &Sqs, call: &Call) -> Result<Answer, ApiError> {
    let queue = sqs.storage.queue(&input::place(call)?).await?;
    let messages = [message(sqs, call, &queue, &call.input)?];
    let sent = put(sqs, &queue, &messages, call.context.now_ms).await?;
    Answer::json(sent.first().map(|sent| answer(sent, &messages[0].1, &call.input)))
}

pub async fn batch(sqs: &Sqs, call: &Call) -> Result<Answer, ApiError> {
    let queue = sqs.storage.queue(&input::place(call)?).await?;
    let (mut asked, mut refused, mut messages) = (Vec::new(), Vec::new(), Vec::new());
    let mut total = 0;
    for (id, entry) in entries(call)? {
        match message(sqs, call, &queue, &entry) {
            Ok(message) => {
                total += bytes(&message.1);
                asked.push((id, entry));
                messages.push(message);
            }
            Err(error) => refused.push(failed(&id, &error)),
        }
    }
    if total > limits::QUEUE_MESSAGE_BYTES_MAX {
        return Err(errors::batch_too_long(limits::QUEUE_MESSAGE_BYTES_MAX, total));
    }
    let sent = if messages.is_empty() { Vec::new() } else { put(sqs, &queue, &messages, call.context.now_ms).await? };
    let mut done = Vec::with_capacity(sent.len());
    for ((sent, (_, content)), (id, entry)) in sent.iter().zip(&messages).zip(asked) {
        let mut answer = answer(sent, content, &entry);
        answer["Id"] = id.into();
        done.push(answer);
    }
    Answer::json(batch_answer(done, refused))
}

/// Durable when it returns; receivers that wait are woken.
async fn put(sqs: &Sqs, queue: &Queue, messages: &[(State, Content)], now_ms: u64) -> Result<Vec<Sent>, ApiError> {
    let lane = sqs.lane(queue);
    let sent = if queue.is_fifo() {
        // One after the other within a group: the order of the commits is that of the sequences.
        let _in_turn = lane.in_turn(messages.iter().filter_map(|(state, _)| state.group.as_deref())).await;
        sqs.storage.send_in_order(queue, messages, now_ms).await?
    } else {
        sqs.storage.send(queue, messages, now_ms).await?;
        messages.iter().map(|(_, content)| Sent { id: content.id.clone(), sequence: None }).collect()
    };
    lane.wake(messages.len());
    Ok(sent)
}

fn answer(sent: &Sent, content: &Content, entry: &Entry) -> Value {
    let mut answer = json!({"MessageId": sent.id, "MD5OfMessageBody": digest::of_body(&content.body)});
    if let Some(digest) = digest::of_attributes(&content.attributes) {
        answer["MD5OfMessageAttributes"] = digest.into();
    }
    // Of what the client gave by that name, not of a header.
    let given = content.trace.as_deref().filter(|_| entry.contains_key("MessageSystemAttributes"));
    if let Some(digest) = given.and_then(digest::of_trace) {
        answer["MD5OfMessageSystemAttributes"] = digest.into();
    }
    if let Some(sequence) = sent.sequence {
        answer["SequenceNumber"] = sequence_number(sequence).into();
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
    let (group, deduplication) = order(queue, entry, body)?;
    if let Some(delay) = delay.filter(|delay| *delay > 0 && queue.is_fifo()) {
        return Err(errors::not_for_this_queue("DelaySeconds", &delay.to_string()));
    }
    let trace = system_attributes(entry)?.or_else(|| call.context.trace.clone());
    let content = Content {
        v: FORMAT,
        id: id::uuid(),
        body: body.to_owned(),
        attributes: attributes(entry)?,
        sender: call.context.account().to_owned(),
        trace,
        group: group.clone(),
        deduplication,
        source_arn: None,
    };
    let max = queue.number("MaximumMessageSize");
    if bytes(&content) as u64 > max {
        return Err(errors::invalid(format!(
            "One or more parameters are invalid. Reason: Message must be shorter than {max} bytes."
        )));
    }
    let now_ms = sqs.clock.now_ms();
    let delay = delay.filter(|_| !queue.is_fifo()).unwrap_or_else(|| queue.number("DelaySeconds"));
    let visible_ms = now_ms + delay * 1000;
    let state = State { v: FORMAT, sent_ms: now_ms, visible_ms, receives: 0, first_received_ms: 0, group };
    Ok((state, content))
}

/// Message group and deduplication id: a FIFO queue needs both, a standard queue knows groups only.
fn order(queue: &Queue, entry: &Entry, body: &str) -> Result<(Option<String>, Option<String>), ApiError> {
    let name = |member: &str| match input::text(entry, member) {
        Some(text) if text.is_empty() || text.len() > 128 || !text.bytes().all(|b| b.is_ascii_graphic()) => {
            Err(errors::invalid(format!(
                "Value {text} for parameter {member} is invalid. Reason: {member} can only include alphanumeric and \
                 punctuation characters. 1 to 128 in length."
            )))
        }
        other => Ok(other.map(str::to_owned)),
    };
    let (group, id) = (name("MessageGroupId")?, name("MessageDeduplicationId")?);
    match (queue.is_fifo(), &group, id) {
        (false, _, Some(id)) => Err(errors::not_for_this_queue("MessageDeduplicationId", &id)),
        (false, ..) => Ok((group, None)),
        (true, None, _) => Err(errors::missing("MessageGroupId")),
        (true, _, Some(id)) => Ok((group, Some(id))),
        (true, _, None) if queue.is("ContentBasedDeduplication", "true") => Ok((group, Some(digest::sha256(body)))),
        (true, ..) => Err(errors::invalid(
            "The queue should either have ContentBasedDeduplication enabled or MessageDeduplicationId provided explicitly",
        )),
    }
}

/// The one there is: the trace header.
fn system_attributes(entry: &Entry) -> Result<Option<String>, ApiError> {
    let Some(given) = entry.get("MessageSystemAttributes").and_then(Value::as_object) else { return Ok(None) };
    if let Some(unknown) = given.keys().find(|name| *name != "AWSTraceHeader") {
        return Err(errors::invalid(format!("Message system attribute name '{unknown}' is invalid.")));
    }
    let Some(header) = given.get("AWSTraceHeader") else { return Ok(None) };
    match (header["DataType"].as_str(), header["StringValue"].as_str()) {
        (Some("String"), Some(text)) if !text.is_empty() => Ok(Some(text.to_owned())),
        _ => Err(errors::invalid("Message system attribute 'AWSTraceHeader' must be a non-empty String.")),
    }
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
        check_name(name)?;
        let kind = attribute.data_type.split('.').next().unwrap_or_default();
        let fits = match kind {
            "Number" if attribute.string_value.as_ref().is_some_and(|v| v.parse::<f64>().is_err()) => {
                let text = format!("Can't cast the value of message (user) attribute '{name}' to a number.");
                return Err(errors::invalid(text));
            }
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

/// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-message-metadata.html>
fn check_name(name: &str) -> Result<(), ApiError> {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    let lower = name.to_ascii_lowercase();
    let fits = (1..=256).contains(&name.len())
        && name.chars().all(is_allowed)
        && !name.starts_with('.')
        && !name.ends_with('.')
        && !name.contains("..")
        && !lower.starts_with("aws.")
        && !lower.starts_with("amazon.");
    if fits {
        return Ok(());
    }
    Err(errors::invalid(format!("Message (user) attribute name '{name}' is invalid.")))
}
