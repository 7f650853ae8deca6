//! Layers: zips that functions share, in versions that never change. What a function uses of them it keeps itself, so that
//! a layer version may be deleted under it, as on AWS.

pub mod storage;

use cumulet_base::clock;
use cumulet_wire::auth::Principal;
use cumulet_wire::call::Context;
use cumulet_wire::error::ApiError;
use cumulet_wire::policy::{Decision, circumstances, decide_for};
use cumulet_wire::validate::Validation;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::errors;
use crate::links::Links;
use crate::model::Layer;
use crate::policy;
use cumulet_base::limits;

const NAME_MAX: usize = 140;
const ARN_PATTERN: &str = "arn:[a-zA-Z0-9-]+:lambda:[a-zA-Z0-9-]+:\\d{12}:layer:[a-zA-Z0-9-_]+:[0-9]+";
const NAME_PATTERN: &str = "(arn:[a-zA-Z0-9-]+:lambda:[a-zA-Z0-9-]+:\\d{12}:layer:[a-zA-Z0-9-_]+)|[a-zA-Z0-9-_]+";

/// A layer version as it is stored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LayerVersion {
    pub v: u8,
    pub account: String,
    pub region: String,
    pub name: String,
    pub version: u64,
    pub description: String,
    pub license: String,
    pub runtimes: Vec<String>,
    pub architectures: Vec<String>,
    /// SHA-256 of the zip, hexadecimal.
    pub digest: String,
    pub bytes: u64,
    pub unzipped_bytes: u64,
    pub created_ms: u64,
    pub policy: Vec<Value>,
    /// Of the policy.
    pub revision_id: String,
}

/// A layer by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayerName {
    pub account: String,
    pub region: String,
    pub name: String,
}

impl LayerName {
    pub fn arn(&self) -> String {
        format!("arn:aws:lambda:{}:{}:layer:{}", self.region, self.account, self.name)
    }

    pub fn version_arn(&self, version: u64) -> String {
        format!("{}:{version}", self.arn())
    }
}

impl LayerVersion {
    pub fn layer(&self) -> LayerName {
        LayerName { account: self.account.clone(), region: self.region.clone(), name: self.name.clone() }
    }

    /// An entry of ListLayerVersions.
    pub fn item(&self) -> Value {
        let mut shape = json!({
            "LayerVersionArn": self.layer().version_arn(self.version),
            "Version": self.version,
            "CreatedDate": clock::iso_ms_offset(self.created_ms),
        });
        for (member, text) in [("Description", &self.description), ("LicenseInfo", &self.license)] {
            if !text.is_empty() {
                shape[member] = json!(text);
            }
        }
        for (member, list) in [("CompatibleRuntimes", &self.runtimes), ("CompatibleArchitectures", &self.architectures)]
        {
            if !list.is_empty() {
                shape[member] = json!(list);
            }
        }
        shape
    }

    /// With a link to its content.
    pub fn shape(&self, links: &Links, context: &Context) -> Value {
        let mut shape = self.item();
        shape["LayerArn"] = json!(self.layer().arn());
        shape["Content"] = json!({
            "Location": links.location(&context.host, &self.digest, context.now_ms),
            "CodeSha256": crate::model::sha256_base64(&self.digest),
            "CodeSize": self.bytes,
        });
        shape
    }

    /// Whether a caller of another account may use it: the layer version's own policy decides.
    pub fn is_open_to(&self, context: &Context) -> bool {
        let caller = &context.caller;
        if caller.account == self.account && !matches!(caller.kind, Principal::Service { .. }) {
            return true;
        }
        let (document, arn) = (policy::document(&self.policy), self.layer().version_arn(self.version));
        decide_for(&document, caller, "lambda:GetLayerVersion", &arn, &circumstances(caller)) == Decision::Allow
    }

