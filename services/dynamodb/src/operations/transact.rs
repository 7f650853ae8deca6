//! TransactGetItems and TransactWriteItems: reading what the caller wants into parts; `transactions` carries them out.

use std::sync::Arc;

use cumulet_base::limits;
use cumulet_wire::error::ApiError;
use serde_json::{Map, Value as Json, json};

use super::Request;
use super::items::{check_condition, collection_metrics, updated};
use crate::Shared;
use crate::capacity::{self, Reading, Used, Wanted};
use crate::errors;
use crate::input::{self, Input, missing, place_of};
use crate::items::Next;
use crate::keys::{self, ItemKey};
use crate::model::{Place, Table};
use crate::request::{Language, check_update};
use crate::tables::Live;
use crate::transactions::{Part, Ran, Token};
use crate::value::{Item, item_size_bytes, item_to_json};

fn parts_of<'a>(input: &Input<'a>) -> Result<&'a Vec<Json>, ApiError> {
    let parts = input.list("TransactItems")?.ok_or_else(|| missing("TransactItems"))?;
    let text = match parts.len() {
        0 => "Member must have length greater than or equal to 1",
        n if n > limits::TABLE_TRANSACTION_ITEMS_MAX => "Member must have length less than or equal to 100",
        _ => return Ok(parts),
    };
    Err(input::constraint("transactItems", Some("[...]"), text))
}

/// Sums by table, in the order of the request.
pub(super) fn told(used: Vec<(Arc<Live>, String, Used)>, wanted: Wanted) -> Json {
    let mut sums: Vec<(Arc<Live>, String, Used)> = Vec::new();
    for (live, name, one) in used {
        match sums.iter_mut().find(|(other, ..)| other.table.rows == live.table.rows) {
            Some((.., sum)) => sum.add(&one),
            None => sums.push((live, name, one)),
        }
    }
    sums.iter().filter_map(|(live, name, used)| capacity::told(&live.table, name, used, wanted, true)).collect()
}

pub async fn get(shared: &Arc<Shared>, request: &Request) -> Result<Json, ApiError> {
    let input = Input(&request.input);
    let wanted = Wanted::parse(input.text("ReturnConsumedCapacity")?)?;
    let mut keys = Vec::new();
    let mut shown = Vec::new();
    for part in parts_of(&input)? {
        let one = Input(part).get("Get").ok_or_else(|| missing("Get"))?;
        let given = Input(one);
        let name = given.required_text("TableName")?;
        let place = place_of(&request.call, name)?;
        let mut language = Language::new(one, &["ProjectionExpression"], &[])?;
        let projection = language.projection()?;
        language.finish()?;
        let live = shared.tables.active(&place).await?;
        let key = input::key_of(&live.table, &given.required_item("Key")?)?;
        if keys.iter().any(|seen| *seen == (place.clone(), key.clone())) {
            return Err(errors::invalid("Transaction request cannot include multiple operations on one item"));
        }
        keys.push((place, key));
        shown.push((name.to_owned(), projection));
    }
    let shown = shown.into_iter().map(|(name, projection)| {
        let show = move |item: &Item| {
            projection.as_ref().map_or_else(|| item_to_json(item), |p| item_to_json(&p.project(item)))
        };
        (name, show)
    });
    read(shared, &keys, shown, wanted).await
}

/// Items as they were at one time, each shown in its own way, and what they cost by the names of their tables.
pub(super) async fn read<S: Fn(&Item) -> Json>(
    shared: &Shared,
    keys: &[(Place, ItemKey)],
    shown: impl Iterator<Item = (String, S)>,
    wanted: Wanted,
) -> Result<Json, ApiError> {
    let found = shared.transact_get(keys).await?;
    let bytes: usize = found.iter().filter_map(|(_, item)| item.as_ref()).map(item_size_bytes).sum();
    if bytes > limits::TABLE_TRANSACTION_BYTES_MAX {
        return Err(errors::invalid("Collection size of items in the transaction has exceeded the limit of 4 MB"));
    }
    let (mut responses, mut used) = (Vec::new(), Vec::new());
    for ((live, item), (name, show)) in found.into_iter().zip(shown) {
        let halves = Reading::Transactional.half_units(item.as_ref().map_or(0, item_size_bytes));
        shared.settle(&live, &Used::reading(halves));
        used.push((live, name, Used::reading(halves)));
        responses.push(item.map_or_else(|| json!({}), |item| json!({"Item": show(&item)})));
    }
    let mut answer = json!({"Responses": responses});
    if wanted != Wanted::None {
        answer["ConsumedCapacity"] = told(used, wanted);
    }
    Ok(answer)
}

