//! Calls of API destinations: rate limit, authorisation by the connection, and which answers are worth another attempt
//! (<https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-api-destinations.html>). Tokens of OAuth are kept in
//! memory only.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use cumulet_base::arn::Arn;
use cumulet_wire::error::ApiError;
use cumulet_wire::outbound;
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use serde_json::Value;

use crate::core::Core;
use crate::errors;
use crate::model::{Connection, Destination, HttpParameters, Place};
use crate::storage::Kind;

/// AWS waits this long for an answer.
const TIMEOUT_MS: u64 = 5000;
/// A call that would wait longer for its turn is put off.
const TURN_MS_MAX: u64 = 5000;
const TOKENS_KEPT: usize = 10_000;
/// A token is taken anew this long before it ends.
const TOKEN_EARLY_MS: u64 = 60_000;
const TOKEN_MS_DEFAULT: u64 = 3_600_000;

#[derive(Default)]
pub struct Destinations {
    /// When the next call of a destination may begin, by its ARN.
    turns: Mutex<HashMap<String, u64>>,
    /// Header value and end, by the connection's ARN.
    tokens: Mutex<HashMap<String, (String, u64)>>,
}

fn failed(status: u16, message: impl Into<String>) -> ApiError {
    ApiError::new(status, "SDK_CLIENT_ERROR", message)
}

impl Destinations {
    /// What was known of a connection that changed.
    pub fn forget(&self, connection_arn: &str) {
        self.tokens.lock().unwrap_or_else(PoisonError::into_inner).remove(connection_arn);
    }

    pub async fn call(&self, core: &Core, arn: &Arn, given: &HttpParameters, payload: String) -> Result<(), ApiError> {
        let place = Place { account: arn.account.clone(), region: arn.region.clone() };
        let name = arn.resource.split('/').nth(1).unwrap_or_default();
        let found = core.storage.get::<Destination>(Kind::Destination, &place, &[name]).await?;
        let (destination, _) = found.ok_or_else(|| errors::not_found(format!("{arn} does not exist.")))?;
        let connection_name = destination.connection_arn.split('/').nth(1).unwrap_or_default();
        let found = core.storage.connection(&place, connection_name).await?;
        let (connection, _) =
            found.ok_or_else(|| errors::not_found(format!("{} does not exist.", destination.connection_arn)))?;
        if connection.state == "DEAUTHORIZED" {
            return Err(failed(400, "The connection is not authorized."));
        }
        self.turn(&arn.to_string(), &destination, core.now_ms()).await?;
        let token = self.authorization(core, &destination.connection_arn, &connection).await?;
        let request = request(&destination, &connection, given, token.as_deref(), payload)?;
        let answer = outbound::send(request, Duration::from_millis(TIMEOUT_MS)).await;
        let answer = answer.map_err(|error| failed(503, error.to_string()))?;
        if answer.status() == StatusCode::UNAUTHORIZED {
            self.forget(&destination.connection_arn);
        }
        judge(&answer)
    }

    /// Waits for the destination's turn; too long a wait is an error worth another attempt.
    async fn turn(&self, arn: &str, destination: &Destination, now_ms: u64) -> Result<(), ApiError> {
        let wait_ms = {
            let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
            if turns.len() > TOKENS_KEPT {
                turns.retain(|_, at_ms| *at_ms > now_ms);
            }
            // In microseconds: more than a thousand calls a second are allowed.
            let next_us = turns.entry(arn.to_owned()).or_default();
            let begins_us = (*next_us).max(now_ms * 1000);
            let wait_ms = (begins_us - now_ms * 1000) / 1000;
            if wait_ms > TURN_MS_MAX {
                return Err(failed(429, "The rate limit of the destination is exceeded.").with("RetryAfterMs", wait_ms));
            }
            *next_us = begins_us + 1_000_000 / destination.rate_per_second.max(1);
            wait_ms
        };
        tokio::time::sleep(Duration::from_millis(wait_ms)).await;
        Ok(())
    }

    /// The value of the `Authorization` header, for OAuth and basic authorisation.
    async fn authorization(&self, core: &Core, arn: &str, connection: &Connection) -> Result<Option<String>, ApiError> {
        let parameters = &connection.auth_parameters;
        match connection.authorization_type.as_str() {
            "BASIC" => {
                let text = |member: &str| parameters["BasicAuthParameters"][member].as_str().unwrap_or_default();
                let pair = format!("{}:{}", text("Username"), text("Password"));
                Ok(Some(format!("Basic {}", STANDARD.encode(pair))))
            }
            "OAUTH_CLIENT_CREDENTIALS" => {
                let now_ms = core.now_ms();
                let known = self.tokens.lock().unwrap_or_else(PoisonError::into_inner).get(arn).cloned();
                if let Some((value, _)) = known.filter(|(_, until_ms)| *until_ms > now_ms) {
                    return Ok(Some(value));
                }
                let (value, lasts_ms) = fetch_token(&parameters["OAuthParameters"]).await?;
                let mut tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
                if tokens.len() >= TOKENS_KEPT {
                    tokens.clear();
                }
                tokens.insert(arn.to_owned(), (value.clone(), now_ms + lasts_ms.saturating_sub(TOKEN_EARLY_MS)));
                Ok(Some(value))
            }
            _ => Ok(None),
        }
    }
}

