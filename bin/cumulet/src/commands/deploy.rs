//! `cumulet deploy` and `cumulet package`: code is zipped and uploaded, the template pointed at it, and the stack
//! brought to it through a change set.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use cumulet_base::clock::{self, Clock, SystemClock};
use cumulet_base::id;
use serde_json::{Value, json};

use crate::client::Client;
use crate::output::{self, Failure, Format};
use crate::{packaging, serverless};

/// How often a change under way is looked at.
const POLL_EVERY: Duration = Duration::from_millis(50);
const DEPLOY_TIMEOUT: Duration = Duration::from_secs(900);
const TEMPLATES: [&str; 6] = ["template.yaml", "template.yml", "template.json", "sam.yaml", "sam.yml", "sam.json"];

#[derive(Args, Clone)]
pub struct DeployArgs {
    /// Folder with a SAM or CloudFormation template, or with just a handler
    #[arg(default_value = ".")]
    pub folder: PathBuf,
    /// Name of the stack; the folder's name by default
    #[arg(long)]
    stack: Option<String>,
    /// A parameter of the template, NAME=VALUE; may be repeated
    #[arg(long = "parameter", value_name = "NAME=VALUE")]
    parameters: Vec<String>,
}

#[derive(Args)]
pub struct PackageArgs {
    /// Folder with a SAM or CloudFormation template, or with just a handler
    #[arg(default_value = ".")]
    folder: PathBuf,
}

pub async fn package(client: &Client, args: PackageArgs) -> Result<(), Failure> {
    let template = uploaded(client, &args.folder, |_| {}).await?;
    output::json(&template);
    Ok(())
}

pub async fn deploy(client: &Client, args: DeployArgs, format: Format) -> Result<(), Failure> {
    let progress = |text: &str| {
        if format == Format::Text {
            eprintln!("{text}");
        }
    };
    if let Some(path) = serverless_file(&args.folder) {
        match serverless::tool(&args.folder) {
            Some(tool) if args.stack.is_none() && args.parameters.is_empty() => {
                progress(&format!("{}: handed to {}", path.display(), tool.display()));
                return hand_over(client, &tool, &args.folder);
            }
            Some(_) => {
                return Err(Failure::usage("--stack and --parameter are not for serverless.yml: osls deploys it"));
            }
            None => progress(&format!("{}: read without osls, as far as its common parts go", path.display())),
        }
    }
    let stack = stack_name(&args)?;
    let template = uploaded(client, &args.folder, progress).await?;
    let id = change(client, &stack, &template, &parameters(&args.parameters)?, format).await?;
    let Some(id) = id else {
        progress(&format!("{stack} is up to date"));
        return print_outputs(client, &stack, format).await;
    };
    let ended = wait_for_stack(client, &id, DEPLOY_TIMEOUT, format).await?;
    if ended != "CREATE_COMPLETE" && ended != "UPDATE_COMPLETE" {
        return Err(Failure::new(format!("deploying {stack} ended in {ended}: {}", first_reason(client, &id).await)));
    }
    print_outputs(client, &stack, format).await
}

/// The folder's `serverless.yml`, where no template goes before it.
fn serverless_file(folder: &Path) -> Option<PathBuf> {
    let has_template = TEMPLATES.iter().any(|name| folder.join(name).is_file());
    serverless::file(folder).filter(|_| !has_template)
}

/// Lets `osls` deploy the folder.
fn hand_over(client: &Client, tool: &Path, folder: &Path) -> Result<(), Failure> {
    let mut command = std::process::Command::new(tool);
    client.hand_on(command.arg("deploy").current_dir(folder));
    let status = command.status().map_err(|e| Failure::new(format!("running {}: {e}", tool.display())))?;
    if status.success() { Ok(()) } else { Err(Failure::new(format!("{} deploy ended with {status}", tool.display()))) }
}

/// What the stack is called.
pub fn stack_name(args: &DeployArgs) -> Result<String, Failure> {
    if let (None, Some(path)) = (&args.stack, serverless_file(&args.folder)) {
        return serverless::read(&path).map(|(name, _)| name);
    }
    args.stack.clone().map_or_else(|| folder_name(&args.folder), Ok)
}

