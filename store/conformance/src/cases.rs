//! One caller at a time: each rule of the contract by name, so that a broken backend says which.

use std::sync::Arc;

use bytes::Bytes;
use cumulet_store::{
    Check, Error, Key, MultiOutcome, Op, Outcome, Read, Rev, Row, Shard, Space, Store, StoreExt, Txn, prefix_end,
};

const SHARD: Shard = Shard(5);
const SPACE: Space = Space(1);

fn txn() -> Txn {
    Txn::new(SHARD)
}

fn key(text: &'static str) -> Key {
    Key::from_static(text.as_bytes())
}

fn row(text: &'static str, value: &'static str, rev: u64) -> Row {
    Row { key: key(text), value: Bytes::from_static(value.as_bytes()), rev: Rev(rev) }
}

fn done(rev: u64) -> cumulet_store::Result<Outcome> {
    Ok(Outcome::Done(Rev(rev)))
}

async fn all<S: Store + ?Sized>(store: &S) -> Vec<Row> {
    let rows = store.range(SHARD, SPACE, Key::new(), prefix_end(&[0xff]), u32::MAX);
    rows.await.expect("the store reads")
}

pub async fn checks_of_every_kind<S: Store + ?Sized>(store: Arc<S>) {
    let first = txn().put(SPACE, "a", "1").put(SPACE, "c", "1");
    assert_eq!(store.commit(first).await, done(1));
    let second = txn().put(SPACE, "c", "2");
    assert_eq!(store.commit(second).await, done(2));
    let mut rev = 2;
    let mut check = async |check: Check, expect: Result<(), Option<Row>>| {
        // The check before it holds, so that the index of the failing one is told apart from 0.
        let txn = txn().check(Check::Exists(SPACE, key("a"))).check(check.clone());
        let expect = match expect {
            Ok(()) => {
                rev += 1;
                Outcome::Done(Rev(rev))
            }
            Err(current) => Outcome::Conflict { failed: 1, current },
        };
        assert_eq!(store.commit(txn).await, Ok(expect), "{check:?}");
    };
    let (a, c) = (|| Err(Some(row("a", "1", 1))), || Err(Some(row("c", "2", 2))));
    check(Check::Absent(SPACE, key("b")), Ok(())).await;
    check(Check::Absent(SPACE, key("a")), a()).await;
    check(Check::Absent(Space(2), key("a")), Ok(())).await;
    check(Check::Exists(SPACE, key("c")), Ok(())).await;
    check(Check::Exists(SPACE, key("b")), Err(None)).await;
    check(Check::RevIs(SPACE, key("c"), Rev(2)), Ok(())).await;
    check(Check::RevIs(SPACE, key("c"), Rev(1)), c()).await;
    check(Check::RevIs(SPACE, key("b"), Rev(0)), Err(None)).await;
    check(Check::RangeEmpty(SPACE, key("a\0"), key("c")), Ok(())).await;
    check(Check::RangeEmpty(SPACE, key("a"), key("a")), Ok(())).await;
    check(Check::RangeEmpty(SPACE, key("d"), key("a")), Ok(())).await;
    check(Check::RangeEmpty(SPACE, key(""), key("z")), a()).await;
    let unchanged = |lo, hi, since| Check::RangeUnchangedSince(SPACE, key(lo), key(hi), Rev(since));
    check(unchanged("a", "z", 2), Ok(())).await;
    check(unchanged("a", "c", 1), Ok(())).await;
    check(unchanged("a", "z", 1), c()).await;
    check(unchanged("a", "z", 0), a()).await;
    check(unchanged("a", "z", u64::MAX), Ok(())).await;
}

pub async fn a_conflict_leaves_no_trace<S: Store + ?Sized>(store: Arc<S>) {
    store.commit(txn().put(SPACE, "a", "1")).await.expect("commits");
    let mut refused = txn().check(Check::Absent(SPACE, key("a"))).put(SPACE, "b", "2").delete(SPACE, "a").log("never");
    refused.id = Some([1; 16]);
    let conflict = Outcome::Conflict { failed: 0, current: Some(row("a", "1", 1)) };
    assert_eq!(store.commit(refused.clone()).await, Ok(conflict));
    assert_eq!(all(&*store).await, [row("a", "1", 1)]);
    assert_eq!(store.changes(SHARD, Rev(0), 9).await, Ok(Vec::new()));
    assert_eq!(*store.watch(SHARD).borrow(), Rev(1));
    // Its id was not remembered: once the checks hold, it is applied.
    assert_eq!(store.commit(txn().delete(SPACE, "a")).await, done(2));
    assert_eq!(store.commit(refused).await, done(3));
}

