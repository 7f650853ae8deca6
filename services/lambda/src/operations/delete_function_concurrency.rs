//! DeleteFunctionConcurrency (<https://docs.aws.amazon.com/lambda/latest/api/API_DeleteFunctionConcurrency.html>);
//! tested with PutFunctionConcurrency.

use cumulet_wire::call::{Answer, Call};
use cumulet_wire::error::ApiError;

use super::{FunctionInput, input};
use crate::{Lambda, names};

pub async fn run(lambda: &Lambda, call: Call) -> Result<Answer, ApiError> {
    let context = call.context.clone();
    let input: FunctionInput = input(call)?;
    let named = names::read_version(&context, &input.function_name, None)?;
    let (_, function) = lambda
        .functions
        .update(&named, |function| {
            let modified_ms = function.modified_ms;
            function.concurrency_max = None;
            function.revise(modified_ms);
            Ok(())
        })
        .await?;
    lambda.retire(&function);
    Ok(Answer::empty())
}
