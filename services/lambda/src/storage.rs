//! Where functions, their versions and aliases are kept. The only file that knows the store and the layout of their keys
//! (`docs/formats/lambda.md`); layers have theirs beside. All share one shard: they change rarely and are read from memory.

use std::sync::Arc;

use bytes::Bytes;
use cumulet_store::{Check, Key, KeyWriter, Outcome, Read, Rev, Shard, Space, Store, StoreExt, Txn};
use cumulet_wire::error::ApiError;
use serde::de::DeserializeOwned;

use crate::errors;
use crate::model::{Alias, FORMAT, Function, Row, UrlOwner, version_number};
use crate::names::At;
use crate::seal::Seal;

pub const SPACE: Space = Space(1);
/// A commit whose end is unknown is repeated, with the same id, this often.
const UNKNOWN_ATTEMPTS_MAX: usize = 8;
const PAGE_ROWS: u32 = 200;

/// A function of an account and region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Of<'a> {
    pub account: &'a str,
    pub region: &'a str,
    pub name: &'a str,
}

/// A row as read, with the token for changing it.
#[derive(Clone, Debug)]
pub struct Stored {
    pub row: Row,
    pub rev: Rev,
}

/// How a write ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    Done,
    /// Another writer was there first.
    Lost,
}

pub struct Storage {
    store: Arc<dyn Store>,
    seal: Seal,
}

pub fn shard() -> Shard {
    Shard::of("lambda")
}

fn key(kind: &str, of: Of) -> KeyWriter {
    KeyWriter::new().text(kind).text(of.account).text(of.region).text(of.name)
}

fn row_key(of: Of, at: At) -> Key {
    match at {
        At::Latest => key("function", of).key(),
        At::Version(number) => key("version", of).u64(number).key(),
        At::Alias(alias) => key("alias", of).text(alias).key(),
    }
}

fn url_key(id: &str) -> Key {
    KeyWriter::new().text("url").text(id).key()
}

/// In the index of versions and aliases that have instances kept ready.
fn provisioned_key(of: Of, qualifier: &str) -> Key {
    key("provisioned", of).text(qualifier).key()
}

/// The first key after another.
pub fn after(key: &[u8]) -> Key {
    let mut next = key.to_vec();
    next.push(0);
    next.into()
}

/// A stored value of any known format.
pub fn decode<T: DeserializeOwned>(value: &[u8]) -> Result<T, ApiError> {
    let broken = |reason: String| errors::storage("Reading a row", &cumulet_store::Error::Format(reason));
    #[derive(serde::Deserialize)]
    struct Version {
        v: u8,
    }
    let version: Version = serde_json::from_slice(value).map_err(|e| broken(e.to_string()))?;
    if version.v > FORMAT {
        return Err(broken(format!("a row of format {}", version.v)));
    }
    serde_json::from_slice(value).map_err(|e| broken(e.to_string()))
}

pub fn encode(value: &impl serde::Serialize) -> Result<Vec<u8>, ApiError> {
    serde_json::to_vec(value).map_err(|e| ApiError::internal(format!("writing a row: {e}")))
}

pub async fn commit(store: &dyn Store, mut txn: Txn) -> Result<Written, ApiError> {
    txn.id = Some(cumulet_base::id::random());
    for _ in 0..UNKNOWN_ATTEMPTS_MAX {
        match store.commit(txn.clone()).await.map_err(|e| errors::storage("Writing a row", &e))? {
            Outcome::Done(_) => return Ok(Written::Done),
            Outcome::Conflict { .. } => return Ok(Written::Lost),
            Outcome::Unknown => {}
        }
    }
    Err(errors::storage(
        "Writing a row",
        &cumulet_store::Error::Backend { doing: "committing", reason: "the end stayed unknown".to_owned() },
    ))
}

impl<'a> Of<'a> {
    pub fn function(function: &'a Function) -> Of<'a> {
        Of { account: &function.account, region: &function.region, name: &function.name }
    }

    pub fn row(row: &'a Row) -> Of<'a> {
        match row {
            Row::Function(function) => Of::function(function),
            Row::Alias(alias) => Of { account: &alias.account, region: &alias.region, name: &alias.name },
        }
    }
}

fn at(row: &Row) -> At<'_> {
    match row {
        Row::Function(function) => version_number(&function.version).map_or(At::Latest, At::Version),
        Row::Alias(alias) => At::Alias(&alias.alias),
    }
}

fn qualifier(row: &Row) -> Option<String> {
    match row {
        Row::Function(function) if function.is_latest() => None,
        Row::Function(function) => Some(function.version.clone()),
        Row::Alias(alias) => Some(alias.alias.clone()),
    }
}

impl Storage {
    pub fn new(store: Arc<dyn Store>, seal: Seal) -> Storage {
        Storage { store, seal }
    }

