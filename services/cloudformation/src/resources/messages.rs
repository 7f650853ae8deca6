//! Queues and topics: the resources of SQS and SNS.

use std::collections::BTreeSet;

use cumulet_wire::error::ApiError;
use serde_json::{Map, Value, json};

use super::{Made, Whereabouts, gone_is_done, invalid, only, required, required_text, text};

type Properties = Map<String, Value>;

const QUEUE: &[&str] = &["QueueName", "Tags"];
/// A queue's attributes and what they are where a template does not set them.
const QUEUE_ATTRIBUTES: &[(&str, &str)] = &[
    ("ContentBasedDeduplication", "false"),
    ("DeduplicationScope", "queue"),
    ("DelaySeconds", "0"),
    ("FifoQueue", ""),
    ("FifoThroughputLimit", "perQueue"),
    ("KmsDataKeyReusePeriodSeconds", ""),
    ("KmsMasterKeyId", ""),
    ("MaximumMessageSize", "1048576"),
    ("MessageRetentionPeriod", "345600"),
    ("ReceiveMessageWaitTimeSeconds", "0"),
    ("RedriveAllowPolicy", ""),
    ("RedrivePolicy", ""),
    ("SqsManagedSseEnabled", "false"),
    ("VisibilityTimeout", "30"),
];
const TOPIC: &[&str] = &["TopicName", "Subscription", "Tags"];
const TOPIC_ATTRIBUTES: &[(&str, &str)] = &[
    ("ContentBasedDeduplication", "false"),
    ("DisplayName", ""),
    ("FifoThroughputScope", "Topic"),
    ("FifoTopic", ""),
    ("KmsMasterKeyId", ""),
    ("SignatureVersion", "1"),
    ("TracingConfig", "PassThrough"),
];
const SUBSCRIPTION: &[&str] = &["Endpoint", "Protocol", "TopicArn"];
const SUBSCRIPTION_ATTRIBUTES: &[(&str, &str)] = &[
    ("DeliveryPolicy", ""),
    ("FilterPolicyScope", "MessageAttributes"),
    ("FilterPolicy", ""),
    ("RawMessageDelivery", "false"),
    ("RedrivePolicy", ""),
];

fn known(others: &[&'static str], attributes: &[(&'static str, &'static str)]) -> Vec<&'static str> {
    others.iter().copied().chain(attributes.iter().map(|(name, _)| *name)).collect()
}

/// What a template sets of them. A FIFO thing is one or is not there as such.
fn attributes(properties: &Properties, names: &[(&str, &str)]) -> Map<String, Value> {
    let set = names.iter().filter_map(|(name, _)| Some((*name, text(properties.get(*name)?))));
    let set = set.filter(|(name, value)| !(name.starts_with("Fifo") && value == "false"));
    set.map(|(name, value)| (name.to_owned(), value.into())).collect()
}

/// What an update has to set: what is another, and the usual value of what is set no more.
fn changes(old: &Properties, new: &Properties, names: &[(&str, &str)]) -> Vec<(String, String)> {
    let (before, after) = (attributes(old, names), attributes(new, names));
    let changed = names.iter().filter(|(name, _)| before.get(*name) != after.get(*name));
    changed
        .map(|(name, usual)| ((*name).to_owned(), after.get(*name).map_or_else(|| (*usual).to_owned(), text)))
        .collect()
}

fn is_fifo(properties: &Properties, member: &str) -> bool {
    properties.get(member).is_some_and(|value| text(value) == "true")
}

fn name(at: &Whereabouts, properties: &Properties, member: &str, length_max: usize, is_fifo: bool) -> String {
    match properties.get(member) {
        Some(name) => text(name),
        None if is_fifo => format!("{}.fifo", at.name(length_max - 5)),
        None => at.name(length_max),
    }
}

fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::Array(list) => list.iter().map(text).collect(),
        one => vec![text(one)],
    }
}

pub async fn create(at: &Whereabouts, kind: &str, properties: &Properties) -> Result<Made, ApiError> {
    match kind {
        "AWS::SQS::Queue" => create_queue(at, properties).await,
        "AWS::SNS::Topic" => create_topic(at, properties).await,
        "AWS::SNS::Subscription" => create_subscription(at, properties).await,
        _ => {
            set_policies(at, kind, properties, None).await?;
            Ok(Made::new(at.name(128)))
        }
    }
}

