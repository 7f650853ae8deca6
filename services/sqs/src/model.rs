//! Stored records: queues, messages, receipts.

use std::collections::BTreeMap;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Serialize};

/// Version of every stored JSON of this service.
pub const FORMAT: u8 = 1;

/// Whose queue of which name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
    /// Messages up to this sequence were purged, whether or not their rows are gone yet.
    #[serde(default)]
    pub purged_upto: u64,
    /// Only what was set; the rest has AWS's defaults.
    pub attributes: BTreeMap<String, String>,
    pub tags: BTreeMap<String, String>,
}

/// Which queues may have this one as their dead letter queue.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RedriveAllowPolicy {
    pub redrive_permission: String,
    #[serde(default)]
    pub source_queue_arns: Option<Vec<String>>,
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

    /// Whether a queue may name this one as its dead letter queue.
    pub fn takes_dead_letters_of(&self, source_arn: &str) -> bool {
        let policy = self.attributes.get("RedriveAllowPolicy").and_then(|text| serde_json::from_str(text).ok());
        policy.is_none_or(|policy: RedriveAllowPolicy| match policy.redrive_permission.as_str() {
            "byQueue" => policy.source_queue_arns.is_some_and(|arns| arns.iter().any(|arn| arn == source_arn)),
            permission => permission == "allowAll",
        })
    }

    /// Where messages go that were received too often, and how often that is.
    pub fn redrive(&self) -> Option<(Place, u64)> {
        let policy: RedrivePolicy = serde_json::from_str(self.attributes.get("RedrivePolicy")?).ok()?;
        let count = crate::input::as_u64(&policy.max_receive_count)?;
        Some((Place::from_arn(&policy.dead_letter_target_arn)?, count))
    }
}

/// Where a redrive policy sends the dead.
pub fn dead_letter_target(policy: &str) -> Option<Place> {
    let policy: RedrivePolicy = serde_json::from_str(policy).ok()?;
    Place::from_arn(&policy.dead_letter_target_arn)
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

/// What a sender is answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sent {
    pub id: String,
    /// Of FIFO queues.
    pub sequence: Option<u64>,
}

/// How a sequence is shown: of one length, so that they can be compared as text.
pub fn sequence_number(sequence: u64) -> String {
    format!("{sequence:020}")
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum MoveStatus {
    Running,
    Completed,
    Cancelling,
    Cancelled,
    Failed,
}

/// A message move task.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Move {
    pub v: u8,
    pub id: String,
    pub started_ms: u64,
    pub status: MoveStatus,
    /// Otherwise each message goes where it came from.
    pub destination_arn: Option<String>,
    pub per_second: Option<u64>,
    pub moved: u64,
    pub to_move: u64,
    pub failure: Option<String>,
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
