//! OpenAPI 3 and Swagger 2 documents with API Gateway's extensions
//! (<https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-swagger-extensions.html>) as the definition of a
//! REST API. `basePath` and `servers` are ignored, as they are by default; what is said of documentation is not kept. Pure.

use std::collections::BTreeMap;

use cumulet_base::id;
use serde_json::{Map, Value};

use super::operations::below;
use super::shapes::{
    Authorizer, GatewayResponse, Integration, IntegrationResponse, Method, MethodResponse, Model, RequestValidator,
    Resource, RestApi,
};
use crate::errors::Error;
use crate::shapes::Texts;
use crate::storage::rest::Definition;

const ANY: &str = "x-amazon-apigateway-any-method";
const METHODS: &[(&str, &str)] = &[
    ("get", "GET"),
    ("put", "PUT"),
    ("post", "POST"),
    ("delete", "DELETE"),
    ("options", "OPTIONS"),
    ("head", "HEAD"),
    ("patch", "PATCH"),
    (ANY, "ANY"),
];

/// How a security scheme of the document is met.
#[derive(Clone, Debug, PartialEq)]
enum Scheme {
    Authorizer(Box<Authorizer>),
    Signature,
    ApiKey,
}

/// What a document says, with names instead of ids.
#[derive(Clone, Debug, Default)]
pub struct Imported {
    pub name: String,
    description: Option<String>,
    version: Option<String>,
    binary_media_types: Option<Vec<String>>,
    minimum_compression_size: Option<u64>,
    api_key_source: Option<String>,
    is_default_endpoint_off: Option<bool>,
    models: Vec<Model>,
    schemes: BTreeMap<String, Scheme>,
    validators: BTreeMap<String, RequestValidator>,
    validator: Option<String>,
    responses: Vec<GatewayResponse>,
    methods: Vec<Operation>,
}

/// A method, with the name of its validator instead of the id.
#[derive(Clone, Debug)]
struct Operation {
    path: String,
    method: Method,
    /// Names of the security schemes.
    security: Vec<String>,
}

fn bad(why: impl std::fmt::Display) -> Error {
    Error::Invalid(format!("Invalid OpenAPI input: {why}"))
}

