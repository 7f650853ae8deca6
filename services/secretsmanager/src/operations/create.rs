//! CreateSecret (<https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_CreateSecret.html>).

use std::collections::BTreeMap;

use cumulet_base::id;
use cumulet_wire::call::{Answer, Call};
use cumulet_wire::error::ApiError;
use serde_json::json;

use super::{description, given_value, place, required, tags, text, version_id};
use crate::model::{CURRENT, FORMAT, Secret, Version};
use crate::{SecretsManager, errors};

const SUFFIX_CHARS: usize = 6;
const NAME_CHARS_MAX: usize = 512;

fn is_name(name: &str) -> bool {
    let is_fine = |c: char| c.is_ascii_alphanumeric() || "/_+=.@-!".contains(c);
    name.len() <= NAME_CHARS_MAX && name.chars().all(is_fine)
}

pub async fn run(manager: &SecretsManager, call: &Call) -> Result<Answer, ApiError> {
    let name = required(call, "Name")?;
    if !is_name(name) {
        return Err(errors::invalid_parameter(
            "Invalid name. Must be a valid name containing alphanumeric characters, or any of the following: -/_+=.@!",
        ));
    }
    if call.input.contains_key("AddReplicaRegions") {
        return Err(ApiError::not_implemented("secretsmanager", "CreateSecret AddReplicaRegions"));
    }
    let (place, now_ms) = (place(call, name), call.context.now_ms);
    let (version, given) = (version_id(call)?, given_value(call)?);
    let mut secret = Secret {
        v: FORMAT,
        name: name.to_owned(),
        suffix: id::short(SUFFIX_CHARS),
        description: description(call)?,
        key: text(call, "KmsKeyId").map(str::to_owned),
        tags: tags::read(call)?,
        created_ms: now_ms,
        changed_ms: now_ms,
        accessed_ms: None,
        gone_ms: None,
        deleted_ms: None,
        policy: None,
        versions: BTreeMap::new(),
    };
    let mut value = None;
    if let Some(given) = &given {
        let made = Version { created_ms: now_ms, stages: [CURRENT.to_owned()].into(), digest: given.digest() };
        secret.versions.insert(version.clone(), made);
        value = Some((version.clone(), given.sealed(manager, &place, &version)?));
    }
    if !manager.storage.create(&place, &secret, value).await? {
        let Some(known) = manager.storage.find(&place, now_ms).await? else { return Err(errors::busy()) };
        if known.gone_ms.is_some() {
            return Err(errors::name_marked_for_deletion());
        }
        // The same request once more.
        let is_same = given
            .as_ref()
            .is_some_and(|given| known.versions.get(&version).is_some_and(|known| known.digest == given.digest()));
        if !is_same {
            return Err(errors::exists(name));
        }
        secret = known;
    }
    let mut answer = json!({ "ARN": secret.arn(&place), "Name": name });
    if given.is_some() {
        answer["VersionId"] = json!(version);
    }
    Answer::json(answer)
}
