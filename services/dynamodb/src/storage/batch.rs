//! Changes that are committed together, over as many shards as they need; each check carries what it stands for.

use bytes::Bytes;
use cumulet_base::id;
use cumulet_store::{Check, Key, MultiOutcome, Op, Outcome, Shard, Txn};
use cumulet_wire::error::ApiError;

use super::{SPACE, Storage, UNKNOWN_ATTEMPTS_MAX};
use crate::errors;

/// `G` says what a check guards, so that its failure can be told.
#[derive(Debug)]
pub struct Batch<G> {
    txns: Vec<(Txn, Vec<G>)>,
}

impl<G> Default for Batch<G> {
    fn default() -> Batch<G> {
        Batch { txns: Vec::new() }
    }
}

/// How a batch ended.
#[derive(Debug)]
pub enum Ended<G> {
    Done,
    Conflict { guard: G },
}

impl<G: Clone> Batch<G> {
    fn slot(&mut self, shard: Shard) -> &mut (Txn, Vec<G>) {
        let found = self.txns.iter().position(|(txn, _)| txn.shard == shard);
        let at = found.unwrap_or_else(|| {
            self.txns.push((Txn::new(shard), Vec::new()));
            self.txns.len() - 1
        });
        &mut self.txns[at]
    }

    pub fn at(&mut self, shard: Shard) -> &mut Txn {
        &mut self.slot(shard).0
    }

    pub fn check(&mut self, shard: Shard, check: Check, guard: G) {
        let (txn, guards) = self.slot(shard);
        txn.checks.push(check);
        guards.push(guard);
    }

    pub fn put(&mut self, shard: Shard, key: Key, value: impl Into<Bytes>) {
        self.at(shard).ops.push(Op::Put(SPACE, key, value.into()));
    }

    pub fn delete(&mut self, shard: Shard, key: Key) {
        self.at(shard).ops.push(Op::Delete(SPACE, key));
    }
}

impl Storage {
    /// Durable when it answers `Done`.
    pub async fn commit<G: Clone>(&self, batch: Batch<G>) -> Result<Ended<G>, ApiError> {
        let writing = |error| errors::storage("Writing a table", &error);
        let (mut txns, mut guards): (Vec<Txn>, Vec<Vec<G>>) = batch.txns.into_iter().unzip();
        let Some(first) = txns.first_mut() else { return Ok(Ended::Done) };
        first.id = Some(id::random());
        for _ in 0..UNKNOWN_ATTEMPTS_MAX {
            let (txn, failed) = if txns.len() == 1 {
                match self.store.commit(txns[0].clone()).await.map_err(writing)? {
                    Outcome::Done(_) => return Ok(Ended::Done),
                    Outcome::Conflict { failed, .. } => (0, failed),
                    Outcome::Unknown => continue,
                }
            } else {
                match self.store.commit_multi(txns.clone()).await.map_err(writing)? {
                    MultiOutcome::Done(_) => return Ok(Ended::Done),
                    MultiOutcome::Conflict { txn, failed, .. } => (txn, failed),
                    MultiOutcome::Unknown => continue,
                }
            };
            return Ok(Ended::Conflict { guard: guards.swap_remove(txn).swap_remove(failed) });
        }
        Err(errors::internal("the end of a commit stayed unknown"))
    }
}
