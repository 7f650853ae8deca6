//! The port for a service with a protocol of its own: it takes the request with its body still coming, and answers a body
//! that may still be made. Signatures and permissions are the service's business, through the ports of `auth`.

use async_trait::async_trait;
use bytes::Bytes;
use http::request::Parts;
use http::{Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Incoming;

pub type RawError = Box<dyn std::error::Error + Send + Sync>;
pub type RawBody = UnsyncBoxBody<Bytes, RawError>;

#[async_trait]
pub trait RawService: Send + Sync + 'static {
    /// Whether the request is this service's; `scope` is the service its signature was made for, where it has one.
    /// Called for every request that no data plane claims: cheap.
    fn claims(&self, head: &Parts, host_name: &str, scope: Option<&str>) -> bool;

    /// The request's extensions have the peer's `SocketAddr`.
    async fn serve(&self, request: Request<Incoming>) -> Response<RawBody>;
}
