//! UpdateAlias (<https://docs.aws.amazon.com/lambda/latest/api/API_UpdateAlias.html>); tested with CreateAlias.

use cumulet_wire::call::{Answer, Call};
use cumulet_wire::error::ApiError;

use super::create_alias::{AliasSettings, alias_of, check_versions};
use super::{check_revision, input};
use crate::model::Row;
use crate::{Lambda, errors, names};

pub async fn run(lambda: &Lambda, call: Call) -> Result<Answer, ApiError> {
    let context = call.context.clone();
    let input: AliasSettings = input(call)?;
    let function = names::read_latest(&context, &input.function_name)?;
    let named = alias_of(&function, input.name.as_deref().unwrap_or_default())?;
    input.check()?;
    let missing = || errors::alias_not_found(&named.qualified_arn());
    let known = lambda.functions.require(&named).await.map_err(|_| missing())?;
    let Row::Alias(before) = &known.row else { return Err(missing()) };
    let version = input.function_version.as_ref().unwrap_or(&before.version);
    let weights = input.weights().unwrap_or_else(|| before.weights.clone());
    check_versions(lambda, &function, version, &weights).await?;
    let (before, after) = lambda
        .functions
        .update_row(&named, |row| {
            check_revision(row.revision_id(), input.revision_id.as_deref())?;
            row.touch();
            let Row::Alias(alias) = row else { return Err(missing()) };
            if let Some(version) = &input.function_version {
                alias.version.clone_from(version);
            }
            if let Some(weights) = input.weights() {
                alias.weights = weights;
            }
            if let Some(description) = &input.description {
                alias.description.clone_from(description);
            }
            Ok(())
        })
        .await?;
    let (Row::Alias(before), Row::Alias(alias)) = (before, after) else { return Err(missing()) };
    if alias.attached.provisioned.is_some() && before.version != alias.version {
        lambda.prepare_at(&named, &before.version);
        lambda.prepare_at(&named, &alias.version);
    }
    Answer::json(alias.configuration())
}
