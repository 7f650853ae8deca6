//! Requests into calls and answers into responses, for each of AWS's protocols that is spoken here.

use std::collections::HashMap;

use bytes::Bytes;
use http::{HeaderMap, Response};
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};

use crate::call::Answer;
use crate::error::ApiError;
use crate::operation::{Operation, Protocol, ServiceModel};

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
        if let Some((literals, members)) = match_path(pattern, &segments)
            // Of two with one path, that which also asks for a query is meant.
            .map(|(literals, members)| (2 * literals + usize::from(!fixed_query.is_empty()), members))
            && best.as_ref().is_none_or(|(most, _)| literals > *most)
        {
            best = Some((literals, Matched { operation, is_built, members }));
        }
    }
    best.map(|(_, matched)| matched)
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

/// Action and members of a query call. `A.member.2.B=x` becomes a list of objects.
pub fn query_input(body: &[u8]) -> Result<(String, Map<String, Value>), ApiError> {
    let mut action = None;
    let mut root = Node::default();
    for (count, (name, value)) in form_urlencoded::parse(body).enumerate() {
        if count >= QUERY_MEMBERS_MAX {
            return Err(ApiError::new(400, "MalformedInput", "The request has too many members"));
        }
        match name.as_ref() {
            "Action" => action = Some(value.into_owned()),
            "Version" => {}
            name => root.insert(name, value.into_owned())?,
        }
    }
    let action =
        action.ok_or_else(|| ApiError::new(400, "MissingAction", "The request must contain the parameter Action"))?;
    match root.value() {
        Value::Object(members) => Ok((action, members)),
        _ => Ok((action, Map::new())),
    }
}

const QUERY_MEMBERS_MAX: usize = 10_000;
const QUERY_DEPTH_MAX: usize = 16;

#[derive(Default)]
struct Node {
    text: Option<String>,
    children: Map<String, Value>,
    nested: Vec<(String, Node)>,
    /// Where in `nested` a name is.
    index: HashMap<String, usize>,
}

impl Node {
    fn insert(&mut self, name: &str, value: String) -> Result<(), ApiError> {
        let malformed = || ApiError::new(400, "MalformedInput", format!("The member {name} is malformed"));
        if name.split('.').count() > QUERY_DEPTH_MAX || name.split('.').any(str::is_empty) {
            return Err(malformed());
        }
        let mut node = self;
        for part in name.split('.') {
            let at = match node.index.get(part) {
                Some(at) => *at,
                None => {
                    node.nested.push((part.to_owned(), Node::default()));
                    node.index.insert(part.to_owned(), node.nested.len() - 1);
                    node.nested.len() - 1
                }
            };
            node = &mut node.nested[at].1;
        }
        node.text = Some(value);
        Ok(())
    }

