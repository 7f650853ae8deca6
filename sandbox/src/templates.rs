//! Which functions have a live template, and why others have none. The first start of a function version is a plain one
//! and has its template made beside; later ones are clones. The least recently used template goes when there are too many.
//! How a clone is made is in `clone`.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use cumulet_base::limits;

use crate::clone::Template;

/// A template with what must live as long as it.
pub(crate) struct Live {
    pub template: Template,
    /// What the template was started with; a clone is told what differs.
    pub environment: Vec<(String, String)>,
    /// The platform's endpoint inside; shared by the clones, as the network is.
    pub _platform: Option<crate::instance::PlatformTask>,
}

enum State {
    Booting,
    Live(Arc<Live>),
    /// Starts are plain ones; the reason is for the operator.
    Refused(String),
}

struct Entry {
    revision: String,
    state: State,
    used: Instant,
}

/// What a start should do.
pub(crate) enum Choice {
    Clone(Arc<Live>),
    /// Start plainly, and make the template beside.
    Boot,
    /// Start plainly.
    Plain,
}

/// By function version.
#[derive(Default)]
pub(crate) struct Templates {
    entries: Mutex<HashMap<String, Entry>>,
}

impl Templates {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Entry>> {
        // Nothing that can panic runs under the lock.
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `Boot` is answered once for each revision.
    pub(crate) fn choose(&self, version: &str, revision: &str) -> Choice {
        let mut entries = self.lock();
        match entries.get_mut(version) {
            Some(entry) if entry.revision == revision => {
                entry.used = Instant::now();
                match &entry.state {
                    State::Live(live) => Choice::Clone(live.clone()),
                    State::Booting | State::Refused(_) => Choice::Plain,
                }
            }
            _ => {
                if entries.len() >= limits::TEMPLATES_KNOWN_MAX {
                    forget_oldest(&mut entries, |_| true);
                }
                let state = State::Booting;
                let entry = Entry { revision: revision.to_owned(), state, used: Instant::now() };
                entries.insert(version.to_owned(), entry);
                Choice::Boot
            }
        }
    }

    /// The template is ready, unless the function has changed meanwhile.
    pub(crate) fn ready(&self, version: &str, revision: &str, live: Live) {
        let mut entries = self.lock();
        if let Some(entry) = entries.get_mut(version).filter(|entry| entry.revision == revision) {
            entry.state = State::Live(Arc::new(live));
        }
        let is_live = |entry: &Entry| matches!(entry.state, State::Live(_));
        if entries.values().filter(|entry| is_live(entry)).count() > limits::TEMPLATES_MAX {
            forget_oldest(&mut entries, is_live);
        }
    }

    pub(crate) fn refuse(&self, version: &str, revision: &str, reason: String) {
        tracing::warn!(function = version, "not cloned: {reason}");
        if let Some(entry) = self.lock().get_mut(version).filter(|entry| entry.revision == revision) {
            entry.state = State::Refused(reason);
        }
    }

    /// How instances of the function version come to be, in words.
    pub(crate) fn describe(&self, version: &str) -> Option<String> {
        self.lock().get(version).map(|entry| match &entry.state {
            State::Booting => "started; the template is being made".to_owned(),
            State::Live(_) => "cloned".to_owned(),
            State::Refused(reason) => format!("started, not cloned: {reason}"),
        })
    }
}

/// Clones that run keep their template until they end.
fn forget_oldest(entries: &mut HashMap<String, Entry>, which: impl Fn(&Entry) -> bool) {
    let oldest = entries.iter().filter(|(_, entry)| which(entry)).min_by_key(|(_, entry)| entry.used);
    if let Some(version) = oldest.map(|(version, _)| version.clone()) {
        entries.remove(&version);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_is_made_once_for_each_revision() {
        let templates = Templates::default();
        assert!(matches!(templates.choose("f", "1"), Choice::Boot));
        assert!(matches!(templates.choose("f", "1"), Choice::Plain));
        templates.refuse("f", "1", "a thread".to_owned());
        assert!(matches!(templates.choose("f", "1"), Choice::Plain));
        assert_eq!(templates.describe("f").as_deref(), Some("started, not cloned: a thread"));
        assert!(matches!(templates.choose("f", "2"), Choice::Boot));
        // Too late: about a revision that is no more.
        templates.refuse("f", "1", "a thread".to_owned());
        assert_eq!(templates.describe("f").as_deref(), Some("started; the template is being made"));
    }
}
