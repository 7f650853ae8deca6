//! Rows of messages. Those of a standard queue lie in the order of the time they become visible, so that a receive is a
//! short range, however many are queued; those with a message group apart, and once more under their group, so that other
//! groups' are found beneath a noisy one's.

use bytes::Bytes;
use cumulet_store::{Check, Key, KeyReader, Read, Row, StoreExt, Txn};
use cumulet_wire::error::ApiError;

use super::tally::Note;
use super::{ATTEMPTS_MAX, Found, SPACE, Storage, decode, encode, of, reading, shard};
use crate::model::{Content, Queue, State};

/// Bytes of a message in one row, below the store's bound of a value.
const ROW_BYTES_MAX: usize = 48 * 1024;

/// What becomes of a message: another state, or nothing.
pub type Change = (Found, Option<State>);

/// Visible from when on, and which message.
pub(super) type At = (u64, u64);

/// In which order of time a message stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// Of a FIFO queue, or without a message group.
    Alone,
    /// Of a standard queue, with a group.
    Grouped,
}

impl Standing {
    pub const ALL: [Standing; 2] = [Standing::Alone, Standing::Grouped];

    pub fn of(queue: &Queue, state: &State) -> Standing {
        if queue.is_fifo() || state.group.is_none() { Standing::Alone } else { Standing::Grouped }
    }

    pub fn kind(self) -> &'static str {
        match self {
            Standing::Alone => "when",
            Standing::Grouped => "grouped",
        }
    }
}

/// A message that may be received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Due {
    pub visible_ms: u64,
    pub sequence: u64,
    /// Of standard queues.
    pub group: Option<String>,
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
            let mut notes = Vec::with_capacity(messages.len());
            for (state, content) in messages {
                let sequence = self.next(now_ms);
                txn = insert(txn, queue, sequence, state, content)?;
                notes.push(Note { sequence, was: None, is: Some(state) });
                sequences.push(sequence);
            }
            // Taken only after the clock went back over a restart.
            if self.commit_noted(vec![txn], &[(queue, notes)], now_ms).await? {
                return Ok(sequences);
            }
        }
        Err(ApiError::internal("no free sequence was found"))
    }

    /// Messages that are visible at `now_ms`, the longest visible first, at least as many as asked for and of those without a
    /// group as many as of all others; and when the next one after them will be.
    pub async fn visible(&self, queue: &Queue, now_ms: u64, limit: u32) -> Result<(Vec<Due>, Option<u64>), ApiError> {
        let read = |standing: Standing| {
            let (lo, hi) = of(standing.kind(), queue).range();
            Read::Range { space: SPACE, lo, hi, limit: limit + 1, bytes: u32::MAX, reverse: false }
        };
        let reads = Standing::ALL.map(read).to_vec();
        let (_, rows) = self.store.read(shard(queue), reads).await.map_err(reading)?;
        let mut found = Vec::new();
        for row in rows.iter().flatten() {
            let ((visible_ms, sequence), _, group) = standing_of(row)?;
            found.push(Due { visible_ms, sequence, group });
        }
        found.sort_by_key(|due| (due.visible_ms, due.sequence));
        let next_ms = found.iter().map(|due| due.visible_ms).find(|visible_ms| *visible_ms > now_ms);
        found.retain(|due| due.visible_ms <= now_ms);
        Ok((found, next_ms))
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
            Some(txn) => self.commit_noted(vec![txn], &[(queue, notes(changes))], now_ms).await,
            None => Ok(false),
        }
    }

    /// The transaction of these changes; none if a message is not as it was found.
    async fn changing(&self, queue: &Queue, changes: &[Change], now_ms: u64) -> Result<Option<Txn>, ApiError> {
        let mut txn = Txn::new(shard(queue));
        for (found, to) in changes {
            let key = state_key(queue, found.sequence);
            txn = leaving(txn.check(Check::RevIs(SPACE, key.clone(), found.rev)), queue, found.sequence, &found.state);
            txn = match to {
                Some(state) => standing(txn, queue, found.sequence, state).put(SPACE, key, encode(state)?),
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
        let mut sequence = self.next(now_ms);
        let putting = if to.is_fifo() {
            let (txn, sequences) = self.lining_up(Txn::new(shard(to)), to, &[(state, content)], now_ms).await?;
            sequence = sequences.first().copied().unwrap_or(sequence);
            txn
        } else {
            insert(Txn::new(shard(to)), to, sequence, state, content)?
        };
        let gone = Note { sequence: found.sequence, was: Some(&found.state), is: None };
        let come = Note { sequence, was: None, is: Some(state) };
        // Both or neither, also where the two lie in one shard.
        self.commit_noted(vec![taking, putting], &[(from, vec![gone]), (to, vec![come])], now_ms).await
    }
}

fn notes(changes: &[Change]) -> Vec<Note<'_>> {
    let all = changes.iter();
    all.map(|(found, to)| Note { sequence: found.sequence, was: Some(&found.state), is: to.as_ref() }).collect()
}

