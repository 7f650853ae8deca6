//! The engine: takes an invocation along its path. Owns the pools; everything else it needs is a port.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use async_trait::async_trait;
use cumulet_base::clock::{self, Clock};
use cumulet_base::{id, limits};
use cumulet_blobs::Blobs;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::catalog::{Access, Catalog, Invoker, Sessions, Target};
use crate::code::CodeCache;
use crate::function::FunctionVersion;
use crate::invocation::{Invocation, InvokeError, Outcome};
use crate::outcome::{self, Finish, Report, Verdict};
use crate::output::InvocationLog;
use crate::placement;
use crate::pool::{Admitted, Bounds, Init, NotReady, Place, Pool, Ready};
use crate::record::{LogSink, MeterSink, Record};
use crate::sandbox::{Deadline, InstanceSpec, Sandbox, StartError, Usage};

/// What the engine works with.
pub struct Ports {
    pub sandbox: Arc<dyn Sandbox>,
    pub sessions: Arc<dyn Sessions>,
    pub logs: Arc<dyn LogSink>,
    pub meter: Arc<dyn MeterSink>,
    pub blobs: Arc<Blobs>,
    pub clock: Arc<dyn Clock>,
}

#[derive(Clone, Debug)]
pub struct Config {
    /// Where unpacked code is kept; a cache.
    pub code_folder: PathBuf,
    pub bounds: Bounds,
    pub init_timeout: Duration,
}

/// One function version's instances as `cumulet ls` shows them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolView {
    pub account: String,
    pub region: String,
    pub function: String,
    pub version: String,
    pub idle: usize,
    pub busy: usize,
    pub starting: usize,
    /// How its instances come to be, in words.
    pub how: Option<String>,
}

#[derive(Clone)]
pub struct Engine(Arc<Inner>);

struct Inner {
    ports: Ports,
    config: Config,
    code: CodeCache,
    catalog: OnceLock<Arc<dyn Catalog>>,
    pools: RwLock<HashMap<String, Arc<Pool>>>,
    total: Arc<AtomicUsize>,
    in_flight: watch::Sender<usize>,
    is_draining: AtomicBool,
}

impl Engine {
    pub fn new(ports: Ports, config: Config) -> Engine {
        Engine(Arc::new(Inner {
            code: CodeCache::new(config.code_folder.clone()),
            ports,
            config,
            catalog: OnceLock::new(),
            pools: RwLock::default(),
            total: Arc::default(),
            in_flight: watch::Sender::new(0),
            is_draining: AtomicBool::new(false),
        }))
    }

    /// The catalogue needs the engine and the engine the catalogue; this closes the circle, once.
    pub fn connect(&self, catalog: Arc<dyn Catalog>) {
        let connected = self.0.catalog.set(catalog);
        debug_assert!(connected.is_ok(), "the catalogue is connected once, at start");
    }

    pub fn pools(&self) -> Vec<PoolView> {
        let pools = self.0.pools.read().unwrap_or_else(PoisonError::into_inner);
        let view = |pool: &Arc<Pool>| {
            let (idle, busy, starting) = pool.counts();
            let f = &pool.function;
            PoolView {
                account: f.account.clone(),
                region: f.region.clone(),
                function: f.name.clone(),
                version: f.version.clone(),
                idle,
                busy,
                starting,
                how: self.0.ports.sandbox.how(f),
            }
        };
        pools.values().map(view).collect()
    }

    /// Whether new invocations are refused because the platform ends.
    pub fn is_draining(&self) -> bool {
        self.0.is_draining.load(Ordering::SeqCst)
    }

    /// Takes no new invocations, waits until those running are over (each ends at its own deadline at the latest),
    /// ends all instances, and returns when what they left behind is durable.
    pub async fn drain(&self) {
        let inner = &self.0;
        inner.is_draining.store(true, Ordering::SeqCst);
        let mut in_flight = inner.in_flight.subscribe();
        // The sender is in `self`: it cannot be gone.
        // The guard is let go at once: it holds the counter's lock.
        drop(in_flight.wait_for(|count| *count == 0).await);
        let pools: Vec<_> = inner.pools.write().unwrap_or_else(PoisonError::into_inner).drain().collect();
        let idle = pools.iter().flat_map(|(_, pool)| pool.retire());
        futures_join(idle.map(|ready| ready.instance.stop())).await;
        self.flush().await;
    }

    /// Returns when all that invocations have left behind so far is durable.
    pub async fn flush(&self) {
        self.0.ports.logs.flush().await;
        self.0.ports.meter.flush().await;
    }
}

