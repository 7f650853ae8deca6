//! The words of an expression. Nothing is refused here: what is no word becomes a token that no rule takes.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Name,
    /// `#name`, an expression attribute name.
    Alias,
    /// `:name`, an expression attribute value.
    Value,
    Digits,
    /// One of `( ) , . [ ] = <> < <= > >= + -`, or a character that is none.
    Symbol,
    End,
}

/// A token and where it stands.
#[derive(Clone, Copy, Debug)]
pub struct Token<'a> {
    pub kind: Kind,
    pub text: &'a str,
    pub start: usize,
}

impl Token<'_> {
    pub fn end(&self) -> usize {
        self.start + self.text.len()
    }
}

/// All tokens, and one of kind `End` behind them.
pub fn tokens(source: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let mut start = 0;
    while let Some(first) = source[start..].chars().next() {
        if matches!(first, ' ' | '\t' | '\r' | '\n') {
            start += 1;
            continue;
        }
        let rest = &source[start..];
        let (kind, length) = word(first, rest);
        tokens.push(Token { kind, text: &rest[..length], start });
        start += length;
    }
    tokens.push(Token { kind: Kind::End, text: "", start: source.len() });
    tokens
}

fn word(first: char, rest: &str) -> (Kind, usize) {
    let run = |from: usize, is_part: fn(&u8) -> bool| from + rest.bytes().skip(from).take_while(is_part).count();
    let part = |b: &u8| b.is_ascii_alphanumeric() || *b == b'_';
    match first {
        'a'..='z' | 'A'..='Z' => (Kind::Name, run(1, part)),
        '0'..='9' => (Kind::Digits, run(1, u8::is_ascii_digit)),
        '#' if run(1, part) > 1 => (Kind::Alias, run(1, part)),
        ':' if run(1, part) > 1 => (Kind::Value, run(1, part)),
        '<' if rest.starts_with("<>") || rest.starts_with("<=") => (Kind::Symbol, 2),
        '>' if rest.starts_with(">=") => (Kind::Symbol, 2),
        other => (Kind::Symbol, other.len_utf8()),
    }
}
