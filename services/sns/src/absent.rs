//! What of SNS's model is not built: text messages, mobile push, data protection.

use cumulet_wire::operation::Operation;

pub const ABSENT: &[Operation] = &[
    Operation::rpc("CheckIfPhoneNumberIsOptedOut"),
    Operation::rpc("CreatePlatformApplication"),
    Operation::rpc("CreatePlatformEndpoint"),
    Operation::rpc("CreateSMSSandboxPhoneNumber"),
    Operation::rpc("DeleteEndpoint"),
    Operation::rpc("DeletePlatformApplication"),
    Operation::rpc("DeleteSMSSandboxPhoneNumber"),
    Operation::rpc("GetDataProtectionPolicy"),
    Operation::rpc("GetEndpointAttributes"),
    Operation::rpc("GetPlatformApplicationAttributes"),
    Operation::rpc("GetSMSAttributes"),
    Operation::rpc("GetSMSSandboxAccountStatus"),
    Operation::rpc("ListEndpointsByPlatformApplication"),
    Operation::rpc("ListOriginationNumbers"),
    Operation::rpc("ListPhoneNumbersOptedOut"),
    Operation::rpc("ListPlatformApplications"),
    Operation::rpc("ListSMSSandboxPhoneNumbers"),
    Operation::rpc("OptInPhoneNumber"),
    Operation::rpc("PutDataProtectionPolicy"),
    Operation::rpc("SetEndpointAttributes"),
    Operation::rpc("SetPlatformApplicationAttributes"),
    Operation::rpc("SetSMSAttributes"),
    Operation::rpc("VerifySMSSandboxPhoneNumber"),
];
