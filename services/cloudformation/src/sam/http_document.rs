//! `DefinitionBody` of `AWS::Serverless::HttpApi`: an OpenAPI document with API Gateway's extensions
//! (<https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-open-api.html>) as routes, integrations and authorizers
//! (`docs/decisions/sam-http-apis.md`). What is built of these, their own types say.

use serde_json::{Map, Value, json};

use super::{Out, hash, http_api, invalid, not_built, resource};
use crate::errors::Error;
use crate::resources::text;

const ANY: &str = "x-amazon-apigateway-any-method";
const INTEGRATION: &str = "x-amazon-apigateway-integration";
const METHODS: [&str; 8] = ["get", "put", "post", "delete", "options", "head", "patch", ANY];

/// Members of an integration, and the properties they are.
const MEMBERS: &[(&str, &str)] = &[
    ("uri", "IntegrationUri"),
    ("httpMethod", "IntegrationMethod"),
    ("timeoutInMillis", "TimeoutInMillis"),
    ("credentials", "CredentialsArn"),
    ("integrationSubtype", "IntegrationSubtype"),
    ("requestParameters", "RequestParameters"),
    ("responseParameters", "ResponseParameters"),
    ("connectionType", "ConnectionType"),
    ("connectionId", "ConnectionId"),
    ("tlsConfig", "TlsConfig"),
];

/// What the document says of the API itself.
pub fn properties(document: &Value) -> Map<String, Value> {
    let mut found = Map::new();
    for (name, value) in [("Name", &document["info"]["title"]), ("Description", &document["info"]["description"])] {
        if !value.is_null() {
            found.insert(name.into(), value.clone());
        }
    }
    let cors = document["x-amazon-apigateway-cors"].as_object();
    let upper = |name: &str| {
        let mut letters = name.chars();
        letters.next().map_or_else(String::new, |first| first.to_ascii_uppercase().to_string() + letters.as_str())
    };
    if let Some(cors) = cors {
        let cors: Map<String, Value> = cors.iter().map(|(name, value)| (upper(name), value.clone())).collect();
        found.insert("CorsConfiguration".into(), cors.into());
    }
    found
}

/// A part of the document, or what it refers to in there.
fn meant<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    let place = value.get("$ref").and_then(Value::as_str).and_then(|place| place.strip_prefix('#'));
    place.and_then(|place| document.pointer(place)).unwrap_or(value)
}

/// The routes of the document, with the integrations behind them.
pub fn routes(api: &str, source: &Value, document: &Value, out: &mut Out<'_>) -> Result<(), Error> {
    let mut schemes = Vec::new();
    for (path, methods) in document["paths"].as_object().into_iter().flatten() {
        for (method, operation) in meant(document, methods).as_object().into_iter().flatten() {
            if !METHODS.contains(&method.as_str()) {
                continue;
            }
            let given = operation.get(INTEGRATION).map(|given| meant(document, given));
            let Some(given) = given else { continue };
            let verb = if method == ANY { "ANY".to_owned() } else { method.to_ascii_uppercase() };
            let key = if path == "/$default" { "$default".to_owned() } else { format!("{verb} {path}") };
            let id = format!("{api}{}", hash::of(&key.clone().into()));
            let integration_id = format!("{id}Integration");
            let made = resource("AWS::ApiGatewayV2::Integration", source, integration(api, &key, given)?);
            out.add(&integration_id, made)?;
            let security = operation.get("security").or_else(|| document.get("security"));
            let mut route = match security.and_then(|list| list.get(0)).and_then(Value::as_object) {
                Some(wanted) => guarded(api, source, document, wanted, &mut schemes, out)?,
                None if operation["x-amazon-apigateway-auth"]["type"] == "AWS_IAM" => {
                    Map::from_iter([("AuthorizationType".to_owned(), "AWS_IAM".into())])
                }
                None => http_api::guarded(&json!({ "Ref": api }), None, out)?,
            };
            route.insert("ApiId".into(), json!({ "Ref": api }));
            route.insert("RouteKey".into(), key.into());
            route.insert("Target".into(), json!({ "Fn::Sub": format!("integrations/${{{integration_id}}}") }));
            out.add(&format!("{id}Route"), resource("AWS::ApiGatewayV2::Route", source, route.into()))?;
        }
    }
    Ok(())
}

fn integration(api: &str, key: &str, given: &Value) -> Result<Value, Error> {
    let kind = given["type"].as_str().unwrap_or("aws_proxy").to_ascii_uppercase();
    let version = given.get("payloadFormatVersion").map_or_else(|| "1.0".to_owned(), text);
    let mut made = json!({
        "ApiId": { "Ref": api },
        "IntegrationType": kind,
        // Texts that look like numbers are numbers in YAML.
        "PayloadFormatVersion": if version == "1" || version == "2" { format!("{version}.0") } else { version },
    });
    for (name, value) in given.as_object().into_iter().flatten() {
        match MEMBERS.iter().find(|(member, _)| member == name) {
            Some((_, property)) => made[*property] = value.clone(),
            None if ["type", "payloadFormatVersion"].contains(&name.as_str()) => {}
            None => return Err(not_built(format!("{name} of the integration of {key} of {api}"))),
        }
    }
    Ok(made)
}

