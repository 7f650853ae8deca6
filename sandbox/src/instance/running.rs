//! A running instance as the engine has it: process, channel and extensions together, and its seats where it takes several
//! events at a time. How it came to be is told above.

use std::future::Future;
use std::os::fd::AsFd;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use cumulet_base::clock::{Clock, SystemClock};
use cumulet_base::limits;
use cumulet_engine::events::{self, InitEnd};
use cumulet_engine::invocation::Invocation;
use cumulet_engine::output::InvocationLog;
use cumulet_engine::policy::Birth;
use cumulet_engine::sandbox::{Answer, Deadline, Debugger, Failure, Instance, InstanceSpec, StartError, Usage};

use super::{Inner, REGISTERS, version_key};
use crate::channel::{ChannelError, Io, Output};
use crate::extensions::Extensions;
use crate::extensions::attendant::{Attendant, Task};
use crate::inside;
use crate::inspect;
use crate::process::Process;
use crate::sys::Exit;
use crate::templates::Live;

/// A process that has closed its channel has this long to end before that counts as a breach.
const ENDING_MS: u64 = 500;
/// What an ended process has sent is read for this long.
const LAST_WORDS_MS: u64 = 100;

/// What the instance was doing last; from which comes why it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Doing {
    Nothing,
    /// An event, or its own initialisation.
    Work,
    Failed,
}

pub(super) struct LinuxInstance {
    pub(super) io: Io,
    pub(super) process: Process,
    /// What is served in its network, where it has one of its own.
    pub(super) tasks: Vec<Task>,
    /// Dies with the last of its clones, once it is forgotten.
    pub(super) template: Option<Arc<Live>>,
    /// Clones have none.
    pub(super) attendant: Option<Attendant>,
    pub(super) state: Doing,
    pub(super) has_answered: bool,
    pub(super) inner: Arc<Inner>,
    pub(super) spec: Arc<InstanceSpec>,
}

/// Why an instance does not go on.
pub(super) enum Broken {
    Channel(ChannelError),
    Extension(Failure),
}

impl LinuxInstance {
    async fn failure(&mut self, broken: Broken) -> Failure {
        match broken {
            Broken::Extension(failure) => failure,
            Broken::Channel(error) => failure(&self.process, self.told_end(), error).await,
        }
    }

    /// The extensions, where it is they who hear of the runtime's end.
    fn told_end(&self) -> Option<&Extensions> {
        let attendant = self.attendant.as_ref().filter(|attendant| attendant.is_of_many());
        attendant.map(|attendant| &*attendant.extensions)
    }

    /// Waits for the runtime and all extensions to be ready: the extensions register, then the runtime is started, and then
    /// each has to ask for its first event.
    async fn initialise(&mut self, log: &mut InvocationLog) -> Result<(), Failure> {
        let extensions = self.attendant.as_ref().map(|attendant| attendant.extensions.clone());
        let result = self.boot(extensions.as_deref(), log).await;
        let result = match result {
            Ok(()) => Ok(()),
            Err(broken) => Err(self.failure(broken).await),
        };
        if let (Some(attendant), Some(extensions)) = (&self.attendant, &extensions) {
            attendant.introduce(log);
            extensions.drain(log);
        }
        if result.is_err() {
            self.io.drain(log);
        }
        result
    }

    async fn boot(&mut self, extensions: Option<&Extensions>, log: &mut InvocationLog) -> Result<(), Broken> {
        if self.template.as_ref().is_some_and(|live| live.is_quiet) {
            return Ok(());
        }
        let lost = |error: std::io::Error| Broken::Channel(ChannelError::Protocol(format!("starting: {error}")));
        if let (Some(extensions), Some(attendant)) = (extensions, &mut self.attendant) {
            if attendant.is_of_many() {
                until_end(async { Ok(extensions.registered().await) }, &self.process, Some(extensions))
                    .await?
                    .map_err(Broken::Extension)?;
            }
            attendant.start_runtime().map_err(lost)?;
        }
        until_end(self.io.ready(log), &self.process, extensions).await?;
        if let Some(extensions) = extensions {
            tokio::select! {
                idle = extensions.idle() => idle.map_err(Broken::Extension)?,
                () = self.io.listen(log) => {}
            }
        }
        Ok(())
    }

