//! Templates looked at without a stack being touched.

use cumulet_wire::call::Context;
use cumulet_wire::error::ApiError;
use serde_json::{Value, json};

use super::{Input, needed, owner, template_text, text};
use crate::CloudFormation;
use crate::prepared::{capabilities, processed};
use crate::template::{self, Template};

fn reason(capabilities: &[&str]) -> Option<String> {
    (!capabilities.is_empty()).then(|| "The following resource(s) require capabilities: [AWS::IAM::Role]".to_owned())
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
                "NoEcho": parameter.is_secret,
                "Description": parameter.description,
            })
        })
        .collect()
}

pub fn validate(input: &Input) -> Result<Value, ApiError> {
    let (_, template) = processed(&template_text(input, None)?)?;
    let needs = capabilities(&template);
    let mut parameters = declared(&template);
    for parameter in &mut parameters {
        if let Some(members) = parameter.as_object_mut() {
            members.remove("ParameterType");
        }
    }
    Ok(json!({
        "Parameters": parameters,
        "Description": template.description,
        "Capabilities": needs,
        "CapabilitiesReason": reason(&needs),
        "DeclaredTransforms": template.transforms,
    }))
}

impl CloudFormation {
    pub(super) async fn get_template(&self, ctx: &Context, input: &Input) -> Result<Value, ApiError> {
        let (stack, _) = self.stack(&owner(ctx), &needed(input, "StackName")?).await?;
        let body = match text(input, "TemplateStage").as_deref() {
            Some("Processed") => processed(&stack.wish.template)?.0.to_string(),
            _ => stack.wish.template,
        };
        Ok(json!({ "TemplateBody": body, "StagesAvailable": ["Original", "Processed"] }))
    }

    pub(super) async fn get_template_summary(&self, ctx: &Context, input: &Input) -> Result<Value, ApiError> {
        let text = match text(input, "StackName") {
            Some(name) => self.stack(&owner(ctx), &name).await?.0.wish.template,
            None => template_text(input, None)?,
        };
        let (processed, template) = processed(&text)?;
        let original = template::parse(&text)?;
        let needs = capabilities(&template);
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
            "CapabilitiesReason": reason(&needs),
            "ResourceTypes": kinds,
            "Version": processed.get("AWSTemplateFormatVersion"),
            "Metadata": processed.get("Metadata").map(Value::to_string),
            "DeclaredTransforms": template.transforms,
        }))
    }
}
