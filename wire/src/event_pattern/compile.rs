//! From JSON to a pattern, and what is wrong where it is none.

use serde_json::{Map, Value};

use super::{Field, Fields, Matcher, NUMBER_MAX, Net, PatternError, Range, Text, Wildcard};

type Result<T> = std::result::Result<T, PatternError>;

const OR: &str = "$or";
const OPERATORS: &[&str] =
    &["anything-but", "cidr", "equals-ignore-case", "exists", "numeric", "prefix", "suffix", "wildcard"];

fn refuse<T>(reason: impl Into<String>) -> Result<T> {
    Err(PatternError(reason.into()))
}

pub(super) fn root(pattern: &Value) -> Result<Fields> {
    match pattern {
        Value::Object(object) => fields(object),
        _ => refuse("Filter is not an object"),
    }
}

fn fields(object: &Map<String, Value>) -> Result<Fields> {
    if object.is_empty() {
        return refuse("Empty objects are not allowed");
    }
    let mut compiled = Fields::default();
    for (name, value) in object {
        if let Some(list) = alternatives(name, value) {
            compiled.alternatives.push(list.into_iter().map(fields).collect::<Result<_>>()?);
            continue;
        }
        let field = match value {
            Value::Object(nested) => Field::Nested(fields(nested)?),
            Value::Array(list) if list.is_empty() => return refuse("Empty arrays are not allowed"),
            Value::Array(list) => Field::Values(list.iter().map(matcher).collect::<Result<_>>()?),
            _ => return refuse(format!("\"{name}\" must be an object or an array")),
        };
        compiled.fields.push((name.clone(), field));
    }
    Ok(compiled)
}

/// `$or` is an operator over at least two patterns; anything else of the name is a field as any.
fn alternatives<'a>(name: &str, value: &'a Value) -> Option<Vec<&'a Map<String, Value>>> {
    let list = value.as_array().filter(|list| name == OR && list.len() >= 2)?;
    let objects: Vec<_> = list.iter().map(Value::as_object).collect::<Option<_>>()?;
    let is_operator = |object: &&Map<String, Value>| object.keys().any(|key| OPERATORS.contains(&key.as_str()));
    (!objects.iter().any(is_operator)).then_some(objects)
}

fn matcher(value: &Value) -> Result<Matcher> {
    match value {
        Value::Object(object) => {
            let (operator, operand) = single(object)?;
            apply(operator, operand)
        }
        Value::Array(_) => refuse("Match value must be String, number, true, false, or null"),
        leaf => Ok(Matcher::Is(leaf.clone())),
    }
}

fn single(object: &Map<String, Value>) -> Result<(&str, &Value)> {
    let mut members = object.iter();
    match (members.next(), members.next()) {
        (Some((name, value)), None) => Ok((name, value)),
        (None, _) => refuse("Empty objects are not allowed"),
        _ => refuse("Only one key allowed in match expression"),
    }
}

fn apply(operator: &str, operand: &Value) -> Result<Matcher> {
    Ok(match operator {
        "prefix" => Matcher::Prefix(affix(operator, operand)?),
        "suffix" => Matcher::Suffix(affix(operator, operand)?),
        "equals-ignore-case" => Matcher::AnyCase(text(operator, operand)?.to_lowercase()),
        "wildcard" => Matcher::Wildcard(wildcard(text(operator, operand)?)?),
        "cidr" => Matcher::Cidr(net(text(operator, operand)?)?),
        "exists" => match operand {
            Value::Bool(exists) => Matcher::Exists(*exists),
            _ => return refuse("exists match pattern must be either true or false"),
        },
        "numeric" => Matcher::Numeric(range(operand)?),
        "anything-but" => Matcher::AnythingBut(unwanted(operand)?),
        other => return refuse(format!("Unrecognized match type {other}")),
    })
}

fn text<'a>(operator: &str, operand: &'a Value) -> Result<&'a str> {
    match operand {
        Value::String(text) => Ok(text),
        _ => refuse(format!("{operator} match pattern must be a string")),
    }
}

fn affix(operator: &str, operand: &Value) -> Result<Text> {
    let Value::Object(object) = operand else { return Ok(Text::Exact(filled(operator, operand)?.to_owned())) };
    match single(object)? {
        ("equals-ignore-case", inner) => Ok(Text::AnyCase(filled(operator, inner)?.to_lowercase())),
        (other, _) => refuse(format!("Unsupported {operator} pattern: {other}")),
    }
}

