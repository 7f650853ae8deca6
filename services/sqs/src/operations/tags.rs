//! TagQueue, UntagQueue, ListQueueTags.

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
        queue.tags.extend(tags.clone());
        let fits = queue.tags.len() <= TAGS_MAX;
        if fits { Ok(()) } else { Err(errors::invalid(format!("Too many tags: at most {TAGS_MAX} are allowed."))) }
    };
    sqs.storage.update(&input::place(call)?, change).await?;
    Ok(Answer::empty())
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
