//! Many callers at a time. Every wait is for an event of the store; nothing here depends on how fast it is.

use std::collections::BTreeSet;
use std::sync::Arc;

use cumulet_store::{Check, Key, MultiOutcome, Outcome, Read, Rev, Shard, Space, Store, StoreExt, Txn};
use tokio::task::JoinSet;

const SHARD: Shard = Shard(7);
const SPACE: Space = Space(1);
const CALLERS: u64 = 32;
const ROUNDS: u64 = 20;

fn number(value: &[u8]) -> u64 {
    let text = std::str::from_utf8(value).expect("these tests write text");
    text.parse().expect("these tests write numbers")
}

async fn commit<S: Store + ?Sized>(store: &S, txn: Txn) -> Rev {
    match store.commit(txn).await {
        Ok(Outcome::Done(rev)) => rev,
        other => panic!("{other:?}"),
    }
}

/// Over several shards at a time: a backend that commits them together must keep their revisions apart.
pub async fn revisions_have_no_gaps<S: Store + ?Sized>(store: Arc<S>) {
    let shards = [SHARD, Shard(8), Shard(9), Shard(10)];
    let each = CALLERS / shards.len() as u64 * ROUNDS;
    let mut callers = JoinSet::new();
    for (caller, shard) in (0..CALLERS).zip(shards.into_iter().cycle()) {
        let store = store.clone();
        callers.spawn(async move {
            let mut revs = Vec::new();
            for round in 0..ROUNDS {
                let key = format!("{caller}/{round}");
                // A conflict between the others must not use a revision up.
                let refused = Txn::new(shard).check(Check::Exists(SPACE, "never".into()));
                let refused = store.commit(refused).await;
                assert!(matches!(refused, Ok(Outcome::Conflict { .. })), "{refused:?}");
                let txn = Txn::new(shard).put(SPACE, key.clone(), "").log(key);
                revs.push((shard, commit(&*store, txn).await));
            }
            assert!(revs.is_sorted());
            revs
        });
    }
    let revs: BTreeSet<(Shard, Rev)> = callers.join_all().await.concat().into_iter().collect();
    for shard in shards {
        let of_shard = revs.iter().filter(|(s, _)| *s == shard);
        assert!(of_shard.map(|(_, rev)| rev.0).eq(1..=each));
        let (rev, _) = store.read(shard, Vec::new()).await.expect("reads");
        assert_eq!(rev, Rev(each));
        let log = store.changes(shard, Rev(0), u32::MAX).await.expect("reads");
        assert!(log.iter().map(|change| change.rev.0).eq(1..=each));
        for change in log {
            let row = store.get(shard, SPACE, change.data).await.expect("reads");
            assert_eq!(row.expect("is there").rev, change.rev);
        }
    }
}

/// Everyone counts one number up, each repeating what it lost.
pub async fn compare_and_set_has_one_winner<S: Store + ?Sized>(store: Arc<S>) {
    let key = Key::from_static(b"count");
    commit(&*store, Txn::new(SHARD).put(SPACE, key.clone(), "0")).await;
    let mut callers = JoinSet::new();
    for _ in 0..8 {
        let (store, key) = (store.clone(), key.clone());
        callers.spawn(async move {
            let mut won = 0;
            let mut row = store.get(SHARD, SPACE, key.clone()).await.expect("reads").expect("is there");
            while won < ROUNDS {
                let next = (number(&row.value) + 1).to_string();
                let txn = Txn::new(SHARD).check(Check::RevIs(SPACE, key.clone(), row.rev)).put(
                    SPACE,
                    key.clone(),
                    next.clone(),
                );
                match store.commit(txn).await.expect("commits") {
                    Outcome::Done(rev) => {
                        won += 1;
                        row.rev = rev;
                        row.value = next.into();
                    }
                    Outcome::Conflict { current, .. } => row = current.expect("is there"),
                    Outcome::Unknown => panic!("nothing failed"),
                }
            }
        });
    }
    callers.join_all().await;
    let row = store.get(SHARD, SPACE, key).await.expect("reads").expect("is there");
    assert_eq!((number(&row.value), row.rev), (8 * ROUNDS, Rev(8 * ROUNDS + 1)));
}

pub async fn one_id_is_applied_once<S: Store + ?Sized>(store: Arc<S>) {
    let mut callers = JoinSet::new();
    for caller in 0..CALLERS {
        let store = store.clone();
        callers.spawn(async move {
            let mut txn = Txn::new(SHARD).put(SPACE, caller.to_string(), "");
            txn.id = Some([3; 16]);
            commit(&*store, txn).await
        });
    }
    let revs = callers.join_all().await;
    assert!(revs.iter().all(|rev| *rev == Rev(1)), "{revs:?}");
    let rows = store.range(SHARD, SPACE, Key::new(), "z".into(), 99).await;
    assert_eq!(rows.expect("reads").len(), 1);
}

