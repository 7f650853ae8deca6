//! CreateFunction (<https://docs.aws.amazon.com/lambda/latest/api/API_CreateFunction.html>).

use std::collections::BTreeMap;

use cumulet_base::limits;
use cumulet_wire::call::{Answer, Call};
use cumulet_wire::error::ApiError;
use cumulet_wire::validate::Validation;
use serde::Deserialize;

use super::publish_version::is_unnumbered;
use super::{code, input};
use crate::model::{Attached, FORMAT, Function, Logging, RuntimeManagement};
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
    publish_to: Option<String>,
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
    input.settings.check(lambda.settings.timeout_s_max, lambda.settings.is_lenient)?;
    let is_image = input.package_type.as_deref() == Some("Image");
    code::check_kind(&input.settings, is_image)?;
    let is_unnumbered = is_unnumbered(input.publish_to.as_deref())?;
    if input.code_signing_config_arn.is_some() {
        return Err(errors::not_built("CodeSigningConfigArn"));
    }
    if !is_image && (input.settings.runtime.is_none() || input.settings.handler.is_none()) {
        return Err(errors::invalid_parameter(
            "Runtime and Handler are mandatory parameters for functions created with deployment packages.",
        ));
    }
    let architecture = code::architecture(
        input.architectures,
        input.settings.runtime.as_deref().filter(|_| !is_image),
        lambda.settings.is_lenient,
    )?;
    let tags = input.tags.unwrap_or_default();
    settings::check_tags(&tags)?;
    let is_taken = lambda.functions.find(&named.account, &named.region, &named.name).await?.is_some();
    if is_taken {
        return Err(errors::conflict(format!("Function already exist: {}", named.name)));
    }
    let layers = lambda.layers_of(&context, input.settings.layers.as_deref()).await?.unwrap_or_default();
    let architecture = architecture.unwrap_or_else(|| code::own_architecture().to_owned());
    let source = input.code.unwrap_or_default();
    let (stored, image) = lambda.take_source(&context, source, is_image, &architecture, "CreateFunction").await?;
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
        version: names::LATEST.to_owned(),
        runtime: String::new(),
        handler: String::new(),
        role: String::new(),
        description: String::new(),
        timeout_s: limits::FUNCTION_TIMEOUT_S_DEFAULT,
        memory_mb: limits::FUNCTION_MEMORY_MB_MIN,
        ephemeral_mb: limits::FUNCTION_EPHEMERAL_MB_MIN,
        environment: None,
        sealed_environment: None,
        architecture,
        tracing_mode: "PassThrough".to_owned(),
        snap_start: "None".to_owned(),
        code_digest: stored.digest,
        code_bytes: stored.bytes,
        code_unzipped_bytes: stored.unzipped_bytes,
        layers,
        dead_letter: None,
        vpc: None,
        tenant_isolation: input.settings.tenant_isolation(),
        image,
        image_config: None,
        file_system: None,
        runtime_management: RuntimeManagement::default(),
        modified_ms: 0,
        revision_id: String::new(),
        instance_revision: String::new(),
        description_before: String::new(),
        last_version: 0,
        recursion: None,
        concurrency_max: None,
        tags,
        attached: Attached::default(),
    };
    input.settings.apply(&mut function)?;
    check_size(&function)?;
    function.revise(context.now_ms);
    let published = if is_unnumbered {
        Some(function.snapshot(names::PUBLISHED.to_owned(), None, context.now_ms))
    } else if input.publish == Some(true) {
        function.last_version = 1;
        Some(function.snapshot("1".to_owned(), None, context.now_ms))
    } else {
        None
    };
    lambda.functions.create(function.clone(), published.clone()).await?;
    lambda.prepare(&function);
    let Some(published) = published else { return Answer::json(function.configuration(None)) };
    lambda.prepare(&published);
    Answer::json(lambda.shown(&published, Some(&published.version)).await)
}

