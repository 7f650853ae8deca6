//! REST APIs and what belongs to them. An API is what its `Body` says, or what the resources beside it say.

use cumulet_wire::error::ApiError;
use serde_json::{Map, Value, json};

use super::{Made, Whereabouts, gone_is_done, invalid, only, required, required_text, rest_deployment, text, typed};

type Properties = Map<String, Value>;

const API: &[&str] = &[
    "Name",
    "Description",
    "Body",
    "BodyS3Location",
    "Mode",
    "FailOnWarnings",
    "Parameters",
    "EndpointConfiguration",
    "BinaryMediaTypes",
    "MinimumCompressionSize",
    "ApiKeySourceType",
    "Policy",
    "DisableExecuteApiEndpoint",
    "Tags",
];
const METHOD: &[&str] = &[
    "RestApiId",
    "ResourceId",
    "HttpMethod",
    "AuthorizationType",
    "AuthorizerId",
    "ApiKeyRequired",
    "RequestParameters",
    "RequestModels",
    "RequestValidatorId",
    "OperationName",
    "AuthorizationScopes",
    "Integration",
    "MethodResponses",
];
const STAGE: &[&str] = &[
    "RestApiId",
    "StageName",
    "DeploymentId",
    "Description",
    "Variables",
    "MethodSettings",
    "AccessLogSetting",
    "TracingEnabled",
    "CacheClusterEnabled",
    "Tags",
];

/// A type whose calls take its properties as they are, but for a small first letter.
struct Plain {
    noun: &'static str,
    known: &'static [&'static str],
    /// The member of later calls, and of the answer, that names it.
    member: &'static str,
    id: &'static str,
    /// What `Fn::GetAtt` calls the id.
    attribute: &'static str,
    /// What can be changed in place, and is a patch's path.
    changing: &'static [(&'static str, &'static str)],
}

const PLAIN: &[(&str, Plain)] = &[
    (
        "AWS::ApiGateway::Resource",
        Plain {
            noun: "Resource",
            known: &["RestApiId", "ParentId", "PathPart"],
            member: "resource_id",
            id: "id",
            attribute: "ResourceId",
            changing: &[],
        },
    ),
    (
        "AWS::ApiGateway::Authorizer",
        Plain {
            noun: "Authorizer",
            known: &[
                "RestApiId",
                "Name",
                "Type",
                "AuthType",
                "AuthorizerUri",
                "AuthorizerCredentials",
                "AuthorizerResultTtlInSeconds",
                "IdentitySource",
                "IdentityValidationExpression",
                "ProviderARNs",
            ],
            member: "authorizer_id",
            id: "id",
            attribute: "AuthorizerId",
            changing: &[
                ("Name", "/name"),
                ("Type", "/type"),
                ("AuthorizerUri", "/authorizerUri"),
                ("IdentitySource", "/identitySource"),
                ("AuthorizerResultTtlInSeconds", "/authorizerResultTtlInSeconds"),
            ],
        },
    ),
    (
        "AWS::ApiGateway::Model",
        Plain {
            noun: "Model",
            known: &["RestApiId", "Name", "Description", "ContentType", "Schema"],
            member: "model_name",
            id: "name",
            attribute: "",
            changing: &[("Description", "/description"), ("Schema", "/schema")],
        },
    ),
    (
        "AWS::ApiGateway::RequestValidator",
        Plain {
            noun: "RequestValidator",
            known: &["RestApiId", "Name", "ValidateRequestBody", "ValidateRequestParameters"],
            member: "requestvalidator_id",
            id: "id",
            attribute: "RequestValidatorId",
            changing: &[
                ("ValidateRequestBody", "/validateRequestBody"),
                ("ValidateRequestParameters", "/validateRequestParameters"),
            ],
        },
    ),
    (
        "AWS::ApiGateway::Deployment",
        Plain {
            noun: "Deployment",
            known: &["RestApiId", "Description", "StageName"],
            member: "deployment_id",
            id: "id",
            attribute: "DeploymentId",
            changing: &[("Description", "/description")],
        },
    ),
    (
        "AWS::ApiGateway::ApiKey",
        Plain {
            noun: "ApiKey",
            known: &[
                "Name",
                "Description",
                "Enabled",
                "CustomerId",
                "Value",
                "GenerateDistinctId",
                "StageKeys",
                "Tags",
            ],
            member: "api_Key",
            id: "id",
            attribute: "APIKeyId",
            changing: &[("Description", "/description"), ("Enabled", "/enabled"), ("CustomerId", "/customerId")],
        },
    ),
];

