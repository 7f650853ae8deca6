//! AWS S3: buckets and objects of any size, streamed in and out in constant memory. The protocol, signatures and presigned
//! requests are the crate `s3s`'s; records, bytes, permissions, versions, notifications, lifecycle and websites are here.
//! Deliberately absent, answered by name as not implemented: replication, inventories, analytics, tiering and restoring,
//! keys of KMS or of customers, grants that no canned ACL says, access points.

mod access;
mod api;
mod content;
mod cors;
pub mod coverage;
mod errors;
mod face;
mod form;
#[doc(hidden)]
pub mod fuzz;
mod host;
mod lifecycle;
mod measure;
mod model;
mod notify;
mod operations;
mod public;
mod scrub;
mod storage;
mod stream;
mod sums;
#[cfg(test)]
mod tests;
mod website;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cumulet_base::clock::Clock;
use cumulet_base::limits;
use cumulet_blobs::Blobs;
use cumulet_delivery::Delivery;
use cumulet_engine::record::{Usage, UsageSink};
use cumulet_store::Store;
use cumulet_wire::auth::{Authorizer, Credentials, sigv4};
use cumulet_wire::client::Client;
use cumulet_wire::data_plane::host_name;
use cumulet_wire::raw::{RawBody, RawService};
use http::request::Parts;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use s3s::service::{S3Service, S3ServiceBuilder};

use access::{Gate, Keys, SESSION, Session};
use storage::Storage;

/// What the service is made of.
pub struct Ports {
    pub store: Arc<dyn Store>,
    pub blobs: Arc<Blobs>,
    pub credentials: Arc<dyn Credentials>,
    pub authorizer: Arc<dyn Authorizer>,
    pub clock: Arc<dyn Clock>,
    /// Notifications are put there with the changes they tell of.
    pub delivery: Arc<Delivery>,
    /// The way to their destinations.
    pub client: Client,
    pub usage: Arc<dyn UsageSink>,
}

/// The operations; [`S3`] puts the protocol around them.
#[derive(Clone)]
pub(crate) struct Objects {
    storage: Arc<Storage>,
    authorizer: Arc<dyn Authorizer>,
    clock: Arc<dyn Clock>,
    client: Client,
    usage: Arc<dyn UsageSink>,
}

impl Objects {
    /// One request more on the bill of a bucket's account.
    pub(crate) fn count_request(&self, unit: &'static str, bucket: &model::Bucket, name: &str) {
        self.bill(unit, 1_000_000, bucket, name);
    }

    pub(crate) fn bill(&self, unit: &'static str, quantity_micro: u64, bucket: &model::Bucket, name: &str) {
        self.usage.used(Usage {
            account: bucket.account.clone(),
            region: bucket.region.clone(),
            service: "s3",
            resource: name.to_owned(),
            unit,
            quantity_micro,
            at_ms: self.clock.now_ms(),
        });
    }
}

pub struct S3 {
    service: S3Service,
    objects: Objects,
    credentials: Arc<dyn Credentials>,
}

impl S3 {
    pub fn new(ports: Ports) -> S3 {
        let courier = notify::Courier { client: ports.client.clone(), clock: ports.clock.clone() };
        ports.delivery.register(notify::OWNER, Arc::new(courier));
        let storage = Arc::new(Storage::new(ports.store, ports.blobs, ports.delivery));
        let objects = Objects {
            storage,
            authorizer: ports.authorizer,
            clock: ports.clock,
            client: ports.client,
            usage: ports.usage,
        };
        let mut builder = S3ServiceBuilder::new(objects.clone());
        builder.set_auth(Keys(ports.credentials.clone()));
        builder.set_access(Gate(objects.clone()));
        builder.set_host(host::Hosts);
        S3 { service: builder.build(), objects, credentials: ports.credentials }
    }

    /// Begins what goes on in the background: removing blobs without a record, carrying out lifecycle rules, measuring what
    /// is stored.
    pub fn start(&self) {
        let every = Duration::from_millis(limits::OBJECT_SCRUB_MS);
        tokio::spawn(scrub::keep(self.objects.storage.clone(), every));
        tokio::spawn(lifecycle::keep(self.objects.clone()));
        tokio::spawn(measure::keep(self.objects.clone()));
    }

    /// The same operations for the other services of this cloud.
    pub fn face(&self) -> Arc<dyn cumulet_wire::operation::Service> {
        Arc::new(face::Face(self.objects.clone()))
    }

