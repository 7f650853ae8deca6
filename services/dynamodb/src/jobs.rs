//! Work in the background: filling indexes, copying backups and restores, deleting what nobody names any more, expiry, and
//! forgetting what is old. Each goes in steps of one small commit, so that writers never wait for it, and each can be begun
//! again after a stop.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use cumulet_base::limits;
use cumulet_store::{Check, Key, Op};
use cumulet_wire::error::ApiError;
use futures_util::future::join_all;

use crate::Shared;
use crate::change::{self, By, Counts};
use crate::items::{Next, Written, unchanged};
use crate::keys::{self, ItemKey};
use crate::model::{Backup, IndexStatus, Place, Status, Table};
use crate::storage::{Batch, Ended, Entry, SPACE, Span, Stored, put_large, shard};
use crate::tables::Live;
use crate::value::{Item, encode_item, item_size_bytes};

/// Stands for the list of expiries where indexes have their number.
pub const EXPIRIES: u16 = u16::MAX;
/// AWS leaves items alone whose time was over five years ago: it takes them for a mistake.
const EXPIRED_TOO_LONG_S: u64 = 5 * 365 * 86_400;
/// What is done every minute, in periods of expiry.
const MINUTE_PERIODS: u64 = 60_000 / limits::TABLE_EXPIRY_PERIOD_MS;
/// Steps of one restore or copy hold this many bytes of items.
const STEP_BYTES: usize = 4 * 1024 * 1024;

/// Until the process ends.
pub async fn run(shared: Arc<Shared>) {
    if let Err(error) = resume(&shared).await {
        tracing::error!(%error, "resuming the work on tables");
    }
    let mut ticks = tokio::time::interval(Duration::from_millis(limits::TABLE_EXPIRY_PERIOD_MS));
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut period = 0_u64;
    loop {
        ticks.tick().await;
        period += 1;
        if let Err(error) = expire(&shared).await {
            tracing::warn!(%error, "deleting expired items");
        }
        shared.tables.keep_counts().await;
        if period.is_multiple_of(MINUTE_PERIODS)
            && let Err(error) = forget(&shared).await
        {
            tracing::warn!(%error, "forgetting what is old");
        }
    }
}

/// What a stop interrupted.
async fn resume(shared: &Arc<Shared>) -> Result<(), ApiError> {
    let found = shared.storage().everything().await?;
    for rows in found.purges {
        tokio::spawn(purge(shared.clone(), rows));
    }
    for backup in found.backups.into_iter().filter(|backup| !backup.is_ready) {
        tokio::spawn(copy_backup(shared.clone(), backup));
    }
    for export in found.exports.into_iter().filter(|export| export.ended_ms.is_none()) {
        tokio::spawn(crate::exports::run(shared.clone(), export));
    }
    for table in found.tables {
        shared.remember_place(&table.place.account, &table.place.region);
        if table.status == Status::Creating {
            tokio::spawn(restore(shared.clone(), table.place.clone(), table.rows));
        }
        for index in table.indexes.iter().filter(|index| index.status == IndexStatus::Creating) {
            tokio::spawn(fill_index(shared.clone(), table.place.clone(), table.rows, index.id));
        }
        if table.ttl.is_some() && shared.storage().cursor(table.rows, EXPIRIES).await?.is_some() {
            tokio::spawn(fill_expiries(shared.clone(), table.place.clone(), table.rows));
        }
    }
    for stream in found.streams {
        shared.remember_place(&stream.place.account, &stream.place.region);
    }
    Ok(())
}

fn logged<T>(what: &str, rows: u64, result: Result<T, ApiError>) {
    if let Err(error) = result {
        // It is begun again with the next start.
        tracing::error!(%error, rows, "{what}");
    }
}

pub async fn purge(shared: Arc<Shared>, rows: u64) {
    logged("deleting the rows of a table", rows, shared.storage().purge(rows).await);
}

