//! HTTP back ends: the client's request is handed on, and the back end's answer handed back
//! (<https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-http.html>).

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bytes::Bytes;
use cumulet_base::limits;
use cumulet_wire::data_plane::HttpRequest;
use cumulet_wire::outbound::{self, NoAnswer};
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Request, Response};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::plane::Trace;

/// What may stand in a path as it is; a greedy variable has slashes.
const PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/').remove(b':');

/// Of one connection, and so not handed on (RFC 9110, section 7.6.1), or said anew.
const OWN: [HeaderName; 9] = [
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::HOST,
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// A request on its way to a back end.
pub struct Forward<'a> {
    pub request: &'a HttpRequest,
    /// As the integration says it: `ANY` is the client's own.
    pub method: &'a str,
    /// With `{variables}`.
    pub uri: &'a str,
    pub path: BTreeMap<String, String>,
    pub stage_variables: &'a BTreeMap<String, String>,
    /// Besides the client's, and in their place.
    pub headers: Vec<(String, String)>,
    pub query: Vec<(String, String)>,
    pub timeout_ms: u64,
}

/// Whether the address of an integration can be one: what variables it has is known only with a request.
pub fn is_address(uri: &str) -> bool {
    let plain: String = uri.chars().filter(|c| !matches!(c, '{' | '}' | '$')).collect();
    let uri = plain.parse::<http::Uri>().ok();
    uri.is_some_and(|uri| matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some())
}

/// `${stageVariables.NAME}` and `{NAME}` in an address.
fn filled(uri: &str, path: &BTreeMap<String, String>, variables: &BTreeMap<String, String>) -> String {
    let mut full = String::with_capacity(uri.len());
    let mut rest = uri;
    while let Some(at) = rest.find('{') {
        let (before, after) = rest.split_at(at);
        let Some((name, behind)) = after[1..].split_once('}') else { break };
        match name.strip_prefix("stageVariables.").filter(|_| before.ends_with('$')) {
            Some(variable) => {
                full.push_str(&before[..before.len() - 1]);
                full.push_str(variables.get(variable).map_or("", String::as_str));
            }
            None => {
                full.push_str(before);
                // What the client sent may be encoded already.
                let value = path.get(name).map_or("", String::as_str);
                full.extend(utf8_percent_encode(value, PATH));
            }
        }
        rest = behind;
    }
    full.push_str(rest);
    full
}

fn handed_on(headers: &HeaderMap) -> HeaderMap {
    let of_connection: Vec<String> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(',').map(|name| name.trim().to_ascii_lowercase()))
        .collect();
    let is_own = |name: &HeaderName| {
        OWN.contains(name) || name == "keep-alive" || of_connection.iter().any(|one| one == name.as_str())
    };
    headers.iter().filter(|(name, _)| !is_own(name)).map(|(name, value)| (name.clone(), value.clone())).collect()
}

impl Forward<'_> {
    fn built(&self) -> Result<Request<Bytes>, NoAnswer> {
        let mut address = filled(self.uri, &self.path, self.stage_variables);
        let own = form_urlencoded::Serializer::new(String::new()).extend_pairs(&self.query).finish();
        for query in [self.request.query.as_str(), own.as_str()].into_iter().filter(|query| !query.is_empty()) {
            address.push(if address.contains('?') { '&' } else { '?' });
            address.push_str(query);
        }
        let method = match self.method {
            "ANY" | "" => self.request.method.clone(),
            named => Method::from_bytes(named.as_bytes()).map_err(|_| NoAnswer::Address(address.clone()))?,
        };
        let mut request = Request::new(self.request.body.clone());
        *request.uri_mut() = address.parse().map_err(|_| NoAnswer::Address(address.clone()))?;
        *request.method_mut() = method;
        let mut headers = handed_on(&self.request.headers);
        for (name, value) in &self.headers {
            if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::from_str(value)) {
                headers.insert(name, value);
            }
        }
        *request.headers_mut() = headers;
        Ok(request)
    }

    /// # Errors
    /// When the back end did not answer in time, or not at all; any status is an answer.
    pub async fn send(&self, trace: &mut Trace) -> Result<Response<Bytes>, NoAnswer> {
        let began = Instant::now();
        let answer = self.exchange().await;
        trace.integration_ms = Some(began.elapsed().as_millis());
        match &answer {
            Ok(answer) => trace.integration_status = Some(answer.status().as_u16()),
            Err(error) => trace.error = error.to_string(),
        }
        answer
    }

    async fn exchange(&self) -> Result<Response<Bytes>, NoAnswer> {
        let timeout = Duration::from_millis(self.timeout_ms);
        let mut answer = outbound::send_for(self.built()?, timeout, limits::HTTP_API_BODY_BYTES_MAX).await?;
        *answer.headers_mut() = handed_on(answer.headers());
        Ok(answer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let path = BTreeMap::from([("proxy".to_owned(), "a b/c?".to_owned())]);
        let variables = BTreeMap::from([("host".to_owned(), "example.com:81".to_owned())]);
        for (uri, full) in [
            ("http://x/{proxy}", "http://x/a%20b/c%3F"),
            ("http://${stageVariables.host}/v1/{proxy}/{none}", "http://example.com:81/v1/a%20b/c%3F/"),
            ("http://x/{open", "http://x/{open"),
        ] {
            assert_eq!(filled(uri, &path, &variables), full);
        }
        for (uri, is) in [
            ("https://x.org/{proxy}", true),
            ("http://${stageVariables.host}/a", true),
            ("ftp://x", false),
            ("arn:aws:lambda:us-east-1:000000000000:function:f", false),
            ("/path", false),
        ] {
            assert_eq!(is_address(uri), is, "{uri}");
        }
    }

    #[test]
    fn headers_of_a_connection_stay_behind() {
        let headers: HeaderMap =
            [("connection", "close, x-own"), ("x-own", "1"), ("host", "h"), ("accept", "a"), ("keep-alive", "5")]
                .into_iter()
                .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
                .collect();
        let left: Vec<_> = handed_on(&headers).into_iter().filter_map(|(name, _)| name).collect();
        assert_eq!(left, ["accept"]);
    }
}
