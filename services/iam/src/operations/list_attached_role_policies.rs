//! ListAttachedRolePolicies (<https://docs.aws.amazon.com/IAM/latest/APIReference/API_ListAttachedRolePolicies.html>): all on one page.

use cumulet_wire::call::{Answer, Call};
use cumulet_wire::error::ApiError;

use serde_json::{Value, json};

use super::required;
use crate::Iam;

pub async fn run(iam: &Iam, call: Call) -> Result<Answer, ApiError> {
    let name = required(&call, "RoleName")?;
    let role = iam.storage.require(call.context.account(), name).await?;
    let list: Vec<Value> =
        role.attached.iter().map(|arn| json!({"PolicyName": arn.rsplit('/').next(), "PolicyArn": arn})).collect();
    Answer::json(json!({"AttachedPolicies": list, "IsTruncated": false}))
}
