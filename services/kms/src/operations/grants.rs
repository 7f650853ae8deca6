//! Grants: leave to use a key, for one principal (<https://docs.aws.amazon.com/kms/latest/developerguide/grants.html>).
//! They hold from the moment they are made; grant tokens are taken and not needed.

use cumulet_base::id;
use cumulet_wire::call::{Answer, Call, seconds};
use cumulet_wire::error::ApiError;
use serde_json::{Value, json};

use super::{change, find, is_dry_run, lasting, page, required, text};
use crate::model::Grant;
use crate::{Kms, errors};

/// Of one key; the row of a key has to hold them.
const GRANTS_MAX: usize = 50;
const OPERATIONS: &[&str] = &[
    "Decrypt",
    "Encrypt",
    "GenerateDataKey",
    "GenerateDataKeyWithoutPlaintext",
    "ReEncryptFrom",
    "ReEncryptTo",
    "CreateGrant",
    "RetireGrant",
    "DescribeKey",
    "GenerateMac",
    "VerifyMac",
];

pub async fn create(kms: &Kms, call: &Call) -> Result<Answer, ApiError> {
    let grantee = required(call, "GranteePrincipal")?.to_owned();
    let list = call.input.get("Operations").and_then(Value::as_array).cloned().unwrap_or_default();
    let operations: Vec<String> = list.iter().filter_map(Value::as_str).map(str::to_owned).collect();
    if operations.is_empty() {
        return Err(errors::validation("Operations has at least one entry"));
    }
    if let Some(other) = operations.iter().find(|name| !OPERATIONS.contains(&name.as_str())) {
        return Err(errors::validation(format!("Operation {other} cannot be granted for this key")));
    }
    let (place, key) = lasting(kms, call).await?;
    is_dry_run(call)?;
    let grant = Grant {
        id: id::hex(64),
        token: id::hex(64),
        grantee,
        retiring: text(call, "RetiringPrincipal").map(str::to_owned),
        name: text(call, "Name").map(str::to_owned),
        operations,
        constraints: call.input.get("Constraints").cloned().unwrap_or_default(),
        issuer: call.context.caller.arn.clone(),
        created_ms: call.context.now_ms,
    };
    change(kms, call, &place, &key.id, |key| {
        let is_same = |known: &&Grant| {
            known.name.is_some()
                && (&known.name, &known.grantee, &known.operations, &known.constraints)
                    == (&grant.name, &grant.grantee, &grant.operations, &grant.constraints)
        };
        let made = match key.grants.iter().find(is_same) {
            Some(known) => known.clone(),
            None if key.grants.len() >= GRANTS_MAX => {
                return Err(errors::limit(format!("A key has at most {GRANTS_MAX} grants here")));
            }
            None => {
                key.grants.push(grant.clone());
                grant.clone()
            }
        };
        Answer::json(json!({ "GrantId": made.id, "GrantToken": made.token }))
    })
    .await
}

pub async fn list(kms: &Kms, call: &Call) -> Result<Answer, ApiError> {
    let (place, key) = lasting(kms, call).await?;
    let (id, grantee) = (text(call, "GrantId"), text(call, "GranteePrincipal"));
    let of = |grant: &&Grant| id.is_none_or(|id| id == grant.id) && grantee.is_none_or(|g| g == grant.grantee);
    let shown: Vec<Value> = key
        .grants
        .iter()
        .filter(of)
        .map(|grant| {
            let mut shown = json!({
                "KeyId": key.arn(&place),
                "GrantId": grant.id,
                "GranteePrincipal": grant.grantee,
                "Operations": grant.operations,
                "IssuingAccount": format!("arn:aws:iam::{}:root", place.account),
                "CreationDate": seconds(grant.created_ms),
                "Name": grant.name.clone().unwrap_or_default(),
            });
            if let Some(retiring) = &grant.retiring {
                shown["RetiringPrincipal"] = retiring.as_str().into();
            }
            if !grant.constraints.is_null() {
                shown["Constraints"] = grant.constraints.clone();
            }
            shown
        })
        .collect();
    page(call, "Grants", shown, 50)
}

pub async fn revoke(kms: &Kms, call: &Call) -> Result<Answer, ApiError> {
    let id = required(call, "GrantId")?;
    let (place, key) = lasting(kms, call).await?;
    is_dry_run(call)?;
    remove(kms, call, &place, &key.id, |grant| grant.id == id, id).await
}

/// By who may retire it, with its token or with its id and key.
pub async fn retire(kms: &Kms, call: &Call) -> Result<Answer, ApiError> {
    let (token, id) = (text(call, "GrantToken"), text(call, "GrantId"));
    let place = super::place(call);
    let (place, key_id) = match (text(call, "KeyId"), token) {
        (Some(given), _) => {
            let (place, key) = find(kms, call, given).await?;
            (place, key.id)
        }
        (None, Some(token)) => {
            let keys = kms.storage.keys(&place, call.context.now_ms).await?;
            let of = keys.into_iter().find(|key| key.grants.iter().any(|grant| grant.token == token));
            (place, of.ok_or_else(|| errors::no_grant(token))?.id)
        }
        (None, None) => return Err(errors::validation("A grant is named by its token, or by its id and key")),
    };
    is_dry_run(call)?;
    let named = id.or(token).unwrap_or_default();
    let is_it = |grant: &Grant| token.map_or(id == Some(grant.id.as_str()), |token| token == grant.token);
    remove(kms, call, &place, &key_id, is_it, named).await
}

async fn remove(
    kms: &Kms,
    call: &Call,
    place: &crate::model::Place,
    key_id: &str,
    is_it: impl Fn(&Grant) -> bool + Send + Sync,
    named: &str,
) -> Result<Answer, ApiError> {
    change(kms, call, place, key_id, |key| {
        let before = key.grants.len();
        key.grants.retain(|grant| !is_it(grant));
        match key.grants.len() < before {
            true => Ok(Answer::empty()),
            false => Err(errors::no_grant(named)),
        }
    })
    .await
}
