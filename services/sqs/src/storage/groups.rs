//! Message groups of FIFO queues. The messages of a group stand in line; the group's turn lies at the time its first
//! message may be received, which is not before all of it that is in flight is back or gone. So a receive reads the
//! beginning of the turns, however many messages and groups there are.
//! A group's row changes with everything but a message that joins a line; joining asks that it be there.

use std::collections::{BTreeMap, HashMap};

use cumulet_base::limits::QUEUE_DEDUPLICATION_MS;
use cumulet_store::{Check, Key, KeyReader, KeyWriter, Read, Row, StoreExt, Txn};
use cumulet_wire::error::ApiError;
use serde::{Deserialize, Serialize};

use super::messages::{Change, insert};
use super::tally::Note;
use super::{ATTEMPTS_MAX, Found, SPACE, Storage, decode, encode, of, reading, shard};
use crate::model::{Content, FORMAT, Queue, Sent, State};

/// Messages of one group that are handed out together, at most; more of it are never in flight.
const TOGETHER_MAX: u32 = 10;

/// A group that may be received from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Turn {
    pub group: String,
    pub available_ms: u64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Group {
    v: u8,
    available_ms: u64,
    head: u64,
}

/// That a deduplication id was seen, and what was answered.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Once {
    v: u8,
    sent: Sent,
    sent_ms: u64,
}

fn group_key(queue: &Queue, group: &str) -> Key {
    of("group", queue).text(group).key()
}

fn line(queue: &Queue, group: &str) -> KeyWriter {
    of("line", queue).text(group)
}

fn turn_key(queue: &Queue, group: &Group) -> Key {
    of("turn", queue).u64(group.available_ms).u64(group.head).key()
}

/// Ids lie in slices of time, so that old ones are deleted as one range.
fn once_key(queue: &Queue, slice: u64, message: &Content) -> Key {
    let scope = if queue.is("DeduplicationScope", "messageGroup") { message.group.as_deref() } else { None };
    let id = message.deduplication.as_deref().unwrap_or_default();
    of("once", queue).u64(slice).text(scope.unwrap_or_default()).text(id).key()
}

/// The slice of a time and its neighbours: of another clock's reading, or an older one that still counts.
fn slices(now_ms: u64) -> [u64; 3] {
    let slice = now_ms / QUEUE_DEDUPLICATION_MS;
    [slice.saturating_sub(1), slice, slice + 1]
}

fn last_part(key: &[u8]) -> u64 {
    key.last_chunk::<8>().map_or(0, |tail| u64::from_be_bytes(*tail))
}

impl Storage {
    /// Durable when it returns. A message whose id was seen in the last five minutes is not put in again, and is answered
    /// as the first time. Sends to one group have to come one after the other to be in order.
    pub async fn send_in_order(
        &self,
        queue: &Queue,
        messages: &[(State, Content)],
        now_ms: u64,
    ) -> Result<Vec<Sent>, ApiError> {
        let slices = slices(now_ms);
        for _ in 0..ATTEMPTS_MAX * 8 {
            let keys = messages.iter().flat_map(|(_, message)| slices.map(|slice| once_key(queue, slice, message)));
            let reads = keys.map(|key| Read::Get(SPACE, key)).collect();
            let (_, rows) = self.store.read(shard(queue), reads).await.map_err(reading)?;
            let mut txn = Txn::new(shard(queue));
            // Of a batch, too, the first of an id is the one.
            let mut firsts: HashMap<Key, usize> = HashMap::new();
            let mut answers: Vec<Result<Sent, usize>> = Vec::new();
            let mut fresh: Vec<(&State, &Content)> = Vec::new();
            for ((state, message), seen) in messages.iter().zip(rows.chunks(slices.len())) {
                let live = seen.iter().flatten().map(|row| decode::<Once>(&row.value));
                let live = live.collect::<Result<Vec<_>, _>>()?;
                let live = live.into_iter().find(|once| once.sent_ms + QUEUE_DEDUPLICATION_MS > now_ms);
                let key = once_key(queue, slices[1], message);
                match (live, firsts.get(&key)) {
                    (Some(once), _) => answers.push(Ok(once.sent)),
                    (None, Some(first)) => answers.push(Err(*first)),
                    (None, None) => {
                        for (row, slice) in seen.iter().zip(slices) {
                            txn = txn.check(as_seen(once_key(queue, slice, message), row.first()));
                        }
                        firsts.insert(key, fresh.len());
                        answers.push(Err(fresh.len()));
                        fresh.push((state, message));
                    }
                }
            }
            if fresh.is_empty() {
                return Ok(answers.into_iter().filter_map(Result::ok).collect());
            }
            let (lo, _) = of("once", queue).range();
            txn = txn.delete_range(SPACE, lo, of("once", queue).u64(slices[0]).key());
            let (lined_up, sequences) = self.lining_up(txn, queue, &fresh, now_ms).await?;
            txn = lined_up;
            let mut sent = Vec::with_capacity(fresh.len());
            let mut notes = Vec::with_capacity(fresh.len());
            for ((state, message), sequence) in fresh.iter().zip(sequences) {
                notes.push(Note { sequence, was: None, is: Some(state) });
                let one = Sent { id: message.id.clone(), sequence: Some(sequence) };
                let once = Once { v: FORMAT, sent: one.clone(), sent_ms: now_ms };
                txn = txn.put(SPACE, once_key(queue, slices[1], message), encode(&once)?);
                sent.push(one);
            }
            if self.commit_noted(vec![txn], &[(queue, notes)], now_ms).await? {
                return Ok(answers.into_iter().map(|answer| answer.unwrap_or_else(|at| sent[at].clone())).collect());
            }
        }
        Err(ApiError::internal("the message groups are being changed by too many at once"))
    }

