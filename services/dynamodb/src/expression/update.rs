//! Updates: what `UpdateExpression` and `AttributeUpdates` become, and what they make of an item. Everything they read
//! is of the item as it was before.
//! Source: "Update expressions" of the DynamoDB Developer Guide.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

use cumulet_base::limits;

use super::check::{self, Findings, Rank};
use super::parse::{self, Raw, RawAction, RawCall, RawSet};
use super::path::{Path, Step};
use super::placeholders::Placeholders;
use super::projection::Projection;
use crate::value::{Invalid, Item, Value};

#[derive(Clone, Debug, PartialEq)]
pub struct Update {
    actions: Vec<Action>,
    /// What is told where an attribute is not of the type that its action needs.
    wrong_type: &'static str,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    Set(Path, SetValue),
    Remove(Path),
    /// Adds a number to a number, or elements to a set; lists to lists in the older form only.
    Add(Path, Arc<Value>),
    /// Takes elements out of a set.
    Delete(Path, Arc<Value>),
}

#[derive(Clone, Debug, PartialEq)]
pub enum SetValue {
    Operand(Source),
    Sum(Source, Source),
    Difference(Source, Source),
}

#[derive(Clone, Debug, PartialEq)]
pub enum Source {
    Path(Path),
    Value(Arc<Value>),
    IfNotExists(Path, Box<Source>),
    ListAppend(Box<Source>, Box<Source>),
}

impl Action {
    pub fn path(&self) -> &Path {
        match self {
            Action::Set(path, _) | Action::Remove(path) | Action::Add(path, _) | Action::Delete(path, _) => path,
        }
    }

    /// Types that the expression alone tells to be wrong.
    fn check(&self, findings: &mut Findings) {
        match self {
            Action::Remove(_) => {}
            Action::Add(_, value) => of_section("ADD", value, findings),
            Action::Delete(_, value) => of_section("DELETE", value, findings),
            Action::Set(_, SetValue::Operand(source)) => source.check(findings),
            Action::Set(_, SetValue::Sum(left, right)) => {
                [left, right].into_iter().for_each(|operand| operand.check_as("+", "N", findings));
            }
            Action::Set(_, SetValue::Difference(left, right)) => {
                [left, right].into_iter().for_each(|operand| operand.check_as("-", "N", findings));
            }
        }
    }
}

const WRONG_TYPE: &str = "An operand in the update expression has an incorrect data type";
const WRONG_PATH: &str = "The document path provided in the update expression is invalid for update";
const MISSING: &str = "The provided expression refers to an attribute that does not exist in the item";

impl Update {
    /// Of actions whose paths do not clash.
    pub fn new(actions: Vec<Action>) -> Update {
        Update { actions, wrong_type: WRONG_TYPE }
    }

    /// The same of actions that may clash, or may name values of types that they do not take, in AWS's words.
    pub(crate) fn checked(actions: Vec<Action>) -> Result<Update, String> {
        let mut findings = Findings::default();
        let paths: Vec<&Path> = actions.iter().map(Action::path).collect();
        check::clashes(&paths, &mut findings);
        actions.iter().for_each(|action| action.check(&mut findings));
        findings.result()?;
        Ok(Update::new(actions))
    }

    /// Of the older form, which has its own words.
    pub(crate) fn of_attribute_updates(actions: Vec<Action>) -> Update {
        Update { actions, wrong_type: "Type mismatch for attribute to update" }
    }

    pub fn actions(&self) -> &[Action] {
        &self.actions
    }

