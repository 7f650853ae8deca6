//! DeleteFunctionUrlConfig (<https://docs.aws.amazon.com/lambda/latest/api/API_DeleteFunctionUrlConfig.html>); tested
//! with CreateFunctionUrlConfig.

use cumulet_wire::call::{Answer, Call};
use cumulet_wire::error::ApiError;

use super::{FunctionInput, input};
use crate::{Lambda, errors, names};

pub async fn run(lambda: &Lambda, call: Call) -> Result<Answer, ApiError> {
    let context = call.context.clone();
    let input: FunctionInput = input(call)?;
    let named = names::read_url(&context, &input.function_name, input.qualifier.as_deref())?;
    lambda
        .functions
        .update_row(&named, |row| {
            row.attached_mut().url.take().ok_or_else(errors::no_such_resource)?;
            Ok(())
        })
        .await?;
    Ok(Answer::empty())
}
