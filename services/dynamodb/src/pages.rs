//! Query and Scan: a span of keys read in pages of at most a megabyte, filtered and projected.

use std::sync::Arc;

use cumulet_base::limits;
use cumulet_wire::error::ApiError;
use serde_json::{Map, json};

use crate::capacity::{self, Reading, Used, Wanted};
use crate::change::{key_item, project};
use crate::errors;
use crate::expression::{Condition, Projection};
use crate::input::{Input, has_key};
use crate::keys::{self, ItemKey};
use crate::model::{Index, IndexStatus, Projection as Projected, Table};
use crate::operations::Output;
use crate::storage::{Entry, Span};
use crate::tables::Live;
use crate::value::{Item, item_from_json, item_size_bytes, item_to_json};
use crate::{Shared, input};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Select {
    All,
    /// All that the index holds.
    Projected,
    Specific,
    Count,
}

/// One Query or Scan, once its parameters are read.
pub struct Page {
    pub live: Arc<Live>,
    pub index: Option<u16>,
    pub span: Span,
    pub limit: Option<u32>,
    pub select: Select,
    pub filter: Option<Condition>,
    pub projection: Option<Projection>,
    pub is_consistent: bool,
    pub wanted: Wanted,
    pub table_name: String,
}

/// The index a request names, if it may be read.
pub fn index_of<'a>(table: &'a Table, input: &Input<'_>) -> Result<Option<&'a Index>, ApiError> {
    let Some(name) = input.text("IndexName")? else { return Ok(None) };
    let index = table.index(name).ok_or_else(|| errors::no_index(name))?;
    if index.status != IndexStatus::Active {
        return Err(errors::invalid(format!("Cannot read from backfilling global secondary index: {name}")));
    }
    Ok(Some(index))
}

/// `Select`, held against the index and the other parameters.
pub fn select_of(input: &Input<'_>, index: Option<&Index>, is_specific: bool) -> Result<Select, ApiError> {
    let values = ["SPECIFIC_ATTRIBUTES", "COUNT", "ALL_ATTRIBUTES", "ALL_PROJECTED_ATTRIBUTES"];
    let given = input.one_of("Select", &values)?;
    let conflict = |select: &str| {
        Err(errors::invalid(format!("Cannot specify the ProjectionExpression when choosing to get {select}")))
    };
    match given {
        None if is_specific => Ok(Select::Specific),
        None if index.is_some() => Ok(Select::Projected),
        None => Ok(Select::All),
        Some("SPECIFIC_ATTRIBUTES") if is_specific => Ok(Select::Specific),
        Some("SPECIFIC_ATTRIBUTES") => Err(errors::invalid(
            "Must specify the AttributesToGet or ProjectionExpression when choosing to get SPECIFIC_ATTRIBUTES",
        )),
        Some("COUNT") if is_specific => conflict("only the Count"),
        Some("COUNT") => Ok(Select::Count),
        Some(select) if is_specific => conflict(select),
        Some("ALL_PROJECTED_ATTRIBUTES") if index.is_none() => {
            Err(errors::invalid("ALL_PROJECTED_ATTRIBUTES can be used only when Querying using an IndexName"))
        }
        Some("ALL_PROJECTED_ATTRIBUTES") => Ok(Select::Projected),
        Some(_) => match index {
            Some(index) if index.is_global && index.projection != Projected::All => Err(errors::parameter(format!(
                "Select type ALL_ATTRIBUTES is not supported for global secondary index {} because its projection type is \
                 not ALL",
                index.name
            ))),
            _ => Ok(Select::All),
        },
    }
}

/// Global indexes are not read consistently.
pub fn check_consistency(index: Option<&Index>, is_consistent: bool) -> Result<(), ApiError> {
    if is_consistent && index.is_some_and(|index| index.is_global) {
        return Err(errors::invalid("Consistent reads are not supported on global secondary indexes"));
    }
    Ok(())
}

