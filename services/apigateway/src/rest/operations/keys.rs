//! API keys, usage plans and the account's settings: they belong to an account, not to one API.

use cumulet_base::{id, limits};
use cumulet_wire::call::{Answer, Context};
use cumulet_wire::error::ApiError;
use serde_json::{Value, json};

use super::{Input, optional, page, seconds, shape};
use crate::ApiGateway;
use crate::errors::Error;
use crate::operations::{CHANGE_ATTEMPTS_MAX, answer, given_tags, text};
use crate::rest::patch::patched;
use crate::rest::shapes::{ApiKey, ApiStage, UsagePlan};
use crate::storage::rest::Rev;

pub(crate) const KEY: &str = "key";
pub(crate) const PLAN: &str = "plan";
const ACCOUNT: &str = "account";

/// The value only for those who ask for it.
fn shown(key: &ApiKey, with_value: bool) -> Result<Value, Error> {
    let mut shown = serde_json::to_value(key).map_err(Error::Row)?;
    if !with_value {
        shown.as_object_mut().map(|shown| shown.remove("value"));
    }
    Ok(shown)
}

fn plan_shown(plan: &UsagePlan) -> Result<Value, Error> {
    let mut shown = serde_json::to_value(plan).map_err(Error::Row)?;
    shown.as_object_mut().map(|shown| shown.remove("keys"));
    Ok(shown)
}

fn plan_key(key: &ApiKey) -> Value {
    json!({ "id": key.id, "type": "API_KEY", "value": key.value, "name": key.name })
}

fn wants(input: &Input, member: &str) -> bool {
    input.get(member).is_some_and(|value| value == true || value == "true")
}

fn room(list: usize, what: &'static str) -> Result<(), Error> {
    if list >= limits::REST_API_OWNED_MAX {
        return Err(Error::Quota(what, limits::REST_API_OWNED_MAX));
    }
    Ok(())
}

impl ApiGateway {
    pub(super) async fn operate_keys(&self, ctx: &Context, name: &str, input: &Input) -> Result<Answer, ApiError> {
        match name {
            "CreateApiKey" => self.create_key(ctx, input).await,
            "GetApiKey" => {
                let (key, _) = self.key(ctx, text(input, "api_Key")?).await?;
                Ok(answer(&shown(&key, wants(input, "includeValue"))?)?)
            }
            "GetApiKeys" => self.get_keys(ctx, input).await,
            "UpdateApiKey" => {
                let now = seconds(ctx);
                let key = self.change_key(ctx, text(input, "api_Key")?, |key| {
                    *key = patched(key, input, &["name", "description", "enabled", "customerId"])?;
                    key.last_updated_date = now;
                    Ok(())
                });
                Ok(answer(&shown(&key.await?, true)?)?)
            }
            "DeleteApiKey" => self.delete_key(ctx, text(input, "api_Key")?).await,
            "CreateUsagePlan" => self.create_plan(ctx, input).await,
            "GetUsagePlan" => Ok(answer(&plan_shown(&self.plan(ctx, text(input, "usageplanId")?).await?.0)?)?),
            "GetUsagePlans" => self.get_plans(ctx, input).await,
            "UpdateUsagePlan" => {
                let plan = self.change_plan(ctx, text(input, "usageplanId")?, |plan| {
                    *plan = with_stages(plan, input)?;
                    Ok(())
                });
                Ok(answer(&plan_shown(&plan.await?)?)?)
            }
            "DeleteUsagePlan" => {
                let (plan, _) = self.plan(ctx, text(input, "usageplanId")?).await?;
                if !plan.api_stages.is_empty() {
                    let why = "Cannot delete usage plan: it has API stages associated with it";
                    return Err(Error::Invalid(why.into()).into());
                }
                self.storage.delete_owned(ctx.account(), &ctx.region, PLAN, &plan.id).await?;
                self.rests.usages.forget(&plan.id);
                self.storage.delete_usage(ctx.account(), &ctx.region, &plan.id).await?;
                self.rests.forget_plans();
                Ok(Answer::empty())
            }
            "CreateUsagePlanKey" => self.create_plan_key(ctx, input).await,
            "GetUsagePlanKey" => Ok(answer(&plan_key(&self.plan_key(ctx, input).await?))?),
            "GetUsagePlanKeys" => {
                let (plan, _) = self.plan(ctx, text(input, "usageplanId")?).await?;
                let mut keys = Vec::new();
                for id in &plan.keys {
                    keys.push(plan_key(&self.key(ctx, id).await?.0));
                }
                Ok(page(keys.into_iter(), input)?)
            }
            "DeleteUsagePlanKey" => {
                let id = self.plan_key(ctx, input).await?.id;
                let plan = self.change_plan(ctx, text(input, "usageplanId")?, |plan| {
                    plan.keys.retain(|key| *key != id);
                    Ok(())
                });
                plan.await?;
                Ok(Answer::empty())
            }
            "GetUsage" => self.get_usage(ctx, input).await,
            "UpdateUsage" => self.update_usage(ctx, input).await,
            other => Err(ApiError::not_implemented("apigateway", other)),
        }
    }

