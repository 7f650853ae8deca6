//! The operations, grouped by resource. Each decides on the API as loaded and says what changes; storing,
//! trying again after a conflict and telling the data plane are here.

mod apis;
mod authorizers;
mod deployments;
pub(crate) mod domains;
mod integrations;
mod routes;
mod stages;
mod tags;

use cumulet_wire::call::{Answer, Call, Context};
use cumulet_wire::error::ApiError;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use crate::ApiGateway;
use crate::errors::Error;
use crate::shapes::Texts;
use crate::storage::{ApiRows, Change};

type Decision = Result<(Vec<Change>, Answer), Error>;

/// How often a change is decided anew because another one came first.
pub(crate) const CHANGE_ATTEMPTS_MAX: usize = 8;
const PAGE_MAX_DEFAULT: usize = 100;

impl ApiGateway {
    pub(crate) async fn operate(&self, call: &Call) -> Result<Answer, ApiError> {
        let input = &call.input;
        let ctx = &call.context;
        match call.operation.name {
            "CreateApi" => self.create_api(ctx, input).await,
            "GetApi" => self.get_api(ctx, input).await,
            "GetApis" => self.get_apis(ctx, input).await,
            "UpdateApi" => self.change(ctx, input, apis::update).await,
            "DeleteApi" => self.delete_api(ctx, input).await,
            "DeleteCorsConfiguration" => self.change(ctx, input, apis::delete_cors).await,
            "CreateStage" => self.change(ctx, input, stages::create).await,
            "GetStage" => self.look(ctx, input, stages::get).await,
            "GetStages" => self.look(ctx, input, stages::list).await,
            "UpdateStage" => self.change(ctx, input, stages::update).await,
            "DeleteStage" => self.change(ctx, input, stages::delete).await,
            "DeleteAccessLogSettings" => self.change(ctx, input, stages::delete_access_log).await,
            "DeleteRouteSettings" => self.change(ctx, input, stages::delete_route_settings).await,
            "CreateRoute" => self.change(ctx, input, routes::create).await,
            "GetRoute" => self.look(ctx, input, routes::get).await,
            "GetRoutes" => self.look(ctx, input, routes::list).await,
            "UpdateRoute" => self.change(ctx, input, routes::update).await,
            "DeleteRoute" => self.change(ctx, input, routes::delete).await,
            "CreateIntegration" => self.change(ctx, input, integrations::create).await,
            "GetIntegration" => self.look(ctx, input, integrations::get).await,
            "GetIntegrations" => self.look(ctx, input, integrations::list).await,
            "UpdateIntegration" => self.change(ctx, input, integrations::update).await,
            "DeleteIntegration" => self.change(ctx, input, integrations::delete).await,
            "CreateDeployment" => self.change(ctx, input, deployments::create).await,
            "GetDeployment" => self.look(ctx, input, deployments::get).await,
            "GetDeployments" => self.look(ctx, input, deployments::list).await,
            "DeleteDeployment" => self.change(ctx, input, deployments::delete).await,
            "CreateAuthorizer" => self.change(ctx, input, authorizers::create).await,
            "GetAuthorizer" => self.look(ctx, input, authorizers::get).await,
            "GetAuthorizers" => self.look(ctx, input, authorizers::list).await,
            "UpdateAuthorizer" => self.change(ctx, input, authorizers::update).await,
            "DeleteAuthorizer" => self.change(ctx, input, authorizers::delete).await,
            "ResetAuthorizersCache" => {
                let rows = self.load(ctx, text(input, "apiId")?).await?;
                self.authorizations.forget(&rows.api.api_id);
                Ok(Answer::empty())
            }
            "TagResource" => self.tag_resource(ctx, input).await,
            "UntagResource" => self.untag_resource(ctx, input).await,
            "GetTags" => self.get_tags(ctx, input).await,
            name if name.contains("DomainName") || name.contains("ApiMapping") => {
                self.operate_domains(ctx, name, input).await
            }
            other => Err(ApiError::not_implemented("apigateway", other)),
        }
    }

    /// The caller's API of that id.
    async fn load(&self, ctx: &Context, api_id: &str) -> Result<ApiRows, Error> {
        self.storage
            .load(api_id)
            .await?
            .filter(|rows| rows.api.account == ctx.account() && rows.api.region == ctx.region)
            .ok_or_else(|| Error::NoApi(format!("{}:{api_id}", ctx.account())))
    }

    async fn look(
        &self,
        ctx: &Context,
        input: &Map<String, Value>,
        answer: impl Fn(&ApiRows, &Map<String, Value>) -> Result<Answer, Error> + Send,
    ) -> Result<Answer, ApiError> {
        let rows = self.load(ctx, text(input, "apiId")?).await?;
        Ok(answer(&rows, input)?)
    }

    async fn change(
        &self,
        ctx: &Context,
        input: &Map<String, Value>,
        decide: impl Fn(&mut ApiRows, &Map<String, Value>, &Context) -> Decision + Send + Sync,
    ) -> Result<Answer, ApiError> {
        let api_id = text(input, "apiId")?;
        self.change_api(ctx, api_id, |rows| decide(rows, input, ctx)).await
    }

