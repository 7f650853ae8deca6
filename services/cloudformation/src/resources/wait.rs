//! Wait conditions and their handles. A condition is met by as many signals as it asks for, to the address of its handle, or
//! by SignalResource where it has a creation policy. Neither can be changed once it is there, as on AWS.

use cumulet_base::{id, limits};
use cumulet_wire::error::ApiError;
use serde_json::{Map, Value};

use super::{Made, Whereabouts, invalid, only, required_text, text};
use crate::signals::{self, Signal, Unmet};

pub const CONDITION: &str = "AWS::CloudFormation::WaitCondition";
const TIMEOUT_S_MAX: u64 = 43_200;
/// Of a creation policy that does not say how long.
const TIMEOUT_OF_POLICY_S: u64 = 300;

/// A sentence for the events, as it is.
fn said(message: impl Into<String>) -> ApiError {
    ApiError::new(400, "", message)
}

pub fn handle(at: &Whereabouts, properties: &Map<String, Value>) -> Result<Made, ApiError> {
    only(properties, &[])?;
    Ok(Made::new(signals::address(at, &id::hex(48))))
}

pub fn unchangeable(kind: &str) -> ApiError {
    said(format!("Update to resource type {kind} is not supported."))
}

/// What is waited for.
#[derive(Debug, PartialEq, Eq)]
struct Wanted {
    waiter: String,
    count: usize,
    timeout_ms: u64,
    is_of_policy: bool,
}

fn wanted(properties: &Map<String, Value>, policy: Option<&Value>, seed: &str) -> Result<Wanted, ApiError> {
    only(properties, &["Handle", "Timeout", "Count"])?;
    let count = |value: Option<&Value>| match value.map(text) {
        None => Ok(1),
        Some(count) => count
            .parse()
            .ok()
            .filter(|count| (1..=limits::STACK_SIGNALS_MAX).contains(count))
            .ok_or_else(|| invalid(format!("Count {count} is not between 1 and {}", limits::STACK_SIGNALS_MAX))),
    };
    if let Some(policy) = policy {
        if properties.contains_key("Handle") || properties.contains_key("Timeout") || properties.contains_key("Count") {
            return Err(invalid("A wait condition has a handle or a creation policy, not both"));
        }
        let signal = &policy["ResourceSignal"];
        let timeout = signal.get("Timeout").map(text);
        let seconds = match &timeout {
            None => Some(TIMEOUT_OF_POLICY_S),
            Some(text) => seconds(text),
        };
        let seconds = seconds.filter(|seconds| (1..=TIMEOUT_S_MAX).contains(seconds)).ok_or_else(|| {
            invalid(format!(
                "Timeout {} of the creation policy is not between PT1S and PT12H",
                timeout.unwrap_or_default()
            ))
        })?;
        return Ok(Wanted {
            waiter: seed.to_owned(),
            count: count(signal.get("Count"))?,
            timeout_ms: seconds * 1000,
            is_of_policy: true,
        });
    }
    let handle = required_text(properties, "Handle")?;
    let waiter =
        signals::token(&handle).ok_or_else(|| invalid(format!("{handle} is not a wait condition's handle")))?;
    let timeout = required_text(properties, "Timeout")?;
    let seconds: Option<u64> = timeout.parse().ok().filter(|seconds| (1..=TIMEOUT_S_MAX).contains(seconds));
    let seconds =
        seconds.ok_or_else(|| invalid(format!("Timeout {timeout} is not between 1 and {TIMEOUT_S_MAX} seconds")))?;
    Ok(Wanted {
        waiter: waiter.to_owned(),
        count: count(properties.get("Count"))?,
        timeout_ms: seconds * 1000,
        is_of_policy: false,
    })
}

/// `PT1H30M10S` in seconds; AWS takes hours, minutes and seconds.
fn seconds(text: &str) -> Option<u64> {
    let mut left = text.strip_prefix("PT").filter(|left| !left.is_empty())?;
    let mut sum = 0_u64;
    for (unit, factor) in [('H', 3600), ('M', 60), ('S', 1)] {
        if let Some((number, rest)) = left.split_once(unit) {
            sum = sum.checked_add(number.parse::<u64>().ok()?.checked_mul(factor)?)?;
            left = rest;
        }
    }
    left.is_empty().then_some(sum)
}

