//! Deletion along the graph: what depends on something goes before it, and what a failure leaves behind keeps what it
//! depends on.

use std::collections::{BTreeMap, BTreeSet};

use cumulet_base::limits;
use cumulet_wire::error::ApiError;
use tokio::task::JoinSet;

use super::schedule::Schedule;
use super::{Failed, Run, leftover_name};
use crate::dynamic;
use crate::errors::Error;
use crate::resources;
use crate::stack::{Event, StackResource};
use crate::template::Fate;

impl Run {
    /// Deletes rows of the stack, and what is left over. `is_undo`: they are taken back by whom they were made.
    pub(super) async fn remove(
        &mut self,
        logical_ids: &BTreeSet<String>,
        is_undo: bool,
    ) -> Result<Result<(), Failed>, Error> {
        let mut nodes: BTreeMap<String, (String, StackResource)> = logical_ids
            .iter()
            .filter_map(|name| Some((name.clone(), (name.clone(), self.stack.resources.get(name)?.clone()))))
            .collect();
        for (index, (name, row)) in self.stack.leftovers.iter().enumerate() {
            nodes.insert(leftover_name(name, index), (name.clone(), row.clone()));
        }
        let needs = |node: &String| -> BTreeSet<String> {
            let name = &nodes[node].0;
            let depends = |other: &StackResource| other.existing.depends_on.contains(name);
            nodes.iter().filter(|(_, (_, other))| depends(other)).map(|(other, _)| other.clone()).collect()
        };
        let mut schedule = Schedule::new(nodes.keys().map(|node| (node.clone(), needs(node))));
        let mut running = JoinSet::new();
        let mut tasks = BTreeMap::new();
        let mut failed: Vec<(String, String)> = Vec::new();
        let mut events = Vec::new();
        loop {
            let mut works = Vec::new();
            if running.is_empty() && schedule.is_stuck() && failed.is_empty() {
                schedule.release();
            }
            loop {
                let ready = schedule.ready(limits::STACK_STEPS_MAX.saturating_sub(running.len() + works.len()));
                if ready.is_empty() {
                    break;
                }
                for node in ready {
                    let (name, row) = &nodes[&node];
                    if self.is_kept(&node, name, row, is_undo) {
                        events.push(self.gone(&node, name, row, "DELETE_SKIPPED"));
                        schedule.done(&node);
                    } else if row.made.physical_id.is_empty() && row.step.is_none() {
                        events.push(self.gone(&node, name, row, "DELETE_COMPLETE"));
                        schedule.done(&node);
                    } else {
                        let kind = &row.existing.kind;
                        let event = self.event(name, &row.made.physical_id, kind, "DELETE_IN_PROGRESS", None);
                        if node == *name {
                            self.note(name, "DELETE_IN_PROGRESS", None);
                        }
                        events.push(event);
                        let seed = row.step.as_ref().map(|step| step.seed.clone()).unwrap_or_default();
                        works.push((node.clone(), self.at(name, &seed, false)?, row.clone()));
                    }
                }
            }
            if !events.is_empty() {
                self.save(&std::mem::take(&mut events)).await?;
            }
            for (node, at, row) in works {
                let work = async move {
                    if row.made.physical_id.is_empty() {
                        return Ok(());
                    }
                    let properties = dynamic::resolved(&at.client, &row.properties).await.unwrap_or(row.properties);
                    resources::delete(&at, &row.existing.kind, &row.made, &properties).await
                };
                tasks.insert(running.spawn(work).id(), node);
            }
            let Some(joined) = running.join_next_with_id().await else { break };
            let mut finished = vec![joined];
            while let Some(more) = running.try_join_next_with_id() {
                finished.push(more);
            }
            for joined in finished {
                let (task, result) = match joined {
                    Ok((task, result)) => (task, result),
                    Err(error) => (error.id(), Err(ApiError::internal(format!("the handler ended early: {error}")))),
                };
                let Some(node) = tasks.remove(&task) else { continue };
                let (name, row) = &nodes[&node];
                match result {
                    Ok(()) => {
                        events.push(self.gone(&node, name, row, "DELETE_COMPLETE"));
                        schedule.done(&node);
                    }
                    Err(error) => {
                        let why = super::forward::reason(&error);
                        let kind = &row.existing.kind;
                        let event = self.event(name, &row.made.physical_id, kind, "DELETE_FAILED", Some(&why));
                        if node == *name {
                            self.note(name, "DELETE_FAILED", Some(&why));
                        }
                        events.push(event);
                        failed.push((name.clone(), why));
                    }
                }
            }
        }
        if !events.is_empty() {
            self.save(&events).await?;
        }
        match failed.first() {
            None => Ok(Ok(())),
            Some((_, why)) => {
                let listed: Vec<&str> = failed.iter().map(|(name, _)| name.as_str()).collect();
                Ok(Err(Failed(format!("The following resource(s) failed to delete: [{}]. {why}", listed.join(", ")))))
            }
        }
    }

    /// Whether a policy or the caller keeps it.
    fn is_kept(&self, node: &str, name: &str, row: &StackResource, is_undo: bool) -> bool {
        if row.made.physical_id.is_empty() {
            return false;
        }
        match node == name {
            // What replaced something that is back in its place was only just made.
            false => !is_undo && row.on_replacement != Fate::Delete,
            true => {
                self.job.retain.contains(name)
                    || (is_undo && row.step.as_ref().is_some_and(|step| step.is_taken && self.job.takes_back(step)))
                    || (row.on_deletion == Fate::Retain && !(is_undo && self.job.retains_except_on_create))
                    || (row.on_deletion == Fate::RetainExceptOnCreate && !is_undo)
            }
        }
    }

    /// Takes a row out of the stack, and answers with the event that says so.
    fn gone(&mut self, node: &str, name: &str, row: &StackResource, status: &str) -> Event {
        match node == name {
            true => drop(self.stack.resources.remove(name)),
            false => {
                let id = &row.made.physical_id;
                self.stack.leftovers.retain(|(other, left)| other != name || left.made.physical_id != *id);
            }
        }
        self.event(name, &row.made.physical_id, &row.existing.kind, status, None)
    }
}
