//! The older parameters by tables of cases; the messages are AWS's.

use serde_json::json;

use super::*;
use crate::value::{Item, item_from_json, item_to_json};

fn item(json: Json) -> Item {
    item_from_json(&json).unwrap()
}

#[test]
fn expected_is_checked() {
    let parameter = |text: &str| format!("One or more parameter values were invalid: {text}");
    let cases = [
        (json!({}), "Value must be provided when Exists is null for Attribute: a"),
        (json!({"Exists": true}), "Value must be provided when Exists is true for Attribute: a"),
        (json!({"Exists": false, "Value": {"S": "a"}}), "Value cannot be used when Exists is false for Attribute: a"),
        (
            json!({"ComparisonOperator": "LT"}),
            "Value or AttributeValueList must be used with ComparisonOperator: LT for Attribute: a",
        ),
        (
            json!({"Exists": true, "ComparisonOperator": "LT"}),
            "Exists and ComparisonOperator cannot be used together for Attribute: a",
        ),
        (
            json!({"AttributeValueList": [{"S": "a"}], "Value": {"S": "a"}, "ComparisonOperator": "LT"}),
            "Value and AttributeValueList cannot be used together for Attribute: a",
        ),
        (
            json!({"AttributeValueList": [{"S": "a"}]}),
            "AttributeValueList can only be used with a ComparisonOperator for Attribute: a",
        ),
        (
            json!({"AttributeValueList": [], "ComparisonOperator": "EQ"}),
            "Invalid number of argument(s) for the EQ ComparisonOperator",
        ),
        (
            json!({"AttributeValueList": [{"S": "a"}], "ComparisonOperator": "NULL"}),
            "Invalid number of argument(s) for the NULL ComparisonOperator",
        ),
        (
            json!({"AttributeValueList": [], "ComparisonOperator": "IN"}),
            "Invalid number of argument(s) for the IN ComparisonOperator",
        ),
        (
            json!({"AttributeValueList": [{"N": "1"}, {"N": "10"}, {"N": "12"}], "ComparisonOperator": "BETWEEN"}),
            "Invalid number of argument(s) for the BETWEEN ComparisonOperator",
        ),
        (
            json!({"Value": {"S": "a"}, "ComparisonOperator": "NULL"}),
            "Invalid number of argument(s) for the NULL ComparisonOperator",
        ),
        (
            json!({"AttributeValueList": [{"N": "1"}, {"S": "a"}], "ComparisonOperator": "IN"}),
            "AttributeValues inside AttributeValueList must be of same type",
        ),
        (
            json!({"AttributeValueList": [{"SS": ["a"]}], "ComparisonOperator": "LT"}),
            "ComparisonOperator LT is not valid for SS AttributeValue type",
        ),
        (
            json!({"AttributeValueList": [{"N": "1"}], "ComparisonOperator": "BEGINS_WITH"}),
            "ComparisonOperator BEGINS_WITH is not valid for N AttributeValue type",
        ),
    ];
    for (wire, expect) in cases {
        let error = expected(&json!({"Expected": {"a": wire.clone()}})).unwrap_err();
        assert_eq!(error.to_string(), parameter(expect), "{wire}");
    }
    let range = json!({"AttributeValueList": [{"N": "2"}, {"N": "1"}], "ComparisonOperator": "BETWEEN"});
    let message = "The BETWEEN condition was provided a range where the lower bound is greater than the upper bound";
    assert_eq!(expected(&json!({"Expected": {"a": range}})).unwrap_err().to_string(), message);
    let message = "1 validation error detected: Value 'LIKE' at 'expected.a.member.comparisonOperator' failed to satisfy \
                   constraint: Member must satisfy enum value set: [IN, NULL, BETWEEN, LT, NOT_CONTAINS, EQ, GT, \
                   NOT_NULL, NE, LE, BEGINS_WITH, GE, CONTAINS]";
    assert_eq!(expected(&json!({"Expected": {"a": {"ComparisonOperator": "LIKE"}}})).unwrap_err().to_string(), message);
    let message = "1 validation error detected: Value null at 'scanFilter.a.member.comparisonOperator' failed to satisfy \
                   constraint: Member must not be null";
    assert_eq!(filter(&json!({"ScanFilter": {"a": {}}}), "ScanFilter").unwrap_err().to_string(), message);
    for wire in [
        json!([]),
        json!("a"),
        json!({"a": 1}),
        json!({"a": {"Exists": "yes"}}),
        json!({"a": {"ComparisonOperator": 1}}),
    ] {
        assert!(matches!(expected(&json!({"Expected": wire})), Err(Invalid::Serialization(_))));
    }
}

