//! How many invocations an account has under way: what its functions without a reservation share is the account's limit
//! less all reservations (<https://docs.aws.amazon.com/lambda/latest/dg/lambda-concurrency.html>).

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

#[derive(Debug, Default)]
pub struct Account {
    in_flight: AtomicUsize,
    /// What functions without a reservation may have at a time.
    unreserved: AtomicUsize,
}

impl Account {
    pub fn set_unreserved(&self, unreserved: usize) {
        self.unreserved.store(unreserved, Ordering::Relaxed);
    }

    /// Counts an invocation of a function without a reservation; `None` when the account is at its limit.
    pub fn enter(self: &Arc<Self>) -> Option<Admission> {
        let before = self.in_flight.fetch_add(1, Ordering::Relaxed);
        let admission = Admission(self.clone());
        (before < self.unreserved.load(Ordering::Relaxed)).then_some(admission)
    }
}

/// One invocation under way.
pub struct Admission(Arc<Account>);

impl Drop for Admission {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_holds_and_is_given_back() {
        let account = Arc::new(Account::default());
        account.set_unreserved(1);
        let first = account.enter();
        assert!(first.is_some() && account.enter().is_none());
        drop(first);
        assert!(account.enter().is_some());
    }
}
