//! What a target gets of an event: a constant, a part, or a template filled with parts
//! (<https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-transform-target-input.html>).

use std::collections::BTreeMap;

use cumulet_wire::error::ApiError;
use serde_json::Value;

use crate::errors;
use crate::model::{InputTransformer, Target};
use crate::path::Path;

/// Names every template knows.
const RESERVED: [&str; 5] = [
    "aws.events.rule-arn",
    "aws.events.rule-name",
    "aws.events.event.ingestion-time",
    "aws.events.event",
    "aws.events.event.json",
];
const PATHS_MAX: usize = 100;

/// How a target's input is made, checked and ready.
#[derive(Clone, Debug)]
pub enum Input {
    /// The event as it is.
    Whole,
    Constant(String),
    Part(Path),
    Template {
        paths: BTreeMap<String, Path>,
        pieces: Vec<Piece>,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    Text(String),
    /// A placeholder, and whether it stands within quotes.
    Value {
        name: String,
        is_quoted: bool,
    },
}

/// What is known besides the event.
pub struct About<'a> {
    pub rule_arn: &'a str,
    pub rule_name: &'a str,
    /// As the event's own time is written.
    pub ingested: &'a str,
}

impl Input {
    /// # Errors
    /// `ValidationException` with AWS's sentences.
    pub fn new(target: &Target) -> Result<Input, ApiError> {
        let given = [target.input.is_some(), target.input_path.is_some(), target.input_transformer.is_some()];
        if given.iter().filter(|is| **is).count() > 1 {
            return Err(errors::invalid(format!(
                "Only one of Input, InputPath, or InputTransformer must be provided for target {}.",
                target.id
            )));
        }
        if let Some(text) = &target.input {
            if serde_json::from_str::<serde::de::IgnoredAny>(text).is_err() {
                return Err(errors::invalid(format!("JSON syntax error in input for target {}.", target.id)));
            }
            return Ok(Input::Constant(text.clone()));
        }
        if let Some(text) = &target.input_path {
            return Ok(Input::Part(path(text, target)?));
        }
        target.input_transformer.as_ref().map_or(Ok(Input::Whole), |given| template(given, target))
    }

    /// `text` is the event as it is sent, `event` the same as a value.
    pub fn apply(&self, text: &str, event: &Value, about: &About<'_>) -> String {
        match self {
            Input::Whole => text.to_owned(),
            Input::Constant(constant) => constant.clone(),
            Input::Part(path) => path.find(event).unwrap_or_default().to_string(),
            Input::Template { paths, pieces } => {
                let mut out = String::new();
                for piece in pieces {
                    match piece {
                        Piece::Text(text) => out.push_str(text),
                        Piece::Value { name, is_quoted } => {
                            let value = value_of(name, paths, event, about);
                            write(&mut out, &value, *is_quoted);
                        }
                    }
                }
                out
            }
        }
    }
}

fn value_of(name: &str, paths: &BTreeMap<String, Path>, event: &Value, about: &About<'_>) -> Value {
    match name {
        "aws.events.rule-arn" => about.rule_arn.into(),
        "aws.events.rule-name" => about.rule_name.into(),
        "aws.events.event.ingestion-time" => about.ingested.into(),
        "aws.events.event.json" => event.clone(),
        "aws.events.event" => {
            let mut event = event.clone();
            if let Some(fields) = event.as_object_mut() {
                fields.shift_remove("detail");
            }
            event
        }
        // What the event does not have is empty.
        name => paths.get(name).and_then(|path| path.find(event)).unwrap_or_else(|| "".into()),
    }
}

/// Within quotes texts go without theirs, and so do those of lists and objects; elsewhere values are JSON.
fn write(out: &mut String, value: &Value, is_quoted: bool) {
    let json = value.to_string();
    match value {
        Value::String(_) if is_quoted => out.push_str(&json[1..json.len() - 1]),
        Value::Object(_) | Value::Array(_) if is_quoted => {
            out.extend(json.chars().filter(|c| !matches!(c, '"' | '\\')))
        }
        _ => out.push_str(&json),
    }
}

fn path(text: &str, target: &Target) -> Result<Path, ApiError> {
    Path::parse(text).ok_or_else(|| errors::invalid(format!("Invalid InputPath for target {}.", target.id)))
}

fn template(given: &InputTransformer, target: &Target) -> Result<Input, ApiError> {
    let named = given.input_paths_map.iter().flatten();
    let mut paths = BTreeMap::new();
    for (name, text) in named {
        if name.to_ascii_lowercase().starts_with("aws") {
            return Err(errors::invalid(format!("Invalid InputPathsMap key {name} for target {}.", target.id)));
        }
        paths.insert(name.clone(), path(text, target)?);
    }
    if paths.len() > PATHS_MAX {
        return Err(errors::invalid(format!("Too many entries in InputPathsMap for target {}.", target.id)));
    }
    let pieces = cut(&given.input_template);
    for piece in &pieces {
        if let Piece::Value { name, .. } = piece
            && !paths.contains_key(name)
            && !RESERVED.contains(&name.as_str())
        {
            let text = format!("InputTemplate for target {} contains invalid placeholder {name}.", target.id);
            return Err(errors::invalid(text));
        }
    }
    Ok(Input::Template { paths, pieces })
}

