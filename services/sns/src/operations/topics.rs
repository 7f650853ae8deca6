//! Topics: made, listed, shown, changed, deleted.

use std::collections::BTreeMap;

use cumulet_base::limits;
use cumulet_wire::call::{Answer, Call};
use cumulet_wire::error::ApiError;
use cumulet_wire::policy::Document;
use serde_json::{Value, json};

use super::tags;
use crate::model::{FORMAT, Place, Topic};
use crate::{Sns, errors, input, retry};

const PAGE: usize = 100;

pub async fn create(sns: &Sns, call: &Call) -> Result<Answer, ApiError> {
    let name = input::required(&call.input, "Name")?;
    let stem = name.strip_suffix(".fifo").unwrap_or(name);
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if stem.is_empty() || name.len() > 256 || !stem.chars().all(is_allowed) {
        return Err(errors::invalid("Topic Name"));
    }
    let place = input::here(call, name);
    let mut given = input::pairs(&call.input, "Attributes")?;
    if place.is_fifo() != given.get("FifoTopic").is_some_and(|set| set == "true") {
        return Err(errors::invalid(
            "Topic Name Reason: A FIFO topic's name ends with .fifo, and its attribute FifoTopic is true",
        ));
    }
    if given.get("FifoTopic").is_some_and(|set| set == "false") {
        given.remove("FifoTopic");
    }
    for (name, value) in &given {
        check(&place, name, value)?;
    }
    let tags = tags::checked(input::tags(&call.input))?;
    let topic = Topic { v: FORMAT, created_ms: sns.clock.now_ms(), attributes: given.clone(), tags: tags.clone() };
    let answer = json!({"TopicArn": place.arn()});
    if sns.storage.find(&place).await?.is_none() {
        if sns.storage.topics(&place, "", limits::TOPICS_MAX).await?.len() >= limits::TOPICS_MAX {
            return Err(errors::too_many_topics());
        }
        if sns.storage.put_topic(&place, &topic, None).await? {
            return Answer::json(answer);
        }
    }
    let there = sns.storage.topic(&place).await?;
    for (name, value) in &given {
        if there.attributes.get(name).map(String::as_str).unwrap_or_default() != value {
            return Err(errors::invalid("Attributes Reason: Topic already exists with different attributes"));
        }
    }
    if !tags.is_empty() && tags != there.tags {
        return Err(errors::invalid("Tags Reason: Topic already exists with different tags"));
    }
    Answer::json(answer)
}

/// What may be set, and to what.
fn check(place: &Place, name: &str, value: &str) -> Result<(), ApiError> {
    let bad = || errors::invalid(format!("Attributes Reason: {name}: {value}"));
    let of = |values: &[&str]| if values.contains(&value) { Ok(()) } else { Err(bad()) };
    match name {
        "DisplayName" if value.chars().count() > 100 => Err(bad()),
        "DisplayName" | "KmsMasterKeyId" => Ok(()),
        "Policy" if value.is_empty() => Ok(()),
        "Policy" => Document::parse(value).map(drop).ok_or_else(|| errors::invalid("Policy Error: null")),
        "DeliveryPolicy" if value.is_empty() => Ok(()),
        "DeliveryPolicy" => retry::check(value, true),
        "SignatureVersion" => of(&["1", "2"]),
        "TracingConfig" => of(&["PassThrough", "Active"]),
        "FifoTopic" if place.is_fifo() => of(&["true"]),
        "ContentBasedDeduplication" if place.is_fifo() => of(&["true", "false"]),
        "FifoThroughputScope" if place.is_fifo() => of(&["Topic", "MessageGroup"]),
        "ArchivePolicy" => Err(errors::not_built("archives of topics")),
        // None of them, as Terraform writes it down for every protocol.
        known if known.ends_with("FeedbackRoleArn") && value.is_empty() => Ok(()),
        known if known.ends_with("FeedbackSampleRate") && matches!(value, "" | "0") => Ok(()),
        known if known.ends_with("FeedbackRoleArn") || known.ends_with("FeedbackSampleRate") => {
            Err(errors::not_built("delivery logs"))
        }
        _ => Err(errors::invalid("AttributeName")),
    }
}

