//! Scheduled rules: each has one tick in the store, which makes an event for the rule's targets and the next tick in one
//! commit. A tick that came due while the platform was down happens once, late; those after it are dropped
//! (`docs/decisions/missed-ticks.md`).

use std::sync::Arc;

use async_trait::async_trait;
use cumulet_base::id;
use cumulet_base::limits;
use cumulet_delivery::retry::AGE_S_MAX;
use cumulet_delivery::{Handler, NewTask, Next, Task};
use cumulet_wire::schedule::{Schedule, Zone};
use serde::{Deserialize, Serialize};

use crate::core::{Core, TICK, deliveries};
use crate::envelope::{Event, Parts};
use crate::model::{FORMAT, Place, Rule};

pub struct Ticks(pub Arc<Core>);

#[derive(Debug, Serialize, Deserialize)]
struct Tick {
    v: u8,
    account: String,
    region: String,
    bus: String,
    rule: String,
    /// [`Rule::ticking`].
    ticking: String,
    at_ms: u64,
}

/// The next tick of a rule, where it has one.
pub fn next(place: &Place, bus: &str, name: &str, rule: &Rule, after_ms: u64) -> Option<NewTask> {
    if !rule.is_enabled() {
        return None;
    }
    let schedule = Schedule::parse(rule.schedule.as_deref()?)?;
    let at_ms = schedule.next(&Zone::utc(), rule.base_ms, after_ms)?;
    let tick = Tick {
        v: FORMAT,
        account: place.account.clone(),
        region: place.region.clone(),
        bus: bus.to_owned(),
        rule: name.to_owned(),
        ticking: rule.ticking.clone(),
        at_ms,
    };
    let body = serde_json::to_vec(&tick).ok()?.into();
    Some(NewTask { owner: TICK, lane: format!("{}/{}", place.account, place.region), due_ms: at_ms, body })
}

#[async_trait]
impl Handler for Ticks {
    async fn handle(&self, task: Task) -> Next {
        let core = &self.0;
        let Ok(tick) = serde_json::from_slice::<Tick>(&task.body) else {
            tracing::error!("a tick cannot be read and is dropped");
            return Next::Done;
        };
        let place = Place { account: tick.account.clone(), region: tick.region.clone() };
        let now_ms = core.now_ms();
        // Whether it is the rule's own tick is asked of the store, and not of what was read a while ago.
        core.routes.forget(&place, &tick.bus);
        let route = match core.route(&place, &tick.bus).await {
            Ok(route) => route,
            Err(_) => return Next::Retry { due_ms: now_ms + limits::DELIVERY_PAUSE_MS, body: None },
        };
        let rule = route.as_ref().and_then(|route| route.rule(&tick.rule));
        // A rule that was changed, disabled or deleted has other ticks, or none.
        let Some(rule) = rule.filter(|rule| rule.rule.ticking == tick.ticking && rule.rule.is_enabled()) else {
            return Next::Done;
        };
        let mut tasks = Vec::new();
        if now_ms <= tick.at_ms.saturating_add(AGE_S_MAX * 1000) {
            let parts = Parts {
                detail_type: "Scheduled Event",
                source: "aws.events",
                time_ms: tick.at_ms,
                resources: std::slice::from_ref(&rule.arn),
                detail: "{}",
            };
            if let Some(event) = Event::new(&place, &parts, id::uuid(), now_ms) {
                tasks = deliveries(&place, &tick.bus, rule, &event);
            }
        }
        tasks.extend(next(&place, &tick.bus, &rule.name, &rule.rule, now_ms.max(tick.at_ms)));
        Next::Replace(tasks)
    }
}
