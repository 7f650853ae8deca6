//! The transform `AWS::LanguageExtensions`, as far as it is done before a template is read: `Fn::ForEach` in resources,
//! outputs, conditions and properties
//! (<https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/intrinsic-function-reference-foreach.html>), and
//! deletion policies that refer to parameters, and names in `Ref` and `Fn::GetAtt` that are put
//! together by functions. `Fn::Length`, `Fn::ToJsonString` and defaults of `Fn::FindInMap` are among
//! the other functions. Collections may be lists, parameters that are lists, and entries of mappings.

use std::collections::BTreeMap;

use cumulet_base::limits;
use serde_json::{Map, Value};

use crate::errors::Error;

pub const NAME: &str = "AWS::LanguageExtensions";

const LOOP: &str = "Fn::ForEach::";

fn bad(why: impl Into<String>) -> Error {
    Error::Template(why.into())
}

/// What collections may refer to.
struct Known<'a> {
    parameters: &'a BTreeMap<String, Value>,
    mappings: Option<&'a Value>,
    /// What may still come to be, so that loops in loops do not fill the memory.
    left: usize,
}

/// The template without loops. `parameters` are values, by name.
pub fn expand(template: &Value, parameters: &BTreeMap<String, Value>) -> Result<Value, Error> {
    let mut known = Known { parameters, mappings: template.get("Mappings"), left: limits::TEMPLATE_NODES_MAX };
    let mut expanded = Map::new();
    for (name, section) in template.as_object().into_iter().flatten() {
        let value = match name.as_str() {
            "Resources" | "Outputs" | "Conditions" => walk(section, &BTreeMap::new(), &mut known)?,
            _ => section.clone(),
        };
        expanded.insert(name.clone(), value);
    }
    for resource in expanded.get_mut("Resources").and_then(Value::as_object_mut).into_iter().flat_map(Map::values_mut) {
        for policy in ["DeletionPolicy", "UpdateReplacePolicy"] {
            if let Some(name) = resource.get(policy).and_then(|p| p.get("Ref")).and_then(Value::as_str) {
                let value = parameters.get(name).cloned();
                resource[policy] =
                    value.ok_or_else(|| bad(format!("{policy} refers to {name}, which is no parameter")))?;
            }
        }
    }
    Ok(expanded.into())
}

fn walk(value: &Value, names: &BTreeMap<String, String>, known: &mut Known<'_>) -> Result<Value, Error> {
    known.left = known.left.checked_sub(1).ok_or_else(|| bad("Fn::ForEach makes the template too large"))?;
    Ok(match value {
        Value::String(text) => substituted(text, names).into(),
        Value::Array(items) => {
            let items: Result<Vec<Value>, Error> = items.iter().map(|item| walk(item, names, known)).collect();
            items?.into()
        }
        Value::Object(map) => {
            if let Some(Value::String(name)) = map.get("Ref").filter(|_| map.len() == 1)
                && let Some(value) = names.get(name)
            {
                return Ok(value.clone().into());
            }
            let mut walked = Map::new();
            for (key, value) in map {
                if key.starts_with(LOOP) {
                    each(key, value, names, known, &mut walked)?;
                } else {
                    walked.insert(substituted(key, names), walk(value, names, known)?);
                }
            }
            plain(walked, known).into()
        }
        other => other.clone(),
    })
}

/// `Ref` and `Fn::GetAtt` of names that are functions themselves, with the names.
fn plain(mut walked: Map<String, Value>, known: &Known<'_>) -> Map<String, Value> {
    if walked.len() != 1 {
        return walked;
    }
    if let Some(name) = walked.get_mut("Ref") {
        *name = named(name, known.parameters);
    }
    if let Some(Value::Array(parts)) = walked.get_mut("Fn::GetAtt") {
        parts.iter_mut().for_each(|part| *part = named(part, known.parameters));
    }
    walked
}

