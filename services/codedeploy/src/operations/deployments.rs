//! Deployments: made, described, listed, stopped, and told what their hooks found.

use cumulet_base::{id, limits};
use cumulet_delivery::Wake;
use cumulet_wire::call::{Call, seconds};
use cumulet_wire::error::ApiError;
use serde_json::{Value, json};

use super::{configs, groups, here, name, needed, no_token, refused, text};
use crate::model::{Deployment, FORMAT, Phase, Place, Target};
use crate::storage;
use crate::{Core, errors, triggers, work};

const STATUSES: [&str; 8] = ["Created", "Queued", "InProgress", "Baking", "Succeeded", "Failed", "Stopped", "Ready"];
const BATCH_MAX: usize = 25;
const DESCRIPTION_LENGTH_MAX: usize = 1024;
const TRIES: usize = 16;

/// What an AppSpec in JSON asks for
/// (<https://docs.aws.amazon.com/codedeploy/latest/userguide/reference-appspec-file.html>).
fn target_of(content: &str) -> Result<Target, ApiError> {
    if content.len() > limits::DEPLOYMENT_APPSPEC_BYTES_MAX {
        return Err(errors::revision("The AppSpec is too long."));
    }
    if !content.trim_start().starts_with('{') {
        return Err(errors::not_built("an AppSpec in YAML; write it in JSON"));
    }
    let spec: Value = serde_json::from_str(content).map_err(|e| errors::revision(format!("The AppSpec: {e}")))?;
    let resources = spec.get("Resources").or_else(|| spec.get("resources")).and_then(Value::as_array);
    let [Value::Object(one)] = resources.map_or(&[][..], Vec::as_slice) else {
        return Err(errors::revision("The AppSpec names one function."));
    };
    let resource = one.values().next().unwrap_or(&Value::Null);
    let kind = resource.get("Type").or_else(|| resource.get("type")).and_then(Value::as_str);
    if kind != Some("AWS::Lambda::Function") {
        return Err(errors::revision("The type of the AppSpec's resource is AWS::Lambda::Function."));
    }
    let properties = resource.get("Properties").or_else(|| resource.get("properties")).unwrap_or(&Value::Null);
    let property = |name: &str| {
        let mut lower = name.to_owned();
        lower[..1].make_ascii_lowercase();
        let value = properties.get(name).or_else(|| properties.get(&lower));
        let text = value.and_then(|value| match value {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        });
        text.filter(|text| !text.is_empty())
            .ok_or_else(|| errors::revision(format!("The property {name} of the AppSpec is required.")))
    };
    let mut target = Target {
        function: property("Name")?,
        alias: property("Alias")?,
        current_version: property("CurrentVersion")?,
        target_version: property("TargetVersion")?,
        ..Target::default()
    };
    let hooks = spec.get("Hooks").or_else(|| spec.get("hooks")).and_then(Value::as_array);
    for (name, function) in hooks.into_iter().flatten().filter_map(Value::as_object).flatten() {
        let function = function.as_str().filter(|function| !function.is_empty()).map(str::to_owned);
        match name.as_str() {
            "BeforeAllowTraffic" => target.before_hook = function,
            "AfterAllowTraffic" => target.after_hook = function,
            other => return Err(errors::revision(format!("{other} is not a hook of functions."))),
        }
    }
    Ok(target)
}

/// The AppSpec of a target.
pub fn appspec(target: &Target) -> String {
    let properties = json!({
        "Name": target.function,
        "Alias": target.alias,
        "CurrentVersion": target.current_version,
        "TargetVersion": target.target_version,
    });
    let function = json!({"Type": "AWS::Lambda::Function", "Properties": properties});
    json!({"version": "0.0", "Resources": [{&target.function: function}]}).to_string()
}

