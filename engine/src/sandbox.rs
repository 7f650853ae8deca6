//! The port to isolated processes. An implementation starts an instance, tells when it is initialised, hands it one
//! event at a time and can always end it. Deadlines are the engine's: it drops the future and stops the instance.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::time::Instant;

use crate::function::FunctionVersion;
use crate::invocation::Invocation;
use crate::output::InvocationLog;
use crate::policy::Birth;

/// What an instance is started from.
#[derive(Clone, Debug)]
pub struct InstanceSpec {
    pub instance_id: String,
    pub function: Arc<FunctionVersion>,
    /// The unpacked code on the host; appears read-only at `/var/task`.
    pub code_dir: PathBuf,
    /// The function's layers, laid over one another; appear read-only at `/opt`.
    pub layers_dir: Option<PathBuf>,
    /// A debugger is going to look at it: the runtime waits for one before it begins.
    pub is_inspected: bool,
    /// The process environment, but for what only the sandbox knows (`AWS_LAMBDA_RUNTIME_API`, `PATH`, `AWS_ENDPOINT_URL`).
    pub environment: Vec<(String, String)>,
}

/// The instance could not be started at all.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StartError {
    /// The machine has no such interpreter, or the code has no `bootstrap`; a sentence for the user.
    #[error("{0}")]
    RuntimeMissing(String),
    /// What the function says is to be run cannot be; `kind` is Lambda's error type.
    #[error("{message}")]
    Unfit { kind: &'static str, message: String },
    /// The platform could not build the sandbox.
    #[error("{0}")]
    Platform(String),
}

/// Why an instance is no more, or no longer of use. It has to be stopped after any of these.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The runtime reported that initialisation failed; the error object in JSON.
    Init(Bytes),
    /// The process ended. At most one is set.
    Exited { code: Option<i32>, signal: Option<i32> },
    /// The kernel ended it because it passed its memory limit.
    OutOfMemory,
    /// The answer was larger than this, which is what it may have.
    ResponseTooLarge { bytes_max: u64 },
    /// The runtime broke the protocol.
    Protocol(String),
    /// An extension failed, or ended; `kind` is Lambda's error type.
    Extension { kind: &'static str, message: String },
    /// It never ran; `kind` is Lambda's error type.
    Unfit { kind: &'static str, message: String },
}

/// What the handler made of the event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    Success(Bytes),
    /// The error object in JSON, as the runtime gave it.
    Error(Bytes),
}

/// Resources used since the instance was started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    pub cpu_us: u64,
    /// 0 where the machine cannot tell.
    pub memory_peak_bytes: u64,
}

#[async_trait]
pub trait Sandbox: Send + Sync + 'static {
    /// Starts the runtime in a new sandbox; returns as soon as the process runs, before it is initialised.
    async fn start(&self, spec: Arc<InstanceSpec>) -> Result<Box<dyn Instance>, StartError>;

    /// Makes ready beside what later starts of the function will want; returns at once. What cannot be made is told by
    /// [`Sandbox::how`].
    async fn prepare(&self, spec: Arc<InstanceSpec>) {
        let _ = spec;
    }

    /// How the next instance of the function version would come to be.
    fn birth(&self, function: &FunctionVersion) -> Birth {
        let _ = function;
        Birth::Start
    }

    /// Whether a template of the function's own initialisation is being made.
    fn is_preparing(&self, function: &FunctionVersion) -> bool {
        let _ = function;
        false
    }

    /// How instances of the function version come to be, in words for the operator; `None` where there is nothing to say.
    fn how(&self, function: &FunctionVersion) -> Option<String> {
        let _ = function;
        None
    }
}

#[async_trait]
pub trait Instance: Send + Sync {
    /// Waits until the runtime asks for its first event. What is printed meanwhile goes to `log`.
    async fn init(&mut self, log: &mut InvocationLog) -> Result<(), Failure>;

    /// Hands over one event and waits for the answer. What is printed meanwhile, and all that was printed before the
    /// answer, is in `log` when it returns.
    async fn invoke(
        &mut self,
        event: &Invocation,
        deadline: Deadline,
        log: &mut InvocationLog,
    ) -> Result<Answer, Failure>;

    /// Whether extensions take part in its invocations: they may be at work after the answer, for which the caller does not
    /// wait, and its end takes a while.
    fn is_attended(&self) -> bool {
        false
    }

    /// Waits until the extensions are done with the event, too. What is printed meanwhile goes to `log`.
    async fn settle(&mut self, log: &mut InvocationLog) -> Result<(), Failure> {
        let _ = log;
        Ok(())
    }

    /// Lets the runtime and the extensions end in order, within Lambda's limits; to be called before [`Instance::stop`].
    async fn shut_down(&mut self, log: &mut InvocationLog) {
        let _ = log;
    }

    /// Whether anybody inside wants to be told what the platform says of invocations.
    fn is_told(&self) -> bool {
        false
    }

    /// Tells those inside who want to know one of the platform's events, such as `platform.start`.
    fn tell(&mut self, at_ms: u64, what: &'static str, record: serde_json::Value) {
        let _ = (at_ms, what, record);
    }

    /// Where its debugger listens, where it has one.
    fn debugger(&self) -> Option<Debugger> {
        None
    }

    /// Divides an initialised instance into seats, each of which takes one event at a time; it ends when the last of them
    /// is stopped. An error leaves nothing behind.
    async fn seats(self: Box<Self>, count: usize) -> Result<Vec<Box<dyn Instance>>, StartError>;

    /// How it came to be.
    fn birth(&self) -> Birth {
        Birth::Start
    }

    /// Whether the process still runs; one cheap look, no waiting.
    fn is_alive(&mut self) -> bool;

    /// Takes what has been printed and not yet been read, without waiting.
    fn drain(&mut self, log: &mut InvocationLog);

    fn usage(&mut self) -> Usage;

    /// Ends every process of the instance and gives all its resources back. Cannot fail, whatever the function does.
    async fn stop(self: Box<Self>);
}

/// A way to the debugger inside an instance.
#[derive(Clone)]
pub struct Debugger {
    /// Opens a connection to it; blocks.
    pub connect: Arc<Connect>,
}

type Connect = dyn Fn() -> std::io::Result<std::net::TcpStream> + Send + Sync;

/// When an invocation has to be over, for the host's clock and for the function's context object.
#[derive(Clone, Copy, Debug)]
pub struct Deadline {
    pub at: Instant,
    pub epoch_ms: u64,
}
