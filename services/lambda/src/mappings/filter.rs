//! Which records a mapping hands over
//! (<https://docs.aws.amazon.com/lambda/latest/dg/invocation-eventfiltering.html>).

use cumulet_wire::event_pattern::Pattern;
use serde_json::Value;

use super::model::Mapping;

pub struct Filters(Vec<Pattern>);

impl Filters {
    pub fn of(mapping: &Mapping) -> Filters {
        // Checked when they were taken.
        Filters(mapping.filters.iter().filter_map(|pattern| Pattern::parse(pattern).ok()).collect())
    }

    pub fn lets(&self, record: &Value) -> bool {
        self.0.is_empty() || self.0.iter().any(|pattern| pattern.matches(record))
    }

    /// A message's body counts as JSON where it is JSON.
    pub fn lets_message(&self, record: &Value) -> bool {
        if self.0.is_empty() {
            return true;
        }
        let mut seen = record.clone();
        if let Some(body) = record["body"].as_str().and_then(|body| serde_json::from_str::<Value>(body).ok()) {
            seen["body"] = body;
        }
        self.lets(&seen)
    }
}
