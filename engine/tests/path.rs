//! The path of an invocation over a sandbox that only pretends: reuse, scaling out, throttling, crashes, draining.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use cumulet_base::clock::SystemClock;
use cumulet_blobs::Blobs;
use cumulet_engine::catalog::{Access, Catalog, Invoker, SessionCredentials, Sessions, Target};
use cumulet_engine::function::{FunctionVersion, Runtime};
use cumulet_engine::invocation::{Invocation, InvokeError};
use cumulet_engine::output::{InvocationLog, LogEvent};
use cumulet_engine::record::{Ending, LogSink, MeterSink, Record};
use cumulet_engine::sandbox::{Answer, Deadline, Failure, Instance, InstanceSpec, Sandbox, StartError, Usage};
use cumulet_engine::{Bounds, Config, Engine, Ports};
use tokio::sync::Semaphore;

/// Counts what is started and stopped; its instances do as the payload says.
#[derive(Default)]
struct Pretend {
    started: AtomicUsize,
    stopped: Arc<AtomicUsize>,
    gate: Arc<Gate>,
}

/// Lets waiting handlers go on, one for each permit.
struct Gate(Semaphore);

impl Default for Gate {
    fn default() -> Gate {
        Gate(Semaphore::new(0))
    }
}

struct Actor {
    stopped: Arc<AtomicUsize>,
    gate: Arc<Gate>,
    is_alive: Arc<AtomicBool>,
    /// Counts the seats, where there are several.
    seats: Arc<()>,
}

#[async_trait]
impl Sandbox for Pretend {
    async fn start(&self, _spec: Arc<InstanceSpec>) -> Result<Box<dyn Instance>, StartError> {
        self.started.fetch_add(1, Ordering::SeqCst);
        Ok(Box::new(Actor {
            stopped: self.stopped.clone(),
            gate: self.gate.clone(),
            is_alive: Arc::new(AtomicBool::new(true)),
            seats: Arc::default(),
        }))
    }
}

#[async_trait]
impl Instance for Actor {
    async fn init(&mut self, log: &mut InvocationLog) -> Result<(), Failure> {
        log.push(0, "loading");
        Ok(())
    }

    async fn invoke(&mut self, event: &Invocation, _: Deadline, log: &mut InvocationLog) -> Result<Answer, Failure> {
        log.push(0, "running");
        match &event.payload[..] {
            b"crash" => {
                self.is_alive.store(false, Ordering::SeqCst);
                Err(Failure::Exited { code: Some(7), signal: None })
            }
            b"die later" => {
                self.is_alive.store(false, Ordering::SeqCst);
                Ok(Answer::Success("1".into()))
            }
            b"hang" => std::future::pending().await,
            b"wait" => {
                self.gate.0.acquire().await.expect("the gate stays").forget();
                Ok(Answer::Success("waited".into()))
            }
            other => Ok(Answer::Success(other.to_vec().into())),
        }
    }

    async fn seats(self: Box<Self>, count: usize) -> Result<Vec<Box<dyn Instance>>, StartError> {
        let seat = |_| {
            let Actor { stopped, gate, is_alive, seats } = &*self;
            let (stopped, gate, is_alive, seats) = (stopped.clone(), gate.clone(), is_alive.clone(), seats.clone());
            Box::new(Actor { stopped, gate, is_alive, seats }) as Box<dyn Instance>
        };
        Ok((0..count).map(seat).collect())
    }

    fn is_alive(&mut self) -> bool {
        self.is_alive.load(Ordering::SeqCst)
    }

    fn drain(&mut self, _: &mut InvocationLog) {}

    fn usage(&mut self) -> Usage {
        Usage { cpu_us: 5, memory_peak_bytes: 1 << 20 }
    }

    async fn stop(self: Box<Self>) {
        if Arc::into_inner(self.seats).is_some() {
            self.stopped.fetch_add(1, Ordering::SeqCst);
        }
    }
}

#[derive(Default)]
struct Sink {
    records: Mutex<Vec<Record>>,
    lines: Mutex<Vec<String>>,
}

