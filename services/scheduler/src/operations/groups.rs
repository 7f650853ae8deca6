//! Groups of schedules: made, described, listed, deleted with all that is in them.

use cumulet_base::limits;
use cumulet_wire::call::{Answer, Call, seconds};
use cumulet_wire::error::ApiError;
use serde_json::{Value, json};

use crate::model::{DEFAULT, DELETING, FORMAT, Group, Place};
use crate::{Scheduler, errors, input, storage, tick};

/// The default group is there without a record.
pub async fn find(scheduler: &Scheduler, place: &Place, name: &str) -> Result<Group, ApiError> {
    match scheduler.core.storage.group(place, name).await? {
        Some((group, _)) => Ok(group),
        None if name == DEFAULT => Ok(Group { v: FORMAT, state: "ACTIVE".to_owned(), ..Group::default() }),
        None => Err(errors::no_group(name)),
    }
}

pub async fn create(scheduler: &Scheduler, call: &Call) -> Result<Answer, ApiError> {
    let core = &scheduler.core;
    let name = input::name(call)?;
    let place = input::here(call);
    let answer = json!({"ScheduleGroupArn": place.group_arn(name)});
    let now_ms = core.now_ms();
    let group = Group {
        v: FORMAT,
        state: "ACTIVE".to_owned(),
        created_ms: now_ms,
        modified_ms: now_ms,
        token: input::token(call)?,
        tags: input::tags(call),
    };
    if group.tags.len() > limits::EVENTS_TAGS_MAX {
        return Err(errors::invalid("A schedule group has at most 50 tags."));
    }
    if name == DEFAULT {
        return Err(errors::conflict("Schedule group default already exists."));
    }
    let txn = storage::put_group(storage::begin(&place), &place, name, &group, None)?;
    if core.storage.commit(txn).await? {
        return Answer::json(answer);
    }
    let there = core.storage.group(&place, name).await?;
    let is_same = there.is_some_and(|(there, _)| group.token.is_some() && there.token == group.token);
    if is_same {
        return Answer::json(answer);
    }
    Err(errors::conflict(format!("Schedule group {name} already exists.")))
}

fn shown(place: &Place, name: &str, group: &Group) -> Value {
    let mut output = json!({"Arn": place.group_arn(name), "Name": name, "State": group.state});
    // The default one is older than any record of it.
    if group.created_ms > 0 {
        output["CreationDate"] = seconds(group.created_ms);
        output["LastModificationDate"] = seconds(group.modified_ms);
    }
    output
}

pub async fn get(scheduler: &Scheduler, call: &Call) -> Result<Answer, ApiError> {
    let name = input::name(call)?;
    let place = input::here(call);
    Answer::json(shown(&place, name, &find(scheduler, &place, name).await?))
}

pub async fn list(scheduler: &Scheduler, call: &Call) -> Result<Answer, ApiError> {
    let place = input::here(call);
    let limit = input::limit(call)?;
    let prefix = input::text(&call.input, "NamePrefix").unwrap_or_default();
    let after = input::text(&call.input, "NextToken");
    let storage = &scheduler.core.storage;
    let mut found = storage.groups(&place, prefix, after, limit + 1).await?;
    let has_default = found.iter().any(|(name, _)| name == DEFAULT);
    if !has_default && DEFAULT.starts_with(prefix) && after.is_none_or(|after| DEFAULT > after) {
        found.push((DEFAULT.to_owned(), find(scheduler, &place, DEFAULT).await?));
        found.sort_by(|a, b| a.0.cmp(&b.0));
    }
    let is_more = found.len() > limit;
    found.truncate(limit);
    let list: Vec<Value> = found.iter().map(|(name, group)| shown(&place, name, group)).collect();
    let mut output = json!({"ScheduleGroups": list});
    if let Some((last, _)) = found.last().filter(|_| is_more) {
        output["NextToken"] = last.clone().into();
    }
    Answer::json(output)
}

/// Its schedules go with it, in the background; until then it is being deleted.
pub async fn delete(scheduler: &Scheduler, call: &Call) -> Result<Answer, ApiError> {
    let core = &scheduler.core;
    let name = input::name(call)?;
    let place = input::here(call);
    if name == DEFAULT {
        return Err(errors::invalid("The default schedule group cannot be deleted."));
    }
    let (mut group, rev) = core.storage.group(&place, name).await?.ok_or_else(|| errors::no_group(name))?;
    if group.state == DELETING {
        return Answer::json(json!({}));
    }
    group.state = DELETING.to_owned();
    group.modified_ms = core.now_ms();
    let txn = storage::put_group(storage::begin(&place), &place, name, &group, Some(rev))?;
    let (txn, wake) = core.delivery.add(txn, &tick::clearing(&place, name)?)?;
    if !core.storage.commit(txn).await? {
        return Err(errors::conflict(format!("Schedule group {name} is being modified.")));
    }
    wake.now();
    Answer::json(json!({}))
}
