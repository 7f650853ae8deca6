//! Where functions are kept. The only file that knows the store and the layout of its keys (`docs/formats/lambda.md`).
//! All functions share one shard: they change rarely and are read from memory.

use std::sync::Arc;

use cumulet_store::{Check, Key, KeyWriter, Outcome, Rev, Shard, Space, Store, StoreExt, Txn};
use cumulet_wire::error::ApiError;

use crate::errors;
use crate::model::{FORMAT, Function, UrlOwner};

pub const SPACE: Space = Space(1);
/// A commit whose end is unknown is repeated, with the same id, this often.
const UNKNOWN_ATTEMPTS_MAX: usize = 8;
const PAGE_ROWS: u32 = 200;

/// A function as read, with the token for changing it.
#[derive(Clone, Debug)]
pub struct Stored {
    pub function: Function,
    pub rev: Rev,
}

/// How a write ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    Done,
    /// Another writer was there first.
    Lost,
}

pub struct Storage {
    store: Arc<dyn Store>,
}

fn shard() -> Shard {
    Shard::of("lambda")
}

fn function_key(account: &str, region: &str, name: &str) -> Key {
    KeyWriter::new().text("function").text(account).text(region).text(name).key()
}

fn url_key(id: &str) -> Key {
    KeyWriter::new().text("url").text(id).key()
}

fn decode(value: &[u8]) -> Result<Function, ApiError> {
    let function: Function = serde_json::from_slice(value)
        .map_err(|e| errors::storage("Reading a function", &cumulet_store::Error::Format(e.to_string())))?;
    if function.v != FORMAT {
        return Err(errors::storage(
            "Reading a function",
            &cumulet_store::Error::Format(format!("function of format {}", function.v)),
        ));
    }
    Ok(function)
}

fn encode(value: &impl serde::Serialize) -> Result<Vec<u8>, ApiError> {
    serde_json::to_vec(value).map_err(|e| ApiError::internal(format!("writing a function: {e}")))
}

impl Storage {
    pub fn new(store: Arc<dyn Store>) -> Storage {
        Storage { store }
    }

    pub async fn get(&self, account: &str, region: &str, name: &str) -> Result<Option<Stored>, ApiError> {
        let row = self
            .store
            .get(shard(), SPACE, function_key(account, region, name))
            .await
            .map_err(|e| errors::storage("Reading a function", &e))?;
        row.map(|row| Ok(Stored { function: decode(&row.value)?, rev: row.rev })).transpose()
    }

    pub async fn url_owner(&self, id: &str) -> Result<Option<UrlOwner>, ApiError> {
        let row = self
            .store
            .get(shard(), SPACE, url_key(id))
            .await
            .map_err(|e| errors::storage("Reading a function URL", &e))?;
        row.map(|row| {
            serde_json::from_slice(&row.value)
                .map_err(|e| errors::storage("Reading a function URL", &cumulet_store::Error::Format(e.to_string())))
        })
        .transpose()
    }

    /// One page of an account's functions in the order of their names, after the one named.
    pub async fn list(
        &self,
        account: &str,
        region: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Function>, ApiError> {
        let (mut lo, hi) = KeyWriter::new().text("function").text(account).text(region).range();
        if let Some(name) = after {
            // The first key after that of `name`.
            let mut key = function_key(account, region, name).to_vec();
            key.push(0);
            lo = key.into();
        }
        let mut found = Vec::new();
        while found.len() < limit {
            let rows = self
                .store
                .range(shard(), SPACE, lo.clone(), hi.clone(), PAGE_ROWS)
                .await
                .map_err(|e| errors::storage("Listing functions", &e))?;
            let Some(last) = rows.last() else { break };
            let mut next = last.key.to_vec();
            next.push(0);
            lo = next.into();
            for row in &rows {
                found.push(decode(&row.value)?);
            }
        }
        found.truncate(limit);
        Ok(found)
    }

    /// Creates; [`Written::Lost`] when a function of this name is there.
    pub async fn create(&self, function: &Function) -> Result<Written, ApiError> {
        let key = function_key(&function.account, &function.region, &function.name);
        let txn = Txn::new(shard()).check(Check::Absent(SPACE, key.clone())).put(SPACE, key, encode(function)?);
        self.commit(txn).await
    }

    /// Puts `next` in the place of `before`, which must not have changed since it was read, and keeps the index of
    /// URLs true.
    pub async fn replace(&self, before: &Stored, next: &Function) -> Result<Written, ApiError> {
        let key = function_key(&next.account, &next.region, &next.name);
        let mut txn =
            Txn::new(shard()).check(Check::RevIs(SPACE, key.clone(), before.rev)).put(SPACE, key, encode(next)?);
        let old = before.function.url.as_ref().map(|url| &url.id);
        let new = next.url.as_ref().map(|url| &url.id);
        if old != new {
            if let Some(id) = old {
                txn = txn.delete(SPACE, url_key(id));
            }
            if let Some(id) = new {
                let owner = UrlOwner {
                    v: FORMAT,
                    account: next.account.clone(),
                    region: next.region.clone(),
                    name: next.name.clone(),
                };
                txn = txn.put(SPACE, url_key(id), encode(&owner)?);
            }
        }
        self.commit(txn).await
    }

    pub async fn delete(&self, before: &Stored) -> Result<Written, ApiError> {
        let function = &before.function;
        let key = function_key(&function.account, &function.region, &function.name);
        let mut txn = Txn::new(shard()).check(Check::RevIs(SPACE, key.clone(), before.rev)).delete(SPACE, key);
        if let Some(url) = &function.url {
            txn = txn.delete(SPACE, url_key(&url.id));
        }
        self.commit(txn).await
    }

    async fn commit(&self, mut txn: Txn) -> Result<Written, ApiError> {
        txn.id = Some(cumulet_base::id::random());
        for _ in 0..UNKNOWN_ATTEMPTS_MAX {
            let outcome =
                self.store.commit(txn.clone()).await.map_err(|e| errors::storage("Writing a function", &e))?;
            match outcome {
                Outcome::Done(_) => return Ok(Written::Done),
                Outcome::Conflict { .. } => return Ok(Written::Lost),
                Outcome::Unknown => {}
            }
        }
        Err(errors::storage(
            "Writing a function",
            &cumulet_store::Error::Backend { doing: "committing", reason: "the end stayed unknown".to_owned() },
        ))
    }
}
