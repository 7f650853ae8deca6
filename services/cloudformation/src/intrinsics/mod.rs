//! Intrinsic functions, pseudo parameters and conditions
//! (<https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/intrinsic-function-reference.html>). Pure.
//! Dynamic references stay as they are here: what they refer to is asked for when a resource is made ([`crate::dynamic`]).
//! Loops are written out before ([`crate::template::language`]). Macros ([`crate::template::macros`]) have answered before,
//! and what is left of `Fn::Transform` is refused by name.

mod cidr;

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use crate::errors::Error;
use crate::template::{Template, get_att};

/// What `AWS::…` stands for.
#[derive(Clone, Debug, Default)]
pub struct Pseudo {
    pub account: String,
    pub region: String,
    pub stack_id: String,
    pub stack_name: String,
    pub url_suffix: String,
    pub topics: Vec<String>,
}

/// What is known of a resource: its `Ref` and its attributes.
pub type Lookup<'a> = &'a (dyn Fn(&str, Option<&str>) -> Result<Value, Error> + Sync);

pub struct Scope<'a> {
    pub template: &'a Template,
    /// Parameters by name, as values of their types.
    pub parameters: &'a BTreeMap<String, Value>,
    pub pseudo: &'a Pseudo,
    pub conditions: &'a BTreeMap<String, bool>,
    /// Values that other stacks export, by the names of the exports.
    pub exports: &'a BTreeMap<String, String>,
    /// `Ref` (without an attribute) and `Fn::GetAtt` of resources.
    pub resources: Lookup<'a>,
}

#[derive(Debug, PartialEq, Eq)]
pub enum Piece {
    Text(String),
    Variable(String),
}

/// The pieces of a `Fn::Sub` text; `${!x}` is the text `${x}`.
pub fn sub_pieces(text: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut plain = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        plain.push_str(&rest[..at]);
        let Some(end) = rest[at..].find('}') else {
            break;
        };
        let name = &rest[at + 2..at + end];
        match name.strip_prefix('!') {
            Some(literal) => {
                plain.push_str(&format!("${{{literal}}}"));
            }
            None => {
                if !plain.is_empty() {
                    pieces.push(Piece::Text(std::mem::take(&mut plain)));
                }
                pieces.push(Piece::Variable(name.trim().to_owned()));
            }
        }
        rest = &rest[at + end + 1..];
    }
    plain.push_str(rest);
    if !plain.is_empty() {
        pieces.push(Piece::Text(plain));
    }
    pieces
}

/// Stands around the names of what a resource will only have once it is made.
pub const UNKNOWN: char = '\u{1}';

fn bad(why: impl Into<String>) -> Error {
    Error::Template(why.into())
}

fn text_of(value: &Value, function: &str) -> Result<String, Error> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Number(_) | Value::Bool(_) => Ok(value.to_string()),
        _ => Err(bad(format!("{function} needs texts"))),
    }
}

