//! Templates that are rewritten before they are read.

use super::*;

fn asks_for(macro_name: &str) -> String {
    let part = json!({"Name": macro_name, "Parameters": {"Location": {"Fn::Sub": "s3://b/${File}"}}});
    json!({
        "Parameters": {"File": {"Type": "String", "Default": "settings"}},
        "Resources": {
            "F": {"Type": "AWS::Lambda::Function", "Properties": {
                "Runtime": "nodejs22.x", "Handler": "index.h", "Role": "arn:r", "Code": {"ZipFile": "x"},
                "Environment": {"Fn::Transform": part},
            }},
        },
    })
    .to_string()
}

fn environment(f: &Fixture) -> Value {
    let calls = f.recorder.calls.lock().unwrap();
    let (_, input) = calls.iter().rfind(|(name, _)| name == "CreateFunction").unwrap();
    input["Environment"].clone()
}

#[tokio::test]
async fn what_a_bucket_has_is_included() {
    let f = Fixture::new();
    let gone = f.try_call("CreateStack", create(asks_for("AWS::Include"))).await.unwrap_err();
    assert_eq!(gone.message, "Transform AWS::Include failed with: s3://b/settings: no (NoSuchKey)");
    let included = "Variables:\n  REGION: !Ref AWS::Region\n";
    f.recorder.templates.lock().unwrap().insert("settings".into(), included.into());
    let mut unaware = create(asks_for("AWS::Include"));
    unaware["Capabilities"] = json!(["CAPABILITY_NAMED_IAM"]);
    let refused = f.try_call("CreateStack", unaware).await.unwrap_err();
    assert_eq!(refused.code, "InsufficientCapabilitiesException");
    f.call("CreateStack", create(asks_for("AWS::Include"))).await;
    assert_eq!(f.settled("s").await["StackStatus"], "CREATE_COMPLETE");
    assert_eq!(environment(&f), json!({"Variables": {"REGION": "us-east-1"}}));
    // What was included is kept: it needs not be there any more.
    f.recorder.templates.lock().unwrap().clear();
    let query = json!({"StackName": "s", "TemplateStage": "Processed"});
    let processed = f.call("GetTemplate", query).await["TemplateBody"].to_string();
    assert!(processed.contains("REGION") && !processed.contains("AWS::Include"), "{processed}");
    let summary = json!({"TemplateBody": asks_for("AWS::Include")});
    assert_eq!(f.call("GetTemplateSummary", summary).await["ResourceTypes"], json!(["AWS::Lambda::Function"]));
}

#[tokio::test]
async fn functions_rewrite_templates() {
    let f = Fixture::new();
    let unknown = f.try_call("CreateStack", create(asks_for("Mine"))).await.unwrap_err();
    assert_eq!(unknown.message, "No transform named 000000000000::Mine found.");
    let properties = json!({"Name": "Mine", "FunctionName": "f"});
    let owner = json!({"Resources": {"M": {"Type": "AWS::CloudFormation::Macro", "Properties": properties}}});
    let mut input = create(owner.to_string());
    input["StackName"] = "owner".into();
    f.call("CreateStack", input).await;
    assert_eq!(f.settled("owner").await["StackStatus"], "CREATE_COMPLETE");
    let reply = |reply: Value| drop(f.recorder.replies.lock().unwrap().insert("Macro".into(), reply));
    reply(json!({"status": "failure", "errorMessage": "not today"}));
    let failed = f.try_call("CreateStack", create(asks_for("Mine"))).await.unwrap_err();
    assert_eq!(failed.message, "Transform 000000000000::Mine failed with: not today");
    reply(json!({"status": "success"}));
    let malformed = f.try_call("CreateStack", create(asks_for("Mine"))).await.unwrap_err();
    assert_eq!(malformed.message, "Received malformed response from transform 000000000000::Mine");
    reply(json!({"status": "success", "fragment": {"Variables": {"A": "b"}}}));
    f.recorder.calls.lock().unwrap().clear();
    f.call("CreateStack", create(asks_for("Mine"))).await;
    assert_eq!(f.settled("s").await["StackStatus"], "CREATE_COMPLETE");
    assert_eq!(environment(&f), json!({"Variables": {"A": "b"}}));
    let calls = f.recorder.calls.lock().unwrap().clone();
    let event = &calls.iter().find(|(name, _)| name == "Macro").unwrap().1;
    assert_eq!(event["transformId"], "000000000000::Mine");
    assert_eq!(event["params"], json!({"Location": "s3://b/settings"}));
    assert_eq!(event["templateParameterValues"], json!({"File": "settings"}));
}
