//! `AWS::Serverless::HttpApi` and the events of functions that lead to one.

use serde_json::{Map, Value, json};

use super::events::Function;
use super::{Out, domain, http_document, invalid, not_built, only, resource};
use crate::errors::Error;

/// Logical id of the API of events that name none.
pub const IMPLICIT: &str = "ServerlessHttpApi";

const KNOWN: &[&str] = &[
    "Name",
    "Description",
    "StageName",
    "StageVariables",
    "CorsConfiguration",
    "AccessLogSettings",
    "DefaultRouteSettings",
    "RouteSettings",
    "Tags",
    "DisableExecuteApiEndpoint",
    "PropagateTags",
    "Auth",
    "Domain",
    // Of the import of a document, which there is none of.
    "FailOnWarnings",
    "DefinitionBody",
];

pub fn transform(logical_id: &str, source: &Value, given: &Map<String, Value>, out: &mut Out<'_>) -> Result<(), Error> {
    only(logical_id, given, KNOWN)?;
    let mut tags = json!({ "httpapi:createdBy": "SAM" });
    if let Some(own) = given.get("Tags") {
        super::merge(&mut tags, own);
    }
    let mut api = json!({
        "Name": given.get("Name").cloned().unwrap_or_else(|| json!({ "Ref": "AWS::StackName" })),
        "ProtocolType": "HTTP",
        "Tags": tags,
    });
    if let Some(document) = given.get("DefinitionBody") {
        let said = http_document::properties(document).into_iter().filter(|(name, _)| !given.contains_key(name));
        said.for_each(|(name, value)| api[name] = value);
    }
    for name in ["Description", "DisableExecuteApiEndpoint"] {
        if let Some(value) = given.get(name) {
            api[name] = value.clone();
        }
    }
    match given.get("CorsConfiguration") {
        None | Some(Value::Bool(false)) => {}
        // `true` allows everything.
        Some(Value::Bool(true)) => {
            api["CorsConfiguration"] = json!({ "AllowOrigins": ["*"], "AllowMethods": ["*"], "AllowHeaders": ["*"] });
        }
        Some(cors) => api["CorsConfiguration"] = cors.clone(),
    }
    let mut made = source.clone();
    made["Type"] = "AWS::ApiGatewayV2::Api".into();
    made["Properties"] = api;
    out.add(logical_id, made)?;
    authorizers(logical_id, source, given.get("Auth"), out)?;
    if let Some(document) = given.get("DefinitionBody") {
        http_document::routes(logical_id, source, document, out)?;
    }
    let name = given.get("StageName").cloned().unwrap_or_else(|| "$default".into());
    let stage_id = match name.as_str() {
        Some("$default") => format!("{logical_id}ApiGatewayDefaultStage"),
        Some(name) => {
            let letters: String = name.chars().filter(char::is_ascii_alphanumeric).collect();
            format!("{logical_id}{letters}Stage")
        }
        None => format!("{logical_id}Stage"),
    };
    let mut stage = json!({
        "ApiId": { "Ref": logical_id }, "StageName": name, "AutoDeploy": true, "Tags": tags,
    });
    for name in ["StageVariables", "AccessLogSettings", "DefaultRouteSettings", "RouteSettings"] {
        if let Some(value) = given.get(name) {
            stage[name] = value.clone();
        }
    }
    out.add(&stage_id, resource("AWS::ApiGatewayV2::Stage", source, stage))?;
    out.renamed.insert(format!("{logical_id}.Stage"), stage_id);
    domain::transform(logical_id, source, given.get("Domain"), &domain::Version::Http { tags }, out)
}

fn known(what: &str, given: &Value, names: &[&str]) -> Result<(), Error> {
    match given.as_object().and_then(|given| given.keys().find(|name| !names.contains(&name.as_str()))) {
        None => Ok(()),
        Some(name) => Err(not_built(format!("property {name} of {what}"))),
    }
}

pub(super) fn authorizer_id(api: &str, name: &str) -> String {
    format!("{api}{name}Authorizer")
}

