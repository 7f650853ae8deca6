//! Log groups, streams and chunks of events as they are stored. The bytes are fixed in `docs/formats/logs.md`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Version of the stored forms.
pub const FORMAT: u8 = 1;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Group {
    pub v: u8,
    pub created_ms: u64,
    pub retention_days: Option<u32>,
    pub tags: BTreeMap<String, String>,
    /// Where matching events go to besides.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub subscriptions: Vec<Subscription>,
    /// What matching events are counted as.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub metric_filters: Vec<MetricFilter>,
    /// The key of KMS it was given: its name, as everything here is sealed with the installation's own secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kms_key_id: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MetricFilter {
    pub name: String,
    pub pattern: String,
    pub transformations: Vec<Transformation>,
    pub created_ms: u64,
}

/// What becomes of an event that matches.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Transformation {
    pub metric_name: String,
    pub metric_namespace: String,
    /// A number, or the field of the event that is one.
    pub metric_value: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_value: Option<f64>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub dimensions: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Subscription {
    pub name: String,
    pub pattern: String,
    pub destination_arn: String,
    pub role_arn: Option<String>,
    pub distribution: Option<String>,
    pub created_ms: u64,
}

/// Which services may write to the groups of an account and region.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Policy {
    pub v: u8,
    pub document: String,
    pub updated_ms: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stream {
    pub v: u8,
    pub created_ms: u64,
    /// `None` until the first event.
    pub first_event_ms: Option<u64>,
    pub last_event_ms: Option<u64>,
    pub last_ingestion_ms: Option<u64>,
}

/// Events of one stream, in order, at most [`CHUNK_SPAN_MS`] apart.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Chunk {
    pub v: u8,
    pub stream: String,
    pub ingested_ms: u64,
    /// Timestamp in milliseconds and message.
    pub events: Vec<(u64, String)>,
}

/// Readers look this far before a window for chunks that reach into it.
pub const CHUNK_SPAN_MS: u64 = 900_000;

/// A group's place.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    pub account: String,
    pub region: String,
    pub group: String,
}

/// Where an event is: by time, then by arrival.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    pub timestamp_ms: u64,
    pub sequence: u64,
    pub index: u32,
}

impl Position {
    pub const MIN: Position = Position { timestamp_ms: 0, sequence: 0, index: 0 };

    /// Digits only, as AWS's event ids.
    pub fn text(self) -> String {
        format!("{:020}{:020}{:010}", self.timestamp_ms, self.sequence, self.index)
    }

    pub fn parse(text: &str) -> Option<Position> {
        if text.len() != 50 || !text.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        Some(Position {
            timestamp_ms: text[..20].parse().ok()?,
            sequence: text[20..40].parse().ok()?,
            index: text[40..].parse().ok()?,
        })
    }
}

/// An event as readers see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    pub position: Position,
    pub stream: String,
    pub ingested_ms: u64,
    pub message: String,
}
