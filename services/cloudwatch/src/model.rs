//! Alarms, their history and dashboards as they are stored (`docs/formats/cloudwatch.md`).

use std::collections::BTreeMap;

use cumulet_base::arn::Arn;
use cumulet_wire::call::seconds;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::alarms::UNKNOWN;
use crate::metrics::Place;

pub const FORMAT: u32 = 1;

/// The state an alarm is in, and since when.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct State {
    pub value: String,
    pub reason: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason_data: Option<String>,
    pub updated_ms: u64,
    pub transitioned_ms: u64,
}

impl Default for State {
    fn default() -> State {
        State::initial(0)
    }
}

impl State {
    pub fn initial(now_ms: u64) -> State {
        State {
            value: UNKNOWN.to_owned(),
            reason: "Unchecked: Initial alarm creation".to_owned(),
            reason_data: None,
            updated_ms: now_ms,
            transitioned_ms: now_ms,
        }
    }

    pub fn next(&self, value: &str, reason: String, reason_data: Option<String>, now_ms: u64) -> State {
        let transitioned_ms = if self.value == value { self.transitioned_ms } else { now_ms };
        State { value: value.to_owned(), reason, reason_data, updated_ms: now_ms, transitioned_ms }
    }
}

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
    #[serde(default)]
    pub state: State,
}

impl Place {
    pub fn alarm_arn(&self, name: &str) -> String {
        Arn::new("cloudwatch", &self.region, &self.account, format!("alarm:{name}")).to_string()
    }
}

impl Alarm {
    pub fn arn(&self, place: &Place) -> String {
        place.alarm_arn(&self.name)
    }

    /// As clients see it.
    pub fn shown(&self, arn: &str) -> Value {
        let mut shown = self.members.clone();
        shown.insert("AlarmName".into(), self.name.as_str().into());
        shown.insert("AlarmArn".into(), arn.into());
        shown.insert("AlarmConfigurationUpdatedTimestamp".into(), seconds(self.updated_ms));
        shown.insert("StateValue".into(), self.state.value.as_str().into());
        shown.insert("StateReason".into(), self.state.reason.as_str().into());
        if let Some(data) = &self.state.reason_data {
            shown.insert("StateReasonData".into(), data.as_str().into());
        }
        shown.insert("StateUpdatedTimestamp".into(), seconds(self.state.updated_ms.max(self.created_ms)));
        shown.insert("StateTransitionedTimestamp".into(), seconds(self.state.transitioned_ms.max(self.created_ms)));
        for list in ["OKActions", "AlarmActions", "InsufficientDataActions"] {
            shown.entry(list).or_insert_with(|| json!([]));
        }
        if !self.is_composite && !shown.contains_key("Metrics") {
            shown.entry("Dimensions").or_insert_with(|| json!([]));
        }
        shown.into()
    }
}

/// Something that happened to an alarm.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct History {
    pub v: u32,
    pub is_composite: bool,
    /// `ConfigurationUpdate`, `StateUpdate` or `Action`.
    pub kind: String,
    pub at_ms: u64,
    pub summary: String,
    pub data: String,
}

impl History {
    pub fn new(alarm: &Alarm, kind: &str, at_ms: u64, summary: String, data: &Value) -> History {
        let (is_composite, kind) = (alarm.is_composite, kind.to_owned());
        History { v: FORMAT, is_composite, kind, at_ms, summary, data: data.to_string() }
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
