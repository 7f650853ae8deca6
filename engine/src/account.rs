//! How many invocations an account has under way: what its functions without a reservation share is the account's limit
//! less all reservations (<https://docs.aws.amazon.com/lambda/latest/dg/lambda-concurrency.html>).

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

#[derive(Debug, Default)]
pub struct Account {
    /// Of the functions without a reservation.
    shared: Arc<Gate>,
    /// What functions without a reservation may have at a time.
    unreserved: AtomicUsize,
    /// Of those with one, by name: all versions of a function share it.
    reserved: Mutex<HashMap<String, Arc<Gate>>>,
}

#[derive(Debug, Default)]
struct Gate(AtomicUsize);

impl Gate {
    fn enter(self: &Arc<Gate>, max: usize) -> Option<Admission> {
        let before = self.0.fetch_add(1, Ordering::Relaxed);
        let admission = Admission(self.clone());
        (before < max).then_some(admission)
    }
}

impl Account {
    pub fn set_unreserved(&self, unreserved: usize) {
        self.unreserved.store(unreserved, Ordering::Relaxed);
    }

    /// Counts an invocation of a function without a reservation; `None` when the account is at its limit.
    pub fn enter(&self) -> Option<Admission> {
        self.shared.enter(self.unreserved.load(Ordering::Relaxed))
    }

    /// Counts an invocation of a function that has so many reserved; `None` when it has all of them.
    pub fn enter_reserved(&self, function: &str, max: usize) -> Option<Admission> {
        let mut reserved = self.reserved.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(gate) = reserved.get(function) {
            return gate.enter(max);
        }
        // Those of functions that are quiet are not needed.
        reserved.retain(|_, gate| Arc::strong_count(gate) > 1);
        reserved.entry(function.to_owned()).or_default().enter(max)
    }
}

/// One invocation under way.
pub struct Admission(Arc<Gate>);

impl Drop for Admission {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_holds_and_is_given_back() {
        let account = Account::default();
        account.set_unreserved(1);
        let first = account.enter();
        assert!(first.is_some() && account.enter().is_none());
        drop(first);
        assert!(account.enter().is_some());
        let one = account.enter_reserved("f", 1);
        assert!(one.is_some() && account.enter_reserved("f", 1).is_none());
        assert!(account.enter_reserved("g", 1).is_some());
        assert!(account.enter_reserved("f", 2).is_some());
        assert!(account.enter_reserved("f", 0).is_none());
    }
}
