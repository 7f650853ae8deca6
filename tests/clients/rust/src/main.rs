//! A function written with AWS's runtime for Rust, for the tests to deploy as it is.

use lambda_runtime::{Error, LambdaEvent, service_fn};
use serde_json::{Value, json};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    lambda_runtime::run(service_fn(|event: LambdaEvent<Value>| async move {
        match event.payload["fail"].as_str() {
            Some(reason) => Err(Error::from(reason.to_owned())),
            None => Ok(json!({ "echo": event.payload, "id": event.context.request_id })),
        }
    }))
    .await
}
