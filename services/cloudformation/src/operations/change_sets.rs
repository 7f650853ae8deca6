//! Change sets. They are computed while the request waits, so that none is ever seen in progress.

use cumulet_base::{clock, id, limits};
use cumulet_store::Rev;
use cumulet_wire::call::Context;
use cumulet_wire::error::ApiError;
use serde_json::{Value, json};

use super::stacks::{busy, check_updatable, is_change, on_failure};
use super::{
    Input, flag, given, imports, needed, new_stack, notified, owner, root_event, tag_list, text, texts, told, triggers,
};
use crate::CloudFormation;
use crate::changes;
use crate::errors::Error;
use crate::prepared::{check_capabilities, check_types};
use crate::stack::{ChangeSet, OnFailure, Stack, Wish};
use crate::storage::{Beside, Owner};
use crate::template::Given;

const NO_CHANGES: &str =
    "The submitted information didn't contain changes. Submit different information to create a change set.";

/// Whether an error is about what a template asks for, and not about the request.
fn is_of_the_set(error: &ApiError) -> bool {
    error.message.starts_with("not implemented: cloudformation ")
        || error.message.starts_with("Template constraint violated")
        || error.message.starts_with("No export named")
}

impl CloudFormation {
    pub(super) async fn create_change_set(&self, ctx: &Context, input: &Input) -> Result<Value, ApiError> {
        let owner = owner(ctx);
        let stack_name = needed(input, "StackName")?;
        let name = needed(input, "ChangeSetName")?;
        let kind = text(input, "ChangeSetType").unwrap_or_else(|| "UPDATE".into());
        let wanted_on_failure = on_failure(input, "OnStackFailure")?;
        if wanted_on_failure == OnFailure::Delete && kind != "CREATE" {
            let why = "OnStackFailure DELETE is only valid for change sets of the type CREATE";
            return Err(Error::Validation(why.into()).into());
        }
        imports::check_absent(input)?;
        let imports = imports::wanted(input)?;
        if kind != "IMPORT" && !imports.is_empty() {
            let why = "ResourcesToImport is only valid for change sets of the type IMPORT";
            return Err(Error::Validation(why.into()).into());
        }
        let found = self.find(&owner, &stack_name).await?;
        let (mut stack, is_new) = match (kind.as_str(), found) {
            ("CREATE", None) => (new_stack(ctx, &stack_name)?, true),
            ("CREATE", Some((stack, _))) if stack.status == "REVIEW_IN_PROGRESS" => (stack, false),
            ("CREATE", Some(_)) => return Err(Error::StackExists(stack_name).into()),
            ("UPDATE", Some((stack, _))) => {
                check_updatable(&stack)?;
                (stack, false)
            }
            ("UPDATE", None) => {
                return Err(Error::Validation(format!("Stack [{stack_name}] does not exist")).into());
            }
            ("IMPORT", None) => (new_stack(ctx, &stack_name)?, true),
            ("IMPORT", Some((stack, _))) if stack.status == "REVIEW_IN_PROGRESS" => (stack, false),
            ("IMPORT", Some((stack, _))) => {
                check_updatable(&stack)?;
                if stack.status.ends_with("_FAILED") {
                    return Err(busy(&stack).into());
                }
                (stack, false)
            }
            (other, _) => {
                return Err(Error::unknown_value("changeSetType", other, "[CREATE, UPDATE, IMPORT]").into());
            }
        };
        let others = self.storage.change_sets(&owner, &stack.id).await?;
        if others.iter().any(|other| other.name == name) {
            return Err(Error::ChangeSetExists(name).into());
        }
        if others.len() >= limits::STACK_CHANGE_SETS_MAX {
            return Err(Error::Limit("change sets", limits::STACK_CHANGE_SETS_MAX).into());
        }
        let caller = self.deployer(ctx, &mut stack, text(input, "RoleARN")).await?;
        let topics = stack.topics().to_vec();
        stack.notified = notified(input, &stack, &caller)?;
        let rollback = triggers::configuration(input, stack.rollback.as_ref())?;
        let is_guarded_anew = rollback != stack.rollback;
        let previous = (stack.status != "REVIEW_IN_PROGRESS" && !is_new).then_some(&stack);
        let mut wish = self.wish(ctx, input, previous).await?;
        let set_id = id::uuid();
        let mut set = ChangeSet {
            v: 1,
            arn: ctx.arn("cloudformation", format!("changeSet/{name}/{set_id}")),
            id: set_id,
            name,
            kind: kind.clone(),
            stack_key: stack.id.clone(),
            status: "CREATE_COMPLETE".into(),
            reason: None,
            execution_status: "AVAILABLE".into(),
            description: text(input, "Description"),
            wish: Wish::default(),
            changes: Vec::new(),
            on_stack_failure: text(input, "OnStackFailure"),
            created_ms: ctx.now_ms,
            role_arn: stack.role_arn.clone(),
            topics: stack.topics().to_vec(),
            rollback,
            imports,
            keeps_failures: wanted_on_failure == OnFailure::Nothing,
        };
        let prepared = self.prepare(ctx, &stack, &caller, wish.clone(), &given(input)?, previous.is_none()).await;
        let mut failed = |reason: String| {
            set.status = "FAILED".into();
            set.execution_status = "UNAVAILABLE".into();
            set.reason = Some(reason);
        };
        match prepared {
            Ok(prepared) => {
                check_capabilities(&prepared, false)?;
                check_types(&prepared.template, &texts(input, "ResourceTypes"))?;
                if kind == "UPDATE" && !is_change(&stack, &prepared)? && topics == stack.topics() && !is_guarded_anew {
                    failed(NO_CHANGES.to_owned());
                }
                set.changes = changes::described(&prepared, &stack);
                if kind == "IMPORT" {
                    imports::check(&stack, &prepared, &set.imports)?;
                } else if flag(input, "ImportExistingResources") {
                    set.imports = self.found_imports(ctx, &stack, &caller, &prepared).await?;
                }
                if !set.imports.is_empty() {
                    let ids = self.look_at_imports(ctx, &stack, &caller, &set.imports).await?;
                    set.changes = imports::shown(std::mem::take(&mut set.changes), &ids);
                }
                set.wish = prepared.wish;
            }
            // What the template asks for and is not built, or an assertion that does not hold, makes a set that failed.
            Err(error) if is_of_the_set(&error) => {
                failed(error.message);
                let declared = crate::prepared::declared(&wish.template)?.1;
                wish.parameters = crate::template::texts(&declared, &given(input)?, &stack.wish.parameters)?;
                set.wish = wish;
            }
            Err(error) => return Err(error),
        }
        if is_new {
            let mut stack = stack.clone();
            stack.status = "REVIEW_IN_PROGRESS".into();
            stack.reason = Some("User Initiated".into());
            let mut event = root_event(&stack, ctx.now_ms);
            event.client_request_token = text(input, "ClientToken");
            self.storage.create(&owner, &stack, &[event], &Beside::default()).await?;
        }
        self.storage.put_change_set(&owner, &set).await?;
        Ok(json!({ "Id": set.arn, "StackId": stack.arn }))
    }

