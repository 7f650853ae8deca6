//! The storage contract: an ordered key-value space cut into shards, the unit of atomicity and order.
//!
//! A commit checks, puts and deletes atomically and is durable when it returns. It ends in one of three
//! ways: done, conflict, unknown; an unknown commit is repeated with the same id. Every commit of a shard
//! gets the next revision, without gaps. Long-lived snapshots and interactive transactions are
//! deliberately absent: no backend could keep them cheaply.

mod admit;
mod keys;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::watch;

pub use keys::{KeyReader, KeyWriter, prefix_end};

/// At most [`cumulet_base::limits::STORE_KEY_BYTES_MAX`] bytes, ordered by `memcmp`; the shard is not part of it.
pub type Key = Bytes;

/// The unit of atomicity, order and ownership.
#[derive(Copy, Clone, Debug, Eq, PartialEq, Ord, PartialOrd, Hash)]
pub struct Shard(pub u32);

impl Shard {
    /// The shard of a named thing. Two things may share one: keys must tell them apart.
    pub fn of(name: &str) -> Shard {
        // FNV-1a: stable for ever, because the answer decides where stored rows are looked for.
        let hash =
            name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3));
        Shard((hash % u64::from(cumulet_base::limits::STORE_SHARDS)) as u32)
    }
}

/// A family of keys, kept apart from the others; `docs/formats/spaces.md` is the list.
#[derive(Copy, Clone, Debug, Eq, PartialEq, Ord, PartialOrd, Hash)]
pub struct Space(pub u8);

/// Revision of a shard: 1, 2, 3 … without gaps, one for each commit. 0 is the empty shard.
#[derive(Copy, Clone, Debug, Default, Eq, PartialEq, Ord, PartialOrd, Hash)]
pub struct Rev(pub u64);

/// A stored row; `rev` is that of the commit which wrote it, and the token for compare-and-set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    pub key: Key,
    pub value: Bytes,
    pub rev: Rev,
}

/// What must hold for a transaction to be applied. Ranges are half open: `lo <= key < hi`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Check {
    Absent(Space, Key),
    Exists(Space, Key),
    RevIs(Space, Key, Rev),
    RangeEmpty(Space, Key, Key),
    /// No row of the range was written after the revision. Deletions are not seen.
    RangeUnchangedSince(Space, Key, Key, Rev),
}

/// A change. Later ones of a transaction see and override earlier ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    Put(Space, Key, Bytes),
    /// Puts at `prefix ++ revision (8 bytes, big endian) ++ index of the operation (2 bytes) ++ suffix`: append in commit order.
    PutAt {
        space: Space,
        prefix: Key,
        suffix: Key,
        value: Bytes,
    },
    Delete(Space, Key),
    DeleteRange(Space, Key, Key),
}

/// All of it or none of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Txn {
    pub shard: Shard,
    /// Makes a repetition after [`Outcome::Unknown`] safe: a transaction whose id was committed is not applied again,
    /// and answers with the revision it had.
    pub id: Option<[u8; 16]>,
    pub checks: Vec<Check>,
    pub ops: Vec<Op>,
    /// Goes into the shard's change log under the revision of this commit.
    pub log: Option<Bytes>,
}

impl Txn {
    pub fn new(shard: Shard) -> Txn {
        Txn { shard, id: None, checks: Vec::new(), ops: Vec::new(), log: None }
    }

    #[must_use]
    pub fn check(mut self, check: Check) -> Txn {
        self.checks.push(check);
        self
    }

    #[must_use]
    pub fn put(mut self, space: Space, key: impl Into<Key>, value: impl Into<Bytes>) -> Txn {
        self.ops.push(Op::Put(space, key.into(), value.into()));
        self
    }

    #[must_use]
    pub fn delete(mut self, space: Space, key: impl Into<Key>) -> Txn {
        self.ops.push(Op::Delete(space, key.into()));
        self
    }

    #[must_use]
    pub fn delete_range(mut self, space: Space, lo: impl Into<Key>, hi: impl Into<Key>) -> Txn {
        self.ops.push(Op::DeleteRange(space, lo.into(), hi.into()));
        self
    }

    #[must_use]
    pub fn log(mut self, data: impl Into<Bytes>) -> Txn {
        self.log = Some(data.into());
        self
    }
}

/// How a commit ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Done(Rev),
    /// The check with this index failed; `current` is the row it looked at, where there is one.
    Conflict {
        failed: usize,
        current: Option<Row>,
    },
    /// It may or may not have been applied. Repeat with the same id.
    Unknown,
}

/// How a commit over several shards ended: one end for all of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MultiOutcome {
    /// The revision each shard got, in the order of the transactions.
    Done(Vec<Rev>),
    /// The check `failed` of the transaction `txn` failed; nothing was applied anywhere.
    Conflict { txn: usize, failed: usize, current: Option<Row> },
    /// All or nothing was applied. Repeat with the same id.
    Unknown,
}

/// One question to a snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Read {
    Get(Space, Key),
    /// Rows with `lo <= key < hi`, at most `limit` rows and, after the first, at most `bytes` of keys and values.
    Range {
        space: Space,
        lo: Key,
        hi: Key,
        limit: u32,
        bytes: u32,
        reverse: bool,
    },
}

