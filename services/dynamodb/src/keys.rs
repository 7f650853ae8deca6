//! Keys of rows, in the order DynamoDB gives items. A hash key is stood for by 16 bytes of its SHA-256, so that a key of
//! any length fits, segments of a scan are alike in size, and a partition is still one range. Range keys keep their exact
//! order: as they are where they end the key, in groups of eight bytes where something follows (`docs/formats/dynamodb.md`).

use bytes::Bytes;
use cumulet_store::{Key, prefix_end};
use sha2::{Digest, Sha256};

use crate::expression::{KeyCondition, RangeCondition};
use crate::model::KeySchema;
use crate::value::{Item, Value};

/// First byte of every row that belongs to a table, a stream or a backup; records of the service begin with a letter.
const ROWS: u8 = 1;
const DEFINITION: u8 = 1;
const ITEM: u8 = 2;
const PART: u8 = 3;
const ENTRY: u8 = 4;
const EXPIRY: u8 = 5;
const UNDO: u8 = 6;
const COUNTS: u8 = 7;
const CURSOR: u8 = 8;
const RECORD: u8 = 9;

const DIGEST_BYTES: usize = 16;
const GROUP_BYTES: usize = 8;

/// The key of a row.
pub type Row = Key;
pub type Digest16 = [u8; DIGEST_BYTES];

fn of(rows: u64, kind: u8, parts: &[&[u8]]) -> Key {
    let mut key = Vec::with_capacity(10 + parts.iter().map(|part| part.len()).sum::<usize>());
    key.push(ROWS);
    key.extend(rows.to_be_bytes());
    key.push(kind);
    parts.iter().for_each(|part| key.extend(*part));
    key.into()
}

/// Everything of a table, a stream or a backup.
pub fn all(rows: u64) -> (Key, Key) {
    let mut lo = vec![ROWS];
    lo.extend(rows.to_be_bytes());
    let hi = prefix_end(&lo);
    (lo.into(), hi)
}

fn range_of(prefix: Key) -> (Key, Key) {
    let hi = prefix_end(&prefix);
    (prefix, hi)
}

pub fn definition(rows: u64) -> Key {
    of(rows, DEFINITION, &[])
}

pub fn counts(rows: u64) -> Key {
    of(rows, COUNTS, &[])
}

pub fn cursor(rows: u64, index: u16) -> Key {
    of(rows, CURSOR, &[&index.to_be_bytes()])
}

pub fn items(rows: u64) -> (Key, Key) {
    range_of(of(rows, ITEM, &[]))
}

/// The items of one segment of a parallel scan, by the digests of their hash keys.
pub fn segment(rows: u64, segment: u32, total: u32) -> (Key, Key) {
    let (lo, hi) = items(rows);
    cut(lo, hi, segment, total)
}

fn cut(lo: Key, hi: Key, segment: u32, total: u32) -> (Key, Key) {
    let at = |n: u32| -> Key {
        let point = (u128::from(n) << 64) / u128::from(total.max(1));
        [&lo[..], &(point as u64).to_be_bytes()].concat().into()
    };
    let end = if segment + 1 >= total { hi } else { at(segment + 1) };
    let begin = if segment == 0 { lo.clone() } else { at(segment) };
    (begin, end)
}

/// Pieces of a value that is larger than a row.
pub fn parts(rows: u64, head: &Key) -> (Key, Key) {
    range_of(of(rows, PART, &[&digest(head)]))
}

pub fn part(rows: u64, head: &Key, n: u8) -> Key {
    of(rows, PART, &[&digest(head), &[n]])
}

pub fn entries(rows: u64, index: u16) -> (Key, Key) {
    range_of(of(rows, ENTRY, &[&index.to_be_bytes()]))
}

pub fn entries_segment(rows: u64, index: u16, segment: u32, total: u32) -> (Key, Key) {
    let (lo, hi) = entries(rows, index);
    cut(lo, hi, segment, total)
}

