//! Stacks from request to end, over the memory store and one recorder that stands for all other services.

#![allow(clippy::unwrap_used)]

mod endings;
mod imports;
mod inline;
mod macros;
mod notified;
mod triggers;
mod waiting;
mod ways_back;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use cumulet_base::clock::{Clock, SystemClock};
use cumulet_wire::auth::{Authorizer, Caller};
use cumulet_wire::call::{Answer, Call, Context};
use cumulet_wire::data_plane::{DataPlane, HttpRequest};
use cumulet_wire::error::ApiError;
use cumulet_wire::operation::{Operation, Protocol, Registry, Service, ServiceModel};
use serde_json::{Value, json};

use crate::{CloudFormation, MODEL};

static LAMBDA: ServiceModel = model("lambda", LAMBDA_OPERATIONS);
static IAM: ServiceModel = model("iam", IAM_OPERATIONS);
static ALARMS: ServiceModel = model("cloudwatch", &[Operation::rpc("DescribeAlarms")]);
static SNS: ServiceModel = model("sns", SNS_OPERATIONS);
static GATEWAY: ServiceModel = model("apigateway", GATEWAY_OPERATIONS);

const fn model(name: &'static str, operations: &'static [Operation]) -> ServiceModel {
    ServiceModel { name, protocol: Protocol::Json11, target: "", xmlns: "", operations, absent: &[] }
}

const LAMBDA_OPERATIONS: &[Operation] = &[
    Operation::rpc("CreateFunction"),
    Operation::rpc("UpdateFunctionConfiguration"),
    Operation::rpc("DeleteFunction"),
    Operation::rpc("AddPermission"),
    Operation::rpc("RemovePermission"),
    Operation::rpc("CreateFunctionUrlConfig"),
    Operation::rpc("DeleteFunctionUrlConfig"),
    Operation::rpc("Invoke"),
];
const SNS_OPERATIONS: &[Operation] = &[
    Operation::rpc("Publish"),
    Operation::rpc("SetTopicAttributes"),
    Operation::rpc("CreateTopic"),
    Operation::rpc("Subscribe"),
    Operation::rpc("DeleteTopic"),
];
const IAM_OPERATIONS: &[Operation] = &[
    Operation::rpc("CreateRole"),
    Operation::rpc("GetRole"),
    Operation::rpc("DeleteRole"),
    Operation::rpc("AttachRolePolicy"),
    Operation::rpc("DetachRolePolicy"),
    Operation::rpc("PutRolePolicy"),
    Operation::rpc("DeleteRolePolicy"),
];
const GATEWAY_OPERATIONS: &[Operation] = &[
    Operation::rpc("CreateApi"),
    Operation::rpc("DeleteApi"),
    Operation::rpc("CreateStage"),
    Operation::rpc("DeleteStage"),
    Operation::rpc("CreateRoute"),
    Operation::rpc("DeleteRoute"),
    Operation::rpc("CreateIntegration"),
    Operation::rpc("DeleteIntegration"),
];

/// What was called, and what is to fail or to be forbidden.
#[derive(Default)]
struct Recorder {
    calls: Mutex<Vec<(String, Value)>>,
    fails: Mutex<Option<String>>,
    forbidden: Mutex<Option<String>>,
    templates: Mutex<BTreeMap<String, String>>,
    /// What the alarms are, by their ARNs.
    alarms: Mutex<BTreeMap<String, String>>,
    /// Answers custom resources, by the type of the request.
    replies: Mutex<BTreeMap<String, Value>>,
    plane: Mutex<Option<crate::ReplyPlane>>,
    /// An operation that never returns, and that it was reached.
    hangs: Mutex<Option<String>>,
    reached: tokio::sync::Notify,
}

