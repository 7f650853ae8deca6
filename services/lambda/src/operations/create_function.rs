//! CreateFunction (<https://docs.aws.amazon.com/lambda/latest/api/API_CreateFunction.html>).

use std::collections::BTreeMap;

use cumulet_base::limits;
use cumulet_wire::call::{Answer, Call};
use cumulet_wire::error::ApiError;
use cumulet_wire::validate::Validation;
use serde::Deserialize;
use serde_json::Value;

use super::{code, input};
use crate::model::{FORMAT, Function, Logging};
use crate::settings::{self, Settings};
use crate::{Lambda, errors, names};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Input {
    function_name: String,
    code: Option<code::Source>,
    publish: Option<bool>,
    package_type: Option<String>,
    architectures: Option<Vec<String>>,
    tags: Option<BTreeMap<String, String>>,
    code_signing_config_arn: Option<String>,
    publish_to: Option<Value>,
    #[serde(flatten)]
    settings: Settings,
}

pub async fn run(lambda: &Lambda, call: Call) -> Result<Answer, ApiError> {
    let context = call.context.clone();
    let input: Input = input(call)?;
    let named = names::read(&context, &input.function_name, None)?;
    if named.qualifier.is_some() {
        return Err(errors::invalid_parameter("The function name of a new function has no qualifier."));
    }
    let mut checks = Validation::new();
    checks.required("role", input.settings.role.as_ref()).required("code", input.code.as_ref()).one_of(
        "packageType",
        input.package_type.as_deref(),
        &["Image", "Zip"],
    );
    checks.finish("ValidationException")?;
    input.settings.check()?;
    if input.package_type.as_deref() == Some("Image") {
        return Err(errors::not_built("PackageType Image (container images)"));
    }
    if input.publish == Some(true) || input.publish_to.is_some() {
        return Err(errors::not_built("Publish (function versions)"));
    }
    if input.code_signing_config_arn.is_some() {
        return Err(errors::not_built("CodeSigningConfigArn"));
    }
    if input.settings.runtime.is_none() || input.settings.handler.is_none() {
        return Err(errors::invalid_parameter(
            "Runtime and Handler are mandatory parameters for functions created with deployment packages.",
        ));
    }
    let architecture = code::architecture(input.architectures)?;
    let tags = input.tags.unwrap_or_default();
    settings::check_tags(&tags)?;
    let is_taken = lambda.functions.find(&named.account, &named.region, &named.name).await?.is_some();
    if is_taken {
        return Err(errors::conflict(format!("Function already exist: {}", named.name)));
    }
    let stored = lambda.take_code(input.code.unwrap_or_default(), "CreateFunction").await?;
    let mut function = Function {
        v: FORMAT,
        logging: Logging {
            format: "Text".to_owned(),
            group: format!("/aws/lambda/{}", named.name),
            application_level: None,
            system_level: None,
        },
        account: named.account,
        region: named.region,
        name: named.name,
        runtime: String::new(),
        handler: String::new(),
        role: String::new(),
        description: String::new(),
        timeout_s: limits::FUNCTION_TIMEOUT_S_DEFAULT,
        memory_mb: limits::FUNCTION_MEMORY_MB_MIN,
        ephemeral_mb: limits::FUNCTION_EPHEMERAL_MB_MIN,
        environment: None,
        architecture: architecture.unwrap_or_else(|| "x86_64".to_owned()),
        tracing_mode: "PassThrough".to_owned(),
        snap_start: "None".to_owned(),
        code_digest: stored.digest,
        code_bytes: stored.bytes,
        modified_ms: 0,
        revision_id: String::new(),
        instance_revision: String::new(),
        concurrency_max: None,
        tags,
        policy: Vec::new(),
        url: None,
    };
    input.settings.apply(&mut function);
    function.revise(context.now_ms);
    let configuration = function.configuration(false);
    let [account, region, name] = [&function.account, &function.region, &function.name].map(String::clone);
    lambda.functions.create(function).await?;
    lambda.invoker.prepare(&account, &region, &name);
    Answer::json(configuration)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use crate::tests::{Fixture, ROLE, zip};

    #[tokio::test]
    async fn creates_once() {
        let fixture = Fixture::new();
        let made = fixture.create("hello").await.unwrap();
        assert_eq!(made["FunctionArn"], "arn:aws:lambda:us-east-1:000000000000:function:hello");
        assert_eq!((&made["State"], &made["Timeout"], &made["MemorySize"]), (&json!("Active"), &json!(3), &json!(128)));
        let again = fixture.create("hello").await.unwrap_err();
        assert_eq!(
            (again.status, again.code.as_str(), again.message.as_str()),
            (409, "ResourceConflictException", "Function already exist: hello")
        );
    }

    #[tokio::test]
    async fn refusals() {
        let fixture = Fixture::new();
        let good = json!({"FunctionName": "f", "Role": ROLE, "Handler": "a.b", "Runtime": "nodejs22.x", "Code": {"ZipFile": zip()}});
        for (member, value, code) in [
            ("Role", json!(null), "ValidationException"),
            ("Code", json!(null), "ValidationException"),
            ("Code", json!({}), "InvalidParameterValueException"),
            ("Code", json!({"ZipFile": "bm8="}), "InvalidParameterValueException"),
            ("Code", json!({"ZipFile": "%"}), "SerializationException"),
            ("Code", json!({"S3Bucket": "b", "S3Key": "k"}), "InvalidParameterValueException"),
            ("Code", json!({"ImageUri": "x"}), "NotImplemented"),
            ("Handler", json!(null), "InvalidParameterValueException"),
            ("PackageType", json!("Image"), "NotImplemented"),
            ("Publish", json!(true), "NotImplemented"),
            ("Timeout", json!("x"), "SerializationException"),
            ("Tags", json!({"aws:x": "y"}), "InvalidParameterValueException"),
            ("Architectures", json!(["mips"]), "ValidationException"),
        ] {
            let mut input = good.clone();
            input[member] = value;
            let error = fixture.call("CreateFunction", input.clone()).await.unwrap_err();
            assert_eq!(error.code, code, "{member}: {error}");
        }
        assert!(fixture.call("CreateFunction", good).await.is_ok());
    }
}
