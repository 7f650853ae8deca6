//! Conditions: what is refused, in whose words, and what holds.

use super::*;

fn refused(text: &str) -> String {
    match condition(text, &mut placeholders()) {
        Ok(_) => format!("`{text}` is read"),
        Err(error) => error.to_string().strip_prefix("Invalid ConditionExpression: ").unwrap().to_owned(),
    }
}

#[test]
fn syntax_errors_show_the_token_and_its_neighbours() {
    #[rustfmt::skip]
    let cases = [
        ("whatever", "<EOF>", "whatever"), ("a =", "<EOF>", "="), ("a = :n and", "<EOF>", "and"),
        ("a b = c", "b", "a b ="), ("a = 1", "1", "= 1"), ("a = \"x\"", "\"", "= \"x"), ("(a = :n", "<EOF>", ":n"),
        ("a = :n)", ")", ":n)"), ("a in ()", ")", "()"), ("a in :n", ":n", "in :n"), ("a between :n or :n", "or", ":n or :n"),
        ("not", "<EOF>", "not"), ("and = :n", "and", "and ="), ("_a = :n", "_", "_a"), ("a[:n] = :n", ":n", "[:n]"),
        ("a[#a] = :n", "#a", "[#a]"), ("a. = :n", "=", ". = :n"), ("a == :n", "=", "== :n"), ("# = :n", "#", "# ="),
        (": = :n", ":", ": ="), ("a = :n :n", ":n", ":n :n"), ("size(a)(b) = :n", "(", ")(b"), ("é = :n", "é", "é ="),
        (":n", "<EOF>", ":n"), ("a = (b = c)", "=", "b = c"), ("(a and b) = c", "and", "a and b"), ("  ", "<EOF>", ""),
    ];
    for (text, token, near) in cases {
        assert_eq!(refused(text), format!("Syntax error; token: \"{token}\", near: \"{near}\""), "{text}");
    }
}

#[test]
fn wrong_meanings_are_told_in_the_order_of_aws() {
    let operand = |name: &str, kind: &str| {
        format!("Incorrect operand type for operator or function; operator or function: {name}, operand type: {kind}")
    };
    let count = |name: &str, n: usize| {
        format!(
            "Incorrect number of operands for operator or function; operator or function: {name}, number of operands: {n}"
        )
    };
    let misused =
        |name: &str| format!("The function is not allowed to be used this way in an expression; function: {name}");
    let distinct = |operator: &str, path: &str| {
        format!(
            "The first operand must be distinct from the remaining operands for this operator or function; operator: {operator}, first operand: {path}"
        )
    };
    let between = |what: &str, low: &str, high: &str| {
        format!(
            "The BETWEEN operator requires {what}; lower bound operand: AttributeValue: {low}, upper bound operand: AttributeValue: {high}"
        )
    };
    let reserved = |name: &str| format!("Attribute name is a reserved keyword; reserved keyword: {name}");
    let parentheses = "The expression has redundant parentheses;".to_owned();
    let cases = [
        ("", "The expression can not be empty;".to_owned()),
        ("((a = :n))", parentheses.clone()),
        ("a = :n and ((b = :n) )", parentheses.clone()),
        ("((a)) = :n", parentheses.clone()),
        ("a in (((b)))", parentheses.clone()),
        ("((attribute_exists(a)))", parentheses.clone()),
        ("((f(abort) = :x))", parentheses),
        ("abOrt = f(:x)", "Invalid function name; function: f".to_owned()),
        ("ATTRIBUTE_EXISTS(a)", "Invalid function name; function: ATTRIBUTE_EXISTS".to_owned()),
        ("size(a) and abort = :n", misused("size")),
        ("attribute_exists(a) < :n", misused("attribute_exists")),
        ("contains(begins_with(a, :s), b)", misused("begins_with")),
        ("if_not_exists(a, b) = :n", misused("if_not_exists")),
        ("list_append(a, b) = :n", misused("list_append")),
        ("#x = :x and abOrt = :n", reserved("abOrt")),
        ("a.zone[1] = :n", reserved("zone")),
        (
            "#x = :s",
            "An expression attribute name used in the document path is not defined; attribute name: #x".to_owned(),
        ),
        ("a = :x", "An expression attribute value used in expression is not defined; attribute value: :x".to_owned()),
        ("attribute_exists(a, b)", count("attribute_exists", 2)),
        ("attribute_type(a)", count("attribute_type", 1)),
        ("begins_with(a)", count("begins_with", 1)),
        ("contains(a, b, c)", count("contains", 3)),
        ("size(a, b) = :n", count("size", 2)),
        ("a = a", distinct("=", "[a]")),
        ("a.b[3] <> #a.b[3]", distinct("<>", "[a, b, [3]]")),
        ("contains(a, a)", distinct("contains", "[a]")),
        (
            "attribute_exists(:n)",
            "Operator or function requires a document path; operator or function: attribute_exists".to_owned(),
        ),
        (
            "attribute_not_exists(size(a))",
            "Operator or function requires a document path; operator or function: attribute_not_exists".to_owned(),
        ),
        ("begins_with(a, :n)", operand("begins_with", "N")),
        ("begins_with(size(a), :s)", operand("begins_with", "N")),
        ("begins_with(:l, a)", operand("begins_with", "L")),
        ("attribute_type(a, b)", operand("attribute_type", "{NS,SS,L,BS,N,M,B,BOOL,NULL,S}")),
        ("attribute_type(a, :n)", operand("attribute_type", "N")),
        (
            "attribute_type(a, :s)",
            "Invalid attribute type name found; type: abc, valid types: {B,NULL,SS,BOOL,L,BS,N,NS,S,M}".to_owned(),
        ),
        ("size(:n) = :n", operand("size", "N")),
        ("size(size(a)) = :n", operand("size", "N")),
        ("size(:null) = :n", operand("size", "NULL")),
        ("a < :l", operand("<", "L")),
        (":ss >= a", operand(">=", "SS")),
        ("a between :bool and :n", operand("BETWEEN", "BOOL")),
        ("a between :s and :n", between("same data type for lower and upper bounds", "{S:abc}", "{N:1}")),
        ("a between :two and :n", between("upper bound to be greater than or equal to lower bound", "{N:2}", "{N:1}")),
        ("a[4294967296] = :n", "List index is not within the allowable range; index: [4294967296]".to_owned()),
    ];
    for (text, expect) in cases {
        assert_eq!(refused(text), expect, "{text}");
    }
}