struct Recorded(&'static ServiceModel, Arc<Recorder>);

#[async_trait]
impl Service for Recorded {
    fn model(&self) -> &'static ServiceModel {
        self.0
    }

    async fn call(&self, call: Call) -> Result<Answer, ApiError> {
        let name = call.operation.name;
        if self.1.fails.lock().unwrap().as_deref() == Some(name) {
            return Err(ApiError::new(400, "InvalidParameterValueException", "no"));
        }
        if self.1.hangs.lock().unwrap().as_deref() == Some(name) {
            self.1.reached.notify_one();
            std::future::pending::<()>().await;
        }
        let input = Value::Object(call.input.clone());
        self.1.calls.lock().unwrap().push((name.to_owned(), input.clone()));
        if name == "DescribeAlarms" {
            let alarms = self.1.alarms.lock().unwrap().clone();
            let shown = alarms.iter().map(|(arn, state)| json!({"AlarmArn": arn, "StateValue": state}));
            return Answer::json(json!({"MetricAlarms": shown.collect::<Vec<_>>(), "CompositeAlarms": []}));
        }
        if name == "Invoke" {
            let event: Value = serde_json::from_slice(&call.payload).unwrap();
            if event.get("fragment").is_some() {
                return Ok(self.1.rewrite(event));
            }
            self.1.reply(&call.payload).await;
        }
        let arn = "arn:aws:lambda:us-east-1:000000000000:function:f";
        Answer::json(json!({
            "FunctionArn": arn, "FunctionUrl": "http://u/", "Role": {"Arn": "arn:role", "RoleId": "AROA"},
            "apiId": "api1", "apiEndpoint": "http://api1", "integrationId": "int1", "routeId": "r1",
            "stageName": input.get("stageName"),
        }))
    }
}

impl Recorder {
    /// What a macro's function would do.
    fn rewrite(&self, event: Value) -> Answer {
        let mut reply = self.replies.lock().unwrap().get("Macro").cloned().unwrap();
        reply["requestId"] = event["requestId"].clone();
        self.calls.lock().unwrap().push(("Macro".to_owned(), event));
        Answer { payload: Some(reply.to_string().into()), ..Answer::default() }
    }

    /// What a custom resource's function would do.
    async fn reply(&self, event: &Bytes) {
        let event: Value = serde_json::from_slice(event).unwrap();
        let kind = event["RequestType"].as_str().unwrap();
        self.calls.lock().unwrap().push((format!("Custom{kind}"), event.clone()));
        let reply = self.replies.lock().unwrap().get(kind).cloned();
        let plane = self.plane.lock().unwrap().take();
        if let (Some(reply), Some(plane)) = (reply, &plane) {
            let url = event["ResponseURL"].as_str().unwrap();
            let path = url.strip_prefix("http://127.0.0.1:4566").unwrap().to_owned();
            assert!(plane.claims("127.0.0.1", &path));
            assert_eq!(plane.serve(put(path, &reply)).await.status(), 200);
        }
        *self.plane.lock().unwrap() = plane;
    }
}

fn put(path: String, body: &Value) -> HttpRequest {
    HttpRequest {
        method: http::Method::PUT,
        host: "127.0.0.1:4566".into(),
        path,
        query: String::new(),
        protocol: "HTTP/1.1",
        headers: http::HeaderMap::new(),
        body: body.to_string().into(),
        source_ip: "127.0.0.1".into(),
        request_id: "r".into(),
        now_ms: 0,
    }
}

/// A bucket of templates.
struct Templates(Arc<Recorder>);

const S3_OPERATIONS: &[Operation] = &[Operation::rpc("GetObject")];
static S3: ServiceModel = model("s3", S3_OPERATIONS);

#[async_trait]
impl Service for Templates {
    fn model(&self) -> &'static ServiceModel {
        &S3
    }

    async fn call(&self, call: Call) -> Result<Answer, ApiError> {
        let key = call.input["Key"].as_str().unwrap();
        let found = self.0.templates.lock().unwrap().get(key).cloned();
        let text = found.ok_or_else(|| ApiError::new(404, "NoSuchKey", "no"))?;
        Ok(Answer { payload: Some(text.into()), ..Answer::default() })
    }
}

#[async_trait]
impl Authorizer for Recorder {
    async fn authorize(&self, _: &Caller, action: &str, _: &str) -> Result<(), ApiError> {
        match self.forbidden.lock().unwrap().as_deref() == Some(action) {
            true => Err(ApiError::new(403, "AccessDenied", format!("may not {action}"))),
            false => Ok(()),
        }
    }
}

struct Fixture {
    service: CloudFormation,
    recorder: Arc<Recorder>,
}

impl Fixture {
    fn new() -> Fixture {
        Fixture::over(Arc::new(cumulet_store_memory::MemoryStore::new()))
    }

