//! BatchGetItem and BatchWriteItem: many items at once, each for itself.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use cumulet_base::limits;
use cumulet_wire::error::ApiError;
use futures_util::future::join_all;
use serde_json::{Map, Value as Json, json};

use super::Request;
use super::items::collection_metrics;
use crate::Shared;
use crate::capacity::{self, Reading, Used, Wanted};
use crate::change::By;
use crate::errors;
use crate::input::{self, Input, missing, place_of};
use crate::items::{Next, Written};
use crate::keys::ItemKey;
use crate::model::{Place, Table};
use crate::request::Language;
use crate::storage::Stored;
use crate::tables::Live;
use crate::value::{Item, item_from_json, item_size_bytes, item_to_json};

fn tables_of<'a>(input: &Input<'a>) -> Result<&'a Map<String, Json>, ApiError> {
    let tables = input.object("RequestItems")?.ok_or_else(|| missing("RequestItems"))?;
    if tables.is_empty() {
        let text = "Member must have length greater than or equal to 1";
        return Err(input::constraint("requestItems", Some("{}"), text));
    }
    Ok(tables)
}

pub async fn get(shared: &Arc<Shared>, request: &Request) -> Result<Json, ApiError> {
    let input = Input(&request.input);
    let wanted = Wanted::parse(input.text("ReturnConsumedCapacity")?)?;
    let tables = tables_of(&input)?;
    let lists = tables.values().map(|one| Input(one).list("Keys"));
    let count: usize = lists.map(|list| Ok(list?.map_or(0, Vec::len))).sum::<Result<_, ApiError>>()?;
    if count > limits::TABLE_BATCH_GET_KEYS_MAX {
        return Err(errors::invalid("Too many items requested for the BatchGetItem call"));
    }
    let (mut responses, mut unprocessed, mut consumed) = (Map::new(), Map::new(), Vec::new());
    let mut bytes = 0;
    for (name, one) in tables {
        let given = Input(one);
        let live = shared.tables.active(&place_of(&request.call, name)?).await?;
        let mut language = Language::new(one, &["ProjectionExpression"], &["AttributesToGet"])?;
        let projection = language.projection()?;
        language.finish()?;
        let list = given.list("Keys")?.ok_or_else(|| missing("Keys"))?;
        let keys = keys_of(&live.table, list)?;
        let reading = Reading::of(given.is("ConsistentRead")?);
        let (mut items, mut left, mut used) = (Vec::new(), Vec::new(), Used::default());
        if let Err(refused) = live.runtime.buckets.admit(&live.table, None, false, shared.now_ms()) {
            // Some of a batch may be refused, not all of it.
            if tables.len() == 1 {
                return Err(refused);
            }
            left.extend(list.iter().cloned());
        } else {
            let mut found = Vec::with_capacity(keys.len());
            for some in keys.chunks(TOGETHER) {
                // What will not fit need not be read.
                let is_full = bytes + read_bytes(&found) > limits::TABLE_BATCH_BYTES_MAX;
                if is_full {
                    break;
                }
                found.extend(shared.storage().items(live.table.rows, some).await?);
            }
            left.extend(list.iter().skip(found.len()).cloned());
            for (stored, key) in found.into_iter().zip(list) {
                let size = stored.as_ref().map_or(0, |stored| item_size_bytes(&stored.item));
                if bytes + size > limits::TABLE_BATCH_BYTES_MAX {
                    left.push(key.clone());
                    continue;
                }
                bytes += size;
                used.read += reading.half_units(size);
                let shown = |item: &Item| {
                    projection.as_ref().map_or_else(|| item_to_json(item), |p| item_to_json(&p.project(item)))
                };
                items.extend(stored.map(|stored| shown(&stored.item)));
            }
            shared.settle(&live, &used);
        }
        responses.insert(name.clone(), items.into());
        if !left.is_empty() {
            let mut again = one.clone();
            again["Keys"] = left.into();
            unprocessed.insert(name.clone(), again);
        }
        consumed.extend(capacity::told(&live.table, name, &used, wanted, false));
    }
    let mut answer = json!({"Responses": responses, "UnprocessedKeys": unprocessed});
    if wanted != Wanted::None {
        answer["ConsumedCapacity"] = consumed.into();
    }
    Ok(answer)
}

/// Keys of one batch that are read at the same time.
const TOGETHER: usize = 25;

fn read_bytes(found: &[Option<Stored>]) -> usize {
    found.iter().flatten().map(|stored| item_size_bytes(&stored.item)).sum()
}

fn keys_of(table: &Table, list: &[Json]) -> Result<Vec<ItemKey>, ApiError> {
    let mut keys = Vec::with_capacity(list.len());
    let mut seen = BTreeSet::new();
    for json in list {
        let key = input::key_of(table, &item_from_json(json)?)?;
        if !seen.insert(key.clone()) {
            return Err(errors::invalid("Provided list of item keys contains duplicates"));
        }
        keys.push(key);
    }
    Ok(keys)
}

