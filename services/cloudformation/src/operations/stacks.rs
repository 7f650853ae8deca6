//! Stacks created, updated and deleted directly; policies, protection, and updates that are given up or taken back.

use std::collections::BTreeSet;

use cumulet_wire::call::Context;
use cumulet_wire::error::ApiError;
use cumulet_wire::policy::Document;
use serde_json::{Value, json};

use super::{Input, flag, given, needed, new_stack, notified, owner, text, texts, told, triggers};
use crate::CloudFormation;
use crate::errors::Error;
use crate::prepared::{Prepared, check_capabilities, check_types};
use crate::stack::{OnFailure, Parent, Stack};
use crate::storage::Owner;

/// Whether a request wants what fails to stay as it is. The mode of its `DeploymentConfig` is checked; a stack is ready here when
/// it is complete, in both.
pub fn keeps_failures(input: &Input) -> Result<bool, Error> {
    let config = input.get("DeploymentConfig").unwrap_or(&Value::Null);
    match config.get("Mode").and_then(Value::as_str) {
        None | Some("STANDARD" | "EXPRESS") => {}
        Some(other) => return Err(Error::unknown_value("deploymentConfig.mode", other, "[STANDARD, EXPRESS]")),
    }
    let is_set = config.get("DisableRollback").is_some_and(crate::template::is_true);
    Ok(is_set || flag(input, "DisableRollback"))
}

/// What is to happen when the creation fails.
pub fn on_failure(input: &Input, member: &str) -> Result<OnFailure, Error> {
    match (text(input, member).as_deref(), keeps_failures(input)?) {
        (Some(_), true) => {
            Err(Error::Validation("You can specify either DisableRollback or OnFailure, but not both.".into()))
        }
        (None, true) | (Some("DO_NOTHING"), false) => Ok(OnFailure::Nothing),
        (None | Some("ROLLBACK"), false) => Ok(OnFailure::Rollback),
        (Some("DELETE"), false) => Ok(OnFailure::Delete),
        (Some(other), false) => Err(Error::Validation(format!("Invalid {member} {other}"))),
    }
}

/// Whether carrying out what was prepared would change anything.
pub fn is_change(stack: &Stack, prepared: &Prepared) -> Result<bool, Error> {
    if !prepared.plan.actions.is_empty() || stack.wish.tags != prepared.wish.tags {
        return Ok(true);
    }
    let (_, before) = crate::prepared::processed(&stack.wish)?;
    let same_values = stack.wish.parameters == prepared.wish.parameters && stack.wish.found == prepared.wish.found;
    Ok(before.outputs != prepared.template.outputs || (!same_values && !prepared.template.outputs.is_empty()))
}

impl CloudFormation {
    /// A stack policy as a request gives it: `MEMBERBody`, or what lies at `MEMBERURL`.
    async fn stack_policy(&self, ctx: &Context, input: &Input, member: &str) -> Result<Option<String>, ApiError> {
        let document = match (text(input, &format!("{member}Body")), text(input, &format!("{member}URL"))) {
            (Some(_), Some(_)) => {
                let why = format!("You cannot specify both {member}Body and {member}URL");
                return Err(Error::Validation(why).into());
            }
            (Some(document), None) => document,
            (None, Some(url)) => self.fetch(ctx, &url).await?,
            (None, None) => return Ok(None),
        };
        match Document::parse(&document) {
            Some(_) => Ok(Some(document)),
            None => Err(Error::Validation("Error validating stack policy: Invalid stack policy".into()).into()),
        }
    }

    pub(super) async fn create_stack(&self, ctx: &Context, input: &Input) -> Result<Value, ApiError> {
        self.create_within(ctx, input, None).await
    }

