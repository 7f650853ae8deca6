//! Tags of secrets (<https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_TagResource.html>).

use std::collections::BTreeMap;

use cumulet_wire::call::{Answer, Call};
use cumulet_wire::error::ApiError;
use serde_json::{Value, json};

use super::live;
use crate::storage::Beside;
use crate::{SecretsManager, errors};

const TAGS_MAX: usize = 50;

pub fn read(call: &Call) -> Result<BTreeMap<String, String>, ApiError> {
    let mut tags = BTreeMap::new();
    for tag in call.input.get("Tags").and_then(Value::as_array).into_iter().flatten() {
        let value = tag["Value"].as_str().unwrap_or_default();
        let key = tag["Key"].as_str().filter(|key| (1..=128).contains(&key.chars().count()));
        let key = key.filter(|key| !key.starts_with("aws:") && value.chars().count() <= 256);
        let key = key.ok_or_else(|| errors::invalid_parameter("Invalid tag."))?;
        tags.insert(key.to_owned(), value.to_owned());
    }
    match tags.len() > TAGS_MAX {
        true => Err(errors::limit("A secret can have at most 50 tags.")),
        false => Ok(tags),
    }
}

pub async fn tag(manager: &SecretsManager, call: &Call) -> Result<Answer, ApiError> {
    let ((place, _), tags) = (live(manager, call).await?, read(call)?);
    let changed = manager.storage.update(&place, call.context.now_ms, |secret| {
        secret.tags.extend(tags.clone());
        match secret.tags.len() > TAGS_MAX {
            true => Err(errors::limit("A secret can have at most 50 tags.")),
            false => Ok((Beside::default(), ())),
        }
    });
    changed.await?;
    Answer::json(json!({}))
}

pub async fn untag(manager: &SecretsManager, call: &Call) -> Result<Answer, ApiError> {
    let (place, _) = live(manager, call).await?;
    let keys: Vec<&str> =
        call.input.get("TagKeys").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
    let changed = manager.storage.update(&place, call.context.now_ms, |secret| {
        secret.tags.retain(|key, _| !keys.contains(&key.as_str()));
        Ok((Beside::default(), ()))
    });
    changed.await?;
    Answer::json(json!({}))
}
