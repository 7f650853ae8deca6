//! AddLayerVersionPermission (<https://docs.aws.amazon.com/lambda/latest/api/API_AddLayerVersionPermission.html>); tested
//! with PublishLayerVersion.

use cumulet_base::{id, limits};
use cumulet_wire::call::{Answer, Call};
use cumulet_wire::error::ApiError;
use cumulet_wire::validate::Validation;
use serde::Deserialize;
use serde_json::json;

use super::get_layer_version::LayerVersionInput;
use super::{check_revision, input};
use crate::policy::{self, Grant};
use crate::{Lambda, errors};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Input {
    #[serde(flatten)]
    layer: LayerVersionInput,
    statement_id: Option<String>,
    action: Option<String>,
    principal: Option<String>,
    organization_id: Option<String>,
    revision_id: Option<String>,
}

impl Input {
    fn check(&self) -> Result<(), ApiError> {
        let is_word = |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        let is_account = |text: &str| text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit());
        let mut checks = Validation::new();
        checks
            .required("statementId", self.statement_id.as_ref())
            .length("statementId", self.statement_id.as_deref(), 1, 100)
            .pattern("statementId", self.statement_id.as_deref(), "([a-zA-Z0-9-_]+)", is_word)
            .required("action", self.action.as_ref())
            .pattern("action", self.action.as_deref(), "lambda:GetLayerVersion", |a| a == "lambda:GetLayerVersion")
            .required("principal", self.principal.as_ref())
            .pattern(
                "principal",
                self.principal.as_deref(),
                "\\d{12}|\\*|arn:(aws[a-zA-Z-]*):iam::\\d{12}:root",
                |text| text == "*" || is_account(text) || text.starts_with("arn:aws") && text.ends_with(":root"),
            )
            .length("organizationId", self.organization_id.as_deref(), 0, 34);
        checks.finish("ValidationException")
    }
}

pub async fn run(lambda: &Lambda, call: Call) -> Result<Answer, ApiError> {
    let context = call.context.clone();
    let input: Input = input(call)?;
    let (layer, version) = input.layer.read(&context)?;
    input.check()?;
    let sid = input.statement_id.as_deref().unwrap_or_default();
    let grant = Grant {
        sid,
        action: "lambda:GetLayerVersion",
        principal: input.principal.as_deref().unwrap_or_default(),
        organisation: input.organization_id.as_deref(),
        ..Grant::default()
    };
    let statement = policy::statement(&grant, &layer.version_arn(version));
    let changed = lambda
        .layers
        .update(&layer, version, |found| {
            check_revision(&found.revision_id, input.revision_id.as_deref())?;
            if found.policy.iter().any(|statement| statement["Sid"] == sid) {
                return Err(errors::conflict(format!(
                    "The statement id ({sid}) provided already exists. Please provide a new statement id, \
                     or remove the existing statement."
                )));
            }
            found.policy.push(statement.clone());
            let bytes = policy::document(&found.policy).len();
            if bytes > limits::FUNCTION_POLICY_BYTES_MAX {
                return Err(errors::policy_too_long(bytes, limits::FUNCTION_POLICY_BYTES_MAX));
            }
            found.revision_id = id::uuid();
            Ok(())
        })
        .await?;
    let changed = changed.ok_or_else(|| errors::layer_not_found(&layer.version_arn(version)))?;
    Answer::json(json!({"Statement": statement.to_string(), "RevisionId": changed.revision_id}))
}