/// `Key` and `Value` of a list of parameters.
fn pairs<'a>(parameters: &'a Value, list: &str) -> Vec<(&'a str, &'a str)> {
    let list = parameters[list].as_array().into_iter().flatten();
    list.filter_map(|one| Some((one["Key"].as_str()?, one["Value"].as_str()?))).collect()
}

/// As the standard has it, with what the connection adds.
fn token_request(parameters: &Value) -> Result<Request<Bytes>, ApiError> {
    let text = |pointer: &str| parameters.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let extra = &parameters["OAuthHttpParameters"];
    let method = Method::from_bytes(text("/HttpMethod").as_bytes()).map_err(|_| failed(400, "a method"))?;
    let mut form = form_urlencoded::Serializer::new(String::new());
    form.append_pair("grant_type", "client_credentials");
    form.append_pair("client_id", text("/ClientParameters/ClientID"));
    form.append_pair("client_secret", text("/ClientParameters/ClientSecret"));
    form.extend_pairs(pairs(extra, "BodyParameters"));
    let form = form.finish();
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(pairs(extra, "QueryStringParameters"));
    let mut url = with_query(text("/AuthorizationEndpoint"), &query.finish());
    let is_get = method == Method::GET;
    if is_get {
        url = with_query(&url, &form);
    }
    let mut request = Request::builder().method(method).uri(url).header("accept", "application/json");
    for (name, value) in pairs(extra, "HeaderParameters") {
        request = request.header(name, value);
    }
    let body = if is_get { String::new() } else { form };
    request
        .header("content-type", "application/x-www-form-urlencoded")
        .body(Bytes::from(body))
        .map_err(|e| failed(400, format!("asking for a token: {e}")))
}

/// The value of the header, and how long it holds.
async fn fetch_token(parameters: &Value) -> Result<(String, u64), ApiError> {
    let request = token_request(parameters)?;
    let answer = outbound::send(request, Duration::from_millis(TIMEOUT_MS)).await;
    let answer = answer.map_err(|error| failed(503, format!("asking for a token: {error}")))?;
    judge(&answer)?;
    let given: Value = serde_json::from_slice(answer.body()).unwrap_or_default();
    let token = given["access_token"].as_str().ok_or_else(|| failed(503, "The answer has no access_token."))?;
    let lasts_ms = given["expires_in"].as_u64().map_or(TOKEN_MS_DEFAULT, |seconds| seconds.saturating_mul(1000));
    Ok((format!("Bearer {token}"), lasts_ms))
}

fn with_query(url: &str, query: &str) -> String {
    match (query.is_empty(), url.contains('?')) {
        (true, _) => url.to_owned(),
        (false, true) => format!("{url}&{query}"),
        (false, false) => format!("{url}?{query}"),
    }
}

