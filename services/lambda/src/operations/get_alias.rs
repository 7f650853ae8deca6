//! GetAlias (<https://docs.aws.amazon.com/lambda/latest/api/API_GetAlias.html>); tested with CreateAlias.

use cumulet_wire::call::{Answer, Call};
use cumulet_wire::error::ApiError;
use serde::Deserialize;

use super::create_alias::alias_of;
use super::input;
use crate::model::Row;
use crate::{Lambda, errors, names};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct AliasInput {
    pub function_name: String,
    pub name: String,
}

pub async fn run(lambda: &Lambda, call: Call) -> Result<Answer, ApiError> {
    let context = call.context.clone();
    let input: AliasInput = input(call)?;
    let named = alias_of(&names::read_latest(&context, &input.function_name)?, &input.name)?;
    match lambda.functions.require(&named).await {
        Ok(known) => match &known.row {
            Row::Alias(alias) => Answer::json(alias.configuration()),
            Row::Function(_) => Err(errors::alias_not_found(&named.qualified_arn())),
        },
        Err(error) if error.status == 404 => Err(errors::alias_not_found(&named.qualified_arn())),
        Err(error) => Err(error),
    }
}
