//! Stored records: topics, subscriptions, and messages on their way.

use std::collections::BTreeMap;

use cumulet_base::arn::Arn;
use serde::{Deserialize, Serialize};

/// Version of every stored JSON of this service.
pub const FORMAT: u8 = 1;

/// Which topic; written as its ARN.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    pub account: String,
    pub region: String,
    pub name: String,
}

impl Place {
    pub fn arn(&self) -> String {
        Arn::new("sns", &self.region, &self.account, &self.name).to_string()
    }

    pub fn from_arn(arn: &str) -> Option<Place> {
        let arn: Arn = arn.parse().ok().filter(|arn: &Arn| arn.service == "sns")?;
        let fits = !arn.resource.contains(':') && !arn.region.is_empty() && !arn.account.is_empty();
        fits.then_some(Place { account: arn.account, region: arn.region, name: arn.resource })
    }

    /// Topic and id of a subscription, by its ARN.
    pub fn of_subscription(arn: &str) -> Option<(Place, String)> {
        let (topic, id) = arn.rsplit_once(':')?;
        Some((Place::from_arn(topic)?, id.to_owned()))
    }

    pub fn is_fifo(&self) -> bool {
        self.name.ends_with(".fifo")
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Topic {
    pub v: u8,
    pub created_ms: u64,
    /// Only what was set.
    pub attributes: BTreeMap<String, String>,
    pub tags: BTreeMap<String, String>,
}

impl Topic {
    pub fn is(&self, name: &str, value: &str) -> bool {
        self.attributes.get(name).is_some_and(|set| set == value)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    Lambda,
    Sqs,
    Http,
    Https,
    /// Nobody is written to: such subscriptions wait for their confirmation until they are given up.
    Email,
    #[serde(rename = "email-json")]
    EmailJson,
}

impl Protocol {
    pub fn name(self) -> &'static str {
        match self {
            Protocol::Lambda => "lambda",
            Protocol::Sqs => "sqs",
            Protocol::Http => "http",
            Protocol::Https => "https",
            Protocol::Email => "email",
            Protocol::EmailJson => "email-json",
        }
    }

    pub fn is_mail(self) -> bool {
        matches!(self, Protocol::Email | Protocol::EmailJson)
    }

    pub fn is_web(self) -> bool {
        matches!(self, Protocol::Http | Protocol::Https)
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Subscription {
    pub v: u8,
    pub id: String,
    pub created_ms: u64,
    pub protocol: Protocol,
    pub endpoint: String,
    /// Only what was set.
    pub attributes: BTreeMap<String, String>,
    /// What has to be told back before anything else is delivered; none once it was.
    pub token: Option<String>,
    /// Whether only its owner may end it.
    pub is_authenticated: bool,
    /// The host its links are built from: that of whoever subscribed.
    pub host: String,
}

impl Subscription {
    pub fn arn(&self, topic: &Place) -> String {
        format!("{}:{}", topic.arn(), self.id)
    }

    pub fn is_raw(&self) -> bool {
        self.attributes.get("RawMessageDelivery").is_some_and(|set| set == "true")
    }

    /// The queue of messages that could not be delivered.
    pub fn dead_letter_arn(&self) -> Option<String> {
        let policy: serde_json::Value = serde_json::from_str(self.attributes.get("RedrivePolicy")?).ok()?;
        policy["deadLetterTargetArn"].as_str().map(str::to_owned)
    }
}

/// An attribute of a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Attribute {
    pub data_type: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub string_value: Option<String>,
    /// Base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub binary_value: Option<String>,
}

impl Attribute {
    pub fn text(&self) -> &str {
        self.string_value.as_deref().or(self.binary_value.as_deref()).unwrap_or_default()
    }
}

/// A message as published.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    pub id: String,
    pub sent_ms: u64,
    pub subject: Option<String>,
    pub text: String,
    /// Texts for some protocols instead of the common one.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub by_protocol: BTreeMap<String, String>,
    pub attributes: BTreeMap<String, Attribute>,
    pub group: Option<String>,
    pub deduplication: Option<String>,
    /// Of FIFO topics.
    pub sequence: Option<u64>,
    /// 1 or 2.
    pub signature_version: u8,
    /// `X-Amzn-Trace-Id` of the publish.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<String>,
}

impl Message {
    pub fn text_for(&self, protocol: Protocol) -> &str {
        self.by_protocol.get(protocol.name()).unwrap_or(&self.text)
    }
}

/// A task of delivery.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Errand {
    /// A message to one subscription.
    Notify { topic_arn: String, subscription: String, message: Message },
    /// A message to the topic's further subscriptions, in the order of their ids.
    FanOut { topic_arn: String, after: String, message: Message },
    /// That somebody has subscribed an endpoint, which is to say so itself.
    Confirm { topic_arn: String, subscription: String },
}
