//! `AllowedPattern` of parameters. AWS's are Java's and have to fit the whole text; of what they look ahead for, that is
//! understood which stands at the beginning, as in patterns for passwords. Pure.

use regex_lite::Regex;

#[derive(Clone, Debug)]
pub struct Pattern {
    text: String,
    whole: Regex,
    /// What the text has to begin with, or must not.
    ahead: Vec<(bool, Regex)>,
}

/// Two are the same if they are written alike.
impl PartialEq for Pattern {
    fn eq(&self, other: &Pattern) -> bool {
        self.text == other.text
    }
}

impl Pattern {
    /// `None`: such patterns are not understood.
    pub fn parse(text: &str) -> Option<Pattern> {
        let whole = |text: &str| Regex::new(&format!("^(?:{text})$")).ok();
        if let Some(whole) = whole(text) {
            return Some(Pattern { text: text.to_owned(), whole, ahead: Vec::new() });
        }
        // Of alternatives, each would have its own beginning.
        if end(text, '|').is_some() {
            return None;
        }
        let mut rest = text.strip_prefix('^').unwrap_or(text);
        let mut ahead = Vec::new();
        while let Some(is_wanted) = match rest.get(..3) {
            Some("(?=") => Some(true),
            Some("(?!") => Some(false),
            _ => None,
        } {
            let end = end(&rest[3..], ')')? + 3;
            ahead.push((is_wanted, Regex::new(&format!("^(?:{})", &rest[3..end])).ok()?));
            rest = &rest[end + 1..];
        }
        Some(Pattern { text: text.to_owned(), whole: whole(rest)?, ahead })
    }

    pub fn is_match(&self, text: &str) -> bool {
        self.ahead.iter().all(|(is_wanted, ahead)| ahead.is_match(text) == *is_wanted) && self.whole.is_match(text)
    }
}

/// Where the character first stands outside of groups, sets and escapes.
fn end(text: &str, wanted: char) -> Option<usize> {
    let (mut depth, mut is_escaped, mut is_set) = (0_usize, false, false);
    for (at, letter) in text.char_indices() {
        match letter {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            ']' if is_set => is_set = false,
            _ if is_set => {}
            '[' => is_set = true,
            _ if letter == wanted && depth == 0 => return Some(at),
            '(' => depth += 1,
            ')' => depth = depth.checked_sub(1)?,
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn what_is_looked_ahead_for() {
        let password = Pattern::parse(r"^(?=.*[A-Z])(?=.*\d)(?!.*[)\s])[A-Za-z0-9(]{4,}$").unwrap();
        for (text, fits) in [("Abc1", true), ("abc1", false), ("Abcd", false), ("Ab1", false), ("Abc1)", false)] {
            assert_eq!(password.is_match(text), fits, "{text}");
        }
        let name = Pattern::parse("(?!aws-)[a-z-]+").unwrap();
        assert_eq!((name.is_match("my-aws-x"), name.is_match("aws-x")), (true, false));
        assert!(Pattern::parse("[a-z]+|x").unwrap().is_match("x"));
        for bad in ["(", "(?=a)b|c", "a(?=b)b", "(?=a", "(?<=a)b"] {
            assert!(Pattern::parse(bad).is_none(), "{bad}");
        }
    }
}