async fn futures_join(stops: impl Iterator<Item = impl Future<Output = ()> + Send + 'static>) {
    let mut set = tokio::task::JoinSet::new();
    for stop in stops {
        set.spawn(stop);
    }
    set.join_all().await;
}

#[async_trait]
impl Invoker for Engine {
    async fn invoke(&self, target: &Target, access: &Access, invocation: Invocation) -> Result<Outcome, InvokeError> {
        if invocation.payload.len() > limits::INVOKE_PAYLOAD_BYTES_MAX {
            return Err(InvokeError::TooLarge {
                size: invocation.payload.len(),
                max: limits::INVOKE_PAYLOAD_BYTES_MAX,
            });
        }
        let flight = Flight::new(&self.0)?;
        let inner = self.0.clone();
        let catalog = inner
            .catalog
            .get()
            .cloned()
            .ok_or_else(|| InvokeError::Internal { message: "no catalogue is connected".into() })?;
        let (target, access) = (target.clone(), access.clone());
        // A task of its own: a caller that goes away does not end the invocation, and a panic ends nobody else's.
        let task = tokio::spawn(async move {
            let _flight = flight;
            loop {
                let function = catalog.resolve(&target, &access).await?;
                if let Some(result) = inner.run(function, &invocation).await {
                    return result;
                }
            }
        });
        match task.await {
            Ok(result) => result,
            Err(e) => {
                tracing::error!(error = %e, "an invocation's task failed");
                Err(InvokeError::Internal { message: "the invocation failed inside the platform".into() })
            }
        }
    }

    fn retire(&self, account: &str, region: &str, name: &str, keep: Option<&str>) {
        let retired: Vec<_> = {
            let mut pools = self.0.pools.write().unwrap_or_else(PoisonError::into_inner);
            let is_old = |pool: &Pool| {
                let f = &pool.function;
                f.account == account && f.region == region && f.name == name && keep != Some(f.revision.as_str())
            };
            pools.extract_if(|_, pool| is_old(pool)).map(|(_, pool)| pool).collect()
        };
        for ready in retired.iter().flat_map(|pool| pool.retire()) {
            tokio::spawn(ready.instance.stop());
        }
    }
}

/// Counts an invocation as under way, for draining.
struct Flight(Arc<Inner>);

impl Flight {
    fn new(inner: &Arc<Inner>) -> Result<Flight, InvokeError> {
        inner.in_flight.send_modify(|count| *count += 1);
        let flight = Flight(inner.clone());
        // Looked at after counting, so that draining either sees this one or this one sees the draining.
        if inner.is_draining.load(Ordering::SeqCst) { Err(InvokeError::Draining) } else { Ok(flight) }
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.0.in_flight.send_modify(|count| *count -= 1);
    }
}

impl Inner {
    fn pool(&self, function: &Arc<FunctionVersion>) -> Arc<Pool> {
        if let Some(pool) = self.pools.read().unwrap_or_else(PoisonError::into_inner).get(&function.revision) {
            return pool.clone();
        }
        let mut pools = self.pools.write().unwrap_or_else(PoisonError::into_inner);
        let new = || Arc::new(Pool::new(function.clone(), self.total.clone(), self.config.bounds));
        pools.entry(function.revision.clone()).or_insert_with(new).clone()
    }

    /// `None`: the function changed meanwhile, look it up again.
    async fn run(
        self: &Arc<Self>,
        function: Arc<FunctionVersion>,
        invocation: &Invocation,
    ) -> Option<Result<Outcome, InvokeError>> {
        let pool = self.pool(&function);
        let mut may_evict = true;
        loop {
            let placed = match pool.admit() {
                Admitted::Ready(ready) => Ok(*ready),
                Admitted::Throttled(reason) => {
                    // Somebody's idle instance makes room where the machine is full.
                    if !may_evict || !self.evict_idle().await {
                        return Some(Err(InvokeError::Throttled { reason }));
                    }
                    may_evict = false;
                    continue;
                }
                Admitted::Retired => {
                    // A pool retired and still in the map would be found again for ever.
                    let mut pools = self.pools.write().unwrap_or_else(PoisonError::into_inner);
                    if pools.get(&function.revision).is_some_and(|found| Arc::ptr_eq(found, &pool)) {
                        pools.remove(&function.revision);
                    }
                    return None;
                }
                Admitted::Wait { handover, start } => {
                    if start {
                        tokio::spawn(self.clone().start(pool.clone()));
                    }
                    let limit = Duration::from_millis(limits::PLACEMENT_WAIT_MS);
                    match tokio::time::timeout(limit, handover).await {
                        Ok(Ok(placed)) => placed,
                        Err(_) => return Some(Err(InvokeError::Throttled { reason: placement::MACHINE_FULL })),
                        Ok(Err(_)) => {
                            return Some(Err(InvokeError::Internal {
                                message: "the instance's start was given up".into(),
                            }));
                        }
                    }
                }
            };
            match placed {
                Ok(mut ready) => {
                    if ready.instance.is_alive() {
                        return Some(Ok(self.execute(&pool, ready, invocation).await));
                    }
                    // It ended while idle; the event was not handed over, so another instance may have it.
                    ready.instance.stop().await;
                    pool.lost();
                    self.start_for_waiters(&pool);
                }
                Err(reason) => return Some(self.not_ready(&function, reason, invocation).await),
            }
        }
    }

