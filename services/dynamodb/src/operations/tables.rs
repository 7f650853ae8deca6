//! CreateTable, DescribeTable, DeleteTable, ListTables.

use std::sync::Arc;

use cumulet_base::{id, limits};
use cumulet_wire::error::ApiError;
use serde_json::{Value as Json, json};

use super::Request;
use crate::describe;
use crate::errors;
use crate::input::{self, Input, check_name, missing, place_of};
use crate::model::{Place, Policy, Status, Table};
use crate::schema;
use crate::{Shared, jobs};

/// The name of a table that is to be there.
pub(super) fn new_place(request: &Request, name: &str) -> Result<Place, ApiError> {
    if !(3..=255).contains(&name.len()) {
        return Err(errors::invalid("TableName must be at least 3 characters long and at most 255 characters long"));
    }
    check_name("tableName", name)?;
    let context = &request.call.context;
    Ok(Place { account: context.account().to_owned(), region: context.region.clone(), name: name.to_owned() })
}

pub async fn create(shared: &Arc<Shared>, request: &Request) -> Result<Json, ApiError> {
    let input = Input(&request.input);
    let name = input.text("TableName")?;
    let name = name
        .ok_or_else(|| errors::invalid("The parameter 'TableName' is required but was not present in the request"))?;
    let place = new_place(request, name)?;
    schema::check_built(&input)?;
    let table = table_of(&input, place, shared.now_ms())?;
    if shared.storage().registered(&table.place).await?.is_some() {
        return Err(errors::table_exists(name));
    }
    let count =
        shared.storage().names(&table.place.account, &table.place.region, None, limits::TABLES_MAX as u32).await?;
    if count.len() >= limits::TABLES_MAX {
        return Err(errors::limit(format!(
            "Subscriber limit exceeded: There is a limit of {} tables per subscriber",
            limits::TABLES_MAX
        )));
    }
    if !shared.storage().create(&table).await? {
        return Err(errors::table_exists(name));
    }
    shared.remember_place(&table.place.account, &table.place.region);
    let live = shared.tables.load(&table.place).await?.ok_or_else(|| errors::no_table_named(name))?;
    // It can be used at once; what AWS answers here is what clients wait to be over.
    Ok(json!({"TableDescription": describe::table(&live, Some("CREATING"))}))
}

fn table_of(input: &Input<'_>, place: Place, now_ms: u64) -> Result<Table, ApiError> {
    let attributes = schema::attributes(input)?;
    let (is_provisioned, throughput) = schema::billing(input)?;
    let list = input.list("KeySchema")?.ok_or_else(|| missing("KeySchema"))?;
    let key = schema::key_schema(list, &attributes)?;
    let members = ("LocalSecondaryIndexes", "GlobalSecondaryIndexes");
    let indexes = schema::indexes(input, members, &attributes, &key, is_provisioned)?;
    schema::check_all_used(&attributes, &key, &indexes)?;
    let policy = input.text("ResourcePolicy")?.map(super::policies::checked).transpose()?;
    let kms_key = schema::kms_key(input, &place)?.flatten();
    let mut table = Table {
        v: 1,
        place,
        id: id::uuid(),
        rows: schema::new_rows(),
        created_ms: now_ms,
        status: Status::Active,
        key,
        next_index: indexes.len() as u16,
        indexes,
        is_provisioned,
        on_demand_since_ms: (!is_provisioned).then_some(now_ms),
        throughput,
        class: schema::table_class(input)?.map(str::to_owned),
        class_since_ms: None,
        is_protected: input.is("DeletionProtectionEnabled")?,
        kms_key,
        tags: schema::tags(input)?,
        stream: None,
        last_stream: None,
        ttl: None,
        recovery: None,
        policy: policy.map(|document| Policy { document, revision: now_ms.to_string() }),
        restore: None,
    };
    if let Some(Some(view)) = schema::stream_view(input)? {
        let stream = schema::new_stream(&table, view, now_ms);
        table.last_stream = Some(stream.label.clone());
        table.stream = Some(stream);
    }
    Ok(table)
}

pub async fn describe(shared: &Arc<Shared>, request: &Request) -> Result<Json, ApiError> {
    let name = Input(&request.input).required_text("TableName")?;
    let place = place_of(&request.call, name)?;
    let live = shared.tables.find(&place).await?.ok_or_else(|| errors::no_table_named(&place.name))?;
    Ok(json!({"Table": describe::table(&live, None)}))
}

pub async fn delete(shared: &Arc<Shared>, request: &Request) -> Result<Json, ApiError> {
    let name = Input(&request.input).required_text("TableName")?;
    let place = place_of(&request.call, name)?;
    for _ in 0..limits::TABLE_WRITE_TRIES {
        let live = shared.tables.load(&place).await?.ok_or_else(|| errors::no_table_named(&place.name))?;
        let table = &live.table;
        if table.is_protected {
            return Err(errors::invalid(
                "Resource cannot be deleted as it is currently protected against deletion. Disable deletion protection first.",
            ));
        }
        if table.status != Status::Active {
            return Err(errors::table_busy(&place.name));
        }
        let mut stream = table.stream.clone();
        if let Some(stream) = &mut stream {
            stream.ended_ms = Some(shared.now_ms());
        }
        if shared.storage().drop_table(table, live.rev, stream.as_ref()).await? {
            let description = describe::table(&live, Some("DELETING"));
            shared.tables.forget(&place, table.rows);
            tokio::spawn(jobs::purge(shared.clone(), table.rows));
            return Ok(json!({"TableDescription": description}));
        }
    }
    Err(errors::table_busy(&place.name))
}

pub async fn list(shared: &Arc<Shared>, request: &Request) -> Result<Json, ApiError> {
    let input = Input(&request.input);
    let limit = input.between("Limit", 1, 100)?.unwrap_or(100) as usize;
    let after = input.text("ExclusiveStartTableName")?;
    if let Some(after) = after {
        input::check_name("exclusiveStartTableName", after)?;
    }
    let context = &request.call.context;
    let mut names = shared.storage().names(context.account(), &context.region, after, limit as u32 + 1).await?;
    let has_more = names.len() > limit;
    names.truncate(limit);
    let mut answer = json!({"TableNames": names});
    if let Some(last) = names.last().filter(|_| has_more) {
        answer["LastEvaluatedTableName"] = json!(last);
    }
    Ok(answer)
}