    fn function(&self, value: &[u8]) -> Result<Function, ApiError> {
        let mut function: Function = decode(value)?;
        self.seal.open(&mut function)?;
        Ok(function)
    }

    fn read_row(&self, at: At, value: &[u8]) -> Result<Row, ApiError> {
        match at {
            At::Alias(_) => decode(value).map(|alias| Row::Alias(Box::new(alias))),
            _ => self.function(value).map(|function| Row::Function(Box::new(function))),
        }
    }

    fn write_row(&self, row: &Row) -> Result<Vec<u8>, ApiError> {
        match row {
            Row::Function(function) => encode(&self.seal.closed(function)?),
            Row::Alias(alias) => encode(&**alias),
        }
    }

    pub async fn get(&self, of: Of<'_>, at: At<'_>) -> Result<Option<Stored>, ApiError> {
        let row = self.store.get(shard(), SPACE, row_key(of, at)).await;
        let row = row.map_err(|e| errors::storage("Reading a function", &e))?;
        row.map(|row| Ok(Stored { row: self.read_row(at, &row.value)?, rev: row.rev })).transpose()
    }

    pub async fn url_owner(&self, id: &str) -> Result<Option<UrlOwner>, ApiError> {
        let row = self.store.get(shard(), SPACE, url_key(id)).await;
        row.map_err(|e| errors::storage("Reading a function URL", &e))?.map(|row| decode(&row.value)).transpose()
    }

    /// Values of a range, at most `limit`, and the revision at which the first page of them was read.
    async fn values(&self, mut lo: Key, hi: Key, limit: usize) -> Result<(Vec<Bytes>, Rev), ApiError> {
        let (mut found, mut since) = (Vec::new(), None);
        loop {
            let read =
                Read::Range { space: SPACE, lo, hi: hi.clone(), limit: PAGE_ROWS, bytes: u32::MAX, reverse: false };
            let page = self.store.read(shard(), vec![read]).await;
            let (rev, mut rows) = page.map_err(|e| errors::storage("Listing functions", &e))?;
            let since = *since.get_or_insert(rev);
            let rows = rows.pop().unwrap_or_default();
            let Some(last) = rows.last().filter(|_| found.len() < limit) else {
                found.truncate(limit);
                return Ok((found, since));
            };
            lo = after(&last.key);
            found.extend(rows.into_iter().map(|row| row.value));
        }
    }

