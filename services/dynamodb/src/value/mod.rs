//! The values of attributes: what they are, how large they count, and the forms they are written in.
//! Sources: "Supported data types and naming rules", "Item sizes and formats" of the DynamoDB Developer Guide.

mod codec;
mod ion;
mod json;
pub mod key;
mod number;

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

pub use codec::{decode_item, encode_item};
pub use ion::write_struct;
pub use json::{item_from_json, item_to_json, write_item};
pub use number::Number;

/// What a caller is told, under the code of the variant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// `ValidationException`.
    #[error("{0}")]
    Validation(String),
    /// `SerializationException`: not the shape of the wire.
    #[error("{0}")]
    Serialization(String),
}

impl Invalid {
    pub fn new(message: impl Into<String>) -> Invalid {
        Invalid::Validation(message.into())
    }

    /// More than 32 levels of nesting.
    pub fn too_deep() -> Invalid {
        Invalid::new(
            "Nesting Levels have exceeded supported limits: Attributes in the item have nested levels beyond supported \
             limit",
        )
    }

    /// The message behind AWS's common beginning.
    pub fn parameter(message: impl std::fmt::Display) -> Invalid {
        Invalid::Validation(format!("One or more parameter values were invalid: {message}"))
    }
}

/// Stored bytes that are not what was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("stored value is corrupt: {0}")]
pub struct Corrupt(pub &'static str);

pub type Item = BTreeMap<String, Value>;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    S(String),
    N(Number),
    B(Bytes),
    Bool(bool),
    Null,
    Ss(BTreeSet<String>),
    Ns(BTreeSet<Number>),
    Bs(BTreeSet<Bytes>),
    L(Vec<Value>),
    M(Item),
}

impl Value {
    /// The name of the type on the wire.
    pub fn type_name(&self) -> &'static str {
        match self {
            Value::S(_) => "S",
            Value::N(_) => "N",
            Value::B(_) => "B",
            Value::Bool(_) => "BOOL",
            Value::Null => "NULL",
            Value::Ss(_) => "SS",
            Value::Ns(_) => "NS",
            Value::Bs(_) => "BS",
            Value::L(_) => "L",
            Value::M(_) => "M",
        }
    }

    /// What the value counts towards the size of its item: lists and maps cost 3 bytes, and 1 for each element.
    pub fn size_bytes(&self) -> usize {
        match self {
            Value::S(text) => text.len(),
            Value::N(number) => number.size_bytes(),
            Value::B(bytes) => bytes.len(),
            Value::Bool(_) | Value::Null => 1,
            Value::Ss(set) => set.iter().map(String::len).sum(),
            Value::Ns(set) => set.iter().map(|number| number.size_bytes()).sum(),
            Value::Bs(set) => set.iter().map(Bytes::len).sum(),
            Value::L(list) => 3 + list.iter().map(|value| 1 + value.size_bytes()).sum::<usize>(),
            Value::M(map) => 3 + map.len() + item_size_bytes(map),
        }
    }

    /// Levels of nesting: the value itself is one, and each list or map that has something in it adds one.
    pub fn levels(&self) -> usize {
        match self {
            Value::L(list) => 1 + list.iter().map(Value::levels).max().unwrap_or(0),
            Value::M(map) => 1 + map.values().map(Value::levels).max().unwrap_or(0),
            _ => 1,
        }
    }

    /// S, N or B: what keys may be made of, and what `BETWEEN` and `<` compare.
    pub fn is_scalar_key(&self) -> bool {
        matches!(self, Value::S(_) | Value::N(_) | Value::B(_))
    }
}

/// Names and values of all attributes.
pub fn item_size_bytes(item: &Item) -> usize {
    item.iter().map(|(name, value)| name.len() + value.size_bytes()).sum()
}

#[cfg(test)]
pub(crate) mod arbitrary;
#[cfg(test)]
mod tests;
