//! TagQueue, UntagQueue, ListQueueTags.

use std::collections::BTreeMap;

use cumulet_wire::call::{Answer, Call};
use cumulet_wire::error::ApiError;
use serde_json::json;

use crate::{Sqs, errors, input};

const TAGS_MAX: usize = 50;

pub async fn tag(sqs: &Sqs, call: &Call) -> Result<Answer, ApiError> {
    let tags = input::pairs(&call.input, "Tags")?;
    if tags.is_empty() {
        return Err(errors::missing("Tags"));
    }
    let change = |queue: &mut crate::model::Queue| {
        let mut all = queue.tags.clone();
        all.extend(tags.clone());
        queue.tags = checked(all)?;
        Ok(())
    };
    sqs.storage.update(&input::place(call)?, change).await?;
    Ok(Answer::empty())
}

/// As many and as long as they may be.
pub fn checked(tags: BTreeMap<String, String>) -> Result<BTreeMap<String, String>, ApiError> {
    if tags.len() > TAGS_MAX {
        return Err(errors::invalid(format!("Too many tags: at most {TAGS_MAX} are allowed.")));
    }
    let fits = |(key, value): (&String, &String)| {
        (1..=128).contains(&key.chars().count()) && value.chars().count() <= 256 && !key.starts_with("aws:")
    };
    if tags.iter().all(fits) { Ok(tags) } else { Err(errors::invalid("A key or value of a tag is not valid.")) }
}

pub async fn untag(sqs: &Sqs, call: &Call) -> Result<Answer, ApiError> {
    let keys = input::texts(&call.input, "TagKeys");
    let change = |queue: &mut crate::model::Queue| {
        queue.tags.retain(|key, _| !keys.contains(key));
        Ok(())
    };
    sqs.storage.update(&input::place(call)?, change).await?;
    Ok(Answer::empty())
}

pub async fn list(sqs: &Sqs, call: &Call) -> Result<Answer, ApiError> {
    let queue = sqs.storage.queue(&input::place(call)?).await?;
    Answer::json(json!({"Tags": queue.tags}))
}
