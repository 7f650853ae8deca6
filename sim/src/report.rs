//! What came of it: a row for each policy, as a table and as a chart.

use crate::baselines::{self, Baseline};
use crate::chart;
use crate::run::{self, Settings};
use crate::trace::Trace;

/// What a policy did.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    pub invocations: u64,
    /// Invocations that waited for an instance to be born and were its first.
    pub cold: u64,
    pub births: u64,
    pub clones: u64,
    pub refused: u64,
    pub waited_us: f64,
    /// Waits in quarter octaves of microseconds.
    pub waits: Vec<u64>,
    /// Memory of idle instances and of templates, over time.
    pub wasted_mb_s: f64,
}

impl Tally {
    pub(crate) fn wait(&mut self, us: u64) {
        self.waited_us += us as f64;
        let bin = ((us as f64 + 1.0).log2() * 4.0) as usize;
        if self.waits.len() <= bin {
            self.waits.resize(bin + 1, 0);
        }
        self.waits[bin] += 1;
    }

    fn wait_ms_at(&self, share: f64) -> f64 {
        let wanted = (self.waits.iter().sum::<u64>() as f64 * share).ceil() as u64;
        let mut seen = 0;
        let bin = self.waits.iter().position(|count| {
            seen += count;
            seen >= wanted
        });
        (2f64.powf(bin.unwrap_or(0) as f64 / 4.0) - 1.0) / 1000.0
    }
}

/// One policy.
#[derive(Clone, Debug)]
pub struct Row {
    pub name: String,
    /// Shares of all invocations, in percent.
    pub cold_percent: f64,
    pub started_percent: f64,
    /// Gigabyte-seconds, and against fixed keep-alive of ten minutes.
    pub wasted_gb_s: f64,
    pub wasted_percent: f64,
    pub added_ms: f64,
    pub added_ms_p99: f64,
    pub refused: u64,
}

pub struct Comparison {
    pub invocations: u64,
    pub functions: usize,
    pub rows: Vec<Row>,
}

/// The engine's policy, with clones and without, and what it is compared with.
pub fn compare(trace: &Trace, settings: Settings) -> Comparison {
    let mut tallies: Vec<(String, Tally)> = Vec::new();
    for minutes in [5, 10, 20, 60, 120] {
        let tally = baselines::run(trace, Baseline::Fixed { minutes }, settings);
        tallies.push((format!("fixed keep-alive, {minutes} min"), tally));
    }
    tallies.push(("hybrid histogram (ATC'20)".to_owned(), baselines::run(trace, Baseline::Hybrid, settings)));
    let plain = Settings { templates_mb: 0.0, ..settings };
    tallies.push(("Cumulet, plain starts".to_owned(), run::run(trace, plain)));
    tallies.push(("Cumulet, clones".to_owned(), run::run(trace, settings)));
    let fixed = tallies.iter().find(|(name, _)| name.ends_with(" 10 min")).map_or(1.0, |(_, tally)| tally.wasted_mb_s);
    let rows = tallies.into_iter().map(|(name, tally)| {
        let percent = |count: u64| 100.0 * count as f64 / tally.invocations.max(1) as f64;
        Row {
            name,
            cold_percent: percent(tally.cold),
            started_percent: percent(tally.births - tally.clones),
            wasted_gb_s: tally.wasted_mb_s / 1024.0,
            wasted_percent: 100.0 * tally.wasted_mb_s / fixed.max(f64::MIN_POSITIVE),
            added_ms: tally.waited_us / 1000.0 / tally.invocations.max(1) as f64,
            added_ms_p99: tally.wait_ms_at(0.99),
            refused: tally.refused,
        }
    });
    Comparison { invocations: trace.invocations(), functions: trace.functions.len(), rows: rows.collect() }
}

impl Comparison {
    /// Markdown.
    pub fn table(&self) -> String {
        let mut text = String::from(
            "| policy | cold % | plain starts % | wasted GB·s | against 10 min | added ms, mean | added ms, p99 | refused |\n\
             | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n",
        );
        for row in &self.rows {
            text.push_str(&format!(
                "| {} | {:.2} | {:.2} | {:.0} | {:.0} % | {:.3} | {:.1} | {} |\n",
                row.name,
                row.cold_percent,
                row.started_percent,
                row.wasted_gb_s,
                row.wasted_percent,
                row.added_ms,
                row.added_ms_p99,
                row.refused
            ));
        }
        text
    }

    /// Wasted memory over added latency, each policy a point; the nearer to the corner, the better.
    pub fn svg(&self) -> String {
        chart::svg(&self.rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_policy_wastes_less_and_waits_less_than_five_minutes_of_keeping() {
        let trace = Trace::sample(60, 1, 3);
        let all: f64 = trace.functions.iter().map(|f| f.memory_mb).sum();
        let found = compare(&trace, Settings { templates_mb: all / 4.0, ..Settings::default() });
        let row = |name: &str| found.rows.iter().find(|row| row.name.contains(name)).expect("the policy is there");
        let fixed = row(", 5 min");
        for ours in [row("plain starts"), row("clones")] {
            assert!(ours.wasted_gb_s < fixed.wasted_gb_s && ours.added_ms < fixed.added_ms, "{}", found.table());
        }
        assert!(found.rows.iter().all(|row| row.refused == 0));
        assert_eq!(found.table(), compare(&trace, Settings { templates_mb: all / 4.0, ..Settings::default() }).table());
        assert!(found.svg().starts_with("<svg") && found.svg().ends_with("</svg>\n"));
    }
}
