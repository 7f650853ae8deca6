//! Topics that are told of a stack's events.

use super::*;

const TOPIC: &str = "arn:aws:sns:us-east-1:000000000000:t";

impl Fixture {
    /// What was published, once the last of it is `last`.
    async fn told(&self, last: &str) -> Vec<(String, String)> {
        let told = async {
            loop {
                let calls = self.recorder.calls.lock().unwrap().clone();
                let of = calls.iter().filter(|(name, _)| name == "Publish").map(|(_, input)| {
                    assert_eq!(input["Subject"], "AWS CloudFormation Notification");
                    let topic = input["TopicArn"].as_str().unwrap().to_owned();
                    (topic, input["Message"].as_str().unwrap().to_owned())
                });
                let told: Vec<_> = of.collect();
                if told.last().is_some_and(|(_, message)| message.contains(last)) {
                    return told;
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), told).await.unwrap()
    }
}

fn member(message: &str, name: &str) -> String {
    let line = message.lines().find_map(|line| line.strip_prefix(&format!("{name}='")));
    line.unwrap().strip_suffix('\'').unwrap().to_owned()
}

#[tokio::test]
async fn topics_are_told_of_every_event_in_order() {
    let f = Fixture::new();
    let mut input = create(plain(128, false));
    input["NotificationARNs"] = json!([TOPIC]);
    input["ClientRequestToken"] = "mine".into();
    let arn = f.call("CreateStack", input).await["StackId"].as_str().unwrap().to_owned();
    let stack = f.settled("s").await;
    assert_eq!(stack["NotificationARNs"], json!([TOPIC]));
    let end = "ResourceStatus='CREATE_COMPLETE'\nResourceStatusReason=''\nResourceType='AWS::CloudFormation::Stack'";
    let told = f.told(end).await;
    assert!(told.iter().all(|(topic, _)| topic == TOPIC));
    let events = f.call("DescribeStackEvents", json!({"StackName": "s"})).await;
    let wanted: Vec<&str> =
        events["StackEvents"].as_array().unwrap().iter().rev().map(|e| e["EventId"].as_str().unwrap()).collect();
    let ids: Vec<String> = told.iter().map(|(_, message)| member(message, "EventId")).collect();
    assert_eq!(ids, wanted);
    let last = &told.last().unwrap().1;
    for (name, value) in [
        ("StackId", arn.as_str()),
        ("LogicalResourceId", "s"),
        ("PhysicalResourceId", &arn),
        ("Namespace", "000000000000"),
        ("PrincipalId", "000000000000"),
        ("StackName", "s"),
        ("ClientRequestToken", "mine"),
    ] {
        assert_eq!(member(last, name), value, "{name}");
    }
    // They stay until others are named, and that alone is a change.
    let mut input = create(plain(128, false));
    input["NotificationARNs"] = json!([]);
    f.call("UpdateStack", input.clone()).await;
    assert_eq!(f.settled("s").await["NotificationARNs"], json!([]));
    let error = f.try_call("UpdateStack", input).await.unwrap_err();
    assert_eq!(error.message, "No updates are to be performed.");
}

#[tokio::test]
async fn change_sets_name_topics_and_templates_read_them() {
    let f = Fixture::new();
    let mut template: Value = serde_json::from_str(&plain(128, false)).unwrap();
    template["Outputs"]["Topics"] = json!({"Value": {"Fn::Join": [",", {"Ref": "AWS::NotificationARNs"}]}});
    let mut input = create(template.to_string());
    (input["ChangeSetName"], input["ChangeSetType"]) = ("c".into(), "CREATE".into());
    input["NotificationARNs"] = json!([TOPIC]);
    f.call("CreateChangeSet", input).await;
    let name = json!({"StackName": "s", "ChangeSetName": "c"});
    assert_eq!(f.call("DescribeChangeSet", name.clone()).await["NotificationARNs"], json!([TOPIC]));
    f.call("ExecuteChangeSet", name).await;
    let stack = f.settled("s").await;
    assert_eq!(stack["Outputs"][1]["OutputValue"], TOPIC, "{stack}");
    f.told("ResourceStatus='CREATE_COMPLETE'\nResourceStatusReason=''\nResourceType='AWS::CloudFormation::Stack'")
        .await;
}

#[tokio::test]
async fn what_is_no_topic_is_refused() {
    let f = Fixture::new();
    for (topics, named) in [
        (json!(["t"]), "is not the ARN of a topic"),
        (json!(["arn:aws:sqs:us-east-1:000000000000:q"]), "is not the ARN of a topic"),
        (json!([TOPIC, TOPIC, TOPIC, TOPIC, TOPIC, TOPIC]), "less than or equal to 5"),
    ] {
        let mut input = create(plain(128, false));
        input["NotificationARNs"] = topics;
        let error = f.try_call("CreateStack", input).await.unwrap_err();
        assert!(error.code == "ValidationError" && error.message.contains(named), "{error:?}");
    }
}
