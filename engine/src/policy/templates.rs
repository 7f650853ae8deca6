//! Which templates are worth their memory. The least valuable go first: a template's value grows with how often it was
//! asked for and falls with its size, and the clock is set forward with every one that goes, so that old fame fades
//! (Greedy-Dual-Size-Frequency; for functions first in "FaasCache", ASPLOS 2021). Where memory is not short, it is a plain
//! cache. What would be the first to go is not made at all. Pure.

use std::collections::HashMap;
use std::hash::Hash;

#[derive(Clone, Copy, Debug, Default)]
struct Known {
    uses: f64,
    value: f64,
    /// 0: no template is held.
    bytes: u64,
}

/// `K` names a function version.
pub struct Cache<K> {
    known: HashMap<K, Known>,
    known_max: usize,
    count_max: usize,
    bytes_max: u64,
    count: usize,
    bytes: u64,
    clock: f64,
}

/// What a template takes until one has been seen.
pub const BYTES_GUESSED: u64 = 48 << 20;

impl<K: Clone + Eq + Hash + Ord> Cache<K> {
    pub fn new(count_max: usize, bytes_max: u64, known_max: usize) -> Cache<K> {
        Cache { known: HashMap::new(), known_max, count_max, bytes_max, count: 0, bytes: 0, clock: 0.0 }
    }

    /// An instance of the function is wanted. Whether a template should be made, where none is held.
    pub fn used(&mut self, key: &K, bytes_guessed: u64) -> bool {
        if self.known.len() >= self.known_max && !self.known.contains_key(key) {
            // Those without a template are the ones worth least.
            self.known.retain(|_, known| known.bytes > 0);
        }
        let clock = self.clock;
        let known = self.known.entry(key.clone()).or_default();
        known.uses += 1.0;
        let is_held = known.bytes > 0;
        let bytes = if is_held { known.bytes } else { bytes_guessed.max(1) };
        known.value = clock + known.uses / bytes as f64;
        let value = known.value;
        is_held || self.has_room(bytes) || self.cheapest().is_some_and(|(_, cheapest)| cheapest < value)
    }

    /// A template is held now; those that have to go for it, perhaps itself.
    pub fn held(&mut self, key: &K, bytes: u64) -> Vec<K> {
        let clock = self.clock;
        let known = self.known.entry(key.clone()).or_default();
        let before = known.bytes;
        known.bytes += bytes.max(1);
        known.value = clock + known.uses.max(1.0) / known.bytes as f64;
        self.count += usize::from(before == 0);
        self.bytes += bytes.max(1);
        let mut gone = Vec::new();
        while self.count > 1 && (self.count > self.count_max || self.bytes > self.bytes_max) {
            let Some((cheapest, value)) = self.cheapest() else { break };
            self.clock = self.clock.max(value);
            self.dropped(&cheapest);
            gone.push(cheapest);
        }
        gone
    }

    /// The function's templates are no more.
    pub fn dropped(&mut self, key: &K) {
        if let Some(known) = self.known.get_mut(key).filter(|known| known.bytes > 0) {
            self.count -= 1;
            self.bytes -= std::mem::take(&mut known.bytes);
            // It begins anew: what it was asked for long ago shall not bring it back at once.
            known.uses /= 2.0;
        }
    }

    /// What all templates take.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    fn has_room(&self, bytes: u64) -> bool {
        self.count == 0 || (self.count < self.count_max && self.bytes + bytes <= self.bytes_max)
    }

    fn cheapest(&self) -> Option<(K, f64)> {
        let held = self.known.iter().filter(|(_, known)| known.bytes > 0);
        let least = held.min_by(|(a, x), (b, y)| x.value.total_cmp(&y.value).then_with(|| a.cmp(b)));
        least.map(|(key, known)| (key.clone(), known.value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn with_room_everything_is_held() {
        let mut cache = Cache::new(10, 1000, 100);
        for key in 0..5 {
            assert!(cache.used(&key, 100));
            assert_eq!(cache.held(&key, 100), [0; 0]);
        }
        assert_eq!(cache.bytes(), 500);
        cache.dropped(&3);
        cache.dropped(&3);
        assert_eq!(cache.bytes(), 400);
    }

    #[test]
    fn rare_ones_do_not_drive_out_frequent_ones() {
        let mut cache = Cache::new(10, 200, 100);
        for key in [1, 2] {
            for _ in 0..5 {
                cache.used(&key, 100);
            }
            cache.held(&key, 100);
        }
        assert!(!cache.used(&3, 100), "a first use is worth less than five");
        for _ in 0..5 {
            cache.used(&3, 100);
        }
        assert!(cache.used(&3, 100));
        assert_eq!(cache.held(&3, 100).len(), 1);
    }

    #[test]
    fn old_fame_fades() {
        let mut cache = Cache::new(1, 1000, 100);
        for _ in 0..50 {
            cache.used(&0, 100);
        }
        cache.held(&0, 100);
        let mut turns = 0;
        while !cache.used(&1, 100) {
            turns += 1;
            assert!(turns < 100);
        }
        assert_eq!(cache.held(&1, 100), [0]);
        assert!(cache.used(&1, 100));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut cache = Cache::new(2, 1000, 10);
        for key in 0..100 {
            cache.used(&key, 1);
        }
        assert!(cache.known.len() <= 11);
    }
}
