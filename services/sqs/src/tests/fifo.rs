//! FIFO queues: order, groups, deduplication.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::Bench;

const F: &str = "http://localhost:4566/000000000000/f.fifo";

async fn bench(attributes: &[(&str, &str)]) -> Bench {
    let b = Bench::new();
    let mut all = BTreeMap::from([("FifoQueue", "true")]);
    all.extend(attributes.iter().copied());
    b.ok("CreateQueue", json!({"QueueName": "f.fifo", "Attributes": all})).await;
    b
}

async fn send(b: &Bench, group: &str, body: &str) -> Value {
    let input = json!({
        "QueueUrl": F, "MessageBody": body, "MessageGroupId": group, "MessageDeduplicationId": format!("{group}{body}"),
    });
    b.ok("SendMessage", input).await
}

/// Bodies, and the receipts of the messages.
async fn receive(b: &Bench, max: u64) -> (Vec<String>, Vec<Value>) {
    let input = json!({"QueueUrl": F, "MaxNumberOfMessages": max, "AttributeNames": ["All"]});
    let answer = b.ok("ReceiveMessage", input).await;
    let list = answer["Messages"].as_array().cloned().unwrap_or_default();
    let body = |m: &Value| m["Body"].as_str().unwrap().to_owned();
    (list.iter().map(body).collect(), list)
}

async fn delete(b: &Bench, message: &Value) {
    b.ok("DeleteMessage", json!({"QueueUrl": F, "ReceiptHandle": message["ReceiptHandle"]})).await;
}

#[tokio::test]
async fn a_group_is_in_order_and_locked_while_it_is_in_flight() {
    let b = bench(&[]).await;
    let mut numbers = Vec::new();
    for body in ["1", "2", "3"] {
        numbers.push(send(&b, "a", body).await["SequenceNumber"].as_str().unwrap().to_owned());
    }
    send(&b, "b", "x").await;
    assert!(numbers.is_sorted() && numbers.iter().all(|n| n.len() == 20), "{numbers:?}");
    let (first, held) = receive(&b, 2).await;
    assert_eq!(first, ["1", "2"]);
    assert_eq!(held[0]["Attributes"]["SequenceNumber"], numbers[0]);
    assert_eq!(held[0]["Attributes"]["MessageGroupId"], "a");
    assert_eq!(held[0]["Attributes"]["MessageDeduplicationId"], "a1");
    // The rest of the group waits, other groups do not.
    assert_eq!(receive(&b, 10).await.0, ["x"]);
    assert!(receive(&b, 10).await.0.is_empty());
    delete(&b, &held[0]).await;
    assert!(receive(&b, 10).await.0.is_empty(), "the second one is still in flight");
    delete(&b, &held[1]).await;
    assert_eq!(receive(&b, 10).await.0, ["3"]);
    // What comes back is first again, with what joined behind it.
    send(&b, "a", "4").await;
    b.pass(30);
    let (again, held) = receive(&b, 1).await;
    assert_eq!(again, ["3"]);
    let back = json!({"QueueUrl": F, "ReceiptHandle": held[0]["ReceiptHandle"], "VisibilityTimeout": 0});
    b.ok("ChangeMessageVisibility", back).await;
    assert_eq!(receive(&b, 10).await.0, ["3", "4", "x"]);
}

#[tokio::test]
async fn a_receipt_that_has_expired_deletes_nothing() {
    let b = bench(&[]).await;
    send(&b, "a", "1").await;
    let (_, held) = receive(&b, 1).await;
    b.pass(30);
    let input = json!({"QueueUrl": F, "ReceiptHandle": held[0]["ReceiptHandle"]});
    assert_eq!(b.error("DeleteMessage", input.clone()).await, "InvalidParameterValue");
    let batch = json!({"QueueUrl": F, "Entries": [{"Id": "a", "ReceiptHandle": held[0]["ReceiptHandle"]}]});
    assert_eq!(b.ok("DeleteMessageBatch", batch).await["Failed"][0]["Code"], "InvalidParameterValue");
    assert_eq!(receive(&b, 1).await.0, ["1"]);
}

#[tokio::test]
async fn a_message_is_taken_once_in_five_minutes() {
    let b = bench(&[]).await;
    let first = send(&b, "a", "1").await;
    assert_eq!(send(&b, "a", "1").await, first);
    let (_, held) = receive(&b, 10).await;
    assert_eq!(held.len(), 1);
    delete(&b, &held[0]).await;
    // Also after it was deleted.
    b.pass(299);
    assert_eq!(send(&b, "a", "1").await["MessageId"], first["MessageId"]);
    assert!(receive(&b, 10).await.0.is_empty());
    b.pass(2);
    assert_ne!(send(&b, "a", "1").await["MessageId"], first["MessageId"]);
    assert_eq!(receive(&b, 10).await.0, ["1"]);
    // Two of one id in one batch, and an id is the whole queue's.
    let entry = |id: &str, group: &str| json!({"Id": id, "MessageBody": id, "MessageGroupId": group, "MessageDeduplicationId": "same"});
    let batch = json!({"QueueUrl": F, "Entries": [entry("x", "p"), entry("y", "p"), entry("z", "q")]});
    let sent = b.ok("SendMessageBatch", batch).await["Successful"].clone();
    assert_eq!(sent[0]["MessageId"], sent[1]["MessageId"]);
    assert_eq!(sent[0]["SequenceNumber"], sent[2]["SequenceNumber"]);
    assert_eq!(receive(&b, 10).await.0, ["x"]);
}