    /// A clone in which somebody wants to register as an extension gives way to an instance that is started.
    async fn start_anew(&mut self, log: &mut InvocationLog) -> Result<(), Failure> {
        let function = &self.spec.function;
        self.inner.templates.never(&version_key(function), &function.revision, REGISTERS);
        // What it has printed will be printed again.
        log.take();
        let began = self.inner.start_plainly(self.spec.clone()).await;
        let next = began.map_err(|error| Failure::Protocol(error.to_string()))?;
        let before = std::mem::replace(self, next);
        Box::new(before).stop().await;
        self.initialise(log).await
    }

    /// After the first answer, or the end. A clone is replaced in stock: until then it needs the processors more than those to
    /// come. `is_well`: it rests, and shows what instances of its function do.
    fn look_after(&mut self, is_well: bool) {
        if std::mem::replace(&mut self.has_answered, true) {
            return;
        }
        let Some(live) = &self.template else {
            if is_well {
                self.look_for_listeners();
            }
            return;
        };
        let function = self.spec.function.clone();
        if !is_well || !live.stock.wants_lesson() {
            self.inner.launcher.restock(live, function.memory_mb);
            return;
        }
        let (inner, live, pid) = (self.inner.clone(), live.clone(), self.process.pid());
        tokio::task::spawn_blocking(move || {
            live.stock.learn(pid);
            inner.look_for_listeners(&function, pid);
            inner.launcher.restock(&live, function.memory_mb);
        });
    }

    fn look_for_listeners(&self) {
        let (inner, function, pid) = (self.inner.clone(), self.spec.function.clone(), self.process.pid());
        if inner.kind(&function).is_some() {
            tokio::task::spawn_blocking(move || inner.look_for_listeners(&function, pid));
        }
    }

    /// What extensions are told of the initialisation.
    fn tell_of_init(&self, began: Instant, result: &Result<(), Failure>) {
        let Some(attendant) = &self.attendant else { return };
        let us = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
        let end = result.as_ref().map_or_else(InitEnd::Failed, |()| InitEnd::Done);
        for (what, record) in events::init_records(&self.spec.function, us, &end) {
            attendant.extensions.telemetry.say(SystemClock.now_ms(), what, record);
        }
    }
}