pub async fn create(core: &Core, call: &Call) -> Result<Value, ApiError> {
    let place = here(call);
    let application = name(call, "applicationName")?;
    let missing = || errors::no_application(application);
    core.storage.application(&place, application).await?.ok_or_else(missing)?;
    let name = name(call, "deploymentGroupName")?;
    let (group, _) = core.storage.group(&place, application, name).await?.ok_or_else(|| errors::no_group(name))?;
    refused(call, &["targetInstances"])?;
    let revision = call.input.get("revision").ok_or_else(|| errors::required("revision"))?;
    let content = match revision["revisionType"].as_str() {
        Some("AppSpecContent") => revision["appSpecContent"]["content"].as_str(),
        Some("String") => revision["string"]["content"].as_str(),
        Some(other) => return Err(errors::not_built(&format!("revisions of the type {other}"))),
        None => None,
    };
    let content = content.ok_or_else(|| errors::revision("The revision has no content."))?;
    let target = target_of(content)?;
    if text(call, "description").is_some_and(|text| text.chars().count() > DESCRIPTION_LENGTH_MAX) {
        return Err(errors::too_long());
    }
    let config = super::checked(text(call, "deploymentConfigName").unwrap_or(&group.config), "deploymentConfigName")?;
    let config = config.to_owned();
    let routing = configs::routing(core, &place, &config).await?.ok_or_else(|| errors::no_config(&config))?;
    // Only CloudFormation, which is in this process, says for whom it is.
    let external_id = text(call, "externalId").map(str::to_owned);
    let mut deployment = Deployment {
        v: FORMAT,
        id: format!("d-{}", id::upper(9)),
        application: application.to_owned(),
        group: name.to_owned(),
        config,
        routing,
        target,
        content: content.to_owned(),
        description: text(call, "description").map(str::to_owned),
        creator: if external_id.is_some() { "CloudFormation" } else { "user" }.to_owned(),
        external_id,
        role_arn: group.role_arn.clone(),
        alarms: groups::alarms(call, "overrideAlarmConfiguration")?.unwrap_or(group.alarms),
        rollback: groups::rollback(call)?.unwrap_or(group.rollback),
        triggers: group.triggers,
        created_ms: core.clock.now_ms(),
        started_ms: None,
        completed_ms: None,
        phase: Phase::Created,
        status: "Created".to_owned(),
        lifecycle: Vec::new(),
        asked: Vec::new(),
        error: None,
        rolled_back: None,
        stop: None,
        task: 0,
    };
    let others = core.storage.deployments(&place, Some(application), Some(name)).await?;
    let old: Vec<Deployment> = others.into_iter().skip(limits::DEPLOYMENTS_KEPT_MAX - 1).collect();
    let txn = storage::forget(storage::begin(&place), &place, &old);
    let (txn, wake) = work::add(core, txn, &place, &mut deployment)?;
    let txn = storage::put_new(txn, &place, &deployment)?;
    let (txn, told) = triggers::tell(core, txn, &place, &deployment)?;
    if !core.storage.commit(txn).await? {
        let active = core.storage.active(&place, application, name).await?;
        return Err(active.map_or_else(errors::conflict, |active| errors::is_active(name, &active)));
    }
    wake.now();
    told.into_iter().for_each(Wake::now);
    Ok(json!({"deploymentId": deployment.id}))
}

/// The deployment that a request names.
async fn found(core: &Core, place: &Place, id: &str) -> Result<(Deployment, cumulet_store::Rev), ApiError> {
    if !is_id(id) {
        return Err(errors::invalid_id(id));
    }
    core.storage.deployment(place, id).await?.ok_or_else(|| errors::no_deployment(id))
}

fn is_id(id: &str) -> bool {
    id.strip_prefix("d-").is_some_and(|rest| rest.len() == 9 && rest.bytes().all(|b| b.is_ascii_alphanumeric()))
}

pub fn revision(deployment: &Deployment) -> Value {
    json!({"revisionType": "AppSpecContent", "appSpecContent": {"content": deployment.content}})
}

/// How many of its targets are in which state: there is one.
pub fn overview(deployment: &Deployment) -> Value {
    let count = |status: &[&str]| u8::from(status.contains(&deployment.status.as_str()));
    json!({
        "Pending": count(&["Created"]),
        "InProgress": count(&["InProgress"]),
        "Succeeded": count(&["Succeeded"]),
        "Failed": count(&["Failed", "Stopped"]),
        "Skipped": 0,
        "Ready": 0,
    })
}

fn shown(deployment: &Deployment) -> Value {
    let error = deployment.error.as_ref().map(|(code, message)| json!({"code": code, "message": message}));
    let rolled_back = deployment.rolled_back.as_ref().map(|back| {
        json!({
            "rollbackDeploymentId": back.deployment,
            "rollbackTriggeringDeploymentId": back.triggering,
            "rollbackMessage": back.message,
        })
    });
    json!({
        "applicationName": deployment.application,
        "deploymentGroupName": deployment.group,
        "deploymentConfigName": deployment.config,
        "deploymentId": deployment.id,
        "revision": revision(deployment),
        "status": deployment.status,
        "errorInformation": error,
        "createTime": seconds(deployment.created_ms),
        "startTime": deployment.started_ms.map(seconds),
        "completeTime": deployment.completed_ms.map(seconds),
        "deploymentOverview": overview(deployment),
        "description": deployment.description,
        "creator": deployment.creator,
        "ignoreApplicationStopFailures": false,
        "autoRollbackConfiguration": deployment.rollback,
        "updateOutdatedInstancesOnly": false,
        "rollbackInfo": rolled_back,
        "deploymentStyle": {"deploymentType": "BLUE_GREEN", "deploymentOption": "WITH_TRAFFIC_CONTROL"},
        "instanceTerminationWaitTimeStarted": false,
        "computePlatform": "Lambda",
        "externalId": deployment.external_id,
    })
}

