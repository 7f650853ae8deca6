//! GetFunctionConcurrency (<https://docs.aws.amazon.com/lambda/latest/api/API_GetFunctionConcurrency.html>); tested
//! with PutFunctionConcurrency.

use cumulet_wire::call::{Answer, Call};
use cumulet_wire::error::ApiError;
use serde_json::json;

use super::{FunctionInput, input};
use crate::{Lambda, names};

pub async fn run(lambda: &Lambda, call: Call) -> Result<Answer, ApiError> {
    let context = call.context.clone();
    let input: FunctionInput = input(call)?;
    let named = names::read_latest(&context, &input.function_name)?;
    Answer::json(match lambda.functions.function(&named).await?.concurrency_max {
        Some(max) => json!({"ReservedConcurrentExecutions": max}),
        None => json!({}),
    })
}
