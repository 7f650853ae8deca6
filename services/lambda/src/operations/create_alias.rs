//! CreateAlias (<https://docs.aws.amazon.com/lambda/latest/api/API_CreateAlias.html>), and what UpdateAlias checks alike.

use std::collections::BTreeMap;

use cumulet_base::{id, limits};
use cumulet_wire::call::{Answer, Call};
use cumulet_wire::error::ApiError;
use cumulet_wire::validate::Validation;
use serde::Deserialize;

use super::input;
use crate::model::{Alias, Attached, FORMAT};
use crate::names::{At, LATEST, Named, PUBLISHED};
use crate::{Lambda, errors, names};

const ALIAS_MAX: usize = 128;

/// What an alias is asked to be.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct AliasSettings {
    pub function_name: String,
    pub name: Option<String>,
    pub function_version: Option<String>,
    pub description: Option<String>,
    pub routing_config: Option<Routing>,
    pub revision_id: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Routing {
    pub additional_version_weights: Option<BTreeMap<String, f64>>,
}

fn is_version(text: &str) -> bool {
    text == LATEST || text == PUBLISHED || !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

fn is_alias(text: &str) -> bool {
    let is_word = text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    is_word && !text.is_empty() && !text.bytes().all(|b| b.is_ascii_digit())
}

impl AliasSettings {
    pub fn check(&self) -> Result<(), ApiError> {
        let mut checks = Validation::new();
        checks
            .length("name", self.name.as_deref(), 1, ALIAS_MAX)
            .pattern("name", self.name.as_deref(), "(?!^[0-9]+$)([a-zA-Z0-9-_]+)", is_alias)
            .pattern(
                "functionVersion",
                self.function_version.as_deref(),
                "(\\$LATEST(\\.PUBLISHED)?|[0-9]+)",
                is_version,
            )
            .length("description", self.description.as_deref(), 0, limits::FUNCTION_DESCRIPTION_MAX);
        checks.finish("ValidationException")
    }

    pub fn weights(&self) -> Option<BTreeMap<String, f64>> {
        Some(self.routing_config.as_ref()?.additional_version_weights.clone().unwrap_or_default())
    }
}

/// The versions must be there, and a share of the invocations is for published ones only
/// (<https://docs.aws.amazon.com/lambda/latest/dg/configuring-alias-routing.html>).
pub async fn check_versions(
    lambda: &Lambda,
    named: &Named,
    version: &str,
    weights: &BTreeMap<String, f64>,
) -> Result<(), ApiError> {
    if weights.len() > 1 {
        return Err(errors::invalid_parameter("Number of items in AdditionalVersionWeights cannot be greater than 1"));
    }
    for (other, weight) in weights {
        if !(0.0..=1.0).contains(weight) {
            return Err(errors::invalid_parameter("AdditionalVersionWeights must be between 0.0 and 1.0"));
        }
        if other == version {
            return Err(errors::invalid_parameter(format!(
                "Invalid function version {other}. Function version {other} is already included in routing configuration."
            )));
        }
        if [other.as_str(), version].contains(&LATEST) {
            return Err(errors::invalid_parameter(
                "$LATEST is not supported for an alias pointing to more than 1 version",
            ));
        }
        if !is_version(other) {
            return Err(errors::invalid_parameter(format!("Invalid function version {other}.")));
        }
    }
    for version in weights.keys().map(String::as_str).chain([version]) {
        let version = Named { qualifier: Some(version.to_owned()), ..named.clone() };
        lambda.functions.require(&version).await?;
    }
    Ok(())
}

/// The function, with the alias as its qualifier.
pub fn alias_of(named: &Named, alias: &str) -> Result<Named, ApiError> {
    match At::of(Some(alias)) {
        At::Alias(_) => Ok(Named { qualifier: Some(alias.to_owned()), ..named.clone() }),
        _ => Err(errors::alias_not_found(&format!("{}:{alias}", named.arn()))),
    }
}

pub async fn run(lambda: &Lambda, call: Call) -> Result<Answer, ApiError> {
    let context = call.context.clone();
    let input: AliasSettings = input(call)?;
    let named = names::read_latest(&context, &input.function_name)?;
    let mut checks = Validation::new();
    checks.required("name", input.name.as_ref()).required("functionVersion", input.function_version.as_ref());
    checks.finish("ValidationException")?;
    input.check()?;
    let weights = input.weights().unwrap_or_default();
    let version = input.function_version.unwrap_or_default();
    check_versions(lambda, &named, &version, &weights).await?;
    let alias = Alias {
        v: FORMAT,
        account: named.account,
        region: named.region,
        name: named.name,
        alias: input.name.unwrap_or_default(),
        version,
        description: input.description.unwrap_or_default(),
        weights,
        revision_id: id::uuid(),
        attached: Attached::default(),
    };
    lambda.functions.create_alias(&alias).await?;
    Answer::json(alias.configuration())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use bytes::Bytes;
    use serde_json::{Value, json};

    use crate::tests::Fixture;

    async fn with_versions() -> Fixture {
        let fixture = Fixture::new();
        fixture.create("f").await.unwrap();
        for timeout in [1, 2] {
            fixture
                .call("UpdateFunctionConfiguration", json!({"FunctionName": "f", "Timeout": timeout}))
                .await
                .unwrap();
            fixture.call("PublishVersion", json!({"FunctionName": "f"})).await.unwrap();
        }
        fixture
    }

    #[tokio::test]
    async fn an_alias_comes_moves_and_goes() {
        let fixture = with_versions().await;
        let input = json!({"FunctionName": "f", "Name": "live", "FunctionVersion": "1"});
        let made = fixture.call("CreateAlias", input.clone()).await.unwrap();
        assert_eq!(made["AliasArn"], "arn:aws:lambda:us-east-1:000000000000:function:f:live");
        assert_eq!(fixture.call("CreateAlias", input).await.unwrap_err().status, 409);
        let invoke = json!({"FunctionName": "f:live"});
        let version = |answer: cumulet_wire::call::Answer| answer.headers[0].1.clone();
        let answer = fixture.call_raw("Invoke", invoke.clone(), Bytes::new()).await.unwrap();
        assert_eq!(version(answer), "1");
        let got = fixture.call("GetFunctionConfiguration", json!({"FunctionName": "f:live"})).await.unwrap();
        assert_eq!((&got["Version"], &got["FunctionArn"]), (&json!("1"), &made["AliasArn"]));

        let referenced = fixture.call("DeleteFunction", json!({"FunctionName": "f:1"})).await.unwrap_err();
        assert_eq!((referenced.status, referenced.code.as_str()), (409, "ResourceConflictException"));
        let update =
            json!({"FunctionName": "f", "Name": "live", "FunctionVersion": "2", "RevisionId": made["RevisionId"]});
        let moved = fixture.call("UpdateAlias", update.clone()).await.unwrap();
        assert_eq!(fixture.call("UpdateAlias", update).await.unwrap_err().status, 412);
        assert_eq!(moved["FunctionVersion"], "2");
        let answer = fixture.call_raw("Invoke", invoke.clone(), Bytes::new()).await.unwrap();
        assert_eq!(version(answer), "2");
        fixture.call("DeleteFunction", json!({"FunctionName": "f:1"})).await.unwrap();

        let name = json!({"FunctionName": "f", "Name": "live"});
        assert_eq!(fixture.call("GetAlias", name.clone()).await.unwrap(), moved);
        fixture.call("DeleteAlias", name.clone()).await.unwrap();
        fixture.call("DeleteAlias", name.clone()).await.unwrap();
        assert_eq!(fixture.call("GetAlias", name).await.unwrap_err().status, 404);
        assert_eq!(fixture.call_raw("Invoke", invoke, Bytes::new()).await.unwrap_err().status, 404);
    }

    #[tokio::test]
    async fn a_canary_takes_its_share() {
        let fixture = with_versions().await;
        let routing = |weight: Value| json!({"AdditionalVersionWeights": {"2": weight}});
        let input =
            json!({"FunctionName": "f", "Name": "live", "FunctionVersion": "1", "RoutingConfig": routing(json!(0.5))});
        let made = fixture.call("CreateAlias", input).await.unwrap();
        assert_eq!(made["RoutingConfig"]["AdditionalVersionWeights"]["2"], 0.5);
        let mut seen = std::collections::BTreeMap::new();
        for _ in 0..200 {
            let answer = fixture.call_raw("Invoke", json!({"FunctionName": "f:live"}), Bytes::new()).await.unwrap();
            *seen.entry(answer.headers[0].1.clone()).or_insert(0) += 1;
        }
        assert!(seen["1"] > 40 && seen["2"] > 40, "{seen:?}");
        let clear = json!({"FunctionName": "f", "Name": "live", "RoutingConfig": {"AdditionalVersionWeights": {}}});
        assert!(fixture.call("UpdateAlias", clear).await.unwrap().get("RoutingConfig").is_none());
    }

    #[tokio::test]
    async fn an_alias_has_a_policy_and_a_url_of_its_own() {
        let fixture = with_versions().await;
        fixture
            .call("CreateAlias", json!({"FunctionName": "f", "Name": "live", "FunctionVersion": "1"}))
            .await
            .unwrap();
        let grant = json!({"FunctionName": "f", "Qualifier": "live", "StatementId": "s",
            "Action": "lambda:InvokeFunction", "Principal": "s3.amazonaws.com"});
        let statement = fixture.call("AddPermission", grant).await.unwrap();
        assert!(statement["Statement"].as_str().unwrap().contains("function:f:live"));
        assert!(fixture.call("GetPolicy", json!({"FunctionName": "f:live"})).await.is_ok());
        assert_eq!(fixture.call("GetPolicy", json!({"FunctionName": "f"})).await.unwrap_err().status, 404);
        let url = json!({"FunctionName": "f", "Qualifier": "live", "AuthType": "NONE"});
        let made = fixture.call("CreateFunctionUrlConfig", url).await.unwrap();
        assert_eq!(made["FunctionArn"], "arn:aws:lambda:us-east-1:000000000000:function:f:live");
        let list = fixture.call("ListFunctionUrlConfigs", json!({"FunctionName": "f"})).await.unwrap();
        assert_eq!(list["FunctionUrlConfigs"][0]["FunctionUrl"], made["FunctionUrl"]);
    }

    #[tokio::test]
    async fn lists_by_version_and_page() {
        let fixture = with_versions().await;
        for (name, version) in [("a", "1"), ("b", "2"), ("c", "1")] {
            let input = json!({"FunctionName": "f", "Name": name, "FunctionVersion": version});
            fixture.call("CreateAlias", input).await.unwrap();
        }
        let names = |page: &Value| -> Vec<String> {
            page["Aliases"].as_array().unwrap().iter().map(|a| a["Name"].as_str().unwrap().to_owned()).collect()
        };
        let first = fixture.call("ListAliases", json!({"FunctionName": "f", "MaxItems": 2})).await.unwrap();
        assert_eq!(names(&first), ["a", "b"]);
        let next = json!({"FunctionName": "f", "Marker": first["NextMarker"]});
        assert_eq!(names(&fixture.call("ListAliases", next).await.unwrap()), ["c"]);
        let of_version = json!({"FunctionName": "f", "FunctionVersion": "1"});
        assert_eq!(names(&fixture.call("ListAliases", of_version).await.unwrap()), ["a", "c"]);
    }

    #[tokio::test]
    async fn refusals() {
        let fixture = with_versions().await;
        let weights = |weights: Value| json!({"AdditionalVersionWeights": weights});
        for (member, value, status, code) in [
            ("FunctionName", json!("g"), 404, "ResourceNotFoundException"),
            ("Name", json!("12"), 400, "ValidationException"),
            ("Name", json!("a b"), 400, "ValidationException"),
            ("Name", json!(null), 400, "ValidationException"),
            ("FunctionVersion", json!("one"), 400, "ValidationException"),
            ("FunctionVersion", json!("9"), 404, "ResourceNotFoundException"),
            ("RoutingConfig", weights(json!({"9": 0.5})), 404, "ResourceNotFoundException"),
            ("RoutingConfig", weights(json!({"1": 0.5})), 400, "InvalidParameterValueException"),
            ("RoutingConfig", weights(json!({"2": 1.5})), 400, "InvalidParameterValueException"),
            ("RoutingConfig", weights(json!({"$LATEST": 0.5})), 400, "InvalidParameterValueException"),
            ("RoutingConfig", weights(json!({"2": 0.1, "3": 0.1})), 400, "InvalidParameterValueException"),
        ] {
            let mut input = json!({"FunctionName": "f", "Name": "live", "FunctionVersion": "1"});
            input[member] = value.clone();
            let error = fixture.call("CreateAlias", input).await.unwrap_err();
            assert_eq!((error.status, error.code.as_str()), (status, code), "{member} {value}");
        }
        let missing = json!({"FunctionName": "f", "Name": "no"});
        for operation in ["GetAlias", "UpdateAlias"] {
            assert_eq!(fixture.call(operation, missing.clone()).await.unwrap_err().status, 404, "{operation}");
        }
    }
}
