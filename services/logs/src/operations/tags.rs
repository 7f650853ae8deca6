//! TagResource, UntagResource, ListTagsForResource, for log groups.

use cumulet_wire::call::{Answer, Call};
use cumulet_wire::error::ApiError;
use serde_json::{Value, json};

use super::{at, name_of, required};
use crate::model::Place;
use crate::{Logs, errors};

const TAGS_MAX: usize = 50;

fn resource(call: &Call) -> Result<Place, ApiError> {
    let arn = call.input.get("resourceArn").and_then(Value::as_str);
    let arn = required("resourceArn", arn)?;
    if !arn.contains(":log-group:") {
        return Err(errors::invalid("The resource is not a log group."));
    }
    Ok(at(&call.context, name_of(arn)))
}

pub async fn tag(logs: &Logs, call: &Call) -> Result<Answer, ApiError> {
    let tags = call.input.get("tags").and_then(Value::as_object);
    let tags = required("tags", tags)?;
    logs.storage
        .update_group(&resource(call)?, |group| {
            for (key, value) in tags {
                let value = value.as_str().unwrap_or_default();
                group.tags.insert(key.clone(), value.to_owned());
            }
            if group.tags.len() > TAGS_MAX {
                return Err(errors::invalid(format!("A resource has at most {TAGS_MAX} tags.")));
            }
            Ok(())
        })
        .await?;
    Ok(Answer::empty())
}

pub async fn untag(logs: &Logs, call: &Call) -> Result<Answer, ApiError> {
    let keys = call.input.get("tagKeys").and_then(Value::as_array);
    let keys = required("tagKeys", keys)?;
    logs.storage
        .update_group(&resource(call)?, |group| {
            group.tags.retain(|key, _| !keys.iter().any(|k| k == key.as_str()));
            Ok(())
        })
        .await?;
    Ok(Answer::empty())
}

pub async fn list(logs: &Logs, call: &Call) -> Result<Answer, ApiError> {
    let group = logs.storage.group(&resource(call)?).await?;
    let group = group.ok_or_else(errors::group_not_found)?;
    Answer::json(json!({"tags": group.tags}))
}
