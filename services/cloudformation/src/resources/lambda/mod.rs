//! Functions, their permissions and their URLs. Code signing is not here.

pub mod parts;

use std::io::Write;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cumulet_wire::error::ApiError;
use serde_json::{Map, Value, json};

use super::{Made, Whereabouts, copied, invalid, only, required, required_text, text, typed};

const CONFIGURATION: &[&str] = &[
    "Runtime",
    "Handler",
    "Role",
    "Description",
    "Environment",
    "EphemeralStorage",
    "TracingConfig",
    "LoggingConfig",
    "SnapStart",
    "Layers",
    "KMSKeyArn",
    "VpcConfig",
    "DeadLetterConfig",
    "FileSystemConfigs",
    "ImageConfig",
    "Timeout",
    "MemorySize",
];
const KNOWN: &[&str] = &[
    "FunctionName",
    "Code",
    "Tags",
    "Architectures",
    "PackageType",
    "ReservedConcurrentExecutions",
    "RuntimeManagementConfig",
    "RecursiveLoop",
    "TenancyConfig",
];

fn check(properties: &Map<String, Value>) -> Result<(), ApiError> {
    only(properties, &[CONFIGURATION, KNOWN].concat())
}

fn configuration(properties: &Map<String, Value>) -> Map<String, Value> {
    let mut input = copied(properties, CONFIGURATION);
    for name in ["Timeout", "MemorySize"] {
        if let Some(value) = input.get_mut(name) {
            *value = typed(value);
        }
    }
    if let Some(size) = input.get_mut("EphemeralStorage").and_then(|s| s.get_mut("Size")) {
        *size = typed(size);
    }
    if let Some(Value::Object(variables)) = input.get_mut("Environment").and_then(|e| e.get_mut("Variables")) {
        for value in variables.values_mut() {
            *value = text(value).into();
        }
    }
    input
}

/// The code as the service takes it. Inline code becomes a zip with `index.js` or `index.py`.
fn code(properties: &Map<String, Value>) -> Result<Map<String, Value>, ApiError> {
    let code = required(properties, "Code")?.as_object().ok_or_else(|| invalid("Code is not an object"))?;
    only(code, &["ZipFile", "S3Bucket", "S3Key", "S3ObjectVersion", "ImageUri"])?;
    let mut input = copied(code, &["S3Bucket", "S3Key", "S3ObjectVersion", "ImageUri"]);
    if let Some(source) = code.get("ZipFile") {
        let runtime = properties.get("Runtime").map(text).unwrap_or_default();
        let name = match runtime.as_str() {
            r if r.starts_with("nodejs") => "index.js",
            r if r.starts_with("python") => "index.py",
            _ => return Err(invalid("Code.ZipFile is only for Node.js and Python runtimes")),
        };
        let zip = zipped(name, text(source).as_bytes())
            .map_err(|e| ApiError::internal(format!("making a zip of inline code: {e}")))?;
        input.insert("ZipFile".into(), STANDARD.encode(zip).into());
    }
    Ok(input)
}

fn zipped(name: &str, source: &[u8]) -> zip::result::ZipResult<Vec<u8>> {
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    // Without a time, so that the same code always makes the same zip.
    let options =
        zip::write::SimpleFileOptions::default().last_modified_time(zip::DateTime::default()).unix_permissions(0o644);
    zip.start_file(name, options)?;
    zip.write_all(source)?;
    Ok(zip.finish()?.into_inner())
}

/// What functions have calls of their own for, where it is another than before.
async fn settle(
    at: &Whereabouts,
    name: &str,
    old: &Map<String, Value>,
    new: &Map<String, Value>,
) -> Result<(), ApiError> {
    let changed = |property: &str| (old.get(property) != new.get(property)).then(|| new.get(property));
    match changed("ReservedConcurrentExecutions") {
        Some(Some(wanted)) => {
            let input = json!({ "FunctionName": name, "ReservedConcurrentExecutions": typed(wanted) });
            at.client.call("lambda", "PutFunctionConcurrency", input).await?;
        }
        Some(None) => {
            let input = json!({ "FunctionName": name });
            at.client.call("lambda", "DeleteFunctionConcurrency", input).await?;
        }
        None => {}
    }
    if let Some(wanted) = changed("RuntimeManagementConfig") {
        let mut input = json!({ "FunctionName": name, "UpdateRuntimeOn": "Auto" });
        for (member, value) in wanted.and_then(Value::as_object).into_iter().flatten() {
            input[member] = value.clone();
        }
        at.client.call("lambda", "PutRuntimeManagementConfig", input).await?;
    }
    if let Some(wanted) = changed("RecursiveLoop") {
        let wanted = wanted.cloned().unwrap_or_else(|| "Terminate".into());
        let input = json!({ "FunctionName": name, "RecursiveLoop": wanted });
        at.client.call("lambda", "PutFunctionRecursionConfig", input).await?;
    }
    Ok(())
}

