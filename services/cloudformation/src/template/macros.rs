//! Macros: `AWS::Include`, and functions of an account that rewrite a template or a part of it
//! (<https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/template-macros.html>). Pure: what a macro answered has
//! been asked for before and is kept with the wish by a hash of the question; who asks finds here what there is to ask.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use sha1::{Digest, Sha1};

use super::language;
use crate::errors::Error;
use crate::stack::Texts;

pub const INCLUDE: &str = "AWS::Include";
const FUNCTION: &str = "Fn::Transform";

/// A macro, and the part of the template that is its to rewrite.
#[derive(Clone, Debug, PartialEq)]
pub struct Question {
    pub name: String,
    /// As they are written.
    pub parameters: Map<String, Value>,
    pub fragment: Value,
}

impl Question {
    pub fn key(&self) -> String {
        let text = json!([self.name, self.parameters, self.fragment]).to_string();
        hex::encode(Sha1::digest(text.as_bytes()))
    }

    /// The parameters with values instead of functions.
    pub fn resolved(&self, values: &BTreeMap<String, Value>) -> Map<String, Value> {
        let resolved = |value: &Value| match value {
            Value::Array(items) => items.iter().map(|item| language::named(item, values)).collect(),
            other => language::named(other, values),
        };
        self.parameters.iter().map(|(name, value)| (name.clone(), resolved(value))).collect()
    }

    /// `None` asks for nothing to be done where there is no answer.
    fn answered(self, answers: Option<&Texts>) -> Result<Value, Stop> {
        match answers.map(|answers| answers.get(&self.key())) {
            None => Ok(self.fragment),
            Some(None) => Err(Stop::Unanswered(Box::new(self))),
            Some(Some(text)) => {
                let answer = super::parse_any(text)?;
                if self.name != INCLUDE {
                    return Ok(answer);
                }
                let (Value::Object(mut whole), Value::Object(included)) = (self.fragment, answer) else {
                    return Err(failed(INCLUDE, "what is included is no object").into());
                };
                whole.extend(included);
                Ok(whole.into())
            }
        }
    }
}

/// Why a template cannot be read yet, or at all.
#[derive(Debug)]
pub enum Stop {
    Unanswered(Box<Question>),
    Error(Error),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Stop {
        Stop::Error(error)
    }
}

pub fn failed(name: &str, why: impl std::fmt::Display) -> Error {
    Error::Validation(format!("Transform {name} failed with: {why}"))
}

/// The macros a template declares for itself as a whole, with their parameters.
pub fn declared(template: &Value) -> Vec<(String, Map<String, Value>)> {
    let one = |value: &Value| match value {
        Value::String(name) => Some((name.clone(), Map::new())),
        Value::Object(map) => {
            let parameters = map.get("Parameters").and_then(Value::as_object).cloned().unwrap_or_default();
            Some((map.get("Name")?.as_str()?.to_owned(), parameters))
        }
        _ => None,
    };
    match template.get("Transform") {
        Some(Value::Array(list)) => list.iter().filter_map(one).collect(),
        Some(value) => one(value).into_iter().collect(),
        None => Vec::new(),
    }
}

/// The template after one of the macros for all of it.
pub fn whole(
    name: &str,
    parameters: &Map<String, Value>,
    template: &Value,
    answers: Option<&Texts>,
) -> Result<Value, Stop> {
    let question = Question { name: name.to_owned(), parameters: parameters.clone(), fragment: template.clone() };
    if name == INCLUDE {
        let alone = Question { fragment: json!({}), ..question };
        let Value::Object(included) = alone.answered(answers)? else { return Ok(template.clone()) };
        let mut made = template.clone();
        for (section, value) in included {
            match (made.get_mut(&section), value) {
                (Some(Value::Object(before)), Value::Object(more)) => before.extend(more),
                (_, value) => made[section] = value,
            }
        }
        return Ok(made);
    }
    let mut made = question.answered(answers)?;
    match made.as_object_mut() {
        // What is declared stays so.
        Some(sections) => drop(sections.entry("Transform").or_insert_with(|| template["Transform"].clone())),
        None => return Err(failed(name, "it made no template of the template").into()),
    }
    Ok(made)
}

/// The template with the documents of HTTP APIs that lie in buckets (`DefinitionUri`), which are asked for as what is included.
pub fn documents(template: &Value, answers: Option<&Texts>) -> Result<Value, Stop> {
    let mut made = template.clone();
    for resource in made.get_mut("Resources").and_then(Value::as_object_mut).into_iter().flat_map(Map::values_mut) {
        if resource.get("Type").and_then(Value::as_str) != Some("AWS::Serverless::HttpApi") {
            continue;
        }
        let Some(properties) = resource.get_mut("Properties").and_then(Value::as_object_mut) else { continue };
        let Some(uri) = properties.remove("DefinitionUri") else { continue };
        let location = match (uri["Bucket"].as_str(), uri["Key"].as_str()) {
            (Some(bucket), Some(key)) => format!("s3://{bucket}/{key}").into(),
            _ => uri,
        };
        let parameters = Map::from_iter([("Location".to_owned(), location)]);
        let question = Question { name: INCLUDE.to_owned(), parameters, fragment: json!({}) };
        properties.insert("DefinitionBody".into(), question.answered(answers)?);
    }
    Ok(made)
}

