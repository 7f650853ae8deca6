//! GetFunctionUrlConfig (<https://docs.aws.amazon.com/lambda/latest/api/API_GetFunctionUrlConfig.html>); tested with
//! CreateFunctionUrlConfig.

use cumulet_wire::call::{Answer, Call};
use cumulet_wire::error::ApiError;

use super::{FunctionInput, input};
use crate::{Lambda, errors, names};

pub async fn run(lambda: &Lambda, call: Call) -> Result<Answer, ApiError> {
    let context = call.context.clone();
    let input: FunctionInput = input(call)?;
    let named = names::read_url(&context, &input.function_name, input.qualifier.as_deref())?;
    let known = lambda.functions.require(&named).await?;
    let url = known.attached().url.as_ref().ok_or_else(errors::no_such_resource)?;
    Answer::json(known.row.url_config(url, &context.host))
}
