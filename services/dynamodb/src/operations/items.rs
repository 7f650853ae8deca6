//! GetItem, PutItem, UpdateItem, DeleteItem.

use std::sync::Arc;

use cumulet_base::limits;
use cumulet_wire::error::ApiError;
use serde_json::{Map, Value as Json, json};

use super::{Output, Request};
use crate::capacity::{self, Reading, Wanted};
use crate::change::By;
use crate::errors;
use crate::expression::{Condition, Update};
use crate::input::{self, Input};
use crate::items::{Next, Written};
use crate::model::Table;
use crate::request::{Language, check_update};
use crate::value::{Item, item_size_bytes, item_to_json};
use crate::{Shared, input::place_of};

const CONDITION: &[&str] = &["ConditionExpression"];
const EXPECTED: &[&str] = &["Expected", "ConditionalOperator"];

/// What a write is to answer beside its success.
struct Told<'a> {
    name: &'a str,
    returned: &'static str,
    shows_old_on_failure: bool,
    wanted: Wanted,
    is_collection_wanted: bool,
}

impl<'a> Told<'a> {
    fn of(input: &Input<'a>, values: &[&'static str]) -> Result<Told<'a>, ApiError> {
        let all = ["ALL_NEW", "UPDATED_OLD", "ALL_OLD", "NONE", "UPDATED_NEW"];
        let returned = input.one_of("ReturnValues", &all)?.unwrap_or("NONE");
        let name = input.required_text("TableName")?;
        let wanted = Wanted::parse(input.text("ReturnConsumedCapacity")?)?;
        let collection = input.one_of("ReturnItemCollectionMetrics", &["SIZE", "NONE"])?;
        let on_failure = input.one_of("ReturnValuesOnConditionCheckFailure", &["ALL_OLD", "NONE"])?;
        if !values.contains(&returned) {
            return Err(errors::invalid(format!("Return values set to invalid value: {returned}")));
        }
        Ok(Told {
            name,
            returned,
            shows_old_on_failure: on_failure == Some("ALL_OLD"),
            wanted,
            is_collection_wanted: collection == Some("SIZE"),
        })
    }

    fn answer(&self, written: &Written, attributes: Option<Item>) -> Json {
        let mut answer = Map::new();
        if let Some(attributes) = attributes.filter(|attributes| !attributes.is_empty()) {
            answer.insert("Attributes".into(), item_to_json(&attributes));
        }
        let table = &written.live.table;
        if let Some(told) = capacity::told(table, self.name, &written.used, self.wanted, false) {
            answer.insert("ConsumedCapacity".into(), told);
        }
        let item = written.new.as_ref().or(written.old.as_ref());
        if self.is_collection_wanted
            && let Some(item) = item
            && let Some(metrics) = collection_metrics(table, item)
        {
            answer.insert("ItemCollectionMetrics".into(), metrics);
        }
        answer.into()
    }
}

/// Only tables with local indexes have item collections. There is no limit to one here, so that its size is not kept: the
/// estimate is that of the least.
pub(super) fn collection_metrics(table: &Table, item: &Item) -> Option<Json> {
    if table.indexes.iter().all(|index| index.is_global) {
        return None;
    }
    let hash = &table.key.hash.name;
    let key = item.get(hash)?.to_json();
    Some(json!({"ItemCollectionKey": {hash: key}, "SizeEstimateRangeGB": [0.0, 1.0]}))
}

/// `ConditionalCheckFailedException`, with the item where that was asked for.
pub(super) fn check_condition(
    condition: Option<&Condition>,
    old: Option<&Item>,
    shows_old: bool,
) -> Result<(), ApiError> {
    if condition.is_none_or(|condition| condition.holds(old)) {
        return Ok(());
    }
    Err(match old.filter(|_| shows_old) {
        Some(old) => errors::condition().with("Item", item_to_json(old)),
        None => errors::condition(),
    })
}

pub async fn get(shared: &Arc<Shared>, request: &Request) -> Result<Output, ApiError> {
    let input = Input(&request.input);
    let name = input.required_text("TableName")?;
    let place = place_of(&request.call, name)?;
    let mut language = Language::new(&request.input, &["ProjectionExpression"], &["AttributesToGet"])?;
    let projection = language.projection()?;
    language.finish()?;
    let wanted = Wanted::parse(input.text("ReturnConsumedCapacity")?)?;
    let key = input.required_item("Key")?;
    let live = shared.tables.active(&place).await?;
    let key = input::key_of(&live.table, &key)?;
    let (item, used) = shared.read(&live, &key, Reading::of(input.is("ConsistentRead")?)).await?;
    let mut answer = Map::new();
    let item = match &projection {
        Some(projection) => item.map(|item| projection.project(&item)),
        None => item,
    };
    if let Some(told) = capacity::told(&live.table, name, &used, wanted, false) {
        answer.insert("ConsumedCapacity".into(), told);
    }
    Ok(Output::with_item(item.as_ref(), &answer))
}

