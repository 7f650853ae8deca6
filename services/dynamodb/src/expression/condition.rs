//! Conditions: what `ConditionExpression`, `FilterExpression` and their older forms become, and whether they hold.
//! Source: "Condition expressions", "Comparison operator and function reference" of the DynamoDB Developer Guide.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::sync::Arc;

use memchr::memmem;

use super::check::{self, Findings, Rank};
use super::parse::{self, Comparator, Raw, RawCall, RawCondition};
use super::path::Path;
use super::placeholders::Placeholders;
use crate::value::{Item, Number, Value};

/// The type names that `attribute_type` takes.
const TYPE_NAMES: [&str; 10] = ["B", "NULL", "SS", "BOOL", "L", "BS", "N", "NS", "S", "M"];

#[derive(Clone, Debug, PartialEq)]
pub struct Condition {
    root: Test,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Test {
    All(Vec<Test>),
    Any(Vec<Test>),
    Not(Box<Test>),
    Compare(Comparator, Operand, Operand),
    Between(Operand, Operand, Operand),
    In(Operand, Vec<Operand>),
    Exists(Path),
    NotExists(Path),
    /// The second is the name of a type, as the wire has it.
    IsType(Operand, String),
    BeginsWith(Operand, Operand),
    Contains(Operand, Operand),
}

#[derive(Clone, Debug, PartialEq)]
pub enum Operand {
    Path(Path),
    Value(Arc<Value>),
    Size(Box<Operand>),
}

impl Condition {
    pub fn new(root: Test) -> Condition {
        Condition { root }
    }

    pub fn root(&self) -> &Test {
        &self.root
    }

    pub(super) fn into_root(self) -> Test {
        self.root
    }

    /// Whether the condition holds; an item that is not there has no attributes.
    pub fn holds(&self, item: Option<&Item>) -> bool {
        const NOTHING: &Item = &Item::new();
        self.root.holds(item.unwrap_or(NOTHING))
    }

    /// All paths that the condition looks at.
    pub fn paths(&self) -> BTreeSet<&Path> {
        let mut paths = BTreeSet::new();
        self.root.paths(&mut paths);
        paths
    }

    /// The attributes that the condition looks at.
    pub fn names(&self) -> BTreeSet<&str> {
        self.paths().into_iter().map(Path::head).collect()
    }
}

impl Test {
    fn holds(&self, item: &Item) -> bool {
        match self {
            Test::All(tests) => tests.iter().all(|test| test.holds(item)),
            Test::Any(tests) => tests.iter().any(|test| test.holds(item)),
            Test::Not(test) => !test.holds(item),
            Test::Compare(Comparator::NotEqual, left, right) => !equal(left.get(item), right.get(item)),
            Test::Compare(Comparator::Equal, left, right) => equal(left.get(item), right.get(item)),
            Test::Compare(comparator, left, right) => match order(left.get(item), right.get(item)) {
                None => false,
                Some(Ordering::Less) => matches!(comparator, Comparator::Less | Comparator::LessOrEqual),
                Some(Ordering::Equal) => matches!(comparator, Comparator::LessOrEqual | Comparator::GreaterOrEqual),
                Some(Ordering::Greater) => matches!(comparator, Comparator::Greater | Comparator::GreaterOrEqual),
            },
            Test::Between(operand, low, high) => {
                let value = operand.get(item);
                let above = order(low.get(item), value.clone()).is_some_and(Ordering::is_le);
                above && order(value, high.get(item)).is_some_and(Ordering::is_le)
            }
            Test::In(operand, among) => {
                let value = operand.get(item);
                among.iter().any(|candidate| equal(value.clone(), candidate.get(item)))
            }
            Test::Exists(path) => path.get(item).is_some(),
            Test::NotExists(path) => path.get(item).is_none(),
            Test::IsType(operand, name) => operand.get(item).is_some_and(|value| value.type_name() == name),
            Test::BeginsWith(operand, prefix) => match (operand.get(item).as_deref(), prefix.get(item).as_deref()) {
                (Some(Value::S(text)), Some(Value::S(prefix))) => text.starts_with(prefix.as_str()),
                (Some(Value::B(bytes)), Some(Value::B(prefix))) => bytes.starts_with(prefix),
                _ => false,
            },
            Test::Contains(operand, part) => match (operand.get(item), part.get(item)) {
                (Some(whole), Some(part)) => contains(&whole, &part),
                _ => false,
            },
        }
    }

