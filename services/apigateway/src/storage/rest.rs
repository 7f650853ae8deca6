//! Where REST APIs are stored: beside HTTP APIs, under kinds of their own; and what belongs to an account and its region.

use std::collections::{BTreeMap, HashMap};

use cumulet_base::{clock, limits};
pub use cumulet_store::Rev;
use cumulet_store::{Check, Key, KeyReader, KeyWriter, Op, Read, Row, Shard, StoreExt, Txn};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{SPACE, Storage, part, read, shard, write};
use crate::errors::Error;
use crate::rest::shapes::{Authorizer, Deployment, GatewayResponse, Model, RequestValidator, Resource, RestApi, Stage};
use crate::rest::usage::{self, Day, Who};

/// What a deployment keeps of an API as it was.
#[derive(Clone, Debug, Default)]
pub struct Definition {
    pub resources: BTreeMap<String, Resource>,
    pub authorizers: BTreeMap<String, Authorizer>,
    pub models: BTreeMap<String, Model>,
    pub validators: BTreeMap<String, RequestValidator>,
    pub responses: BTreeMap<String, GatewayResponse>,
}

/// An API with all its parts, as of one revision.
#[derive(Clone, Debug)]
pub struct RestRows {
    pub api: RestApi,
    pub now: Definition,
    pub deployments: BTreeMap<String, Deployment>,
    pub stages: BTreeMap<String, Stage>,
    rev: Rev,
}

/// A part by the kind of its row.
pub trait Part: Serialize + DeserializeOwned + Send {
    const KIND: &'static str;
    /// What its row ends in.
    fn key(&self) -> &str;
}

macro_rules! part {
    ($($shape:ty, $kind:literal, $id:ident;)*) => {$(
        impl Part for $shape {
            const KIND: &'static str = $kind;
            fn key(&self) -> &str {
                &self.$id
            }
        }
    )*};
}

part! {
    Resource, "resource", id;
    Authorizer, "authorizer", id;
    Model, "model", name;
    RequestValidator, "validator", id;
    GatewayResponse, "response", response_type;
    Deployment, "restdeployment", id;
    Stage, "reststage", stage_name;
}

