//! AddPermission (<https://docs.aws.amazon.com/lambda/latest/api/API_AddPermission.html>).

use cumulet_base::limits;
use cumulet_wire::call::{Answer, Call};
use cumulet_wire::error::ApiError;
use cumulet_wire::validate::Validation;
use serde::Deserialize;
use serde_json::json;

use super::{check_revision, input};
use crate::policy::{self, Grant};
use crate::{Lambda, errors, names};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Input {
    function_name: String,
    qualifier: Option<String>,
    statement_id: Option<String>,
    action: Option<String>,
    principal: Option<String>,
    source_arn: Option<String>,
    source_account: Option<String>,
    event_source_token: Option<String>,
    #[serde(rename = "PrincipalOrgID")]
    principal_org_id: Option<String>,
    function_url_auth_type: Option<String>,
    invoked_via_function_url: Option<bool>,
    revision_id: Option<String>,
}

impl Input {
    fn check(&self) -> Result<(), ApiError> {
        let mut checks = Validation::new();
        checks
            .required("statementId", self.statement_id.as_ref())
            .length("statementId", self.statement_id.as_deref(), 1, 100)
            .pattern("statementId", self.statement_id.as_deref(), "([a-zA-Z0-9-_]+)", |text| {
                text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
            })
            .required("action", self.action.as_ref())
            .pattern("action", self.action.as_deref(), "(lambda:[*]|lambda:[a-zA-Z]+|[*])", is_action)
            .required("principal", self.principal.as_ref())
            .pattern("principal", self.principal.as_deref(), "[^\\s]+", |text| {
                !text.is_empty() && !text.chars().any(char::is_whitespace)
            })
            .pattern(
                "sourceArn",
                self.source_arn.as_deref(),
                "arn:(aws[a-zA-Z0-9-]*):([a-zA-Z0-9\\-])+:([a-z]{2}(-gov)?-[a-z]+-\\d{1})?:(\\d{12})?:(.*)",
                |text| text.starts_with("arn:aws") && text.splitn(6, ':').count() == 6,
            )
            .pattern("sourceAccount", self.source_account.as_deref(), "\\d{12}", |text| {
                text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit())
            })
            .one_of("functionUrlAuthType", self.function_url_auth_type.as_deref(), &["NONE", "AWS_IAM"])
            .length("eventSourceToken", self.event_source_token.as_deref(), 0, 256)
            .length("principalOrgID", self.principal_org_id.as_deref(), 12, 34);
        checks.finish("ValidationException")?;
        let is_principal = self.principal.as_deref().is_some_and(|principal| {
            principal == "*"
                || principal.starts_with("arn:aws")
                || principal.ends_with(".amazonaws.com")
                || principal.len() == 12 && principal.bytes().all(|b| b.is_ascii_digit())
        });
        if !is_principal {
            return Err(errors::invalid_parameter(
                "The provided principal was invalid. Please check the principal and try again.",
            ));
        }
        if self.function_url_auth_type.is_some() && self.action.as_deref() != Some("lambda:InvokeFunctionUrl") {
            return Err(errors::invalid_parameter(
                "FunctionUrlAuthType is only supported for lambda:InvokeFunctionUrl action",
            ));
        }
        Ok(())
    }
}

fn is_action(text: &str) -> bool {
    match text.strip_prefix("lambda:") {
        Some("*") => true,
        Some(name) => !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphabetic()),
        None => text == "*",
    }
}

