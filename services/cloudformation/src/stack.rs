//! Stacks, their resources, events, jobs and change sets as they are stored.

use std::collections::{BTreeMap, BTreeSet};

use cumulet_wire::auth::Caller;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::plan::Existing;
use crate::resources::Made;
use crate::template::Fate;

pub type Texts = BTreeMap<String, String>;

/// Existing resources that a stack is to take, by their logical ids: the type, and what identifies them.
pub type Imports = BTreeMap<String, (String, Map<String, Value>)>;

/// What a stack is to be, or is: a template and its arguments.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Wish {
    /// As it was sent, before any transform.
    pub template: String,
    pub parameters: Texts,
    /// What looked-up parameters stand for.
    #[serde(default, skip_serializing_if = "Texts::is_empty")]
    pub found: Texts,
    /// What macros answered, by hashes of what they were asked.
    #[serde(default, skip_serializing_if = "Texts::is_empty")]
    pub macros: Texts,
    pub tags: Texts,
    pub capabilities: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StackOutput {
    pub key: String,
    pub value: String,
    pub description: Option<String>,
    pub export: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StackResource {
    pub existing: Existing,
    pub made: Made,
    /// Properties as they were sent to the service, but for dynamic references, which stay references.
    pub properties: Map<String, Value>,
    #[serde(default)]
    pub on_deletion: Fate,
    #[serde(default)]
    pub on_replacement: Fate,
    pub status: String,
    pub reason: Option<String>,
    pub updated_ms: u64,
    /// The last step that was taken with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<Step>,
}

impl StackResource {
    /// Whether it is somewhere on the way to what it was to be.
    pub fn is_broken(&self) -> bool {
        matches!(self.status.as_str(), "CREATE_FAILED" | "UPDATE_FAILED")
    }
}

/// A step with a resource, written down before and after it is taken.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// The job it belongs to.
    pub job: String,
    pub state: StepState,
    /// What generated names end in, and tokens are made of: the same when the step is taken again.
    pub seed: String,
    /// What an update in place tries to bring the resource to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tried: Option<Map<String, Value>>,
    /// The resource was there before: on the way back the stack lets go of it, and does not delete it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_taken: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum StepState {
    Begun,
    Done,
    Failed,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Stack {
    pub v: u8,
    /// The last part of the ARN.
    pub id: String,
    pub arn: String,
    pub name: String,
    /// Also says which phase of its job a stack is in.
    pub status: String,
    pub reason: Option<String>,
    pub description: Option<String>,
    /// What it was last brought to; of a stack whose creation failed, what it was to be.
    pub wish: Wish,
    pub outputs: Vec<StackOutput>,
    pub resources: BTreeMap<String, StackResource>,
    pub change_set_id: Option<String>,
    pub disable_rollback: bool,
    pub termination_protection: bool,
    pub created_ms: u64,
    pub updated_ms: Option<u64>,
    pub deleted_ms: Option<u64>,
    /// Resources others have taken the place of, to be deleted at the end of the job.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub leftovers: Vec<(String, StackResource)>,
    /// Exports of other stacks that are made use of.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub imports: BTreeSet<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role_arn: Option<String>,
    /// A stack policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<Parent>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notified: Option<Notified>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollback: Option<RollbackConfiguration>,
    /// Since when the job's last step is done and only its rollback triggers are looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub monitored_since_ms: Option<u64>,
}

/// Alarms that take operations back, and for how long after the last step.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct RollbackConfiguration {
    pub rollback_triggers: Vec<Trigger>,
    pub monitoring_time_in_minutes: u64,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Trigger {
    pub arn: String,
    #[serde(rename = "Type")]
    pub kind: String,
}

/// The topics that are told of a stack's events, and with whose permissions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Notified {
    pub topics: Vec<String>,
    pub caller: Caller,
}

/// The stack of which a nested one is a resource.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Parent {
    pub arn: String,
    pub root: String,
}

