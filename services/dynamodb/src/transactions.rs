//! TransactWriteItems and TransactGetItems: several items of several tables, all or nothing. All items are read, every
//! condition is decided, and one commit over the shards of all tables checks that nothing has changed since
//! (<https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis.html>).

use std::collections::BTreeMap;
use std::sync::Arc;

use cumulet_base::limits;
use cumulet_store::Check;
use cumulet_wire::error::ApiError;
use serde_json::{Value as Json, json};

use crate::Shared;
use crate::capacity::Used;
use crate::change::{self, By, Counts, Room};
use crate::errors;
use crate::items::{Next, unchanged};
use crate::keys::{self, ItemKey};
use crate::model::{Place, Table};
use crate::storage::{Batch, Ended, SPACE, Storage, Stored, registry, shard, token_key};
use crate::tables::Live;
use crate::value::{Item, item_size_bytes, item_to_json};

/// One item of a transaction that writes.
pub struct Part {
    pub place: Place,
    /// As the caller named the table.
    pub table_name: String,
    pub key: KeyOf,
    pub decide: Decide,
    /// `ALL_OLD` when the condition fails.
    pub shows_old: bool,
}

/// Finds the key by the table's schema, which is looked at anew on every try.
pub type KeyOf = Box<dyn Fn(&Table) -> Result<ItemKey, ApiError> + Send + Sync>;
/// What is to become of the item.
pub type Decide = Box<dyn Fn(&Table, Option<&Item>) -> Result<Next, ApiError> + Send + Sync>;

/// A token the caller repeats with the same request, and what the request was.
pub struct Token {
    pub account: String,
    pub region: String,
    pub token: String,
    pub digest: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Guard {
    Definition,
    Item,
    Token,
}

/// Whether a token was used for the same request before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ran {
    Now,
    Before,
}

type Tables = BTreeMap<Place, Arc<Live>>;

impl Shared {
    /// What the parts used, by table.
    pub async fn transact(
        &self,
        parts: &[Part],
        token: Option<&Token>,
    ) -> Result<(Ran, Vec<(Arc<Live>, String, Used)>), ApiError> {
        for _ in 0..limits::TABLE_WRITE_TRIES {
            let first_use = match token {
                None => None,
                Some(token) => match self.ran_before(token).await? {
                    Some(check) => Some((token, check)),
                    None => return self.used_before(parts).await,
                },
            };
            let tables = self.tables_of(parts.iter().map(|part| &part.place)).await?;
            let keys = self.keys_of(parts, &tables)?;
            let rows = parts.iter().zip(&keys).map(|(part, key)| key.row(tables[&part.place].table.rows));
            let held = self.tables.lock_all(rows.collect()).await;
            let old = self.stored(parts, &keys, &tables).await?;
            let decided = decide(parts, &old, &tables)?;
            let (batch, effects) = self.batch(parts, (&keys, &old, &decided), &tables, first_use)?;
            let ended = self.storage().commit(batch).await?;
            drop(held);
            match ended {
                Ended::Done => {
                    for (live, _, used, counts) in &effects {
                        live.runtime.count(counts);
                        self.settle(live, used);
                    }
                    return Ok((
                        Ran::Now,
                        effects.into_iter().map(|(live, name, used, _)| (live, name, used)).collect(),
                    ));
                }
                Ended::Conflict { guard: Guard::Definition } => {
                    for place in tables.keys() {
                        self.reloaded(place).await?;
                    }
                }
                // Another was faster: with the item, or with the same token.
                Ended::Conflict { guard: Guard::Item | Guard::Token } => {}
            }
        }
        let reason = json!({"Code": "TransactionConflict", "Message": "Transaction is ongoing for the item"});
        Err(errors::cancelled(vec![reason; parts.len()]))
    }

