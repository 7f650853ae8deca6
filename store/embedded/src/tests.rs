//! What is particular to this backend: files, locks, failures of SQLite. The contract itself is the conformance suite's.
#![allow(clippy::unwrap_used)]

use super::*;
use cumulet_store::{Space, StoreExt};
use std::sync::atomic::{AtomicUsize, Ordering};

const SHARD: Shard = Shard(3);
const SPACE: Space = Space(1);

fn put(key: &'static str) -> Txn {
    Txn::new(SHARD).put(SPACE, key, "v").log(key)
}

#[test]
fn sqlite_is_one_without_the_wal_reset_bug() {
    assert!(rusqlite::version_number() >= 3_051_003);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn conforms() {
    let dir = tempfile::tempdir().unwrap();
    let stores = AtomicUsize::new(0);
    cumulet_store_conformance::run(|| {
        let n = stores.fetch_add(1, Ordering::Relaxed);
        EmbeddedStore::open(&dir.path().join(n.to_string())).unwrap()
    })
    .await;
}

#[tokio::test]
async fn everything_is_there_after_closing_and_after_dropping() {
    let dir = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(dir.path()).unwrap();
    let mut first = put("a");
    first.id = Some([7; 16]);
    assert_eq!(store.commit(first.clone()).await, Ok(Outcome::Done(Rev(1))));
    store.close().await.unwrap();
    assert_eq!(store.commit(put("b")).await, Err(Error::Closed));
    assert_eq!(store.get(SHARD, SPACE, "a").await, Err(Error::Closed));
    store.close().await.unwrap();

    let store = EmbeddedStore::open(dir.path()).unwrap();
    assert_eq!(*store.watch(SHARD).borrow(), Rev(1));
    assert_eq!(store.commit(first).await, Ok(Outcome::Done(Rev(1))));
    assert_eq!(store.commit(put("b")).await, Ok(Outcome::Done(Rev(2))));
    drop(store);

    let store = EmbeddedStore::open(dir.path()).unwrap();
    assert_eq!(store.get(SHARD, SPACE, "b").await.unwrap().unwrap().rev, Rev(2));
    assert_eq!(store.changes(SHARD, Rev(0), 9).await.unwrap().len(), 2);
}

#[test]
fn a_directory_has_one_owner() {
    let dir = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(dir.path()).unwrap();
    let refused = EmbeddedStore::open(dir.path()).err().unwrap().to_string();
    assert!(refused.contains("in use by another process"), "{refused}");
    drop(store);
    EmbeddedStore::open(dir.path()).unwrap();
}

#[test]
fn foreign_and_newer_files_are_refused_and_left_alone() {
    fn check(make: impl Fn(&Path), expect: &str) {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("store.db");
        make(&file);
        let before = std::fs::read(&file).unwrap();
        match EmbeddedStore::open(dir.path()) {
            Err(Error::Format(why)) => assert!(why.contains(expect), "{why}"),
            other => panic!("{:?}", other.err()),
        }
        assert_eq!(std::fs::read(&file).unwrap(), before);
    }
    let sql = |sql: &'static str| {
        move |file: &Path| {
            let conn = rusqlite::Connection::open(file).unwrap();
            conn.execute_batch(sql).unwrap();
        }
    };
    check(
        |file| std::fs::write(file, "not a database at all, but long enough to be read as one. ".repeat(20)).unwrap(),
        "is not a database",
    );
    check(sql("create table theirs(a)"), "belongs to another program");
    check(sql("pragma application_id = 1129139284; pragma user_version = 3"), "format version 3");
}

#[tokio::test]
async fn a_file_of_the_first_version_is_brought_to_this_one() {
    let dir = tempfile::tempdir().unwrap();
    let mut txn = Txn::new(SHARD).put(SPACE, "k", "v");
    txn.id = Some([5; 16]);
    let store = EmbeddedStore::open(dir.path()).unwrap();
    let done = store.commit(txn.clone()).await.unwrap();
    drop(store);
    let conn = rusqlite::Connection::open(dir.path().join("store.db")).unwrap();
    conn.execute_batch(
        "alter table done rename to later;
         create table done(shard integer not null, id blob not null, rev integer not null,
           primary key(shard, id)) strict, without rowid;
         create index done_rev on done(shard, rev);
         insert into done select shard, id, rev from later;
         drop table later;
         pragma user_version = 1;",
    )
    .unwrap();
    drop(conn);
    let store = EmbeddedStore::open(dir.path()).unwrap();
    assert_eq!(store.get(SHARD, SPACE, "k").await.unwrap().unwrap().value, "v");
    assert_eq!(store.commit(txn).await.unwrap(), done, "it is known, and not done again");
    drop(store);
    EmbeddedStore::open(dir.path()).unwrap();
    let conn = format::open_reader(&dir.path().join("store.db")).unwrap();
    assert_eq!(conn.query_row("pragma user_version", [], |row| row.get::<_, i64>(0)).unwrap(), 2);
}

