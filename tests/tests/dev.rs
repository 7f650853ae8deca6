//! `cumulet dev`: a folder that is deployed as often as it changes, and a debugger at its function.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use cumulet_tests::{Cloud, eventually, output, program, root, succeed};
use serde_json::Value;

/// A function that is held in its handler by a debugger, and its answer.
fn held(dev: &Dev, cloud: &Cloud, mut debugger: Command) -> Value {
    let said = dev.wait_for("where it waits", |said| said.get("inspect").is_some());
    let address = said["address"].as_str().expect("an address");
    let debugger = debugger.args([address, "1"]).stdout(Stdio::piped()).spawn().expect("starting the debugger");
    let (meta, answer) = cloud.invoke("held", r#"{"n":21}"#);
    assert_eq!((meta.get("FunctionError"), &answer), (None, &serde_json::json!(21)));
    let ended = debugger.wait_with_output().expect("the debugger ends");
    serde_json::from_slice(&ended.stdout).unwrap_or_default()
}

fn template(folder: &std::path::Path, runtime: &str, handler: &str) {
    let properties = serde_json::json!({
        "CodeUri": ".", "Handler": handler, "Runtime": runtime, "Timeout": 1, "FunctionName": "held",
    });
    let resources = serde_json::json!({ "Held": { "Type": "AWS::Serverless::Function", "Properties": properties } });
    let template = serde_json::json!({ "Transform": "AWS::Serverless-2016-10-31", "Resources": resources });
    write(folder, "template.json", &template.to_string());
}

/// A running `cumulet dev`, and what it says. Killed when dropped.
struct Dev {
    child: Child,
    said: Receiver<Value>,
}

impl Dev {
    fn start(cloud: &Cloud, arguments: &[&str]) -> Dev {
        let mut command = cloud.command(program());
        command.args(["--output", "json", "dev"]).args(arguments);
        let mut child = command.stdout(Stdio::piped()).spawn().expect("starting cumulet dev");
        let stdout = child.stdout.take().expect("its standard output is piped");
        let (sender, said) = channel();
        std::thread::spawn(move || {
            // What a deployment prints has several lines and is not looked at.
            let lines = BufReader::new(stdout).lines().map_while(Result::ok);
            for value in lines.filter_map(|line| serde_json::from_str(&line).ok()) {
                if sender.send(value).is_err() {
                    return;
                }
            }
        });
        Dev { child, said }
    }

    /// Waits until it says something of this kind.
    fn wait_for(&self, what: &str, is_it: impl Fn(&Value) -> bool) -> Value {
        loop {
            let said = self.said.recv_timeout(Duration::from_secs(30));
            let said = said.unwrap_or_else(|_| panic!("it never said: {what}"));
            if is_it(&said) {
                return said;
            }
        }
    }

    fn end(&mut self) {
        succeed(Command::new("kill").args(["-INT", &self.child.id().to_string()]));
        let mut status = None;
        eventually("it ends", || {
            status = self.child.try_wait().expect("waiting for it");
            status.is_some()
        });
        assert!(status.is_some_and(|status| status.success()));
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        // It may have ended already, which is what is wanted.
        let _ended_already = self.child.kill();
        let _ended_already = self.child.wait();
    }
}

fn write(folder: &std::path::Path, name: &str, text: &str) {
    std::fs::File::create(folder.join(name)).and_then(|mut file| file.write_all(text.as_bytes())).expect("a file");
}

fn handler(body: &str) -> String {
    format!("exports.handler = async (event) => {{ {body} }};\n")
}

#[test]
fn a_folder_is_deployed_when_it_changes() {
    let cloud = Cloud::start();
    let folder = tempfile::Builder::new().prefix("looped").tempdir().expect("a folder");
    write(folder.path(), "index.js", &handler("console.log('first'); return 1;"));
    let path = folder.path().to_string_lossy().into_owned();
    let mut dev = Dev::start(&cloud, &[&path, "--stack", "looped"]);
    dev.wait_for("it watches", |said| said.get("watching").is_some());
    let function = cloud.aws(&["lambda", "list-functions"])["Functions"][0]["FunctionName"].clone();
    let function = function.as_str().expect("a function");
    assert_eq!(cloud.invoke(function, "{}").1, 1);
    dev.wait_for("what the function printed", |said| {
        said["event"]["message"].as_str().is_some_and(|line| line.contains("first"))
    });
    // A new folder in it is watched, too; and a mistake ends nothing.
    std::fs::create_dir(folder.path().join("lib")).expect("a folder");
    write(folder.path(), "lib/two.js", "module.exports = 2;");
    dev.wait_for("it is deployed", |said| said.get("deployed").is_some());
    write(folder.path(), "index.js", &handler("return require('./lib/two');"));
    dev.wait_for("it is deployed again", |said| said["tookMs"].is_u64());
    assert_eq!(cloud.invoke(function, "{}").1, 2);
    write(folder.path(), "lib/two.js", "module.exports = 3;");
    dev.wait_for("it is deployed for a file in a folder", |said| said.get("deployed").is_some());
    assert_eq!(cloud.invoke(function, "{}").1, 3);
    dev.end();
}

#[test]
fn a_debugger_holds_the_function_beyond_its_timeout() {
    let cloud = Cloud::start();
    let folder = tempfile::Builder::new().prefix("inspected").tempdir().expect("a folder");
    write(folder.path(), "index.js", "exports.handler = async function held(event) { debugger; return event.n; };\n");
    template(folder.path(), &cumulet_tests::node_runtime(), "index.handler");
    let path = folder.path().to_string_lossy().into_owned();
    let mut dev = Dev::start(&cloud, &[&path, "--stack", "inspected", "--inspect", "0"]);
    let clients = root().join("tests/clients/node");
    let mut debugger = Command::new(clients.join("node_modules/node-22/bin/node"));
    debugger.arg("inspect.mjs").current_dir(&clients);
    let seen = held(&dev, &cloud, debugger);
    assert_eq!((&seen["function"], &seen["doubled"]), (&"held".into(), &42.into()), "{seen}");
    dev.end();
    // Nobody looks any more: the timeout holds again.
    write(folder.path(), "index.js", "exports.handler = async () => new Promise((r) => setTimeout(r, 5000));\n");
    let deployed = output(cloud.command(program()).args(["deploy", &path, "--stack", "inspected"]));
    assert!(deployed.status.success(), "{}", String::from_utf8_lossy(&deployed.stderr));
    assert_eq!(cloud.invoke("held", "{}").1["errorType"], "Sandbox.Timedout");
}

#[test]
fn debugpy_holds_a_function_in_python() {
    let cloud = Cloud::start();
    let folder = tempfile::Builder::new().prefix("inspected").tempdir().expect("a folder");
    write(folder.path(), "app.py", "def handler(event, context):\n    return event['n']\n");
    template(folder.path(), &cumulet_tests::python_runtime(), "app.handler");
    let packages = root().join("tests/clients/functions/python/debugpy");
    succeed(Command::new("cp").arg("-r").arg(packages).arg(folder.path()));
    let path = folder.path().to_string_lossy().into_owned();
    let mut dev = Dev::start(&cloud, &[&path, "--stack", "inspected", "--inspect", "0"]);
    let mut debugger = Command::new("python3");
    debugger.arg(root().join("tests/clients/debugger.py"));
    let seen = held(&dev, &cloud, debugger);
    assert_eq!((&seen["function"], &seen["doubled"]), (&"handler".into(), &"42".into()), "{seen}");
    dev.end();
}
