//! Amazon CloudWatch: metrics, of programs and of the platform itself, alarms on them, and dashboards, which are kept and
//! shown. Deliberately absent: metric streams, anomaly detection, insight rules, searches in expressions, statistics of a
//! part of the values.

mod absent;
mod alarms;
mod errors;
#[doc(hidden)]
pub mod fuzz;
mod metrics;
mod model;
mod operations;
mod storage;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use async_trait::async_trait;
use cumulet_base::clock::Clock;
use cumulet_delivery::Delivery;
use cumulet_engine::record::MetricSink;
use cumulet_store::Store;
use cumulet_wire::auth::{Authorizer, Principal};
use cumulet_wire::call::{Answer, Call};
use cumulet_wire::client::Client;
use cumulet_wire::error::ApiError;
use cumulet_wire::operation::{Operation, Protocol, Service, ServiceModel};
use cumulet_wire::query::{Flat, Older};
use serde_json::Value;

use alarms::watcher::Watcher;
use metrics::platform::Platform;
use metrics::writer::Writer;
use storage::Storage;
use storage::metrics::MetricStorage;

const OPERATIONS: &[Operation] = &[
    Operation::rpc("DeleteAlarms"),
    Operation::rpc("DeleteDashboards"),
    Operation::rpc("DescribeAlarmHistory"),
    Operation::rpc("DescribeAlarms"),
    Operation::rpc("DescribeAlarmsForMetric"),
    Operation::rpc("DisableAlarmActions"),
    Operation::rpc("EnableAlarmActions"),
    Operation::rpc("GetDashboard"),
    Operation::rpc("GetMetricData"),
    Operation::rpc("GetMetricStatistics"),
    Operation::rpc("ListDashboards"),
    Operation::rpc("ListMetrics"),
    Operation::rpc("ListTagsForResource"),
    Operation::rpc("PutCompositeAlarm"),
    Operation::rpc("PutDashboard"),
    Operation::rpc("PutMetricAlarm"),
    Operation::rpc("PutMetricData"),
    Operation::rpc("SetAlarmState"),
    Operation::rpc("TagResource"),
    Operation::rpc("UntagResource"),
];

pub const MODEL: ServiceModel = ServiceModel {
    name: "cloudwatch",
    protocol: Protocol::Json10,
    target: "GraniteServiceVersion20100801",
    xmlns: "http://monitoring.amazonaws.com/doc/2010-08-01/",
    operations: OPERATIONS,
    absent: absent::ABSENT,
};

/// What it was called by before it spoke CBOR and JSON, and what are times in all of them.
const OLDER: Older = Older {
    flat: &[Flat::entries("ExtendedStatistics")],
    silent: &[
        "DeleteAlarms",
        "DisableAlarmActions",
        "EnableAlarmActions",
        "PutCompositeAlarm",
        "PutMetricAlarm",
        "PutMetricData",
        "SetAlarmState",
    ],
    errors: errors::OLDER,
    path_member: "",
    times: &[
        "AlarmConfigurationUpdatedTimestamp",
        "LastModified",
        "StateTransitionedTimestamp",
        "StateUpdatedTimestamp",
        "Timestamp",
        "Timestamps",
    ],
};

/// What it stands on.
pub struct Ports {
    pub store: Arc<dyn Store>,
    pub clock: Arc<dyn Clock>,
    pub client: Client,
    pub delivery: Arc<Delivery>,
}

pub struct CloudWatch {
    storage: Storage,
    metrics: MetricStorage,
    writer: Arc<Writer>,
    watcher: Arc<Watcher>,
    platform: Arc<Platform>,
    clock: Arc<dyn Clock>,
}

impl CloudWatch {
    /// To be made before `delivery` is started: it carries out the actions of alarms.
    pub fn new(ports: Ports) -> CloudWatch {
        let Ports { store, clock, client, delivery } = ports;
        let storage = Storage::new(store.clone(), delivery.clone());
        let metrics = MetricStorage::new(store);
        let watcher = Watcher::new(storage.clone(), metrics.clone(), clock.clone());
        let writer = Writer::start(metrics.clone(), watcher.clone());
        let platform = Platform::start(writer.clone());
        watcher.connect(alarms::gauges::Gauges { client: client.clone(), writer: writer.clone() });
        let act = alarms::act::Act { client, clock: clock.clone(), storage: storage.clone() };
        delivery.register(alarms::act::OWNER, Arc::new(act));
        CloudWatch { storage, metrics, writer, watcher, platform, clock }
    }

    /// Alarms are looked at from now on, and old metrics forgotten.
    pub fn start(&self) {
        self.watcher.start();
        metrics::tidy::start(self.metrics.clone(), self.clock.clone());
    }

    /// Where the platform's own measurements go.
    pub fn sink(&self) -> Arc<dyn MetricSink> {
        self.platform.clone()
    }

    /// Makes durable what the platform has measured until now.
    pub async fn flush(&self) {
        self.platform.flush().await;
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

    fn older(&self) -> Option<&'static Older> {
        Some(&OLDER)
    }

    /// Logs put what metric filters and embedded metrics find.
    async fn authorize(&self, authorizer: &dyn Authorizer, call: &Call) -> Result<(), ApiError> {
        let caller = &call.context.caller;
        if matches!(&caller.kind, Principal::Service { name, .. } if name == "logs.amazonaws.com")
            && call.operation.name == "PutMetricData"
        {
            return Ok(());
        }
        authorizer.authorize(caller, &call.operation.action_of(&MODEL), &self.resource(call)).await
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
        use operations::{alarms, dashboards, data, history, metrics, states, tags};
        match call.operation.name {
            "DeleteAlarms" => alarms::delete(self, &call).await,
            "DeleteDashboards" => dashboards::delete(self, &call).await,
            "DescribeAlarmHistory" => history::describe(self, &call).await,
            "DescribeAlarms" => alarms::describe(self, &call).await,
            "DescribeAlarmsForMetric" => alarms::for_metric(self, &call).await,
            "DisableAlarmActions" => states::enable(self, &call, false).await,
            "EnableAlarmActions" => states::enable(self, &call, true).await,
            "GetDashboard" => dashboards::get(self, &call).await,
            "GetMetricData" => data::get(self, &call).await,
            "GetMetricStatistics" => data::statistics(self, &call).await,
            "ListDashboards" => dashboards::list(self, &call).await,
            "ListMetrics" => metrics::list(self, &call).await,
            "ListTagsForResource" => tags::list(self, &call).await,
            "PutCompositeAlarm" => alarms::put(self, &call, true).await,
            "PutDashboard" => dashboards::put(self, &call).await,
            "PutMetricAlarm" => alarms::put(self, &call, false).await,
            "PutMetricData" => metrics::put(self, &call).await,
            "SetAlarmState" => states::set(self, &call).await,
            "TagResource" => tags::tag(self, &call).await,
            "UntagResource" => tags::untag(self, &call).await,
            other => Err(ApiError::not_implemented("cloudwatch", other)),
        }
    }
}