    fn over(store: Arc<cumulet_store_memory::MemoryStore>) -> Fixture {
        Fixture::at(store, Arc::new(SystemClock))
    }

    fn at(store: Arc<cumulet_store_memory::MemoryStore>, clock: Arc<dyn Clock>) -> Fixture {
        let recorder = Arc::new(Recorder::default());
        let wire = cumulet_wire::client::Client::default();
        let delivery = cumulet_delivery::Delivery::new(store.clone(), clock.clone());
        let service =
            CloudFormation::new(store, clock.clone(), delivery.clone(), wire.clone(), "http://127.0.0.1:4566");
        let registry = [&LAMBDA, &IAM, &GATEWAY, &SNS, &ALARMS]
            .into_iter()
            .fold(Registry::default(), |registry, model| registry.with(Arc::new(Recorded(model, recorder.clone()))));
        // Nested stacks are fetched from here.
        let registry = registry.with(Arc::new(Templates(recorder.clone())));
        service.connect(registry.clone(), recorder.clone());
        wire.connect(registry, recorder.clone(), clock);
        *recorder.plane.lock().unwrap() = Some(service.reply_plane());
        delivery.start();
        Fixture { service, recorder }
    }

    async fn try_call(&self, operation: &str, input: Value) -> Result<Value, ApiError> {
        let operation = MODEL.operations.iter().find(|o| o.name == operation).unwrap();
        let context = Context {
            caller: Caller::owner("000000000000"),
            region: "us-east-1".into(),
            request_id: "r".into(),
            host: "127.0.0.1:4566".into(),
            now_ms: 1_795_428_930_123,
            trace: None,
        };
        let input = input.as_object().unwrap().clone();
        let call = Call { operation, input, payload: Bytes::new(), context };
        self.service.call(call).await.map(|answer| answer.output)
    }

    async fn call(&self, operation: &str, input: Value) -> Value {
        self.try_call(operation, input).await.unwrap()
    }

