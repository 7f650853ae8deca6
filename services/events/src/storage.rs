//! Where buses and what belongs to them are kept. The only file that knows the store and the layout of its keys
//! (`docs/formats/events.md`). All of an account's region lies in one shard, together with the tasks that follow from its
//! events: an event and its deliveries are one commit.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use cumulet_base::limits;
use cumulet_store::{Check, Key, KeyReader, KeyWriter, Read, Rev, Shard, Space, Store, StoreExt, Txn};
use cumulet_wire::error::ApiError;
use cumulet_wire::seal::Seal;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::errors;
use crate::model::{Archive, Connection, Place};

const SPACE: Space = Space(14);
const UPDATE_ATTEMPTS_MAX: usize = 16;
/// Bytes of an event in one row, below the store's bound of a value.
const ROW_BYTES_MAX: usize = 48 * 1024;

/// What kinds of records there are, by the first part of their keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Bus,
    /// By bus and name.
    Rule,
    /// By bus, rule and id.
    Target,
    Archive,
    Replay,
    Connection,
    Destination,
}

impl Kind {
    fn text(self) -> &'static str {
        match self {
            Kind::Bus => "bus",
            Kind::Rule => "rule",
            Kind::Target => "target",
            Kind::Archive => "archive",
            Kind::Replay => "replay",
            Kind::Connection => "connection",
            Kind::Destination => "destination",
        }
    }
}

pub struct Storage {
    store: Arc<dyn Store>,
    seal: Seal,
}

/// An archived event, and the place it was found at.
#[derive(Clone, Debug)]
pub struct Archived {
    pub at_ms: u64,
    pub event: Bytes,
    pub key: Key,
}

fn shard(place: &Place) -> Shard {
    Shard::of(&format!("events/{}/{}", place.account, place.region))
}

fn of(kind: &str, place: &Place) -> KeyWriter {
    KeyWriter::new().text(kind).text(&place.account).text(&place.region)
}

fn key(kind: Kind, place: &Place, names: &[&str]) -> KeyWriter {
    names.iter().fold(of(kind.text(), place), |key, name| key.text(name))
}

fn after(key: &[u8]) -> Key {
    [key, &[0]].concat().into()
}

fn encode(value: &impl Serialize) -> Result<Vec<u8>, ApiError> {
    serde_json::to_vec(value).map_err(|e| ApiError::internal(format!("writing a record of a bus: {e}")))
}

fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    serde_json::from_slice(bytes).map_err(|e| ApiError::internal(format!("reading a record of a bus: {e}")))
}

fn reading(error: cumulet_store::Error) -> ApiError {
    errors::storage("Reading a bus", &error)
}

/// A transaction in the shard of a place.
pub fn begin(place: &Place) -> Txn {
    Txn::new(shard(place))
}

/// With a record, which has to be as it was seen: absent, or of a revision.
pub fn put(
    txn: Txn,
    kind: Kind,
    place: &Place,
    names: &[&str],
    value: &impl Serialize,
    seen: Option<Rev>,
) -> Result<Txn, ApiError> {
    let key = key(kind, place, names).key();
    let check = match seen {
        Some(rev) => Check::RevIs(SPACE, key.clone(), rev),
        None => Check::Absent(SPACE, key.clone()),
    };
    let value = encode(value)?;
    if value.len() > limits::STORE_VALUE_BYTES_MAX {
        return Err(errors::limit("The resource is too large."));
    }
    Ok(txn.check(check).put(SPACE, key, value))
}

/// The same, whatever is there.
pub fn overwrite(txn: Txn, kind: Kind, place: &Place, names: &[&str], value: &impl Serialize) -> Result<Txn, ApiError> {
    Ok(txn.put(SPACE, key(kind, place, names).key(), encode(value)?))
}

pub fn delete(txn: Txn, kind: Kind, place: &Place, names: &[&str]) -> Txn {
    txn.delete(SPACE, key(kind, place, names).key())
}

pub fn exists(txn: Txn, kind: Kind, place: &Place, names: &[&str]) -> Txn {
    txn.check(Check::Exists(SPACE, key(kind, place, names).key()))
}

/// Nothing lies under these names.
pub fn none(txn: Txn, kind: Kind, place: &Place, names: &[&str]) -> Txn {
    let (lo, hi) = key(kind, place, names).range();
    txn.check(Check::RangeEmpty(SPACE, lo, hi))
}