    fn paths<'a>(&'a self, into: &mut BTreeSet<&'a Path>) {
        match self {
            Test::All(tests) | Test::Any(tests) => tests.iter().for_each(|test| test.paths(into)),
            Test::Not(test) => test.paths(into),
            Test::Compare(_, left, right) | Test::BeginsWith(left, right) | Test::Contains(left, right) => {
                into.extend(left.path());
                into.extend(right.path());
            }
            Test::Between(operand, low, high) => {
                into.extend([operand, low, high].into_iter().filter_map(Operand::path))
            }
            Test::In(operand, among) => {
                into.extend(operand.path());
                into.extend(among.iter().filter_map(Operand::path));
            }
            Test::Exists(path) | Test::NotExists(path) => {
                into.insert(path);
            }
            Test::IsType(operand, _) => into.extend(operand.path()),
        }
    }
}

impl Operand {
    /// What the operand is in an item; `None` where it has none.
    pub fn get<'a>(&'a self, item: &'a Item) -> Option<Cow<'a, Value>> {
        match self {
            Operand::Path(path) => path.get(item).map(Cow::Borrowed),
            Operand::Value(value) => Some(Cow::Borrowed(value)),
            Operand::Size(of) => {
                let size = size(&*of.get(item)?)?;
                Some(Cow::Owned(Value::N(Number::from(i64::try_from(size).unwrap_or(i64::MAX)))))
            }
        }
    }

    fn path(&self) -> Option<&Path> {
        match self {
            Operand::Path(path) => Some(path),
            Operand::Value(_) => None,
            Operand::Size(of) => of.path(),
        }
    }

    /// The type, where the expression alone tells it.
    fn known_type(&self) -> Option<&'static str> {
        match self {
            Operand::Path(_) => None,
            Operand::Value(value) => Some(value.type_name()),
            Operand::Size(_) => Some("N"),
        }
    }
}

/// What the function `size` gives: bytes of texts and binaries, elements of the rest. Numbers, truths and null have none.
fn size(value: &Value) -> Option<usize> {
    match value {
        Value::S(text) => Some(text.len()),
        Value::B(bytes) => Some(bytes.len()),
        Value::Ss(set) => Some(set.len()),
        Value::Ns(set) => Some(set.len()),
        Value::Bs(set) => Some(set.len()),
        Value::L(list) => Some(list.len()),
        Value::M(map) => Some(map.len()),
        Value::N(_) | Value::Bool(_) | Value::Null => None,
    }
}

/// What is not there equals nothing.
fn equal(left: Option<Cow<'_, Value>>, right: Option<Cow<'_, Value>>) -> bool {
    left.is_some() && left == right
}

/// Text, numbers and binaries have an order among their own.
pub(crate) fn order(left: Option<Cow<'_, Value>>, right: Option<Cow<'_, Value>>) -> Option<Ordering> {
    match (left?.as_ref(), right?.as_ref()) {
        (Value::S(left), Value::S(right)) => Some(left.as_bytes().cmp(right.as_bytes())),
        (Value::N(left), Value::N(right)) => Some(left.cmp(right)),
        (Value::B(left), Value::B(right)) => Some(left.cmp(right)),
        _ => None,
    }
}

