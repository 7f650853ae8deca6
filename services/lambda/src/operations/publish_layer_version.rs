//! PublishLayerVersion (<https://docs.aws.amazon.com/lambda/latest/api/API_PublishLayerVersion.html>).

use cumulet_base::{id, limits};
use cumulet_wire::call::{Answer, Call};
use cumulet_wire::error::ApiError;
use cumulet_wire::validate::Validation;
use serde::Deserialize;

use super::{code, input};
use crate::layers::{self, LayerVersion};
use crate::model::FORMAT;
use crate::{Lambda, errors};

const LICENSE_MAX: usize = 512;
const RUNTIMES_MAX: usize = 15;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Input {
    layer_name: String,
    description: Option<String>,
    content: Option<code::Source>,
    compatible_runtimes: Option<Vec<String>>,
    compatible_architectures: Option<Vec<String>>,
    license_info: Option<String>,
}

pub async fn run(lambda: &Lambda, call: Call) -> Result<Answer, ApiError> {
    let context = call.context.clone();
    let input: Input = input(call)?;
    let layer = layers::read_name(&context, &input.layer_name)?;
    if layer.account != context.account() || layer.region != context.region {
        return Err(errors::invalid_parameter("A layer is published in the caller's own account and region."));
    }
    let runtimes = input.compatible_runtimes.unwrap_or_default();
    let architectures = input.compatible_architectures.unwrap_or_default();
    let mut checks = Validation::new();
    checks
        .required("content", input.content.as_ref())
        .length("description", input.description.as_deref(), 0, limits::FUNCTION_DESCRIPTION_MAX)
        .length("licenseInfo", input.license_info.as_deref(), 0, LICENSE_MAX)
        .between("compatibleRuntimes.length", i64::try_from(runtimes.len()).ok(), 0, RUNTIMES_MAX as i64);
    for architecture in &architectures {
        checks.one_of("compatibleArchitectures", Some(architecture), &["x86_64", "arm64"]);
    }
    checks.finish("ValidationException")?;
    let stored = lambda.take_code(&context, input.content.unwrap_or_default(), "PublishLayerVersion").await?;
    let version = LayerVersion {
        v: FORMAT,
        account: layer.account,
        region: layer.region,
        name: layer.name,
        version: 0,
        description: input.description.unwrap_or_default(),
        license: input.license_info.unwrap_or_default(),
        runtimes,
        architectures,
        digest: stored.digest,
        bytes: stored.bytes,
        unzipped_bytes: stored.unzipped_bytes,
        created_ms: context.now_ms,
        policy: Vec::new(),
        revision_id: id::uuid(),
    };
    let version = lambda.layers.publish(version).await?;
    Answer::json(version.shape(&lambda.links, &context))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use crate::tests::{Fixture, other_zip, zip};

    #[tokio::test]
    async fn layers_are_published_listed_used_and_deleted() {
        let fixture = Fixture::new();
        let publish = json!({"LayerName": "tools", "Content": {"ZipFile": zip()}, "CompatibleRuntimes": ["nodejs22.x"],
            "CompatibleArchitectures": ["x86_64"], "Description": "d", "LicenseInfo": "MIT"});
        let first = fixture.call("PublishLayerVersion", publish.clone()).await.unwrap();
        let arn = "arn:aws:lambda:us-east-1:000000000000:layer:tools";
        assert_eq!((&first["LayerVersionArn"], &first["Version"]), (&json!(format!("{arn}:1")), &json!(1)));
        let second = json!({"LayerName": arn, "Content": {"ZipFile": other_zip()}});
        assert_eq!(fixture.call("PublishLayerVersion", second).await.unwrap()["Version"], 2);

        let by_name = json!({"LayerName": "tools", "VersionNumber": "1"});
        assert_eq!(fixture.call("GetLayerVersion", by_name.clone()).await.unwrap(), first);
        let by_arn = json!({"Arn": format!("{arn}:1")});
        assert_eq!(fixture.call("GetLayerVersionByArn", by_arn).await.unwrap(), first);
        let list = fixture.call("ListLayerVersions", json!({"LayerName": "tools", "MaxItems": "1"})).await.unwrap();
        assert_eq!(list["LayerVersions"][0]["Version"], 2);
        let next = json!({"LayerName": "tools", "Marker": list["NextMarker"]});
        assert_eq!(fixture.call("ListLayerVersions", next).await.unwrap()["LayerVersions"][0]["Version"], 1);
        let of_node = json!({"CompatibleRuntime": "nodejs22.x"});
        let layers = fixture.call("ListLayers", of_node).await.unwrap();
        assert_eq!(layers["Layers"][0]["LatestMatchingVersion"]["Version"], 1, "only that one names the runtime");
        let of_python = json!({"CompatibleRuntime": "python3.13"});
        assert_eq!(fixture.call("ListLayers", of_python).await.unwrap(), json!({"Layers": []}));

        fixture.create("f").await.unwrap();
        let layers = json!({"FunctionName": "f", "Layers": [format!("{arn}:1")]});
        let changed = fixture.call("UpdateFunctionConfiguration", layers.clone()).await.unwrap();
        assert_eq!(changed["Layers"][0]["Arn"], format!("{arn}:1"));
        fixture.call("DeleteLayerVersion", by_name.clone()).await.unwrap();
        fixture.call("DeleteLayerVersion", by_name.clone()).await.unwrap();
        assert_eq!(fixture.call("GetLayerVersion", by_name).await.unwrap_err().status, 404);
        let kept = fixture.call("GetFunctionConfiguration", json!({"FunctionName": "f"})).await.unwrap();
        assert_eq!(kept["Layers"], changed["Layers"], "a function keeps what it uses");
        assert_eq!(
            fixture.call("UpdateFunctionConfiguration", layers).await.unwrap_err().code,
            "InvalidParameterValueException"
        );
        let third = fixture.call("PublishLayerVersion", publish).await.unwrap();
        assert_eq!(third["Version"], 3);
        for (layers, code) in [
            (json!([format!("{arn}:2"), format!("{arn}:3")]), "InvalidParameterValueException"),
            (json!(["arn:aws:lambda:eu-west-1:000000000000:layer:tools:2"]), "InvalidParameterValueException"),
            (json!(vec![format!("{arn}:2"); 6]), "InvalidParameterValueException"),
            (json!(["tools:2"]), "ValidationException"),
        ] {
            let input = json!({"FunctionName": "f", "Layers": layers});
            assert_eq!(fixture.call("UpdateFunctionConfiguration", input).await.unwrap_err().code, code, "{layers}");
        }
        let none = json!({"FunctionName": "f", "Layers": []});
        assert!(fixture.call("UpdateFunctionConfiguration", none).await.unwrap().get("Layers").is_none());
    }

    #[tokio::test]
    async fn a_layers_policy_comes_and_goes() {
        let fixture = Fixture::new();
        let publish = json!({"LayerName": "tools", "Content": {"ZipFile": zip()}});
        fixture.call("PublishLayerVersion", publish).await.unwrap();
        let name = json!({"LayerName": "tools", "VersionNumber": 1});
        let with = |more: serde_json::Value| {
            let mut input = name.clone();
            input.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            input
        };
        assert_eq!(fixture.call("GetLayerVersionPolicy", name.clone()).await.unwrap_err().status, 404);
        let grant = with(json!({"StatementId": "all", "Action": "lambda:GetLayerVersion", "Principal": "*"}));
        let added = fixture.call("AddLayerVersionPermission", grant.clone()).await.unwrap();
        assert_eq!(fixture.call("AddLayerVersionPermission", grant.clone()).await.unwrap_err().status, 409);
        let policy = fixture.call("GetLayerVersionPolicy", name.clone()).await.unwrap();
        assert_eq!(policy["RevisionId"], added["RevisionId"]);
        assert!(policy["Policy"].as_str().unwrap().contains("layer:tools:1"));
        for (member, value, status) in [
            ("StatementId", json!("a b"), 400),
            ("Action", json!("lambda:InvokeFunction"), 400),
            ("Principal", json!("s3.amazonaws.com"), 400),
            ("RevisionId", json!("other"), 412),
            ("VersionNumber", json!(9), 404),
        ] {
            let mut input = grant.clone();
            input["StatementId"] = json!("next");
            input[member] = value;
            let error = fixture.call("AddLayerVersionPermission", input).await.unwrap_err();
            assert_eq!(error.status, status, "{member}: {error}");
        }
        let remove = with(json!({"StatementId": "all"}));
        fixture.call("RemoveLayerVersionPermission", remove.clone()).await.unwrap();
        assert_eq!(fixture.call("RemoveLayerVersionPermission", remove).await.unwrap_err().status, 404);
    }

    #[tokio::test]
    async fn refusals() {
        let fixture = Fixture::new();
        for (member, value, code) in [
            ("LayerName", json!("a b"), "ValidationException"),
            ("LayerName", json!("arn:aws:lambda:us-east-1:111111111111:layer:x"), "InvalidParameterValueException"),
            ("Content", json!(null), "ValidationException"),
            ("Content", json!({"ZipFile": "bm8="}), "InvalidParameterValueException"),
            ("Description", json!("x".repeat(257)), "ValidationException"),
            ("LicenseInfo", json!("x".repeat(513)), "ValidationException"),
            ("CompatibleRuntimes", json!(vec!["nodejs22.x"; 16]), "ValidationException"),
            ("CompatibleArchitectures", json!(["mips"]), "ValidationException"),
        ] {
            let mut input = json!({"LayerName": "tools", "Content": {"ZipFile": zip()}});
            input[member] = value;
            assert_eq!(fixture.call("PublishLayerVersion", input).await.unwrap_err().code, code, "{member}");
        }
        let missing = json!({"LayerName": "tools", "VersionNumber": 0});
        assert_eq!(fixture.call("GetLayerVersion", missing).await.unwrap_err().code, "ResourceNotFoundException");
        let bad = json!({"LayerName": "tools", "VersionNumber": "x"});
        assert_eq!(fixture.call("GetLayerVersion", bad).await.unwrap_err().code, "SerializationException");
    }
}
