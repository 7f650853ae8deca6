//! What state the data points of a metric alarm come to
//! (<https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarms-and-missing-data.html>). Pure. Deliberately
//! absent: bands of anomaly detection.

use cumulet_base::clock;
use cumulet_wire::error::ApiError;
use serde_json::{Map, Value, json};

use super::{ALARM, OK, UNKNOWN};
use crate::errors;
use crate::metrics::functions::Points;
use crate::metrics::query::{self, MetricStat, Query, What};
use crate::metrics::stat::Stat;
use crate::metrics::{DAY_S, unit_of};
use crate::operations::{number, whole};

/// Periods that are looked back beyond those evaluated, for data points that stand in for missing ones.
const EXTRA_PERIODS: u64 = 2;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    Breaching,
    NotBreaching,
    Ignore,
    /// `missing`, the default.
    Unknown,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    AtLeast,
    More,
    Less,
    AtMost,
}

/// What is evaluated, as the alarm's members have it.
#[derive(Clone, Debug, PartialEq)]
pub struct Watch {
    pub queries: Vec<Query>,
    pub period_s: u64,
    pub periods: u64,
    pub to_alarm: u64,
    pub threshold: f64,
    pub comparison: Comparison,
    pub missing: Missing,
    pub statistic: Option<String>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    pub state: &'static str,
    pub reason: String,
    pub data: Value,
}

impl Watch {
    /// # Errors
    /// What is wrong with the members of PutMetricAlarm.
    pub fn of(members: &Map<String, Value>) -> Result<Watch, ApiError> {
        let member = |name: &str| members.get(name).unwrap_or(&Value::Null);
        let text = |name: &str| member(name).as_str();
        let comparison = match text("ComparisonOperator").ok_or_else(|| errors::missing("ComparisonOperator"))? {
            "GreaterThanOrEqualToThreshold" => Comparison::AtLeast,
            "GreaterThanThreshold" => Comparison::More,
            "LessThanThreshold" => Comparison::Less,
            "LessThanOrEqualToThreshold" => Comparison::AtMost,
            of_bands @ ("LessThanLowerOrGreaterThanUpperThreshold"
            | "LessThanLowerThreshold"
            | "GreaterThanUpperThreshold") => {
                return Err(ApiError::not_implemented("cloudwatch", &format!("PutMetricAlarm with {of_bands}")));
            }
            other => return Err(errors::validation(format!("ComparisonOperator {other} is not known"))),
        };
        let missing = match text("TreatMissingData") {
            None | Some("missing") => Missing::Unknown,
            Some("breaching") => Missing::Breaching,
            Some("notBreaching") => Missing::NotBreaching,
            Some("ignore") => Missing::Ignore,
            Some(other) => return Err(errors::validation(format!("TreatMissingData {other} is not known"))),
        };
        let periods = whole(member("EvaluationPeriods")).filter(|periods| *periods > 0);
        let periods = periods.ok_or_else(|| errors::missing("EvaluationPeriods"))?;
        let to_alarm = whole(member("DatapointsToAlarm")).unwrap_or(periods);
        if !(1..=periods).contains(&to_alarm) {
            return Err(errors::validation("DatapointsToAlarm must be between 1 and EvaluationPeriods"));
        }
        let statistic = text("Statistic").or(text("ExtendedStatistic")).map(str::to_owned);
        let queries = match member("Metrics") {
            Value::Array(_) => query::parse(member("Metrics"))?,
            _ => vec![one(members)?],
        };
        if queries.iter().filter(|query| query.is_returned).count() != 1 {
            return Err(errors::validation("Exactly one element of the metrics list should return data."));
        }
        let threshold = number(member("Threshold")).ok_or_else(|| errors::missing("Threshold"))?;
        let period_s = query::period_of(&queries);
        let reach_max_s = if period_s >= 3600 { 7 * DAY_S } else { DAY_S };
        if period_s.saturating_mul(periods) > reach_max_s {
            return Err(errors::validation(
                "Metrics cannot be checked across more than a day, or seven days with periods of an hour and more (EvaluationPeriods * Period)",
            ));
        }
        Ok(Watch { queries, period_s, periods, to_alarm, threshold, comparison, missing, statistic })
    }

    /// What is asked for at a time: the periods that have ended by then.
    pub fn range(&self, now_s: u64) -> (u64, u64) {
        let end_s = now_s / self.period_s * self.period_s;
        (end_s.saturating_sub((self.periods + EXTRA_PERIODS) * self.period_s), end_s)
    }

    fn breaches(&self, value: f64) -> bool {
        match self.comparison {
            Comparison::AtLeast => value >= self.threshold,
            Comparison::More => value > self.threshold,
            Comparison::Less => value < self.threshold,
            Comparison::AtMost => value <= self.threshold,
        }
    }

