//! What is to happen later, once or again, and must not be lost: asynchronous invocations, notifications, deliveries of
//! topics and buses, timers. A task is committed together with the record it follows from (a transactional outbox), and is
//! gone when its handler has said so: it is carried out at least once. Waking up is by notice and by the time a task is
//! due; nothing is polled. Deliberately absent: order between lanes, and what a task means, which is its owner's.

pub mod dead_letter;
mod lane;
pub mod notice;
pub mod retry;
pub mod role;
mod storage;
pub mod target;
mod task;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use cumulet_base::clock::Clock;
use cumulet_base::limits;
use cumulet_store::{Shard, Store, Txn};
use cumulet_wire::error::ApiError;
use tokio::sync::{Semaphore, watch};

use lane::LaneState;
use storage::{LaneId, Storage};
pub use task::{NewTask, Task, TaskId};

/// How the tasks of one lane are carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lane {
    /// Tasks at a time.
    pub concurrency: usize,
    /// One after the other, in the order they were put in; a task that is tried again holds up those behind it.
    pub is_ordered: bool,
}

impl Default for Lane {
    fn default() -> Lane {
        Lane { concurrency: limits::DELIVERY_LANE_CONCURRENCY, is_ordered: false }
    }
}

/// What becomes of a task after an attempt.
#[derive(Clone, Debug)]
pub enum Next {
    Done,
    /// Again at a time, with another body where one is given.
    Retry {
        due_ms: u64,
        body: Option<Bytes>,
    },
    /// Gone, and these in its place, in one commit.
    Replace(Vec<NewTask>),
}

/// Whoever carries out an owner's tasks.
#[async_trait]
pub trait Handler: Send + Sync + 'static {
    fn lane(&self, lane: &str) -> Lane {
        let _ = lane;
        Lane::default()
    }

    /// One attempt. May be asked again for a task already carried out, when the platform ended in between.
    async fn handle(&self, task: Task) -> Next;
}

pub struct Delivery {
    storage: Storage,
    clock: Arc<dyn Clock>,
    handlers: RwLock<HashMap<&'static str, Arc<dyn Handler>>>,
    lanes: Mutex<HashMap<LaneId, Arc<LaneState>>>,
    /// Memory that bodies of tasks being carried out may take together.
    memory: Arc<Semaphore>,
    is_started: AtomicBool,
    stop: watch::Sender<bool>,
    running: watch::Sender<usize>,
}

/// Held from the making of a task to the end of its commit; when it is dropped, whatever came of the commit, the lane looks.
#[must_use = "keep it until the transaction is committed"]
pub struct Wake {
    delivery: Arc<Delivery>,
    lane: LaneId,
    pub id: TaskId,
    is_committed: bool,
}

impl Wake {
    /// The transaction was committed.
    pub fn now(mut self) {
        self.is_committed = true;
    }
}

impl Drop for Wake {
    fn drop(&mut self) {
        if self.is_committed {
            self.delivery.clone().look(&self.lane, self.id.due_ms);
            return;
        }
        // Its commit failed, or is still under way because the one who asked for it went away.
        let (delivery, lane, due_ms) = (self.delivery.clone(), self.lane.clone(), self.id.due_ms);
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        runtime.spawn(async move {
            let mut moved = delivery.storage.watch(lane.shard);
            moved.borrow_and_update();
            delivery.clone().look(&lane, due_ms);
            let wait = Duration::from_millis(limits::DELIVERY_LATE_COMMIT_MS);
            if tokio::time::timeout(wait, moved.changed()).await.is_ok() {
                delivery.look(&lane, due_ms);
            }
        });
    }
}