pub async fn update(
    at: &Whereabouts,
    kind: &str,
    made: &Made,
    old: &Properties,
    new: &Properties,
) -> Result<Made, ApiError> {
    match kind {
        "AWS::SQS::Queue" => update_queue(at, made, old, new).await?,
        "AWS::SNS::Topic" => update_topic(at, made, old, new).await?,
        "AWS::SNS::Subscription" => {
            only(new, &known(SUBSCRIPTION, SUBSCRIPTION_ATTRIBUTES))?;
            for (name, value) in changes(old, new, SUBSCRIPTION_ATTRIBUTES) {
                let id = &made.physical_id;
                let input = json!({"SubscriptionArn": id, "AttributeName": name, "AttributeValue": value});
                at.client.call("sns", "SetSubscriptionAttributes", input).await?;
            }
        }
        _ => set_policies(at, kind, new, Some(old)).await?,
    }
    Ok(made.clone())
}

pub async fn delete(at: &Whereabouts, kind: &str, made: &Made, properties: &Properties) -> Result<(), ApiError> {
    let id = &made.physical_id;
    let call = |service: &'static str, operation: &'static str, input: Value| async move {
        gone_is_done(at.client.call(service, operation, input).await)
    };
    match kind {
        "AWS::SQS::Queue" => call("sqs", "DeleteQueue", json!({"QueueUrl": id})).await,
        "AWS::SNS::Topic" => call("sns", "DeleteTopic", json!({"TopicArn": id})).await,
        "AWS::SNS::Subscription" => call("sns", "Unsubscribe", json!({"SubscriptionArn": id})).await,
        _ => {
            let owners = texts(required(properties, owners_of(kind))?);
            for owner in owners {
                gone_is_done(set_policy(at, kind, &owner, "").await)?;
            }
            Ok(())
        }
    }
}

async fn create_queue(at: &Whereabouts, properties: &Properties) -> Result<Made, ApiError> {
    only(properties, &known(QUEUE, QUEUE_ATTRIBUTES))?;
    let name = name(at, properties, "QueueName", 80, is_fifo(properties, "FifoQueue"));
    let input = json!({
        "QueueName": name,
        "Attributes": attributes(properties, QUEUE_ATTRIBUTES),
        "tags": at.tags(properties),
    });
    let answer = at.client.call("sqs", "CreateQueue", input).await?;
    let url = &answer["QueueUrl"];
    let arn = at.client.context.arn("sqs", &name);
    Ok(Made::new(text(url)).with("Arn", &arn.into()).with("QueueName", &name.into()).with("QueueUrl", url))
}

async fn update_queue(at: &Whereabouts, made: &Made, old: &Properties, new: &Properties) -> Result<(), ApiError> {
    only(new, &known(QUEUE, QUEUE_ATTRIBUTES))?;
    let url = &made.physical_id;
    let changed: Map<String, Value> =
        changes(old, new, QUEUE_ATTRIBUTES).into_iter().map(|(name, value)| (name, value.into())).collect();
    if !changed.is_empty() {
        at.client.call("sqs", "SetQueueAttributes", json!({"QueueUrl": url, "Attributes": changed})).await?;
    }
    let (removed, tags) = at.tag_changes(old, new);
    if !removed.is_empty() {
        at.client.call("sqs", "UntagQueue", json!({"QueueUrl": url, "TagKeys": removed})).await?;
    }
    if tags.is_some() {
        at.client.call("sqs", "TagQueue", json!({"QueueUrl": url, "Tags": at.tags(new)})).await?;
    }
    Ok(())
}

async fn create_topic(at: &Whereabouts, properties: &Properties) -> Result<Made, ApiError> {
    only(properties, &known(TOPIC, TOPIC_ATTRIBUTES))?;
    let name = name(at, properties, "TopicName", 256, is_fifo(properties, "FifoTopic"));
    let input = json!({
        "Name": name,
        "Attributes": attributes(properties, TOPIC_ATTRIBUTES),
        "Tags": at.tag_list(properties),
    });
    let answer = at.client.call("sns", "CreateTopic", input).await?;
    let arn = &answer["TopicArn"];
    let made = Made::new(text(arn)).with("TopicArn", arn).with("TopicName", &name.into());
    for (protocol, endpoint) in subscriptions(properties) {
        let input = json!({"TopicArn": made.physical_id, "Protocol": protocol, "Endpoint": endpoint});
        if let Err(error) = at.client.call("sns", "Subscribe", input).await {
            // Otherwise a topic would stay behind that no stack knows.
            at.client.call("sns", "DeleteTopic", json!({"TopicArn": made.physical_id})).await?;
            return Err(error);
        }
    }
    let remark = subscriptions(properties).iter().find_map(|(protocol, _)| unconfirmed(protocol));
    Ok(Made { remark, ..made })
}

/// What is said of subscriptions that nobody can confirm.
fn unconfirmed(protocol: &str) -> Option<String> {
    protocol.starts_with("email").then(|| "No mail is sent here: subscriptions by mail stay unconfirmed".to_owned())
}

