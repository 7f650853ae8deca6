//! What patterns of JSON and of columns share: conditions joined by `&&`, `||` and parentheses, and the values compared with.

use cumulet_wire::error::ApiError;
use regex_lite::Regex;

use super::refused;
use super::regex::Regexes;
use super::terms::read_quoted;

/// Parentheses in one another.
const DEPTH_MAX: usize = 32;

#[derive(Debug)]
pub enum Expression<S> {
    Any(Vec<Expression<S>>),
    All(Vec<Expression<S>>),
    Condition(S, Test),
}

#[derive(Debug)]
pub enum Test {
    Compare(Operator, Literal),
    IsNull,
    IsTrue,
    IsFalse,
    NotExists,
    /// Of a column: a name and nothing else.
    Nothing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// In this order: none is found in the beginning of an earlier one.
const OPERATORS: [(&str, Operator); 6] = [
    ("!=", Operator::NotEqual),
    ("<=", Operator::LessOrEqual),
    (">=", Operator::GreaterOrEqual),
    ("=", Operator::Equal),
    ("<", Operator::Less),
    (">", Operator::Greater),
];

#[derive(Debug)]
pub enum Literal {
    Number(f64),
    /// `*` in it stands for anything.
    Text(String),
    Regex(Regex),
}

impl<S> Expression<S> {
    pub fn holds(&self, test: &impl Fn(&S, &Test) -> bool) -> bool {
        match self {
            Expression::Any(parts) => parts.iter().any(|part| part.holds(test)),
            Expression::All(parts) => parts.iter().all(|part| part.holds(test)),
            Expression::Condition(selector, condition) => test(selector, condition),
        }
    }

    pub fn each(&self, visit: &mut impl FnMut(&S)) {
        match self {
            Expression::Any(parts) | Expression::All(parts) => parts.iter().for_each(|part| part.each(visit)),
            Expression::Condition(selector, _) => visit(selector),
        }
    }
}

impl Operator {
    pub fn is_equality(self) -> bool {
        matches!(self, Operator::Equal | Operator::NotEqual)
    }

    pub fn between(self, left: f64, right: f64) -> bool {
        match self {
            Operator::Equal => left == right,
            Operator::NotEqual => left != right,
            Operator::Less => left < right,
            Operator::LessOrEqual => left <= right,
            Operator::Greater => left > right,
            Operator::GreaterOrEqual => left >= right,
        }
    }
}

/// A number as patterns write it; words such as `inf` are none.
pub fn number(text: &str) -> Option<f64> {
    let is_number = text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.'))
        && text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'+' | b'-' | b'.' | b'e' | b'E'));
    text.parse().ok().filter(|_| is_number)
}

/// Whether a text is as one with `*` in it says.
pub fn is_like(text: &str, like: &str) -> bool {
    let Some((first, rest)) = like.split_once('*') else { return text == like };
    let Some(mut text) = text.strip_prefix(first) else { return false };
    let Some((middle, last)) = rest.rsplit_once('*') else { return text.ends_with(rest) };
    for part in middle.split('*') {
        match text.find(part) {
            Some(at) => text = &text[at + part.len()..],
            None => return false,
        }
    }
    text.ends_with(last)
}

/// Reads a pattern from its beginning on.
pub struct Reader<'a, 'r> {
    rest: &'a str,
    regexes: &'r mut Regexes,
    depth: usize,
}

impl<'a, 'r> Reader<'a, 'r> {
    pub fn new(text: &'a str, regexes: &'r mut Regexes) -> Reader<'a, 'r> {
        Reader { rest: text, regexes, depth: 0 }
    }