    /// Puts messages at the end of their groups' lines.
    pub(super) async fn lining_up(
        &self,
        mut txn: Txn,
        queue: &Queue,
        messages: &[(&State, &Content)],
        now_ms: u64,
    ) -> Result<(Txn, Vec<u64>), ApiError> {
        let mut groups: Vec<&str> =
            messages.iter().map(|(state, _)| state.group.as_deref().unwrap_or_default()).collect();
        groups.sort_unstable();
        groups.dedup();
        let ends = |group: &&str| {
            let (lo, hi) = line(queue, group).range();
            let end = Read::Range { space: SPACE, lo, hi, limit: 1, bytes: u32::MAX, reverse: true };
            [Read::Get(SPACE, group_key(queue, group)), end]
        };
        let (_, rows) = self.store.read(shard(queue), groups.iter().flat_map(ends).collect()).await.map_err(reading)?;
        let mut known: HashMap<&str, (bool, u64)> = HashMap::new();
        for (group, rows) in groups.iter().zip(rows.chunks(2)) {
            let is_there = !rows[0].is_empty();
            txn = txn.check(if is_there {
                Check::Exists(SPACE, group_key(queue, group))
            } else {
                Check::Absent(SPACE, group_key(queue, group))
            });
            known.insert(group, (is_there, rows[1].first().map_or(0, |row| last_part(&row.key))));
        }
        let mut sequences = Vec::with_capacity(messages.len());
        for (state, content) in messages {
            let group = state.group.as_deref().unwrap_or_default();
            let (is_there, last) = known.get(group).copied().unwrap_or_default();
            // Also after the clock went back.
            let sequence = self.next(now_ms).max(last + 1);
            txn = insert(txn, queue, sequence, state, content)?;
            txn = txn.put(SPACE, line(queue, group).u64(sequence).key(), Vec::new());
            if !is_there {
                let made = Group { v: FORMAT, available_ms: state.visible_ms, head: sequence };
                txn = txn.put(SPACE, turn_key(queue, &made), group.as_bytes().to_vec()).put(
                    SPACE,
                    group_key(queue, group),
                    encode(&made)?,
                );
            }
            known.insert(group, (true, sequence));
            sequences.push(sequence);
        }
        Ok((txn, sequences))
    }