#[test]
fn conditions_hold() {
    let old = item(json!({
        "n": {"N": "5"}, "s": {"S": "hello"}, "ss": {"SS": ["a", "b"]}, "l": {"L": [{"N": "1"}]}, "m": {"M": {}},
    }));
    let of = |operator: &str, values: Json| json!({"ComparisonOperator": operator, "AttributeValueList": values});
    let cases = [
        ("n", of("EQ", json!([{"N": "5.0"}])), true),
        ("n", of("NE", json!([{"S": "5"}])), true),
        ("gone", of("NE", json!([{"S": "5"}])), true),
        ("gone", of("EQ", json!([{"S": "5"}])), false),
        ("m", of("EQ", json!([{"M": {}}])), true),
        ("n", of("LT", json!([{"N": "6"}])), true),
        ("n", of("GE", json!([{"N": "6"}])), false),
        ("n", of("LE", json!([{"S": "6"}])), false),
        ("n", of("BETWEEN", json!([{"N": "1"}, {"N": "5"}])), true),
        ("n", of("IN", json!([{"N": "1"}, {"N": "5"}])), true),
        ("s", of("BEGINS_WITH", json!([{"S": "he"}])), true),
        ("s", of("CONTAINS", json!([{"S": "ell"}])), true),
        ("ss", of("CONTAINS", json!([{"S": "a"}])), true),
        ("l", of("CONTAINS", json!([{"N": "1"}])), true),
        ("ss", of("NOT_CONTAINS", json!([{"S": "c"}])), true),
        ("ss", of("NOT_CONTAINS", json!([{"S": "a"}])), false),
        ("gone", of("NOT_CONTAINS", json!([{"S": "a"}])), false),
        ("gone", of("NULL", json!([])), true),
        ("n", of("NOT_NULL", json!([])), true),
    ];
    for (name, condition, expect) in cases {
        let read = filter(&json!({"QueryFilter": {name: condition.clone()}}), "QueryFilter").unwrap().unwrap();
        assert_eq!(read.holds(Some(&old)), expect, "{name} {condition}");
        let read = expected(&json!({"Expected": {name: condition.clone()}})).unwrap().unwrap();
        assert_eq!(read.holds(Some(&old)), expect, "{name} {condition}");
    }
    let exists = |wire: Json| expected(&json!({"Expected": wire})).unwrap().unwrap().holds(Some(&old));
    assert!(exists(json!({"gone": {"Exists": false}})) && !exists(json!({"n": {"Exists": false}})));
    assert!(exists(json!({"n": {"Value": {"N": "5"}}})) && exists(json!({"n": {"Exists": true, "Value": {"N": "5"}}})));
    assert_eq!(expected(&json!({"Expected": {}})).unwrap(), None);
    assert_eq!(expected(&json!({})).unwrap(), None);
}

#[test]
fn conditions_are_joined() {
    let old = item(json!({"a": {"N": "1"}}));
    let of = |operator: Json| {
        let two = json!({"a": {"Value": {"N": "1"}}, "b": {"Value": {"N": "1"}}});
        let read = expected(&json!({"Expected": two, "ConditionalOperator": operator}));
        read.map(|condition| condition.unwrap().holds(Some(&old)).to_string()).unwrap_or_else(|error| error.to_string())
    };
    assert_eq!([of(json!(null)), of(json!("AND")), of(json!("OR"))], ["false", "false", "true"]);
    let message = "1 validation error detected: Value 'XOR' at 'conditionalOperator' failed to satisfy constraint: \
                   Member must satisfy enum value set: [OR, AND]";
    assert_eq!(of(json!("XOR")), message);
    let alone = expected(&json!({"ConditionalOperator": "OR"})).unwrap_err().to_string();
    assert_eq!(
        alone,
        "One or more parameter values were invalid: ConditionalOperator cannot be used without Filter or Expected"
    );
    let one = json!({"Expected": {"a": {"Exists": false}}, "ConditionalOperator": "OR"});
    let message = "One or more parameter values were invalid: ConditionalOperator can only be used when Filter or Expected has two or more elements";
    assert_eq!(expected(&one).unwrap_err().to_string(), message);
}

