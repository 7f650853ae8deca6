//! Carries out what a stack's job says: steps along the graph of dependencies, as many at once as it allows, each written
//! down before and after; on failure back to what was before. The status of a stack is the phase its job is in, so that
//! after a crash the same code goes on where it was: a step that was begun is taken again with the same names.

mod back;
mod forward;
mod import;
mod removal;
mod schedule;
mod triggers;

use std::collections::BTreeSet;
use std::pin::Pin;
use std::time::Duration;

use cumulet_base::{clock, id};
use cumulet_store::Rev;

use crate::CloudFormation;
use crate::client::Client;
use crate::errors::Error;
use crate::intrinsics::Pseudo;
use crate::plan;
use crate::prepared::{self, Prepared};
use crate::resources::Whereabouts;
use crate::stack::{Event, Job, OnFailure, Stack, StackOutput, StackResource, Texts};
use crate::storage::{Beside, Owner};

/// A run that lost its store for a moment begins again where it was, this often.
const ATTEMPTS_MAX: usize = 5;

pub struct Run {
    pub cloud: CloudFormation,
    pub owner: Owner,
    pub stack: Stack,
    pub rev: Rev,
    pub job: Job,
}

/// Why a step failed, in a sentence for the events.
struct Failed(String);

/// Works on a stack until its job is over; the note that it runs goes with the last step.
/// Its type is written out because nested stacks begin other runs.
pub fn run(run: Run) -> Pin<Box<dyn Future<Output = ()> + Send>> {
    Box::pin(worked(run))
}

async fn worked(mut run: Run) {
    let (id, owner, job_id) = (run.stack.id.clone(), run.owner.clone(), run.job.id.clone());
    let storage = run.cloud.storage.clone();
    for attempt in 1..=ATTEMPTS_MAX {
        match run.carry_out().await {
            Ok(()) => {
                if let Err(error) = storage.mark_running(&owner, &id, &job_id, false).await {
                    tracing::error!(%error, stack = id, "noting that a stack is done");
                }
                return;
            }
            Err(error) => tracing::error!(%error, stack = id, attempt, "working on a stack"),
        }
        tokio::time::sleep(Duration::from_secs(attempt as u64)).await;
        match storage.stack(&owner, &id).await {
            Ok(Some((stack, rev))) => (run.stack, run.rev) = (stack, rev),
            Ok(None) => return,
            Err(error) => tracing::error!(%error, stack = id, "reading a stack again"),
        }
    }
    tracing::error!(stack = id, "giving up on a stack until the next start");
}

impl Run {
    fn now(&self) -> u64 {
        self.cloud.clock.now_ms()
    }

    async fn carry_out(&mut self) -> Result<(), Error> {
        loop {
            match self.stack.status.as_str() {
                "CREATE_IN_PROGRESS" => self.create().await?,
                "ROLLBACK_IN_PROGRESS" => self.roll_back_creation().await?,
                "UPDATE_IN_PROGRESS" => self.update().await?,
                "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS" => self.clean_up("UPDATE_COMPLETE").await?,
                "UPDATE_ROLLBACK_IN_PROGRESS" => self.roll_back_update().await?,
                "UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS" => self.clean_up("UPDATE_ROLLBACK_COMPLETE").await?,
                "DELETE_IN_PROGRESS" => self.delete().await?,
                "IMPORT_IN_PROGRESS" => self.import().await?,
                "IMPORT_ROLLBACK_IN_PROGRESS" => self.let_go().await?,
                _ => return Ok(()),
            }
        }
    }

    fn client(&self) -> Result<Client, Error> {
        self.cloud.client_of(&self.job.caller, &self.owner.region, &self.job.host)
    }

    fn pseudo(&self) -> Pseudo {
        Pseudo {
            account: self.owner.account.clone(),
            region: self.owner.region.clone(),
            stack_id: self.stack.arn.clone(),
            stack_name: self.stack.name.clone(),
            url_suffix: crate::operations::url_suffix(&self.job.host),
            topics: self.stack.topics().to_vec(),
        }
    }

    async fn prepared(&self) -> Result<Prepared, Error> {
        let exports: Texts = self.cloud.exports(&self.owner).await?;
        let existing = crate::stack::existing(self.job.start());
        prepared::prepare(self.job.wish.clone(), self.pseudo(), exports, &existing)
    }

