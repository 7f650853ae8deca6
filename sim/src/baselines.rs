//! What the policy is compared with: instances kept for a fixed time, and the hybrid histogram of "Serverless in the Wild"
//! (ATC 2020, section 4.2), as far as the paper describes it; where the histogram says nothing the paper forecasts with
//! ARIMA, and this keeps the instance for the histogram's range, as the paper does before it has learnt.

use crate::report::Tally;
use crate::run::{Arrivals, Settings};
use crate::trace::Trace;
use crate::{MINUTE, SECOND};

#[derive(Clone, Copy, Debug)]
pub(crate) enum Baseline {
    Fixed { minutes: u64 },
    Hybrid,
}

/// Bins of one minute, four hours together; the head and the tail cut off; the margin; and how uneven the counts have to be.
const BINS: usize = 240;
const HEAD: f64 = 0.05;
const TAIL: f64 = 0.99;
const MARGIN: f64 = 0.1;
const VARIATION_MIN: f64 = 2.0;

/// When an idle instance is there: from and until, after it became idle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Window {
    from: u64,
    until: u64,
}

struct Histogram {
    counts: [u32; BINS],
    total: u32,
    beyond: u32,
}

impl Histogram {
    fn add(&mut self, gap: u64) {
        self.total += 1;
        match self.counts.get_mut((gap / MINUTE) as usize) {
            Some(count) => *count += 1,
            None => self.beyond += 1,
        }
    }

    fn window(&self) -> Window {
        let all = Window { from: 0, until: BINS as u64 * MINUTE };
        let within = self.total - self.beyond;
        if within == 0 || self.beyond * 2 > self.total || self.variation() < VARIATION_MIN {
            return all;
        }
        let bin_at = |share: f64| {
            let wanted = (f64::from(within) * share).ceil().max(1.0) as u32;
            let mut seen = 0;
            self.counts.iter().position(|count| {
                seen += count;
                seen >= wanted
            })
        };
        let (head, tail) = (bin_at(HEAD).unwrap_or(0), bin_at(TAIL).unwrap_or(BINS - 1) + 1);
        let minutes = |minutes: f64| (minutes * MINUTE as f64) as u64;
        Window { from: minutes(head as f64 * (1.0 - MARGIN)), until: minutes(tail as f64 * (1.0 + MARGIN)) }
    }

    /// The coefficient of variation of the bins' counts.
    fn variation(&self) -> f64 {
        let mean = f64::from(self.total - self.beyond) / BINS as f64;
        let variance = self.counts.iter().map(|count| (f64::from(*count) - mean).powi(2)).sum::<f64>() / BINS as f64;
        if mean > 0.0 { variance.sqrt() / mean } else { 0.0 }
    }
}

pub(crate) fn run(trace: &Trace, baseline: Baseline, settings: Settings) -> Tally {
    let mut tally = Tally::default();
    for (index, function) in trace.functions.iter().enumerate() {
        let mut arrivals = Arrivals::new(function, index, settings.seed);
        let mut histogram = Histogram { counts: [0; BINS], total: 0, beyond: 0 };
        // Each instance by when it is idle again, with the window that holds from then on.
        let mut instances: Vec<(u64, Window)> = Vec::new();
        let mut last_end = None;
        while let Some((now, took)) = arrivals.next() {
            tally.invocations += 1;
            let waste = |from: u64, until: u64| until.saturating_sub(from) as f64 / SECOND as f64 * function.memory_mb;
            instances.retain(|(idle_since, window)| {
                let is_over = now > idle_since + window.until;
                if is_over {
                    tally.wasted_mb_s += waste(idle_since + window.from, idle_since + window.until);
                }
                !is_over
            });
            if let Some(end) = last_end.filter(|end| *end <= now) {
                histogram.add(now - end);
            }
            let is_there =
                |(idle_since, window): &(u64, Window)| *idle_since + window.from <= now && *idle_since <= now;
            // The one used last, so that the others can go.
            let newest = instances.iter().enumerate().filter(|(_, i)| is_there(i)).max_by_key(|(_, (since, _))| *since);
            let begins = match newest.map(|(at, _)| at) {
                Some(at) => {
                    let (idle_since, window) = instances.swap_remove(at);
                    tally.wasted_mb_s += waste(idle_since + window.from, now);
                    tally.wait(0);
                    now
                }
                None => {
                    let start = (settings.start_ms * 1000.0) as u64;
                    tally.cold += 1;
                    tally.births += 1;
                    tally.wait(start);
                    now + start
                }
            };
            let window = match baseline {
                Baseline::Fixed { minutes } => Window { from: 0, until: minutes * MINUTE },
                Baseline::Hybrid => histogram.window(),
            };
            let end = begins + took;
            last_end = Some(last_end.map_or(end, |last: u64| last.max(end)));
            instances.push((end, window));
        }
        let end = trace.minutes as u64 * MINUTE;
        for (idle_since, window) in instances {
            let until = (idle_since + window.until).min(end);
            tally.wasted_mb_s +=
                until.saturating_sub(idle_since + window.from) as f64 / SECOND as f64 * function.memory_mb;
        }
    }
    tally
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::Function;

    fn trace(every: u32) -> Trace {
        let invocations = (0..1440).step_by(every as usize).map(|minute| (minute, 1)).collect();
        let function = Function { name: "f".into(), invocations, durations_ms: [10.0; 7], memory_mb: 100.0 };
        Trace { functions: vec![function], minutes: 1440 }
    }

    #[test]
    fn fixed_keep_alive_bridges_what_is_shorter() {
        let cold = |every, minutes| run(&trace(every), Baseline::Fixed { minutes }, Settings::default()).cold;
        assert_eq!(cold(5, 10), 1);
        assert_eq!(cold(60, 10), 24);
    }

    #[test]
    fn the_hybrid_histogram_learns_regular_gaps() {
        let fixed = run(&trace(60), Baseline::Fixed { minutes: 120 }, Settings::default());
        let hybrid = run(&trace(60), Baseline::Hybrid, Settings::default());
        assert!(hybrid.cold <= fixed.cold + 3, "{hybrid:?}");
        assert!(hybrid.wasted_mb_s < fixed.wasted_mb_s / 2.0, "it is only there when it is needed: {hybrid:?}");
    }
}