/// Items of a kilobyte share pages, and files made before with smaller ones go on.
#[tokio::test]
async fn a_row_of_a_kilobyte_has_no_page_of_its_own() {
    const ROWS: u64 = 2000;
    let bytes = async |dir: &Path| {
        let store = EmbeddedStore::open(dir).unwrap();
        for first in (0..ROWS).step_by(50) {
            let put = |txn: Txn, row| txn.put(SPACE, format!("{row:06}"), vec![b'x'; 1020]);
            store.commit((first..first + 50).fold(Txn::new(SHARD), put)).await.unwrap();
        }
        assert_eq!(store.get(SHARD, SPACE, "000007").await.unwrap().unwrap().value.len(), 1020);
        drop(store);
        std::fs::metadata(dir.join("store.db")).unwrap().len() / ROWS
    };
    let (new, old) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    EmbeddedStore::open(old.path()).map(drop).unwrap();
    let file = old.path().join("store.db");
    let conn = rusqlite::Connection::open(&file).unwrap();
    conn.execute_batch("pragma journal_mode = delete; pragma page_size = 4096; vacuum").unwrap();
    drop(conn);
    let (new, old) = (bytes(new.path()).await, bytes(old.path()).await);
    assert!(new < 1500 && old > 4000, "{new} and {old} bytes a row");
}

/// Fills the file up to its present size, so that the next transaction that grows it fails as on a full disk.
async fn fill(store: &EmbeddedStore, extra_pages: i64) {
    let inject = move |conn: &rusqlite::Connection| {
        let pages: i64 = conn.pragma_query_value(None, "page_count", |row| row.get(0)).unwrap();
        let max = pages + extra_pages;
        conn.pragma_update_and_check(None, "max_page_count", max, |_| Ok(())).unwrap();
    };
    store.send(Job::Inject(Box::new(inject))).await.unwrap();
}

#[tokio::test]
async fn a_full_disk_fails_the_batch_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(dir.path()).unwrap();
    store.commit(put("a")).await.unwrap();
    fill(&store, 0).await;
    let mut watch = store.watch(SHARD);
    watch.mark_unchanged();
    let big = put("b").put(SPACE, "c", vec![1; 60_000]);
    assert!(matches!(store.commit(big.clone()).await, Err(Error::Backend { .. })));
    assert_eq!(store.get(SHARD, SPACE, "b").await, Ok(None));
    assert!(!watch.has_changed().unwrap());
    fill(&store, 1000).await;
    assert_eq!(store.commit(big).await, Ok(Outcome::Done(Rev(2))));
}

/// What a commit answers that shares its batch with something gone wrong.
async fn commit_beside(
    store: &Arc<EmbeddedStore>,
    txn: Txn,
    trouble: impl Fn(&rusqlite::Connection) + Send + 'static,
) -> Result<Outcome> {
    let (reached, at_the_gate) = oneshot::channel();
    let (open_gate, gate) = std::sync::mpsc::channel::<()>();
    let once = Mutex::new(Some((reached, gate)));
    let wait = move |_: &rusqlite::Connection| {
        let (reached, gate) = once.lock().unwrap().take().unwrap();
        reached.send(()).unwrap();
        gate.recv().unwrap();
    };
    store.send(Job::Inject(Box::new(wait))).await.unwrap();
    at_the_gate.await.unwrap();
    // The writer is held in a batch of its own; what is queued now is the next one.
    let commit = tokio::spawn({
        let store = store.clone();
        async move { store.commit(txn).await }
    });
    store.send(Job::Inject(Box::new(trouble))).await.unwrap();
    while store.jobs.as_ref().unwrap().capacity() > STORE_QUEUE_MAX - 2 {
        tokio::task::yield_now().await;
    }
    open_gate.send(()).unwrap();
    commit.await.unwrap()
}

