//! CreateFunctionUrlConfig (<https://docs.aws.amazon.com/lambda/latest/api/API_CreateFunctionUrlConfig.html>).

use cumulet_base::id;
use cumulet_wire::call::{Answer, Call};
use cumulet_wire::error::ApiError;
use cumulet_wire::validate::Validation;
use serde::Deserialize;

use super::{UrlSettings, input};
use crate::model::Url;
use crate::{Lambda, errors, names};

/// Length of AWS's URL ids.
const ID_LENGTH: usize = 32;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Input {
    function_name: String,
    qualifier: Option<String>,
    #[serde(flatten)]
    settings: UrlSettings,
}

pub async fn run(lambda: &Lambda, call: Call) -> Result<Answer, ApiError> {
    let context = call.context.clone();
    let input: Input = input(call)?;
    let named = names::read_url(&context, &input.function_name, input.qualifier.as_deref())?;
    let mut checks = Validation::new();
    checks.required("authType", input.settings.auth_type.as_ref());
    checks.finish("ValidationException")?;
    input.settings.check()?;
    let url = Url {
        id: id::short(ID_LENGTH),
        auth_type: input.settings.auth_type.unwrap_or_default(),
        invoke_mode: input.settings.invoke_mode.unwrap_or_else(|| "BUFFERED".to_owned()),
        cors: input.settings.cors,
        created_ms: context.now_ms,
        modified_ms: context.now_ms,
    };
    let (_, row) = lambda
        .functions
        .update_row(&named, |row| {
            if row.attached().url.is_some() {
                return Err(errors::conflict(format!(
                    "Failed to create function url config for [functionArn = {}]. Error message:  FunctionUrlConfig exists for this Lambda function",
                    row.arn()
                )));
            }
            row.attached_mut().url = Some(url.clone());
            Ok(())
        })
        .await?;
    Answer::json(row.url_config(&url, &context.host))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use crate::tests::Fixture;

    #[tokio::test]
    async fn a_url_comes_changes_and_goes() {
        let fixture = Fixture::new();
        fixture.create("f").await.unwrap();
        let name = json!({"FunctionName": "f"});
        let missing = fixture.call("GetFunctionUrlConfig", name.clone()).await.unwrap_err();
        assert_eq!(missing.status, 404);
        let input = json!({"FunctionName": "f", "AuthType": "NONE", "Cors": {"AllowOrigins": ["*"], "MaxAge": 5}});
        let made = fixture.call("CreateFunctionUrlConfig", input.clone()).await.unwrap();
        let url = made["FunctionUrl"].as_str().unwrap();
        assert!(url.starts_with("http://") && url.ends_with(".lambda-url.us-east-1.localhost:4566/"), "{url}");
        assert_eq!(fixture.call("CreateFunctionUrlConfig", input).await.unwrap_err().status, 409);
        let update = json!({"FunctionName": "f", "AuthType": "AWS_IAM"});
        let changed = fixture.call("UpdateFunctionUrlConfig", update).await.unwrap();
        assert_eq!(
            (&changed["AuthType"], &changed["FunctionUrl"], &changed["Cors"]),
            (&json!("AWS_IAM"), &made["FunctionUrl"], &made["Cors"])
        );
        assert_eq!(fixture.call("GetFunctionUrlConfig", name.clone()).await.unwrap()["AuthType"], "AWS_IAM");
        let list = fixture.call("ListFunctionUrlConfigs", name.clone()).await.unwrap();
        assert_eq!(list["FunctionUrlConfigs"].as_array().unwrap().len(), 1);
        fixture.call("DeleteFunctionUrlConfig", name.clone()).await.unwrap();
        assert_eq!(fixture.call("DeleteFunctionUrlConfig", name.clone()).await.unwrap_err().status, 404);
        for (input, code) in [
            (json!({"FunctionName": "f", "AuthType": "OTHER"}), "ValidationException"),
            (json!({"FunctionName": "f"}), "ValidationException"),
            (json!({"FunctionName": "f", "AuthType": "NONE", "InvokeMode": "SLOW"}), "ValidationException"),
            (json!({"FunctionName": "f", "AuthType": "NONE", "Qualifier": "1"}), "InvalidParameterValueException"),
            (json!({"FunctionName": "f", "AuthType": "NONE", "Qualifier": "live"}), "ResourceNotFoundException"),
        ] {
            assert_eq!(fixture.call("CreateFunctionUrlConfig", input).await.unwrap_err().code, code);
        }
    }
}
