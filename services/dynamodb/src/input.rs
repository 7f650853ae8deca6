//! Members of a request: taken by name, of the type AWS's model says, with the sentences AWS answers when they are not.

use cumulet_base::limits;
use cumulet_wire::call::Call;
use cumulet_wire::error::ApiError;
use cumulet_wire::validate::Validation;
use serde_json::{Map, Value as Json};

use crate::errors;
use crate::keys::ItemKey;
use crate::model::{Index, KeyAttribute, KeySchema, Place, Table};
use crate::value::{Invalid, Item, Value, item_from_json, item_size_bytes};

pub const NAME_PATTERN: &str = "[a-zA-Z0-9_.-]+";
const NAME_MIN: usize = 3;
const NAME_MAX: usize = 255;

impl From<Invalid> for ApiError {
    fn from(invalid: Invalid) -> ApiError {
        match invalid {
            Invalid::Validation(message) => errors::invalid(message),
            Invalid::Serialization(message) => ApiError::serialization(&message),
        }
    }
}

fn wrong_type() -> ApiError {
    ApiError::serialization("Unexpected field type")
}

/// The members of one request or of one structure in it.
pub struct Input<'a>(pub &'a Json);

impl<'a> Input<'a> {
    pub fn get(&self, member: &str) -> Option<&'a Json> {
        self.0.get(member).filter(|value| !value.is_null())
    }

    pub fn has(&self, member: &str) -> bool {
        self.get(member).is_some()
    }

    pub fn text(&self, member: &str) -> Result<Option<&'a str>, ApiError> {
        self.get(member).map(|value| value.as_str().ok_or_else(wrong_type)).transpose()
    }

    pub fn truth(&self, member: &str) -> Result<Option<bool>, ApiError> {
        self.get(member).map(|value| value.as_bool().ok_or_else(wrong_type)).transpose()
    }

    pub fn is(&self, member: &str) -> Result<bool, ApiError> {
        Ok(self.truth(member)?.unwrap_or(false))
    }

    pub fn number(&self, member: &str) -> Result<Option<i64>, ApiError> {
        let whole = |value: &Json| value.as_i64().or_else(|| value.as_f64().map(|n| n as i64));
        self.get(member).map(|value| whole(value).ok_or_else(wrong_type)).transpose()
    }

    pub fn list(&self, member: &str) -> Result<Option<&'a Vec<Json>>, ApiError> {
        self.get(member).map(|value| value.as_array().ok_or_else(wrong_type)).transpose()
    }

    pub fn object(&self, member: &str) -> Result<Option<&'a Map<String, Json>>, ApiError> {
        self.get(member).map(|value| value.as_object().ok_or_else(wrong_type)).transpose()
    }

    pub fn inner(&self, member: &str) -> Result<Option<Input<'a>>, ApiError> {
        Ok(self.object(member)?.and_then(|_| self.get(member)).map(Input))
    }

    pub fn required_text(&self, member: &str) -> Result<&'a str, ApiError> {
        self.text(member)?.ok_or_else(|| missing(member))
    }

    pub fn required_item(&self, member: &str) -> Result<Item, ApiError> {
        let json = self.get(member).ok_or_else(|| missing(member))?;
        Ok(item_from_json(json)?)
    }

    /// One of the values of an enumeration.
    pub fn one_of(&self, member: &str, values: &[&'static str]) -> Result<Option<&'static str>, ApiError> {
        let Some(text) = self.text(member)? else { return Ok(None) };
        let found = values.iter().find(|value| **value == text);
        found.map(|found| Some(*found)).ok_or_else(|| enum_error(&lower_first(member), text, values))
    }

    /// A whole number within bounds.
    pub fn between(&self, member: &str, min: i64, max: i64) -> Result<Option<i64>, ApiError> {
        let number = self.number(member)?;
        Validation::new().between(&lower_first(member), number, min, max).finish(VALIDATION)?;
        Ok(number)
    }
}

const VALIDATION: &str = "ValidationException";

fn lower_first(member: &str) -> String {
    let mut letters = member.chars();
    letters.next().map(|first| first.to_ascii_lowercase()).into_iter().chain(letters).collect()
}

pub fn missing(member: &str) -> ApiError {
    constraint(&lower_first(member), None, "Member must not be null")
}

pub fn enum_error(member: &str, value: &str, values: &[&str]) -> ApiError {
    constraint(member, Some(value), &format!("Member must satisfy enum value set: [{}]", values.join(", ")))
}

pub fn constraint(member: &str, value: Option<&str>, constraint: &str) -> ApiError {
    let value = value.map_or("null".to_owned(), |value| format!("'{value}'"));
    errors::invalid(format!(
        "1 validation error detected: Value {value} at '{member}' failed to satisfy constraint: {constraint}"
    ))
}

pub fn is_name(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b))
}

pub fn check_name(member: &str, name: &str) -> Result<(), ApiError> {
    let mut validation = Validation::new();
    validation
        .pattern(member, Some(name), NAME_PATTERN, is_name)
        .length(member, Some(name), NAME_MIN, NAME_MAX)
        .finish(VALIDATION)
}

/// The table a name or an ARN means; tables of others are not found.
pub fn place_of(call: &Call, name: &str) -> Result<Place, ApiError> {
    let here = |name: &str| Place {
        account: call.context.account().to_owned(),
        region: call.context.region.clone(),
        name: name.to_owned(),
    };
    if !name.starts_with("arn:") {
        check_name("tableName", name)?;
        return Ok(here(name));
    }
    let place = place_of_arn(name).ok_or_else(|| errors::invalid(format!("Invalid table ARN: {name}")))?;
    if place.account != call.context.account() || place.region != call.context.region {
        return Err(errors::no_table());
    }
    Ok(place)
}

