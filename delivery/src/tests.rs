//! Tasks over the store in memory, with the clock of the machine: waits are for a condition.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize};
use std::sync::{Arc, Mutex};

use cumulet_base::clock::SystemClock;
use cumulet_store_memory::{Faults, MemoryStore};

use super::*;

/// What a handler does with a task, by its attempts so far.
type Play = Box<dyn Fn(&Task) -> Next + Send + Sync>;

struct Actor {
    play: Play,
    seen: Mutex<Vec<(String, Bytes, u32)>>,
    lanes: HashMap<String, Lane>,
    gate: Semaphore,
    busy: AtomicUsize,
    most_busy: AtomicUsize,
}

impl Actor {
    fn new(play: impl Fn(&Task) -> Next + Send + Sync + 'static) -> Actor {
        Actor {
            play: Box::new(play),
            seen: Mutex::default(),
            lanes: HashMap::new(),
            gate: Semaphore::new(Semaphore::MAX_PERMITS),
            busy: AtomicUsize::new(0),
            most_busy: AtomicUsize::new(0),
        }
    }

    fn seen(&self) -> Vec<(String, Bytes, u32)> {
        self.seen.lock().unwrap().clone()
    }

    fn bodies(&self) -> Vec<Bytes> {
        self.seen().into_iter().map(|(_, body, _)| body).collect()
    }
}

#[async_trait]
impl Handler for Actor {
    fn lane(&self, lane: &str) -> Lane {
        self.lanes.get(lane).copied().unwrap_or_default()
    }

    async fn handle(&self, task: Task) -> Next {
        let busy = self.busy.fetch_add(1, Ordering::SeqCst) + 1;
        self.most_busy.fetch_max(busy, Ordering::SeqCst);
        if !task.lane.starts_with("free") {
            self.gate.acquire().await.unwrap().forget();
        }
        self.busy.fetch_sub(1, Ordering::SeqCst);
        self.seen.lock().unwrap().push((task.lane.clone(), task.body.clone(), task.attempts));
        (self.play)(&task)
    }
}

fn now_ms() -> u64 {
    SystemClock.now_ms()
}

fn task(lane: &str, body: impl Into<Bytes>) -> NewTask {
    NewTask { owner: "o", lane: lane.to_owned(), due_ms: now_ms(), body: body.into() }
}