    /// One page of an account's functions in the order of their names, after the one named.
    pub async fn list(
        &self,
        account: &str,
        region: &str,
        after_name: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Function>, ApiError> {
        let (mut lo, hi) = KeyWriter::new().text("function").text(account).text(region).range();
        if let Some(name) = after_name {
            lo = after(&row_key(Of { account, region, name }, At::Latest));
        }
        let (values, _) = self.values(lo, hi, limit).await?;
        values.iter().map(|value| self.function(value)).collect()
    }

    /// Published versions in the order of their numbers, after the one given.
    pub async fn versions(
        &self,
        of: Of<'_>,
        after_number: Option<u64>,
        limit: usize,
    ) -> Result<Vec<Function>, ApiError> {
        let (mut lo, hi) = key("version", of).range();
        if let Some(number) = after_number {
            lo = after(&row_key(of, At::Version(number)));
        }
        let (values, _) = self.values(lo, hi, limit).await?;
        values.iter().map(|value| self.function(value)).collect()
    }

    /// Aliases by name, after the one named, and the revision at which they were read.
    pub async fn aliases(
        &self,
        of: Of<'_>,
        after_alias: Option<&str>,
        limit: usize,
    ) -> Result<(Vec<Alias>, Rev), ApiError> {
        let (mut lo, hi) = key("alias", of).range();
        if let Some(alias) = after_alias {
            lo = after(&row_key(of, At::Alias(alias)));
        }
        let (values, rev) = self.values(lo, hi, limit).await?;
        Ok((values.iter().map(|value| decode(value)).collect::<Result<_, _>>()?, rev))
    }

    /// Qualifiers of a function, or all functions (`None`), that have instances kept ready: account, region, name, qualifier.
    pub async fn provisioned(&self, of: Option<Of<'_>>) -> Result<Vec<UrlOwner>, ApiError> {
        let all = || KeyWriter::new().text("provisioned");
        let (lo, hi) = of.map_or_else(all, |of| key("provisioned", of)).range();
        let (values, _) = self.values(lo, hi, usize::MAX).await?;
        values.iter().map(|value| decode(value)).collect()
    }

    /// Creates a function, and its first version where one is given; [`Written::Lost`] when a function of this name is there.
    pub async fn create(&self, function: Function, published: Option<Function>) -> Result<Written, ApiError> {
        let rows = [Some(function), published].into_iter().flatten().map(|f| Row::Function(Box::new(f)));
        let mut txn = Txn::new(shard());
        for row in rows {
            let key = row_key(Of::row(&row), at(&row));
            txn = txn.check(Check::Absent(SPACE, key.clone())).put(SPACE, key, self.write_row(&row)?);
        }
        commit(&*self.store, txn).await
    }

    /// Puts `next` in the place of `before`, which must not have changed since it was read, and a new published version
    /// or alias beside; keeps the indexes true. An alias needs the versions it names.
    pub async fn replace(&self, before: &Stored, next: &Row, beside: Option<&Row>) -> Result<Written, ApiError> {
        let key = row_key(Of::row(next), at(next));
        let mut txn = Txn::new(shard()).check(Check::RevIs(SPACE, key.clone(), before.rev)).put(
            SPACE,
            key,
            self.write_row(next)?,
        );
        txn = needed(indexed(txn, Some(&before.row), Some(next))?, next);
        if let Some(beside) = beside {
            let key = row_key(Of::row(beside), at(beside));
            // `$LATEST.PUBLISHED` is written over and over.
            if !matches!(at(beside), At::Version(0)) {
                txn = txn.check(Check::Absent(SPACE, key.clone()));
            }
            txn = needed(txn.put(SPACE, key, self.write_row(beside)?), beside);
        }
        commit(&*self.store, txn).await
    }

    /// A function with all that is its own.
    pub async fn delete(&self, before: &Stored) -> Result<Written, ApiError> {
        let of = Of::row(&before.row);
        let (aliases, since) = self.aliases(of, None, usize::MAX).await?;
        let function = row_key(of, At::Latest);
        let (alias_lo, alias_hi) = key("alias", of).range();
        let (version_lo, version_hi) = key("version", of).range();
        let (ready_lo, ready_hi) = key("provisioned", of).range();
        let mut txn = Txn::new(shard())
            .check(Check::RevIs(SPACE, function.clone(), before.rev))
            .check(Check::RangeUnchangedSince(SPACE, alias_lo.clone(), alias_hi.clone(), since))
            .delete(SPACE, function)
            .delete_range(SPACE, alias_lo, alias_hi)
            .delete_range(SPACE, version_lo, version_hi)
            .delete_range(SPACE, ready_lo, ready_hi);
        for alias in aliases {
            txn = indexed(txn, Some(&Row::Alias(Box::new(alias))), None)?;
        }
        commit(&*self.store, indexed(txn, Some(&before.row), None)?).await
    }

    /// A published version or an alias. `since`: no alias may have been written after it, for one might name the version.
    pub async fn delete_row(&self, before: &Stored, since: Option<Rev>) -> Result<Written, ApiError> {
        let of = Of::row(&before.row);
        let row = row_key(of, at(&before.row));
        let mut txn = Txn::new(shard()).check(Check::RevIs(SPACE, row.clone(), before.rev)).delete(SPACE, row);
        if let Some(since) = since {
            let (lo, hi) = key("alias", of).range();
            txn = txn.check(Check::RangeUnchangedSince(SPACE, lo, hi, since));
        }
        commit(&*self.store, indexed(txn, Some(&before.row), None)?).await
    }
}

/// Keeps the indexes of URLs and of instances kept ready true.
fn indexed(mut txn: Txn, before: Option<&Row>, next: Option<&Row>) -> Result<Txn, ApiError> {
    let url = |row: Option<&Row>| row.and_then(|row| row.attached().url.as_ref()).map(|url| url.id.clone());
    let ready = |row: Option<&Row>| row.is_some_and(|row| row.attached().is_kept_ready());
    let Some(row) = next.or(before) else { return Ok(txn) };
    let of = Of::row(row);
    let owner = UrlOwner {
        v: FORMAT,
        account: of.account.to_owned(),
        region: of.region.to_owned(),
        name: of.name.to_owned(),
        qualifier: qualifier(row),
    };
    let (old, new) = (url(before), url(next));
    if old != new {
        if let Some(id) = old {
            txn = txn.delete(SPACE, url_key(&id));
        }
        if let Some(id) = new {
            txn = txn.put(SPACE, url_key(&id), encode(&owner)?);
        }
    }
    if ready(before) != ready(next) {
        let key = provisioned_key(of, owner.qualifier.as_deref().unwrap_or_default());
        txn = if ready(next) { txn.put(SPACE, key, encode(&owner)?) } else { txn.delete(SPACE, key) };
    }
    Ok(txn)
}

/// An alias needs its function and the versions it names.
fn needed(mut txn: Txn, row: &Row) -> Txn {
    let Row::Alias(alias) = row else { return txn };
    let of = Of::row(row);
    txn = txn.check(Check::Exists(SPACE, row_key(of, At::Latest)));
    for version in alias.weights.keys().chain([&alias.version]) {
        if let Some(number) = version_number(version) {
            txn = txn.check(Check::Exists(SPACE, row_key(of, At::Version(number))));
        }
    }
    txn
}
