//! `AWS::Serverless::Api` and the events of functions that lead to one: a REST API with a document of all its methods, a
//! deployment and a stage. The deployment's logical id ends in a hash of the document, of its own kind: as with AWS's, another
//! document is another deployment.

use serde_json::{Map, Value, json};

use super::events::Function;
use super::http_api::starred;
use super::{Out, domain, hash, invalid, not_built, only, place, requests, resource, tag_list};
use crate::errors::Error;

/// Logical id of the API of events that name none, and its stage.
pub const IMPLICIT: &str = "ServerlessRestApi";
const IMPLICIT_STAGE: &str = "Prod";
const ANY: &str = "x-amazon-apigateway-any-method";
const INTEGRATION: &str = "x-amazon-apigateway-integration";

const KNOWN: &[&str] = &[
    "AccessLogSetting",
    "AlwaysDeploy",
    "ApiKeySourceType",
    "Auth",
    "BinaryMediaTypes",
    "CacheClusterEnabled",
    "Cors",
    "DefinitionBody",
    "DefinitionUri",
    "Description",
    "Domain",
    "DisableExecuteApiEndpoint",
    "EndpointConfiguration",
    "FailOnWarnings",
    "GatewayResponses",
    "MethodSettings",
    "MinimumCompressionSize",
    "Mode",
    "Models",
    "Name",
    "OpenApiVersion",
    "PropagateTags",
    "StageName",
    "Tags",
    "TracingEnabled",
    "Variables",
];

/// A method that a function's event asks for.
pub struct Method {
    event: String,
    asked: requests::Asked,
    /// Logical id of its API, where it is of this template.
    api: Option<String>,
    path: String,
    /// In lower case.
    method: String,
    /// The function's condition.
    condition: Option<Value>,
    integration: Value,
    /// Of the event.
    auth: Map<String, Value>,
}

/// An event of the type Api: a method of an API, and the permission to call the function.
pub fn event(target: &Function<'_>, name: &str, given: &Map<String, Value>, out: &mut Out<'_>) -> Result<(), Error> {
    let (function, source) = (target.logical_id, target.source);
    let known = ["RestApiId", "Path", "Method", "Auth", "TimeoutInMillis", "RequestModel", "RequestParameters"];
    if let Some(name) = given.keys().find(|key| !known.contains(&key.as_str())) {
        return Err(not_built(format!("property {name} of an Api event of {function}")));
    }
    let text = |member: &str| {
        let value = given.get(member).and_then(Value::as_str);
        value.ok_or_else(|| {
            invalid(format!("Event with id [{function}{name}] is invalid. Missing required property '{member}'."))
        })
    };
    let (path, method) = (text("Path")?.to_owned(), text("Method")?.to_ascii_lowercase());
    let api = given.get("RestApiId").cloned().unwrap_or_else(|| json!({ "Ref": IMPLICIT }));
    let named = api.get("Ref").and_then(Value::as_str).or(api.as_str()).map(str::to_owned);
    let own = named.filter(|name| name == IMPLICIT || out.has(name));
    let suffix = match &own {
        None => "AllStages".to_owned(),
        Some(name) if name == IMPLICIT && !out.has(name) => IMPLICIT_STAGE.to_owned(),
        Some(name) => {
            let properties = out.source.get(name).and_then(|api| api.get("Properties"));
            let stage = properties.and_then(|properties| properties.get("StageName")).and_then(Value::as_str);
            stage.unwrap_or("Stage").to_owned()
        }
    };
    let in_arn = match method.as_str() {
        "any" | "*" => "*".to_owned(),
        other => other.to_ascii_uppercase(),
    };
    let shorter = path.strip_suffix('/').filter(|path| !path.is_empty()).unwrap_or(&path);
    let arn = format!(
        "arn:aws:execute-api:${{AWS::Region}}:${{AWS::AccountId}}:${{__ApiId__}}/${{__Stage__}}/{in_arn}{}",
        starred(shorter)
    );
    let permission = json!({
        "Action": "lambda:InvokeFunction",
        "FunctionName": target.name(),
        "Principal": "apigateway.amazonaws.com",
        "SourceArn": { "Fn::Sub": [arn, { "__ApiId__": api, "__Stage__": "*" }] },
    });
    let id = format!("{function}{name}Permission{suffix}");
    out.add(&id, resource("AWS::Lambda::Permission", source, permission))?;
    let named = target.alias.map_or_else(|| format!("{function}.Arn"), str::to_owned);
    let uri = format!("arn:aws:apigateway:${{AWS::Region}}:lambda:path/2015-03-31/functions/${{{named}}}/invocations");
    let mut integration = json!({ "type": "aws_proxy", "httpMethod": "POST", "uri": { "Fn::Sub": uri } });
    if let Some(timeout) = given.get("TimeoutInMillis") {
        integration["timeoutInMillis"] = timeout.clone();
    }
    let auth = given.get("Auth").and_then(Value::as_object).cloned().unwrap_or_default();
    let known = ["Authorizer", "ApiKeyRequired", "InvokeRole"];
    if let Some(name) = auth.keys().find(|name| !known.contains(&name.as_str())) {
        return Err(not_built(format!("property Auth.{name} of an Api event of {function}")));
    }
    let asked = requests::Asked {
        model: given.get("RequestModel").and_then(Value::as_object).cloned(),
        parameters: given.get("RequestParameters").and_then(Value::as_array).cloned().unwrap_or_default(),
    };
    out.methods.push(Method {
        event: format!("{function}{name}"),
        asked,
        api: own,
        path,
        method: if method == "any" { ANY.to_owned() } else { method },
        condition: source.get("Condition").cloned(),
        integration,
        auth,
    });
    Ok(())
}

