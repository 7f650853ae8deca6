//! What AWS checks once an expression is read, and in which order it tells: of several errors the one of the first
//! rank is told, and within a rank the first in the text. Also the lookup of names, common to all expressions.

use std::collections::HashMap;
use std::sync::Arc;

use super::parse::{Raw, RawCall, RawPath, RawStep};
use super::path::{Clash, Path, Step};
use super::placeholders::Placeholders;
use super::reserved::is_reserved;
use crate::value::Value;

/// In the order in which they are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rank {
    Parentheses,
    UnknownFunction,
    MisusedFunction,
    Reserved,
    Section,
    Name,
    Value,
    OperandCount,
    Distinct,
    Overlap,
    Conflict,
    Operand,
    Function,
}

/// The error to be told, of those found so far.
#[derive(Default)]
pub struct Findings {
    first: Option<(Rank, String)>,
}

impl Findings {
    pub fn note(&mut self, rank: Rank, message: impl Into<String>) {
        if self.first.as_ref().is_none_or(|(told, _)| rank < *told) {
            self.first = Some((rank, message.into()));
        }
    }

    pub fn result(self) -> Result<(), String> {
        self.first.map_or(Ok(()), |(_, message)| Err(message))
    }
}

pub const FUNCTIONS_OF_CONDITIONS: [&str; 6] =
    ["attribute_exists", "attribute_not_exists", "attribute_type", "begins_with", "contains", "size"];
pub const FUNCTIONS_OF_UPDATES: [&str; 2] = ["if_not_exists", "list_append"];

/// Every call within an operand, outer ones first; told whether it is within another.
pub fn calls<'a>(operand: &'a Raw, is_inner: bool, visit: &mut dyn FnMut(&'a RawCall, bool)) {
    if let Raw::Call(call) = operand {
        visit(call, is_inner);
        call.operands.iter().for_each(|operand| calls(operand, true, visit));
    }
}

/// Every path within an operand.
pub fn paths<'a>(operand: &'a Raw, visit: &mut dyn FnMut(&'a RawPath)) {
    match operand {
        Raw::Path(path) => visit(path),
        Raw::Value(_) => {}
        Raw::Call(call) => call.operands.iter().for_each(|operand| paths(operand, visit)),
    }
}

/// Names as written must not be reserved words.
pub fn reserved(path: &RawPath, findings: &mut Findings) {
    for step in path {
        if let RawStep::Name(name) = step
            && is_reserved(name)
        {
            let message = format!("Attribute name is a reserved keyword; reserved keyword: {name}");
            findings.note(Rank::Reserved, message);
        }
    }
}

/// Looks up the names of a path. Where one is not defined, that is noted, and the path is of no use.
pub fn path(raw: &RawPath, placeholders: &mut Placeholders, findings: &mut Findings) -> Path {
    let mut names = raw.iter().map(|step| match step {
        RawStep::Name(name) => Step::Name(name.as_str().into()),
        RawStep::Index(index) => Step::Index(*index),
        RawStep::Alias(alias) => Step::Name(placeholders.name(alias).unwrap_or_else(|message| {
            findings.note(Rank::Name, message);
            alias.as_str().into()
        })),
    });
    let head = match names.next() {
        Some(Step::Name(head)) => head,
        // The grammar begins paths with a name.
        _ => "".into(),
    };
    let steps = names.collect();
    Path::new(head, steps)
}

pub fn value(name: &str, placeholders: &mut Placeholders, findings: &mut Findings) -> Option<Arc<Value>> {
    placeholders.value(name).map_err(|message| findings.note(Rank::Value, message)).ok()
}

pub fn operand_type(function: &str, operand: &str) -> String {
    format!(
        "Incorrect operand type for operator or function; operator or function: {function}, operand type: {operand}"
    )
}

pub fn operand_count(function: &str, count: usize) -> String {
    format!(
        "Incorrect number of operands for operator or function; operator or function: {function}, \
         number of operands: {count}"
    )
}

pub fn needs_path(function: &str) -> String {
    format!("Operator or function requires a document path; operator or function: {function}")
}

pub fn unknown_function(name: &str) -> String {
    format!("Invalid function name; function: {name}")
}

pub fn misused_function(name: &str) -> String {
    format!("The function is not allowed to be used this way in an expression; function: {name}")
}

/// Notes paths that may not stand beside one another.
pub fn clashes(paths: &[&Path], findings: &mut Findings) {
    let mut by_head: HashMap<&str, Vec<&Path>> = HashMap::new();
    for &path in paths {
        let before = by_head.entry(path.head()).or_default();
        for other in before.iter() {
            let (rank, word) = match other.clash(path) {
                None => continue,
                Some(Clash::Overlap) => (Rank::Overlap, "overlap"),
                Some(Clash::Conflict) => (Rank::Conflict, "conflict"),
            };
            let message = format!(
                "Two document paths {word} with each other; must remove or rewrite one of these paths; \
                 path one: {other}, path two: {path}"
            );
            findings.note(rank, message);
        }
        before.push(path);
    }
}
