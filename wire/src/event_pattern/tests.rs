//! The pattern language, case by case.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn check(pattern: &Value, event: &Value, expect: bool) {
    let compiled = Pattern::new(pattern).unwrap_or_else(|error| panic!("{pattern}: {error}"));
    assert_eq!(compiled.matches(event), expect, "{pattern} on {event}");
}

/// What one field's values say of a value of it.
fn field(values: &Value, value: &Value, expect: bool) {
    check(&json!({"f": values}), &json!({"f": value}), expect);
}

#[test]
fn values_are_equal_or_not() {
    field(&json!(["a", "b"]), &json!("b"), true);
    field(&json!(["a"]), &json!("A"), false);
    field(&json!([""]), &json!(""), true);
    field(&json!([null]), &json!(null), true);
    field(&json!([null]), &json!("null"), false);
    field(&json!([true]), &json!(true), true);
    field(&json!([true]), &json!("true"), false);
    field(&json!([300]), &json!(300), true);
    field(&json!([300]), &json!(300.0), false);
    field(&json!([300]), &json!("300"), false);
    field(&json!(["a"]), &json!(["x", ["a"]]), true);
    field(&json!(["a"]), &json!([]), false);
    field(&json!(["a"]), &json!({"a": "a"}), false);
    check(&json!({"f": ["a"]}), &json!({}), false);
    check(&json!({"f": ["a"]}), &json!("a"), false);
}

#[test]
fn all_fields_and_nested_ones() {
    let pattern = json!({"source": ["s"], "detail": {"state": ["on", "off"], "at": {"zone": ["z"]}}});
    check(&pattern, &json!({"source": "s", "detail": {"state": "on", "at": {"zone": "z"}, "more": 1}}), true);
    check(&pattern, &json!({"source": "s", "detail": {"state": "on", "at": {"zone": "y"}}}), false);
    check(&pattern, &json!({"source": "s", "detail": "on"}), false);
    let one = json!({"list": {"a": [1], "b": [2]}});
    check(&one, &json!({"list": [{"a": 1, "b": 1}, {"a": 1, "b": 2}]}), true);
    check(&one, &json!({"list": [{"a": 1, "b": 1}, {"a": 2, "b": 2}]}), false);
    check(&one, &json!({"list": [[{"a": 1, "b": 2}]]}), true);
}

#[test]
fn text() {
    field(&json!([{"prefix": "us-"}]), &json!("us-east-1"), true);
    field(&json!([{"prefix": "us-"}]), &json!("eu-us-"), false);
    field(&json!([{"prefix": {"equals-ignore-case": "Us"}}]), &json!("uSa"), true);
    field(&json!([{"suffix": ".png"}]), &json!("a.png"), true);
    field(&json!([{"suffix": ".png"}]), &json!("a.PNG"), false);
    field(&json!([{"suffix": {"equals-ignore-case": ".png"}}]), &json!("a.PNG"), true);
    field(&json!([{"equals-ignore-case": "aLiCe"}]), &json!("Alice"), true);
    field(&json!([{"equals-ignore-case": "alice"}]), &json!("alicE2"), false);
    field(&json!([{"prefix": "1"}]), &json!(12), false);
}

