//! The one table from CodeDeploy's failures to AWS's codes and sentences
//! (<https://docs.aws.amazon.com/codedeploy/latest/APIReference/CommonErrors.html> and the pages of the operations).

use cumulet_wire::error::ApiError;

fn of(code: &'static str, message: impl Into<String>) -> ApiError {
    ApiError::new(400, code, message)
}

/// A member that has to be there: which error says so.
pub fn required(member: &str) -> ApiError {
    match member {
        "applicationName" => of("ApplicationNameRequiredException", "The application name is required."),
        "deploymentGroupName" => of("DeploymentGroupNameRequiredException", "The deployment group name is required."),
        "deploymentConfigName" => {
            of("DeploymentConfigNameRequiredException", "The deployment configuration name is required.")
        }
        "deploymentId" => of("DeploymentIdRequiredException", "The deployment ID is required."),
        "serviceRoleArn" => of("RoleRequiredException", "The service role is required."),
        "revision" => of("RevisionRequiredException", "The revision is required."),
        "targetId" => of("DeploymentTargetIdRequiredException", "The deployment target ID is required."),
        "ResourceArn" => of("ResourceArnRequiredException", "The ARN of a resource is required."),
        "Tags" => of("TagRequiredException", "A tag is required."),
        _ => of("ValidationException", format!("{member} is required.")),
    }
}

/// A name that is none.
pub fn invalid_name(member: &str, name: &str) -> ApiError {
    match member {
        "applicationName" => {
            of("InvalidApplicationNameException", format!("The application name {name} is not valid."))
        }
        "deploymentGroupName" => {
            of("InvalidDeploymentGroupNameException", format!("The deployment group name {name} is not valid."))
        }
        _ => of(
            "InvalidDeploymentConfigNameException",
            format!("The deployment configuration name {name} is not valid."),
        ),
    }
}

pub fn no_application(name: &str) -> ApiError {
    of("ApplicationDoesNotExistException", format!("No application found for name: {name}"))
}

pub fn application_exists(name: &str) -> ApiError {
    of("ApplicationAlreadyExistsException", format!("Application already exists: {name}"))
}

pub fn no_group(name: &str) -> ApiError {
    of("DeploymentGroupDoesNotExistException", format!("No Deployment Group found for name: {name}"))
}

pub fn group_exists(name: &str) -> ApiError {
    of("DeploymentGroupAlreadyExistsException", format!("Deployment group name already exists: {name}"))
}

pub fn no_config(name: &str) -> ApiError {
    of("DeploymentConfigDoesNotExistException", format!("No Deployment Config found for name: {name}"))
}

pub fn config_exists(name: &str) -> ApiError {
    of("DeploymentConfigAlreadyExistsException", format!("Deployment config already exists: {name}"))
}

pub fn config_in_use(name: &str) -> ApiError {
    of("DeploymentConfigInUseException", format!("The deployment configuration {name} is in use."))
}

pub fn predefined(name: &str) -> ApiError {
    of("InvalidOperationException", format!("The predefined deployment configuration {name} cannot be deleted."))
}

pub fn platform(name: &str) -> ApiError {
    of(
        "InvalidComputePlatformException",
        format!("The compute platform {name} is not one that is here: only Lambda is."),
    )
}

pub fn routing(why: &str) -> ApiError {
    of("InvalidTrafficRoutingConfigurationException", why)
}

pub fn role(arn: &str) -> ApiError {
    of(
        "InvalidRoleException",
        format!("AWS CodeDeploy does not have the permissions required to assume the role {arn}."),
    )
}

pub fn alarms(why: &str) -> ApiError {
    of("InvalidAlarmConfigException", why)
}

pub fn too_many_alarms() -> ApiError {
    of("AlarmsLimitExceededException", "A deployment group has at most 10 alarms.")
}

pub fn trigger(why: &str) -> ApiError {
    of("InvalidTriggerConfigException", why)
}

pub fn too_many_triggers() -> ApiError {
    of("TriggerTargetsLimitExceededException", "A deployment group has at most 10 triggers.")
}