pub async fn later_operations_override_earlier_ones<S: Store + ?Sized>(store: Arc<S>) {
    store.commit(txn().put(SPACE, "old", "1")).await.expect("commits");
    let mixed = txn()
        .put(SPACE, "a", "1")
        .put(SPACE, "b", "1")
        .put(SPACE, "c", "1")
        .delete_range(SPACE, "a", "c")
        .delete(SPACE, "c")
        .delete(SPACE, "never there")
        .put(SPACE, "b", "2")
        .put(SPACE, "b", "3");
    assert_eq!(store.commit(mixed).await, done(2));
    assert_eq!(all(&*store).await, [row("b", "3", 2), row("old", "1", 1)]);
    // Checks look at what was there before the transaction.
    let own = txn().check(Check::Absent(SPACE, key("n"))).put(SPACE, "n", "1");
    assert_eq!(store.commit(own).await, done(3));
    assert_eq!(store.commit(txn()).await, done(4));
    let nothing = txn().delete_range(SPACE, "z", "a");
    assert_eq!(store.commit(nothing).await, done(5));
    assert_eq!(all(&*store).await.len(), 3);
}

pub async fn append_in_commit_order<S: Store + ?Sized>(store: Arc<S>) {
    let append =
        |value: &'static str| Op::PutAt { space: SPACE, prefix: key("q/"), suffix: key("/s"), value: value.into() };
    for round in 0..3 {
        let mut txn = txn().put(SPACE, "zz", "not at");
        txn.ops.extend([append("x"), append("y")]);
        assert_eq!(store.commit(txn).await, done(round + 1));
    }
    let (lo, hi) = (key("q/"), prefix_end(b"q/"));
    let rows = store.range(SHARD, SPACE, lo, hi, 99).await.expect("reads");
    let expect: Vec<Row> = (1..=3_u64)
        .flat_map(|rev| [(rev, 1_u16, "x"), (rev, 2, "y")])
        .map(|(rev, index, value)| Row {
            key: [b"q/", &rev.to_be_bytes()[..], &index.to_be_bytes(), b"/s"].concat().into(),
            value: value.into(),
            rev: Rev(rev),
        })
        .collect();
    assert_eq!(rows, expect);
}

pub async fn ranges_in_pages<S: Store + ?Sized>(store: Arc<S>) {
    let keys = ["", "\0", "a", "a\0", "aa", "b"];
    let filled = keys.iter().fold(txn(), |txn, &key| txn.put(SPACE, key, "12345"));
    store.commit(filled).await.expect("commits");
    let page = async |lo: &'static str, hi: Key, limit: u32, bytes: u32, reverse: bool| {
        let read = Read::Range { space: SPACE, lo: key(lo), hi, limit, bytes, reverse };
        let (_, mut rows) = store.read(SHARD, vec![read]).await.expect("reads");
        let rows = rows.pop().expect("one answer to one question");
        rows.into_iter().map(|row| row.key).collect::<Vec<_>>()
    };
    let max = u32::MAX;
    let end = || prefix_end(&[0xff]);
    assert_eq!(page("", end(), max, max, false).await, keys);
    let mut backwards = page("", end(), max, max, true).await;
    backwards.reverse();
    assert_eq!(backwards, keys);
    assert_eq!(page("a", key("b"), max, max, false).await, ["a", "a\0", "aa"]);
    assert_eq!(page("a", key("b"), 2, max, true).await, ["aa", "a\0"]);
    assert_eq!(page("a\0", end(), 2, max, false).await, ["a\0", "aa"]);
    assert_eq!(page("", end(), 0, max, false).await, Vec::<Key>::new());
    assert_eq!(page("b", key("a"), max, max, false).await, Vec::<Key>::new());
    // The first row comes whatever its size, and the second only where both fit.
    assert_eq!(page("a", end(), max, 0, false).await, ["a"]);
    assert_eq!(page("a", end(), max, 12, false).await, ["a"]);
    assert_eq!(page("a", end(), max, 13, false).await, ["a", "a\0"]);
    assert_eq!(page("a", end(), max, 13, true).await, ["b", "aa"]);
}

