//! Queries of metrics: what GetMetricData, GetMetricStatistics and alarms ask for.

use std::collections::{BTreeMap, HashMap, HashSet};

use cumulet_base::limits;
use cumulet_wire::error::ApiError;
use serde_json::Value;

use super::aggregate::Aggregate;
use super::functions::{self, Points, Scope, Val};
use super::math::{self, Expr};
use super::stat::Stat;
use super::{DAY_S, LEVELS, Place, Series, unit_of};
use crate::errors;
use crate::operations::{bool_of, whole};
use crate::storage::metrics::MetricStorage;

#[derive(Clone, Debug, PartialEq)]
pub struct MetricStat {
    pub series: Series,
    pub period_s: u64,
    pub stat: Stat,
    pub unit: Option<u8>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum What {
    Metric(MetricStat),
    Expression(Expr),
}

#[derive(Clone, Debug, PartialEq)]
pub struct Query {
    pub id: String,
    pub label: Option<String>,
    pub is_returned: bool,
    pub what: What,
}

/// What a query came to.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    pub id: String,
    pub label: String,
    pub points: Points,
}

pub fn dimensions(value: &Value) -> Result<Vec<(String, String)>, ApiError> {
    let list = value.as_array().map(Vec::as_slice).unwrap_or_default();
    if list.len() > limits::METRIC_DIMENSIONS_MAX {
        return Err(errors::invalid("The collection Dimensions must not have a size greater than 30."));
    }
    let mut all = Vec::new();
    for pair in list {
        let part = |member: &str, chars_max: usize| {
            let text = pair[member].as_str().unwrap_or_default();
            let is_good = (1..=chars_max).contains(&text.len()) && text.bytes().all(|b| (0x20..0x7f).contains(&b));
            match is_good && !(member == "Name" && text.starts_with(':')) {
                true => Ok(text.to_owned()),
                false => Err(errors::invalid(format!("The parameter Dimensions has a {member} that is no good."))),
            }
        };
        all.push((part("Name", 255)?, part("Value", 1024)?));
    }
    Ok(all)
}

pub fn names(namespace: &Value, name: &Value) -> Result<(String, String), ApiError> {
    let part = |value: &Value, member: &str| {
        let text = value.as_str().ok_or_else(|| errors::missing(member))?;
        let is_good = (1..=255).contains(&text.len()) && text.bytes().all(|b| (0x20..0x7f).contains(&b));
        match is_good && !text.starts_with(':') {
            true => Ok(text.to_owned()),
            false => Err(errors::invalid(format!("The value '{text}' for parameter {member} is invalid."))),
        }
    };
    Ok((part(namespace, "Namespace")?, part(name, "MetricName")?))
}

pub fn series(metric: &Value) -> Result<Series, ApiError> {
    let (namespace, name) = names(&metric["Namespace"], &metric["MetricName"])?;
    Ok(Series::new(&namespace, &name, dimensions(&metric["Dimensions"])?))
}

pub fn period(value: &Value) -> Result<u64, ApiError> {
    let period_s = whole(value).ok_or_else(|| errors::missing("Period"))?;
    match period_s {
        1 | 5 | 10 | 20 | 30 => Ok(period_s),
        s if s > 0 && s.is_multiple_of(60) && s <= 365 * DAY_S => Ok(s),
        s => Err(errors::invalid(format!(
            "The parameter Period must be 1, 5, 10, 20, 30 or a multiple of 60. It is {s}."
        ))),
    }
}

pub fn unit(value: &Value) -> Result<Option<u8>, ApiError> {
    let Some(name) = value.as_str() else { return Ok(None) };
    match unit_of(name) {
        Some(unit) => Ok(Some(unit)),
        None => Err(errors::invalid(format!("The parameter Unit must be a value in the set of units. It is {name}."))),
    }
}

fn metric_stat(given: &Value) -> Result<MetricStat, ApiError> {
    Ok(MetricStat {
        series: series(&given["Metric"])?,
        period_s: period(&given["Period"])?,
        stat: Stat::parse(given["Stat"].as_str().ok_or_else(|| errors::missing("Stat"))?)?,
        unit: unit(&given["Unit"])?,
    })
}

