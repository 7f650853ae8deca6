//! Updates: what is refused, in whose words, and what becomes of items.

use super::*;

fn refused(text: &str) -> String {
    match update(text, &mut placeholders()) {
        Ok(_) => format!("`{text}` is read"),
        Err(error) => error.to_string().strip_prefix("Invalid UpdateExpression: ").unwrap().to_owned(),
    }
}

#[test]
fn syntax_errors() {
    #[rustfmt::skip]
    let cases = [
        "whatever", "set a", "add a", "delete a", "set a=set", "remove a = b", "add a = b", "delete a = b", "delete a b",
        "delete a if_not_exist(b)", "add abort b", "add a if_not_exist(b)", "remove a b", "set a b", "set :a = b",
        "add :a b", "delete :a b", "remove :a", "set a = b / c", "set a = b * c", "set a[1] = \"eight\"", "set a[1] = 1",
        "SET a = if_not_exist(a, 100)", "SET if_not_exist(a, b) = a", "set (a = (b + c))", "set a = (b.c).d + e",
        "set a = (b.c)[0] + e", "set a = b + c + d", "set a = b,", "set a = b remove", "SET", " ", "set a = b;", "HELLO b = :n",
        "SET c = if_not_exists(c, :n + :n)", "SET a = _f(b)", "SET #hi-there = :n", "SET a = :hi!there", "SET 123 = :n", "set a = (b",
        "set a = b, remove c",
    ];
    for text in cases {
        assert!(refused(text).starts_with("Syntax error; token: \""), "{text}: {}", refused(text));
    }
    assert_eq!(refused("SET _123 = :n"), "Syntax error; token: \"_\", near: \"SET _123\"");
    assert_eq!(refused(""), "The expression can not be empty;");
    let read = [
        "set a = (b + c)",
        "set a = ((b.c.d)+(e))",
        "sEt   a=:n  rEmOvE b",
        "SET a = if_not_exists(a, b) + b",
        "SET a = if_not_exists(a, if_not_exists(b, c))",
        "set a = b.c[2].d - :n",
        "set a=(:n)",
    ];
    for text in read {
        update(text, &mut placeholders()).unwrap_or_else(|error| panic!("{text}: {error}"));
    }
}

#[test]
fn wrong_meanings_are_told_in_the_order_of_aws() {
    let operand = |name: &str, kind: &str| {
        format!("Incorrect operand type for operator or function; operator or function: {name}, operand type: {kind}")
    };
    let of_section = |name: &str, kind: &str| {
        format!("Incorrect operand type for operator or function; operator: {name}, operand type: {kind}")
    };
    let section = |name: &str| format!("The \"{name}\" section can only be used once in an update expression;");
    let clash = |how: &str, one: &str, two: &str| {
        format!(
            "Two document paths {how} with each other; must remove or rewrite one of these paths; path one: {one}, path two: {two}"
        )
    };
    let reserved = |name: &str| format!("Attribute name is a reserved keyword; reserved keyword: {name}");
    let misused =
        |name: &str| format!("The function is not allowed to be used this way in an expression; function: {name}");
    let cases = [
        (" set #x = :x set abOrt = true ", reserved("abOrt")),
        (" remove Absolute ", reserved("Absolute")),
        ("set a = b + value", reserved("value")),
        ("set #x = if_not_exist(:x) set c = d", "Invalid function name; function: if_not_exist".to_owned()),
        ("set a = f(b, c, d)", "Invalid function name; function: f".to_owned()),
        ("set a = LIST_APPEND(b, c)", "Invalid function name; function: LIST_APPEND".to_owned()),
        ("set a = size(b)", misused("size")),
        ("set a = list_append(list_append(:l, :l), :l)", misused("list_append")),
        ("set a = #x set c = :x", section("SET")),
        ("remove #x set a = b remove e", section("REMOVE")),
        ("add #x :x set a = b add e :f", section("ADD")),
        ("delete #x :x set a = b delete #e :f", section("DELETE")),
        ("SET #x = if_not_exists(:x)", "An expression attribute name used in the document path is not defined; attribute name: #x".to_owned()),
        ("SET #a = if_not_exists(:x)", "An expression attribute value used in expression is not defined; attribute value: :x".to_owned()),
        ("set d[1] = a, d.b = a, c[1].a = a, #c = if_not_exists(a)", clash("overlap", "[c, [1], a]", "[c]")),
        ("set c.b.#c = a, c = a, #d = a", clash("overlap", "[c, b, c]", "[c]")),
        ("set a = b remove a, #c, #d", clash("overlap", "[a]", "[a]")),
        ("set #c[3].#d = a, #c[3] = a", clash("overlap", "[c, [3], [3]]", "[c, [3]]")),
        ("remove c, #c.a, #d", clash("overlap", "[c]", "[c, a]")),
        ("set #c[3].#d = a, #c.#d[3] = if_not_exists(a)", clash("conflict", "[c, [3], [3]]", "[c, [3], [3]]")),
        ("remove a.#c set a[1] = #d", clash("conflict", "[a, c]", "[a, [1]]")),
        ("set b = list_append(:s, a), c = if_not_exists(a) add a.b :s", of_section("ADD", "STRING")),
        ("delete a.b :s", of_section("DELETE", "STRING")),
        ("add a.b :null", of_section("ADD", "NULL")),
        ("delete a.b :bool", of_section("DELETE", "BOOLEAN")),
        ("add a.b :b", of_section("ADD", "BINARY")),
        ("add a.b :m", of_section("ADD", "MAP")),
        ("delete a.b :l", of_section("DELETE", "LIST")),
        ("delete a.b :n", of_section("DELETE", "NUMBER")),
        ("set a = if_not_exists(c)", "Incorrect number of operands for operator or function; operator or function: if_not_exists, number of operands: 1".to_owned()),
        ("set a = list_append(b, c, d)", "Incorrect number of operands for operator or function; operator or function: list_append, number of operands: 3".to_owned()),
        ("set a = if_not_exists(:n, c)", "Operator or function requires a document path; operator or function: if_not_exists".to_owned()),
        ("set a = if_not_exists(if_not_exists(a, b), c)", "Operator or function requires a document path; operator or function: if_not_exists".to_owned()),
        ("set a = list_append(:s, a)", operand("list_append", "S")),
        ("set a = list_append(a, :ns)", operand("list_append", "NS")),
        ("set a = a + :s", operand("+", "S")),
        ("set a = :b - :n", operand("-", "B")),
        ("set a = a + list_append(b, c)", operand("+", "L")),
    ];
    for (text, expect) in cases {
        assert_eq!(refused(text), expect, "{text}");
    }
}

