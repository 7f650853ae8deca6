//! Function URLs: requests to `<id>.lambda-url.<region>.…`, or beneath `/_cumulet/url/<id>/` for clients that cannot
//! resolve such names, become events of format 2.0
//! (<https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html>). In the mode `RESPONSE_STREAM`
//! the answer goes out as the function writes it. Signatures are checked by whom the port [`UrlVerifier`] leads to.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use cumulet_base::{id, limits};
use cumulet_engine::catalog::{Access, Invoker, Target};
use cumulet_engine::invocation::{Invocation, InvokeError};
use cumulet_wire::auth::Caller;
use cumulet_wire::data_plane::{DataPlane, HttpRequest, PlaneBody};
use cumulet_wire::http_event::{EventParts, event_v2, reply_v2};
use http::header::{self, HeaderName, HeaderValue};
use http::{HeaderMap, Method, Response, StatusCode};
use http_body_util::{BodyExt, Either, Full};
use serde_json::json;

use crate::functions::Functions;
use crate::model::{Cors, Row};
use crate::policy::{self, Question};
use crate::storage::Of;
use crate::streaming;

const PATH: &str = "/_cumulet/url/";
const LABEL: &str = ".lambda-url.";
const ACTION: &str = "lambda:InvokeFunctionUrl";

/// Who checks the signature of a request to a URL of `AuthType` `AWS_IAM`.
#[async_trait]
pub trait UrlVerifier: Send + Sync + 'static {
    /// The caller that signed for the service `lambda`, with a good signature, and may do
    /// `lambda:InvokeFunctionUrl` on the function by the policies of its identity or is of another account;
    /// `None` otherwise.
    async fn verify(&self, request: &HttpRequest, function_arn: &str) -> Option<Caller>;
}

/// The plane of function URLs.
pub struct UrlPlane {
    functions: Arc<Functions>,
    invoker: Arc<dyn Invoker>,
    verifier: Arc<dyn UrlVerifier>,
}

/// The URL's id and the path that remains for the function.
pub fn split<'a>(host_name: &'a str, path: &'a str) -> Option<(&'a str, &'a str)> {
    if let Some((id, _)) = host_name.split_once(LABEL) {
        return Some((id, path));
    }
    let rest = path.strip_prefix(PATH)?;
    match rest.find('/') {
        Some(at) => Some((&rest[..at], &rest[at..])),
        None => Some((rest, "/")),
    }
}

fn message(status: StatusCode, text: &str) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(json!({"Message": text}).to_string()));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

fn forbidden() -> Response<Bytes> {
    message(StatusCode::FORBIDDEN, "Forbidden")
}

fn failure(error: &InvokeError) -> Response<Bytes> {
    match error {
        InvokeError::NotFound { .. } => message(StatusCode::NOT_FOUND, "Not Found"),
        InvokeError::AccessDenied { .. } => forbidden(),
        InvokeError::Tenant { message: text } => message(StatusCode::BAD_REQUEST, text),
        InvokeError::Throttled { .. } => message(StatusCode::TOO_MANY_REQUESTS, "Rate Exceeded."),
        InvokeError::TooLarge { .. } => message(StatusCode::PAYLOAD_TOO_LARGE, "Request Entity Too Large"),
        InvokeError::Draining | InvokeError::NotReady { .. } => {
            message(StatusCode::SERVICE_UNAVAILABLE, "Service Unavailable")
        }
        InvokeError::InvalidRuntime { .. } | InvokeError::InvalidCode { .. } | InvokeError::Internal { .. } => {
            tracing::warn!(%error, "a function URL could not run its function");
            message(StatusCode::BAD_GATEWAY, "Internal Server Error")
        }
    }
}

fn no_answer(function: &str, reason: &str) -> Response<Bytes> {
    tracing::debug!(%reason, function, "no HTTP answer");
    message(StatusCode::BAD_GATEWAY, "Internal Server Error")
}

