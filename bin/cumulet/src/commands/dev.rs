//! `cumulet dev`: deploys a folder, then waits for its files to change and brings what changed to the cloud: code straight to
//! its function, which takes a fraction of a second, a changed template as a change of the stack. Meanwhile it shows what the
//! functions print.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use clap::Args;
use cumulet_base::clock::{self, Clock, SystemClock};
use inotify::{EventMask, Inotify, WatchMask};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::deploy::{self, DeployArgs};
use crate::client::{Client, segment};
use crate::output::{self, Failure, Format};
use crate::packaging;

/// Editors write a file in several steps; what follows within this belongs to the same change.
const QUIET: Duration = Duration::from_millis(60);
/// A folder that never comes to rest is brought over all the same.
const QUIET_MAX: Duration = Duration::from_millis(500);
/// How often what functions print is looked for.
const LOGS_EVERY: Duration = Duration::from_millis(200);
/// Lines may become visible out of order by this much.
const LOGS_OVERLAP_MS: u64 = 5_000;
/// Folders that are watched.
const FOLDERS_MAX: usize = 8192;

#[derive(Args)]
pub struct DevArgs {
    #[command(flatten)]
    deploy: DeployArgs,
    /// Let the next instance wait for a debugger, without a timeout: Node.js for its inspector, Python for debugpy. With
    /// several functions the first one, or the one named by --function
    #[arg(long, value_name = "PORT", num_args = 0..=1, default_missing_value = "9229")]
    inspect: Option<u16>,
    /// The function that --inspect is about, by its name in the template
    #[arg(long, value_name = "NAME")]
    function: Option<String>,
}

pub async fn dev(client: &Client, args: DevArgs, format: Format) -> Result<(), Failure> {
    let folder = args.deploy.folder.clone();
    let stack = deploy::stack_name(&args.deploy)?;
    // Before the first look, so that nothing that changes meanwhile is missed.
    let mut changes = watch(&folder)?;
    let mut said = Said::new();
    deploy::deploy(client, args.deploy.clone(), format).await?;
    let mut local = Local::read(client, &folder, &stack).await?;
    let inspected = match args.inspect {
        Some(port) => Some(inspect(client, &local, args.function.as_deref(), port, format).await?),
        None => None,
    };
    tell(format, &format!("watching {}; end with Ctrl-C", folder.display()), json!({ "watching": folder }));
    let result = loop {
        tokio::select! {
            changed = changes.recv() => {
                let Some(first) = changed else { break Err(Failure::new("the folder can no longer be watched")) };
                let paths = settle(&mut changes, first).await;
                if let Err(failure) = bring(client, &args.deploy, &mut local, &stack, &paths, format).await {
                    // A mistake in a file is mended in the file.
                    failure.print(format);
                }
            }
            () = tokio::time::sleep(LOGS_EVERY) => said.show(client, &local, format).await,
            _ = tokio::signal::ctrl_c() => break Ok(()),
        }
    };
    said.show(client, &local, format).await;
    if let Some(name) = inspected {
        let path = format!("/_cumulet/functions/{}/inspection", segment(&name));
        client.rest("cumulet", "DELETE", &path, &[], "").await?;
    }
    result
}

fn tell(format: Format, text: &str, object: Value) {
    match format {
        Format::Text => eprintln!("{text}"),
        Format::Json => output::line(&object.to_string()),
    }
}

/// The functions of the folder, and what was last uploaded of each.
struct Local {
    functions: Vec<Deployed>,
    /// Files that are not code.
    skip: Vec<PathBuf>,
}

struct Deployed {
    logical_id: String,
    /// Its name in the cloud.
    name: String,
    path: PathBuf,
    zip: Vec<u8>,
}

impl Local {
    async fn read(client: &Client, folder: &Path, stack: &str) -> Result<Local, Failure> {
        let (all, skip) = deploy::local_code(folder)?;
        let naming = [("StackName".to_owned(), stack.to_owned())];
        let answer = client.query("cloudformation", "DescribeStackResources", &naming).await?;
        let names: BTreeMap<&str, &str> = answer["StackResources"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|one| Some((one["LogicalResourceId"].as_str()?, one["PhysicalResourceId"].as_str()?)))
            .collect();
        let mut functions = Vec::new();
        for code in all {
            let Some(name) = names.get(code.logical_id.as_str()) else { continue };
            let zip = packaging::package(&code.path, &skip)?;
            functions.push(Deployed { logical_id: code.logical_id, name: (*name).to_owned(), path: code.path, zip });
        }
        Ok(Local { functions, skip })
    }
}

/// Brings what changed to the cloud.
async fn bring(
    client: &Client,
    args: &DeployArgs,
    local: &mut Local,
    stack: &str,
    paths: &HashSet<PathBuf>,
    format: Format,
) -> Result<(), Failure> {
    let began = Instant::now();
    if paths.iter().any(|path| local.skip.contains(path)) {
        deploy::deploy(client, args.clone(), format).await?;
        *local = Local::read(client, &args.folder, stack).await?;
        return Ok(());
    }
    let Local { functions, skip } = local;
    for function in functions {
        let zip = packaging::package(&function.path, skip)?;
        if zip == function.zip {
            continue;
        }
        let input = json!({ "ZipFile": BASE64_STANDARD.encode(&zip) });
        let path = format!("/2015-03-31/functions/{}/code", segment(&function.name));
        let headers = [("content-type", "application/json")];
        client.rest("lambda", "PUT", &path, &headers, input.to_string()).await?;
        function.zip = zip;
        let took = began.elapsed().as_millis() as u64;
        let object = json!({ "deployed": function.name, "tookMs": took });
        tell(format, &format!("{} deployed after {took} ms", function.logical_id), object);
    }
    Ok(())
}

