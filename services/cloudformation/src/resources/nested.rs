//! Nested stacks: stacks of their own, whose outputs are the attributes of a resource of another.

use std::time::Duration;

use cumulet_wire::error::ApiError;
use serde_json::{Map, Value, json};

use super::{Made, Whereabouts, invalid, only, required_text, text};
use crate::stack::{Parent, Stack};

const KNOWN: &[&str] = &["TemplateURL", "TemplateBody", "Parameters", "Tags", "TimeoutInMinutes", "NotificationARNs"];
const POLL_MS: u64 = 40;

async fn may(at: &Whereabouts, action: &str, name: &str) -> Result<(), ApiError> {
    let context = &at.client.context;
    let resource = match name.starts_with("arn:") {
        true => name.to_owned(),
        false => context.arn("cloudformation", format!("stack/{name}/*")),
    };
    at.cloud.link()?.authorizer.authorize(&context.caller, &format!("cloudformation:{action}"), &resource).await
}

fn input(name: &str, properties: &Map<String, Value>, at: &Whereabouts) -> Result<Map<String, Value>, ApiError> {
    only(properties, KNOWN)?;
    let mut input = Map::from_iter([("StackName".to_owned(), Value::from(name))]);
    match properties.get("TemplateBody") {
        Some(body) => drop(input.insert("TemplateBody".into(), text(body).into())),
        None => drop(input.insert("TemplateURL".into(), required_text(properties, "TemplateURL")?.into())),
    }
    let parameters = properties.get("Parameters").and_then(Value::as_object);
    let list: Vec<Value> = parameters
        .into_iter()
        .flatten()
        .map(|(name, value)| {
            let value = match value {
                Value::Array(items) => items.iter().map(text).collect::<Vec<_>>().join(","),
                other => text(other),
            };
            json!({ "ParameterKey": name, "ParameterValue": value })
        })
        .collect();
    input.insert("Parameters".into(), list.into());
    input.insert("Tags".into(), at.tag_list(properties));
    for name in ["TimeoutInMinutes", "NotificationARNs"] {
        if let Some(value) = properties.get(name) {
            input.insert(name.into(), if value.is_array() { value.clone() } else { text(value).into() });
        }
    }
    // Who deploys the outer stack has agreed to what is inside.
    input.insert("Capabilities".into(), json!(["CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"]));
    Ok(input)
}

/// The stack once nobody works on it any more.
async fn settled(at: &Whereabouts, arn: &str) -> Result<Option<Stack>, ApiError> {
    let id = arn.rsplit('/').next().unwrap_or_default();
    loop {
        match at.cloud.storage.stack(&at.owner(), id).await? {
            Some((stack, _)) if stack.is_busy() => tokio::time::sleep(Duration::from_millis(POLL_MS)).await,
            found => return Ok(found.map(|(stack, _)| stack)),
        }
    }
}

/// The same of a stack that is being created: it is deleted when what it is for is given up.
async fn settled_or_ended(at: &Whereabouts, arn: &str) -> Result<Option<Stack>, ApiError> {
    let stack_id = at.stack_arn.rsplit('/').next().unwrap_or_default();
    let (mut cancelled, mut is_over) = (at.cloud.cancelled.subscribe(), at.is_over.clone());
    tokio::select! {
        settled = settled(at, arn) => return settled,
        _ = cancelled.wait_for(|stacks| stacks.contains(stack_id)) => {}
        Ok(_) = is_over.wait_for(|is_over| *is_over) => {}
    }
    let input = Map::from_iter([("StackName".to_owned(), Value::from(arn))]);
    match at.cloud.delete_stack(&at.client.context, &input).await {
        Ok(_) => {}
        // It is on a way of its own already.
        Err(error) => tracing::debug!(%error, arn, "an embedded stack that is given up"),
    }
    settled(at, arn).await
}

fn made(stack: &Stack) -> Made {
    let made = Made::new(stack.arn.clone());
    stack
        .outputs
        .iter()
        .fold(made, |made, output| made.with(&format!("Outputs.{}", output.key), &output.value.clone().into()))
}

