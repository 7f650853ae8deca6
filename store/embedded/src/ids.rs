//! The ids of the last transactions of each shard. They are stored in the order of the commits, so that a commit writes to the end of
//! the table; by id, each would have a page of its own. That an id is new, as nearly all are, is seen in memory: a filter
//! of each shard (Bloom, "Space/Time Trade-offs in Hash Coding with Allowable Errors", CACM 1970) tells which may be known.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

use cumulet_base::limits::STORE_IDS_REVS;
use cumulet_store::{Rev, Shard};
use rusqlite::{Connection, OptionalExtension, Result, params};

use crate::apply::int;

/// Forgotten ids are deleted this many revisions at a time, to spare most commits the search.
const SWEEP_REVS: u64 = 256;
/// Sixteen bits for an id: one new id in two thousand is looked for in vain.
const FILTER_BITS: usize = 1 << 17;
const POSITIONS: usize = 7;
const POSITION_BITS: usize = 17;

#[derive(Default)]
pub(crate) struct Ids {
    shards: HashMap<Shard, Seen>,
    hasher: RandomState,
}

/// Those of a shard, in two filters: when one is full, the older one is given up, which by then holds only what is forgotten.
#[derive(Default)]
struct Seen {
    young: Vec<u64>,
    old: Vec<u64>,
    count: u64,
}

type Positions = [usize; POSITIONS];

impl Seen {
    fn may_hold(&self, positions: &Positions) -> bool {
        let holds = |filter: &[u64]| {
            positions.iter().all(|at| filter.get(at / 64).is_some_and(|word| word & (1 << (at % 64)) != 0))
        };
        holds(&self.young) || holds(&self.old)
    }

    fn add(&mut self, positions: &Positions) {
        if self.count == STORE_IDS_REVS {
            self.old = std::mem::take(&mut self.young);
            self.count = 0;
        }
        self.young.resize(FILTER_BITS / 64, 0);
        for at in positions {
            self.young[at / 64] |= 1 << (at % 64);
        }
        self.count += 1;
    }
}

impl Ids {
    fn positions(&self, id: &[u8; 16]) -> Positions {
        let hash = u128::from(self.hasher.hash_one(id)) << 64 | u128::from(self.hasher.hash_one((id, 1)));
        std::array::from_fn(|n| (hash >> (n * POSITION_BITS)) as usize % FILTER_BITS)
    }

    /// What is known of a shard; read from the file when it is first written to.
    fn seen(&mut self, conn: &Connection, shard: Shard) -> Result<&mut Seen> {
        if !self.shards.contains_key(&shard) {
            let mut seen = Seen::default();
            let mut statement = conn.prepare_cached("select id from done where shard = ?1 order by rev")?;
            let mut rows = statement.query([shard.0])?;
            while let Some(row) = rows.next()? {
                if let Some(id) = row.get_ref(0)?.as_blob()?.first_chunk::<16>() {
                    seen.add(&self.positions(id));
                }
            }
            self.shards.insert(shard, seen);
        }
        Ok(self.shards.entry(shard).or_default())
    }

    /// The revision of the commit with this id, if there was one among the last.
    pub(crate) fn committed(&mut self, conn: &Connection, shard: Shard, id: &[u8; 16]) -> Result<Option<Rev>> {
        let positions = self.positions(id);
        if !self.seen(conn, shard)?.may_hold(&positions) {
            return Ok(None);
        }
        conn.prepare_cached("select rev from done where shard = ?1 and id = ?2 order by rev desc limit 1")?
            .query_row(params![shard.0, &id[..]], |row| Ok(Rev(row.get::<_, i64>(0)? as u64)))
            .optional()
    }

    /// Should the commit fail after all, it is looked for in vain.
    pub(crate) fn remember(&mut self, conn: &Connection, shard: Shard, id: &[u8; 16], rev: Rev) -> Result<()> {
        let positions = self.positions(id);
        self.seen(conn, shard)?.add(&positions);
        conn.prepare_cached("insert into done(shard, rev, id) values(?1, ?2, ?3)")?.execute(params![
            shard.0,
            int(rev),
            &id[..]
        ])?;
        if rev.0 > STORE_IDS_REVS && rev.0.is_multiple_of(SWEEP_REVS) {
            conn.prepare_cached("delete from done where shard = ?1 and rev <= ?2")?
                .execute(params![shard.0, int(Rev(rev.0 - STORE_IDS_REVS))])?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn table() -> Connection {
        let conn = Connection::open_in_memory().unwrap();
        conn.execute_batch("create table done(shard, rev, id, primary key(shard, rev)) without rowid").unwrap();
        conn
    }

    fn id(n: u64) -> [u8; 16] {
        u128::from(n).to_be_bytes()
    }

    #[test]
    fn the_last_ids_are_known_also_to_a_new_process_and_hardly_another_is_looked_for() {
        let (conn, shard) = (table(), Shard(3));
        let mut ids = Ids::default();
        let last = 3 * STORE_IDS_REVS + 17;
        for n in 1..=last {
            assert_eq!(ids.committed(&conn, shard, &id(n)).unwrap(), None);
            ids.remember(&conn, shard, &id(n), Rev(n)).unwrap();
        }
        for ids in [&mut ids, &mut Ids::default()] {
            for n in last - STORE_IDS_REVS + 1..=last {
                assert_eq!(ids.committed(&conn, shard, &id(n)).unwrap(), Some(Rev(n)));
            }
            assert_eq!(ids.committed(&conn, shard, &id(1)).unwrap(), None, "forgotten");
            assert_eq!(ids.committed(&conn, Shard(4), &id(last)).unwrap(), None, "of another shard");
            let strangers: Vec<Positions> = (last + 1..last + 10_001).map(|n| ids.positions(&id(n))).collect();
            let seen = ids.seen(&conn, shard).unwrap();
            assert!(strangers.iter().filter(|positions| seen.may_hold(positions)).count() < 50);
        }
    }
}
