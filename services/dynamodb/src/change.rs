//! What one changed item means for everything that hangs on it: its row, index entries, the list of expiries, the
//! stream, the log for point-in-time restore, and the units it costs. Pure: it decides, others commit.

use std::collections::BTreeMap;

use cumulet_base::limits;
use cumulet_store::{Key, Op};

use crate::capacity;
use crate::keys::{self, Digest16, ItemKey};
use crate::model::{Index, Projection, Table};
use crate::storage::{self, Entry, Event, Record, SPACE, Stored};
use crate::value::{Item, Value, encode_item, item_size_bytes};

/// Who changes an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    Caller,
    /// Its time is over.
    Expiry,
}

/// Operations for one commit, and what they amount to.
#[derive(Debug, Default)]
pub struct Change {
    pub ops: Vec<Op>,
    pub table_units: u64,
    /// Units of each index that is written, by its id.
    pub index_units: Vec<(u16, u64)>,
    /// How much more the table and its indexes hold.
    pub counts: Counts,
}

/// Items and bytes of a table, and of each of its indexes by their ids.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub items: i64,
    pub bytes: i64,
    pub indexes: BTreeMap<u16, (i64, i64)>,
}

impl Counts {
    pub fn add(&mut self, more: &Counts) {
        self.items += more.items;
        self.bytes += more.bytes;
        for (index, (items, bytes)) in &more.indexes {
            let sum = self.indexes.entry(*index).or_default();
            *sum = (sum.0 + items, sum.1 + bytes);
        }
    }
}

/// Bytes that entries of indexes may still take in this commit; beyond them they name the item instead.
pub type Room = usize;

/// The room of one commit, which leaves space for the items and their records.
pub const ROOM: Room = 8 * 1024 * 1024;

pub fn change(
    table: &Table,
    key: &ItemKey,
    old: Option<&Stored>,
    new: Option<&Item>,
    by: By,
    now_ms: u64,
    room: &mut Room,
) -> Change {
    let mut change = Change::default();
    let old_item = old.map(|old| &old.item);
    let old_bytes = old_item.map(item_size_bytes);
    let new_bytes = new.map(item_size_bytes);
    change.table_units = capacity::write_units(old_bytes.unwrap_or(0).max(new_bytes.unwrap_or(0)));
    change.counts.items = i64::from(new.is_some()) - i64::from(old.is_some());
    change.counts.bytes = new_bytes.unwrap_or(0) as i64 - old_bytes.unwrap_or(0) as i64;
    if old_item == new {
        return change;
    }
    let row = key.row(table.rows);
    let old_parts = old.map_or(0, |old| old.parts);
    match new {
        Some(new) => {
            let mut bytes = Vec::new();
            encode_item(new, &mut bytes);
            storage::put_large(&mut change.ops, table.rows, &row, &bytes, old_parts);
        }
        None => {
            change.ops.push(Op::Delete(SPACE, row.clone()));
            change.ops.extend((0..old_parts).map(|n| Op::Delete(SPACE, keys::part(table.rows, &row, n))));
        }
    }
    if !table.indexes.is_empty() || table.ttl.is_some() {
        let base = key.digest();
        for index in &table.indexes {
            index_change(table, index, (key, &base), old_item, new, room, &mut change);
        }
        if let Some(attribute) = &table.ttl {
            expiry_change(table, attribute, (key, &base), old_item, new, &mut change.ops);
        }
    }
    if let Some(stream) = &table.stream {
        let event = match (old_item, new) {
            (None, _) => Event::Insert,
            (Some(_), Some(_)) => Event::Modify,
            (Some(_), None) => Event::Remove,
        };
        let keys = key_item(table, new.or(old_item));
        let new = new.filter(|_| stream.view.has_new()).cloned();
        let old = old_item.filter(|_| stream.view.has_old()).cloned();
        let record = Record { event, is_expiry: by == By::Expiry, at_ms: now_ms, keys, new, old };
        storage::append_record(&mut change.ops, stream.rows, &record);
    }
    if table.recovery.is_some() {
        storage::append_undo(&mut change.ops, table.rows, now_ms, key, old_item);
    }
    change
}

