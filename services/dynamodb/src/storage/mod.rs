//! Where tables, items, streams and backups are kept. The only part that names the store; keys are in `keys`, the bytes
//! are fixed by `docs/formats/dynamodb.md`.

mod appended;
mod batch;
mod exports;
mod large;
mod records;

use std::sync::Arc;

use cumulet_store::{Key, Read, Rev, Shard, Space, Store, StoreExt};
use cumulet_wire::error::ApiError;

pub use appended::{Event, Record, Undo, append_record, append_undo};
pub use batch::{Batch, Ended};
pub use large::put_large;
pub use records::{registry, token_key};

use crate::change::Counts;
use crate::errors;
use crate::keys::{self, ItemKey};
use crate::value::{Item, decode_item, encode_item};

pub const SPACE: Space = Space(9);
const UNKNOWN_ATTEMPTS_MAX: usize = 8;
/// Rows a page asks the store for at a time.
const PAGE_ROWS_MAX: u32 = 2000;

/// The shard of everything that begins with these rows' number.
pub fn shard(rows: u64) -> Shard {
    Shard::of(&format!("dynamodb/{rows:016x}"))
}

/// An item as it lies in the store.
#[derive(Clone, Debug)]
pub struct Stored {
    pub item: Item,
    pub rev: Rev,
    /// Rows beside the first that hold it.
    pub parts: u8,
}

#[derive(Clone)]
pub struct Storage {
    store: Arc<dyn Store>,
}

/// A range to be read in pages.
#[derive(Clone, Debug)]
pub struct Span {
    pub lo: Key,
    pub hi: Key,
    pub is_reverse: bool,
}

impl Span {
    /// What is left after a key was seen.
    pub fn skip(&mut self, seen: &Key) {
        if self.is_reverse {
            self.hi = self.hi.clone().min(seen.clone());
        } else {
            self.lo = self.lo.clone().max(keys::next(seen));
        }
    }

    pub fn is_empty(&self) -> bool {
        self.lo >= self.hi
    }
}

fn reading(error: cumulet_store::Error) -> ApiError {
    errors::storage("Reading a table", &error)
}

fn damaged(error: impl std::fmt::Display) -> ApiError {
    errors::internal(format!("reading a row: {error}"))
}

impl Storage {
    pub fn new(store: Arc<dyn Store>) -> Storage {
        Storage { store }
    }

    /// Items of one table at one snapshot, in the order of the keys.
    pub async fn items(&self, rows: u64, keys: &[ItemKey]) -> Result<Vec<Option<Stored>>, ApiError> {
        let heads = keys.iter().map(|key| key.row(rows)).collect();
        let values = self.large(rows, heads).await?;
        values.into_iter().map(|found| found.map(stored).transpose()).collect()
    }

    pub async fn item(&self, rows: u64, key: &ItemKey) -> Result<Option<Stored>, ApiError> {
        let row = self.store.get(shard(rows), SPACE, key.row(rows)).await.map_err(reading)?;
        match row {
            None => Ok(None),
            Some(row) if row.value.first() == Some(&0) => {
                let item = decode_item(&row.value[1..]).map_err(damaged)?;
                Ok(Some(Stored { item, rev: row.rev, parts: 0 }))
            }
            Some(_) => Ok(self.items(rows, std::slice::from_ref(key)).await?.pop().flatten()),
        }
    }

    /// The next items of a span, at most about as many as asked for; an empty answer is the end.
    pub async fn page(&self, rows: u64, span: &mut Span, limit: u32) -> Result<Vec<(ItemKey, Stored)>, ApiError> {
        loop {
            let found = self.raw_page(rows, span, limit).await?;
            let Some(last) = found.last() else { return Ok(Vec::new()) };
            span.skip(&last.key);
            let mut items = Vec::with_capacity(found.len());
            for value in self.complete(rows, found).await? {
                let key = ItemKey::from_row(&value.key).ok_or_else(|| damaged("a key is too short"))?;
                items.push((key, stored(value)?));
            }
            // All of them may have been deleted before their pieces were read.
            if !items.is_empty() {
                return Ok(items);
            }
        }
    }

    /// The next entries of an index, each with the item as it is projected there, or the key of the item it stands for.
    pub async fn entries(&self, rows: u64, span: &mut Span, limit: u32) -> Result<Vec<(Key, Entry)>, ApiError> {
        let found = self.raw_page(rows, span, limit).await?;
        if let Some(last) = found.last() {
            span.skip(&last.key);
        }
        let entry = |row: cumulet_store::Row| Ok((row.key, Entry::decode(&row.value)?));
        found.into_iter().map(entry).collect()
    }

    pub async fn raw_page(&self, rows: u64, span: &Span, limit: u32) -> Result<Vec<cumulet_store::Row>, ApiError> {
        if span.is_empty() {
            return Ok(Vec::new());
        }
        let read = Read::Range {
            space: SPACE,
            lo: span.lo.clone(),
            hi: span.hi.clone(),
            limit: limit.min(PAGE_ROWS_MAX),
            bytes: (cumulet_base::limits::TABLE_PAGE_BYTES_MAX + cumulet_base::limits::TABLE_PAGE_BYTES_MAX / 4) as u32,
            reverse: span.is_reverse,
        };
        let (_, mut rows) = self.store.read(shard(rows), vec![read]).await.map_err(reading)?;
        Ok(rows.pop().unwrap_or_default())
    }

