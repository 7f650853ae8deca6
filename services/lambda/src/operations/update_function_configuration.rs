//! UpdateFunctionConfiguration (<https://docs.aws.amazon.com/lambda/latest/api/API_UpdateFunctionConfiguration.html>).

use cumulet_wire::call::{Answer, Call};
use cumulet_wire::error::ApiError;
use serde::Deserialize;

use super::{check_revision, input};
use crate::settings::Settings;
use crate::{Lambda, names};

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
    let named = names::read_version(&context, &input.function_name, None)?;
    input.settings.check()?;
    let (_, function) = lambda
        .functions
        .update(&named, |function| {
            check_revision(function, input.revision_id.as_deref())?;
            input.settings.clone().apply(function);
            function.revise(context.now_ms);
            Ok(())
        })
        .await?;
    lambda.retire(&function);
    Answer::json(function.configuration(false))
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