pub async fn condition(at: &Whereabouts, properties: &Map<String, Value>) -> Result<Made, ApiError> {
    let wanted = wanted(properties, at.creation_policy.as_ref(), &at.seed)?;
    match signals::wait(at, &wanted.waiter, wanted.count, wanted.timeout_ms).await {
        Ok(signals) => {
            Ok(Made::new(format!("{}/{}", at.stack_arn, at.logical_id)).with("Data", &data(&signals).into()))
        }
        Err(unmet) => Err(why(unmet, &wanted)),
    }
}

/// What signals brought along, by their ids, as a text of JSON.
fn data(signals: &[(String, Signal)]) -> String {
    let of = |(id, signal): &(String, Signal)| (id.clone(), Value::from(signal.data.clone()));
    Value::Object(signals.iter().map(of).collect()).to_string()
}

fn why(unmet: Unmet, wanted: &Wanted) -> ApiError {
    match unmet {
        Unmet::Failure { unique_id, .. } if wanted.is_of_policy => {
            said(format!("Received FAILURE signal with UniqueId {unique_id}"))
        }
        Unmet::Failure { unique_id, signal } => {
            said(format!("WaitCondition received failed message: '{}' for uniqueId: {unique_id}", signal.reason))
        }
        Unmet::Late(came) if wanted.is_of_policy => said(format!(
            "Failed to receive {} resource signal(s) within the specified duration",
            wanted.count.saturating_sub(came)
        )),
        Unmet::Late(came) => {
            said(format!("WaitCondition timed out. Received {came} conditions when expecting {}", wanted.count))
        }
        Unmet::Cancelled => said("Resource creation cancelled"),
        Unmet::Storage(error) => error.into(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::json;

    use super::*;

    #[test]
    fn durations() {
        for (text, expect) in [
            ("PT5M", Some(300)),
            ("PT1H30M10S", Some(5410)),
            ("PT12H", Some(43_200)),
            ("PT", None),
            ("5M", None),
            ("PT5", None),
            ("PT5S5M", None),
            ("P1D", None),
        ] {
            assert_eq!(seconds(text), expect, "{text}");
        }
    }

    #[test]
    fn what_is_waited_for() {
        let of =
            |properties: Value, policy: Option<Value>| wanted(properties.as_object().unwrap(), policy.as_ref(), "SEED");
        let plain = of(json!({"Handle": "http://h/a/TOKEN", "Timeout": "60", "Count": 2}), None).unwrap();
        assert_eq!((plain.waiter.as_str(), plain.count, plain.timeout_ms), ("TOKEN", 2, 60_000));
        let policy = of(json!({}), Some(json!({"ResourceSignal": {"Count": "3", "Timeout": "PT1M"}}))).unwrap();
        assert_eq!((policy.waiter.as_str(), policy.count, policy.timeout_ms), ("SEED", 3, 60_000));
        assert_eq!(of(json!({}), Some(json!({"ResourceSignal": {}}))).unwrap().timeout_ms, 300_000);
        for bad in [
            json!({}),
            json!({"Handle": "h/t"}),
            json!({"Handle": "h/t", "Timeout": 0}),
            json!({"Handle": "h/t", "Timeout": 43_201}),
            json!({"Handle": "h/t", "Timeout": 1, "Count": 0}),
            json!({"Handle": "h/t", "Timeout": 1, "Other": 0}),
        ] {
            assert!(of(bad.clone(), None).is_err(), "{bad}");
        }
        assert!(of(json!({"Handle": "h/t", "Timeout": 1}), Some(json!({}))).is_err());
        let signal = Signal { is_success: true, data: "d".into(), reason: String::new() };
        assert_eq!(data(&[("a".into(), signal)]), r#"{"a":"d"}"#);
    }
}
