//! Policies of secrets (<https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_PutResourcePolicy.html>).

use cumulet_wire::call::{Answer, Call};
use cumulet_wire::error::ApiError;
use cumulet_wire::policy::Document;
use serde_json::{Value, json};

use super::{flag, live, required};
use crate::model::Place;
use crate::storage::Beside;
use crate::{SecretsManager, errors};

const POLICY_BYTES_MAX: usize = 20_480;

/// Whether a statement lets everybody in, under no condition.
fn is_public(policy: &str) -> bool {
    let policy: Value = serde_json::from_str(policy).unwrap_or_default();
    let statements = match &policy["Statement"] {
        Value::Array(all) => all.clone(),
        one => vec![one.clone()],
    };
    let is_everybody = |principal: &Value| match principal {
        Value::String(all) => all == "*",
        Value::Object(kinds) => kinds.get("AWS").is_some_and(|named| match named {
            Value::Array(all) => all.iter().any(|one| one == "*"),
            one => one == "*",
        }),
        _ => false,
    };
    let is_open = |statement: &Value| {
        statement["Effect"] == "Allow" && is_everybody(&statement["Principal"]) && statement.get("Condition").is_none()
    };
    statements.iter().any(is_open)
}

fn checked(policy: &str) -> Result<(), ApiError> {
    if policy.len() > POLICY_BYTES_MAX {
        return Err(errors::malformed_policy("The policy has more than 20480 bytes."));
    }
    let has_principals = Document::parse(policy).is_some_and(|document| !document.statements().is_empty());
    if has_principals
        && serde_json::from_str::<Value>(policy)
            .is_ok_and(|policy| policy["Statement"].to_string().contains("Principal"))
    {
        return Ok(());
    }
    Err(errors::malformed_policy("This resource policy contains a syntax error."))
}

async fn set(manager: &SecretsManager, call: &Call, policy: Option<&str>) -> Result<Answer, ApiError> {
    let (place, _): (Place, _) = live(manager, call).await?;
    let arn = manager.storage.update(&place, call.context.now_ms, |secret| {
        secret.policy = policy.map(str::to_owned);
        Ok((Beside::default(), secret.arn(&place)))
    });
    Answer::json(json!({ "ARN": arn.await?, "Name": place.name }))
}

pub async fn put(manager: &SecretsManager, call: &Call) -> Result<Answer, ApiError> {
    let policy = required(call, "ResourcePolicy")?;
    checked(policy)?;
    if flag(call, "BlockPublicPolicy") && is_public(policy) {
        return Err(errors::public_policy());
    }
    set(manager, call, Some(policy)).await
}

pub async fn delete(manager: &SecretsManager, call: &Call) -> Result<Answer, ApiError> {
    set(manager, call, None).await
}

pub async fn get(manager: &SecretsManager, call: &Call) -> Result<Answer, ApiError> {
    let (place, secret) = live(manager, call).await?;
    let mut answer = json!({ "ARN": secret.arn(&place), "Name": place.name });
    if let Some(policy) = &secret.policy {
        answer["ResourcePolicy"] = json!(policy);
    }
    Answer::json(answer)
}

pub fn validate(call: &Call) -> Result<Answer, ApiError> {
    let policy = required(call, "ResourcePolicy")?;
    let mut found = Vec::new();
    if let Err(error) = checked(policy) {
        found.push(json!({ "CheckName": "SYNTAX_CHECK", "ErrorMessage": error.message }));
    } else if is_public(policy) {
        let error = errors::public_policy();
        found.push(json!({ "CheckName": "PUBLIC_POLICY_CHECK", "ErrorMessage": error.message }));
    }
    Answer::json(json!({ "PolicyValidationPassed": found.is_empty(), "ValidationErrors": found }))
}