    async fn answer(&self, head: Parts, body: Incoming, bucket: Option<&str>) -> Response<RawBody> {
        let (method, asked) = (head.method.clone(), head.headers.clone());
        let (session, answered) = match bucket.filter(|_| is_form(&head)) {
            Some(bucket) => self.form(head, body, bucket).await,
            None => {
                let session = Session::of(&head, None);
                if let (Some(bucket), true) = (bucket, method == http::Method::OPTIONS) {
                    let response = cors::preflight(&self.objects, bucket, &asked, &session.request_id).await;
                    return response.map(|body| Full::new(body).map_err(|never| match never {}).boxed_unsync());
                }
                let request = Request::from_parts(head, s3s::Body::from(body));
                let answered = SESSION.scope(session.clone(), self.service.call(request)).await;
                (session, answered.and_then(|answer| told_apart(answer, &asked)))
            }
        };
        let request_id = session.request_id.clone();
        let mut response = match answered {
            Ok(response) => response.map(BodyExt::boxed_unsync),
            Err(e) => {
                tracing::error!(error = %s3s::StdError::from(e), "an S3 request could not be answered");
                let body = Full::new(Bytes::new()).map_err(|never| match never {}).boxed_unsync();
                let mut response = Response::new(body);
                *response.status_mut() = http::StatusCode::INTERNAL_SERVER_ERROR;
                response
            }
        };
        if let Some(bucket) = bucket {
            cors::decorate(&self.objects, bucket, &method, &asked, response.headers_mut()).await;
        }
        if let Ok(id) = http::HeaderValue::from_str(&request_id) {
            response.headers_mut().insert("x-amz-request-id", id.clone());
            response.headers_mut().insert("x-amz-id-2", id);
        }
        response
    }
}

impl S3 {
    /// A browser's upload is the put that its fields describe.
    async fn form(&self, head: Parts, body: Incoming, bucket: &str) -> (Arc<Session>, Answered) {
        let unknown = Session::of(&head, None);
        match form::read(&*self.credentials, head, body, bucket, self.objects.clock.now_ms()).await {
            Ok(upload) => {
                let (request, signer, reply) = upload.split();
                let (head, body) = request.into_parts();
                let session = Session::of(&head, Some(signer));
                let put = self.service.call(Request::from_parts(head, body));
                (session.clone(), SESSION.scope(session, put).await.map(reply))
            }
            Err(e) => (unknown, e.to_http_response().map_err(|e| s3s::HttpError::new(Box::new(e)))),
        }
    }
}

/// s3s has one code for all requests that it cannot read, and S3 another for those whose signature cannot be.
fn told_apart(answer: s3s::HttpResponse, asked: &http::HeaderMap) -> Answered {
    let is_newer = asked.get("authorization").is_some_and(|text| text.as_bytes().starts_with(b"AWS4"));
    if answer.status() != http::StatusCode::BAD_REQUEST || !is_newer || sigv4::claim(asked, "").is_ok() {
        return Ok(answer);
    }
    let message = "The authorization header that you provided is not valid.";
    let refused = s3s::s3_error!(AuthorizationHeaderMalformed, "{message}");
    refused.to_http_response().map_err(|e| s3s::HttpError::new(Box::new(e)))
}

/// What s3s makes of a request.
type Answered = Result<s3s::HttpResponse, s3s::HttpError>;

#[async_trait::async_trait]
impl RawService for S3 {
    fn claims(&self, head: &Parts, host_name: &str, scope: Option<&str>) -> bool {
        match scope {
            Some(scope) => scope == "s3",
            None => {
                let is_named = host::is_s3(host_name) || host::website(host_name).is_some();
                is_named || is_form(head) || is_anyones(head) || is_torn(head)
            }
        }
    }

    async fn serve(&self, request: Request<Incoming>) -> Response<RawBody> {
        let (mut head, body) = request.into_parts();
        // HTTP/2 has the host elsewhere; signatures are made over the header.
        if let (false, Some(authority)) = (head.headers.contains_key("host"), head.uri.authority())
            && let Ok(host) = http::HeaderValue::from_str(authority.as_str())
        {
            head.headers.insert("host", host);
        }
        let host = host_name(head.headers.get("host").and_then(|host| host.to_str().ok()).unwrap_or_default());
        if let Some(bucket) = host::website(&host) {
            return website::serve(&self.objects, bucket, &head, &cumulet_base::id::hex(16).to_ascii_uppercase()).await;
        }
        let bucket = host::bucket_of(&host, head.uri.path());
        self.answer(head, body, bucket.as_deref()).await
    }
}

/// Without a signature and not another service's by its looks: for whom a bucket's policy lets everyone do something.
fn is_anyones(head: &Parts) -> bool {
    let is_call = head.headers.contains_key("x-amz-target") || head.headers.contains_key("authorization");
    head.method != http::Method::POST && !is_call && host::is_bucket_path(head.uri.path())
}

/// A signature that cannot be read whole, and is S3's by what can be read.
fn is_torn(head: &Parts) -> bool {
    let signature = head.headers.get("authorization").and_then(|v| v.to_str().ok());
    signature.is_some_and(|text| text.contains("/s3/aws4_request"))
}

/// A browser's upload: its signature is in the form.
fn is_form(head: &Parts) -> bool {
    let kind = head.headers.get("content-type").and_then(|v| v.to_str().ok()).unwrap_or_default();
    let path = head.uri.path();
    let is_bucket = path.len() > 1 && !path.trim_matches('/').contains('/');
    let is_signed = head.headers.contains_key("authorization") || head.uri.query().is_some();
    head.method == http::Method::POST && kind.starts_with("multipart/form-data") && is_bucket && !is_signed
}