    pub(super) async fn key(&self, ctx: &Context, id: &str) -> Result<(ApiKey, Rev), Error> {
        let found = self.storage.get_owned(ctx.account(), &ctx.region, KEY, id).await?;
        found.ok_or_else(|| Error::NotFound("API Key", id.to_owned()))
    }

    pub(super) async fn plan(&self, ctx: &Context, id: &str) -> Result<(UsagePlan, Rev), Error> {
        let found = self.storage.get_owned(ctx.account(), &ctx.region, PLAN, id).await?;
        found.ok_or_else(|| Error::NotFound("Usage Plan", id.to_owned()))
    }

    pub(super) async fn change_key(
        &self,
        ctx: &Context,
        id: &str,
        change: impl Fn(&mut ApiKey) -> Result<(), Error> + Send + Sync,
    ) -> Result<ApiKey, Error> {
        for _ in 0..CHANGE_ATTEMPTS_MAX {
            let (mut key, rev) = self.key(ctx, id).await?;
            change(&mut key)?;
            match self.storage.put_owned(ctx.account(), &ctx.region, (KEY, id), &key, Some(rev)).await {
                Err(Error::Busy) => {}
                Err(other) => return Err(other),
                Ok(()) => {
                    self.rests.forget_plans();
                    return Ok(key);
                }
            }
        }
        Err(Error::Busy)
    }

    pub(super) async fn change_plan(
        &self,
        ctx: &Context,
        id: &str,
        change: impl Fn(&mut UsagePlan) -> Result<(), Error> + Send + Sync,
    ) -> Result<UsagePlan, Error> {
        for _ in 0..CHANGE_ATTEMPTS_MAX {
            let (mut plan, rev) = self.plan(ctx, id).await?;
            change(&mut plan)?;
            self.check_plan(ctx, &plan).await?;
            match self.storage.put_owned(ctx.account(), &ctx.region, (PLAN, id), &plan, Some(rev)).await {
                Err(Error::Busy) => {}
                Err(other) => return Err(other),
                Ok(()) => {
                    self.rests.forget_plans();
                    return Ok(plan);
                }
            }
        }
        Err(Error::Busy)
    }

    async fn check_plan(&self, ctx: &Context, plan: &UsagePlan) -> Result<(), Error> {
        for place in &plan.api_stages {
            let rows = self.load_rest(ctx, &place.api_id).await?;
            if !rows.stages.contains_key(&place.stage) {
                return Err(Error::Invalid(format!("API Stage not found: {}:{}", place.api_id, place.stage)));
            }
        }
        Ok(())
    }

    async fn create_key(&self, ctx: &Context, input: &Input) -> Result<Answer, ApiError> {
        let known: Vec<ApiKey> = self.storage.list_owned(ctx.account(), &ctx.region, KEY).await?;
        room(known.len(), "API keys")?;
        // Terraform says it empty where it is to be made up.
        let given = optional(input, "value").filter(|value| !value.is_empty());
        let value = given.unwrap_or_else(|| id::short(40));
        if !(20..=128).contains(&value.len()) {
            return Err(Error::Invalid("API Key value should be at least 20 characters".into()).into());
        }
        if known.iter().any(|key| key.value == value) {
            return Err(Error::Conflict("API Key already exists".into()).into());
        }
        let mut members = input.clone();
        // Stage keys have no effect any more: usage plans have taken their place.
        members.remove("value");
        let key = ApiKey {
            id: id::short(10),
            value,
            created_date: seconds(ctx),
            last_updated_date: seconds(ctx),
            tags: given_tags(input)?,
            ..shape(&members)?
        };
        self.storage.put_owned(ctx.account(), &ctx.region, (KEY, &key.id), &key, None).await?;
        Ok(answer(&shown(&key, true)?)?)
    }

