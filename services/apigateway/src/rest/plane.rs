//! Requests to REST APIs, `/STAGE/PATH` on the API's own host: the method, who may call it, what is behind it, and the answers
//! of the gateway itself, which an API may word otherwise
//! (<https://docs.aws.amazon.com/apigateway/latest/developerguide/supported-gateway-response-types.html>).

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use cumulet_base::{id, limits};
use cumulet_engine::catalog::Access;
use cumulet_engine::invocation::{Invocation, InvokeError};
use cumulet_wire::auth::Caller;
use cumulet_wire::data_plane::HttpRequest;
use cumulet_wire::http_event::{self, EventParts, RestParts};
use cumulet_wire::outbound::NoAnswer;
use cumulet_wire::policy::Decision;
use http::header::{self, HeaderValue};
use http::{Response, StatusCode};
use serde_json::{Map, Value, json};

use super::ready::{Admission, Admitted, ReadyMethod, ReadyRest, ReadyStage};
use super::schema;
use super::shapes::{Authorizer, Integration};
use super::usage::Who;
use super::{mapped, mock};
use crate::ApiGateway;
use crate::authorizer::{self, Question, Said, Silent};
use crate::backend::Forward;
use crate::measure::Api;
use crate::plane::{Logged, Mapped, Paths, Trace, Way, message};
use crate::routing::{Match, function_of};

/// An answer of the gateway itself.
struct Refusal {
    /// What an API words it by.
    kind: &'static str,
    status: StatusCode,
    /// As `x-amzn-errortype` says.
    error: &'static str,
    message: String,
}

const fn of(kind: &'static str, status: StatusCode, error: &'static str) -> (&'static str, StatusCode, &'static str) {
    (kind, status, error)
}

const MISSING_TOKEN: (&str, StatusCode, &str) =
    of("MISSING_AUTHENTICATION_TOKEN", StatusCode::FORBIDDEN, "MissingAuthenticationTokenException");
const INVALID_KEY: (&str, StatusCode, &str) = of("INVALID_API_KEY", StatusCode::FORBIDDEN, "ForbiddenException");
const DENIED: (&str, StatusCode, &str) = of("ACCESS_DENIED", StatusCode::FORBIDDEN, "AccessDeniedException");
const UNAUTHORIZED: (&str, StatusCode, &str) = of("UNAUTHORIZED", StatusCode::UNAUTHORIZED, "UnauthorizedException");
const THROTTLED: (&str, StatusCode, &str) = of("THROTTLED", StatusCode::TOO_MANY_REQUESTS, "TooManyRequestsException");
const QUOTA: (&str, StatusCode, &str) = of("QUOTA_EXCEEDED", StatusCode::TOO_MANY_REQUESTS, "LimitExceededException");
const BAD_PARAMETERS: (&str, StatusCode, &str) =
    of("BAD_REQUEST_PARAMETERS", StatusCode::BAD_REQUEST, "BadRequestException");
const BAD_BODY: (&str, StatusCode, &str) = of("BAD_REQUEST_BODY", StatusCode::BAD_REQUEST, "BadRequestException");
const AUTHORIZER_FAILURE: (&str, StatusCode, &str) =
    of("AUTHORIZER_FAILURE", StatusCode::INTERNAL_SERVER_ERROR, "AuthorizerConfigurationException");
const CONFIGURATION: (&str, StatusCode, &str) =
    of("API_CONFIGURATION_ERROR", StatusCode::INTERNAL_SERVER_ERROR, "InternalServerErrorException");
const BAD_ANSWER: (&str, StatusCode, &str) = of("DEFAULT_5XX", StatusCode::BAD_GATEWAY, "InternalServerErrorException");
const LATE: (&str, StatusCode, &str) =
    of("INTEGRATION_TIMEOUT", StatusCode::GATEWAY_TIMEOUT, "InternalServerErrorException");
const UNREACHABLE: (&str, StatusCode, &str) =
    of("INTEGRATION_FAILURE", StatusCode::GATEWAY_TIMEOUT, "InternalServerErrorException");
const TOO_LARGE: (&str, StatusCode, &str) =
    of("REQUEST_TOO_LARGE", StatusCode::PAYLOAD_TOO_LARGE, "RequestTooLargeException");

fn refusal((kind, status, error): (&'static str, StatusCode, &'static str), message: impl Into<String>) -> Refusal {
    Refusal { kind, status, error, message: message.into() }
}

