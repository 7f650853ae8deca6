//! DeleteSecret, RestoreSecret (<https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_DeleteSecret.html>).

use cumulet_wire::call::{Answer, Call};
use cumulet_wire::error::ApiError;
use serde_json::{Value, json};

use super::{flag, look_up, required, secret};
use crate::model::seconds;
use crate::storage::Beside;
use crate::{SecretsManager, errors};

const WINDOW_DAYS: std::ops::RangeInclusive<u64> = 7..=30;
const WINDOW_DAYS_DEFAULT: u64 = 30;
const DAY_MS: u64 = 86_400_000;

pub async fn run(manager: &SecretsManager, call: &Call) -> Result<Answer, ApiError> {
    let now_ms = call.context.now_ms;
    let window = call.input.get("RecoveryWindowInDays").filter(|value| !value.is_null());
    if flag(call, "ForceDeleteWithoutRecovery") {
        if window.is_some() {
            return Err(errors::invalid_parameter(
                "You can't use ForceDeleteWithoutRecovery in conjunction with RecoveryWindowInDays.",
            ));
        }
        // One that is not there is as good as deleted.
        let (place, found) = look_up(manager, call, required(call, "SecretId")?).await?;
        manager.storage.remove(&place, now_ms).await?;
        let arn = found.map_or_else(
            || call.context.arn("secretsmanager", format!("secret:{}", place.name)),
            |secret| secret.arn(&place),
        );
        return Answer::json(json!({ "ARN": arn, "Name": place.name, "DeletionDate": seconds(now_ms) }));
    }
    let days = window.map_or(Some(WINDOW_DAYS_DEFAULT), Value::as_u64).filter(|days| WINDOW_DAYS.contains(days));
    let days = days.ok_or_else(|| {
        errors::invalid_parameter("The RecoveryWindowInDays value must be between 7 and 30 days (inclusive).")
    })?;
    let (place, _) = secret(manager, call).await?;
    let gone_ms = now_ms + days * DAY_MS;
    let arn = manager.storage.update(&place, now_ms, |secret| {
        if secret.gone_ms.is_some() {
            return Err(errors::marked_for_deletion());
        }
        (secret.gone_ms, secret.deleted_ms) = (Some(gone_ms), Some(now_ms));
        Ok((Beside::default(), secret.arn(&place)))
    });
    Answer::json(json!({ "ARN": arn.await?, "Name": place.name, "DeletionDate": seconds(gone_ms) }))
}

pub async fn restore(manager: &SecretsManager, call: &Call) -> Result<Answer, ApiError> {
    let (place, _) = secret(manager, call).await?;
    let arn = manager.storage.update(&place, call.context.now_ms, |secret| {
        (secret.gone_ms, secret.deleted_ms) = (None, None);
        Ok((Beside::default(), secret.arn(&place)))
    });
    Answer::json(json!({ "ARN": arn.await?, "Name": place.name }))
}
