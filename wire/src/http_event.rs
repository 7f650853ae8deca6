//! HTTP requests as events of functions and answers of functions as HTTP responses: payload formats 1.0 and 2.0, shared by HTTP APIs and function URLs
//! (<https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html>).
//! Routing, authorisation and the content type of an answer that names none are the callers'; streaming is not here.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{self, HeaderName, HeaderValue};
use http::{HeaderMap, Response, StatusCode};
use serde_json::{Map, Value, json};

use crate::auth::Caller;
use crate::data_plane::HttpRequest;

/// What an event is made of.
#[derive(Clone, Debug)]
pub struct EventParts<'a> {
    pub request: &'a HttpRequest,
    pub account: &'a str,
    pub api_id: &'a str,
    pub domain_name: &'a str,
    pub domain_prefix: &'a str,
    pub route_key: &'a str,
    pub stage: &'a str,
    pub path_parameters: Option<&'a BTreeMap<String, String>>,
    pub stage_variables: Option<&'a BTreeMap<String, String>>,
    /// With the name of the stage, where the stage has one.
    pub raw_path: &'a str,
    /// What an authorizer found out, or IAM: becomes `requestContext.authorizer`.
    pub authorizer: Option<Value>,
    /// The route's path; only format 1.0 has it.
    pub resource: &'a str,
}

/// The function's answer is none that HTTP can carry. Clients get 500 (HTTP API) or 502 (function URL).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the function's answer {0}")]
pub struct BadReply(pub String);

fn bad<T>(why: impl Into<String>) -> Result<T, BadReply> {
    Err(BadReply(why.into()))
}

/// The event in format 2.0, as JSON.
pub fn event_v2(parts: &EventParts<'_>) -> Vec<u8> {
    let request = parts.request;
    let mut headers = Map::new();
    for (name, values) in received(request) {
        if name != "cookie" {
            headers.insert(name, values.join(",").into());
        }
    }
    let mut event = Map::new();
    event.insert("version".into(), "2.0".into());
    event.insert("routeKey".into(), parts.route_key.into());
    event.insert("rawPath".into(), parts.raw_path.into());
    event.insert("rawQueryString".into(), request.query.as_str().into());
    let cookies = cookies(&request.headers);
    if !cookies.is_empty() {
        event.insert("cookies".into(), cookies.into());
    }
    event.insert("headers".into(), headers.into());
    let query = query(&request.query);
    if !query.is_empty() {
        let joined: Map<String, Value> =
            query.into_iter().map(|(name, values)| (name, values.join(",").into())).collect();
        event.insert("queryStringParameters".into(), joined.into());
    }
    let mut context = json!({
        "accountId": parts.account,
        "apiId": parts.api_id,
        "domainName": parts.domain_name,
        "domainPrefix": parts.domain_prefix,
        "http": {
            "method": request.method.as_str(),
            "path": parts.raw_path,
            "protocol": request.protocol,
            "sourceIp": request.source_ip,
            "userAgent": user_agent(request),
        },
        "requestId": request.request_id,
        "routeKey": parts.route_key,
        "stage": parts.stage,
        "time": cumulet_base::clock::common_log_time(request.now_ms),
        "timeEpoch": request.now_ms,
    });
    if let Some(authorizer) = &parts.authorizer {
        context["authorizer"] = authorizer.clone();
    }
    event.insert("requestContext".into(), context);
    if let Some(parameters) = parts.path_parameters.filter(|p| !p.is_empty()) {
        event.insert("pathParameters".into(), json!(parameters));
    }
    if let Some(variables) = parts.stage_variables.filter(|v| !v.is_empty()) {
        event.insert("stageVariables".into(), json!(variables));
    }
    let (body, is_base64) = body(request);
    if let Some(body) = body {
        event.insert("body".into(), body.into());
    }
    event.insert("isBase64Encoded".into(), is_base64.into());
    Value::Object(event).to_string().into_bytes()
}

/// The event in format 1.0, as JSON. Names of headers are written `Like-This`: how the client wrote them is not kept,
/// and HTTP/1.1 clients mostly write them so.
pub fn event_v1(parts: &EventParts<'_>) -> Vec<u8> {
    v1(parts, body(parts.request)).to_string().into_bytes()
}

