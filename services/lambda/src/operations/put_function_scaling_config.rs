//! PutFunctionScalingConfig (<https://docs.aws.amazon.com/lambda/latest/api/API_PutFunctionScalingConfig.html>) and
//! GetFunctionScalingConfig: how few and how many instances a published version has. AWS takes it for functions on capacity
//! providers only; here every version may have it.

use cumulet_base::limits::FUNCTION_SCALING_MAX;
use cumulet_wire::call::{Answer, Call};
use cumulet_wire::error::ApiError;
use cumulet_wire::validate::Validation;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{FunctionInput, input};
use crate::model::{Row, Scaling};
use crate::names::Named;
use crate::{Lambda, errors, names};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Input {
    function_name: String,
    qualifier: Option<String>,
    function_scaling_config: Option<Wanted>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Wanted {
    min_execution_environments: Option<i64>,
    max_execution_environments: Option<i64>,
}

/// The published version that is named; an alias is none.
fn version_of(context: &cumulet_wire::call::Context, name: &str, qualifier: Option<&str>) -> Result<Named, ApiError> {
    let is_version = |text: &str| text == names::PUBLISHED || text.bytes().all(|b| b.is_ascii_digit());
    let mut checks = Validation::new();
    checks.required("qualifier", qualifier.as_ref()).pattern(
        "qualifier",
        qualifier,
        "(\\$LATEST\\.PUBLISHED|[0-9]+)",
        |text| !text.is_empty() && is_version(text),
    );
    checks.finish("ValidationException")?;
    names::read(context, name, qualifier)
}

pub async fn run(lambda: &Lambda, call: Call) -> Result<Answer, ApiError> {
    let context = call.context.clone();
    let input: Input = input(call)?;
    let named = version_of(&context, &input.function_name, input.qualifier.as_deref())?;
    let wanted = input.function_scaling_config.unwrap_or_default();
    let mut checks = Validation::new();
    for (name, value) in [
        ("functionScalingConfig.minExecutionEnvironments", wanted.min_execution_environments),
        ("functionScalingConfig.maxExecutionEnvironments", wanted.max_execution_environments),
    ] {
        checks.between(name, value, 0, FUNCTION_SCALING_MAX);
    }
    checks.finish("ValidationException")?;
    let number = |value: Option<i64>| value.and_then(|value| u32::try_from(value).ok());
    let scaling =
        Scaling { min: number(wanted.min_execution_environments), max: number(wanted.max_execution_environments) };
    if scaling.max.is_some_and(|max| scaling.min.is_some_and(|min| min > max)) {
        return Err(errors::invalid_parameter(
            "MinExecutionEnvironments must not be greater than MaxExecutionEnvironments.",
        ));
    }
    let is_nothing = scaling == Scaling::default();
    let (_, after) = lambda
        .functions
        .update_row(&named, |row| {
            if let Row::Function(function) = row {
                function.attached.scaling = (!is_nothing).then(|| scaling.clone());
                function.revise(context.now_ms);
            }
            Ok(())
        })
        .await?;
    if let Row::Function(function) = &after {
        lambda.retire(function);
    }
    Answer::json(json!({"FunctionState": "Active"}))
}

pub async fn get(lambda: &Lambda, call: Call) -> Result<Answer, ApiError> {
    let context = call.context.clone();
    let input: FunctionInput = input(call)?;
    let named = version_of(&context, &input.function_name, input.qualifier.as_deref())?;
    let function = lambda.functions.function(&named).await?;
    let shape = function.attached.scaling.as_ref().map_or_else(|| json!({}), shape);
    Answer::json(json!({
        "FunctionArn": named.qualified_arn(),
        "AppliedFunctionScalingConfig": shape,
        "RequestedFunctionScalingConfig": shape,
    }))
}

fn shape(scaling: &Scaling) -> Value {
    let mut shape = json!({});
    for (name, value) in [("MinExecutionEnvironments", scaling.min), ("MaxExecutionEnvironments", scaling.max)] {
        if let Some(value) = value {
            shape[name] = json!(value);
        }
    }
    shape
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use crate::tests::Fixture;

    #[tokio::test]
    async fn how_few_and_how_many() {
        let fixture = Fixture::new();
        fixture.create("f").await.unwrap();
        fixture.call("PublishVersion", json!({"FunctionName": "f"})).await.unwrap();
        let put = |qualifier: &str, config| {
            let input = json!({"FunctionName": "f", "Qualifier": qualifier, "FunctionScalingConfig": config});
            fixture.call("PutFunctionScalingConfig", input)
        };
        let both = json!({"MinExecutionEnvironments": 1, "MaxExecutionEnvironments": 2});
        assert_eq!(put("1", both.clone()).await.unwrap()["FunctionState"], "Active");
        let name = json!({"FunctionName": "f", "Qualifier": "1"});
        let got = fixture.call("GetFunctionScalingConfig", name.clone()).await.unwrap();
        assert_eq!((&got["AppliedFunctionScalingConfig"], &got["RequestedFunctionScalingConfig"]), (&both, &both));
        assert!(got["FunctionArn"].as_str().unwrap().ends_with(":f:1"));
        put("1", json!({})).await.unwrap();
        let got = fixture.call("GetFunctionScalingConfig", name).await.unwrap();
        assert_eq!(got["AppliedFunctionScalingConfig"], json!({}));
        for (qualifier, config, status) in [
            ("9", both.clone(), 404),
            ("alias", both.clone(), 400),
            ("1", json!({"MinExecutionEnvironments": 15_001}), 400),
            ("1", json!({"MaxExecutionEnvironments": -1}), 400),
            ("1", json!({"MinExecutionEnvironments": 3, "MaxExecutionEnvironments": 2}), 400),
        ] {
            assert_eq!(put(qualifier, config).await.unwrap_err().status, status, "{qualifier}");
        }
    }
}
