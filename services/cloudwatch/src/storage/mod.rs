//! Where alarms with their history and dashboards are kept, and in `metrics` what is measured. The only files that know
//! the store and the layout of its keys (`docs/formats/cloudwatch.md`).

pub mod metrics;

use std::sync::Arc;

use cumulet_base::{id, limits};
use cumulet_delivery::{Delivery, NewTask};
use cumulet_store::{Check, KeyReader, KeyWriter, Rev, Shard, Space, Store, StoreExt, Txn};
use cumulet_wire::error::ApiError;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::errors;
use crate::metrics::Place;
use crate::model::{Alarm, History};

const SPACE: Space = Space(19);
/// Attempts to change what others change meanwhile.
const UPDATE_ATTEMPTS_MAX: usize = 16;
const PAGE_ROWS: u32 = 200;

pub const ALARM: &str = "alarm";
pub const DASHBOARD: &str = "dashboard";
const HISTORY: &str = "history";

#[derive(Clone)]
pub struct Storage {
    store: Arc<dyn Store>,
    delivery: Arc<Delivery>,
}

fn shard(place: &Place) -> Shard {
    Shard::of(&format!("cloudwatch/{}/{}", place.account, place.region))
}

fn writer(kind: &str, place: &Place) -> KeyWriter {
    KeyWriter::new().text(kind).text(&place.account).text(&place.region)
}

fn decode<T: DeserializeOwned>(value: &[u8]) -> Result<T, ApiError> {
    serde_json::from_slice(value).map_err(|e| errors::storage("Reading", &e))
}

fn remember(mut txn: Txn, place: &Place, alarm: &str, history: &[History]) -> Result<Txn, ApiError> {
    let of = || writer(HISTORY, place).text(alarm);
    for item in history {
        let value = serde_json::to_vec(item).map_err(|e| errors::storage("Writing", &e))?;
        let key = of().u64(item.at_ms).u64(u64::from_be_bytes(id::random())).key();
        let old = of().u64(item.at_ms.saturating_sub(limits::ALARM_HISTORY_MS)).key();
        txn = txn.delete_range(SPACE, of().key(), old).put(SPACE, key, value);
    }
    Ok(txn)
}

impl Storage {
    pub fn new(store: Arc<dyn Store>, delivery: Arc<Delivery>) -> Storage {
        Storage { store, delivery }
    }

    pub async fn get<T: DeserializeOwned>(&self, place: &Place, kind: &str, name: &str) -> Result<Option<T>, ApiError> {
        let row = self.store.get(shard(place), SPACE, writer(kind, place).text(name).key()).await;
        row.map_err(|e| errors::storage("Reading", &e))?.map(|row| decode(&row.value)).transpose()
    }

    /// With the token for compare-and-set.
    pub async fn get_row<T: DeserializeOwned>(
        &self,
        place: &Place,
        kind: &str,
        name: &str,
    ) -> Result<Option<(T, Rev)>, ApiError> {
        let row = self.store.get(shard(place), SPACE, writer(kind, place).text(name).key()).await;
        row.map_err(|e| errors::storage("Reading", &e))?.map(|row| Ok((decode(&row.value)?, row.rev))).transpose()
    }

