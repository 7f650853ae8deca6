//! The way forward: resources made and changed along the graph, then outputs and exports.

use std::collections::{BTreeMap, BTreeSet};

use cumulet_base::{id, limits};
use cumulet_wire::error::ApiError;
use cumulet_wire::policy::{Circumstances, Decision, decide};
use serde_json::{Map, Value};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::schedule::Schedule;
use super::{Failed, Run, is_same};
use crate::dynamic;
use crate::errors::Error;
use crate::intrinsics::Scope;
use crate::plan::{self, Action, Existing};
use crate::prepared::Prepared;
use crate::resources::taken::{self, Identifier};
use crate::resources::{self, Made, Whereabouts};
use crate::stack::{Event, StackOutput, StackResource, Step, StepState};
use crate::storage::Beside;
use crate::template::Resource;

/// A call of a handler, ready to be made.
struct Work {
    at: Whereabouts,
    kind: String,
    /// What an update in place starts from.
    old: Option<(Made, Map<String, Value>)>,
    properties: Map<String, Value>,
    /// What identifies a resource that is there already, and what it is to be without the stack's tags.
    taken: Option<(Identifier, Map<String, Value>)>,
}

/// Why a resource did not come to be, and what there is of it all the same.
struct Stopped {
    error: ApiError,
    left: Option<String>,
}

impl Work {
    async fn make(self) -> Result<Made, Stopped> {
        let made = self.called().await;
        match made {
            Err(error) if self.old.is_none() => {
                Err(Stopped { error, left: resources::left(&self.at, &self.kind).await })
            }
            made => made.map_err(|error| Stopped { error, left: None }),
        }
    }

    async fn called(&self) -> Result<Made, ApiError> {
        let new = dynamic::resolved(&self.at.client, &self.properties).await?;
        match &self.old {
            None if let Some((named, plain)) = &self.taken => {
                let made = taken::take(&self.at, &self.kind, named).await?;
                match *plain == self.properties {
                    true => Ok(made),
                    false => resources::update(&self.at, &self.kind, &made, plain, &new).await,
                }
            }
            None => resources::create(&self.at, &self.kind, &new).await,
            Some((made, old)) => {
                // What is not there any more was something else than what is wanted now.
                let old = dynamic::resolved(&self.at.client, old).await.unwrap_or_else(|_| old.clone());
                resources::update(&self.at, &self.kind, made, &old, &new).await
            }
        }
    }
}