/// Who may take a route, by the first of its security requirements.
fn guarded(
    api: &str,
    source: &Value,
    document: &Value,
    wanted: &Map<String, Value>,
    schemes: &mut Vec<String>,
    out: &mut Out<'_>,
) -> Result<Map<String, Value>, Error> {
    let Some((name, scopes)) = wanted.iter().next() else { return Ok(Map::new()) };
    let scheme = &document["components"]["securitySchemes"][name];
    let given = &scheme["x-amazon-apigateway-authorizer"];
    if !given.is_object() {
        let event = json!({ "Authorizer": name });
        return http_api::guarded(&json!({ "Ref": api }), Some(&event), out);
    }
    let id = http_api::authorizer_id(api, name);
    let is_jwt = match given["type"].as_str() {
        Some("jwt") => true,
        Some("request") => false,
        _ => return Err(invalid(format!("the type of the authorizer {name} of {api} must be jwt or request"))),
    };
    if !schemes.contains(name) {
        schemes.push(name.clone());
        let sources = given["identitySource"].as_str().unwrap_or("$request.header.Authorization");
        let sources: Vec<&str> = sources.split(',').map(str::trim).collect();
        let mut made = json!({ "ApiId": { "Ref": api }, "Name": name, "IdentitySource": sources });
        if is_jwt {
            let of = &given["jwtConfiguration"];
            made["AuthorizerType"] = "JWT".into();
            made["JwtConfiguration"] = json!({ "Issuer": of["issuer"], "Audience": of["audience"] });
        } else {
            made["AuthorizerType"] = "REQUEST".into();
            for (member, property) in [
                ("authorizerUri", "AuthorizerUri"),
                ("authorizerPayloadFormatVersion", "AuthorizerPayloadFormatVersion"),
                ("authorizerResultTtlInSeconds", "AuthorizerResultTtlInSeconds"),
                ("enableSimpleResponses", "EnableSimpleResponses"),
                ("authorizerCredentialsArn", "AuthorizerCredentialsArn"),
            ] {
                if let Some(value) = given.get(member) {
                    made[property] = value.clone();
                }
            }
        }
        out.add(&id, resource("AWS::ApiGatewayV2::Authorizer", source, made))?;
    }
    let kind = if is_jwt { "JWT" } else { "CUSTOM" };
    let mut members = Map::from_iter([
        ("AuthorizationType".to_owned(), kind.into()),
        ("AuthorizerId".to_owned(), json!({ "Ref": id })),
    ]);
    if is_jwt && scopes.as_array().is_some_and(|scopes| !scopes.is_empty()) {
        members.insert("AuthorizationScopes".into(), scopes.clone());
    }
    Ok(members)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::prepared;

    const TEMPLATE: &str = "
Transform: AWS::Serverless-2016-10-31
Resources:
  Api:
    Type: AWS::Serverless::HttpApi
    Properties:
      DefinitionBody:
        openapi: 3.0.1
        info: {title: orders}
        x-amazon-apigateway-cors: {allowOrigins: ['*'], maxAge: 5}
        components:
          securitySchemes:
            jwt:
              type: oauth2
              x-amazon-apigateway-authorizer:
                type: jwt
                identitySource: $request.header.Authorization
                jwtConfiguration: {issuer: 'https://i.example', audience: [a]}
          x-amazon-apigateway-integrations:
            f: {type: AWS_PROXY, uri: !GetAtt F.Arn, payloadFormatVersion: 2.0}
        paths:
          /orders/{id}:
            get:
              security: [jwt: [read]]
              x-amazon-apigateway-integration: {$ref: '#/components/x-amazon-apigateway-integrations/f'}
            parameters: []
          /$default:
            x-amazon-apigateway-any-method:
              x-amazon-apigateway-integration: {type: aws_proxy, uri: !GetAtt F.Arn, httpMethod: POST}
  F:
    Type: AWS::Serverless::Function
    Properties:
      InlineCode: x
      Handler: index.h
      Runtime: nodejs22.x
      Events:
        Get: {Type: HttpApi, Properties: {ApiId: !Ref Api, Path: '/orders/{id}', Method: get}}
";

    #[test]
    fn a_document_says_the_routes() {
        let (value, template) = prepared::processed_by_defaults(TEMPLATE).unwrap();
        let of = |kind: &str| -> Vec<Value> {
            let all = template.resources.iter().filter(|resource| resource.kind == kind);
            all.map(|resource| resource.properties.clone()).collect()
        };
        let api = &value["Resources"]["Api"]["Properties"];
        assert_eq!((&api["Name"], &api["CorsConfiguration"]["MaxAge"]), (&json!("orders"), &json!(5)));
        let routes = of("AWS::ApiGatewayV2::Route");
        let keys: Vec<&Value> = routes.iter().map(|route| &route["RouteKey"]).collect();
        assert_eq!(keys, ["GET /orders/{id}", "$default"]);
        assert_eq!(
            (&routes[0]["AuthorizationType"], &routes[0]["AuthorizationScopes"]),
            (&json!("JWT"), &json!(["read"]))
        );
        assert_eq!(routes[0]["AuthorizerId"], json!({"Ref": "ApijwtAuthorizer"}));
        assert_eq!(of("AWS::ApiGatewayV2::Authorizer")[0]["JwtConfiguration"]["Audience"], json!(["a"]));
        let integrations = of("AWS::ApiGatewayV2::Integration");
        let versions: Vec<&Value> = integrations.iter().map(|one| &one["PayloadFormatVersion"]).collect();
        assert_eq!(versions, ["2.0", "1.0"]);
        assert_eq!(integrations[1]["IntegrationMethod"], "POST");
        // The event permits, and makes no second route.
        assert_eq!((of("AWS::Lambda::Permission").len(), routes.len()), (1, 2));
        let unknown = TEMPLATE.replace("httpMethod: POST", "cacheKeyParameters: []");
        let refused = prepared::processed_by_defaults(&unknown).unwrap_err().to_string();
        assert!(refused.contains("cacheKeyParameters of the integration of $default"), "{refused}");
    }
}
