//! Tags of alarms.

use std::collections::BTreeMap;

use cumulet_wire::call::{Answer, Call};
use cumulet_wire::error::ApiError;
use serde_json::{Value, json};

use super::{required, texts};
use crate::metrics::Place;
use crate::model::Alarm;
use crate::storage::ALARM;
use crate::{CloudWatch, errors};

const TAGS_MAX: usize = 50;

pub fn given(call: &Call) -> Result<BTreeMap<String, String>, ApiError> {
    let list = call.input.get("Tags").and_then(Value::as_array).cloned().unwrap_or_default();
    let pair = |tag: &Value| Some((tag["Key"].as_str()?.to_owned(), tag["Value"].as_str()?.to_owned()));
    let tags: Option<BTreeMap<String, String>> = list.iter().map(pair).collect();
    match tags {
        Some(tags) if tags.len() <= TAGS_MAX => Ok(tags),
        _ => Err(errors::invalid("Tags are at most 50 pairs of a Key and a Value")),
    }
}

/// The alarm that an ARN names.
fn named(call: &Call) -> Result<&str, ApiError> {
    let arn = required(call, "ResourceARN")?;
    let name = arn.splitn(6, ':').nth(5).and_then(|resource| resource.strip_prefix("alarm:"));
    name.ok_or_else(|| errors::no_resource(arn))
}

async fn change(
    watch: &CloudWatch,
    call: &Call,
    change: impl Fn(&mut BTreeMap<String, String>) + Send + Sync,
) -> Result<Answer, ApiError> {
    let name = named(call)?;
    watch
        .storage
        .update(&Place::of(&call.context), (ALARM, name), |alarm: Option<Alarm>| {
            let mut alarm = alarm.ok_or_else(|| errors::no_resource(name))?;
            change(&mut alarm.tags);
            match alarm.tags.len() > TAGS_MAX {
                true => Err(errors::invalid("An alarm has at most 50 tags")),
                false => Ok(Some(alarm)),
            }
        })
        .await?;
    Ok(Answer::empty())
}

pub async fn tag(watch: &CloudWatch, call: &Call) -> Result<Answer, ApiError> {
    let new = given(call)?;
    change(watch, call, |tags| tags.extend(new.clone())).await
}

pub async fn untag(watch: &CloudWatch, call: &Call) -> Result<Answer, ApiError> {
    let gone = texts(call, "TagKeys");
    change(watch, call, |tags| tags.retain(|key, _| !gone.contains(&key.as_str()))).await
}

pub async fn list(watch: &CloudWatch, call: &Call) -> Result<Answer, ApiError> {
    let name = named(call)?;
    let alarm: Option<Alarm> = watch.storage.get(&Place::of(&call.context), ALARM, name).await?;
    let alarm = alarm.ok_or_else(|| errors::no_resource(name))?;
    let tags: Vec<Value> = alarm.tags.iter().map(|(key, value)| json!({ "Key": key, "Value": value })).collect();
    Answer::json(json!({ "Tags": tags }))
}