    /// The stack, once nobody works on it any more.
    async fn settled(&self, name: &str) -> Value {
        let settled = async {
            loop {
                let stacks = self.call("DescribeStacks", json!({"StackName": name})).await;
                let stack = stacks["Stacks"][0].clone();
                if !stack["StackStatus"].as_str().unwrap().ends_with("_IN_PROGRESS") {
                    return stack;
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), settled).await.unwrap()
    }

    /// Once nobody works on any stack.
    async fn free(&self) {
        self.service.running.clone().acquire_many_owned(64).await.unwrap().forget();
        self.service.running.add_permits(64);
    }

    fn calls(&self) -> Vec<String> {
        self.recorder.calls.lock().unwrap().drain(..).map(|(name, _)| name).collect()
    }
}

fn plain(memory: u32, with_permission: bool) -> String {
    let mut template = json!({
        "Parameters": {"Secret": {"Type": "String", "NoEcho": true, "Default": "s3cret"}},
        "Resources": {
            "F": {"Type": "AWS::Lambda::Function", "Properties": {
                "Role": {"Fn::GetAtt": ["R", "Arn"]}, "Runtime": "nodejs22.x", "Handler": "index.handler",
                "Code": {"ZipFile": "exports.handler = async () => 1"}, "MemorySize": memory}},
            "R": {"Type": "AWS::IAM::Role", "Properties": {
                "AssumeRolePolicyDocument": {"Statement": []}, "ManagedPolicyArns": ["arn:p"]}}
        },
        "Outputs": {"Name": {"Value": {"Ref": "F"}, "Export": {"Name": "n"}}}
    });
    if with_permission {
        template["Resources"]["P"] = json!({"Type": "AWS::Lambda::Permission", "Properties": {
            "FunctionName": {"Ref": "F"}, "Action": "lambda:InvokeFunction", "Principal": "x"}});
    }
    template.to_string()
}

fn create(template: String) -> Value {
    json!({"StackName": "s", "TemplateBody": template, "Capabilities": ["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"]})
}

#[tokio::test]
async fn a_stack_is_created_changed_and_deleted() {
    let f = Fixture::new();
    let arn = f.call("CreateStack", create(plain(128, true))).await["StackId"].clone();
    let stack = f.settled("s").await;
    assert_eq!(stack["StackStatus"], "CREATE_COMPLETE", "{stack}");
    assert!(stack["Outputs"][0]["OutputValue"].as_str().unwrap().starts_with("s-F-"));
    assert_eq!(stack["Parameters"][0]["ParameterValue"], "****");
    assert_eq!(f.calls(), ["CreateRole", "AttachRolePolicy", "CreateFunction", "AddPermission"]);
    let error = f.try_call("UpdateStack", create(plain(128, true))).await.unwrap_err();
    assert_eq!((error.status, error.message.as_str()), (400, "No updates are to be performed."));
    f.call("UpdateStack", create(plain(256, false))).await;
    assert_eq!(f.settled("s").await["StackStatus"], "UPDATE_COMPLETE");
    assert_eq!(f.calls(), ["UpdateFunctionConfiguration", "RemovePermission"]);
    let events = f.call("DescribeStackEvents", json!({"StackName": "s"})).await;
    assert_eq!(events["StackEvents"][0]["ResourceStatus"], "UPDATE_COMPLETE");
    assert_eq!(events["StackEvents"][0]["PhysicalResourceId"], arn);
    f.call("DeleteStack", json!({"StackName": "s"})).await;
    assert_eq!(f.settled(arn.as_str().unwrap()).await["StackStatus"], "DELETE_COMPLETE");
    assert_eq!(f.calls(), ["DeleteFunction", "DetachRolePolicy", "DeleteRole"]);
    let error = f.try_call("DescribeStacks", json!({"StackName": "s"})).await.unwrap_err();
    assert_eq!(
        (error.status, error.code.as_str(), error.message.as_str()),
        (400, "ValidationError", "Stack with id s does not exist")
    );
}

#[tokio::test]
async fn what_fails_is_taken_back() {
    let f = Fixture::new();
    *f.recorder.fails.lock().unwrap() = Some("AddPermission".into());
    f.call("CreateStack", create(plain(128, true))).await;
    let stack = f.settled("s").await;
    assert_eq!(stack["StackStatus"], "ROLLBACK_COMPLETE", "{stack}");
    assert_eq!(
        f.calls(),
        ["CreateRole", "AttachRolePolicy", "CreateFunction", "DeleteFunction", "DetachRolePolicy", "DeleteRole"]
    );
    f.call("DeleteStack", json!({"StackName": "s"})).await;
    f.free().await;
    f.call("CreateStack", create(plain(128, false))).await;
    assert_eq!(f.settled("s").await["StackStatus"], "CREATE_COMPLETE");
    f.calls();
    f.call("UpdateStack", create(plain(256, true))).await;
    let stack = f.settled("s").await;
    assert_eq!(stack["StackStatus"], "UPDATE_ROLLBACK_COMPLETE", "{stack}");
    let calls = f.recorder.calls.lock().unwrap().clone();
    let memory: Vec<&Value> = calls.iter().map(|(_, input)| &input["MemorySize"]).collect();
    assert_eq!(memory, [&json!(256), &json!(128)]);
}

#[tokio::test]
async fn the_callers_permissions_are_asked_for_every_call() {
    let f = Fixture::new();
    *f.recorder.forbidden.lock().unwrap() = Some("iam:CreateRole".into());
    f.call("CreateStack", create(plain(128, false))).await;
    let stack = f.settled("s").await;
    assert_eq!(stack["StackStatus"], "ROLLBACK_COMPLETE");
    assert!(f.calls().is_empty());
    let events = f.call("DescribeStackEvents", json!({"StackName": "s"})).await.to_string();
    assert!(events.contains("may not iam:CreateRole"), "{events}");
}

#[tokio::test]
async fn change_sets() {
    let f = Fixture::new();
    let with = |extra: Value| {
        let mut input = create(crate::sam::tests::EXAMPLE.to_owned());
        input["ChangeSetName"] = "c".into();
        for (name, value) in extra.as_object().unwrap() {
            input[name] = value.clone();
        }
        input
    };
    f.call("CreateChangeSet", with(json!({"ChangeSetType": "CREATE"}))).await;
    let stacks = f.call("DescribeStacks", json!({"StackName": "s"})).await;
    assert_eq!(stacks["Stacks"][0]["StackStatus"], "REVIEW_IN_PROGRESS");
    let named = json!({"StackName": "s", "ChangeSetName": "c"});
    let set = f.call("DescribeChangeSet", named.clone()).await;
    assert_eq!((&set["Status"], &set["ExecutionStatus"]), (&json!("CREATE_COMPLETE"), &json!("AVAILABLE")));
    assert_eq!(set["Changes"].as_array().unwrap().len(), 10);
    f.call("ExecuteChangeSet", named.clone()).await;
    let stack = f.settled("s").await;
    assert_eq!(stack["StackStatus"], "CREATE_COMPLETE", "{stack}");
    assert_eq!(stack["Outputs"][0]["OutputValue"], "https://api1.execute-api.us-east-1.localhost:4566/hello");
    let route = f.recorder.calls.lock().unwrap().iter().find(|(name, _)| name == "CreateRoute").unwrap().1.clone();
    assert_eq!(route, json!({"apiId": "api1", "routeKey": "GET /hello/{name}", "target": "integrations/int1"}));
    let error = f.try_call("DescribeChangeSet", named.clone()).await.unwrap_err();
    assert_eq!((error.status, error.code.as_str()), (404, "ChangeSetNotFound"));
    f.call("CreateChangeSet", with(json!({}))).await;
    let set = f.call("DescribeChangeSet", named.clone()).await;
    assert_eq!(set["Status"], "FAILED");
    assert!(set["StatusReason"].as_str().unwrap().starts_with("The submitted information didn't contain changes."));
    let error = f.try_call("ExecuteChangeSet", named.clone()).await.unwrap_err();
    assert_eq!(error.code, "InvalidChangeSetStatus");
    f.call("DeleteChangeSet", named.clone()).await;
    let unknown = json!({"Resources": {"Q": {"Type": "AWS::EC2::Instance"}}}).to_string();
    f.call("CreateChangeSet", with(json!({"TemplateBody": unknown}))).await;
    let set = f.call("DescribeChangeSet", named).await;
    assert_eq!(set["Status"], "FAILED");
    assert!(set["StatusReason"].as_str().unwrap().contains("AWS::EC2::Instance"), "{set}");
}

#[tokio::test]
async fn requests_that_are_refused() {
    let f = Fixture::new();
    let no_capabilities = json!({"StackName": "s", "TemplateBody": plain(128, false)});
    let url = json!({"StackName": "s", "TemplateURL": "https://x"});
    let name = json!({"StackName": "1s", "TemplateBody": plain(128, false)});
    for (operation, input, code) in [
        ("CreateStack", no_capabilities, "InsufficientCapabilitiesException"),
        ("CreateStack", json!({}), "ValidationError"),
        ("CreateStack", json!({"StackName": "s", "TemplateBody": "{"}), "ValidationError"),
        ("CreateStack", url, "ValidationError"),
        ("CreateStack", name, "ValidationError"),
        ("UpdateStack", create(plain(128, false)), "ValidationError"),
        ("DescribeStackResource", json!({"StackName": "s", "LogicalResourceId": "x"}), "ValidationError"),
        ("ValidateTemplate", json!({"TemplateBody": "a: 1"}), "ValidationError"),
    ] {
        let error = f.try_call(operation, input).await.unwrap_err();
        assert_eq!(error.code, code, "{operation}: {}", error.message);
    }
}

/// What a crash leaves: the store as it was after some commit, and nobody at work.
#[tokio::test]
async fn a_crash_is_gone_on_from() {
    for status in ["CREATE_IN_PROGRESS", "UPDATE_IN_PROGRESS", "DELETE_IN_PROGRESS"] {
        let store = Arc::new(cumulet_store_memory::MemoryStore::new());
        let f = Fixture::over(store.clone());
        if status != "CREATE_IN_PROGRESS" {
            f.call("CreateStack", create(plain(128, false))).await;
            assert_eq!(f.settled("s").await["StackStatus"], "CREATE_COMPLETE");
        }
        // The process ends with a step begun: its call never returns.
        *f.recorder.hangs.lock().unwrap() = Some(
            match status {
                "CREATE_IN_PROGRESS" => "CreateFunction",
                "UPDATE_IN_PROGRESS" => "UpdateFunctionConfiguration",
                _ => "DeleteFunction",
            }
            .into(),
        );
        match status {
            "CREATE_IN_PROGRESS" => f.call("CreateStack", create(plain(128, false))).await,
            "UPDATE_IN_PROGRESS" => f.call("UpdateStack", create(plain(256, false))).await,
            _ => f.call("DeleteStack", json!({"StackName": "s"})).await,
        };
        let arn = f.call("DescribeStacks", json!({"StackName": "s"})).await["Stacks"][0]["StackId"].clone();
        f.recorder.reached.notified().await;
        let next = Fixture::over(store);
        next.service.recover().await.unwrap();
        let stack = next.settled(arn.as_str().unwrap()).await;
        assert_eq!(stack["StackStatus"], status.replace("IN_PROGRESS", "COMPLETE"), "{stack}");
        let calls = next.calls();
        match status {
            // The role was made before; the function gets the name it was to have.
            "CREATE_IN_PROGRESS" => assert_eq!(calls, ["CreateFunction"]),
            "UPDATE_IN_PROGRESS" => assert_eq!(calls, ["UpdateFunctionConfiguration"]),
            _ => assert_eq!(calls, ["DeleteFunction", "DetachRolePolicy", "DeleteRole"]),
        }
        let deadline = async {
            while !next.service.storage.running().await.unwrap().is_empty() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), deadline).await.unwrap();
    }
}