    /// Ends the instance that has been idle for longest, of whatever function, when the machine is full.
    async fn evict_idle(&self) -> bool {
        if self.total.load(Ordering::Relaxed) < self.config.bounds.instances_max {
            return false;
        }
        let oldest = {
            let pools = self.pools.read().unwrap_or_else(PoisonError::into_inner);
            let idle = pools.values().filter_map(|pool| Some((pool.idle_since()?, pool)));
            idle.min_by_key(|(since, _)| *since).map(|(_, pool)| pool.clone())
        };
        let Some(evicted) = oldest.and_then(|pool| pool.evict()) else { return false };
        let Ready { instance, place, .. } = evicted;
        instance.stop().await;
        drop(place);
        true
    }

    fn start_for_waiters(self: &Arc<Self>, pool: &Arc<Pool>) {
        while pool.claim_start() {
            tokio::spawn(self.clone().start(pool.clone()));
        }
    }

    async fn start(self: Arc<Self>, pool: Arc<Pool>) {
        let result = self.start_instance(&pool.function).await;
        if let Some(unused) = pool.started(result) {
            unused.instance.stop().await;
        }
        // One start has ended: another may begin for those who still wait.
        self.start_for_waiters(&pool);
    }

    async fn start_instance(&self, function: &Arc<FunctionVersion>) -> Result<Ready, NotReady> {
        let place = Place::take(&self.total);
        let blobs = self.ports.blobs.clone();
        let digest = function.code_digest.clone();
        let fetch = async move {
            let digest = digest.parse().map_err(|_| "the code's digest is not one".to_owned())?;
            blobs.get(&digest).await.map_err(|e| e.to_string())
        };
        let code_dir =
            self.code.folder(&function.code_digest, fetch).await.map_err(|e| NotReady::Code(e.to_string()))?;
        let credentials = self.ports.sessions.issue(&function.role_arn, &function.name).await;
        let credentials = credentials.map_err(|reason| NotReady::Start(StartError::Platform(reason)))?;
        let instance_id = id::uuid();
        let day = clock::day(self.ports.clock.now_ms()).replace('-', "/");
        let log_stream = format!("{day}/[{}]{}", function.version, id::hex(32));
        let environment = crate::environment::of(function, &log_stream, &credentials);
        let spec = Arc::new(InstanceSpec {
            instance_id: instance_id.clone(),
            function: function.clone(),
            code_dir,
            environment,
        });
        // Once within the limit for initialisation; if that is too short, again within the function's own timeout, as Lambda does.
        let mut limit = self.config.init_timeout;
        for attempt in 0..2 {
            let began = Instant::now();
            let mut instance = self.ports.sandbox.start(spec.clone()).await.map_err(NotReady::Start)?;
            let mut log = InvocationLog::new();
            log.push(self.ports.clock.now_ms(), &format!("INIT_START Runtime Version: {}", function.runtime));
            let result = tokio::time::timeout(limit, instance.init(&mut log)).await;
            let us = micros(began);
            if matches!(result, Ok(Ok(()))) {
                let init = Init { us, log: log.take().0 };
                return Ok(Ready::new(instance, instance_id, log_stream, init, place));
            }
            instance.drain(&mut log);
            let usage = instance.usage();
            instance.stop().await;
            match result {
                Err(_) if attempt == 0 => limit = Duration::from_millis(function.timeout_ms),
                result => {
                    let failure = result.ok().and_then(Result::err);
                    let init = Init { us, log: log.take().0 };
                    return Err(NotReady::Failed { failure, init, instance_id, log_stream, usage });
                }
            }
        }
        Err(NotReady::Start(StartError::Platform("the instance could not be initialised".into())))
    }