fn archived(place: &Place, archive: &Archive) -> KeyWriter {
    of("event", place).text(&archive.id)
}

/// With an event kept in an archive.
pub fn archive(mut txn: Txn, place: &Place, to: &Archive, at_ms: u64, event_id: &str, event: &Bytes) -> Txn {
    let pieces = event.len().div_ceil(ROW_BYTES_MAX);
    for piece in 0..pieces {
        let slice = event.slice(piece * ROW_BYTES_MAX..event.len().min((piece + 1) * ROW_BYTES_MAX));
        let key = archived(place, to).u64(at_ms).text(event_id).u64(piece as u64);
        // Whether it is the last one, and the bytes.
        let row = [&[u8::from(piece + 1 == pieces)], &slice[..]].concat();
        txn = txn.put(SPACE, key.key(), row);
    }
    txn
}

/// Without what an archive took before a time.
pub fn expire(txn: Txn, place: &Place, archive: &Archive, before_ms: u64) -> Txn {
    let (lo, _) = archived(place, archive).range();
    txn.delete_range(SPACE, lo, archived(place, archive).u64(before_ms).key())
}

/// Without anything an archive took.
pub fn clear(txn: Txn, place: &Place, archive: &Archive) -> Txn {
    let (lo, hi) = archived(place, archive).range();
    txn.delete_range(SPACE, lo, hi)
}

fn bound_to(place: &Place, name: &str, connection: &Connection) -> String {
    crate::operations::connections::arn(place, name, connection)
}

impl Storage {
    pub fn new(store: Arc<dyn Store>, secret: &[u8; 32]) -> Storage {
        Storage { store, seal: Seal::new(secret, "events connections, 1") }
    }

    /// With a connection, which has to be as it was seen; what authorises it cannot be read in the store.
    pub fn put_connection(
        &self,
        txn: Txn,
        place: &Place,
        name: &str,
        connection: &Connection,
        seen: Option<Rev>,
    ) -> Result<Txn, ApiError> {
        let sealed = self.seal.close(&encode(&connection.auth_parameters)?, &bound_to(place, name, connection));
        let sealed = sealed.ok_or_else(|| ApiError::internal("encrypting a connection"))?;
        let closed = Connection {
            auth_parameters: serde_json::Value::Null,
            sealed_parameters: Some(sealed),
            ..connection.clone()
        };
        put(txn, Kind::Connection, place, &[name], &closed, seen)
    }

    /// # Errors
    /// Also when it was stored with another secret, or altered.
    pub async fn connection(&self, place: &Place, name: &str) -> Result<Option<(Connection, Rev)>, ApiError> {
        let found = self.get::<Connection>(Kind::Connection, place, &[name]).await?;
        let Some((mut connection, rev)) = found else { return Ok(None) };
        if let Some(sealed) = connection.sealed_parameters.take() {
            let plain = self.seal.open(&sealed, &bound_to(place, name, &connection)).ok_or_else(|| {
                tracing::error!(connection = name, "a connection cannot be decrypted: another secret?");
                ApiError::internal("The connection's parameters cannot be decrypted.")
            })?;
            connection.auth_parameters = decode(&plain)?;
        }
        Ok(Some((connection, rev)))
    }

    /// Changes a connection, again from the start when another was faster; `None`: there is none.
    pub async fn update_connection(
        &self,
        place: &Place,
        name: &str,
        mut change: impl FnMut(&mut Connection) -> Result<(), ApiError>,
    ) -> Result<Option<Connection>, ApiError> {
        for _ in 0..UPDATE_ATTEMPTS_MAX {
            let Some((mut connection, rev)) = self.connection(place, name).await? else { return Ok(None) };
            change(&mut connection)?;
            if self.commit(self.put_connection(begin(place), place, name, &connection, Some(rev))?).await? {
                return Ok(Some(connection));
            }
        }
        Err(errors::concurrent("The resource"))
    }

    pub async fn get<T: DeserializeOwned>(
        &self,
        kind: Kind,
        place: &Place,
        names: &[&str],
    ) -> Result<Option<(T, Rev)>, ApiError> {
        let row = self.store.get(shard(place), SPACE, key(kind, place, names).key()).await.map_err(reading)?;
        row.map(|row| Ok((decode(&row.value)?, row.rev))).transpose()
    }

