//! Reads, each at one snapshot of SQLite's, on a bounded number of connections and blocking threads.
//! There is no cache of rows: SQLite's page cache and the operating system's do that.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use cumulet_base::limits::STORE_READERS_MAX;
use cumulet_store::{Change, Error, Key, Read, Result, Rev, Row, Rows, Shard, Space};
use rusqlite::{Connection, OptionalExtension, params};
use tokio::sync::Semaphore;

use crate::apply::int;
use crate::{error, format};

/// Connections are opened when first needed; the one used last is taken first, for its warm cache.
pub(crate) struct Readers {
    file: PathBuf,
    idle: Mutex<Vec<Connection>>,
    permits: Arc<Semaphore>,
}

impl Readers {
    pub(crate) fn new(file: PathBuf) -> Readers {
        Readers { file, idle: Mutex::default(), permits: Arc::new(Semaphore::new(STORE_READERS_MAX)) }
    }

    /// Runs the work inside one read transaction. It begins after the call, and so sees all that was acknowledged before.
    pub(crate) async fn run<T: Send + 'static>(
        self: &Arc<Readers>,
        doing: &'static str,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T> {
        let permit = self.permits.clone().acquire_owned().await;
        let permit = permit.map_err(|_| Error::Closed)?;
        let readers = self.clone();
        let answer = tokio::task::spawn_blocking(move || {
            let answer = readers.with_connection(work);
            drop(permit);
            answer
        });
        match answer.await {
            Ok(answer) => answer.map_err(|e| error::sqlite(doing, &e)),
            Err(lost) => Err(Error::Backend { doing, reason: lost.to_string() }),
        }
    }

    /// Waits for the reads under way and refuses later ones.
    pub(crate) async fn close(&self) {
        let all = self.permits.acquire_many(STORE_READERS_MAX as u32).await;
        self.permits.close();
        self.idle().clear();
        drop(all);
    }

    /// A connection that failed is not used again.
    fn with_connection<T>(&self, work: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> rusqlite::Result<T> {
        let idle = self.idle().pop();
        let conn = match idle {
            Some(conn) => conn,
            None => format::open_reader(&self.file)?,
        };
        conn.prepare_cached("begin")?.execute([])?;
        let answer = work(&conn)?;
        conn.prepare_cached("commit")?.execute([])?;
        self.idle().push(conn);
        Ok(answer)
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(crate) fn rows(conn: &Connection, shard: Shard, reads: &[Read]) -> rusqlite::Result<(Rev, Rows)> {
    let rev = conn
        .prepare_cached("select rev from shard where shard = ?1")?
        .query_row([shard.0], |row| row.get::<_, i64>(0))
        .optional()?
        .unwrap_or(0);
    let rows = reads.iter().map(|read| answer(conn, shard, read));
    Ok((Rev(rev as u64), rows.collect::<rusqlite::Result<_>>()?))
}

pub(crate) fn changes(conn: &Connection, shard: Shard, after: Rev, limit: u32) -> rusqlite::Result<Vec<Change>> {
    conn.prepare_cached("select rev, data from log where shard = ?1 and rev > ?2 order by rev limit ?3")?
        .query_map(params![shard.0, int(after), limit], |row| {
            Ok(Change { rev: Rev(row.get::<_, i64>(0)? as u64), data: bytes_of(row, 1)? })
        })?
        .collect()
}

pub(crate) fn get(conn: &Connection, shard: Shard, space: Space, key: &Key) -> rusqlite::Result<Option<Row>> {
    conn.prepare_cached("select key, rev, value from kv where shard = ?1 and space = ?2 and key = ?3")?
        .query_row(params![shard.0, space.0, &key[..]], row_of)
        .optional()
}

/// Of a statement that selects key, rev, value.
pub(crate) fn row_of(row: &rusqlite::Row<'_>) -> rusqlite::Result<Row> {
    Ok(Row { key: bytes_of(row, 0)?, rev: Rev(row.get::<_, i64>(1)? as u64), value: bytes_of(row, 2)? })
}

fn bytes_of(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<Bytes> {
    Ok(Bytes::copy_from_slice(row.get_ref(column)?.as_blob()?))
}

fn answer(conn: &Connection, shard: Shard, read: &Read) -> rusqlite::Result<Vec<Row>> {
    let (space, lo, hi, limit, bytes, reverse) = match read {
        Read::Get(space, key) => return Ok(get(conn, shard, *space, key)?.into_iter().collect()),
        Read::Range { space, lo, hi, limit, bytes, reverse } => (space, lo, hi, limit, bytes, reverse),
    };
    let mut statement = conn.prepare_cached(if *reverse {
        "select key, rev, value from kv where shard = ?1 and space = ?2 and key >= ?3 and key < ?4
         order by key desc limit ?5"
    } else {
        "select key, rev, value from kv where shard = ?1 and space = ?2 and key >= ?3 and key < ?4
         order by key limit ?5"
    })?;
    let found = statement.query_map(params![shard.0, space.0, &lo[..], &hi[..], limit], row_of)?;
    let mut rows = Vec::new();
    let mut size = 0;
    for row in found {
        let row = row?;
        size += (row.key.len() + row.value.len()) as u64;
        if !rows.is_empty() && size > u64::from(*bytes) {
            break;
        }
        rows.push(row);
    }
    Ok(rows)
}
