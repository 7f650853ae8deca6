//! Requests to HTTP APIs. An API is reached as `ID.execute-api.ANYTHING` by its host, or below `/_cumulet/api/ID` on any host,
//! where the rest of the path is what it would have been on the API's own host. In either way the first segment
//! names the stage if the API has a stage of that name; otherwise the stage is `$default`. On a domain name of somebody's own
//! the path leads to the API, and the mapping names the stage.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use cumulet_base::{clock, id, limits};
use cumulet_engine::catalog::Access;
use cumulet_engine::invocation::{Invocation, InvokeError, Outcome};
use cumulet_engine::output::LogEvent;
use cumulet_wire::data_plane::{DataPlane, HttpRequest};
use cumulet_wire::http_event::{self, EventParts};
use http::header::{self, HeaderValue};
use http::{Response, StatusCode};

use crate::backend::Forward;
use crate::guard::Known;
use crate::measure::Api;
use crate::ready::{self, ReadyApi, ReadyRoute, ReadyStage};
use crate::routing::{Match, RouteKey, function_of};
use crate::shapes::{AccessLogSettings, Integration};
use crate::{ApiGateway, access_log, cors};

const PATH_PREFIX: &str = "/_cumulet/api/";

/// A message as API Gateway words it, `{"message":"Not Found"}`.
pub(crate) fn message(status: StatusCode, text: &str) -> Response<Bytes> {
    let body = serde_json::json!({ "message": text }).to_string();
    let mut response = Response::new(Bytes::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

fn not_found() -> Response<Bytes> {
    message(StatusCode::NOT_FOUND, "Not Found")
}

fn internal() -> Response<Bytes> {
    message(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error")
}

fn unavailable() -> Response<Bytes> {
    message(StatusCode::SERVICE_UNAVAILABLE, "Service Unavailable")
}

/// The id of the API a host names.
fn api_of_host(host_name: &str) -> Option<&str> {
    let (api_id, rest) = host_name.split_once('.')?;
    let is_api = rest == "execute-api" || rest.starts_with("execute-api.");
    (is_api && !api_id.is_empty()).then_some(api_id)
}

/// How a request comes to an API.
pub(crate) struct Way {
    pub api_id: String,
    /// On the API's own host; on a domain name the path as it was sent.
    pub path: String,
    pub mapped: Option<Mapped>,
}

/// What the mapping of a domain name says.
pub(crate) struct Mapped {
    pub stage: Option<String>,
    /// The path without the mapping's key.
    pub below: String,
}

/// The id of the API and the path on its own host.
fn api_of(host_name: &str, path: &str) -> Option<(String, String)> {
    if let Some(api_id) = api_of_host(host_name) {
        return Some((api_id.to_owned(), path.to_owned()));
    }
    let rest = path.strip_prefix(PATH_PREFIX)?;
    let (api_id, path) = match rest.find('/') {
        Some(at) => rest.split_at(at),
        None => (rest, "/"),
    };
    Some((api_id.to_owned(), path.to_owned()))
}

/// The stage, and the path below it.
fn stage_of<'a>(api: &'a ReadyApi, path: &'a str) -> Option<(&'a ReadyStage, &'a str)> {
    let rest = path.strip_prefix('/').unwrap_or(path);
    let (first, below) = match rest.find('/') {
        Some(at) => rest.split_at(at),
        None => (rest, "/"),
    };
    match api.stages.get(first) {
        Some(stage) => Some((stage, below)),
        None => api.stages.get("$default").map(|stage| (stage, path)),
    }
}

/// What became of an integration, for the access log.
#[derive(Default)]
pub(crate) struct Trace {
    pub route_key: String,
    pub integration_ms: Option<u128>,
    pub integration_status: Option<u16>,
    pub integration_request_id: String,
    pub error: String,
}

/// Whose access log it is, if there is one.
pub(crate) struct Logged<'a> {
    pub api: Api<'a>,
    pub settings: Option<&'a AccessLogSettings>,
}

#[async_trait]
impl DataPlane for ApiGateway {
    fn claims(&self, host_name: &str, path: &str) -> bool {
        api_of_host(host_name).is_some() || path.starts_with(PATH_PREFIX) || self.domains.find(host_name).is_some()
    }

    fn body_bytes_max(&self) -> usize {
        limits::HTTP_API_BODY_BYTES_MAX
    }

    fn too_large(&self) -> Response<Bytes> {
        message(StatusCode::PAYLOAD_TOO_LARGE, "Request Entity Too Large")
    }

    async fn serve(&self, request: HttpRequest) -> Response<Bytes> {
        let started = Instant::now();
        let host_name = request.host_name();
        let way = match self.way(&host_name, &request.path) {
            Ok(way) => way,
            Err(answer) => return *answer,
        };
        let api_id = &way.api_id;
        if let Some(api) = self.rests.known(api_id) {
            return self.serve_rest(&api, &request, &way, started).await;
        }
        let api = match self.ready.get(api_id, ready::make(&self.storage, api_id)).await {
            Ok(Some(api)) => api,
            Ok(None) => return self.serve_rest_anew(&request, &way, started).await,
            Err(error) => {
                tracing::error!(%error, api_id, "loading an API");
                return internal();
            }
        };
        let is_default_endpoint = way.mapped.is_none() && api_of_host(&host_name).is_some();
        if api.api.disable_execute_api_endpoint && is_default_endpoint {
            return not_found();
        }
        let found = match &way.mapped {
            None => stage_of(&api, &way.path),
            Some(mapped) => {
                let stage = mapped.stage.as_ref().and_then(|name| api.stages.get(name));
                stage.map(|stage| (stage, mapped.below.as_str()))
            }
        };
        let Some((stage, below)) = found else {
            return not_found();
        };
        // The newer events do not have the mapping's key.
        let path = match stage.stage.stage_name.as_str() {
            _ if way.mapped.is_none() => way.path.clone(),
            "$default" => below.to_owned(),
            name => format!("/{name}{below}"),
        };
        let paths = Paths { own: &path, sent: &way.path, below };
        let mut trace = Trace::default();
        let mut response = self.answer(&api, stage, &request, &paths, &mut trace).await;
        if let Ok(value) = HeaderValue::from_str(&request.request_id) {
            response.headers_mut().insert("apigw-requestid", value);
        }
        let logged = Logged {
            api: Api {
                account: &api.api.account,
                region: &api.api.region,
                id: &api.api.api_id,
                stage: &stage.stage.stage_name,
                rest_name: None,
            },
            settings: stage.stage.access_log_settings.as_ref(),
        };
        self.log_access(&logged, &request, &path, &trace, &response, started).await;
        response
    }
}

/// What the path of a request is called in different places.
#[derive(Clone, Copy)]
pub(crate) struct Paths<'a> {
    /// With the stage, as on the API's own host.
    pub own: &'a str,
    /// As it was sent; the same as `own` but on domain names.
    pub sent: &'a str,
    /// Below the stage.
    pub below: &'a str,
}