    fn event(&self, logical_id: &str, physical_id: &str, kind: &str, status: &str, reason: Option<&str>) -> Event {
        Event {
            stack_id: self.stack.arn.clone(),
            event_id: id::uuid(),
            stack_name: self.stack.name.clone(),
            logical_resource_id: logical_id.to_owned(),
            physical_resource_id: physical_id.to_owned(),
            resource_type: kind.to_owned(),
            timestamp: clock::iso_ms(self.now()),
            resource_status: status.to_owned(),
            resource_status_reason: reason.map(str::to_owned),
            resource_properties: None,
            client_request_token: self.job.token.clone(),
        }
    }

    async fn save(&mut self, events: &[Event]) -> Result<(), Error> {
        self.save_with(events, &Beside::default()).await
    }

    async fn save_with(&mut self, events: &[Event], beside: &Beside) -> Result<(), Error> {
        self.rev = self.cloud.storage.save_with(&self.owner, &self.stack, self.rev, events, beside).await?;
        Ok(())
    }

    fn entering(&mut self, status: &str, reason: Option<&str>) -> Event {
        self.stack.status = status.to_owned();
        self.stack.monitored_since_ms = None;
        // Why it was rolled back stays to be read when that is done.
        if reason.is_some() || !status.contains("ROLLBACK_COMPLETE") {
            self.stack.reason = reason.map(str::to_owned);
        }
        self.event(&self.stack.name, &self.stack.arn, "AWS::CloudFormation::Stack", status, reason)
    }

    /// The stack's own status, and its event.
    async fn enter(&mut self, status: &str, reason: Option<&str>) -> Result<(), Error> {
        let event = self.entering(status, reason);
        self.save(&[event]).await
    }

    /// The status of a resource, to be saved, and its event.
    fn note(&mut self, logical_id: &str, status: &str, reason: Option<&str>) -> Option<Event> {
        let now = self.now();
        let resource = self.stack.resources.get_mut(logical_id)?;
        resource.status = status.to_owned();
        resource.reason = reason.map(str::to_owned);
        resource.updated_ms = now;
        let (kind, physical_id) = (resource.existing.kind.clone(), resource.made.physical_id.clone());
        Some(self.event(logical_id, &physical_id, &kind, status, reason))
    }

    fn at(&self, logical_id: &str, seed: &str, is_again: bool) -> Result<Whereabouts, Error> {
        let is_rollback_disabled = self.job.on_failure == OnFailure::Nothing;
        let at = Whereabouts::of(self.client()?, &self.cloud, &self.stack, logical_id, self.now());
        Ok(Whereabouts { seed: seed.to_owned(), is_again, is_rollback_disabled, ..at })
    }

    /// The way forward, and the time in which alarms may still take it back.
    async fn brought(&mut self, prepared: &Prepared) -> Result<Result<Vec<StackOutput>, Failed>, Error> {
        match self.forward(prepared).await? {
            Ok(outputs) => Ok(self.monitored().await?.map(|()| outputs)),
            Err(failed) => Ok(Err(failed)),
        }
    }

    async fn create(&mut self) -> Result<(), Error> {
        let failed = match self.prepared().await {
            Ok(prepared) => match self.brought(&prepared).await? {
                Ok(outputs) => match self.finish(&prepared, outputs, "CREATE_COMPLETE").await? {
                    Ok(()) if self.is_ending().await? => {
                        return self.enter("DELETE_IN_PROGRESS", Some("User Initiated")).await;
                    }
                    Ok(()) => return Ok(()),
                    Err(failed) => failed,
                },
                Err(failed) => failed,
            },
            Err(error @ Error::Store(_)) => return Err(error),
            Err(error) => Failed(error.to_string()),
        };
        if self.is_ending().await? {
            return self.enter("DELETE_IN_PROGRESS", Some("User Initiated")).await;
        }
        match self.job.on_failure {
            OnFailure::Nothing => self.enter("CREATE_FAILED", Some(&failed.0)).await,
            OnFailure::Delete => self.enter("DELETE_IN_PROGRESS", Some(&requested(&failed, "Delete"))).await,
            OnFailure::Rollback => self.enter("ROLLBACK_IN_PROGRESS", Some(&requested(&failed, "Rollback"))).await,
        }
    }

    /// Whether somebody wants the stack deleted that is being created.
    async fn is_ending(&self) -> Result<bool, Error> {
        self.cloud.storage.is_ending(&self.owner, &self.stack.id).await
    }

    async fn roll_back_creation(&mut self) -> Result<(), Error> {
        let all: BTreeSet<String> = self.stack.resources.keys().cloned().collect();
        match self.remove(&all, true).await? {
            Ok(()) => {
                let beside = Beside { unimported: self.stack.imports.iter().cloned().collect(), ..Beside::default() };
                self.stack.imports.clear();
                let event = self.entering("ROLLBACK_COMPLETE", None);
                self.save_with(&[event], &beside).await
            }
            Err(Failed(why)) => self.enter("ROLLBACK_FAILED", Some(&why)).await,
        }
    }

