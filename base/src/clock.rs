//! Time as an argument: production reads the system's clock, tests and the simulator bring their own.

use std::time::{SystemTime, UNIX_EPOCH};

/// Where a component reads the time of day.
pub trait Clock: Send + Sync + 'static {
    /// Milliseconds since 1970-01-01T00:00:00Z.
    fn now_ms(&self) -> u64;
}

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now_ms(&self) -> u64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }
}

fn at(ms: u64) -> time::OffsetDateTime {
    time::OffsetDateTime::from_unix_timestamp_nanos(i128::from(ms) * 1_000_000)
        .unwrap_or(time::OffsetDateTime::UNIX_EPOCH)
}

/// `2026-11-23T10:15:30.123Z`, as Lambda's log lines and CloudFormation's timestamps are written.
pub fn iso_ms(ms: u64) -> String {
    let t = at(ms);
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z",
        t.year(),
        u8::from(t.month()),
        t.day(),
        t.hour(),
        t.minute(),
        t.second(),
        t.millisecond()
    )
}

/// `2026-11-23T10:15:30.123+0000`, as Lambda writes `LastModified`.
pub fn iso_ms_offset(ms: u64) -> String {
    let mut text = iso_ms(ms);
    text.pop();
    text.push_str("+0000");
    text
}

/// `2026-11-23`, UTC.
pub fn day(ms: u64) -> String {
    iso_ms(ms)[..10].to_owned()
}

/// When a day begins that is written as [`day`] writes it.
pub fn day_ms(day: &str) -> Option<u64> {
    let format = time::macros::format_description!("[year]-[month]-[day]");
    let date = time::Date::parse(day, &format).ok()?;
    u64::try_from(date.midnight().assume_utc().unix_timestamp()).ok().map(|seconds| seconds * 1000)
}

/// `23/Nov/2026:10:15:30 +0000`, as API Gateway writes `requestContext.time`.
pub fn common_log_time(ms: u64) -> String {
    let t = at(ms);
    let month = &t.month().to_string()[..3];
    format!("{:02}/{month}/{:04}:{:02}:{:02}:{:02} +0000", t.day(), t.year(), t.hour(), t.minute(), t.second())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats() {
        let ms = 1_795_428_930_123;
        assert_eq!(iso_ms(ms), "2026-11-23T10:15:30.123Z");
        assert_eq!((day_ms("1970-01-02"), day_ms("2026-13-01"), day_ms("x")), (Some(86_400_000), None, None));
        assert_eq!(iso_ms_offset(ms), "2026-11-23T10:15:30.123+0000");
        assert_eq!(day(ms), "2026-11-23");
        assert_eq!(common_log_time(ms), "23/Nov/2026:10:15:30 +0000");
    }
}
