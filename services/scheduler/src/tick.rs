//! Ticks: a schedule has one in the store, in the lane of its group. When it is due, an invocation and the next tick take
//! its place in one commit. One that came due while the platform was down happens once, late, unless it is older than the
//! target's retry policy allows; those after it are dropped (`docs/decisions/missed-ticks.md`).

use async_trait::async_trait;
use cumulet_base::{id, limits};
use cumulet_delivery::{Handler, NewTask, Next, Task};
use cumulet_wire::error::ApiError;
use serde::{Deserialize, Serialize};

use std::sync::Arc;

use crate::call::{self, Invocation};
use crate::core::{CLEAR, Core, TICK};
use crate::model::{FORMAT, Place, Schedule};
use crate::storage;

const MINUTE_MS: u64 = 60_000;

pub struct Ticks(pub Arc<Core>);
pub struct Clearing(pub Arc<Core>);

#[derive(Debug, Serialize, Deserialize)]
struct Tick {
    v: u8,
    place: Place,
    group: String,
    name: String,
    /// [`Schedule::ticking`].
    ticking: String,
    at_ms: u64,
}

#[derive(Debug, Serialize, Deserialize)]
struct Clear {
    v: u8,
    place: Place,
    group: String,
}

/// All ticks of a group, in the order they are due.
pub fn lane(place: &Place, group: &str) -> String {
    format!("{}/{}/{group}", place.account, place.region)
}

fn body(value: &impl Serialize) -> Result<bytes::Bytes, ApiError> {
    let bytes = serde_json::to_vec(value).map_err(|e| ApiError::internal(format!("writing a task: {e}")))?;
    Ok(bytes.into())
}

pub fn tick(place: &Place, group: &str, name: &str, schedule: &Schedule, at_ms: u64) -> Result<NewTask, ApiError> {
    let tick = Tick {
        v: FORMAT,
        place: place.clone(),
        group: group.to_owned(),
        name: name.to_owned(),
        ticking: schedule.ticking.clone(),
        at_ms,
    };
    Ok(NewTask { owner: TICK, lane: lane(place, group), due_ms: at_ms, body: body(&tick)? })
}

/// The task that takes the schedules of a group that is being deleted.
pub fn clearing(place: &Place, group: &str) -> Result<NewTask, ApiError> {
    let clear = Clear { v: FORMAT, place: place.clone(), group: group.to_owned() };
    Ok(NewTask { owner: CLEAR, lane: lane(place, group), due_ms: 0, body: body(&clear)? })
}

#[async_trait]
impl Handler for Ticks {
    async fn handle(&self, task: Task) -> Next {
        let core = &self.0;
        let Ok(tick) = serde_json::from_slice::<Tick>(&task.body) else {
            tracing::error!(lane = task.lane, "a tick cannot be read and is dropped");
            return Next::Done;
        };
        // Logged where it failed.
        let again = |_| Next::Retry { due_ms: core.now_ms() + limits::DELIVERY_PAUSE_MS, body: None };
        due(core, &tick).await.unwrap_or_else(again)
    }
}

async fn due(core: &Core, at: &Tick) -> Result<Next, ApiError> {
    let found = core.storage.schedule(&at.place, &at.group, &at.name).await?;
    // One that was changed, disabled or deleted has other ticks, or none.
    let Some((schedule, _)) = found.filter(|(s, _)| s.ticking == at.ticking && s.is_enabled()) else {
        return Ok(Next::Done);
    };
    let now_ms = core.now_ms();
    let mut tasks = Vec::new();
    let next_ms = schedule.next(now_ms.max(at.at_ms));
    if let Some(next_ms) = next_ms {
        tasks.push(tick(&at.place, &at.group, &at.name, &schedule, next_ms)?);
    }
    let is_last = next_ms.is_none() && schedule.action_after_completion == "DELETE";
    let is_late = now_ms > at.at_ms.saturating_add(schedule.target.retry_policy.unwrap_or_default().age_ms_max());
    if !is_late || is_last {
        let window_ms = schedule.window_minutes.unwrap_or_default() * MINUTE_MS;
        let offset_ms = if window_ms == 0 { 0 } else { u64::from_be_bytes(id::random()) % window_ms };
        let invocation = Invocation {
            v: FORMAT,
            place: at.place.clone(),
            group: at.group.clone(),
            name: at.name.clone(),
            ticking: at.ticking.clone(),
            at_ms: at.at_ms,
            execution: id::uuid(),
            target: (!is_late).then_some(schedule.target),
            is_last,
        };
        tasks.push(call::task(&invocation, at.at_ms + offset_ms)?);
    }
    Ok(Next::Replace(tasks))
}

#[async_trait]
impl Handler for Clearing {
    async fn handle(&self, task: Task) -> Next {
        let core = &self.0;
        let again = |_| Next::Retry { due_ms: core.now_ms() + limits::DELIVERY_PAUSE_MS, body: None };
        let Ok(clear) = serde_json::from_slice::<Clear>(&task.body) else { return Next::Done };
        clear_page(core, &clear).await.unwrap_or_else(again)
    }
}

async fn clear_page(core: &Core, at: &Clear) -> Result<Next, ApiError> {
    let limit = limits::SCHEDULER_CLEAR_ROWS;
    let page = core.storage.schedules(&at.place, Some(&at.group), "", None, limit).await?;
    let mut txn = storage::begin(&at.place);
    if page.is_empty() {
        core.storage.commit(storage::delete_group(txn, &at.place, &at.group)).await?;
        return Ok(Next::Done);
    }
    for (group, name, schedule, rev) in &page {
        txn = storage::delete_schedule(txn, &at.place, (group, name), *rev);
        if let Some(tick) = schedule.first_tick() {
            txn = core.delivery.remove(txn, TICK, &lane(&at.place, group), tick);
        }
    }
    // Where one was changed meanwhile, the page is read again.
    core.storage.commit(txn).await?;
    Ok(Next::Replace(vec![clearing(&at.place, &at.group)?]))
}
