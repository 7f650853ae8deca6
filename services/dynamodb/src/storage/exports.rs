//! The records of exports, and the rows a table is put together in as it was.

use std::collections::BTreeMap;

use cumulet_store::{Key, Op, StoreExt};
use cumulet_wire::error::ApiError;

use super::records::{decode, encode, here};
use super::{Batch, SPACE, Storage, put_large, reading, registry, shard};
use crate::keys::{self, ItemKey};
use crate::model::Export;
use crate::value::{Item, encode_item};

fn export_key(account: &str, region: &str, arn: &str) -> Key {
    here("export", account, region).text(arn).key()
}

impl Storage {
    pub async fn put_export(&self, export: &Export) -> Result<(), ApiError> {
        let place = &export.place;
        let mut batch = Batch::<()>::default();
        let key = export_key(&place.account, &place.region, &export.arn);
        batch.put(registry(&place.account, &place.region), key, encode(export)?);
        self.commit(batch).await.map(drop)
    }

    pub async fn export(&self, account: &str, region: &str, arn: &str) -> Result<Option<Export>, ApiError> {
        let row = self.store.get(registry(account, region), SPACE, export_key(account, region, arn)).await;
        row.map_err(reading)?.map(|row| decode(&row.value)).transpose()
    }

    /// In the order of their ARNs.
    pub async fn exports(&self, account: &str, region: &str) -> Result<Vec<Export>, ApiError> {
        let values = self.dump(registry(account, region), here("export", account, region)).await?;
        values.iter().map(|bytes| decode(bytes)).collect()
    }

    /// Makes items of rows that nothing else writes what they are to be.
    pub async fn overwrite_copy(&self, rows: u64, wanted: &BTreeMap<ItemKey, Option<Item>>) -> Result<(), ApiError> {
        let mut batch = Batch::<()>::default();
        let ops = &mut batch.at(shard(rows)).ops;
        for (key, item) in wanted {
            let row = key.row(rows);
            let (lo, hi) = keys::parts(rows, &row);
            ops.push(Op::DeleteRange(SPACE, lo, hi));
            match item {
                Some(item) => {
                    let mut bytes = Vec::new();
                    encode_item(item, &mut bytes);
                    put_large(ops, rows, &row, &bytes, 0);
                }
                None => ops.push(Op::Delete(SPACE, row)),
            }
        }
        self.commit(batch).await.map(drop)
    }
}
