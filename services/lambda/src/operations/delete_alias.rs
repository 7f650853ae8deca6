//! DeleteAlias (<https://docs.aws.amazon.com/lambda/latest/api/API_DeleteAlias.html>): one that is not there is as good as
//! deleted, as on AWS. Tested with CreateAlias.

use cumulet_wire::call::{Answer, Call};
use cumulet_wire::error::ApiError;

use super::create_alias::alias_of;
use super::get_alias::AliasInput;
use super::input;
use crate::{Lambda, names};

pub async fn run(lambda: &Lambda, call: Call) -> Result<Answer, ApiError> {
    let context = call.context.clone();
    let input: AliasInput = input(call)?;
    let function = names::read_latest(&context, &input.function_name)?;
    let named = alias_of(&function, &input.name)?;
    lambda.functions.require(&function).await?;
    match lambda.functions.delete(&named).await {
        Err(error) if error.status != 404 => Err(error),
        _ => Ok(Answer::empty()),
    }
}
