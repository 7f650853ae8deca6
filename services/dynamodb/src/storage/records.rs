//! The records of the service beside the rows: which tables there are, their definitions, streams, backups, tokens of
//! transactions, and what is left to be deleted.

use bytes::Bytes;
use cumulet_store::{Check, Key, KeyReader, KeyWriter, Op, Rev, Shard, StoreExt};
use cumulet_wire::error::ApiError;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{Batch, Ended, SPACE, Storage, damaged, put_large, reading, shard};
use crate::errors;
use crate::keys;
use crate::model::{Backup, Export, Place, Stream, Table};

const FORMAT: u8 = 1;
const DUMP_PAGE: u32 = 100;

/// Under a table's name: where its definition is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registered {
    v: u8,
    pub rows: u64,
}

/// A transaction that was carried out under a client's token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Token {
    v: u8,
    digest: String,
    at_ms: u64,
}

/// What the work in the background begins with.
#[derive(Debug, Default)]
pub struct Everything {
    pub tables: Vec<Table>,
    pub backups: Vec<Backup>,
    pub streams: Vec<Stream>,
    pub exports: Vec<Export>,
    /// Rows that were marked to be deleted.
    pub purges: Vec<u64>,
}

/// What the check of a change to the records stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guard {
    Name,
    Definition,
}

/// Where the records of an account and region are.
pub fn registry(account: &str, region: &str) -> Shard {
    Shard::of(&format!("dynamodb/{account}/{region}"))
}

pub(super) fn here(kind: &str, account: &str, region: &str) -> KeyWriter {
    KeyWriter::new().text(kind).text(account).text(region)
}

fn table_key(place: &Place) -> Key {
    here("table", &place.account, &place.region).text(&place.name).key()
}

fn stream_key(stream: &Stream) -> Key {
    here("stream", &stream.place.account, &stream.place.region).text(&stream.place.name).text(&stream.label).key()
}

fn backup_key(account: &str, region: &str, arn: &str) -> Key {
    here("backup", account, region).text(arn).key()
}

pub fn token_key(account: &str, region: &str, token: &str) -> Key {
    here("token", account, region).text(token).key()
}

pub(super) fn encode(value: &impl Serialize) -> Result<Vec<u8>, ApiError> {
    serde_json::to_vec(value).map_err(|e| errors::internal(format!("writing a record: {e}")))
}

pub(super) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    serde_json::from_slice(bytes).map_err(damaged)
}

/// The rows that no table names any more: `purge`, rows, in the shard of the rows.
fn purge_key(rows: u64) -> Key {
    KeyWriter::new().text("purge").u64(rows).key()
}

impl Storage {
    pub async fn registered(&self, place: &Place) -> Result<Option<u64>, ApiError> {
        let shard = registry(&place.account, &place.region);
        let row = self.store.get(shard, SPACE, table_key(place)).await.map_err(reading)?;
        row.map(|row| Ok(decode::<Registered>(&row.value)?.rows)).transpose()
    }

    pub async fn definition(&self, rows: u64) -> Result<Option<(Table, Rev)>, ApiError> {
        let found = self.large(rows, vec![keys::definition(rows)]).await?.pop().flatten();
        found.map(|found| Ok((decode(&found.bytes)?, found.rev))).transpose()
    }

