//! Applications, groups, configurations and deployments as they are stored. The bytes are fixed in
//! `docs/formats/codedeploy.md`.

use std::collections::BTreeMap;

use cumulet_base::arn::Arn;
use cumulet_wire::auth::Caller;
use serde::{Deserialize, Serialize};

/// Version of the stored forms.
pub const FORMAT: u8 = 1;

pub type Tags = BTreeMap<String, String>;

/// Whose, and where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    pub account: String,
    pub region: String,
}

impl Place {
    pub fn group_arn(&self, application: &str, group: &str) -> String {
        Arn::new("codedeploy", &self.region, &self.account, format!("deploymentgroup:{application}/{group}"))
            .to_string()
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Application {
    pub v: u8,
    pub id: String,
    pub created_ms: u64,
    #[serde(default, skip_serializing_if = "Tags::is_empty")]
    pub tags: Tags,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Alarm {
    pub name: String,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AlarmConfiguration {
    pub enabled: bool,
    pub ignore_poll_alarm_failure: bool,
    pub alarms: Vec<Alarm>,
}

impl AlarmConfiguration {
    /// The names that count.
    pub fn names(&self) -> Vec<String> {
        let names = self.alarms.iter().map(|alarm| alarm.name.clone());
        if self.enabled { names.collect() } else { Vec::new() }
    }
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AutoRollback {
    pub enabled: bool,
    pub events: Vec<String>,
}

/// A topic that is told of events of deployments.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Trigger {
    pub trigger_name: String,
    pub trigger_target_arn: String,
    pub trigger_events: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Group {
    pub v: u8,
    pub id: String,
    pub config: String,
    pub role_arn: String,
    pub alarms: AlarmConfiguration,
    pub rollback: AutoRollback,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub triggers: Vec<Trigger>,
    #[serde(default, skip_serializing_if = "Tags::is_empty")]
    pub tags: Tags,
}

/// How traffic is shifted. Intervals are minutes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Routing {
    AllAtOnce,
    Canary { percentage: u8, interval: u64 },
    Linear { percentage: u8, interval: u64 },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Config {
    pub v: u8,
    pub id: String,
    pub created_ms: u64,
    pub routing: Routing,
}

/// A function that is asked, and what it answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hook {
    pub function: String,
    pub execution_id: String,
    pub since_ms: u64,
    pub is_invoked: bool,
    pub has_succeeded: Option<bool>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Phase {
    Created,
    Before(Hook),
    /// The share that the new version has of the traffic, in percent.
    Shifting {
        since_ms: u64,
        percent: u8,
    },
    After(Hook),
    Over,
}

/// A part of a deployment that is begun and ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lifecycle {
    pub name: String,
    pub started_ms: u64,
    pub ended_ms: Option<u64>,
    pub status: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rollback {
    /// The deployment that leads back, and the one that it leads back from.
    pub deployment: Option<String>,
    pub triggering: Option<String>,
    pub message: Option<String>,
}

/// What is to be shifted, as the AppSpec says it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    pub function: String,
    pub alias: String,
    pub current_version: String,
    pub target_version: String,
    pub before_hook: Option<String>,
    pub after_hook: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Deployment {
    pub v: u8,
    pub id: String,
    pub application: String,
    pub group: String,
    pub config: String,
    pub routing: Routing,
    pub target: Target,
    /// The AppSpec as it was given.
    pub content: String,
    pub description: Option<String>,
    pub creator: String,
    pub external_id: Option<String>,
    pub role_arn: String,
    pub alarms: AlarmConfiguration,
    pub rollback: AutoRollback,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub triggers: Vec<Trigger>,
    pub created_ms: u64,
    pub started_ms: Option<u64>,
    pub completed_ms: Option<u64>,
    pub phase: Phase,
    /// `Created`, `InProgress`, `Succeeded`, `Failed`, `Stopped`.
    pub status: String,
    pub lifecycle: Vec<Lifecycle>,
    /// The ids of hooks that were asked.
    pub asked: Vec<String>,
    /// Code and message.
    pub error: Option<(String, String)>,
    pub rolled_back: Option<Rollback>,
    /// It is to be stopped; whether the traffic is to go back.
    pub stop: Option<bool>,
    /// The sequence of the task that carries it out. Others that say they do are left over.
    pub task: u64,
}

impl Deployment {
    pub fn is_over(&self) -> bool {
        self.phase == Phase::Over
    }

    /// The share of the new version, in percent.
    pub fn percent(&self) -> u8 {
        match &self.phase {
            Phase::Created | Phase::Before(_) => 0,
            Phase::Shifting { percent, .. } => *percent,
            Phase::After(_) => 100,
            Phase::Over if self.status == "Succeeded" => 100,
            Phase::Over => 0,
        }
    }

    /// Whether a hook has this id, or had it.
    pub fn knows(&self, execution_id: &str) -> bool {
        self.asked.iter().any(|asked| asked == execution_id)
    }

    /// With whose permissions it is carried out.
    pub fn caller(&self) -> Option<Caller> {
        Caller::role(&self.role_arn, &self.id)
    }
}
