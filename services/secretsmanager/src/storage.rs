//! Where secrets are kept. The only file that knows the store and the layout of its keys (`docs/formats/secretsmanager.md`).

use std::sync::Arc;

use cumulet_store::{Check, Key, KeyWriter, Rev, Row, Shard, Space, Store, StoreExt, Txn};
use cumulet_wire::error::ApiError;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::errors;
use crate::model::{FORMAT, Place, Sealed, Secret};

const SPACE: Space = Space(17);
/// Attempts to change a secret that others change meanwhile.
const UPDATE_ATTEMPTS_MAX: usize = 16;
const PAGE_ROWS: u32 = 200;

pub struct Storage {
    store: Arc<dyn Store>,
}

fn shard(account: &str, region: &str) -> Shard {
    Shard::of(&format!("secretsmanager/{account}/{region}"))
}

fn of(place: &Place) -> Shard {
    shard(&place.account, &place.region)
}

fn writer(kind: &str, account: &str, region: &str) -> KeyWriter {
    KeyWriter::new().text(kind).text(account).text(region)
}

fn secret_key(place: &Place) -> Key {
    writer("secret", &place.account, &place.region).text(&place.name).key()
}

fn values(place: &Place) -> KeyWriter {
    writer("value", &place.account, &place.region).text(&place.name)
}

fn decode<T: DeserializeOwned>(row: &Row) -> Result<T, ApiError> {
    serde_json::from_slice(&row.value).map_err(|e| errors::storage("Reading", &e))
}

fn encode(value: &impl Serialize) -> Result<Vec<u8>, ApiError> {
    serde_json::to_vec(value).map_err(|e| errors::storage("Writing", &e))
}

/// What a change makes of the values beside the secret's own row.
#[derive(Default)]
pub struct Beside {
    pub put: Option<(String, Sealed)>,
    pub dropped: Vec<String>,
}

impl Storage {
    pub fn new(store: Arc<dyn Store>) -> Storage {
        Storage { store }
    }

    /// One whose time is over is not there any more.
    async fn read(&self, place: &Place, now_ms: u64) -> Result<Option<(Secret, Rev)>, ApiError> {
        let row = self.store.get(of(place), SPACE, secret_key(place)).await;
        let Some(row) = row.map_err(|e| errors::storage("Reading", &e))? else { return Ok(None) };
        let secret: Secret = decode(&row)?;
        if secret.v != FORMAT {
            return Err(errors::storage("Reading", &"a secret of another format"));
        }
        if secret.gone_ms.is_some_and(|gone_ms| gone_ms <= now_ms) {
            self.delete(place, row.rev).await?;
            return Ok(None);
        }
        Ok(Some((secret, row.rev)))
    }

    pub async fn find(&self, place: &Place, now_ms: u64) -> Result<Option<Secret>, ApiError> {
        Ok(self.read(place, now_ms).await?.map(|(secret, _)| secret))
    }

    pub async fn value(&self, place: &Place, version: &str) -> Result<Option<Sealed>, ApiError> {
        let row = self.store.get(of(place), SPACE, values(place).text(version).key()).await;
        row.map_err(|e| errors::storage("Reading", &e))?.as_ref().map(decode).transpose()
    }

    /// All of an account and region, in the order of their names.
    pub async fn list(&self, account: &str, region: &str, now_ms: u64) -> Result<Vec<Secret>, ApiError> {
        let (mut lo, hi) = writer("secret", account, region).range();
        let mut found = Vec::new();
        loop {
            let rows = self.store.range(shard(account, region), SPACE, lo.clone(), hi.clone(), PAGE_ROWS).await;
            let rows = rows.map_err(|e| errors::storage("Listing", &e))?;
            let Some(last) = rows.last() else { return Ok(found) };
            lo = [last.key.as_ref(), &[0]].concat().into();
            for row in &rows {
                let secret: Secret = decode(row)?;
                if secret.gone_ms.is_none_or(|gone_ms| gone_ms > now_ms) {
                    found.push(secret);
                }
            }
        }
    }

    /// `false`: the name is taken.
    pub async fn create(
        &self,
        place: &Place,
        secret: &Secret,
        value: Option<(String, Sealed)>,
    ) -> Result<bool, ApiError> {
        let key = secret_key(place);
        let mut txn = Txn::new(of(place)).check(Check::Absent(SPACE, key.clone())).put(SPACE, key, encode(secret)?);
        if let Some((version, sealed)) = value {
            txn = txn.put(SPACE, values(place).text(&version).key(), encode(&sealed)?);
        }
        self.commit(txn).await
    }

    /// Changes one by compare-and-set; `change` may be asked several times and its last word counts.
    pub async fn update<T>(
        &self,
        place: &Place,
        now_ms: u64,
        mut change: impl FnMut(&mut Secret) -> Result<(Beside, T), ApiError> + Send,
    ) -> Result<T, ApiError> {
        for _ in 0..UPDATE_ATTEMPTS_MAX {
            let (mut secret, rev) = self.read(place, now_ms).await?.ok_or_else(errors::not_found)?;
            let (beside, answer) = change(&mut secret)?;
            let key = secret_key(place);
            let mut txn = Txn::new(of(place)).check(Check::RevIs(SPACE, key.clone(), rev));
            if let Some((version, sealed)) = &beside.put {
                txn = txn.put(SPACE, values(place).text(version).key(), encode(sealed)?);
            }
            for version in &beside.dropped {
                txn = txn.delete(SPACE, values(place).text(version).key());
            }
            if self.commit(txn.put(SPACE, key, encode(&secret)?)).await? {
                return Ok(answer);
            }
        }
        Err(errors::busy())
    }

    /// At once, whatever it is now.
    pub async fn remove(&self, place: &Place, now_ms: u64) -> Result<(), ApiError> {
        while let Some((_, rev)) = self.read(place, now_ms).await? {
            if self.delete(place, rev).await? {
                return Ok(());
            }
        }
        Ok(())
    }

    async fn delete(&self, place: &Place, rev: Rev) -> Result<bool, ApiError> {
        let (key, (lo, hi)) = (secret_key(place), values(place).range());
        let txn = Txn::new(of(place)).check(Check::RevIs(SPACE, key.clone(), rev)).delete(SPACE, key);
        self.commit(txn.delete_range(SPACE, lo, hi)).await
    }

    /// Whether it was done; otherwise a check failed.
    async fn commit(&self, txn: Txn) -> Result<bool, ApiError> {
        self.store.apply(vec![txn]).await.map_err(|e| errors::storage("Writing", &e))
    }
}
