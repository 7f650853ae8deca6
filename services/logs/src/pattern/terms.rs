//! Patterns of plain text: terms that must all be there, `-term` that must not be, and where there is nothing else,
//! `?term` of which one must be.

use cumulet_wire::error::ApiError;
use regex_lite::Regex;

use super::refused;
use super::regex::Regexes;

#[derive(Debug, Default)]
pub struct Terms {
    all: Vec<Term>,
    any: Vec<Term>,
    none: Vec<Term>,
}

#[derive(Debug)]
enum Term {
    Text(String),
    Regex(Regex),
}

impl Term {
    /// Case counts.
    fn is_in(&self, message: &str) -> bool {
        match self {
            Term::Text(text) => message.contains(text.as_str()),
            Term::Regex(regex) => regex.is_match(message),
        }
    }
}

impl Terms {
    pub fn parse(text: &str, regexes: &mut Regexes) -> Result<Terms, ApiError> {
        let mut terms = Terms::default();
        let mut rest = text;
        while let Some(mark) = rest.bytes().next() {
            let (list, tail) = match mark {
                b'?' => (&mut terms.any, &rest[1..]),
                b'-' => (&mut terms.none, &rest[1..]),
                _ => (&mut terms.all, rest),
            };
            let tail = if let Some(tail) = tail.strip_prefix('%') {
                let (regex, tail) = regexes.read(tail)?;
                list.push(Term::Regex(regex));
                tail
            } else {
                let (term, tail) = read_term(tail)?;
                if !term.is_empty() {
                    list.push(Term::Text(term));
                }
                tail
            };
            rest = tail.trim_start();
        }
        Ok(terms)
    }

    pub fn match_in(&self, message: &str) -> bool {
        // Beside others, optional terms say nothing.
        let is_optional_only = self.all.is_empty() && self.none.is_empty() && !self.any.is_empty();
        if is_optional_only {
            return self.any.iter().any(|term| term.is_in(message));
        }
        self.all.iter().all(|term| term.is_in(message)) && !self.none.iter().any(|term| term.is_in(message))
    }
}

fn read_term(text: &str) -> Result<(String, &str), ApiError> {
    match text.strip_prefix('"') {
        Some(quoted) => read_quoted(quoted),
        None => {
            let end = text.find(char::is_whitespace).unwrap_or(text.len());
            Ok((text[..end].to_owned(), &text[end..]))
        }
    }
}

/// What stands before the closing quote, and what comes after it.
pub(super) fn read_quoted(text: &str) -> Result<(String, &str), ApiError> {
    let mut term = String::new();
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => {
                term.push(c);
                escaped = false;
            }
            '\\' => escaped = true,
            '"' => return Ok((term, &text[at + 1..])),
            _ => term.push(c),
        }
    }
    Err(refused("a quote is not closed"))
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
            ("?WARN ?INFO ERROR", true),
            ("?ERROR -db", false),
            ("ERROR -db", false),
            ("\"not reach\"", true),
            ("\"reach not\"", false),
            (r#""\"db\"""#, true),
            ("-\"no such\"", true),
            ("%[Ee]rror|ERR%", true),
            ("%^could%", false),
            ("ERROR -%d.\"%", false),
            ("?%x{2}% ?%time$%", true),
        ] {
            let parsed = Terms::parse(pattern, &mut Regexes::default());
            match parsed {
                Ok(terms) => assert_eq!(terms.match_in(line), expect, "{pattern}"),
                Err(error) => assert!(pattern.contains('"'), "{pattern}: {error}"),
            }
        }
        for refused in ["\"open", "%open", "-\"open"] {
            assert!(Terms::parse(refused, &mut Regexes::default()).is_err(), "{refused}");
        }
    }
}
