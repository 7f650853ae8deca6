//! Instances measured below the front door: real interpreters in real sandboxes, driven through the sandbox's port. Prints
//! one line of JSON. Needs root, and a kernel that clones, for all kinds but `start`.
//!
//! `cumulet-bench-instances cold|burst|warm|soak RUNTIME FOLDER KIND COUNT [INTERPRETER]`: the code in FOLDER, for a soak
//! `runtimes/proof`, has `index.handler`; KIND is `on` (clones of the initialised function), `alone` (the same, none of them made
//! ahead), `runtime` (of the booted runtime) or `start`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use cumulet_engine::function::FunctionVersion;
use cumulet_engine::invocation::Invocation;
use cumulet_engine::output::InvocationLog;
use cumulet_engine::policy::Birth;
use cumulet_engine::sandbox::{Answer, Deadline, Instance, InstanceSpec, Sandbox};
use cumulet_sandbox::{Clones, LinuxSandbox, SandboxConfig};
use serde_json::{Value, json};

type Failed = Box<dyn std::error::Error + Send + Sync>;

const COUNT_MAX: usize = 1_000_000;
/// Clones at a time in a soak.
const SOAK_WIDTH: usize = 4;
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two demands that are measured: those who want an instance do not come in step with how long one takes.
const BETWEEN: Duration = Duration::from_millis(20);

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match run(&arguments).await {
        Ok(found) => {
            println!("{found}");
            ExitCode::SUCCESS
        }
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: &[String]) -> Result<Value, Failed> {
    let [what, runtime, folder, kind, count, rest @ ..] = arguments else {
        return Err("usage: cold|burst|warm|soak RUNTIME FOLDER on|alone|runtime|start COUNT [INTERPRETER]".into());
    };
    let count: usize = count.parse()?;
    if !(1..=COUNT_MAX).contains(&count) {
        return Err(format!("COUNT is not between 1 and {COUNT_MAX}").into());
    }
    let clones = match kind.as_str() {
        "on" | "alone" => Clones::On,
        "runtime" => Clones::Runtime,
        "start" => Clones::Off,
        other => return Err(format!("`{other}` is none of on, alone, runtime, start").into()),
    };
    let is_alone = kind == "alone";
    let lab = Arc::new(Lab::new(runtime, Path::new(folder), clones, is_alone, rest)?);
    lab.settle(clones).await?;
    match what.as_str() {
        "cold" => cold(&lab, count).await,
        "burst" => burst(&lab, count).await,
        // As in the platform: on the threads that also wait for the channel.
        "warm" => tokio::spawn(async move { warm(&lab, count).await }).await?,
        "soak" => soak(&lab, count).await,
        other => Err(format!("`{other}` is none of cold, burst, warm, soak").into()),
    }
}

struct Lab {
    sandbox: LinuxSandbox,
    function: Arc<FunctionVersion>,
    code: PathBuf,
    birth: Birth,
    _scratch: tempfile::TempDir,
}

impl Lab {
    fn new(runtime: &str, code: &Path, clones: Clones, is_alone: bool, interpreters: &[String]) -> Result<Lab, Failed> {
        let scratch = tempfile::tempdir()?;
        let runtimes = scratch.path().join("runtime");
        for (path, bytes) in cumulet_runtimes::files() {
            let path = runtimes.join(path);
            path.parent().map(std::fs::create_dir_all).transpose()?;
            std::fs::write(path, bytes)?;
        }
        let mut config = SandboxConfig::new(scratch.path().join("data"), runtimes);
        config.clones = clones;
        if is_alone {
            config.clones_ahead = 0;
        }
        config.interpreters = interpreters.iter().map(PathBuf::from).collect();
        let function = FunctionVersion {
            account: "000000000000".to_owned(),
            region: "us-east-1".to_owned(),
            name: "f".to_owned(),
            version: "$LATEST".to_owned(),
            revision: "1".to_owned(),
            runtime: runtime.parse()?,
            handler: "index.handler".to_owned(),
            memory_mb: 512,
            timeout_ms: 60_000,
            ephemeral_mb: 512,
            environment: Default::default(),
            code_digest: String::new(),
            role_arn: String::new(),
            log_group: "/aws/lambda/f".to_owned(),
            concurrency_max: None,
            snap_start: false,
            ..FunctionVersion::default()
        };
        Ok(Lab {
            sandbox: LinuxSandbox::new(config)?,
            function: Arc::new(function),
            code: code.canonicalize()?,
            birth: if clones == Clones::Off { Birth::Start } else { Birth::Clone },
            _scratch: scratch,
        })
    }

