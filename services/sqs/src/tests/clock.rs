//! What a clock that is set does to delays, visibility and order: nothing is lost, nothing overtakes in a group.

use super::fair::{counts, take};
use super::*;

const HOUR_MS: u64 = 3_600_000;
const F: &str = "http://localhost:4566/000000000000/f.fifo";

async fn set(b: &Bench, ms: impl Fn(u64) -> u64) {
    b.clock.0.store(ms(b.clock.now_ms()), Ordering::Relaxed);
}

async fn bodies(b: &Bench) -> Vec<String> {
    take(b, 10).await.into_iter().map(|(body, _)| body).collect()
}

#[tokio::test]
async fn delays_and_visibility_follow_the_clock() {
    let b = Bench::new();
    b.ok("CreateQueue", json!({"QueueName": "q", "Attributes": {"VisibilityTimeout": "600"}})).await;
    for (body, delay_s) in [("now", 0), ("later", 900)] {
        b.ok("SendMessage", json!({"QueueUrl": Q, "MessageBody": body, "DelaySeconds": delay_s})).await;
    }
    let held = take(&b, 10).await;
    assert_eq!(held[0].0, "now");
    // Forwards: what was in flight is back, what was delayed is due, and a receipt of before is too old to hold.
    set(&b, |ms| ms + HOUR_MS).await;
    assert_eq!(counts(&b).await, [2, 0, 0]);
    assert_eq!(bodies(&b).await.len(), 2);
    // Backwards: what is in flight stays so until the clock is there again; what is sent meanwhile is received.
    set(&b, |ms| ms - 2 * HOUR_MS).await;
    b.ok("SendMessage", json!({"QueueUrl": Q, "MessageBody": "between"})).await;
    assert_eq!(bodies(&b).await, ["between"]);
    assert!(bodies(&b).await.is_empty());
    // Whoever holds a message may still delete it.
    set(&b, |ms| ms + 2 * HOUR_MS + 600_000).await;
    let all = take(&b, 10).await;
    assert_eq!(all.len(), 3, "each is there, and once: {all:?}");
    set(&b, |ms| ms - HOUR_MS).await;
    for (_, handle) in all {
        b.ok("DeleteMessage", json!({"QueueUrl": Q, "ReceiptHandle": handle})).await;
    }
    set(&b, |ms| ms + 9 * HOUR_MS).await;
    assert!(bodies(&b).await.is_empty());
    assert_eq!(counts(&b.again()).await, [0, 0, 0]);
}

#[tokio::test]
async fn a_group_keeps_its_order_whatever_the_clock_does() {
    let b = Bench::new();
    b.ok("CreateQueue", json!({"QueueName": "f.fifo", "Attributes": {"FifoQueue": "true"}})).await;
    for (n, jump_ms) in [0, HOUR_MS as i64, -2 * HOUR_MS as i64, 60_000, -1, 3 * HOUR_MS as i64].into_iter().enumerate()
    {
        set(&b, |ms| ms.saturating_add_signed(jump_ms)).await;
        let id = format!("id{n}");
        let input =
            json!({"QueueUrl": F, "MessageBody": n.to_string(), "MessageGroupId": "g", "MessageDeduplicationId": id});
        let first = b.ok("SendMessage", input.clone()).await;
        assert_eq!(b.ok("SendMessage", input).await["MessageId"], first["MessageId"], "{n} is taken once");
    }
    let mut seen = Vec::new();
    while seen.len() < 6 {
        let got = b.ok("ReceiveMessage", json!({"QueueUrl": F, "MaxNumberOfMessages": 4})).await;
        let messages = got["Messages"].as_array().unwrap().clone();
        for message in messages {
            seen.push(message["Body"].as_str().unwrap().to_owned());
            b.ok("DeleteMessage", json!({"QueueUrl": F, "ReceiptHandle": message["ReceiptHandle"]})).await;
        }
    }
    assert_eq!(seen, ["0", "1", "2", "3", "4", "5"]);
}
