//! Metrics in log events: what metric filters match, and the embedded metric format
//! (<https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>).
//! The tasks are part of the transaction that stores the events; each of them is a few calls of PutMetricData.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use cumulet_base::clock::Clock;
use cumulet_base::id;
use cumulet_delivery::retry::{RetryPolicy, Verdict};
use cumulet_delivery::{Handler, NewTask, Next, Task};
use cumulet_wire::auth::Caller;
use cumulet_wire::client::Client;
use cumulet_wire::error::ApiError;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::model::{Chunk, FORMAT, MetricFilter, Place, Transformation};
use crate::pattern::Pattern;
use crate::subscription::{PRINCIPAL, group_arn};

pub const OWNER: &str = "logs-metrics";
/// What PutMetricData takes of one datum and in one call; data of a call beyond a share of its body are another call.
const VALUES_MAX: usize = 150;
const DATA_MAX: usize = 250;
/// Of one event (the specification's), and of one value.
const METRICS_MAX: usize = 100;
const DIMENSIONS_MAX: usize = 30;
/// Data this old is no metric any more.
const AGE_MS_MAX: u64 = 14 * 86_400_000;

#[derive(Debug, Serialize, Deserialize)]
struct Batch {
    v: u8,
    account: String,
    region: String,
    group: String,
    /// Inputs of PutMetricData.
    calls: Vec<Value>,
}

/// Whose values are one datum.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Metric {
    namespace: String,
    name: String,
    dimensions: Vec<(String, String)>,
    unit: Option<String>,
    is_high: bool,
    at_s: u64,
}

type Found = BTreeMap<Metric, Vec<f64>>;

/// Whether a message may be of the embedded format; cheap, as every line that functions write is asked.
pub fn is_embedded(message: &str) -> bool {
    message.starts_with('{') && message.contains("\"_aws\"")
}

fn number(value: &Value) -> Option<f64> {
    value.as_f64().or_else(|| value.as_str()?.trim().parse().ok()).filter(|number| number.is_finite())
}

/// `None`: it is not of the format.
fn embedded(found: &mut Found, message: &str, timestamp_ms: u64) -> Option<()> {
    let root: Map<String, Value> = serde_json::from_str(message).ok()?;
    let meta = root.get("_aws")?;
    let at_ms = meta["Timestamp"].as_u64().unwrap_or(timestamp_ms);
    for directive in meta["CloudWatchMetrics"].as_array()? {
        let namespace = directive["Namespace"].as_str()?;
        let none = vec![json!([])];
        let sets = directive["Dimensions"].as_array().filter(|sets| !sets.is_empty()).unwrap_or(&none);
        for metric in directive["Metrics"].as_array()?.iter().take(METRICS_MAX) {
            let Some(name) = metric["Name"].as_str() else { continue };
            let values: Vec<f64> = match root.get(name) {
                Some(Value::Array(values)) => values.iter().filter_map(Value::as_f64).collect(),
                Some(value) => value.as_f64().into_iter().collect(),
                None => continue,
            };
            for set in sets {
                let names = set.as_array().map(Vec::as_slice).unwrap_or_default();
                let of =
                    |name: &Value| Some((name.as_str()?.to_owned(), root.get(name.as_str()?)?.as_str()?.to_owned()));
                // A set that names what is not there is no set.
                let Some(dimensions) = names.iter().take(DIMENSIONS_MAX).map(of).collect::<Option<Vec<_>>>() else {
                    continue;
                };
                let metric = Metric {
                    namespace: namespace.to_owned(),
                    name: name.to_owned(),
                    dimensions,
                    unit: metric["Unit"].as_str().map(str::to_owned),
                    is_high: metric["StorageResolution"] == 1,
                    at_s: at_ms / 1000,
                };
                found.entry(metric).or_default().extend(&values);
            }
        }
    }
    Some(())
}

/// What `$.a.b`, `$column` or a number stands for in a message.
fn value_of(text: &str, message: &str, columns: &BTreeMap<String, String>) -> Option<String> {
    if text.starts_with("$.") || text.starts_with("$[") {
        // A pattern about the selector reads it.
        let pattern = Pattern::parse(&format!("{{ {text} = * }}")).ok()?;
        return pattern.extract(message)?.into_values().next();
    }
    match text.starts_with('$') {
        true => columns.get(text).cloned(),
        false => Some(text.to_owned()),
    }
}

fn metric_of(transformation: &Transformation, dimensions: Vec<(String, String)>, timestamp_ms: u64) -> Metric {
    Metric {
        namespace: transformation.metric_namespace.clone(),
        name: transformation.metric_name.clone(),
        dimensions,
        unit: transformation.unit.clone(),
        is_high: false,
        at_s: timestamp_ms / 1000,
    }
}