#[tokio::test]
async fn ids_of_content_and_ids_by_group() {
    let b = bench(&[
        ("ContentBasedDeduplication", "true"),
        ("DeduplicationScope", "messageGroup"),
        ("FifoThroughputLimit", "perMessageGroupId"),
    ])
    .await;
    let message = |group: &str| json!({"QueueUrl": F, "MessageBody": "same", "MessageGroupId": group});
    let first = b.ok("SendMessage", message("a")).await;
    assert_eq!(b.ok("SendMessage", message("a")).await, first);
    assert_ne!(b.ok("SendMessage", message("b")).await["MessageId"], first["MessageId"]);
    let (bodies, held) = receive(&b, 10).await;
    assert_eq!(bodies, ["same", "same"]);
    // The SHA-256 of "same".
    let id = held[0]["Attributes"]["MessageDeduplicationId"].as_str().unwrap();
    assert_eq!(id, "0967115f2813a3541eaef77de9d9d5773f1c0c04314b0bbfe4ff3b3b1c55b5d5");
}

#[tokio::test]
async fn an_attempt_that_is_repeated_is_given_the_same() {
    let b = bench(&[]).await;
    for body in ["1", "2"] {
        send(&b, "a", body).await;
    }
    let attempt = |id: &str| json!({"QueueUrl": F, "MaxNumberOfMessages": 10, "ReceiveRequestAttemptId": id});
    let first = b.ok("ReceiveMessage", attempt("one")).await;
    assert_eq!(first["Messages"].as_array().unwrap().len(), 2);
    b.pass(20);
    assert_eq!(b.ok("ReceiveMessage", attempt("one")).await, first);
    assert_eq!(b.ok("ReceiveMessage", attempt("two")).await, Value::Null);
    // The repetition began the timeout anew.
    b.pass(20);
    assert!(receive(&b, 10).await.0.is_empty());
    delete(&b, &first["Messages"][0]).await;
    assert_eq!(b.ok("ReceiveMessage", attempt("one")).await, Value::Null, "it was touched");
    b.pass(10);
    assert_eq!(receive(&b, 10).await.0, ["2"]);
}

#[tokio::test]
async fn delays_and_dead_letters() {
    let b = bench(&[("DelaySeconds", "5")]).await;
    b.ok("CreateQueue", json!({"QueueName": "dead.fifo", "Attributes": {"FifoQueue": "true"}})).await;
    let policy = r#"{"deadLetterTargetArn":"arn:aws:sqs:us-east-1:000000000000:dead.fifo","maxReceiveCount":1}"#;
    b.ok("SetQueueAttributes", json!({"QueueUrl": F, "Attributes": {"RedrivePolicy": policy}})).await;
    for body in ["1", "2"] {
        send(&b, "a", body).await;
    }
    assert!(receive(&b, 10).await.0.is_empty());
    b.pass(5);
    assert_eq!(receive(&b, 1).await.0, ["1"]);
    b.pass(30);
    assert_eq!(receive(&b, 10).await.0, ["2"], "the first one is dead");
    let dead = json!({"QueueUrl": F.replace("f.fifo", "dead.fifo"), "AttributeNames": ["All"]});
    let dead = b.ok("ReceiveMessage", dead).await["Messages"][0].clone();
    assert_eq!(dead["Body"], "1");
    assert_eq!(dead["Attributes"]["DeadLetterQueueSourceArn"], "arn:aws:sqs:us-east-1:000000000000:f.fifo");
}

#[tokio::test]
async fn purged_groups_begin_anew() {
    let b = bench(&[]).await;
    for n in 0..30 {
        send(&b, ["a", "b"][n % 2], &n.to_string()).await;
    }
    receive(&b, 1).await;
    b.ok("PurgeQueue", json!({"QueueUrl": F})).await;
    send(&b, "a", "new").await;
    assert_eq!(receive(&b, 10).await.0, ["new"]);
    let names = json!({"QueueUrl": F, "AttributeNames": ["ApproximateNumberOfMessages"]});
    assert_eq!(b.ok("GetQueueAttributes", names).await["Attributes"]["ApproximateNumberOfMessages"], "0");
}

#[tokio::test]
async fn senders_and_receivers_at_once_keep_each_groups_order() {
    let b = bench(&[]).await;
    let groups = 4;
    let each = 25;
    let mut tasks = tokio::task::JoinSet::new();
    for group in 0..groups {
        let b = b.clone();
        tasks.spawn(async move {
            for n in 0..each {
                send(&b, &format!("g{group}"), &format!("{n:03}")).await;
            }
        });
    }
    let seen: std::sync::Arc<std::sync::Mutex<Vec<(String, String)>>> = std::sync::Arc::default();
    for _ in 0..3 {
        let (b, seen) = (b.clone(), seen.clone());
        tasks.spawn(async move {
            while seen.lock().unwrap().len() < groups * each {
                let (_, held) = receive(&b, 3).await;
                for message in &held {
                    let of = |name: &str| message["Attributes"][name].as_str().unwrap().to_owned();
                    seen.lock().unwrap().push((of("MessageGroupId"), message["Body"].as_str().unwrap().to_owned()));
                }
                for message in &held {
                    delete(&b, message).await;
                }
                tokio::task::yield_now().await;
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    let seen = seen.lock().unwrap();
    for group in 0..groups {
        let bodies: Vec<&String> =
            seen.iter().filter(|(g, _)| *g == format!("g{group}")).map(|(_, body)| body).collect();
        assert_eq!(bodies.len(), each);
        assert!(bodies.is_sorted(), "group {group}: {bodies:?}");
    }
}
