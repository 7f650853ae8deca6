//! Patch operations of version 1: `add`, `replace` and `remove` by path, with every value as text. Pure.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::errors::Error;

/// Members that are no texts, by what they are.
const BOOLEANS: &[&str] = &[
    "apiKeyRequired",
    "cachingEnabled",
    "cacheClusterEnabled",
    "dataTraceEnabled",
    "disableExecuteApiEndpoint",
    "enabled",
    "metricsEnabled",
    "tracingEnabled",
    "validateRequestBody",
    "validateRequestParameters",
];
const NUMBERS: &[&str] = &[
    "authorizerResultTtlInSeconds",
    "burstLimit",
    "limit",
    "minimumCompressionSize",
    "offset",
    "rateLimit",
    "throttlingBurstLimit",
    "throttlingRateLimit",
    "timeoutInMillis",
];

/// How the settings of a stage's methods are called in paths, and where they are kept.
const SETTINGS: &[(&str, &str, &str)] = &[
    ("throttling", "rateLimit", "throttlingRateLimit"),
    ("throttling", "burstLimit", "throttlingBurstLimit"),
    ("logging", "loglevel", "loggingLevel"),
    ("logging", "dataTrace", "dataTraceEnabled"),
    ("metrics", "enabled", "metricsEnabled"),
    ("caching", "enabled", "cachingEnabled"),
];

fn bad(what: impl std::fmt::Display) -> Error {
    Error::Invalid(format!("Invalid patch path '{what}' specified"))
}

/// The texts between the slashes, with `~1` and `~0` (RFC 6901) taken back.
fn segments(path: &str) -> Result<Vec<String>, Error> {
    let rest = path.strip_prefix('/').ok_or_else(|| bad(path))?;
    Ok(rest.split('/').map(|part| part.replace("~1", "/").replace("~0", "~")).collect())
}

/// A text as the value that the member has.
fn typed(member: &str, value: Option<&Value>) -> Result<Value, Error> {
    let invalid = || Error::Invalid(format!("Invalid value for {member}"));
    let Some(text) = value.and_then(Value::as_str) else { return Ok(value.cloned().unwrap_or_default()) };
    if BOOLEANS.contains(&member) {
        return text.parse::<bool>().map(Value::from).map_err(|_| invalid());
    }
    if NUMBERS.contains(&member) {
        let number: f64 = text.parse().map_err(|_| invalid())?;
        return Ok(if number.fract() == 0.0 { Value::from(number as i64) } else { Value::from(number) });
    }
    Ok(text.into())
}

/// The place of a stage's setting, `/PATH/METHOD/GROUP/NAME` with the path in one segment.
fn setting(raw: &str) -> Option<(String, &'static str)> {
    let mut parts = raw.strip_prefix('/')?.rsplitn(3, '/');
    let (name, group, method) = (parts.next()?, parts.next()?, parts.next()?);
    let member = SETTINGS.iter().find(|(g, n, _)| *g == group && *n == name)?.2;
    method.contains('/').then(|| (method.to_owned(), member))
}

/// The shape with all operations of `input` carried out on it; only members named may change.
pub fn patched<T: Serialize + DeserializeOwned>(
    shape: &T,
    input: &Map<String, Value>,
    writable: &[&str],
) -> Result<T, Error> {
    let mut value = serde_json::to_value(shape).map_err(Error::Row)?;
    let operations = input.get("patchOperations").and_then(Value::as_array).cloned().unwrap_or_default();
    for operation in &operations {
        let (Some(op), Some(path)) = (operation["op"].as_str(), operation["path"].as_str()) else {
            return Err(Error::Invalid("A patch operation needs op and path".into()));
        };
        let given = operation.get("value");
        if let Some((method, member)) = setting(path).filter(|_| writable.contains(&"methodSettings")) {
            let settings = &mut value["methodSettings"][method];
            match op {
                "remove" => drop(settings.as_object_mut().and_then(|settings| settings.remove(member))),
                _ => settings[member] = typed(member, given)?,
            }
            continue;
        }
        // All settings of a method, `/PATH/METHOD`.
        let all = path.strip_prefix('/').filter(|_| op == "remove" && writable.contains(&"methodSettings"));
        if all.is_some_and(|all| value["methodSettings"].as_object_mut().is_some_and(|of| of.remove(all).is_some())) {
            continue;
        }
        let mut places = segments(path)?;
        if !writable.contains(&places[0].as_str()) {
            return Err(bad(path));
        }
        let last = places.pop().unwrap_or_default();
        let holder = places.iter().try_fold(&mut value, |at, place| match at {
            Value::Object(map) => Some(map.entry(place.clone()).or_insert_with(|| Map::new().into())),
            Value::Array(_) | Value::Null => Some(at),
            _ => None,
        });
        apply(holder.ok_or_else(|| bad(path))?, op, &last, given)?;
    }
    serde_json::from_value(value).map_err(|e| Error::Invalid(e.to_string()))
}

