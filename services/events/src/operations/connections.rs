//! Connections: how API destinations are authorised. Secrets are taken, and never shown again.

use cumulet_base::id;
use cumulet_wire::call::{Answer, Call, seconds};
use cumulet_wire::error::ApiError;
use cumulet_wire::validate::Validation;
use serde_json::{Value, json};

use super::put;
use crate::model::{Connection, Destination, FORMAT, Place};
use crate::route::all;
use crate::storage::{self, Kind};
use crate::{Events, errors, input};

const TYPES: [&str; 3] = ["BASIC", "OAUTH_CLIENT_CREDENTIALS", "API_KEY"];
/// Members of parameters that are secrets.
const SECRETS: [&str; 3] = ["Password", "ApiKeyValue", "ClientSecret"];

fn no_connection(name: &str) -> ApiError {
    errors::not_found(format!("Connection {name} does not exist."))
}

pub fn arn(place: &Place, name: &str, connection: &Connection) -> String {
    place.arn(&format!("connection/{name}/{}", connection.id))
}

/// What each type of authorisation cannot do without.
fn check(kind: &str, parameters: &Value) -> Result<(), ApiError> {
    let needed: (&str, &[&str]) = match kind {
        "BASIC" => ("BasicAuthParameters", &["/Username", "/Password"]),
        "API_KEY" => ("ApiKeyAuthParameters", &["/ApiKeyName", "/ApiKeyValue"]),
        _ => (
            "OAuthParameters",
            &["/AuthorizationEndpoint", "/HttpMethod", "/ClientParameters/ClientID", "/ClientParameters/ClientSecret"],
        ),
    };
    let given = &parameters[needed.0];
    if given.is_null() {
        return Err(errors::invalid(format!(
            "Parameter AuthParameters is not valid. Reason: {} is missing.",
            needed.0
        )));
    }
    for pointer in needed.1 {
        if given.pointer(pointer).and_then(Value::as_str).is_none_or(str::is_empty) {
            let name = format!("authParameters.{}{}", needed.0, pointer.replace('/', "."));
            return Err(errors::invalid(format!(
                "1 validation error detected: Value null at '{name}' failed to satisfy constraint: Member must not be null"
            )));
        }
    }
    if !parameters["ConnectivityParameters"].is_null() {
        return Err(errors::not_built("private connectivity of connections"));
    }
    Ok(())
}

pub async fn create(events: &Events, call: &Call) -> Result<Answer, ApiError> {
    let (core, given) = (&events.core, &call.input);
    let name = input::name(given, "Name", 64)?;
    let kind = input::required(given, "AuthorizationType")?;
    Validation::new().one_of("authorizationType", Some(kind), &TYPES).finish("ValidationException")?;
    input::bounded(given, &[("Description", 512)])?;
    if given.contains_key("InvocationConnectivityParameters") {
        return Err(errors::not_built("private connectivity of connections"));
    }
    let parameters = given.get("AuthParameters").cloned().unwrap_or_default();
    check(kind, &parameters)?;
    let place = input::here(call);
    let now_ms = core.now_ms();
    let connection = Connection {
        v: FORMAT,
        id: id::uuid(),
        description: input::owned(given, "Description"),
        authorization_type: kind.to_owned(),
        auth_parameters: parameters,
        sealed_parameters: None,
        state: "AUTHORIZED".to_owned(),
        created_ms: now_ms,
        modified_ms: now_ms,
        authorized_ms: Some(now_ms),
    };
    let txn = core.storage.put_connection(storage::begin(&place), &place, name, &connection, None)?;
    if !core.storage.commit(txn).await? {
        return Err(errors::exists(format!("Connection {name} already exists.")));
    }
    Answer::json(changed(&place, name, &connection))
}

fn changed(place: &Place, name: &str, connection: &Connection) -> Value {
    let mut output = json!({
        "ConnectionArn": arn(place, name, connection),
        "ConnectionState": connection.state,
        "CreationTime": seconds(connection.created_ms),
        "LastModifiedTime": seconds(connection.modified_ms),
    });
    put(&mut output, "LastAuthorizedTime", connection.authorized_ms.map(seconds));
    output
}

/// Without what is secret.
fn without_secrets(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let is_secret = map.get("IsValueSecret").and_then(Value::as_bool) == Some(true);
            map.iter()
                .filter(|(name, _)| !(SECRETS.contains(&name.as_str()) || is_secret && *name == "Value"))
                .map(|(name, value)| (name.clone(), without_secrets(value)))
                .collect::<serde_json::Map<String, Value>>()
                .into()
        }
        Value::Array(list) => list.iter().map(without_secrets).collect(),
        other => other.clone(),
    }
}

pub async fn describe(events: &Events, call: &Call) -> Result<Answer, ApiError> {
    let name = input::required(&call.input, "Name")?;
    let place = input::here(call);
    let found = events.core.storage.connection(&place, name).await?;
    let (connection, _) = found.ok_or_else(|| no_connection(name))?;
    let mut output = changed(&place, name, &connection);
    output["Name"] = name.into();
    output["AuthorizationType"] = connection.authorization_type.into();
    output["AuthParameters"] = without_secrets(&connection.auth_parameters);
    put(&mut output, "Description", connection.description);
    Answer::json(output)
}

