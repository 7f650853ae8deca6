//! Tables as the process knows them: definitions kept in memory, counts, buckets of capacity, and the order of writers
//! to one item. A definition that is out of date is noticed by the commit, which checks its revision.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use cumulet_base::limits;
use cumulet_store::{Key, Rev};
use cumulet_wire::error::ApiError;
use tokio::sync::OwnedMutexGuard;

use crate::capacity::Buckets;
use crate::change::Counts;
use crate::errors;
use crate::model::{Place, Status, Stream, Table};
use crate::storage::Storage;

/// A table's definition and what runs beside it.
#[derive(Debug)]
pub struct Live {
    pub table: Table,
    pub rev: Rev,
    pub runtime: Arc<Runtime>,
}

/// What is known of a table besides its definition.
#[derive(Debug, Default)]
pub struct Runtime {
    counts: Mutex<Counts>,
    is_changed: AtomicBool,
    pub buckets: Buckets,
}

impl Runtime {
    fn held(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn count(&self, more: &Counts) {
        self.held().add(more);
        self.is_changed.store(true, Ordering::Release);
    }

    pub fn set_index(&self, index: u16, items: i64, bytes: i64) {
        self.held().indexes.insert(index, (items, bytes));
        self.is_changed.store(true, Ordering::Release);
    }

    /// After a kill they may be wrong by what was written last, but they are never less than nothing.
    pub fn counts(&self) -> Counts {
        let mut counts = self.held().clone();
        (counts.items, counts.bytes) = (counts.items.max(0), counts.bytes.max(0));
        counts
    }

    pub fn index_counts(&self, index: u16) -> (i64, i64) {
        let (items, bytes) = self.held().indexes.get(&index).copied().unwrap_or_default();
        (items.max(0), bytes.max(0))
    }
}

pub struct Tables {
    pub storage: Storage,
    known: RwLock<HashMap<Place, Arc<Live>>>,
    runtimes: Mutex<HashMap<u64, Arc<Runtime>>>,
    locks: Mutex<HashMap<Key, Arc<tokio::sync::Mutex<()>>>>,
}

impl Tables {
    pub fn new(storage: Storage) -> Tables {
        Tables { storage, known: RwLock::default(), runtimes: Mutex::default(), locks: Mutex::default() }
    }

    /// A table that may be read and written.
    pub async fn active(&self, place: &Place) -> Result<Arc<Live>, ApiError> {
        match self.find(place).await? {
            Some(live) if live.table.status == Status::Active => Ok(live),
            _ => Err(errors::no_table()),
        }
    }

    pub async fn find(&self, place: &Place) -> Result<Option<Arc<Live>>, ApiError> {
        if let Some(live) = self.known.read().unwrap_or_else(PoisonError::into_inner).get(place) {
            return Ok(Some(live.clone()));
        }
        self.load(place).await
    }

    /// What is stored now, whatever was known.
    pub async fn load(&self, place: &Place) -> Result<Option<Arc<Live>>, ApiError> {
        let found = match self.storage.registered(place).await? {
            Some(rows) => self.storage.definition(rows).await?,
            None => None,
        };
        let Some((table, rev)) = found else {
            self.known.write().unwrap_or_else(PoisonError::into_inner).remove(place);
            return Ok(None);
        };
        let runtime = self.runtime(table.rows).await?;
        let live = Arc::new(Live { table, rev, runtime });
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        // Another may have read a newer one meanwhile.
        match known.get(place) {
            Some(other) if other.table.rows == live.table.rows && other.rev > live.rev => Ok(Some(other.clone())),
            _ => {
                known.insert(place.clone(), live.clone());
                Ok(Some(live))
            }
        }
    }

    async fn runtime(&self, rows: u64) -> Result<Arc<Runtime>, ApiError> {
        if let Some(runtime) = self.runtimes.lock().unwrap_or_else(PoisonError::into_inner).get(&rows) {
            return Ok(runtime.clone());
        }
        let counts = self.storage.counts(rows).await?;
        let mut runtimes = self.runtimes.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = || Arc::new(Runtime { counts: Mutex::new(counts), ..Runtime::default() });
        Ok(runtimes.entry(rows).or_insert_with(fresh).clone())
    }

    /// Changes a definition, again from what is stored when another was faster. Answers what is true then.
    pub async fn update(
        &self,
        place: &Place,
        change: impl Fn(&mut Table) -> Result<Vec<Stream>, ApiError>,
    ) -> Result<Arc<Live>, ApiError> {
        for _ in 0..limits::TABLE_WRITE_TRIES {
            let live = self.load(place).await?.ok_or_else(|| errors::no_table_named(&place.name))?;
            let mut table = live.table.clone();
            let streams = change(&mut table)?;
            let streams: Vec<&Stream> = streams.iter().collect();
            if table == live.table && streams.is_empty() {
                return Ok(live);
            }
            if self.storage.redefine(&table, live.rev, &streams).await? {
                return self.load(place).await?.ok_or_else(|| errors::no_table_named(&place.name));
            }
        }
        Err(errors::table_busy(&place.name))
    }

    pub fn forget(&self, place: &Place, rows: u64) {
        self.known.write().unwrap_or_else(PoisonError::into_inner).remove(place);
        self.runtimes.lock().unwrap_or_else(PoisonError::into_inner).remove(&rows);
    }

    /// Waits until nobody else of this process writes the item. The commit checks all the same; this keeps those who would
    /// lose from trying in vain.
    pub async fn lock(&self, row: &Key) -> Held<'_> {
        let mutex = {
            let mut locks = self.locks.lock().unwrap_or_else(PoisonError::into_inner);
            locks.entry(row.clone()).or_default().clone()
        };
        let guard = mutex.lock_owned().await;
        Held { tables: self, row: row.clone(), guard: Some(guard) }
    }

    /// As `lock`, for several items; in one order for everybody, so that nobody waits in a circle.
    pub async fn lock_all(&self, mut rows: Vec<Key>) -> Vec<Held<'_>> {
        rows.sort();
        rows.dedup();
        let mut held = Vec::with_capacity(rows.len());
        for row in rows {
            held.push(self.lock(&row).await);
        }
        held
    }

    /// Makes counts durable that changed since the last time.
    pub async fn keep_counts(&self) {
        let runtimes: Vec<(u64, Arc<Runtime>)> = {
            let all = self.runtimes.lock().unwrap_or_else(PoisonError::into_inner);
            all.iter().filter(|(_, r)| r.is_changed.load(Ordering::Acquire)).map(|(n, r)| (*n, r.clone())).collect()
        };
        for (rows, runtime) in runtimes {
            runtime.is_changed.store(false, Ordering::Release);
            if let Err(error) = self.storage.put_counts(rows, &runtime.counts()).await {
                tracing::warn!(%error, "keeping the counts of a table");
                runtime.is_changed.store(true, Ordering::Release);
            }
        }
    }
}

/// The right to write an item; let go when dropped.
pub struct Held<'a> {
    tables: &'a Tables,
    row: Key,
    guard: Option<OwnedMutexGuard<()>>,
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        let mut locks = self.tables.locks.lock().unwrap_or_else(PoisonError::into_inner);
        self.guard = None;
        // The map's own is the last: nobody waits.
        if locks.get(&self.row).is_some_and(|mutex| Arc::strong_count(mutex) == 1) {
            locks.remove(&self.row);
        }
    }
}
