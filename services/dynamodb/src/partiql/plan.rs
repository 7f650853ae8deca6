//! How a WHERE clause is answered: which part of it names keys, and what is left to be tested.

use std::borrow::Cow;

use super::{OrderKey, Select};
use crate::expression::condition::order;
use crate::expression::{Comparator, Condition, KeyCondition, KeyNames, Operand, RangeCondition, Test};
use crate::value::{Invalid, Item, Value};

/// How a SELECT reads.
#[derive(Clone, Debug, PartialEq)]
pub enum Access {
    /// One query after another, of distinct partition keys; in descending order of the sort key where asked for.
    Queries {
        keys: Vec<KeyCondition>,
        is_descending: bool,
    },
    Scan,
}

/// What a statement on exactly one item names: its key, and a condition on the rest of it.
pub fn one_item(filter: Option<&Test>, names: KeyNames<'_>) -> Result<(Item, Option<Condition>), Invalid> {
    let tests = filter.map(conjunction).unwrap_or_default();
    let mut key = Item::new();
    let mut rest = Vec::new();
    for test in tests {
        match equality(test) {
            Some((name, value)) if name == names.hash || names.range == Some(name) => {
                if key.insert(name.to_owned(), value.clone()).is_some() {
                    return Err(Invalid::new("Multiple conditions on same key"));
                }
            }
            _ => rest.push(test.clone()),
        }
    }
    let wanted = 1 + usize::from(names.range.is_some());
    if key.len() < wanted {
        return Err(Invalid::new("Where clause does not contain a mandatory equality on all key attributes"));
    }
    let condition = (!rest.is_empty()).then(|| Condition::new(Test::All(rest)));
    Ok((key, condition))
}

/// How a SELECT on a table or index with these keys reads, and what is tested of every item that it reads.
pub fn several_items(select: &Select, names: KeyNames<'_>) -> Result<(Access, Option<Condition>), Invalid> {
    let is_descending = ordered(select, names)?;
    let Some(filter) = &select.filter else { return Ok((Access::Scan, None)) };
    let tests = conjunction(filter);
    // One partition, and of it the part that one condition on the sort key names.
    let hash = tests.iter().position(|test| equality(test).is_some_and(|(name, _)| name == names.hash));
    if let Some(place) = hash {
        let (_, hash) = equality(tests[place]).unwrap_or((names.hash, &Value::Null));
        let range = tests.iter().enumerate().find_map(|(place, test)| Some((place, range(test, names.range?)?)));
        let used = [Some(place), range.as_ref().map(|(place, _)| *place)];
        let rest: Vec<Test> = tests
            .iter()
            .enumerate()
            .filter(|(at, _)| !used.contains(&Some(*at)))
            .map(|(_, test)| (*test).clone())
            .collect();
        let key = KeyCondition { hash: hash.clone(), range: range.map(|(_, range)| range) };
        let condition = (!rest.is_empty()).then(|| Condition::new(Test::All(rest)));
        return Ok((Access::Queries { keys: vec![key], is_descending }, condition));
    }
    // Several partitions: the whole clause is tested of every item, so that none comes twice.
    let condition = Some(Condition::new(filter.clone()));
    match partitions(filter, names.hash) {
        Some(hashes) => {
            let mut distinct: Vec<Value> = Vec::new();
            for hash in hashes {
                if !distinct.contains(&hash) {
                    distinct.push(hash);
                }
            }
            if let Some(order) = select.order.iter().find(|order| order.name == names.hash) {
                distinct.sort_by(|one, other| {
                    let ascending = compare(one, other);
                    if order.is_descending { ascending.reverse() } else { ascending }
                });
            }
            let keys = distinct.into_iter().map(|hash| KeyCondition { hash, range: None }).collect();
            Ok((Access::Queries { keys, is_descending }, condition))
        }
        None if select.order.is_empty() => Ok((Access::Scan, condition)),
        None => Err(Invalid::new(
            "Must have at least one non-optional hash key condition in WHERE clause when using ORDER BY clause.",
        )),
    }
}

