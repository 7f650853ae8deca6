//! What every storage backend must do, as one suite: a property against a naive model, and cases for what a model cannot say
//! (concurrency, watching, repetition). Durability across crashes is each backend's own test.

mod cases;
mod concurrent;
mod model;
mod property;

use std::sync::Arc;

use cumulet_store::Store;

/// Runs the whole suite; `make` gives an empty store each time. Needs a multi-threaded runtime.
///
/// # Panics
/// On the first thing that a backend does differently.
pub async fn run<S: Store + ?Sized>(make: impl Fn() -> Arc<S>) {
    macro_rules! each {
        ($($case:path),* $(,)?) => {$(
            // Shown by the test harness only when the suite fails.
            println!("{}", stringify!($case));
            let store = make();
            $case(store.clone()).await;
            assert_eq!(store.close().await, Ok(()));
        )*};
    }
    each!(
        cases::checks_of_every_kind,
        cases::a_conflict_leaves_no_trace,
        cases::later_operations_override_earlier_ones,
        cases::append_in_commit_order,
        cases::ranges_in_pages,
        cases::limits_are_refused,
        cases::the_longest_things_fit,
        cases::a_repeated_id_is_not_applied_again,
        cases::several_shards_change_together_or_not_at_all,
        cases::shards_and_spaces_are_apart,
        cases::the_change_log_is_read_and_trimmed,
        concurrent::revisions_have_no_gaps,
        concurrent::compare_and_set_has_one_winner,
        concurrent::one_id_is_applied_once,
        concurrent::watch_wakes_and_is_never_early,
        concurrent::sums_over_shards_stay,
        concurrent::reads_are_of_one_snapshot,
        concurrent::a_read_sees_what_was_acknowledged,
    );
    println!("closed");
    cases::a_closed_store_refuses(make()).await;
    println!("property");
    property::behaves_like_the_model(make);
}
