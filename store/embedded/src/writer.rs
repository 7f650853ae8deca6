//! The one thread that writes. Whatever is queued when an fsync ends shares the next one; nobody is answered, and no
//! watcher woken, before it. Decides nothing about rows: that is `apply`.

use std::collections::HashMap;
use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, OnceLock};

use cumulet_base::limits::{STORE_GROUP_BYTES_MAX, STORE_GROUP_TXNS_MAX};
use cumulet_store::{Error, MultiOutcome, Outcome, Result, Rev, Shard, Txn};
use rusqlite::Connection;
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};

use crate::apply::{self, Applied, AppliedMulti};
use crate::checkpoint::Checkpoints;
use crate::format::{self, Opened};
use crate::ids::Ids;
use crate::{Revs, error};

const DOING: &str = "writing to the store";

pub(crate) enum Job {
    Commit {
        txn: Txn,
        bytes: usize,
        /// Room in the queue, freed with the job.
        #[expect(dead_code)]
        room: OwnedSemaphorePermit,
        reply: oneshot::Sender<Result<Outcome>>,
    },
    CommitMulti {
        txns: Vec<Txn>,
        bytes: usize,
        #[expect(dead_code)]
        room: OwnedSemaphorePermit,
        reply: oneshot::Sender<Result<MultiOutcome>>,
    },
    /// Answers whether there may be more to trim.
    Trim {
        shard: Shard,
        upto: Rev,
        reply: oneshot::Sender<Result<bool>>,
    },
    Close {
        reply: oneshot::Sender<Result<()>>,
    },
    /// Runs inside the batch's transaction.
    #[cfg(test)]
    Inject(Box<dyn Fn(&Connection) + Send>),
}

pub(crate) struct Writer {
    conn: Connection,
    checkpoints: Checkpoints,
    lock: File,
    queue: mpsc::Receiver<Job>,
    ids: Ids,
    /// Durable revisions; a batch works on a copy of those it touches.
    last: HashMap<Shard, Rev>,
    revs: Arc<Revs>,
    stopped: Arc<OnceLock<Error>>,
    closing: Vec<oneshot::Sender<Result<()>>>,
}

/// What a job will be answered once the fsync is over.
enum Done {
    Outcome(Outcome),
    Multi(MultiOutcome),
    Trimmed(bool),
    #[cfg(test)]
    Injected,
}

/// Why a batch was not acknowledged.
struct Failure {
    error: rusqlite::Error,
    /// The commit itself failed: what a later recovery finds is open.
    is_unknown: bool,
}

impl Writer {
    pub(crate) fn new(
        mut opened: Opened,
        queue: mpsc::Receiver<Job>,
        revs: Arc<Revs>,
        stopped: Arc<OnceLock<Error>>,
    ) -> Result<Writer> {
        let checkpoints = Checkpoints::start(&mut opened.conn, &opened.file)
            .map_err(|e| error::sqlite("starting the store's checkpoints", &e))?;
        Ok(Writer {
            conn: opened.conn,
            checkpoints,
            lock: opened.lock,
            queue,
            ids: Ids::default(),
            last: opened.revs.into_iter().collect(),
            revs,
            stopped,
            closing: Vec::new(),
        })
    }

    /// Until the store is closed, dropped, or cannot be written any more.
    pub(crate) fn run(mut self) {
        while let Some(first) = self.queue.blocking_recv() {
            let batch = self.collect(first);
            // A panic drops the batch's replies, which its callers see as an unknown outcome.
            let done = catch_unwind(AssertUnwindSafe(|| self.write(batch)));
            if done.is_err() {
                self.stop(Error::Backend {
                    doing: DOING,
                    reason: "the writer panicked; the store must be opened again".into(),
                });
            }
        }
        self.end();
    }

    fn collect(&mut self, first: Job) -> Vec<Job> {
        let mut batch = Vec::new();
        let mut size = 0;
        let mut next = Some(first);
        while let Some(job) = next {
            match job {
                Job::Close { reply } => {
                    self.queue.close();
                    self.closing.push(reply);
                }
                job => {
                    if let Job::Commit { bytes, .. } | Job::CommitMulti { bytes, .. } = &job {
                        size += bytes;
                    }
                    batch.push(job);
                }
            }
            if batch.len() >= STORE_GROUP_TXNS_MAX || size >= STORE_GROUP_BYTES_MAX {
                break;
            }
            next = self.queue.try_recv().ok();
        }
        batch
    }

    fn write(&mut self, batch: Vec<Job>) {
        if let Some(why) = self.stopped.get() {
            refuse(batch, why);
            return;
        }
        let mut touched = HashMap::new();
        match self.group(&batch, &mut touched) {
            Ok(done) => {
                for (shard, rev) in touched {
                    self.last.insert(shard, rev);
                    self.revs.publish(shard, rev);
                }
                acknowledge(batch, done);
                self.checkpoints.committed(&self.conn);
            }
            Err(failure) => self.fail(failure, batch),
        }
    }

    /// All jobs in one SQLite transaction, each seeing those before it.
    fn group(&mut self, batch: &[Job], touched: &mut HashMap<Shard, Rev>) -> std::result::Result<Vec<Done>, Failure> {
        let done = self.apply(batch, touched).map_err(|error| Failure { error, is_unknown: false })?;
        self.conn
            .prepare_cached("commit")
            .and_then(|mut commit| commit.execute([]))
            .map_err(|error| Failure { error, is_unknown: true })?;
        Ok(done)
    }

