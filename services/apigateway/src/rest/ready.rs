//! REST APIs made ready to serve, and the keys that usage plans let in, in memory.
//! Forgotten on every change made by this process.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use super::operations::keys::{KEY, PLAN};
use super::shapes::{ApiKey, Method, RestApi, Stage, Throttle, UsagePlan};
use super::usage::Usages;
use crate::errors::Error;
use crate::ready::ReadyApis;
use crate::routing::{RouteKey, RouteTable};
use crate::storage::Storage;
use crate::storage::rest::Definition;
use crate::throttle::Bucket;

#[derive(Debug)]
pub struct ReadyRest {
    pub api: RestApi,
    pub stages: BTreeMap<String, ReadyStage>,
    /// Zero of the buckets' time.
    pub since: Instant,
}

#[derive(Debug)]
pub struct ReadyStage {
    pub stage: Stage,
    pub definition: Definition,
    pub table: RouteTable,
    pub methods: Vec<ReadyMethod>,
}

#[derive(Debug)]
pub struct ReadyMethod {
    pub resource_id: String,
    pub resource_path: String,
    pub method: Method,
    pub bucket: Option<Bucket>,
}

/// A key, and the plans it is in.
#[derive(Debug)]
pub struct Admitted {
    pub key: ApiKey,
    plans: Vec<ReadyPlan>,
}

#[derive(Debug)]
pub struct ReadyPlan {
    pub plan: UsagePlan,
    bucket: Option<Bucket>,
    /// Of methods with limits of their own, by API, stage and method.
    methods: HashMap<(String, String, String), Bucket>,
}

/// What becomes of a request with a key.
#[derive(Debug)]
pub enum Admission<'a> {
    /// As far as the quota of this plan goes.
    Passes(&'a UsagePlan),
    Forbidden,
    Throttled,
}

impl Admitted {
    /// A method's own limits come before those of the plan.
    pub fn admit(&self, (api_id, stage, method): (&str, &str, &str), now_ns: u64) -> Admission<'_> {
        let is_in = |plan: &UsagePlan| plan.api_stages.iter().any(|p| p.api_id == api_id && p.stage == stage);
        let Some(ready) = self.plans.iter().find(|ready| is_in(&ready.plan)).filter(|_| self.key.enabled) else {
            return Admission::Forbidden;
        };
        let own = match ready.methods.is_empty() {
            true => None,
            false => ready.methods.get(&(api_id.to_owned(), stage.to_owned(), method.to_owned())),
        };
        match own.or(ready.bucket.as_ref()) {
            Some(bucket) if !bucket.take(now_ns) => Admission::Throttled,
            _ => Admission::Passes(&ready.plan),
        }
    }
}

/// Keys of an account and region by their values, as of a generation.
type Keys = Arc<HashMap<String, Arc<Admitted>>>;

pub struct Rests {
    apis: ReadyApis<ReadyRest>,
    keys: Mutex<HashMap<(String, String), (u64, Keys)>>,
    generation: AtomicU64,
    since: Instant,
    pub usages: Usages,
}

impl Default for Rests {
    fn default() -> Rests {
        Rests {
            apis: ReadyApis::default(),
            keys: Mutex::default(),
            generation: AtomicU64::new(0),
            since: Instant::now(),
            usages: Usages::default(),
        }
    }
}

impl Rests {
    pub fn known(&self, api_id: &str) -> Option<Arc<ReadyRest>> {
        self.apis.known(api_id)
    }

    pub fn forget(&self, api_id: &str) {
        self.apis.forget(api_id);
    }

    pub fn forget_plans(&self) {
        self.generation.fetch_add(1, Ordering::SeqCst);
    }

    pub async fn get(&self, storage: &Storage, api_id: &str) -> Result<Option<Arc<ReadyRest>>, Error> {
        self.apis.get(api_id, make(storage, api_id)).await
    }