/// Whether events ask for an API that the template has not.
pub fn needs_implicit(out: &Out<'_>) -> bool {
    !out.has(IMPLICIT) && out.methods.iter().any(|method| method.api.as_deref() == Some(IMPLICIT))
}

pub fn implicit(given: &Map<String, Value>, out: &mut Out<'_>) -> Result<(), Error> {
    let mut given = given.clone();
    given.insert("StageName".into(), IMPLICIT_STAGE.into());
    // An API of which no method is there is not there either.
    let mut source = json!({});
    let first = out.methods.iter().find(|method| method.api.as_deref() == Some(IMPLICIT));
    let condition = first.and_then(|method| method.condition.clone());
    let of_all = out.methods.iter().filter(|method| method.api.as_deref() == Some(IMPLICIT));
    if let Some(condition) = condition
        && of_all.into_iter().all(|method| method.condition.as_ref() == Some(&condition))
    {
        source["Condition"] = condition;
    }
    transform(IMPLICIT, &source, &given, out)
}

pub fn transform(logical_id: &str, source: &Value, given: &Map<String, Value>, out: &mut Out<'_>) -> Result<(), Error> {
    only(logical_id, given, KNOWN)?;
    let stage_name = given.get("StageName").ok_or_else(|| {
        invalid(format!("Resource with id [{logical_id}] is invalid. Missing required property 'StageName'."))
    })?;
    let mut api = Map::new();
    for name in [
        "Name",
        "Description",
        "BinaryMediaTypes",
        "MinimumCompressionSize",
        "Mode",
        "ApiKeySourceType",
        "FailOnWarnings",
    ] {
        if let Some(value) = given.get(name) {
            api.insert(name.into(), value.clone());
        }
    }
    if let Some(endpoints) = given.get("EndpointConfiguration") {
        endpoint(logical_id, endpoints, &mut api)?;
    }
    let told = match given.get("DefinitionUri") {
        Some(_) if given.contains_key("DefinitionBody") => {
            return Err(invalid(format!(
                "Resource with id [{logical_id}] is invalid. Specify either 'DefinitionUri' or 'DefinitionBody' property and not both."
            )));
        }
        Some(uri) => {
            let code = place(logical_id, "DefinitionUri", uri)?;
            let mut location = json!({ "Bucket": code["S3Bucket"], "Key": code["S3Key"] });
            if let Some(version) = code.get("S3ObjectVersion") {
                location["Version"] = version.clone();
            }
            api.insert("BodyS3Location".into(), location.clone());
            location
        }
        None => {
            let body = document(logical_id, given, out)?;
            api.insert("Body".into(), body.clone());
            body
        }
    };
    permissions_of_authorizers(logical_id, source, given, out)?;
    let mut made = source.clone();
    made["Type"] = "AWS::ApiGateway::RestApi".into();
    made["Properties"] = api.into();
    out.add(logical_id, made)?;
    let digest = hash::of(&told);
    let deployment_id = format!("{logical_id}Deployment{digest}");
    let mut deployment = json!({
        "RestApiId": { "Ref": logical_id },
        "Description": format!("RestApi deployment id: {digest}"),
    });
    // A stage of this name is made beside the API's own, unless the template says which version of OpenAPI it means.
    if !given.contains_key("OpenApiVersion") {
        deployment["StageName"] = "Stage".into();
    }
    out.add(&deployment_id, resource("AWS::ApiGateway::Deployment", source, deployment))?;
    let letters = stage_name.as_str().filter(|name| name.chars().all(|c| c.is_ascii_alphanumeric()));
    let stage_id = match (letters, stage_name.as_str()) {
        (Some(name), _) => format!("{logical_id}{name}Stage"),
        (None, Some(name)) => format!("{logical_id}Stage{}", hash::of(&name.into())),
        (None, None) => format!("{logical_id}Stage"),
    };
    let mut stage = json!({
        "RestApiId": { "Ref": logical_id },
        "DeploymentId": { "Ref": deployment_id },
        "StageName": stage_name,
    });
    for name in ["Variables", "MethodSettings", "AccessLogSetting", "TracingEnabled", "CacheClusterEnabled"] {
        if let Some(value) = given.get(name) {
            stage[name] = value.clone();
        }
    }
    if given.contains_key("Tags") {
        stage["Tags"] = tag_list(given.get("Tags"), "");
    }
    out.add(&stage_id, resource("AWS::ApiGateway::Stage", source, stage))?;
    usage_plan(logical_id, &stage_id, source, given, out)?;
    domain::transform(logical_id, source, given.get("Domain"), &domain::Version::Rest, out)?;
    out.renamed.insert(format!("{logical_id}.Deployment"), deployment_id);
    out.renamed.insert(format!("{logical_id}.Stage"), stage_id);
    Ok(())
}

