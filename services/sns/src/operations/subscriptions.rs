//! Subscriptions: made, confirmed, listed, shown, changed, ended.

use std::collections::BTreeMap;

use cumulet_base::arn::Arn;
use cumulet_base::id;
use cumulet_base::limits::{self, TOPIC_CONFIRMATION_MS};
use cumulet_wire::call::{Answer, Call};
use cumulet_wire::error::ApiError;
use serde_json::{Value, json};

use crate::model::{FORMAT, Place, Protocol, Subscription};
use crate::storage::Storage;
use crate::{Sns, deliver, errors, filter, input, retry};

const PAGE: usize = 100;
const ATTEMPTS_MAX: usize = 16;
const PENDING: &str = "pending confirmation";

pub async fn subscribe(sns: &Sns, call: &Call) -> Result<Answer, ApiError> {
    let place = input::topic(call, "TopicArn")?;
    let protocol = protocol(input::required(&call.input, "Protocol")?)?;
    let endpoint = input::required(&call.input, "Endpoint")?;
    check_endpoint(&place, protocol, endpoint)?;
    let given = input::pairs(&call.input, "Attributes")?;
    for (name, value) in &given {
        check(&place, protocol, &given, name, value)?;
    }
    sns.storage.topic(&place).await?;
    let is_asked_for_arn = input::flag(&call.input, "ReturnSubscriptionArn");
    let shown = |subscription: &Subscription| match &subscription.token {
        Some(_) if !is_asked_for_arn => json!({"SubscriptionArn": PENDING}),
        _ => json!({"SubscriptionArn": subscription.arn(&place)}),
    };
    let all = all_of(&sns.storage, &place, sns.clock.now_ms()).await?;
    if let Some(there) = all.iter().find(|there| there.protocol == protocol && there.endpoint == endpoint) {
        if !given.is_empty() && given != there.attributes {
            return Err(errors::invalid("Attributes Reason: Subscription already exists with different attributes"));
        }
        return Answer::json(shown(there));
    }
    if given.contains_key("FilterPolicy") {
        room_for_filter(&all)?;
    }
    let now_ms = sns.clock.now_ms();
    let subscription = Subscription {
        v: FORMAT,
        id: id::uuid(),
        created_ms: now_ms,
        protocol,
        endpoint: endpoint.to_owned(),
        attributes: given.into_iter().filter(|(_, value)| !value.is_empty()).collect(),
        // What lies in the same cloud is not asked.
        token: (protocol.is_web() || protocol.is_mail()).then(|| id::hex(64)),
        is_authenticated: false,
        host: call.context.host.clone(),
    };
    let mut wake = None;
    let put = sns.storage.put_subscription(&place, &subscription, None, |txn| {
        if subscription.token.is_none() || protocol.is_mail() {
            return Ok(txn);
        }
        let (txn, woken) = sns.delivery.add(txn, &deliver::confirmation(&place, &subscription, now_ms)?)?;
        wake = Some(woken);
        Ok(txn)
    });
    if !put.await? {
        return Err(errors::no_topic());
    }
    if let Some(wake) = wake {
        wake.now();
    }
    Answer::json(shown(&subscription))
}

fn protocol(name: &str) -> Result<Protocol, ApiError> {
    match name {
        "lambda" => Ok(Protocol::Lambda),
        "sqs" => Ok(Protocol::Sqs),
        "http" => Ok(Protocol::Http),
        "https" => Ok(Protocol::Https),
        "email" => Ok(Protocol::Email),
        "email-json" => Ok(Protocol::EmailJson),
        "sms" | "application" | "firehose" => Err(errors::not_built(format!("subscriptions of the protocol {name}"))),
        other => Err(errors::invalid(format!("Amazon SNS does not support this protocol string: {other}"))),
    }
}

