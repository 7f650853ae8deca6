//! What extensions call over HTTP, beside the Runtime API: registration and events
//! (<https://docs.aws.amazon.com/lambda/latest/dg/runtimes-extensions-api.html>), and subscriptions to telemetry, which
//! `telemetry` reads.

use std::sync::Arc;

use bytes::Bytes;
use cumulet_base::id;
use http::request::Parts;
use http::{HeaderValue, Method, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use serde::Deserialize;
use serde_json::{Value, json};

use super::telemetry::{self, Schema};
use super::{Extensions, Refused};

const BODY_BYTES_MAX: usize = 256 * 1024;
const IDENTIFIER: &str = "lambda-extension-identifier";

/// A path that is an extension's to call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Path {
    Register,
    Next,
    InitError,
    ExitError,
    Subscribe(Schema),
}

pub(crate) fn parse(path: &str) -> Option<Path> {
    match path.trim_end_matches('/') {
        "/2020-01-01/extension/register" => Some(Path::Register),
        "/2020-01-01/extension/event/next" => Some(Path::Next),
        "/2020-01-01/extension/init/error" => Some(Path::InitError),
        "/2020-01-01/extension/exit/error" => Some(Path::ExitError),
        "/2022-07-01/telemetry" => Some(Path::Subscribe(Schema::Telemetry)),
        "/2020-08-15/logs" => Some(Path::Subscribe(Schema::Logs)),
        _ => None,
    }
}

impl Path {
    fn method(self) -> Method {
        match self {
            Path::Next => Method::GET,
            Path::Subscribe(_) => Method::PUT,
            Path::Register | Path::InitError | Path::ExitError => Method::POST,
        }
    }
}

#[derive(Deserialize)]
struct Registration {
    #[serde(default)]
    events: Vec<String>,
}

fn header<'a>(parts: &'a Parts, name: &str) -> Option<&'a str> {
    parts.headers.get(name).and_then(|value| value.to_str().ok()).filter(|text| !text.is_empty())
}

/// Answers a call.
pub(crate) async fn answer(
    extensions: &Arc<Extensions>,
    path: Path,
    parts: &Parts,
    body: &mut Incoming,
) -> Response<Full<Bytes>> {
    if parts.method != path.method() {
        return refuse(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", "no such method on this path");
    }
    let result = match path {
        Path::Register => register(extensions, parts, body).await,
        Path::Next => next(extensions, parts).await,
        Path::InitError | Path::ExitError => report(extensions, path == Path::InitError, parts, body).await,
        Path::Subscribe(schema) => return subscribe(extensions, schema, parts, body).await,
    };
    result.unwrap_or_else(|Refused { kind, message }| refuse(StatusCode::FORBIDDEN, kind, &message))
}

type Answered = Result<Response<Full<Bytes>>, Refused>;

async fn register(extensions: &Extensions, parts: &Parts, body: &mut Incoming) -> Answered {
    let name = header(parts, "lambda-extension-name");
    let name =
        name.ok_or_else(|| Refused { kind: "Extension.InvalidExtensionName", message: "Empty extension name".into() })?;
    let bytes = read(body).await.unwrap_or_default();
    let registration: Registration = serde_json::from_slice(&bytes)
        .map_err(|error| Refused { kind: "InvalidRequestFormat", message: error.to_string() })?;
    let id = extensions.register(name, &registration.events)?;
    let function = &extensions.function;
    let mut told = json!({
        "functionName": function.name,
        "functionVersion": function.version,
        "handler": function.handler,
    });
    let features = header(parts, "lambda-extension-accept-feature").unwrap_or_default();
    if features.split(',').any(|feature| feature.trim() == "accountId") {
        told["accountId"] = json!(function.account);
    }
    let mut response = json_response(StatusCode::OK, &told);
    set(&mut response, IDENTIFIER, &id);
    Ok(response)
}

fn set(response: &mut Response<Full<Bytes>>, name: &'static str, text: &str) {
    if let Ok(value) = HeaderValue::from_str(text) {
        response.headers_mut().insert(name, value);
    }
}

fn identifier(parts: &Parts) -> Result<&str, Refused> {
    header(parts, IDENTIFIER).ok_or_else(|| Refused {
        kind: "Extension.MissingExtensionIdentifier",
        message: "Missing Lambda-Extension-Identifier header".into(),
    })
}

async fn next(extensions: &Extensions, parts: &Parts) -> Answered {
    let event = extensions.next(identifier(parts)?).await?;
    let mut response = json_response(StatusCode::OK, &event);
    set(&mut response, "lambda-extension-event-identifier", &id::uuid());
    Ok(response)
}

async fn report(extensions: &Extensions, is_init: bool, parts: &Parts, body: &mut Incoming) -> Answered {
    let id = identifier(parts)?;
    let kind = header(parts, "lambda-extension-function-error-type").ok_or_else(|| Refused {
        kind: "Extension.MissingHeader",
        message: "Lambda-Extension-Function-Error-Type not found".into(),
    })?;
    // What it says beside the type is not shown anywhere on Lambda, either.
    let _details = read(body).await;
    extensions.report(id, is_init, kind)?;
    Ok(json_response(StatusCode::ACCEPTED, &json!({ "status": "OK" })))
}

async fn subscribe(
    extensions: &Arc<Extensions>,
    schema: Schema,
    parts: &Parts,
    body: &mut Incoming,
) -> Response<Full<Bytes>> {
    let name = match identifier(parts).and_then(|id| extensions.name_of(id)) {
        Ok(name) => name,
        Err(Refused { kind, message }) => return refuse(StatusCode::FORBIDDEN, kind, &message),
    };
    if !extensions.is_init() {
        let kind = match schema {
            Schema::Telemetry => "Telemetry.SubscriptionClosed",
            Schema::Logs => "Logs.SubscriptionClosed",
        };
        return refuse(StatusCode::FORBIDDEN, kind, "subscriptions are possible during initialisation only");
    }
    let bytes = read(body).await.unwrap_or_default();
    match telemetry::parse(&bytes, schema) {
        Ok(wanted) => {
            extensions.telemetry.subscribe(&name, wanted);
            json_response(StatusCode::OK, &json!("OK"))
        }
        Err(message) => refuse(StatusCode::BAD_REQUEST, "ValidationError", &message),
    }
}

async fn read(body: &mut Incoming) -> Option<Bytes> {
    Limited::new(body, BODY_BYTES_MAX).collect().await.ok().map(http_body_util::Collected::to_bytes)
}

/// For a template: whoever registers is refused, as its registration would be that of all clones.
pub(crate) fn refuse_in_template() -> Response<Full<Bytes>> {
    refuse(
        StatusCode::SERVICE_UNAVAILABLE,
        "Extension.Unavailable",
        "the instance is a clone, which can have no extensions; it is started anew",
    )
}

/// For what nobody serves here.
pub(crate) fn not_here() -> Response<Full<Bytes>> {
    refuse(StatusCode::NOT_FOUND, "NotFound", "no such path")
}

fn refuse(status: StatusCode, kind: &str, message: &str) -> Response<Full<Bytes>> {
    json_response(status, &json!({ "errorMessage": message, "errorType": kind }))
}

fn json_response(status: StatusCode, value: &Value) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(value.to_string())));
    *response.status_mut() = status;
    response.headers_mut().insert(http::header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
