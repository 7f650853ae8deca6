//! RemovePermission (<https://docs.aws.amazon.com/lambda/latest/api/API_RemovePermission.html>); tested with AddPermission.

use cumulet_wire::call::{Answer, Call};
use cumulet_wire::error::ApiError;
use serde::Deserialize;
use serde_json::Value;

use super::{check_revision, input};
use crate::{Lambda, errors, names};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Input {
    function_name: String,
    statement_id: String,
    qualifier: Option<String>,
    revision_id: Option<String>,
}

pub async fn run(lambda: &Lambda, call: Call) -> Result<Answer, ApiError> {
    let context = call.context.clone();
    let input: Input = input(call)?;
    let named = names::read(&context, &input.function_name, input.qualifier.as_deref())?;
    let sid = Value::from(input.statement_id.as_str());
    lambda
        .functions
        .update_row(&named, |row| {
            check_revision(row.revision_id(), input.revision_id.as_deref())?;
            let policy = &mut row.attached_mut().policy;
            let before = policy.len();
            policy.retain(|statement| statement["Sid"] != sid);
            if policy.len() == before {
                return Err(errors::not_found(format!(
                    "Statement {} is not found in resource policy.",
                    input.statement_id
                )));
            }
            row.touch();
            Ok(())
        })
        .await?;
    Ok(Answer::empty())
}
