//! Fair queues, and the counts that are kept beside the messages.

use std::collections::HashMap;

use cumulet_base::limits::QUEUE_NOISE_QUIET_MS;
use proptest::prelude::*;

use super::*;

async fn send(b: &Bench, body: &str, group: Option<&str>) {
    let mut input = json!({"QueueUrl": Q, "MessageBody": body});
    if let Some(group) = group {
        input["MessageGroupId"] = json!(group);
    }
    b.ok("SendMessage", input).await;
}

pub(super) async fn take(b: &Bench, max: u64) -> Vec<(String, String)> {
    let got = b.ok("ReceiveMessage", json!({"QueueUrl": Q, "MaxNumberOfMessages": max})).await;
    let messages = got["Messages"].as_array().cloned().unwrap_or_default();
    let text = |message: &Value, name: &str| message[name].as_str().unwrap().to_owned();
    messages.iter().map(|message| (text(message, "Body"), text(message, "ReceiptHandle"))).collect()
}

async fn bodies(b: &Bench, max: u64) -> Vec<String> {
    take(b, max).await.into_iter().map(|(body, _)| body).collect()
}

#[tokio::test]
async fn others_come_before_a_noisy_group() {
    let b = Bench::new();
    b.ok("CreateQueue", json!({"QueueName": "q"})).await;
    for n in 0..200 {
        send(&b, &format!("loud {n}"), Some("loud")).await;
    }
    send(&b, "b", Some("b")).await;
    send(&b, "alone", None).await;
    for n in 0..3 {
        assert_eq!(bodies(&b, 10).await.len(), 10, "the {n}th ten, in the order of time");
    }
    // Thirty are in flight, and all of one group.
    assert_eq!(bodies(&b, 1).await, ["b"]);
    assert_eq!(bodies(&b, 2).await, ["alone", "loud 30"]);
    send(&b, "c", Some("c")).await;
    send(&b, "c again", Some("c")).await;
    assert_eq!(bodies(&b, 2).await, ["c", "c again"]);
    assert_eq!(bodies(&b, 1).await, ["loud 31"], "nobody else has anything");
    // All that was in flight comes back; whose handling took nearly all of the time is still noisy.
    b.pass(31);
    assert!(!bodies(&b, 1).await[0].starts_with("loud"));
}

#[tokio::test]
async fn of_noisy_groups_the_one_that_holds_less_comes_first() {
    let b = Bench::new();
    b.ok("CreateQueue", json!({"QueueName": "q"})).await;
    for n in 0..60 {
        send(&b, &format!("x {n}"), Some("x")).await;
    }
    for n in 0..60 {
        send(&b, &format!("y {n}"), Some("y")).await;
    }
    for _ in 0..4 {
        assert!(bodies(&b, 10).await.iter().all(|body| body.starts_with(['x', 'y'])));
    }
    let held = |bodies: Vec<String>| bodies.into_iter().map(|body| body[..1].to_owned()).collect::<Vec<_>>();
    assert_eq!(held(bodies(&b, 3).await), ["y", "y", "y"]);
    b.clock.0.fetch_add(QUEUE_NOISE_QUIET_MS, Ordering::Relaxed);
    assert!(!bodies(&b, 1).await.is_empty(), "who sends no more is not noisy");
}

#[tokio::test]
async fn quiet_ones_are_found_among_very_many_groups() {
    let b = Bench::new();
    b.ok("CreateQueue", json!({"QueueName": "q", "Attributes": {"VisibilityTimeout": "3600"}})).await;
    for n in 0..150 {
        send(&b, "early", Some(&format!("g{n:03}"))).await;
    }
    for _ in 0..15 {
        assert_eq!(bodies(&b, 10).await.len(), 10);
    }
    for n in 0..400 {
        send(&b, &format!("loud {n}"), Some("loud")).await;
    }
    for _ in 0..5 {
        assert_eq!(bodies(&b, 10).await.len(), 10);
    }
    // Every group before it has only messages in flight.
    send(&b, "at last", Some("z")).await;
    let mut got = Vec::new();
    for _ in 0..4 {
        got.extend(bodies(&b, 1).await);
    }
    assert!(got.contains(&"at last".to_owned()), "{got:?}");
}