impl Run {
    /// Makes and changes what the plan says, and answers with the outputs. The outer error is the store's.
    pub(super) async fn forward(&mut self, prepared: &Prepared) -> Result<Result<Vec<StackOutput>, Failed>, Error> {
        let actions: BTreeMap<&str, &Action> =
            prepared.plan.actions.iter().filter(|a| a.resource.is_some()).map(|a| (a.logical_id.as_str(), a)).collect();
        let listed = prepared.plan.actions.iter().filter(|a| a.resource.is_some());
        let mut schedule = Schedule::new(listed.map(|a| (a.logical_id.clone(), a.depends_on.clone())));
        let mut failed: Vec<(String, String)> = Vec::new();
        for name in actions.keys() {
            let row = self.stack.resources.get(*name);
            match row.and_then(|row| row.step.as_ref()).filter(|step| step.job == self.job.id) {
                Some(Step { state: StepState::Done, .. }) => schedule.done(name),
                Some(Step { state: StepState::Failed, .. }) => {
                    let reason = row.and_then(|row| row.reason.clone()).unwrap_or_default();
                    failed.push(((*name).to_owned(), reason));
                }
                _ => {}
            }
        }
        let mut running = JoinSet::new();
        let mut names = BTreeMap::new();
        let mut begun: BTreeMap<String, StackResource> = BTreeMap::new();
        let mut events = Vec::new();
        let over = watch::Sender::new(false);
        loop {
            let mut works = Vec::new();
            while failed.is_empty() && self.is_going_on(&mut failed) {
                let ready = schedule.ready(limits::STACK_STEPS_MAX.saturating_sub(running.len() + works.len()));
                if ready.is_empty() {
                    break;
                }
                for name in ready {
                    let Some(action) = actions.get(name.as_str()) else { continue };
                    match self.begin(prepared, action, &mut events)? {
                        Ok(Some((mut work, row))) => {
                            work.at.is_over = over.subscribe();
                            begun.insert(name.clone(), row);
                            works.push((name, work));
                        }
                        // There is nothing to be done after all.
                        Ok(None) => schedule.done(&name),
                        Err(Failed(why)) => failed.push((name, why)),
                    }
                }
            }
            if !events.is_empty() {
                self.save(&std::mem::take(&mut events)).await?;
            }
            over.send_if_modified(|is_over| !std::mem::replace(is_over, !failed.is_empty()) && *is_over);
            for (name, work) in works {
                names.insert(running.spawn(work.make()).id(), name);
            }
            let joined = tokio::select! {
                joined = running.join_next_with_id() => joined,
                why = self.alarmed(), if failed.is_empty() && !running.is_empty() => {
                    failed.push((String::new(), why));
                    continue;
                }
            };
            let Some(joined) = joined else { break };
            let mut finished = vec![joined];
            while let Some(more) = running.try_join_next_with_id() {
                finished.push(more);
            }
            for joined in finished {
                let (task, result) = match joined {
                    Ok((task, result)) => (task, result),
                    Err(error) => {
                        let error_of_task = ApiError::internal(format!("the handler ended early: {error}"));
                        (error.id(), Err(Stopped { error: error_of_task, left: None }))
                    }
                };
                let Some(name) = names.remove(&task) else { continue };
                let Some(row) = begun.remove(&name) else { continue };
                match self.end(&name, row, result, &mut events) {
                    Ok(()) => schedule.done(&name),
                    Err(Failed(why)) => failed.push((name, why)),
                }
            }
        }
        if !failed.is_empty() {
            let verb = if self.stack.status == "CREATE_IN_PROGRESS" { "create" } else { "update" };
            let listed: Vec<&str> = failed.iter().map(|(name, _)| name.as_str()).filter(|n| !n.is_empty()).collect();
            let why = &failed[0].1;
            return Ok(Err(Failed(match listed.is_empty() {
                true => why.clone(),
                false => format!("The following resource(s) failed to {verb}: [{}]. {why}", listed.join(", ")),
            })));
        }
        Ok(self.outputs(prepared))
    }

    /// Whether anything more may begin.
    fn is_going_on(&self, failed: &mut Vec<(String, String)>) -> bool {
        let is_late = self.stack.status == "CREATE_IN_PROGRESS"
            && self.stack.timeout_ms.is_some_and(|timeout| self.now() > self.job.began_ms + timeout);
        if is_late {
            failed.push((String::new(), "Stack creation time exceeded the specified timeout".to_owned()));
        } else if self.cloud.is_cancelled(&self.stack.id) {
            failed.push((String::new(), "User Initiated".to_owned()));
        }
        failed.is_empty()
    }

