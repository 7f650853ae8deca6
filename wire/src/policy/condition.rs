//! Conditions of policy statements
//! (<https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html>).
//! A key that this platform does not know the value of makes the whole condition unknown: such a statement does not allow.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde_json::Value;

use crate::patterns::{arn_matches, matches};

/// What is known of a request, by condition key in lower case.
pub type Circumstances = BTreeMap<String, String>;

/// Keys whose absence from the circumstances means that the request has none, as opposed to that nobody looked.
const KNOWN: &[&str] = &[
    "aws:sourcearn",
    "aws:sourceaccount",
    "aws:sourceowner",
    "aws:sourceorgid",
    "aws:principalarn",
    "aws:principalaccount",
    "aws:principalservicename",
    "aws:principalisawsservice",
    "aws:securetransport",
    "aws:sourcevpce",
    "aws:sourcevpc",
    "aws:viaawsservice",
];

/// Notes that a key was looked for, and that the request has none.
pub fn note_absent(circumstances: &mut Circumstances, key: &str) {
    circumstances.insert(absence(key), String::new());
}

/// No key of AWS's begins so.
fn absence(key: &str) -> String {
    format!("!{key}")
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Truth {
    Yes,
    No,
    Unknown,
}

impl Truth {
    fn of(is: bool) -> Truth {
        if is { Truth::Yes } else { Truth::No }
    }
}

/// Whether all of a statement's conditions hold.
pub fn holds(condition: Option<&Value>, circumstances: &Circumstances) -> Truth {
    let Some(condition) = condition else { return Truth::Yes };
    let Some(operators) = condition.as_object() else { return Truth::Unknown };
    let mut all = Truth::Yes;
    for (operator, keys) in operators {
        let Some(keys) = keys.as_object() else { return Truth::Unknown };
        for (key, expected) in keys {
            match one(operator, &key.to_ascii_lowercase(), expected, circumstances) {
                Truth::No => return Truth::No,
                Truth::Unknown => all = Truth::Unknown,
                Truth::Yes => {}
            }
        }
    }
    all
}

fn one(operator: &str, key: &str, expected: &Value, circumstances: &Circumstances) -> Truth {
    let expected: Vec<String> = match expected {
        Value::Array(list) => list.iter().map(text).collect(),
        one => vec![text(one)],
    };
    let actual = circumstances.get(key);
    // A key nobody looked for may have any value; variables in values are not filled in.
    let is_absent = || KNOWN.contains(&key) || circumstances.contains_key(&absence(key));
    if (actual.is_none() && !is_absent()) || expected.iter().any(|value| value.contains("${")) {
        return Truth::Unknown;
    }
    // Keys of one value are a set of one, or of none.
    let (of_set, name) = match operator.split_once(':') {
        Some(("ForAnyValue", name)) => (Some(false), name),
        Some(("ForAllValues", name)) => (Some(true), name),
        _ => (None, operator),
    };
    if name == "Null" {
        let wants_absent = expected.iter().any(|value| value == "true");
        return Truth::of(actual.is_none() == wants_absent);
    }
    let (name, if_exists) = name.strip_suffix("IfExists").map_or((name, false), |name| (name, true));
    let Some(actual) = actual else {
        // Absent: negated operators hold, the others do not.
        let is_negated = name.contains("Not");
        return Truth::of(if_exists || of_set.unwrap_or(is_negated));
    };
    let Some((is_negated, compare)) = comparison(name) else { return Truth::Unknown };
    let mut any = Truth::No;
    for value in &expected {
        match compare(value, actual) {
            Some(true) => any = Truth::Yes,
            Some(false) => {}
            None => return Truth::Unknown,
        }
    }
    Truth::of((any == Truth::Yes) != is_negated)
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Expected and actual; `None` when one of them is not what the operator is for.
type Compare = fn(&str, &str) -> Option<bool>;

/// Whether the operator is a negation, and of what.
fn comparison(name: &str) -> Option<(bool, Compare)> {
    Some(match name {
        "StringEquals" => (false, |e, a| Some(e == a)),
        "StringNotEquals" => (true, |e, a| Some(e == a)),
        "StringEqualsIgnoreCase" => (false, |e, a| Some(e.eq_ignore_ascii_case(a))),
        "StringNotEqualsIgnoreCase" => (true, |e, a| Some(e.eq_ignore_ascii_case(a))),
        "StringLike" => (false, |e, a| Some(matches(e, a))),
        "StringNotLike" => (true, |e, a| Some(matches(e, a))),
        // For ARNs both operators behave alike, and compare field by field.
        "ArnLike" | "ArnEquals" => (false, |e, a| Some(arn_matches(e, a))),
        "ArnNotLike" | "ArnNotEquals" => (true, |e, a| Some(arn_matches(e, a))),
        "Bool" => (false, |e, a| Some(e.eq_ignore_ascii_case(a))),
        "NumericEquals" => (false, |e, a| numbers(e, a).map(|(e, a)| a == e)),
        "NumericNotEquals" => (true, |e, a| numbers(e, a).map(|(e, a)| a == e)),
        "NumericLessThan" => (false, |e, a| numbers(e, a).map(|(e, a)| a < e)),
        "NumericLessThanEquals" => (false, |e, a| numbers(e, a).map(|(e, a)| a <= e)),
        "NumericGreaterThan" => (false, |e, a| numbers(e, a).map(|(e, a)| a > e)),
        "NumericGreaterThanEquals" => (false, |e, a| numbers(e, a).map(|(e, a)| a >= e)),
        "IpAddress" => (false, in_range),
        "NotIpAddress" => (true, in_range),
        _ => return None,
    })
}

fn numbers(expected: &str, actual: &str) -> Option<(f64, f64)> {
    Some((expected.parse().ok()?, actual.parse().ok()?))
}

fn in_range(range: &str, address: &str) -> Option<bool> {
    let (base, length) = range.split_once('/').unwrap_or((range, ""));
    let bits = |address: IpAddr| match address {
        IpAddr::V4(v4) => (u128::from(u32::from(v4)) << 96, 32),
        IpAddr::V6(v6) => (u128::from(v6), 128),
    };
    let (base, address): (IpAddr, IpAddr) = (base.parse().ok()?, address.parse().ok()?);
    let ((base_bits, width), (bits, other)) = (bits(base), bits(address));
    let length = if length.is_empty() { width } else { length.parse().ok().filter(|length| *length <= width)? };
    let mask = if length == 0 { 0 } else { u128::MAX << (128 - length) };
    Some(width == other && base_bits & mask == bits & mask)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn operators() {
        let circumstances = Circumstances::from(
            [
                ("aws:sourcearn", "arn:aws:sns:us-east-1:0:orders"),
                ("aws:sourceip", "10.1.2.3"),
                ("s3:max-keys", "10"),
                ("aws:securetransport", "true"),
            ]
            .map(|(key, value)| (key.to_owned(), value.to_owned())),
        );
        use Truth::{No, Unknown, Yes};
        for (condition, expect) in [
            (json!({"ArnEquals": {"aws:SourceArn": "arn:aws:sns:us-east-1:0:orders"}}), Yes),
            (json!({"ArnLike": {"AWS:SourceArn": ["arn:aws:sqs:*:*:*", "arn:aws:sns:*:*:ord*"]}}), Yes),
            (json!({"StringEquals": {"aws:SourceAccount": "0"}}), No),
            (json!({"StringEqualsIfExists": {"aws:SourceAccount": "0"}}), Yes),
            (json!({"StringNotEquals": {"aws:SourceAccount": "0"}}), Yes),
            (json!({"Bool": {"aws:SecureTransport": false}}), No),
            (json!({"Bool": {"aws:SecureTransport": "true"}}), Yes),
            (json!({"Bool": {"aws:MultiFactorAuthPresent": "true"}}), Unknown),
            (json!({"IpAddress": {"aws:SourceIp": ["192.168.0.0/16", "10.0.0.0/8"]}}), Yes),
            (json!({"NotIpAddress": {"aws:SourceIp": "10.1.2.3"}}), No),
            (json!({"NumericLessThanEquals": {"s3:max-keys": 10}}), Yes),
            (json!({"NumericLessThan": {"s3:max-keys": "ten"}}), Unknown),
            (json!({"Null": {"aws:SourceAccount": "true"}}), Yes),
            (json!({"Null": {"aws:SourceArn": "true"}}), No),
            (json!({"ForAnyValue:StringLike": {"aws:SourceArn": "arn:aws:sns:*"}}), Yes),
            (json!({"StringLike": {"aws:SourceArn": "${aws:PrincipalArn}"}}), Unknown),
            (json!({"Newer": {"aws:SourceArn": "a"}}), Unknown),
            // One that does not hold decides, whatever is unknown beside it.
            (json!({"Bool": {"x:y": "true"}, "StringEquals": {"aws:SourceArn": "a"}}), No),
            (json!("odd"), Unknown),
        ] {
            assert_eq!(holds(Some(&condition), &circumstances), expect, "{condition}");
        }
        assert_eq!(holds(None, &circumstances), Yes);
    }
}
