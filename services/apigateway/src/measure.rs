//! What CloudWatch's metrics of APIs are made of
//! (<https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-metrics.html>): requests are counted by API and
//! stage and handed over every second, so that none of them waits. Deliberately absent: what is detailed by methods.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};

use cumulet_engine::record::{Measured, MetricSink};

/// Whose requests.
#[derive(Clone, Copy)]
pub struct Api<'a> {
    pub account: &'a str,
    pub region: &'a str,
    pub id: &'a str,
    pub stage: &'a str,
    /// REST APIs are named by it.
    pub rest_name: Option<&'a str>,
}

#[derive(Default)]
struct Sum {
    account: String,
    region: String,
    rest_name: Option<String>,
    at_ms: u64,
    count: f64,
    client_errors: f64,
    server_errors: f64,
    latency_ms: BTreeMap<u64, f64>,
    integration_ms: BTreeMap<u64, f64>,
}

/// By API and stage.
#[derive(Default)]
pub struct Requests(Mutex<HashMap<String, HashMap<String, Sum>>>);

impl Requests {
    pub fn count(&self, api: Api<'_>, status: u16, latency_ms: u64, integration_ms: Option<u64>, now_ms: u64) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !all.contains_key(api.id) {
            all.insert(api.id.to_owned(), HashMap::new());
        }
        let Some(stages) = all.get_mut(api.id) else { return };
        if !stages.contains_key(api.stage) {
            let (account, region) = (api.account.to_owned(), api.region.to_owned());
            let rest_name = api.rest_name.map(str::to_owned);
            stages.insert(api.stage.to_owned(), Sum { account, region, rest_name, at_ms: now_ms, ..Sum::default() });
        }
        let Some(sum) = stages.get_mut(api.stage) else { return };
        sum.count += 1.0;
        sum.client_errors += f64::from(u8::from((400..500).contains(&status)));
        sum.server_errors += f64::from(u8::from(status >= 500));
        *sum.latency_ms.entry(latency_ms).or_default() += 1.0;
        if let Some(ms) = integration_ms {
            *sum.integration_ms.entry(ms).or_default() += 1.0;
        }
    }

    pub fn hand_over(&self, metrics: &dyn MetricSink) {
        let all = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        for (id, stages) in &all {
            for (stage, sum) in stages {
                tell(metrics, id, stage, sum);
            }
        }
    }
}

fn tell(metrics: &dyn MetricSink, id: &str, stage: &str, sum: &Sum) {
    let api = match &sum.rest_name {
        Some(name) => ("ApiName", name.as_str()),
        None => ("ApiId", id),
    };
    let (client_errors, server_errors) =
        if sum.rest_name.is_some() { ("4XXError", "5XXError") } else { ("4xx", "5xx") };
    // Each request is a sample: the average of errors is their share.
    let share = |errors: f64| {
        let all = [(0.0, sum.count - errors), (1.0, errors)];
        all.into_iter().filter(|(_, count)| *count > 0.0).collect::<Vec<_>>()
    };
    let spread =
        |values: &BTreeMap<u64, f64>| values.iter().map(|(ms, count)| (*ms as f64, *count)).collect::<Vec<_>>();
    for dimensions in [&[api, ("Stage", stage)][..], &[api]] {
        for (name, unit, values) in [
            ("Count", "Count", vec![(1.0, sum.count)]),
            (client_errors, "Count", share(sum.client_errors)),
            (server_errors, "Count", share(sum.server_errors)),
            ("Latency", "Milliseconds", spread(&sum.latency_ms)),
            ("IntegrationLatency", "Milliseconds", spread(&sum.integration_ms)),
        ] {
            let (account, region, values, at_ms) = (&sum.account, &sum.region, &values[..], sum.at_ms);
            let namespace = "AWS/ApiGateway";
            metrics.measured(Measured { account, region, namespace, name, unit, dimensions, values, at_ms });
        }
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
            self.0.lock().unwrap().push(format!("{} {:?} {:?}", m.name, m.dimensions, m.values));
        }
    }

    #[test]
    fn requests_by_api_and_stage() {
        let requests = Requests::default();
        let api = Api { account: "0", region: "r", id: "a", stage: "s", rest_name: None };
        requests.count(api, 200, 5, Some(4), 0);
        requests.count(api, 404, 1, None, 0);
        requests.count(Api { id: "b", rest_name: Some("Shop"), ..api }, 502, 5, Some(4), 0);
        let seen = Seen::default();
        requests.hand_over(&seen);
        let lines = seen.0.into_inner().unwrap();
        assert_eq!(lines.len(), 20);
        for line in [
            "Count [(\"ApiId\", \"a\")] [(1.0, 2.0)]",
            "4xx [(\"ApiId\", \"a\"), (\"Stage\", \"s\")] [(0.0, 1.0), (1.0, 1.0)]",
            "Latency [(\"ApiId\", \"a\")] [(1.0, 1.0), (5.0, 1.0)]",
            "5XXError [(\"ApiName\", \"Shop\")] [(1.0, 1.0)]",
        ] {
            assert!(lines.contains(&line.to_owned()), "{line} is not among {lines:?}");
        }
        let none = Seen::default();
        requests.hand_over(&none);
        assert!(none.0.into_inner().unwrap().is_empty());
    }
}
