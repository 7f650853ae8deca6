//! Statistics by their names (<https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/Statistics-definitions.html>).
//! Deliberately absent: trimmed and winsorized means and the other statistics of a part of the values.

use cumulet_wire::error::ApiError;

use super::aggregate::Aggregate;
use crate::errors;

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Stat {
    SampleCount,
    Average,
    Sum,
    Minimum,
    Maximum,
    Percentile(f64),
}

/// Whose names begin so is known and not built.
const ABSENT: &[&str] = &["tm", "tc", "ts", "wm", "pr", "iqm"];

impl Stat {
    pub fn parse(name: &str) -> Result<Stat, ApiError> {
        let percent = |text: &str| text.parse::<f64>().ok().filter(|p| (0.0..=100.0).contains(p));
        Ok(match name {
            "SampleCount" => Stat::SampleCount,
            "Average" => Stat::Average,
            "Sum" => Stat::Sum,
            "Minimum" => Stat::Minimum,
            "Maximum" => Stat::Maximum,
            other => match other.strip_prefix('p').and_then(percent) {
                Some(percent) => Stat::Percentile(percent),
                None if ABSENT.iter().any(|begin| other.to_ascii_lowercase().starts_with(begin)) => {
                    return Err(ApiError::not_implemented("cloudwatch", &format!("the statistic {other}")));
                }
                None => return Err(errors::invalid(format!("The value {other} for parameter Stat is not supported."))),
            },
        })
    }

    /// `None`: the values are not known, of which it would be a percentile.
    pub fn of(self, values: &Aggregate) -> Option<f64> {
        match self {
            Stat::SampleCount => Some(values.count),
            Stat::Average => Some(values.sum / values.count),
            Stat::Sum => Some(values.sum),
            Stat::Minimum => Some(values.min),
            Stat::Maximum => Some(values.max),
            Stat::Percentile(percent) => values.percentile(percent),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn by_name() {
        let values = Aggregate::of(3.0, 2.0);
        for (name, value) in [("SampleCount", 2.0), ("Average", 3.0), ("Sum", 6.0), ("Maximum", 3.0), ("p99.9", 3.0)] {
            assert_eq!(Stat::parse(name).unwrap().of(&values), Some(value), "{name}");
        }
        for (name, code) in [
            ("tm99", "NotImplemented"),
            ("IQM", "NotImplemented"),
            ("p101", "InvalidParameterValueException"),
            ("sum", "InvalidParameterValueException"),
        ] {
            assert_eq!(Stat::parse(name).unwrap_err().code, code, "{name}");
        }
    }
}