fn check_endpoint(topic: &Place, protocol: Protocol, endpoint: &str) -> Result<(), ApiError> {
    let bad = |why: &str| Err(errors::invalid(format!("Endpoint Reason: {why}")));
    match protocol {
        Protocol::Http | Protocol::Https => {
            let scheme = format!("{}://", protocol.name());
            let fits = endpoint.starts_with(&scheme) && endpoint.parse::<http::Uri>().is_ok();
            if !fits {
                return bad("Endpoint must match the specified protocol");
            }
            if topic.is_fifo() {
                return bad("Endpoints of this protocol cannot be subscribed to FIFO topics");
            }
        }
        Protocol::Email | Protocol::EmailJson => {
            if !endpoint.split_once('@').is_some_and(|(name, host)| !name.is_empty() && !host.is_empty()) {
                return Err(errors::invalid("Email address"));
            }
            if topic.is_fifo() {
                return bad("Endpoints of this protocol cannot be subscribed to FIFO topics");
            }
        }
        Protocol::Lambda | Protocol::Sqs => {
            let service = protocol.name();
            let arn: Option<Arn> = endpoint.parse().ok().filter(|arn: &Arn| arn.service == service);
            let Some(arn) = arn else {
                return bad(if protocol == Protocol::Sqs { "SQS endpoint ARN" } else { "Lambda endpoint ARN" });
            };
            if protocol == Protocol::Sqs && arn.resource.ends_with(".fifo") && !topic.is_fifo() {
                return bad("FIFO SQS Queues can not be subscribed to standard SNS topics");
            }
        }
    }
    Ok(())
}

/// What may be set, and to what.
fn check(
    topic: &Place,
    protocol: Protocol,
    all: &BTreeMap<String, String>,
    name: &str,
    value: &str,
) -> Result<(), ApiError> {
    let bad = |why: &str| Err(errors::invalid(format!("Attributes Reason: {name}: {why}")));
    match name {
        "RawMessageDelivery" if !["true", "false"].contains(&value) => bad("must be true or false"),
        "RawMessageDelivery" if protocol == Protocol::Lambda && value == "true" => {
            bad("Delivery protocol [lambda] does not support raw message delivery.")
        }
        "RawMessageDelivery" => Ok(()),
        "FilterPolicyScope" if !["MessageAttributes", "MessageBody"].contains(&value) => {
            bad("must be MessageAttributes or MessageBody")
        }
        "FilterPolicyScope" => Ok(()),
        "FilterPolicy" if value.is_empty() => Ok(()),
        "FilterPolicy" => {
            filter::check(value, all.get("FilterPolicyScope").is_some_and(|scope| scope == "MessageBody"))
        }
        "DeliveryPolicy" if value.is_empty() => Ok(()),
        "DeliveryPolicy" => retry::check(value, false),
        "RedrivePolicy" if value.is_empty() => Ok(()),
        "RedrivePolicy" => {
            let policy: Value = serde_json::from_str(value).unwrap_or_default();
            let arn: Option<Arn> = policy["deadLetterTargetArn"].as_str().and_then(|arn| arn.parse().ok());
            match arn.filter(|arn: &Arn| arn.service == "sqs") {
                Some(arn) if arn.resource.ends_with(".fifo") && !topic.is_fifo() => {
                    bad("a FIFO queue is the dead letter queue of FIFO topics only")
                }
                Some(_) => Ok(()),
                None => bad("deadLetterTargetArn is an invalid arn"),
            }
        }
        "SubscriptionRoleArn" => Err(errors::not_built("subscriptions of the protocol firehose")),
        "ReplayPolicy" => Err(errors::not_built("replays")),
        _ => Err(errors::invalid("AttributeName")),
    }
}

/// All of a topic, but those that nobody has confirmed in time, which go.
async fn all_of(storage: &Storage, topic: &Place, now_ms: u64) -> Result<Vec<Subscription>, ApiError> {
    let mut all: Vec<Subscription> = Vec::new();
    let mut after = String::new();
    loop {
        let page = storage.subscriptions(topic, &after, limits::TOPIC_FANOUT_MAX).await?;
        let is_last = page.len() < limits::TOPIC_FANOUT_MAX;
        for (subscription, _) in page {
            after.clone_from(&subscription.id);
            if subscription.token.is_some() && subscription.created_ms + TOPIC_CONFIRMATION_MS < now_ms {
                storage.delete_subscription(topic, &subscription.id).await?;
            } else {
                all.push(subscription);
            }
        }
        if is_last {
            return Ok(all);
        }
    }
}

