//! Tags of APIs and stages, by ARN: `arn:aws:apigateway:REGION::/apis/ID[/stages/NAME]`.

use cumulet_wire::call::{Answer, Context};
use cumulet_wire::error::ApiError;
use serde_json::{Map, Value, json};

use super::{answer, given_tags, text};
use crate::ApiGateway;
use crate::errors::Error;
use crate::shapes::Texts;
use crate::storage::{ApiRows, Change};

fn named(arn: &str) -> Result<(String, Option<String>), Error> {
    let bad = || Error::Invalid(format!("Invalid ARN specified in the request: {arn}"));
    let path = arn.splitn(6, ':').nth(5).ok_or_else(bad)?;
    let mut parts = path.strip_prefix("/apis/").ok_or_else(bad)?.split('/');
    let api_id = parts.next().filter(|id| !id.is_empty()).ok_or_else(bad)?;
    match (parts.next(), parts.next(), parts.next()) {
        (None, ..) => Ok((api_id.to_owned(), None)),
        (Some("stages"), Some(stage), None) => Ok((api_id.to_owned(), Some(stage.to_owned()))),
        _ => Err(bad()),
    }
}

fn retag(rows: &mut ApiRows, stage: Option<&String>, change: impl Fn(&mut Texts)) -> Result<Vec<Change>, Error> {
    let Some(name) = stage else {
        change(&mut rows.api.tags);
        return Ok(Vec::new());
    };
    let mut stage = rows.stages.get(name).ok_or_else(|| Error::NotFound("Stage", name.clone()))?.clone();
    change(&mut stage.tags);
    Ok(vec![Change::PutStage(stage)])
}

impl ApiGateway {
    pub(super) async fn tag_resource(&self, ctx: &Context, input: &Map<String, Value>) -> Result<Answer, ApiError> {
        let (api_id, stage) = named(text(input, "resourceArn")?)?;
        let new = given_tags(input)?;
        self.change_api(ctx, &api_id, |rows| {
            let changes = retag(rows, stage.as_ref(), |tags| tags.extend(new.clone()))?;
            Ok((changes, Answer::empty()))
        })
        .await
    }

    pub(super) async fn untag_resource(&self, ctx: &Context, input: &Map<String, Value>) -> Result<Answer, ApiError> {
        let (api_id, stage) = named(text(input, "resourceArn")?)?;
        let keys = input.get("tagKeys").and_then(Value::as_array);
        let keys: Vec<&str> = keys.map(|keys| keys.iter().filter_map(Value::as_str).collect()).unwrap_or_default();
        self.change_api(ctx, &api_id, |rows| {
            let changes = retag(rows, stage.as_ref(), |tags| {
                tags.retain(|key, _| !keys.contains(&key.as_str()));
            })?;
            Ok((changes, Answer::empty()))
        })
        .await
    }

    pub(super) async fn get_tags(&self, ctx: &Context, input: &Map<String, Value>) -> Result<Answer, ApiError> {
        let (api_id, stage) = named(text(input, "resourceArn")?)?;
        let rows = self.load(ctx, &api_id).await?;
        let tags = match stage {
            None => &rows.api.tags,
            Some(name) => match rows.stages.get(&name) {
                Some(stage) => &stage.tags,
                None => return Err(Error::NotFound("Stage", name).into()),
            },
        };
        Ok(answer(&json!({ "tags": tags }))?)
    }
}
