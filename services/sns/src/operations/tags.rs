//! TagResource, UntagResource, ListTagsForResource.

use std::collections::BTreeMap;

use cumulet_base::limits::TOPIC_TAGS_MAX;
use cumulet_wire::call::{Answer, Call};
use cumulet_wire::error::ApiError;
use serde_json::{Value, json};

use crate::model::{Place, Topic};
use crate::{Sns, errors, input};

/// As many and as long as they may be.
pub fn checked(tags: BTreeMap<String, String>) -> Result<BTreeMap<String, String>, ApiError> {
    if tags.len() > TOPIC_TAGS_MAX {
        return Err(errors::too_many_tags());
    }
    let fits = |(key, value): (&String, &String)| {
        (1..=128).contains(&key.chars().count()) && value.chars().count() <= 256 && !key.starts_with("aws:")
    };
    if tags.iter().all(fits) { Ok(tags) } else { Err(errors::invalid("Tags")) }
}

async fn place(sns: &Sns, call: &Call) -> Result<(Place, Topic), ApiError> {
    let place = input::topic(call, "ResourceArn")?;
    let (topic, _) = sns.storage.find(&place).await?.ok_or_else(errors::no_resource)?;
    Ok((place, topic))
}

pub async fn tag(sns: &Sns, call: &Call) -> Result<Answer, ApiError> {
    let (place, _) = place(sns, call).await?;
    let given = input::tags(&call.input);
    let change = |topic: &mut Topic| {
        let mut all = topic.tags.clone();
        all.extend(given.clone());
        topic.tags = checked(all)?;
        Ok(())
    };
    sns.storage.update(&place, change).await?;
    Ok(Answer::empty())
}

pub async fn untag(sns: &Sns, call: &Call) -> Result<Answer, ApiError> {
    let (place, _) = place(sns, call).await?;
    let keys: Vec<&str> = input::list(&call.input, "TagKeys").filter_map(Value::as_str).collect();
    let change = |topic: &mut Topic| {
        topic.tags.retain(|key, _| !keys.contains(&key.as_str()));
        Ok(())
    };
    sns.storage.update(&place, change).await?;
    Ok(Answer::empty())
}

pub async fn list(sns: &Sns, call: &Call) -> Result<Answer, ApiError> {
    let (_, topic) = place(sns, call).await?;
    let tags: Vec<Value> = topic.tags.iter().map(|(key, value)| json!({"Key": key, "Value": value})).collect();
    Answer::json(json!({"Tags": tags}))
}
