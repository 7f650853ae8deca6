//! `cumulet sdk install`: AWS's SDKs in the folder that functions see where Lambda has them, so that functions that bring
//! none run as they do there. npm and pip fetch them; nothing else does.

use std::path::{Path, PathBuf};
use std::process::Command;

use clap::{Args, Subcommand};
use serde_json::json;

use crate::config::default_data_dir;
use crate::output::{self, Failure, Format};

/// The version 3 clients of the services that are here, and what programs use with them.
const NODE: &[&str] = &[
    "@aws-sdk/client-api-gateway",
    "@aws-sdk/client-apigatewaymanagementapi",
    "@aws-sdk/client-cloudformation",
    "@aws-sdk/client-cloudwatch",
    "@aws-sdk/client-cloudwatch-logs",
    "@aws-sdk/client-dynamodb",
    "@aws-sdk/client-eventbridge",
    "@aws-sdk/client-iam",
    "@aws-sdk/client-lambda",
    "@aws-sdk/client-s3",
    "@aws-sdk/client-scheduler",
    "@aws-sdk/client-secrets-manager",
    "@aws-sdk/client-sns",
    "@aws-sdk/client-sqs",
    "@aws-sdk/client-ssm",
    "@aws-sdk/client-sts",
    "@aws-sdk/credential-providers",
    "@aws-sdk/lib-dynamodb",
    "@aws-sdk/lib-storage",
    "@aws-sdk/s3-presigned-post",
    "@aws-sdk/s3-request-presigner",
    "@aws-sdk/util-dynamodb",
];
const PYTHON: &[&str] = &["boto3"];

#[derive(Subcommand, Debug)]
pub enum SdkCommand {
    /// Fetch them with npm and pip; again, to bring them up to date
    Install(InstallArgs),
}

#[derive(Args, Debug)]
pub struct InstallArgs {
    /// Where to [default: `sdk` in the default data folder]
    #[arg(long, env = "CUMULET_SDK_DIR")]
    dir: Option<PathBuf>,
}

pub fn sdk(command: SdkCommand, format: Format) -> Result<(), Failure> {
    let SdkCommand::Install(args) = command;
    let dir = match args.dir {
        Some(dir) => dir,
        None => default_data_dir()?.join("sdk"),
    };
    std::fs::create_dir_all(&dir).map_err(|e| Failure::new(format!("making {}: {e}", dir.display())))?;
    let mut done = Vec::new();
    if is_there("npm") {
        run("npm", &["install", "--silent", "--no-audit", "--no-fund", "--no-package-lock", "--prefix"], &dir, NODE)?;
        done.push("node_modules");
    }
    if is_there("python3") {
        let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--upgrade", "--target"];
        run("python3", &pip, &dir.join("python_modules"), PYTHON)?;
        done.push("python_modules");
    }
    if done.is_empty() {
        return Err(Failure::new("neither npm nor python3 is there: install one of them"));
    }
    match format {
        Format::Json => output::json(&json!({"dir": dir.display().to_string(), "installed": done})),
        Format::Text => output::line(&format!("installed {} in {}", done.join(" and "), dir.display())),
    }
    Ok(())
}

fn is_there(program: &str) -> bool {
    Command::new(program).arg("--version").output().is_ok_and(|ran| ran.status.success())
}

fn run(program: &str, arguments: &[&str], dir: &Path, packages: &[&str]) -> Result<(), Failure> {
    let ran = Command::new(program).args(arguments).arg(dir).args(packages).output();
    let ran = ran.map_err(|e| Failure::new(format!("running {program}: {e}")))?;
    if ran.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&ran.stderr);
    Err(Failure::new(format!("{program} could not install the SDK: {}", said.trim())))
}
