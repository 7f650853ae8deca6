//! Filter patterns of plain text
//! (<https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/FilterAndPatternSyntax.html>): terms that must all be
//! there, `?term` of which one must be, `-term` that must not be, and quoted phrases. Patterns of JSON, of columns and
//! regular expressions are absent and refused.

use cumulet_wire::error::ApiError;

use crate::errors;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pattern {
    all: Vec<String>,
    any: Vec<String>,
    none: Vec<String>,
}

impl Pattern {
    pub fn parse(text: &str) -> Result<Pattern, ApiError> {
        let text = text.trim();
        for (mark, feature) in [
            ('{', "filter patterns of JSON"),
            ('[', "filter patterns of columns"),
            ('%', "regular expressions in filter patterns"),
        ] {
            if text.starts_with(mark) {
                return Err(errors::not_built(feature));
            }
        }
        let mut pattern = Pattern::default();
        let mut rest = text;
        while !rest.is_empty() {
            let (list, tail) = match rest.as_bytes()[0] {
                b'?' => (&mut pattern.any, &rest[1..]),
                b'-' => (&mut pattern.none, &rest[1..]),
                _ => (&mut pattern.all, rest),
            };
            let (term, tail) = read_term(tail)?;
            if !term.is_empty() {
                list.push(term);
            }
            rest = tail.trim_start();
        }
        Ok(pattern)
    }

    /// Case counts, as on AWS.
    pub fn matches(&self, message: &str) -> bool {
        self.all.iter().all(|term| message.contains(term.as_str()))
            && (self.any.is_empty() || self.any.iter().any(|term| message.contains(term.as_str())))
            && !self.none.iter().any(|term| message.contains(term.as_str()))
    }
}

fn read_term(text: &str) -> Result<(String, &str), ApiError> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find(char::is_whitespace).unwrap_or(text.len());
        return Ok((text[..end].to_owned(), &text[end..]));
    };
    let mut term = String::new();
    let mut escaped = false;
    for (at, c) in quoted.char_indices() {
        match c {
            _ if escaped => {
                term.push(c);
                escaped = false;
            }
            '\\' => escaped = true,
            '"' => return Ok((term, &quoted[at + 1..])),
            _ => term.push(c),
        }
    }
    Err(errors::invalid("Invalid filter pattern: a quote is not closed"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn terms() {
        let line = "ERROR could not reach \"db\" in time";
        for (pattern, expect) in [
            ("", true),
            ("ERROR", true),
            ("error", false),
            ("ERROR time", true),
            ("ERROR warn", false),
            ("?WARN ?ERROR", true),
            ("?WARN ?INFO", false),
            ("ERROR -db", false),
            ("\"not reach\"", true),
            ("\"reach not\"", false),
            (r#""\"db\"""#, true),
            ("-\"no such\"", true),
        ] {
            assert_eq!(Pattern::parse(pattern).unwrap().matches(line), expect, "{pattern}");
        }
        for refused in ["{ $.a = 1 }", "[a, b]", "%x%", "\"open"] {
            assert!(Pattern::parse(refused).is_err(), "{refused}");
        }
    }
}
