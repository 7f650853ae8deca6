//! ListFunctionUrlConfigs (<https://docs.aws.amazon.com/lambda/latest/api/API_ListFunctionUrlConfigs.html>): at most
//! one, for aliases are absent. Tested with CreateFunctionUrlConfig.

use cumulet_wire::call::{Answer, Call};
use cumulet_wire::error::ApiError;
use serde_json::{Value, json};

use super::{FunctionInput, input};
use crate::{Lambda, names};

pub async fn run(lambda: &Lambda, call: Call) -> Result<Answer, ApiError> {
    let context = call.context.clone();
    let input: FunctionInput = input(call)?;
    let named = names::read_version(&context, &input.function_name, None)?;
    let known = lambda.functions.require(&named).await?;
    let list: Vec<Value> = known.function.url.iter().map(|url| known.function.url_config(url, &context.host)).collect();
    Answer::json(json!({"FunctionUrlConfigs": list}))
}