pub async fn get(core: &Core, call: &Call) -> Result<Value, ApiError> {
    let (deployment, _) = found(core, &here(call), needed(call, "deploymentId")?).await?;
    Ok(json!({"deploymentInfo": shown(&deployment)}))
}

pub async fn batch(core: &Core, call: &Call) -> Result<Value, ApiError> {
    let ids: Vec<&str> = call
        .input
        .get("deploymentIds")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    if ids.is_empty() {
        return Err(errors::required("deploymentId"));
    }
    if ids.len() > BATCH_MAX {
        return Err(errors::batch());
    }
    let mut all = Vec::new();
    for id in ids {
        if !is_id(id) {
            return Err(errors::invalid_id(id));
        }
        if let Some((deployment, _)) = core.storage.deployment(&here(call), id).await? {
            all.push(shown(&deployment));
        }
    }
    Ok(json!({"deploymentsInfo": all}))
}

pub async fn list(core: &Core, call: &Call) -> Result<Value, ApiError> {
    no_token(call)?;
    let place = here(call);
    let (application, group) = (text(call, "applicationName"), text(call, "deploymentGroupName"));
    application.map_or(Ok(""), |name| super::checked(name, "applicationName"))?;
    group.map_or(Ok(""), |name| super::checked(name, "deploymentGroupName"))?;
    match (application, group) {
        (None, Some(_)) => return Err(errors::required("applicationName")),
        (Some(name), _) if core.storage.application(&place, name).await?.is_none() => {
            return Err(errors::no_application(name));
        }
        (Some(application), Some(name)) if core.storage.group(&place, application, name).await?.is_none() => {
            return Err(errors::no_group(name));
        }
        _ => {}
    }
    let statuses: Vec<&str> = call
        .input
        .get("includeOnlyStatuses")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    if let Some(unknown) = statuses.iter().find(|status| !STATUSES.contains(status)) {
        return Err(errors::status_of_list(unknown));
    }
    let at = |bound: &str| call.input.get("createTimeRange").and_then(|range| range[bound].as_f64());
    let (start, end) = (at("start"), at("end"));
    if start.zip(end).is_some_and(|(start, end)| start > end) {
        return Err(errors::time_range());
    }
    let external_id = text(call, "externalId");
    let all = core.storage.deployments(&place, application, group).await?;
    let is_wanted = |deployment: &&Deployment| {
        let created = deployment.created_ms as f64 / 1000.0;
        (statuses.is_empty() || statuses.contains(&deployment.status.as_str()))
            && start.is_none_or(|start| created >= start)
            && end.is_none_or(|end| created <= end)
            && external_id.is_none_or(|id| deployment.external_id.as_deref() == Some(id))
    };
    let ids: Vec<&str> = all.iter().filter(is_wanted).map(|deployment| deployment.id.as_str()).collect();
    Ok(json!({"deployments": ids}))
}

/// Changes a deployment that is under way, and has it looked at.
async fn change(
    core: &Core,
    place: &Place,
    id: &str,
    change: impl Fn(&mut Deployment) -> Result<(), ApiError>,
) -> Result<(), ApiError> {
    for _ in 0..TRIES {
        let (mut deployment, rev) = found(core, place, id).await?;
        change(&mut deployment)?;
        let (txn, wake) = work::add(core, storage::begin(place), place, &mut deployment)?;
        let txn = storage::put_changed(txn, place, &deployment, rev)?;
        if core.storage.commit(txn).await? {
            wake.now();
            return Ok(());
        }
    }
    Err(errors::conflict())
}

pub async fn stop(core: &Core, call: &Call) -> Result<Value, ApiError> {
    let goes_back = call.input.get("autoRollbackEnabled").and_then(Value::as_bool).unwrap_or_default();
    let id = needed(call, "deploymentId")?;
    change(core, &here(call), id, |deployment| {
        if deployment.is_over() {
            return Err(errors::is_over(id));
        }
        deployment.stop = Some(goes_back);
        Ok(())
    })
    .await?;
    Ok(json!({"status": "Pending", "statusMessage": "The deployment is being stopped."}))
}

