//! Encryption and decryption (<https://docs.aws.amazon.com/kms/latest/APIReference/API_Encrypt.html>).

use cumulet_base::id;
use cumulet_wire::call::{Answer, Call};
use cumulet_wire::error::ApiError;
use serde_json::{Value, json};

use super::{base64, bytes, context, find, is_dry_run, key_of, keys, required, rotation, text, usable};
use crate::cipher::{self, Blob, Context};
use crate::model::{Key, Place, Spec};
use crate::{Kms, errors};

const PLAINTEXT_BYTES_MAX: usize = 4096;
const CIPHERTEXT_BYTES_MAX: usize = 6144;
const RANDOM_BYTES_MAX: usize = 1024;
const ALGORITHM: &str = "SYMMETRIC_DEFAULT";

/// Not for a message authentication code, and with the one algorithm there is.
fn symmetric(place: &Place, key: Key, algorithm: Option<&str>) -> Result<Key, ApiError> {
    let key = usable(place, key)?;
    if key.spec != Spec::Symmetric {
        return Err(errors::usage(&key.arn(place), key.spec.usage()));
    }
    match algorithm {
        None | Some(ALGORITHM) => Ok(key),
        Some(other) => Err(errors::usage(&key.arn(place), &format!("{} without {other}", key.spec.usage()))),
    }
}

/// With the newest generation, which is made first where it is time.
async fn sealed(
    kms: &Kms,
    call: &Call,
    place: &Place,
    key: Key,
    context: &Context,
    plain: &[u8],
) -> Result<Vec<u8>, ApiError> {
    let key = rotation::due(kms, call, place, key).await?;
    let generation = key.materials.len().saturating_sub(1);
    let material = keys::opened(kms, &key, generation)?;
    let sealed = cipher::encrypt(&key.id, generation as u32, &material, context, plain);
    sealed.ok_or_else(|| errors::storage("Encrypting", &"the key's material is no key"))
}

pub async fn encrypt(kms: &Kms, call: &Call) -> Result<Answer, ApiError> {
    let plain = bytes(call, "Plaintext")?;
    if plain.is_empty() || plain.len() > PLAINTEXT_BYTES_MAX {
        return Err(errors::validation("Plaintext has between 1 and 4096 bytes"));
    }
    let context = context(call, "EncryptionContext")?;
    let (place, key) = key_of(kms, call).await?;
    let key = symmetric(&place, key, text(call, "EncryptionAlgorithm"))?;
    is_dry_run(call)?;
    let arn = key.arn(&place);
    let sealed = sealed(kms, call, &place, key, &context, &plain).await?;
    Answer::json(json!({ "KeyId": arn, "CiphertextBlob": base64(&sealed), "EncryptionAlgorithm": ALGORITHM }))
}

/// The plain bytes, and whose key it was. `given`: the key that the caller says it is.
async fn opened(
    kms: &Kms,
    call: &Call,
    given: Option<&str>,
    algorithm: Option<&str>,
    context: &Context,
) -> Result<(Place, Key, Vec<u8>), ApiError> {
    let sealed = bytes(call, "CiphertextBlob")?;
    if sealed.len() > CIPHERTEXT_BYTES_MAX {
        return Err(errors::validation("CiphertextBlob has between 1 and 6144 bytes"));
    }
    let blob = Blob::read(&sealed).ok_or_else(errors::ciphertext)?;
    let (place, key) = match given {
        Some(given) => {
            let (place, key) = find(kms, call, given).await?;
            if key.id != blob.key_id {
                return Err(errors::incorrect_key());
            }
            (place, key)
        }
        None => find(kms, call, &blob.key_id).await.map_err(|error| match error.code.as_str() {
            "NotFoundException" => errors::ciphertext(),
            _ => error,
        })?,
    };
    let key = symmetric(&place, key, algorithm)?;
    let material = keys::opened(kms, &key, blob.generation as usize)?;
    let plain = cipher::decrypt(&blob, &material, context).ok_or_else(errors::ciphertext)?;
    Ok((place, key, plain))
}