/// The key attributes of an item.
pub fn key_item(table: &Table, item: Option<&Item>) -> Item {
    let of = |name: &str| Some((name.to_owned(), item?.get(name)?.clone()));
    table.key.attributes().filter_map(|attribute| of(&attribute.name)).collect()
}

/// The item as an index shows it.
pub fn project(table: &Table, index: &Index, item: &Item) -> Item {
    let is_shown = |name: &str| {
        table.key.has(name)
            || index.key.has(name)
            || match &index.projection {
                Projection::All => true,
                Projection::KeysOnly => false,
                Projection::Include(names) => names.iter().any(|included| included == name),
            }
    };
    item.iter().filter(|(name, _)| is_shown(name)).map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// An index entry: where it is, what it holds, and its size for the bill.
pub struct Written {
    pub key: Key,
    pub value: Vec<u8>,
    bytes: usize,
    projected: Item,
}

/// `None` where the item is not in the index.
pub fn entry(
    table: &Table,
    index: &Index,
    (key, base): (&ItemKey, &Digest16),
    item: &Item,
    room: &mut Room,
) -> Option<Written> {
    let at = keys::entry(table.rows, index.id, &index.key, item, base)?;
    let projected = project(table, index, item);
    let inline = Entry::encode_projected(&projected);
    let value = if inline.len() <= limits::TABLE_INDEX_INLINE_BYTES_MAX.min(*room) {
        *room -= inline.len();
        inline
    } else {
        Entry::encode_of(key)
    };
    Some(Written { key: at, value, bytes: item_size_bytes(&projected), projected })
}

fn index_change(
    table: &Table,
    index: &Index,
    at: (&ItemKey, &Digest16),
    old: Option<&Item>,
    new: Option<&Item>,
    room: &mut Room,
    change: &mut Change,
) {
    // What was there is only compared, and takes no room.
    let old = old.and_then(|old| entry(table, index, at, old, &mut ROOM.clone()));
    let new = new.and_then(|new| entry(table, index, at, new, room));
    let units = match (&old, &new) {
        (None, None) => return,
        (Some(old), Some(new)) if old.key == new.key && old.projected == new.projected => return,
        (Some(old), Some(new)) if old.key == new.key => capacity::write_units(old.bytes.max(new.bytes)),
        (old, new) => [old, new].iter().filter_map(|e| e.as_ref()).map(|e| capacity::write_units(e.bytes)).sum(),
    };
    change.index_units.push((index.id, units));
    let held = |entry: &Option<Written>| entry.as_ref().map_or((0, 0), |entry| (1, entry.bytes as i64));
    let ((old_items, old_bytes), (new_items, new_bytes)) = (held(&old), held(&new));
    change.counts.indexes.insert(index.id, (new_items - old_items, new_bytes - old_bytes));
    if let Some(old) = &old
        && new.as_ref().is_none_or(|new| new.key != old.key)
    {
        change.ops.push(Op::Delete(SPACE, old.key.clone()));
    }
    if let Some(new) = new {
        change.ops.push(Op::Put(SPACE, new.key, new.value.into()));
    }
}

/// The second at which an item is over: only a number counts.
pub fn expiry_second(item: &Item, attribute: &str) -> Option<u64> {
    match item.get(attribute)? {
        Value::N(number) => number.to_i64().and_then(|second| u64::try_from(second).ok()),
        _ => None,
    }
}

fn expiry_change(
    table: &Table,
    attribute: &str,
    (key, base): (&ItemKey, &Digest16),
    old: Option<&Item>,
    new: Option<&Item>,
    ops: &mut Vec<Op>,
) {
    let at = |item: &Item| Some(keys::expiry(table.rows, expiry_second(item, attribute)?, base));
    let (old, new) = (old.and_then(at), new.and_then(at));
    if old == new {
        return;
    }
    ops.extend(old.map(|old| Op::Delete(SPACE, old)));
    ops.extend(new.map(|new| Op::Put(SPACE, new, key.0.clone())));
}
