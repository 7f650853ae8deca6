//! Deployments: the routes as they were, for stages that do not follow every change by themselves.

use cumulet_base::{id, limits};
use cumulet_wire::call::{Answer, Context};
use serde_json::{Map, Value};

use super::{Decision, answer, now, page, text};
use crate::errors::Error;
use crate::shapes::Deployment;
use crate::storage::{ApiRows, Change};

fn find<'a>(rows: &'a ApiRows, input: &Map<String, Value>) -> Result<&'a Deployment, Error> {
    let id = text(input, "deploymentId")?;
    rows.deployments.get(id).ok_or_else(|| Error::NotFound("Deployment", id.to_owned()))
}

pub(super) fn create(rows: &mut ApiRows, input: &Map<String, Value>, ctx: &Context) -> Decision {
    if rows.routes.is_empty() {
        return Err(Error::Invalid("At least one route is required before deploying the Api.".into()));
    }
    let mut changes = Vec::new();
    if rows.deployments.len() >= limits::HTTP_API_DEPLOYMENTS_MAX {
        let is_used = |id: &String| rows.stages.values().any(|s| s.deployment_id.as_ref() == Some(id));
        let oldest = rows.deployments.values().filter(|d| !is_used(&d.deployment_id)).min_by_key(|d| &d.created_date);
        match oldest {
            Some(oldest) => changes.push(Change::DeleteDeployment(oldest.deployment_id.clone())),
            None => {
                return Err(Error::Quota("deployments", limits::HTTP_API_DEPLOYMENTS_MAX));
            }
        }
    }
    let deployment = Deployment {
        deployment_id: id::short(6),
        deployment_status: "DEPLOYED".into(),
        auto_deployed: false,
        description: input.get("description").and_then(Value::as_str).map(str::to_owned),
        created_date: now(ctx),
    };
    for route in rows.routes.values() {
        let integration = route
            .target
            .as_deref()
            .and_then(|t| t.strip_prefix("integrations/"))
            .and_then(|id| rows.integrations.get(id));
        changes.push(Change::Freeze(deployment.deployment_id.clone(), route.clone(), integration.cloned()));
    }
    if let Some(name) = input.get("stageName").and_then(Value::as_str) {
        let stage = rows.stages.get(name).ok_or_else(|| Error::NotFound("Stage", name.to_owned()))?;
        if stage.auto_deploy {
            return Err(Error::Invalid("Deployment ID cannot be set on stage with auto deploy enabled".into()));
        }
        let mut stage = stage.clone();
        stage.deployment_id = Some(deployment.deployment_id.clone());
        stage.last_updated_date = now(ctx);
        changes.push(Change::PutStage(stage));
    }
    let shown = answer(&deployment)?;
    changes.push(Change::PutDeployment(deployment));
    Ok((changes, shown))
}

pub(super) fn get(rows: &ApiRows, input: &Map<String, Value>) -> Result<Answer, Error> {
    answer(find(rows, input)?)
}

pub(super) fn list(rows: &ApiRows, input: &Map<String, Value>) -> Result<Answer, Error> {
    page(rows.deployments.values(), input)
}

pub(super) fn delete(rows: &mut ApiRows, input: &Map<String, Value>, _ctx: &Context) -> Decision {
    let id = find(rows, input)?.deployment_id.clone();
    if let Some(stage) = rows.stages.values().find(|s| s.deployment_id.as_ref() == Some(&id)) {
        return Err(Error::Invalid(format!(
            "Active stages pointing to this deployment must be moved or deleted: {}",
            stage.stage_name
        )));
    }
    Ok((vec![Change::DeleteDeployment(id)], Answer::empty()))
}
