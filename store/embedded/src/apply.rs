//! One transaction inside the writer's SQLite transaction: its id, its checks, then its changes.
//! All checks come before the first change, so that a conflict leaves no trace and needs no savepoint.

use cumulet_base::limits::STORE_TRIM_ROWS_MAX;
use cumulet_store::{Check, Key, MultiOutcome, Op, Outcome, Rev, Row, Shard, Space, Txn};
use rusqlite::{Connection, OptionalExtension, Result, params};

use crate::ids::Ids;
use crate::readers::{get, row_of};

/// `last` is the shard's revision so far; what was applied has the one after it.
pub(crate) fn commit(conn: &Connection, ids: &mut Ids, last: Rev, txn: &Txn) -> Result<Applied> {
    if let Some(id) = &txn.id
        && let Some(rev) = ids.committed(conn, txn.shard, id)?
    {
        return Ok(Applied::Nothing(Outcome::Done(rev)));
    }
    if let Some((failed, current)) = conflict(conn, txn)? {
        return Ok(Applied::Nothing(Outcome::Conflict { failed, current }));
    }
    write(conn, ids, last, txn, txn.id.as_ref()).map(Applied::At)
}

/// As `commit`, for several shards: every check of every transaction comes before the first change of any.
pub(crate) fn commit_multi(
    conn: &Connection,
    ids: &mut Ids,
    last: impl Fn(Shard) -> Rev,
    txns: &[Txn],
) -> Result<AppliedMulti> {
    let id = txns.first().and_then(|txn| txn.id);
    if let (Some(id), Some(first)) = (&id, txns.first())
        && ids.committed(conn, first.shard, id)?.is_some()
    {
        let revs = txns.iter().map(|txn| Ok(ids.committed(conn, txn.shard, id)?.unwrap_or_default()));
        return Ok(AppliedMulti::Nothing(MultiOutcome::Done(revs.collect::<Result<_>>()?)));
    }
    for (n, txn) in txns.iter().enumerate() {
        if let Some((failed, current)) = conflict(conn, txn)? {
            return Ok(AppliedMulti::Nothing(MultiOutcome::Conflict { txn: n, failed, current }));
        }
    }
    let revs = txns.iter().map(|txn| write(conn, ids, last(txn.shard), txn, id.as_ref()));
    revs.collect::<Result<_>>().map(AppliedMulti::At)
}

/// The first check that does not hold, and the row that stands against it.
fn conflict(conn: &Connection, txn: &Txn) -> Result<Option<(usize, Option<Row>)>> {
    for (failed, check) in txn.checks.iter().enumerate() {
        if let Err(current) = holds(conn, txn.shard, check)? {
            return Ok(Some((failed, current)));
        }
    }
    Ok(None)
}

fn write(conn: &Connection, ids: &mut Ids, last: Rev, txn: &Txn, id: Option<&[u8; 16]>) -> Result<Rev> {
    let rev = Rev(last.0 + 1);
    for (index, op) in txn.ops.iter().enumerate() {
        change(conn, txn.shard, rev, index as u16, op)?;
    }
    if let Some(data) = &txn.log {
        conn.prepare_cached("insert into log(shard, rev, data) values(?1, ?2, ?3)")?.execute(params![
            txn.shard.0,
            int(rev),
            &data[..]
        ])?;
    }
    if let Some(id) = id {
        ids.remember(conn, txn.shard, id, rev)?;
    }
    Ok(rev)
}

pub(crate) enum Applied {
    At(Rev),
    /// Not a byte was changed.
    Nothing(Outcome),
}

pub(crate) enum AppliedMulti {
    At(Vec<Rev>),
    /// Not a byte was changed.
    Nothing(MultiOutcome),
}

pub(crate) fn set_rev(conn: &Connection, shard: Shard, rev: Rev) -> Result<()> {
    conn.prepare_cached("insert into shard(shard, rev) values(?1, ?2) on conflict do update set rev = excluded.rev")?
        .execute(params![shard.0, int(rev)])?;
    Ok(())
}

