//! A bucket as destination of what failed: each record is an object, under the key that Lambda gives it
//! (<https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html>).

use bytes::Bytes;
use cumulet_base::arn::Arn;
use cumulet_base::{clock, id};
use cumulet_wire::call::Context;
use cumulet_wire::client::Client;
use cumulet_wire::error::ApiError;
use serde_json::json;

/// The bucket that an ARN names.
pub fn of(arn: &str) -> Option<String> {
    let arn: Arn = arn.parse().ok()?;
    (arn.service == "s3" && !arn.resource.is_empty() && !arn.resource.contains('/')).then_some(arn.resource)
}

/// `YYYY-MM-DDTHH.MM.SS-UUID`, which ends a key.
pub fn stamp(now_ms: u64) -> String {
    let now = clock::iso_ms(now_ms);
    format!("{}-{}", now[..19].replace(':', "."), id::uuid())
}

/// Puts the record there, as the caller of the context.
///
/// # Errors
/// The bucket's own.
pub async fn put(client: &Client, context: Context, bucket: &str, key: &str, record: Bytes) -> Result<(), ApiError> {
    let input = json!({"Bucket": bucket, "Key": key, "ContentType": "application/json"});
    client.call_in(context, "s3", "PutObject", input, record).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arns_and_keys() {
        assert_eq!(of("arn:aws:s3:::a-bucket").as_deref(), Some("a-bucket"));
        for other in ["arn:aws:s3:::", "arn:aws:s3:::b/key", "arn:aws:sqs:us-east-1:000000000000:q", "b"] {
            assert_eq!(of(other), None, "{other}");
        }
        assert!(stamp(1_795_428_930_123).starts_with("2026-11-23T"));
        assert_eq!(stamp(0)[..20], *"1970-01-01T00.00.00-");
    }
}
