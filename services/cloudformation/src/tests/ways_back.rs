//! What stays of operations that fail without being taken back, and how it is taken back later.

use super::*;

impl Fixture {
    fn fail(&self, operation: Option<&str>) {
        *self.recorder.fails.lock().unwrap() = operation.map(str::to_owned);
    }

    async fn ends(&self, name: &str, status: &str) -> Value {
        let stack = self.settled(name).await;
        assert_eq!(stack["StackStatus"], status, "{stack}");
        self.free().await;
        stack
    }

    async fn refused(&self, operation: &str, input: Value, words: &str) {
        let error = self.try_call(operation, input).await.unwrap_err();
        assert!(error.message.contains(words), "{operation}: {error:?}");
    }

    async fn physical_id(&self, stack: &str, resource: &str) -> String {
        let of = json!({"StackName": stack, "LogicalResourceId": resource});
        let found = self.call("DescribeStackResources", of).await["StackResources"][0]["PhysicalResourceId"].clone();
        found.as_str().unwrap().to_owned()
    }
}

fn kept(template: String) -> Value {
    let mut input = create(template);
    input["DisableRollback"] = "true".into();
    input
}

fn named() -> Value {
    json!({"StackName": "s"})
}

/// Two updates that fail, and one way back past both.
#[tokio::test]
async fn updates_go_back_to_when_the_stack_was_complete() {
    for is_asked in [true, false] {
        let f = Fixture::new();
        f.call("CreateStack", create(plain(128, false))).await;
        f.ends("s", "CREATE_COMPLETE").await;
        f.refused("RollbackStack", named(), "CREATE_COMPLETE state").await;
        f.fail(Some("AddPermission"));
        f.call("UpdateStack", kept(plain(256, true))).await;
        f.ends("s", "UPDATE_FAILED").await;
        f.calls();
        match is_asked {
            true => {
                f.call("UpdateStack", kept(plain(512, true))).await;
                f.ends("s", "UPDATE_FAILED").await;
                f.call("RollbackStack", named()).await;
            }
            false => drop(f.call("UpdateStack", create(plain(512, true))).await),
        }
        f.ends("s", "UPDATE_ROLLBACK_COMPLETE").await;
        let calls = f.recorder.calls.lock().unwrap().clone();
        let memory: Vec<&Value> = calls.iter().map(|(_, input)| &input["MemorySize"]).collect();
        assert_eq!(memory, [&json!(512), &json!(128)]);
        let resources = f.call("DescribeStackResources", named()).await;
        assert_eq!(resources["StackResources"].as_array().unwrap().len(), 2, "{resources}");
    }
}

/// There is nothing to go back to, so nothing stays.
#[tokio::test]
async fn a_stack_that_was_never_complete_goes_back_to_nothing() {
    let f = Fixture::new();
    f.fail(Some("CreateFunction"));
    f.call("CreateStack", kept(plain(128, false))).await;
    f.ends("s", "CREATE_FAILED").await;
    f.call("UpdateStack", kept(plain(256, false))).await;
    f.ends("s", "UPDATE_FAILED").await;
    f.calls();
    f.call("RollbackStack", named()).await;
    f.ends("s", "ROLLBACK_COMPLETE").await;
    assert_eq!(f.calls(), ["DetachRolePolicy", "DeleteRole"]);
    // The same where the update is to be taken back at once.
    f.call("DeleteStack", named()).await;
    f.free().await;
    f.call("CreateStack", kept(plain(128, false))).await;
    f.ends("s", "CREATE_FAILED").await;
    f.call("UpdateStack", create(plain(256, false))).await;
    f.ends("s", "ROLLBACK_COMPLETE").await;
}

#[tokio::test]
async fn a_creation_that_fails_ends_as_it_was_asked_for() {
    let f = Fixture::new();
    f.fail(Some("CreateFunction"));
    let mut input = create(plain(128, false));
    input["OnFailure"] = "DELETE".into();
    let arn = f.call("CreateStack", input.clone()).await["StackId"].as_str().unwrap().to_owned();
    f.ends(&arn, "DELETE_COMPLETE").await;
    let events = f.call("DescribeStackEvents", json!({"StackName": arn})).await;
    let of_the_stack = |event: &&Value| event["LogicalResourceId"] == "s";
    let statuses: Vec<&Value> = events["StackEvents"].as_array().unwrap().iter().filter(of_the_stack).collect();
    let shown: Vec<&str> = statuses.iter().map(|event| event["ResourceStatus"].as_str().unwrap()).collect();
    assert_eq!(shown, ["DELETE_COMPLETE", "DELETE_IN_PROGRESS", "CREATE_IN_PROGRESS"]);
    assert!(statuses[1]["ResourceStatusReason"].as_str().unwrap().ends_with("Delete requested by user."));
    input["DisableRollback"] = true.into();
    f.refused("CreateStack", input, "DisableRollback or OnFailure").await;
    // The newer way to say it, of a stack and of a change set.
    let mut input = create(plain(128, false));
    input["DeploymentConfig"] = json!({"Mode": "EXPRESS", "DisableRollback": true});
    f.call("CreateStack", input.clone()).await;
    f.ends("s", "CREATE_FAILED").await;
    (input["StackName"], input["ChangeSetName"], input["ChangeSetType"]) = ("t".into(), "c".into(), "CREATE".into());
    f.call("CreateChangeSet", input.clone()).await;
    f.call("ExecuteChangeSet", json!({"StackName": "t", "ChangeSetName": "c"})).await;
    f.ends("t", "CREATE_FAILED").await;
    input["OnStackFailure"] = "ROLLBACK".into();
    f.refused("CreateChangeSet", input.clone(), "DisableRollback or OnFailure").await;
    input["DeploymentConfig"] = json!({"Mode": "SLOW"});
    f.refused("CreateChangeSet", input.clone(), "[STANDARD, EXPRESS]").await;
    input["DeploymentConfig"] = Value::Null;
    input["StackName"] = "u".into();
    f.call("CreateChangeSet", input).await;
    let execution = json!({"StackName": "u", "ChangeSetName": "c", "DisableRollback": true});
    f.refused("ExecuteChangeSet", execution, "OnStackFailure").await;
}

