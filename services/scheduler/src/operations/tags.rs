//! TagResource, UntagResource, ListTagsForResource: of groups.

use cumulet_base::arn::Arn;
use cumulet_base::limits;
use cumulet_wire::call::{Answer, Call};
use cumulet_wire::error::ApiError;
use serde_json::{Value, json};

use super::groups;
use crate::model::{DEFAULT, Group, Place};
use crate::{Scheduler, errors, input, storage};

const TRIES: usize = 16;

fn named(call: &Call) -> Result<(Place, String), ApiError> {
    let text = input::text(&call.input, "ResourceArn").unwrap_or_default();
    let arn = text.parse::<Arn>().ok();
    let name = arn.as_ref().and_then(|arn| arn.resource.strip_prefix("schedule-group/"));
    let invalid = || errors::invalid(format!("{text} is not the ARN of a schedule group."));
    let (arn, name) = arn.as_ref().zip(name).ok_or_else(invalid)?;
    Ok((Place { account: arn.account.clone(), region: arn.region.clone() }, name.to_owned()))
}

async fn change(
    scheduler: &Scheduler,
    call: &Call,
    change: impl Fn(&mut Group) -> Result<(), ApiError>,
) -> Result<Answer, ApiError> {
    let core = &scheduler.core;
    let (place, name) = named(call)?;
    for _ in 0..TRIES {
        let (mut group, rev) = match core.storage.group(&place, &name).await? {
            Some((group, rev)) => (group, Some(rev)),
            None if name == DEFAULT => (groups::find(scheduler, &place, &name).await?, None),
            None => return Err(errors::no_group(&name)),
        };
        change(&mut group)?;
        if core.storage.commit(storage::put_group(storage::begin(&place), &place, &name, &group, rev)?).await? {
            return Answer::json(json!({}));
        }
    }
    Err(errors::conflict(format!("Schedule group {name} is being modified.")))
}

pub async fn tag(scheduler: &Scheduler, call: &Call) -> Result<Answer, ApiError> {
    let new = input::tags(call);
    change(scheduler, call, |group| {
        group.tags.extend(new.clone());
        let fits = group.tags.len() <= limits::EVENTS_TAGS_MAX;
        if fits { Ok(()) } else { Err(errors::invalid("A schedule group has at most 50 tags.")) }
    })
    .await
}

pub async fn untag(scheduler: &Scheduler, call: &Call) -> Result<Answer, ApiError> {
    let keys: Vec<&str> = match call.input.get("TagKeys") {
        Some(Value::Array(list)) => list.iter().filter_map(Value::as_str).collect(),
        Some(Value::String(one)) => vec![one],
        _ => Vec::new(),
    };
    change(scheduler, call, |group| {
        group.tags.retain(|key, _| !keys.contains(&key.as_str()));
        Ok(())
    })
    .await
}

pub async fn list(scheduler: &Scheduler, call: &Call) -> Result<Answer, ApiError> {
    let (place, name) = named(call)?;
    let group = groups::find(scheduler, &place, &name).await?;
    let tags: Vec<Value> = group.tags.iter().map(|(key, value)| json!({"Key": key, "Value": value})).collect();
    Answer::json(json!({"Tags": tags}))
}
