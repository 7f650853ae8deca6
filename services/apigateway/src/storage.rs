//! Where APIs are stored; the only place that names the store. `docs/formats/apigateway.md` fixes the keys and values.
//! The row of an API is rewritten by every change of its parts, so that its revision guards them all.

mod domains;
pub mod rest;

use std::collections::BTreeMap;
use std::sync::Arc;

use cumulet_base::limits;
use cumulet_store::{
    Check, Key, KeyReader, KeyWriter, Op, Outcome, Read, Rev, Row, Shard, Space, Store, StoreExt, Txn,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::errors::Error;
use crate::shapes::{Api, Authorizer, Deployment, Integration, Route, Stage};

const SPACE: Space = Space(3);

/// An API with all its parts, as of one revision.
#[derive(Clone, Debug)]
pub struct ApiRows {
    pub api: Api,
    pub stages: BTreeMap<String, Stage>,
    pub routes: BTreeMap<String, Route>,
    pub integrations: BTreeMap<String, Integration>,
    pub deployments: BTreeMap<String, Deployment>,
    pub authorizers: BTreeMap<String, Authorizer>,
    rev: Rev,
}

/// A change of one part, by its id or name.
#[derive(Debug)]
pub enum Change {
    PutStage(Stage),
    PutRoute(Route),
    PutIntegration(Integration),
    PutDeployment(Deployment),
    PutAuthorizer(Authorizer),
    /// A route as a deployment froze it.
    Freeze(String, Route, Option<Integration>),
    DeleteStage(String),
    DeleteRoute(String),
    DeleteIntegration(String),
    DeleteDeployment(String),
    DeleteAuthorizer(String),
}

#[derive(Clone)]
pub struct Storage {
    store: Arc<dyn Store>,
}

fn shard(api_id: &str) -> Shard {
    Shard::of(&format!("apigateway/{api_id}"))
}

fn list_shard(account: &str, region: &str) -> Shard {
    Shard::of(&format!("apigateway/{account}/{region}"))
}

fn part(api_id: &str, kind: &str) -> KeyWriter {
    KeyWriter::new().text(api_id).text(kind)
}

fn listed(account: &str, region: &str) -> KeyWriter {
    KeyWriter::new().text("").text(account).text(region)
}

fn write(value: &impl Serialize) -> Result<Vec<u8>, Error> {
    serde_json::to_vec(value).map_err(Error::Row)
}

fn read<T: DeserializeOwned>(value: &[u8]) -> Result<T, Error> {
    serde_json::from_slice(value).map_err(Error::Row)
}

impl Storage {
    pub fn new(store: Arc<dyn Store>) -> Storage {
        Storage { store }
    }

    /// All rows of a range, as of one revision of the API's own row, which is of that kind and comes beside.
    /// An API that is changed between two pages is read again from the start.
    async fn rows_of(&self, api_id: &str, kind: &str, range: (Key, Key)) -> Result<Option<(Row, Vec<Row>)>, Error> {
        'again: for _ in 0..8 {
            let (mut lo, hi) = range.clone();
            let (mut rows, mut first): (Vec<Row>, Option<Row>) = (Vec::new(), None);
            loop {
                let page = Read::Range {
                    space: SPACE,
                    lo: lo.clone(),
                    hi: hi.clone(),
                    limit: 500,
                    bytes: u32::MAX,
                    reverse: false,
                };
                let own = Read::Get(SPACE, part(api_id, kind).key());
                let (_, mut answers) = self.store.read(shard(api_id), vec![page, own]).await?;
                let Some(own) = answers.pop().and_then(|mut rows| rows.pop()) else { return Ok(None) };
                let page = answers.pop().unwrap_or_default();
                if first.as_ref().is_some_and(|first| first.rev != own.rev) {
                    continue 'again;
                }
                first = Some(own);
                let is_last = page.len() < 500;
                if let Some(last) = page.last() {
                    lo = [last.key.as_ref(), &[0]].concat().into();
                }
                rows.extend(page);
                if is_last {
                    return Ok(first.map(|own| (own, rows)));
                }
            }
        }
        Err(Error::Busy)
    }

    /// The API and its parts; `None` when there is none of that id.
    pub async fn load(&self, api_id: &str) -> Result<Option<ApiRows>, Error> {
        let Some((row, parts)) = self.rows_of(api_id, "api", KeyWriter::new().text(api_id).range()).await? else {
            return Ok(None);
        };
        let mut found = ApiRows {
            api: read(&row.value)?,
            stages: BTreeMap::new(),
            routes: BTreeMap::new(),
            integrations: BTreeMap::new(),
            deployments: BTreeMap::new(),
            authorizers: BTreeMap::new(),
            rev: row.rev,
        };
        for row in parts {
            let mut key = KeyReader::new(&row.key);
            let (_, Some(kind), name) = (key.text(), key.text(), key.text()) else {
                continue;
            };
            let name = name.unwrap_or_default();
            match kind.as_str() {
                "stage" => drop(found.stages.insert(name, read(&row.value)?)),
                "route" => drop(found.routes.insert(name, read(&row.value)?)),
                "integration" => drop(found.integrations.insert(name, read(&row.value)?)),
                "deployment" => drop(found.deployments.insert(name, read(&row.value)?)),
                "httpauthorizer" => drop(found.authorizers.insert(name, read(&row.value)?)),
                _ => {}
            }
        }
        Ok(Some(found))
    }

    /// The routes a deployment froze, each with its integration.
    pub async fn frozen(&self, api_id: &str, deployment_id: &str) -> Result<Vec<(Route, Option<Integration>)>, Error> {
        let (lo, hi) = part(api_id, "frozen").text(deployment_id).range();
        let limit = limits::HTTP_API_ROUTES_MAX as u32;
        let rows = self.store.range(shard(api_id), SPACE, lo, hi, limit).await?;
        rows.iter().map(|row| read(&row.value)).collect()
    }

    /// Stores a new API. It is listed first, so that no API exists that cannot be found.
    pub async fn create(&self, api: &Api, changes: Vec<Change>) -> Result<(), Error> {
        let entry = listed(&api.account, &api.region).text(&api.api_id).key();
        let list = list_shard(&api.account, &api.region);
        self.commit(Txn::new(list).put(SPACE, entry, Vec::new())).await?;
        let key = part(&api.api_id, "api").key();
        let mut txn =
            Txn::new(shard(&api.api_id)).check(Check::Absent(SPACE, key.clone())).put(SPACE, key, write(api)?);
        for change in changes {
            apply(&mut txn, &api.api_id, change)?;
        }
        self.commit(txn).await
    }

    /// Carries out changes of an API that was not changed since it was loaded; otherwise [`Error::Busy`].
    pub async fn change(&self, rows: &ApiRows, changes: Vec<Change>) -> Result<(), Error> {
        let api_id = &rows.api.api_id;
        let key = part(api_id, "api").key();
        let mut txn = Txn::new(shard(api_id)).check(Check::RevIs(SPACE, key.clone(), rows.rev)).put(
            SPACE,
            key,
            write(&rows.api)?,
        );
        for change in changes {
            apply(&mut txn, api_id, change)?;
        }
        self.commit(txn).await
    }

    pub async fn delete(&self, rows: &ApiRows) -> Result<(), Error> {
        let Api { api_id, account, region, .. } = &rows.api;
        let (lo, hi) = KeyWriter::new().text(api_id).range();
        let key = part(api_id, "api").key();
        self.commit(Txn::new(shard(api_id)).check(Check::RevIs(SPACE, key, rows.rev)).delete_range(SPACE, lo, hi))
            .await?;
        let entry = listed(account, region).text(api_id).key();
        self.commit(Txn::new(list_shard(account, region)).delete(SPACE, entry)).await
    }

    /// Ids of an account's APIs in a region, in order.
    pub async fn list(&self, account: &str, region: &str) -> Result<Vec<String>, Error> {
        let (lo, hi) = listed(account, region).range();
        let limit = limits::HTTP_APIS_MAX as u32;
        let rows = self.store.range(list_shard(account, region), SPACE, lo, hi, limit).await?;
        let id = |key: &Key| {
            let mut parts = KeyReader::new(key);
            (0..3).try_for_each(|_| parts.text().map(drop))?;
            parts.text()
        };
        Ok(rows.iter().filter_map(|row| id(&row.key)).collect())
    }

    async fn commit(&self, mut txn: Txn) -> Result<(), Error> {
        txn.id = Some(cumulet_base::id::random());
        for _ in 0..5 {
            match self.store.commit(txn.clone()).await? {
                Outcome::Done(_) => return Ok(()),
                Outcome::Conflict { .. } => return Err(Error::Busy),
                Outcome::Unknown => {}
            }
        }
        Err(Error::Store(cumulet_store::Error::Backend {
            doing: "committing a change of an API",
            reason: "whether it was applied stayed unknown".into(),
        }))
    }
}