impl Scope<'_> {
    /// The value with every function carried out; `None` is `AWS::NoValue`.
    pub fn resolve(&self, value: &Value) -> Result<Option<Value>, Error> {
        match value {
            Value::Array(items) => {
                let mut resolved = Vec::with_capacity(items.len());
                for item in items {
                    resolved.extend(self.resolve(item)?);
                }
                Ok(Some(Value::Array(resolved)))
            }
            Value::Object(map) => {
                if let Some((name, argument)) = only(map)
                    && (name == "Ref" || name == "Condition" || name.starts_with("Fn::"))
                {
                    // `Condition` is also an ordinary member, as in the statements of a policy.
                    if name == "Condition" && !argument.is_string() {
                        return self.members(map);
                    }
                    return self.function(name, argument);
                }
                self.members(map)
            }
            other => Ok(Some(other.clone())),
        }
    }

    fn members(&self, map: &Map<String, Value>) -> Result<Option<Value>, Error> {
        let mut resolved = Map::with_capacity(map.len());
        for (name, value) in map {
            if let Some(value) = self.resolve(value)? {
                resolved.insert(name.clone(), value);
            }
        }
        Ok(Some(Value::Object(resolved)))
    }

    /// The value, which must not be `AWS::NoValue`.
    fn must(&self, value: &Value) -> Result<Value, Error> {
        self.resolve(value)?.ok_or_else(|| bad("AWS::NoValue stands where a value is needed"))
    }

    fn text(&self, value: &Value, function: &str) -> Result<String, Error> {
        text_of(&self.must(value)?, function)
    }

    fn list(&self, value: &Value, function: &str) -> Result<Vec<Value>, Error> {
        match self.must(value)? {
            Value::Array(items) => Ok(items),
            _ => Err(bad(format!("{function} needs a list"))),
        }
    }

    fn function(&self, name: &str, argument: &Value) -> Result<Option<Value>, Error> {
        let parts = |count: usize| match argument.as_array() {
            Some(parts) if parts.len() == count => Ok(parts.as_slice()),
            _ => Err(bad(format!("{name} needs a list of {count}"))),
        };
        let value: Value = match name {
            "Ref" => {
                let name = argument.as_str().ok_or_else(|| bad("Ref needs a name"))?;
                return self.reference(name);
            }
            "Fn::GetAtt" => {
                let (resource, attribute) = match argument.as_array().map(Vec::as_slice) {
                    Some([Value::String(resource), attribute]) if !attribute.is_string() => {
                        (resource.clone(), self.text(attribute, name)?)
                    }
                    _ => get_att(argument).ok_or_else(|| bad("Fn::GetAtt needs a resource and an attribute"))?,
                };
                self.attribute(&resource, &attribute)?
            }
            "Fn::Sub" => self.sub(argument)?.into(),
            "Fn::Join" => {
                let parts = parts(2)?;
                let separator = self.text(&parts[0], name)?;
                let items: Result<Vec<String>, Error> =
                    self.list(&parts[1], name)?.iter().map(|item| text_of(item, name)).collect();
                items?.join(&separator).into()
            }
            "Fn::Split" => {
                let parts = parts(2)?;
                let separator = self.text(&parts[0], name)?;
                let text = self.text(&parts[1], name)?;
                if separator.is_empty() {
                    return Err(bad("Fn::Split needs a separator"));
                }
                // What is not known yet is not cut: its parts are as unknown as the whole.
                match text.contains(UNKNOWN) {
                    true => vec![text].into(),
                    false => text.split(&separator).collect::<Vec<_>>().into(),
                }
            }
            "Fn::Select" => {
                let parts = parts(2)?;
                let index = self.text(&parts[0], name)?;
                let list = self.list(&parts[1], name)?;
                let unknown = || list.iter().find(|item| item.as_str().is_some_and(|text| text.contains(UNKNOWN)));
                let index_of = index.parse::<usize>().ok();
                let found = index_of.and_then(|index| list.get(index).or_else(unknown).cloned());
                found.ok_or_else(|| bad("Fn::Select cannot select nonexistent value at index ".to_owned() + &index))?
            }
            "Fn::Base64" => STANDARD.encode(self.text(argument, name)?).into(),
            "Fn::FindInMap" => return self.find_in_map(argument),
            "Fn::ImportValue" => {
                let export = self.text(argument, name)?;
                let found = self.exports.get(&export).cloned();
                found.ok_or_else(|| Error::Validation(format!("No export named {export} found.")))?.into()
            }
            "Fn::GetAZs" => {
                let region = self.text(argument, name)?;
                let region = if region.is_empty() { self.pseudo.region.clone() } else { region };
                ["a", "b", "c"].iter().map(|zone| format!("{region}{zone}")).collect::<Vec<_>>().into()
            }
            "Fn::Cidr" => {
                let parts = argument.as_array().map_or(&[][..], Vec::as_slice);
                let (block, count, bits) = match parts {
                    [block, count] => (block, count, &Value::from(8)),
                    [block, count, bits] => (block, count, bits),
                    _ => return Err(bad("Fn::Cidr needs a block, a count and the bits of each")),
                };
                let number = |value: &Value| self.text(value, name).map(|text| text.parse::<u32>().unwrap_or(0));
                let (block, count, bits) = (self.text(block, name)?, number(count)?, number(bits)?);
                cidr::cut(&block, count, bits)
                    .ok_or_else(|| bad(format!("Fn::Cidr cannot cut {count} blocks of {bits} bits from {block}")))?
                    .into()
            }
            "Fn::Length" => self.list(argument, name)?.len().into(),
            "Fn::ToJsonString" => self.must(argument)?.to_string().into(),
            "Fn::If" => {
                let parts = parts(3)?;
                let condition = parts[0].as_str().unwrap_or_default();
                let branch = match self.condition(condition)? {
                    true => &parts[1],
                    false => &parts[2],
                };
                return self.resolve(branch);
            }
            "Condition"
            | "Fn::Equals"
            | "Fn::And"
            | "Fn::Or"
            | "Fn::Not"
            | "Fn::Contains"
            | "Fn::EachMemberEquals"
            | "Fn::EachMemberIn" => self.truth(name, argument)?.into(),
            other => return Err(Error::NotBuilt(format!("function {other}"))),
        };
        Ok(Some(value))
    }

    /// A last member `DefaultValue` is what stands for a key that is not there.
    fn find_in_map(&self, argument: &Value) -> Result<Option<Value>, Error> {
        let name = "Fn::FindInMap";
        let (path, default) = match argument.as_array().map_or(&[][..], Vec::as_slice) {
            [a, b, c] => ([a, b, c], None),
            [a, b, c, last] if last.get("DefaultValue").is_some() => ([a, b, c], last.get("DefaultValue")),
            _ => return Err(bad("Fn::FindInMap needs a list of 3")),
        };
        let mut found = Some(Value::Object(self.template.mappings.clone()));
        for part in path {
            let key = self.text(part, name)?;
            found = found.and_then(|found| found.get(&key).cloned());
        }
        match (found, default) {
            (Some(found), _) => self.resolve(&found),
            (None, Some(default)) => self.resolve(default),
            (None, None) => Err(bad(format!("Unable to get mapping for {argument}"))),
        }
    }

    fn condition(&self, name: &str) -> Result<bool, Error> {
        self.conditions.get(name).copied().ok_or_else(|| bad(format!("Unresolved condition {name}")))
    }

    fn truth(&self, name: &str, argument: &Value) -> Result<bool, Error> {
        if name == "Condition" {
            return self.condition(argument.as_str().unwrap_or_default());
        }
        let parts = argument.as_array().ok_or_else(|| bad(format!("{name} needs a list")))?;
        let of = |value: &Value| match self.must(value)? {
            Value::Bool(is) => Ok(is),
            Value::String(text) if text == "true" || text == "false" => Ok(text == "true"),
            _ => Err(bad(format!("{name} needs conditions"))),
        };
        match (name, parts.as_slice()) {
            ("Fn::Equals", [a, b]) => {
                let (a, b) = (self.must(a)?, self.must(b)?);
                let same_text = match (text_of(&a, name), text_of(&b, name)) {
                    (Ok(a), Ok(b)) => a == b,
                    _ => false,
                };
                Ok(a == b || same_text)
            }
            ("Fn::Contains" | "Fn::EachMemberEquals", [list, one]) => {
                let (list, one) = (self.list(list, name)?, self.text(one, name)?);
                let is_one = |item: &Value| text_of(item, name).is_ok_and(|text| text == one);
                Ok(if name == "Fn::Contains" { list.iter().any(is_one) } else { list.iter().all(is_one) })
            }
            ("Fn::EachMemberIn", [list, among]) => {
                let among = self.list(among, name)?;
                Ok(self.list(list, name)?.iter().all(|item| among.contains(item)))
            }
            ("Fn::Not", [a]) => Ok(!of(a)?),
            ("Fn::And", all) => all.iter().try_fold(true, |sum, a| Ok(of(a)? && sum)),
            ("Fn::Or", all) => all.iter().try_fold(false, |sum, a| Ok(of(a)? || sum)),
            _ => Err(bad(format!("{name} has the wrong number of arguments"))),
        }
    }

    fn reference(&self, name: &str) -> Result<Option<Value>, Error> {
        let pseudo = self.pseudo;
        let text = |text: &str| Ok(Some(Value::from(text)));
        match name {
            "AWS::NoValue" => Ok(None),
            "AWS::AccountId" => text(&pseudo.account),
            "AWS::Region" => text(&pseudo.region),
            "AWS::Partition" => text("aws"),
            "AWS::StackId" => text(&pseudo.stack_id),
            "AWS::StackName" => text(&pseudo.stack_name),
            "AWS::URLSuffix" => text(&pseudo.url_suffix),
            "AWS::NotificationARNs" => Ok(Some(self.pseudo.topics.iter().cloned().collect())),
            _ => match self.parameters.get(name) {
                Some(value) => Ok(Some(value.clone())),
                None => self.of_resource(name, None).map(Some),
            },
        }
    }

    fn attribute(&self, resource: &str, attribute: &str) -> Result<Value, Error> {
        self.of_resource(resource, Some(attribute))
    }

    fn of_resource(&self, resource: &str, attribute: Option<&str>) -> Result<Value, Error> {
        if self.template.resource(resource).is_none() {
            return Err(bad(format!("Unresolved resource dependencies [{resource}] in the template")));
        }
        (self.resources)(resource, attribute)
    }

    fn sub(&self, argument: &Value) -> Result<String, Error> {
        let (text, own) = match argument {
            Value::String(text) => (text, None),
            Value::Array(parts) => match parts.as_slice() {
                [Value::String(text), own @ Value::Object(_)] => (text, Some(own)),
                _ => return Err(bad("Fn::Sub needs a text and a map")),
            },
            _ => return Err(bad("Fn::Sub needs a text")),
        };
        let mut out = String::new();
        for piece in sub_pieces(text) {
            let name = match piece {
                Piece::Text(text) => {
                    out.push_str(&text);
                    continue;
                }
                Piece::Variable(name) => name,
            };
            let value = if let Some(value) = own.and_then(|own| own.get(&name)) {
                self.must(value)?
            } else if let Some((resource, attribute)) = name.split_once('.') {
                self.attribute(resource, attribute)?
            } else {
                self.reference(&name)?.ok_or_else(|| bad("AWS::NoValue cannot be substituted"))?
            };
            out.push_str(&text_of(&value, "Fn::Sub")?);
        }
        Ok(out)
    }
}

