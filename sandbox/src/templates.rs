//! Which functions have a live template, and why others have none. The first start of a function version is a plain one
//! and has its template made beside, unless that was done when it was deployed; later ones are clones. A function whose
//! initialisation may not or cannot be cloned gets a template of the booted runtime, which then loads the code in each clone; what
//! cannot be cloned even so is started plainly. A hot function gets a second template; those that are not worth their memory go
//! (`cumulet_engine::policy::templates`). How a clone is made is in `clone`.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use cumulet_base::limits;
use cumulet_engine::policy::templates::{BYTES_GUESSED, Cache};

use crate::clone::{Clone, Template};
use crate::stock::Stock;

/// What a template has behind it when it parks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The function's own initialisation.
    Initialised,
    /// Only the runtime's.
    Booted,
}

/// A template with what must live as long as it.
pub(crate) struct Live {
    pub template: Template,
    pub kind: Kind,
    /// Its clones have nothing to do before their first event, and do not say that they are ready.
    pub is_quiet: bool,
    /// What the template was started with; a clone is told what differs.
    pub environment: Vec<(String, String)>,
    /// The platform's endpoint inside, and the watch for those who want to register as extensions; shared by the clones, as
    /// the network is.
    pub _tasks: Vec<crate::extensions::attendant::Task>,
    /// Somebody wanted to register, here or in a clone.
    pub has_registered: Arc<AtomicBool>,
    /// What it holds for itself.
    pub bytes: u64,
    /// Clones made ahead.
    pub stock: Stock,
    /// Ports on which the platform listens in the function's network.
    pub listen: Vec<u16>,
    /// Its clones listen themselves, so that each needs a network of its own.
    pub own_networks: AtomicBool,
    /// Clones being made of it.
    pub pending: AtomicUsize,
    pub since: Instant,
}

impl Live {
    pub(crate) fn has_own_networks(&self) -> bool {
        self.own_networks.load(Ordering::Relaxed)
    }
}

/// The templates of one kind of one function version.
#[derive(Default)]
struct Slot {
    is_booting: bool,
    live: Vec<Arc<Live>>,
    /// None are made; the reason is for the operator.
    refused: Option<String>,
    /// Clones that could not be made, one after the other, and templates that ended soon.
    failures: u32,
    heat: Heat,
}

/// For how long the least busy template of a slot has had too much to do.
#[derive(Default)]
struct Heat {
    since: Option<Instant>,
}

impl Heat {
    /// Called at each demand. A burst that ends before another template were there would only be slowed down by it.
    fn is_hot(&mut self, pending: usize, now: Instant) -> bool {
        if pending < PENDING_HOT {
            self.since = None;
            return false;
        }
        now.duration_since(*self.since.get_or_insert(now)) >= HOT_AFTER
    }
}

struct Entry {
    revision: String,
    initialised: Slot,
    booted: Slot,
    /// Its instances listen, and may not meet in one network.
    listens: bool,
    used: u64,
}

/// What a start should do.
#[derive(Default)]
pub(crate) struct Choice {
    /// Clone this; otherwise start plainly.
    pub live: Option<Arc<Live>>,
    /// Make such a template beside.
    pub boot: Option<Kind>,
}

/// Failures of one kind before it is given up.
const FAILURES_MAX: u32 = 3;
/// A template that ends later than this after it was made did not end because of how it was made.
const SOON: Duration = Duration::from_secs(60);
/// A template that has so many clones to make, for so long, is hot.
const PENDING_HOT: usize = 3;
const HOT_AFTER: Duration = Duration::from_secs(1);

/// By function version.
pub(crate) struct Templates {
    known: Mutex<Known>,
}

struct Known {
    entries: HashMap<String, Entry>,
    cache: Cache<String>,
    uses: u64,
}

impl Slot {
    fn wants_boot(&self) -> bool {
        self.live.is_empty() && !self.is_booting && self.refused.is_none()
    }

    /// The least busy one.
    fn pick(&self) -> Option<&Arc<Live>> {
        self.live.iter().min_by_key(|live| live.pending.load(Ordering::Relaxed))
    }

    fn wants_another(&mut self) -> bool {
        let pending = self.pick().map_or(0, |live| live.pending.load(Ordering::Relaxed));
        let is_hot = self.heat.is_hot(pending, Instant::now());
        is_hot && self.live.len() < limits::FUNCTION_TEMPLATES_MAX && !self.is_booting
    }
}

impl Entry {
    fn new(revision: &str) -> Entry {
        let (initialised, booted) = (Slot::default(), Slot::default());
        Entry { revision: revision.to_owned(), initialised, booted, listens: false, used: 0 }
    }

    fn slot(&mut self, kind: Kind) -> &mut Slot {
        match kind {
            Kind::Initialised => &mut self.initialised,
            Kind::Booted => &mut self.booted,
        }
    }

    fn lives(&self) -> impl Iterator<Item = &Arc<Live>> {
        self.initialised.live.iter().chain(&self.booted.live)
    }

    /// The kind to use: what is wanted, and where that is refused, the booted runtime.
    fn kind(&self, wanted: Kind) -> Kind {
        if self.initialised.refused.is_some() { Kind::Booted } else { wanted }
    }
}