/// The authorizers of an API, and that it may ask the functions among them.
fn authorizers(api: &str, source: &Value, auth: Option<&Value>, out: &mut Out<'_>) -> Result<(), Error> {
    let Some(auth) = auth else { return Ok(()) };
    known(&format!("Auth of {api}"), auth, &["Authorizers", "DefaultAuthorizer", "EnableIamAuthorizer"])?;
    for (name, given) in auth.get("Authorizers").and_then(Value::as_object).into_iter().flatten() {
        let mut properties = json!({ "ApiId": { "Ref": api }, "Name": name });
        let Some(function) = given.get("FunctionArn") else {
            let names = ["AuthorizationScopes", "IdentitySource", "JwtConfiguration"];
            known(&format!("authorizer {name} of {api}"), given, &names)?;
            let jwt = given.get("JwtConfiguration").cloned().unwrap_or_default();
            let member =
                |lower: &str, upper: &str| jwt.get(lower).or_else(|| jwt.get(upper)).cloned().unwrap_or_default();
            let identity =
                given.get("IdentitySource").cloned().unwrap_or_else(|| "$request.header.Authorization".into());
            properties["AuthorizerType"] = "JWT".into();
            properties["IdentitySource"] = json!([identity]);
            properties["JwtConfiguration"] =
                json!({ "Issuer": member("issuer", "Issuer"), "Audience": member("audience", "Audience") });
            out.add(&authorizer_id(api, name), resource("AWS::ApiGatewayV2::Authorizer", source, properties))?;
            continue;
        };
        let names = [
            "FunctionArn",
            "AuthorizerPayloadFormatVersion",
            "EnableSimpleResponses",
            "EnableFunctionDefaultPermissions",
            "Identity",
        ];
        known(&format!("authorizer {name} of {api}"), given, &names)?;
        let uri = "arn:aws:apigateway:${AWS::Region}:lambda:path/2015-03-31/functions/${__FunctionArn__}/invocations";
        properties["AuthorizerType"] = "REQUEST".into();
        properties["AuthorizerUri"] = json!({ "Fn::Sub": [uri, { "__FunctionArn__": function }] });
        for name in ["AuthorizerPayloadFormatVersion", "EnableSimpleResponses"] {
            if let Some(value) = given.get(name) {
                properties[name] = crate::resources::text(value).into();
            }
        }
        let identity = given.get("Identity").cloned().unwrap_or_default();
        let mut sources = Vec::new();
        for (member, prefix) in [
            ("Headers", "$request.header."),
            ("QueryStrings", "$request.querystring."),
            ("StageVariables", "$stageVariables."),
            ("Context", "$context."),
        ] {
            let names = identity.get(member).and_then(Value::as_array);
            sources.extend(names.into_iter().flatten().filter_map(Value::as_str).map(|name| format!("{prefix}{name}")));
        }
        properties["IdentitySource"] = sources.into();
        if let Some(ttl) = identity.get("ReauthorizeEvery") {
            properties["AuthorizerResultTtlInSeconds"] = ttl.clone();
        }
        out.add(&authorizer_id(api, name), resource("AWS::ApiGatewayV2::Authorizer", source, properties))?;
        if given.get("EnableFunctionDefaultPermissions").is_some_and(crate::template::is_true) {
            let arn = "arn:aws:execute-api:${AWS::Region}:${AWS::AccountId}:${__ApiId__}/authorizers/*";
            let permission = json!({
                "Action": "lambda:InvokeFunction",
                "FunctionName": function,
                "Principal": "apigateway.amazonaws.com",
                "SourceArn": { "Fn::Sub": [arn, { "__ApiId__": { "Ref": api } }] },
            });
            let id = format!("{api}{name}AuthorizerPermission");
            out.add(&id, resource("AWS::Lambda::Permission", source, permission))?;
        }
    }
    Ok(())
}

/// Who may take the route of an event: as it says itself, or else as its API says.
pub(super) fn guarded(api: &Value, event: Option<&Value>, out: &Out<'_>) -> Result<Map<String, Value>, Error> {
    let mut members = Map::new();
    let name = api.get("Ref").and_then(Value::as_str).unwrap_or_default();
    let own = out.source.get(name).and_then(|api| api.get("Properties"));
    let api_auth = match out.has(name) || name == IMPLICIT {
        true => super::with_globals(out.globals.get("HttpApi"), own)?.remove("Auth").unwrap_or_default(),
        false => Value::Null,
    };
    if let Some(event) = event {
        known("Auth of an HttpApi event", event, &["Authorizer", "AuthorizationScopes"])?;
    }
    let of_event = |member: &str| event.and_then(|event| event.get(member));
    let authorizer = of_event("Authorizer").or_else(|| api_auth.get("DefaultAuthorizer")).and_then(Value::as_str);
    match authorizer {
        None | Some("NONE") => {}
        Some("AWS_IAM") => drop(members.insert("AuthorizationType".into(), "AWS_IAM".into())),
        Some(wanted) => {
            let Some(given) = api_auth.get("Authorizers").and_then(|all| all.get(wanted)) else {
                return Err(invalid(format!(
                    "Unable to set Authorizer [{wanted}] because it wasn't defined in the API's Authorizers."
                )));
            };
            let kind = if given.get("FunctionArn").is_some() { "CUSTOM" } else { "JWT" };
            members.insert("AuthorizationType".into(), kind.into());
            members.insert("AuthorizerId".into(), json!({ "Ref": authorizer_id(name, wanted) }));
            let scopes = of_event("AuthorizationScopes").or_else(|| given.get("AuthorizationScopes"));
            if let Some(scopes) = scopes.filter(|_| kind == "JWT") {
                members.insert("AuthorizationScopes".into(), scopes.clone());
            }
        }
    }
    Ok(members)
}

