//! What a function may do at initialisation, and what becomes of its template: hooks, things that cannot be cloned, and faults.
//! Whatever it does, the function is served, and why it is not cloned as initialised is told.
#![allow(clippy::unwrap_used)]

mod clone_lab;

use std::collections::BTreeSet;
use std::process::Command;
use std::time::{Duration, Instant};

use clone_lab::{PATIENCE, ask, children, invoke, lab, node, python};
use cumulet_base::limits::CLONES_AHEAD_MAX;
use cumulet_engine::policy::Birth;
use cumulet_engine::sandbox::Sandbox;

#[tokio::test(flavor = "multi_thread")]
async fn node_hooks_run_before_the_snapshot_and_after_the_clone() {
    let code = r#"
const { registerBeforeSnapshot, registerAfterRestore } = require('snapshot-restore');
const did = [];
registerBeforeSnapshot(async (n) => { await new Promise((r) => setTimeout(r, 5)); did.push(`before ${n}`); }, 1);
registerBeforeSnapshot(() => did.push('before 2'));
registerAfterRestore(async () => { await null; did.push(`after 1 ${process.env.AWS_LAMBDA_LOG_STREAM_NAME}`); });
registerAfterRestore(() => did.push('after 2'));
exports.handler = async () => [did, process.env.AWS_LAMBDA_INITIALIZATION_TYPE];"#;
    let Some(lab) = lab(node(), "index.js", code) else { return };
    assert_eq!(lab.settled().await, "cloned");
    let mut instance = lab.start("mine").await;
    let found = ask(&mut instance, "{}").await;
    assert_eq!(found, serde_json::json!([["before 2", "before 1", "after 1 mine", "after 2"], "snap-start"]));
    instance.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn python_hooks_run_before_the_snapshot_and_after_the_clone() {
    let code = r#"
import os
from snapshot_restore_py import register_before_snapshot, register_after_restore
did = []
register_before_snapshot(lambda n, last: did.append(f"before {n}{last}"), 1, last="!")
register_before_snapshot(lambda: did.append("before 2"))
@register_after_restore
def after(): did.append("after 1 " + os.environ["AWS_LAMBDA_LOG_STREAM_NAME"])
register_after_restore(lambda: did.append("after 2"))
def handler(event, context): return [did, os.environ["AWS_LAMBDA_INITIALIZATION_TYPE"]]
"#;
    let Some(lab) = lab(python(), "index.py", code) else { return };
    assert_eq!(lab.settled().await, "cloned");
    let mut instance = lab.start("mine").await;
    let found = ask(&mut instance, "{}").await;
    assert_eq!(found, serde_json::json!([["before 2", "before 1!", "after 1 mine", "after 2"], "snap-start"]));
    instance.stop().await;
}

/// The template's clones that have answered, of a function that leaves a file.
fn running(template: u32) -> BTreeSet<u32> {
    let has_left = |pid: &u32| std::fs::exists(format!("/proc/{pid}/root/tmp/answered")).unwrap_or(false);
    children(template).into_iter().filter(has_left).collect()
}

/// The template's clones that wait, when there are as many as there should be; the last of them may be on its way.
async fn in_stock(template: u32) -> BTreeSet<u32> {
    let since = Instant::now();
    loop {
        let run = running(template);
        let waiting: BTreeSet<u32> = children(template).into_iter().filter(|pid| !run.contains(pid)).collect();
        if waiting.len() == CLONES_AHEAD_MAX {
            return waiting;
        }
        assert!(since.elapsed() < PATIENCE, "{} of {CLONES_AHEAD_MAX} clones", waiting.len());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn clones_wait_for_those_who_want_them_and_are_replaced() {
    let code = r#"
const fs = require('fs');
let calls = 0;
fs.writeFileSync('/tmp/of-the-template', '');
exports.handler = async () => {
  const found = [++calls, fs.readdirSync('/tmp'), process.env.AWS_LAMBDA_LOG_STREAM_NAME, crypto.randomUUID()];
  fs.writeFileSync('/tmp/answered', '');
  return found;
};"#;
    let Some(lab) = lab(node(), "index.js", code) else { return };
    assert_eq!(lab.settled().await, "cloned");
    let since = Instant::now();
    let template = loop {
        let found = children(std::process::id()).into_iter().find(|pid| !children(*pid).is_empty());
        match found {
            Some(template) => break template,
            None => assert!(since.elapsed() < PATIENCE, "no clone was made ahead"),
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    let (mut seen, mut instances) = (BTreeSet::new(), Vec::new());
    for turn in 0..4 {
        let (before, others) = (in_stock(template).await, running(template));
        let mut instance = lab.start(&format!("stream {turn}")).await;
        let answer = ask(&mut instance, "{}").await;
        let taken: BTreeSet<u32> = running(template).difference(&others).copied().collect();
        assert!(taken.len() == 1 && taken.is_subset(&before), "one of those there was taken: {taken:?}");
        assert_eq!(answer[0], 1);
        assert_eq!(answer[1], serde_json::json!([]), "its /tmp is its own");
        assert_eq!(answer[2], format!("stream {turn}"));
        assert!(seen.insert(answer[3].to_string()), "{answer}");
        assert_ne!(in_stock(template).await, before, "another one waits in its place");
        instances.push(instance);
    }
    // Those that end while they wait are not handed out.
    for pid in in_stock(template).await {
        assert!(Command::new("kill").args(["-9", &pid.to_string()]).status().unwrap().success());
        while children(template).contains(&pid) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    let mut instance = lab.start("last").await;
    assert_eq!(instance.birth(), Birth::Clone);
    assert_eq!(ask(&mut instance, "{}").await[0], 1);
    instances.push(instance);
    for instance in instances {
        instance.stop().await;
    }
}

/// In Python they would run while the first one reads.
#[tokio::test(flavor = "multi_thread")]
async fn threads_of_a_python_function_wait_with_the_clones() {
    let code = r#"
import os, threading, time
def beat():
    while True:
        time.sleep(0.001)
        if os.getpid() == 1 and not os.path.exists("/tmp/template"):
            open("/tmp/beat", "w").close()
open("/tmp/template", "w").close()
threading.Thread(target=beat, daemon=True).start()
def handler(event, context):
    while not os.path.exists("/tmp/beat"):
        time.sleep(0.001)
    found = os.listdir("/tmp")
    open("/tmp/answered", "w").close()
    return found"#;
    let Some(lab) = lab(python(), "index.py", code) else { return };
    assert_eq!(lab.settled().await, "cloned");
    let mut instance = lab.start("s").await;
    assert_eq!(ask(&mut instance, "{}").await, serde_json::json!(["beat"]));
    let stock = in_stock(lab.template_pid()).await;
    let since = Instant::now();
    // One that is on its way has the template's still.
    while stock.iter().any(|pid| std::fs::exists(format!("/proc/{pid}/root/tmp/template")).unwrap()) {
        assert!(since.elapsed() < PATIENCE, "a clone's /tmp is not its own");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(stock.iter().all(|pid| std::fs::read_dir(format!("/proc/{pid}/task")).unwrap().count() == 1));
    assert!(stock.iter().all(|pid| std::fs::read_dir(format!("/proc/{pid}/root/tmp")).unwrap().count() == 0));
    instance.stop().await;
}

/// The runtime ends a connection that was open in the template; what the function does about it comes before its first event.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_clone_meets_before_its_first_event_is_told() {
    let code = r#"
const net = require('net');
const server = net.createServer().listen(0, '127.0.0.1');
exports.handler = async () => 1;
module.exports.ready = new Promise((done) => server.on('listening', () => {
  const socket = net.connect(server.address().port, '127.0.0.1', () => { server.close(); done(); });
  socket.resume().on('end', () => { throw new Error('it is closed'); });
  server.on('connection', (other) => other.unref());
}));"#;
    let Some(lab) = lab(node(), "index.js", code) else { return };
    assert_eq!(lab.settled().await, "cloned");
    let mut instance = lab.start("s").await;
    let (answer, _) = invoke(&mut instance, "{}").await;
    let told = format!("{answer:?}");
    assert!(told.contains("it is closed"), "{told}");
    instance.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sdks_clients_are_rehearsed_in_the_template() {
    let code = r#"
const { ThingsClient } = require('@aws-sdk/client-things');
const mine = new ThingsClient({ endpoint: 'http://127.0.0.1:1' });
exports.handler = async () => ({ made: ThingsClient.made, mine: mine.sent });"#;
    let sdk = r#"
class ThingsClient {
  constructor(config) { this.config = config; this.sent = []; ThingsClient.made.push(this.seen = { region: config.region }); }
  async send(command) {
    this.sent.push(command.constructor.name);
    const headers = { 'amz-sdk-request': 'attempt=1', connection: 'close' };
    this.seen.answer = await (await fetch(this.config.endpoint, { method: 'POST', body: '{}', headers })).text();
  }
  destroy() { this.seen.isDestroyed = true; }
}
ThingsClient.made = [];
class ListThingsCommand {}
module.exports = { ThingsClient, ListThingsCommand, ListOthersCommand: class {} };"#;
    let Some(lab) = lab(node(), "index.js", code) else { return };
    let folder = lab.code_dir().join("node_modules/@aws-sdk/client-things");
    std::fs::create_dir_all(folder.join("dist-cjs")).unwrap();
    std::fs::write(folder.join("package.json"), r#"{"name": "@aws-sdk/client-things", "main": "./dist-cjs/index.js"}"#)
        .unwrap();
    std::fs::write(folder.join("dist-cjs/index.js"), sdk).unwrap();
    assert_eq!(lab.settled().await, "cloned");
    let mut instance = lab.start("s").await;
    assert_eq!(instance.birth(), Birth::Clone);
    let found = ask(&mut instance, "{}").await;
    assert_eq!(found["mine"], serde_json::json!([]), "the function's own client is left alone");
    let rehearsed = serde_json::json!({"region": "us-east-1", "answer": "<Result/>", "isDestroyed": true});
    assert_eq!(found["made"][1], rehearsed, "{found}");
    instance.stop().await;
}

/// What is open, under way or shared at initialisation, and how the function is served then.
async fn check(runtime: cumulet_engine::function::Runtime, file: &str, code: &str, expect: &str) {
    let Some(lab) = lab(runtime, file, code) else { return };
    let how = lab.settled().await;
    assert!(how.contains(expect), "{code}: {how}");
    for _ in 0..2 {
        let mut instance = lab.start("s").await;
        if how.starts_with("cloned") {
            assert_eq!(instance.birth(), Birth::Clone, "{code}");
        }
        assert_eq!(ask(&mut instance, "{}").await, 1, "{code}");
        assert_eq!(ask(&mut instance, "{}").await, 1, "{code}, warm");
        instance.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_node_functions_do_at_initialisation() {
    for (code, expect) in [
        ("setInterval(() => {}, 10); exports.handler = async () => 1;", "cloned"),
        (
            "let n = 0; setTimeout(() => { n = 1; }, 500); exports.handler = async () => { while (!n) await new Promise(r => setTimeout(r, 5)); return n; };",
            "cloned",
        ),
        (
            "const { Worker } = require('worker_threads'); const w = new Worker(\"const { parentPort } = require('worker_threads'); parentPort.on('message', (m) => parentPort.postMessage(m))\", { eval: true }); exports.handler = () => new Promise((r) => { w.once('message', r); w.postMessage(1); });",
            "cloned",
        ),
        ("require('crypto').pbkdf2('a', 'b', 1e6, 16, 'sha256', () => {}); exports.handler = async () => 1;", "cloned"),
        ("const b = new SharedArrayBuffer(1 << 20); exports.handler = async () => b.byteLength >> 20;", "cloned"),
        (
            "require('fs').watch('/tmp', () => {}); exports.handler = async () => 1;",
            "cloned from the booted runtime, as an open FSEvent",
        ),
        (
            "const s = require('dgram').createSocket('udp4').bind(0); exports.handler = async () => (s.address().port > 0 ? 1 : 0);",
            "a socket that is no stream",
        ),
        (
            "const all = []; for (let i = 0; i < 40; i++) all.push(Buffer.alloc(1 << 20, 1)); exports.handler = async () => all.length / 40;",
            "cloned",
        ),
    ] {
        check(node(), "index.js", code, expect).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_python_functions_do_at_initialisation() {
    for (code, expect) in [
        (
            "import threading, time\nn = 0\ndef run():\n    global n\n    while True:\n        time.sleep(0.005)\n        n = 1\nthreading.Thread(target=run, daemon=True).start()\ndef handler(e, c):\n    global n\n    n = 0\n    while not n: time.sleep(0.001)\n    return n\n",
            "cloned",
        ),
        (
            "import threading, time\nlock = threading.Lock()\ndef run():\n    while True:\n        with lock: time.sleep(0.02)\nthreading.Thread(target=run, daemon=True).start()\ndef handler(e, c):\n    with lock: return 1\n",
            "cloned",
        ),
        (
            "import mmap\nm = mmap.mmap(-1, 4096)\ndef handler(e, c): return 1\n",
            "cloned from the booted runtime, as memory that is shared",
        ),
        (
            "import subprocess\nsubprocess.Popen(['/bin/sleep', '1000'])\ndef handler(e, c): return 1\n",
            "a child process",
        ),
        (
            "import socket\ns = socket.create_server(('127.0.0.1', 0))\ndef handler(e, c): return 1\n",
            "a socket that listens",
        ),
        ("import tempfile\nf = tempfile.TemporaryFile()\ndef handler(e, c): return 1\n", "a file open for writing"),
    ] {
        check(python(), "index.py", code, expect).await;
    }
}

/// A template that ends or hangs costs the function nothing but its speed.
#[tokio::test(flavor = "multi_thread")]
async fn a_template_that_crashes_is_given_up() {
    for (code, why) in [
        (
            "if (process.env.AWS_LAMBDA_INITIALIZATION_TYPE === 'snap-start') process.abort(); exports.handler = async () => 1;",
            "cloned from the booted runtime, as",
        ),
        (
            "if (process.env.AWS_LAMBDA_INITIALIZATION_TYPE === 'snap-start') process.exit(3); exports.handler = async () => 1;",
            "cloned from the booted runtime, as",
        ),
        (
            "if (process.env.AWS_LAMBDA_INITIALIZATION_TYPE === 'snap-start') { const all = []; for (;;) all.push(Buffer.alloc(1 << 24, 1)); } exports.handler = async () => 1;",
            "cloned from the booted runtime, as",
        ),
        (
            "const { registerBeforeSnapshot } = require('snapshot-restore'); registerBeforeSnapshot(() => { throw new Error('not now'); }); exports.handler = async () => 1;",
            "as not now",
        ),
    ] {
        check(node(), "index.js", code, why).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clone_that_dies_at_birth_is_told_and_the_next_one_lives() {
    let code = r#"
const { registerAfterRestore } = require('snapshot-restore');
registerAfterRestore(() => { if (process.env.AWS_LAMBDA_LOG_STREAM_NAME === 'die') process.exit(9); });
exports.handler = async () => 1;"#;
    let Some(lab) = lab(node(), "index.js", code) else { return };
    assert_eq!(lab.settled().await, "cloned");
    let failure = lab.try_start("die").await;
    assert!(
        matches!(failure, Err(cumulet_engine::sandbox::Failure::Exited { code: Some(9), .. })),
        "{:?}",
        failure.err()
    );
    let mut instance = lab.start("live").await;
    assert_eq!(ask(&mut instance, "{}").await, 1);
    instance.stop().await;
}

/// All that is left of a dead template's clones is an answer that says so; the template is made anew.
#[tokio::test(flavor = "multi_thread")]
async fn a_template_that_was_killed_is_made_anew() {
    let code =
        "exports.handler = async (e) => { if (e.wait) await new Promise((r) => setTimeout(r, 60000)); return 1; };";
    let Some(lab) = lab(node(), "index.js", code) else { return };
    assert_eq!(lab.settled().await, "cloned");
    let mut instance = lab.start("s").await;
    let template = lab.template_pid();
    let (answer, _) = tokio::join!(invoke(&mut instance, r#"{"wait":true}"#), async {
        std::process::Command::new("kill").args(["-9", &template.to_string()]).status().unwrap()
    });
    assert!(answer.0.is_err(), "{:?}", answer.0);
    instance.stop().await;
    let since = Instant::now();
    while !children(template).is_empty() {
        assert!(since.elapsed() < PATIENCE, "those in stock end with their template");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    loop {
        let mut instance = lab.start("s").await;
        assert_eq!(ask(&mut instance, "{}").await, 1);
        let birth = instance.birth();
        instance.stop().await;
        if birth == Birth::Clone {
            break;
        }
        assert!(since.elapsed() < PATIENCE, "{:?}", lab.sandbox.how(&lab.function));
    }
}
