//! ExecuteTransaction: several statements of PartiQL, all or nothing; either all read or all write.

use std::sync::Arc;

use cumulet_base::limits;
use cumulet_wire::error::ApiError;
use serde_json::{Value as Json, json};

use super::Request;
use super::statements::{Given, decided, given, key_of, listed, selected_key};
use super::transact::{self, token_of, told};
use crate::Shared;
use crate::capacity::Wanted;
use crate::errors;
use crate::input::{self, Input, place_of};
use crate::model::Table;
use crate::partiql::{Select, Statement, one_item};
use crate::transactions::Part;
use crate::value::{Item, item_to_json};

pub async fn run(shared: &Arc<Shared>, request: &Request) -> Result<Json, ApiError> {
    let input = Input(&request.input);
    let wanted = Wanted::parse(input.text("ReturnConsumedCapacity")?)?;
    let list = listed(&input, "TransactStatements", limits::TABLE_TRANSACTION_ITEMS_MAX)?;
    let mut all = Vec::with_capacity(list.len());
    for (place, json) in list.iter().enumerate() {
        all.push(given(json).and_then(checked).map_err(|error| located(error, place))?);
    }
    let reads: Vec<&Select> = all.iter().filter_map(|given| selected(&given.statement)).collect();
    if reads.is_empty() {
        return write(shared, request, all, wanted).await;
    }
    if reads.len() < all.len() {
        return Err(errors::invalid(
            "ExecuteTransaction API does not support both read and write operations in the same request.",
        ));
    }
    read(shared, request, &reads, wanted).await
}

fn selected(statement: &Statement) -> Option<&Select> {
    match statement {
        Statement::Select(select) => Some(select),
        _ => None,
    }
}

/// What a statement may not be in a transaction.
fn checked(given: Given) -> Result<Given, ApiError> {
    if given.statement.has_returning() {
        return Err(errors::invalid("RETURNING clause is not supported in ExecuteTransaction."));
    }
    match &given.statement {
        Statement::Select(select) | Statement::Exists(select) if select.source.index.is_some() => {
            Err(errors::invalid("Reads on indices are not supported within transactions."))
        }
        _ => Ok(given),
    }
}

/// Which of the statements is wrong. What is wrong with a parameter is told as it is.
fn located(error: ApiError, place: usize) -> ApiError {
    let is_of_statement = error.code == "ValidationException"
        && !error.message.starts_with("The parameter cannot be converted")
        && !error.message.starts_with("Nesting Levels")
        && !error.message.starts_with("1 validation error");
    if !is_of_statement {
        return error;
    }
    errors::invalid(format!("Validation failed in TransactStatements[{place}]: {}", error.message))
}

async fn read(shared: &Arc<Shared>, request: &Request, reads: &[&Select], wanted: Wanted) -> Result<Json, ApiError> {
    let mut keys = Vec::with_capacity(reads.len());
    for (n, select) in reads.iter().enumerate() {
        let place = place_of(&request.call, &select.source.table)?;
        let live = shared.tables.active(&place).await?;
        let key = selected_key(select, &live.table, "ExecuteTransaction").map_err(|error| located(error, n))?;
        let key = input::key_of(&live.table, &key)?;
        if keys.contains(&(place.clone(), key.clone())) {
            return Err(errors::invalid("Transaction request cannot include multiple operations on one item"));
        }
        keys.push((place, key));
    }
    let shown = reads.iter().map(|select| {
        let show = |item: &Item| item_to_json(&select.columns.of(item));
        (select.source.table.clone(), show)
    });
    transact::read(shared, &keys, shown, wanted).await
}

async fn write(shared: &Arc<Shared>, request: &Request, all: Vec<Given>, wanted: Wanted) -> Result<Json, ApiError> {
    let input = Input(&request.input);
    let list = input.list("TransactStatements")?.map(Vec::as_slice).unwrap_or_default();
    let token = token_of(&input, request, list)?;
    let mut parts = Vec::with_capacity(all.len());
    for (n, given) in all.into_iter().enumerate() {
        let place = place_of(&request.call, given.statement.table())?;
        if let Statement::Exists(select) = &given.statement {
            let live = shared.tables.active(&place).await?;
            let named = one_item(select.filter.as_ref(), live.table.key.names());
            if !matches!(named, Ok((_, Some(_)))) {
                let message = "EXISTS() must contain a single item read with additional condition";
                return Err(located(errors::invalid(message), n));
            }
        }
        let statement = Arc::new(given.statement);
        let (keyed, table_name) = (statement.clone(), statement.table().to_owned());
        parts.push(Part {
            place,
            table_name,
            key: Box::new(move |table: &Table| key_of(&keyed, table)),
            decide: Box::new(move |table: &Table, old: Option<&Item>| decided(&statement, table, old, false)),
            shows_old: given.shows_old,
        });
    }
    let (_, used) = shared.transact(&parts, token.as_ref()).await?;
    let mut answer = json!({"Responses": []});
    if wanted != Wanted::None {
        answer["ConsumedCapacity"] = told(used, wanted);
    }
    Ok(answer)
}