fn folder_name(folder: &Path) -> Result<String, Failure> {
    let full = folder.canonicalize().map_err(|e| Failure::usage(format!("{}: {e}", folder.display())))?;
    let name: String = full
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .collect();
    let name = name.trim_matches('-').to_owned();
    if name.starts_with(|c: char| c.is_ascii_alphabetic()) {
        Ok(name)
    } else {
        Err(Failure::usage("give the stack a name with --stack"))
    }
}

fn parameters(given: &[String]) -> Result<Vec<(String, String)>, Failure> {
    let pair = |text: &String| text.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
    given
        .iter()
        .map(|text| pair(text).ok_or_else(|| Failure::usage(format!("`{text}` is not of the form NAME=VALUE"))))
        .collect()
}

/// A function of a template with the folder or archive its code is in.
pub struct LocalCode {
    /// Its name in the template.
    pub logical_id: String,
    pub path: PathBuf,
    /// Where the template names it.
    member: &'static str,
    /// As it is written there.
    written: String,
}

/// The folder's template, and the files of the folder that are not code.
fn read_template(folder: &Path) -> Result<(Value, Vec<PathBuf>), Failure> {
    if !folder.is_dir() {
        return Err(Failure::usage(format!("{} is not a folder", folder.display())));
    }
    if let Some(path) = serverless_file(folder) {
        let (_, template) = serverless::read(&path)?;
        return Ok((template, vec![path]));
    }
    let found = TEMPLATES.iter().map(|name| folder.join(name)).find(|path| path.is_file());
    let template = match &found {
        Some(path) => {
            let text = std::fs::read_to_string(path)
                .map_err(|e| Failure::usage(format!("reading {}: {e}", path.display())))?;
            cumulet_cloudformation::template::parse(&text)
                .map_err(|e| Failure::usage(format!("{}: {e}", path.display())))?
        }
        None => template_for(folder)?,
    };
    Ok((template, found.into_iter().collect()))
}

/// The functions of the folder's template whose code is local, and the files that are not code.
pub fn local_code(folder: &Path) -> Result<(Vec<LocalCode>, Vec<PathBuf>), Failure> {
    let (mut template, skip) = read_template(folder)?;
    Ok((local_functions(folder, &mut template)?, skip))
}

fn local_functions(folder: &Path, template: &mut Value) -> Result<Vec<LocalCode>, Failure> {
    let mut all = Vec::new();
    let global = template.pointer("/Globals/Function/CodeUri").cloned();
    let Some(resources) = template.get_mut("Resources").and_then(Value::as_object_mut) else {
        return Err(Failure::usage("the template has no Resources"));
    };
    for (name, resource) in resources {
        let member = match resource["Type"].as_str() {
            Some("AWS::Serverless::Function") => "CodeUri",
            Some("AWS::Lambda::Function") => "Code",
            _ => continue,
        };
        let Some(properties) = resource.get_mut("Properties").and_then(Value::as_object_mut) else { continue };
        let inherited =
            if member == "CodeUri" && !properties.contains_key("InlineCode") { global.clone() } else { None };
        let local = match properties.get(member).cloned().or(inherited) {
            Some(Value::String(path)) if !path.starts_with("s3://") => path,
            _ => continue,
        };
        all.push(LocalCode { logical_id: name.clone(), path: folder.join(&local), member, written: local });
    }
    Ok(all)
}

/// The folder's template, its local code uploaded and replaced by where it now is.
async fn uploaded(client: &Client, folder: &Path, progress: impl Fn(&str)) -> Result<Value, Failure> {
    let (mut template, skip) = read_template(folder)?;
    for LocalCode { logical_id: name, path, member, written: local } in local_functions(folder, &mut template)? {
        let zip = packaging::package(&path, &skip)?;
        progress(&format!("uploading {name}: {local} ({} KiB)", zip.len().div_ceil(1024)));
        let place = client
            .rest("cumulet", "POST", "/_cumulet/artifacts", &[("content-type", "application/zip")], zip)
            .await?
            .json()?;
        let place = match member {
            "CodeUri" => json!({ "Bucket": place["Bucket"], "Key": place["Key"] }),
            _ => json!({ "S3Bucket": place["Bucket"], "S3Key": place["Key"] }),
        };
        template["Resources"][&name]["Properties"][member] = place;
    }
    Ok(template)
}