fn plain(kind: &str) -> Option<&'static Plain> {
    PLAIN.iter().find(|(name, _)| *name == kind).map(|(_, plain)| plain)
}

pub(super) async fn call(at: &Whereabouts, operation: &str, input: Value) -> Result<Value, ApiError> {
    at.client.call("apigateway-rest", operation, input).await
}

/// A member as the service names it: a small first letter; keys of maps are left as they are.
fn lower(name: &str) -> String {
    match name {
        "ProviderARNs" => "providerARNs".into(),
        "ApiKeySourceType" => "apiKeySource".into(),
        _ => super::apigateway::lower(name),
    }
}

fn lowered(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            map.iter().map(|(name, value)| (lower(name), lowered(value))).collect::<Map<_, _>>().into()
        }
        Value::Array(items) => items.iter().map(lowered).collect(),
        other => other.clone(),
    }
}

/// A map whose keys people choose, with values as texts.
fn texts(value: Option<&Value>) -> Value {
    let map = value.and_then(Value::as_object).into_iter().flatten();
    map.map(|(key, value)| (key.clone(), Value::from(text(value)))).collect::<Map<_, _>>().into()
}

fn truths(value: Option<&Value>) -> Value {
    let map = value.and_then(Value::as_object).into_iter().flatten();
    map.map(|(key, value)| (key.clone(), typed(value))).collect::<Map<_, _>>().into()
}

fn patch(op: &str, path: String, value: &Value) -> Value {
    json!({ "op": op, "path": path, "value": text(value) })
}

/// What has to be patched for the second to become of the first.
fn patches(old: &Properties, new: &Properties, changing: &[(&str, &str)]) -> Vec<Value> {
    let mut all = Vec::new();
    for (name, path) in changing {
        match (old.get(*name), new.get(*name)) {
            (before, Some(after)) if before != Some(after) => all.push(patch("replace", (*path).to_owned(), after)),
            (Some(_), None) => all.push(json!({ "op": "remove", "path": path })),
            _ => {}
        }
    }
    all
}

/// The same of the entries of a map.
fn map_patches(old: Option<&Value>, new: Option<&Value>, below: &str) -> Vec<Value> {
    let entries = |value: Option<&Value>| value.and_then(Value::as_object).cloned().unwrap_or_default();
    let (old, new) = (entries(old), entries(new));
    let path = |key: &str| format!("{below}/{}", key.replace('~', "~0").replace('/', "~1"));
    let gone = old.keys().filter(|key| !new.contains_key(*key)).map(|key| json!({ "op": "remove", "path": path(key) }));
    let put = new.iter().filter(|(key, value)| old.get(*key) != Some(value));
    gone.chain(put.map(|(key, value)| patch("replace", path(key), value))).collect()
}

pub(super) fn api_of(properties: &Properties) -> Result<Value, ApiError> {
    required_text(properties, "RestApiId").map(Value::from)
}

pub async fn create(at: &Whereabouts, kind: &str, properties: &Properties) -> Result<Made, ApiError> {
    match kind {
        "AWS::ApiGateway::RestApi" => create_api(at, properties).await,
        "AWS::ApiGateway::Method" => {
            put_method(at, properties).await?;
            Ok(Made::new(at.name(64)))
        }
        "AWS::ApiGateway::Stage" => create_stage(at, properties).await,
        "AWS::ApiGateway::Deployment" => rest_deployment::create(at, kind, properties).await,
        "AWS::ApiGateway::GatewayResponse" => {
            put_gateway_response(at, properties).await?;
            Ok(Made::new(at.name(64)))
        }
        "AWS::ApiGateway::UsagePlan" => {
            let answer = call(at, "CreateUsagePlan", plan(at, properties)?).await?;
            Ok(Made::new(text(&answer["id"])).with("Id", &answer["id"]))
        }
        "AWS::ApiGateway::UsagePlanKey" => {
            only(properties, &["KeyId", "KeyType", "UsagePlanId"])?;
            let (key, plan) = (required_text(properties, "KeyId")?, required_text(properties, "UsagePlanId")?);
            let input = json!({ "usageplanId": plan, "keyId": key, "keyType": required(properties, "KeyType")? });
            call(at, "CreateUsagePlanKey", input).await?;
            let id = format!("{key}:{plan}");
            Ok(Made::new(id.clone()).with("Id", &id.into()))
        }
        "AWS::ApiGateway::Account" => {
            put_account(at, properties).await?;
            let id = at.name(64);
            Ok(Made::new(id.clone()).with("Id", &id.into()))
        }
        _ => create_plain(at, kind, properties).await,
    }
}

