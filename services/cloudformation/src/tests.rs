//! Stacks from request to end, over the memory store and one recorder that stands for all other services.

#![allow(clippy::unwrap_used)]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use cumulet_base::clock::SystemClock;
use cumulet_wire::auth::{Authorizer, Caller};
use cumulet_wire::call::{Answer, Call, Context};
use cumulet_wire::error::ApiError;
use cumulet_wire::operation::{Operation, Protocol, Registry, Service, ServiceModel};
use serde_json::{Value, json};

use crate::{CloudFormation, MODEL};

static LAMBDA: ServiceModel = model("lambda", LAMBDA_OPERATIONS);
static IAM: ServiceModel = model("iam", IAM_OPERATIONS);
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
];
const IAM_OPERATIONS: &[Operation] = &[
    Operation::rpc("CreateRole"),
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
        let input = Value::Object(call.input.clone());
        self.1.calls.lock().unwrap().push((name.to_owned(), input.clone()));
        let arn = "arn:aws:lambda:us-east-1:000000000000:function:f";
        Answer::json(json!({
            "FunctionArn": arn, "FunctionUrl": "http://u/", "Role": {"Arn": "arn:role", "RoleId": "AROA"},
            "apiId": "api1", "apiEndpoint": "http://api1", "integrationId": "int1", "routeId": "r1",
            "stageName": input.get("stageName"),
        }))
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
        let recorder = Arc::new(Recorder::default());
        let service = CloudFormation::new(store, Arc::new(SystemClock));
        let registry = [&LAMBDA, &IAM, &GATEWAY]
            .into_iter()
            .fold(Registry::default(), |registry, model| registry.with(Arc::new(Recorded(model, recorder.clone()))));
        service.connect(registry, recorder.clone());
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
    f.service.running.clone().acquire_many_owned(64).await.unwrap().forget();
    f.service.running.add_permits(64);
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
    assert_eq!(set["Changes"].as_array().unwrap().len(), 9);
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
    let unknown = json!({"Resources": {"Q": {"Type": "AWS::SQS::Queue"}}}).to_string();
    f.call("CreateChangeSet", with(json!({"TemplateBody": unknown}))).await;
    let set = f.call("DescribeChangeSet", named).await;
    assert_eq!(set["Status"], "FAILED");
    assert!(set["StatusReason"].as_str().unwrap().contains("AWS::SQS::Queue"), "{set}");
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

#[tokio::test]
async fn a_crash_leaves_a_failed_stack() {
    let store = Arc::new(cumulet_store_memory::MemoryStore::new());
    let f = Fixture::over(store.clone());
    f.call("CreateStack", create(plain(128, false))).await;
    f.settled("s").await;
    f.service.running.clone().acquire_many_owned(64).await.unwrap().forget();
    let owner = crate::storage::Owner { account: "000000000000".into(), region: "us-east-1".into() };
    let id = f.service.storage.named(&owner, "s").await.unwrap().unwrap();
    let (mut stack, rev) = f.service.storage.stack(&owner, &id).await.unwrap().unwrap();
    stack.status = "UPDATE_IN_PROGRESS".into();
    f.service.storage.save(&owner, &stack, rev, &[]).await.unwrap();
    f.service.storage.mark_running(&owner, &id, "r", true).await.unwrap();
    let next = Fixture::over(store);
    next.service.recover().await.unwrap();
    assert_eq!(next.settled("s").await["StackStatus"], "UPDATE_FAILED");
    assert!(next.service.storage.running().await.unwrap().is_empty());
}
