//! Message authentication codes (<https://docs.aws.amazon.com/kms/latest/APIReference/API_GenerateMac.html>).

use cumulet_wire::call::{Answer, Call};
use cumulet_wire::error::ApiError;
use serde_json::json;

use super::{base64, bytes, is_dry_run, key_of, keys, required, usable};
use crate::model::{Key, Place};
use crate::{Kms, cipher, errors};

const MESSAGE_BYTES_MAX: usize = 4096;

/// The key with its bytes, the message, and the algorithm that has to be the key's.
async fn asked(kms: &Kms, call: &Call) -> Result<(Place, Key, Vec<u8>, Vec<u8>), ApiError> {
    let message = bytes(call, "Message")?;
    if message.is_empty() || message.len() > MESSAGE_BYTES_MAX {
        return Err(errors::validation("Message has between 1 and 4096 bytes"));
    }
    let algorithm = required(call, "MacAlgorithm")?;
    let (place, key) = key_of(kms, call).await?;
    let key = usable(&place, key)?;
    if key.spec.mac() != Some(algorithm) {
        return Err(errors::usage(&key.arn(&place), key.spec.usage()));
    }
    is_dry_run(call)?;
    let material = keys::opened(kms, &key, 0)?;
    Ok((place, key, material, message))
}

pub async fn generate(kms: &Kms, call: &Call) -> Result<Answer, ApiError> {
    let (place, key, material, message) = asked(kms, call).await?;
    let arn = key.arn(&place);
    let mac = cipher::mac(key.spec, &material, &message).ok_or_else(|| errors::usage(&arn, key.spec.usage()))?;
    Answer::json(json!({ "KeyId": arn, "Mac": base64(&mac), "MacAlgorithm": key.spec.mac() }))
}

pub async fn verify(kms: &Kms, call: &Call) -> Result<Answer, ApiError> {
    let mac = bytes(call, "Mac")?;
    let (place, key, material, message) = asked(kms, call).await?;
    match cipher::is_mac(key.spec, &material, &message, &mac) {
        true => Answer::json(json!({ "KeyId": key.arn(&place), "MacValid": true, "MacAlgorithm": key.spec.mac() })),
        false => Err(errors::mac()),
    }
}
