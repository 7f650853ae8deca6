//! The storage contract on one machine: a SQLite file, one writer thread that lets many commits share an fsync,
//! and a few reader connections. `docs/formats/store.md` fixes the stored bytes.
//! Deliberately absent: replication, and sharing a directory between processes.

mod apply;
mod checkpoint;
mod error;
mod format;
mod ids;
mod readers;
mod writer;

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::JoinHandle;

use async_trait::async_trait;
use cumulet_base::limits::{STORE_QUEUE_BYTES_MAX, STORE_QUEUE_MAX};
use cumulet_store::{Change, Error, MultiOutcome, Outcome, Read, Result, Rev, Rows, Shard, Store, Txn};
use tokio::sync::{Semaphore, mpsc, oneshot, watch};

use crate::readers::{Readers, Size};
use crate::writer::{Job, Writer};

/// A store in a directory of its own. Dropping it without [`Store::close`] waits for what is under way, too.
pub struct EmbeddedStore {
    /// Taken only by `drop`.
    jobs: Option<mpsc::Sender<Job>>,
    writer: Option<JoinHandle<()>>,
    /// Bytes of transactions that may wait for the writer.
    room: Arc<Semaphore>,
    readers: Arc<Readers>,
    revs: Arc<Revs>,
    stopped: Arc<OnceLock<Error>>,
}

impl EmbeddedStore {
    /// Opens the store of a directory, and makes both where there is none. Blocks for the few file operations this takes.
    ///
    /// # Errors
    /// [`Error::Format`] for a file of another program or another version, [`Error::Backend`] when another process
    /// holds the directory or the file system refuses.
    pub fn open(path: &Path) -> Result<Arc<EmbeddedStore>> {
        let opened = format::open(path)?;
        let revs = Arc::new(Revs::default());
        for (shard, rev) in &opened.revs {
            revs.publish(*shard, *rev);
        }
        let stopped = Arc::new(OnceLock::new());
        let (jobs, queue) = mpsc::channel(STORE_QUEUE_MAX);
        let readers = Arc::new(Readers::new(opened.file.clone()));
        let writer = Writer::new(opened, queue, revs.clone(), stopped.clone())?;
        let writer = std::thread::Builder::new()
            .name("store-writer".into())
            .spawn(move || writer.run())
            .map_err(|e| error::io("starting the store's writer", &e))?;
        Ok(Arc::new(EmbeddedStore {
            jobs: Some(jobs),
            writer: Some(writer),
            room: Arc::new(Semaphore::new(STORE_QUEUE_BYTES_MAX)),
            readers,
            revs,
            stopped,
        }))
    }

    async fn send(&self, job: Job) -> Result<()> {
        let jobs = self.jobs.as_ref().expect("only drop takes the sender");
        jobs.send(job).await.map_err(|_| self.gone())
    }

    /// Why the writer takes nothing more.
    fn gone(&self) -> Error {
        self.stopped.get().cloned().unwrap_or(Error::Closed)
    }
}

#[async_trait]
impl Store for EmbeddedStore {
    async fn commit(&self, txn: Txn) -> Result<Outcome> {
        let bytes = self.limits().admit(&txn)?;
        let room = self.room.clone().acquire_many_owned(bytes as u32).await;
        let room = room.expect("the semaphore is never closed");
        let (reply, answer) = oneshot::channel();
        self.send(Job::Commit { txn, bytes, room, reply }).await?;
        // No answer: the writer died with the transaction in its hands.
        answer.await.unwrap_or(Ok(Outcome::Unknown))
    }

    async fn commit_multi(&self, txns: Vec<Txn>) -> Result<MultiOutcome> {
        let bytes = self.limits().admit_multi(&txns)?;
        let room = self.room.clone().acquire_many_owned(bytes as u32).await;
        let room = room.expect("the semaphore is never closed");
        let (reply, answer) = oneshot::channel();
        self.send(Job::CommitMulti { txns, bytes, room, reply }).await?;
        answer.await.unwrap_or(Ok(MultiOutcome::Unknown))
    }

    async fn read(&self, shard: Shard, reads: Vec<Read>) -> Result<(Rev, Rows)> {
        self.limits().admit_reads(&reads)?;
        let size = Size::of(&reads);
        self.readers.run("reading rows", size, move |conn| readers::rows(conn, shard, &reads)).await
    }

    async fn changes(&self, shard: Shard, after: Rev, limit: u32) -> Result<Vec<Change>> {
        let size = Size::of_rows(limit.into());
        self.readers.run("reading the change log", size, move |conn| readers::changes(conn, shard, after, limit)).await
    }

    fn watch(&self, shard: Shard) -> watch::Receiver<Rev> {
        self.revs.watch(shard)
    }

    async fn trim(&self, shard: Shard, upto: Rev) -> Result<()> {
        loop {
            let (reply, answer) = oneshot::channel();
            self.send(Job::Trim { shard, upto, reply }).await?;
            // A trim is safe to repeat, so that a lost answer need not be told apart from a failure.
            if !answer.await.unwrap_or_else(|_| Err(self.gone()))? {
                return Ok(());
            }
        }
    }

    async fn close(&self) -> Result<()> {
        self.readers.close().await;
        let (reply, answer) = oneshot::channel();
        match self.send(Job::Close { reply }).await {
            Ok(()) => answer.await.unwrap_or_else(|_| Err(self.gone())),
            Err(Error::Closed) => Ok(()),
            Err(stopped) => Err(stopped),
        }
    }
}

impl Drop for EmbeddedStore {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(writer) = self.writer.take() {
            // The writer reports its own panics; the lock on the directory is free when this returns.
            let _ = writer.join();
        }
    }
}

/// The last durable revision of every shard, for those who watch.
#[derive(Default)]
struct Revs(Mutex<HashMap<Shard, watch::Sender<Rev>>>);

impl Revs {
    fn publish(&self, shard: Shard, rev: Rev) {
        self.with(shard, |sender| {
            sender.send_replace(rev);
        });
    }

    fn watch(&self, shard: Shard) -> watch::Receiver<Rev> {
        self.with(shard, |sender| sender.subscribe())
    }

    fn with<T>(&self, shard: Shard, f: impl FnOnce(&watch::Sender<Rev>) -> T) -> T {
        let mut senders = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        f(senders.entry(shard).or_default())
    }
}

#[cfg(test)]
mod tests;