pub(super) fn insert(
    mut txn: Txn,
    queue: &Queue,
    sequence: u64,
    state: &State,
    content: &Content,
) -> Result<Txn, ApiError> {
    let key = state_key(queue, sequence);
    txn = txn.check(Check::Absent(SPACE, key.clone())).put(SPACE, key, encode(state)?);
    txn = standing(txn, queue, sequence, state);
    let bytes = Bytes::from(encode(content)?);
    for (part, from) in (0..bytes.len()).step_by(ROW_BYTES_MAX).enumerate() {
        let slice = bytes.slice(from..bytes.len().min(from + ROW_BYTES_MAX));
        txn = txn.put(SPACE, of("body", queue).u64(sequence).u64(part as u64).key(), slice);
    }
    Ok(txn)
}

fn time_key(standing: Standing, queue: &Queue, state: &State, sequence: u64) -> Key {
    of(standing.kind(), queue).u64(state.visible_ms).u64(sequence).key()
}

fn tenant_key(queue: &Queue, group: &str, state: &State, sequence: u64) -> Key {
    of("tenant", queue).text(group).u64(state.visible_ms).u64(sequence).key()
}

/// Puts the rows by which a message is found.
fn standing(txn: Txn, queue: &Queue, sequence: u64, state: &State) -> Txn {
    let mut value = vec![u8::from(state.receives > 0)];
    let standing = Standing::of(queue, state);
    let key = time_key(standing, queue, state, sequence);
    let Some(group) = state.group.as_deref().filter(|_| standing == Standing::Grouped) else {
        return txn.put(SPACE, key, value);
    };
    value.extend(group.as_bytes());
    txn.put(SPACE, key, value).put(SPACE, tenant_key(queue, group, state, sequence), Vec::new())
}

/// Takes them away.
fn leaving(txn: Txn, queue: &Queue, sequence: u64, state: &State) -> Txn {
    let txn = txn.delete(SPACE, time_key(Standing::Alone, queue, state, sequence));
    let Some(group) = state.group.as_deref().filter(|_| !queue.is_fifo()) else { return txn };
    // One that was sent when groups of standard queues had no rows lies where those without a group do.
    let key = time_key(Standing::Grouped, queue, state, sequence);
    txn.delete(SPACE, key).delete(SPACE, tenant_key(queue, group, state, sequence))
}

/// From when on a message is visible and which; whether it was received before; its group.
pub(super) fn standing_of(row: &Row) -> Result<(At, bool, Option<String>), ApiError> {
    let mut reader = KeyReader::new(&row.key);
    let parts = (|| {
        reader.text()?;
        reader.text()?;
        Some((reader.u64()?, reader.u64()?))
    })();
    let at = parts.ok_or_else(|| ApiError::internal("a key of a queue cannot be read"))?;
    let (flag, group) = row.value.split_first().unwrap_or((&0, &[]));
    let group = (!group.is_empty()).then(|| String::from_utf8_lossy(group).into_owned());
    Ok((at, *flag == 1, group))
}
