//! Random histories, the same ones in each run, against the model. Few keys, so that they meet.

use std::sync::Arc;

use bytes::Bytes;
use cumulet_store::{Check, Key, Op, Read, Rev, Shard, Space, Store, Txn};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestCaseError, TestRng, TestRunner};

use crate::model::Model;

const CASES: u32 = 64;
const STEPS: usize = 60;

#[derive(Clone, Debug)]
enum Step {
    Commit(Txn),
    CommitMulti(Vec<Txn>),
    Read(Shard, Vec<Read>),
    Changes(Shard, Rev, u32),
    Trim(Shard, Rev),
}

pub fn behaves_like_the_model<S: Store + ?Sized>(make: impl Fn() -> Arc<S>) {
    let config = ProptestConfig { cases: CASES, failure_persistence: None, ..ProptestConfig::default() };
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(config, rng);
    let histories = vec(step(), 1..STEPS);
    let result = runner.run(&histories, |history| {
        let store = make();
        // Proptest calls from a synchronous function; this keeps the runtime's other threads free.
        tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(follow(&*store, history)))
    });
    if let Err(difference) = result {
        panic!("{difference}");
    }
}

async fn follow<S: Store + ?Sized>(store: &S, history: Vec<Step>) -> Result<(), TestCaseError> {
    let mut model = Model::default();
    for step in history {
        match step {
            Step::Commit(txn) => {
                let expect = model.commit(&txn);
                let shard = txn.shard;
                prop_assert_eq!(store.commit(txn).await, Ok(expect));
                prop_assert_eq!(*store.watch(shard).borrow(), model.rev(shard));
            }
            Step::CommitMulti(txns) => {
                let expect = model.commit_multi(&txns);
                let shards: Vec<Shard> = txns.iter().map(|txn| txn.shard).collect();
                prop_assert_eq!(store.commit_multi(txns).await, Ok(expect));
                for shard in shards {
                    prop_assert_eq!(*store.watch(shard).borrow(), model.rev(shard));
                }
            }
            Step::Read(shard, reads) => {
                let expect = model.read(shard, &reads);
                prop_assert_eq!(store.read(shard, reads).await, Ok(expect));
            }
            Step::Changes(shard, after, limit) => {
                let expect = model.changes(shard, after, limit);
                prop_assert_eq!(store.changes(shard, after, limit).await, Ok(expect));
            }
            Step::Trim(shard, upto) => {
                model.trim(shard, upto);
                prop_assert_eq!(store.trim(shard, upto).await, Ok(()));
            }
        }
    }
    // Whatever the history asked, nothing else may have been changed.
    for (shard, space) in [(0, 0), (0, 255), (1, 0), (1, 255)] {
        let all = Read::Range {
            space: Space(space),
            lo: Key::new(),
            hi: vec![0xff; 8].into(),
            limit: u32::MAX,
            bytes: u32::MAX,
            reverse: false,
        };
        let expect = model.read(Shard(shard), std::slice::from_ref(&all));
        prop_assert_eq!(store.read(Shard(shard), vec![all]).await, Ok(expect));
    }
    prop_assert_eq!(store.close().await, Ok(()));
    Ok(())
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => txn().prop_map(Step::Commit),
        3 => txns().prop_map(Step::CommitMulti),
        3 => (shard(), vec(read(), 0..4)).prop_map(|(s, reads)| Step::Read(s, reads)),
        1 => (shard(), rev(), 0..6_u32).prop_map(|(s, after, limit)| Step::Changes(s, after, limit)),
        1 => (shard(), rev()).prop_map(|(s, upto)| Step::Trim(s, upto)),
    ]
}

/// Of both shards, in either order.
fn txns() -> impl Strategy<Value = Vec<Txn>> {
    (txn(), txn(), any::<bool>()).prop_map(|(a, b, is_turned)| {
        let shards = if is_turned { [1, 0] } else { [0, 1] };
        vec![Txn { shard: Shard(shards[0]), ..a }, Txn { shard: Shard(shards[1]), ..b }]
    })
}

fn txn() -> impl Strategy<Value = Txn> {
    let id = option::weighted(0.3, (0..4_u8).prop_map(|id| [id; 16]));
    // Most transactions should get past their checks.
    let checks = prop_oneof![2 => Just(Vec::new()), 1 => vec(check(), 1..3)];
    (shard(), id, checks, vec(op(), 0..5), option::of(bytes())).prop_map(|(shard, id, checks, ops, log)| Txn {
        shard,
        id,
        checks,
        ops,
        log,
    })
}

fn check() -> impl Strategy<Value = Check> {
    prop_oneof![
        (space(), key()).prop_map(|(s, k)| Check::Absent(s, k)),
        (space(), key()).prop_map(|(s, k)| Check::Exists(s, k)),
        (space(), key(), rev()).prop_map(|(s, k, r)| Check::RevIs(s, k, r)),
        (space(), key(), key()).prop_map(|(s, lo, hi)| Check::RangeEmpty(s, lo, hi)),
        (space(), key(), key(), rev()).prop_map(|(s, lo, hi, r)| Check::RangeUnchangedSince(s, lo, hi, r)),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => (space(), key(), bytes()).prop_map(|(s, k, v)| Op::Put(s, k, v)),
        1 => (space(), key(), key(), bytes()).prop_map(|(space, prefix, suffix, value)| Op::PutAt {
            space,
            prefix,
            suffix,
            value,
        }),
        2 => (space(), key()).prop_map(|(s, k)| Op::Delete(s, k)),
        1 => (space(), key(), key()).prop_map(|(s, lo, hi)| Op::DeleteRange(s, lo, hi)),
    ]
}

fn read() -> impl Strategy<Value = Read> {
    let bytes = prop_oneof![0..40_u32, Just(u32::MAX)];
    let range = (space(), key(), key(), 0..8_u32, bytes, any::<bool>());
    prop_oneof![
        (space(), key()).prop_map(|(s, k)| Read::Get(s, k)),
        range.prop_map(|(space, lo, hi, limit, bytes, reverse)| Read::Range { space, lo, hi, limit, bytes, reverse }),
    ]
}

fn shard() -> impl Strategy<Value = Shard> {
    (0..2_u32).prop_map(Shard)
}

fn space() -> impl Strategy<Value = Space> {
    prop_oneof![3 => Just(Space(0)), 1 => Just(Space(255))]
}

/// Bytes at both ends of the order, and keys that are prefixes of others, the empty one included.
fn key() -> impl Strategy<Value = Key> {
    let byte = prop_oneof![Just(0_u8), Just(b'a'), Just(0xff)];
    vec(byte, 0..3).prop_map(Key::from)
}

fn bytes() -> impl Strategy<Value = Bytes> {
    vec(any::<u8>(), 0..12).prop_map(Bytes::from)
}

fn rev() -> impl Strategy<Value = Rev> {
    prop_oneof![9 => 0..12_u64, 1 => Just(u64::MAX)].prop_map(Rev)
}
