//! The contract in its most naive form: every question walks all rows. Shares nothing with any backend.

use std::collections::BTreeMap;

use bytes::Bytes;
use cumulet_store::{Change, Check, Key, MultiOutcome, Op, Outcome, Read, Rev, Row, Rows, Shard, Space, Txn};

#[derive(Default)]
pub struct Model {
    revs: BTreeMap<Shard, Rev>,
    rows: BTreeMap<(Shard, Space, Key), (Rev, Bytes)>,
    log: Vec<(Shard, Change)>,
    ids: BTreeMap<(Shard, [u8; 16]), Rev>,
}

impl Model {
    pub fn rev(&self, shard: Shard) -> Rev {
        self.revs.get(&shard).copied().unwrap_or_default()
    }

    pub fn commit(&mut self, txn: &Txn) -> Outcome {
        let shard = txn.shard;
        if let Some(rev) = txn.id.and_then(|id| self.ids.get(&(shard, id))) {
            return Outcome::Done(*rev);
        }
        match self.conflict(txn) {
            Some((failed, current)) => Outcome::Conflict { failed, current },
            None => Outcome::Done(self.write(txn)),
        }
    }

    pub fn commit_multi(&mut self, txns: &[Txn]) -> MultiOutcome {
        let id = txns[0].id;
        let known = |model: &Model, txn: &Txn| id.and_then(|id| model.ids.get(&(txn.shard, id)).copied());
        if known(self, &txns[0]).is_some() {
            return MultiOutcome::Done(txns.iter().map(|txn| known(self, txn).unwrap_or_default()).collect());
        }
        for (n, txn) in txns.iter().enumerate() {
            if let Some((failed, current)) = self.conflict(txn) {
                return MultiOutcome::Conflict { txn: n, failed, current };
            }
        }
        MultiOutcome::Done(txns.iter().map(|txn| self.write(&Txn { id, ..txn.clone() })).collect())
    }

    fn conflict(&self, txn: &Txn) -> Option<(usize, Option<Row>)> {
        let shard = txn.shard;
        for (failed, check) in txn.checks.iter().enumerate() {
            let (holds, current) = match check {
                Check::Absent(space, key) => {
                    let row = self.get(shard, *space, key);
                    (row.is_none(), row)
                }
                Check::Exists(space, key) => (self.get(shard, *space, key).is_some(), None),
                Check::RevIs(space, key, rev) => {
                    let row = self.get(shard, *space, key);
                    (row.as_ref().is_some_and(|row| row.rev == *rev), row)
                }
                Check::RangeEmpty(space, lo, hi) => {
                    let row = self.range(shard, *space, lo, hi).into_iter().next();
                    (row.is_none(), row)
                }
                Check::RangeUnchangedSince(space, lo, hi, since) => {
                    let mut rows = self.range(shard, *space, lo, hi).into_iter();
                    let row = rows.find(|row| row.rev > *since);
                    (row.is_none(), row)
                }
            };
            if !holds {
                return Some((failed, current));
            }
        }
        None
    }

    fn write(&mut self, txn: &Txn) -> Rev {
        let shard = txn.shard;
        let rev = Rev(self.rev(shard).0 + 1);
        self.revs.insert(shard, rev);
        for (index, op) in txn.ops.iter().enumerate() {
            match op {
                Op::Put(space, key, value) => {
                    let row = (rev, value.clone());
                    self.rows.insert((shard, *space, key.clone()), row);
                }
                Op::PutAt { space, prefix, suffix, value } => {
                    let mut key = prefix.to_vec();
                    key.extend(rev.0.to_be_bytes());
                    key.extend((index as u16).to_be_bytes());
                    key.extend(suffix);
                    let row = (rev, value.clone());
                    self.rows.insert((shard, *space, key.into()), row);
                }
                Op::Delete(space, key) => {
                    self.rows.remove(&(shard, *space, key.clone()));
                }
                Op::DeleteRange(space, lo, hi) => {
                    self.rows.retain(|(s, p, key), _| *s != shard || p != space || key < lo || key >= hi)
                }
            }
        }
        if let Some(data) = txn.log.clone() {
            self.log.push((shard, Change { rev, data }));
        }
        if let Some(id) = txn.id {
            self.ids.insert((shard, id), rev);
        }
        rev
    }

    pub fn read(&self, shard: Shard, reads: &[Read]) -> (Rev, Rows) {
        let answer = |read: &Read| match read {
            Read::Get(space, key) => self.get(shard, *space, key).into_iter().collect(),
            Read::Range { space, lo, hi, limit, bytes, reverse } => {
                let mut rows = self.range(shard, *space, lo, hi);
                if *reverse {
                    rows.reverse();
                }
                rows.truncate(*limit as usize);
                let size = |rows: &[Row]| -> usize { rows.iter().map(|row| row.key.len() + row.value.len()).sum() };
                while rows.len() > 1 && size(&rows) > *bytes as usize {
                    rows.pop();
                }
                rows
            }
        };
        (self.rev(shard), reads.iter().map(answer).collect())
    }

    pub fn changes(&self, shard: Shard, after: Rev, limit: u32) -> Vec<Change> {
        let of_shard = self.log.iter().filter(|(s, _)| *s == shard);
        of_shard.map(|(_, change)| change.clone()).filter(|change| change.rev > after).take(limit as usize).collect()
    }

    pub fn trim(&mut self, shard: Shard, upto: Rev) {
        self.log.retain(|(s, change)| *s != shard || change.rev > upto);
    }

    fn get(&self, shard: Shard, space: Space, key: &Key) -> Option<Row> {
        let (rev, value) = self.rows.get(&(shard, space, key.clone()))?;
        Some(Row { key: key.clone(), value: value.clone(), rev: *rev })
    }

    fn range(&self, shard: Shard, space: Space, lo: &Key, hi: &Key) -> Vec<Row> {
        self.rows
            .iter()
            .filter(|((s, p, key), _)| *s == shard && *p == space && key >= lo && key < hi)
            .map(|((_, _, key), (rev, value))| Row { key: key.clone(), value: value.clone(), rev: *rev })
            .collect()
    }
}
