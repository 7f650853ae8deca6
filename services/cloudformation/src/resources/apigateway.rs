//! HTTP APIs and their parts. The members of API Gateway's calls are the properties with a small first letter.

use cumulet_wire::error::ApiError;
use serde_json::{Map, Value};

use super::{Made, Whereabouts, gone_is_done, invalid, required_text, text, typed};

/// What one type's calls are called and how its parts are found again.
struct Part {
    noun: &'static str,
    /// Member of the answer that is the physical id, and of later calls.
    id: &'static str,
}

fn part(kind: &str) -> Result<Part, ApiError> {
    let part = |noun, id| Ok(Part { noun, id });
    match kind {
        "AWS::ApiGatewayV2::Api" => part("Api", "apiId"),
        "AWS::ApiGatewayV2::Stage" => part("Stage", "stageName"),
        "AWS::ApiGatewayV2::Route" => part("Route", "routeId"),
        "AWS::ApiGatewayV2::Integration" => part("Integration", "integrationId"),
        "AWS::ApiGatewayV2::Authorizer" => part("Authorizer", "authorizerId"),
        "AWS::ApiGatewayV2::Deployment" => part("Deployment", "deploymentId"),
        other => Err(invalid(format!("not implemented: resource type {other}"))),
    }
}

pub(super) fn lower(name: &str) -> String {
    let mut letters = name.chars();
    letters.next().map_or(String::new(), |first| first.to_ascii_lowercase().to_string() + letters.as_str())
}

/// Keys of maps that people name are left as they are.
fn lowered(name: &str, value: &Value) -> Value {
    match (name, value) {
        ("Tags" | "StageVariables" | "RequestParameters", Value::Object(map)) => {
            map.iter().map(|(key, value)| (key.clone(), Value::from(text(value)))).collect::<Map<_, _>>().into()
        }
        ("RouteSettings", Value::Object(map)) => {
            map.iter().map(|(key, value)| (key.clone(), lowered("", value))).collect::<Map<_, _>>().into()
        }
        (_, Value::Object(map)) => {
            map.iter().map(|(key, value)| (lower(key), lowered(key, value))).collect::<Map<_, _>>().into()
        }
        (
            "AutoDeploy"
            | "TimeoutInMillis"
            | "AllowCredentials"
            | "MaxAge"
            | "DisableExecuteApiEndpoint"
            | "ApiKeyRequired"
            | "ThrottlingBurstLimit"
            | "ThrottlingRateLimit"
            | "DetailedMetricsEnabled"
            | "AuthorizerResultTtlInSeconds"
            | "EnableSimpleResponses"
            | "DataTraceEnabled",
            value,
        ) => typed(value),
        (_, value) => value.clone(),
    }
}

fn input(properties: &Map<String, Value>) -> Map<String, Value> {
    properties.iter().map(|(name, value)| (lower(name), lowered(name, value))).collect()
}

fn check(kind: &str, properties: &Map<String, Value>) -> Result<(), ApiError> {
    let refused = [
        "Body",
        "BodyS3Location",
        "BasePath",
        "FailOnWarnings",
        "CredentialsArn",
        "RequestModels",
        "RequestParameters",
        "ResponseParameters",
        "TlsConfig",
        "ClientCertificateId",
    ];
    match properties.keys().find(|name| refused.contains(&name.as_str())) {
        Some(name) => Err(invalid(format!("not implemented: property {name} of {kind}"))),
        None => Ok(()),
    }
}

pub async fn create(at: &Whereabouts, kind: &str, properties: &Map<String, Value>) -> Result<Made, ApiError> {
    check(kind, properties)?;
    let part = part(kind)?;
    let operation = format!("Create{}", part.noun);
    let answer = at.client.call("apigateway", &operation, input(properties).into()).await?;
    let id = answer.get(part.id).map(text).unwrap_or_default();
    let made = Made::new(id.clone());
    Ok(match part.noun {
        "Api" => made.with("ApiId", &id.into()).with("ApiEndpoint", &answer["apiEndpoint"]),
        "Integration" => made.with("IntegrationId", &id.into()),
        "Authorizer" => made.with("AuthorizerId", &id.into()),
        "Route" => made.with("RouteId", &id.into()),
        "Deployment" => made.with("DeploymentId", &id.into()),
        _ => made,
    })
}

pub async fn update(
    at: &Whereabouts,
    kind: &str,
    made: &Made,
    old: &Map<String, Value>,
    new: &Map<String, Value>,
) -> Result<Made, ApiError> {
    check(kind, new)?;
    let part = part(kind)?;
    let mut members = input(new);
    members.insert(part.id.into(), made.physical_id.clone().into());
    if part.noun == "Api" && old.contains_key("CorsConfiguration") && !new.contains_key("CorsConfiguration") {
        let input = serde_json::json!({ "apiId": made.physical_id });
        at.client.call("apigateway", "DeleteCorsConfiguration", input).await?;
    }
    if old.get("Tags") != new.get("Tags") {
        return Err(invalid(format!("not implemented: change of Tags of {kind}")));
    }
    // The empty text takes a variable away.
    let names = |properties: &Map<String, Value>| -> Vec<String> {
        let variables = properties.get("StageVariables").and_then(Value::as_object);
        variables.into_iter().flat_map(|v| v.keys().cloned()).collect()
    };
    let kept = names(new);
    for name in names(old).into_iter().filter(|name| !kept.contains(name)) {
        let variables = members.entry("stageVariables").or_insert_with(|| Map::new().into());
        variables[name] = "".into();
    }
    let operation = format!("Update{}", part.noun);
    at.client.call("apigateway", &operation, members.into()).await?;
    Ok(made.clone())
}

pub async fn delete(
    at: &Whereabouts,
    kind: &str,
    made: &Made,
    properties: &Map<String, Value>,
) -> Result<(), ApiError> {
    let part = part(kind)?;
    let mut members = Map::new();
    if part.noun != "Api" {
        members.insert("apiId".into(), required_text(properties, "ApiId")?.into());
    }
    members.insert(part.id.into(), made.physical_id.clone().into());
    let operation = format!("Delete{}", part.noun);
    gone_is_done(at.client.call("apigateway", &operation, members.into()).await)
}