pub(super) async fn create_plain(at: &Whereabouts, kind: &str, properties: &Properties) -> Result<Made, ApiError> {
    let Some(plain) = plain(kind) else { return Err(invalid(format!("not implemented: resource type {kind}"))) };
    only(properties, plain.known)?;
    let mut input = Map::new();
    for (name, value) in properties {
        let member = match name.as_str() {
            "RestApiId" => "restapi_id".to_owned(),
            "ParentId" => "parent_id".to_owned(),
            "Tags" | "StageKeys" => continue,
            name => lower(name),
        };
        let value = match (name.as_str(), value) {
            ("Schema", Value::Object(_)) => value.to_string().into(),
            ("Enabled" | "GenerateDistinctId" | "ValidateRequestBody" | "ValidateRequestParameters", value) => {
                typed(value)
            }
            ("AuthorizerResultTtlInSeconds", value) => typed(value),
            (_, value) => value.clone(),
        };
        input.insert(member, value);
    }
    match plain.noun {
        "ApiKey" => {
            input.entry("name").or_insert_with(|| at.name(128).into());
            input.insert("tags".into(), at.tags(properties).into());
        }
        "Model" => {
            // Models have letters and digits only.
            input.entry("name").or_insert_with(|| at.name(128).replace('-', "").into());
            input.entry("contentType").or_insert_with(|| "application/json".into());
        }
        "Authorizer" => {
            input.entry("name").or_insert_with(|| at.name(128).into());
        }
        _ => {}
    }
    let answer = call(at, &format!("Create{}", plain.noun), input.into()).await?;
    let id = text(&answer[plain.id]);
    let made = Made::new(id.clone());
    Ok(if plain.attribute.is_empty() { made } else { made.with(plain.attribute, &id.into()) })
}

async fn create_api(at: &Whereabouts, properties: &Properties) -> Result<Made, ApiError> {
    only(properties, API)?;
    let body = body(at, properties).await?;
    let mut input = Map::new();
    let title = body.as_ref().and_then(|body| body["info"]["title"].as_str());
    let name = properties.get("Name").map(text).or_else(|| title.map(str::to_owned));
    input.insert("name".into(), name.ok_or_else(|| invalid("RestApi needs a Name or a Body"))?.into());
    for name in
        ["Description", "BinaryMediaTypes", "MinimumCompressionSize", "ApiKeySourceType", "DisableExecuteApiEndpoint"]
    {
        if let Some(value) = properties.get(name) {
            let value = match name {
                "Description" => value.clone(),
                "BinaryMediaTypes" => media_types(properties).into(),
                _ => typed(value),
            };
            input.insert(lower(name), value);
        }
    }
    if let Some(policy) = properties.get("Policy").filter(|policy| has_policy(policy)) {
        input.insert("policy".into(), policy.to_string().into());
    }
    if let Some(endpoints) = endpoints(properties) {
        input.insert("endpointConfiguration".into(), json!({ "types": endpoints }));
    }
    input.insert("tags".into(), at.tags(properties).into());
    let answer = call(at, "CreateRestApi", input.into()).await?;
    let id = text(&answer["id"]);
    if let Some(body) = &body
        && let Err(error) = put_body(at, &id, properties, body).await
    {
        // Nobody would know of it any more.
        call(at, "DeleteRestApi", json!({ "restapi_id": id })).await?;
        return Err(error);
    }
    Ok(Made::new(id.clone()).with("RestApiId", &id.into()).with("RootResourceId", &answer["rootResourceId"]))
}

/// Slashes are written `~1` in templates, too.
fn media_types(properties: &Properties) -> Vec<String> {
    let list = properties.get("BinaryMediaTypes").and_then(Value::as_array);
    list.into_iter().flatten().map(|kind| text(kind).replace("~1", "/")).collect()
}

