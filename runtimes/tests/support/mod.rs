//! Starts hosts and bootstraps as plain child processes, without isolation, behind the sandbox's channel.
#![allow(dead_code, clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cumulet_engine::function::FunctionVersion;
use cumulet_engine::invocation::Invocation;
use cumulet_engine::output::InvocationLog;
use cumulet_engine::sandbox::{Answer, Deadline};
use cumulet_sandbox::channel::{ChannelError, Io};
use tempfile::TempDir;

pub const REQUEST_ID: &str = "8476a536-e9f4-11e8-9739-2dfe598c3fcd";
const ARN: &str = "arn:aws:lambda:eu-central-1:000000000000:function:hello";
/// A test that waits longer has found a hang.
const PATIENCE: Duration = Duration::from_secs(60);

pub fn function(runtime: &str) -> Arc<FunctionVersion> {
    Arc::new(FunctionVersion {
        account: "000000000000".into(),
        region: "eu-central-1".into(),
        name: "hello".into(),
        version: "$LATEST".into(),
        revision: "r1".into(),
        runtime: runtime.parse().unwrap(),
        handler: "index.handler".into(),
        memory_mb: 128,
        timeout_ms: 3000,
        ephemeral_mb: 512,
        environment: BTreeMap::new(),
        code_digest: String::new(),
        role_arn: String::new(),
        log_group: "/aws/lambda/hello".into(),
        concurrency_max: None,
        snap_start: false,
        ..FunctionVersion::default()
    })
}

