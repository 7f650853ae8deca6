//! Stacks created, updated and deleted directly.

use cumulet_wire::call::Context;
use cumulet_wire::error::ApiError;
use serde_json::{Value, json};

use super::{Input, flag, given, needed, new_stack, owner, pseudo, text, texts, wish};
use crate::CloudFormation;
use crate::errors::Error;
use crate::executor::OnFailure;
use crate::prepared::{Prepared, check_capabilities, prepare};
use crate::stack::{Stack, Texts};

/// What is to happen when the creation fails.
pub fn on_failure(input: &Input, member: &str) -> Result<OnFailure, Error> {
    match (text(input, member).as_deref(), flag(input, "DisableRollback")) {
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
    let (_, before) = crate::prepared::processed(&stack.wish.template)?;
    let same_values = stack.wish.parameters == prepared.wish.parameters;
    Ok(before.outputs != prepared.template.outputs || (!same_values && !prepared.template.outputs.is_empty()))
}

impl CloudFormation {
    pub(super) async fn create_stack(&self, ctx: &Context, input: &Input) -> Result<Value, ApiError> {
        let (owner, name) = (owner(ctx), needed(input, "StackName")?);
        let on_failure = on_failure(input, "OnFailure")?;
        let mut stack = new_stack(ctx, &name)?;
        let prepared =
            prepare(wish(input, None)?, &given(input)?, &Texts::new(), pseudo(ctx, &stack), &stack.existing())?;
        check_capabilities(&prepared.template, &prepared.wish.capabilities, true)?;
        if self.find(&owner, &name).await?.is_some() {
            return Err(Error::StackExists(name).into());
        }
        stack.wish = prepared.wish.clone();
        stack.description.clone_from(&prepared.template.description);
        stack.disable_rollback = on_failure == OnFailure::Nothing;
        stack.termination_protection = flag(input, "EnableTerminationProtection");
        let arn = stack.arn.clone();
        self.start(ctx, owner, stack, None, "CREATE_IN_PROGRESS", input, move |run| run.create(prepared, on_failure))
            .await?;
        Ok(json!({ "StackId": arn }))
    }

    pub(super) async fn update_stack(&self, ctx: &Context, input: &Input) -> Result<Value, ApiError> {
        let owner = owner(ctx);
        let (mut stack, rev) = self.stack(&owner, &needed(input, "StackName")?).await?;
        check_updatable(&stack)?;
        let prepared = prepare(
            wish(input, Some(&stack))?,
            &given(input)?,
            &stack.wish.parameters,
            pseudo(ctx, &stack),
            &stack.existing(),
        )?;
        check_capabilities(&prepared.template, &prepared.wish.capabilities, true)?;
        if !is_change(&stack, &prepared)? {
            return Err(Error::Validation("No updates are to be performed.".into()).into());
        }
        stack.updated_ms = Some(ctx.now_ms);
        let arn = stack.arn.clone();
        let disable_rollback = flag(input, "DisableRollback");
        self.start(ctx, owner, stack, Some(rev), "UPDATE_IN_PROGRESS", input, move |run| {
            run.update(prepared, disable_rollback)
        })
        .await?;
        Ok(json!({ "StackId": arn }))
    }

    pub(super) async fn delete_stack(&self, ctx: &Context, input: &Input) -> Result<Value, ApiError> {
        let owner = owner(ctx);
        // A stack that is not there is deleted.
        let Some((stack, rev)) = self.find(&owner, &needed(input, "StackName")?).await? else {
            return Ok(Value::Null);
        };
        if stack.status == "DELETE_COMPLETE" || stack.status == "DELETE_IN_PROGRESS" {
            return Ok(Value::Null);
        }
        if stack.is_busy() {
            return Err(busy(&stack).into());
        }
        if stack.termination_protection {
            return Err(Error::Validation(format!(
                "Stack [{}] cannot be deleted while TerminationProtection is enabled",
                stack.name
            ))
            .into());
        }
        if stack.status == "REVIEW_IN_PROGRESS" {
            self.storage.forget(&owner, &stack, rev).await?;
            return Ok(Value::Null);
        }
        let retain = texts(input, "RetainResources");
        self.start(ctx, owner, stack, Some(rev), "DELETE_IN_PROGRESS", input, move |run| async move {
            run.delete(&retain).await
        })
        .await?;
        Ok(Value::Null)
    }
}

fn busy(stack: &Stack) -> Error {
    Error::Validation(format!("Stack:{} is in {} state and can not be updated.", stack.arn, stack.status))
}

/// Whether a stack may be updated in its present status.
pub fn check_updatable(stack: &Stack) -> Result<(), Error> {
    match stack.status.as_str() {
        "CREATE_COMPLETE" | "UPDATE_COMPLETE" | "UPDATE_ROLLBACK_COMPLETE" | "UPDATE_FAILED" => Ok(()),
        _ => Err(busy(stack)),
    }
}
