//! From what an instance did to what the caller gets, the log says and the bill counts. Pure.

use bytes::Bytes;
use cumulet_base::{clock, limits};
use serde_json::{Value, json};

use crate::events::{self, InitEnd};
use crate::function::FunctionVersion;
use crate::output::LogEvent;
use crate::record::Ending;
use crate::sandbox::{Answer, Failure};

/// What became of an event that was handed over, or was to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finish {
    Answered(Answer),
    Failed(Failure),
    TimedOut,
}

/// The caller's share of a finish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    pub payload: Bytes,
    pub function_error: Option<&'static str>,
    pub ending: Ending,
    /// `errorType` of the platform's own errors, for the REPORT line.
    pub error_type: Option<&'static str>,
    /// What the platform itself has to say in the log.
    pub log_line: Option<String>,
}

/// Lambda's answer to each way of ending
/// (<https://docs.aws.amazon.com/lambda/latest/dg/troubleshooting-invocation.html>).
pub fn verdict(finish: Finish, request_id: &str, timeout_ms: u64, is_init: bool) -> Verdict {
    let error = |ending, kind: &'static str, message: String| {
        let payload = json!({ "errorType": kind, "errorMessage": format!("RequestId: {request_id} Error: {message}") });
        Verdict {
            payload: payload.to_string().into(),
            function_error: Some("Unhandled"),
            ending,
            error_type: Some(kind),
            log_line: Some(format!("RequestId: {request_id} Error: {message}")),
        }
    };
    let crash = if is_init { Ending::InitError } else { Ending::Crash };
    match finish {
        Finish::Answered(Answer::Success(payload)) => {
            Verdict { payload, function_error: None, ending: Ending::Success, error_type: None, log_line: None }
        }
        Finish::Answered(Answer::Error(payload)) => Verdict {
            payload,
            function_error: Some("Unhandled"),
            ending: Ending::Error,
            error_type: None,
            log_line: None,
        },
        Finish::Failed(Failure::Init(payload)) => Verdict {
            payload,
            function_error: Some("Unhandled"),
            ending: Ending::InitError,
            error_type: None,
            log_line: None,
        },
        Finish::TimedOut => {
            let seconds = format!("Task timed out after {}.{:02} seconds", timeout_ms / 1000, timeout_ms % 1000 / 10);
            let mut verdict = error(Ending::Timeout, "Sandbox.Timedout", seconds.clone());
            verdict.log_line = Some(seconds);
            verdict
        }
        Finish::Failed(Failure::Exited { code, signal }) => error(crash, "Runtime.ExitError", exit_text(code, signal)),
        Finish::Failed(Failure::OutOfMemory) => {
            error(Ending::OutOfMemory, "Runtime.OutOfMemory", "Runtime exited with error: signal: killed".into())
        }
        Finish::Failed(Failure::ResponseTooLarge { bytes_max }) => {
            let message = format!("Response payload size exceeded maximum allowed payload size ({bytes_max} bytes).");
            let mut verdict = error(Ending::Crash, "Function.ResponseSizeTooLarge", message.clone());
            verdict.payload =
                json!({ "errorType": "Function.ResponseSizeTooLarge", "errorMessage": message }).to_string().into();
            verdict
        }
        Finish::Failed(Failure::Protocol(reason)) => error(crash, "Runtime.InvalidResponse", reason),
        Finish::Failed(Failure::Extension { kind, message } | Failure::Unfit { kind, message }) => {
            error(crash, kind, message)
        }
    }
}

fn exit_text(code: Option<i32>, signal: Option<i32>) -> String {
    let name = |signal| match signal {
        4 => "illegal instruction".to_owned(),
        6 => "aborted".to_owned(),
        7 => "bus error".to_owned(),
        8 => "floating point exception".to_owned(),
        9 => "killed".to_owned(),
        11 => "segmentation fault".to_owned(),
        15 => "terminated".to_owned(),
        31 => "bad system call".to_owned(),
        other => format!("signal {other}"),
    };
    match (code, signal) {
        (_, Some(signal)) => format!("Runtime exited with error: signal: {}", name(signal)),
        (Some(0) | None, None) => "Runtime exited without providing a reason".to_owned(),
        (Some(code), None) => format!("Runtime exited with error: exit status {code}"),
    }
}

/// Handler time, and initialisation where this was the first invocation of its instance, each rounded up to 1 ms:
/// Lambda bills both since August 2025.
pub fn billed_ms(duration_us: u64, init_us: Option<u64>) -> u64 {
    (duration_us + init_us.unwrap_or(0)).div_ceil(1000)
}

/// The figures of a REPORT line.
#[derive(Clone, Copy, Debug, Default)]
pub struct Report {
    pub started_ms: u64,
    pub ended_ms: u64,
    pub duration_us: u64,
    /// Of it, since the first of a streamed answer came.
    pub response_us: u64,
    /// Of it, what extensions took after the answer; none where there are none.
    pub extensions_us: Option<u64>,
    pub produced_bytes: u64,
    pub billed_ms: u64,
    pub init_us: Option<u64>,
    pub memory_peak_bytes: u64,
}

