//! Wait conditions, creation policies and the signals they wait for.

use super::*;

const HANDLE: &str = r#""H": {"Type": "AWS::CloudFormation::WaitConditionHandle"}"#;

fn with_handle(condition: &Value) -> String {
    format!(
        r#"{{"Resources": {{{HANDLE}, "W": {{"Type": "AWS::CloudFormation::WaitCondition", "Properties": {condition}}}}},
            "Outputs": {{"D": {{"Value": {{"Fn::GetAtt": ["W", "Data"]}}}}}}}}"#
    )
}

fn with_policy(policy: &Value) -> String {
    json!({"Resources": {"W": {"Type": "AWS::CloudFormation::WaitCondition", "CreationPolicy": policy}}}).to_string()
}

impl Fixture {
    /// A resource of the stack `s`, once it has this status.
    pub(super) async fn resource(&self, name: &str, status: &str) -> Value {
        let found = async {
            loop {
                let all =
                    self.call("DescribeStackResources", json!({"StackName": "s", "LogicalResourceId": name})).await;
                if all["StackResources"][0]["ResourceStatus"] == status {
                    return all["StackResources"][0].clone();
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), found).await.unwrap()
    }

    /// The address of the stack's handle, which somebody waits for.
    async fn handle(&self) -> String {
        self.resource("W", "CREATE_IN_PROGRESS").await;
        let handle = self.resource("H", "CREATE_COMPLETE").await;
        handle["PhysicalResourceId"].as_str().unwrap().strip_prefix("http://127.0.0.1:4566").unwrap().to_owned()
    }

    async fn put(&self, path: &str, signal: &Value) -> u16 {
        let plane = self.service.signal_plane();
        assert!(plane.claims("127.0.0.1", path));
        plane.serve(put(path.to_owned(), signal)).await.status().as_u16()
    }

    async fn reasons(&self, name: &str) -> Vec<String> {
        let events = self.call("DescribeStackEvents", json!({"StackName": "s"})).await;
        let of = events["StackEvents"].as_array().unwrap().iter().filter(|e| e["LogicalResourceId"] == name);
        of.filter_map(|e| e["ResourceStatusReason"].as_str().map(str::to_owned)).collect()
    }
}

#[tokio::test]
async fn a_condition_waits_for_as_many_signals_as_it_asks_for() {
    let f = Fixture::new();
    f.call("CreateStack", create(with_handle(&json!({"Handle": {"Ref": "H"}, "Timeout": "60", "Count": "2"})))).await;
    let handle = f.handle().await;
    let signal = |id: &str, data: &str| json!({"Status": "SUCCESS", "UniqueId": id, "Data": data, "Reason": "done"});
    assert_eq!(f.put(&format!("{handle}0"), &signal("a", "x")).await, 403);
    assert_eq!(f.put(&handle.replace("/H/", "/W/"), &signal("a", "x")).await, 403);
    assert_eq!(f.put(&handle, &json!({"Status": "MAYBE", "UniqueId": "a"})).await, 400);
    assert_eq!(f.put(&handle, &signal("a", "one")).await, 200);
    // The same once more is none.
    assert_eq!(f.put(&handle, &signal("a", "other")).await, 200);
    assert_eq!(f.resource("W", "CREATE_IN_PROGRESS").await["ResourceType"], "AWS::CloudFormation::WaitCondition");
    assert_eq!(f.put(&handle, &signal("b", "two")).await, 200);
    let stack = f.settled("s").await;
    assert_eq!(stack["StackStatus"], "CREATE_COMPLETE", "{stack}");
    assert_eq!(stack["Outputs"][0]["OutputValue"], r#"{"a":"one","b":"two"}"#);
    // What is there is not changed.
    let other = with_handle(&json!({"Handle": {"Ref": "H"}, "Timeout": "61", "Count": "2"}));
    f.call("UpdateStack", create(other)).await;
    assert_eq!(f.settled("s").await["StackStatus"], "UPDATE_ROLLBACK_COMPLETE");
    assert!(f.reasons("W").await.iter().any(|why| why.ends_with("WaitCondition is not supported.")));
}

#[tokio::test]
async fn a_failure_and_the_end_of_time_fail_the_stack() {
    let f = Fixture::new();
    f.call("CreateStack", create(with_handle(&json!({"Handle": {"Ref": "H"}, "Timeout": 60})))).await;
    let handle = f.handle().await;
    assert_eq!(f.put(&handle, &json!({"Status": "FAILURE", "UniqueId": "a", "Reason": "broken"})).await, 200);
    let stack = f.settled("s").await;
    assert_eq!(stack["StackStatus"], "ROLLBACK_COMPLETE", "{stack}");
    let why = "WaitCondition received failed message: 'broken' for uniqueId: a";
    assert!(f.reasons("W").await.contains(&why.to_owned()));
    // With the stack goes the handle.
    assert_eq!(f.put(&handle, &json!({"Status": "SUCCESS", "UniqueId": "b"})).await, 403);
    f.call("DeleteStack", json!({"StackName": "s"})).await;
    f.free().await;
    f.call("CreateStack", create(with_handle(&json!({"Handle": {"Ref": "H"}, "Timeout": 1})))).await;
    assert_eq!(f.settled("s").await["StackStatus"], "ROLLBACK_COMPLETE");
    let why = "WaitCondition timed out. Received 0 conditions when expecting 1";
    assert!(f.reasons("W").await.contains(&why.to_owned()));
}

#[tokio::test]
async fn resources_with_a_creation_policy_are_signalled_by_name() {
    let f = Fixture::new();
    f.call("CreateStack", create(with_policy(&json!({"ResourceSignal": {"Count": 2, "Timeout": "PT1M"}})))).await;
    f.resource("W", "CREATE_IN_PROGRESS").await;
    let signal =
        |id: &str, status: &str| json!({"StackName": "s", "LogicalResourceId": "W", "UniqueId": id, "Status": status});
    for (input, named) in [
        (json!({"StackName": "t", "LogicalResourceId": "W", "UniqueId": "a", "Status": "SUCCESS"}), "t does not exist"),
        (json!({"StackName": "s", "LogicalResourceId": "X", "UniqueId": "a", "Status": "SUCCESS"}), "Resource X does"),
        (signal("a", "DONE"), "enum value set"),
        (signal("", "SUCCESS"), "uniqueId"),
        (json!({"StackName": "s", "LogicalResourceId": "W", "Status": "SUCCESS"}), "uniqueId"),
    ] {
        let error = f.try_call("SignalResource", input).await.unwrap_err();
        assert!(error.message.contains(named) && error.code == "ValidationError", "{error:?}");
    }
    f.call("SignalResource", signal("a", "SUCCESS")).await;
    f.call("SignalResource", signal("b", "SUCCESS")).await;
    assert_eq!(f.settled("s").await["StackStatus"], "CREATE_COMPLETE");
    let reasons = f.reasons("W").await;
    assert_eq!(reasons, ["Received SUCCESS signal with UniqueId b", "Received SUCCESS signal with UniqueId a"]);
    let error = f.try_call("SignalResource", signal("c", "SUCCESS")).await.unwrap_err();
    assert!(error.message.contains("can not be signaled"), "{error:?}");
    // Another template's condition is another one's: what was signalled before does not count.
    let renamed = with_policy(&json!({"ResourceSignal": {}})).replace("\"W\"", "\"V\"");
    f.call("UpdateStack", create(renamed)).await;
    f.resource("V", "CREATE_IN_PROGRESS").await;
    let failure = json!({"StackName": "s", "LogicalResourceId": "V", "UniqueId": "a", "Status": "FAILURE"});
    f.call("SignalResource", failure).await;
    assert_eq!(f.settled("s").await["StackStatus"], "UPDATE_ROLLBACK_COMPLETE");
    assert!(f.reasons("V").await.contains(&"Received FAILURE signal with UniqueId a".to_owned()));
}

#[tokio::test]
async fn nobody_waits_for_what_is_given_up() {
    let f = Fixture::new();
    // Another resource fails.
    *f.recorder.fails.lock().unwrap() = Some("CreateRole".into());
    let mut template: Value = serde_json::from_str(&plain(128, false)).unwrap();
    template["Resources"]["W"] = json!({"Type": "AWS::CloudFormation::WaitCondition", "CreationPolicy": {"ResourceSignal": {"Timeout": "PT12H"}}});
    f.call("CreateStack", create(template.to_string())).await;
    assert_eq!(f.settled("s").await["StackStatus"], "ROLLBACK_COMPLETE");
    assert!(f.reasons("W").await.contains(&"Resource creation cancelled".to_owned()));
    *f.recorder.fails.lock().unwrap() = None;
    f.call("DeleteStack", json!({"StackName": "s"})).await;
    f.free().await;
    // Or the update is given up.
    f.call("CreateStack", create(plain(128, false))).await;
    assert_eq!(f.settled("s").await["StackStatus"], "CREATE_COMPLETE");
    f.call("UpdateStack", create(template.to_string())).await;
    f.resource("W", "CREATE_IN_PROGRESS").await;
    f.call("CancelUpdateStack", json!({"StackName": "s"})).await;
    assert_eq!(f.settled("s").await["StackStatus"], "UPDATE_ROLLBACK_COMPLETE");
}

/// A signal that came, and the end of the time, outlive the process.
#[tokio::test]
async fn waiting_goes_on_after_a_crash() {
    let store = Arc::new(cumulet_store_memory::MemoryStore::new());
    let f = Fixture::over(store.clone());
    f.call("CreateStack", create(with_handle(&json!({"Handle": {"Ref": "H"}, "Timeout": 60, "Count": 2})))).await;
    let handle = f.handle().await;
    assert_eq!(f.put(&handle, &json!({"Status": "SUCCESS", "UniqueId": "a"})).await, 200);
    let g = Fixture::over(store);
    g.service.recover().await.unwrap();
    // It is still within its time when it is taken again.
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert_eq!(g.resource("W", "CREATE_IN_PROGRESS").await["StackName"], "s");
    assert_eq!(g.put(&handle, &json!({"Status": "SUCCESS", "UniqueId": "b"})).await, 200);
    assert_eq!(g.settled("s").await["StackStatus"], "CREATE_COMPLETE");
}

#[tokio::test]
async fn policies_of_other_types_are_refused_by_name() {
    let f = Fixture::new();
    for (attribute, value) in [("CreationPolicy", json!({"ResourceSignal": {}})), ("UpdatePolicy", json!({}))] {
        let mut template: Value = serde_json::from_str(&plain(128, false)).unwrap();
        template["Resources"]["F"][attribute] = value;
        let error = f.try_call("CreateStack", create(template.to_string())).await.unwrap_err();
        assert!(error.message.contains(&format!("{attribute} of F")), "{error:?}");
    }
}
