//! What looks after an instance's extensions on the host: serves their API, starts those that are processes, hears them
//! out, and sees the instance to its end in Lambda's time
//! (<https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html>).

use std::future::poll_fn;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use cumulet_base::clock::{Clock, SystemClock};
use cumulet_base::limits::{SHUTDOWN_MS, SHUTDOWN_RUNTIME_BESIDE_MS, SHUTDOWN_RUNTIME_MS};
use cumulet_engine::output::{InvocationLog, Tap};
use serde_json::json;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout, timeout_at};

use super::Extensions;
use super::supervisor::{self, RUNTIME, Start, Supervisor};
use super::telemetry::Kind;
use crate::channel::pipes::Pipes;
use crate::process::Process;
use crate::sys;

/// Where they are looked for inside.
const FOLDER: &str = "/opt/extensions";
/// What is the runtime's and not theirs
/// (<https://docs.aws.amazon.com/lambda/latest/dg/runtimes-extensions-api.html#runtimes-extensions-env>).
const UNSET: &[&str] = &[
    "_HANDLER",
    "AWS_EXECUTION_ENV",
    "AWS_LAMBDA_LOG_GROUP_NAME",
    "AWS_LAMBDA_LOG_STREAM_NAME",
    "AWS_XRAY_CONTEXT_MISSING",
    "AWS_XRAY_DAEMON_ADDRESS",
    "LAMBDA_RUNTIME_DIR",
    "LAMBDA_TASK_ROOT",
    "_AWS_XRAY_DAEMON_ADDRESS",
    "_AWS_XRAY_DAEMON_PORT",
];

/// Names of the extensions in what appears at `/opt`, in their order.
pub(crate) fn find_in(opt: Option<&Path>) -> Vec<String> {
    let entries = opt.map(|opt| std::fs::read_dir(opt.join("extensions")));
    let Some(Ok(entries)) = entries else { return Vec::new() };
    let mut names: Vec<String> = entries
        .filter_map(Result::ok)
        // A link's target is only meaningful inside, so links are taken as they are.
        .filter(|entry| entry.file_type().is_ok_and(|kind| !kind.is_dir()))
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    names.sort();
    names
}

/// Ends the task when it is dropped.
pub(crate) struct Task(JoinHandle<()>);

