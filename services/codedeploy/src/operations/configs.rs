//! Configurations: how traffic is shifted. AWS's own for functions are always there.

use cumulet_base::{id, limits};
use cumulet_wire::call::{Call, seconds};
use cumulet_wire::error::ApiError;
use serde_json::{Value, json};

use super::{here, name, no_token, platform};
use crate::model::{Config, FORMAT, Place, Routing};
use crate::storage::{self, Named};
use crate::{Core, errors};

const PREDEFINED: &[(&str, Routing)] = &[
    ("CodeDeployDefault.LambdaAllAtOnce", Routing::AllAtOnce),
    ("CodeDeployDefault.LambdaCanary10Percent10Minutes", Routing::Canary { percentage: 10, interval: 10 }),
    ("CodeDeployDefault.LambdaCanary10Percent15Minutes", Routing::Canary { percentage: 10, interval: 15 }),
    ("CodeDeployDefault.LambdaCanary10Percent30Minutes", Routing::Canary { percentage: 10, interval: 30 }),
    ("CodeDeployDefault.LambdaCanary10Percent5Minutes", Routing::Canary { percentage: 10, interval: 5 }),
    ("CodeDeployDefault.LambdaLinear10PercentEvery10Minutes", Routing::Linear { percentage: 10, interval: 10 }),
    ("CodeDeployDefault.LambdaLinear10PercentEvery1Minute", Routing::Linear { percentage: 10, interval: 1 }),
    ("CodeDeployDefault.LambdaLinear10PercentEvery2Minutes", Routing::Linear { percentage: 10, interval: 2 }),
    ("CodeDeployDefault.LambdaLinear10PercentEvery3Minutes", Routing::Linear { percentage: 10, interval: 3 }),
];
const PREFIX: &str = "CodeDeployDefault.";
/// Two days.
const INTERVAL_MAX: u64 = 2880;

fn predefined(name: &str) -> Option<Routing> {
    PREDEFINED.iter().find(|(known, _)| *known == name).map(|(_, routing)| *routing)
}

/// How a configuration shifts traffic, if there is one of the name.
pub async fn routing(core: &Core, place: &Place, name: &str) -> Result<Option<Routing>, ApiError> {
    match predefined(name) {
        Some(routing) => Ok(Some(routing)),
        None => Ok(core.storage.config(place, name).await?.map(|(config, _)| config.routing)),
    }
}

fn given(value: &Value) -> Result<Routing, ApiError> {
    let of = |structure: &str, share: &str, interval: &str| {
        let (share, interval) = (value[structure][share].as_u64(), value[structure][interval].as_u64());
        let share = share.and_then(|share| u8::try_from(share).ok()).filter(|share| (1..100).contains(share));
        let interval = interval.filter(|interval| (1..=INTERVAL_MAX).contains(interval));
        share.zip(interval).ok_or_else(|| {
            errors::routing("The percentage is between 1 and 99, and the interval between 1 and 2880 minutes.")
        })
    };
    match value["type"].as_str() {
        Some("AllAtOnce") => Ok(Routing::AllAtOnce),
        Some("TimeBasedCanary") => {
            let (percentage, interval) = of("timeBasedCanary", "canaryPercentage", "canaryInterval")?;
            Ok(Routing::Canary { percentage, interval })
        }
        Some("TimeBasedLinear") => {
            let (percentage, interval) = of("timeBasedLinear", "linearPercentage", "linearInterval")?;
            Ok(Routing::Linear { percentage, interval })
        }
        _ => Err(errors::routing("The type is TimeBasedCanary, TimeBasedLinear or AllAtOnce.")),
    }
}

fn shown(routing: Routing) -> Value {
    match routing {
        Routing::AllAtOnce => json!({"type": "AllAtOnce"}),
        Routing::Canary { percentage, interval } => json!({
            "type": "TimeBasedCanary",
            "timeBasedCanary": {"canaryPercentage": percentage, "canaryInterval": interval},
        }),
        Routing::Linear { percentage, interval } => json!({
            "type": "TimeBasedLinear",
            "timeBasedLinear": {"linearPercentage": percentage, "linearInterval": interval},
        }),
    }
}

pub async fn create(core: &Core, call: &Call) -> Result<Value, ApiError> {
    let (place, name) = (here(call), name(call, "deploymentConfigName")?);
    platform(call)?;
    if name.starts_with(PREFIX) {
        return Err(errors::invalid_name("deploymentConfigName", name));
    }
    let routing = call.input.get("trafficRoutingConfig").map_or(Ok(Routing::AllAtOnce), given)?;
    if core.storage.configs(&place).await?.len() >= limits::DEPLOYMENT_NAMES_MAX {
        return Err(errors::too_many("deployment configurations"));
    }
    let config = Config { v: FORMAT, id: id::uuid(), created_ms: core.clock.now_ms(), routing };
    let txn = storage::put(storage::begin(&place), &place, &Named::Config(name), &config, None)?;
    match core.storage.commit(txn).await? {
        true => Ok(json!({"deploymentConfigId": config.id})),
        false => Err(errors::config_exists(name)),
    }
}

pub async fn get(core: &Core, call: &Call) -> Result<Value, ApiError> {
    let (place, name) = (here(call), name(call, "deploymentConfigName")?);
    let mut info = json!({"deploymentConfigName": name, "computePlatform": "Lambda"});
    let routing = match predefined(name) {
        Some(routing) => routing,
        None => {
            let (config, _) = core.storage.config(&place, name).await?.ok_or_else(|| errors::no_config(name))?;
            info["deploymentConfigId"] = config.id.into();
            info["createTime"] = seconds(config.created_ms);
            config.routing
        }
    };
    info["trafficRoutingConfig"] = shown(routing);
    Ok(json!({"deploymentConfigInfo": info}))
}

pub async fn list(core: &Core, call: &Call) -> Result<Value, ApiError> {
    no_token(call)?;
    let mut names: Vec<String> = PREDEFINED.iter().map(|(name, _)| (*name).to_owned()).collect();
    names.extend(core.storage.configs(&here(call)).await?);
    Ok(json!({"deploymentConfigsList": names}))
}

pub async fn delete(core: &Core, call: &Call) -> Result<Value, ApiError> {
    let (place, name) = (here(call), name(call, "deploymentConfigName")?);
    if predefined(name).is_some() {
        return Err(errors::predefined(name));
    }
    let Some((_, rev)) = core.storage.config(&place, name).await? else { return Ok(json!({})) };
    if core.storage.is_used(&place, name).await? {
        return Err(errors::config_in_use(name));
    }
    let txn = storage::delete(storage::begin(&place), &place, &Named::Config(name), rev);
    match core.storage.commit(txn).await? {
        true => Ok(json!({})),
        false => Err(errors::conflict()),
    }
}