    async fn update(&mut self) -> Result<(), Error> {
        let failed = match self.prepared().await {
            Ok(prepared) => match self.brought(&prepared).await? {
                Ok(outputs) => match self.finish(&prepared, outputs, "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS").await? {
                    Ok(()) => return Ok(()),
                    Err(failed) => failed,
                },
                Err(failed) => failed,
            },
            Err(error @ Error::Store(_)) => return Err(error),
            Err(error) => Failed(error.to_string()),
        };
        let status = match self.job.on_failure {
            OnFailure::Nothing => "UPDATE_FAILED",
            _ if self.job.is_first => "ROLLBACK_IN_PROGRESS",
            _ => "UPDATE_ROLLBACK_IN_PROGRESS",
        };
        self.enter(status, Some(&failed.0)).await
    }

    async fn roll_back_update(&mut self) -> Result<(), Error> {
        match self.back().await? {
            Ok(()) => self.enter("UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS", None).await,
            Err(Failed(why)) => self.enter("UPDATE_ROLLBACK_FAILED", Some(&why)).await,
        }
    }

    /// Deletes what has no place in the stack any more. What cannot be deleted is left behind and said so in the events,
    /// as on AWS.
    async fn clean_up(&mut self, status: &str) -> Result<(), Error> {
        let is_undo = status == "UPDATE_ROLLBACK_COMPLETE";
        let kept: BTreeSet<String> = match is_undo {
            true => self.job.before.keys().cloned().collect(),
            false => {
                let prepared = self.prepared().await?;
                plan::active(&prepared.template, &prepared.conditions).0.map(|r| r.logical_id.clone()).collect()
            }
        };
        let gone: BTreeSet<String> =
            self.stack.resources.keys().filter(|name| !kept.contains(*name)).cloned().collect();
        if self.remove(&gone, is_undo).await?.is_err() {
            self.stack.resources.retain(|name, _| kept.contains(name));
            self.stack.leftovers.clear();
        }
        let mut beside = Beside::default();
        if is_undo {
            let before = &self.job.imports_before;
            beside.unimported = self.stack.imports.difference(before).cloned().collect();
            self.stack.imports = before.clone();
        }
        for resource in self.stack.resources.values_mut() {
            resource.step = None;
        }
        let event = self.entering(status, None);
        self.save_with(&[event], &beside).await
    }

    async fn delete(&mut self) -> Result<(), Error> {
        let exported = self.cloud.exported_by(&self.owner, &self.stack.arn).await?;
        for name in exported.keys() {
            let users = self.cloud.storage.importers(&self.owner, name).await?;
            if !users.is_empty() {
                let why = format!("Export {name} cannot be deleted as it is in use by {}", users.join(", "));
                return self.enter("DELETE_FAILED", Some(&why)).await;
            }
        }
        if !exported.is_empty() {
            // Before anything goes, so that nobody begins to rely on it.
            let beside = Beside { unexported: exported.into_keys().collect(), ..Beside::default() };
            self.save_with(&[], &beside).await?;
        }
        let all: BTreeSet<String> = self.stack.resources.keys().cloned().collect();
        match self.remove(&all, false).await? {
            Ok(()) => {
                self.stack.deleted_ms = Some(self.now());
                let beside = Beside { unimported: self.stack.imports.iter().cloned().collect(), ..Beside::default() };
                self.stack.imports.clear();
                let event = self.entering("DELETE_COMPLETE", None);
                self.save_with(&[event], &beside).await
            }
            Err(Failed(_)) if self.job.is_forced => {
                // Nobody knows of what is left behind any more; the events say what it is.
                self.stack.resources.clear();
                self.stack.leftovers.clear();
                self.stack.deleted_ms = Some(self.now());
                self.enter("DELETE_COMPLETE", None).await
            }
            Err(Failed(why)) => self.enter("DELETE_FAILED", Some(&why)).await,
        }
    }
}

/// Why a stack is taken back, and that this is what was asked for.
fn requested(failed: &Failed, what: &str) -> String {
    format!("{}. {what} requested by user.", failed.0.trim_end_matches('.'))
}

/// What one more row of a stack is called that has to make room for another.
fn leftover_name(logical_id: &str, index: usize) -> String {
    format!("{logical_id}\u{1}{index}")
}

/// A resource that was taken out of the stack's rows by another one.
fn is_same(one: &StackResource, other: &StackResource) -> bool {
    one.made.physical_id == other.made.physical_id
}
