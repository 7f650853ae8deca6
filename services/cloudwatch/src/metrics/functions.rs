//! Metric math carried out
//! (<https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/using-metric-math.html#metric-math-syntax>).

use std::collections::BTreeMap;

use cumulet_wire::error::ApiError;

use super::math::{Expr, Operator};
use crate::errors;

/// Values at times, in seconds since 1970.
pub type Points = BTreeMap<u64, f64>;

#[derive(Clone, Debug, PartialEq)]
pub enum Val {
    Number(f64),
    Series(Points),
    Many(Vec<(String, Points)>),
}

/// What an expression is about.
pub struct Scope<'a> {
    /// What an id stands for.
    pub value: &'a dyn Fn(&str) -> Option<Val>,
    /// All metrics of the request, with their ids.
    pub metrics: &'a dyn Fn() -> Vec<(String, Points)>,
    pub start_s: u64,
    pub end_s: u64,
    pub period_s: u64,
}

fn wrong(message: impl Into<String>) -> ApiError {
    errors::validation(format!("Error in expression: {}", message.into()))
}

pub fn evaluate(expression: &Expr, scope: &Scope<'_>) -> Result<Val, ApiError> {
    match expression {
        Expr::Number(number) => Ok(Val::Number(*number)),
        Expr::Text(text) => Err(wrong(format!("\"{text}\" is no value"))),
        Expr::Name(name) => (scope.value)(name).ok_or_else(|| wrong(format!("there is no {name}"))),
        Expr::List(list) => {
            let mut many = Vec::new();
            for (at, each) in list.iter().enumerate() {
                match evaluate(each, scope)? {
                    Val::Series(points) => many.push((name_of(each).unwrap_or_else(|| at.to_string()), points)),
                    Val::Many(more) => many.extend(more),
                    Val::Number(number) => many.push((at.to_string(), constant(number, scope))),
                }
            }
            Ok(Val::Many(many))
        }
        Expr::Negated(inner) => Ok(each(evaluate(inner, scope)?, |value| -value)),
        Expr::Pair(operator, left, right) => {
            pair(evaluate(left, scope)?, evaluate(right, scope)?, &|a, b| operate(*operator, a, b))
        }
        Expr::Function(name, arguments) => function(name, arguments, scope),
    }
}

fn name_of(expression: &Expr) -> Option<String> {
    if let Expr::Name(name) = expression { Some(name.clone()) } else { None }
}

fn constant(number: f64, scope: &Scope<'_>) -> Points {
    times(scope).map(|at| (at, number)).collect()
}

fn times(scope: &Scope<'_>) -> impl Iterator<Item = u64> + use<> {
    (scope.start_s..scope.end_s).step_by(usize::try_from(scope.period_s.max(1)).unwrap_or(usize::MAX))
}

fn operate(operator: Operator, a: f64, b: f64) -> f64 {
    let is = match operator {
        Operator::Plus => return a + b,
        Operator::Minus => return a - b,
        Operator::Times => return a * b,
        Operator::Over => return a / b,
        Operator::Power => return a.powf(b),
        Operator::Or => a != 0.0 || b != 0.0,
        Operator::And => a != 0.0 && b != 0.0,
        Operator::Equal => a == b,
        Operator::Unequal => a != b,
        Operator::AtMost => a <= b,
        Operator::AtLeast => a >= b,
        Operator::Less => a < b,
        Operator::More => a > b,
    };
    f64::from(u8::from(is))
}

/// What is no number, such as something divided by nothing, is no data point.
fn finite(points: impl Iterator<Item = (u64, f64)>) -> Points {
    points.filter(|(_, value)| value.is_finite()).collect()
}

fn each(value: Val, of: impl Fn(f64) -> f64) -> Val {
    let map = |points: Points| finite(points.into_iter().map(|(at, value)| (at, of(value))));
    match value {
        Val::Number(number) => Val::Number(of(number)),
        Val::Series(points) => Val::Series(map(points)),
        Val::Many(many) => Val::Many(many.into_iter().map(|(id, points)| (id, map(points))).collect()),
    }
}

