//! `AWS::Serverless::LayerVersion` and `AWS::Serverless::Application`.

use serde_json::{Map, Value, json};

use super::{Out, hash, invalid, not_built, only, place, resource};
use crate::errors::Error;

const KNOWN: &[&str] = &[
    "LayerName",
    "Description",
    "ContentUri",
    "CompatibleArchitectures",
    "CompatibleRuntimes",
    "LicenseInfo",
    "RetentionPolicy",
    "PublishLambdaVersion",
];

/// The logical id changes with what the layer is, so that a new version does not delete the old one.
pub fn id(logical_id: &str, properties: &Map<String, Value>, out: &Out<'_>) -> String {
    let mut hashed = Map::new();
    for (name, value) in properties {
        let value = match name.as_str() {
            "LayerName" | "LicenseInfo" | "Description" | "RetentionPolicy" => out.resolved(value),
            _ => value.clone(),
        };
        hashed.insert(name.clone(), value);
    }
    let whole = json!({ logical_id: { "Type": "AWS::Serverless::LayerVersion", "Properties": hashed } });
    format!("{logical_id}{}", hash::of(&whole))
}

pub fn transform(logical_id: &str, source: &Value, given: &Map<String, Value>, out: &mut Out<'_>) -> Result<(), Error> {
    only(logical_id, given, KNOWN)?;
    let content = given.get("ContentUri").ok_or_else(|| {
        invalid(format!("Resource with id [{logical_id}] is invalid. Missing required property 'ContentUri'."))
    })?;
    let mut properties = Map::new();
    properties.insert("Content".into(), place(logical_id, "ContentUri", content)?);
    properties.insert(
        "LayerName".into(),
        given.get("LayerName").map_or_else(|| logical_id.into(), |name| out.resolved(name)),
    );
    for name in ["Description", "CompatibleArchitectures", "CompatibleRuntimes", "LicenseInfo"] {
        if let Some(value) = given.get(name) {
            properties.insert(name.into(), value.clone());
        }
    }
    let mut made = resource("AWS::Lambda::LayerVersion", source, properties.into());
    let policy = match given.get("RetentionPolicy").map(|policy| out.resolved(policy)) {
        None => source.get("DeletionPolicy").cloned().unwrap_or_else(|| "Retain".into()),
        Some(Value::String(policy)) if policy.eq_ignore_ascii_case("retain") => "Retain".into(),
        Some(Value::String(policy)) if policy.eq_ignore_ascii_case("delete") => "Delete".into(),
        Some(other) => {
            return Err(invalid(format!(
                "Resource with id [{logical_id}] is invalid. 'RetentionPolicy' must be one of the following options: ['Retain', 'Delete'], not {other}"
            )));
        }
    };
    made["DeletionPolicy"] = policy;
    if let Some(depends_on) = source.get("DependsOn") {
        made["DependsOn"] = depends_on.clone();
    }
    let id = id(logical_id, given, out);
    out.renamed.insert(logical_id.to_owned(), id.clone());
    out.add(&id, made)
}

/// A stack within the stack. Those of AWS's application repository are not here.
pub fn application(
    logical_id: &str,
    source: &Value,
    given: &Map<String, Value>,
    out: &mut Out<'_>,
) -> Result<(), Error> {
    only(logical_id, given, &["Location", "Parameters", "NotificationARNs", "Tags", "TimeoutInMinutes"])?;
    let Some(location @ Value::String(_)) = given.get("Location").map(|location| out.resolved(location)) else {
        return Err(not_built(format!("applications of the Serverless Application Repository ({logical_id})")));
    };
    let mut properties = Map::from_iter([("TemplateURL".to_owned(), location)]);
    for name in ["Parameters", "NotificationARNs", "TimeoutInMinutes"] {
        if let Some(value) = given.get(name) {
            properties.insert(name.into(), value.clone());
        }
    }
    properties.insert("Tags".into(), super::tag_list(given.get("Tags"), "lambda:createdBy"));
    let mut made = source.clone();
    made["Type"] = "AWS::CloudFormation::Stack".into();
    made["Properties"] = properties.into();
    out.add(logical_id, made)
}
