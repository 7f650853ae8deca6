//! GetPolicy (<https://docs.aws.amazon.com/lambda/latest/api/API_GetPolicy.html>); tested with AddPermission.

use cumulet_wire::call::{Answer, Call};
use cumulet_wire::error::ApiError;
use serde_json::json;

use super::{FunctionInput, input};
use crate::{Lambda, errors, names, policy};

pub async fn run(lambda: &Lambda, call: Call) -> Result<Answer, ApiError> {
    let context = call.context.clone();
    let input: FunctionInput = input(call)?;
    let named = names::read_version(&context, &input.function_name, input.qualifier.as_deref())?;
    let known = lambda.functions.require(&named).await?;
    if known.function.policy.is_empty() {
        return Err(errors::no_such_resource());
    }
    Answer::json(json!({
        "Policy": policy::document(&known.function.policy),
        "RevisionId": known.function.revision_id,
    }))
}
