//! Amazon CloudWatch: alarms and dashboards, as templates bring them along. They are kept and shown. Alarms are not evaluated:
//! there are no metrics yet, and every alarm says so by its state, which stays `INSUFFICIENT_DATA`.
//! Deliberately absent: metrics, their streams and statistics, anomaly detection, insight rules.

mod absent;
mod errors;
mod model;
mod operations;
mod storage;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use async_trait::async_trait;
use cumulet_store::Store;
use cumulet_wire::call::{Answer, Call};
use cumulet_wire::error::ApiError;
use cumulet_wire::operation::{Operation, Protocol, Service, ServiceModel};
use serde_json::Value;

use storage::Storage;

const OPERATIONS: &[Operation] = &[
    Operation::rpc("DeleteAlarms"),
    Operation::rpc("DeleteDashboards"),
    Operation::rpc("DescribeAlarms"),
    Operation::rpc("DisableAlarmActions"),
    Operation::rpc("EnableAlarmActions"),
    Operation::rpc("GetDashboard"),
    Operation::rpc("ListDashboards"),
    Operation::rpc("ListTagsForResource"),
    Operation::rpc("PutCompositeAlarm"),
    Operation::rpc("PutDashboard"),
    Operation::rpc("PutMetricAlarm"),
    Operation::rpc("TagResource"),
    Operation::rpc("UntagResource"),
];

pub const MODEL: ServiceModel = ServiceModel {
    name: "cloudwatch",
    protocol: Protocol::Json10,
    target: "GraniteServiceVersion20100801",
    xmlns: "",
    operations: OPERATIONS,
    absent: absent::ABSENT,
};

pub struct CloudWatch {
    storage: Storage,
}

impl CloudWatch {
    pub fn new(store: Arc<dyn Store>) -> CloudWatch {
        CloudWatch { storage: Storage::new(store) }
    }
}

#[async_trait]
impl Service for CloudWatch {
    fn model(&self) -> &'static ServiceModel {
        &MODEL
    }

    /// It is signed for under its older name.
    fn signing_name(&self) -> &'static str {
        "monitoring"
    }

    fn resource(&self, call: &Call) -> String {
        let text = |member: &str| call.input.get(member).and_then(Value::as_str);
        match (text("AlarmName"), text("DashboardName"), text("ResourceARN")) {
            (Some(name), ..) => call.context.arn("cloudwatch", format!("alarm:{name}")),
            (_, Some(name), _) => model::dashboard_arn(call.context.account(), name),
            (_, _, Some(arn)) => arn.to_owned(),
            _ => "*".to_owned(),
        }
    }

    async fn call(&self, call: Call) -> Result<Answer, ApiError> {
        use operations::{alarms, dashboards, tags};
        match call.operation.name {
            "DeleteAlarms" => alarms::delete(self, &call).await,
            "DeleteDashboards" => dashboards::delete(self, &call).await,
            "DescribeAlarms" => alarms::describe(self, &call).await,
            "DisableAlarmActions" => alarms::enable(self, &call, false).await,
            "EnableAlarmActions" => alarms::enable(self, &call, true).await,
            "GetDashboard" => dashboards::get(self, &call).await,
            "ListDashboards" => dashboards::list(self, &call).await,
            "ListTagsForResource" => tags::list(self, &call).await,
            "PutCompositeAlarm" => alarms::put(self, &call, true).await,
            "PutDashboard" => dashboards::put(self, &call).await,
            "PutMetricAlarm" => alarms::put(self, &call, false).await,
            "TagResource" => tags::tag(self, &call).await,
            "UntagResource" => tags::untag(self, &call).await,
            other => Err(ApiError::not_implemented("cloudwatch", other)),
        }
    }
}
