//! This crate's parsers of outside bytes, for the fuzz room.

use cumulet_base::fuzz::Target;
use serde_json::{Value as Json, json};

use crate::expression::{self, KeyNames, Placeholders};
use crate::value::{Item, Number, Value, decode_item, encode_item, item_from_json, item_to_json};
use crate::{legacy, partiql};

const NAMES: KeyNames<'static> = KeyNames { hash: "a", range: Some("b") };

pub const TARGETS: &[Target] = &[
    Target {
        name: "dynamodb-number",
        seeds: &[b"0", b"-12.5e10", b"+.5E-130", b"99999999999999999999999999999999999999e88"],
        run: |bytes| {
            let Ok(number) = Number::parse(&String::from_utf8_lossy(bytes)) else { return };
            assert_eq!(Number::parse(&number.to_string()), Ok(number));
            let mut encoded = Vec::new();
            number.encode_ordered(&mut encoded);
            assert_eq!(Number::decode_ordered(&mut encoded.as_slice()), Ok(number));
            for other in ["1", "-1", "1e-130", "9e125", "0.3"].map(Number::parse).into_iter().flatten() {
                if let Ok(sum) = number.checked_add(other) {
                    assert_eq!(sum.checked_sub(other), Ok(number));
                }
            }
        },
    },
    Target {
        name: "dynamodb-stored-item",
        seeds: &[b"\x01\x02\x01a\x01\x01x\x01n\x02\x02\x82\x0e\x00", b"\x01\x01\x01l\x0a\x02\x06\x05", b"\x01\x01\x01s\x07\x02\x01a\x01b"],
        run: |bytes| {
            let Ok(item) = decode_item(bytes) else { return };
            let mut again = Vec::new();
            encode_item(&item, &mut again);
            assert_eq!(again, bytes);
        },
    },
    Target {
        name: "dynamodb-item",
        seeds: &[
            br#"{"a":{"S":"x"},"n":{"N":"1.50"},"b":{"B":"AAEC"},"t":{"BOOL":true},"z":{"NULL":true}}"#,
            br#"{"ss":{"SS":["b","a"]},"ns":{"NS":["2","-1"]},"bs":{"BS":["Yg=="]}}"#,
            br#"{"l":{"L":[{"S":"x"},{"M":{"deep":{"L":[]}}}]}}"#,
        ],
        run: |bytes| {
            let Ok(item) = serde_json::from_slice::<Json>(bytes).map_err(drop).and_then(|json| item_from_json(&json).map_err(drop))
            else {
                return;
            };
            assert_eq!(item_from_json(&item_to_json(&item)).as_ref(), Ok(&item));
            let mut encoded = Vec::new();
            encode_item(&item, &mut encoded);
            assert_eq!(decode_item(&encoded), Ok(item));
        },
    },
    Target {
        name: "dynamodb-condition",
        seeds: &[
            b"#a = :s AND (b.c[1] <> :n OR NOT attribute_exists(d))",
            b"size(a) BETWEEN :n AND :n and begins_with(b, :s)",
            b"a IN (:s, b, :n) or contains(c, :s) or attribute_type(d, :t)",
        ],
        run: |bytes| {
            let text = String::from_utf8_lossy(bytes);
            if let Ok(condition) = expression::condition(&text, &mut placeholders()) {
                let negated = expression::condition(&format!("NOT ({text})"), &mut placeholders());
                if let Ok(negated) = negated {
                    assert_ne!(condition.holds(Some(&item())), negated.holds(Some(&item())));
                }
            }
            let _either = expression::key_condition(&text, &mut placeholders(), NAMES);
        },
    },
    Target {
        name: "dynamodb-update",
        seeds: &[
            b"SET #a = if_not_exists(b, :n) + :n, c[1].d = list_append(:l, e) REMOVE f, g[2]",
            b"ADD h :n, i :set DELETE j :set",
        ],
        run: |bytes| {
            let text = String::from_utf8_lossy(bytes);
            let Ok(update) = expression::update(&text, &mut placeholders()) else { return };
            if let Ok(new) = update.apply(&item()) {
                let _part = update.updated_new(&new);
            }
            let _either = update.create(&Item::new());
        },
    },
    Target {
        name: "dynamodb-projection",
        seeds: &[b"#a, b.c[1], d[0][2].e", b"a"],
        run: |bytes| {
            let text = String::from_utf8_lossy(bytes);
            if let Ok(projection) = expression::projection(&text, &mut placeholders()) {
                assert!(projection.project(&item()).keys().all(|name| item().contains_key(name)));
            }
        },
    },
    Target {
        name: "dynamodb-legacy",
        seeds: &[
            br#"{"Expected":{"a":{"ComparisonOperator":"BETWEEN","AttributeValueList":[{"N":"1"},{"N":"2"}]},"b":{"Exists":false}},"ConditionalOperator":"OR"}"#,
            br#"{"AttributeUpdates":{"a":{"Action":"ADD","Value":{"N":"1"}},"b":{"Action":"DELETE"}},"AttributesToGet":["a","b"]}"#,
            br#"{"KeyConditions":{"a":{"ComparisonOperator":"EQ","AttributeValueList":[{"S":"x"}]}},"ScanFilter":{"c":{"ComparisonOperator":"NULL"}}}"#,
        ],
        run: |bytes| {
            let Ok(input) = serde_json::from_slice::<Json>(bytes) else { return };
            let holds = |condition: expression::Condition| condition.holds(Some(&item()));
            let _either = legacy::expected(&input).map(|condition| condition.map(holds));
            let _either = legacy::filter(&input, "ScanFilter").map(|condition| condition.map(holds));
            let _either = legacy::key_conditions(&input, NAMES);
            let _either = legacy::projection(&input);
            if let Ok(Some(update)) = legacy::update(&input) {
                let _either = update.apply(&item());
            }
        },
    },
    Target {
        name: "dynamodb-partiql",
        seeds: &[
            b"SELECT a, b.c[1] FROM \"t\".\"i\" WHERE a = 'x' AND b BETWEEN 1 AND 2.5e3 ORDER BY b DESC",
            b"INSERT INTO t VALUE {'a': ?, 'l': [1, {'m': <<'s'>>}], 'n': NULL}",
            b"UPDATE t SET a = a + 1 SET l = list_append(l, [1]) REMOVE b WHERE a = 'x' RETURNING ALL OLD *",
            b"DELETE FROM t WHERE a = 'x' AND b = 1 AND c IS NOT MISSING -- note",
        ],
        run: |bytes| {
            let text = String::from_utf8_lossy(bytes);
            let Ok(statement) = partiql::statement(&text, &[Value::Null]) else { return };
            match statement {
                partiql::Statement::Select(select) | partiql::Statement::Exists(select) => {
                    let _either = partiql::several_items(&select, NAMES);
                    let _part = select.columns.of(&item());
                }
                partiql::Statement::Update(change) => {
                    let _either = partiql::one_item(change.filter.as_ref(), NAMES);
                    let _either = change.update.apply(&item());
                }
                partiql::Statement::Insert(_) | partiql::Statement::Delete(_) => {}
            }
        },
    },
];

fn placeholders() -> Placeholders {
    let names = json!({"#a": "a"});
    let values = json!({
        ":s": {"S": "x"}, ":n": {"N": "1"}, ":t": {"S": "N"}, ":l": {"L": [{"N": "1"}]}, ":set": {"SS": ["x"]},
    });
    Placeholders::new(Some(&names), Some(&values)).unwrap_or_default()
}

fn item() -> Item {
    let item = json!({
        "a": {"S": "x"}, "b": {"N": "1"}, "c": {"L": [{"N": "1"}, {"M": {"d": {"N": "2"}}}]}, "d": {"M": {"e": {"SS": ["x"]}}},
        "e": {"L": []}, "j": {"SS": ["x", "y"]},
    });
    item_from_json(&item).unwrap_or_default()
}
