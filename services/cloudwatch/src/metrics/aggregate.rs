//! The values of a stretch of time, added up: their number, sum and bounds, and the values themselves as long as these are
//! few. Of many, values near each other are taken for one, so that a percentile is off by a few hundredths at most.

use std::collections::BTreeMap;

use cumulet_base::limits;

const FORMAT: u8 = 1;
/// Digits that values keep, from one coarsening to the next; all of them at first.
const DIGITS: &[u8] = &[17, 3, 2, 1];

#[derive(Clone, Debug, PartialEq)]
pub struct Aggregate {
    pub count: f64,
    pub sum: f64,
    pub min: f64,
    pub max: f64,
    /// `None`: sets of statistics were among them, or too many values.
    values: Option<Values>,
}

#[derive(Clone, Debug, PartialEq)]
struct Values {
    digits: u8,
    /// How often each value came.
    counts: BTreeMap<Ordered, f64>,
}

/// A number by its size; there are no others than finite ones.
#[derive(Clone, Copy, Debug)]
struct Ordered(f64);

impl PartialEq for Ordered {
    fn eq(&self, other: &Ordered) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Ordered {}

impl PartialOrd for Ordered {
    fn partial_cmp(&self, other: &Ordered) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Ordered {
    fn cmp(&self, other: &Ordered) -> std::cmp::Ordering {
        self.0.total_cmp(&other.0)
    }
}

fn rounded(value: f64, digits: u8) -> f64 {
    if digits >= DIGITS[0] {
        return value;
    }
    format!("{value:.*e}", usize::from(digits) - 1).parse().unwrap_or(value)
}

impl Values {
    /// Whether they are few enough still.
    fn add(&mut self, value: f64, count: f64) -> bool {
        *self.counts.entry(Ordered(rounded(value, self.digits))).or_default() += count;
        while self.counts.len() > limits::METRIC_VALUES_KEPT {
            let Some(digits) = DIGITS.iter().find(|digits| **digits < self.digits) else { return false };
            self.digits = *digits;
            let old = std::mem::take(&mut self.counts);
            for (value, count) in old {
                *self.counts.entry(Ordered(rounded(value.0, *digits))).or_default() += count;
            }
        }
        true
    }
}

impl Aggregate {
    pub fn of(value: f64, count: f64) -> Aggregate {
        let counts = BTreeMap::from([(Ordered(value), count)]);
        let values = Some(Values { digits: DIGITS[0], counts });
        Aggregate { count, sum: value * count, min: value, max: value, values }
    }

    /// Of a set of statistics: the values are only known where there is but one.
    pub fn set(count: f64, sum: f64, min: f64, max: f64) -> Aggregate {
        match min == max {
            true => Aggregate { sum, ..Aggregate::of(min, count) },
            false => Aggregate { count, sum, min, max, values: None },
        }
    }

    pub fn merge(&mut self, other: &Aggregate) {
        self.count += other.count;
        self.sum += other.sum;
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
        let is_known = match (&mut self.values, &other.values) {
            (Some(values), Some(more)) => more.counts.iter().all(|(value, count)| values.add(value.0, *count)),
            _ => false,
        };
        if !is_known {
            self.values = None;
        }
    }

    /// Linear between the values' ranks.
    pub fn percentile(&self, percent: f64) -> Option<f64> {
        let values = self.values.as_ref()?;
        let rank = (self.count - 1.0).max(0.0) * percent / 100.0;
        let at = |rank: f64| {
            let mut seen = 0.0;
            let found = values.counts.iter().find(|(_, count)| {
                seen += **count;
                seen > rank
            });
            found.or(values.counts.last_key_value()).map(|(value, _)| value.0)
        };
        let (below, above) = (at(rank.floor())?, at(rank.ceil())?);
        let value = below + (above - below) * rank.fract();
        // Values that were rounded do not leave the bounds.
        Some(value.clamp(self.min, self.max))
    }

    /// `docs/formats/cloudwatch.md`
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![FORMAT];
        for number in [self.count, self.sum, self.min, self.max] {
            out.extend(number.to_le_bytes());
        }
        out.push(self.values.as_ref().map_or(0, |values| values.digits));
        for (value, count) in self.values.iter().flat_map(|values| &values.counts) {
            out.extend(value.0.to_le_bytes());
            out.extend(count.to_le_bytes());
        }
        out
    }

    pub fn decode(bytes: &[u8]) -> Option<Aggregate> {
        let (format, rest) = bytes.split_first()?;
        let (numbers, rest) = rest.split_at_checked(32)?;
        let (digits, rest) = rest.split_first()?;
        let number = |bytes: &[u8]| bytes.try_into().map(f64::from_le_bytes).ok();
        let mut numbers = numbers.chunks_exact(8).map(number);
        let mut next = || numbers.next().flatten();
        let (count, sum, min, max) = (next()?, next()?, next()?, next()?);
        let pairs = rest.chunks_exact(16);
        if *format != FORMAT || !pairs.remainder().is_empty() {
            return None;
        }
        let counts: Option<BTreeMap<Ordered, f64>> =
            pairs.map(|pair| Some((Ordered(number(&pair[..8])?), number(&pair[8..])?))).collect();
        let values = if *digits == 0 { None } else { Some(Values { digits: *digits, counts: counts? }) };
        Some(Aggregate { count, sum, min, max, values })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn of(values: impl IntoIterator<Item = f64>) -> Aggregate {
        let mut values = values.into_iter();
        let mut all = Aggregate::of(values.next().unwrap(), 1.0);
        values.for_each(|value| all.merge(&Aggregate::of(value, 1.0)));
        all
    }

    #[test]
    fn few_values_are_exact() {
        let all = of([1.0, 2.0, 3.0, 4.0]);
        assert_eq!((all.count, all.sum, all.min, all.max), (4.0, 10.0, 1.0, 4.0));
        assert_eq!(
            (all.percentile(50.0), all.percentile(100.0), all.percentile(0.0)),
            (Some(2.5), Some(4.0), Some(1.0))
        );
        assert_eq!(Aggregate::decode(&all.encode()), Some(all));
    }

    #[test]
    fn many_values_are_near() {
        let all = of((0..20_000).map(|n| 1.0 + f64::from(n) * 0.001_37));
        assert!(all.encode().len() < 40 + 16 * limits::METRIC_VALUES_KEPT);
        let exact = 1.0 + 0.9 * 19_999.0 * 0.001_37;
        assert!((all.percentile(90.0).unwrap() / exact - 1.0).abs() < 0.05);
        assert_eq!(Aggregate::decode(&all.encode()), Some(all));
        // From one end of what may be to the other.
        let wide = of((0..400).flat_map(|n| [2f64.powi(n - 200), -(2f64.powi(n - 200))]));
        assert!(wide.encode().len() < 40 + 16 * limits::METRIC_VALUES_KEPT);
        assert_eq!((wide.min, wide.max), (-(2f64.powi(199)), 2f64.powi(199)));
    }

    #[test]
    fn sets_have_no_percentiles_unless_of_one_value() {
        let mut all = Aggregate::set(3.0, 6.0, 2.0, 2.0);
        assert_eq!(all.percentile(50.0), Some(2.0));
        all.merge(&Aggregate::set(2.0, 6.0, 1.0, 5.0));
        assert_eq!((all.percentile(50.0), all.count, all.max), (None, 5.0, 5.0));
        assert_eq!(Aggregate::decode(&all.encode()), Some(all.clone()));
        for bad in [&all.encode()[..20], &[], &[9; 34]] {
            assert_eq!(Aggregate::decode(bad), None);
        }
    }
}
