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
    use cumulet_blobs::Blobs;
    use cumulet_store_memory::MemoryStore;

    use super::*;
    use crate::model::{Attributes, Bucket, Object, Place};
    use crate::storage::{Along, New};

    async fn put_down(storage: &Storage) -> String {
        let name = storage.blob_name("b", None);
        let mut writer = storage.blobs.create(&name).await.unwrap();
        writer.write("bytes".into()).await.unwrap();
        writer.finish().await.unwrap();
        name
    }

    #[tokio::test]
    async fn only_orphans_of_earlier_processes_are_removed() {
        let dir = tempfile::tempdir().unwrap();
        let blobs = Arc::new(Blobs::local(dir.path()).unwrap());
        let store = Arc::new(MemoryStore::new());
        let earlier = Arc::new(Storage::new(store.clone(), blobs.clone()));
        let bucket = Bucket { account: "0".to_owned(), region: "us-east-1".to_owned(), created_ms: 1 };
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
            },
            inline: None,
        };
        earlier.replace("b", "k", Some(&object(&named)), Along::default(), |_| Ok(())).await.unwrap();
        let orphan = put_down(&earlier).await;
        assert_eq!(run(earlier).await, 0, "a record may still come");
        let later = Arc::new(Storage::new(store, blobs.clone()));
        let under_way = put_down(&later).await;
        assert_eq!(run(later.clone()).await, 1);
        assert!(blobs.read(&orphan, 0..1).await.is_err());
        assert!(blobs.read(&named, 0..5).await.is_ok() && blobs.read(&under_way, 0..5).await.is_ok());
        // What is overwritten lets go of its blob at once.
        later.replace("b", "k", Some(&object(&under_way)), Along::default(), |_| Ok(())).await.unwrap();
        assert!(blobs.read(&named, 0..1).await.is_err());
        later.replace("b", "k", None, Along::default(), |_| Ok(())).await.unwrap();
        assert!(blobs.read(&under_way, 0..1).await.is_err());
        later.delete_bucket("b").await.unwrap();
    }
}
