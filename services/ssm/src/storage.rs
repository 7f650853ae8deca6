//! Where parameters are kept. The only file that knows the store and the layout of its keys (`docs/formats/ssm.md`).

use std::sync::Arc;

use cumulet_base::limits;
use cumulet_store::{Check, Key, KeyWriter, Rev, Row, Shard, Space, Store, StoreExt, Txn};
use cumulet_wire::error::ApiError;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::errors;
use crate::model::{FORMAT, Parameter, Place, Version};

const SPACE: Space = Space(16);
/// Attempts to change a parameter that others change meanwhile.
const UPDATE_ATTEMPTS_MAX: usize = 16;
const PAGE_ROWS: u32 = 200;

pub struct Storage {
    store: Arc<dyn Store>,
}

fn shard(account: &str, region: &str) -> Shard {
    Shard::of(&format!("ssm/{account}/{region}"))
}

fn of(place: &Place) -> Shard {
    shard(&place.account, &place.region)
}

fn key(kind: &str, account: &str, region: &str) -> KeyWriter {
    KeyWriter::new().text(kind).text(account).text(region)
}

fn parameter_key(place: &Place) -> Key {
    key("parameter", &place.account, &place.region).text(&place.name).key()
}

fn version_key(place: &Place, number: u64) -> Key {
    key("version", &place.account, &place.region).text(&place.name).u64(number).key()
}

fn decode<T: DeserializeOwned>(row: &Row) -> Result<T, ApiError> {
    serde_json::from_slice(&row.value).map_err(|e| errors::storage("Reading", &e))
}

fn encode(value: &impl Serialize) -> Result<Vec<u8>, ApiError> {
    serde_json::to_vec(value).map_err(|e| errors::storage("Writing", &e))
}

/// What a change makes of a parameter besides its own row.
#[derive(Default)]
pub struct Beside {
    /// A version that is not the last one any more is kept for the history.
    pub kept: Option<Version>,
    /// A version whose time is over.
    pub dropped: Option<u64>,
}

impl Storage {
    pub fn new(store: Arc<dyn Store>) -> Storage {
        Storage { store }
    }

    async fn read(&self, place: &Place) -> Result<Option<(Parameter, Rev)>, ApiError> {
        let row = self.store.get(of(place), SPACE, parameter_key(place)).await;
        let row = row.map_err(|e| errors::storage("Reading", &e))?;
        let Some(row) = row else { return Ok(None) };
        let parameter: Parameter = decode(&row)?;
        match parameter.v == FORMAT {
            true => Ok(Some((parameter, row.rev))),
            false => Err(errors::storage("Reading", &"a parameter of another format")),
        }
    }

    pub async fn find(&self, place: &Place) -> Result<Option<Parameter>, ApiError> {
        Ok(self.read(place).await?.map(|(parameter, _)| parameter))
    }

    /// A version of a parameter; the last one is in its row.
    pub async fn version(
        &self,
        place: &Place,
        parameter: &Parameter,
        number: u64,
    ) -> Result<Option<Version>, ApiError> {
        if parameter.last.number == number {
            return Ok(Some(parameter.last.clone()));
        }
        let row = self.store.get(of(place), SPACE, version_key(place, number)).await;
        row.map_err(|e| errors::storage("Reading", &e))?.as_ref().map(decode).transpose()
    }

    /// Parameters behind the one named, in the order of their names.
    pub async fn list(
        &self,
        account: &str,
        region: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Parameter>, ApiError> {
        let (mut lo, hi) = key("parameter", account, region).range();
        let behind = |key: &Key| -> Key { [key.as_ref(), &[0]].concat().into() };
        if let Some(name) = after {
            lo = behind(&key("parameter", account, region).text(name).key());
        }
        let mut found = Vec::new();
        while found.len() < limit {
            let rows = self.store.range(shard(account, region), SPACE, lo.clone(), hi.clone(), PAGE_ROWS).await;
            let rows = rows.map_err(|e| errors::storage("Listing", &e))?;
            let Some(last) = rows.last() else { break };
            lo = behind(&last.key);
            for row in &rows {
                found.push(decode(row)?);
            }
        }
        found.truncate(limit);
        Ok(found)
    }

    pub async fn create(&self, place: &Place, parameter: &Parameter) -> Result<(), ApiError> {
        let count = self.list(&place.account, &place.region, None, limits::PARAMETERS_MAX).await?.len();
        if count >= limits::PARAMETERS_MAX {
            return Err(errors::too_many_parameters());
        }
        let key = parameter_key(place);
        let txn = Txn::new(of(place)).check(Check::Absent(SPACE, key.clone())).put(SPACE, key, encode(parameter)?);
        if self.commit(txn).await? { Ok(()) } else { Err(errors::already_exists()) }
    }

    /// Changes one by compare-and-set; `change` may be asked several times and its last word counts.
    pub async fn update<T>(
        &self,
        place: &Place,
        mut change: impl FnMut(&mut Parameter) -> Result<(Beside, T), ApiError> + Send,
    ) -> Result<T, ApiError> {
        for _ in 0..UPDATE_ATTEMPTS_MAX {
            let found = self.read(place).await?;
            let (mut parameter, rev) = found.ok_or_else(|| errors::not_found(&place.name))?;
            let (beside, answer) = change(&mut parameter)?;
            let key = parameter_key(place);
            let mut txn = Txn::new(of(place)).check(Check::RevIs(SPACE, key.clone(), rev));
            if let Some(kept) = &beside.kept {
                txn = txn.put(SPACE, version_key(place, kept.number), encode(kept)?);
            }
            if let Some(number) = beside.dropped {
                txn = txn.delete(SPACE, version_key(place, number));
            }
            if self.commit(txn.put(SPACE, key, encode(&parameter)?)).await? {
                return Ok(answer);
            }
        }
        Err(errors::too_many_updates())
    }

    /// Whether it was there.
    pub async fn delete(&self, place: &Place) -> Result<bool, ApiError> {
        let key = parameter_key(place);
        let (lo, hi) = crate::storage::key("version", &place.account, &place.region).text(&place.name).range();
        let txn =
            Txn::new(of(place)).check(Check::Exists(SPACE, key.clone())).delete(SPACE, key).delete_range(SPACE, lo, hi);
        self.commit(txn).await
    }

    /// Whether it was done; otherwise a check failed.
    async fn commit(&self, txn: Txn) -> Result<bool, ApiError> {
        self.store.apply(vec![txn]).await.map_err(|e| errors::storage("Writing", &e))
    }
}
