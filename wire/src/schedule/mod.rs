//! Schedule expressions: `rate()`, `cron()` with its six fields, and `at()`, in a time zone
//! (<https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html>,
//! <https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-scheduled-rule-pattern.html>). Pure: a time goes in, the
//! next one comes out. Who may use which of them, and what their refusal is called, is the services' business.

mod cron;

use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, TimeZone};

pub use cron::Cron;

const MINUTE_MS: u64 = 60_000;

/// What recurs, or happens once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Schedule {
    Rate { every_ms: u64 },
    Cron(Box<Cron>),
    At(DateTime),
}

/// A time zone by its name in the IANA database, which is part of the program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zone(TimeZone);

impl Zone {
    pub fn utc() -> Zone {
        Zone(TimeZone::UTC)
    }

    /// `None`: the database has none of this name.
    pub fn parse(name: &str) -> Option<Zone> {
        if name == "UTC" {
            return Some(Zone::utc());
        }
        TimeZone::get(name).ok().map(Zone)
    }

    fn civil(&self, at_ms: u64) -> Option<DateTime> {
        let at = jiff::Timestamp::from_millisecond(i64::try_from(at_ms).ok()?).ok()?;
        Some(self.0.to_datetime(at))
    }

    /// When the clocks of the zone show a time: never, where they are put forward over it, and the first time, where they
    /// show it twice.
    fn moment(&self, shown: DateTime) -> Option<u64> {
        let ambiguous = self.0.to_ambiguous_zoned(shown);
        if matches!(ambiguous.offset(), AmbiguousOffset::Gap { .. }) {
            return None;
        }
        let at = ambiguous.earlier().ok()?.timestamp().as_millisecond();
        u64::try_from(at).ok()
    }
}

impl Schedule {
    /// `None`: the text is no schedule expression.
    pub fn parse(text: &str) -> Option<Schedule> {
        let inner = |name: &str| text.strip_prefix(name)?.strip_prefix('(')?.strip_suffix(')');
        if let Some(rate) = inner("rate") {
            return parse_rate(rate);
        }
        if let Some(fields) = inner("cron") {
            return Cron::parse(fields).map(|cron| Schedule::Cron(Box::new(cron)));
        }
        parse_at(inner("at")?).map(Schedule::At)
    }

    /// Whether it happens more than once.
    pub fn is_recurring(&self) -> bool {
        !matches!(self, Schedule::At(_))
    }

    /// The first time after `after_ms`. A rate counts from `base_ms`, by the clock's hours and not the calendar's days.
    pub fn next(&self, zone: &Zone, base_ms: u64, after_ms: u64) -> Option<u64> {
        match self {
            Schedule::Rate { every_ms } => {
                if after_ms < base_ms {
                    return Some(base_ms);
                }
                let periods = (after_ms - base_ms) / every_ms + 1;
                periods.checked_mul(*every_ms)?.checked_add(base_ms)
            }
            Schedule::Cron(cron) => {
                let mut from = zone.civil(after_ms)?;
                loop {
                    let shown = cron.next(from)?;
                    match zone.moment(shown) {
                        Some(at_ms) if at_ms > after_ms => return Some(at_ms),
                        // Skipped by the clocks, or shown for the second time.
                        _ => from = shown,
                    }
                }
            }
            Schedule::At(_) => self.once(zone).filter(|at_ms| *at_ms > after_ms),
        }
    }

    /// When a one-time schedule happens. A time that the clocks skip is taken as much later as they skip.
    pub fn once(&self, zone: &Zone) -> Option<u64> {
        let Schedule::At(shown) = self else { return None };
        let at = zone.0.to_ambiguous_zoned(*shown).compatible().ok()?.timestamp().as_millisecond();
        u64::try_from(at).ok()
    }
}

/// `5 minutes`. Whether one has to stand in the singular, and others must not, is asked by [`is_strict_rate`].
fn parse_rate(text: &str) -> Option<Schedule> {
    let mut words = text.split_ascii_whitespace();
    let (value, unit) = (words.next()?, words.next()?);
    if words.next().is_some() || !value.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let value: u64 = value.parse().ok().filter(|value| *value > 0)?;
    let unit_ms = match unit {
        "minute" | "minutes" => MINUTE_MS,
        "hour" | "hours" => 60 * MINUTE_MS,
        "day" | "days" => 24 * 60 * MINUTE_MS,
        _ => return None,
    };
    // Beyond the end of what can be a time.
    let every_ms = value.checked_mul(unit_ms).filter(|every_ms| *every_ms < 1 << 50)?;
    Some(Schedule::Rate { every_ms })
}

/// Rules of buses take `1 minute` and `2 minutes`, but neither `1 minutes` nor `2 minute`.
pub fn is_strict_rate(text: &str) -> bool {
    let Some(inner) = text.strip_prefix("rate(") else { return true };
    let is_one = inner.split_ascii_whitespace().next().is_some_and(|value| value.trim_start_matches('0') == "1");
    is_one != inner.trim_end_matches(')').ends_with('s')
}

/// `2026-11-23T10:15:30`, without fractions and zone.
fn parse_at(text: &str) -> Option<DateTime> {
    let bytes = text.as_bytes();
    let is_shaped = bytes.len() == 19
        && bytes.iter().enumerate().all(|(at, b)| match at {
            4 | 7 => *b == b'-',
            10 => *b == b'T',
            13 | 16 => *b == b':',
            _ => b.is_ascii_digit(),
        });
    if !is_shaped || &text[17..] == "60" {
        return None;
    }
    text.parse().ok()
}

#[cfg(test)]
mod tests;