    pub fn rest(&mut self) -> &'a str {
        self.rest = self.rest.trim_start();
        self.rest
    }

    /// Whether it goes on so; then that is passed.
    pub fn passes(&mut self, mark: &str) -> bool {
        let tail = self.rest().strip_prefix(mark);
        self.rest = tail.unwrap_or(self.rest);
        tail.is_some()
    }

    pub fn expect(&mut self, mark: &str) -> Result<(), ApiError> {
        if self.passes(mark) { Ok(()) } else { Err(refused(&format!("`{mark}` is missing"))) }
    }

    /// What is read goes up to there.
    pub fn advance(&mut self, bytes: usize) -> &'a str {
        let (head, tail) = self.rest.split_at(bytes);
        self.rest = tail;
        head
    }

    /// The word that comes, of the characters that may be in one.
    pub fn word(&mut self, is_of_it: impl Fn(char) -> bool) -> &'a str {
        let rest = self.rest();
        let end = rest.find(|c| !is_of_it(c)).unwrap_or(rest.len());
        self.advance(end)
    }

    /// `&&` binds more than `||`.
    pub fn expression<S>(
        &mut self,
        selector: &impl Fn(&mut Self) -> Result<S, ApiError>,
    ) -> Result<Expression<S>, ApiError> {
        let mut any = vec![self.all(selector)?];
        while self.passes("||") {
            any.push(self.all(selector)?);
        }
        Ok(if any.len() == 1 { any.remove(0) } else { Expression::Any(any) })
    }

    fn all<S>(&mut self, selector: &impl Fn(&mut Self) -> Result<S, ApiError>) -> Result<Expression<S>, ApiError> {
        let mut all = vec![self.one(selector)?];
        while self.passes("&&") {
            all.push(self.one(selector)?);
        }
        Ok(if all.len() == 1 { all.remove(0) } else { Expression::All(all) })
    }

    fn one<S>(&mut self, selector: &impl Fn(&mut Self) -> Result<S, ApiError>) -> Result<Expression<S>, ApiError> {
        if !self.passes("(") {
            let selected = selector(self)?;
            return Ok(Expression::Condition(selected, self.test()?));
        }
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(refused("too many parentheses lie in one another"));
        }
        let inner = self.expression(selector)?;
        self.expect(")")?;
        self.depth -= 1;
        Ok(inner)
    }

    fn test(&mut self) -> Result<Test, ApiError> {
        for (mark, operator) in OPERATORS {
            if self.passes(mark) {
                let literal = self.literal()?;
                if !operator.is_equality() && !matches!(literal, Literal::Number(_)) {
                    return Err(refused("only numbers can be less or greater"));
                }
                return Ok(Test::Compare(operator, literal));
            }
        }
        let before = self.rest;
        let words = [self.word(|c| c.is_ascii_alphabetic()), self.word(|c| c.is_ascii_alphabetic())];
        match words.map(str::to_ascii_uppercase).each_ref().map(String::as_str) {
            ["IS", "NULL"] => Ok(Test::IsNull),
            ["IS", "TRUE"] => Ok(Test::IsTrue),
            ["IS", "FALSE"] => Ok(Test::IsFalse),
            ["NOT", "EXISTS"] => Ok(Test::NotExists),
            _ => {
                self.rest = before;
                Ok(Test::Nothing)
            }
        }
    }

    fn literal(&mut self) -> Result<Literal, ApiError> {
        let rest = self.rest();
        if let Some(quoted) = rest.strip_prefix('"') {
            let (text, tail) = read_quoted(quoted)?;
            self.rest = tail;
            return Ok(Literal::Text(text));
        }
        if let Some(regex) = rest.strip_prefix('%') {
            let (regex, tail) = self.regexes.read(regex)?;
            self.rest = tail;
            return Ok(Literal::Regex(regex));
        }
        let ends = |c: char| {
            c.is_whitespace() || matches!(c, ',' | ')' | ']' | '}' | '&' | '|' | '(' | '"' | '%' | '=' | '<' | '>')
        };
        let word = self.word(|c| !ends(c));
        if word.is_empty() {
            return Err(refused("a value is missing"));
        }
        Ok(number(word).map_or_else(|| Literal::Text(word.to_owned()), Literal::Number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards() {
        for (text, like, expect) in [
            ("abc", "abc", true),
            ("abc", "ab", false),
            ("abc", "*", true),
            ("", "*", true),
            ("abc", "a*", true),
            ("abc", "*c", true),
            ("abc", "*b*", true),
            ("abc", "a*c", true),
            ("ac", "a*c", true),
            ("a", "a*a", false),
            ("abcabc", "a*b*c", true),
            ("abc", "*d*", false),
            ("123.123.4.5", "123.123.*", true),
        ] {
            assert_eq!(is_like(text, like), expect, "{text} {like}");
        }
    }

    #[test]
    fn numbers() {
        for (text, expect) in [
            ("75", Some(75.0)),
            ("1e-3", Some(0.001)),
            ("-.5", Some(-0.5)),
            ("inf", None),
            ("4*", None),
            ("1.2.3", None),
        ] {
            assert_eq!(number(text), expect, "{text}");
        }
    }
}
