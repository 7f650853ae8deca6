//! What has to be known of a browser's upload before it is read: the session token of whoever made the form. s3s looks a
//! secret up by the access key alone, and the token is a field of the form, in front of the file. And s3s's bounds, of which
//! one is another for forms.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use cumulet_base::limits;
use futures_util::{StreamExt, TryStreamExt};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, Incoming};
use s3s::StdError;
use s3s::config::{S3Config, S3ConfigProvider};

use crate::access::SESSION;

const FIELD: &str = "x-amz-security-token";

/// Reads as far as the file begins, within a bound; answers the token and the body as it was.
pub async fn peek(mut body: Incoming) -> (Option<String>, s3s::Body) {
    let mut seen: Vec<Result<Bytes, StdError>> = Vec::new();
    let mut head = BytesMut::new();
    while head.len() < limits::OBJECT_FORM_FIELDS_BYTES_MAX && !begins_file(&head) {
        match body.frame().await.map(|frame| frame.map(Frame::into_data)) {
            Some(Ok(Ok(data))) => {
                head.extend_from_slice(&data);
                seen.push(Ok(data));
            }
            Some(Ok(Err(_trailers))) => {}
            Some(Err(e)) => {
                seen.push(Err(e.into()));
                break;
            }
            None => break,
        }
    }
    let rest = body.into_data_stream().map_err(StdError::from);
    let all = futures_util::stream::iter(seen).chain(rest).map_ok(Frame::data);
    (token(&head), s3s::Body::http_body_unsync(StreamBody::new(all)))
}

/// A form holds as long as its policy says, however long ago it was signed; other requests must be of about now.
pub struct Bounds {
    plain: Arc<S3Config>,
    form: Arc<S3Config>,
}

impl Bounds {
    pub fn new() -> Bounds {
        let mut plain = S3Config::default();
        plain.post_object_max_file_size = limits::OBJECT_FORM_BYTES_MAX;
        plain.form_max_fields_size = limits::OBJECT_FORM_FIELDS_BYTES_MAX;
        let mut form = plain.clone();
        form.presigned_url_max_skew_time_secs = u32::MAX;
        Bounds { plain: Arc::new(plain), form: Arc::new(form) }
    }
}

impl S3ConfigProvider for Bounds {
    fn snapshot(&self) -> Arc<S3Config> {
        let is_form = SESSION.try_with(|session| session.is_form).unwrap_or(false);
        if is_form { self.form.clone() } else { self.plain.clone() }
    }
}

/// S3's answer to a form that its policy does not admit; s3s says that the policy itself is none.
pub async fn refused(response: s3s::HttpResponse) -> s3s::HttpResponse {
    if response.status() != http::StatusCode::BAD_REQUEST {
        return response;
    }
    let (mut head, body) = response.into_parts();
    // Made here a moment ago, and short.
    let body = BodyExt::collect(body).await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let text = String::from_utf8_lossy(&body);
    if !text.contains(NOT_ADMITTED) || text.contains("failed to parse") {
        return s3s::HttpResponse::from_parts(head, body.into());
    }
    let text = text.replace(NOT_ADMITTED, "<Code>AccessDenied</Code>");
    let text = text.replace("<Message>", "<Message>Invalid according to Policy: ");
    head.status = http::StatusCode::FORBIDDEN;
    head.headers.remove(http::header::CONTENT_LENGTH);
    s3s::HttpResponse::from_parts(head, text.into())
}

const NOT_ADMITTED: &str = "<Code>InvalidPolicyDocument</Code>";

/// Where a part's field of this name begins.
fn part(form: &[u8], name: &str) -> Option<usize> {
    let named = format!("name=\"{name}\"");
    form.windows(named.len()).position(|at| at.eq_ignore_ascii_case(named.as_bytes()))
}

fn begins_file(form: &[u8]) -> bool {
    part(form, "file").is_some()
}

/// The value of the token's field: from the empty line to the boundary's line.
pub fn token(form: &[u8]) -> Option<String> {
    let form = &form[..part(form, "file").unwrap_or(form.len())];
    let rest = &form[part(form, FIELD)?..];
    let begin = rest.windows(4).position(|at| at == b"\r\n\r\n")? + 4;
    let value = &rest[begin..];
    let end = value.windows(2).position(|at| at == b"\r\n")?;
    String::from_utf8(value[..end].to_vec()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_is_found_in_front_of_the_file() {
        let field = |name: &str, value: &str| {
            format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
        };
        let check =
            |form: String, expect: Option<&str>| assert_eq!(token(form.as_bytes()).as_deref(), expect, "{form}");
        check(field("key", "k") + &field("x-amz-security-token", "a.b/c=") + &field("file", "f"), Some("a.b/c="));
        check(field("X-Amz-Security-Token", "t") + &field("file", "f"), Some("t"));
        check(field("key", "k") + &field("file", "f") + &field("x-amz-security-token", "late"), None);
        check(field("key", "k"), None);
        check("name=\"x-amz-security-token\"".to_owned(), None);
    }
}