async fn until(mut is: impl FnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    while !is() {
        assert!(tokio::time::Instant::now() < deadline, "waited too long");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

fn start(store: &Arc<MemoryStore>, actor: &Arc<Actor>) -> Arc<Delivery> {
    let delivery = Delivery::new(store.clone(), Arc::new(SystemClock));
    delivery.register("o", actor.clone());
    delivery.start();
    delivery
}

#[tokio::test]
async fn tasks_are_carried_out_and_gone() {
    let store = Arc::new(MemoryStore::new());
    let actor = Arc::new(Actor::new(|_| Next::Done));
    let delivery = start(&store, &actor);
    let large = Bytes::from(vec![7; 200_000]);
    delivery.send(vec![task("a", "1"), task("b", large.clone()), task("a", "2")]).await.unwrap();
    until(|| actor.seen().len() == 3).await;
    delivery.settled().await;
    assert!(actor.bodies().contains(&large));
    assert_eq!(delivery.count("o", "a").await.unwrap() + delivery.count("o", "b").await.unwrap(), 0);
    until(|| delivery.lanes.lock().unwrap().is_empty()).await;
    // Nothing is left to a later run.
    let later = Arc::new(Actor::new(|_| Next::Done));
    let delivery = start(&store, &later);
    delivery.send(vec![task("a", "3")]).await.unwrap();
    until(|| later.seen().len() == 1).await;
    assert_eq!(later.bodies(), ["3"]);
}

/// A retry at the very time the task was due leaves it where it lies.
#[tokio::test]
async fn a_task_that_stays_where_it_is_is_tried_again() {
    for _ in 0..50 {
        let store = Arc::new(MemoryStore::new());
        let again = |task: &Task| match task.attempts {
            0..4 => Next::Retry { due_ms: task.id.due_ms, body: None },
            _ => Next::Done,
        };
        let actor = Arc::new(Actor::new(again));
        let delivery = start(&store, &actor);
        delivery.send(vec![task("free", "1")]).await.unwrap();
        until(|| actor.seen().len() == 5).await;
    }
}

#[tokio::test]
async fn what_an_earlier_run_left_is_found() {
    let store = Arc::new(MemoryStore::new());
    let first = Delivery::new(store.clone(), Arc::new(SystemClock));
    first.send((0..300).map(|i| task(&format!("lane{}", i % 7), i.to_string())).collect()).await.unwrap();
    let actor = Arc::new(Actor::new(|_| Next::Done));
    let _delivery = start(&store, &actor);
    until(|| actor.seen().len() == 300).await;
}

#[tokio::test]
async fn a_task_comes_again_and_can_be_replaced() {
    let store = Arc::new(MemoryStore::new());
    let actor = Arc::new(Actor::new(|task| match (task.attempts, task.body.as_ref()) {
        (_, b"next") => Next::Done,
        (0, _) => Next::Retry { due_ms: now_ms() + 5, body: None },
        (1, _) => Next::Retry { due_ms: now_ms() + 5, body: Some("second".into()) },
        _ => Next::Replace(vec![NewTask { lane: "other".into(), ..super::tests::task("x", "next") }]),
    }));
    let delivery = start(&store, &actor);
    delivery.send(vec![task("a", "first")]).await.unwrap();
    until(|| actor.seen().len() == 4).await;
    let seen = actor.seen();
    assert_eq!(seen[0], ("a".into(), "first".into(), 0));
    assert_eq!(seen[1], ("a".into(), "first".into(), 1));
    assert_eq!(seen[2], ("a".into(), "second".into(), 2));
    assert_eq!(seen[3], ("other".into(), "next".into(), 0));
    delivery.settled().await;
    assert_eq!(delivery.count("o", "a").await.unwrap(), 0);
}

#[tokio::test]
async fn later_tasks_wait_for_their_time_and_earlier_ones_overtake() {
    let store = Arc::new(MemoryStore::new());
    let actor = Arc::new(Actor::new(|_| Next::Done));
    let delivery = start(&store, &actor);
    let at = now_ms() + 400;
    delivery.send(vec![NewTask { due_ms: at, ..task("a", "late") }]).await.unwrap();
    delivery.send(vec![NewTask { due_ms: at - 200, ..task("a", "middle") }, task("a", "now")]).await.unwrap();
    until(|| actor.seen().len() == 3).await;
    assert_eq!(actor.bodies(), ["now", "middle", "late"]);
    assert!(now_ms() >= at);
}

#[tokio::test]
async fn a_lane_has_its_bound_and_holds_up_no_other() {
    let store = Arc::new(MemoryStore::new());
    let mut actor = Actor::new(|_| Next::Done);
    actor.gate = Semaphore::new(0);
    actor.lanes.insert("slow".into(), Lane { concurrency: 3, is_ordered: false });
    let actor = Arc::new(actor);
    let delivery = start(&store, &actor);
    delivery.send((0..500).map(|i| task("slow", i.to_string())).collect()).await.unwrap();
    until(|| actor.busy.load(Ordering::SeqCst) == 3).await;
    delivery.send(vec![task("free", "quick")]).await.unwrap();
    until(|| actor.seen().len() == 1).await;
    actor.gate.add_permits(500);
    until(|| actor.seen().len() == 501).await;
    assert!(actor.most_busy.load(Ordering::SeqCst) <= 4);
    let mut bodies = actor.bodies();
    bodies.sort();
    bodies.dedup();
    assert_eq!(bodies.len(), 501, "each once");
}

#[tokio::test]
async fn an_ordered_lane_keeps_its_order_over_failures() {
    let store = Arc::new(MemoryStore::new());
    let mut actor = Actor::new(|task| {
        let number: u32 = std::str::from_utf8(&task.body).unwrap().parse().unwrap();
        if number % 5 == 2 && task.attempts < 2 { Next::Retry { due_ms: now_ms() + 3, body: None } } else { Next::Done }
    });
    actor.lanes.insert("line".into(), Lane { concurrency: 9, is_ordered: true });
    let actor = Arc::new(actor);
    let delivery = start(&store, &actor);
    for i in 0..40_u32 {
        delivery.send(vec![task("line", i.to_string())]).await.unwrap();
    }
    until(|| actor.seen().len() == 40 + 8 * 2).await;
    let mut order = actor.bodies();
    order.dedup();
    let expect: Vec<Bytes> = (0..40).map(|i: u32| Bytes::from(i.to_string())).collect();
    assert_eq!(order, expect);
}

#[tokio::test]
async fn a_task_taken_off_is_not_carried_out() {
    let store = Arc::new(MemoryStore::new());
    let actor = Arc::new(Actor::new(|_| Next::Done));
    let delivery = start(&store, &actor);
    let shard = storage::shard_of("o", "a");
    let late = NewTask { due_ms: now_ms() + 300, ..task("a", "off") };
    let (txn, wake) = delivery.add(Txn::new(shard), &late).unwrap();
    let id = wake.id;
    store.commit(txn).await.unwrap();
    wake.now();
    store.commit(delivery.remove(Txn::new(shard), "o", "a", id)).await.unwrap();
    delivery.send(vec![NewTask { due_ms: late.due_ms + 1, ..task("a", "on") }]).await.unwrap();
    until(|| !actor.seen().is_empty()).await;
    assert_eq!(actor.bodies(), ["on"]);
}

#[tokio::test]
async fn a_failing_store_and_a_panic_lose_nothing() {
    let faults = Faults::default();
    let store = Arc::new(MemoryStore::with_faults(faults.clone()));
    let actor = Arc::new(Actor::new(|task| {
        assert!(task.attempts > 0, "the first attempt panics");
        Next::Done
    }));
    let delivery = start(&store, &actor);
    delivery.send(vec![task("a", "1")]).await.unwrap();
    until(|| actor.seen().len() == 1).await;
    faults.fail_commits(1);
    faults.lose_next(2);
    faults.fail_reads(1);
    until(|| actor.seen().len() == 2).await;
    assert_eq!(actor.seen()[1].2, 1);
    delivery.settled().await;
    assert_eq!(delivery.count("o", "a").await.unwrap(), 0);
}

struct Hand(AtomicU64);

impl Clock for Hand {
    fn now_ms(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
}

/// The clock is set forwards and backwards: each task is carried out once, when it is due by the clock, also by another run.
#[tokio::test]
async fn tasks_follow_a_clock_that_is_set() {
    const HOUR_MS: u64 = 3_600_000;
    let start_ms = now_ms();
    let (store, clock) = (Arc::new(MemoryStore::new()), Arc::new(Hand(AtomicU64::new(start_ms))));
    let actor = Arc::new(Actor::new(|_| Next::Done));
    let run = || {
        let delivery = Delivery::new(store.clone(), clock.clone());
        delivery.register("o", actor.clone());
        delivery.start();
        delivery
    };
    let task = |body: &'static str, due_ms: u64| NewTask {
        owner: "o",
        lane: "free".to_owned(),
        due_ms,
        body: Bytes::from(body),
    };
    let delivery = run();
    delivery.send(vec![task("an hour", start_ms + HOUR_MS), task("at once", start_ms)]).await.unwrap();
    until(|| actor.bodies() == ["at once"]).await;
    // Forwards. A task that comes makes the lane look; without one it looks twice a minute.
    clock.0.store(start_ms + 2 * HOUR_MS, Ordering::SeqCst);
    delivery.send(vec![task("after", start_ms + 2 * HOUR_MS)]).await.unwrap();
    until(|| actor.bodies() == ["at once", "an hour", "after"]).await;
    // Backwards, by more than it went: what was due by the old time waits for the clock, over another start as well.
    delivery.send(vec![task("old time", start_ms + 3 * HOUR_MS)]).await.unwrap();
    clock.0.store(start_ms - HOUR_MS, Ordering::SeqCst);
    delivery.send(vec![task("new time", start_ms - HOUR_MS)]).await.unwrap();
    until(|| actor.bodies().len() == 4).await;
    delivery.halt();
    delivery.settled().await;
    let delivery = run();
    delivery.send(vec![task("newer", start_ms - HOUR_MS)]).await.unwrap();
    until(|| actor.bodies().len() == 5).await;
    assert_eq!(actor.bodies()[3..], ["new time", "newer"]);
    clock.0.store(start_ms + 4 * HOUR_MS, Ordering::SeqCst);
    delivery.send(vec![task("last", start_ms)]).await.unwrap();
    until(|| actor.bodies().len() == 7).await;
    delivery.settled().await;
    assert_eq!(delivery.count("o", "free").await.unwrap(), 0);
    assert!(actor.bodies().contains(&Bytes::from("old time")));
}
