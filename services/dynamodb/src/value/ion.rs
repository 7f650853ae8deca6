//! Amazon Ion's text form of items, as exports write it
//! (<https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/S3DataExport.Output.html>,
//! <https://amazon-ion.github.io/ion-docs/docs/spec.html>). On one line: an item is ended by the end of its line.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use super::{Item, Number, Value};

/// Numbers this small are written with an exponent.
const ZEROS_MAX: usize = 6;

pub fn write_struct(item: &Item, out: &mut String) {
    list(('{', '}'), item, out, |(name, value), out| {
        symbol(name, out);
        out.push(':');
        write(value, out);
    });
}

fn write(value: &Value, out: &mut String) {
    let blob = |bytes: &[u8], out: &mut String| {
        out.push_str("{{");
        BASE64_STANDARD.encode_string(bytes, out);
        out.push_str("}}");
    };
    match value {
        Value::S(text) => quoted('"', text, out),
        Value::N(number) => out.push_str(&decimal(*number)),
        Value::B(bytes) => blob(bytes, out),
        Value::Bool(truth) => out.push_str(if *truth { "true" } else { "false" }),
        Value::Null => out.push_str("null"),
        Value::Ss(set) => {
            out.push_str("$dynamodb_SS::");
            list(('[', ']'), set, out, |text, out| quoted('"', text, out));
        }
        Value::Ns(set) => {
            out.push_str("$dynamodb_NS::");
            list(('[', ']'), set, out, |number, out| out.push_str(&decimal(*number)));
        }
        Value::Bs(set) => {
            out.push_str("$dynamodb_BS::");
            list(('[', ']'), set, out, |bytes, out| blob(bytes, out));
        }
        Value::L(values) => list(('[', ']'), values, out, write),
        Value::M(item) => write_struct(item, out),
    }
}

fn list<T>(
    (open, close): (char, char),
    all: impl IntoIterator<Item = T>,
    out: &mut String,
    each: impl Fn(T, &mut String),
) {
    out.push(open);
    for (n, one) in all.into_iter().enumerate() {
        if n > 0 {
            out.push(',');
        }
        each(one, out);
    }
    out.push(close);
}

/// A decimal, never an integer: `103.`, `6d2`, `1.5`, `1d-100`.
fn decimal(number: Number) -> String {
    let (sign, digits, exponent) = number.scientific();
    match usize::try_from(-exponent) {
        Ok(0) => format!("{sign}{digits}."),
        Ok(fraction) if fraction < digits.len() + ZEROS_MAX => number.to_string(),
        _ => format!("{sign}{digits}d{exponent}"),
    }
}

/// Names that need it are quoted: those of Ion's own, and those that are no identifiers.
fn symbol(name: &str, out: &mut String) {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'$';
    let is_identifier = name.bytes().all(is_plain)
        && !name.starts_with(|c: char| c.is_ascii_digit() || c == '$')
        && !matches!(name, "" | "null" | "true" | "false" | "nan");
    if is_identifier { out.push_str(name) } else { quoted('\'', name, out) }
}

fn quoted(mark: char, text: &str, out: &mut String) {
    out.push(mark);
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c == mark => out.extend(['\\', c]),
            c if (c as u32) < 0x20 || (0x7f..0xa0).contains(&(c as u32)) => {
                out.push_str(&format!("\\x{:02x}", c as u32));
            }
            c => out.push(c),
        }
    }
    out.push(mark);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::item_from_json;
    use serde_json::json;

    /// The example of the page above, and what is not on it.
    #[test]
    fn items_are_structs_on_a_line() {
        let item = item_from_json(&json!({
            "Authors": {"SS": ["Author1", "Author2"]}, "Dimensions": {"S": "8.5 x 11.0"}, "Id": {"N": "103"},
            "InPublication": {"BOOL": false}, "PageCount": {"N": "600"}, "Price": {"N": "2000"}, "half": {"N": "-1.5"},
            "tiny": {"N": "1E-100"}, "zero": {"N": "0"}, "b": {"B": "aGk="}, "bs": {"BS": ["aGk="]}, "ns": {"NS": ["1", "2.5"]},
            "l": {"L": [{"NULL": true}, {"M": {"a b": {"S": "x\"\n\u{1}'"}}}]}, "null": {"S": "é"}, "it's": {"BOOL": true},
        }))
        .unwrap();
        let mut out = String::new();
        write_struct(&item, &mut out);
        let expect = concat!(
            r#"{Authors:$dynamodb_SS::["Author1","Author2"],Dimensions:"8.5 x 11.0",Id:103.,InPublication:false,"#,
            r#"PageCount:6d2,Price:2d3,b:{{aGk=}},bs:$dynamodb_BS::[{{aGk=}}],half:-1.5,'it\'s':true,"#,
            r#"l:[null,{'a b':"x\"\n\x01'"}],ns:$dynamodb_NS::[1.,2.5],'null':"é",tiny:1d-100,zero:0.}"#,
        );
        assert_eq!(out, expect);
    }
}