/// An entry of a shard's change log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    pub rev: Rev,
    pub data: Bytes,
}

/// What a store can hold; larger things are refused as [`Error::TooLarge`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    pub key_bytes: usize,
    pub value_bytes: usize,
    pub txn_ops: usize,
    pub txn_bytes: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        use cumulet_base::limits as l;
        Limits {
            key_bytes: l::STORE_KEY_BYTES_MAX,
            value_bytes: l::STORE_VALUE_BYTES_MAX,
            txn_ops: l::STORE_TXN_OPS_MAX,
            txn_bytes: l::STORE_TXN_BYTES_MAX,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A key, value or transaction passes [`Limits`]; nothing was done.
    #[error("{what} has {size}, more than {max}")]
    TooLarge { what: &'static str, size: usize, max: usize },
    /// A commit over several shards names one twice; nothing was done.
    #[error("shard {0} is named twice")]
    SameShard(u32),
    /// The data is there but not readable by this program: another format version, or damage.
    #[error("the stored data cannot be used: {0}")]
    Format(String),
    /// The backend failed; nothing is known to have been applied by the call.
    #[error("{doing}: {reason}")]
    Backend { doing: &'static str, reason: String },
    /// The store is shutting down.
    #[error("the store is closed")]
    Closed,
}

pub type Result<T> = std::result::Result<T, Error>;

/// Rows answered to each [`Read`] of a call, in the order of the questions.
pub type Rows = Vec<Vec<Row>>;

#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Durable when it returns `Done`. Concurrent calls are grouped by the store itself.
    async fn commit(&self, txn: Txn) -> Result<Outcome>;

    /// Applies the transactions of several shards, each shard named once, together: all of them or none. The limits are those of
    /// one transaction. The id of the first one, if any, stands for all of them,
    /// and is looked for in that one's shard.
    async fn commit_multi(&self, txns: Vec<Txn>) -> Result<MultiOutcome>;

    /// Answers all reads at one snapshot that holds every commit acknowledged before the call.
    async fn read(&self, shard: Shard, reads: Vec<Read>) -> Result<(Rev, Rows)>;

    /// Entries of the change log after a revision, in order and without gaps.
    async fn changes(&self, shard: Shard, after: Rev, limit: u32) -> Result<Vec<Change>>;

    /// Tells that the shard's revision moved. May coalesce, never early.
    fn watch(&self, shard: Shard) -> watch::Receiver<Rev>;

    /// Forgets the change log up to and with a revision.
    async fn trim(&self, shard: Shard, upto: Rev) -> Result<()>;

    /// Writes out what is under way and refuses what comes later.
    async fn close(&self) -> Result<()>;

    fn limits(&self) -> Limits {
        Limits::default()
    }
}

/// Shorthands over [`Store`] that every service uses.
#[async_trait]
pub trait StoreExt: Store {
    async fn get(&self, shard: Shard, space: Space, key: impl Into<Key> + Send) -> Result<Option<Row>> {
        let (_, mut rows) = self.read(shard, vec![Read::Get(space, key.into())]).await?;
        Ok(rows.pop().and_then(|mut found| found.pop()))
    }

    /// One page of a range.
    async fn range(&self, shard: Shard, space: Space, lo: Key, hi: Key, limit: u32) -> Result<Vec<Row>> {
        let read = Read::Range { space, lo, hi, limit, bytes: u32::MAX, reverse: false };
        let (_, mut rows) = self.read(shard, vec![read]).await?;
        Ok(rows.pop().unwrap_or_default())
    }

    /// Applies transactions, of whichever shards, all or none, under an id of their own. Whether that was done; otherwise a
    /// check failed.
    async fn apply(&self, txns: Vec<Txn>) -> Result<bool> {
        let mut by_shard: Vec<Txn> = Vec::with_capacity(txns.len());
        for mut txn in txns {
            match by_shard.iter_mut().find(|other| other.shard == txn.shard) {
                Some(other) => {
                    other.checks.append(&mut txn.checks);
                    other.ops.append(&mut txn.ops);
                }
                None => by_shard.push(txn),
            }
        }
        let Some(first) = by_shard.first_mut() else { return Ok(true) };
        first.id = Some(cumulet_base::id::random());
        for _ in 0..UNKNOWN_ATTEMPTS_MAX {
            let outcome = match by_shard.as_slice() {
                [one] => match self.commit(one.clone()).await? {
                    Outcome::Done(_) => Some(true),
                    Outcome::Conflict { .. } => Some(false),
                    Outcome::Unknown => None,
                },
                several => match self.commit_multi(several.to_vec()).await? {
                    MultiOutcome::Done(_) => Some(true),
                    MultiOutcome::Conflict { .. } => Some(false),
                    MultiOutcome::Unknown => None,
                },
            };
            if let Some(is_done) = outcome {
                return Ok(is_done);
            }
        }
        Err(Error::Backend { doing: "committing", reason: "its end stayed unknown".to_owned() })
    }
}

/// How often a commit is repeated whose end is not known.
const UNKNOWN_ATTEMPTS_MAX: usize = 8;

impl<S: Store + ?Sized> StoreExt for S {}
