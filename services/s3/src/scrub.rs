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
