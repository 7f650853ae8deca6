//! DetachRolePolicy (<https://docs.aws.amazon.com/IAM/latest/APIReference/API_DetachRolePolicy.html>).

use cumulet_wire::call::{Answer, Call};
use cumulet_wire::error::ApiError;

use super::required;
use crate::{Iam, errors};

pub async fn run(iam: &Iam, call: Call) -> Result<Answer, ApiError> {
    let name = required(&call, "RoleName")?;
    let arn = required(&call, "PolicyArn")?;
    iam.storage
        .update(call.context.account(), name, |role| {
            let before = role.attached.len();
            role.attached.retain(|attached| attached != arn);
            if role.attached.len() == before {
                return Err(errors::no_such_entity(format!("Policy {arn} was not found.")));
            }
            Ok(())
        })
        .await?;
    Ok(Answer::empty())
}
