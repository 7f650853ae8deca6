//! Stages: what clients reach of an API, under which name and with which settings.

use cumulet_base::limits;
use cumulet_wire::call::{Answer, Context};
use serde_json::{Map, Value};

use super::{Decision, answer, given_tags, now, page, patched, text};
use crate::errors::Error;
use crate::shapes::Stage;
use crate::storage::{ApiRows, Change};

const WRITABLE: &[&str] = &[
    "autoDeploy",
    "deploymentId",
    "description",
    "stageVariables",
    "defaultRouteSettings",
    "routeSettings",
    "accessLogSettings",
];

fn find<'a>(rows: &'a ApiRows, input: &Map<String, Value>) -> Result<&'a Stage, Error> {
    let name = text(input, "stageName")?;
    rows.stages.get(name).ok_or_else(|| Error::NotFound("Stage", name.to_owned()))
}

/// The gateway writes without asking the group's owner: another account's groups must not be reachable.
fn is_own_log_group(arn: &str, rows: &ApiRows) -> bool {
    crate::access_log::group(arn).is_some_and(|(account, region, name)| {
        let is_known = |b: u8| b.is_ascii_alphanumeric() || b"_/.#-".contains(&b);
        (account, region) == (rows.api.account.clone(), rows.api.region.clone())
            && (1..=512).contains(&name.len())
            && name.bytes().all(is_known)
    })
}

fn check(stage: &Stage, rows: &ApiRows) -> Result<(), Error> {
    let name = &stage.stage_name;
    let is_name = name == "$default"
        || (1..=128).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    if !is_name {
        return Err(Error::Invalid("Stage name only allows a-z, A-Z, 0-9, _ and -, or $default".into()));
    }
    if let Some(id) = stage.deployment_id.as_ref().filter(|id| !rows.deployments.contains_key(*id)) {
        return Err(Error::NotFound("Deployment", id.clone()));
    }
    let all = stage.route_settings.values().chain([&stage.default_route_settings]);
    for settings in all {
        if settings.throttling_rate_limit.is_some_and(|rate| !(rate.is_finite() && rate >= 0.0)) {
            return Err(Error::Invalid("Invalid throttlingRateLimit".into()));
        }
    }
    if let Some(arn) = stage.access_log_settings.as_ref().and_then(|s| s.destination_arn.as_deref())
        && !is_own_log_group(arn, rows)
    {
        return Err(Error::Invalid(format!(
            "Invalid ARN specified in the request. {arn} is not that of a log group of the API's account and region"
        )));
    }
    Ok(())
}

pub(super) fn create(rows: &mut ApiRows, input: &Map<String, Value>, ctx: &Context) -> Decision {
    let name = text(input, "stageName")?;
    if rows.stages.contains_key(name) {
        return Err(Error::Conflict("Stage already exists".into()));
    }
    if rows.stages.len() >= limits::HTTP_API_STAGES_MAX {
        return Err(Error::Quota("stages", limits::HTTP_API_STAGES_MAX));
    }
    let stage = Stage {
        stage_name: name.to_owned(),
        auto_deploy: false,
        api_gateway_managed: None,
        deployment_id: None,
        description: None,
        stage_variables: Default::default(),
        default_route_settings: crate::shapes::RouteSettings {
            detailed_metrics_enabled: Some(false),
            ..Default::default()
        },
        route_settings: Default::default(),
        access_log_settings: None,
        created_date: now(ctx),
        last_updated_date: now(ctx),
        tags: given_tags(input)?,
    };
    let stage = patched(&stage, input, WRITABLE)?;
    check(&stage, rows)?;
    let shown = answer(&stage)?;
    Ok((vec![Change::PutStage(stage)], shown))
}

pub(super) fn get(rows: &ApiRows, input: &Map<String, Value>) -> Result<Answer, Error> {
    answer(find(rows, input)?)
}

pub(super) fn list(rows: &ApiRows, input: &Map<String, Value>) -> Result<Answer, Error> {
    page(rows.stages.values(), input)
}

fn put(mut stage: Stage, rows: &ApiRows, ctx: &Context) -> Decision {
    stage.last_updated_date = now(ctx);
    check(&stage, rows)?;
    let shown = answer(&stage)?;
    Ok((vec![Change::PutStage(stage)], shown))
}

pub(super) fn update(rows: &mut ApiRows, input: &Map<String, Value>, ctx: &Context) -> Decision {
    let stage = patched(find(rows, input)?, input, WRITABLE)?;
    put(stage, rows, ctx)
}

pub(super) fn delete_access_log(rows: &mut ApiRows, input: &Map<String, Value>, ctx: &Context) -> Decision {
    let mut stage = find(rows, input)?.clone();
    stage.access_log_settings = None;
    let (changes, _) = put(stage, rows, ctx)?;
    Ok((changes, Answer::empty()))
}

pub(super) fn delete_route_settings(rows: &mut ApiRows, input: &Map<String, Value>, ctx: &Context) -> Decision {
    let mut stage = find(rows, input)?.clone();
    let key = text(input, "routeKey")?;
    if stage.route_settings.remove(key).is_none() {
        return Err(Error::NotFound("Route", key.to_owned()));
    }
    let (changes, _) = put(stage, rows, ctx)?;
    Ok((changes, Answer::empty()))
}

pub(super) fn delete(rows: &mut ApiRows, input: &Map<String, Value>, _ctx: &Context) -> Decision {
    let name = find(rows, input)?.stage_name.clone();
    Ok((vec![Change::DeleteStage(name)], Answer::empty()))
}
