"""Objects side by side in one run: Cumulet, durable, against ministack, moto's server, s3rver and s3s-fs as they are shipped. Put and
get of 4 KB, 1 MB and 100 MB at 1, 16 and 64 clients (100 MB: 1 and 16, so that those who hold objects in memory have room), a list of
very many keys, memory at its peak; then get of 100 MB beside nginx serving the file. Prints Markdown tables and the machine.

BENCH_SECONDS is how long each cell is measured, BENCH_KEYS how many keys are listed, BENCH_ONLY names one subject."""
import contextlib
import json
import os
import platform
import re
import shutil
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

import boto3
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import BotoCoreError, ClientError

from run import KEYS, ROOT, TARGET, server
from tables import Stuck, load, syncs_per_second

SECONDS = float(os.environ.get("BENCH_SECONDS", "5"))
LISTED = int(os.environ.get("BENCH_KEYS", "100000"))
SIZES = [("4 KB", 4096, [1, 16, 64]), ("1 MB", 2**20, [1, 16, 64]), ("100 MB", 100 * 2**20, [1, 16])]
# Who takes longer to make or list the keys is measured over as many as there are by then.
LISTING_SECONDS_MAX = 30
BUCKET = "bench-objects"
# Of a length that divides all sizes.
PIECE = "0123456789abcdef" * 4


# What s3rver takes, and nothing else.
S3RVER = "S3RVER"


def owner(endpoint):
    return S3RVER if endpoint.endswith(":4614") else "test"


