//! Where alarms and dashboards are kept. The only file that knows the store and the layout of its keys
//! (`docs/formats/cloudwatch.md`).

use std::sync::Arc;

use cumulet_store::{Check, KeyWriter, Shard, Space, Store, StoreExt, Txn};
use cumulet_wire::call::Context;
use cumulet_wire::error::ApiError;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::errors;

const SPACE: Space = Space(19);
/// Attempts to change what others change meanwhile.
const UPDATE_ATTEMPTS_MAX: usize = 16;
const PAGE_ROWS: u32 = 200;

pub const ALARM: &str = "alarm";
pub const DASHBOARD: &str = "dashboard";

pub struct Storage {
    store: Arc<dyn Store>,
}

fn shard(ctx: &Context) -> Shard {
    Shard::of(&format!("cloudwatch/{}/{}", ctx.account(), ctx.region))
}

fn writer(kind: &str, ctx: &Context) -> KeyWriter {
    KeyWriter::new().text(kind).text(ctx.account()).text(&ctx.region)
}

fn decode<T: DeserializeOwned>(value: &[u8]) -> Result<T, ApiError> {
    serde_json::from_slice(value).map_err(|e| errors::storage("Reading", &e))
}

impl Storage {
    pub fn new(store: Arc<dyn Store>) -> Storage {
        Storage { store }
    }

    pub async fn get<T: DeserializeOwned>(&self, ctx: &Context, kind: &str, name: &str) -> Result<Option<T>, ApiError> {
        let row = self.store.get(shard(ctx), SPACE, writer(kind, ctx).text(name).key()).await;
        row.map_err(|e| errors::storage("Reading", &e))?.map(|row| decode(&row.value)).transpose()
    }

    /// All of a kind, in the order of their names.
    pub async fn list<T: DeserializeOwned>(&self, ctx: &Context, kind: &str) -> Result<Vec<T>, ApiError> {
        let (mut lo, hi) = writer(kind, ctx).range();
        let mut found = Vec::new();
        loop {
            let rows = self.store.range(shard(ctx), SPACE, lo.clone(), hi.clone(), PAGE_ROWS).await;
            let rows = rows.map_err(|e| errors::storage("Listing", &e))?;
            let Some(last) = rows.last() else { return Ok(found) };
            lo = [last.key.as_ref(), &[0]].concat().into();
            for row in &rows {
                found.push(decode(&row.value)?);
            }
        }
    }

    /// Makes or changes one by compare-and-set; `change` may be asked several times and its last word counts. What it does
    /// not answer with is left as it was.
    pub async fn update<T: DeserializeOwned + Serialize + Send>(
        &self,
        ctx: &Context,
        (kind, name): (&str, &str),
        mut change: impl FnMut(Option<T>) -> Result<Option<T>, ApiError> + Send,
    ) -> Result<(), ApiError> {
        let key = writer(kind, ctx).text(name).key();
        for _ in 0..UPDATE_ATTEMPTS_MAX {
            let row = self.store.get(shard(ctx), SPACE, key.clone()).await;
            let row = row.map_err(|e| errors::storage("Reading", &e))?;
            let check = match &row {
                Some(row) => Check::RevIs(SPACE, key.clone(), row.rev),
                None => Check::Absent(SPACE, key.clone()),
            };
            let old = row.map(|row| decode(&row.value)).transpose()?;
            let Some(new) = change(old)? else { return Ok(()) };
            let value = serde_json::to_vec(&new).map_err(|e| errors::storage("Writing", &e))?;
            if self.commit(Txn::new(shard(ctx)).check(check).put(SPACE, key.clone(), value)).await? {
                return Ok(());
            }
        }
        Err(errors::busy())
    }

    pub async fn delete(&self, ctx: &Context, kind: &str, names: &[&str]) -> Result<(), ApiError> {
        let mut txn = Txn::new(shard(ctx));
        for name in names {
            txn = txn.delete(SPACE, writer(kind, ctx).text(name).key());
        }
        self.commit(txn).await.map(drop)
    }

    /// Whether it was done; otherwise a check failed.
    async fn commit(&self, txn: Txn) -> Result<bool, ApiError> {
        self.store.apply(vec![txn]).await.map_err(|e| errors::storage("Writing", &e))
    }
}