impl Delivery {
    pub fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>) -> Arc<Delivery> {
        Arc::new(Delivery {
            storage: Storage::new(store),
            clock,
            handlers: RwLock::default(),
            lanes: Mutex::default(),
            memory: Arc::new(Semaphore::new(limits::DELIVERY_MEMORY_BYTES / limits::DELIVERY_MEMORY_UNIT_BYTES)),
            is_started: AtomicBool::new(false),
            stop: watch::Sender::new(false),
            running: watch::Sender::new(0),
        })
    }

    /// Before [`Delivery::start`]: tasks of an owner that has no handler lie where they are.
    pub fn register(&self, owner: &'static str, handler: Arc<dyn Handler>) {
        self.handlers.write().unwrap_or_else(PoisonError::into_inner).insert(owner, handler);
    }

    /// Begins, and finds in the background what earlier runs have left.
    pub fn start(self: &Arc<Delivery>) {
        self.is_started.store(true, Ordering::SeqCst);
        let early: Vec<LaneId> = self.lanes.lock().unwrap_or_else(PoisonError::into_inner).keys().cloned().collect();
        for lane in early {
            self.clone().look(&lane, 0);
        }
        let delivery = self.clone();
        tokio::spawn(async move {
            for shard in (0..limits::STORE_SHARDS).map(Shard) {
                match delivery.storage.lanes(shard).await {
                    Ok(lanes) => lanes.iter().for_each(|lane| delivery.clone().look(lane, 0)),
                    Err(e) => {
                        tracing::error!(shard = shard.0, error = %e, "tasks of an earlier run could not be looked for");
                    }
                }
            }
        });
    }

    /// Adds a task to a transaction: it is there when that is committed, and only then. Keep the [`Wake`] until then.
    ///
    /// # Errors
    /// A lane whose name is longer than the store's keys allow.
    pub fn add(self: &Arc<Delivery>, txn: Txn, task: &NewTask) -> Result<(Txn, Wake), ApiError> {
        let now_ms = self.clock.now_ms();
        let lane = LaneId { shard: txn.shard, owner: task.owner.to_owned(), name: task.lane.clone() };
        let (txn, id) = self.storage.put_new(txn, &lane, task, now_ms)?;
        Ok((txn, Wake { delivery: self.clone(), lane, id, is_committed: false }))
    }

    /// Takes a task that has not been carried out off again, in a transaction of the shard it was made in.
    pub fn remove(&self, txn: Txn, owner: &str, lane: &str, id: TaskId) -> Txn {
        let lane = LaneId { shard: txn.shard, owner: owner.to_owned(), name: lane.to_owned() };
        self.storage.remove(txn, &lane, id)
    }

    /// Tasks in a commit of their own, all or none; durable when it returns.
    pub async fn send(self: &Arc<Delivery>, tasks: Vec<NewTask>) -> Result<(), ApiError> {
        let mut txns: Vec<Txn> = Vec::new();
        let mut wakes = Vec::new();
        for task in &tasks {
            let shard = storage::shard_of(task.owner, &task.lane);
            let at = txns.iter().position(|txn| txn.shard == shard).unwrap_or_else(|| {
                txns.push(Txn::new(shard));
                txns.len() - 1
            });
            let txn = std::mem::replace(&mut txns[at], Txn::new(shard));
            let (txn, wake) = self.add(txn, task)?;
            txns[at] = txn;
            wakes.push(wake);
        }
        self.storage.commit_all(txns).await?;
        wakes.into_iter().for_each(Wake::now);
        Ok(())
    }

    /// Tasks of a lane that `send` was used for: those waiting and those being carried out.
    pub async fn count(&self, owner: &str, lane: &str) -> Result<u64, ApiError> {
        let shard = storage::shard_of(owner, lane);
        self.storage.count(&LaneId { shard, owner: owner.to_owned(), name: lane.to_owned() }).await
    }

    /// Begins no further attempts. Those under way go on; what they leave behind is settled as long as the store is open.
    pub fn halt(&self) {
        self.stop.send_replace(true);
    }

    /// Returns when no attempt is under way.
    pub async fn settled(&self) {
        let mut running = self.running.subscribe();
        // The sender is in `self`: it cannot be gone.
        drop(running.wait_for(|count| *count == 0).await);
    }

    fn handler(&self, owner: &str) -> Option<Arc<dyn Handler>> {
        self.handlers.read().unwrap_or_else(PoisonError::into_inner).get(owner).cloned()
    }

    /// A lane may have a task that is due at this time.
    fn look(self: Arc<Delivery>, id: &LaneId, due_ms: u64) {
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(lane) = lanes.get(id) {
            lane.notice(due_ms);
            if !lane.claim(self.is_started.load(Ordering::SeqCst)) {
                return;
            }
        } else {
            lanes.insert(id.clone(), Arc::new(LaneState::new(due_ms)));
            let is_started = self.is_started.load(Ordering::SeqCst);
            if !lanes.get(id).is_some_and(|lane| lane.claim(is_started)) {
                return;
            }
        }
        let Some(state) = lanes.get(id).cloned() else { return };
        drop(lanes);
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(lane::run(self, id.clone(), state));
        }
    }

    /// Takes a lane off that has nothing left, unless it was noticed meanwhile. Whether it did.
    fn leave(&self, id: &LaneId, state: &LaneState) -> bool {
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        let is_over = state.is_quiet();
        if is_over {
            lanes.remove(id);
        }
        is_over
    }
}