/// A plain folder with a handler becomes one function with a URL.
fn template_for(folder: &Path) -> Result<Value, Failure> {
    let has = |name: &str| folder.join(name).is_file();
    let node = || cumulet_sandbox::newest_node().map(|major| format!("nodejs{major}.x"));
    let python = || cumulet_sandbox::newest_python().map(|minor| format!("python3.{minor}"));
    let (handler, runtime) = if let Some(name) =
        ["index", "app", "handler"].iter().find(|n| ["js", "mjs", "cjs"].iter().any(|e| has(&format!("{n}.{e}"))))
    {
        (format!("{name}.handler"), node().ok_or_else(|| Failure::new("no Node.js was found on this machine"))?)
    } else if has("lambda_function.py") {
        (
            "lambda_function.lambda_handler".into(),
            python().ok_or_else(|| Failure::new("no Python was found on this machine"))?,
        )
    } else if let Some(name) = ["app", "main", "handler"].iter().find(|n| has(&format!("{n}.py"))) {
        (format!("{name}.handler"), python().ok_or_else(|| Failure::new("no Python was found on this machine"))?)
    } else if has("bootstrap") {
        ("bootstrap".into(), "provided.al2023".into())
    } else {
        let names =
            "template.yaml, index.js, app.js, handler.js, lambda_function.py, app.py, main.py, handler.py, bootstrap";
        return Err(Failure::usage(format!("{} holds none of: {names}", folder.display())));
    };
    let mut properties =
        json!({ "CodeUri": ".", "Handler": handler, "Runtime": runtime, "FunctionUrlConfig": { "AuthType": "NONE" } });
    if let Some(name) = folder.canonicalize().ok().and_then(|f| f.file_name().map(|n| n.to_string_lossy().into_owned()))
    {
        properties["Description"] = format!("Deployed from the folder {name}").into();
    }
    Ok(json!({
        "AWSTemplateFormatVersion": "2010-09-09",
        "Transform": "AWS::Serverless-2016-10-31",
        "Resources": { "Function": { "Type": "AWS::Serverless::Function", "Properties": properties } },
        "Outputs": {
            "FunctionName": { "Value": { "Ref": "Function" } },
            "FunctionUrl": { "Value": { "Fn::GetAtt": ["FunctionUrl", "FunctionUrl"] } },
        },
    }))
}

/// Executes a change set and answers the stack's id; `None` when there was nothing to change.
async fn change(
    client: &Client,
    stack: &str,
    template: &Value,
    parameters: &[(String, String)],
    format: Format,
) -> Result<Option<String>, Failure> {
    let by_name = [("StackName".to_owned(), stack.to_owned())];
    let kind = match client.query("cloudformation", "DescribeStacks", &by_name).await {
        Ok(answer) => match answer["Stacks"][0]["StackStatus"].as_str() {
            Some("REVIEW_IN_PROGRESS") => "CREATE",
            // Nothing of a creation that was rolled back can be updated.
            Some("ROLLBACK_COMPLETE" | "CREATE_FAILED" | "DELETE_FAILED") => {
                let id = answer["Stacks"][0]["StackId"].as_str().unwrap_or(stack).to_owned();
                client.query("cloudformation", "DeleteStack", &by_name).await?;
                wait_for_stack(client, &id, DEPLOY_TIMEOUT, format).await?;
                "CREATE"
            }
            _ => "UPDATE",
        },
        Err(failure) if failure.exit_code == 3 => "CREATE",
        Err(failure) => return Err(failure),
    };
    let change_set = format!("cumulet-{}", id::short(12));
    let mut members = vec![
        ("StackName".to_owned(), stack.to_owned()),
        ("ChangeSetName".to_owned(), change_set.clone()),
        ("ChangeSetType".to_owned(), kind.to_owned()),
        ("TemplateBody".to_owned(), template.to_string()),
    ];
    for (i, capability) in ["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"].iter().enumerate() {
        members.push((format!("Capabilities.member.{}", i + 1), (*capability).to_owned()));
    }
    for (i, (name, value)) in parameters.iter().enumerate() {
        members.push((format!("Parameters.member.{}.ParameterKey", i + 1), name.clone()));
        members.push((format!("Parameters.member.{}.ParameterValue", i + 1), value.clone()));
    }
    let created = client.query("cloudformation", "CreateChangeSet", &members).await?;
    let stack_id = created["StackId"].as_str().unwrap_or(stack).to_owned();
    let naming = [("StackName".to_owned(), stack.to_owned()), ("ChangeSetName".to_owned(), change_set)];
    loop {
        let described = client.query("cloudformation", "DescribeChangeSet", &naming).await?;
        match described["Status"].as_str() {
            Some("CREATE_COMPLETE") => break,
            Some("FAILED") => {
                let reason = described["StatusReason"].as_str().unwrap_or_default().to_owned();
                client.query("cloudformation", "DeleteChangeSet", &naming).await?;
                let nothing =
                    reason.contains("didn't contain changes") || reason.contains("No updates are to be performed");
                return if nothing { Ok(None) } else { Err(Failure::new(reason)) };
            }
            _ => tokio::time::sleep(POLL_EVERY).await,
        }
    }
    client.query("cloudformation", "ExecuteChangeSet", &naming).await?;
    Ok(Some(stack_id))
}

