//! The ends of logical ids that change with what a resource is: ten characters of a SHA-1 of it, written as JSON the way
//! AWS's translator writes it, so that stacks keep their resources when they move. Pure.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde_json::Value;
use sha1::{Digest, Sha1};

const LENGTH: usize = 10;

/// The end of a logical id for what `value` says; nothing for what says nothing.
pub fn of(value: &Value) -> String {
    let is_empty = match value {
        Value::Null => true,
        Value::Object(map) => map.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::String(text) => text.is_empty(),
        _ => false,
    };
    if is_empty {
        return String::new();
    }
    let text = match value {
        Value::String(text) => text.clone(),
        other => compact(other),
    };
    let mut hash = hex::encode(Sha1::digest(text.as_bytes()));
    hash.truncate(LENGTH);
    hash
}

/// JSON without white space, names sorted, and in ASCII.
fn compact(value: &Value) -> String {
    let mut out = String::new();
    write(value, &mut out);
    out
}

fn write(value: &Value, out: &mut String) {
    match value {
        Value::String(text) => quoted(text, out),
        Value::Array(items) => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                write(item, out);
            }
            out.push(']');
        }
        Value::Object(map) => {
            out.push('{');
            let sorted: BTreeMap<&String, &Value> = map.iter().collect();
            for (i, (name, item)) in sorted.into_iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                quoted(name, out);
                out.push(':');
                write(item, out);
            }
            out.push('}');
        }
        other => out.push_str(&other.to_string()),
    }
}

fn quoted(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            ' '..='~' => out.push(c),
            _ => {
                let mut units = [0; 2];
                for unit in c.encode_utf16(&mut units) {
                    let _written_to_memory = write!(out, "\\u{unit:04x}");
                }
            }
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn as_the_translator_writes() {
        // As AWS's translator names the version of a function with this code.
        assert_eq!(of(&json!({"S3Key": "k", "S3Bucket": "b"})), "03ba323aca");
        assert_eq!(
            compact(&json!({"b": [1, true, null, 1.5], "a": "ü\"\n😀"})),
            r#"{"a":"\u00fc\"\n\ud83d\ude00","b":[1,true,null,1.5]}"#
        );
        assert_eq!(of(&json!({})), "");
    }
}
