//! Who may do what with a key: unlike elsewhere, the key's own policy has the first word. Policies of identities count only
//! where it leaves that to the account, as the policy does that keys get by default; grants beside
//! (<https://docs.aws.amazon.com/kms/latest/developerguide/policy-evaluation.html>).

use cumulet_wire::auth::{Authorizer, Caller, Principal};
use cumulet_wire::call::Call;
use cumulet_wire::error::ApiError;
use cumulet_wire::policy::{self, Decision};
use serde_json::{Value, json};

use crate::cipher::{Blob, Context};
use crate::model::{Grant, Key, Place};
use crate::operations::{bytes, context, find, text};
use crate::{Kms, MODEL};

/// What the policy says of those it names, and what it leaves to their account, as two policies.
fn split(document: &str) -> (String, String) {
    let document: Value = serde_json::from_str(document).unwrap_or_default();
    let statements = match &document["Statement"] {
        Value::Array(all) => all.clone(),
        one => vec![one.clone()],
    };
    let (mut named, mut left) = (Vec::new(), Vec::new());
    for statement in statements {
        let principals = match &statement["Principal"]["AWS"] {
            Value::Array(all) => all.clone(),
            Value::Null => {
                named.push(statement);
                continue;
            }
            one => vec![one.clone()],
        };
        let is_account = |principal: &Value| {
            let text = principal.as_str().unwrap_or_default();
            text.ends_with(":root") || (text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit()))
        };
        let (accounts, others): (Vec<Value>, Vec<Value>) = principals.into_iter().partition(is_account);
        for (list, into) in [(others, &mut named), (accounts, &mut left)] {
            if !list.is_empty() {
                let mut part = statement.clone();
                part["Principal"]["AWS"] = list.into();
                into.push(part);
            }
        }
    }
    (json!({ "Statement": named }).to_string(), json!({ "Statement": left }).to_string())
}

fn denied(caller: &Caller, action: &str, arn: &str, why: &str) -> ApiError {
    let text = format!("User: {} is not authorized to perform: {action} on resource: {arn} {why}", caller.arn);
    ApiError::new(400, "AccessDeniedException", text)
}

/// Whether a grant lets the caller do it.
fn grants(grant: &Grant, caller: &Caller, operation: &str, context: &Context) -> bool {
    let subset = &grant.constraints["EncryptionContextSubset"];
    let equals = &grant.constraints["EncryptionContextEquals"];
    let has = |wanted: &Value| {
        let entries = wanted.as_object().into_iter().flatten();
        entries.into_iter().all(|(name, value)| context.get(name).map(String::as_str) == value.as_str())
    };
    let is_whole = equals.as_object().is_none_or(|wanted| wanted.len() == context.len());
    caller.names().contains(&grant.grantee.as_str())
        && grant.operations.iter().any(|known| known == operation)
        && has(subset)
        && has(equals)
        && is_whole
}

pub async fn permit(
    authorizer: &dyn Authorizer,
    caller: &Caller,
    action: &str,
    (place, key): (&Place, &Key),
    context: &Context,
) -> Result<(), ApiError> {
    let arn = key.arn(place);
    let by_identity = authorizer.authorize(caller, action, &arn).await;
    if caller.kind == Principal::Owner {
        return by_identity;
    }
    let circumstances = policy::circumstances(caller);
    let (named, left) = split(&key.policy);
    let of = |document: &str| policy::decide_for(document, caller, action, &arn, &circumstances);
    let operation = action.strip_prefix("kms:").unwrap_or(action);
    let is_granted = key.grants.iter().any(|grant| grants(grant, caller, operation, context));
    let is_forbidden = by_identity.as_ref().is_err_and(|error| error.message.contains("explicit deny"));
    match (of(&named), of(&left)) {
        (Decision::ExplicitDeny, _) | (_, Decision::ExplicitDeny) => {
            Err(denied(caller, action, &arn, "with an explicit deny in a resource-based policy"))
        }
        _ if is_forbidden => by_identity,
        (Decision::Allow, _) => Ok(()),
        _ if is_granted => Ok(()),
        (_, Decision::Allow) => by_identity,
        _ => Err(denied(caller, action, &arn, &format!("because no resource-based policy allows the {action} action"))),
    }
}

