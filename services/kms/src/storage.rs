//! Where keys and aliases are kept. The only file that knows the store and the layout of its keys (`docs/formats/kms.md`).

use std::sync::Arc;

use cumulet_store::{Check, KeyWriter, Rev, Row, Shard, Space, Store, StoreExt, Txn};
use cumulet_wire::error::ApiError;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::errors;
use crate::model::{Alias, FORMAT, Key, Place};

const SPACE: Space = Space(18);
/// Attempts to change a key that others change meanwhile.
const UPDATE_ATTEMPTS_MAX: usize = 16;
const PAGE_ROWS: u32 = 200;

pub struct Storage {
    store: Arc<dyn Store>,
}

fn of(place: &Place) -> Shard {
    Shard::of(&format!("kms/{}/{}", place.account, place.region))
}

fn writer(kind: &str, place: &Place) -> KeyWriter {
    KeyWriter::new().text(kind).text(&place.account).text(&place.region)
}

fn key_of(place: &Place, id: &str) -> cumulet_store::Key {
    writer("key", place).text(id).key()
}

fn alias_of(place: &Place, name: &str) -> cumulet_store::Key {
    writer("alias", place).text(name).key()
}

fn decode<T: DeserializeOwned>(row: &Row) -> Result<T, ApiError> {
    serde_json::from_slice(&row.value).map_err(|e| errors::storage("Reading", &e))
}

fn encode(value: &impl Serialize) -> Result<Vec<u8>, ApiError> {
    serde_json::to_vec(value).map_err(|e| errors::storage("Writing", &e))
}

impl Storage {
    pub fn new(store: Arc<dyn Store>) -> Storage {
        Storage { store }
    }

    /// One whose time is over is not there any more, nor are its aliases.
    async fn read(&self, place: &Place, id: &str, now_ms: u64) -> Result<Option<(Key, Rev)>, ApiError> {
        let row = self.store.get(of(place), SPACE, key_of(place, id)).await;
        let Some(row) = row.map_err(|e| errors::storage("Reading", &e))? else { return Ok(None) };
        let key: Key = decode(&row)?;
        if key.v != FORMAT {
            return Err(errors::storage("Reading", &"a key of another format"));
        }
        if key.gone_ms.is_some_and(|gone_ms| gone_ms <= now_ms) {
            self.delete_key(place, id, row.rev).await?;
            return Ok(None);
        }
        Ok(Some((key, row.rev)))
    }

    async fn delete_key(&self, place: &Place, id: &str, rev: Rev) -> Result<(), ApiError> {
        let mut txn = Txn::new(of(place)).check(Check::RevIs(SPACE, key_of(place, id), rev));
        for alias in self.aliases(place).await?.into_iter().filter(|alias| alias.key == id) {
            txn = txn.delete(SPACE, alias_of(place, &alias.name));
        }
        // Somebody else has changed it, or deleted it just so: it is looked at again the next time.
        self.commit(txn.delete(SPACE, key_of(place, id))).await.map(drop)
    }

    pub async fn key(&self, place: &Place, id: &str, now_ms: u64) -> Result<Option<Key>, ApiError> {
        Ok(self.read(place, id, now_ms).await?.map(|(key, _)| key))
    }

    async fn all<T: DeserializeOwned>(&self, place: &Place, kind: &str) -> Result<Vec<T>, ApiError> {
        let (mut lo, hi) = writer(kind, place).range();
        let mut found = Vec::new();
        loop {
            let rows = self.store.range(of(place), SPACE, lo.clone(), hi.clone(), PAGE_ROWS).await;
            let rows = rows.map_err(|e| errors::storage("Listing", &e))?;
            let Some(last) = rows.last() else { return Ok(found) };
            lo = [last.key.as_ref(), &[0]].concat().into();
            for row in &rows {
                found.push(decode(row)?);
            }
        }
    }

    /// In the order of their ids.
    pub async fn keys(&self, place: &Place, now_ms: u64) -> Result<Vec<Key>, ApiError> {
        let mut all: Vec<Key> = self.all(place, "key").await?;
        all.retain(|key| key.gone_ms.is_none_or(|gone_ms| gone_ms > now_ms));
        Ok(all)
    }

    /// In the order of their names.
    pub async fn aliases(&self, place: &Place) -> Result<Vec<Alias>, ApiError> {
        self.all(place, "alias").await
    }

    pub async fn create(&self, place: &Place, key: &Key) -> Result<(), ApiError> {
        let row = key_of(place, &key.id);
        let txn = Txn::new(of(place)).check(Check::Absent(SPACE, row.clone())).put(SPACE, row, encode(key)?);
        match self.commit(txn).await? {
            true => Ok(()),
            false => Err(errors::busy()),
        }
    }

    /// Changes one by compare-and-set; `change` may be asked several times and its last word counts. `None`: there is none.
    pub async fn update<T: Send>(
        &self,
        place: &Place,
        id: &str,
        now_ms: u64,
        mut change: impl FnMut(&mut Key) -> Result<T, ApiError> + Send,
    ) -> Result<Option<T>, ApiError> {
        for _ in 0..UPDATE_ATTEMPTS_MAX {
            let Some((mut key, rev)) = self.read(place, id, now_ms).await? else { return Ok(None) };
            let answer = change(&mut key)?;
            let row = key_of(place, id);
            let txn = Txn::new(of(place)).check(Check::RevIs(SPACE, row.clone(), rev));
            if self.commit(txn.put(SPACE, row, encode(&key)?)).await? {
                return Ok(Some(answer));
            }
        }
        Err(errors::busy())
    }

    pub async fn alias(&self, place: &Place, name: &str) -> Result<Option<Alias>, ApiError> {
        let row = self.store.get(of(place), SPACE, alias_of(place, name)).await;
        row.map_err(|e| errors::storage("Reading", &e))?.as_ref().map(decode).transpose()
    }

    /// `false`: with `is_new`, the name is taken; without, it is not there.
    pub async fn put_alias(&self, place: &Place, alias: &Alias, is_new: bool) -> Result<bool, ApiError> {
        let row = alias_of(place, &alias.name);
        let check = match is_new {
            true => Check::Absent(SPACE, row.clone()),
            false => Check::Exists(SPACE, row.clone()),
        };
        self.commit(Txn::new(of(place)).check(check).put(SPACE, row, encode(alias)?)).await
    }

    pub async fn delete_alias(&self, place: &Place, name: &str) -> Result<(), ApiError> {
        self.commit(Txn::new(of(place)).delete(SPACE, alias_of(place, name))).await.map(drop)
    }

    /// Whether it was done; otherwise a check failed.
    async fn commit(&self, txn: Txn) -> Result<bool, ApiError> {
        self.store.apply(vec![txn]).await.map_err(|e| errors::storage("Writing", &e))
    }
}
