//! Amazon DynamoDB: tables, items, expressions, indexes, streams, backups.
//! Deliberately absent: global tables, DAX, imports and exports, streams to Kinesis.

mod capacity;
mod change;
mod describe;
mod errors;
mod exports;
pub mod expression;
pub mod fuzz;
mod input;
mod items;
mod jobs;
mod keys;
pub mod legacy;
mod model;
mod operations;
mod pages;
pub mod partiql;
mod permissions;
mod request;
mod schema;
mod storage;
mod tables;
mod transactions;
pub mod value;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use cumulet_base::clock::Clock;
use cumulet_engine::record::{Usage, UsageSink};
use cumulet_store::Store;
use cumulet_wire::auth::Authorizer;
use cumulet_wire::call::{Answer, Call};
use cumulet_wire::client::Client;
use cumulet_wire::error::ApiError;
use cumulet_wire::operation::{Changes, Operation, Protocol, Service, ServiceModel};

use capacity::Used;
use model::Table;
use operations::Output;
use serde_json::Value as Json;
use storage::Storage;
use tables::Tables;

#[rustfmt::skip]
const OPERATIONS: &[Operation] = &[
    Operation::rpc("BatchExecuteStatement"),
    Operation::rpc("BatchGetItem"),
    Operation::rpc("BatchWriteItem"),
    Operation::rpc("CreateBackup"),
    Operation::rpc("CreateTable"),
    Operation::rpc("DeleteBackup"),
    Operation::rpc("DeleteItem"),
    Operation::rpc("DeleteResourcePolicy"),
    Operation::rpc("DeleteTable"),
    Operation::rpc("DescribeBackup"),
    Operation::rpc("DescribeContinuousBackups"),
    Operation::rpc("DescribeEndpoints"),
    Operation::rpc("DescribeExport"),
    Operation::rpc("DescribeLimits"),
    Operation::rpc("DescribeTable"),
    Operation::rpc("DescribeTimeToLive"),
    Operation::rpc("ExecuteStatement"),
    Operation::rpc("ExecuteTransaction"),
    Operation::rpc("ExportTableToPointInTime"),
    Operation::rpc("GetItem"),
    Operation::rpc("GetResourcePolicy"),
    Operation::rpc("ListBackups"),
    Operation::rpc("ListExports"),
    Operation::rpc("ListTables"),
    Operation::rpc("ListTagsOfResource"),
    Operation::rpc("PutItem"),
    Operation::rpc("PutResourcePolicy"),
    Operation::rpc("Query"),
    Operation::rpc("RestoreTableFromBackup"),
    Operation::rpc("RestoreTableToPointInTime"),
    Operation::rpc("Scan"),
    Operation::rpc("TagResource"),
    Operation::rpc("TransactGetItems"),
    Operation::rpc("TransactWriteItems"),
    Operation::rpc("UntagResource"),
    Operation::rpc("UpdateContinuousBackups"),
    Operation::rpc("UpdateItem"),
    Operation::rpc("UpdateTable"),
    Operation::rpc("UpdateTimeToLive"),
];

#[rustfmt::skip]
const ABSENT: &[Operation] = &[
    Operation::rpc("CreateGlobalTable"),
    Operation::rpc("DescribeContributorInsights"),
    Operation::rpc("DescribeGlobalTable"),
    Operation::rpc("DescribeGlobalTableSettings"),
    Operation::rpc("DescribeImport"),
    Operation::rpc("DescribeKinesisStreamingDestination"),
    Operation::rpc("DescribeTableReplicaAutoScaling"),
    Operation::rpc("DisableKinesisStreamingDestination"),
    Operation::rpc("EnableKinesisStreamingDestination"),
    Operation::rpc("ImportTable"),
    Operation::rpc("ListContributorInsights"),
    Operation::rpc("ListGlobalTables"),
    Operation::rpc("ListImports"),
    Operation::rpc("UpdateContributorInsights"),
    Operation::rpc("UpdateGlobalTable"),
    Operation::rpc("UpdateGlobalTableSettings"),
    Operation::rpc("UpdateKinesisStreamingDestination"),
    Operation::rpc("UpdateTableReplicaAutoScaling"),
];

#[rustfmt::skip]
const STREAM_OPERATIONS: &[Operation] = &[
    Operation::rpc("DescribeStream").action("dynamodb:DescribeStream"),
    Operation::rpc("GetRecords").action("dynamodb:GetRecords"),
    Operation::rpc("GetShardIterator").action("dynamodb:GetShardIterator"),
    Operation::rpc("ListStreams").action("dynamodb:ListStreams"),
];

pub const MODEL: ServiceModel = ServiceModel {
    name: "dynamodb",
    protocol: Protocol::Json10,
    target: "DynamoDB_20120810",
    xmlns: "",
    operations: OPERATIONS,
    absent: ABSENT,
};

pub const STREAMS_MODEL: ServiceModel = ServiceModel {
    name: "dynamodbstreams",
    protocol: Protocol::Json10,
    target: "DynamoDBStreams_20120810",
    xmlns: "",
    operations: STREAM_OPERATIONS,
    absent: &[],
};

