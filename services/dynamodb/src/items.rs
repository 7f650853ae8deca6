//! Reading and changing single items: the path that is taken most. A write reads what is there, decides, and commits under
//! the condition that neither the item nor the table's definition has changed; if one has, it begins anew.

use std::sync::Arc;

use cumulet_base::limits;
use cumulet_store::Check;
use cumulet_wire::error::ApiError;

use crate::capacity::{Reading, Used};
use crate::change::{self, By};
use crate::errors;
use crate::keys::{self, ItemKey};
use crate::model::{Place, Status, Table};
use crate::storage::{Batch, Ended, SPACE, Stored, shard};
use crate::tables::Live;
use crate::value::{Item, item_size_bytes};
use crate::{Shared, capacity};

/// What is to become of an item.
#[derive(Clone, Debug)]
pub enum Next {
    Put(Item),
    Delete,
    /// As it was.
    Keep,
}

/// What became of it.
#[derive(Debug)]
pub struct Written {
    pub live: Arc<Live>,
    pub old: Option<Item>,
    pub new: Option<Item>,
    pub used: Used,
}

/// What the check of a write stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guard {
    Definition,
    Item,
}

/// The check that an item is still as it was read.
pub fn unchanged(rows: u64, key: &ItemKey, old: Option<&Stored>) -> Check {
    match old {
        Some(old) => Check::RevIs(SPACE, key.row(rows), old.rev),
        None => Check::Absent(SPACE, key.row(rows)),
    }
}

impl Shared {
    pub async fn write(
        &self,
        place: &Place,
        by: By,
        key_of: impl Fn(&Table) -> Result<ItemKey, ApiError>,
        decide: impl Fn(&Table, Option<&Item>) -> Result<Next, ApiError>,
    ) -> Result<Written, ApiError> {
        let mut live = self.tables.active(place).await?;
        for _ in 0..limits::TABLE_WRITE_TRIES {
            let table = &live.table;
            let key = key_of(table)?;
            if by == By::Caller {
                live.runtime.buckets.admit(table, None, true, self.now_ms())?;
            }
            let held = self.tables.lock(&key.row(table.rows)).await;
            let old = self.storage().item(table.rows, &key).await?;
            let old_item = old.as_ref().map(|old| &old.item);
            let new = match decide(table, old_item) {
                Ok(Next::Put(item)) => Some(item),
                Ok(Next::Delete) => None,
                Ok(Next::Keep) => old_item.cloned(),
                Err(refused) => {
                    // AWS charges for the look, too.
                    let units = capacity::write_units(old_item.map_or(0, item_size_bytes));
                    self.settle(&live, &Used { write: 2 * units, ..Used::default() });
                    return Err(refused);
                }
            };
            let change =
                change::change(table, &key, old.as_ref(), new.as_ref(), by, self.now_ms(), &mut change::ROOM.clone());
            let used = Used::writing(&change, 1);
            let counts = change.counts;
            // Nothing to write: what was read is the answer.
            let ended = if change.ops.is_empty() {
                Ended::Done
            } else {
                let mut batch = Batch::default();
                let at = shard(table.rows);
                let definition = Check::RevIs(SPACE, keys::definition(table.rows), live.rev);
                batch.check(at, definition, Guard::Definition);
                batch.check(at, unchanged(table.rows, &key, old.as_ref()), Guard::Item);
                batch.at(at).ops = change.ops;
                self.storage().commit(batch).await?
            };
            drop(held);
            match ended {
                Ended::Done => {
                    live.runtime.count(&counts);
                    if by == By::Caller {
                        self.settle(&live, &used);
                    }
                    return Ok(Written { live, old: old.map(|old| old.item), new, used });
                }
                Ended::Conflict { guard: Guard::Item } => {}
                Ended::Conflict { guard: Guard::Definition } => live = self.reloaded(place).await?,
            }
        }
        Err(errors::internal("the item is being changed by too many at once"))
    }

    /// The definition as it is stored now.
    pub async fn reloaded(&self, place: &Place) -> Result<Arc<Live>, ApiError> {
        let found = self.tables.load(place).await?;
        found.filter(|live| live.table.status == Status::Active).ok_or_else(errors::no_table)
    }

    /// One item, and what reading it cost.
    pub async fn read(&self, live: &Live, key: &ItemKey, reading: Reading) -> Result<(Option<Item>, Used), ApiError> {
        live.runtime.buckets.admit(&live.table, None, false, self.now_ms())?;
        let found = self.storage().item(live.table.rows, key).await?.map(|stored| stored.item);
        let used = Used::reading(reading.half_units(found.as_ref().map_or(0, item_size_bytes)));
        self.settle(live, &used);
        Ok((found, used))
    }
}
