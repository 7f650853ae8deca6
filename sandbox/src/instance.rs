//! The engine's sandbox port: turns a function version into a plan, starts it, and joins process and channel into an
//! instance. What is said over the channel is in `channel`, how the process is confined in `launch`.

mod running;

use std::io::Write;
use std::net::TcpListener;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use cumulet_base::limits;
use cumulet_engine::function::{FileSystem, FunctionVersion, Runtime};
use cumulet_engine::image::find_program;
use cumulet_engine::output::InvocationLog;
use cumulet_engine::policy::Birth;
use cumulet_engine::sandbox::{Instance, InstanceSpec, Sandbox, StartError};
use tokio::sync::Semaphore;

use crate::channel::{ChannelError, Io, frames, runtime_api, server};
use crate::clone::Template;
use crate::config::{Clones, PlatformConnection, SandboxConfig};
use crate::extensions::attendant::{self, Attendant, Task};
use crate::extensions::telemetry::Telemetry;
use crate::extensions::{Extensions, api};
use crate::inside;
use crate::inspect;
use crate::interpreter::{Interpreter, Interpreters};
use crate::launch::{LaunchError, Launcher, Plan, failed};
use crate::listening::is_listening;
use crate::proof::Proofs;
use crate::root;
use crate::stock::Stock;
use crate::sys;
use crate::templates::{Kind, Live, Pending, Templates};

use running::{Broken, Doing, LinuxInstance, until_end};

const RUNTIME_API_PORT: u16 = 9001;
/// Where code inside reaches this cloud, on its own loopback.
pub const PLATFORM_PORT: u16 = 4566;
/// The same endpoint for clients that drop the port of an address and insist on TLS.
const PLATFORM_TLS_PORT: u16 = 443;
pub const PLATFORM_TLS_ENDPOINT: &str = "https://127.0.0.1";
/// Boot, the function's initialisation, rehearsal and settling of a template.
const TEMPLATE_BOOT_MS: u64 = 30_000;

/// Starts instances as confined processes of this machine. They die with it.
pub struct LinuxSandbox {
    inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) config: SandboxConfig,
    launcher: Launcher,
    interpreters: Arc<Interpreters>,
    templates: Templates,
    pub(crate) proofs: Proofs,
    /// Templates are made one after the other, so that those who wait for an answer have the processors.
    boots: Semaphore,
}

impl LinuxSandbox {
    /// Prepares shared files and control groups, and removes what a crashed platform left behind.
    ///
    /// # Errors
    /// When the data directory cannot be used.
    pub fn new(config: SandboxConfig) -> Result<LinuxSandbox, LaunchError> {
        let launcher = Launcher::new(&config)?;
        let interpreters = Interpreters::new(config.interpreters.clone(), config.lenient_versions);
        let interpreters = Arc::new(interpreters);
        let templates = Templates::new(config.templates_bytes_max);
        let boots = Semaphore::new(1);
        Ok(LinuxSandbox {
            inner: Arc::new(Inner { config, launcher, interpreters, templates, proofs: Proofs::default(), boots }),
        })
    }

    /// What this machine or user keeps the sandbox from doing, in sentences for the operator.
    pub fn lacking(&self) -> Vec<String> {
        let mut lacking = self.inner.launcher.lacking();
        if self.inner.config.clones != Clones::Off && !self.inner.launcher.can_clone() {
            lacking.push("no clones of live templates: they need root; instances are started one by one".to_owned());
        }
        lacking
    }
}

/// A program that starts the runtime
/// (<https://docs.aws.amazon.com/lambda/latest/dg/runtimes-modify.html#runtime-wrapper>).
const WRAPPER_VARIABLE: &str = "AWS_LAMBDA_EXEC_WRAPPER";
/// Set to `on`, `runtime` or `off` in a function's environment, it overrides the platform's setting.
const CLONE_VARIABLE: &str = "CUMULET_CLONE";

fn version_key(function: &FunctionVersion) -> String {
    format!("{}:{}", function.arn(), function.version)
}

