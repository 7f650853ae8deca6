//! Requests into calls and answers into responses, for each of AWS's protocols that is spoken here.

use bytes::Bytes;
use http::{HeaderMap, Response};
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};

use crate::call::Answer;
use crate::cbor;
use crate::error::ApiError;
use crate::operation::{Operation, Protocol, ServiceModel};
use crate::query::{self, Older};

/// A REST operation found by method and path, with the members its path carries.
pub struct Matched {
    pub operation: &'static Operation,
    pub is_built: bool,
    pub members: Map<String, Value>,
}

/// Finds a REST operation. Literal segments win over labels; `{Member+}` takes the rest of the path.
pub fn match_rest(model: &'static ServiceModel, method: &str, path: &str, query: &str) -> Option<Matched> {
    let segments: Vec<&str> = path.trim_matches('/').split('/').collect();
    let all = model.operations.iter().map(|o| (o, true)).chain(model.absent.iter().map(|o| (o, false)));
    let mut best: Option<(usize, Matched)> = None;
    for (operation, is_built) in all.filter(|(o, _)| o.method == method) {
        let (pattern, fixed_query) = operation.path.split_once('?').unwrap_or((operation.path, ""));
        let named = |part: &str| part == fixed_query || part.split('=').next() == Some(fixed_query);
        if !fixed_query.is_empty() && !query.split('&').any(named) {
            continue;
        }
        // Of two with one path, that which also asks for a query is meant.
        if could_match(pattern, &segments)
            && let Some((literals, members)) = match_path(pattern, &segments)
                .map(|(literals, members)| (2 * literals + usize::from(!fixed_query.is_empty()), members))
            && best.as_ref().is_none_or(|(most, _)| literals > *most)
        {
            best = Some((literals, Matched { operation, is_built, members }));
        }
    }
    best.map(|(_, matched)| matched)
}

/// Whether the literal segments are where they have to be: most operations are out with that, and cost nothing more.
fn could_match(pattern: &str, segments: &[&str]) -> bool {
    let parts = pattern.trim_matches('/').split('/');
    parts.zip(segments).all(|(part, segment)| part.starts_with('{') || part == *segment)
}

fn match_path(pattern: &str, segments: &[&str]) -> Option<(usize, Map<String, Value>)> {
    let mut members = Map::new();
    let mut literals = 0;
    let mut rest = segments.iter();
    for part in pattern.trim_matches('/').split('/') {
        let label = part.strip_prefix('{').and_then(|p| p.strip_suffix('}'));
        match label {
            Some(label) => {
                let (name, value) = match label.strip_suffix('+') {
                    Some(name) => (name, rest.by_ref().copied().collect::<Vec<_>>().join("/")),
                    None => (label, (*rest.next()?).to_owned()),
                };
                let value = percent_decode_str(&value).decode_utf8().ok()?.into_owned();
                if value.is_empty() {
                    return None;
                }
                members.insert(name.to_owned(), value.into());
            }
            None if rest.next() == Some(&part) => literals += 1,
            None => return None,
        }
    }
    rest.next().is_none().then_some((literals, members))
}

/// Members of a REST call: path, query, headers, and the JSON body unless the body is the payload.
pub fn rest_input(
    matched: Matched,
    query: &str,
    headers: &HeaderMap,
    body: &Bytes,
) -> Result<Map<String, Value>, ApiError> {
    let Matched { operation, members, .. } = matched;
    let mut input = if operation.raw_payload || body.is_empty() { Map::new() } else { json_object(body)? };
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        let Some((_, member)) = operation.query.iter().find(|(known, _)| *known == name) else { continue };
        match member.strip_suffix("[]") {
            Some(list) => {
                let values = input.entry(list).or_insert_with(|| Value::Array(Vec::new()));
                if let Value::Array(values) = values {
                    values.push(value.into_owned().into());
                }
            }
            None => {
                input.insert((*member).to_owned(), value.into_owned().into());
            }
        }
    }
    for (name, member) in operation.headers {
        if let Some(value) = headers.get(*name) {
            let text =
                value.to_str().map_err(|_| ApiError::serialization(&format!("the header {name} is not text")))?;
            input.insert((*member).to_owned(), text.into());
        }
    }
    // Last: what the path says cannot be said otherwise in the body.
    input.extend(members);
    Ok(input)
}

/// The body of a JSON protocol; an empty one is an empty object.
pub fn json_object(body: &[u8]) -> Result<Map<String, Value>, ApiError> {
    if body.is_empty() {
        return Ok(Map::new());
    }
    match serde_json::from_slice(body) {
        Ok(Value::Object(members)) => Ok(members),
        Ok(_) => Err(ApiError::serialization("Start of structure or map found where not expected.")),
        Err(e) => Err(ApiError::serialization(&format!("Could not parse request body into json: {e}"))),
    }
}

