//! Patterns of columns: `[ip, user, ..., status = 4* || status = 5*, bytes > 1000]`
//! (<https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/matching-terms-space-delimited-log-events.html>).

use std::collections::BTreeMap;

use cumulet_wire::error::ApiError;

use super::expression::{Expression, Literal, Operator, Reader, Test, is_like, number};
use super::refused;
use super::regex::Regexes;

/// Columns before and after the place where any number of them may be, if there is one.
#[derive(Debug)]
pub struct Columns {
    before: Vec<Column>,
    after: Option<Vec<Column>>,
}

#[derive(Debug)]
struct Column {
    name: String,
    condition: Expression<String>,
}

fn name(reader: &mut Reader<'_, '_>) -> Result<String, ApiError> {
    let name = reader.word(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '$'));
    if name.is_empty() { Err(refused("the name of a column is missing")) } else { Ok(name.to_owned()) }
}

impl Columns {
    pub fn parse(text: &str, regexes: &mut Regexes) -> Result<Columns, ApiError> {
        let mut reader = Reader::new(text, regexes);
        reader.expect("[")?;
        let mut columns = Columns { before: Vec::new(), after: None };
        if reader.passes("]") {
            columns.after = Some(Vec::new());
        } else {
            loop {
                if reader.passes("...") {
                    if columns.after.is_some() {
                        return Err(refused("`...` is there twice"));
                    }
                    columns.after = Some(Vec::new());
                } else {
                    let column = Column::parse(&mut reader)?;
                    columns.after.as_mut().unwrap_or(&mut columns.before).push(column);
                }
                if !reader.passes(",") {
                    break;
                }
            }
            reader.expect("]")?;
        }
        if reader.rest().is_empty() { Ok(columns) } else { Err(refused("something comes after `]`")) }
    }

    /// The fields of a line that matches, by the names of their columns, or their number where `...` covers them.
    pub fn fields(&self, line: &str) -> Option<BTreeMap<String, String>> {
        let fields = split(line);
        let after = self.after.as_deref().unwrap_or_default();
        let named = self.before.len() + after.len();
        if fields.len() < named || (self.after.is_none() && fields.len() > named) {
            return None;
        }
        let tail = fields.len() - after.len();
        let columns = self.before.iter().zip(&fields).chain(after.iter().zip(&fields[tail..]));
        let mut found = BTreeMap::new();
        for (column, field) in columns {
            if !column.takes(field) {
                return None;
            }
            found.insert(format!("${}", column.name), (*field).to_owned());
        }
        for (n, field) in fields[self.before.len()..tail].iter().enumerate() {
            found.insert(format!("${}", self.before.len() + n + 1), (*field).to_owned());
        }
        Some(found)
    }
}

impl Column {
    fn parse(reader: &mut Reader<'_, '_>) -> Result<Column, ApiError> {
        let condition = reader.expression(&name)?;
        let mut names: Vec<String> = Vec::new();
        condition.each(&mut |name| names.push(name.clone()));
        names.dedup();
        match <[String; 1]>::try_from(names) {
            Ok([name]) => Ok(Column { name, condition }),
            Err(_) => Err(refused("a condition is about another column")),
        }
    }

    fn takes(&self, field: &str) -> bool {
        self.condition.holds(&|_, test| match test {
            Test::Nothing => true,
            Test::IsNull | Test::IsTrue | Test::IsFalse | Test::NotExists => false,
            Test::Compare(operator, Literal::Number(literal)) => match number(field) {
                Some(field) => operator.between(field, *literal),
                None => *operator == Operator::NotEqual,
            },
            Test::Compare(operator, Literal::Text(text)) => is_like(field, text) == (*operator == Operator::Equal),
            Test::Compare(operator, Literal::Regex(regex)) => regex.is_match(field) == (*operator == Operator::Equal),
        })
    }
}

/// Parted by spaces; what stands in quotes or brackets is one field.
fn split(line: &str) -> Vec<&str> {
    let mut fields = Vec::new();
    let mut rest = line.trim_start();
    while let Some(first) = rest.chars().next() {
        let close = match first {
            '"' => Some('"'),
            '[' => Some(']'),
            _ => None,
        };
        let whole = close.and_then(|close| rest[1..].find(close).map(|end| (&rest[1..=end], &rest[end + 2..])));
        let (field, tail) =
            whole.unwrap_or_else(|| rest.split_at(rest.find(char::is_whitespace).unwrap_or(rest.len())));
        fields.push(field);
        rest = tail.trim_start();
    }
    fields
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    const LINE: &str = r#"127.0.0.1 Prod frank [10/Oct/2000:13:25:15 -0700] "GET /index.html HTTP/1.0" 404 1534"#;

    #[test]
    fn columns_of_a_line() {
        for (pattern, expect) in [
            ("[ip, server, username, timestamp, request, status_code, bytes]", true),
            ("[ip, server, username, timestamp, request, status_code]", false),
            ("[ip, server, username, timestamp, request, status_code, bytes > 1000]", true),
            ("[ip, server, username, timestamp, request =*index*, status_code=4*, bytes]", true),
            ("[..., status = 4* || status = 5*, bytes]", true),
            ("[..., status = 5*, bytes]", false),
            ("[ip, ...]", true),
            ("[ip=%127\\.0\\.0\\.[1-9]%, ..., bytes = 1534]", true),
            ("[ip, server = Prod && server != Test, ...]", true),
            ("[ip, (server = X || server = Prod), ...]", true),
            ("[ip, server != Prod, ...]", false),
            ("[ip, server, user, t, request = \"GET*\", ..., bytes <= 1534]", true),
            ("[ip != 5, ...]", true),
            ("[]", true),
            ("[a, b, c, d, e, f, g, ...]", true),
            ("[a, b, c, d, e, f, g, h, ...]", false),
        ] {
            let columns = Columns::parse(pattern, &mut Regexes::default()).unwrap_or_else(|e| panic!("{pattern}: {e}"));
            assert_eq!(columns.fields(LINE).is_some(), expect, "{pattern}");
        }
        for refused in ["[", "[a", "[a,]", "[..., ...]", "[a] b", "[a = ]", "[a = b || c = d]", "[, a]", "[a b]"] {
            assert!(Columns::parse(refused, &mut Regexes::default()).is_err(), "{refused}");
        }
    }

    #[test]
    fn fields_by_name_and_number() {
        let columns = Columns::parse("[ip, ..., request, status, size]", &mut Regexes::default()).unwrap();
        let expect = json!({
            "$ip": "127.0.0.1", "$2": "Prod", "$3": "frank", "$4": "10/Oct/2000:13:25:15 -0700",
            "$request": "GET /index.html HTTP/1.0", "$status": "404", "$size": "1534",
        });
        assert_eq!(json!(columns.fields(LINE).unwrap()), expect);
    }
}
