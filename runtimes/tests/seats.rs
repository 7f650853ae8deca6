//! Several events at a time in one instance, started and cloned, in Node.js and Python.
#![allow(clippy::unwrap_used)]

mod clone_lab;

use clone_lab::{Lab, invoke_as, lab, node, python};
use cumulet_engine::function::Runtime;
use cumulet_engine::policy::Birth;
use cumulet_engine::sandbox::{Answer, Failure, Instance};
use serde_json::{Value, json};

const SEATS: usize = 3;

struct Shared {
    lab: Lab,
    seats: Vec<Box<dyn Instance>>,
}

/// An instance with seats, of the birth given; `None` where this machine cannot clone.
async fn shared(runtime: Runtime, file: &str, code: &str, birth: Birth) -> Option<Shared> {
    let mut lab = lab(runtime, file, code)?;
    lab.environment.push(("AWS_LAMBDA_MAX_CONCURRENCY".to_owned(), SEATS.to_string()));
    if birth == Birth::Clone {
        assert_eq!(lab.settled().await, "cloned");
    }
    let instance = lab.start("mine").await;
    assert_eq!(instance.birth(), birth);
    let seats = instance.seats(SEATS).await.unwrap();
    assert_eq!(seats.len(), SEATS);
    Some(Shared { lab, seats })
}

type Found = (Result<Answer, Failure>, Vec<String>);

impl Shared {
    /// One event on each seat, all at once. Answers, and what each printed.
    async fn all(&mut self, payload: impl Fn(usize) -> Value) -> Vec<Found> {
        let events = self.seats.drain(..).enumerate().map(|(index, mut seat)| {
            let payload = payload(index).to_string();
            tokio::spawn(async move {
                let (answer, mut log) = invoke_as(&format!("request-{index}"), &mut seat, &payload).await;
                let lines = log.take().0.into_iter().map(|line| line.message).collect();
                (seat, (answer, lines))
            })
        });
        let mut all = Vec::new();
        for event in events.collect::<Vec<_>>() {
            let (seat, found) = event.await.unwrap();
            self.seats.push(seat);
            all.push(found);
        }
        all
    }

    async fn stop(self) {
        for seat in self.seats {
            seat.stop().await;
        }
        drop(self.lab);
    }
}

fn value((answer, _): &Found) -> Value {
    match answer {
        Ok(Answer::Success(text)) => serde_json::from_slice(text).unwrap(),
        other => panic!("{other:?}"),
    }
}

const NODE: &str = r#"
let here = 0, open = [];
exports.handler = async (event, context) => {
  console.log('before', event.n);
  if (event.exit) process.exit(event.exit);
  if (event.late) setTimeout(() => { throw new RangeError('late'); }, 1);
  if (event.hang) await new Promise(() => {});
  if (event.echo) return event.echo;
  // Nobody goes on before all are here.
  await new Promise((resolve) => { open.push(resolve); if (++here === 3) { open.forEach((go) => go()); here = 0; open = []; } });
  await new Promise((resolve) => setTimeout(resolve, 1));
  console.log('after', event.n);
  if (event.fail) throw new TypeError(`of ${event.n}`);
  const { InvokeStore } = awslambda;
  return [event.n, context.awsRequestId, InvokeStore.getRequestId(), process.pid];
};"#;