fn whole(response: Response<Bytes>) -> Response<PlaneBody> {
    response.map(|body| Either::Left(Full::new(body)))
}

/// A request that may be.
struct Asked {
    target: Target,
    invocation: Invocation,
    cors: Option<Cors>,
    is_streaming: bool,
}

impl UrlPlane {
    pub fn new(functions: Arc<Functions>, invoker: Arc<dyn Invoker>, verifier: Arc<dyn UrlVerifier>) -> UrlPlane {
        UrlPlane { functions, invoker, verifier }
    }

    async fn respond(&self, request: &HttpRequest) -> Response<PlaneBody> {
        let asked = match self.admit(request).await {
            Ok(asked) => asked,
            Err(response) => return whole(response),
        };
        let origin = request.headers.get(header::ORIGIN).cloned();
        let mut response = if asked.is_streaming {
            match self.invoker.invoke_streaming(&asked.target, &Access::Authorised, asked.invocation).await {
                Err(error) => whole(failure(&error)),
                Ok(streaming) => match streaming::response(streaming).await {
                    Ok(response) => response.map(Either::Right),
                    Err(reason) => whole(no_answer(&asked.target.name, &reason)),
                },
            }
        } else {
            let outcome = self.invoker.invoke(&asked.target, &Access::Authorised, asked.invocation).await;
            whole(match outcome {
                Err(error) => failure(&error),
                Ok(outcome) if outcome.function_error.is_some() => {
                    message(StatusCode::BAD_GATEWAY, "Internal Server Error")
                }
                Ok(outcome) => {
                    let reply = reply_v2(&outcome.payload);
                    reply.unwrap_or_else(|reason| no_answer(&asked.target.name, &reason.to_string()))
                }
            })
        };
        if !response.headers().contains_key(header::CONTENT_TYPE) {
            response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        if let (Some(cors), Some(origin)) = (&asked.cors, &origin) {
            add_cors(response.headers_mut(), cors, origin, false);
        }
        response
    }

    /// What the request asks of which function, or the answer to what may not be.
    async fn admit(&self, request: &HttpRequest) -> Result<Asked, Response<Bytes>> {
        let host_name = request.host_name();
        let (url_id, path) = split(&host_name, &request.path).ok_or_else(forbidden)?;
        let found = match self.functions.url_owner(url_id).await {
            Ok(Some(owner)) => {
                let of = Of { account: &owner.account, region: &owner.region, name: &owner.name };
                self.functions.find_at(of, owner.qualifier.as_deref()).await
            }
            Ok(None) => Ok(None),
            Err(error) => Err(error),
        };
        let known = match found {
            Ok(Some(known)) => known,
            // As on AWS, a URL that is not there looks like one that may not be used.
            Ok(None) => return Err(forbidden()),
            Err(error) => {
                tracing::error!(%error, "looking for a function URL");
                return Err(message(StatusCode::BAD_GATEWAY, "Internal Server Error"));
            }
        };
        let of = Of::row(&known.row);
        let (url, policy) = (known.attached().url.as_ref(), &known.attached().policy);
        let url = url.filter(|url| url.id == url_id).ok_or_else(forbidden)?;
        let origin = request.headers.get(header::ORIGIN).cloned();
        let is_preflight =
            request.method == Method::OPTIONS && request.headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
        if let (Some(cors), Some(origin), true) = (&url.cors, &origin, is_preflight) {
            let mut response = Response::new(Bytes::new());
            add_cors(response.headers_mut(), cors, origin, true);
            return Err(response);
        }
        let authorizer = if url.auth_type == "NONE" {
            if !policy::allows(policy, ACTION, &Question::public_url()) {
                return Err(forbidden());
            }
            None
        } else {
            let Some(caller) = self.verifier.verify(request, &known.row.arn()).await else {
                return Err(forbidden());
            };
            let question = Question::signed_url(&caller.account, &caller.arn);
            if caller.account != of.account && !policy::allows(policy, ACTION, &question) {
                return Err(forbidden());
            }
            Some(json!({"iam": {
                "accountId": caller.account,
                "callerId": caller.user_id,
                "userArn": caller.arn,
                "userId": caller.user_id,
                "cognitoIdentity": null,
                "principalOrgId": null,
            }}))
        };
        let payload = event_v2(&EventParts {
            request,
            account: if url.auth_type == "NONE" { "anonymous" } else { of.account },
            api_id: &url.id,
            domain_name: &host_name,
            domain_prefix: &url.id,
            route_key: "$default",
            stage: "$default",
            path_parameters: None,
            stage_variables: None,
            raw_path: path,
            authorizer,
            resource: "",
        });
        let target = Target {
            account: of.account.to_owned(),
            region: of.region.to_owned(),
            name: of.name.to_owned(),
            qualifier: match &known.row {
                Row::Alias(alias) => Some(alias.alias.clone()),
                Row::Function(_) => None,
            },
        };
        let trace = request
            .headers
            .get("x-amzn-trace-id")
            .and_then(|value| value.to_str().ok())
            .map_or_else(|| id::trace_header(request.now_ms), str::to_owned);
        let invocation = Invocation {
            request_id: request.request_id.clone(),
            payload: payload.into(),
            invoked_arn: known.row.arn(),
            trace,
            tenant: request.headers.get("x-amz-tenant-id").and_then(|id| id.to_str().ok()).map(str::to_owned),
            ..Invocation::default()
        };
        Ok(Asked { target, invocation, cors: url.cors.clone(), is_streaming: url.invoke_mode == "RESPONSE_STREAM" })
    }
}

/// Sets what the URL's CORS configuration says, over what the function said; nothing for origins not listed.
fn add_cors(headers: &mut HeaderMap, cors: &Cors, origin: &HeaderValue, is_preflight: bool) {
    let text = origin.to_str().unwrap_or_default();
    let origins = cors.allow_origins.as_deref().unwrap_or_default();
    if !origins.iter().any(|o| o == "*" || o == text) {
        return;
    }
    let mut set = |name: HeaderName, value: String| {
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(name, value);
        }
    };
    set(header::ACCESS_CONTROL_ALLOW_ORIGIN, text.to_owned());
    set(header::VARY, "Origin".to_owned());
    if cors.allow_credentials == Some(true) {
        set(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, "true".to_owned());
    }
    let joined = |list: &Option<Vec<String>>| list.as_ref().filter(|list| !list.is_empty()).map(|list| list.join(","));
    if let Some(list) = joined(&cors.expose_headers) {
        set(header::ACCESS_CONTROL_EXPOSE_HEADERS, list);
    }
    if !is_preflight {
        return;
    }
    if let Some(list) = joined(&cors.allow_methods) {
        set(header::ACCESS_CONTROL_ALLOW_METHODS, list);
    }
    if let Some(list) = joined(&cors.allow_headers) {
        set(header::ACCESS_CONTROL_ALLOW_HEADERS, list);
    }
    if let Some(seconds) = cors.max_age {
        set(header::ACCESS_CONTROL_MAX_AGE, seconds.to_string());
    }
}