pub async fn create(at: &Whereabouts, properties: &Map<String, Value>) -> Result<Made, ApiError> {
    let name = at.name(128);
    let earlier = at.cloud.storage.named(&at.owner(), &name).await?.filter(|_| at.is_again);
    let arn = match earlier {
        Some(id) => at.client.context.arn("cloudformation", format!("stack/{name}/{id}")),
        None => {
            may(at, "CreateStack", &name).await?;
            let mut input = input(&name, properties, at)?;
            if at.is_rollback_disabled {
                input.insert("DisableRollback".into(), true.into());
            }
            let parent = Parent { arn: at.stack_arn.clone(), root: at.root_arn.clone() };
            let answer = at.cloud.create_within(&at.client.context, &input, Some(parent)).await?;
            text(&answer["StackId"])
        }
    };
    match settled_or_ended(at, &arn).await? {
        Some(stack) if stack.status == "CREATE_COMPLETE" => Ok(made(&stack)),
        Some(stack) => {
            let why = stack.reason.unwrap_or(stack.status);
            let failed = invalid(format!("Embedded stack {arn} was not successfully created: {why}"));
            // Otherwise a stack would stay behind that no other knows.
            if !at.is_rollback_disabled {
                delete(at, &Made::new(arn)).await?;
            }
            Err(failed)
        }
        None => Err(invalid(format!("Embedded stack {arn} is not there"))),
    }
}

/// The stack that a creation left that failed and is not taken back: what comes next begins with it.
pub async fn left(at: &Whereabouts) -> Option<String> {
    let name = at.name(128);
    let id = at.cloud.storage.named(&at.owner(), &name).await.ok()??;
    Some(at.client.context.arn("cloudformation", format!("stack/{name}/{id}")))
}

/// Has a stack take back itself what its last job did, where that failed.
async fn take_back(at: &Whereabouts, arn: &str, skipped: &[String]) -> Result<(), ApiError> {
    let Some(stack) = settled(at, arn).await? else { return Ok(()) };
    let mut input = Map::from_iter([("StackName".to_owned(), Value::from(arn))]);
    match stack.status.as_str() {
        "UPDATE_FAILED" => at.cloud.roll_back(&at.client.context, &input).await?,
        "UPDATE_ROLLBACK_FAILED" => {
            input.insert("ResourcesToSkip".into(), skipped.into());
            at.cloud.continue_rollback(&at.client.context, &input).await?
        }
        _ => return Ok(()),
    };
    settled(at, arn).await.map(drop)
}

pub async fn update(at: &Whereabouts, old: &Made, new: &Map<String, Value>) -> Result<Made, ApiError> {
    let arn = &old.physical_id;
    may(at, "UpdateStack", arn).await?;
    if let Some(skipped) = &at.back {
        take_back(at, arn, skipped).await?;
    }
    let mut input = input(arn, new, at)?;
    input.insert("DisableRollback".into(), at.is_rollback_disabled.into());
    let is_as_wanted = match at.cloud.update_stack(&at.client.context, &input).await {
        Ok(_) => false,
        Err(error) if error.message == "No updates are to be performed." => true,
        Err(error) => return Err(error),
    };
    match settled(at, arn).await? {
        Some(stack) if matches!(stack.status.as_str(), "UPDATE_COMPLETE" | "CREATE_COMPLETE") => Ok(made(&stack)),
        // It was taken back before.
        Some(stack) if is_as_wanted && stack.status == "UPDATE_ROLLBACK_COMPLETE" => Ok(made(&stack)),
        Some(stack) => {
            let why = stack.reason.unwrap_or(stack.status);
            Err(invalid(format!("Embedded stack {arn} was not successfully updated: {why}")))
        }
        None => Err(invalid(format!("Embedded stack {arn} is not there"))),
    }
}

pub async fn delete(at: &Whereabouts, made: &Made) -> Result<(), ApiError> {
    let arn = &made.physical_id;
    may(at, "DeleteStack", arn).await?;
    settled(at, arn).await?;
    let input = Map::from_iter([("StackName".to_owned(), Value::from(arn.clone()))]);
    at.cloud.delete_stack(&at.client.context, &input).await?;
    match settled(at, arn).await? {
        None => Ok(()),
        Some(stack) if stack.status == "DELETE_COMPLETE" => Ok(()),
        Some(stack) => {
            let why = stack.reason.unwrap_or(stack.status);
            Err(invalid(format!("Embedded stack {arn} was not successfully deleted: {why}")))
        }
    }
}
