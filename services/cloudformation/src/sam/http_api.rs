//! `AWS::Serverless::HttpApi` and the events of functions that lead to one.

use serde_json::{Map, Value, json};

use super::events::Function;
use super::{Out, invalid, not_built, only, resource};
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
    out.add(&stage_id, resource("AWS::ApiGatewayV2::Stage", source, stage))
}

/// An event of the type HttpApi: an integration, a route to it, and the permission to call the function.
pub fn event(target: &Function<'_>, name: &str, given: &Map<String, Value>, out: &mut Out<'_>) -> Result<(), Error> {
    let (function, source) = (target.logical_id, target.source);
    let known = ["ApiId", "Path", "Method", "PayloadFormatVersion", "TimeoutInMillis", "RouteSettings"];
    if let Some(name) = given.keys().find(|key| !known.contains(&key.as_str())) {
        return Err(not_built(format!("property {name} of an HttpApi event of {function}")));
    }
    if given.contains_key("RouteSettings") {
        return Err(not_built(format!("RouteSettings of an HttpApi event of {function}")));
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
    let route = json!({
        "ApiId": api,
        "RouteKey": route_key,
        "Target": { "Fn::Sub": format!("integrations/${{{integration}}}") },
    });
    out.add(&format!("{function}{name}Route"), resource("AWS::ApiGatewayV2::Route", source, route))?;
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

/// The path with `*` for its parameters, as in the ARN of a permission.
pub(super) fn starred(path: &str) -> String {
    let segments: Vec<&str> =
        path.split('/').map(|segment| if segment.starts_with('{') { "*" } else { segment }).collect();
    segments.join("/")
}
