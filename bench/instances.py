"""Instances in one run: cold starts of clones beside plain starts, plain interpreters, ministack and crun; bursts and memory; the
warm way beside the HTTP Runtime API, a raw Node.js server, workerd and Google's functions framework; many deployed functions.
Prints Markdown tables, the machine and its load. Needs root for clones; what is not installed is left out and said so."""
import contextlib
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time

import boto3

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from run import KEYS, NODE, ROOT, SECONDS, TARGET, load, server, signed, versions, zipped

COUNT = int(os.environ.get("BENCH_CALLS", "200"))
FUNCTIONS = int(os.environ.get("BENCH_FUNCTIONS", "1000"))
PACKAGES = os.path.join(ROOT, "bench", "node")
FUNCTIONS_DIR = os.path.join(ROOT, "bench", "functions")
SDK = """const { S3Client } = require('@aws-sdk/client-s3');
const { DynamoDBClient } = require('@aws-sdk/client-dynamodb');
const s3 = new S3Client({}), tables = new DynamoDBClient({});
exports.handler = async (event) => event;
"""
BOTO3 = "import boto3\ns3 = boto3.client('s3', region_name='us-east-1')\ntables = boto3.client('dynamodb', region_name='us-east-1')\n\n\ndef handler(event, context):\n    return event\n"
RUNTIME_API = """#!/usr/bin/env node
const http = require('http');
const agent = new http.Agent({ keepAlive: true });
const [host, port] = process.env.AWS_LAMBDA_RUNTIME_API.split(':');
const call = (method, path, body) => new Promise((resolve, reject) => {
  const request = http.request({ host, port, method, path, agent }, (response) => {
    const pieces = [];
    response.on('data', (piece) => pieces.push(piece));
    response.on('end', () => resolve([response.headers, Buffer.concat(pieces)]));
  });
  request.on('error', reject);
  request.end(body);
});
(async () => {
  for (;;) {
    const [headers, event] = await call('GET', '/2018-06-01/runtime/invocation/next');
    const id = headers['lambda-runtime-aws-request-id'];
    await call('POST', `/2018-06-01/runtime/invocation/${id}/response`, JSON.stringify(JSON.parse(event)));
  }
})();
"""


def say(text=""):
    print(text, flush=True)


def table(head, rows):
    say("| " + " | ".join(head) + " |")
    say("| " + " | ".join("---" if i == 0 else "---:" for i in range(len(head))) + " |")
    for row in rows:
        say("| " + " | ".join(str(cell) for cell in row) + " |")
    say()


def quantiles(values):
    values = sorted(values)
    return values[0], statistics.median(values), values[min(len(values) - 1, int(len(values) * 0.99))]


def ms(values):
    return [f"{value:.2f}" for value in values]


def instances(what, runtime, folder, kind, count):
    argv = [f"{TARGET}/cumulet-bench-instances", what, runtime, folder, kind, str(count)]
    ran = subprocess.run(argv, capture_output=True, text=True)
    if ran.returncode != 0:
        say(f"({what} {runtime} {kind}: {ran.stderr.strip().splitlines()[-1] if ran.stderr else 'failed'})")
        return None
    return json.loads(ran.stdout)


