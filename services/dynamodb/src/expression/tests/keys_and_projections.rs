//! Key conditions and projections.

use super::*;
use crate::value::{Number, Value};

fn key(text: &str) -> Result<KeyCondition, String> {
    let names = KeyNames { hash: "a", range: Some("b") };
    key_condition(text, &mut placeholders(), names).map_err(|error| error.to_string())
}

#[test]
fn key_conditions() {
    let s = || Value::S("abc".to_owned());
    let n = |n: i64| Value::N(Number::from(n));
    let of = |range| KeyCondition { hash: s(), range };
    let cases = [
        ("a = :s", of(None)),
        (":s = #a", of(None)),
        ("(a = :s)", of(None)),
        ("a = :s AND b = :n", of(Some(RangeCondition::Equal(n(1))))),
        ("b < :n and a = :s", of(Some(RangeCondition::Less(n(1))))),
        ("(a = :s) and (:n < b)", of(Some(RangeCondition::Greater(n(1))))),
        ("a = :s and :n >= b", of(Some(RangeCondition::LessOrEqual(n(1))))),
        ("a = :s and b >= :n", of(Some(RangeCondition::GreaterOrEqual(n(1))))),
        ("a = :s and b between :n and :two", of(Some(RangeCondition::Between(n(1), n(2))))),
        ("a = :s and begins_with(b, :s)", of(Some(RangeCondition::BeginsWith(s())))),
    ];
    for (text, expect) in cases {
        assert_eq!(key(text).as_ref(), Ok(&expect), "{text}");
    }
}

#[test]
fn key_conditions_refused() {
    #[rustfmt::skip]
    let cases = [
        ("", "Invalid KeyConditionExpression: The expression can not be empty;"),
        ("a = ", "Invalid KeyConditionExpression: Syntax error; token: \"<EOF>\", near: \"=\""),
        ("hash = :s", "Invalid KeyConditionExpression: Attribute name is a reserved keyword; reserved keyword: hash"),
        ("a = :s and begins_with(b, :n)", "Invalid KeyConditionExpression: Incorrect operand type for operator or function; operator or function: begins_with, operand type: N"),
        ("a = :s and b between :two and :n", "Invalid KeyConditionExpression: The BETWEEN operator requires upper bound to be greater than or equal to lower bound; lower bound operand: AttributeValue: {N:2}, upper bound operand: AttributeValue: {N:1}"),
        ("a = :s or b = :n", "Invalid operator used in KeyConditionExpression: OR"),
        ("not a = :s", "Invalid operator used in KeyConditionExpression: NOT"),
        ("a in (:s)", "Invalid operator used in KeyConditionExpression: IN"),
        ("a <> :s", "Invalid operator used in KeyConditionExpression: <>"),
        ("a = :s and attribute_exists(b)", "Invalid operator used in KeyConditionExpression: attribute_exists"),
        ("a = :s and attribute_not_exists(b)", "Invalid operator used in KeyConditionExpression: attribute_not_exists"),
        ("a = :s and contains(b, :s)", "Invalid operator used in KeyConditionExpression: contains"),
        ("size(a) = :n", "Invalid KeyConditionExpression: KeyConditionExpressions cannot contain nested operations"),
        ("a = b", "Invalid condition in KeyConditionExpression: Multiple attribute names used in one condition"),
        ("a = :s and b between c and :n", "Invalid condition in KeyConditionExpression: Multiple attribute names used in one condition"),
        (":s = :n", "Invalid condition in KeyConditionExpression: No key attribute specified"),
        ("a = :s and :n between b and :two", "Invalid condition in KeyConditionExpression: BETWEEN operator must have the key attribute as its first operand"),
        ("a = :s and begins_with(:s, b)", "Invalid condition in KeyConditionExpression: begins_with operator must have the key attribute as its first operand"),
        ("a.x = :s", "Invalid KeyConditionExpression: KeyConditionExpressions cannot have conditions on nested attributes"),
        ("a = :s and a = :n", "Invalid KeyConditionExpression: KeyConditionExpressions must only contain one condition per key"),
        ("a = :s and b > :n and b < :two", "Invalid KeyConditionExpression: KeyConditionExpressions must only contain one condition per key"),
        ("a = :s and b = :n and c = :n", "The number of query conditions (3) exceeds the number of key attributes defined in the schema (2)"),
        ("b = :n", "Query condition missed key schema element: a"),
        ("a = :s and c = :n", "Query condition missed key schema element: b"),
        ("a > :s", "Query key condition not supported"),
        ("begins_with(a, :s) and b = :n", "Query key condition not supported"),
    ];
    for (text, expect) in cases {
        assert_eq!(key(text), Err(expect.to_owned()), "{text}");
    }
    let names = KeyNames { hash: "a", range: None };
    let error = key_condition("a = :s and b = :n", &mut placeholders(), names).unwrap_err();
    let message = "The number of query conditions (2) exceeds the number of key attributes defined in the schema (1)";
    assert_eq!(error.to_string(), message);
}

