//! What clients see of stacks, their resources and their events.

use cumulet_base::clock;
use cumulet_wire::call::Context;
use cumulet_wire::error::ApiError;
use serde_json::{Value, json};

use super::{Input, drift, needed, owner, tag_list, text, texts, triggers};
use crate::CloudFormation;
use crate::drift::Drift;
use crate::errors::Error;
use crate::stack::{Stack, StackResource, Wish};

/// Parameters with their values; those that are secret as asterisks.
pub fn shown_parameters(wish: &Wish) -> Vec<Value> {
    let declared = crate::prepared::declared(&wish.template).map(|(_, declared)| declared).unwrap_or_default();
    wish.parameters
        .iter()
        .map(|(key, value)| {
            let is_secret = declared.get(key).is_none_or(|p| p.is_secret);
            let value = if is_secret { "****" } else { value };
            json!({ "ParameterKey": key, "ParameterValue": value, "ResolvedValue": wish.found.get(key) })
        })
        .collect()
}

fn shown(stack: &Stack, drift: &Drift) -> Value {
    let outputs: Vec<Value> = stack
        .outputs
        .iter()
        .map(|o| {
            json!({
                "OutputKey": o.key, "OutputValue": o.value,
                "Description": o.description, "ExportName": o.export,
            })
        })
        .collect();
    json!({
        "StackId": stack.arn,
        "StackName": stack.name,
        "ChangeSetId": stack.change_set_id,
        "Description": stack.description,
        "Parameters": shown_parameters(&stack.wish),
        "CreationTime": clock::iso_ms(stack.created_ms),
        "LastUpdatedTime": stack.updated_ms.map(clock::iso_ms),
        "DeletionTime": stack.deleted_ms.map(clock::iso_ms),
        "RollbackConfiguration": triggers::shown(stack.rollback.as_ref()),
        "StackStatus": stack.status,
        "StackStatusReason": stack.reason,
        "DisableRollback": stack.disable_rollback,
        "NotificationARNs": stack.topics(),
        "Capabilities": stack.wish.capabilities,
        "Outputs": outputs,
        "Tags": tag_list(&stack.wish.tags),
        "EnableTerminationProtection": stack.termination_protection,
        "RoleARN": stack.role_arn,
        "TimeoutInMinutes": stack.timeout_ms.map(|ms| ms / 60_000),
        "ParentId": stack.parent.as_ref().map(|parent| &parent.arn),
        "RootId": stack.parent.as_ref().map(|parent| &parent.root),
        "DriftInformation": drift::of_stack(drift),
    })
}

fn shown_resource(stack: &Stack, drift: &Drift, logical_id: &str, resource: &StackResource, time: &str) -> Value {
    let physical_id = Some(&resource.made.physical_id).filter(|id| !id.is_empty());
    let mut value = json!({
        "StackName": stack.name,
        "StackId": stack.arn,
        "LogicalResourceId": logical_id,
        "PhysicalResourceId": physical_id,
        "ResourceType": resource.existing.kind,
        "ResourceStatus": resource.status,
        "ResourceStatusReason": resource.reason,
        "DriftInformation": drift::of_resource(drift, logical_id),
    });
    value[time] = clock::iso_ms(resource.updated_ms).into();
    value
}

impl CloudFormation {
    pub(super) async fn describe_stacks(&self, ctx: &Context, input: &Input) -> Result<Value, ApiError> {
        let owner = owner(ctx);
        let stacks = match text(input, "StackName") {
            Some(name) => vec![self.stack(&owner, &name).await?.0],
            None => {
                let mut all = self.storage.stacks(&owner).await?;
                all.retain(|stack| stack.status != "DELETE_COMPLETE");
                all
            }
        };
        let mut all = Vec::new();
        for stack in &stacks {
            all.push(shown(stack, &self.known_drift(ctx, stack).await?));
        }
        Ok(json!({ "Stacks": all }))
    }

    pub(super) async fn list_stacks(&self, ctx: &Context, input: &Input) -> Result<Value, ApiError> {
        let filter = texts(input, "StackStatusFilter");
        let all = self.storage.stacks(&owner(ctx)).await?;
        let summaries: Vec<Value> = all
            .iter()
            .filter(|stack| filter.is_empty() || filter.contains(&stack.status))
            .map(|stack| {
                json!({
                    "StackId": stack.arn,
                    "StackName": stack.name,
                    "TemplateDescription": stack.description,
                    "CreationTime": clock::iso_ms(stack.created_ms),
                    "LastUpdatedTime": stack.updated_ms.map(clock::iso_ms),
                    "DeletionTime": stack.deleted_ms.map(clock::iso_ms),
                    "StackStatus": stack.status,
                    "StackStatusReason": stack.reason,
                    "DriftInformation": { "StackDriftStatus": "NOT_CHECKED" },
                })
            })
            .collect();
        Ok(json!({ "StackSummaries": summaries }))
    }

