//! The service and its data plane together, over the memory store and an invoker that echoes.

#![allow(clippy::unwrap_used)]

mod domains;

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use cumulet_engine::catalog::{Access, Invoker, Target};
use cumulet_engine::invocation::{Invocation, InvokeError, Outcome};
use cumulet_engine::output::LogEvent;
use cumulet_engine::record::LogSink;
use cumulet_wire::auth::Caller;
use cumulet_wire::call::{Call, Context};
use cumulet_wire::data_plane::{DataPlane, HttpRequest};
use cumulet_wire::error::ApiError;
use cumulet_wire::operation::{Service, ServiceModel};
use http::{HeaderMap, Method};
use serde_json::{Value, json};

use crate::{ApiGateway, MODEL};

pub(crate) const ARN: &str = "arn:aws:lambda:us-east-1:000000000000:function:f";

#[derive(Default)]
pub(crate) struct World {
    pub events: Mutex<Vec<(Access, Value)>>,
    pub answer: Mutex<Option<Result<Outcome, InvokeError>>>,
    pub lines: Mutex<Vec<String>>,
    hangs: std::sync::atomic::AtomicBool,
}

#[async_trait]
impl Invoker for World {
    async fn invoke(&self, target: &Target, access: &Access, invocation: Invocation) -> Result<Outcome, InvokeError> {
        assert_eq!(target.arn(), ARN);
        if self.hangs.load(std::sync::atomic::Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
        let event: Value = serde_json::from_slice(&invocation.payload).unwrap();
        self.events.lock().unwrap().push((access.clone(), event.clone()));
        if let Some(answer) = self.answer.lock().unwrap().clone() {
            return answer;
        }
        Ok(outcome(&json!({"statusCode": 200, "body": "hello"}), None))
    }

    fn retire(&self, _: &str, _: &str, _: &str, _: Option<&str>, _: Option<&str>) {}
}

#[async_trait]
impl LogSink for World {
    async fn append(&self, _: &str, _: &str, group: &str, _: &str, events: Vec<LogEvent>) {
        let mut lines = self.lines.lock().unwrap();
        lines.extend(events.iter().map(|e| format!("{group} {}", e.message)));
    }

    async fn flush(&self) {}
}

pub(crate) fn outcome(payload: &Value, function_error: Option<&'static str>) -> Outcome {
    Outcome {
        payload: payload.to_string().into(),
        function_error,
        executed_version: "$LATEST".into(),
        log_tail: Bytes::new(),
        duration_us: 1,
    }
}

/// Takes those with an `authorization` header for somebody who may.
struct Signatures;

#[async_trait]
impl crate::Verifier for Signatures {
    async fn verify(&self, request: &HttpRequest, _: &str) -> Option<Caller> {
        request.headers.contains_key("authorization").then(|| Caller::owner("000000000000"))
    }
}

pub(crate) struct Fixture {
    pub gateway: Arc<ApiGateway>,
    pub world: Arc<World>,
}

impl Fixture {
    pub fn new() -> Fixture {
        let world = Arc::new(World::default());
        let store = Arc::new(cumulet_store_memory::MemoryStore::new());
        let gateway = ApiGateway::new(store, world.clone(), world.clone(), Arc::new(Signatures), None);
        Fixture { gateway: Arc::new(gateway), world }
    }

    async fn call_as(&self, account: &str, operation: &str, input: Value) -> Result<Value, ApiError> {
        let call = self.call_of(&MODEL, account, operation, input, Bytes::new());
        self.gateway.call(call).await.map(|answer| answer.output)
    }

    pub fn call_of(
        &self,
        model: &'static ServiceModel,
        account: &str,
        operation: &str,
        input: Value,
        payload: Bytes,
    ) -> Call {
        let operation = model.operations.iter().find(|o| o.name == operation).unwrap();
        let Value::Object(input) = input else { panic!("not an object") };
        Call {
            operation,
            input,
            payload,
            context: Context {
                caller: Caller::owner(account),
                region: "us-east-1".into(),
                request_id: "r".into(),
                host: "127.0.0.1:4566".into(),
                now_ms: 1_795_428_930_123,
                trace: None,
            },
        }
    }

    async fn call(&self, operation: &str, input: Value) -> Value {
        self.call_as("000000000000", operation, input).await.unwrap()
    }

    async fn fails(&self, operation: &str, input: Value) -> (u16, String) {
        let error = self.call_as("000000000000", operation, input).await.unwrap_err();
        (error.status, error.code)
    }