def plain(argv, cwd=None):
    """From the start of the interpreter to the first byte that it writes."""
    times = []
    # Certificates to be read at each start would double it.
    env = {name: value for name, value in os.environ.items() if name != "NODE_EXTRA_CA_CERTS"}
    for _ in range(max(10, COUNT // 10)):
        began = time.perf_counter()
        process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=cwd, env=env)
        process.stdout.read(1)
        times.append((time.perf_counter() - began) * 1000)
        process.kill()
        process.wait()
    return quantiles(times)


def crun():
    """A container with the host's files, from `run` to its first byte; without control groups, which it may refuse."""
    if not shutil.which("crun"):
        return None
    with tempfile.TemporaryDirectory() as bundle:
        os.makedirs(f"{bundle}/rootfs")
        subprocess.run(["crun", "spec"], cwd=bundle, check=True)
        config = json.load(open(f"{bundle}/config.json"))
        node = shutil.which("node")
        config["process"].update(terminal=False, args=[node, "-e", "process.stdout.write('1')"])
        config["root"]["readonly"] = True
        config["linux"].pop("resources", None)
        config["linux"]["namespaces"] = [n for n in config["linux"]["namespaces"] if n["type"] != "cgroup"]
        config["mounts"] = [m for m in config["mounts"] if m["type"] != "cgroup"]
        for folder in ("/usr", "/bin", "/lib", "/lib64", "/etc"):
            if os.path.exists(folder):
                os.makedirs(f"{bundle}/rootfs{folder}", exist_ok=True)
                config["mounts"].append({"destination": folder, "type": "bind", "source": os.path.realpath(folder), "options": ["rbind", "ro"]})
        for mount in config["mounts"]:
            os.makedirs(f"{bundle}/rootfs{mount['destination']}", exist_ok=True)
        json.dump(config, open(f"{bundle}/config.json", "w"))
        times = []
        for turn in range(20):
            began = time.perf_counter()
            ran = subprocess.Popen(["crun", "--cgroup-manager=disabled", "run", "-b", bundle, f"cumulet-bench-{os.getpid()}-{turn}"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            first = ran.stdout.read(1)
            times.append((time.perf_counter() - began) * 1000)
            _, complaint = ran.communicate()
            if first != b"1":
                say(f"(crun: {complaint.decode().strip()[:200]})")
                return None
        return quantiles(times)


def first_calls(endpoint, runtime, count):
    """Invoke of functions that were never called, client's round trip."""
    lam = boto3.client("lambda", endpoint_url=endpoint, **KEYS)
    times = []
    for index in range(count):
        name = f"first{index}"
        lam.create_function(FunctionName=name, Runtime=runtime, Handler="index.handler", Role="arn:aws:iam::000000000000:role/bench",
                            Code={"ZipFile": zipped("index.js", NODE)}, MemorySize=256, Timeout=30)
        lam.get_waiter("function_active_v2").wait(FunctionName=name)
        time.sleep(0.5)
        began = time.perf_counter()
        lam.invoke(FunctionName=name)["Payload"].read()
        times.append((time.perf_counter() - began) * 1000)
    return quantiles(times)


@contextlib.contextmanager
def cumulet(*options):
    with tempfile.TemporaryDirectory() as data:
        argv = [f"{TARGET}/cumulet", "up", "--listen", "127.0.0.1:4583", "--data-dir", data, "--network", "none", *options]
        with server(argv, {}, "http://127.0.0.1:4583/_cumulet/health") as (process, _):
            yield "http://127.0.0.1:4583", process


def cold_starts(node, python):
    hello, hello_python = os.path.join(FUNCTIONS_DIR, "hello"), os.path.join(FUNCTIONS_DIR, "hello-python")
    rows = []
    # The program itself, not a script that looks for it.
    python3 = subprocess.check_output(["python3", "-c", "import sys; print(sys.executable)"], text=True).strip()
    with tempfile.TemporaryDirectory() as scratch:
        os.chmod(scratch, 0o755)
        sdk, boto = os.path.join(scratch, "sdk"), os.path.join(scratch, "boto3")
        folders = [("Node.js hello", node, hello, ["node", "-e", "process.stdout.write('1')"], None), ("Python bare", python, hello_python, [python3, "-c", "print(1, flush=True)"], None)]
        if os.path.isdir(os.path.join(PACKAGES, "node_modules", "@aws-sdk")):
            shutil.copytree(os.path.join(PACKAGES, "node_modules"), os.path.join(sdk, "node_modules"), symlinks=True, ignore=shutil.ignore_patterns("workerd*", "@cloudflare", "googleapis"))
            open(os.path.join(sdk, "index.js"), "w").write(SDK)
            folders.append(("Node.js with the SDK (S3, DynamoDB)", node, sdk, ["node", "-e", "require('./index.js'); process.stdout.write('1')"], sdk))
        os.makedirs(boto)
        subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--target", boto, "boto3"], check=True, stderr=subprocess.DEVNULL)
        open(os.path.join(boto, "index.py"), "w").write(BOTO3)
        folders.append(("Python with boto3 (S3, DynamoDB)", python, boto, [python3, "-c", "import index; print(1, flush=True)"], boto))
        for label, runtime, folder, argv, cwd in folders:
            alone = plain(argv, cwd)
            rows.append([label, "interpreter alone, no sandbox", *ms(alone), "1.0"])
            for kind, words in (("on", "clone of the initialised function"), ("alone", "the same, none made ahead"), ("runtime", "clone of the booted runtime"), ("start", "plain start")):
                found = instances("cold", runtime, folder, kind, COUNT if kind != "start" else max(20, COUNT // 5))
                if found:
                    values = [found["min_us"] / 1000, found["p50_us"] / 1000, found["p99_us"] / 1000]
                    rows.append([label, words, *ms(values), f"{alone[1] / values[1]:.1f}"])
        contained = crun()
        if contained:
            rows.append(["Node.js hello", "crun, no control group", *ms(contained), ""])
        say("From the demand to the first byte of the answer, sandbox included; no front door:\n")
        table(["function", "way", "min ms", "median ms", "p99 ms", "times faster than the interpreter alone"], rows)
        rows = []
        for label, runtime, folder, *_ in folders:
            found = instances("burst", runtime, folder, "on", 200)
            if found:
                rows.append([label, f"{found['per_second']:.0f}", ms([found["p50_us"] / 1000])[0], f"{found['private_bytes_each'] / 1e6:.2f}"])
        say("200 instances demanded at once, all clones of one template, and what each holds privately:\n")
        table(["function", "per second", "median ms", "private MB each"], rows)


def first(node):
    rows = []
    with cumulet() as (endpoint, _):
        rows.append(["cumulet, template made at deployment", *ms(first_calls(endpoint, node, 12))])
    with cumulet("--clones", "off") as (endpoint, _):
        rows.append(["cumulet, plain start", *ms(first_calls(endpoint, node, 12))])
    ministack = os.path.join(ROOT, ".venv-bench", "bin", "ministack")
    if os.path.exists(ministack):
        with server([ministack], {"GATEWAY_PORT": "4584", "BIND_HOST": "127.0.0.1"}, "http://127.0.0.1:4584/_ministack/health"):
            rows.append(["ministack", *ms(first_calls("http://127.0.0.1:4584", node, 12))])
    say("The first `Invoke` of a deployed Node.js function, boto3's round trip:\n")
    table(["", "min ms", "median ms", "p99 ms"], rows)


def round_trips(node, python):
    rows = []
    hello, hello_python = os.path.join(FUNCTIONS_DIR, "hello"), os.path.join(FUNCTIONS_DIR, "hello-python")
    with tempfile.TemporaryDirectory() as scratch:
        os.chmod(scratch, 0o755)
        path = os.path.join(scratch, "bootstrap")
        open(path, "w").write(RUNTIME_API)
        os.chmod(path, 0o755)
        for label, runtime, folder in (("Node.js, frames", node, hello), ("Python, frames", python, hello_python), ("Node.js, HTTP Runtime API", "provided.al2023", scratch)):
            found = instances("warm", runtime, folder, "start", 20000)
            if found:
                rows.append([label, found["min_us"], found["p50_us"], found["p99_us"]])
    say("Host to handler and back, 1 KB:\n")
    table(["", "min us", "median us", "p99 us"], rows)


WORKERD = """using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [(name = "main", worker = (modules = [(name = "worker", esModule =
    "export default { async fetch(request) { await request.text(); return Response.json([{ id: 1, name: 'Product A' }]); } }")],
    compatibilityDate = "2025-01-01"))],
  sockets = [(name = "http", address = "127.0.0.1:%d", http = (), service = "main")]);
"""
RAW = "require('http').createServer((q, a) => { q.resume(); q.on('end', () => { a.setHeader('content-type', 'application/json'); a.end(JSON.stringify([{ id: 1, name: 'Product A' }])); }); }).listen(%d, '127.0.0.1');"
FRAMEWORK = "exports.handler = (request, response) => response.json([{ id: 1, name: 'Product A' }]);"


def warm_front(node):
    rows = []

    def cell(label, url, headers, body="{}"):
        for clients in (1, 64):
            load(url, clients, "POST", body, headers)
            found = load(url, clients, "POST", body, headers)
            rows.append([label, clients, f"{found['per_second']:.0f}", f"{found['p50_us'] / 1000:.3f}", f"{found['p99_us'] / 1000:.2f}", found["errors"]])

    with tempfile.TemporaryDirectory() as scratch:
        with server(["node", "-e", RAW % 4585], {}, "http://127.0.0.1:4585/"):
            cell("raw Node.js http server", "http://127.0.0.1:4585/", {"content-type": "application/json"})
        binaries = os.path.join(PACKAGES, "node_modules", ".bin")
        if os.path.exists(f"{binaries}/workerd"):
            config = os.path.join(scratch, "config.capnp")
            open(config, "w").write(WORKERD % 4586)
            with server([f"{binaries}/workerd", "serve", config], {}, "http://127.0.0.1:4586/"):
                cell("workerd, one thread", "http://127.0.0.1:4586/", {"content-type": "application/json"})
        if os.path.exists(f"{binaries}/functions-framework"):
            open(os.path.join(scratch, "index.js"), "w").write(FRAMEWORK)
            argv = [f"{binaries}/functions-framework", "--target=handler", f"--source={scratch}", "--port=4587", "--host=127.0.0.1"]
            with server(argv, {}, "http://127.0.0.1:4587/"):
                cell("functions-framework", "http://127.0.0.1:4587/", {"content-type": "application/json"})
        with cumulet() as (endpoint, _):
            lam = boto3.client("lambda", endpoint_url=endpoint, **KEYS)
            for name, label, count in (("f", "one event at a time", 1), ("shared", "up to 64 at a time", 64)):
                lam.create_function(FunctionName=name, Runtime=node, Handler="index.handler", Role="arn:aws:iam::000000000000:role/bench",
                                    Code={"ZipFile": zipped("index.js", NODE)}, MemorySize=512, Timeout=10,
                                    Environment={"Variables": {"CUMULET_INSTANCE_CONCURRENCY": str(count)}})
                lam.invoke(FunctionName=name)["Payload"].read()
                time.sleep(2)
                url = f"{endpoint}/2015-03-31/functions/{name}/invocations"
                cell(f"cumulet, Invoke, {label} in an instance", url, signed(url, "{}"))
    say("Warm, through the front door; the load on the same processors:\n")
    table(["", "clients", "per second", "p50 ms", "p99 ms", "errors"], rows)


def tree(pid):
    """Processor seconds and proportional memory of a process and all below it."""
    pids, cpu, memory, count = [pid], 0.0, 0, 0
    while pids:
        one = pids.pop()
        with contextlib.suppress(OSError, AttributeError):
            fields = open(f"/proc/{one}/stat").read().rsplit(")", 1)[1].split()
            cpu += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
            memory += int(re.search(r"Pss:\s+(\d+)", open(f"/proc/{one}/smaps_rollup").read()).group(1))
            count += 1
        for task in os.listdir(f"/proc/{one}/task") if os.path.isdir(f"/proc/{one}/task") else []:
            with contextlib.suppress(OSError):
                pids += [int(p) for p in open(f"/proc/{one}/task/{task}/children").read().split()]
    return cpu, memory / 1024, count


def many(node):
    with cumulet() as (endpoint, process):
        lam = boto3.client("lambda", endpoint_url=endpoint, **KEYS)
        archive = zipped("index.js", NODE)
        began = time.monotonic()
        for index in range(FUNCTIONS):
            lam.create_function(FunctionName=f"f{index}", Runtime=node, Handler="index.handler", Role="arn:aws:iam::000000000000:role/bench",
                                Code={"ZipFile": archive}, MemorySize=128, Timeout=30)
        deployed = time.monotonic() - began
        times, errors = [], []
        clients = [boto3.client("lambda", endpoint_url=endpoint, **KEYS) for _ in range(8)]

        def call(client, index):
            began = time.perf_counter()
            try:
                client.invoke(FunctionName=f"f{index}")["Payload"].read()
                times.append((time.perf_counter() - began) * 1000)
            except Exception as error:  # What went wrong is counted, and told.
                errors.append(str(error))

        def minute(worker):
            began = time.monotonic()
            mine = range(worker, FUNCTIONS, len(clients))
            for turn, index in enumerate(mine):
                due = began + 60 * turn / len(mine)
                time.sleep(max(0, due - time.monotonic()))
                call(clients[worker], index)

        def all_minutes():
            workers = [threading.Thread(target=minute, args=(worker,)) for worker in range(len(clients))]
            for worker in workers:
                worker.start()
            for worker in workers:
                worker.join()

        all_minutes()
        times.clear()
        before, began = tree(process.pid)[0], time.monotonic()
        all_minutes()
        seconds = time.monotonic() - began
        cpu, memory, processes = tree(process.pid)
        say(f"{FUNCTIONS} functions deployed ({deployed:.0f} s), each called once a minute; the second minute:\n")
        table(["calls", "errors", "median ms", "p99 ms", "processors", "memory MiB", "processes"],
              [[len(times), len(errors), *ms(quantiles(times)[1:]), f"{(cpu - before) / seconds:.2f}", f"{memory:.0f}", processes]])
        for error in sorted(set(errors))[:3]:
            say(f"({error})")


def main():
    node, python = versions()
    python = "python3." + subprocess.check_output(["python3", "-c", "import sys; print(sys.version_info[1])"], text=True).strip()
    cpu = re.search(r"model name\s*: (.*)", open("/proc/cpuinfo").read())
    say(f"{os.cpu_count()} x {cpu.group(1) if cpu else '?'}, Linux {os.uname().release}, load {os.getloadavg()[0]:.1f}; {SECONDS} s a cell\n")
    parts = {"cold": lambda: cold_starts(node, python), "first": lambda: first(node), "round-trips": lambda: round_trips(node, python),
             "warm": lambda: warm_front(node), "many": lambda: many(node)}
    for part in sys.argv[1:] or parts:
        parts[part]()
    say(f"load at the end {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
