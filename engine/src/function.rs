//! A function version: everything an instance is made of. Immutable; a change makes a new one with another revision.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use cumulet_base::limits;

/// In a function's environment: how many instances are kept ready. Lambda's own setting is for versions and aliases only.
pub const PROVISIONED_VARIABLE: &str = "CUMULET_PROVISIONED_CONCURRENCY";

/// In a function's environment: how many events one of its instances takes at a time.
pub const INSTANCE_CONCURRENCY_VARIABLE: &str = "CUMULET_INSTANCE_CONCURRENCY";

/// A language runtime by its Lambda identifier, such as `nodejs22.x`
/// (<https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtimes.html>).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Runtime {
    /// `nodejs<major>.x`
    Node { major: u16 },
    /// `python3.<minor>`
    Python { minor: u16 },
    /// `ruby<major>.<minor>`
    Ruby { major: u16, minor: u16 },
    /// `provided.al2` and `provided.al2023`: the function brings an executable named `bootstrap`.
    Provided { base: &'static str },
    /// The function is a container image, which brings everything.
    Image,
}

impl Runtime {
    /// Whether the platform brings what talks to it; all others use Lambda's Runtime API.
    pub fn is_managed(&self) -> bool {
        !matches!(self, Runtime::Provided { .. } | Runtime::Image)
    }
}

/// The identifier names no runtime that Cumulet runs.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown runtime `{0}`")]
pub struct UnknownRuntime(pub String);

impl FromStr for Runtime {
    type Err = UnknownRuntime;

    fn from_str(text: &str) -> Result<Runtime, UnknownRuntime> {
        let unknown = || UnknownRuntime(text.to_owned());
        let number = |digits: &str| {
            let plain = !digits.is_empty()
                && digits.len() <= 3
                && digits.bytes().all(|b| b.is_ascii_digit())
                && !digits.starts_with('0');
            if plain { digits.parse().map_err(|_| unknown()) } else { Err(unknown()) }
        };
        match text {
            "provided.al2" => {
                return Ok(Runtime::Provided { base: "provided.al2" });
            }
            "provided.al2023" => {
                return Ok(Runtime::Provided { base: "provided.al2023" });
            }
            _ => {}
        }
        if let Some(major) = text.strip_prefix("nodejs").and_then(|rest| rest.strip_suffix(".x")) {
            return Ok(Runtime::Node { major: number(major)? });
        }
        if let Some(minor) = text.strip_prefix("python3.") {
            return Ok(Runtime::Python { minor: number(minor)? });
        }
        if let Some((major, minor)) = text.strip_prefix("ruby").and_then(|rest| rest.split_once('.')) {
            return Ok(Runtime::Ruby { major: number(major)?, minor: number(minor)? });
        }
        Err(unknown())
    }
}

impl fmt::Display for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Runtime::Node { major } => write!(f, "nodejs{major}.x"),
            Runtime::Python { minor } => write!(f, "python3.{minor}"),
            Runtime::Ruby { major, minor } => write!(f, "ruby{major}.{minor}"),
            Runtime::Provided { base } => f.write_str(base),
            Runtime::Image => f.write_str("container image"),
        }
    }
}

/// What is kept of what a function prints
/// (<https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-logformat.html>).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Logs {
    /// Each line an object, the platform's own too.
    pub is_json: bool,
    /// The least level of the function's own lines; only where they are objects.
    pub application_level: Option<String>,
    pub system_level: Option<String>,
}

/// A container image as a function runs it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Image {
    /// Digests of its layers' archives in the blob store, the lowest first.
    pub layers: Vec<String>,
    /// Program and arguments.
    pub argv: Vec<String>,
    pub working_dir: String,
    /// What the image sets; the function's own variables win.
    pub environment: Vec<(String, String)>,
}

