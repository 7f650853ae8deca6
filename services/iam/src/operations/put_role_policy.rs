//! PutRolePolicy (<https://docs.aws.amazon.com/IAM/latest/APIReference/API_PutRolePolicy.html>).

use cumulet_wire::call::{Answer, Call};
use cumulet_wire::error::ApiError;

use super::{check_name, required};
use crate::policy::{self, Kind};
use crate::{Iam, errors};

/// Of all inline policies of a role together, white space not counted.
const INLINE_CHARACTERS_MAX: usize = 10_240;

pub async fn run(iam: &Iam, call: Call) -> Result<Answer, ApiError> {
    let name = required(&call, "RoleName")?;
    let policy_name = required(&call, "PolicyName")?;
    check_name("policyName", policy_name, 128)?;
    let document = required(&call, "PolicyDocument")?;
    policy::check(document, Kind::Identity)?;
    iam.storage
        .update(call.context.account(), name, |role| {
            role.inline.insert(policy_name.to_owned(), document.to_owned());
            let characters: usize =
                role.inline.values().map(|text| text.chars().filter(|c| !c.is_whitespace()).count()).sum();
            if characters > INLINE_CHARACTERS_MAX {
                return Err(errors::limit_exceeded(format!(
                    "Maximum policy size of {INLINE_CHARACTERS_MAX} bytes exceeded for role {name}"
                )));
            }
            Ok(())
        })
        .await?;
    Ok(Answer::empty())
}
