//! Where queues and messages are kept. The only file that knows the store and the layout of its keys
//! (`docs/formats/sqs.md`). Messages lie in the order of the time they become visible, so that a receive is a short
//! range, however many are queued.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use cumulet_base::id;
use cumulet_base::limits::QUEUE_PAGE_ROWS;
use cumulet_store::{Check, Key, KeyReader, KeyWriter, Outcome, Rev, Shard, Space, Store, StoreExt, Txn};
use cumulet_wire::error::ApiError;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::errors;
use crate::model::{Content, Place, Queue, State};

const SPACE: Space = Space(11);
const UNKNOWN_ATTEMPTS_MAX: usize = 8;
/// Bytes of a message in one row, below the store's bound of a value.
const ROW_BYTES_MAX: usize = 48 * 1024;

pub struct Storage {
    store: Arc<dyn Store>,
    /// The last sequence given out.
    sequence: AtomicU64,
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
    Shard::of(&format!("sqs/{}", queue.id))
}

fn queue_key(place: &Place) -> Key {
    KeyWriter::new().text("queue").text(&place.account).text(&place.region).text(&place.name).key()
}

fn of(kind: &str, queue: &Queue) -> KeyWriter {
    KeyWriter::new().text(kind).text(&queue.id)
}

fn when_key(queue: &Queue, visible_ms: u64, sequence: u64) -> Key {
    of("when", queue).u64(visible_ms).u64(sequence).key()
}

