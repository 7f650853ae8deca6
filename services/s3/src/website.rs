//! A bucket as a website: index and error documents, redirects, for anyone whom the bucket lets read its objects
//! (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/WebsiteEndpoints.html>).

use bytes::Bytes;
use cumulet_wire::policy::Circumstances;
use cumulet_wire::raw::RawBody;
use futures_util::TryStreamExt;
use http::header::{HeaderMap, HeaderValue};
use http::request::Parts;
use http::{Method, Response, StatusCode};
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;
use s3s::dto::{Redirect, RoutingRule, WebsiteConfiguration};
use s3s::{S3Error, S3Result, s3_error};

use crate::model::Object;
use crate::operations::settings;
use crate::storage::Found;
use crate::stream::Pieces;
use crate::{Objects, access};

/// Answers a request to a website's host.
pub async fn serve(s3: &Objects, bucket: &str, head: &Parts, request_id: &str) -> Response<RawBody> {
    let is_head = head.method == Method::HEAD;
    if head.method != Method::GET && !is_head {
        let e = s3_error!(MethodNotAllowed, "The specified method is not allowed against this resource.");
        return page(&e, is_head, request_id);
    }
    let site = match settings::get::<WebsiteConfiguration>(s3, bucket, "website").await {
        Ok((_, Some(site))) => site,
        Ok((_, None)) => {
            let code = s3s::S3ErrorCode::NoSuchWebsiteConfiguration;
            let e = S3Error::with_message(code, "The specified bucket does not have a website configuration");
            return page(&e, is_head, request_id);
        }
        Err(e) => return page(&e, is_head, request_id),
    };
    let site = Site { s3, bucket, site: &site, head, is_head, request_id };
    site.serve().await
}

struct Site<'a> {
    s3: &'a Objects,
    bucket: &'a str,
    site: &'a WebsiteConfiguration,
    head: &'a Parts,
    is_head: bool,
    request_id: &'a str,
}

impl Site<'_> {
    async fn serve(&self) -> Response<RawBody> {
        let path = self.head.uri.path();
        let path = percent_decoded(path.strip_prefix('/').unwrap_or(path));
        if let Some(all) = &self.site.redirect_all_requests_to {
            let protocol = all.protocol.as_ref().map_or("http", |protocol| protocol.as_str());
            let to = format!("{protocol}://{}{}", all.host_name, self.head.uri);
            return moved(StatusCode::MOVED_PERMANENTLY, &to);
        }
        if let Some(redirect) = self.routed(&path, None) {
            return self.redirected(redirect, &path);
        }
        let suffix = self.site.index_document.as_ref().map_or("index.html", |index| index.suffix.as_str());
        let is_folder = path.is_empty() || path.ends_with('/');
        let key = if is_folder { format!("{path}{suffix}") } else { path.clone() };
        match self.read(&key).await {
            Ok(found) => self.object(&key, found, StatusCode::OK).await,
            Err(e) => {
                // A folder's name without its slash is sent to the one with it.
                if !is_folder && self.read(&format!("{path}/{suffix}")).await.is_ok() {
                    return moved(StatusCode::FOUND, &format!("/{}/", encoded(&path)));
                }
                self.failed(&path, &e).await
            }
        }
    }

    /// The object, if anyone may read it: who may not list the bucket does not learn what is missing.
    async fn read(&self, key: &str) -> S3Result<Found> {
        let (anyone, known) = (access::anonymous(), Circumstances::new());
        let may = |action: &'static str, key: Option<String>| {
            let (s3, bucket, anyone, known) = (self.s3, self.bucket, &anyone, &known);
            async move { access::may_as(s3, &*s3.authorizer, anyone, known, action, Some(bucket), key.as_deref()).await }
        };
        may("s3:GetObject", Some(key.to_owned())).await?;
        match self.s3.storage.object(self.bucket, key, None).await {
            Err(e) if *e.code() == s3s::S3ErrorCode::NoSuchKey => Err(match may("s3:ListBucket", None).await {
                Ok(()) => e,
                Err(_) => s3_error!(NoSuchKey, "The specified key does not exist."),
            }),
            found => found,
        }
    }

    /// The rule for a key and, where it could not be answered, a status.
    fn routed(&self, path: &str, status: Option<StatusCode>) -> Option<&RoutingRule> {
        self.site.routing_rules.iter().flatten().find(|rule| {
            let Some(condition) = &rule.condition else { return status.is_none() };
            let is_prefix = condition.key_prefix_equals.as_ref().is_none_or(|prefix| path.starts_with(prefix));
            let code = condition.http_error_code_returned_equals.as_ref();
            is_prefix && code.map(String::as_str) == status.as_ref().map(StatusCode::as_str)
        })
    }

    fn redirected(&self, rule: &RoutingRule, path: &str) -> Response<RawBody> {
        let Redirect { host_name, http_redirect_code, protocol, replace_key_prefix_with, replace_key_with } =
            &rule.redirect;
        let prefix = rule.condition.as_ref().and_then(|condition| condition.key_prefix_equals.as_deref());
        let key = match (replace_key_with, replace_key_prefix_with) {
            (Some(key), _) => key.clone(),
            (None, Some(new)) => format!("{new}{}", path.strip_prefix(prefix.unwrap_or_default()).unwrap_or(path)),
            (None, None) => path.to_owned(),
        };
        let own = self.head.headers.get("host").and_then(|host| host.to_str().ok()).unwrap_or_default();
        let host = host_name.as_deref().unwrap_or(own);
        let protocol = protocol.as_ref().map_or("http", |protocol| protocol.as_str());
        let status = http_redirect_code.as_ref().and_then(|code| code.parse().ok());
        moved(status.unwrap_or(StatusCode::MOVED_PERMANENTLY), &format!("{protocol}://{host}/{}", encoded(&key)))
    }

    async fn failed(&self, path: &str, e: &S3Error) -> Response<RawBody> {
        let status = e.status_code().or_else(|| e.code().status_code()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        if let Some(rule) = self.routed(path, Some(status)) {
            return self.redirected(rule, path);
        }
        if let Some(document) = &self.site.error_document
            && let Ok(found) = self.read(&document.key).await
        {
            return self.object(&document.key, found, status).await;
        }
        page(e, self.is_head, self.request_id)
    }

    async fn object(&self, key: &str, found: Found, status: StatusCode) -> Response<RawBody> {
        let Found { bucket, object, inline } = found;
        if let Some(to) = &object.attributes.redirect {
            return moved(StatusCode::MOVED_PERMANENTLY, to);
        }
        self.s3.count_request("get-requests", &bucket, self.bucket);
        let is_known = self.head.headers.get("if-none-match").and_then(|tag| tag.to_str().ok());
        let is_known = is_known.is_some_and(|tag| tag.trim_matches('"') == object.etag);
        let is_empty = self.is_head || is_known;
        let body = if is_empty {
            empty()
        } else {
            match Pieces::of(self.s3, self.bucket, &object, inline, 0..object.size).await {
                Ok(stream) => StreamBody::new(stream.map_ok(Frame::data)).boxed_unsync(),
                Err(e) => {
                    tracing::error!(error = %e, key, "a page could not be read");
                    return page(&e, false, self.request_id);
                }
            }
        };
        let mut response = Response::new(body);
        *response.status_mut() = if is_known && status == StatusCode::OK { StatusCode::NOT_MODIFIED } else { status };
        describe(&object, response.headers_mut());
        response
    }
}

