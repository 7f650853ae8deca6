//! Deployment groups: how an application's functions are deployed, under which role, and what takes the traffic back.

use cumulet_base::arn::Arn;
use cumulet_base::{id, limits};
use cumulet_delivery::role;
use cumulet_store::Rev;
use cumulet_wire::auth::Caller;
use cumulet_wire::call::{Call, seconds};
use cumulet_wire::error::ApiError;
use serde_json::{Value, json};

use super::{checked, configs, here, name, needed, no_token, refused, structure, tags, text};
use crate::model::{AlarmConfiguration, AutoRollback, Deployment, FORMAT, Group, Place, Trigger};
use crate::storage::{self, Named};
use crate::triggers::EVENTS as EVENTS_OF_TRIGGERS;
use crate::{Core, PRINCIPAL, errors};

const DEFAULT: &str = "CodeDeployDefault.LambdaAllAtOnce";
const EVENTS: [&str; 3] = ["DEPLOYMENT_FAILURE", "DEPLOYMENT_STOP_ON_ALARM", "DEPLOYMENT_STOP_ON_REQUEST"];
/// What servers and containers have.
const ABSENT: &[&str] = &[
    "ec2TagFilters",
    "onPremisesInstanceTagFilters",
    "autoScalingGroups",
    "blueGreenDeploymentConfiguration",
    "loadBalancerInfo",
    "ec2TagSet",
    "ecsServices",
    "onPremisesTagSet",
];

/// The alarms that a request names.
pub fn alarms(call: &Call, member: &str) -> Result<Option<AlarmConfiguration>, ApiError> {
    let given: Option<AlarmConfiguration> = structure(call, member)?;
    if let Some(given) = &given {
        if given.alarms.len() > limits::DEPLOYMENT_ALARMS_MAX {
            return Err(errors::too_many_alarms());
        }
        if given.alarms.iter().any(|alarm| alarm.name.is_empty()) || (given.enabled && given.alarms.is_empty()) {
            return Err(errors::alarms("An alarm configuration that is enabled has alarms, and each has a name."));
        }
    }
    Ok(given)
}

/// The triggers that a request names.
fn triggers(call: &Call) -> Result<Option<Vec<Trigger>>, ApiError> {
    let given: Option<Vec<Trigger>> = structure(call, "triggerConfigurations")?;
    if given.as_ref().is_some_and(|given| given.len() > limits::DEPLOYMENT_TRIGGERS_MAX) {
        return Err(errors::too_many_triggers());
    }
    let is_topic = |arn: &str| arn.parse::<Arn>().is_ok_and(|arn| arn.service == "sns" && !arn.resource.contains(':'));
    for trigger in given.iter().flatten() {
        let name = &trigger.trigger_name;
        if name.is_empty() || !is_topic(&trigger.trigger_target_arn) || trigger.trigger_events.is_empty() {
            return Err(errors::trigger("A trigger has a name, the ARN of a topic, and events."));
        }
        if let Some(event) = trigger.trigger_events.iter().find(|event| !EVENTS_OF_TRIGGERS.contains(&event.as_str())) {
            return Err(errors::trigger(&format!("{event} is not an event of a trigger.")));
        }
        if given.iter().flatten().filter(|other| other.trigger_name == *name).count() > 1 {
            return Err(errors::trigger(&format!("There are two triggers with the name {name}.")));
        }
    }
    Ok(given)
}

pub fn rollback(call: &Call) -> Result<Option<AutoRollback>, ApiError> {
    let given: Option<AutoRollback> = structure(call, "autoRollbackConfiguration")?;
    if let Some(given) = &given {
        if let Some(event) = given.events.iter().find(|event| !EVENTS.contains(&event.as_str())) {
            return Err(errors::rollback(&format!("{event} is not an event of a rollback.")));
        }
        if given.enabled && given.events.is_empty() {
            return Err(errors::rollback("An automatic rollback that is enabled has events."));
        }
    }
    Ok(given)
}

/// Takes what a request says over.
async fn change(core: &Core, call: &Call, place: &Place, arn: &str, group: &mut Group) -> Result<(), ApiError> {
    refused(call, ABSENT)?;
    if let Some(config) = text(call, "deploymentConfigName") {
        checked(config, "deploymentConfigName")?;
        if configs::routing(core, place, config).await?.is_none() {
            return Err(errors::no_config(config));
        }
        group.config = config.to_owned();
    }
    if let Some(role_arn) = text(call, "serviceRoleArn") {
        let service = Caller::service(&place.account, PRINCIPAL, arn);
        if !role::is_trusting(&core.client, &place.region, &service, role_arn).await? {
            return Err(errors::role(role_arn));
        }
        core.client.may(&call.context.caller, "iam:PassRole", role_arn).await?;
        group.role_arn = role_arn.to_owned();
    }
    if let Some(style) = call.input.get("deploymentStyle").filter(|style| !style.is_null()) {
        let is_known = style.get("deploymentType").is_none_or(|kind| kind == "BLUE_GREEN")
            && style.get("deploymentOption").is_none_or(|option| option == "WITH_TRAFFIC_CONTROL");
        if !is_known {
            return Err(errors::style());
        }
    }
    if let Some(alarms) = alarms(call, "alarmConfiguration")? {
        group.alarms = alarms;
    }
    if let Some(rollback) = rollback(call)? {
        group.rollback = rollback;
    }
    if let Some(triggers) = triggers(call)? {
        group.triggers = triggers;
    }
    Ok(())
}

