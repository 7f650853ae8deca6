//! Where event source mappings and their positions are kept (`docs/formats/lambda.md`).

use std::sync::Arc;

use cumulet_store::{Check, Key, KeyReader, KeyWriter, Outcome, Rev, Shard, Store, StoreExt, Txn};
use cumulet_wire::error::ApiError;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::model::{Mapping, Position};
use crate::errors;
use crate::storage::SPACE;

const UNKNOWN_ATTEMPTS_MAX: usize = 8;

pub struct Storage {
    store: Arc<dyn Store>,
}

/// All mappings share one: they are few.
fn shard() -> Shard {
    Shard::of("lambda/mappings")
}

/// Positions move with every batch, each mapping's in a shard of its own.
fn position_shard(uuid: &str) -> Shard {
    Shard::of(&format!("lambda/mapping/{uuid}"))
}

fn key(uuid: &str) -> Key {
    KeyWriter::new().text("mapping").text(uuid).key()
}

fn position_key(uuid: &str, part: &str) -> Key {
    KeyWriter::new().text("position").text(uuid).text(part).key()
}

fn encode(value: &impl Serialize) -> Result<Vec<u8>, ApiError> {
    serde_json::to_vec(value).map_err(|e| ApiError::internal(format!("writing a mapping: {e}")))
}

fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    serde_json::from_slice(bytes).map_err(|e| ApiError::internal(format!("reading a mapping: {e}")))
}

fn reading(error: cumulet_store::Error) -> ApiError {
    errors::storage("Reading an event source mapping", &error)
}

impl Storage {
    pub fn new(store: Arc<dyn Store>) -> Storage {
        Storage { store }
    }

    pub async fn all(&self) -> Result<Vec<Mapping>, ApiError> {
        let (lo, hi) = KeyWriter::new().text("mapping").range();
        let rows = self.store.range(shard(), SPACE, lo, hi, u32::MAX).await.map_err(reading)?;
        rows.iter().map(|row| decode(&row.value)).collect()
    }

    pub async fn find(&self, uuid: &str) -> Result<Option<(Mapping, Rev)>, ApiError> {
        let row = self.store.get(shard(), SPACE, key(uuid)).await.map_err(reading)?;
        row.map(|row| Ok((decode(&row.value)?, row.rev))).transpose()
    }

    /// Whether it was written; otherwise another was faster.
    pub async fn put(&self, mapping: &Mapping, seen: Option<Rev>) -> Result<bool, ApiError> {
        let key = key(&mapping.uuid);
        let check = match seen {
            Some(rev) => Check::RevIs(SPACE, key.clone(), rev),
            None => Check::Absent(SPACE, key.clone()),
        };
        self.commit(Txn::new(shard()).check(check).put(SPACE, key, encode(mapping)?)).await
    }

    pub async fn delete(&self, uuid: &str) -> Result<(), ApiError> {
        self.commit(Txn::new(shard()).delete(SPACE, key(uuid))).await?;
        let (lo, hi) = KeyWriter::new().text("position").text(uuid).range();
        self.commit(Txn::new(position_shard(uuid)).delete_range(SPACE, lo, hi)).await.map(drop)
    }

    /// Positions of a mapping by the shard of the stream.
    pub async fn positions(&self, uuid: &str) -> Result<Vec<(String, Position)>, ApiError> {
        let (lo, hi) = KeyWriter::new().text("position").text(uuid).range();
        let rows = self.store.range(position_shard(uuid), SPACE, lo, hi, u32::MAX).await.map_err(reading)?;
        let read = |row: &cumulet_store::Row| {
            let mut key = KeyReader::new(&row.key);
            let part = (0..3).map(|_| key.text()).last().flatten().unwrap_or_default();
            Ok((part, decode(&row.value)?))
        };
        rows.iter().map(read).collect()
    }

    pub async fn put_position(&self, uuid: &str, part: &str, position: &Position) -> Result<(), ApiError> {
        let txn = Txn::new(position_shard(uuid)).put(SPACE, position_key(uuid, part), encode(position)?);
        self.commit(txn).await.map(drop)
    }

    async fn commit(&self, mut txn: Txn) -> Result<bool, ApiError> {
        txn.id = Some(cumulet_base::id::random());
        for _ in 0..UNKNOWN_ATTEMPTS_MAX {
            let outcome = self.store.commit(txn.clone()).await;
            match outcome.map_err(|e| errors::storage("Writing an event source mapping", &e))? {
                Outcome::Done(_) => return Ok(true),
                Outcome::Conflict { .. } => return Ok(false),
                Outcome::Unknown => {}
            }
        }
        Err(ApiError::internal("the end of writing a mapping stayed unknown"))
    }
}
