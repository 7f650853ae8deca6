//! What the process knows of a queue's messages: how many there are, which of them are in flight, and whose those are. It is
//! read from the store when it is first asked for, the latest first, and kept with every commit from then on; so an answer
//! costs no look at the queue, however many are queued. After a commit whose end nobody saw it is read anew.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cumulet_base::limits::QUEUE_TALLY_ROWS;
use cumulet_store::{Read, StoreExt, Txn};
use cumulet_wire::error::ApiError;
use tokio::sync::{OwnedRwLockReadGuard, RwLock};

use super::messages::{At, Standing, standing_of};
use super::{Counts, SPACE, Storage, of, reading, shard};
use crate::errors;
use crate::model::{Queue, State};
use crate::tenants::Tenants;

/// What a commit makes of a message.
pub(super) struct Note<'a> {
    pub sequence: u64,
    pub was: Option<&'a State>,
    pub is: Option<&'a State>,
}

#[derive(Default)]
pub struct Tally {
    /// Commits hold it together, a look at the store alone: it sees each commit and its note, or neither.
    gate: Arc<RwLock<()>>,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    /// Rows from here on are known; none of a kind that was not looked at yet.
    from: [Option<At>; Standing::ALL.len()],
    rows: u64,
    in_flight: BTreeMap<At, InFlight>,
    delayed: BTreeMap<u64, u64>,
    tenants: Tenants,
}

struct InFlight {
    group: Option<Arc<str>>,
    since_ms: u64,
}

impl Known {
    fn knows(&self, standing: Standing, at: At) -> bool {
        self.from[standing as usize].is_some_and(|from| at >= from)
    }

    /// Where it is reckoned with that time has passed.
    fn advance(&mut self, now_ms: u64) {
        while let Some(entry) = self.in_flight.first_entry().filter(|entry| entry.key().0 <= now_ms) {
            let ((visible_ms, _), held) = entry.remove_entry();
            let held_ms = visible_ms.saturating_sub(held.since_ms);
            self.tenants.let_go(held.group.as_ref(), held_ms, now_ms);
        }
        while let Some(entry) = self.delayed.first_entry().filter(|entry| *entry.key() <= now_ms) {
            entry.remove();
        }
    }

    fn add(&mut self, at: At, was_received: bool, group: Option<Arc<str>>, since_ms: u64, now_ms: u64) {
        self.rows += 1;
        if at.0 <= now_ms {
            return;
        }
        if !was_received {
            *self.delayed.entry(at.0).or_default() += 1;
            return;
        }
        if let Some(group) = &group {
            self.tenants.taken(group);
        }
        self.in_flight.insert(at, InFlight { group, since_ms });
    }

    /// Since when it was in flight, if it was.
    fn take(&mut self, at: At, was_received: bool, now_ms: u64) -> Option<u64> {
        self.rows = self.rows.saturating_sub(1);
        if was_received {
            let held = self.in_flight.remove(&at)?;
            self.tenants.let_go(held.group.as_ref(), now_ms.saturating_sub(held.since_ms), now_ms);
            return Some(held.since_ms);
        }
        if let Some(count) = self.delayed.get_mut(&at.0) {
            *count -= 1;
            if *count == 0 {
                self.delayed.remove(&at.0);
            }
        }
        None
    }

    fn note(&mut self, queue: &Queue, note: &Note<'_>, now_ms: u64) {
        self.advance(now_ms);
        let mut since_ms = None;
        if let Some(was) = note.was {
            let at = (was.visible_ms, note.sequence);
            if self.knows(Standing::of(queue, was), at) {
                since_ms = self.take(at, was.receives > 0, now_ms);
            }
        }
        let Some(is) = note.is else { return };
        let group: Option<Arc<str>> = is.group.as_deref().filter(|_| !queue.is_fifo()).map(Arc::from);
        if let Some(group) = group.as_ref().filter(|_| note.was.is_none()) {
            self.tenants.sent(group, now_ms);
        }
        let at = (is.visible_ms, note.sequence);
        if self.knows(Standing::of(queue, is), at) {
            // Longer in flight is still the same handling.
            let is_same = note.was.is_some_and(|was| was.receives == is.receives);
            self.add(at, is.receives > 0, group, since_ms.filter(|_| is_same).unwrap_or(now_ms), now_ms);
        }
    }

    fn forget(&mut self) {
        self.from = Default::default();
        self.rows = 0;
        self.in_flight.clear();
        self.delayed.clear();
        self.tenants.forget_in_flight();
    }