    async fn start(&self) -> Result<Box<dyn Instance>, Failed> {
        let environment = [
            ("_HANDLER", "index.handler"),
            ("LAMBDA_TASK_ROOT", "/var/task"),
            ("AWS_LAMBDA_FUNCTION_NAME", "f"),
            ("AWS_LAMBDA_LOG_STREAM_NAME", "stream"),
            ("AWS_REGION", "us-east-1"),
            ("AWS_ACCESS_KEY_ID", "test"),
            ("AWS_SECRET_ACCESS_KEY", "test"),
            ("LANG", "en_US.UTF-8"),
            ("TZ", ":UTC"),
        ];
        let spec = InstanceSpec {
            instance_id: "i".to_owned(),
            function: self.function.clone(),
            code_dir: self.code.clone(),
            layers_dir: None,
            is_inspected: false,
            environment: environment.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec(),
        };
        let mut instance = self.sandbox.start(Arc::new(spec)).await?;
        let mut log = InvocationLog::new();
        match tokio::time::timeout(PATIENCE, instance.init(&mut log)).await? {
            Ok(()) => Ok(instance),
            Err(failure) => Err(format!("{failure:?} {:?}", log.take().0).into()),
        }
    }

    /// Starts once, and waits for the template that is made beside.
    async fn settle(&self, clones: Clones) -> Result<(), Failed> {
        self.start().await?.stop().await;
        if clones == Clones::Off {
            return Ok(());
        }
        let since = Instant::now();
        loop {
            let how = self.sandbox.how(&self.function).unwrap_or_default();
            match clones {
                Clones::On if how == "cloned" => return Ok(()),
                Clones::Runtime if how == "cloned from the booted runtime" => return Ok(()),
                _ if how.contains("being made") && since.elapsed() < PATIENCE => {}
                _ => return Err(format!("it is not cloned: {how}").into()),
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// From the demand to the first answer.
    async fn demand(&self, payload: &str) -> Result<(Box<dyn Instance>, Duration), Failed> {
        let began = Instant::now();
        let mut instance = self.start().await?;
        ask(&mut instance, payload).await?;
        let took = began.elapsed();
        if instance.birth() != self.birth {
            return Err(format!("it was not cloned: {:?}", self.sandbox.how(&self.function)).into());
        }
        Ok((instance, took))
    }
}

async fn ask(instance: &mut Box<dyn Instance>, payload: &str) -> Result<Bytes, Failed> {
    let event = Invocation {
        request_id: "8476a536-e9f4-11e8-9739-2dfe598c3fcd".to_owned(),
        payload: Bytes::copy_from_slice(payload.as_bytes()),
        trace: String::new(),
        client_context: None,
        invoked_arn: "arn:aws:lambda:us-east-1:000000000000:function:f".to_owned(),
        ..Invocation::default()
    };
    let deadline = Deadline { at: tokio::time::Instant::now() + PATIENCE, epoch_ms: u64::MAX >> 16 };
    let mut log = InvocationLog::new();
    match tokio::time::timeout(PATIENCE, instance.invoke(&event, deadline, &mut log)).await? {
        Ok(Answer::Success(answer)) => Ok(answer),
        other => Err(format!("{other:?} {:?}", log.take().0).into()),
    }
}

/// Minimum, median and 99th percentile in microseconds.
fn quantiles(mut times: Vec<Duration>) -> Value {
    times.sort_unstable();
    let at = |q: f64| times[((times.len() - 1) as f64 * q) as usize].as_micros() as u64;
    json!({ "count": times.len(), "min_us": at(0.0), "p50_us": at(0.5), "p99_us": at(0.99) })
}

/// One after the other, each ended some time before the next.
async fn cold(lab: &Lab, count: usize) -> Result<Value, Failed> {
    let mut times = Vec::new();
    for turn in 0..count + 5 {
        let (instance, took) = lab.demand("{}").await?;
        // The first ones warm the platform up.
        if turn >= 5 {
            times.push(took);
        }
        instance.stop().await;
        tokio::time::sleep(BETWEEN).await;
    }
    Ok(quantiles(times))
}

/// All at once, and what each holds then.
async fn burst(lab: &Arc<Lab>, count: usize) -> Result<Value, Failed> {
    let before = private_bytes();
    let began = Instant::now();
    let demands: Vec<_> = (0..count)
        .map(|_| {
            let lab = lab.clone();
            tokio::spawn(async move { lab.demand("{}").await })
        })
        .collect();
    let (mut instances, mut times) = (Vec::new(), Vec::new());
    for demand in demands {
        let (instance, took) = demand.await??;
        instances.push(instance);
        times.push(took);
    }
    let seconds = began.elapsed().as_secs_f64();
    let each = (private_bytes().saturating_sub(before)) / count as u64;
    for instance in instances {
        instance.stop().await;
    }
    let mut found = quantiles(times);
    found["per_second"] = json!(count as f64 / seconds);
    found["private_bytes_each"] = json!(each);
    Ok(found)
}

/// Private memory of all processes below this one.
fn private_bytes() -> u64 {
    let mut pids = vec![std::process::id()];
    let mut total = 0;
    while let Some(pid) = pids.pop() {
        for task in std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten() {
            let children = std::fs::read_to_string(task.path().join("children")).unwrap_or_default();
            pids.extend(children.split_whitespace().filter_map(|pid| pid.parse::<u32>().ok()));
        }
        if pid != std::process::id() {
            let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
            let dirty = text.lines().filter_map(|line| line.strip_prefix("Private_Dirty:"));
            let kilobytes = dirty.filter_map(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
            total += kilobytes.sum::<u64>() * 1024;
        }
    }
    total
}

/// Host to handler and back, one kilobyte.
async fn warm(lab: &Lab, count: usize) -> Result<Value, Failed> {
    let payload = json!({ "text": "x".repeat(1000) }).to_string();
    let (mut instance, _) = lab.demand(&payload).await?;
    for _ in 0..count / 10 {
        ask(&mut instance, &payload).await?;
    }
    let mut times = Vec::new();
    for _ in 0..count {
        let began = Instant::now();
        ask(&mut instance, &payload).await?;
        times.push(began.elapsed());
    }
    instance.stop().await;
    Ok(quantiles(times))
}

/// Clones without end, some at a time, each asked `"soak"` and ended; then whether anything is left behind.
async fn soak(lab: &Arc<Lab>, count: usize) -> Result<Value, Failed> {
    let began = Instant::now();
    turns(lab, count.min(200)).await?;
    let before = Left::look();
    let failures = turns(lab, count).await?;
    let after = Left::settled(&before).await;
    let seconds = began.elapsed().as_secs_f64();
    if failures > 0 || !after.is_like(&before) {
        return Err(format!("{failures} of {count} failed; before {before:?}, after {after:?}").into());
    }
    Ok(
        json!({ "clones": count, "failures": failures, "seconds": seconds, "before": before.json(), "after": after.json() }),
    )
}

async fn turns(lab: &Arc<Lab>, count: usize) -> Result<usize, Failed> {
    let mut workers = tokio::task::JoinSet::new();
    for worker in 0..SOAK_WIDTH {
        let lab = lab.clone();
        workers.spawn(async move {
            let mut failures = 0;
            for _ in (worker..count).step_by(SOAK_WIDTH) {
                match lab.demand(r#""soak""#).await {
                    Ok((instance, _)) => instance.stop().await,
                    Err(why) => {
                        eprintln!("{why}");
                        failures += 1;
                    }
                }
            }
            failures
        });
    }
    Ok(workers.join_all().await.into_iter().sum())
}

const GROUPS_AHEAD: usize = 16;

/// What a platform could leave behind.
#[derive(Debug)]
struct Left {
    descriptors: usize,
    threads: usize,
    processes: usize,
    groups: usize,
    mounts: usize,
    /// Of the whole machine; the kernel frees them late.
    network_namespaces: u64,
    memory_mib: u64,
}

impl Left {
    fn look() -> Left {
        let count = |path: &str| std::fs::read_dir(path).map_or(0, |entries| entries.count());
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let memory =
            status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.split_whitespace().next()?.parse().ok());
        let slabs = std::fs::read_to_string("/proc/slabinfo").unwrap_or_default();
        let namespaces =
            slabs.lines().find_map(|line| line.strip_prefix("net_namespace")?.split_whitespace().next()?.parse().ok());
        Left {
            descriptors: count("/proc/self/fd"),
            threads: count("/proc/self/task"),
            processes: descendants(std::process::id()),
            groups: groups(Path::new("/sys/fs/cgroup"), 0),
            mounts: std::fs::read_to_string("/proc/self/mounts").unwrap_or_default().lines().count(),
            network_namespaces: namespaces.unwrap_or(0),
            memory_mib: memory.unwrap_or(0u64) / 1024,
        }
    }

    async fn settled(before: &Left) -> Left {
        let since = Instant::now();
        loop {
            let left = Left::look();
            if left.is_like(before) || since.elapsed() > PATIENCE {
                return left;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// Some memory is the allocator's, some namespaces are others'; control groups made ahead, with their descriptors, may have
    /// become more.
    fn is_like(&self, before: &Left) -> bool {
        self.descriptors <= before.descriptors + 2 * GROUPS_AHEAD
            && self.threads <= before.threads + 8
            && self.processes <= before.processes
            && self.groups <= before.groups + GROUPS_AHEAD
            && self.mounts <= before.mounts
            && self.network_namespaces <= before.network_namespaces + 50
            && self.memory_mib <= before.memory_mib + 16
    }

    fn json(&self) -> Value {
        json!({ "descriptors": self.descriptors, "threads": self.threads, "processes": self.processes, "groups": self.groups,
            "mounts": self.mounts, "network_namespaces": self.network_namespaces, "memory_mib": self.memory_mib })
    }
}

fn descendants(pid: u32) -> usize {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let children = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok());
    let pids: Vec<u32> = children
        .flat_map(|text| text.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>())
        .collect();
    pids.iter().map(|pid| 1 + descendants(*pid)).sum()
}

/// Control groups of this process's platform, wherever they are mounted.
fn groups(folder: &Path, depth: usize) -> usize {
    const DEPTH_MAX: usize = 6;
    let mine = format!("{}-", std::process::id());
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let folders = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    folders
        .map(|entry| {
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.starts_with(&mine) {
                std::fs::read_dir(entry.path()).into_iter().flatten().flatten().filter(|e| e.path().is_dir()).count()
            } else if depth < DEPTH_MAX {
                groups(&entry.path(), depth + 1)
            } else {
                0
            }
        })
        .sum()
}
