//! LabelParameterVersion and UnlabelParameterVersion
//! (<https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_LabelParameterVersion.html>).

use cumulet_wire::call::{Answer, Call};
use cumulet_wire::error::ApiError;
use serde_json::{Value, json};

use super::{place, required, texts};
use crate::storage::Beside;
use crate::{Ssm, errors, names};

const LABELS_MAX: usize = 10;

fn number(call: &Call) -> Option<u64> {
    call.input.get("ParameterVersion").and_then(Value::as_u64)
}

/// A label moves: a parameter has each only once.
pub async fn label(ssm: &Ssm, call: &Call) -> Result<Answer, ApiError> {
    let name = required(call, "Name")?;
    let labels = texts(call, "Labels");
    let (good, invalid): (Vec<&str>, Vec<&str>) = labels.iter().partition(|label| names::is_label(label));
    let version = ssm
        .storage
        .update(&place(call, name), |parameter| {
            let version = number(call).unwrap_or(parameter.last.number);
            if !(parameter.oldest..=parameter.last.number).contains(&version) {
                return Err(errors::version_not_found(name));
            }
            for label in &good {
                parameter.labels.insert((*label).to_owned(), version);
            }
            match parameter.labels_of(version).len() > LABELS_MAX {
                true => Err(errors::too_many_labels()),
                false => Ok((Beside::default(), version)),
            }
        })
        .await?;
    Answer::json(json!({ "InvalidLabels": invalid, "ParameterVersion": version }))
}

pub async fn unlabel(ssm: &Ssm, call: &Call) -> Result<Answer, ApiError> {
    let name = required(call, "Name")?;
    let version = number(call).ok_or_else(|| errors::invalid("ParameterVersion is needed"))?;
    let labels = texts(call, "Labels");
    let removed: Vec<String> = ssm
        .storage
        .update(&place(call, name), |parameter| {
            if !(parameter.oldest..=parameter.last.number).contains(&version) {
                return Err(errors::version_not_found(name));
            }
            let here: Vec<String> = parameter
                .labels
                .extract_if(.., |label, of| *of == version && labels.contains(&label.as_str()))
                .map(|(label, _)| label)
                .collect();
            Ok((Beside::default(), here))
        })
        .await?;
    let invalid: Vec<&str> = labels.into_iter().filter(|label| !removed.iter().any(|r| r == label)).collect();
    Answer::json(json!({ "RemovedLabels": removed, "InvalidLabels": invalid }))
}