/// Some tools write the empty text where they have none.
fn has_policy(policy: &Value) -> bool {
    !matches!(policy, Value::String(text) if text.is_empty())
}

/// The kinds of endpoints, in either of the two places that say so.
fn endpoints(properties: &Properties) -> Option<Value> {
    let configuration = properties.get("EndpointConfiguration").and_then(|configuration| configuration.get("Types"));
    let parameter = properties.get("Parameters").and_then(|parameters| parameters.get("endpointConfigurationTypes"));
    configuration.cloned().or_else(|| parameter.map(|kind| json!([kind])))
}

/// The document that says what the API is.
async fn body(at: &Whereabouts, properties: &Properties) -> Result<Option<Value>, ApiError> {
    if let Some(body) = properties.get("Body") {
        return Ok(Some(body.clone()));
    }
    let Some(place) = properties.get("BodyS3Location") else { return Ok(None) };
    let mut input = json!({ "Bucket": place["Bucket"], "Key": place["Key"] });
    if let Some(version) = place.get("Version") {
        input["VersionId"] = version.clone();
    }
    let bytes = at.client.bytes("s3", "GetObject", input).await?;
    let text = String::from_utf8_lossy(&bytes);
    let read = crate::template::parse(&text).map_err(|e| invalid(format!("BodyS3Location: {e}")))?;
    Ok(Some(read))
}

async fn put_body(at: &Whereabouts, id: &str, properties: &Properties, body: &Value) -> Result<(), ApiError> {
    let mode = properties.get("Mode").map_or_else(|| "overwrite".to_owned(), text);
    let input = json!({ "restapi_id": id, "mode": mode });
    at.client.send("apigateway-rest", "PutRestApi", input, body.to_string()).await?;
    // Names of properties go before those of the document.
    let own: Vec<Value> = [("Name", "/name"), ("Description", "/description")]
        .into_iter()
        .filter_map(|(name, path)| Some(patch("replace", path.to_owned(), properties.get(name)?)))
        .collect();
    if !own.is_empty() {
        call(at, "UpdateRestApi", json!({ "restapi_id": id, "patchOperations": own })).await?;
    }
    Ok(())
}

async fn update_api(at: &Whereabouts, id: &str, old: &Properties, new: &Properties) -> Result<(), ApiError> {
    only(new, API)?;
    if new.get("Policy").is_some_and(has_policy) {
        return Err(invalid("not implemented: property Policy of AWS::ApiGateway::RestApi"));
    }
    let body = body(at, new).await?;
    if let Some(body) = &body {
        put_body(at, id, new, body).await?;
    }
    let changing = [
        ("Name", "/name"),
        ("Description", "/description"),
        ("MinimumCompressionSize", "/minimumCompressionSize"),
        ("ApiKeySourceType", "/apiKeySource"),
        ("DisableExecuteApiEndpoint", "/disableExecuteApiEndpoint"),
    ];
    let mut all = patches(old, new, &changing);
    let (before, after) = (media_types(old), media_types(new));
    let path = |kind: &String| format!("/binaryMediaTypes/{}", kind.replace('/', "~1"));
    all.extend(before.iter().filter(|k| !after.contains(k)).map(|k| json!({ "op": "remove", "path": path(k) })));
    all.extend(after.iter().filter(|k| !before.contains(k)).map(|k| json!({ "op": "add", "path": path(k) })));
    if let Some(kinds) = endpoints(new).filter(|_| endpoints(old) != endpoints(new)) {
        all.push(json!({ "op": "replace", "path": "/endpointConfiguration/types", "value": kinds }));
    }
    if !all.is_empty() {
        call(at, "UpdateRestApi", json!({ "restapi_id": id, "patchOperations": all })).await?;
    }
    retag(at, format!("restapis/{id}"), old, new).await
}

async fn retag(at: &Whereabouts, resource: String, old: &Properties, new: &Properties) -> Result<(), ApiError> {
    let arn = format!("arn:aws:apigateway:{}::/{resource}", at.client.context.region);
    let (gone, changed) = at.tag_changes(old, new);
    if !gone.is_empty() {
        call(at, "UntagResource", json!({ "resource_arn": arn, "tagKeys": gone })).await?;
    }
    if changed.is_some() {
        call(at, "TagResource", json!({ "resource_arn": arn, "tags": at.tags(new) })).await?;
    }
    Ok(())
}

