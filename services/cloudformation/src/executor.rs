//! Carries out a plan: one resource after the other, each step stored before the next; on failure back to what was before.
//! A crash leaves the stack marked as failed at the next start ([`recover`]); it is not resumed.

use std::collections::BTreeMap;

use cumulet_base::clock::Clock;
use cumulet_base::{clock, id};
use cumulet_store::Rev;
use serde_json::{Map, Value};

use crate::client::Client;
use crate::errors::Error;
use crate::intrinsics::Scope;
use crate::plan::{self, Action, Kind};
use crate::prepared::Prepared;
use crate::resources::{self, Made, Whereabouts};
use crate::stack::{Event, Stack, StackOutput, StackResource};
use crate::storage::{Owner, Storage};

/// What happens to a stack whose creation fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnFailure {
    Rollback,
    Delete,
    Nothing,
}

/// How a step is taken back.
enum Undo {
    Created(String),
    Updated(String, Box<StackResource>, Map<String, Value>),
    Replaced(String, Box<StackResource>),
}

pub struct Run {
    pub storage: Storage,
    pub client: Client,
    pub owner: Owner,
    pub stack: Stack,
    pub rev: Rev,
    pub token: Option<String>,
}

/// Why a step failed, in a sentence for the events.
struct Failed(String);

