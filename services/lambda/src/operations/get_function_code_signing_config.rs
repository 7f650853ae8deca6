//! GetFunctionCodeSigningConfig (<https://docs.aws.amazon.com/lambda/latest/api/API_GetFunctionCodeSigningConfig.html>):
//! no function has one, and Terraform asks every function.

use cumulet_wire::call::{Answer, Call};
use cumulet_wire::error::ApiError;
use serde_json::json;

use super::{FunctionInput, input};
use crate::{Lambda, names};

pub async fn run(lambda: &Lambda, call: Call) -> Result<Answer, ApiError> {
    let context = call.context.clone();
    let input: FunctionInput = input(call)?;
    let named = names::read_latest(&context, &input.function_name)?;
    lambda.functions.require(&named).await?;
    Answer::json(json!({"FunctionName": named.name}))
}