pub async fn confirm(sns: &Sns, call: &Call) -> Result<Answer, ApiError> {
    let place = input::topic(call, "TopicArn")?;
    let token = input::required(&call.input, "Token")?;
    sns.storage.topic(&place).await?;
    let is_authenticated = input::flag(&call.input, "AuthenticateOnUnsubscribe");
    let arn = confirm_token(&sns.storage, &place, token, is_authenticated).await?;
    Answer::json(json!({"SubscriptionArn": arn}))
}

/// The subscription that the token was sent for; from now on it is delivered to.
pub async fn confirm_token(
    storage: &Storage,
    topic: &Place,
    token: &str,
    is_authenticated: bool,
) -> Result<String, ApiError> {
    let mut after = String::new();
    loop {
        let page = storage.subscriptions(topic, &after, limits::TOPIC_FANOUT_MAX).await?;
        let Some((last, _)) = page.last() else { return Err(errors::invalid("Token")) };
        after.clone_from(&last.id);
        let meant = page.into_iter().find(|(subscription, _)| subscription.token.as_deref() == Some(token));
        if let Some((mut subscription, rev)) = meant {
            subscription.token = None;
            subscription.is_authenticated = is_authenticated;
            // Not done: it was confirmed, changed or ended meanwhile.
            if storage.put_subscription(topic, &subscription, Some(rev), Ok).await? {
                return Ok(subscription.arn(topic));
            }
            return Err(errors::invalid("Token"));
        }
    }
}

pub async fn unsubscribe(sns: &Sns, call: &Call) -> Result<Answer, ApiError> {
    let (place, id) = input::subscription(call)?;
    // One that is not there is ended, too.
    sns.storage.delete_subscription(&place, &id).await?;
    Ok(Answer::empty())
}

fn shape(topic: &Place, subscription: &Subscription) -> Value {
    let arn = match &subscription.token {
        Some(_) => "PendingConfirmation".to_owned(),
        None => subscription.arn(topic),
    };
    json!({
        "SubscriptionArn": arn,
        "Owner": topic.account,
        "Protocol": subscription.protocol,
        "Endpoint": subscription.endpoint,
        "TopicArn": topic.arn(),
    })
}

pub async fn list_by_topic(sns: &Sns, call: &Call) -> Result<Answer, ApiError> {
    let place = input::topic(call, "TopicArn")?;
    sns.storage.topic(&place).await?;
    let after = input::text(&call.input, "NextToken").unwrap_or_default();
    let mut page = sns.storage.subscriptions(&place, after, PAGE + 1).await?;
    let is_more = page.len() > PAGE;
    page.truncate(PAGE);
    let list: Vec<Value> = page.iter().map(|(subscription, _)| shape(&place, subscription)).collect();
    let mut answer = json!({"Subscriptions": list});
    if let Some((last, _)) = page.last().filter(|_| is_more) {
        answer["NextToken"] = json!(last.id);
    }
    Answer::json(answer)
}

/// Of all topics, one after the other; the token is the last one's topic and id.
pub async fn list(sns: &Sns, call: &Call) -> Result<Answer, ApiError> {
    let token = input::text(&call.input, "NextToken").and_then(|token| token.split_once(':')).unwrap_or_default();
    let (mut name, mut after) = (token.0.to_owned(), token.1.to_owned());
    let mut list: Vec<Value> = Vec::new();
    let mut next = None;
    'topics: loop {
        let place = input::here(call, &name);
        if !name.is_empty() {
            for (subscription, _) in sns.storage.subscriptions(&place, &after, PAGE + 1).await? {
                if list.len() == PAGE {
                    next = Some(format!("{name}:{after}"));
                    break 'topics;
                }
                after.clone_from(&subscription.id);
                list.push(shape(&place, &subscription));
            }
        }
        match sns.storage.topics(&place, &name, 1).await?.pop() {
            Some((following, _)) => (name, after) = (following.name, String::new()),
            None => break,
        }
    }
    let mut answer = json!({"Subscriptions": list});
    if let Some(next) = next {
        answer["NextToken"] = json!(next);
    }
    Answer::json(answer)
}

