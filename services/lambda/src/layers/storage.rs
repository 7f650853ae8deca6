//! Where layer versions are kept: one row each, and one a layer for the number given out last
//! (`docs/formats/lambda.md`).

use std::sync::Arc;

use cumulet_store::{Check, Key, KeyWriter, Rev, Store, StoreExt, Txn};
use cumulet_wire::error::ApiError;
use serde::{Deserialize, Serialize};

use super::{LayerName, LayerVersion};
use crate::errors;
use crate::model::FORMAT;
use crate::storage::{SPACE, Written, after, commit, decode, encode, shard};

/// Attempts to change a row that others change meanwhile.
const ATTEMPTS_MAX: usize = 16;
const PAGE_ROWS: u32 = 200;

/// A layer: numbers are given out once, even when versions are deleted.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Head {
    v: u8,
    name: String,
    last_version: u64,
}

pub struct Layers {
    store: Arc<dyn Store>,
}

fn head_key(layer: &LayerName) -> Key {
    KeyWriter::new().text("layer").text(&layer.account).text(&layer.region).text(&layer.name).key()
}

fn versions(layer: &LayerName) -> KeyWriter {
    KeyWriter::new().text("layer-version").text(&layer.account).text(&layer.region).text(&layer.name)
}

fn version_key(layer: &LayerName, version: u64) -> Key {
    versions(layer).u64(version).key()
}

impl Layers {
    pub fn new(store: Arc<dyn Store>) -> Layers {
        Layers { store }
    }

    async fn row<T: serde::de::DeserializeOwned>(&self, key: Key) -> Result<Option<(T, Rev)>, ApiError> {
        let row = self.store.get(shard(), SPACE, key).await.map_err(|e| errors::storage("Reading a layer", &e))?;
        row.map(|row| Ok((decode(&row.value)?, row.rev))).transpose()
    }

    async fn rows<T: serde::de::DeserializeOwned>(&self, mut lo: Key, hi: Key) -> Result<Vec<T>, ApiError> {
        let mut found = Vec::new();
        loop {
            let rows = self.store.range(shard(), SPACE, lo, hi.clone(), PAGE_ROWS).await;
            let rows = rows.map_err(|e| errors::storage("Listing layers", &e))?;
            let Some(last) = rows.last() else { return Ok(found) };
            lo = after(&last.key);
            for row in &rows {
                found.push(decode(&row.value)?);
            }
        }
    }

    pub async fn get(&self, layer: &LayerName, version: u64) -> Result<Option<LayerVersion>, ApiError> {
        Ok(self.row(version_key(layer, version)).await?.map(|(version, _)| version))
    }

    /// Gives the version its number; durable when it returns.
    pub async fn publish(&self, mut version: LayerVersion) -> Result<LayerVersion, ApiError> {
        let layer = version.layer();
        for _ in 0..ATTEMPTS_MAX {
            let head: Option<(Head, Rev)> = self.row(head_key(&layer)).await?;
            let check = match &head {
                Some((_, rev)) => Check::RevIs(SPACE, head_key(&layer), *rev),
                None => Check::Absent(SPACE, head_key(&layer)),
            };
            version.version = head.map_or(0, |(head, _)| head.last_version) + 1;
            let head = Head { v: FORMAT, name: layer.name.clone(), last_version: version.version };
            let txn = Txn::new(shard()).check(check).put(SPACE, head_key(&layer), encode(&head)?).put(
                SPACE,
                version_key(&layer, version.version),
                encode(&version)?,
            );
            if commit(&*self.store, txn).await? == Written::Done {
                return Ok(version);
            }
        }
        Err(errors::concurrent_update(&layer.arn()))
    }

    /// All versions of a layer, the newest first.
    pub async fn versions(&self, layer: &LayerName) -> Result<Vec<LayerVersion>, ApiError> {
        let (lo, hi) = versions(layer).range();
        let mut found: Vec<LayerVersion> = self.rows(lo, hi).await?;
        found.reverse();
        Ok(found)
    }

    /// The layers of an account by name, with and without versions.
    pub async fn names(&self, account: &str, region: &str) -> Result<Vec<LayerName>, ApiError> {
        let (lo, hi) = KeyWriter::new().text("layer").text(account).text(region).range();
        let heads: Vec<Head> = self.rows(lo, hi).await?;
        let name = |head: Head| LayerName { account: account.to_owned(), region: region.to_owned(), name: head.name };
        Ok(heads.into_iter().map(name).collect())
    }

    pub async fn delete(&self, layer: &LayerName, version: u64) -> Result<(), ApiError> {
        commit(&*self.store, Txn::new(shard()).delete(SPACE, version_key(layer, version))).await.map(|_| ())
    }

    /// Changes a version's policy by compare-and-set; `None`: there is no such version.
    pub async fn update(
        &self,
        layer: &LayerName,
        version: u64,
        mut change: impl FnMut(&mut LayerVersion) -> Result<(), ApiError>,
    ) -> Result<Option<LayerVersion>, ApiError> {
        let key = version_key(layer, version);
        for _ in 0..ATTEMPTS_MAX {
            let Some((mut next, rev)) = self.row::<LayerVersion>(key.clone()).await? else { return Ok(None) };
            change(&mut next)?;
            let txn =
                Txn::new(shard()).check(Check::RevIs(SPACE, key.clone(), rev)).put(SPACE, key.clone(), encode(&next)?);
            if commit(&*self.store, txn).await? == Written::Done {
                return Ok(Some(next));
            }
        }
        Err(errors::concurrent_update(&layer.version_arn(version)))
    }
}