#[async_trait]
impl LogSink for Sink {
    async fn append(&self, _: &str, _: &str, _: &str, _: &str, events: Vec<LogEvent>) {
        self.lines.lock().expect("not poisoned").extend(events.into_iter().map(|e| e.message));
    }

    async fn flush(&self) {}
}

#[async_trait]
impl MeterSink for Sink {
    async fn record(&self, record: Record) {
        self.records.lock().expect("not poisoned").push(record);
    }

    async fn flush(&self) {}
}

struct Keys;

#[async_trait]
impl Sessions for Keys {
    async fn issue(&self, _: &str, _: &str) -> Result<SessionCredentials, String> {
        Ok(SessionCredentials { access_key_id: "a".into(), secret_access_key: "s".into(), session_token: "t".into() })
    }
}

struct One(Mutex<Arc<FunctionVersion>>);

#[async_trait]
impl Catalog for One {
    async fn resolve(&self, _: &Target, _: &Access) -> Result<Arc<FunctionVersion>, InvokeError> {
        Ok(self.0.lock().expect("not poisoned").clone())
    }
}

struct World {
    engine: Engine,
    sandbox: Arc<Pretend>,
    sink: Arc<Sink>,
    catalog: Arc<One>,
    _folder: tempfile::TempDir,
}

fn function(revision: &str, digest: &str, timeout_ms: u64, concurrency_max: Option<usize>) -> Arc<FunctionVersion> {
    Arc::new(FunctionVersion {
        account: "0".into(),
        region: "r".into(),
        name: "f".into(),
        version: "$LATEST".into(),
        revision: revision.into(),
        runtime: Runtime::Node { major: 20 },
        handler: "index.handler".into(),
        memory_mb: 128,
        timeout_ms,
        ephemeral_mb: 512,
        environment: BTreeMap::new(),
        code_digest: digest.into(),
        role_arn: "arn".into(),
        log_group: "/aws/lambda/f".into(),
        concurrency_max,
        snap_start: false,
        ..FunctionVersion::default()
    })
}

async fn world(timeout_ms: u64, concurrency_max: Option<usize>) -> World {
    let folder = tempfile::tempdir().expect("a folder");
    let blobs = Arc::new(Blobs::local(&folder.path().join("blobs")).expect("blobs"));
    // An archive with one empty file, as `zip` writes it.
    let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    writer.start_file("index.js", zip::write::SimpleFileOptions::default()).expect("a file");
    let digest = blobs.put(writer.finish().expect("a zip").into_inner().into()).await.expect("stored").to_string();
    let (sandbox, sink) = (Arc::new(Pretend::default()), Arc::new(Sink::default()));
    let ports = Ports {
        sandbox: sandbox.clone(),
        sessions: Arc::new(Keys),
        logs: sink.clone(),
        meter: sink.clone(),
        blobs,
        clock: Arc::new(SystemClock),
    };
    let bounds = Bounds { instances_max: 8, memory_bytes_max: 1 << 40, starting_max: 8, cloning_max: 8, processors: 8 };
    let config = Config {
        code_folder: folder.path().join("code"),
        bounds,
        account_concurrency: 20,
        idle_max: Duration::from_secs(60),
        init_timeout: Duration::from_secs(10),
        stream_bytes_max: 1 << 20,
    };
    let engine = Engine::new(ports, config);
    let catalog = Arc::new(One(Mutex::new(function("1", &digest, timeout_ms, concurrency_max))));
    engine.connect(catalog.clone());
    World { engine, sandbox, sink, catalog, _folder: folder }
}

impl World {
    async fn invoke(&self, payload: &'static str) -> Result<cumulet_engine::invocation::Outcome, InvokeError> {
        invoke(self.engine.clone(), payload).await
    }

    fn counts(&self) -> (usize, usize) {
        (self.sandbox.started.load(Ordering::SeqCst), self.sandbox.stopped.load(Ordering::SeqCst))
    }
}

async fn invoke(engine: Engine, payload: &'static str) -> Result<cumulet_engine::invocation::Outcome, InvokeError> {
    let target = Target { account: "0".into(), region: "r".into(), name: "f".into(), qualifier: None };
    let invocation = Invocation {
        request_id: "id".into(),
        payload: payload.into(),
        invoked_arn: target.arn(),
        trace: String::new(),
        client_context: None,
        ..Invocation::default()
    };
    engine.invoke(&target, &Access::Authorised, invocation).await
}

