//! Where applications, groups, configurations and deployments are kept. The only file that knows the store and the layout
//! of its keys (`docs/formats/codedeploy.md`). All of an account's region lies in one shard, together with the tasks: a
//! deployment and what carries it on are one commit.

use std::sync::Arc;

use cumulet_base::limits;
use cumulet_store::{Check, Key, KeyReader, KeyWriter, Read, Rev, Row, Shard, Space, Store, StoreExt, Txn};
use cumulet_wire::error::ApiError;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::watch;

use crate::errors;
use crate::model::{Application, Config, Deployment, Group, Place};

const SPACE: Space = Space(21);

pub struct Storage {
    store: Arc<dyn Store>,
}

fn shard(place: &Place) -> Shard {
    Shard::of(&format!("codedeploy/{}/{}", place.account, place.region))
}

fn of(kind: &str, place: &Place) -> KeyWriter {
    KeyWriter::new().text(kind).text(&place.account).text(&place.region)
}

/// What a record is found by.
pub enum Named<'a> {
    Application(&'a str),
    Group(&'a str, &'a str),
    Config(&'a str),
    Deployment(&'a str),
    /// The deployment that a group is busy with.
    Active(&'a str, &'a str),
}

impl Named<'_> {
    fn key(&self, place: &Place) -> Key {
        match self {
            Named::Application(name) => of("application", place).text(name),
            Named::Group(application, name) => of("group", place).text(application).text(name),
            Named::Config(name) => of("config", place).text(name),
            Named::Deployment(id) => of("deployment", place).text(id),
            Named::Active(application, group) => of("active", place).text(application).text(group),
        }
        .key()
    }
}

fn listed(place: &Place, deployment: &Deployment) -> Key {
    let of_group = of("listed", place).text(&deployment.application).text(&deployment.group);
    of_group.u64(deployment.created_ms).text(&deployment.id).key()
}

fn encode(value: &impl Serialize) -> Result<Vec<u8>, ApiError> {
    serde_json::to_vec(value).map_err(|e| ApiError::internal(format!("writing a deployment: {e}")))
}

fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    serde_json::from_slice(bytes).map_err(|e| ApiError::internal(format!("reading a deployment: {e}")))
}

fn reading(error: cumulet_store::Error) -> ApiError {
    errors::storage("Reading deployments", &error)
}

/// A transaction in the shard of a place.
pub fn begin(place: &Place) -> Txn {
    Txn::new(shard(place))
}

/// With a record, which has to be as it was seen: absent, or of a revision.
pub fn put(txn: Txn, place: &Place, at: &Named, value: &impl Serialize, seen: Option<Rev>) -> Result<Txn, ApiError> {
    let key = at.key(place);
    let check = match seen {
        Some(rev) => Check::RevIs(SPACE, key.clone(), rev),
        None => Check::Absent(SPACE, key.clone()),
    };
    Ok(txn.check(check).put(SPACE, key, encode(value)?))
}

/// Without a record, if it is still as it was seen.
pub fn delete(txn: Txn, place: &Place, at: &Named, seen: Rev) -> Txn {
    let key = at.key(place);
    txn.check(Check::RevIs(SPACE, key.clone(), seen)).delete(SPACE, key)
}

/// If something is there.
pub fn exists(txn: Txn, place: &Place, at: &Named) -> Txn {
    txn.check(Check::Exists(SPACE, at.key(place)))
}

/// If an application has no groups.
pub fn without_groups(txn: Txn, place: &Place, application: &str) -> Txn {
    let (lo, hi) = of("group", place).text(application).range();
    txn.check(Check::RangeEmpty(SPACE, lo, hi))
}

/// With a new deployment, which its group is busy with unless it is over.
pub fn put_new(txn: Txn, place: &Place, deployment: &Deployment) -> Result<Txn, ApiError> {
    let mut txn = put(txn, place, &Named::Deployment(&deployment.id), deployment, None)?;
    txn = txn.put(SPACE, listed(place, deployment), Vec::new());
    if !deployment.is_over() {
        let active = Named::Active(&deployment.application, &deployment.group);
        txn = put(txn, place, &active, &deployment.id, None)?;
    }
    Ok(txn)
}

/// With a deployment that has changed; one that is over no longer keeps its group busy.
pub fn put_changed(txn: Txn, place: &Place, deployment: &Deployment, seen: Rev) -> Result<Txn, ApiError> {
    let mut txn = put(txn, place, &Named::Deployment(&deployment.id), deployment, Some(seen))?;
    if deployment.is_over() {
        txn = txn.delete(SPACE, Named::Active(&deployment.application, &deployment.group).key(place));
    }
    Ok(txn)
}

