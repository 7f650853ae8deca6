//! Publish and PublishBatch: a message and a task for each subscription that wants it, in one commit.

use std::collections::{BTreeMap, HashSet};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use cumulet_base::{id, limits};
use cumulet_delivery::Wake;
use cumulet_wire::call::{Answer, Call};
use cumulet_wire::error::ApiError;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::envelope::sequence_number;
use crate::model::{Attribute, Message, Place, Topic};
use crate::{Sns, deliver, errors, input};

const ATTEMPTS_MAX: usize = 64;

/// What the sender is answered.
struct Sent {
    id: String,
    sequence: Option<u64>,
}

impl Sent {
    fn shape(&self) -> Value {
        let mut shape = json!({"MessageId": self.id});
        if let Some(sequence) = self.sequence {
            shape["SequenceNumber"] = json!(sequence_number(sequence));
        }
        shape
    }
}

pub async fn one(sns: &Sns, call: &Call) -> Result<Answer, ApiError> {
    if call.input.contains_key("PhoneNumber") {
        return Err(errors::not_built("text messages"));
    }
    let member = if call.input.contains_key("TopicArn") { "TopicArn" } else { "TargetArn" };
    if input::text(&call.input, member).is_none() {
        return Err(errors::invalid("TopicArn or TargetArn Reason: no value for required parameter"));
    }
    let place = input::topic(call, member)?;
    let topic = sns.storage.topic(&place).await?;
    let message = message(&place, &topic, &call.input, call.context.trace.as_deref(), sns.clock.now_ms())?;
    let bytes = bytes(&message);
    if bytes > limits::TOPIC_MESSAGE_BYTES_MAX {
        return Err(errors::invalid("Message too long"));
    }
    Answer::json(put(sns, &place, &topic, message).await?.shape())
}

pub async fn batch(sns: &Sns, call: &Call) -> Result<Answer, ApiError> {
    let place = input::topic(call, "TopicArn")?;
    let topic = sns.storage.topic(&place).await?;
    let entries: Vec<&Map<String, Value>> =
        input::list(&call.input, "PublishBatchRequestEntries").filter_map(Value::as_object).collect();
    if entries.is_empty() {
        return Err(errors::empty_batch());
    }
    if entries.len() > limits::TOPIC_BATCH_MAX {
        return Err(errors::too_many_entries());
    }
    let mut seen = HashSet::new();
    for entry in &entries {
        let id = input::required(entry, "Id")?;
        let is_allowed = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if id.is_empty() || id.len() > 80 || !id.chars().all(is_allowed) {
            return Err(errors::batch_id());
        }
        if !seen.insert(id) {
            return Err(errors::not_distinct());
        }
    }
    let now_ms = sns.clock.now_ms();
    let read = |entry: &&Map<String, Value>| message(&place, &topic, entry, call.context.trace.as_deref(), now_ms);
    let messages: Vec<Result<Message, ApiError>> = entries.iter().map(read).collect();
    if messages.iter().flatten().map(bytes).sum::<usize>() > limits::TOPIC_MESSAGE_BYTES_MAX {
        return Err(errors::batch_too_long());
    }
    let (mut done, mut failed) = (Vec::new(), Vec::new());
    for (entry, message) in entries.iter().zip(messages) {
        let id = input::required(entry, "Id")?;
        let sent = match message {
            Ok(message) => put(sns, &place, &topic, message).await,
            Err(error) => Err(error),
        };
        match sent {
            Ok(sent) => {
                let mut shape = sent.shape();
                shape["Id"] = json!(id);
                done.push(shape);
            }
            Err(error) => failed.push(json!({
                "Id": id, "Code": error.code, "Message": error.message, "SenderFault": error.is_senders(),
            })),
        }
    }
    Answer::json(json!({"Successful": done, "Failed": failed}))
}

/// Durable when it returns.
async fn put(sns: &Sns, place: &Place, topic: &Topic, mut message: Message) -> Result<Sent, ApiError> {
    let turn = place.is_fifo().then(|| sns.turn(place));
    // The time of the last message: none is due before it, also after the clock went back.
    let mut last_ms = match &turn {
        Some(turn) => Some(turn.lock().await),
        None => None,
    };
    for _ in 0..ATTEMPTS_MAX {
        let now_ms = sns.clock.now_ms();
        let mut due_ms = now_ms;
        if let Some(last_ms) = &mut last_ms {
            due_ms = now_ms.max(**last_ms);
            **last_ms = due_ms;
            message.sequence = Some(sns.storage.next(now_ms));
        }
        let scope = match &message.group {
            Some(group) if topic.is("FifoThroughputScope", "MessageGroup") => group.as_str(),
            _ => "",
        };
        let mut txn = match sns.storage.once(place, scope, &message, now_ms).await? {
            Ok(txn) => txn,
            Err(once) => return Ok(Sent { id: once.id, sequence: once.sequence }),
        };
        let mut wakes = Vec::new();
        for task in deliver::tasks(&sns.storage, place, &message, "", due_ms).await? {
            let (more, wake) = sns.delivery.add(txn, &task)?;
            txn = more;
            wakes.push(wake);
        }
        if sns.storage.commit(txn).await? {
            wakes.into_iter().for_each(Wake::now);
            return Ok(Sent { id: message.id, sequence: message.sequence });
        }
    }
    Err(ApiError::internal("the topic is being published to by too many at once"))
}