/// A directory that outlives instances and is shared between functions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileSystem {
    /// The access point's ARN.
    pub arn: String,
    /// Where it appears: beneath `/mnt/`.
    pub mount: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FunctionVersion {
    pub account: String,
    pub region: String,
    pub name: String,
    /// `$LATEST` or a number.
    pub version: String,
    /// Changes whenever anything in here changes; instances are pooled under it.
    pub revision: String,
    pub runtime: Runtime,
    pub handler: String,
    pub memory_mb: u32,
    pub timeout_ms: u64,
    /// Size of `/tmp`.
    pub ephemeral_mb: u32,
    pub environment: BTreeMap<String, String>,
    /// Digest (SHA-256, hexadecimal) of the zip in the blob store.
    pub code_digest: String,
    /// Digests of the layers' zips, in the order in which they are laid over one another.
    pub layers: Vec<String>,
    pub role_arn: String,
    pub log_group: String,
    pub logs: Logs,
    /// `ReservedConcurrentExecutions`, where set: of all versions of the function together.
    pub concurrency_max: Option<usize>,
    /// Instances that are kept ready, by the configurations of the version and its aliases.
    pub provisioned: usize,
    /// `SnapStart: PublishedVersions`: its initialisation may be cloned.
    pub snap_start: bool,
    /// No instance serves two tenants.
    pub is_tenant_isolated: bool,
    /// Instead of code and layers.
    pub image: Option<Image>,
    pub file_system: Option<FileSystem>,
    /// Instances at a time, where the version has a bound of its own.
    pub instances_max: Option<usize>,
}

impl Default for FunctionVersion {
    /// A function of nobody, for what differs only in some members.
    fn default() -> FunctionVersion {
        FunctionVersion {
            account: String::new(),
            region: String::new(),
            name: String::new(),
            version: "$LATEST".to_owned(),
            revision: String::new(),
            runtime: Runtime::Provided { base: "provided.al2023" },
            handler: String::new(),
            memory_mb: limits::FUNCTION_MEMORY_MB_MIN,
            timeout_ms: u64::from(limits::FUNCTION_TIMEOUT_S_DEFAULT) * 1000,
            ephemeral_mb: limits::FUNCTION_EPHEMERAL_MB_MIN,
            environment: BTreeMap::new(),
            code_digest: String::new(),
            layers: Vec::new(),
            role_arn: String::new(),
            log_group: String::new(),
            logs: Logs::default(),
            concurrency_max: None,
            provisioned: 0,
            snap_start: false,
            is_tenant_isolated: false,
            image: None,
            file_system: None,
            instances_max: None,
        }
    }
}

impl FunctionVersion {
    /// Instances that are kept ready.
    pub fn provisioned(&self) -> usize {
        let text = self.environment.get(PROVISIONED_VARIABLE);
        let own = text.and_then(|text| text.parse().ok()).unwrap_or(0);
        self.provisioned.max(own).min(limits::FUNCTION_PROVISIONED_MAX)
    }

    /// Events that one instance takes at a time.
    pub fn per_instance(&self) -> usize {
        if matches!(self.runtime, Runtime::Ruby { .. }) {
            return 1;
        }
        let text = self.environment.get(INSTANCE_CONCURRENCY_VARIABLE);
        text.and_then(|text| text.parse().ok()).unwrap_or(1).clamp(1, limits::INSTANCE_CONCURRENCY_MAX)
    }

    /// The ARN without a qualifier.
    pub fn arn(&self) -> String {
        format!("arn:aws:lambda:{}:{}:function:{}", self.region, self.account, self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_events_are_for_runtimes_that_can() {
        let of = |runtime: &str, count: &str| {
            let environment = [(INSTANCE_CONCURRENCY_VARIABLE.to_owned(), count.to_owned())].into();
            FunctionVersion { runtime: runtime.parse().unwrap(), environment, ..FunctionVersion::default() }
                .per_instance()
        };
        assert_eq!((of("nodejs22.x", "8"), of("python3.12", "8")), (8, 8));
        assert_eq!((of("ruby3.3", "8"), of("provided.al2023", "8")), (1, 8));
        assert_eq!((of("nodejs22.x", "0"), of("nodejs22.x", "many"), of("nodejs22.x", "1000")), (1, 1, 100));
    }

    #[test]
    fn runtimes() {
        for good in
            ["ruby3.3", "nodejs18.x", "nodejs24.x", "python3.9", "python3.14", "provided.al2", "provided.al2023"]
        {
            assert_eq!(good.parse::<Runtime>().unwrap().to_string(), good);
        }
        for bad in [
            "nodejs",
            "nodejs20",
            "nodejs.x",
            "nodejs-1.x",
            "nodejs020.x",
            "python3.",
            "python2.7",
            "java21",
            "",
            "provided",
        ] {
            assert!(bad.parse::<Runtime>().is_err(), "{bad}");
        }
    }
}
