//! Values as the wire has them: `{"S": "text"}`. The messages for wrong ones are AWS's.

use std::collections::BTreeSet;

use base64::prelude::{BASE64_STANDARD, Engine};
use bytes::Bytes;
use cumulet_base::limits;
use serde_json::{Map, Value as Json, json};

use super::{Invalid, Item, Number, Value};

const EMPTY: &str = "Supplied AttributeValue is empty, must contain exactly one of the supported datatypes";
const SEVERAL: &str =
    "Supplied AttributeValue has more than one datatypes set, must contain exactly one of the supported datatypes";
const TYPES: [&str; 10] = ["S", "N", "B", "BOOL", "NULL", "SS", "NS", "BS", "L", "M"];

/// What reading a map of attributes gives; `null` is AWS's absent.
pub fn item_from_json(json: &Json) -> Result<Item, Invalid> {
    item_at(json, 1)
}

pub fn item_to_json(item: &Item) -> Json {
    Json::Object(item.iter().map(|(name, value)| (name.clone(), value.to_json())).collect())
}

/// Writes what `item_to_json` makes, without making it: the way items are answered by the thousand.
pub fn write_item(item: &Item, out: &mut Vec<u8>) {
    out.push(b'{');
    for (n, (name, value)) in item.iter().enumerate() {
        if n > 0 {
            out.push(b',');
        }
        write_text(name, out);
        out.push(b':');
        write_value(value, out);
    }
    out.push(b'}');
}

fn write_value(value: &Value, out: &mut Vec<u8>) {
    out.extend(b"{\"");
    out.extend(value.type_name().as_bytes());
    out.extend(b"\":");
    match value {
        Value::S(text) => write_text(text, out),
        Value::N(number) => write_text(&number.to_string(), out),
        Value::B(bytes) => write_text(&BASE64_STANDARD.encode(bytes), out),
        Value::Bool(truth) => out.extend(if *truth { &b"true"[..] } else { b"false" }),
        Value::Null => out.extend(b"true"),
        Value::Ss(set) => write_list(set, |text, out| write_text(text, out), out),
        Value::Ns(set) => write_list(set, |number, out| write_text(&number.to_string(), out), out),
        Value::Bs(set) => write_list(set, |bytes, out| write_text(&BASE64_STANDARD.encode(bytes), out), out),
        Value::L(list) => write_list(list, write_value, out),
        Value::M(map) => write_item(map, out),
    }
    out.push(b'}');
}

fn write_list<T>(list: impl IntoIterator<Item = T>, each: impl Fn(T, &mut Vec<u8>), out: &mut Vec<u8>) {
    out.push(b'[');
    for (n, one) in list.into_iter().enumerate() {
        if n > 0 {
            out.push(b',');
        }
        each(one, out);
    }
    out.push(b']');
}

fn write_text(text: &str, out: &mut Vec<u8>) {
    // A vector takes everything, and text has no shape that JSON lacks.
    let written = serde_json::to_writer(&mut *out, text);
    debug_assert!(written.is_ok());
}

impl Value {
    /// Reads the shape of the wire.
    pub fn from_json(json: &Json) -> Result<Value, Invalid> {
        value_at(json, 1)
    }

    pub fn to_json(&self) -> Json {
        match self {
            Value::S(text) => json!({ "S": text }),
            Value::N(number) => json!({ "N": number.to_string() }),
            Value::B(bytes) => json!({ "B": BASE64_STANDARD.encode(bytes) }),
            Value::Bool(truth) => json!({ "BOOL": truth }),
            Value::Null => json!({ "NULL": true }),
            Value::Ss(set) => json!({ "SS": set }),
            Value::Ns(set) => json!({ "NS": set.iter().map(Number::to_string).collect::<Vec<_>>() }),
            Value::Bs(set) => json!({ "BS": set.iter().map(|b| BASE64_STANDARD.encode(b)).collect::<Vec<_>>() }),
            Value::L(list) => json!({ "L": list.iter().map(Value::to_json).collect::<Vec<_>>() }),
            Value::M(map) => json!({ "M": item_to_json(map) }),
        }
    }
}

fn value_at(json: &Json, level: usize) -> Result<Value, Invalid> {
    if level > limits::DYNAMODB_NESTING_MAX {
        return Err(Invalid::too_deep());
    }
    let fields = object(json)?;
    let mut given = fields.iter().filter(|(name, value)| TYPES.contains(&name.as_str()) && !value.is_null());
    let Some((kind, content)) = given.next() else { return Err(Invalid::new(EMPTY)) };
    let value = typed(kind, content, level)?;
    match given.next() {
        None => Ok(value),
        Some(_) => Err(Invalid::new(SEVERAL)),
    }
}

