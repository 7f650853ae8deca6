//! UpdateAssumeRolePolicy (<https://docs.aws.amazon.com/IAM/latest/APIReference/API_UpdateAssumeRolePolicy.html>).

use cumulet_wire::call::{Answer, Call};
use cumulet_wire::error::ApiError;

use super::create_role::check_trust;
use super::required;
use crate::Iam;
use crate::model::Role;

pub async fn run(iam: &Iam, call: Call) -> Result<Answer, ApiError> {
    let name = required(&call, "RoleName")?;
    let trust = required(&call, "PolicyDocument")?;
    check_trust(trust)?;
    iam.storage
        .update(call.context.account(), name, |role: &mut Role| {
            trust.clone_into(&mut role.trust);
            Ok(())
        })
        .await?;
    Ok(Answer::empty())
}
