//! PutProvisionedConcurrencyConfig
//! (<https://docs.aws.amazon.com/lambda/latest/api/API_PutProvisionedConcurrencyConfig.html>): instances of a published
//! version, or of the one an alias names, that are ready before they are called. And what its neighbours show alike.

use cumulet_base::{clock, limits};
use cumulet_wire::call::{Answer, Call};
use cumulet_wire::error::ApiError;
use cumulet_wire::validate::Validation;
use serde::Deserialize;
use serde_json::{Value, json};

use super::input;
use crate::model::{Provisioned, Row};
use crate::names::{At, Named};
use crate::{Lambda, errors, names};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Input {
    function_name: String,
    qualifier: Option<String>,
    provisioned_concurrent_executions: Option<i64>,
}

/// A published version or an alias of one.
pub fn read(call: &cumulet_wire::call::Context, function: &str, qualifier: Option<&str>) -> Result<Named, ApiError> {
    let mut checks = Validation::new();
    checks.required("qualifier", qualifier.as_ref());
    checks.finish("ValidationException")?;
    let named = names::read(call, function, qualifier)?;
    match named.at() {
        At::Latest => Err(errors::invalid_parameter(
            "Provisioned Concurrency Configs cannot be applied to unpublished function versions.",
        )),
        _ => Ok(named),
    }
}

pub fn missing(named: &Named) -> ApiError {
    errors::provisioned_not_found(&named.qualified_arn())
}

/// The version whose instances they are.
pub fn version_of(row: &Row) -> String {
    match row {
        Row::Function(function) => function.version.clone(),
        Row::Alias(alias) => alias.version.clone(),
    }
}

/// What is asked for and what is there.
pub async fn shape(lambda: &Lambda, named: &Named, provisioned: &Provisioned) -> Result<Value, ApiError> {
    let version = lambda.functions.function(named).await?;
    let there = lambda.invoker.instances(&version.instance_revision).min(provisioned.count as usize);
    let is_ready = there >= provisioned.count as usize;
    Ok(json!({
        "RequestedProvisionedConcurrentExecutions": provisioned.count,
        "AvailableProvisionedConcurrentExecutions": there,
        "AllocatedProvisionedConcurrentExecutions": there,
        "Status": if is_ready { "READY" } else { "IN_PROGRESS" },
        "LastModified": clock::iso_ms_offset(provisioned.modified_ms),
    }))
}

pub async fn run(lambda: &Lambda, call: Call) -> Result<Answer, ApiError> {
    let context = call.context.clone();
    let input: Input = input(call)?;
    let named = read(&context, &input.function_name, input.qualifier.as_deref())?;
    let wanted = input.provisioned_concurrent_executions;
    let mut checks = Validation::new();
    checks.required("provisionedConcurrentExecutions", wanted.as_ref()).between(
        "provisionedConcurrentExecutions",
        wanted,
        1,
        i64::from(u32::MAX),
    );
    checks.finish("ValidationException")?;
    let count = u32::try_from(wanted.unwrap_or_default()).unwrap_or(u32::MAX);
    let function = lambda.functions.function(&named.unqualified()).await?;
    if let Some(max) = function.concurrency_max.filter(|max| *max < count) {
        return Err(errors::invalid_parameter(format!(
            "Requested Provisioned Concurrency should not be greater than the reservedConcurrentExecution for function ({max})"
        )));
    }
    if count as usize > limits::FUNCTION_PROVISIONED_MAX {
        return Err(errors::invalid_parameter(format!(
            "Specified ConcurrentExecutions for function is greater than account's unreserved concurrency [{}].",
            limits::FUNCTION_PROVISIONED_MAX
        )));
    }
    if matches!(lambda.functions.require(&named).await?.row, Row::Alias(ref alias) if alias.version == names::LATEST) {
        return Err(errors::invalid_parameter(
            "Alias with weights can not be used with Provisioned Concurrency on $LATEST.",
        ));
    }
    let provisioned = Provisioned { count, modified_ms: context.now_ms };
    let (_, row) = lambda
        .functions
        .update_row(&named, |row| {
            row.attached_mut().provisioned = Some(provisioned.clone());
            Ok(())
        })
        .await?;
    lambda.prepare_at(&named, &version_of(&row));
    Answer::json(shape(lambda, &named, &provisioned).await?)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use crate::tests::Fixture;

    #[tokio::test]
    async fn a_configuration_comes_and_goes() {
        let fixture = Fixture::new();
        fixture.create("f").await.unwrap();
        fixture.call("PublishVersion", json!({"FunctionName": "f"})).await.unwrap();
        fixture
            .call("CreateAlias", json!({"FunctionName": "f", "Name": "live", "FunctionVersion": "1"}))
            .await
            .unwrap();
        let name = json!({"FunctionName": "f", "Qualifier": "live"});
        let missing = fixture.call("GetProvisionedConcurrencyConfig", name.clone()).await.unwrap_err();
        assert_eq!((missing.status, missing.code.as_str()), (404, "ProvisionedConcurrencyConfigNotFoundException"));
        let put = json!({"FunctionName": "f", "Qualifier": "live", "ProvisionedConcurrentExecutions": 2});
        let made = fixture.call("PutProvisionedConcurrencyConfig", put.clone()).await.unwrap();
        assert_eq!(
            (&made["Status"], &made["RequestedProvisionedConcurrentExecutions"]),
            (&json!("IN_PROGRESS"), &json!(2))
        );
        let version = fixture.resolve("f", Some("1")).await;
        assert_eq!(version.provisioned(), 2);
        let list = fixture.call("ListProvisionedConcurrencyConfigs", json!({"FunctionName": "f"})).await.unwrap();
        assert_eq!(
            list["ProvisionedConcurrencyConfigs"][0]["FunctionArn"],
            "arn:aws:lambda:us-east-1:000000000000:function:f:live"
        );
        fixture.call("DeleteProvisionedConcurrencyConfig", name.clone()).await.unwrap();
        assert_eq!(fixture.resolve("f", Some("1")).await.provisioned(), 0);
        assert_eq!(fixture.call("DeleteProvisionedConcurrencyConfig", name).await.unwrap_err().status, 404);
        for (member, value, code) in [
            ("Qualifier", json!("$LATEST"), "InvalidParameterValueException"),
            ("Qualifier", json!(null), "ValidationException"),
            ("Qualifier", json!("9"), "ResourceNotFoundException"),
            ("ProvisionedConcurrentExecutions", json!(0), "ValidationException"),
            ("ProvisionedConcurrentExecutions", json!(100_000), "InvalidParameterValueException"),
        ] {
            let mut input = put.clone();
            input[member] = value.clone();
            let error = fixture.call("PutProvisionedConcurrencyConfig", input).await.unwrap_err();
            assert_eq!(error.code, code, "{member} {value}");
        }
    }
}
