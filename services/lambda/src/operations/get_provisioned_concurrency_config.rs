//! GetProvisionedConcurrencyConfig
//! (<https://docs.aws.amazon.com/lambda/latest/api/API_GetProvisionedConcurrencyConfig.html>) and
//! DeleteProvisionedConcurrencyConfig; tested with PutProvisionedConcurrencyConfig.

use cumulet_wire::call::{Answer, Call};
use cumulet_wire::error::ApiError;

use super::put_provisioned_concurrency_config::{missing, read, shape, version_of};
use super::{FunctionInput, input};
use crate::Lambda;

pub async fn run(lambda: &Lambda, call: Call) -> Result<Answer, ApiError> {
    let context = call.context.clone();
    let input: FunctionInput = input(call)?;
    let named = read(&context, &input.function_name, input.qualifier.as_deref())?;
    let known = lambda.functions.require(&named).await?;
    let provisioned = known.attached().provisioned.as_ref().ok_or_else(|| missing(&named))?;
    Answer::json(shape(lambda, &named, provisioned).await?)
}

pub async fn delete(lambda: &Lambda, call: Call) -> Result<Answer, ApiError> {
    let context = call.context.clone();
    let input: FunctionInput = input(call)?;
    let named = read(&context, &input.function_name, input.qualifier.as_deref())?;
    let (_, row) = lambda
        .functions
        .update_row(&named, |row| {
            row.attached_mut().provisioned.take().ok_or_else(|| missing(&named))?;
            Ok(())
        })
        .await?;
    lambda.prepare_at(&named, &version_of(&row));
    Ok(Answer::empty())
}