/// Protocols and endpoints that a topic's own property lists.
fn subscriptions(properties: &Properties) -> BTreeSet<(String, String)> {
    let list = properties.get("Subscription").and_then(Value::as_array);
    list.into_iter().flatten().map(|one| (text(&one["Protocol"]), text(&one["Endpoint"]))).collect()
}

async fn update_topic(at: &Whereabouts, made: &Made, old: &Properties, new: &Properties) -> Result<(), ApiError> {
    only(new, &known(TOPIC, TOPIC_ATTRIBUTES))?;
    let arn = &made.physical_id;
    for (name, value) in changes(old, new, TOPIC_ATTRIBUTES) {
        let input = json!({"TopicArn": arn, "AttributeName": name, "AttributeValue": value});
        at.client.call("sns", "SetTopicAttributes", input).await?;
    }
    let (removed, tags) = at.tag_changes(old, new);
    if !removed.is_empty() {
        at.client.call("sns", "UntagResource", json!({"ResourceArn": arn, "TagKeys": removed})).await?;
    }
    if let Some(tags) = tags {
        at.client.call("sns", "TagResource", json!({"ResourceArn": arn, "Tags": tags})).await?;
    }
    let (before, after) = (subscriptions(old), subscriptions(new));
    for (protocol, endpoint) in after.difference(&before) {
        let input = json!({"TopicArn": arn, "Protocol": protocol, "Endpoint": endpoint});
        at.client.call("sns", "Subscribe", input).await?;
    }
    for (protocol, endpoint) in before.difference(&after) {
        let mut token = Value::Null;
        loop {
            let input = json!({"TopicArn": arn, "NextToken": token});
            let page = at.client.call("sns", "ListSubscriptionsByTopic", input).await?;
            let list = page["Subscriptions"].as_array().cloned().unwrap_or_default();
            let ended = list.iter().filter(|one| one["Protocol"] == **protocol && one["Endpoint"] == **endpoint);
            for one in ended {
                let input = json!({"SubscriptionArn": one["SubscriptionArn"]});
                at.client.call("sns", "Unsubscribe", input).await?;
            }
            token = page["NextToken"].clone();
            if token.is_null() {
                break;
            }
        }
    }
    Ok(())
}

async fn create_subscription(at: &Whereabouts, properties: &Properties) -> Result<Made, ApiError> {
    only(properties, &known(SUBSCRIPTION, SUBSCRIPTION_ATTRIBUTES))?;
    let input = json!({
        "TopicArn": required_text(properties, "TopicArn")?,
        "Protocol": required_text(properties, "Protocol")?,
        "Endpoint": required_text(properties, "Endpoint")?,
        "Attributes": attributes(properties, SUBSCRIPTION_ATTRIBUTES),
        "ReturnSubscriptionArn": true,
    });
    let answer = at.client.call("sns", "Subscribe", input).await?;
    let remark = unconfirmed(&required_text(properties, "Protocol")?);
    Ok(Made { remark, ..Made::new(text(&answer["SubscriptionArn"])) })
}

/// The property that names whose policy it is.
fn owners_of(kind: &str) -> &'static str {
    match kind {
        "AWS::SQS::QueuePolicy" => "Queues",
        "AWS::SQS::QueueInlinePolicy" => "Queue",
        "AWS::SNS::TopicInlinePolicy" => "TopicArn",
        _ => "Topics",
    }
}

async fn set_policy(at: &Whereabouts, kind: &str, owner: &str, policy: &str) -> Result<Value, ApiError> {
    if kind.starts_with("AWS::SQS::") {
        let input = json!({"QueueUrl": owner, "Attributes": {"Policy": policy}});
        return at.client.call("sqs", "SetQueueAttributes", input).await;
    }
    let input = json!({"TopicArn": owner, "AttributeName": "Policy", "AttributeValue": policy});
    at.client.call("sns", "SetTopicAttributes", input).await
}

/// On all that are named; those that were named before and are no more have none.
async fn set_policies(
    at: &Whereabouts,
    kind: &str,
    new: &Properties,
    old: Option<&Properties>,
) -> Result<(), ApiError> {
    let member = owners_of(kind);
    only(new, &["PolicyDocument", member])?;
    let document = text(required(new, "PolicyDocument")?);
    if !serde_json::from_str::<Value>(&document).is_ok_and(|document| document.is_object()) {
        return Err(invalid("PolicyDocument must be an object"));
    }
    let owners = texts(required(new, member)?);
    for owner in &owners {
        set_policy(at, kind, owner, &document).await?;
    }
    let before = old.and_then(|old| old.get(member)).map(texts).unwrap_or_default();
    for owner in before.iter().filter(|owner| !owners.contains(owner)) {
        gone_is_done(set_policy(at, kind, owner, "").await)?;
    }
    Ok(())
}