fn entries(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

fn owned(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

/// # Errors
/// When it is no such document, or says something that is not built.
pub fn read(document: &Value) -> Result<Imported, Error> {
    let is_known = document["swagger"].as_str().is_some_and(|v| v.starts_with("2."))
        || document["openapi"].as_str().is_some_and(|v| v.starts_with("3."))
        || document["swagger"].as_f64() == Some(2.0);
    if !is_known {
        return Err(bad("neither `swagger: 2.0` nor `openapi: 3.x` is there"));
    }
    if !document["x-amazon-apigateway-policy"].is_null() {
        return Err(Error::NotBuilt("resource policies of REST APIs".into()));
    }
    let title = &document["info"]["title"];
    let mut imported = Imported {
        name: owned(title).unwrap_or_else(|| "Untitled".into()),
        description: owned(&document["info"]["description"]),
        version: owned(&document["info"]["version"]),
        binary_media_types: strings(&document["x-amazon-apigateway-binary-media-types"]),
        minimum_compression_size: document["x-amazon-apigateway-minimum-compression-size"].as_u64(),
        api_key_source: owned(&document["x-amazon-apigateway-api-key-source"]),
        is_default_endpoint_off: document["x-amazon-apigateway-endpoint-configuration"]["disableExecuteApiEndpoint"]
            .as_bool(),
        validator: owned(&document["x-amazon-apigateway-request-validator"]),
        ..Imported::default()
    };
    let (schemas, schemes) = match document.get("swagger") {
        Some(_) => (&document["definitions"], &document["securityDefinitions"]),
        None => (&document["components"]["schemas"], &document["components"]["securitySchemes"]),
    };
    for (name, schema) in entries(schemas) {
        imported.models.push(Model {
            id: id::short(6),
            name: name.clone(),
            schema: Some(schema.to_string()),
            content_type: "application/json".into(),
            ..Model::default()
        });
    }
    for (name, scheme) in entries(schemes) {
        imported.schemes.insert(name.clone(), read_scheme(name, scheme)?);
    }
    for (name, given) in entries(&document["x-amazon-apigateway-request-validators"]) {
        imported.validators.insert(
            name.clone(),
            RequestValidator {
                id: id::short(6),
                name: name.clone(),
                validate_request_body: given["validateRequestBody"].as_bool().unwrap_or_default(),
                validate_request_parameters: given["validateRequestParameters"].as_bool().unwrap_or_default(),
            },
        );
    }
    for (kind, given) in entries(&document["x-amazon-apigateway-gateway-responses"]) {
        let texts = |member: &str| -> Texts { entries(&given[member]).map(|(k, v)| (k.clone(), text(v))).collect() };
        imported.responses.push(GatewayResponse {
            response_type: kind.clone(),
            status_code: Some(&given["statusCode"]).filter(|code| !code.is_null()).map(text),
            response_parameters: texts("responseParameters"),
            response_templates: texts("responseTemplates"),
            default_response: false,
        });
    }
    for (path, item) in entries(&document["paths"]) {
        for (key, operation) in entries(item) {
            if let Some((_, name)) = METHODS.iter().find(|(known, _)| known == key) {
                let shared = item["parameters"].as_array().cloned().unwrap_or_default();
                let method = read_method(name, operation, &shared)?;
                let security = read_security(operation.get("security").or_else(|| document.get("security")))?;
                imported.methods.push(Operation { path: path.clone(), method, security });
            }
        }
    }
    Ok(imported)
}

fn strings(value: &Value) -> Option<Vec<String>> {
    value.as_array().map(|list| list.iter().filter_map(owned).collect())
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn read_scheme(name: &str, scheme: &Value) -> Result<Scheme, Error> {
    let given = &scheme["x-amazon-apigateway-authorizer"];
    if given.is_null() {
        let header = scheme["name"].as_str().unwrap_or_default();
        return match scheme["x-amazon-apigateway-authtype"].as_str() {
            Some("awsSigv4") => Ok(Scheme::Signature),
            _ if header.eq_ignore_ascii_case("x-api-key") => Ok(Scheme::ApiKey),
            _ => Err(Error::NotBuilt(format!("security scheme {name} without an authorizer"))),
        };
    }
    let kind = given["type"].as_str().unwrap_or_default().to_ascii_uppercase();
    let source = owned(&given["identitySource"]).or_else(|| {
        let header = scheme["name"].as_str().filter(|_| kind == "TOKEN")?;
        Some(format!("method.request.header.{header}"))
    });
    Ok(Scheme::Authorizer(Box::new(Authorizer {
        id: id::short(6),
        name: name.to_owned(),
        r#type: kind,
        auth_type: owned(&scheme["x-amazon-apigateway-authtype"]),
        authorizer_uri: owned(&given["authorizerUri"]),
        authorizer_credentials: owned(&given["authorizerCredentials"]),
        identity_source: source,
        identity_validation_expression: owned(&given["identityValidationExpression"]),
        authorizer_result_ttl_in_seconds: given["authorizerResultTtlInSeconds"]
            .as_u64()
            .or_else(|| given["authorizerResultTtlInSeconds"].as_str().and_then(|ttl| ttl.parse().ok())),
        provider_arns: strings(&given["providerARNs"]),
    })))
}

fn read_method(name: &str, operation: &Value, shared: &[Value]) -> Result<Method, Error> {
    let mut method = Method {
        http_method: name.to_owned(),
        authorization_type: "NONE".into(),
        authorizer_id: None,
        api_key_required: false,
        request_validator_id: owned(&operation["x-amazon-apigateway-request-validator"]),
        operation_name: owned(&operation["operationId"]),
        request_parameters: BTreeMap::new(),
        request_models: Texts::new(),
        authorization_scopes: Vec::new(),
        method_responses: BTreeMap::new(),
        method_integration: None,
    };
    let own = operation["parameters"].as_array().cloned().unwrap_or_default();
    for parameter in shared.iter().chain(&own) {
        let place = match parameter["in"].as_str() {
            Some("header") => "header",
            Some("query") => "querystring",
            Some("path") => "path",
            Some("body") => {
                if let Some(model) = referred(&parameter["schema"]) {
                    method.request_models.insert("application/json".into(), model);
                }
                continue;
            }
            _ => continue,
        };
        let name = parameter["name"].as_str().unwrap_or_default();
        let is_required = parameter["required"].as_bool().unwrap_or_default();
        method.request_parameters.insert(format!("method.request.{place}.{name}"), is_required);
    }
    for (content_type, content) in entries(&operation["requestBody"]["content"]) {
        if let Some(model) = referred(&content["schema"]) {
            method.request_models.insert(content_type.clone(), model);
        }
    }
    for (status, given) in entries(&operation["responses"]) {
        let headers = entries(&given["headers"]).map(|(name, _)| (format!("method.response.header.{name}"), false));
        let response_models = referred(&given["schema"]).map(|model| ("application/json".to_owned(), model));
        let response = MethodResponse {
            status_code: status.clone(),
            response_parameters: headers.collect(),
            response_models: response_models.into_iter().collect(),
        };
        method.method_responses.insert(status.clone(), response);
    }
    let integration = &operation["x-amazon-apigateway-integration"];
    if !integration.is_null() {
        method.method_integration = Some(read_integration(integration)?);
    }
    Ok(method)
}

fn read_security(given: Option<&Value>) -> Result<Vec<String>, Error> {
    let mut names = Vec::new();
    for requirement in given.and_then(Value::as_array).into_iter().flatten() {
        for (scheme, scopes) in entries(requirement) {
            if scopes.as_array().is_some_and(|scopes| !scopes.is_empty()) {
                return Err(Error::NotBuilt("scopes of authorizers of REST APIs".into()));
            }
            names.push(scheme.clone());
        }
    }
    Ok(names)
}

/// The model that `$ref` names.
fn referred(schema: &Value) -> Option<String> {
    schema["$ref"].as_str()?.rsplit('/').next().map(str::to_owned)
}

fn read_integration(given: &Value) -> Result<Integration, Error> {
    let Some(members) = given.as_object() else { return Err(bad("an integration is no object")) };
    let mut members: Map<String, Value> = members.clone();
    let responses = members.remove("responses").unwrap_or_default();
    for member in ["type", "passthroughBehavior", "connectionType", "contentHandling", "httpMethod"] {
        if let Some(text) = members.get(member).and_then(Value::as_str) {
            let upper = text.to_ascii_uppercase();
            members.insert(member.into(), upper.into());
        }
    }
    let mut integration: Integration =
        serde_json::from_value(members.into()).map_err(|e| bad(format!("integration: {e}")))?;
    for (pattern, response) in entries(&responses) {
        let mut members = response.as_object().cloned().unwrap_or_default();
        let status = members.get("statusCode").map(text).unwrap_or_default();
        members.insert("statusCode".into(), status.clone().into());
        let response: IntegrationResponse =
            serde_json::from_value(members.into()).map_err(|e| bad(format!("integration: {e}")))?;
        let selection_pattern = Some(pattern.clone()).filter(|pattern| pattern != "default");
        integration.integration_responses.insert(status, IntegrationResponse { selection_pattern, ..response });
    }
    Ok(integration)
}

/// Puts what was read into an API: what has the same name is replaced, with the id that it had.
pub fn merge(api: &mut RestApi, definition: &mut Definition, imported: &Imported) -> Result<(), Error> {
    api.name.clone_from(&imported.name);
    api.description = imported.description.clone().or(api.description.take());
    api.version = imported.version.clone().or(api.version.take());
    if let Some(types) = &imported.binary_media_types {
        api.binary_media_types.clone_from(types);
    }
    api.minimum_compression_size = imported.minimum_compression_size.or(api.minimum_compression_size);
    if let Some(source) = &imported.api_key_source {
        api.api_key_source.clone_from(source);
    }
    if let Some(is_off) = imported.is_default_endpoint_off {
        api.disable_execute_api_endpoint = is_off;
    }
    for model in &imported.models {
        definition.models.insert(model.name.clone(), model.clone());
    }
    for response in &imported.responses {
        definition.responses.insert(response.response_type.clone(), response.clone());
    }
    for validator in imported.validators.values() {
        let known = definition.validators.values().find(|known| known.name == validator.name);
        let id = known.map_or_else(|| validator.id.clone(), |known| known.id.clone());
        definition.validators.insert(id.clone(), RequestValidator { id, ..validator.clone() });
    }
    for scheme in imported.schemes.values() {
        if let Scheme::Authorizer(authorizer) = scheme {
            let known = definition.authorizers.values().find(|known| known.name == authorizer.name);
            let id = known.map_or_else(|| authorizer.id.clone(), |known| known.id.clone());
            definition.authorizers.insert(id.clone(), Authorizer { id, ..(**authorizer).clone() });
        }
    }
    for operation in &imported.methods {
        let mut method = placed(operation, definition, imported)?;
        let id = resource_at(api, definition, &operation.path)?;
        if let Some(resource) = definition.resources.get_mut(&id) {
            if let Some(integration) = &mut method.method_integration
                && integration.cache_namespace.is_empty()
            {
                integration.cache_namespace.clone_from(&id);
            }
            resource.resource_methods.insert(method.http_method.clone(), method);
        }
    }
    Ok(())
}

/// The method with ids in place of names.
fn placed(operation: &Operation, definition: &Definition, imported: &Imported) -> Result<Method, Error> {
    let mut method = operation.method.clone();
    for name in &operation.security {
        match imported.schemes.get(name) {
            Some(Scheme::ApiKey) => method.api_key_required = true,
            Some(Scheme::Signature) => method.authorization_type = "AWS_IAM".into(),
            Some(Scheme::Authorizer(authorizer)) => {
                let is_pool = authorizer.r#type == "COGNITO_USER_POOLS";
                method.authorization_type = if is_pool { "COGNITO_USER_POOLS" } else { "CUSTOM" }.into();
                let known = definition.authorizers.values().find(|known| known.name == *name);
                method.authorizer_id = known.map(|known| known.id.clone());
            }
            // As SAM says that there is to be none.
            None if name == "NONE" => {}
            None => return Err(bad(format!("security scheme {name} is not defined"))),
        }
    }
    if let Some(name) = method.request_validator_id.take().or_else(|| imported.validator.clone()) {
        let known = definition.validators.values().find(|known| known.name == name);
        method.request_validator_id =
            Some(known.ok_or_else(|| bad(format!("request validator {name} is not defined")))?.id.clone());
    }
    Ok(method)
}

/// The resource of a path, made with all above it if it is not there.
fn resource_at(api: &RestApi, definition: &mut Definition, path: &str) -> Result<String, Error> {
    let mut at = api.root_resource_id.clone();
    for part in path.split('/').filter(|part| !part.is_empty()) {
        let is_it = |r: &&Resource| r.parent_id.as_deref() == Some(&at) && r.path_part.as_deref() == Some(part);
        if let Some(known) = definition.resources.values().find(is_it) {
            at = known.id.clone();
            continue;
        }
        let parent = definition.resources.get(&at).ok_or_else(|| bad(format!("path {path}")))?;
        let made = Resource {
            id: id::short(6),
            parent_id: Some(at.clone()),
            path_part: Some(part.to_owned()),
            path: below(parent, part)?,
            ..Resource::default()
        };
        at.clone_from(&made.id);
        definition.resources.insert(made.id.clone(), made);
    }
    Ok(at)
}
