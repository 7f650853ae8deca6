//! Schedule expressions against the documentation, and next occurrences against a slow search.
#![allow(clippy::unwrap_used)]
use proptest::prelude::*;

use super::*;

fn ms(text: &str) -> u64 {
    u64::try_from(text.parse::<jiff::Timestamp>().unwrap().as_millisecond()).unwrap()
}

fn iso(at_ms: u64) -> String {
    jiff::Timestamp::from_millisecond(at_ms as i64).unwrap().to_string()
}

/// The next times after one, in a zone.
fn check(expression: &str, zone: &str, after: &str, expect: &[&str]) {
    let schedule = Schedule::parse(expression).unwrap();
    let zone = Zone::parse(zone).unwrap();
    let (base, mut after) = (ms(after), ms(after));
    for expect in expect {
        after = schedule.next(&zone, base, after).unwrap_or_else(|| panic!("{expression} ends before {expect}"));
        assert_eq!(iso(after), *expect, "{expression}");
    }
}

#[test]
fn the_next_times() {
    let from = "2026-11-23T10:15:30Z";
    for (expression, expect) in [
        ("rate(5 minutes)", vec!["2026-11-23T10:20:30Z", "2026-11-23T10:25:30Z"]),
        ("rate(1 day)", vec!["2026-11-24T10:15:30Z"]),
        ("cron(0 10 * * ? *)", vec!["2026-11-24T10:00:00Z", "2026-11-25T10:00:00Z"]),
        ("cron(15 12 * * ? *)", vec!["2026-11-23T12:15:00Z"]),
        ("cron(0/15 * * * ? *)", vec!["2026-11-23T10:30:00Z", "2026-11-23T10:45:00Z", "2026-11-23T11:00:00Z"]),
        ("cron(16 10 * * ? *)", vec!["2026-11-23T10:16:00Z", "2026-11-24T10:16:00Z"]),
        ("cron(0 18 ? * MON-FRI *)", vec!["2026-11-23T18:00:00Z", "2026-11-24T18:00:00Z"]),
        ("cron(0 8 1 * ? *)", vec!["2026-12-01T08:00:00Z", "2027-01-01T08:00:00Z"]),
        ("cron(0/10 * ? * mon-fri *)", vec!["2026-11-23T10:20:00Z"]),
        ("cron(0/5 8-17 ? * MON-FRI *)", vec!["2026-11-23T10:20:00Z"]),
        ("cron(0 0 L * ? *)", vec!["2026-11-30T00:00:00Z", "2026-12-31T00:00:00Z"]),
        ("cron(0 0 L 2 ? *)", vec!["2027-02-28T00:00:00Z", "2028-02-29T00:00:00Z"]),
        ("cron(0 0 29 2 ? *)", vec!["2028-02-29T00:00:00Z", "2032-02-29T00:00:00Z"]),
        // The 15th of August 2027 is a Sunday, the 1st of May 2027 a Saturday, the 31st of October 2027 a Sunday.
        ("cron(0 0 15W 8 ? 2027)", vec!["2027-08-16T00:00:00Z"]),
        ("cron(0 0 1W 5 ? 2027)", vec!["2027-05-03T00:00:00Z"]),
        ("cron(0 0 31W 10 ? 2027)", vec!["2027-10-29T00:00:00Z"]),
        ("cron(0 0 31W * ? 2027)", vec!["2027-01-29T00:00:00Z", "2027-03-31T00:00:00Z"]),
        ("cron(0 0 LW 1 ? *)", vec!["2027-01-29T00:00:00Z"]),
        ("cron(15 10 ? * 6L 2026-2027)", vec!["2026-11-27T10:15:00Z", "2026-12-25T10:15:00Z"]),
        ("cron(0 9 ? * 2#1 *)", vec!["2026-12-07T09:00:00Z", "2027-01-04T09:00:00Z"]),
        ("cron(0 9 ? * MON#5 *)", vec!["2026-11-30T09:00:00Z", "2027-03-29T09:00:00Z"]),
        ("cron(0 9 ? * L *)", vec!["2026-11-28T09:00:00Z"]),
        ("cron(0 9 ? * SAT,SUN *)", vec!["2026-11-28T09:00:00Z", "2026-11-29T09:00:00Z"]),
        ("cron(0 9 ? * FRI-MON *)", vec!["2026-11-27T09:00:00Z", "2026-11-28T09:00:00Z"]),
        ("cron(0 0 1 1/3 ? *)", vec!["2027-01-01T00:00:00Z", "2027-04-01T00:00:00Z"]),
        ("cron(0 0 1 JAN ? 2027/2)", vec!["2027-01-01T00:00:00Z", "2029-01-01T00:00:00Z"]),
        ("cron(0,30 23 31 12 ? *)", vec!["2026-12-31T23:00:00Z", "2026-12-31T23:30:00Z", "2027-12-31T23:00:00Z"]),
        ("at(2027-01-02T03:04:05)", vec!["2027-01-02T03:04:05Z"]),
    ] {
        check(expression, "UTC", from, &expect);
    }
}