pub async fn clear(shared: Arc<Shared>, rows: u64, range: (Key, Key)) {
    logged("clearing rows of a table", rows, shared.storage().clear(rows, range).await);
}

pub async fn fill_index(shared: Arc<Shared>, place: Place, rows: u64, index: u16) {
    logged("filling an index", rows, try_fill_index(&shared, &place, rows, index).await);
}

async fn try_fill_index(shared: &Shared, place: &Place, rows: u64, id: u16) -> Result<(), ApiError> {
    let of = |live: &Live, key: &ItemKey, item: &Item| -> Option<Op> {
        let index = live.table.indexes.iter().find(|index| index.id == id)?;
        let written = change::entry(&live.table, index, (key, &key.digest()), item, &mut change::ROOM.clone())?;
        Some(Op::Put(SPACE, written.key, written.value.into()))
    };
    let is_wanted = |table: &Table| table.indexes.iter().any(|index| index.id == id);
    if !fill(shared, place, rows, id, is_wanted, of).await? {
        // It was taken away meanwhile; what was written after that is cleared here.
        shared.storage().clear(rows, keys::entries(rows, id)).await?;
        return Ok(());
    }
    count_entries(shared, place, id).await?;
    shared
        .tables
        .update(place, |table| {
            for index in table.indexes.iter_mut().filter(|index| index.id == id) {
                index.status = IndexStatus::Active;
            }
            Ok(Vec::new())
        })
        .await?;
    shared.storage().delete_cursor(rows, id).await
}

/// What a filled index holds, which nobody counted while it was filled. As AWS's, the number is of about now.
async fn count_entries(shared: &Shared, place: &Place, id: u16) -> Result<(), ApiError> {
    let Some(live) = shared.tables.find(place).await? else { return Ok(()) };
    let Some(index) = live.table.indexes.iter().find(|index| index.id == id) else { return Ok(()) };
    let (lo, hi) = keys::entries(live.table.rows, id);
    let mut span = Span { lo, hi, is_reverse: false };
    let (mut items, mut bytes) = (0, 0);
    loop {
        let page = shared.storage().entries(live.table.rows, &mut span, limits::TABLE_STEP_ROWS).await?;
        if page.is_empty() {
            live.runtime.set_index(id, items, bytes);
            return Ok(());
        }
        items += page.len() as i64;
        for (_, entry) in page {
            bytes += match entry {
                Entry::Projected(item) => item_size_bytes(&item),
                Entry::Of(key) => {
                    let stored = shared.storage().item(live.table.rows, &key).await?;
                    stored.map_or(0, |stored| item_size_bytes(&change::project(&live.table, index, &stored.item)))
                }
            } as i64;
        }
    }
}

pub async fn fill_expiries(shared: Arc<Shared>, place: Place, rows: u64) {
    let of = |live: &Live, key: &ItemKey, item: &Item| -> Option<Op> {
        let second = change::expiry_second(item, live.table.ttl.as_ref()?)?;
        Some(Op::Put(SPACE, keys::expiry(live.table.rows, second, &key.digest()), key.0.clone()))
    };
    let filled = fill(&shared, &place, rows, EXPIRIES, |table| table.ttl.is_some(), of).await;
    match filled {
        Ok(true) => logged("listing expiries", rows, shared.storage().delete_cursor(rows, EXPIRIES).await),
        Ok(false) => {}
        Err(error) => logged("listing expiries", rows, Err::<(), _>(error)),
    }
}