/// The invocation's log as Lambda writes it: START, what was printed, END, REPORT.
pub fn log_lines(
    function: &FunctionVersion,
    request_id: &str,
    before: Vec<LogEvent>,
    printed: (Vec<LogEvent>, usize),
    verdict: &Verdict,
    report: &Report,
) -> Vec<LogEvent> {
    let (printed, dropped_bytes) = printed;
    let mut lines = before;
    if function.logs.is_json {
        lines.extend(system_line(function, report.started_ms, "platform.start", INFO, || {
            events::start_record(function, request_id)
        }));
        lines.extend(printed);
        lines.extend(json_end(function, request_id, verdict, report));
        return lines;
    }
    lines.reserve(printed.len() + 5);
    let at = |timestamp_ms, message| LogEvent { timestamp_ms, message };
    lines.push(at(report.started_ms, format!("START RequestId: {request_id} Version: {}", function.version)));
    lines.extend(printed);
    if dropped_bytes > 0 {
        lines.push(at(
            report.ended_ms,
            format!("LOGS\tDropped: {dropped_bytes} bytes\tReason: the invocation printed more than may be kept"),
        ));
    }
    if let Some(line) = &verdict.log_line {
        let text = if verdict.ending == Ending::Timeout {
            format!("{} {request_id} {line}", clock::iso_ms(report.ended_ms))
        } else {
            line.clone()
        };
        lines.push(at(report.ended_ms, text));
    }
    lines.push(at(report.ended_ms, format!("END RequestId: {request_id}")));
    lines.push(at(report.ended_ms, report_line(function, request_id, verdict, report)));
    lines
}

/// Levels of the platform's own lines, where they are objects.
const LEVELS: &[&str] = &["DEBUG", "INFO", "WARN"];
const INFO: &str = "INFO";

/// One of the platform's own lines as an object, if the function wants it
/// (<https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-logformat.html>).
fn system_line(
    function: &FunctionVersion,
    at_ms: u64,
    kind: &str,
    level: &str,
    record: impl FnOnce() -> Value,
) -> Option<LogEvent> {
    let rank = |level: &str| LEVELS.iter().position(|known| *known == level).unwrap_or_default();
    let least = function.logs.system_level.as_deref().unwrap_or(INFO);
    (rank(level) >= rank(least)).then(|| LogEvent {
        timestamp_ms: at_ms,
        message: json!({"time": clock::iso_ms(at_ms), "type": kind, "record": record()}).to_string(),
    })
}

/// The first line of an instance.
pub fn init_line(function: &FunctionVersion, at_ms: u64) -> Option<LogEvent> {
    if function.logs.is_json {
        return system_line(function, at_ms, "platform.initStart", INFO, || events::init_start_record(function));
    }
    Some(LogEvent { timestamp_ms: at_ms, message: format!("INIT_START Runtime Version: {}", function.runtime) })
}

/// The log's line of an initialisation that failed, or with no failure took too long; Lambda has none of others.
pub fn init_report(function: &FunctionVersion, at_ms: u64, us: u64, failure: Option<&Failure>) -> Option<LogEvent> {
    let end = failure.map_or(InitEnd::TimedOut, InitEnd::Failed);
    if function.logs.is_json {
        let [_, (what, record)] = events::init_records(function, us, &end);
        return system_line(function, at_ms, what, "WARN", || record);
    }
    let (status, kind) = end.status();
    let kind = kind.map(|kind| format!("\tError Type: {kind}")).unwrap_or_default();
    let took = format!("{}.{:02} ms", us / 1000, us % 1000 / 10);
    Some(LogEvent {
        timestamp_ms: at_ms,
        message: format!("INIT_REPORT Init Duration: {took}\tPhase: init\tStatus: {status}{kind}"),
    })
}

fn json_end(
    function: &FunctionVersion,
    request_id: &str,
    verdict: &Verdict,
    report: &Report,
) -> impl Iterator<Item = LogEvent> {
    let is_fine = verdict.ending == Ending::Success;
    let done =
        system_line(function, report.ended_ms, "platform.runtimeDone", if is_fine { "DEBUG" } else { "WARN" }, || {
            events::done_record(request_id, verdict, report)
        });
    let level = if is_fine { INFO } else { "WARN" };
    let last = system_line(function, report.ended_ms, "platform.report", level, || {
        events::report_record(function, request_id, verdict, report)
    });
    done.into_iter().chain(last)
}

fn report_line(function: &FunctionVersion, request_id: &str, verdict: &Verdict, report: &Report) -> String {
    let ms = |us: u64| format!("{}.{:02} ms", us / 1000, us % 1000 / 10);
    let mut line = format!(
        "REPORT RequestId: {request_id}\tDuration: {}\tBilled Duration: {} ms\tMemory Size: {} MB\tMax Memory Used: {} MB",
        ms(report.duration_us),
        report.billed_ms,
        function.memory_mb,
        report.memory_peak_bytes.div_ceil(1 << 20).min(u64::from(function.memory_mb)),
    );
    if let Some(init) = report.init_us {
        line.push_str(&format!("\tInit Duration: {}", ms(init)));
    }
    match (verdict.ending, verdict.error_type) {
        (Ending::Timeout, _) => line.push_str("\tStatus: timeout"),
        (_, Some(kind)) => line.push_str(&format!("\tStatus: error\tError Type: {kind}")),
        _ => {}
    }
    line
}