pub async fn create(core: &Core, call: &Call) -> Result<Value, ApiError> {
    let place = here(call);
    let (application, name) = (name(call, "applicationName")?, name(call, "deploymentGroupName")?);
    needed(call, "serviceRoleArn")?;
    let missing = || errors::no_application(application);
    core.storage.application(&place, application).await?.ok_or_else(missing)?;
    if core.storage.groups(&place, application).await?.len() >= limits::DEPLOYMENT_NAMES_MAX {
        return Err(errors::too_many("deployment groups"));
    }
    let mut group = Group {
        v: FORMAT,
        id: id::uuid(),
        config: DEFAULT.to_owned(),
        role_arn: String::new(),
        alarms: AlarmConfiguration::default(),
        rollback: AutoRollback::default(),
        triggers: Vec::new(),
        tags: tags(&call.input, "tags")?,
    };
    change(core, call, &place, &place.group_arn(application, name), &mut group).await?;
    let txn = storage::exists(storage::begin(&place), &place, &Named::Application(application));
    let txn = storage::put(txn, &place, &Named::Group(application, name), &group, None)?;
    match core.storage.commit(txn).await? {
        true => Ok(json!({"deploymentGroupId": group.id})),
        false => Err(errors::group_exists(name)),
    }
}

/// The group of a request.
async fn found(core: &Core, place: &Place, application: &str, name: &str) -> Result<(Group, Rev), ApiError> {
    match core.storage.group(place, application, name).await? {
        Some((group, rev)) => Ok((group, rev)),
        None if core.storage.application(place, application).await?.is_none() => {
            Err(errors::no_application(application))
        }
        None => Err(errors::no_group(name)),
    }
}

fn last(deployment: Option<&Deployment>) -> Value {
    deployment.map_or(Value::Null, |deployment| {
        json!({
            "deploymentId": deployment.id,
            "status": deployment.status,
            "createTime": seconds(deployment.created_ms),
            "endTime": deployment.completed_ms.map(seconds),
        })
    })
}

pub async fn get(core: &Core, call: &Call) -> Result<Value, ApiError> {
    let place = here(call);
    let (application, name) = (name(call, "applicationName")?, name(call, "deploymentGroupName")?);
    let (group, _) = found(core, &place, application, name).await?;
    let deployments = core.storage.deployments(&place, Some(application), Some(name)).await?;
    let succeeded = deployments.iter().find(|deployment| deployment.status == "Succeeded");
    Ok(json!({"deploymentGroupInfo": {
        "applicationName": application,
        "deploymentGroupId": group.id,
        "deploymentGroupName": name,
        "deploymentConfigName": group.config,
        "serviceRoleArn": group.role_arn,
        "targetRevision": succeeded.map(super::deployments::revision),
        "alarmConfiguration": group.alarms,
        "autoRollbackConfiguration": group.rollback,
        "triggerConfigurations": group.triggers,
        "deploymentStyle": {"deploymentType": "BLUE_GREEN", "deploymentOption": "WITH_TRAFFIC_CONTROL"},
        "lastSuccessfulDeployment": last(succeeded),
        "lastAttemptedDeployment": last(deployments.first()),
        "computePlatform": "Lambda",
    }}))
}

pub async fn list(core: &Core, call: &Call) -> Result<Value, ApiError> {
    no_token(call)?;
    let (place, application) = (here(call), name(call, "applicationName")?);
    let missing = || errors::no_application(application);
    core.storage.application(&place, application).await?.ok_or_else(missing)?;
    let names = core.storage.groups(&place, application).await?;
    Ok(json!({"applicationName": application, "deploymentGroups": names}))
}

pub async fn update(core: &Core, call: &Call) -> Result<Value, ApiError> {
    let place = here(call);
    let application = name(call, "applicationName")?;
    let name = needed(call, "currentDeploymentGroupName").map_err(|_| errors::required("deploymentGroupName"))?;
    checked(name, "deploymentGroupName")?;
    let (mut group, rev) = found(core, &place, application, name).await?;
    change(core, call, &place, &place.group_arn(application, name), &mut group).await?;
    let at = Named::Group(application, name);
    let txn = match text(call, "newDeploymentGroupName").filter(|new| *new != name) {
        None => storage::put(storage::begin(&place), &place, &at, &group, Some(rev))?,
        Some(new) => {
            if core.storage.group(&place, application, checked(new, "deploymentGroupName")?).await?.is_some() {
                return Err(errors::group_exists(new));
            }
            let new = Named::Group(application, new);
            let txn = storage::delete(storage::begin(&place), &place, &at, rev);
            storage::put(txn, &place, &new, &group, None)?
        }
    };
    match core.storage.commit(txn).await? {
        true => Ok(json!({"hooksNotCleanedUp": []})),
        false => Err(errors::conflict()),
    }
}

pub async fn delete(core: &Core, call: &Call) -> Result<Value, ApiError> {
    let place = here(call);
    let (application, name) = (name(call, "applicationName")?, name(call, "deploymentGroupName")?);
    let Some((_, rev)) = core.storage.group(&place, application, name).await? else {
        return Ok(json!({"hooksNotCleanedUp": []}));
    };
    let txn = storage::delete(storage::begin(&place), &place, &Named::Group(application, name), rev);
    match core.storage.commit(txn).await? {
        true => Ok(json!({"hooksNotCleanedUp": []})),
        false => Err(errors::conflict()),
    }
}
