//! What a function's past tells of its future: how long an event takes, how long a start takes, what an instance holds,
//! and how long idle instances wait for their next event. Bounded; old facts fade.

use std::collections::VecDeque;

use super::function::Used;
use super::{Birth, Micros};

/// What is taken for the cost of a birth until one has been seen.
const CLONE_US: f64 = 3_000.0;
const START_US: f64 = 150_000.0;
const CLONE_BYTES: f64 = 8.0 * 1024.0 * 1024.0;
const START_BYTES: f64 = 64.0 * 1024.0 * 1024.0;
/// What the kernel holds for an instance beside its memory: page tables, namespaces, group, descriptors.
const OVERHEAD_BYTES: f64 = 4.0 * 1024.0 * 1024.0;
/// How much held memory is worth one moment of waiting: a megabyte for a second is worth as much as a microsecond of a
/// caller's time. Found with `cumulet simulate`: it needs less memory than keeping instances for ten minutes, for about the
/// same wait.
const WAIT_US_PER_MB_S: f64 = 1.0;
/// A wait much shorter than this is hardly noticed, and weighs less than its length.
const NOTICED_US: f64 = 20_000.0;

/// A mean in which old values fade.
#[derive(Clone, Copy, Debug, Default)]
struct Mean(Option<f64>);

impl Mean {
    fn add(&mut self, value: f64) {
        self.0 = Some(self.0.map_or(value, |mean| mean + (value - mean) / 8.0));
    }

    fn or(self, default: f64) -> f64 {
        self.0.unwrap_or(default)
    }
}

/// A high mark that fades slowly.
#[derive(Clone, Copy, Debug, Default)]
struct Peak(f64);

impl Peak {
    fn add(&mut self, value: f64) {
        self.0 = if value >= self.0 { value } else { self.0 - (self.0 - value) / 256.0 };
    }
}

#[derive(Clone, Debug)]
pub struct History {
    service: Mean,
    /// Share of a processor that an invocation takes while it runs.
    share: Peak,
    clone: Mean,
    start: Mean,
    clone_bytes: Peak,
    start_bytes: Peak,
    gaps: Gaps,
    /// When instances that were ended for idleness had become idle; the last one ended is at the back.
    ended: VecDeque<Micros>,
}

/// Ended instances remembered, to learn how long they would have had to wait.
const ENDED_MAX: usize = 64;

impl Default for History {
    fn default() -> History {
        History {
            service: Mean::default(),
            share: Peak::default(),
            clone: Mean::default(),
            start: Mean::default(),
            clone_bytes: Peak(CLONE_BYTES),
            start_bytes: Peak(START_BYTES),
            gaps: Gaps::default(),
            ended: VecDeque::new(),
        }
    }
}

impl History {
    /// An event was answered. `is_alone`: with so few others that it had a processor whenever it wanted one; in a crowd it
    /// takes longer, and would seem to need less of one.
    pub fn served(&mut self, used: Used, is_alone: bool) {
        self.service.add(used.service_us as f64);
        if used.within_us > 0 && is_alone {
            self.share.add((used.cpu_us as f64 / used.within_us as f64).min(1.0));
        }
    }

    /// What an instance has held at most.
    pub fn held(&mut self, birth: Birth, bytes: u64) {
        match birth {
            Birth::Clone => self.clone_bytes.add(bytes as f64),
            Birth::Start => self.start_bytes.add(bytes as f64),
        }
    }

    /// An instance became ready.
    pub fn born(&mut self, birth: Birth, took_us: Micros) {
        match birth {
            Birth::Clone => self.clone.add(took_us as f64),
            Birth::Start => self.start.add(took_us as f64),
        }
    }

    /// An idle instance got an event after `gap`.
    pub fn reused(&mut self, gap: Micros) {
        self.gaps.add(gap);
    }

    /// An idle instance, idle since then, was ended.
    pub fn ended(&mut self, idle_since: Micros) {
        if self.ended.len() == ENDED_MAX {
            self.ended.pop_front();
        }
        self.ended.push_back(idle_since);
    }

    /// An event found no instance; one that was ended would have got it.
    pub fn missed(&mut self, now: Micros) {
        if let Some(idle_since) = self.ended.pop_back() {
            self.gaps.add(now.saturating_sub(idle_since));
        }
    }

    /// Mean length of an event; `None` before the first was answered.
    pub fn service_us(&self) -> Option<f64> {
        self.service.0
    }

    /// How many instances can be busy before this function alone has all processors.
    pub fn useful_instances(&self, processors: usize) -> usize {
        // Below a twentieth of a processor it is a function that waits, for whatever; that is no reason to hold back.
        if self.share.0 < 0.05 { usize::MAX } else { (processors as f64 / self.share.0).ceil() as usize }
    }

    pub fn birth_us(&self, birth: Birth) -> f64 {
        match birth {
            Birth::Clone => self.clone.or(CLONE_US),
            Birth::Start => self.start.or(START_US),
        }
    }

    /// What to set aside for an instance.
    pub fn bytes(&self, birth: Birth) -> u64 {
        match birth {
            Birth::Clone => self.clone_bytes.0 as u64,
            Birth::Start => self.start_bytes.0 as u64,
        }
    }

