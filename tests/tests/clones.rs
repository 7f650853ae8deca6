//! Instances as clones, through the running program. Where the machine or user cannot clone, instances are started, and
//! the tests say so.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Stdio};

use cumulet_tests::{Cloud, eventually, node_runtime};
use serde_json::Value;

const CODE: &str = "const made = Math.random(); let calls = 0;
exports.handler = async (event) => {
  await new Promise((resolve) => setTimeout(resolve, event.wait || 0));
  return { made, calls: ++calls, key: process.env.AWS_ACCESS_KEY_ID, stream: process.env.AWS_LAMBDA_LOG_STREAM_NAME };
};";

fn how(cloud: &Cloud) -> String {
    let listed = cloud.cumulet(&["ls", "--output", "json"]);
    let listed: Value = serde_json::from_slice(&listed.stdout).expect("ls prints JSON");
    listed["instances"][0]["How"].as_str().unwrap_or_default().to_owned()
}

fn can_clone(cloud: &Cloud) -> bool {
    cloud.create_function_with("f", &node_runtime(), "index.handler", &[("index.js", CODE)], &["--timeout", "60"]);
    cloud.invoke("f", "{}");
    if how(cloud).is_empty() {
        eprintln!("skipped: this machine or user cannot clone");
        return false;
    }
    eventually("the template is made", || how(cloud) == "cloned");
    true
}

fn descendants(pid: u32) -> Vec<u32> {
    let children = std::fs::read_dir(format!("/proc/{pid}/task"))
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok())
        .flat_map(|text| text.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<u32>>())
        .collect::<Vec<_>>();
    children.iter().copied().chain(children.iter().flat_map(|child| descendants(*child))).collect()
}

fn is_running(pid: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    status.lines().any(|line| line.starts_with("State:") && !line.contains('Z'))
}

