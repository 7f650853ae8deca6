//! Where queues and messages are kept. The only file that knows the store and the layout of its keys
//! (`docs/formats/sqs.md`). Messages lie in the order of the time they become visible, so that a receive is a short
//! range, however many are queued.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use cumulet_store::{Check, Key, KeyReader, KeyWriter, Rev, Shard, Space, Store, StoreExt, Txn};
use cumulet_wire::error::ApiError;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::errors;
use crate::model::{Place, Queue, State};

mod groups;
mod messages;
mod moves;
mod tally;
mod tenants;

pub use messages::{Change, Due};

const SPACE: Space = Space(11);
/// How often a change begins anew when another was faster.
const ATTEMPTS_MAX: usize = 8;
/// Rows that one step of clearing deletes, so that others' commits are not held up.
const CLEAR_ROWS: u32 = 2000;

pub struct Storage {
    store: Arc<dyn Store>,
    /// The last sequence given out.
    sequence: AtomicU64,
    tallies: Mutex<HashMap<String, Arc<tally::Tally>>>,
}

/// A message as found, with what a change of it is checked against.
#[derive(Clone, Debug)]
pub struct Found {
    pub sequence: u64,
    pub state: State,
    pub rev: Rev,
}

#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    pub visible: u64,
    pub in_flight: u64,
    pub delayed: u64,
}

fn places(place: &Place) -> Shard {
    Shard::of(&format!("sqs/{}/{}", place.account, place.region))
}

fn shard(queue: &Queue) -> Shard {
    shard_of(&queue.id)
}

fn shard_of(queue_id: &str) -> Shard {
    Shard::of(&format!("sqs/{queue_id}"))
}

fn queue_key(place: &Place) -> Key {
    KeyWriter::new().text("queue").text(&place.account).text(&place.region).text(&place.name).key()
}

fn of(kind: &str, queue: &Queue) -> KeyWriter {
    KeyWriter::new().text(kind).text(&queue.id)
}

fn encode(value: &impl Serialize) -> Result<Vec<u8>, ApiError> {
    serde_json::to_vec(value).map_err(|e| ApiError::internal(format!("writing a record of a queue: {e}")))
}

fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    serde_json::from_slice(bytes).map_err(|e| ApiError::internal(format!("reading a record of a queue: {e}")))
}

fn reading(error: cumulet_store::Error) -> ApiError {
    errors::storage("Reading a queue", &error)
}

impl Storage {
    pub fn new(store: Arc<dyn Store>) -> Storage {
        Storage { store, sequence: AtomicU64::new(0), tallies: Mutex::default() }
    }

    pub async fn queue(&self, place: &Place) -> Result<Queue, ApiError> {
        Ok(self.find(place).await?.ok_or_else(errors::no_queue)?.0)
    }

    pub async fn find(&self, place: &Place) -> Result<Option<(Queue, Rev)>, ApiError> {
        let row = self.store.get(places(place), SPACE, queue_key(place)).await.map_err(reading)?;
        row.map(|row| Ok((decode(&row.value)?, row.rev))).transpose()
    }

    /// Whether it was written; otherwise another was faster.
    pub async fn put_queue(&self, place: &Place, queue: &Queue, seen: Option<Rev>) -> Result<bool, ApiError> {
        self.put_queue_and(place, queue, seen, Ok).await
    }

    /// The same, with something more in the commit.
    pub async fn put_queue_and(
        &self,
        place: &Place,
        queue: &Queue,
        seen: Option<Rev>,
        also: impl FnOnce(Txn) -> Result<Txn, ApiError>,
    ) -> Result<bool, ApiError> {
        let key = queue_key(place);
        let check = match seen {
            Some(rev) => Check::RevIs(SPACE, key.clone(), rev),
            None => Check::Absent(SPACE, key.clone()),
        };
        self.commit(also(Txn::new(places(place)).check(check).put(SPACE, key, encode(queue)?))?).await
    }

    /// Changes a queue's record, again from the start when another was faster.
    pub async fn update(
        &self,
        place: &Place,
        change: impl Fn(&mut Queue) -> Result<(), ApiError>,
    ) -> Result<Queue, ApiError> {
        self.update_and(place, change, Ok).await
    }

    /// The same, with something more in the commit.
    pub async fn update_and(
        &self,
        place: &Place,
        change: impl Fn(&mut Queue) -> Result<(), ApiError>,
        mut also: impl FnMut(Txn) -> Result<Txn, ApiError>,
    ) -> Result<Queue, ApiError> {
        for _ in 0..ATTEMPTS_MAX {
            let (mut queue, rev) = self.find(place).await?.ok_or_else(errors::no_queue)?;
            change(&mut queue)?;
            if self.put_queue_and(place, &queue, Some(rev), &mut also).await? {
                return Ok(queue);
            }
        }
        Err(ApiError::internal("the queue is being changed by too many at once"))
    }

    /// Its messages are deleted by whoever is told in the same commit.
    pub async fn delete_queue(
        &self,
        place: &Place,
        also: impl FnOnce(Txn) -> Result<Txn, ApiError>,
    ) -> Result<(), ApiError> {
        self.commit(also(Txn::new(places(place)).delete(SPACE, queue_key(place)))?).await.map(drop)
    }

    /// Deletes some of the rows of a queue that is gone. Whether there are more.
    pub async fn clear(&self, queue_id: &str) -> Result<bool, ApiError> {
        let shard = shard_of(queue_id);
        self.forget_tally(queue_id);
        for kind in ["when", "grouped", "tenant", "state", "body", "line", "turn", "group", "once", "move"] {
            let (lo, hi) = KeyWriter::new().text(kind).text(queue_id).range();
            let rows = self.store.range(shard, SPACE, lo.clone(), hi, CLEAR_ROWS).await.map_err(reading)?;
            if let Some(last) = rows.last() {
                let after = [&last.key[..], &[0]].concat();
                self.commit(Txn::new(shard).delete_range(SPACE, lo, after)).await?;
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Queues whose name begins with `prefix`, after `after`.
    pub async fn queues(
        &self,
        at: &Place,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<(String, Queue)>, ApiError> {
        let all = KeyWriter::new().text("queue").text(&at.account).text(&at.region);
        let (mut lo, hi) = all.clone().bytes(prefix.as_bytes()).range();
        if let Some(after) = after {
            // The first key after that of `after`.
            lo = lo.max(all.text(after).bytes(&[0]).key());
        }
        let limit = u32::try_from(limit).unwrap_or(u32::MAX);
        let rows = self.store.range(places(at), SPACE, lo, hi, limit).await.map_err(reading)?;
        rows.iter()
            .map(|row| {
                let mut key = KeyReader::new(&row.key);
                let name = (0..4).map(|_| key.text()).last().flatten().unwrap_or_default();
                Ok((name, decode(&row.value)?))
            })
            .collect()
    }

    /// A number that grows from message to message.
    pub fn next(&self, now_ms: u64) -> u64 {
        let floor = now_ms << 20;
        let next = |last: u64| Some(floor.max(last + 1));
        let last = self.sequence.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
        floor.max(last.unwrap_or_default() + 1)
    }

    /// Whether it was done; otherwise a check failed.
    async fn commit(&self, txn: Txn) -> Result<bool, ApiError> {
        self.store.apply(vec![txn]).await.map_err(|error| errors::storage("Writing a queue", &error))
    }
}
