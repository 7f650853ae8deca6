//! Tags of parameters
//! (<https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_AddTagsToResource.html> and its neighbours).

use std::collections::BTreeMap;

use cumulet_wire::call::{Answer, Call};
use cumulet_wire::error::ApiError;
use serde_json::{Value, json};

use super::{place, required, texts};
use crate::model::Place;
use crate::storage::Beside;
use crate::{Ssm, errors};

const TAGS_MAX: usize = 50;

pub fn read(call: &Call) -> Result<BTreeMap<String, String>, ApiError> {
    let list = call.input.get("Tags").and_then(Value::as_array);
    let mut tags = BTreeMap::new();
    for tag in list.into_iter().flatten() {
        let key = tag["Key"].as_str().filter(|key| !key.is_empty() && key.chars().count() <= 128);
        let value = tag["Value"].as_str().unwrap_or_default();
        let key = key.ok_or_else(|| errors::invalid("A tag has no key, or one of more than 128 characters."))?;
        if value.chars().count() > 256 {
            return Err(errors::invalid("A tag has a value of more than 256 characters."));
        }
        tags.insert(key.to_owned(), value.to_owned());
    }
    match tags.len() > TAGS_MAX {
        true => Err(errors::too_many_tags()),
        false => Ok(tags),
    }
}

fn of_parameter(call: &Call) -> Result<Place, ApiError> {
    match required(call, "ResourceType")? {
        "Parameter" => Ok(place(call, required(call, "ResourceId")?)),
        _ => Err(errors::invalid_resource_type()),
    }
}

/// What is not there has another name here than elsewhere.
fn missing(error: ApiError, place: &Place) -> ApiError {
    match error.code.as_str() {
        "ParameterNotFound" => errors::invalid_resource(&place.name),
        _ => error,
    }
}

pub async fn add(ssm: &Ssm, call: &Call) -> Result<Answer, ApiError> {
    let place = of_parameter(call)?;
    let tags = read(call)?;
    let changed = ssm.storage.update(&place, |parameter| {
        parameter.tags.extend(tags.clone());
        match parameter.tags.len() > TAGS_MAX {
            true => Err(errors::too_many_tags()),
            false => Ok((Beside::default(), ())),
        }
    });
    changed.await.map_err(|error| missing(error, &place))?;
    Answer::json(json!({}))
}

pub async fn remove(ssm: &Ssm, call: &Call) -> Result<Answer, ApiError> {
    let place = of_parameter(call)?;
    let keys = texts(call, "TagKeys");
    let changed = ssm.storage.update(&place, |parameter| {
        parameter.tags.retain(|key, _| !keys.contains(&key.as_str()));
        Ok((Beside::default(), ()))
    });
    changed.await.map_err(|error| missing(error, &place))?;
    Answer::json(json!({}))
}

pub async fn list(ssm: &Ssm, call: &Call) -> Result<Answer, ApiError> {
    let place = of_parameter(call)?;
    let parameter = ssm.storage.find(&place).await?.ok_or_else(|| errors::invalid_resource(&place.name))?;
    let tags: Vec<Value> = parameter.tags.iter().map(|(key, value)| json!({ "Key": key, "Value": value })).collect();
    Answer::json(json!({ "TagList": tags }))
}
