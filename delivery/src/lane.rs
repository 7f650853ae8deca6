//! One lane at work: what is due is read in pages, each row once, and handed to the handler, as many at a time as the lane may.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use cumulet_base::limits;
use cumulet_store::Txn;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use crate::storage::{LaneId, Stored};
use crate::task::TaskId;
use crate::{Delivery, Handler, Lane, Next};

/// What others tell a lane.
pub struct LaneState {
    notify: Notify,
    /// The earliest time noticed since the lane last looked; `u64::MAX` is none.
    noticed_ms: AtomicU64,
    is_running: AtomicBool,
}

impl LaneState {
    pub fn new(due_ms: u64) -> LaneState {
        LaneState { notify: Notify::new(), noticed_ms: AtomicU64::new(due_ms), is_running: AtomicBool::new(false) }
    }

    pub fn notice(&self, due_ms: u64) {
        self.noticed_ms.fetch_min(due_ms, Ordering::SeqCst);
        self.notify.notify_one();
    }

    /// Whether the caller is to run it: the first to ask is.
    pub fn claim(&self, may: bool) -> bool {
        may && !self.is_running.swap(true, Ordering::SeqCst)
    }

    pub fn is_quiet(&self) -> bool {
        self.noticed_ms.load(Ordering::SeqCst) == u64::MAX
    }
}

/// What is known of the tasks after those that were read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Beyond {
    #[default]
    Unread,
    /// The next one is not due before this time.
    Until(u64),
    Nothing,
}

/// Where the lane has read to, and what it read and has not begun.
#[derive(Default)]
struct Window {
    waiting: VecDeque<Stored>,
    after: Option<TaskId>,
    beyond: Beyond,
}

/// One attempt's end.
struct Ended {
    task: TaskId,
    /// It lies where it lay, to be tried again.
    is_kept: bool,
}

pub async fn run(delivery: Arc<Delivery>, id: LaneId, state: Arc<LaneState>) {
    let Some(handler) = delivery.handler(&id.owner) else {
        tracing::warn!(owner = id.owner, lane = id.name, "nobody carries out these tasks");
        return;
    };
    let lane = handler.lane(&id.name);
    let room = if lane.is_ordered { 1 } else { lane.concurrency.max(1) };
    let mut stop = delivery.stop.subscribe();
    let mut window = Window::default();
    let mut running: HashSet<TaskId> = HashSet::new();
    let mut attempts: JoinSet<Ended> = JoinSet::new();
    loop {
        if *stop.borrow_and_update() {
            // What is under way ends by itself; the rest lies in the store.
            attempts.detach_all();
            return;
        }
        let noticed_ms = state.noticed_ms.swap(u64::MAX, Ordering::SeqCst);
        // What is new may lie before what was read already.
        if window.after.is_some_and(|after| noticed_ms <= after.due_ms) {
            window = Window::default();
        } else if noticed_ms != u64::MAX {
            window.beyond = Beyond::Unread;
        }
        let mut pause_ms = None;
        if running.len() < room
            && window.waiting.is_empty()
            && window.beyond == Beyond::Unread
            && read(&delivery, &id, lane, &mut window, &running).await.is_err()
        {
            pause_ms = Some(limits::DELIVERY_PAUSE_MS);
        }
        while running.len() < room
            && let Some(stored) = window.waiting.pop_front()
        {
            running.insert(stored.task.id);
            delivery.running.send_modify(|count| *count += 1);
            attempts.spawn(attempt(delivery.clone(), handler.clone(), id.clone(), stored, lane));
        }
        let wait_ms = match (pause_ms, window.beyond) {
            (None, Beyond::Unread) if running.len() < room => continue,
            (None, Beyond::Until(next_ms)) if running.len() < room => {
                Some(next_ms.saturating_sub(delivery.clock.now_ms()).min(limits::DELIVERY_CLOCK_MS))
            }
            (None, Beyond::Nothing) if attempts.is_empty() => {
                if delivery.leave(&id, &state) {
                    return;
                }
                continue;
            }
            (pause_ms, _) => pause_ms,
        };
        tokio::select! {
            () = state.notify.notified() => {}
            Some(ended) = attempts.join_next(), if !attempts.is_empty() => {
                let Ok(ended) = ended else { continue };
                running.remove(&ended.task);
                // It has to be read once more; what was read behind it in an ordered lane has to wait.
                if ended.is_kept {
                    window = Window::default();
                }
            }
            () = sleep(wait_ms), if wait_ms.is_some() => window.beyond = Beyond::Unread,
            _ = stop.changed() => {}
        }
    }
}