    async fn change_api(
        &self,
        ctx: &Context,
        api_id: &str,
        decide: impl Fn(&mut ApiRows) -> Decision + Send + Sync,
    ) -> Result<Answer, ApiError> {
        let _turn = self.turn(api_id).await;
        for _ in 0..CHANGE_ATTEMPTS_MAX {
            let mut rows = self.load(ctx, api_id).await?;
            let (changes, answer) = decide(&mut rows)?;
            match self.storage.change(&rows, changes).await {
                Ok(()) => {
                    self.ready.forget(api_id);
                    self.authorizations.forget(api_id);
                    return Ok(answer);
                }
                Err(Error::Busy) => {}
                Err(other) => return Err(other.into()),
            }
        }
        Err(Error::Busy.into())
    }
}

/// `http://ID.execute-api.REGION.HOST`: the host and port the client used; machines that it named by address,
/// and whatever name ended in `localhost`, are `localhost`, under which every name resolves.
pub(crate) fn endpoint(ctx: &Context, api_id: &str) -> String {
    let name = cumulet_wire::data_plane::host_name(&ctx.host);
    let port = ctx.host.get(name.len()..).unwrap_or_default();
    let is_address = name.starts_with('[') || name.parse::<std::net::IpAddr>().is_ok();
    let base = match name.as_str() {
        "" => "localhost",
        _ if is_address || name.ends_with(".localhost") => "localhost",
        other => other,
    };
    format!("http://{api_id}.execute-api.{}.{base}{port}", ctx.region)
}

/// A member that has to be there, as text.
pub(crate) fn text<'a>(input: &'a Map<String, Value>, member: &str) -> Result<&'a str, Error> {
    input.get(member).and_then(Value::as_str).ok_or_else(|| Error::Invalid(format!("{member} is required")))
}

/// The current shape with the members of the input put in its place.
/// Maps are merged, where an empty text removes an entry, as AWS does it.
fn patched<T: Serialize + DeserializeOwned>(
    current: &T,
    input: &Map<String, Value>,
    writable: &[&str],
) -> Result<T, Error> {
    let Value::Object(mut value) = serde_json::to_value(current).map_err(Error::Row)? else {
        return Err(Error::Invalid("not an object".into()));
    };
    for &member in writable {
        match (input.get(member), member) {
            (None | Some(Value::Null), _) => {}
            (
                Some(Value::Object(new)),
                "stageVariables" | "routeSettings" | "requestParameters" | "defaultRouteSettings",
            ) => {
                let mut merged = match value.remove(member) {
                    Some(Value::Object(old)) => old,
                    _ => Map::new(),
                };
                for (name, entry) in new {
                    if entry.as_str() == Some("") {
                        merged.remove(name);
                    } else {
                        merged.insert(name.clone(), entry.clone());
                    }
                }
                value.insert(member.to_owned(), merged.into());
            }
            (Some(new), _) => {
                value.insert(member.to_owned(), new.clone());
            }
        }
    }
    serde_json::from_value(Value::Object(value)).map_err(|e| Error::Invalid(e.to_string()))
}

pub(crate) fn answer(shape: &impl Serialize) -> Result<Answer, Error> {
    let output = serde_json::to_value(shape).map_err(Error::Row)?;
    Ok(Answer { output, ..Answer::default() })
}

/// One page of a list. Tokens are the offset of the next item.
fn page<T: Serialize>(items: impl Iterator<Item = T>, input: &Map<String, Value>) -> Result<Answer, Error> {
    let number = |member: &str, default: usize| match input.get(member) {
        None | Some(Value::Null) => Ok(default),
        Some(value) => value
            .as_str()
            .and_then(|text| text.parse().ok())
            .or_else(|| value.as_u64().map(|n| n as usize))
            .ok_or_else(|| Error::Invalid(format!("Invalid value for {member}"))),
    };
    let offset = number("nextToken", 0)?;
    let max = number("maxResults", PAGE_MAX_DEFAULT)?.clamp(1, 1000);
    let mut rest = items.skip(offset);
    let taken: Vec<T> = rest.by_ref().take(max).collect();
    let mut output = json!({ "items": taken });
    if rest.next().is_some() {
        output["nextToken"] = (offset + max).to_string().into();
    }
    answer(&output)
}

/// `2026-11-23T10:15:30Z`.
pub(crate) fn now(ctx: &Context) -> String {
    let mut text = cumulet_base::clock::iso_ms(ctx.now_ms);
    text.truncate("2026-11-23T10:15:30".len());
    text.push('Z');
    text
}

pub(crate) fn given_tags(input: &Map<String, Value>) -> Result<Texts, Error> {
    match input.get("tags") {
        None | Some(Value::Null) => Ok(Texts::new()),
        Some(tags) => {
            serde_json::from_value(tags.clone()).map_err(|_| Error::Invalid("tags is not a map of texts".into()))
        }
    }
}
