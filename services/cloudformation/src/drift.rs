//! Drift: where a resource is other than the stack made it. Only properties that the template gives are compared, and of
//! those the ones that can be read back. Pure, but for the shapes that are stored.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::resources::text;

/// What was last found out about a stack.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Drift {
    pub v: u8,
    /// Of the last detection of the whole stack; empty where there was none.
    pub id: String,
    pub checked_ms: u64,
    pub resources: BTreeMap<String, ResourceDrift>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ResourceDrift {
    /// `IN_SYNC`, `MODIFIED`, `DELETED`, `NOT_CHECKED`.
    pub status: String,
    pub physical_id: String,
    pub kind: String,
    /// Documents of JSON.
    pub expected: Option<String>,
    pub actual: Option<String>,
    pub differences: Vec<Difference>,
    pub checked_ms: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Difference {
    pub property_path: String,
    pub expected_value: String,
    pub actual_value: String,
    /// `ADD`, `REMOVE`, `NOT_EQUAL`.
    pub difference_type: String,
}

impl Drift {
    /// How many resources are other than they were made.
    pub fn count(&self) -> usize {
        self.resources.values().filter(|one| one.status == "MODIFIED" || one.status == "DELETED").count()
    }

    pub fn status(&self) -> &'static str {
        match self.count() {
            _ if self.id.is_empty() => "NOT_CHECKED",
            0 => "IN_SYNC",
            _ => "DRIFTED",
        }
    }
}

/// A resource compared with what its service holds; `None`: it is not there any more.
pub fn compared(
    kind: &str,
    physical_id: &str,
    expected: &Map<String, Value>,
    actual: Option<&Map<String, Value>>,
    now_ms: u64,
) -> ResourceDrift {
    let mut drift = ResourceDrift { status: "DELETED".to_owned(), ..unchecked(kind, physical_id, now_ms) };
    let Some(actual) = actual else {
        drift.expected = Some(Value::from(expected.clone()).to_string());
        return drift;
    };
    let (mut wanted, mut found) = (Map::new(), Map::new());
    for (name, value) in expected {
        // What a reference stands for is nobody's to read here.
        if !actual.contains_key(name) || value.to_string().contains("{{resolve:") {
            continue;
        }
        wanted.insert(name.clone(), value.clone());
        if !actual[name].is_null() {
            found.insert(name.clone(), actual[name].clone());
        }
        differ(&format!("/{name}"), Some(value), Some(&actual[name]).filter(|v| !v.is_null()), &mut drift.differences);
    }
    drift.status = if drift.differences.is_empty() { "IN_SYNC" } else { "MODIFIED" }.to_owned();
    drift.expected = Some(Value::from(wanted).to_string());
    drift.actual = Some(Value::from(found).to_string());
    drift
}

/// A resource of a type that cannot be read back.
pub fn unchecked(kind: &str, physical_id: &str, now_ms: u64) -> ResourceDrift {
    ResourceDrift {
        status: "NOT_CHECKED".to_owned(),
        physical_id: physical_id.to_owned(),
        kind: kind.to_owned(),
        expected: None,
        actual: None,
        differences: Vec::new(),
        checked_ms: now_ms,
    }
}

/// Numbers and booleans are the same as texts that say them, as everywhere in templates.
fn is_same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Object(one), Value::Object(other)) => {
            one.len() == other.len()
                && one.iter().all(|(name, value)| other.get(name).is_some_and(|other| is_same(value, other)))
        }
        (Value::Array(one), Value::Array(other)) => one.len() == other.len() && unmatched(one, other).is_empty(),
        (Value::Object(_) | Value::Array(_), _) | (_, Value::Object(_) | Value::Array(_)) => false,
        (one, other) => text(one) == text(other),
    }
}

/// Where members of a list stand that another one has not; the order does not count.
fn unmatched(one: &[Value], other: &[Value]) -> Vec<usize> {
    let mut left: Vec<&Value> = other.iter().collect();
    let mut missing = Vec::new();
    for (at, value) in one.iter().enumerate() {
        match left.iter().position(|other| is_same(value, other)) {
            Some(found) => drop(left.swap_remove(found)),
            None => missing.push(at),
        }
    }
    missing
}