impl Inner {
    pub(crate) async fn interpreter(&self, runtime: &Runtime) -> Result<Interpreter, StartError> {
        let (interpreters, runtime) = (self.interpreters.clone(), runtime.clone());
        tokio::task::spawn_blocking(move || interpreters.find(&runtime))
            .await
            .map_err(|error| StartError::Platform(error.to_string()))?
            .map_err(StartError::RuntimeMissing)
    }

    /// Where the function's files that outlive its instances are, and where they appear.
    fn file_system(&self, function: &FunctionVersion) -> Option<(PathBuf, String)> {
        let FileSystem { arn, mount } = function.file_system.as_ref()?;
        // An ARN holds nothing that is special in a path but these.
        let name = arn.replace(['/', ':'], "-");
        Some((self.config.file_systems_dir.join(name), mount.clone()))
    }

    async fn plan(&self, spec: &InstanceSpec) -> Result<Plan, StartError> {
        let function = &spec.function;
        let mut plan = Plan {
            // Functions that share files share their owner.
            owner: match &function.file_system {
                Some(shared) => shared.arn.clone(),
                None => format!("{}/{}/{}", function.account, function.region, function.name),
            },
            argv: Vec::new(),
            environment: spec.environment.clone(),
            code_dir: spec.code_dir.clone(),
            layers_dir: spec.layers_dir.clone(),
            runtime_dir: None,
            prefixes: Vec::new(),
            memory_mb: function.memory_mb,
            ephemeral_mb: function.ephemeral_mb,
            channel: None,
            listen: self.ports(),
            image: None,
            directory: "/var/task".to_owned(),
            file_system: self.file_system(function),
            init: None,
            is_template: false,
        };
        set(&mut plan.environment, "AWS_LAMBDA_RUNTIME_API", format!("127.0.0.1:{RUNTIME_API_PORT}"));
        let mut path = "/var/lang/bin:/usr/local/bin:/usr/bin:/bin:/opt/bin".to_owned();
        match &function.runtime {
            Runtime::Image => {
                let image = function.image.clone().unwrap_or_default();
                let of_image = spec.environment.iter().find(|(name, _)| name == "PATH");
                let (program, arguments) = image.argv.split_first().ok_or_else(|| {
                    StartError::RuntimeMissing("the image has neither an entry point nor a command".to_owned())
                })?;
                let found = of_image.map_or(path.as_str(), |(_, path)| path.as_str());
                plan.argv = vec![find_program(&spec.code_dir, program, found)];
                plan.argv.extend_from_slice(arguments);
                plan.image = Some(spec.code_dir.clone());
                if image.working_dir.starts_with('/') {
                    plan.directory = image.working_dir;
                } else {
                    plan.directory = format!("/{}", image.working_dir);
                }
            }
            Runtime::Provided { .. } => {
                plan.argv = vec![find_bootstrap(&spec.code_dir, spec.layers_dir.as_deref())?.to_owned()];
            }
            managed => {
                let interpreter = self.interpreter(managed).await?;
                let executable = interpreter.executable.to_string_lossy().into_owned();
                if let (Some(_), Some(bin)) = (&interpreter.prefix, interpreter.executable.parent()) {
                    path = format!("{}:{path}", bin.display());
                }
                if let (Some(prefix), Some(layers)) = (&interpreter.prefix, &spec.layers_dir) {
                    make_room(prefix, layers)?;
                }
                plan.prefixes.extend(interpreter.prefix);
                plan.runtime_dir = Some(self.config.runtime_dir.clone());
                plan.argv = match managed {
                    Runtime::Node { .. } => vec![
                        executable,
                        // V8 would size its heap by the machine's memory.
                        format!("--max-old-space-size={}", function.memory_mb * 9 / 10),
                        // Helpers beside the main thread; as many as the function is given processors.
                        format!("--v8-pool-size={}", 1 + function.memory_mb / limits::MEMORY_MB_PER_PROCESSOR),
                        "/var/runtime/node/host.js".to_owned(),
                    ],
                    Runtime::Ruby { .. } => vec![executable, "/var/runtime/ruby/host.rb".to_owned()],
                    _ => vec![executable, "/var/runtime/python/host.py".to_owned()],
                };
                if spec.is_inspected {
                    inspect::change(&mut plan, managed, &interpreter.version, spec)?;
                }
                if let Some(wrapper) = function.environment.get(WRAPPER_VARIABLE) {
                    plan.argv.insert(0, wrapper.clone());
                }
            }
        }
        set_default(&mut plan.environment, "PATH", path);
        if self.config.platform.is_some() {
            set_default(&mut plan.environment, "AWS_ENDPOINT_URL", format!("http://127.0.0.1:{PLATFORM_PORT}"));
        }
        Ok(plan)
    }
}

