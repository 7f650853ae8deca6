//! The front door: one port for all protocols, and the bounds that keep strangers from filling it.
//! Which service a request is for: data planes by host and path; else the scope of its signature, its target header or
//! its form's action. Signatures, permissions and the answer's form are settled here, so that services need not.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use cumulet_base::clock::Clock;
use cumulet_base::{id, limits};
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Either, Full};
use hyper::body::{Body, Incoming};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::server::TlsStream;

use crate::auth::sigv4::{self, Claim, Signed};
use crate::auth::{Authorizer, Caller, Credentials};
use crate::call::{Call, Context, trace_of};
use crate::data_plane::{DataPlane, HttpRequest, PlaneBody, host_name};
use crate::error::ApiError;
use crate::operation::{Operation, Protocol, Registry, Service};
use crate::preamble::{self, Begun};
use crate::protocol::{self, QueryForm, Spoken};
use crate::query as query_protocol;
use crate::raw::{RawBody, RawService};

/// What the front door stands before.
pub struct Parts {
    pub registry: Registry,
    pub planes: Vec<Arc<dyn DataPlane>>,
    /// Services that stream.
    pub raw: Vec<Arc<dyn RawService>>,
    pub credentials: Arc<dyn Credentials>,
    pub authorizer: Arc<dyn Authorizer>,
    pub clock: Arc<dyn Clock>,
    /// For those who speak TLS.
    pub tls: Option<Arc<ServerConfig>>,
}

pub struct Front {
    parts: Parts,
    connections: Arc<Semaphore>,
    sandbox_connections: Arc<Semaphore>,
    body_memory: Arc<Semaphore>,
    is_draining: AtomicBool,
}

/// Bodies up to this size are held without asking for memory first.
const SMALL_BODY_BYTES: usize = 64 * 1024;
const BODY_PERMIT_BYTES: usize = 64 * 1024;

type Reply = Response<PlaneBody>;

fn whole(response: Response<Bytes>) -> Reply {
    response.map(Full::new).map(Either::Left)
}

impl Front {
    pub fn new(parts: Parts) -> Front {
        Front {
            parts,
            connections: Arc::new(Semaphore::new(limits::CONNECTIONS_MAX)),
            sandbox_connections: Arc::new(Semaphore::new(limits::SANDBOX_CONNECTIONS_MAX)),
            body_memory: Arc::new(Semaphore::new(limits::REQUEST_BODIES_BYTES_MAX / BODY_PERMIT_BYTES)),
            is_draining: AtomicBool::new(false),
        }
    }

