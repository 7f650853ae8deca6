//! GetCallerIdentity (<https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html>).

use cumulet_wire::call::{Answer, Call};
use cumulet_wire::error::ApiError;
use serde_json::json;

pub fn run(call: &Call) -> Result<Answer, ApiError> {
    let caller = &call.context.caller;
    Answer::json(json!({
        "UserId": caller.user_id,
        "Account": caller.account,
        "Arn": caller.arn,
    }))
}
