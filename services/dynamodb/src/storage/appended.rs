//! What is appended in the order of commits: records of streams, and what point-in-time restore needs to undo a change.
//! A long one is cut into pieces that follow one another.

use bytes::Bytes;
use cumulet_base::limits::STORE_VALUE_BYTES_MAX;
use cumulet_store::{Key, Op};
use cumulet_wire::error::ApiError;

use super::{SPACE, Span, Storage, damaged};
use crate::keys::{self, ItemKey};
use crate::value::{Item, decode_item, encode_item};

/// Number of the piece, and how many there are.
const PIECE_HEAD: usize = 2;
const PIECE_BYTES: usize = STORE_VALUE_BYTES_MAX - PIECE_HEAD;
const FORMAT: u8 = 1;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    Insert,
    Modify,
    Remove,
}

impl Event {
    pub fn name(self) -> &'static str {
        match self {
            Event::Insert => "INSERT",
            Event::Modify => "MODIFY",
            Event::Remove => "REMOVE",
        }
    }
}

/// One record of a stream.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    pub event: Event,
    /// Deleted because its time was over, not by a caller.
    pub is_expiry: bool,
    pub at_ms: u64,
    pub keys: Item,
    pub new: Option<Item>,
    pub old: Option<Item>,
}

/// What one item was before a change; `None` where it was not there.
#[derive(Clone, Debug, PartialEq)]
pub struct Undo {
    pub at_ms: u64,
    pub key: ItemKey,
    pub old: Option<Item>,
}

pub fn append_record(ops: &mut Vec<Op>, stream_rows: u64, record: &Record) {
    let event = match record.event {
        Event::Insert => 1,
        Event::Modify => 2,
        Event::Remove => 3,
    };
    let mut bytes = vec![FORMAT, event, u8::from(record.is_expiry)];
    bytes.extend(record.at_ms.to_be_bytes());
    for item in [Some(&record.keys), record.new.as_ref(), record.old.as_ref()] {
        section(&mut bytes, item);
    }
    append(ops, keys::record_prefix(stream_rows), &bytes);
}

pub fn append_undo(ops: &mut Vec<Op>, rows: u64, at_ms: u64, key: &ItemKey, old: Option<&Item>) {
    let mut bytes = vec![FORMAT];
    bytes.extend(at_ms.to_be_bytes());
    bytes.extend((key.0.len() as u32).to_be_bytes());
    bytes.extend(&key.0[..]);
    section(&mut bytes, old);
    append(ops, keys::undo_prefix(rows), &bytes);
}

/// Length, 0 for none, and the item.
fn section(bytes: &mut Vec<u8>, item: Option<&Item>) {
    let mut encoded = Vec::new();
    if let Some(item) = item {
        encode_item(item, &mut encoded);
    }
    bytes.extend((encoded.len() as u32).to_be_bytes());
    bytes.extend(encoded);
}

fn append(ops: &mut Vec<Op>, prefix: Key, bytes: &[u8]) {
    let pieces = bytes.chunks(PIECE_BYTES);
    let count = pieces.len() as u8;
    for (n, piece) in pieces.enumerate() {
        let value = [&[n as u8, count], piece].concat().into();
        ops.push(Op::PutAt { space: SPACE, prefix: prefix.clone(), suffix: Key::new(), value });
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(head)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1).map(|bytes| bytes[0])
    }

    fn u64(&mut self) -> Option<u64> {
        self.take(8)?.try_into().ok().map(u64::from_be_bytes)
    }

    fn sized(&mut self) -> Option<&'a [u8]> {
        let length = self.take(4)?.try_into().ok().map(u32::from_be_bytes)?;
        self.take(length as usize)
    }

    fn item(&mut self) -> Option<Option<Item>> {
        let bytes = self.sized()?;
        if bytes.is_empty() { Some(None) } else { decode_item(bytes).ok().map(Some) }
    }
}

fn record_of(bytes: &[u8]) -> Option<Record> {
    let mut reader = Reader(bytes);
    let FORMAT = reader.byte()? else { return None };
    let event = match reader.byte()? {
        1 => Event::Insert,
        2 => Event::Modify,
        3 => Event::Remove,
        _ => return None,
    };
    let is_expiry = reader.byte()? == 1;
    let at_ms = reader.u64()?;
    Some(Record { event, is_expiry, at_ms, keys: reader.item()??, new: reader.item()?, old: reader.item()? })
}

fn undo_of(bytes: &[u8]) -> Option<Undo> {
    let mut reader = Reader(bytes);
    let FORMAT = reader.byte()? else { return None };
    let at_ms = reader.u64()?;
    let key = ItemKey(Bytes::copy_from_slice(reader.sized()?));
    Some(Undo { at_ms, key, old: reader.item()? })
}

impl Storage {
    /// Records with their sequences, from one on, at most `limit` and about `bytes`.
    pub async fn records(
        &self,
        table_rows: u64,
        stream_rows: u64,
        from: u64,
        limit: u32,
        bytes: usize,
    ) -> Result<Vec<(u64, Record)>, ApiError> {
        let all = self.appended(table_rows, keys::record_prefix(stream_rows), from, limit, bytes).await?;
        let parsed = |(sequence, bytes): (u64, Bytes)| Some((sequence, record_of(&bytes)?));
        all.into_iter().map(|one| parsed(one).ok_or_else(|| damaged("a record of a stream"))).collect()
    }

