//! Messages on their way: which subscriptions want one, and each attempt to hand it over, through the operations that any
//! client would use or as a web request.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use cumulet_base::clock::Clock;
use cumulet_base::{id, limits};
use cumulet_delivery::target::{self, Parcel};
use cumulet_delivery::{Handler, Lane, NewTask, Next, Task};
use cumulet_wire::auth::Caller;
use cumulet_wire::client::Client;
use cumulet_wire::error::ApiError;
use cumulet_wire::outbound;
use http::{Method, Request, StatusCode};
use serde_json::{Value, json};

use crate::envelope::{self, Confirmation, Signature};
use crate::model::{Errand, Message, Place, Protocol, Subscription, Topic};
use crate::retry::{self, Policy};
use crate::signing::Signer;
use crate::storage::Storage;
use crate::{filter, plane};

pub const OWNER: &str = "sns";
/// After a failure of the store.
const PAUSE_MS: u64 = 1000;

pub struct Courier {
    pub storage: Arc<Storage>,
    pub signer: Arc<Signer>,
    pub clock: Arc<dyn Clock>,
    pub client: Client,
}

/// Why an attempt failed, and whether another one may end otherwise.
struct Failure {
    is_worth_another: bool,
    code: String,
    message: String,
}

impl From<ApiError> for Failure {
    fn from(error: ApiError) -> Failure {
        Failure { is_worth_another: target::is_worth_another(&error), code: error.code, message: error.message }
    }
}

fn task(lane: String, due_ms: u64, errand: &Errand) -> Result<NewTask, ApiError> {
    let body = serde_json::to_vec(errand).map_err(|e| ApiError::internal(format!("writing an errand: {e}")))?;
    Ok(NewTask { owner: OWNER, lane, due_ms, body: body.into() })
}

/// The question to a new web endpoint.
pub fn confirmation(topic: &Place, subscription: &Subscription, now_ms: u64) -> Result<NewTask, ApiError> {
    let errand = Errand::Confirm { topic_arn: topic.arn(), subscription: subscription.id.clone() };
    task(subscription.arn(topic), now_ms, &errand)
}

/// Tasks for the subscriptions after `after` that want the message. A topic with very many gets the rest of them by another
/// task, so that no commit is without bound.
pub async fn tasks(
    storage: &Storage,
    topic: &Place,
    message: &Message,
    after: &str,
    now_ms: u64,
) -> Result<Vec<NewTask>, ApiError> {
    let found = storage.subscriptions(topic, after, limits::TOPIC_FANOUT_MAX).await?;
    let mut tasks = Vec::new();
    let mut bytes = 0;
    let mut last = None;
    let is_all = found.len() < limits::TOPIC_FANOUT_MAX;
    for (subscription, _) in found {
        if bytes > limits::TOPIC_FANOUT_BYTES_MAX {
            break;
        }
        last = Some(subscription.id.clone());
        if subscription.token.is_some() || !filter::wants(&subscription, message) {
            continue;
        }
        let errand =
            Errand::Notify { topic_arn: topic.arn(), subscription: subscription.id.clone(), message: message.clone() };
        let task = task(subscription.arn(topic), now_ms, &errand)?;
        bytes += task.body.len();
        tasks.push(task);
    }
    if let Some(after) = last.filter(|_| !is_all || bytes > limits::TOPIC_FANOUT_BYTES_MAX) {
        let rest = Errand::FanOut { topic_arn: topic.arn(), after, message: message.clone() };
        tasks.push(task(format!("{}:", topic.arn()), now_ms, &rest)?);
    }
    Ok(tasks)
}

#[async_trait]
impl Handler for Courier {
    /// A FIFO topic's messages reach each subscription one after the other.
    fn lane(&self, lane: &str) -> Lane {
        let is_ordered = Place::of_subscription(lane).is_some_and(|(topic, _)| topic.is_fifo());
        Lane { is_ordered, ..Lane::default() }
    }

    async fn handle(&self, task: Task) -> Next {
        let errand: Errand = match serde_json::from_slice(&task.body) {
            Ok(errand) => errand,
            Err(error) => {
                tracing::error!(%error, "an errand of topics cannot be read");
                return Next::Done;
            }
        };
        let next = match errand {
            Errand::Notify { topic_arn, subscription, message } => {
                self.notify(&topic_arn, &subscription, &message, &task).await
            }
            Errand::FanOut { topic_arn, after, message } => self.fan_out(&topic_arn, &after, &message).await,
            Errand::Confirm { topic_arn, subscription } => self.confirm(&topic_arn, &subscription, &task).await,
        };
        next.unwrap_or_else(|error| {
            tracing::warn!(%error, "an errand of topics is tried again");
            Next::Retry { due_ms: self.clock.now_ms() + PAUSE_MS, body: None }
        })
    }
}

