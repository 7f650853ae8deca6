//! The operations, grouped by resource; as for HTTP APIs, each decides on the API as loaded and says what changes.

mod apis;
mod deployments;
mod domains;
pub(crate) mod keys;
mod methods;
mod parts;
mod resources;
pub(crate) use resources::below;
mod stages;
mod tags;
mod usage;

use cumulet_wire::call::{Answer, Call, Context};
use cumulet_wire::error::ApiError;
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::ApiGateway;
use crate::errors::Error;
use crate::operations::{CHANGE_ATTEMPTS_MAX, answer, text};
use crate::storage::rest::{RestChange, RestRows};

type Input = Map<String, Value>;
type Decision = Result<(Vec<RestChange>, Answer), Error>;

impl ApiGateway {
    pub(crate) async fn operate_rest(&self, call: &Call) -> Result<Answer, ApiError> {
        let (ctx, input) = (&call.context, &call.input);
        match call.operation.name {
            "CreateRestApi" => self.create_rest_api(ctx, input).await,
            "GetRestApi" => self.look_rest(ctx, input, |rows, _| answer(&apis::shown(&rows.api))).await,
            "GetRestApis" => self.get_rest_apis(ctx, input).await,
            "UpdateRestApi" => self.change_rest(ctx, input, apis::update).await,
            "DeleteRestApi" => self.delete_rest_api(ctx, input).await,
            "PutRestApi" => self.put_rest_api(ctx, input, &call.payload).await,
            "CreateResource" => self.change_rest(ctx, input, resources::create).await,
            "GetResource" => self.look_rest(ctx, input, resources::get).await,
            "GetResources" => self.look_rest(ctx, input, resources::list).await,
            "UpdateResource" => self.change_rest(ctx, input, resources::update).await,
            "DeleteResource" => self.change_rest(ctx, input, resources::delete).await,
            "PutMethod" => self.change_rest(ctx, input, methods::put).await,
            "GetMethod" => self.look_rest(ctx, input, methods::get).await,
            "UpdateMethod" => self.change_rest(ctx, input, methods::update).await,
            "DeleteMethod" => self.change_rest(ctx, input, methods::delete).await,
            "PutMethodResponse" => self.change_rest(ctx, input, methods::put_response).await,
            "GetMethodResponse" => self.look_rest(ctx, input, methods::get_response).await,
            "DeleteMethodResponse" => self.change_rest(ctx, input, methods::delete_response).await,
            "PutIntegration" => self.change_rest(ctx, input, methods::put_integration).await,
            "GetIntegration" => self.look_rest(ctx, input, methods::get_integration).await,
            "DeleteIntegration" => self.change_rest(ctx, input, methods::delete_integration).await,
            "PutIntegrationResponse" => self.change_rest(ctx, input, methods::put_integration_response).await,
            "GetIntegrationResponse" => self.look_rest(ctx, input, methods::get_integration_response).await,
            "DeleteIntegrationResponse" => self.change_rest(ctx, input, methods::delete_integration_response).await,
            "CreateDeployment" => self.change_rest(ctx, input, deployments::create).await,
            "GetDeployment" => self.look_rest(ctx, input, deployments::get).await,
            "GetDeployments" => self.look_rest(ctx, input, deployments::list).await,
            "UpdateDeployment" => self.change_rest(ctx, input, deployments::update).await,
            "DeleteDeployment" => self.change_rest(ctx, input, deployments::delete).await,
            "CreateStage" => self.change_rest(ctx, input, stages::create).await,
            "GetStage" => self.look_rest(ctx, input, stages::get).await,
            "GetStages" => self.look_rest(ctx, input, stages::list).await,
            "UpdateStage" => self.change_rest(ctx, input, stages::update).await,
            "DeleteStage" => self.change_rest(ctx, input, stages::delete).await,
            "FlushStageAuthorizersCache" => self.flush_authorizers(ctx, input).await,
            "GetAccount" => self.get_account(ctx).await,
            "UpdateAccount" => self.update_account(ctx, input).await,
            "TagResource" => self.tag_rest(ctx, input).await,
            "UntagResource" => self.untag_rest(ctx, input).await,
            "GetTags" => self.get_rest_tags(ctx, input).await,
            name if name.contains("DomainName") || name.contains("BasePath") => {
                self.operate_rest_domains(ctx, name, input).await
            }
            name if name.contains("ApiKey") || name.contains("Usage") => self.operate_keys(ctx, name, input).await,
            name => self.operate_parts(ctx, name, input).await,
        }
    }