/// What has been found out about who asks.
#[derive(Default)]
struct Known {
    caller: Option<Caller>,
    authorizer: Option<Value>,
    /// The key that the authorizer names.
    api_key: Option<String>,
    admitted: Option<Arc<Admitted>>,
}

/// One request on its way.
struct Asked<'a> {
    api: &'a ReadyRest,
    stage: &'a ReadyStage,
    method: &'a ReadyMethod,
    found: &'a Match,
    request: &'a HttpRequest,
    /// With the stage, and below it.
    path: &'a str,
    /// As events say it.
    sent: &'a str,
    below: &'a str,
}

impl Asked<'_> {
    /// The ARN of the method as it is called.
    fn arn(&self) -> String {
        self.arn_of(&format!("{}/{}{}", self.stage.stage.stage_name, self.request.method, self.below))
    }

    fn arn_of(&self, rest: &str) -> String {
        let api = &self.api.api;
        cumulet_base::arn::Arn::new("execute-api", &api.region, &api.account, format!("{}/{rest}", api.id)).to_string()
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.request.headers.get(name).and_then(|value| value.to_str().ok())
    }

    fn query(&self, name: &str) -> Option<String> {
        let mut all = form_urlencoded::parse(self.request.query.as_bytes());
        all.find(|(known, _)| known == name).map(|(_, value)| value.into_owned())
    }

    fn event(&self, known: &Known) -> Vec<u8> {
        let host_name = self.request.host_name();
        let parts = RestParts {
            event: EventParts {
                request: self.request,
                account: &self.api.api.account,
                api_id: &self.api.api.id,
                domain_name: &host_name,
                domain_prefix: host_name.split('.').next().unwrap_or_default(),
                route_key: "",
                stage: &self.stage.stage.stage_name,
                path_parameters: Some(&self.found.parameters),
                stage_variables: Some(&self.stage.stage.variables),
                raw_path: self.path,
                authorizer: known.authorizer.clone(),
                resource: &self.method.resource_path,
            },
            path: self.sent,
            resource_id: &self.method.resource_id,
            deployment_id: &self.stage.stage.deployment_id,
            api_key: known.admitted.as_ref().map(|one| (one.key.id.as_str(), one.key.value.as_str())),
            caller: known.caller.as_ref(),
            is_binary: self.is_binary(self.header("content-type")),
        };
        http_event::event_rest(&parts)
    }

    /// Whether bodies of the type are passed on in base64.
    fn is_binary(&self, content_type: Option<&str>) -> bool {
        let essence = content_type.and_then(|text| text.split([';', ',']).next()).unwrap_or_default().trim();
        self.api.api.binary_media_types.iter().any(|known| match known.strip_suffix("/*") {
            _ if known == "*/*" => true,
            Some(kind) => essence.split('/').next() == Some(kind),
            None => known.eq_ignore_ascii_case(essence),
        })
    }
}

/// The first part of a path, and the rest.
fn first(path: &str) -> (&str, &str) {
    let rest = path.strip_prefix('/').unwrap_or(path);
    rest.find('/').map_or((rest, "/"), |at| rest.split_at(at))
}

