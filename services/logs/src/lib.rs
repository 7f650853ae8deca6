//! AWS CloudWatch Logs: groups, streams, events, retention, and the engine's log sink.
//! Subscriptions hand events on to functions, metric filters and embedded metrics become CloudWatch's. Deliberately absent: Insights queries, other destinations, exports, live tail by event stream.

mod absent;
mod errors;
#[doc(hidden)]
pub mod fuzz;
mod metrics;
mod model;
mod operations;
mod pattern;
mod sink;
mod storage;
mod subscription;

use std::sync::Arc;

use async_trait::async_trait;
use cumulet_base::clock::Clock;
use cumulet_delivery::Delivery;
use cumulet_store::Store;
use cumulet_wire::auth::{Authorizer, Principal};
use cumulet_wire::call::{Answer, Call};
use cumulet_wire::client::Client;
use cumulet_wire::error::ApiError;
use cumulet_wire::operation::{Operation, Protocol, Service, ServiceModel};
use cumulet_wire::policy;

pub use sink::Sink;
use storage::Storage;

#[rustfmt::skip]
const OPERATIONS: &[Operation] = &[
    Operation::rpc("CreateLogGroup"),
    Operation::rpc("DeleteLogGroup"),
    Operation::rpc("DescribeLogGroups"),
    Operation::rpc("PutRetentionPolicy"),
    Operation::rpc("AssociateKmsKey"),
    Operation::rpc("DisassociateKmsKey"),
    Operation::rpc("DeleteRetentionPolicy"),
    Operation::rpc("CreateLogStream"),
    Operation::rpc("DescribeLogStreams"),
    Operation::rpc("PutLogEvents"),
    Operation::rpc("GetLogEvents"),
    Operation::rpc("FilterLogEvents"),
    Operation::rpc("PutSubscriptionFilter"),
    Operation::rpc("DescribeSubscriptionFilters"),
    Operation::rpc("DeleteSubscriptionFilter"),
    Operation::rpc("PutMetricFilter"),
    Operation::rpc("DescribeMetricFilters"),
    Operation::rpc("DeleteMetricFilter"),
    Operation::rpc("TestMetricFilter"),
    Operation::rpc("PutResourcePolicy"),
    Operation::rpc("DescribeResourcePolicies"),
    Operation::rpc("DeleteResourcePolicy"),
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
    client: Client,
}

