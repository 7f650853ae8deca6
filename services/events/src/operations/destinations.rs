//! API destinations: where on the web events may go to.

use cumulet_base::arn::Arn;
use cumulet_base::id;
use cumulet_wire::call::{Answer, Call, seconds};
use cumulet_wire::error::ApiError;
use cumulet_wire::validate::Validation;
use serde_json::{Value, json};

use super::put;
use crate::model::{Connection, Destination, FORMAT, Place};
use crate::storage::{self, Kind};
use crate::{Events, errors, input};

const METHODS: [&str; 7] = ["POST", "GET", "HEAD", "OPTIONS", "PUT", "PATCH", "DELETE"];
const RATE_DEFAULT: u64 = 300;

fn no_destination(name: &str) -> ApiError {
    errors::not_found(format!("An api-destination '{name}' does not exist."))
}

/// The connection's name, if it is there.
async fn connection(events: &Events, place: &Place, text: &str) -> Result<(), ApiError> {
    let arn = text.parse::<Arn>().ok().filter(|arn| arn.account == place.account && arn.region == place.region);
    let name = arn.as_ref().and_then(|arn| arn.resource.strip_prefix("connection/")?.split('/').next());
    let absent = || errors::not_found(format!("Connection '{text}' does not exist."));
    let found = events.core.storage.get::<Connection>(Kind::Connection, place, &[name.ok_or_else(absent)?]).await?;
    found.map(drop).ok_or_else(absent)
}

struct Given<'a> {
    endpoint: Option<&'a str>,
    method: Option<&'a str>,
    rate: Option<u64>,
}

fn read(call: &Call) -> Result<Given<'_>, ApiError> {
    let given = &call.input;
    let rate = given.get("InvocationRateLimitPerSecond").and_then(Value::as_i64);
    let method = input::text(given, "HttpMethod");
    let endpoint = input::text(given, "InvocationEndpoint");
    let is_url = |text: &str| {
        let rest = text.strip_prefix("https://").or(text.strip_prefix("http://"));
        rest.is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/'))
            && text.replace('*', "x").parse::<http::Uri>().is_ok()
    };
    Validation::new()
        .length("description", input::text(given, "Description"), 0, 512)
        .length("invocationEndpoint", endpoint, 1, 2048)
        .pattern("invocationEndpoint", endpoint, "^https?://.+", is_url)
        .one_of("httpMethod", method, &METHODS)
        .between("invocationRateLimitPerSecond", rate, 1, i64::from(i32::MAX))
        .finish("ValidationException")?;
    Ok(Given { endpoint, method, rate: rate.and_then(|rate| u64::try_from(rate).ok()) })
}

pub async fn create(events: &Events, call: &Call) -> Result<Answer, ApiError> {
    let (core, input) = (&events.core, &call.input);
    let name = input::name(input, "Name", 64)?;
    let connection_arn = input::required(input, "ConnectionArn")?;
    input::required(input, "InvocationEndpoint")?;
    input::required(input, "HttpMethod")?;
    let given = read(call)?;
    let place = input::here(call);
    connection(events, &place, connection_arn).await?;
    let now_ms = core.now_ms();
    let destination = Destination {
        v: FORMAT,
        id: id::uuid(),
        description: input::owned(input, "Description"),
        connection_arn: connection_arn.to_owned(),
        endpoint: given.endpoint.unwrap_or_default().to_owned(),
        method: given.method.unwrap_or_default().to_owned(),
        rate_per_second: given.rate.unwrap_or(RATE_DEFAULT),
        created_ms: now_ms,
        modified_ms: now_ms,
    };
    let txn = storage::put(storage::begin(&place), Kind::Destination, &place, &[name], &destination, None)?;
    if !core.storage.commit(txn).await? {
        return Err(errors::exists(format!("An api-destination '{name}' already exists.")));
    }
    Answer::json(changed(&place, name, &destination))
}

fn changed(place: &Place, name: &str, destination: &Destination) -> Value {
    json!({
        "ApiDestinationArn": place.arn(&format!("api-destination/{name}/{}", destination.id)),
        "ApiDestinationState": "ACTIVE",
        "CreationTime": seconds(destination.created_ms),
        "LastModifiedTime": seconds(destination.modified_ms),
    })
}

fn shown(place: &Place, name: &str, destination: &Destination) -> Value {
    let mut output = changed(place, name, destination);
    output["Name"] = name.into();
    output["ConnectionArn"] = destination.connection_arn.clone().into();
    output["InvocationEndpoint"] = destination.endpoint.clone().into();
    output["HttpMethod"] = destination.method.clone().into();
    output["InvocationRateLimitPerSecond"] = destination.rate_per_second.into();
    output
}

pub async fn describe(events: &Events, call: &Call) -> Result<Answer, ApiError> {
    let name = input::required(&call.input, "Name")?;
    let place = input::here(call);
    let found = events.core.storage.get::<Destination>(Kind::Destination, &place, &[name]).await?;
    let (destination, _) = found.ok_or_else(|| no_destination(name))?;
    let mut output = shown(&place, name, &destination);
    put(&mut output, "Description", destination.description);
    Answer::json(output)
}

pub async fn update(events: &Events, call: &Call) -> Result<Answer, ApiError> {
    let (core, input) = (&events.core, &call.input);
    let name = input::required(input, "Name")?;
    let given = read(call)?;
    let place = input::here(call);
    let connection_arn = input::text(input, "ConnectionArn");
    if let Some(arn) = connection_arn {
        connection(events, &place, arn).await?;
    }
    let now_ms = core.now_ms();
    let change = |destination: &mut Destination| {
        let take = |new: Option<&str>, old: &mut String| {
            if let Some(new) = new {
                *old = new.to_owned();
            }
        };
        take(connection_arn, &mut destination.connection_arn);
        take(given.endpoint, &mut destination.endpoint);
        take(given.method, &mut destination.method);
        destination.rate_per_second = given.rate.unwrap_or(destination.rate_per_second);
        destination.description = input::owned(input, "Description").or(destination.description.take());
        destination.modified_ms = now_ms;
        Ok(())
    };
    let updated = core.storage.update::<Destination>(Kind::Destination, &place, &[name], change).await?;
    let destination = updated.ok_or_else(|| no_destination(name))?;
    Answer::json(changed(&place, name, &destination))
}

pub async fn list(events: &Events, call: &Call) -> Result<Answer, ApiError> {
    let (place, input) = (input::here(call), &call.input);
    let (limit, after) = input::page(input)?;
    let prefix = input::text(input, "NamePrefix").unwrap_or_default();
    let arn = input::text(input, "ConnectionArn");
    let storage = &events.core.storage;
    let found = storage.list::<Destination>(Kind::Destination, &place, &[], prefix, after, limit + 1).await?;
    let (found, token) = input::cut(found, limit);
    let found = found.iter().filter(|(_, destination)| arn.is_none_or(|arn| arn == destination.connection_arn));
    let list: Vec<Value> = found.map(|(name, destination)| shown(&place, name, destination)).collect();
    let mut output = json!({"ApiDestinations": list});
    put(&mut output, "NextToken", token);
    Answer::json(output)
}

pub async fn delete(events: &Events, call: &Call) -> Result<Answer, ApiError> {
    let core = &events.core;
    let name = input::required(&call.input, "Name")?;
    let place = input::here(call);
    if core.storage.get::<Destination>(Kind::Destination, &place, &[name]).await?.is_none() {
        return Err(no_destination(name));
    }
    core.storage.commit(storage::delete(storage::begin(&place), Kind::Destination, &place, &[name])).await?;
    Ok(Answer::empty())
}