    /// Records under `under` whose next name begins with `prefix`, after `after_name`, in the order of that name.
    pub async fn list<T: DeserializeOwned>(
        &self,
        kind: Kind,
        place: &Place,
        under: &[&str],
        prefix: &str,
        after_name: Option<&str>,
        limit: usize,
    ) -> Result<Vec<(String, T)>, ApiError> {
        let base = key(kind, place, under);
        let (mut lo, hi) = base.clone().bytes(prefix.as_bytes()).range();
        if let Some(name) = after_name {
            lo = lo.max(after(&base.text(name).key()));
        }
        let limit = u32::try_from(limit).unwrap_or(u32::MAX);
        let rows = self.store.range(shard(place), SPACE, lo, hi, limit).await.map_err(reading)?;
        let parts = 3 + under.len() + 1;
        rows.iter()
            .map(|row| {
                let mut reader = KeyReader::new(&row.key);
                let name = (0..parts).map(|_| reader.text()).last().flatten();
                let name = name.ok_or_else(|| ApiError::internal("a key of a bus cannot be read"))?;
                Ok((name, decode(&row.value)?))
            })
            .collect()
    }

    /// Changes a record, again from the start when another was faster; `None`: there is none.
    pub async fn update<T: DeserializeOwned + Serialize>(
        &self,
        kind: Kind,
        place: &Place,
        names: &[&str],
        mut change: impl FnMut(&mut T) -> Result<(), ApiError>,
    ) -> Result<Option<T>, ApiError> {
        for _ in 0..UPDATE_ATTEMPTS_MAX {
            let Some((mut record, rev)) = self.get::<T>(kind, place, names).await? else { return Ok(None) };
            change(&mut record)?;
            if self.commit(put(begin(place), kind, place, names, &record, Some(rev))?).await? {
                return Ok(Some(record));
            }
        }
        Err(errors::concurrent("The resource"))
    }

    /// Archived events from a key on or, without one, from a time, before another; a bounded number of them.
    pub async fn archived(
        &self,
        place: &Place,
        archive: &Archive,
        from_ms: u64,
        until_ms: u64,
        after_key: Option<&[u8]>,
    ) -> Result<Vec<Archived>, ApiError> {
        let lo = after_key.map_or_else(|| archived(place, archive).u64(from_ms).key(), after);
        let hi = archived(place, archive).u64(until_ms).key();
        if lo >= hi {
            return Ok(Vec::new());
        }
        let read = Read::Range {
            space: SPACE,
            lo,
            hi,
            limit: limits::EVENTS_REPLAY_PAGE_ROWS,
            bytes: limits::EVENTS_REPLAY_PAGE_BYTES,
            reverse: false,
        };
        let (_, mut rows) = self.store.read(shard(place), vec![read]).await.map_err(reading)?;
        let mut events: Vec<Archived> = Vec::new();
        // An event whose last piece is beyond the page is read with the next one.
        let mut open = BytesMut::new();
        for row in rows.pop().unwrap_or_default() {
            let damaged = || ApiError::internal("a row of an archive cannot be read");
            let mut reader = KeyReader::new(&row.key);
            for _ in 0..4 {
                reader.text().ok_or_else(damaged)?;
            }
            let (Some(at_ms), Some(_), Some(piece)) = (reader.u64(), reader.text(), reader.u64()) else {
                return Err(damaged());
            };
            let (is_last, bytes) = row.value.split_first().ok_or_else(damaged)?;
            if piece == 0 {
                open.clear();
            }
            open.extend_from_slice(bytes);
            if *is_last == 1 {
                events.push(Archived { at_ms, event: open.split().freeze(), key: row.key });
            }
        }
        Ok(events)
    }

    /// Events an archive holds, and their bytes.
    pub async fn count(&self, place: &Place, archive: &Archive) -> Result<(u64, u64), ApiError> {
        let (mut count, mut bytes) = (0, 0);
        let mut last: Option<Key> = None;
        loop {
            let page = self.archived(place, archive, 0, u64::MAX, last.as_deref()).await?;
            let Some(end) = page.last() else { return Ok((count, bytes)) };
            count += page.len() as u64;
            bytes += page.iter().map(|event| event.event.len() as u64).sum::<u64>();
            last = Some(end.key.clone());
        }
    }

    /// Whether it was applied; otherwise a check failed.
    pub async fn commit(&self, txn: Txn) -> Result<bool, ApiError> {
        self.store.apply(vec![txn]).await.map_err(|error| errors::storage("Writing a bus", &error))
    }
}