    /// Creates a stack, maybe one that is a resource of another.
    pub(crate) async fn create_within(
        &self,
        ctx: &Context,
        input: &Input,
        parent: Option<Parent>,
    ) -> Result<Value, ApiError> {
        let (owner, name) = (owner(ctx), needed(input, "StackName")?);
        let on_failure = on_failure(input, "OnFailure")?;
        let mut stack = new_stack(ctx, &name)?;
        stack.parent = parent;
        let caller = self.deployer(ctx, &mut stack, text(input, "RoleARN")).await?;
        stack.notified = notified(input, &stack, &caller)?;
        stack.rollback = triggers::configuration(input, None)?;
        let wish = self.wish(ctx, input, None).await?;
        let prepared = self.prepare(ctx, &stack, &caller, wish, &given(input)?, true).await?;
        check_capabilities(&prepared, true)?;
        check_types(&prepared.template, &texts(input, "ResourceTypes"))?;
        if self.find(&owner, &name).await?.is_some() {
            return Err(Error::StackExists(name).into());
        }
        stack.wish = prepared.wish.clone();
        stack.description.clone_from(&prepared.template.description);
        stack.disable_rollback = on_failure == OnFailure::Nothing;
        stack.termination_protection = flag(input, "EnableTerminationProtection");
        stack.policy = self.stack_policy(ctx, input, "StackPolicy").await?;
        stack.timeout_ms = minutes(input)?;
        let arn = stack.arn.clone();
        let mut job = self.job(ctx, &stack, caller, prepared.wish, input);
        job.on_failure = on_failure;
        self.start(owner, stack, None, "CREATE_IN_PROGRESS", job, &prepared.plan.imports).await?;
        Ok(json!({ "StackId": arn }))
    }

    pub(crate) async fn update_stack(&self, ctx: &Context, input: &Input) -> Result<Value, ApiError> {
        let owner = owner(ctx);
        let keeps_failures = keeps_failures(input)?;
        let (mut stack, rev) = self.stack(&owner, &needed(input, "StackName")?).await?;
        check_updatable(&stack)?;
        let caller = self.deployer(ctx, &mut stack, text(input, "RoleARN")).await?;
        let topics = stack.topics().to_vec();
        stack.notified = notified(input, &stack, &caller)?;
        let rollback = triggers::configuration(input, stack.rollback.as_ref())?;
        let is_guarded_anew = rollback != std::mem::replace(&mut stack.rollback, rollback.clone());
        let wish = self.wish(ctx, input, Some(&stack)).await?;
        let prepared = self.prepare(ctx, &stack, &caller, wish, &given(input)?, false).await?;
        check_capabilities(&prepared, true)?;
        check_types(&prepared.template, &texts(input, "ResourceTypes"))?;
        if !is_change(&stack, &prepared)? && topics == stack.topics() && !is_guarded_anew {
            return Err(Error::Validation("No updates are to be performed.".into()).into());
        }
        if let Some(policy) = self.stack_policy(ctx, input, "StackPolicy").await? {
            stack.policy = Some(policy);
        }
        stack.updated_ms = Some(ctx.now_ms);
        let arn = stack.arn.clone();
        let mut job = self.job_of_update(ctx, &stack, caller, prepared.wish, input).await?;
        job.policy = self.stack_policy(ctx, input, "StackPolicyDuringUpdate").await?;
        if keeps_failures {
            job.on_failure = OnFailure::Nothing;
        }
        self.start(owner, stack, Some(rev), "UPDATE_IN_PROGRESS", job, &prepared.plan.imports).await?;
        Ok(json!({ "StackId": arn }))
    }

