//! AttachRolePolicy (<https://docs.aws.amazon.com/IAM/latest/APIReference/API_AttachRolePolicy.html>): AWS managed policies only.

use cumulet_wire::call::{Answer, Call};
use cumulet_wire::error::ApiError;

use super::required;
use crate::{Iam, errors, managed};

const ATTACHED_MAX: usize = 20;

pub async fn run(iam: &Iam, call: Call) -> Result<Answer, ApiError> {
    let name = required(&call, "RoleName")?;
    let arn = required(&call, "PolicyArn")?;
    if managed::find(arn).is_none() {
        return Err(errors::no_such_entity(format!("Policy {arn} does not exist or is not attachable.")));
    }
    iam.storage
        .update(call.context.account(), name, |role| {
            if !role.attached.iter().any(|attached| attached == arn) {
                if role.attached.len() >= ATTACHED_MAX {
                    return Err(errors::limit_exceeded(format!(
                        "Cannot exceed quota for PoliciesPerRole: {ATTACHED_MAX}"
                    )));
                }
                role.attached.push(arn.to_owned());
            }
            Ok(())
        })
        .await?;
    Ok(Answer::empty())
}