#[async_trait]
impl DataPlane for UrlPlane {
    fn claims(&self, host_name: &str, path: &str) -> bool {
        host_name.contains(LABEL) || path.starts_with(PATH)
    }

    fn body_bytes_max(&self) -> usize {
        limits::INVOKE_PAYLOAD_BYTES_MAX
    }

    fn too_large(&self) -> Response<Bytes> {
        message(StatusCode::PAYLOAD_TOO_LARGE, "Request Entity Too Large")
    }

    async fn serve(&self, request: HttpRequest) -> Response<Bytes> {
        let (head, mut body) = self.respond(&request).await.into_parts();
        let mut bytes = BytesMut::new();
        while let Some(frame) = body.frame().await {
            match frame {
                Ok(frame) => bytes.extend_from_slice(frame.data_ref().map_or(&[], |data| data)),
                Err(error) => return no_answer(&request.host, &error.to_string()),
            }
        }
        Response::from_parts(head, bytes.freeze())
    }

    async fn answer(&self, request: HttpRequest) -> Response<PlaneBody> {
        self.respond(&request).await
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::{Value, json};

    use super::*;
    use crate::tests::Fixture;

    struct Nobody;

    #[async_trait]
    impl UrlVerifier for Nobody {
        async fn verify(&self, _request: &HttpRequest, _arn: &str) -> Option<Caller> {
            None
        }
    }

    fn request(method: Method, host: &str, path: &str) -> HttpRequest {
        let mut headers = HeaderMap::new();
        headers.insert("origin", HeaderValue::from_static("http://o"));
        if method == Method::OPTIONS {
            headers.insert("access-control-request-method", HeaderValue::from_static("GET"));
        }
        HttpRequest {
            method,
            host: host.to_owned(),
            path: path.to_owned(),
            query: "a=1".to_owned(),
            protocol: "HTTP/1.1",
            headers,
            body: Bytes::new(),
            source_ip: "127.0.0.1".to_owned(),
            request_id: "r".to_owned(),
            now_ms: 0,
        }
    }

    #[tokio::test]
    async fn a_public_url_runs_the_function_once_the_policy_says_so() {
        let fixture = Fixture::new();
        fixture.create("f").await.unwrap();
        let input = json!({"FunctionName": "f", "AuthType": "NONE", "Cors": {"AllowOrigins": ["http://o"], "AllowMethods": ["GET"]}});
        let made = fixture.call("CreateFunctionUrlConfig", input).await.unwrap();
        let url = made["FunctionUrl"].as_str().unwrap();
        let host = url.trim_start_matches("http://").trim_end_matches('/');
        let plane = UrlPlane::new(fixture.functions.clone(), fixture.echo.clone(), Arc::new(Nobody));
        let get = || request(Method::GET, host, "/x/y");
        assert!(plane.claims(&get().host_name(), "/x/y"));
        assert_eq!(plane.serve(get()).await.status(), 403);
        let grant = json!({"FunctionName": "f", "StatementId": "url", "Action": ACTION, "Principal": "*", "FunctionUrlAuthType": "NONE"});
        fixture.call("AddPermission", grant).await.unwrap();
        let answer = plane.serve(get()).await;
        assert_eq!(
            (answer.status().as_u16(), &answer.headers()["access-control-allow-origin"]),
            (200, &HeaderValue::from_static("http://o"))
        );
        let event: Value = serde_json::from_slice(answer.body()).unwrap();
        assert_eq!(
            (&event["rawPath"], &event["version"], &event["requestContext"]["accountId"]),
            (&json!("/x/y"), &json!("2.0"), &json!("anonymous"))
        );
        let id = host.split('.').next().unwrap();
        let other = plane.serve(request(Method::GET, "localhost", &format!("/_cumulet/url/{id}/z"))).await;
        let event: Value = serde_json::from_slice(other.body()).unwrap();
        assert_eq!(event["rawPath"], "/z");
        let preflight = plane.serve(request(Method::OPTIONS, host, "/")).await;
        assert_eq!(
            (preflight.status().as_u16(), &preflight.headers()["access-control-allow-methods"]),
            (200, &HeaderValue::from_static("GET"))
        );
        fixture.echo.replies.lock().unwrap().push(Bytes::from_static(b"{\"statusCode\":\"x\"}"));
        assert_eq!(plane.serve(get()).await.status(), 502);
        let signed = json!({"FunctionName": "f", "AuthType": "AWS_IAM"});
        fixture.call("UpdateFunctionUrlConfig", signed).await.unwrap();
        assert_eq!(plane.serve(get()).await.status(), 403);
    }
}
