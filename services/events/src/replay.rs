//! Replays: events of an archive sent to a bus again, page by page; and archives letting go of what is too old. A page's
//! deliveries and the task of the next page are one commit.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use cumulet_base::limits;
use cumulet_delivery::{Handler, NewTask, Next, Task};
use cumulet_wire::error::ApiError;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::core::{Core, EXPIRE, REPLAY, deliveries};
use crate::envelope::Event;
use crate::model::{Archive, FORMAT, Place, Replay};
use crate::storage::{self, Kind};

const DAY_MS: u64 = 86_400_000;

pub struct Replays(pub Arc<Core>);
pub struct Expiry(pub Arc<Core>);

/// A page to be replayed.
#[derive(Debug, Serialize, Deserialize)]
struct Step {
    v: u8,
    account: String,
    region: String,
    replay: String,
    /// When it was started: a later replay may bear the same name.
    began_ms: u64,
    /// The key of the last event sent.
    after: Option<Bytes>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Expire {
    v: u8,
    account: String,
    region: String,
    archive: String,
    id: String,
}

fn lane(place: &Place, name: &str) -> String {
    format!("{}/{}/{name}", place.account, place.region)
}

fn body(value: &impl Serialize) -> Result<Bytes, ApiError> {
    let bytes = serde_json::to_vec(value).map_err(|e| ApiError::internal(format!("writing a task: {e}")))?;
    Ok(bytes.into())
}

pub fn first_step(place: &Place, name: &str, began_ms: u64) -> Result<NewTask, ApiError> {
    step(place, name, began_ms, None)
}

fn step(place: &Place, name: &str, began_ms: u64, after: Option<Bytes>) -> Result<NewTask, ApiError> {
    let step = Step {
        v: FORMAT,
        account: place.account.clone(),
        region: place.region.clone(),
        replay: name.to_owned(),
        began_ms,
        after,
    };
    Ok(NewTask { owner: REPLAY, lane: lane(place, name), due_ms: 0, body: body(&step)? })
}

pub fn expiry(place: &Place, name: &str, archive: &Archive, now_ms: u64) -> Result<NewTask, ApiError> {
    let expire = Expire {
        v: FORMAT,
        account: place.account.clone(),
        region: place.region.clone(),
        archive: name.to_owned(),
        id: archive.id.clone(),
    };
    let due_ms = now_ms + limits::EVENTS_EXPIRY_PERIOD_MS;
    Ok(NewTask { owner: EXPIRE, lane: lane(place, name), due_ms, body: body(&expire)? })
}

#[async_trait]
impl Handler for Replays {
    async fn handle(&self, task: Task) -> Next {
        let Ok(step) = serde_json::from_slice::<Step>(&task.body) else { return Next::Done };
        // Logged where it failed.
        let again = |_| Next::Retry { due_ms: self.0.now_ms() + limits::DELIVERY_PAUSE_MS, body: None };
        run(&self.0, &step).await.unwrap_or_else(again)
    }
}

async fn run(core: &Core, at: &Step) -> Result<Next, ApiError> {
    let place = Place { account: at.account.clone(), region: at.region.clone() };
    let found = core.storage.get::<Replay>(Kind::Replay, &place, &[&at.replay]).await?;
    let Some((replay, _)) = found.filter(|(replay, _)| replay.began_ms == at.began_ms) else { return Ok(Next::Done) };
    let end = async |state: &str| {
        let change = |replay: &mut Replay| {
            replay.state = state.to_owned();
            replay.ended_ms = Some(core.now_ms());
            Ok(())
        };
        core.storage.update::<Replay>(Kind::Replay, &place, &[&at.replay], change).await.map(|_| Next::Done)
    };
    if replay.state == "CANCELLING" {
        return end("CANCELLED").await;
    }
    let archive = core.storage.get::<Archive>(Kind::Archive, &place, &[&replay.archive]).await?;
    let Some((archive, _)) = archive.filter(|(archive, _)| archive.id == replay.archive_id) else {
        return end("FAILED").await;
    };
    let (from, until) = (replay.start_ms, replay.end_ms);
    let page = core.storage.archived(&place, &archive, from, until, at.after.as_deref()).await?;
    if page.is_empty() {
        return end("COMPLETED").await;
    }
    let Some(route) = core.route(&place, &replay.bus).await? else { return end("FAILED").await };
    let filters: Vec<&str> =
        replay.destination["FilterArns"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let mut tasks: Vec<NewTask> = Vec::new();
    let (mut bytes, mut last) = (0, None);
    for archived in &page {
        // What does not fit into this commit goes with the next step.
        if bytes > limits::EVENTS_COMMIT_BYTES {
            break;
        }
        last = Some(archived);
        let event = Event::read(archived.event.clone(), core.now_ms(), 0);
        let Some(event) = event.map(|event| event.replayed(&at.replay)) else { continue };
        for rule in route.rules.iter().filter(|rule| filters.is_empty() || filters.contains(&rule.arn.as_str())) {
            if rule.wants(&event.value) {
                tasks.extend(deliveries(&place, &replay.bus, rule, &event));
                bytes += event.text.len() * rule.targets.len();
            }
        }
    }
    let after = last.map(|last| last.key.clone());
    tasks.push(step(&place, &at.replay, at.began_ms, after)?);
    let reached_ms = last.map_or(replay.start_ms, |last| last.at_ms);
    let change = |replay: &mut Replay| {
        replay.last_ms = Some(reached_ms);
        if replay.state == "STARTING" {
            replay.state = "RUNNING".to_owned();
        }
        Ok(())
    };
    core.storage.update::<Replay>(Kind::Replay, &place, &[&at.replay], change).await?;
    Ok(Next::Replace(tasks))
}

#[async_trait]
impl Handler for Expiry {
    async fn handle(&self, task: Task) -> Next {
        let core = &self.0;
        let now_ms = core.now_ms();
        let again = || Next::Retry { due_ms: now_ms + limits::DELIVERY_PAUSE_MS, body: None };
        let Ok(at) = serde_json::from_slice::<Expire>(&task.body) else { return Next::Done };
        let place = Place { account: at.account.clone(), region: at.region.clone() };
        let Ok(found) = core.storage.get::<Archive>(Kind::Archive, &place, &[&at.archive]).await else {
            return again();
        };
        let Some((archive, _)) = found.filter(|(archive, _)| archive.id == at.id) else { return Next::Done };
        if archive.retention_days > 0 {
            let before_ms = now_ms.saturating_sub(archive.retention_days.saturating_mul(DAY_MS));
            let txn = storage::expire(storage::begin(&place), &place, &archive, before_ms);
            if core.storage.commit(txn).await.is_err() {
                return again();
            }
        }
        expiry(&place, &at.archive, &archive, now_ms).map_or_else(|_| again(), |task| Next::Replace(vec![task]))
    }
}
