//! Groups and schedules as they are stored. The bytes are fixed in `docs/formats/scheduler.md`.

use std::collections::BTreeMap;

use cumulet_base::arn::Arn;
use cumulet_delivery::TaskId;
use cumulet_delivery::retry::RetryPolicy;
use cumulet_wire::schedule::{Schedule as Expression, Zone};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Version of the stored forms.
pub const FORMAT: u8 = 1;
pub const DEFAULT: &str = "default";
pub const DELETING: &str = "DELETING";
/// AWS invokes within the minute that is asked for; what is asked for within the last one is not too late.
const PRECISION_MS: u64 = 60_000;

/// Whose, and where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    pub account: String,
    pub region: String,
}

impl Place {
    pub fn group_arn(&self, group: &str) -> String {
        Arn::new("scheduler", &self.region, &self.account, format!("schedule-group/{group}")).to_string()
    }

    pub fn schedule_arn(&self, group: &str, name: &str) -> String {
        Arn::new("scheduler", &self.region, &self.account, format!("schedule/{group}/{name}")).to_string()
    }
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Group {
    pub v: u8,
    pub state: String,
    pub created_ms: u64,
    pub modified_ms: u64,
    pub token: Option<String>,
    pub tags: BTreeMap<String, String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Schedule {
    pub v: u8,
    pub description: Option<String>,
    pub expression: String,
    pub timezone: String,
    pub start_ms: Option<u64>,
    pub end_ms: Option<u64>,
    pub state: String,
    /// Minutes; `None` is a window that is off.
    pub window_minutes: Option<u64>,
    pub action_after_completion: String,
    pub kms_key_arn: Option<String>,
    pub target: Target,
    pub created_ms: u64,
    pub modified_ms: u64,
    /// Of the request that made it.
    pub token: Option<String>,
    /// A tick is the schedule's own as long as it bears this; new with every change.
    pub ticking: String,
    /// The first tick after the change, as `(due, sequence)`; those that follow it are not written down.
    pub first_tick: Option<(u64, u64)>,
}

/// In AWS's shape, which is also how it is shown.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Target {
    pub arn: String,
    pub role_arn: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event_bridge_parameters: Option<EventBridgeParameters>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sqs_parameters: Option<SqsParameters>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dead_letter_config: Option<DeadLetterConfig>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_policy: Option<RetryPolicy>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct EventBridgeParameters {
    pub detail_type: String,
    pub source: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct SqsParameters {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message_group_id: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DeadLetterConfig {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub arn: Option<String>,
}

impl Target {
    /// As AWS shows it: with the policy that is in force.
    pub fn shown(&self) -> Value {
        let policy = self.retry_policy.unwrap_or_default();
        let mut shown = serde_json::to_value(self).unwrap_or_default();
        shown["RetryPolicy"] = serde_json::json!({
            "MaximumEventAgeInSeconds": policy.age_ms_max() / 1000,
            "MaximumRetryAttempts": policy.attempts_max(),
        });
        shown
    }
}

impl Schedule {
    pub fn is_enabled(&self) -> bool {
        self.state == "ENABLED"
    }

    pub fn first_tick(&self) -> Option<TaskId> {
        self.first_tick.map(|(due_ms, sequence)| TaskId { due_ms, sequence })
    }

    /// The first time it is due after it was made or changed.
    pub fn first(&self, now_ms: u64) -> Option<u64> {
        let (expression, zone) = self.read()?;
        match expression.once(&zone) {
            Some(at_ms) => (at_ms + PRECISION_MS > now_ms).then_some(at_ms),
            None => self.next(now_ms),
        }
    }

    /// The first time after another.
    pub fn next(&self, after_ms: u64) -> Option<u64> {
        let (expression, zone) = self.read()?;
        if !expression.is_recurring() {
            return None;
        }
        let base_ms = self.start_ms.unwrap_or(self.created_ms);
        // What recurs may begin at its start, not only after it.
        let after_ms = self.start_ms.map_or(after_ms, |start_ms| after_ms.max(start_ms.saturating_sub(1)));
        let at_ms = expression.next(&zone, base_ms, after_ms)?;
        self.end_ms.is_none_or(|end_ms| at_ms <= end_ms).then_some(at_ms)
    }

    fn read(&self) -> Option<(Expression, Zone)> {
        Some((Expression::parse(&self.expression)?, Zone::parse(&self.timezone)?))
    }
}