impl Stack {
    pub fn topics(&self) -> &[String] {
        self.notified.as_ref().map_or(&[], |notified| &notified.topics)
    }

    pub fn is_busy(&self) -> bool {
        self.status.ends_with("_IN_PROGRESS") && self.status != "REVIEW_IN_PROGRESS"
    }

    /// What the next plan starts from. What never came to be is not among it, and what failed half way differs from
    /// whatever is wanted.
    pub fn existing(&self) -> BTreeMap<String, Existing> {
        existing(&self.resources)
    }
}

pub fn existing(resources: &BTreeMap<String, StackResource>) -> BTreeMap<String, Existing> {
    resources
        .iter()
        .filter(|(_, resource)| !resource.made.physical_id.is_empty())
        .map(|(name, resource)| {
            let mut existing = resource.existing.clone();
            if resource.is_broken() {
                existing.planned = Value::Null;
            }
            (name.clone(), existing)
        })
        .collect()
}

/// What happens to a stack whose creation or update fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum OnFailure {
    #[default]
    Rollback,
    Delete,
    Nothing,
}

/// What is being done to a stack, with all that is needed to go on with it after a crash.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Job {
    pub v: u8,
    pub id: String,
    pub on_failure: OnFailure,
    /// Resources that are left alone when the stack is deleted or rolled back.
    pub retain: BTreeSet<String>,
    /// With whose permissions it is done.
    pub caller: Caller,
    pub host: String,
    pub token: Option<String>,
    /// What the stack is to be brought to.
    pub wish: Wish,
    /// What it had at the beginning, and goes back to.
    pub before: BTreeMap<String, StackResource>,
    pub imports_before: BTreeSet<String>,
    /// Stands in for the stack's own policy during this update.
    pub policy: Option<String>,
    pub began_ms: u64,
    /// What an operation made that is taken back goes, even if its policy says that it is to be kept.
    #[serde(default)]
    pub retains_except_on_create: bool,
    /// What cannot be deleted is left behind.
    #[serde(default)]
    pub is_forced: bool,
    /// What the way forward starts from where that is not `before`: what jobs left that failed and were not taken back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<BTreeMap<String, StackResource>>,
    /// Those jobs; their steps are taken back with this one's.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub unfinished: BTreeSet<String>,
    /// The stack has never been complete: the way back ends with nothing.
    #[serde(default)]
    pub is_first: bool,
    #[serde(default, skip_serializing_if = "Imports::is_empty")]
    pub imports: Imports,
}

impl Job {
    pub fn start(&self) -> &BTreeMap<String, StackResource> {
        self.start.as_ref().unwrap_or(&self.before)
    }

    /// Whether the way back takes a step back.
    pub fn takes_back(&self, step: &Step) -> bool {
        step.job == self.id || self.unfinished.contains(&step.job)
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Event {
    pub stack_id: String,
    pub event_id: String,
    pub stack_name: String,
    pub logical_resource_id: String,
    pub physical_resource_id: String,
    pub resource_type: String,
    pub timestamp: String,
    pub resource_status: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource_status_reason: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource_properties: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_request_token: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ChangeSet {
    pub v: u8,
    /// The last part of the ARN.
    pub id: String,
    pub arn: String,
    pub name: String,
    pub kind: String,
    /// The stack's id, without the rest of its ARN.
    pub stack_key: String,
    pub status: String,
    pub reason: Option<String>,
    pub execution_status: String,
    pub description: Option<String>,
    pub wish: Wish,
    /// As DescribeChangeSet answers them when it is asked for values, too.
    pub changes: Vec<Value>,
    pub on_stack_failure: Option<String>,
    pub created_ms: u64,
    #[serde(default)]
    pub role_arn: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub topics: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollback: Option<RollbackConfiguration>,
    #[serde(default, skip_serializing_if = "Imports::is_empty")]
    pub imports: Imports,
    /// What fails stays as it is.
    #[serde(default)]
    pub keeps_failures: bool,
}