pub async fn put(shared: &Arc<Shared>, request: &Request) -> Result<Json, ApiError> {
    let input = Input(&request.input);
    let told = Told::of(&input, &["NONE", "ALL_OLD"])?;
    let place = place_of(&request.call, told.name)?;
    let mut language = Language::new(&request.input, CONDITION, EXPECTED)?;
    let condition = language.condition()?;
    language.finish()?;
    let item = input.required_item("Item")?;
    if item_size_bytes(&item) > limits::TABLE_ITEM_BYTES_MAX {
        return Err(errors::item_too_large());
    }
    let key = |table: &Table| {
        let key = input::key_of_item(table, &item)?;
        input::check_item(table, &item)?;
        Ok(key)
    };
    let decide = |_: &Table, old: Option<&Item>| {
        check_condition(condition.as_ref(), old, told.shows_old_on_failure)?;
        Ok(Next::Put(item.clone()))
    };
    let written = shared.write(&place, By::Caller, key, decide).await?;
    let attributes = written.old.clone().filter(|_| told.returned == "ALL_OLD");
    Ok(told.answer(&written, attributes))
}

pub async fn delete(shared: &Arc<Shared>, request: &Request) -> Result<Json, ApiError> {
    let input = Input(&request.input);
    let told = Told::of(&input, &["NONE", "ALL_OLD"])?;
    let place = place_of(&request.call, told.name)?;
    let mut language = Language::new(&request.input, CONDITION, EXPECTED)?;
    let condition = language.condition()?;
    language.finish()?;
    let key = input.required_item("Key")?;
    let decide = |_: &Table, old: Option<&Item>| {
        check_condition(condition.as_ref(), old, told.shows_old_on_failure)?;
        Ok(Next::Delete)
    };
    let written = shared.write(&place, By::Caller, |table| input::key_of(table, &key), decide).await?;
    let attributes = written.old.clone().filter(|_| told.returned == "ALL_OLD");
    Ok(told.answer(&written, attributes))
}

/// What an update makes of an item, or of none. One that only takes out makes no item that was not there.
pub(super) fn updated(
    table: &Table,
    update: Option<&Update>,
    key: &Item,
    old: Option<&Item>,
) -> Result<Next, ApiError> {
    let new = match (update, old) {
        (None, Some(old)) => old.clone(),
        (None, None) => key.clone(),
        (Some(update), Some(old)) => update.apply(old)?,
        (Some(update), None) => update.create(key)?,
    };
    if item_size_bytes(&new) > limits::TABLE_ITEM_BYTES_MAX {
        return Err(errors::updated_item_too_large());
    }
    input::check_item(table, &new)?;
    let is_made = old.is_some() || update.is_none_or(Update::creates);
    Ok(if is_made { Next::Put(new) } else { Next::Keep })
}

pub async fn update(shared: &Arc<Shared>, request: &Request) -> Result<Json, ApiError> {
    let input = Input(&request.input);
    let told = Told::of(&input, &["NONE", "ALL_OLD", "ALL_NEW", "UPDATED_OLD", "UPDATED_NEW"])?;
    let place = place_of(&request.call, told.name)?;
    let mut language = Language::new(
        &request.input,
        &["UpdateExpression", "ConditionExpression"],
        &["AttributeUpdates", "Expected", "ConditionalOperator"],
    )?;
    let update = language.update()?;
    let condition = language.condition()?;
    language.finish()?;
    let key = input.required_item("Key")?;
    let key_of = |table: &Table| {
        let found = input::key_of(table, &key)?;
        if let Some(update) = &update {
            check_update(table, update)?;
        }
        Ok(found)
    };
    let decide = |table: &Table, old: Option<&Item>| {
        check_condition(condition.as_ref(), old, told.shows_old_on_failure)?;
        updated(table, update.as_ref(), &key, old)
    };
    let written = shared.write(&place, By::Caller, key_of, decide).await?;
    let attributes = match told.returned {
        "ALL_OLD" => written.old.clone(),
        "ALL_NEW" => written.new.clone(),
        "UPDATED_OLD" => update.as_ref().zip(written.old.as_ref()).map(|(update, old)| update.updated_old(old)),
        "UPDATED_NEW" => update.as_ref().zip(written.new.as_ref()).map(|(update, new)| update.updated_new(new)),
        _ => None,
    };
    Ok(told.answer(&written, attributes))
}
