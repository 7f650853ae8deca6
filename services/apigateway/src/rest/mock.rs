//! Mock integrations: answers that are written down, such as those to preflight requests. Of mapping templates only those
//! that compute nothing are understood; others are refused when they come. Pure.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::header::{self, HeaderName, HeaderValue};
use http::{Response, StatusCode};

use crate::errors::Error;
use crate::rest::shapes::{Integration, IntegrationResponse};

fn is_plain(template: &str) -> bool {
    !template.contains('$') && !template.contains("#set") && !template.contains("#if") && !template.contains("#foreach")
}

/// The status that a request template asks for: `{"statusCode": 200}`, with or without quotes.
fn status_of(template: &str) -> Option<u16> {
    let (_, rest) = template.split_once("statusCode")?;
    let rest =
        rest.trim_start_matches(['"', '\'']).trim_start().strip_prefix(':')?.trim_start().trim_start_matches('"');
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

/// # Errors
/// When the template computes something.
pub fn check_request(template: &str) -> Result<(), Error> {
    if is_plain(template) && (template.trim().is_empty() || status_of(template).is_some()) {
        return Ok(());
    }
    Err(Error::NotBuilt("request templates of mock integrations other than {\"statusCode\": NUMBER}".into()))
}

pub fn check_response(template: &str) -> Result<(), Error> {
    if is_plain(template) { Ok(()) } else { Err(Error::NotBuilt("response templates that compute".into())) }
}

/// Values of headers in quotes; anything else would come from a back end that mock integrations have not.
pub fn check_parameter(name: &str, value: &str) -> Result<(), Error> {
    let is_quoted = value.len() >= 2 && value.starts_with('\'') && value.ends_with('\'');
    if name.starts_with("method.response.header.") && is_quoted {
        return Ok(());
    }
    Err(Error::NotBuilt(format!("response parameter {name}: {value}")))
}

/// The response for a status: the one whose pattern it is, or the one without a pattern.
fn chosen(responses: &BTreeMap<String, IntegrationResponse>, status: u16) -> Option<&IntegrationResponse> {
    let status = status.to_string();
    let of_pattern = responses.values().find(|r| r.selection_pattern.as_deref() == Some(status.as_str()));
    of_pattern.or_else(|| responses.values().find(|r| r.selection_pattern.as_deref().is_none_or(str::is_empty)))
}

/// What the integration answers; `None` when it is not written down.
pub fn answer(integration: &Integration, content_type: &str) -> Option<Response<Bytes>> {
    let templates = &integration.request_templates;
    let template = templates.get(content_type).or_else(|| templates.get("application/json")).cloned().flatten();
    let status = status_of(template.as_deref().unwrap_or_default())?;
    let response = chosen(&integration.integration_responses, status)?;
    let body = response.response_templates.get("application/json").cloned().flatten().unwrap_or_default();
    let mut answer = Response::new(Bytes::from(body));
    *answer.status_mut() = response.status_code.parse::<u16>().ok().and_then(|code| StatusCode::from_u16(code).ok())?;
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    set_headers(answer.headers_mut(), &response.response_parameters, "method.response.header.");
    Some(answer)
}

/// Sets headers named behind `prefix` to texts in quotes.
pub fn set_headers(headers: &mut http::HeaderMap, parameters: &BTreeMap<String, String>, prefix: &str) {
    for (name, value) in parameters {
        let named = name.strip_prefix(prefix).and_then(|name| HeaderName::try_from(name).ok());
        let value = HeaderValue::from_str(value.trim_matches('\'')).ok();
        if let (Some(name), Some(value)) = (named, value) {
            headers.insert(name, value);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn templates() {
        for (template, status) in [
            ("{\"statusCode\": 200}", Some(200)),
            ("{statusCode:204}", Some(204)),
            ("{\n  \"statusCode\" : 200\n}\n", Some(200)),
            ("{'statusCode': \"418\"}", Some(418)),
            ("{}", None),
        ] {
            assert_eq!(status_of(template), status, "{template}");
        }
        assert!(check_request("{statusCode:200}").is_ok());
        assert!(check_request("").is_ok());
        assert!(check_request("#set($x = 1)").is_err());
        assert!(check_response("{}\n").is_ok());
        assert!(check_response("$input.body").is_err());
        assert!(check_parameter("method.response.header.X", "'*'").is_ok());
        assert!(check_parameter("method.response.header.X", "integration.response.header.Y").is_err());
    }
}
