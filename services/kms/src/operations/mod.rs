//! The operations by what they are about, and what several of them read alike.

pub mod aliases;
pub mod crypt;
pub mod grants;
pub mod keys;
pub mod mac;
pub mod policies;
pub mod rotation;
pub mod tags;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cumulet_wire::call::{Answer, Call};
use cumulet_wire::error::ApiError;
use serde_json::{Value, json};

use crate::cipher::Context;
use crate::model::{Key, Place};
use crate::{Kms, errors};

const CONTEXT_BYTES_MAX: usize = 8192;

pub fn text<'a>(call: &'a Call, member: &str) -> Option<&'a str> {
    call.input.get(member).and_then(Value::as_str)
}

fn required<'a>(call: &'a Call, member: &str) -> Result<&'a str, ApiError> {
    text(call, member).filter(|text| !text.is_empty()).ok_or_else(|| {
        let name = format!("{}{}", member[..1].to_ascii_lowercase(), &member[1..]);
        errors::validation(format!(
            "1 validation error detected: Value null at '{name}' failed to satisfy constraint: Member must not be null"
        ))
    })
}

/// A member that is bytes.
pub fn bytes(call: &Call, member: &str) -> Result<Vec<u8>, ApiError> {
    STANDARD.decode(required(call, member)?).map_err(|_| errors::validation(format!("{member} is no base64")))
}

fn base64(bytes: &[u8]) -> Value {
    STANDARD.encode(bytes).into()
}

pub fn context(call: &Call, member: &str) -> Result<Context, ApiError> {
    let given = call.input.get(member).filter(|given| !given.is_null());
    let context: Context = given.map_or(Ok(Context::new()), |given| {
        serde_json::from_value(given.clone()).map_err(|_| errors::validation(format!("{member} is no map of texts")))
    })?;
    match context.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>() > CONTEXT_BYTES_MAX {
        true => Err(errors::validation(format!("{member} has more than {CONTEXT_BYTES_MAX} bytes"))),
        false => Ok(context),
    }
}

fn place(call: &Call) -> Place {
    Place { account: call.context.account().to_owned(), region: call.context.region.clone() }
}

/// A key by its id, its ARN, or the name or ARN of an alias; another account's by ARN.
pub async fn find(kms: &Kms, call: &Call, given: &str) -> Result<(Place, Key), ApiError> {
    let (place, resource) = match given.strip_prefix("arn:") {
        None => (place(call), given),
        Some(rest) => {
            let parts: Vec<&str> = rest.splitn(5, ':').collect();
            let [_, "kms", region, account, resource] = parts[..] else { return Err(errors::invalid_arn(given)) };
            (Place { account: account.to_owned(), region: region.to_owned() }, resource)
        }
    };
    let id = match resource.starts_with("alias/") {
        true => {
            let alias = kms.storage.alias(&place, resource).await?;
            alias.ok_or_else(|| errors::no_alias(&place.arn(resource)))?.key
        }
        false => resource.strip_prefix("key/").unwrap_or(resource).to_owned(),
    };
    let key = kms.storage.key(&place, &id, call.context.now_ms).await?;
    let arn = place.arn(&format!("key/{id}"));
    Ok((place, key.ok_or_else(|| errors::no_key(&arn))?))
}

/// The key that a request is about; whatever its state.
async fn key_of(kms: &Kms, call: &Call) -> Result<(Place, Key), ApiError> {
    find(kms, call, required(call, "KeyId")?).await
}

/// The same, where aliases do not count and the key must not be on its way out.
async fn lasting(kms: &Kms, call: &Call) -> Result<(Place, Key), ApiError> {
    let given = required(call, "KeyId")?;
    if given.contains("alias/") {
        return Err(errors::invalid_arn(given));
    }
    let (place, key) = find(kms, call, given).await?;
    match key.gone_ms {
        Some(_) => Err(errors::pending_deletion(&key.arn(&place))),
        None => Ok((place, key)),
    }
}

/// A key that is used now.
fn usable(place: &Place, key: Key) -> Result<Key, ApiError> {
    let arn = key.arn(place);
    match (key.gone_ms, key.is_enabled) {
        (Some(_), _) => Err(errors::pending_deletion(&arn)),
        (None, false) => Err(errors::disabled(&arn)),
        (None, true) => Ok(key),
    }
}

/// Changes the key that was found.
async fn change<T: Send>(
    kms: &Kms,
    call: &Call,
    place: &Place,
    id: &str,
    change: impl FnMut(&mut Key) -> Result<T, ApiError> + Send,
) -> Result<T, ApiError> {
    let done = kms.storage.update(place, id, call.context.now_ms, change).await?;
    done.ok_or_else(|| errors::no_key(&place.arn(&format!("key/{id}"))))
}

/// One page; markers are the offset of the next item.
fn page(call: &Call, member: &str, items: Vec<Value>, max: usize) -> Result<Answer, ApiError> {
    let offset = match text(call, "Marker") {
        None => 0,
        Some(marker) => marker.parse::<usize>().map_err(|_| errors::marker())?,
    };
    let limit = call.input.get("Limit").and_then(Value::as_u64).map_or(max, |limit| limit as usize);
    if !(1..=1000).contains(&limit) {
        return Err(errors::validation("Limit is between 1 and 1000"));
    }
    let is_truncated = items.len() > offset.saturating_add(limit);
    let taken: Vec<Value> = items.into_iter().skip(offset).take(limit).collect();
    let mut answer = json!({ "Truncated": is_truncated });
    answer[member] = taken.into();
    if is_truncated {
        answer["NextMarker"] = (offset + limit).to_string().into();
    }
    Answer::json(answer)
}

fn is_dry_run(call: &Call) -> Result<(), ApiError> {
    match call.input.get("DryRun").and_then(Value::as_bool) {
        Some(true) => Err(errors::dry_run()),
        _ => Ok(()),
    }
}
