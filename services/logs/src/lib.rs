//! AWS CloudWatch Logs: groups, streams, events, retention, and the engine's log sink.
//! Deliberately absent: Insights queries, subscription and metric filters, exports, live tail by event stream.

mod absent;
mod errors;
mod model;
mod operations;
mod pattern;
mod sink;
mod storage;

use std::sync::Arc;

use async_trait::async_trait;
use cumulet_store::Store;
use cumulet_wire::call::{Answer, Call};
use cumulet_wire::error::ApiError;
use cumulet_wire::operation::{Operation, Protocol, Service, ServiceModel};

pub use sink::Sink;
use storage::Storage;

#[rustfmt::skip]
const OPERATIONS: &[Operation] = &[
    Operation::rpc("CreateLogGroup"),
    Operation::rpc("DeleteLogGroup"),
    Operation::rpc("DescribeLogGroups"),
    Operation::rpc("PutRetentionPolicy"),
    Operation::rpc("DeleteRetentionPolicy"),
    Operation::rpc("CreateLogStream"),
    Operation::rpc("DescribeLogStreams"),
    Operation::rpc("PutLogEvents"),
    Operation::rpc("GetLogEvents"),
    Operation::rpc("FilterLogEvents"),
    Operation::rpc("TagResource"),
    Operation::rpc("UntagResource"),
    Operation::rpc("ListTagsForResource"),
];

pub const MODEL: ServiceModel = ServiceModel {
    name: "logs",
    protocol: Protocol::Json11,
    target: "Logs_20140328",
    xmlns: "",
    operations: OPERATIONS,
    absent: absent::ABSENT,
};

pub struct Logs {
    storage: Storage,
}

impl Logs {
    pub fn new(store: Arc<dyn Store>) -> Logs {
        Logs {
            storage: Storage::new(store),
        }
    }
}

#[async_trait]
impl Service for Logs {
    fn model(&self) -> &'static ServiceModel {
        &MODEL
    }

    fn resource(&self, call: &Call) -> String {
        let text = |member: &str| call.input.get(member).and_then(|value| value.as_str());
        match (text("logGroupName"), text("resourceArn").or(text("logGroupIdentifier"))) {
            (Some(name), _) => call.context.arn("logs", format!("log-group:{name}:*")),
            (None, Some(arn)) => arn.to_owned(),
            (None, None) => "*".to_owned(),
        }
    }

    async fn call(&self, call: Call) -> Result<Answer, ApiError> {
        use operations::{events, groups, streams, tags};
        match call.operation.name {
            "CreateLogGroup" => groups::create(self, &call).await,
            "DeleteLogGroup" => groups::delete(self, &call).await,
            "DescribeLogGroups" => groups::describe(self, &call).await,
            "PutRetentionPolicy" => groups::put_retention(self, &call).await,
            "DeleteRetentionPolicy" => groups::delete_retention(self, &call).await,
            "CreateLogStream" => streams::create(self, &call).await,
            "DescribeLogStreams" => streams::describe(self, &call).await,
            "PutLogEvents" => events::put(self, &call).await,
            "GetLogEvents" => events::get(self, &call).await,
            "FilterLogEvents" => events::filter(self, &call).await,
            "TagResource" => tags::tag(self, &call).await,
            "UntagResource" => tags::untag(self, &call).await,
            "ListTagsForResource" => tags::list(self, &call).await,
            other => Err(ApiError::not_implemented("logs", other)),
        }
    }
}
