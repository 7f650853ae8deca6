//! Drift, found out while the request waits: a detection is never seen in progress.

use cumulet_wire::call::Context;
use cumulet_wire::error::ApiError;
use serde_json::{Value, json};

use super::{Input, needed, owner, text, texts};
use crate::CloudFormation;
use crate::drift::{self, Drift, ResourceDrift};
use crate::errors::Error;
use crate::resources::{self, Whereabouts};
use crate::stack::{Stack, StackResource};

const STATUSES: [&str; 5] = ["IN_SYNC", "MODIFIED", "DELETED", "NOT_CHECKED", "UNKNOWN"];

/// Whether a stack is in a state that can be compared with anything.
fn check(stack: &Stack) -> Result<(), Error> {
    match stack.status.as_str() {
        "CREATE_COMPLETE" | "UPDATE_COMPLETE" | "UPDATE_ROLLBACK_COMPLETE" | "UPDATE_ROLLBACK_FAILED" => Ok(()),
        other => Err(Error::Validation(format!("Stack in {other} state: drift cannot be detected"))),
    }
}

impl CloudFormation {
    pub(super) async fn detect_drift(&self, ctx: &Context, input: &Input) -> Result<Value, ApiError> {
        let owner = owner(ctx);
        let (stack, _) = self.stack(&owner, &needed(input, "StackName")?).await?;
        check(&stack)?;
        let wanted = texts(input, "LogicalResourceIds");
        if let Some(name) = wanted.iter().find(|name| !stack.resources.contains_key(*name)) {
            return Err(missing(&stack, name).into());
        }
        let mut drift = self.storage.drift(&owner, &stack.id).await?.unwrap_or_default();
        let earlier = std::mem::replace(&mut drift.id, cumulet_base::id::uuid());
        (drift.v, drift.checked_ms) = (1, ctx.now_ms);
        drift.resources.retain(|name, _| stack.resources.contains_key(name));
        for (name, row) in &stack.resources {
            if wanted.is_empty() || wanted.contains(name) {
                drift.resources.insert(name.clone(), self.drift_of(ctx, &stack, name, row).await?);
            }
        }
        self.storage.put_drift(&owner, &stack.id, &drift, Some(&earlier)).await?;
        Ok(json!({ "StackDriftDetectionId": drift.id }))
    }

    pub(super) async fn detect_resource_drift(&self, ctx: &Context, input: &Input) -> Result<Value, ApiError> {
        let owner = owner(ctx);
        let (stack, _) = self.stack(&owner, &needed(input, "StackName")?).await?;
        check(&stack)?;
        let name = needed(input, "LogicalResourceId")?;
        let row = stack.resources.get(&name).ok_or_else(|| missing(&stack, &name))?;
        let mut drift = self.storage.drift(&owner, &stack.id).await?.unwrap_or_default();
        let found = self.drift_of(ctx, &stack, &name, row).await?;
        let shown = drift::shown(&stack.arn, &name, &found);
        drift.v = 1;
        drift.resources.insert(name, found);
        self.storage.put_drift(&owner, &stack.id, &drift, None).await?;
        Ok(json!({ "StackResourceDrift": shown }))
    }

    /// One resource, read with the caller's permissions.
    async fn drift_of(
        &self,
        ctx: &Context,
        stack: &Stack,
        name: &str,
        row: &StackResource,
    ) -> Result<ResourceDrift, ApiError> {
        let (kind, id) = (&row.existing.kind, &row.made.physical_id);
        if id.is_empty() || !resources::is_readable(kind) {
            return Ok(drift::unchecked(kind, id, ctx.now_ms));
        }
        let client = self.client_of(&ctx.caller, &ctx.region, &ctx.host)?;
        let at = Whereabouts::of(client, self, stack, name, ctx.now_ms);
        let actual = resources::read(&at, stack, kind, id, &row.properties).await?;
        Ok(drift::compared(kind, id, &row.properties, actual.as_ref(), ctx.now_ms))
    }

    pub(super) async fn describe_detection(&self, ctx: &Context, input: &Input) -> Result<Value, ApiError> {
        let owner = owner(ctx);
        let id = needed(input, "StackDriftDetectionId")?;
        let unknown = || Error::Validation(format!("Drift detection {id} does not exist"));
        let stack_id = self.storage.detected(&owner, &id).await?.ok_or_else(unknown)?;
        let (stack, _) = self.storage.stack(&owner, &stack_id).await?.ok_or_else(unknown)?;
        let drift = self.storage.drift(&owner, &stack_id).await?.ok_or_else(unknown)?;
        Ok(json!({
            "StackId": stack.arn,
            "StackDriftDetectionId": id,
            "StackDriftStatus": drift.status(),
            "DetectionStatus": "DETECTION_COMPLETE",
            "DriftedStackResourceCount": drift.count(),
            "Timestamp": cumulet_base::clock::iso_ms(drift.checked_ms),
        }))
    }

    pub(super) async fn describe_drifts(&self, ctx: &Context, input: &Input) -> Result<Value, ApiError> {
        let owner = owner(ctx);
        let (stack, _) = self.stack(&owner, &needed(input, "StackName")?).await?;
        let filter = texts(input, "StackResourceDriftStatusFilters");
        if let Some(unknown) = filter.iter().find(|status| !STATUSES.contains(&status.as_str())) {
            let known = "[IN_SYNC, MODIFIED, UNKNOWN, NOT_CHECKED, DELETED]";
            return Err(Error::unknown_value("stackResourceDriftStatusFilters", unknown, known).into());
        }
        if text(input, "NextToken").is_some() {
            return Err(Error::Validation("Invalid NextToken".into()).into());
        }
        let drift = self.storage.drift(&owner, &stack.id).await?.unwrap_or_default();
        let shown: Vec<Value> = drift
            .resources
            .iter()
            .filter(|(_, one)| filter.is_empty() || filter.contains(&one.status))
            .map(|(name, one)| drift::shown(&stack.arn, name, one))
            .collect();
        Ok(json!({ "StackResourceDrifts": shown }))
    }

    /// What is known of a stack's drift, for those that describe it.
    pub(super) async fn known_drift(&self, ctx: &Context, stack: &Stack) -> Result<Drift, Error> {
        Ok(self.storage.drift(&owner(ctx), &stack.id).await?.unwrap_or_default())
    }
}

fn missing(stack: &Stack, name: &str) -> Error {
    Error::Validation(format!("Resource {name} does not exist for stack {}", stack.name))
}

/// As DescribeStacks shows it.
pub fn of_stack(drift: &Drift) -> Value {
    match drift.id.is_empty() {
        true => json!({ "StackDriftStatus": "NOT_CHECKED" }),
        false => json!({
            "StackDriftStatus": drift.status(),
            "LastCheckTimestamp": cumulet_base::clock::iso_ms(drift.checked_ms),
        }),
    }
}

/// As DescribeStackResources shows it.
pub fn of_resource(drift: &Drift, name: &str) -> Value {
    match drift.resources.get(name).filter(|one| one.status != "NOT_CHECKED") {
        None => json!({ "StackResourceDriftStatus": "NOT_CHECKED" }),
        Some(one) => json!({
            "StackResourceDriftStatus": one.status,
            "LastCheckTimestamp": cumulet_base::clock::iso_ms(one.checked_ms),
        }),
    }
}
