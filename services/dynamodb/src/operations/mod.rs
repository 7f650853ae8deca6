//! The operations, each by its name.

mod backups;
mod batch;
mod exports;
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
use serde_json::{Map, Value as Json};

use crate::partiql::Statement;
use crate::value::{Item, write_item};
use crate::{MODEL, Shared};

/// What an operation answers: members, or, where there may be many items, the text they were written to at once.
#[derive(Debug)]
pub(crate) enum Output {
    Members(Json),
    Text(Vec<u8>),
}

impl From<Json> for Output {
    fn from(members: Json) -> Output {
        Output::Members(members)
    }
}

impl Output {
    /// `Items` before the other members, of which there is at least one.
    pub(crate) fn with_items(items: Option<&[Item]>, members: &Map<String, Json>) -> Output {
        let mut text = Vec::with_capacity(256);
        text.push(b'{');
        if let Some(items) = items {
            text.extend(b"\"Items\":[");
            for (n, item) in items.iter().enumerate() {
                if n > 0 {
                    text.push(b',');
                }
                write_item(item, &mut text);
            }
            text.extend(b"],");
        }
        Output::closed(text, members)
    }

    /// `Item`, where there is one, before the other members.
    pub(crate) fn with_item(item: Option<&Item>, members: &Map<String, Json>) -> Output {
        let mut text = Vec::with_capacity(256);
        text.push(b'{');
        if let Some(item) = item {
            text.extend(b"\"Item\":");
            write_item(item, &mut text);
            if !members.is_empty() {
                text.push(b',');
            }
        }
        Output::closed(text, members)
    }

    fn closed(mut text: Vec<u8>, members: &Map<String, Json>) -> Output {
        let rest = serde_json::to_string(members).unwrap_or_default();
        // What follows the opening brace.
        text.extend(rest.as_bytes().get(1..).unwrap_or_default());
        Output::Text(text)
    }
}

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

pub(crate) async fn run(shared: &Arc<Shared>, mut call: Call) -> Result<Output, ApiError> {
    let input = Json::Object(std::mem::take(&mut call.input));
    let name = call.operation.name;
    let request = Request { input, call };
    match name {
        "GetItem" => return items::get(shared, &request).await,
        "PutItem" => items::put(shared, &request).await,
        "UpdateItem" => items::update(shared, &request).await,
        "DeleteItem" => items::delete(shared, &request).await,
        "Query" => return query::query(shared, &request).await,
        "Scan" => return query::scan(shared, &request).await,
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
        "ExportTableToPointInTime" => exports::begin(shared, &request).await,
        "DescribeExport" => exports::describe(shared, &request).await,
        "ListExports" => exports::list(shared, &request).await,
        "RestoreTableFromBackup" => restore::from_backup(shared, &request).await,
        "RestoreTableToPointInTime" => restore::to_point_in_time(shared, &request).await,
        other => Err(ApiError::not_implemented(MODEL.name, other)),
    }
    .map(Output::from)
}