/// What a function makes of texts and parameters; as it was where it needs more than these.
pub fn named(value: &Value, parameters: &BTreeMap<String, Value>) -> Value {
    let Some((function, argument)) = value.as_object().filter(|map| map.len() == 1).and_then(|map| map.iter().next())
    else {
        return value.clone();
    };
    let text = |value: &Value| match named(value, parameters) {
        Value::String(text) => Some(text),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    };
    let made = match (function.as_str(), argument) {
        ("Ref", Value::String(name)) => parameters.get(name).and_then(&text),
        ("Fn::Sub", Value::String(pattern)) => {
            let pieces = crate::intrinsics::sub_pieces(pattern).into_iter().map(|piece| match piece {
                crate::intrinsics::Piece::Text(text) => Some(text),
                crate::intrinsics::Piece::Variable(name) => parameters.get(&name).and_then(&text),
            });
            pieces.collect()
        }
        ("Fn::Join", Value::Array(parts)) => match parts.as_slice() {
            [Value::String(between), Value::Array(items)] => {
                items.iter().map(&text).collect::<Option<Vec<String>>>().map(|items| items.join(between))
            }
            _ => None,
        },
        _ => None,
    };
    made.map_or_else(|| value.clone(), Value::from)
}

fn each(
    key: &str,
    value: &Value,
    names: &BTreeMap<String, String>,
    known: &mut Known<'_>,
    into: &mut Map<String, Value>,
) -> Result<(), Error> {
    let [Value::String(identifier), collection, Value::Object(body)] = value.as_array().map_or(&[][..], Vec::as_slice)
    else {
        return Err(bad(format!("{key} needs an identifier, a collection and an object")));
    };
    for item in items(key, collection, names, known)? {
        let mut names = names.clone();
        let letters: String = item.chars().filter(char::is_ascii_alphanumeric).collect();
        names.insert(format!("&{identifier}"), letters);
        names.insert(identifier.clone(), item);
        let Value::Object(made) = walk(&body.clone().into(), &names, known)? else {
            return Err(bad(format!("{key} makes no object")));
        };
        for (name, value) in made {
            if into.insert(name.clone(), value).is_some() {
                return Err(bad(format!("{key} makes {name} more than once")));
            }
        }
    }
    Ok(())
}

fn items(
    key: &str,
    collection: &Value,
    names: &BTreeMap<String, String>,
    known: &mut Known<'_>,
) -> Result<Vec<String>, Error> {
    let listed = match collection {
        Value::Object(map) => match map.iter().next() {
            Some((function, Value::String(name))) if function == "Ref" => known.parameters.get(name).cloned(),
            Some((function, Value::Array(path))) if function == "Fn::FindInMap" => {
                let mut found = known.mappings.cloned();
                for part in path.iter().take(3) {
                    let part = walk(part, names, known)?;
                    let part = match part.get("Ref").and_then(Value::as_str) {
                        Some(name) => known.parameters.get(name).cloned().unwrap_or_default(),
                        None => part,
                    };
                    found = found.and_then(|found| found.get(part.as_str().unwrap_or_default()).cloned());
                }
                found
            }
            _ => None,
        },
        Value::Array(items) => {
            let mut flat = Vec::new();
            for item in items {
                match walk(item, names, known)? {
                    Value::Object(map) => match map.get("Ref").and_then(Value::as_str) {
                        Some(name) => match known.parameters.get(name) {
                            Some(Value::Array(more)) => flat.extend(more.iter().cloned()),
                            Some(one) => flat.push(one.clone()),
                            None => return Err(bad(format!("{key}: {name} is no parameter"))),
                        },
                        None => {
                            return Err(bad(format!("{key} has a collection that is not known before resources are")));
                        }
                    },
                    one => flat.push(one),
                }
            }
            Some(flat.into())
        }
        _ => None,
    };
    match listed {
        Some(Value::Array(items)) => {
            Ok(items.iter().map(|item| item.as_str().map_or_else(|| item.to_string(), str::to_owned)).collect())
        }
        _ => Err(bad(format!("{key} has a collection that is not known before resources are"))),
    }
}

