//! DescribeSecret, ListSecrets, ListSecretVersionIds
//! (<https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_ListSecrets.html>).

use cumulet_wire::call::{Answer, Call};
use cumulet_wire::error::ApiError;
use serde_json::{Value, json};

use super::{flag, place, secret, text};
use crate::model::{Secret, seconds};
use crate::{SecretsManager, errors};

const PAGE_MAX: usize = 100;

pub async fn describe(manager: &SecretsManager, call: &Call) -> Result<Answer, ApiError> {
    let (place, secret) = secret(manager, call).await?;
    Answer::json(secret.shape(&place, "VersionIdsToStages"))
}

/// From where on, and how many.
pub fn window(call: &Call, max: usize) -> Result<(usize, usize), ApiError> {
    let from = text(call, "NextToken").map_or(Ok(0), |token| token.parse().map_err(|_| errors::invalid_token()))?;
    let count = match call.input.get("MaxResults").filter(|value| !value.is_null()) {
        None => max,
        Some(value) => value
            .as_u64()
            .and_then(|n| usize::try_from(n).ok())
            .filter(|n| (1..=max).contains(n))
            .ok_or_else(|| errors::invalid_parameter(format!("MaxResults must be between 1 and {max}.")))?,
    };
    Ok((from, count))
}

pub fn paged(
    mut answer: Value,
    member: &str,
    all: Vec<Value>,
    (from, count): (usize, usize),
) -> Result<Answer, ApiError> {
    let end = from.saturating_add(count);
    if all.len() > end {
        answer["NextToken"] = end.to_string().into();
    }
    answer[member] = all.into_iter().skip(from).take(count).collect();
    Answer::json(answer)
}

/// Filters are all to hold, of the values of each at least one; each a beginning, behind `!` one that must not be.
pub fn filters(call: &Call) -> Result<Vec<(String, Vec<String>)>, ApiError> {
    const KEYS: &[&str] = &["name", "description", "tag-key", "tag-value", "primary-region", "owning-service", "all"];
    let mut filters = Vec::new();
    for filter in call.input.get("Filters").and_then(Value::as_array).into_iter().flatten() {
        let key = filter["Key"].as_str().unwrap_or_default();
        if !KEYS.contains(&key) {
            return Err(errors::invalid_parameter(format!("Invalid filter key: {key}")));
        }
        let values = filter["Values"].as_array().into_iter().flatten().filter_map(Value::as_str);
        filters.push((key.to_owned(), values.map(str::to_owned).collect()));
    }
    Ok(filters)
}

pub fn is_wanted(secret: &Secret, filters: &[(String, Vec<String>)]) -> bool {
    let begins = |text: &str, value: &str, is_exact: bool| match is_exact {
        true => text.starts_with(value),
        false => text.to_lowercase().starts_with(&value.to_lowercase()),
    };
    let has = |key: &str, value: &str| {
        let description = secret.description.iter().map(String::as_str);
        let words: Vec<&str> = match key {
            "name" => vec![&secret.name],
            "description" => description.flat_map(str::split_whitespace).collect(),
            "tag-key" => secret.tags.keys().map(String::as_str).collect(),
            "tag-value" => secret.tags.values().map(String::as_str).collect(),
            "all" => {
                let tags = secret.tags.iter().flat_map(|(key, value)| [key.as_str(), value]);
                description.flat_map(str::split_whitespace).chain([secret.name.as_str()]).chain(tags).collect()
            }
            _ => Vec::new(),
        };
        let is_exact = !matches!(key, "description" | "all");
        words.iter().any(|word| begins(word, value, is_exact))
    };
    filters.iter().all(|(key, values)| {
        values.iter().any(|value| match value.strip_prefix('!') {
            Some(value) => !has(key, value),
            None => has(key, value),
        })
    })
}

pub async fn list(manager: &SecretsManager, call: &Call) -> Result<Answer, ApiError> {
    let (window, filters) = (window(call, PAGE_MAX)?, filters(call)?);
    let context = &call.context;
    let mut all = manager.storage.list(context.account(), &context.region, context.now_ms).await?;
    let with_deleted = flag(call, "IncludePlannedDeletion");
    all.retain(|secret| (with_deleted || secret.gone_ms.is_none()) && is_wanted(secret, &filters));
    match text(call, "SortBy") {
        Some("name") => {}
        Some("last-accessed-date") => all.sort_by_key(|secret| secret.accessed_ms),
        Some("last-changed-date") => all.sort_by_key(|secret| secret.changed_ms),
        _ => all.sort_by_key(|secret| secret.created_ms),
    }
    if text(call, "SortOrder") == Some("desc") {
        all.reverse();
    }
    let entries = all.iter().map(|secret| secret.shape(&place(call, &secret.name), "SecretVersionsToStages")).collect();
    paged(json!({}), "SecretList", entries, window)
}

pub async fn versions(manager: &SecretsManager, call: &Call) -> Result<Answer, ApiError> {
    let window = window(call, PAGE_MAX)?;
    let (place, secret) = secret(manager, call).await?;
    let with_deprecated = flag(call, "IncludeDeprecated");
    let kept = secret.versions.iter().filter(|(_, version)| with_deprecated || !version.stages.is_empty());
    let shown = kept.map(|(id, version)| {
        let mut shown = json!({ "VersionId": id, "CreatedDate": seconds(version.created_ms) });
        if !version.stages.is_empty() {
            shown["VersionStages"] = json!(version.stages);
        }
        shown
    });
    let answer = json!({ "ARN": secret.arn(&place), "Name": secret.name });
    paged(answer, "Versions", shown.collect(), window)
}