    /// The check that the token is used for the first time; `None` where it was used for the same request before.
    async fn ran_before(&self, token: &Token) -> Result<Option<Check>, ApiError> {
        let since_ms = self.now_ms().saturating_sub(limits::TABLE_TOKEN_MS);
        match self.storage().token((&token.account, &token.region), &token.token, since_ms).await? {
            (None, check) => Ok(Some(check)),
            (Some(digest), _) if digest == token.digest => Ok(None),
            (Some(_), _) => Err(errors::token_mismatch()),
        }
    }

    /// A repetition reads, and writes nothing.
    async fn used_before(&self, parts: &[Part]) -> Result<(Ran, Vec<(Arc<Live>, String, Used)>), ApiError> {
        let tables = self.tables_of(parts.iter().map(|part| &part.place)).await?;
        let used = |part: &Part| (tables[&part.place].clone(), part.table_name.clone(), Used::reading(4));
        Ok((Ran::Before, parts.iter().map(used).collect()))
    }

    async fn tables_of<'a>(&self, places: impl Iterator<Item = &'a Place>) -> Result<Tables, ApiError> {
        let mut tables = Tables::new();
        for place in places {
            if !tables.contains_key(place) {
                tables.insert(place.clone(), self.tables.active(place).await?);
            }
        }
        Ok(tables)
    }

    fn keys_of(&self, parts: &[Part], tables: &Tables) -> Result<Vec<ItemKey>, ApiError> {
        let mut keys = Vec::with_capacity(parts.len());
        let mut reasons = Vec::with_capacity(parts.len());
        for part in parts {
            let live = &tables[&part.place];
            live.runtime.buckets.admit(&live.table, None, true, self.now_ms())?;
            match (part.key)(&live.table) {
                Ok(key) => {
                    keys.push(key);
                    reasons.push(none());
                }
                Err(error) => reasons.push(reason(&error, None)),
            }
        }
        if keys.len() < parts.len() {
            return Err(errors::cancelled(reasons));
        }
        let mut seen: Vec<_> = parts.iter().zip(&keys).map(|(part, key)| (&part.place, key)).collect();
        seen.sort();
        seen.dedup();
        if seen.len() < parts.len() {
            return Err(errors::invalid("Transaction request cannot include multiple operations on one item"));
        }
        Ok(keys)
    }

    async fn stored(&self, parts: &[Part], keys: &[ItemKey], tables: &Tables) -> Result<Vec<Option<Stored>>, ApiError> {
        let mut found: Vec<Option<Stored>> = parts.iter().map(|_| None).collect();
        for (place, live) in tables {
            let of_table: Vec<usize> = (0..parts.len()).filter(|n| parts[*n].place == *place).collect();
            let some: Vec<ItemKey> = of_table.iter().map(|n| keys[*n].clone()).collect();
            for (n, stored) in of_table.into_iter().zip(self.storage().items(live.table.rows, &some).await?) {
                found[n] = stored;
            }
        }
        Ok(found)
    }

    #[expect(clippy::type_complexity, reason = "one use, named by the function")]
    fn batch(
        &self,
        parts: &[Part],
        (keys, old, next): (&[ItemKey], &[Option<Stored>], &[Next]),
        tables: &Tables,
        token: Option<(&Token, Check)>,
    ) -> Result<(Batch<Guard>, Vec<(Arc<Live>, String, Used, Counts)>), ApiError> {
        let mut batch = Batch::default();
        let now_ms = self.now_ms();
        if let Some((token, check)) = token {
            let at = registry(&token.account, &token.region);
            let key = token_key(&token.account, &token.region, &token.token);
            batch.check(at, check, Guard::Token);
            batch.put(at, key, Storage::token_value(&token.digest, now_ms)?);
        }
        for live in tables.values() {
            let definition = Check::RevIs(SPACE, keys::definition(live.table.rows), live.rev);
            batch.check(shard(live.table.rows), definition, Guard::Definition);
        }
        let mut room: Room = change::ROOM;
        let mut effects = Vec::with_capacity(parts.len());
        for (n, part) in parts.iter().enumerate() {
            let live = &tables[&part.place];
            let table = &live.table;
            let at = shard(table.rows);
            batch.check(at, unchanged(table.rows, &keys[n], old[n].as_ref()), Guard::Item);
            let new = match &next[n] {
                Next::Keep => old[n].as_ref().map(|old| &old.item),
                Next::Put(item) => Some(item),
                Next::Delete => None,
            };
            let change = change::change(table, &keys[n], old[n].as_ref(), new, By::Caller, now_ms, &mut room);
            effects.push((live.clone(), part.table_name.clone(), Used::writing(&change, 2), change.counts));
            batch.at(at).ops.extend(change.ops);
        }
        Ok((batch, effects))
    }

    /// Items of several tables as they were at one time.
    pub async fn transact_get(&self, wanted: &[(Place, ItemKey)]) -> Result<Vec<(Arc<Live>, Option<Item>)>, ApiError> {
        let tables = self.tables_of(wanted.iter().map(|(place, _)| place)).await?;
        // One table is read at one snapshot; nobody writes to those of several while they are read.
        let rows = wanted.iter().map(|(place, key)| key.row(tables[place].table.rows));
        let held = if tables.len() > 1 { self.tables.lock_all(rows.collect()).await } else { Vec::new() };
        let mut found: Vec<(Arc<Live>, Option<Item>)> =
            wanted.iter().map(|(place, _)| (tables[place].clone(), None)).collect();
        for (place, live) in &tables {
            live.runtime.buckets.admit(&live.table, None, false, self.now_ms())?;
            let of_table: Vec<usize> = (0..wanted.len()).filter(|n| wanted[*n].0 == *place).collect();
            let some: Vec<ItemKey> = of_table.iter().map(|n| wanted[*n].1.clone()).collect();
            for (n, stored) in of_table.into_iter().zip(self.storage().items(live.table.rows, &some).await?) {
                found[n].1 = stored.map(|stored| stored.item);
            }
        }
        drop(held);
        Ok(found)
    }
}

