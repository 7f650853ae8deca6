//! Removes blobs that no record names: those that a crash left between a blob and its record, that a client left who went
//! away in that moment, that could not be removed when their record went. Now and then, one after the other and with
//! pauses, so that it is never in the way. `storage/pending.rs` says which it passes over because their record may still come.

use std::sync::Arc;
use std::time::Duration;

use cumulet_base::limits;
use futures_util::StreamExt;

use crate::storage::Storage;

/// Comes by at the start and from then on at these intervals.
pub async fn keep(storage: Arc<Storage>, every: Duration) {
    loop {
        run(&storage).await;
        tokio::time::sleep(every).await;
    }
}

/// One round; answers how many there were.
pub async fn run(storage: &Storage) -> usize {
    let young = storage.scrub_round();
    let mut names = storage.blobs.names();
    let (mut seen, mut removed) = (0_usize, 0);
    while let Some(name) = names.next().await {
        let name = match name {
            Ok(name) => name,
            Err(e) => {
                tracing::warn!(error = %e, "looking for blobs without a record");
                break;
            }
        };
        match storage.is_orphan(&name, &young).await {
            Ok(true) => {
                storage.discard(&[name]).await;
                removed += 1;
            }
            Ok(false) => {}
            // What nobody can say of is left for the next round.
            Err(e) => tracing::warn!(error = %e, blob = name, "looking for the record of a blob"),
        }
        seen += 1;
        if seen.is_multiple_of(limits::OBJECT_SCRUB_NAMES) {
            tokio::time::sleep(Duration::from_millis(limits::OBJECT_SCRUB_PAUSE_MS)).await;
        }
    }
    if removed > 0 {
        tracing::info!(removed, "removed blobs that no record names");
    }
    removed
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use cumulet_base::clock::SystemClock;
    use cumulet_blobs::Blobs;
    use cumulet_delivery::Delivery;
    use cumulet_store_memory::{Faults, MemoryStore};

    use super::*;
    use crate::model::{Attributes, Bucket, Marks, Object, Place, Version, Versioning};
    use crate::notify::Cause;
    use crate::storage::{Along, New, NewBlob, Write};

    async fn put_down(storage: &Storage) -> NewBlob {
        let name = storage.new_blob("b", None);
        let mut writer = storage.blobs.create(&name);
        writer.write("bytes".into()).await.unwrap();
        writer.finish().await.unwrap();
        name
    }

    async fn change(storage: &Storage, write: Write<'_>) {
        let nobody = String::new();
        let cause = Cause {
            event: "",
            principal: nobody.clone(),
            source_ip: nobody.clone(),
            request_id: nobody,
            now_ms: 1,
            trace: None,
        };
        storage.change("b", "k", write, Along::default(), &cause, |_, _| Ok(())).await.unwrap();
    }

    #[tokio::test]
    async fn what_records_name_is_kept_and_what_a_crash_leaves_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let blobs = Arc::new(Blobs::local(dir.path()).unwrap());
        let store = Arc::new(MemoryStore::new());
        let of = || {
            let delivery = Delivery::new(store.clone(), Arc::new(SystemClock));
            Arc::new(Storage::new(store.clone(), blobs.clone(), delivery))
        };
        let earlier = of();
        let bucket = Bucket::new("0".to_owned(), "us-east-1".to_owned(), 1);
        assert!(earlier.create_bucket("b", &bucket).await.unwrap());
        let named = put_down(&earlier).await;
        let object = |name: &str| New {
            object: Object {
                size: 5,
                etag: String::new(),
                modified_ms: 1,
                attributes: Attributes::default(),
                sum: None,
                place: Place::Blob(name.to_owned()),
                version: Version::default(),
                marks: Marks::default(),
            },
            inline: None,
        };
        change(&earlier, Write::Put(&object(&named))).await;
        let orphan = put_down(&earlier).await;
        assert_eq!(run(&earlier).await + run(&earlier).await, 0, "a record may still come");
        let later = of();
        let under_way = put_down(&later).await;
        assert_eq!(run(&later).await, 1);
        assert!(blobs.read(&orphan, 0..1).await.is_err());
        assert!(blobs.read(&named, 0..5).await.is_ok() && blobs.read(&under_way, 0..5).await.is_ok());
        // What is overwritten lets go of its blob at once.
        change(&later, Write::Put(&object(&under_way))).await;
        assert!(blobs.read(&named, 0..1).await.is_err());
        // Where versions are kept, only when it is deleted by its own name.
        let enable = |bucket: &mut Bucket| {
            bucket.versioning = Versioning::Enabled;
            Ok(())
        };
        later.amend_bucket("b", None, enable).await.unwrap();
        change(&later, Write::Delete).await;
        assert!(blobs.read(&under_way, 0..5).await.is_ok());
        assert!(later.object("b", "k", None).await.is_err() && later.object("b", "k", Some("null")).await.is_ok());
        change(&later, Write::DeleteVersion("null")).await;
        assert!(blobs.read(&under_way, 0..1).await.is_err());
        assert!(later.delete_bucket("b").await.is_err(), "there is still the marker");
        let (listed, _) = later.versions("b", "", b"", None, 10).await.unwrap();
        assert!(listed.len() == 1 && listed[0].is_latest && listed[0].object.version.is_marker);
        change(&later, Write::DeleteVersion(&listed[0].object.version.id)).await;
        later.delete_bucket("b").await.unwrap();
    }

    fn storage(dir: &std::path::Path, faults: Faults) -> Arc<Storage> {
        let store = Arc::new(MemoryStore::with_faults(faults));
        let delivery = Delivery::new(store.clone(), Arc::new(SystemClock));
        Arc::new(Storage::new(store, Arc::new(Blobs::local(dir).unwrap()), delivery))
    }

    async fn is_there(storage: &Storage, name: &str) -> bool {
        storage.blobs.read(name, 0..1).await.is_ok()
    }

    #[tokio::test]
    async fn a_request_that_ends_early_leaves_nothing_for_good() {
        let dir = tempfile::tempdir().unwrap();
        let storage = storage(dir.path(), Faults::default());
        let (refused, gone) = (put_down(&storage).await, put_down(&storage).await);
        let names = [refused.to_string(), gone.to_string()];
        assert_eq!(run(&storage).await, 0, "both are under way");
        // One is refused before its commit; of the other the client goes away while the commit is under way.
        drop(refused);
        let mut commit = Box::pin(gone.named_by(std::future::pending::<()>()));
        assert!(futures_util::poll!(&mut commit).is_pending());
        drop(commit);
        assert_eq!(run(&storage).await, 1);
        assert!(!is_there(&storage, &names[0]).await && is_there(&storage, &names[1]).await);
        assert_eq!(run(&storage).await, 1, "a round later, no commit can be on its way");
        assert!(!is_there(&storage, &names[1]).await);
    }

    #[tokio::test]
    async fn what_nobody_can_say_of_is_left_for_the_next_round() {
        let dir = tempfile::tempdir().unwrap();
        let faults = Faults::default();
        let storage = storage(dir.path(), faults.clone());
        drop(put_down(&storage).await);
        faults.fail_reads(1);
        assert_eq!(run(&storage).await, 0);
        assert_eq!(run(&storage).await, 1);
    }

    #[tokio::test]
    async fn it_comes_by_again() {
        let dir = tempfile::tempdir().unwrap();
        let storage = storage(dir.path(), Faults::default());
        let keeping = tokio::spawn(keep(storage.clone(), Duration::from_millis(1)));
        for _ in 0..3 {
            let name = put_down(&storage).await;
            let left = name.to_string();
            drop(name);
            let gone = async {
                while is_there(&storage, &left).await {
                    tokio::task::yield_now().await;
                }
            };
            tokio::time::timeout(Duration::from_secs(60), gone).await.unwrap();
        }
        keeping.abort();
    }
}
