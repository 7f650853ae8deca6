//! Reads, each at one snapshot of SQLite's, on a bounded number of connections.
//! There is no cache of rows: SQLite's page cache and the operating system's do that. Short reads therefore rarely
//! wait for the disk, and run where they are asked for: handing one to another thread and back costs several times what the
//! read does. When they do wait, the next ones go to blocking threads, as long reads always do.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use bytes::Bytes;
use cumulet_base::limits::{STORE_READ_SHORT_ROWS_MAX, STORE_READ_SLOW_US, STORE_READERS_MAX, STORE_READS_AWAY_MAX};
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
    pace: Pace,
}

impl Readers {
    pub(crate) fn new(file: PathBuf) -> Readers {
        Readers {
            file,
            idle: Mutex::default(),
            permits: Arc::new(Semaphore::new(STORE_READERS_MAX)),
            pace: Pace::default(),
        }
    }

    /// Runs the work inside one read transaction. It begins after the call, and so sees all that was acknowledged before.
    pub(crate) async fn run<T: Send + 'static>(
        self: &Arc<Readers>,
        doing: &'static str,
        size: Size,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T> {
        if size != Size::Long
            && self.pace.is_here()
            && let Ok(_permit) = self.permits.try_acquire()
        {
            let began = Instant::now();
            let answer = self.with_connection(size, work);
            self.pace.took(began.elapsed().as_micros());
            return answer.map_err(|e| error::sqlite(doing, &e));
        }
        let permit = self.permits.clone().acquire_owned().await;
        let permit = permit.map_err(|_| Error::Closed)?;
        let readers = self.clone();
        let answer = tokio::task::spawn_blocking(move || {
            let answer = readers.with_connection(size, work);
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
    fn with_connection<T>(
        &self,
        size: Size,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<T> {
        let idle = self.idle().pop();
        let conn = match idle {
            Some(conn) => conn,
            None => format::open_reader(&self.file)?,
        };
        // A statement alone is a transaction.
        if size != Size::One {
            conn.prepare_cached("begin")?.execute([])?;
        }
        let answer = work(&conn)?;
        if size != Size::One {
            conn.prepare_cached("commit")?.execute([])?;
        }
        self.idle().push(conn);
        Ok(answer)
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether short reads come out of memory, as their times tell: after one that did not, some go to other threads, after the
/// next twice as many.
#[derive(Default)]
struct Pace {
    /// Reads yet to be sent away.
    away: AtomicU32,
    /// How many the last slow one sent away; 0 after a quick one.
    last: AtomicU32,
}

impl Pace {
    fn is_here(&self) -> bool {
        let spend = |away: u32| away.checked_sub(1);
        self.away.fetch_update(Ordering::Relaxed, Ordering::Relaxed, spend).is_err()
    }

    fn took(&self, micros: u128) {
        let last = self.last.load(Ordering::Relaxed);
        let next = if micros < STORE_READ_SLOW_US { 0 } else { (2 * last).clamp(4, STORE_READS_AWAY_MAX) };
        if next != last {
            self.last.store(next, Ordering::Relaxed);
        }
        if next > 0 {
            self.away.store(next, Ordering::Relaxed);
        }
    }
}

const REV: &str = "select rev from shard where shard = ?1";
const GET: &str = "select key, rev, value from kv where shard = ?1 and space = ?2 and key = ?3";
/// A row, if it is there, and its shard's revision.
const ONE: &str = "select key, rev, value, (select rev from shard where shard = ?1)
  from (select 1) left join kv on kv.shard = ?1 and space = ?2 and key = ?3";
const RANGE: &str = "select key, rev, value from kv where shard = ?1 and space = ?2 and key >= ?3 and key < ?4
  order by key limit ?5";
const RANGE_BACK: &str = "select key, rev, value from kv where shard = ?1 and space = ?2 and key >= ?3 and key < ?4
  order by key desc limit ?5";
const CHANGES: &str = "select rev, data from log where shard = ?1 and rev > ?2 order by rev limit ?3";

/// How much a read may have to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Size {
    /// One statement.
    One,
    Short,
    Long,
}

impl Size {
    pub(crate) fn of(reads: &[Read]) -> Size {
        if let [Read::Get(..)] = reads {
            return Size::One;
        }
        let rows = reads.iter().map(|read| match read {
            Read::Get(..) => 1,
            Read::Range { limit, .. } => u64::from(*limit),
        });
        Size::of_rows(rows.sum())
    }

    pub(crate) fn of_rows(count: u64) -> Size {
        if count <= STORE_READ_SHORT_ROWS_MAX { Size::Short } else { Size::Long }
    }
}

pub(crate) fn rows(conn: &Connection, shard: Shard, reads: &[Read]) -> rusqlite::Result<(Rev, Rows)> {
    if let [Read::Get(space, key)] = reads {
        return one(conn, shard, *space, key);
    }
    let rev = conn.prepare_cached(REV)?.query_row([shard.0], |row| row.get::<_, i64>(0)).optional()?.unwrap_or(0);
    let rows = reads.iter().map(|read| answer(conn, shard, read));
    Ok((Rev(rev as u64), rows.collect::<rusqlite::Result<_>>()?))
}

/// A row and its shard's revision, as they are at one time.
fn one(conn: &Connection, shard: Shard, space: Space, key: &Key) -> rusqlite::Result<(Rev, Rows)> {
    conn.prepare_cached(ONE)?.query_row(params![shard.0, space.0, &key[..]], |row| {
        let rev = row.get::<_, Option<i64>>(3)?.unwrap_or(0);
        let found = row.get_ref(0)?.as_blob_or_null()?.map(|_| row_of(row)).transpose()?;
        Ok((Rev(rev as u64), vec![found.into_iter().collect()]))
    })
}

pub(crate) fn changes(conn: &Connection, shard: Shard, after: Rev, limit: u32) -> rusqlite::Result<Vec<Change>> {
    conn.prepare_cached(CHANGES)?
        .query_map(params![shard.0, int(after), limit], |row| {
            Ok(Change { rev: Rev(row.get::<_, i64>(0)? as u64), data: bytes_of(row, 1)? })
        })?
        .collect()
}

pub(crate) fn get(conn: &Connection, shard: Shard, space: Space, key: &Key) -> rusqlite::Result<Option<Row>> {
    conn.prepare_cached(GET)?.query_row(params![shard.0, space.0, &key[..]], row_of).optional()
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
    let mut statement = conn.prepare_cached(if *reverse { RANGE_BACK } else { RANGE })?;
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use rusqlite::StatementStatus;

    use super::*;

    /// Preparing takes longer than all else that a read does.
    #[test]
    fn statements_are_prepared_once_whatever_they_are_asked() {
        let dir = tempfile::tempdir().unwrap();
        let opened = format::open(dir.path()).unwrap();
        let conn = &opened.conn;
        for n in 0..10_u32 {
            let shard = Shard(n);
            crate::apply::set_rev(conn, shard, Rev(n.into())).unwrap();
            let key = Key::from(n.to_string());
            let (space, hi) = (Space(n as u8), Key::from_static(b"z"));
            let get = Read::Get(space, key.clone());
            let range =
                |reverse| Read::Range { space, lo: key.clone(), hi: hi.clone(), limit: n, bytes: u32::MAX, reverse };
            rows(conn, shard, std::slice::from_ref(&get)).unwrap();
            rows(conn, shard, &[get, range(true), range(false)]).unwrap();
            changes(conn, shard, Rev(n.into()), n).unwrap();
            let txn = cumulet_store::Txn::new(shard).put(space, key, vec![b'x'; n as usize]);
            crate::apply::commit(conn, &mut crate::ids::Ids::default(), Rev(0), &txn).unwrap();
        }
        let mut count = 0;
        for sql in [ONE, REV, GET, RANGE, RANGE_BACK, CHANGES] {
            let statement = conn.prepare_cached(sql).unwrap();
            assert!(statement.get_status(StatementStatus::Run) >= 10, "{sql}");
            count += statement.get_status(StatementStatus::RePrepare);
        }
        assert_eq!(count, 0);
    }

    #[test]
    fn slow_reads_send_more_and_more_away_and_a_quick_one_ends_it() {
        let pace = Pace::default();
        assert!(pace.is_here());
        for away in [4, 8, 16] {
            pace.took(STORE_READ_SLOW_US);
            assert_eq!((0..away).filter(|_| pace.is_here()).count(), 0);
            assert!(pace.is_here());
        }
        (0..64).for_each(|_| pace.took(STORE_READ_SLOW_US));
        let sent = std::iter::repeat_with(|| pace.is_here()).take_while(|is_here| !is_here).count();
        assert_eq!(sent, STORE_READS_AWAY_MAX as usize);
        pace.took(0);
        pace.took(STORE_READ_SLOW_US);
        assert_eq!((0..5).filter(|_| pace.is_here()).count(), 1);
    }

    #[test]
    fn a_read_is_as_long_as_the_rows_it_may_answer() {
        let get = || Read::Get(Space(1), Key::from_static(b"k"));
        let range = |limit| Read::Range {
            space: Space(1),
            lo: Key::from_static(b"a"),
            hi: Key::from_static(b"b"),
            limit,
            bytes: u32::MAX,
            reverse: false,
        };
        let max = STORE_READ_SHORT_ROWS_MAX as u32;
        assert_eq!(Size::of(&[get()]), Size::One);
        assert_eq!(Size::of(&[range(1)]), Size::Short);
        assert_eq!(Size::of(&[get(), range(max - 1)]), Size::Short);
        assert_eq!(Size::of(&[get(), range(max)]), Size::Long);
        assert_eq!(Size::of(&[range(u32::MAX), range(u32::MAX)]), Size::Long);
    }
}