#[test]
fn projections() {
    let whole = item(json!({
        "a": {"M": {"x": {"N": "1"}, "y": {"L": [{"S": "0"}, {"M": {"z": {"S": "1"}, "w": {"S": "2"}}}, {"S": "2"}]}}},
        "b": {"S": "b"}, "[3]": {"S": "d"}, "l": {"L": [{"N": "0"}, {"N": "1"}, {"N": "2"}]},
    }));
    let cases = [
        ("b", json!({"b": {"S": "b"}})),
        ("#b, gone", json!({"b": {"S": "b"}})),
        ("#d", json!({"[3]": {"S": "d"}})),
        ("a.x", json!({"a": {"M": {"x": {"N": "1"}}}})),
        ("a.x, a.y[1].z", json!({"a": {"M": {"x": {"N": "1"}, "y": {"L": [{"M": {"z": {"S": "1"}}}]}}}})),
        ("l[2], l[0]", json!({"l": {"L": [{"N": "0"}, {"N": "2"}]}})),
        ("l[7], a.q, b.x, b[0], a[0]", json!({})),
        ("a.y[0], a.y[2]", json!({"a": {"M": {"y": {"L": [{"S": "0"}, {"S": "2"}]}}}})),
    ];
    for (text, expect) in cases {
        let read = projection(text, &mut placeholders());
        match read {
            Ok(projection) => assert_eq!(item_to_json(&projection.project(&whole)), expect, "{text}"),
            // `a.q` and `a[0]` conflict.
            Err(error) => assert!(error.to_string().contains("conflict") && text.contains("a[0]"), "{text}: {error}"),
        }
    }
}

#[test]
fn projections_refused() {
    let clash = |how: &str, one: &str, two: &str| {
        format!(
            "Two document paths {how} with each other; must remove or rewrite one of these paths; path one: {one}, path two: {two}"
        )
    };
    let cases = [
        ("", "The expression can not be empty;".to_owned()),
        ("whatever bla", "Syntax error; token: \"bla\", near: \"whatever bla\"".to_owned()),
        ("a,", "Syntax error; token: \"<EOF>\", near: \",\"".to_owned()),
        ("a = b", "Syntax error; token: \"=\", near: \"a = b\"".to_owned()),
        ("size(a)", "Syntax error; token: \"(\", near: \"size(a\"".to_owned()),
        ("a, abOrt", "Attribute name is a reserved keyword; reserved keyword: abOrt".to_owned()),
        ("#x", "An expression attribute name used in the document path is not defined; attribute name: #x".to_owned()),
        ("a, #a", clash("overlap", "[a]", "[a]")),
        ("a.b.c, a.b", clash("overlap", "[a, b, c]", "[a, b]")),
        ("a.b, a[1]", clash("conflict", "[a, b]", "[a, [1]]")),
    ];
    for (text, expect) in cases {
        let error = projection(text, &mut placeholders()).unwrap_err().to_string();
        assert_eq!(error, format!("Invalid ProjectionExpression: {expect}"), "{text}");
    }
}