    async fn get_keys(&self, ctx: &Context, input: &Input) -> Result<Answer, ApiError> {
        let all: Vec<ApiKey> = self.storage.list_owned(ctx.account(), &ctx.region, KEY).await?;
        let prefix = optional(input, "name").unwrap_or_default();
        let with_value = wants(input, "includeValues");
        let shown: Result<Vec<Value>, Error> =
            all.iter().filter(|key| key.name.starts_with(&prefix)).map(|key| shown(key, with_value)).collect();
        Ok(page(shown?.into_iter(), input)?)
    }

    async fn delete_key(&self, ctx: &Context, id: &str) -> Result<Answer, ApiError> {
        self.key(ctx, id).await?;
        let plans: Vec<UsagePlan> = self.storage.list_owned(ctx.account(), &ctx.region, PLAN).await?;
        for plan in plans.iter().filter(|plan| plan.keys.iter().any(|key| key == id)) {
            self.change_plan(ctx, &plan.id, |plan| {
                plan.keys.retain(|key| key != id);
                Ok(())
            })
            .await?;
        }
        self.storage.delete_owned(ctx.account(), &ctx.region, KEY, id).await?;
        self.rests.forget_plans();
        Ok(Answer::empty())
    }

    async fn create_plan(&self, ctx: &Context, input: &Input) -> Result<Answer, ApiError> {
        let known: Vec<UsagePlan> = self.storage.list_owned(ctx.account(), &ctx.region, PLAN).await?;
        room(known.len(), "usage plans")?;
        text(input, "name")?;
        let plan = UsagePlan { id: id::short(6), keys: Vec::new(), tags: given_tags(input)?, ..shape(input)? };
        self.check_plan(ctx, &plan).await?;
        self.storage.put_owned(ctx.account(), &ctx.region, (PLAN, &plan.id), &plan, None).await?;
        self.rests.forget_plans();
        Ok(answer(&plan_shown(&plan)?)?)
    }

    async fn get_plans(&self, ctx: &Context, input: &Input) -> Result<Answer, ApiError> {
        let all: Vec<UsagePlan> = self.storage.list_owned(ctx.account(), &ctx.region, PLAN).await?;
        let key = optional(input, "keyId");
        let of = all.iter().filter(|plan| key.as_ref().is_none_or(|key| plan.keys.contains(key)));
        let shown: Result<Vec<Value>, Error> = of.map(plan_shown).collect();
        Ok(page(shown?.into_iter(), input)?)
    }

    async fn create_plan_key(&self, ctx: &Context, input: &Input) -> Result<Answer, ApiError> {
        let id = text(input, "keyId")?;
        let (key, _) = self.key(ctx, id).await?;
        self.change_plan(ctx, text(input, "usageplanId")?, |plan| {
            if plan.keys.iter().any(|known| known == id) {
                return Err(Error::Conflict(format!("Usage Plan Key already exists: {id}")));
            }
            plan.keys.push(id.to_owned());
            Ok(())
        })
        .await?;
        Ok(answer(&plan_key(&key))?)
    }

    pub(super) async fn plan_key(&self, ctx: &Context, input: &Input) -> Result<ApiKey, Error> {
        let (plan, _) = self.plan(ctx, text(input, "usageplanId")?).await?;
        let id = text(input, "keyId")?;
        if !plan.keys.iter().any(|key| key == id) {
            return Err(Error::NotFound("Usage Plan Key", id.to_owned()));
        }
        Ok(self.key(ctx, id).await?.0)
    }