impl ApiGateway {
    /// The same for an API that is not ready yet, or not there at all.
    pub(crate) async fn serve_rest_anew(&self, request: &HttpRequest, way: &Way, started: Instant) -> Response<Bytes> {
        let api_id = &way.api_id;
        match self.rests.get(&self.storage, api_id).await {
            Ok(Some(api)) => self.serve_rest(&api, request, way, started).await,
            Ok(None) => message(StatusCode::NOT_FOUND, "Not Found"),
            Err(error) => {
                tracing::error!(%error, api_id, "loading an API");
                message(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error")
            }
        }
    }

    pub(crate) async fn serve_rest(
        &self,
        api: &ReadyRest,
        request: &HttpRequest,
        way: &Way,
        started: Instant,
    ) -> Response<Bytes> {
        let path = way.path.as_str();
        let (name, below) = match &way.mapped {
            Some(Mapped { stage: Some(stage), below }) => (stage.as_str(), below.as_str()),
            Some(Mapped { stage: None, below }) => first(below),
            None => first(path),
        };
        let is_open = way.mapped.is_some() || !api.api.disable_execute_api_endpoint;
        let Some(stage) = api.stages.get(name).filter(|_| is_open) else {
            return message(StatusCode::FORBIDDEN, "Forbidden");
        };
        // A slash at the end names the same resource.
        let below = below.strip_suffix('/').filter(|shorter| !shorter.is_empty()).unwrap_or(below);
        let mut trace = Trace::default();
        // Events say nothing of the stage, and on domain names the path as it was sent.
        let paths = Paths { own: path, sent: if way.mapped.is_some() { path } else { below }, below };
        let answer = self.answer_rest(api, stage, request, &paths, &mut trace).await;
        let mut response = answer.unwrap_or_else(|refused| worded(stage, &refused, request));
        let headers = response.headers_mut();
        if let Ok(value) = HeaderValue::from_str(&request.request_id) {
            headers.insert("x-amzn-requestid", value.clone());
            headers.insert("x-amz-apigw-id", value);
        }
        let logged = Logged {
            api: Api {
                account: &api.api.account,
                region: &api.api.region,
                id: &api.api.id,
                stage: name,
                rest_name: Some(&api.api.name),
            },
            settings: stage.stage.access_log_settings.as_ref(),
        };
        self.log_access(&logged, request, path, &trace, &response, started).await;
        response
    }

    async fn answer_rest(
        &self,
        api: &ReadyRest,
        stage: &ReadyStage,
        request: &HttpRequest,
        paths: &Paths<'_>,
        trace: &mut Trace,
    ) -> Result<Response<Bytes>, Refusal> {
        let Some(found) = stage.table.find(request.method.as_str(), paths.below) else {
            return Err(refusal(MISSING_TOKEN, "Missing Authentication Token"));
        };
        let method = &stage.methods[found.route];
        trace.route_key.clone_from(&method.resource_path);
        let Paths { own: path, sent, below } = *paths;
        let asked = Asked { api, stage, method, found: &found, request, path, sent, below };
        if request.body.len() > limits::HTTP_API_BODY_BYTES_MAX {
            return Err(refusal(TOO_LARGE, "Request Too Long"));
        }
        if method.bucket.as_ref().is_some_and(|bucket| !bucket.take(api.since.elapsed().as_nanos() as u64)) {
            return Err(refusal(THROTTLED, "Too Many Requests"));
        }
        let mut known = self.authorized(&asked).await?;
        self.admitted(&asked, &mut known).await?;
        validated(&asked)?;
        let Some(integration) = &method.method.method_integration else {
            return Err(refusal(CONFIGURATION, "Internal server error"));
        };
        if integration.r#type == "MOCK" {
            let content_type = asked.header("content-type").unwrap_or("application/json");
            trace.integration_status = Some(200);
            return mock::answer(integration, content_type)
                .ok_or_else(|| refusal(CONFIGURATION, "Internal server error"));
        }
        if integration.r#type == "HTTP_PROXY" {
            return forwarded(&asked, integration, &known, trace).await;
        }
        self.invoked(&asked, &known, trace).await
    }

    async fn authorized(&self, asked: &Asked<'_>) -> Result<Known, Refusal> {
        let method = &asked.method.method;
        match method.authorization_type.as_str() {
            "NONE" => Ok(Known::default()),
            "AWS_IAM" => match self.verifier.verify(asked.request, &asked.arn()).await {
                Some(caller) => Ok(Known { caller: Some(caller), ..Known::default() }),
                None if asked.header("authorization").is_none() && !asked.request.query.contains("X-Amz-Signature") => {
                    Err(refusal(MISSING_TOKEN, "Missing Authentication Token"))
                }
                None => Err(refusal(DENIED, "Forbidden")),
            },
            _ => {
                let id = method.authorizer_id.as_deref().unwrap_or_default();
                match asked.stage.definition.authorizers.get(id) {
                    Some(authorizer) => self.asked_authorizer(asked, authorizer).await,
                    None => Err(refusal(AUTHORIZER_FAILURE, "Internal server error")),
                }
            }
        }
    }

    async fn asked_authorizer(&self, asked: &Asked<'_>, authorizer: &Authorizer) -> Result<Known, Refusal> {
        let sources = authorizer.identity_source.as_deref().unwrap_or_default();
        let mut identity = Vec::new();
        for source in sources.split(',').map(str::trim).filter(|source| !source.is_empty()) {
            match identified(asked, source).filter(|value| !value.is_empty()) {
                Some(value) => identity.push(value),
                None => return Err(refusal(UNAUTHORIZED, "Unauthorized")),
            }
        }
        let now_ms = asked.request.now_ms;
        let ttl_s = authorizer.authorizer_result_ttl_in_seconds.unwrap_or(limits::AUTHORIZER_TTL_S);
        let whose = format!("{}\n{}", asked.stage.stage.stage_name, identity.join("\n"));
        let key = (asked.api.api.id.clone(), authorizer.id.clone(), whose);
        let kept = if ttl_s == 0 { None } else { self.authorizations.get(&key, now_ms) };
        let said = match kept {
            Some(said) => said,
            None => {
                let question = Question {
                    uri: authorizer.authorizer_uri.as_deref().unwrap_or_default(),
                    variables: &asked.stage.stage.variables,
                    account: &asked.api.api.account,
                    source_arn: asked.arn_of(&format!("authorizers/{}", authorizer.id)),
                    event: question(asked, authorizer, identity.first()),
                };
                let said = authorizer::ask(&self.invoker, question, now_ms).await.map_err(|silent| match silent {
                    Silent::Unauthorized => refusal(UNAUTHORIZED, "Unauthorized"),
                    Silent::Failed(why) => {
                        tracing::warn!(why, api = asked.api.api.id, "an authorizer failed");
                        refusal(AUTHORIZER_FAILURE, "")
                    }
                })?;
                let said = Arc::new(said);
                self.authorizations.keep(key, said.clone(), ttl_s, now_ms);
                said
            }
        };
        match said.decide(&asked.arn()) {
            Decision::Allow => Ok(known_of(&said)),
            Decision::ExplicitDeny => {
                Err(refusal(DENIED, "User is not authorized to access this resource with an explicit deny"))
            }
            Decision::ImplicitDeny => Err(refusal(DENIED, "User is not authorized to access this resource")),
        }
    }

    async fn admitted(&self, asked: &Asked<'_>, known: &mut Known) -> Result<(), Refusal> {
        if !asked.method.method.api_key_required {
            return Ok(());
        }
        let forbidden = || refusal(INVALID_KEY, "Forbidden");
        let given = match asked.api.api.api_key_source.as_str() {
            "AUTHORIZER" => known.api_key.as_deref(),
            _ => asked.header("x-api-key"),
        };
        let value = given.ok_or_else(forbidden)?;
        let key = self.rests.key(&self.storage, &asked.api.api, value).await.map_err(|error| {
            tracing::error!(%error, "reading the keys of an account");
            refusal(CONFIGURATION, "Internal server error")
        })?;
        let key = key.ok_or_else(forbidden)?;
        let (api, method) = (&asked.api.api, &asked.method.method.http_method);
        let of = format!("{}/{method}", asked.method.resource_path);
        let plan = match key.admit((&api.id, &asked.stage.stage.stage_name, &of), self.rests.now_ns()) {
            Admission::Passes(plan) => plan,
            Admission::Forbidden => return Err(forbidden()),
            Admission::Throttled => return Err(refusal(THROTTLED, "Too Many Requests")),
        };
        let who = Who {
            account: api.account.clone(),
            region: api.region.clone(),
            plan: plan.id.clone(),
            key: key.key.id.clone(),
        };
        let taken = self.rests.usages.take(&self.storage, &who, plan.quota.as_ref(), asked.request.now_ms).await;
        let taken = taken.map_err(|error| {
            tracing::error!(%error, "counting the use of a key");
            refusal(CONFIGURATION, "Internal server error")
        })?;
        if !taken {
            return Err(refusal(QUOTA, "Limit Exceeded"));
        }
        known.admitted = Some(key);
        Ok(())
    }

    async fn invoked(&self, asked: &Asked<'_>, known: &Known, trace: &mut Trace) -> Result<Response<Bytes>, Refusal> {
        let integration = asked.method.method.method_integration.as_ref();
        let uri = integration.and_then(|integration| integration.uri.as_deref()).unwrap_or_default();
        let Some(target) = function_of(uri, &asked.stage.stage.variables) else {
            trace.error = format!("no function is named by {uri}");
            return Err(refusal(CONFIGURATION, "Internal server error"));
        };
        let resource = &asked.method.resource_path;
        let source = format!("{}/{}{resource}", asked.stage.stage.stage_name, asked.request.method);
        let access = Access::Service {
            principal: "apigateway.amazonaws.com".into(),
            source_arn: asked.arn_of(&source),
            source_account: asked.api.api.account.clone(),
        };
        let sent = asked.header("x-amzn-trace-id").map(str::to_owned);
        let invocation = Invocation {
            request_id: id::uuid(),
            payload: asked.event(known).into(),
            invoked_arn: target.arn(),
            trace: sent.unwrap_or_else(|| id::trace_header(asked.request.now_ms)),
            client_context: None,
            ..Invocation::default()
        };
        trace.integration_request_id.clone_from(&invocation.request_id);
        let (began, invoker) = (Instant::now(), Arc::clone(&self.invoker));
        // On a task of its own, because a function runs to its end even if nobody waits for it any more.
        let running = tokio::spawn(async move { invoker.invoke(&target, &access, invocation).await });
        let timeout = Duration::from_millis(integration.map_or(0, |integration| integration.timeout_in_millis));
        let outcome = tokio::time::timeout(timeout, running).await;
        trace.integration_ms = Some(began.elapsed().as_millis());
        match outcome {
            Err(_elapsed) => {
                trace.error = "the integration timed out".into();
                Err(refusal(LATE, "Endpoint request timed out"))
            }
            Ok(Err(join)) => {
                tracing::error!(%join, "an invocation ended in a panic");
                Err(refusal(CONFIGURATION, "Internal server error"))
            }
            Ok(Ok(Err(error))) => {
                trace.error = error.to_string();
                Err(match error {
                    InvokeError::TooLarge { .. } => refusal(TOO_LARGE, "Request Too Long"),
                    error => {
                        tracing::warn!(%error, "an API's integration failed");
                        refusal(CONFIGURATION, "Internal server error")
                    }
                })
            }
            Ok(Ok(Ok(outcome))) if outcome.function_error.is_some() => {
                trace.integration_status = Some(200);
                trace.error = "the function ended in an error".into();
                Err(refusal(BAD_ANSWER, "Internal server error"))
            }
            Ok(Ok(Ok(outcome))) => replied(asked, &outcome.payload, trace),
        }
    }
}

