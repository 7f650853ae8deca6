//! Parts of one holder: policies that are resources of their own, and the subscriptions of a topic.

use super::*;

fn template(action: &str) -> String {
    let document =
        json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": action, "Resource": "*"}]});
    json!({
        "Resources": {
            "R": {"Type": "AWS::IAM::RolePolicy", "Properties": {
                "RoleName": "r", "PolicyName": "p", "PolicyDocument": document}},
            "T": {"Type": "AWS::SNS::TopicInlinePolicy", "Properties": {
                "TopicArn": "arn:aws:sns:us-east-1:000000000000:t", "PolicyDocument": document.to_string()}},
        },
    })
    .to_string()
}

#[tokio::test]
async fn policies_of_one_holder() {
    let f = Fixture::new();
    f.call("CreateStack", create(template("a:b"))).await;
    assert_eq!(f.settled("s").await["StackStatus"], "CREATE_COMPLETE");
    let made = f.call("DescribeStackResources", json!({"StackName": "s", "LogicalResourceId": "R"})).await;
    assert_eq!(made["StackResources"][0]["PhysicalResourceId"], "p|r");
    f.call("UpdateStack", create(template("a:c"))).await;
    assert_eq!(f.settled("s").await["StackStatus"], "UPDATE_COMPLETE");
    f.free().await;
    f.call("DeleteStack", json!({"StackName": "s"})).await;
    f.free().await;
    let calls = f.recorder.calls.lock().unwrap().clone();
    let of =
        |name: &str| calls.iter().filter(|(call, _)| call == name).map(|(_, input)| input.clone()).collect::<Vec<_>>();
    let put = of("PutRolePolicy");
    assert_eq!(put.iter().map(|input| &input["RoleName"]).collect::<Vec<_>>(), ["r", "r"]);
    assert!(put[1]["PolicyDocument"].as_str().unwrap().contains("a:c"), "{put:?}");
    assert_eq!(of("DeleteRolePolicy"), [json!({"RoleName": "r", "PolicyName": "p"})]);
    let set: Vec<bool> = of("SetTopicAttributes").iter().map(|input| input["AttributeValue"] == "").collect();
    assert_eq!(set, [false, false, true]);
}

#[tokio::test]
async fn a_topic_goes_when_a_subscription_of_it_cannot_be_made() {
    let f = Fixture::new();
    *f.recorder.fails.lock().unwrap() = Some("Subscribe".into());
    let subscription = json!([{"Protocol": "email", "Endpoint": "a@b.c"}]);
    let topic = json!({"Type": "AWS::SNS::Topic", "Properties": {"Subscription": subscription}});
    let template = json!({"Resources": {"T": topic}}).to_string();
    f.call("CreateStack", create(template.clone())).await;
    assert_eq!(f.settled("s").await["StackStatus"], "ROLLBACK_COMPLETE");
    assert_eq!(f.calls(), ["CreateTopic", "DeleteTopic"]);
    *f.recorder.fails.lock().unwrap() = None;
    f.call("DeleteStack", json!({"StackName": "s"})).await;
    f.free().await;
    f.call("CreateStack", create(template)).await;
    assert_eq!(f.settled("s").await["StackStatus"], "CREATE_COMPLETE");
    let events = f.call("DescribeStackEvents", json!({"StackName": "s"})).await.to_string();
    assert!(events.contains("No mail is sent here"), "{events}");
}