    pub async fn undos(&self, rows: u64, from: u64, limit: u32) -> Result<Vec<(u64, Undo)>, ApiError> {
        let all = self.appended(rows, keys::undo_prefix(rows), from, limit, usize::MAX).await?;
        let parsed = |(sequence, bytes): (u64, Bytes)| Some((sequence, undo_of(&bytes)?));
        all.into_iter().map(|one| parsed(one).ok_or_else(|| damaged("a change to be undone"))).collect()
    }

    /// The latest changes before a sequence, the latest first.
    pub async fn undos_before(&self, rows: u64, before: u64, limit: u32) -> Result<Vec<(u64, Undo)>, ApiError> {
        let prefix = keys::undo_prefix(rows);
        let hi = if before == u64::MAX { cumulet_store::prefix_end(&prefix) } else { keys::appended(&prefix, before) };
        let mut span = Span { lo: prefix.clone(), hi, is_reverse: true };
        let mut found = Vec::new();
        // Pieces come last first.
        let mut pieces: Vec<Bytes> = Vec::new();
        while found.len() < limit as usize {
            let page = self.raw_page(rows, &span, limit).await?;
            let Some(last) = page.last() else { break };
            span.skip(&last.key);
            for row in page {
                let sequence = keys::sequence(&prefix, &row.key).ok_or_else(|| damaged("a key of a change"))?;
                let is_first = row.value.first() == Some(&0);
                pieces.push(row.value.slice(PIECE_HEAD.min(row.value.len())..));
                if is_first {
                    pieces.reverse();
                    let whole: Vec<u8> = std::mem::take(&mut pieces).concat();
                    found.push((sequence, undo_of(&whole).ok_or_else(|| damaged("a change to be undone"))?));
                    if found.len() >= limit as usize {
                        break;
                    }
                }
            }
        }
        Ok(found)
    }

    /// Moves with every write of a table, its stream's records among them.
    pub fn watch(&self, table_rows: u64) -> tokio::sync::watch::Receiver<cumulet_store::Rev> {
        self.store.watch(super::shard(table_rows))
    }

    /// Forgets what was appended before a sequence.
    pub async fn forget_records(&self, table_rows: u64, stream_rows: u64, before: u64) -> Result<(), ApiError> {
        let prefix = keys::record_prefix(stream_rows);
        let end = keys::appended(&prefix, before);
        self.clear(table_rows, (prefix, end)).await.map(drop)
    }

    pub async fn forget_undos(&self, rows: u64, before: u64) -> Result<(), ApiError> {
        let prefix = keys::undo_prefix(rows);
        let end = keys::appended(&prefix, before);
        self.clear(rows, (prefix, end)).await.map(drop)
    }

    /// The sequence after the last record there ever was in what is kept; 0 where nothing is.
    pub async fn record_end(&self, table_rows: u64, stream_rows: u64) -> Result<u64, ApiError> {
        let prefix = keys::record_prefix(stream_rows);
        let hi = cumulet_store::prefix_end(&prefix);
        let span = Span { lo: prefix.clone(), hi, is_reverse: true };
        let last = self.raw_page(table_rows, &span, 1).await?;
        Ok(last.first().and_then(|row| keys::sequence(&prefix, &row.key)).map_or(0, |last| last + 1))
    }

    async fn appended(
        &self,
        shard_rows: u64,
        prefix: Key,
        from: u64,
        limit: u32,
        bytes_max: usize,
    ) -> Result<Vec<(u64, Bytes)>, ApiError> {
        let hi = cumulet_store::prefix_end(&prefix);
        let mut span = Span { lo: keys::appended(&prefix, from), hi, is_reverse: false };
        let mut found: Vec<(u64, Bytes)> = Vec::new();
        let mut open: Option<(u64, Vec<u8>, u8)> = None;
        let mut size = 0;
        while found.len() < limit as usize && size < bytes_max {
            let page = self.raw_page(shard_rows, &span, limit).await?;
            let Some(last) = page.last() else { break };
            span.skip(&last.key);
            for row in &page {
                if found.len() >= limit as usize || size >= bytes_max {
                    break;
                }
                let sequence = keys::sequence(&prefix, &row.key).ok_or_else(|| damaged("a key of a stream"))?;
                let (&[n, count], piece) =
                    row.value.split_first_chunk::<PIECE_HEAD>().ok_or_else(|| damaged("a piece of a record"))?;
                size += row.value.len();
                // A sequence in the middle of a record is no place to begin.
                match &mut open {
                    _ if n == 0 => open = Some((sequence, piece.to_vec(), count)),
                    Some((_, bytes, _)) => bytes.extend(piece),
                    None => continue,
                }
                if n + 1 == count
                    && let Some((sequence, bytes, _)) = open.take()
                {
                    found.push((sequence, bytes.into()));
                }
            }
        }
        Ok(found)
    }
}