    /// Writes down what is about to be done; `None` is nothing.
    #[allow(clippy::type_complexity)]
    fn begin(
        &mut self,
        prepared: &Prepared,
        action: &Action,
        events: &mut Vec<Event>,
    ) -> Result<Result<Option<(Work, StackResource)>, Failed>, Error> {
        let Some(resource) = &action.resource else { return Ok(Ok(None)) };
        let name = &action.logical_id;
        let is_creation = self.job.start().get(name).is_none_or(|row| row.made.physical_id.is_empty());
        let verb = self.verb(name, is_creation);
        let row = |properties: &Map<String, Value>| StackResource {
            existing: Existing {
                kind: action.resource_type.clone(),
                planned: action.planned.clone(),
                depends_on: action.depends_on.clone(),
            },
            properties: properties.clone(),
            on_deletion: resource.on_deletion,
            on_replacement: resource.on_replacement,
            ..StackResource::default()
        };
        let properties = match self.resolved(prepared, &resource.properties) {
            Ok(Some(Value::Object(properties))) => properties,
            Ok(_) => Map::new(),
            Err(error) => {
                let why = error.to_string();
                if is_creation {
                    self.stack.resources.insert(name.clone(), row(&Map::new()));
                }
                events.extend(self.note(name, &format!("{verb}_FAILED"), Some(&why)));
                return Ok(Err(Failed(why)));
            }
        };
        let policies = match self.policies(prepared, resource) {
            Ok(policies) => policies,
            Err(error) => return Ok(Err(Failed(error.to_string()))),
        };
        let taken = self.job.imports.get(name).filter(|_| is_creation);
        let taken = taken.map(|(_, named)| (named.clone(), properties.clone()));
        let properties = plan::with_tags(&action.resource_type, properties, &prepared.wish.tags);
        let old = self.stack.resources.get(name).filter(|_| !is_creation).cloned();
        let earlier = self.stack.resources.get(name).and_then(|row| row.step.clone());
        let was_taken = earlier.as_ref().is_some_and(|step| step.is_taken && self.job.takes_back(step));
        let earlier = earlier.filter(|step| step.job == self.job.id);
        let mut is_in_place = false;
        if let Some(old) = &old {
            let changed = plan::changed_properties(&old.properties.clone().into(), &properties.clone().into());
            let is_broken = old.existing.planned.is_null() || old.is_broken();
            if changed.is_empty() && earlier.is_none() && !is_broken {
                let mut same = row(&properties);
                same.made = old.made.clone();
                (same.status, same.reason, same.updated_ms) = (old.status.clone(), old.reason.clone(), old.updated_ms);
                self.stack.resources.insert(name.clone(), same);
                return Ok(Ok(None));
            }
            is_in_place = !changed.iter().any(|property| resources::replaces(&action.resource_type, property));
            let what = if is_in_place { "Update:Modify" } else { "Update:Replace" };
            if let Err(Failed(why)) = self.policy_allows(what, name, &action.resource_type) {
                events.extend(self.note(name, "UPDATE_FAILED", Some(&why)));
                return Ok(Err(Failed(why)));
            }
        }
        let seed = earlier.as_ref().map_or_else(|| id::upper(12), |step| step.seed.clone());
        let mut new = row(&properties);
        new.step = Some(Step {
            job: self.job.id.clone(),
            state: StepState::Begun,
            seed: seed.clone(),
            tried: (is_in_place && !resources::is_fixed(&action.resource_type)).then(|| properties.clone()),
            is_taken: taken.is_some() || was_taken,
        });
        if let Some(begun) = self.stack.resources.get(name).filter(|_| earlier.is_some()) {
            // Since when it is under way does not change when it is taken again.
            (new.status, new.updated_ms) = (begun.status.clone(), begun.updated_ms);
        }
        match &old {
            None => drop(self.stack.resources.insert(name.clone(), new.clone())),
            // The old one stays in its place until there is a new one.
            Some(_) => {
                if let Some(row) = self.stack.resources.get_mut(name) {
                    row.step.clone_from(&new.step);
                }
            }
        }
        let why = (!is_creation && !is_in_place)
            .then_some("Requested update requires the creation of a new physical resource; hence creating one.");
        if earlier.is_none() {
            events.extend(self.note(name, &format!("{verb}_IN_PROGRESS"), why));
        }
        let mut at = self.at(name, &seed, earlier.is_some())?;
        if let Some(row) = self.stack.resources.get(name) {
            at.begun_ms = row.updated_ms;
        }
        if self.stack.status == "CREATE_IN_PROGRESS" {
            at.ends_ms = self.stack.timeout_ms.map(|timeout| self.job.began_ms + timeout);
        }
        (at.creation_policy, at.update_policy) = policies;
        let work = Work {
            at,
            kind: action.resource_type.clone(),
            old: old.filter(|_| is_in_place).map(|old| (old.made, old.properties)),
            properties,
            taken,
        };
        Ok(Ok(Some((work, new))))
    }

