//! Laws of expressions, held against a model that evaluates them in another way, and texts of all kinds.

use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::value::{Value, arbitrary};

/// A condition of the model: written as text in all its parentheses, judged by three loops over types.
#[derive(Clone, Debug)]
enum Model {
    Compare(String, &'static str, usize),
    Between(String, usize, usize),
    In(String, Vec<usize>),
    Exists(String, bool),
    Begins(String, usize),
    Contains(String, usize),
    Size(String, &'static str, usize),
    Not(Box<Model>),
    Both(&'static str, Box<Model>, Box<Model>),
}

fn model() -> impl Strategy<Value = Model> {
    let path = || select(vec!["a", "b", "c.a", "d[0]", "c.b[1]", "d[1].a"]).prop_map(str::to_owned);
    let comparator = || select(vec!["=", "<>", "<", "<=", ">", ">="]);
    let leaf = prop_oneof![
        (path(), comparator(), 0usize..6).prop_map(|(path, op, value)| Model::Compare(path, op, value)),
        (path(), 0usize..6, 0usize..6).prop_map(|(path, low, high)| Model::Between(path, low, high)),
        (path(), proptest::collection::vec(0usize..6, 1..4)).prop_map(|(path, among)| Model::In(path, among)),
        (path(), any::<bool>()).prop_map(|(path, is)| Model::Exists(path, is)),
        (path(), 0usize..6).prop_map(|(path, value)| Model::Begins(path, value)),
        (path(), 0usize..6).prop_map(|(path, value)| Model::Contains(path, value)),
        (path(), comparator(), 0usize..6).prop_map(|(path, op, value)| Model::Size(path, op, value)),
    ];
    leaf.prop_recursive(4, 16, 2, |inner| {
        prop_oneof![
            inner.clone().prop_map(|inner| Model::Not(Box::new(inner))),
            (select(vec!["AND", "or"]), inner.clone(), inner).prop_map(|(word, left, right)| Model::Both(
                word,
                Box::new(left),
                Box::new(right)
            )),
        ]
    })
}

impl Model {
    fn text(&self) -> String {
        match self {
            Model::Compare(path, op, value) => format!("{path} {op} :v{value}"),
            Model::Between(path, low, high) => format!("{path} BETWEEN :v{low} AND :v{high}"),
            Model::In(path, among) => {
                let among: Vec<_> = among.iter().map(|value| format!(":v{value}")).collect();
                format!("{path} IN ({})", among.join(", "))
            }
            Model::Exists(path, true) => format!("attribute_exists({path})"),
            Model::Exists(path, false) => format!("attribute_not_exists({path})"),
            Model::Begins(path, value) => format!("begins_with({path}, :v{value})"),
            Model::Contains(path, value) => format!("contains({path}, :v{value})"),
            Model::Size(path, op, value) => format!("size({path}) {op} :v{value}"),
            Model::Not(inner) => format!("NOT {}", inner.grouped()),
            Model::Both(word, left, right) => format!("{} {word} {}", left.grouped(), right.grouped()),
        }
    }

    fn grouped(&self) -> String {
        format!("({})", self.text())
    }

    fn holds(&self, item: &Json, values: &[Json]) -> bool {
        match self {
            Model::Compare(path, op, value) => compare(at(item, path), op, &values[*value]),
            Model::Between(path, low, high) => {
                compare(at(item, path), ">=", &values[*low]) && compare(at(item, path), "<=", &values[*high])
            }
            Model::In(path, among) => {
                among.iter().any(|value| at(item, path).is_some_and(|own| same(own, &values[*value])))
            }
            Model::Exists(path, is) => at(item, path).is_some() == *is,
            Model::Begins(path, value) => {
                let (Some(own), other) = (at(item, path), &values[*value]) else { return false };
                kind(own) == kind(other)
                    && bytes(own).zip(bytes(other)).is_some_and(|(own, other)| own.starts_with(&other))
            }
            Model::Contains(path, value) => at(item, path).is_some_and(|own| holds_part(own, &values[*value])),
            Model::Size(path, op, value) => {
                let size = at(item, path).and_then(|own| match kind(own) {
                    "S" | "B" => bytes(own).map(|bytes| bytes.len()),
                    "SS" | "NS" | "BS" | "L" => own[kind(own)].as_array().map(Vec::len),
                    "M" => own["M"].as_object().map(|map| map.len()),
                    _ => None,
                });
                let size = size.map(|size| json!({"N": size.to_string()}));
                compare(size.as_ref(), op, &values[*value])
            }
            Model::Not(inner) => !inner.holds(item, values),
            Model::Both("AND", left, right) => left.holds(item, values) & right.holds(item, values),
            Model::Both(_, left, right) => left.holds(item, values) | right.holds(item, values),
        }
    }
}

/// Walks the wire shape by text.
fn at<'a>(item: &'a Json, path: &str) -> Option<&'a Json> {
    let path = path.replace('[', ".[").replace(']', "");
    let mut parts = path.split('.');
    let mut value = item.get(parts.next()?)?;
    for part in parts {
        value = match part.strip_prefix('[') {
            Some(index) => value.get("L")?.get(index.parse::<usize>().ok()?)?,
            None => value.get("M")?.get(part)?,
        };
    }
    Some(value)
}

fn kind(value: &Json) -> &str {
    value.as_object().unwrap().keys().next().unwrap()
}

fn bytes(value: &Json) -> Option<Vec<u8>> {
    use base64::prelude::{BASE64_STANDARD, Engine};
    match kind(value) {
        "S" => Some(value["S"].as_str().unwrap().as_bytes().to_vec()),
        "B" => BASE64_STANDARD.decode(value["B"].as_str().unwrap()).ok(),
        _ => None,
    }
}

/// Numbers of the model are small: a float tells them apart.
fn float(value: &Json) -> f64 {
    value["N"].as_str().unwrap().parse().unwrap()
}

/// Sets are written in order and numbers in one form, so that the same values have the same text.
fn same(own: &Json, other: &Json) -> bool {
    own == other
}

fn compare(own: Option<&Json>, op: &str, other: &Json) -> bool {
    let order = own.filter(|own| kind(own) == kind(other)).and_then(|own| match kind(own) {
        "N" => float(own).partial_cmp(&float(other)),
        _ => bytes(own).zip(bytes(other)).map(|(own, other)| own.cmp(&other)),
    });
    match op {
        "=" => own.is_some_and(|own| same(own, other)),
        "<>" => !own.is_some_and(|own| same(own, other)),
        "<" => order.is_some_and(|order| order.is_lt()),
        "<=" => order.is_some_and(|order| order.is_le()),
        ">" => order.is_some_and(|order| order.is_gt()),
        _ => order.is_some_and(|order| order.is_ge()),
    }
}

fn holds_part(own: &Json, part: &Json) -> bool {
    match (kind(own), kind(part)) {
        ("S", "S") | ("B", "B") => {
            let (own, part) = (bytes(own).unwrap(), bytes(part).unwrap());
            (0..=own.len()).any(|start| own[start..].starts_with(&part))
        }
        ("SS", "S") | ("NS", "N") | ("BS", "B") => own[kind(own)].as_array().unwrap().contains(&part[kind(part)]),
        ("L", _) => own["L"].as_array().unwrap().contains(part),
        _ => false,
    }
}

/// Values that suit every operator: those of keys.
fn values() -> impl Strategy<Value = Vec<Value>> {
    proptest::collection::vec(arbitrary::scalar_key(), 6)
}

fn as_placeholders(values: &[Value]) -> Json {
    let entries = values.iter().enumerate().map(|(place, value)| (format!(":v{place}"), value.to_json()));
    Json::Object(entries.collect())
}

/// Texts that are nearly expressions.
fn nearly() -> impl Strategy<Value = String> {
    let words = select(vec![
        "a",
        "b",
        "#a",
        "#c",
        ":s",
        ":n",
        ":l",
        ":ss",
        "(",
        ")",
        ",",
        ".",
        "[",
        "]",
        "1",
        "=",
        "<>",
        "<",
        ">=",
        "+",
        "-",
        "AND",
        "or",
        "NOT",
        "between",
        "IN",
        "SET",
        "remove",
        "ADD",
        "DELETE",
        "size",
        "contains",
        "if_not_exists",
        "list_append",
        "attribute_exists",
        "abort",
        "é",
        "_",
        "99999999999",
    ]);
    proptest::collection::vec(words, 0..24).prop_map(|words| words.join(" "))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn conditions_hold_as_the_model_says(model in model(), item in arbitrary::item(), values in values()) {
        let mut placeholders = Placeholders::new(None, Some(&as_placeholders(&values))).unwrap();
        let wire: Vec<Json> = values.iter().map(Value::to_json).collect();
        match condition(&model.text(), &mut placeholders) {
            Ok(condition) => prop_assert_eq!(condition.holds(Some(&item)), model.holds(&item_to_json(&item), &wire), "{}", model.text()),
            Err(error) => {
                let error = error.to_string();
                let known = ["operator or function: begins_with, operand type: N", "The BETWEEN operator requires"];
                prop_assert!(known.iter().any(|known| error.contains(known)), "{}: {}", model.text(), error);
            }
        }
    }

    #[test]
    fn set_then_get_gives_the_value(item in arbitrary::item(), value in arbitrary::value(), path in select(vec!["a", "b", "c.a", "d[0]", "c.b[1]"])) {
        let names = json!({":v": value.to_json()});
        let mut placeholders = Placeholders::new(None, Some(&names)).unwrap();
        let set = update(&format!("SET {path} = :v"), &mut placeholders).unwrap();
        let path = set.paths().next().unwrap().clone();
        let Ok(new) = set.apply(&item) else {
            prop_assert!(path.is_nested());
            return Ok(());
        };
        if path.get(&item).is_some() || !matches!(path.steps().last(), Some(Step::Index(_))) {
            prop_assert_eq!(path.get(&new), Some(&value));
        }
        // Nothing else has changed.
        let mut others = (item.clone(), new.clone());
        others.0.remove(path.head());
        others.1.remove(path.head());
        prop_assert_eq!(others.0, others.1);
        // Put back, it is the old item again.
        let back = match path.get(&item) {
            Some(old) => Action::Set(path.clone(), SetValue::Operand(Source::Value(old.clone().into()))),
            None if matches!(path.steps().last(), Some(Step::Index(_))) => return Ok(()),
            None => Action::Remove(path),
        };
        prop_assert_eq!(Update::new(vec![back]).apply(&new).unwrap(), item);
    }

    #[test]
    fn projections_are_parts(item in arbitrary::item(), chosen in proptest::sample::subsequence(vec!["a", "b", "c.a", "d[0]", "c.b[1]", "d[1].a"], 1..5)) {
        let projection = projection(&chosen.join(","), &mut Placeholders::default()).unwrap();
        let part = projection.project(&item);
        // A projection of names alone is what it was of: lists move together.
        let names_only = chosen.iter().all(|path| !path.contains('['));
        if names_only {
            prop_assert_eq!(projection.project(&part), part.clone());
        }
        for (name, value) in &part {
            prop_assert!(item.contains_key(name));
            prop_assert!(!chosen.contains(&name.as_str()) || item[name] == *value);
        }
    }

    #[test]
    fn no_text_makes_it_panic(text in prop_oneof![nearly(), ".{0,80}", "\\PC{0,40}"]) {
        let names = KeyNames { hash: "a", range: Some("b") };
        let _ = condition(&text, &mut placeholders());
        let _ = projection(&text, &mut placeholders());
        let _ = key_condition(&text, &mut placeholders(), names);
        if let Ok(update) = update(&text, &mut placeholders()) {
            let _ = update.apply(&Item::new());
        }
    }
}