fn apply(txn: &mut Txn, api_id: &str, change: Change) -> Result<(), Error> {
    let mut put = |kind: &str, name: &str, value: Vec<u8>| {
        let key = part(api_id, kind).text(name).key();
        txn.ops.push(Op::Put(SPACE, key, value.into()));
    };
    match change {
        Change::PutStage(stage) => put("stage", &stage.stage_name, write(&stage)?),
        Change::PutRoute(route) => put("route", &route.route_id, write(&route)?),
        Change::PutIntegration(i) => put("integration", &i.integration_id, write(&i)?),
        Change::PutAuthorizer(a) => put("httpauthorizer", &a.authorizer_id, write(&a)?),
        Change::PutDeployment(d) => put("deployment", &d.deployment_id, write(&d)?),
        Change::Freeze(deployment_id, route, integration) => {
            let key = part(api_id, "frozen").text(&deployment_id).text(&route.route_id).key();
            let value = write(&(route, integration))?;
            txn.ops.push(Op::Put(SPACE, key, value.into()));
        }
        Change::DeleteStage(name) => delete(txn, api_id, "stage", &name),
        Change::DeleteRoute(id) => delete(txn, api_id, "route", &id),
        Change::DeleteAuthorizer(id) => delete(txn, api_id, "httpauthorizer", &id),
        Change::DeleteIntegration(id) => delete(txn, api_id, "integration", &id),
        Change::DeleteDeployment(id) => {
            delete(txn, api_id, "deployment", &id);
            let (lo, hi) = part(api_id, "frozen").text(&id).range();
            txn.ops.push(Op::DeleteRange(SPACE, lo, hi));
        }
    }
    Ok(())
}

fn delete(txn: &mut Txn, api_id: &str, kind: &str, name: &str) {
    let key = part(api_id, kind).text(name).key();
    txn.ops.push(Op::Delete(SPACE, key));
}
