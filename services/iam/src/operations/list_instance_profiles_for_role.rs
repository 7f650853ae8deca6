//! ListInstanceProfilesForRole (<https://docs.aws.amazon.com/IAM/latest/APIReference/API_ListInstanceProfilesForRole.html>):
//! there are none, and Terraform asks before it deletes a role.

use cumulet_wire::call::{Answer, Call};
use cumulet_wire::error::ApiError;

use serde_json::json;

use super::required;
use crate::Iam;

pub async fn run(iam: &Iam, call: Call) -> Result<Answer, ApiError> {
    let name = required(&call, "RoleName")?;
    iam.storage.require(call.context.account(), name).await?;
    Answer::json(json!({"InstanceProfiles": [], "IsTruncated": false}))
}
