//! Policies of keys; there is one, and it is called `default`.

use cumulet_wire::call::{Answer, Call};
use cumulet_wire::error::ApiError;
use cumulet_wire::policy::Document;
use serde_json::json;

use super::{change, lasting, required, text};
use crate::{Kms, errors};

const POLICY_BYTES_MAX: usize = 32_768;

/// That everything is left to the account's own policies.
pub fn default(account: &str) -> String {
    json!({
        "Version": "2012-10-17",
        "Id": "key-default-1",
        "Statement": [{
            "Sid": "Enable IAM User Permissions",
            "Effect": "Allow",
            "Principal": { "AWS": format!("arn:aws:iam::{account}:root") },
            "Action": "kms:*",
            "Resource": "*",
        }],
    })
    .to_string()
}

pub fn checked(policy: &str) -> Result<String, ApiError> {
    if policy.len() > POLICY_BYTES_MAX {
        return Err(errors::limit("The policy has more than 32768 bytes"));
    }
    let document = Document::parse(policy).ok_or_else(|| errors::malformed_policy("The policy cannot be read"))?;
    let mut statements = document.statements().iter();
    match statements.all(|statement| statement.principal.is_some() || statement.not_principal.is_some()) {
        true => Ok(policy.to_owned()),
        false => Err(errors::malformed_policy("Policy contains a statement with no principal")),
    }
}

fn named(call: &Call) -> Result<(), ApiError> {
    match text(call, "PolicyName") {
        None | Some("default") => Ok(()),
        Some(_) => Err(errors::validation("The only valid policy name is default")),
    }
}

pub async fn get(kms: &Kms, call: &Call) -> Result<Answer, ApiError> {
    named(call)?;
    let (_, key) = lasting(kms, call).await?;
    Answer::json(json!({ "Policy": key.policy, "PolicyName": "default" }))
}

pub async fn put(kms: &Kms, call: &Call) -> Result<Answer, ApiError> {
    named(call)?;
    let policy = checked(required(call, "Policy")?)?;
    let (place, key) = lasting(kms, call).await?;
    change(kms, call, &place, &key.id, |key| {
        key.policy.clone_from(&policy);
        Ok(Answer::empty())
    })
    .await
}

pub async fn list(kms: &Kms, call: &Call) -> Result<Answer, ApiError> {
    lasting(kms, call).await?;
    Answer::json(json!({ "PolicyNames": ["default"], "Truncated": false }))
}
