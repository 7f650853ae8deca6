//! What is refused, and with which code; and what a queue's policy says.

use std::sync::Mutex;

use cumulet_wire::auth::{Authorizer, Caller};
use cumulet_wire::error::ApiError;
use serde_json::{Value, json};

use super::{Bench, DEAD, Q};

const F: &str = "http://localhost:4566/000000000000/f.fifo";

#[tokio::test]
async fn messages_that_a_queue_does_not_take() {
    let b = Bench::new();
    b.ok("CreateQueue", json!({"QueueName": "q"})).await;
    b.ok("CreateQueue", json!({"QueueName": "f.fifo", "Attributes": {"FifoQueue": "true"}})).await;
    for (url, more, code) in [
        (Q, json!({"MessageDeduplicationId": "d"}), "InvalidParameterValue"),
        (Q, json!({"DelaySeconds": 901}), "InvalidParameterValue"),
        (Q, json!({"MessageGroupId": "with space"}), "InvalidParameterValue"),
        (Q, json!({"MessageAttributes": {"a": {"DataType": "Text", "StringValue": "x"}}}), "InvalidParameterValue"),
        (Q, json!({"MessageAttributes": {"a": {"DataType": "String", "StringValue": ""}}}), "InvalidParameterValue"),
        (Q, json!({"MessageAttributes": {"a": {"DataType": "Number", "StringValue": "x"}}}), "InvalidParameterValue"),
        (
            Q,
            json!({"MessageAttributes": {"AWS.a": {"DataType": "String", "StringValue": "x"}}}),
            "InvalidParameterValue",
        ),
        (
            Q,
            json!({"MessageSystemAttributes": {"x": {"DataType": "String", "StringValue": "x"}}}),
            "InvalidParameterValue",
        ),
        (F, json!({}), "MissingParameter"),
        (F, json!({"MessageGroupId": "g"}), "InvalidParameterValue"),
        (F, json!({"MessageGroupId": "g", "MessageDeduplicationId": "d", "DelaySeconds": 1}), "InvalidParameterValue"),
        (F, json!({"MessageGroupId": "g", "MessageDeduplicationId": "x".repeat(129)}), "InvalidParameterValue"),
    ] {
        let mut input = json!({"QueueUrl": url, "MessageBody": "m"});
        input.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        assert_eq!(b.error("SendMessage", input.clone()).await, code, "{input}");
    }
    let attempt = json!({"QueueUrl": Q, "ReceiveRequestAttemptId": "a"});
    assert_eq!(b.error("ReceiveMessage", attempt).await, "InvalidParameterValue");
    let names = json!({"QueueUrl": Q, "AttributeNames": ["Nothing"]});
    assert_eq!(b.error("ReceiveMessage", names).await, "InvalidAttributeName");
    let half = "x".repeat(600 * 1024);
    let long = json!({"QueueUrl": Q, "Entries": [{"Id": "a", "MessageBody": half}, {"Id": "b", "MessageBody": half}]});
    assert_eq!(b.error("SendMessageBatch", long).await, "BatchRequestTooLong");
    let trace = json!({"AWSTraceHeader": {"DataType": "String", "StringValue": "Root=1"}});
    let sent = b.ok("SendMessage", json!({"QueueUrl": Q, "MessageBody": "m", "MessageSystemAttributes": trace})).await;
    assert!(sent["MD5OfMessageSystemAttributes"].is_string());
    let asked = json!({"QueueUrl": Q, "MessageSystemAttributeNames": ["AWSTraceHeader"]});
    let got = b.ok("ReceiveMessage", asked).await;
    assert_eq!(got["Messages"][0]["Attributes"], json!({"AWSTraceHeader": "Root=1"}));
}