/// What the back end answers.
async fn forwarded(
    asked: &Asked<'_>,
    integration: &Integration,
    known: &Known,
    trace: &mut Trace,
) -> Result<Response<Bytes>, Refusal> {
    let of_authorizer = |name: &str| match known.authorizer.as_ref()?.get(name)? {
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    };
    let mapped = mapped::map(&integration.request_parameters, |from| match from {
        "context.requestId" => Some(asked.request.request_id.clone()),
        "context.stage" => Some(asked.stage.stage.stage_name.clone()),
        "context.identity.sourceIp" => Some(asked.request.source_ip.clone()),
        _ => match from.strip_prefix("context.authorizer.") {
            Some(name) => of_authorizer(name),
            None => identified(asked, from),
        },
    });
    let forward = Forward {
        request: asked.request,
        method: integration.http_method.as_deref().unwrap_or("ANY"),
        uri: integration.uri.as_deref().unwrap_or_default(),
        path: mapped.path,
        stage_variables: &asked.stage.stage.variables,
        headers: mapped.headers,
        query: mapped.query,
        timeout_ms: integration.timeout_in_millis,
    };
    forward.send(trace).await.map_err(|error| match error {
        NoAnswer::Late(..) => refusal(LATE, "Endpoint request timed out"),
        _ => refusal(UNREACHABLE, "Network error communicating with endpoint"),
    })
}

