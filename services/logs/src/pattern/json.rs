//! Patterns of JSON: `{ $.user.id = 1 && ($.kind = "a*" || $.codes[0] NOT EXISTS) }`
//! (<https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/matching-terms-json-log-events.html>). A condition on what is
//! not there does not hold, but for NOT EXISTS.

use std::collections::BTreeMap;

use cumulet_wire::error::ApiError;
use serde_json::Value;

use super::expression::{Expression, Literal, Operator, Reader, Test, is_like};
use super::refused;
use super::regex::Regexes;

#[derive(Debug)]
pub struct Selector {
    /// As it was written.
    text: String,
    steps: Vec<Step>,
}

#[derive(Debug)]
enum Step {
    Name(String),
    At(usize),
    Each,
}

pub fn parse(text: &str, regexes: &mut Regexes) -> Result<Expression<Selector>, ApiError> {
    let mut reader = Reader::new(text, regexes);
    reader.expect("{")?;
    let expression = reader.expression(&selector)?;
    reader.expect("}")?;
    if !reader.rest().is_empty() {
        return Err(refused("something comes after `}`"));
    }
    let mut is_whole = true;
    // A selector alone is no condition.
    conditions(&expression, &mut |test| is_whole &= !matches!(test, Test::Nothing));
    if is_whole { Ok(expression) } else { Err(refused("a condition has no operator")) }
}

fn conditions(expression: &Expression<Selector>, visit: &mut impl FnMut(&Test)) {
    match expression {
        Expression::Any(parts) | Expression::All(parts) => parts.iter().for_each(|part| conditions(part, visit)),
        Expression::Condition(_, test) => visit(test),
    }
}

fn selector(reader: &mut Reader<'_, '_>) -> Result<Selector, ApiError> {
    let begin = reader.rest();
    reader.expect("$")?;
    let mut steps = Vec::new();
    loop {
        let rest = reader.rest();
        if let Some(tail) = rest.strip_prefix("['").or_else(|| rest.strip_prefix(".['")) {
            let end = tail.find("']").ok_or_else(|| refused("a name in brackets is not closed"))?;
            steps.push(Step::Name(tail[..end].to_owned()));
            reader.advance(rest.len() - tail.len() + end + 2);
        } else if reader.passes("[") {
            let at = reader.word(|c| c.is_ascii_digit() || c == '*');
            steps.push(match at {
                "*" => Step::Each,
                at => Step::At(at.parse().map_err(|_| refused("an index is not a number"))?),
            });
            reader.expect("]")?;
        } else if reader.passes(".") {
            let name = reader.word(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '@' | '#' | '*'));
            match name {
                "" => return Err(refused("a name is missing")),
                "*" => steps.push(Step::Each),
                name => steps.push(Step::Name(name.to_owned())),
            }
        } else {
            break;
        }
    }
    if steps.is_empty() {
        return Err(refused("a selector has no name"));
    }
    let length = begin.len() - reader.rest().len();
    Ok(Selector { text: begin[..length].trim_end().to_owned(), steps })
}

/// All that a selector leads to.
fn select<'v>(steps: &[Step], value: &'v Value, found: &mut Vec<&'v Value>) {
    let Some((step, rest)) = steps.split_first() else {
        found.push(value);
        return;
    };
    match step {
        Step::Name(name) => value.get(name.as_str()).into_iter().for_each(|inner| select(rest, inner, found)),
        Step::At(at) => value.get(at).into_iter().for_each(|inner| select(rest, inner, found)),
        Step::Each => match value {
            Value::Array(all) => all.iter().for_each(|inner| select(rest, inner, found)),
            Value::Object(all) => all.values().for_each(|inner| select(rest, inner, found)),
            _ => {}
        },
    }
}

pub fn holds(expression: &Expression<Selector>, event: &Value) -> bool {
    expression.holds(&|selector: &Selector, condition| {
        let mut found = Vec::new();
        select(&selector.steps, event, &mut found);
        match condition {
            Test::NotExists => found.is_empty(),
            condition => found.into_iter().any(|value| is_so(value, condition)),
        }
    })
}