impl ApiGateway {
    fn way(&self, host_name: &str, path: &str) -> Result<Way, Box<Response<Bytes>>> {
        if let Some(domain) = self.domains.find(host_name) {
            let Some(route) = domain.route(path) else {
                return Err(Box::new(message(StatusCode::FORBIDDEN, "Forbidden")));
            };
            return Ok(Way {
                api_id: route.mapping.api_id.clone(),
                path: path.to_owned(),
                mapped: Some(Mapped { stage: route.mapping.stage.clone(), below: route.below.to_owned() }),
            });
        }
        let (api_id, path) = api_of(host_name, path).ok_or_else(|| Box::new(not_found()))?;
        Ok(Way { api_id, path, mapped: None })
    }

    async fn answer(
        &self,
        api: &ReadyApi,
        stage: &ReadyStage,
        request: &HttpRequest,
        paths: &Paths<'_>,
        trace: &mut Trace,
    ) -> Response<Bytes> {
        let cors = api.api.cors_configuration.as_ref();
        if let Some(answer) = cors.and_then(|c| cors::preflight(c, &request.method, &request.headers)) {
            return answer;
        }
        let mut response = match stage.table.find(request.method.as_str(), paths.below) {
            None => not_found(),
            Some(found) => {
                let route = &stage.routes[found.route];
                trace.route_key.clone_from(&route.route.route_key);
                let now_ns = api.since.elapsed().as_nanos() as u64;
                if route.bucket.as_ref().is_some_and(|b| !b.take(now_ns)) {
                    message(StatusCode::TOO_MANY_REQUESTS, "Too Many Requests")
                } else {
                    self.run(api, stage, route, &found, request, paths, trace).await
                }
            }
        };
        if let Some(cors) = cors {
            cors::decorate(cors, &request.headers, response.headers_mut());
        }
        response
    }