pub async fn attributes(sns: &Sns, call: &Call) -> Result<Answer, ApiError> {
    let (place, id) = input::subscription(call)?;
    let (subscription, _) = sns.storage.subscription(&place, &id).await?.ok_or_else(errors::no_subscription)?;
    let topic = sns.storage.topic(&place).await?;
    let is = |truth: bool| truth.to_string();
    let mut shown = BTreeMap::from([
        ("SubscriptionArn".to_owned(), subscription.arn(&place)),
        ("TopicArn".to_owned(), place.arn()),
        ("Owner".to_owned(), place.account.clone()),
        ("Protocol".to_owned(), subscription.protocol.name().to_owned()),
        ("Endpoint".to_owned(), subscription.endpoint.clone()),
        ("PendingConfirmation".to_owned(), is(subscription.token.is_some())),
        (
            "ConfirmationWasAuthenticated".to_owned(),
            is(subscription.is_authenticated || !subscription.protocol.is_web()),
        ),
        ("RawMessageDelivery".to_owned(), is(false)),
        ("SubscriptionPrincipal".to_owned(), format!("arn:aws:iam::{}:root", place.account)),
    ]);
    if subscription.attributes.contains_key("FilterPolicy") {
        shown.insert("FilterPolicyScope".to_owned(), "MessageAttributes".to_owned());
    }
    if subscription.protocol.is_web() {
        let own = subscription.attributes.get("DeliveryPolicy").map(String::as_str);
        let in_force = retry::in_force(own, topic.attributes.get("DeliveryPolicy").map(String::as_str));
        shown.insert("EffectiveDeliveryPolicy".to_owned(), json!({"healthyRetryPolicy": in_force}).to_string());
    }
    shown.extend(subscription.attributes);
    Answer::json(json!({"Attributes": input::entries(shown)}))
}

fn room_for_filter(all: &[Subscription]) -> Result<(), ApiError> {
    let filters = all.iter().filter(|there| there.attributes.contains_key("FilterPolicy")).count();
    if filters >= limits::TOPIC_FILTERS_MAX { Err(errors::too_many_filters()) } else { Ok(()) }
}

pub async fn set_attributes(sns: &Sns, call: &Call) -> Result<Answer, ApiError> {
    let (place, id) = input::subscription(call)?;
    let name = input::required(&call.input, "AttributeName")?;
    let value = input::text(&call.input, "AttributeValue").unwrap_or_default();
    for _ in 0..ATTEMPTS_MAX {
        let found = sns.storage.subscription(&place, &id).await?;
        let (mut subscription, rev) = found.ok_or_else(errors::no_subscription)?;
        check(&place, subscription.protocol, &subscription.attributes, name, value)?;
        if name == "FilterPolicy" && !value.is_empty() && !subscription.attributes.contains_key(name) {
            room_for_filter(&all_of(&sns.storage, &place, sns.clock.now_ms()).await?)?;
        }
        subscription.attributes.insert(name.to_owned(), value.to_owned());
        subscription.attributes.retain(|_, value| !value.is_empty());
        // A scope that changes has to suit the policy that is there.
        if let Some(policy) = subscription.attributes.get("FilterPolicy").filter(|_| name == "FilterPolicyScope") {
            filter::check(policy, value == "MessageBody")?;
        }
        if sns.storage.put_subscription(&place, &subscription, Some(rev), Ok).await? {
            return Ok(Answer::empty());
        }
    }
    Err(ApiError::internal("the subscription is being changed by too many at once"))
}
