//! The part of a function's configuration that CreateFunction and UpdateFunctionConfiguration share: its constraints
//! and how it changes a function. What AWS has and this cloud has not is refused by name, never ignored.

use std::collections::BTreeMap;

use cumulet_base::arn::Arn;
use cumulet_base::limits;
use cumulet_wire::error::ApiError;
use cumulet_wire::validate::Validation;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::errors;
use crate::images::ImageConfig;
use crate::model::{FileSystem, Function, Logging};

/// Runtimes that can be run where the machine has the interpreter; newest first, as AWS lists them.
const RUNTIMES: &[&str] = &[
    "nodejs24.x",
    "nodejs22.x",
    "nodejs20.x",
    "nodejs18.x",
    "python3.14",
    "python3.13",
    "python3.12",
    "python3.11",
    "python3.10",
    "python3.9",
    "ruby3.4",
    "ruby3.3",
    "ruby3.2",
    "provided.al2023",
    "provided.al2",
];

/// Those that AWS takes no new functions for. Their interpreters are hardly on any machine; the nearest run most of their code.
const RETIRED: &[&str] = &[
    "nodejs16.x",
    "nodejs14.x",
    "nodejs12.x",
    "nodejs10.x",
    "python3.8",
    "python3.7",
    "python3.6",
    "ruby2.7",
    "ruby2.5",
];

const ACCESS_POINT_PATTERN: &str = "arn:aws[a-zA-Z-]*:elasticfilesystem:[a-z]{2}((-gov)|(-iso(b?)))?-[a-z]+-\\d{1}:\\d{12}:access-point/fsap-[a-f0-9]{17}$|^arn:aws[-a-z]*:s3files:[0-9a-z-:]+:file-system/fs-[0-9a-f]{17,40}/access-point/fsap-[0-9a-f]{17,40}";
const ROLE_PATTERN: &str = "arn:(aws[a-zA-Z-]*)?:iam::\\d{12}:role/?[a-zA-Z_0-9+=,.@\\-_/]+";
const ENVIRONMENT_NAME_PATTERN: &str = "[a-zA-Z]([a-zA-Z0-9_])+";

