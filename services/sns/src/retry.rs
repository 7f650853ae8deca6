//! When an attempt that failed is made again
//! (<https://docs.aws.amazon.com/sns/latest/dg/sns-message-delivery-retries.html>): at once, at a pause, with growing pauses,
//! at the longest pause; then no more. Pure.

use cumulet_base::limits::{TOPIC_RETRIES_MAX, TOPIC_RETRY_S_MAX};
use cumulet_wire::error::ApiError;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::errors;

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Policy {
    pub min_delay_target: u32,
    pub max_delay_target: u32,
    pub num_retries: u32,
    pub num_max_delay_retries: u32,
    pub num_no_delay_retries: u32,
    pub num_min_delay_retries: u32,
    pub backoff_function: Backoff,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Backoff {
    Linear,
    Arithmetic,
    Geometric,
    Exponential,
}

impl Default for Policy {
    /// Of web endpoints.
    fn default() -> Policy {
        Policy {
            min_delay_target: 20,
            max_delay_target: 20,
            num_retries: 3,
            num_max_delay_retries: 0,
            num_no_delay_retries: 0,
            num_min_delay_retries: 0,
            backoff_function: Backoff::Linear,
        }
    }
}

/// Of functions and queues: for 23 days.
pub const INSIDE: Policy = Policy {
    min_delay_target: 1,
    max_delay_target: 20,
    num_retries: 100_015,
    num_max_delay_retries: 100_000,
    num_no_delay_retries: 3,
    num_min_delay_retries: 2,
    backoff_function: Backoff::Exponential,
};

impl Policy {
    /// How long to wait after so many attempts; none after the last one.
    pub fn pause_ms(&self, attempts: u32) -> Option<u64> {
        let retry = attempts.checked_sub(1)?;
        if retry >= self.num_retries {
            return None;
        }
        let growing_from = self.num_no_delay_retries + self.num_min_delay_retries;
        let longest_from = self.num_retries.saturating_sub(self.num_max_delay_retries).max(growing_from);
        let (min, max) = (f64::from(self.min_delay_target), f64::from(self.max_delay_target));
        let seconds = if retry < self.num_no_delay_retries {
            0.0
        } else if retry < growing_from {
            min
        } else if retry >= longest_from {
            max
        } else {
            let steps = f64::from((longest_from - growing_from).max(1));
            let part = f64::from(retry - growing_from + 1) / steps;
            let grown = match self.backoff_function {
                Backoff::Linear => part,
                Backoff::Arithmetic => part * (part * steps + 1.0) / (steps + 1.0),
                Backoff::Geometric => ((1.0 + part).powi(2) - 1.0) / 3.0,
                Backoff::Exponential => (2f64.powf(part * steps.min(16.0)) - 1.0) / (2f64.powf(steps.min(16.0)) - 1.0),
            };
            min + (max - min) * grown
        };
        Some((seconds * 1000.0) as u64)
    }

    fn check(&self) -> Result<(), ApiError> {
        let fits = (1..=self.max_delay_target).contains(&self.min_delay_target)
            && self.max_delay_target <= TOPIC_RETRY_S_MAX
            && self.num_retries <= TOPIC_RETRIES_MAX
            && u64::from(self.num_no_delay_retries)
                + u64::from(self.num_min_delay_retries)
                + u64::from(self.num_max_delay_retries)
                <= u64::from(self.num_retries);
        if fits { Ok(()) } else { Err(errors::invalid("DeliveryPolicy: healthyRetryPolicy is out of its bounds")) }
    }
}

fn read(policy: &Value) -> Option<Policy> {
    serde_json::from_value(policy.clone()).ok()
}

/// Refuses what is no delivery policy of a subscription, or of a topic.
pub fn check(text: &str, is_topics: bool) -> Result<(), ApiError> {
    let bad = |why: &str| errors::invalid(format!("DeliveryPolicy: {why}"));
    let value: Value = serde_json::from_str(text).map_err(|_| bad("failed to parse JSON."))?;
    let members = value.as_object().ok_or_else(|| bad("is not an object"))?;
    let known: &[&str] = if is_topics {
        &["http"]
    } else {
        &["healthyRetryPolicy", "sicklyRetryPolicy", "throttlePolicy", "requestPolicy"]
    };
    if let Some(unknown) = members.keys().find(|name| !known.contains(&name.as_str())) {
        return Err(bad(&format!("unexpected JSON member: {unknown}")));
    }
    let policies = [&value["healthyRetryPolicy"], &value["http"]["defaultHealthyRetryPolicy"]];
    for policy in policies.into_iter().filter(|policy| !policy.is_null()) {
        read(policy).ok_or_else(|| bad("healthyRetryPolicy cannot be read"))?.check()?;
    }
    Ok(())
}

/// The policy that holds for a web endpoint: the subscription's, unless the topic forbids that, the topic's, the common one.
pub fn in_force(of_subscription: Option<&str>, of_topic: Option<&str>) -> Policy {
    let parse = |text: Option<&str>| text.and_then(|text| serde_json::from_str::<Value>(text).ok()).unwrap_or_default();
    let (own, common) = (parse(of_subscription), parse(of_topic));
    let is_overridable = common["http"]["disableSubscriptionOverrides"] != true;
    let own = own.get("healthyRetryPolicy").filter(|_| is_overridable).and_then(read);
    own.or_else(|| read(common["http"].get("defaultHealthyRetryPolicy")?)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn pauses(policy: Policy, attempts: u32) -> Vec<Option<u64>> {
        (1..=attempts).map(|attempts| policy.pause_ms(attempts)).collect()
    }

    #[test]
    fn phases() {
        assert_eq!(pauses(Policy::default(), 4), [Some(20_000), Some(20_000), Some(20_000), None]);
        let of = pauses(INSIDE, 20);
        assert_eq!(of[..5], [Some(0), Some(0), Some(0), Some(1000), Some(1000)]);
        assert!(of[5..15].is_sorted() && of[5] >= Some(1000) && of[14] == Some(20_000), "{of:?}");
        assert_eq!(of[15], Some(20_000));
        assert_eq!(INSIDE.pause_ms(100_016), None);
        for function in [Backoff::Linear, Backoff::Arithmetic, Backoff::Geometric, Backoff::Exponential] {
            let policy = Policy {
                min_delay_target: 1,
                max_delay_target: 60,
                num_retries: 12,
                num_max_delay_retries: 1,
                num_no_delay_retries: 1,
                num_min_delay_retries: 1,
                backoff_function: function,
            };
            let of = pauses(policy, 13);
            assert_eq!((of[0], of[1], of[11], of[12]), (Some(0), Some(1000), Some(60_000), None), "{function:?}");
            assert!(of[..12].is_sorted() && of[10] == Some(60_000), "{function:?} {of:?}");
        }
    }

    #[test]
    fn whose_policy() {
        let own = r#"{"healthyRetryPolicy":{"numRetries":1,"minDelayTarget":2,"maxDelayTarget":2}}"#;
        let common = r#"{"http":{"defaultHealthyRetryPolicy":{"numRetries":7},"disableSubscriptionOverrides":false}}"#;
        let alone = common.replace("false", "true");
        assert_eq!(in_force(Some(own), Some(common)).num_retries, 1);
        assert_eq!(in_force(Some(own), Some(&alone)).num_retries, 7);
        assert_eq!(in_force(None, Some(common)).num_retries, 7);
        assert_eq!(in_force(None, None), Policy::default());
        check(own, false).unwrap();
        check(common, true).unwrap();
        for (text, is_topics) in [
            ("{", false),
            ("[]", true),
            (common, false),
            (r#"{"healthyRetryPolicy":{"numRetries":101}}"#, false),
            (r#"{"healthyRetryPolicy":{"minDelayTarget":30}}"#, false),
            (r#"{"healthyRetryPolicy":{"numNoDelayRetries":4}}"#, false),
            (r#"{"healthyRetryPolicy":{"what":4}}"#, false),
        ] {
            assert_eq!(check(text, is_topics).unwrap_err().code, "InvalidParameter", "{text}");
        }
    }
}
