//! Metrics: what a series is, how its values are added up, and what is made of them.

pub mod aggregate;
pub mod functions;
pub mod math;
pub mod platform;
pub mod query;
pub mod stat;
pub mod tidy;
pub mod writer;

use cumulet_wire::call::Context;
use sha2::{Digest, Sha256};

/// In the order of the service's model; a unit's place is what is stored.
pub const UNITS: &[&str] = &[
    "None",
    "Seconds",
    "Microseconds",
    "Milliseconds",
    "Bytes",
    "Kilobytes",
    "Megabytes",
    "Gigabytes",
    "Terabytes",
    "Bits",
    "Kilobits",
    "Megabits",
    "Gigabits",
    "Terabits",
    "Percent",
    "Count",
    "Bytes/Second",
    "Kilobytes/Second",
    "Megabytes/Second",
    "Gigabytes/Second",
    "Terabytes/Second",
    "Bits/Second",
    "Kilobits/Second",
    "Megabits/Second",
    "Gigabits/Second",
    "Terabits/Second",
    "Count/Second",
];

pub fn unit_of(name: &str) -> Option<u8> {
    UNITS.iter().position(|unit| *unit == name).and_then(|at| u8::try_from(at).ok())
}

pub fn unit_name(unit: u8) -> &'static str {
    UNITS.get(usize::from(unit)).copied().unwrap_or("None")
}

/// Whose metrics and alarms.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    pub account: String,
    pub region: String,
}

impl Place {
    pub fn of(ctx: &Context) -> Place {
        Place { account: ctx.account().to_owned(), region: ctx.region.clone() }
    }
}

/// What a series is found by: a digest of its names.
pub type SeriesId = [u8; 16];

/// A metric with its dimensions; its values may have several units.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Series {
    pub namespace: String,
    pub name: String,
    /// By name.
    pub dimensions: Vec<(String, String)>,
}

impl Series {
    pub fn new(namespace: &str, name: &str, mut dimensions: Vec<(String, String)>) -> Series {
        dimensions.sort();
        Series { namespace: namespace.to_owned(), name: name.to_owned(), dimensions }
    }

    pub fn id(&self) -> SeriesId {
        let mut hash = Sha256::new();
        let dimensions = self.dimensions.iter().flat_map(|(name, value)| [name, value]);
        for part in [&self.namespace, &self.name].into_iter().chain(dimensions) {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part.as_bytes());
        }
        let mut id = SeriesId::default();
        id.copy_from_slice(&hash.finalize()[..16]);
        id
    }
}

/// How long the stretches are that values are added up in, in seconds, and how long they are kept
/// (<https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/cloudwatch_concepts.html>, "Metrics retention").
pub const LEVELS: &[(u64, u64)] = &[(1, 3 * 3600), (60, 15 * DAY_S), (300, 63 * DAY_S), (3600, 455 * DAY_S)];
pub const DAY_S: u64 = 86_400;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_dimensions_does_not_matter() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let one = Series::new("N", "m", vec![pair("a", "1"), pair("b", "2")]);
        let other = Series::new("N", "m", vec![pair("b", "2"), pair("a", "1")]);
        assert_eq!(one.id(), other.id());
        assert_ne!(one.id(), Series::new("N", "m", vec![pair("a", "1b"), pair("", "2")]).id());
        assert_ne!(Series::new("N", "m", vec![]).id(), Series::new("Nm", "", vec![]).id());
        assert!(UNITS.iter().all(|unit| unit_of(unit).map(unit_name) == Some(unit)));
    }
}