/// Writes something for every item that was there before. Writers keep up what they change; each step holds the items it
/// reads, and checks that they stayed. Whether it came to the end.
async fn fill(
    shared: &Shared,
    place: &Place,
    rows: u64,
    cursor: u16,
    is_wanted: impl Fn(&Table) -> bool,
    of: impl Fn(&Live, &ItemKey, &Item) -> Option<Op>,
) -> Result<bool, ApiError> {
    let (lo, hi) = keys::items(rows);
    let lo = match shared.storage().cursor(rows, cursor).await? {
        Some(seen) if !seen.is_empty() => keys::next(&seen),
        _ => lo,
    };
    let mut span = Span { lo, hi, is_reverse: false };
    loop {
        let Some(live) = shared.tables.find(place).await? else { return Ok(false) };
        if live.table.rows != rows || !is_wanted(&live.table) {
            return Ok(false);
        }
        let mut ahead = span.clone();
        let page = shared.storage().page(rows, &mut ahead, limits::TABLE_STEP_ROWS).await?;
        let Some((last, _)) = page.last() else { return Ok(true) };
        let last = last.row(rows);
        let keys: Vec<ItemKey> = page.into_iter().map(|(key, _)| key).collect();
        let _held = shared.tables.lock_all(keys.iter().map(|key| key.row(rows)).collect()).await;
        let items = shared.storage().items(rows, &keys).await?;
        let at = shard(rows);
        let mut batch = Batch::<()>::default();
        batch.check(at, Check::RevIs(SPACE, keys::definition(rows), live.rev), ());
        for (key, stored) in keys.iter().zip(&items) {
            batch.check(at, unchanged(rows, key, stored.as_ref()), ());
            if let Some(stored) = stored {
                batch.at(at).ops.extend(of(&live, key, &stored.item));
            }
        }
        batch.put(at, keys::cursor(rows, cursor), last.clone());
        match shared.storage().commit(batch).await? {
            Ended::Done => span.skip(&last),
            // The definition has changed, or another node an item.
            Ended::Conflict { .. } => drop(shared.tables.load(place).await?),
        }
    }
}

/// Deletes the items whose time is over.
pub async fn expire(shared: &Shared) -> Result<(), ApiError> {
    let now_s = shared.now_ms() / 1000;
    for live in tables(shared).await? {
        let Some(attribute) = live.table.ttl.clone() else { continue };
        let rows = live.table.rows;
        let (_, end) = keys::expiries(rows);
        let due = keys::expiry(rows, now_s + 1, &[0; 16]).min(end);
        let mut span = Span {
            lo: keys::expiry(rows, now_s.saturating_sub(EXPIRED_TOO_LONG_S), &[0; 16]),
            hi: due,
            is_reverse: false,
        };
        loop {
            let page = shared.storage().raw_page(rows, &span, limits::TABLE_STEP_ROWS).await?;
            let Some(last) = page.last() else { break };
            span.skip(&last.key);
            let deletions = page.iter().map(|row| {
                let key = ItemKey(row.value.clone());
                let attribute = &attribute;
                let place = &live.table.place;
                async move {
                    // Looked at again under the lock: it may have been given more time, or the table may be another.
                    let decide = |table: &Table, item: Option<&Item>| {
                        let is_over = table.ttl.as_ref() == Some(attribute)
                            && item
                                .and_then(|item| change::expiry_second(item, attribute))
                                .is_some_and(|at| at <= now_s);
                        Ok(if is_over { Next::Delete } else { Next::Keep })
                    };
                    let key_of = |table: &Table| {
                        if table.rows == rows { Ok(key.clone()) } else { Err(crate::errors::no_table()) }
                    };
                    shared.write(place, By::Expiry, key_of, decide).await
                }
            });
            let mut stale = Batch::<()>::default();
            for (row, ended) in page.iter().zip(join_all(deletions).await) {
                match ended {
                    // The item went with its entry.
                    Ok(Written { new: None, old: Some(_), .. }) => {}
                    // An entry that a stop left behind: no item has this time.
                    Ok(_) => {
                        stale.check(shard(rows), Check::RevIs(SPACE, row.key.clone(), row.rev), ());
                        stale.delete(shard(rows), row.key.clone());
                    }
                    Err(error) => tracing::debug!(%error, "an expired item stays for now"),
                }
            }
            shared.storage().commit(stale).await?;
        }
    }
    Ok(())
}

