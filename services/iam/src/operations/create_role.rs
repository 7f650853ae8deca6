//! CreateRole (<https://docs.aws.amazon.com/IAM/latest/APIReference/API_CreateRole.html>).

use std::collections::BTreeMap;

use cumulet_base::id;
use cumulet_wire::call::{Answer, Call};
use cumulet_wire::error::ApiError;
use cumulet_wire::validate::Validation;
use serde_json::{Value, json};

use super::{attachable, check_name, check_tags, optional, read_tags, required};
use crate::model::{FORMAT, Role};
use crate::policy::{self, Kind};
use crate::{Iam, errors};

const TRUST_CHARACTERS_MAX: usize = 2048;
pub const SESSION_S_DEFAULT: u32 = 3600;

pub async fn run(iam: &Iam, call: Call) -> Result<Answer, ApiError> {
    let name = required(&call, "RoleName")?;
    check_name("roleName", name, 64)?;
    let trust = required(&call, "AssumeRolePolicyDocument")?;
    let path = optional(&call, "Path").unwrap_or("/");
    let description = optional(&call, "Description");
    let duration = match call.input.get("MaxSessionDuration") {
        None | Some(Value::Null) => i64::from(SESSION_S_DEFAULT),
        Some(value) => value
            .as_i64()
            .or_else(|| value.as_str()?.parse().ok())
            .ok_or_else(|| errors::invalid_input("MaxSessionDuration is not an integer"))?,
    };
    let mut checks = Validation::new();
    checks.length("description", description, 0, 1000).between("maxSessionDuration", Some(duration), 3600, 43_200);
    checks.finish("ValidationError")?;
    check_path(path)?;
    let boundary = optional(&call, "PermissionsBoundary");
    if let Some(arn) = boundary {
        attachable(iam, call.context.account(), arn).await?;
    }
    check_trust(trust)?;
    let tags: BTreeMap<String, String> = read_tags(&call)?;
    check_tags(&tags)?;
    let role = Role {
        v: FORMAT,
        account: call.context.account().to_owned(),
        name: name.to_owned(),
        path: path.to_owned(),
        id: format!("AROA{}", id::upper(17)),
        description: description.map(str::to_owned),
        max_session_s: u32::try_from(duration).unwrap_or(SESSION_S_DEFAULT),
        trust: trust.to_owned(),
        created_ms: call.context.now_ms,
        tags,
        inline: BTreeMap::new(),
        attached: Vec::new(),
        boundary: boundary.map(str::to_owned),
    };
    iam.storage.create(&role).await?;
    Answer::json(json!({"Role": role.shape(true)}))
}

/// A path begins and ends with a stroke.
pub fn check_path(path: &str) -> Result<(), ApiError> {
    let is_path = |text: &str| {
        text == "/"
            || (text.len() > 1
                && text.starts_with('/')
                && text.ends_with('/')
                && text.bytes().all(|b| b.is_ascii_graphic()))
    };
    let mut checks = Validation::new();
    checks.length("path", Some(path), 1, 512).pattern(
        "path",
        Some(path),
        "(\\u002F)|(\\u002F[\\u0021-\\u007E]+\\u002F)",
        is_path,
    );
    checks.finish("ValidationError")
}

/// Length and shape of a trust policy.
pub fn check_trust(trust: &str) -> Result<(), ApiError> {
    if trust.chars().filter(|c| !c.is_whitespace()).count() > TRUST_CHARACTERS_MAX {
        return Err(errors::limit_exceeded(format!("Cannot exceed quota for ACLSizePerRole: {TRUST_CHARACTERS_MAX}")));
    }
    policy::check(trust, Kind::Trust)
}
