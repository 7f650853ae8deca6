//! A browser's upload (<https://docs.aws.amazon.com/AmazonS3/latest/API/RESTObjectPOST.html>): its fields are checked against
//! their signature and policy, and then it is the put that they describe, its file streamed. s3s would hold the file in memory
//! before anybody asked who sends it.

pub mod parse;
pub mod policy;

use std::ops::ControlFlow;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use cumulet_base::limits;
use cumulet_wire::auth::sigv4::{constant_time_eq, encode, sign_text};
use cumulet_wire::auth::{Caller, Credential, Credentials};
use futures_util::stream::{self, BoxStream};
use hmac::{Hmac, Mac};
use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::request::Parts;
use http::{Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, Incoming};
use s3s::dto::Tagging;
use s3s::{S3Error, S3Result, StdError, s3_error};
use sha1::Sha1;

use crate::{access, errors};
use parse::{Fields, File, Head};
use policy::Policy;

/// A form as the put that it asks for.
pub struct Upload {
    pub request: Request<s3s::Body>,
    pub caller: Caller,
    reply: Reply,
}

/// What the browser wants to be answered.
struct Reply {
    redirect: Option<Uri>,
    status: StatusCode,
    bucket: String,
    key: String,
    /// Where the object is, in the words of the client.
    location: String,
}

/// Reads as far as the file begins.
pub async fn read(
    keys: &dyn Credentials,
    head: Parts,
    mut body: Incoming,
    bucket: &str,
    now_ms: u64,
) -> S3Result<Upload> {
    let kind = head.headers.get("content-type").and_then(|v| v.to_str().ok()).unwrap_or_default();
    let mut reader = Head::new(&parse::boundary(kind)?);
    let (fields, file) = loop {
        let piece = next(&mut body).await?.ok_or_else(parse::malformed)?;
        if let ControlFlow::Break(begun) = reader.feed(&piece)? {
            break begun;
        }
    };
    let missing = |name: &str| {
        let message = format!(
            "Bucket POST must contain a field named '{name}'.  If it is specified, please check the order of the fields."
        );
        S3Error::with_message(s3s::S3ErrorCode::InvalidArgument, message)
    };
    let key = fields.get("key").filter(|key| !key.is_empty()).ok_or_else(|| missing("key"))?;
    let key = key.replace("${filename}", &fields.file_name);
    let policy = fields.get("policy").map(Policy::of).transpose()?;
    let is_signed = ["x-amz-signature", "signature"].iter().any(|name| fields.get(name).is_some());
    if is_signed && policy.is_none() {
        return Err(missing("policy"));
    }
    let caller = signer(keys, &fields).await?;
    if let Some(policy) = &policy {
        policy.admit(bucket, &fields, now_ms)?;
    }
    let reply = Reply::of(&head, &fields, bucket, &key);
    let range = policy.and_then(|policy| policy.bytes).unwrap_or((0, u64::MAX));
    let content = StreamBody::new(content(body, file, range));
    let mut request = Request::new(s3s::Body::http_body_unsync(content));
    *request.method_mut() = Method::PUT;
    *request.uri_mut() = format!("/{bucket}/{}", encode(&key, true)).parse().map_err(errors::internal)?;
    *request.headers_mut() = headers(&head.headers, &fields)?;
    *request.extensions_mut() = head.extensions;
    Ok(Upload { request, caller: caller.unwrap_or_else(access::anonymous), reply })
}

/// Who signed the policy; nobody where nothing is signed.
async fn signer(keys: &dyn Credentials, fields: &Fields) -> S3Result<Option<Caller>> {
    let text = fields.get("policy").unwrap_or_default().as_bytes();
    let bad = |field: &str| {
        let message = format!("The form's field {field} is missing or invalid.");
        S3Error::with_message(s3s::S3ErrorCode::InvalidArgument, message)
    };
    if let Some(signature) = fields.get("x-amz-signature") {
        if fields.get("x-amz-algorithm") != Some("AWS4-HMAC-SHA256") {
            return Err(bad("x-amz-algorithm"));
        }
        let scope: Vec<&str> = fields.get("x-amz-credential").unwrap_or_default().rsplitn(5, '/').collect();
        let &["aws4_request", "s3", region, date, key_id] = scope.as_slice() else {
            return Err(bad("x-amz-credential"));
        };
        if !fields.get("x-amz-date").is_some_and(|at| at.starts_with(date)) {
            return Err(bad("x-amz-date"));
        }
        let found = find(keys, key_id, fields).await?;
        let expect = sign_text(&found.secret_access_key, [date, region, "s3"], text);
        return signed(found, &expect, signature).map(Some);
    }
    // The older way, which clients still use where a region knows it.
    let Some(signature) = fields.get("signature") else { return Ok(None) };
    let key_id = fields.get("awsaccesskeyid").ok_or_else(|| bad("AWSAccessKeyId"))?;
    let found = find(keys, key_id, fields).await?;
    let mut mac = Hmac::<Sha1>::new_from_slice(found.secret_access_key.as_bytes()).map_err(errors::internal)?;
    mac.update(text);
    let expect = BASE64_STANDARD.encode(mac.finalize().into_bytes());
    signed(found, &expect, signature).map(Some)
}