/// Whether there may be more to forget.
pub(crate) fn trim(conn: &Connection, shard: Shard, upto: Rev) -> Result<bool> {
    let forgotten = conn
        .prepare_cached(
            "delete from log where shard = ?1 and rev in
             (select rev from log where shard = ?1 and rev <= ?2 order by rev limit ?3)",
        )?
        .execute(params![shard.0, int(upto), STORE_TRIM_ROWS_MAX as i64])?;
    Ok(forgotten == STORE_TRIM_ROWS_MAX)
}

/// SQLite's integers are signed; no revision that exists is cut by this.
pub(crate) fn int(rev: Rev) -> i64 {
    i64::try_from(rev.0).unwrap_or(i64::MAX)
}

/// The inner error is the row that stands against the check.
fn holds(conn: &Connection, shard: Shard, check: &Check) -> Result<std::result::Result<(), Option<Row>>> {
    let absent = |row: Option<Row>| row.map_or(Ok(()), |row| Err(Some(row)));
    // Checks mostly hold: only one that does not reads the value.
    let rev_of = |space: Space, key: &Key| rev(conn, shard, space, key);
    Ok(match check {
        Check::Absent(space, key) => match rev_of(*space, key)? {
            None => Ok(()),
            Some(_) => absent(get(conn, shard, *space, key)?),
        },
        Check::Exists(space, key) => rev_of(*space, key)?.map(drop).ok_or(None),
        Check::RevIs(space, key, rev) => match rev_of(*space, key)? {
            Some(found) if found == *rev => Ok(()),
            _ => Err(get(conn, shard, *space, key)?),
        },
        Check::RangeEmpty(space, lo, hi) => absent(first_since(conn, shard, *space, lo, hi, Rev(0))?),
        Check::RangeUnchangedSince(space, lo, hi, since) => absent(first_since(conn, shard, *space, lo, hi, *since)?),
    })
}

fn rev(conn: &Connection, shard: Shard, space: Space, key: &Key) -> Result<Option<Rev>> {
    conn.prepare_cached("select rev from kv where shard = ?1 and space = ?2 and key = ?3")?
        .query_row(params![shard.0, space.0, &key[..]], |row| Ok(Rev(row.get::<_, i64>(0)? as u64)))
        .optional()
}

/// The first row of the range that is newer than a revision; every row is newer than 0.
fn first_since(conn: &Connection, shard: Shard, space: Space, lo: &Key, hi: &Key, since: Rev) -> Result<Option<Row>> {
    conn.prepare_cached(
        "select key, rev, value from kv where shard = ?1 and space = ?2 and key >= ?3 and key < ?4 and rev > ?5
         order by key limit 1",
    )?
    .query_row(params![shard.0, space.0, &lo[..], &hi[..], int(since)], row_of)
    .optional()
}

fn change(conn: &Connection, shard: Shard, rev: Rev, index: u16, op: &Op) -> Result<()> {
    match op {
        Op::Put(space, key, value) => put(conn, shard, *space, key, rev, value),
        Op::PutAt { space, prefix, suffix, value } => {
            let (rev_bytes, index) = (rev.0.to_be_bytes(), index.to_be_bytes());
            let key = [&prefix[..], &rev_bytes, &index, suffix].concat();
            put(conn, shard, *space, &key, rev, value)
        }
        Op::Delete(space, key) => conn
            .prepare_cached("delete from kv where shard = ?1 and space = ?2 and key = ?3")?
            .execute(params![shard.0, space.0, &key[..]])
            .map(drop),
        Op::DeleteRange(space, lo, hi) => conn
            .prepare_cached("delete from kv where shard = ?1 and space = ?2 and key >= ?3 and key < ?4")?
            .execute(params![shard.0, space.0, &lo[..], &hi[..]])
            .map(drop),
    }
}

fn put(conn: &Connection, shard: Shard, space: Space, key: &[u8], rev: Rev, value: &[u8]) -> Result<()> {
    conn.prepare_cached(
        "insert into kv(shard, space, key, rev, value) values(?1, ?2, ?3, ?4, ?5)
         on conflict do update set rev = excluded.rev, value = excluded.value",
    )?
    .execute(params![shard.0, space.0, key, int(rev), value])
    .map(drop)
}