/// `MetricDataQueries` of GetMetricData, `Metrics` of an alarm.
pub fn parse(given: &Value) -> Result<Vec<Query>, ApiError> {
    let list = given.as_array().map(Vec::as_slice).unwrap_or_default();
    if list.len() > limits::METRIC_QUERIES_MAX {
        return Err(errors::validation("The collection MetricDataQueries must not have a size greater than 500."));
    }
    let mut queries: Vec<Query> = Vec::new();
    for one in list {
        let id = one["Id"].as_str().unwrap_or_default();
        let is_good = id.starts_with(|c: char| c.is_ascii_lowercase())
            && id.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
            && id.len() <= 255;
        if !is_good {
            return Err(errors::validation(format!(
                "The value '{id}' for parameter MetricDataQueries.Id is not matching the expected pattern ^[a-z][a-zA-Z0-9_]*$."
            )));
        }
        if queries.iter().any(|query| query.id == id) {
            return Err(errors::validation(format!(
                "The values for parameter id in MetricDataQueries are not unique: {id}."
            )));
        }
        let what = match (one.get("MetricStat").filter(|v| !v.is_null()), one["Expression"].as_str()) {
            (Some(stat), None) => What::Metric(metric_stat(stat)?),
            (None, Some(text)) => What::Expression(math::parse(text)?),
            _ => return Err(errors::validation("A MetricDataQuery has either a MetricStat or an Expression.")),
        };
        queries.push(Query {
            id: id.to_owned(),
            label: one["Label"].as_str().filter(|label| !label.is_empty()).map(str::to_owned),
            is_returned: bool_of(&one["ReturnData"]).unwrap_or(true),
            what,
        });
    }
    check(&queries)?;
    Ok(queries)
}

/// Expressions know what they name, and do not lead in circles.
fn check(queries: &[Query]) -> Result<(), ApiError> {
    let mut open: Vec<(&str, Vec<String>)> = Vec::new();
    for query in queries {
        let mut names = Vec::new();
        if let What::Expression(expression) = &query.what {
            expression.names(&mut names);
        }
        if let Some(unknown) = names.iter().find(|name| !queries.iter().any(|other| other.id == **name)) {
            let message = format!("Error in expression '{}': no metric or expression has the id {unknown}.", query.id);
            return Err(errors::validation(message));
        }
        open.push((&query.id, names));
    }
    loop {
        let left: HashSet<&str> = open.iter().map(|(id, _)| *id).collect();
        let before = open.len();
        open.retain(|(_, names)| names.iter().any(|name| left.contains(name.as_str())));
        match open.first() {
            None => return Ok(()),
            Some((id, _)) if open.len() == before => {
                return Err(errors::validation(format!("Error in expression '{id}': it depends on itself.")));
            }
            Some(_) => {}
        }
    }
}

/// The longest period of the metrics, which is also that of expressions.
pub fn period_of(queries: &[Query]) -> u64 {
    let periods = queries.iter().filter_map(|query| match &query.what {
        What::Metric(stat) => Some(stat.period_s),
        What::Expression(_) => None,
    });
    periods.max().unwrap_or(60)
}

/// Where the first period begins: at the second, minute, five minutes or hour before `start_s`, by its age
/// (<https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_GetMetricStatistics.html>).
pub fn begin(start_s: u64, period_s: u64, now_s: u64) -> u64 {
    let step_s = match now_s.saturating_sub(start_s) {
        _ if period_s < 60 => period_s,
        age_s if age_s < 15 * DAY_S => 60,
        age_s if age_s < 63 * DAY_S => 300,
        _ => 3600,
    };
    start_s / step_s * step_s
}

