//! Tests of the log sink and of appends over a store that fails, refuses or is slow.
#![allow(clippy::unwrap_used)]

use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;

use cumulet_base::clock::SystemClock;
use cumulet_store::{Change, Check, Error, MultiOutcome, Outcome, Read, Result, Rev, Rows, Shard, Txn};
use cumulet_store_memory::{Faults, MemoryStore};
use tokio::sync::watch;

use super::*;
use crate::model::Position;

/// What happens to a commit, by its number from 1.
type Meddle = Box<dyn Fn(usize, &Txn) -> Option<Result<Outcome>> + Send + Sync>;

struct Meddled {
    inner: MemoryStore,
    commits: AtomicUsize,
    meddle: Meddle,
    /// Puts a row of another writer before the first event of the first commit.
    rival: bool,
    gate: Semaphore,
}

impl Meddled {
    fn new(meddle: impl Fn(usize, &Txn) -> Option<Result<Outcome>> + Send + Sync + 'static) -> Meddled {
        let gate = Semaphore::new(Semaphore::MAX_PERMITS);
        Meddled {
            inner: MemoryStore::new(),
            commits: AtomicUsize::new(0),
            meddle: Box::new(meddle),
            rival: false,
            gate,
        }
    }
}

#[async_trait]
impl Store for Meddled {
    async fn commit(&self, txn: Txn) -> Result<Outcome> {
        let _open = self.gate.acquire().await.unwrap();
        let number = self.commits.fetch_add(1, Ordering::Relaxed) + 1;
        if let (true, 1, Some(Check::Absent(space, key))) = (self.rival, number, txn.checks.first()) {
            let other = Txn::new(txn.shard).put(*space, key.clone(), "theirs");
            self.inner.commit(other).await?;
        }
        match (self.meddle)(number, &txn) {
            Some(outcome) => outcome,
            None => self.inner.commit(txn).await,
        }
    }

    async fn commit_multi(&self, txns: Vec<Txn>) -> Result<MultiOutcome> {
        self.inner.commit_multi(txns).await
    }

    async fn read(&self, shard: Shard, reads: Vec<Read>) -> Result<(Rev, Rows)> {
        self.inner.read(shard, reads).await
    }

    async fn changes(&self, shard: Shard, after: Rev, limit: u32) -> Result<Vec<Change>> {
        self.inner.changes(shard, after, limit).await
    }

    fn watch(&self, shard: Shard) -> watch::Receiver<Rev> {
        self.inner.watch(shard)
    }

    async fn trim(&self, shard: Shard, upto: Rev) -> Result<()> {
        self.inner.trim(shard, upto).await
    }

    async fn close(&self) -> Result<()> {
        self.inner.close().await
    }
}

fn place() -> Place {
    Place { account: "a".to_owned(), region: "r".to_owned(), group: "g".to_owned() }
}

fn batch(stream: &str, messages: &[&str]) -> Batch {
    Batch { stream: stream.to_owned(), events: messages.iter().map(|m| (1000, (*m).to_owned())).collect() }
}

async fn read(store: Arc<dyn Store>) -> Vec<String> {
    let mut found = Vec::new();
    let take = |event: crate::model::Event| {
        found.push(event.message);
        true
    };
    Storage::new(store, None).read(&place(), Position::MIN, u64::MAX, take).await.unwrap();
    found
}

#[tokio::test]
async fn producers_wait_for_bytes() {
    let mut store = Meddled::new(|_, _| None);
    store.gate = Semaphore::new(0);
    let store = Arc::new(store);
    let sink = Sink::with_bytes(store.clone(), Arc::new(SystemClock), None, 64 * 1024);
    let job = |text: &str| vec![LogEvent { timestamp_ms: 1000, message: text.repeat(30_000) }];
    sink.append("a", "r", "g", "s", job("1")).await;
    sink.append("a", "r", "g", "s", job("2")).await;
    let mut third = pin!(sink.append("a", "r", "g", "s", job("3")));
    for _ in 0..10 {
        let polled = std::future::poll_fn(|cx| Poll::Ready(third.as_mut().poll(cx))).await;
        assert!(polled.is_pending());
        tokio::task::yield_now().await;
    }
    store.gate.add_permits(1000);
    third.await;
    // Larger than the room.
    sink.append("a", "r", "g", "s", job("four")).await;
    sink.flush().await;
    assert_eq!(sink.room.available_permits(), 64);
    assert_eq!(read(store).await.len(), 4);
}

#[tokio::test]
async fn what_is_refused_costs_no_other_and_is_not_tried_again() {
    let store = Arc::new(Meddled::new(|_, _| None));
    let long = "x".repeat(2000);
    let batches = [batch("a", &["one"]), batch(&long, &["lost"]), batch("z", &["two"])];
    append(&Storage::new(store.clone(), None), &SystemClock, &place(), &batches).await;
    assert_eq!(read(store).await, ["one", "two"]);
    for error in [Error::Closed, Error::Format("x".to_owned())] {
        let store = Arc::new(Meddled::new(move |_, _| Some(Err(error.clone()))));
        append(&Storage::new(store.clone(), None), &SystemClock, &place(), &[batch("a", &["one"])]).await;
        assert_eq!(store.commits.load(Ordering::Relaxed), 1);
    }
}

#[tokio::test]
async fn another_writers_event_is_not_overwritten() {
    let mut store = Meddled::new(|_, _| None);
    store.rival = true;
    let store = Arc::new(store);
    let mut plan = Plan::new(&[batch("a", &["ours"])], 5).unwrap();
    Storage::new(store.clone(), None).append(&place(), &mut plan, Missing::Create).await.unwrap();
    assert!(plan.is_done());
    // The conflict, then the success under another key.
    assert_eq!(store.commits.load(Ordering::Relaxed), 2);
    let storage = Storage::new(store, None);
    // The rival's row is still its own, and is no chunk.
    assert!(storage.read(&place(), Position::MIN, u64::MAX, |_| true).await.is_err());
}

#[tokio::test]
async fn retries_repeat_nothing_committed() {
    let big: Vec<String> = (0..9).map(|n| n.to_string().repeat(500_000)).collect();
    let texts: Vec<&str> = big.iter().map(String::as_str).collect();
    let backend = || Some(Err(Error::Backend { doing: "x", reason: "y".to_owned() }));
    let store = Arc::new(Meddled::new(move |number, _| if number == 2 { backend() } else { None }));
    append(&Storage::new(store.clone(), None), &SystemClock, &place(), &[batch("a", &texts)]).await;
    assert!(store.commits.load(Ordering::Relaxed) > 2);
    assert_eq!(read(store).await, big);
    // Applied, though the store does not say so for longer than one attempt lasts.
    let faults = Faults::default();
    faults.apply_next_as_unknown(1);
    faults.lose_next(9);
    let store = Arc::new(MemoryStore::with_faults(faults));
    append(&Storage::new(store.clone(), None), &SystemClock, &place(), &[batch("a", &["once"])]).await;
    assert_eq!(read(store).await, ["once"]);
}

#[tokio::test]
async fn conflicts_end() {
    let store = Arc::new(Meddled::new(|_, _| Some(Ok(Outcome::Conflict { failed: 0, current: None }))));
    let mut plan = Plan::new(&[batch("a", &["one"])], 5).unwrap();
    let failure = Storage::new(store.clone(), None).append(&place(), &mut plan, Missing::Create).await.unwrap_err();
    assert!(failure.is_passing());
    assert_eq!((plan.events(), store.commits.load(Ordering::Relaxed)), (1, 16));
}