#[test]
fn what_ends() {
    let after = ms("2026-11-23T10:15:30Z");
    for expression in
        ["at(2026-11-23T10:15:30)", "cron(0 0 1 1 ? 2026)", "cron(0 0 30 2 ? *)", "cron(0 0 1 1 ? 1970-2000)"]
    {
        assert_eq!(Schedule::parse(expression).unwrap().next(&Zone::utc(), after, after), None, "{expression}");
    }
}

/// New York goes from 2:00 to 3:00 on the 14th of March 2027, and from 2:00 back to 1:00 on the 7th of November 2027.
#[test]
fn clocks_that_are_changed() {
    let zone = "America/New_York";
    let spring = "2027-03-13T12:00:00Z";
    check("cron(30 2 * * ? *)", zone, spring, &["2027-03-15T06:30:00Z"]);
    check("cron(0 0/1 * * ? *)", zone, "2027-03-14T06:00:00Z", &["2027-03-14T07:00:00Z", "2027-03-14T08:00:00Z"]);
    check("cron(30 3 * * ? *)", zone, spring, &["2027-03-14T07:30:00Z"]);
    let autumn = "2027-11-07T04:00:00Z";
    check("cron(30 1 * * ? *)", zone, autumn, &["2027-11-07T05:30:00Z", "2027-11-08T06:30:00Z"]);
    check(
        "cron(0/30 1 * * ? *)",
        zone,
        autumn,
        &["2027-11-07T05:00:00Z", "2027-11-07T05:30:00Z", "2027-11-08T06:00:00Z"],
    );
    // In the hour that is shown for the second time.
    check("cron(45 1 * * ? *)", zone, "2027-11-07T06:10:00Z", &["2027-11-08T06:45:00Z"]);
    // A rate of days goes by hours.
    check("rate(1 day)", zone, spring, &["2027-03-14T12:00:00Z", "2027-03-15T12:00:00Z"]);
    check(
        "at(2027-01-02T03:04:05)",
        "Asia/Kolkata",
        spring.replace("2027", "2026").as_str(),
        &["2027-01-01T21:34:05Z"],
    );
    check("at(2027-03-14T02:30:00)", zone, spring, &["2027-03-14T07:30:00Z"]);
    assert!(Zone::parse("Mars/Olympus").is_none());
    assert!(Zone::parse("Europe/Berlin").is_some());
}