#[test]
fn wildcards() {
    for (pattern, text, expect) in [
        ("*.png", "a.png", true),
        ("*.png", ".png", true),
        ("*.png", "a.png.txt", false),
        ("dir/*/file*.txt", "dir/a/b/file1.txt", true),
        ("dir/*/file*.txt", "dir/file.txt", false),
        ("a*b*c", "abc", true),
        ("a*ab", "ab", false),
        ("a*b*b", "abb", true),
        ("a*b*b", "ab", false),
        (r"a\*b\\", r"a*b\", true),
        (r"a\*b", "axb", false),
        ("*", "", true),
        ("ü*ß", "üxß", true),
        ("plain", "plain", true),
        ("plain", "plain2", false),
    ] {
        field(&json!([{"wildcard": pattern}]), &json!(text), expect);
    }
}

#[test]
fn numbers() {
    for (terms, number, expect) in [
        (json!(["=", 5]), json!(5.0), true),
        (json!(["=", 5]), json!(5.1), false),
        (json!([">", 0, "<=", 5]), json!(0), false),
        (json!([">", 0, "<=", 5]), json!(5), true),
        (json!([">=", -1.5]), json!(-1.5), true),
        (json!(["<", 10]), json!(10), false),
        (json!(["<", 10]), json!(-4e9), true),
        (json!(["<", 10]), json!(-6e9), false),
        (json!(["<", 10]), json!("1"), false),
        (json!(["<", 10]), json!([20, 9]), true),
    ] {
        field(&json!([{"numeric": terms}]), &number, expect);
    }
}

#[test]
fn addresses() {
    field(&json!([{"cidr": "10.0.0.0/24"}]), &json!("10.0.0.255"), true);
    field(&json!([{"cidr": "10.0.0.0/24"}]), &json!("10.0.1.0"), false);
    field(&json!([{"cidr": "10.0.0.0/24"}]), &json!("::ffff"), false);
    field(&json!([{"cidr": "0.0.0.0/0"}]), &json!("255.1.2.3"), true);
    field(&json!([{"cidr": "::/0"}]), &json!("ff::1"), true);
    field(&json!([{"cidr": "2001:db8::/32"}]), &json!("2001:db8:1::"), true);
    field(&json!([{"cidr": "1.2.3.4/32"}]), &json!("1.2.3.5"), false);
    field(&json!([{"cidr": "1.2.3.4/32"}]), &json!("no address"), false);
}

#[test]
fn existence() {
    check(&json!({"f": [{"exists": true}]}), &json!({"f": null}), true);
    check(&json!({"f": [{"exists": true}]}), &json!({"f": {"g": 1}}), false);
    check(&json!({"f": [{"exists": true}]}), &json!({}), false);
    check(&json!({"f": [{"exists": false}]}), &json!({}), true);
    check(&json!({"f": [{"exists": false}]}), &json!({"f": []}), true);
    check(&json!({"f": [{"exists": false}]}), &json!({"f": 1}), false);
    check(&json!({"d": {"f": [{"exists": false}]}}), &json!({}), true);
    check(&json!({"d": {"f": [{"exists": false}, "x"]}}), &json!({"d": {"f": "x"}}), true);
}

#[test]
fn anything_but() {
    field(&json!([{"anything-but": "a"}]), &json!("b"), true);
    field(&json!([{"anything-but": "a"}]), &json!("a"), false);
    field(&json!([{"anything-but": "a"}]), &json!(null), true);
    field(&json!([{"anything-but": ["a", "b"]}]), &json!(["a", "c"]), true);
    field(&json!([{"anything-but": ["a", "b"]}]), &json!(["a", "b"]), false);
    field(&json!([{"anything-but": [1, 2]}]), &json!(3), true);
    field(&json!([{"anything-but": 1}]), &json!(1), false);
    check(&json!({"f": [{"anything-but": "a"}]}), &json!({}), false);
    for (inner, no) in [
        (json!({"prefix": "us-"}), "us-1"),
        (json!({"prefix": ["eu-", "us-"]}), "us-1"),
        (json!({"suffix": ".png"}), "a.png"),
        (json!({"suffix": [".jpg", ".png"]}), "a.png"),
        (json!({"equals-ignore-case": "Init"}), "iNIT"),
        (json!({"equals-ignore-case": ["x", "Init"]}), "iNIT"),
        (json!({"wildcard": "*/lib/*"}), "a/lib/b"),
        (json!({"wildcard": ["x*", "*/lib/*"]}), "a/lib/b"),
    ] {
        field(&json!([{"anything-but": inner}]), &json!(no), false);
        field(&json!([{"anything-but": inner}]), &json!("other"), true);
    }
}

#[test]
fn alternatives() {
    let pattern = json!({"a": ["1"], "$or": [{"b": ["2"]}, {"c": {"d": ["3"]}}]});
    check(&pattern, &json!({"a": "1", "b": "2"}), true);
    check(&pattern, &json!({"a": "1", "c": {"d": "3"}}), true);
    check(&pattern, &json!({"a": "1", "c": {"d": "4"}}), false);
    check(&pattern, &json!({"a": "2", "b": "2"}), false);
    let nested = json!({"d": {"$or": [{"x": [1]}, {"$or": [{"y": [2]}, {"z": [{"exists": true}]}]}]}});
    check(&nested, &json!({"d": {"z": 0}}), true);
    check(&nested, &json!({"d": {"y": 3}}), false);
    // A field that happens to be named so.
    check(&json!({"$or": [{"prefix": "a"}, {"prefix": "b"}]}), &json!({"$or": "bc"}), true);
    check(&json!({"$or": ["x"]}), &json!({"$or": "x"}), true);
}

#[test]
fn what_is_no_pattern() {
    for (pattern, reason) in [
        ("[]", "not an object"),
        ("{", "not JSON"),
        ("{}", "Empty objects"),
        (r#"{"a":"b"}"#, "must be an object or an array"),
        (r#"{"a":[]}"#, "Empty arrays"),
        (r#"{"a":{}}"#, "Empty objects"),
        (r#"{"a":[[1]]}"#, "Match value"),
        (r#"{"a":[{}]}"#, "Empty objects"),
        (r#"{"a":[{"prefix":"x","suffix":"y"}]}"#, "Only one key"),
        (r#"{"a":[{"like":"x"}]}"#, "Unrecognized match type like"),
        (r#"{"a":[{"prefix":1}]}"#, "prefix match pattern must be a string"),
        (r#"{"a":[{"prefix":""}]}"#, "Null prefix"),
        (r#"{"a":[{"suffix":{"prefix":"x"}}]}"#, "Unsupported suffix pattern"),
        (r#"{"a":[{"wildcard":"a**"}]}"#, "Consecutive"),
        (r#"{"a":[{"wildcard":"a\\b"}]}"#, "Invalid escape"),
        (r#"{"a":[{"cidr":"10.0.0.0"}]}"#, "one '/'"),
        (r#"{"a":[{"cidr":"10.0.0.0/33"}]}"#, "mask bits"),
        (r#"{"a":[{"cidr":"x/3"}]}"#, "IP address"),
        (r#"{"a":[{"exists":"true"}]}"#, "true or false"),
        (r#"{"a":[{"numeric":5}]}"#, "must be an array"),
        (r#"{"a":[{"numeric":[]}]}"#, "empty"),
        (r#"{"a":[{"numeric":["="]}]}"#, "must be numeric"),
        (r#"{"a":[{"numeric":["~",1]}]}"#, "Unrecognized numeric"),
        (r#"{"a":[{"numeric":["=",1,"<",2]}]}"#, "Too many"),
        (r#"{"a":[{"numeric":["<",1,"<",2]}]}"#, "Too many"),
        (r#"{"a":[{"numeric":[">",5,"<",5]}]}"#, "less than top"),
        (r#"{"a":[{"numeric":[">",6e9]}]}"#, "between"),
        (r#"{"a":[{"anything-but":[]}]}"#, "Empty arrays"),
        (r#"{"a":[{"anything-but":["a",1]}]}"#, "all strings or all numbers"),
        (r#"{"a":[{"anything-but":null}]}"#, "all strings or all numbers"),
        (r#"{"a":[{"anything-but":{"numeric":["=",1]}}]}"#, "Unsupported anything-but"),
        (r#"{"$or":[{"a":[1]},{}]}"#, "Empty objects"),
    ] {
        let error = Pattern::parse(pattern).unwrap_err().to_string();
        assert!(error.contains(reason), "{pattern}: {error}");
    }
}

proptest! {
    #[test]
    fn a_wildcard_is_what_policies_call_so(pattern in "[ab]{0,2}(\\*[ab]{1,2}){0,4}\\*?", text in "[ab]{0,10}") {
        let compiled = Pattern::new(&json!({"f": [{"wildcard": pattern}]})).unwrap();
        prop_assert_eq!(compiled.matches(&json!({"f": text})), crate::patterns::matches(&pattern, &text));
    }
}
