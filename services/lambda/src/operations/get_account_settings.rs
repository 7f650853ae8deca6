//! GetAccountSettings (<https://docs.aws.amazon.com/lambda/latest/api/API_GetAccountSettings.html>).

use cumulet_base::limits;
use cumulet_wire::call::{Answer, Call};
use cumulet_wire::error::ApiError;
use serde_json::json;

use crate::Lambda;

/// AWS's quota for all code of a region, 75 GB.
const CODE_TOTAL_BYTES_MAX: u64 = 80_530_636_800;

pub async fn run(lambda: &Lambda, call: Call) -> Result<Answer, ApiError> {
    let context = call.context;
    let all = lambda.functions.list(context.account(), &context.region, None, usize::MAX).await?;
    let reserved: usize = all.iter().filter_map(|f| f.concurrency_max).map(|n| n as usize).sum();
    let bytes = lambda.code_bytes(&context).await?;
    Answer::json(json!({
        "AccountLimit": {
            "TotalCodeSize": CODE_TOTAL_BYTES_MAX,
            "CodeSizeUnzipped": limits::CODE_UNZIPPED_BYTES_MAX,
            "CodeSizeZipped": limits::CODE_ZIP_BYTES_MAX,
            "ConcurrentExecutions": lambda.settings.account_concurrency,
            "UnreservedConcurrentExecutions": lambda.settings.account_concurrency.saturating_sub(reserved),
        },
        "AccountUsage": {"TotalCodeSize": bytes, "FunctionCount": all.len()},
    }))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use crate::tests::Fixture;

    #[tokio::test]
    async fn counts_functions() {
        let fixture = Fixture::new();
        fixture.create("f").await.unwrap();
        let got = fixture.call("GetAccountSettings", json!({})).await.unwrap();
        assert_eq!(got["AccountUsage"]["FunctionCount"], 1);
    }
}
