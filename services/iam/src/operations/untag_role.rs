//! UntagRole (<https://docs.aws.amazon.com/IAM/latest/APIReference/API_UntagRole.html>).

use cumulet_wire::call::{Answer, Call};
use cumulet_wire::error::ApiError;

use serde_json::Value;

use super::required;
use crate::Iam;

pub async fn run(iam: &Iam, call: Call) -> Result<Answer, ApiError> {
    let name = required(&call, "RoleName")?;
    let keys: Vec<&str> =
        call.input.get("TagKeys").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
    iam.storage
        .update(call.context.account(), name, |role| {
            role.tags.retain(|key, _| !keys.contains(&key.as_str()));
            Ok(())
        })
        .await?;
    Ok(Answer::empty())
}