    /// Accepts connections until told to stop, then lets those under way finish their requests.
    pub async fn serve(self: Arc<Self>, listener: TcpListener, mut stop: watch::Receiver<bool>) {
        let graceful = GracefulShutdown::new();
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                _ = stop.wait_for(|stop| *stop) => break,
            };
            let (stream, peer) = match accepted {
                Ok(accepted) => accepted,
                Err(e) => {
                    tracing::warn!(error = %e, "accepting a connection");
                    // Out of descriptors, usually: give those held a moment to end instead of spinning.
                    tokio::time::sleep(Duration::from_millis(10)).await;
                    continue;
                }
            };
            let Ok(permit) = self.connections.clone().try_acquire_owned() else {
                tracing::warn!("too many connections, one was refused");
                continue;
            };
            // Only costs latency where it cannot be set.
            let _best_effort = stream.set_nodelay(true);
            let (front, watcher) = (self.clone(), graceful.watcher());
            tokio::spawn(async move {
                let _permit = permit;
                let limit = Duration::from_millis(limits::REQUEST_HEAD_TIMEOUT_MS);
                let Some(stream) = preamble::read(stream, limit).await else { return };
                let ended = if stream.is_tls() {
                    let Some(stream) = front.unwrap_tls(stream, limit).await else { return };
                    watcher.watch(front.connection(stream, peer)).await.map_err(|e| e.to_string())
                } else {
                    watcher.watch(front.connection(stream, peer)).await.map_err(|e| e.to_string())
                };
                if let Err(error) = ended {
                    tracing::debug!(error, "a connection ended with an error");
                }
            });
        }
        self.is_draining.store(true, Ordering::SeqCst);
        drop(listener);
        graceful.shutdown().await;
    }

    /// Serves one connection that came another way, such as out of a sandbox.
    pub async fn serve_stream<S>(self: Arc<Self>, stream: S, peer: SocketAddr)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let Ok(_permit) = self.sandbox_connections.clone().try_acquire_owned() else {
            tracing::warn!("too many connections out of sandboxes, one was refused");
            return;
        };
        let limit = Duration::from_millis(limits::REQUEST_HEAD_TIMEOUT_MS);
        let Some(stream) = preamble::read(stream, limit).await else { return };
        let ended = if stream.is_tls() {
            let Some(stream) = self.unwrap_tls(stream, limit).await else { return };
            self.connection(stream, peer).await.map_err(|e| e.to_string())
        } else {
            self.connection(stream, peer).await.map_err(|e| e.to_string())
        };
        if let Err(error) = ended {
            tracing::debug!(error, "a sandbox's connection ended with an error");
        }
    }

    /// The connection within one of TLS; `None` when there is none, or too late.
    async fn unwrap_tls<S>(&self, stream: S, limit: Duration) -> Option<Begun<TlsStream<S>>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let acceptor = TlsAcceptor::from(self.parts.tls.clone()?);
        match tokio::time::timeout(limit, acceptor.accept(stream)).await.ok()? {
            Ok(stream) => preamble::read(stream, limit).await,
            Err(error) => {
                tracing::debug!(%error, "a connection with TLS did not come about");
                None
            }
        }
    }

    fn connection<S>(
        self: Arc<Self>,
        stream: S,
        peer: SocketAddr,
    ) -> impl hyper_util::server::graceful::GracefulConnection<Error: std::fmt::Display> + Send + 'static
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let mut builder = auto::Builder::new(TokioExecutor::new());
        // Without `pipeline_flush`: it keeps an answer back while bytes of another request are there, whole or not.
        builder
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(Duration::from_millis(limits::REQUEST_HEAD_TIMEOUT_MS))
            .max_headers(limits::REQUEST_HEADERS_MAX)
            .max_buf_size(limits::REQUEST_HEAD_BYTES_MAX);
        builder
            .http2()
            .timer(TokioTimer::new())
            .max_header_list_size(limits::REQUEST_HEAD_BYTES_MAX as u32)
            .max_concurrent_streams(256)
            .keep_alive_interval(Some(Duration::from_secs(30)));
        let service = hyper::service::service_fn(move |request| {
            let front = self.clone();
            async move { Ok::<_, std::convert::Infallible>(front.answer(request, peer).await) }
        });
        builder.serve_connection(TokioIo::new(stream), service).into_owned()
    }

    async fn answer(self: Arc<Self>, request: Request<Incoming>, peer: SocketAddr) -> Reply {
        let request_id = id::uuid();
        let (head, body) = request.into_parts();
        let host = head
            .uri
            .authority()
            .map(|authority| authority.as_str().to_owned())
            .or_else(|| head.headers.get("host").and_then(|h| h.to_str().ok()).map(str::to_owned))
            .unwrap_or_default();
        let path = head.uri.path().to_owned();
        let name = host_name(&host);
        let plane = self.parts.planes.iter().find(|plane| plane.claims(&name, &path)).cloned();
        if let Some(plane) = plane {
            return self.data_plane(&*plane, head, body, host, peer, request_id).await;
        }
        let claim = sigv4::claim(&head.headers, head.uri.query().unwrap_or_default());
        // A claim that cannot be read is answered where the other services' are.
        let scope = claim.as_ref().ok().and_then(|claim| claim.as_ref()).map(|claim| claim.scope.service.as_str());
        match self.raw(&head, &name, scope) {
            Some(raw) => {
                let mut request = Request::from_parts(head, body);
                request.extensions_mut().insert(peer);
                serve_raw(&*raw, request).await.map(Either::Right)
            }
            None => self.api(&head, body, claim, &host, &request_id).await,
        }
    }

    fn raw(&self, head: &http::request::Parts, host_name: &str, scope: Option<&str>) -> Option<Arc<dyn RawService>> {
        if self.is_draining.load(Ordering::Relaxed) {
            return None;
        }
        self.parts.raw.iter().find(|raw| raw.claims(head, host_name, scope)).cloned()
    }

    async fn data_plane(
        &self,
        plane: &dyn DataPlane,
        head: http::request::Parts,
        body: Incoming,
        host: String,
        peer: SocketAddr,
        request_id: String,
    ) -> Reply {
        let received = match self.receive(body, &head.headers, plane.body_bytes_max()).await {
            Ok(received) => received,
            Err(BodyError::TooLarge) => return whole(plane.too_large()),
            Err(error) => return whole(error.response()),
        };
        let request = HttpRequest {
            method: head.method,
            host,
            path: head.uri.path().to_owned(),
            query: head.uri.query().unwrap_or_default().to_owned(),
            protocol: if head.version == http::Version::HTTP_2 { "HTTP/2.0" } else { "HTTP/1.1" },
            headers: head.headers,
            body: received.bytes,
            source_ip: peer.ip().to_string(),
            request_id,
            now_ms: self.parts.clock.now_ms(),
        };
        plane.answer(request).await
    }

    async fn api(
        &self,
        head: &http::request::Parts,
        body: Incoming,
        claim: Result<Option<Claim>, ApiError>,
        host: &str,
        request_id: &str,
    ) -> Reply {
        let unclear = Spoken { protocol: guess(&head.headers), form: QueryForm::of(&head.headers), older: None };
        let received = match self.receive(body, &head.headers, limits::REQUEST_BODY_BYTES_MAX).await {
            Ok(received) => received,
            Err(error) => return whole(error.response()),
        };
        let claim = match claim {
            Ok(claim) => claim,
            Err(error) => return whole(protocol::failure(unclear, &error, request_id)),
        };
        let Some(service) = self.service(claim.as_ref(), &head.headers, head.uri.path(), &received.bytes) else {
            return whole(protocol::failure(unclear, &unknown_service(claim.as_ref()), request_id));
        };
        let model = service.model();
        let protocol = protocol_of(&**service, &head.headers);
        let spoken = Spoken { protocol, older: service.older(), ..unclear };
        match self.call(&**service, claim, head, received.bytes, host, request_id).await {
            Ok((operation, mut answer)) => {
                let stream = answer.stream.take().and_then(|stream| stream.take());
                let response = protocol::success(model, spoken, operation, answer, request_id);
                match stream {
                    Some(body) => response.map(|_| Either::Right(body)),
                    None => whole(response),
                }
            }
            Err(error) => {
                // What is not implemented is nobody's failure.
                if !error.is_senders() && error.status != 501 {
                    tracing::error!(service = model.name, request_id, error = %error, "a call failed");
                }
                whole(protocol::failure(spoken, &in_protocol(error, protocol), request_id))
            }
        }
    }

    /// The service of a signature's scope. Of two that are signed for alike, it is the one that knows the path.
    fn signed_for(&self, scope: &str, path: &str) -> Option<&Arc<dyn Service>> {
        let named_for = || self.parts.registry.services().find(|s| s.signing_name() == scope);
        let first = self.parts.registry.service(scope).or_else(named_for)?;
        let is_other = |s: &&Arc<dyn Service>| s.signing_name() == scope && s.model().name != scope;
        let knows = |s: &&Arc<dyn Service>| s.model().protocol == Protocol::RestJson && knows_path(&***s, path);
        match self.parts.registry.services().find(is_other) {
            Some(other) if !knows(&first) && knows(&other) => Some(other),
            _ => Some(first),
        }
    }

    fn service(
        &self,
        claim: Option<&Claim>,
        headers: &HeaderMap,
        path: &str,
        body: &[u8],
    ) -> Option<&Arc<dyn Service>> {
        let target = headers.get("x-amz-target").and_then(|t| t.to_str().ok());
        // `/service/NAME/operation/NAME`.
        let target = target.or_else(|| path.strip_prefix("/service/").filter(|_| is_cbor(headers)));
        let targeted = target.and_then(|target| {
            let prefix = target.split(['.', '/']).next().unwrap_or_default();
            self.parts.registry.services().find(|s| !s.model().target.is_empty() && s.model().target == prefix)
        });
        if let Some(claim) = claim {
            let signed = targeted.filter(|s| s.signing_name() == claim.scope.service);
            return signed.or_else(|| self.signed_for(&claim.scope.service, path));
        }
        // Unsigned: found all the same, so that the refusal comes in the caller's own protocol.
        if target.is_some() {
            return targeted;
        }
        if body.starts_with(b"Action=") || body.windows(8).take(4096).any(|w| w == b"&Action=") {
            let (_, action) = form_urlencoded::parse(body).find(|(name, _)| name == "Action")?;
            let knows = |s: &&Arc<dyn Service>| {
                (s.model().protocol == Protocol::Query || s.older().is_some())
                    && s.model().operations.iter().any(|o| o.name == action)
            };
            return self.parts.registry.services().find(knows);
        }
        let knows = |s: &&Arc<dyn Service>| s.model().protocol == Protocol::RestJson && knows_path(&***s, path);
        self.parts.registry.services().find(knows)
    }

    async fn call(
        &self,
        service: &dyn Service,
        claim: Option<Claim>,
        head: &http::request::Parts,
        body: Bytes,
        host: &str,
        request_id: &str,
    ) -> Result<(&'static Operation, crate::call::Answer), ApiError> {
        if self.is_draining.load(Ordering::Relaxed) {
            return Err(ApiError::new(503, "ServiceUnavailableException", "The service is shutting down."));
        }
        let query = head.uri.query().unwrap_or_default();
        let now_ms = self.parts.clock.now_ms();
        let signed = Signed {
            method: head.method.as_str(),
            path: head.uri.path(),
            query,
            headers: &head.headers,
            host,
            body: &body,
        };
        let (caller, region) = authenticate(&*self.parts.credentials, claim, &signed, now_ms).await?;
        let (operation, input) = read(service, head, query, &body)?;
        let trace = trace_of(&head.headers);
        let context =
            Context { caller, region, request_id: request_id.to_owned(), host: host.to_owned(), now_ms, trace };
        let payload = if operation.raw_payload { body } else { Bytes::new() };
        let call = Call { operation, input, payload, context };
        service.authorize(&*self.parts.authorizer, &call).await?;
        Ok((operation, service.call(call).await?))
    }

    async fn receive(&self, mut body: Incoming, headers: &HeaderMap, max: usize) -> Result<Received, BodyError> {
        let stated = headers.get("content-length").and_then(|v| v.to_str().ok()).and_then(|v| v.parse::<usize>().ok());
        if stated.is_some_and(|length| length > max) {
            return Err(BodyError::TooLarge);
        }
        if body.is_end_stream() {
            return Ok(Received { bytes: Bytes::new(), _memory: None });
        }
        let idle = Duration::from_millis(limits::REQUEST_BODY_IDLE_TIMEOUT_MS);
        let began = tokio::time::Instant::now();
        let mut memory = Memory { held: None, until: began + idle };
        memory.grow(&self.body_memory, stated.unwrap_or(0)).await?;
        let mut first: Option<Bytes> = None;
        let mut rest = BytesMut::new();
        let mut length = 0;
        loop {
            // A pause is allowed once; a trickle is not.
            let earned = Duration::from_millis(length as u64 * 1000 / limits::REQUEST_BODY_BYTES_PER_S_MIN);
            let frame = match tokio::time::timeout_at(began + idle + earned, body.frame()).await {
                Err(_) => return Err(BodyError::Slow),
                Ok(None) => break,
                Ok(Some(frame)) => frame.map_err(|_| BodyError::Broken)?,
            };
            let Ok(data) = frame.into_data() else { continue };
            length += data.len();
            if length > max {
                return Err(BodyError::TooLarge);
            }
            memory.grow(&self.body_memory, length).await?;
            // One piece, the usual case, is passed on as it came.
            match first.take() {
                None if rest.is_empty() => first = Some(data),
                None => rest.extend_from_slice(&data),
                Some(piece) => {
                    rest.reserve(stated.unwrap_or(length).max(length));
                    rest.extend_from_slice(&piece);
                    rest.extend_from_slice(&data);
                }
            }
        }
        Ok(Received { bytes: first.unwrap_or_else(|| rest.freeze()), _memory: memory.held })
    }
}

