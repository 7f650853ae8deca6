//! The storage contract in memory, for tests: it passes the same conformance suite as the real backends and fails on demand.
//! Nothing outlives the process, and nothing is made to be fast.

mod faults;

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use cumulet_base::limits::STORE_IDS_REVS;
use cumulet_store::{
    Change, Check, Error, Key, MultiOutcome, Op, Outcome, Read, Result, Rev, Row, Rows, Shard, Space, Store, Txn,
};
use tokio::sync::watch;

pub use faults::Faults;
use faults::OnCommit;

/// A store that is gone with the process.
#[derive(Default)]
pub struct MemoryStore {
    state: Mutex<State>,
    faults: Faults,
}

#[derive(Default)]
struct State {
    closed: bool,
    shards: HashMap<Shard, Contents>,
    watches: HashMap<Shard, watch::Sender<Rev>>,
}

#[derive(Default)]
struct Contents {
    rev: Rev,
    rows: BTreeMap<(Space, Key), (Rev, Bytes)>,
    log: BTreeMap<Rev, Bytes>,
    /// Ids of committed transactions, forgotten after [`STORE_IDS_REVS`] as the durable backends do.
    ids: HashMap<[u8; 16], Rev>,
}

impl MemoryStore {
    pub fn new() -> MemoryStore {
        MemoryStore::default()
    }

    /// A store that fails as the handle says; keep a clone of it.
    pub fn with_faults(faults: Faults) -> MemoryStore {
        MemoryStore { faults, ..MemoryStore::default() }
    }

    fn open(&self) -> Result<MutexGuard<'_, State>> {
        let state = self.lock();
        if state.closed {
            return Err(Error::Closed);
        }
        Ok(state)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn commit(&self, txn: Txn) -> Result<Outcome> {
        self.limits().admit(&txn)?;
        let mut state = self.open()?;
        let fault = self.faults.on_commit();
        match fault {
            Some(OnCommit::Lose) => return Ok(Outcome::Unknown),
            Some(OnCommit::Fail) => {
                return Err(Error::Backend { doing: "committing", reason: "a fault was asked for".into() });
            }
            Some(OnCommit::ApplyUnknown) | None => {}
        }
        let shard = txn.shard;
        let outcome = state.shards.entry(shard).or_default().commit(txn);
        if let Outcome::Done(rev) = outcome {
            state.publish(shard, rev);
        }
        Ok(match fault {
            Some(_) => Outcome::Unknown,
            None => outcome,
        })
    }

    async fn commit_multi(&self, txns: Vec<Txn>) -> Result<MultiOutcome> {
        self.limits().admit_multi(&txns)?;
        let mut state = self.open()?;
        let fault = self.faults.on_commit();
        match fault {
            Some(OnCommit::Lose) => return Ok(MultiOutcome::Unknown),
            Some(OnCommit::Fail) => {
                return Err(Error::Backend { doing: "committing", reason: "a fault was asked for".into() });
            }
            Some(OnCommit::ApplyUnknown) | None => {}
        }
        let outcome = state.commit_multi(txns);
        Ok(match fault {
            Some(_) => MultiOutcome::Unknown,
            None => outcome,
        })
    }

    async fn read(&self, shard: Shard, reads: Vec<Read>) -> Result<(Rev, Rows)> {
        self.limits().admit_reads(&reads)?;
        let state = self.open()?;
        self.faults.on_read("reading rows")?;
        let Some(contents) = state.shards.get(&shard) else {
            return Ok((Rev(0), vec![Vec::new(); reads.len()]));
        };
        let rows = reads.iter().map(|read| contents.read(read)).collect();
        Ok((contents.rev, rows))
    }

    async fn changes(&self, shard: Shard, after: Rev, limit: u32) -> Result<Vec<Change>> {
        let state = self.open()?;
        self.faults.on_read("reading the change log")?;
        let Some(contents) = state.shards.get(&shard) else {
            return Ok(Vec::new());
        };
        Ok(contents
            .log
            .range((Bound::Excluded(after), Bound::Unbounded))
            .take(limit as usize)
            .map(|(&rev, data)| Change { rev, data: data.clone() })
            .collect())
    }