    async fn load_rest(&self, ctx: &Context, id: &str) -> Result<RestRows, Error> {
        let found = self.storage.load_rest(id).await?;
        let own = found.filter(|rows| rows.api.account == ctx.account() && rows.api.region == ctx.region);
        own.ok_or_else(|| Error::NoApi(format!("{}:{id}", ctx.account())))
    }

    async fn look_rest(
        &self,
        ctx: &Context,
        input: &Input,
        answer: impl Fn(&RestRows, &Input) -> Result<Answer, Error> + Send,
    ) -> Result<Answer, ApiError> {
        let rows = self.load_rest(ctx, text(input, "restapi_id")?).await?;
        Ok(answer(&rows, input)?)
    }

    async fn change_rest(
        &self,
        ctx: &Context,
        input: &Input,
        decide: impl Fn(&mut RestRows, &Input, &Context) -> Decision + Send + Sync,
    ) -> Result<Answer, ApiError> {
        let id = text(input, "restapi_id")?;
        self.change_rest_api(ctx, id, |rows| decide(rows, input, ctx)).await
    }

    async fn change_rest_api(
        &self,
        ctx: &Context,
        id: &str,
        decide: impl Fn(&mut RestRows) -> Decision + Send + Sync,
    ) -> Result<Answer, ApiError> {
        let _turn = self.turn(id).await;
        for _ in 0..CHANGE_ATTEMPTS_MAX {
            let mut rows = self.load_rest(ctx, id).await?;
            let (changes, answer) = decide(&mut rows)?;
            match self.storage.change_rest(&rows, changes).await {
                Ok(()) => {
                    self.rests.forget(id);
                    return Ok(answer);
                }
                Err(Error::Busy) => {}
                Err(other) => return Err(other.into()),
            }
        }
        Err(Error::Busy.into())
    }
}

/// One page of a list. Positions are the offset of the next item.
fn page<T: Serialize>(items: impl Iterator<Item = T>, input: &Input) -> Result<Answer, Error> {
    let number = |member: &str, default: usize| match input.get(member) {
        None | Some(Value::Null) => Ok(default),
        Some(value) => {
            let number =
                value.as_str().and_then(|text| text.parse().ok()).or_else(|| value.as_u64().map(|n| n as usize));
            number.ok_or_else(|| Error::Invalid(format!("Invalid value for {member}")))
        }
    };
    let (offset, max) = (number("position", 0)?, number("limit", 25)?.clamp(1, 500));
    let mut rest = items.skip(offset);
    let taken: Vec<T> = rest.by_ref().take(max).collect();
    let mut output = json!({ "item": taken });
    if rest.next().is_some() {
        output["position"] = (offset + max).to_string().into();
    }
    answer(&output)
}

fn seconds(ctx: &Context) -> f64 {
    (ctx.now_ms / 1000) as f64
}

fn optional(input: &Input, member: &str) -> Option<String> {
    input.get(member).and_then(Value::as_str).map(str::to_owned)
}

/// A shape of the members given; what the service model does not know of is not looked at.
fn shape<T: serde::de::DeserializeOwned>(input: &Input) -> Result<T, Error> {
    serde_json::from_value(input.clone().into()).map_err(|e| Error::Invalid(e.to_string()))
}