/// One put or delete of a batch.
struct Write<'a> {
    name: &'a str,
    place: Place,
    /// As it came, to be given back where it was not done.
    json: &'a Json,
    /// The item to put, or the key to delete.
    item: Item,
    is_put: bool,
}

impl Write<'_> {
    fn key(&self, table: &Table) -> Result<ItemKey, ApiError> {
        if !self.is_put {
            return input::key_of(table, &self.item);
        }
        let key = input::key_of_item(table, &self.item)?;
        input::check_item(table, &self.item)?;
        Ok(key)
    }

    fn next(&self) -> Next {
        if self.is_put { Next::Put(self.item.clone()) } else { Next::Delete }
    }
}

fn writes_of<'a>(request: &'a Request, tables: &'a Map<String, Json>) -> Result<Vec<Write<'a>>, ApiError> {
    let mut writes = Vec::new();
    for (name, list) in tables {
        let place = place_of(&request.call, name)?;
        let list = list.as_array().ok_or_else(|| ApiError::serialization("Unexpected field type"))?;
        for json in list {
            let one = Input(json);
            let (item, is_put) = match (one.inner("PutRequest")?, one.inner("DeleteRequest")?) {
                (Some(put), None) => (put.required_item("Item")?, true),
                (None, Some(delete)) => (delete.required_item("Key")?, false),
                _ => {
                    return Err(errors::invalid(
                        "Supplied WriteRequest must contain exactly one of PutRequest or DeleteRequest",
                    ));
                }
            };
            writes.push(Write { name, place: place.clone(), json, item, is_put });
        }
    }
    if writes.len() > limits::TABLE_BATCH_WRITE_MAX {
        return Err(errors::invalid("Too many items requested for the BatchWriteItem call"));
    }
    if writes.is_empty() {
        return Err(errors::invalid(
            "1 validation error detected: Value at 'requestItems' failed to satisfy constraint: Map value must satisfy \
             constraint: [Member must have length less than or equal to 25, Member must have length greater than or equal to 1]",
        ));
    }
    Ok(writes)
}

pub async fn write(shared: &Arc<Shared>, request: &Request) -> Result<Json, ApiError> {
    let input = Input(&request.input);
    let wanted = Wanted::parse(input.text("ReturnConsumedCapacity")?)?;
    let is_collection_wanted = input.one_of("ReturnItemCollectionMetrics", &["SIZE", "NONE"])? == Some("SIZE");
    let writes = writes_of(request, tables_of(&input)?)?;
    // Everything is checked before anything is written.
    let mut lives: BTreeMap<&Place, Arc<Live>> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    for write in &writes {
        if !lives.contains_key(&write.place) {
            lives.insert(&write.place, shared.tables.active(&write.place).await?);
        }
        if !seen.insert((&write.place, write.key(&lives[&write.place].table)?)) {
            return Err(errors::invalid("Provided list of item keys contains duplicates"));
        }
    }
    let mut bytes = 0;
    let running = writes.iter().map(|write| {
        bytes += item_size_bytes(&write.item);
        let fits = bytes <= limits::TABLE_BATCH_BYTES_MAX;
        async move {
            if !fits {
                return Ok(None);
            }
            let written = shared.write(&write.place, By::Caller, |table| write.key(table), |_, _| Ok(write.next()));
            written.await.map(Some)
        }
    });
    let ended: Vec<Result<Option<Written>, ApiError>> = join_all(running).await;
    let mut unprocessed: BTreeMap<&str, Vec<Json>> = BTreeMap::new();
    let mut used: BTreeMap<&str, (Arc<Live>, Used)> = BTreeMap::new();
    let mut collections: BTreeMap<&str, Vec<Json>> = BTreeMap::new();
    let mut refused = None;
    for (write, ended) in writes.iter().zip(ended) {
        match ended {
            Ok(Some(written)) => {
                let sum = used.entry(write.name).or_insert_with(|| (written.live.clone(), Used::default()));
                sum.1.add(&written.used);
                let metrics = collection_metrics(&written.live.table, &write.item).filter(|_| is_collection_wanted);
                collections.entry(write.name).or_default().extend(metrics);
            }
            Ok(None) => unprocessed.entry(write.name).or_default().push(write.json.clone()),
            Err(error) if error.code == "ProvisionedThroughputExceededException" => {
                unprocessed.entry(write.name).or_default().push(write.json.clone());
                refused = Some(error);
            }
            Err(error) => return Err(error),
        }
    }
    // When nothing at all was done, that is an error.
    if let (true, Some(refused)) = (used.is_empty(), refused) {
        return Err(refused);
    }
    let mut answer = json!({"UnprocessedItems": unprocessed});
    if is_collection_wanted {
        collections.retain(|_, list| !list.is_empty());
        answer["ItemCollectionMetrics"] = json!(collections);
    }
    if wanted != Wanted::None {
        let told =
            used.iter().filter_map(|(name, (live, used))| capacity::told(&live.table, name, used, wanted, false));
        answer["ConsumedCapacity"] = told.collect();
    }
    Ok(answer)
}
