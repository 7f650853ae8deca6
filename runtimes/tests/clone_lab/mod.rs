//! A sandbox that clones one function, for the tests of clones.
#![allow(clippy::unwrap_used, dead_code)]

use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use cumulet_engine::function::{FunctionVersion, Runtime};
use cumulet_engine::invocation::Invocation;
use cumulet_engine::output::InvocationLog;
use cumulet_engine::sandbox::{Answer, Deadline, Failure, Instance, InstanceSpec, Sandbox};
use cumulet_sandbox::{Clones, LinuxSandbox, SandboxConfig};

pub const PATIENCE: Duration = Duration::from_secs(60);

pub struct Lab {
    pub scratch: tempfile::TempDir,
    pub sandbox: LinuxSandbox,
    pub function: Arc<FunctionVersion>,
    pub environment: Vec<(String, String)>,
}

pub fn output(program: &str, arguments: &[&str]) -> u16 {
    let output = Command::new(program).args(arguments).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().parse().unwrap()
}

pub fn node() -> Runtime {
    Runtime::Node { major: output("node", &["-p", "process.versions.node.split('.')[0]"]) }
}

pub fn python() -> Runtime {
    Runtime::Python { minor: output("python3", &["-c", "import sys;print(sys.version_info[1])"]) }
}

/// `None` where this machine or user cannot clone.
pub fn lab(runtime: Runtime, file: &str, code: &str) -> Option<Lab> {
    lab_with(runtime, file, code, Vec::new())
}

pub fn lab_with(runtime: Runtime, file: &str, code: &str, interpreters: Vec<PathBuf>) -> Option<Lab> {
    let scratch = tempfile::tempdir().unwrap();
    let runtime_dir = scratch.path().join("runtime");
    for (path, bytes) in cumulet_runtimes::files() {
        let path = runtime_dir.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
    let code_dir = scratch.path().join("code");
    std::fs::create_dir(&code_dir).unwrap();
    std::fs::write(code_dir.join(file), code).unwrap();
    let mut config = SandboxConfig::new(scratch.path().join("data"), runtime_dir);
    config.clones = Clones::On;
    config.interpreters = interpreters;
    let sandbox = LinuxSandbox::new(config).unwrap();
    if sandbox.lacking().iter().any(|lack| lack.starts_with("no clones")) {
        eprintln!("skipped: this machine or user cannot clone");
        return None;
    }
    let function = Arc::new(FunctionVersion {
        account: "000000000000".to_owned(),
        region: "eu-central-1".to_owned(),
        name: "f".to_owned(),
        version: "$LATEST".to_owned(),
        revision: "1".to_owned(),
        runtime,
        handler: "index.handler".to_owned(),
        memory_mb: 512,
        timeout_ms: 30_000,
        ephemeral_mb: 64,
        environment: Default::default(),
        code_digest: String::new(),
        role_arn: String::new(),
        log_group: "/aws/lambda/f".to_owned(),
        concurrency_max: None,
        snap_start: false,
        ..FunctionVersion::default()
    });
    let environment = [
        ("_HANDLER", "index.handler"),
        ("LAMBDA_TASK_ROOT", "/var/task"),
        ("AWS_LAMBDA_FUNCTION_NAME", "f"),
        ("AWS_LAMBDA_LOG_STREAM_NAME", "first"),
        ("LANG", "en_US.UTF-8"),
        ("TZ", ":UTC"),
    ];
    let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    Some(Lab { scratch, sandbox, function, environment })
}

impl Lab {
    pub fn code_dir(&self) -> PathBuf {
        self.scratch.path().join("code")
    }

    /// The template: the one process of this test with processes below it, none of which is the test's own child.
    pub fn template_pid(&self) -> u32 {
        let mut parents = children(std::process::id()).into_iter().filter(|pid| !children(*pid).is_empty());
        parents.next_back().expect("a clone is a child of its template")
    }

    pub async fn start(&self, stream: &str) -> Box<dyn Instance> {
        self.try_start(stream).await.unwrap_or_else(|failure| panic!("{failure:?}"))
    }

    pub async fn try_start(&self, stream: &str) -> Result<Box<dyn Instance>, Failure> {
        let mut environment = self.environment.clone();
        environment.retain(|(name, _)| name != "AWS_LAMBDA_LOG_STREAM_NAME");
        environment.push(("AWS_LAMBDA_LOG_STREAM_NAME".to_owned(), stream.to_owned()));
        let spec = InstanceSpec {
            instance_id: "i".to_owned(),
            function: self.function.clone(),
            code_dir: self.code_dir(),
            layers_dir: None,
            is_inspected: false,
            environment,
        };
        let mut instance = self.sandbox.start(Arc::new(spec)).await.unwrap();
        let mut log = InvocationLog::new();
        let ready = tokio::time::timeout(PATIENCE, instance.init(&mut log)).await.unwrap();
        match ready {
            Ok(()) => Ok(instance),
            Err(failure) => {
                eprintln!("{:?}", log.take().0);
                instance.stop().await;
                Err(failure)
            }
        }
    }

    /// Starts once, and waits until the template is there or refused.
    pub async fn settled(&self) -> String {
        let first = self.start("first").await;
        let since = Instant::now();
        let how = loop {
            let how = self.sandbox.how(&self.function).unwrap();
            if !how.contains("being made") {
                break how;
            }
            assert!(since.elapsed() < PATIENCE, "{how}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        };
        first.stop().await;
        how
    }
}

pub fn children(pid: u32) -> Vec<u32> {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let texts = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok());
    texts.flat_map(|text| text.split_whitespace().map(|pid| pid.parse().unwrap()).collect::<Vec<_>>()).collect()
}

pub async fn invoke(instance: &mut Box<dyn Instance>, payload: &str) -> (Result<Answer, Failure>, InvocationLog) {
    invoke_as("8476a536-e9f4-11e8-9739-2dfe598c3fcd", instance, payload).await
}

pub async fn invoke_as(
    request_id: &str,
    instance: &mut Box<dyn Instance>,
    payload: &str,
) -> (Result<Answer, Failure>, InvocationLog) {
    let event = Invocation {
        request_id: request_id.to_owned(),
        payload: Bytes::copy_from_slice(payload.as_bytes()),
        trace: String::new(),
        client_context: None,
        invoked_arn: "arn:aws:lambda:eu-central-1:000000000000:function:f".to_owned(),
        ..Invocation::default()
    };
    let deadline = Deadline { at: tokio::time::Instant::now() + PATIENCE, epoch_ms: u64::MAX >> 16 };
    let mut log = InvocationLog::new();
    let answer = tokio::time::timeout(PATIENCE, instance.invoke(&event, deadline, &mut log)).await.unwrap();
    (answer, log)
}

pub async fn ask(instance: &mut Box<dyn Instance>, payload: &str) -> serde_json::Value {
    match invoke(instance, payload).await {
        (Ok(Answer::Success(text)), _) => serde_json::from_slice(&text).unwrap(),
        (other, mut log) => panic!("{other:?} {:?}", log.take()),
    }
}