/// Asks for a debugger; answers the function's name in the cloud.
async fn inspect(
    client: &Client,
    local: &Local,
    wanted: Option<&str>,
    port: u16,
    format: Format,
) -> Result<String, Failure> {
    let is_wanted =
        |function: &&Deployed| wanted.is_none_or(|name| name == function.logical_id || name == function.name);
    let found = local.functions.iter().find(is_wanted);
    let function = found.ok_or_else(|| Failure::usage("--inspect: there is no such function in the folder"))?;
    let path = format!("/_cumulet/functions/{}/inspection", segment(&function.name));
    let headers = [("content-type", "application/json")];
    let answer = client.rest("cumulet", "PUT", &path, &headers, json!({ "Port": port }).to_string()).await?.json()?;
    let address = answer["Address"].as_str().unwrap_or_default().to_owned();
    let text = format!("{} waits for a debugger at {address}, at its next event", function.logical_id);
    tell(format, &text, json!({ "inspect": function.name, "address": address }));
    Ok(function.name.clone())
}

/// What has been shown of the functions' logs.
struct Said {
    since_ms: u64,
    seen: HashSet<String>,
}

impl Said {
    fn new() -> Said {
        Said { since_ms: SystemClock.now_ms(), seen: HashSet::new() }
    }

    async fn show(&mut self, client: &Client, local: &Local, format: Format) {
        let mut recent = HashSet::new();
        for function in &local.functions {
            let group = format!("/aws/lambda/{}", function.name);
            let input = json!({ "logGroupName": group, "startTime": self.since_ms });
            // Nothing was printed yet: the group comes with the first event.
            let Ok(page) = client.target("logs", "Logs_20140328.FilterLogEvents", &input).await else { continue };
            for event in page["events"].as_array().into_iter().flatten() {
                let id = event["eventId"].as_str().unwrap_or_default().to_owned();
                if !self.seen.contains(&id) {
                    print(&function.logical_id, event, format);
                }
                recent.insert(id);
            }
        }
        self.seen = recent;
        self.since_ms = self.since_ms.max(SystemClock.now_ms().saturating_sub(LOGS_OVERLAP_MS));
    }
}

fn print(function: &str, event: &Value, format: Format) {
    let text = event["message"].as_str().unwrap_or_default().trim_end();
    match format {
        Format::Json => output::line(&json!({ "function": function, "event": event }).to_string()),
        Format::Text => {
            let time = clock::iso_ms(event["timestamp"].as_u64().unwrap_or(0));
            output::line(&format!("{time} {function} {text}"));
        }
    }
}

/// All that belongs to one change.
async fn settle(changes: &mut mpsc::Receiver<PathBuf>, first: PathBuf) -> HashSet<PathBuf> {
    let mut paths = HashSet::from([first]);
    let latest = Instant::now() + QUIET_MAX;
    while let Ok(Some(path)) = tokio::time::timeout_at(latest.min(Instant::now() + QUIET), changes.recv()).await {
        paths.insert(path);
    }
    paths
}

/// Watches a folder and those in it, by the kernel; answers the files that change.
fn watch(folder: &Path) -> Result<mpsc::Receiver<PathBuf>, Failure> {
    let failed = |e: std::io::Error| Failure::new(format!("watching {}: {e}", folder.display()));
    let mut kernel = Inotify::init().map_err(failed)?;
    let mut watched = BTreeMap::new();
    add(&kernel, folder, &mut watched).map_err(failed)?;
    let (sender, changes) = mpsc::channel(FOLDERS_MAX);
    // The kernel's events are read by a thread of their own, which ends with the program.
    std::thread::spawn(move || {
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(events) = kernel.read_events_blocking(&mut buffer) {
            let mut found = Vec::new();
            for event in events {
                let Some(parent) = watched.get(&event.wd.get_watch_descriptor_id()) else { continue };
                let path: PathBuf = match event.name {
                    Some(name) if is_left_out(name) => continue,
                    Some(name) => Path::new(parent).join(name),
                    None => continue,
                };
                found.push((path, event.mask));
            }
            for (path, mask) in found {
                let is_new_folder =
                    mask.contains(EventMask::ISDIR) && mask.intersects(EventMask::CREATE | EventMask::MOVED_TO);
                if is_new_folder && let Err(error) = add(&kernel, &path, &mut watched) {
                    eprintln!("watching {}: {error}", path.display());
                }
                if sender.blocking_send(path).is_err() {
                    return;
                }
            }
        }
    });
    Ok(changes)
}

fn is_left_out(name: &std::ffi::OsStr) -> bool {
    packaging::LEFT_OUT.iter().any(|left_out| name == *left_out)
}

fn add(kernel: &Inotify, folder: &Path, watched: &mut BTreeMap<i32, PathBuf>) -> std::io::Result<()> {
    if watched.len() >= FOLDERS_MAX {
        return Err(std::io::Error::other(format!("more than {FOLDERS_MAX} folders")));
    }
    let what = WatchMask::CLOSE_WRITE | WatchMask::CREATE | WatchMask::DELETE | WatchMask::MOVE | WatchMask::ATTRIB;
    let watch = kernel.watches().add(folder, what)?;
    watched.insert(watch.get_watch_descriptor_id(), folder.to_owned());
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() && !is_left_out(&entry.file_name()) {
            add(kernel, &entry.path(), watched)?;
        }
    }
    Ok(())
}