/// A text in a text, bytes in bytes, an element in a set or a list.
fn contains(whole: &Value, part: &Value) -> bool {
    match (whole, part) {
        (Value::S(whole), Value::S(part)) => whole.contains(part.as_str()),
        (Value::B(whole), Value::B(part)) => memmem::find(whole, part).is_some(),
        (Value::Ss(set), Value::S(part)) => set.contains(part),
        (Value::Ns(set), Value::N(part)) => set.contains(part),
        (Value::Bs(set), Value::B(part)) => set.contains(part),
        (Value::L(list), part) => list.contains(part),
        _ => false,
    }
}

pub(super) fn read(text: &str, placeholders: &mut Placeholders) -> Result<Condition, String> {
    let parsed = parse::condition(text)?;
    let mut findings = Findings::default();
    if parsed.has_redundant_parentheses {
        findings.note(Rank::Parentheses, "The expression has redundant parentheses;");
    }
    survey(&parsed.condition, &mut findings);
    findings.result()?;
    typed(&parsed.condition, placeholders).map(Condition::new)
}

/// Functions that are not there or not where they belong, and reserved words, in the whole of the condition.
fn survey(condition: &RawCondition, findings: &mut Findings) {
    let mut operands: Vec<&Raw> = Vec::new();
    match condition {
        RawCondition::And(tests) | RawCondition::Or(tests) => tests.iter().for_each(|test| survey(test, findings)),
        RawCondition::Not(test) => survey(test, findings),
        RawCondition::Compare(_, left, right) => operands.extend([left, right]),
        RawCondition::Between(operand, low, high) => operands.extend([operand, low, high]),
        RawCondition::In(operand, among) => {
            operands.push(operand);
            operands.extend(among);
        }
        RawCondition::Call(call) => {
            survey_call(call, call.name != "size", findings);
            operands.extend(&call.operands);
        }
    }
    for operand in operands {
        check::calls(operand, true, &mut |call, _| survey_call(call, call.name == "size", findings));
        check::paths(operand, &mut |path| check::reserved(path, findings));
    }
}

fn survey_call(call: &RawCall, is_placed_well: bool, findings: &mut Findings) {
    if !check::FUNCTIONS_OF_CONDITIONS.contains(&call.name.as_str()) {
        if check::FUNCTIONS_OF_UPDATES.contains(&call.name.as_str()) {
            findings.note(Rank::MisusedFunction, check::misused_function(&call.name));
        } else {
            findings.note(Rank::UnknownFunction, check::unknown_function(&call.name));
        }
    } else if !is_placed_well {
        findings.note(Rank::MisusedFunction, check::misused_function(&call.name));
    }
}

fn typed(condition: &RawCondition, placeholders: &mut Placeholders) -> Result<Test, String> {
    let all = |tests: &[RawCondition], placeholders: &mut Placeholders| {
        tests.iter().map(|test| typed(test, placeholders)).collect::<Result<Vec<_>, _>>()
    };
    match condition {
        RawCondition::And(tests) => all(tests, placeholders).map(Test::All),
        RawCondition::Or(tests) => all(tests, placeholders).map(Test::Any),
        RawCondition::Not(test) => Ok(Test::Not(Box::new(typed(test, placeholders)?))),
        leaf => {
            let mut findings = Findings::default();
            let test = leaf_test(leaf, placeholders, &mut findings);
            findings.result()?;
            let test = test.ok_or_else(|| "Syntax error".to_owned())?;
            test.check()?;
            Ok(test)
        }
    }
}

