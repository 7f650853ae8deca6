//! Kills a process that commits under load, again and again over one directory, and looks at what is left: everything
//! acknowledged, nothing by halves, no gap. A killed process loses no page cache, so power loss is not shown here.
#![allow(clippy::unwrap_used)]

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use cumulet_store::{Change, Check, Key, Op, Outcome, Read, Rev, Shard, Space, Store, Txn, prefix_end};
use cumulet_store_embedded::EmbeddedStore;

const KILLS: u64 = 60;
/// The store is looked into from time to time only: a clean close in between would spare the next start its recovery.
const KILLS_PER_LOOK: u64 = 6;
const DIR: &str = "CUMULET_CRASH_TEST_DIR";
const RUN: &str = "CUMULET_CRASH_TEST_RUN";
const TASKS: u32 = 32;
const SHARDS: u32 = 4;

const ROWS: Space = Space(1);
const INDEX: Space = Space(2);
const QUEUE: Space = Space(3);
/// One row for each task, put and deleted in turn.
const TOGGLE: Space = Space(4);

/// What the transaction of this name writes; the log entry is the name itself. Odd ones leave the toggle deleted.
fn txn(shard: Shard, name: &str, n: u64, task: u32) -> Txn {
    let mut txn = Txn::new(shard)
        .check(Check::Absent(ROWS, Key::copy_from_slice(name.as_bytes())))
        .put(ROWS, name.to_owned(), value(name))
        .put(INDEX, format!("i/{name}"), "")
        .log(name.to_owned());
    txn.ops.push(Op::PutAt {
        space: QUEUE,
        prefix: "q/".into(),
        suffix: Key::copy_from_slice(name.as_bytes()),
        value: "".into(),
    });
    let toggle = task.to_string();
    if n % 2 == 1 {
        txn = txn.delete(TOGGLE, toggle);
    } else {
        txn = txn.put(TOGGLE, toggle, name.to_owned());
    }
    txn.id = Some(id(name));
    txn
}

/// Of a length that some rows spill over several pages.
fn value(name: &str) -> Bytes {
    let turn = name.bytes().map(usize::from).sum::<usize>();
    name.repeat(if turn % 64 == 0 { 1200 } else { turn % 20 + 1 }).into()
}

fn id(name: &str) -> [u8; 16] {
    let mut id = [0; 16];
    id[..name.len()].copy_from_slice(name.as_bytes());
    id
}