def signed(endpoint, method, key, size=None):
    """A request as the SDKs send it over TLS: the body is not part of the signature."""
    path = f"/{BUCKET}/{key}"
    headers = {} if size is None else {"content-length": str(size)}
    request = AWSRequest(method, endpoint + path, headers=headers)
    signer = S3SigV4Auth(Credentials(owner(endpoint), owner(endpoint)), "s3", "us-east-1")
    signer.payload = lambda _: "UNSIGNED-PAYLOAD"
    signer.add_auth(request)
    line = {"headers": {n: v for n, v in request.headers.items() if n.lower() != "content-length"}, "path": path, "body": ""}
    if size is not None:
        line.update(body=PIECE, repeat=size // len(PIECE))
    return json.dumps(line)


def peak_mib(pid):
    """The most that a process and its children have held."""
    pids, total = [pid], 0
    while pids:
        one = pids.pop()
        with contextlib.suppress(OSError):
            total += int(re.search(r"VmHWM:\s+(\d+)", open(f"/proc/{one}/status").read()).group(1))
            pids += [int(p) for p in open(f"/proc/{one}/task/{one}/children").read().split()]
    return total / 1024


def client(endpoint):
    keys = {**KEYS, "aws_access_key_id": owner(endpoint), "aws_secret_access_key": owner(endpoint)}
    config = Config(s3={"addressing_style": "path"}, request_checksum_calculation="when_required", response_checksum_validation="when_required", read_timeout=60, retries={"total_max_attempts": 1})
    return boto3.client("s3", endpoint_url=endpoint, config=config, **keys)


def measure(name, endpoint, process, rows, facts, folder):
    s3 = client(endpoint)
    s3.create_bucket(Bucket=BUCKET)
    for size_name, size, all_clients in SIZES:
        for clients in all_clients:
            # Small ones are many, large ones one for each client, and two at least.
            keys = [f"{size}/{n}" for n in range(16 * max(clients, 16) if size < 2**20 else max(clients, 2))]
            lines = [signed(endpoint, "PUT", key, size) for key in keys]
            seconds = SECONDS if size < 2**25 else 2 * SECONDS
            rows.append((size_name, "put", clients, name, size, load(endpoint, clients, seconds, lines, folder, "PUT")))
            # Whatever the time left out is there too.
            load(endpoint, clients, 0, lines, folder, "PUT")
            gets = [signed(endpoint, "GET", key) for key in keys]
            rows.append((size_name, "get", clients, name, size, load(endpoint, clients, seconds, gets, folder, "GET")))
        facts.append((name, f"MiB at peak after {size_name}", f"{peak_mib(process.pid):.0f}"))
    checked = s3.get_object(Bucket=BUCKET, Key=f"{2**20}/0")["Body"].read()
    assert checked == PIECE.encode() * (2**20 // len(PIECE)), f"{name} lost what it was given"
    for _, size, _ in SIZES:
        page = s3.list_objects_v2(Bucket=BUCKET, Prefix=f"{size}/")
        for found in page.get("Contents", []):
            s3.delete_object(Bucket=BUCKET, Key=found["Key"])


def listing(name, endpoint, facts, folder):
    s3 = client(endpoint)
    began = time.monotonic()
    for start in range(0, LISTED, 10_000):
        lines = [signed(endpoint, "PUT", f"listed/{n:08}", 64) for n in range(start, min(start + 10_000, LISTED))]
        done = load(endpoint, 16, 0, lines, folder, "PUT")
        if time.monotonic() - began > LISTING_SECONDS_MAX:
            break
    there = start + len(lines)
    facts.append((name, "small objects put a second, 16 clients", f"{there / (time.monotonic() - began):.0f} ({done['errors']} errors)"))
    began, count = time.monotonic(), 0
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix="listed/"):
        count += len(page["Contents"])
        if time.monotonic() - began > LISTING_SECONDS_MAX:
            break
    facts.append((name, "keys listed a second, pages of 1000", f"{count / (time.monotonic() - began):.0f} ({count} of {there})"))


def nginx(folder):
    """A server of files as the distribution ships it, with one process for each processor."""
    files = os.path.join(folder, "files")
    os.makedirs(files)
    os.chmod(folder, 0o755)
    with open(os.path.join(files, "large"), "w") as file:
        for _ in range(100):
            file.write(PIECE * (2**20 // len(PIECE)))
    text = f"""worker_processes auto; pid {folder}/nginx.pid; error_log /dev/null; events {{ worker_connections 512; }}
http {{ access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000; client_body_temp_path {folder}/t1; proxy_temp_path {folder}/t2;
fastcgi_temp_path {folder}/t3; uwsgi_temp_path {folder}/t4; scgi_temp_path {folder}/t5;
server {{ listen 127.0.0.1:4616; root {files}; }} }}"""
    config = os.path.join(folder, "nginx.conf")
    with open(config, "w") as file:
        file.write(text)
    return [shutil.which("nginx") or "/usr/sbin/nginx", "-c", config, "-g", "daemon off;"]


def beside_nginx(cumulet, folder):
    """The same 100 MB from both, one after the other and again, so that neither has the better minute."""
    seen = {}
    with server(cumulet, {}, "http://127.0.0.1:4611/_cumulet/health"), server(nginx(folder), {}, "http://127.0.0.1:4616/large"):
        endpoint = "http://127.0.0.1:4611"
        s3 = client(endpoint)
        s3.create_bucket(Bucket=BUCKET)
        s3.put_object(Bucket=BUCKET, Key="large", Body=open(os.path.join(folder, "files", "large"), "rb"))
        get = [signed(endpoint, "GET", "large")]
        plain = [json.dumps({"headers": {}, "path": "/large", "body": ""})]
        for clients in (1, 4):
            for _ in range(3):
                for name, at, lines in (("cumulet", endpoint, get), ("nginx", "http://127.0.0.1:4616", plain)):
                    rate = load(at, clients, SECONDS, lines, folder, "GET")["per_second"]
                    seen[name, clients] = max(rate, seen.get((name, clients), 0))
    return seen


def main():
    folder = tempfile.mkdtemp(dir=os.environ.get("BENCH_DIR"))
    rows, facts = [], []
    bench = lambda program: os.path.join(ROOT, ".venv-bench", "bin", program)
    cumulet = [f"{TARGET}/cumulet", "up", "--listen", "127.0.0.1:4611", "--data-dir", folder + "/data"]
    for name in ("s3s", "s3rver"):
        os.makedirs(os.path.join(folder, name))
    subjects = [
        ("cumulet", cumulet, {}, 4611, "/_cumulet/health"),
        ("ministack", [bench("ministack")], {"GATEWAY_PORT": "4612", "BIND_HOST": "127.0.0.1"}, 4612, "/_ministack/health"),
        ("moto", [bench("moto_server"), "-H", "127.0.0.1", "-p", "4613"], {}, 4613, "/moto-api/"),
        ("s3rver", ["node", os.path.join(ROOT, "bench/node/node_modules/s3rver/bin/s3rver.js"), "-a", "127.0.0.1", "-p", "4614", "-d", folder + "/s3rver", "--silent"], {}, 4614, ""),
        ("s3s-fs", [os.path.join(ROOT, ".bench-s3s/bin/s3s-fs"), "--host", "127.0.0.1", "--port", "4615", "--access-key", "test", "--secret-key", "test", folder + "/s3s"], {}, 4615, ""),
    ]
    only = os.environ.get("BENCH_ONLY")
    begun = os.getloadavg()
    for name, argv, env, port, health in subjects:
        if only not in (None, name) or not shutil.which(argv[0]):
            continue
        endpoint = f"http://127.0.0.1:{port}"
        with answering(argv, env, endpoint + health) as process:
            # Whoever cannot go on is told of with what there is by then.
            for part in (lambda: measure(name, endpoint, process, rows, facts, folder), lambda: listing(name, endpoint, facts, folder)):
                try:
                    part()
                except (Stuck, BotoCoreError, ClientError, AssertionError) as error:
                    facts.append((name, "gave up", str(error)[:200]))
            facts.append((name, "MiB at peak, listing and all", f"{peak_mib(process.pid):.0f}"))
    cpu = re.search(r"model name\s*: (.*)", open("/proc/cpuinfo").read())
    machine = f"{os.cpu_count()} x {cpu.group(1) if cpu else platform.processor()}, Linux {platform.release()}"
    print(f"\nMachine: {machine}; {syncs_per_second(folder)} durable appends of 4 KiB a second; load {begun[0]:.1f} before, {os.getloadavg()[0]:.1f} after; {SECONDS} s a cell\n")
    print("| object | | clients | | per second | MB/s | p50 ms | p99 ms | errors |\n| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    order = [size for size, _, _ in SIZES]
    for size_name, kind, clients, name, size, r in sorted(rows, key=lambda row: (order.index(row[0]), row[1], row[2], row[3])):
        print(f"| {size_name} | {kind} | {clients} | {name} | {r['per_second']:.1f} | {r['per_second'] * size / 1e6:.0f} | {r['p50_us'] / 1000:.2f} | {r['p99_us'] / 1000:.2f} | {r['errors']} |")
    print("\n| | | |\n| --- | --- | --- |")
    for fact in sorted(facts, key=lambda fact: fact[1]):
        print("| " + " | ".join([fact[1], fact[0], fact[2]]) + " |")
    if only in (None, "cumulet"):
        print("\n| get of 100 MB, MB/s, best of three | clients | |\n| --- | --- | --- |")
        seen = beside_nginx(cumulet[:-1] + [folder + "/beside"], folder)
        for (name, clients), rate in sorted(seen.items(), key=lambda one: one[0][1]):
            print(f"| {name} | {clients} | {rate * 100 * 2**20 / 1e6:.0f} |")
    shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def answering(argv, env, url):
    """A server whose port answers, with whatever status."""
    process = subprocess.Popen(argv, env={**os.environ, **env}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    began = time.monotonic()
    try:
        while True:
            try:
                urllib.request.urlopen(url, timeout=1)
                break
            except urllib.error.HTTPError:
                break
            except OSError:
                pass
            if process.poll() is not None or time.monotonic() - began > 60:
                raise SystemExit(f"{argv[0]} did not start")
            time.sleep(0.01)
        yield process
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(20)
        process.kill()


if __name__ == "__main__":
    main()