    pub(super) async fn get_account(&self, ctx: &Context) -> Result<Answer, ApiError> {
        let kept: Option<(Value, _)> = self.storage.get_owned(ctx.account(), &ctx.region, ACCOUNT, "").await?;
        let mut shown = kept.map(|(kept, _)| kept).unwrap_or_else(|| json!({}));
        shown["throttleSettings"] = json!({ "burstLimit": 5000, "rateLimit": 10000.0 });
        shown["features"] = json!(["UsagePlans"]);
        shown["apiKeyVersion"] = "4".into();
        Ok(answer(&shown)?)
    }

    pub(super) async fn update_account(&self, ctx: &Context, input: &Input) -> Result<Answer, ApiError> {
        for _ in 0..CHANGE_ATTEMPTS_MAX {
            let kept: Option<(Value, Rev)> = self.storage.get_owned(ctx.account(), &ctx.region, ACCOUNT, "").await?;
            let (kept, rev) = kept.map_or((json!({}), None), |(kept, rev)| (kept, Some(rev)));
            let new: Value = patched(&kept, input, &["cloudwatchRoleArn", "features"])?;
            match self.storage.put_owned(ctx.account(), &ctx.region, (ACCOUNT, ""), &new, rev).await {
                Err(Error::Busy) => {}
                Err(other) => return Err(other.into()),
                Ok(()) => return self.get_account(ctx).await,
            }
        }
        Err(Error::Busy.into())
    }
}

/// The plan with all changes; stages are named `API:STAGE`.
fn with_stages(plan: &UsagePlan, input: &Input) -> Result<UsagePlan, Error> {
    let mut plan = plan.clone();
    let mut rest = input.clone();
    let operations = input.get("patchOperations").and_then(Value::as_array).cloned().unwrap_or_default();
    let (stages, others): (Vec<Value>, Vec<Value>) =
        operations.into_iter().partition(|operation| operation["path"] == "/apiStages");
    let (limits, others): (Vec<Value>, Vec<Value>) = others
        .into_iter()
        .partition(|operation| operation["path"].as_str().is_some_and(|path| path.starts_with("/apiStages/")));
    for operation in limits {
        with_limit(&mut plan, &operation)?;
    }
    for operation in stages {
        let named = operation["value"].as_str().and_then(|value| value.split_once(':'));
        let (api_id, stage) = named.ok_or_else(|| Error::Invalid("An API stage is named API:STAGE".into()))?;
        plan.api_stages.retain(|place| place.api_id != api_id || place.stage != stage);
        if operation["op"] == "add" {
            let (api_id, stage) = (api_id.to_owned(), stage.to_owned());
            plan.api_stages.push(ApiStage { api_id, stage, ..ApiStage::default() });
        }
    }
    rest.insert("patchOperations".into(), others.into());
    patched(&plan, &rest, &["name", "description", "throttle", "quota"])
}

/// `/apiStages/API:STAGE/throttle/~1PATH~1METHOD/rateLimit`: limits of a method of its own.
fn with_limit(plan: &mut UsagePlan, operation: &Value) -> Result<(), Error> {
    let wrong = || Error::Invalid("Invalid patch path of an API stage specified".into());
    let path = operation["path"].as_str().unwrap_or_default();
    let rest = path.strip_prefix("/apiStages/").and_then(|rest| rest.split_once("/throttle")).ok_or_else(wrong)?;
    let (api_id, stage) = rest.0.split_once(':').ok_or_else(wrong)?;
    let place = plan.api_stages.iter_mut().find(|place| place.api_id == api_id && place.stage == stage);
    let throttle = &mut place.ok_or_else(wrong)?.throttle;
    let named = rest.1.strip_prefix('/').map(|named| named.replace("~1", "/"));
    let is_removal = operation["op"] == "remove";
    let Some(named) = named else {
        return match is_removal {
            true => {
                throttle.clear();
                Ok(())
            }
            false => Err(wrong()),
        };
    };
    let number = operation["value"].as_str().and_then(|value| value.parse::<f64>().ok());
    match (named.strip_suffix("/rateLimit"), named.strip_suffix("/burstLimit"), number) {
        (Some(method), None, Some(rate)) => throttle.entry(method.to_owned()).or_default().rate_limit = rate,
        (None, Some(method), Some(burst)) => throttle.entry(method.to_owned()).or_default().burst_limit = burst as u32,
        (None, None, _) if is_removal => drop(throttle.remove(&named)),
        _ => return Err(wrong()),
    }
    Ok(())
}