async fn sleep(wait_ms: Option<u64>) {
    tokio::time::sleep(Duration::from_millis(wait_ms.unwrap_or_default())).await;
}

async fn read(
    delivery: &Delivery,
    id: &LaneId,
    lane: Lane,
    window: &mut Window,
    running: &HashSet<TaskId>,
) -> Result<(), ()> {
    // Logged where it failed.
    let page = delivery.storage.page(id, window.after, limits::DELIVERY_PAGE_TASKS).await.map_err(drop)?;
    if page.is_empty() {
        window.beyond = Beyond::Nothing;
    }
    let now_ms = delivery.clock.now_ms();
    for stored in page {
        let due_ms = stored.task.id.due_ms.max(stored.not_before_ms);
        if due_ms > now_ms {
            window.beyond = Beyond::Until(due_ms);
            break;
        }
        window.after = Some(stored.task.id);
        if !running.contains(&stored.task.id) {
            window.waiting.push_back(stored);
        } else if lane.is_ordered {
            // Those behind it are read when it has ended.
            break;
        }
    }
    Ok(())
}

/// Counts an attempt as under way.
struct Counted(Arc<Delivery>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.running.send_modify(|count| *count -= 1);
    }
}

async fn attempt(
    delivery: Arc<Delivery>,
    handler: Arc<dyn Handler>,
    id: LaneId,
    mut stored: Stored,
    lane: Lane,
) -> Ended {
    let _counted = Counted(delivery.clone());
    let task = stored.task.id;
    let units = (stored.body_bytes / limits::DELIVERY_MEMORY_UNIT_BYTES) as u32;
    // Closed by nobody; without a permit it would go on all the same.
    let _memory = match units {
        0 => None,
        units => delivery.memory.clone().acquire_many_owned(units).await.ok(),
    };
    let next = match delivery.storage.fill(&id, &mut stored).await {
        Ok(()) => {
            let work = stored.task.clone();
            let ran = tokio::spawn(async move { handler.handle(work).await });
            ran.await.map_err(|e| tracing::error!(owner = id.owner, lane = id.name, error = %e, "a handler failed"))
        }
        Err(_) => Err(()),
    };
    let later = || Next::Retry { due_ms: delivery.clock.now_ms() + limits::DELIVERY_PAUSE_MS, body: None };
    let next = next.unwrap_or_else(|()| later());
    let is_kept = matches!(next, Next::Retry { due_ms, .. } if lane.is_ordered || due_ms == task.due_ms);
    settle(&delivery, &id, &stored, lane, &next).await;
    Ended { task, is_kept }
}

/// Writes down what became of an attempt. When the store is gone the task stays, and is carried out again.
async fn settle(delivery: &Arc<Delivery>, id: &LaneId, stored: &Stored, lane: Lane, next: &Next) {
    while let Err(e) = write(delivery, id, stored, lane, next).await {
        if *delivery.stop.borrow() {
            tracing::warn!(owner = id.owner, lane = id.name, error = %e, "a task may be carried out twice");
            return;
        }
        sleep(Some(limits::DELIVERY_PAUSE_MS)).await;
    }
}

async fn write(
    delivery: &Arc<Delivery>,
    id: &LaneId,
    stored: &Stored,
    lane: Lane,
    next: &Next,
) -> Result<(), cumulet_wire::error::ApiError> {
    match next {
        Next::Done => {
            let txn = delivery.storage.remove(Txn::new(id.shard), id, stored.task.id);
            delivery.storage.commit(txn).await?;
        }
        Next::Retry { due_ms, body } => {
            let txn = delivery.storage.put_again(id, stored, *due_ms, body.as_ref(), lane.is_ordered);
            if delivery.storage.commit(txn).await? {
                delivery.clone().look(id, *due_ms);
            }
        }
        Next::Replace(tasks) => {
            let mut txn = delivery.storage.unchanged(Txn::new(id.shard), id, stored);
            txn = delivery.storage.remove(txn, id, stored.task.id);
            let mut wakes = Vec::new();
            for task in tasks {
                let (more, wake) = delivery.add(txn, task)?;
                txn = more;
                wakes.push(wake);
            }
            if delivery.storage.commit(txn).await? {
                wakes.into_iter().for_each(crate::Wake::now);
            }
        }
    }
    Ok(())
}