    pub(super) async fn describe_events(&self, ctx: &Context, input: &Input) -> Result<Value, ApiError> {
        let owner = owner(ctx);
        let name = needed(input, "StackName")?;
        let (stack, _) = self
            .find(&owner, &name)
            .await?
            .ok_or_else(|| Error::Validation(format!("Stack [{name}] does not exist")))?;
        let token = text(input, "NextToken");
        let (events, next) = self.storage.events(&owner, &stack.id, token.as_deref()).await?;
        Ok(json!({ "StackEvents": events, "NextToken": next }))
    }

    pub(super) async fn describe_resources(&self, ctx: &Context, input: &Input) -> Result<Value, ApiError> {
        let owner = owner(ctx);
        let stack = match (text(input, "StackName"), text(input, "PhysicalResourceId")) {
            (Some(name), _) => self.stack(&owner, &name).await?.0,
            (None, Some(id)) => {
                let all = self.storage.stacks(&owner).await?;
                all.into_iter()
                    .find(|s| s.resources.values().any(|r| r.made.physical_id == id))
                    .ok_or_else(|| Error::Validation(format!("Stack for {id} does not exist")))?
            }
            (None, None) => {
                let why = "Either StackName or PhysicalResourceId must be specified.";
                return Err(Error::Validation(why.into()).into());
            }
        };
        let drift = self.known_drift(ctx, &stack).await?;
        let wanted = text(input, "LogicalResourceId");
        let resources: Vec<Value> = stack
            .resources
            .iter()
            .filter(|(name, _)| wanted.as_ref().is_none_or(|w| w == *name))
            .map(|(name, resource)| shown_resource(&stack, &drift, name, resource, "Timestamp"))
            .collect();
        Ok(json!({ "StackResources": resources }))
    }

    pub(super) async fn describe_resource(&self, ctx: &Context, input: &Input) -> Result<Value, ApiError> {
        let (stack, _) = self.stack(&owner(ctx), &needed(input, "StackName")?).await?;
        let name = needed(input, "LogicalResourceId")?;
        let resource = stack
            .resources
            .get(&name)
            .ok_or_else(|| Error::Validation(format!("Resource {name} does not exist for stack {}", stack.name)))?;
        let drift = self.known_drift(ctx, &stack).await?;
        let detail = shown_resource(&stack, &drift, &name, resource, "LastUpdatedTimestamp");
        Ok(json!({ "StackResourceDetail": detail }))
    }

    pub(super) async fn list_resources(&self, ctx: &Context, input: &Input) -> Result<Value, ApiError> {
        let (stack, _) = self.stack(&owner(ctx), &needed(input, "StackName")?).await?;
        let drift = self.known_drift(ctx, &stack).await?;
        let summaries: Vec<Value> = stack
            .resources
            .iter()
            .map(|(name, resource)| {
                let mut value = shown_resource(&stack, &drift, name, resource, "LastUpdatedTimestamp");
                if let Some(members) = value.as_object_mut() {
                    members.remove("StackName");
                    members.remove("StackId");
                }
                value
            })
            .collect();
        Ok(json!({ "StackResourceSummaries": summaries }))
    }

    pub(super) async fn list_exports(&self, ctx: &Context, _: &Input) -> Result<Value, ApiError> {
        let exports = self.storage.exports(&owner(ctx)).await?;
        let shown: Vec<Value> = exports
            .iter()
            .map(|(name, export)| json!({ "ExportingStackId": export.stack, "Name": name, "Value": export.value }))
            .collect();
        Ok(json!({ "Exports": shown }))
    }

    pub(super) async fn list_imports(&self, ctx: &Context, input: &Input) -> Result<Value, ApiError> {
        let name = needed(input, "ExportName")?;
        let users = self.storage.importers(&owner(ctx), &name).await?;
        if users.is_empty() {
            return Err(Error::Validation(format!("Export '{name}' is not imported by any stack.")).into());
        }
        Ok(json!({ "Imports": users }))
    }
}
