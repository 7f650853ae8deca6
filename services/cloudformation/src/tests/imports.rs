//! Existing resources that are taken into a stack, across a crash.

use super::*;

const TRUST: &str = r#"{"Statement": []}"#;

fn role(name: &str) -> Value {
    let trust: Value = serde_json::from_str(TRUST).unwrap();
    json!({"Type": "AWS::IAM::Role", "DeletionPolicy": "Retain",
        "Properties": {"RoleName": name, "AssumeRolePolicyDocument": trust}})
}

fn import(names: &[&str]) -> Value {
    let resources: serde_json::Map<_, _> = names.iter().map(|name| ((*name).to_owned(), role(name))).collect();
    let mut input = create(json!({ "Resources": resources }).to_string());
    input["Capabilities"] = json!(["CAPABILITY_NAMED_IAM"]);
    (input["ChangeSetName"], input["ChangeSetType"]) = ("c".into(), "IMPORT".into());
    let one = |name: &&str| json!({"ResourceType": "AWS::IAM::Role", "LogicalResourceId": name, "ResourceIdentifier": {"RoleName": name}});
    input["ResourcesToImport"] = names.iter().map(one).collect();
    input
}

#[tokio::test]
async fn an_import_outlives_a_crash_and_makes_nothing() {
    let store = Arc::new(cumulet_store_memory::MemoryStore::new());
    let f = Fixture::over(store.clone());
    let arn = f.call("CreateChangeSet", import(&["a", "b"])).await["StackId"].as_str().unwrap().to_owned();
    *f.recorder.hangs.lock().unwrap() = Some("GetRole".into());
    f.call("ExecuteChangeSet", json!({"StackName": "s", "ChangeSetName": "c"})).await;
    f.recorder.reached.notified().await;
    let g = Fixture::over(store);
    g.service.recover().await.unwrap();
    assert_eq!(g.settled(&arn).await["StackStatus"], "IMPORT_COMPLETE");
    assert_eq!(g.calls(), ["GetRole", "GetRole"]);
    let events = g.call("DescribeStackEvents", json!({"StackName": "s"})).await;
    let statuses: Vec<&str> =
        events["StackEvents"].as_array().unwrap().iter().map(|e| e["ResourceStatus"].as_str().unwrap()).collect();
    assert_eq!(statuses.iter().filter(|status| **status == "IMPORT_COMPLETE").count(), 3, "{statuses:?}");
    // What the stack took stays when it goes.
    g.free().await;
    g.call("DeleteStack", json!({"StackName": "s"})).await;
    assert_eq!(g.settled(&arn).await["StackStatus"], "DELETE_COMPLETE");
    assert!(g.calls().is_empty());
}

#[tokio::test]
async fn a_failed_import_lets_go() {
    let f = Fixture::new();
    f.call("CreateChangeSet", import(&["a"])).await;
    *f.recorder.fails.lock().unwrap() = Some("GetRole".into());
    f.call("ExecuteChangeSet", json!({"StackName": "s", "ChangeSetName": "c"})).await;
    let stack = f.settled("s").await;
    assert_eq!(stack["StackStatus"], "IMPORT_ROLLBACK_COMPLETE", "{stack}");
    let resources = f.call("DescribeStackResources", json!({"StackName": "s"})).await;
    assert_eq!(resources["StackResources"], json!([]));
}
