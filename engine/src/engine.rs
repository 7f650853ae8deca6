//! The engine: takes an invocation along its path. Owns the pools; everything else it needs is a port.

mod attend;
mod conclusion;
mod preparation;

use std::borrow::Cow;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock, Weak};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use cumulet_base::clock::{self, Clock};
use cumulet_base::{id, limits};
use cumulet_blobs::Blobs;
use tokio::runtime::Handle;
use tokio::sync::{oneshot, watch};
use tokio::time::Instant;

use crate::account::{Account, Admission};
use crate::catalog::{Access, Catalog, Invoker, Sessions, Target};
use crate::code::{BadZip, CodeCache};
use crate::events::{self, InitEnd};
use crate::function::FunctionVersion;
use crate::inspect::Inspections;
use crate::invocation::{Invocation, InvokeError, Outcome};
use crate::machine::{Place, Places};
use crate::outcome::{self, Finish};
use crate::output::InvocationLog;
use crate::policy::function::Settings;
use crate::policy::machine::{Answer, Bounds};
use crate::policy::reason;
use crate::pool::{Admitted, After, Born, Common, Init, NotReady, Pool, Ready, Started};
use crate::record::{LogSink, MeterSink};
use crate::sandbox::{Deadline, Failure, InstanceSpec, Sandbox, StartError, Usage};
use crate::stream::{self, Sink, Streaming};
use conclusion::Ending;

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
    /// Invocations of one account at a time, reservations included.
    pub account_concurrency: usize,
    /// No instance is idle for longer; most go sooner.
    pub idle_max: Duration,
    pub init_timeout: Duration,
    /// A streamed answer is no longer.
    pub stream_bytes_max: u64,
}

/// No pool has this key.
const NOBODY: u64 = 0;

impl Config {
    fn settings(&self, function: &FunctionVersion) -> Settings {
        let micros = |ms: u64| ms * 1000;
        Settings {
            // A reservation is of all versions of a function together, and kept before its pools.
            concurrency_max: function.instances_max.unwrap_or(usize::MAX).min(self.account_concurrency),
            is_reserved: function.instances_max.is_some(),
            provisioned: function.provisioned(),
            instances_max: function.instances_max.unwrap_or(usize::MAX),
            per_instance: function.per_instance(),
            queue_max: limits::PLACEMENT_QUEUE_MAX,
            queue_us_max: micros(limits::PLACEMENT_WAIT_MS),
            idle_us_max: self.idle_max.as_micros() as u64,
            age_us_max: micros(limits::INSTANCE_AGE_MS),
            burst_max: limits::FUNCTION_BURST_MAX,
            burst_us: micros(limits::FUNCTION_BURST_MS),
            processors: self.bounds.processors,
        }
    }
}

type Accounts = HashMap<(String, String), Arc<Account>>;

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
    /// Invocations that wait for an instance.
    pub waiting: usize,
    /// Instances of this revision so far.
    pub born: Born,
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
    inspections: Inspections,
    /// What was asked to be made ready, and the sandbox has not been told of yet.
    preparing: Mutex<Vec<Target>>,
    pools: RwLock<HashMap<String, Arc<Pool>>>,
    pool_serial: AtomicU64,
    accounts: Mutex<Accounts>,
    places: Arc<Places>,
    has_free: AtomicBool,
    is_dispatching: AtomicBool,
    /// Where the policies' time begins.
    epoch: Instant,
    in_flight: watch::Sender<usize>,
    is_draining: AtomicBool,
}

