//! DeleteRolePolicy (<https://docs.aws.amazon.com/IAM/latest/APIReference/API_DeleteRolePolicy.html>).

use cumulet_wire::call::{Answer, Call};
use cumulet_wire::error::ApiError;

use super::required;
use crate::{Iam, errors};

pub async fn run(iam: &Iam, call: Call) -> Result<Answer, ApiError> {
    let name = required(&call, "RoleName")?;
    let policy_name = required(&call, "PolicyName")?;
    iam.storage
        .update(call.context.account(), name, |role| {
            role.inline.remove(policy_name).map(|_| ()).ok_or_else(|| errors::role_policy_not_found(policy_name))
        })
        .await?;
    Ok(Answer::empty())
}