/// Slashes are written `~1` in templates, too.
fn untilded(value: &Value) -> Value {
    match value {
        Value::String(text) => text.replace("~1", "/").into(),
        Value::Array(items) => items.iter().map(untilded).collect(),
        other => other.clone(),
    }
}

fn endpoint(logical_id: &str, given: &Value, api: &mut Map<String, Value>) -> Result<(), Error> {
    let kind = match given {
        Value::Object(map) if !super::is_intrinsic(map) => {
            if map.contains_key("VPCEndpointIds") {
                return Err(not_built(format!("EndpointConfiguration.VPCEndpointIds of {logical_id}")));
            }
            map.get("Type").cloned().unwrap_or_default()
        }
        other => other.clone(),
    };
    api.insert("EndpointConfiguration".into(), json!({ "Types": [kind] }));
    api.insert("Parameters".into(), json!({ "endpointConfigurationTypes": kind }));
    Ok(())
}

/// One API's methods, by their paths, before conditions are put around them.
type Paths = Map<String, Value>;

/// The document: the template's own, or that of the functions' events.
fn document(logical_id: &str, given: &Map<String, Value>, out: &Out<'_>) -> Result<Value, Error> {
    let is_own = given.contains_key("DefinitionBody");
    let version = given.get("OpenApiVersion").map(crate::resources::text);
    let mut document = match given.get("DefinitionBody") {
        Some(body) => body.clone(),
        None => {
            let mut skeleton =
                json!({ "info": { "version": "1.0", "title": { "Ref": "AWS::StackName" } }, "paths": {} });
            match version.as_deref().filter(|version| version.starts_with('3')) {
                Some(version) => skeleton["openapi"] = version.into(),
                None => skeleton["swagger"] = "2.0".into(),
            }
            skeleton
        }
    };
    let mut paths: Paths = document.get("paths").and_then(Value::as_object).cloned().unwrap_or_default();
    let of_api: Vec<&Method> = out.methods.iter().filter(|method| method.api.as_deref() == Some(logical_id)).collect();
    if !is_own {
        for method in &of_api {
            let item = paths.entry(method.path.clone()).or_insert_with(|| json!({}));
            if item.get(&method.method).is_some() {
                return Err(invalid(format!(
                    "API method \"{}\" defined multiple times for path \"{}\".",
                    method.method, method.path
                )));
            }
            item[&method.method] = json!({ INTEGRATION: method.integration, "responses": {} });
        }
    }
    let mut validators = Map::new();
    if !is_own {
        let is_openapi = document.get("openapi").is_some();
        for method in &of_api {
            let place = (method.event.as_str(), method.path.as_str(), method.method.as_str());
            let whole = &mut paths[&method.path][&method.method];
            if let Some((name, validator)) =
                requests::describe(place, &method.asked, given.get("Models"), is_openapi, whole)?
            {
                validators.entry(name).or_insert(validator);
            }
        }
    }
    if !validators.is_empty() {
        document[requests::VALIDATORS] = validators.into();
    }
    if let Some(cors) = given.get("Cors") {
        add_cors(logical_id, cors, &mut paths)?;
    }
    let schemes = add_auth(logical_id, given.get("Auth"), &of_api, &mut paths)?;
    if !is_own {
        put_conditions(logical_id, &of_api, &mut paths);
    }
    let is_openapi = document.get("openapi").is_some();
    if is_openapi {
        paths.values_mut().for_each(modernise);
    }
    document["paths"] = paths.into();
    let (place, kind) =
        if is_openapi { ("securitySchemes", "schemas") } else { ("securityDefinitions", "definitions") };
    let mut put = |member: &str, entries: Map<String, Value>| {
        let holder = if is_openapi { &mut document["components"] } else { &mut document };
        for (name, entry) in entries {
            holder[member][name] = entry;
        }
    };
    if !schemes.is_empty() {
        put(place, schemes);
    }
    if let Some(Value::Object(models)) = given.get("Models") {
        put(kind, models.iter().map(|(name, model)| (name.to_lowercase(), model.clone())).collect());
    }
    if let Some(Value::Object(responses)) = given.get("GatewayResponses") {
        document["x-amazon-apigateway-gateway-responses"] = responses
            .iter()
            .map(|(name, response)| (name.clone(), gateway_response(response)))
            .collect::<Map<_, _>>()
            .into();
    }
    if let Some(types) = given.get("BinaryMediaTypes") {
        document["x-amazon-apigateway-binary-media-types"] = untilded(types);
    }
    if let Some(is_off) = given.get("DisableExecuteApiEndpoint") {
        document["x-amazon-apigateway-endpoint-configuration"]["disableExecuteApiEndpoint"] = is_off.clone();
    }
    Ok(document)
}

