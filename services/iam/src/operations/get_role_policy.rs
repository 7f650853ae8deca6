//! GetRolePolicy (<https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetRolePolicy.html>).

use cumulet_wire::call::{Answer, Call};
use cumulet_wire::error::ApiError;

use serde_json::json;

use super::required;
use crate::{Iam, errors, model};

pub async fn run(iam: &Iam, call: Call) -> Result<Answer, ApiError> {
    let name = required(&call, "RoleName")?;
    let policy_name = required(&call, "PolicyName")?;
    let role = iam.storage.require(call.context.account(), name).await?;
    let document = role.inline.get(policy_name).ok_or_else(|| errors::role_policy_not_found(policy_name))?;
    Answer::json(json!({
        "RoleName": name,
        "PolicyName": policy_name,
        "PolicyDocument": model::encode(document),
    }))
}