impl Engine {
    pub fn new(ports: Ports, config: Config) -> Engine {
        Engine(Arc::new_cyclic(|inner: &Weak<Inner>| {
            let inner = inner.clone();
            let on_free = move || {
                // Without a runtime the platform has ended, and nobody wants a place.
                if let (Some(inner), Ok(_)) = (inner.upgrade(), Handle::try_current()) {
                    inner.dispatch();
                }
            };
            Inner {
                code: CodeCache::new(config.code_folder.clone()),
                places: Arc::new(Places::new(config.bounds, Box::new(on_free))),
                ports,
                config,
                catalog: OnceLock::new(),
                inspections: Inspections::default(),
                preparing: Mutex::default(),
                pools: RwLock::default(),
                pool_serial: AtomicU64::new(NOBODY + 1),
                accounts: Mutex::default(),
                has_free: AtomicBool::new(false),
                is_dispatching: AtomicBool::new(false),
                epoch: Instant::now(),
                in_flight: watch::Sender::new(0),
                is_draining: AtomicBool::new(false),
            }
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
                waiting: pool.waiting(),
                born: pool.born(),
                how: self.0.ports.sandbox.how(f),
            }
        };
        pools.values().map(view).collect()
    }

    /// Lets the function's instances wait for debuggers, which are listened for at `address`; where that is. A function that is
    /// looked at already has its address changed.
    ///
    /// # Errors
    /// When the address cannot be listened on.
    pub async fn inspect(&self, target: &Target, address: SocketAddr) -> std::io::Result<SocketAddr> {
        let Target { account, region, name, .. } = target.clone();
        let is_same = |known: SocketAddr| known == address || (address.port() == 0 && known.ip() == address.ip());
        let key = (account, region, name);
        if let Some(known) = self.0.inspections.address(&key).filter(|known| is_same(*known)) {
            return Ok(known);
        }
        self.0.inspections.end(&key);
        let address = self.0.inspections.begin(key, address).await?;
        self.retire(&target.account, &target.region, &target.name, None, None);
        Ok(address)
    }

    /// No more.
    pub fn end_inspection(&self, target: &Target) {
        let Target { account, region, name, .. } = target.clone();
        if self.0.inspections.end(&(account, region, name)) {
            self.retire(&target.account, &target.region, &target.name, None, None);
        }
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
        let idle = pools.iter().flat_map(|(_, pool)| pool.retire().into_iter().map(move |ready| (pool, ready)));
        futures_join(idle.map(|(pool, ready)| inner.clone().end(pool.function.clone(), ready))).await;
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
                if let Some(result) = inner.run(function.clone(), &invocation).await {
                    if matches!(result, Err(InvokeError::Throttled { .. })) {
                        inner.ports.meter.throttled(&function);
                    }
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

    async fn invoke_streaming(
        &self,
        target: &Target,
        access: &Access,
        mut invocation: Invocation,
    ) -> Result<Streaming, InvokeError> {
        let (sink, mut source) = stream::pair(self.0.config.stream_bytes_max);
        invocation.sink = Some(sink);
        let (engine, target, access) = (self.clone(), target.clone(), access.clone());
        let (sender, mut end) = oneshot::channel();
        tokio::spawn(async move {
            // Whoever waited may have gone; the invocation is over all the same.
            drop(sender.send(engine.invoke(&target, &access, invocation).await));
        });
        let Some(content_type) = source.begun().await else {
            let lost = |_| InvokeError::Internal { message: "the invocation was lost".into() };
            return (&mut end).await.map_err(lost)?.map(stream::whole);
        };
        let executed_version = source.version().cloned().unwrap_or_default();
        Ok(Streaming { content_type, executed_version, source, end })
    }

    fn retire(&self, account: &str, region: &str, name: &str, version: Option<&str>, keep: Option<&str>) {
        let retired: Vec<_> = {
            let mut pools = self.0.pools.write().unwrap_or_else(PoisonError::into_inner);
            let is_old = |pool: &Pool| {
                let f = &pool.function;
                f.account == account
                    && f.region == region
                    && f.name == name
                    && keep != Some(f.revision.as_str())
                    && version.is_none_or(|version| f.version == version)
            };
            pools.extract_if(|_, pool| is_old(pool)).map(|(_, pool)| pool).collect()
        };
        for pool in &retired {
            self.0.places.forget(pool.key);
            for ready in pool.retire() {
                self.0.end_later(pool, ready);
            }
        }
        self.reserve(account, region);
    }

    fn reserve(&self, account: &str, region: &str) {
        let (inner, account, region) = (self.0.clone(), account.to_owned(), region.to_owned());
        tokio::spawn(async move {
            let unreserved = inner.unreserved(&account, &region).await;
            inner.account(&account, &region).await.set_unreserved(unreserved);
        });
    }

    fn prepare(&self, target: &Target) {
        self.0.prepare(target.clone());
    }

    async fn is_preparing(&self, target: &Target) -> bool {
        self.0.is_preparing(target).await
    }

    fn instances(&self, revision: &str) -> usize {
        let pools = self.0.pools.read().unwrap_or_else(PoisonError::into_inner);
        pools.get(revision).map_or(0, |pool| {
            let (idle, busy, _) = pool.counts();
            idle + busy
        })
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
    /// The instances of a version, and of one tenant where those are kept apart.
    async fn pool(&self, function: &Arc<FunctionVersion>, tenant: Option<&str>) -> Arc<Pool> {
        let name = pool_name(function, tenant);
        if let Some(pool) = self.pools.read().unwrap_or_else(PoisonError::into_inner).get(&*name) {
            return pool.clone();
        }
        let account = self.account(&function.account, &function.region).await;
        let mut pools = self.pools.write().unwrap_or_else(PoisonError::into_inner);
        let new = || {
            let key = self.pool_serial.fetch_add(1, Ordering::Relaxed);
            let mut settings = self.config.settings(function);
            if tenant.is_some() {
                settings.provisioned = 0;
            }
            if self.inspections.is_on(function) {
                // One at a time, and whoever comes meanwhile waits for as long as somebody looks at it.
                settings.per_instance = 1;
                settings.provisioned = 0;
                settings.instances_max = 1;
                settings.queue_us_max = limits::INSPECTED_MS * 1000;
            }
            Arc::new(Pool::new(key, function.clone(), account, settings, self.epoch))
        };
        pools.entry(name.into_owned()).or_insert_with(new).clone()
    }

    async fn account(&self, account: &str, region: &str) -> Arc<Account> {
        let name = (account.to_owned(), region.to_owned());
        let known = |accounts: &Accounts| accounts.get(&name).cloned();
        if let Some(account) = known(&self.accounts.lock().unwrap_or_else(PoisonError::into_inner)) {
            return account;
        }
        let unreserved = self.unreserved(account, region).await;
        let mut accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        let account = accounts.entry(name).or_default();
        account.set_unreserved(unreserved);
        account.clone()
    }

    async fn unreserved(&self, account: &str, region: &str) -> usize {
        let Some(catalog) = self.catalog.get() else { return self.config.account_concurrency };
        self.config.account_concurrency.saturating_sub(catalog.reserved(account, region).await)
    }

    /// `None`: the function changed meanwhile, look it up again.
    async fn run(
        self: &Arc<Self>,
        function: Arc<FunctionVersion>,
        invocation: &Invocation,
    ) -> Option<Result<Outcome, InvokeError>> {
        let tenant = match tenant_of(&function, invocation) {
            Ok(tenant) => tenant,
            Err(refused) => return Some(Err(refused)),
        };
        if let Some(sink) = &invocation.sink {
            sink.runs(&function.version);
        }
        let pool = self.pool(&function, tenant).await;
        let (admission, reason) = match function.concurrency_max {
            Some(max) => (pool.account.enter_reserved(&function.name, max), reason::RESERVED),
            None => (pool.account.enter(), reason::CONCURRENCY),
        };
        let Some(admission) = admission else { return Some(Err(InvokeError::Throttled { reason })) };
        loop {
            let placed = match pool.admit() {
                Admitted::Ready(ready) => Ok(*ready),
                Admitted::Throttled(reason) => return Some(Err(InvokeError::Throttled { reason })),
                Admitted::Retired => {
                    // A pool retired and still in the map would be found again for ever.
                    let mut pools = self.pools.write().unwrap_or_else(PoisonError::into_inner);
                    let name = pool_name(&function, tenant);
                    if pools.get(&*name).is_some_and(|found| Arc::ptr_eq(found, &pool)) {
                        pools.remove(&*name);
                    }
                    return None;
                }
                Admitted::Wait(handover) => {
                    self.look_after(&pool);
                    match handover.await {
                        Ok(placed) => placed,
                        Err(_) => {
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
                        let outcome = self.execute(&pool, ready, invocation, admission).await;
                        return Some(Ok(outcome));
                    }
                    // It ended while idle; the event was not handed over, so another instance may have it.
                    self.lost(&pool, ready).await;
                }
                Err(reason) => return Some(self.not_ready(&function, reason, invocation).await),
            }
        }
    }

    /// Starts what the pool wants, and sees to it that somebody looks at the clock.
    fn look_after(self: &Arc<Self>, pool: &Arc<Pool>) {
        self.start_wanted(pool);
        self.look_later(pool, pool.look_at());
    }

    fn start_wanted(self: &Arc<Self>, pool: &Arc<Pool>) {
        let (wanted, share) = pool.wants(self.ports.sandbox.birth(&pool.function));
        for _ in 0..wanted {
            match self.places.ask(pool, share, pool.now()) {
                Ok(place) => self.use_place(pool, place),
                Err(Answer::NoRoom) => self.make_room(pool.key),
                Err(_) => {}
            }
        }
    }

    fn use_place(self: &Arc<Self>, pool: &Arc<Pool>, place: Place) {
        if pool.granted() {
            tokio::spawn(self.clone().start(pool.clone(), place));
        }
    }

    /// Gives places that have become free to those who want them.
    fn dispatch(self: &Arc<Self>) {
        self.has_free.store(true, Ordering::SeqCst);
        // Whoever is at it already sees the flag; places given back below come here, too, and must not go in circles.
        while self.has_free.load(Ordering::SeqCst) && !self.is_dispatching.swap(true, Ordering::SeqCst) {
            self.has_free.store(false, Ordering::SeqCst);
            while let Some((pool, place)) = self.places.grant() {
                self.use_place(&pool, place);
            }
            self.is_dispatching.store(false, Ordering::SeqCst);
        }
    }

    fn look_later(self: &Arc<Self>, pool: &Arc<Pool>, at: Option<Instant>) {
        let Some(mut at) = at else { return };
        let (inner, pool) = (Arc::downgrade(self), pool.clone());
        tokio::spawn(async move {
            loop {
                tokio::time::sleep_until(at).await;
                let Some(inner) = inner.upgrade() else { return };
                for ready in pool.tick() {
                    tracing::debug!(function = %pool.function.name, instance = %ready.instance_id, "idle instance ends");
                    inner.end_later(&pool, ready);
                }
                inner.start_wanted(&pool);
                match pool.look_at() {
                    Some(next) => at = next,
                    None => return,
                }
            }
        });
    }

    /// Ends somebody's idle instance, for those who want room.
    fn make_room(self: &Arc<Self>, asker: u64) {
        let pools: Vec<Arc<Pool>> =
            self.pools.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect();
        let idle = pools.iter().filter_map(|pool| Some((pool.key, pool.idle_since()?)));
        let victim = self.places.victim(asker, idle);
        let found = pools.iter().find(|pool| Some(pool.key) == victim);
        for (pool, ready) in found.into_iter().flat_map(|pool| pool.evict().into_iter().map(move |ready| (pool, ready)))
        {
            self.end_later(pool, ready);
        }
    }

    /// Ends what is left of an instance that has died.
    async fn lost(self: &Arc<Self>, pool: &Arc<Pool>, ready: Ready) {
        let id = ready.id;
        // Free seats first: with the last of them the process is waited for.
        for free in pool.lost(id) {
            self.clone().end(pool.function.clone(), free).await;
        }
        if ready.instance.is_attended() {
            // Its extensions may take their time.
            self.end_later(pool, ready);
        } else {
            self.clone().end(pool.function.clone(), ready).await;
        }
        self.look_after(pool);
    }

    async fn start(self: Arc<Self>, pool: Arc<Pool>, place: Place) {
        let birth = place.birth();
        let result = self.start_instance(&pool.function, place).await;
        let birth = result.as_ref().map_or(birth, |seats| seats.first().map_or(birth, |ready| ready.instance.birth()));
        self.settle(&pool, pool.started(result, birth));
        // One start has ended: another may begin for those who still wait.
        self.look_after(&pool);
    }

    fn settle(self: &Arc<Self>, pool: &Arc<Pool>, after: After) {
        if !after.unused.is_empty() {
            for unused in after.unused {
                self.end_later(pool, unused);
            }
            self.look_after(pool);
        } else if self.places.is_crowded() {
            self.make_room(NOBODY);
        }
        self.look_later(pool, after.look_at);
    }

    /// What an instance is started from, and its log stream.
    async fn spec(&self, function: &Arc<FunctionVersion>) -> Result<(InstanceSpec, String), NotReady> {
        let bad = |e: BadZip| NotReady::Code(e.to_string());
        let code_dir = match &function.image {
            Some(image) => self.code.image(&image.layers, |digest| self.fetch(digest.to_owned())).await,
            None => self.code.folder(&function.code_digest, self.fetch(function.code_digest.clone())).await,
        }
        .map_err(bad)?;
        let layers_dir =
            self.code.layers(&function.layers, |digest| self.fetch(digest.to_owned())).await.map_err(bad)?;
        let credentials = self.ports.sessions.issue(&function.role_arn, &function.name).await;
        let credentials = credentials.map_err(|reason| NotReady::Start(StartError::Platform(reason)))?;
        let instance_id = id::uuid();
        let day = clock::day(self.ports.clock.now_ms()).replace('-', "/");
        let log_stream = format!("{day}/[{}]{}", function.version, id::hex(32));
        let is_inspected = self.inspections.is_on(function);
        let mut environment = crate::environment::of(function, &log_stream, &credentials);
        if is_inspected {
            environment.retain(|(name, _)| name != crate::environment::MAX_CONCURRENCY);
        }
        let function = function.clone();
        Ok((InstanceSpec { instance_id, function, code_dir, layers_dir, is_inspected, environment }, log_stream))
    }

    /// A zip from the blob store.
    async fn fetch(&self, digest: String) -> Result<Bytes, String> {
        let digest = digest.parse().map_err(|_| "the code's digest is not one".to_owned())?;
        self.ports.blobs.get(&digest).await.map_err(|e| e.to_string())
    }

    async fn start_instance(&self, function: &Arc<FunctionVersion>, mut place: Place) -> Started {
        let (spec, log_stream) = self.spec(function).await?;
        let (spec, instance_id) = (Arc::new(spec.clone()), spec.instance_id);
        // Once within the limit for initialisation; if that is too short, again within the function's own timeout, as Lambda does.
        let mut limit =
            if spec.is_inspected { Duration::from_millis(limits::INSPECTED_MS) } else { self.config.init_timeout };
        let mut said = Vec::new();
        for attempt in 0..2 {
            let began = Instant::now();
            let mut instance = match self.ports.sandbox.start(spec.clone()).await {
                Ok(instance) => instance,
                Err(StartError::Unfit { kind, message }) => {
                    let failure = Some(Failure::Unfit { kind, message });
                    let us = micros(began);
                    said.extend(outcome::init_report(function, self.ports.clock.now_ms(), us, failure.as_ref()));
                    let init = Init { us, log: said };
                    return Err(NotReady::Failed { failure, init, instance_id, log_stream, usage: Usage::default() });
                }
                Err(error) => return Err(NotReady::Start(error)),
            };
            if let Some(debugger) = instance.debugger() {
                self.inspections.lead_to(function, debugger);
            }
            let mut log = InvocationLog::new();
            if let Some(line) = outcome::init_line(function, self.ports.clock.now_ms()) {
                log.push(line.timestamp_ms, &line.message);
            }
            let result = tokio::time::timeout(limit, instance.init(&mut log)).await;
            let us = micros(began);
            if matches!(result, Ok(Ok(()))) {
                said.extend(log.take().0);
                let init = Some(Init { us, log: said });
                place.born();
                let ready = Ready { id: 0, instance, instance_id, log_stream, init, common: Common::new(place) };
                // A debugger looks at one event at a time.
                let seats = if spec.is_inspected { 1 } else { function.per_instance() };
                return ready.seats(seats).await;
            }
            instance.drain(&mut log);
            let usage = instance.usage();
            if result.is_err() && instance.is_told() {
                for (what, record) in events::init_records(function, us, &InitEnd::TimedOut) {
                    instance.tell(self.ports.clock.now_ms(), what, record);
                }
            }
            if instance.is_attended() {
                instance.shut_down(&mut log).await;
            }
            instance.stop().await;
            let is_late = result.is_err();
            let failure = result.ok().and_then(Result::err);
            said.extend(log.take().0);
            said.extend(outcome::init_report(function, self.ports.clock.now_ms(), us, failure.as_ref()));
            match is_late {
                true if attempt == 0 => limit = Duration::from_millis(function.timeout_ms),
                _ => {
                    let init = Init { us, log: said };
                    return Err(NotReady::Failed { failure, init, instance_id, log_stream, usage });
                }
            }
        }
        Err(NotReady::Start(StartError::Platform("the instance could not be initialised".into())))
    }

    async fn execute(
        self: &Arc<Self>,
        pool: &Arc<Pool>,
        mut ready: Ready,
        invocation: &Invocation,
        admission: Admission,
    ) -> Outcome {
        let function = &pool.function;
        let is_inspected = ready.instance.debugger().is_some();
        let timeout_ms = if is_inspected { limits::INSPECTED_MS } else { function.timeout_ms };
        let timeout = Duration::from_millis(timeout_ms);
        let (began, started_ms) = (Instant::now(), self.ports.clock.now_ms());
        let deadline = Deadline { at: began + timeout, epoch_ms: started_ms + timeout_ms };
        let mut log = InvocationLog::new();
        if ready.instance.is_told() {
            let record = events::start_record(function, &invocation.request_id);
            let record = events::traced(record, &invocation.trace);
            ready.instance.tell(started_ms, "platform.start", record);
        }
        let result = tokio::time::timeout_at(deadline.at, ready.instance.invoke(invocation, deadline, &mut log)).await;
        // What comes after the deadline is the platform's own, and nobody pays for it.
        let duration_us = micros(began).min(timeout_ms * 1000);
        let response_us = invocation.sink.as_ref().and_then(Sink::begun).map_or(0, micros).min(duration_us);
        let usage = ready.instance.usage();
        let init = ready.init.take();
        let spent = ready.common.spent(usage, duration_us);
        let ending = Ending {
            function,
            invocation,
            instance_id: ready.instance_id.clone(),
            log_stream: ready.log_stream.clone(),
            started_ms,
            duration_us,
            response_us,
            extensions_us: None,
            init,
            usage,
            spent,
        };
        let (finish, is_usable) = match result {
            Ok(Ok(answer)) => (Finish::Answered(answer), true),
            Ok(Err(failure)) => (Finish::Failed(failure), false),
            Err(_) => (Finish::TimedOut, false),
        };
        let verdict = outcome::verdict(finish, &invocation.request_id, function.timeout_ms, false);
        self.tell_done(&mut ready, &ending, &verdict);
        if is_usable && ready.instance.is_attended() {
            return self.attend(pool, ready, ending, verdict, log, (began, deadline), admission);
        }
        if is_usable {
            self.give_back(pool, ready, &ending);
        } else {
            ready.instance.drain(&mut log);
            self.tell_report(&mut ready, &ending, &verdict);
            // Where others are served too, they are not to suffer for one.
            if function.per_instance() > 1 && ready.instance.is_alive() {
                self.settle(pool, pool.forsake(ready));
            } else {
                self.lost(pool, ready).await;
            }
        }
        drop(admission);
        self.conclude(ending, verdict, log).await
    }
}

/// What a pool is found by.
fn pool_name<'a>(function: &'a FunctionVersion, tenant: Option<&str>) -> Cow<'a, str> {
    match tenant {
        None => Cow::Borrowed(&function.revision),
        Some(tenant) => Cow::Owned(format!("{}/{tenant}", function.revision)),
    }
}

fn tenant_of<'a>(function: &FunctionVersion, invocation: &'a Invocation) -> Result<Option<&'a str>, InvokeError> {
    let tenant = invocation.tenant.as_deref();
    if function.is_tenant_isolated == tenant.is_some() {
        Ok(tenant)
    } else {
        Err(InvokeError::of_tenant(function.is_tenant_isolated))
    }
}

fn micros(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_micros()).unwrap_or(u64::MAX)
}
