//! YAML to JSON values, with CloudFormation's short tags (`!Ref`, `!Sub`, `!GetAtt` …) written out as their long forms.
//! Bounded in depth and in nodes, aliases counted as often as they stand. Merge keys are refused, as AWS refuses them.

use std::collections::HashMap;

use cumulet_base::limits;
use saphyr_parser::{Event, Parser, ScalarStyle, Tag};
use serde_json::{Map, Value, json};

struct Open {
    is_map: bool,
    items: Vec<Value>,
    map: Map<String, Value>,
    key: Option<String>,
    anchor: usize,
    tag: Option<String>,
}

/// Parses one document. Errors are sentences.
pub fn parse(text: &str) -> Result<Value, String> {
    let mut open: Vec<Open> = Vec::new();
    let mut anchors: HashMap<usize, (Value, usize)> = HashMap::new();
    let mut nodes = 0_usize;
    let mut document = None;
    for event in Parser::new_from_str(text) {
        let (event, _) = event.map_err(|e| e.to_string())?;
        let finished = match event {
            Event::Scalar(text, style, anchor, tag) => {
                let tag = short(tag.as_deref())?;
                let value = match (&tag, style) {
                    (None, ScalarStyle::Plain) => plain(&text),
                    _ => Value::String(text.into_owned()),
                };
                nodes += 1;
                Some((long(tag, value)?, anchor))
            }
            Event::Alias(anchor) => {
                let (value, size) = anchors.get(&anchor).ok_or("an alias stands before its anchor is complete")?;
                nodes += size;
                if nodes > limits::TEMPLATE_NODES_MAX {
                    return Err("the template has too many nodes".into());
                }
                Some((value.clone(), 0))
            }
            Event::SequenceStart(anchor, tag) => {
                open.push(started(false, anchor, tag.as_deref())?);
                nodes += 1;
                None
            }
            Event::MappingStart(anchor, tag) => {
                open.push(started(true, anchor, tag.as_deref())?);
                nodes += 1;
                None
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let done = open.pop().ok_or("unbalanced document")?;
                let value = match done.is_map {
                    true => Value::Object(done.map),
                    false => Value::Array(done.items),
                };
                Some((long(done.tag, value)?, done.anchor))
            }
            Event::DocumentStart(_) if document.is_some() => {
                return Err("there is more than one document".into());
            }
            _ => None,
        };
        if nodes > limits::TEMPLATE_NODES_MAX {
            return Err("the template has too many nodes".into());
        }
        if open.len() > limits::TEMPLATE_DEPTH_MAX {
            return Err("the template is nested too deeply".into());
        }
        let Some((value, anchor)) = finished else {
            continue;
        };
        if anchor > 0 {
            anchors.insert(anchor, (value.clone(), size(&value)));
        }
        match open.last_mut() {
            None => document = Some(value),
            Some(parent) if !parent.is_map => parent.items.push(value),
            Some(parent) => match parent.key.take() {
                None => parent.key = Some(key(value)?),
                Some(key) => {
                    if parent.map.contains_key(&key) {
                        return Err(format!("the key `{key}` stands twice"));
                    }
                    parent.map.insert(key, value);
                }
            },
        }
    }
    document.ok_or_else(|| "the document is empty".into())
}

fn started(is_map: bool, anchor: usize, tag: Option<&Tag>) -> Result<Open, String> {
    Ok(Open { is_map, items: Vec::new(), map: Map::new(), key: None, anchor, tag: short(tag)? })
}

fn key(value: Value) -> Result<String, String> {
    match value {
        Value::String(text) if text == "<<" => Err("merge keys are not supported".into()),
        Value::String(text) => Ok(text),
        Value::Number(_) | Value::Bool(_) => Ok(value.to_string()),
        _ => Err("a key is neither text nor number".into()),
    }
}

fn size(value: &Value) -> usize {
    1 + match value {
        Value::Array(items) => items.iter().map(size).sum(),
        Value::Object(map) => map.values().map(size).sum(),
        _ => 0,
    }
}

/// The name of a short tag; YAML's own tags (`!!str`) are none.
fn short(tag: Option<&Tag>) -> Result<Option<String>, String> {
    match tag {
        None => Ok(None),
        Some(tag) if tag.handle == "!" => Ok(Some(tag.suffix.clone())),
        Some(tag) if tag.suffix == "str" => Ok(Some(String::new())),
        Some(_) => Ok(None),
    }
}

fn long(tag: Option<String>, value: Value) -> Result<Value, String> {
    let Some(tag) = tag.filter(|t| !t.is_empty()) else {
        return Ok(value);
    };
    Ok(match tag.as_str() {
        "Ref" | "Condition" => json!({ tag: value }),
        "GetAtt" => match value.as_str().and_then(|text| text.split_once('.')) {
            Some((resource, attribute)) => json!({ "Fn::GetAtt": [resource, attribute] }),
            None => json!({ "Fn::GetAtt": value }),
        },
        name if name.bytes().all(|b| b.is_ascii_alphanumeric()) => {
            json!({ format!("Fn::{name}"): value })
        }
        other => return Err(format!("unknown tag !{other}")),
    })
}

/// Numbers with leading zeros and dates stay text, so that account ids and policy versions survive.
fn plain(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" => return Value::Bool(true),
        "false" | "False" | "FALSE" => return Value::Bool(false),
        _ => {}
    }
    let digits = text.strip_prefix('-').unwrap_or(text);
    let is_padded = digits.len() > 1 && digits.starts_with('0') && !digits.starts_with("0.");
    if digits.starts_with(|c: char| c.is_ascii_digit()) && !is_padded {
        if let Ok(number) = text.parse::<i64>() {
            return number.into();
        }
        if digits.bytes().all(|b| b.is_ascii_digit() || b == b'.')
            && let Ok(number) = text.parse::<f64>()
        {
            return number.into();
        }
    }
    Value::String(text.to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn short_tags_become_long() {
        let text = "
a: !Ref X
b: !GetAtt F.Arn
c: !Sub '${A}-b'
d: !Join [',', [!Ref X, b]]
e: !If
  - C
  - 1
  - !Ref AWS::NoValue
f: 2012-10-17
g: 000000000000
h: '12'
i: 1.5
j: &anchor {k: yes}
l: *anchor
m: |
  line
";
        assert_eq!(
            parse(text).unwrap(),
            json!({
                "a": {"Ref": "X"}, "b": {"Fn::GetAtt": ["F", "Arn"]}, "c": {"Fn::Sub": "${A}-b"},
                "d": {"Fn::Join": [",", [{"Ref": "X"}, "b"]]},
                "e": {"Fn::If": ["C", 1, {"Ref": "AWS::NoValue"}]},
                "f": "2012-10-17", "g": "000000000000", "h": "12", "i": 1.5,
                "j": {"k": "yes"}, "l": {"k": "yes"}, "m": "line\n"
            })
        );
    }

    #[test]
    fn what_is_refused() {
        let deep = "[".repeat(500);
        let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        for i in 1..8 {
            let aliases = vec![format!("*a{}", i - 1); 10].join(", ");
            bomb.push_str(&format!("a{i}: &a{i} [{aliases}]\n"));
        }
        for bad in ["", "a: 1\na: 2", "<<: {a: 1}", "a: [", &deep, &bomb, "--- 1\n--- 2", "? [a]\n: b"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