#[tokio::test]
async fn what_one_stack_exports_another_imports() {
    let f = Fixture::new();
    let importer = json!({"Resources": {"F": {"Type": "AWS::Lambda::Permission", "Properties": {
        "FunctionName": {"Fn::ImportValue": "n"}, "Action": "lambda:InvokeFunction", "Principal": "x"}}}})
    .to_string();
    let second = json!({"StackName": "t", "TemplateBody": importer});
    let error = f.try_call("CreateStack", second.clone()).await.unwrap_err();
    assert_eq!(error.message, "No export named n found.");
    f.call("CreateStack", create(plain(128, false))).await;
    let stack = f.settled("s").await;
    let exports = f.call("ListExports", json!({})).await;
    assert_eq!(exports["Exports"][0]["Value"], stack["Outputs"][0]["OutputValue"], "{exports}");
    assert!(f.try_call("ListImports", json!({"ExportName": "n"})).await.is_err());
    f.call("CreateStack", second).await;
    assert_eq!(f.settled("t").await["StackStatus"], "CREATE_COMPLETE");
    assert_eq!(f.call("ListImports", json!({"ExportName": "n"})).await["Imports"], json!(["t"]));
    // A second exporter of the name, and its end while it is in use.
    let mut third = create(plain(128, false));
    third["StackName"] = "u".into();
    f.call("CreateStack", third).await;
    let stack = f.settled("u").await;
    assert_eq!(stack["StackStatus"], "ROLLBACK_COMPLETE", "{stack}");
    assert!(stack["StackStatusReason"].as_str().unwrap().contains("already exported by stack s"), "{stack}");
    f.call("DeleteStack", json!({"StackName": "s"})).await;
    let stack = f.settled("s").await;
    assert_eq!(stack["StackStatus"], "DELETE_FAILED");
    assert_eq!(stack["StackStatusReason"], "Export n cannot be deleted as it is in use by t");
    f.call("DeleteStack", json!({"StackName": "t"})).await;
    while f.try_call("DescribeStacks", json!({"StackName": "t"})).await.is_ok() {
        tokio::task::yield_now().await;
    }
    f.call("DeleteStack", json!({"StackName": "s"})).await;
    while f.try_call("DescribeStacks", json!({"StackName": "s"})).await.is_ok() {
        tokio::task::yield_now().await;
    }
    assert_eq!(f.call("ListExports", json!({})).await["Exports"], json!([]));
}