/// What appears at `/opt`.
fn opt_of(spec: &InstanceSpec) -> Option<PathBuf> {
    match spec.function.image {
        Some(_) => Some(spec.code_dir.join("opt")),
        None => spec.layers_dir.clone(),
    }
}

fn set_default(environment: &mut Vec<(String, String)>, name: &str, value: String) {
    if !environment.iter().any(|(known, _)| known == name) {
        environment.push((name.to_owned(), value));
    }
}

fn set(environment: &mut Vec<(String, String)>, name: &str, value: String) {
    environment.retain(|(known, _)| known != name);
    environment.push((name.to_owned(), value));
}

/// A custom runtime's program, as in Lambda an executable file named `bootstrap` in the code, or else in a layer.
fn find_bootstrap(code_dir: &Path, layers_dir: Option<&Path>) -> Result<&'static str, StartError> {
    const KIND: &str = "Runtime.InvalidEntrypoint";
    let missing = |message: &str| Err(StartError::Unfit { kind: KIND, message: message.to_owned() });
    let in_layers = layers_dir.map(|layers| layers.join("bootstrap")).filter(|path| path.symlink_metadata().is_ok());
    // A link's target is only meaningful inside, so links are taken as they are.
    match std::fs::symlink_metadata(code_dir.join("bootstrap")) {
        Ok(kind) if kind.is_file() && kind.permissions().mode() & 0o001 == 0 => {
            missing("fork/exec /var/task/bootstrap: permission denied")
        }
        Ok(kind) if !kind.is_dir() => Ok("/var/task/bootstrap"),
        _ if in_layers.is_some() => Ok("/opt/bootstrap"),
        _ => missing("Couldn't find valid bootstrap(s): [/var/task/bootstrap /opt/bootstrap]"),
    }
}

/// As Lambda says it.
fn unfit(kind: &'static str, program: &str, directory: &str, error: &std::io::Error) -> StartError {
    let text = error.to_string().to_ascii_lowercase();
    let reason = text.split(" (os error").next().unwrap_or(&text);
    let message = match kind {
        "Runtime.InvalidWorkingDir" => format!("chdir {directory}: {reason}"),
        _ => format!("fork/exec {program}: {reason}"),
    };
    StartError::Unfit { kind, message }
}

/// An interpreter beneath `/opt` needs a place in the layers' folder, which is attached there read-only; the folder is a
/// cache of ours.
fn make_room(prefix: &Path, layers: &Path) -> Result<(), StartError> {
    let Ok(rest) = prefix.strip_prefix("/opt") else { return Ok(()) };
    std::fs::create_dir_all(layers.join(rest))
        .map_err(|error| StartError::Platform(format!("making room for `{}`: {error}", prefix.display())))
}

