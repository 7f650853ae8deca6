//! What the process knows of a queue besides what is stored: who waits, what is being handed out, who sends in turn.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, PoisonError};

use cumulet_base::limits::{QUEUE_ATTEMPTS_MAX, QUEUE_BATCH_MAX, QUEUE_DEDUPLICATION_MS};
use tokio::sync::{MutexGuard, Notify};

use crate::model::Queue;

/// Message groups share these locks, by chance.
const STRIPES: usize = 32;

#[derive(Default)]
pub struct Lanes(Mutex<HashMap<String, Arc<Lane>>>);

impl Lanes {
    pub fn of(&self, queue: &Queue) -> Arc<Lane> {
        let mut lanes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lanes.entry(queue.id.clone()).or_default().clone()
    }

    /// The queue is gone: who waits for it is told.
    pub fn forget(&self, queue: &Queue) {
        let lane = self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&queue.id);
        if let Some(lane) = lane {
            lane.arrived.notify_waiters();
        }
    }
}

#[derive(Default)]
pub struct Lane {
    pub arrived: Notify,
    /// One receiver at a time chooses; the commit of its choice goes on beside the next one's.
    pub choosing: tokio::sync::Mutex<()>,
    /// Messages being handed out; of a FIFO queue, groups.
    pub messages: Mutex<HashSet<u64>>,
    pub groups: Mutex<HashSet<String>>,
    /// The message group of a standard queue behind which the search for quiet ones goes on.
    pub looked_at: Mutex<String>,
    attempts: Mutex<HashMap<String, Attempt>>,
    stripes: [tokio::sync::Mutex<()>; STRIPES],
}

/// What a receive under an attempt's id was given: sequences, and how often each had been received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    pub at_ms: u64,
    pub given: Vec<(u64, u64)>,
}

impl Lane {
    /// So many messages came; each receiver that waits takes one or more.
    pub fn wake(&self, messages: usize) {
        for _ in 0..messages.min(QUEUE_BATCH_MAX) {
            self.arrived.notify_one();
        }
    }

    /// Times have changed that waiting receivers reckon with.
    pub fn wake_all(&self) {
        self.arrived.notify_waiters();
    }

    /// Held while messages of these groups are being put in.
    pub async fn in_turn<'a>(&self, groups: impl Iterator<Item = &'a str>) -> Vec<MutexGuard<'_, ()>> {
        let stripe = |group: &str| {
            let mut hasher = DefaultHasher::new();
            group.hash(&mut hasher);
            (hasher.finish() % STRIPES as u64) as usize
        };
        // In one order for all, so that nobody waits in a circle.
        let stripes: BTreeSet<usize> = groups.map(stripe).collect();
        let mut held = Vec::with_capacity(stripes.len());
        for stripe in stripes {
            held.push(self.stripes[stripe].lock().await);
        }
        held
    }

    /// What the attempt was given, if it is to be given again.
    pub fn attempt(&self, id: &str, now_ms: u64) -> Option<Attempt> {
        let attempts = self.attempts.lock().unwrap_or_else(PoisonError::into_inner);
        attempts.get(id).filter(|attempt| attempt.at_ms + QUEUE_DEDUPLICATION_MS > now_ms).cloned()
    }

    pub fn remember(&self, id: &str, attempt: Attempt) {
        let mut attempts = self.attempts.lock().unwrap_or_else(PoisonError::into_inner);
        if attempts.len() >= QUEUE_ATTEMPTS_MAX {
            attempts.retain(|_, old| old.at_ms + QUEUE_DEDUPLICATION_MS > attempt.at_ms);
        }
        if attempts.len() < QUEUE_ATTEMPTS_MAX {
            attempts.insert(id.to_owned(), attempt);
        }
    }
}

/// What one receiver has chosen and not yet moved; others pass it by. Given back also when the caller goes away, and then
/// the next one who waits looks.
pub struct Claim<'a, T: Eq + Hash> {
    lane: &'a Lane,
    all: &'a Mutex<HashSet<T>>,
    pub taken: Vec<T>,
    pub is_done: bool,
}

impl<'a, T: Eq + Hash + Clone> Claim<'a, T> {
    /// The first of them that nobody else has, at most `max`.
    pub fn first(lane: &'a Lane, all: &'a Mutex<HashSet<T>>, of: &[T], max: usize) -> Claim<'a, T> {
        let mut claimed = all.lock().unwrap_or_else(PoisonError::into_inner);
        let free = of.iter().filter(|one| claimed.insert((*one).clone()));
        let taken = free.take(max).cloned().collect();
        Claim { lane, all, taken, is_done: false }
    }
}

impl<T: Eq + Hash> Drop for Claim<'_, T> {
    fn drop(&mut self) {
        let mut claimed = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        for one in &self.taken {
            claimed.remove(one);
        }
        drop(claimed);
        if !self.is_done && !self.taken.is_empty() {
            self.lane.arrived.notify_one();
        }
    }
}