/// The method with all that is behind it.
async fn put_method(at: &Whereabouts, properties: &Properties) -> Result<(), ApiError> {
    only(properties, METHOD)?;
    let place = json!({
        "restapi_id": api_of(properties)?,
        "resource_id": required(properties, "ResourceId")?,
        "http_method": required(properties, "HttpMethod")?,
    });
    let with = |more: Value| {
        let mut input = place.clone();
        if let (Value::Object(input), Value::Object(more)) = (&mut input, more) {
            input.extend(more);
        }
        input
    };
    let scopes = properties.get("AuthorizationScopes").and_then(Value::as_array);
    if scopes.is_some_and(|scopes| !scopes.is_empty()) {
        return Err(invalid("not implemented: property AuthorizationScopes of AWS::ApiGateway::Method"));
    }
    let mut method = json!({
        "authorizationType": properties.get("AuthorizationType").cloned().unwrap_or_else(|| "NONE".into()),
        "requestParameters": truths(properties.get("RequestParameters")),
        "requestModels": texts(properties.get("RequestModels")),
    });
    for name in ["AuthorizerId", "ApiKeyRequired", "RequestValidatorId", "OperationName"] {
        if let Some(value) = properties.get(name) {
            method[lower(name)] = if name == "ApiKeyRequired" { typed(value) } else { value.clone() };
        }
    }
    call(at, "PutMethod", with(method)).await?;
    for response in properties.get("MethodResponses").and_then(Value::as_array).into_iter().flatten() {
        let input = json!({
            "status_code": text(&response["StatusCode"]),
            "responseParameters": truths(response.get("ResponseParameters")),
            "responseModels": texts(response.get("ResponseModels")),
        });
        call(at, "PutMethodResponse", with(input)).await?;
    }
    let Some(Value::Object(integration)) = properties.get("Integration") else { return Ok(()) };
    let mut input = json!({
        "type": integration.get("Type"),
        "requestParameters": texts(integration.get("RequestParameters")),
        "requestTemplates": texts(integration.get("RequestTemplates")),
    });
    for (name, member) in [
        ("IntegrationHttpMethod", "httpMethod"),
        ("Uri", "uri"),
        ("Credentials", "credentials"),
        ("ConnectionType", "connectionType"),
        ("PassthroughBehavior", "passthroughBehavior"),
        ("ContentHandling", "contentHandling"),
        ("TimeoutInMillis", "timeoutInMillis"),
        ("CacheNamespace", "cacheNamespace"),
        ("CacheKeyParameters", "cacheKeyParameters"),
    ] {
        if let Some(value) = integration.get(name) {
            input[member] = if name == "TimeoutInMillis" { typed(value) } else { value.clone() };
        }
    }
    call(at, "PutIntegration", with(input)).await?;
    for response in integration.get("IntegrationResponses").and_then(Value::as_array).into_iter().flatten() {
        let mut input = json!({
            "status_code": text(&response["StatusCode"]),
            "responseParameters": texts(response.get("ResponseParameters")),
            "responseTemplates": texts(response.get("ResponseTemplates")),
        });
        for name in ["SelectionPattern", "ContentHandling"] {
            if let Some(value) = response.get(name) {
                input[lower(name)] = value.clone();
            }
        }
        call(at, "PutIntegrationResponse", with(input)).await?;
    }
    Ok(())
}

fn method_place(properties: &Properties) -> Result<Value, ApiError> {
    let resource = required(properties, "ResourceId")?;
    let method = required(properties, "HttpMethod")?;
    Ok(json!({ "restapi_id": api_of(properties)?, "resource_id": resource, "http_method": method }))
}

