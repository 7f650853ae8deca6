//! Parameters of a template and the values they are given
//! (<https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/parameters-section-structure.html>). That what a
//! parameter of a type such as `AWS::EC2::Image::Id` names is there is not checked: there are no such services here.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::pattern::Pattern;
use crate::errors::Error;

#[derive(Clone, Debug, PartialEq)]
pub struct Parameter {
    pub kind: String,
    pub default: Option<String>,
    pub description: Option<String>,
    pub is_secret: bool,
    pattern: Option<Pattern>,
    constraints: Map<String, Value>,
}

/// The type of the members of a list.
fn listed(kind: &str) -> Option<&str> {
    kind.strip_prefix("List<")?.strip_suffix('>')
}

/// The type of the value that a parameter of the parameter store has.
fn looked_up(kind: &str) -> Option<&str> {
    kind.strip_prefix("AWS::SSM::Parameter::Value<")?.strip_suffix('>')
}

/// A parameter as a request gives it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Given {
    pub parameter_key: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parameter_value: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub use_previous_value: Option<Value>,
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
        _ => None,
    }
}

impl Parameter {
    pub fn from_value(name: &str, value: &Value) -> Result<Parameter, Error> {
        let kind = value.get("Type").and_then(Value::as_str).ok_or_else(|| {
            Error::Template(format!("[/Parameters/{name}] Every Parameters object must contain a Type member."))
        })?;
        let is_known = |kind: &str| {
            matches!(kind, "String" | "Number" | "CommaDelimitedList")
                || (kind.starts_with("AWS::") && !kind.contains('<') && kind.split("::").count() >= 3)
        };
        let inner = listed(kind).or_else(|| looked_up(kind)).unwrap_or(kind);
        if !is_known(listed(inner).unwrap_or(inner)) {
            return Err(Error::Template(format!("Unrecognized parameter type: {kind} (parameter {name})")));
        }
        let pattern = match value.get("AllowedPattern").and_then(scalar) {
            None => None,
            Some(text) => match Pattern::parse(&text) {
                Some(pattern) => Some(pattern),
                None => return Err(Error::NotBuilt(format!("AllowedPattern {text} of parameter {name}"))),
            },
        };
        Ok(Parameter {
            pattern,
            kind: kind.to_owned(),
            default: value.get("Default").and_then(scalar),
            description: value.get("Description").and_then(scalar),
            is_secret: value.get("NoEcho").is_some_and(is_true),
            constraints: value.as_object().cloned().unwrap_or_default(),
        })
    }

    /// Whether the text is the name of a parameter of the parameter store, whose value is meant.
    pub fn is_looked_up(&self) -> bool {
        looked_up(&self.kind).is_some()
    }

    pub fn allowed_values(&self) -> Option<&Value> {
        self.constraints.get("AllowedValues")
    }

    /// The text as a value of the parameter's type, within its constraints. Of a parameter that is looked up, the text
    /// is what was found.
    pub fn value(&self, name: &str, text: &str) -> Result<Value, Error> {
        let kind = looked_up(&self.kind).unwrap_or(&self.kind);
        let is_list = kind == "CommaDelimitedList" || listed(kind).is_some();
        let items: Vec<&str> = match is_list {
            true => text.split(',').map(str::trim).collect(),
            false => vec![text],
        };
        let broken = |what: &str| {
            let own = self.constraints.get("ConstraintDescription").and_then(scalar);
            Err(Error::Validation(match own {
                Some(own) => format!("Parameter {name} failed to satisfy constraint: {own}"),
                None => format!("Parameter '{name}' {what}"),
            }))
        };
        let number =
            |member: &str| self.constraints.get(member).and_then(scalar).and_then(|text| text.parse::<f64>().ok());
        for item in &items {
            if let Some(Value::Array(allowed)) = self.constraints.get("AllowedValues")
                && !allowed.iter().any(|a| scalar(a).as_deref() == Some(item))
            {
                let all: Vec<String> = allowed.iter().filter_map(scalar).collect();
                return broken(&format!("must be one of AllowedValues [{}]", all.join(", ")));
            }
            if let Some(pattern) = self.pattern.as_ref().filter(|_| !self.is_looked_up())
                && !pattern.is_match(item)
            {
                let shown = self.constraints.get("AllowedPattern").and_then(scalar).unwrap_or_default();
                return broken(&format!("must match pattern {shown}"));
            }
            let length = item.chars().count() as f64;
            if number("MinLength").is_some_and(|min| length < min)
                || number("MaxLength").is_some_and(|max| length > max)
            {
                return broken("has a length that is not allowed");
            }
            if self.kind.contains("Number") {
                let Ok(value) = item.parse::<f64>() else {
                    return broken("must be a number.");
                };
                if number("MinValue").is_some_and(|min| value < min)
                    || number("MaxValue").is_some_and(|max| value > max)
                {
                    return broken("is not within MinValue and MaxValue");
                }
            }
        }
        Ok(match is_list {
            true => items.into(),
            false => text.into(),
        })
    }
}

