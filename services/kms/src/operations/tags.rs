//! Tags of keys.

use std::collections::BTreeMap;

use cumulet_wire::call::{Answer, Call};
use cumulet_wire::error::ApiError;
use serde_json::{Value, json};

use super::{change, lasting, page};
use crate::{Kms, errors};

const TAGS_MAX: usize = 50;

/// The tags in a request.
pub fn given(call: &Call) -> Result<BTreeMap<String, String>, ApiError> {
    let mut tags = BTreeMap::new();
    for tag in call.input.get("Tags").and_then(Value::as_array).into_iter().flatten() {
        let (Some(key), Some(value)) = (tag["TagKey"].as_str(), tag["TagValue"].as_str()) else {
            return Err(errors::validation("A tag has a TagKey and a TagValue"));
        };
        if key.is_empty() || key.chars().count() > 128 || value.chars().count() > 256 || key.starts_with("aws:") {
            return Err(errors::tag(format!("The tag {key} is not valid")));
        }
        if tags.insert(key.to_owned(), value.to_owned()).is_some() {
            return Err(errors::tag("Duplicate tag keys"));
        }
    }
    match tags.len() > TAGS_MAX {
        true => Err(errors::limit("A key has at most 50 tags")),
        false => Ok(tags),
    }
}

pub async fn tag(kms: &Kms, call: &Call) -> Result<Answer, ApiError> {
    let new = given(call)?;
    let (place, key) = lasting(kms, call).await?;
    change(kms, call, &place, &key.id, |key| {
        key.tags.extend(new.clone());
        match key.tags.len() > TAGS_MAX {
            true => Err(errors::limit("A key has at most 50 tags")),
            false => Ok(Answer::empty()),
        }
    })
    .await
}

pub async fn untag(kms: &Kms, call: &Call) -> Result<Answer, ApiError> {
    let keys = call.input.get("TagKeys").and_then(Value::as_array).cloned().unwrap_or_default();
    let (place, key) = lasting(kms, call).await?;
    change(kms, call, &place, &key.id, |key| {
        key.tags.retain(|name, _| !keys.iter().any(|gone| gone == name));
        Ok(Answer::empty())
    })
    .await
}

pub async fn list(kms: &Kms, call: &Call) -> Result<Answer, ApiError> {
    let (_, key) = lasting(kms, call).await?;
    let shown = key.tags.iter().map(|(key, value)| json!({ "TagKey": key, "TagValue": value })).collect();
    page(call, "Tags", shown, 50)
}
