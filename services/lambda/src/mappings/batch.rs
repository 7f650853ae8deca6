//! Handing one batch to the function, and reading what it says of the records.

use std::collections::HashSet;

use bytes::Bytes;
use cumulet_base::{id, limits};
use cumulet_engine::catalog::Access;
use cumulet_engine::invocation::{Invocation, InvokeError, Outcome};
use serde_json::Value;

use super::{FAILED, FINE, Work};
use crate::names::Named;

/// How a batch ended.
#[derive(Debug)]
pub enum Ended {
    Done,
    /// Of a function that reports them: the identifiers of what failed.
    Partly(HashSet<String>),
    /// The function failed, or said something of the batch that is not understood.
    Failed(Box<Failure>),
    /// It did not run and may later.
    Throttled,
    /// It cannot run as things are.
    Refused(String),
}

/// What a failure's record needs.
#[derive(Debug)]
pub struct Failure {
    pub request_id: String,
    pub executed_version: String,
    pub function_error: Option<&'static str>,
}

/// `identifiers` are those of the batch's records.
pub async fn hand_over(
    work: &Work,
    payload: Bytes,
    trace: Option<String>,
    identifiers: &[String],
) -> (Ended, Option<Value>) {
    let mapping = &work.mapping;
    let target = mapping.target();
    let request_id = id::uuid();
    let now_ms = work.inner.ports.clock.now_ms();
    let mut invocation = Invocation {
        request_id: request_id.clone(),
        payload,
        invoked_arn: target.arn(),
        trace: trace.unwrap_or_else(|| id::trace_header(now_ms)),
        ..Invocation::default()
    };
    let named = Named {
        account: target.account.clone(),
        region: target.region.clone(),
        name: target.name.clone(),
        qualifier: target.qualifier.clone(),
    };
    // A function that goes on causing itself through the queue is stopped; the messages go where those that fail go.
    if let Err(error) = work.inner.ports.functions.count(&named, &mut invocation).await {
        work.say(&format!("PROBLEM: {}", error.message));
        return (Ended::Refused(error.message), None);
    }
    let outcome = work.inner.ports.invoker.invoke(&target, &Access::Authorised, invocation).await;
    let (ended, answer) = match outcome {
        Ok(outcome) => judge(outcome, request_id, mapping.reports_failures, identifiers),
        Err(InvokeError::Throttled { .. } | InvokeError::Draining | InvokeError::NotReady { .. }) => {
            (Ended::Throttled, None)
        }
        Err(error) => (Ended::Refused(error.to_string()), None),
    };
    match &ended {
        Ended::Done | Ended::Partly(_) => work.say(FINE),
        Ended::Failed(_) | Ended::Refused(_) => work.say(FAILED),
        Ended::Throttled => work.say("PROBLEM: Lambda throttled your function"),
    }
    (ended, answer)
}

fn judge(
    outcome: Outcome,
    request_id: String,
    reports_failures: bool,
    identifiers: &[String],
) -> (Ended, Option<Value>) {
    let failure = |function_error| {
        let executed_version = outcome.executed_version.clone();
        Ended::Failed(Box::new(Failure { request_id: request_id.clone(), executed_version, function_error }))
    };
    if outcome.function_error.is_some() {
        return (failure(outcome.function_error), None);
    }
    let answer: Value = serde_json::from_slice(&outcome.payload).unwrap_or_default();
    if !reports_failures {
        return (Ended::Done, Some(answer));
    }
    let ended = match failures(&answer, identifiers) {
        Ok(failed) if failed.is_empty() => Ended::Done,
        Ok(failed) => Ended::Partly(failed),
        // What cannot be understood is a failure of all of it.
        Err(()) => failure(None),
    };
    (ended, Some(answer))
}

/// The identifiers in `batchItemFailures`; nothing, null and an empty list are success.
fn failures(answer: &Value, identifiers: &[String]) -> Result<HashSet<String>, ()> {
    let list = match answer.get("batchItemFailures") {
        None | Some(Value::Null) => return Ok(HashSet::new()),
        Some(Value::Array(list)) => list,
        Some(_) => return Err(()),
    };
    list.iter()
        .map(|item| {
            let id = item.get("itemIdentifier").and_then(Value::as_str).filter(|id| !id.is_empty()).ok_or(())?;
            identifiers.iter().any(|known| known == id).then(|| id.to_owned()).ok_or(())
        })
        .collect()
}

/// How many of the records, written down, fit into one event.
pub fn fitting(records: &[Value], records_max: usize) -> usize {
    let mut bytes = 0;
    let fits = |record: &Value| {
        bytes += record.to_string().len() + 1;
        bytes <= limits::MAPPING_PAYLOAD_BYTES_MAX
    };
    records.iter().take(records_max).map(fits).take_while(|fits| *fits).count().max(1)
}

/// The pause after so many failures in a row.
pub fn pause_ms(failures: u32) -> u64 {
    limits::MAPPING_PAUSE_MS.saturating_mul(1 << failures.min(16)).min(limits::MAPPING_PAUSE_MS_MAX)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_functions_say_of_their_records() {
        let ids = ["a".to_owned(), "b".to_owned()];
        let of = |answer: Value| failures(&answer, &ids).map(|set| set.len());
        assert_eq!(of(json!(null)), Ok(0));
        assert_eq!(of(json!({})), Ok(0));
        assert_eq!(of(json!({"batchItemFailures": null})), Ok(0));
        assert_eq!(of(json!({"batchItemFailures": []})), Ok(0));
        assert_eq!(of(json!({"batchItemFailures": [{"itemIdentifier": "b"}]})), Ok(1));
        assert_eq!(of(json!({"batchItemFailures": [{"itemIdentifier": "c"}]})), Err(()));
        assert_eq!(of(json!({"batchItemFailures": [{"itemIdentifier": ""}]})), Err(()));
        assert_eq!(of(json!({"batchItemFailures": [{"itemIdentifier": null}]})), Err(()));
        assert_eq!(of(json!({"batchItemFailures": [{"bad": "b"}]})), Err(()));
        assert_eq!(of(json!({"batchItemFailures": "b"})), Err(()));
    }

    #[test]
    fn batches_stay_within_an_event() {
        let large = json!({"body": "x".repeat(1024 * 1024)});
        assert_eq!(fitting(&vec![large.clone(); 9], 10), 5);
        assert_eq!(fitting(&vec![json!(1); 9], 4), 4);
        assert_eq!(fitting(&[json!({"body": "x".repeat(8 << 20)})], 4), 1);
    }
}