/// What events of REST APIs have beside, or otherwise than, those of HTTP APIs.
#[derive(Clone, Debug)]
pub struct RestParts<'a> {
    pub event: EventParts<'a>,
    /// Below the stage, where [`EventParts::raw_path`] has the stage in it.
    pub path: &'a str,
    pub resource_id: &'a str,
    pub deployment_id: &'a str,
    /// Id and value of the key that was sent and counted.
    pub api_key: Option<(&'a str, &'a str)>,
    /// Who signed the request, where a signature was asked for.
    pub caller: Option<&'a Caller>,
    /// The body is of a type that the API passes on in base64; all others are text.
    pub is_binary: bool,
}

/// The event of a REST API's Lambda proxy integration, as JSON
/// (<https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-lambda-proxy-integrations.html>).
pub fn event_rest(parts: &RestParts<'_>) -> Vec<u8> {
    let bytes = &parts.event.request.body;
    let body = match (bytes.is_empty(), parts.is_binary) {
        (true, _) => (None, false),
        (false, true) => (Some(STANDARD.encode(bytes)), true),
        (false, false) => (Some(String::from_utf8_lossy(bytes).into_owned()), false),
    };
    let mut event = v1(&parts.event, body);
    if let Some(event) = event.as_object_mut() {
        event.remove("version");
    }
    event["path"] = parts.path.into();
    let context = &mut event["requestContext"];
    if parts.event.authorizer.is_none()
        && let Some(context) = context.as_object_mut()
    {
        context.remove("authorizer");
    }
    context["resourceId"] = parts.resource_id.into();
    context["deploymentId"] = parts.deployment_id.into();
    let identity = &mut context["identity"];
    if let Some((id, value)) = parts.api_key {
        (identity["apiKeyId"], identity["apiKey"]) = (id.into(), value.into());
    }
    if let Some(caller) = parts.caller {
        identity["accountId"] = caller.account.as_str().into();
        let arn = caller.names().first().copied().unwrap_or_default();
        (identity["userArn"], identity["caller"], identity["user"]) = (arn.into(), arn.into(), arn.into());
    }
    event.to_string().into_bytes()
}

fn v1(parts: &EventParts<'_>, (body, is_base64): (Option<String>, bool)) -> Value {
    let request = parts.request;
    let (mut headers, mut headers_all) = (Map::new(), Map::new());
    for (name, values) in received(request) {
        let name = title_case(&name);
        headers.insert(name.clone(), values.last().cloned().into());
        headers_all.insert(name, values.into());
    }
    let (mut single, mut all) = (Map::new(), Map::new());
    for (name, values) in query(&request.query) {
        single.insert(name.clone(), values.last().cloned().into());
        all.insert(name, values.into());
    }
    let or_null = |map: Map<String, Value>| match map.is_empty() {
        true => Value::Null,
        false => Value::Object(map),
    };
    json!({
        "version": "1.0",
        "resource": parts.resource,
        "path": parts.raw_path,
        "httpMethod": request.method.as_str(),
        "headers": headers,
        "multiValueHeaders": headers_all,
        "queryStringParameters": or_null(single),
        "multiValueQueryStringParameters": or_null(all),
        "requestContext": {
            "accountId": parts.account,
            "apiId": parts.api_id,
            "authorizer": parts.authorizer,
            "domainName": parts.domain_name,
            "domainPrefix": parts.domain_prefix,
            "extendedRequestId": request.request_id,
            "httpMethod": request.method.as_str(),
            "identity": {
                "accessKey": null,
                "accountId": null,
                "caller": null,
                "cognitoAuthenticationProvider": null,
                "cognitoAuthenticationType": null,
                "cognitoIdentityId": null,
                "cognitoIdentityPoolId": null,
                "principalOrgId": null,
                "sourceIp": request.source_ip,
                "user": null,
                "userAgent": user_agent(request),
                "userArn": null,
            },
            "path": parts.raw_path,
            "protocol": request.protocol,
            "requestId": request.request_id,
            "requestTime": cumulet_base::clock::common_log_time(request.now_ms),
            "requestTimeEpoch": request.now_ms,
            "resourceId": parts.route_key,
            "resourcePath": parts.resource,
            "stage": parts.stage,
        },
        "pathParameters": parts.path_parameters.filter(|p| !p.is_empty()),
        "stageVariables": parts.stage_variables.filter(|v| !v.is_empty()),
        "body": body,
        "isBase64Encoded": is_base64,
    })
}