    #[allow(clippy::too_many_arguments)]
    async fn run(
        &self,
        api: &ReadyApi,
        stage: &ReadyStage,
        route: &ReadyRoute,
        found: &Match,
        request: &HttpRequest,
        paths: &Paths<'_>,
        trace: &mut Trace,
    ) -> Response<Bytes> {
        let variables = &stage.stage.stage_variables;
        let Some(integration) = &route.integration else {
            trace.error = "the route has no integration".into();
            return internal();
        };
        let uri = integration.integration_uri.as_deref().unwrap_or_default();
        let target = function_of(uri, variables);
        let is_backend = integration.integration_type == "HTTP_PROXY";
        if target.is_none() && !is_backend {
            trace.error = format!("no function is named by {uri}");
            return internal();
        }
        let is_v1 = integration.payload_format_version == "1.0";
        let asked = Asked { api, stage, route, found, request, path: paths.own, sent: paths.sent };
        let known = match self.let_in(&asked).await {
            Ok(known) => known,
            Err((status, text)) => {
                trace.error = text.to_owned();
                return message(status, text);
            }
        };
        let Some(target) = target.filter(|_| !is_backend) else {
            return forwarded(&asked, integration, trace).await;
        };
        let payload = event(&asked, known, is_v1);
        let access = Access::Service {
            principal: "apigateway.amazonaws.com".into(),
            source_arn: source_arn(api, stage, route, request),
            source_account: api.api.account.clone(),
        };
        let invocation = Invocation {
            request_id: id::uuid(),
            payload: payload.into(),
            invoked_arn: target.arn(),
            trace: request
                .headers
                .get("x-amzn-trace-id")
                .and_then(|v| v.to_str().ok())
                .map_or_else(|| id::trace_header(request.now_ms), str::to_owned),
            client_context: None,
            ..Invocation::default()
        };
        trace.integration_request_id.clone_from(&invocation.request_id);
        let started = Instant::now();
        let invoker = Arc::clone(&self.invoker);
        // On a task of its own, because a function runs to its end even if nobody waits for it any more.
        let running = tokio::spawn(async move { invoker.invoke(&target, &access, invocation).await });
        let timeout = Duration::from_millis(integration.timeout_in_millis);
        let outcome = tokio::time::timeout(timeout, running).await;
        trace.integration_ms = Some(started.elapsed().as_millis());
        match outcome {
            Err(_elapsed) => {
                trace.error = "the integration timed out".into();
                unavailable()
            }
            Ok(Err(join)) => {
                tracing::error!(%join, "an invocation ended in a panic");
                internal()
            }
            Ok(Ok(Err(error))) => refused(error, trace),
            Ok(Ok(Ok(outcome))) => replied(&outcome, is_v1, trace),
        }
    }