async fn find(keys: &dyn Credentials, key_id: &str, fields: &Fields) -> S3Result<Credential> {
    access::credential(keys, key_id, fields.get("x-amz-security-token")).await
}

fn signed(found: Credential, expect: &str, signature: &str) -> S3Result<Caller> {
    if constant_time_eq(expect.as_bytes(), signature.as_bytes()) {
        return Ok(found.caller);
    }
    let message = "The request signature we calculated does not match the signature you provided. Check your key and signing method.";
    Err(s3_error!(SignatureDoesNotMatch, "{message}"))
}

/// The headers of the put: fields that are headers of one, and what is known of the client.
fn headers(asked: &HeaderMap, fields: &Fields) -> S3Result<HeaderMap> {
    // An address, so that the bucket is looked for in the path.
    let mut headers = HeaderMap::from_iter([(http::header::HOST, HeaderValue::from_static("127.0.0.1"))]);
    for name in ["user-agent", "referer", "x-amzn-trace-id"] {
        if let Some(value) = asked.get(name) {
            headers.insert(name, value.clone());
        }
    }
    for (name, value) in fields.iter() {
        let (name, value) = match name {
            "acl" => ("x-amz-acl", value.to_owned()),
            "tagging" => ("x-amz-tagging", tags(value)?),
            "cache-control"
            | "content-type"
            | "content-disposition"
            | "content-encoding"
            | "expires"
            | "content-md5" => (name, value.to_owned()),
            "x-amz-signature"
            | "x-amz-credential"
            | "x-amz-algorithm"
            | "x-amz-date"
            | "x-amz-security-token"
            | "x-amz-content-sha256"
            | "x-amz-trailer"
            | "x-amz-decoded-content-length"
            | "x-amz-copy-source" => continue,
            name if name.starts_with("x-amz-") => (name, value.to_owned()),
            _ => continue,
        };
        let unfit = |_| {
            let message = format!("The form's field {name} cannot be a header.");
            S3Error::with_message(s3s::S3ErrorCode::InvalidArgument, message)
        };
        let header = HeaderName::from_bytes(name.as_bytes()).map_err(|_| unfit(()))?;
        headers.entry(header).or_insert(HeaderValue::from_bytes(value.as_bytes()).map_err(|_| unfit(()))?);
    }
    Ok(headers)
}

/// A document of tags, as the header has them.
fn tags(document: &str) -> S3Result<String> {
    let malformed = |_| {
        s3_error!(
            MalformedXML,
            "The XML you provided was not well-formed or did not validate against our published schema"
        )
    };
    let mut reader = s3s::xml::Deserializer::new(document.as_bytes());
    let tagging: Tagging = s3s::xml::Deserialize::deserialize(&mut reader).map_err(malformed)?;
    let mut pairs = form_urlencoded::Serializer::new(String::new());
    for tag in tagging.tag_set {
        pairs.append_pair(tag.key.as_deref().unwrap_or_default(), tag.value.as_deref().unwrap_or_default());
    }
    Ok(pairs.finish())
}

async fn next(body: &mut Incoming) -> S3Result<Option<Bytes>> {
    let idle = Duration::from_millis(limits::REQUEST_BODY_IDLE_TIMEOUT_MS);
    loop {
        let late = "Your socket connection to the server was not read from or written to within the timeout period.";
        match tokio::time::timeout(idle, body.frame()).await.map_err(|_| s3_error!(RequestTimeout, "{late}"))? {
            None => return Ok(None),
            Some(Err(e)) => {
                tracing::debug!(error = %e, "a form was not received whole");
                return Err(parse::malformed());
            }
            Some(Ok(frame)) => {
                if let Ok(data) = frame.into_data() {
                    return Ok(Some(data));
                }
            }
        }
    }
}

