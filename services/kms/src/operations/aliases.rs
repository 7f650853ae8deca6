//! Names for keys (<https://docs.aws.amazon.com/kms/latest/APIReference/API_CreateAlias.html>).

use cumulet_wire::call::{Answer, Call, seconds};
use cumulet_wire::error::ApiError;
use serde_json::{Value, json};

use super::{find, page, place, required, text};
use crate::model::{Alias, FORMAT, Key};
use crate::{Kms, errors};

const NAME_BYTES_MAX: usize = 256;

fn name(call: &Call) -> Result<&str, ApiError> {
    let name = required(call, "AliasName")?;
    let Some(rest) = name.strip_prefix("alias/") else {
        return Err(errors::alias_name(
            "Alias must start with the prefix \"alias/\". Please see https://docs.aws.amazon.com/kms/latest/developerguide/kms-alias.html",
        ));
    };
    if rest.starts_with("aws/") {
        return Err(errors::alias_name("An alias cannot begin with alias/aws/"));
    }
    let is_good = !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_alphanumeric() || b"/_-".contains(&b));
    match is_good && name.len() <= NAME_BYTES_MAX {
        true => Ok(name),
        false => Err(errors::validation(format!("AliasName {name} has other characters than a-zA-Z0-9/_-"))),
    }
}

/// The key that an alias is to name: by id or ARN, in the caller's account.
async fn target(kms: &Kms, call: &Call) -> Result<Key, ApiError> {
    let given = required(call, "TargetKeyId")?;
    if given.contains("alias/") {
        return Err(errors::validation("Aliases must refer to keys. Not aliases"));
    }
    let (of, key) = find(kms, call, given).await?;
    match key.gone_ms {
        _ if of != place(call) => Err(errors::no_key(given)),
        Some(_) => Err(errors::pending_deletion(&key.arn(&of))),
        None => Ok(key),
    }
}

pub async fn create(kms: &Kms, call: &Call) -> Result<Answer, ApiError> {
    let name = name(call)?;
    let (place, now_ms) = (place(call), call.context.now_ms);
    let key = target(kms, call).await?.id;
    let alias = Alias { v: FORMAT, name: name.to_owned(), key, created_ms: now_ms, updated_ms: now_ms };
    match kms.storage.put_alias(&place, &alias, true).await? {
        true => Ok(Answer::empty()),
        false => Err(errors::alias_exists(&place.arn(name))),
    }
}

pub async fn update(kms: &Kms, call: &Call) -> Result<Answer, ApiError> {
    let name = name(call)?;
    let place = place(call);
    let old = kms.storage.alias(&place, name).await?.ok_or_else(|| errors::no_alias(&place.arn(name)))?;
    let key = target(kms, call).await?;
    let before = kms.storage.key(&place, &old.key, call.context.now_ms).await?;
    if before.is_some_and(|before| before.spec.usage() != key.spec.usage()) {
        return Err(errors::validation("Key usage of the keys is not the same"));
    }
    let alias = Alias { key: key.id, updated_ms: call.context.now_ms, ..old };
    match kms.storage.put_alias(&place, &alias, false).await? {
        true => Ok(Answer::empty()),
        false => Err(errors::no_alias(&place.arn(name))),
    }
}

pub async fn delete(kms: &Kms, call: &Call) -> Result<Answer, ApiError> {
    let (name, place) = (name(call)?, place(call));
    if kms.storage.alias(&place, name).await?.is_none() {
        return Err(errors::no_alias(&place.arn(name)));
    }
    kms.storage.delete_alias(&place, name).await?;
    Ok(Answer::empty())
}

pub async fn list(kms: &Kms, call: &Call) -> Result<Answer, ApiError> {
    let place = place(call);
    let of = match text(call, "KeyId") {
        Some(given) => Some(find(kms, call, given).await?.1.id),
        None => None,
    };
    let all = kms.storage.aliases(&place).await?;
    let shown: Vec<Value> = all
        .iter()
        .filter(|alias| of.as_ref().is_none_or(|id| *id == alias.key))
        .map(|alias| {
            json!({
                "AliasName": alias.name,
                "AliasArn": place.arn(&alias.name),
                "TargetKeyId": alias.key,
                "CreationDate": seconds(alias.created_ms),
                "LastUpdatedDate": seconds(alias.updated_ms),
            })
        })
        .collect();
    page(call, "Aliases", shown, 50)
}
