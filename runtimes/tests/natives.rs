//! Libraries with code and threads of their own, in clones that were made after they had been at work. They are the tests'
//! clients' (`scripts/setup --test`); says so where they are missing.
#![allow(clippy::unwrap_used)]

mod clone_lab;

use std::path::{Path, PathBuf};
use std::process::Command;

use clone_lab::{Lab, ask, lab, node, python};
use cumulet_engine::function::Runtime;
use cumulet_engine::policy::Birth;

/// A function that finds these in `into`, a folder of its code.
fn with(runtime: Runtime, file: &str, code: &str, from: &Path, names: &[&str], into: &str) -> Option<Lab> {
    let paths: Vec<PathBuf> = names.iter().map(|name| from.join(name)).collect();
    if let Some(missing) = paths.iter().find(|path| !path.exists()) {
        eprintln!("skipped: `{}` is not installed", missing.display());
        return None;
    }
    let lab = lab(runtime, file, code)?;
    let folder = lab.code_dir().join(into);
    std::fs::create_dir_all(&folder).unwrap();
    assert!(Command::new("cp").arg("-r").args(&paths).arg(&folder).status().unwrap().success());
    Some(lab)
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// In several at once, each twice.
async fn works(lab: Lab, events: &[&str]) {
    assert_eq!(lab.settled().await, "cloned");
    let mut instances = Vec::new();
    for _ in 0..3 {
        let mut instance = lab.start("s").await;
        assert_eq!(instance.birth(), Birth::Clone);
        for event in events.iter().chain(events) {
            assert_eq!(ask(&mut instance, &format!("{event:?}")).await, "ok", "{event}");
        }
        instances.push(instance);
    }
    for instance in instances {
        instance.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sharp_works_in_clones() {
    let code = r#"
const sharp = require('sharp');
const image = () => sharp({ create: { width: 640, height: 480, channels: 3, background: { r: 9, g: 8, b: 7 } } });
const ready = image().png().toBuffer();
exports.handler = async () => {
  const source = await ready;
  const all = await Promise.all([...Array(8).keys()].map((i) => sharp(source).resize(100 + i).jpeg().toBuffer()));
  const widths = await Promise.all(all.map(async (bytes) => (await sharp(bytes).metadata()).width));
  return widths.every((width, i) => width === 100 + i) ? 'ok' : widths;
};"#;
    let modules = root().join("tests/clients/node/node_modules");
    let names = ["sharp", "@img", "detect-libc", "semver"];
    let Some(lab) = with(node(), "index.js", code, &modules, &names, "node_modules") else { return };
    works(lab, &["resize"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn numpy_and_boto3_work_in_clones() {
    let code = r#"
import concurrent.futures, multiprocessing, threading
import boto3, numpy
from http.server import BaseHTTPRequestHandler, HTTPServer
numbers = numpy.random.default_rng(1).random((300, 300))
inverse = numpy.linalg.inv(numbers)
s3 = boto3.client("s3", region_name="us-east-1", aws_access_key_id="a", aws_secret_access_key="b")
def square(n): return n * n
def arrays():
    assert numpy.allclose(numbers @ inverse, numpy.eye(300))
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        assert all(pool.map(lambda _: numpy.allclose(numbers @ numpy.linalg.inv(numbers), numpy.eye(300)), range(8)))
def client():
    class Answer(BaseHTTPRequestHandler):
        def do_GET(self):
            body = b"<ListAllMyBucketsResult><Buckets><Bucket><Name>one</Name></Bucket></Buckets></ListAllMyBucketsResult>"
            self.send_response(200); self.send_header("content-length", str(len(body))); self.end_headers(); self.wfile.write(body)
        def log_message(self, *args): pass
    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        mine = boto3.client("s3", region_name="us-east-1", aws_access_key_id="a", aws_secret_access_key="b",
                            endpoint_url=f"http://127.0.0.1:{server.server_port}")
        assert [bucket["Name"] for bucket in mine.list_buckets()["Buckets"]] == ["one"]
        server.shutdown()
    assert s3.generate_presigned_url("get_object", Params={"Bucket": "b", "Key": "k"}).startswith("https://")
def processes():
    # As on Lambda, where there is no /dev/shm for pools and queues: pipes and processes.
    ours, theirs = multiprocessing.Pipe()
    child = multiprocessing.Process(target=lambda: theirs.send(square(7)))
    child.start(); found = ours.recv(); child.join()
    assert found == 49 and child.exitcode == 0
def handler(event, context):
    globals()[event]()
    return "ok""#;
    let packages = root().join(".venv/lib").join(format!("python3.{}", minor())).join("site-packages");
    let names = ["numpy", "numpy.libs", "boto3", "botocore", "jmespath", "s3transfer", "dateutil", "six.py", "urllib3"];
    let Some(lab) = with(python(), "index.py", code, &packages, &names, "") else { return };
    works(lab, &["arrays", "client", "processes"]).await;
}

fn minor() -> u16 {
    let Runtime::Python { minor } = python() else { unreachable!("it is Python's") };
    minor
}
