//! Ports for what an invocation leaves behind: its log events and its one record, from which bill and metrics come.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::function::FunctionVersion;
use crate::output::LogEvent;

/// How an invocation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    Success,
    /// The handler raised or returned an error.
    Error,
    Timeout,
    OutOfMemory,
    /// The process ended, broke the protocol or answered too much.
    Crash,
    InitError,
}

/// One for each invocation, whatever became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    pub account: String,
    pub region: String,
    pub function: String,
    pub version: String,
    pub request_id: String,
    pub instance_id: String,
    /// When the event was handed over, milliseconds since 1970.
    pub started_ms: u64,
    pub duration_us: u64,
    /// Handler and, for the first of an instance, initialisation; rounded up to 1 ms.
    pub billed_ms: u64,
    /// Initialisation, where this invocation was the first of its instance.
    pub init_us: Option<u64>,
    pub memory_mb: u32,
    pub memory_peak_bytes: u64,
    pub cpu_us: u64,
    pub ending: Ending,
}

/// Where log events go. Order within one stream is kept.
#[async_trait]
pub trait LogSink: Send + Sync + 'static {
    /// Takes the events over. They are durable soon after, at the latest when [`LogSink::flush`] returns; waits while too many are under way.
    async fn append(&self, account: &str, region: &str, group: &str, stream: &str, events: Vec<LogEvent>);

    /// Returns when all that was appended before is durable.
    async fn flush(&self);
}

/// Where records go; the same promises.
#[async_trait]
pub trait MeterSink: Send + Sync + 'static {
    async fn record(&self, record: Record);

    /// An invocation was refused because there were too many: it has no record, and is counted.
    fn throttled(&self, function: &FunctionVersion) {
        let _ = function;
    }

    async fn flush(&self);
}

/// What a service used on somebody's behalf, other than by invoking: read units, stored byte-hours, requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Usage {
    pub account: String,
    pub region: String,
    /// The service's name on the wire: `dynamodb`, `s3`.
    pub service: &'static str,
    /// The table, bucket or queue.
    pub resource: String,
    /// What is counted, in AWS's words: `read-request-units`, `write-request-units`, `byte-hours`, `put-requests`.
    pub unit: &'static str,
    /// In millionths of the unit, so that half a read unit and a small object's byte-hours add up exactly.
    pub quantity_micro: u64,
    /// Milliseconds since 1970.
    pub at_ms: u64,
}

/// Where usage goes. Adding never waits and never fails: it is summed in memory by account, resource, unit and day, and
/// the sums become durable within seconds and when the cloud stops.
pub trait UsageSink: Send + Sync + 'static {
    fn used(&self, usage: Usage);
}

/// A number that the platform measures of itself, on somebody's behalf.
#[derive(Clone, Copy, Debug)]
pub struct Measured<'a> {
    pub account: &'a str,
    pub region: &'a str,
    /// In AWS's words, as CloudWatch has it: `AWS/Lambda`, `Duration`, `Milliseconds`.
    pub namespace: &'static str,
    pub name: &'static str,
    pub unit: &'static str,
    pub dimensions: &'a [(&'static str, &'a str)],
    /// Values, and how often each came.
    pub values: &'a [(f64, f64)],
    /// Milliseconds since 1970.
    pub at_ms: u64,
}

/// Where such numbers go. Adding never waits and never fails: they are added up in memory by the minute and written within
/// seconds and when the cloud stops.
pub trait MetricSink: Send + Sync + 'static {
    fn measured(&self, measured: Measured<'_>);
}
