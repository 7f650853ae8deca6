//! The words of a PartiQL statement.

#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// A name or a keyword, as written.
    Word,
    /// `"name"`, which is never a keyword.
    Quoted(String),
    /// `'text'`
    Text(String),
    Number,
    Parameter,
    Symbol,
    End,
}

#[derive(Clone, Debug)]
pub struct Token<'a> {
    pub kind: Kind,
    pub text: &'a str,
    pub start: usize,
}

/// Longer symbols first.
const SYMBOLS: [&str; 25] = [
    "<<", ">>", "<=", ">=", "<>", "!=", "||", "=", "<", ">", "(", ")", "[", "]", "{", "}", ",", ":", ".", "*", "+",
    "-", "/", "%", ";",
];

/// All tokens, and one of kind `End` behind them; `None` where there is something that is no token.
pub fn tokens(source: &str) -> Option<Vec<Token<'_>>> {
    let mut tokens = Vec::new();
    let mut rest = source;
    loop {
        rest = after_space(rest)?;
        let Some(first) = rest.chars().next() else { break };
        let (kind, length) = match first {
            '\'' => quoted(rest, '\'').map(|(text, length)| (Kind::Text(text), length))?,
            '"' => quoted(rest, '"').map(|(name, length)| (Kind::Quoted(name), length))?,
            '?' => (Kind::Parameter, 1),
            '0'..='9' => (Kind::Number, number(rest)),
            '.' if rest[1..].starts_with(|c: char| c.is_ascii_digit()) => (Kind::Number, number(rest)),
            'a'..='z' | 'A'..='Z' | '_' | '$' => {
                let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '$';
                (Kind::Word, rest.find(|c| !is_part(c)).unwrap_or(rest.len()))
            }
            _ => (Kind::Symbol, SYMBOLS.iter().find(|symbol| rest.starts_with(**symbol))?.len()),
        };
        let (text, behind) = rest.split_at(length);
        tokens.push(Token { kind, text, start: source.len() - rest.len() });
        rest = behind;
    }
    tokens.push(Token { kind: Kind::End, text: "", start: source.len() });
    Some(tokens)
}

/// What follows spaces and comments; `None` where a comment does not end.
fn after_space(source: &str) -> Option<&str> {
    let mut rest = source;
    loop {
        rest = rest.trim_start();
        if let Some(comment) = rest.strip_prefix("--") {
            rest = comment.find('\n').map_or("", |end| &comment[end..]);
        } else if let Some(comment) = rest.strip_prefix("/*") {
            rest = &comment[comment.find("*/")? + 2..];
        } else {
            return Some(rest);
        }
    }
}

/// What stands between quotes, a doubled one being one, and the length with them.
fn quoted(source: &str, quote: char) -> Option<(String, usize)> {
    let mut content = String::new();
    let mut characters = source.char_indices().skip(1).peekable();
    while let Some((place, character)) = characters.next() {
        if character != quote {
            content.push(character);
        } else if characters.next_if(|(_, next)| *next == quote).is_some() {
            content.push(quote);
        } else {
            return Some((content, place + 1));
        }
    }
    None
}

/// Digits, a point, digits, an exponent. An `e` without digits behind it is no exponent.
fn number(source: &str) -> usize {
    let digits = |from: usize| from + source.bytes().skip(from).take_while(u8::is_ascii_digit).count();
    let mut end = digits(0);
    if source[end..].starts_with('.') {
        end = digits(end + 1);
    }
    if source[end..].starts_with(['e', 'E']) {
        let signed = end + 1 + usize::from(source[end + 1..].starts_with(['+', '-']));
        if digits(signed) > signed {
            end = digits(signed);
        }
    }
    end
}