    pub(super) async fn find_set(&self, owner: &Owner, input: &Input) -> Result<(Stack, Rev, ChangeSet), Error> {
        let name = needed(input, "ChangeSetName")?;
        let missing = || Error::NoChangeSet(name.clone());
        if name.starts_with("arn:") && !input.contains_key("StackName") {
            // The ARN of a set does not say whose it is.
            let id = name.rsplit('/').next().unwrap_or_default();
            for stack in self.storage.stacks(owner).await? {
                if let Some(set) = self.storage.change_set(owner, &stack.id, id).await? {
                    let (stack, rev) = self.stack(owner, &stack.arn).await?;
                    return Ok((stack, rev, set));
                }
            }
            return Err(missing());
        }
        let stack_name = needed(input, "StackName")?;
        let (stack, rev) = match self.find(owner, &stack_name).await? {
            Some(found) => found,
            None => {
                return Err(Error::Validation(format!("Stack [{stack_name}] does not exist")));
            }
        };
        let sets = self.storage.change_sets(owner, &stack.id).await?;
        let set = sets.into_iter().find(|set| set.name == name || set.arn == name).ok_or_else(missing)?;
        Ok((stack, rev, set))
    }

    pub(super) async fn describe_change_set(&self, ctx: &Context, input: &Input) -> Result<Value, ApiError> {
        let (stack, _, set) = self.find_set(&owner(ctx), input).await?;
        let parameters: Vec<Value> = super::look::shown_parameters(&set.wish);
        let shown: Vec<Value> = match flag(input, "IncludePropertyValues") {
            true => set.changes,
            false => set.changes.into_iter().map(changes::without_values).collect(),
        };
        Ok(json!({
            "ChangeSetName": set.name,
            "ChangeSetId": set.arn,
            "StackId": stack.arn,
            "StackName": stack.name,
            "Description": set.description,
            "Parameters": parameters,
            "CreationTime": clock::iso_ms(set.created_ms),
            "ExecutionStatus": set.execution_status,
            "Status": set.status,
            "StatusReason": set.reason,
            "NotificationARNs": set.topics,
            "RollbackConfiguration": triggers::shown(set.rollback.as_ref()),
            "Capabilities": set.wish.capabilities,
            "Tags": tag_list(&set.wish.tags),
            "Changes": shown,
            "IncludeNestedStacks": false,
            "OnStackFailure": set.on_stack_failure,
        }))
    }

