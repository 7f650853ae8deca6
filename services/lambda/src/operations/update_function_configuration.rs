//! UpdateFunctionConfiguration (<https://docs.aws.amazon.com/lambda/latest/api/API_UpdateFunctionConfiguration.html>).

use cumulet_wire::call::{Answer, Call};
use cumulet_wire::error::ApiError;
use serde::Deserialize;

use super::create_function::check_size;
use super::{check_revision, code, input};
use crate::settings::Settings;
use crate::{Lambda, errors, names};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Input {
    function_name: String,
    revision_id: Option<String>,
    #[serde(flatten)]
    settings: Settings,
}

pub async fn run(lambda: &Lambda, call: Call) -> Result<Answer, ApiError> {
    let context = call.context.clone();
    let input: Input = input(call)?;
    let named = names::read_latest(&context, &input.function_name)?;
    input.settings.check(lambda.settings.timeout_s_max, lambda.settings.is_lenient)?;
    if input.settings.tenant_isolation().is_some() {
        return Err(errors::invalid_parameter("TenancyConfig can only be set when the function is created."));
    }
    let layers = lambda.layers_of(&context, input.settings.layers.as_deref()).await?;
    let (_, function) = lambda
        .functions
        .update(&named, |function| {
            check_revision(&function.revision_id, input.revision_id.as_deref())?;
            if let Some(layers) = &layers {
                function.layers.clone_from(layers);
            }
            code::check_kind(&input.settings, function.image.is_some())?;
            input.settings.clone().apply(function)?;
            if let Some(runtime) = input.settings.runtime.as_deref() {
                code::architecture(
                    Some(vec![function.architecture.clone()]),
                    Some(runtime),
                    lambda.settings.is_lenient,
                )?;
            }
            check_size(function)?;
            function.revise(context.now_ms);
            Ok(())
        })
        .await?;
    lambda.retire(&function);
    Answer::json(function.configuration(None))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use crate::tests::Fixture;

    #[tokio::test]
    async fn changes_what_is_given() {
        let fixture = Fixture::new();
        fixture.create("f").await.unwrap();
        let input = json!({"FunctionName": "f", "Timeout": 9, "Environment": {"Variables": {"AB": "c"}}});
        let changed = fixture.call("UpdateFunctionConfiguration", input).await.unwrap();
        assert_eq!(
            (&changed["Timeout"], &changed["Environment"]["Variables"]["AB"], &changed["Handler"]),
            (&json!(9), &json!("c"), &json!("index.handler"))
        );
        let error = fixture
            .call("UpdateFunctionConfiguration", json!({"FunctionName": "f", "Timeout": 901}))
            .await
            .unwrap_err();
        assert_eq!(error.code, "ValidationException");
        let empty = json!({"FunctionName": "f", "Environment": {"Variables": {}}});
        let changed = fixture.call("UpdateFunctionConfiguration", empty).await.unwrap();
        assert!(changed.get("Environment").is_none());
    }
}
