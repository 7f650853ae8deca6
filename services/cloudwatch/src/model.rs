//! Alarms and dashboards as they are stored (`docs/formats/cloudwatch.md`).

use std::collections::BTreeMap;

use cumulet_wire::call::seconds;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

pub const FORMAT: u32 = 1;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Alarm {
    pub v: u32,
    pub name: String,
    pub is_composite: bool,
    /// The members of the call that made it, and `ActionsEnabled`; without name and tags.
    pub members: Map<String, Value>,
    pub created_ms: u64,
    pub updated_ms: u64,
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
}

impl Alarm {
    /// As clients see it. Nothing has been measured.
    pub fn shown(&self, arn: &str) -> Value {
        let mut shown = self.members.clone();
        shown.insert("AlarmName".into(), self.name.as_str().into());
        shown.insert("AlarmArn".into(), arn.into());
        shown.insert("AlarmConfigurationUpdatedTimestamp".into(), seconds(self.updated_ms));
        shown.insert("StateValue".into(), "INSUFFICIENT_DATA".into());
        shown.insert("StateReason".into(), "Unchecked: Initial alarm creation".into());
        shown.insert("StateUpdatedTimestamp".into(), seconds(self.created_ms));
        shown.insert("StateTransitionedTimestamp".into(), seconds(self.created_ms));
        for list in ["OKActions", "AlarmActions", "InsufficientDataActions"] {
            shown.entry(list).or_insert_with(|| json!([]));
        }
        if !self.is_composite && !shown.contains_key("Metrics") {
            shown.entry("Dimensions").or_insert_with(|| json!([]));
        }
        shown.into()
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Dashboard {
    pub v: u32,
    pub name: String,
    pub body: String,
    pub updated_ms: u64,
}

/// Dashboards are of no region.
pub fn dashboard_arn(account: &str, name: &str) -> String {
    format!("arn:aws:cloudwatch::{account}:dashboard/{name}")
}
