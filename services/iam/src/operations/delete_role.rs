//! DeleteRole (<https://docs.aws.amazon.com/IAM/latest/APIReference/API_DeleteRole.html>): refused while the role has policies.

use cumulet_wire::call::{Answer, Call};
use cumulet_wire::error::ApiError;

use super::required;
use crate::{Iam, errors};

pub async fn run(iam: &Iam, call: Call) -> Result<Answer, ApiError> {
    let name = required(&call, "RoleName")?;
    iam.storage
        .delete(call.context.account(), name, |role| {
            if !role.attached.is_empty() {
                return Err(errors::delete_conflict("Cannot delete entity, must detach all policies first."));
            }
            if !role.inline.is_empty() {
                return Err(errors::delete_conflict("Cannot delete entity, must delete policies first."));
            }
            Ok(())
        })
        .await?;
    Ok(Answer::empty())
}
