//! How often keys were used under their plans, by days, and what is left of their quotas
//! (<https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-api-usage-plans.html>). Counted in memory and
//! written every second: what was counted in the last second before a kill is granted again.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use cumulet_base::clock;
use serde::{Deserialize, Serialize};

use super::shapes::Quota;
use crate::errors::Error;
use crate::storage::Storage;

const FORMAT: u32 = 1;
const DAY_MS: u64 = 86_400_000;

/// A key in a plan.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Who {
    pub account: String,
    pub region: String,
    pub plan: String,
    pub key: String,
}

/// A day of a key, as it is stored.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Day {
    v: u32,
    pub used: u64,
    /// Of the quota, at the end of the day; nothing without a quota.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remaining: Option<i64>,
    /// The quota's, when that was written.
    #[serde(default)]
    limit: i64,
}

#[derive(Clone, Debug)]
struct Counter {
    day_number: u64,
    day: Day,
    period: Option<String>,
    is_new: bool,
}

#[derive(Default)]
pub struct Usages {
    counters: Mutex<HashMap<Who, Counter>>,
    /// Days that are over and not written yet.
    over: Mutex<Vec<(Who, String, Day)>>,
    writing: tokio::sync::Mutex<()>,
}

pub fn day_name(day_number: u64) -> String {
    clock::day(day_number * DAY_MS)
}

pub fn day_number(now_ms: u64) -> u64 {
    now_ms / DAY_MS
}

/// The first day of the period that a day is in.
fn period_begin(period: &str, day_number: u64) -> u64 {
    match period {
        // 1970 began on a Thursday, weeks begin on Sundays.
        "WEEK" => day_number.saturating_sub((day_number + 4) % 7),
        "MONTH" => {
            let of_month: u64 = day_name(day_number)[8..].parse().unwrap_or(1);
            day_number.saturating_sub(of_month - 1)
        }
        _ => day_number,
    }
}

impl Counter {
    /// A day's counter that goes on from the days before it: `last` is the latest of them with its number.
    fn begin(quota: Option<&Quota>, day_number: u64, last: Option<(u64, Day)>) -> Counter {
        let period = quota.map(|quota| quota.period.clone());
        let used = last.as_ref().filter(|(number, _)| *number == day_number).map_or(0, |(_, day)| day.used);
        let is_first = last.is_none();
        let same = quota.and_then(|quota| {
            last.filter(|(number, _)| *number >= period_begin(&quota.period, day_number)).map(|(_, day)| day)
        });
        let (remaining, limit) = match (quota, same) {
            (None, _) => (None, 0),
            // The first period of all is shorter by the offset.
            (Some(quota), None) => (Some(quota.limit - if is_first { quota.offset } else { 0 }), quota.limit),
            (Some(quota), Some(day)) => {
                (Some(day.remaining.map_or(quota.limit, |left| left + quota.limit - day.limit)), quota.limit)
            }
        };
        Counter { day_number, day: Day { v: FORMAT, used, remaining, limit }, period, is_new: false }
    }

    fn fits(&self, quota: Option<&Quota>, day_number: u64) -> bool {
        self.day_number == day_number
            && self.period.as_deref() == quota.map(|quota| quota.period.as_str())
            && quota.is_none_or(|quota| quota.limit == self.day.limit)
    }

    fn take(&mut self) -> bool {
        if self.day.remaining.is_some_and(|left| left <= 0) {
            return false;
        }
        self.day.remaining = self.day.remaining.map(|left| left - 1);
        self.day.used += 1;
        self.is_new = true;
        true
    }
}

impl Usages {
    fn counters(&self) -> std::sync::MutexGuard<'_, HashMap<Who, Counter>> {
        self.counters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a request; `false`: the quota is used up.
    pub async fn take(&self, storage: &Storage, who: &Who, quota: Option<&Quota>, now_ms: u64) -> Result<bool, Error> {
        let day = day_number(now_ms);
        if let Some(counter) = self.counters().get_mut(who).filter(|counter| counter.fits(quota, day)) {
            return Ok(counter.take());
        }
        self.load(storage, who, quota, day).await?;
        let mut counters = self.counters();
        // Between the two, nothing but a change of the plan takes it away.
        Ok(counters.get_mut(who).is_some_and(Counter::take))
    }

    /// The counter of a day stands in memory when this returns.
    async fn load(&self, storage: &Storage, who: &Who, quota: Option<&Quota>, day: u64) -> Result<(), Error> {
        let stored = storage.last_usage(who, &day_name(day)).await?;
        let mut counters = self.counters();
        let last = match counters.get(who) {
            Some(known) if known.fits(quota, day) => return Ok(()),
            Some(known) => {
                if known.is_new && known.day_number != day {
                    let mut over = self.over.lock().unwrap_or_else(PoisonError::into_inner);
                    over.push((who.clone(), day_name(known.day_number), known.day.clone()));
                }
                Some((known.day_number, known.day.clone()))
            }
            None => stored,
        };
        let mut counter = Counter::begin(quota, day, last);
        counter.is_new = counters.get(who).is_some_and(|known| known.is_new && known.day_number == day);
        counters.insert(who.clone(), counter);
        Ok(())
    }