/// The last 4 KiB of the log, as `LogType=Tail` returns it.
pub fn tail(lines: &[LogEvent]) -> Bytes {
    let mut kept = Vec::new();
    let mut bytes = 0;
    for line in lines.iter().rev() {
        bytes += line.message.len() + 1;
        kept.push(line.message.as_str());
        if bytes >= limits::LOG_TAIL_BYTES_MAX {
            break;
        }
    }
    let mut text: Vec<u8> = Vec::with_capacity(bytes);
    for message in kept.iter().rev() {
        text.extend(message.as_bytes());
        text.push(b'\n');
    }
    let from = text.len().saturating_sub(limits::LOG_TAIL_BYTES_MAX);
    Bytes::from(text).slice(from..)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn payload(finish: Finish) -> String {
        String::from_utf8(verdict(finish, "r1", 1500, false).payload.to_vec()).unwrap()
    }

    #[test]
    fn errors_read_as_lambdas() {
        assert_eq!(
            payload(Finish::TimedOut),
            r#"{"errorType":"Sandbox.Timedout","errorMessage":"RequestId: r1 Error: Task timed out after 1.50 seconds"}"#
        );
        let exited = |code, signal| payload(Finish::Failed(Failure::Exited { code, signal }));
        assert!(exited(Some(3), None).contains("Runtime exited with error: exit status 3"));
        assert!(exited(Some(0), None).contains("Runtime exited without providing a reason"));
        assert!(exited(None, Some(11)).contains("signal: segmentation fault"));
        assert!(payload(Finish::Failed(Failure::OutOfMemory)).contains("Runtime.OutOfMemory"));
        let too_large = payload(Finish::Failed(Failure::ResponseTooLarge { bytes_max: 209_715_200 }));
        assert!(too_large.contains("maximum allowed payload size (209715200 bytes)"), "{too_large}");
        assert_eq!(payload(Finish::Answered(Answer::Success("1".into()))), "1");
    }

    #[test]
    fn an_initialisation_that_failed_has_a_line() {
        let function = FunctionVersion::default();
        let line = |failure| init_report(&function, 0, 1_234_560, failure).unwrap().message;
        let start = "INIT_REPORT Init Duration: 1234.56 ms\tPhase: init\tStatus: ";
        assert_eq!(line(None), format!("{start}timeout"));
        let exited = Failure::Exited { code: Some(1), signal: None };
        assert_eq!(line(Some(&exited)), format!("{start}error\tError Type: Runtime.ExitError"));
        let told = Failure::Init(r#"{"errorType":"A.B"}"#.into());
        assert_eq!(line(Some(&told)), format!("{start}error\tError Type: A.B"));
        assert!(line(Some(&Failure::Init("no JSON".into()))).ends_with("Error Type: Runtime.Unknown"));
    }

    #[test]
    fn lines_as_objects_by_their_level() {
        use crate::function::Logs;
        let report = Report { duration_us: 1500, ..Report::default() };
        let types = |level: &str, finish: Finish| -> Vec<String> {
            let logs = Logs { is_json: true, system_level: Some(level.to_owned()), application_level: None };
            let function = FunctionVersion { logs, ..FunctionVersion::default() };
            let verdict = verdict(finish, "r", 3000, false);
            let lines = log_lines(&function, "r", vec![], (vec![], 0), &verdict, &report);
            let kind = |line: &LogEvent| serde_json::from_str::<Value>(&line.message).unwrap()["type"].clone();
            lines.iter().map(|line| kind(line).as_str().unwrap().trim_start_matches("platform.").to_owned()).collect()
        };
        let fine = || Finish::Answered(Answer::Success("1".into()));
        assert_eq!(types("DEBUG", fine()), ["start", "runtimeDone", "report"]);
        assert_eq!(types("INFO", fine()), ["start", "report"]);
        assert_eq!(types("WARN", fine()), [""; 0]);
        assert_eq!(types("WARN", Finish::TimedOut), ["runtimeDone", "report"]);
    }

    #[test]
    fn billing_rounds_up() {
        for (duration, init, billed) in
            [(0, None, 0), (1, None, 1), (1000, None, 1), (1001, None, 2), (500, Some(600), 2)]
        {
            assert_eq!(billed_ms(duration, init), billed);
        }
    }

    #[test]
    fn the_tail_is_bounded_and_whole() {
        let line = |message: &str| LogEvent { timestamp_ms: 0, message: message.into() };
        assert_eq!(tail(&[line("a"), line("b")]).as_ref(), b"a\nb\n");
        let long = tail(&[line(&"x".repeat(10_000)), line("end")]);
        assert_eq!(long.len(), limits::LOG_TAIL_BYTES_MAX);
        assert!(long.ends_with(b"x\nend\n"));
    }
}