fn typed(kind: &str, content: &Json, level: usize) -> Result<Value, Invalid> {
    match kind {
        "S" => Ok(Value::S(string(content)?.to_owned())),
        "N" => Ok(Value::N(Number::parse(string(content)?)?)),
        "B" => Ok(Value::B(blob(content)?)),
        "BOOL" => match content {
            Json::Bool(truth) => Ok(Value::Bool(*truth)),
            other => Err(unexpected(other, "Boolean")),
        },
        "NULL" => match content {
            Json::Bool(true) => Ok(Value::Null),
            Json::Bool(false) => Err(Invalid::parameter("Null attribute value types must have the value of true")),
            other => Err(unexpected(other, "Boolean")),
        },
        "SS" => string_set(list(content)?),
        "NS" => number_set(list(content)?),
        "BS" => binary_set(list(content)?),
        "L" => {
            let values = list(content)?.iter().map(|value| value_at(value, level + 1));
            Ok(Value::L(values.collect::<Result<_, _>>()?))
        }
        _ => Ok(Value::M(item_at(content, level + 1)?)),
    }
}

fn item_at(json: &Json, level: usize) -> Result<Item, Invalid> {
    object(json)?.iter().map(|(name, value)| Ok((name.clone(), value_at(value, level)?))).collect()
}

fn string_set(given: &[Json]) -> Result<Value, Invalid> {
    let texts = given.iter().map(string).collect::<Result<Vec<_>, _>>()?;
    if texts.is_empty() {
        return Err(Invalid::parameter("An string set  may not be empty"));
    }
    let set: BTreeSet<String> = texts.iter().map(|text| (*text).to_owned()).collect();
    if set.contains("") {
        return Err(Invalid::parameter("An string set may not have a empty string as a member"));
    }
    if set.len() < texts.len() {
        return Err(Invalid::parameter(format!("Input collection [{}] contains duplicates.", texts.join(", "))));
    }
    Ok(Value::Ss(set))
}

fn number_set(given: &[Json]) -> Result<Value, Invalid> {
    if given.is_empty() {
        return Err(Invalid::parameter("An number set  may not be empty"));
    }
    let mut set = BTreeSet::new();
    for number in given {
        if !set.insert(Number::parse(string(number)?)?) {
            return Err(Invalid::new("Input collection contains duplicates"));
        }
    }
    Ok(Value::Ns(set))
}

fn binary_set(given: &[Json]) -> Result<Value, Invalid> {
    if given.is_empty() {
        return Err(Invalid::parameter("Binary sets should not be empty"));
    }
    let set = given.iter().map(blob).collect::<Result<BTreeSet<Bytes>, _>>()?;
    if set.contains(&Bytes::new()) {
        return Err(Invalid::parameter("Binary sets may not contain null or empty values"));
    }
    if set.len() < given.len() {
        let texts: Vec<&str> = given.iter().filter_map(Json::as_str).collect();
        let message = format!("Input collection [{}]of type BS contains duplicates.", texts.join(", "));
        return Err(Invalid::parameter(message));
    }
    Ok(Value::Bs(set))
}

fn object(json: &Json) -> Result<&Map<String, Json>, Invalid> {
    json.as_object().ok_or_else(|| {
        Invalid::Serialization(match json {
            Json::Array(_) => "Unrecognized collection type class java.util.ArrayList".to_owned(),
            _ => "Unexpected value type in payload".to_owned(),
        })
    })
}

fn list(json: &Json) -> Result<&[Json], Invalid> {
    json.as_array().map(Vec::as_slice).ok_or_else(|| {
        Invalid::Serialization(match json {
            Json::Object(_) => "Start of structure or map found where not expected".to_owned(),
            _ => "Unexpected field type".to_owned(),
        })
    })
}

fn string(json: &Json) -> Result<&str, Invalid> {
    json.as_str().ok_or_else(|| unexpected(json, "String"))
}

fn blob(json: &Json) -> Result<Bytes, Invalid> {
    let text = json.as_str().ok_or_else(|| unexpected(json, "Blob"))?;
    let decoded = BASE64_STANDARD.decode(text).map(Bytes::from);
    decoded.map_err(|_| Invalid::Serialization(format!("Invalid Base64 character in: '{text}'")))
}

/// A JSON value where another kind of it is expected.
fn unexpected(json: &Json, expected: &str) -> Invalid {
    let found = match json {
        Json::Bool(true) => "TRUE_VALUE",
        Json::Bool(false) => "FALSE_VALUE",
        Json::Number(number) if number.is_f64() => "DECIMAL_VALUE",
        Json::Number(_) => "NUMBER_VALUE",
        Json::String(_) => "STRING_VALUE",
        Json::Array(_) => return Invalid::Serialization("Start of list found where not expected".to_owned()),
        Json::Object(_) => {
            return Invalid::Serialization("Start of structure or map found where not expected".to_owned());
        }
        Json::Null => "NULL_VALUE",
    };
    Invalid::Serialization(format!("{found} cannot be converted to {expected}"))
}