    pub fn used(&self) -> Layer {
        Layer {
            arn: self.layer().version_arn(self.version),
            digest: self.digest.clone(),
            bytes: self.bytes,
            unzipped_bytes: self.unzipped_bytes,
        }
    }
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

/// Account, region, name and what follows.
fn parse(arn: &str) -> Option<(LayerName, Option<u64>)> {
    let parts: Vec<&str> = arn.split(':').collect();
    let (head, tail) = parts.split_at_checked(6)?;
    let (["arn", _, "lambda", region, account, "layer"], [name, version @ ..]) = (head, tail) else { return None };
    let version = match version {
        [] => None,
        [version] => Some(version.parse().ok()?),
        _ => return None,
    };
    let layer = LayerName { account: (*account).to_owned(), region: (*region).to_owned(), name: (*name).to_owned() };
    is_word(name).then_some((layer, version))
}

/// Reads a `LayerName`: a name or the ARN of a layer without a version.
pub fn read_name(context: &Context, text: &str) -> Result<LayerName, ApiError> {
    let found = match parse(text) {
        Some((layer, None)) => Some(layer),
        Some(_) => None,
        None => is_word(text).then(|| LayerName {
            account: context.account().to_owned(),
            region: context.region.clone(),
            name: text.to_owned(),
        }),
    };
    let mut checks = Validation::new();
    checks.pattern("layerName", Some(text), NAME_PATTERN, |_| found.is_some()).length(
        "layerName",
        Some(text),
        1,
        NAME_MAX,
    );
    checks.finish("ValidationException")?;
    found.ok_or_else(|| errors::layer_not_found(text))
}

/// Reads the ARN of a layer version.
pub fn read_arn(member: &str, arn: &str) -> Result<(LayerName, u64), ApiError> {
    let found = match parse(arn) {
        Some((layer, Some(version))) => Some((layer, version)),
        _ => None,
    };
    let mut checks = Validation::new();
    checks.pattern(member, Some(arn), ARN_PATTERN, |_| found.is_some()).length(member, Some(arn), 1, NAME_MAX);
    checks.finish("ValidationException")?;
    found.ok_or_else(|| errors::layer_not_found(arn))
}

impl crate::Lambda {
    /// The layers a function asks for; `None`: it says nothing of them.
    pub async fn layers_of(&self, context: &Context, arns: Option<&[String]>) -> Result<Option<Vec<Layer>>, ApiError> {
        let Some(arns) = arns else { return Ok(None) };
        if arns.len() > limits::FUNCTION_LAYERS_MAX {
            return Err(errors::invalid_parameter(format!(
                "Cannot reference more than {} layers.",
                limits::FUNCTION_LAYERS_MAX
            )));
        }
        let mut layers: Vec<Layer> = Vec::new();
        for arn in arns {
            let (layer, version) = read_arn("layers", arn)?;
            if layer.region != context.region {
                return Err(errors::invalid_parameter(format!(
                    "Layer {arn} is in another region; a function uses layers of its own ({}).",
                    context.region
                )));
            }
            let base = layer.arn();
            if layers.iter().any(|other| other.arn.rsplit_once(':').is_some_and(|(arn, _)| arn == base)) {
                return Err(errors::invalid_parameter(format!(
                    "Two different versions of the same layer are not allowed to be referenced in the same function. {base}"
                )));
            }
            let missing = || {
                // As those that AWS and others publish for everybody.
                let hint = match layer.account == context.account() {
                    true => "",
                    false => {
                        " What other accounts publish on AWS is not here: publish the layer in this account and name its ARN."
                    }
                };
                errors::invalid_parameter(format!("Layer version {arn} does not exist.{hint}"))
            };
            let found = self.layers.get(&layer, version).await?.ok_or_else(missing)?;
            if !found.is_open_to(context) {
                return Err(errors::access_denied(format!(
                    "User: {} is not authorized to perform: lambda:GetLayerVersion on resource: {arn} because no \
                     resource-based policy allows the lambda:GetLayerVersion action",
                    context.caller.arn
                )));
            }
            layers.push(found.used());
        }
        Ok(Some(layers))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::tests::context;

    #[test]
    fn names_and_arns() {
        let arn = "arn:aws:lambda:us-east-1:000000000000:layer:tools";
        for text in ["tools", arn] {
            assert_eq!(read_name(&context(), text).unwrap().arn(), arn);
        }
        assert_eq!(read_arn("arn", &format!("{arn}:3")).unwrap().1, 3);
        for bad in ["", "a b", "arn:aws:lambda:us-east-1:000000000000:layer:tools:3", "a:b"] {
            assert_eq!(read_name(&context(), bad).unwrap_err().code, "ValidationException", "{bad}");
        }
        for bad in [arn, "arn:aws:lambda:us-east-1:000000000000:layer:tools:x", "tools:1", ""] {
            assert_eq!(read_arn("arn", bad).unwrap_err().code, "ValidationException", "{bad}");
        }
    }
}
