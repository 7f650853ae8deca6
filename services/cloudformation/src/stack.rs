//! Stacks, their resources, events and change sets as they are stored.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::plan::Existing;
use crate::resources::Made;

pub type Texts = BTreeMap<String, String>;

/// What a stack is to be, or is: a template and its arguments.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Wish {
    /// As it was sent, before any transform.
    pub template: String,
    pub parameters: Texts,
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

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StackResource {
    pub existing: Existing,
    pub made: Made,
    /// Properties as they were sent to the service.
    pub properties: Map<String, Value>,
    pub is_retained: bool,
    pub status: String,
    pub reason: Option<String>,
    pub updated_ms: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stack {
    pub v: u8,
    /// The last part of the ARN.
    pub id: String,
    pub arn: String,
    pub name: String,
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
}

impl Stack {
    pub fn is_busy(&self) -> bool {
        self.status.ends_with("_IN_PROGRESS") && self.status != "REVIEW_IN_PROGRESS"
    }

    pub fn existing(&self) -> BTreeMap<String, Existing> {
        self.resources.iter().map(|(name, resource)| (name.clone(), resource.existing.clone())).collect()
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
    /// As DescribeChangeSet answers them.
    pub changes: Vec<Value>,
    pub on_stack_failure: Option<String>,
    pub created_ms: u64,
}