fn filled<'a>(operator: &str, operand: &'a Value) -> Result<&'a str> {
    match text(operator, operand)? {
        "" => refuse(format!("Null {operator} not allowed")),
        text => Ok(text),
    }
}

/// A backslash takes the meaning off a star or a backslash.
fn wildcard(pattern: &str) -> Result<Wildcard> {
    let mut pieces = vec![String::new()];
    let mut chars = pattern.char_indices().peekable();
    while let Some((at, char)) = chars.next() {
        let literal = match char {
            '*' if chars.peek().is_some_and(|(_, next)| *next == '*') => {
                return refuse(format!("Consecutive wildcard characters at pos {at}"));
            }
            '*' => {
                pieces.push(String::new());
                continue;
            }
            '\\' => match chars.next() {
                Some((_, next @ ('*' | '\\'))) => next,
                _ => return refuse(format!("Invalid escape character at pos {at}")),
            },
            other => other,
        };
        if let Some(piece) = pieces.last_mut() {
            piece.push(literal);
        }
    }
    Ok(Wildcard(pieces))
}

fn net(text: &str) -> Result<Net> {
    let Some((address, bits)) = text.split_once('/') else { return refuse("Malformed CIDR, one '/' required") };
    let Ok(address) = address.parse::<std::net::IpAddr>() else {
        return refuse(format!("Malformed CIDR, {address} is not an IP address"));
    };
    let most = if address.is_ipv4() { 32 } else { 128 };
    match bits.parse::<u32>() {
        Ok(bits) if bits <= most => Ok(Net { address, bits }),
        _ => refuse("Malformed CIDR, mask bits must be an integer that its address has"),
    }
}

fn range(operand: &Value) -> Result<Range> {
    let Value::Array(terms) = operand else { return refuse("Value of numeric must be an array") };
    let mut range = Range::default();
    for (at, pair) in terms.chunks(2).enumerate() {
        let Some(operator) = pair[0].as_str() else {
            return refuse(format!("Invalid member in numeric match: {}", pair[0]));
        };
        let Some(number) = pair.get(1).and_then(Value::as_f64) else {
            return refuse(format!("Value of {operator} must be numeric"));
        };
        if number.abs() > NUMBER_MAX {
            return refuse(format!("Value of {operator} must be between -5.0e9 and 5.0e9, inclusive"));
        }
        match operator {
            "=" if at == 0 => range = Range { low: Some((number, true)), high: Some((number, true)) },
            ">" | ">=" if at == 0 => range.low = Some((number, operator == ">=")),
            "<" | "<=" if range.high.is_none() => range.high = Some((number, operator == "<=")),
            "=" | ">" | ">=" | "<" | "<=" => return refuse("Too many terms in numeric range expression"),
            other => return refuse(format!("Unrecognized numeric range operator: {other}")),
        }
    }
    match (range.low, range.high) {
        (None, None) => refuse("Invalid member in numeric match: the array is empty"),
        (Some((low, low_in)), Some((high, high_in))) if low > high || (low == high && !(low_in && high_in)) => {
            refuse("Bottom must be less than top")
        }
        _ => Ok(range),
    }
}

fn unwanted(operand: &Value) -> Result<Vec<Matcher>> {
    let Value::Object(object) = operand else {
        let list = match operand {
            Value::Array(list) if list.is_empty() => return refuse("Empty arrays are not allowed"),
            Value::Array(list) => list.as_slice(),
            one => std::slice::from_ref(one),
        };
        if !list.iter().all(Value::is_string) && !list.iter().all(Value::is_number) {
            return refuse("Inside anything-but, values must be all strings or all numbers");
        }
        return Ok(list.iter().cloned().map(Matcher::Is).collect());
    };
    let (operator, inner) = single(object)?;
    if !["prefix", "suffix", "equals-ignore-case", "wildcard"].contains(&operator) {
        return refuse(format!("Unsupported anything-but pattern: {operator}"));
    }
    match inner {
        Value::Array(list) if list.is_empty() => refuse("Empty arrays are not allowed"),
        Value::Array(list) => list.iter().map(|one| apply(operator, one)).collect(),
        one => Ok(vec![apply(operator, one)?]),
    }
}
