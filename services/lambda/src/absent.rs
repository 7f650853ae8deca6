//! Operations of AWS's model that are not built. They answer "not implemented" by name; nothing else happens here.

use cumulet_wire::operation::Operation;

#[rustfmt::skip]
pub const ABSENT: &[Operation] = &[
    Operation::rest("CheckpointDurableExecution", "POST", "/2025-12-01/durable-executions/{DurableExecutionArn}/checkpoint", 200),
    Operation::rest("CreateCapacityProvider", "POST", "/2025-11-30/capacity-providers", 202),
    Operation::rest("CreateCodeSigningConfig", "POST", "/2020-04-22/code-signing-configs", 201),
    Operation::rest("DeleteCapacityProvider", "DELETE", "/2025-11-30/capacity-providers/{CapacityProviderName}", 202),
    Operation::rest("DeleteCodeSigningConfig", "DELETE", "/2020-04-22/code-signing-configs/{CodeSigningConfigArn}", 204),
    Operation::rest("DeleteFunctionCodeSigningConfig", "DELETE", "/2020-06-30/functions/{FunctionName}/code-signing-config", 204),
    Operation::rest("GetCapacityProvider", "GET", "/2025-11-30/capacity-providers/{CapacityProviderName}", 200),
    Operation::rest("GetCodeSigningConfig", "GET", "/2020-04-22/code-signing-configs/{CodeSigningConfigArn}", 200),
    Operation::rest("GetDurableExecution", "GET", "/2025-12-01/durable-executions/{DurableExecutionArn}", 200),
    Operation::rest("GetDurableExecutionHistory", "GET", "/2025-12-01/durable-executions/{DurableExecutionArn}/history", 200),
    Operation::rest("GetDurableExecutionState", "GET", "/2025-12-01/durable-executions/{DurableExecutionArn}/state", 200),
    Operation::rest("ListCapacityProviders", "GET", "/2025-11-30/capacity-providers", 200),
    Operation::rest("ListCodeSigningConfigs", "GET", "/2020-04-22/code-signing-configs", 200),
    Operation::rest("ListDurableExecutionsByFunction", "GET", "/2025-12-01/functions/{FunctionName}/durable-executions", 200),
    Operation::rest("ListFunctionVersionsByCapacityProvider", "GET", "/2025-11-30/capacity-providers/{CapacityProviderName}/function-versions", 200),
    Operation::rest("ListFunctionsByCodeSigningConfig", "GET", "/2020-04-22/code-signing-configs/{CodeSigningConfigArn}/functions", 200),
    Operation::rest("PutFunctionCodeSigningConfig", "PUT", "/2020-06-30/functions/{FunctionName}/code-signing-config", 200),
    Operation::rest("SendDurableExecutionCallbackFailure", "POST", "/2025-12-01/durable-execution-callbacks/{CallbackId}/fail", 200),
    Operation::rest("SendDurableExecutionCallbackHeartbeat", "POST", "/2025-12-01/durable-execution-callbacks/{CallbackId}/heartbeat", 200),
    Operation::rest("SendDurableExecutionCallbackSuccess", "POST", "/2025-12-01/durable-execution-callbacks/{CallbackId}/succeed", 200),
    Operation::rest("StopDurableExecution", "POST", "/2025-12-01/durable-executions/{DurableExecutionArn}/stop", 200),
    Operation::rest("UpdateCapacityProvider", "PUT", "/2025-11-30/capacity-providers/{CapacityProviderName}", 202),
    Operation::rest("UpdateCodeSigningConfig", "PUT", "/2020-04-22/code-signing-configs/{CodeSigningConfigArn}", 200),
];