#[tokio::test]
async fn nested_stacks() {
    let f = Fixture::new();
    f.recorder.templates.lock().unwrap().insert("inner".into(), plain(128, false));
    let outer = json!({
        "Resources": {
            "Inner": {"Type": "AWS::CloudFormation::Stack", "Properties": {"TemplateURL": "https://s3.amazonaws.com/b/inner"}},
            "P": {"Type": "AWS::Lambda::Permission", "Properties": {
                "FunctionName": {"Fn::GetAtt": ["Inner", "Outputs.Name"]}, "Action": "lambda:InvokeFunction", "Principal": "x"}}
        },
        "Outputs": {"Name": {"Value": {"Fn::GetAtt": "Inner.Outputs.Name"}}}
    });
    f.call("CreateStack", create(outer.to_string())).await;
    let stack = f.settled("s").await;
    assert_eq!(stack["StackStatus"], "CREATE_COMPLETE", "{stack}");
    let resources = f.call("DescribeStackResources", json!({"StackName": "s", "LogicalResourceId": "Inner"})).await;
    let inner = resources["StackResources"][0]["PhysicalResourceId"].as_str().unwrap().to_owned();
    let described = f.call("DescribeStacks", json!({"StackName": inner})).await["Stacks"][0].clone();
    assert_eq!((&described["ParentId"], &described["RootId"]), (&stack["StackId"], &stack["StackId"]));
    assert_eq!(stack["Outputs"][0]["OutputValue"], described["Outputs"][0]["OutputValue"]);
    f.call("DeleteStack", json!({"StackName": "s"})).await;
    let arn = stack["StackId"].as_str().unwrap();
    assert_eq!(f.settled(arn).await["StackStatus"], "DELETE_COMPLETE");
    assert_eq!(f.settled(&inner).await["StackStatus"], "DELETE_COMPLETE");
    // One that fails takes the outer one back with it.
    *f.recorder.fails.lock().unwrap() = Some("CreateFunction".into());
    f.call("CreateStack", create(outer.to_string())).await;
    let stack = f.settled("s").await;
    assert_eq!(stack["StackStatus"], "ROLLBACK_COMPLETE");
    let events = f.call("DescribeStackEvents", json!({"StackName": "s"})).await.to_string();
    assert!(
        events.contains("was not successfully created: The following resource(s) failed to create: [F]"),
        "{events}"
    );
}