fn known_of(said: &Said) -> Known {
    let mut authorizer: Map<String, Value> = Map::new();
    for (name, value) in said.context() {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        authorizer.insert(name.clone(), text.into());
    }
    let mut api_key = None;
    if let Said::Policy { principal, api_key: key, .. } = said {
        authorizer.insert("principalId".into(), principal.as_str().into());
        api_key.clone_from(key);
    }
    Known { authorizer: Some(authorizer.into()), api_key, ..Known::default() }
}

/// What an identity source names.
fn identified(asked: &Asked<'_>, source: &str) -> Option<String> {
    let (kind, name) = source.strip_prefix("method.request.").map_or_else(
        || source.rsplit_once('.').unwrap_or(("", source)),
        |rest| rest.split_once('.').unwrap_or((rest, "")),
    );
    match kind {
        "header" => asked.header(name).map(str::to_owned),
        "querystring" => asked.query(name),
        "path" => asked.found.parameters.get(name).cloned(),
        "stageVariables" => asked.stage.stage.variables.get(name).cloned(),
        "context" if name == "httpMethod" => Some(asked.request.method.to_string()),
        "context" if name == "path" => Some(asked.path.to_owned()),
        _ => None,
    }
}

/// What an authorizer is asked.
fn question(asked: &Asked<'_>, authorizer: &Authorizer, token: Option<&String>) -> Value {
    if authorizer.r#type == "TOKEN" {
        return json!({ "type": "TOKEN", "methodArn": asked.arn(), "authorizationToken": token });
    }
    let mut event: Value = serde_json::from_slice(&asked.event(&Known::default())).unwrap_or_default();
    if let Some(event) = event.as_object_mut() {
        event.remove("body");
        event.remove("isBase64Encoded");
    }
    event["type"] = "REQUEST".into();
    event["methodArn"] = asked.arn().into();
    event
}

