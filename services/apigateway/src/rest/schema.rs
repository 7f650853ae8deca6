//! Bodies of requests against models: JSON Schema, draft 4, as far as it says what a body is like; words that it does not know
//! say nothing (<https://docs.aws.amazon.com/apigateway/latest/developerguide/models-mappings-models.html>). Pure.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};

use cumulet_base::limits;
use serde_json::{Map, Value};

use super::shapes::Model;
use crate::errors::Error;

/// What a schema may lead to by name.
struct Place<'a> {
    models: &'a BTreeMap<String, Model>,
    /// The document that `#` is.
    root: &'a Value,
    /// How many more values may be held against a schema. Schemas that lead to themselves in several ways have no other end.
    left: &'a Cell<u32>,
}

/// # Errors
/// A pattern that could not be tried, by name.
pub fn check(schema: &str) -> Result<(), Error> {
    fn walk(value: &Value) -> Result<(), Error> {
        let Value::Object(map) = value else {
            return value.as_array().into_iter().flatten().try_for_each(walk);
        };
        let own = map.get("pattern").and_then(Value::as_str);
        let of_names = map.get("patternProperties").and_then(Value::as_object).into_iter().flatten();
        for pattern in own.into_iter().chain(of_names.map(|(pattern, _)| pattern.as_str())) {
            if regex_lite::Regex::new(pattern).is_err() {
                return Err(Error::NotBuilt(format!("pattern {pattern} of models")));
            }
        }
        map.values().try_for_each(walk)
    }
    serde_json::from_str(schema).map_or(Ok(()), |schema| walk(&schema))
}

/// Whether a body is as the model says. One that is no JSON is not.
pub fn admits(model: &str, body: &[u8], models: &BTreeMap<String, Model>) -> bool {
    let Ok(value) = serde_json::from_slice::<Value>(body) else { return false };
    named(model, &value, models, &Cell::new(limits::REST_API_MODEL_STEPS_MAX), 0)
}

fn named(model: &str, value: &Value, models: &BTreeMap<String, Model>, left: &Cell<u32>, depth: usize) -> bool {
    let schema = models.get(model).and_then(|model| model.schema.as_deref());
    match schema.map(serde_json::from_str::<Value>) {
        Some(Ok(root)) => fits(value, &root, &Place { models, root: &root, left }, depth + 1),
        // Nothing is said of what it should be.
        _ => true,
    }
}

fn referred(to: &str, value: &Value, place: &Place<'_>, depth: usize) -> bool {
    if let Some(schema) = to.strip_prefix('#').and_then(|pointer| place.root.pointer(pointer)) {
        return fits(value, schema, place, depth + 1);
    }
    // Models of a document refer to one another as they did there.
    let model = to.rsplit('/').next().unwrap_or_default();
    place.models.contains_key(model) && named(model, value, place.models, place.left, depth)
}

fn fits(value: &Value, schema: &Value, place: &Place<'_>, depth: usize) -> bool {
    let left = place.left.get();
    if depth > limits::REST_API_MODEL_DEPTH_MAX || left == 0 {
        return false;
    }
    place.left.set(left - 1);
    let Value::Object(schema) = schema else { return *schema != Value::Bool(false) };
    if let Some(to) = schema.get("$ref").and_then(Value::as_str) {
        return referred(to, value, place, depth);
    }
    let below = |schema: &Value| fits(value, schema, place, depth + 1);
    let list = |word: &str| schema.get(word).and_then(Value::as_array);
    is_of_type(value, schema.get("type"))
        && list("enum").is_none_or(|known| known.iter().any(|one| is_same(one, value)))
        && schema.get("const").is_none_or(|one| is_same(one, value))
        && list("allOf").is_none_or(|all| all.iter().all(below))
        && list("anyOf").is_none_or(|all| all.iter().any(below))
        && list("oneOf").is_none_or(|all| all.iter().filter(|one| below(one)).count() == 1)
        && schema.get("not").is_none_or(|not| !below(not))
        && match value {
            Value::Object(members) => object_fits(members, schema, place, depth),
            Value::Array(items) => array_fits(items, schema, place, depth),
            Value::String(text) => text_fits(text, schema),
            Value::Number(_) => number_fits(value.as_f64().unwrap_or_default(), schema),
            Value::Null | Value::Bool(_) => true,
        }
}

/// 1 and 1.0 are the same number.
fn is_same(a: &Value, b: &Value) -> bool {
    a == b || (a.is_number() && b.is_number() && a.as_f64() == b.as_f64())
}

