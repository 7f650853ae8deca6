//! What all functions compete for: places and memory for instances, and the processors that starts take. Grants are
//! given to the function that holds least (by its dominant share of places and memory), so that no function starves
//! another; a function beyond its fair share gives instances up while others want room. Pure.

use std::collections::HashMap;
use std::hash::Hash;

use super::{Birth, Micros};

/// What the operator allows, and what the machine has.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    pub instances_max: usize,
    /// Of all instances together.
    pub memory_bytes_max: u64,
    /// Plain starts at a time; more would only make one another slower.
    pub starting_max: usize,
    /// Clones being made at a time.
    pub cloning_max: usize,
    pub processors: usize,
}

/// One wish for an instance, or one instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    pub birth: Birth,
    pub bytes: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    Granted,
    /// It will be granted when another start is over.
    Queued,
    /// The machine is full; it will be granted when an instance ends.
    NoRoom,
}

#[derive(Clone, Copy, Debug, Default)]
struct Holding {
    instances: usize,
    bytes: u64,
}

struct Wish<K> {
    key: K,
    share: Share,
    since: Micros,
}

/// `K` names a function version.
pub struct Machine<K> {
    bounds: Bounds,
    held: HashMap<K, Holding>,
    total: Holding,
    starting: usize,
    cloning: usize,
    wishes: Vec<Wish<K>>,
}

impl<K: Copy + Eq + Hash + Ord> Machine<K> {
    pub fn new(bounds: Bounds) -> Machine<K> {
        let total = Holding::default();
        Machine { bounds, held: HashMap::new(), total, starting: 0, cloning: 0, wishes: Vec::new() }
    }

    pub fn bounds(&self) -> &Bounds {
        &self.bounds
    }

    pub fn instances(&self) -> usize {
        self.total.instances
    }

    /// A function wants an instance. Once for each: a wish that is not granted at once is remembered.
    pub fn ask(&mut self, key: K, share: Share, now: Micros) -> Answer {
        let is_alone = self.wishes.is_empty() || self.is_least(key);
        if is_alone && self.fits(&share) && self.has_slot(share.birth) {
            self.take(key, &share);
            return Answer::Granted;
        }
        let answer = if self.fits(&share) { Answer::Queued } else { Answer::NoRoom };
        self.wishes.push(Wish { key, share, since: now });
        answer
    }

    /// The function's instance is ready, or its birth has failed; the place is held until [`Machine::ended`].
    pub fn born(&mut self, birth: Birth) {
        match birth {
            Birth::Clone => self.cloning -= 1,
            Birth::Start => self.starting -= 1,
        }
    }

    /// An instance is gone.
    pub fn ended(&mut self, key: K, share: &Share) {
        self.total.instances -= 1;
        self.total.bytes -= share.bytes;
        if let Some(held) = self.held.get_mut(&key) {
            held.instances -= 1;
            held.bytes -= share.bytes;
            if held.instances == 0 {
                self.held.remove(&key);
            }
        }
    }

    /// The next wish that can be granted: the one of the function that holds least, the oldest of those. To be called
    /// until it gives none, whenever a birth is over or an instance is gone. Who does not want it any more says
    /// [`Machine::born`] and [`Machine::ended`].
    pub fn grant(&mut self) -> Option<(K, Share)> {
        let can = |wish: &&Wish<K>| self.fits(&wish.share) && self.has_slot(wish.share.birth);
        let least = self.wishes.iter().filter(can).min_by(|a, b| {
            let by_share = self.dominant(a.key).total_cmp(&self.dominant(b.key));
            by_share.then(a.since.cmp(&b.since)).then(a.key.cmp(&b.key))
        });
        let (key, since, share) = least.map(|wish| (wish.key, wish.since, wish.share))?;
        let at = self.wishes.iter().position(|wish| wish.key == key && wish.since == since && wish.share == share)?;
        self.wishes.remove(at);
        self.take(key, &share);
        Some((key, share))
    }

    /// The function has no wishes any more.
    pub fn forget(&mut self, key: K) {
        self.wishes.retain(|wish| wish.key != key);
    }

    /// How many wishes wait for room, not only for a start to be over.
    pub fn crowd(&self) -> usize {
        self.wishes.iter().filter(|wish| !self.fits(&wish.share)).count()
    }

    /// Whether the function holds more than its part while others want some.
    pub fn is_beyond_share(&self, key: K) -> bool {
        let others = self.wishes.iter().any(|wish| wish.key != key && self.dominant(wish.key) < self.dominant(key));
        others && self.dominant(key) > self.fair_share()
    }

    /// Of the functions with idle instances the one to take an instance from: who holds most; of equals, whose instance
    /// has been idle for longest. For `asker` itself nothing is taken.
    pub fn victim(&self, asker: K, idle: impl Iterator<Item = (K, Micros)>) -> Option<K> {
        let others = idle.filter(|(key, _)| *key != asker);
        let most = others.max_by(|(a, a_since), (b, b_since)| {
            self.dominant(*a).total_cmp(&self.dominant(*b)).then(b_since.cmp(a_since)).then(b.cmp(a))
        });
        most.map(|(key, _)| key)
    }

