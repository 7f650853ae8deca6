//! TagRole (<https://docs.aws.amazon.com/IAM/latest/APIReference/API_TagRole.html>).

use cumulet_wire::call::{Answer, Call};
use cumulet_wire::error::ApiError;

use super::{check_tags, read_tags, required};
use crate::Iam;

pub async fn run(iam: &Iam, call: Call) -> Result<Answer, ApiError> {
    let name = required(&call, "RoleName")?;
    let tags = read_tags(&call)?;
    iam.storage
        .update(call.context.account(), name, |role| {
            role.tags.extend(tags.clone());
            check_tags(&role.tags)
        })
        .await?;
    Ok(Answer::empty())
}