fn is_so(value: &Value, condition: &Test) -> bool {
    match condition {
        Test::IsNull => value.is_null(),
        Test::IsTrue => value == &Value::Bool(true),
        Test::IsFalse => value == &Value::Bool(false),
        Test::NotExists | Test::Nothing => false,
        Test::Compare(operator, Literal::Number(number)) => {
            value.as_f64().is_some_and(|value| operator.between(value, *number))
        }
        Test::Compare(operator, Literal::Text(text)) => {
            let is_equal = text == "*" || scalar(value).is_some_and(|value| is_like(&value, text));
            !value.is_null() && is_equal == (*operator == Operator::Equal)
        }
        Test::Compare(operator, Literal::Regex(regex)) => {
            scalar(value).is_some_and(|value| regex.is_match(&value) == (*operator == Operator::Equal))
        }
    }
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// What each selector of the pattern leads to first.
pub fn extract(expression: &Expression<Selector>, event: &Value) -> BTreeMap<String, String> {
    let mut values = BTreeMap::new();
    expression.each(&mut |selector| {
        let mut found = Vec::new();
        select(&selector.steps, event, &mut found);
        if let Some(value) = found.first() {
            values.insert(selector.text.clone(), scalar(value).unwrap_or_else(|| value.to_string()));
        }
    });
    values
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    #[test]
    fn conditions_on_an_event() {
        let event = json!({
            "eventType": "UpdateTrail", "sourceIPAddress": "111.111.1.1", "arrayKey": ["value", "another"], "code": 404,
            "objectList": [{"name": "a", "enabled": true}, {"name": "b", "enabled": false}], "usage": 0.001, "big": 75,
            "none": null, "flag": true, "off": false, "a-b_c": {"d e": 1}, "text": "say \"hi\"",
        });
        for (pattern, expect) in [
            (r#"{ $.eventType = "UpdateTrail" }"#, true),
            ("{ $.eventType = UpdateTrail }", true),
            (r#"{ $.eventType = "updateTrail" }"#, false),
            (r#"{ $.eventType = "*Trail" }"#, true),
            (r#"{$.eventType="Up*"}"#, true),
            (r#"{ $.eventType != "UpdateTrail" }"#, false),
            ("{ $.sourceIPAddress != 123.123.* }", true),
            ("{ $.sourceIPAddress = 111.111.* }", true),
            (r#"{ $.arrayKey[0] = "value" }"#, true),
            (r#"{ $.arrayKey[1] = "value" }"#, false),
            (r#"{ $.arrayKey[*] = "another" }"#, true),
            ("{ $.arrayKey[7] NOT EXISTS }", true),
            (r#"{ $.objectList[1].name = "b" && $.objectList[0].enabled IS TRUE }"#, true),
            ("{ $.eventType = %Trail% }", true),
            ("{ $.eventType = %^Trail% }", false),
            ("{ $.eventType != %^Trail% }", true),
            ("{ $.arrayKey[0] = %^[a-z]{5}$% }", true),
            ("{ $.big > 74 }", true),
            ("{ $.big > 75 }", false),
            ("{ $.big >= 75 }", true),
            ("{ $.big < 75.5 }", true),
            ("{ $.big <= 74 }", false),
            ("{ $.big != 75 }", false),
            ("{ $.usage = 1e-3 }", true),
            ("{ $.code = 4* }", true),
            ("{ $.code = 5* }", false),
            (r#"{ $.big = "*" }"#, true),
            (r#"{ $.missing = "*" }"#, false),
            ("{ $.none IS NULL }", true),
            ("{ $.flag IS NULL }", false),
            ("{ $.missing IS NULL }", false),
            ("{ $.missing NOT EXISTS }", true),
            ("{ $.none NOT EXISTS }", false),
            (r#"{ $.missing != "x" }"#, false),
            ("{ $.flag IS TRUE }", true),
            ("{ $.off IS FALSE }", true),
            ("{ $.off IS TRUE }", false),
            ("{ $['a-b_c'].['d e'] = 1 }", true),
            ("{ $.a-b_c.missing NOT EXISTS }", true),
            (r#"{ $.text = "say \"hi\"" }"#, true),
            ("{ $.big = 1 || $.code = 404 && $.flag IS FALSE }", false),
            ("{ ($.big = 1 || $.code = 404) && $.flag IS TRUE }", true),
            ("{ (($.big = 75)) && (($.code = 1) || ($.code = 404)) }", true),
        ] {
            let parsed = parse(pattern, &mut Regexes::default()).unwrap_or_else(|e| panic!("{pattern}: {e}"));
            assert_eq!(holds(&parsed, &event), expect, "{pattern}");
        }
    }

    #[test]
    fn what_is_no_pattern() {
        for pattern in [
            "{",
            "{}",
            "{ $.a }",
            "{ $.a = }",
            "{ $.a = 1",
            "{ $ = 1 }",
            "{ a = 1 }",
            "{ $.a > b }",
            "{ $.a IS NOT }",
            "{ $.a EXISTS }",
            "{ $.a IS MAYBE }",
            "{ ($.a = 1 }",
            "{ $.a = 1 } x",
            "{ $.a = 1 && }",
            "{ $.a[x] = 1 }",
            "{ $.a = \"open }",
            "{ $..a = 1 }",
            "{ $.a = 1 $.b = 2 }",
        ] {
            assert!(parse(pattern, &mut Regexes::default()).is_err(), "{pattern}");
        }
        let deep = format!("{{ {}$.a = 1{} }}", "(".repeat(5000), ")".repeat(5000));
        assert!(parse(&deep, &mut Regexes::default()).is_err());
    }

    #[test]
    fn values_of_selectors() {
        let pattern = parse(r#"{ $.user.name = "b*" && $.n > 1 && $.x NOT EXISTS }"#, &mut Regexes::default()).unwrap();
        let values = extract(&pattern, &json!({"user": {"name": "bob"}, "n": 2}));
        assert_eq!(json!(values), json!({"$.user.name": "bob", "$.n": "2"}));
    }
}
