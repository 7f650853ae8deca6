//! CORS as the gateway does it for an API that is configured so: it answers preflights and replaces the function's headers
//! (<https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-cors.html>).

use bytes::Bytes;
use http::header::{self, HeaderName, HeaderValue};
use http::{HeaderMap, Method, Response, StatusCode};

use crate::shapes::Cors;

const SET_BY_GATEWAY: [HeaderName; 6] = [
    header::ACCESS_CONTROL_ALLOW_ORIGIN,
    header::ACCESS_CONTROL_ALLOW_CREDENTIALS,
    header::ACCESS_CONTROL_ALLOW_HEADERS,
    header::ACCESS_CONTROL_ALLOW_METHODS,
    header::ACCESS_CONTROL_EXPOSE_HEADERS,
    header::ACCESS_CONTROL_MAX_AGE,
];

/// The answer to a preflight; `None` when the request is none.
pub fn preflight(cors: &Cors, method: &Method, headers: &HeaderMap) -> Option<Response<Bytes>> {
    let is_preflight = method == Method::OPTIONS
        && headers.contains_key(header::ORIGIN)
        && headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    if !is_preflight {
        return None;
    }
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let out = response.headers_mut();
    if allow_origin(cors, headers, out) {
        put_list(out, header::ACCESS_CONTROL_ALLOW_METHODS, &cors.allow_methods);
        put_list(out, header::ACCESS_CONTROL_ALLOW_HEADERS, &cors.allow_headers);
        if let Some(age) = cors.max_age {
            out.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from(age));
        }
    }
    Some(response)
}

/// Replaces what the function said about CORS by what the API is configured to.
pub fn decorate(cors: &Cors, request: &HeaderMap, response: &mut HeaderMap) {
    for name in &SET_BY_GATEWAY {
        response.remove(name);
    }
    if allow_origin(cors, request, response) {
        put_list(response, header::ACCESS_CONTROL_EXPOSE_HEADERS, &cors.expose_headers);
    }
}

fn allow_origin(cors: &Cors, request: &HeaderMap, response: &mut HeaderMap) -> bool {
    let Some(origin) = request.get(header::ORIGIN) else {
        return false;
    };
    let text = origin.to_str().unwrap_or_default();
    let matches = |allowed: &String| match allowed.split_once('*') {
        // `https://*` and `http://*.example.com`.
        Some((head, tail)) => text.len() >= head.len() + tail.len() && text.starts_with(head) && text.ends_with(tail),
        None => allowed.eq_ignore_ascii_case(text),
    };
    let has_credentials = cors.allow_credentials == Some(true);
    let value = if cors.allow_origins.iter().any(|o| o == "*") && !has_credentials {
        HeaderValue::from_static("*")
    } else if cors.allow_origins.iter().any(matches) {
        response.append(header::VARY, HeaderValue::from_static("Origin"));
        origin.clone()
    } else {
        return false;
    };
    response.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, value);
    if has_credentials {
        response.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
    }
    true
}

fn put_list(headers: &mut HeaderMap, name: HeaderName, list: &[String]) {
    if let Ok(value) = HeaderValue::from_str(&list.join(","))
        && !list.is_empty()
    {
        headers.insert(name, value);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn cors(origins: &[&str], allow_credentials: bool) -> Cors {
        Cors {
            allow_credentials: Some(allow_credentials),
            allow_origins: origins.iter().map(|o| o.to_string()).collect(),
            allow_methods: vec!["GET".into(), "POST".into()],
            allow_headers: vec!["x-a".into()],
            expose_headers: vec!["x-b".into()],
            max_age: Some(300),
        }
    }

    fn request() -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert("origin", HeaderValue::from_static("https://a.example"));
        headers.insert("access-control-request-method", HeaderValue::from_static("POST"));
        headers
    }

    #[test]
    fn preflights() {
        let answer = preflight(&cors(&["*"], false), &Method::OPTIONS, &request()).unwrap();
        let headers = answer.headers();
        assert_eq!(answer.status(), 204);
        assert_eq!(headers["access-control-allow-origin"], "*");
        assert_eq!(headers["access-control-allow-methods"], "GET,POST");
        assert_eq!(headers["access-control-max-age"], "300");
        let answer = preflight(&cors(&["https://*"], true), &Method::OPTIONS, &request()).unwrap();
        assert_eq!(answer.headers()["access-control-allow-origin"], "https://a.example");
        assert_eq!(answer.headers()["access-control-allow-credentials"], "true");
        let answer = preflight(&cors(&["https://b"], false), &Method::OPTIONS, &request()).unwrap();
        assert!(answer.headers().is_empty());
        assert!(preflight(&cors(&["*"], false), &Method::POST, &request()).is_none());
    }

    #[test]
    fn the_functions_headers_are_replaced() {
        let mut response = HeaderMap::new();
        response.insert("access-control-allow-origin", HeaderValue::from_static("evil"));
        decorate(&cors(&["https://a.example"], false), &request(), &mut response);
        assert_eq!(response["access-control-allow-origin"], "https://a.example");
        assert_eq!(response["access-control-expose-headers"], "x-b");
    }
}