/// `arn:aws:dynamodb:REGION:ACCOUNT:table/NAME`, with or without what follows the name.
pub fn place_of_arn(arn: &str) -> Option<Place> {
    let mut fields = arn.splitn(6, ':');
    let is_dynamodb = fields.next()? == "arn" && fields.next().is_some() && fields.next()? == "dynamodb";
    let (region, account) = (fields.next()?, fields.next()?);
    let name = fields.next()?.strip_prefix("table/")?.split('/').next()?;
    let is_whole = is_dynamodb && is_name(name) && (NAME_MIN..=NAME_MAX).contains(&name.len());
    is_whole.then(|| Place { account: account.to_owned(), region: region.to_owned(), name: name.to_owned() })
}

/// The length of a text or binary, and what AWS calls it in errors.
fn length(value: &Value) -> Option<(usize, &'static str)> {
    match value {
        Value::S(text) => Some((text.len(), "string")),
        Value::B(bytes) => Some((bytes.len(), "binary")),
        _ => None,
    }
}

/// Names an attribute of a key and refuses what cannot be one.
fn check_key_value(attribute: &KeyAttribute, value: &Value, is_hash: bool) -> Result<(), ApiError> {
    let Some((bytes, what)) = length(value) else { return Ok(()) };
    if bytes == 0 {
        return Err(errors::invalid(format!(
            "One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an empty \
             {what} value. Key: {}",
            attribute.name
        )));
    }
    if is_hash && bytes > limits::TABLE_HASH_KEY_BYTES_MAX {
        return Err(errors::parameter("Size of hashkey has exceeded the maximum size limit of2048 bytes"));
    }
    if !is_hash && bytes > limits::TABLE_RANGE_KEY_BYTES_MAX {
        return Err(errors::parameter("Aggregated size of all range keys has exceeded the size limit of 1024 bytes"));
    }
    Ok(())
}

/// The key of an item that is to be read or changed: exactly the key attributes, of their types.
pub fn key_of(table: &Table, key: &Item) -> Result<ItemKey, ApiError> {
    let schema = &table.key;
    let count = schema.attributes().count();
    let fits = key.len() == count
        && schema.attributes().all(|a| key.get(&a.name).is_some_and(|value| value.type_name() == a.kind.name()));
    if !fits {
        return Err(errors::key_schema());
    }
    for (n, attribute) in schema.attributes().enumerate() {
        check_key_value(attribute, &key[&attribute.name], n == 0)?;
    }
    ItemKey::of(schema, key).ok_or_else(errors::key_schema)
}

/// The key of an item that is to be stored, which may have any other attributes.
pub fn key_of_item(table: &Table, item: &Item) -> Result<ItemKey, ApiError> {
    for (n, attribute) in table.key.attributes().enumerate() {
        let value = item
            .get(&attribute.name)
            .ok_or_else(|| errors::parameter(format!("Missing the key {} in the item", attribute.name)))?;
        if value.type_name() != attribute.kind.name() {
            return Err(errors::parameter(format!(
                "Type mismatch for key {} expected: {} actual: {}",
                attribute.name,
                attribute.kind.name(),
                value.type_name()
            )));
        }
        check_key_value(attribute, value, n == 0)?;
    }
    ItemKey::of(&table.key, item).ok_or_else(errors::key_schema)
}

/// What an item has to be like to be stored: not too large, and its index keys of their types.
pub fn check_item(table: &Table, item: &Item) -> Result<(), ApiError> {
    if item_size_bytes(item) > limits::TABLE_ITEM_BYTES_MAX {
        return Err(errors::item_too_large());
    }
    for index in &table.indexes {
        for (n, attribute) in index.key.attributes().enumerate() {
            if let Some(value) = item.get(&attribute.name) {
                check_index_value(index, attribute, value, n == 0)?;
            }
        }
    }
    Ok(())
}

fn check_index_value(index: &Index, attribute: &KeyAttribute, value: &Value, is_hash: bool) -> Result<(), ApiError> {
    if value.type_name() != attribute.kind.name() {
        return Err(errors::parameter(format!(
            "Type mismatch for Index Key {} Expected: {} Actual: {} IndexName: {}",
            attribute.name,
            attribute.kind.name(),
            value.type_name(),
            index.name
        )));
    }
    let Some((bytes, what)) = length(value) else { return Ok(()) };
    if bytes == 0 {
        return Err(errors::invalid(format!(
            "One or more parameter values are not valid. A value specified for a secondary index key is not supported. The \
             AttributeValue for a key attribute cannot contain an empty {what} value. IndexName: {}, IndexKey: {}",
            index.name, attribute.name
        )));
    }
    let max = if is_hash { limits::TABLE_HASH_KEY_BYTES_MAX } else { limits::TABLE_RANGE_KEY_BYTES_MAX };
    if bytes > max {
        let which = if is_hash { "hashkey" } else { "rangekey" };
        return Err(errors::parameter(format!(
            "Size of {which} has exceeded the maximum size limit of {max} bytes. IndexName: {}, IndexKey: {}",
            index.name, attribute.name
        )));
    }
    Ok(())
}

/// Whether an item has all attributes of a key, of their types.
pub fn has_key(schema: &KeySchema, item: &Item) -> bool {
    schema.attributes().all(|a| item.get(&a.name).is_some_and(|value| value.type_name() == a.kind.name()))
}
