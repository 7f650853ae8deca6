//! Values of keys as bytes whose order is DynamoDB's: text and binary by unsigned bytes, numbers by value.
//! No key's bytes are the beginning of another's of the same type, so that keys can be joined.
//! `docs/formats/dynamodb-values.md` fixes them.

use bytes::Bytes;

use super::{Corrupt, Number, Value};

/// A zero byte within; an end is two zero bytes.
const ESCAPED_ZERO: u8 = 1;

/// The type of a key attribute, as its table declares it. It is not in the bytes: a column has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum KeyType {
    S,
    N,
    B,
}

impl KeyType {
    /// `None` for a type that keys cannot have.
    pub fn of(value: &Value) -> Option<KeyType> {
        match value {
            Value::S(_) => Some(KeyType::S),
            Value::N(_) => Some(KeyType::N),
            Value::B(_) => Some(KeyType::B),
            _ => None,
        }
    }

    pub fn parse(name: &str) -> Option<KeyType> {
        match name {
            "S" => Some(KeyType::S),
            "N" => Some(KeyType::N),
            "B" => Some(KeyType::B),
            _ => None,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            KeyType::S => "S",
            KeyType::N => "N",
            KeyType::B => "B",
        }
    }
}

/// Appends the bytes of a key; false, and nothing, where the value is of a type that keys cannot have.
#[must_use]
pub fn encode(value: &Value, out: &mut Vec<u8>) -> bool {
    match value {
        Value::N(number) => {
            number.encode_ordered(out);
            true
        }
        _ => {
            let is_text = encode_prefix(value, out);
            if is_text {
                out.extend([0, 0]);
            }
            is_text
        }
    }
}

/// Appends the bytes with which exactly the keys begin that begin with this one; S and B only.
#[must_use]
pub fn encode_prefix(value: &Value, out: &mut Vec<u8>) -> bool {
    let bytes = match value {
        Value::S(text) => text.as_bytes(),
        Value::B(bytes) => bytes,
        _ => return false,
    };
    for byte in bytes {
        out.push(*byte);
        if *byte == 0 {
            out.push(ESCAPED_ZERO);
        }
    }
    true
}

/// Reads one key off the front of `bytes`.
pub fn decode(kind: KeyType, bytes: &mut &[u8]) -> Result<Value, Corrupt> {
    match kind {
        KeyType::N => Number::decode_ordered(bytes).map(Value::N),
        KeyType::B => unescape(bytes).map(|bytes| Value::B(Bytes::from(bytes))),
        KeyType::S => {
            let text = String::from_utf8(unescape(bytes)?);
            text.map(Value::S).map_err(|_| Corrupt("a key's text is not UTF-8"))
        }
    }
}

fn unescape(bytes: &mut &[u8]) -> Result<Vec<u8>, Corrupt> {
    let mut out = Vec::new();
    loop {
        let end = bytes.iter().position(|b| *b == 0).ok_or(Corrupt("a key ends early"))?;
        out.extend_from_slice(&bytes[..end]);
        let (escape, rest) = bytes[end + 1..].split_first().ok_or(Corrupt("a key ends early"))?;
        *bytes = rest;
        match *escape {
            0 => return Ok(out),
            ESCAPED_ZERO => out.push(0),
            _ => return Err(Corrupt("a key has a wrong escape")),
        }
    }
}