/// Methods of functions that are not there are not there either, nor are paths without any other.
fn put_conditions(logical_id: &str, methods: &[&Method], paths: &mut Paths) {
    let none = || json!({ "Ref": "AWS::NoValue" });
    for method in methods {
        let Some(condition) = &method.condition else { continue };
        let whole = &mut paths[&method.path][&method.method];
        let uri = whole[INTEGRATION]["uri"].take();
        whole[INTEGRATION]["uri"] = json!({ "Fn::If": [condition, uri, none()] });
        *whole = json!({ "Fn::If": [condition, whole.take(), none()] });
    }
    if logical_id != IMPLICIT {
        return;
    }
    for (path, item) in paths.iter_mut() {
        let of_path: Vec<&Option<Value>> = methods.iter().filter(|m| m.path == *path).map(|m| &m.condition).collect();
        if let Some(Some(condition)) = of_path.first()
            && of_path.iter().all(|other| other.as_ref() == Some(condition))
        {
            *item = json!({ "Fn::If": [condition, item.take(), none()] });
        }
    }
}

/// What version 3 of OpenAPI writes otherwise of preflight requests.
fn modernise(item: &mut Value) {
    let Some(options) = item.get_mut("options").and_then(Value::as_object_mut) else { return };
    options.remove("consumes");
    options.remove("produces");
    let headers = options.get_mut("responses").and_then(|responses| responses.get_mut("200"));
    let headers = headers.and_then(|response| response.get_mut("headers")).and_then(Value::as_object_mut);
    for schema in headers.into_iter().flat_map(|headers| headers.values_mut()) {
        *schema = json!({ "schema": schema.take() });
    }
}

