//! GetUsage, UpdateUsage
//! (<https://docs.aws.amazon.com/apigateway/latest/api/API_GetUsage.html>).

use cumulet_base::{clock, limits};
use cumulet_wire::call::{Answer, Context};
use cumulet_wire::error::ApiError;
use serde_json::{Map, Value, json};

use super::{Input, optional, page};
use crate::ApiGateway;
use crate::errors::Error;
use crate::operations::{answer, text};
use crate::rest::shapes::UsagePlan;
use crate::rest::usage::{Who, day_name, day_number, table};

fn day(input: &Input, member: &str) -> Result<u64, Error> {
    let name = text(input, member)?;
    let found = clock::day_ms(name).map(day_number);
    found.ok_or_else(|| Error::Invalid(format!("{member} is not a date such as 2026-01-31")))
}

impl ApiGateway {
    async fn usage_of(
        &self,
        ctx: &Context,
        plan: &UsagePlan,
        keys: &[String],
        (from, to): (u64, u64),
    ) -> Result<Value, Error> {
        self.rests.usages.flush(&self.storage).await?;
        let mut values = Map::new();
        for key in keys {
            let who = who(ctx, plan, key);
            let days = self.storage.usage(&who, &day_name(from), &day_name(to)).await?;
            values.insert(key.clone(), json!(table(&days, plan.quota.as_ref(), from, to)));
        }
        Ok(json!({ "usagePlanId": plan.id, "startDate": day_name(from), "endDate": day_name(to), "values": values }))
    }

    pub(super) async fn get_usage(&self, ctx: &Context, input: &Input) -> Result<Answer, ApiError> {
        let (plan, _) = self.plan(ctx, text(input, "usageplanId")?).await?;
        let (from, to) = (day(input, "startDate")?, day(input, "endDate")?);
        if from > to || to - from >= u64::from(limits::API_USAGE_DAYS_MAX) {
            return Err(Error::Invalid("The dates are in order, and at most 90 days apart".into()).into());
        }
        let keys: Vec<String> = match optional(input, "keyId") {
            Some(key) if plan.keys.contains(&key) => vec![key],
            Some(key) => return Err(Error::NotFound("Usage Plan Key", key).into()),
            None => plan.keys.clone(),
        };
        // Pages are of keys.
        let page = page(keys.into_iter(), input)?.members()?;
        let keys: Vec<String> = serde_json::from_value(page["item"].clone()).unwrap_or_default();
        let mut shown = self.usage_of(ctx, &plan, &keys, (from, to)).await?;
        if page["position"].is_string() {
            shown["position"] = page["position"].clone();
        }
        Ok(answer(&shown)?)
    }

    /// What a key has left today is set.
    pub(super) async fn update_usage(&self, ctx: &Context, input: &Input) -> Result<Answer, ApiError> {
        let (plan, _) = self.plan(ctx, text(input, "usageplanId")?).await?;
        let key = self.plan_key(ctx, input).await?.id;
        let quota = plan.quota.as_ref().ok_or_else(|| Error::Invalid("Usage plan has no quota".into()))?;
        let operations = input.get("patchOperations").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let today = day_number(ctx.now_ms);
        for operation in operations {
            let remaining = operation["value"].as_str().and_then(|value| value.parse::<i64>().ok());
            match (operation["op"].as_str(), operation["path"].as_str(), remaining) {
                (Some("replace"), Some("/remaining"), Some(left)) if left >= 0 => {
                    let who = who(ctx, &plan, &key);
                    self.rests.usages.grant(&self.storage, &who, quota, left, ctx.now_ms).await?;
                }
                _ => return Err(Error::Invalid("Only /remaining can be replaced, with a number".into()).into()),
            }
        }
        Ok(answer(&self.usage_of(ctx, &plan, &[key], (today, today)).await?)?)
    }
}

fn who(ctx: &Context, plan: &UsagePlan, key: &str) -> Who {
    Who { account: ctx.account().to_owned(), region: ctx.region.clone(), plan: plan.id.clone(), key: key.to_owned() }
}