/// `None` only where a finding says why.
fn leaf_test(leaf: &RawCondition, placeholders: &mut Placeholders, findings: &mut Findings) -> Option<Test> {
    match leaf {
        RawCondition::And(_) | RawCondition::Or(_) | RawCondition::Not(_) => None,
        RawCondition::Compare(comparator, left, right) => {
            let left = operand(left, placeholders, findings);
            let right = operand(right, placeholders, findings);
            Some(Test::Compare(*comparator, left?, right?))
        }
        RawCondition::Between(of, low, high) => {
            let of = operand(of, placeholders, findings);
            let low = operand(low, placeholders, findings);
            let high = operand(high, placeholders, findings);
            Some(Test::Between(of?, low?, high?))
        }
        RawCondition::In(of, among) => {
            let of = operand(of, placeholders, findings);
            let among: Vec<_> = among.iter().map(|candidate| operand(candidate, placeholders, findings)).collect();
            Some(Test::In(of?, among.into_iter().collect::<Option<_>>()?))
        }
        RawCondition::Call(call) => call_test(call, placeholders, findings),
    }
}

fn call_test(call: &RawCall, placeholders: &mut Placeholders, findings: &mut Findings) -> Option<Test> {
    let operands: Vec<_> = call.operands.iter().map(|each| operand(each, placeholders, findings)).collect();
    let count = operands.len();
    let operands: Vec<Operand> = operands.into_iter().collect::<Option<_>>().unwrap_or_default();
    match function(&call.name, count, operands) {
        Ok(test) => test,
        Err((rank, message)) => {
            findings.note(rank, message);
            None
        }
    }
}

/// A call of a function that is a condition, of operands that were counted before they were read; `None` where not all
/// of them could be read.
pub(crate) fn function(name: &str, count: usize, operands: Vec<Operand>) -> Result<Option<Test>, (Rank, String)> {
    let expected = if matches!(name, "attribute_exists" | "attribute_not_exists") { 1 } else { 2 };
    if count != expected {
        return Err((Rank::OperandCount, check::operand_count(name, count)));
    }
    let mut operands = operands.into_iter();
    let Some(first) = operands.next() else { return Ok(None) };
    if expected == 1 {
        return match first {
            Operand::Path(path) if name == "attribute_exists" => Ok(Some(Test::Exists(path))),
            Operand::Path(path) => Ok(Some(Test::NotExists(path))),
            _ => Err((Rank::Function, check::needs_path(name))),
        };
    }
    let Some(second) = operands.next() else { return Ok(None) };
    match name {
        "begins_with" => Ok(Some(Test::BeginsWith(first, second))),
        "contains" => Ok(Some(Test::Contains(first, second))),
        _ => attribute_type(first, second).map(Some),
    }
}

fn attribute_type(operand: Operand, name: Operand) -> Result<Test, (Rank, String)> {
    let Operand::Value(value) = &name else {
        let kind = name.known_type().unwrap_or("{NS,SS,L,BS,N,M,B,BOOL,NULL,S}");
        return Err((Rank::Function, check::operand_type("attribute_type", kind)));
    };
    match &**value {
        Value::S(name) if TYPE_NAMES.contains(&name.as_str()) => Ok(Test::IsType(operand, name.clone())),
        Value::S(name) => {
            let names = TYPE_NAMES.join(",");
            let message = format!("Invalid attribute type name found; type: {name}, valid types: {{{names}}}");
            Err((Rank::Function, message))
        }
        other => Err((Rank::Function, check::operand_type("attribute_type", other.type_name()))),
    }
}

/// `None` only where a finding says why.
fn operand(raw: &Raw, placeholders: &mut Placeholders, findings: &mut Findings) -> Option<Operand> {
    match raw {
        Raw::Path(path) => Some(Operand::Path(check::path(path, placeholders, findings))),
        Raw::Value(name) => check::value(name, placeholders, findings).map(Operand::Value),
        // The survey left no other function here.
        Raw::Call(call) => {
            let operands: Vec<_> = call.operands.iter().map(|each| operand(each, placeholders, findings)).collect();
            let [of] = operands.as_slice() else {
                findings.note(Rank::OperandCount, check::operand_count(&call.name, operands.len()));
                return None;
            };
            Some(Operand::Size(Box::new(of.clone()?)))
        }
    }
}

