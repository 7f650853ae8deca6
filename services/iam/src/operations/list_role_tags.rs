//! ListRoleTags (<https://docs.aws.amazon.com/IAM/latest/APIReference/API_ListRoleTags.html>): all on one page.

use cumulet_wire::call::{Answer, Call};
use cumulet_wire::error::ApiError;

use serde_json::json;

use super::required;
use crate::{Iam, model};

pub async fn run(iam: &Iam, call: Call) -> Result<Answer, ApiError> {
    let name = required(&call, "RoleName")?;
    let role = iam.storage.require(call.context.account(), name).await?;
    Answer::json(json!({"Tags": model::tag_list(&role.tags), "IsTruncated": false}))
}
