//! AWS Cloud Control API, as far as tools ask it: a function's address, which SAM's `list endpoints` shows. Deliberately
//! absent: every other type, making, changing and listing resources; CloudFormation does that.

use async_trait::async_trait;
use bytes::Bytes;
use cumulet_wire::call::{Answer, Call};
use cumulet_wire::client::Client;
use cumulet_wire::error::ApiError;
use cumulet_wire::operation::{Operation, Protocol, Service, ServiceModel};
use serde_json::{Map, Value, json};

/// Permissions are CloudFormation's
/// (<https://docs.aws.amazon.com/cloudcontrolapi/latest/userguide/security-iam.html>).
const OPERATIONS: &[Operation] = &[Operation::rpc("GetResource").action("cloudformation:GetResource")];

pub const MODEL: ServiceModel = ServiceModel {
    name: "cloudcontrolapi",
    protocol: Protocol::Json10,
    target: "CloudApiService",
    xmlns: "",
    operations: OPERATIONS,
    absent: &[
        Operation::rpc("CancelResourceRequest"),
        Operation::rpc("CreateResource"),
        Operation::rpc("DeleteResource"),
        Operation::rpc("GetResourceRequestStatus"),
        Operation::rpc("ListResourceRequests"),
        Operation::rpc("ListResources"),
        Operation::rpc("UpdateResource"),
    ],
};

const URL: &str = "AWS::Lambda::Url";
/// Of an address, as its type's schema has them.
const URL_PROPERTIES: &[&str] = &["AuthType", "Cors", "FunctionArn", "FunctionUrl", "InvokeMode"];

pub struct CloudControl(pub Client);

#[async_trait]
impl Service for CloudControl {
    fn model(&self) -> &'static ServiceModel {
        &MODEL
    }

    async fn call(&self, call: Call) -> Result<Answer, ApiError> {
        match call.operation.name {
            "GetResource" => self.get(&call).await,
            other => Err(ApiError::not_implemented(MODEL.name, other)),
        }
    }
}

impl CloudControl {
    /// Read under the caller's own permissions
    /// (<https://docs.aws.amazon.com/cloudcontrolapi/latest/APIReference/API_GetResource.html>).
    async fn get(&self, call: &Call) -> Result<Answer, ApiError> {
        let text = |member: &str| call.input.get(member).and_then(Value::as_str);
        let required = |member: &str| {
            let missing = || ApiError::new(400, "ValidationException", format!("{member} is missing"));
            text(member).ok_or_else(missing)
        };
        let (kind, id) = (required("TypeName")?, required("Identifier")?);
        if kind != URL {
            let message = format!("Resource type {kind} does not support READ action here: only {URL} does");
            return Err(ApiError::new(400, "UnsupportedActionException", message));
        }
        let input = json!({ "FunctionName": id });
        let found = self.0.call_in(call.context.clone(), "lambda", "GetFunctionUrlConfig", input, Bytes::new()).await;
        let found = found.map_err(|error| match error.status {
            404 => {
                let message = format!("Resource of type '{kind}' with identifier '{id}' was not found.");
                ApiError::new(400, "ResourceNotFoundException", message)
            }
            _ => error,
        })?;
        let found = found.members()?;
        let of = |name: &&str| Some(((*name).to_owned(), found.get(*name).filter(|value| !value.is_null())?.clone()));
        let mut properties: Map<String, Value> = URL_PROPERTIES.iter().filter_map(of).collect();
        properties.insert("TargetFunctionArn".to_owned(), id.into());
        let description = json!({ "Identifier": id, "Properties": Value::from(properties).to_string() });
        Answer::json(json!({ "TypeName": kind, "ResourceDescription": description }))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use cumulet_wire::auth::Caller;
    use cumulet_wire::call::Context;

    use super::*;

    #[tokio::test]
    async fn what_is_not_asked_for_well() {
        let control = CloudControl(Client::default());
        for (input, code) in [
            (json!({}), "ValidationException"),
            (json!({"TypeName": URL}), "ValidationException"),
            (json!({"TypeName": "AWS::S3::Bucket", "Identifier": "b"}), "UnsupportedActionException"),
        ] {
            let call = Call {
                operation: &OPERATIONS[0],
                input: input.as_object().unwrap().clone(),
                payload: Bytes::new(),
                context: Context {
                    caller: Caller::owner("000000000000"),
                    region: "us-east-1".to_owned(),
                    request_id: "r".to_owned(),
                    host: "localhost".to_owned(),
                    now_ms: 0,
                    trace: None,
                },
            };
            assert_eq!(control.call(call).await.unwrap_err().code, code, "{input}");
        }
    }
}