/// An event of the type HttpApi: an integration, a route to it, and the permission to call the function.
pub fn event(target: &Function<'_>, name: &str, given: &Map<String, Value>, out: &mut Out<'_>) -> Result<(), Error> {
    let (function, source) = (target.logical_id, target.source);
    let known = ["ApiId", "Path", "Method", "PayloadFormatVersion", "TimeoutInMillis", "RouteSettings", "Auth"];
    if let Some(name) = given.keys().find(|key| !known.contains(&key.as_str())) {
        return Err(not_built(format!("property {name} of an HttpApi event of {function}")));
    }
    let api = match given.get("ApiId") {
        Some(api) => api.clone(),
        None => {
            out.needs_implicit_api = true;
            json!({ "Ref": IMPLICIT })
        }
    };
    let text = |name: &str| given.get(name).and_then(Value::as_str);
    let (route_key, arn_tail) = match (text("Path"), text("Method")) {
        (None, None) => ("$default".to_owned(), "$default".to_owned()),
        (Some("$default"), _) => ("$default".to_owned(), "$default".to_owned()),
        (Some(path), method) => {
            let method = method.unwrap_or("ANY").to_ascii_uppercase();
            let (method, in_arn) = match method.as_str() {
                "X-AMAZON-APIGATEWAY-ANY-METHOD" | "ANY" | "*" => ("ANY", "*"),
                other => (other, other),
            };
            (format!("{method} {path}"), format!("{in_arn}{}", starred(path)))
        }
        (None, Some(_)) => {
            return Err(invalid(format!("event {name} of {function} has a Method but no Path")));
        }
    };
    if let Some(settings) = given.get("RouteSettings") {
        out.route_settings.push((api.clone(), route_key.clone(), settings.clone()));
    }
    if !is_documented(&api, out)? {
        route_to(target, name, given, &api, &route_key, out)?;
    }
    let arn = format!(
        "arn:${{AWS::Partition}}:execute-api:${{AWS::Region}}:${{AWS::AccountId}}:${{__ApiId__}}/${{__Stage__}}/{arn_tail}"
    );
    let permission = json!({
        "Action": "lambda:InvokeFunction",
        "FunctionName": target.name(),
        "Principal": "apigateway.amazonaws.com",
        "SourceArn": { "Fn::Sub": [arn, { "__ApiId__": api, "__Stage__": "*" }] },
    });
    out.add(&format!("{function}{name}Permission"), resource("AWS::Lambda::Permission", source, permission))
}

/// Whether a document says what the routes of an API are. Events then only permit.
fn is_documented(api: &Value, out: &Out<'_>) -> Result<bool, Error> {
    let Some(own) = api.get("Ref").and_then(Value::as_str).and_then(|name| out.source.get(name)) else {
        return Ok(false);
    };
    Ok(super::with_globals(out.globals.get("HttpApi"), own.get("Properties"))?.contains_key("DefinitionBody"))
}

/// An integration with the function of an event, and the route to it.
fn route_to(
    target: &Function<'_>,
    name: &str,
    given: &Map<String, Value>,
    api: &Value,
    route_key: &str,
    out: &mut Out<'_>,
) -> Result<(), Error> {
    let (function, source) = (target.logical_id, target.source);
    let integration = format!("{function}{name}Integration");
    let mut made = json!({
        "ApiId": api,
        "IntegrationType": "AWS_PROXY",
        "IntegrationUri": target.arn(),
        "PayloadFormatVersion": given.get("PayloadFormatVersion").cloned().unwrap_or_else(|| "2.0".into()),
    });
    if let Some(timeout) = given.get("TimeoutInMillis") {
        made["TimeoutInMillis"] = timeout.clone();
    }
    out.add(&integration, resource("AWS::ApiGatewayV2::Integration", source, made))?;
    let mut route = guarded(api, given.get("Auth"), out)?;
    route.insert("ApiId".into(), api.clone());
    route.insert("RouteKey".into(), route_key.into());
    route.insert("Target".into(), json!({ "Fn::Sub": format!("integrations/${{{integration}}}") }));
    out.add(&format!("{function}{name}Route"), resource("AWS::ApiGatewayV2::Route", source, route.into()))
}

/// What events say of their routes, at the stages of the APIs.
pub fn settle_routes(out: &mut Out<'_>) -> Result<(), Error> {
    for (api, route, settings) in std::mem::take(&mut out.route_settings) {
        let stage = api.get("Ref").and_then(Value::as_str).and_then(|api| out.renamed.get(&format!("{api}.Stage")));
        let Some(stage) = stage.and_then(|stage| out.resources.get_mut(stage)) else {
            return Err(not_built(format!("RouteSettings of {route}, whose API is not of the template")));
        };
        let of_routes = &mut stage["Properties"]["RouteSettings"];
        if of_routes.is_null() {
            *of_routes = json!({});
        }
        super::merge(of_routes, &json!({ route: settings }));
    }
    Ok(())
}

/// The path with `*` for its parameters, as in the ARN of a permission.
pub(super) fn starred(path: &str) -> String {
    let segments: Vec<&str> =
        path.split('/').map(|segment| if segment.starts_with('{') { "*" } else { segment }).collect();
    segments.join("/")
}
