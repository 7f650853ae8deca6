//! AddPermission and RemovePermission: statements of the queue's policy, by their labels.

use cumulet_wire::call::{Answer, Call};
use cumulet_wire::error::ApiError;
use cumulet_wire::policy::labelled;
use serde_json::{Value, json};

use crate::model::Queue;
use crate::{Sqs, errors, input};

/// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_AddPermission.html>
const ACTIONS_MAX: usize = 7;
const ACTIONS: &[&str] = &[
    "*",
    "SendMessage",
    "ReceiveMessage",
    "DeleteMessage",
    "ChangeMessageVisibility",
    "GetQueueAttributes",
    "GetQueueUrl",
    "ListDeadLetterSourceQueues",
    "PurgeQueue",
];

fn policy_of(queue: &Queue) -> Value {
    let policy = queue.attributes.get("Policy").and_then(|text| serde_json::from_str(text).ok());
    policy.unwrap_or_else(|| json!({"Version": "2012-10-17", "Id": "__default_policy_ID"}))
}

pub async fn add(sqs: &Sqs, call: &Call) -> Result<Answer, ApiError> {
    let place = input::place(call)?;
    let label = input::required(&call.input, "Label")?;
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if label.is_empty() || label.len() > 80 || !label.chars().all(is_allowed) {
        return Err(errors::invalid(format!("Value {label} for parameter Label is invalid.")));
    }
    let accounts = input::texts(&call.input, "AWSAccountIds");
    let actions = input::texts(&call.input, "Actions");
    if accounts.is_empty() || actions.is_empty() {
        return Err(errors::missing(if accounts.is_empty() { "AWSAccountIds" } else { "Actions" }));
    }
    if actions.len() > ACTIONS_MAX {
        let text = format!("{} Actions were found, maximum allowed is {ACTIONS_MAX}.", actions.len());
        return Err(errors::over_limit(&text));
    }
    if let Some(unknown) = actions.iter().find(|action| !ACTIONS.contains(&action.as_str())) {
        return Err(errors::invalid(format!("Value SQS:{unknown} for parameter ActionName is invalid.")));
    }
    let principals: Vec<String> = accounts.iter().map(|account| format!("arn:aws:iam::{account}:root")).collect();
    let named: Vec<String> = actions.iter().map(|action| format!("SQS:{action}")).collect();
    let statement = labelled::statement(label, &principals, &named, &place.arn());
    let now_ms = sqs.clock.now_ms();
    let change = |queue: &mut Queue| {
        let policy = labelled::with(policy_of(queue), label, &statement).ok_or_else(|| {
            errors::invalid(format!("Value {label} for parameter Label is invalid. Reason: Already exists."))
        })?;
        queue.attributes.insert("Policy".to_owned(), policy.to_string());
        queue.modified_ms = now_ms;
        Ok(())
    };
    sqs.storage.update(&place, change).await?;
    Ok(Answer::empty())
}

pub async fn remove(sqs: &Sqs, call: &Call) -> Result<Answer, ApiError> {
    let label = input::required(&call.input, "Label")?;
    let now_ms = sqs.clock.now_ms();
    let change = |queue: &mut Queue| {
        let policy = labelled::without(policy_of(queue), label).ok_or_else(|| {
            errors::invalid(format!(
                "Value {label} for parameter Label is invalid. Reason: can't find label on existing policy."
            ))
        })?;
        if policy["Statement"].as_array().is_none_or(Vec::is_empty) {
            queue.attributes.remove("Policy");
        } else {
            queue.attributes.insert("Policy".to_owned(), policy.to_string());
        }
        queue.modified_ms = now_ms;
        Ok(())
    };
    sqs.storage.update(&input::place(call)?, change).await?;
    Ok(Answer::empty())
}
