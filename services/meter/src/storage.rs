//! Where records are kept. The only file that knows the store and the layout of its keys (`docs/formats/meter.md`):
//! a row for each invocation, by day and function, so that a day is a range.

use std::sync::Arc;

use cumulet_base::{clock, id};
use cumulet_engine::record::Record;
use cumulet_store::{Check, Error, Key, KeyReader, KeyWriter, Outcome, Read, Rev, Shard, Space, Store, StoreExt, Txn};
use serde::{Deserialize, Serialize};

const SPACE: Space = Space(6);
const FORMAT: u8 = 1;
const UNKNOWN_ATTEMPTS_MAX: usize = 8;
const PAGE_ROWS: u32 = 1000;

#[derive(Serialize, Deserialize)]
struct Row {
    v: u8,
    record: Record,
}

/// What is summed: the usage of one resource on one day.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Used {
    pub account: String,
    pub region: String,
    pub day: String,
    pub service: String,
    pub resource: String,
    pub unit: String,
}

impl Used {
    fn key(&self) -> Key {
        let day = usage_of((&self.account, &self.region), &self.day);
        day.text(&self.service).text(&self.resource).text(&self.unit).key()
    }
}

fn usage_of((account, region): (&str, &str), day: &str) -> KeyWriter {
    KeyWriter::new().text("usage").text(account).text(region).text(day)
}

/// Millionths of the unit; text, because they pass what JSON's readers keep exactly.
#[derive(Serialize, Deserialize)]
struct Sum {
    v: u8,
    micro: String,
}

fn micro_of(value: &[u8]) -> Result<u128, Error> {
    let sum: Sum = serde_json::from_slice(value).map_err(|e| unusable(e.to_string()))?;
    sum.micro.parse().map_err(|_| unusable(format!("a sum of `{}`", sum.micro)))
}

pub struct Storage {
    store: Arc<dyn Store>,
}

fn shard() -> Shard {
    Shard::of("meter")
}

fn prefix(account: &str, region: &str) -> KeyWriter {
    KeyWriter::new().text("record").text(account).text(region)
}

fn key(record: &Record) -> Key {
    prefix(&record.account, &record.region)
        .text(&clock::day(record.started_ms))
        .text(&record.function)
        .u64(record.started_ms)
        .text(&record.request_id)
        .text(&record.instance_id)
        .key()
}

fn unusable(reason: String) -> Error {
    Error::Format(reason)
}

impl Storage {
    pub fn new(store: Arc<dyn Store>) -> Storage {
        Storage { store }
    }

    /// Durable when it returns. A record put twice is there once.
    pub async fn put(&self, records: &[Record]) -> Result<(), Error> {
        let mut txn = Txn::new(shard());
        txn.id = Some(id::random());
        for record in records {
            let row = Row { v: FORMAT, record: record.clone() };
            let value = serde_json::to_vec(&row).map_err(|e| unusable(e.to_string()))?;
            txn = txn.put(SPACE, key(record), value);
        }
        for _ in 0..UNKNOWN_ATTEMPTS_MAX {
            match self.store.commit(txn.clone()).await? {
                Outcome::Done(_) => return Ok(()),
                Outcome::Conflict { .. } => break,
                Outcome::Unknown => {}
            }
        }
        Err(Error::Backend { doing: "writing records", reason: "the end of a commit stayed unknown".to_owned() })
    }

    /// Adds to a sum, once.
    pub async fn add_usage(&self, used: &Used, micro: u128) -> Result<(), Error> {
        let key = used.key();
        for _ in 0..UNKNOWN_ATTEMPTS_MAX {
            let row = self.store.get(shard(), SPACE, key.clone()).await?;
            let (before, rev) = match &row {
                Some(row) => (micro_of(&row.value)?, row.rev),
                None => (0, Rev(0)),
            };
            let sum = Sum { v: FORMAT, micro: (before + micro).to_string() };
            let value = serde_json::to_vec(&sum).map_err(|e| unusable(e.to_string()))?;
            let check = match row {
                Some(_) => Check::RevIs(SPACE, key.clone(), rev),
                None => Check::Absent(SPACE, key.clone()),
            };
            let mut txn = Txn::new(shard()).check(check).put(SPACE, key.clone(), value);
            txn.id = Some(id::random());
            for _ in 0..UNKNOWN_ATTEMPTS_MAX {
                match self.store.commit(txn.clone()).await? {
                    Outcome::Done(_) => return Ok(()),
                    Outcome::Conflict { .. } => break,
                    Outcome::Unknown => {}
                }
            }
        }
        Err(Error::Backend { doing: "adding up usage", reason: "others were always faster".to_owned() })
    }

    /// Service, resource, unit and millionths of it, of one day.
    pub async fn usage(&self, place: (&str, &str), day: &str) -> Result<Vec<(String, String, String, u128)>, Error> {
        let (mut lo, hi) = usage_of(place, day).range();
        let mut found = Vec::new();
        loop {
            let rows = self.store.range(shard(), SPACE, lo, hi.clone(), PAGE_ROWS).await?;
            let Some(last) = rows.last() else { return Ok(found) };
            lo = [&last.key[..], &[0]].concat().into();
            for row in &rows {
                let mut key = KeyReader::new(&row.key);
                let parts: Option<Vec<String>> = (0..7).map(|_| key.text()).collect();
                let mut parts = parts.ok_or_else(|| unusable("a key of usage".to_owned()))?.split_off(4).into_iter();
                let mut part = || parts.next().unwrap_or_default();
                found.push((part(), part(), part(), micro_of(&row.value)?));
            }
        }
    }

    /// Every record of a day, or of one function of it, in the order of functions and time; backwards with `reverse`.
    /// Stops when `take` says no.
    pub async fn of_day(
        &self,
        (account, region): (&str, &str),
        day: &str,
        function: Option<&str>,
        reverse: bool,
        mut take: impl FnMut(Record) -> bool + Send,
    ) -> Result<(), Error> {
        let base = prefix(account, region).text(day);
        let (mut lo, mut hi) = match function {
            Some(name) => base.text(name).range(),
            None => base.range(),
        };
        while lo < hi {
            let read = Read::Range {
                space: SPACE,
                lo: lo.clone(),
                hi: hi.clone(),
                limit: PAGE_ROWS,
                bytes: u32::MAX,
                reverse,
            };
            let (_, mut rows) = self.store.read(shard(), vec![read]).await?;
            let rows = rows.pop().unwrap_or_default();
            let Some(last) = rows.last() else { break };
            if reverse {
                hi = last.key.clone();
            } else {
                let mut next = last.key.to_vec();
                next.push(0);
                lo = next.into();
            }
            for row in &rows {
                let row: Row = serde_json::from_slice(&row.value).map_err(|e| unusable(e.to_string()))?;
                if row.v != FORMAT {
                    return Err(unusable(format!("record of format {}", row.v)));
                }
                if !take(row.record) {
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}