/// The response to an answer in format 2.0. JSON without a `statusCode` is the body itself, of type `application/json`;
/// otherwise the type is only set when the function set it.
pub fn reply_v2(payload: &[u8]) -> Result<Response<Bytes>, BadReply> {
    let Ok(value) = serde_json::from_slice::<Value>(payload) else {
        return bad("is not JSON");
    };
    let answer = match &value {
        Value::Object(answer) if answer.contains_key("statusCode") => answer,
        _ => {
            let mut response = Response::new(Bytes::copy_from_slice(payload));
            response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
            return Ok(response);
        }
    };
    let mut response = Response::new(answer_body(answer, true)?);
    *response.status_mut() = answer_status(answer)?;
    for (name, value) in object(answer, "headers")? {
        if let Some(text) = scalar(name, value)? {
            add(response.headers_mut(), name, &text)?;
        }
    }
    match answer.get("cookies") {
        None | Some(Value::Null) => {}
        Some(Value::Array(cookies)) => {
            for cookie in cookies {
                if let Some(text) = scalar("cookies", cookie)? {
                    add(response.headers_mut(), "set-cookie", &text)?;
                }
            }
        }
        Some(_) => return bad("has `cookies` that are not a list"),
    }
    Ok(response)
}

/// The response to an answer in format 1.0, which has to be an object with a `statusCode`.
/// A header in both `headers` and `multiValueHeaders` has all values, none twice.
pub fn reply_v1(payload: &[u8]) -> Result<Response<Bytes>, BadReply> {
    let Ok(Value::Object(answer)) = serde_json::from_slice::<Value>(payload) else {
        return bad("is not a JSON object");
    };
    let mut response = Response::new(answer_body(&answer, false)?);
    *response.status_mut() = answer_status(&answer)?;
    let mut values: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, value) in object(&answer, "multiValueHeaders")? {
        let Value::Array(list) = value else {
            return bad(format!("has multiValueHeaders.{name} that is not a list"));
        };
        for value in list {
            if let Some(text) = scalar(name, value)? {
                values.entry(name.to_ascii_lowercase()).or_default().push(text);
            }
        }
    }
    for (name, value) in object(&answer, "headers")? {
        if let Some(text) = scalar(name, value)? {
            let known = values.entry(name.to_ascii_lowercase()).or_default();
            if !known.contains(&text) {
                known.push(text);
            }
        }
    }
    for (name, list) in &values {
        for value in list {
            add(response.headers_mut(), name, value)?;
        }
    }
    Ok(response)
}

/// Headers by lower-case name, with those that API Gateway adds about the way the request came.
fn received(request: &HttpRequest) -> BTreeMap<String, Vec<String>> {
    let mut headers: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, value) in &request.headers {
        headers
            .entry(name.as_str().to_owned())
            .or_default()
            .push(String::from_utf8_lossy(value.as_bytes()).into_owned());
    }
    headers.entry("host".into()).or_insert_with(|| vec![request.host.clone()]);
    let chain = headers.entry("x-forwarded-for".into()).or_default();
    *chain = vec![chain.iter().map(String::as_str).chain([request.source_ip.as_str()]).collect::<Vec<_>>().join(", ")];
    let proto = headers.entry("x-forwarded-proto".into()).or_insert_with(|| vec!["http".into()]);
    let default_port = match proto.first().map(String::as_str) {
        Some("https") => "443",
        _ => "80",
    };
    let port = match request.host.rsplit_once(':') {
        Some((_, port)) if !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()) => port,
        _ => default_port,
    };
    let port = port.to_owned();
    headers.entry("x-forwarded-port".into()).or_insert_with(|| vec![port]);
    headers
}

fn user_agent(request: &HttpRequest) -> String {
    let agent = request.headers.get(header::USER_AGENT);
    agent.map_or(String::new(), |v| String::from_utf8_lossy(v.as_bytes()).into_owned())
}

fn cookies(headers: &HeaderMap) -> Vec<String> {
    let mut cookies = Vec::new();
    for value in headers.get_all(header::COOKIE) {
        let text = String::from_utf8_lossy(value.as_bytes()).into_owned();
        cookies.extend(text.split(';').map(|c| c.trim().to_owned()).filter(|c| !c.is_empty()));
    }
    cookies
}