    /// Groups that may be received from at `now_ms`, the longest waiting first, and when the next one after them may be.
    pub async fn turns(&self, queue: &Queue, now_ms: u64, limit: u32) -> Result<(Vec<Turn>, Option<u64>), ApiError> {
        let (lo, hi) = of("turn", queue).range();
        let rows = self.store.range(shard(queue), SPACE, lo, hi, limit + 1).await.map_err(reading)?;
        let mut due = Vec::new();
        for row in rows {
            let mut key = KeyReader::new(&row.key);
            let available_ms = (key.text(), key.text(), key.u64()).2.unwrap_or_default();
            if available_ms > now_ms {
                return Ok((due, Some(available_ms)));
            }
            due.push(Turn { group: String::from_utf8_lossy(&row.value).into_owned(), available_ms });
        }
        Ok((due, None))
    }

    /// The first of a group's line.
    pub async fn front(&self, queue: &Queue, group: &str) -> Result<Vec<Found>, ApiError> {
        let (lo, hi) = line(queue, group).range();
        let rows = self.store.range(shard(queue), SPACE, lo, hi, TOGETHER_MAX).await.map_err(reading)?;
        let sequences: Vec<u64> = rows.iter().map(|row| last_part(&row.key)).collect();
        self.messages(queue, &sequences).await
    }

    /// Adds what changes of messages mean for their groups. `None`: a message is not as it was found.
    pub(super) async fn regrouping(
        &self,
        mut txn: Txn,
        queue: &Queue,
        changes: &[Change],
        now_ms: u64,
    ) -> Result<Option<Txn>, ApiError> {
        let mut by_group: BTreeMap<&str, Vec<&Change>> = BTreeMap::new();
        for change in changes {
            by_group.entry(change.0.state.group.as_deref().unwrap_or_default()).or_default().push(change);
        }
        for (group, changes) in by_group {
            let (lo, hi) = line(queue, group).range();
            // Whatever is in flight is among the first ones.
            let limit = changes.len() as u32 + TOGETHER_MAX + 1;
            let reads = vec![
                Read::Get(SPACE, group_key(queue, group)),
                Read::Range { space: SPACE, lo: lo.clone(), hi: hi.clone(), limit, bytes: u32::MAX, reverse: false },
            ];
            let (seen, rows) = self.store.read(shard(queue), reads).await.map_err(reading)?;
            let Some(row) = rows[0].first() else { return Ok(None) };
            let sequences: Vec<u64> = rows[1].iter().map(|row| last_part(&row.key)).collect();
            let mut states: BTreeMap<u64, State> = self
                .messages(queue, &sequences)
                .await?
                .into_iter()
                .map(|found| (found.sequence, found.state))
                .collect();
            for (found, to) in changes {
                match to {
                    Some(state) => states.insert(found.sequence, state.clone()),
                    None => {
                        txn = txn.delete(SPACE, line(queue, group).u64(found.sequence).key());
                        states.remove(&found.sequence)
                    }
                };
            }
            txn = Storage::turning(txn, queue, group, row, &states, now_ms)?;
            if states.is_empty() {
                // Nobody has joined meanwhile.
                txn = txn.check(Check::RangeUnchangedSince(SPACE, lo, hi, seen));
            }
        }
        Ok(Some(txn))
    }

    /// Moves a group's turn to where these first messages of its line want it, or takes the group away.
    fn turning(
        txn: Txn,
        queue: &Queue,
        group: &str,
        row: &Row,
        states: &BTreeMap<u64, State>,
        now_ms: u64,
    ) -> Result<Txn, ApiError> {
        let old: Group = decode(&row.value)?;
        let txn = txn.check(Check::RevIs(SPACE, group_key(queue, group), row.rev)).delete(SPACE, turn_key(queue, &old));
        let Some((head, first)) = states.first_key_value() else {
            return Ok(txn.delete(SPACE, group_key(queue, group)));
        };
        let in_flight = states.values().filter(|state| state.receives > 0 && state.visible_ms > now_ms);
        let available_ms = in_flight.map(|state| state.visible_ms).max().unwrap_or(first.visible_ms);
        let new = Group { v: FORMAT, available_ms, head: *head };
        Ok(txn.put(SPACE, turn_key(queue, &new), group.as_bytes().to_vec()).put(
            SPACE,
            group_key(queue, group),
            encode(&new)?,
        ))
    }
}

fn as_seen(key: Key, row: Option<&Row>) -> Check {
    match row {
        Some(row) => Check::RevIs(SPACE, key, row.rev),
        None => Check::Absent(SPACE, key),
    }
}