    fn apply(&mut self, batch: &[Job], touched: &mut HashMap<Shard, Rev>) -> rusqlite::Result<Vec<Done>> {
        self.conn.prepare_cached("begin immediate")?.execute([])?;
        let done = batch.iter().map(|job| self.job(job, touched)).collect::<rusqlite::Result<_>>()?;
        for (shard, rev) in touched.iter() {
            apply::set_rev(&self.conn, *shard, *rev)?;
        }
        Ok(done)
    }

    fn job(&mut self, job: &Job, touched: &mut HashMap<Shard, Rev>) -> rusqlite::Result<Done> {
        match job {
            Job::Commit { txn, .. } => {
                let last = self.last(touched, txn.shard);
                Ok(Done::Outcome(match apply::commit(&self.conn, &mut self.ids, last, txn)? {
                    Applied::At(rev) => {
                        touched.insert(txn.shard, rev);
                        Outcome::Done(rev)
                    }
                    Applied::Nothing(outcome) => outcome,
                }))
            }
            Job::CommitMulti { txns, .. } => {
                let Writer { conn, ids, last, .. } = self;
                let applied = apply::commit_multi(conn, ids, |shard| latest(last, touched, shard), txns)?;
                Ok(Done::Multi(match applied {
                    AppliedMulti::At(revs) => {
                        touched.extend(txns.iter().map(|txn| txn.shard).zip(revs.iter().copied()));
                        MultiOutcome::Done(revs)
                    }
                    AppliedMulti::Nothing(outcome) => outcome,
                }))
            }
            Job::Trim { shard, upto, .. } => apply::trim(&self.conn, *shard, *upto).map(Done::Trimmed),
            Job::Close { .. } => unreachable!("collect keeps these apart"),
            #[cfg(test)]
            Job::Inject(run) => {
                run(&self.conn);
                Ok(Done::Injected)
            }
        }
    }

    /// A shard's revision as this batch has it so far.
    fn last(&self, touched: &HashMap<Shard, Rev>, shard: Shard) -> Rev {
        latest(&self.last, touched, shard)
    }

    /// Nothing of the batch stays, as far as this process can tell.
    fn fail(&mut self, failure: Failure, batch: Vec<Job>) {
        let why = error::sqlite(DOING, &failure.error);
        tracing::error!(error = %why, transactions = batch.len(), "a group commit failed");
        let undone = self.undo();
        for job in batch {
            match job {
                // A caller who has gone away does not want its answer.
                Job::Commit { reply, .. } if failure.is_unknown => {
                    drop(reply.send(Ok(Outcome::Unknown)));
                }
                Job::CommitMulti { reply, .. } if failure.is_unknown => {
                    drop(reply.send(Ok(MultiOutcome::Unknown)));
                }
                job => refuse([job], &why),
            }
        }
        if undone.is_err() || !error::passes(&failure.error) {
            self.stop(why);
        }
    }

    /// SQLite may have rolled back by itself, and a commit that failed may yet have happened: what the file says is right.
    fn undo(&mut self) -> rusqlite::Result<()> {
        if !self.conn.is_autocommit() {
            self.conn.execute_batch("rollback")?;
        }
        for (shard, rev) in format::revs(&self.conn)? {
            if self.last.insert(shard, rev) != Some(rev) {
                self.revs.publish(shard, rev);
            }
        }
        Ok(())
    }

    /// Later jobs, and those that wait, are refused with the reason.
    fn stop(&mut self, why: Error) {
        tracing::error!(error = %why, "the store takes no more writes");
        // Only the first reason matters; the later ones follow from it.
        let _ = self.stopped.set(why);
        self.queue.close();
    }

    fn end(self) {
        let Writer { conn, lock, closing, stopped, mut checkpoints, .. } = self;
        checkpoints.end();
        let answer = match stopped.get() {
            Some(why) => Err(why.clone()),
            None => checkpoint(conn).map_err(|e| error::sqlite("closing the store", &e)),
        };
        if let Err(error) = &answer {
            tracing::error!(%error, "the store did not close cleanly; its log is read at the next start");
        }
        drop(lock);
        for reply in closing {
            drop(reply.send(answer.clone()));
        }
    }
}

fn latest(durable: &HashMap<Shard, Rev>, touched: &HashMap<Shard, Rev>, shard: Shard) -> Rev {
    touched.get(&shard).or_else(|| durable.get(&shard)).copied().unwrap_or_default()
}

fn checkpoint(conn: Connection) -> rusqlite::Result<()> {
    conn.query_row("pragma wal_checkpoint(truncate)", [], |_| Ok(()))?;
    conn.close().map_err(|(_, error)| error)
}

fn acknowledge(batch: Vec<Job>, done: Vec<Done>) {
    for pair in batch.into_iter().zip(done) {
        match pair {
            (Job::Commit { reply, .. }, Done::Outcome(outcome)) => drop(reply.send(Ok(outcome))),
            (Job::CommitMulti { reply, .. }, Done::Multi(outcome)) => drop(reply.send(Ok(outcome))),
            (Job::Trim { reply, .. }, Done::Trimmed(more)) => drop(reply.send(Ok(more))),
            #[cfg(test)]
            (Job::Inject(_), Done::Injected) => {}
            _ => unreachable!("each job is done in its own way, in order"),
        }
    }
}

fn refuse(batch: impl IntoIterator<Item = Job>, why: &Error) {
    for job in batch {
        match job {
            Job::Commit { reply, .. } => drop(reply.send(Err(why.clone()))),
            Job::CommitMulti { reply, .. } => drop(reply.send(Err(why.clone()))),
            Job::Trim { reply, .. } => drop(reply.send(Err(why.clone()))),
            Job::Close { reply } => drop(reply.send(Err(why.clone()))),
            #[cfg(test)]
            Job::Inject(_) => {}
        }
    }
}