#[async_trait]
impl Sandbox for LinuxSandbox {
    async fn start(&self, spec: Arc<InstanceSpec>) -> Result<Box<dyn Instance>, StartError> {
        let inner = &self.inner;
        let is_plain = spec.is_inspected || inner.is_extended(&spec);
        let Some(kind) = inner.kind(&spec.function).filter(|_| !is_plain) else {
            return inner.start_boxed(spec).await;
        };
        if let Some(live) = inner.choose(&spec, kind) {
            let (version, revision) = (version_key(&spec.function), &spec.function.revision);
            match inner.clone_instance(live.clone(), &spec).await {
                Ok(instance) => {
                    inner.templates.succeeded(&version, revision, &live);
                    return Ok(instance);
                }
                Err(error) => {
                    inner.templates.failed(&version, revision, &live, error.to_string());
                    // One that has ended is made anew.
                    inner.choose(&spec, kind);
                }
            }
        }
        inner.start_boxed(spec).await
    }

    async fn prepare(&self, spec: Arc<InstanceSpec>) {
        let is_wanted = self.inner.config.templates_at_deploy && !self.inner.is_extended(&spec);
        if let Some(kind) = self.inner.kind(&spec.function).filter(|_| is_wanted) {
            self.inner.choose(&spec, kind);
        }
    }

    fn birth(&self, function: &FunctionVersion) -> Birth {
        let is_clone = self.inner.kind(function).is_some()
            && self.inner.templates.has_live(&version_key(function), &function.revision);
        if is_clone { Birth::Clone } else { Birth::Start }
    }

    fn is_preparing(&self, function: &FunctionVersion) -> bool {
        self.inner.templates.is_initialising(&version_key(function))
    }

    /// `None` before the first start, and where functions are not cloned.
    fn how(&self, function: &FunctionVersion) -> Option<String> {
        self.inner.templates.describe(&version_key(function))
    }
}

/// What differs between the environments of the template and of this instance, as a frame.
fn difference(template: &[(String, String)], instance: &[(String, String)]) -> Vec<u8> {
    let changed: serde_json::Map<_, _> = instance
        .iter()
        .filter(|variable| !template.contains(variable))
        .map(|(name, value)| (name.clone(), value.clone().into()))
        .collect();
    frames::of(b'N', serde_json::json!({ "environment": changed }).to_string().as_bytes())
}