impl Run {
    fn now(&self) -> u64 {
        self.client.clock.now_ms()
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
            client_request_token: self.token.clone(),
        }
    }

    async fn save(&mut self, event: Event) -> Result<(), Error> {
        self.rev = self.storage.save(&self.owner, &self.stack, self.rev, &[event]).await?;
        Ok(())
    }

    /// The stack's own status, and its event.
    pub async fn enter(&mut self, status: &str, reason: Option<&str>) -> Result<(), Error> {
        self.stack.status = status.to_owned();
        self.stack.reason = reason.map(str::to_owned);
        let (name, arn) = (self.stack.name.clone(), self.stack.arn.clone());
        let event = self.event(&name, &arn, "AWS::CloudFormation::Stack", status, reason);
        self.save(event).await
    }

    async fn note(&mut self, logical_id: &str, status: &str, reason: Option<&str>) -> Result<(), Error> {
        let now = self.now();
        let Some(resource) = self.stack.resources.get_mut(logical_id) else {
            return Ok(());
        };
        resource.status = status.to_owned();
        resource.reason = reason.map(str::to_owned);
        resource.updated_ms = now;
        let (kind, physical_id) = (resource.existing.kind.clone(), resource.made.physical_id.clone());
        let event = self.event(logical_id, &physical_id, &kind, status, reason);
        self.save(event).await
    }

    /// Creates the stack's resources. The stack is in `CREATE_IN_PROGRESS` already.
    pub async fn create(mut self, prepared: Prepared, on_failure: OnFailure) -> Result<(), Error> {
        let mut undo = Vec::new();
        let outcome = self.apply(&prepared, &mut undo).await?;
        match (outcome, on_failure) {
            (Ok(outputs), _) => {
                self.stack.outputs = outputs;
                self.enter("CREATE_COMPLETE", None).await
            }
            (Err(Failed(why)), OnFailure::Nothing) => self.enter("CREATE_FAILED", Some(&why)).await,
            (Err(Failed(why)), OnFailure::Delete) => {
                self.enter("CREATE_FAILED", Some(&why)).await?;
                self.enter("DELETE_IN_PROGRESS", None).await?;
                self.delete(&[]).await
            }
            (Err(Failed(why)), OnFailure::Rollback) => {
                let why = format!("{why}. Rollback requested by user.");
                self.enter("ROLLBACK_IN_PROGRESS", Some(&why)).await?;
                match self.delete_all(&[], true).await? {
                    Ok(()) => self.enter("ROLLBACK_COMPLETE", None).await,
                    Err(Failed(why)) => self.enter("ROLLBACK_FAILED", Some(&why)).await,
                }
            }
        }
    }

    /// Brings the stack to what was prepared. The stack is in `UPDATE_IN_PROGRESS` already.
    pub async fn update(mut self, prepared: Prepared, disable_rollback: bool) -> Result<(), Error> {
        let mut undo = Vec::new();
        match self.apply(&prepared, &mut undo).await? {
            Ok(outputs) => {
                self.stack.outputs = outputs;
                self.stack.wish = prepared.wish.clone();
                self.stack.description.clone_from(&prepared.template.description);
                self.enter("UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", None).await?;
                for step in undo {
                    if let Undo::Replaced(logical_id, old) = step {
                        self.discard(&logical_id, &old).await?;
                    }
                }
                for action in prepared.plan.actions.iter().filter(|a| a.kind == Kind::Delete) {
                    // What cannot be deleted any more is left behind and said so in the events, as on AWS.
                    if self.remove(&action.logical_id, false).await?.is_err() {
                        self.stack.resources.remove(&action.logical_id);
                    }
                }
                self.enter("UPDATE_COMPLETE", None).await
            }
            Err(Failed(why)) if disable_rollback => self.enter("UPDATE_FAILED", Some(&why)).await,
            Err(Failed(why)) => {
                self.enter("UPDATE_ROLLBACK_IN_PROGRESS", Some(&why)).await?;
                match self.undo(undo).await? {
                    Ok(()) => {
                        self.enter("UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS", None).await?;
                        self.enter("UPDATE_ROLLBACK_COMPLETE", None).await
                    }
                    Err(Failed(why)) => self.enter("UPDATE_ROLLBACK_FAILED", Some(&why)).await,
                }
            }
        }
    }

    /// Deletes the stack. The stack is in `DELETE_IN_PROGRESS` already.
    pub async fn delete(mut self, retain: &[String]) -> Result<(), Error> {
        match self.delete_all(retain, false).await? {
            Ok(()) => {
                self.stack.deleted_ms = Some(self.now());
                self.enter("DELETE_COMPLETE", None).await
            }
            Err(Failed(why)) => self.enter("DELETE_FAILED", Some(&why)).await,
        }
    }

    fn resolved(&self, prepared: &Prepared, value: &Value) -> Result<Option<Value>, Error> {
        let lookup = |name: &str, attribute: Option<&str>| -> Result<Value, Error> {
            let made = self
                .stack
                .resources
                .get(name)
                .map(|r| &r.made)
                .ok_or_else(|| Error::Template(format!("resource {name} is not there")))?;
            match attribute {
                None => Ok(made.physical_id.clone().into()),
                Some(attribute) => made.attributes.get(attribute).cloned().ok_or_else(|| {
                    Error::Template(format!("Requested attribute {attribute} does not exist in schema for {name}"))
                }),
            }
        };
        Scope {
            template: &prepared.template,
            parameters: &prepared.values,
            pseudo: &prepared.pseudo,
            conditions: &prepared.conditions,
            resources: &lookup,
        }
        .resolve(value)
    }

    /// Makes and changes what the plan says, and answers with the outputs. The outer error is the store's.
    async fn apply(
        &mut self,
        prepared: &Prepared,
        undo: &mut Vec<Undo>,
    ) -> Result<Result<Vec<StackOutput>, Failed>, Error> {
        for action in &prepared.plan.actions {
            let Some(resource) = &action.resource else {
                continue;
            };
            let properties = match self.resolved(prepared, &resource.properties) {
                Ok(Some(Value::Object(properties))) => properties,
                Ok(_) => Map::new(),
                Err(error) => return Ok(Err(Failed(error.to_string()))),
            };
            if let Err(Failed(why)) = self.step(action, resource.is_retained, properties, undo).await? {
                let verb = if action.kind == Kind::Create { "create" } else { "update" };
                return Ok(Err(Failed(format!(
                    "The following resource(s) failed to {verb}: [{}]. {why}",
                    action.logical_id
                ))));
            }
        }
        let mut outputs = Vec::new();
        for output in plan::active(&prepared.template, &prepared.conditions).1 {
            let of = |value: &Value| match self.resolved(prepared, value) {
                Ok(Some(Value::String(text))) => Ok(Some(text)),
                Ok(Some(other)) => Ok(Some(other.to_string())),
                Ok(None) => Ok(None),
                Err(error) => Err(Failed(format!("Output {}: {error}", output.key))),
            };
            let (value, export) = match (of(&output.value), output.export.as_ref().map(of).transpose()) {
                (Ok(value), Ok(export)) => (value, export.flatten()),
                (Err(failed), _) | (_, Err(failed)) => return Ok(Err(failed)),
            };
            if let Some(value) = value {
                outputs.push(StackOutput {
                    key: output.key.clone(),
                    value,
                    description: output.description.clone(),
                    export,
                });
            }
        }
        Ok(Ok(outputs))
    }

    async fn step(
        &mut self,
        action: &Action,
        is_retained: bool,
        properties: Map<String, Value>,
        undo: &mut Vec<Undo>,
    ) -> Result<Result<(), Failed>, Error> {
        let logical_id = &action.logical_id;
        let kind = &action.resource_type;
        let old = self.stack.resources.get(logical_id).cloned();
        let is_in_place = action.kind == Kind::Update;
        let verb = if action.kind == Kind::Create { "CREATE" } else { "UPDATE" };
        let mut row = StackResource {
            existing: plan::Existing {
                kind: kind.clone(),
                planned: action.planned.clone(),
                depends_on: action.depends_on.clone(),
            },
            made: Made::default(),
            properties: properties.clone(),
            is_retained,
            status: String::new(),
            reason: None,
            updated_ms: 0,
        };
        if action.kind == Kind::Create {
            self.stack.resources.insert(logical_id.clone(), row.clone());
        }
        self.note(logical_id, &format!("{verb}_IN_PROGRESS"), None).await?;
        let outcome = {
            let at = self.at(logical_id);
            match &old {
                Some(old) if is_in_place => resources::update(&at, kind, &old.made, &old.properties, &properties).await,
                _ => resources::create(&at, kind, &properties).await,
            }
        };
        match outcome {
            Ok(made) => {
                undo.push(match old {
                    None => Undo::Created(logical_id.clone()),
                    Some(old) if is_in_place => Undo::Updated(logical_id.clone(), Box::new(old), properties),
                    Some(old) => Undo::Replaced(logical_id.clone(), Box::new(old)),
                });
                row.made = made;
                self.stack.resources.insert(logical_id.clone(), row);
                self.note(logical_id, &format!("{verb}_COMPLETE"), None).await?;
                Ok(Ok(()))
            }
            Err(error) => {
                let why = format!("{} (Service error: {}, Status Code: {})", error.message, error.code, error.status);
                self.note(logical_id, &format!("{verb}_FAILED"), Some(&why)).await?;
                match old {
                    // Never came to be: nothing is to be deleted.
                    None => drop(self.stack.resources.remove(logical_id)),
                    // May have been changed in part.
                    Some(old) if is_in_place => {
                        undo.push(Undo::Updated(logical_id.clone(), Box::new(old), properties));
                    }
                    Some(_) => {}
                }
                Ok(Err(Failed(why)))
            }
        }
    }

    fn at<'a>(&'a self, logical_id: &'a str) -> Whereabouts<'a> {
        Whereabouts { client: &self.client, stack_name: &self.stack.name, logical_id }
    }

    async fn undo(&mut self, steps: Vec<Undo>) -> Result<Result<(), Failed>, Error> {
        let mut outcome = Ok(());
        for step in steps.into_iter().rev() {
            let result = match step {
                Undo::Created(logical_id) => self.remove(&logical_id, true).await?,
                Undo::Updated(logical_id, old, tried) => {
                    self.note(&logical_id, "UPDATE_IN_PROGRESS", None).await?;
                    let kind = old.existing.kind.clone();
                    let at = self.at(&logical_id);
                    let result = resources::update(&at, &kind, &old.made, &tried, &old.properties).await;
                    match result {
                        Ok(_) => {
                            self.stack.resources.insert(logical_id.clone(), *old);
                            self.note(&logical_id, "UPDATE_COMPLETE", None).await?;
                            Ok(())
                        }
                        Err(error) => {
                            let why = error.message;
                            self.note(&logical_id, "UPDATE_FAILED", Some(&why)).await?;
                            Err(Failed(why))
                        }
                    }
                }
                Undo::Replaced(logical_id, old) => {
                    let result = self.remove(&logical_id, true).await?;
                    if result.is_ok() {
                        self.stack.resources.insert(logical_id.clone(), *old);
                        self.note(&logical_id, "UPDATE_COMPLETE", None).await?;
                    }
                    result
                }
            };
            outcome = outcome.and(result);
        }
        Ok(outcome)
    }

    /// Deletes a resource that another one has replaced.
    async fn discard(&mut self, logical_id: &str, old: &StackResource) -> Result<(), Error> {
        let kind = old.existing.kind.clone();
        let result = match old.is_retained {
            true => Ok(()),
            false => resources::delete(&self.at(logical_id), &kind, &old.made, &old.properties).await,
        };
        let (status, reason) = match &result {
            _ if old.is_retained => ("DELETE_SKIPPED", None),
            Ok(()) => ("DELETE_COMPLETE", None),
            Err(error) => ("DELETE_FAILED", Some(error.message.as_str())),
        };
        let event = self.event(logical_id, &old.made.physical_id, &kind, status, reason);
        self.save(event).await
    }

    /// Deletes a resource and its row. `is_undone`: it is new, so that no policy keeps it.
    async fn remove(&mut self, logical_id: &str, is_undone: bool) -> Result<Result<(), Failed>, Error> {
        let Some(resource) = self.stack.resources.get(logical_id).cloned() else {
            return Ok(Ok(()));
        };
        if resource.is_retained && !is_undone {
            self.note(logical_id, "DELETE_SKIPPED", None).await?;
            self.stack.resources.remove(logical_id);
            return Ok(Ok(()));
        }
        self.note(logical_id, "DELETE_IN_PROGRESS", None).await?;
        let kind = &resource.existing.kind;
        let result = match resource.made.physical_id.is_empty() {
            true => Ok(()),
            false => resources::delete(&self.at(logical_id), kind, &resource.made, &resource.properties).await,
        };
        match result {
            Ok(()) => {
                self.stack.resources.remove(logical_id);
                let event = self.event(logical_id, &resource.made.physical_id, kind, "DELETE_COMPLETE", None);
                self.save(event).await?;
                Ok(Ok(()))
            }
            Err(error) => {
                self.note(logical_id, "DELETE_FAILED", Some(&error.message)).await?;
                Ok(Err(Failed(format!(
                    "The following resource(s) failed to delete: [{logical_id}]. {}",
                    error.message
                ))))
            }
        }
    }

    async fn delete_all(&mut self, retain: &[String], is_undone: bool) -> Result<Result<(), Failed>, Error> {
        let existing = self.stack.existing();
        let by_name: BTreeMap<&String, &plan::Existing> = existing.iter().collect();
        let mut outcome = Ok(());
        for logical_id in plan::deletion_order(&by_name) {
            if retain.contains(&logical_id) {
                self.note(&logical_id, "DELETE_SKIPPED", None).await?;
                self.stack.resources.remove(&logical_id);
                continue;
            }
            let result = self.remove(&logical_id, is_undone).await?;
            outcome = outcome.and(result);
        }
        Ok(outcome)
    }
}