    pub fn now_ns(&self) -> u64 {
        self.since.elapsed().as_nanos() as u64
    }

    /// The key of that value.
    pub async fn key(&self, storage: &Storage, api: &RestApi, value: &str) -> Result<Option<Arc<Admitted>>, Error> {
        let generation = self.generation.load(Ordering::SeqCst);
        let owner = (api.account.clone(), api.region.clone());
        let known = self.keys.lock().unwrap_or_else(PoisonError::into_inner).get(&owner).cloned();
        if let Some((_, keys)) = known.filter(|(of, _)| *of == generation) {
            return Ok(keys.get(value).cloned());
        }
        let keys: Vec<ApiKey> = storage.list_owned(&api.account, &api.region, KEY).await?;
        let plans: Vec<UsagePlan> = storage.list_owned(&api.account, &api.region, PLAN).await?;
        let admitted = keys.into_iter().map(|key| {
            let of = plans.iter().filter(|plan| plan.keys.contains(&key.id));
            let plans = of.map(|plan| {
                let of_limits = |limits: &Throttle| Bucket::new(limits.rate_limit, limits.burst_limit);
                let methods = plan.api_stages.iter().flat_map(|place| {
                    place.throttle.iter().map(move |(method, limits)| {
                        ((place.api_id.clone(), place.stage.clone(), method.clone()), of_limits(limits))
                    })
                });
                ReadyPlan {
                    bucket: plan.throttle.as_ref().map(of_limits),
                    methods: methods.collect(),
                    plan: plan.clone(),
                }
            });
            (key.value.clone(), Arc::new(Admitted { plans: plans.collect(), key }))
        });
        let keys: Keys = Arc::new(admitted.collect());
        let found = keys.get(value).cloned();
        self.keys.lock().unwrap_or_else(PoisonError::into_inner).insert(owner, (generation, keys));
        Ok(found)
    }
}

async fn make(storage: &Storage, api_id: &str) -> Result<Option<ReadyRest>, Error> {
    let Some(rows) = storage.load_rest(api_id).await? else { return Ok(None) };
    let mut stages = BTreeMap::new();
    for (name, stage) in rows.stages {
        let definition = storage.frozen_rest(api_id, &stage.deployment_id).await?;
        stages.insert(name, stage_of(stage, definition));
    }
    Ok(Some(ReadyRest { api: rows.api, stages, since: Instant::now() }))
}

fn stage_of(stage: Stage, definition: Definition) -> ReadyStage {
    let (mut table, mut methods) = (RouteTable::default(), Vec::new());
    for resource in definition.resources.values() {
        for (name, method) in &resource.resource_methods {
            let key = RouteKey::Path { method: name.clone(), path: resource.path.clone() };
            table.add(&key, methods.len());
            methods.push(ReadyMethod {
                resource_id: resource.id.clone(),
                resource_path: resource.path.clone(),
                method: method.clone(),
                bucket: bucket_of(&stage, &resource.path, name),
            });
        }
    }
    ReadyStage { stage, definition, table, methods }
}

/// The method's own limits, or else those of all methods.
fn bucket_of(stage: &Stage, path: &str, method: &str) -> Option<Bucket> {
    let own = stage.method_settings.get(&format!("{}/{method}", path.replace('/', "~1")));
    let all = stage.method_settings.get("*/*");
    let of = |pick: fn(&super::shapes::MethodSetting) -> Option<f64>| own.and_then(pick).or_else(|| all.and_then(pick));
    // Below zero there is none, as CDK writes it.
    let rate = of(|setting| setting.throttling_rate_limit).filter(|rate| *rate >= 0.0);
    let burst = of(|setting| setting.throttling_burst_limit.map(f64::from));
    match (rate, burst) {
        (None, None) => None,
        (Some(rate), burst) => Some(Bucket::new(rate, burst.unwrap_or(rate.ceil()) as u32)),
        (None, Some(burst)) => Some(Bucket::new(burst, burst as u32)),
    }
}