fn gateway_response(given: &Value) -> Value {
    let mut parameters = Map::new();
    for (member, prefix) in [("Headers", "header"), ("Paths", "path"), ("QueryStrings", "querystring")] {
        let named = given.get("ResponseParameters").and_then(|parameters| parameters.get(member));
        for (name, value) in named.and_then(Value::as_object).into_iter().flatten() {
            parameters.insert(format!("gatewayresponse.{prefix}.{name}"), value.clone());
        }
    }
    let mut made = json!({ "responseParameters": parameters });
    made["responseTemplates"] = given.get("ResponseTemplates").cloned().unwrap_or_else(|| json!({}));
    match given.get("StatusCode") {
        None => {}
        Some(Value::Number(number)) => made["statusCode"] = number.to_string().into(),
        Some(other) => made["statusCode"] = other.clone(),
    }
    made
}

fn add_cors(logical_id: &str, given: &Value, paths: &mut Paths) -> Result<(), Error> {
    let map = given.as_object().filter(|map| !super::is_intrinsic(map));
    let known = ["AllowMethods", "AllowHeaders", "AllowOrigin", "MaxAge", "AllowCredentials"];
    if let Some(name) = map.and_then(|map| map.keys().find(|name| !known.contains(&name.as_str()))) {
        return Err(invalid(format!(
            "Resource with id [{logical_id}] is invalid. Invalid key '{name}' for 'Cors' property."
        )));
    }
    let of = |name: &str| map.and_then(|map| map.get(name)).filter(|value| !value.is_null());
    let origin = if map.is_some() { of("AllowOrigin").cloned().unwrap_or_else(|| "'*'".into()) } else { given.clone() };
    for item in paths.values_mut() {
        let Some(item) = item.as_object_mut().filter(|item| !item.contains_key("options")) else { continue };
        let methods = of("AllowMethods").cloned().unwrap_or_else(|| format!("'{}'", methods_of(item)).into());
        let mut parameters = Map::new();
        let mut headers = Map::new();
        let mut add = |name: &str, value: Value, kind: &str| {
            parameters.insert(format!("method.response.header.{name}"), value);
            headers.insert(name.to_owned(), json!({ "type": kind }));
        };
        add("Access-Control-Allow-Origin", origin.clone(), "string");
        if let Some(allowed) = of("AllowHeaders") {
            add("Access-Control-Allow-Headers", allowed.clone(), "string");
        }
        add("Access-Control-Allow-Methods", methods, "string");
        if let Some(age) = of("MaxAge") {
            add("Access-Control-Max-Age", age.clone(), "integer");
        }
        if of("AllowCredentials").is_some_and(crate::template::is_true) {
            add("Access-Control-Allow-Credentials", "'true'".into(), "string");
        }
        let response = json!({
            "statusCode": "200",
            "responseParameters": parameters,
            "responseTemplates": { "application/json": "{}\n" },
        });
        let options = json!({
            "summary": "CORS support",
            "consumes": ["application/json"],
            "produces": ["application/json"],
            INTEGRATION: {
                "type": "mock",
                "requestTemplates": { "application/json": "{\n  \"statusCode\" : 200\n}\n" },
                "responses": { "default": response },
            },
            "responses": { "200": { "description": "Default response for CORS method", "headers": headers } },
        });
        item.insert("options".into(), options);
    }
    Ok(())
}

fn methods_of(item: &Map<String, Value>) -> String {
    if item.contains_key(ANY) {
        return "DELETE,GET,HEAD,OPTIONS,PATCH,POST,PUT".into();
    }
    let mut names: Vec<String> = item.keys().map(|name| name.to_ascii_uppercase()).collect();
    names.push("OPTIONS".into());
    names.sort();
    names.join(",")
}