pub async fn authorize(kms: &Kms, authorizer: &dyn Authorizer, call: &Call) -> Result<(), ApiError> {
    let caller = &call.context.caller;
    let action = call.operation.action_of(&MODEL);
    let mut wanted: Vec<(String, Option<&str>, Context)> = Vec::new();
    match call.operation.name {
        "CreateKey" | "ListKeys" | "ListAliases" | "GenerateRandom" => {
            return authorizer.authorize(caller, &action, "*").await;
        }
        "CreateAlias" | "UpdateAlias" | "DeleteAlias" => {
            let name = text(call, "AliasName").unwrap_or_default();
            authorizer.authorize(caller, &action, &call.context.arn("kms", name)).await?;
            let target = if call.operation.name == "DeleteAlias" { Some(name) } else { text(call, "TargetKeyId") };
            wanted.push((action, target, Context::new()));
        }
        "ReEncrypt" => {
            let source = context(call, "SourceEncryptionContext").unwrap_or_default();
            let target = context(call, "DestinationEncryptionContext").unwrap_or_default();
            wanted.push(("kms:ReEncryptFrom".into(), text(call, "SourceKeyId"), source));
            wanted.push(("kms:ReEncryptTo".into(), text(call, "DestinationKeyId"), target));
        }
        _ => wanted.push((action, text(call, "KeyId"), context(call, "EncryptionContext").unwrap_or_default())),
    }
    for (action, given, context) in wanted {
        let named = match given {
            Some(given) => Some(given.to_owned()),
            None => bytes(call, "CiphertextBlob").ok().and_then(|bytes| Some(Blob::read(&bytes)?.key_id)),
        };
        let found = match &named {
            Some(given) => find(kms, call, given).await.ok(),
            None => None,
        };
        match found {
            Some((place, key)) => permit(authorizer, caller, &action, (&place, &key), &context).await?,
            None => authorizer.authorize(caller, &action, "*").await?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_is_left_to_the_account_stands_alone() {
        let policy = json!({"Statement": [
            {"Effect": "Allow", "Principal": {"AWS": ["arn:aws:iam::1:root", "arn:aws:iam::1:role/r"]}, "Action": "kms:*"},
            {"Effect": "Deny", "Principal": "*", "Action": "kms:Decrypt"},
        ]});
        let (named, left) = split(&policy.to_string());
        let named: Value = serde_json::from_str(&named).unwrap();
        let left: Value = serde_json::from_str(&left).unwrap();
        assert_eq!(named["Statement"][0]["Principal"]["AWS"], json!(["arn:aws:iam::1:role/r"]));
        assert_eq!(named["Statement"][1]["Effect"], "Deny");
        assert_eq!(left["Statement"].as_array().unwrap().len(), 1);
        assert_eq!(left["Statement"][0]["Principal"]["AWS"], json!(["arn:aws:iam::1:root"]));
    }

    #[test]
    fn grants_are_for_one_and_under_their_constraints() {
        let caller = Caller::owner("000000000000");
        let mut grant = Grant {
            id: "g".into(),
            token: "t".into(),
            grantee: caller.arn.clone(),
            retiring: None,
            name: None,
            operations: vec!["Decrypt".into()],
            constraints: json!({"EncryptionContextSubset": {"a": "b"}}),
            issuer: String::new(),
            created_ms: 0,
        };
        let context = |pairs: &[(&str, &str)]| pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        assert!(grants(&grant, &caller, "Decrypt", &context(&[("a", "b"), ("c", "d")])));
        assert!(!grants(&grant, &caller, "Encrypt", &context(&[("a", "b")])));
        assert!(!grants(&grant, &caller, "Decrypt", &context(&[("a", "x")])));
        grant.constraints = json!({"EncryptionContextEquals": {"a": "b"}});
        assert!(grants(&grant, &caller, "Decrypt", &context(&[("a", "b")])));
        assert!(!grants(&grant, &caller, "Decrypt", &context(&[("a", "b"), ("c", "d")])));
        grant.grantee = "arn:aws:iam::000000000000:role/other".into();
        assert!(!grants(&grant, &caller, "Decrypt", &context(&[("a", "b")])));
    }
}