/// The request: stars of the path filled in order, parameters of the connection before those of the target, which do not
/// override them.
fn request(
    destination: &Destination,
    connection: &Connection,
    given: &HttpParameters,
    authorization: Option<&str>,
    payload: String,
) -> Result<Request<Bytes>, ApiError> {
    let parameters = &connection.auth_parameters;
    let invocation = &parameters["InvocationHttpParameters"];
    let mut url = String::new();
    let mut values = given.path_parameter_values.iter().flatten();
    for c in destination.endpoint.chars() {
        match c {
            '*' => url.extend(form_urlencoded::byte_serialize(values.next().map_or(b"", |v| v.as_bytes()))),
            c => url.push(c),
        }
    }
    let mut query = form_urlencoded::Serializer::new(String::new());
    let fixed = pairs(invocation, "QueryStringParameters");
    query.extend_pairs(&fixed);
    for (name, value) in given.query_string_parameters.iter().flatten() {
        if !fixed.iter().any(|(known, _)| known == name) {
            query.append_pair(name, value);
        }
    }
    let url = with_query(&url, &query.finish());
    let mut payload = payload;
    let body_parameters = pairs(invocation, "BodyParameters");
    if !body_parameters.is_empty()
        && let Ok(Value::Object(mut body)) = serde_json::from_str::<Value>(&payload)
    {
        body.extend(body_parameters.iter().map(|(name, value)| ((*name).to_owned(), Value::from(*value))));
        payload = Value::Object(body).to_string();
    }
    let mut request = Request::builder().method(destination.method.as_str()).uri(url);
    let mut fixed = pairs(invocation, "HeaderParameters");
    let key = &parameters["ApiKeyAuthParameters"];
    if let ("API_KEY", Some(name), Some(value)) =
        (connection.authorization_type.as_str(), key["ApiKeyName"].as_str(), key["ApiKeyValue"].as_str())
    {
        fixed.push((name, value));
    }
    fixed.extend(authorization.map(|value| ("authorization", value)));
    let bad = |e: &dyn std::fmt::Display| failed(400, format!("making the request: {e}"));
    if let Some(headers) = request.headers_mut() {
        headers.insert("content-type", HeaderValue::from_static("application/json; charset=utf-8"));
        headers.insert("user-agent", HeaderValue::from_static("Amazon/EventBridge/ApiDestinations"));
        let own = given.header_parameters.iter().flatten().map(|(name, value)| (name.as_str(), value.as_str()));
        for (name, value) in own.chain(fixed) {
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|e| bad(&e))?;
            headers.insert(name, HeaderValue::from_str(value).map_err(|e| bad(&e))?);
        }
    }
    request.body(Bytes::from(payload)).map_err(|e| bad(&e))
}

/// Of refusals, AWS tries these again: 401, 407, 409, 429 and what begins with 5.
fn judge(answer: &Response<Bytes>) -> Result<(), ApiError> {
    let status = answer.status();
    if status.is_success() {
        return Ok(());
    }
    let is_worth = matches!(status.as_u16(), 401 | 407 | 409 | 429) || status.is_server_error();
    let mut error = failed(if is_worth { 503 } else { 400 }, format!("The destination answered {}.", status.as_u16()));
    let after = answer.headers().get("retry-after").and_then(|value| value.to_str().ok());
    if let Some(seconds) = after.and_then(|text| text.parse::<u64>().ok()).filter(|_| is_worth) {
        error = error.with("RetryAfterMs", seconds.saturating_mul(1000));
    }
    Err(error)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::*;

    #[test]
    fn requests() {
        let destination = Destination {
            v: 1,
            id: String::new(),
            description: None,
            connection_arn: String::new(),
            endpoint: "https://example.com/a/*/b?z=1".to_owned(),
            method: "PUT".to_owned(),
            rate_per_second: 1,
            created_ms: 0,
            modified_ms: 0,
        };
        let connection = Connection {
            v: 1,
            id: String::new(),
            description: None,
            authorization_type: "API_KEY".to_owned(),
            sealed_parameters: None,
            auth_parameters: json!({
                "ApiKeyAuthParameters": {"ApiKeyName": "x-key", "ApiKeyValue": "secret"},
                "InvocationHttpParameters": {
                    "HeaderParameters": [{"Key": "h", "Value": "connection"}],
                    "QueryStringParameters": [{"Key": "q", "Value": "connection"}],
                    "BodyParameters": [{"Key": "b", "Value": "c"}],
                },
            }),
            state: String::new(),
            created_ms: 0,
            modified_ms: 0,
            authorized_ms: None,
        };
        let map = |name: &str, value: &str| Some(BTreeMap::from([(name.to_owned(), value.to_owned())]));
        let given = HttpParameters {
            path_parameter_values: Some(vec!["x y".to_owned()]),
            header_parameters: map("h", "target"),
            query_string_parameters: map("q", "target"),
        };
        let made = request(&destination, &connection, &given, None, "{\"a\":1}".to_owned()).unwrap();
        assert_eq!(made.uri(), "https://example.com/a/x+y/b?z=1&q=connection");
        assert_eq!((made.method(), &made.headers()["h"]), (&Method::PUT, &HeaderValue::from_static("connection")));
        assert_eq!(made.headers()["x-key"], "secret");
        assert_eq!(made.body(), "{\"a\":1,\"b\":\"c\"}");
    }

    #[test]
    fn answers() {
        let of = |status: u16| {
            let answer = Response::builder().status(status).header("retry-after", "7").body(Bytes::new()).unwrap();
            judge(&answer).map_err(|e| (e.status, e.fields.get("RetryAfterMs").cloned()))
        };
        assert_eq!(of(204), Ok(()));
        assert_eq!(of(404), Err((400, None)));
        for again in [401, 429, 500] {
            assert_eq!(of(again), Err((503, Some(json!(7000)))));
        }
    }
}