    pub(super) async fn list_change_sets(&self, ctx: &Context, input: &Input) -> Result<Value, ApiError> {
        let owner = owner(ctx);
        let (stack, _) = self.stack(&owner, &needed(input, "StackName")?).await?;
        let sets = self.storage.change_sets(&owner, &stack.id).await?;
        let shown = |set: &ChangeSet| {
            json!({
                "StackId": stack.arn,
                "StackName": stack.name,
                "ChangeSetId": set.arn,
                "ChangeSetName": set.name,
                "ExecutionStatus": set.execution_status,
                "Status": set.status,
                "StatusReason": set.reason,
                "CreationTime": clock::iso_ms(set.created_ms),
                "Description": set.description,
                "IncludeNestedStacks": false,
            })
        };
        let summaries: Vec<Value> = sets.iter().map(shown).collect();
        Ok(json!({ "Summaries": summaries }))
    }

    pub(super) async fn delete_change_set(&self, ctx: &Context, input: &Input) -> Result<Value, ApiError> {
        let owner = owner(ctx);
        match self.find_set(&owner, input).await {
            Ok((stack, _, set)) => {
                self.storage.delete_change_set(&owner, &stack.id, &set.id).await?;
                Ok(Value::Null)
            }
            Err(Error::NoChangeSet(_)) => Ok(Value::Null),
            Err(other) => Err(other.into()),
        }
    }

    pub(super) async fn execute_change_set(&self, ctx: &Context, input: &Input) -> Result<Value, ApiError> {
        let owner = owner(ctx);
        let (mut stack, rev, set) = self.find_set(&owner, input).await?;
        if set.execution_status != "AVAILABLE" {
            return Err(Error::ChangeSetStatus(set.arn, set.status).into());
        }
        let is_new = stack.status == "REVIEW_IN_PROGRESS";
        if !is_new {
            check_updatable(&stack)?;
        }
        let caller = self.deployer(ctx, &mut stack, set.role_arn.clone()).await?;
        stack.notified = told(set.topics.clone(), &caller);
        stack.rollback.clone_from(&set.rollback);
        // Planned anew, because the stack may have changed since.
        let given = given_of(&set);
        let prepared = self.prepare(ctx, &stack, &caller, set.wish.clone(), &given, true).await?;
        let is_import = set.kind == "IMPORT";
        if is_import {
            imports::check(&stack, &prepared, &set.imports)?;
        }
        if set.on_stack_failure.is_some() && input.contains_key("DisableRollback") {
            let why = "DisableRollback cannot be specified for a change set with OnStackFailure";
            return Err(Error::Validation(why.into()).into());
        }
        stack.change_set_id = Some(set.arn.clone());
        let on_failure = match (set.on_stack_failure.as_deref(), flag(input, "DisableRollback") || set.keeps_failures) {
            (_, true) => OnFailure::Nothing,
            (Some("DELETE"), _) => OnFailure::Delete,
            _ => OnFailure::Rollback,
        };
        if is_new {
            stack.wish = prepared.wish.clone();
            stack.description.clone_from(&prepared.template.description);
            stack.disable_rollback = on_failure == OnFailure::Nothing;
        } else {
            stack.updated_ms = Some(ctx.now_ms);
        }
        let stack_id = stack.id.clone();
        let status = match is_new {
            _ if is_import => "IMPORT_IN_PROGRESS",
            true => "CREATE_IN_PROGRESS",
            false => "UPDATE_IN_PROGRESS",
        };
        let mut job = match is_new {
            true => self.job(ctx, &stack, caller, prepared.wish, input),
            false => self.job_of_update(ctx, &stack, caller, prepared.wish, input).await?,
        };
        job.on_failure = match (is_new, on_failure) {
            // There is nothing that could be deleted of a stack that was there before.
            (false, OnFailure::Delete) => OnFailure::Rollback,
            (_, on_failure) => on_failure,
        };
        job.imports = set.imports;
        self.start(owner.clone(), stack, Some(rev), status, job, &prepared.plan.imports).await?;
        // A stack's change sets are over with the execution of one of them.
        for other in self.storage.change_sets(&owner, &stack_id).await? {
            self.storage.delete_change_set(&owner, &stack_id, &other.id).await?;
        }
        Ok(Value::Null)
    }
}

/// The parameters of a change set, as a request would give them.
fn given_of(set: &ChangeSet) -> Vec<Given> {
    let given = |(key, value): (&String, &String)| Given {
        parameter_key: key.clone(),
        parameter_value: Some(value.clone()),
        use_previous_value: None,
    };
    set.wish.parameters.iter().map(given).collect()
}