    async fn get(&self, host: &str, method: &str, path: &str) -> (u16, String) {
        let response = self.gateway.serve(request(host, method, path)).await;
        (response.status().as_u16(), String::from_utf8_lossy(response.body()).into_owned())
    }

    async fn quick(&self) -> (String, String) {
        let api = self.call("CreateApi", json!({"name": "a", "protocolType": "HTTP", "target": ARN})).await;
        let id = api["apiId"].as_str().unwrap().to_owned();
        let host = format!("{id}.execute-api.us-east-1.localhost:4566");
        assert_eq!(api["apiEndpoint"], format!("http://{host}"));
        (id, host)
    }
}

/// A web server that answers so many requests, and then says how each was, in lower case.
pub(crate) async fn backend(count: usize) -> (std::net::SocketAddr, tokio::task::JoinHandle<Vec<String>>) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = tokio::spawn(async move {
        let mut asked = Vec::new();
        for _ in 0..count {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut text = Vec::new();
            while !text.windows(4).any(|end| end == b"\r\n\r\n") {
                let mut piece = [0; 1024];
                let read = stream.read(&mut piece).await.unwrap();
                assert!(read > 0, "a whole request");
                text.extend_from_slice(&piece[..read]);
            }
            asked.push(String::from_utf8(text).unwrap().to_ascii_lowercase());
            let answer =
                "HTTP/1.1 201 Created\r\nx-from: backend\r\ncontent-length: 8\r\nconnection: close\r\n\r\nanswered";
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
        asked
    });
    (address, serving)
}

#[tokio::test]
async fn back_ends_are_handed_the_request() {
    let f = Fixture::new();
    let (id, host) = f.quick().await;
    let (address, backend) = backend(1).await;
    let integration = json!({"apiId": id, "integrationType": "HTTP_PROXY", "integrationMethod": "POST",
        "integrationUri": format!("http://{address}/v1/{{proxy}}")});
    let made = f.call("CreateIntegration", integration).await;
    let target = format!("integrations/{}", made["integrationId"].as_str().unwrap());
    f.call("CreateRoute", json!({"apiId": id, "routeKey": "ANY /shop/{proxy+}", "target": target})).await;
    assert_eq!(f.get(&host, "GET", "/shop/a/b").await, (201, "answered".into()));
    let [asked] = &backend.await.unwrap()[..] else { panic!("one request") };
    assert!(asked.starts_with("post /v1/a/b http/1.1\r\n"), "{asked}");
    assert!(asked.contains(&format!("\r\nforwarded: for=192.0.2.1;host={host};proto=https\r\n")), "{asked}");
    let unavailable = json!({"message": "Service Unavailable"}).to_string();
    assert_eq!(f.get(&host, "GET", "/shop/a").await, (503, unavailable));
}

pub(crate) fn request(host: &str, method: &str, path: &str) -> HttpRequest {
    HttpRequest {
        method: method.parse::<Method>().unwrap(),
        host: host.into(),
        path: path.into(),
        query: String::new(),
        protocol: "HTTP/1.1",
        headers: HeaderMap::new(),
        body: Bytes::new(),
        source_ip: "192.0.2.1".into(),
        request_id: "req".into(),
        now_ms: 1_795_428_930_123,
    }
}

#[tokio::test]
async fn quick_create_serves_at_once() {
    let f = Fixture::new();
    let (id, host) = f.quick().await;
    assert!(f.gateway.claims(&cumulet_wire::data_plane::host_name(&host), "/x"));
    assert_eq!(f.get(&host, "GET", "/a/b").await, (200, "hello".into()));
    let (access, event) = f.world.events.lock().unwrap()[0].clone();
    assert_eq!(event["version"], "2.0");
    assert_eq!(event["rawPath"], "/a/b");
    let Access::Service { source_arn, .. } = access else { panic!("not a service") };
    assert_eq!(source_arn, format!("arn:aws:execute-api:us-east-1:000000000000:{id}/$default/$default"));
    let path = format!("/_cumulet/api/{id}/a/b");
    assert_eq!(f.get("127.0.0.1:4566", "GET", &path).await, (200, "hello".into()));
    assert_eq!(f.world.events.lock().unwrap()[1].1["rawPath"], "/a/b");
    f.call("DeleteApi", json!({"apiId": id})).await;
    assert_eq!(f.get(&host, "GET", "/").await, (404, r#"{"message":"Not Found"}"#.into()));
    assert_eq!(f.call("GetApis", json!({})).await, json!({"items": []}));
}

#[tokio::test]
async fn what_clients_read_of_an_api() {
    let f = Fixture::new();
    let (id, _) = f.quick().await;
    let api = f.call("GetApi", json!({"apiId": id})).await;
    assert_eq!(api["apiKeySelectionExpression"], "$request.header.x-api-key");
    assert_eq!(api["routeSelectionExpression"], "$request.method $request.path");
    assert_eq!(api["createdDate"], "2026-11-23T10:15:30Z");
    assert!(api.get("account").is_none());
    let api =
        f.call("UpdateApi", json!({"apiId": id, "name": "b", "corsConfiguration": {"allowOrigins": ["*"]}})).await;
    assert_eq!((&api["name"], &api["corsConfiguration"]["allowOrigins"][0]), (&json!("b"), &json!("*")));
    let stage = f.call("GetStage", json!({"apiId": id, "stageName": "$default"})).await;
    assert_eq!(stage["autoDeploy"], true);
    let other = f.call_as("111111111111", "GetApi", json!({"apiId": id})).await.unwrap_err();
    assert_eq!((other.status, other.code.as_str()), (404, "NotFoundException"));
    let arn = format!("arn:aws:apigateway:us-east-1::/apis/{id}");
    f.call("TagResource", json!({"resourceArn": arn, "tags": {"a": "1", "b": "2"}})).await;
    f.call("UntagResource", json!({"resourceArn": arn, "tagKeys": ["a"]})).await;
    assert_eq!(f.call("GetTags", json!({"resourceArn": arn})).await, json!({"tags": {"b": "2"}}));
}

#[tokio::test]
async fn what_is_refused() {
    let f = Fixture::new();
    let (id, _) = f.quick().await;
    for (operation, input, expected) in [
        ("CreateApi", json!({"name": "a"}), (400, "BadRequestException")),
        ("CreateApi", json!({"name": "a", "protocolType": "WEBSOCKET"}), (501, "NotImplemented")),
        ("CreateRoute", json!({"apiId": id, "routeKey": "nope"}), (400, "BadRequestException")),
        ("CreateRoute", json!({"apiId": id, "routeKey": "$default"}), (409, "ConflictException")),
        (
            "CreateRoute",
            json!({"apiId": id, "routeKey": "GET /a", "authorizationType": "JWT", "authorizerId": "none"}),
            (400, "BadRequestException"),
        ),
        (
            "CreateAuthorizer",
            json!({"apiId": id, "name": "a", "authorizerType": "JWT", "identitySource": ["$request.header.A"]}),
            (400, "BadRequestException"),
        ),
        (
            "CreateAuthorizer",
            json!({"apiId": id, "name": "a", "authorizerType": "REQUEST", "authorizerUri": ARN}),
            (400, "BadRequestException"),
        ),
        ("GetAuthorizer", json!({"apiId": id, "authorizerId": "none"}), (404, "NotFoundException")),
        (
            "CreateRoute",
            json!({"apiId": id, "routeKey": "GET /a", "target": "integrations/x"}),
            (404, "NotFoundException"),
        ),
        (
            "CreateIntegration",
            json!({"apiId": id, "integrationType": "HTTP_PROXY", "integrationMethod": "GET", "integrationUri": "http://x",
                "requestParameters": {"overwrite:path": "/"}}),
            (501, "NotImplemented"),
        ),
        (
            "CreateIntegration",
            json!({"apiId": id, "integrationType": "AWS_PROXY", "integrationUri": ARN, "timeoutInMillis": 30_001}),
            (400, "BadRequestException"),
        ),
        ("CreateStage", json!({"apiId": id, "stageName": "$default"}), (409, "ConflictException")),
        ("GetStage", json!({"apiId": id, "stageName": "x"}), (404, "NotFoundException")),
    ] {
        let (status, code) = f.fails(operation, input.clone()).await;
        assert_eq!((status, code.as_str()), expected, "{operation} {input}");
    }
    let integrations = f.call("GetIntegrations", json!({"apiId": id})).await;
    let integration = &integrations["items"][0]["integrationId"];
    assert_eq!(f.fails("DeleteIntegration", json!({"apiId": id, "integrationId": integration})).await.0, 409);
}

#[tokio::test]
async fn functions_and_signatures_guard_routes() {
    let f = Fixture::new();
    let (id, host) = f.quick().await;
    let target = f.call("GetRoutes", json!({"apiId": id})).await["items"][0]["target"].clone();
    let authorizer = json!({
        "apiId": id, "name": "a", "authorizerType": "REQUEST", "authorizerUri": format!("arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/{ARN}/invocations"),
        "authorizerPayloadFormatVersion": "2.0", "enableSimpleResponses": true, "authorizerResultTtlInSeconds": 60,
        "identitySource": ["$request.header.Token"],
    });
    let authorizer = f.call("CreateAuthorizer", authorizer).await["authorizerId"].clone();
    let route = json!({"apiId": id, "routeKey": "GET /guarded", "target": target, "authorizationType": "CUSTOM", "authorizerId": authorizer});
    f.call("CreateRoute", route).await;
    let route = json!({"apiId": id, "routeKey": "GET /signed", "target": target, "authorizationType": "AWS_IAM"});
    f.call("CreateRoute", route).await;
    let ask = async |path: &str, header: &'static str, value: &str| {
        let mut asked = request(&host, "GET", path);
        asked.headers.insert(header, value.parse().unwrap());
        f.gateway.serve(asked).await.status().as_u16()
    };
    assert_eq!(ask("/guarded", "other", "x").await, 401);
    let says = |is_authorized: bool| {
        outcome(&json!({"isAuthorized": is_authorized, "context": {"who": "me"}, "statusCode": 204}), None)
    };
    *f.world.answer.lock().unwrap() = Some(Ok(says(true)));
    assert_eq!(ask("/guarded", "token", "good").await, 204);
    assert_eq!(ask("/guarded", "token", "good").await, 204);
    let events: Vec<Value> = f.world.events.lock().unwrap().drain(..).map(|(_, event)| event).collect();
    assert_eq!(events.len(), 3, "asked once, run twice");
    assert_eq!((&events[0]["type"], &events[0]["identitySource"]), (&json!("REQUEST"), &json!(["good"])));
    assert_eq!(events[0]["routeArn"], format!("arn:aws:execute-api:us-east-1:000000000000:{id}/$default/GET/guarded"));
    assert_eq!(events[1]["requestContext"]["authorizer"], json!({"lambda": {"who": "me"}}));
    *f.world.answer.lock().unwrap() = Some(Ok(says(false)));
    assert_eq!(ask("/guarded", "token", "bad").await, 403);
    *f.world.answer.lock().unwrap() = None;
    assert_eq!(ask("/guarded", "token", "odd").await, 500, "neither form of answer");
    assert_eq!(ask("/signed", "other", "x").await, 403);
    assert_eq!(ask("/signed", "authorization", "x").await, 200);
    assert_eq!(f.fails("DeleteAuthorizer", json!({"apiId": id, "authorizerId": authorizer})).await.0, 409);
}

#[tokio::test]
async fn stages_follow_deployments_unless_they_deploy_themselves() {
    let f = Fixture::new();
    let api = f.call("CreateApi", json!({"name": "a", "protocolType": "HTTP"})).await;
    let id = api["apiId"].clone();
    let host = format!("{}.execute-api.localhost", id.as_str().unwrap());
    let integration = f
        .call(
            "CreateIntegration",
            json!({"apiId": id, "integrationType": "AWS_PROXY", "integrationUri": ARN, "payloadFormatVersion": "1.0"}),
        )
        .await;
    let target = format!("integrations/{}", integration["integrationId"].as_str().unwrap());
    f.call("CreateRoute", json!({"apiId": id, "routeKey": "GET /items/{id}", "target": target})).await;
    f.call("CreateStage", json!({"apiId": id, "stageName": "prod", "stageVariables": {"v": "1"}})).await;
    assert_eq!(f.get(&host, "GET", "/prod/items/7").await.0, 404);
    f.call("CreateDeployment", json!({"apiId": id, "stageName": "prod"})).await;
    assert_eq!(f.get(&host, "GET", "/prod/items/7").await.0, 200);
    let event = f.world.events.lock().unwrap()[0].1.clone();
    assert_eq!(
        (&event["version"], &event["pathParameters"]["id"], &event["stageVariables"]["v"]),
        (&json!("1.0"), &json!("7"), &json!("1"))
    );
    f.call("CreateRoute", json!({"apiId": id, "routeKey": "GET /new", "target": target})).await;
    assert_eq!(f.get(&host, "GET", "/prod/new").await.0, 404);
    f.call("UpdateStage", json!({"apiId": id, "stageName": "prod", "autoDeploy": true})).await;
    assert_eq!(f.get(&host, "GET", "/prod/new").await.0, 200);
    assert_eq!(f.get(&host, "GET", "/items/7").await.0, 404);
}

#[tokio::test]
async fn failures_throttling_cors_and_the_access_log() {
    let f = Fixture::new();
    let (id, host) = f.quick().await;
    for (answer, expected) in [
        (
            Ok(outcome(&json!({"errorMessage": "no"}), Some("Unhandled"))),
            (500, r#"{"message":"Internal Server Error"}"#),
        ),
        (Err(InvokeError::AccessDenied { message: "no".into() }), (500, r#"{"message":"Internal Server Error"}"#)),
        (Err(InvokeError::Throttled { reason: "x" }), (503, r#"{"message":"Service Unavailable"}"#)),
        (Ok(outcome(&json!({"statusCode": "x"}), None)), (500, r#"{"message":"Internal Server Error"}"#)),
    ] {
        *f.world.answer.lock().unwrap() = Some(answer);
        assert_eq!(f.get(&host, "GET", "/").await, (expected.0, expected.1.to_owned()));
    }
    *f.world.answer.lock().unwrap() = None;
    f.call(
        "UpdateApi",
        json!({"apiId": id, "corsConfiguration": {"allowOrigins": ["https://a.example"], "allowMethods": ["GET"]}}),
    )
    .await;
    f.call(
        "UpdateStage",
        json!({"apiId": id, "stageName": "$default", "accessLogSettings": {
            "destinationArn": "arn:aws:logs:us-east-1:000000000000:log-group:g", "format": "$context.routeKey $context.status"
        }}),
    )
    .await;
    let mut asked = request(&host, "OPTIONS", "/");
    asked.headers.insert("origin", "https://a.example".parse().unwrap());
    asked.headers.insert("access-control-request-method", "GET".parse().unwrap());
    let preflight = f.gateway.serve(asked.clone()).await;
    assert_eq!(preflight.status(), 204);
    asked.method = Method::GET;
    let answer = f.gateway.serve(asked).await;
    assert_eq!(answer.headers()["access-control-allow-origin"], "https://a.example");
    assert_eq!(answer.headers()["content-type"], "text/plain;charset=UTF-8");
    f.call(
        "UpdateStage",
        json!({"apiId": id, "stageName": "$default", "defaultRouteSettings": {"throttlingRateLimit": 0.001, "throttlingBurstLimit": 1}}),
    )
    .await;
    assert_eq!(f.get(&host, "GET", "/").await.0, 200);
    assert_eq!(f.get(&host, "GET", "/").await, (429, r#"{"message":"Too Many Requests"}"#.into()));
    assert_eq!(*f.world.lines.lock().unwrap(), ["g - 204", "g $default 200", "g $default 200", "g $default 429"]);
}

#[tokio::test]
async fn functions_that_take_too_long() {
    let f = Fixture::new();
    let (id, host) = f.quick().await;
    let integrations = f.call("GetIntegrations", json!({"apiId": id})).await;
    f.call(
        "UpdateIntegration",
        json!({"apiId": id, "integrationId": integrations["items"][0]["integrationId"], "timeoutInMillis": 50}),
    )
    .await;
    f.world.hangs.store(true, std::sync::atomic::Ordering::Relaxed);
    assert_eq!(f.get(&host, "GET", "/").await, (503, r#"{"message":"Service Unavailable"}"#.into()));
}

#[tokio::test]
async fn access_logs_go_to_groups_of_the_apis_own_place() {
    let f = Fixture::new();
    let (id, _) = f.quick().await;
    let to = |arn: String| {
        let settings = json!({"destinationArn": arn, "format": "$context.status"});
        json!({"apiId": id, "stageName": "$default", "accessLogSettings": settings})
    };
    let own = "arn:aws:logs:us-east-1:000000000000:log-group";
    for bad in [
        "arn:aws:logs:us-east-1:111111111111:log-group:g".to_owned(),
        "arn:aws:logs:eu-west-1:000000000000:log-group:g".to_owned(),
        "arn:aws:firehose:us-east-1:000000000000:deliverystream/g".to_owned(),
        format!("{own}:a b"),
        format!("{own}:g:log-stream:s"),
        format!("{own}:"),
        format!("{own}:{}", "x".repeat(513)),
    ] {
        assert_eq!(f.fails("UpdateStage", to(bad)).await, (400, "BadRequestException".to_owned()));
    }
    for good in [format!("{own}:/a_b/c.d#e-f:*"), format!("{own}:{}", "x".repeat(512))] {
        f.call("UpdateStage", to(good)).await;
    }
}