/// Of two series there is a value where both have one.
fn pair(left: Val, right: Val, of: &dyn Fn(f64, f64) -> f64) -> Result<Val, ApiError> {
    Ok(match (left, right) {
        (Val::Number(a), Val::Number(b)) => Val::Number(of(a, b)),
        (left, Val::Number(b)) => each(left, |a| of(a, b)),
        (Val::Number(a), right) => each(right, |b| of(a, b)),
        (Val::Series(a), Val::Series(b)) => Val::Series(both(&a, &b, of)),
        (Val::Many(many), Val::Series(b)) => {
            Val::Many(many.into_iter().map(|(id, a)| (id, both(&a, &b, of))).collect())
        }
        (Val::Series(a), Val::Many(many)) => {
            Val::Many(many.into_iter().map(|(id, b)| (id, both(&a, &b, of))).collect())
        }
        (Val::Many(_), Val::Many(_)) => {
            return Err(wrong("two lists of time series cannot be operands of one operator"));
        }
    })
}

fn both(a: &Points, b: &Points, of: &dyn Fn(f64, f64) -> f64) -> Points {
    finite(a.iter().filter_map(|(at, value)| Some((*at, of(*value, *b.get(at)?)))))
}

fn function(name: &str, arguments: &[Expr], scope: &Scope<'_>) -> Result<Val, ApiError> {
    let count = |least: usize, most: usize| match (least..=most).contains(&arguments.len()) {
        true => Ok(()),
        false => Err(wrong(format!("{name} takes other arguments"))),
    };
    let argument = |at: usize| evaluate(&arguments[at], scope);
    match name {
        "METRICS" => {
            count(0, 1)?;
            let mut all = (scope.metrics)();
            match arguments.first() {
                None => {}
                Some(Expr::Text(part)) => all.retain(|(id, _)| id.contains(part.as_str())),
                Some(_) => return Err(wrong("METRICS takes a part of ids in quotes")),
            }
            return Ok(Val::Many(all));
        }
        "IF" => {
            count(2, 3)?;
            let no = if arguments.len() == 3 { Some(argument(2)?) } else { None };
            return choose(argument(0)?, argument(1)?, no, scope);
        }
        "FILL" => {
            count(2, 2)?;
            return fill(argument(0)?, &arguments[1], scope);
        }
        "TIME_SERIES" => {
            count(1, 1)?;
            return match argument(0)? {
                Val::Number(number) => Ok(Val::Series(constant(number, scope))),
                _ => Err(wrong("TIME_SERIES takes a number")),
            };
        }
        _ => count(1, 1)?,
    }
    let value = argument(0)?;
    Ok(match name {
        "ABS" => each(value, f64::abs),
        "CEIL" => each(value, f64::ceil),
        "FLOOR" => each(value, f64::floor),
        "LOG" => each(value, f64::ln),
        "LOG10" => each(value, f64::log10),
        "PERIOD" => Val::Number(scope.period_s as f64),
        "DIFF" => steps(value, |step| step.1.1 - step.0.1),
        "DIFF_TIME" => steps(value, |step| (step.1.0 - step.0.0) as f64),
        "RATE" => steps(value, |step| (step.1.1 - step.0.1) / (step.1.0 - step.0.0) as f64),
        "RUNNING_SUM" => running(value),
        "METRIC_COUNT" => match value {
            Val::Many(many) => Val::Number(many.len() as f64),
            _ => return Err(wrong("METRIC_COUNT takes a list of time series")),
        },
        "FIRST" | "LAST" => match value {
            Val::Many(mut many) if !many.is_empty() => {
                Val::Series(many.swap_remove(if name == "FIRST" { 0 } else { many.len() - 1 }).1)
            }
            Val::Many(_) => Val::Series(Points::new()),
            _ => return Err(wrong(format!("{name} takes a list of time series"))),
        },
        _ => fold(name, value)?,
    })
}

