//! AWS's SDK for Rust as a client of Lambda, for the tests: a function from its creation to its end, with waiters, typed
//! errors, paging and a streamed answer. Told by the environment where the cloud is, and by the arguments what to deploy.

#![allow(clippy::unwrap_used)]

use std::env;
use std::time::Duration;

use aws_sdk_lambda::client::Waiters;
use aws_sdk_lambda::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_lambda::error::ProvideErrorMetadata;
use aws_sdk_lambda::primitives::Blob;
use aws_sdk_lambda::types::{
    FunctionCode, InvokeWithResponseStreamResponseEvent, LogType, PackageType, Runtime, State, TracingConfig,
    TracingMode,
};
use aws_sdk_lambda::{Client, Config};

fn client(secret: &str) -> Client {
    let config = Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .endpoint_url(env::var("AWS_ENDPOINT_URL").unwrap())
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new("test", secret, None, None, "test"))
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .build();
    Client::from_conf(config)
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let (zip, runtime) = (env::args().nth(1).unwrap(), env::args().nth(2).unwrap());
    let zip = Blob::new(std::fs::read(zip).unwrap());
    let lambda = client("test");
    for name in ["a", "b", "c"] {
        let made = lambda
            .create_function()
            .function_name(name)
            .runtime(Runtime::from(runtime.as_str()))
            .handler("app.handler")
            .role("arn:aws:iam::000000000000:role/test")
            .code(FunctionCode::builder().zip_file(zip.clone()).build())
            .tracing_config(TracingConfig::builder().mode(TracingMode::Active).build())
            .send()
            .await
            .unwrap();
        assert_eq!((made.package_type(), made.timeout()), (Some(&PackageType::Zip), Some(3)));
        lambda.wait_until_function_active_v2().function_name(name).wait(Duration::from_secs(30)).await.unwrap();
    }
    let got = lambda.get_function().function_name("a").send().await.unwrap();
    assert_eq!(got.configuration().unwrap().state(), Some(&State::Active));

    let answer = lambda
        .invoke()
        .function_name("a")
        .payload(Blob::new("{\"n\":1}"))
        .log_type(LogType::Tail)
        .send()
        .await
        .unwrap();
    assert_eq!(
        (answer.status_code(), answer.executed_version(), answer.function_error()),
        (200, Some("$LATEST"), None)
    );
    assert_eq!(answer.payload().unwrap().as_ref(), b"[\"one\", \"two\"]");
    assert!(answer.log_result().is_some());
    let failed = lambda.invoke().function_name("a").payload(Blob::new("{\"fail\":true}")).send().await.unwrap();
    assert_eq!(failed.function_error(), Some("Unhandled"));

    let mut streamed = lambda.invoke_with_response_stream().function_name("a").send().await.unwrap();
    let (mut text, mut is_complete) = (Vec::new(), false);
    while let Some(event) = streamed.event_stream.recv().await.unwrap() {
        match event {
            InvokeWithResponseStreamResponseEvent::PayloadChunk(chunk) => {
                text.extend_from_slice(chunk.payload().map(Blob::as_ref).unwrap_or_default());
            }
            InvokeWithResponseStreamResponseEvent::InvokeComplete(end) => {
                assert_eq!(end.error_code(), None);
                is_complete = true;
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((text.as_slice(), is_complete), (&b"[\"one\", \"two\"]"[..], true));

    let names: Vec<_> = lambda
        .list_functions()
        .into_paginator()
        .page_size(1)
        .items()
        .send()
        .collect::<Result<Vec<_>, _>>()
        .await
        .unwrap()
        .into_iter()
        .filter_map(|function| function.function_name)
        .collect();
    assert_eq!(names, ["a", "b", "c"]);

    let version = lambda.publish_version().function_name("a").send().await.unwrap();
    let version = version.version().unwrap();
    lambda.create_alias().function_name("a").name("live").function_version(version).send().await.unwrap();
    let answer = lambda.invoke().function_name("a").qualifier("live").send().await.unwrap();
    assert_eq!(answer.executed_version(), Some(version));
    lambda.update_function_configuration().function_name("a").memory_size(256).send().await.unwrap();
    lambda.wait_until_function_updated_v2().function_name("a").wait(Duration::from_secs(30)).await.unwrap();

    let missing = lambda.get_function().function_name("none").send().await.unwrap_err().into_service_error();
    assert!(missing.is_resource_not_found_exception(), "{missing:?}");
    let large = lambda.update_function_configuration().function_name("a").memory_size(10_241).send().await;
    assert_eq!(large.unwrap_err().into_service_error().code(), Some("ValidationException"));
    let late = lambda.update_alias().function_name("a").name("live").revision_id("another").send().await;
    assert!(late.unwrap_err().into_service_error().is_precondition_failed_exception());
    let stranger = client("wrong").list_functions().send().await.unwrap_err().into_service_error();
    assert_eq!(stranger.code(), Some("InvalidSignatureException"));

    lambda.delete_function().function_name("a").send().await.unwrap();
    let gone = lambda.invoke().function_name("a").send().await.unwrap_err().into_service_error();
    assert!(gone.is_resource_not_found_exception(), "{gone:?}");
    println!("the SDK for Rust is content");
}