/// The values of a series by periods, of which the first begins at `start_s`, and by units.
pub async fn read(
    storage: &MetricStorage,
    place: &Place,
    (series, unit): (&Series, Option<u8>),
    period_s: u64,
    (start_s, end_s): (u64, u64),
) -> Result<BTreeMap<(u64, u8), Aggregate>, ApiError> {
    let id = series.id();
    let fits = |level_s: &u64| period_s.is_multiple_of(*level_s) && start_s.is_multiple_of(*level_s);
    let level_s = LEVELS.iter().rev().map(|(level_s, _)| *level_s).find(fits).unwrap_or(1);
    let mut rows = storage.data(place, &id, level_s, (start_s, end_s)).await?;
    if level_s == 1 {
        // Values that are only known by the minute stand at its begin.
        let minutes = storage.data(place, &id, 60, (start_s, end_s)).await?;
        let finer: Vec<(u64, u8)> = rows.iter().map(|(at, unit, _)| (at / 60 * 60, *unit)).collect();
        rows.extend(minutes.into_iter().filter(|(at, unit, _)| !finer.contains(&(*at, *unit))));
    }
    let mut found: BTreeMap<(u64, u8), Aggregate> = BTreeMap::new();
    for (at, of, values) in rows {
        if unit.is_some_and(|unit| unit != of) {
            continue;
        }
        let at = start_s + (at - start_s) / period_s * period_s;
        found.entry((at, of)).and_modify(|sum| sum.merge(&values)).or_insert(values);
    }
    Ok(found)
}

async fn points(
    storage: &MetricStorage,
    place: &Place,
    stat: &MetricStat,
    (start_s, end_s): (u64, u64),
    now_s: u64,
) -> Result<Points, ApiError> {
    let start_s = begin(start_s, stat.period_s, now_s);
    let by_unit = read(storage, place, (&stat.series, stat.unit), stat.period_s, (start_s, end_s)).await?;
    let mut all: BTreeMap<u64, Aggregate> = BTreeMap::new();
    for ((at, _), values) in by_unit {
        all.entry(at).and_modify(|sum| sum.merge(&values)).or_insert(values);
    }
    Ok(all.into_iter().filter_map(|(at, values)| Some((at, stat.stat.of(&values)?))).collect())
}

/// What is asked for and to be returned, between two times.
pub async fn run(
    storage: &MetricStorage,
    place: &Place,
    queries: &[Query],
    (start_s, end_s): (u64, u64),
    now_s: u64,
) -> Result<Vec<Found>, ApiError> {
    let mut values: HashMap<&str, Val> = HashMap::new();
    for query in queries {
        if let What::Metric(stat) = &query.what {
            values.insert(&query.id, Val::Series(points(storage, place, stat, (start_s, end_s), now_s).await?));
        }
    }
    let metrics: Vec<(String, Points)> = queries
        .iter()
        .filter_map(|query| match values.get(query.id.as_str()) {
            Some(Val::Series(points)) => Some((query.id.clone(), points.clone())),
            _ => None,
        })
        .collect();
    let period_s = period_of(queries);
    // `check` has seen that this ends.
    while values.len() < queries.len() {
        let before = values.len();
        for query in queries {
            let What::Expression(expression) = &query.what else { continue };
            let mut names = Vec::new();
            expression.names(&mut names);
            if values.contains_key(query.id.as_str()) || !names.iter().all(|name| values.contains_key(name.as_str())) {
                continue;
            }
            let scope = Scope {
                value: &|name| values.get(name).cloned(),
                metrics: &|| metrics.clone(),
                start_s: begin(start_s, period_s, now_s),
                end_s,
                period_s,
            };
            let value = functions::evaluate(expression, &scope)?;
            values.insert(&query.id, value);
        }
        if values.len() == before {
            return Err(errors::validation("Error in expression: it depends on itself."));
        }
    }
    let mut found = Vec::new();
    for query in queries.iter().filter(|query| query.is_returned) {
        let own = match &query.what {
            What::Metric(stat) => stat.series.name.clone(),
            What::Expression(_) => query.id.clone(),
        };
        let label = query.label.clone().unwrap_or(own);
        match values.remove(query.id.as_str()) {
            Some(Val::Series(points)) => found.push(Found { id: query.id.clone(), label, points }),
            Some(Val::Many(many)) => found.extend(many.into_iter().map(|(of, points)| Found {
                id: query.id.clone(),
                label: format!("{label} {of}"),
                points,
            })),
            _ => {
                return Err(errors::validation(format!(
                    "Error in expression '{}': it is to be a time series, and is a number.",
                    query.id
                )));
            }
        }
    }
    Ok(found)
}