/// What the channel comes to, or `Closed` when the process ends without it: a custom runtime may end without ever having
/// connected, which its listener cannot tell. What it said just before it ended is still heard.
pub(super) async fn until_end<T>(
    talk: impl Future<Output = Result<T, ChannelError>>,
    process: &Process,
    extensions: Option<&Extensions>,
) -> Result<T, Broken> {
    tokio::pin!(talk);
    let broken = async {
        match extensions {
            Some(extensions) => extensions.broken().await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        biased;
        result = &mut talk => return result.map_err(Broken::Channel),
        broken = broken => {
            if let Some(failure) = broken {
                return Err(Broken::Extension(failure));
            }
        }
        // When the end cannot be watched, the deadline still holds.
        Ok(_) = process.ended() => {}
    }
    tokio::time::timeout(Duration::from_millis(LAST_WORDS_MS), talk)
        .await
        .unwrap_or(Err(ChannelError::Closed))
        .map_err(Broken::Channel)
}

async fn failure(process: &Process, told_end: Option<&Extensions>, error: ChannelError) -> Failure {
    match error {
        ChannelError::Init(object) => Failure::Init(object),
        ChannelError::ResponseTooLarge { .. } => {
            Failure::ResponseTooLarge { bytes_max: limits::INVOKE_PAYLOAD_BYTES_MAX as u64 }
        }
        ChannelError::StreamTooLong { bytes_max } => Failure::ResponseTooLarge { bytes_max },
        ChannelError::Protocol(what) => Failure::Protocol(what),
        ChannelError::Closed => ending(process, told_end).await,
    }
}

/// Why the channel was closed. `told_end`: who hears of the runtime's end, where it is not the first process.
async fn ending(process: &Process, told_end: Option<&Extensions>) -> Failure {
    let ended = async {
        match told_end {
            Some(extensions) => Ok(extensions.runtime_ended().await),
            None => process.ended().await,
        }
    };
    let ended = tokio::time::timeout(Duration::from_millis(ENDING_MS), ended).await;
    let out_of_memory = process.ran_out_of_memory();
    match ended {
        Ok(Ok(Exit::Code(0))) => exited(Some(0), None),
        // A kill that the function survived (of a child process, say) is no reason for an orderly exit.
        Ok(Ok(_)) if out_of_memory => Failure::OutOfMemory,
        Ok(Ok(Exit::Code(code))) => exited(Some(code), None),
        Ok(Ok(Exit::Signal(signal))) => exited(None, Some(signal)),
        Ok(Ok(Exit::Unknown)) => exited(None, None),
        Ok(Err(error)) => Failure::Protocol(format!("waiting for the runtime's end: {error}")),
        Err(_) => Failure::Protocol("the runtime closed its channel and runs on".to_owned()),
    }
}

fn exited(code: Option<i32>, signal: Option<i32>) -> Failure {
    Failure::Exited { code, signal }
}

#[async_trait]
impl Instance for LinuxInstance {
    async fn init(&mut self, log: &mut InvocationLog) -> Result<(), Failure> {
        let began = Instant::now();
        self.state = Doing::Work;
        if let Some(attendant) = &self.attendant {
            attendant.tap(log);
            let mut record = events::init_start_record(&self.spec.function);
            record["instanceId"] = self.spec.instance_id.clone().into();
            record["instanceMaxMemory"] = (u64::from(self.spec.function.memory_mb) << 20).into();
            attendant.extensions.telemetry.say(SystemClock.now_ms(), "platform.initStart", record);
        }
        let mut result = self.initialise(log).await;
        if self.template.as_ref().is_some_and(|live| live.has_registered.load(Ordering::SeqCst)) {
            result = self.start_anew(log).await;
        }
        self.tell_of_init(began, &result);
        if let Some(attendant) = &self.attendant {
            attendant.extensions.begin_invocations();
            attendant.extensions.telemetry.begin_invocations();
        }
        self.state = if result.is_ok() { Doing::Nothing } else { Doing::Failed };
        result
    }

    async fn invoke(
        &mut self,
        event: &Invocation,
        deadline: Deadline,
        log: &mut InvocationLog,
    ) -> Result<Answer, Failure> {
        self.state = Doing::Work;
        let extensions = self.attendant.as_ref().map(|attendant| attendant.extensions.clone());
        let extensions = extensions.filter(|extensions| extensions.is_any());
        if let (Some(attendant), Some(extensions)) = (&self.attendant, &extensions) {
            attendant.tap(log);
            extensions.invoke(event, deadline.epoch_ms);
        }
        let answer = self.io.invoke(event, deadline, log);
        let broken = match until_end(answer, &self.process, extensions.as_deref()).await {
            Ok(answer) => {
                match &extensions {
                    Some(extensions) => extensions.drain(log),
                    None => self.state = Doing::Nothing,
                }
                self.look_after(true);
                return Ok(answer);
            }
            Err(broken) => broken,
        };
        self.look_after(false);
        let failure = self.failure(broken).await;
        self.io.drain(log);
        if let Some(extensions) = &extensions {
            extensions.drain(log);
        }
        self.state = Doing::Failed;
        Err(failure)
    }

    fn is_attended(&self) -> bool {
        self.attendant.as_ref().is_some_and(|attendant| attendant.extensions.is_any())
    }

    async fn settle(&mut self, log: &mut InvocationLog) -> Result<(), Failure> {
        let Some(attendant) = &self.attendant else { return Ok(()) };
        let extensions = attendant.extensions.clone();
        let result = tokio::select! {
            idle = extensions.idle() => idle,
            () = self.io.listen(log) => Ok(()),
        };
        self.io.drain(log);
        extensions.drain(log);
        self.state = if result.is_ok() { Doing::Nothing } else { Doing::Failed };
        result
    }

    fn debugger(&self) -> Option<Debugger> {
        let port = inspect::port(&self.spec.function.runtime).filter(|_| self.spec.is_inspected)?;
        let pidfd = self.process.pidfd.clone();
        Some(Debugger { connect: Arc::new(move || inside::connect(pidfd.as_fd(), port)) })
    }

    fn is_told(&self) -> bool {
        self.attendant.as_ref().is_some_and(|attendant| attendant.extensions.telemetry.is_wanted())
    }

    fn tell(&mut self, at_ms: u64, what: &'static str, record: serde_json::Value) {
        if let Some(attendant) = &self.attendant {
            attendant.extensions.telemetry.say(at_ms, what, record);
        }
    }

    async fn shut_down(&mut self, log: &mut InvocationLog) {
        let Some(attendant) = &self.attendant else { return };
        let reason = match self.state {
            Doing::Nothing => "spindown",
            Doing::Work => "timeout",
            Doing::Failed => "failure",
        };
        tokio::select! {
            () = attendant.shut_down(reason, &self.process) => {}
            () = self.io.listen(log) => {}
        }
        self.io.drain(log);
        attendant.extensions.drain(log);
    }

    async fn seats(mut self: Box<Self>, count: usize) -> Result<Vec<Box<dyn Instance>>, StartError> {
        self.look_after(false);
        self.look_for_listeners();
        if self.is_attended() {
            self.stop().await;
            let what = "a function with extensions takes one event at a time: unset its setting for several";
            return Err(StartError::RuntimeMissing(what.to_owned()));
        }
        let LinuxInstance { io, process, tasks, template, attendant, .. } = *self;
        match io.divide(count) {
            Ok((ways, output)) => Ok(Seat::all(ways, output, Shared { process, _tasks: (tasks, attendant), template })),
            Err(error) => {
                process.stop().await;
                Err(StartError::Platform(format!("making the instance's seats: {error}")))
            }
        }
    }

    fn birth(&self) -> Birth {
        birth(self.template.as_ref())
    }

    fn is_alive(&mut self) -> bool {
        self.process.is_alive()
    }

    fn drain(&mut self, log: &mut InvocationLog) {
        self.io.drain(log);
        if let Some(attendant) = &self.attendant {
            attendant.extensions.drain(log);
        }
    }

    fn usage(&mut self) -> Usage {
        self.process.usage()
    }

    async fn stop(mut self: Box<Self>) {
        self.look_after(false);
        let LinuxInstance { io, process, tasks, template, attendant, .. } = *self;
        drop((tasks, attendant));
        process.stop().await;
        drop((io, template));
    }
}

/// One of the seats of an instance that takes several events at a time.
struct Seat {
    io: Io,
    output: Arc<Mutex<Output>>,
    shared: Arc<Shared>,
}

struct Shared {
    process: Process,
    /// What is served to the processes inside.
    _tasks: (Vec<Task>, Option<Attendant>),
    template: Option<Arc<Live>>,
}

impl Seat {
    fn all(ways: Vec<Io>, output: Output, shared: Shared) -> Vec<Box<dyn Instance>> {
        let (output, shared) = (Arc::new(Mutex::new(output)), Arc::new(shared));
        // Ends with the process, which holds the other ends.
        let read = output.clone();
        tokio::spawn(std::future::poll_fn(move |cx| read.lock().unwrap_or_else(PoisonError::into_inner).poll(cx)));
        let seat = |io| Box::new(Seat { io, output: output.clone(), shared: shared.clone() }) as Box<dyn Instance>;
        ways.into_iter().map(seat).collect()
    }
}

#[async_trait]
impl Instance for Seat {
    async fn init(&mut self, _: &mut InvocationLog) -> Result<(), Failure> {
        Ok(())
    }

    async fn invoke(
        &mut self,
        event: &Invocation,
        deadline: Deadline,
        log: &mut InvocationLog,
    ) -> Result<Answer, Failure> {
        let process = &self.shared.process;
        let answer = self.io.invoke(event, deadline, log);
        let answer = match until_end(answer, process, None).await {
            Ok(answer) => Ok(answer),
            Err(Broken::Extension(failure)) => Err(failure),
            Err(Broken::Channel(error)) => {
                let failure = failure(process, None, error).await;
                self.io.drain(log);
                Err(failure)
            }
        };
        self.output.lock().unwrap_or_else(PoisonError::into_inner).drain(log);
        answer
    }

    async fn seats(self: Box<Self>, _: usize) -> Result<Vec<Box<dyn Instance>>, StartError> {
        Ok(vec![self])
    }

    fn birth(&self) -> Birth {
        birth(self.shared.template.as_ref())
    }

    fn is_alive(&mut self) -> bool {
        self.shared.process.is_alive()
    }

    fn drain(&mut self, log: &mut InvocationLog) {
        self.io.drain(log);
        self.output.lock().unwrap_or_else(PoisonError::into_inner).drain(log);
    }

    fn usage(&mut self) -> Usage {
        self.shared.process.usage()
    }

    async fn stop(self: Box<Self>) {
        // Whoever has the last one ends the process.
        if let Some(Shared { process, template, .. }) = Arc::into_inner(self.shared) {
            process.stop().await;
            drop(template);
        }
    }
}

fn birth(template: Option<&Arc<Live>>) -> Birth {
    if template.is_some() { Birth::Clone } else { Birth::Start }
}
