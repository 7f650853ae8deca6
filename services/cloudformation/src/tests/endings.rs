//! Stacks that are given up before they are there, deleted in spite of what cannot be, or kept from going wrong.

use super::*;

impl Fixture {
    async fn gone(&self, arn: &str) -> Value {
        let stack = self.settled(arn).await;
        assert_eq!(stack["StackStatus"], "DELETE_COMPLETE", "{stack}");
        stack
    }
}

fn waiting() -> String {
    let mut template: Value = serde_json::from_str(&plain(128, false)).unwrap();
    let signal = json!({"ResourceSignal": {"Timeout": "PT12H"}});
    template["Resources"]["W"] =
        json!({"Type": "AWS::CloudFormation::WaitCondition", "CreationPolicy": signal, "DependsOn": "F"});
    template.to_string()
}

#[tokio::test]
async fn a_stack_is_deleted_while_it_is_being_created() {
    let f = Fixture::new();
    let arn = f.call("CreateStack", create(waiting())).await["StackId"].as_str().unwrap().to_owned();
    f.resource("W", "CREATE_IN_PROGRESS").await;
    f.call("DeleteStack", json!({"StackName": "s"})).await;
    f.gone(&arn).await;
    assert_eq!(
        f.calls(),
        ["CreateRole", "AttachRolePolicy", "CreateFunction", "DeleteFunction", "DetachRolePolicy", "DeleteRole"]
    );
}

/// What was wanted is known to who goes on with the stack.
#[tokio::test]
async fn a_deletion_outlives_a_crash() {
    let store = Arc::new(cumulet_store_memory::MemoryStore::new());
    let f = Fixture::over(store.clone());
    *f.recorder.hangs.lock().unwrap() = Some("CreateFunction".into());
    let arn = f.call("CreateStack", create(waiting())).await["StackId"].as_str().unwrap().to_owned();
    f.recorder.reached.notified().await;
    f.call("DeleteStack", json!({"StackName": "s"})).await;
    let g = Fixture::over(store);
    g.service.recover().await.unwrap();
    g.gone(&arn).await;
}

#[tokio::test]
async fn an_embedded_stack_is_given_up_with_the_outer_one() {
    let f = Fixture::new();
    f.recorder.templates.lock().unwrap().insert("child".into(), waiting());
    let child =
        json!({"Type": "AWS::CloudFormation::Stack", "Properties": {"TemplateURL": "http://127.0.0.1:4566/b/child"}});
    let template = json!({"Resources": {"Child": child}}).to_string();
    let arn = f.call("CreateStack", create(template)).await["StackId"].as_str().unwrap().to_owned();
    let inner = async {
        loop {
            let stacks = f.call("DescribeStacks", json!({})).await;
            let all = stacks["Stacks"].as_array().unwrap().clone();
            if let Some(inner) = all.iter().find(|stack| stack["ParentId"] == arn.as_str()) {
                return inner["StackId"].as_str().unwrap().to_owned();
            }
            tokio::task::yield_now().await;
        }
    };
    let inner = tokio::time::timeout(Duration::from_secs(20), inner).await.unwrap();
    f.call("DeleteStack", json!({"StackName": "s"})).await;
    f.gone(&arn).await;
    f.gone(&inner).await;
}

#[tokio::test]
async fn what_cannot_be_deleted_is_left_behind_by_force() {
    let f = Fixture::new();
    let arn = f.call("CreateStack", create(plain(128, false))).await["StackId"].as_str().unwrap().to_owned();
    assert_eq!(f.settled("s").await["StackStatus"], "CREATE_COMPLETE");
    let force = json!({"StackName": "s", "DeletionMode": "FORCE_DELETE_STACK"});
    let error = f.try_call("DeleteStack", force.clone()).await.unwrap_err();
    assert!(error.message.contains("DELETE_FAILED"), "{error:?}");
    *f.recorder.fails.lock().unwrap() = Some("DeleteFunction".into());
    f.call("DeleteStack", json!({"StackName": "s"})).await;
    assert_eq!(f.settled("s").await["StackStatus"], "DELETE_FAILED");
    f.free().await;
    f.call("DeleteStack", force).await;
    f.gone(&arn).await;
    let error = f.try_call("DeleteStack", json!({"StackName": "s", "DeletionMode": "OTHER"})).await;
    assert_eq!(error.unwrap(), Value::Null, "a stack that is not there is deleted");
}

#[tokio::test]
async fn what_was_just_made_may_go_in_spite_of_its_policy() {
    for (flag, deleted) in [(false, false), (true, true)] {
        let f = Fixture::new();
        let mut template: Value = serde_json::from_str(&plain(128, true)).unwrap();
        template["Resources"]["R"]["DeletionPolicy"] = "Retain".into();
        *f.recorder.fails.lock().unwrap() = Some("AddPermission".into());
        let mut input = create(template.to_string());
        input["RetainExceptOnCreate"] = flag.into();
        f.call("CreateStack", input).await;
        assert_eq!(f.settled("s").await["StackStatus"], "ROLLBACK_COMPLETE");
        assert_eq!(f.calls().contains(&"DeleteRole".to_owned()), deleted);
    }
}

#[tokio::test]
async fn types_that_a_request_does_not_allow_are_refused() {
    let f = Fixture::new();
    for (allowed, is_good) in [
        (json!(["AWS::*"]), true),
        (json!(["AWS::IAM::Role", "AWS::Lambda::*"]), true),
        (json!(["AWS::Lambda::*"]), false),
        (json!(["Custom::*", "AWS::IAM::Role"]), false),
    ] {
        let mut input = create(plain(128, false));
        (input["ChangeSetName"], input["ChangeSetType"]) = ("c".into(), "CREATE".into());
        input["ResourceTypes"] = allowed.clone();
        let direct = f.try_call("CreateStack", input.clone()).await;
        if is_good {
            f.call("DeleteStack", json!({"StackName": "s"})).await;
            f.free().await;
            f.call("CreateChangeSet", input).await;
            f.call("DeleteStack", json!({"StackName": "s"})).await;
        }
        assert_eq!(direct.is_ok(), is_good, "{allowed}: {direct:?}");
        let why = direct.err().map(|error| error.message).unwrap_or_default();
        assert!(is_good || why.contains("is not allowed by parameter ResourceTypes"), "{why}");
    }
}

#[tokio::test]
async fn policies_lie_in_buckets() {
    let f = Fixture::new();
    let policy = r#"{"Statement": [{"Effect": "Deny", "Action": "Update:*", "Principal": "*", "Resource": "*"}]}"#;
    f.recorder.templates.lock().unwrap().insert("policy".into(), policy.into());
    let mut input = create(plain(128, false));
    input["StackPolicyURL"] = "http://127.0.0.1:4566/b/policy".into();
    f.call("CreateStack", input.clone()).await;
    assert_eq!(f.settled("s").await["StackStatus"], "CREATE_COMPLETE");
    let shown = f.call("GetStackPolicy", json!({"StackName": "s"})).await;
    assert_eq!(shown["StackPolicyBody"], policy);
    input["StackPolicyBody"] = policy.into();
    input["StackName"] = "t".into();
    assert!(f.try_call("CreateStack", input).await.unwrap_err().message.contains("StackPolicyURL"));
}