/// Every table there is.
async fn tables(shared: &Shared) -> Result<Vec<Arc<Live>>, ApiError> {
    let places: Vec<(String, String)> = {
        let places = shared.places.lock().unwrap_or_else(PoisonError::into_inner);
        places.iter().cloned().collect()
    };
    let mut found = Vec::new();
    for (account, region) in places {
        let names = shared.storage().names(&account, &region, None, limits::TABLES_MAX as u32).await?;
        for name in names {
            let place = Place { account: account.clone(), region: region.clone(), name };
            found.extend(shared.tables.find(&place).await?.filter(|live| live.table.status == Status::Active));
        }
    }
    Ok(found)
}

/// Old records of streams, changes that can no longer be undone, tokens of transactions; and what tables hold goes on the
/// bill.
pub async fn forget(shared: &Shared) -> Result<(), ApiError> {
    let now_ms = shared.now_ms();
    for live in tables(shared).await? {
        let bytes = live.runtime.counts().bytes;
        // A minute of each byte.
        shared.bill(&live.table, "byte-hours", bytes as u64 * 1_000_000 / 60, now_ms);
        if let Some(recovery) = &live.table.recovery {
            let before_ms = now_ms.saturating_sub(recovery.days * 86_400_000);
            forget_undos(shared, live.table.rows, before_ms).await?;
        }
    }
    let places: Vec<(String, String)> =
        shared.places.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect();
    for (account, region) in places {
        shared.storage().forget_tokens(&account, &region, now_ms.saturating_sub(limits::TABLE_TOKEN_MS)).await?;
        for stream in shared.storage().streams(&account, &region, None).await? {
            forget_records(shared, &stream, now_ms.saturating_sub(limits::TABLE_STREAM_MS)).await?;
        }
    }
    Ok(())
}

async fn forget_records(shared: &Shared, stream: &crate::model::Stream, before_ms: u64) -> Result<(), ApiError> {
    let storage = shared.storage();
    let mut from = stream.trimmed;
    loop {
        let page = storage.records(stream.table_rows, stream.rows, from, limits::TABLE_STEP_ROWS, STEP_BYTES).await?;
        let kept = page.iter().find(|(_, record)| record.at_ms >= before_ms).map(|(sequence, _)| *sequence);
        let Some((last, _)) = page.last() else { break };
        from = kept.unwrap_or(last + 1);
        if kept.is_some() {
            break;
        }
    }
    if from > stream.trimmed {
        // Said before it is done: a reader in between is told, and misses nothing in silence.
        storage.trim_stream(stream, from).await?;
        storage.forget_records(stream.table_rows, stream.rows, from).await?;
    }
    if stream.ended_ms.is_some_and(|ended_ms| ended_ms < before_ms) {
        storage.clear(stream.table_rows, keys::all(stream.rows)).await?;
        storage.forget_stream(stream).await?;
    }
    Ok(())
}

async fn forget_undos(shared: &Shared, rows: u64, before_ms: u64) -> Result<(), ApiError> {
    let mut from = 0;
    loop {
        let page = shared.storage().undos(rows, from, limits::TABLE_STEP_ROWS).await?;
        let kept = page.iter().find(|(_, undo)| undo.at_ms >= before_ms).map(|(sequence, _)| *sequence);
        let Some((last, _)) = page.last() else { break };
        from = kept.unwrap_or(last + 1);
        if kept.is_some() {
            break;
        }
    }
    if from > 0 { shared.storage().forget_undos(rows, from).await } else { Ok(()) }
}

pub async fn copy_backup(shared: Arc<Shared>, backup: Backup) {
    logged("copying a backup", backup.rows, try_copy_backup(&shared, backup).await);
}

