//! Where tasks are kept. The only file that knows the store and the layout of its keys (`docs/formats/delivery.md`).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::{BufMut, Bytes, BytesMut};
use cumulet_base::{id, limits};
use cumulet_store::{
    Check, Key, KeyReader, KeyWriter, MultiOutcome, Outcome, Read, Rev, Shard, Space, Store, StoreExt, Txn, prefix_end,
};
use cumulet_wire::error::ApiError;
use tokio::sync::watch;

use crate::task::{NewTask, Task, TaskId};

const SPACE: Space = Space(12);
const FORMAT: u8 = 1;
const UNKNOWN_ATTEMPTS_MAX: usize = 8;
const HEAD_BYTES: usize = 25;
/// Bytes of a body in one row, below the store's bound of a value.
const ROW_BYTES_MAX: usize = 48 * 1024;
const NAME_BYTES_MAX: usize = 1024;

/// Whose lane it is and where: one lane's tasks may lie in several shards, each of which is a lane of its own here.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LaneId {
    pub shard: Shard,
    pub owner: String,
    pub name: String,
}

/// A task as read.
#[derive(Clone, Debug)]
pub struct Stored {
    pub task: Task,
    /// An ordered lane's task keeps its place while it waits to be tried again.
    pub not_before_ms: u64,
    pub body_bytes: usize,
    pub rev: Rev,
}

pub struct Storage {
    store: Arc<dyn Store>,
    sequence: AtomicU64,
}

pub fn shard_of(owner: &str, lane: &str) -> Shard {
    Shard::of(&format!("delivery/{owner}/{lane}"))
}

fn of(kind: &str, lane: &LaneId) -> KeyWriter {
    KeyWriter::new().text(kind).text(&lane.owner).text(&lane.name)
}

fn task_key(lane: &LaneId, id: TaskId) -> Key {
    of("task", lane).u64(id.due_ms).u64(id.sequence).key()
}

fn body_key(lane: &LaneId, sequence: u64, piece: usize) -> Key {
    of("body", lane).u64(sequence).u64(piece as u64).key()
}

fn failed(doing: &'static str, error: &cumulet_store::Error) -> ApiError {
    tracing::error!(doing, %error, "the store of tasks failed");
    ApiError::internal(format!("{doing} failed"))
}

fn damaged() -> ApiError {
    failed("Reading a task", &cumulet_store::Error::Format("a task".to_owned()))
}

fn head(created_ms: u64, attempts: u32, not_before_ms: u64, body: &[u8]) -> Bytes {
    let first = &body[..body.len().min(ROW_BYTES_MAX)];
    let mut row = BytesMut::with_capacity(HEAD_BYTES + first.len());
    row.put_u8(FORMAT);
    row.put_u64(created_ms);
    row.put_u32(attempts);
    row.put_u64(not_before_ms);
    row.put_u32(body.len() as u32);
    row.extend_from_slice(first);
    row.freeze()
}

fn read_head(lane: &LaneId, key: &[u8], value: &Bytes, rev: Rev) -> Option<Stored> {
    let mut reader = KeyReader::new(key);
    reader.text()?;
    reader.text()?;
    reader.text()?;
    let id = TaskId { due_ms: reader.u64()?, sequence: reader.u64()? };
    let (head, _) = value.split_first_chunk::<HEAD_BYTES>()?;
    if head[0] != FORMAT {
        return None;
    }
    let number = |from: usize| Some(u64::from_be_bytes(head.get(from..from + 8)?.try_into().ok()?));
    let small = |from: usize| Some(u32::from_be_bytes(head.get(from..from + 4)?.try_into().ok()?));
    let task = Task {
        lane: lane.name.clone(),
        id,
        created_ms: number(1)?,
        attempts: small(9)?,
        body: value.slice(HEAD_BYTES..),
    };
    Some(Stored { task, not_before_ms: number(13)?, body_bytes: small(21)? as usize, rev })
}