#[tokio::test]
async fn custom_resources() {
    let f = Fixture::new();
    let template = |value: u32| {
        json!({
            "Resources": {"C": {"Type": "Custom::Thing", "Properties": {"ServiceToken": "arn:aws:lambda:r:0:function:f", "V": value}}},
            "Outputs": {"A": {"Value": {"Fn::GetAtt": ["C", "Answer"]}}}
        })
        .to_string()
    };
    let reply =
        |answer: &str, id: &str| json!({"Status": "SUCCESS", "PhysicalResourceId": id, "Data": {"Answer": answer}});
    let replies = |kind: &str, reply: Value| drop(f.recorder.replies.lock().unwrap().insert(kind.into(), reply));
    replies("Create", reply("one", "first"));
    f.call("CreateStack", create(template(1))).await;
    let stack = f.settled("s").await;
    assert_eq!(
        (&stack["StackStatus"], &stack["Outputs"][0]["OutputValue"]),
        (&json!("CREATE_COMPLETE"), &json!("one"))
    );
    // Another physical id takes the place of the first, which is deleted.
    replies("Update", reply("two", "second"));
    replies("Delete", json!({"Status": "SUCCESS"}));
    f.call("UpdateStack", create(template(2))).await;
    let stack = f.settled("s").await;
    assert_eq!(
        (&stack["StackStatus"], &stack["Outputs"][0]["OutputValue"]),
        (&json!("UPDATE_COMPLETE"), &json!("two"))
    );
    let calls = f.recorder.calls.lock().unwrap().clone();
    let asked: Vec<(&str, &Value)> = calls
        .iter()
        .filter_map(|(name, event)| Some((name.strip_prefix("Custom")?, &event["PhysicalResourceId"])))
        .collect();
    assert_eq!(asked, [("Create", &Value::Null), ("Update", &json!("first")), ("Delete", &json!("first"))]);
    let update = &calls.iter().find(|(name, _)| name == "CustomUpdate").unwrap().1;
    assert_eq!((&update["ResourceProperties"]["V"], &update["OldResourceProperties"]["V"]), (&json!("2"), &json!("1")));
    replies("Update", json!({"Status": "FAILED", "Reason": "because", "PhysicalResourceId": "second"}));
    f.call("UpdateStack", create(template(3))).await;
    let stack = f.settled("s").await;
    assert_eq!(stack["StackStatus"], "UPDATE_ROLLBACK_FAILED", "{stack}");
    assert!(stack["StackStatusReason"].as_str().unwrap().contains("because"), "{stack}");
    replies("Update", reply("two", "second"));
    f.call("ContinueUpdateRollback", json!({"StackName": "s"})).await;
    assert_eq!(f.settled("s").await["StackStatus"], "UPDATE_ROLLBACK_COMPLETE");
}