impl Test {
    /// What the operands alone tell to be wrong, in AWS's words: types that an operator does not take, an operand
    /// against itself, bounds the wrong way round.
    pub(crate) fn check(&self) -> Result<(), String> {
        let mut findings = Findings::default();
        match self {
            Test::All(tests) | Test::Any(tests) => return tests.iter().try_for_each(Test::check),
            Test::Not(test) => return test.check(),
            Test::Compare(comparator, left, right) => {
                distinct(comparator.text(), left, right, &mut findings);
                if !matches!(comparator, Comparator::Equal | Comparator::NotEqual) {
                    [left, right].into_iter().for_each(|operand| ordered(comparator.text(), operand, &mut findings));
                }
                [left, right].into_iter().for_each(|operand| sized(operand, &mut findings));
            }
            Test::Between(of, low, high) => {
                for operand in [of, low, high] {
                    ordered("BETWEEN", operand, &mut findings);
                    sized(operand, &mut findings);
                }
                bounds(low, high, &mut findings);
            }
            Test::In(of, among) => {
                [of].into_iter().chain(among).for_each(|operand| sized(operand, &mut findings));
            }
            Test::Exists(_) | Test::NotExists(_) => {}
            Test::IsType(operand, _) => sized(operand, &mut findings),
            Test::BeginsWith(of, prefix) => {
                distinct("begins_with", of, prefix, &mut findings);
                for operand in [of, prefix] {
                    if let Some(kind) = operand.known_type().filter(|kind| !["S", "B"].contains(kind)) {
                        findings.note(Rank::Function, check::operand_type("begins_with", kind));
                    }
                }
            }
            Test::Contains(of, part) => {
                distinct("contains", of, part, &mut findings);
                [of, part].into_iter().for_each(|operand| sized(operand, &mut findings));
            }
        }
        findings.result()
    }
}

/// What has no size: numbers, truths, null.
fn sized(operand: &Operand, findings: &mut Findings) {
    if let Operand::Size(of) = operand {
        if let Some(kind) = of.known_type().filter(|kind| ["N", "BOOL", "NULL"].contains(kind)) {
            findings.note(Rank::Function, check::operand_type("size", kind));
        }
        sized(of, findings);
    }
}

fn distinct(operator: &str, first: &Operand, second: &Operand, findings: &mut Findings) {
    if let (Operand::Path(path), Operand::Path(other)) = (first, second)
        && path == other
    {
        let message = format!(
            "The first operand must be distinct from the remaining operands for this operator or function; \
             operator: {operator}, first operand: {path}"
        );
        findings.note(Rank::Distinct, message);
    }
}

/// An operand of a comparison by order is text, a number or a binary.
fn ordered(operator: &str, operand: &Operand, findings: &mut Findings) {
    if let Some(kind) = operand.known_type().filter(|kind| !["S", "N", "B"].contains(kind)) {
        findings.note(Rank::Function, check::operand_type(operator, kind));
    }
}

fn bounds(low: &Operand, high: &Operand, findings: &mut Findings) {
    let (Operand::Value(low), Operand::Value(high)) = (low, high) else { return };
    if !low.is_scalar_key() || !high.is_scalar_key() {
        return;
    }
    let wrong = match order(Some(Cow::Borrowed(low)), Some(Cow::Borrowed(high))) {
        None => "requires same data type for lower and upper bounds",
        Some(Ordering::Greater) => "requires upper bound to be greater than or equal to lower bound",
        Some(_) => return,
    };
    let message = format!(
        "The BETWEEN operator {wrong}; lower bound operand: AttributeValue: {}, upper bound operand: AttributeValue: {}",
        shown(low),
        shown(high)
    );
    findings.note(Rank::Function, message);
}

/// As AWS's messages show a value.
fn shown(value: &Value) -> String {
    let wire = value.to_json();
    let content = wire.get(value.type_name()).and_then(|content| content.as_str().map(str::to_owned));
    format!("{{{}:{}}}", value.type_name(), content.unwrap_or_default())
}