impl Storage {
    pub fn new(store: Arc<dyn Store>) -> Storage {
        Storage { store, sequence: AtomicU64::new(0) }
    }

    pub fn watch(&self, shard: Shard) -> watch::Receiver<Rev> {
        self.store.watch(shard)
    }

    /// A number that grows from task to task, over restarts too as far as the clock does.
    fn next(&self, now_ms: u64) -> u64 {
        let floor = now_ms << 20;
        let next = |last: u64| Some(floor.max(last + 1));
        let last = self.sequence.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
        floor.max(last.unwrap_or_default() + 1)
    }

    pub fn put_new(&self, txn: Txn, lane: &LaneId, task: &NewTask, now_ms: u64) -> Result<(Txn, TaskId), ApiError> {
        if lane.name.len() > NAME_BYTES_MAX || task.body.len() > limits::DELIVERY_BODY_BYTES_MAX {
            return Err(ApiError::internal("a task is too large"));
        }
        let id = TaskId { due_ms: task.due_ms, sequence: self.next(now_ms) };
        // A sequence taken twice, after the clock went back over a restart, must not overwrite.
        let mut txn = txn.check(Check::Absent(SPACE, task_key(lane, id)));
        txn = txn.put(SPACE, task_key(lane, id), head(now_ms, 0, 0, &task.body));
        Ok((put_rest(txn, lane, id, &task.body), id))
    }

    pub fn remove(&self, txn: Txn, lane: &LaneId, id: TaskId) -> Txn {
        let (lo, hi) = of("body", lane).u64(id.sequence).range();
        txn.delete(SPACE, task_key(lane, id)).delete_range(SPACE, lo, hi)
    }

    /// With the check that a task is still as it was read.
    pub fn unchanged(&self, txn: Txn, lane: &LaneId, stored: &Stored) -> Txn {
        txn.check(Check::RevIs(SPACE, task_key(lane, stored.task.id), stored.rev))
    }

    /// A task after an attempt: later, or in its place with the time of the next one. Nothing happens to one that was taken off.
    pub fn put_again(
        &self,
        lane: &LaneId,
        stored: &Stored,
        due_ms: u64,
        body: Option<&Bytes>,
        is_ordered: bool,
    ) -> Txn {
        let Stored { task, .. } = stored;
        let key = task_key(lane, task.id);
        let txn = Txn::new(lane.shard).check(Check::RevIs(SPACE, key.clone(), stored.rev));
        let id = if is_ordered { task.id } else { TaskId { due_ms, sequence: task.id.sequence } };
        let body = body.unwrap_or(&task.body);
        let mut txn = if id == task.id { txn } else { txn.delete(SPACE, key) };
        let (lo, hi) = of("body", lane).u64(id.sequence).range();
        txn = txn.delete_range(SPACE, lo, hi);
        txn = txn.put(SPACE, task_key(lane, id), head(task.created_ms, task.attempts + 1, due_ms, body));
        put_rest(txn, lane, id, body)
    }

    /// Tasks after `after`, in order.
    pub async fn page(&self, lane: &LaneId, after: Option<TaskId>, limit: u32) -> Result<Vec<Stored>, ApiError> {
        let (mut lo, hi) = of("task", lane).range();
        if let Some(after) = after {
            let mut key = task_key(lane, after).to_vec();
            key.push(0);
            lo = key.into();
        }
        let read = Read::Range { space: SPACE, lo, hi, limit, bytes: limits::DELIVERY_PAGE_BYTES, reverse: false };
        let (_, mut rows) = self.store.read(lane.shard, vec![read]).await.map_err(|e| failed("Reading tasks", &e))?;
        let rows = rows.pop().unwrap_or_default();
        rows.iter().map(|row| read_head(lane, &row.key, &row.value, row.rev).ok_or_else(damaged)).collect()
    }

