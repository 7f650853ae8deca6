//! What invocations and the use of services cost. The default prices are those AWS asked for x86 in us-east-1, duration and requests, without
//! the free tier and without tiers of volume (<https://aws.amazon.com/lambda/pricing/>).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Prices in US dollars; the caller reads them from its configuration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Prices {
    pub currency: String,
    pub per_million_requests: f64,
    pub per_gb_second: f64,
    /// By service and unit, `dynamodb/read-request-units`: the price of one.
    #[serde(default = "usage_prices")]
    pub per_unit: BTreeMap<String, f64>,
    /// Where the prices are from.
    pub source: String,
}

impl Default for Prices {
    fn default() -> Prices {
        Prices {
            currency: "USD".to_owned(),
            per_million_requests: 0.20,
            per_gb_second: 0.000_016_666_7,
            per_unit: usage_prices(),
            source: "https://aws.amazon.com/lambda/pricing/ (x86, us-east-1)".to_owned(),
        }
    }
}

/// On demand, us-east-1 (<https://aws.amazon.com/dynamodb/pricing/on-demand/>, <https://aws.amazon.com/s3/pricing/>, standard
/// class, first 50 TB); a month is 730 hours.
fn usage_prices() -> BTreeMap<String, f64> {
    let byte_hour = |gb_month: f64| gb_month / (1u64 << 30) as f64 / 730.0;
    [
        ("dynamodb/read-request-units", 0.125e-6),
        ("dynamodb/write-request-units", 0.625e-6),
        ("dynamodb/byte-hours", byte_hour(0.25)),
        ("s3/put-requests", 5e-6),
        ("s3/get-requests", 0.4e-6),
        ("s3/byte-hours", byte_hour(0.023)),
    ]
    .map(|(unit, price)| (unit.to_owned(), price))
    .into()
}

impl Prices {
    /// `None`: there is no price for it.
    pub fn usage(&self, service: &str, unit: &str, quantity: f64) -> Option<f64> {
        self.per_unit.get(&format!("{service}/{unit}")).map(|price| price * quantity)
    }

    pub fn requests(&self, count: u64) -> f64 {
        count as f64 * self.per_million_requests / 1e6
    }

    pub fn compute(&self, gb_seconds: f64) -> f64 {
        gb_seconds * self.per_gb_second
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn awss_example_without_the_free_tier() {
        // Three million requests of 120 ms at 1536 MB.
        let prices = Prices::default();
        let cost = prices.requests(3_000_000) + prices.compute(3_000_000.0 * 0.12 * 1.5);
        assert!((cost - 9.6).abs() < 0.001, "{cost}");
    }
}
