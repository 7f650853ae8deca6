//! The platform's own events of initialisations and invocations, as extensions are told of them and logs in JSON hold them
//! (<https://docs.aws.amazon.com/lambda/latest/dg/telemetry-schema-reference.html>). Deliberately absent: the span
//! `runtimeOverhead`, and `spanId`.

use cumulet_base::clock;
use serde_json::{Value, json};

use crate::function::FunctionVersion;
use crate::outcome::{self, Finish, Report, Verdict};
use crate::record::Ending;
use crate::sandbox::Failure;

/// What `platform.initStart` says.
pub fn init_start_record(function: &FunctionVersion) -> Value {
    let mut record = init_record(function);
    record["runtimeVersion"] = json!(function.runtime.to_string());
    record["functionName"] = json!(function.name);
    record["functionVersion"] = json!(function.version);
    record
}

/// What all of the platform's events about an initialisation say.
fn init_record(function: &FunctionVersion) -> Value {
    let kind = if function.provisioned() > 0 { "provisioned-concurrency" } else { "on-demand" };
    json!({ "initializationType": kind, "phase": "init" })
}

/// How an initialisation ended.
#[derive(Clone, Copy, Debug)]
pub enum InitEnd<'a> {
    Done,
    Failed(&'a Failure),
    TimedOut,
}

impl InitEnd<'_> {
    /// Lambda's status, and error type.
    pub fn status(&self) -> (&'static str, Option<String>) {
        match self {
            InitEnd::Done => ("success", None),
            InitEnd::TimedOut => ("timeout", None),
            InitEnd::Failed(Failure::Init(object)) => {
                let object: Value = serde_json::from_slice(object).unwrap_or_default();
                ("error", Some(object["errorType"].as_str().unwrap_or("Runtime.Unknown").to_owned()))
            }
            InitEnd::Failed(failure) => {
                let kind = outcome::verdict(Finish::Failed((*failure).clone()), "", 0, true).error_type;
                ("error", kind.map(str::to_owned))
            }
        }
    }
}

/// What those who want to know are told when an initialisation is over: type and record of each event.
pub fn init_records(function: &FunctionVersion, us: u64, end: &InitEnd<'_>) -> [(&'static str, Value); 2] {
    let mut record = init_record(function);
    let (status, kind) = end.status();
    record["status"] = json!(status);
    if let Some(kind) = kind {
        record["errorType"] = json!(kind);
    }
    let done = record.clone();
    record["metrics"] = json!({ "durationMs": ms(us) });
    [("platform.initRuntimeDone", done), ("platform.initReport", record)]
}

/// What `platform.start` says of an invocation.
pub fn start_record(function: &FunctionVersion, request_id: &str) -> Value {
    json!({"requestId": request_id, "version": function.version})
}

/// The same with the trace it belongs to.
pub fn traced(mut record: Value, trace: &str) -> Value {
    record["tracing"] = json!({ "type": "X-Amzn-Trace-Id", "value": trace });
    record
}

/// What `platform.fault` says, which only the Logs API knows.
pub fn fault(verdict: &Verdict) -> Option<String> {
    let is_fault = matches!(verdict.ending, Ending::Crash | Ending::OutOfMemory | Ending::InitError);
    verdict.log_line.clone().filter(|_| is_fault)
}

/// What `platform.runtimeDone` says.
pub fn done_record(request_id: &str, verdict: &Verdict, report: &Report) -> Value {
    let metrics = json!({"durationMs": ms(report.duration_us), "producedBytes": report.produced_bytes});
    let mut record = end_record(request_id, verdict, metrics);
    if matches!(verdict.ending, Ending::Success | Ending::Error) {
        let latency_us = report.duration_us - report.response_us.min(report.duration_us);
        let first_ms = report.started_ms + latency_us / 1000;
        record["spans"] = json!([
            span("responseLatency", report.started_ms, latency_us),
            span("responseDuration", first_ms, report.response_us),
        ]);
    }
    record
}

fn span(name: &str, start_ms: u64, us: u64) -> Value {
    json!({ "name": name, "start": clock::iso_ms(start_ms), "durationMs": ms(us) })
}

/// What `platform.report` says.
pub fn report_record(function: &FunctionVersion, request_id: &str, verdict: &Verdict, report: &Report) -> Value {
    let mut metrics = json!({
        "durationMs": ms(report.duration_us),
        "billedDurationMs": report.billed_ms,
        "memorySizeMB": function.memory_mb,
        "maxMemoryUsedMB": report.memory_peak_bytes.div_ceil(1 << 20).min(u64::from(function.memory_mb)),
    });
    if let Some(init) = report.init_us {
        metrics["initDurationMs"] = json!(ms(init));
    }
    let mut record = end_record(request_id, verdict, metrics);
    if let Some(us) = report.extensions_us {
        let start_ms = report.started_ms + report.duration_us.saturating_sub(us) / 1000;
        record["spans"] = json!([span("extensionOverhead", start_ms, us)]);
    }
    record
}

fn end_record(request_id: &str, verdict: &Verdict, metrics: Value) -> Value {
    let status = match verdict.ending {
        Ending::Success => "success",
        Ending::Timeout => "timeout",
        Ending::Error => "error",
        Ending::OutOfMemory | Ending::Crash | Ending::InitError => "failure",
    };
    let mut record = json!({"requestId": request_id, "status": status, "metrics": metrics});
    if let Some(kind) = verdict.error_type {
        record["errorType"] = json!(kind);
    }
    record
}

fn ms(us: u64) -> f64 {
    us as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::Answer;

    #[test]
    fn spans_say_where_the_time_went() {
        let report = Report {
            started_ms: 1_000,
            duration_us: 7_500,
            response_us: 2_000,
            extensions_us: Some(500),
            produced_bytes: 3,
            ..Report::default()
        };
        let of = |finish| outcome::verdict(finish, "r", 1_000, false);
        let answered = of(Finish::Answered(Answer::Success("abc".into())));
        let done = done_record("r", &answered, &report);
        assert_eq!(done["metrics"], json!({ "durationMs": 7.5, "producedBytes": 3 }));
        assert_eq!(
            done["spans"],
            json!([
                { "name": "responseLatency", "start": "1970-01-01T00:00:01.000Z", "durationMs": 5.5 },
                { "name": "responseDuration", "start": "1970-01-01T00:00:01.005Z", "durationMs": 2.0 },
            ])
        );
        let last = report_record(&FunctionVersion::default(), "r", &answered, &report);
        assert_eq!(
            last["spans"],
            json!([{ "name": "extensionOverhead", "start": "1970-01-01T00:00:01.007Z", "durationMs": 0.5 }])
        );
        let late = of(Finish::TimedOut);
        assert_eq!((done_record("r", &late, &report).get("spans"), fault(&late)), (None, None));
        let killed = fault(&of(Finish::Failed(Failure::OutOfMemory)));
        assert_eq!(killed.as_deref(), Some("RequestId: r Error: Runtime exited with error: signal: killed"));
    }
}