    fn value(self) -> Value {
        let Node { text, mut children, mut nested, .. } = self;
        if nested.is_empty() {
            return text.map_or(Value::Object(children), Value::String);
        }
        // `member.1`, `member.2` …: a list. Empty lists come as `Name=` alone.
        if nested.len() == 1 && nested[0].0 == "member" {
            let mut items: Vec<(u64, Value)> = Vec::new();
            for (index, node) in nested.remove(0).1.nested {
                items.push((index.parse().unwrap_or(u64::MAX), node.value()));
            }
            items.sort_by_key(|(index, _)| *index);
            return Value::Array(items.into_iter().map(|(_, value)| value).collect());
        }
        for (name, node) in nested {
            children.insert(name, node.value());
        }
        Value::Object(children)
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

/// The response to a call that went well.
pub fn success(
    model: &ServiceModel,
    operation: &Operation,
    answer: Answer,
    form: QueryForm,
    request_id: &str,
) -> Response<Bytes> {
    let status = answer.status.unwrap_or(operation.status);
    let (content_type, body) = match (answer.payload, model.protocol) {
        (None, Protocol::Query) if form == QueryForm::Json => ("application/json", json_body(&answer.output)),
        (Some(payload), Protocol::Json10) => ("application/x-amz-json-1.0", payload),
        (Some(payload), Protocol::Json11) => ("application/x-amz-json-1.1", payload),
        (Some(payload), _) => ("application/json", payload),
        (None, Protocol::Query) => ("text/xml", query_answer(model, operation, &answer.output, request_id)),
        (None, Protocol::RestJson) if answer.output.is_null() => {
            ("application/json", if status == 204 { Bytes::new() } else { "{}".into() })
        }
        (None, Protocol::RestJson) => ("application/json", answer.output.to_string().into()),
        (None, Protocol::Json10) => ("application/x-amz-json-1.0", json_body(&answer.output)),
        (None, Protocol::Json11) => ("application/x-amz-json-1.1", json_body(&answer.output)),
    };
    let mut response = response(status, content_type, body, request_id);
    for (name, value) in answer.headers {
        if let Ok(value) = http::HeaderValue::from_bytes(value.as_bytes()) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

fn json_body(output: &Value) -> Bytes {
    if output.is_null() { "{}".into() } else { output.to_string().into() }
}

/// The response to a call that failed.
pub fn failure(protocol: Protocol, error: &ApiError, form: QueryForm, request_id: &str) -> Response<Bytes> {
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
        Protocol::Json10 | Protocol::Json11 => {
            let mut body = (*error.fields).clone();
            body.insert("__type".into(), error.code.clone().into());
            body.insert("message".into(), error.message.clone().into());
            let kind =
                if protocol == Protocol::Json10 { "application/x-amz-json-1.0" } else { "application/x-amz-json-1.1" };
            response(error.status, kind, Value::Object(body).to_string().into(), request_id)
        }
        Protocol::Query => {
            let side = if error.is_senders() { "Sender" } else { "Receiver" };
            let mut body = String::from("<ErrorResponse><Error>");
            for (name, text) in [("Type", side), ("Code", &error.code), ("Message", &error.message)] {
                push_element(&mut body, name, &Value::String(text.to_owned()));
            }
            body.push_str("</Error>");
            push_element(&mut body, "RequestId", &Value::String(request_id.to_owned()));
            body.push_str("</ErrorResponse>");
            response(error.status, "text/xml", body.into(), request_id)
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

fn query_answer(model: &ServiceModel, operation: &Operation, output: &Value, request_id: &str) -> Bytes {
    let name = operation.name;
    let mut body = format!("<{name}Response xmlns=\"{}\">", model.xmlns);
    push_element(&mut body, &format!("{name}Result"), if output.is_null() { &EMPTY } else { output });
    body.push_str("<ResponseMetadata>");
    push_element(&mut body, "RequestId", &Value::String(request_id.to_owned()));
    body.push_str("</ResponseMetadata></");
    body.push_str(name);
    body.push_str("Response>");
    body.into()
}

static EMPTY: Value = Value::Array(Vec::new());

fn push_element(out: &mut String, name: &str, value: &Value) {
    if value.is_null() {
        return;
    }
    out.push_str(&format!("<{name}>"));
    match value {
        Value::Object(members) => members.iter().for_each(|(name, value)| push_element(out, name, value)),
        Value::Array(items) => items.iter().for_each(|item| push_element(out, "member", item)),
        Value::String(text) => push_escaped(out, text),
        other => out.push_str(&other.to_string()),
    }
    out.push_str(&format!("</{name}>"));
}

fn push_escaped(out: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '\r' => out.push_str("&#xD;"),
            // XML 1.0 has no way to write the other control characters.
            c if c.is_control() && c != '\n' && c != '\t' => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
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

    #[test]
    fn query_members() {
        let (action, members) = query_input(
            b"Action=CreateStack&Version=1&Tags.member.2.Key=b&Tags.member.1.Key=a&N.X=1&Capabilities.member.1=C",
        )
        .unwrap();
        assert_eq!(action, "CreateStack");
        assert_eq!(
            Value::Object(members),
            json!({"Tags": [{"Key": "a"}, {"Key": "b"}], "N": {"X": "1"}, "Capabilities": ["C"]})
        );
        assert_eq!(query_input(b"X=1").unwrap_err().code, "MissingAction");
        assert_eq!(query_input(b"Action=A&a..b=1").unwrap_err().code, "MalformedInput");
    }

    #[test]
    fn query_answers_are_escaped() {
        let answer = Answer::json(json!({"Stacks": [{"Name": "<a&b>", "Gone": null, "N": 1, "Ok": true}]})).unwrap();
        let response = success(&MODEL_QUERY, &OPERATIONS[2], answer, QueryForm::Xml, "r");
        assert_eq!(
            std::str::from_utf8(response.body()).unwrap(),
            "<ListFunctionsResponse xmlns=\"urn:x\"><ListFunctionsResult><Stacks><member><Name>&lt;a&amp;b&gt;</Name><N>1</N><Ok>true</Ok></member></Stacks></ListFunctionsResult><ResponseMetadata><RequestId>r</RequestId></ResponseMetadata></ListFunctionsResponse>"
        );
    }

    static MODEL_QUERY: ServiceModel = ServiceModel { protocol: Protocol::Query, ..MODEL_BASE };
    const MODEL_BASE: ServiceModel =
        ServiceModel { name: "x", protocol: Protocol::Query, target: "", xmlns: "urn:x", operations: &[], absent: &[] };

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(body in prop::collection::vec(any::<u8>(), 0..300), path in "\\PC{0,80}") {
            let _either = query_input(&body);
            let _either = json_object(&body);
            let _either = match_rest(&MODEL, "GET", &path, "");
        }
    }
}