fn bytes(message: &Message) -> usize {
    let of = |(name, attribute): (&String, &Attribute)| {
        let binary = attribute.binary_value.as_ref().map_or(0, |text| text.len() / 4 * 3);
        name.len() + attribute.data_type.len() + attribute.string_value.as_ref().map_or(binary, String::len)
    };
    let texts = message.text.len() + message.by_protocol.values().map(String::len).sum::<usize>();
    texts + message.attributes.iter().map(of).sum::<usize>()
}

fn message(
    place: &Place,
    topic: &Topic,
    entry: &Map<String, Value>,
    trace: Option<&str>,
    now_ms: u64,
) -> Result<Message, ApiError> {
    let text = input::required(entry, "Message")?;
    if text.is_empty() {
        return Err(errors::invalid("Empty message"));
    }
    let subject = input::text(entry, "Subject");
    if subject.is_some_and(|subject| {
        let is_allowed = |c: char| !c.is_control();
        subject.is_empty() || subject.chars().count() > limits::TOPIC_SUBJECT_MAX || !subject.chars().all(is_allowed)
    }) {
        return Err(errors::invalid("Subject"));
    }
    let (text, by_protocol) = match input::text(entry, "MessageStructure") {
        None => (text.to_owned(), BTreeMap::new()),
        Some("json") => structure(text)?,
        Some(_) => return Err(errors::invalid("MessageStructure")),
    };
    let name = |member: &str| match input::text(entry, member) {
        Some(text) if text.is_empty() || text.len() > 128 || !text.bytes().all(|b| b.is_ascii_graphic()) => {
            Err(errors::invalid(format!("{member} Reason: it is not valid")))
        }
        other => Ok(other.map(str::to_owned)),
    };
    let (group, given) = (name("MessageGroupId")?, name("MessageDeduplicationId")?);
    let deduplication = match (place.is_fifo(), given) {
        (false, Some(_)) => {
            return Err(errors::invalid("MessageDeduplicationId Reason: the topic is not a FIFO topic"));
        }
        (false, None) => None,
        (true, Some(id)) => Some(id),
        (true, None) if topic.is("ContentBasedDeduplication", "true") => {
            Some(hex::encode(Sha256::digest(text.as_bytes())))
        }
        (true, None) => {
            return Err(errors::invalid(
                "The topic should either have ContentBasedDeduplication enabled or MessageDeduplicationId provided \
                 explicitly",
            ));
        }
    };
    if place.is_fifo() && group.is_none() {
        return Err(errors::invalid("The MessageGroupId parameter is required for FIFO topics"));
    }
    Ok(Message {
        id: id::uuid(),
        sent_ms: now_ms,
        subject: subject.map(str::to_owned),
        text,
        by_protocol,
        attributes: attributes(entry)?,
        group,
        deduplication,
        sequence: None,
        signature_version: deliver::signature_version(topic),
        trace: trace.map(str::to_owned),
    })
}

/// A text for each protocol, and one for all others.
fn structure(text: &str) -> Result<(String, BTreeMap<String, String>), ApiError> {
    let bad = |why: &str| errors::invalid(format!("Message Structure - {why}"));
    let members: BTreeMap<String, Value> =
        serde_json::from_str(text).map_err(|_| bad("JSON message body failed to parse"))?;
    let texts = members.into_iter().filter_map(|(name, value)| Some((name, value.as_str()?.to_owned())));
    let mut texts: BTreeMap<String, String> = texts.collect();
    let common = texts.remove("default").ok_or_else(|| bad("No default entry in JSON message body"))?;
    texts.retain(|name, _| ["lambda", "sqs", "http", "https"].contains(&name.as_str()));
    Ok((common, texts))
}

fn attributes(entry: &Map<String, Value>) -> Result<BTreeMap<String, Attribute>, ApiError> {
    let mut attributes = BTreeMap::new();
    for (name, value) in input::map(entry, "MessageAttributes") {
        let bad = |why: &str| errors::invalid_value(format!("The message attribute '{name}' {why}"));
        let attribute: Attribute = serde_json::from_value(value).map_err(|_| bad("is not valid"))?;
        let is_allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        let is_name = (1..=256).contains(&name.len())
            && name.chars().all(is_allowed)
            && !name.starts_with('.')
            && !name.ends_with('.')
            && !name.contains("..");
        if !is_name {
            return Err(bad("has a name that is not valid"));
        }
        let text = attribute.string_value.as_deref();
        let fits = match attribute.data_type.split('.').next().unwrap_or_default() {
            "Binary" => {
                attribute.binary_value.as_ref().is_some_and(|v| BASE64_STANDARD.decode(v).is_ok_and(|v| !v.is_empty()))
            }
            "Number" => text.is_some_and(|text| text.parse::<f64>().is_ok()),
            "String" if attribute.data_type == "String.Array" => {
                text.is_some_and(|text| serde_json::from_str::<Vec<Value>>(text).is_ok())
            }
            "String" => text.is_some_and(|text| !text.is_empty()),
            _ => {
                return Err(bad(
                    "has an invalid message attribute type, the set of supported type prefixes is Binary, Number, and String.",
                ));
            }
        };
        if !fits {
            return Err(bad("must contain a non-empty value of its type"));
        }
        attributes.insert(name, attribute);
    }
    Ok(attributes)
}
