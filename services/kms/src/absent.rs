//! The operations of AWS's model that are not built: asymmetric keys, imported material, custom key stores, other regions.

use cumulet_wire::operation::Operation;

pub const ABSENT: &[Operation] = &[
    Operation::rpc("ConnectCustomKeyStore"),
    Operation::rpc("CreateCustomKeyStore"),
    Operation::rpc("DeleteCustomKeyStore"),
    Operation::rpc("DeleteImportedKeyMaterial"),
    Operation::rpc("DeriveSharedSecret"),
    Operation::rpc("DescribeCustomKeyStores"),
    Operation::rpc("DisconnectCustomKeyStore"),
    Operation::rpc("GenerateDataKeyPair"),
    Operation::rpc("GenerateDataKeyPairWithoutPlaintext"),
    Operation::rpc("GetKeyLastUsage"),
    Operation::rpc("GetParametersForImport"),
    Operation::rpc("GetPublicKey"),
    Operation::rpc("ImportKeyMaterial"),
    Operation::rpc("ListRetirableGrants"),
    Operation::rpc("ReplicateKey"),
    Operation::rpc("Sign"),
    Operation::rpc("UpdateCustomKeyStore"),
    Operation::rpc("UpdatePrimaryRegion"),
    Operation::rpc("Verify"),
];