impl Courier {
    async fn fan_out(&self, topic_arn: &str, after: &str, message: &Message) -> Result<Next, ApiError> {
        let Some(topic) = Place::from_arn(topic_arn) else { return Ok(Next::Done) };
        if self.storage.find(&topic).await?.is_none() {
            return Ok(Next::Done);
        }
        Ok(Next::Replace(tasks(&self.storage, &topic, message, after, self.clock.now_ms()).await?))
    }

    async fn notify(&self, topic_arn: &str, id: &str, message: &Message, task: &Task) -> Result<Next, ApiError> {
        let Some(place) = Place::from_arn(topic_arn) else { return Ok(Next::Done) };
        let Some((topic, _)) = self.storage.find(&place).await? else { return Ok(Next::Done) };
        let found = self.storage.subscription(&place, id).await?;
        let Some((subscription, _)) = found.filter(|(subscription, _)| subscription.token.is_none()) else {
            return Ok(Next::Done);
        };
        let failure = match self.hand_over(&place, &subscription, message).await {
            Ok(()) => return Ok(Next::Done),
            Err(failure) => failure,
        };
        let arn = subscription.arn(&place);
        tracing::debug!(subscription = arn, code = failure.code, reason = failure.message, "a delivery failed");
        let policy = policy_of(&topic, &subscription);
        if let Some(pause_ms) = policy.pause_ms(task.attempts + 1).filter(|_| failure.is_worth_another) {
            return Ok(Next::Retry { due_ms: self.clock.now_ms() + pause_ms, body: None });
        }
        self.bury(&place, &subscription, message, &failure).await
    }

    /// To the dead letter queue, where the subscription has one; otherwise it is dropped, as its owner chose.
    async fn bury(
        &self,
        topic: &Place,
        subscription: &Subscription,
        message: &Message,
        failure: &Failure,
    ) -> Result<Next, ApiError> {
        let arn = subscription.arn(topic);
        let Some(queue_arn) = subscription.dead_letter_arn() else {
            tracing::warn!(subscription = arn, code = failure.code, "a message was given up");
            return Ok(Next::Done);
        };
        let body = match subscription.is_raw() {
            true => message.text_for(subscription.protocol).to_owned(),
            false => {
                let signature = self.signature(topic, subscription, message).await?;
                envelope::notification(topic, subscription, message, signature.as_ref())
            }
        };
        let text = |value: &str| json!({"DataType": "String", "StringValue": value});
        let parcel = Parcel {
            group: message.group.clone(),
            deduplication: message.deduplication.clone().filter(|_| queue_arn.ends_with(".fifo")),
            attributes: Some(json!({
                "RequestID": text(&message.id),
                "ErrorCode": text(&failure.code),
                "ErrorMessage": text(if failure.message.is_empty() { "-" } else { &failure.message }),
            })),
            ..Parcel::new(body)
        };
        match target::deliver(&self.client, &caller(topic), &queue_arn, &parcel).await {
            Ok(_) => Ok(Next::Done),
            Err(error) if target::is_worth_another(&error) => Err(error),
            Err(error) => {
                tracing::warn!(subscription = arn, %error, "the dead letter queue does not take a message, which is lost");
                Ok(Next::Done)
            }
        }
    }

    async fn hand_over(&self, topic: &Place, subscription: &Subscription, message: &Message) -> Result<(), Failure> {
        let text = message.text_for(subscription.protocol);
        if subscription.protocol.is_web() {
            return self.post(topic, subscription, message).await;
        }
        let mut parcel = Parcel { trace: message.trace.clone(), ..Parcel::new(text.to_owned()) };
        if subscription.protocol == Protocol::Sqs {
            parcel.group = message.group.clone();
            parcel.deduplication = message.deduplication.clone().filter(|_| subscription.endpoint.ends_with(".fifo"));
            if subscription.is_raw() {
                parcel.attributes = (!message.attributes.is_empty()).then(|| json!(message.attributes));
            } else {
                let signature = self.signature(topic, subscription, message).await?;
                parcel.payload = envelope::notification(topic, subscription, message, signature.as_ref()).into();
            }
        } else {
            let signature = self.signature(topic, subscription, message).await?;
            let records = envelope::records(topic, subscription, message, signature.as_ref());
            parcel.payload = records.to_string().into();
        }
        target::deliver(&self.client, &caller(topic), &subscription.endpoint, &parcel).await?;
        Ok(())
    }

    /// FIFO topics do not sign.
    async fn signature(
        &self,
        topic: &Place,
        subscription: &Subscription,
        message: &Message,
    ) -> Result<Option<Signature>, ApiError> {
        if topic.is_fifo() {
            return Ok(None);
        }
        let text = envelope::to_sign(topic, message, subscription.protocol);
        self.signed(&subscription.host, message.signature_version, &text).await.map(Some)
    }