    pub(crate) async fn log_access(
        &self,
        logged: &Logged<'_>,
        request: &HttpRequest,
        path: &str,
        trace: &Trace,
        response: &Response<Bytes>,
        started: Instant,
    ) {
        if self.metrics.is_some() {
            let (took_ms, integration_ms) =
                (started.elapsed().as_millis() as u64, trace.integration_ms.map(|ms| ms as u64));
            self.requests.count(logged.api, response.status().as_u16(), took_ms, integration_ms, request.now_ms);
        }
        let Some(settings) = logged.settings else {
            return;
        };
        let (Some(arn), Some(format)) = (&settings.destination_arn, &settings.format) else {
            return;
        };
        let Some((account, region, group)) = access_log::group(arn) else {
            return;
        };
        let header = |name: &str| {
            let value = request.headers.get(name);
            value.map_or(String::new(), |v| String::from_utf8_lossy(v.as_bytes()).into_owned())
        };
        let number = |n: Option<u128>| n.map_or(String::new(), |n| n.to_string());
        let domain = request.host_name();
        let prefix = domain.split('.').next().unwrap_or_default().to_owned();
        let status = number(trace.integration_status.map(u128::from));
        let integration_ms = number(trace.integration_ms);
        let error = match response.status().is_server_error() || response.status() == 404 {
            true if trace.integration_status.is_none() => response.status().canonical_reason().unwrap_or_default(),
            _ => "",
        };
        let variables: access_log::Variables = vec![
            ("requestId", request.request_id.clone()),
            ("extendedRequestId", request.request_id.clone()),
            ("accountId", logged.api.account.to_owned()),
            ("apiId", logged.api.id.to_owned()),
            ("stage", logged.api.stage.to_owned()),
            ("domainName", domain),
            ("domainPrefix", prefix),
            ("httpMethod", request.method.as_str().to_owned()),
            ("path", path.to_owned()),
            ("protocol", request.protocol.to_owned()),
            ("routeKey", trace.route_key.clone()),
            ("resourcePath", trace.route_key.clone()),
            ("status", response.status().as_u16().to_string()),
            ("responseLength", response.body().len().to_string()),
            ("responseLatency", started.elapsed().as_millis().to_string()),
            ("integrationLatency", integration_ms.clone()),
            ("integration.latency", integration_ms),
            ("integrationStatus", status.clone()),
            ("integration.integrationStatus", status.clone()),
            ("integration.status", status),
            ("integration.requestId", trace.integration_request_id.clone()),
            ("integration.error", trace.error.clone()),
            ("integrationErrorMessage", trace.error.clone()),
            ("identity.sourceIp", request.source_ip.clone()),
            ("identity.userAgent", header("user-agent")),
            ("requestTime", clock::common_log_time(request.now_ms)),
            ("requestTimeEpoch", request.now_ms.to_string()),
            ("error.message", error.to_owned()),
            ("error.messageString", format!("\"{error}\"")),
        ];
        let event = LogEvent { timestamp_ms: request.now_ms, message: access_log::line(format, &variables) };
        let stream = format!("{}/{}", clock::day(request.now_ms), logged.api.stage);
        self.logs.append(&account, &region, &group, &stream, vec![event]).await;
    }
}

/// One request on its way.
pub(crate) struct Asked<'a> {
    pub api: &'a ReadyApi,
    pub stage: &'a ReadyStage,
    pub route: &'a ReadyRoute,
    pub found: &'a Match,
    pub request: &'a HttpRequest,
    /// With the stage.
    pub path: &'a str,
    /// As it was sent.
    pub sent: &'a str,
}