#[test]
fn sizes_are_bounded() {
    let sums = |count: usize| format!("set {}", (0..count).map(|i| format!("a{i}=b+c")).collect::<Vec<_>>().join(","));
    update(&sums(300), &mut placeholders()).unwrap();
    assert_eq!(refused(&sums(301)), "The expression contains too many operators; operator count: 301");
    assert_eq!(
        refused(&format!("set a = {}", "(".repeat(4000))),
        "The expression is nested too deep; nesting levels: 101"
    );
    assert_eq!(
        refused(&format!("set a{} = b", "[1]".repeat(32))),
        "The document path has too many nesting elements; nesting levels: 33"
    );
    let many = format!("remove {}", (0..800).map(|i| format!("a{i}")).collect::<Vec<_>>().join(","));
    update(&many, &mut placeholders()).unwrap();
}

fn applied(text: &str, old: &Json, values: &Json) -> Result<Json, String> {
    let mut placeholders =
        Placeholders::new(None, Some(values).filter(|v| v.as_object().is_some_and(|v| !v.is_empty()))).unwrap();
    let update = update(text, &mut placeholders).map_err(|error| error.to_string())?;
    update.apply(&item(old.clone())).map(|item| item_to_json(&item)).map_err(|error| error.to_string())
}

#[test]
fn applies() {
    let n = |text: &str| json!({"N": text});
    let values =
        json!({":1": n("1"), ":s": {"S": "x"}, ":ss": {"SS": ["a", "c"]}, ":l": {"L": [n("9")]}, ":ns": {"NS": ["2"]}});
    let list = |numbers: &[&str]| json!({"L": numbers.iter().map(|text| n(text)).collect::<Vec<_>>()});
    let cases = [
        ("SET b = a", json!({"a": n("2")}), json!({"a": n("2"), "b": n("2")})),
        ("SET a = a + :1, b = a - :1", json!({"a": n("2")}), json!({"a": n("3"), "b": n("1")})),
        ("SET a = if_not_exists(a, :1)", json!({}), json!({"a": n("1")})),
        ("SET a = if_not_exists(a, :1)", json!({"a": n("7")}), json!({"a": n("7")})),
        ("SET a = if_not_exists(a, :1) + :1", json!({}), json!({"a": n("2")})),
        ("SET a = list_append(a, :l)", json!({"a": list(&["1"])}), json!({"a": list(&["1", "9"])})),
        ("SET a = list_append(:l, a)", json!({"a": list(&["1"])}), json!({"a": list(&["9", "1"])})),
        ("SET a = list_append(if_not_exists(a, :l), :l)", json!({}), json!({"a": list(&["9", "9"])})),
        ("REMOVE a SET b = a", json!({"a": n("1")}), json!({"b": n("1")})),
        ("SET m.x = :1 REMOVE m.y", json!({"m": {"M": {"y": n("2")}}}), json!({"m": {"M": {"x": n("1")}}})),
        ("REMOVE m.y", json!({"m": {"M": {"y": n("2")}}}), json!({"m": {"M": {}}})),
        ("REMOVE a[0]", json!({"a": list(&["1"])}), json!({"a": list(&[])})),
        (
            "REMOVE a[17], b, m.z",
            json!({"a": list(&["1"]), "m": {"M": {}}}),
            json!({"a": list(&["1"]), "m": {"M": {}}}),
        ),
        (
            "REMOVE a[1] SET a[3] = :1",
            json!({"a": list(&["2", "3", "4", "5", "6", "7"])}),
            json!({"a": list(&["2", "4", "1", "6", "7"])}),
        ),
        ("REMOVE a[0], a[2], a[1]", json!({"a": list(&["2", "3", "4", "5"])}), json!({"a": list(&["5"])})),
        ("SET a[7] = :1", json!({"a": list(&["2"])}), json!({"a": list(&["2", "1"])})),
        (
            "SET a[84] = :1, a[17] = b, a[3] = c",
            json!({"a": list(&[]), "b": n("2"), "c": n("3")}),
            json!({"a": list(&["3", "2", "1"]), "b": n("2"), "c": n("3")}),
        ),
        ("SET a[7] = :1, a[8] = :1 REMOVE a[2]", json!({"a": list(&["2"])}), json!({"a": list(&["2", "1", "1"])})),
        ("ADD a :1", json!({"a": n("2")}), json!({"a": n("3")})),
        ("ADD a :1", json!({}), json!({"a": n("1")})),
        ("ADD m.n :1", json!({"m": {"M": {}}}), json!({"m": {"M": {"n": n("1")}}})),
        ("ADD a :ss", json!({"a": {"SS": ["a", "b"]}}), json!({"a": {"SS": ["a", "b", "c"]}})),
        ("ADD a :ss", json!({}), json!({"a": {"SS": ["a", "c"]}})),
        ("DELETE a :ss", json!({"a": {"SS": ["a", "b"]}}), json!({"a": {"SS": ["b"]}})),
        ("DELETE a :ss", json!({"a": {"SS": ["a"]}}), json!({})),
        ("DELETE a :ss", json!({"b": n("1")}), json!({"b": n("1")})),
        ("DELETE l[1] :ns", json!({"l": {"L": [n("1"), {"NS": ["2"]}, n("3")]}}), json!({"l": list(&["1", "3"])})),
    ];
    for (text, old, expect) in cases {
        assert_eq!(applied(text, &old, &values).unwrap(), expect, "{text} of {old}");
    }
}