/// How the answers of query services are written: XML, unless the client asks for JSON by its `Accept` header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueryForm {
    Xml,
    Json,
}

impl QueryForm {
    pub fn of(headers: &HeaderMap) -> QueryForm {
        let accepts = headers.get("accept").and_then(|value| value.to_str().ok()).unwrap_or_default();
        if accepts.starts_with("application/json") { QueryForm::Json } else { QueryForm::Xml }
    }
}

/// How one request is spoken, and is to be answered.
#[derive(Clone, Copy)]
pub struct Spoken {
    pub protocol: Protocol,
    pub form: QueryForm,
    /// What the service was called by before it spoke JSON.
    pub older: Option<&'static Older>,
}

/// The response to a call that went well.
pub fn success(
    model: &ServiceModel,
    spoken: Spoken,
    operation: &Operation,
    answer: Answer,
    request_id: &str,
) -> Response<Bytes> {
    let status = answer.status.unwrap_or(operation.status);
    let (content_type, body) = match (answer.payload, spoken.protocol) {
        (None, Protocol::Query) if spoken.form == QueryForm::Json => ("application/json", json_body(&answer.output)),
        (Some(payload), Protocol::Json10) => ("application/x-amz-json-1.0", payload),
        (Some(payload), Protocol::Json11) => ("application/x-amz-json-1.1", payload),
        (Some(payload), Protocol::Cbor) => {
            let written = serde_json::from_slice(&payload).unwrap_or_default();
            (CBOR, cbor_body(&written, spoken.older))
        }
        (Some(payload), _) => ("application/json", payload),
        (None, Protocol::Query) => {
            ("text/xml", query::answer(model, spoken.older, operation, &answer.output, request_id))
        }
        (None, Protocol::RestJson) if answer.output.is_null() => {
            ("application/json", if status == 204 { Bytes::new() } else { "{}".into() })
        }
        (None, Protocol::RestJson) => ("application/json", answer.output.to_string().into()),
        (None, Protocol::Json10) => ("application/x-amz-json-1.0", json_body(&answer.output)),
        (None, Protocol::Json11) => ("application/x-amz-json-1.1", json_body(&answer.output)),
        (None, Protocol::Cbor) => (CBOR, cbor_body(&answer.output, spoken.older)),
    };
    let mut response = response(status, content_type, body, request_id);
    if spoken.protocol == Protocol::Cbor {
        set(&mut response, "smithy-protocol", CBOR_NAME);
    }
    for (name, value) in answer.headers {
        if let Ok(value) = http::HeaderValue::from_bytes(value.as_bytes()) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

/// How requests and answers of the protocol in CBOR say so, in the header `smithy-protocol`.
pub const CBOR_NAME: &str = "rpc-v2-cbor";
const CBOR: &str = "application/cbor";

fn cbor_body(output: &Value, older: Option<&Older>) -> Bytes {
    let times = older.map_or(&[] as &[&str], |older| older.times);
    if output.is_null() { cbor::encode(&Map::new().into(), times) } else { cbor::encode(output, times) }.into()
}

/// Members of a call in CBOR.
pub fn cbor_object(body: &[u8]) -> Result<Map<String, Value>, ApiError> {
    match body.is_empty() {
        true => Ok(Map::new()),
        false => match cbor::decode(body)? {
            Value::Object(members) => Ok(members),
            _ => Err(ApiError::serialization("Start of structure or map found where not expected.")),
        },
    }
}

fn json_body(output: &Value) -> Bytes {
    if output.is_null() { "{}".into() } else { output.to_string().into() }
}

/// The response to a call that failed.
pub fn failure(spoken: Spoken, error: &ApiError, request_id: &str) -> Response<Bytes> {
    let Spoken { protocol, form, older } = spoken;
    match protocol {
        Protocol::Query if form == QueryForm::Json => {
            let body = serde_json::json!({ "Error": { "Code": error.code, "Message": error.message }, "RequestId": request_id });
            response(error.status, "application/json", body.to_string().into(), request_id)
        }
        Protocol::RestJson => {
            let mut body = (*error.fields).clone();
            // Models call the member `message` or `Message`; clients look for the one of their model.
            body.insert("Message".into(), error.message.clone().into());
            body.insert("message".into(), error.message.clone().into());
            let mut response =
                response(error.status, "application/json", Value::Object(body).to_string().into(), request_id);
            set(&mut response, "x-amzn-errortype", &error.code);
            if let Some(seconds) = error.fields.get("retryAfterSeconds").and_then(Value::as_str) {
                set(&mut response, "retry-after", seconds);
            }
            response
        }
        Protocol::Json10 | Protocol::Json11 | Protocol::Cbor => {
            let mut body = (*error.fields).clone();
            body.insert("__type".into(), error.code.clone().into());
            body.insert("message".into(), error.message.clone().into());
            let body = Value::Object(body);
            let (kind, bytes) = match protocol {
                Protocol::Cbor => (CBOR, cbor_body(&body, older)),
                Protocol::Json10 => ("application/x-amz-json-1.0", body.to_string().into()),
                _ => ("application/x-amz-json-1.1", body.to_string().into()),
            };
            let mut response = response(error.status, kind, bytes, request_id);
            if protocol == Protocol::Cbor {
                set(&mut response, "smithy-protocol", CBOR_NAME);
            }
            if let Some(older) = older {
                // Clients go on to show the code that programs were written against.
                let side = if error.is_senders() { "Sender" } else { "Receiver" };
                set(&mut response, "x-amzn-query-error", &format!("{};{side}", older.code(&error.code)));
            }
            response
        }
        Protocol::Query => {
            let body = query::failure(error, older, request_id);
            response(error.status, "text/xml", body, request_id)
        }
    }
}

fn set(response: &mut Response<Bytes>, name: &'static str, value: &str) {
    if let Ok(value) = http::HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}

fn response(status: u16, content_type: &'static str, body: Bytes, request_id: &str) -> Response<Bytes> {
    let mut response = Response::new(body);
    *response.status_mut() = http::StatusCode::from_u16(status).unwrap_or(http::StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert("content-type", http::HeaderValue::from_static(content_type));
    set(&mut response, "x-amzn-requestid", request_id);
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    static OPERATIONS: [Operation; 6] = [
        Operation::rest("ListLayers", "GET", "/2018-10-31/layers", 200),
        Operation::rest("GetLayerVersionByArn", "GET", "/2018-10-31/layers?find=LayerVersion", 200),
        Operation::rest("ListFunctions", "GET", "/2015-03-31/functions/", 200).query(&[("MaxItems", "MaxItems")]),
        Operation::rest("GetFunction", "GET", "/2015-03-31/functions/{FunctionName}", 200)
            .query(&[("Qualifier", "Qualifier")]),
        Operation::rest("ListTags", "GET", "/2017-03-31/tags/{Resource+}", 200),
        Operation::rest("UntagResource", "DELETE", "/2017-03-31/tags/{Resource+}", 204)
            .query(&[("tagKeys", "TagKeys[]")]),
    ];
    static MODEL: ServiceModel = ServiceModel {
        name: "lambda",
        protocol: Protocol::RestJson,
        target: "",
        xmlns: "urn:x",
        operations: &OPERATIONS,
        absent: &[],
    };

    fn input(method: &str, path: &str, query: &str) -> Option<(&'static str, Value)> {
        let matched = match_rest(&MODEL, method, path, query)?;
        let name = matched.operation.name;
        Some((name, Value::Object(rest_input(matched, query, &HeaderMap::new(), &Bytes::new()).unwrap())))
    }

    #[test]
    fn rest_routes() {
        assert_eq!(
            input("GET", "/2015-03-31/functions", "MaxItems=3&x=1"),
            Some(("ListFunctions", json!({"MaxItems": "3"})))
        );
        assert_eq!(
            input("GET", "/2015-03-31/functions/arn%3Aaws%3Ax", "Qualifier=%24LATEST"),
            Some(("GetFunction", json!({"Qualifier": "$LATEST", "FunctionName": "arn:aws:x"})))
        );
        assert_eq!(
            input("DELETE", "/2017-03-31/tags/arn:a/b", "tagKeys=a&tagKeys=b"),
            Some(("UntagResource", json!({"TagKeys": ["a", "b"], "Resource": "arn:a/b"})))
        );
        assert_eq!(input("GET", "/2018-10-31/layers", "find=x"), Some(("ListLayers", json!({}))));
        assert_eq!(
            input("GET", "/2018-10-31/layers", "a=b&find=LayerVersion"),
            Some(("GetLayerVersionByArn", json!({})))
        );
        assert_eq!(input("GET", "/2015-03-31/functions/a/b", ""), None);
        assert_eq!(input("PUT", "/2015-03-31/functions/a", ""), None);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(body in prop::collection::vec(any::<u8>(), 0..300), path in "\\PC{0,80}") {
            let _either = json_object(&body);
            let _either = match_rest(&MODEL, "GET", &path, "");
        }
    }
}
