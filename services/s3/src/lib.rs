//! AWS S3: buckets and objects of any size, streamed in and out in constant memory. The protocol, signatures and presigned
//! requests are the crate `s3s`'s; records, bytes and permissions are here. Deliberately absent, answered by name as not
//! implemented: versions, tags, ACLs and policies, notifications, lifecycle, websites.

mod access;
mod api;
mod content;
pub mod coverage;
mod errors;
#[doc(hidden)]
pub mod fuzz;
mod host;
mod model;
mod operations;
mod scrub;
mod storage;
mod stream;

use std::sync::Arc;

use bytes::Bytes;
use cumulet_base::clock::Clock;
use cumulet_blobs::Blobs;
use cumulet_store::Store;
use cumulet_wire::auth::{Authorizer, Credentials};
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
}

/// The operations; [`S3`] puts the protocol around them.
#[derive(Clone)]
pub(crate) struct Objects {
    storage: Arc<Storage>,
    authorizer: Arc<dyn Authorizer>,
    clock: Arc<dyn Clock>,
}

pub struct S3 {
    service: S3Service,
    objects: Objects,
}

impl S3 {
    pub fn new(ports: Ports) -> S3 {
        let storage = Arc::new(Storage::new(ports.store, ports.blobs));
        let objects = Objects { storage, authorizer: ports.authorizer.clone(), clock: ports.clock };
        let mut builder = S3ServiceBuilder::new(objects.clone());
        builder.set_auth(Keys(ports.credentials));
        builder.set_access(Gate(ports.authorizer));
        builder.set_host(host::Hosts);
        S3 { service: builder.build(), objects }
    }

    /// Removes, in the background, what a crash between a blob and its record left behind.
    pub fn scrub(&self) {
        tokio::spawn(scrub::run(self.objects.storage.clone()));
    }
}

#[async_trait::async_trait]
impl RawService for S3 {
    fn claims(&self, head: &Parts, host_name: &str, scope: Option<&str>) -> bool {
        match scope {
            Some(scope) => scope == "s3",
            None => host::is_s3(host_name) || is_form(head),
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
        let session = Session::of(&head);
        let request = Request::from_parts(head, s3s::Body::from(body));
        match SESSION.scope(session, self.service.call(request)).await {
            Ok(response) => response.map(BodyExt::boxed_unsync),
            Err(e) => {
                tracing::error!(error = %s3s::StdError::from(e), "an S3 request could not be answered");
                let body = Full::new(Bytes::new()).map_err(|never| match never {}).boxed_unsync();
                let mut response = Response::new(body);
                *response.status_mut() = http::StatusCode::INTERNAL_SERVER_ERROR;
                response
            }
        }
    }
}

/// A browser's upload: its signature is in the form.
fn is_form(head: &Parts) -> bool {
    let kind = head.headers.get("content-type").and_then(|v| v.to_str().ok()).unwrap_or_default();
    let path = head.uri.path();
    let is_bucket = path.len() > 1 && !path.trim_matches('/').contains('/');
    head.method == http::Method::POST && kind.starts_with("multipart/form-data") && is_bucket
}