    pub(crate) async fn delete_stack(&self, ctx: &Context, input: &Input) -> Result<Value, ApiError> {
        let owner = owner(ctx);
        // A stack that is not there is deleted.
        let Some((mut stack, mut rev)) = self.find(&owner, &needed(input, "StackName")?).await? else {
            return Ok(Value::Null);
        };
        if stack.status == "DELETE_COMPLETE" || stack.status == "DELETE_IN_PROGRESS" {
            return Ok(Value::Null);
        }
        let is_being_created = stack.status == "CREATE_IN_PROGRESS";
        if stack.is_busy() && !is_being_created {
            return Err(busy(&stack).into());
        }
        if stack.termination_protection {
            return Err(Error::Validation(format!(
                "Stack [{}] cannot be deleted while TerminationProtection is enabled",
                stack.name
            ))
            .into());
        }
        if is_being_created {
            // Whoever creates it deletes it, as soon as what is under way is over.
            self.storage.end(&owner, &stack.id).await?;
            self.cancelled.send_if_modified(|cancelled| cancelled.insert(stack.id.clone()));
            (stack, rev) = self.stack(&owner, &stack.arn.clone()).await?;
            if matches!(stack.status.as_str(), "CREATE_IN_PROGRESS" | "DELETE_IN_PROGRESS" | "DELETE_COMPLETE") {
                return Ok(Value::Null);
            }
        }
        if stack.status == "REVIEW_IN_PROGRESS" {
            self.storage.forget(&owner, &stack, rev).await?;
            return Ok(Value::Null);
        }
        let retain: BTreeSet<String> = texts(input, "RetainResources").into_iter().collect();
        if !retain.is_empty() && stack.status != "DELETE_FAILED" {
            let why = "Invalid operation on stack: specify which resources to retain only when the stack is in the DELETE_FAILED state.";
            return Err(Error::Validation(why.into()).into());
        }
        let caller = self.deployer(ctx, &mut stack, text(input, "RoleARN")).await?;
        stack.notified = told(stack.topics().to_vec(), &caller);
        let wish = stack.wish.clone();
        let mut job = self.job(ctx, &stack, caller, wish, input);
        job.retain = retain;
        job.is_forced = match text(input, "DeletionMode").as_deref() {
            None | Some("STANDARD") => false,
            Some("FORCE_DELETE_STACK") if stack.status == "DELETE_FAILED" => true,
            Some("FORCE_DELETE_STACK") => {
                let why = "FORCE_DELETE_STACK can only be used for a stack in the DELETE_FAILED state.";
                return Err(Error::Validation(why.into()).into());
            }
            Some(other) => {
                return Err(Error::unknown_value("deletionMode", other, "[FORCE_DELETE_STACK, STANDARD]").into());
            }
        };
        self.start(owner, stack, Some(rev), "DELETE_IN_PROGRESS", job, &BTreeSet::new()).await?;
        Ok(Value::Null)
    }

    /// The update ends with the steps that are under way, and is taken back.
    pub(super) async fn cancel_update(&self, ctx: &Context, input: &Input) -> Result<Value, ApiError> {
        let (stack, _) = self.stack(&owner(ctx), &needed(input, "StackName")?).await?;
        if stack.status != "UPDATE_IN_PROGRESS" {
            return Err(Error::Validation("CancelUpdateStack cannot be called from current stack status".into()).into());
        }
        self.cancelled.send_if_modified(|cancelled| cancelled.insert(stack.id));
        Ok(Value::Null)
    }

    pub(crate) async fn continue_rollback(&self, ctx: &Context, input: &Input) -> Result<Value, ApiError> {
        let owner = owner(ctx);
        let (stack, _) = self.stack(&owner, &needed(input, "StackName")?).await?;
        if stack.status != "UPDATE_ROLLBACK_FAILED" {
            return Err(busy(&stack).into());
        }
        let skipped: BTreeSet<String> = texts(input, "ResourcesToSkip").into_iter().collect();
        self.check_skipped(&owner, &stack, &skipped).await?;
        self.go_back(ctx, input, skipped).await?;
        Ok(Value::Null)
    }

    /// That what is to be skipped is what could not be taken back: resources of the stack, or `EMBEDDED.RESOURCE` of one
    /// in it.
    async fn check_skipped(&self, owner: &Owner, stack: &Stack, skipped: &BTreeSet<String>) -> Result<(), Error> {
        for name in skipped {
            let refused = |why: &str| Err(Error::Validation(format!("The resource {name} cannot be skipped: {why}")));
            let (outer, inner) = name.split_once('.').map_or((name.as_str(), None), |(o, i)| (o, Some(i)));
            let Some(row) = stack.resources.get(outer) else {
                return Err(Error::Validation(format!("The resource {outer} to be skipped does not exist")));
            };
            if row.status != "UPDATE_FAILED" {
                return refused("it is not in the state UPDATE_FAILED because of the rollback");
            }
            let is_stack = row.existing.kind == "AWS::CloudFormation::Stack";
            let embedded = if is_stack { self.find(owner, &row.made.physical_id).await? } else { None };
            match (inner, embedded) {
                (None, Some((embedded, _))) if !embedded.status.starts_with("DELETE_") => {
                    return refused("its stack is there; name the resources of that");
                }
                (Some(inner), Some((embedded, _))) => {
                    let inner = BTreeSet::from([inner.to_owned()]);
                    Box::pin(self.check_skipped(owner, &embedded, &inner)).await?;
                }
                (Some(_), None) => return refused("it is in no embedded stack"),
                (None, _) => {}
            }
        }
        Ok(())
    }