/// What of a stage is set by patches, as paths and values.
fn settings(properties: &Properties) -> Result<Map<String, Value>, ApiError> {
    let mut all = Map::new();
    for setting in properties.get("MethodSettings").and_then(Value::as_array).into_iter().flatten() {
        let path = setting.get("ResourcePath").map_or_else(|| "*".to_owned(), text);
        let method = setting.get("HttpMethod").map_or_else(|| "*".to_owned(), text);
        let place =
            if path == "/*" { format!("/*/{method}") } else { format!("/{}/{method}", path.replace('/', "~1")) };
        for (name, value) in setting.as_object().into_iter().flatten() {
            let end = match name.as_str() {
                "ResourcePath" | "HttpMethod" => continue,
                "ThrottlingRateLimit" => "throttling/rateLimit",
                "ThrottlingBurstLimit" => "throttling/burstLimit",
                "LoggingLevel" => "logging/loglevel",
                "DataTraceEnabled" => "logging/dataTrace",
                "MetricsEnabled" => "metrics/enabled",
                "CachingEnabled" => "caching/enabled",
                other => return Err(invalid(format!("not implemented: property MethodSettings.{other}"))),
            };
            all.insert(format!("{place}/{end}"), value.clone());
        }
    }
    if let Some(log) = properties.get("AccessLogSetting").and_then(Value::as_object) {
        for (name, value) in log {
            all.insert(format!("/accessLogSettings/{}", lower(name)), value.clone());
        }
    }
    Ok(all)
}

async fn create_stage(at: &Whereabouts, properties: &Properties) -> Result<Made, ApiError> {
    only(properties, STAGE)?;
    let mut input = json!({
        "restapi_id": api_of(properties)?,
        "stageName": required(properties, "StageName")?,
        "deploymentId": required(properties, "DeploymentId")?,
        "variables": texts(properties.get("Variables")),
        "tags": at.tags(properties),
    });
    for name in ["Description", "TracingEnabled", "CacheClusterEnabled"] {
        if let Some(value) = properties.get(name) {
            input[lower(name)] = if name == "Description" { value.clone() } else { typed(value) };
        }
    }
    let name = required_text(properties, "StageName")?;
    call(at, "CreateStage", input).await?;
    let all: Vec<Value> =
        settings(properties)?.iter().map(|(path, value)| patch("replace", path.clone(), value)).collect();
    if !all.is_empty() {
        let input = json!({ "restapi_id": api_of(properties)?, "stage_name": name, "patchOperations": all });
        call(at, "UpdateStage", input).await?;
    }
    Ok(Made::new(name))
}

pub(super) async fn update_stage(
    at: &Whereabouts,
    name: &str,
    old: &Properties,
    new: &Properties,
) -> Result<(), ApiError> {
    only(new, STAGE)?;
    let changing = [
        ("DeploymentId", "/deploymentId"),
        ("Description", "/description"),
        ("TracingEnabled", "/tracingEnabled"),
        ("CacheClusterEnabled", "/cacheClusterEnabled"),
    ];
    let mut all = patches(old, new, &changing);
    all.extend(map_patches(old.get("Variables"), new.get("Variables"), "/variables"));
    let (before, after) = (settings(old)?, settings(new)?);
    all.extend(before.keys().filter(|p| !after.contains_key(*p)).map(|p| json!({ "op": "remove", "path": p })));
    let put = after.iter().filter(|(path, value)| before.get(*path) != Some(value));
    all.extend(put.map(|(path, value)| patch("replace", path.clone(), value)));
    let api = api_of(new)?;
    if !all.is_empty() {
        call(at, "UpdateStage", json!({ "restapi_id": api, "stage_name": name, "patchOperations": all })).await?;
    }
    retag(at, format!("restapis/{}/stages/{name}", text(&api)), old, new).await
}

async fn put_gateway_response(at: &Whereabouts, properties: &Properties) -> Result<(), ApiError> {
    only(properties, &["RestApiId", "ResponseType", "StatusCode", "ResponseParameters", "ResponseTemplates"])?;
    let mut input = json!({
        "restapi_id": api_of(properties)?,
        "response_type": required(properties, "ResponseType")?,
        "responseParameters": texts(properties.get("ResponseParameters")),
        "responseTemplates": texts(properties.get("ResponseTemplates")),
    });
    if let Some(status) = properties.get("StatusCode") {
        input["statusCode"] = text(status).into();
    }
    call(at, "PutGatewayResponse", input).await.map(drop)
}