    fn watch(&self, shard: Shard) -> watch::Receiver<Rev> {
        let mut state = self.lock();
        let rev = state.shards.get(&shard).map(|c| c.rev).unwrap_or_default();
        state.watches.entry(shard).or_insert_with(|| watch::Sender::new(rev)).subscribe()
    }

    async fn trim(&self, shard: Shard, upto: Rev) -> Result<()> {
        let mut state = self.open()?;
        if let Some(contents) = state.shards.get_mut(&shard) {
            contents.log.retain(|rev, _| *rev > upto);
        }
        Ok(())
    }

    async fn close(&self) -> Result<()> {
        self.lock().closed = true;
        Ok(())
    }
}

impl State {
    fn commit_multi(&mut self, mut txns: Vec<Txn>) -> MultiOutcome {
        let id = txns.first().and_then(|txn| txn.id);
        let known = |state: &State, txn: &Txn| id.and_then(|id| state.shards.get(&txn.shard)?.ids.get(&id).copied());
        if txns.first().is_some_and(|first| known(self, first).is_some()) {
            return MultiOutcome::Done(txns.iter().map(|txn| known(self, txn).unwrap_or_default()).collect());
        }
        for (n, txn) in txns.iter_mut().enumerate() {
            txn.id = id;
            if let Some((failed, current)) = self.shards.entry(txn.shard).or_default().conflict(txn) {
                return MultiOutcome::Conflict { txn: n, failed, current };
            }
        }
        let mut revs = Vec::with_capacity(txns.len());
        for txn in txns {
            let shard = txn.shard;
            let rev = self.shards.entry(shard).or_default().write(txn);
            self.publish(shard, rev);
            revs.push(rev);
        }
        MultiOutcome::Done(revs)
    }

    /// A repeated id answers with an old revision, which is no news.
    fn publish(&self, shard: Shard, rev: Rev) {
        if let Some(watch) = self.watches.get(&shard) {
            watch.send_if_modified(|seen| {
                let news = rev > *seen;
                *seen = (*seen).max(rev);
                news
            });
        }
    }
}

impl Contents {
    fn commit(&mut self, txn: Txn) -> Outcome {
        if let Some(rev) = txn.id.and_then(|id| self.ids.get(&id)) {
            return Outcome::Done(*rev);
        }
        match self.conflict(&txn) {
            Some((failed, current)) => Outcome::Conflict { failed, current },
            None => Outcome::Done(self.write(txn)),
        }
    }

    /// The first check that does not hold, and the row that stands against it.
    fn conflict(&self, txn: &Txn) -> Option<(usize, Option<Row>)> {
        let failed = |(n, check)| self.holds(check).err().map(|current| (n, current));
        txn.checks.iter().enumerate().find_map(failed)
    }

    fn write(&mut self, txn: Txn) -> Rev {
        let rev = Rev(self.rev.0 + 1);
        self.rev = rev;
        for (index, op) in txn.ops.into_iter().enumerate() {
            self.apply(rev, index as u16, op);
        }
        if let Some(data) = txn.log {
            self.log.insert(rev, data);
        }
        if let Some(id) = txn.id {
            self.ids.retain(|_, at| at.0.saturating_add(STORE_IDS_REVS) > rev.0);
            self.ids.insert(id, rev);
        }
        rev
    }

    /// The error is the row that stands against the check.
    fn holds(&self, check: &Check) -> std::result::Result<(), Option<Row>> {
        match check {
            Check::Absent(space, key) => self.get(*space, key).map_or(Ok(()), |row| Err(Some(row))),
            Check::Exists(space, key) => self.get(*space, key).map(drop).ok_or(None),
            Check::RevIs(space, key, rev) => match self.get(*space, key) {
                Some(row) if row.rev == *rev => Ok(()),
                other => Err(other),
            },
            Check::RangeEmpty(space, lo, hi) => self.range(*space, lo, hi).next().map_or(Ok(()), |row| Err(Some(row))),
            Check::RangeUnchangedSince(space, lo, hi, since) => {
                self.range(*space, lo, hi).find(|row| row.rev > *since).map_or(Ok(()), |row| Err(Some(row)))
            }
        }
    }

