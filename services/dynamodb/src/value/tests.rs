//! Values on the wire, in the store and in keys.

use proptest::prelude::*;
use serde_json::json;

use super::*;

#[test]
fn the_wire_reads_back() {
    let item = json!({
        "s": {"S": ""}, "n": {"N": "1.50"}, "b": {"B": "AAEC"}, "yes": {"BOOL": true}, "null": {"NULL": true},
        "ss": {"SS": ["b", "a"]}, "ns": {"NS": ["2", "-1"]}, "bs": {"BS": ["Yg=="]},
        "l": {"L": [{"S": "x"}, {"M": {"deep": {"L": []}}}]},
    });
    let read = item_from_json(&item).unwrap();
    assert_eq!(read["n"], Value::N(Number::parse("1.5").unwrap()));
    let expect = json!({
        "b": {"B": "AAEC"}, "bs": {"BS": ["Yg=="]}, "l": {"L": [{"S": "x"}, {"M": {"deep": {"L": []}}}]},
        "n": {"N": "1.5"}, "ns": {"NS": ["-1", "2"]}, "null": {"NULL": true}, "s": {"S": ""}, "ss": {"SS": ["a", "b"]},
        "yes": {"BOOL": true},
    });
    assert_eq!(item_to_json(&read), expect);
}

#[test]
fn refuses_what_aws_refuses() {
    let parameter = |text: &str| format!("One or more parameter values were invalid: {text}");
    let cases = [
        (json!({}), "Supplied AttributeValue is empty, must contain exactly one of the supported datatypes".to_owned()),
        (json!({"X": "a"}), "Supplied AttributeValue is empty, must contain exactly one of the supported datatypes".to_owned()),
        (json!({"S": "a", "N": "1"}), "Supplied AttributeValue has more than one datatypes set, must contain exactly one of the supported datatypes".to_owned()),
        (json!({"NULL": false}), parameter("Null attribute value types must have the value of true")),
        (json!({"SS": []}), parameter("An string set  may not be empty")),
        (json!({"NS": []}), parameter("An number set  may not be empty")),
        (json!({"BS": []}), parameter("Binary sets should not be empty")),
        (json!({"SS": ["a", ""]}), parameter("An string set may not have a empty string as a member")),
        (json!({"BS": ["Yg==", ""]}), parameter("Binary sets may not contain null or empty values")),
        (json!({"SS": ["a", "b", "a"]}), parameter("Input collection [a, b, a] contains duplicates.")),
        (json!({"BS": ["Yg==", "Yg=="]}), parameter("Input collection [Yg==, Yg==]of type BS contains duplicates.")),
        (json!({"NS": ["1", "1.0"]}), "Input collection contains duplicates".to_owned()),
        (json!({"N": ""}), "The parameter cannot be converted to a numeric value".to_owned()),
    ];
    for (wire, expect) in cases {
        assert_eq!(Value::from_json(&wire), Err(Invalid::Validation(expect)), "{wire}");
    }
    for wire in
        [json!({"S": 1}), json!({"B": "!"}), json!({"SS": "a"}), json!({"M": []}), json!({"BOOL": "true"}), json!([])]
    {
        assert!(matches!(Value::from_json(&wire), Err(Invalid::Serialization(_))), "{wire}");
    }
}

#[test]
fn nests_to_32_levels() {
    let nested = |levels: usize| (0..levels).fold(json!({"N": "1"}), |inner, _| json!({"L": [inner]}));
    let deepest = Value::from_json(&nested(31)).unwrap();
    assert_eq!(deepest.levels(), 32);
    let item = Item::from([("a".to_owned(), deepest)]);
    let mut bytes = Vec::new();
    encode_item(&item, &mut bytes);
    assert_eq!(decode_item(&bytes).unwrap(), item);
    assert_eq!(Value::from_json(&nested(32)), Err(Invalid::too_deep()));
    assert_eq!(item_from_json(&json!({"a": nested(32)})), Err(Invalid::too_deep()));
    item_from_json(&json!({"a": nested(31)})).unwrap();
    // What is empty has nothing that would be too deep.
    let empty = (0..31).fold(json!({"M": {}}), |inner, _| json!({"L": [inner]}));
    assert_eq!(Value::from_json(&empty).unwrap().levels(), 32);
}

#[test]
fn sizes_follow_the_guide() {
    let cases = [
        (json!({"S": "é"}), 2),
        (json!({"N": "-12"}), 3),
        (json!({"B": "AAEC"}), 3),
        (json!({"BOOL": false}), 1),
        (json!({"NULL": true}), 1),
        (json!({"SS": ["ab", "c"]}), 3),
        (json!({"L": []}), 3),
        (json!({"L": [{"S": "ab"}, {"BOOL": true}]}), 8),
        (json!({"M": {"ab": {"S": "c"}}}), 7),
    ];
    for (wire, expect) in cases {
        assert_eq!(Value::from_json(&wire).unwrap().size_bytes(), expect, "{wire}");
    }
    let item = item_from_json(&json!({"pk": {"S": "abc"}, "n": {"N": "7"}})).unwrap();
    assert_eq!(item_size_bytes(&item), 2 + 3 + 1 + 2);
}

#[test]
fn stored_bytes_do_not_change() {
    let item =
        item_from_json(&json!({"a": {"S": "x"}, "n": {"N": "-12"}, "l": {"L": [{"NULL": true}, {"BOOL": true}]}}));
    let mut bytes = Vec::new();
    encode_item(&item.unwrap(), &mut bytes);
    #[rustfmt::skip]
    let expect = [
        1, 3,
        1, b'a', 1, 1, b'x',
        1, b'l', 10, 2, 6, 5,
        1, b'n', 2, 0, 255 - 131, 255 - 13, 255,
    ];
    assert_eq!(bytes, expect);
}

#[test]
fn types_of_keys() {
    for kind in [key::KeyType::S, key::KeyType::N, key::KeyType::B] {
        assert_eq!(key::KeyType::parse(kind.name()), Some(kind));
    }
    assert_eq!(key::KeyType::of(&Value::Bool(true)), None);
    assert_eq!(key::KeyType::parse("SS"), None);
}

proptest! {
    #[test]
    fn wire_and_store_read_back(item in arbitrary::item()) {
        prop_assert_eq!(&item_from_json(&item_to_json(&item)).unwrap(), &item);
        let mut text = Vec::new();
        write_item(&item, &mut text);
        prop_assert_eq!(serde_json::from_slice::<serde_json::Value>(&text).unwrap(), item_to_json(&item));
        let mut bytes = Vec::new();
        encode_item(&item, &mut bytes);
        prop_assert_eq!(&decode_item(&bytes).unwrap(), &item);
        for cut in 0..bytes.len() {
            prop_assert!(decode_item(&bytes[..cut]).is_err());
        }
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in any::<Vec<u8>>(), few in proptest::collection::vec(0u8..12, 0..40)) {
        for bytes in [bytes, few] {
            if let Ok(item) = decode_item(&bytes) {
                let mut again = Vec::new();
                encode_item(&item, &mut again);
                prop_assert_eq!(&again, &bytes);
            }
        }
    }
}