#[test]
fn sizes_are_bounded() {
    let long = format!("a = {}", " ".repeat(4093));
    assert_eq!(refused(&long), "Expression size has exceeded the maximum allowed size; expression size: 4097");
    let among = vec![":n"; 101].join(",");
    let message = "The IN operator is provided with too many operands; number of operands: 101";
    assert_eq!(refused(&format!("a in ({among})")), message);
    let among = vec![":n"; 100].join(",");
    condition(&format!("a in ({among})"), &mut placeholders()).unwrap();
    // 150 comparisons and the words between them are 299 operators.
    let many = |count| vec!["a=:n"; count].join(" or ");
    condition(&many(150), &mut placeholders()).unwrap();
    assert_eq!(refused(&many(151)), "The expression contains too many operators; operator count: 301");
    let path = |steps: usize| format!("a{} = :n", "[0]".repeat(steps));
    condition(&path(31), &mut placeholders()).unwrap();
    assert_eq!(refused(&path(32)), "The document path has too many nesting elements; nesting levels: 33");
    let too_deep = "The expression is nested too deep; nesting levels: 101";
    assert_eq!(refused(&"(".repeat(4000)), too_deep);
    assert_eq!(refused(&"not ".repeat(101)), too_deep);
    assert_eq!(refused(&"size(".repeat(101)), too_deep);
    condition(&format!("{}a = :n", "NOT ".repeat(100)), &mut placeholders()).unwrap();
}

