//! Whether a role trusts a service that is to act under it.

use bytes::Bytes;
use cumulet_base::arn::Arn;
use cumulet_wire::auth::Caller;
use cumulet_wire::client::Client;
use cumulet_wire::error::ApiError;
use cumulet_wire::policy::{Document, circumstances, condition};
use serde_json::{Value, json};

/// Whether a role is there and trusts `service`, which is a service acting for one of its resources.
///
/// # Errors
/// Those of reading the role.
pub async fn is_trusting(client: &Client, region: &str, service: &Caller, role_arn: &str) -> Result<bool, ApiError> {
    let Ok(arn) = role_arn.parse::<Arn>() else { return Ok(false) };
    let Some(name) = arn.resource.strip_prefix("role/").and_then(|path| path.rsplit('/').next()) else {
        return Ok(false);
    };
    let owner = Caller::owner(&arn.account);
    let found = client.call(&owner, region, "iam", "GetRole", json!({"RoleName": name}), Bytes::new()).await;
    let role = match found {
        Ok(answer) => answer.members()?,
        Err(error) if error.code == "NoSuchEntity" => return Ok(false),
        Err(error) => return Err(error),
    };
    let document = match &role["Role"]["AssumeRolePolicyDocument"] {
        // IAM answers documents in the encoding of URLs.
        Value::String(text) => percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned(),
        other => other.to_string(),
    };
    let known = circumstances(service);
    let Some(document) = Document::parse(&document) else { return Ok(false) };
    let says = |effect: &str| {
        document.statements().iter().any(|statement| {
            statement.effect == effect
                && statement.has_principal(service)
                && statement.has_action("sts:AssumeRole")
                && condition::holds(statement.condition.as_ref(), &known) == condition::Truth::Yes
        })
    };
    Ok(says("Allow") && !says("Deny"))
}