    /// Deletes a range in steps, so that no writer waits for all of it. Whether there was anything.
    pub async fn clear(&self, rows: u64, (lo, hi): (Key, Key)) -> Result<bool, ApiError> {
        let mut had = false;
        loop {
            let span = Span { lo: lo.clone(), hi: hi.clone(), is_reverse: false };
            let found = self.raw_page(rows, &span, PAGE_ROWS_MAX).await?;
            let Some(last) = found.last() else { return Ok(had) };
            had = true;
            let mut batch = Batch::<()>::default();
            batch.at(shard(rows)).ops.push(cumulet_store::Op::DeleteRange(SPACE, lo.clone(), keys::next(&last.key)));
            self.commit(batch).await?;
        }
    }

    pub async fn counts(&self, rows: u64) -> Result<Counts, ApiError> {
        let row = self.store.get(shard(rows), SPACE, keys::counts(rows)).await.map_err(reading)?;
        let Some(row) = row else { return Ok(Counts::default()) };
        let number = |bytes: &[u8]| bytes.first_chunk::<8>().map_or(0, |bytes| i64::from_be_bytes(*bytes));
        let pair = |bytes: &[u8]| (number(bytes), number(bytes.get(8..).unwrap_or_default()));
        let (items, bytes) = pair(&row.value);
        let index = |chunk: &[u8]| (u16::from_be_bytes([chunk[0], chunk[1]]), pair(&chunk[2..]));
        let indexes = row.value.get(16..).unwrap_or_default().chunks_exact(18).map(index).collect();
        Ok(Counts { items, bytes, indexes })
    }

    pub async fn put_counts(&self, rows: u64, counts: &Counts) -> Result<(), ApiError> {
        let mut value = [counts.items.to_be_bytes(), counts.bytes.to_be_bytes()].concat();
        for (index, (items, bytes)) in &counts.indexes {
            value.extend(index.to_be_bytes());
            value.extend(items.to_be_bytes());
            value.extend(bytes.to_be_bytes());
        }
        let mut batch = Batch::<()>::default();
        // A table that is gone keeps no counts.
        batch.check(shard(rows), cumulet_store::Check::Exists(SPACE, keys::definition(rows)), ());
        batch.put(shard(rows), keys::counts(rows), value);
        self.commit(batch).await.map(drop)
    }

    pub async fn cursor(&self, rows: u64, index: u16) -> Result<Option<Key>, ApiError> {
        let row = self.store.get(shard(rows), SPACE, keys::cursor(rows, index)).await.map_err(reading)?;
        Ok(row.map(|row| row.value))
    }

    /// Marks a list that is to be filled, from its beginning.
    pub async fn put_cursor(&self, rows: u64, index: u16) -> Result<(), ApiError> {
        let mut batch = Batch::<()>::default();
        batch.put(shard(rows), keys::cursor(rows, index), bytes::Bytes::new());
        self.commit(batch).await.map(drop)
    }

    pub async fn delete_cursor(&self, rows: u64, index: u16) -> Result<(), ApiError> {
        let mut batch = Batch::<()>::default();
        batch.delete(shard(rows), keys::cursor(rows, index));
        self.commit(batch).await.map(drop)
    }

    /// What comes after everything that was committed.
    pub async fn next_sequence(&self, rows: u64) -> Result<u64, ApiError> {
        let (rev, _) = self.store.read(shard(rows), Vec::new()).await.map_err(reading)?;
        Ok((rev.0 + 1) << 16)
    }
}

/// What an index entry holds.
#[derive(Debug)]
pub enum Entry {
    Projected(Item),
    Of(ItemKey),
}

impl Entry {
    const PROJECTED: u8 = 0;
    const OF: u8 = 1;

    pub fn encode_projected(item: &Item) -> Vec<u8> {
        let mut bytes = vec![Entry::PROJECTED];
        encode_item(item, &mut bytes);
        bytes
    }

    pub fn encode_of(key: &ItemKey) -> Vec<u8> {
        [&[Entry::OF], &key.0[..]].concat()
    }

    fn decode(bytes: &bytes::Bytes) -> Result<Entry, ApiError> {
        match bytes.first() {
            Some(&Entry::PROJECTED) => decode_item(&bytes[1..]).map(Entry::Projected).map_err(damaged),
            Some(&Entry::OF) => Ok(Entry::Of(ItemKey(bytes.slice(1..)))),
            _ => Err(damaged("an index entry of an unknown form")),
        }
    }
}

fn stored(value: large::Large) -> Result<Stored, ApiError> {
    let item = decode_item(&value.bytes).map_err(damaged)?;
    Ok(Stored { item, rev: value.rev, parts: value.parts })
}