pub async fn watch_wakes_and_is_never_early<S: Store + ?Sized>(store: Arc<S>) {
    let total = CALLERS * ROUNDS;
    let mut watch = store.watch(SHARD);
    assert_eq!(*watch.borrow_and_update(), Rev(0));
    let watcher = tokio::spawn({
        let store = store.clone();
        async move {
            let mut told = Rev(0);
            while told.0 < total {
                watch.changed().await.expect("the store lives");
                let now = *watch.borrow_and_update();
                assert!(now > told, "{now:?} after {told:?}");
                told = now;
                let (rev, _) = store.read(SHARD, Vec::new()).await.expect("reads");
                assert!(rev >= told, "told of {told:?}, found {rev:?}");
                let log = store.changes(SHARD, Rev(told.0 - 1), 1).await.expect("reads");
                assert_eq!(log[0].rev, told);
            }
        }
    });
    let mut callers = JoinSet::new();
    for _ in 0..CALLERS {
        let store = store.clone();
        callers.spawn(async move {
            for _ in 0..ROUNDS {
                let rev = commit(&*store, Txn::new(SHARD).log("")).await;
                // Who is told of a commit's end finds the watch there already.
                assert!(*store.watch(SHARD).borrow() >= rev);
            }
        });
    }
    callers.join_all().await;
    watcher.await.expect("the watcher is content");
    assert!(!store.watch(Shard(8)).has_changed().expect("the store lives"));
}

/// Each commit writes the same number to two keys and deletes the row of the number before.
pub async fn reads_are_of_one_snapshot<S: Store + ?Sized>(store: Arc<S>) {
    let total = 200_u64;
    let writer = tokio::spawn({
        let store = store.clone();
        async move {
            for n in 1..=total {
                let txn = Txn::new(SHARD)
                    .put(SPACE, "left", n.to_string())
                    .put(Space(2), "right", n.to_string())
                    .delete_range(Space(3), "", ":")
                    .put(Space(3), n.to_string(), "");
                commit(&*store, txn).await;
            }
        }
    });
    let mut readers = JoinSet::new();
    for _ in 0..4 {
        let store = store.clone();
        readers.spawn(async move {
            let mut seen = 0;
            while seen < total {
                let reads = vec![
                    Read::Get(SPACE, "left".into()),
                    Read::Range {
                        space: Space(3),
                        lo: Key::new(),
                        hi: ":".into(),
                        limit: 9,
                        bytes: u32::MAX,
                        reverse: false,
                    },
                    Read::Get(Space(2), "right".into()),
                ];
                let (rev, rows) = store.read(SHARD, reads).await.expect("reads");
                let left = rows[0].first().map_or(0, |row| number(&row.value));
                let right = rows[2].first().map_or(0, |row| number(&row.value));
                assert_eq!((left, right), (rev.0, rev.0));
                let middle: Vec<u64> = rows[1].iter().map(|row| number(&row.key)).collect();
                assert!(rev.0 == 0 || middle == [rev.0], "{middle:?} at {rev:?}");
                assert!(rev.0 >= seen, "a later read saw an earlier state");
                seen = rev.0;
                tokio::task::yield_now().await;
            }
        });
    }
    writer.await.expect("the writer is content");
    readers.join_all().await;
}

pub async fn a_read_sees_what_was_acknowledged<S: Store + ?Sized>(store: Arc<S>) {
    let mut callers = JoinSet::new();
    for caller in 0..CALLERS {
        let store = store.clone();
        callers.spawn(async move {
            let key = caller.to_string();
            for round in 0..ROUNDS {
                let txn = Txn::new(SHARD).put(SPACE, key.clone(), round.to_string());
                let rev = commit(&*store, txn).await;
                let row = store.get(SHARD, SPACE, key.clone()).await.expect("reads");
                let row = row.expect("is there");
                assert_eq!((number(&row.value), row.rev), (round, rev));
            }
        });
    }
    callers.join_all().await;
}

/// Everyone moves one from a shard to another; whatever the order, nothing is made or lost, and every move happens once.
pub async fn sums_over_shards_stay<S: Store + ?Sized>(store: Arc<S>) {
    let shards = [SHARD, Shard(8)];
    let key = Key::from_static(b"purse");
    for shard in shards {
        commit(&*store, Txn::new(shard).put(SPACE, key.clone(), "1000")).await;
    }
    let mut callers = JoinSet::new();
    for caller in 0..8_usize {
        let (store, key) = (store.clone(), key.clone());
        callers.spawn(async move {
            let (from, to) = (shards[caller % 2], shards[(caller + 1) % 2]);
            let mut moved = 0;
            while moved < ROUNDS {
                let mut txns = Vec::new();
                for (shard, step) in [(from, -1), (to, 1)] {
                    let row = store.get(shard, SPACE, key.clone()).await.expect("reads").expect("is there");
                    let sum = number(&row.value).checked_add_signed(step).expect("the purse is full enough");
                    let check = Check::RevIs(SPACE, key.clone(), row.rev);
                    txns.push(Txn::new(shard).check(check).put(SPACE, key.clone(), sum.to_string()));
                }
                match store.commit_multi(txns).await.expect("commits") {
                    MultiOutcome::Done(_) => moved += 1,
                    MultiOutcome::Conflict { .. } => {}
                    MultiOutcome::Unknown => panic!("nothing was lost"),
                }
            }
        });
    }
    callers.join_all().await;
    for shard in shards {
        let (rev, rows) = store.read(shard, vec![Read::Get(SPACE, key.clone())]).await.expect("reads");
        assert_eq!((number(&rows[0][0].value), rev), (1000, Rev(1 + 8 * ROUNDS)));
    }
}
