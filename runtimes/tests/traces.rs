//! The trace of each event in the environment, and that instances do not grow with the events that they have seen.
#![allow(clippy::unwrap_used)]

mod support;

use cumulet_base::id;
use cumulet_engine::sandbox::Answer;
use serde_json::Value;
use support::{Running, event};

/// More than the hosts take for a few.
const WARM: usize = 1_000;
const EVENTS: usize = 20_000;
/// Of a trace's value. All together take 10 MB.
const TRACE_BYTES: usize = 500;
/// Heaps of newer versions of Node.js breathe by some 2 MB.
const GROWTH_KB_MAX: u64 = 4_000;

const NODE: &str = r"
const fs = require('fs'), { execSync } = require('child_process');
const heap = () => Number(/\[heap\]\n(?:.*\n)*?Rss: +(\d+)/.exec(fs.readFileSync('/proc/self/smaps', 'utf8'))[1]);
exports.handler = async (event) => [
  process.env._X_AMZN_TRACE_ID,
  event && heap(),
  event && execSync('printenv _X_AMZN_TRACE_ID').toString().trim(),
];";

const PYTHON: &str = r#"
import os, re, subprocess
def heap():
    return int(re.search(r"\[heap\]\n(?:.*\n)*?Rss: +(\d+)", open("/proc/self/smaps").read())[1])
def handler(event, context):
    child = event and subprocess.check_output(["printenv", "_X_AMZN_TRACE_ID"], text=True).strip()
    return [os.environ["_X_AMZN_TRACE_ID"], event and heap(), child]
"#;

const RUBY: &str = r#"
def handler(event:, context:)
  heap = event && File.read('/proc/self/smaps')[/\[heap\]\n(?:.*\n)*?Rss: +(\d+)/, 1].to_i
  [ENV['_X_AMZN_TRACE_ID'], heap, event && `printenv _X_AMZN_TRACE_ID`.strip]
end
"#;

/// The heap's size, once the event's trace was found in the environment of the function and of its child.
async fn heap_kb(running: &mut Running) -> u64 {
    let (trace, answer) = served(running, "true").await;
    assert_eq!([&answer[0], &answer[2]], [&trace, &trace]);
    answer[1].as_u64().filter(|size| *size > 0).unwrap()
}

async fn served(running: &mut Running, payload: &'static str) -> (String, Value) {
    let mut event = event(payload);
    event.trace = format!("{:x<TRACE_BYTES$}", id::trace_header(0) + ";");
    let trace = event.trace.clone();
    match running.serve(event).await.0 {
        Ok(Answer::Success(text)) => (trace, serde_json::from_slice(&text).unwrap()),
        other => panic!("{other:?}"),
    }
}

async fn does_not_grow(language: &str, handler: &str, files: &[(&str, &str)]) {
    let mut running = Running::start_host(language, handler, files, &[]);
    assert_eq!(running.ready().await.0, Ok(()));
    heap_kb(&mut running).await;
    let mut before = 0;
    for count in 0..EVENTS {
        if count == WARM {
            before = heap_kb(&mut running).await;
        }
        let (trace, answer) = served(&mut running, "false").await;
        assert_eq!(answer[0], trace);
    }
    let after = heap_kb(&mut running).await;
    assert!(after < before + GROWTH_KB_MAX, "{before} KB have become {after}");
}

#[tokio::test]
async fn node_does_not_grow() {
    does_not_grow("node", "index.handler", &[("index.js", NODE)]).await;
}

#[tokio::test]
async fn python_does_not_grow() {
    does_not_grow("python", "index.handler", &[("index.py", PYTHON)]).await;
}

#[tokio::test]
async fn ruby_does_not_grow() {
    does_not_grow("ruby", "index.handler", &[("index.rb", RUBY)]).await;
}
