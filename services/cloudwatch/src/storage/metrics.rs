//! Where metrics are kept (`docs/formats/cloudwatch.md`): all of an account's region in one shard, a row for each stretch
//! of time, and a catalog of what series there are.

use std::sync::Arc;

use bytes::Bytes;
use cumulet_base::{id, limits};
use cumulet_store::{Check, Key, KeyReader, KeyWriter, Outcome, Read, Rev, Row, Shard, Space, Store, StoreExt, Txn};
use cumulet_wire::error::ApiError;
use serde::{Deserialize, Serialize};

use crate::errors;
use crate::metrics::aggregate::Aggregate;
use crate::metrics::{Place, Series, SeriesId};
use crate::model::FORMAT;

const SPACE: Space = Space(20);
const PAGE_ROWS: u32 = 1000;
const UNKNOWN_ATTEMPTS_MAX: usize = 8;

/// A series as the catalog has it.
#[derive(Clone, Debug)]
pub struct Entry {
    pub series: Series,
    /// Of its last value, within an hour.
    pub last_s: u64,
}

#[derive(Serialize, Deserialize)]
struct Stored {
    v: u32,
    dimensions: Vec<(String, String)>,
    last_s: u64,
}

pub struct Put {
    pub key: Key,
    pub value: Bytes,
    /// What it is to take the place of.
    pub seen: Option<Rev>,
}

#[derive(Clone)]
pub struct MetricStorage {
    store: Arc<dyn Store>,
}

fn shard(place: &Place) -> Shard {
    Shard::of(&format!("cloudwatch-metrics/{}/{}", place.account, place.region))
}

fn of(kind: &str, place: &Place) -> KeyWriter {
    KeyWriter::new().text(kind).text(&place.account).text(&place.region)
}

fn entry_key(place: &Place, series: &Series) -> Key {
    of("metric", place).text(&series.namespace).text(&series.name).bytes(&series.id()).key()
}

fn stretches(place: &Place, id: &SeriesId, level_s: u64) -> KeyWriter {
    of("data", place).bytes(id).u64(level_s)
}

fn after(row: &Row) -> Key {
    [&row.key[..], &[0]].concat().into()
}

fn reading(error: cumulet_store::Error) -> ApiError {
    errors::storage("Reading metrics", &error)
}

fn damaged() -> ApiError {
    errors::storage("Reading metrics", &"a row is not in the format")
}

impl MetricStorage {
    pub fn new(store: Arc<dyn Store>) -> MetricStorage {
        MetricStorage { store }
    }

    pub fn data_key(place: &Place, id: &SeriesId, level_s: u64, start_s: u64, unit: u8) -> Key {
        stretches(place, id, level_s).u64(start_s).bytes(&[unit]).key()
    }

