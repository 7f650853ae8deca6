//! One file for each family of operations, and what batches share.

pub mod moves;
pub mod permissions;
pub mod queues;
pub mod receive;
pub mod send;
pub mod settle;
pub mod tags;

use std::collections::HashSet;

use cumulet_base::limits;
use cumulet_wire::call::Call;
use cumulet_wire::error::ApiError;
use serde_json::{Map, Value, json};

use crate::{errors, input};

type Entry = Map<String, Value>;

/// The entries of a batch, whose ids are checked.
fn entries(call: &Call) -> Result<Vec<(String, Entry)>, ApiError> {
    let list = call.input.get("Entries").and_then(Value::as_array).filter(|list| !list.is_empty());
    let list = list.ok_or_else(errors::empty_batch)?;
    if list.len() > limits::QUEUE_BATCH_MAX {
        return Err(errors::too_many(list.len()));
    }
    let mut seen = HashSet::new();
    let mut entries = Vec::new();
    for entry in list {
        let entry = entry.as_object().ok_or_else(|| ApiError::serialization("an entry is not a structure"))?;
        let id = input::required(entry, "Id")?;
        let is_allowed = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if id.is_empty() || id.len() > 80 || !id.chars().all(is_allowed) {
            return Err(errors::batch_id());
        }
        if !seen.insert(id) {
            return Err(errors::not_distinct(id));
        }
        entries.push((id.to_owned(), entry.clone()));
    }
    Ok(entries)
}

fn failed(id: &str, error: &ApiError) -> Value {
    json!({"Id": id, "SenderFault": error.is_senders(), "Code": error.code, "Message": error.message})
}

fn batch_answer(successful: Vec<Value>, failed: Vec<Value>) -> Value {
    let mut answer = json!({"Successful": successful});
    if !failed.is_empty() {
        answer["Failed"] = failed.into();
    }
    answer
}