    async fn signed(&self, host: &str, version: u8, text: &str) -> Result<Signature, ApiError> {
        let value = self.signer.sign(&self.storage, version, text).await?;
        let name = self.signer.name(&self.storage).await?;
        Ok(Signature { value, certificate_url: format!("http://{host}{}/{name}", plane::PATH) })
    }

    async fn post(&self, topic: &Place, subscription: &Subscription, message: &Message) -> Result<(), Failure> {
        let body = if subscription.is_raw() {
            message.text_for(subscription.protocol).to_owned()
        } else {
            let signature = self.signature(topic, subscription, message).await?;
            envelope::notification(topic, subscription, message, signature.as_ref())
        };
        let arn = subscription.arn(topic);
        let mut headers = vec![
            ("x-amz-sns-message-type", "Notification"),
            ("x-amz-sns-message-id", &message.id),
            ("x-amz-sns-subscription-arn", &arn),
        ];
        if subscription.is_raw() {
            headers.push(("x-amz-sns-rawdelivery", "true"));
        }
        request(topic, subscription, &headers, body).await
    }

    async fn confirm(&self, topic_arn: &str, id: &str, task: &Task) -> Result<Next, ApiError> {
        let Some(place) = Place::from_arn(topic_arn) else { return Ok(Next::Done) };
        let Some((topic, _)) = self.storage.find(&place).await? else { return Ok(Next::Done) };
        let Some((subscription, _)) = self.storage.subscription(&place, id).await? else { return Ok(Next::Done) };
        let Some(token) = subscription.token.clone() else { return Ok(Next::Done) };
        let url = format!(
            "http://{}{}?Action=ConfirmSubscription&TopicArn={topic_arn}&Token={token}",
            subscription.host,
            plane::PATH
        );
        let question = Confirmation { id: id::uuid(), sent_ms: self.clock.now_ms(), token, url };
        let version = signature_version(&topic);
        let signature = self.signed(&subscription.host, version, &question.to_sign(&place)).await?;
        let body = question.body(&place, version, &signature);
        let headers =
            [("x-amz-sns-message-type", "SubscriptionConfirmation"), ("x-amz-sns-message-id", question.id.as_str())];
        let Err(failure) = request(&place, &subscription, &headers, body).await else { return Ok(Next::Done) };
        tracing::debug!(endpoint = subscription.endpoint, reason = failure.message, "a confirmation failed");
        let policy = policy_of(&topic, &subscription);
        Ok(match policy.pause_ms(task.attempts + 1).filter(|_| failure.is_worth_another) {
            Some(pause_ms) => Next::Retry { due_ms: self.clock.now_ms() + pause_ms, body: None },
            None => Next::Done,
        })
    }
}

pub fn signature_version(topic: &Topic) -> u8 {
    if topic.is("SignatureVersion", "2") { 2 } else { 1 }
}

fn caller(topic: &Place) -> Caller {
    Caller::service(&topic.account, "sns.amazonaws.com", &topic.arn())
}

fn policy_of(topic: &Topic, subscription: &Subscription) -> Policy {
    if !subscription.protocol.is_web() {
        return retry::INSIDE;
    }
    let own = subscription.attributes.get("DeliveryPolicy").map(String::as_str);
    retry::in_force(own, topic.attributes.get("DeliveryPolicy").map(String::as_str))
}

async fn request(
    topic: &Place,
    subscription: &Subscription,
    headers: &[(&str, &str)],
    body: String,
) -> Result<(), Failure> {
    let failed = |is_worth_another: bool, code: &str, message: String| Failure {
        is_worth_another,
        code: code.to_owned(),
        message,
    };
    let policy = subscription.attributes.get("DeliveryPolicy").and_then(|text| serde_json::from_str(text).ok());
    let policy: Value = policy.unwrap_or_default();
    let kind = policy["requestPolicy"]["headerContentType"].as_str().unwrap_or("text/plain; charset=UTF-8");
    let mut request = Request::builder()
        .method(Method::POST)
        .uri(&subscription.endpoint)
        .header("content-type", kind)
        .header("user-agent", "Amazon Simple Notification Service Agent")
        .header("x-amz-sns-topic-arn", topic.arn());
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Bytes::from(body));
    let request = request.map_err(|e| failed(false, "InvalidEndpoint", e.to_string()))?;
    let timeout = Duration::from_millis(limits::TOPIC_POST_TIMEOUT_MS);
    let answer = outbound::send(request, timeout).await.map_err(|e| failed(true, "NoAnswer", e.to_string()))?;
    match answer.status() {
        status if status.is_success() => Ok(()),
        status => {
            let is_worth_another = status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS;
            Err(failed(is_worth_another, status.as_str(), format!("the endpoint answered {status}")))
        }
    }
}
