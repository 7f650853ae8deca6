//! UpdateFunctionUrlConfig (<https://docs.aws.amazon.com/lambda/latest/api/API_UpdateFunctionUrlConfig.html>); tested
//! with CreateFunctionUrlConfig.

use cumulet_wire::call::{Answer, Call};
use cumulet_wire::error::ApiError;
use serde::Deserialize;

use super::{UrlSettings, input};
use crate::{Lambda, errors, names};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Input {
    function_name: String,
    qualifier: Option<String>,
    #[serde(flatten)]
    settings: UrlSettings,
}

pub async fn run(lambda: &Lambda, call: Call) -> Result<Answer, ApiError> {
    let context = call.context.clone();
    let input: Input = input(call)?;
    let named = names::read_url(&context, &input.function_name, input.qualifier.as_deref())?;
    input.settings.check()?;
    let (_, row) = lambda
        .functions
        .update_row(&named, |row| {
            let url = row.attached_mut().url.as_mut().ok_or_else(errors::no_such_resource)?;
            if let Some(auth_type) = &input.settings.auth_type {
                url.auth_type.clone_from(auth_type);
            }
            if let Some(cors) = &input.settings.cors {
                url.cors = Some(cors.clone());
            }
            if let Some(mode) = &input.settings.invoke_mode {
                url.invoke_mode.clone_from(mode);
            }
            url.modified_ms = context.now_ms;
            Ok(())
        })
        .await?;
    let url = row.attached().url.as_ref().ok_or_else(errors::no_such_resource)?;
    Answer::json(row.url_config(url, &context.host))
}
