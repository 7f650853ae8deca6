//! Filter patterns (<https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/FilterAndPatternSyntax.html>): terms of plain
//! text, expressions over JSON, columns parted by spaces; in each of them regular expressions.

mod columns;
mod expression;
mod json;
mod regex;
mod terms;

use std::collections::BTreeMap;

use cumulet_wire::error::ApiError;

use crate::errors;
use columns::Columns;
use expression::Expression;
use json::Selector;
use regex::Regexes;
use terms::Terms;

#[derive(Debug)]
pub enum Pattern {
    Terms(Terms),
    Json(Expression<Selector>),
    Columns(Columns),
}

impl Pattern {
    pub fn parse(text: &str) -> Result<Pattern, ApiError> {
        let text = text.trim();
        let mut regexes = Regexes::default();
        match text.as_bytes().first() {
            Some(b'{') => json::parse(text, &mut regexes).map(Pattern::Json),
            Some(b'[') => Columns::parse(text, &mut regexes).map(Pattern::Columns),
            _ => Terms::parse(text, &mut regexes).map(Pattern::Terms),
        }
    }

    pub fn matches(&self, message: &str) -> bool {
        match self {
            Pattern::Terms(terms) => terms.match_in(message),
            Pattern::Json(expression) => {
                serde_json::from_str(message).is_ok_and(|value| json::holds(expression, &value))
            }
            Pattern::Columns(columns) => columns.fields(message).is_some(),
        }
    }

    /// What the pattern names in a message that matches; `None` if it does not.
    pub fn extract(&self, message: &str) -> Option<BTreeMap<String, String>> {
        match self {
            Pattern::Terms(terms) => terms.match_in(message).then(BTreeMap::new),
            Pattern::Json(expression) => {
                let value = serde_json::from_str(message).ok()?;
                json::holds(expression, &value).then(|| json::extract(expression, &value))
            }
            Pattern::Columns(columns) => columns.fields(message),
        }
    }
}

fn refused(why: &str) -> ApiError {
    errors::invalid(format!("Invalid filter pattern: {why}"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_text_makes_it_panic(pattern in ".{0,200}", message in ".{0,200}") {
            if let Ok(pattern) = Pattern::parse(&pattern) {
                assert_eq!(pattern.matches(&message), pattern.extract(&message).is_some());
            }
        }

        #[test]
        fn nor_what_looks_like_a_pattern(
            parts in prop::collection::vec(
                prop::sample::select(vec![
                    "{", "}", "[", "]", "(", ")", "$", ".", "a", "['b']", "[0]", "[*]", "=", "!=", "<", ">=", "&&", "||", "IS",
                    "NOT", "EXISTS", "NULL", "TRUE", "\"", "\\", "%", "*", "...", ",", " ", "1e9", "-", "?", "\u{e4}", "x{2}",
                ]),
                0..40,
            ),
            message in prop::sample::select(vec!["{\"a\":[{\"b\":1}]}", "a \"b c\" [d] 1e9 \u{e4}", "", "[", "\"", "%"]),
        ) {
            for lead in ["", "{ ", "[ "] {
                if let Ok(pattern) = Pattern::parse(&format!("{lead}{}", parts.concat())) {
                    assert_eq!(pattern.matches(message), pattern.extract(message).is_some());
                }
            }
        }
    }

    #[test]
    fn two_regular_expressions_and_no_more() {
        for (pattern, expect) in [
            ("%a% %b%", true),
            ("%a% %b% %c%", false),
            ("{ $.a = %x% || $.b = %y% }", true),
            ("{ $.a = %x% || $.b = %y% || $.c = %z% }", false),
            ("[a = %x%, b = %y%]", true),
            ("[a = %x%, b = %y%, c != %z%]", false),
        ] {
            assert_eq!(Pattern::parse(pattern).is_ok(), expect, "{pattern}");
        }
    }
}