/// `Limit`, from 1.
pub fn limit_of(input: &Input<'_>) -> Result<Option<u32>, ApiError> {
    let limit = input.number("Limit")?;
    if let Some(limit) = limit.filter(|limit| *limit < 1) {
        let text = "Member must have value greater than or equal to 1";
        return Err(input::constraint("limit", Some(&limit.to_string()), text));
    }
    Ok(limit.map(|limit| u32::try_from(limit).unwrap_or(u32::MAX)))
}

/// The key of the row `ExclusiveStartKey` means: exactly the keys of the table and of the index.
pub fn start_of(table: &Table, index: Option<&Index>, input: &Input<'_>) -> Result<Option<keys::Row>, ApiError> {
    let Some(json) = input.get("ExclusiveStartKey") else { return Ok(None) };
    let start = item_from_json(json)?;
    let is_known = |name: &String| table.key.has(name) || index.is_some_and(|index| index.key.has(name));
    let fits = has_key(&table.key, &start)
        && index.is_none_or(|index| has_key(&index.key, &start))
        && start.keys().all(is_known);
    if !fits {
        return Err(errors::start_key());
    }
    let key = ItemKey::of(&table.key, &start).ok_or_else(errors::start_key)?;
    let row = match index {
        None => key.row(table.rows),
        Some(index) => {
            keys::entry(table.rows, index.id, &index.key, &start, &key.digest()).ok_or_else(errors::start_key)?
        }
    };
    Ok(Some(row))
}

/// What was looked at so far.
#[derive(Default)]
pub struct Seen {
    pub items: Vec<Item>,
    pub count: u64,
    pub scanned: u64,
    pub bytes: usize,
    /// Where the next page begins, once this one is full.
    pub last: Option<Item>,
    fetched_halves: u64,
}

impl Page {
    fn index(&self) -> Option<&Index> {
        self.live.table.indexes.iter().find(|index| Some(index.id) == self.index)
    }

    fn reading(&self) -> Reading {
        Reading::of(self.is_consistent)
    }

    /// Whether attributes are asked for that only the table has; a global index does not fetch them.
    fn needs_table(&self, index: &Index) -> Result<bool, ApiError> {
        if index.projection == Projected::All {
            return Ok(false);
        }
        let is_held = |name: &&str| self.live.table.is_in_index(index, name);
        let filtered = self.filter.iter().flat_map(Condition::paths).map(|path| path.head());
        let named = self.projection.iter().flat_map(Projection::names).chain(filtered);
        let lacking: Vec<&str> = named.filter(|name| !is_held(name)).collect();
        if !lacking.is_empty() && index.is_global && self.projection.is_some() {
            return Err(errors::parameter(format!(
                "Global secondary index {} does not project [{}]",
                index.name,
                lacking.join(", ")
            )));
        }
        Ok(!index.is_global && (self.select == Select::All || !lacking.is_empty()))
    }

    fn wants_more(&self, seen: &Seen) -> Option<u32> {
        if seen.bytes > limits::TABLE_PAGE_BYTES_MAX {
            return None;
        }
        let left = self.limit.map_or(u32::MAX, |limit| limit.saturating_sub(seen.scanned as u32));
        (left > 0).then_some(left)
    }

    /// Takes an item into the page; whether there is room for another.
    fn take(&self, seen: &mut Seen, item: Item, size: usize) -> Result<bool, ApiError> {
        seen.scanned += 1;
        seen.bytes += size;
        if self.wants_more(seen).is_none() {
            let mut last = key_item(&self.live.table, Some(&item));
            if let Some(index) = self.index() {
                let own = index.key.attributes().filter_map(|a| Some((a.name.clone(), item.get(&a.name)?.clone())));
                last.extend(own);
            }
            seen.last = Some(last);
        }
        let matches = match &self.filter {
            Some(filter) => filter.holds(Some(&item)),
            None => true,
        };
        if matches {
            seen.count += 1;
            match (&self.select, &self.projection) {
                (Select::Count, _) => {}
                (_, Some(projection)) => seen.items.push(projection.project(&item)),
                _ => seen.items.push(item),
            }
        }
        Ok(seen.last.is_none())
    }
}