#[tokio::test]
async fn policies_of_stacks_protect_resources() {
    let f = Fixture::new();
    let policy = json!({"Statement": [
        {"Effect": "Allow", "Action": "Update:*", "Principal": "*", "Resource": "*"},
        {"Effect": "Deny", "Action": "Update:Modify", "Principal": "*", "Resource": "LogicalResourceId/F"}]});
    let mut input = create(plain(128, false));
    input["StackPolicyBody"] = policy.to_string().into();
    f.call("CreateStack", input).await;
    f.settled("s").await;
    f.calls();
    f.call("UpdateStack", create(plain(256, false))).await;
    let stack = f.settled("s").await;
    assert_eq!(stack["StackStatus"], "UPDATE_ROLLBACK_COMPLETE");
    assert!(f.calls().is_empty());
    let events = f.call("DescribeStackEvents", json!({"StackName": "s"})).await.to_string();
    assert!(events.contains("Action denied by stack policy"), "{events}");
    let mut input = create(plain(256, false));
    input["StackPolicyDuringUpdateBody"] =
        json!({"Statement": {"Effect": "Allow", "Action": "Update:*", "Principal": "*", "Resource": "*"}})
            .to_string()
            .into();
    f.call("UpdateStack", input).await;
    assert_eq!(f.settled("s").await["StackStatus"], "UPDATE_COMPLETE");
    f.call("UpdateTerminationProtection", json!({"StackName": "s", "EnableTerminationProtection": "true"})).await;
    assert!(f.try_call("DeleteStack", json!({"StackName": "s"})).await.is_err());
}

#[tokio::test]
async fn failures_that_are_not_taken_back() {
    let f = Fixture::new();
    *f.recorder.fails.lock().unwrap() = Some("CreateFunction".into());
    let mut input = create(plain(128, false));
    input["DisableRollback"] = "true".into();
    f.call("CreateStack", input.clone()).await;
    assert_eq!(f.settled("s").await["StackStatus"], "CREATE_FAILED");
    assert_eq!(f.calls(), ["CreateRole", "AttachRolePolicy"]);
    *f.recorder.fails.lock().unwrap() = None;
    // What is there stays; what failed is made.
    f.call("UpdateStack", create(plain(128, true))).await;
    let stack = f.settled("s").await;
    assert_eq!(stack["StackStatus"], "UPDATE_COMPLETE", "{stack}");
    assert_eq!(f.calls(), ["CreateFunction", "AddPermission"]);
}

#[tokio::test]
async fn kept_resources_and_replacements() {
    let f = Fixture::new();
    let template = |name: &str, fate: &str| {
        json!({"Resources": {"R": {"Type": "AWS::IAM::Role", "DeletionPolicy": fate, "UpdateReplacePolicy": "Delete",
            "Properties": {"RoleName": name, "AssumeRolePolicyDocument": {}}}}})
        .to_string()
    };
    let mut input = create(template("a", "RetainExceptOnCreate"));
    input["Capabilities"] = json!(["CAPABILITY_NAMED_IAM"]);
    f.call("CreateStack", input.clone()).await;
    f.settled("s").await;
    input["TemplateBody"] = template("b", "Retain").into();
    f.call("UpdateStack", input).await;
    assert_eq!(f.settled("s").await["StackStatus"], "UPDATE_COMPLETE");
    assert_eq!(f.calls(), ["CreateRole", "CreateRole", "DeleteRole"]);
    f.call("DeleteStack", json!({"StackName": "s"})).await;
    while f.try_call("DescribeStacks", json!({"StackName": "s"})).await.is_ok() {
        tokio::task::yield_now().await;
    }
    assert!(f.calls().is_empty());
}