fn plan(at: &Whereabouts, properties: &Properties) -> Result<Value, ApiError> {
    only(properties, &["UsagePlanName", "Description", "ApiStages", "Throttle", "Quota", "Tags"])?;
    let mut input = json!({ "tags": at.tags(properties) });
    input["name"] = properties.get("UsagePlanName").cloned().unwrap_or_else(|| at.name(128).into());
    let stages = properties.get("ApiStages").and_then(Value::as_array).into_iter().flatten();
    let stages: Vec<Value> = stages
        .map(|stage| json!({ "apiId": stage["ApiId"], "stage": stage["Stage"], "throttle": limits(stage) }))
        .collect();
    input["apiStages"] = stages.into();
    for name in ["Description", "Throttle", "Quota"] {
        if let Some(value) = properties.get(name) {
            let value = lowered(value);
            input[lower(name)] = match value {
                Value::Object(map) => map.iter().map(|(k, v)| (k.clone(), typed(v))).collect::<Map<_, _>>().into(),
                other => other,
            };
        }
    }
    Ok(input)
}

/// Limits of methods, by path and method, which nobody writes with a small first letter.
fn limits(stage: &Value) -> Map<String, Value> {
    let all = stage.get("Throttle").and_then(Value::as_object).into_iter().flatten();
    let number = |of: &Value, name: &str| of.get(name).map_or(json!(0), typed);
    let limit = |of| json!({ "rateLimit": number(of, "RateLimit"), "burstLimit": number(of, "BurstLimit") });
    all.map(|(method, of)| (method.clone(), limit(of))).collect()
}

/// What makes the limits of all methods of the stages of a plan the new ones.
fn limit_patches(new: &Properties) -> Vec<Value> {
    let mut all = Vec::new();
    for stage in new.get("ApiStages").and_then(Value::as_array).into_iter().flatten() {
        let path = format!("/apiStages/{}:{}/throttle", text(&stage["ApiId"]), text(&stage["Stage"]));
        all.push(json!({ "op": "remove", "path": path }));
        for (method, limit) in limits(stage) {
            let path = format!("{path}/{}", method.replace('/', "~1"));
            let of = |name: &str| patch("replace", format!("{path}/{name}"), &limit[name]);
            all.extend([of("rateLimit"), of("burstLimit")]);
        }
    }
    all
}

async fn update_plan(at: &Whereabouts, id: &str, old: &Properties, new: &Properties) -> Result<(), ApiError> {
    plan(at, new)?;
    let mut all = patches(old, new, &[("UsagePlanName", "/name"), ("Description", "/description")]);
    let stages = |properties: &Properties| -> Vec<String> {
        let list = properties.get("ApiStages").and_then(Value::as_array);
        list.into_iter().flatten().map(|s| format!("{}:{}", text(&s["ApiId"]), text(&s["Stage"]))).collect()
    };
    let (before, after) = (stages(old), stages(new));
    let of = |op: &str, stage: &String| json!({ "op": op, "path": "/apiStages", "value": stage });
    all.extend(before.iter().filter(|stage| !after.contains(stage)).map(|stage| of("remove", stage)));
    all.extend(after.iter().filter(|stage| !before.contains(stage)).map(|stage| of("add", stage)));
    all.extend(limit_patches(new));
    for name in ["Throttle", "Quota"] {
        let (before, after) = (old.get(name).map(lowered), new.get(name).map(lowered));
        match (&before, &after) {
            (Some(_), None) => all.push(json!({ "op": "remove", "path": format!("/{}", lower(name)) })),
            _ => all.extend(map_patches(before.as_ref(), after.as_ref(), &format!("/{}", lower(name)))),
        }
    }
    if !all.is_empty() {
        call(at, "UpdateUsagePlan", json!({ "usageplanId": id, "patchOperations": all })).await?;
    }
    retag(at, format!("usageplans/{id}"), old, new).await
}

async fn put_account(at: &Whereabouts, properties: &Properties) -> Result<(), ApiError> {
    only(properties, &["CloudWatchRoleArn"])?;
    let operation = match properties.get("CloudWatchRoleArn") {
        Some(arn) => patch("replace", "/cloudwatchRoleArn".into(), arn),
        None => json!({ "op": "remove", "path": "/cloudwatchRoleArn" }),
    };
    call(at, "UpdateAccount", json!({ "patchOperations": [operation] })).await.map(drop)
}