/// Kind, the end of the key, and the value.
type PartRow = (&'static str, String, Vec<u8>);

/// A change of one part.
#[derive(Clone, Debug)]
pub enum RestChange {
    Put(&'static str, String, Vec<u8>),
    Delete(&'static str, String),
    /// Keeps a definition for a deployment.
    Freeze(String, Box<Definition>),
    Thaw(String),
}

impl RestChange {
    pub fn put<P: Part>(shape: &P) -> Result<RestChange, Error> {
        Ok(RestChange::Put(P::KIND, shape.key().to_owned(), write(shape)?))
    }

    pub fn delete<P: Part>(id: &str) -> RestChange {
        RestChange::Delete(P::KIND, id.to_owned())
    }
}

impl Definition {
    fn take(&mut self, kind: &str, id: String, value: &[u8]) -> Result<(), Error> {
        match kind {
            Resource::KIND => drop(self.resources.insert(id, read(value)?)),
            Authorizer::KIND => drop(self.authorizers.insert(id, read(value)?)),
            Model::KIND => drop(self.models.insert(id, read(value)?)),
            RequestValidator::KIND => drop(self.validators.insert(id, read(value)?)),
            GatewayResponse::KIND => drop(self.responses.insert(id, read(value)?)),
            _ => {}
        }
        Ok(())
    }

    fn rows(&self) -> Result<Vec<PartRow>, Error> {
        fn all<P: Part>(parts: &BTreeMap<String, P>) -> impl Iterator<Item = Result<PartRow, Error>> {
            parts.values().map(|part| Ok((P::KIND, part.key().to_owned(), write(part)?)))
        }
        all(&self.resources)
            .chain(all(&self.authorizers))
            .chain(all(&self.models))
            .chain(all(&self.validators))
            .chain(all(&self.responses))
            .collect()
    }
}

/// What belongs to an account and its region: `kind` is `api`, `key`, `plan`, `account` or `usage`.
fn owned(account: &str, region: &str, kind: &str) -> KeyWriter {
    KeyWriter::new().text("rest").text(account).text(region).text(kind)
}

fn owner(account: &str, region: &str) -> Shard {
    Shard::of(&format!("apigateway/rest/{account}/{region}"))
}

fn texts<const N: usize>(key: &Key) -> Option<[String; N]> {
    let mut parts = KeyReader::new(key);
    let found: Option<Vec<String>> = (0..N).map(|_| parts.text()).collect();
    found?.try_into().ok()
}

impl Storage {
    /// The REST API and its parts; `None` when there is none of that id.
    pub async fn load_rest(&self, api_id: &str) -> Result<Option<RestRows>, Error> {
        let Some((own, rows)) = self.rows_of(api_id, "rest", KeyWriter::new().text(api_id).range()).await? else {
            return Ok(None);
        };
        let mut found = RestRows {
            api: read(&own.value)?,
            now: Definition::default(),
            deployments: BTreeMap::new(),
            stages: BTreeMap::new(),
            rev: own.rev,
        };
        for row in rows {
            let Some([_, kind, id]) = texts::<3>(&row.key) else { continue };
            match kind.as_str() {
                Deployment::KIND => drop(found.deployments.insert(id, read(&row.value)?)),
                Stage::KIND => drop(found.stages.insert(id, read(&row.value)?)),
                _ => found.now.take(&kind, id, &row.value)?,
            }
        }
        Ok(Some(found))
    }

    /// What a deployment kept.
    pub async fn frozen_rest(&self, api_id: &str, deployment_id: &str) -> Result<Definition, Error> {
        let range = part(api_id, "restfrozen").text(deployment_id).range();
        let mut definition = Definition::default();
        for row in self.rows_of(api_id, "rest", range).await?.map(|(_, rows)| rows).unwrap_or_default() {
            let Some([_, _, _, kind, id]) = texts::<5>(&row.key) else { continue };
            definition.take(&kind, id, &row.value)?;
        }
        Ok(definition)
    }

    /// Stores a new API. It is listed first, so that no API exists that cannot be found.
    pub async fn create_rest(&self, api: &RestApi, changes: Vec<RestChange>) -> Result<(), Error> {
        let entry = owned(&api.account, &api.region, "api").text(&api.id).key();
        self.commit(Txn::new(owner(&api.account, &api.region)).put(SPACE, entry, Vec::new())).await?;
        let key = part(&api.id, "rest").key();
        let mut txn = Txn::new(shard(&api.id)).check(Check::Absent(SPACE, key.clone())).put(SPACE, key, write(api)?);
        for change in changes {
            apply(&mut txn, &api.id, change)?;
        }
        self.commit(txn).await
    }

    /// Carries out changes of an API that was not changed since it was loaded; otherwise [`Error::Busy`].
    pub async fn change_rest(&self, rows: &RestRows, changes: Vec<RestChange>) -> Result<(), Error> {
        let id = &rows.api.id;
        let key = part(id, "rest").key();
        let check = Check::RevIs(SPACE, key.clone(), rows.rev);
        let mut txn = Txn::new(shard(id)).check(check).put(SPACE, key, write(&rows.api)?);
        for change in changes {
            apply(&mut txn, id, change)?;
        }
        self.commit(txn).await
    }

    pub async fn delete_rest(&self, rows: &RestRows) -> Result<(), Error> {
        let RestApi { id, account, region, .. } = &rows.api;
        let (lo, hi) = KeyWriter::new().text(id).range();
        let check = Check::RevIs(SPACE, part(id, "rest").key(), rows.rev);
        self.commit(Txn::new(shard(id)).check(check).delete_range(SPACE, lo, hi)).await?;
        let entry = owned(account, region, "api").text(id).key();
        self.commit(Txn::new(owner(account, region)).delete(SPACE, entry)).await
    }

    /// Ids of an account's REST APIs in a region, in order.
    pub async fn list_rest(&self, account: &str, region: &str) -> Result<Vec<String>, Error> {
        let rows = self.owned_rows(account, region, "api").await?;
        Ok(rows.iter().filter_map(|row| texts::<5>(&row.key).map(|[_, _, _, _, id]| id)).collect())
    }

    async fn owned_rows(&self, account: &str, region: &str, kind: &str) -> Result<Vec<Row>, Error> {
        let (lo, hi) = owned(account, region, kind).range();
        let limit = limits::REST_API_OWNED_MAX as u32;
        Ok(self.store.range(owner(account, region), SPACE, lo, hi, limit).await?)
    }

    /// All of a kind that an account has in a region.
    pub async fn list_owned<T: DeserializeOwned>(
        &self,
        account: &str,
        region: &str,
        kind: &str,
    ) -> Result<Vec<T>, Error> {
        self.owned_rows(account, region, kind).await?.iter().map(|row| read(&row.value)).collect()
    }

    pub async fn get_owned<T: DeserializeOwned>(
        &self,
        account: &str,
        region: &str,
        kind: &str,
        id: &str,
    ) -> Result<Option<(T, Rev)>, Error> {
        let row = self.store.get(owner(account, region), SPACE, owned(account, region, kind).text(id).key()).await?;
        row.map(|row| Ok((read(&row.value)?, row.rev))).transpose()
    }

    /// Stores what was not there, or, with its revision, what was not changed since it was read.
    pub async fn put_owned(
        &self,
        account: &str,
        region: &str,
        (kind, id): (&str, &str),
        value: &(impl Serialize + Sync),
        rev: Option<Rev>,
    ) -> Result<(), Error> {
        let key = owned(account, region, kind).text(id).key();
        let check = match rev {
            Some(rev) => Check::RevIs(SPACE, key.clone(), rev),
            None => Check::Absent(SPACE, key.clone()),
        };
        self.commit(Txn::new(owner(account, region)).check(check).put(SPACE, key, write(value)?)).await
    }

    pub async fn delete_owned(&self, account: &str, region: &str, kind: &str, id: &str) -> Result<(), Error> {
        let key = owned(account, region, kind).text(id).key();
        self.commit(Txn::new(owner(account, region)).delete(SPACE, key)).await
    }
}

/// Days of use of a key in a plan.
fn usage_of(who: &Who) -> KeyWriter {
    owned(&who.account, &who.region, "usage").text(&who.plan).text(&who.key)
}

impl Storage {
    /// The latest day of a key up to one, with its number.
    pub async fn last_usage(&self, who: &Who, day: &str) -> Result<Option<(u64, Day)>, Error> {
        let read = Read::Range {
            space: SPACE,
            lo: usage_of(who).key(),
            hi: usage_of(who).text(day).range().1,
            limit: 1,
            bytes: u32::MAX,
            reverse: true,
        };
        let (_, rows) = self.store.read(owner(&who.account, &who.region), vec![read]).await?;
        let Some(row) = rows.first().and_then(|rows| rows.first()) else { return Ok(None) };
        let day = texts::<7>(&row.key).and_then(|[.., day]| clock::day_ms(&day));
        Ok(Some((usage::day_number(day.unwrap_or_default()), self::read(&row.value)?)))
    }

    /// The days of a key from one to another, both included, by their names.
    pub async fn usage(&self, who: &Who, from: &str, to: &str) -> Result<HashMap<String, Day>, Error> {
        let (lo, hi) = (usage_of(who).text(from).key(), usage_of(who).text(to).range().1);
        let rows =
            self.store.range(owner(&who.account, &who.region), SPACE, lo, hi, limits::API_USAGE_DAYS_MAX).await?;
        let day = |row: &Row| Ok((texts::<7>(&row.key).map(|[.., day]| day).unwrap_or_default(), read(&row.value)?));
        rows.iter().map(day).collect()
    }

    /// Puts days, and lets those go that are older than is kept.
    pub async fn put_usage(&self, days: &[(Who, String, Day)]) -> Result<(), Error> {
        let mut txns: BTreeMap<(&str, &str), Txn> = BTreeMap::new();
        for (who, name, day) in days {
            let place = (who.account.as_str(), who.region.as_str());
            let txn = txns.entry(place).or_insert_with(|| Txn::new(owner(place.0, place.1)));
            let ends_ms = clock::day_ms(name).unwrap_or_default();
            let old = clock::day(ends_ms.saturating_sub(u64::from(limits::API_USAGE_DAYS_MAX) * 86_400_000));
            txn.ops.push(Op::DeleteRange(SPACE, usage_of(who).key(), usage_of(who).text(&old).key()));
            txn.ops.push(Op::Put(SPACE, usage_of(who).text(name).key(), write(day)?.into()));
        }
        for txn in txns.into_values() {
            self.commit(txn).await?;
        }
        Ok(())
    }

    /// What was counted under a plan.
    pub async fn delete_usage(&self, account: &str, region: &str, plan: &str) -> Result<(), Error> {
        let (lo, hi) = owned(account, region, "usage").text(plan).range();
        self.commit(Txn::new(owner(account, region)).delete_range(SPACE, lo, hi)).await
    }
}

fn apply(txn: &mut Txn, api_id: &str, change: RestChange) -> Result<(), Error> {
    match change {
        RestChange::Put(kind, id, value) => {
            txn.ops.push(Op::Put(SPACE, part(api_id, kind).text(&id).key(), value.into()))
        }
        RestChange::Delete(kind, id) => txn.ops.push(Op::Delete(SPACE, part(api_id, kind).text(&id).key())),
        RestChange::Freeze(deployment_id, definition) => {
            for (kind, id, value) in definition.rows()? {
                let key = part(api_id, "restfrozen").text(&deployment_id).text(kind).text(&id).key();
                txn.ops.push(Op::Put(SPACE, key, value.into()));
            }
        }
        RestChange::Thaw(deployment_id) => {
            let (lo, hi) = part(api_id, "restfrozen").text(&deployment_id).range();
            txn.ops.push(Op::DeleteRange(SPACE, lo, hi));
        }
    }
    Ok(())
}
