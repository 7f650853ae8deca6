//! Operations of AWS's model that are not built.

use cumulet_wire::operation::Operation;

pub const ABSENT: &[Operation] = &[
    Operation::rpc("AddTagsToOnPremisesInstances"),
    Operation::rpc("BatchGetApplicationRevisions"),
    Operation::rpc("BatchGetApplications"),
    Operation::rpc("BatchGetDeploymentGroups"),
    Operation::rpc("BatchGetDeploymentInstances"),
    Operation::rpc("BatchGetDeploymentTargets"),
    Operation::rpc("BatchGetOnPremisesInstances"),
    Operation::rpc("ContinueDeployment"),
    Operation::rpc("DeleteGitHubAccountToken"),
    Operation::rpc("DeleteResourcesByExternalId"),
    Operation::rpc("DeregisterOnPremisesInstance"),
    Operation::rpc("GetApplicationRevision"),
    Operation::rpc("GetDeploymentInstance"),
    Operation::rpc("GetOnPremisesInstance"),
    Operation::rpc("ListApplicationRevisions"),
    Operation::rpc("ListDeploymentInstances"),
    Operation::rpc("ListGitHubAccountTokenNames"),
    Operation::rpc("ListOnPremisesInstances"),
    Operation::rpc("RegisterApplicationRevision"),
    Operation::rpc("RegisterOnPremisesInstance"),
    Operation::rpc("RemoveTagsFromOnPremisesInstances"),
    Operation::rpc("SkipWaitTimeForInstanceTermination"),
];