pub async fn run(lambda: &Lambda, call: Call) -> Result<Answer, ApiError> {
    let context = call.context.clone();
    let input: Input = input(call)?;
    let named = names::read(&context, &input.function_name, input.qualifier.as_deref())?;
    input.check()?;
    if named.qualifier.as_deref() == Some(names::LATEST) {
        return Err(errors::invalid_parameter("We currently do not support adding policies for $LATEST."));
    }
    let sid = input.statement_id.as_deref().unwrap_or_default();
    let statement = policy::statement(
        &Grant {
            sid,
            action: input.action.as_deref().unwrap_or_default(),
            principal: input.principal.as_deref().unwrap_or_default(),
            source_arn: input.source_arn.as_deref(),
            source_account: input.source_account.as_deref(),
            event_source_token: input.event_source_token.as_deref(),
            organisation: input.principal_org_id.as_deref(),
            url_auth_type: input.function_url_auth_type.as_deref(),
            via_url: input.invoked_via_function_url,
        },
        &named.qualified_arn(),
    );
    lambda
        .functions
        .update_row(&named, |row| {
            check_revision(row.revision_id(), input.revision_id.as_deref())?;
            let policy = &mut row.attached_mut().policy;
            if policy.iter().any(|s| s["Sid"] == sid) {
                return Err(errors::conflict(format!(
                    "The statement id ({sid}) provided already exists. Please provide a new statement id, \
                     or remove the existing statement."
                )));
            }
            policy.push(statement.clone());
            let bytes = policy::document(policy).len();
            if bytes > limits::FUNCTION_POLICY_BYTES_MAX {
                return Err(errors::policy_too_long(bytes, limits::FUNCTION_POLICY_BYTES_MAX));
            }
            row.touch();
            Ok(())
        })
        .await?;
    Answer::json(json!({"Statement": statement.to_string()}))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use crate::tests::Fixture;

    #[tokio::test]
    async fn a_policy_comes_and_goes() {
        let fixture = Fixture::new();
        let made = fixture.create("f").await.unwrap();
        let name = json!({"FunctionName": "f"});
        assert_eq!(fixture.call("GetPolicy", name.clone()).await.unwrap_err().status, 404);
        let input = json!({"FunctionName": "f", "StatementId": "api", "Action": "lambda:InvokeFunction",
            "Principal": "apigateway.amazonaws.com", "SourceArn": "arn:aws:execute-api:us-east-1:000000000000:x/*"});
        let added = fixture.call("AddPermission", input.clone()).await.unwrap();
        let statement: serde_json::Value = serde_json::from_str(added["Statement"].as_str().unwrap()).unwrap();
        assert_eq!(statement["Principal"], json!({"Service": "apigateway.amazonaws.com"}));
        assert_eq!(fixture.call("AddPermission", input).await.unwrap_err().code, "ResourceConflictException");
        let got = fixture.call("GetPolicy", name.clone()).await.unwrap();
        assert_ne!(got["RevisionId"], made["RevisionId"]);
        let policy: serde_json::Value = serde_json::from_str(got["Policy"].as_str().unwrap()).unwrap();
        assert_eq!(policy["Statement"], json!([statement]));

        let stale = json!({"FunctionName": "f", "StatementId": "api", "RevisionId": made["RevisionId"]});
        assert_eq!(fixture.call("RemovePermission", stale).await.unwrap_err().status, 412);
        let remove = json!({"FunctionName": "f", "StatementId": "api"});
        fixture.call("RemovePermission", remove.clone()).await.unwrap();
        assert_eq!(fixture.call("RemovePermission", remove).await.unwrap_err().status, 404);
        assert_eq!(fixture.call("GetPolicy", name).await.unwrap_err().status, 404);
    }

    #[tokio::test]
    async fn refusals() {
        let fixture = Fixture::new();
        fixture.create("f").await.unwrap();
        let good = json!({"FunctionName": "f", "StatementId": "s", "Action": "lambda:InvokeFunction", "Principal": "s3.amazonaws.com"});
        for (member, value, code) in [
            ("StatementId", json!("a b"), "ValidationException"),
            ("Action", json!("s3:Get"), "ValidationException"),
            ("Principal", json!("nobody"), "InvalidParameterValueException"),
            ("SourceAccount", json!("1"), "ValidationException"),
            ("FunctionUrlAuthType", json!("NONE"), "InvalidParameterValueException"),
            ("FunctionName", json!("g"), "ResourceNotFoundException"),
            ("Qualifier", json!("$LATEST"), "InvalidParameterValueException"),
            ("Qualifier", json!("live"), "ResourceNotFoundException"),
        ] {
            let mut input = good.clone();
            input[member] = value;
            assert_eq!(fixture.call("AddPermission", input).await.unwrap_err().code, code, "{member}");
        }
        let mut last = Ok(json!(null));
        for n in 0..200 {
            let mut input = good.clone();
            input["StatementId"] = json!(format!("s{n}"));
            last = fixture.call("AddPermission", input).await;
            if last.is_err() {
                break;
            }
        }
        assert_eq!(last.unwrap_err().code, "PolicyLengthExceededException");
    }
}
