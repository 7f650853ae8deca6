//! GetFunctionEventInvokeConfig (<https://docs.aws.amazon.com/lambda/latest/api/API_GetFunctionEventInvokeConfig.html>) and
//! DeleteFunctionEventInvokeConfig; tested with PutFunctionEventInvokeConfig.

use cumulet_wire::call::{Answer, Call};
use cumulet_wire::error::ApiError;

use super::put_function_event_invoke_config::{missing, shape};
use super::{FunctionInput, input};
use crate::{Lambda, names};

pub async fn run(lambda: &Lambda, call: Call) -> Result<Answer, ApiError> {
    let context = call.context.clone();
    let input: FunctionInput = input(call)?;
    let named = names::read(&context, &input.function_name, input.qualifier.as_deref())?;
    let known = lambda.functions.require(&named).await?;
    let config = known.attached().event_invoke.as_ref().ok_or_else(|| missing(&named))?;
    Answer::json(shape(&known.row, config))
}

pub async fn delete(lambda: &Lambda, call: Call) -> Result<Answer, ApiError> {
    let context = call.context.clone();
    let input: FunctionInput = input(call)?;
    let named = names::read(&context, &input.function_name, input.qualifier.as_deref())?;
    lambda
        .functions
        .update_row(&named, |row| {
            row.attached_mut().event_invoke.take().ok_or_else(|| missing(&named))?;
            Ok(())
        })
        .await?;
    Ok(Answer::empty())
}