pub async fn limits_are_refused<S: Store + ?Sized>(store: Arc<S>) {
    let limits = store.limits();
    let long = Key::from(vec![1; limits.key_bytes + 1]);
    let longer = Key::from(vec![1; limits.key_bytes + 2]);
    let wide = Bytes::from(vec![1; limits.value_bytes + 1]);
    let full = Bytes::from(vec![1; limits.value_bytes]);
    let mut at = txn();
    at.ops.push(Op::PutAt {
        space: SPACE,
        prefix: Key::from(vec![1; limits.key_bytes - 10]),
        suffix: key("s"),
        value: Bytes::new(),
    });
    let too_large = [
        txn().put(SPACE, long.clone(), ""),
        txn().delete(SPACE, long.clone()),
        txn().delete_range(SPACE, "", longer.clone()),
        txn().check(Check::Absent(SPACE, long.clone())),
        txn().check(Check::RangeEmpty(SPACE, longer.clone(), Key::new())),
        txn().put(SPACE, "a", wide.clone()),
        txn().log(wide),
        at,
        (0..=limits.txn_ops).fold(txn(), |txn, _| txn.delete(SPACE, "a")),
        (0..=limits.txn_ops).fold(txn(), |txn, _| txn.check(Check::Absent(SPACE, key("a")))),
        (0..=limits.txn_bytes / limits.value_bytes).fold(txn(), |txn, _| txn.put(SPACE, "a", full.clone())),
    ];
    for (n, txn) in too_large.into_iter().enumerate() {
        // A good change beside the bad one must not be applied either.
        let answer = store.commit(txn.put(SPACE, "b", "")).await;
        assert!(matches!(answer, Err(Error::TooLarge { .. })), "{n}: {answer:?}");
    }
    let answer = store.get(SHARD, SPACE, long.clone()).await;
    assert!(matches!(answer, Err(Error::TooLarge { .. })), "{answer:?}");
    // The first key after the longest one is a bound, though not a key.
    assert_eq!(store.range(SHARD, SPACE, key(""), long, 1).await, Ok(Vec::new()));
    assert_eq!(store.range(SHARD, SPACE, key(""), key("z"), 1).await, Ok(Vec::new()));
    assert_eq!(store.commit(txn()).await, done(1));
}

pub async fn the_longest_things_fit<S: Store + ?Sized>(store: Arc<S>) {
    let limits = store.limits();
    let key = Key::from(vec![0xff; limits.key_bytes]);
    let value = Bytes::from((0..limits.value_bytes).map(|n| n as u8).collect::<Vec<_>>());
    let longest = txn().put(SPACE, key.clone(), value.clone()).log(value.clone());
    assert_eq!(store.commit(longest).await, done(1));
    let row = store.get(SHARD, SPACE, key).await.expect("reads");
    assert_eq!(row.expect("is there").value, value);
    let log = store.changes(SHARD, Rev(0), 1).await.expect("reads");
    assert_eq!(log[0].data, value);
    let empty = txn().put(SPACE, "", "").log("");
    assert_eq!(store.commit(empty).await, done(2));
    let row = store.get(SHARD, SPACE, "").await.expect("reads");
    assert_eq!(row.expect("is there").value, "");
    let many = (0..limits.txn_ops).fold(txn(), |txn, n| txn.put(SPACE, n.to_string(), ""));
    assert_eq!(store.commit(many).await, done(3));
    assert_eq!(all(&*store).await.len(), limits.txn_ops + 1);
}

pub async fn a_repeated_id_is_not_applied_again<S: Store + ?Sized>(store: Arc<S>) {
    let mut once = txn().check(Check::Absent(SPACE, key("a"))).put(SPACE, "a", "1").log("once");
    once.id = Some([9; 16]);
    assert_eq!(store.commit(once.clone()).await, done(1));
    assert_eq!(store.commit(txn().delete(SPACE, "a")).await, done(2));
    for rev in 3..100 {
        assert_eq!(store.commit(txn()).await, done(rev));
    }
    assert_eq!(store.commit(once.clone()).await, done(1));
    assert_eq!(all(&*store).await, Vec::<Row>::new());
    assert_eq!(store.changes(SHARD, Rev(0), 9).await.map(|log| log.len()), Ok(1));
    assert_eq!(*store.watch(SHARD).borrow(), Rev(99));
    // An id belongs to its shard.
    once.shard = Shard(6);
    assert_eq!(store.commit(once).await, done(1));
}

