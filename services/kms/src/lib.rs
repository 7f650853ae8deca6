//! AWS Key Management Service: symmetric keys and keys of message authentication codes, aliases, policies, grants, rotation,
//! deletion after a while. Key material is encrypted where it is stored, with a key that follows from the installation's
//! secret: whoever has the data folder whole has the keys, as there is no hardware that would keep them apart.
//! Deliberately absent: asymmetric keys, imported material, custom key stores, keys of several regions, and the keys that
//! AWS manages for its services (`alias/aws/…`).

mod absent;
mod access;
mod cipher;
mod errors;
mod model;
mod operations;
mod storage;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use async_trait::async_trait;
use cumulet_store::Store;
use cumulet_wire::auth::Authorizer;
use cumulet_wire::call::{Answer, Call};
use cumulet_wire::error::ApiError;
use cumulet_wire::operation::{Operation, Protocol, Service, ServiceModel};
use cumulet_wire::seal::Seal;

use storage::Storage;

const OPERATIONS: &[Operation] = &[
    Operation::rpc("CancelKeyDeletion"),
    Operation::rpc("CreateAlias"),
    Operation::rpc("CreateGrant"),
    Operation::rpc("CreateKey"),
    Operation::rpc("Decrypt"),
    Operation::rpc("DeleteAlias"),
    Operation::rpc("DescribeKey"),
    Operation::rpc("DisableKey"),
    Operation::rpc("DisableKeyRotation"),
    Operation::rpc("EnableKey"),
    Operation::rpc("EnableKeyRotation"),
    Operation::rpc("Encrypt"),
    Operation::rpc("GenerateDataKey"),
    Operation::rpc("GenerateDataKeyWithoutPlaintext"),
    Operation::rpc("GenerateMac"),
    Operation::rpc("GenerateRandom"),
    Operation::rpc("GetKeyPolicy"),
    Operation::rpc("GetKeyRotationStatus"),
    Operation::rpc("ListAliases"),
    Operation::rpc("ListGrants"),
    Operation::rpc("ListKeyPolicies"),
    Operation::rpc("ListKeyRotations"),
    Operation::rpc("ListKeys"),
    Operation::rpc("ListResourceTags"),
    Operation::rpc("PutKeyPolicy"),
    Operation::rpc("ReEncrypt"),
    Operation::rpc("RetireGrant"),
    Operation::rpc("RevokeGrant"),
    Operation::rpc("RotateKeyOnDemand"),
    Operation::rpc("ScheduleKeyDeletion"),
    Operation::rpc("TagResource"),
    Operation::rpc("UntagResource"),
    Operation::rpc("UpdateAlias"),
    Operation::rpc("UpdateKeyDescription"),
    Operation::rpc("VerifyMac"),
];

pub const MODEL: ServiceModel = ServiceModel {
    name: "kms",
    protocol: Protocol::Json11,
    target: "TrentService",
    xmlns: "",
    operations: OPERATIONS,
    absent: absent::ABSENT,
};

pub struct Kms {
    storage: Storage,
    seal: Seal,
}

impl Kms {
    /// `secret`: the installation's own; what was encrypted under another cannot be read.
    pub fn new(store: Arc<dyn Store>, secret: &[u8; 32]) -> Kms {
        Kms { storage: Storage::new(store), seal: Seal::new(secret, "kms key material\n") }
    }
}

#[async_trait]
impl Service for Kms {
    fn model(&self) -> &'static ServiceModel {
        &MODEL
    }

    async fn authorize(&self, authorizer: &dyn Authorizer, call: &Call) -> Result<(), ApiError> {
        access::authorize(self, authorizer, call).await
    }

    async fn call(&self, call: Call) -> Result<Answer, ApiError> {
        use operations::{aliases, crypt, grants, keys, mac, policies, rotation, tags};
        match call.operation.name {
            "CancelKeyDeletion" => keys::cancel_deletion(self, &call).await,
            "CreateAlias" => aliases::create(self, &call).await,
            "CreateGrant" => grants::create(self, &call).await,
            "CreateKey" => keys::create(self, &call).await,
            "Decrypt" => crypt::decrypt(self, &call).await,
            "DeleteAlias" => aliases::delete(self, &call).await,
            "DescribeKey" => keys::describe(self, &call).await,
            "DisableKey" => keys::enable(self, &call, false).await,
            "DisableKeyRotation" => rotation::disable(self, &call).await,
            "EnableKey" => keys::enable(self, &call, true).await,
            "EnableKeyRotation" => rotation::enable(self, &call).await,
            "Encrypt" => crypt::encrypt(self, &call).await,
            "GenerateDataKey" => crypt::data_key(self, &call, true).await,
            "GenerateDataKeyWithoutPlaintext" => crypt::data_key(self, &call, false).await,
            "GenerateMac" => mac::generate(self, &call).await,
            "GenerateRandom" => crypt::random(&call),
            "GetKeyPolicy" => policies::get(self, &call).await,
            "GetKeyRotationStatus" => rotation::status(self, &call).await,
            "ListAliases" => aliases::list(self, &call).await,
            "ListGrants" => grants::list(self, &call).await,
            "ListKeyPolicies" => policies::list(self, &call).await,
            "ListKeyRotations" => rotation::list(self, &call).await,
            "ListKeys" => keys::list(self, &call).await,
            "ListResourceTags" => tags::list(self, &call).await,
            "PutKeyPolicy" => policies::put(self, &call).await,
            "ReEncrypt" => crypt::re_encrypt(self, &call).await,
            "RetireGrant" => grants::retire(self, &call).await,
            "RevokeGrant" => grants::revoke(self, &call).await,
            "RotateKeyOnDemand" => rotation::rotate(self, &call).await,
            "ScheduleKeyDeletion" => keys::schedule_deletion(self, &call).await,
            "TagResource" => tags::tag(self, &call).await,
            "UntagResource" => tags::untag(self, &call).await,
            "UpdateAlias" => aliases::update(self, &call).await,
            "UpdateKeyDescription" => keys::describe_anew(self, &call).await,
            "VerifyMac" => mac::verify(self, &call).await,
            other => Err(ApiError::not_implemented("kms", other)),
        }
    }
}