#[test]
fn bursts_are_served_by_clones() {
    const CLIENTS: usize = 6;
    let cloud = Cloud::start_with(&["--clones"]);
    if !can_clone(&cloud) {
        return;
    }
    let answers = answers(&cloud, CLIENTS, r#"{"wait":2000}"#);
    let distinct = |name: &str| answers.iter().map(|answer| answer[name].to_string()).collect::<BTreeSet<_>>().len();
    assert_eq!(distinct("stream"), CLIENTS, "each instance logs to its own stream: {answers:?}");
    // At most the first instance was started plainly; all others are of one initialisation.
    assert!(distinct("made") <= 2, "{answers:?}");
    assert_eq!(how(&cloud), "cloned");
    let url = format!("http://127.0.0.1:{}/_cumulet/metrics", cloud.port());
    let metrics = cloud.curl(&["--user", "test:test", "--aws-sigv4", "aws:amz:us-east-1:cumulet"], &url);
    let metrics = String::from_utf8_lossy(&metrics.stdout).into_owned();
    assert!(
        metrics.contains(r#"cumulet_instances_born_total{function="f",version="$LATEST",how="cloned"}"#),
        "{metrics}"
    );
}

/// What a clone shares with its template is memory that it uses: the report says no less than a whole interpreter takes.
#[test]
fn a_clone_reports_the_memory_it_shares_too() {
    let cloud = Cloud::start_with(&["--clones"]);
    if !can_clone(&cloud) {
        return;
    }
    // Of the two at the same time at least one is a clone.
    let clients = [invocation(&cloud, r#"{"wait":1500}"#), invocation(&cloud, r#"{"wait":1500}"#)];
    for client in clients {
        assert!(client.wait_with_output().expect("the command line ends").status.success());
    }
    let reported = || -> Vec<u64> {
        let events = cloud.aws(&[
            "logs",
            "filter-log-events",
            "--log-group-name",
            "/aws/lambda/f",
            "--filter-pattern",
            "REPORT",
        ]);
        let messages = events["events"].as_array().cloned().unwrap_or_default();
        let used = |event: &Value| {
            let text = event["message"].as_str()?.split("Max Memory Used: ").nth(1)?;
            text.split(' ').next()?.parse().ok()
        };
        messages.iter().filter_map(used).collect()
    };
    eventually("three invocations are reported", || reported().len() >= 3);
    assert!(reported().iter().all(|megabytes| *megabytes >= 20), "{:?}", reported());
}

fn invocation(cloud: &Cloud, event: &str) -> std::process::Child {
    invocation_of(cloud, "f", event)
}

fn invocation_of(cloud: &Cloud, function: &str, event: &str) -> std::process::Child {
    let mut command = cloud.command(cumulet_tests::program());
    command.args(["invoke", function, "--event", event]).stdout(Stdio::piped()).stderr(Stdio::null());
    command.spawn().expect("the command line runs")
}

/// The answers to invocations that come nearly at once: by clients that start fast, on a busy machine too.
fn answers(cloud: &Cloud, count: usize, event: &str) -> Vec<Value> {
    answers_of(cloud, "f", count, event)
}

fn answers_of(cloud: &Cloud, function: &str, count: usize, event: &str) -> Vec<Value> {
    let clients: Vec<_> = (0..count).map(|_| invocation_of(cloud, function, event)).collect();
    let answer = |client: std::process::Child| client.wait_with_output().expect("the command line ends").stdout;
    clients.into_iter().map(|client| serde_json::from_slice(&answer(client)).expect("an answer in JSON")).collect()
}

/// Starts invocations that last, without waiting for their answers.
fn long_invocations(cloud: &Cloud, count: usize) -> Vec<std::process::Child> {
    (0..count).map(|_| invocation(cloud, r#"{"wait":8000}"#)).collect()
}

fn busy(cloud: &Cloud) -> u64 {
    let listed = cloud.cumulet(&["ls", "--output", "json"]);
    let listed: Value = serde_json::from_slice(&listed.stdout).expect("ls prints JSON");
    listed["instances"][0]["Busy"].as_u64().unwrap_or(0)
}

/// Control groups of a platform, by its process number.
fn groups(folder: &Path, pid: u32, depth: usize) -> usize {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let folders = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    let one = |entry: std::fs::DirEntry| {
        let is_mine = entry.file_name().to_string_lossy().starts_with(&format!("{pid}-"));
        usize::from(is_mine) + if depth < 6 { groups(&entry.path(), pid, depth + 1) } else { 0 }
    };
    folders.map(one).sum()
}

fn mounts() -> usize {
    std::fs::read_to_string("/proc/self/mounts").expect("the kernel tells").matches("cumulet").count()
}

#[test]
fn a_killed_platform_leaves_nothing_behind() {
    let mut cloud = Cloud::start_with(&["--clones"]);
    if !can_clone(&cloud) {
        return;
    }
    let clients = long_invocations(&cloud, 3);
    eventually("three instances are busy", || busy(&cloud) == 3);
    let (pid, processes) = (cloud.pid(), descendants(cloud.pid()));
    assert!(processes.len() >= 4, "a template and its clones: {processes:?}");
    cloud.kill_and_restart();
    for mut client in clients {
        client.wait().expect("the command line ends");
    }
    eventually("the processes are gone", || !processes.iter().any(|pid| is_running(*pid)));
    eventually("the control groups are gone", || groups(Path::new("/sys/fs/cgroup"), pid, 0) == 0);
    assert_eq!(mounts(), 0, "no mount of an instance is on the host");
    assert_eq!(cloud.invoke("f", "{}").1["calls"], 1);
}

#[test]
fn a_killed_template_takes_its_clones_along_and_is_made_anew() {
    let cloud = Cloud::start_with(&["--clones"]);
    if !can_clone(&cloud) {
        return;
    }
    let clients = long_invocations(&cloud, 3);
    eventually("three instances are busy", || busy(&cloud) == 3);
    let is_parent = |pid: &u32| !descendants(*pid).is_empty();
    let template = descendants(cloud.pid()).into_iter().find(is_parent).expect("clones are children of their template");
    let clones = descendants(template);
    assert!(Command::new("kill").args(["-9", &template.to_string()]).status().expect("kill runs").success());
    eventually("its clones are gone", || !clones.iter().any(|pid| is_running(*pid)));
    // Whoever was served by a clone is told; the one that was started plainly goes on.
    let mut answered: Vec<_> =
        clients.into_iter().map(|mut client| client.wait().expect("it ends").success()).collect();
    answered.sort_unstable();
    assert!(!answered[0], "a function whose instance is gone has failed");
    assert!(cloud.invoke("f", "{}").1["calls"].is_u64(), "the function goes on");
    // Invocations of which each takes an instance make the next template wanted.
    eventually("another template is made", || {
        let both = [invocation(&cloud, r#"{"wait":300}"#), invocation(&cloud, r#"{"wait":300}"#)];
        both.into_iter().for_each(|client| drop(client.wait_with_output()));
        how(&cloud) == "cloned"
    });
}

const SERVER: &str = "const http = require('http');
const ready = new Promise((done) => http.createServer((q, a) => a.end('mine')).listen(3000, '127.0.0.1', done));
exports.handler = async (event) => {
  await ready;
  const mine = await (await fetch('http://127.0.0.1:3000')).text();
  const { status } = await fetch(process.env.AWS_ENDPOINT_URL);
  await new Promise((resolve) => setTimeout(resolve, event.wait || 0));
  return { mine, status };
};";

/// As frameworks do that bring their own server. The platform answers in each of the networks.
#[test]
fn instances_of_a_function_that_listens_do_not_meet() {
    let cloud = Cloud::start();
    let more = ["--timeout", "60"];
    cloud.create_function_with("f", &node_runtime(), "index.handler", &[("index.js", SERVER)], &more);
    let alone = cloud.invoke("f", "{}").1;
    assert_eq!(alone["mine"], "mine");
    if how(&cloud).is_empty() {
        eprintln!("skipped: this machine or user cannot clone");
        return;
    }
    let expected = "cloned from the booted runtime, each with a network of its own, as it listens";
    eventually("the template is made", || how(&cloud) == expected);
    for _ in 0..2 {
        assert!(answers(&cloud, 4, r#"{"wait":2000}"#).iter().all(|answer| *answer == alone));
    }
}

#[test]
fn a_function_may_opt_out() {
    let cloud = Cloud::start_with(&["--clones"]);
    let variables = r#"{"Variables":{"CUMULET_CLONE":"off"}}"#;
    let files = [("index.js", CODE)];
    cloud.create_function_with("f", &node_runtime(), "index.handler", &files, &["--environment", variables]);
    cloud.invoke("f", "{}");
    assert_eq!(how(&cloud), "");
}

/// What is made at initialisation is every instance's own, unless SnapStart is asked for.
#[test]
fn snap_start_asks_for_clones_of_the_initialised_function() {
    let cloud = Cloud::start();
    cloud.create_function("f", &node_runtime(), "index.handler", &[("index.js", CODE)]);
    cloud.invoke("f", "{}");
    if how(&cloud).is_empty() {
        eprintln!("skipped: this machine or user cannot clone");
        return;
    }
    eventually("the template of the runtime is made", || how(&cloud) == "cloned from the booted runtime");
    let made = |event: &str| {
        let answers = answers(&cloud, 3, event);
        answers.iter().map(|answer| answer["made"].to_string()).collect::<BTreeSet<_>>().len()
    };
    assert_eq!(made(r#"{"wait":2000}"#), 3, "each instance has run the function's own initialisation");
    let shown = cloud.aws(&[
        "lambda",
        "update-function-configuration",
        "--function-name",
        "f",
        "--snap-start",
        "ApplyOn=PublishedVersions",
    ]);
    assert_eq!(shown["SnapStart"]["ApplyOn"], "PublishedVersions");
    eventually("the template of the function is made", || {
        cloud.invoke("f", "{}");
        how(&cloud) == "cloned"
    });
    assert!(made(r#"{"wait":2001}"#) <= 2, "at most one was started plainly");
    cloud.aws_error(&[
        "lambda",
        "update-function-configuration",
        "--function-name",
        "f",
        "--snap-start",
        "ApplyOn=Always",
    ]);
}

/// A version with SnapStart is pending until its template is made; from then on none of its instances is started plainly.
#[test]
fn a_version_with_snap_start_is_pending_until_it_can_be_cloned() {
    let cloud = Cloud::start();
    let more = ["--snap-start", "ApplyOn=PublishedVersions"];
    cloud.create_function_with("f", &node_runtime(), "index.handler", &[("index.js", CODE)], &more);
    cloud.invoke("f", "{}");
    if how(&cloud).is_empty() {
        eprintln!("skipped: this machine or user cannot clone");
        return;
    }
    let published = cloud.aws(&["lambda", "publish-version", "--function-name", "f"]);
    assert_eq!((&published["State"], &published["StateReasonCode"]), (&"Pending".into(), &"Creating".into()));
    let version = || cloud.aws(&["lambda", "get-function-configuration", "--function-name", "f", "--qualifier", "1"]);
    eventually("the version is active", || version()["State"] == "Active");
    assert_eq!(version()["SnapStart"]["OptimizationStatus"], "On");
    assert!(version()["StateReason"].is_null());
    let made: BTreeSet<_> =
        answers_of(&cloud, "f:1", 3, r#"{"wait":2000}"#).iter().map(|answer| answer["made"].to_string()).collect();
    assert_eq!(made.len(), 1, "all are of one initialisation");
}

const SHARED: &str = "let here = 0;
let open = [];
exports.handler = async (event, context) => {
  here += 1;
  await new Promise((resolve) => {
    open.push(resolve);
    if (open.length === 4) open.splice(0).forEach((go) => go());
  });
  console.log('of', context.awsRequestId);
  return { pid: process.pid, most: here };
};";

/// Nobody is answered before four are there, and all are there in one process.
#[test]
fn a_function_may_take_several_events_at_a_time() {
    let cloud = Cloud::start_with(&["--clones"]);
    let more = ["--timeout", "30", "--environment", "Variables={CUMULET_INSTANCE_CONCURRENCY=4}"];
    cloud.create_function_with("f", &node_runtime(), "index.handler", &[("index.js", SHARED)], &more);
    for _ in 0..2 {
        let answers = answers(&cloud, 4, "{}");
        assert!(answers.iter().all(|one| one["pid"] == answers[0]["pid"]), "{answers:?}");
    }
    let bill = cloud.aws(&["logs", "filter-log-events", "--log-group-name", "/aws/lambda/f", "--filter-pattern", "of"]);
    let events = bill["events"].as_array().expect("events");
    assert_eq!(events.len(), 8);
    for event in events {
        let [_, id, _, text] = event["message"].as_str().expect("text").split('\t').collect::<Vec<_>>()[..] else {
            panic!("{event}");
        };
        assert_eq!(text.trim(), format!("of {id}"));
    }
}