pub async fn shards_and_spaces_are_apart<S: Store + ?Sized>(store: Arc<S>) {
    let other = Shard(u32::MAX);
    store.commit(txn().put(SPACE, "a", "1").log("l")).await.expect("commits");
    assert_eq!(store.get(other, SPACE, "a").await, Ok(None));
    assert_eq!(store.get(SHARD, Space(0), "a").await, Ok(None));
    assert_eq!(store.changes(other, Rev(0), 9).await, Ok(Vec::new()));
    assert_eq!(*store.watch(other).borrow(), Rev(0));
    let theirs = Txn::new(other).delete(SPACE, "a").delete_range(SPACE, "", "z");
    assert_eq!(store.commit(theirs).await, done(1));
    let elsewhere = txn().delete_range(Space(0), "", "z").delete_range(Space(2), "", "z");
    assert_eq!(store.commit(elsewhere).await, done(2));
    store.trim(other, Rev(9)).await.expect("trims");
    assert_eq!(all(&*store).await, [row("a", "1", 1)]);
    assert_eq!(store.changes(SHARD, Rev(0), 9).await.map(|log| log.len()), Ok(1));
}

pub async fn the_change_log_is_read_and_trimmed<S: Store + ?Sized>(store: Arc<S>) {
    for n in 1..=6_u64 {
        // Every third commit says nothing, and has no entry.
        let txn = if n % 3 == 0 { txn() } else { txn().log(n.to_string()) };
        assert_eq!(store.commit(txn).await, done(n));
    }
    let revs = async |after: u64, limit: u32| {
        let log = store.changes(SHARD, Rev(after), limit).await.expect("reads");
        assert!(log.iter().all(|change| change.data == change.rev.0.to_string()));
        log.into_iter().map(|change| change.rev.0).collect::<Vec<_>>()
    };
    assert_eq!(revs(0, 99).await, [1, 2, 4, 5]);
    assert_eq!(revs(0, 2).await, [1, 2]);
    assert_eq!(revs(2, 99).await, [4, 5]);
    assert_eq!(revs(u64::MAX, 99).await, Vec::<u64>::new());
    store.trim(SHARD, Rev(2)).await.expect("trims");
    assert_eq!(revs(0, 99).await, [4, 5]);
    store.trim(SHARD, Rev(u64::MAX)).await.expect("trims");
    assert_eq!(revs(0, 99).await, Vec::<u64>::new());
    assert_eq!(store.commit(txn().log("7")).await, done(7));
    assert_eq!(revs(0, 99).await, [7]);
}

pub async fn a_closed_store_refuses<S: Store + ?Sized>(store: Arc<S>) {
    assert_eq!(store.commit(txn()).await, done(1));
    assert_eq!(store.close().await, Ok(()));
    assert_eq!(store.commit(txn()).await, Err(Error::Closed));
    assert_eq!(store.read(SHARD, Vec::new()).await, Err(Error::Closed));
    assert_eq!(store.changes(SHARD, Rev(0), 1).await, Err(Error::Closed));
    assert_eq!(store.trim(SHARD, Rev(0)).await, Err(Error::Closed));
    assert_eq!(store.close().await, Ok(()));
}

pub async fn several_shards_change_together_or_not_at_all<S: Store + ?Sized>(store: Arc<S>) {
    let (here, there) = (SHARD, Shard(6));
    let at = |shard: Shard| Txn::new(shard);
    let first =
        vec![at(here).put(SPACE, "a", "1"), at(there).check(Check::Absent(SPACE, key("a"))).put(SPACE, "a", "1")];
    assert_eq!(store.commit_multi(first.clone()).await, Ok(MultiOutcome::Done(vec![Rev(1), Rev(1)])));
    let current = Some(row("a", "1", 1));
    let conflict = MultiOutcome::Conflict { txn: 1, failed: 0, current };
    assert_eq!(store.commit_multi(first).await, Ok(conflict));
    assert_eq!(all(&*store).await, [row("a", "1", 1)]);
    assert_eq!(*store.watch(here).borrow(), Rev(1));
    // The first one's id stands for all.
    let mut again = vec![at(there).delete(SPACE, "a"), at(here).put(SPACE, "b", "2")];
    again[0].id = Some([9; 16]);
    assert_eq!(store.commit_multi(again.clone()).await, Ok(MultiOutcome::Done(vec![Rev(2), Rev(2)])));
    assert_eq!(store.commit(at(here).put(SPACE, "c", "3")).await, done(3));
    assert_eq!(store.commit_multi(again).await, Ok(MultiOutcome::Done(vec![Rev(2), Rev(2)])));
    assert_eq!(store.get(there, SPACE, "a").await, Ok(None));
    let twice = vec![at(here).put(SPACE, "d", ""), at(there), at(here)];
    assert_eq!(store.commit_multi(twice).await, Err(Error::SameShard(here.0)));
    assert_eq!(store.get(here, SPACE, "d").await, Ok(None));
}
