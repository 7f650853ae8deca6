//! Read and write units by AWS's rules, how they are told to the caller, and provisioned capacity where it was asked for
//! (<https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/read-write-operations.html>).

use std::sync::{Mutex, PoisonError};

use cumulet_base::limits::TABLE_BURST_S;
use cumulet_wire::error::ApiError;
use serde_json::{Map, Value, json};

use crate::errors;
use crate::model::{Table, Throughput};

const WRITE_BYTES: usize = 1024;
const READ_BYTES: usize = 4096;
const MICRO: u64 = 1_000_000;

/// Units of writing an item of this size; nothing costs less than one.
pub fn write_units(bytes: usize) -> u64 {
    bytes.div_ceil(WRITE_BYTES).max(1) as u64
}

/// How a read is paid: in half units, so that sums are exact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    Eventual,
    Consistent,
    Transactional,
}

impl Reading {
    pub fn of(is_consistent: bool) -> Reading {
        if is_consistent { Reading::Consistent } else { Reading::Eventual }
    }

    pub fn half_units(self, bytes: usize) -> u64 {
        let whole = bytes.div_ceil(READ_BYTES).max(1) as u64;
        match self {
            Reading::Eventual => whole,
            Reading::Consistent => 2 * whole,
            Reading::Transactional => 4 * whole,
        }
    }
}

/// What one call used of one table, in half units.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Used {
    pub read: u64,
    pub write: u64,
    pub index_read: Vec<(u16, u64)>,
    pub index_write: Vec<(u16, u64)>,
}

fn add_to(list: &mut Vec<(u16, u64)>, index: u16, halves: u64) {
    match list.iter_mut().find(|(id, _)| *id == index) {
        Some((_, sum)) => *sum += halves,
        None => list.push((index, halves)),
    }
}

impl Used {
    pub fn reading(halves: u64) -> Used {
        Used { read: halves, ..Used::default() }
    }

    /// `times` is 2 for a transaction, which prepares and commits.
    pub fn writing(change: &crate::change::Change, times: u64) -> Used {
        let mut used = Used { write: 2 * times * change.table_units, ..Used::default() };
        for (index, units) in &change.index_units {
            add_to(&mut used.index_write, *index, 2 * times * units);
        }
        used
    }

    pub fn add(&mut self, other: &Used) {
        self.read += other.read;
        self.write += other.write;
        other.index_read.iter().for_each(|(id, halves)| add_to(&mut self.index_read, *id, *halves));
        other.index_write.iter().for_each(|(id, halves)| add_to(&mut self.index_write, *id, *halves));
    }

    fn sum(list: &[(u16, u64)]) -> u64 {
        list.iter().map(|(_, halves)| halves).sum()
    }

    pub fn read_halves(&self) -> u64 {
        self.read + Used::sum(&self.index_read)
    }

    pub fn write_halves(&self) -> u64 {
        self.write + Used::sum(&self.index_write)
    }
}

/// What the caller wants to be told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Wanted {
    #[default]
    None,
    Total,
    Indexes,
}

impl Wanted {
    pub fn parse(text: Option<&str>) -> Result<Wanted, ApiError> {
        match text {
            None | Some("NONE") => Ok(Wanted::None),
            Some("TOTAL") => Ok(Wanted::Total),
            Some("INDEXES") => Ok(Wanted::Indexes),
            Some(other) => {
                Err(crate::input::enum_error("returnConsumedCapacity", other, &["INDEXES", "TOTAL", "NONE"]))
            }
        }
    }
}

fn number(halves: u64) -> Value {
    json!(halves as f64 / 2.0)
}

/// The member `ConsumedCapacity`; `None` where it was not asked for. `name` is the table as the caller named it.
pub fn told(table: &Table, name: &str, used: &Used, wanted: Wanted, is_split: bool) -> Option<Value> {
    if wanted == Wanted::None {
        return None;
    }
    let mut members = Map::new();
    members.insert("TableName".into(), name.into());
    let split = |members: &mut Map<String, Value>, read: u64, write: u64| {
        if is_split && read > 0 {
            members.insert("ReadCapacityUnits".into(), number(read));
        }
        if is_split && write > 0 {
            members.insert("WriteCapacityUnits".into(), number(write));
        }
        members.insert("CapacityUnits".into(), number(read + write));
    };
    split(&mut members, used.read_halves(), used.write_halves());
    if wanted == Wanted::Indexes {
        let mut of_table = Map::new();
        split(&mut of_table, used.read, used.write);
        members.insert("Table".into(), of_table.into());
        for (member, is_global) in [("GlobalSecondaryIndexes", true), ("LocalSecondaryIndexes", false)] {
            let mut of_indexes = Map::new();
            for index in table.indexes.iter().filter(|index| index.is_global == is_global) {
                let of = |list: &[(u16, u64)]| list.iter().find(|(id, _)| *id == index.id).map_or(0, |(_, n)| *n);
                let (read, write) = (of(&used.index_read), of(&used.index_write));
                if read + write > 0 {
                    let mut one = Map::new();
                    split(&mut one, read, write);
                    of_indexes.insert(index.name.clone(), one.into());
                }
            }
            if !of_indexes.is_empty() {
                members.insert(member.into(), of_indexes.into());
            }
        }
    }
    Some(members.into())
}

