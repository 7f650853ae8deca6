//! How much is stored, for the bill: every so often the sizes of all versions are added up, and the sum counts for the time
//! until the next look.

use std::time::Duration;

use cumulet_base::limits;
use s3s::S3Result;

use crate::Objects;

const READ: u32 = 1000;

/// Again and again, for as long as the process lives; what is stored is billed after it was stored.
pub async fn keep(s3: Objects) {
    let period = Duration::from_millis(limits::BUCKET_MEASURE_PERIOD_MS);
    loop {
        tokio::time::sleep(period).await;
        if let Err(e) = run(&s3, limits::BUCKET_MEASURE_PERIOD_MS).await {
            tracing::warn!(error = %e, "measuring what is stored");
        }
    }
}

/// Bills what is stored now for a time.
pub async fn run(s3: &Objects, period_ms: u64) -> S3Result<()> {
    for (name, bucket) in s3.storage.buckets().await? {
        let (mut from, mut id, mut bytes) = (Vec::new(), None, 0_u64);
        loop {
            let (listed, is_end) = s3.storage.versions(&name, "", &from, id.as_deref(), READ).await?;
            bytes += listed.iter().map(|one| one.object.size).sum::<u64>();
            if let Some(last) = listed.last() {
                (from, id) = (last.key.as_bytes().to_vec(), Some(last.object.version.id.clone()));
            }
            if is_end {
                break;
            }
            tokio::task::yield_now().await;
        }
        let micro = u128::from(bytes) * 1_000_000 * u128::from(period_ms) / 3_600_000;
        if micro > 0 {
            s3.bill("byte-hours", u64::try_from(micro).unwrap_or(u64::MAX), &bucket, &name);
        }
    }
    Ok(())
}
