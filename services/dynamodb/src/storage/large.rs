//! Values that may be larger than a row: the first row says how many pieces follow it, and is the one whose revision counts.

use bytes::Bytes;
use cumulet_base::limits::STORE_VALUE_BYTES_MAX;
use cumulet_store::{Key, Op, Read, Rev, Row};
use cumulet_wire::error::ApiError;

use super::{SPACE, Storage, damaged, reading, shard};
use crate::keys;

/// Bytes of the first row, behind the number of pieces.
const HEAD_BYTES: usize = STORE_VALUE_BYTES_MAX - 1;
/// Large values read at the same time.
const TOGETHER: usize = 16;

pub struct Large {
    pub key: Key,
    pub bytes: Bytes,
    pub rev: Rev,
    pub parts: u8,
}

/// Writes a value, and deletes pieces of the older one that it has no more. Answers how many pieces there are.
pub fn put_large(ops: &mut Vec<Op>, rows: u64, key: &Key, value: &[u8], old_parts: u8) -> u8 {
    let (head, rest) = value.split_at(value.len().min(HEAD_BYTES));
    let pieces = rest.chunks(STORE_VALUE_BYTES_MAX);
    let count = pieces.len() as u8;
    ops.push(Op::Put(SPACE, key.clone(), [&[count], head].concat().into()));
    for (n, piece) in pieces.enumerate() {
        ops.push(Op::Put(SPACE, keys::part(rows, key, n as u8), Bytes::copy_from_slice(piece)));
    }
    ops.extend((count..old_parts).map(|n| Op::Delete(SPACE, keys::part(rows, key, n))));
    count
}

impl Storage {
    /// Values by the keys of their first rows, at one snapshot.
    pub(super) async fn large(&self, rows: u64, heads: Vec<Key>) -> Result<Vec<Option<Large>>, ApiError> {
        let mut with_parts = vec![false; heads.len()];
        loop {
            let mut reads = Vec::with_capacity(heads.len());
            for (key, has_parts) in heads.iter().zip(&with_parts) {
                reads.push(Read::Get(SPACE, key.clone()));
                if *has_parts {
                    let (lo, hi) = keys::parts(rows, key);
                    reads.push(Read::Range { space: SPACE, lo, hi, limit: 256, bytes: u32::MAX, reverse: false });
                }
            }
            let (_, answers) = self.store.read(shard(rows), reads).await.map_err(reading)?;
            let mut answers = answers.into_iter();
            let mut values = Vec::with_capacity(heads.len());
            let mut is_whole = true;
            for has_parts in &mut with_parts {
                let head = answers.next().and_then(|mut rows| rows.pop());
                let pieces = if *has_parts { answers.next().unwrap_or_default() } else { Vec::new() };
                let Some(head) = head else {
                    values.push(None);
                    continue;
                };
                if head.value.first().is_some_and(|parts| *parts > 0) && !*has_parts {
                    *has_parts = true;
                    is_whole = false;
                    values.push(None);
                    continue;
                }
                values.push(Some(joined(head, &pieces)?));
            }
            if is_whole {
                return Ok(values);
            }
        }
    }

    /// Reads the pieces of those rows that have some; a row that is gone meanwhile is left out.
    pub(super) async fn complete(&self, rows: u64, found: Vec<Row>) -> Result<Vec<Large>, ApiError> {
        let is_large = |row: &Row| row.value.first().is_some_and(|parts| *parts > 0);
        let heads: Vec<Key> = found.iter().filter(|row| is_large(row)).map(|row| row.key.clone()).collect();
        let mut values = Vec::with_capacity(found.len());
        let mut larges = Vec::with_capacity(heads.len());
        for some in heads.chunks(TOGETHER) {
            larges.extend(self.large(rows, some.to_vec()).await?);
        }
        let mut larges = larges.into_iter();
        for row in found {
            if is_large(&row) {
                values.extend(larges.next().flatten());
            } else {
                values.push(joined(row, &[])?);
            }
        }
        Ok(values)
    }
}

fn joined(head: Row, pieces: &[Row]) -> Result<Large, ApiError> {
    let parts = *head.value.first().ok_or_else(|| damaged("an empty row"))?;
    if pieces.len() < usize::from(parts) {
        return Err(damaged("pieces of a value are missing"));
    }
    let bytes = if parts == 0 {
        head.value.slice(1..)
    } else {
        let all = pieces.iter().take(usize::from(parts)).map(|piece| &piece.value[..]);
        std::iter::once(&head.value[1..]).chain(all).collect::<Vec<_>>().concat().into()
    };
    Ok(Large { key: head.key, bytes, rev: head.rev, parts })
}
