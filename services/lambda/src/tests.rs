//! What the tests of this crate stand on: the service over the memory store, an engine that echoes, and the laws of the
//! memory of functions.
#![allow(clippy::unwrap_used)]

use std::collections::HashMap;
use std::io::Write;
use std::sync::Mutex;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cumulet_base::clock::SystemClock;
use cumulet_engine::catalog::{Access, Catalog, Target};
use cumulet_engine::invocation::{Invocation, InvokeError, Outcome};
use cumulet_store_memory::MemoryStore;
use cumulet_wire::auth::Caller;
use cumulet_wire::call::Context;
use cumulet_wire::operation::Registry;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::*;

pub const ROLE: &str = "arn:aws:iam::000000000000:role/r";

/// A function that is in no store.
pub fn function(name: &str) -> Function {
    let minimal = json!({"v": 2, "account": "000000000000", "region": "us-east-1", "name": name, "runtime": "nodejs22.x",
        "handler": "index.handler", "role": ROLE, "description": "", "timeout_s": 3, "memory_mb": 128,
        "ephemeral_mb": 512, "environment": null, "architecture": "x86_64", "tracing_mode": "PassThrough",
        "snap_start": "None", "logging": {"format": "Text", "group": "/aws/lambda/f", "application_level": null,
        "system_level": null}, "code_digest": "", "code_bytes": 0, "modified_ms": 0, "revision_id": "r",
        "instance_revision": "i", "concurrency_max": null, "tags": {}, "policy": [], "url": null});
    serde_json::from_value(minimal).unwrap()
}

pub fn context() -> Context {
    Context {
        caller: Caller::owner("000000000000"),
        region: "us-east-1".to_owned(),
        request_id: "r".to_owned(),
        host: "127.0.0.1:4566".to_owned(),
        now_ms: 1_795_428_930_123,
        trace: None,
    }
}

fn zip_of(content: &str) -> String {
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    zip.start_file("index.js", zip::write::SimpleFileOptions::default()).unwrap();
    zip.write_all(content.as_bytes()).unwrap();
    STANDARD.encode(zip.finish().unwrap().into_inner())
}

pub fn zip() -> String {
    zip_of("exports.handler = async e => e")
}

pub fn other_zip() -> String {
    zip_of("exports.handler = async () => 1")
}

#[derive(Default)]
pub struct Zips(Mutex<HashMap<String, Bytes>>);

#[async_trait]
impl CodeStore for Zips {
    async fn put(&self, zip: Bytes) -> Result<String, String> {
        let digest = hex::encode(Sha256::digest(&zip));
        self.0.lock().unwrap().insert(digest.clone(), zip);
        Ok(digest)
    }

    async fn get(&self, digest: &str) -> Result<Option<Bytes>, String> {
        Ok(self.0.lock().unwrap().get(digest).cloned())
    }

    async fn has(&self, digest: &str) -> Result<bool, String> {
        Ok(self.0.lock().unwrap().contains_key(digest))
    }
}

/// Answers every event with itself.
pub struct Echo {
    functions: Arc<Functions>,
    retired: Mutex<Vec<(String, Option<String>)>>,
    failure: Mutex<Option<(InvokeError, u32)>>,
    pub replies: Mutex<Vec<Bytes>>,
    /// Of the invocations so far.
    pub traces: Mutex<Vec<String>>,
}

#[async_trait]
impl Invoker for Echo {
    async fn invoke(&self, target: &Target, access: &Access, invocation: Invocation) -> Result<Outcome, InvokeError> {
        let version = self.functions.resolve(target, access).await?;
        self.traces.lock().unwrap().push(invocation.trace.clone());
        if version.is_tenant_isolated != invocation.tenant.is_some() {
            return Err(InvokeError::of_tenant(version.is_tenant_isolated));
        }
        if let Some((failure, times)) = self.failure.lock().unwrap().as_mut()
            && *times > 0
        {
            *times -= 1;
            return Err(failure.clone());
        }
        if &invocation.payload[..] == br#"{"fail":true}"# {
            return Ok(Outcome {
                payload: Bytes::from_static(br#"{"errorType":"E","errorMessage":"as asked"}"#),
                function_error: Some("Unhandled"),
                executed_version: version.version.clone(),
                log_tail: Bytes::new(),
                duration_us: 1,
            });
        }
        let payload = self.replies.lock().unwrap().pop().unwrap_or(invocation.payload);
        Ok(Outcome {
            payload,
            function_error: None,
            executed_version: version.version.clone(),
            log_tail: Bytes::from_static(b"log"),
            duration_us: 1,
        })
    }

    fn retire(&self, _: &str, _: &str, name: &str, _: Option<&str>, keep: Option<&str>) {
        let entry = (name.to_owned(), keep.map(str::to_owned));
        self.retired.lock().unwrap().push(entry);
    }
}

/// Everybody may do everything.
struct Anyone;

#[async_trait]
impl Authorizer for Anyone {
    async fn authorize(&self, _: &Caller, _: &str, _: &str) -> Result<(), ApiError> {
        Ok(())
    }
}

pub struct Fixture {
    pub lambda: Lambda,
    pub echo: Arc<Echo>,
    pub functions: Arc<Functions>,
    /// Not started.
    pub delivery: Arc<Delivery>,
}

impl Fixture {
    pub fn new() -> Fixture {
        Fixture::with(Registry::default())
    }

