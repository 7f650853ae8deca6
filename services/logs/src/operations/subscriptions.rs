//! PutSubscriptionFilter, DescribeSubscriptionFilters, DeleteSubscriptionFilter.

use bytes::Bytes;
use cumulet_base::arn::Arn;
use cumulet_wire::auth::Caller;
use cumulet_wire::call::{Answer, Call};
use cumulet_wire::error::ApiError;
use cumulet_wire::validate::Validation;
use serde_json::{Value, json};

use super::{limit, place, required};
use crate::model::{Place, Subscription};
use crate::pattern::Pattern;
use crate::subscription::{PRINCIPAL, group_arn};
use crate::{Logs, errors};

/// <https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/cloudwatch_limits_cwl.html>
const FILTERS_MAX: usize = 2;

fn text<'a>(call: &'a Call, member: &str) -> Option<&'a str> {
    call.input.get(member).and_then(Value::as_str)
}

pub async fn put(logs: &Logs, call: &Call) -> Result<Answer, ApiError> {
    let place = place(call)?;
    let name = required("filterName", text(call, "filterName"))?;
    let pattern = required("filterPattern", text(call, "filterPattern"))?;
    let destination = required("destinationArn", text(call, "destinationArn"))?;
    Validation::new()
        .length("filterName", Some(name), 1, 512)
        .pattern("filterName", Some(name), "[^:*]*", |text| !text.contains([':', '*']))
        .length("filterPattern", Some(pattern), 0, 1024)
        .one_of("distribution", text(call, "distribution"), &["Random", "ByLogStream"])
        .finish("InvalidParameterException")?;
    Pattern::parse(pattern)?;
    for member in ["applyOnTransformedLogs", "emitSystemFields", "fieldSelectionCriteria"] {
        if call.input.get(member).is_some_and(|value| !matches!(value, Value::Null | Value::Bool(false))) {
            return Err(errors::not_built(member));
        }
    }
    logs.storage.group(&place).await?.ok_or_else(errors::group_not_found)?;
    may_invoke(logs, &place, destination).await?;
    let subscription = Subscription {
        name: name.to_owned(),
        pattern: pattern.to_owned(),
        destination_arn: destination.to_owned(),
        role_arn: text(call, "roleArn").map(str::to_owned),
        distribution: text(call, "distribution").map(str::to_owned),
        created_ms: call.context.now_ms,
    };
    logs.storage
        .update_group(&place, |group| {
            let created_ms = group.subscriptions.iter().find(|s| s.name == name).map(|s| s.created_ms);
            group.subscriptions.retain(|s| s.name != name);
            if group.subscriptions.len() >= FILTERS_MAX {
                return Err(errors::limit());
            }
            let created_ms = created_ms.unwrap_or(subscription.created_ms);
            group.subscriptions.push(Subscription { created_ms, ..subscription.clone() });
            group.subscriptions.sort_by(|a, b| a.name.cmp(&b.name));
            Ok(())
        })
        .await?;
    Ok(Answer::empty())
}

/// As on AWS, what cannot be called is refused at once.
async fn may_invoke(logs: &Logs, place: &Place, destination: &str) -> Result<(), ApiError> {
    let arn: Arn = destination.parse().map_err(|_| errors::invalid("destinationArn is not an ARN."))?;
    if arn.service != "lambda" {
        return Err(errors::not_built(&format!("subscription filters to {}", arn.service)));
    }
    let caller = Caller::service(&place.account, PRINCIPAL, &group_arn(place));
    let input = json!({"FunctionName": destination, "InvocationType": "DryRun"});
    let called = logs.client.call(&caller, &arn.region, "lambda", "Invoke", input, Bytes::new()).await;
    called.map(drop).map_err(|error| {
        tracing::debug!(destination, %error, "a subscription's function cannot be called");
        errors::invalid(
            "Could not execute the lambda function. Make sure you have given CloudWatch Logs permission to execute your \
             function.",
        )
    })
}

pub async fn describe(logs: &Logs, call: &Call) -> Result<Answer, ApiError> {
    let place = place(call)?;
    let max = limit(call.input.get("limit").and_then(Value::as_i64), 50, 50)?;
    let prefix = text(call, "filterNamePrefix").unwrap_or_default();
    let after = text(call, "nextToken");
    let group = logs.storage.group(&place).await?.ok_or_else(errors::group_not_found)?;
    let wanted = |s: &&Subscription| s.name.starts_with(prefix) && after.is_none_or(|after| s.name.as_str() > after);
    let found: Vec<&Subscription> = group.subscriptions.iter().filter(wanted).collect();
    let shown = |s: &&Subscription| {
        let mut one = json!({
            "filterName": s.name,
            "logGroupName": place.group,
            "filterPattern": s.pattern,
            "destinationArn": s.destination_arn,
            "distribution": s.distribution.as_deref().unwrap_or("ByLogStream"),
            "applyOnTransformedLogs": false,
            "creationTime": s.created_ms,
        });
        if let Some(role) = &s.role_arn {
            one["roleArn"] = role.clone().into();
        }
        one
    };
    let mut output = json!({"subscriptionFilters": found.iter().take(max).map(shown).collect::<Vec<_>>()});
    if found.len() > max {
        output["nextToken"] = found[max - 1].name.clone().into();
    }
    Answer::json(output)
}

pub async fn delete(logs: &Logs, call: &Call) -> Result<Answer, ApiError> {
    let name = required("filterName", text(call, "filterName"))?;
    logs.storage
        .update_group(&place(call)?, |group| {
            let before = group.subscriptions.len();
            group.subscriptions.retain(|s| s.name != name);
            if group.subscriptions.len() == before {
                Err(errors::filter_not_found("subscription filter"))
            } else {
                Ok(())
            }
        })
        .await?;
    Ok(Answer::empty())
}