    async fn execute(self: &Arc<Self>, pool: &Arc<Pool>, mut ready: Ready, invocation: &Invocation) -> Outcome {
        let function = &pool.function;
        let timeout = Duration::from_millis(function.timeout_ms);
        let (began, started_ms) = (Instant::now(), self.ports.clock.now_ms());
        let deadline = Deadline { at: began + timeout, epoch_ms: started_ms + function.timeout_ms };
        let mut log = InvocationLog::new();
        let result = tokio::time::timeout_at(deadline.at, ready.instance.invoke(invocation, deadline, &mut log)).await;
        let duration_us = micros(began);
        let usage = ready.instance.usage();
        let init = ready.init.take();
        let before = std::mem::replace(&mut ready.usage_before, usage);
        let ending = Ending {
            function,
            invocation,
            instance_id: ready.instance_id.clone(),
            log_stream: ready.log_stream.clone(),
            started_ms,
            duration_us,
            init,
            usage,
            before,
        };
        let finish = match result {
            Ok(Ok(answer)) => {
                if let Some(unused) = pool.release(ready) {
                    tokio::spawn(unused.instance.stop());
                    self.start_for_waiters(pool);
                }
                Finish::Answered(answer)
            }
            broken => {
                ready.instance.drain(&mut log);
                ready.instance.stop().await;
                pool.lost();
                self.start_for_waiters(pool);
                match broken {
                    Ok(Err(failure)) => Finish::Failed(failure),
                    _ => Finish::TimedOut,
                }
            }
        };
        let verdict = outcome::verdict(finish, &invocation.request_id, function.timeout_ms, false);
        self.conclude(ending, verdict, log).await
    }

    async fn not_ready(
        &self,
        function: &Arc<FunctionVersion>,
        reason: NotReady,
        invocation: &Invocation,
    ) -> Result<Outcome, InvokeError> {
        match reason {
            NotReady::Start(StartError::RuntimeMissing(message)) => Err(InvokeError::InvalidRuntime { message }),
            NotReady::Start(StartError::Platform(message)) => {
                tracing::error!(function = %function.name, reason = %message, "an instance could not be started");
                Err(InvokeError::Internal { message: "the function's instance could not be started".into() })
            }
            NotReady::Code(message) => Err(InvokeError::InvalidCode { message }),
            NotReady::Failed { failure, init, instance_id, log_stream, usage } => {
                let now = self.ports.clock.now_ms();
                let finish = failure.map_or(Finish::TimedOut, Finish::Failed);
                let verdict = outcome::verdict(finish, &invocation.request_id, function.timeout_ms, true);
                let ending = Ending {
                    function,
                    invocation,
                    instance_id,
                    log_stream,
                    started_ms: now,
                    duration_us: 0,
                    init: Some(init),
                    usage,
                    before: Usage::default(),
                };
                Ok(self.conclude(ending, verdict, InvocationLog::new()).await)
            }
        }
    }

    /// Log, record and the caller's outcome.
    async fn conclude(&self, ending: Ending<'_>, verdict: Verdict, mut log: InvocationLog) -> Outcome {
        let Ending { function, invocation, instance_id, log_stream, started_ms, duration_us, init, usage, before } =
            ending;
        let init_us = init.as_ref().map(|init| init.us);
        let billed_ms = outcome::billed_ms(duration_us, init_us);
        let report = Report {
            started_ms,
            ended_ms: self.ports.clock.now_ms(),
            duration_us,
            billed_ms,
            init_us,
            memory_peak_bytes: usage.memory_peak_bytes,
        };
        let printed_before = init.map(|init| init.log).unwrap_or_default();
        let lines = outcome::log_lines(function, &invocation.request_id, printed_before, log.take(), &verdict, &report);
        let log_tail = outcome::tail(&lines);
        let record = Record {
            account: function.account.clone(),
            region: function.region.clone(),
            function: function.name.clone(),
            version: function.version.clone(),
            request_id: invocation.request_id.clone(),
            instance_id,
            started_ms,
            duration_us,
            billed_ms,
            init_us,
            memory_mb: function.memory_mb,
            memory_peak_bytes: usage.memory_peak_bytes,
            cpu_us: usage.cpu_us.saturating_sub(before.cpu_us),
            ending: verdict.ending,
        };
        self.ports.logs.append(&function.account, &function.region, &function.log_group, &log_stream, lines).await;
        self.ports.meter.record(record).await;
        Outcome {
            payload: verdict.payload,
            function_error: verdict.function_error,
            executed_version: function.version.clone(),
            log_tail,
            duration_us,
        }
    }
}

/// What is known when an invocation is over.
struct Ending<'a> {
    function: &'a Arc<FunctionVersion>,
    invocation: &'a Invocation,
    instance_id: String,
    log_stream: String,
    started_ms: u64,
    duration_us: u64,
    init: Option<Init>,
    usage: Usage,
    before: Usage,
}

fn micros(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_micros()).unwrap_or(u64::MAX)
}
