//! Metric math (<https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/using-metric-math.html>): expressions are
//! read here and carried out in `functions`. Deliberately absent, and refused by name: searches, anomaly bands, insights
//! and database queries, and what sorts.

use cumulet_base::limits;
use cumulet_wire::error::ApiError;

use crate::errors;

#[derive(Clone, Debug, PartialEq)]
pub enum Expr {
    Number(f64),
    Text(String),
    /// The id of a query, or a word that a function knows.
    Name(String),
    List(Vec<Expr>),
    Negated(Box<Expr>),
    Pair(Operator, Box<Expr>, Box<Expr>),
    Function(String, Vec<Expr>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    Or,
    And,
    Equal,
    Unequal,
    AtMost,
    AtLeast,
    Less,
    More,
    Plus,
    Minus,
    Times,
    Over,
    Power,
}

/// By how strongly they bind, weakest first. The longer mark is before the one it begins with.
const OPERATORS: &[&[(&str, Operator)]] = &[
    &[("||", Operator::Or), ("OR ", Operator::Or)],
    &[("&&", Operator::And), ("AND ", Operator::And)],
    &[
        ("==", Operator::Equal),
        ("!=", Operator::Unequal),
        ("<=", Operator::AtMost),
        (">=", Operator::AtLeast),
        ("<", Operator::Less),
        (">", Operator::More),
    ],
    &[("+", Operator::Plus), ("-", Operator::Minus)],
    &[("*", Operator::Times), ("/", Operator::Over)],
];

pub const FUNCTIONS: &[&str] = &[
    "ABS",
    "AVG",
    "CEIL",
    "DATAPOINT_COUNT",
    "DIFF",
    "DIFF_TIME",
    "FILL",
    "FIRST",
    "FLOOR",
    "IF",
    "LAST",
    "LOG",
    "LOG10",
    "MAX",
    "METRICS",
    "METRIC_COUNT",
    "MIN",
    "PERIOD",
    "RATE",
    "RUNNING_SUM",
    "STDDEV",
    "SUM",
    "TIME_SERIES",
];

struct Reader<'a> {
    rest: &'a str,
    nodes: usize,
}

pub fn parse(text: &str) -> Result<Expr, ApiError> {
    if text.trim_start().to_ascii_uppercase().starts_with("SELECT ") {
        return Err(ApiError::not_implemented("cloudwatch", "an expression of Metrics Insights"));
    }
    let mut reader = Reader { rest: text, nodes: 0 };
    let expression = reader.binary(0, 0)?;
    reader.blanks();
    match reader.rest.is_empty() {
        true => Ok(expression),
        false => Err(reader.wrong()),
    }
}

