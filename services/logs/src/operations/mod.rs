//! The operations by what they are about, and what several of them read alike.

pub mod events;
pub mod groups;
pub mod metric_filters;
pub mod patterns;
pub mod policies;
pub mod streams;
pub mod subscriptions;
pub mod tags;

use cumulet_wire::call::{Call, Context};
use cumulet_wire::error::ApiError;
use cumulet_wire::validate::Validation;

use crate::errors;
use crate::model::Place;

/// The group an operation names by `logGroupName` or by the ARN in `logGroupIdentifier`.
fn place(call: &Call) -> Result<Place, ApiError> {
    let text = |member: &str| call.input.get(member).and_then(|value| value.as_str());
    let name = text("logGroupName").or_else(|| text("logGroupIdentifier").map(name_of));
    let mut checks = Validation::new();
    checks.required("logGroupName", name.as_ref()).length("logGroupName", name, 1, 512).pattern(
        "logGroupName",
        name,
        "[\\.\\-_/#A-Za-z0-9]+",
        |text| text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._/#-".contains(&b)),
    );
    checks.finish("InvalidParameterException")?;
    Ok(at(&call.context, name.unwrap_or_default()))
}

fn at(context: &Context, group: &str) -> Place {
    Place { account: context.account().to_owned(), region: context.region.clone(), group: group.to_owned() }
}

/// The name in a group's ARN, with or without `:*`; a bare name stays.
fn name_of(identifier: &str) -> &str {
    let name = identifier.split_once(":log-group:").map_or(identifier, |(_, name)| name);
    name.strip_suffix(":*").unwrap_or(name)
}

fn group_arn(context: &Context, group: &str) -> String {
    context.arn("logs", format!("log-group:{group}"))
}

fn stream_name(name: &str) -> Result<(), ApiError> {
    let mut checks = Validation::new();
    checks
        .length("logStreamName", Some(name), 1, 512)
        .pattern("logStreamName", Some(name), "[^:*]*", |text| !text.contains([':', '*']));
    checks.finish("InvalidParameterException")
}

fn limit(value: Option<i64>, max: i64, default: usize) -> Result<usize, ApiError> {
    let mut checks = Validation::new();
    checks.between("limit", value, 1, max);
    checks.finish("InvalidParameterException")?;
    Ok(value.and_then(|n| usize::try_from(n).ok()).unwrap_or(default))
}

fn required<T>(member: &str, value: Option<T>) -> Result<T, ApiError> {
    value.ok_or_else(|| {
        errors::invalid(format!(
            "1 validation error detected: Value null at '{member}' failed to satisfy constraint: Member must not be null"
        ))
    })
}
