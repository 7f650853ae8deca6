//! The way back of an update: to exactly what was there before. What the update made is deleted afterwards, with the
//! cleaning up.

use std::collections::{BTreeMap, BTreeSet};

use cumulet_base::limits;
use cumulet_wire::error::ApiError;
use tokio::task::JoinSet;

use super::schedule::Schedule;
use super::{Failed, Run, is_same};
use crate::dynamic;
use crate::errors::Error;
use crate::resources;

impl Run {
    pub(super) async fn back(&mut self) -> Result<Result<(), Failed>, Error> {
        self.put_back().await?;
        let before = self.job.before.clone();
        let is_touched = |name: &String| {
            self.stack
                .resources
                .get(name)
                .and_then(|row| row.step.as_ref())
                .is_some_and(|step| self.job.takes_back(step))
        };
        let touched: BTreeSet<String> = before.keys().filter(|name| is_touched(name)).cloned().collect();
        let steps = touched.iter().map(|name| (name.clone(), before[name].existing.depends_on.clone()));
        let mut schedule = Schedule::new(steps);
        let mut running = JoinSet::new();
        let mut names = BTreeMap::new();
        let mut failed: Vec<(String, String)> = Vec::new();
        let mut events = Vec::new();
        loop {
            let mut works = Vec::new();
            loop {
                let ready = schedule.ready(limits::STACK_STEPS_MAX.saturating_sub(running.len() + works.len()));
                if ready.is_empty() {
                    break;
                }
                for name in ready {
                    let step = self.stack.resources.get(&name).and_then(|row| row.step.clone());
                    let tried = step.and_then(|step| step.tried.map(|tried| (step.seed, tried)));
                    let Some((seed, tried)) = tried.filter(|_| !self.job.retain.contains(&name)) else {
                        // Nothing was changed, or it is to be skipped.
                        self.stack.resources.insert(name.clone(), before[&name].clone());
                        events.extend(self.note(&name, "UPDATE_COMPLETE", None));
                        schedule.done(&name);
                        continue;
                    };
                    events.extend(self.note(&name, "UPDATE_IN_PROGRESS", None));
                    let mut at = self.at(&name, &seed, false)?;
                    let inner = |skipped: &String| Some(skipped.strip_prefix(&name)?.strip_prefix('.')?.to_owned());
                    at.back = Some(self.job.retain.iter().filter_map(inner).collect());
                    works.push((name, at, tried));
                }
            }
            if !events.is_empty() {
                self.save(&std::mem::take(&mut events)).await?;
            }
            for (name, at, tried) in works {
                let row = before[&name].clone();
                let work = async move {
                    let new = dynamic::resolved(&at.client, &row.properties).await?;
                    let old = dynamic::resolved(&at.client, &tried).await.unwrap_or(tried);
                    resources::update(&at, &row.existing.kind, &row.made, &old, &new).await
                };
                names.insert(running.spawn(work).id(), name);
            }
            let Some(joined) = running.join_next_with_id().await else { break };
            let (task, result) = match joined {
                Ok((task, result)) => (task, result),
                Err(error) => (error.id(), Err(ApiError::internal(format!("the handler ended early: {error}")))),
            };
            let Some(name) = names.remove(&task) else { continue };
            match result {
                Ok(_) => {
                    self.stack.resources.insert(name.clone(), before[&name].clone());
                    events.extend(self.note(&name, "UPDATE_COMPLETE", None));
                }
                Err(error) => {
                    let why = super::forward::reason(&error);
                    events.extend(self.note(&name, "UPDATE_FAILED", Some(&why)));
                    failed.push((name.clone(), why));
                }
            }
            // What depends on it goes back all the same: as much as can be is as it was.
            schedule.done(&name);
        }
        match failed.first() {
            None => Ok(Ok(())),
            Some((_, why)) => {
                let listed: Vec<&str> = failed.iter().map(|(name, _)| name.as_str()).collect();
                Ok(Err(Failed(format!("The following resource(s) failed to update: [{}]. {why}", listed.join(", ")))))
            }
        }
    }

    /// Resources that were replaced come back to their places, and what replaced them is left over.
    async fn put_back(&mut self) -> Result<(), Error> {
        let mut events = Vec::new();
        for (name, row) in std::mem::take(&mut self.stack.leftovers) {
            let is_former = self.job.before.get(&name).is_some_and(|before| is_same(before, &row));
            if !is_former {
                self.stack.leftovers.push((name, row));
                continue;
            }
            if let Some(new) = self.stack.resources.insert(name.clone(), self.job.before[&name].clone()) {
                self.stack.leftovers.push((name.clone(), new));
            }
            events.extend(self.note(&name, "UPDATE_COMPLETE", None));
        }
        if events.is_empty() { Ok(()) } else { self.save(&events).await }
    }
}
