//! PutParameter (<https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_PutParameter.html>).

use std::collections::BTreeMap;

use cumulet_base::limits;
use cumulet_wire::call::{Answer, Call};
use cumulet_wire::error::ApiError;
use serde_json::{Value, json};

use super::{flag, place, required, text};
use crate::model::{FORMAT, KEY, Parameter, SECURE, Version};
use crate::storage::Beside;
use crate::{Ssm, errors, names};

const KINDS: [&str; 3] = ["String", "StringList", SECURE];
const STANDARD_BYTES_MAX: usize = 4096;
const ADVANCED_BYTES_MAX: usize = 8192;

pub async fn run(ssm: &Ssm, call: &Call) -> Result<Answer, ApiError> {
    let name = required(call, "Name")?;
    names::check(name)?;
    let value = required(call, "Value")?;
    if value.is_empty() {
        return Err(errors::invalid(
            "1 validation error detected: Value at 'value' failed to satisfy constraint: Member must have length greater than or equal to 1",
        ));
    }
    if let Some(policies) = text(call, "Policies").filter(|text| !text.is_empty() && *text != "[]" && *text != "{}") {
        return Err(errors::invalid(format!("not implemented: ssm.PutParameter Policies ({policies})")));
    }
    let tier = match text(call, "Tier") {
        None | Some("Standard") if value.len() <= STANDARD_BYTES_MAX => "Standard",
        Some("Intelligent-Tiering") if value.len() <= STANDARD_BYTES_MAX => "Standard",
        Some("Advanced" | "Intelligent-Tiering") => "Advanced",
        None | Some("Standard") => {
            return Err(errors::invalid(format!(
                "Standard tier parameters support a maximum parameter value of {STANDARD_BYTES_MAX} characters. To create a larger parameter value, upgrade the parameter to use the advanced-parameter tier."
            )));
        }
        Some(other) => return Err(errors::invalid(format!("{other} is no tier"))),
    };
    if value.len() > ADVANCED_BYTES_MAX {
        return Err(errors::invalid(format!(
            "Advanced tier parameters support a maximum parameter value of {ADVANCED_BYTES_MAX} characters."
        )));
    }
    let data_type = match text(call, "DataType") {
        None | Some("text") => "text",
        // What the names mean would be checked on AWS; there are no images here.
        Some(other) => return Err(errors::invalid(format!("not implemented: ssm.PutParameter DataType {other}"))),
    };
    let place = place(call, name);
    let is_overwriting = flag(call, "Overwrite");
    let old = ssm.storage.find(&place).await?;
    if old.is_some() && !is_overwriting {
        return Err(errors::already_exists());
    }
    let kind = match (text(call, "Type"), &old) {
        (Some(kind), _) if KINDS.contains(&kind) => kind.to_owned(),
        (Some(kind), _) => return Err(errors::unsupported_type(kind)),
        (None, Some(old)) => old.last.kind.clone(),
        (None, None) => {
            return Err(errors::invalid("A parameter type is required when you create a parameter."));
        }
    };
    let key = text(call, "KeyId");
    match key {
        Some(_) if kind != SECURE => return Err(errors::invalid("KeyId is only for the type SecureString")),
        _ => {}
    }
    let pattern = text(call, "AllowedPattern").filter(|text| !text.is_empty());
    if let Some(pattern) = pattern {
        let regex =
            regex_lite::Regex::new(&format!("^(?:{pattern})$")).map_err(|_| errors::invalid_pattern(pattern))?;
        if !regex.is_match(value) {
            return Err(errors::pattern_mismatch(pattern));
        }
    }
    let tags = super::tags::read(call)?;
    if is_overwriting && !tags.is_empty() {
        return Err(errors::invalid(
            "Invalid request: tags and overwrite can't be used together. To create a parameter with tags, please remove overwrite flag.",
        ));
    }
    let version = |number: u64| -> Result<Version, ApiError> {
        let value = match kind == SECURE {
            true => ssm.secrets.seal(value, &place.binding(number))?,
            false => value.to_owned(),
        };
        Ok(Version {
            number,
            kind: kind.clone(),
            value,
            modified_ms: call.context.now_ms,
            user: call.context.caller.arn.clone(),
            description: text(call, "Description").map(str::to_owned),
            allowed_pattern: pattern.map(str::to_owned),
            tier: tier.to_owned(),
            data_type: data_type.to_owned(),
            key: key.filter(|key| *key != KEY).map(str::to_owned),
        })
    };
    let number = match old {
        None => {
            let parameter = Parameter {
                v: FORMAT,
                name: name.to_owned(),
                oldest: 1,
                last: version(1)?,
                labels: BTreeMap::new(),
                tags,
            };
            ssm.storage.create(&place, &parameter).await?;
            1
        }
        Some(_) => {
            ssm.storage
                .update(&place, |parameter| {
                    let mut next = version(parameter.last.number + 1)?;
                    if next.description.is_none() {
                        next.description.clone_from(&parameter.last.description);
                    }
                    let mut beside = Beside::default();
                    if next.number - parameter.oldest >= limits::PARAMETER_VERSIONS_MAX {
                        if !parameter.labels_of(parameter.oldest).is_empty() {
                            return Err(errors::oldest_is_labelled());
                        }
                        beside.dropped = Some(parameter.oldest);
                        parameter.oldest += 1;
                    }
                    let number = next.number;
                    beside.kept = Some(std::mem::replace(&mut parameter.last, next));
                    Ok((beside, number))
                })
                .await?
        }
    };
    Answer::json(json!({ "Version": number, "Tier": Value::from(tier) }))
}