pub async fn create_function(at: &Whereabouts, properties: &Map<String, Value>) -> Result<Made, ApiError> {
    check(properties)?;
    let name = match properties.get("FunctionName") {
        Some(name) => text(name),
        None => at.name(64),
    };
    let mut input = configuration(properties);
    input.insert("FunctionName".into(), name.clone().into());
    input.insert("Code".into(), code(properties)?.into());
    input.extend(copied(properties, &["Architectures", "PackageType", "TenancyConfig"]));
    input.insert("Tags".into(), at.tags(properties).into());
    let made = at.client.call("lambda", "CreateFunction", input.into()).await?;
    let arn = made.get("FunctionArn").cloned().unwrap_or_default();
    if let Err(error) = settle(at, &name, &Map::new(), properties).await {
        // Otherwise a function would stay behind that no stack knows.
        let input = json!({ "FunctionName": name });
        at.client.call("lambda", "DeleteFunction", input).await?;
        return Err(error);
    }
    Ok(Made::new(name).with("Arn", &arn))
}

pub async fn update_function(
    at: &Whereabouts,
    made: &Made,
    old: &Map<String, Value>,
    new: &Map<String, Value>,
) -> Result<Made, ApiError> {
    check(new)?;
    let name = &made.physical_id;
    let (before, mut after) = (configuration(old), configuration(new));
    if before != after {
        // A property that is not there any more goes back to its default.
        let defaults = [
            ("Description", json!("")),
            ("Timeout", json!(3)),
            ("MemorySize", json!(128)),
            ("Environment", json!({ "Variables": {} })),
            ("EphemeralStorage", json!({ "Size": 512 })),
            ("Layers", json!([])),
            ("TracingConfig", json!({ "Mode": "PassThrough" })),
            ("DeadLetterConfig", json!({ "TargetArn": "" })),
            ("SnapStart", json!({ "ApplyOn": "None" })),
            ("VpcConfig", json!({ "SubnetIds": [], "SecurityGroupIds": [] })),
            ("FileSystemConfigs", json!([])),
            ("ImageConfig", json!({})),
            ("KMSKeyArn", json!("")),
        ];
        for (property, default) in defaults {
            if before.contains_key(property) {
                after.entry(property).or_insert(default);
            }
        }
        after.insert("FunctionName".into(), name.clone().into());
        at.client.call("lambda", "UpdateFunctionConfiguration", after.into()).await?;
    }
    let is_inline_renamed = old.get("Runtime") != new.get("Runtime");
    if old.get("Code") != new.get("Code") || old.get("Architectures") != new.get("Architectures") || is_inline_renamed {
        let mut input = code(new)?;
        input.insert("FunctionName".into(), name.clone().into());
        input.extend(copied(new, &["Architectures"]));
        at.client.call("lambda", "UpdateFunctionCode", input.into()).await?;
    }
    settle(at, name, old, new).await?;
    let (before, after) = (at.tags(old), at.tags(new));
    let arn = made.attributes.get("Arn").cloned().unwrap_or_default();
    let removed: Vec<&String> = before.keys().filter(|key| !after.contains_key(*key)).collect();
    if !removed.is_empty() {
        let input = json!({ "Resource": arn, "TagKeys": removed });
        at.client.call("lambda", "UntagResource", input).await?;
    }
    if before != after && !after.is_empty() {
        let input = json!({ "Resource": arn, "Tags": after });
        at.client.call("lambda", "TagResource", input).await?;
    }
    Ok(made.clone())
}

pub async fn create_permission(at: &Whereabouts, properties: &Map<String, Value>) -> Result<Made, ApiError> {
    const NAMES: &[&str] = &[
        "FunctionName",
        "Action",
        "Principal",
        "SourceArn",
        "SourceAccount",
        "FunctionUrlAuthType",
        "EventSourceToken",
        "PrincipalOrgID",
        "InvokedViaFunctionUrl",
    ];
    only(properties, NAMES)?;
    let id = at.name(100);
    let mut input = copied(properties, NAMES);
    input.insert("StatementId".into(), id.clone().into());
    at.client.call("lambda", "AddPermission", input.into()).await?;
    Ok(Made::new(id.clone()).with("Id", &id.into()))
}

fn url_input(properties: &Map<String, Value>) -> Map<String, Value> {
    let mut input = copied(properties, &["AuthType", "Cors", "InvokeMode", "Qualifier"]);
    if let Some(Value::Object(cors)) = input.get_mut("Cors") {
        for name in ["AllowCredentials", "MaxAge"] {
            if let Some(value) = cors.get_mut(name) {
                *value = typed(value);
            }
        }
    }
    input
}

pub async fn create_url(at: &Whereabouts, properties: &Map<String, Value>) -> Result<Made, ApiError> {
    only(properties, &["TargetFunctionArn", "AuthType", "Cors", "InvokeMode", "Qualifier"])?;
    let function = required_text(properties, "TargetFunctionArn")?;
    let mut input = url_input(properties);
    input.insert("FunctionName".into(), function.into());
    let made = at.client.call("lambda", "CreateFunctionUrlConfig", input.into()).await?;
    let arn = made.get("FunctionArn").cloned().unwrap_or_default();
    let url = made.get("FunctionUrl").cloned().unwrap_or_default();
    Ok(Made::new(text(&arn)).with("FunctionArn", &arn).with("FunctionUrl", &url))
}

pub async fn update_url(at: &Whereabouts, made: &Made, new: &Map<String, Value>) -> Result<Made, ApiError> {
    let mut input = url_input(new);
    input.insert("FunctionName".into(), made.physical_id.clone().into());
    input.entry("Cors").or_insert_with(|| json!({}));
    at.client.call("lambda", "UpdateFunctionUrlConfig", input.into()).await?;
    Ok(made.clone())
}