fn differ(path: &str, expected: Option<&Value>, actual: Option<&Value>, found: &mut Vec<Difference>) {
    let shown = |value: Option<&Value>| value.map_or_else(|| "null".to_owned(), text);
    let mut put = |path: String, kind: &str, expected: Option<&Value>, actual: Option<&Value>| {
        found.push(Difference {
            property_path: path,
            expected_value: shown(expected),
            actual_value: shown(actual),
            difference_type: kind.to_owned(),
        });
    };
    match (expected, actual) {
        (None, None) => {}
        (Some(_), None) => put(path.to_owned(), "REMOVE", expected, None),
        (None, Some(_)) => put(path.to_owned(), "ADD", None, actual),
        (Some(Value::Object(wanted)), Some(Value::Object(there))) => {
            for (name, value) in wanted {
                differ(&format!("{path}/{name}"), Some(value), there.get(name), found);
            }
            for (name, value) in there.iter().filter(|(name, _)| !wanted.contains_key(*name)) {
                differ(&format!("{path}/{name}"), None, Some(value), found);
            }
        }
        (Some(Value::Array(wanted)), Some(Value::Array(there))) => {
            for at in unmatched(wanted, there) {
                put(format!("{path}/{at}"), "REMOVE", Some(&wanted[at]), None);
            }
            for at in unmatched(there, wanted) {
                put(format!("{path}/{at}"), "ADD", None, Some(&there[at]));
            }
        }
        (Some(wanted), Some(there)) if is_same(wanted, there) => {}
        (Some(_), Some(_)) => put(path.to_owned(), "NOT_EQUAL", expected, actual),
    }
}

/// As DescribeStackResourceDrifts shows it.
pub fn shown(stack_arn: &str, logical_id: &str, drift: &ResourceDrift) -> Value {
    json!({
        "StackId": stack_arn,
        "LogicalResourceId": logical_id,
        "PhysicalResourceId": drift.physical_id,
        "ResourceType": drift.kind,
        "ExpectedProperties": drift.expected,
        "ActualProperties": drift.actual,
        "PropertyDifferences": drift.differences,
        "StackResourceDriftStatus": drift.status,
        "Timestamp": cumulet_base::clock::iso_ms(drift.checked_ms),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn differences_by_their_paths() {
        let expected = json!({
            "Same": 5, "Timeout": "3", "Tags": [{"Key": "a", "Value": "b"}, {"Key": "c", "Value": "d"}],
            "Environment": {"Variables": {"A": "1", "B": "2"}}, "Gone": "x", "Code": "unread",
            "Secret": "{{resolve:ssm-secure:p}}",
        });
        let actual = json!({
            "Same": "5", "Timeout": 4, "Tags": [{"Key": "c", "Value": "d"}, {"Key": "e", "Value": "f"}],
            "Environment": {"Variables": {"A": "1", "C": "3"}}, "Gone": null, "Unasked": 1, "Secret": "s",
        });
        let drift = compared("T", "id", expected.as_object().unwrap(), Some(actual.as_object().unwrap()), 1);
        let told: Vec<String> = drift
            .differences
            .iter()
            .map(|d| format!("{} {} {} {}", d.difference_type, d.property_path, d.expected_value, d.actual_value))
            .collect();
        assert_eq!(
            told,
            [
                "NOT_EQUAL /Timeout 3 4",
                r#"REMOVE /Tags/0 {"Key":"a","Value":"b"} null"#,
                r#"ADD /Tags/1 null {"Key":"e","Value":"f"}"#,
                "REMOVE /Environment/Variables/B 2 null",
                "ADD /Environment/Variables/C null 3",
                "REMOVE /Gone x null",
            ]
        );
        assert!(drift.status == "MODIFIED" && !drift.expected.unwrap().contains("resolve"));
        let same = json!({"A": [1, 2]});
        let turned = json!({"A": ["2", "1"]});
        let drift = compared("T", "id", same.as_object().unwrap(), Some(turned.as_object().unwrap()), 1);
        assert_eq!(drift.status, "IN_SYNC");
        assert_eq!(compared("T", "id", same.as_object().unwrap(), None, 1).status, "DELETED");
    }
}