const KINDS: [&str; 4] = ["ConditionCheck", "Put", "Delete", "Update"];

fn part_of(request: &Request, json: &Json) -> Result<Part, ApiError> {
    let mut given = KINDS.iter().filter_map(|kind| Some((*kind, Input(json).get(kind)?)));
    let (Some((kind, one)), None) = (given.next(), given.next()) else {
        return Err(errors::invalid("TransactItems can only contain one of Check, Put, Update or Delete"));
    };
    let input = Input(one);
    let name = input.required_text("TableName")?.to_owned();
    let place = place_of(&request.call, &name)?;
    let values = ["ALL_OLD", "NONE"];
    let shows_old = input.one_of("ReturnValuesOnConditionCheckFailure", &values)? == Some("ALL_OLD");
    let expressions: &[&str] =
        if kind == "Update" { &["UpdateExpression", "ConditionExpression"] } else { &["ConditionExpression"] };
    let mut language = Language::new(one, expressions, &[])?;
    let update = if kind == "Update" { language.update()? } else { None };
    let condition = language.condition()?;
    language.finish()?;
    if kind == "ConditionCheck" && condition.is_none() {
        return Err(missing("ConditionExpression"));
    }
    if kind == "Update" && update.is_none() {
        return Err(missing("UpdateExpression"));
    }
    let item = input.required_item(if kind == "Put" { "Item" } else { "Key" })?;
    let checked = update.clone();
    let (keyed, decided) = (item.clone(), item);
    let key = Box::new(move |table: &Table| {
        if kind != "Put" {
            if let Some(update) = &checked {
                check_update(table, update)?;
            }
            return input::key_of(table, &keyed);
        }
        let key = input::key_of_item(table, &keyed)?;
        input::check_item(table, &keyed)?;
        Ok(key)
    });
    let decide = Box::new(move |table: &Table, old: Option<&Item>| {
        check_condition(condition.as_ref(), old, false)?;
        match kind {
            "ConditionCheck" => Ok(Next::Keep),
            "Put" => Ok(Next::Put(decided.clone())),
            "Delete" => Ok(Next::Delete),
            _ => updated(table, update.as_ref(), &decided, old),
        }
    });
    Ok(Part { place, table_name: name, key, decide, shows_old })
}

pub async fn write(shared: &Arc<Shared>, request: &Request) -> Result<Json, ApiError> {
    let input = Input(&request.input);
    let wanted = Wanted::parse(input.text("ReturnConsumedCapacity")?)?;
    let is_collection_wanted = input.one_of("ReturnItemCollectionMetrics", &["SIZE", "NONE"])? == Some("SIZE");
    let list = parts_of(&input)?;
    let parts: Vec<Part> = list.iter().map(|json| part_of(request, json)).collect::<Result<_, _>>()?;
    let token = token_of(&input, request, list)?;
    let (ran, used) = shared.transact(&parts, token.as_ref()).await?;
    let mut answer = Map::new();
    if is_collection_wanted && ran == Ran::Now {
        let mut collections = Map::new();
        for (json, (live, name, _)) in list.iter().zip(&used) {
            let item = KINDS
                .iter()
                .find_map(|kind| Input(json).get(kind))
                .and_then(|one| Input(one).get("Item").or(Input(one).get("Key")));
            let item = item.map(crate::value::item_from_json).transpose()?;
            let metrics = item.and_then(|item| collection_metrics(&live.table, &item));
            if let (Some(metrics), Json::Array(all)) =
                (metrics, &mut collections.entry(name.clone()).or_insert_with(|| json!([])))
            {
                all.push(metrics);
            }
        }
        answer.insert("ItemCollectionMetrics".into(), collections.into());
    }
    if wanted != Wanted::None {
        answer.insert("ConsumedCapacity".into(), told(used, wanted));
    }
    Ok(answer.into())
}

pub(super) fn token_of(input: &Input<'_>, request: &Request, list: &[Json]) -> Result<Option<Token>, ApiError> {
    let Some(token) = input.text("ClientRequestToken")? else { return Ok(None) };
    if token.is_empty() || token.len() > 36 {
        let text = "Member must have length less than or equal to 36 and greater than or equal to 1";
        return Err(input::constraint("clientRequestToken", Some(token), text));
    }
    let text = serde_json::to_vec(list).map_err(|e| errors::internal(format!("reading a transaction: {e}")))?;
    let context = &request.call.context;
    Ok(Some(Token {
        account: context.account().to_owned(),
        region: context.region.clone(),
        token: token.to_owned(),
        digest: hex::encode(keys::digest(&text)),
    }))
}