/// What the back end answers.
async fn forwarded(asked: &Asked<'_>, integration: &Integration, trace: &mut Trace) -> Response<Bytes> {
    let request = asked.request;
    let forwarded = format!("for={};host={};proto=https", request.source_ip, request.host);
    let headers = vec![("forwarded".to_owned(), forwarded), ("via".to_owned(), "HTTP/1.1 AmazonAPIGateway".to_owned())];
    let forward = Forward {
        request,
        method: integration.integration_method.as_deref().unwrap_or("ANY"),
        uri: integration.integration_uri.as_deref().unwrap_or_default(),
        path: asked.found.parameters.clone(),
        stage_variables: &asked.stage.stage.stage_variables,
        headers,
        query: Vec::new(),
        timeout_ms: integration.timeout_in_millis,
    };
    forward.send(trace).await.unwrap_or_else(|_| unavailable())
}

/// The event of a function; `known`: what is known of who asks, by the format.
pub(crate) fn event(asked: &Asked<'_>, known: Known, is_v1: bool) -> Vec<u8> {
    let Asked { api, stage, route, found, request, path, sent } = *asked;
    let host_name = request.host_name();
    let parts = EventParts {
        request,
        account: &api.api.account,
        api_id: &api.api.api_id,
        domain_name: &host_name,
        domain_prefix: host_name.split('.').next().unwrap_or_default(),
        route_key: &route.route.route_key,
        stage: &stage.stage.stage_name,
        path_parameters: Some(&found.parameters),
        stage_variables: Some(&stage.stage.stage_variables),
        raw_path: if is_v1 { sent } else { path },
        authorizer: known.shown(is_v1),
        resource: match &route.key {
            RouteKey::Default => "$default",
            RouteKey::Path { path, .. } => path,
        },
    };
    match is_v1 {
        true => http_event::event_v1(&parts),
        false => http_event::event_v2(&parts),
    }
}

/// The ARN that a function's resource policy is checked against.
fn source_arn(api: &ReadyApi, stage: &ReadyStage, route: &ReadyRoute, request: &HttpRequest) -> String {
    let stage = &stage.stage.stage_name;
    let tail = match &route.key {
        RouteKey::Default => "$default".to_owned(),
        RouteKey::Path { path, .. } => format!("{}{path}", request.method),
    };
    let resource = format!("{}/{stage}/{tail}", api.api.api_id);
    cumulet_base::arn::Arn::new("execute-api", &api.api.region, &api.api.account, resource).to_string()
}

/// The answer when the function did not run. What a policy forbids is the API owner's mistake, not the client's: 500, as on AWS.
fn refused(error: InvokeError, trace: &mut Trace) -> Response<Bytes> {
    trace.error = error.to_string();
    match error {
        InvokeError::TooLarge { .. } => message(StatusCode::PAYLOAD_TOO_LARGE, "Request Entity Too Large"),
        InvokeError::Throttled { .. } | InvokeError::Draining | InvokeError::NotReady { .. } => unavailable(),
        InvokeError::NotFound { .. }
        | InvokeError::AccessDenied { .. }
        | InvokeError::Tenant { .. }
        | InvokeError::InvalidRuntime { .. }
        | InvokeError::InvalidCode { .. }
        | InvokeError::Internal { .. } => {
            tracing::warn!(%error, "an API's integration failed");
            internal()
        }
    }
}

fn replied(outcome: &Outcome, is_v1: bool, trace: &mut Trace) -> Response<Bytes> {
    if outcome.function_error.is_some() {
        trace.integration_status = Some(200);
        trace.error = "the function ended in an error".into();
        return internal();
    }
    let reply = match is_v1 {
        true => http_event::reply_v1(&outcome.payload),
        false => http_event::reply_v2(&outcome.payload),
    };
    match reply {
        Ok(mut response) => {
            trace.integration_status = Some(response.status().as_u16());
            response
                .headers_mut()
                .entry(header::CONTENT_TYPE)
                .or_insert(HeaderValue::from_static("text/plain;charset=UTF-8"));
            response
        }
        Err(bad) => {
            trace.error = bad.to_string();
            internal()
        }
    }
}