    /// What is written to.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        self.actions.iter().map(Action::path)
    }

    /// The attributes that are written to.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.paths().map(Path::head)
    }

    /// What becomes of an item that is there.
    pub fn apply(&self, item: &Item) -> Result<Item, Invalid> {
        self.run(item, true)
    }

    /// What becomes of an item that is not there yet, and has its keys only. Nothing can be taken out of it, so that
    /// taking out is no error, whatever the path.
    pub fn create(&self, keys: &Item) -> Result<Item, Invalid> {
        self.run(keys, false)
    }

    /// Of an item as it was, the parts that the update writes to: `UPDATED_OLD`.
    pub fn updated_old(&self, old: &Item) -> Item {
        Projection::new(self.paths()).project(old)
    }

    /// Of an item as it is now, the parts that the update writes to: `UPDATED_NEW`. As at AWS, what has been appended
    /// to a list by an index beyond its end is not among them, and what has moved to the place of a removed element is.
    pub fn updated_new(&self, new: &Item) -> Item {
        Projection::new(self.paths()).project(new)
    }

    /// Whether an item that is not there comes to be. An update that only takes out makes none.
    pub fn creates(&self) -> bool {
        let takes_out = |action: &Action| matches!(action, Action::Remove(_) | Action::Delete(..));
        self.actions.is_empty() || !self.actions.iter().all(takes_out)
    }

    fn run(&self, old: &Item, is_there: bool) -> Result<Item, Invalid> {
        let mut writes: Vec<(&Path, Value)> = Vec::new();
        let mut removals: Vec<&Path> = Vec::new();
        let mut bytes = 0;
        for action in &self.actions {
            let before = writes.len();
            match action {
                Action::Set(path, value) => writes.push((path, value.get(old)?)),
                Action::Remove(path) => removals.push(path),
                Action::Add(path, value) => {
                    let sum = match path.get(old) {
                        None => Some(Value::clone(value)),
                        Some(present) => added(present, value)?,
                    };
                    writes.push((path, sum.ok_or_else(|| Invalid::new(self.wrong_type))?));
                }
                Action::Delete(path, value) => match path.get(old).map(|present| without(present, value)) {
                    Some(None) => return Err(Invalid::new(self.wrong_type)),
                    Some(Some(Some(rest))) => writes.push((path, rest)),
                    Some(Some(None)) | None => removals.push(path),
                },
            }
            // All that is written is part of the new item: what is too large for one is not gathered first.
            bytes += writes[before..].iter().map(|(_, value)| value.size_bytes()).sum::<usize>();
            if bytes > limits::TABLE_ITEM_BYTES_MAX {
                return Err(Invalid::new("Item size to update has exceeded the maximum allowed size"));
            }
        }
        let mut item = old.clone();
        // Elements beyond the end of a list are appended in the order of their indexes.
        writes.sort_by_key(|(path, _)| *path);
        for (path, value) in writes {
            write(&mut item, path, value)?;
        }
        // Indexes are those of the old item: the last are taken out first, and only what was there.
        removals.sort_by(|one, other| other.cmp(one));
        for path in removals {
            if path.is_nested() && is_there && !has_parent(old, path) {
                return Err(Invalid::new(WRONG_PATH));
            }
            if path.get(old).is_some() {
                remove(&mut item, path);
            }
        }
        let is_too_deep =
            |path: &Path| item.get(path.head()).is_some_and(|value| value.levels() > limits::DYNAMODB_NESTING_MAX);
        if self.paths().any(is_too_deep) {
            return Err(Invalid::too_deep());
        }
        Ok(item)
    }
}

impl SetValue {
    fn get(&self, item: &Item) -> Result<Value, Invalid> {
        match self {
            SetValue::Operand(source) => source.get(item).map(Cow::into_owned),
            SetValue::Sum(left, right) => match (&*left.get(item)?, &*right.get(item)?) {
                (Value::N(left), Value::N(right)) => left.checked_add(*right).map(Value::N),
                _ => Err(Invalid::new(WRONG_TYPE)),
            },
            SetValue::Difference(left, right) => match (&*left.get(item)?, &*right.get(item)?) {
                (Value::N(left), Value::N(right)) => left.checked_sub(*right).map(Value::N),
                _ => Err(Invalid::new(WRONG_TYPE)),
            },
        }
    }
}

impl Source {
    fn get<'a>(&'a self, item: &'a Item) -> Result<Cow<'a, Value>, Invalid> {
        match self {
            Source::Path(path) => path.get(item).map(Cow::Borrowed).ok_or_else(|| Invalid::new(MISSING)),
            Source::Value(value) => Ok(Cow::Borrowed(value)),
            Source::IfNotExists(path, otherwise) => match path.get(item) {
                Some(value) => Ok(Cow::Borrowed(value)),
                None => otherwise.get(item),
            },
            Source::ListAppend(first, second) => {
                match (first.get(item)?.into_owned(), second.get(item)?.into_owned()) {
                    (Value::L(mut first), Value::L(second)) => {
                        first.extend(second);
                        Ok(Cow::Owned(Value::L(first)))
                    }
                    _ => Err(Invalid::new(WRONG_TYPE)),
                }
            }
        }
    }

    /// Lists are what `list_append` takes, wherever it stands.
    fn check(&self, findings: &mut Findings) {
        match self {
            Source::Path(_) | Source::Value(_) => {}
            Source::IfNotExists(_, otherwise) => otherwise.check(findings),
            Source::ListAppend(first, second) => {
                [first, second].into_iter().for_each(|operand| operand.check_as("list_append", "L", findings));
            }
        }
    }

