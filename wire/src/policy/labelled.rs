//! Policies made of labelled statements, as AddPermission and RemovePermission of queues and topics write them.

use serde_json::{Value, json};

/// What lets accounts, by the ARNs of their roots, do some actions.
pub fn statement(label: &str, principals: &[String], actions: &[String], resource: &str) -> Value {
    json!({
        "Sid": label,
        "Effect": "Allow",
        "Principal": {"AWS": one_or_many(principals)},
        "Action": one_or_many(actions),
        "Resource": resource,
    })
}

/// The policy with one more statement; `None`: there is one of the label.
pub fn with(mut policy: Value, label: &str, statement: &Value) -> Option<Value> {
    let mut statements = statements(&policy);
    if statements.iter().any(|statement| statement["Sid"] == label) {
        return None;
    }
    statements.push(statement.clone());
    policy["Statement"] = statements.into();
    Some(policy)
}

/// The policy without the statement of the label; `None`: there is none such.
pub fn without(mut policy: Value, label: &str) -> Option<Value> {
    let mut statements = statements(&policy);
    let before = statements.len();
    statements.retain(|statement| statement["Sid"] != label);
    let is_less = statements.len() < before;
    policy["Statement"] = statements.into();
    is_less.then_some(policy)
}

fn statements(policy: &Value) -> Vec<Value> {
    match &policy["Statement"] {
        Value::Array(list) => list.clone(),
        Value::Null => Vec::new(),
        one => vec![one.clone()],
    }
}

fn one_or_many(list: &[String]) -> Value {
    match list {
        [one] => json!(one),
        many => json!(many),
    }
}