pub fn is_true(value: &Value) -> bool {
    match value {
        Value::Bool(is) => *is,
        Value::String(text) => text.eq_ignore_ascii_case("true"),
        _ => false,
    }
}

/// The texts of all parameters: those given, those a stack had before, or their defaults.
pub fn texts(
    declared: &BTreeMap<String, Parameter>,
    given: &[Given],
    previous: &BTreeMap<String, String>,
) -> Result<BTreeMap<String, String>, Error> {
    let unknown: Vec<&str> =
        given.iter().map(|g| g.parameter_key.as_str()).filter(|key| !declared.contains_key(*key)).collect();
    if !unknown.is_empty() {
        return Err(Error::Validation(format!("Parameters: [{}] do not exist in the template", unknown.join(", "))));
    }
    let mut texts = BTreeMap::new();
    let mut missing = Vec::new();
    for (name, parameter) in declared {
        let found = given.iter().find(|g| g.parameter_key == *name);
        let text = match found {
            Some(g) if g.use_previous_value.as_ref().is_some_and(is_true) => previous.get(name).cloned(),
            Some(g) => g.parameter_value.clone(),
            None => parameter.default.clone(),
        };
        match text {
            Some(text) => drop(texts.insert(name.clone(), text)),
            None => missing.push(name.as_str()),
        }
    }
    match missing.is_empty() {
        true => Ok(texts),
        false => Err(Error::Validation(format!("Parameters: [{}] must have values", missing.join(", ")))),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::json;

    use super::*;

    #[test]
    fn values_within_their_constraints() {
        let parameter = |value: Value| Parameter::from_value("P", &value).unwrap();
        let stage = parameter(json!({"Type": "String", "AllowedValues": ["a", "b"]}));
        assert_eq!(stage.value("P", "a").unwrap(), "a");
        assert!(stage.value("P", "c").is_err());
        let size = parameter(json!({"Type": "Number", "MinValue": 1, "MaxValue": "3"}));
        assert_eq!(size.value("P", "2").unwrap(), "2");
        assert!(size.value("P", "4").is_err() && size.value("P", "x").is_err());
        let list = parameter(json!({"Type": "CommaDelimitedList"}));
        assert_eq!(list.value("P", "a, b").unwrap(), json!(["a", "b"]));
        let found = parameter(json!({"Type": "AWS::SSM::Parameter::Value<List<String>>", "AllowedPattern": "/x"}));
        assert!(found.is_looked_up());
        assert_eq!(found.value("P", "a,b").unwrap(), json!(["a", "b"]));
        assert!(!parameter(json!({"Type": "List<AWS::EC2::Subnet::Id>"})).is_looked_up());
        let pattern = parameter(json!({"Type": "String", "AllowedPattern": "[a-z]+"}));
        assert!(pattern.value("P", "abc").is_ok() && pattern.value("P", "abc1").is_err());
        assert!(Parameter::from_value("P", &json!({"Type": "Text"})).is_err());
        assert!(Parameter::from_value("P", &json!({"Type": "String", "AllowedPattern": "("})).is_err());
    }

    #[test]
    fn where_values_come_from() {
        let declared = BTreeMap::from([
            ("A".to_owned(), Parameter::from_value("A", &json!({"Type": "String", "Default": 1})).unwrap()),
            ("B".to_owned(), Parameter::from_value("B", &json!({"Type": "String"})).unwrap()),
        ]);
        let given = |value: Option<&str>, previous: bool| Given {
            parameter_key: "B".into(),
            parameter_value: value.map(str::to_owned),
            use_previous_value: previous.then(|| "true".into()),
        };
        let before = BTreeMap::from([("B".to_owned(), "old".to_owned())]);
        assert_eq!(texts(&declared, &[given(Some("x"), false)], &before).unwrap()["B"], "x");
        let kept = texts(&declared, &[given(None, true)], &before).unwrap();
        assert_eq!((kept["A"].as_str(), kept["B"].as_str()), ("1", "old"));
        assert!(texts(&declared, &[], &before).is_err());
        let stranger = Given { parameter_key: "C".into(), ..Given::default() };
        assert!(texts(&declared, &[stranger], &before).is_err());
    }
}
