//! The directory, its lock, the file's identity and schema. `docs/formats/store.md` is the same in words.
//! A file of version 1, in which ids were in their own order, is brought to version 2 when it is opened.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use cumulet_base::limits::STORE_STATEMENTS_CACHED;
use cumulet_store::{Error, Result, Rev, Shard};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use crate::error;

const FILE: &str = "store.db";
const LOCK: &str = "store.lock";
/// "CMLT", in bytes 68 to 71 of the file.
const APPLICATION_ID: i32 = 0x434d_4c54;
const VERSION: i32 = 2;

/// `rev` stands before `value` so that a check never walks a long value's overflow pages.
const SCHEMA: &str = "
create table shard(shard integer primary key, rev integer not null) strict;
create table kv(shard integer not null, space integer not null, key blob not null, rev integer not null,
  value blob not null, primary key(shard, space, key)) strict, without rowid;
create table log(shard integer not null, rev integer not null, data blob not null,
  primary key(shard, rev)) strict, without rowid;
create table done(shard integer not null, rev integer not null, id blob not null,
  primary key(shard, rev)) strict, without rowid;
";

/// From version 1: the same ids in the order of their commits.
const FROM_1: &str = "
alter table done rename to done_1;
create table done(shard integer not null, rev integer not null, id blob not null,
  primary key(shard, rev)) strict, without rowid;
insert or replace into done(shard, rev, id) select shard, rev, id from done_1;
drop table done_1;
";

/// What the writer starts with.
pub(crate) struct Opened {
    pub conn: Connection,
    pub file: PathBuf,
    /// Held as long as the writer lives.
    pub lock: File,
    pub revs: Vec<(Shard, Rev)>,
}

pub(crate) fn open(dir: &Path) -> Result<Opened> {
    make_directory(dir)?;
    let lock = lock(dir)?;
    let file = dir.join(FILE);
    let is_new = !file.exists();
    let doing = "opening the store's file";
    let mut conn = connect(&file, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE)
        .map_err(|e| error::sqlite(doing, &e))?;
    let identity = identify(&conn, &file).map_err(|e| error::sqlite(doing, &e))?;
    match identity {
        Identity::Empty => create(&mut conn).map_err(|e| error::sqlite("making the store's file", &e))?,
        Identity::Ours => set_up_writer(&conn).map_err(|e| error::sqlite(doing, &e))?,
        Identity::Older => {
            set_up_writer(&conn)
                .and_then(|()| migrate(&mut conn))
                .map_err(|e| error::sqlite("bringing the store's file to this version", &e))?;
        }
        Identity::Refused(why) => return Err(Error::Format(why)),
    }
    if is_new {
        sync_directory(dir)?;
    }
    let revs = revs(&conn).map_err(|e| error::sqlite("reading the shards' revisions", &e))?;
    Ok(Opened { conn, file, lock, revs })
}

/// A connection that cannot write.
pub(crate) fn open_reader(file: &Path) -> rusqlite::Result<Connection> {
    let conn = connect(file, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    conn.execute_batch("pragma cache_size = -4096")?;
    Ok(conn)
}

pub(crate) fn revs(conn: &Connection) -> rusqlite::Result<Vec<(Shard, Rev)>> {
    conn.prepare_cached("select shard, rev from shard")?
        .query_map([], |row| Ok((Shard(row.get::<_, u32>(0)?), Rev(row.get::<_, i64>(1)? as u64))))?
        .collect()
}

enum Identity {
    Empty,
    Ours,
    /// Of version 1.
    Older,
    Refused(String),
}

fn identify(conn: &Connection, file: &Path) -> rusqlite::Result<Identity> {
    let file = file.display();
    let read = || -> rusqlite::Result<(i32, i32, i64)> {
        Ok((
            conn.pragma_query_value(None, "application_id", |row| row.get(0))?,
            conn.pragma_query_value(None, "user_version", |row| row.get(0))?,
            conn.query_row("select count(*) from sqlite_schema", [], |row| row.get(0))?,
        ))
    };
    Ok(match read() {
        Ok((0, 0, 0)) => Identity::Empty,
        Ok((APPLICATION_ID, VERSION, _)) => Identity::Ours,
        Ok((APPLICATION_ID, 1, _)) => Identity::Older,
        Ok((APPLICATION_ID, version, _)) => Identity::Refused(format!(
            "{file} has format version {version}, and this program knows only version {VERSION}"
        )),
        Ok(_) => Identity::Refused(format!("{file} belongs to another program")),
        Err(e) if e.sqlite_error_code() == Some(rusqlite::ErrorCode::NotADatabase) => {
            Identity::Refused(format!("{file} is not a database"))
        }
        Err(e) => return Err(e),
    })
}

/// A row of a table without row numbers that is longer than a quarter of a page has a page of its own for the rest: with
/// SQLite's own 4 KiB most items of tables, messages and small objects would.
const PAGE_BYTES: u32 = 8192;

/// A crash on the way leaves an empty database, which the next start takes for a new one.
fn create(conn: &mut Connection) -> rusqlite::Result<()> {
    conn.pragma_update(None, "page_size", PAGE_BYTES)?;
    set_up_writer(conn)?;
    let txn = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
    txn.execute_batch(SCHEMA)?;
    txn.pragma_update(None, "application_id", APPLICATION_ID)?;
    txn.pragma_update(None, "user_version", VERSION)?;
    txn.commit()
}

/// A crash on the way leaves the file as it was.
fn migrate(conn: &mut Connection) -> rusqlite::Result<()> {
    let txn = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
    txn.execute_batch(FROM_1)?;
    txn.pragma_update(None, "user_version", VERSION)?;
    txn.commit()
}

fn set_up_writer(conn: &Connection) -> rusqlite::Result<()> {
    conn.execute_batch(
        "pragma journal_mode = wal; pragma synchronous = full; pragma cache_size = -16384;
         pragma wal_autocheckpoint = 0; pragma journal_size_limit = 67108864;",
    )
}

fn connect(file: &Path, flags: OpenFlags) -> rusqlite::Result<Connection> {
    let conn = Connection::open_with_flags(file, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    // Only start and end of the file's life lock readers and writer against each other, and briefly.
    conn.busy_timeout(std::time::Duration::from_secs(10))?;
    conn.set_prepared_statement_cache_capacity(STORE_STATEMENTS_CACHED);
    // Otherwise statements are prepared anew when a bound value changes on which a plan might depend, such as a limit.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    Ok(conn)
}

fn make_directory(dir: &Path) -> Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    fs::create_dir_all(dir).map_err(|e| error::io("making the store's directory", &e))?;
    match dir.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => sync_directory(parent),
        _ => Ok(()),
    }
}

/// A name is durable only when its directory is.
fn sync_directory(dir: &Path) -> Result<()> {
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(|e| error::io("writing out the store's directory", &e))
}

/// The operating system frees the lock with the process, however that ends.
fn lock(dir: &Path) -> Result<File> {
    let doing = "locking the store's directory";
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(dir.join(LOCK))
        .map_err(|e| error::io(doing, &e))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            Err(Error::Backend { doing, reason: format!("{} is in use by another process", dir.display()) })
        }
        Err(TryLockError::Error(e)) => Err(error::io(doing, &e)),
    }
}