impl Known {
    /// Makes an entry for the revision, where there is none.
    fn meet(&mut self, version: &str, revision: &str) {
        let Known { entries, cache, .. } = self;
        if entries.get(version).is_some_and(|entry| entry.revision == revision) {
            return;
        }
        if entries.len() >= limits::TEMPLATES_KNOWN_MAX {
            let oldest = entries.iter().min_by_key(|(_, entry)| entry.used).map(|(version, _)| version.clone());
            if let Some(oldest) = oldest {
                entries.remove(&oldest);
                cache.dropped(&oldest);
            }
        }
        // The templates of another revision go with its entry.
        entries.insert(version.to_owned(), Entry::new(revision));
        cache.dropped(&version.to_owned());
    }
}

impl Templates {
    /// `bytes_max`: of all templates together.
    pub(crate) fn new(bytes_max: u64) -> Templates {
        let cache = Cache::new(limits::TEMPLATES_MAX, bytes_max, limits::TEMPLATES_KNOWN_MAX);
        Templates { known: Mutex::new(Known { entries: HashMap::new(), cache, uses: 0 }) }
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        // Nothing that can panic runs under the lock.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `boot` is answered once for each template to be made; what became of it is to be said by `ready` or `refuse`.
    pub(crate) fn choose(&self, version: &str, revision: &str, wanted: Kind) -> Choice {
        let mut known = self.lock();
        known.meet(version, revision);
        let Known { entries, cache, uses } = &mut *known;
        let is_worth_it = cache.used(&version.to_owned(), BYTES_GUESSED);
        *uses += 1;
        let Some(entry) = entries.get_mut(version) else { return Choice::default() };
        entry.used = *uses;
        let kind = entry.kind(wanted);
        let slot = entry.slot(kind);
        let boots = is_worth_it && (slot.wants_boot() || slot.wants_another());
        slot.is_booting |= boots;
        Choice { live: slot.pick().cloned(), boot: boots.then_some(kind) }
    }

    /// Whether the next start would be a clone.
    pub(crate) fn has_live(&self, version: &str, revision: &str) -> bool {
        let known = self.lock();
        known.entries.get(version).is_some_and(|entry| entry.revision == revision && entry.lives().next().is_some())
    }

    fn with<T>(&self, version: &str, revision: &str, act: impl FnOnce(&mut Entry) -> T) -> Option<T> {
        self.lock().entries.get_mut(version).filter(|entry| entry.revision == revision).map(act)
    }

    /// The template is ready, unless the function has changed meanwhile.
    pub(crate) fn ready(&self, version: &str, revision: &str, live: Arc<Live>) {
        let bytes = live.bytes;
        let is_kept = self.with(version, revision, |entry| {
            live.own_networks.store(entry.listens, Ordering::Relaxed);
            let slot = entry.slot(live.kind);
            slot.is_booting = false;
            slot.live.push(live);
        });
        if is_kept.is_none() {
            return;
        }
        let mut known = self.lock();
        for gone in known.cache.held(&version.to_owned(), bytes) {
            // Clones that run keep their template until they end.
            if let Some(entry) = known.entries.get_mut(&gone) {
                entry.initialised.live.clear();
                entry.booted.live.clear();
            }
        }
    }

    /// Whether it is known that instances of the function version listen.
    pub(crate) fn listens(&self, version: &str, revision: &str) -> bool {
        self.with(version, revision, |entry| entry.listens).unwrap_or(false)
    }

    /// An instance was seen to listen. Clones made before this share a network, and those in stock are given back to be ended.
    pub(crate) fn seen_listening(&self, version: &str, revision: &str) -> Vec<Clone> {
        self.with(version, revision, |entry| {
            entry.listens = true;
            let empty = |live: &Arc<Live>| {
                live.own_networks.store(true, Ordering::Relaxed);
                live.stock.empty()
            };
            entry.lives().flat_map(empty).collect()
        })
        .unwrap_or_default()
    }

    /// No such template; what to make instead.
    pub(crate) fn refuse(&self, version: &str, revision: &str, kind: Kind, reason: String) -> Option<Kind> {
        self.give_up(version, revision, kind, reason);
        self.with(version, revision, |entry| {
            entry.slot(kind).is_booting = false;
            let boots = kind == Kind::Initialised && entry.booted.wants_boot();
            entry.booted.is_booting |= boots;
            boots.then_some(Kind::Booted)
        })?
    }

    /// The function version cannot be cloned at all, whatever was thought before.
    pub(crate) fn never(&self, version: &str, revision: &str, reason: &str) {
        let mut known = self.lock();
        known.meet(version, revision);
        let Some(entry) = known.entries.get_mut(version) else { return };
        for slot in [&mut entry.initialised, &mut entry.booted] {
            slot.refused.get_or_insert_with(|| reason.to_owned());
            slot.live.clear();
        }
        known.cache.dropped(&version.to_owned());
    }

    fn give_up(&self, version: &str, revision: &str, kind: Kind, reason: String) {
        match kind {
            Kind::Initialised => tracing::warn!(function = version, "not cloned as initialised: {reason}"),
            Kind::Booted => tracing::warn!(function = version, "not cloned: {reason}"),
        }
        self.with(version, revision, |entry| {
            let slot = entry.slot(kind);
            slot.refused = Some(reason);
            slot.live.clear();
        });
        self.lock().cache.dropped(&version.to_owned());
    }

    /// A clone was made.
    pub(crate) fn succeeded(&self, version: &str, revision: &str, live: &Live) {
        if live.since.elapsed() > SOON {
            self.with(version, revision, |entry| entry.slot(live.kind).failures = 0);
        }
    }

    /// A clone could not be made. A template that has ended is made anew; what fails again and again is given up.
    pub(crate) fn failed(&self, version: &str, revision: &str, live: &Arc<Live>, reason: String) {
        let has_ended = !live.template.process.is_alive();
        let is_given_up = self.with(version, revision, |entry| {
            let slot = entry.slot(live.kind);
            if has_ended {
                // A second one is made anew, too, should it be needed.
                slot.live.clear();
            }
            slot.failures += u32::from(!has_ended || live.since.elapsed() < SOON);
            slot.failures >= FAILURES_MAX
        });
        match is_given_up {
            Some(true) => self.give_up(version, revision, live.kind, reason),
            _ => {
                tracing::warn!(function = version, "a clone could not be made: {reason}");
                if has_ended {
                    self.lock().cache.dropped(&version.to_owned());
                }
            }
        }
    }

    /// Whether the version's first template of the initialised function is being made.
    pub(crate) fn is_initialising(&self, version: &str) -> bool {
        let inner = self.lock();
        let entry = inner.entries.get(version);
        entry.is_some_and(|entry| entry.initialised.is_booting && entry.initialised.live.is_empty())
    }

    /// How instances of the function version come to be, in words.
    pub(crate) fn describe(&self, version: &str) -> Option<String> {
        self.lock().entries.get(version).map(|entry| {
            let reason = entry.initialised.refused.as_deref();
            let mut how = if !entry.initialised.live.is_empty() {
                "cloned".to_owned()
            } else if entry.initialised.is_booting || entry.booted.is_booting {
                "started; the template is being made".to_owned()
            } else if !entry.booted.live.is_empty() {
                match reason {
                    Some(reason) => format!("cloned from the booted runtime, as {reason}"),
                    None => "cloned from the booted runtime".to_owned(),
                }
            } else {
                match entry.booted.refused.as_deref().or(reason) {
                    Some(reason) => format!("started, not cloned: {reason}"),
                    None => "started; no template is live".to_owned(),
                }
            };
            if entry.listens && entry.lives().next().is_some() {
                how.push_str(", each with a network of its own, as it listens");
            }
            how
        })
    }
}

/// Counts a clone of it as being made.
pub(crate) struct Pending(pub Arc<Live>);

impl Pending {
    pub(crate) fn new(live: Arc<Live>) -> Pending {
        live.pending.fetch_add(1, Ordering::Relaxed);
        Pending(live)
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        self.0.pending.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_is_made_once_for_each_revision() {
        let templates = Templates::new(u64::MAX);
        let boot = |revision: &str| templates.choose("f", revision, Kind::Initialised).boot;
        assert_eq!(boot("1"), Some(Kind::Initialised));
        assert_eq!(boot("1"), None, "it is being made");
        assert_eq!(templates.refuse("f", "1", Kind::Initialised, "a thread".to_owned()), Some(Kind::Booted));
        assert_eq!(boot("1"), None, "the other one is being made");
        assert_eq!(templates.refuse("f", "1", Kind::Booted, "a thread".to_owned()), None);
        assert_eq!(boot("1"), None);
        assert_eq!(templates.describe("f").as_deref(), Some("started, not cloned: a thread"));
        assert_eq!(boot("2"), Some(Kind::Initialised));
        // Too late: about a revision that is no more.
        assert_eq!(templates.refuse("f", "1", Kind::Initialised, "a thread".to_owned()), None);
        assert_eq!(templates.describe("f").as_deref(), Some("started; the template is being made"));
        assert!(!templates.has_live("f", "2"));
    }

    #[test]
    fn a_template_is_hot_when_it_has_had_too_much_to_do_for_a_while() {
        let (mut heat, start) = (Heat::default(), Instant::now());
        let mut at = |ms: u64, pending: usize| heat.is_hot(pending, start + Duration::from_millis(ms));
        assert!(!at(0, 200), "a burst");
        assert!(!at(900, 200));
        assert!(!at(1000, PENDING_HOT - 1), "it is over");
        assert!(!at(1100, 200), "another one");
        assert!(at(2100, PENDING_HOT), "no burst");
    }

    #[test]
    fn who_does_not_ask_for_it_gets_the_booted_runtime() {
        let templates = Templates::new(u64::MAX);
        assert_eq!(templates.choose("f", "1", Kind::Booted).boot, Some(Kind::Booted));
        assert_eq!(templates.refuse("f", "1", Kind::Booted, "no memory".to_owned()), None);
        assert_eq!(templates.describe("f").as_deref(), Some("started, not cloned: no memory"));
    }
}