/// The file, as long as its policy lets it be. What goes wrong with it comes through the put as it is.
fn content(body: Incoming, file: File, (min, max): (u64, u64)) -> BoxStream<'static, Result<Frame<Bytes>, StdError>> {
    let state = Some((body, file, 0_u64));
    Box::pin(stream::unfold(state, move |state| async move {
        let (mut body, mut file, mut size) = state?;
        loop {
            let bytes = file.take();
            size += bytes.len() as u64;
            if size > max {
                return Some((Err(TooMuchOrLittle(size, max).into()), None));
            }
            if !bytes.is_empty() {
                return Some((Ok(Frame::data(bytes)), Some((body, file, size))));
            }
            if file.has_ended {
                let too_little = (size < min).then(|| (Err(TooMuchOrLittle(size, min).into()), None));
                if too_little.is_none() {
                    // The rest is nobody's, but whoever sends it waits until it is taken.
                    drain(&mut body).await;
                }
                return too_little;
            }
            match next(&mut body).await {
                Ok(Some(piece)) => file.feed(&piece),
                Ok(None) => return Some((Err(parse::malformed().into()), None)),
                Err(e) => return Some((Err(e.into()), None)),
            }
        }
    }))
}

async fn drain(body: &mut Incoming) {
    let mut left = limits::OBJECT_FORM_FIELDS_BYTES_MAX;
    while let Ok(Some(piece)) = next(body).await
        && piece.len() <= left
    {
        left -= piece.len();
    }
}

/// A file of another length than its policy admits.
#[derive(Debug, thiserror::Error)]
#[error("{0} bytes where the bound is {1}")]
struct TooMuchOrLittle(u64, u64);

/// What a put's body failed with, where it was a form's.
pub fn failure(e: &StdError) -> Option<S3Error> {
    if let Some(&TooMuchOrLittle(size, bound)) = e.downcast_ref() {
        return Some(match size > bound {
            true => s3_error!(EntityTooLarge, "Your proposed upload exceeds the maximum allowed size"),
            false => s3_error!(EntityTooSmall, "Your proposed upload is smaller than the minimum allowed size"),
        });
    }
    let e: &S3Error = e.downcast_ref()?;
    Some(S3Error::with_message(e.code().clone(), e.message().unwrap_or_default().to_owned()))
}

impl Reply {
    fn of(head: &Parts, fields: &Fields, bucket: &str, key: &str) -> Reply {
        // What is no address is as if it were not there.
        let redirect = fields.get("success_action_redirect").or_else(|| fields.get("redirect"));
        let redirect = redirect.and_then(|to| to.parse::<Uri>().ok()).filter(|to| to.scheme().is_some());
        let status = match fields.get("success_action_status") {
            Some("200") => StatusCode::OK,
            Some("201") => StatusCode::CREATED,
            _ => StatusCode::NO_CONTENT,
        };
        let host = head.headers.get("host").and_then(|host| host.to_str().ok()).unwrap_or_default();
        let folder = head.uri.path().trim_end_matches('/');
        let location = format!("http://{host}{folder}/{}", encode(key, true));
        Reply { redirect, status, bucket: bucket.to_owned(), key: key.to_owned(), location }
    }
}

impl Upload {
    /// The request, and what becomes of its answer.
    pub fn split(self) -> (Request<s3s::Body>, Caller, impl FnOnce(s3s::HttpResponse) -> s3s::HttpResponse) {
        let reply = self.reply;
        (self.request, self.caller, move |put| reply.over(put))
    }
}

impl Reply {
    /// From the answer to the put; what went wrong is told as it is.
    fn over(self, put: s3s::HttpResponse) -> s3s::HttpResponse {
        if !put.status().is_success() {
            return put;
        }
        let tag = put.headers().get("etag").and_then(|tag| tag.to_str().ok()).unwrap_or_default().to_owned();
        let mut response = Response::new(s3s::Body::empty());
        *response.headers_mut() = put.headers().clone();
        response.headers_mut().remove(http::header::CONTENT_LENGTH);
        let mut location = self.location.clone();
        *response.status_mut() = self.status;
        if let Some(to) = self.redirect {
            let mut pairs = form_urlencoded::Serializer::new(String::new());
            pairs.append_pair("bucket", &self.bucket).append_pair("key", &self.key).append_pair("etag", &tag);
            let separator = if to.query().is_some() { '&' } else { '?' };
            location = format!("{to}{separator}{}", pairs.finish());
            *response.status_mut() = StatusCode::SEE_OTHER;
        } else if self.status == StatusCode::CREATED {
            let text = [("Location", location.as_str()), ("Bucket", &self.bucket), ("Key", &self.key), ("ETag", &tag)];
            let text: String = text.map(|(name, value)| format!("<{name}>{}</{name}>", escaped(value))).concat();
            let text = format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<PostResponse>{text}</PostResponse>");
            response.headers_mut().insert("content-type", HeaderValue::from_static("application/xml"));
            *response.body_mut() = s3s::Body::from(text);
        }
        if let Ok(location) = HeaderValue::from_str(&location) {
            response.headers_mut().insert("location", location);
        }
        response
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