impl Task {
    pub(crate) fn spawn(work: impl Future<Output = ()> + Send + 'static) -> Task {
        Task(tokio::spawn(work))
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The runtime, as it is to be started once the extensions are there.
pub(crate) struct Runtime {
    pub argv: Vec<String>,
    pub stdout: OwnedFd,
    pub stderr: OwnedFd,
    pub channel: Option<OwnedFd>,
}

pub(crate) struct Attendant {
    pub(crate) extensions: Arc<Extensions>,
    /// Where the first process is not the runtime itself.
    supervisor: Option<Supervisor>,
    runtime: Option<Runtime>,
    tasks: Vec<Task>,
}

impl Attendant {
    /// For a runtime that is the first process: only extensions within it can be.
    pub(crate) fn of_one(extensions: Arc<Extensions>) -> Attendant {
        Attendant { extensions, supervisor: None, runtime: None, tasks: Vec::new() }
    }

    /// For a first process that starts the others: the extensions now, the runtime when it is time.
    ///
    /// # Errors
    /// When there are no descriptors left, or the first process is gone.
    pub(crate) fn of_many(
        extensions: Arc<Extensions>,
        control: OwnedFd,
        names: &[String],
        runtime: Runtime,
    ) -> io::Result<Attendant> {
        let (supervisor, mut ends) = supervisor::split(control)?;
        let mut attendant =
            Attendant { extensions, supervisor: Some(supervisor), runtime: Some(runtime), tasks: Vec::new() };
        let (extensions, known) = (attendant.extensions.clone(), names.to_vec());
        attendant.tasks.push(Task::spawn(async move {
            while let Some((slot, exit)) = ends.next().await {
                let name = slot.checked_sub(1).and_then(|index| known.get(usize::from(index)));
                match (slot, name) {
                    (RUNTIME, _) => extensions.ended(None, exit),
                    (_, Some(name)) => extensions.ended(Some(name), exit),
                    (_, None) => {}
                }
            }
            extensions.all_ended();
        }));
        for (slot, name) in (1..).zip(names) {
            attendant.start(slot, name)?;
        }
        Ok(attendant)
    }

    fn start(&mut self, slot: u8, name: &str) -> io::Result<()> {
        let Some(supervisor) = &self.supervisor else { return Ok(()) };
        let ((stdout, stdout_child), (stderr, stderr_child)) = (sys::pipe()?, sys::pipe()?);
        let argv = [format!("{FOLDER}/{name}")];
        supervisor.start(Start {
            slot,
            argv: &argv,
            unset: UNSET,
            stdout: stdout_child,
            stderr: stderr_child,
            channel: None,
        })?;
        let mut pipes = Pipes::new(stdout, stderr)?;
        let extensions = self.extensions.clone();
        self.tasks.push(Task::spawn(async move {
            let mut log = InvocationLog::new();
            let is_json = extensions.function.logs.is_json;
            log.set_tap(Tap(Arc::new(move |at_ms, line| {
                extensions.print(at_ms, line);
                extensions.telemetry.line(Kind::Extension, at_ms, line, is_json);
            })));
            poll_fn(|cx| {
                let is_over = pipes.poll(cx, &mut log);
                log.take();
                is_over
            })
            .await;
            pipes.drain(&mut log);
        }));
        Ok(())
    }

    /// Keeps a task for as long as the instance lives.
    pub(crate) fn keep(&mut self, task: Task) {
        self.tasks.push(task);
    }

    /// Whether there are other processes than the runtime's, whose end is told by the first one.
    pub(crate) fn is_of_many(&self) -> bool {
        self.supervisor.is_some()
    }

    /// Starts the runtime, where that has waited for the extensions.
    pub(crate) fn start_runtime(&mut self) -> io::Result<()> {
        let (Some(supervisor), Some(runtime)) = (&self.supervisor, self.runtime.take()) else { return Ok(()) };
        let Runtime { argv, stdout, stderr, channel } = runtime;
        supervisor.start(Start { slot: RUNTIME, argv: &argv, unset: &[], stdout, stderr, channel })
    }

    /// Lets everything printed be seen by those who have subscribed to it.
    pub(crate) fn tap(&self, log: &mut InvocationLog) {
        if self.extensions.telemetry.is_wanted() {
            let (extensions, is_json) = (self.extensions.clone(), self.extensions.function.logs.is_json);
            log.set_tap(Tap(Arc::new(move |at_ms, line| {
                extensions.telemetry.line(Kind::Function, at_ms, line, is_json);
            })));
        }
    }

    /// Says in log and telemetry who they are, when they are ready or initialisation has failed.
    pub(crate) fn introduce(&self, log: &mut InvocationLog) {
        let now = SystemClock.now_ms();
        for (name, state, events) in self.extensions.members() {
            if self.extensions.function.logs.is_json {
                let record = json!({ "name": name, "state": state, "events": events });
                let line =
                    json!({ "time": cumulet_base::clock::iso_ms(now), "type": "platform.extension", "record": record });
                log.push_quietly(now, &line.to_string());
            } else {
                let events = events.join(", ");
                log.push_quietly(now, &format!("EXTENSION\tName: {name}\tState: {state}\tEvents: [{events}]"));
            }
            let record = json!({ "name": name, "state": state, "events": events });
            self.extensions.telemetry.say(now, "platform.extension", record);
        }
    }

    /// Sees the instance to its end: the runtime is asked to go, then the extensions are told. Whatever is left after
    /// Lambda's limit is for the caller to kill.
    pub(crate) async fn shut_down(&self, reason: &str, process: &Process) {
        let extensions = &self.extensions;
        if !extensions.is_any() {
            return;
        }
        extensions.begin_shutdown();
        let is_external = extensions.is_any_external();
        let (runtime_ms, all_ms) = if is_external {
            (SHUTDOWN_RUNTIME_BESIDE_MS, SHUTDOWN_MS)
        } else {
            (SHUTDOWN_RUNTIME_MS, SHUTDOWN_RUNTIME_MS)
        };
        let end = Instant::now() + Duration::from_millis(all_ms);
        let runtime_end = Duration::from_millis(runtime_ms);
        // A subscriber on a busy machine takes longer than a runtime's end; half is left for the extensions' own.
        let flushed = timeout(Duration::from_millis(runtime_ms.max(all_ms / 2)), extensions.telemetry.flush());
        match &self.supervisor {
            Some(supervisor) if self.runtime.is_none() => {
                supervisor.signal(RUNTIME, libc::SIGTERM);
                let (gone, _sent) = tokio::join!(timeout(runtime_end, extensions.runtime_ended()), flushed);
                if gone.is_err() {
                    supervisor.signal(RUNTIME, libc::SIGKILL);
                }
            }
            Some(_) => drop(flushed.await),
            None => {
                // The first process of its namespace is not ended by a signal that it does not handle.
                let ends = process.ask_to_end();
                let gone = async {
                    if ends {
                        drop(timeout(runtime_end, process.ended()).await);
                    }
                };
                let ((), _sent) = tokio::join!(gone, flushed);
            }
        }
        let left = end.saturating_duration_since(Instant::now());
        extensions.shut_down(reason, SystemClock.now_ms() + u64::try_from(left.as_millis()).unwrap_or(0));
        if extensions.is_end_awaited() {
            // Who does not go is killed.
            let _gone = timeout_at(end, extensions.processes_ended()).await;
        }
    }
}