fn is_of_type(value: &Value, given: Option<&Value>) -> bool {
    let is = |name: &str| match name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        "number" => value.is_number(),
        "integer" => value.as_f64().is_some_and(|number| number.fract() == 0.0),
        _ => true,
    };
    match given {
        Some(Value::String(name)) => is(name),
        Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).any(is),
        _ => true,
    }
}

fn matches(pattern: &str, text: &str) -> bool {
    regex_lite::Regex::new(pattern).is_ok_and(|regex| regex.is_match(text))
}

fn count(schema: &Map<String, Value>, word: &str) -> Option<usize> {
    schema.get(word).and_then(Value::as_u64).and_then(|count| usize::try_from(count).ok())
}

fn is_counted(actual: usize, schema: &Map<String, Value>, least: &str, most: &str) -> bool {
    count(schema, least).is_none_or(|least| actual >= least) && count(schema, most).is_none_or(|most| actual <= most)
}

fn object_fits(members: &Map<String, Value>, schema: &Map<String, Value>, place: &Place<'_>, depth: usize) -> bool {
    let object = |word: &str| schema.get(word).and_then(Value::as_object);
    let (known, patterns) = (object("properties"), object("patternProperties"));
    let required = schema.get("required").and_then(Value::as_array);
    let has_all = |names: &Vec<Value>| names.iter().filter_map(Value::as_str).all(|name| members.contains_key(name));
    let member_fits = |(name, value): (&String, &Value)| {
        let own = known.and_then(|known| known.get(name));
        let mut is_known = own.is_some();
        if own.is_some_and(|own| !fits(value, own, place, depth + 1)) {
            return false;
        }
        for (_, schema) in patterns.into_iter().flatten().filter(|(pattern, _)| matches(pattern, name)) {
            is_known = true;
            if !fits(value, schema, place, depth + 1) {
                return false;
            }
        }
        let others = schema.get("additionalProperties");
        is_known || others.is_none_or(|others| fits(value, others, place, depth + 1))
    };
    let depends = |(name, on): (&String, &Value)| match on {
        Value::Array(names) => !members.contains_key(name) || has_all(names),
        on => !members.contains_key(name) || fits(&Value::Object(members.clone()), on, place, depth + 1),
    };
    required.is_none_or(has_all)
        && is_counted(members.len(), schema, "minProperties", "maxProperties")
        && object("dependencies").is_none_or(|all| all.iter().all(depends))
        && members.iter().all(member_fits)
}

fn array_fits(items: &[Value], schema: &Map<String, Value>, place: &Place<'_>, depth: usize) -> bool {
    let is_unique = schema.get("uniqueItems") != Some(&Value::Bool(true)) || {
        let mut seen = BTreeSet::new();
        // Numbers as `is_same` has them.
        items.iter().all(|one| seen.insert(one.as_f64().map_or_else(|| one.to_string(), |number| number.to_string())))
    };
    let fit = match schema.get("items") {
        None => true,
        Some(Value::Array(each)) => items.iter().enumerate().all(|(at, item)| match each.get(at) {
            Some(schema) => fits(item, schema, place, depth + 1),
            None => schema.get("additionalItems").is_none_or(|rest| fits(item, rest, place, depth + 1)),
        }),
        Some(one) => items.iter().all(|item| fits(item, one, place, depth + 1)),
    };
    is_unique && fit && is_counted(items.len(), schema, "minItems", "maxItems")
}

fn text_fits(text: &str, schema: &Map<String, Value>) -> bool {
    let pattern = schema.get("pattern").and_then(Value::as_str);
    is_counted(text.chars().count(), schema, "minLength", "maxLength")
        && pattern.is_none_or(|pattern| matches(pattern, text))
}