    /// `points` are within [`Watch::range`]. `now` is the state it is in.
    pub fn verdict(&self, points: &Points, now: &str, now_s: u64) -> Verdict {
        let (start_s, end_s) = self.range(now_s);
        let step = usize::try_from(self.period_s).unwrap_or(usize::MAX);
        // The newest first.
        let times: Vec<u64> = (start_s..end_s).step_by(step).collect();
        let range: Vec<Option<bool>> =
            times.iter().rev().map(|at| points.get(at).map(|value| self.breaches(*value))).collect();
        let state = decide(&range, self.periods as usize, self.to_alarm as usize, self.missing, now);
        let seen: Vec<(u64, f64)> =
            points.range(start_s..end_s).rev().take(self.periods as usize).map(|(at, value)| (*at, *value)).collect();
        Verdict { state, reason: self.reason(state, &seen), data: self.data(&seen, now_s) }
    }

    fn reason(&self, state: &str, seen: &[(u64, f64)]) -> String {
        let unknown = (self.periods as usize).saturating_sub(seen.len());
        let s = |count: usize| if count == 1 { "" } else { "s" };
        if state == UNKNOWN {
            let was = if unknown == 1 { "was" } else { "were" };
            return format!("Insufficient Data: {unknown} datapoint{} {was} unknown.", s(unknown));
        }
        if seen.is_empty() {
            let treated = if state == ALARM { "Breaching" } else { "NonBreaching" };
            let was = if unknown == 1 { "was" } else { "were" };
            return format!(
                "Threshold Crossed: no datapoints were received for {unknown} period{} and {unknown} missing datapoint{} {was} treated as [{treated}].",
                s(unknown),
                s(unknown)
            );
        }
        let is = state == ALARM;
        let that: Vec<&(u64, f64)> = seen.iter().filter(|(_, value)| self.breaches(*value) == is).collect();
        let listed: Vec<String> =
            that.iter().take(5).map(|(at, value)| format!("{value:?} ({})", day_first(*at))).collect();
        let than = match (self.comparison, is) {
            (Comparison::AtLeast, true) => "greater than or equal to",
            (Comparison::AtLeast, false) => "not greater than or equal to",
            (Comparison::More, true) => "greater than",
            (Comparison::More, false) => "not greater than",
            (Comparison::Less, true) => "less than",
            (Comparison::Less, false) => "not less than",
            (Comparison::AtMost, true) => "less than or equal to",
            (Comparison::AtMost, false) => "not less than or equal to",
        };
        let (least, change) = match is {
            true => (self.to_alarm, "OK -> ALARM"),
            false => (self.periods - self.to_alarm + 1, "ALARM -> OK"),
        };
        format!(
            "Threshold Crossed: {} out of the last {} datapoint{} [{}] {} {than} the threshold ({:?}) (minimum {least} datapoint{} for {change} transition).",
            that.len(),
            self.periods,
            s(self.periods as usize),
            listed.join(", "),
            if that.len() == 1 { "was" } else { "were" },
            self.threshold,
            s(least as usize),
        )
    }

    fn data(&self, seen: &[(u64, f64)], now_s: u64) -> Value {
        let at = |s: u64| clock::iso_ms_offset(s * 1000);
        let mut data = json!({
            "version": "1.0",
            "queryDate": at(now_s),
            "period": self.period_s,
            "recentDatapoints": seen.iter().rev().map(|(_, value)| *value).collect::<Vec<f64>>(),
            "threshold": self.threshold,
            "evaluatedDatapoints": seen.iter().map(|(s, value)| json!({"timestamp": at(*s), "value": value})).collect::<Vec<_>>(),
        });
        if let Some((oldest, _)) = seen.last() {
            data["startDate"] = at(*oldest).into();
        }
        if let Some(statistic) = &self.statistic {
            data["statistic"] = statistic.as_str().into();
        }
        data
    }
}

/// `26/11/26 07:55:00`
fn day_first(at_s: u64) -> String {
    let iso = clock::iso_ms(at_s * 1000);
    format!("{}/{}/{} {}", &iso[8..10], &iso[5..7], &iso[2..4], &iso[11..19])
}

/// The one metric that is named by members of the alarm itself.
fn one(members: &Map<String, Value>) -> Result<Query, ApiError> {
    let member = |name: &str| members.get(name).unwrap_or(&Value::Null);
    let (namespace, name) = query::names(member("Namespace"), member("MetricName"))?;
    let stat = match (member("Statistic").as_str(), member("ExtendedStatistic").as_str()) {
        (Some(_), Some(_)) => return Err(errors::combination("Statistic and ExtendedStatistic cannot be both")),
        (Some(stat), None) | (None, Some(stat)) => Stat::parse(stat)?,
        (None, None) => return Err(errors::missing("Statistic")),
    };
    let unit = member("Unit").as_str();
    let unit = unit.map(|unit| unit_of(unit).ok_or_else(|| errors::invalid(format!("Unit {unit} is not known"))));
    let series = crate::metrics::Series::new(&namespace, &name, query::dimensions(member("Dimensions"))?);
    let stat = MetricStat { series, period_s: query::period(member("Period"))?, stat, unit: unit.transpose()? };
    Ok(Query { id: "m1".to_owned(), label: None, is_returned: true, what: What::Metric(stat) })
}