/// Parameters in the order of their first appearance.
fn query(query: &str) -> Vec<(String, Vec<String>)> {
    let mut parameters: Vec<(String, Vec<String>)> = Vec::new();
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        let place = *places.entry(name.clone().into_owned()).or_insert_with(|| {
            parameters.push((name.into_owned(), Vec::new()));
            parameters.len() - 1
        });
        parameters[place].1.push(value.into_owned());
    }
    parameters
}

/// `content-type` to `Content-Type`.
fn title_case(name: &str) -> String {
    let mut at_start = true;
    name.chars()
        .map(|c| {
            let written = if at_start { c.to_ascii_uppercase() } else { c };
            at_start = c == '-';
            written
        })
        .collect()
}

/// The body, and whether it had to be written in base64.
fn body(request: &HttpRequest) -> (Option<String>, bool) {
    if request.body.is_empty() {
        return (None, false);
    }
    let is_encoded =
        request.headers.get(header::CONTENT_ENCODING).is_some_and(|v| !v.as_bytes().eq_ignore_ascii_case(b"identity"));
    let content_type =
        request.headers.get(header::CONTENT_TYPE).map(|v| String::from_utf8_lossy(v.as_bytes()).to_ascii_lowercase());
    if !is_encoded
        && is_text(content_type.as_deref())
        && let Ok(text) = std::str::from_utf8(&request.body)
    {
        return (Some(text.to_owned()), false);
    }
    (Some(STANDARD.encode(&request.body)), true)
}

/// Whether bodies of the type are passed on as they are. A body without a type is text when it is UTF-8.
fn is_text(content_type: Option<&str>) -> bool {
    let Some(content_type) = content_type else {
        return true;
    };
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    essence.is_empty()
        || essence.starts_with("text/")
        || essence.ends_with("+json")
        || essence.ends_with("+xml")
        || matches!(
            essence,
            "application/json"
                | "application/xml"
                | "application/javascript"
                | "application/x-www-form-urlencoded"
                | "application/graphql"
                | "application/x-ndjson"
        )
        || content_type.contains("charset=utf-8")
}

fn answer_status(answer: &Map<String, Value>) -> Result<StatusCode, BadReply> {
    let number = match answer.get("statusCode") {
        Some(Value::Number(number)) => number.as_u64(),
        Some(Value::String(text)) => text.parse().ok(),
        _ => None,
    };
    // Informational codes are no answers, and would leave the client waiting for one.
    number
        .filter(|n| (200..600).contains(n))
        .and_then(|n| StatusCode::from_u16(n as u16).ok())
        .ok_or_else(|| BadReply("has no `statusCode` between 200 and 599".into()))
}

/// `lenient`: a body that is no string is written as JSON.
fn answer_body(answer: &Map<String, Value>, lenient: bool) -> Result<Bytes, BadReply> {
    let text = match answer.get("body") {
        None | Some(Value::Null) => return Ok(Bytes::new()),
        Some(Value::String(text)) => text,
        Some(other) if lenient => return Ok(other.to_string().into()),
        Some(_) => return bad("has a `body` that is not a string"),
    };
    match answer.get("isBase64Encoded") {
        Some(Value::Bool(true)) => match STANDARD.decode(text) {
            Ok(bytes) => Ok(bytes.into()),
            Err(_) => bad("has a `body` that is not base64"),
        },
        None | Some(Value::Null | Value::Bool(false)) => Ok(text.clone().into()),
        Some(_) => bad("has `isBase64Encoded` that is not a boolean"),
    }
}

/// The entries of a member that is an object, null or not there.
fn object<'a>(
    answer: &'a Map<String, Value>,
    member: &str,
) -> Result<impl Iterator<Item = (&'a String, &'a Value)>, BadReply> {
    match answer.get(member) {
        None | Some(Value::Null) => Ok(None.into_iter().flatten()),
        Some(Value::Object(entries)) => Ok(Some(entries.iter()).into_iter().flatten()),
        Some(_) => bad(format!("has `{member}` that is not an object")),
    }
}

