//! Templates looked at without a stack being touched.

use std::collections::BTreeMap;

use cumulet_wire::call::Context;
use cumulet_wire::error::ApiError;
use serde_json::{Value, json};

use super::{Input, needed, owner, text};
use crate::CloudFormation;
use crate::prepared::{capabilities, processed, processed_by_defaults};
use crate::resources::taken;
use crate::template::{self, Template};

fn reason(kinds: &[&str]) -> Option<String> {
    (!kinds.is_empty()).then(|| format!("The following resource(s) require capabilities: [{}]", kinds.join(", ")))
}

fn declared(template: &Template) -> Vec<Value> {
    template
        .parameters
        .iter()
        .map(|(key, parameter)| {
            json!({
                "ParameterKey": key,
                "DefaultValue": parameter.default,
                "ParameterType": parameter.kind,
                "ParameterConstraints": parameter.allowed_values().map(|values| json!({ "AllowedValues": values })),
                "NoEcho": parameter.is_secret,
                "Description": parameter.description,
            })
        })
        .collect()
}

impl CloudFormation {
    pub(super) async fn validate(&self, ctx: &Context, input: &Input) -> Result<Value, ApiError> {
        let (_, template) = processed_by_defaults(&self.template_text(ctx, input, None).await?)?;
        let (needs, kinds) = capabilities(&template);
        let mut parameters = declared(&template);
        for parameter in &mut parameters {
            if let Some(members) = parameter.as_object_mut() {
                members.remove("ParameterType");
                members.remove("ParameterConstraints");
            }
        }
        Ok(json!({
            "Parameters": parameters,
            "Description": template.description,
            "Capabilities": needs,
            "CapabilitiesReason": reason(&kinds),
            "DeclaredTransforms": template.transforms,
        }))
    }

    pub(super) async fn get_template(&self, ctx: &Context, input: &Input) -> Result<Value, ApiError> {
        let wish = match text(input, "ChangeSetName") {
            Some(_) => self.find_set(&owner(ctx), input).await?.2.wish,
            None => self.stack(&owner(ctx), &needed(input, "StackName")?).await?.0.wish,
        };
        let body = match text(input, "TemplateStage").as_deref() {
            Some("Processed") => processed(&wish)?.0.to_string(),
            _ => wish.template,
        };
        Ok(json!({ "TemplateBody": body, "StagesAvailable": ["Original", "Processed"] }))
    }

    pub(super) async fn get_template_summary(&self, ctx: &Context, input: &Input) -> Result<Value, ApiError> {
        let (text, (processed, template)) = match text(input, "StackName") {
            Some(name) => {
                let wish = self.stack(&owner(ctx), &name).await?.0.wish;
                let processed = processed(&wish)?;
                (wish.template, processed)
            }
            None => {
                let text = self.template_text(ctx, input, None).await?;
                let processed = processed_by_defaults(&text)?;
                (text, processed)
            }
        };
        let original = template::parse(&text)?;
        let (needs, for_kinds) = capabilities(&template);
        let mut kinds: Vec<&str> = original
            .get("Resources")
            .and_then(Value::as_object)
            .into_iter()
            .flat_map(|resources| resources.values())
            .filter_map(|resource| resource.get("Type").and_then(Value::as_str))
            .collect();
        kinds.sort_unstable();
        kinds.dedup();
        Ok(json!({
            "Parameters": declared(&template),
            "Description": template.description,
            "Capabilities": needs,
            "CapabilitiesReason": reason(&for_kinds),
            "ResourceTypes": kinds,
            "ResourceIdentifierSummaries": identifiers(&template),
            "Version": processed.get("AWSTemplateFormatVersion"),
            "Metadata": processed.get("Metadata").map(Value::to_string),
            "DeclaredTransforms": template.transforms,
        }))
    }
}

/// How the resources of a template are named by who imports them.
fn identifiers(template: &Template) -> Vec<Value> {
    let mut names: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for resource in &template.resources {
        names.entry(&resource.kind).or_default().push(&resource.logical_id);
    }
    let of = |(kind, names): (&str, Vec<&str>)| {
        let identifier = taken::identifier(kind)?;
        Some(json!({ "ResourceType": kind, "LogicalResourceIds": names, "ResourceIdentifiers": [identifier] }))
    };
    names.into_iter().filter_map(of).collect()
}