fn number_fits(number: f64, schema: &Map<String, Value>) -> bool {
    let bound = |word: &str| schema.get(word).and_then(Value::as_f64);
    let excludes = |word: &str| schema.get(word) == Some(&Value::Bool(true));
    let is_least = bound("minimum").is_none_or(|least| match excludes("exclusiveMinimum") {
        true => number > least,
        false => number >= least,
    });
    let is_most = bound("maximum").is_none_or(|most| match excludes("exclusiveMaximum") {
        true => number < most,
        false => number <= most,
    });
    let is_multiple = bound("multipleOf").is_none_or(|of| of != 0.0 && (number / of).fract() == 0.0);
    is_least && is_most && is_multiple
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::json;

    use super::*;

    fn check(schema: Value, cases: &[(Value, bool)]) {
        let model = |name: &str, schema: &Value| {
            let model = Model { name: name.into(), schema: Some(schema.to_string()), ..Model::default() };
            (name.to_owned(), model)
        };
        let models = BTreeMap::from([model("M", &schema), model("Name", &json!({"type": "string", "minLength": 2}))]);
        for (body, expected) in cases {
            assert_eq!(admits("M", body.to_string().as_bytes(), &models), *expected, "{body} of {schema}");
        }
    }

    #[test]
    fn words() {
        check(
            json!({"type": "object", "required": ["make", "year"], "properties": {
                "make": {"type": "string", "pattern": "^[a-z]+$"}, "year": {"type": "integer", "minimum": 2010},
                "color": {"enum": ["green", "red"]}}}),
            &[
                (json!({"make": "a", "year": 2010}), true),
                (json!({"make": "a", "year": 2010.0, "more": 1, "color": "red"}), true),
                (json!({"make": "a"}), false),
                (json!({"make": 1, "year": 2010}), false),
                (json!({"make": "A", "year": 2010}), false),
                (json!({"make": "a", "year": 2009}), false),
                (json!({"make": "a", "year": 2010.5}), false),
                (json!({"make": "a", "year": 2010, "color": "blue"}), false),
                (json!([]), false),
            ],
        );
        check(
            json!({"type": "array", "items": {"type": ["number", "null"], "exclusiveMaximum": true, "maximum": 5},
                "minItems": 1, "uniqueItems": true}),
            &[(json!([1, null]), true), (json!([]), false), (json!([5]), false), (json!([1, 1.0]), false)],
        );
        check(
            json!({"additionalProperties": false, "properties": {"a": {}}, "patternProperties": {"^x": {"type": "boolean"}}}),
            &[(json!({"a": 1, "x1": true}), true), (json!({"b": 1}), false), (json!({"x1": 1}), false)],
        );
        check(
            json!({"oneOf": [{"type": "string"}, {"maxLength": 3, "type": "string"}], "not": {"const": "never"}}),
            &[(json!("long text"), true), (json!("ab"), false), (json!("never"), false)],
        );
    }

    #[test]
    fn patterns_that_cannot_be_tried() {
        for schema in
            [json!({"items": {"pattern": "(?=a)b"}}), json!({"allOf": [{"patternProperties": {"(?=a)": {}}}]})]
        {
            let error = super::check(&schema.to_string()).unwrap_err().to_string();
            assert!(error.contains("pattern (?=a)"), "{error}");
        }
        assert!(super::check(r#"{"properties": {"pattern": {"pattern": "^a$"}}}"#).is_ok());
    }

    /// In a time that grows with them, not with their square.
    #[test]
    fn many_items_are_unique() {
        let all: Vec<Value> = (0..200_000).map(Value::from).collect();
        let twice: Vec<Value> = all.iter().cloned().chain([json!(7.0)]).collect();
        check(json!({"uniqueItems": true}), &[(all.into(), true), (twice.into(), false), (json!(["1", 1]), true)]);
    }

    #[test]
    fn references() {
        check(
            json!({"definitions": {"tree": {"type": "object", "properties": {"child": {"$ref": "#/definitions/tree"}}}},
                "$ref": "#/definitions/tree"}),
            &[(json!({"child": {"child": {}}}), true), (json!({"child": {"child": 1}}), false)],
        );
        check(
            json!({"properties": {"name": {"$ref": "https://apigateway.amazonaws.com/restapis/abc/models/Name"}}}),
            &[(json!({"name": "ab"}), true), (json!({"name": "a"}), false)],
        );
        check(
            json!({"properties": {"name": {"$ref": "#/components/schemas/Name"}, "no": {"$ref": "#/definitions/No"}}}),
            &[(json!({"name": "ab"}), true), (json!({"name": "a"}), false), (json!({"no": "a"}), false)],
        );
        // One that leads to itself admits nothing, and ends.
        check(json!({"$ref": "#"}), &[(json!({}), false)]);
        // So does one that does in two ways each time, which would be 2^32 otherwise.
        check(json!({"anyOf": [{"$ref": "#"}, {"$ref": "#"}]}), &[(json!({}), false)]);
        assert!(!admits("M", b"{", &BTreeMap::new()));
        assert!(admits("Empty", b"{}", &BTreeMap::new()));
    }
}