pub async fn set_attributes(sns: &Sns, call: &Call) -> Result<Answer, ApiError> {
    let place = input::topic(call, "TopicArn")?;
    let name = input::required(&call.input, "AttributeName")?;
    let value = input::text(&call.input, "AttributeValue").unwrap_or_default();
    if name == "FifoTopic" {
        return Err(errors::invalid("AttributeName"));
    }
    sns.storage.topic(&place).await?;
    check(&place, name, value)?;
    let change = |topic: &mut Topic| {
        topic.attributes.insert(name.to_owned(), value.to_owned());
        topic.attributes.retain(|_, value| !value.is_empty());
        Ok(())
    };
    sns.storage.update(&place, change).await?;
    Ok(Answer::empty())
}

pub async fn delete(sns: &Sns, call: &Call) -> Result<Answer, ApiError> {
    sns.storage.delete_topic(&input::topic(call, "TopicArn")?).await?;
    Ok(Answer::empty())
}

pub async fn list(sns: &Sns, call: &Call) -> Result<Answer, ApiError> {
    let after = input::text(&call.input, "NextToken").unwrap_or_default();
    let mut found = sns.storage.topics(&input::here(call, ""), after, PAGE + 1).await?;
    let is_more = found.len() > PAGE;
    found.truncate(PAGE);
    let topics: Vec<Value> = found.iter().map(|(place, _)| json!({"TopicArn": place.arn()})).collect();
    let mut answer = json!({"Topics": topics});
    if let Some((last, _)) = found.last().filter(|_| is_more) {
        answer["NextToken"] = json!(last.name);
    }
    Answer::json(answer)
}

/// The policy that AWS shows of a topic whose owner has set none.
pub fn default_policy(place: &Place) -> Value {
    json!({
        "Version": "2008-10-17",
        "Id": "__default_policy_ID",
        "Statement": [{
            "Sid": "__default_statement_ID",
            "Effect": "Allow",
            "Principal": {"AWS": "*"},
            "Action": [
                "SNS:GetTopicAttributes",
                "SNS:SetTopicAttributes",
                "SNS:AddPermission",
                "SNS:RemovePermission",
                "SNS:DeleteTopic",
                "SNS:Subscribe",
                "SNS:ListSubscriptionsByTopic",
                "SNS:Publish",
            ],
            "Resource": place.arn(),
            "Condition": {"StringEquals": {"AWS:SourceOwner": place.account}},
        }],
    })
}

pub async fn attributes(sns: &Sns, call: &Call) -> Result<Answer, ApiError> {
    let place = input::topic(call, "TopicArn")?;
    let topic = sns.storage.topic(&place).await?;
    let (mut confirmed, mut pending) = (0, 0);
    let mut after = String::new();
    loop {
        let page = sns.storage.subscriptions(&place, &after, limits::TOPIC_FANOUT_MAX).await?;
        let waiting = page.iter().filter(|(subscription, _)| subscription.token.is_some()).count();
        pending += waiting;
        confirmed += page.len() - waiting;
        match page.last().filter(|_| page.len() == limits::TOPIC_FANOUT_MAX) {
            Some((last, _)) => after.clone_from(&last.id),
            None => break,
        }
    }
    let in_force = retry::in_force(None, topic.attributes.get("DeliveryPolicy").map(String::as_str));
    let effective = json!({"http": {"defaultHealthyRetryPolicy": in_force, "disableSubscriptionOverrides": false}});
    let mut shown = BTreeMap::from([
        ("TopicArn".to_owned(), place.arn()),
        ("Owner".to_owned(), place.account.clone()),
        ("DisplayName".to_owned(), String::new()),
        ("Policy".to_owned(), default_policy(&place).to_string()),
        ("SubscriptionsConfirmed".to_owned(), confirmed.to_string()),
        ("SubscriptionsPending".to_owned(), pending.to_string()),
        ("SubscriptionsDeleted".to_owned(), "0".to_owned()),
        ("EffectiveDeliveryPolicy".to_owned(), effective.to_string()),
    ]);
    if place.is_fifo() {
        shown.insert("ContentBasedDeduplication".to_owned(), "false".to_owned());
    }
    shown.extend(topic.attributes);
    Answer::json(json!({"Attributes": input::entries(shown)}))
}
