//! Stages: which deployment is served under which name, and how.

use cumulet_base::limits;
use cumulet_wire::call::{Answer, Context};
use cumulet_wire::error::ApiError;
use serde_json::{Value, json};

use super::{Decision, Input, optional, seconds};
use crate::ApiGateway;
use crate::errors::Error;
use crate::operations::{answer, given_tags, text};
use crate::rest::patch::patched;
use crate::rest::shapes::Stage;
use crate::storage::rest::{RestChange, RestRows};

fn find<'a>(rows: &'a RestRows, input: &Input) -> Result<&'a Stage, Error> {
    let name = text(input, "stage_name")?;
    rows.stages.get(name).ok_or_else(|| Error::NotFound("Stage", name.to_owned()))
}

pub(super) fn check(stage: &Stage) -> Result<(), Error> {
    if stage.cache_cluster_enabled || stage.method_settings.values().any(|setting| setting.caching_enabled) {
        return Err(Error::NotBuilt("caches of REST APIs".into()));
    }
    Ok(())
}

/// A stage without its deployment. With a deployment, the members begin otherwise.
pub(super) fn stage_of(rows: &RestRows, name: &str, input: &Input, ctx: &Context) -> Result<Stage, Error> {
    let is_good = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    if !is_good || name.len() > 128 {
        return Err(Error::Invalid("Stage name only allows a-zA-Z0-9_-".into()));
    }
    if rows.stages.len() >= limits::REST_API_STAGES_MAX {
        return Err(Error::Quota("stages", limits::REST_API_STAGES_MAX));
    }
    if input.get("canarySettings").is_some_and(|settings| !settings.is_null()) {
        return Err(Error::NotBuilt("canarySettings of stages".into()));
    }
    let variables = input.get("variables").filter(|variables| !variables.is_null()).cloned();
    Ok(Stage {
        stage_name: name.to_owned(),
        description: optional(input, "stageDescription"),
        variables: serde_json::from_value(variables.unwrap_or_else(|| json!({})))
            .map_err(|_| Error::Invalid("variables is not a map of texts".into()))?,
        cache_cluster_enabled: input.get("cacheClusterEnabled").and_then(Value::as_bool).unwrap_or_default(),
        tracing_enabled: input.get("tracingEnabled").and_then(Value::as_bool).unwrap_or_default(),
        created_date: seconds(ctx),
        last_updated_date: seconds(ctx),
        ..Stage::default()
    })
}

fn deployed<'a>(rows: &RestRows, id: &'a str) -> Result<&'a str, Error> {
    match rows.deployments.contains_key(id) {
        true => Ok(id),
        false => Err(Error::Invalid("Deployment id does not exist".into())),
    }
}

pub(super) fn create(rows: &mut RestRows, input: &Input, ctx: &Context) -> Decision {
    let name = text(input, "stageName")?;
    if rows.stages.contains_key(name) {
        return Err(Error::Conflict("Stage already exists".into()));
    }
    let mut stage = stage_of(rows, name, input, ctx)?;
    stage.deployment_id = deployed(rows, text(input, "deploymentId")?)?.to_owned();
    stage.description = optional(input, "description");
    stage.tags = given_tags(input)?;
    check(&stage)?;
    Ok((vec![RestChange::put(&stage)?], answer(&stage)?))
}

pub(super) fn get(rows: &RestRows, input: &Input) -> Result<Answer, Error> {
    answer(find(rows, input)?)
}

pub(super) fn list(rows: &RestRows, input: &Input) -> Result<Answer, Error> {
    let id = optional(input, "deploymentId");
    let of: Vec<&Stage> =
        rows.stages.values().filter(|stage| id.as_ref().is_none_or(|id| *id == stage.deployment_id)).collect();
    answer(&json!({ "item": of }))
}

pub(super) fn update(rows: &mut RestRows, input: &Input, ctx: &Context) -> Decision {
    const WRITABLE: &[&str] = &[
        "deploymentId",
        "description",
        "variables",
        "methodSettings",
        "accessLogSettings",
        "tracingEnabled",
        "cacheClusterEnabled",
    ];
    let old = find(rows, input)?;
    let mut stage = patched(old, input, WRITABLE)?;
    deployed(rows, &stage.deployment_id)?;
    stage.last_updated_date = seconds(ctx);
    check(&stage)?;
    Ok((vec![RestChange::put(&stage)?], answer(&stage)?))
}

pub(super) fn delete(rows: &mut RestRows, input: &Input, _ctx: &Context) -> Decision {
    let name = find(rows, input)?.stage_name.clone();
    Ok((vec![RestChange::delete::<Stage>(&name)], Answer::empty()))
}

impl ApiGateway {
    pub(super) async fn flush_authorizers(&self, ctx: &Context, input: &Input) -> Result<Answer, ApiError> {
        let rows = self.load_rest(ctx, text(input, "restapi_id")?).await?;
        find(&rows, input)?;
        self.authorizations.forget(&rows.api.id);
        Ok(Answer::empty())
    }
}
