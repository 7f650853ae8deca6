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
    let named = names::read_version(&context, &input.function_name, input.qualifier.as_deref())?;
    let sid = Value::from(input.statement_id.as_str());
    lambda
        .functions
        .update(&named, |function| {
            check_revision(function, input.revision_id.as_deref())?;
            let before = function.policy.len();
            function.policy.retain(|statement| statement["Sid"] != sid);
            if function.policy.len() == before {
                return Err(errors::not_found(format!(
                    "Statement {} is not found in resource policy.",
                    input.statement_id
                )));
            }
            function.touch();
            Ok(())
        })
        .await?;
    Ok(Answer::empty())
}
