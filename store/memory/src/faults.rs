//! What the memory store is told to do wrong, and how many times. Deliberately counted, not random: a test says what happens when.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cumulet_store::{Error, Result};

/// A handle that tests keep while the store works; clones share the same orders.
#[derive(Clone, Debug, Default)]
pub struct Faults(Arc<Mutex<Orders>>);

#[derive(Debug, Default)]
struct Orders {
    commits: VecDeque<OnCommit>,
    reads: usize,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum OnCommit {
    ApplyUnknown,
    Lose,
    Fail,
}

impl Faults {
    /// The next `n` commits are applied and answer [`cumulet_store::Outcome::Unknown`].
    pub fn apply_next_as_unknown(&self, n: usize) {
        self.order(OnCommit::ApplyUnknown, n);
    }

    /// The next `n` commits are not applied and answer [`cumulet_store::Outcome::Unknown`].
    pub fn lose_next(&self, n: usize) {
        self.order(OnCommit::Lose, n);
    }

    /// The next `n` commits are not applied and answer [`Error::Backend`].
    pub fn fail_commits(&self, n: usize) {
        self.order(OnCommit::Fail, n);
    }

    /// The next `n` reads of rows or changes answer [`Error::Backend`].
    pub fn fail_reads(&self, n: usize) {
        self.orders().reads += n;
    }

    /// Orders of commits follow each other in the sequence they were given.
    fn order(&self, fault: OnCommit, n: usize) {
        self.orders().commits.extend(std::iter::repeat_n(fault, n));
    }

    pub(crate) fn on_commit(&self) -> Option<OnCommit> {
        self.orders().commits.pop_front()
    }

    pub(crate) fn on_read(&self, doing: &'static str) -> Result<()> {
        let mut orders = self.orders();
        if orders.reads == 0 {
            return Ok(());
        }
        orders.reads -= 1;
        Err(Error::Backend { doing, reason: "a fault was asked for".into() })
    }

    fn orders(&self) -> MutexGuard<'_, Orders> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