fn only(map: &Map<String, Value>) -> Option<(&str, &Value)> {
    match map.len() {
        1 => map.iter().next().map(|(name, value)| (name.as_str(), value)),
        _ => None,
    }
}

/// The truth of every condition. One that depends on itself is an error.
pub fn conditions(
    template: &Template,
    parameters: &BTreeMap<String, Value>,
    pseudo: &Pseudo,
) -> Result<BTreeMap<String, bool>, Error> {
    let mut known = BTreeMap::new();
    let no_exports = BTreeMap::new();
    let no_resources =
        |_: &str, _: Option<&str>| -> Result<Value, Error> { Err(bad("a condition refers to a resource")) };
    let mut left: Vec<&String> = template.conditions.keys().collect();
    while !left.is_empty() {
        let before = left.len();
        let mut last = None;
        let mut still = Vec::new();
        for name in left {
            let scope = Scope {
                template,
                parameters,
                pseudo,
                conditions: &known,
                exports: &no_exports,
                resources: &no_resources,
            };
            match scope.resolve(&template.conditions[name]) {
                Ok(Some(Value::Bool(is))) => drop(known.insert(name.clone(), is)),
                Ok(_) => return Err(bad(format!("Condition {name} is not a condition"))),
                Err(error) => {
                    last = Some(error);
                    still.push(name);
                }
            }
        }
        left = still;
        if left.len() == before {
            return Err(last.unwrap_or_else(|| bad("Circular dependency between conditions")));
        }
    }
    Ok(known)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::json;

    use super::*;

    fn resolved(value: &Value) -> Result<Option<Value>, Error> {
        let template = Template::from_value(&json!({
            "Mappings": {"M": {"a": {"b": "mapped"}}},
            "Conditions": {
                "Yes": {"Fn::Equals": [{"Ref": "P"}, "p"]},
                "No": {"Fn::Not": [{"Condition": "Yes"}]},
                "Both": {"Fn::And": [{"Condition": "Yes"}, {"Fn::Or": [{"Condition": "No"}, {"Condition": "Yes"}]}]}
            },
            "Parameters": {"P": {"Type": "String"}, "E": {"Type": "String"}},
            "Resources": {"R": {"Type": "T::T::T"}}
        }))
        .unwrap();
        let parameters = BTreeMap::from([("P".to_owned(), json!("p")), ("E".to_owned(), json!("re"))]);
        let pseudo = Pseudo {
            account: "000000000000".into(),
            region: "us-east-1".into(),
            stack_name: "s".into(),
            ..Pseudo::default()
        };
        let conditions = conditions(&template, &parameters, &pseudo)?;
        let lookup = |name: &str, attribute: Option<&str>| -> Result<Value, Error> {
            Ok(match attribute {
                None => format!("{name}-id").into(),
                Some(attribute) => format!("{name}-{attribute}").into(),
            })
        };
        Scope {
            template: &template,
            parameters: &parameters,
            pseudo: &pseudo,
            conditions: &conditions,
            exports: &BTreeMap::from([("there".to_owned(), "value".to_owned())]),
            resources: &lookup,
        }
        .resolve(value)
    }

    #[test]
    fn functions() {
        for (value, expected) in [
            (json!({"Ref": "P"}), json!("p")),
            (json!({"Ref": "R"}), json!("R-id")),
            (json!({"Ref": "AWS::Region"}), json!("us-east-1")),
            (json!({"Fn::GetAtt": ["R", "Arn"]}), json!("R-Arn")),
            (json!({"Fn::GetAtt": "R.A.B"}), json!("R-A.B")),
            (json!({"Fn::Sub": "${P}-${R}-${R.Arn}-${!x}-${AWS::StackName}$"}), json!("p-R-id-R-Arn-${x}-s$")),
            (json!({"Fn::Sub": ["${a}${P}", {"a": {"Ref": "R"}}]}), json!("R-idp")),
            (json!({"Fn::Join": ["-", ["a", {"Ref": "P"}, 1]]}), json!("a-p-1")),
            (json!({"Fn::Select": ["1", {"Fn::Split": [",", "a,b"]}]}), json!("b")),
            // What is only known once it is made: which part is meant cannot be told before.
            (json!({"Fn::Select": [5, {"Fn::Split": [":", "a:\u{1}R.Arn\u{1}"]}]}), json!("a:\u{1}R.Arn\u{1}")),
            (json!({"Fn::Base64": "hi"}), json!("aGk=")),
            (json!({"Fn::FindInMap": ["M", "a", "b"]}), json!("mapped")),
            (json!({"Fn::FindInMap": ["M", "x", "b", {"DefaultValue": {"Ref": "P"}}]}), json!("p")),
            (json!({"Fn::ImportValue": {"Fn::Sub": "the${E}"}}), json!("value")),
            (json!({"Fn::GetAZs": ""}), json!(["us-east-1a", "us-east-1b", "us-east-1c"])),
            (json!({"Fn::Select": [1, {"Fn::Cidr": ["10.0.0.0/16", 2]}]}), json!("10.0.1.0/24")),
            (json!({"Fn::Length": [1, 2]}), json!(2)),
            (json!({"Fn::ToJsonString": {"a": {"Ref": "P"}}}), json!("{\"a\":\"p\"}")),
            (json!({"Fn::Contains": [["a", "p"], {"Ref": "P"}]}), json!(true)),
            (json!({"Fn::EachMemberIn": [["a"], ["b"]]}), json!(false)),
            (json!("{{resolve:ssm:x}}"), json!("{{resolve:ssm:x}}")),
            (json!({"Fn::If": ["Both", 1, 2]}), json!(1)),
            (json!({"a": {"Fn::If": ["No", 1, {"Ref": "AWS::NoValue"}]}, "b": 1}), json!({"b": 1})),
            (json!([{"Ref": "AWS::NoValue"}, "x"]), json!(["x"])),
            (json!({"Condition": {"StringEquals": {"a": "b"}}}), json!({"Condition": {"StringEquals": {"a": "b"}}})),
        ] {
            assert_eq!(resolved(&value).unwrap(), Some(expected), "{value}");
        }
    }

    #[test]
    fn what_is_refused() {
        for value in [
            json!({"Ref": "Nope"}),
            json!({"Fn::ImportValue": "x"}),
            json!({"Fn::Select": [5, ["a"]]}),
            json!({"Fn::Select": [0]}),
            json!({"Fn::If": ["Unknown", 1, 2]}),
            json!({"Fn::FindInMap": ["M", "x", "y"]}),
            json!({"Fn::Join": ["-", [{}]]}),
            json!({"Fn::Transform": {"Name": "AWS::Include"}}),
        ] {
            assert!(resolved(&value).is_err(), "{value}");
        }
    }
}
