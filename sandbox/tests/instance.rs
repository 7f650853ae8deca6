//! The engine's port with real runtimes in real sandboxes: Node.js, Python and a custom runtime. Needs Linux, node and
//! python3 of any version the runtimes support.
#![allow(clippy::unwrap_used)]

use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cumulet_engine::function::{FunctionVersion, Runtime};
use cumulet_engine::invocation::Invocation;
use cumulet_engine::output::InvocationLog;
use cumulet_engine::sandbox::{Answer, Deadline, Failure, Instance, InstanceSpec, Sandbox, StartError};
use cumulet_sandbox::{LinuxSandbox, SandboxConfig};

struct Lab {
    scratch: tempfile::TempDir,
    sandbox: LinuxSandbox,
}

fn lab() -> Lab {
    lab_with(|_| {})
}

fn lab_with(change: impl FnOnce(&mut SandboxConfig)) -> Lab {
    let scratch = tempfile::tempdir().unwrap();
    std::fs::create_dir(scratch.path().join("code")).unwrap();
    let runtimes = scratch.path().join("runtime");
    for (path, bytes) in cumulet_runtimes::files() {
        let path = runtimes.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
    let mut config = SandboxConfig::new(scratch.path().join("data"), runtimes);
    change(&mut config);
    let sandbox = LinuxSandbox::new(config).unwrap();
    Lab { scratch, sandbox }
}

/// The part of an interpreter's version that its runtime is named by.
fn version_of(program: &str, arguments: &[&str]) -> u16 {
    let output = Command::new(program).args(arguments).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().parse().unwrap()
}

fn node() -> Runtime {
    Runtime::Node { major: version_of("node", &["-p", "process.versions.node.split('.')[0]"]) }
}

fn python() -> Runtime {
    Runtime::Python { minor: version_of("python3", &["-c", "import sys;print(sys.version_info[1])"]) }
}

const PROVIDED: Runtime = Runtime::Provided { base: "provided.al2023" };

impl Lab {
    fn code(&self) -> PathBuf {
        self.scratch.path().join("code")
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.code().join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn spec(&self, runtime: Runtime, handler: &str) -> Arc<InstanceSpec> {
        let environment = [
            ("_HANDLER", handler),
            ("LAMBDA_TASK_ROOT", "/var/task"),
            ("LAMBDA_RUNTIME_DIR", "/var/runtime"),
            ("AWS_LAMBDA_FUNCTION_NAME", "f"),
            ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128"),
            ("AWS_LAMBDA_LOG_GROUP_NAME", "/aws/lambda/f"),
            ("AWS_LAMBDA_LOG_STREAM_NAME", "s"),
            ("AWS_REGION", "eu-central-1"),
            ("LANG", "en_US.UTF-8"),
            ("TZ", ":UTC"),
        ];
        Arc::new(InstanceSpec {
            instance_id: "i".to_owned(),
            function: Arc::new(FunctionVersion {
                account: "000000000000".to_owned(),
                region: "eu-central-1".to_owned(),
                name: "f".to_owned(),
                version: "$LATEST".to_owned(),
                revision: "1".to_owned(),
                runtime,
                handler: handler.to_owned(),
                memory_mb: 128,
                timeout_ms: 3000,
                ephemeral_mb: 512,
                environment: Default::default(),
                code_digest: String::new(),
                role_arn: String::new(),
                log_group: "/aws/lambda/f".to_owned(),
                concurrency_max: None,
                snap_start: false,
                ..FunctionVersion::default()
            }),
            code_dir: self.code(),
            layers_dir: None,
            is_inspected: false,
            environment: environment.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec(),
        })
    }

    async fn start(&self, runtime: Runtime, handler: &str) -> Box<dyn Instance> {
        let spec = self.spec(runtime, handler);
        let mut instance = self.sandbox.start(spec).await.unwrap();
        let mut log = InvocationLog::new();
        let ready = within(instance.init(&mut log)).await;
        assert_eq!(ready, Ok(()), "{:?}", log.take());
        instance
    }
}

async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(30), future).await.expect("it should not take so long")
}

async fn invoke(instance: &mut Box<dyn Instance>, payload: &'static str) -> (Result<Answer, Failure>, InvocationLog) {
    let event = Invocation {
        request_id: "8476a536-e9f4-11e8-9739-2dfe598c3fcd".to_owned(),
        payload: Bytes::from_static(payload.as_bytes()),
        invoked_arn: "arn:aws:lambda:eu-central-1:000000000000:function:f".to_owned(),
        trace: String::new(),
        client_context: None,
        ..Invocation::default()
    };
    let deadline = Deadline { at: tokio::time::Instant::now() + Duration::from_secs(30), epoch_ms: 4_000_000_000_000 };
    let mut log = InvocationLog::new();
    let answer = within(instance.invoke(&event, deadline, &mut log)).await;
    (answer, log)
}

fn success(json: &str) -> Result<Answer, Failure> {
    Ok(Answer::Success(Bytes::copy_from_slice(json.as_bytes())))
}