#[test]
fn refuses_what_does_not_fit_the_item() {
    const TYPE: &str = "An operand in the update expression has an incorrect data type";
    const PATH: &str = "The document path provided in the update expression is invalid for update";
    const MISSING: &str = "The provided expression refers to an attribute that does not exist in the item";
    let old = json!({
        "s": {"S": "x"}, "n": {"N": "1"}, "m": {"M": {"a": {"SS": ["1"]}}}, "l": {"L": [{"S": "a"}]}, "ns": {"NS": ["1"]},
        "big": {"N": "9e125"},
    });
    let values = json!({":n": {"N": "1"}, ":ns": {"NS": ["1"]}, ":ss": {"SS": ["1"]}, ":bs": {"BS": ["YQ=="]}, ":l": {"L": []}, ":big": {"N": "9e125"}});
    #[rustfmt::skip]
    let cases = [
        ("set c = b", MISSING), ("set e = list_append(b, :l)", MISSING), ("set x = :n, y = x", MISSING), ("set z = z", MISSING), ("set a = m.b", MISSING), ("set a = l[1]", MISSING),
        ("set e = s + :n", TYPE), ("set e = m - :n", TYPE), ("set e = list_append(ns, :l)", TYPE), ("set e = list_append(s, if_not_exists(f, :l))", TYPE),
        ("add s :n", TYPE), ("add ns :n", TYPE), ("add m :ns", TYPE), ("add l :ns", TYPE), ("delete ns :ss", TYPE), ("delete m :ns", TYPE), ("delete m.a :ns", TYPE), ("delete n :ns", TYPE), ("delete m.a :bs", TYPE),
        ("set s.a = :n", PATH), ("set s[1] = :n", PATH), ("set gone.a = :n", PATH), ("set gone[1] = :n", PATH), ("set m[1] = :n", PATH), ("set l.a = :n", PATH),
        ("remove s.a", PATH), ("remove s[1]", PATH), ("remove gone.a", PATH), ("remove gone[0]", PATH), ("remove m[1]", PATH), ("remove l.a", PATH), ("delete gone.a :ns", PATH), ("add gone.a :n", PATH),
        ("set a = big + :big", "Number overflow. Attempting to store a number with magnitude larger than supported range"),
        ("add big :n", "Number overflow. Attempting to store a number with magnitude larger than supported range"),
    ];
    for (text, expect) in cases {
        let mut placeholders = Placeholders::new(None, Some(&values)).unwrap();
        let update = update(text, &mut placeholders).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(update.apply(&item(old.clone())).unwrap_err().to_string(), expect, "{text}");
    }
}

