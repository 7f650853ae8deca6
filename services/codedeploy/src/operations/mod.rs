//! The operations, grouped by what they are about, and what they share: members of requests.

mod applications;
mod configs;
mod deployments;
mod groups;
mod tags;

use cumulet_wire::call::Call;
use cumulet_wire::error::ApiError;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::model::{Place, Tags};
use crate::{Core, errors};

pub use deployments::{appspec, overview};

const NAME_LENGTH_MAX: usize = 100;
const TAGS_MAX: usize = 50;

pub async fn operate(core: &Core, call: &Call) -> Result<Value, ApiError> {
    match call.operation.name {
        "CreateApplication" => applications::create(core, call).await,
        "GetApplication" => applications::get(core, call).await,
        "ListApplications" => applications::list(core, call).await,
        "UpdateApplication" => applications::update(core, call).await,
        "DeleteApplication" => applications::delete(core, call).await,
        "CreateDeploymentConfig" => configs::create(core, call).await,
        "GetDeploymentConfig" => configs::get(core, call).await,
        "ListDeploymentConfigs" => configs::list(core, call).await,
        "DeleteDeploymentConfig" => configs::delete(core, call).await,
        "CreateDeploymentGroup" => groups::create(core, call).await,
        "GetDeploymentGroup" => groups::get(core, call).await,
        "ListDeploymentGroups" => groups::list(core, call).await,
        "UpdateDeploymentGroup" => groups::update(core, call).await,
        "DeleteDeploymentGroup" => groups::delete(core, call).await,
        "CreateDeployment" => deployments::create(core, call).await,
        "GetDeployment" => deployments::get(core, call).await,
        "BatchGetDeployments" => deployments::batch(core, call).await,
        "ListDeployments" => deployments::list(core, call).await,
        "StopDeployment" => deployments::stop(core, call).await,
        "PutLifecycleEventHookExecutionStatus" => deployments::hook(core, call).await,
        "GetDeploymentTarget" => deployments::target(core, call).await,
        "ListDeploymentTargets" => deployments::targets(core, call).await,
        "TagResource" => tags::tag(core, call).await,
        "UntagResource" => tags::untag(core, call).await,
        "ListTagsForResource" => tags::list(core, call).await,
        other => Err(ApiError::not_implemented("codedeploy", other)),
    }
}

fn here(call: &Call) -> Place {
    Place { account: call.context.account().to_owned(), region: call.context.region.clone() }
}

fn text<'a>(call: &'a Call, member: &str) -> Option<&'a str> {
    call.input.get(member).and_then(Value::as_str).filter(|text| !text.is_empty())
}

fn needed<'a>(call: &'a Call, member: &str) -> Result<&'a str, ApiError> {
    text(call, member).ok_or_else(|| errors::required(member))
}

/// A name that has to be there and to be one.
fn name<'a>(call: &'a Call, member: &str) -> Result<&'a str, ApiError> {
    checked(needed(call, member)?, member)
}

fn checked<'a>(name: &'a str, member: &str) -> Result<&'a str, ApiError> {
    let is_name = name.chars().count() <= NAME_LENGTH_MAX
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"+=,.@-_".contains(&b));
    if is_name { Ok(name) } else { Err(errors::invalid_name(member, name)) }
}

/// A structure of a request, with the defaults of what it does not say.
fn structure<T: DeserializeOwned>(call: &Call, member: &str) -> Result<Option<T>, ApiError> {
    match call.input.get(member) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => {
            serde_json::from_value(value.clone()).map(Some).map_err(|e| errors::malformed(format!("{member}: {e}")))
        }
    }
}

/// Tags that a request gives.
fn tags(input: &Map<String, Value>, member: &str) -> Result<Tags, ApiError> {
    let list = input.get(member).and_then(Value::as_array);
    let text = |tag: &Value, member: &str| tag[member].as_str().unwrap_or_default().to_owned();
    let tags: Tags = list.into_iter().flatten().map(|tag| (text(tag, "Key"), text(tag, "Value"))).collect();
    let is_tag = |(key, value): (&String, &String)| {
        (1..=128).contains(&key.chars().count()) && value.chars().count() <= 256 && !key.starts_with("aws:")
    };
    match tags.len() <= TAGS_MAX && tags.iter().all(is_tag) {
        true => Ok(tags),
        false => Err(errors::tags()),
    }
}

/// Only functions are deployed here.
fn platform(call: &Call) -> Result<(), ApiError> {
    match text(call, "computePlatform") {
        Some("Lambda") => Ok(()),
        None => Err(errors::platform("Server")),
        Some(other) => Err(errors::platform(other)),
    }
}

/// Members without a meaning for functions are refused if they say something.
fn refused(call: &Call, members: &[&str]) -> Result<(), ApiError> {
    let is_empty = |value: &Value| match value {
        Value::Null => true,
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
        _ => false,
    };
    match members.iter().find(|member| call.input.get(**member).is_some_and(|value| !is_empty(value))) {
        Some(member) => Err(errors::not_built(member)),
        None => Ok(()),
    }
}

/// Lists are answered whole.
fn no_token(call: &Call) -> Result<(), ApiError> {
    if text(call, "nextToken").is_some() { Err(errors::token()) } else { Ok(()) }
}