/// Without deployments that are too old to be kept.
pub fn forget(mut txn: Txn, place: &Place, old: &[Deployment]) -> Txn {
    for deployment in old {
        txn = txn.delete(SPACE, listed(place, deployment)).delete(SPACE, Named::Deployment(&deployment.id).key(place));
    }
    txn
}

impl Storage {
    pub fn new(store: Arc<dyn Store>) -> Storage {
        Storage { store }
    }

    pub fn watch(&self, place: &Place) -> watch::Receiver<Rev> {
        self.store.watch(shard(place))
    }

    async fn get<T: DeserializeOwned>(&self, place: &Place, at: &Named<'_>) -> Result<Option<(T, Rev)>, ApiError> {
        let row = self.store.get(shard(place), SPACE, at.key(place)).await.map_err(reading)?;
        row.map(|row| Ok((decode(&row.value)?, row.rev))).transpose()
    }

    pub async fn application(&self, place: &Place, name: &str) -> Result<Option<(Application, Rev)>, ApiError> {
        self.get(place, &Named::Application(name)).await
    }

    pub async fn group(&self, place: &Place, application: &str, name: &str) -> Result<Option<(Group, Rev)>, ApiError> {
        self.get(place, &Named::Group(application, name)).await
    }

    pub async fn config(&self, place: &Place, name: &str) -> Result<Option<(Config, Rev)>, ApiError> {
        self.get(place, &Named::Config(name)).await
    }

    pub async fn deployment(&self, place: &Place, id: &str) -> Result<Option<(Deployment, Rev)>, ApiError> {
        self.get(place, &Named::Deployment(id)).await
    }

    pub async fn active(&self, place: &Place, application: &str, group: &str) -> Result<Option<String>, ApiError> {
        Ok(self.get(place, &Named::Active(application, group)).await?.map(|(id, _)| id))
    }

    async fn rows(&self, place: &Place, at: KeyWriter, reverse: bool) -> Result<Vec<Row>, ApiError> {
        let (lo, hi) = at.range();
        let limit = u32::try_from(limits::DEPLOYMENT_NAMES_MAX).unwrap_or(u32::MAX);
        let read = Read::Range { space: SPACE, lo, hi, limit, bytes: u32::MAX, reverse };
        let (_, mut rows) = self.store.read(shard(place), vec![read]).await.map_err(reading)?;
        Ok(rows.pop().unwrap_or_default())
    }

    /// The last parts of keys, which are names.
    async fn names(&self, place: &Place, at: KeyWriter, skipped: usize) -> Result<Vec<String>, ApiError> {
        let rows = self.rows(place, at, false).await?;
        let name = |row: &Row| {
            let mut parts = KeyReader::new(&row.key);
            (0..skipped).try_for_each(|_| parts.text().map(drop)).and_then(|()| parts.text())
        };
        Ok(rows.iter().filter_map(name).collect())
    }

    pub async fn applications(&self, place: &Place) -> Result<Vec<String>, ApiError> {
        self.names(place, of("application", place), 3).await
    }

    pub async fn groups(&self, place: &Place, application: &str) -> Result<Vec<String>, ApiError> {
        self.names(place, of("group", place).text(application), 4).await
    }

    pub async fn configs(&self, place: &Place) -> Result<Vec<String>, ApiError> {
        self.names(place, of("config", place), 3).await
    }

    /// Whether a group uses a configuration.
    pub async fn is_used(&self, place: &Place, config: &str) -> Result<bool, ApiError> {
        for row in self.rows(place, of("group", place), false).await? {
            if decode::<Group>(&row.value)?.config == config {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Deployments of a group, an application, or all of them; the newest first.
    pub async fn deployments(
        &self,
        place: &Place,
        application: Option<&str>,
        group: Option<&str>,
    ) -> Result<Vec<Deployment>, ApiError> {
        let at = [application, group].into_iter().flatten().fold(of("listed", place), KeyWriter::text);
        let mut found = Vec::new();
        for row in self.rows(place, at, true).await? {
            let mut parts = KeyReader::new(&row.key);
            let id =
                (0..5).try_for_each(|_| parts.text().map(drop)).and_then(|()| parts.u64()).and_then(|_| parts.text());
            if let Some(id) = id
                && let Some((deployment, _)) = self.deployment(place, &id).await?
            {
                found.push(deployment);
            }
        }
        found.sort_by_key(|deployment| std::cmp::Reverse(deployment.created_ms));
        Ok(found)
    }

    /// Whether it was committed; otherwise something was not as it was seen.
    pub async fn commit(&self, txn: Txn) -> Result<bool, ApiError> {
        self.store.apply(vec![txn]).await.map_err(|e| errors::storage("Writing deployments", &e))
    }
}