    fn counts(&mut self, now_ms: u64) -> Counts {
        self.advance(now_ms);
        let (in_flight, delayed) = (self.in_flight.len() as u64, self.delayed.values().sum());
        Counts { visible: self.rows.saturating_sub(in_flight + delayed), in_flight, delayed }
    }
}

impl Tally {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Held over a commit. Dropped without an end, what was known is forgotten.
struct Open {
    tally: Arc<Tally>,
    is_ended: bool,
    _gate: OwnedRwLockReadGuard<()>,
}

impl Drop for Open {
    fn drop(&mut self) {
        if !self.is_ended {
            self.tally.known().forget();
        }
    }
}

impl Storage {
    fn tally(&self, queue: &Queue) -> Arc<Tally> {
        let mut tallies = self.tallies.lock().unwrap_or_else(PoisonError::into_inner);
        tallies.entry(queue.id.clone()).or_default().clone()
    }

    /// The queue is gone.
    pub(super) fn forget_tally(&self, queue_id: &str) {
        self.tallies.lock().unwrap_or_else(PoisonError::into_inner).remove(queue_id);
    }

    /// Commits what these notes tell of. Whether it was done; otherwise a check failed.
    pub(super) async fn commit_noted(
        &self,
        txns: Vec<Txn>,
        notes: &[(&Queue, Vec<Note<'_>>)],
        now_ms: u64,
    ) -> Result<bool, ApiError> {
        // In one order for all, so that nobody waits in a circle.
        let mut queues: Vec<&Queue> = notes.iter().map(|(queue, _)| *queue).collect();
        queues.sort_by(|a, b| a.id.cmp(&b.id));
        queues.dedup_by(|a, b| a.id == b.id);
        let mut open = Vec::with_capacity(queues.len());
        for queue in queues {
            let tally = self.tally(queue);
            let gate = tally.gate.clone().read_owned().await;
            open.push(Open { tally, is_ended: false, _gate: gate });
        }
        let is_done =
            self.store.apply(txns).await.map_err(|error| errors::storage("Writing messages of a queue", &error))?;
        if is_done {
            for (queue, notes) in notes {
                let tally = self.tally(queue);
                let mut known = tally.known();
                notes.iter().for_each(|note| known.note(queue, note, now_ms));
            }
        }
        open.iter_mut().for_each(|open| open.is_ended = true);
        Ok(is_done)
    }

    /// Reads on until all rows that are visible from a time on are known.
    async fn learn(&self, queue: &Queue, tally: &Tally, from_ms: u64, now_ms: u64) -> Result<(), ApiError> {
        for standing in Standing::ALL {
            let is_enough = |upto: Option<At>| upto.is_some_and(|upto| upto <= (from_ms, 0));
            while !is_enough(tally.known().from[standing as usize]) {
                let _alone = tally.gate.write().await;
                let upto = tally.known().from[standing as usize];
                if is_enough(upto) {
                    break;
                }
                let (_, end) = of(standing.kind(), queue).range();
                let hi = upto.map_or(end, |(ms, sequence)| of(standing.kind(), queue).u64(ms).u64(sequence).key());
                let lo = of(standing.kind(), queue).u64(from_ms).key();
                let limit = QUEUE_TALLY_ROWS;
                let read = Read::Range { space: SPACE, lo, hi, limit, bytes: u32::MAX, reverse: true };
                let (_, mut rows) = self.store.read(shard(queue), vec![read]).await.map_err(reading)?;
                let rows = rows.pop().unwrap_or_default();
                let mut known = tally.known();
                let mut from = (from_ms, 0);
                for row in &rows {
                    let (at, was_received, group) = standing_of(row)?;
                    known.add(at, was_received, group.map(Arc::from), now_ms, now_ms);
                    if rows.len() as u64 == u64::from(limit) {
                        from = at;
                    }
                }
                known.from[standing as usize] = Some(from);
            }
        }
        Ok(())
    }

    pub async fn counts(&self, queue: &Queue, now_ms: u64) -> Result<Counts, ApiError> {
        let tally = self.tally(queue);
        self.learn(queue, &tally, 0, now_ms).await?;
        let counts = tally.known().counts(now_ms);
        Ok(counts)
    }

    /// Message groups whose share of the consumers is out of proportion, those with the least in flight first.
    pub async fn noisy(&self, queue: &Queue, now_ms: u64) -> Result<Vec<String>, ApiError> {
        let tally = self.tally(queue);
        self.learn(queue, &tally, now_ms + 1, now_ms).await?;
        let mut known = tally.known();
        known.advance(now_ms);
        let in_flight = known.in_flight.len() as u64;
        Ok(known.tenants.noisy(in_flight, now_ms).into_iter().map(|(group, _)| group.to_string()).collect())
    }
}
