//! Where groups and schedules are kept. The only file that knows the store and the layout of its keys
//! (`docs/formats/scheduler.md`). All of an account's region lies in one shard, together with the ticks: a schedule and
//! its next tick are one commit.

use std::sync::Arc;

use cumulet_base::limits;
use cumulet_store::{Check, Key, KeyReader, KeyWriter, Rev, Shard, Space, Store, StoreExt, Txn};
use cumulet_wire::error::ApiError;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::errors;
use crate::model::{Group, Place, Schedule};

const SPACE: Space = Space(15);

pub struct Storage {
    store: Arc<dyn Store>,
}

fn shard(place: &Place) -> Shard {
    Shard::of(&format!("scheduler/{}/{}", place.account, place.region))
}

fn of(kind: &str, place: &Place) -> KeyWriter {
    KeyWriter::new().text(kind).text(&place.account).text(&place.region)
}

fn group_key(place: &Place, group: &str) -> Key {
    of("group", place).text(group).key()
}

fn schedule_key(place: &Place, group: &str, name: &str) -> Key {
    of("schedule", place).text(group).text(name).key()
}

fn after(key: &[u8]) -> Key {
    [key, &[0]].concat().into()
}

fn encode(value: &impl Serialize) -> Result<Vec<u8>, ApiError> {
    let bytes = serde_json::to_vec(value).map_err(|e| ApiError::internal(format!("writing a schedule: {e}")))?;
    if bytes.len() > limits::STORE_VALUE_BYTES_MAX {
        return Err(errors::quota("The schedule is too large."));
    }
    Ok(bytes)
}

fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    serde_json::from_slice(bytes).map_err(|e| ApiError::internal(format!("reading a schedule: {e}")))
}

fn reading(error: cumulet_store::Error) -> ApiError {
    errors::storage("Reading schedules", &error)
}

fn put(txn: Txn, key: Key, value: &impl Serialize, seen: Option<Rev>) -> Result<Txn, ApiError> {
    let check = match seen {
        Some(rev) => Check::RevIs(SPACE, key.clone(), rev),
        None => Check::Absent(SPACE, key.clone()),
    };
    Ok(txn.check(check).put(SPACE, key, encode(value)?))
}

/// A transaction in the shard of a place.
pub fn begin(place: &Place) -> Txn {
    Txn::new(shard(place))
}

/// With a group, which has to be as it was seen: absent, or of a revision.
pub fn put_group(txn: Txn, place: &Place, name: &str, group: &Group, seen: Option<Rev>) -> Result<Txn, ApiError> {
    put(txn, group_key(place, name), group, seen)
}

/// If the group is still as it was seen.
pub fn same_group(txn: Txn, place: &Place, name: &str, seen: Rev) -> Txn {
    txn.check(Check::RevIs(SPACE, group_key(place, name), seen))
}

/// Without a group, if it has no schedules.
pub fn delete_group(txn: Txn, place: &Place, name: &str) -> Txn {
    let (lo, hi) = of("schedule", place).text(name).range();
    txn.check(Check::RangeEmpty(SPACE, lo, hi)).delete(SPACE, group_key(place, name))
}

pub fn put_schedule(
    txn: Txn,
    place: &Place,
    (group, name): (&str, &str),
    schedule: &Schedule,
    seen: Option<Rev>,
) -> Result<Txn, ApiError> {
    put(txn, schedule_key(place, group, name), schedule, seen)
}

/// Without a schedule, if it is still as it was seen.
pub fn delete_schedule(txn: Txn, place: &Place, (group, name): (&str, &str), seen: Rev) -> Txn {
    let key = schedule_key(place, group, name);
    txn.check(Check::RevIs(SPACE, key.clone(), seen)).delete(SPACE, key)
}

impl Storage {
    pub fn new(store: Arc<dyn Store>) -> Storage {
        Storage { store }
    }

    async fn get<T: DeserializeOwned>(&self, place: &Place, key: Key) -> Result<Option<(T, Rev)>, ApiError> {
        let row = self.store.get(shard(place), SPACE, key).await.map_err(reading)?;
        row.map(|row| Ok((decode(&row.value)?, row.rev))).transpose()
    }

    pub async fn group(&self, place: &Place, name: &str) -> Result<Option<(Group, Rev)>, ApiError> {
        self.get(place, group_key(place, name)).await
    }

    pub async fn schedule(&self, place: &Place, group: &str, name: &str) -> Result<Option<(Schedule, Rev)>, ApiError> {
        self.get(place, schedule_key(place, group, name)).await
    }

    /// Groups after a name, in the order of names.
    pub async fn groups(
        &self,
        place: &Place,
        prefix: &str,
        after_name: Option<&str>,
        limit: usize,
    ) -> Result<Vec<(String, Group)>, ApiError> {
        let base = of("group", place);
        let (mut lo, hi) = base.clone().bytes(prefix.as_bytes()).range();
        if let Some(name) = after_name {
            lo = lo.max(after(&base.text(name).key()));
        }
        let limit = u32::try_from(limit).unwrap_or(u32::MAX);
        let rows = self.store.range(shard(place), SPACE, lo, hi, limit).await.map_err(reading)?;
        rows.iter()
            .map(|row| {
                let mut reader = KeyReader::new(&row.key);
                let name = (0..4).map(|_| reader.text()).last().flatten();
                let name = name.ok_or_else(|| ApiError::internal("a key of a group cannot be read"))?;
                Ok((name, decode(&row.value)?))
            })
            .collect()
    }

    /// Schedules of a group, or of all of them, after one; each with its group and name, in their order.
    pub async fn schedules(
        &self,
        place: &Place,
        group: Option<&str>,
        prefix: &str,
        after_one: Option<(&str, &str)>,
        limit: usize,
    ) -> Result<Vec<(String, String, Schedule, Rev)>, ApiError> {
        let base = group.map_or_else(|| of("schedule", place), |group| of("schedule", place).text(group));
        // A prefix narrows the range only within a group.
        let (mut lo, hi) = if group.is_some() { base.bytes(prefix.as_bytes()).range() } else { base.range() };
        if let Some((group, name)) = after_one {
            lo = lo.max(after(&schedule_key(place, group, name)));
        }
        let limit = u32::try_from(limit).unwrap_or(u32::MAX);
        let rows = self.store.range(shard(place), SPACE, lo, hi, limit).await.map_err(reading)?;
        rows.iter()
            .map(|row| {
                let (group, name) = names(&row.key)?;
                Ok((group, name, decode(&row.value)?, row.rev))
            })
            .collect()
    }

    /// Whether it was applied; otherwise a check failed.
    pub async fn commit(&self, txn: Txn) -> Result<bool, ApiError> {
        self.store.apply(vec![txn]).await.map_err(|error| errors::storage("Writing a schedule", &error))
    }
}

/// The group and the name in a schedule's key.
fn names(key: &[u8]) -> Result<(String, String), ApiError> {
    let mut reader = KeyReader::new(key);
    let mut parts = (0..5).map(|_| reader.text());
    match (parts.nth(3).flatten(), parts.next().flatten()) {
        (Some(group), Some(name)) => Ok((group, name)),
        _ => Err(ApiError::internal("a key of a schedule cannot be read")),
    }
}
