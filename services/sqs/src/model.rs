//! Stored records: queues, messages, receipts.

use std::collections::BTreeMap;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Serialize};

/// Version of every stored JSON of this service.
pub const FORMAT: u8 = 1;

/// Whose queue of which name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    pub account: String,
    pub region: String,
    pub name: String,
}

impl Place {
    pub fn arn(&self) -> String {
        cumulet_base::arn::Arn::new("sqs", &self.region, &self.account, &self.name).to_string()
    }

    pub fn from_arn(arn: &str) -> Option<Place> {
        let parts: Vec<&str> = arn.splitn(6, ':').collect();
        match parts.as_slice() {
            ["arn", _, "sqs", region, account, name] if !name.is_empty() => {
                Some(Place { account: (*account).to_owned(), region: (*region).to_owned(), name: (*name).to_owned() })
            }
            _ => None,
        }
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Queue {
    pub v: u8,
    /// Tells this queue from an earlier one of the name; its messages lie under it.
    pub id: String,
    pub created_ms: u64,
    pub modified_ms: u64,
    pub purged_ms: u64,
    /// Only what was set; the rest has AWS's defaults.
    pub attributes: BTreeMap<String, String>,
    pub tags: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RedrivePolicy {
    dead_letter_target_arn: String,
    max_receive_count: serde_json::Value,
}

impl Queue {
    pub fn number(&self, name: &str) -> u64 {
        let set = self.attributes.get(name).map(String::as_str);
        set.or_else(|| crate::attributes::default(name)).and_then(|v| v.parse().ok()).unwrap_or(0)
    }

    pub fn is(&self, name: &str, value: &str) -> bool {
        self.attributes.get(name).is_some_and(|v| v == value)
    }

    pub fn is_fifo(&self) -> bool {
        self.is("FifoQueue", "true")
    }

    /// Where messages go that were received too often, and how often that is.
    pub fn redrive(&self) -> Option<(Place, u64)> {
        let policy: RedrivePolicy = serde_json::from_str(self.attributes.get("RedrivePolicy")?).ok()?;
        let count = crate::input::as_u64(&policy.max_receive_count)?;
        Some((Place::from_arn(&policy.dead_letter_target_arn)?, count))
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Attribute {
    pub data_type: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub string_value: Option<String>,
    /// Base64.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub binary_value: Option<String>,
}

impl Attribute {
    pub fn bytes(&self) -> Option<Vec<u8>> {
        self.binary_value.as_ref().and_then(|text| BASE64_STANDARD.decode(text).ok())
    }
}

/// What was sent; never changes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Content {
    pub v: u8,
    pub id: String,
    pub body: String,
    pub attributes: BTreeMap<String, Attribute>,
    pub sender: String,
    pub trace: Option<String>,
    pub group: Option<String>,
    pub deduplication: Option<String>,
    /// The queue it died in.
    pub source_arn: Option<String>,
}

/// Where a message stands.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct State {
    pub v: u8,
    pub sent_ms: u64,
    /// From when on it may be received.
    pub visible_ms: u64,
    /// How often it was, which also tells the newest receipt from older ones.
    pub receives: u64,
    pub first_received_ms: u64,
    pub group: Option<String>,
}

/// What a receipt handle says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    pub queue_id: String,
    pub sequence: u64,
    pub receives: u64,
}

impl Receipt {
    pub fn write(&self) -> String {
        BASE64_STANDARD.encode(format!("{} {} {}", self.queue_id, self.sequence, self.receives))
    }

    pub fn read(handle: &str) -> Option<Receipt> {
        let text = String::from_utf8(BASE64_STANDARD.decode(handle).ok()?).ok()?;
        let mut parts = text.split(' ');
        let receipt = Receipt {
            queue_id: parts.next()?.to_owned(),
            sequence: parts.next()?.parse().ok()?,
            receives: parts.next()?.parse().ok()?,
        };
        parts.next().is_none().then_some(receipt)
    }
}