    fn check_as(&self, function: &str, expected: &str, findings: &mut Findings) {
        if let Some(kind) = self.known_type().filter(|kind| *kind != expected) {
            findings.note(Rank::Function, check::operand_type(function, kind));
        }
        self.check(findings);
    }

    /// The type, where the expression alone tells it.
    fn known_type(&self) -> Option<&'static str> {
        match self {
            Source::Value(value) => Some(value.type_name()),
            Source::ListAppend(..) => Some("L"),
            Source::Path(_) | Source::IfNotExists(..) => None,
        }
    }
}

/// `None` where the two are not of types that add up.
fn added(present: &Value, value: &Value) -> Result<Option<Value>, Invalid> {
    Ok(Some(match (present, value) {
        (Value::N(present), Value::N(value)) => Value::N(present.checked_add(*value)?),
        (Value::Ss(present), Value::Ss(value)) => Value::Ss(present | value),
        (Value::Ns(present), Value::Ns(value)) => Value::Ns(present | value),
        (Value::Bs(present), Value::Bs(value)) => Value::Bs(present | value),
        (Value::L(present), Value::L(value)) => Value::L([present.as_slice(), value].concat()),
        _ => return Ok(None),
    }))
}

/// What is left of a set, which is nothing rather than an empty one; `None` where the two are not sets of one type.
fn without(present: &Value, value: &Value) -> Option<Option<Value>> {
    match (present, value) {
        (Value::Ss(present), Value::Ss(value)) => Some(left(present, value).map(Value::Ss)),
        (Value::Ns(present), Value::Ns(value)) => Some(left(present, value).map(Value::Ns)),
        (Value::Bs(present), Value::Bs(value)) => Some(left(present, value).map(Value::Bs)),
        _ => None,
    }
}

fn left<T: Ord + Clone>(present: &BTreeSet<T>, taken: &BTreeSet<T>) -> Option<BTreeSet<T>> {
    Some(present - taken).filter(|set| !set.is_empty())
}

/// Whether what would hold the last step of a nested path is there, and a list or a map as the step wants it.
fn has_parent(item: &Item, path: &Path) -> bool {
    let Some((last, before)) = path.steps().split_last() else { return true };
    let parent = Path::new(path.head(), before.to_vec());
    matches!((last, parent.get(item)), (Step::Name(_), Some(Value::M(_))) | (Step::Index(_), Some(Value::L(_))))
}

fn write(item: &mut Item, path: &Path, value: Value) -> Result<(), Invalid> {
    let Some((last, before)) = path.steps().split_last() else {
        item.insert(path.head().to_owned(), value);
        return Ok(());
    };
    match (last, descend(item, path.head(), before)) {
        (Step::Name(name), Some(Value::M(map))) => {
            map.insert(name.as_ref().to_owned(), value);
        }
        (Step::Index(index), Some(Value::L(list))) => match list.get_mut(*index as usize) {
            Some(element) => *element = value,
            None => list.push(value),
        },
        _ => return Err(Invalid::new(WRONG_PATH)),
    }
    Ok(())
}

fn remove(item: &mut Item, path: &Path) {
    let Some((last, before)) = path.steps().split_last() else {
        item.remove(path.head());
        return;
    };
    match (last, descend(item, path.head(), before)) {
        (Step::Name(name), Some(Value::M(map))) => {
            map.remove(&**name);
        }
        (Step::Index(index), Some(Value::L(list))) if (*index as usize) < list.len() => {
            list.remove(*index as usize);
        }
        _ => {}
    }
}

fn descend<'a>(item: &'a mut Item, head: &str, steps: &[Step]) -> Option<&'a mut Value> {
    let head = item.get_mut(head)?;
    steps.iter().try_fold(head, |value, step| match (step, value) {
        (Step::Name(name), Value::M(map)) => map.get_mut(&**name),
        (Step::Index(index), Value::L(list)) => list.get_mut(*index as usize),
        _ => None,
    })
}

pub(super) fn read(text: &str, placeholders: &mut Placeholders) -> Result<Update, String> {
    let sections = parse::update(text)?;
    let mut findings = Findings::default();
    let mut seen = Vec::new();
    let mut actions = Vec::new();
    for (section, raw) in &sections {
        if seen.contains(section) {
            let name = section.name();
            let message = format!("The \"{name}\" section can only be used once in an update expression;");
            findings.note(Rank::Section, message);
        }
        seen.push(*section);
        actions.extend(raw.iter().map(|action| typed(action, placeholders, &mut findings)));
    }
    let paths: Vec<&Path> = actions.iter().map(|(path, _)| path).collect();
    check::clashes(&paths, &mut findings);
    actions.iter().filter_map(|(_, action)| action.as_ref()).for_each(|action| action.check(&mut findings));
    findings.result()?;
    let actions = actions.into_iter().filter_map(|(_, action)| action).collect();
    Ok(Update::new(actions))
}