/// Items are copied as they are when they are come to, as AWS's backups are: not all at one instant.
async fn try_copy_backup(shared: &Shared, mut backup: Backup) -> Result<(), ApiError> {
    let storage = shared.storage();
    // What an interrupted copy left behind.
    storage.clear(backup.rows, keys::items(backup.rows)).await?;
    (backup.items, backup.bytes) = (0, 0);
    let (lo, hi) = keys::items(backup.table.rows);
    let mut span = Span { lo, hi, is_reverse: false };
    loop {
        let page = storage.page(backup.table.rows, &mut span, limits::TABLE_STEP_ROWS).await?;
        if page.is_empty() {
            break;
        }
        let mut batch = Batch::<()>::default();
        for (key, stored) in page {
            let mut bytes = Vec::new();
            encode_item(&stored.item, &mut bytes);
            put_large(&mut batch.at(shard(backup.rows)).ops, backup.rows, &key.row(backup.rows), &bytes, 0);
            backup.items += 1;
            backup.bytes += item_size_bytes(&stored.item) as u64;
        }
        storage.commit(batch).await?;
    }
    backup.is_ready = true;
    storage.put_backup(&backup).await
}

pub async fn restore(shared: Arc<Shared>, place: Place, rows: u64) {
    logged("restoring a table", rows, try_restore(&shared, &place).await);
}

/// Copies what is there, then, for a point in time, takes back every change since, the latest first. Both can be repeated.
async fn try_restore(shared: &Shared, place: &Place) -> Result<(), ApiError> {
    let Some(live) = shared.tables.load(place).await? else { return Ok(()) };
    let Some(restore) = live.table.restore.clone().filter(|restore| restore.is_running) else { return Ok(()) };
    let storage = shared.storage();
    let (lo, hi) = keys::items(restore.source_rows);
    let mut span = Span { lo, hi, is_reverse: false };
    loop {
        let page = storage.page(restore.source_rows, &mut span, limits::TABLE_STEP_ROWS).await?;
        if page.is_empty() {
            break;
        }
        let wanted = page.into_iter().map(|(key, stored)| (key, Some(stored.item))).collect();
        overwrite(shared, &live, wanted).await?;
    }
    if restore.backup_arn.is_none() {
        let mut before = u64::MAX;
        loop {
            let page = storage.undos_before(restore.source_rows, before, limits::TABLE_STEP_ROWS).await?;
            let later: Vec<_> = page.into_iter().take_while(|(_, undo)| undo.at_ms > restore.at_ms).collect();
            let Some((last, _)) = later.last() else { break };
            before = *last;
            // Of several changes to one item the earliest decides: it comes last.
            overwrite(shared, &live, later.into_iter().map(|(_, undo)| (undo.key, undo.old)).collect()).await?;
        }
    }
    let done = shared.tables.update(place, |table| {
        table.status = Status::Active;
        if let Some(restore) = &mut table.restore {
            restore.is_running = false;
        }
        Ok(Vec::new())
    });
    done.await.map(drop)
}

/// Makes items of a table that nobody else writes yet what they are to be.
async fn overwrite(shared: &Shared, live: &Live, wanted: BTreeMap<ItemKey, Option<Item>>) -> Result<(), ApiError> {
    let table = &live.table;
    let keys: Vec<ItemKey> = wanted.keys().cloned().collect();
    let old: Vec<Option<Stored>> = shared.storage().items(table.rows, &keys).await?;
    let mut batch = Batch::<()>::default();
    let (mut counts, mut size) = (Counts::default(), 0);
    let now_ms = shared.now_ms();
    for ((key, new), old) in wanted.iter().zip(&old) {
        let room = &mut change::ROOM.clone();
        let change = change::change(table, key, old.as_ref(), new.as_ref(), By::Caller, now_ms, room);
        counts.add(&change.counts);
        size += new.as_ref().map_or(0, item_size_bytes);
        batch.at(shard(table.rows)).ops.extend(change.ops);
        if size > STEP_BYTES {
            shared.storage().commit(std::mem::take(&mut batch)).await?;
            size = 0;
        }
    }
    shared.storage().commit(batch).await?;
    live.runtime.count(&counts);
    Ok(())
}