    pub async fn read_rows(&self, place: &Place, keys: Vec<Key>) -> Result<Vec<(Key, Aggregate, Rev)>, ApiError> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let reads = keys.into_iter().map(|key| Read::Get(SPACE, key)).collect();
        let (_, rows) = self.store.read(shard(place), reads).await.map_err(reading)?;
        rows.into_iter()
            .flatten()
            .map(|row| Ok((row.key.clone(), Aggregate::decode(&row.value).ok_or_else(damaged)?, row.rev)))
            .collect()
    }

    /// The stretches that begin within `from_s..to_s`: their begin, unit and values, in order.
    pub async fn data(
        &self,
        place: &Place,
        id: &SeriesId,
        level_s: u64,
        (from_s, to_s): (u64, u64),
    ) -> Result<Vec<(u64, u8, Aggregate)>, ApiError> {
        let mut lo = stretches(place, id, level_s).u64(from_s).key();
        let hi = stretches(place, id, level_s).u64(to_s).key();
        let mut found = Vec::new();
        while lo < hi {
            let rows = self.store.range(shard(place), SPACE, lo, hi.clone(), PAGE_ROWS).await.map_err(reading)?;
            for row in &rows {
                let (rest, unit) = row.key.split_at(row.key.len() - 1);
                let start = rest.last_chunk::<8>().ok_or_else(damaged)?;
                let values = Aggregate::decode(&row.value).ok_or_else(damaged)?;
                found.push((u64::from_be_bytes(*start), unit[0], values));
            }
            let Some(last) = rows.last() else { break };
            lo = after(last);
        }
        Ok(found)
    }

    /// The series of a place, of a namespace, of a name: in their order.
    pub async fn catalog(
        &self,
        place: &Place,
        namespace: Option<&str>,
        name: Option<&str>,
    ) -> Result<Vec<Entry>, ApiError> {
        let mut prefix = of("metric", place);
        if let Some(namespace) = namespace {
            prefix = prefix.text(namespace);
            if let Some(name) = name {
                prefix = prefix.text(name);
            }
        }
        let (mut lo, hi) = prefix.range();
        let mut found = Vec::new();
        loop {
            let rows = self.store.range(shard(place), SPACE, lo, hi.clone(), PAGE_ROWS).await.map_err(reading)?;
            let Some(last) = rows.last() else { return Ok(found) };
            lo = after(last);
            for row in &rows {
                let mut key = KeyReader::new(&row.key);
                let names: Option<Vec<String>> = (0..5).map(|_| key.text()).collect();
                let [.., namespace, named] = &names.ok_or_else(damaged)?[..] else { return Err(damaged()) };
                if name.is_some_and(|name| name != named) {
                    continue;
                }
                let stored: Stored = serde_json::from_slice(&row.value).map_err(|_| damaged())?;
                let series =
                    Series { namespace: namespace.clone(), name: named.clone(), dimensions: stored.dimensions };
                found.push(Entry { series, last_s: stored.last_s });
            }
        }
    }

    /// `None`: something is not as it was seen.
    pub async fn commit(&self, place: &Place, entries: &[Entry], puts: Vec<Put>) -> Result<Option<Rev>, ApiError> {
        let writing = |error: &dyn std::fmt::Display| errors::storage("Writing metrics", error);
        let mut txn = Txn::new(shard(place));
        txn.id = Some(id::random());
        for put in puts {
            let check = match put.seen {
                Some(rev) => Check::RevIs(SPACE, put.key.clone(), rev),
                None => Check::Absent(SPACE, put.key.clone()),
            };
            txn = txn.check(check).put(SPACE, put.key, put.value);
        }
        for entry in entries {
            let stored = Stored { v: FORMAT, dimensions: entry.series.dimensions.clone(), last_s: entry.last_s };
            let value = serde_json::to_vec(&stored).map_err(|e| writing(&e))?;
            txn = txn.put(SPACE, entry_key(place, &entry.series), value);
        }
        for _ in 0..UNKNOWN_ATTEMPTS_MAX {
            match self.store.commit(txn.clone()).await.map_err(|e| writing(&e))? {
                Outcome::Done(rev) => return Ok(Some(rev)),
                Outcome::Conflict { .. } => return Ok(None),
                Outcome::Unknown => {}
            }
        }
        Err(writing(&"the end of a commit stayed unknown"))
    }

    /// Forgets the stretches of a level that began before a time; without a commit where there are none.
    pub async fn forget(&self, place: &Place, id: &SeriesId, level_s: u64, before_s: u64) -> Result<(), ApiError> {
        let (lo, _) = stretches(place, id, level_s).range();
        let hi = stretches(place, id, level_s).u64(before_s).key();
        let first = self.store.range(shard(place), SPACE, lo.clone(), hi.clone(), 1).await.map_err(reading)?;
        if first.is_empty() {
            return Ok(());
        }
        let txn = Txn::new(shard(place)).delete_range(SPACE, lo, hi);
        self.store.apply(vec![txn]).await.map(drop).map_err(|e| errors::storage("Writing metrics", &e))
    }

    pub async fn forget_series(&self, place: &Place, series: &Series) -> Result<(), ApiError> {
        let txn = Txn::new(shard(place)).delete(SPACE, entry_key(place, series));
        self.store.apply(vec![txn]).await.map(drop).map_err(|e| errors::storage("Writing metrics", &e))
    }

    /// Everywhere there are metrics.
    pub async fn places(&self) -> Result<Vec<Place>, ApiError> {
        let mut found = Vec::new();
        for shard in (0..limits::STORE_SHARDS).map(Shard) {
            let (mut lo, hi) = KeyWriter::new().text("metric").range();
            while let Some(row) = self.store.range(shard, SPACE, lo, hi.clone(), 1).await.map_err(reading)?.first() {
                let mut key = KeyReader::new(&row.key);
                let names: Option<Vec<String>> = (0..3).map(|_| key.text()).collect();
                let [_, account, region] = &names.ok_or_else(damaged)?[..] else { return Err(damaged()) };
                let place = Place { account: account.clone(), region: region.clone() };
                lo = of("metric", &place).range().1;
                found.push(place);
            }
        }
        Ok(found)
    }
}