fn filtered(found: &mut Found, filter: &MetricFilter, chunk: &Chunk) {
    // What was accepted can be read; otherwise nothing matches.
    let Ok(pattern) = Pattern::parse(&filter.pattern) else { return };
    let mut is_any = false;
    for (timestamp_ms, message) in &chunk.events {
        let Some(columns) = pattern.extract(message) else { continue };
        is_any = true;
        for transformation in &filter.transformations {
            let value = value_of(&transformation.metric_value, message, &columns);
            let Some(value) = value.and_then(|value| number(&value.into())) else { continue };
            let of = |(name, text): (&String, &String)| Some((name.clone(), value_of(text, message, &columns)?));
            // An event without a dimension's field has no metric.
            let Some(dimensions) = transformation.dimensions.iter().map(of).collect() else { continue };
            let metric = metric_of(transformation, dimensions, *timestamp_ms);
            found.entry(metric).or_default().push(value);
        }
    }
    let Some((timestamp_ms, _)) = chunk.events.last().filter(|_| !is_any) else { return };
    for transformation in &filter.transformations {
        if let Some(value) = transformation.default_value {
            found.entry(metric_of(transformation, Vec::new(), *timestamp_ms)).or_default().push(value);
        }
    }
}

fn calls(found: Found) -> Vec<Value> {
    let mut by_namespace: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for (metric, values) in found {
        for values in values.chunks(VALUES_MAX) {
            let dimensions: Vec<Value> =
                metric.dimensions.iter().map(|(name, value)| json!({"Name": name, "Value": value})).collect();
            by_namespace.entry(metric.namespace.clone()).or_default().push(json!({
                "MetricName": metric.name,
                "Dimensions": dimensions,
                "Timestamp": metric.at_s,
                "Values": values,
                "Unit": metric.unit,
                "StorageResolution": if metric.is_high { 1 } else { 60 },
            }));
        }
    }
    let calls = by_namespace.iter().flat_map(|(namespace, data)| {
        data.chunks(DATA_MAX).map(move |data| json!({"Namespace": namespace, "MetricData": data}))
    });
    calls.collect()
}

/// What a chunk of events leads to.
pub fn task(place: &Place, filters: &[MetricFilter], chunk: &Chunk, now_ms: u64) -> Result<Option<NewTask>, ApiError> {
    let mut found = Found::new();
    for (timestamp_ms, message) in chunk.events.iter().filter(|(_, message)| is_embedded(message)) {
        if embedded(&mut found, message, *timestamp_ms).is_none() {
            tracing::debug!(group = place.group, "an event looks like embedded metrics and has none");
        }
    }
    filters.iter().for_each(|filter| filtered(&mut found, filter, chunk));
    found.retain(|metric, values| metric.at_s * 1000 + AGE_MS_MAX > now_ms && !values.is_empty());
    if found.is_empty() {
        return Ok(None);
    }
    let (account, region, group) = (place.account.clone(), place.region.clone(), place.group.clone());
    let lane = format!("{account}/{region}/{group}");
    let batch = Batch { v: FORMAT, account, region, group, calls: calls(found) };
    let body = serde_json::to_vec(&batch).map_err(|e| ApiError::internal(format!("writing a task: {e}")))?;
    Ok(Some(NewTask { owner: OWNER, lane, due_ms: 0, body: body.into() }))
}

/// Puts the data.
pub struct Measure {
    pub client: Client,
    pub clock: Arc<dyn Clock>,
}

impl Measure {
    async fn put(&self, caller: &Caller, region: &str, call: &Value) -> Result<(), ApiError> {
        self.client.call(caller, region, "cloudwatch", "PutMetricData", call.clone(), Bytes::new()).await.map(drop)
    }

    /// What is refused for one datum's sake is put without it.
    async fn put_each(&self, caller: &Caller, region: &str, call: &Value) -> Result<(), ApiError> {
        let Err(error) = self.put(caller, region, call).await else { return Ok(()) };
        if !error.is_senders() {
            return Err(error);
        }
        for datum in call["MetricData"].as_array().into_iter().flatten() {
            let one = json!({"Namespace": call["Namespace"], "MetricData": [datum]});
            match self.put(caller, region, &one).await {
                Err(error) if !error.is_senders() => return Err(error),
                Err(error) => tracing::debug!(%error, "a metric of log events was refused"),
                Ok(()) => {}
            }
        }
        Ok(())
    }
}