    fn take(&mut self, key: K, share: &Share) {
        let held = self.held.entry(key).or_default();
        held.instances += 1;
        held.bytes += share.bytes;
        self.total.instances += 1;
        self.total.bytes += share.bytes;
        match share.birth {
            Birth::Clone => self.cloning += 1,
            Birth::Start => self.starting += 1,
        }
    }

    fn fits(&self, share: &Share) -> bool {
        // One instance may always be there, however much it takes.
        self.total.instances == 0
            || (self.total.instances < self.bounds.instances_max
                && self.total.bytes + share.bytes <= self.bounds.memory_bytes_max)
    }

    fn has_slot(&self, birth: Birth) -> bool {
        match birth {
            Birth::Clone => self.cloning < self.bounds.cloning_max,
            Birth::Start => self.starting < self.bounds.starting_max,
        }
    }

    fn is_least(&self, key: K) -> bool {
        self.wishes.iter().all(|wish| self.dominant(key) < self.dominant(wish.key))
    }

    fn dominant(&self, key: K) -> f64 {
        let held = self.held.get(&key).copied().unwrap_or_default();
        let places = held.instances as f64 / self.bounds.instances_max.max(1) as f64;
        places.max(held.bytes as f64 / self.bounds.memory_bytes_max.max(1) as f64)
    }

    fn fair_share(&self) -> f64 {
        let mut newcomers: Vec<K> =
            self.wishes.iter().map(|wish| wish.key).filter(|key| !self.held.contains_key(key)).collect();
        newcomers.sort_unstable();
        newcomers.dedup();
        1.0 / (self.held.len() + newcomers.len()).max(1) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds =
        Bounds { instances_max: 4, memory_bytes_max: 1000, starting_max: 2, cloning_max: 8, processors: 2 };
    const CLONE: Share = Share { birth: Birth::Clone, bytes: 100 };
    const START: Share = Share { birth: Birth::Start, bytes: 100 };

    #[test]
    fn starts_wait_for_one_another_and_clones_do_not() {
        let mut machine = Machine::new(BOUNDS);
        assert_eq!(machine.ask(1, START, 0), Answer::Granted);
        assert_eq!(machine.ask(1, START, 0), Answer::Granted);
        assert_eq!(machine.ask(1, START, 0), Answer::Queued);
        assert_eq!(machine.ask(2, CLONE, 0), Answer::Granted);
        assert_eq!(machine.grant(), None);
        machine.born(Birth::Start);
        assert_eq!(machine.grant(), Some((1, START)));
        assert_eq!(machine.instances(), 4);
    }

    #[test]
    fn who_holds_least_comes_first() {
        let mut machine = Machine::new(BOUNDS);
        for _ in 0..4 {
            assert_eq!(machine.ask(1, CLONE, 0), Answer::Granted);
        }
        assert_eq!(machine.ask(1, CLONE, 1), Answer::NoRoom);
        assert_eq!(machine.ask(2, CLONE, 2), Answer::NoRoom);
        assert_eq!(machine.crowd(), 2);
        assert!(machine.is_beyond_share(1));
        assert!(!machine.is_beyond_share(2));
        machine.ended(1, &CLONE);
        assert_eq!(machine.grant(), Some((2, CLONE)), "though the other asked before");
        assert_eq!(machine.grant(), None);
        assert!(!machine.is_beyond_share(1), "only it wants more");
    }

    #[test]
    fn memory_counts_and_one_always_fits() {
        let mut machine = Machine::new(BOUNDS);
        assert_eq!(machine.ask(1, Share { birth: Birth::Clone, bytes: 5000 }, 0), Answer::Granted);
        assert_eq!(machine.ask(2, CLONE, 0), Answer::NoRoom);
        machine.born(Birth::Clone);
        machine.ended(1, &Share { birth: Birth::Clone, bytes: 5000 });
        assert_eq!(machine.grant(), Some((2, CLONE)));
    }

    #[test]
    fn room_is_taken_from_who_holds_most() {
        let mut machine = Machine::new(BOUNDS);
        for key in [1, 2, 2, 3] {
            machine.ask(key, CLONE, 0);
        }
        assert_eq!(machine.victim(9, [(1, 5), (2, 9), (3, 1)].into_iter()), Some(2));
        assert_eq!(machine.victim(9, [(1, 5), (3, 1)].into_iter()), Some(3), "idle for longest");
        assert_eq!(machine.victim(3, [(3, 1)].into_iter()), None);
    }

    #[test]
    fn wishes_are_forgotten() {
        let mut machine = Machine::new(BOUNDS);
        for _ in 0..3 {
            machine.ask(1, START, 0);
        }
        machine.forget(1);
        machine.born(Birth::Start);
        assert_eq!(machine.grant(), None);
    }
}