/// Lets other tasks run until the condition holds; virtual time makes the deadline cheap.
async fn until(what: &str, holds: impl Fn() -> bool) {
    for _ in 0..100_000 {
        if holds() {
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("never came true: {what}");
}

#[tokio::test]
async fn a_warm_instance_is_used_again() {
    let world = world(1000, None).await;
    for _ in 0..3 {
        assert_eq!(world.invoke("x").await.expect("an outcome").payload.as_ref(), b"x");
    }
    assert_eq!(world.counts(), (1, 0));
    let records = world.sink.records.lock().expect("not poisoned").clone();
    assert_eq!(records.len(), 3);
    assert!(records[0].init_us.is_some() && records[1].init_us.is_none());
    let lines = world.sink.lines.lock().expect("not poisoned").join("\n");
    assert!(
        lines.contains("loading\nSTART RequestId: id Version: $LATEST\nrunning\nEND RequestId: id\nREPORT"),
        "{lines}"
    );
}

#[tokio::test]
async fn demand_makes_more_instances() {
    let world = world(60_000, None).await;
    let tasks: Vec<_> = (0..5).map(|_| tokio::spawn(invoke(world.engine.clone(), "wait"))).collect();
    until("five instances are busy", || world.engine.pools().iter().any(|p| p.busy == 5)).await;
    world.sandbox.gate.0.add_permits(5);
    for task in tasks {
        assert_eq!(task.await.expect("no panic").expect("an outcome").payload.as_ref(), b"waited");
    }
    assert_eq!(world.counts().0, 5);
}

#[tokio::test]
async fn reservations_throttle() {
    let world = world(60_000, Some(1)).await;
    let first = tokio::spawn(invoke(world.engine.clone(), "wait"));
    until("one is busy", || world.engine.pools().iter().any(|p| p.busy == 1)).await;
    let reason = "ReservedFunctionConcurrentInvocationLimitExceeded";
    assert_eq!(world.invoke("x").await.expect_err("throttled"), InvokeError::Throttled { reason });
    world.sandbox.gate.0.add_permits(1);
    first.await.expect("no panic").expect("an outcome");
    world.invoke("x").await.expect("free again");
}

#[tokio::test]
async fn crashes_and_timeouts_cost_their_instance_only() {
    let world = world(50, None).await;
    let crashed = world.invoke("crash").await.expect("an outcome");
    assert_eq!(crashed.function_error, Some("Unhandled"));
    assert!(String::from_utf8_lossy(&crashed.payload).contains("exit status 7"));
    let late = world.invoke("hang").await.expect("an outcome");
    assert!(String::from_utf8_lossy(&late.payload).contains("Task timed out after 0.05 seconds"));
    // To the microsecond: what the platform takes to notice is nobody's.
    assert_eq!(late.duration_us, 50_000);
    assert_eq!(world.counts(), (2, 2));
    world.invoke("x").await.expect("a new instance");
    let endings: Vec<_> = world.sink.records.lock().expect("not poisoned").iter().map(|r| r.ending).collect();
    assert_eq!(endings, [Ending::Crash, Ending::Timeout, Ending::Success]);
}

#[tokio::test]
async fn short_events_share_an_instance() {
    let world = world(60_000, None).await;
    for _ in 0..20 {
        world.invoke("x").await.expect("an outcome");
    }
    let tasks: Vec<_> = (0..16).map(|_| tokio::spawn(invoke(world.engine.clone(), "x"))).collect();
    for task in tasks {
        task.await.expect("no panic").expect("an outcome");
    }
    assert!(world.counts().0 <= 2, "started {}", world.counts().0);
}

/// A function of which each instance takes `count` events at a time.
async fn shared(timeout_ms: u64, count: usize) -> World {
    let world = world(timeout_ms, None).await;
    let mut function = (**world.catalog.0.lock().expect("not poisoned")).clone();
    function.environment.insert("CUMULET_INSTANCE_CONCURRENCY".into(), count.to_string());
    *world.catalog.0.lock().expect("not poisoned") = Arc::new(function);
    world
}

#[tokio::test]
async fn several_events_share_an_instance() {
    let world = shared(60_000, 4).await;
    let tasks: Vec<_> = (0..8).map(|_| tokio::spawn(invoke(world.engine.clone(), "wait"))).collect();
    until("nobody waits for an instance", || world.engine.pools().iter().any(|p| p.busy == 2 && p.waiting == 0)).await;
    world.sandbox.gate.0.add_permits(8);
    for task in tasks {
        task.await.expect("no panic").expect("an outcome");
    }
    assert_eq!(world.counts(), (2, 0));
    let records = world.sink.records.lock().expect("not poisoned").clone();
    assert_eq!(records.iter().filter(|r| r.init_us.is_some()).count(), 2, "one of each instance");
    assert_eq!(records.iter().map(|r| r.cpu_us).sum::<u64>(), 10, "nothing is counted twice");
    world.engine.drain().await;
    assert_eq!(world.counts(), (2, 2));
}

/// Who sits beside one that takes too long goes on; the instance takes nothing new, and goes with the last of them.
#[tokio::test]
async fn a_timeout_costs_no_neighbour() {
    let world = shared(1_000, 2).await;
    tokio::time::pause();
    let late = tokio::spawn(invoke(world.engine.clone(), "hang"));
    until("it is under way", || world.engine.pools().iter().any(|p| p.busy == 1)).await;
    tokio::time::advance(Duration::from_millis(900)).await;
    let neighbour = tokio::spawn(invoke(world.engine.clone(), "wait"));
    let late = late.await.expect("no panic").expect("an outcome");
    assert!(String::from_utf8_lossy(&late.payload).contains("timed out"));
    assert_eq!(world.counts(), (1, 0), "the neighbour is there");
    assert_eq!(world.invoke("x").await.expect("an outcome").payload.as_ref(), b"x");
    assert_eq!(world.counts(), (2, 0), "another instance");
    world.sandbox.gate.0.add_permits(1);
    assert_eq!(neighbour.await.expect("no panic").expect("an outcome").payload.as_ref(), b"waited");
    until("the first has ended", || world.counts() == (2, 1)).await;
}

/// What one breaks is broken for all who share it, and nobody gets it afterwards.
#[tokio::test]
async fn a_shared_instance_that_died_is_not_used_again() {
    let world = shared(60_000, 3).await;
    assert!(world.invoke("crash").await.expect("an outcome").function_error.is_some());
    assert_eq!(world.counts(), (1, 1));
    assert_eq!(world.invoke("x").await.expect("an outcome").payload.as_ref(), b"x");
    assert_eq!(world.counts(), (2, 1));
}

#[tokio::test]
async fn the_account_has_a_limit() {
    let world = world(60_000, None).await;
    let tasks: Vec<_> = (0..20).map(|_| tokio::spawn(invoke(world.engine.clone(), "wait"))).collect();
    until("eight instances are busy, and twelve wait", || {
        world.engine.pools().iter().any(|p| p.busy == 8 && p.waiting == 12)
    })
    .await;
    let reason = "ConcurrentInvocationLimitExceeded";
    assert_eq!(world.invoke("x").await.expect_err("throttled"), InvokeError::Throttled { reason });
    world.sandbox.gate.0.add_permits(20);
    for task in tasks {
        task.await.expect("no panic").expect("an outcome");
    }
    world.invoke("x").await.expect("free again");
}

/// One function holds the whole machine, and has more to do; another one comes.
#[tokio::test]
async fn no_function_starves_another() {
    let world = world(600_000, None).await;
    let hogs: Vec<_> = (0..18).map(|_| tokio::spawn(invoke(world.engine.clone(), "wait"))).collect();
    until("the machine is full", || world.engine.pools().iter().any(|p| p.busy == 8 && p.waiting == 10)).await;
    let old = world.catalog.0.lock().expect("not poisoned").clone();
    let other = FunctionVersion { name: "g".into(), revision: "g".into(), ..(*old).clone() };
    *world.catalog.0.lock().expect("not poisoned") = Arc::new(other);
    let second = tokio::spawn(invoke(world.engine.clone(), "x"));
    until("it waits", || world.engine.pools().iter().any(|p| p.function == "g" && p.waiting == 1)).await;
    // Long enough that an instance may be asked to give way.
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(5)).await;
    world.sandbox.gate.0.add_permits(1);
    assert_eq!(second.await.expect("no panic").expect("an outcome").payload.as_ref(), b"x");
    let waiting = || world.engine.pools().iter().find(|p| p.function == "f").map_or(0, |p| p.waiting);
    assert!(waiting() > 0, "served before those of the function that holds all");
    world.sandbox.gate.0.add_permits(20);
    for hog in hogs {
        hog.await.expect("no panic").expect("an outcome");
    }
}

#[tokio::test]
async fn waiting_ends_at_the_deadline() {
    let world = world(600_000, None).await;
    let hogs: Vec<_> = (0..9).map(|_| tokio::spawn(invoke(world.engine.clone(), "wait"))).collect();
    until("one waits", || world.engine.pools().iter().any(|p| p.busy == 8 && p.waiting == 1)).await;
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(61)).await;
    until("it is refused", || world.engine.pools().iter().any(|p| p.waiting == 0)).await;
    world.sandbox.gate.0.add_permits(8);
    let mut refused = 0;
    for hog in hogs {
        refused += usize::from(hog.await.expect("no panic").is_err());
    }
    assert_eq!(refused, 1);
}