    /// What a key has left today is this.
    pub async fn grant(
        &self,
        storage: &Storage,
        who: &Who,
        quota: &Quota,
        remaining: i64,
        now_ms: u64,
    ) -> Result<(), Error> {
        self.load(storage, who, Some(quota), day_number(now_ms)).await?;
        if let Some(counter) = self.counters().get_mut(who) {
            counter.day.remaining = Some(remaining);
            counter.is_new = true;
        }
        self.flush(storage).await
    }

    pub fn forget(&self, plan: &str) {
        self.counters().retain(|who, _| who.plan != plan);
    }

    /// Makes durable what was counted until now.
    pub async fn flush(&self, storage: &Storage) -> Result<(), Error> {
        let _one_at_a_time = self.writing.lock().await;
        let mut days = std::mem::take(&mut *self.over.lock().unwrap_or_else(PoisonError::into_inner));
        for (who, counter) in self.counters().iter_mut().filter(|(_, counter)| counter.is_new) {
            counter.is_new = false;
            days.push((who.clone(), day_name(counter.day_number), counter.day.clone()));
        }
        match storage.put_usage(&days).await {
            Ok(()) => Ok(()),
            Err(error) => {
                // Written the next time.
                self.over.lock().unwrap_or_else(PoisonError::into_inner).extend(days);
                Err(error)
            }
        }
    }
}

/// Used and remaining, day by day, from what is stored of them.
pub fn table(days: &HashMap<String, Day>, quota: Option<&Quota>, from: u64, to: u64) -> Vec<[i64; 2]> {
    let mut left = quota.map_or(0, |quota| quota.limit);
    (from..=to)
        .map(|number| {
            if let Some(quota) = quota
                && period_begin(&quota.period, number) == number
            {
                left = quota.limit;
            }
            let day = days.get(&day_name(number));
            left = day.and_then(|day| day.remaining).unwrap_or(left);
            [i64::try_from(day.map_or(0, |day| day.used)).unwrap_or(i64::MAX), left]
        })
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::Arc;

    use cumulet_store_memory::MemoryStore;

    use super::*;

    const NOW_MS: u64 = 1_795_428_930_123; // A Monday.

    fn quota(limit: i64, period: &str) -> Quota {
        Quota { limit, offset: 0, period: period.to_owned() }
    }

    fn who() -> Who {
        let text = |text: &str| text.to_owned();
        Who { account: text("0"), region: text("r"), plan: text("p"), key: text("k") }
    }

    #[test]
    fn periods() {
        let monday = day_number(NOW_MS);
        assert_eq!(day_name(monday), "2026-11-23");
        for (period, begin) in [("DAY", "2026-11-23"), ("WEEK", "2026-11-22"), ("MONTH", "2026-11-01")] {
            assert_eq!(day_name(period_begin(period, monday)), begin);
        }
        assert_eq!(day_name(period_begin("WEEK", monday - 1)), "2026-11-22");
    }

    #[tokio::test]
    async fn a_quota_over_days_and_restarts() {
        let storage = Storage::new(Arc::new(MemoryStore::new()));
        let usages = Usages::default();
        let week = quota(3, "WEEK");
        for expected in [true, true] {
            assert_eq!(usages.take(&storage, &who(), Some(&week), NOW_MS).await.unwrap(), expected);
        }
        usages.flush(&storage).await.unwrap();
        // Another process, on the day after.
        let usages = Usages::default();
        for expected in [true, false] {
            assert_eq!(usages.take(&storage, &who(), Some(&week), NOW_MS + DAY_MS).await.unwrap(), expected);
        }
        // More of it.
        let more = quota(4, "WEEK");
        for expected in [true, false] {
            assert_eq!(usages.take(&storage, &who(), Some(&more), NOW_MS + DAY_MS).await.unwrap(), expected);
        }
        usages.grant(&storage, &who(), &more, 1, NOW_MS + DAY_MS).await.unwrap();
        for expected in [true, false] {
            assert_eq!(usages.take(&storage, &who(), Some(&more), NOW_MS + DAY_MS).await.unwrap(), expected);
        }
        usages.flush(&storage).await.unwrap();
        // The week after.
        assert!(usages.take(&storage, &who(), Some(&more), NOW_MS + 7 * DAY_MS).await.unwrap());
        usages.flush(&storage).await.unwrap();
        let days = storage.usage(&who(), "2026-11-23", "2026-11-30").await.unwrap();
        let from = day_number(NOW_MS);
        let table = table(&days, Some(&more), from, from + 7);
        assert_eq!(table[..3], [[2, 1], [3, 0], [0, 0]]);
        // Sunday is a new week.
        assert_eq!(table[6..], [[0, 4], [1, 3]]);
    }

    #[tokio::test]
    async fn without_a_quota_it_is_counted_all_the_same() {
        let storage = Storage::new(Arc::new(MemoryStore::new()));
        let usages = Usages::default();
        assert!(usages.take(&storage, &who(), None, NOW_MS).await.unwrap());
        usages.flush(&storage).await.unwrap();
        let days = storage.usage(&who(), "2026-11-23", "2026-11-23").await.unwrap();
        assert_eq!(days["2026-11-23"], Day { v: FORMAT, used: 1, remaining: None, limit: 0 });
        let first = Quota { offset: 2, ..quota(3, "DAY") };
        let other = Who { key: "other".to_owned(), ..who() };
        assert!(usages.take(&storage, &other, Some(&first), NOW_MS).await.unwrap());
        assert!(!usages.take(&storage, &other, Some(&first), NOW_MS).await.unwrap());
    }
}