/// `range` has the newest first; `None` is missing. Enough data points decide as they are, those further back standing in
/// for missing ones; otherwise what is missing is treated as told.
fn decide(range: &[Option<bool>], periods: usize, to_alarm: usize, missing: Missing, now: &str) -> &'static str {
    let real: Vec<(usize, bool)> =
        range.iter().enumerate().filter_map(|(age, is)| is.map(|is| (age + 1, is))).take(periods).collect();
    let breaching = real.iter().filter(|(_, is)| *is).count();
    let absent = periods - real.len();
    let alarm_if = |is: bool| if is { ALARM } else { OK };
    let as_it_is = super::STATES.iter().find(|state| **state == now).copied().unwrap_or(UNKNOWN);
    if absent == 0 || breaching >= to_alarm {
        return alarm_if(breaching >= to_alarm);
    }
    let is_any_good = breaching < real.len();
    match missing {
        Missing::Breaching => alarm_if(breaching + absent >= to_alarm),
        Missing::NotBreaching => OK,
        _ if is_any_good => OK,
        Missing::Ignore => as_it_is,
        Missing::Unknown => match real.last() {
            None => UNKNOWN,
            // All there is breaches, since long enough.
            Some((age, _)) if *age >= to_alarm => ALARM,
            Some(_) => as_it_is,
        },
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// The tables of the page named above: the oldest first, `X` breaches, `0` does not.
    #[test]
    fn the_pages_tables() {
        let retained = "retained";
        for (points, to_alarm, missing, ignore, breaching, not) in [
            ("0-X-X", 3, OK, OK, OK, OK),
            ("----0", 3, OK, OK, OK, OK),
            ("-----", 3, UNKNOWN, retained, ALARM, OK),
            ("0XX-X", 3, ALARM, ALARM, ALARM, ALARM),
            ("--X--", 3, ALARM, retained, ALARM, OK),
            ("0-X-X", 2, ALARM, ALARM, ALARM, ALARM),
            ("00X0X", 2, ALARM, ALARM, ALARM, ALARM),
            ("0-X--", 2, OK, OK, ALARM, OK),
            ("----0", 2, OK, OK, ALARM, OK),
            ("---X-", 2, ALARM, retained, ALARM, OK),
        ] {
            let range: Vec<Option<bool>> =
                points.chars().rev().map(|c| if c == '-' { None } else { Some(c == 'X') }).collect();
            let treatments = [
                (Missing::Unknown, missing),
                (Missing::Ignore, ignore),
                (Missing::Breaching, breaching),
                (Missing::NotBreaching, not),
            ];
            for (treatment, expected) in treatments {
                for now in super::super::STATES {
                    let expected = if expected == retained { now } else { expected };
                    assert_eq!(
                        decide(&range, 3, to_alarm, treatment, now),
                        expected,
                        "{points} {to_alarm} {treatment:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn what_it_says() {
        let members = json!({
            "MetricName": "Errors", "Namespace": "N", "Statistic": "Sum", "Period": "60", "EvaluationPeriods": 1,
            "Threshold": 1, "ComparisonOperator": "GreaterThanThreshold",
        });
        let watch = Watch::of(members.as_object().unwrap()).unwrap();
        let now_s = 1_795_428_930;
        let (_, end_s) = watch.range(now_s);
        let of = |values: &[(u64, f64)]| watch.verdict(&values.iter().copied().collect(), OK, now_s);
        let verdict = of(&[(end_s - 60, 5.0)]);
        assert_eq!(
            (verdict.state, verdict.reason.as_str()),
            (
                ALARM,
                "Threshold Crossed: 1 out of the last 1 datapoint [5.0 (23/11/26 10:14:00)] was greater than the threshold (1.0) (minimum 1 datapoint for OK -> ALARM transition)."
            )
        );
        assert_eq!(verdict.data["recentDatapoints"], json!([5.0]));
        assert_eq!(of(&[(end_s - 60, 1.0)]).state, OK);
        // What has not ended does not count.
        assert_eq!(of(&[(end_s, 5.0)]).reason, "Insufficient Data: 1 datapoint was unknown.");
        let bad = |member: &str, value: Value| {
            let mut members = members.clone();
            members[member] = value;
            Watch::of(members.as_object().unwrap()).unwrap_err().code
        };
        assert_eq!(bad("Period", json!(61)), "InvalidParameterValueException");
        assert_eq!(bad("EvaluationPeriods", json!(2000)), "ValidationError");
        assert_eq!(bad("DatapointsToAlarm", json!(2)), "ValidationError");
        assert_eq!(bad("Statistic", Value::Null), "MissingRequiredParameterException");
        assert_eq!(bad("ComparisonOperator", json!("LessThanLowerThreshold")), "NotImplemented");
    }
}
