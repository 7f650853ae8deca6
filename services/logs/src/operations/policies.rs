//! PutResourcePolicy, DescribeResourcePolicies, DeleteResourcePolicy: which services may write to the groups of an account.

use cumulet_wire::call::{Answer, Call};
use cumulet_wire::error::ApiError;
use cumulet_wire::policy::Document;
use serde_json::{Value, json};

use super::{at, limit, required};
use crate::model::{FORMAT, Place, Policy};
use crate::{Logs, errors};

const POLICIES_MAX: usize = 10;
const DOCUMENT_BYTES_MAX: usize = 5120;

fn here(call: &Call) -> Place {
    at(&call.context, "")
}

fn shown(name: &str, policy: &Policy) -> Value {
    json!({"policyName": name, "policyDocument": policy.document, "lastUpdatedTime": policy.updated_ms})
}

/// What all of them say, as one document.
pub async fn document(logs: &Logs, call: &Call) -> Result<Option<String>, ApiError> {
    let mut statements = Vec::new();
    for (_, policy) in logs.storage.policies(&here(call), POLICIES_MAX).await? {
        let document: Value = serde_json::from_str(&policy.document).unwrap_or_default();
        match &document["Statement"] {
            Value::Array(list) => statements.extend(list.iter().cloned()),
            one => statements.push(one.clone()),
        }
    }
    let document = json!({"Version": "2012-10-17", "Statement": statements}).to_string();
    Ok((!statements.is_empty()).then_some(document))
}

pub async fn put(logs: &Logs, call: &Call) -> Result<Answer, ApiError> {
    let text = |member: &str| call.input.get(member).and_then(Value::as_str);
    if text("resourceArn").is_some() {
        return Err(errors::not_built("policies of single log groups"));
    }
    let name = required("policyName", text("policyName"))?;
    let document = required("policyDocument", text("policyDocument"))?;
    if document.len() > DOCUMENT_BYTES_MAX || Document::parse(document).is_none() {
        return Err(errors::invalid("Policy document is not valid."));
    }
    let policy = Policy { v: FORMAT, document: document.to_owned(), updated_ms: call.context.now_ms };
    let known = logs.storage.policies(&here(call), POLICIES_MAX).await?;
    if known.len() >= POLICIES_MAX && !known.iter().any(|(known, _)| known == name) {
        return Err(errors::limit());
    }
    logs.storage.put_policy(&here(call), name, Some(&policy)).await?;
    Answer::json(json!({"resourcePolicy": shown(name, &policy)}))
}

pub async fn describe(logs: &Logs, call: &Call) -> Result<Answer, ApiError> {
    let max = limit(call.input.get("limit").and_then(Value::as_i64), 1000, 50)?;
    let found = logs.storage.policies(&here(call), POLICIES_MAX).await?;
    let list: Vec<Value> = found.iter().take(max).map(|(name, policy)| shown(name, policy)).collect();
    Answer::json(json!({"resourcePolicies": list}))
}

pub async fn delete(logs: &Logs, call: &Call) -> Result<Answer, ApiError> {
    let name = required("policyName", call.input.get("policyName").and_then(Value::as_str))?;
    match logs.storage.put_policy(&here(call), name, None).await? {
        true => Ok(Answer::empty()),
        false => Err(errors::policy_not_found()),
    }
}
