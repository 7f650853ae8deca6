//! The environment variables a function sees
//! (<https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html>).

use crate::catalog::SessionCredentials;
use crate::function::{FunctionVersion, Runtime};

/// How many events the runtime is to take at a time, where that is more than one.
pub const MAX_CONCURRENCY: &str = "AWS_LAMBDA_MAX_CONCURRENCY";
/// Where shared libraries are looked for before the system's own places.
const LIBRARIES: &str =
    "/var/lang/lib:/lib64:/usr/lib64:/var/runtime:/var/runtime/lib:/var/task:/var/task/lib:/opt/lib";

/// The function's own variables and those of the platform; the platform's win.
pub fn of(function: &FunctionVersion, log_stream: &str, credentials: &SessionCredentials) -> Vec<(String, String)> {
    // What an image says of its own programs stands, but for what the function says.
    let of_image = function.image.as_ref().map(|image| image.environment.as_slice()).unwrap_or_default();
    let own = |name: &str| function.environment.contains_key(name);
    let mut variables: Vec<(String, String)> = of_image.iter().filter(|(name, _)| !own(name)).cloned().collect();
    variables.extend(function.environment.iter().map(|(k, v)| (k.clone(), v.clone())));
    let mut set = |name: &str, value: &str| {
        variables.retain(|(known, _)| known != name);
        variables.push((name.to_owned(), value.to_owned()));
    };
    set("_HANDLER", &function.handler);
    set("AWS_LAMBDA_FUNCTION_NAME", &function.name);
    set("AWS_LAMBDA_FUNCTION_VERSION", &function.version);
    set("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", &function.memory_mb.to_string());
    set("AWS_LAMBDA_LOG_GROUP_NAME", &function.log_group);
    set("AWS_LAMBDA_LOG_STREAM_NAME", log_stream);
    let initialisation = if function.provisioned() > 0 { "provisioned-concurrency" } else { "on-demand" };
    set("AWS_LAMBDA_INITIALIZATION_TYPE", initialisation);
    set("AWS_LAMBDA_LOG_FORMAT", if function.logs.is_json { "JSON" } else { "Text" });
    if function.logs.is_json {
        set("AWS_LAMBDA_LOG_LEVEL", function.logs.application_level.as_deref().unwrap_or("INFO"));
    }
    if function.per_instance() > 1 {
        // As Lambda's managed instances call it.
        set(MAX_CONCURRENCY, &function.per_instance().to_string());
    }
    set("LAMBDA_TASK_ROOT", "/var/task");
    set("LAMBDA_RUNTIME_DIR", "/var/runtime");
    set("AWS_REGION", &function.region);
    set("AWS_ACCESS_KEY_ID", &credentials.access_key_id);
    set("AWS_SECRET_ACCESS_KEY", &credentials.secret_access_key);
    set("AWS_SESSION_TOKEN", &credentials.session_token);
    match function.runtime {
        Runtime::Provided { .. } | Runtime::Image => {}
        Runtime::Node { .. } | Runtime::Python { .. } | Runtime::Ruby { .. } => {
            set("AWS_EXECUTION_ENV", &format!("AWS_Lambda_{}", function.runtime));
        }
    }
    let (mut gems, mut ruby_libraries) = (String::new(), "");
    if let Runtime::Ruby { major, minor } = function.runtime {
        gems = format!("/var/task/vendor/bundle/ruby/{major}.{minor}.0:/opt/ruby/gems/{major}.{minor}.0");
        ruby_libraries = "/var/task:/var/runtime/lib:/opt/ruby/lib";
    }
    for (name, value) in [
        ("AWS_DEFAULT_REGION", function.region.as_str()),
        ("TZ", ":UTC"),
        ("LANG", "en_US.UTF-8"),
        ("HOME", "/tmp"),
        ("NODE_PATH", "/opt/nodejs/node_modules:/var/runtime/node_modules:/var/runtime:/var/task"),
        ("PYTHONPATH", "/var/runtime:/var/runtime/python_modules"),
        ("LD_LIBRARY_PATH", LIBRARIES),
        ("GEM_PATH", &gems),
        ("RUBYLIB", ruby_libraries),
    ] {
        let is_of_image =
            function.image.is_some() && (name.ends_with("PATH") || of_image.iter().any(|(known, _)| known == name));
        // Unlike those above, these may be the function's own.
        if !value.is_empty() && !is_of_image && !own(name) {
            set(name, value);
        }
    }
    variables
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn the_platforms_variables_win() {
        let environment = BTreeMap::from([
            ("AWS_REGION".into(), "x".into()),
            ("TZ".into(), "Europe/Berlin".into()),
            ("MY".into(), "1".into()),
        ]);
        let function = FunctionVersion {
            account: "0".into(),
            region: "eu-west-1".into(),
            name: "f".into(),
            version: "$LATEST".into(),
            revision: "r".into(),
            runtime: Runtime::Node { major: 20 },
            handler: "index.handler".into(),
            memory_mb: 128,
            timeout_ms: 3000,
            ephemeral_mb: 512,
            environment,
            code_digest: String::new(),
            role_arn: String::new(),
            log_group: "/aws/lambda/f".into(),
            concurrency_max: None,
            snap_start: false,
            ..FunctionVersion::default()
        };
        let credentials =
            SessionCredentials { access_key_id: "a".into(), secret_access_key: "s".into(), session_token: "t".into() };
        let all: BTreeMap<_, _> = of(&function, "stream", &credentials).into_iter().collect();
        assert_eq!(all["AWS_REGION"], "eu-west-1");
        assert_eq!(all["TZ"], "Europe/Berlin");
        assert_eq!(all["MY"], "1");
        assert_eq!(all["AWS_EXECUTION_ENV"], "AWS_Lambda_nodejs20.x");
    }
}
