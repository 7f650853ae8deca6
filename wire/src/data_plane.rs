//! Requests that are not calls of AWS's APIs: those to the people's own APIs, function URLs and the platform's own pages.

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, Method, Response};
use http_body_util::{Either, Full};

use crate::raw::RawBody;

/// A request, its body received whole within the plane's bound.
#[derive(Clone, Debug)]
pub struct HttpRequest {
    pub method: Method,
    /// `Host` as sent, with a port where there was one.
    pub host: String,
    /// The path as sent, still percent-encoded, beginning with `/`.
    pub path: String,
    /// What followed `?`, still encoded; empty without one.
    pub query: String,
    /// `HTTP/1.1` or `HTTP/2.0`.
    pub protocol: &'static str,
    pub headers: HeaderMap,
    pub body: Bytes,
    pub source_ip: String,
    pub request_id: String,
    pub now_ms: u64,
}

impl HttpRequest {
    /// The host's name in lower case, without port.
    pub fn host_name(&self) -> String {
        host_name(&self.host)
    }
}

/// The name of a `Host` header in lower case, without port; the brackets of IPv6 stay.
pub fn host_name(host: &str) -> String {
    let end = match host.rfind(':') {
        Some(colon) if !host.ends_with(']') => colon,
        _ => host.len(),
    };
    host[..end].to_ascii_lowercase()
}

/// A body that is there, or one that is still being made.
pub type PlaneBody = Either<Full<Bytes>, RawBody>;

#[async_trait]
pub trait DataPlane: Send + Sync + 'static {
    /// Whether the request is this plane's, by host name (lower case, no port) and path. Called for every request: cheap.
    fn claims(&self, host_name: &str, path: &str) -> bool;

    /// Longest body taken; beyond it the client gets [`DataPlane::too_large`].
    fn body_bytes_max(&self) -> usize;

    /// The answer to a body beyond the bound.
    fn too_large(&self) -> Response<Bytes>;

    async fn serve(&self, request: HttpRequest) -> Response<Bytes>;

    /// The same, by planes whose answers may come piece by piece.
    async fn answer(&self, request: HttpRequest) -> Response<PlaneBody> {
        self.serve(request).await.map(|body| Either::Left(Full::new(body)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_names() {
        for (host, name) in [("A.Example:80", "a.example"), ("a", "a"), ("[::1]:4566", "[::1]"), ("[::1]", "[::1]")] {
            assert_eq!(host_name(host), name);
        }
    }
}