/// Puts security on methods; answers with the definitions of what they name.
fn add_auth(
    logical_id: &str,
    auth: Option<&Value>,
    methods: &[&Method],
    paths: &mut Paths,
) -> Result<Map<String, Value>, Error> {
    let empty = Map::new();
    let auth = auth.and_then(Value::as_object).unwrap_or(&empty);
    let known = [
        "Authorizers",
        "DefaultAuthorizer",
        "ApiKeyRequired",
        "AddDefaultAuthorizerToCorsPreflight",
        "AddApiKeyRequiredToCorsPreflight",
        "UsagePlan",
        "InvokeRole",
    ];
    if let Some(name) = auth.keys().find(|name| !known.contains(&name.as_str())) {
        return Err(not_built(format!("property Auth.{name} of {logical_id}")));
    }
    let mut schemes = Map::new();
    for (name, authorizer) in auth.get("Authorizers").and_then(Value::as_object).into_iter().flatten() {
        schemes.insert(name.clone(), scheme(logical_id, name, authorizer)?);
    }
    let default = auth.get("DefaultAuthorizer").and_then(Value::as_str);
    let on_preflight = |name: &str| auth.get(name).is_none_or(crate::template::is_true);
    let key_for_all = auth.get("ApiKeyRequired").is_some_and(crate::template::is_true);
    let (mut uses_key, mut uses_signature) = (false, false);
    for (path, item) in paths.iter_mut() {
        for (name, method) in item.as_object_mut().into_iter().flatten() {
            if method.get(INTEGRATION).is_none() || method.get("security").is_some() {
                continue;
            }
            let event = methods.iter().find(|m| m.path == *path && m.method == *name).map(|m| &m.auth);
            let of_event = |member: &str| event.and_then(|auth| auth.get(member));
            let is_preflight = name == "options" && event.is_none();
            let own = of_event("Authorizer").and_then(Value::as_str);
            let by_default = default.filter(|_| !is_preflight || on_preflight("AddDefaultAuthorizerToCorsPreflight"));
            let authorizer = own.or(by_default);
            let needs_key = match of_event("ApiKeyRequired") {
                Some(own) => crate::template::is_true(own),
                None => key_for_all && (!is_preflight || on_preflight("AddApiKeyRequiredToCorsPreflight")),
            };
            let mut requirements = Vec::new();
            if let Some(name) = authorizer {
                if name != "NONE" && name != "AWS_IAM" && !schemes.contains_key(name) {
                    return Err(invalid(format!(
                        "Unable to set Authorizer [{name}] on API method [{}] for path [{path}] because it wasn't defined in the API's Authorizers.",
                        name
                    )));
                }
                uses_signature |= name == "AWS_IAM";
                let mut requirement = Map::new();
                requirement.insert(name.to_owned(), json!([]));
                requirements.push(Value::from(requirement));
            }
            if needs_key {
                uses_key = true;
                requirements.push(json!({ "api_key": [] }));
            }
            if !requirements.is_empty() {
                method["security"] = requirements.into();
            }
        }
    }
    if uses_key {
        schemes.insert("api_key".into(), json!({ "type": "apiKey", "name": "x-api-key", "in": "header" }));
    }
    if uses_signature {
        let signature = json!({ "type": "apiKey", "name": "Authorization", "in": "header", "x-amazon-apigateway-authtype": "awsSigv4" });
        schemes.insert("AWS_IAM".into(), signature);
    }
    Ok(schemes)
}

fn scheme(logical_id: &str, name: &str, given: &Value) -> Result<Value, Error> {
    let Some(function) = given.get("FunctionArn") else {
        return Err(not_built(format!("authorizer {name} of {logical_id} without FunctionArn")));
    };
    if given.get("FunctionInvokeRole").is_some() || given.get("AuthorizationScopes").is_some() {
        return Err(not_built(format!(
            "FunctionInvokeRole and AuthorizationScopes of authorizer {name} of {logical_id}"
        )));
    }
    let is_request = given.get("FunctionPayloadType").and_then(Value::as_str) == Some("REQUEST");
    let identity = given.get("Identity").cloned().unwrap_or_else(|| json!({}));
    let uri = "arn:aws:apigateway:${AWS::Region}:lambda:path/2015-03-31/functions/${__FunctionArn__}/invocations";
    let mut authorizer = json!({
        "type": if is_request { "request" } else { "token" },
        "authorizerUri": { "Fn::Sub": [uri, { "__FunctionArn__": function }] },
    });
    if let Some(ttl) = identity.get("ReauthorizeEvery") {
        authorizer["authorizerResultTtlInSeconds"] = ttl.clone();
    }
    if let Some(expression) = identity.get("ValidationExpression").filter(|_| !is_request) {
        authorizer["identityValidationExpression"] = expression.clone();
    }
    if is_request {
        let mut sources = Vec::new();
        for (member, prefix) in [
            ("Headers", "method.request.header."),
            ("QueryStrings", "method.request.querystring."),
            ("StageVariables", "stageVariables."),
            ("Context", "context."),
        ] {
            let names = identity.get(member).and_then(Value::as_array);
            sources.extend(names.into_iter().flatten().filter_map(Value::as_str).map(|name| format!("{prefix}{name}")));
        }
        if !sources.is_empty() {
            authorizer["identitySource"] = sources.join(", ").into();
        }
    }
    let header = identity.get("Header").cloned().unwrap_or_else(|| "Authorization".into());
    Ok(json!({
        "type": "apiKey",
        "name": if is_request { Value::from("Unused") } else { header },
        "in": "header",
        "x-amazon-apigateway-authtype": "custom",
        "x-amazon-apigateway-authorizer": authorizer,
    }))
}

