//! Expressions by tables of cases. The messages are AWS's, as its users and conformance tests have recorded them.

mod conditions;
mod keys_and_projections;
mod laws;
mod updates;

use serde_json::{Value as Json, json};

use super::*;
use crate::value::{Item, item_from_json, item_to_json};

/// Placeholders that suit most cases: `#a` to `#d` and `:s`, `:n`, `:b`, `:bool`, `:null`, `:ss`, `:ns`, `:bs`, `:l`, `:m`.
fn placeholders() -> Placeholders {
    let names = json!({"#a": "a", "#b": "b", "#c": "c", "#d": "[3]"});
    let values = json!({
        ":s": {"S": "abc"}, ":n": {"N": "1"}, ":two": {"N": "2"}, ":b": {"B": "YQ=="}, ":bool": {"BOOL": true},
        ":null": {"NULL": true}, ":ss": {"SS": ["a"]}, ":ns": {"NS": ["1"]}, ":bs": {"BS": ["YQ=="]},
        ":l": {"L": [{"N": "1"}]}, ":m": {"M": {"x": {"S": "y"}}},
    });
    Placeholders::new(Some(&names), Some(&values)).unwrap()
}

fn item(json: Json) -> Item {
    item_from_json(&json).unwrap()
}

#[test]
fn placeholders_are_checked() {
    let new = |names: Option<Json>, values: Option<Json>| {
        Placeholders::new(names.as_ref(), values.as_ref()).unwrap_err().to_string()
    };
    assert_eq!(new(Some(json!({})), None), "ExpressionAttributeNames must not be empty");
    assert_eq!(new(None, Some(json!({}))), "ExpressionAttributeValues must not be empty");
    let key = "ExpressionAttributeNames contains invalid key: Syntax error; key: \"a\"";
    assert_eq!(new(Some(json!({"a": "a"})), None), key);
    for bad in ["#", "#a-b", "# a", "##", "#é"] {
        assert!(new(Some(json!({bad: "a"})), None).contains("invalid key: Syntax error"), "{bad}");
    }
    let key = "ExpressionAttributeValues contains invalid key: Syntax error; key: \"b\"";
    assert_eq!(new(None, Some(json!({"b": {"S": "a"}, ":c": {}}))), key);
    let value = "ExpressionAttributeValues contains invalid value: \
                 One or more parameter values were invalid: An string set  may not be empty for key :b";
    assert_eq!(new(None, Some(json!({":b": {"SS": []}}))), value);
    let long = "x".repeat(1024 * 1024);
    let values = json!({":a": {"S": long}, ":b": {"S": long}});
    assert_eq!(new(None, Some(values)), "ExpressionAttributeValues exceeds max size");
}

#[test]
fn unused_placeholders_are_told() {
    let names = json!({"#a": "a", "#b": "b"});
    let values = json!({":a": {"S": "a"}, ":b": {"S": "b"}, ":c": {"S": "c"}});
    let mut placeholders = Placeholders::new(Some(&names), Some(&values)).unwrap();
    condition("#a = :a", &mut placeholders).unwrap();
    let message = "Value provided in ExpressionAttributeNames unused in expressions: keys: {#b}";
    assert_eq!(placeholders.finish().unwrap_err().to_string(), message);
    projection("#b", &mut placeholders).unwrap();
    let message = "Value provided in ExpressionAttributeValues unused in expressions: keys: {:b, :c}";
    assert_eq!(placeholders.finish().unwrap_err().to_string(), message);
    update("SET x = :b ADD y.z :c", &mut placeholders).unwrap_err();
    condition("x = :c", &mut placeholders).unwrap();
    placeholders.finish().unwrap();
}

#[test]
fn expressions_do_not_go_with_older_parameters() {
    let of = |input: Json| {
        let expressions = ["UpdateExpression", "ConditionExpression"];
        Placeholders::of_request(&input, &expressions, &["AttributeUpdates", "Expected"])
            .map(|_| String::new())
            .unwrap_or_else(|error| error.to_string())
    };
    assert_eq!(of(json!({"UpdateExpression": "SET a = b", "Expected": null})), "");
    assert_eq!(of(json!({"AttributeUpdates": {}, "Expected": {}})), "");
    let mixed = "Can not use both expression and non-expression parameters in the same request: Non-expression \
                 parameters: {AttributeUpdates, Expected} Expression parameters: {UpdateExpression}";
    assert_eq!(of(json!({"UpdateExpression": "", "AttributeUpdates": {}, "Expected": {}})), mixed);
    let names = "ExpressionAttributeNames can only be specified when using expressions";
    assert_eq!(of(json!({"ExpressionAttributeNames": {"#a": "a"}})), names);
    let values = "ExpressionAttributeValues can only be specified when using expressions: \
                  UpdateExpression and ConditionExpression are null";
    assert_eq!(of(json!({"ExpressionAttributeValues": {":a": {"S": "a"}}})), values);
}
