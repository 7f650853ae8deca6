//! Refuses what no backend could keep, before any backend sees it. Knows sizes only, no stored state.

use crate::{Check, Error, Limits, Op, Read, Result, Txn};

/// Revision and index that [`Op::PutAt`] puts between prefix and suffix.
const PUT_AT_BYTES: usize = 8 + 2;

impl Limits {
    /// The size of a transaction in bytes: its keys, values and log entry.
    ///
    /// # Errors
    /// [`Error::TooLarge`] for the first thing that passes a limit.
    pub fn admit(&self, txn: &Txn) -> Result<usize> {
        within("the transaction's checks", txn.checks.len(), self.txn_ops)?;
        within("the transaction's operations", txn.ops.len(), self.txn_ops)?;
        let mut bytes = 0;
        for check in &txn.checks {
            bytes += match check {
                Check::Absent(_, key) | Check::Exists(_, key) | Check::RevIs(_, key, _) => self.key(key.len())?,
                Check::RangeEmpty(_, lo, hi) | Check::RangeUnchangedSince(_, lo, hi, _) => self.bounds(lo, hi)?,
            };
        }
        for op in &txn.ops {
            bytes += match op {
                Op::Put(_, key, value) => self.key(key.len())? + self.value(value.len())?,
                Op::PutAt { prefix, suffix, value, .. } => {
                    self.key(prefix.len() + PUT_AT_BYTES + suffix.len())? + self.value(value.len())?
                }
                Op::Delete(_, key) => self.key(key.len())?,
                Op::DeleteRange(_, lo, hi) => self.bounds(lo, hi)?,
            };
        }
        if let Some(data) = &txn.log {
            bytes += within("the log entry in bytes", data.len(), self.value_bytes)?;
        }
        within("the transaction in bytes", bytes, self.txn_bytes)
    }

    /// The size of transactions that are applied together, which is held against the limit of one.
    ///
    /// # Errors
    /// [`Error::TooLarge`] for the first thing that passes a limit, [`Error::SameShard`].
    pub fn admit_multi(&self, txns: &[Txn]) -> Result<usize> {
        let mut bytes = 0;
        for (n, txn) in txns.iter().enumerate() {
            if txns[..n].iter().any(|other| other.shard == txn.shard) {
                return Err(Error::SameShard(txn.shard.0));
            }
            bytes += self.admit(txn)?;
        }
        within("the operations", txns.iter().map(|txn| txn.ops.len()).sum(), self.txn_ops)?;
        within("the transactions in bytes", bytes, self.txn_bytes)
    }

    /// # Errors
    /// [`Error::TooLarge`] for the first thing that passes a limit.
    pub fn admit_reads(&self, reads: &[Read]) -> Result<()> {
        within("the list of reads", reads.len(), self.txn_ops)?;
        for read in reads {
            match read {
                Read::Get(_, key) => self.key(key.len())?,
                Read::Range { lo, hi, .. } => self.bounds(lo, hi)?,
            };
        }
        Ok(())
    }

    fn key(&self, bytes: usize) -> Result<usize> {
        within("the key in bytes", bytes, self.key_bytes)
    }

    fn value(&self, bytes: usize) -> Result<usize> {
        within("the value in bytes", bytes, self.value_bytes)
    }

    /// A bound may be a byte longer than a key: the first key after the longest one is itself and a zero byte.
    fn bounds(&self, lo: &[u8], hi: &[u8]) -> Result<usize> {
        let max = self.key_bytes + 1;
        Ok(within("the range's bound in bytes", lo.len(), max)? + within("the range's bound in bytes", hi.len(), max)?)
    }
}

fn within(what: &'static str, size: usize, max: usize) -> Result<usize> {
    if size > max {
        return Err(Error::TooLarge { what, size, max });
    }
    Ok(size)
}