/// Waits for the end of what is under way, printing events as they come; answers the stack's last status.
pub async fn wait_for_stack(client: &Client, id: &str, timeout: Duration, format: Format) -> Result<String, Failure> {
    let deadline = tokio::time::Instant::now() + timeout;
    let by_id = [("StackName".to_owned(), id.to_owned())];
    let mut seen = HashSet::new();
    // Events from before are old news; a second of grace, because what is waited for has begun already.
    let since = clock::iso_ms(SystemClock.now_ms().saturating_sub(1000));
    loop {
        let answer = match client.query("cloudformation", "DescribeStacks", &by_id).await {
            Ok(answer) => answer,
            Err(failure) if failure.exit_code == 3 => return Ok("DELETE_COMPLETE".into()),
            Err(failure) => return Err(failure),
        };
        let status = answer["Stacks"][0]["StackStatus"].as_str().unwrap_or_default().to_owned();
        if format == Format::Text {
            print_events(client, &by_id, &since, &mut seen).await?;
        }
        if !status.ends_with("_IN_PROGRESS") {
            return Ok(status);
        }
        if tokio::time::Instant::now() > deadline {
            return Err(Failure::new(format!("gave up waiting: the stack is still in {status}")));
        }
        tokio::time::sleep(POLL_EVERY).await;
    }
}

async fn print_events(
    client: &Client,
    by_id: &[(String, String)],
    since: &str,
    seen: &mut HashSet<String>,
) -> Result<(), Failure> {
    let answer = client.query("cloudformation", "DescribeStackEvents", by_id).await?;
    for event in answer["StackEvents"].as_array().into_iter().flatten().rev() {
        let text = |name: &str| event[name].as_str().unwrap_or_default().to_owned();
        if seen.insert(text("EventId")) && text("Timestamp").as_str() >= since {
            let reason = text("ResourceStatusReason");
            eprintln!(
                "  {:<28} {:<32} {} {reason}",
                text("ResourceStatus"),
                text("ResourceType"),
                text("LogicalResourceId")
            );
        }
    }
    Ok(())
}

async fn first_reason(client: &Client, id: &str) -> String {
    let by_id = [("StackName".to_owned(), id.to_owned())];
    let Ok(answer) = client.query("cloudformation", "DescribeStackEvents", &by_id).await else { return String::new() };
    let events = answer["StackEvents"].as_array().cloned().unwrap_or_default();
    let failed = events.iter().rev().filter(|e| e["ResourceStatus"].as_str().is_some_and(|s| s.ends_with("_FAILED")));
    let mut reasons = failed
        .filter_map(|e| Some(format!("{}: {}", e["LogicalResourceId"].as_str()?, e["ResourceStatusReason"].as_str()?)));
    reasons.next().unwrap_or_default()
}

async fn print_outputs(client: &Client, stack: &str, format: Format) -> Result<(), Failure> {
    let answer =
        client.query("cloudformation", "DescribeStacks", &[("StackName".to_owned(), stack.to_owned())]).await?;
    let found = &answer["Stacks"][0];
    let outputs: serde_json::Map<String, Value> = found["Outputs"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|o| Some((o["OutputKey"].as_str()?.to_owned(), o["OutputValue"].clone())))
        .collect();
    match format {
        Format::Json => output::json(&json!({ "stack": stack, "status": found["StackStatus"], "outputs": outputs })),
        Format::Text => {
            for (name, value) in outputs {
                output::line(&format!("{name} = {}", value.as_str().unwrap_or_default()));
            }
        }
    }
    Ok(())
}
