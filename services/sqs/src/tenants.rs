//! Who of those that share a standard queue is noisy: fair queues
//! (<https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-fair-queues-detailed.html>). A message
//! group is a tenant, and so is each message without one. Kept in memory only: after a start, shares are what they have
//! become since.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use cumulet_base::limits::{QUEUE_NOISE_IN_FLIGHT_MIN, QUEUE_NOISE_QUIET_MS, QUEUE_NOISE_WINDOW_MS, QUEUE_TENANTS_MAX};

/// More than one of so many parts is a share that is out of proportion.
const PARTS: u64 = 10;

#[derive(Default)]
pub struct Tenants {
    in_flight: HashMap<Arc<str>, u64>,
    /// Of this window and the one before it.
    spent: [Spent; 2],
    window_ms: u64,
    sent_ms: HashMap<Arc<str>, u64>,
    /// When this began to be watched: what was sent earlier is not known.
    watched_ms: u64,
}

/// How long consumers held messages, by tenant.
#[derive(Default)]
struct Spent {
    all_ms: u64,
    by_group_ms: HashMap<Arc<str>, u64>,
}

impl Tenants {
    pub fn sent(&mut self, group: &Arc<str>, now_ms: u64) {
        self.turn(now_ms);
        if self.sent_ms.len() < QUEUE_TENANTS_MAX || self.sent_ms.contains_key(group) {
            self.sent_ms.insert(group.clone(), now_ms);
        }
    }

    pub fn taken(&mut self, group: &Arc<str>) {
        *self.in_flight.entry(group.clone()).or_default() += 1;
    }

    /// No longer in flight, after so long; `None` is a message of no group.
    pub fn let_go(&mut self, group: Option<&Arc<str>>, held_ms: u64, now_ms: u64) {
        self.turn(now_ms);
        self.spent[0].all_ms += held_ms;
        let Some(group) = group else { return };
        if self.spent[0].by_group_ms.len() < QUEUE_TENANTS_MAX {
            *self.spent[0].by_group_ms.entry(group.clone()).or_default() += held_ms;
        }
        if let Some(count) = self.in_flight.get_mut(group) {
            *count -= 1;
            if *count == 0 {
                self.in_flight.remove(group);
            }
        }
    }

    /// What is in flight has to be counted anew.
    pub fn forget_in_flight(&mut self) {
        self.in_flight.clear();
    }

    /// The noisy ones and what they have in flight, those with the least first.
    pub fn noisy(&mut self, in_flight: u64, now_ms: u64) -> Vec<(Arc<str>, u64)> {
        self.turn(now_ms);
        let all_ms = self.spent.iter().map(|spent| spent.all_ms).sum::<u64>();
        let mut suspects: HashSet<&Arc<str>> = self.in_flight.keys().collect();
        suspects.extend(self.spent.iter().flat_map(|spent| spent.by_group_ms.keys()));
        let mut noisy: Vec<(Arc<str>, u64)> = Vec::new();
        for group in suspects {
            let held = self.in_flight.get(group).copied().unwrap_or_default();
            let ms = self.spent.iter().filter_map(|spent| spent.by_group_ms.get(group)).sum::<u64>();
            let is_many = held >= QUEUE_NOISE_IN_FLIGHT_MIN && held * PARTS > in_flight;
            let is_slow = ms * PARTS > all_ms;
            let sent_ms = self.sent_ms.get(group).copied().unwrap_or(self.watched_ms);
            if (is_many || is_slow) && sent_ms + QUEUE_NOISE_QUIET_MS > now_ms {
                noisy.push((group.clone(), held));
            }
        }
        noisy.sort_by(|a, b| (a.1, &a.0).cmp(&(b.1, &b.0)));
        noisy
    }

    fn turn(&mut self, now_ms: u64) {
        if self.watched_ms == 0 {
            (self.watched_ms, self.window_ms) = (now_ms, now_ms);
        }
        if now_ms < self.window_ms + QUEUE_NOISE_WINDOW_MS {
            return;
        }
        let newest = std::mem::take(&mut self.spent[0]);
        // After a long silence nothing of either window is recent.
        self.spent[1] = if now_ms < self.window_ms + 2 * QUEUE_NOISE_WINDOW_MS { newest } else { Spent::default() };
        self.window_ms = now_ms;
        self.sent_ms.retain(|_, sent_ms| *sent_ms + QUEUE_NOISE_QUIET_MS > now_ms);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_795_428_930_123;

    fn names(tenants: &mut Tenants, in_flight: u64, now_ms: u64) -> Vec<String> {
        tenants.noisy(in_flight, now_ms).into_iter().map(|(group, _)| group.to_string()).collect()
    }

    #[test]
    fn many_in_flight_are_noise_from_thirty_on() {
        let (mut tenants, big, small) = (Tenants::default(), Arc::from("big"), Arc::from("small"));
        tenants.sent(&big, NOW);
        (0..29).for_each(|_| tenants.taken(&big));
        tenants.taken(&small);
        assert!(names(&mut tenants, 30, NOW).is_empty());
        tenants.taken(&big);
        assert_eq!(names(&mut tenants, 31, NOW), ["big"]);
        assert!(names(&mut tenants, 300, NOW).is_empty(), "a tenth of all that is in flight is in proportion");
        (0..40).for_each(|_| tenants.taken(&small));
        assert_eq!(names(&mut tenants, 71, NOW), ["big", "small"], "the one with less in flight first");
        let later = NOW + QUEUE_NOISE_QUIET_MS;
        tenants.sent(&small, later);
        assert_eq!(names(&mut tenants, 71, later), ["small"], "who has not sent for long is quiet");
    }

    #[test]
    fn long_handling_is_noise_for_a_while() {
        let (mut tenants, slow) = (Tenants::default(), Arc::from("slow"));
        tenants.sent(&slow, NOW);
        tenants.taken(&slow);
        tenants.let_go(None, 10_000, NOW);
        tenants.let_go(Some(&slow), 1_000, NOW);
        assert!(names(&mut tenants, 0, NOW).is_empty());
        tenants.taken(&slow);
        tenants.let_go(Some(&slow), 1_000, NOW);
        assert_eq!(names(&mut tenants, 0, NOW), ["slow"]);
        assert_eq!(names(&mut tenants, 0, NOW + QUEUE_NOISE_WINDOW_MS), ["slow"]);
        assert!(names(&mut tenants, 0, NOW + 2 * QUEUE_NOISE_WINDOW_MS).is_empty());
    }
}
