//! Message move tasks: back to where the dead came from, at a rate, and cancelled.

use serde_json::{Value, json};

use super::{Bench, DEAD, Q};

const DEAD_ARN: &str = "arn:aws:sqs:us-east-1:000000000000:dead";

/// `count` dead letters of the queue `q`.
async fn bench(count: usize) -> Bench {
    let b = Bench::new();
    b.ok("CreateQueue", json!({"QueueName": "dead"})).await;
    let policy = format!(r#"{{"deadLetterTargetArn":"{DEAD_ARN}","maxReceiveCount":1}}"#);
    b.ok("CreateQueue", json!({"QueueName": "q", "Attributes": {"RedrivePolicy": policy}})).await;
    for n in 0..count {
        b.ok("SendMessage", json!({"QueueUrl": Q, "MessageBody": n.to_string()})).await;
    }
    for _ in 0..count.div_ceil(10) {
        b.ok("ReceiveMessage", json!({"QueueUrl": Q, "MaxNumberOfMessages": 10})).await;
    }
    b.pass(30);
    b.ok("ReceiveMessage", json!({"QueueUrl": Q, "MaxNumberOfMessages": 10})).await;
    b
}

async fn task(b: &Bench) -> Value {
    b.ok("ListMessageMoveTasks", json!({"SourceArn": DEAD_ARN})).await["Results"][0].clone()
}

async fn until(b: &Bench, status: &str) -> Value {
    for _ in 0..100_000 {
        let task = task(b).await;
        if task["Status"] == status {
            return task;
        }
        tokio::task::yield_now().await;
    }
    panic!("the task is {}", task(b).await);
}

async fn count(b: &Bench, url: &str) -> String {
    let input = json!({"QueueUrl": url, "AttributeNames": ["ApproximateNumberOfMessages"]});
    b.ok("GetQueueAttributes", input).await["Attributes"]["ApproximateNumberOfMessages"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn the_dead_go_back_where_they_came_from() {
    let b = bench(7).await;
    assert_eq!((count(&b, Q).await, count(&b, DEAD).await), ("0".to_owned(), "7".to_owned()));
    let started = b.ok("StartMessageMoveTask", json!({"SourceArn": DEAD_ARN})).await;
    assert!(started["TaskHandle"].is_string());
    let done = until(&b, "COMPLETED").await;
    assert_eq!(done["ApproximateNumberOfMessagesMoved"], 7);
    assert_eq!(done["ApproximateNumberOfMessagesToMove"], 7);
    assert!(done.get("TaskHandle").is_none());
    assert_eq!((count(&b, Q).await, count(&b, DEAD).await), ("7".to_owned(), "0".to_owned()));
    // They are new there: received for the first time.
    let answer = b.ok("ReceiveMessage", json!({"QueueUrl": Q, "AttributeNames": ["All"]})).await;
    assert_eq!(answer["Messages"][0]["Attributes"]["ApproximateReceiveCount"], "1");
}

#[tokio::test]
async fn at_a_rate_elsewhere_and_cancelled() {
    let b = bench(9).await;
    b.ok("CreateQueue", json!({"QueueName": "else"})).await;
    let start = json!({
        "SourceArn": DEAD_ARN,
        "DestinationArn": "arn:aws:sqs:us-east-1:000000000000:else",
        "MaxNumberOfMessagesPerSecond": 1,
    });
    let handle = b.ok("StartMessageMoveTask", start.clone()).await["TaskHandle"].clone();
    assert_eq!(b.error("StartMessageMoveTask", start).await, "InvalidParameterValue");
    // The clock stands: one message is moved, and the next one is not due.
    while task(&b).await["ApproximateNumberOfMessagesMoved"] != 1 {
        tokio::task::yield_now().await;
    }
    assert_eq!(task(&b).await["TaskHandle"], handle);
    let cancelled = b.ok("CancelMessageMoveTask", json!({"TaskHandle": handle})).await;
    assert_eq!(cancelled["ApproximateNumberOfMessagesMoved"], 1);
    assert_eq!(task(&b).await["Status"], "CANCELLING");
    assert_eq!(b.error("CancelMessageMoveTask", json!({"TaskHandle": handle})).await, "UnsupportedOperation");
    assert_eq!(count(&b, DEAD).await, "8");
}

#[tokio::test]
async fn a_task_fails_with_its_reason() {
    let b = bench(1).await;
    b.ok(
        "CreateQueue",
        json!({"QueueName": "q2", "Attributes": {
            "RedrivePolicy": format!(r#"{{"deadLetterTargetArn":"{DEAD_ARN}","maxReceiveCount":1}}"#),
        }}),
    )
    .await;
    b.ok("DeleteQueue", json!({"QueueUrl": Q})).await;
    b.ok("StartMessageMoveTask", json!({"SourceArn": DEAD_ARN})).await;
    assert_eq!(until(&b, "FAILED").await["FailureReason"], "AWS.SimpleQueueService.NonExistentQueue");
    assert_eq!(count(&b, DEAD).await, "1");
}

#[tokio::test]
async fn what_cannot_be_started() {
    let b = bench(0).await;
    let start = |source: &str| json!({"SourceArn": source});
    assert_eq!(b.error("StartMessageMoveTask", start("nothing")).await, "InvalidParameterValue");
    let gone = "arn:aws:sqs:us-east-1:000000000000:gone";
    assert_eq!(b.error("StartMessageMoveTask", start(gone)).await, "ResourceNotFoundException");
    assert_eq!(b.error("ListMessageMoveTasks", start(gone)).await, "ResourceNotFoundException");
    let no_dead = "arn:aws:sqs:us-east-1:000000000000:q";
    assert_eq!(b.error("StartMessageMoveTask", start(no_dead)).await, "InvalidParameterValue");
    let mut to = start(DEAD_ARN);
    to["DestinationArn"] = json!(gone);
    assert_eq!(b.error("StartMessageMoveTask", to.clone()).await, "ResourceNotFoundException");
    to["DestinationArn"] = json!(DEAD_ARN);
    assert_eq!(b.error("StartMessageMoveTask", to.clone()).await, "InvalidParameterValue");
    to["MaxNumberOfMessagesPerSecond"] = json!(501);
    assert_eq!(b.error("StartMessageMoveTask", to).await, "InvalidParameterValue");
    assert_eq!(b.error("CancelMessageMoveTask", json!({"TaskHandle": "?"})).await, "InvalidParameterValue");
}