/// The path that is written to, and the action unless a finding says why there is none.
fn typed(raw: &RawAction, placeholders: &mut Placeholders, findings: &mut Findings) -> (Path, Option<Action>) {
    let (RawAction::Set(target, _)
    | RawAction::Remove(target)
    | RawAction::Add(target, _)
    | RawAction::Delete(target, _)) = raw;
    check::reserved(target, findings);
    let path = check::path(target, placeholders, findings);
    let action = match raw {
        RawAction::Set(_, value) => {
            set_value(value, placeholders, findings).map(|value| Action::Set(path.clone(), value))
        }
        RawAction::Remove(_) => Some(Action::Remove(path.clone())),
        RawAction::Add(_, name) => {
            check::value(name, placeholders, findings).map(|value| Action::Add(path.clone(), value))
        }
        RawAction::Delete(_, name) => {
            check::value(name, placeholders, findings).map(|value| Action::Delete(path.clone(), value))
        }
    };
    (path, action)
}

/// `ADD` takes numbers and sets, `DELETE` sets.
fn of_section(section: &str, value: &Value, findings: &mut Findings) {
    let name = match value {
        Value::Ss(_) | Value::Ns(_) | Value::Bs(_) => return,
        Value::N(_) if section == "ADD" => return,
        Value::N(_) => "NUMBER",
        Value::S(_) => "STRING",
        Value::B(_) => "BINARY",
        Value::Bool(_) => "BOOLEAN",
        Value::Null => "NULL",
        Value::L(_) => "LIST",
        Value::M(_) => "MAP",
    };
    let message = format!("Incorrect operand type for operator or function; operator: {section}, operand type: {name}");
    findings.note(Rank::Operand, message);
}

fn set_value(raw: &RawSet, placeholders: &mut Placeholders, findings: &mut Findings) -> Option<SetValue> {
    let (operator, left, right) = match raw {
        RawSet::Operand(operand) => {
            survey(operand, findings);
            return source(operand, placeholders, findings).map(SetValue::Operand);
        }
        RawSet::Sum(left, right) => ("+", left, right),
        RawSet::Difference(left, right) => ("-", left, right),
    };
    [left, right].into_iter().for_each(|operand| survey(operand, findings));
    let left = source(left, placeholders, findings);
    let right = source(right, placeholders, findings);
    Some(if operator == "+" { SetValue::Sum(left?, right?) } else { SetValue::Difference(left?, right?) })
}

/// Functions that are not there or not where they belong, and reserved words.
fn survey(operand: &Raw, findings: &mut Findings) {
    check::calls(operand, false, &mut |call, is_inner| {
        let name = call.name.as_str();
        if check::FUNCTIONS_OF_UPDATES.contains(&name) {
            // AWS does not let one `list_append` stand in another.
            if is_inner && name == "list_append" {
                findings.note(Rank::MisusedFunction, check::misused_function(name));
            }
        } else if check::FUNCTIONS_OF_CONDITIONS.contains(&name) {
            findings.note(Rank::MisusedFunction, check::misused_function(name));
        } else {
            findings.note(Rank::UnknownFunction, check::unknown_function(name));
        }
    });
    check::paths(operand, &mut |path| check::reserved(path, findings));
}

/// `None` only where a finding says why.
fn source(raw: &Raw, placeholders: &mut Placeholders, findings: &mut Findings) -> Option<Source> {
    match raw {
        Raw::Path(path) => Some(Source::Path(check::path(path, placeholders, findings))),
        Raw::Value(name) => check::value(name, placeholders, findings).map(Source::Value),
        Raw::Call(call) => called(call, placeholders, findings),
    }
}

fn called(call: &RawCall, placeholders: &mut Placeholders, findings: &mut Findings) -> Option<Source> {
    let operands: Vec<_> = call.operands.iter().map(|each| source(each, placeholders, findings)).collect();
    let name = call.name.as_str();
    let count = operands.len();
    let Ok([first, second]) = <[_; 2]>::try_from(operands) else {
        findings.note(Rank::Function, check::operand_count(name, count));
        return None;
    };
    if name == "if_not_exists" {
        return match first {
            Some(Source::Path(path)) => Some(Source::IfNotExists(path, Box::new(second?))),
            _ => {
                findings.note(Rank::Function, check::needs_path(name));
                None
            }
        };
    }
    Some(Source::ListAppend(Box::new(first?), Box::new(second?)))
}
