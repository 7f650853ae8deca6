//! What may begin when, of steps that wait for one another. Pure.

use std::collections::{BTreeMap, BTreeSet};

#[derive(Debug, Default)]
pub struct Schedule {
    /// What is not over, with what it waits for.
    waiting: BTreeMap<String, BTreeSet<String>>,
    begun: BTreeSet<String>,
    /// In the order in which they were given, which is that of the template.
    order: Vec<String>,
}

impl Schedule {
    /// What is waited for and not among the steps is taken as done.
    pub fn new(steps: impl IntoIterator<Item = (String, BTreeSet<String>)>) -> Schedule {
        let mut schedule = Schedule::default();
        for (id, needs) in steps {
            schedule.order.push(id.clone());
            schedule.waiting.insert(id, needs);
        }
        let known: BTreeSet<String> = schedule.waiting.keys().cloned().collect();
        for (id, needs) in &mut schedule.waiting {
            needs.retain(|need| known.contains(need) && need != id);
        }
        schedule
    }

    /// Steps that may begin now; they are taken as begun.
    pub fn ready(&mut self, count_max: usize) -> Vec<String> {
        let ready: Vec<String> = self
            .order
            .iter()
            .filter(|id| !self.begun.contains(*id) && self.waiting.get(*id).is_some_and(BTreeSet::is_empty))
            .take(count_max)
            .cloned()
            .collect();
        self.begun.extend(ready.iter().cloned());
        ready
    }

    pub fn done(&mut self, id: &str) {
        self.waiting.remove(id);
        for needs in self.waiting.values_mut() {
            needs.remove(id);
        }
    }

    /// Lets go of circles, which only a damaged record has: what waits waits no longer.
    pub fn is_stuck(&self) -> bool {
        !self.waiting.is_empty()
            && self.waiting.keys().all(|id| !self.begun.contains(id))
            && self.waiting.values().all(|needs| !needs.is_empty())
    }

    pub fn release(&mut self) {
        self.waiting.values_mut().for_each(BTreeSet::clear);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(list: &[(&str, &[&str])]) -> Schedule {
        let step = |(id, needs): &(&str, &[&str])| ((*id).to_owned(), needs.iter().map(|n| (*n).to_owned()).collect());
        Schedule::new(list.iter().map(step))
    }

    #[test]
    fn steps_begin_when_what_they_need_is_done() {
        let mut schedule = steps(&[("c", &["a", "b"]), ("a", &["elsewhere"]), ("b", &["a"]), ("d", &[])]);
        assert_eq!(schedule.ready(9), ["a", "d"]);
        assert!(schedule.ready(9).is_empty());
        schedule.done("a");
        assert_eq!(schedule.ready(9), ["b"]);
        schedule.done("d");
        schedule.done("b");
        assert_eq!(schedule.ready(9), ["c"]);
        assert_eq!(steps(&[("a", &[]), ("b", &[])]).ready(1), ["a"]);
    }

    #[test]
    fn circles_are_let_go() {
        let mut schedule = steps(&[("a", &["b"]), ("b", &["a"])]);
        assert!(schedule.ready(9).is_empty() && schedule.is_stuck());
        schedule.release();
        assert_eq!(schedule.ready(9), ["a", "b"]);
        assert!(!schedule.is_stuck());
    }
}