/// The template after the macros for parts of it, those inside first.
pub fn parts(value: &Value, answers: Option<&Texts>) -> Result<Value, Stop> {
    match value {
        Value::Array(items) => items.iter().map(|item| parts(item, answers)).collect(),
        Value::Object(map) => {
            let mut around = Map::new();
            for (name, value) in map.iter().filter(|(name, _)| *name != FUNCTION) {
                around.insert(name.clone(), parts(value, answers)?);
            }
            let asked = map.get(FUNCTION).map_or(&[][..], |asked| match asked {
                Value::Array(list) => list.as_slice(),
                one => std::slice::from_ref(one),
            });
            let mut made = Value::Object(around);
            for one in asked {
                let Some(name) = one.get("Name").and_then(Value::as_str) else {
                    return Err(Error::Template("Fn::Transform needs a Name".into()).into());
                };
                let parameters = one.get("Parameters").and_then(Value::as_object).cloned().unwrap_or_default();
                let question = Question { name: name.to_owned(), parameters, fragment: made };
                made = question.answered(answers)?;
            }
            Ok(made)
        }
        other => Ok(other.clone()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    /// Answers one question after another, as who prepares a template does.
    fn answered(template: &Value, answer: impl Fn(&Question) -> String) -> (Value, Vec<String>) {
        let (mut answers, mut asked) = (Texts::new(), Vec::new());
        loop {
            match parts(template, Some(&answers)) {
                Ok(made) => return (made, asked),
                Err(Stop::Unanswered(question)) => {
                    asked.push(question.name.clone());
                    answers.insert(question.key(), answer(&question));
                }
                Err(Stop::Error(error)) => panic!("{error}"),
            }
        }
    }

    #[test]
    fn what_is_inside_is_asked_for_first() {
        let template = json!({"Resources": {
            "A": {"Type": "T::T::T", "Properties": {
                "Fn::Transform": {"Name": "Outer", "Parameters": {"n": 1}},
                "In": {"Fn::Transform": {"Name": INCLUDE, "Parameters": {"Location": "s3://b/k"}}, "Kept": 1},
            }},
        }});
        let (made, asked) = answered(&template, |question| match question.name.as_str() {
            INCLUDE => "{Added: !Ref A}".to_owned(),
            _ => json!({"Was": question.fragment}).to_string(),
        });
        assert_eq!(asked, [INCLUDE, "Outer"]);
        let properties = &made["Resources"]["A"]["Properties"];
        assert_eq!(*properties, json!({"Was": {"In": {"Kept": 1, "Added": {"Ref": "A"}}}}));
        let untouched = parts(&template, None).unwrap();
        assert_eq!(untouched["Resources"]["A"]["Properties"], json!({"In": {"Kept": 1}}));
    }

    #[test]
    fn documents_in_buckets() {
        let template = |uri: Value| {
            let properties = json!({"DefinitionUri": uri, "Name": "n"});
            json!({"Resources": {"A": {"Type": "AWS::Serverless::HttpApi", "Properties": properties}}})
        };
        let Err(Stop::Unanswered(question)) = documents(&template(json!("s3://b/k")), Some(&Texts::new())) else {
            panic!()
        };
        assert_eq!(question.parameters["Location"], "s3://b/k");
        let answers = Texts::from([(question.key(), "paths: {/x: {}}".to_owned())]);
        let made = documents(&template(json!({"Bucket": "b", "Key": "k"})), Some(&answers)).unwrap();
        let expected = json!({"Name": "n", "DefinitionBody": {"paths": {"/x": {}}}});
        assert_eq!(made["Resources"]["A"]["Properties"], expected);
    }

    #[test]
    fn whole_templates() {
        let template = json!({"Transform": [{"Name": INCLUDE, "Parameters": {"Location": {"Ref": "L"}}}, "Mine"],
            "Mappings": {"A": 1}, "Resources": {}});
        let declared = declared(&template);
        assert_eq!(declared.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), [INCLUDE, "Mine"]);
        let include = Question { name: INCLUDE.into(), parameters: declared[0].1.clone(), fragment: json!({}) };
        let values = BTreeMap::from([("L".to_owned(), json!("s3://b/k"))]);
        assert_eq!(include.resolved(&values)["Location"], "s3://b/k");
        let answers = Texts::from([(include.key(), "Mappings: {B: 2}\nOutputs: {}".to_owned())]);
        let made = whole(INCLUDE, &declared[0].1, &template, Some(&answers)).unwrap();
        assert_eq!((&made["Mappings"], &made["Outputs"]), (&json!({"A": 1, "B": 2}), &json!({})));
        let Err(Stop::Unanswered(question)) = whole("Mine", &Map::new(), &made, Some(&answers)) else { panic!() };
        assert_eq!(question.fragment, made);
        let answers = Texts::from([(question.key(), "{\"Resources\": {\"X\": {}}}".to_owned())]);
        let made = whole("Mine", &Map::new(), &made, Some(&answers)).unwrap();
        assert_eq!((&made["Resources"]["X"], &made["Transform"]), (&json!({}), &template["Transform"]));
    }
}
