//! PartiQL by tables of cases. The messages are AWS's, as conformance tests have recorded them.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::expression::{KeyCondition, KeyNames, RangeCondition};
use crate::value::{Number, item_from_json, item_to_json};

const NAMES: KeyNames<'static> = KeyNames { hash: "pk", range: Some("sk") };

fn read(text: &str) -> Statement {
    statement(text, &[]).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn refused(text: &str) -> String {
    match statement(text, &[]) {
        Ok(_) => format!("`{text}` is read"),
        Err(error) => error.to_string(),
    }
}

fn select(text: &str) -> Select {
    match read(text) {
        Statement::Select(select) => select,
        other => panic!("{other:?}"),
    }
}

#[test]
fn malformed_statements() {
    const LEFTOVER: &str = "Unexpected token after expression";
    const TERM: &str = "Unexpected term";
    const RIGHT: &str = "Missing right-hand side expression of infix operator";
    const TABLE: &str = "Expected identifier for simple path";
    #[rustfmt::skip]
    let cases = [
        ("SLECT * FROM \"t\" WHERE pk = 'a'", "Expected data manipulation"), ("", "Expected data manipulation"),
        ("SELECT * FROM \"t\" WHERE pk = 1 foo", LEFTOVER), ("SELECT * FROM \"t\" WHERE pk = 1 e5", LEFTOVER),
        ("INSERT INTO \"t\" VALUE {'pk': 1} foo", LEFTOVER), ("UPDATE \"t\" SET a = 9 WHERE pk = 1 foo", LEFTOVER),
        ("DELETE FROM \"t\" WHERE pk = 1 foo", LEFTOVER), ("SELECT * FROM \"t\" WHERE pk = 1)", LEFTOVER),
        ("DELETE FROM \"t\" WHERE pk = 1 ORDER BY pk", LEFTOVER), ("SELECT * FROM \"t\" ORDER BY pk WHERE pk = 1", LEFTOVER),
        ("INSERT INTO \"t\" x VALUE {'pk': 'x'}", LEFTOVER), ("FROM \"t\" SET c = 1 WHERE pk = 'x'", LEFTOVER),
        ("SELECT * FROM \"t\" WHERE pk = 1e2147483648", ""), ("SELECT * FROM \"t\" WHERE pk = 1e99999999999", ""),
        ("SELECT * FROM \"t\" WHERE pk = 1.5e-2147483647", ""), ("SELECT * FROM \"t\" WHERE pk = 1 # note", ""),
        ("SELECT * FROM \"t\" WHERE pk = 1 /* note", ""), ("SELECT * FROM \"t\" WHERE pk = 'a", ""),
        ("SELECT * FROM \"t\" WHERE", TERM), ("SELECT * FROM \"t\" WHERE;", TERM), ("SELECT pk FROM \"t\" WHERE   ", TERM),
        ("UPDATE \"t\" SET a = 1 WHERE", TERM), ("DELETE FROM \"t\" WHERE", TERM), ("SELECT * FROM \"t\" WHERE NOT", TERM),
        ("SELECT * FROM \"t\" WHERE (", TERM), ("SELECT * FROM", TERM), ("SELECT * FROM \"t\" WHERE pk = 'a' AND", RIGHT),
        ("SELECT * FROM \"t\" WHERE pk = 'a' OR", RIGHT), ("SELECT * FROM \"t\" WHERE ORDER BY pk", "Unexpected keyword"),
        ("SELECT * FROM \"t\" WHERE pk = 'a' AND x IS FOO", "Expected type name"), ("SELECT * FROM \"t\" WHERE IS NULL", "Unexpected operator"),
        ("SELECT * FROM \"t\" WHERE pk = LIKE", "Unexpected operator"), ("DELETE FROM", TABLE), ("DELETE FROM;", TABLE),
        ("DELETE FROM WHERE pk = 'a'", TABLE), ("UPDATE SET a = 1", TABLE), ("INSERT INTO", TABLE),
    ];
    for (text, detail) in cases {
        assert_eq!(refused(text), format!("Statement wasn't well formed, can't be processed: {detail}"), "{text}");
    }
    let deep = format!("SELECT * FROM t WHERE {}", "(".repeat(5000));
    assert!(refused(&deep).ends_with("Statement is nested too deep"));
    let deep = format!("INSERT INTO t VALUE {{'a': {}", "[".repeat(5000));
    assert_eq!(refused(&deep), crate::value::Invalid::too_deep().to_string());
}

#[test]
fn statements_that_are_not_supported() {
    const ALIAS: &str = "Aliasing is not supported";
    const EMPTY: &str = "Path component cannot be an empty string";
    let overflow = |place: &str| {
        format!(
            "Number overflow. Attempting to store a number with magnitude larger than supported range under {place}"
        )
    };
    let cases = [
        ("SELECT * FROM \"t\" x WHERE pk = 'a'", ALIAS.to_owned()),
        ("SELECT * FROM \"t\" AS x WHERE pk = 'a'", ALIAS.to_owned()),
        ("SELECT a AS b FROM \"t\"", ALIAS.to_owned()),
        ("UPDATE \"t\" x SET a = 3 WHERE pk = 'a'", ALIAS.to_owned()),
        ("DELETE FROM \"t\" x WHERE pk = 'a'", ALIAS.to_owned()),
        ("SELECT * FROM \"t\" WHERE pk = 1e126", overflow("root")),
        ("INSERT INTO \"t\" VALUE {'pk': 1e126}", overflow("root")),
        ("INSERT INTO \"t\" VALUE {'pk': 1, 'm': {'x': 1e126}}", overflow("root.x")),
        ("INSERT INTO \"t\" VALUE {'pk': 1, 'l': [1, 1e126]}", overflow("root[1]")),
        ("UPDATE \"t\" SET a = 1e-131 WHERE pk = 1", "Number underflow. Attempting to store a number with magnitude smaller than supported range under root".to_owned()),
        ("SELECT * FROM \"t\" WHERE pk = 123456789012345678901234567890123456789", "Attempting to store more than 38 significant digits in a Number under root".to_owned()),
        ("SELECT * FROM \"t\".\"i\".\"x\"", "A path may contain at most 2 components in the FROM clause".to_owned()),
        ("SELECT * FROM \"t\".\"\" WHERE pk = 'p'", EMPTY.to_owned()),
        ("SELECT * FROM \"\" WHERE pk = 'x'", EMPTY.to_owned()),
        ("DELETE FROM t WHERE pk = 'x' RETURNING MODIFIED OLD *", "Invalid returning clause: RETURNING MODIFIED OLD *. Only RETURNING ALL OLD * is allowed in DELETE statements.".to_owned()),
        ("DELETE FROM t WHERE pk = 'x' RETURNING ALL NEW *", "Invalid returning clause: RETURNING ALL NEW *. Only RETURNING ALL OLD * is allowed in DELETE statements.".to_owned()),
        ("SELECT * FROM t WHERE pk = 'x' AND v < TRUE", "Incorrect operand type for operator or function; operator or function: <, operand type: BOOL".to_owned()),
        ("SELECT * FROM t WHERE v BETWEEN TRUE AND FALSE", "Incorrect operand type for operator or function; operator or function: BETWEEN, operand type: BOOL".to_owned()),
        ("SELECT * FROM t WHERE x IS TIMESTAMP", "Unsupported operation: IsType".to_owned()),
        ("SELECT * FROM t WHERE EXISTS(ss)", "Unrecognized function: exists at 1:23:6".to_owned()),
        ("SELECT * FROM t WHERE set_add(ss, <<'x'>>) = ss", "Unrecognized function: set_add at 1:23:7".to_owned()),
        ("SELECT attribute_exists(ss) FROM t", "Unexpected path component at 1:8:16".to_owned()),
        ("SELECT * FROM t\nWHERE attribute_exists('ss')", "Operator or function requires a document path; operator or function: attribute_exists".to_owned()),
        ("SELECT * FROM t WHERE attribute_exists()", "Incorrect number of operands for operator or function; operator or function: attribute_exists, number of operands: 0".to_owned()),
        ("SELECT * FROM t WHERE size(a, b) = 1", "Incorrect number of operands for operator or function; operator or function: size, number of operands: 2".to_owned()),
        ("SELECT * FROM t WHERE attribute_exists(m.inner)", "Statement wasn't well formed, can't be processed: Invalid path dot component".to_owned()),
        ("UPDATE t SET x = set_add(ss, <<'x'>>)", "The first argument to SET_ADD must equal the assignment value at 1:18:7".to_owned()),
        ("UPDATE t SET ss = set_add(<<'a'>>, <<'b'>>)", "The first argument to SET_ADD must equal the assignment value at 1:19:7".to_owned()),
        ("UPDATE t SET ss = set_delete(ss, 'x')", "The second argument to SET_DELETE must be a value with type SET at 1:30:2".to_owned()),
        ("UPDATE t\n SET ss = set_add(ss)", "SET_ADD must have exactly two arguments at 2:11:7".to_owned()),
        ("UPDATE t SET ss = set_add(ss, <<'x'>>, <<'y'>>)", "SET_ADD must have exactly two arguments at 1:19:7".to_owned()),
        ("UPDATE t SET ss = set_add(ss, <<'x', 'x'>>)", "One or more parameter values were invalid: Input collection [x, x] contains duplicates.".to_owned()),
        ("UPDATE t SET ss = set_add(ss, <<>>)", "Empty bags are not supported".to_owned()),
        ("INSERT INTO t VALUE {'ss': set_add(<<'a'>>, <<'b'>>)}", "Unsupported data type: set_add under key root at 1:28:7".to_owned()),
        ("SELECT * FROM t WHERE x LIKE 'a%'", "Unsupported operation: Like".to_owned()),
        ("SELECT count(*) FROM t", "Unexpected path component at 1:8:5".to_owned()),
        ("SELECT * FROM t WHERE foo(x)", "Unrecognized function: foo at 1:23:3".to_owned()),
        ("UPDATE t SET a = 1, a.b = 2 WHERE pk = 'x'", "Two document paths overlap with each other; must remove or rewrite one of these paths; path one: [a], path two: [a, b]".to_owned()),
        ("UPDATE t SET a = b + 'x' WHERE pk = 'x'", "Incorrect operand type for operator or function; operator or function: +, operand type: S".to_owned()),
        ("SELECT * FROM t WHERE pk = ?", "Number of parameters in request and statement don't match.".to_owned()),
        ("INSERT INTO t VALUE 'x'", "Expecting a Map as the value of an INSERT statement".to_owned()),
        ("INSERT INTO t VALUE {'a': <<1, 1>>}", "Input collection contains duplicates".to_owned()),
    ];
    for (text, expect) in cases {
        assert_eq!(refused(text), expect, "{text}");
    }
    let more = statement("SELECT * FROM t WHERE pk = ?", &[Value::Null, Value::Null]).unwrap_err();
    assert_eq!(more.to_string(), "Number of parameters in request and statement don't match.");
}

#[test]
fn inserts_read_values_of_all_types() {
    let text = "insert into Music value {'s': 'it''s', 'n': -1.5e1, 'p': +.5, 'yes': true, 'nil': null, \"l\": [1, 'x', []], \
                'm': {'a': {}}, 'ss': <<'b', 'a'>>, 'ns': <<1, 2>>, 'b': ?, 'bs': <<?>>} -- a note";
    let parameters = [Value::B(bytes::Bytes::from_static(b"\x01")), Value::B(bytes::Bytes::from_static(b"\x02"))];
    let Statement::Insert(insert) = statement(text, &parameters).unwrap() else { panic!() };
    assert_eq!(insert.table, "Music");
    let expect = json!({
        "s": {"S": "it's"}, "n": {"N": "-15"}, "p": {"N": "0.5"}, "yes": {"BOOL": true}, "nil": {"NULL": true},
        "l": {"L": [{"N": "1"}, {"S": "x"}, {"L": []}]}, "m": {"M": {"a": {"M": {}}}}, "ss": {"SS": ["a", "b"]},
        "ns": {"NS": ["1", "2"]}, "b": {"B": "AQ=="}, "bs": {"BS": ["Ag=="]},
    });
    assert_eq!(insert.item, item_from_json(&expect).unwrap());
}

#[test]
fn selects_read_columns_sources_and_order() {
    let read = select(
        "SELECT pk, m.nested, tags[0], \"select\", m['x y'] FROM \"t.b\".\"idx\" /* x */ WHERE pk = 'a' ORDER BY pk, sk DESC;",
    );
    assert_eq!(read.source, Source { table: "t.b".to_owned(), index: Some("idx".to_owned()) });
    let order =
        [("pk", false), ("sk", true)].map(|(name, is_descending)| OrderKey { name: name.to_owned(), is_descending });
    assert_eq!(read.order, order);
    let item = json!({
        "pk": {"S": "a"}, "m": {"M": {"nested": {"N": "1"}, "x y": {"N": "2"}}}, "tags": {"L": [{"S": "x"}]},
        "select": {"BOOL": true}, "other": {"N": "3"},
    });
    let expect = json!({
        "pk": {"S": "a"}, "nested": {"N": "1"}, "_3": {"S": "x"}, "select": {"BOOL": true}, "x y": {"N": "2"},
    });
    assert_eq!(item_to_json(&read.columns.of(&item_from_json(&item).unwrap())), expect);
    assert_eq!(read.columns.attributes().unwrap(), ["pk", "m", "tags", "select", "m"]);
    assert_eq!(select("SELECT * FROM t").columns, Columns::All);
}

#[test]
fn filters_hold() {
    let item = item_from_json(&json!({
        "pk": {"S": "a"}, "n": {"N": "5"}, "s": {"S": "hello"}, "nil": {"NULL": true}, "ss": {"SS": ["a"]},
        "m": {"M": {"x": {"L": [{"N": "1"}]}}},
    }));
    let item = item.unwrap();
    let cases = [
        ("n = 5", true),
        ("5 = n", true),
        ("n != 5", false),
        ("n <> 4 and s = 'hello'", true),
        ("n BETWEEN 1 AND 5 AND s <> 'x'", true),
        ("n NOT BETWEEN 1 AND 5", false),
        ("n in [1, 5]", true),
        ("n IN (1, 2)", false),
        ("n NOT IN [1, 2]", true),
        ("gone IS MISSING", true),
        ("gone IS NOT MISSING or n = 1", false),
        ("nil IS NULL", true),
        ("n IS NOT NULL", true),
        ("begins_with(s, 'he')", true),
        ("NOT begins_with(\"s\", 'he')", false),
        ("CONTAINS(ss, 'a') AND contains(s, 'ell')", true),
        ("attribute_type(m, 'M')", true),
        ("SIZE(s) >= 5", true),
        ("attribute_exists(ss) = true", true),
        ("ATTRIBUTE_EXISTS(gone) <> TRUE", true),
        ("s IS STRING AND n IS NOT STRING", true),
        ("ss IS BAG AND n IS DOUBLE PRECISION", true),
        ("m IS STRUCT AND m IS CHARACTER VARYING", false),
        ("m.x[0] = 1", true),
        ("m['x'][0] = 1", true),
        ("(n = 1 OR n = 5) AND NOT (s = 'x')", true),
        ("((n)) = 5", true),
        ("n = 1 or n = 5 and s = 'x'", false),
        ("ss = <<'a'>>", true),
        ("s = ''", false),
    ];
    for (text, expect) in cases {
        let filter = select(&format!("SELECT * FROM t WHERE {text}")).filter.unwrap();
        assert_eq!(crate::expression::Condition::new(filter).holds(Some(&item)), expect, "{text}");
    }
}

#[test]
fn updates_change_items() {
    let old = json!({
        "n": {"N": "1"}, "l": {"L": [{"N": "1"}]}, "ss": {"SS": ["a", "b"]}, "m": {"M": {"x": {"N": "1"}, "y": {"N": "2"}}},
    });
    let n = |text: &str| json!({"N": text});
    let cases = [
        ("SET n = 2", "n", n("2")),
        ("SET n = n + 1", "n", n("2")),
        ("SET n = 10 - n SET a = 'x'", "n", n("9")),
        ("SET l = list_append(l, [2])", "l", json!({"L": [n("1"), n("2")]})),
        ("SET new = if_not_exists(n, 5)", "new", n("1")),
        ("SET ss = set_add(ss, <<'c'>>)", "ss", json!({"SS": ["a", "b", "c"]})),
        ("SET ss = SET_DELETE(ss, <<'a'>>)", "ss", json!({"SS": ["b"]})),
        ("SET m.x = {'z': 1} REMOVE m.y", "m", json!({"M": {"x": {"M": {"z": n("1")}}}})),
        ("SET l[0] = (n), a = <<1>>", "l", json!({"L": [n("1")]})),
    ];
    for (text, name, expect) in cases {
        for statement in [format!("UPDATE t {text} WHERE pk = 'a'"), format!("FROM t WHERE pk = 'a' {text}")] {
            let Statement::Update(change) = read(&statement) else { panic!("{statement}") };
            let new = change.update.apply(&item_from_json(&old).unwrap()).unwrap();
            assert_eq!(new[name].to_json(), expect, "{statement}");
        }
    }
    let returning = [
        ("ALL OLD", Returning::AllOld),
        ("modified new", Returning::ModifiedNew),
        ("ALL NEW", Returning::AllNew),
        ("MODIFIED OLD", Returning::ModifiedOld),
    ];
    for (text, expect) in returning {
        let Statement::Update(change) = read(&format!("UPDATE t SET a = 1 WHERE pk = 'a' RETURNING {text} *")) else {
            panic!()
        };
        assert_eq!(change.returning, Some(expect));
    }
}

#[test]
fn one_item_is_named_by_its_whole_key() {
    let of = |text: &str| {
        let Statement::Delete(removal) = read(&format!("DELETE FROM t {text}")) else { panic!() };
        one_item(removal.filter.as_ref(), NAMES).map_err(|error| error.to_string())
    };
    let (key, rest) = of("WHERE sk = 1 AND (pk = 'a' AND n = 2)").unwrap();
    assert_eq!(item_to_json(&key), json!({"pk": {"S": "a"}, "sk": {"N": "1"}}));
    assert_eq!(rest.unwrap().paths().len(), 1);
    assert_eq!(of("WHERE pk = 'a' AND sk = 1").unwrap().1, None);
    let missing = "Where clause does not contain a mandatory equality on all key attributes";
    for text in
        ["", "WHERE pk = 'a'", "WHERE pk = 'a' OR sk = 1", "WHERE pk = 'a' AND sk > 1", "WHERE pk.x = 1 AND sk = 1"]
    {
        assert_eq!(of(text).unwrap_err(), missing, "{text}");
    }
    assert_eq!(of("WHERE pk = 'a' AND pk = 'b' AND sk = 1").unwrap_err(), "Multiple conditions on same key");
    assert!(matches!(read("EXISTS(SELECT * FROM t WHERE pk = 'a' AND sk = 1 AND x IS MISSING)"), Statement::Exists(_)));
}

#[test]
fn selects_are_planned() {
    let s = |text: &str| Value::S(text.to_owned());
    let n = |n: i64| Value::N(Number::from(n));
    let key = |hash: &str, range| KeyCondition { hash: s(hash), range };
    let queries = |keys: Vec<KeyCondition>| Access::Queries { keys, is_descending: false };
    let cases = [
        ("", Access::Scan, false),
        ("WHERE x = 1", Access::Scan, true),
        ("WHERE pk > 'a'", Access::Scan, true),
        ("WHERE pk = 'a' OR x = 1", Access::Scan, true),
        ("WHERE pk = 'a'", queries(vec![key("a", None)]), false),
        ("WHERE pk = 'a' AND x = 1", queries(vec![key("a", None)]), true),
        ("WHERE 2 <= sk AND pk = 'a'", queries(vec![key("a", Some(RangeCondition::GreaterOrEqual(n(2))))]), false),
        ("WHERE pk = 'a' AND sk > 1 AND sk < 5", queries(vec![key("a", Some(RangeCondition::Greater(n(1))))]), true),
        (
            "WHERE pk = 'a' AND sk BETWEEN 1 AND 2",
            queries(vec![key("a", Some(RangeCondition::Between(n(1), n(2))))]),
            false,
        ),
        (
            "WHERE pk = 'a' AND begins_with(sk, 'x')",
            queries(vec![key("a", Some(RangeCondition::BeginsWith(s("x"))))]),
            false,
        ),
        ("WHERE pk = 'a' AND sk <> 1", queries(vec![key("a", None)]), true),
        ("WHERE pk IN ['b', 'a', 'b']", queries(vec![key("b", None), key("a", None)]), true),
        ("WHERE pk = 'b' OR pk = 'a' AND sk = 1", queries(vec![key("b", None), key("a", None)]), true),
    ];
    for (text, access, is_tested) in cases {
        let select = select(&format!("SELECT * FROM t {text}"));
        let (planned, rest) = several_items(&select, NAMES).unwrap();
        assert_eq!((planned, rest.is_some()), (access, is_tested), "{text}");
    }
    let of = |text: &str| {
        several_items(&select(&format!("SELECT * FROM t {text}")), NAMES).map_err(|error| error.to_string())
    };
    let descending = Access::Queries { keys: vec![key("a", None)], is_descending: true };
    assert_eq!(of("WHERE pk = 'a' ORDER BY sk DESC").unwrap().0, descending);
    let sorted = queries(vec![key("a", None), key("b", None)]);
    assert_eq!(of("WHERE pk IN ['b', 'a'] ORDER BY pk ASC").unwrap().0, sorted);
    let refused = [
        ("ORDER BY sk", "Must have WHERE clause in the statement when using ORDER BY clause."),
        ("WHERE pk = 'a' ORDER BY x", "Variable reference x in ORDER BY clause must be part of the primary key"),
        (
            "WHERE x = 1 ORDER BY sk",
            "Must have at least one non-optional hash key condition in WHERE clause when using ORDER BY clause.",
        ),
    ];
    for (text, expect) in refused {
        assert_eq!(of(text).unwrap_err(), expect, "{text}");
    }
}

/// Texts that are nearly statements.
fn nearly() -> impl Strategy<Value = String> {
    let words = proptest::sample::select(vec![
        "SELECT",
        "*",
        "FROM",
        "\"t\"",
        "t",
        "WHERE",
        "pk",
        "=",
        "'a'",
        "AND",
        "OR",
        "NOT",
        "IN",
        "[",
        "]",
        "(",
        ")",
        "1",
        "1e5",
        "?",
        "INSERT",
        "INTO",
        "VALUE",
        "{",
        "}",
        "'a':",
        ",",
        ".",
        "<<",
        ">>",
        "UPDATE",
        "SET",
        "REMOVE",
        "DELETE",
        "RETURNING",
        "ALL",
        "OLD",
        "ORDER",
        "BY",
        "IS",
        "MISSING",
        "BETWEEN",
        "size",
        "begins_with",
        "list_append",
        "-",
        "--",
        "/*",
        "EXISTS",
        "é",
    ]);
    proptest::collection::vec(words, 0..24).prop_map(|words| words.join(" "))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn no_text_makes_it_panic(text in prop_oneof![nearly(), ".{0,80}", "\\PC{0,40}"]) {
        match statement(&text, &[Value::Null]) {
            Ok(Statement::Select(select)) => {
                let _ = several_items(&select, NAMES);
            }
            Ok(Statement::Update(change)) => {
                let _ = one_item(change.filter.as_ref(), NAMES);
                let _ = change.update.apply(&Item::new());
            }
            _ => {}
        }
    }

    #[test]
    fn values_read_back(value in crate::value::arbitrary::value()) {
        let mut parameters = Vec::new();
        let text = literal(&value, &mut parameters);
        let read = statement(&format!("INSERT INTO t VALUE {{'a': {text}}}"), &parameters).unwrap();
        let Statement::Insert(insert) = read else { panic!() };
        prop_assert_eq!(&insert.item["a"], &value);
    }
}

/// A value as a statement writes it; binaries go into parameters.
fn literal(value: &Value, parameters: &mut Vec<Value>) -> String {
    let quoted = |text: &str| format!("'{}'", text.replace('\'', "''"));
    match value {
        Value::S(text) => quoted(text),
        Value::N(number) => number.to_string(),
        Value::B(_) | Value::Bs(_) => {
            parameters.push(value.clone());
            "?".to_owned()
        }
        Value::Bool(truth) => truth.to_string(),
        Value::Null => "NULL".to_owned(),
        Value::Ss(set) => format!("<<{}>>", set.iter().map(|text| quoted(text)).collect::<Vec<_>>().join(", ")),
        Value::Ns(set) => format!("<<{}>>", set.iter().map(Number::to_string).collect::<Vec<_>>().join(", ")),
        Value::L(list) => {
            let parts: Vec<_> = list.iter().map(|value| literal(value, parameters)).collect();
            format!("[{}]", parts.join(", "))
        }
        Value::M(map) => {
            let parts: Vec<_> =
                map.iter().map(|(name, value)| format!("{}: {}", quoted(name), literal(value, parameters))).collect();
            format!("{{{}}}", parts.join(", "))
        }
    }
}
