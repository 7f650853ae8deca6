//! Values as a statement writes them: `'text'`, `1.5`, `TRUE`, `NULL`, `[…]`, `{'name': …}`, `<<…>>`, and `?`.

use std::collections::BTreeSet;

use cumulet_base::limits;

use super::super::token::Kind;
use super::{Parser, malformed};
use crate::value::{Invalid, Item, Number, Value};

/// The deepest place: `root`, then names and indexes, as AWS's messages tell it.
const ROOT: &str = "root";

impl Parser<'_> {
    /// A value, which has to be here.
    pub(super) fn literal(&mut self) -> Result<Value, Invalid> {
        match self.try_literal()? {
            Some(value) => Ok(value),
            None => Err(self.unexpected()),
        }
    }

    /// A value, if one begins here.
    pub(super) fn try_literal(&mut self) -> Result<Option<Value>, Invalid> {
        self.value_at(ROOT, 0)
    }

    fn value_at(&mut self, place: &str, depth: usize) -> Result<Option<Value>, Invalid> {
        if depth > limits::DYNAMODB_NESTING_MAX {
            return Err(Invalid::too_deep());
        }
        if let Some(value) = self.scalar(place)? {
            return Ok(Some(value));
        }
        if self.eat("[") {
            return self.list_at(place, depth).map(|list| Some(Value::L(list)));
        }
        if self.eat("{") {
            return self.map_at(place, depth).map(|map| Some(Value::M(map)));
        }
        if self.eat("<<") {
            return self.set().map(Some);
        }
        Ok(None)
    }

    /// A value within another.
    fn inner_value(&mut self, place: &str, depth: usize) -> Result<Value, Invalid> {
        if self.is_any_call() {
            let (name, at) = (self.token().text.to_ascii_lowercase(), self.place(self.at));
            return Err(Invalid::new(format!("Unsupported data type: {name} under key {place} at {at}")));
        }
        self.value_at(place, depth)?.ok_or_else(|| self.unexpected())
    }

    fn scalar(&mut self, place: &str) -> Result<Option<Value>, Invalid> {
        let value = match &self.token().kind {
            Kind::Text(text) => Value::S(text.clone()),
            Kind::Number => number(self.token().text, false, place)?,
            Kind::Parameter => match self.parameters.next() {
                Some(value) => value.clone(),
                None => {
                    self.too_few = true;
                    Value::Null
                }
            },
            Kind::Symbol if self.is_symbol("-") || self.is_symbol("+") => {
                let is_negative = self.is_symbol("-");
                let next = &self.tokens[(self.at + 1).min(self.tokens.len() - 1)];
                if next.kind != Kind::Number {
                    return Ok(None);
                }
                let value = number(next.text, is_negative, place)?;
                self.advance();
                value
            }
            Kind::Word if self.is_word("TRUE") => Value::Bool(true),
            Kind::Word if self.is_word("FALSE") => Value::Bool(false),
            Kind::Word if self.is_word("NULL") => Value::Null,
            _ => return Ok(None),
        };
        self.advance();
        Ok(Some(value))
    }

    fn list_at(&mut self, place: &str, depth: usize) -> Result<Vec<Value>, Invalid> {
        let mut list = Vec::new();
        if self.eat("]") {
            return Ok(list);
        }
        loop {
            let place = format!("{place}[{}]", list.len());
            list.push(self.inner_value(&place, depth + 1)?);
            if self.eat("]") {
                return Ok(list);
            }
            self.expect(",")?;
        }
    }

    fn map_at(&mut self, place: &str, depth: usize) -> Result<Item, Invalid> {
        let mut map = Item::new();
        if self.eat("}") {
            return Ok(map);
        }
        loop {
            let name = match &self.token().kind {
                Kind::Text(name) | Kind::Quoted(name) => name.clone(),
                _ => return Err(self.unexpected()),
            };
            self.advance();
            self.expect(":")?;
            // The attributes of an item are not within one another yet.
            let place = if place == ROOT && depth == 0 { ROOT.to_owned() } else { format!("{place}.{name}") };
            let value = self.inner_value(&place, depth + 1)?;
            if map.insert(name, value).is_some() {
                return Err(malformed("Duplicate field in struct"));
            }
            if self.eat("}") {
                return Ok(map);
            }
            self.expect(",")?;
        }
    }

    /// A set of texts, of numbers or of binaries.
    fn set(&mut self) -> Result<Value, Invalid> {
        let mut elements = Vec::new();
        while !self.eat(">>") {
            if !elements.is_empty() {
                self.expect(",")?;
            }
            let Some(element) = self.scalar(ROOT)? else { return Err(self.unexpected()) };
            elements.push(element);
        }
        let wrong = || Invalid::new("Bags may only hold values of one of the types string, number and binary");
        match elements.first() {
            None => Err(Invalid::new("Empty bags are not supported")),
            Some(Value::S(_)) => {
                let pick = |value| if let Value::S(text) = value { Some(text) } else { None };
                let shown: Vec<String> = elements.iter().cloned().filter_map(pick).collect();
                let twice = Invalid::parameter(format!("Input collection [{}] contains duplicates.", shown.join(", ")));
                distinct(elements, pick, wrong, twice).map(Value::Ss)
            }
            Some(Value::N(_)) => {
                let pick = |value| if let Value::N(number) = value { Some(number) } else { None };
                distinct(elements, pick, wrong, Invalid::new("Input collection contains duplicates")).map(Value::Ns)
            }
            Some(Value::B(_)) => {
                let pick = |value| if let Value::B(bytes) = value { Some(bytes) } else { None };
                let twice = Invalid::parameter("Input collection of type BS contains duplicates.");
                distinct(elements, pick, wrong, twice).map(Value::Bs)
            }
            Some(_) => Err(wrong()),
        }
    }
}

fn distinct<T: Ord>(
    elements: Vec<Value>,
    pick: impl Fn(Value) -> Option<T>,
    wrong: impl Fn() -> Invalid,
    twice: Invalid,
) -> Result<BTreeSet<T>, Invalid> {
    let count = elements.len();
    let set = elements.into_iter().map(pick).collect::<Option<BTreeSet<T>>>().ok_or_else(wrong)?;
    if set.len() < count {
        return Err(twice);
    }
    Ok(set)
}

/// Exponents and scales beyond 32 bits cannot be read at all; what they make of a number is checked by its own rules.
fn number(text: &str, is_negative: bool, place: &str) -> Result<Value, Invalid> {
    let (digits, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let exponent: i64 = exponent.parse().ok().filter(|e| i32::try_from(*e).is_ok()).ok_or_else(|| malformed(""))?;
    let fraction = digits.split_once('.').map_or(0, |(_, fraction)| fraction.len());
    if i32::try_from(fraction as i64 - exponent).is_err() {
        return Err(malformed(""));
    }
    let number = Number::parse(text).map_err(|error| Invalid::new(format!("{error} under {place}")))?;
    Ok(Value::N(if is_negative { number.negated() } else { number }))
}
