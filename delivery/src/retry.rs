//! Whether and when something that was not taken is offered again: at growing intervals, until it was offered often enough or
//! is too old (<https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-rule-retry-policy.html>). Pure; buses and
//! timers share it.

use std::time::Duration;

use cumulet_wire::error::ApiError;
use serde::{Deserialize, Serialize};

use crate::target;

pub const ATTEMPTS_MAX: u32 = 185;
pub const AGE_S_MAX: u64 = 86_400;
pub const AGE_S_MIN: u64 = 60;
const FIRST_PAUSE_MS: u64 = 1000;
const PAUSE_MS_MAX: u64 = 600_000;

/// As it is given and shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct RetryPolicy {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maximum_event_age_in_seconds: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maximum_retry_attempts: Option<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Again {
        due_ms: u64,
    },
    /// What ran out, as the dead letter says it; `None`: another attempt would have ended alike.
    Over {
        exhausted: Option<&'static str>,
    },
}

impl RetryPolicy {
    pub fn attempts_max(&self) -> u32 {
        self.maximum_retry_attempts.unwrap_or(ATTEMPTS_MAX)
    }

    pub fn age_ms_max(&self) -> u64 {
        self.maximum_event_age_in_seconds.unwrap_or(AGE_S_MAX) * 1000
    }

    /// After an attempt that failed, the `attempts`-th after the first one. `jitter` is a random number.
    pub fn decide(&self, error: &ApiError, attempts: u32, born_ms: u64, now_ms: u64, jitter: u64) -> Verdict {
        if !target::is_worth_another(error) {
            return Verdict::Over { exhausted: None };
        }
        if attempts >= self.attempts_max() {
            return Verdict::Over { exhausted: Some("MaximumRetryAttempts") };
        }
        let pause_ms = pause(attempts, jitter).as_millis() as u64;
        let asked_ms = error.fields.get("RetryAfterMs").and_then(serde_json::Value::as_u64).unwrap_or_default();
        let due_ms = now_ms.saturating_add(pause_ms.max(asked_ms));
        if due_ms > born_ms.saturating_add(self.age_ms_max()) {
            return Verdict::Over { exhausted: Some("MaximumEventAgeInSeconds") };
        }
        Verdict::Again { due_ms }
    }

    /// # Errors
    /// The member that is out of its bounds, with its value and both of them.
    pub fn check(&self) -> Result<(), (&'static str, u64, u64, u64)> {
        if let Some(age_s) = self.maximum_event_age_in_seconds.filter(|age| !(AGE_S_MIN..=AGE_S_MAX).contains(age)) {
            return Err(("maximumEventAgeInSeconds", age_s, AGE_S_MIN, AGE_S_MAX));
        }
        match self.maximum_retry_attempts.filter(|attempts| *attempts > ATTEMPTS_MAX) {
            Some(attempts) => Err(("maximumRetryAttempts", attempts.into(), 0, ATTEMPTS_MAX.into())),
            None => Ok(()),
        }
    }
}

/// Doubles from attempt to attempt up to a bound, and is made up to a fifth longer by chance.
fn pause(attempts: u32, jitter: u64) -> Duration {
    let pause_ms = FIRST_PAUSE_MS.checked_shl(attempts).map_or(PAUSE_MS_MAX, |ms| ms.min(PAUSE_MS_MAX));
    let pause_ms = if attempts > 30 { PAUSE_MS_MAX } else { pause_ms };
    Duration::from_millis(pause_ms + jitter % (pause_ms / 5 + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn until_it_is_often_enough_or_too_old() {
        let busy = ApiError::new(429, "ThrottlingException", "");
        let gone = ApiError::new(404, "ResourceNotFoundException", "");
        let policy = RetryPolicy { maximum_event_age_in_seconds: Some(60), maximum_retry_attempts: Some(3) };
        assert_eq!(policy.decide(&busy, 0, 0, 10, 0), Verdict::Again { due_ms: 1010 });
        assert_eq!(policy.decide(&busy, 2, 0, 10, 0), Verdict::Again { due_ms: 4010 });
        assert_eq!(policy.decide(&busy, 3, 0, 10, 0), Verdict::Over { exhausted: Some("MaximumRetryAttempts") });
        let old = Verdict::Over { exhausted: Some("MaximumEventAgeInSeconds") };
        assert_eq!(policy.decide(&busy, 0, 0, 59_500, 0), old);
        assert_eq!(policy.decide(&gone, 0, 0, 10, 0), Verdict::Over { exhausted: None });
        let asked = busy.with("RetryAfterMs", 30_000);
        assert_eq!(policy.decide(&asked, 0, 0, 10, 0), Verdict::Again { due_ms: 30_010 });
        assert_eq!(policy.check(), Ok(()));
        assert!(RetryPolicy { maximum_retry_attempts: Some(186), ..policy }.check().is_err());
        assert!(RetryPolicy { maximum_event_age_in_seconds: Some(59), ..policy }.check().is_err());
    }

    /// By default everything AWS allows fits into about a day.
    #[test]
    fn a_day_of_attempts() {
        let total: Duration = (0..ATTEMPTS_MAX).map(|attempt| pause(attempt, 0)).sum();
        assert!((20..32).contains(&(total.as_secs() / 3600)), "{total:?}");
        for attempt in [0, 1, 31, 32, 63, 64, 65, 200, u32::MAX] {
            assert!(pause(attempt, u64::MAX).as_millis() as u64 <= PAUSE_MS_MAX * 6 / 5);
        }
    }
}