    /// How long an idle instance is worth its memory: the time at which what holding costs and what missing costs are least
    /// together, judged by the gaps seen. Never longer than `max`.
    pub fn keep_alive(&self, birth: Birth, max: Micros) -> Micros {
        let megabytes = (self.bytes(birth) as f64 + OVERHEAD_BYTES) / (1024.0 * 1024.0);
        let cost_per_us = megabytes * WAIT_US_PER_MB_S / 1_000_000.0;
        let birth_us = self.birth_us(birth);
        self.gaps.best(cost_per_us, birth_us * birth_us / (birth_us + NOTICED_US)).min(max)
    }
}

/// A histogram of the time between an instance's becoming idle and the next event for it, in half octaves.
#[derive(Clone, Debug)]
struct Gaps {
    counts: [f32; BINS],
    total: f32,
}

const BINS: usize = 52;
/// Bin 0 ends here; each bin is longer than the one before by the square root of two.
const FIRST_US: f64 = 1_000.0;
/// So many gaps make a histogram.
const ENOUGH: f32 = 6.0;
/// Gaps of any length that might have been and were not seen: a function that is called without a pause may pause.
const UNSEEN: f64 = 0.5;
/// Beyond this, all counts are halved: what a function did long ago tells little.
const TOTAL_MAX: f32 = 128.0;

impl Default for Gaps {
    fn default() -> Gaps {
        Gaps { counts: [0.0; BINS], total: 0.0 }
    }
}

fn upper(bin: usize) -> f64 {
    FIRST_US * 2f64.powf(bin as f64 / 2.0)
}

impl Gaps {
    fn add(&mut self, gap: Micros) {
        let bin = ((gap as f64 / FIRST_US).max(1.0).log2() * 2.0).ceil() as usize;
        if self.total >= TOTAL_MAX {
            self.counts.iter_mut().for_each(|count| *count /= 2.0);
            self.total /= 2.0;
        }
        self.counts[bin.min(BINS - 1)] += 1.0;
        self.total += 1.0;
    }

    /// The time to keep. Without enough gaps, the break-even time: then it never costs more than twice the best.
    fn best(&self, cost_per_us: f64, missing: f64) -> Micros {
        let even = missing / cost_per_us;
        if self.total < ENOUGH {
            return even as Micros;
        }
        let total = f64::from(self.total) + UNSEEN;
        let (mut best, mut best_cost) = (0.0, total * missing);
        let (mut held, mut served) = (0.0, 0.0f64);
        for (bin, count) in self.counts.iter().enumerate() {
            let (count, until) = (f64::from(*count) + UNSEEN / BINS as f64, upper(bin));
            held += count * until * cost_per_us;
            served += count;
            let missed = total - served;
            let cost = held + missed * (until * cost_per_us + missing);
            if cost < best_cost {
                (best, best_cost) = (until, cost);
            }
        }
        // A gap of just the bin's length, and some more.
        (best * 1.1) as Micros
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAX: Micros = 36_000_000_000;
    const SECOND: Micros = 1_000_000;

    #[test]
    fn cheap_births_go_early() {
        let history = History::default();
        let (clone, start) = (history.keep_alive(Birth::Clone, MAX), history.keep_alive(Birth::Start, MAX));
        assert!(clone < start / 4, "{clone} {start}");
        assert_eq!(history.keep_alive(Birth::Start, SECOND), SECOND);
    }

    #[test]
    fn regular_gaps_are_bridged_where_it_pays() {
        let kept = |gap: Micros| {
            let mut history = History::default();
            for _ in 0..20 {
                history.reused(gap);
            }
            history.keep_alive(Birth::Start, MAX)
        };
        let every_minute = kept(60 * SECOND);
        assert!((60 * SECOND..900 * SECOND).contains(&every_minute), "{every_minute}");
        assert!(kept(7200 * SECOND) < 10 * SECOND, "two hours of memory are worth more than a start");
    }

    #[test]
    fn who_never_pauses_may_pause() {
        let kept = |birth| {
            let mut history = History::default();
            for _ in 0..1000 {
                history.reused(100);
            }
            history.keep_alive(birth, MAX)
        };
        let (clone, start) = (kept(Birth::Clone), kept(Birth::Start));
        assert!((SECOND..60 * SECOND).contains(&clone), "{clone}");
        assert!((60 * SECOND..3600 * SECOND).contains(&start), "{start}");
    }

    #[test]
    fn what_was_ended_too_early_is_learnt_from() {
        let mut history = History::default();
        for turn in 0..20u64 {
            let idle_since = turn * 100 * SECOND;
            history.ended(idle_since);
            history.missed(idle_since + 40 * SECOND);
        }
        assert!(history.keep_alive(Birth::Start, MAX) >= 40 * SECOND);
    }

    fn used(within_us: Micros, cpu_us: Micros) -> Used {
        Used { service_us: within_us, cpu_us, within_us, memory_peak_bytes: 0 }
    }

    #[test]
    fn processor_bound_functions_need_few_instances() {
        let mut history = History::default();
        assert_eq!(history.useful_instances(2), usize::MAX);
        history.served(used(1000, 900), true);
        history.served(used(9000, 900), false);
        assert_eq!(history.useful_instances(2), 3);
        for _ in 0..2000 {
            history.served(used(100_000, 100), true);
        }
        assert_eq!(history.useful_instances(2), usize::MAX);
    }
}