pub fn expiries(rows: u64) -> (Key, Key) {
    range_of(of(rows, EXPIRY, &[]))
}

pub fn expiry(rows: u64, second: u64, item: &Digest16) -> Key {
    of(rows, EXPIRY, &[&second.to_be_bytes(), item])
}

pub fn undo_prefix(rows: u64) -> Key {
    of(rows, UNDO, &[])
}

pub fn record_prefix(rows: u64) -> Key {
    of(rows, RECORD, &[])
}

/// A place in what was appended under `prefix`: revision and index of the operation.
pub fn appended(prefix: &Key, sequence: u64) -> Key {
    let (rev, index) = (sequence >> 16, sequence as u16);
    [&prefix[..], &rev.to_be_bytes(), &index.to_be_bytes()].concat().into()
}

/// The reverse of `appended`: 48 bits of revision and 16 of index.
pub fn sequence(prefix: &Key, key: &[u8]) -> Option<u64> {
    let rest = key.strip_prefix(&prefix[..])?;
    let (rev, rest) = rest.split_first_chunk::<8>()?;
    let index = rest.first_chunk::<2>()?;
    Some(u64::from_be_bytes(*rev) << 16 | u64::from(u16::from_be_bytes(*index)))
}

pub fn digest(bytes: &[u8]) -> Digest16 {
    let whole = Sha256::digest(bytes);
    let mut short = [0; DIGEST_BYTES];
    short.copy_from_slice(&whole[..DIGEST_BYTES]);
    short
}

/// Bytes of a key's value in DynamoDB's order: text and bytes as they are, numbers by value.
fn raw(value: &Value) -> Vec<u8> {
    let mut bytes = Vec::new();
    match value {
        Value::S(text) => bytes.extend(text.as_bytes()),
        Value::B(binary) => bytes.extend(&binary[..]),
        Value::N(number) => number.encode_ordered(&mut bytes),
        // Keys were checked against the schema, which knows no other types.
        _ => {}
    }
    bytes
}

/// Groups of eight bytes, each with a ninth that says how many of it count: ordered as the bytes are, and no such key is
/// the beginning of another. A range key of 1024 bytes takes 1161.
fn grouped(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity((bytes.len() / GROUP_BYTES + 1) * (GROUP_BYTES + 1));
    let mut rest = bytes;
    loop {
        let taken = rest.len().min(GROUP_BYTES);
        out.extend(&rest[..taken]);
        out.extend(std::iter::repeat_n(0, GROUP_BYTES - taken));
        rest = &rest[taken..];
        // A full group that is not the last says so; the last may be empty.
        if taken < GROUP_BYTES {
            out.push(taken as u8);
            return out;
        }
        out.push(0xff);
    }
}

/// The digest that stands for a hash key. The type is fixed by the schema and need not be part of it.
fn hash_digest(value: &Value) -> Digest16 {
    digest(&raw(value))
}

/// The key of an item within its table: what follows the kind of the row.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ItemKey(pub Bytes);

impl ItemKey {
    /// `None`: the item lacks a key attribute.
    pub fn of(schema: &KeySchema, item: &Item) -> Option<ItemKey> {
        let mut key = hash_digest(item.get(&schema.hash.name)?).to_vec();
        if let Some(range) = &schema.range {
            key.extend(raw(item.get(&range.name)?));
        }
        Some(ItemKey(key.into()))
    }

    pub fn row(&self, rows: u64) -> Key {
        of(rows, ITEM, &[&self.0])
    }

    pub fn from_row(key: &[u8]) -> Option<ItemKey> {
        Some(ItemKey(Bytes::copy_from_slice(key.get(10..)?)))
    }

    pub fn digest(&self) -> Digest16 {
        digest(&self.0)
    }
}

