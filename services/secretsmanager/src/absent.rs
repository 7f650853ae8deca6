//! The operations of AWS's model that are not built: rotation by functions, and copies in other regions.

use cumulet_wire::operation::Operation;

pub const ABSENT: &[Operation] = &[
    Operation::rpc("CancelRotateSecret"),
    Operation::rpc("RemoveRegionsFromReplication"),
    Operation::rpc("ReplicateSecretToRegions"),
    Operation::rpc("RotateSecret"),
    Operation::rpc("StopReplicationToReplica"),
];
