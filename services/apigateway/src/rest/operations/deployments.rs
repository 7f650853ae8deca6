//! Deployments: the definition as it was. Stages serve nothing else.

use cumulet_base::{id, limits};
use cumulet_wire::call::{Answer, Context};

use super::stages::{self, stage_of};
use super::{Decision, Input, optional, page, seconds};
use crate::errors::Error;
use crate::operations::{answer, text};
use crate::rest::patch::patched;
use crate::rest::shapes::Deployment;
use crate::storage::rest::{RestChange, RestRows};

fn find<'a>(rows: &'a RestRows, input: &Input) -> Result<&'a Deployment, Error> {
    let id = text(input, "deployment_id")?;
    rows.deployments.get(id).ok_or_else(|| Error::NotFound("Deployment", id.to_owned()))
}

pub(super) fn create(rows: &mut RestRows, input: &Input, ctx: &Context) -> Decision {
    let mut methods = rows.now.resources.values().flat_map(|resource| resource.resource_methods.values()).peekable();
    if methods.peek().is_none() {
        return Err(Error::Invalid("The REST API doesn't contain any methods".into()));
    }
    if methods.any(|method| method.method_integration.is_none()) {
        return Err(Error::Invalid("No integration defined for method".into()));
    }
    // What they name may be another than when they were made.
    for method in rows.now.resources.values().flat_map(|resource| resource.resource_methods.values()) {
        super::methods::check(method, &rows.now)?;
    }
    if rows.deployments.len() >= limits::HTTP_API_DEPLOYMENTS_MAX {
        return Err(Error::Quota("deployments", limits::HTTP_API_DEPLOYMENTS_MAX));
    }
    let deployment =
        Deployment { id: id::short(6), description: optional(input, "description"), created_date: seconds(ctx) };
    let mut changes =
        vec![RestChange::put(&deployment)?, RestChange::Freeze(deployment.id.clone(), Box::new(rows.now.clone()))];
    // Terraform says it empty where there is none.
    if let Some(name) = optional(input, "stageName").filter(|name| !name.is_empty()) {
        let mut stage = match rows.stages.get(&name) {
            Some(stage) => stage.clone(),
            None => stage_of(rows, &name, input, ctx)?,
        };
        stage.deployment_id.clone_from(&deployment.id);
        stage.last_updated_date = seconds(ctx);
        stages::check(&stage)?;
        changes.push(RestChange::put(&stage)?);
    }
    Ok((changes, answer(&deployment)?))
}

pub(super) fn get(rows: &RestRows, input: &Input) -> Result<Answer, Error> {
    answer(find(rows, input)?)
}

pub(super) fn list(rows: &RestRows, input: &Input) -> Result<Answer, Error> {
    page(rows.deployments.values(), input)
}

pub(super) fn update(rows: &mut RestRows, input: &Input, _ctx: &Context) -> Decision {
    let deployment = patched(find(rows, input)?, input, &["description"])?;
    Ok((vec![RestChange::put(&deployment)?], answer(&deployment)?))
}

pub(super) fn delete(rows: &mut RestRows, input: &Input, _ctx: &Context) -> Decision {
    let id = find(rows, input)?.id.clone();
    if rows.stages.values().any(|stage| stage.deployment_id == id) {
        return Err(Error::Invalid("Active stages pointing to this deployment must be moved or deleted".into()));
    }
    Ok((vec![RestChange::delete::<Deployment>(&id), RestChange::Thaw(id)], Answer::empty()))
}