/// A time series to a number, several of them to one.
fn fold(name: &str, value: Val) -> Result<Val, ApiError> {
    let of = |values: &[f64]| -> f64 {
        let (count, sum) = (values.len() as f64, values.iter().sum::<f64>());
        match name {
            "SUM" => sum,
            "AVG" => sum / count,
            "MIN" => values.iter().copied().fold(f64::INFINITY, f64::min),
            "MAX" => values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
            "DATAPOINT_COUNT" => count,
            // STDDEV
            _ => (values.iter().map(|value| (value - sum / count).powi(2)).sum::<f64>() / count).sqrt(),
        }
    };
    match value {
        Val::Number(_) => Err(wrong(format!("{name} takes time series"))),
        Val::Series(points) => Ok(Val::Number(of(&points.into_values().collect::<Vec<f64>>()))),
        Val::Many(many) => {
            let mut by_time: BTreeMap<u64, Vec<f64>> = BTreeMap::new();
            for (at, value) in many.into_iter().flat_map(|(_, points)| points) {
                by_time.entry(at).or_default().push(value);
            }
            Ok(Val::Series(finite(by_time.into_iter().map(|(at, values)| (at, of(&values))))))
        }
    }
}

type Step = ((u64, f64), (u64, f64));

fn steps(value: Val, of: impl Fn(Step) -> f64) -> Val {
    let map = |points: Points| {
        let ends = points.iter().zip(points.iter().skip(1));
        finite(ends.map(|(a, b)| (*b.0, of(((*a.0, *a.1), (*b.0, *b.1))))))
    };
    match value {
        Val::Number(_) => Val::Number(0.0),
        Val::Series(points) => Val::Series(map(points)),
        Val::Many(many) => Val::Many(many.into_iter().map(|(id, points)| (id, map(points))).collect()),
    }
}

fn running(value: Val) -> Val {
    let map = |points: Points| {
        let mut sum = 0.0;
        let add = |(at, value): (u64, f64)| {
            sum += value;
            (at, sum)
        };
        finite(points.into_iter().map(add).collect::<Vec<_>>().into_iter())
    };
    match value {
        Val::Number(number) => Val::Number(number),
        Val::Series(points) => Val::Series(map(points)),
        Val::Many(many) => Val::Many(many.into_iter().map(|(id, points)| (id, map(points))).collect()),
    }
}

fn choose(condition: Val, yes: Val, no: Option<Val>, scope: &Scope<'_>) -> Result<Val, ApiError> {
    let condition = match condition {
        Val::Number(number) if number != 0.0 => return Ok(yes),
        Val::Number(_) => return Ok(no.unwrap_or_else(|| Val::Series(Points::new()))),
        Val::Series(points) => points,
        Val::Many(_) => return Err(wrong("the condition of IF is a number or a time series")),
    };
    let points = |value: Val| match value {
        Val::Number(number) => {
            Ok(constant(number, scope).into_iter().chain(condition.keys().map(|at| (*at, number))).collect())
        }
        Val::Series(points) => Ok(points),
        Val::Many(_) => Err(wrong("what IF chooses from are numbers or time series")),
    };
    let yes: Points = points(yes)?;
    let no: Points = no.map_or_else(|| Ok(Points::new()), points)?;
    let chosen = condition.iter().filter_map(|(at, is)| {
        let from = if *is != 0.0 { &yes } else { &no };
        Some((*at, *from.get(at)?))
    });
    Ok(Val::Series(finite(chosen)))
}

fn fill(value: Val, with: &Expr, scope: &Scope<'_>) -> Result<Val, ApiError> {
    let way = match with {
        Expr::Name(name) if name == "REPEAT" => Way::Repeat,
        Expr::Name(name) if name == "LINEAR" => Way::Linear,
        other => match evaluate(other, scope)? {
            Val::Number(number) => Way::With(number),
            _ => return Err(wrong("FILL fills with a number, REPEAT or LINEAR")),
        },
    };
    let map = |points: Points| {
        let filled = times(scope).filter_map(|at| {
            if let Some(value) = points.get(&at) {
                return Some((at, *value));
            }
            let before = points.range(..at).next_back();
            match way {
                Way::With(number) => Some((at, number)),
                Way::Repeat => before.map(|(_, value)| (at, *value)),
                Way::Linear => {
                    let ((from, a), (to, b)) = (before?, points.range(at..).next()?);
                    Some((at, a + (b - a) * (at - from) as f64 / (to - from) as f64))
                }
            }
        });
        finite(filled.collect::<Vec<_>>().into_iter())
    };
    Ok(match value {
        Val::Number(number) => Val::Number(number),
        Val::Series(points) => Val::Series(map(points)),
        Val::Many(many) => Val::Many(many.into_iter().map(|(id, points)| (id, map(points))).collect()),
    })
}