/// Parameters that have to be there, and a body that has to be as the model of its type says.
fn validated(asked: &Asked<'_>) -> Result<(), Refusal> {
    let (method, definition) = (&asked.method.method, &asked.stage.definition);
    let Some(validator) = method.request_validator_id.as_ref().and_then(|id| definition.validators.get(id)) else {
        return Ok(());
    };
    let is_missing = |source: &String| identified(asked, source).is_none_or(|value| value.is_empty());
    let missing: Vec<&str> = method
        .request_parameters
        .iter()
        .filter(|(source, is_required)| **is_required && is_missing(source))
        .filter_map(|(source, _)| source.rsplit('.').next())
        .collect();
    if validator.validate_request_parameters && !missing.is_empty() {
        return Err(refusal(BAD_PARAMETERS, format!("Missing required request parameters: [{}]", missing.join(", "))));
    }
    let content_type = asked.header("content-type").unwrap_or("application/json");
    let content_type = content_type.split(';').next().unwrap_or_default().trim();
    let model = method.request_models.iter().find(|(known, _)| known.eq_ignore_ascii_case(content_type));
    match model.filter(|_| validator.validate_request_body) {
        Some((_, model)) if !schema::admits(model, &asked.request.body, &definition.models) => {
            Err(refusal(BAD_BODY, "Invalid request body"))
        }
        _ => Ok(()),
    }
}

fn replied(asked: &Asked<'_>, payload: &[u8], trace: &mut Trace) -> Result<Response<Bytes>, Refusal> {
    // A body in base64 is only taken for bytes where the client asks for a type that is binary here.
    let as_text = |payload: &[u8]| -> Option<Vec<u8>> {
        let mut answer: Value = serde_json::from_slice(payload).ok()?;
        let is_text = answer["isBase64Encoded"] == true && !asked.is_binary(asked.header("accept"));
        is_text.then(|| {
            answer["isBase64Encoded"] = false.into();
            answer.to_string().into_bytes()
        })
    };
    let text = if asked.api.api.binary_media_types.iter().any(|t| t == "*/*") { None } else { as_text(payload) };
    match http_event::reply_v1(text.as_deref().unwrap_or(payload)) {
        Ok(mut response) => {
            trace.integration_status = Some(response.status().as_u16());
            let json = HeaderValue::from_static("application/json");
            response.headers_mut().entry(header::CONTENT_TYPE).or_insert(json);
            Ok(response)
        }
        Err(bad) => {
            trace.error = bad.to_string();
            Err(refusal(BAD_ANSWER, "Internal server error"))
        }
    }
}

/// The gateway's own answer, as the API words it.
fn worded(stage: &ReadyStage, refused: &Refusal, request: &HttpRequest) -> Response<Bytes> {
    let default = if refused.status.is_client_error() { "DEFAULT_4XX" } else { "DEFAULT_5XX" };
    let responses = &stage.definition.responses;
    let own = responses.get(refused.kind).or_else(|| responses.get(default));
    let text = Value::from(refused.message.as_str());
    let shown = if refused.message.is_empty() { Value::Null } else { text };
    let template = own.and_then(|own| own.response_templates.get("application/json"));
    let body = match template {
        Some(template) => template
            .replace("$context.error.messageString", &shown.to_string())
            .replace("$context.error.message", &refused.message)
            .replace("$context.error.responseType", refused.kind)
            .replace("$context.requestId", &request.request_id),
        None => json!({ "message": shown }).to_string(),
    };
    let mut response = Response::new(Bytes::from(body));
    let status = own.and_then(|own| own.status_code.as_ref()?.parse::<u16>().ok());
    *response.status_mut() = status.and_then(|code| StatusCode::from_u16(code).ok()).unwrap_or(refused.status);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert("x-amzn-errortype", HeaderValue::from_static(refused.error));
    if let Some(own) = own {
        mock::set_headers(headers, &own.response_parameters, "gatewayresponse.header.");
    }
    response
}