fn describe(object: &Object, headers: &mut HeaderMap) {
    let kept = &object.attributes;
    let modified = httpdate(object.modified_ms);
    let length = object.size.to_string();
    let tag = format!("\"{}\"", object.etag);
    for (name, value) in [
        ("content-type", Some(kept.content_type.as_deref().unwrap_or("binary/octet-stream"))),
        ("content-length", Some(length.as_str())),
        ("etag", Some(tag.as_str())),
        ("last-modified", Some(modified.as_str())),
        ("cache-control", kept.cache_control.as_deref()),
        ("content-disposition", kept.content_disposition.as_deref()),
        ("content-encoding", kept.content_encoding.as_deref()),
        ("content-language", kept.content_language.as_deref()),
    ] {
        if let Some(value) = value.and_then(|value| HeaderValue::from_str(value).ok()) {
            headers.insert(name, value);
        }
    }
}

fn httpdate(ms: u64) -> String {
    let at = crate::operations::timestamp(ms);
    let mut text = Vec::new();
    let formatted = at.format(s3s::dto::TimestampFormat::HttpDate, &mut text);
    formatted.map(|()| String::from_utf8_lossy(&text).into_owned()).unwrap_or_default()
}

fn empty() -> RawBody {
    Full::new(Bytes::new()).map_err(|never| match never {}).boxed_unsync()
}

fn moved(status: StatusCode, to: &str) -> Response<RawBody> {
    let mut response = Response::new(empty());
    *response.status_mut() = status;
    if let Ok(to) = HeaderValue::from_str(to) {
        response.headers_mut().insert("location", to);
    }
    response
}

/// A failure as a page for people.
fn page(e: &S3Error, is_head: bool, request_id: &str) -> Response<RawBody> {
    let status = e.status_code().or_else(|| e.code().status_code()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let title = format!("{} {}", status.as_u16(), status.canonical_reason().unwrap_or_default());
    let text = format!(
        "<html>\n<head><title>{title}</title></head>\n<body>\n<h1>{title}</h1>\n<ul>\n<li>Code: {}</li>\n<li>Message: {}</li>\n<li>RequestId: {request_id}</li>\n</ul>\n<hr/>\n</body>\n</html>\n",
        e.code().as_str(),
        e.message().unwrap_or_default(),
    );
    let body = if is_head { Bytes::new() } else { Bytes::from(text) };
    let mut response = Response::new(Full::new(body).map_err(|never| match never {}).boxed_unsync());
    *response.status_mut() = status;
    response.headers_mut().insert("content-type", HeaderValue::from_static("text/html; charset=utf-8"));
    response
}

fn percent_decoded(path: &str) -> String {
    let mut out = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let digits = after.get(..2).and_then(|two| std::str::from_utf8(two).ok());
        match digits.and_then(|two| u8::from_str_radix(two, 16).ok()).filter(|_| byte == b'%') {
            Some(decoded) => {
                out.push(decoded);
                rest = &after[2..];
            }
            None => {
                out.push(byte);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn encoded(key: &str) -> String {
    let mut out = String::with_capacity(key.len());
    for &byte in key.as_bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' | b'/' | b'?' | b'=' | b'&' | b'#' => {
                out.push(char::from(byte));
            }
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_there_and_back() {
        for (path, key) in [("a%20b", "a b"), ("%C3%BC", "ü"), ("100%", "100%"), ("%zz", "%zz"), ("", "")] {
            assert_eq!(percent_decoded(path), key, "{path}");
        }
        assert_eq!(encoded("a b/ü"), "a%20b/%C3%BC");
    }
}