impl Shared {
    /// Carries out a Query or Scan, and tells what it used.
    pub async fn read_page(&self, page: &mut Page) -> Result<(Seen, Used), ApiError> {
        page.live.runtime.buckets.admit(
            &page.live.table,
            page.index.filter(|_| is_global(page)),
            false,
            self.now_ms(),
        )?;
        let mut seen = Seen::default();
        match page.index().cloned() {
            None => self.table_page(page, &mut seen).await?,
            Some(index) => self.index_page(page, &index, &mut seen).await?,
        }
        let halves = page.reading().half_units(seen.bytes);
        let used = match page.index {
            None => Used::reading(halves),
            Some(id) => Used { read: seen.fetched_halves, index_read: vec![(id, halves)], ..Used::default() },
        };
        self.settle(&page.live, &used);
        Ok((seen, used))
    }

    /// Carries out a Query or Scan and writes its answer.
    pub async fn page(&self, mut page: Page) -> Result<Output, ApiError> {
        let (seen, used) = self.read_page(&mut page).await?;
        let mut answer = Map::new();
        answer.insert("Count".into(), json!(seen.count));
        answer.insert("ScannedCount".into(), json!(seen.scanned));
        if let Some(last) = &seen.last {
            answer.insert("LastEvaluatedKey".into(), item_to_json(last));
        }
        if let Some(told) = capacity::told(&page.live.table, &page.table_name, &used, page.wanted, false) {
            answer.insert("ConsumedCapacity".into(), told);
        }
        let items = (page.select != Select::Count).then_some(&seen.items[..]);
        Ok(Output::with_items(items, &answer))
    }

    async fn table_page(&self, page: &mut Page, seen: &mut Seen) -> Result<(), ApiError> {
        while let Some(limit) = page.wants_more(seen) {
            let items = self.storage().page(page.live.table.rows, &mut page.span, limit).await?;
            if items.is_empty() {
                return Ok(());
            }
            for (_, stored) in items {
                let size = item_size_bytes(&stored.item);
                if !page.take(seen, stored.item, size)? {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    async fn index_page(&self, page: &mut Page, index: &Index, seen: &mut Seen) -> Result<(), ApiError> {
        let live = page.live.clone();
        let table = &live.table;
        let needs_table = page.needs_table(index)?;
        while let Some(limit) = page.wants_more(seen) {
            let entries = self.storage().entries(table.rows, &mut page.span, limit).await?;
            if entries.is_empty() {
                return Ok(());
            }
            // Entries that only name their item, and those of which more is asked for than they hold.
            let key_of = |entry: &Entry| match entry {
                Entry::Of(key) => Some(key.clone()),
                Entry::Projected(item) if needs_table => ItemKey::of(&table.key, item),
                Entry::Projected(_) => None,
            };
            let wanted: Vec<ItemKey> = entries.iter().filter_map(|(_, entry)| key_of(entry)).collect();
            let mut whole = Vec::with_capacity(wanted.len());
            for some in wanted.chunks(FETCHED_TOGETHER) {
                whole.extend(self.storage().items(table.rows, some).await?);
            }
            let mut whole = whole.into_iter();
            for (row, entry) in entries {
                let fetched = if key_of(&entry).is_some() { Some(whole.next().flatten()) } else { None };
                let (item, size) = match (entry, fetched) {
                    (Entry::Projected(item), None) => {
                        let size = item_size_bytes(&item);
                        (item, size)
                    }
                    (_, fetched) => {
                        let Some(stored) = fetched.flatten() else { continue };
                        // It may have moved within the index since the entry was read.
                        let base = ItemKey::of(&table.key, &stored.item).map(|key| key.digest());
                        let at = base.and_then(|b| keys::entry(table.rows, index.id, &index.key, &stored.item, &b));
                        if at.as_ref() != Some(&row) {
                            continue;
                        }
                        let projected = project(table, index, &stored.item);
                        let size = item_size_bytes(&projected);
                        if needs_table {
                            seen.fetched_halves += page.reading().half_units(item_size_bytes(&stored.item));
                            (stored.item, size)
                        } else {
                            (projected, size)
                        }
                    }
                };
                if !page.take(seen, item, size)? {
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}

const FETCHED_TOGETHER: usize = 100;

fn is_global(page: &Page) -> bool {
    page.index().is_some_and(|index| index.is_global)
}