    /// The whole body of a task of which the first row is known.
    pub async fn fill(&self, lane: &LaneId, stored: &mut Stored) -> Result<(), ApiError> {
        if stored.task.body.len() >= stored.body_bytes {
            return Ok(());
        }
        let (lo, hi) = of("body", lane).u64(stored.task.id.sequence).range();
        let rows = self.store.range(lane.shard, SPACE, lo, hi, u32::MAX).await;
        let rows = rows.map_err(|e| failed("Reading a task", &e))?;
        let mut body = BytesMut::with_capacity(stored.body_bytes);
        body.extend_from_slice(&stored.task.body);
        rows.iter().for_each(|row| body.extend_from_slice(&row.value));
        if body.len() != stored.body_bytes {
            return Err(damaged());
        }
        stored.task.body = body.freeze();
        Ok(())
    }

    /// The lanes of a shard that have tasks.
    pub async fn lanes(&self, shard: Shard) -> Result<Vec<LaneId>, ApiError> {
        let (mut lo, hi) = KeyWriter::new().text("task").range();
        let mut found = Vec::new();
        loop {
            let rows = self.store.range(shard, SPACE, lo, hi.clone(), 1).await;
            let rows = rows.map_err(|e| failed("Looking for tasks", &e))?;
            let Some(row) = rows.first() else { return Ok(found) };
            let mut reader = KeyReader::new(&row.key);
            let (_, Some(owner), Some(name)) = (reader.text(), reader.text(), reader.text()) else {
                return Err(damaged());
            };
            let lane = LaneId { shard, owner, name };
            lo = prefix_end(&of("task", &lane).key());
            found.push(lane);
        }
    }

    pub async fn count(&self, lane: &LaneId) -> Result<u64, ApiError> {
        let mut count = 0;
        let mut after = None;
        loop {
            let page = self.page(lane, after, limits::DELIVERY_PAGE_TASKS).await?;
            let Some(last) = page.last() else { return Ok(count) };
            count += page.len() as u64;
            after = Some(last.task.id);
        }
    }

    /// Whether it was applied; otherwise a check failed.
    pub async fn commit(&self, mut txn: Txn) -> Result<bool, ApiError> {
        txn.id = Some(id::random());
        for _ in 0..UNKNOWN_ATTEMPTS_MAX {
            match self.store.commit(txn.clone()).await.map_err(|e| failed("Writing a task", &e))? {
                Outcome::Done(_) => return Ok(true),
                Outcome::Conflict { .. } => return Ok(false),
                Outcome::Unknown => {}
            }
        }
        Err(ApiError::internal("the end of writing a task stayed unknown"))
    }

    /// New tasks, all or none.
    pub async fn commit_all(&self, mut txns: Vec<Txn>) -> Result<(), ApiError> {
        let taken = || ApiError::internal("a task's number is taken");
        match txns.len() {
            0 => return Ok(()),
            1 => {
                let one = txns.remove(0);
                return if self.commit(one).await? { Ok(()) } else { Err(taken()) };
            }
            _ => {}
        }
        if let Some(first) = txns.first_mut() {
            first.id = Some(id::random());
        }
        for _ in 0..UNKNOWN_ATTEMPTS_MAX {
            match self.store.commit_multi(txns.clone()).await.map_err(|e| failed("Writing tasks", &e))? {
                MultiOutcome::Done(_) => return Ok(()),
                MultiOutcome::Conflict { .. } => return Err(taken()),
                MultiOutcome::Unknown => {}
            }
        }
        Err(ApiError::internal("the end of writing tasks stayed unknown"))
    }
}

fn put_rest(mut txn: Txn, lane: &LaneId, id: TaskId, body: &Bytes) -> Txn {
    let mut from = ROW_BYTES_MAX;
    let mut piece = 0;
    while from < body.len() {
        let to = (from + ROW_BYTES_MAX).min(body.len());
        txn = txn.put(SPACE, body_key(lane, id.sequence, piece), body.slice(from..to));
        from = to;
        piece += 1;
    }
    txn
}