/// Code and layers together, unpacked.
pub fn check_size(function: &Function) -> Result<(), ApiError> {
    let layers: u64 = function.layers.iter().map(|layer| layer.unzipped_bytes).sum();
    let bytes = function.code_unzipped_bytes + layers;
    if layers > 0 && bytes > limits::CODE_UNZIPPED_BYTES_MAX {
        return Err(errors::invalid_parameter(format!(
            "Function code combined with layers exceeds the maximum allowed size of {} bytes. The actual size is {bytes} bytes.",
            limits::CODE_UNZIPPED_BYTES_MAX
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use crate::tests::{Fixture, ROLE, zip};

    #[tokio::test]
    async fn a_layer_of_another_account() {
        let fixture = Fixture::new();
        let input = |account: &str| {
            json!({
                "FunctionName": "f", "Runtime": "nodejs22.x", "Handler": "index.handler", "Role": ROLE,
                "Code": {"ZipFile": zip()}, "Layers": [format!("arn:aws:lambda:us-east-1:{account}:layer:tools:1")],
            })
        };
        for (account, is_other) in [("000000000000", false), ("017000801446", true)] {
            let refused = fixture.call("CreateFunction", input(account)).await.unwrap_err().message;
            assert!(refused.contains("tools:1 does not exist."), "{refused}");
            assert_eq!(refused.contains("publish the layer in this account"), is_other, "{refused}");
        }
    }

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

    /// What no interpreter here is made for is taken only where the operator lets the nearest one run it.
    #[tokio::test]
    async fn former_runtimes_and_other_machines() {
        let mut fixture = Fixture::new();
        let other = if cfg!(target_arch = "x86_64") { "arm64" } else { "x86_64" };
        let input = |name: &str, runtime: &str, architecture: &str| {
            json!({"FunctionName": name, "Role": ROLE, "Handler": "a.b", "Runtime": runtime, "Code": {"ZipFile": zip()},
                "Architectures": [architecture]})
        };
        let own = crate::operations::code::own_architecture();
        let error = fixture.call("CreateFunction", input("f", "nodejs12.x", own)).await.unwrap_err();
        assert!(error.message.contains("no longer supported"), "{error:?}");
        let error = fixture.call("CreateFunction", input("f", "python3.12", other)).await.unwrap_err();
        assert!(error.message.contains("--lenient-versions"), "{error:?}");
        fixture.lambda.settings.is_lenient = true;
        for (name, runtime, architecture) in
            [("a", "nodejs12.x", own), ("b", "python3.7", other), ("c", "ruby2.7", own)]
        {
            let made = fixture.call("CreateFunction", input(name, runtime, architecture)).await.unwrap();
            assert_eq!((&made["Runtime"], &made["Architectures"]), (&json!(runtime), &json!([architecture])));
        }
        let update = json!({"FunctionName": "b", "ZipFile": zip(), "Architectures": [other]});
        assert_eq!(fixture.call("UpdateFunctionCode", update).await.unwrap()["Architectures"], json!([other]));
        let error = fixture.call("CreateFunction", input("d", "provided.al2023", other)).await.unwrap_err();
        assert!(error.message.contains("cannot run functions"), "{error:?}");
        let bare = json!({"FunctionName": "b", "Runtime": "provided.al2023"});
        let error = fixture.call("UpdateFunctionConfiguration", bare).await.unwrap_err();
        assert!(error.message.contains("cannot run functions"), "{error:?}");
        let error = fixture.call("CreateFunction", input("e", "nodejs3.x", own)).await.unwrap_err();
        assert!(error.message.contains("enum value set"), "{error:?}");
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
            ("Code", json!({"S3Bucket": "b", "S3Key": "k"}), "NotImplemented"),
            ("Code", json!({"ImageUri": "x"}), "InvalidParameterValueException"),
            ("Handler", json!(null), "InvalidParameterValueException"),
            ("PackageType", json!("Image"), "InvalidParameterValueException"),
            (
                "Architectures",
                json!([if cfg!(target_arch = "x86_64") { "arm64" } else { "x86_64" }]),
                "InvalidParameterValueException",
            ),
            ("FileSystemConfigs", json!([{"Arn": "arn:aws:efs", "LocalMountPath": "/mnt/x"}]), "ValidationException"),
            ("Runtime", json!("java21"), "NotImplemented"),
            ("PublishTo", json!("ELSEWHERE"), "ValidationException"),
            ("Layers", json!(["nothing"]), "ValidationException"),
            ("Layers", json!(["arn:aws:lambda:us-east-1:000000000000:layer:no:1"]), "InvalidParameterValueException"),
            ("CodeSigningConfigArn", json!("arn:x"), "NotImplemented"),
            ("Timeout", json!("x"), "SerializationException"),
            ("Tags", json!({"aws:x": "y"}), "InvalidParameterValueException"),
            ("Architectures", json!(["mips"]), "ValidationException"),
        ] {
            let mut input = good.clone();
            input[member] = value;
            let error = fixture.call("CreateFunction", input.clone()).await.unwrap_err();
            assert_eq!(error.code, code, "{member}: {error}");
        }
        let mut published = good;
        published["Publish"] = json!(true);
        assert_eq!(fixture.call("CreateFunction", published).await.unwrap()["Version"], "1");
        assert!(fixture.call("GetFunction", json!({"FunctionName": "f:1"})).await.is_ok());
    }
}