/// What both services and the work in the background share.
struct Shared {
    tables: Tables,
    clock: Arc<dyn Clock>,
    usage: Arc<dyn UsageSink>,
    /// For buckets.
    client: Client,
    /// Accounts and regions that have tables.
    places: Mutex<BTreeSet<(String, String)>>,
    /// Expiry and recovery are switched on and off one after the other: what is off is cleared before it is on again.
    switching: tokio::sync::Mutex<()>,
}

impl Shared {
    fn storage(&self) -> &Storage {
        &self.tables.storage
    }

    fn now_ms(&self) -> u64 {
        self.clock.now_ms()
    }

    fn remember_place(&self, account: &str, region: &str) {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        if !places.contains(&(account.to_owned(), region.to_owned())) {
            places.insert((account.to_owned(), region.to_owned()));
        }
    }

    /// Takes what was used off the provisioned capacity and puts it on the bill.
    fn settle(&self, live: &tables::Live, used: &Used) {
        let now_ms = self.now_ms();
        live.runtime.buckets.settle(&live.table, used, now_ms);
        self.bill(&live.table, "read-request-units", used.read_halves() * 500_000, now_ms);
        self.bill(&live.table, "write-request-units", used.write_halves() * 500_000, now_ms);
    }

    fn bill(&self, table: &Table, unit: &'static str, quantity_micro: u64, at_ms: u64) {
        if quantity_micro > 0 {
            self.usage.used(Usage {
                account: table.place.account.clone(),
                region: table.place.region.clone(),
                service: MODEL.name,
                resource: table.place.name.clone(),
                unit,
                quantity_micro,
                at_ms,
            });
        }
    }
}

pub struct DynamoDb {
    shared: Arc<Shared>,
}

/// DynamoDB Streams, which has a target of its own and is signed for as DynamoDB.
pub struct Streams {
    shared: Arc<Shared>,
}

impl DynamoDb {
    pub fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>, usage: Arc<dyn UsageSink>, client: Client) -> DynamoDb {
        let tables = Tables::new(Storage::new(store));
        DynamoDb {
            shared: Arc::new(Shared {
                tables,
                clock,
                usage,
                client,
                places: Mutex::default(),
                switching: tokio::sync::Mutex::default(),
            }),
        }
    }

    pub fn streams(&self) -> Streams {
        Streams { shared: self.shared.clone() }
    }

    /// Begins the work in the background: what a stop interrupted, expiry, and forgetting what is old.
    pub fn start(&self) {
        tokio::spawn(jobs::run(self.shared.clone()));
    }

    /// Makes durable what is only summed in memory.
    pub async fn flush(&self) {
        self.shared.tables.keep_counts().await;
    }
}

#[async_trait]
impl Service for DynamoDb {
    fn model(&self) -> &'static ServiceModel {
        &MODEL
    }

    async fn authorize(&self, authorizer: &dyn Authorizer, call: &Call) -> Result<(), ApiError> {
        permissions::authorize(&self.shared, authorizer, call).await.map_err(named)
    }

    async fn call(&self, call: Call) -> Result<Answer, ApiError> {
        operations::run(&self.shared, call).await.map(checked).map_err(named)
    }
}

#[async_trait]
impl Service for Streams {
    fn model(&self) -> &'static ServiceModel {
        &STREAMS_MODEL
    }

    fn signing_name(&self) -> &'static str {
        MODEL.name
    }

    async fn authorize(&self, authorizer: &dyn Authorizer, call: &Call) -> Result<(), ApiError> {
        permissions::authorize(&self.shared, authorizer, call).await.map_err(named)
    }

    fn changes(&self, arn: &str) -> Option<Box<dyn Changes>> {
        Some(Box::new(operations::streams::News::of(self.shared.clone(), arn)))
    }

    async fn call(&self, call: Call) -> Result<Answer, ApiError> {
        operations::streams::run(&self.shared, call).await.map(Output::from).map(checked).map_err(named)
    }
}

/// Clients compare the checksum of the body. Items that were written as text are in the payload only.
fn checked(output: Output) -> Answer {
    let (output, body) = match output {
        Output::Members(Json::Null) => (Json::Null, b"{}".to_vec()),
        Output::Members(members) => {
            let body = members.to_string().into_bytes();
            (members, body)
        }
        Output::Text(text) => (Json::Null, text),
    };
    let crc = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32IsoHdlc, &body);
    Answer { output, payload: Some(body.into()), headers: vec![("x-amz-crc32", crc.to_string())], ..Answer::default() }
}

/// Errors carry DynamoDB's namespace on the wire.
fn named(mut error: ApiError) -> ApiError {
    if error.status != 501 && !error.code.contains('#') {
        let is_common = ["SerializationException", "AccessDeniedException"].contains(&error.code.as_str());
        let namespace = if is_common { "com.amazon.coral.service#" } else { errors::NAMESPACE };
        error.code.insert_str(0, namespace);
    }
    error
}

#[cfg(test)]
mod tests;
