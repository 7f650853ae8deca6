//! What CloudWatch's metrics of functions and tables are made of
//! (<https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html>): the records of a round, taken together
//! by function, and the usage that is billed. Nothing is counted anew while functions run. Deliberately absent: what
//! records do not have, such as an alias, the age of events, and the iterators of streams.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use cumulet_base::clock::Clock;
use cumulet_base::limits;
use cumulet_engine::engine::{Engine, PoolView};
use cumulet_engine::function::FunctionVersion;
use cumulet_engine::record::{Ending, Measured, MetricSink, Record, Usage, UsageSink};

const MINUTE_MS: u64 = 60_000;

#[derive(Default)]
struct Sum {
    invocations: f64,
    errors: f64,
    durations_ms: Vec<(f64, f64)>,
}

/// What `records` say, by function and minute, and of all functions of an account's region.
pub fn measure(metrics: &dyn MetricSink, records: &[Record]) {
    let mut sums: BTreeMap<(&str, &str, Option<&str>, u64), Sum> = BTreeMap::new();
    for record in records {
        let minute = record.started_ms / MINUTE_MS;
        for function in [Some(record.function.as_str()), None] {
            let sum = sums.entry((&record.account, &record.region, function, minute)).or_default();
            sum.invocations += 1.0;
            sum.errors += f64::from(u8::from(record.ending != Ending::Success));
            sum.durations_ms.push((record.duration_us as f64 / 1000.0, 1.0));
        }
    }
    for ((account, region, function, minute), sum) in sums {
        let dimensions: Vec<(&'static str, &str)> = function.map(|name| ("FunctionName", name)).into_iter().collect();
        let tell = |name, unit, values: &[(f64, f64)]| {
            let (dimensions, at_ms) = (&dimensions[..], minute * MINUTE_MS);
            metrics.measured(Measured {
                account,
                region,
                namespace: "AWS/Lambda",
                name,
                unit,
                dimensions,
                values,
                at_ms,
            });
        };
        tell("Invocations", "Count", &[(1.0, sum.invocations)]);
        // Each invocation is a sample: their average is the share of those that failed.
        let good = sum.invocations - sum.errors;
        let errors = [(0.0, good), (1.0, sum.errors)];
        tell("Errors", "Count", &errors.into_iter().filter(|(_, count)| *count > 0.0).collect::<Vec<_>>());
        tell("Duration", "Milliseconds", &sum.durations_ms);
    }
}

fn of_function(
    metrics: &dyn MetricSink,
    place: (&str, &str, &str),
    name: &'static str,
    values: &[(f64, f64)],
    at_ms: u64,
) {
    let (account, region, function) = place;
    let dimensions: &[(&'static str, &str)] = &[("FunctionName", function)];
    for dimensions in [dimensions, &[]] {
        let (namespace, unit) = ("AWS/Lambda", "Count");
        metrics.measured(Measured { account, region, namespace, name, unit, dimensions, values, at_ms });
    }
}

/// An invocation was refused.
pub fn throttled(metrics: &dyn MetricSink, function: &FunctionVersion, now_ms: u64) {
    let place = (function.account.as_str(), function.region.as_str(), function.name.as_str());
    of_function(metrics, place, "Throttles", &[(1.0, 1.0)], now_ms);
}

/// Starts the task that looks every few seconds how many instances of each function are at work (what is shorter than that may
/// not be seen) and what tables have used. It ends with the process.
pub fn sample<S: Send + Sync + 'static>(
    engine: Engine,
    usage: Arc<Measuring<S>>,
    metrics: Arc<dyn MetricSink>,
    clock: Arc<dyn Clock>,
) {
    tokio::spawn(async move {
        let mut ticks = tokio::time::interval(Duration::from_millis(limits::METRIC_PLATFORM_PERIOD_MS));
        loop {
            ticks.tick().await;
            concurrency(&*metrics, &engine.pools(), clock.now_ms());
            usage.hand_over();
        }
    });
}

fn concurrency(metrics: &dyn MetricSink, pools: &[PoolView], now_ms: u64) {
    let mut busy: BTreeMap<(&str, &str, &str), usize> = BTreeMap::new();
    for pool in pools.iter().filter(|pool| pool.busy > 0) {
        *busy.entry((&pool.account, &pool.region, &pool.function)).or_default() += pool.busy;
    }
    let mut of_all: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    let name = "ConcurrentExecutions";
    for ((account, region, function), count) in busy {
        *of_all.entry((account, region)).or_default() += count;
        let (namespace, unit, dimensions) = ("AWS/Lambda", "Count", &[("FunctionName", function)][..]);
        let values = &[(count as f64, 1.0)];
        metrics.measured(Measured { account, region, namespace, name, unit, dimensions, values, at_ms: now_ms });
    }
    for ((account, region), count) in of_all {
        let (namespace, unit, values) = ("AWS/Lambda", "Count", &[(count as f64, 1.0)]);
        metrics.measured(Measured { account, region, namespace, name, unit, dimensions: &[], values, at_ms: now_ms });
    }
}

/// What tables used since it was handed over last, by metric.
#[derive(Default)]
struct OfTable {
    account: String,
    region: String,
    at_ms: u64,
    /// How often so many millionths of a unit were used.
    counts: BTreeMap<(&'static str, u64), f64>,
}

/// Usage on its way to the bill, of which some is a metric as well: counted by table, and handed over with what else is looked
/// at every few seconds.
pub struct Measuring<S> {
    next: Arc<S>,
    metrics: Arc<dyn MetricSink>,
    tables: Mutex<HashMap<String, Vec<OfTable>>>,
}

impl<S> Measuring<S> {
    pub fn new(next: Arc<S>, metrics: Arc<dyn MetricSink>) -> Measuring<S> {
        Measuring { next, metrics, tables: Mutex::default() }
    }

    fn count(&self, name: &'static str, usage: &Usage) {
        let minute_ms = usage.at_ms / MINUTE_MS * MINUTE_MS;
        let mut tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        if !tables.contains_key(&usage.resource) {
            tables.insert(usage.resource.clone(), Vec::new());
        }
        let Some(all) = tables.get_mut(&usage.resource) else { return };
        let is_same = |of: &OfTable| of.at_ms == minute_ms && of.region == usage.region && of.account == usage.account;
        let at = all.iter().position(is_same).unwrap_or_else(|| {
            let (account, region) = (usage.account.clone(), usage.region.clone());
            all.push(OfTable { account, region, at_ms: minute_ms, ..OfTable::default() });
            all.len() - 1
        });
        *all[at].counts.entry((name, usage.quantity_micro)).or_default() += 1.0;
    }

    /// What was counted until now goes on.
    pub fn hand_over(&self) {
        let tables = std::mem::take(&mut *self.tables.lock().unwrap_or_else(PoisonError::into_inner));
        for (table, all) in &tables {
            for OfTable { account, region, at_ms, counts } in all {
                let mut by_name: BTreeMap<&'static str, Vec<(f64, f64)>> = BTreeMap::new();
                for ((name, micro), count) in counts {
                    by_name.entry(name).or_default().push((*micro as f64 / 1e6, *count));
                }
                for (name, values) in by_name {
                    self.metrics.measured(Measured {
                        account,
                        region,
                        namespace: "AWS/DynamoDB",
                        name,
                        unit: "Count",
                        dimensions: &[("TableName", table)],
                        values: &values,
                        at_ms: *at_ms,
                    });
                }
            }
        }
    }
}

impl<S: UsageSink> UsageSink for Measuring<S> {
    fn used(&self, usage: Usage) {
        let name = match (usage.service, usage.unit) {
            ("dynamodb", "read-request-units") => Some("ConsumedReadCapacityUnits"),
            ("dynamodb", "write-request-units") => Some("ConsumedWriteCapacityUnits"),
            _ => None,
        };
        if let Some(name) = name {
            self.count(name, &usage);
        }
        self.next.used(usage);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[derive(Default)]
    struct Seen(Mutex<Vec<String>>);

    impl MetricSink for Seen {
        fn measured(&self, m: Measured<'_>) {
            let line = format!("{} {:?} {:?} {}", m.name, m.dimensions, m.values, m.at_ms);
            self.0.lock().unwrap().push(line);
        }
    }

    #[test]
    fn what_tables_use_is_counted_by_table_and_minute() {
        struct Nowhere;
        impl UsageSink for Nowhere {
            fn used(&self, _: Usage) {}
        }
        let seen = Arc::new(Seen::default());
        let measuring = Measuring::new(Arc::new(Nowhere), seen.clone());
        for (table, unit, quantity_micro, at_ms) in [
            ("t", "read-request-units", 500_000, 60_001),
            ("t", "read-request-units", 500_000, 60_002),
            ("t", "read-request-units", 1_000_000, 60_003),
            ("t", "write-request-units", 1_000_000, 60_003),
            ("t", "read-request-units", 500_000, 120_000),
            ("u", "byte-hours", 5, 60_000),
        ] {
            let (account, region) = ("0".to_owned(), "r".to_owned());
            let (service, resource) = ("dynamodb", table.to_owned());
            measuring.used(Usage { account, region, service, resource, unit, quantity_micro, at_ms });
        }
        measuring.hand_over();
        measuring.hand_over();
        let lines = std::mem::take(&mut *seen.0.lock().unwrap());
        let of = |name: &str, rest: &str| format!("Consumed{name}CapacityUnits [(\"TableName\", \"t\")] {rest}");
        assert_eq!(
            lines,
            [
                of("Read", "[(0.5, 2.0), (1.0, 1.0)] 60000"),
                of("Write", "[(1.0, 1.0)] 60000"),
                of("Read", "[(0.5, 1.0)] 120000")
            ]
        );
    }

    #[test]
    fn instances_at_work() {
        let pool = |function: &str, busy: usize| PoolView {
            account: "0".to_owned(),
            region: "r".to_owned(),
            function: function.to_owned(),
            version: "1".to_owned(),
            idle: 1,
            busy,
            starting: 0,
            waiting: 0,
            born: Default::default(),
            how: None,
        };
        let seen = Seen::default();
        concurrency(&seen, &[pool("f", 2), pool("f", 1), pool("g", 0), pool("h", 4)], 5);
        let lines = seen.0.into_inner().unwrap();
        let of = |dimensions: &str, count: &str| format!("ConcurrentExecutions [{dimensions}] [({count}, 1.0)] 5");
        let f = of("(\"FunctionName\", \"f\")", "3.0");
        assert_eq!(lines, [f, of("(\"FunctionName\", \"h\")", "4.0"), of("", "7.0")]);
    }

    #[test]
    fn a_round_is_a_few_numbers() {
        let record = |function: &str, duration_us, ending| Record {
            account: "0".to_owned(),
            region: "r".to_owned(),
            function: function.to_owned(),
            version: "$LATEST".to_owned(),
            request_id: String::new(),
            instance_id: String::new(),
            started_ms: 60_001,
            duration_us,
            billed_ms: 1,
            init_us: None,
            memory_mb: 128,
            memory_peak_bytes: 0,
            cpu_us: 0,
            ending,
        };
        let seen = Seen::default();
        measure(&seen, &[record("f", 1500, Ending::Success), record("f", 500, Ending::Timeout)]);
        let of_f = |name: &str, values: &str| format!("{name} [(\"FunctionName\", \"f\")] {values} 60000");
        let lines = seen.0.into_inner().unwrap();
        assert_eq!(lines.len(), 6, "{lines:?}");
        for line in [
            of_f("Invocations", "[(1.0, 2.0)]"),
            of_f("Errors", "[(0.0, 1.0), (1.0, 1.0)]"),
            of_f("Duration", "[(1.5, 1.0), (0.5, 1.0)]"),
            "Invocations [] [(1.0, 2.0)] 60000".to_owned(),
        ] {
            assert!(lines.contains(&line), "{line} is not among {lines:?}");
        }
    }
}