pub async fn update(
    at: &Whereabouts,
    kind: &str,
    made: &Made,
    old: &Properties,
    new: &Properties,
) -> Result<Made, ApiError> {
    let id = &made.physical_id;
    match kind {
        "AWS::ApiGateway::RestApi" => update_api(at, id, old, new).await?,
        // Nobody is served by it before it is deployed.
        "AWS::ApiGateway::Method" => {
            gone_is_done(call(at, "DeleteMethod", method_place(old)?).await)?;
            put_method(at, new).await?;
        }
        "AWS::ApiGateway::Stage" => update_stage(at, id, old, new).await?,
        "AWS::ApiGateway::GatewayResponse" => put_gateway_response(at, new).await?,
        "AWS::ApiGateway::UsagePlan" => update_plan(at, id, old, new).await?,
        "AWS::ApiGateway::Account" => put_account(at, new).await?,
        _ => {
            let Some(plain) = plain(kind) else {
                return Err(invalid(format!("not implemented: resource type {kind}")));
            };
            let alone = match plain.noun {
                "Deployment" => rest_deployment::update(at, old, new).await?,
                _ => new.clone(),
            };
            only(&alone, plain.known)?;
            let all = patches(old, new, plain.changing);
            if !all.is_empty() {
                let mut input = json!({ "patchOperations": all });
                input[plain.member] = id.clone().into();
                if plain.noun != "ApiKey" {
                    input["restapi_id"] = api_of(new)?;
                }
                call(at, &format!("Update{}", plain.noun), input).await?;
            }
            if plain.noun == "ApiKey" {
                retag(at, format!("apikeys/{id}"), old, new).await?;
            }
        }
    }
    Ok(made.clone())
}

pub async fn delete(at: &Whereabouts, kind: &str, made: &Made, properties: &Properties) -> Result<(), ApiError> {
    let id = &made.physical_id;
    let (operation, input) = match kind {
        "AWS::ApiGateway::RestApi" => ("DeleteRestApi".to_owned(), json!({ "restapi_id": id })),
        "AWS::ApiGateway::Method" => ("DeleteMethod".to_owned(), method_place(properties)?),
        "AWS::ApiGateway::Stage" => {
            ("DeleteStage".to_owned(), json!({ "restapi_id": api_of(properties)?, "stage_name": id }))
        }
        "AWS::ApiGateway::GatewayResponse" => {
            let response = required(properties, "ResponseType")?;
            (
                "DeleteGatewayResponse".to_owned(),
                json!({ "restapi_id": api_of(properties)?, "response_type": response }),
            )
        }
        "AWS::ApiGateway::UsagePlan" => {
            // A plan that has stages cannot be deleted.
            let mut none = properties.clone();
            none.remove("ApiStages");
            match update_plan(at, id, properties, &none).await {
                Err(error) if !super::is_gone(&error) => return Err(error),
                _ => {}
            }
            ("DeleteUsagePlan".to_owned(), json!({ "usageplanId": id }))
        }
        "AWS::ApiGateway::UsagePlanKey" => {
            let (key, plan) = (required(properties, "KeyId")?, required(properties, "UsagePlanId")?);
            ("DeleteUsagePlanKey".to_owned(), json!({ "usageplanId": plan, "keyId": key }))
        }
        "AWS::ApiGateway::Deployment" => {
            let api = api_of(properties)?;
            // The stage that came with it goes with it, unless it serves another by now.
            if let Some(name) = properties.get("StageName") {
                let stage = json!({ "restapi_id": api, "stage_name": name });
                match call(at, "GetStage", stage.clone()).await {
                    Ok(found) if found["deploymentId"] == id.as_str() => {
                        gone_is_done(call(at, "DeleteStage", stage).await)?;
                    }
                    Err(error) if !super::is_gone(&error) => return Err(error),
                    _ => {}
                }
            }
            ("DeleteDeployment".to_owned(), json!({ "restapi_id": api, "deployment_id": id }))
        }
        // The account's role stays, as on AWS.
        "AWS::ApiGateway::Account" => return Ok(()),
        _ => {
            let Some(plain) = plain(kind) else {
                return Err(invalid(format!("not implemented: resource type {kind}")));
            };
            let mut input = json!({});
            input[plain.member] = id.clone().into();
            if plain.noun != "ApiKey" {
                input["restapi_id"] = api_of(properties)?;
            }
            (format!("Delete{}", plain.noun), input)
        }
    };
    gone_is_done(call(at, &operation, input).await)
}