    fn apply(&mut self, rev: Rev, index: u16, op: Op) {
        match op {
            Op::Put(space, key, value) => {
                self.rows.insert((space, key), (rev, value));
            }
            Op::PutAt { space, prefix, suffix, value } => {
                let key = put_at_key(&prefix, rev, index, &suffix);
                self.rows.insert((space, key), (rev, value));
            }
            Op::Delete(space, key) => {
                self.rows.remove(&(space, key));
            }
            Op::DeleteRange(space, lo, hi) => {
                let gone: Vec<Key> = self.range(space, &lo, &hi).map(|row| row.key).collect();
                for key in gone {
                    self.rows.remove(&(space, key));
                }
            }
        }
    }

    fn read(&self, read: &Read) -> Vec<Row> {
        match read {
            Read::Get(space, key) => self.get(*space, key).into_iter().collect(),
            Read::Range { space, lo, hi, limit, bytes, reverse } => {
                let rows = self.range(*space, lo, hi);
                let mut left = u64::from(*bytes);
                let mut first = true;
                let fits = |row: &Row| {
                    let size = (row.key.len() + row.value.len()) as u64;
                    let fits = first || size <= left;
                    first = false;
                    left = left.saturating_sub(size);
                    fits
                };
                if *reverse {
                    rows.rev().take(*limit as usize).take_while(fits).collect()
                } else {
                    rows.take(*limit as usize).take_while(fits).collect()
                }
            }
        }
    }

    fn get(&self, space: Space, key: &Key) -> Option<Row> {
        let (rev, value) = self.rows.get(&(space, key.clone()))?;
        Some(Row { key: key.clone(), value: value.clone(), rev: *rev })
    }

    fn range(&self, space: Space, lo: &Key, hi: &Key) -> impl DoubleEndedIterator<Item = Row> {
        // `BTreeMap::range` panics on an inverted range; here it is an empty one.
        let hi = hi.max(lo);
        self.rows.range((space, lo.clone())..(space, hi.clone())).map(|((_, key), (rev, value))| Row {
            key: key.clone(),
            value: value.clone(),
            rev: *rev,
        })
    }
}

fn put_at_key(prefix: &[u8], rev: Rev, index: u16, suffix: &[u8]) -> Key {
    [prefix, &rev.0.to_be_bytes(), &index.to_be_bytes(), suffix].concat().into()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use cumulet_store::StoreExt;
    use std::sync::Arc;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn conforms() {
        cumulet_store_conformance::run(|| Arc::new(MemoryStore::new())).await;
    }

    #[tokio::test]
    async fn faults_happen_as_often_as_asked() {
        let faults = Faults::default();
        let store = MemoryStore::with_faults(faults.clone());
        let txn = |key: &'static str| {
            let mut txn = Txn::new(Shard(1)).put(Space(1), key, "v");
            txn.id = Some([key.as_bytes()[0]; 16]);
            txn
        };
        faults.apply_next_as_unknown(1);
        assert_eq!(store.commit(txn("a")).await, Ok(Outcome::Unknown));
        assert_eq!(store.commit(txn("a")).await, Ok(Outcome::Done(Rev(1))));
        faults.lose_next(1);
        assert_eq!(store.commit(txn("b")).await, Ok(Outcome::Unknown));
        assert_eq!(store.get(Shard(1), Space(1), "b").await, Ok(None));
        assert_eq!(store.commit(txn("b")).await, Ok(Outcome::Done(Rev(2))));
        faults.fail_commits(1);
        assert!(matches!(store.commit(txn("c")).await, Err(Error::Backend { .. })));
        faults.fail_reads(2);
        assert!(store.get(Shard(1), Space(1), "a").await.is_err());
        assert!(store.changes(Shard(1), Rev(0), 1).await.is_err());
        assert!(store.get(Shard(1), Space(1), "a").await.unwrap().is_some());
        assert_eq!(store.get(Shard(1), Space(1), "c").await, Ok(None));
    }
}