impl Reader<'_> {
    fn wrong(&self) -> ApiError {
        let near: String = self.rest.chars().take(20).collect();
        errors::validation(format!("Error in expression: syntax error near '{near}'"))
    }

    fn blanks(&mut self) {
        self.rest = self.rest.trim_start();
    }

    fn passes(&mut self, mark: &str) -> bool {
        self.blanks();
        let rest = self.rest.strip_prefix(mark);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn expect(&mut self, mark: &str) -> Result<(), ApiError> {
        if self.passes(mark) { Ok(()) } else { Err(self.wrong()) }
    }

    fn count(&mut self, depth: usize) -> Result<(), ApiError> {
        self.nodes += 1;
        let is_over = self.nodes > limits::METRIC_EXPRESSION_NODES_MAX || depth > limits::METRIC_EXPRESSION_DEPTH_MAX;
        if is_over { Err(errors::validation("Error in expression: it is too long or too deep")) } else { Ok(()) }
    }

    fn binary(&mut self, level: usize, depth: usize) -> Result<Expr, ApiError> {
        let Some(operators) = OPERATORS.get(level) else { return self.unary(depth) };
        let mut left = self.binary(level + 1, depth)?;
        while let Some((_, operator)) = operators.iter().find(|(mark, _)| self.passes(mark)) {
            self.count(depth)?;
            let right = self.binary(level + 1, depth)?;
            left = Expr::Pair(*operator, Box::new(left), Box::new(right));
        }
        Ok(left)
    }

    fn unary(&mut self, depth: usize) -> Result<Expr, ApiError> {
        self.count(depth)?;
        if self.passes("-") {
            return Ok(Expr::Negated(Box::new(self.unary(depth + 1)?)));
        }
        let base = self.primary(depth + 1)?;
        match self.passes("^") {
            true => Ok(Expr::Pair(Operator::Power, Box::new(base), Box::new(self.unary(depth + 1)?))),
            false => Ok(base),
        }
    }

    fn word(&mut self, is_of_it: impl Fn(char) -> bool) -> &str {
        let end = self.rest.find(|c| !is_of_it(c)).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        word
    }

    fn primary(&mut self, depth: usize) -> Result<Expr, ApiError> {
        self.blanks();
        match self.rest.chars().next() {
            Some('(') => {
                self.expect("(")?;
                let inner = self.binary(0, depth + 1)?;
                self.expect(")")?;
                Ok(inner)
            }
            Some('[') => {
                self.expect("[")?;
                Ok(Expr::List(self.arguments("]", depth)?))
            }
            Some(quote @ ('"' | '\'')) => {
                self.rest = &self.rest[1..];
                let text = self.word(|c| c != quote).to_owned();
                if !self.rest.starts_with(quote) {
                    return Err(self.wrong());
                }
                self.rest = &self.rest[1..];
                Ok(Expr::Text(text))
            }
            Some(c) if c.is_ascii_digit() || c == '.' => {
                let number = self.word(|c| c.is_ascii_digit() || c == '.').parse();
                number.map(Expr::Number).map_err(|_| self.wrong())
            }
            Some(c) if c.is_ascii_alphabetic() => {
                let name = self.word(|c| c.is_ascii_alphanumeric() || c == '_').to_owned();
                if !self.passes("(") {
                    return Ok(Expr::Name(name));
                }
                if !FUNCTIONS.contains(&name.as_str()) {
                    return Err(ApiError::not_implemented("cloudwatch", &format!("the metric math function {name}")));
                }
                Ok(Expr::Function(name, self.arguments(")", depth)?))
            }
            _ => Err(self.wrong()),
        }
    }

    fn arguments(&mut self, end: &str, depth: usize) -> Result<Vec<Expr>, ApiError> {
        let mut arguments = Vec::new();
        if self.passes(end) {
            return Ok(arguments);
        }
        loop {
            arguments.push(self.binary(0, depth + 1)?);
            if self.passes(end) {
                return Ok(arguments);
            }
            self.expect(",")?;
        }
    }
}

impl Expr {
    /// The names it uses that are ids: they begin with a small letter.
    pub fn names(&self, found: &mut Vec<String>) {
        match self {
            Expr::Name(name) if name.starts_with(|c: char| c.is_ascii_lowercase()) => found.push(name.clone()),
            Expr::Number(_) | Expr::Text(_) | Expr::Name(_) => {}
            Expr::List(list) | Expr::Function(_, list) => list.iter().for_each(|each| each.names(found)),
            Expr::Negated(inner) => inner.names(found),
            Expr::Pair(_, left, right) => {
                left.names(found);
                right.names(found);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_refused() {
        for (text, code) in [
            ("m1 +", "ValidationError"),
            ("(m1", "ValidationError"),
            ("m1 m2", "ValidationError"),
            ("\"x", "ValidationError"),
            ("SEARCH('a')", "NotImplemented"),
            ("ANOMALY_DETECTION_BAND(m1)", "NotImplemented"),
            ("SELECT SUM(a) FROM b", "NotImplemented"),
            (&"(".repeat(100_000), "ValidationError"),
            (&"-".repeat(100_000), "ValidationError"),
            (&"1+".repeat(1000), "ValidationError"),
        ] {
            assert_eq!(parse(text).unwrap_err().code, code, "{}", &text[..text.len().min(40)]);
        }
        let mut names = Vec::new();
        parse("SUM([m1, FILL(errors_2, REPEAT)]) / -m3 ^ 2").unwrap().names(&mut names);
        assert_eq!(names, ["m1", "errors_2", "m3"]);
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,80}", likely in "[mM1(),.+*/^<>=&| \"\\[\\]-]{0,60}") {
            let _either = parse(&text);
            let _either = parse(&likely);
        }
    }
}