#[tokio::test]
async fn provisioned_instances_are_there_before_the_first_event() {
    let world = world(1000, None).await;
    let old = world.catalog.0.lock().expect("not poisoned").clone();
    let mut kept = (*old).clone();
    kept.environment.insert("CUMULET_PROVISIONED_CONCURRENCY".into(), "3".into());
    *world.catalog.0.lock().expect("not poisoned") = Arc::new(kept);
    world.engine.prepare(&Target { account: "0".into(), region: "r".into(), name: "f".into(), qualifier: None });
    until("three are idle", || world.engine.pools().iter().any(|p| p.idle == 3)).await;
    world.invoke("x").await.expect("an outcome");
    assert_eq!(world.counts(), (3, 0));
}

#[tokio::test]
async fn an_event_is_not_lost_on_an_instance_that_died_idle() {
    let world = world(1000, None).await;
    world.invoke("die later").await.expect("an outcome");
    assert_eq!(world.invoke("x").await.expect("another instance").payload.as_ref(), b"x");
    assert_eq!(world.counts(), (2, 1));
}

#[tokio::test]
async fn a_changed_function_gets_new_instances() {
    let world = world(1000, None).await;
    world.invoke("x").await.expect("an outcome");
    let old = world.catalog.0.lock().expect("not poisoned").clone();
    *world.catalog.0.lock().expect("not poisoned") = function("2", &old.code_digest, 1000, None);
    world.engine.retire("0", "r", "f", None, Some("2"));
    until("the old instance ends", || world.counts().1 == 1).await;
    world.invoke("x").await.expect("an outcome");
    assert_eq!(world.counts(), (2, 1));
}

#[tokio::test]
async fn idle_instances_end() {
    let world = world(1000, None).await;
    world.invoke("x").await.expect("an outcome");
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(61)).await;
    until("the idle instance ends", || world.counts() == (1, 1)).await;
}

#[tokio::test]
async fn draining_finishes_what_runs_and_takes_nothing_new() {
    let world = world(60_000, None).await;
    let running = tokio::spawn(invoke(world.engine.clone(), "wait"));
    until("one is busy", || world.engine.pools().iter().any(|p| p.busy == 1)).await;
    let engine = world.engine.clone();
    let drained = tokio::spawn(async move { engine.drain().await });
    until("new ones are refused", || world.engine.is_draining()).await;
    assert_eq!(world.invoke("x").await.expect_err("refused"), InvokeError::Draining);
    world.sandbox.gate.0.add_permits(1);
    running.await.expect("no panic").expect("an outcome");
    drained.await.expect("drained");
    assert_eq!(world.counts(), (1, 1));
}
