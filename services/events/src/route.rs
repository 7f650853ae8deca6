//! What a bus does with an event: the rules and archives that want it. Read from the store and compiled once, and again
//! after each change.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use cumulet_base::limits;
use cumulet_wire::error::ApiError;
use cumulet_wire::event_pattern::Pattern;
use serde_json::Value;

use crate::model::{Archive, Bus, DEFAULT, Place, Rule, Target};
use crate::storage::{Kind, Storage};
use crate::transform::Input;

/// A bus, compiled.
#[derive(Debug)]
pub struct Route {
    pub bus: Bus,
    pub rules: Vec<RouteRule>,
    pub archives: Vec<RouteArchive>,
}

#[derive(Debug)]
pub struct RouteRule {
    pub name: String,
    pub arn: String,
    pub rule: Rule,
    pattern: Option<Pattern>,
    pub targets: Vec<RouteTarget>,
}

#[derive(Debug)]
pub struct RouteTarget {
    pub target: Target,
    pub input: Input,
}

#[derive(Debug)]
pub struct RouteArchive {
    pub archive: Archive,
    pattern: Option<Pattern>,
}

impl RouteRule {
    pub fn wants(&self, event: &Value) -> bool {
        self.rule.is_enabled() && self.pattern.as_ref().is_some_and(|pattern| pattern.matches(event))
    }
}

impl RouteArchive {
    pub fn wants(&self, event: &Value) -> bool {
        self.pattern.as_ref().is_none_or(|pattern| pattern.matches(event))
    }
}

impl Route {
    pub fn rule(&self, name: &str) -> Option<&RouteRule> {
        self.rules.iter().find(|rule| rule.name == name)
    }
}

/// Each with when it was read.
type Known = HashMap<(Place, String), (Instant, Option<Arc<Route>>)>;

#[derive(Default)]
pub struct Routes {
    known: RwLock<Known>,
    /// Counts changes, so that what was read before one is not kept after it.
    changes: AtomicU64,
}

impl Routes {
    /// To be called after each commit that changes what a bus does.
    pub fn forget(&self, place: &Place, bus: &str) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        self.changes.fetch_add(1, Ordering::SeqCst);
        known.remove(&(place.clone(), bus.to_owned()));
    }

    /// `None`: there is no such bus.
    pub async fn get(&self, storage: &Storage, place: &Place, bus: &str) -> Result<Option<Arc<Route>>, ApiError> {
        let key = (place.clone(), bus.to_owned());
        let fresh = Duration::from_millis(limits::EVENTS_ROUTE_MS);
        if let Some((read, route)) = self.known.read().unwrap_or_else(PoisonError::into_inner).get(&key)
            && read.elapsed() < fresh
        {
            return Ok(route.clone());
        }
        let read_at = Instant::now();
        let before = self.changes.load(Ordering::SeqCst);
        let route = read(storage, place, bus).await?.map(Arc::new);
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if self.changes.load(Ordering::SeqCst) == before {
            if known.len() >= limits::EVENTS_ROUTES_KEPT {
                known.clear();
            }
            known.insert(key, (read_at, route.clone()));
        }
        Ok(route)
    }
}

/// The record of a bus; the default one is there without.
pub async fn find_bus(storage: &Storage, place: &Place, bus: &str) -> Result<Option<Bus>, ApiError> {
    let found = storage.get::<Bus>(Kind::Bus, place, &[bus]).await?.map(|(bus, _)| bus);
    Ok(found.or_else(|| (bus == DEFAULT).then(|| Bus { v: crate::model::FORMAT, ..Bus::default() })))
}

async fn read(storage: &Storage, place: &Place, name: &str) -> Result<Option<Route>, ApiError> {
    let Some(bus) = find_bus(storage, place, name).await? else { return Ok(None) };
    // What was accepted compiles; what an older version accepted and this one does not matches nothing.
    let compiled = |text: &Option<String>| text.as_ref().map(|text| Pattern::parse(text));
    let mut rules = Vec::new();
    for (rule_name, rule) in all::<Rule>(storage, Kind::Rule, place, &[name]).await? {
        let targets = all::<Target>(storage, Kind::Target, place, &[name, &rule_name]).await?;
        let targets = targets.into_iter().filter_map(|(_, target)| {
            let input = Input::new(&target).ok()?;
            Some(RouteTarget { target, input })
        });
        rules.push(RouteRule {
            arn: place.rule_arn(name, &rule_name),
            pattern: compiled(&rule.pattern).and_then(Result::ok),
            targets: targets.collect(),
            name: rule_name,
            rule,
        });
    }
    let mut archives = Vec::new();
    for (_, archive) in all::<Archive>(storage, Kind::Archive, place, &[]).await? {
        let pattern = match compiled(&archive.pattern) {
            Some(Err(_)) => continue,
            pattern => pattern.and_then(Result::ok),
        };
        if archive.bus == name {
            archives.push(RouteArchive { archive, pattern });
        }
    }
    Ok(Some(Route { bus, rules, archives }))
}

/// Every record under some names.
pub async fn all<T: serde::de::DeserializeOwned>(
    storage: &Storage,
    kind: Kind,
    place: &Place,
    under: &[&str],
) -> Result<Vec<(String, T)>, ApiError> {
    let mut found: Vec<(String, T)> = Vec::new();
    loop {
        let after = found.last().map(|(name, _)| name.clone());
        let page = storage.list(kind, place, under, "", after.as_deref(), limits::EVENTS_PAGE_ROWS).await?;
        let is_last = page.len() < limits::EVENTS_PAGE_ROWS;
        found.extend(page);
        if is_last {
            return Ok(found);
        }
    }
}
