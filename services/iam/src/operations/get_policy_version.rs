//! GetPolicyVersion (<https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetPolicyVersion.html>): AWS managed
//! policies only, each of one version.

use cumulet_wire::call::{Answer, Call};
use cumulet_wire::error::ApiError;

use serde_json::json;

use super::get_policy::VERSION;
use super::required;
use crate::{errors, managed, model};

pub fn run(call: &Call) -> Result<Answer, ApiError> {
    let arn = required(call, "PolicyArn")?;
    let version = required(call, "VersionId")?;
    let policy = managed::find(arn).ok_or_else(|| errors::no_such_entity(format!("Policy {arn} was not found.")))?;
    if version != VERSION {
        return Err(errors::no_such_entity(format!(
            "Policy {arn} version {version} does not exist or is not attachable."
        )));
    }
    Answer::json(json!({"PolicyVersion": {
        "Document": model::encode(policy.document),
        "VersionId": VERSION,
        "IsDefaultVersion": true,
        "CreateDate": model::iso_s(0),
    }}))
}
