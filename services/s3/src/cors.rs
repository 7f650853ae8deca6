//! What browsers ask before they let a page see an answer: preflights, and the headers of answers, by the bucket's rules
//! (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/ManageCorsUsing.html>).

use bytes::Bytes;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::{Method, Response, StatusCode};
use s3s::dto::{CORSConfiguration, CORSRule};

use crate::Objects;
use crate::operations::settings;

async fn rules(s3: &Objects, bucket: &str) -> Vec<CORSRule> {
    let found = settings::get::<CORSConfiguration>(s3, bucket, "cors").await;
    found.ok().and_then(|(_, found)| found).map(|found| found.cors_rules).unwrap_or_default()
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// A pattern with at most one star.
fn fits(pattern: &str, value: &str) -> bool {
    match pattern.split_once('*') {
        Some((start, end)) => {
            value.len() >= start.len() + end.len() && value.starts_with(start) && value.ends_with(end)
        }
        None => pattern == value,
    }
}

/// The first rule that lets an origin use a method, with these headers.
fn rule<'a>(rules: &'a [CORSRule], origin: &str, method: &str, headers: &[String]) -> Option<&'a CORSRule> {
    rules.iter().find(|rule| {
        let allowed = rule.allowed_headers.as_deref().unwrap_or_default();
        rule.allowed_origins.iter().any(|pattern| fits(pattern, origin))
            && rule.allowed_methods.iter().any(|allowed| allowed == method)
            && headers.iter().all(|h| allowed.iter().any(|pattern| fits(&pattern.to_ascii_lowercase(), h)))
    })
}

fn put(into: &mut HeaderMap, name: &'static str, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        into.insert(HeaderName::from_static(name), value);
    }
}

fn show(rule: &CORSRule, origin: &str, into: &mut HeaderMap) {
    let is_any = rule.allowed_origins.iter().any(|pattern| pattern == "*");
    put(into, "access-control-allow-origin", if is_any { "*" } else { origin });
    if !is_any {
        put(into, "access-control-allow-credentials", "true");
    }
    put(into, "access-control-allow-methods", &rule.allowed_methods.join(", "));
    if let Some(exposed) = rule.expose_headers.as_ref().filter(|exposed| !exposed.is_empty()) {
        put(into, "access-control-expose-headers", &exposed.join(", "));
    }
    if let Some(s) = rule.max_age_seconds {
        put(into, "access-control-max-age", &s.to_string());
    }
    put(into, "vary", "Origin, Access-Control-Request-Headers, Access-Control-Request-Method");
}

/// Adds to an answer what its page needs to see it.
pub async fn decorate(s3: &Objects, bucket: &str, method: &Method, asked: &HeaderMap, into: &mut HeaderMap) {
    let Some(origin) = text(asked, "origin") else { return };
    if let Some(rule) = rule(&rules(s3, bucket).await, origin, method.as_str(), &[]) {
        show(rule, origin, into);
    }
}

pub async fn preflight(s3: &Objects, bucket: &str, asked: &HeaderMap, request_id: &str) -> Response<Bytes> {
    let (Some(origin), Some(method)) = (text(asked, "origin"), text(asked, "access-control-request-method")) else {
        let message = "Insufficient information. Origin request header needed.";
        return failure(StatusCode::BAD_REQUEST, "BadRequest", message, request_id);
    };
    let listed = text(asked, "access-control-request-headers").unwrap_or_default();
    let headers: Vec<String> =
        listed.split(',').map(|name| name.trim().to_ascii_lowercase()).filter(|name| !name.is_empty()).collect();
    let rules = rules(s3, bucket).await;
    let Some(rule) = rule(&rules, origin, method, &headers) else {
        let message = if rules.is_empty() {
            "CORSResponse: CORS is not enabled for this bucket."
        } else {
            "CORSResponse: This CORS request is not allowed. This is usually because the evalution of Origin, request method / Access-Control-Request-Method or Access-Control-Request-Headers are not whitelisted by the resource's CORS spec."
        };
        return failure(StatusCode::FORBIDDEN, "AccessForbidden", message, request_id);
    };
    let mut response = Response::new(Bytes::new());
    show(rule, origin, response.headers_mut());
    if !headers.is_empty() {
        put(response.headers_mut(), "access-control-allow-headers", &headers.join(", "));
    }
    response
}

fn failure(status: StatusCode, code: &str, message: &str, request_id: &str) -> Response<Bytes> {
    let text = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code><Message>{message}</Message><RequestId>{request_id}</RequestId></Error>"
    );
    let mut response = Response::new(Bytes::from(text));
    *response.status_mut() = status;
    put(response.headers_mut(), "content-type", "application/xml");
    response
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn rules_by_origin_method_and_headers() {
        let one = CORSRule {
            allowed_headers: Some(vec!["x-amz-*".to_owned(), "Content-Type".to_owned()]),
            allowed_methods: vec!["PUT".to_owned(), "GET".to_owned()],
            allowed_origins: vec!["https://*.example.com".to_owned()],
            ..CORSRule::default()
        };
        let rules = [one];
        let check = |origin: &str, method: &str, headers: &[&str], fits: bool| {
            let headers: Vec<String> = headers.iter().map(|&h| h.to_owned()).collect();
            assert_eq!(rule(&rules, origin, method, &headers).is_some(), fits, "{origin} {method} {headers:?}");
        };
        check("https://a.example.com", "PUT", &["x-amz-date", "content-type"], true);
        check("https://a.example.com", "PUT", &["authorization"], false);
        check("https://example.com", "PUT", &[], false);
        check("https://a.example.com", "DELETE", &[], false);
        let mut headers = HeaderMap::new();
        show(&rules[0], "https://a.example.com", &mut headers);
        assert_eq!(headers["access-control-allow-origin"], "https://a.example.com");
        assert_eq!(headers["access-control-allow-methods"], "PUT, GET");
    }
}
