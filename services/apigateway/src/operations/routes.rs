//! Routes: which requests go to which integration. Models and request parameters are refused for now.

use cumulet_base::{id, limits};
use cumulet_wire::call::{Answer, Context};
use serde_json::{Map, Value};

use super::{Decision, answer, page, patched, text};
use crate::errors::Error;
use crate::routing::RouteKey;
use crate::shapes::Route;
use crate::storage::{ApiRows, Change};

const WRITABLE: &[&str] = &[
    "routeKey",
    "target",
    "apiKeyRequired",
    "authorizationType",
    "authorizerId",
    "operationName",
    "authorizationScopes",
];

fn find<'a>(rows: &'a ApiRows, input: &Map<String, Value>) -> Result<&'a Route, Error> {
    let id = text(input, "routeId")?;
    rows.routes.get(id).ok_or_else(|| Error::NotFound("Route", id.to_owned()))
}

fn check(route: &Route, rows: &ApiRows, input: &Map<String, Value>) -> Result<(), Error> {
    let key = &route.route_key;
    if RouteKey::parse(key).is_none() {
        return Err(Error::Invalid(format!(
            "The provided route key is not formatted properly for HTTP protocol. \
             Format should be \"<HTTP METHOD> /<RESOURCE PATH>\" or \"$default\": {key}"
        )));
    }
    if rows.routes.values().any(|r| r.route_key == *key && r.route_id != route.route_id) {
        return Err(Error::Conflict(format!("Route with key {key} already exists for this API")));
    }
    match route.authorization_type.as_str() {
        "NONE" | "AWS_IAM" => {}
        kind @ ("JWT" | "CUSTOM") => {
            let id = route.authorizer_id.as_deref().unwrap_or_default();
            let wanted = if kind == "JWT" { "JWT" } else { "REQUEST" };
            let found = rows.authorizers.get(id);
            if found.is_none_or(|authorizer| authorizer.authorizer_type != wanted) {
                return Err(Error::Invalid(format!("Invalid authorizer {id} for authorizationType {kind}")));
            }
        }
        other => return Err(Error::Invalid(format!("Invalid authorizationType {other}"))),
    }
    if route.api_key_required {
        return Err(Error::Invalid("ApiKeyRequired is not currently supported for HTTP APIs".into()));
    }
    for member in ["requestParameters", "requestModels"] {
        let is_empty = match input.get(member) {
            None | Some(Value::Null) => true,
            Some(Value::Array(list)) => list.is_empty(),
            Some(Value::Object(map)) => map.is_empty(),
            Some(_) => false,
        };
        if !is_empty {
            return Err(Error::NotBuilt(format!("{member} of routes")));
        }
    }
    if let Some(target) = &route.target {
        let id = target
            .strip_prefix("integrations/")
            .ok_or_else(|| Error::Invalid(format!("Invalid target {target}: integrations/ID is expected")))?;
        if !rows.integrations.contains_key(id) {
            return Err(Error::NotFound("Integration", id.to_owned()));
        }
    }
    Ok(())
}

pub(super) fn create(rows: &mut ApiRows, input: &Map<String, Value>, _ctx: &Context) -> Decision {
    if rows.routes.len() >= limits::HTTP_API_ROUTES_MAX {
        return Err(Error::Quota("routes", limits::HTTP_API_ROUTES_MAX));
    }
    let route = Route {
        route_id: id::short(7),
        route_key: text(input, "routeKey")?.to_owned(),
        target: None,
        api_key_required: false,
        authorization_type: "NONE".into(),
        authorizer_id: None,
        api_gateway_managed: None,
        operation_name: None,
        authorization_scopes: Vec::new(),
    };
    let route = patched(&route, input, WRITABLE)?;
    check(&route, rows, input)?;
    let shown = answer(&route)?;
    Ok((vec![Change::PutRoute(route)], shown))
}

pub(super) fn get(rows: &ApiRows, input: &Map<String, Value>) -> Result<Answer, Error> {
    answer(find(rows, input)?)
}

pub(super) fn list(rows: &ApiRows, input: &Map<String, Value>) -> Result<Answer, Error> {
    page(rows.routes.values(), input)
}

pub(super) fn update(rows: &mut ApiRows, input: &Map<String, Value>, _ctx: &Context) -> Decision {
    let route = patched(find(rows, input)?, input, WRITABLE)?;
    check(&route, rows, input)?;
    let shown = answer(&route)?;
    Ok((vec![Change::PutRoute(route)], shown))
}

pub(super) fn delete(rows: &mut ApiRows, input: &Map<String, Value>, _ctx: &Context) -> Decision {
    let id = find(rows, input)?.route_id.clone();
    Ok((vec![Change::DeleteRoute(id)], Answer::empty()))
}
