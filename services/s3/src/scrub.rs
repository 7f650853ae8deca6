//! Removes blobs that an earlier process left without a record. One after the other, so that it is never in the way;
//! blobs of this process are passed over, because their record may still come.

use std::sync::Arc;

use futures_util::StreamExt;

use crate::storage::Storage;

/// Answers how many there were.
pub async fn run(storage: Arc<Storage>) -> usize {
    let mut names = storage.blobs.names();
    let mut removed = 0;
    while let Some(name) = names.next().await {
        let name = match name {
            Ok(name) => name,
            Err(e) => {
                tracing::warn!(error = %e, "looking for blobs without a record");
                break;
            }
        };
        if storage.is_orphan(&name).await.unwrap_or(false) {
            storage.discard(&[name]).await;
            removed += 1;
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
    use cumulet_store_memory::MemoryStore;

    use super::*;
    use crate::model::{Attributes, Bucket, Marks, Object, Place, Version, Versioning};
    use crate::notify::Cause;
    use crate::storage::{Along, New, Write};

    async fn put_down(storage: &Storage) -> String {
        let name = storage.blob_name("b", None);
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
    async fn only_orphans_of_earlier_processes_are_removed() {
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
        assert_eq!(run(earlier).await, 0, "a record may still come");
        let later = of();
        let under_way = put_down(&later).await;
        assert_eq!(run(later.clone()).await, 1);
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
}
