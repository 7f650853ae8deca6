//! Tags of REST APIs, stages, keys and usage plans, by ARN: `arn:aws:apigateway:REGION::/restapis/ID[/stages/NAME]` and the like.

use cumulet_wire::call::{Answer, Context};
use cumulet_wire::error::ApiError;
use serde_json::{Value, json};

use super::Input;
use crate::ApiGateway;
use crate::errors::Error;
use crate::operations::{answer, given_tags, text};
use crate::rest::shapes::{ApiKey, UsagePlan};
use crate::shapes::Texts;
use crate::storage::rest::RestChange;

enum Named {
    Api(String),
    Stage(String, String),
    Key(String),
    Plan(String),
}

fn named(arn: &str) -> Result<Named, Error> {
    let bad = || Error::Invalid(format!("Invalid ARN specified in the request: {arn}"));
    let path = arn.splitn(6, ':').nth(5).and_then(|path| path.strip_prefix('/')).ok_or_else(bad)?;
    let parts: Vec<&str> = path.split('/').collect();
    match parts[..] {
        ["restapis", api] => Ok(Named::Api(api.to_owned())),
        ["restapis", api, "stages", stage] => Ok(Named::Stage(api.to_owned(), stage.to_owned())),
        ["apikeys", key] => Ok(Named::Key(key.to_owned())),
        ["usageplans", plan] => Ok(Named::Plan(plan.to_owned())),
        _ => Err(bad()),
    }
}

impl ApiGateway {
    pub(super) async fn tag_rest(&self, ctx: &Context, input: &Input) -> Result<Answer, ApiError> {
        let new = given_tags(input)?;
        self.retag_rest(ctx, input, |tags| tags.extend(new.clone())).await
    }

    pub(super) async fn untag_rest(&self, ctx: &Context, input: &Input) -> Result<Answer, ApiError> {
        let keys: Vec<String> = match input.get("tagKeys") {
            Some(Value::Array(keys)) => keys.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
            _ => return Err(Error::Invalid("tagKeys is required".into()).into()),
        };
        self.retag_rest(ctx, input, |tags| tags.retain(|key, _| !keys.contains(key))).await
    }

    async fn retag_rest(
        &self,
        ctx: &Context,
        input: &Input,
        change: impl Fn(&mut Texts) + Send + Sync,
    ) -> Result<Answer, ApiError> {
        match named(text(input, "resource_arn")?)? {
            Named::Api(id) => {
                self.change_rest_api(ctx, &id, |rows| {
                    change(&mut rows.api.tags);
                    Ok((Vec::new(), Answer::empty()))
                })
                .await
            }
            Named::Stage(id, name) => {
                self.change_rest_api(ctx, &id, |rows| {
                    let found = rows.stages.get(&name).ok_or_else(|| Error::NotFound("Stage", name.clone()))?;
                    let mut stage = found.clone();
                    change(&mut stage.tags);
                    Ok((vec![RestChange::put(&stage)?], Answer::empty()))
                })
                .await
            }
            Named::Key(id) => {
                self.change_key(ctx, &id, |key: &mut ApiKey| {
                    change(&mut key.tags);
                    Ok(())
                })
                .await?;
                Ok(Answer::empty())
            }
            Named::Plan(id) => {
                self.change_plan(ctx, &id, |plan: &mut UsagePlan| {
                    change(&mut plan.tags);
                    Ok(())
                })
                .await?;
                Ok(Answer::empty())
            }
        }
    }

    pub(super) async fn get_rest_tags(&self, ctx: &Context, input: &Input) -> Result<Answer, ApiError> {
        let tags = match named(text(input, "resource_arn")?)? {
            Named::Api(id) => self.load_rest(ctx, &id).await?.api.tags,
            Named::Stage(id, name) => {
                let rows = self.load_rest(ctx, &id).await?;
                rows.stages.get(&name).ok_or_else(|| Error::NotFound("Stage", name.clone()))?.tags.clone()
            }
            Named::Key(id) => self.key(ctx, &id).await?.0.tags,
            Named::Plan(id) => self.plan(ctx, &id).await?.0.tags,
        };
        Ok(answer(&json!({ "tags": tags }))?)
    }
}