#[tokio::test]
async fn only_what_could_not_be_taken_back_is_skipped() {
    let f = Fixture::new();
    let with = |memory: u32, description: &str| {
        let mut template: Value = serde_json::from_str(&plain(memory, false)).unwrap();
        template["Resources"]["T"] = json!({"Type": "Custom::T", "DependsOn": "F", "Properties": {
            "ServiceToken": "arn:aws:lambda:r:0:function:f", "D": description}});
        create(template.to_string())
    };
    let reply = |kind: &str, status: &str| {
        let reply = json!({"Status": status, "Reason": "no", "PhysicalResourceId": "t"});
        f.recorder.replies.lock().unwrap().insert(kind.into(), reply);
    };
    reply("Create", "SUCCESS");
    f.call("CreateStack", with(128, "a")).await;
    f.ends("s", "CREATE_COMPLETE").await;
    let skip = |name: &str| json!({"StackName": "s", "ResourcesToSkip": [name]});
    f.refused("ContinueUpdateRollback", skip("T"), "CREATE_COMPLETE state").await;
    reply("Update", "FAILED");
    f.call("UpdateStack", with(256, "b")).await;
    f.ends("s", "UPDATE_ROLLBACK_FAILED").await;
    f.refused("RollbackStack", named(), "UPDATE_ROLLBACK_FAILED state").await;
    for (name, why) in [("F", "UPDATE_FAILED"), ("X", "does not exist"), ("T.F", "in no embedded stack")] {
        f.refused("ContinueUpdateRollback", skip(name), why).await;
    }
    f.call("ContinueUpdateRollback", skip("T")).await;
    f.ends("s", "UPDATE_ROLLBACK_COMPLETE").await;
}

fn outer(name: &str) -> String {
    let url = format!("https://s3.amazonaws.com/b/{name}");
    json!({"Resources": {"Inner": {"Type": "AWS::CloudFormation::Stack", "Properties": {"TemplateURL": url}}}})
        .to_string()
}

/// An embedded stack that failed is not forgotten: the next update goes on with it, and the way back takes it along.
#[tokio::test]
async fn embedded_stacks_stay_with_the_outer_one() {
    let f = Fixture::new();
    f.recorder.templates.lock().unwrap().insert("inner".into(), plain(128, false));
    f.recorder.templates.lock().unwrap().insert("larger".into(), plain(256, true));
    f.fail(Some("CreateFunction"));
    f.call("CreateStack", kept(outer("inner"))).await;
    f.ends("s", "CREATE_FAILED").await;
    let inner = f.physical_id("s", "Inner").await;
    f.ends(&inner, "CREATE_FAILED").await;
    f.fail(None);
    f.call("UpdateStack", kept(outer("inner"))).await;
    f.ends("s", "UPDATE_COMPLETE").await;
    assert_eq!(f.physical_id("s", "Inner").await, inner);
    // An update that fails in the embedded one is taken back there, and the outer one has nothing more to do.
    f.fail(Some("AddPermission"));
    f.call("UpdateStack", create(outer("larger"))).await;
    f.ends("s", "UPDATE_ROLLBACK_COMPLETE").await;
    f.ends(&inner, "UPDATE_ROLLBACK_COMPLETE").await;
    f.call("UpdateStack", kept(outer("larger"))).await;
    f.ends("s", "UPDATE_FAILED").await;
    f.ends(&inner, "UPDATE_FAILED").await;
    // What stands in the way of the embedded one stands in the way of the outer one, until it is skipped.
    f.fail(Some("UpdateFunctionConfiguration"));
    f.call("RollbackStack", named()).await;
    f.ends("s", "UPDATE_ROLLBACK_FAILED").await;
    f.ends(&inner, "UPDATE_ROLLBACK_FAILED").await;
    let skip = |name: &str| json!({"StackName": "s", "ResourcesToSkip": [name]});
    f.refused("ContinueUpdateRollback", skip("Inner"), "name the resources of that").await;
    f.refused("ContinueUpdateRollback", skip("Inner.R"), "UPDATE_FAILED").await;
    f.call("ContinueUpdateRollback", skip("Inner.F")).await;
    f.ends("s", "UPDATE_ROLLBACK_COMPLETE").await;
    f.ends(&inner, "UPDATE_ROLLBACK_COMPLETE").await;
}
