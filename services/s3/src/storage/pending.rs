//! Which blobs of this process may still get a record: those of requests under way, and those of requests that ended
//! in the midst of their commit, with the client that went away. By rounds of the scrubber and not by a clock, which a machine that slept would have
//! ahead of its requests.

use std::collections::HashSet;
use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError};

#[derive(Clone, Default)]
pub struct Pending(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    under_way: HashSet<String>,
    /// Their requests ended since the round before, and a commit may still be on its way.
    left: HashSet<String>,
}

impl Pending {
    pub fn begin(&self, name: String) -> NewBlob {
        self.with(|state| state.under_way.insert(name.clone()));
        NewBlob { name, pending: self.clone(), is_committing: false }
    }

    /// A round begins; answers what was left in the one before, and is to be left alone in this one.
    pub fn round(&self) -> HashSet<String> {
        self.with(|state| std::mem::take(&mut state.left))
    }

    pub fn contains(&self, name: &str) -> bool {
        self.with(|state| state.under_way.contains(name) || state.left.contains(name))
    }

    fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The name of a blob that is to get a record.
pub struct NewBlob {
    name: String,
    pending: Pending,
    is_committing: bool,
}

impl NewBlob {
    /// Awaits the commit that gives it its record. Once that has an outcome, the name is as good as any; where the request
    /// ends before, the commit may still come.
    pub async fn named_by<T>(mut self, commit: impl Future<Output = T>) -> T {
        self.is_committing = true;
        let outcome = commit.await;
        self.is_committing = false;
        outcome
    }
}

impl Deref for NewBlob {
    type Target = String;

    fn deref(&self) -> &String {
        &self.name
    }
}

impl Drop for NewBlob {
    fn drop(&mut self) {
        let name = std::mem::take(&mut self.name);
        self.pending.with(|state| {
            state.under_way.remove(&name);
            if self.is_committing {
                state.left.insert(name);
            }
        });
    }
}
