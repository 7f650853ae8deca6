//! The meter: one durable record for each invocation, and the bill that follows from them. Prices are given, not
//! fetched. Deliberately absent: aggregates kept beside the records, and payment.

mod measure;
mod operations;
pub mod price;
mod sink;
mod storage;
mod usage;

use std::sync::Arc;

use async_trait::async_trait;
use cumulet_store::Store;
use cumulet_wire::call::{Answer, Call};
use cumulet_wire::error::ApiError;
use cumulet_wire::operation::{Operation, Protocol, Service, ServiceModel};

pub use measure::{Measuring, sample};
pub use price::Prices;
pub use sink::Sink;
use storage::Storage;
pub use usage::UsageSums;

const OPERATIONS: &[Operation] = &[
    Operation::rest("GetBill", "GET", "/_cumulet/bill", 200).query(&[
        ("from", "from"),
        ("to", "to"),
        ("function", "function"),
    ]),
    Operation::rest("GetRecords", "GET", "/_cumulet/records", 200).query(&[
        ("function", "function"),
        ("day", "day"),
        ("limit", "limit"),
    ]),
];

pub const MODEL: ServiceModel = ServiceModel {
    name: "cumulet-meter",
    protocol: Protocol::RestJson,
    target: "",
    xmlns: "",
    operations: OPERATIONS,
    absent: &[],
};

pub struct Meter {
    storage: Storage,
    prices: Prices,
}

impl Meter {
    pub fn new(store: Arc<dyn Store>, prices: Prices) -> Meter {
        Meter { storage: Storage::new(store), prices }
    }
}

#[async_trait]
impl Service for Meter {
    fn model(&self) -> &'static ServiceModel {
        &MODEL
    }

    async fn call(&self, call: Call) -> Result<Answer, ApiError> {
        match call.operation.name {
            "GetBill" => operations::get_bill::run(self, call).await,
            "GetRecords" => operations::get_records::run(self, call).await,
            other => Err(ApiError::not_implemented(MODEL.name, other)),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use cumulet_engine::record::{Ending, MeterSink, Record};
    use cumulet_store_memory::MemoryStore;
    use cumulet_wire::auth::Caller;
    use cumulet_wire::call::Context;
    use serde_json::{Value, json};

    use super::*;

    const NOW_MS: u64 = 1_795_428_930_123;

    fn record(function: &str, n: u64, ending: Ending) -> Record {
        Record {
            account: "000000000000".to_owned(),
            region: "us-east-1".to_owned(),
            function: function.to_owned(),
            version: "$LATEST".to_owned(),
            request_id: format!("r{n}"),
            instance_id: "i".to_owned(),
            started_ms: NOW_MS + n,
            duration_us: 900,
            billed_ms: 1000,
            init_us: None,
            memory_mb: 1024,
            memory_peak_bytes: 0,
            cpu_us: 500,
            ending,
        }
    }

    async fn call(meter: &Meter, operation: &str, input: Value) -> Result<Value, ApiError> {
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
                now_ms: NOW_MS,
                trace: None,
            },
        };
        meter.call(call).await.map(|answer| answer.output)
    }

    #[tokio::test]
    async fn sums_a_day_by_function() {
        let store = Arc::new(MemoryStore::new());
        let sink = Sink::start(store.clone(), Arc::new(cumulet_base::clock::SystemClock), None);
        for n in 0..1200 {
            sink.record(record("a", n, Ending::Success)).await;
        }
        sink.record(record("b", 1, Ending::Timeout)).await;
        sink.flush().await;
        let meter = Meter::new(store, Prices::default());
        let bill = call(&meter, "GetBill", json!({})).await.unwrap();
        let rows = bill["rows"].as_array().unwrap();
        assert_eq!(rows.len(), 2);
        assert_eq!(
            (&rows[0]["invocations"], &rows[0]["gbSeconds"], &rows[1]["errors"]),
            (&json!(1200), &json!(1200.0), &json!(1))
        );
        let one = call(&meter, "GetBill", json!({"function": "b"})).await.unwrap();
        assert_eq!(one["rows"].as_array().unwrap().len(), 1);
        let other = json!({"from": "2026-11-24", "to": "2026-11-25"});
        assert_eq!(call(&meter, "GetBill", other).await.unwrap()["rows"], json!([]));
        let recent = json!({"function": "a", "limit": "2"});
        let recent = call(&meter, "GetRecords", recent).await.unwrap();
        let ids: Vec<_> = recent["records"].as_array().unwrap().iter().map(|r| r["request_id"].clone()).collect();
        assert_eq!(ids, ["r1199", "r1198"]);
        for bad in [json!({"from": "yesterday"}), json!({"from": "2026-11-24", "to": "2026-11-23"})] {
            assert_eq!(call(&meter, "GetBill", bad).await.unwrap_err().status, 400);
        }
        assert_eq!(call(&meter, "GetRecords", json!({})).await.unwrap_err().status, 400);
    }

    #[tokio::test]
    async fn a_record_too_large_costs_no_other() {
        let store = Arc::new(MemoryStore::new());
        let sink = Sink::start(store.clone(), Arc::new(cumulet_base::clock::SystemClock), None);
        for (n, function) in ["a", &"x".repeat(2000), "a"].into_iter().enumerate() {
            sink.record(record(function, n as u64, Ending::Success)).await;
        }
        sink.flush().await;
        let meter = Meter::new(store, Prices::default());
        let bill = call(&meter, "GetBill", json!({})).await.unwrap();
        assert_eq!(bill["rows"].as_array().unwrap().len(), 1);
        assert_eq!(bill["rows"][0]["invocations"], json!(2));
    }
}