pub(super) async fn counts(b: &Bench) -> [u64; 3] {
    let asked = json!({"QueueUrl": Q, "AttributeNames": ["All"]});
    let shown = b.ok("GetQueueAttributes", asked).await["Attributes"].clone();
    ["", "NotVisible", "Delayed"]
        .map(|kind| shown[format!("ApproximateNumberOfMessages{kind}")].as_str().unwrap().parse().unwrap())
}

#[derive(Clone, Debug)]
enum Step {
    Send { delay_s: u64, group: Option<u8> },
    Receive { max: u64, timeout_s: u64 },
    Delete(usize),
    Change(usize, u64),
    Pass(u64),
    Count,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => (0..20_u64, prop::option::of(0..3_u8)).prop_map(|(delay_s, group)| Step::Send { delay_s, group }),
        3 => (1..=10_u64, 0..30_u64).prop_map(|(max, timeout_s)| Step::Receive { max, timeout_s }),
        1 => any::<usize>().prop_map(Step::Delete),
        1 => (any::<usize>(), 0..30_u64).prop_map(|(which, s)| Step::Change(which, s)),
        1 => (1..15_u64).prop_map(Step::Pass),
        1 => Just(Step::Count),
    ];
    prop::collection::vec(step, 1..60)
}

/// When a message is visible, and whether it was received.
type Model = HashMap<String, (u64, bool)>;

async fn agree(steps: Vec<Step>) {
    let b = Bench::new();
    b.ok("CreateQueue", json!({"QueueName": "q"})).await;
    let (mut model, mut receipts): (Model, Vec<(String, String)>) = Default::default();
    let expect = |model: &Model, now_ms: u64| {
        let later = |received: bool| model.values().filter(|v| v.0 > now_ms && v.1 == received).count() as u64;
        [model.len() as u64 - later(true) - later(false), later(true), later(false)]
    };
    for (n, step) in steps.into_iter().enumerate() {
        let now_ms = b.clock.now_ms();
        match step {
            Step::Send { delay_s, group } => {
                let body = n.to_string();
                let mut input = json!({"QueueUrl": Q, "MessageBody": body, "DelaySeconds": delay_s});
                if let Some(group) = group {
                    input["MessageGroupId"] = json!(group.to_string());
                }
                b.ok("SendMessage", input).await;
                model.insert(body, (now_ms + delay_s * 1000, false));
            }
            Step::Receive { max, timeout_s } => {
                let visible = expect(&model, now_ms)[0];
                let input = json!({"QueueUrl": Q, "MaxNumberOfMessages": max, "VisibilityTimeout": timeout_s});
                let got = b.ok("ReceiveMessage", input).await;
                let got = got["Messages"].as_array().cloned().unwrap_or_default();
                assert_eq!(got.len() as u64, visible.min(max), "nothing visible is kept back");
                for message in got {
                    let body = message["Body"].as_str().unwrap().to_owned();
                    receipts.retain(|(old, _)| *old != body);
                    receipts.push((body.clone(), message["ReceiptHandle"].as_str().unwrap().to_owned()));
                    model.insert(body, (now_ms + timeout_s * 1000, true));
                }
            }
            Step::Delete(which) if !receipts.is_empty() => {
                let (body, handle) = receipts.remove(which % receipts.len());
                b.ok("DeleteMessage", json!({"QueueUrl": Q, "ReceiptHandle": handle})).await;
                model.remove(&body);
            }
            Step::Change(which, s) if !receipts.is_empty() => {
                let (body, handle) = receipts[which % receipts.len()].clone();
                let input = json!({"QueueUrl": Q, "ReceiptHandle": handle, "VisibilityTimeout": s});
                if b.call("ChangeMessageVisibility", input).await.is_ok() {
                    model.insert(body, (now_ms + s * 1000, true));
                }
            }
            Step::Pass(s) => b.pass(s),
            Step::Count => assert_eq!(counts(&b).await, expect(&model, now_ms)),
            Step::Delete(_) | Step::Change(..) => {}
        }
    }
    let now_ms = b.clock.now_ms();
    assert_eq!(counts(&b).await, expect(&model, now_ms));
    // Another process, which has to read.
    assert_eq!(counts(&b.again()).await, expect(&model, now_ms));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    #[test]
    fn counts_are_those_of_the_messages(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(agree(steps));
    }
}