fn state_key(queue: &Queue, sequence: u64) -> Key {
    of("state", queue).u64(sequence).key()
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
        Storage { store, sequence: AtomicU64::new(0) }
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
        let key = queue_key(place);
        let check = match seen {
            Some(rev) => Check::RevIs(SPACE, key.clone(), rev),
            None => Check::Absent(SPACE, key.clone()),
        };
        self.commit(Txn::new(places(place)).check(check).put(SPACE, key, encode(queue)?)).await
    }

    /// Changes a queue's record, again from the start when another was faster.
    pub async fn update(
        &self,
        place: &Place,
        change: impl Fn(&mut Queue) -> Result<(), ApiError>,
    ) -> Result<Queue, ApiError> {
        for _ in 0..UNKNOWN_ATTEMPTS_MAX {
            let (mut queue, rev) = self.find(place).await?.ok_or_else(errors::no_queue)?;
            change(&mut queue)?;
            if self.put_queue(place, &queue, Some(rev)).await? {
                return Ok(queue);
            }
        }
        Err(ApiError::internal("the queue is being changed by too many at once"))
    }

    pub async fn delete_queue(&self, place: &Place) -> Result<Queue, ApiError> {
        let queue = self.queue(place).await?;
        self.commit(Txn::new(places(place)).delete(SPACE, queue_key(place))).await?;
        self.clear(&queue).await?;
        Ok(queue)
    }

    /// Deletes all messages.
    pub async fn clear(&self, queue: &Queue) -> Result<(), ApiError> {
        let mut txn = Txn::new(shard(queue));
        for kind in ["when", "state", "body"] {
            let (lo, hi) = of(kind, queue).range();
            txn = txn.delete_range(SPACE, lo, hi);
        }
        self.commit(txn).await.map(drop)
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
    fn next(&self, now_ms: u64) -> u64 {
        let floor = now_ms << 20;
        let next = |last: u64| Some(floor.max(last + 1));
        let last = self.sequence.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
        floor.max(last.unwrap_or_default() + 1)
    }

    /// Durable when it returns; answers each message's sequence.
    pub async fn send(&self, queue: &Queue, messages: &[(State, Content)], now_ms: u64) -> Result<Vec<u64>, ApiError> {
        for _ in 0..UNKNOWN_ATTEMPTS_MAX {
            let mut txn = Txn::new(shard(queue));
            let mut sequences = Vec::with_capacity(messages.len());
            for (state, content) in messages {
                let sequence = self.next(now_ms);
                txn = insert(txn, queue, sequence, state, content)?;
                sequences.push(sequence);
            }
            // Taken only after the clock went back over a restart.
            if self.commit(txn).await? {
                return Ok(sequences);
            }
        }
        Err(ApiError::internal("no free sequence was found"))
    }

    /// Messages that are visible at `now_ms`, the longest visible first, and when the next one after them will be.
    pub async fn visible(&self, queue: &Queue, now_ms: u64, limit: u32) -> Result<(Vec<u64>, Option<u64>), ApiError> {
        let (lo, hi) = of("when", queue).range();
        let rows = self.store.range(shard(queue), SPACE, lo, hi, limit + 1).await.map_err(reading)?;
        let mut due = Vec::new();
        for row in rows {
            let (visible_ms, sequence) = when_of(&row.key)?;
            if visible_ms > now_ms {
                return Ok((due, Some(visible_ms)));
            }
            due.push(sequence);
        }
        Ok((due, None))
    }

    pub async fn message(&self, queue: &Queue, sequence: u64) -> Result<Option<Found>, ApiError> {
        let row = self.store.get(shard(queue), SPACE, state_key(queue, sequence)).await.map_err(reading)?;
        row.map(|row| Ok(Found { sequence, state: decode(&row.value)?, rev: row.rev })).transpose()
    }

    pub async fn content(&self, queue: &Queue, sequence: u64) -> Result<Option<Content>, ApiError> {
        let (lo, hi) = of("body", queue).u64(sequence).range();
        let rows = self.store.range(shard(queue), SPACE, lo, hi, u32::MAX).await.map_err(reading)?;
        let bytes: Vec<u8> = rows.iter().flat_map(|row| row.value.iter().copied()).collect();
        if bytes.is_empty() { Ok(None) } else { decode(&bytes).map(Some) }
    }

    /// Moves messages to new times; whether none of them had changed meanwhile.
    pub async fn shift(&self, queue: &Queue, moves: &[(Found, State)]) -> Result<bool, ApiError> {
        let mut txn = Txn::new(shard(queue));
        for (found, state) in moves {
            let key = state_key(queue, found.sequence);
            txn = txn
                .check(Check::RevIs(SPACE, key.clone(), found.rev))
                .delete(SPACE, when_key(queue, found.state.visible_ms, found.sequence))
                .put(SPACE, when_key(queue, state.visible_ms, found.sequence), when_value(state))
                .put(SPACE, key, encode(state)?);
        }
        self.commit(txn).await
    }

    /// Whether it was there unchanged, and is gone now.
    pub async fn delete(&self, queue: &Queue, found: &Found) -> Result<bool, ApiError> {
        let key = state_key(queue, found.sequence);
        let (lo, hi) = of("body", queue).u64(found.sequence).range();
        let txn = Txn::new(shard(queue))
            .check(Check::RevIs(SPACE, key.clone(), found.rev))
            .delete(SPACE, key)
            .delete(SPACE, when_key(queue, found.state.visible_ms, found.sequence))
            .delete_range(SPACE, lo, hi);
        self.commit(txn).await
    }

    /// Puts a message into its dead letter queue and takes it out of its own. A stop between the two repeats the first,
    /// which changes nothing: the sequence stays.
    pub async fn bury(
        &self,
        from: &Queue,
        to: &Queue,
        found: &Found,
        state: &State,
        content: &Content,
    ) -> Result<(), ApiError> {
        let txn = insert(Txn::new(shard(to)), to, found.sequence, state, content)?;
        self.commit(txn).await?;
        self.delete(from, found).await.map(drop)
    }

    pub async fn counts(&self, queue: &Queue, now_ms: u64) -> Result<Counts, ApiError> {
        let (mut lo, hi) = of("when", queue).range();
        let mut counts = Counts::default();
        loop {
            let page = self.store.range(shard(queue), SPACE, lo, hi.clone(), QUEUE_PAGE_ROWS * 10).await;
            let page = page.map_err(reading)?;
            for row in &page {
                let (visible_ms, _) = when_of(&row.key)?;
                if visible_ms <= now_ms {
                    counts.visible += 1;
                } else if row.value.first() == Some(&1) {
                    counts.in_flight += 1;
                } else {
                    counts.delayed += 1;
                }
            }
            match page.last() {
                Some(last) => lo = [&last.key[..], &[0]].concat().into(),
                None => return Ok(counts),
            }
        }
    }

    /// Whether it was done; otherwise a check failed.
    async fn commit(&self, mut txn: Txn) -> Result<bool, ApiError> {
        txn.id = Some(id::random());
        for _ in 0..UNKNOWN_ATTEMPTS_MAX {
            let outcome = self.store.commit(txn.clone()).await;
            match outcome.map_err(|error| errors::storage("Writing a queue", &error))? {
                Outcome::Done(_) => return Ok(true),
                Outcome::Conflict { .. } => return Ok(false),
                Outcome::Unknown => {}
            }
        }
        Err(ApiError::internal("the end of a commit stayed unknown"))
    }
}

fn insert(mut txn: Txn, queue: &Queue, sequence: u64, state: &State, content: &Content) -> Result<Txn, ApiError> {
    let key = state_key(queue, sequence);
    txn = txn.check(Check::Absent(SPACE, key.clone())).put(SPACE, key, encode(state)?).put(
        SPACE,
        when_key(queue, state.visible_ms, sequence),
        when_value(state),
    );
    let bytes = Bytes::from(encode(content)?);
    for (part, from) in (0..bytes.len()).step_by(ROW_BYTES_MAX).enumerate() {
        let slice = bytes.slice(from..bytes.len().min(from + ROW_BYTES_MAX));
        txn = txn.put(SPACE, of("body", queue).u64(sequence).u64(part as u64).key(), slice);
    }
    Ok(txn)
}

fn when_value(state: &State) -> Bytes {
    Bytes::copy_from_slice(&[u8::from(state.receives > 0)])
}

fn when_of(key: &[u8]) -> Result<(u64, u64), ApiError> {
    let mut reader = KeyReader::new(key);
    let parts = (|| {
        reader.text()?;
        reader.text()?;
        Some((reader.u64()?, reader.u64()?))
    })();
    parts.ok_or_else(|| ApiError::internal("a key of a queue cannot be read"))
}