    /// What statuses of a resource begin with.
    fn verb(&self, name: &str, is_creation: bool) -> &'static str {
        match is_creation {
            true if self.job.imports.contains_key(name) => "IMPORT",
            true => "CREATE",
            false => "UPDATE",
        }
    }

    /// Its policies of creation and update.
    fn policies(&self, prepared: &Prepared, resource: &Resource) -> Result<(Option<Value>, Option<Value>), Error> {
        let of = |policy: &Option<Value>| match policy {
            None => Ok(None),
            Some(policy) => self.resolved(prepared, policy),
        };
        Ok((of(&resource.creation_policy)?, of(&resource.update_policy)?))
    }

    /// Writes down what came of it.
    fn end(
        &mut self,
        name: &str,
        mut new: StackResource,
        result: Result<Made, Stopped>,
        events: &mut Vec<Event>,
    ) -> Result<(), Failed> {
        let old = self.stack.resources.get(name).filter(|row| !row.made.physical_id.is_empty()).cloned();
        let verb = self.verb(name, old.is_none());
        match result {
            Ok(made) => {
                new.made = made;
                if let Some(step) = &mut new.step {
                    step.state = StepState::Done;
                }
                if let Some(old) = old.filter(|old| !is_same(old, &new)) {
                    self.stack.leftovers.push((name.to_owned(), old));
                }
                self.stack.resources.insert(name.to_owned(), new);
                let remark = self.stack.resources.get(name).and_then(|row| row.made.remark.clone());
                events.extend(self.note(name, &format!("{verb}_COMPLETE"), remark.as_deref()));
                Ok(())
            }
            Err(Stopped { error, left }) => {
                let why = reason(&error);
                if let Some(row) = self.stack.resources.get_mut(name) {
                    if let Some(left) = left.filter(|_| old.is_none()) {
                        row.made.physical_id = left;
                    }
                    if let Some(step) = &mut row.step {
                        step.state = StepState::Failed;
                    }
                    row.existing.kind.clone_from(&new.existing.kind);
                }
                events.extend(self.note(name, &format!("{verb}_FAILED"), Some(&why)));
                Err(Failed(why))
            }
        }
    }

    /// Whether the stack's policy lets an update do something to a resource.
    fn policy_allows(&self, action: &str, name: &str, kind: &str) -> Result<(), Failed> {
        let Some(document) = self.job.policy.as_ref().or(self.stack.policy.as_ref()) else { return Ok(()) };
        let known = Circumstances::from([("resourcetype".to_owned(), kind.to_owned())]);
        match decide([document.as_str()], action, &format!("LogicalResourceId/{name}"), &known) {
            Decision::Allow => Ok(()),
            _ => Err(Failed(format!(
                "Action denied by stack policy: Statement does not allow [{action}] for resource [{name}]"
            ))),
        }
    }

    pub(super) fn resolved(&self, prepared: &Prepared, value: &Value) -> Result<Option<Value>, Error> {
        let lookup = |name: &str, attribute: Option<&str>| -> Result<Value, Error> {
            let made = self
                .stack
                .resources
                .get(name)
                .map(|r| &r.made)
                .ok_or_else(|| Error::Template(format!("resource {name} is not there")))?;
            match attribute {
                None => Ok(made.physical_id.clone().into()),
                Some(attribute) => made.attribute(attribute).ok_or_else(|| {
                    Error::Template(format!("Requested attribute {attribute} does not exist in schema for {name}"))
                }),
            }
        };
        Scope {
            template: &prepared.template,
            parameters: &prepared.values,
            pseudo: &prepared.pseudo,
            conditions: &prepared.conditions,
            exports: &prepared.exports,
            resources: &lookup,
        }
        .resolve(value)
    }

    pub(super) fn outputs(&self, prepared: &Prepared) -> Result<Vec<StackOutput>, Failed> {
        let mut outputs = Vec::new();
        for output in plan::active(&prepared.template, &prepared.conditions).1 {
            let of = |value: &Value| match self.resolved(prepared, value) {
                Ok(Some(Value::String(text))) => Ok(Some(text)),
                Ok(Some(Value::Array(items))) if items.iter().all(Value::is_string) => {
                    let texts: Vec<&str> = items.iter().filter_map(Value::as_str).collect();
                    Ok(Some(texts.join(",")))
                }
                Ok(Some(other)) => Ok(Some(other.to_string())),
                Ok(None) => Ok(None),
                Err(error) => Err(Failed(format!("Output {}: {error}", output.key))),
            };
            let export = output.export.as_ref().map(of).transpose()?.flatten();
            if let Some(value) = of(&output.value)? {
                outputs.push(StackOutput {
                    key: output.key.clone(),
                    value,
                    description: output.description.clone(),
                    export,
                });
            }
        }
        Ok(outputs)
    }

    /// The stack is what was wished for: with its exports, which nobody else may have, and others may rely on.
    pub(super) async fn finish(
        &mut self,
        prepared: &Prepared,
        outputs: Vec<StackOutput>,
        status: &str,
    ) -> Result<Result<(), Failed>, Error> {
        let all = self.cloud.storage.exports(&self.owner).await?;
        let mut beside = Beside::default();
        for output in &outputs {
            let Some(name) = &output.export else { continue };
            if beside.exported.insert(name.clone(), output.value.clone()).is_some() {
                return Ok(Err(Failed(format!("Output {}: the export {name} stands twice", output.key))));
            }
        }
        for (name, export) in &all {
            let is_own = export.stack == self.stack.arn;
            let wanted = beside.exported.get(name);
            if !is_own && wanted.is_some() {
                let why =
                    format!("Export with name {name} is already exported by stack {}.", stack_name(&export.stack));
                return Ok(Err(Failed(why)));
            }
            if !is_own || wanted == Some(&export.value) {
                if is_own {
                    beside.exported_before.push(name.clone());
                }
                continue;
            }
            let users = self.cloud.storage.importers(&self.owner, name).await?;
            if !users.is_empty() {
                let verb = if wanted.is_some() { "updated" } else { "deleted" };
                let why = format!("Export {name} cannot be {verb} as it is in use by {}", users.join(", "));
                return Ok(Err(Failed(why)));
            }
            match wanted {
                Some(_) => beside.exported_before.push(name.clone()),
                None => beside.unexported.push(name.clone()),
            }
        }
        let imports: BTreeSet<String> = prepared.plan.imports.clone();
        beside.unimported = self.stack.imports.difference(&imports).cloned().collect();
        self.stack.imports = imports;
        self.stack.outputs = outputs;
        self.stack.wish = prepared.wish.clone();
        self.stack.description.clone_from(&prepared.template.description);
        for resource in &prepared.template.resources {
            if let Some(row) = self.stack.resources.get_mut(&resource.logical_id) {
                (row.on_deletion, row.on_replacement) = (resource.on_deletion, resource.on_replacement);
            }
        }
        let event = self.entering(status, None);
        self.save_with(&[event], &beside).await?;
        Ok(Ok(()))
    }
}

fn stack_name(arn: &str) -> &str {
    arn.split('/').nth(1).unwrap_or(arn)
}

pub(super) fn reason(error: &ApiError) -> String {
    if error.code.is_empty() {
        // Not a service's, but a sentence of a handler's own.
        return error.message.clone();
    }
    format!("{} (Service error: {}, Status Code: {})", error.message, error.code, error.status)
}