#[async_trait]
impl Handler for Measure {
    async fn handle(&self, task: Task) -> Next {
        let Ok(mut batch) = serde_json::from_slice::<Batch>(&task.body) else {
            tracing::error!(lane = task.lane, "metrics of log events cannot be read and are dropped");
            return Next::Done;
        };
        let place = Place { account: batch.account.clone(), region: batch.region.clone(), group: batch.group.clone() };
        let caller = Caller::service(&place.account, PRINCIPAL, &group_arn(&place));
        while let Some(call) = batch.calls.last() {
            let Err(error) = self.put_each(&caller, &place.region, call).await else {
                batch.calls.pop();
                continue;
            };
            let jitter = u64::from_be_bytes(id::random());
            return match RetryPolicy::default().decide(
                &error,
                task.attempts,
                task.created_ms,
                self.clock.now_ms(),
                jitter,
            ) {
                // What was put is not put again.
                Verdict::Again { due_ms } => {
                    Next::Retry { due_ms, body: serde_json::to_vec(&batch).ok().map(Into::into) }
                }
                Verdict::Over { .. } => {
                    tracing::warn!(group = place.group, %error, "metrics of log events were dropped");
                    Next::Done
                }
            };
        }
        Next::Done
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn of(filters: &[MetricFilter], messages: &[&str]) -> Value {
        let place = Place { account: "0".to_owned(), region: "r".to_owned(), group: "g".to_owned() };
        let events = messages.iter().map(|message| (AGE_MS_MAX + 60_000, (*message).to_owned())).collect();
        let chunk = Chunk { v: FORMAT, stream: "s".to_owned(), ingested_ms: 0, events };
        let Some(task) = task(&place, filters, &chunk, AGE_MS_MAX + 60_000).unwrap() else { return Value::Null };
        serde_json::from_slice::<Batch>(&task.body).unwrap().calls.into()
    }

    fn filter(pattern: &str, value: &str) -> MetricFilter {
        let transformation = Transformation {
            metric_name: "m".to_owned(),
            metric_namespace: "N".to_owned(),
            metric_value: value.to_owned(),
            default_value: None,
            dimensions: BTreeMap::new(),
            unit: None,
        };
        MetricFilter {
            name: "f".to_owned(),
            pattern: pattern.to_owned(),
            transformations: vec![transformation],
            created_ms: 0,
        }
    }

    #[test]
    fn embedded_metrics() {
        let line = json!({
            "_aws": {"Timestamp": AGE_MS_MAX + 61_000, "CloudWatchMetrics": [{
                "Namespace": "Shop", "Dimensions": [["service"], ["service", "absent"], []],
                "Metrics": [{"Name": "orders", "Unit": "Count"}, {"Name": "ms", "StorageResolution": 1}, {"Name": "none"}],
            }]},
            "service": "cart", "orders": 2, "ms": [1.5, 2.5],
        });
        let calls = of(&[], &["plain \"_aws\"", &line.to_string(), &line.to_string(), "{\"_aws\": 1}"]);
        assert_eq!(calls.as_array().unwrap().len(), 1);
        let data = calls[0]["MetricData"].as_array().unwrap();
        assert_eq!(data.len(), 4);
        let orders =
            data.iter().find(|d| d["MetricName"] == "orders" && d["Dimensions"][0]["Value"] == "cart").unwrap();
        assert_eq!(
            (&orders["Values"], &orders["Unit"], &orders["StorageResolution"]),
            (&json!([2.0, 2.0]), &json!("Count"), &json!(60))
        );
        let ms = data.iter().find(|d| d["MetricName"] == "ms").unwrap();
        assert_eq!((&ms["Values"], &ms["StorageResolution"]), (&json!([1.5, 2.5, 1.5, 2.5]), &json!(1)));
        assert_eq!(of(&[], &["nothing"]), Value::Null);
    }

    #[test]
    fn filters() {
        let values = |filter: MetricFilter, messages: &[&str]| {
            let calls = of(&[filter], messages);
            calls[0]["MetricData"][0]["Values"].clone()
        };
        assert_eq!(values(filter("ERROR", "1"), &["an ERROR", "fine", "ERROR"]), json!([1.0, 1.0]));
        assert_eq!(values(filter("", "1"), &["a"]), json!([1.0]));
        let json = r#"{"ok": true, "latency": {"ms": "12.5"}}"#;
        assert_eq!(values(filter("{ $.ok IS TRUE }", "$.latency.ms"), &[json, "{}"]), json!([12.5]));
        assert_eq!(values(filter("[ip, ms > 5]", "$ms"), &["a 7", "a 3"]), json!([7.0]));
        // No number, no value.
        assert_eq!(of(&[filter("ERROR", "$.x")], &["ERROR"]), Value::Null);
        assert_eq!(of(&[filter("ERROR", "1")], &["fine"]), Value::Null);
        let mut with_default = filter("ERROR", "1");
        with_default.transformations[0].default_value = Some(0.0);
        assert_eq!(values(with_default, &["fine", "fine"]), json!([0.0]));
        let mut with_dimension = filter("{ $.ok IS TRUE }", "1");
        with_dimension.transformations[0].dimensions = BTreeMap::from([("Kind".to_owned(), "$.kind".to_owned())]);
        let calls = of(&[with_dimension], &[r#"{"ok": true, "kind": "a"}"#, r#"{"ok": true}"#]);
        assert_eq!(calls[0]["MetricData"][0]["Dimensions"], json!([{"Name": "Kind", "Value": "a"}]));
        assert_eq!(calls[0]["MetricData"].as_array().unwrap().len(), 1);
    }
}
