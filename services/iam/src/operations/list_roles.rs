//! ListRoles (<https://docs.aws.amazon.com/IAM/latest/APIReference/API_ListRoles.html>), by name.

use cumulet_wire::call::{Answer, Call};
use cumulet_wire::error::ApiError;

use serde_json::{Value, json};

use super::{optional, page_size};
use crate::Iam;

pub async fn run(iam: &Iam, call: Call) -> Result<Answer, ApiError> {
    let limit = page_size(&call)?;
    let prefix = optional(&call, "PathPrefix").unwrap_or("/");
    let mut found = iam.storage.list(call.context.account(), optional(&call, "Marker"), prefix, limit + 1).await?;
    let is_truncated = found.len() > limit;
    found.truncate(limit);
    let roles: Vec<Value> = found.iter().map(|role| role.shape(false)).collect();
    let mut shape = json!({"Roles": roles, "IsTruncated": is_truncated});
    if let Some(last) = found.last().filter(|_| is_truncated) {
        shape["Marker"] = json!(last.name);
    }
    Answer::json(shape)
}
