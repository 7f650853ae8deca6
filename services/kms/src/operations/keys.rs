//! Keys themselves: made, looked at, switched off, deleted after a while
//! (<https://docs.aws.amazon.com/kms/latest/APIReference/API_CreateKey.html>).

use cumulet_base::id;
use cumulet_wire::call::{Answer, Call, seconds};
use cumulet_wire::error::ApiError;
use serde_json::{Value, json};

use super::{change, key_of, lasting, page, place, policies, required, tags, text};
use crate::model::{FORMAT, Key, Material, Place, Spec};
use crate::{Kms, errors};

const DESCRIPTION_CHARS_MAX: usize = 8192;
const KEYS_MAX: usize = 100_000;
const DAY_MS: u64 = 86_400_000;

fn spec(call: &Call) -> Result<Spec, ApiError> {
    let name = text(call, "KeySpec").or_else(|| text(call, "CustomerMasterKeySpec"));
    let usage = text(call, "KeyUsage");
    let spec = match name.unwrap_or("SYMMETRIC_DEFAULT") {
        "SYMMETRIC_DEFAULT" => Spec::Symmetric,
        "HMAC_256" => Spec::Hmac256,
        "HMAC_384" => Spec::Hmac384,
        "HMAC_512" => Spec::Hmac512,
        other
            if other.starts_with("RSA_") || other.starts_with("ECC_") || other.starts_with("ML_") || other == "SM2" =>
        {
            return Err(errors::not_built(format!("CreateKey with KeySpec {other}")));
        }
        other => return Err(errors::validation(format!("KeySpec {other} is not known"))),
    };
    match usage.unwrap_or(if name.is_none() { spec.usage() } else { "ENCRYPT_DECRYPT" }) {
        given if given == spec.usage() => Ok(spec),
        given => Err(errors::validation(format!("KeyUsage {given} is not compatible with KeySpec {}", spec.name()))),
    }
}

fn description(call: &Call) -> Result<String, ApiError> {
    let text = text(call, "Description").unwrap_or_default();
    match text.chars().count() > DESCRIPTION_CHARS_MAX {
        true => Err(errors::validation("Description has more than 8192 characters")),
        false => Ok(text.to_owned()),
    }
}

/// A new generation of a key.
pub fn material(kms: &Kms, key_id: &str, spec: Spec, generation: usize, now_ms: u64) -> Result<Material, ApiError> {
    let bytes = &id::random::<64>()[..spec.bytes()];
    let sealed = kms.seal.close(bytes, &format!("{key_id} {generation}"));
    let sealed = sealed.ok_or_else(|| errors::storage("Encrypting", &"the material is too long"))?;
    Ok(Material { sealed, since_ms: now_ms, rotation: None })
}

/// The bytes of a generation of a key.
pub fn opened(kms: &Kms, key: &Key, generation: usize) -> Result<Vec<u8>, ApiError> {
    let material = key.materials.get(generation).ok_or_else(errors::ciphertext)?;
    let bytes = kms.seal.open(&material.sealed, &format!("{} {generation}", key.id));
    bytes.ok_or_else(|| errors::storage("Decrypting", &"the material is of another installation's secret"))
}

pub async fn create(kms: &Kms, call: &Call) -> Result<Answer, ApiError> {
    match text(call, "Origin") {
        None | Some("AWS_KMS") => {}
        Some(other) => return Err(errors::not_built(format!("CreateKey with Origin {other}"))),
    }
    if call.input.get("MultiRegion").and_then(Value::as_bool) == Some(true) {
        return Err(errors::not_built("CreateKey with MultiRegion"));
    }
    if text(call, "CustomKeyStoreId").is_some() {
        return Err(errors::not_built("CreateKey with CustomKeyStoreId"));
    }
    let spec = spec(call)?;
    let place = place(call);
    if kms.storage.keys(&place, call.context.now_ms).await?.len() >= KEYS_MAX {
        return Err(errors::limit("There are as many keys as there may be"));
    }
    let policy = match text(call, "Policy") {
        Some(policy) => policies::checked(policy)?,
        None => policies::default(&place.account),
    };
    let key_id = id::uuid();
    let now_ms = call.context.now_ms;
    let key = Key {
        v: FORMAT,
        description: description(call)?,
        spec,
        is_enabled: true,
        created_ms: now_ms,
        gone_ms: None,
        policy,
        tags: tags::given(call)?,
        rotation_days: None,
        materials: vec![material(kms, &key_id, spec, 0, now_ms)?],
        grants: Vec::new(),
        id: key_id,
    };
    kms.storage.create(&place, &key).await?;
    Answer::json(json!({ "KeyMetadata": key.metadata(&place) }))
}

pub async fn describe(kms: &Kms, call: &Call) -> Result<Answer, ApiError> {
    let (place, key) = key_of(kms, call).await?;
    Answer::json(json!({ "KeyMetadata": key.metadata(&place) }))
}

pub async fn list(kms: &Kms, call: &Call) -> Result<Answer, ApiError> {
    let place = place(call);
    let keys = kms.storage.keys(&place, call.context.now_ms).await?;
    let shown = keys.iter().map(|key| json!({ "KeyId": key.id, "KeyArn": key.arn(&place) })).collect();
    page(call, "Keys", shown, 100)
}

pub async fn enable(kms: &Kms, call: &Call, is_enabled: bool) -> Result<Answer, ApiError> {
    let (place, key) = lasting(kms, call).await?;
    change(kms, call, &place, &key.id, |key| {
        key.is_enabled = is_enabled;
        Ok(Answer::empty())
    })
    .await
}

pub async fn describe_anew(kms: &Kms, call: &Call) -> Result<Answer, ApiError> {
    let text = description(call)?;
    required(call, "KeyId")?;
    let (place, key) = lasting(kms, call).await?;
    change(kms, call, &place, &key.id, |key| {
        key.description.clone_from(&text);
        Ok(Answer::empty())
    })
    .await
}

pub async fn schedule_deletion(kms: &Kms, call: &Call) -> Result<Answer, ApiError> {
    let days = call.input.get("PendingWindowInDays").and_then(Value::as_u64).unwrap_or(30);
    if !(7..=30).contains(&days) {
        return Err(errors::validation("PendingWindowInDays is between 7 and 30"));
    }
    let (place, key) = lasting(kms, call).await?;
    let gone_ms = call.context.now_ms + days * DAY_MS;
    change(kms, call, &place, &key.id, |key| {
        key.gone_ms = Some(gone_ms);
        let state = key.state();
        let answer = json!({ "KeyId": key.arn(&place), "DeletionDate": seconds(gone_ms), "KeyState": state, "PendingWindowInDays": days });
        Answer::json(answer)
    })
    .await
}

/// It is there again, and switched off.
pub async fn cancel_deletion(kms: &Kms, call: &Call) -> Result<Answer, ApiError> {
    let (place, key): (Place, Key) = key_of(kms, call).await?;
    change(kms, call, &place, &key.id, |key| {
        if key.gone_ms.take().is_none() {
            return Err(errors::not_pending_deletion(&key.arn(&place)));
        }
        key.is_enabled = false;
        Answer::json(json!({ "KeyId": key.arn(&place) }))
    })
    .await
}