/// Puts what is new over what is there, member by member.
fn merge(old: &mut Value, new: &Value) {
    match (old, new) {
        (Value::Object(old), Value::Object(new)) => {
            for (name, value) in new {
                merge(old.entry(name.clone()).or_insert(Value::Null), value);
            }
        }
        (old, new) => *old = new.clone(),
    }
}

pub async fn update(events: &Events, call: &Call) -> Result<Answer, ApiError> {
    let (core, given) = (&events.core, &call.input);
    let name = input::required(given, "Name")?;
    let kind = input::text(given, "AuthorizationType");
    Validation::new().one_of("authorizationType", kind, &TYPES).finish("ValidationException")?;
    input::bounded(given, &[("Description", 512)])?;
    let place = input::here(call);
    let now_ms = core.now_ms();
    let change = |connection: &mut Connection| {
        if let Some(kind) = kind {
            connection.authorization_type = kind.to_owned();
        }
        if let Some(new) = given.get("AuthParameters") {
            merge(&mut connection.auth_parameters, new);
        }
        check(&connection.authorization_type, &connection.auth_parameters)?;
        connection.description = input::owned(given, "Description").or(connection.description.take());
        connection.state = "AUTHORIZED".to_owned();
        connection.modified_ms = now_ms;
        connection.authorized_ms = Some(now_ms);
        Ok(())
    };
    let updated = core.storage.update_connection(&place, name, change).await?;
    let connection = updated.ok_or_else(|| no_connection(name))?;
    core.destinations.forget(&arn(&place, name, &connection));
    Answer::json(changed(&place, name, &connection))
}

pub async fn deauthorize(events: &Events, call: &Call) -> Result<Answer, ApiError> {
    let core = &events.core;
    let name = input::required(&call.input, "Name")?;
    let place = input::here(call);
    let now_ms = core.now_ms();
    let change = |connection: &mut Connection| {
        // What it was authorised by is not kept.
        connection.auth_parameters = without_secrets(&connection.auth_parameters);
        connection.state = "DEAUTHORIZED".to_owned();
        connection.modified_ms = now_ms;
        Ok(())
    };
    let updated = core.storage.update_connection(&place, name, change).await?;
    let connection = updated.ok_or_else(|| no_connection(name))?;
    core.destinations.forget(&arn(&place, name, &connection));
    Answer::json(changed(&place, name, &connection))
}

pub async fn list(events: &Events, call: &Call) -> Result<Answer, ApiError> {
    let (place, given) = (input::here(call), &call.input);
    let (limit, after) = input::page(given)?;
    let prefix = input::text(given, "NamePrefix").unwrap_or_default();
    let state = input::text(given, "ConnectionState");
    let found = events.core.storage.list::<Connection>(Kind::Connection, &place, &[], prefix, after, limit + 1).await?;
    let (found, token) = input::cut(found, limit);
    let found = found.iter().filter(|(_, connection)| state.is_none_or(|state| state == connection.state));
    let list: Vec<Value> = found
        .map(|(name, connection)| {
            let mut one = changed(&place, name, connection);
            one["Name"] = name.clone().into();
            one["AuthorizationType"] = connection.authorization_type.clone().into();
            one
        })
        .collect();
    let mut output = json!({"Connections": list});
    put(&mut output, "NextToken", token);
    Answer::json(output)
}

pub async fn delete(events: &Events, call: &Call) -> Result<Answer, ApiError> {
    let core = &events.core;
    let name = input::required(&call.input, "Name")?;
    let place = input::here(call);
    let found = core.storage.connection(&place, name).await?;
    let (mut connection, _) = found.ok_or_else(|| no_connection(name))?;
    let own = arn(&place, name, &connection);
    let users = all::<Destination>(&core.storage, Kind::Destination, &place, &[]).await?;
    if users.iter().any(|(_, destination)| destination.connection_arn == own) {
        return Err(errors::invalid(format!("Connection {name} is in use by API destinations.")));
    }
    core.storage.commit(storage::delete(storage::begin(&place), Kind::Connection, &place, &[name])).await?;
    core.destinations.forget(&own);
    connection.state = "DELETING".to_owned();
    Answer::json(changed(&place, name, &connection))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_shown() {
        let given = json!({
            "BasicAuthParameters": {"Username": "u", "Password": "p"},
            "OAuthParameters": {"ClientParameters": {"ClientID": "i", "ClientSecret": "s"}},
            "InvocationHttpParameters": {"HeaderParameters": [
                {"Key": "a", "Value": "1", "IsValueSecret": true}, {"Key": "b", "Value": "2", "IsValueSecret": false},
            ]},
        });
        let expect = json!({
            "BasicAuthParameters": {"Username": "u"},
            "OAuthParameters": {"ClientParameters": {"ClientID": "i"}},
            "InvocationHttpParameters": {"HeaderParameters": [
                {"Key": "a", "IsValueSecret": true}, {"Key": "b", "Value": "2", "IsValueSecret": false},
            ]},
        });
        assert_eq!(without_secrets(&given), expect);
    }
}