pub async fn hook(core: &Core, call: &Call) -> Result<Value, ApiError> {
    let id = needed(call, "deploymentId")?;
    let execution_id = needed(call, "lifecycleEventHookExecutionId").map_err(|_| errors::hook_id())?;
    let has_succeeded = match text(call, "status") {
        Some("Succeeded") => true,
        Some("Failed") => false,
        other => return Err(errors::hook_status(other.unwrap_or_default())),
    };
    change(core, &here(call), id, |deployment| {
        let is_known = deployment.is_over() || deployment.knows(execution_id);
        match &mut deployment.phase {
            Phase::Before(hook) | Phase::After(hook) if hook.execution_id == execution_id => {
                match hook.has_succeeded {
                    Some(_) => return Err(errors::hook_is_over()),
                    None => hook.has_succeeded = Some(has_succeeded),
                }
                Ok(())
            }
            _ if is_known => Err(errors::hook_is_over()),
            _ => Err(errors::hook_id()),
        }
    })
    .await?;
    Ok(json!({"lifecycleEventHookExecutionId": execution_id}))
}

fn target_id(deployment: &Deployment) -> String {
    format!("{}:{}", deployment.target.function, deployment.target.alias)
}

pub async fn targets(core: &Core, call: &Call) -> Result<Value, ApiError> {
    no_token(call)?;
    let (deployment, _) = found(core, &here(call), needed(call, "deploymentId")?).await?;
    Ok(json!({"targetIds": [target_id(&deployment)]}))
}

pub async fn target(core: &Core, call: &Call) -> Result<Value, ApiError> {
    let (deployment, _) = found(core, &here(call), needed(call, "deploymentId")?).await?;
    let id = needed(call, "targetId")?;
    if !id.contains(':') {
        return Err(errors::invalid_target(id));
    }
    if id != target_id(&deployment) {
        return Err(errors::no_target(id));
    }
    let events: Vec<Value> = deployment
        .lifecycle
        .iter()
        .map(|event| {
            json!({
                "lifecycleEventName": event.name,
                "startTime": seconds(event.started_ms),
                "endTime": event.ended_ms.map(seconds),
                "status": event.status,
            })
        })
        .collect();
    let status = match deployment.status.as_str() {
        "Created" => "Pending",
        "Stopped" => "Failed",
        other => other,
    };
    let target = &deployment.target;
    let changed = deployment.completed_ms.or(deployment.started_ms).unwrap_or(deployment.created_ms);
    Ok(json!({"deploymentTarget": {
        "deploymentTargetType": "LambdaTarget",
        "lambdaTarget": {
            "deploymentId": deployment.id,
            "targetId": id,
            "status": status,
            "lastUpdatedAt": seconds(changed),
            "lifecycleEvents": events,
            "lambdaFunctionInfo": {
                "functionName": target.function,
                "functionAlias": target.alias,
                "currentVersion": target.current_version,
                "targetVersion": target.target_version,
                "targetVersionWeight": f64::from(deployment.percent()) / 100.0,
            },
        },
    }}))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn appspecs() {
        let target = Target {
            function: "f".into(),
            alias: "live".into(),
            current_version: "1".into(),
            target_version: "2".into(),
            ..Target::default()
        };
        assert_eq!(target_of(&appspec(&target)).unwrap(), target);
        let mut spec: Value = serde_json::from_str(&appspec(&target)).unwrap();
        spec["Hooks"] = json!([{"BeforeAllowTraffic": "b"}, {"AfterAllowTraffic": "a"}]);
        let hooked = target_of(&spec.to_string()).unwrap();
        assert_eq!((hooked.before_hook.as_deref(), hooked.after_hook.as_deref()), (Some("b"), Some("a")));
        spec["Hooks"] = json!([{"BeforeInstall": "b"}]);
        let other = json!({"version": "0.0", "Resources": [{"f": {"Type": "AWS::ECS::Service"}}]});
        let no_alias = json!({"Resources": [{"f": {"Type": "AWS::Lambda::Function", "Properties": {"Name": "f"}}}]});
        for bad in ["{", "{}", &spec.to_string(), &other.to_string(), &no_alias.to_string()] {
            assert_eq!(target_of(bad).unwrap_err().code, "InvalidRevisionException", "{bad}");
        }
        assert_eq!(target_of("version: 0.0").unwrap_err().status, 501);
    }
}
