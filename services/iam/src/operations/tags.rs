//! Tags of roles, users, policies and instance profiles
//! (<https://docs.aws.amazon.com/IAM/latest/APIReference/API_TagRole.html> and its neighbours).

use cumulet_wire::call::{Answer, Call};
use cumulet_wire::error::ApiError;
use serde_json::{Value, json};

use super::{account, check_tags, read_tags, required};
use crate::entities::Tagged;
use crate::{Iam, errors, model};

/// The name in a member that has a name or an ARN.
fn named<'a>(call: &'a Call, member: &str) -> Result<&'a str, ApiError> {
    Ok(required(call, member)?.rsplit('/').next().unwrap_or_default())
}

pub async fn tag<T: Tagged>(iam: &Iam, call: Call, member: &str) -> Result<Answer, ApiError> {
    let tags = read_tags(&call)?;
    iam.storage
        .update(account(&call), named(&call, member)?, |entity: &mut T| {
            entity.tags().extend(tags.clone());
            check_tags(entity.tags())
        })
        .await?;
    Ok(Answer::empty())
}

pub async fn untag<T: Tagged>(iam: &Iam, call: Call, member: &str) -> Result<Answer, ApiError> {
    let keys: Vec<&str> =
        call.input.get("TagKeys").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
    if keys.is_empty() {
        return Err(errors::invalid_input("TagKeys is empty"));
    }
    iam.storage
        .update(account(&call), named(&call, member)?, |entity: &mut T| {
            entity.tags().retain(|key, _| !keys.contains(&key.as_str()));
            Ok(())
        })
        .await?;
    Ok(Answer::empty())
}

pub async fn list<T: Tagged>(iam: &Iam, call: Call, member: &str) -> Result<Answer, ApiError> {
    let mut entity: T = iam.storage.require(account(&call), named(&call, member)?).await?;
    Answer::json(json!({ "Tags": model::tag_list(entity.tags()), "IsTruncated": false }))
}
