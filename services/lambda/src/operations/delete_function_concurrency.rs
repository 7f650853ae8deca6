//! DeleteFunctionConcurrency (<https://docs.aws.amazon.com/lambda/latest/api/API_DeleteFunctionConcurrency.html>);
//! tested with PutFunctionConcurrency.

use cumulet_wire::call::{Answer, Call};
use cumulet_wire::error::ApiError;

use super::{FunctionInput, input};
use crate::{Lambda, names};

pub async fn run(lambda: &Lambda, call: Call) -> Result<Answer, ApiError> {
    let context = call.context.clone();
    let input: FunctionInput = input(call)?;
    let named = names::read_latest(&context, &input.function_name)?;
    lambda
        .functions
        .update(&named, |function| {
            function.concurrency_max = None;
            function.touch();
            Ok(())
        })
        .await?;
    lambda.invoker.reserve(&named.account, &named.region);
    Ok(Answer::empty())
}