/// Whether the sort key is asked for in descending order. Only keys can be ordered by.
fn ordered(select: &Select, names: KeyNames<'_>) -> Result<bool, Invalid> {
    if select.order.is_empty() {
        return Ok(false);
    }
    if select.filter.is_none() {
        return Err(Invalid::new("Must have WHERE clause in the statement when using ORDER BY clause."));
    }
    let is_key = |key: &OrderKey| key.name == names.hash || names.range == Some(key.name.as_str());
    if let Some(other) = select.order.iter().find(|key| !is_key(key)) {
        let name = &other.name;
        let message = format!("Variable reference {name} in ORDER BY clause must be part of the primary key");
        return Err(Invalid::new(message));
    }
    Ok(select.order.iter().any(|key| key.is_descending && names.range == Some(key.name.as_str())))
}

/// Keys of one table are of one type.
fn compare(one: &Value, other: &Value) -> std::cmp::Ordering {
    order(Some(Cow::Borrowed(one)), Some(Cow::Borrowed(other))).unwrap_or(std::cmp::Ordering::Equal)
}

/// The tests that all have to hold.
fn conjunction(test: &Test) -> Vec<&Test> {
    match test {
        Test::All(tests) => tests.iter().flat_map(conjunction).collect(),
        other => vec![other],
    }
}

/// `name = value`, whichever way round.
fn equality(test: &Test) -> Option<(&str, &Value)> {
    match test {
        Test::Compare(Comparator::Equal, Operand::Path(path), Operand::Value(value))
        | Test::Compare(Comparator::Equal, Operand::Value(value), Operand::Path(path))
            if !path.is_nested() =>
        {
            Some((path.head(), value))
        }
        _ => None,
    }
}

/// A test of the sort key that a query can be bounded by.
fn range(test: &Test, name: &str) -> Option<RangeCondition> {
    let is_key = |operand: &Operand| matches!(operand, Operand::Path(path) if !path.is_nested() && path.head() == name);
    let scalar = |operand: &Operand| match operand {
        Operand::Value(value) if value.is_scalar_key() => Some(Value::clone(value)),
        _ => None,
    };
    match test {
        Test::Compare(comparator, left, right) => {
            let (comparator, value) = if is_key(left) {
                (*comparator, scalar(right)?)
            } else if is_key(right) {
                (comparator.mirrored(), scalar(left)?)
            } else {
                return None;
            };
            Some(match comparator {
                Comparator::Equal => RangeCondition::Equal(value),
                Comparator::Less => RangeCondition::Less(value),
                Comparator::LessOrEqual => RangeCondition::LessOrEqual(value),
                Comparator::Greater => RangeCondition::Greater(value),
                Comparator::GreaterOrEqual => RangeCondition::GreaterOrEqual(value),
                Comparator::NotEqual => return None,
            })
        }
        Test::Between(of, low, high) if is_key(of) => Some(RangeCondition::Between(scalar(low)?, scalar(high)?)),
        Test::BeginsWith(of, prefix) if is_key(of) => Some(RangeCondition::BeginsWith(scalar(prefix)?)),
        _ => None,
    }
}

/// The partition keys outside of which nothing can pass the test; `None` where it may pass anywhere.
fn partitions(test: &Test, hash: &str) -> Option<Vec<Value>> {
    match test {
        Test::In(Operand::Path(path), among) if !path.is_nested() && path.head() == hash => among
            .iter()
            .map(|candidate| match candidate {
                Operand::Value(value) => Some(Value::clone(value)),
                _ => None,
            })
            .collect(),
        Test::Any(tests) => {
            let all: Option<Vec<Vec<Value>>> = tests.iter().map(|test| partitions(test, hash)).collect();
            all.map(|lists| lists.concat())
        }
        Test::All(tests) => tests.iter().find_map(|test| partitions(test, hash)),
        other => equality(other).filter(|(name, _)| *name == hash).map(|(_, value)| vec![value.clone()]),
    }
}