/// Marks stacks as failed that a crash left in the middle of something.
pub async fn recover(storage: &Storage, now_ms: u64) -> Result<(), Error> {
    for (owner, stack_id, run_id) in storage.running().await? {
        mark_failed(storage, &owner, &stack_id, now_ms).await?;
        storage.mark_running(&owner, &stack_id, &run_id, false).await?;
    }
    Ok(())
}

/// Marks one stack as failed whose run ended early.
pub async fn recover_one(storage: &Storage, clock: &dyn Clock, owner: &Owner, stack_id: &str) -> Result<(), Error> {
    mark_failed(storage, owner, stack_id, clock.now_ms()).await
}

async fn mark_failed(storage: &Storage, owner: &Owner, stack_id: &str, now_ms: u64) -> Result<(), Error> {
    const WHY: &str = "The work on the stack was interrupted";
    if let Some((mut stack, rev)) = storage.stack(owner, stack_id).await?
        && let Some(status) = interrupted(&stack.status)
    {
        stack.status = status.to_owned();
        stack.reason = Some(WHY.to_owned());
        let event = Event {
            stack_id: stack.arn.clone(),
            event_id: id::uuid(),
            stack_name: stack.name.clone(),
            logical_resource_id: stack.name.clone(),
            physical_resource_id: stack.arn.clone(),
            resource_type: "AWS::CloudFormation::Stack".into(),
            timestamp: clock::iso_ms(now_ms),
            resource_status: status.to_owned(),
            resource_status_reason: stack.reason.clone(),
            client_request_token: None,
        };
        storage.save(owner, &stack, rev, &[event]).await?;
    }
    Ok(())
}

/// What becomes of a status that nobody works on any more.
fn interrupted(status: &str) -> Option<&'static str> {
    Some(match status {
        "CREATE_IN_PROGRESS" => "CREATE_FAILED",
        "ROLLBACK_IN_PROGRESS" => "ROLLBACK_FAILED",
        "DELETE_IN_PROGRESS" => "DELETE_FAILED",
        "UPDATE_IN_PROGRESS" => "UPDATE_FAILED",
        "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS" => "UPDATE_COMPLETE",
        "UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS" => "UPDATE_ROLLBACK_COMPLETE",
        "UPDATE_ROLLBACK_IN_PROGRESS" => "UPDATE_ROLLBACK_FAILED",
        _ => return None,
    })
}