#[test]
fn what_is_not_there_loses_nothing() {
    let read = |text: &str| update(text, &mut placeholders()).unwrap();
    let keys = item(json!({"p": {"S": "k"}}));
    for text in ["remove x.y", "remove x[0]", "delete x.y :ss", "remove z delete w :ss"] {
        assert_eq!(read(text).create(&keys).unwrap(), keys, "{text}");
        assert!(!read(text).creates(), "{text}");
    }
    assert!(read("set c.c = :n").create(&keys).is_err());
    assert!(read("remove a add b :n").creates() && Update::new(Vec::new()).creates());
}

#[test]
fn what_is_written_is_not_larger_than_an_item() {
    let old = item(json!({"b": {"S": "x".repeat(300_000)}, "l": {"L": [{"S": "x".repeat(300_000)}]}}));
    let copies = (0..300).map(|n| format!("a{n} = b")).collect::<Vec<_>>().join(", ");
    for text in [format!("SET {copies}"), "SET l = list_append(l, l)".to_owned()] {
        let update = update(&text, &mut placeholders()).unwrap();
        let message = "Item size to update has exceeded the maximum allowed size";
        assert_eq!(update.apply(&old).unwrap_err().to_string(), message, "{text}");
    }
    update("SET a = b REMOVE b", &mut placeholders()).unwrap().apply(&old).unwrap();
}

#[test]
fn nesting_is_bounded() {
    let deep = |levels: usize| (0..levels).fold(json!({"N": "1"}), |inner, _| json!({"L": [inner]}));
    let values = json!({":fits": deep(30), ":too": deep(31)});
    let read = |text: &str| update(text, &mut Placeholders::new(None, Some(&values)).unwrap()).unwrap();
    let old = item(json!({"m": {"M": {}}}));
    read("set m.a = :fits").apply(&old).unwrap();
    assert_eq!(read("set m.a = :too").apply(&old), Err(crate::value::Invalid::too_deep()));
}

#[test]
fn tells_what_it_touched() {
    let old = json!({"p": {"S": "k"}, "a": {"M": {"b": {"S": "x"}, "c": {"L": [{"N": "1"}, {"N": "2"}, {"N": "3"}]}}}, "d": {"S": "cat"}});
    let n = |text: &str| json!({"N": text});
    let cases = [
        ("SET d = :n, e = :n", json!({"d": {"S": "cat"}}), json!({"d": n("1"), "e": n("1")})),
        (
            "SET a.c[1] = :two, a.b = :n",
            json!({"a": {"M": {"b": {"S": "x"}, "c": {"L": [n("2")]}}}}),
            json!({"a": {"M": {"b": n("1"), "c": {"L": [n("2")]}}}}),
        ),
        ("REMOVE d", json!({"d": {"S": "cat"}}), json!({})),
        ("SET a.c[100] = :n", json!({}), json!({})),
        (
            "REMOVE a.c[1], a.c[3]",
            json!({"a": {"M": {"c": {"L": [n("2")]}}}}),
            json!({"a": {"M": {"c": {"L": [n("3")]}}}}),
        ),
    ];
    for (text, expect_old, expect_new) in cases {
        let update = update(text, &mut placeholders()).unwrap();
        let old = item(old.clone());
        assert_eq!(item_to_json(&update.updated_old(&old)), expect_old, "{text}");
        assert_eq!(item_to_json(&update.updated_new(&update.apply(&old).unwrap())), expect_new, "{text}");
    }
}