#[derive(Clone, Copy)]
enum Way {
    With(f64),
    Repeat,
    Linear,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::metrics::math::parse;

    fn points(values: &[(u64, f64)]) -> Points {
        values.iter().copied().collect()
    }

    fn run(text: &str) -> Result<Val, ApiError> {
        let m1 = points(&[(0, 1.0), (60, 2.0), (180, 4.0)]);
        let m2 = points(&[(0, 2.0), (60, 0.0), (120, 3.0)]);
        let all = vec![("m1".to_owned(), m1), ("m2".to_owned(), m2)];
        let value = |name: &str| all.iter().find(|(id, _)| id == name).map(|(_, points)| Val::Series(points.clone()));
        let scope = Scope { value: &value, metrics: &|| all.clone(), start_s: 0, end_s: 240, period_s: 60 };
        evaluate(&parse(text)?, &scope)
    }

    #[test]
    fn expressions() {
        let series = |values: &[(u64, f64)]| Val::Series(points(values));
        for (text, value) in [
            ("1 + 2 * 3 ^ 2", Val::Number(19.0)),
            ("-2 ^ 2", Val::Number(-4.0)),
            ("(1 + 2) * 3 - -1", Val::Number(10.0)),
            ("m1 + m2", series(&[(0, 3.0), (60, 2.0)])),
            // Nothing is divided by nothing.
            ("m1 / m2", series(&[(0, 0.5)])),
            ("100 * m1", series(&[(0, 100.0), (60, 200.0), (180, 400.0)])),
            ("m1 > 1 && m1 < 4", series(&[(0, 0.0), (60, 1.0), (180, 0.0)])),
            ("m1 == 1 OR m1 == 4", series(&[(0, 1.0), (60, 0.0), (180, 1.0)])),
            ("SUM(m1)", Val::Number(7.0)),
            ("SUM([m1, m2])", series(&[(0, 3.0), (60, 2.0), (120, 3.0), (180, 4.0)])),
            ("SUM(METRICS())", series(&[(0, 3.0), (60, 2.0), (120, 3.0), (180, 4.0)])),
            ("SUM(METRICS(\"m1\"))", series(&[(0, 1.0), (60, 2.0), (180, 4.0)])),
            ("AVG(METRICS())", series(&[(0, 1.5), (60, 1.0), (120, 3.0), (180, 4.0)])),
            ("STDDEV(m1) < 2", Val::Number(1.0)),
            ("FILL(m1, 0)", series(&[(0, 1.0), (60, 2.0), (120, 0.0), (180, 4.0)])),
            ("FILL(m1, REPEAT)", series(&[(0, 1.0), (60, 2.0), (120, 2.0), (180, 4.0)])),
            ("FILL(m1, LINEAR)", series(&[(0, 1.0), (60, 2.0), (120, 3.0), (180, 4.0)])),
            ("IF(m1 > 1, m1, 0)", series(&[(0, 0.0), (60, 2.0), (180, 4.0)])),
            ("IF(m2, m1)", series(&[(0, 1.0)])),
            ("DIFF(m1)", series(&[(60, 1.0), (180, 2.0)])),
            ("RATE(m1) * 60", series(&[(60, 1.0), (180, 1.0)])),
            ("RUNNING_SUM(m1)", series(&[(0, 1.0), (60, 3.0), (180, 7.0)])),
            ("m1 / PERIOD(m1) * 60", series(&[(0, 1.0), (60, 2.0), (180, 4.0)])),
            ("ABS(0 - m1)", series(&[(0, 1.0), (60, 2.0), (180, 4.0)])),
            ("TIME_SERIES(5)", series(&[(0, 5.0), (60, 5.0), (120, 5.0), (180, 5.0)])),
            ("METRIC_COUNT(METRICS())", Val::Number(2.0)),
        ] {
            assert_eq!(run(text).unwrap(), value, "{text}");
        }
        for bad in ["m3", "METRICS() + METRICS()", "SUM(1)", "FILL(m1)", "\"x\"", "IF(METRICS(), 1, 2)"] {
            assert_eq!(run(bad).unwrap_err().code, "ValidationError", "{bad}");
        }
    }
}