const BOOTSTRAP: &str = r#"#!/usr/bin/python3
import http.client, json, os, sys
api = http.client.HTTPConnection(os.environ['AWS_LAMBDA_RUNTIME_API'])
while True:
    api.request('GET', '/2018-06-01/runtime/invocation/next')
    answer = api.getresponse()
    event = json.loads(answer.read())
    request = answer.headers['Lambda-Runtime-Aws-Request-Id']
    print('got', event, flush=True)
    if event == 'exit': sys.exit(7)
    if event == 'kill': os.abort()
    if event == 'bomb':
        a = []
        while True: a.append(bytearray(1 << 20))
    api.request('POST', f'/2018-06-01/runtime/invocation/{request}/response', json.dumps([event, os.getuid()]))
    api.getresponse().read()
"#;

#[tokio::test]
async fn a_custom_runtime() {
    let lab = lab();
    lab.write("bootstrap", BOOTSTRAP);
    let mut instance = lab.start(PROVIDED, "h").await;
    for _ in 0..3 {
        let (answer, mut log) = invoke(&mut instance, "1").await;
        assert_eq!(answer, success("[1, 993]"));
        assert_eq!(log.take().0[0].message, "got 1");
    }
    assert!(instance.is_alive());
    let usage = instance.usage();
    assert!(usage.cpu_us > 0 && usage.memory_peak_bytes > 0, "{usage:?}");
    instance.stop().await;
}

#[tokio::test]
async fn ends_are_told_apart() {
    let lab = lab();
    lab.write("bootstrap", BOOTSTRAP);
    for (event, expect) in
        [("\"exit\"", Failure::Exited { code: Some(7), signal: None }), ("\"bomb\"", Failure::OutOfMemory)]
    {
        let mut instance = lab.start(PROVIDED, "h").await;
        let (answer, _) = invoke(&mut instance, event).await;
        assert_eq!(answer, Err(expect));
        assert!(!instance.is_alive());
        instance.stop().await;
    }
    let mut instance = lab.start(PROVIDED, "h").await;
    let (answer, _) = invoke(&mut instance, "\"kill\"").await;
    assert!(matches!(answer, Err(Failure::Exited { code: None, signal: Some(_) })), "{answer:?}");
    instance.stop().await;
}

#[tokio::test]
async fn a_runtime_that_ends_before_it_is_ready() {
    let lab = lab();
    lab.write("bootstrap", "#!/bin/sh\necho broken\nexit 3\n");
    let mut instance = lab.sandbox.start(lab.spec(PROVIDED, "h")).await.unwrap();
    let mut log = InvocationLog::new();
    let failure = within(instance.init(&mut log)).await;
    assert_eq!(failure, Err(Failure::Exited { code: Some(3), signal: None }));
    assert_eq!(log.take().0[0].message, "broken");
    instance.stop().await;
}

#[tokio::test]
async fn node_and_python() {
    let lab = lab();
    lab.write(
        "index.js",
        "exports.handler = async (event) => { console.log('hello'); return { event, uid: process.getuid() }; };",
    );
    lab.write(
        "main.py",
        "import os\ndef handler(event, context):\n    print('hello')\n    return [event, os.getuid()]\n",
    );
    for (runtime, handler, expect) in
        [(node(), "index.handler", r#"{"event":{"a":1},"uid":993}"#), (python(), "main.handler", r#"[{"a": 1}, 993]"#)]
    {
        let mut instance = lab.start(runtime, handler).await;
        for _ in 0..2 {
            let (answer, mut log) = invoke(&mut instance, r#"{"a":1}"#).await;
            assert_eq!(answer, success(expect));
            let (events, _) = log.take();
            assert!(events[0].message.contains("hello"), "{events:?}");
        }
        instance.stop().await;
    }
}

#[tokio::test]
async fn the_platform_answers_inside() {
    let lab = lab_with(|config| {
        config.platform = Some(Arc::new(|stream, spec| {
            std::thread::spawn(move || {
                let mut stream = stream;
                stream.set_nonblocking(false).unwrap();
                let mut byte = [0];
                stream.read_exact(&mut byte).unwrap();
                stream.write_all(spec.function.name.as_bytes()).unwrap();
            });
        }));
    });
    lab.write(
        "main.py",
        "import os,socket\ndef handler(event, context):\n    s=socket.create_connection(('127.0.0.1',4566))\n    s.send(b'x')\n    return [s.recv(9).decode(), os.environ['AWS_ENDPOINT_URL']]\n",
    );
    let mut instance = lab.start(python(), "main.handler").await;
    let (answer, _) = invoke(&mut instance, "1").await;
    assert_eq!(answer, success(r#"["f", "http://127.0.0.1:4566"]"#));
    instance.stop().await;
}

#[tokio::test]
async fn what_is_missing_is_said() {
    let lab = lab();
    let start = lab.sandbox.start(lab.spec(Runtime::Node { major: 99 }, "h")).await;
    let Err(StartError::RuntimeMissing(text)) = start else {
        panic!("there is no such version");
    };
    assert!(text.starts_with("runtime nodejs99.x needs Node.js 99; found "), "{text}");
    let start = lab.sandbox.start(lab.spec(PROVIDED, "h")).await;
    assert!(matches!(start, Err(StartError::Unfit { kind: "Runtime.InvalidEntrypoint", .. })));
}