#[test]
fn updates_apply() {
    let apply = |old: Json, updates: Json| {
        let update = update(&json!({"AttributeUpdates": updates})).map(Option::unwrap);
        update
            .and_then(|update| update.apply(&item(old)))
            .map(|new| item_to_json(&new))
            .map_err(|error| error.to_string())
    };
    let n = |text: &str| json!({"N": text});
    let cases = [
        (json!({}), json!({"a": {"Value": n("1")}}), json!({"a": n("1")})),
        (
            json!({"a": n("2"), "b": n("3")}),
            json!({"a": {"Action": "ADD", "Value": n("1")}, "b": {"Action": "DELETE"}}),
            json!({"a": n("3")}),
        ),
        (
            json!({"a": {"SS": ["x", "y"]}}),
            json!({"a": {"Action": "DELETE", "Value": {"SS": ["x"]}}}),
            json!({"a": {"SS": ["y"]}}),
        ),
        (
            json!({"a": {"L": [n("1")]}}),
            json!({"a": {"Action": "ADD", "Value": {"L": [n("2")]}}}),
            json!({"a": {"L": [n("1"), n("2")]}}),
        ),
        (json!({}), json!({}), json!({})),
    ];
    for (old, updates, expect) in cases {
        assert_eq!(apply(old, updates.clone()).unwrap(), expect, "{updates}");
    }
    let parameter = |text: &str| format!("One or more parameter values were invalid: {text}");
    let refused = [
        (json!({"a": {}}), parameter("Only DELETE action is allowed when no attribute value is specified")),
        (json!({"a": {"Action": "DELETE", "Value": {"S": "1"}}}), parameter("DELETE action with value is not supported for the type S")),
        (json!({"a": {"Action": "ADD", "Value": {"BOOL": true}}}), parameter("ADD action is not supported for the type BOOL")),
        (json!({"a": {"Action": "ADD", "Value": {"NS": ["1"]}}}), "Type mismatch for attribute to update".to_owned()),
        (json!({"a": {"Action": "DELETE", "Value": {"NS": ["1"]}}}), "Type mismatch for attribute to update".to_owned()),
        (json!({"a": {"Action": "SET", "Value": n("1")}}), "1 validation error detected: Value 'SET' at 'attributeUpdates.a.member.action' failed to satisfy constraint: Member must satisfy enum value set: [ADD, PUT, DELETE]".to_owned()),
    ];
    for (updates, expect) in refused {
        assert_eq!(apply(json!({"a": {"SS": ["1"]}}), updates.clone()).unwrap_err(), expect, "{updates}");
    }
    assert_eq!(update(&json!({})).unwrap(), None);
}

#[test]
fn keys() {
    let names = KeyNames { hash: "h", range: Some("r") };
    let of = |conditions: Json| {
        let read = key_conditions(&json!({"KeyConditions": conditions}), names);
        read.map(Option::unwrap).map_err(|error| error.to_string())
    };
    let eq = |value: Json| json!({"ComparisonOperator": "EQ", "AttributeValueList": [value]});
    let hash = || eq(json!({"S": "x"}));
    let read = of(json!({"h": hash(), "r": {"ComparisonOperator": "BEGINS_WITH", "AttributeValueList": [{"S": "p"}]}}))
        .unwrap();
    assert_eq!(
        read,
        KeyCondition {
            hash: Value::S("x".to_owned()),
            range: Some(RangeCondition::BeginsWith(Value::S("p".to_owned())))
        }
    );
    let refused = [
        (json!({}), "Conditions can be of length 1 or 2 only"),
        (json!({"h": hash(), "r": hash(), "x": hash()}), "Conditions can be of length 1 or 2 only"),
        (json!({"r": hash()}), "Query condition missed key schema element: h"),
        (json!({"h": hash(), "x": hash()}), "Query condition missed key schema element: r"),
        (
            json!({"h": {"ComparisonOperator": "GT", "AttributeValueList": [{"S": "x"}]}}),
            "Query key condition not supported",
        ),
        (
            json!({"h": hash(), "r": {"ComparisonOperator": "NE", "AttributeValueList": [{"S": "x"}]}}),
            "Attempted conditional constraint is not an indexable operation",
        ),
        (
            json!({"h": hash(), "r": {"ComparisonOperator": "NULL"}}),
            "Attempted conditional constraint is not an indexable operation",
        ),
        (
            json!({"h": {"ComparisonOperator": "EQ"}}),
            "One or more parameter values were invalid: Invalid number of argument(s) for the EQ ComparisonOperator",
        ),
    ];
    for (conditions, expect) in refused {
        assert_eq!(of(conditions.clone()), Err(expect.to_owned()), "{conditions}");
    }
}

#[test]
fn attributes() {
    let old = item(json!({"a": {"N": "1"}, "b": {"N": "2"}}));
    let of = |names: Json| projection(&json!({"AttributesToGet": names}));
    assert_eq!(item_to_json(&of(json!(["b", "c"])).unwrap().unwrap().project(&old)), json!({"b": {"N": "2"}}));
    assert_eq!(of(json!(null)).unwrap(), None);
    let message = "One or more parameter values were invalid: Duplicate value in attribute name: a";
    assert_eq!(of(json!(["a", "b", "a"])).unwrap_err().to_string(), message);
    assert!(of(json!([])).is_err() && of(json!([1])).is_err());
}
