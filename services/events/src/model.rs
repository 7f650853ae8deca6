//! Buses, rules, targets, archives, replays, connections and destinations as they are stored. The bytes are fixed in
//! `docs/formats/events.md`.

use std::collections::BTreeMap;

use cumulet_base::arn::Arn;
use cumulet_delivery::retry::RetryPolicy;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Version of the stored forms.
pub const FORMAT: u8 = 1;
pub const DEFAULT: &str = "default";

/// Whose, and where.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    pub account: String,
    pub region: String,
}

impl Place {
    pub fn arn(&self, resource: &str) -> String {
        Arn::new("events", &self.region, &self.account, resource).to_string()
    }

    pub fn bus_arn(&self, bus: &str) -> String {
        self.arn(&format!("event-bus/{bus}"))
    }

    /// Rules of the default bus do not name it.
    pub fn rule_arn(&self, bus: &str, rule: &str) -> String {
        match bus {
            DEFAULT => self.arn(&format!("rule/{rule}")),
            bus => self.arn(&format!("rule/{bus}/{rule}")),
        }
    }
}

pub type Tags = BTreeMap<String, String>;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Bus {
    pub v: u8,
    pub created_ms: u64,
    pub modified_ms: u64,
    pub description: Option<String>,
    pub policy: Option<String>,
    /// Shown as they were given; encryption and logs by AWS's own services have no effect here.
    pub dead_letter_config: Option<Value>,
    pub log_config: Option<Value>,
    pub kms_key_identifier: Option<String>,
    pub tags: Tags,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rule {
    pub v: u8,
    pub pattern: Option<String>,
    pub schedule: Option<String>,
    pub state: String,
    pub description: Option<String>,
    pub role_arn: Option<String>,
    pub created_by: String,
    pub tags: Tags,
    /// A tick is the rule's own as long as it bears this; changed with the schedule and when the rule is enabled.
    pub ticking: String,
    /// What a rate counts from.
    pub base_ms: u64,
}

impl Rule {
    pub fn is_enabled(&self) -> bool {
        self.state != "DISABLED"
    }
}

/// In AWS's shape, which is also how it is shown.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Target {
    pub id: String,
    pub arn: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role_arn: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input_path: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input_transformer: Option<InputTransformer>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sqs_parameters: Option<SqsParameters>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http_parameters: Option<HttpParameters>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dead_letter_config: Option<DeadLetterConfig>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_policy: Option<RetryPolicy>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct InputTransformer {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_paths_map: Option<BTreeMap<String, String>>,
    pub input_template: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct SqsParameters {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message_group_id: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct HttpParameters {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path_parameter_values: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header_parameters: Option<BTreeMap<String, String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query_string_parameters: Option<BTreeMap<String, String>>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DeadLetterConfig {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub arn: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Archive {
    pub v: u8,
    /// Tells the events of an archive from those of a former one of its name.
    pub id: String,
    pub source_arn: String,
    pub bus: String,
    pub description: Option<String>,
    pub pattern: Option<String>,
    /// 0 is for ever.
    pub retention_days: u64,
    pub kms_key_identifier: Option<String>,
    pub created_ms: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Replay {
    pub v: u8,
    pub archive: String,
    pub archive_id: String,
    pub source_arn: String,
    pub description: Option<String>,
    pub destination: Value,
    pub bus: String,
    pub state: String,
    pub start_ms: u64,
    pub end_ms: u64,
    pub last_ms: Option<u64>,
    pub began_ms: u64,
    pub ended_ms: Option<u64>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Connection {
    pub v: u8,
    pub id: String,
    pub description: Option<String>,
    pub authorization_type: String,
    /// As given, secrets included: shown only without them, and stored only sealed.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub auth_parameters: Value,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sealed_parameters: Option<String>,
    pub state: String,
    pub created_ms: u64,
    pub modified_ms: u64,
    pub authorized_ms: Option<u64>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Destination {
    pub v: u8,
    pub id: String,
    pub description: Option<String>,
    pub connection_arn: String,
    pub endpoint: String,
    pub method: String,
    pub rate_per_second: u64,
    pub created_ms: u64,
    pub modified_ms: u64,
}