impl Logs {
    /// To be made before `delivery` is started: it carries events to subscriptions.
    pub fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>, client: Client, delivery: Arc<Delivery>) -> Logs {
        let measure = metrics::Measure { client: client.clone(), clock: clock.clone() };
        delivery.register(metrics::OWNER, Arc::new(measure));
        let handler = subscription::Deliver { client: client.clone(), clock };
        delivery.register(subscription::OWNER, Arc::new(handler));
        Logs { storage: Storage::new(store, Some(delivery)), client }
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

    async fn authorize(&self, authorizer: &dyn Authorizer, call: &Call) -> Result<(), ApiError> {
        let action = call.operation.action_of(&MODEL);
        let caller = &call.context.caller;
        let document = match caller.kind {
            // Policies here are about services only.
            Principal::Service { .. } => operations::policies::document(self, call).await?,
            _ => None,
        };
        policy::guard(authorizer, caller, &action, &self.resource(call), document.as_deref()).await
    }

    async fn call(&self, call: Call) -> Result<Answer, ApiError> {
        use operations::{events, groups, metric_filters, patterns, policies, streams, subscriptions, tags};
        match call.operation.name {
            "CreateLogGroup" => groups::create(self, &call).await,
            "DeleteLogGroup" => groups::delete(self, &call).await,
            "DescribeLogGroups" => groups::describe(self, &call).await,
            "PutRetentionPolicy" => groups::put_retention(self, &call).await,
            "AssociateKmsKey" => groups::associate_key(self, &call).await,
            "DisassociateKmsKey" => groups::disassociate_key(self, &call).await,
            "DeleteRetentionPolicy" => groups::delete_retention(self, &call).await,
            "CreateLogStream" => streams::create(self, &call).await,
            "DescribeLogStreams" => streams::describe(self, &call).await,
            "PutLogEvents" => events::put(self, &call).await,
            "GetLogEvents" => events::get(self, &call).await,
            "FilterLogEvents" => events::filter(self, &call).await,
            "PutSubscriptionFilter" => subscriptions::put(self, &call).await,
            "DescribeSubscriptionFilters" => subscriptions::describe(self, &call).await,
            "DeleteSubscriptionFilter" => subscriptions::delete(self, &call).await,
            "PutMetricFilter" => metric_filters::put(self, &call).await,
            "DescribeMetricFilters" => metric_filters::describe(self, &call).await,
            "DeleteMetricFilter" => metric_filters::delete(self, &call).await,
            "TestMetricFilter" => patterns::test(&call),
            "PutResourcePolicy" => policies::put(self, &call).await,
            "DescribeResourcePolicies" => policies::describe(self, &call).await,
            "DeleteResourcePolicy" => policies::delete(self, &call).await,
            "TagResource" => tags::tag(self, &call).await,
            "UntagResource" => tags::untag(self, &call).await,
            "ListTagsForResource" => tags::list(self, &call).await,
            other => Err(ApiError::not_implemented("logs", other)),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use cumulet_base::clock::SystemClock;
    use cumulet_engine::output::LogEvent;
    use cumulet_engine::record::LogSink;
    use cumulet_store_memory::MemoryStore;
    use cumulet_wire::auth::Caller;
    use cumulet_wire::call::Context;
    use serde_json::{Value, json};

    use super::*;

    async fn call(logs: &Logs, operation: &str, input: Value) -> Result<Value, ApiError> {
        let Value::Object(input) = input else { panic!("the input is an object") };
        let call = Call {
            operation: OPERATIONS.iter().find(|o| o.name == operation).unwrap(),
            input,
            payload: bytes::Bytes::new(),
            context: Context {
                caller: Caller::owner("000000000000"),
                region: "us-east-1".to_owned(),
                request_id: "r".to_owned(),
                host: "localhost".to_owned(),
                now_ms: 1_795_428_930_123,
                trace: None,
            },
        };
        logs.call(call).await.map(|answer| answer.output)
    }

    fn logs(store: Arc<MemoryStore>) -> Logs {
        let clock = Arc::new(SystemClock);
        let delivery = Delivery::new(store.clone(), clock.clone());
        Logs::new(store, clock, Client::default(), delivery)
    }

    fn messages(output: &Value) -> Vec<String> {
        let events = output["events"].as_array().unwrap();
        let text = |e: &Value| e["message"].as_str().unwrap().to_owned();
        events.iter().map(text).collect()
    }

    #[tokio::test]
    async fn what_the_engine_appends_is_found() {
        let store = Arc::new(MemoryStore::new());
        let sink = Sink::start(store.clone(), Arc::new(SystemClock), None);
        let big = "x".repeat(200_000);
        for (stream, timestamp_ms, message) in
            [("s1", 1000, "ERROR one"), ("s2", 1001, "two"), ("s1", 1002, big.as_str()), ("s1", 1003, "ERROR four")]
        {
            let event = LogEvent { timestamp_ms, message: message.to_owned() };
            sink.append("000000000000", "us-east-1", "/aws/lambda/f", stream, vec![event]).await;
        }
        sink.flush().await;
        let logs = logs(store);
        let group = "/aws/lambda/f";
        let all = json!({"logGroupName": group});
        let found = call(&logs, "FilterLogEvents", all.clone()).await.unwrap();
        assert_eq!(messages(&found), ["ERROR one", "two", &big, "ERROR four"]);
        let errors = json!({"logGroupName": group, "filterPattern": "ERROR", "limit": 1});
        let first = call(&logs, "FilterLogEvents", errors.clone()).await.unwrap();
        assert_eq!(messages(&first), ["ERROR one"]);
        let mut next = errors;
        next["nextToken"] = first["nextToken"].clone();
        let second = call(&logs, "FilterLogEvents", next).await.unwrap();
        assert_eq!(messages(&second), ["ERROR four"]);
        let stream = json!({"logGroupName": group, "logStreamName": "s1", "limit": 2});
        let tail = call(&logs, "GetLogEvents", stream.clone()).await.unwrap();
        assert_eq!(messages(&tail), [&big, "ERROR four"]);
        let mut back = stream.clone();
        back["nextToken"] = tail["nextBackwardToken"].clone();
        assert_eq!(messages(&call(&logs, "GetLogEvents", back).await.unwrap()), ["ERROR one"]);
        let mut on = stream;
        on["nextToken"] = tail["nextForwardToken"].clone();
        let end = call(&logs, "GetLogEvents", on).await.unwrap();
        assert!(messages(&end).is_empty());
        assert_eq!(end["nextForwardToken"], tail["nextForwardToken"]);
        let by_time = json!({"logGroupName": group, "orderBy": "LastEventTime", "descending": true});
        let streams = call(&logs, "DescribeLogStreams", by_time).await.unwrap();
        assert_eq!(streams["logStreams"][0]["logStreamName"], "s1");
        // All of it is older than any retention.
        let keep = json!({"logGroupName": group, "retentionInDays": 1});
        call(&logs, "PutRetentionPolicy", keep).await.unwrap();
        assert!(messages(&call(&logs, "FilterLogEvents", all.clone()).await.unwrap()).is_empty());
        call(&logs, "DeleteLogGroup", all.clone()).await.unwrap();
        let gone = call(&logs, "FilterLogEvents", all).await.unwrap_err();
        assert_eq!(gone.code, "ResourceNotFoundException");
    }

    #[tokio::test]
    async fn groups_streams_and_tags() {
        let logs = logs(Arc::new(MemoryStore::new()));
        let group = json!({"logGroupName": "g", "tags": {"a": "1"}});
        call(&logs, "CreateLogGroup", group.clone()).await.unwrap();
        assert_eq!(call(&logs, "CreateLogGroup", group).await.unwrap_err().code, "ResourceAlreadyExistsException");
        let stream = json!({"logGroupName": "g", "logStreamName": "s"});
        let events = |list: Value| json!({"logGroupName": "g", "logStreamName": "s", "logEvents": list});
        let one = events(json!([{"timestamp": 5, "message": "m"}]));
        assert_eq!(call(&logs, "PutLogEvents", one.clone()).await.unwrap_err().code, "ResourceNotFoundException");
        call(&logs, "CreateLogStream", stream.clone()).await.unwrap();
        assert_eq!(call(&logs, "CreateLogStream", stream).await.unwrap_err().code, "ResourceAlreadyExistsException");
        call(&logs, "PutLogEvents", one).await.unwrap();
        for bad in [
            json!([]),
            json!([{"timestamp": 5, "message": ""}]),
            json!([{"timestamp": 5, "message": "a"}, {"timestamp": 4, "message": "b"}]),
        ] {
            assert_eq!(call(&logs, "PutLogEvents", events(bad)).await.unwrap_err().code, "InvalidParameterException");
        }
        let described = call(&logs, "DescribeLogGroups", json!({"logGroupNamePrefix": "g"})).await.unwrap();
        let arn = described["logGroups"][0]["logGroupArn"].clone();
        let tag = json!({"resourceArn": arn, "tags": {"b": "2"}});
        call(&logs, "TagResource", tag).await.unwrap();
        let key = "arn:aws:kms:us-east-1:000000000000:key/k";
        let keyed = json!({"logGroupName": "g", "kmsKeyId": key});
        call(&logs, "AssociateKmsKey", keyed).await.unwrap();
        let shown = call(&logs, "DescribeLogGroups", json!({})).await.unwrap();
        assert_eq!(shown["logGroups"][0]["kmsKeyId"], key);
        let by_arn = json!({"resourceIdentifier": arn});
        call(&logs, "DisassociateKmsKey", by_arn).await.unwrap();
        let shown = call(&logs, "DescribeLogGroups", json!({})).await.unwrap();
        assert_eq!(shown["logGroups"][0].get("kmsKeyId"), None);
        let alias = json!({"logGroupName": "h", "kmsKeyId": "alias/a"});
        assert_eq!(call(&logs, "CreateLogGroup", alias).await.unwrap_err().code, "InvalidParameterException");
        let untag = json!({"resourceArn": arn, "tagKeys": ["a"]});
        call(&logs, "UntagResource", untag).await.unwrap();
        let tags = call(&logs, "ListTagsForResource", json!({"resourceArn": arn})).await.unwrap();
        assert_eq!(tags, json!({"tags": {"b": "2"}}));
        let bad = json!({"logGroupName": "g", "retentionInDays": 2});
        assert_eq!(call(&logs, "PutRetentionPolicy", bad).await.unwrap_err().code, "InvalidParameterException");
    }
}
