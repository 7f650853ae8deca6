//! Copies the write-ahead log back into the file on a thread of its own, so that the writer does not stand still for it.
//! The log begins anew only when all of it was copied, which under steady load never happens beside the writer: once the
//! log is long, the writer copies the little that came since the last copy, itself.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use cumulet_base::limits::{STORE_LOG_PAGES, STORE_LOG_PAGES_LONG};
use rusqlite::Connection;

/// What writer and copier know of the log.
#[derive(Default)]
struct Log {
    /// Pages in it after the last commit.
    pages: AtomicU32,
    /// The copier has ended a copy, and the writer has not followed it up.
    is_copied: AtomicBool,
}

/// The writer's side.
pub(crate) struct Checkpoints {
    log: Arc<Log>,
    wake: Option<SyncSender<()>>,
    copier: Option<JoinHandle<()>>,
    /// Pages at which the copier was last woken.
    woken: u32,
}

impl Checkpoints {
    /// # Errors
    /// When the second connection or the thread cannot be had.
    pub(crate) fn start(conn: &mut Connection, file: &Path) -> rusqlite::Result<Checkpoints> {
        let log = Arc::new(Log::default());
        let seen = log.clone();
        conn.wal_hook(Some(move |_: &mut rusqlite::hooks::Wal, pages| {
            seen.pages.store(u32::try_from(pages).unwrap_or_default(), Ordering::Relaxed);
            Ok(())
        }))?;
        let own = Connection::open(file)?;
        own.busy_timeout(std::time::Duration::from_secs(1))?;
        let (wake, woken) = sync_channel(1);
        let told = log.clone();
        let copier =
            std::thread::Builder::new().name("store-checkpoint".into()).spawn(move || copy(&own, &woken, &told));
        let copier = copier.map_err(|e| {
            let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CANTOPEN);
            rusqlite::Error::SqliteFailure(code, Some(format!("starting a thread: {e}")))
        })?;
        Ok(Checkpoints { log, wake: Some(wake), copier: Some(copier), woken: 0 })
    }

    /// After a commit; the time it takes is the writer's.
    pub(crate) fn committed(&mut self, conn: &Connection) {
        let pages = self.log.pages.load(Ordering::Relaxed);
        if pages < self.woken {
            // The log has begun anew.
            self.woken = 0;
        }
        if pages >= self.woken + STORE_LOG_PAGES {
            self.woken = pages;
            if let Some(wake) = &self.wake {
                // Full: it is at it.
                let _at_it = wake.try_send(());
            }
        }
        if pages >= STORE_LOG_PAGES_LONG && self.log.is_copied.swap(false, Ordering::Acquire) {
            report(passive(conn));
        }
    }

    /// Ends the copier.
    pub(crate) fn end(&mut self) {
        self.wake = None;
        if let Some(copier) = self.copier.take() {
            // A copier that panicked left the log as it was.
            let _ended = copier.join();
        }
    }
}

fn copy(conn: &Connection, woken: &Receiver<()>, log: &Log) {
    while woken.recv().is_ok() {
        report(passive(conn));
        log.is_copied.store(true, Ordering::Release);
    }
}

fn passive(conn: &Connection) -> rusqlite::Result<()> {
    conn.query_row("pragma wal_checkpoint(passive)", [], |_| Ok(()))
}

/// The log only grows for it; the next copy takes what this one left.
fn report(copied: rusqlite::Result<()>) {
    if let Err(error) = copied {
        tracing::warn!(%error, "the store's log could not be copied back");
    }
}