async fn node_events_share_a_process(birth: Birth) {
    let Some(mut shared) = shared(node(), "index.js", NODE, birth).await else { return };
    for _ in 0..3 {
        let found = shared.all(|n| json!({ "n": n })).await;
        let pid = value(&found[0])[3].clone();
        for (n, one) in found.iter().enumerate() {
            assert_eq!(value(one), json!([n, format!("request-{n}"), format!("request-{n}"), pid]));
            let lines: Vec<_> =
                one.1.iter().map(|line| line.split('\t').skip(1).collect::<Vec<_>>().join(" ")).collect();
            assert_eq!(lines, [format!("request-{n} INFO before {n}"), format!("request-{n} INFO after {n}")]);
        }
    }
    let long = "x".repeat(1_000_000);
    let found = shared.all(|n| json!({ "n": n, "echo": format!("{n}{long}") })).await;
    for (n, one) in found.iter().enumerate() {
        assert_eq!(value(one), json!(format!("{n}{long}")));
    }
    let found = shared.all(|n| json!({ "n": n, "fail": n == 1 })).await;
    assert!(
        matches!(&found[1].0, Ok(Answer::Error(text)) if text.starts_with(b"{\"errorType\":\"TypeError\",\"errorMessage\":\"of 1\""))
    );
    assert_eq!(value(&found[2])[0], 2, "the others are served");
    let found =
        shared.all(|n| if n == 0 { json!({ "n": n, "exit": 3 }) } else { json!({ "n": n, "hang": true }) }).await;
    for one in &found {
        assert_eq!(one.0, Err(Failure::Exited { code: Some(3), signal: None }));
    }
    assert!(!shared.seats[2].is_alive());
    shared.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn node_events_share_a_started_process() {
    node_events_share_a_process(Birth::Start).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn node_events_share_a_cloned_process() {
    node_events_share_a_process(Birth::Clone).await;
}

/// An error that nobody catches is the answer to all that is under way, and the last one.
#[tokio::test(flavor = "multi_thread")]
async fn an_uncaught_error_is_everybodys_answer() {
    let Some(mut shared) = shared(node(), "index.js", NODE, Birth::Start).await else { return };
    for one in shared.all(|n| json!({ "n": n, "hang": true, "late": n == 1 })).await {
        assert!(
            matches!(&one.0, Ok(Answer::Error(text)) if text.starts_with(b"{\"errorType\":\"RangeError\"")),
            "{one:?}"
        );
    }
    let again = shared.all(|n| json!({ "n": n })).await;
    assert!(again.iter().all(|one| one.0 == Err(Failure::Exited { code: Some(129), signal: None })), "{again:?}");
    shared.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn node_streams_side_by_side() {
    let code = r#"
exports.handler = awslambda.streamifyResponse(async (event, stream, context) => {
  for (let turn = 0; turn < 20; turn++) {
    stream.write(`${event.n}`.repeat(20000));
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  stream.end();
});"#;
    let Some(mut shared) = shared(node(), "index.js", code, Birth::Start).await else { return };
    for (n, one) in shared.all(|n| json!({ "n": n })).await.iter().enumerate() {
        assert!(
            matches!(&one.0, Ok(Answer::Success(text)) if text[..] == n.to_string().repeat(400_000).as_bytes()[..])
        );
    }
    shared.stop().await;
}

const PYTHON: &str = r#"
import os, signal, socket, time, random
mine = []
one, other = socket.socketpair()
def handler(event, context):
    print("before", event["n"])
    if "exit" in event: os._exit(event["exit"])
    if "kill" in event: os.kill(os.getpid(), signal.SIGKILL)
    if "hang" in event: time.sleep(60)
    mine.append(event["n"])
    # Nobody goes on before all are here.
    folder = f"/tmp/{event['turn']}"
    os.makedirs(folder, exist_ok=True)
    open(f"{folder}/{event['n']}", "w").close()
    while len(os.listdir(folder)) < 3: time.sleep(0.001)
    if "fail" in event: raise KeyError(event["n"])
    return [mine, context.aws_request_id, os.getpid(), random.random(), one.recv(1).decode()]
"#;

async fn python_events_have_processes(birth: Birth) {
    let Some(mut shared) = shared(python(), "index.py", PYTHON, birth).await else { return };
    for turn in 0..2 {
        let found = shared.all(|n| json!({ "n": n, "turn": turn })).await;
        let values: Vec<_> = found.iter().map(value).collect();
        for (n, one) in values.iter().enumerate() {
            let [mine, id, pid, number, socket] = &one.as_array().unwrap()[..] else { panic!("{one}") };
            assert_eq!((mine, id, socket), (&json!(vec![n; turn + 1]), &json!(format!("request-{n}")), &json!("")));
            let is_own = |at: usize, what: &Value| values.iter().filter(|one| one[at] == *what).count() == 1;
            assert!(is_own(2, pid) && is_own(3, number), "{values:?}");
            assert!(
                found[n].1.contains(&format!("before {n}"))
                    || found.iter().any(|one| one.1.contains(&format!("before {n}")))
            );
        }
    }
    let found = shared
        .all(|n| if n == 1 { json!({ "n": n, "turn": 9, "fail": 1 }) } else { json!({ "n": n, "turn": 9 }) })
        .await;
    assert!(matches!(&found[1].0, Ok(Answer::Error(text)) if String::from_utf8_lossy(text).contains("KeyError")));
    assert_eq!(value(&found[2])[0], json!([2, 2, 2]));
    let found = shared.all(|n| if n == 0 { json!({ "n": n, "exit": 3 }) } else { json!({ "n": n, "hang": 1 }) }).await;
    for one in &found {
        assert_eq!(one.0, Err(Failure::Exited { code: Some(3), signal: None }));
    }
    shared.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn python_events_have_processes_of_a_started_instance() {
    python_events_have_processes(Birth::Start).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn python_events_have_processes_of_a_cloned_instance() {
    python_events_have_processes(Birth::Clone).await;
}