    /// With other services beside.
    pub fn with(registry: Registry) -> Fixture {
        let store = Arc::new(MemoryStore::new());
        let functions = Arc::new(Functions::new(store.clone(), &[1; 32]));
        let echo = Arc::new(Echo {
            functions: Arc::clone(&functions),
            retired: Mutex::default(),
            failure: Mutex::default(),
            replies: Mutex::default(),
            traces: Mutex::default(),
        });
        let code = Arc::new(Zips::default());
        let links = Links::new([1; 32]);
        let client = Client::default();
        let delivery = Delivery::new(store.clone(), Arc::new(SystemClock));
        client.connect(registry, Arc::new(Anyone), Arc::new(SystemClock));
        let ports = Ports {
            functions: functions.clone(),
            store,
            code,
            invoker: echo.clone(),
            links,
            client: client.clone(),
            delivery: delivery.clone(),
            clock: Arc::new(SystemClock),
        };
        let settings = Settings {
            account_concurrency: 1000,
            event_retry_ms: [1, 1],
            timeout_s_max: 900,
            is_lenient: false,
            images_dir: None,
            registries: crate::Registries::default(),
        };
        Fixture { lambda: Lambda::new(ports, settings), echo, functions, delivery }
    }

    pub async fn call_raw(&self, operation: &str, input: Value, payload: Bytes) -> Result<Answer, ApiError> {
        let operation = MODEL.operations.iter().find(|o| o.name == operation).unwrap();
        let Value::Object(input) = input else { panic!("the input is an object") };
        self.lambda.call(Call { operation, input, payload, context: context() }).await
    }

    pub async fn call(&self, operation: &str, input: Value) -> Result<Value, ApiError> {
        self.call_raw(operation, input, Bytes::new()).await.map(|answer| answer.output)
    }

    /// A function by name; `g` has other code.
    pub async fn create(&self, name: &str) -> Result<Value, ApiError> {
        let code = if name == "g" { other_zip() } else { zip() };
        self.call(
            "CreateFunction",
            json!({"FunctionName": name, "Role": ROLE, "Handler": "index.handler", "Runtime": "nodejs22.x",
                "Code": {"ZipFile": code}}),
        )
        .await
    }

    pub async fn resolve(&self, name: &str, qualifier: Option<&str>) -> Arc<cumulet_engine::function::FunctionVersion> {
        let target = Target { qualifier: qualifier.map(str::to_owned), ..target(name) };
        self.functions.resolve(&target, &Access::Authorised).await.unwrap()
    }

    pub fn retired(&self) -> Vec<(String, Option<String>)> {
        self.echo.retired.lock().unwrap().clone()
    }

    pub fn fail_with(&self, error: InvokeError) {
        self.fail_times(error, u32::MAX);
    }

    pub fn fail_times(&self, error: InvokeError, times: u32) {
        *self.echo.failure.lock().unwrap() = Some((error, times));
    }

    pub async fn digest(&self, name: &str) -> String {
        self.functions
            .find("000000000000", "us-east-1", name)
            .await
            .unwrap()
            .unwrap()
            .function()
            .unwrap()
            .code_digest
            .clone()
    }
}

pub fn target(name: &str) -> Target {
    Target {
        account: "000000000000".to_owned(),
        region: "us-east-1".to_owned(),
        name: name.to_owned(),
        qualifier: None,
    }
}

#[tokio::test]
async fn resolution_follows_every_write() {
    let fixture = Fixture::new();
    let resolve = || async { fixture.functions.resolve(&target("f"), &Access::Authorised).await };
    assert!(resolve().await.is_err());
    fixture.create("f").await.unwrap();
    let first = resolve().await.unwrap();
    assert!(Arc::ptr_eq(&first, &resolve().await.unwrap()));
    let input = json!({"FunctionName": "f", "Timeout": 7});
    fixture.call("UpdateFunctionConfiguration", input).await.unwrap();
    let second = resolve().await.unwrap();
    assert_eq!(second.timeout_ms, 7000);
    assert_ne!(first.revision, second.revision);
    fixture.call("DeleteFunction", json!({"FunctionName": "f"})).await.unwrap();
    assert!(resolve().await.is_err());
}

#[tokio::test]
async fn services_need_the_policy() {
    let fixture = Fixture::new();
    fixture.create("f").await.unwrap();
    let access = Access::Service {
        principal: "apigateway.amazonaws.com".to_owned(),
        source_arn: "arn:aws:execute-api:us-east-1:000000000000:x/y".to_owned(),
        source_account: "000000000000".to_owned(),
    };
    let denied = fixture.functions.resolve(&target("f"), &access).await;
    assert!(matches!(denied, Err(InvokeError::AccessDenied { .. })));
    let grant = json!({"FunctionName": "f", "StatementId": "s", "Action": "lambda:InvokeFunction",
        "Principal": "apigateway.amazonaws.com"});
    fixture.call("AddPermission", grant).await.unwrap();
    assert!(fixture.functions.resolve(&target("f"), &access).await.is_ok());
}

#[tokio::test]
async fn concurrent_changes_are_all_kept() {
    let fixture = Arc::new(Fixture::new());
    fixture.create("f").await.unwrap();
    let tasks: Vec<_> = (0..8)
        .map(|n| {
            let fixture = Arc::clone(&fixture);
            tokio::spawn(async move {
                let tags = json!({"Resource": "arn:aws:lambda:us-east-1:000000000000:function:f", "Tags": {format!("k{n}"): ""}});
                fixture.call("TagResource", tags).await
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    let got = fixture.call("GetFunction", json!({"FunctionName": "f"})).await.unwrap();
    assert_eq!(got["Tags"].as_object().unwrap().len(), 8);
}
