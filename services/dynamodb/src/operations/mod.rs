//! The operations, each by its name.

mod backups;
mod batch;
mod items;
mod policies;
mod query;
mod restore;
mod settings;
mod statements;
pub mod streams;
mod tables;
mod transact;
mod transact_statements;
mod update_table;

use std::sync::Arc;

use cumulet_wire::call::Call;
use cumulet_wire::error::ApiError;
use serde_json::Value as Json;

use crate::partiql::Statement;
use crate::{MODEL, Shared};

/// What an operation is given: the request as one JSON object, and the call it came by.
pub(crate) struct Request {
    pub input: Json,
    pub call: Call,
}

/// The statements of PartiQL that a request holds, as far as they can be read; what cannot be is never carried out.
pub(crate) fn statements_of(input: &serde_json::Map<String, Json>) -> Vec<Statement> {
    let lists = ["Statements", "TransactStatements"].into_iter().filter_map(|name| input.get(name)?.as_array());
    let several = lists.flatten().filter_map(|json| statements::given(json).ok());
    let one = input.contains_key("Statement").then(|| statements::given(&Json::Object(input.clone())).ok()).flatten();
    one.into_iter().chain(several).map(|given| given.statement).collect()
}

pub(crate) async fn run(shared: &Arc<Shared>, mut call: Call) -> Result<Json, ApiError> {
    let input = Json::Object(std::mem::take(&mut call.input));
    let name = call.operation.name;
    let request = Request { input, call };
    match name {
        "GetItem" => items::get(shared, &request).await,
        "PutItem" => items::put(shared, &request).await,
        "UpdateItem" => items::update(shared, &request).await,
        "DeleteItem" => items::delete(shared, &request).await,
        "Query" => query::query(shared, &request).await,
        "Scan" => query::scan(shared, &request).await,
        "BatchGetItem" => batch::get(shared, &request).await,
        "BatchWriteItem" => batch::write(shared, &request).await,
        "TransactGetItems" => transact::get(shared, &request).await,
        "TransactWriteItems" => transact::write(shared, &request).await,
        "ExecuteStatement" => statements::execute(shared, &request).await,
        "BatchExecuteStatement" => statements::batch(shared, &request).await,
        "ExecuteTransaction" => transact_statements::run(shared, &request).await,
        "CreateTable" => tables::create(shared, &request).await,
        "DescribeTable" => tables::describe(shared, &request).await,
        "DeleteTable" => tables::delete(shared, &request).await,
        "ListTables" => tables::list(shared, &request).await,
        "UpdateTable" => update_table::run(shared, &request).await,
        "UpdateTimeToLive" => settings::update_time_to_live(shared, &request).await,
        "DescribeTimeToLive" => settings::describe_time_to_live(shared, &request).await,
        "TagResource" => settings::tag(shared, &request).await,
        "UntagResource" => settings::untag(shared, &request).await,
        "ListTagsOfResource" => settings::list_tags(shared, &request).await,
        "DescribeLimits" => Ok(settings::limits()),
        "DescribeEndpoints" => Ok(settings::endpoints(&request)),
        "PutResourcePolicy" => policies::put(shared, &request).await,
        "GetResourcePolicy" => policies::get(shared, &request).await,
        "DeleteResourcePolicy" => policies::delete(shared, &request).await,
        "CreateBackup" => backups::create(shared, &request).await,
        "DescribeBackup" => backups::describe(shared, &request).await,
        "DeleteBackup" => backups::delete(shared, &request).await,
        "ListBackups" => backups::list(shared, &request).await,
        "DescribeContinuousBackups" => backups::describe_continuous(shared, &request).await,
        "UpdateContinuousBackups" => backups::update_continuous(shared, &request).await,
        "RestoreTableFromBackup" => restore::from_backup(shared, &request).await,
        "RestoreTableToPointInTime" => restore::to_point_in_time(shared, &request).await,
        other => Err(ApiError::not_implemented(MODEL.name, other)),
    }
}