pub async fn decrypt(kms: &Kms, call: &Call) -> Result<Answer, ApiError> {
    if call.input.get("Recipient").is_some_and(|recipient| !recipient.is_null()) {
        return Err(errors::not_built("Decrypt with Recipient"));
    }
    let context = context(call, "EncryptionContext")?;
    let algorithm = text(call, "EncryptionAlgorithm");
    let (place, key, plain) = opened(kms, call, text(call, "KeyId"), algorithm, &context).await?;
    is_dry_run(call)?;
    Answer::json(json!({ "KeyId": key.arn(&place), "Plaintext": base64(&plain), "EncryptionAlgorithm": ALGORITHM }))
}

pub async fn re_encrypt(kms: &Kms, call: &Call) -> Result<Answer, ApiError> {
    let from = context(call, "SourceEncryptionContext")?;
    let to = context(call, "DestinationEncryptionContext")?;
    let algorithm = text(call, "SourceEncryptionAlgorithm");
    let (source_place, source, plain) = opened(kms, call, text(call, "SourceKeyId"), algorithm, &from).await?;
    let (place, key) = find(kms, call, required(call, "DestinationKeyId")?).await?;
    let key = symmetric(&place, key, text(call, "DestinationEncryptionAlgorithm"))?;
    is_dry_run(call)?;
    let arn = key.arn(&place);
    let sealed = sealed(kms, call, &place, key, &to, &plain).await?;
    Answer::json(json!({
        "CiphertextBlob": base64(&sealed),
        "SourceKeyId": source.arn(&source_place),
        "KeyId": arn,
        "SourceEncryptionAlgorithm": ALGORITHM,
        "DestinationEncryptionAlgorithm": ALGORITHM,
    }))
}

/// How many bytes a data key is to have.
fn length(call: &Call) -> Result<usize, ApiError> {
    let number = call.input.get("NumberOfBytes").and_then(Value::as_u64);
    match (text(call, "KeySpec"), number) {
        (Some("AES_256"), None) => Ok(32),
        (Some("AES_128"), None) => Ok(16),
        (None, Some(number)) if (1..=RANDOM_BYTES_MAX as u64).contains(&number) => Ok(number as usize),
        (None, None) | (Some(_), Some(_)) => {
            Err(errors::validation("Please specify either number of bytes or key spec."))
        }
        (Some(other), None) => Err(errors::validation(format!("KeySpec {other} is none of AES_128, AES_256"))),
        (None, Some(_)) => Err(errors::validation("NumberOfBytes is between 1 and 1024")),
    }
}

fn random_bytes(length: usize) -> Vec<u8> {
    let mut bytes = id::random::<RANDOM_BYTES_MAX>().to_vec();
    bytes.truncate(length);
    bytes
}

pub async fn data_key(kms: &Kms, call: &Call, with_plaintext: bool) -> Result<Answer, ApiError> {
    if call.input.get("Recipient").is_some_and(|recipient| !recipient.is_null()) {
        return Err(errors::not_built("GenerateDataKey with Recipient"));
    }
    let length = length(call)?;
    let context = context(call, "EncryptionContext")?;
    let (place, key) = key_of(kms, call).await?;
    let key = symmetric(&place, key, None)?;
    is_dry_run(call)?;
    let arn = key.arn(&place);
    let plain = random_bytes(length);
    let sealed = sealed(kms, call, &place, key, &context, &plain).await?;
    let mut answer = json!({ "KeyId": arn, "CiphertextBlob": base64(&sealed) });
    if with_plaintext {
        answer["Plaintext"] = base64(&plain);
    }
    Answer::json(answer)
}

pub fn random(call: &Call) -> Result<Answer, ApiError> {
    if text(call, "CustomKeyStoreId").is_some() || call.input.get("Recipient").is_some_and(|r| !r.is_null()) {
        return Err(errors::not_built("GenerateRandom with CustomKeyStoreId or Recipient"));
    }
    let number = call.input.get("NumberOfBytes").and_then(Value::as_u64).unwrap_or_default();
    match (1..=RANDOM_BYTES_MAX as u64).contains(&number) {
        true => Answer::json(json!({ "Plaintext": base64(&random_bytes(number as usize)) })),
        false => Err(errors::validation("NumberOfBytes is between 1 and 1024")),
    }
}
