//! Amazon ECR, of which there is only the answer that there is nothing: tools ask for the repositories of what they deploy,
//! and give up where they are not answered. There is no registry of images here.

mod absent;

use async_trait::async_trait;
use cumulet_wire::call::{Answer, Call};
use cumulet_wire::error::ApiError;
use cumulet_wire::operation::{Operation, Protocol, Service, ServiceModel};
use serde_json::{Value, json};

const OPERATIONS: &[Operation] = &[Operation::rpc("DescribeRepositories")];

pub const MODEL: ServiceModel = ServiceModel {
    name: "ecr",
    protocol: Protocol::Json11,
    target: "AmazonEC2ContainerRegistry_V20150921",
    xmlns: "",
    operations: OPERATIONS,
    absent: absent::ABSENT,
};

pub struct Ecr;

#[async_trait]
impl Service for Ecr {
    fn model(&self) -> &'static ServiceModel {
        &MODEL
    }

    async fn call(&self, call: Call) -> Result<Answer, ApiError> {
        match call.operation.name {
            "DescribeRepositories" => describe(&call),
            other => Err(ApiError::not_implemented("ecr", other)),
        }
    }
}

/// All there are, which are none; or those of some names, which are not there
/// (<https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_DescribeRepositories.html>).
fn describe(call: &Call) -> Result<Answer, ApiError> {
    let names = call.input.get("repositoryNames").and_then(Value::as_array);
    match names.and_then(|names| names.first()?.as_str()) {
        None => Answer::json(json!({ "repositories": [] })),
        Some(name) => Err(ApiError::new(
            400,
            "RepositoryNotFoundException",
            format!(
                "The repository with name '{name}' does not exist in the registry with id '{}'",
                call.context.account()
            ),
        )),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use cumulet_wire::auth::Caller;
    use cumulet_wire::call::Context;

    use super::*;

    #[tokio::test]
    async fn there_is_nothing() {
        let call = |input: Value| Call {
            operation: &OPERATIONS[0],
            input: input.as_object().unwrap().clone(),
            payload: bytes::Bytes::new(),
            context: Context {
                caller: Caller::owner("000000000000"),
                region: "us-east-1".to_owned(),
                request_id: "r".to_owned(),
                host: "localhost".to_owned(),
                now_ms: 0,
                trace: None,
            },
        };
        assert_eq!(Ecr.call(call(json!({}))).await.unwrap().output, json!({ "repositories": [] }));
        let error = Ecr.call(call(json!({ "repositoryNames": ["a"] }))).await.unwrap_err();
        assert_eq!((error.status, error.code.as_str()), (400, "RepositoryNotFoundException"));
    }
}
