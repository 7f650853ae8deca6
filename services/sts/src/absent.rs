//! Operations of AWS's model that are not built. They answer "not implemented" by name; nothing else happens here.

use cumulet_wire::operation::Operation;

#[rustfmt::skip]
pub const ABSENT: &[Operation] = &[
    Operation::rpc("AssumeRoleWithSAML"),
    Operation::rpc("AssumeRoleWithWebIdentity"),
    Operation::rpc("AssumeRoot"),
    Operation::rpc("DecodeAuthorizationMessage"),
    Operation::rpc("GetAccessKeyInfo"),
    Operation::rpc("GetDelegatedAccessToken"),
    Operation::rpc("GetFederationToken"),
    Operation::rpc("GetSessionToken"),
    Operation::rpc("GetWebIdentityToken"),
];