/// Started by the test below in a process of its own; in the ordinary run of all tests it has nothing to do.
#[test]
fn child() {
    let (Ok(dir), Ok(run)) = (std::env::var(DIR), std::env::var(RUN)) else {
        return;
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.unwrap().block_on(async {
        let store = EmbeddedStore::open(Path::new(&dir)).unwrap();
        say("open");
        let mut tasks = tokio::task::JoinSet::new();
        for task in 0..TASKS {
            let (store, run) = (store.clone(), run.clone());
            tasks.spawn(async move {
                let shard = Shard(task % SHARDS);
                for n in 0_u64.. {
                    let name = format!("{run}.{task}.{n}");
                    match store.commit(txn(shard, &name, n, task)).await {
                        Ok(Outcome::Done(rev)) => say(&format!("{} {} {name}", shard.0, rev.0)),
                        other => panic!("{other:?}"),
                    }
                }
            });
        }
        tasks.join_all().await;
    });
}

/// One write each, so that a kill cuts at most the last line. Not `println`, which the test harness may hold back.
fn say(line: &str) {
    let line = format!("ack {line}\n");
    // The reader is gone only when the test has failed.
    if std::io::stdout().lock().write_all(line.as_bytes()).is_err() {
        std::process::exit(1);
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Ack {
    shard: Shard,
    rev: Rev,
    name: String,
}

#[tokio::test]
async fn what_was_acknowledged_survives_and_nothing_is_half_there() {
    let dir = tempfile::tempdir().unwrap();
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut acks = Vec::new();
    let mut verified = HashMap::new();
    let mut total = 0;
    for run in 0..KILLS {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let life = Duration::from_millis(50 + random % 300);
        acks.extend(live_and_die(dir.path(), run, life));
        if (run + 1) % KILLS_PER_LOOK == 0 {
            total += acks.len();
            verify(dir.path(), std::mem::take(&mut acks), &mut verified).await;
        }
    }
    assert!(total > 0, "no process lived long enough to commit");
    println!("{total} transactions acknowledged over {KILLS} kills");
}

/// Everything a process acknowledged in its life, which begins when it has opened the store.
fn live_and_die(dir: &Path, run: u64, life: Duration) -> Vec<Ack> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["child", "--exact", "--nocapture", "--test-threads=1"])
        .env(DIR, dir)
        .env(RUN, run.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let (lines, read) = mpsc::sync_channel(1024);
    let reader = std::thread::spawn(move || {
        let mut line = String::new();
        // A last line without its end was cut by the kill, and acknowledges nothing.
        while stdout.read_line(&mut line).unwrap() > 0 && line.ends_with('\n') {
            lines.send(std::mem::take(&mut line)).unwrap();
        }
    });
    let mut acks = Vec::new();
    let mut end = None::<Instant>;
    loop {
        let left = end.map_or(Duration::from_secs(30), |end| end.saturating_duration_since(Instant::now()));
        if left.is_zero() {
            break;
        }
        match read.recv_timeout(left) {
            Ok(line) if line.ends_with("ack open\n") => end = Some(Instant::now() + life),
            Ok(line) => acks.extend(ack(&line)),
            Err(RecvTimeoutError::Timeout) => break,
            Err(RecvTimeoutError::Disconnected) => panic!("run {run} ended by itself"),
        }
    }
    child.kill().unwrap();
    assert!(end.is_some(), "run {run} did not open the store");
    // What was still in the pipe counts.
    acks.extend(read.into_iter().filter_map(|line| ack(&line)));
    reader.join().unwrap();
    assert!(!child.wait().unwrap().success());
    acks
}

/// `None` for the lines of the test harness.
fn ack(line: &str) -> Option<Ack> {
    let mut words = line.trim_end().strip_prefix("ack ")?.split(' ');
    let shard = Shard(words.next()?.parse().ok()?);
    let rev = Rev(words.next()?.parse().ok()?);
    let name = words.next()?.to_owned();
    Some(Ack { shard, rev, name })
}

/// `verified` is how far each shard was looked at before.
async fn verify(dir: &Path, acks: Vec<Ack>, verified: &mut HashMap<Shard, Rev>) {
    let store = EmbeddedStore::open(dir).unwrap();
    let mut acks: HashMap<(Shard, Rev), String> =
        acks.into_iter().map(|ack| ((ack.shard, ack.rev), ack.name)).collect();
    for shard in (0..SHARDS).map(Shard) {
        let from = verified.get(&shard).copied().unwrap_or_default();
        let (last, _) = store.read(shard, Vec::new()).await.unwrap();
        let log = store.changes(shard, from, u32::MAX).await.unwrap();
        let revs = log.iter().map(|change| change.rev.0);
        assert!(revs.eq(from.0 + 1..=last.0), "{shard:?} has a gap between {from:?} and {last:?}");
        let mut toggles = HashMap::new();
        for change in &log {
            let name = std::str::from_utf8(&change.data).unwrap();
            if let Some(acked) = acks.remove(&(shard, change.rev)) {
                assert_eq!(acked, name, "another transaction has the revision {:?}", change.rev);
            }
            whole(&store, shard, change.rev, name).await;
            let mut parts = name.split('.').skip(1);
            let (task, n) = (parts.next().unwrap(), parts.next().unwrap());
            let put = n.parse::<u64>().unwrap() % 2 == 0;
            toggles.insert(task.to_owned(), put.then(|| (name.to_owned(), change.rev)));
        }
        for (task, expect) in toggles {
            let (_, rows) = store.read(shard, vec![Read::Get(TOGGLE, task.into())]).await.unwrap();
            let found = rows[0].first().map(|row| (String::from_utf8(row.value.to_vec()).unwrap(), row.rev));
            assert_eq!(found, expect);
        }
        if let Some(Change { rev, data }) = log.last() {
            let mut again = Txn::new(shard).check(Check::Exists(ROWS, "never".into()));
            again.id = Some(id(std::str::from_utf8(data).unwrap()));
            let answer = store.commit(again).await;
            assert_eq!(answer, Ok(Outcome::Done(*rev)), "the id was lost");
        }
        // As many rows as log entries: no row without its entry.
        for space in [ROWS, INDEX, QUEUE] {
            assert_eq!(count(&store, shard, space).await, last.0, "{shard:?} {space:?}");
        }
        verified.insert(shard, last);
    }
    assert!(acks.is_empty(), "acknowledged and lost: {acks:?}");
    store.close().await.unwrap();
}

/// Every row of the transaction is there under its revision.
async fn whole(store: &EmbeddedStore, shard: Shard, rev: Rev, name: &str) {
    let queue = [b"q/", &rev.0.to_be_bytes()[..], &2_u16.to_be_bytes(), name.as_bytes()].concat();
    let reads = vec![
        Read::Get(ROWS, Key::copy_from_slice(name.as_bytes())),
        Read::Get(INDEX, format!("i/{name}").into()),
        Read::Get(QUEUE, queue.into()),
    ];
    let (_, rows) = store.read(shard, reads).await.unwrap();
    let found: Vec<_> = rows.iter().flatten().map(|row| row.rev).collect();
    assert_eq!(found, [rev; 3], "{shard:?} {name} is half there");
    assert_eq!(rows[0][0].value, value(name));
}

async fn count(store: &EmbeddedStore, shard: Shard, space: Space) -> u64 {
    let mut lo = Key::new();
    let mut rows = 0;
    loop {
        let read = Read::Range { space, lo, hi: prefix_end(&[0xff]), limit: 10_000, bytes: u32::MAX, reverse: false };
        let (_, page) = store.read(shard, vec![read]).await.unwrap();
        rows += page[0].len() as u64;
        match page[0].last() {
            Some(last) => lo = [&last.key[..], &[0]].concat().into(),
            None => return rows,
        }
    }
}
