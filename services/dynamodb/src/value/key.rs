//! The types that attributes of keys can have.

use super::Value;

/// The type of a key attribute, as its table declares it.
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