/// Provisioned units that are still there, refilled with time.
#[derive(Debug)]
struct Bucket {
    /// Millionths of half units; below zero after a call that took more than was left.
    left: i64,
    at_ms: u64,
    rate: u64,
}

impl Bucket {
    fn refill(&mut self, rate: u64, now_ms: u64) {
        let full = (rate * 2 * TABLE_BURST_S * MICRO) as i64;
        if self.rate != rate {
            *self = Bucket { left: full, at_ms: now_ms, rate };
        }
        let grown = now_ms.saturating_sub(self.at_ms) * rate * 2 * MICRO / 1000;
        self.left = self.left.saturating_add(grown as i64).min(full);
        self.at_ms = now_ms;
    }
}

/// Index, or `None` for the table, and whether it is for writes.
type Which = (Option<u16>, bool);

/// The buckets of one table and its indexes.
#[derive(Debug, Default)]
pub struct Buckets(Mutex<Vec<(Which, Bucket)>>);

impl Buckets {
    /// Refuses where nothing is left. What is taken is settled after the call, when it is known.
    pub fn admit(&self, table: &Table, index: Option<u16>, is_write: bool, now_ms: u64) -> Result<(), ApiError> {
        if !table.is_provisioned {
            return Ok(());
        }
        match index {
            Some(id) if !self.has_left(table, Some(id), is_write, now_ms) => Err(errors::index_throughput()),
            Some(_) => Ok(()),
            None if !self.has_left(table, None, is_write, now_ms) => Err(errors::throughput()),
            // A write also needs room in the global indexes that may have to follow.
            None if is_write
                && !table
                    .indexes
                    .iter()
                    .filter(|i| i.is_global)
                    .all(|i| self.has_left(table, Some(i.id), true, now_ms)) =>
            {
                Err(errors::index_throughput())
            }
            None => Ok(()),
        }
    }

    pub fn settle(&self, table: &Table, used: &Used, now_ms: u64) {
        if !table.is_provisioned {
            return;
        }
        let is_global = |id: u16| table.indexes.iter().any(|index| index.id == id && index.is_global);
        // Local indexes live on the table's own capacity.
        let of_table = |list: &[(u16, u64)]| list.iter().filter(|(id, _)| !is_global(*id)).map(|(_, n)| n).sum::<u64>();
        self.take(table, None, false, used.read + of_table(&used.index_read), now_ms);
        self.take(table, None, true, used.write + of_table(&used.index_write), now_ms);
        for (list, is_write) in [(&used.index_read, false), (&used.index_write, true)] {
            for (id, halves) in list.iter().filter(|(id, _)| is_global(*id)) {
                self.take(table, Some(*id), is_write, *halves, now_ms);
            }
        }
    }

    fn take(&self, table: &Table, index: Option<u16>, is_write: bool, halves: u64, now_ms: u64) {
        if halves > 0 {
            self.with(table, index, is_write, now_ms, |bucket| bucket.left -= (halves * MICRO) as i64);
        }
    }

    fn has_left(&self, table: &Table, index: Option<u16>, is_write: bool, now_ms: u64) -> bool {
        self.with(table, index, is_write, now_ms, |bucket| bucket.left > 0)
    }

    fn with<T>(
        &self,
        table: &Table,
        index: Option<u16>,
        is_write: bool,
        now_ms: u64,
        work: impl FnOnce(&mut Bucket) -> T,
    ) -> T {
        let throughput = match index {
            None => table.throughput,
            Some(id) => {
                let found = table.indexes.iter().find(|index| index.id == id);
                found.and_then(|index| index.throughput).unwrap_or(Throughput::default())
            }
        };
        let rate = if is_write { throughput.write } else { throughput.read };
        let mut buckets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let at = buckets.iter().position(|(which, _)| *which == (index, is_write)).unwrap_or_else(|| {
            buckets.push(((index, is_write), Bucket { left: 0, at_ms: now_ms, rate: u64::MAX }));
            buckets.len() - 1
        });
        let bucket = &mut buckets[at].1;
        bucket.refill(rate, now_ms);
        work(bucket)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_awss() {
        for (bytes, expect) in [(0, 1), (1, 1), (1024, 1), (1025, 2), (400 * 1024, 400)] {
            assert_eq!(write_units(bytes), expect, "{bytes}");
        }
        for (bytes, reading, expect) in [
            (0, Reading::Eventual, 1),
            (4096, Reading::Eventual, 1),
            (4097, Reading::Eventual, 2),
            (4097, Reading::Consistent, 4),
            (1, Reading::Transactional, 4),
        ] {
            assert_eq!(reading.half_units(bytes), expect, "{bytes} {reading:?}");
        }
    }
}