fn permissions_of_authorizers(
    logical_id: &str,
    source: &Value,
    given: &Map<String, Value>,
    out: &mut Out<'_>,
) -> Result<(), Error> {
    let authorizers = given.get("Auth").and_then(|auth| auth.get("Authorizers")).and_then(Value::as_object);
    for (name, authorizer) in authorizers.into_iter().flatten() {
        let Some(function) = authorizer.get("FunctionArn") else { continue };
        if authorizer.get("DisableFunctionDefaultPermissions").is_some_and(crate::template::is_true) {
            continue;
        }
        let arn = "arn:aws:execute-api:${AWS::Region}:${AWS::AccountId}:${__ApiId__}/authorizers/*";
        let permission = json!({
            "Action": "lambda:InvokeFunction",
            "FunctionName": function,
            "Principal": "apigateway.amazonaws.com",
            "SourceArn": { "Fn::Sub": [arn, { "__ApiId__": { "Ref": logical_id } }] },
        });
        let id = format!("{logical_id}{name}AuthorizerPermission");
        out.add(&id, resource("AWS::Lambda::Permission", source, permission))?;
    }
    Ok(())
}

/// A usage plan with its key, of this API or of all that share one.
fn usage_plan(
    logical_id: &str,
    stage_id: &str,
    source: &Value,
    given: &Map<String, Value>,
    out: &mut Out<'_>,
) -> Result<(), Error> {
    let Some(plan) = given.get("Auth").and_then(|auth| auth.get("UsagePlan")) else { return Ok(()) };
    let prefix = match plan.get("CreateUsagePlan").and_then(Value::as_str) {
        Some("NONE") => return Ok(()),
        Some("PER_API") => logical_id,
        Some("SHARED") => "Serverless",
        _ => {
            return Err(invalid(format!(
                "Resource with id [{logical_id}] is invalid. 'CreateUsagePlan' accepts one of ['SHARED', 'PER_API', 'NONE']."
            )));
        }
    };
    let stage = json!({ "ApiId": { "Ref": logical_id }, "Stage": { "Ref": stage_id } });
    let (plan_id, key_id) = (format!("{prefix}UsagePlan"), format!("{prefix}ApiKey"));
    if let Some(known) = out.resources.get_mut(&plan_id) {
        if let Some(stages) = known["Properties"]["ApiStages"].as_array_mut() {
            stages.push(stage);
        }
        if let Some(depends) = known["DependsOn"].as_array_mut() {
            depends.push(logical_id.into());
        }
        return Ok(());
    }
    let mut properties = json!({ "ApiStages": [stage] });
    for name in ["UsagePlanName", "Description", "Quota", "Throttle", "Tags"] {
        if let Some(value) = plan.get(name) {
            properties[name] = value.clone();
        }
    }
    let mut made = resource("AWS::ApiGateway::UsagePlan", source, properties);
    made["DependsOn"] = json!([logical_id]);
    out.add(&plan_id, made)?;
    let mut key = resource("AWS::ApiGateway::ApiKey", source, json!({ "Enabled": true }));
    key["DependsOn"] = json!([plan_id]);
    out.add(&key_id, key)?;
    let pair = json!({ "KeyId": { "Ref": key_id }, "KeyType": "API_KEY", "UsagePlanId": { "Ref": plan_id } });
    let mut both = resource("AWS::ApiGateway::UsagePlanKey", source, pair);
    both["DependsOn"] = json!([key_id]);
    out.add(&format!("{prefix}UsagePlanKey"), both)
}