#[test]
fn refused() {
    for bad in [
        "",
        "rate",
        "rate()",
        "rate(0 minutes)",
        "rate(-1 minutes)",
        "rate(5)",
        "rate(5 seconds)",
        "rate(1.5 hours)",
        "rate(5 minutes",
        "rate(99999999999999999999 days)",
        "rate(5 minutes now)",
        "every(5 minutes)",
        "cron()",
        "cron(0 10 * * *)",
        "cron(0 10 * * * *)",
        "cron(0 10 ? * ? *)",
        "cron(60 10 * * ? *)",
        "cron(0 24 * * ? *)",
        "cron(0 10 0 * ? *)",
        "cron(0 10 32 * ? *)",
        "cron(0 10 * 13 ? *)",
        "cron(0 10 ? * 8 *)",
        "cron(0 10 * * ? 1969)",
        "cron(0 10 * * ? 2200)",
        "cron(0 10 * FOO ? *)",
        "cron(0 10 ? * 2#6 *)",
        "cron(0 10 ? * 2#1,3#1 *)",
        "cron(5-1 10 * * ? *)",
        "cron(0/0 10 * * ? *)",
        "cron(0 10 1,, * ? *)",
        "cron(? 10 * * ? *)",
        "at(2026-11-23)",
        "at(2026-11-23T10:15)",
        "at(2026-13-23T10:15:30)",
        "at(2026-02-29T10:15:30)",
        "at(2026-11-23T10:15:30Z)",
        "at(2026-11-23 10:15:30)",
        "at(2026-11-23T10:15:60)",
    ] {
        assert_eq!(Schedule::parse(bad), None, "{bad}");
    }
    assert!(is_strict_rate("rate(1 minute)") && is_strict_rate("rate(2 hours)") && is_strict_rate("cron(* * * * ? *)"));
    assert!(!is_strict_rate("rate(1 minutes)") && !is_strict_rate("rate(2 hour)"));
}

proptest! {
    /// The next time is after the one given, is in the expression, and there is none between the two.
    #[test]
    fn next_is_the_first_after(
        minutes in proptest::collection::btree_set(0u32..60, 1..4),
        hours in proptest::collection::btree_set(0u32..24, 1..4),
        weekdays in proptest::collection::btree_set(1u32..8, 1..3),
        zone in proptest::sample::select(vec!["UTC", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata"]),
        after_ms in 1_700_000_000_000u64..2_000_000_000_000,
    ) {
        let list = |set: &std::collections::BTreeSet<u32>| {
            set.iter().map(u32::to_string).collect::<Vec<_>>().join(",")
        };
        let text = format!("cron({} {} ? * {} *)", list(&minutes), list(&hours), list(&weekdays));
        let (schedule, zone) = (Schedule::parse(&text).unwrap(), Zone::parse(zone).unwrap());
        let is_in = |at_ms: u64| {
            let shown = zone.civil(at_ms).unwrap();
            minutes.contains(&(shown.minute() as u32))
                && hours.contains(&(shown.hour() as u32))
                && weekdays.contains(&(shown.weekday().to_sunday_one_offset() as u32))
                // Not the second time.
                && zone.moment(shown) == Some(at_ms)
        };
        let next = schedule.next(&zone, 0, after_ms).unwrap();
        prop_assert!(next > after_ms && is_in(next));
        let mut between = (after_ms / 60_000 + 1) * 60_000;
        while between < next {
            prop_assert!(!is_in(between), "{text}: {} lies before {}", iso(between), iso(next));
            between += 60_000;
        }
    }

    #[test]
    fn rates_keep_their_step(every in 1u64..10_000, base_ms in 0u64..2_000_000_000_000, periods in 0u64..1000, rest in 0u64..60_000) {
        let schedule = Schedule::parse(&format!("rate({every} minutes)")).unwrap();
        let step = every * 60_000;
        let next = schedule.next(&Zone::utc(), base_ms, base_ms + periods * step + rest).unwrap();
        prop_assert_eq!(next, base_ms + (periods + 1) * step);
    }

    #[test]
    fn nothing_panics(text in "(cron|rate|at)\\([0-9*?/,LW#A-Z -]{0,30}\\)", after_ms in any::<u64>()) {
        if let Some(schedule) = Schedule::parse(&text) {
            schedule.next(&Zone::utc(), 0, after_ms);
        }
    }
}
