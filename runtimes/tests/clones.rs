//! Clones of live templates: real interpreters in real sandboxes. Needs root; says so where it cannot run.
#![allow(clippy::unwrap_used)]

mod clone_lab;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clone_lab::{PATIENCE, ask, invoke, lab, lab_with, node, output, python};
use cumulet_engine::function::Runtime;
use cumulet_engine::policy::Birth;
use cumulet_engine::sandbox::{Failure, Sandbox};

const NODE: &str = r#"
const crypto = require('crypto');
const fs = require('fs');
const made = { random: Math.random(), uuid: crypto.randomUUID(), int: crypto.randomInt(1000) };
let calls = 0;
const T = {
  state: () => ({ made, calls: ++calls, stream: process.env.AWS_LAMBDA_LOG_STREAM_NAME, pid: process.pid }),
  random: () => [Math.random(), crypto.randomUUID(), crypto.randomInt(2 ** 40), crypto.randomBytes(8).toString('hex'),
    crypto.getRandomValues(new Uint32Array(2)).join()],
  timers: async () => { const t = Date.now(); await new Promise(r => setTimeout(r, 20)); return Date.now() - t >= 19; },
  files: async () => {
    await Promise.all([...Array(20).keys()].map(i => fs.promises.writeFile(`/tmp/f${i}`, 'x'.repeat(i))));
    return (await Promise.all([...Array(20).keys()].map(i => fs.promises.readFile(`/tmp/f${i}`)))).every((b, i) => b.length === i);
  },
  tmp: () => { const before = fs.readdirSync('/tmp').length; fs.writeFileSync('/tmp/mine', 'x'); return before; },
  proc: () => fs.readdirSync('/proc').filter(n => /^\d+$/.test(n)).length,
  pbkdf2: () => new Promise((r, e) => crypto.pbkdf2('a', 'b', 1000, 16, 'sha256', (x, k) => x ? e(x) : r(k.length === 16))),
  web: async () => (await crypto.subtle.digest('SHA-256', Buffer.from('x'))).byteLength === 32,
  http: async () => {
    const http = require('http');
    const server = http.createServer((q, a) => a.end('pong'));
    await new Promise(r => server.listen(0, '127.0.0.1', r));
    const text = await (await fetch(`http://127.0.0.1:${server.address().port}`)).text();
    server.closeAllConnections(); server.close();
    return text === 'pong';
  },
  dns: async () => ['127.0.0.1', '::1'].includes((await require('dns').promises.lookup('localhost')).address),
  exec: () => require('child_process').execFileSync('/bin/echo', ['hi']).toString() === 'hi\n',
  variables: () => !require('child_process').execFileSync('/usr/bin/env').toString().includes('clone.so'),
  execLater: () => new Promise((r, e) => require('child_process').execFile('/bin/echo', ['hi'], (x, out) => x ? e(x) : r(out === 'hi\n'))),
  worker: () => new Promise((r, e) => {
    const { Worker } = require('worker_threads');
    const w = new Worker("require('worker_threads').parentPort.postMessage(6 * 7)", { eval: true });
    w.on('message', m => r(m === 42)); w.on('error', e);
  }),
  zlib: async () => { const z = require('zlib'), p = require('util').promisify; return (await p(z.gunzip)(await p(z.gzip)('a'.repeat(1e5)))).length === 1e5; },
  wasm: async () => {
    const b = Uint8Array.from([0,97,115,109,1,0,0,0,1,7,1,96,2,127,127,1,127,3,2,1,0,7,7,1,3,97,100,100,0,0,10,9,1,7,0,32,0,32,1,106,11]);
    return (await WebAssembly.instantiate(b)).instance.exports.add(40, 2) === 42;
  },
  gc: () => { let n = 0; for (let i = 0; i < 60; i++) { const a = new Array(1e5).fill(i).map(x => ({ x })); n += a.length; } return n === 6e6; },
  jit: () => { let s = 0; for (let i = 0; i < 3e7; i++) s = (s + i * i) % 1000003; return s >= 0; },
  functions: () => { let s = 0; for (let i = 0; i < 200; i++) s += new Function('x', `return x + ${i}`)(i); return s === 39800; },
  signals: () => new Promise(r => { const t = setTimeout(() => r(false), 5000); process.once('SIGUSR2', () => { clearTimeout(t); r(true); }); process.kill(process.pid, 'SIGUSR2'); }),
  tls: () => require('tls').createSecureContext() !== null,
  print: () => { console.log('said'); process.stdout.write('written\n'); return true; },
};
exports.handler = async (event) => T[event]();
exports.names = Object.keys(T);
"#;