    /// All of a kind, in the order of their names.
    pub async fn list<T: DeserializeOwned>(&self, place: &Place, kind: &str) -> Result<Vec<T>, ApiError> {
        let (mut lo, hi) = writer(kind, place).range();
        let mut found = Vec::new();
        loop {
            let rows = self.store.range(shard(place), SPACE, lo.clone(), hi.clone(), PAGE_ROWS).await;
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
        place: &Place,
        (kind, name): (&str, &str),
        mut change: impl FnMut(Option<T>) -> Result<Option<T>, ApiError> + Send,
    ) -> Result<(), ApiError> {
        let key = writer(kind, place).text(name).key();
        for _ in 0..UPDATE_ATTEMPTS_MAX {
            let row = self.store.get(shard(place), SPACE, key.clone()).await;
            let row = row.map_err(|e| errors::storage("Reading", &e))?;
            let check = match &row {
                Some(row) => Check::RevIs(SPACE, key.clone(), row.rev),
                None => Check::Absent(SPACE, key.clone()),
            };
            let old = row.map(|row| decode(&row.value)).transpose()?;
            let Some(new) = change(old)? else { return Ok(()) };
            let value = serde_json::to_vec(&new).map_err(|e| errors::storage("Writing", &e))?;
            if self.commit(Txn::new(shard(place)).check(check).put(SPACE, key.clone(), value)).await? {
                return Ok(());
            }
        }
        Err(errors::busy())
    }

    /// Puts an alarm that is as it was seen, with what is to be remembered and done of it. Whether it was. What is older
    /// than history is kept goes.
    pub async fn put_alarm(
        &self,
        place: &Place,
        alarm: &Alarm,
        seen: Option<Rev>,
        history: &[History],
        tasks: &[NewTask],
    ) -> Result<bool, ApiError> {
        let key = writer(ALARM, place).text(&alarm.name).key();
        let check = match seen {
            Some(rev) => Check::RevIs(SPACE, key.clone(), rev),
            None => Check::Absent(SPACE, key.clone()),
        };
        let value = serde_json::to_vec(alarm).map_err(|e| errors::storage("Writing", &e))?;
        if value.len() > limits::STORE_VALUE_BYTES_MAX {
            return Err(errors::validation("The alarm is too large"));
        }
        let mut txn = Txn::new(shard(place)).check(check).put(SPACE, key, value);
        txn = remember(txn, place, &alarm.name, history)?;
        let mut wakes = Vec::new();
        for task in tasks {
            let (more, wake) = self.delivery.add(txn, task)?;
            txn = more;
            wakes.push(wake);
        }
        let is_done = self.commit(txn).await?;
        if is_done {
            wakes.into_iter().for_each(cumulet_delivery::Wake::now);
        }
        Ok(is_done)
    }

    pub async fn add_history(&self, place: &Place, alarm: &str, item: &History) -> Result<(), ApiError> {
        let exists = Check::Exists(SPACE, writer(ALARM, place).text(alarm).key());
        let txn = remember(Txn::new(shard(place)).check(exists), place, alarm, std::slice::from_ref(item))?;
        self.commit(txn).await.map(drop)
    }

    /// The history of an alarm, or of all of them, by names and then times: at most as many as are shown.
    pub async fn history(&self, place: &Place, alarm: Option<&str>) -> Result<Vec<(String, History)>, ApiError> {
        let prefix = writer(HISTORY, place);
        let (mut lo, hi) = alarm.map_or(prefix.clone(), |name| prefix.text(name)).range();
        let mut found = Vec::new();
        while found.len() < limits::ALARM_HISTORY_ITEMS_MAX {
            let rows = self.store.range(shard(place), SPACE, lo, hi.clone(), PAGE_ROWS).await;
            let rows = rows.map_err(|e| errors::storage("Listing", &e))?;
            let Some(last) = rows.last() else { break };
            lo = [last.key.as_ref(), &[0]].concat().into();
            for row in &rows {
                let mut key = KeyReader::new(&row.key);
                let name = (0..4).filter_map(|_| key.text()).last().unwrap_or_default();
                found.push((name, decode(&row.value)?));
            }
        }
        Ok(found)
    }

    /// All alarms of all accounts.
    pub async fn everywhere(&self) -> Result<Vec<(Place, String)>, ApiError> {
        let mut found = Vec::new();
        for shard in (0..limits::STORE_SHARDS).map(Shard) {
            let (mut lo, hi) = KeyWriter::new().text(ALARM).range();
            loop {
                let rows = self.store.range(shard, SPACE, lo, hi.clone(), PAGE_ROWS).await;
                let rows = rows.map_err(|e| errors::storage("Listing", &e))?;
                let Some(last) = rows.last() else { break };
                lo = [last.key.as_ref(), &[0]].concat().into();
                for row in &rows {
                    let mut key = KeyReader::new(&row.key);
                    let parts: Vec<String> = (0..4).filter_map(|_| key.text()).collect();
                    if let [_, account, region, name] = &parts[..] {
                        found.push((Place { account: account.clone(), region: region.clone() }, name.clone()));
                    }
                }
            }
        }
        Ok(found)
    }

    /// Alarms go with their history.
    pub async fn delete(&self, place: &Place, kind: &str, names: &[&str]) -> Result<(), ApiError> {
        let mut txn = Txn::new(shard(place));
        for name in names {
            txn = txn.delete(SPACE, writer(kind, place).text(name).key());
            if kind == ALARM {
                let (lo, hi) = writer(HISTORY, place).text(name).range();
                txn = txn.delete_range(SPACE, lo, hi);
            }
        }
        self.commit(txn).await.map(drop)
    }

    /// Whether it was done; otherwise a check failed.
    async fn commit(&self, txn: Txn) -> Result<bool, ApiError> {
        self.store.apply(vec![txn]).await.map_err(|e| errors::storage("Writing", &e))
    }
}