/// Why a template cannot be, from the error object it sent; it has run the function's code, so it is kept short.
pub(crate) fn refusal(object: &[u8]) -> String {
    const CHARS_MAX: usize = 300;
    let parsed: serde_json::Value = serde_json::from_slice(object).unwrap_or_default();
    let message = parsed["errorMessage"].as_str().map_or_else(|| String::from_utf8_lossy(object), Into::into);
    message.chars().take(CHARS_MAX).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// As Lambda names it for SnapStart; what the runtime is told, and the function may look at.
fn set_initialisation(environment: &mut Vec<(String, String)>, kind: Kind) {
    if kind == Kind::Initialised {
        set(environment, "AWS_LAMBDA_INITIALIZATION_TYPE", "snap-start".to_owned());
    }
}

impl Inner {
    /// What templates the function's instances may be cloned of; `None` where they are started.
    fn kind(&self, function: &FunctionVersion) -> Option<Kind> {
        // What a wrapper does before the runtime begins cannot be known, nor what a clone would share of it.
        let is_wrapped = function.environment.contains_key(WRAPPER_VARIABLE);
        let is_cloneable = matches!(function.runtime, Runtime::Node { .. } | Runtime::Python { .. });
        if !is_cloneable || is_wrapped || !self.launcher.can_clone() {
            return None;
        }
        match function.environment.get(CLONE_VARIABLE).map(String::as_str) {
            Some("on") => return Some(Kind::Initialised),
            Some("runtime") => return Some(Kind::Booted),
            Some("off") => return None,
            _ => {}
        }
        match self.config.clones {
            Clones::Off => None,
            Clones::On => Some(Kind::Initialised),
            Clones::SnapStart if function.snap_start => Some(Kind::Initialised),
            Clones::SnapStart | Clones::Runtime => Some(Kind::Booted),
        }
    }

    /// Whether the function brings extensions, which keeps it from being cloned.
    fn is_extended(&self, spec: &InstanceSpec) -> bool {
        let is_extended = !attendant::find_in(opt_of(spec).as_deref()).is_empty();
        if is_extended {
            self.templates.never(&version_key(&spec.function), &spec.function.revision, EXTENDED);
        }
        is_extended
    }

    async fn start_boxed(self: &Arc<Self>, spec: Arc<InstanceSpec>) -> Result<Box<dyn Instance>, StartError> {
        Ok(Box::new(self.start_plainly(spec).await?))
    }

    /// The template to clone, if there is one; one that is missing is made beside.
    fn choose(self: &Arc<Self>, spec: &Arc<InstanceSpec>, kind: Kind) -> Option<Arc<Live>> {
        let version = version_key(&spec.function);
        let choice = self.templates.choose(&version, &spec.function.revision, kind);
        if let Some(kind) = choice.boot {
            let (inner, spec) = (self.clone(), spec.clone());
            tokio::spawn(async move { inner.boot_template(&version, spec, kind).await });
        }
        choice.live
    }

    pub(crate) async fn clone_instance(
        self: &Arc<Self>,
        live: Arc<Live>,
        spec: &Arc<InstanceSpec>,
    ) -> Result<Box<dyn Instance>, LaunchError> {
        let pending = Pending::new(live);
        let mut environment = spec.environment.clone();
        set_initialisation(&mut environment, pending.0.kind);
        let first = difference(&pending.0.environment, &environment);
        let made = match pending.0.stock.take() {
            Some(made) => made,
            None => match self.launcher.clone_of(pending.0.clone(), spec.function.memory_mb).await {
                Ok(made) => made,
                Err(error) => return Err(pending.0.stock.failure().await.unwrap_or(error)),
            },
        };
        let (is_quiet, beginning) = (pending.0.is_quiet, "telling the clone its environment");
        if !is_quiet {
            (&made.channel).write_all(&first).map_err(failed(beginning))?;
        }
        let mut io =
            Io::frames(made.channel, made.stdout, made.stderr).map_err(failed("opening the clone's channel"))?;
        if is_quiet {
            io.begin_with(first);
        }
        let template = Some(pending.0.clone());
        let tasks = self.serve(made.listeners, &pending.0.has_registered, spec).map_err(failed("serving the clone"))?;
        Ok(Box::new(LinuxInstance {
            io,
            process: made.process,
            tasks,
            template,
            attendant: None,
            state: Doing::Nothing,
            has_answered: false,
            inner: self.clone(),
            spec: spec.clone(),
        }))
    }

    /// From then on clones get networks of their own, if this instance listens.
    fn look_for_listeners(&self, function: &FunctionVersion, pid: i32) {
        let (version, revision) = (version_key(function), &function.revision);
        if !self.templates.listens(&version, revision) && is_listening(pid, &self.ports()) {
            drop(self.templates.seen_listening(&version, revision));
        }
    }

    async fn boot_template(self: &Arc<Self>, version: &str, spec: Arc<InstanceSpec>, kind: Kind) {
        let revision = spec.function.revision.clone();
        let mut next = Some(kind);
        while let Some(kind) = next {
            let limit = Duration::from_millis(TEMPLATE_BOOT_MS);
            let _turn = self.boots.acquire().await;
            let made = match self.proof(&spec.function).await {
                Ok(()) => tokio::time::timeout(limit, self.make_template(spec.clone(), kind)).await,
                Err(why) => Ok(Err(why)),
            };
            next = match made.unwrap_or_else(|_| Err("its initialisation takes too long".to_owned())) {
                Ok(live) => {
                    let live = Arc::new(live);
                    self.templates.ready(version, &revision, live.clone());
                    self.launcher.restock(&live, spec.function.memory_mb);
                    None
                }
                Err(reason) => self.templates.refuse(version, &revision, kind, reason),
            };
        }
    }

    pub(crate) async fn make_template(&self, spec: Arc<InstanceSpec>, kind: Kind) -> Result<Live, String> {
        let mut plan = self.plan(&spec).await.map_err(|error| error.to_string())?;
        set_initialisation(&mut plan.environment, kind);
        let (ours, theirs) = UnixStream::pair().map_err(|error| error.to_string())?;
        plan.channel = Some(theirs.into());
        plan.is_template = true;
        let listen = plan.listen.clone();
        let after = match kind {
            Kind::Initialised => "initialised",
            Kind::Booted => "booted",
        };
        set(&mut plan.environment, "CUMULET_TEMPLATE", after.to_owned());
        if matches!(spec.function.runtime, Runtime::Node { .. }) {
            let before = plan.environment.iter().find(|(name, _)| name == PRELOAD).map(|(_, value)| value.as_str());
            let libraries = before.map_or(CLONE_PATH.to_owned(), |before| format!("{CLONE_PATH}:{before}"));
            set(&mut plan.environment, PRELOAD, libraries);
        }
        let launched = self.launcher.launch(plan).await.map_err(|error| error.to_string())?;
        let mut io = Io::frames(ours, launched.stdout, launched.stderr).map_err(|error| error.to_string())?;
        // What initialisation prints belongs to the instances that are started plainly; here it is said once more.
        let mut log = InvocationLog::new();
        let has_registered = Arc::new(AtomicBool::new(false));
        let _tasks = self.serve(launched.listeners, &has_registered, &spec).map_err(|error| error.to_string())?;
        let ready = until_end(io.parked(&mut log), &launched.process, None).await;
        if has_registered.load(Ordering::SeqCst) {
            return Err(REGISTERS.to_owned());
        }
        let is_quiet = ready.map_err(|broken| match broken {
            Broken::Channel(ChannelError::Init(object)) => refusal(&object),
            Broken::Channel(other) => other.to_string(),
            Broken::Extension(_) => EXTENDED.to_owned(),
        })?;
        let control = io.into_socket().map_err(|error| error.to_string())?;
        let template = Template::new(launched.process, control, launched.steps).map_err(|error| error.to_string())?;
        let bytes = template.process.own_bytes()
            + self.config.clones_ahead as u64 * limits::CLONE_PAGES_AHEAD_MAX as u64 * sys::page_bytes();
        let mut environment = spec.environment.clone();
        set_initialisation(&mut environment, kind);
        let (pending, since) = (AtomicUsize::new(0), Instant::now());
        let (stock, own_networks) = (Stock::new(self.config.clones_ahead), AtomicBool::new(false));
        Ok(Live {
            template,
            kind,
            is_quiet,
            environment,
            _tasks,
            has_registered,
            bytes,
            stock,
            listen,
            own_networks,
            pending,
            since,
        })
    }

    /// Serves the listeners of a network that clones are in: somebody who wants to register as an extension, and the platform.
    fn serve(
        &self,
        listeners: Vec<TcpListener>,
        has_registered: &Arc<AtomicBool>,
        spec: &Arc<InstanceSpec>,
    ) -> std::io::Result<Vec<Task>> {
        let (mut listeners, mut tasks) = (listeners.into_iter(), Vec::new());
        if let Some(listener) = listeners.next() {
            tasks.push(watch_for_extensions(listener, &spec.function.name, has_registered.clone())?);
        }
        tasks.extend(self.serve_platform(listeners.collect(), spec)?);
        Ok(tasks)
    }

    fn serve_platform(&self, listeners: Vec<TcpListener>, spec: &Arc<InstanceSpec>) -> std::io::Result<Vec<Task>> {
        let Some(serve) = &self.config.platform else { return Ok(Vec::new()) };
        listeners.into_iter().map(|listener| serve_platform(listener, serve.clone(), spec.clone())).collect()
    }

    /// Ports in the network of an instance on which the host listens: for custom runtimes and extensions, then the platform.
    fn ports(&self) -> Vec<u16> {
        let mut ports = vec![RUNTIME_API_PORT];
        if self.config.platform.is_some() {
            ports.extend([PLATFORM_PORT, PLATFORM_TLS_PORT]);
            // Addresses that clients outside were told, such as a queue's, lead here as well.
            ports.extend(self.config.platform_port.filter(|port| *port != 0 && !ports.contains(port)));
        }
        ports
    }

    async fn start_plainly(self: &Arc<Self>, spec: Arc<InstanceSpec>) -> Result<LinuxInstance, StartError> {
        let failed =
            |doing: &'static str| move |error: std::io::Error| StartError::Platform(format!("{doing}: {error}"));
        let mut plan = self.plan(&spec).await?;
        let names = attendant::find_in(opt_of(&spec).as_deref());
        let is_of_many = !names.is_empty();
        let is_managed = spec.function.runtime.is_managed();
        let (ours, theirs) = match is_managed {
            true => UnixStream::pair().map(|(ours, theirs)| (Some(ours), Some(OwnedFd::from(theirs)))),
            false => Ok((None, None)),
        }
        .map_err(failed("making the runtime's channel"))?;
        let mut control = None;
        let mut runtime = None;
        let mut pipes = None;
        if is_of_many {
            let (host, first) = sys::packet_pair().map_err(failed("making the first process's channel"))?;
            let (stdout, stdout_child) = sys::pipe().map_err(failed("making a pipe"))?;
            let (stderr, stderr_child) = sys::pipe().map_err(failed("making a pipe"))?;
            let argv = std::mem::replace(&mut plan.argv, vec![root::INIT_PATH.to_owned()]);
            plan.init = Some(self.config.runtime_dir.join("init"));
            plan.channel = Some(first);
            control = Some(host);
            pipes = Some((stdout, stderr));
            runtime = Some(attendant::Runtime { argv, stdout: stdout_child, stderr: stderr_child, channel: theirs });
        } else {
            plan.channel = theirs;
        }
        let (program, directory) = (plan.argv[0].clone(), plan.directory.clone());
        let launched = self.launcher.launch(plan).await.map_err(|error| match error.unfit {
            // Interpreters are the platform's.
            Some(kind) if !is_managed && !is_of_many => unfit(kind, &program, &directory, &error.source),
            _ => StartError::Platform(error.to_string()),
        })?;
        let (stdout, stderr) = pipes.unwrap_or((launched.stdout, launched.stderr));
        let extensions = self.extensions(&spec, &names, launched.process.pidfd.clone());
        let mut attendant = match (control, runtime) {
            (Some(control), Some(runtime)) => Attendant::of_many(extensions.clone(), control, &names, runtime)
                .map_err(failed("starting the extensions"))?,
            _ => Attendant::of_one(extensions.clone()),
        };
        let mut listeners = launched.listeners.into_iter();
        let listener =
            listeners.next().ok_or_else(|| StartError::Platform("the Runtime API's listener is missing".to_owned()))?;
        let io = match ours {
            Some(ours) if spec.function.environment.contains_key(WRAPPER_VARIABLE) => {
                Io::either(ours, listener, stdout, stderr, &spec.function.name, extensions)
            }
            Some(ours) => {
                let task = serve_extensions(listener, extensions).map_err(failed("serving the extensions"))?;
                attendant.keep(task);
                Io::frames(ours, stdout, stderr)
            }
            None => Io::runtime_api_beside(listener, stdout, stderr, &spec.function.name, Some(extensions)),
        }
        .map_err(failed("opening the instance's channel"))?;
        let listeners = listeners.collect();
        let tasks = self.serve_platform(listeners, &spec).map_err(failed("serving the platform's endpoint"))?;
        Ok(LinuxInstance {
            io,
            process: launched.process,
            tasks,
            template: None,
            attendant: Some(attendant),
            state: Doing::Nothing,
            has_answered: false,
            inner: self.clone(),
            spec,
        })
    }

    /// Whoever registers as an extension, and where its telemetry goes.
    fn extensions(
        self: &Arc<Self>,
        spec: &Arc<InstanceSpec>,
        names: &[String],
        pidfd: Arc<OwnedFd>,
    ) -> Arc<Extensions> {
        let telemetry = Telemetry::new(Box::new(move |port| inside::connect(pidfd.as_fd(), port)));
        let (inner, function) = (Arc::downgrade(self), spec.function.clone());
        let on_internal = move || {
            if let Some(inner) = inner.upgrade() {
                inner.templates.never(&version_key(&function), &function.revision, REGISTERS);
            }
        };
        Arc::new(Extensions::new(spec.function.clone(), names, telemetry, Box::new(on_internal)))
    }
}

/// Loaded before Node.js, the library keeps its memory together, so that clones have less to copy. The runtime's host takes the
/// variable back.
const PRELOAD: &str = "LD_PRELOAD";
const CLONE_PATH: &str = "/var/runtime/clone.so";

/// Why functions with extensions are not cloned: an extension's process would not come along, and what has registered within
/// the runtime would be one registration for all clones.
const EXTENDED: &str = "it has extensions";
const REGISTERS: &str = "it registers an extension";

/// Serves what extensions call, where the runtime has a channel of its own.
fn serve_extensions(listener: TcpListener, extensions: Arc<Extensions>) -> std::io::Result<Task> {
    let function = extensions.function.name.clone();
    server::serve(listener, &function, move |request| {
        let extensions = extensions.clone();
        async move {
            let (parts, mut body) = request.into_parts();
            let answer = match api::parse(parts.uri.path()) {
                Some(path) => api::answer(&extensions, path, &parts, &mut body).await,
                None => api::not_here(),
            };
            runtime_api::skip(&mut body).await;
            answer
        }
    })
}

/// In a template, or a clone of it, nobody can register; that somebody wanted to is remembered.
fn watch_for_extensions(
    listener: TcpListener,
    function: &str,
    has_registered: Arc<AtomicBool>,
) -> std::io::Result<Task> {
    server::serve(listener, function, move |request| {
        let has_registered = has_registered.clone();
        async move {
            let (parts, mut body) = request.into_parts();
            let answer = if api::parse(parts.uri.path()) == Some(api::Path::Register) {
                has_registered.store(true, Ordering::SeqCst);
                api::refuse_in_template()
            } else {
                api::not_here()
            };
            runtime_api::skip(&mut body).await;
            answer
        }
    })
}

/// All listeners lead to the same place.
fn serve_platform(listener: TcpListener, serve: PlatformConnection, spec: Arc<InstanceSpec>) -> std::io::Result<Task> {
    listener.set_nonblocking(true)?;
    let listener = tokio::net::TcpListener::from_std(listener)?;
    Ok(Task::spawn(async move {
        loop {
            match listener.accept().await.and_then(|(stream, _)| stream.into_std()) {
                Ok(stream) => serve(stream, spec.clone()),
                Err(error) => {
                    // Out of descriptors, most likely; an instance may not make the host spin over it.
                    tracing::warn!("accepting an instance's connection: {error}");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn bootstrap_must_be_there_and_executable() {
        let code = tempfile::tempdir().unwrap();
        let find_bootstrap = |code: &Path| find_bootstrap(code, None);
        assert!(find_bootstrap(code.path()).is_err());
        let file = code.path().join("bootstrap");
        std::fs::write(&file, "").unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(find_bootstrap(code.path()).is_err());
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(find_bootstrap(code.path()), Ok("/var/task/bootstrap"));
        let empty = tempfile::tempdir().unwrap();
        assert_eq!(super::find_bootstrap(empty.path(), Some(code.path())), Ok("/opt/bootstrap"));
    }

    #[test]
    fn the_users_environment_stands_but_for_the_runtime_api() {
        let mut environment = vec![("A".to_owned(), "user".to_owned())];
        set_default(&mut environment, "A", "ours".to_owned());
        set_default(&mut environment, "B", "ours".to_owned());
        assert_eq!(environment[0].1, "user");
        set(&mut environment, "A", "ours".to_owned());
        assert_eq!(environment.len(), 2);
        assert!(environment.iter().all(|(_, value)| value == "ours"));
    }
}