fn apply(holder: &mut Value, op: &str, last: &str, given: Option<&Value>) -> Result<(), Error> {
    match (holder, op) {
        // Of lists, entries are named by what they are.
        (Value::Array(list), "add") => {
            let entry = Value::from(last);
            if !list.contains(&entry) {
                list.push(entry);
            }
        }
        (Value::Array(list), "remove") => list.retain(|entry| entry != last),
        (Value::Array(list), "replace") => {
            let at = list.iter().position(|entry| entry == last);
            let given = given.cloned().unwrap_or_default();
            match (at, last.parse::<usize>()) {
                (Some(at), _) => list[at] = given,
                (None, Ok(at)) if at < list.len() => list[at] = given,
                _ => return Err(bad(last)),
            }
        }
        (Value::Object(map), "add" | "replace") => match map.get_mut(last) {
            Some(Value::Array(list)) if op == "add" => list.extend(given.cloned()),
            _ => drop(map.insert(last.to_owned(), typed(last, given)?)),
        },
        (Value::Object(map), "remove") => drop(map.remove(last)),
        _ => return Err(Error::Invalid(format!("Invalid patch operation {op}"))),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::json;

    use super::*;
    use crate::rest::shapes::Stage;

    fn check(before: &Value, operations: &Value, after: &Value) {
        let input = json!({ "patchOperations": operations });
        let writable = ["list", "map", "text", "enabled"];
        let got: Value = patched(before, input.as_object().unwrap(), &writable).unwrap();
        assert_eq!(&got, after, "{operations}");
    }

    #[test]
    fn operations() {
        let before = json!({"list": ["a/b"], "map": {"x": "1"}, "text": "t"});
        check(
            &before,
            &json!([{"op": "replace", "path": "/text", "value": "u"}]),
            &json!({"list": ["a/b"], "map": {"x": "1"}, "text": "u"}),
        );
        check(
            &before,
            &json!([{"op": "add", "path": "/list/c~1d"}, {"op": "remove", "path": "/list/a~1b"}]),
            &json!({"list": ["c/d"], "map": {"x": "1"}, "text": "t"}),
        );
        check(
            &before,
            &json!([{"op": "add", "path": "/map/y", "value": "2"}, {"op": "remove", "path": "/map/x"}]),
            &json!({"list": ["a/b"], "map": {"y": "2"}, "text": "t"}),
        );
        check(
            &before,
            &json!([{"op": "add", "path": "/list", "value": "e"}]),
            &json!({"list": ["a/b", "e"], "map": {"x": "1"}, "text": "t"}),
        );
        for (op, path) in [("replace", "/other"), ("replace", "text"), ("move", "/text")] {
            let input = json!({ "patchOperations": [{"op": op, "path": path, "value": "v"}] });
            assert!(patched::<Value>(&before, input.as_object().unwrap(), &["text"]).is_err(), "{op} {path}");
        }
    }

    #[test]
    fn settings_of_methods() {
        let input = json!({ "patchOperations": [
            {"op": "replace", "path": "/*/*/throttling/rateLimit", "value": "2.5"},
            {"op": "replace", "path": "/~1pets/GET/throttling/burstLimit", "value": "7"},
            {"op": "replace", "path": "/variables/a", "value": "b"},
        ]});
        let writable = ["methodSettings", "variables"];
        let stage = patched(&Stage::default(), input.as_object().unwrap(), &writable).unwrap();
        assert_eq!(stage.method_settings["*/*"].throttling_rate_limit, Some(2.5));
        assert_eq!(stage.method_settings["~1pets/GET"].throttling_burst_limit, Some(7));
        assert_eq!(stage.variables["a"], "b");
        let gone = json!({ "patchOperations": [{"op": "remove", "path": "/*/*"}] });
        let stage = patched(&stage, gone.as_object().unwrap(), &writable).unwrap();
        assert_eq!(stage.method_settings.keys().collect::<Vec<_>>(), ["~1pets/GET"]);
        assert!(patched(&stage, gone.as_object().unwrap(), &writable).is_err(), "there are none any more");
    }
}
