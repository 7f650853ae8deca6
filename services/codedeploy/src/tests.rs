//! Deployments from request to end, over the store in memory, a clock by hand, and recorders that stand for functions,
//! alarms and roles.

#![allow(clippy::unwrap_used)]

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use cumulet_store_memory::MemoryStore;
use cumulet_wire::auth::{Authorizer, Caller};
use cumulet_wire::call::Context;
use cumulet_wire::operation::Registry;
use serde_json::json;

use super::*;

const START_MS: u64 = 1_795_428_930_000;
const MINUTE_MS: u64 = 60_000;
const ROLE: &str = "arn:aws:iam::000000000000:role/deployer";

struct Hand(AtomicU64);

impl Clock for Hand {
    fn now_ms(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
}

/// What the other services know.
#[derive(Default)]
struct World {
    /// The alias: its version, and the weights of others.
    alias: Mutex<(String, Value)>,
    /// Every change of it.
    changes: Mutex<Vec<Value>>,
    asked: Mutex<Vec<Value>>,
    alarms: Mutex<Value>,
    /// What was published.
    told: Mutex<Vec<Value>>,
    /// An operation that fails, with a status.
    fails: Mutex<Option<(String, u16)>>,
}

struct Stands(&'static ServiceModel, Arc<World>);

const fn model(name: &'static str, operations: &'static [Operation]) -> ServiceModel {
    ServiceModel { name, protocol: Protocol::Json11, target: "", xmlns: "", operations, absent: &[] }
}

static LAMBDA: ServiceModel =
    model("lambda", &[Operation::rpc("GetAlias"), Operation::rpc("UpdateAlias"), Operation::rpc("Invoke")]);
static ALARMS: ServiceModel = model("cloudwatch", &[Operation::rpc("DescribeAlarms")]);
static SNS: ServiceModel = model("sns", &[Operation::rpc("Publish")]);
static IAM: ServiceModel = model("iam", &[Operation::rpc("GetRole")]);

#[async_trait]
impl Service for Stands {
    fn model(&self) -> &'static ServiceModel {
        self.0
    }

    async fn call(&self, call: Call) -> Result<Answer, ApiError> {
        let (world, name) = (&self.1, call.operation.name);
        if let Some((_, status)) = world.fails.lock().unwrap().as_ref().filter(|(failing, _)| failing == name) {
            return Err(ApiError::new(*status, "Failed", "no"));
        }
        let trust = |service: &str| json!({"Statement": [{"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}]});
        Answer::json(match name {
            "GetRole" => match call.input["RoleName"].as_str() {
                Some("deployer") => json!({"Role": {"AssumeRolePolicyDocument": trust(PRINCIPAL)}}),
                Some("other") => json!({"Role": {"AssumeRolePolicyDocument": trust("lambda.amazonaws.com")}}),
                _ => return Err(ApiError::new(404, "NoSuchEntity", "no")),
            },
            "DescribeAlarms" => json!({"MetricAlarms": *world.alarms.lock().unwrap(), "CompositeAlarms": []}),
            "Publish" => {
                assert_eq!(call.context.caller.arn.rsplit('/').nth(1), Some("deployer"));
                world.told.lock().unwrap().push(Value::Object(call.input.clone()));
                json!({})
            }
            "Invoke" => {
                let mut event: Value = serde_json::from_slice(&call.payload).unwrap();
                event["function"] = call.input["FunctionName"].clone();
                world.asked.lock().unwrap().push(event);
                json!({})
            }
            "GetAlias" => json!({"FunctionVersion": world.alias.lock().unwrap().0}),
            _ => {
                assert_eq!((&call.input["FunctionName"], &call.input["Name"]), (&json!("f"), &json!("live")));
                let version = call.input["FunctionVersion"].as_str().unwrap().to_owned();
                let weights = call.input["RoutingConfig"]["AdditionalVersionWeights"].clone();
                world.changes.lock().unwrap().push(json!([version, weights]));
                *world.alias.lock().unwrap() = (version, weights);
                json!({})
            }
        })
    }
}

struct Anybody;

#[async_trait]
impl Authorizer for Anybody {
    async fn authorize(&self, _: &Caller, _: &str, _: &str) -> Result<(), ApiError> {
        Ok(())
    }
}

struct Fixture {
    service: CodeDeploy,
    world: Arc<World>,
    clock: Arc<Hand>,
    delivery: Arc<Delivery>,
}

impl Fixture {
    fn new() -> Fixture {
        let world = Arc::new(World::default());
        world.alias.lock().unwrap().0 = "1".to_owned();
        Fixture::over(Arc::new(MemoryStore::new()), world, START_MS)
    }

    fn over(store: Arc<MemoryStore>, world: Arc<World>, now_ms: u64) -> Fixture {
        let clock = Arc::new(Hand(AtomicU64::new(now_ms)));
        let client = Client::default();
        let delivery = Delivery::new(store.clone(), clock.clone());
        let service = CodeDeploy::new(store, clock.clone(), client.clone(), delivery.clone());
        let registry = [&LAMBDA, &ALARMS, &IAM, &SNS]
            .into_iter()
            .fold(Registry::default(), |registry, model| registry.with(Arc::new(Stands(model, world.clone()))));
        client.connect(registry, Arc::new(Anybody), clock.clone());
        delivery.start();
        Fixture { service, world, clock, delivery }
    }

    async fn try_call(&self, operation: &str, input: Value) -> Result<Value, ApiError> {
        let operation = MODEL.operations.iter().find(|o| o.name == operation).unwrap();
        let context = Context {
            caller: Caller::owner("000000000000"),
            region: "us-east-1".into(),
            request_id: "r".into(),
            host: "127.0.0.1:4566".into(),
            now_ms: self.clock.now_ms(),
            trace: None,
        };
        let input = input.as_object().unwrap().clone();
        self.service.call(Call { operation, input, payload: Bytes::new(), context }).await.map(|answer| answer.output)
    }

    async fn call(&self, operation: &str, input: Value) -> Value {
        self.try_call(operation, input).await.unwrap()
    }

    async fn code(&self, operation: &str, input: Value) -> String {
        self.try_call(operation, input).await.unwrap_err().code
    }

    /// An application with a group that goes back on everything.
    async fn group(&self, more: Value) {
        self.call("CreateApplication", json!({"applicationName": "a", "computePlatform": "Lambda"})).await;
        let mut input = json!({
            "applicationName": "a", "deploymentGroupName": "g", "serviceRoleArn": ROLE,
            "autoRollbackConfiguration": {"enabled": true, "events": [
                "DEPLOYMENT_FAILURE", "DEPLOYMENT_STOP_ON_ALARM", "DEPLOYMENT_STOP_ON_REQUEST"]},
        });
        input.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.call("CreateDeploymentGroup", input).await;
    }

    async fn deploy(&self, config: &str, hooks: Value) -> String {
        let answer = self.call("CreateDeployment", deployment(config, hooks)).await;
        answer["deploymentId"].as_str().unwrap().to_owned()
    }

    async fn info(&self, id: &str) -> Value {
        self.call("GetDeployment", json!({"deploymentId": id})).await["deploymentInfo"].clone()
    }

    /// The timer's time passes by itself when nobody works, so that lanes look at the clock again.
    async fn until(&self, what: &str, holds: impl AsyncFn() -> bool) {
        for _ in 0..2000 {
            if holds().await {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("{what}");
    }

    async fn ends(&self, id: &str, status: &str) -> Value {
        self.until(status, async || self.info(id).await["status"] == status).await;
        self.info(id).await
    }

    async fn changed(&self, count: usize) {
        self.until("the alias is changed", async || self.changes().len() >= count).await;
    }

    fn changes(&self) -> Vec<Value> {
        self.world.changes.lock().unwrap().clone()
    }

    /// What the hook was asked with.
    async fn asked(&self, count: usize) -> Value {
        self.until("the hook is asked", async || self.world.asked.lock().unwrap().len() >= count).await;
        self.world.asked.lock().unwrap()[count - 1].clone()
    }

    fn pass(&self, ms: u64) {
        self.clock.0.fetch_add(ms, Ordering::SeqCst);
    }

    fn alarm(&self, state: &str) {
        *self.world.alarms.lock().unwrap() = json!([{"AlarmName": "errors", "StateValue": state}]);
    }
}

fn deployment(config: &str, hooks: Value) -> Value {
    let properties = json!({"Name": "f", "Alias": "live", "CurrentVersion": "1", "TargetVersion": "2"});
    let spec = json!({"version": 0.0, "Resources": [{"f": {"Type": "AWS::Lambda::Function", "Properties": properties}}], "Hooks": hooks});
    json!({
        "applicationName": "a", "deploymentGroupName": "g", "deploymentConfigName": config,
        "revision": {"revisionType": "AppSpecContent", "appSpecContent": {"content": spec.to_string()}},
    })
}

fn report(event: &Value, status: &str) -> Value {
    json!({
        "deploymentId": event["DeploymentId"],
        "lifecycleEventHookExecutionId": event["LifecycleEventHookExecutionId"],
        "status": status,
    })
}

const TOPIC: &str = "arn:aws:sns:us-east-1:000000000000:t";

fn triggers(events: &[&str]) -> Value {
    json!({"triggerConfigurations": [{"triggerName": "t", "triggerTargetArn": TOPIC, "triggerEvents": events}]})
}

const CANARY: &str = "CodeDeployDefault.LambdaCanary10Percent5Minutes";
const LINEAR: &str = "CodeDeployDefault.LambdaLinear10PercentEvery1Minute";

#[tokio::test(start_paused = true)]
async fn a_canary_has_its_share_until_its_time_is_over() {
    let f = Fixture::new();
    f.group(json!({})).await;
    let id = f.deploy(CANARY, json!([])).await;
    f.changed(1).await;
    assert_eq!(f.changes(), [json!(["1", {"2": 0.1}])]);
    assert_eq!(f.info(&id).await["status"], "InProgress");
    let code = f.code("CreateDeployment", deployment(CANARY, json!([]))).await;
    assert_eq!(code, "DeploymentLimitExceededException");
    f.pass(5 * MINUTE_MS);
    let info = f.ends(&id, "Succeeded").await;
    assert_eq!(f.changes()[1..], [json!(["2", {}])]);
    assert_eq!((&info["deploymentOverview"]["Succeeded"], &info["errorInformation"]), (&json!(1), &Value::Null));
    let target = f.call("GetDeploymentTarget", json!({"deploymentId": id, "targetId": "f:live"})).await;
    let target = &target["deploymentTarget"]["lambdaTarget"];
    assert_eq!(target["lambdaFunctionInfo"]["targetVersionWeight"], 1.0);
    assert_eq!(target["lifecycleEvents"][0]["lifecycleEventName"], "AllowTraffic");
    let group = f.call("GetDeploymentGroup", json!({"applicationName": "a", "deploymentGroupName": "g"})).await;
    assert_eq!(group["deploymentGroupInfo"]["lastSuccessfulDeployment"]["deploymentId"], id.as_str());
}

#[tokio::test(start_paused = true)]
async fn a_line_goes_up_step_by_step_and_past_crashes() {
    let store = Arc::new(MemoryStore::new());
    let world = Arc::new(World::default());
    world.alias.lock().unwrap().0 = "1".to_owned();
    let f = Fixture::over(store.clone(), world.clone(), START_MS);
    f.group(json!({})).await;
    let id = f.deploy(LINEAR, json!([])).await;
    f.changed(1).await;
    f.pass(MINUTE_MS);
    f.changed(2).await;
    // The process ends here; another one takes over much later.
    f.delivery.halt();
    f.delivery.settled().await;
    let g = Fixture::over(store, world, START_MS + 8 * MINUTE_MS);
    g.changed(3).await;
    assert_eq!(g.changes(), [json!(["1", {"2": 0.1}]), json!(["1", {"2": 0.2}]), json!(["1", {"2": 0.9}])]);
    g.pass(MINUTE_MS);
    g.ends(&id, "Succeeded").await;
    assert_eq!(g.changes()[3..], [json!(["2", {}])]);
}

#[tokio::test(start_paused = true)]
async fn hooks_are_asked_before_and_after() {
    let f = Fixture::new();
    f.group(json!({})).await;
    let hooks = json!([{"BeforeAllowTraffic": "before"}, {"AfterAllowTraffic": "after"}]);
    let id = f.deploy("CodeDeployDefault.LambdaAllAtOnce", hooks).await;
    let before = f.asked(1).await;
    assert_eq!((&before["function"], &before["DeploymentId"]), (&json!("before"), &json!(id)));
    assert!(f.changes().is_empty());
    let status = report(&before, "InProgress");
    let code = f.code("PutLifecycleEventHookExecutionStatus", status).await;
    assert_eq!(code, "InvalidLifecycleEventHookExecutionStatusException");
    let mut other = report(&before, "Succeeded");
    other["lifecycleEventHookExecutionId"] = "other".into();
    let code = f.code("PutLifecycleEventHookExecutionStatus", other).await;
    assert_eq!(code, "InvalidLifecycleEventHookExecutionIdException");
    let answer = f.call("PutLifecycleEventHookExecutionStatus", report(&before, "Succeeded")).await;
    assert_eq!(answer["lifecycleEventHookExecutionId"], before["LifecycleEventHookExecutionId"]);
    f.changed(1).await;
    let after = f.asked(2).await;
    assert_eq!(after["function"], "after");
    let code = f.code("PutLifecycleEventHookExecutionStatus", report(&before, "Succeeded")).await;
    assert_eq!(code, "LifecycleEventAlreadyCompletedException");
    f.call("PutLifecycleEventHookExecutionStatus", report(&after, "Succeeded")).await;
    f.ends(&id, "Succeeded").await;
    assert_eq!(f.changes(), [json!(["2", {}])]);
}

#[tokio::test(start_paused = true)]
async fn a_hook_that_fails_takes_the_traffic_back() {
    let f = Fixture::new();
    f.group(json!({})).await;
    // Before anything was shifted there is nothing to be taken back.
    let id = f.deploy(CANARY, json!([{"BeforeAllowTraffic": "before"}])).await;
    let event = f.asked(1).await;
    f.call("PutLifecycleEventHookExecutionStatus", report(&event, "Failed")).await;
    let info = f.ends(&id, "Failed").await;
    assert_eq!(info["errorInformation"]["code"], "HOOK_EXECUTION_FAILURE");
    assert!(f.changes().is_empty() && info["rollbackInfo"].is_null());
    let id = f.deploy("CodeDeployDefault.LambdaAllAtOnce", json!([{"AfterAllowTraffic": "after"}])).await;
    let event = f.asked(2).await;
    f.call("PutLifecycleEventHookExecutionStatus", report(&event, "Failed")).await;
    let info = f.ends(&id, "Failed").await;
    assert_eq!(f.changes(), [json!(["2", {}]), json!(["1", {}])]);
    let back = f.info(info["rollbackInfo"]["rollbackDeploymentId"].as_str().unwrap()).await;
    assert_eq!((&back["status"], &back["creator"]), (&json!("Succeeded"), &json!("codeDeployRollback")));
    assert_eq!(back["rollbackInfo"]["rollbackTriggeringDeploymentId"], id.as_str());
    // One that says nothing fails at the end of its hour.
    let id = f.deploy(CANARY, json!([{"BeforeAllowTraffic": "before"}])).await;
    f.asked(3).await;
    f.pass(60 * MINUTE_MS);
    assert_eq!(f.ends(&id, "Failed").await["errorInformation"]["code"], "TIMEOUT");
}

#[tokio::test(start_paused = true)]
async fn an_alarm_takes_the_traffic_back() {
    let f = Fixture::new();
    f.group(json!({"alarmConfiguration": {"enabled": true, "alarms": [{"name": "errors"}]}})).await;
    f.alarm("OK");
    let id = f.deploy(CANARY, json!([])).await;
    f.changed(1).await;
    f.alarm("ALARM");
    f.pass(cumulet_base::limits::DEPLOYMENT_ALARMS_MS);
    let info = f.ends(&id, "Failed").await;
    assert_eq!(info["errorInformation"]["code"], "ALARM_ACTIVE");
    assert_eq!(f.changes(), [json!(["1", {"2": 0.1}]), json!(["1", {}])]);
    // With the alarm nothing begins; an alarm that is not there counts as one, unless it is said not to.
    let id = f.deploy(CANARY, json!([])).await;
    assert_eq!(f.ends(&id, "Failed").await["errorInformation"]["code"], "ALARM_ACTIVE");
    *f.world.alarms.lock().unwrap() = json!([]);
    let id = f.deploy(CANARY, json!([])).await;
    assert_eq!(f.ends(&id, "Failed").await["errorInformation"]["code"], "ALARM_ACTIVE");
    assert_eq!(f.changes().len(), 2);
    let ignoring = json!({"enabled": true, "ignorePollAlarmFailure": true, "alarms": [{"name": "errors"}]});
    let change = json!({"applicationName": "a", "currentDeploymentGroupName": "g", "alarmConfiguration": ignoring});
    f.call("UpdateDeploymentGroup", change).await;
    let id = f.deploy("CodeDeployDefault.LambdaAllAtOnce", json!([])).await;
    f.ends(&id, "Succeeded").await;
}

#[tokio::test(start_paused = true)]
async fn what_is_stopped_goes_back() {
    let f = Fixture::new();
    f.group(json!({"autoRollbackConfiguration": {"enabled": false, "events": []}})).await;
    let id = f.deploy(CANARY, json!([])).await;
    f.changed(1).await;
    f.call("StopDeployment", json!({"deploymentId": id, "autoRollbackEnabled": true})).await;
    let info = f.ends(&id, "Stopped").await;
    assert_eq!(info["errorInformation"]["code"], "MANUAL_STOP");
    assert_eq!(f.changes()[1..], [json!(["1", {}])]);
    assert_eq!(f.code("StopDeployment", json!({"deploymentId": id})).await, "DeploymentAlreadyCompletedException");
    // Or stays where it is.
    let id = f.deploy(CANARY, json!([])).await;
    f.changed(3).await;
    f.call("StopDeployment", json!({"deploymentId": id})).await;
    assert!(f.ends(&id, "Stopped").await["rollbackInfo"].is_null());
    assert_eq!(f.changes().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn failures_of_functions() {
    let f = Fixture::new();
    f.group(json!({})).await;
    f.world.alias.lock().unwrap().0 = "7".to_owned();
    let id = f.deploy(CANARY, json!([])).await;
    assert_eq!(f.ends(&id, "Failed").await["errorInformation"]["code"], "INVALID_REVISION");
    f.world.alias.lock().unwrap().0 = "1".to_owned();
    for (operation, status, code) in [
        ("GetAlias", 404, "INVALID_LAMBDA_FUNCTION"),
        ("UpdateAlias", 403, "IAM_ROLE_PERMISSIONS"),
        ("Invoke", 404, "HOOK_EXECUTION_FAILURE"),
    ] {
        *f.world.fails.lock().unwrap() = Some((operation.to_owned(), status));
        let hooks = if operation == "Invoke" { json!([{"BeforeAllowTraffic": "b"}]) } else { json!([]) };
        let id = f.deploy(CANARY, hooks).await;
        assert_eq!(f.ends(&id, "Failed").await["errorInformation"]["code"], code);
    }
    // What may pass is tried again.
    *f.world.fails.lock().unwrap() = Some(("UpdateAlias".to_owned(), 500));
    let id = f.deploy("CodeDeployDefault.LambdaAllAtOnce", json!([])).await;
    f.until("it has begun", async || f.info(&id).await["status"] == "InProgress").await;
    *f.world.fails.lock().unwrap() = None;
    f.pass(MINUTE_MS);
    f.ends(&id, "Succeeded").await;
}

#[tokio::test(start_paused = true)]
async fn names_and_what_is_refused() {
    let f = Fixture::new();
    f.group(json!({})).await;
    let group = |more: Value| {
        let mut input = json!({"applicationName": "a", "deploymentGroupName": "h", "serviceRoleArn": ROLE});
        input.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        input
    };
    let bad_alarms: Vec<Value> = (0..11).map(|i| json!({"name": i.to_string()})).collect();
    let config = |routing: Value| json!({"deploymentConfigName": "c", "computePlatform": "Lambda", "trafficRoutingConfig": routing});
    let spec = |content: &str| {
        let mut input = deployment(CANARY, json!([]));
        input["revision"]["appSpecContent"]["content"] = content.into();
        input
    };
    let with = |member: &str, value: Value| {
        let mut input = deployment(CANARY, json!([]));
        input[member] = value;
        input
    };
    for (operation, input, code) in [
        ("CreateApplication", json!({"computePlatform": "Lambda"}), "ApplicationNameRequiredException"),
        (
            "CreateApplication",
            json!({"applicationName": "a b", "computePlatform": "Lambda"}),
            "InvalidApplicationNameException",
        ),
        (
            "CreateApplication",
            json!({"applicationName": "a", "computePlatform": "Lambda"}),
            "ApplicationAlreadyExistsException",
        ),
        (
            "CreateApplication",
            json!({"applicationName": "b", "computePlatform": "ECS"}),
            "InvalidComputePlatformException",
        ),
        ("GetApplication", json!({"applicationName": "b"}), "ApplicationDoesNotExistException"),
        ("ListApplications", json!({"nextToken": "x"}), "InvalidNextTokenException"),
        ("CreateDeploymentGroup", group(json!({"applicationName": "b"})), "ApplicationDoesNotExistException"),
        ("CreateDeploymentGroup", group(json!({"deploymentGroupName": "g"})), "DeploymentGroupAlreadyExistsException"),
        ("CreateDeploymentGroup", group(json!({"deploymentGroupName": ""})), "DeploymentGroupNameRequiredException"),
        ("CreateDeploymentGroup", group(json!({"deploymentGroupName": "/"})), "InvalidDeploymentGroupNameException"),
        ("CreateDeploymentGroup", group(json!({"serviceRoleArn": null})), "RoleRequiredException"),
        (
            "CreateDeploymentGroup",
            group(json!({"serviceRoleArn": ROLE.replace("deployer", "other")})),
            "InvalidRoleException",
        ),
        (
            "CreateDeploymentGroup",
            group(json!({"serviceRoleArn": ROLE.replace("deployer", "none")})),
            "InvalidRoleException",
        ),
        (
            "CreateDeploymentGroup",
            group(json!({"deploymentConfigName": "none"})),
            "DeploymentConfigDoesNotExistException",
        ),
        (
            "CreateDeploymentGroup",
            group(json!({"alarmConfiguration": {"enabled": true}})),
            "InvalidAlarmConfigException",
        ),
        (
            "CreateDeploymentGroup",
            group(json!({"alarmConfiguration": {"alarms": bad_alarms}})),
            "AlarmsLimitExceededException",
        ),
        (
            "CreateDeploymentGroup",
            group(json!({"autoRollbackConfiguration": {"enabled": true, "events": ["X"]}})),
            "InvalidAutoRollbackConfigException",
        ),
        (
            "CreateDeploymentGroup",
            group(json!({"deploymentStyle": {"deploymentType": "IN_PLACE"}})),
            "InvalidDeploymentStyleException",
        ),
        (
            "CreateDeploymentGroup",
            group(json!({"triggerConfigurations": [{"triggerName": "t"}]})),
            "InvalidTriggerConfigException",
        ),
        ("CreateDeploymentGroup", group(triggers(&["DeploymentStart", "X"])), "InvalidTriggerConfigException"),
        (
            "CreateDeploymentGroup",
            group(
                json!({"triggerConfigurations": vec![triggers(&["DeploymentStart"])["triggerConfigurations"][0].clone(); 2]}),
            ),
            "InvalidTriggerConfigException",
        ),
        (
            "CreateDeploymentGroup",
            group(json!({"triggerConfigurations": vec![json!({}); 11]})),
            "TriggerTargetsLimitExceededException",
        ),
        (
            "GetDeploymentGroup",
            json!({"applicationName": "a", "deploymentGroupName": "x"}),
            "DeploymentGroupDoesNotExistException",
        ),
        ("UpdateDeploymentGroup", json!({"applicationName": "a"}), "DeploymentGroupNameRequiredException"),
        ("CreateDeploymentConfig", json!({"computePlatform": "Lambda"}), "DeploymentConfigNameRequiredException"),
        (
            "CreateDeploymentConfig",
            json!({"deploymentConfigName": "CodeDeployDefault.x", "computePlatform": "Lambda"}),
            "InvalidDeploymentConfigNameException",
        ),
        ("CreateDeploymentConfig", config(json!({"type": "Slow"})), "InvalidTrafficRoutingConfigurationException"),
        (
            "CreateDeploymentConfig",
            config(json!({"type": "TimeBasedCanary", "timeBasedCanary": {"canaryPercentage": 0, "canaryInterval": 1}})),
            "InvalidTrafficRoutingConfigurationException",
        ),
        ("GetDeploymentConfig", json!({"deploymentConfigName": "none"}), "DeploymentConfigDoesNotExistException"),
        ("DeleteDeploymentConfig", json!({"deploymentConfigName": CANARY}), "InvalidOperationException"),
        ("CreateDeployment", with("revision", Value::Null), "InvalidRevisionException"),
        ("CreateDeployment", with("deploymentConfigName", "none".into()), "DeploymentConfigDoesNotExistException"),
        ("CreateDeployment", with("description", "x".repeat(1025).into()), "DescriptionTooLongException"),
        ("CreateDeployment", with("deploymentGroupName", "x".into()), "DeploymentGroupDoesNotExistException"),
        ("CreateDeployment", spec("{"), "InvalidRevisionException"),
        ("GetDeployment", json!({}), "DeploymentIdRequiredException"),
        ("GetDeployment", json!({"deploymentId": "x"}), "InvalidDeploymentIdException"),
        ("GetDeployment", json!({"deploymentId": "d-ABCDEFGHI"}), "DeploymentDoesNotExistException"),
        ("BatchGetDeployments", json!({"deploymentIds": vec!["d-ABCDEFGHI"; 26]}), "BatchLimitExceededException"),
        ("ListDeployments", json!({"deploymentGroupName": "g"}), "ApplicationNameRequiredException"),
        ("ListDeployments", json!({"includeOnlyStatuses": ["Late"]}), "InvalidDeploymentStatusException"),
        ("TagResource", json!({"Tags": [{"Key": "k", "Value": "v"}]}), "ResourceArnRequiredException"),
        (
            "TagResource",
            json!({"ResourceArn": "arn:aws:codedeploy:us-east-1:000000000000:application:a"}),
            "TagRequiredException",
        ),
        ("ListTagsForResource", json!({"ResourceArn": "a"}), "InvalidArnException"),
    ] {
        assert_eq!(f.code(operation, input.clone()).await, code, "{operation} {input}");
    }
}

#[tokio::test(start_paused = true)]
async fn configurations_tags_and_lists() {
    let f = Fixture::new();
    let linear = json!({"type": "TimeBasedLinear", "timeBasedLinear": {"linearPercentage": 50, "linearInterval": 1}});
    let input = json!({"deploymentConfigName": "mine", "computePlatform": "Lambda", "trafficRoutingConfig": linear});
    f.call("CreateDeploymentConfig", input.clone()).await;
    assert_eq!(f.code("CreateDeploymentConfig", input).await, "DeploymentConfigAlreadyExistsException");
    let shown = f.call("GetDeploymentConfig", json!({"deploymentConfigName": "mine"})).await;
    assert_eq!(shown["deploymentConfigInfo"]["trafficRoutingConfig"], linear);
    let listed = f.call("ListDeploymentConfigs", json!({})).await["deploymentConfigsList"].clone();
    assert_eq!(listed.as_array().unwrap().len(), 10);
    f.group(json!({"deploymentConfigName": "mine", "tags": [{"Key": "k", "Value": "v"}]})).await;
    let name = json!({"deploymentConfigName": "mine"});
    assert_eq!(f.code("DeleteDeploymentConfig", name.clone()).await, "DeploymentConfigInUseException");
    let arn = "arn:aws:codedeploy:us-east-1:000000000000:deploymentgroup:a/g";
    f.call("TagResource", json!({"ResourceArn": arn, "Tags": [{"Key": "l", "Value": "w"}]})).await;
    f.call("UntagResource", json!({"ResourceArn": arn, "TagKeys": ["k"]})).await;
    let tags = f.call("ListTagsForResource", json!({"ResourceArn": arn})).await["Tags"].clone();
    assert_eq!(tags, json!([{"Key": "l", "Value": "w"}]));
    let mut input = deployment("mine", json!([]));
    input.as_object_mut().unwrap().remove("deploymentConfigName");
    let first = f.call("CreateDeployment", input).await["deploymentId"].clone();
    f.changed(1).await;
    f.pass(MINUTE_MS);
    f.ends(first.as_str().unwrap(), "Succeeded").await;
    f.world.alias.lock().unwrap().0 = "1".to_owned();
    f.pass(1);
    let second = f.deploy(CANARY, json!([])).await;
    let list = async |input: Value| f.call("ListDeployments", input).await["deployments"].clone();
    assert_eq!(list(json!({})).await, json!([second, first]));
    let done = json!({"applicationName": "a", "deploymentGroupName": "g", "includeOnlyStatuses": ["Succeeded"]});
    assert_eq!(list(done).await, json!([first]));
    let late = json!({"createTimeRange": {"start": (START_MS + MINUTE_MS) as f64 / 1000.0}});
    assert_eq!(list(late).await, json!([second]));
    let batch = f.call("BatchGetDeployments", json!({"deploymentIds": [first, "d-ABCDEFGHI"]})).await;
    assert_eq!(batch["deploymentsInfo"].as_array().unwrap().len(), 1);
    let renamed = json!({"applicationName": "a", "currentDeploymentGroupName": "g", "newDeploymentGroupName": "h"});
    f.call("UpdateDeploymentGroup", renamed).await;
    let groups = f.call("ListDeploymentGroups", json!({"applicationName": "a"})).await["deploymentGroups"].clone();
    assert_eq!(groups, json!(["h"]));
    f.call("DeleteDeploymentGroup", json!({"applicationName": "a", "deploymentGroupName": "h"})).await;
    f.call("DeleteDeploymentConfig", name).await;
    f.call("UpdateApplication", json!({"applicationName": "a", "newApplicationName": "b"})).await;
    assert_eq!(f.call("ListApplications", json!({})).await["applications"], json!(["b"]));
    f.call("DeleteApplication", json!({"applicationName": "b"})).await;
    assert_eq!(f.call("ListApplications", json!({})).await["applications"], json!([]));
}

#[tokio::test(start_paused = true)]
async fn topics_are_told_of_what_becomes_of_deployments() {
    let f = Fixture::new();
    let all = ["DeploymentStart", "DeploymentSuccess", "DeploymentFailure", "DeploymentStop", "DeploymentRollback"];
    f.group(triggers(&all)).await;
    let name = json!({"applicationName": "a", "deploymentGroupName": "g"});
    let group = f.call("GetDeploymentGroup", name).await["deploymentGroupInfo"].take();
    assert_eq!(group["triggerConfigurations"], triggers(&all)["triggerConfigurations"]);
    let first = f.deploy("CodeDeployDefault.LambdaAllAtOnce", json!([])).await;
    f.ends(&first, "Succeeded").await;
    f.world.alias.lock().unwrap().0 = "1".to_owned();
    let second = f.deploy(CANARY, json!([])).await;
    f.changed(2).await;
    f.call("StopDeployment", json!({"deploymentId": second})).await;
    let stopped = f.ends(&second, "Stopped").await;
    f.until("all is told", async || f.world.told.lock().unwrap().len() >= 5).await;
    let told = f.world.told.lock().unwrap().clone();
    let messages: Vec<Value> =
        told.iter().map(|told| serde_json::from_str(told["Message"].as_str().unwrap()).unwrap()).collect();
    let back = stopped["rollbackInfo"]["rollbackDeploymentId"].as_str().unwrap();
    let shown: Vec<(&str, &str)> = messages
        .iter()
        .map(|message| (message["deploymentId"].as_str().unwrap(), message["status"].as_str().unwrap()))
        .collect();
    let wanted = [
        (first.as_str(), "Created"),
        (&first, "Succeeded"),
        (&second, "Created"),
        (&second, "Stopped"),
        (back, "Succeeded"),
    ];
    assert_eq!(shown, wanted);
    assert_eq!(told[1]["Subject"], format!("SUCCEEDED: AWS CodeDeploy {first} in us-east-1 to a"));
    assert_eq!((&told[1]["TopicArn"], &messages[1]["eventTriggerName"]), (&json!(TOPIC), &json!("t")));
    assert_eq!(messages[1]["deploymentOverview"]["Succeeded"], "1");
    assert_eq!(messages[3]["errorInformation"]["ErrorCode"], "MANUAL_STOP");
    // A group without triggers tells nobody, and one event is not another.
    for (given, told) in [(triggers(&["DeploymentFailure"]), 5), (json!({"triggerConfigurations": []}), 5)] {
        let mut input = json!({"applicationName": "a", "currentDeploymentGroupName": "g"});
        input.as_object_mut().unwrap().extend(given.as_object().unwrap().clone());
        f.call("UpdateDeploymentGroup", input).await;
        f.world.alias.lock().unwrap().0 = "1".to_owned();
        let id = f.deploy("CodeDeployDefault.LambdaAllAtOnce", json!([])).await;
        f.ends(&id, "Succeeded").await;
        assert_eq!(f.world.told.lock().unwrap().len(), told);
    }
}