#[tokio::test]
async fn attributes_that_a_queue_does_not_have() {
    let b = Bench::new();
    b.ok("CreateQueue", json!({"QueueName": "q"})).await;
    b.ok("CreateQueue", json!({"QueueName": "f.fifo", "Attributes": {"FifoQueue": "true"}})).await;
    let policy = |name: &str, count: &str| {
        format!(r#"{{"deadLetterTargetArn":"arn:aws:sqs:us-east-1:000000000000:{name}","maxReceiveCount":{count}}}"#)
    };
    for (url, name, value, code) in [
        (Q, "MaximumMessageSize", "1023", "InvalidAttributeValue"),
        (Q, "MaximumMessageSize", "1048577", "InvalidAttributeValue"),
        (Q, "MessageRetentionPeriod", "59", "InvalidAttributeValue"),
        (Q, "MessageRetentionPeriod", "1209601", "InvalidAttributeValue"),
        (Q, "DelaySeconds", "901", "InvalidAttributeValue"),
        (Q, "ReceiveMessageWaitTimeSeconds", "21", "InvalidAttributeValue"),
        (Q, "KmsDataKeyReusePeriodSeconds", "59", "InvalidAttributeValue"),
        (Q, "SqsManagedSseEnabled", "yes", "InvalidAttributeValue"),
        (Q, "Policy", "{", "InvalidAttributeValue"),
        (Q, "ContentBasedDeduplication", "true", "InvalidAttributeName"),
        (Q, "RedriveAllowPolicy", r#"{"redrivePermission":"some"}"#, "InvalidAttributeValue"),
        (Q, "RedriveAllowPolicy", r#"{"redrivePermission":"byQueue"}"#, "InvalidAttributeValue"),
        (Q, "RedrivePolicy", "{}", "InvalidAttributeValue"),
        (Q, "RedrivePolicy", &policy("f.fifo", "3"), "InvalidAttributeValue"),
        (Q, "RedrivePolicy", &policy("q", "0"), "InvalidAttributeValue"),
        (Q, "RedrivePolicy", &policy("none", "3"), "InvalidParameterValue"),
        (F, "FifoThroughputLimit", "perMessageGroupId", "InvalidAttributeValue"),
        (F, "DeduplicationScope", "group", "InvalidAttributeValue"),
        (F, "FifoQueue", "false", "InvalidAttributeValue"),
    ] {
        let input = json!({"QueueUrl": url, "Attributes": {name: value}});
        assert_eq!(b.error("SetQueueAttributes", input).await, code, "{name}={value}");
    }
    assert_eq!(b.error("SetQueueAttributes", json!({"QueueUrl": Q})).await, "MissingParameter");
    let name = json!({"QueueName": "g.fifo"});
    assert_eq!(b.error("CreateQueue", name).await, "InvalidParameterValue");
    let standard = json!({"QueueName": "g", "Attributes": {"FifoQueue": "true"}});
    assert_eq!(b.error("CreateQueue", standard).await, "InvalidAttributeValue");
    let encrypted = json!({"QueueUrl": Q, "Attributes": {"KmsMasterKeyId": "alias/a", "SqsManagedSseEnabled": "true"}});
    b.ok("SetQueueAttributes", encrypted).await;
    let names = json!({"QueueUrl": Q, "AttributeNames": ["KmsMasterKeyId", "SqsManagedSseEnabled"]});
    let shown = b.ok("GetQueueAttributes", names).await;
    assert_eq!(shown["Attributes"], json!({"KmsMasterKeyId": "alias/a", "SqsManagedSseEnabled": "true"}));
}

#[tokio::test]
async fn a_dead_letter_queue_chooses_its_sources() {
    let b = Bench::new();
    let by = r#"{"redrivePermission":"byQueue","sourceQueueArns":["arn:aws:sqs:us-east-1:000000000000:other"]}"#;
    b.ok("CreateQueue", json!({"QueueName": "dead", "Attributes": {"RedriveAllowPolicy": by}})).await;
    let policy = r#"{"deadLetterTargetArn":"arn:aws:sqs:us-east-1:000000000000:dead","maxReceiveCount":2}"#;
    let create = |name: &str| json!({"QueueName": name, "Attributes": {"RedrivePolicy": policy}});
    assert_eq!(b.error("CreateQueue", create("q")).await, "InvalidParameterValue");
    b.ok("CreateQueue", create("other")).await;
    let deny = json!({"QueueUrl": DEAD, "Attributes": {"RedriveAllowPolicy": r#"{"redrivePermission":"denyAll"}"#}});
    b.ok("SetQueueAttributes", deny).await;
    let other = json!({"QueueUrl": Q.replace("/q", "/other"), "Attributes": {"RedrivePolicy": policy}});
    assert_eq!(b.error("SetQueueAttributes", other).await, "InvalidParameterValue");
}

#[tokio::test]
async fn receipts_of_others() {
    let b = Bench::new();
    b.ok("CreateQueue", json!({"QueueName": "q"})).await;
    b.ok("CreateQueue", json!({"QueueName": "dead"})).await;
    b.ok("SendMessage", json!({"QueueUrl": DEAD, "MessageBody": "m"})).await;
    let got = b.ok("ReceiveMessage", json!({"QueueUrl": DEAD})).await;
    let handle = &got["Messages"][0]["ReceiptHandle"];
    assert_eq!(
        b.error("DeleteMessage", json!({"QueueUrl": Q, "ReceiptHandle": handle})).await,
        "ReceiptHandleIsInvalid"
    );
    let change = json!({"QueueUrl": DEAD, "ReceiptHandle": handle, "VisibilityTimeout": 43_201});
    assert_eq!(b.error("ChangeMessageVisibility", change).await, "InvalidParameterValue");
    let missing = json!({"QueueUrl": DEAD, "ReceiptHandle": handle});
    assert_eq!(b.error("ChangeMessageVisibility", missing).await, "MissingParameter");
    let batch = json!({"QueueUrl": DEAD, "Entries": [
        {"Id": "a", "ReceiptHandle": handle, "VisibilityTimeout": 100},
        {"Id": "b", "ReceiptHandle": "?", "VisibilityTimeout": 100},
    ]});
    let changed = b.ok("ChangeMessageVisibilityBatch", batch).await;
    assert_eq!(changed["Successful"], json!([{"Id": "a"}]));
    assert_eq!(changed["Failed"][0]["Code"], "ReceiptHandleIsInvalid");
    let batch = json!({"QueueUrl": DEAD, "Entries": [{"Id": "a", "ReceiptHandle": handle}, {"Id": "b", "ReceiptHandle": handle}]});
    assert_eq!(b.ok("DeleteMessageBatch", batch).await["Successful"].as_array().unwrap().len(), 2);
    let gone = json!({"QueueUrl": DEAD, "ReceiptHandle": handle, "VisibilityTimeout": 1});
    assert_eq!(b.error("ChangeMessageVisibility", gone).await, "InvalidParameterValue");
}

#[tokio::test]
async fn permissions_are_statements_of_the_policy() {
    let b = Bench::new();
    b.ok("CreateQueue", json!({"QueueName": "q"})).await;
    let add = json!({"QueueUrl": Q, "Label": "l", "AWSAccountIds": ["111111111111"], "Actions": ["SendMessage", "ReceiveMessage"]});
    b.ok("AddPermission", add.clone()).await;
    assert_eq!(b.error("AddPermission", add.clone()).await, "InvalidParameterValue");
    let mut other = add.clone();
    other["Label"] = json!("m");
    other["Actions"] = json!(["Dance"]);
    assert_eq!(b.error("AddPermission", other.clone()).await, "InvalidParameterValue");
    other["Actions"] = json!(vec!["*"; 8]);
    assert_eq!(b.error("AddPermission", other).await, "OverLimit");
    let names = json!({"QueueUrl": Q, "AttributeNames": ["Policy"]});
    let shown = b.ok("GetQueueAttributes", names.clone()).await;
    let policy: Value = serde_json::from_str(shown["Attributes"]["Policy"].as_str().unwrap()).unwrap();
    assert_eq!(
        policy["Statement"],
        json!([{
            "Sid": "l",
            "Effect": "Allow",
            "Principal": {"AWS": "arn:aws:iam::111111111111:root"},
            "Action": ["SQS:SendMessage", "SQS:ReceiveMessage"],
            "Resource": "arn:aws:sqs:us-east-1:000000000000:q",
        }])
    );
    let remove = json!({"QueueUrl": Q, "Label": "l"});
    b.ok("RemovePermission", remove.clone()).await;
    assert_eq!(b.error("RemovePermission", remove).await, "InvalidParameterValue");
    assert_eq!(b.ok("GetQueueAttributes", names).await, Value::Null);
}

/// Allows nothing, and remembers what it was asked.
#[derive(Default)]
struct Nobody(Mutex<Vec<(String, String)>>);

#[async_trait::async_trait]
impl Authorizer for Nobody {
    async fn authorize(&self, _: &Caller, action: &str, resource: &str) -> Result<(), ApiError> {
        self.0.lock().unwrap().push((action.to_owned(), resource.to_owned()));
        Err(ApiError::new(403, "AccessDeniedException", "nobody may do anything"))
    }
}

#[tokio::test]
async fn every_operation_asks_and_a_policy_answers() {
    let b = Bench::new();
    let arn = "arn:aws:sqs:us-east-1:000000000000:q";
    let policy = json!({"Statement": [{
        "Effect": "Allow", "Principal": {"Service": "sns.amazonaws.com"}, "Action": "sqs:SendMessage", "Resource": arn,
        "Condition": {"ArnEquals": {"aws:SourceArn": "arn:aws:sns:us-east-1:000000000000:t"}},
    }]});
    b.ok("CreateQueue", json!({"QueueName": "q", "Attributes": {"Policy": policy.to_string()}})).await;
    for operation in crate::OPERATIONS {
        let nobody = Nobody::default();
        let input = match operation.name {
            "CreateQueue" | "GetQueueUrl" => json!({"QueueName": "q"}),
            "StartMessageMoveTask" | "ListMessageMoveTasks" => json!({"SourceArn": arn}),
            "CancelMessageMoveTask" => {
                json!({"TaskHandle": "eyJ0YXNrSWQiOiJ4Iiwic291cmNlQXJuIjoiYXJuOmF3czpzcXM6dXMtZWFzdC0xOjAwMDAwMDAwMDAwMDpxIn0="})
            }
            "ListQueues" => json!({}),
            _ => json!({"QueueUrl": Q}),
        };
        let call = super::call_of(operation.name, input, Caller::owner("000000000000"), 0);
        assert!(super::Service::authorize(&*b.sqs, &nobody, &call).await.is_err(), "{}", operation.name);
        let asked = nobody.0.lock().unwrap().clone();
        let resource = if operation.name == "ListQueues" { "*" } else { arn };
        let action = format!("sqs:{}", operation.name.trim_end_matches("Batch"));
        assert_eq!(asked, [(action, resource.to_owned())]);
    }
    let by = |topic: &str| {
        Caller::service("000000000000", "sns.amazonaws.com", &format!("arn:aws:sns:us-east-1:000000000000:{topic}"))
    };
    let may = async |caller: Caller, operation: &str| {
        let call = super::call_of(operation, json!({"QueueUrl": Q}), caller, 0);
        super::Service::authorize(&*b.sqs, &Nobody::default(), &call).await.is_ok()
    };
    assert!(may(by("t"), "SendMessage").await);
    assert!(!may(by("u"), "SendMessage").await);
    assert!(!may(by("t"), "ReceiveMessage").await);
}