/// The key of an index entry; `None` where the item lacks one of the index's keys, or has it of another type.
pub fn entry(rows: u64, index: u16, schema: &KeySchema, item: &Item, base: &Digest16) -> Option<Key> {
    let fits = |attribute: &crate::model::KeyAttribute| {
        item.get(&attribute.name).filter(|value| value.type_name() == attribute.kind.name())
    };
    let hash = hash_digest(fits(&schema.hash)?);
    let range = match &schema.range {
        Some(range) => grouped(&raw(fits(range)?)),
        None => Vec::new(),
    };
    Some(of(rows, ENTRY, &[&index.to_be_bytes(), &hash, &range, base]))
}

/// The rows a key condition means, in the table or in one of its indexes.
pub fn condition(rows: u64, index: Option<u16>, condition: &KeyCondition) -> (Key, Key) {
    let hash = hash_digest(&condition.hash);
    let prefix = match index {
        Some(index) => of(rows, ENTRY, &[&index.to_be_bytes(), &hash]),
        None => of(rows, ITEM, &[&hash]),
    };
    let end = prefix_end(&prefix);
    let at = |bytes: &[u8]| -> Key {
        let tail = if index.is_some() { grouped(bytes) } else { bytes.to_vec() };
        [&prefix[..], &tail].concat().into()
    };
    // The first key after all those of one value.
    let after = |bytes: &[u8]| -> Key {
        let key = at(bytes);
        if index.is_some() { prefix_end(&key) } else { [&key[..], &[0]].concat().into() }
    };
    let Some(range) = &condition.range else { return (prefix, end) };
    match range {
        RangeCondition::Equal(v) => (at(&raw(v)), after(&raw(v))),
        RangeCondition::Less(v) => (prefix.clone(), at(&raw(v))),
        RangeCondition::LessOrEqual(v) => (prefix.clone(), after(&raw(v))),
        RangeCondition::Greater(v) => (after(&raw(v)), end),
        RangeCondition::GreaterOrEqual(v) => (at(&raw(v)), end),
        RangeCondition::Between(lo, hi) => (at(&raw(lo)), after(&raw(hi))),
        RangeCondition::BeginsWith(v) => {
            let bytes = raw(v);
            let next = bytes.iter().rposition(|byte| *byte < 0xff).map(|last| {
                let mut next = bytes[..=last].to_vec();
                next[last] += 1;
                next
            });
            (at(&bytes), next.map_or(end, |next| at(&next)))
        }
    }
}

/// The first key after one.
pub fn next(key: &Key) -> Key {
    [&key[..], &[0]].concat().into()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn groups_keep_the_order_and_end_themselves(
            a in prop::collection::vec(prop_oneof![Just(0_u8), Just(0xff), any::<u8>()], 0..20),
            b in prop::collection::vec(prop_oneof![Just(0_u8), Just(0xff), any::<u8>()], 0..20),
        ) {
            prop_assert_eq!(grouped(&a).cmp(&grouped(&b)), a.cmp(&b));
            prop_assert!(a == b || !grouped(&a).starts_with(&grouped(&b)));
        }
    }

    #[test]
    fn the_longest_keys_fit_into_a_row() {
        let longest = grouped(&[0; cumulet_base::limits::TABLE_RANGE_KEY_BYTES_MAX]);
        let entry = of(u64::MAX, ENTRY, &[&[0; 2], &[0; 16], &longest, &[0; 16]]);
        assert!(entry.len() <= cumulet_base::limits::STORE_KEY_BYTES_MAX, "{}", entry.len());
    }

    #[test]
    fn segments_touch_and_cover() {
        for total in [1, 2, 3, 7, 1_000_000] {
            let (lo, hi) = items(5);
            assert_eq!(segment(5, 0, total).0, lo);
            assert_eq!(segment(5, total - 1, total).1, hi);
            for n in 0..total.min(9) - 1 {
                assert_eq!(segment(5, n, total).1, segment(5, n + 1, total).0);
            }
        }
    }

    #[test]
    fn sequences_come_back() {
        let prefix = record_prefix(9);
        let sequence_of = |n| sequence(&prefix, &appended(&prefix, n));
        assert_eq!(sequence_of(7 << 16 | 3), Some(7 << 16 | 3));
    }
}