    /// Names in order, after one.
    pub async fn names(
        &self,
        account: &str,
        region: &str,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<String>, ApiError> {
        let all = here("table", account, region);
        let (mut lo, hi) = all.clone().range();
        if let Some(after) = after {
            lo = lo.max(all.text(after).bytes(&[0]).key());
        }
        let rows = self.store.range(registry(account, region), SPACE, lo, hi, limit).await.map_err(reading)?;
        let name = |key: &Key| {
            let mut reader = KeyReader::new(key);
            (0..4).map(|_| reader.text()).last().flatten().ok_or_else(|| damaged("a key of a table"))
        };
        rows.iter().map(|row| name(&row.key)).collect()
    }

    /// Whether the name was free.
    pub async fn create(&self, table: &Table) -> Result<bool, ApiError> {
        let mut batch = Batch::default();
        let at = registry(&table.place.account, &table.place.region);
        batch.check(at, Check::Absent(SPACE, table_key(&table.place)), Guard::Name);
        batch.put(at, table_key(&table.place), encode(&Registered { v: FORMAT, rows: table.rows })?);
        if let Some(stream) = &table.stream {
            batch.put(at, stream_key(stream), encode(stream)?);
        }
        put_large(&mut batch.at(shard(table.rows)).ops, table.rows, &keys::definition(table.rows), &encode(table)?, 0);
        Ok(matches!(self.commit(batch).await?, Ended::Done))
    }

    /// Writes a changed definition, and the streams that begin or end with it; whether nothing had changed meanwhile.
    pub async fn redefine(&self, table: &Table, seen: Rev, streams: &[&Stream]) -> Result<bool, ApiError> {
        let mut batch = Batch::default();
        let key = keys::definition(table.rows);
        batch.check(shard(table.rows), Check::RevIs(SPACE, key.clone(), seen), Guard::Definition);
        // Definitions are small: pieces of a large one that became smaller are cleared whole.
        let (lo, hi) = keys::parts(table.rows, &key);
        batch.at(shard(table.rows)).ops.push(Op::DeleteRange(SPACE, lo, hi));
        put_large(&mut batch.at(shard(table.rows)).ops, table.rows, &key, &encode(table)?, 0);
        for stream in streams {
            let at = registry(&table.place.account, &table.place.region);
            batch.put(at, stream_key(stream), self.stream_record(stream).await?);
        }
        Ok(matches!(self.commit(batch).await?, Ended::Done))
    }

    /// The name is free, nothing is written any more, and the rows will be deleted even after a stop.
    pub async fn drop_table(&self, table: &Table, seen: Rev, stream: Option<&Stream>) -> Result<bool, ApiError> {
        let mut batch = Batch::default();
        let key = keys::definition(table.rows);
        let at = registry(&table.place.account, &table.place.region);
        batch.check(shard(table.rows), Check::RevIs(SPACE, key.clone(), seen), Guard::Definition);
        batch.delete(shard(table.rows), key);
        batch.put(shard(table.rows), purge_key(table.rows), Bytes::new());
        batch.delete(at, table_key(&table.place));
        if let Some(stream) = stream {
            batch.put(at, stream_key(stream), self.stream_record(stream).await?);
        }
        Ok(matches!(self.commit(batch).await?, Ended::Done))
    }

    /// What a table knows of its stream, and what only the stream's record says.
    async fn stream_record(&self, stream: &Stream) -> Result<Vec<u8>, ApiError> {
        let stored = self.stream(&stream.place, &stream.label).await?;
        encode(&Stream { trimmed: stored.map_or(0, |stored| stored.trimmed), ..stream.clone() })
    }

    /// Marks rows to be deleted, of a backup or a stream.
    pub async fn drop_backup(&self, backup: &Backup) -> Result<(), ApiError> {
        let place = &backup.table.place;
        let mut batch = Batch::<()>::default();
        batch.delete(registry(&place.account, &place.region), backup_key(&place.account, &place.region, &backup.arn));
        batch.put(shard(backup.rows), purge_key(backup.rows), Bytes::new());
        self.commit(batch).await.map(drop)
    }

    /// Deletes rows that were marked.
    pub async fn purge(&self, rows: u64) -> Result<(), ApiError> {
        self.clear(rows, keys::all(rows)).await?;
        let mut batch = Batch::<()>::default();
        batch.delete(shard(rows), purge_key(rows));
        self.commit(batch).await.map(drop)
    }

    /// Everything there is, of all accounts and regions. Looks into every shard: once, at the start.
    pub async fn everything(&self) -> Result<Everything, ApiError> {
        let mut found = Everything::default();
        for n in 0..cumulet_base::limits::STORE_SHARDS {
            let shard = Shard(n);
            for bytes in self.dump(shard, KeyWriter::new().text("table")).await? {
                found.tables.extend(self.definition(decode::<Registered>(&bytes)?.rows).await?.map(|(table, _)| table));
            }
            for bytes in self.dump(shard, KeyWriter::new().text("backup")).await? {
                found.backups.push(self.backup_of(&bytes).await?);
            }
            for bytes in self.dump(shard, KeyWriter::new().text("stream")).await? {
                found.streams.push(decode(&bytes)?);
            }
            for bytes in self.dump(shard, KeyWriter::new().text("export")).await? {
                found.exports.push(decode(&bytes)?);
            }
            let (lo, hi) = KeyWriter::new().text("purge").range();
            let rows = self.store.range(shard, SPACE, lo, hi, u32::MAX).await.map_err(reading)?;
            found.purges.extend(rows.iter().filter_map(|row| {
                let mut reader = KeyReader::new(&row.key);
                reader.text()?;
                reader.u64()
            }));
        }
        Ok(found)
    }

    pub(super) async fn dump(&self, shard: Shard, prefix: KeyWriter) -> Result<Vec<Bytes>, ApiError> {
        let (mut lo, hi) = prefix.range();
        let mut values = Vec::new();
        loop {
            let rows = self.store.range(shard, SPACE, lo.clone(), hi.clone(), DUMP_PAGE).await.map_err(reading)?;
            let Some(last) = rows.last() else { return Ok(values) };
            lo = keys::next(&last.key);
            values.extend(rows.into_iter().map(|row| row.value));
        }
    }

    /// Streams of an account and region in the order of tables and labels, or of one table.
    pub async fn streams(&self, account: &str, region: &str, table: Option<&str>) -> Result<Vec<Stream>, ApiError> {
        let all = here("stream", account, region);
        let prefix = match table {
            Some(name) => all.text(name),
            None => all,
        };
        let values = self.dump(registry(account, region), prefix).await?;
        values.iter().map(|bytes| decode(bytes)).collect()
    }

    pub async fn stream(&self, place: &Place, label: &str) -> Result<Option<Stream>, ApiError> {
        let key = here("stream", &place.account, &place.region).text(&place.name).text(label).key();
        let row = self.store.get(registry(&place.account, &place.region), SPACE, key).await.map_err(reading)?;
        row.map(|row| decode(&row.value)).transpose()
    }

    /// Says from where on records are kept, whatever else was said of the stream meanwhile.
    pub async fn trim_stream(&self, stream: &Stream, trimmed: u64) -> Result<(), ApiError> {
        let at = registry(&stream.place.account, &stream.place.region);
        let key = stream_key(stream);
        for _ in 0..cumulet_base::limits::TABLE_WRITE_TRIES {
            let Some(row) = self.store.get(at, SPACE, key.clone()).await.map_err(reading)? else { return Ok(()) };
            let stored: Stream = decode(&row.value)?;
            let mut batch = Batch::default();
            batch.check(at, Check::RevIs(SPACE, key.clone(), row.rev), Guard::Definition);
            batch.put(at, key.clone(), encode(&Stream { trimmed, ..stored })?);
            if let Ended::Done = self.commit(batch).await? {
                return Ok(());
            }
        }
        Err(errors::internal("the stream is being changed by too many at once"))
    }

    /// Forgets a stream whose records are gone.
    pub async fn forget_stream(&self, stream: &Stream) -> Result<(), ApiError> {
        let mut batch = Batch::<()>::default();
        batch.delete(registry(&stream.place.account, &stream.place.region), stream_key(stream));
        self.commit(batch).await.map(drop)
    }

    /// The definition inside may be large: the record names the rows, and they hold it.
    pub async fn put_backup(&self, backup: &Backup) -> Result<(), ApiError> {
        let place = &backup.table.place;
        let mut batch = Batch::<()>::default();
        let key = backup_key(&place.account, &place.region, &backup.arn);
        batch.put(registry(&place.account, &place.region), key, encode(&Registered { v: FORMAT, rows: backup.rows })?);
        let definition = keys::definition(backup.rows);
        let (lo, hi) = keys::parts(backup.rows, &definition);
        let ops = &mut batch.at(shard(backup.rows)).ops;
        ops.push(Op::DeleteRange(SPACE, lo, hi));
        put_large(ops, backup.rows, &definition, &encode(backup)?, 0);
        self.commit(batch).await.map(drop)
    }

    async fn backup_of(&self, registered: &[u8]) -> Result<Backup, ApiError> {
        let rows = decode::<Registered>(registered)?.rows;
        let found = self.large(rows, vec![keys::definition(rows)]).await?.pop().flatten();
        decode(&found.ok_or_else(|| damaged("a backup without its definition"))?.bytes)
    }

    pub async fn backup(&self, account: &str, region: &str, arn: &str) -> Result<Option<Backup>, ApiError> {
        let key = backup_key(account, region, arn);
        match self.store.get(registry(account, region), SPACE, key).await.map_err(reading)? {
            Some(row) => self.backup_of(&row.value).await.map(Some),
            None => Ok(None),
        }
    }

    pub async fn backups(&self, account: &str, region: &str) -> Result<Vec<Backup>, ApiError> {
        let mut found = Vec::new();
        for bytes in self.dump(registry(account, region), here("backup", account, region)).await? {
            found.push(self.backup_of(&bytes).await?);
        }
        Ok(found)
    }

    /// The digest of the transaction that was carried out under a token, unless that is too long ago. The check is that
    /// for a commit under it.
    pub async fn token(
        &self,
        (account, region): (&str, &str),
        token: &str,
        since_ms: u64,
    ) -> Result<(Option<String>, Check), ApiError> {
        let key = token_key(account, region, token);
        let row = self.store.get(registry(account, region), SPACE, key.clone()).await.map_err(reading)?;
        let Some(row) = row else { return Ok((None, Check::Absent(SPACE, key))) };
        let found: Token = decode(&row.value)?;
        Ok(((found.at_ms >= since_ms).then_some(found.digest), Check::RevIs(SPACE, key, row.rev)))
    }

    pub fn token_value(digest: &str, at_ms: u64) -> Result<Vec<u8>, ApiError> {
        encode(&Token { v: FORMAT, digest: digest.to_owned(), at_ms })
    }

    /// Forgets tokens older than a time.
    pub async fn forget_tokens(&self, account: &str, region: &str, before_ms: u64) -> Result<(), ApiError> {
        let (mut lo, hi) = here("token", account, region).range();
        loop {
            let at = registry(account, region);
            let rows = self.store.range(at, SPACE, lo.clone(), hi.clone(), DUMP_PAGE).await.map_err(reading)?;
            let Some(last) = rows.last() else { return Ok(()) };
            lo = keys::next(&last.key);
            let mut batch = Batch::<()>::default();
            for row in rows {
                if decode::<Token>(&row.value)?.at_ms < before_ms {
                    batch.check(at, Check::RevIs(SPACE, row.key.clone(), row.rev), ());
                    batch.delete(at, row.key);
                }
            }
            self.commit(batch).await?;
        }
    }
}