fn none() -> Json {
    json!({"Code": "None"})
}

/// Why one part stands against the transaction.
fn reason(error: &ApiError, item: Option<&Item>) -> Json {
    let code = match error.code.as_str() {
        "ConditionalCheckFailedException" => "ConditionalCheckFailed",
        "DuplicateItemException" => "DuplicateItem",
        "ValidationException" => "ValidationError",
        "ProvisionedThroughputExceededException" => "ProvisionedThroughputExceeded",
        other => other,
    };
    let mut reason = json!({"Code": code, "Message": error.message});
    if let Some(item) = item {
        reason["Item"] = item_to_json(item);
    }
    reason
}

/// What is to become of each item, or all the reasons why nothing is.
fn decide(parts: &[Part], old: &[Option<Stored>], tables: &Tables) -> Result<Vec<Next>, ApiError> {
    let mut next = Vec::with_capacity(parts.len());
    let mut reasons = Vec::with_capacity(parts.len());
    let mut bytes = 0;
    for (part, old) in parts.iter().zip(old) {
        let old = old.as_ref().map(|old| &old.item);
        match (part.decide)(&tables[&part.place].table, old) {
            Ok(decided) => {
                bytes += match &decided {
                    Next::Put(item) => item_size_bytes(item),
                    _ => old.map_or(0, item_size_bytes),
                };
                next.push(decided);
                reasons.push(none());
            }
            Err(error) => {
                let is_condition = error.code == "ConditionalCheckFailedException";
                reasons.push(reason(&error, old.filter(|_| is_condition && part.shows_old)));
            }
        }
    }
    if next.len() < parts.len() {
        return Err(errors::cancelled(reasons));
    }
    if bytes > limits::TABLE_TRANSACTION_BYTES_MAX {
        return Err(errors::invalid("Collection size of items in the transaction has exceeded the limit of 4 MB"));
    }
    Ok(next)
}
