//! GetPolicy (<https://docs.aws.amazon.com/lambda/latest/api/API_GetPolicy.html>); tested with AddPermission.

use cumulet_wire::call::{Answer, Call};
use cumulet_wire::error::ApiError;
use serde_json::json;

use super::{FunctionInput, input};
use crate::{Lambda, errors, names};

pub async fn run(lambda: &Lambda, call: Call) -> Result<Answer, ApiError> {
    let context = call.context.clone();
    let input: FunctionInput = input(call)?;
    let named = names::read(&context, &input.function_name, input.qualifier.as_deref())?;
    let known = lambda.functions.require(&named).await?;
    let document = known.document.as_ref().ok_or_else(errors::no_such_resource)?;
    Answer::json(json!({"Policy": document, "RevisionId": known.row.revision_id()}))
}
