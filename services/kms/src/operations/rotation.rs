//! Rotation: a new generation of a key, by time or when it is asked for; earlier ones still decrypt
//! (<https://docs.aws.amazon.com/kms/latest/developerguide/rotate-keys.html>). By time, it happens with the first encryption
//! after the day.

use cumulet_wire::call::{Answer, Call, seconds};
use cumulet_wire::error::ApiError;
use serde_json::{Value, json};

use super::{change, keys, lasting, page};
use crate::model::{Key, Place, Spec};
use crate::{Kms, errors};

/// Rotations by hand of one key, as on AWS.
const ON_DEMAND_MAX: usize = 25;
/// Generations of one key, so that its row has room.
const GENERATIONS_MAX: usize = 200;

fn rotatable(place: &Place, key: &Key) -> Result<(), ApiError> {
    match key.spec {
        Spec::Symmetric if key.is_enabled => Ok(()),
        Spec::Symmetric => Err(errors::disabled(&key.arn(place))),
        _ => Err(errors::unsupported("Only symmetric keys for encryption are rotated")),
    }
}

pub async fn enable(kms: &Kms, call: &Call) -> Result<Answer, ApiError> {
    let days = call.input.get("RotationPeriodInDays").and_then(Value::as_u64).unwrap_or(365);
    if !(90..=2560).contains(&days) {
        return Err(errors::validation("RotationPeriodInDays is between 90 and 2560"));
    }
    let (place, key) = lasting(kms, call).await?;
    rotatable(&place, &key)?;
    change(kms, call, &place, &key.id, |key| {
        key.rotation_days = Some(days as u32);
        Ok(Answer::empty())
    })
    .await
}

pub async fn disable(kms: &Kms, call: &Call) -> Result<Answer, ApiError> {
    let (place, key) = lasting(kms, call).await?;
    rotatable(&place, &key)?;
    change(kms, call, &place, &key.id, |key| {
        key.rotation_days = None;
        Ok(Answer::empty())
    })
    .await
}

pub async fn status(kms: &Kms, call: &Call) -> Result<Answer, ApiError> {
    let (place, key) = lasting(kms, call).await?;
    let mut answer = json!({ "KeyId": key.arn(&place), "KeyRotationEnabled": key.rotation_days.is_some() });
    if let (Some(days), Some(next_ms)) = (key.rotation_days, key.rotates_ms()) {
        answer["RotationPeriodInDays"] = days.into();
        answer["NextRotationDate"] = seconds(next_ms);
    }
    Answer::json(answer)
}

pub async fn list(kms: &Kms, call: &Call) -> Result<Answer, ApiError> {
    let (place, key) = lasting(kms, call).await?;
    let shown: Vec<Value> = key
        .materials
        .iter()
        .filter_map(|material| {
            let kind = material.rotation.as_ref()?;
            Some(json!({ "KeyId": key.arn(&place), "RotationDate": seconds(material.since_ms), "RotationType": kind }))
        })
        .collect();
    page(call, "Rotations", shown, 100)
}

fn add(kms: &Kms, key: &mut Key, now_ms: u64, kind: &str) -> Result<(), ApiError> {
    if key.materials.len() >= GENERATIONS_MAX {
        return Err(errors::limit(format!("A key is rotated at most {GENERATIONS_MAX} times here")));
    }
    let mut material = keys::material(kms, &key.id, key.spec, key.materials.len(), now_ms)?;
    material.rotation = Some(kind.to_owned());
    key.materials.push(material);
    Ok(())
}

pub async fn rotate(kms: &Kms, call: &Call) -> Result<Answer, ApiError> {
    let (place, key) = lasting(kms, call).await?;
    rotatable(&place, &key)?;
    change(kms, call, &place, &key.id, |key| {
        let by_hand = key.materials.iter().filter(|m| m.rotation.as_deref() == Some("ON_DEMAND")).count();
        if by_hand >= ON_DEMAND_MAX {
            return Err(errors::limit("The maximum number of on-demand rotations was reached"));
        }
        add(kms, key, call.context.now_ms, "ON_DEMAND")?;
        Answer::json(json!({ "KeyId": key.arn(&place) }))
    })
    .await
}

/// The key, with a new generation where it is time for one.
pub async fn due(kms: &Kms, call: &Call, place: &Place, key: Key) -> Result<Key, ApiError> {
    let now_ms = call.context.now_ms;
    let is_due = |key: &Key| key.rotates_ms().is_some_and(|at_ms| at_ms <= now_ms);
    if !is_due(&key) || key.materials.len() >= GENERATIONS_MAX {
        return Ok(key);
    }
    change(kms, call, place, &key.id, |key| {
        if is_due(key) {
            add(kms, key, now_ms, "AUTOMATIC")?;
        }
        Ok(key.clone())
    })
    .await
}
