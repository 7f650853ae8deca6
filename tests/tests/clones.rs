//! Instances as clones, through the running program. Where the machine or user cannot clone, instances are started, and
//! the tests say so.

use std::collections::BTreeSet;
use std::thread;

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
    cloud.create_function("f", &node_runtime(), "index.handler", &[("index.js", CODE)]);
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
    let answers: Vec<Value> = thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(|| cloud.invoke("f", r#"{"wait":1500}"#).1)).collect();
        clients.into_iter().map(|client| client.join().expect("the client ends")).collect()
    });
    let distinct = |name: &str| answers.iter().map(|answer| answer[name].to_string()).collect::<BTreeSet<_>>().len();
    assert_eq!(distinct("stream"), CLIENTS, "each instance logs to its own stream: {answers:?}");
    // The first instance was started plainly; all others are of one initialisation.
    assert_eq!(distinct("made"), 2, "{answers:?}");
    assert_eq!(how(&cloud), "cloned");
}

#[test]
fn clones_and_template_die_with_the_platform() {
    let mut cloud = Cloud::start_with(&["--clones"]);
    if !can_clone(&cloud) {
        return;
    }
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| cloud.invoke("f", r#"{"wait":800}"#));
        }
    });
    let processes = descendants(cloud.pid());
    assert!(processes.len() >= 4, "a template, its clones and a plain instance: {processes:?}");
    cloud.kill_and_restart();
    eventually("they are gone", || !processes.iter().any(|pid| is_running(*pid)));
    assert_eq!(cloud.invoke("f", "{}").1["calls"], 1);
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