/// The writer is dead, readers are not, and opening again finds what was acknowledged.
async fn stopped_but_readable(store: Arc<EmbeddedStore>, dir: &Path) {
    let refused = store.commit(put("c")).await;
    assert!(matches!(refused, Err(Error::Backend { .. })), "{refused:?}");
    let refused = store.trim(SHARD, Rev(1)).await;
    assert!(matches!(refused, Err(Error::Backend { .. })), "{refused:?}");
    assert!(store.get(SHARD, SPACE, "a").await.unwrap().is_some());
    assert_eq!(store.get(SHARD, SPACE, "b").await, Ok(None));
    assert_eq!(*store.watch(SHARD).borrow(), Rev(1));
    assert!(matches!(store.close().await, Err(Error::Backend { .. })));
    drop(store);
    let store = EmbeddedStore::open(dir).unwrap();
    assert_eq!(store.commit(put("b")).await, Ok(Outcome::Done(Rev(2))));
}

#[tokio::test]
async fn a_panic_of_the_writer_is_told_to_everyone() {
    let dir = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(dir.path()).unwrap();
    store.commit(put("a")).await.unwrap();
    let answer = commit_beside(&store, put("b"), |_| panic!("asked for by a test")).await;
    assert_eq!(answer, Ok(Outcome::Unknown));
    stopped_but_readable(store, dir.path()).await;
}

#[tokio::test]
async fn a_commit_that_fails_at_its_end_is_unknown() {
    let dir = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(dir.path()).unwrap();
    store.commit(put("a")).await.unwrap();
    // A deferred constraint is looked at by SQLite's own commit, after all statements went well.
    let violate = |conn: &rusqlite::Connection| {
        let sql = "create temp table parent(a primary key);
            create temp table child(a references parent deferrable initially deferred);
            insert into child values(1)";
        conn.execute_batch(sql).unwrap();
    };
    let answer = commit_beside(&store, put("b"), violate).await;
    assert_eq!(answer, Ok(Outcome::Unknown));
    stopped_but_readable(store, dir.path()).await;
}

#[tokio::test]
async fn ids_are_forgotten_in_the_end() {
    use cumulet_base::limits::STORE_IDS_REVS;
    let dir = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(dir.path()).unwrap();
    let count = || {
        let conn = format::open_reader(&dir.path().join("store.db")).unwrap();
        conn.query_row("select count(*) from done", [], |row| row.get::<_, i64>(0)).unwrap()
    };
    let total = STORE_IDS_REVS + 512;
    let txns = (0..total).map(|n| {
        let mut txn = Txn::new(SHARD);
        txn.id = Some(u128::from(n).to_be_bytes());
        txn
    });
    let mut under_way = tokio::task::JoinSet::new();
    for txn in txns {
        let store = store.clone();
        under_way.spawn(async move { store.commit(txn).await.unwrap() });
    }
    under_way.join_all().await;
    assert_eq!(count(), STORE_IDS_REVS as i64);
}

/// Under load that never pauses the log is copied back and begun anew all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_stays_bounded_under_steady_load() {
    let dir = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(dir.path()).unwrap();
    let long = u64::from(cumulet_base::limits::STORE_LOG_PAGES_LONG) * 4096;
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..200_u32 {
        let store = store.clone();
        writers.spawn(async move {
            for _ in 0..40 {
                // The same few rows over and over: the file stays small, the log sees all of it.
                let txn = Txn::new(Shard(writer)).put(SPACE, "k", vec![7; 60 * 1024]);
                store.commit(txn).await.unwrap();
            }
        });
    }
    let mut longest = 0;
    while writers.join_next().await.is_some() {
        longest = longest.max(log_bytes(dir.path()));
    }
    // 480 MB were written; a copy takes a while, in which the log goes on growing.
    assert!((1..3 * long).contains(&longest), "the log has {longest} bytes");
    drop(store);
}

fn log_bytes(dir: &Path) -> u64 {
    let logs = std::fs::read_dir(dir).unwrap().filter_map(std::result::Result::ok);
    let is_log = |entry: &std::fs::DirEntry| entry.file_name().to_string_lossy().ends_with("-wal");
    logs.filter(is_log).map(|entry| entry.metadata().unwrap().len()).sum()
}