/// <https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html#configuration-envvars-runtime>, reserved.
const RESERVED_VARIABLES: &[&str] = &[
    "_HANDLER",
    "_X_AMZN_TRACE_ID",
    "AWS_DEFAULT_REGION",
    "AWS_REGION",
    "AWS_EXECUTION_ENV",
    "AWS_LAMBDA_FUNCTION_NAME",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
    "AWS_LAMBDA_FUNCTION_VERSION",
    "AWS_LAMBDA_INITIALIZATION_TYPE",
    "AWS_LAMBDA_LOG_GROUP_NAME",
    "AWS_LAMBDA_LOG_STREAM_NAME",
    "AWS_ACCESS_KEY",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_LAMBDA_RUNTIME_API",
    "LAMBDA_TASK_ROOT",
    "LAMBDA_RUNTIME_DIR",
];

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Settings {
    pub role: Option<String>,
    pub handler: Option<String>,
    pub description: Option<String>,
    pub timeout: Option<i64>,
    pub memory_size: Option<i64>,
    pub environment: Option<Environment>,
    pub runtime: Option<String>,
    pub tracing_config: Option<Tracing>,
    pub ephemeral_storage: Option<Ephemeral>,
    pub snap_start: Option<SnapStart>,
    pub logging_config: Option<LoggingInput>,
    pub vpc_config: Option<Vpc>,
    pub dead_letter_config: Option<DeadLetter>,
    #[serde(rename = "KMSKeyArn")]
    pub kms_key_arn: Option<Value>,
    pub layers: Option<Vec<String>>,
    pub file_system_configs: Option<Vec<FileSystemInput>>,
    pub image_config: Option<ImageConfig>,
    pub capacity_provider_config: Option<Value>,
    pub durable_config: Option<Value>,
    pub tenancy_config: Option<Tenancy>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct FileSystemInput {
    pub arn: Option<String>,
    pub local_mount_path: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Vpc {
    pub subnet_ids: Option<Vec<String>>,
    pub security_group_ids: Option<Vec<String>>,
    pub ipv6_allowed_for_dual_stack: Option<bool>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct DeadLetter {
    pub target_arn: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Tenancy {
    pub tenant_isolation_mode: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Environment {
    pub variables: Option<BTreeMap<String, String>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Tracing {
    pub mode: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Ephemeral {
    pub size: i64,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct SnapStart {
    pub apply_on: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct LoggingInput {
    pub log_format: Option<String>,
    pub log_group: Option<String>,
    pub application_log_level: Option<String>,
    pub system_log_level: Option<String>,
}

/// Whether a member says something: `{}`, `[]`, `""` and lists of nothing do not.
fn says_something(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::String(text) => !text.is_empty(),
        Value::Array(list) => list.iter().any(says_something),
        Value::Object(members) => {
            members.iter().any(|(name, v)| name != "Ipv6AllowedForDualStack" && says_something(v))
        }
        Value::Bool(_) | Value::Number(_) => true,
    }
}

fn is_role(text: &str) -> bool {
    let Some(rest) = text.strip_prefix("arn:aws") else {
        return false;
    };
    let Some((partition, rest)) = rest.split_once(":iam::") else {
        return false;
    };
    let Some((account, role)) = rest.split_once(":role") else {
        return false;
    };
    partition.bytes().all(|b| b.is_ascii_alphabetic() || b == b'-')
        && account.len() == 12
        && account.bytes().all(|b| b.is_ascii_digit())
        && role.len() > 1
        && role.bytes().all(|b| b.is_ascii_alphanumeric() || b"_+=,.@-/".contains(&b))
}

/// An access point of Amazon EFS, or of S3's files.
fn is_access_point(text: &str) -> bool {
    let parts: Vec<&str> = text.splitn(6, ':').collect();
    let [arn, partition, service, region, account, resource] = parts[..] else { return false };
    let is_hex = |text: &str, least: usize, most: usize| {
        (least..=most).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    };
    let is_place = arn == "arn"
        && partition.starts_with("aws")
        && partition.bytes().all(|b| b.is_ascii_lowercase() || b == b'-')
        && region.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        && account.len() == 12
        && account.bytes().all(|b| b.is_ascii_digit());
    let is_resource = match service {
        "elasticfilesystem" => resource.strip_prefix("access-point/fsap-").is_some_and(|id| is_hex(id, 17, 17)),
        "s3files" => resource
            .strip_prefix("file-system/fs-")
            .and_then(|rest| rest.split_once("/access-point/fsap-"))
            .is_some_and(|(system, point)| is_hex(system, 17, 40) && is_hex(point, 17, 40)),
        _ => false,
    };
    is_place && is_resource
}

fn is_mount_path(text: &str) -> bool {
    text.strip_prefix("/mnt/").is_some_and(|name| {
        !name.is_empty()
            && !name.bytes().all(|b| b == b'.')
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
    })
}

fn is_variable_name(text: &str) -> bool {
    text.len() >= 2
        && text.as_bytes()[0].is_ascii_alphabetic()
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

fn is_log_group(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._/#-".contains(&b))
}

impl Settings {
    /// All constraints of the model and of the service. `timeout_s_max` is the operator's, and whether retired runtimes are
    /// taken (`is_lenient`).
    pub fn check(&self, timeout_s_max: u32, is_lenient: bool) -> Result<(), ApiError> {
        self.check_shape(timeout_s_max)?;
        self.check_absent_features()?;
        if let Some(runtime) = self.runtime.as_deref().filter(|r| r.starts_with("java") || r.starts_with("dotnet")) {
            return Err(errors::not_built(&format!(
                "Runtime {runtime}: its runtime client cannot be had here; bring it along as a custom runtime or a container image"
            )));
        }
        self.check_file_systems()?;
        let is_taken = |runtime: &&str| RUNTIMES.contains(runtime) || (is_lenient && RETIRED.contains(runtime));
        if let Some(runtime) = self.runtime.as_deref().filter(|runtime| !is_taken(runtime)) {
            if RETIRED.contains(&runtime) {
                return Err(errors::invalid_parameter(format!(
                    "The runtime parameter of {runtime} is no longer supported for creating or updating AWS Lambda functions. Its functions run on the nearest interpreter when this cloud is started with --lenient-versions."
                )));
            }
            return Err(errors::invalid_parameter(format!(
                "Value {runtime} at 'runtime' failed to satisfy constraint: Member must satisfy enum value set: [{}] or be a valid ARN",
                RUNTIMES.join(", ")
            )));
        }
        if let Some(variables) = self.environment.as_ref().and_then(|environment| environment.variables.as_ref()) {
            check_environment(variables)?;
        }
        match self.dead_letter().filter(|arn| !arn.is_empty()).map(str::parse::<Arn>) {
            None => Ok(()),
            Some(Ok(arn)) if ["sqs", "sns"].contains(&arn.service.as_str()) && !arn.resource.is_empty() => Ok(()),
            Some(_) => Err(errors::invalid_parameter(
                "The target of a dead-letter configuration is the ARN of an Amazon SQS queue or an Amazon SNS topic.",
            )),
        }
    }

    fn check_file_systems(&self) -> Result<(), ApiError> {
        let given = self.file_system_configs.as_deref().unwrap_or_default();
        let mut checks = Validation::new();
        let arns: Vec<&str> = given.iter().filter_map(|one| one.arn.as_deref()).collect();
        checks.count("fileSystemConfigs", Some(&arns), 1);
        for one in given {
            checks
                .required("fileSystemConfigs.1.member.arn", one.arn.as_ref())
                .required("fileSystemConfigs.1.member.localMountPath", one.local_mount_path.as_ref())
                .pattern("fileSystemConfigs.1.member.arn", one.arn.as_deref(), ACCESS_POINT_PATTERN, is_access_point)
                .length("fileSystemConfigs.1.member.localMountPath", one.local_mount_path.as_deref(), 0, 160)
                .pattern(
                    "fileSystemConfigs.1.member.localMountPath",
                    one.local_mount_path.as_deref(),
                    "/mnt/[a-zA-Z0-9-_.]+",
                    is_mount_path,
                );
        }
        checks.finish("ValidationException")
    }

    fn check_shape(&self, timeout_s_max: u32) -> Result<(), ApiError> {
        let memory = (i64::from(limits::FUNCTION_MEMORY_MB_MIN), i64::from(limits::FUNCTION_MEMORY_MB_MAX));
        let ephemeral = (i64::from(limits::FUNCTION_EPHEMERAL_MB_MIN), i64::from(limits::FUNCTION_EPHEMERAL_MB_MAX));
        let logging = self.logging_config.as_ref();
        let levels = ["TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"];
        let image = self.image_config.as_ref();
        let mut checks = Validation::new();
        for (name, words) in [
            ("imageConfig.entryPoint", image.and_then(|image| image.entry_point.as_ref())),
            ("imageConfig.command", image.and_then(|image| image.command.as_ref())),
        ] {
            checks.count(name, words.map(Vec::as_slice), limits::IMAGE_WORDS_MAX);
        }
        let directory = image.and_then(|image| image.working_directory.as_deref());
        checks.length("imageConfig.workingDirectory", directory, 0, limits::IMAGE_DIRECTORY_CHARS_MAX);
        checks
            .pattern("role", self.role.as_deref(), ROLE_PATTERN, is_role)
            .length("handler", self.handler.as_deref(), 0, 128)
            .pattern("handler", self.handler.as_deref(), "[^\\s]+", |text| {
                !text.is_empty() && !text.chars().any(char::is_whitespace)
            })
            .length("description", self.description.as_deref(), 0, limits::FUNCTION_DESCRIPTION_MAX)
            .between("timeout", self.timeout, 1, i64::from(timeout_s_max))
            .between("memorySize", self.memory_size, memory.0, memory.1)
            .between("ephemeralStorage.size", self.ephemeral_storage.as_ref().map(|e| e.size), ephemeral.0, ephemeral.1)
            .one_of(
                "tracingConfig.mode",
                self.tracing_config.as_ref().and_then(|t| t.mode.as_deref()),
                &["Active", "PassThrough"],
            )
            .one_of(
                "snapStart.applyOn",
                self.snap_start.as_ref().and_then(|s| s.apply_on.as_deref()),
                &["PublishedVersions", "None"],
            )
            .one_of("loggingConfig.logFormat", logging.and_then(|l| l.log_format.as_deref()), &["JSON", "Text"])
            .one_of(
                "loggingConfig.applicationLogLevel",
                logging.and_then(|l| l.application_log_level.as_deref()),
                &levels,
            )
            .one_of(
                "loggingConfig.systemLogLevel",
                logging.and_then(|l| l.system_log_level.as_deref()),
                &["DEBUG", "INFO", "WARN"],
            )
            .length("loggingConfig.logGroup", logging.and_then(|l| l.log_group.as_deref()), 1, 512)
            .pattern(
                "loggingConfig.logGroup",
                logging.and_then(|l| l.log_group.as_deref()),
                "[\\.\\-_/#A-Za-z0-9]+",
                is_log_group,
            )
            .one_of(
                "tenancyConfig.tenantIsolationMode",
                self.tenancy_config.as_ref().and_then(|t| t.tenant_isolation_mode.as_deref()),
                &["PER_TENANT"],
            )
            .pattern(
                "deadLetterConfig.targetArn",
                self.dead_letter(),
                "(arn:(aws[a-zA-Z-]*)?:[a-z0-9-.]+:.*)|()",
                |arn| arn.is_empty() || arn.starts_with("arn:"),
            );
        checks.finish("ValidationException")
    }

    fn dead_letter(&self) -> Option<&str> {
        self.dead_letter_config.as_ref()?.target_arn.as_deref()
    }

    pub fn tenant_isolation(&self) -> Option<String> {
        self.tenancy_config.as_ref()?.tenant_isolation_mode.clone()
    }

    fn check_absent_features(&self) -> Result<(), ApiError> {
        for (value, feature) in [
            (&self.kms_key_arn, "KMSKeyArn"),
            (&self.capacity_provider_config, "CapacityProviderConfig"),
            (&self.durable_config, "DurableConfig"),
        ] {
            if value.as_ref().is_some_and(says_something) {
                return Err(errors::not_built(feature));
            }
        }
        Ok(())
    }

    /// Changes what was given and leaves the rest. The constraints hold already.
    pub fn apply(self, function: &mut Function) -> Result<(), ApiError> {
        let number = |value: i64| u32::try_from(value).unwrap_or(u32::MAX);
        if let Some(role) = self.role {
            function.role = role;
        }
        if let Some(handler) = self.handler {
            function.handler = handler;
        }
        if let Some(description) = self.description {
            function.description = description;
        }
        if let Some(timeout) = self.timeout {
            function.timeout_s = number(timeout);
        }
        if let Some(memory) = self.memory_size {
            function.memory_mb = number(memory);
        }
        if let Some(runtime) = self.runtime {
            function.runtime = runtime;
        }
        if let Some(ephemeral) = self.ephemeral_storage {
            function.ephemeral_mb = number(ephemeral.size);
        }
        if let Some(variables) = self.environment.and_then(|e| e.variables) {
            function.environment = Some(variables).filter(|v| !v.is_empty());
        }
        if let Some(mode) = self.tracing_config.and_then(|t| t.mode) {
            function.tracing_mode = mode;
        }
        if let Some(apply_on) = self.snap_start.and_then(|s| s.apply_on) {
            function.snap_start = apply_on;
        }
        if let Some(config) = self.image_config {
            function.image_config = Some(config).filter(|config| *config != ImageConfig::default());
        }
        if let Some(given) = self.file_system_configs {
            function.file_system = given
                .into_iter()
                .next()
                .and_then(|one| Some(FileSystem { arn: one.arn?, local_mount_path: one.local_mount_path? }));
        }
        if let Some(target) = self.dead_letter_config.map(|config| config.target_arn.unwrap_or_default()) {
            function.dead_letter = Some(target).filter(|target| !target.is_empty());
        }
        if let Some(vpc) = self.vpc_config {
            let subnets = vpc.subnet_ids.unwrap_or_default();
            let groups = vpc.security_group_ids.unwrap_or_default();
            let is_none = subnets.is_empty() && groups.is_empty();
            function.vpc = (!is_none).then(|| {
                json!({
                    "SubnetIds": subnets,
                    "SecurityGroupIds": groups,
                    "VpcId": "",
                    "Ipv6AllowedForDualStack": vpc.ipv6_allowed_for_dual_stack.unwrap_or(false),
                })
            });
        }
        if let Some(logging) = self.logging_config {
            apply_logging(logging, &mut function.logging)?;
        }
        Ok(())
    }
}

/// Levels are for lines that are objects, and `INFO` where none is said.
fn apply_logging(given: LoggingInput, logging: &mut Logging) -> Result<(), ApiError> {
    if let Some(format) = given.log_format {
        logging.format = format;
    }
    if let Some(group) = given.log_group {
        logging.group = group;
    }
    if logging.format != "JSON" {
        if given.application_log_level.is_some() || given.system_log_level.is_some() {
            return Err(errors::invalid_parameter(
                "ApplicationLogLevel and SystemLogLevel can only be set when LogFormat is JSON.",
            ));
        }
        logging.application_level = None;
        logging.system_level = None;
        return Ok(());
    }
    let level = |given: Option<String>, before: &Option<String>| {
        given.or_else(|| before.clone()).or_else(|| Some("INFO".to_owned()))
    };
    logging.application_level = level(given.application_log_level, &logging.application_level);
    logging.system_level = level(given.system_log_level, &logging.system_level);
    Ok(())
}

fn check_environment(variables: &BTreeMap<String, String>) -> Result<(), ApiError> {
    if let Some(name) =
        variables.keys().find(|name| !is_variable_name(name) && !RESERVED_VARIABLES.contains(&name.as_str()))
    {
        return Err(ApiError::new(
            400,
            "ValidationException",
            format!(
                "1 validation error detected: Value '{name}' at 'environment.variables' failed to satisfy constraint: \
                 Map keys must satisfy constraint: [Member must satisfy regular expression pattern: {ENVIRONMENT_NAME_PATTERN}]"
            ),
        ));
    }
    let reserved: Vec<&str> =
        variables.keys().map(String::as_str).filter(|name| RESERVED_VARIABLES.contains(name)).collect();
    if !reserved.is_empty() {
        return Err(errors::invalid_parameter(format!(
            "Lambda was unable to configure your environment variables because the environment variables you have provided \
             contains reserved keys that are currently not supported for modification. Reserved keys used in this request: {}",
            reserved.join(", ")
        )));
    }
    let bytes: usize = variables.iter().map(|(k, v)| k.len() + v.len()).sum();
    if bytes > limits::FUNCTION_ENVIRONMENT_BYTES_MAX {
        return Err(errors::invalid_parameter(
            "Lambda was unable to configure your environment variables because the environment variables you have provided \
             exceeded the 4KB limit.",
        ));
    }
    if variables.values().any(|value| value.contains('\0')) {
        return Err(errors::invalid_parameter(
            "Lambda was unable to configure your environment variables because a value contains a zero byte.",
        ));
    }
    Ok(())
}

const TAGS_MAX: usize = 50;

/// <https://docs.aws.amazon.com/lambda/latest/dg/configuration-tags.html#tag-restrictions>
pub fn check_tags(tags: &BTreeMap<String, String>) -> Result<(), ApiError> {
    if tags.len() > TAGS_MAX {
        return Err(errors::invalid_parameter(format!("The number of tags exceeds the limit of {TAGS_MAX}.")));
    }
    for (key, value) in tags {
        if key.is_empty() || key.chars().count() > 128 || value.chars().count() > 256 {
            return Err(errors::invalid_parameter(format!(
                "The tag `{key}` has a key of more than 128 or a value of more than 256 characters, or no key."
            )));
        }
        if key.to_ascii_lowercase().starts_with("aws:") {
            return Err(errors::invalid_parameter("aws: prefixed tag key names are not allowed for external use."));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn check(input: Value) -> Result<(), (String, u16)> {
        serde_json::from_value::<Settings>(input).unwrap().check(900, false).map_err(|e| (e.code, e.status))
    }

    #[test]
    fn constraints() {
        let big = "x".repeat(4100);
        let role = "arn:aws:iam::000000000000:role/r";
        assert!(check(json!({"Role": role, "Handler": "a.b", "Timeout": 900, "MemorySize": 10240, "Runtime": "nodejs22.x",
            "VpcConfig": {"SubnetIds": [], "SecurityGroupIds": []}, "Layers": [], "Environment": {"Variables": {"AB": "c"}}}))
        .is_ok());
        for (input, code) in [
            (json!({"Timeout": 0}), "ValidationException"),
            (json!({"Timeout": 901}), "ValidationException"),
            (json!({"MemorySize": 127}), "ValidationException"),
            (json!({"MemorySize": 10241}), "ValidationException"),
            (json!({"Handler": "a b"}), "ValidationException"),
            (json!({"Handler": "x".repeat(129)}), "ValidationException"),
            (json!({"Role": "nobody"}), "ValidationException"),
            (json!({"Description": "x".repeat(257)}), "ValidationException"),
            (json!({"EphemeralStorage": {"Size": 511}}), "ValidationException"),
            (json!({"TracingConfig": {"Mode": "Off"}}), "ValidationException"),
            (json!({"Runtime": "nodejs99.x"}), "InvalidParameterValueException"),
            (json!({"Environment": {"Variables": {"AWS_REGION": "x"}}}), "InvalidParameterValueException"),
            (json!({"Environment": {"Variables": {"1A": "x"}}}), "ValidationException"),
            (json!({"Environment": {"Variables": {"AB": big}}}), "InvalidParameterValueException"),
            (json!({"DeadLetterConfig": {"TargetArn": "arn:aws:s3:::b"}}), "InvalidParameterValueException"),
            (json!({"DeadLetterConfig": {"TargetArn": "queue"}}), "ValidationException"),
            (json!({"TenancyConfig": {"TenantIsolationMode": "NONE"}}), "ValidationException"),
            (json!({"ImageConfig": {"WorkingDirectory": "x".repeat(1001)}}), "ValidationException"),
            (json!({"ImageConfig": {"Command": vec!["x"; 1501]}}), "ValidationException"),
            (json!({"FileSystemConfigs": [{"LocalMountPath": "/mnt/x"}]}), "ValidationException"),
            (json!({"Runtime": "dotnet8"}), "NotImplemented"),
            (json!({"SnapStart": {"ApplyOn": "Always"}}), "ValidationException"),
        ] {
            assert_eq!(check(input.clone()).unwrap_err().0, code, "{input}");
        }
    }

    #[test]
    fn tags() {
        let one = |k: &str| check_tags(&BTreeMap::from([(k.to_owned(), String::new())]));
        assert!(one("team").is_ok());
        assert!(one("aws:x").is_err());
        assert!(one("").is_err());
    }
}