pub fn rollback(why: &str) -> ApiError {
    of("InvalidAutoRollbackConfigException", why)
}

pub fn style() -> ApiError {
    let why = "Functions are deployed with the type BLUE_GREEN and the option WITH_TRAFFIC_CONTROL.";
    of("InvalidDeploymentStyleException", why)
}

pub fn revision(why: impl Into<String>) -> ApiError {
    of("InvalidRevisionException", why)
}

pub fn too_long() -> ApiError {
    of("DescriptionTooLongException", "The description is too long.")
}

pub fn is_active(group: &str, deployment: &str) -> ApiError {
    let why = format!("The Deployment Group '{group}' already has an active Deployment '{deployment}'");
    of("DeploymentLimitExceededException", why)
}

pub fn invalid_id(id: &str) -> ApiError {
    of("InvalidDeploymentIdException", format!("The deployment ID {id} is not valid."))
}

pub fn no_deployment(id: &str) -> ApiError {
    of("DeploymentDoesNotExistException", format!("The deployment {id} could not be found"))
}

pub fn is_over(id: &str) -> ApiError {
    of("DeploymentAlreadyCompletedException", format!("The deployment {id} is already completed."))
}

pub fn status_of_list(status: &str) -> ApiError {
    of("InvalidDeploymentStatusException", format!("The deployment status {status} is not valid."))
}

pub fn hook_status(status: &str) -> ApiError {
    of("InvalidLifecycleEventHookExecutionStatusException", format!("{status} is neither Succeeded nor Failed."))
}

pub fn hook_id() -> ApiError {
    of("InvalidLifecycleEventHookExecutionIdException", "The lifecycle event hook execution ID is not valid.")
}

pub fn hook_is_over() -> ApiError {
    of("LifecycleEventAlreadyCompletedException", "The lifecycle event hook has already completed.")
}

pub fn no_target(id: &str) -> ApiError {
    of("DeploymentTargetDoesNotExistException", format!("No deployment target found for ID: {id}"))
}

pub fn invalid_target(id: &str) -> ApiError {
    of("InvalidDeploymentTargetIdException", format!("The deployment target ID {id} is not valid."))
}

pub fn time_range() -> ApiError {
    of("InvalidTimeRangeException", "The time range ends before it begins.")
}

pub fn tags() -> ApiError {
    of(
        "InvalidTagsToAddException",
        "There are at most 50 tags, with keys of 1 to 128 characters that do not begin with aws:, and values of at most 256.",
    )
}

pub fn arn_not_supported(text: &str) -> ApiError {
    of("ArnNotSupportedException", format!("The ARN {text} is not of an application or a deployment group."))
}

pub fn batch() -> ApiError {
    of("BatchLimitExceededException", "At most 25 may be asked for at once.")
}

pub fn token() -> ApiError {
    of("InvalidNextTokenException", "The next token is not valid.")
}

pub fn arn(text: &str) -> ApiError {
    of("InvalidArnException", format!("The ARN {text} is not valid."))
}

pub fn malformed(why: impl Into<String>) -> ApiError {
    of("ValidationException", why)
}

pub fn too_many(what: &str) -> ApiError {
    of(
        match what {
            "applications" => "ApplicationLimitExceededException",
            "deployment groups" => "DeploymentGroupLimitExceededException",
            _ => "DeploymentConfigLimitExceededException",
        },
        format!("There are too many {what}."),
    )
}

pub fn conflict() -> ApiError {
    of("ThrottlingException", "Another request changed the same at the same time.")
}

/// A feature of CodeDeploy that this cloud does not have.
pub fn not_built(feature: &str) -> ApiError {
    ApiError::new(501, "NotImplemented", format!("not implemented: codedeploy: {feature}"))
}

/// The store failed. The chain goes into the log, the client gets one sentence.
pub fn storage(doing: &'static str, error: &cumulet_store::Error) -> ApiError {
    tracing::error!(doing, %error, "the store of deployments failed");
    ApiError::internal(format!("{doing} failed"))
}