/// The share of the memory for bodies that one request holds.
struct Memory {
    held: Option<OwnedSemaphorePermit>,
    until: tokio::time::Instant,
}

impl Memory {
    /// Makes the share large enough for a body of `length`; small bodies need none.
    async fn grow(&mut self, all: &Arc<Semaphore>, length: usize) -> Result<(), BodyError> {
        let have = self.held.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let need = if length > SMALL_BODY_BYTES { length.div_ceil(BODY_PERMIT_BYTES) } else { 0 };
        let Ok(more @ 1..) = u32::try_from(need.saturating_sub(have)) else { return Ok(()) };
        let permit = tokio::time::timeout_at(self.until, all.clone().acquire_many_owned(more)).await;
        let permit = permit.map_err(|_| BodyError::Busy)?.map_err(|_| BodyError::Busy)?;
        match &mut self.held {
            Some(held) => held.merge(permit),
            None => self.held = Some(permit),
        }
        Ok(())
    }
}

struct Received {
    bytes: Bytes,
    _memory: Option<OwnedSemaphorePermit>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum BodyError {
    TooLarge,
    Slow,
    Broken,
    Busy,
}

impl BodyError {
    fn response(self) -> Response<Bytes> {
        let (status, message) = match self {
            BodyError::TooLarge => (413, "Request Entity Too Large"),
            BodyError::Slow => (408, "Request Timeout"),
            BodyError::Broken => (400, "Bad Request"),
            BodyError::Busy => (503, "Service Unavailable"),
        };
        let mut response = Response::new(Bytes::from(format!("{{\"message\":\"{message}\"}}")));
        *response.status_mut() = http::StatusCode::from_u16(status).unwrap_or_default();
        response.headers_mut().insert("content-type", http::HeaderValue::from_static("application/json"));
        response
    }
}

/// Whose signature this is, and the region it was made for.
async fn authenticate(
    credentials: &dyn Credentials,
    claim: Option<Claim>,
    signed: &Signed<'_>,
    now_ms: u64,
) -> Result<(Caller, String), ApiError> {
    let unsigned = || ApiError::new(403, "MissingAuthenticationTokenException", "Missing Authentication Token");
    let claim = claim.ok_or_else(unsigned)?;
    let found = credentials.find(&claim.scope.access_key_id, claim.session_token.as_deref()).await?;
    let credential = found.ok_or_else(|| {
        ApiError::new(403, "UnrecognizedClientException", "The security token included in the request is invalid.")
    })?;
    sigv4::verify(&claim, signed, &credential.secret_access_key, now_ms)?;
    Ok((credential.caller, claim.scope.region))
}

/// The caller of a request to a data plane that asks for a signature, made for `service`.
///
/// # Errors
/// As for any call: unsigned, unknown key, wrong or expired signature; and one made for another service.
pub async fn caller_of(
    credentials: &dyn Credentials,
    service: &str,
    request: &HttpRequest,
) -> Result<Caller, ApiError> {
    let claim = sigv4::claim(&request.headers, &request.query)?;
    if claim.as_ref().is_some_and(|claim| claim.scope.service != service) {
        return Err(ApiError::new(403, "InvalidSignatureException", "Credential should be scoped to correct service."));
    }
    let signed = Signed {
        method: request.method.as_str(),
        path: &request.path,
        query: &request.query,
        headers: &request.headers,
        host: &request.host,
        body: &request.body,
    };
    authenticate(credentials, claim, &signed, request.now_ms).await.map(|(caller, _)| caller)
}

/// Whether a REST service has the path, whatever the method.
fn knows_path(service: &dyn Service, path: &str) -> bool {
    let methods = ["GET", "POST", "PUT", "DELETE", "PATCH"];
    methods.iter().any(|method| protocol::match_rest(service.model(), method, path, "").is_some())
}

/// The operation and its members, by the service's protocol.
fn read(
    service: &dyn Service,
    head: &http::request::Parts,
    query: &str,
    body: &Bytes,
) -> Result<(&'static Operation, serde_json::Map<String, serde_json::Value>), ApiError> {
    let model = service.model();
    let named = |name: &str| {
        let built = model.operations.iter().find(|o| o.name == name);
        built.ok_or_else(|| {
            if model.absent.iter().any(|o| o.name == name) {
                ApiError::not_implemented(model.name, name)
            } else {
                unknown_operation(name)
            }
        })
    };
    match protocol_of(service, &head.headers) {
        Protocol::RestJson => {
            let matched = protocol::match_rest(model, head.method.as_str(), head.uri.path(), query)
                .ok_or_else(ApiError::unknown_operation)?;
            if !matched.is_built {
                return Err(ApiError::not_implemented(model.name, matched.operation.name));
            }
            let operation = matched.operation;
            Ok((operation, protocol::rest_input(matched, query, &head.headers, body)?))
        }
        Protocol::Json10 | Protocol::Json11 => {
            let target = head.headers.get("x-amz-target").and_then(|t| t.to_str().ok()).unwrap_or_default();
            let name = target.strip_prefix(model.target).and_then(|rest| rest.strip_prefix('.')).unwrap_or(target);
            Ok((named(name)?, protocol::json_object(body)?))
        }
        Protocol::Cbor => {
            let name = head.uri.path().rsplit("/operation/").next().unwrap_or_default();
            Ok((named(name)?, protocol::cbor_object(body)?))
        }
        Protocol::Query => {
            let form = if body.is_empty() { query.as_bytes() } else { body };
            let (action, members) = query_protocol::input(form)?;
            let operation = named(&action)?;
            let input = match service.older() {
                Some(older) => older.input(operation.name, head.uri.path(), members),
                None => members,
            };
            Ok((operation, input))
        }
    }
}

/// The protocol a request is spoken in: where there are two, the newer one names its operation in a header.
fn protocol_of(service: &dyn Service, headers: &HeaderMap) -> Protocol {
    if is_cbor(headers) && service.model().protocol != Protocol::RestJson {
        return Protocol::Cbor;
    }
    let is_older = service.older().is_some() && !headers.contains_key("x-amz-target");
    if is_older { Protocol::Query } else { service.model().protocol }
}

fn is_cbor(headers: &HeaderMap) -> bool {
    headers.get("smithy-protocol").is_some_and(|name| name == protocol::CBOR_NAME)
}

fn unknown_operation(name: &str) -> ApiError {
    ApiError::new(400, "UnknownOperationException", format!("The action {name} is not valid for this web service."))
}

fn unknown_service(claim: Option<&Claim>) -> ApiError {
    match claim {
        Some(claim) => ApiError::new(501, "NotImplemented", format!("not implemented: {}", claim.scope.service)),
        None => ApiError::new(403, "MissingAuthenticationTokenException", "Missing Authentication Token"),
    }
}

/// The protocol of a caller whose service is not known.
fn guess(headers: &HeaderMap) -> Protocol {
    let kind = headers.get("content-type").and_then(|v| v.to_str().ok()).unwrap_or_default();
    if is_cbor(headers) {
        Protocol::Cbor
    } else if kind.starts_with("application/x-www-form-urlencoded") {
        Protocol::Query
    } else if kind.starts_with("application/x-amz-json") {
        Protocol::Json11
    } else {
        Protocol::RestJson
    }
}

/// The query protocol has names of its own for what goes wrong before a service is reached.
fn in_protocol(mut error: ApiError, protocol: Protocol) -> ApiError {
    if protocol == Protocol::Query {
        let own = match error.code.as_str() {
            "InvalidSignatureException" => "SignatureDoesNotMatch",
            "UnrecognizedClientException" => "InvalidClientTokenId",
            "IncompleteSignatureException" => "IncompleteSignature",
            "MissingAuthenticationTokenException" => "MissingAuthenticationToken",
            "AccessDeniedException" => "AccessDenied",
            "UnknownOperationException" => "InvalidAction",
            "ExpiredTokenException" => "ExpiredToken",
            _ => return error,
        };
        error.code = own.to_owned();
    }
    error
}

/// A refusal may leave a body unread, and with it the connection unusable: the client is told so.
async fn serve_raw(raw: &dyn RawService, request: Request<Incoming>) -> Response<RawBody> {
    let is_http1 = request.version() <= http::Version::HTTP_11;
    let may_be_unread = !request.body().is_end_stream() || request.headers().contains_key(http::header::EXPECT);
    let mut response = raw.serve(request).await;
    if is_http1 && may_be_unread && (response.status().is_client_error() || response.status().is_server_error()) {
        response.headers_mut().insert(http::header::CONNECTION, http::HeaderValue::from_static("close"));
    }
    response
}