/// Each in a clone of its own.
const NODE_FEATURES: &[&str] = &[
    "timers",
    "files",
    "pbkdf2",
    "web",
    "http",
    "dns",
    "exec",
    "variables",
    "execLater",
    "worker",
    "zlib",
    "wasm",
    "gc",
    "jit",
    "functions",
    "signals",
    "tls",
    "print",
];

/// Executables that match, below folders where tools for several versions keep them, and those the tests bring.
fn executables(folders: &[PathBuf], name: &str) -> Vec<PathBuf> {
    let entries = folders.iter().filter_map(|folder| std::fs::read_dir(folder).ok()).flatten().flatten();
    entries.map(|entry| entry.path().join("bin").join(name)).filter(|path| path.is_file()).collect()
}

fn home(path: &str) -> PathBuf {
    PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(path)
}

/// Every version that is found: what the platform itself tries before it clones functions of it.
async fn proven(runtime: Runtime, interpreter: PathBuf) {
    let file = if matches!(runtime, Runtime::Node { .. }) { "index.js" } else { "index.py" };
    let path = format!("proof/{file}");
    let (_, code) = cumulet_runtimes::files().find(|(known, _)| *known == path).unwrap();
    let code = std::str::from_utf8(code).unwrap();
    let name = interpreter.display().to_string();
    let Some(lab) = lab_with(runtime, file, code, vec![interpreter]) else { return };
    assert_eq!(lab.settled().await, "cloned", "{name}");
    for event in [r#""all""#, r#""one""#, r#""all""#] {
        let mut instance = lab.start("s").await;
        assert_eq!(instance.birth(), Birth::Clone, "{name}");
        assert_eq!(ask(&mut instance, event).await, "ok", "{name}");
        assert_eq!(ask(&mut instance, event).await, "ok", "{name}, warm");
        instance.stop().await;
    }
    eprintln!("works in clones: {name}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_node_found_works_in_clones() {
    let brought = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/clients/node/node_modules");
    let mut found = executables(&[brought, home(".nvm/versions/node"), home(".local/share/fnm/node-versions")], "node");
    found.extend(["/usr/local/bin/node", "/usr/bin/node"].map(PathBuf::from).into_iter().filter(|path| path.is_file()));
    for path in found {
        let program = path.to_string_lossy().into_owned();
        let major = output(&program, &["-p", "process.versions.node.split('.')[0]"]);
        if (18..=26).contains(&major) {
            proven(Runtime::Node { major }, path).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_python_found_works_in_clones() {
    for minor in 9..=14 {
        let name = format!("python3.{minor}");
        let mut found = executables(&[home(".pyenv/versions"), home(".local/share/uv/python")], &name);
        found.extend(
            ["/usr/local/bin", "/usr/bin"]
                .map(|folder| Path::new(folder).join(&name))
                .into_iter()
                .filter(|path| path.is_file()),
        );
        for path in found {
            proven(Runtime::Python { minor }, path).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn node_features_work_in_clones() {
    let Some(lab) = lab(node(), "index.js", NODE) else { return };
    assert_eq!(lab.settled().await, "cloned");
    for feature in NODE_FEATURES {
        let mut instance = lab.start("s").await;
        assert_eq!(ask(&mut instance, &format!("{feature:?}")).await, true, "{feature}");
        // And again, warm.
        assert_eq!(ask(&mut instance, &format!("{feature:?}")).await, true, "{feature}");
        instance.stop().await;
    }
    assert_eq!(lab.sandbox.how(&lab.function).as_deref(), Some("cloned"));
}

#[tokio::test(flavor = "multi_thread")]
async fn node_clones_share_what_was_made_and_nothing_else() {
    let Some(lab) = lab(node(), "index.js", NODE) else { return };
    assert_eq!(lab.settled().await, "cloned");
    let (mut one, mut two) = (lab.start("one").await, lab.start("two").await);
    let (first, second) = (ask(&mut one, r#""state""#).await, ask(&mut two, r#""state""#).await);
    assert_eq!(first["made"], second["made"], "initialised once");
    assert_eq!(first["calls"], 1);
    assert_eq!(second["calls"], 1);
    assert_eq!((first["stream"].as_str(), second["stream"].as_str()), (Some("one"), Some("two")));
    assert_eq!(first["pid"], 1);
    assert_eq!(ask(&mut one, r#""tmp""#).await, 0);
    assert_eq!(ask(&mut two, r#""tmp""#).await, 0, "its /tmp is its own");
    assert_eq!(ask(&mut one, r#""proc""#).await, 1, "it sees itself alone");
    let mut seen = BTreeSet::new();
    for instance in [&mut one, &mut two] {
        for value in ask(instance, r#""random""#).await.as_array().unwrap() {
            assert!(seen.insert(value.to_string()), "{value} came twice");
        }
    }
    one.stop().await;
    assert!(two.is_alive(), "the neighbour goes on");
    assert_eq!(ask(&mut two, r#""state""#).await["calls"], 2);
    two.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_printed_in_a_clone_is_its_own() {
    let Some(lab) = lab(node(), "index.js", NODE) else { return };
    assert_eq!(lab.settled().await, "cloned");
    let mut instance = lab.start("s").await;
    let (answer, mut log) = invoke(&mut instance, r#""print""#).await;
    assert!(answer.is_ok());
    let lines: String = log.take().0.iter().map(|event| event.message.clone()).collect();
    assert!(lines.contains("said") && lines.contains("written"), "{lines}");
    instance.stop().await;
}

/// Whether the kernel says how a process ended that is not the platform's child: since 6.15.
fn is_told_how_others_end() -> bool {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(|number| number.parse::<u32>().unwrap());
    (numbers.next().unwrap(), numbers.next().unwrap()) >= (6, 15)
}

#[tokio::test(flavor = "multi_thread")]
async fn how_a_clone_ended_is_told() {
    let code = "exports.handler = async (e) => { if (e.exit !== undefined) process.exit(e.exit); process.kill(process.pid, 'SIGABRT'); await new Promise(() => setInterval(() => {}, 1000)); };";
    let Some(lab) = lab(node(), "index.js", code) else { return };
    assert_eq!(lab.settled().await, "cloned");
    let mut instance = lab.start("s").await;
    let (answer, _) = invoke(&mut instance, r#"{"exit":7}"#).await;
    assert_eq!(answer, Err(Failure::Exited { code: is_told_how_others_end().then_some(7), signal: None }));
    instance.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clone_out_of_memory_is_told_from_others() {
    let code = "exports.handler = async (e) => { if (!e.eat) return 1; const all = []; for (;;) all.push(Buffer.alloc(1 << 24, 1)); };";
    let Some(lab) = lab(node(), "index.js", code) else { return };
    assert_eq!(lab.settled().await, "cloned");
    let (mut hungry, mut neighbour) = (lab.start("a").await, lab.start("b").await);
    let (answer, _) = invoke(&mut hungry, r#"{"eat":true}"#).await;
    assert_eq!(answer, Err(Failure::OutOfMemory));
    assert_eq!(ask(&mut neighbour, "{}").await, 1);
    hungry.stop().await;
    neighbour.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_cloned_is_started_and_says_why() {
    for (code, why) in [
        (
            "require('net').createServer(() => {}).listen(0, '127.0.0.1'); exports.handler = async () => 1;",
            "TCPServerWrap",
        ),
        ("require('fs').openSync('/tmp/log', 'a'); exports.handler = async () => 1;", "open for writing"),
        ("require('child_process').spawn('/bin/sleep', ['1000']); exports.handler = async () => 1;", "ProcessWrap"),
    ] {
        let Some(lab) = lab(node(), "index.js", code) else { return };
        let how = lab.settled().await;
        assert!(how.starts_with("cloned from the booted runtime, as") && how.contains(why), "{how}");
        let mut instance = lab.start("s").await;
        assert_eq!(instance.birth(), Birth::Clone, "its code is loaded in the clone");
        assert_eq!(ask(&mut instance, "{}").await, 1);
        instance.stop().await;
    }
}

/// A clone holds no capability, may not clone into namespaces, and leaves nothing in its template's `/tmp`.
#[tokio::test(flavor = "multi_thread")]
async fn a_clone_is_confined_as_any_instance() {
    let code = r#"
const fs = require('fs');
exports.handler = async () => {
  const status = fs.readFileSync('/proc/self/status', 'utf8');
  const field = (name) => status.match(new RegExp(`^${name}:\\s*(\\S+)`, 'm'))[1];
  const refused = (act) => { try { act(); return false; } catch (e) { return true; } };
  return { caps: ['CapEff', 'CapPrm', 'CapInh', 'CapAmb'].map(field), nnp: field('NoNewPrivs'), filters: field('Seccomp_filters'),
    ro: refused(() => fs.writeFileSync('/var/task/x', '')), sys: refused(() => fs.writeFileSync('/proc/sys/kernel/hostname', 'x')),
    unshare: refused(() => require('child_process').execFileSync('/usr/bin/unshare', ['-p', '-f', 'true'], { stdio: 'ignore' })),
    hidden: fs.statSync('/proc/timer_list').isCharacterDevice() };
};"#;
    let Some(lab) = lab(node(), "index.js", code) else { return };
    assert_eq!(lab.settled().await, "cloned");
    let mut instance = lab.start("s").await;
    let seen = ask(&mut instance, "{}").await;
    let none = "0000000000000000";
    assert_eq!(seen["caps"], serde_json::json!([none, none, none, none]));
    assert_eq!((seen["nnp"].as_str(), seen["filters"].as_str()), (Some("1"), Some("2")));
    for fact in ["ro", "sys", "unshare", "hidden"] {
        assert_eq!(seen[fact], true, "{fact}");
    }
    instance.stop().await;
}

/// Two clones in one network could not both listen on a port.
#[tokio::test(flavor = "multi_thread")]
async fn clones_of_a_function_that_listens_have_networks_of_their_own() {
    let code = r#"
const http = require('http');
const serve = (port) => new Promise((done, fail) => http.createServer((q, a) => a.end('mine')).on('error', fail).listen(port, '127.0.0.1', done));
let served;
exports.handler = async () => {
  await (served ||= serve(3000));
  const answer = await (await fetch('http://127.0.0.1:3000')).text();
  const fs = require('fs');
  const listeners = fs.readFileSync('/proc/net/tcp', 'utf8').split('\n').filter((line) => / 0A /.test(line));
  return [answer, listeners.map((line) => parseInt(line.split(':')[2], 16)).sort(), Object.keys(require('os').networkInterfaces())];
};"#;
    let Some(lab) = lab(node(), "index.js", code) else { return };
    let mut first = lab.start("first").await;
    let alone = ask(&mut first, "{}").await;
    assert_eq!(alone[0], "mine");
    let since = Instant::now();
    while lab.sandbox.how(&lab.function).as_deref() != Some("cloned, each with a network of its own, as it listens") {
        assert!(since.elapsed() < PATIENCE, "{:?}", lab.sandbox.how(&lab.function));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let mut instances = Vec::new();
    for _ in 0..4 {
        let mut instance = lab.start("s").await;
        assert_eq!(instance.birth(), Birth::Clone);
        assert_eq!(ask(&mut instance, "{}").await, alone, "as in one that was started");
        instances.push(instance);
    }
    for mut instance in instances {
        assert_eq!(ask(&mut instance, "{}").await, alone, "warm");
        instance.stop().await;
    }
    first.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_clones_leave_nothing_behind() {
    // A longer soak is asked for by hand.
    let rounds = std::env::var("CUMULET_SOAK_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(150);
    let Some(lab) = lab(node(), "index.js", NODE) else { return };
    assert_eq!(lab.settled().await, "cloned");
    let open = || std::fs::read_dir("/proc/self/fd").unwrap().count();
    for _ in 0..20 {
        lab.start("s").await.stop().await;
    }
    let before = open();
    for _ in 0..rounds {
        let mut both = (lab.start("a").await, lab.start("b").await);
        assert_eq!(ask(&mut both.0, r#""state""#).await["calls"], 1);
        both.0.stop().await;
        both.1.stop().await;
    }
    assert_eq!(lab.sandbox.how(&lab.function).as_deref(), Some("cloned"));
    // Clones and control groups made ahead have some, and are now more, now fewer.
    let more = open().saturating_sub(before);
    assert!(more < rounds / 2, "{more} descriptors more after {rounds} pairs of clones");
}

const PYTHON: &str = r#"
import os, random, uuid, threading, json, time, ssl, subprocess, asyncio, secrets, hashlib, gc, socket
MADE = uuid.uuid4().hex
random.random()
CALLS = 0
def state():
    global CALLS
    CALLS += 1
    return {"made": MADE, "calls": CALLS, "stream": os.environ["AWS_LAMBDA_LOG_STREAM_NAME"], "pid": os.getpid()}
def rand():
    return [random.random(), uuid.uuid4().hex, secrets.token_hex(8), ssl.RAND_bytes(8).hex()]
def thread():
    got = []
    t = threading.Thread(target=lambda: got.append(1)); t.start(); t.join()
    return got == [1]
def aio():
    async def main():
        await asyncio.sleep(0.01)
        return await asyncio.to_thread(lambda: 42)
    return asyncio.run(main()) == 42
def exe():
    return subprocess.run(["/bin/echo", "hi"], capture_output=True).stdout == b"hi\n"
def tls():
    return ssl.create_default_context() is not None
def files():
    before = os.listdir("/tmp")
    open("/tmp/x", "w").write("1")
    return before == [] or before == ["x"]
def collect():
    gc.collect()
    return True
def sock():
    a, b = socket.socketpair(); a.send(b"x")
    return b.recv(1) == b"x"
def fork():
    pid = os.fork()
    if pid == 0: os._exit(3)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 3
def handler(event, context):
    return globals()[event]()
"#;

#[tokio::test(flavor = "multi_thread")]
async fn python_features_work_in_clones() {
    let Some(lab) = lab(python(), "index.py", PYTHON) else { return };
    assert_eq!(lab.settled().await, "cloned");
    for feature in ["thread", "aio", "exe", "tls", "files", "collect", "sock", "fork"] {
        let mut instance = lab.start("s").await;
        assert_eq!(ask(&mut instance, &format!("{feature:?}")).await, true, "{feature}");
        assert_eq!(ask(&mut instance, &format!("{feature:?}")).await, true, "{feature}");
        instance.stop().await;
    }
    let (mut one, mut two) = (lab.start("one").await, lab.start("two").await);
    let (first, second) = (ask(&mut one, r#""state""#).await, ask(&mut two, r#""state""#).await);
    assert_eq!(first["made"], second["made"]);
    assert_eq!((first["calls"].as_u64(), second["calls"].as_u64()), (Some(1), Some(1)));
    assert_eq!((first["stream"].as_str(), second["stream"].as_str()), (Some("one"), Some("two")));
    let mut seen = BTreeSet::new();
    for instance in [&mut one, &mut two] {
        for value in ask(instance, r#""rand""#).await.as_array().unwrap() {
            assert!(seen.insert(value.to_string()), "{value} came twice");
        }
    }
    one.stop().await;
    two.stop().await;
    assert!(Path::new("/proc").exists());
}

/// A template runs the function's code, which may take the host's commands itself and answer as it likes.
#[tokio::test(flavor = "multi_thread")]
async fn a_template_that_lies_is_not_believed() {
    const LIARS: &[(&str, &str)] = &[
        ("passed(os.pidfd_open(os.getpid()))", "no clone"),
        ("passed(os.open('/dev/null', os.O_RDONLY))", "is no process"),
        ("s.sendall(struct.pack('<i', 1))", "without its clone"),
        ("s.sendall(struct.pack('<i', -12))", "os error 12"),
        ("os._exit(1)", "has ended"),
    ];
    for (lie, why) in LIARS {
        let code = format!(
            r#"
import array, os, socket, struct
s = socket.socket(fileno=os.dup(3))
def passed(fd):
    s.sendmsg([struct.pack("<i", 1)], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [fd]))])
s.sendall(b"\x01\0\0\0R")
while True:
    data = s.recvmsg(65536, socket.CMSG_SPACE(64))[0]
    if not data: os._exit(0)
    if data[:4] == b"CLE3": {lie}
    else: s.sendall(b"\x02\0\0\0S1")
"#
        );
        let Some(lab) = lab(python(), "index.py", &code) else { return };
        assert_eq!(lab.settled().await, "cloned");
        // Not at once: a template may have had an accident.
        let since = Instant::now();
        let how = loop {
            let mut instance = lab.start("s").await;
            assert_eq!(ask(&mut instance, "{}").await, 1, "{lie}: started plainly");
            instance.stop().await;
            let how = lab.sandbox.how(&lab.function).unwrap();
            if how.contains(why) {
                break how;
            }
            assert!(since.elapsed() < PATIENCE, "{lie}: {how}");
        };
        assert!(!how.starts_with("cloned;"), "{lie}: {how}");
    }
}