    pub(crate) async fn roll_back(&self, ctx: &Context, input: &Input) -> Result<Value, ApiError> {
        let (stack, _) = self.stack(&owner(ctx), &needed(input, "StackName")?).await?;
        if !matches!(stack.status.as_str(), "CREATE_FAILED" | "UPDATE_FAILED") {
            return Err(busy(&stack).into());
        }
        self.go_back(ctx, input, BTreeSet::new()).await
    }

    /// Takes back what the stack's last job did.
    async fn go_back(&self, ctx: &Context, input: &Input, skipped: BTreeSet<String>) -> Result<Value, ApiError> {
        let owner = owner(ctx);
        let (mut stack, rev) = self.stack(&owner, &needed(input, "StackName")?).await?;
        let mut job = self.last_job(ctx, &stack).await?;
        let status = match stack.status.as_str() {
            "CREATE_FAILED" => "ROLLBACK_IN_PROGRESS",
            "UPDATE_FAILED" if job.is_first => "ROLLBACK_IN_PROGRESS",
            _ => "UPDATE_ROLLBACK_IN_PROGRESS",
        };
        job.caller = self.deployer(ctx, &mut stack, text(input, "RoleARN")).await?;
        stack.notified = told(stack.topics().to_vec(), &job.caller);
        // The note that the earlier run left is gone; another run has another.
        job.token = text(input, "ClientRequestToken");
        job.retain = skipped;
        job.on_failure = OnFailure::Rollback;
        job.retains_except_on_create |= flag(input, "RetainExceptOnCreate");
        let arn = stack.arn.clone();
        self.start(owner, stack, Some(rev), status, job, &BTreeSet::new()).await?;
        Ok(json!({ "StackId": arn }))
    }

    pub(super) async fn get_policy(&self, ctx: &Context, input: &Input) -> Result<Value, ApiError> {
        let (stack, _) = self.stack(&owner(ctx), &needed(input, "StackName")?).await?;
        Ok(json!({ "StackPolicyBody": stack.policy }))
    }

    pub(super) async fn set_policy(&self, ctx: &Context, input: &Input) -> Result<Value, ApiError> {
        let policy = self.stack_policy(ctx, input, "StackPolicy").await?;
        self.change(ctx, input, |stack| stack.policy = policy).await?;
        Ok(Value::Null)
    }

    pub(super) async fn protect(&self, ctx: &Context, input: &Input) -> Result<Value, ApiError> {
        let is_protected = flag(input, "EnableTerminationProtection");
        let arn = self.change(ctx, input, |stack| stack.termination_protection = is_protected).await?;
        Ok(json!({ "StackId": arn }))
    }

    /// Changes what a stack says of itself, while nobody works on it.
    async fn change(&self, ctx: &Context, input: &Input, change: impl FnOnce(&mut Stack)) -> Result<String, Error> {
        let owner = owner(ctx);
        let (mut stack, rev) = self.stack(&owner, &needed(input, "StackName")?).await?;
        if stack.is_busy() {
            return Err(busy(&stack));
        }
        change(&mut stack);
        self.storage.save(&owner, &stack, rev, &[]).await?;
        Ok(stack.arn)
    }
}

fn minutes(input: &Input) -> Result<Option<u64>, Error> {
    match text(input, "TimeoutInMinutes").map(|text| text.parse::<u64>()) {
        None => Ok(None),
        Some(Ok(minutes)) if minutes > 0 => Ok(Some(minutes * 60_000)),
        Some(_) => Err(Error::Validation("TimeoutInMinutes must be a positive number".into())),
    }
}

pub fn busy(stack: &Stack) -> Error {
    Error::Validation(format!("Stack:{} is in {} state and can not be updated.", stack.arn, stack.status))
}

/// Whether a stack may be updated in its present status.
pub fn check_updatable(stack: &Stack) -> Result<(), Error> {
    match stack.status.as_str() {
        "CREATE_COMPLETE" | "UPDATE_COMPLETE" | "UPDATE_ROLLBACK_COMPLETE" | "UPDATE_FAILED" => Ok(()),
        "IMPORT_COMPLETE" | "IMPORT_ROLLBACK_COMPLETE" => Ok(()),
        // Of a creation that was not to be taken back.
        "CREATE_FAILED" if stack.disable_rollback => Ok(()),
        _ => Err(busy(stack)),
    }
}
