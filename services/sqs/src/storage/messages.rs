//! Rows of messages. Those of a standard queue lie in the order of the time they become visible, so that a receive is a
//! short range, however many are queued.

use bytes::Bytes;
use cumulet_base::limits::QUEUE_PAGE_ROWS;
use cumulet_store::{Check, Key, KeyReader, Read, StoreExt, Txn};
use cumulet_wire::error::ApiError;

use super::{ATTEMPTS_MAX, Counts, Found, SPACE, Storage, decode, encode, of, reading, shard};
use crate::model::{Content, Queue, State};

/// Bytes of a message in one row, below the store's bound of a value.
const ROW_BYTES_MAX: usize = 48 * 1024;

/// What becomes of a message: another state, or nothing.
pub type Change = (Found, Option<State>);

pub(super) fn when_key(queue: &Queue, visible_ms: u64, sequence: u64) -> Key {
    of("when", queue).u64(visible_ms).u64(sequence).key()
}

pub(super) fn state_key(queue: &Queue, sequence: u64) -> Key {
    of("state", queue).u64(sequence).key()
}

impl Storage {
    /// Durable when it returns; answers each message's sequence. Not for FIFO queues.
    pub async fn send(&self, queue: &Queue, messages: &[(State, Content)], now_ms: u64) -> Result<Vec<u64>, ApiError> {
        for _ in 0..ATTEMPTS_MAX {
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
        let found = self.messages(queue, &[sequence]).await?;
        Ok(found.into_iter().next())
    }

    /// Those of them that are there, in their order.
    pub async fn messages(&self, queue: &Queue, sequences: &[u64]) -> Result<Vec<Found>, ApiError> {
        let reads = sequences.iter().map(|sequence| Read::Get(SPACE, state_key(queue, *sequence))).collect();
        let (_, rows) = self.store.read(shard(queue), reads).await.map_err(reading)?;
        let found = sequences.iter().zip(rows).filter_map(|(sequence, mut row)| Some((*sequence, row.pop()?)));
        found.map(|(sequence, row)| Ok(Found { sequence, state: decode(&row.value)?, rev: row.rev })).collect()
    }

    /// One for each, where it is there.
    pub async fn contents(&self, queue: &Queue, sequences: &[u64]) -> Result<Vec<Option<Content>>, ApiError> {
        let body = |sequence: &u64| {
            let (lo, hi) = of("body", queue).u64(*sequence).range();
            Read::Range { space: SPACE, lo, hi, limit: u32::MAX, bytes: u32::MAX, reverse: false }
        };
        let (_, rows) = self.store.read(shard(queue), sequences.iter().map(body).collect()).await.map_err(reading)?;
        rows.iter()
            .map(|rows| match rows.as_slice() {
                [] => Ok(None),
                [one] => decode(&one.value).map(Some),
                parts => decode(&parts.iter().flat_map(|row| row.value.iter().copied()).collect::<Vec<u8>>()).map(Some),
            })
            .collect()
    }

    /// The earliest messages up to and with a sequence.
    pub async fn earliest(&self, queue: &Queue, upto: u64, limit: u32) -> Result<Vec<Found>, ApiError> {
        let (lo, _) = of("state", queue).range();
        let hi = state_key(queue, upto.saturating_add(1));
        let rows = self.store.range(shard(queue), SPACE, lo, hi, limit).await.map_err(reading)?;
        rows.iter()
            .map(|row| {
                let mut key = KeyReader::new(&row.key);
                let sequence = (key.text(), key.text(), key.u64()).2.unwrap_or_default();
                Ok(Found { sequence, state: decode(&row.value)?, rev: row.rev })
            })
            .collect()
    }

    /// Makes all the changes, unless one of the messages had changed meanwhile. Whether it did.
    pub async fn change(&self, queue: &Queue, changes: &[Change], now_ms: u64) -> Result<bool, ApiError> {
        match self.changing(queue, changes, now_ms).await? {
            Some(txn) => self.commit(txn).await,
            None => Ok(false),
        }
    }

    /// The transaction of these changes; none if a message is not as it was found.
    async fn changing(&self, queue: &Queue, changes: &[Change], now_ms: u64) -> Result<Option<Txn>, ApiError> {
        let mut txn = Txn::new(shard(queue));
        for (found, to) in changes {
            let key = state_key(queue, found.sequence);
            txn = txn
                .check(Check::RevIs(SPACE, key.clone(), found.rev))
                .delete(SPACE, when_key(queue, found.state.visible_ms, found.sequence));
            txn = match to {
                Some(state) => txn
                    .put(SPACE, when_key(queue, state.visible_ms, found.sequence), when_value(state))
                    .put(SPACE, key, encode(state)?),
                None => {
                    let (lo, hi) = of("body", queue).u64(found.sequence).range();
                    txn.delete(SPACE, key).delete_range(SPACE, lo, hi)
                }
            };
        }
        if queue.is_fifo() { self.regrouping(txn, queue, changes, now_ms).await } else { Ok(Some(txn)) }
    }

    /// Takes a message out of its queue and puts it into another one, in one commit. Whether it was as found.
    pub async fn relocate(
        &self,
        from: &Queue,
        to: &Queue,
        found: &Found,
        state: &State,
        content: &Content,
        now_ms: u64,
    ) -> Result<bool, ApiError> {
        let Some(taking) = self.changing(from, &[(found.clone(), None)], now_ms).await? else { return Ok(false) };
        let sequence = self.next(now_ms);
        let putting = if to.is_fifo() {
            self.lining_up(Txn::new(shard(to)), to, &[(state, content)], now_ms).await?.0
        } else {
            insert(Txn::new(shard(to)), to, sequence, state, content)?
        };
        self.commit_both(taking, putting).await
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
}

pub(super) fn insert(
    mut txn: Txn,
    queue: &Queue,
    sequence: u64,
    state: &State,
    content: &Content,
) -> Result<Txn, ApiError> {
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