/// `${Name}` of loops; `&{Name}` is the same without what logical ids may not have.
fn substituted(text: &str, names: &BTreeMap<String, String>) -> String {
    let mut text = text.to_owned();
    for (name, value) in names {
        let pattern = match name.strip_prefix('&') {
            Some(name) => format!("&{{{name}}}"),
            None => format!("${{{name}}}"),
        };
        text = text.replace(&pattern, value);
    }
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::json;

    use super::*;

    #[test]
    fn loops_are_written_out() {
        let template = json!({
            "Mappings": {"M": {"a": {"b": ["x"]}}},
            "Resources": {
                "Fn::ForEach::Tables": ["Name", ["A", {"Ref": "More"}], {
                    "T${Name}": {"Type": "AWS::DynamoDB::Table", "DeletionPolicy": {"Ref": "Policy"}, "Properties": {
                        "TableName": {"Fn::Sub": "${AWS::StackName}-${Name}"}, "Of": {"Ref": "Name"}}}}],
                "Fn::ForEach::Mapped": ["M", {"Fn::FindInMap": ["M", "a", "b"]}, {"Q${M}": {"Type": "T::T::T"}}],
                "Z": {"Type": "T::T::T", "Properties": {"Fn::ForEach::P": ["K", ["a-b"], {"&{K}": "${K}"}]}}
            }
        });
        let parameters =
            BTreeMap::from([("More".to_owned(), json!(["B", "C"])), ("Policy".to_owned(), json!("Retain"))]);
        let expanded = expand(&template, &parameters).unwrap();
        let resources = expanded["Resources"].as_object().unwrap();
        let names: Vec<&String> = resources.keys().collect();
        assert_eq!(names, ["TA", "TB", "TC", "Qx", "Z"]);
        assert_eq!(resources["TB"]["Properties"], json!({"TableName": {"Fn::Sub": "${AWS::StackName}-B"}, "Of": "B"}));
        assert_eq!(resources["TB"]["DeletionPolicy"], "Retain");
        assert_eq!(resources["Z"]["Properties"], json!({"ab": "a-b"}));
        let twice = json!({"Resources": {"Fn::ForEach::X": ["N", ["a", "b"], {"T": {}}]}});
        assert!(expand(&twice, &parameters).is_err());
        let unknown = json!({"Resources": {"Fn::ForEach::X": ["N", {"Fn::GetAtt": ["A", "B"]}, {"T${N}": {}}]}});
        assert!(expand(&unknown, &parameters).is_err());
    }

    #[test]
    fn names_that_are_put_together() {
        let template = json!({
            "Resources": {"Fn::ForEach::B": ["N", ["A"], {"B${N}": {"Type": "T::T::T"}}]},
            "Outputs": {
                "Fn::ForEach::O": ["N", ["A"], {"Fn::ForEach::P": ["P", ["Arn"], {"O${N}${P}": {
                    "Value": {"Fn::GetAtt": [{"Fn::Sub": "B${N}"}, {"Ref": "P"}]}}}]}],
                "Parameter": {"Value": {"Ref": {"Fn::Join": ["", ["Par", {"Ref": "End"}]]}}},
                "Late": {"Value": {"Ref": {"Fn::Sub": "${Bucket}"}}}
            }
        });
        let expanded = expand(&template, &BTreeMap::from([("End".to_owned(), json!("am"))])).unwrap();
        let outputs = &expanded["Outputs"];
        assert_eq!(outputs["OAArn"]["Value"], json!({"Fn::GetAtt": ["BA", "Arn"]}));
        assert_eq!(outputs["Parameter"]["Value"], json!({"Ref": "Param"}));
        assert_eq!(outputs["Late"]["Value"], json!({"Ref": {"Fn::Sub": "${Bucket}"}}));
    }
}