fn scalar(name: &str, value: &Value) -> Result<Option<String>, BadReply> {
    match value {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(text.clone())),
        Value::Bool(_) | Value::Number(_) => Ok(Some(value.to_string())),
        Value::Array(_) | Value::Object(_) => bad(format!("has `{name}` that is neither text nor number")),
    }
}

fn add(headers: &mut HeaderMap, name: &str, value: &str) -> Result<(), BadReply> {
    let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::from_bytes(value.as_bytes())) else {
        return bad(format!("has a header `{name}` that HTTP does not allow"));
    };
    // How the body is framed and how long the connection lives is between the server and its client.
    let framing = [header::CONTENT_LENGTH, header::TRANSFER_ENCODING, header::CONNECTION, header::UPGRADE];
    if !framing.contains(&name) && name.as_str() != "keep-alive" {
        headers.append(name, value);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use http::Method;

    use super::*;

    fn request(headers: &[(&str, &str)], query: &str, body: &[u8]) -> HttpRequest {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(HeaderName::try_from(*name).unwrap(), HeaderValue::from_str(value).unwrap());
        }
        HttpRequest {
            method: Method::POST,
            host: "abc.execute-api.us-east-1.localhost:4566".into(),
            path: "/a/b".into(),
            query: query.into(),
            protocol: "HTTP/1.1",
            headers: map,
            body: Bytes::copy_from_slice(body),
            source_ip: "192.0.2.1".into(),
            request_id: "id".into(),
            now_ms: 1_795_428_930_123,
        }
    }

    fn parts<'a>(request: &'a HttpRequest, parameters: Option<&'a BTreeMap<String, String>>) -> EventParts<'a> {
        EventParts {
            request,
            account: "000000000000",
            api_id: "abc",
            domain_name: "abc.execute-api.us-east-1.localhost",
            domain_prefix: "abc",
            route_key: "POST /a/{x}",
            stage: "$default",
            path_parameters: parameters,
            stage_variables: None,
            raw_path: "/a/b",
            authorizer: None,
            resource: "/a/{x}",
        }
    }

    #[test]
    fn the_event_of_format_2() {
        let request = request(
            &[
                ("X-A", "1"),
                ("x-a", "2"),
                ("cookie", "c=1; d=2"),
                ("user-agent", "curl"),
                ("content-type", "application/json"),
            ],
            "p=1&p=2&q=a%20b",
            b"{\"x\":1}",
        );
        let parameters = BTreeMap::from([("x".to_owned(), "b".to_owned())]);
        let event: Value = serde_json::from_slice(&event_v2(&parts(&request, Some(&parameters)))).unwrap();
        assert_eq!(
            event,
            json!({
                "version": "2.0", "routeKey": "POST /a/{x}", "rawPath": "/a/b", "rawQueryString": "p=1&p=2&q=a%20b",
                "cookies": ["c=1", "d=2"],
                "headers": {
                    "x-a": "1,2", "user-agent": "curl", "content-type": "application/json",
                    "host": "abc.execute-api.us-east-1.localhost:4566",
                    "x-forwarded-for": "192.0.2.1", "x-forwarded-port": "4566", "x-forwarded-proto": "http"
                },
                "queryStringParameters": {"p": "1,2", "q": "a b"},
                "requestContext": {
                    "accountId": "000000000000", "apiId": "abc", "domainName": "abc.execute-api.us-east-1.localhost",
                    "domainPrefix": "abc",
                    "http": {"method": "POST", "path": "/a/b", "protocol": "HTTP/1.1", "sourceIp": "192.0.2.1", "userAgent": "curl"},
                    "requestId": "id", "routeKey": "POST /a/{x}", "stage": "$default",
                    "time": "23/Nov/2026:10:15:30 +0000", "timeEpoch": 1_795_428_930_123_u64
                },
                "pathParameters": {"x": "b"}, "body": "{\"x\":1}", "isBase64Encoded": false
            })
        );
    }

    #[test]
    fn the_event_of_format_1() {
        let request = request(&[("x-a", "1"), ("x-a", "2"), ("cookie", "c=1")], "p=1&p=2", b"");
        let event: Value = serde_json::from_slice(&event_v1(&parts(&request, None))).unwrap();
        assert_eq!(event["headers"]["X-A"], "2");
        assert_eq!(event["multiValueHeaders"]["X-A"], json!(["1", "2"]));
        assert_eq!(event["headers"]["Cookie"], "c=1");
        assert_eq!(event["queryStringParameters"], json!({"p": "2"}));
        assert_eq!(event["multiValueQueryStringParameters"], json!({"p": ["1", "2"]}));
        assert_eq!(event["requestContext"]["identity"]["sourceIp"], "192.0.2.1");
        assert_eq!(event["requestContext"]["resourcePath"], "/a/{x}");
        assert_eq!((&event["pathParameters"], &event["body"]), (&Value::Null, &Value::Null));
    }

    #[test]
    fn which_bodies_are_base64() {
        for (headers, bytes, is_base64) in [
            (&[("content-type", "text/plain")][..], &b"a"[..], false),
            (&[("content-type", "application/problem+json")], b"a", false),
            (&[("content-type", "Application/XML")], b"a", false),
            (&[("content-type", "x/y; charset=UTF-8")], b"a", false),
            (&[("content-type", "application/x-www-form-urlencoded")], b"a=1", false),
            (&[], b"a", false),
            (&[], b"\xff", true),
            (&[("content-type", "text/plain")], b"\xff", true),
            (&[("content-type", "image/png")], b"a", true),
            (&[("content-type", "text/plain"), ("content-encoding", "gzip")], b"a", true),
        ] {
            let request = request(headers, "", bytes);
            let (text, found) = body(&request);
            assert_eq!(found, is_base64, "{headers:?}");
            if found {
                assert_eq!(STANDARD.decode(text.unwrap()).unwrap(), bytes);
            }
        }
    }

    fn shown(response: &Response<Bytes>) -> String {
        let headers: Vec<_> = response.headers().iter().map(|(n, v)| format!("{n}: {}", v.to_str().unwrap())).collect();
        format!("{} [{}] {}", response.status().as_u16(), headers.join(", "), String::from_utf8_lossy(response.body()))
    }

    #[test]
    fn answers_in_format_2() {
        for (payload, expected) in [
            ("{\"a\":1}", "200 [content-type: application/json] {\"a\":1}"),
            ("\"hi\"", "200 [content-type: application/json] \"hi\""),
            ("null", "200 [content-type: application/json] null"),
            (r#"{"statusCode":201}"#, "201 [] "),
            (r#"{"statusCode":"404","body":"no"}"#, "404 [] no"),
            (
                r#"{"statusCode":200,"headers":{"X-N":1,"X-B":true,"X-0":null,"Content-Length":"9"},"cookies":["a=1","b=2"],"body":"aGk=","isBase64Encoded":true}"#,
                "200 [x-n: 1, x-b: true, set-cookie: a=1, set-cookie: b=2] hi",
            ),
            (r#"{"statusCode":200,"body":{"a":1}}"#, "200 [] {\"a\":1}"),
        ] {
            assert_eq!(shown(&reply_v2(payload.as_bytes()).unwrap()), expected);
        }
        for payload in [
            "",
            "{",
            r#"{"statusCode":99}"#,
            r#"{"statusCode":"x"}"#,
            r#"{"statusCode":null}"#,
            r#"{"statusCode":200,"headers":[]}"#,
            r#"{"statusCode":200,"headers":{"a b":"c"}}"#,
            r#"{"statusCode":200,"headers":{"a":"c\nd"}}"#,
            r#"{"statusCode":200,"headers":{"a":["c"]}}"#,
            r#"{"statusCode":200,"cookies":"a"}"#,
            r#"{"statusCode":200,"body":"%","isBase64Encoded":true}"#,
        ] {
            assert!(reply_v2(payload.as_bytes()).is_err(), "{payload}");
        }
    }

    #[test]
    fn answers_in_format_1() {
        let response = reply_v1(
            br#"{"statusCode":200,"headers":{"A":"1","B":"2"},"multiValueHeaders":{"a":["1","3"]},"body":"x"}"#,
        )
        .unwrap();
        assert_eq!(shown(&response), "200 [a: 1, a: 3, b: 2] x");
        for payload in [
            r#"{"a":1}"#,
            "\"x\"",
            r#"{"statusCode":200,"body":{}}"#,
            r#"{"statusCode":200,"multiValueHeaders":{"a":"b"}}"#,
        ] {
            assert!(reply_v1(payload.as_bytes()).is_err(), "{payload}");
        }
    }
}
