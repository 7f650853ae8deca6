//! What boto3 cannot show: time that passes, and what another installation's secret cannot open. The operations are
//! driven by boto3 in `tests/`.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use cumulet_store_memory::MemoryStore;
use cumulet_wire::auth::Caller;
use cumulet_wire::call::Context;
use serde_json::json;

use super::*;

const NOW_MS: u64 = 1_795_428_930_123;
const DAY_MS: u64 = 86_400_000;

async fn call(manager: &SecretsManager, now_ms: u64, operation: &str, input: Value) -> Result<Value, ApiError> {
    let operation = MODEL.operations.iter().find(|o| o.name == operation).unwrap();
    let Value::Object(input) = input else { panic!("the input is an object") };
    let context = Context {
        caller: Caller::owner("000000000000"),
        region: "us-east-1".to_owned(),
        request_id: "r".to_owned(),
        host: "localhost".to_owned(),
        now_ms,
        trace: None,
    };
    manager.call(Call { operation, input, payload: bytes::Bytes::new(), context }).await.map(|answer| answer.output)
}

#[tokio::test]
async fn a_deleted_secret_is_gone_when_its_window_is_over() {
    let manager = SecretsManager::new(Arc::new(MemoryStore::new()), &[1; 32]);
    let id = json!({"SecretId": "s"});
    call(&manager, NOW_MS, "CreateSecret", json!({"Name": "s", "SecretString": "old"})).await.unwrap();
    call(&manager, NOW_MS, "DeleteSecret", json!({"SecretId": "s", "RecoveryWindowInDays": 7})).await.unwrap();
    let before = NOW_MS + 7 * DAY_MS - 1;
    assert_eq!(call(&manager, before, "GetSecretValue", id.clone()).await.unwrap_err().code, "InvalidRequestException");
    let after = NOW_MS + 7 * DAY_MS;
    assert_eq!(
        call(&manager, after, "DescribeSecret", id.clone()).await.unwrap_err().code,
        "ResourceNotFoundException"
    );
    call(&manager, after, "CreateSecret", json!({"Name": "s", "SecretString": "new"})).await.unwrap();
    assert_eq!(call(&manager, after, "GetSecretValue", id).await.unwrap()["SecretString"], "new");
}

#[tokio::test]
async fn another_installation_cannot_read() {
    let store = Arc::new(MemoryStore::new());
    let manager = SecretsManager::new(store.clone(), &[1; 32]);
    call(&manager, NOW_MS, "CreateSecret", json!({"Name": "s", "SecretString": "hush"})).await.unwrap();
    let other = SecretsManager::new(store, &[2; 32]);
    let failed = call(&other, NOW_MS, "GetSecretValue", json!({"SecretId": "s"})).await.unwrap_err();
    assert_eq!(failed.code, "DecryptionFailure");
}
