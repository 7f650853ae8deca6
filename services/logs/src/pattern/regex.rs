//! Regular expressions between percent signs: a part of the usual language
//! (<https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/regex-expressions.html>).

use cumulet_wire::error::ApiError;
use regex_lite::{Regex, RegexBuilder};

use super::refused;

/// Of one pattern.
const REGEXES_MAX: usize = 2;
/// Of one compiled expression.
const BYTES_MAX: usize = 1024 * 1024;

/// How many a pattern has had.
#[derive(Default)]
pub struct Regexes(usize);

impl Regexes {
    /// Reads one from behind its first percent sign; also answers what comes after the second.
    pub fn read<'a>(&mut self, text: &'a str) -> Result<(Regex, &'a str), ApiError> {
        self.0 += 1;
        if self.0 > REGEXES_MAX {
            return Err(refused("it has more than two regular expressions"));
        }
        let mut escaped = false;
        let end = text.char_indices().find(|(_, c)| {
            let ends = *c == '%' && !escaped;
            escaped = *c == '\\' && !escaped;
            ends
        });
        let (end, _) = end.ok_or_else(|| refused("a regular expression is not closed"))?;
        Ok((compile(&text[..end])?, &text[end + 1..]))
    }
}

fn compile(text: &str) -> Result<Regex, ApiError> {
    if text.is_empty() {
        return Err(refused("a regular expression is empty"));
    }
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        let is_allowed = match c {
            // What is escaped stands for itself or is a class of characters.
            '\\' => chars.next().is_some_and(|c| c.is_ascii_punctuation() || "dDsSwWx".contains(c)),
            c => c.is_ascii_alphanumeric() || c == ' ' || ":_#=@/;,-^$?[]{}|*+.".contains(c),
        };
        if !is_allowed {
            return Err(refused(&format!("a regular expression has what is not supported in it: {text}")));
        }
    }
    let built = RegexBuilder::new(text).size_limit(BYTES_MAX).build();
    built.map_err(|error| refused(&format!("a regular expression cannot be read: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_part_that_is_supported() {
        let read =
            |text: &str| Regexes::default().read(text).map(|(regex, rest)| (regex.as_str().to_owned(), rest.len()));
        for good in [
            "^[hc]at%",
            "[hc]at$%",
            "colou?r%",
            "a{3,5}% rest",
            r"10\.10\.0\.1%",
            r"\%5%",
            "gra|ey%",
            r"\x20\w+%",
            "a b%",
        ] {
            assert!(read(good).is_ok(), "{good}");
        }
        for bad in ["open", "", "%", "(a)%", "something!%", "\u{e4}%", r"\bword%", "[a%", "a{9999}{9999}%", r"\%"] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
