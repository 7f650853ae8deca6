//! The operations by what they are about, and what several of them read alike.

pub mod create;
pub mod delete;
pub mod look;
pub mod policies;
pub mod tags;
pub mod values;

use cumulet_base::id;
use cumulet_wire::call::Call;
use cumulet_wire::error::ApiError;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::model::{Place, Sealed, Secret};
use crate::{SecretsManager, errors};

const VALUE_BYTES_MAX: usize = 65_536;
const DESCRIPTION_CHARS_MAX: usize = 2048;

pub fn text<'a>(call: &'a Call, member: &str) -> Option<&'a str> {
    call.input.get(member).and_then(Value::as_str)
}

pub fn required<'a>(call: &'a Call, member: &str) -> Result<&'a str, ApiError> {
    let found = text(call, member).filter(|text| !text.is_empty());
    found.ok_or_else(|| errors::invalid_parameter(format!("You must provide a value for the {member} parameter.")))
}

pub fn flag(call: &Call, member: &str) -> bool {
    call.input.get(member).and_then(Value::as_bool).unwrap_or_default()
}

fn place(call: &Call, name: &str) -> Place {
    let context = &call.context;
    Place { account: context.account().to_owned(), region: context.region.clone(), name: name.to_owned() }
}

/// A secret by its name, its ARN, or the part of its ARN before the random characters. Another account's by its ARN.
pub async fn look_up(manager: &SecretsManager, call: &Call, given: &str) -> Result<(Place, Option<Secret>), ApiError> {
    let now_ms = call.context.now_ms;
    let Some(rest) = given.strip_prefix("arn:") else {
        let place = place(call, given);
        let found = manager.storage.find(&place, now_ms).await?;
        return Ok((place, found));
    };
    let parts: Vec<&str> = rest.splitn(6, ':').collect();
    let [_, "secretsmanager", region, account, "secret", named] = parts[..] else {
        return Err(errors::invalid_parameter("Invalid ARN of a secret."));
    };
    let of = |name: &str| Place { account: account.to_owned(), region: region.to_owned(), name: name.to_owned() };
    if let Some((name, suffix)) = named.rsplit_once('-') {
        let place = of(name);
        let found = manager.storage.find(&place, now_ms).await?;
        if let Some(secret) = found.filter(|secret| secret.suffix == suffix) {
            return Ok((place, Some(secret)));
        }
    }
    let place = of(named);
    let found = manager.storage.find(&place, now_ms).await?;
    Ok((place, found))
}

/// The secret that a request is about, and that has to be there.
async fn secret(manager: &SecretsManager, call: &Call) -> Result<(Place, Secret), ApiError> {
    let (place, found) = look_up(manager, call, required(call, "SecretId")?).await?;
    Ok((place, found.ok_or_else(errors::not_found)?))
}

/// The same, where it must not be on its way out.
async fn live(manager: &SecretsManager, call: &Call) -> Result<(Place, Secret), ApiError> {
    let (place, secret) = secret(manager, call).await?;
    match secret.gone_ms {
        None => Ok((place, secret)),
        Some(_) => Err(errors::marked_for_deletion()),
    }
}

/// The value in a request, as plain text or base64.
struct Given<'a> {
    is_binary: bool,
    text: &'a str,
}

fn given_value(call: &Call) -> Result<Option<Given<'_>>, ApiError> {
    let (words, bytes) = (text(call, "SecretString"), text(call, "SecretBinary"));
    let given = match (words, bytes) {
        (Some(_), Some(_)) => {
            return Err(errors::invalid_parameter(
                "You can't specify both a binary secret value and a string secret value in the same secret.",
            ));
        }
        (Some(text), None) => Given { is_binary: false, text },
        (None, Some(text)) => Given { is_binary: true, text },
        (None, None) => return Ok(None),
    };
    let bytes = if given.is_binary { given.text.len() / 4 * 3 } else { given.text.len() };
    if given.text.is_empty() || bytes > VALUE_BYTES_MAX {
        return Err(errors::invalid_parameter("A secret's value has between 1 and 65536 bytes."));
    }
    Ok(Some(given))
}

impl Given<'_> {
    fn digest(&self) -> String {
        let kind = if self.is_binary { "b" } else { "s" };
        hex::encode(Sha256::digest(format!("{kind}{}", self.text)))
    }

    fn sealed(&self, manager: &SecretsManager, place: &Place, version: &str) -> Result<Sealed, ApiError> {
        let text = manager.seal.close(self.text.as_bytes(), &place.binding(version));
        let text = text.ok_or_else(|| errors::storage("Encrypting", &"the value is too long"))?;
        Ok(Sealed { is_binary: self.is_binary, text })
    }
}

/// The version's id: what the client gave, so that it may ask again, or a new one.
fn version_id(call: &Call) -> Result<String, ApiError> {
    match text(call, "ClientRequestToken") {
        None => Ok(id::uuid()),
        Some(token) if (32..=64).contains(&token.len()) => Ok(token.to_owned()),
        Some(_) => Err(errors::invalid_parameter("ClientRequestToken must be 32-64 characters long.")),
    }
}

fn description(call: &Call) -> Result<Option<String>, ApiError> {
    match text(call, "Description") {
        Some(text) if text.chars().count() > DESCRIPTION_CHARS_MAX => {
            Err(errors::invalid_parameter("A description has at most 2048 characters."))
        }
        text => Ok(text.map(str::to_owned)),
    }
}