#[test]
fn holds() {
    let item = item(json!({
        "n": {"N": "5"}, "s": {"S": "hello"}, "bin": {"B": "aGVsbG8="}, "yes": {"BOOL": true}, "nil": {"NULL": true},
        "ss": {"SS": ["a", "b"]}, "ns": {"NS": ["1", "2"]}, "bs": {"BS": ["YQ=="]},
        "l": {"L": [{"N": "1"}, {"SS": ["x"]}, {"L": [{"N": "3"}]}]}, "m": {"M": {"x": {"N": "1"}, "y": {"S": "z"}}},
        "and": {"M": {"or": {"N": "2"}}},
    }));
    let values = json!({
        ":5": {"N": "5.0"}, ":4": {"N": "4"}, ":1": {"N": "1"}, ":2": {"N": "2"}, ":3": {"N": "3"}, ":10": {"N": "10"},
        ":hello": {"S": "hello"}, ":he": {"S": "he"}, ":ell": {"S": "ell"}, ":zoo": {"S": "zoo"}, ":empty": {"S": ""},
        ":bhe": {"B": "aGU="}, ":bll": {"B": "bGw="}, ":yes": {"BOOL": true}, ":nil": {"NULL": true},
        ":ba": {"SS": ["b", "a"]}, ":a": {"S": "a"}, ":x": {"SS": ["x"]}, ":l3": {"L": [{"N": "3"}]}, ":N": {"S": "N"},
        ":L": {"S": "L"}, ":NULL": {"S": "NULL"}, ":barr": {"B": "YQ=="},
    });
    let names = json!({"#and": "and", "#or": "or"});
    #[rustfmt::skip]
    let cases = [
        ("n = :5", true), ("n = :4", false), ("n <> :4", true), ("n <> :5", false), ("n = :hello", false), ("n <> :hello", true),
        ("gone = :5", false), ("gone <> :5", true), ("NOT gone = :5", true), ("gone < :5", false), ("gone = lost", false),
        ("n < :10", true), ("n < :5", false), ("n <= :5", true), ("n > :4", true), ("n >= :5", true), ("n > :10", false), (":10 > n", true),
        ("s < :zoo", true), ("s > :zoo", false), ("s < :5", false), ("l < :5", false), ("bin > :bhe", true),
        ("ss = :ba", true), ("yes = :yes", true), ("nil = :nil", true), ("m = l", false),
        ("n between :4 and :10", true), ("n between :5 and :5", true), ("n between :1 and :4", false), ("gone between :1 and :4", false),
        ("n BETWEEN m.x AND :10 AnD s = :hello", true), ("s between :4 and :5", false),
        ("n in (:4, :5)", true), ("n in (:4)", false), ("gone in (:4)", false), ("n in (:hello, gone, :5)", true),
        ("attribute_exists(m.x)", true), ("attribute_exists(m.w)", false), ("attribute_not_exists(l[3])", true), ("attribute_exists(l[2][0])", true),
        ("attribute_exists(s.x)", false), ("attribute_exists (n)", true),
        ("attribute_type(n, :N)", true), ("attribute_type(s, :N)", false), ("attribute_type(gone, :N)", false), ("attribute_type(nil, :NULL)", true), ("attribute_type(:l3, :L)", true),
        ("begins_with(s, :he)", true), ("begins_with(s, :ell)", false), ("begins_with(bin, :bhe)", true), ("begins_with(s, :bhe)", false), ("begins_with(n, :he)", false), ("begins_with(s, :empty)", true), ("begins_with(:hello, s)", true),
        ("contains(s, :ell)", true), ("contains(s, :zoo)", false), ("contains(bin, :bll)", true), ("contains(bin, :barr)", false), ("contains(ss, :a)", true), ("contains(ns, :2)", true), ("contains(ns, :3)", false), ("contains(bs, :barr)", true),
        ("contains(l, :1)", true), ("contains(l, :x)", true), ("contains(l, :l3)", true), ("contains(l, :2)", false), ("contains(m, :a)", false), ("contains(gone, :a)", false), ("contains(n, :5)", false),
        ("size(s) = :5", true), ("size(bin) = n", true), ("size(ss) = :2", true), ("size(l) = :3", true), ("size(m) = :2", true), ("size(n) = :1", false), ("size(yes) = :1", false), ("size(gone) = :1", false),
        ("size(s) > :4", true), ("size(s) between :4 and :5", true), ("size(s) in (:5)", true), ("size(:hello) = :5", true),
        ("n = :4 or n = :5 and s = :hello", true), ("(n = :4 or n = :5) and s = :zoo", false), ("n = :5 or n = :5 and s = :zoo", true),
        ("not n = :4 and s = :zoo", false), ("not (n = :4 and s = :zoo)", true), ("NOT NOT NOT NOT n = :5", true), ("not not not n = :5", false),
        ("(n) = :5", true), ("(m).x = :1", true), ("((m).x) = :1", true), ("(l)[0] = (:1)", true), ("n IN (:4, (:5))", true), ("(n = :4) or (n = :5)", true),
        ("#and.#or = :2", true), ("m.x < l[2][0]", true), ("m.z < l[100]", false), ("n=:5 AND s<>:hello", false), ("(n=:5)AND(s=:hello)", true),
    ];
    for (text, expect) in cases {
        let mut placeholders = Placeholders::new(Some(&names), Some(&values)).unwrap();
        let condition = condition(text, &mut placeholders).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(condition.holds(Some(&item)), expect, "{text}");
    }
}

#[test]
fn an_item_that_is_not_there_has_nothing() {
    let read = |text: &str| condition(text, &mut placeholders()).unwrap();
    assert!(read("attribute_not_exists(a)").holds(None));
    assert!(!read("attribute_exists(a)").holds(None));
    assert!(!read("a = :n").holds(None));
}

#[test]
fn tells_the_paths_it_looks_at() {
    let text = "(#a.b = :n or size(c) > :n) and not d in (e, :n) and contains(f[2], g) and attribute_exists(h) and i between j and k";
    let condition = condition(text, &mut placeholders()).unwrap();
    let paths: Vec<String> = condition.paths().iter().map(ToString::to_string).collect();
    assert_eq!(paths, ["[a, b]", "[c]", "[d]", "[e]", "[f, [2]]", "[g]", "[h]", "[i]", "[j]", "[k]"]);
}