/// Texts and placeholders of a template. `<` that does not begin the name of one stays text.
pub fn cut(template: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut text = String::new();
    let (mut is_quoted, mut is_escaped) = (false, false);
    let mut rest = template;
    while let Some(c) = rest.chars().next() {
        let tail = &rest[c.len_utf8()..];
        let named = (c == '<' && !is_escaped).then(|| placeholder(tail)).flatten();
        if let Some((name, after)) = named {
            if !text.is_empty() {
                pieces.push(Piece::Text(std::mem::take(&mut text)));
            }
            pieces.push(Piece::Value { name: name.to_owned(), is_quoted });
            rest = after;
            continue;
        }
        if c == '"' && !is_escaped {
            is_quoted = !is_quoted;
        }
        is_escaped = c == '\\' && !is_escaped;
        text.push(c);
        rest = tail;
    }
    if !text.is_empty() {
        pieces.push(Piece::Text(text));
    }
    pieces
}

fn placeholder(text: &str) -> Option<(&str, &str)> {
    let (name, after) = text.split_once('>')?;
    let is_name = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
    is_name.then_some((name, after))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    fn target(given: Value) -> Target {
        let mut value = json!({"Id": "t", "Arn": "a"});
        value.as_object_mut().unwrap().extend(given.as_object().unwrap().clone());
        serde_json::from_value(value).unwrap()
    }

    fn check(given: Value, expect: &str) {
        let event = json!({
            "version": "0", "id": "7bf73129", "detail-type": "EC2 Instance State-change Notification",
            "resources": ["arn:x"],
            "detail": {"instance-id": "i-01", "state": "RUNNING", "count": 3, "nested": {"a": ["x", 1]}, "says": "\"hi\"\n"},
        });
        let about = About { rule_arn: "arn:rule", rule_name: "r", ingested: "2026-11-23T10:15:30Z" };
        let input = Input::new(&target(given.clone())).unwrap();
        assert_eq!(input.apply(&event.to_string(), &event, &about), expect, "{given}");
    }

    /// The examples of AWS's page, and its rules one by one.
    #[test]
    fn inputs() {
        let transformer = |template: &str| {
            json!({"InputTransformer": {
                "InputPathsMap": {
                    "instance": "$.detail.instance-id", "status": "$.detail.state", "count": "$.detail.count",
                    "nested": "$.detail.nested", "says": "$.detail.says", "none": "$.detail.none",
                },
                "InputTemplate": template,
            }})
        };
        check(json!({"Input": "{\"a\": 1}"}), "{\"a\": 1}");
        check(json!({"InputPath": "$.detail.state"}), "\"RUNNING\"");
        check(json!({"InputPath": "$.detail.nested"}), "{\"a\":[\"x\",1]}");
        check(transformer("\"instance <instance> is in <status>\""), "\"instance i-01 is in RUNNING\"");
        check(
            transformer("{\"instance\" : <instance>, \"n\": <count>, \"o\": <nested>}"),
            "{\"instance\" : \"i-01\", \"n\": 3, \"o\": {\"a\":[\"x\",1]}}",
        );
        check(transformer("{\"s\": \"<count> is \\\"<status>\\\"\"}"), "{\"s\": \"3 is \\\"RUNNING\\\"\"}");
        check(transformer("\"<nested>\""), "\"{a:[x,1]}\"");
        check(transformer("{\"says\": \"<says>\"}"), "{\"says\": \"\\\"hi\\\"\\n\"}");
        check(transformer("{\"a\": <none>, \"b\": \"<none>\"}"), "{\"a\": \"\", \"b\": \"\"}");
        check(transformer("\"a < b <aws.events.rule-name>\""), "\"a < b r\"");
        check(
            transformer("[<aws.events.rule-arn>, <aws.events.event.ingestion-time>]"),
            "[\"arn:rule\", \"2026-11-23T10:15:30Z\"]",
        );
        check(
            json!({"InputTransformer": {"InputTemplate": "<aws.events.event>"}}),
            "{\"version\":\"0\",\"id\":\"7bf73129\",\"detail-type\":\"EC2 Instance State-change Notification\",\"resources\":[\"arn:x\"]}",
        );
    }

    #[test]
    fn refused() {
        for bad in [
            json!({"Input": "{"}),
            json!({"Input": "1", "InputPath": "$"}),
            json!({"InputPath": "detail"}),
            json!({"InputTransformer": {"InputTemplate": "<x>"}}),
            json!({"InputTransformer": {"InputPathsMap": {"x": "y"}, "InputTemplate": "<x>"}}),
            json!({"InputTransformer": {"InputPathsMap": {"AWS.x": "$"}, "InputTemplate": "\"\""}}),
        ] {
            assert_eq!(Input::new(&target(bad.clone())).unwrap_err().code, "ValidationException", "{bad}");
        }
    }
}
