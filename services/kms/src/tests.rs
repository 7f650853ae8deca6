//! What boto3 cannot show: time that passes, and what another installation's secret cannot open. The operations are
//! driven by boto3 in `tests/`.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use cumulet_store_memory::MemoryStore;
use cumulet_wire::auth::Caller;
use cumulet_wire::call::Context;
use serde_json::{Value, json};

use super::*;

const NOW_MS: u64 = 1_795_428_930_123;
const DAY_MS: u64 = 86_400_000;
const PLAIN: &str = "aGVsbG8=";

async fn call(kms: &Kms, now_ms: u64, operation: &str, input: Value) -> Result<Value, ApiError> {
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
    kms.call(Call { operation, input, payload: bytes::Bytes::new(), context }).await.map(|answer| answer.output)
}

async fn key(kms: &Kms) -> Value {
    call(kms, NOW_MS, "CreateKey", json!({})).await.unwrap()["KeyMetadata"]["KeyId"].clone()
}

#[tokio::test]
async fn a_key_is_gone_with_its_aliases_when_its_window_is_over() {
    let kms = Kms::new(Arc::new(MemoryStore::new()), &[1; 32]);
    let id = key(&kms).await;
    call(&kms, NOW_MS, "CreateAlias", json!({"AliasName": "alias/a", "TargetKeyId": id})).await.unwrap();
    let sealed = call(&kms, NOW_MS, "Encrypt", json!({"KeyId": "alias/a", "Plaintext": PLAIN})).await.unwrap();
    call(&kms, NOW_MS, "ScheduleKeyDeletion", json!({"KeyId": id, "PendingWindowInDays": 7})).await.unwrap();
    let open = json!({"CiphertextBlob": sealed["CiphertextBlob"]});
    let before = NOW_MS + 7 * DAY_MS - 1;
    let error = call(&kms, before, "Decrypt", open.clone()).await.unwrap_err();
    assert_eq!(error.code, "KMSInvalidStateException");
    let after = NOW_MS + 7 * DAY_MS;
    assert_eq!(call(&kms, after, "Decrypt", open).await.unwrap_err().code, "InvalidCiphertextException");
    assert_eq!(call(&kms, after, "ListAliases", json!({})).await.unwrap()["Aliases"], json!([]));
    assert_eq!(call(&kms, after, "ListKeys", json!({})).await.unwrap()["Keys"], json!([]));
}

#[tokio::test]
async fn rotation_comes_with_the_first_encryption_after_its_day() {
    let kms = Kms::new(Arc::new(MemoryStore::new()), &[1; 32]);
    let id = key(&kms).await;
    call(&kms, NOW_MS, "EnableKeyRotation", json!({"KeyId": id, "RotationPeriodInDays": 90})).await.unwrap();
    let encrypt = json!({"KeyId": id, "Plaintext": PLAIN, "EncryptionContext": {"a": "b"}});
    let old = call(&kms, NOW_MS, "Encrypt", encrypt.clone()).await.unwrap();
    let later = NOW_MS + 90 * DAY_MS;
    assert_eq!(call(&kms, later, "ListKeyRotations", json!({"KeyId": id})).await.unwrap()["Rotations"], json!([]));
    call(&kms, later, "Encrypt", encrypt).await.unwrap();
    let rotations = call(&kms, later, "ListKeyRotations", json!({"KeyId": id})).await.unwrap();
    assert_eq!(rotations["Rotations"][0]["RotationType"], "AUTOMATIC");
    let open = json!({"CiphertextBlob": old["CiphertextBlob"], "EncryptionContext": {"a": "b"}});
    assert_eq!(call(&kms, later, "Decrypt", open).await.unwrap()["Plaintext"], PLAIN, "what came before still opens");
}

#[tokio::test]
async fn another_installation_cannot_use_what_is_stored() {
    let store = Arc::new(MemoryStore::new());
    let kms = Kms::new(store.clone(), &[1; 32]);
    let id = key(&kms).await;
    let other = Kms::new(store, &[2; 32]);
    let error = call(&other, NOW_MS, "Encrypt", json!({"KeyId": id, "Plaintext": PLAIN})).await.unwrap_err();
    assert_eq!((error.status, error.code.as_str()), (500, "KMSInternalException"));
}
