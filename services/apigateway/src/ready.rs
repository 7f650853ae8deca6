//! APIs made ready to serve, in memory: route tables, settings and token buckets of each stage.
//! Forgotten on every change made by this process; changes made by another one are not seen yet.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Instant;

use cumulet_base::limits;

use crate::errors::Error;
use crate::routing::{RouteKey, RouteTable};
use crate::shapes::{Api, Authorizer, Integration, Route, Stage};
use crate::storage::Storage;
use crate::throttle::Bucket;

#[derive(Debug)]
pub struct ReadyApi {
    pub api: Api,
    pub stages: BTreeMap<String, ReadyStage>,
    pub authorizers: BTreeMap<String, Authorizer>,
    /// Zero of the buckets' time.
    pub since: Instant,
}

#[derive(Debug)]
pub struct ReadyStage {
    pub stage: Stage,
    pub table: RouteTable,
    pub routes: Vec<ReadyRoute>,
}

#[derive(Debug)]
pub struct ReadyRoute {
    pub route: Route,
    pub key: RouteKey,
    pub integration: Option<Integration>,
    pub bucket: Option<Bucket>,
}

struct Inner<T> {
    apis: HashMap<String, Arc<T>>,
    /// Counts changes, so that what was read before one is not kept after it.
    generation: u64,
}

pub struct ReadyApis<T = ReadyApi> {
    inner: RwLock<Inner<T>>,
}

impl<T> Default for ReadyApis<T> {
    fn default() -> ReadyApis<T> {
        ReadyApis { inner: RwLock::new(Inner { apis: HashMap::new(), generation: 0 }) }
    }
}

impl<T> ReadyApis<T> {
    /// What is ready already.
    pub fn known(&self, api_id: &str) -> Option<Arc<T>> {
        self.inner.read().unwrap_or_else(PoisonError::into_inner).apis.get(api_id).cloned()
    }

    pub fn forget(&self, api_id: &str) {
        // A panic elsewhere cannot have left a half-made entry.
        let mut inner = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        inner.generation += 1;
        inner.apis.remove(api_id);
    }

    /// What is ready, or else what `made` gives; `None` when there is no such API.
    pub async fn get(
        &self,
        api_id: &str,
        made: impl Future<Output = Result<Option<T>, Error>>,
    ) -> Result<Option<Arc<T>>, Error> {
        let generation = {
            let inner = self.inner.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(api) = inner.apis.get(api_id) {
                return Ok(Some(api.clone()));
            }
            inner.generation
        };
        let Some(api) = made.await? else {
            return Ok(None);
        };
        let api = Arc::new(api);
        let mut inner = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        if inner.generation == generation {
            if inner.apis.len() >= limits::HTTP_APIS_READY_MAX {
                let any = inner.apis.keys().next().cloned();
                any.and_then(|id| inner.apis.remove(&id));
            }
            return Ok(Some(inner.apis.entry(api_id.to_owned()).or_insert(api).clone()));
        }
        Ok(Some(api))
    }
}

pub async fn make(storage: &Storage, api_id: &str) -> Result<Option<ReadyApi>, Error> {
    let Some(rows) = storage.load(api_id).await? else {
        return Ok(None);
    };
    let mut stages = BTreeMap::new();
    for (name, stage) in &rows.stages {
        let routes = match (&stage.auto_deploy, &stage.deployment_id) {
            (true, _) => {
                let with = |route: &Route| {
                    let target = route.target.as_deref()?.strip_prefix("integrations/")?;
                    rows.integrations.get(target).cloned()
                };
                rows.routes.values().map(|r| (r.clone(), with(r))).collect()
            }
            (false, Some(deployment_id)) => storage.frozen(api_id, deployment_id).await?,
            (false, None) => Vec::new(),
        };
        stages.insert(name.clone(), stage_of(stage, routes));
    }
    Ok(Some(ReadyApi { api: rows.api, stages, authorizers: rows.authorizers, since: Instant::now() }))
}

fn stage_of(stage: &Stage, routes: Vec<(Route, Option<Integration>)>) -> ReadyStage {
    let mut table = RouteTable::default();
    let mut ready = Vec::new();
    for (route, integration) in routes {
        let Some(key) = RouteKey::parse(&route.route_key) else {
            continue;
        };
        table.add(&key, ready.len());
        let bucket = bucket_of(stage, &route.route_key);
        ready.push(ReadyRoute { route, key, integration, bucket });
    }
    ReadyStage { stage: stage.clone(), table, routes: ready }
}

/// The route's own limits, or else the stage's; each route has a bucket of its own. A limit given alone bounds rate and burst alike.
fn bucket_of(stage: &Stage, route_key: &str) -> Option<Bucket> {
    let own = stage.route_settings.get(route_key);
    let own_or = |own: Option<f64>, default: Option<f64>| own.or(default);
    let default = &stage.default_route_settings;
    let rate = own_or(own.and_then(|s| s.throttling_rate_limit), default.throttling_rate_limit);
    let burst = own.and_then(|s| s.throttling_burst_limit).or(default.throttling_burst_limit);
    match (rate, burst) {
        (None, None) => None,
        (Some(rate), None) => Some(Bucket::new(rate, rate.ceil().min(f64::from(u32::MAX)) as u32)),
        (None, Some(burst)) => Some(Bucket::new(f64::from(burst), burst)),
        (Some(rate), Some(burst)) => Some(Bucket::new(rate, burst)),
    }
}
