//! GetPolicy (<https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetPolicy.html>): AWS managed policies only.

use cumulet_wire::call::{Answer, Call};
use cumulet_wire::error::ApiError;

use serde_json::json;

use super::required;
use crate::{errors, managed, model};

/// The one version every managed policy has here.
pub const VERSION: &str = "v1";

pub fn run(call: &Call) -> Result<Answer, ApiError> {
    let arn = required(call, "PolicyArn")?;
    let policy = managed::find(arn).ok_or_else(|| errors::no_such_entity(format!("Policy {arn} was not found.")))?;
    Answer::json(json!({"Policy": {
        "PolicyName": policy.name(),
        "PolicyId": policy.id,
        "Arn": policy.arn,
        "Path": policy.path(),
        "DefaultVersionId": VERSION,
        "AttachmentCount": 0,
        "PermissionsBoundaryUsageCount": 0,
        "IsAttachable": true,
        "Description": policy.description,
        "CreateDate": model::iso_s(0),
        "UpdateDate": model::iso_s(0),
    }}))
}