pub fn event(payload: impl Into<Bytes>) -> Invocation {
    Invocation {
        request_id: REQUEST_ID.into(),
        payload: payload.into(),
        invoked_arn: ARN.into(),
        trace: "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Parent=9a9197af755a6419;Sampled=1".into(),
        client_context: Some(r#"{"custom":{"a":"b"},"client":{"app_title":"t"}}"#.into()),
        ..Invocation::default()
    }
}

pub fn deadline() -> Deadline {
    let epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    Deadline { at: tokio::time::Instant::now() + PATIENCE, epoch_ms: (epoch + PATIENCE).as_millis() as u64 }
}

/// The reading ends of both pipes, and a command that writes into them.
fn piped(command: &mut Command) -> (OwnedFd, OwnedFd) {
    let (out_read, out_write) = std::io::pipe().unwrap();
    let (err_read, err_write) = std::io::pipe().unwrap();
    command.stdout(out_write).stderr(err_write);
    (out_read.into(), err_read.into())
}

/// A process, its folder and its channel.
pub struct Running {
    pub io: Io,
    pub child: Child,
    dir: TempDir,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The messages of a log without what differs from run to run.
pub type Lines = Vec<String>;

/// Logged records before lines printed: they come by different ways, so that nothing fixes their order.
pub fn records_first(mut lines: Lines) -> Lines {
    lines.sort_by_key(|line| !line.contains("\tID\t"));
    lines
}

impl Running {
    pub fn start_host(language: &str, handler: &str, files: &[(&str, &str)], env: &[(&str, &str)]) -> Running {
        let dir = TempDir::new().unwrap();
        write_files(&dir.path().join("runtime"), cumulet_runtimes::files());
        write_files(&dir.path().join("task"), files.iter().copied());
        let program = match language {
            "node" => "node \"$1/runtime/node/host.js\"",
            "ruby" => "ruby \"$1/runtime/ruby/host.rb\"",
            _ => "python3 \"$1/runtime/python/host.py\"",
        };
        // The shell gives the child descriptor 3 without any unsafe code here.
        let mut command = Command::new("sh");
        command.arg("-c").arg(format!("exec {program} 3<&0 0</dev/null")).arg("sh").arg(dir.path());
        set_env(&mut command, dir.path(), handler, env);
        let (ours, theirs) = UnixStream::pair().unwrap();
        command.stdin(Stdio::from(OwnedFd::from(theirs)));
        let (stdout, stderr) = piped(&mut command);
        let child = command.spawn().unwrap();
        drop(command);
        Running { io: Io::frames(ours, stdout, stderr).unwrap(), child, dir }
    }

    pub fn start_bootstrap(script: &str) -> Running {
        let dir = TempDir::new().unwrap();
        write_files(&dir.path().join("task"), [("bootstrap.py", script)]);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let mut command = Command::new("python3");
        command.arg(dir.path().join("task/bootstrap.py"));
        command.stdin(Stdio::null());
        set_env(&mut command, dir.path(), "index.handler", &[("AWS_LAMBDA_RUNTIME_API", &address)]);
        let (stdout, stderr) = piped(&mut command);
        let child = command.spawn().unwrap();
        drop(command);
        Running { io: Io::runtime_api(listener, stdout, stderr, function("provided.al2023")).unwrap(), child, dir }
    }

    pub async fn ready(&mut self) -> (Result<(), ChannelError>, Lines) {
        let mut log = InvocationLog::new();
        let result = tokio::time::timeout(PATIENCE, self.io.ready(&mut log)).await.expect("initialisation ends");
        (result, self.lines(log))
    }

    pub async fn invoke(&mut self, payload: impl Into<Bytes>) -> (Result<Answer, ChannelError>, Lines) {
        self.serve(event(payload)).await
    }

    pub async fn serve(&mut self, event: Invocation) -> (Result<Answer, ChannelError>, Lines) {
        let mut log = InvocationLog::new();
        let result = tokio::time::timeout(PATIENCE, self.io.invoke(&event, deadline(), &mut log))
            .await
            .expect("the invocation ends");
        (result, self.lines(log))
    }

    /// Answers of the handler as text, with its log.
    pub async fn answer(&mut self, payload: &str) -> (Result<String, String>, Lines) {
        let (answer, lines) = self.invoke(payload.to_owned()).await;
        let text = |bytes: Bytes| self.mask(std::str::from_utf8(&bytes).unwrap());
        match answer {
            Ok(Answer::Success(bytes)) => (Ok(text(bytes)), lines),
            Ok(Answer::Error(bytes)) => (Err(text(bytes)), lines),
            Err(error) => panic!("no answer but {error:?}; log: {lines:#?}"),
        }
    }

    pub async fn exit_code(&mut self) -> Option<i32> {
        tokio::time::timeout(PATIENCE, async {
            loop {
                if let Some(status) = self.child.try_wait().unwrap() {
                    return status.code();
                }
                tokio::task::yield_now().await;
            }
        })
        .await
        .expect("the process ends")
    }

    fn lines(&self, mut log: InvocationLog) -> Lines {
        log.take().0.into_iter().map(|e| self.mask(&e.message)).collect()
    }

    /// Replaces the time, the request and the folder.
    pub fn mask(&self, text: &str) -> String {
        let text = text.replace(&*self.dir.path().to_string_lossy(), "DIR").replace(REQUEST_ID, "ID");
        mask_times(&text)
    }
}

fn mask_times(text: &str) -> String {
    let pattern = "dddd-dd-ddTdd:dd:dd.dddZ";
    let fits = |piece: &str| {
        piece.chars().zip(pattern.chars()).all(|(c, p)| if p == 'd' { c.is_ascii_digit() } else { c == p })
    };
    let mut out = String::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        match rest.get(..pattern.len()) {
            Some(piece) if fits(piece) => {
                out.push_str("TIME");
                rest = &rest[pattern.len()..];
            }
            _ => {
                out.push(first);
                rest = &rest[first.len_utf8()..];
            }
        }
    }
    out
}

fn set_env(command: &mut Command, dir: &Path, handler: &str, env: &[(&str, &str)]) {
    command
        .env("_HANDLER", handler)
        .env("LAMBDA_TASK_ROOT", dir.join("task"))
        .env("AWS_LAMBDA_FUNCTION_NAME", "hello")
        .env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
        .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128")
        .env("AWS_LAMBDA_LOG_GROUP_NAME", "/aws/lambda/hello")
        .env("AWS_LAMBDA_LOG_STREAM_NAME", "2026/11/23/[$LATEST]0")
        .env_remove("NODE_OPTIONS")
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .envs(env.iter().copied());
}

fn write_files<'a, T: AsRef<[u8]>>(root: &Path, files: impl IntoIterator<Item = (&'a str, T)>) {
    for (path, bytes) in files {
        let path = root.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
}
