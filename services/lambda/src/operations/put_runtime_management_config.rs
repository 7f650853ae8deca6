//! PutRuntimeManagementConfig (<https://docs.aws.amazon.com/lambda/latest/api/API_PutRuntimeManagementConfig.html>) and
//! GetRuntimeManagementConfig: kept and shown. Which interpreter runs is decided by what the machine has.

use cumulet_wire::call::{Answer, Call};
use cumulet_wire::error::ApiError;
use cumulet_wire::validate::Validation;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{FunctionInput, input};
use crate::model::{Function, Row, RuntimeManagement};
use crate::{Lambda, errors, names};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Input {
    function_name: String,
    qualifier: Option<String>,
    update_runtime_on: Option<String>,
    runtime_version_arn: Option<String>,
}

fn shape(function: &Function) -> Value {
    let qualifier = if function.is_latest() { String::new() } else { format!(":{}", function.version) };
    let RuntimeManagement { update_on, version_arn } = &function.runtime_management;
    json!({
        "FunctionArn": format!("{}{qualifier}", function.arn()),
        "UpdateRuntimeOn": update_on,
        "RuntimeVersionArn": version_arn,
    })
}

pub async fn run(lambda: &Lambda, call: Call) -> Result<Answer, ApiError> {
    let context = call.context.clone();
    let input: Input = input(call)?;
    let named = names::read(&context, &input.function_name, input.qualifier.as_deref())?;
    let mut checks = Validation::new();
    checks
        .required("updateRuntimeOn", input.update_runtime_on.as_ref())
        .one_of("updateRuntimeOn", input.update_runtime_on.as_deref(), &["Auto", "Manual", "FunctionUpdate"])
        .length("runtimeVersionArn", input.runtime_version_arn.as_deref(), 26, 2048)
        .pattern(
            "runtimeVersionArn",
            input.runtime_version_arn.as_deref(),
            "arn:(aws[a-zA-Z-]*):lambda:.*::runtime:.+",
            |arn| arn.starts_with("arn:aws") && arn.contains("::runtime:"),
        );
    checks.finish("ValidationException")?;
    let is_manual = input.update_runtime_on.as_deref() == Some("Manual");
    if is_manual != input.runtime_version_arn.is_some() {
        return Err(errors::invalid_parameter(if is_manual {
            "RuntimeVersionArn is required when UpdateRuntimeOn is Manual."
        } else {
            "RuntimeVersionArn can only be set when UpdateRuntimeOn is Manual."
        }));
    }
    let (_, row) = lambda
        .functions
        .update_row(&named, |row| match row {
            Row::Function(function) => {
                function.runtime_management = RuntimeManagement {
                    update_on: input.update_runtime_on.clone().unwrap_or_default(),
                    version_arn: input.runtime_version_arn.clone(),
                };
                Ok(())
            }
            Row::Alias(_) => Err(errors::invalid_parameter("The runtime is a version's, not an alias's.")),
        })
        .await?;
    match &row {
        Row::Function(function) => Answer::json(shape(function)),
        Row::Alias(_) => Ok(Answer::empty()),
    }
}

pub async fn get(lambda: &Lambda, call: Call) -> Result<Answer, ApiError> {
    let context = call.context.clone();
    let input: FunctionInput = input(call)?;
    let named = names::read(&context, &input.function_name, input.qualifier.as_deref())?;
    Answer::json(shape(&lambda.functions.function(&named).await?))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use crate::tests::Fixture;

    #[tokio::test]
    async fn is_kept_and_shown() {
        let fixture = Fixture::new();
        fixture.create("f").await.unwrap();
        let name = json!({"FunctionName": "f"});
        let got = fixture.call("GetRuntimeManagementConfig", name.clone()).await.unwrap();
        assert_eq!((&got["UpdateRuntimeOn"], &got["RuntimeVersionArn"]), (&json!("Auto"), &json!(null)));
        let arn = "arn:aws:lambda:us-east-1::runtime:0123456789abcdef";
        let put = json!({"FunctionName": "f", "UpdateRuntimeOn": "Manual", "RuntimeVersionArn": arn});
        let made = fixture.call("PutRuntimeManagementConfig", put.clone()).await.unwrap();
        assert_eq!(fixture.call("GetRuntimeManagementConfig", name.clone()).await.unwrap(), made);
        let shown = fixture.call("GetFunctionConfiguration", name).await.unwrap();
        assert_eq!(shown["RuntimeVersionConfig"]["RuntimeVersionArn"], arn);
        for (member, value, code) in [
            ("UpdateRuntimeOn", json!("Never"), "ValidationException"),
            ("UpdateRuntimeOn", json!("Auto"), "InvalidParameterValueException"),
            ("RuntimeVersionArn", json!(null), "InvalidParameterValueException"),
            ("RuntimeVersionArn", json!("arn"), "ValidationException"),
            ("FunctionName", json!("g"), "ResourceNotFoundException"),
        ] {
            let mut input = put.clone();
            input[member] = value.clone();
            assert_eq!(
                fixture.call("PutRuntimeManagementConfig", input).await.unwrap_err().code,
                code,
                "{member} {value}"
            );
        }
    }
}
