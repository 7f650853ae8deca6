"""Cumulet and ministack side by side in one run: warm invocations through Invoke and through an HTTP API, the first bytes of
streamed answers, start-up time and idle memory. Both serve the same functions on loopback; one after the other, so that neither has the other's load.
Prints a Markdown table and the machine's name."""
import contextlib
import http.client
import io
import json
import os
import platform
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
import zipfile

import boto3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
TARGET = os.path.join(os.environ.get("CARGO_TARGET_DIR", os.path.join(ROOT, "target")), "release")
SECONDS = float(os.environ.get("BENCH_SECONDS", "5"))
KEYS = {"aws_access_key_id": "test", "aws_secret_access_key": "test", "region_name": "us-east-1"}
NODE = "exports.handler = async () => ({ statusCode: 200, body: JSON.stringify([{ id: 1, name: 'Product A' }]) });"
PYTHON = "import json\ndef handler(event, context):\n    return {'statusCode': 200, 'body': json.dumps([{'id': 1, 'name': 'Product A'}])}\n"

# Its answer is whole only this long after it has begun.
STREAM_MS = 300
STREAM = f"""exports.handler = awslambda.streamifyResponse(async (event, stream) => {{
  stream.write('first;');
  await new Promise((resolve) => setTimeout(resolve, {STREAM_MS}));
  stream.end('last');
}});"""
STREAMS = 30


def versions():
    node = subprocess.check_output(["node", "-p", "process.versions.node"], text=True).strip()
    return f"nodejs{node.split('.')[0]}.x", f"python3.{sys.version_info.minor}"


def zipped(name, text):
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr(name, text)
    return data.getvalue()


def rss_mib(pid):
    """Resident memory of a process and its children."""
    pids, total = [pid], 0
    while pids:
        one = pids.pop()
        with contextlib.suppress(OSError):
            text = open(f"/proc/{one}/status").read()
            total += int(re.search(r"VmRSS:\s+(\d+)", text).group(1))
            pids += [int(p) for p in open(f"/proc/{one}/task/{one}/children").read().split()]
    return total / 1024


@contextlib.contextmanager
def server(argv, env, health):
    began = time.monotonic()
    process = subprocess.Popen(argv, env={**os.environ, **env}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while True:
            with contextlib.suppress(OSError):
                urllib.request.urlopen(health, timeout=1)
                break
            if process.poll() is not None or time.monotonic() - began > 60:
                raise SystemExit(f"{argv[0]} did not start")
            time.sleep(0.002)
        yield process, time.monotonic() - began
    finally:
        process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(20)
        process.kill()


def load(url, clients, method, body, headers):
    lines = [f"{name}: {value}" for name, value in headers.items()]
    out = subprocess.check_output([f"{TARGET}/cumulet-bench", url, str(clients), str(SECONDS), method, body, *lines], text=True)
    return json.loads(out)


def signed(url, body):
    request = AWSRequest("POST", url, data=body, headers={"content-type": "application/json"})
    SigV4Auth(Credentials("test", "test"), "lambda", "us-east-1").add_auth(request)
    return dict(request.headers.items())


def streamed(endpoint, method, path, body, headers):
    """Milliseconds to the first bytes that the function wrote, and to the last."""
    firsts, lasts = [], []
    for _ in range(1 + STREAMS):
        connection = http.client.HTTPConnection(endpoint.removeprefix("http://"), timeout=20)
        began = time.monotonic()
        connection.request(method, path, body, headers)
        answer, seen = connection.getresponse(), b""
        while piece := answer.read1(65536):
            if b"first;" in piece and b"first;" not in seen:
                firsts.append((time.monotonic() - began) * 1000)
            seen += piece
        lasts.append((time.monotonic() - began) * 1000)
        connection.close()
        if answer.status != 200 or b"last" not in seen:
            raise ValueError(f"{path} answered {answer.status} {seen[:200]!r}")
    # The first one may have found no instance yet.
    return statistics.median(firsts[1:]), max(firsts[1:]), statistics.median(lasts[1:])


def measure_streams(endpoint, name):
    lam = boto3.client("lambda", endpoint_url=endpoint, **KEYS)
    lam.create_function(FunctionName="bench-stream", Runtime=versions()[0], Handler="index.handler", Role="arn:aws:iam::000000000000:role/bench",
                        Code={"ZipFile": zipped("index.js", STREAM)}, MemorySize=512, Timeout=10)
    lam.get_waiter("function_active_v2").wait(FunctionName="bench-stream")
    address = lam.create_function_url_config(FunctionName="bench-stream", AuthType="NONE", InvokeMode="RESPONSE_STREAM")["FunctionUrl"]
    lam.add_permission(FunctionName="bench-stream", StatementId="url", Action="lambda:InvokeFunctionUrl", Principal="*", FunctionUrlAuthType="NONE")
    path = "/2021-11-15/functions/bench-stream/response-streaming-invocations"
    host = urllib.parse.urlsplit(address).hostname
    ways = [
        ("InvokeWithResponseStream", "POST", path, "{}", signed(endpoint + path, "{}")),
        ("function URL", "GET", "/", None, {"host": f"{host}:{endpoint.rsplit(':', 1)[1]}"}),
    ]
    for way, *request in ways:
        try:
            yield name, way, *(f"{ms:.1f}" for ms in streamed(endpoint, *request))
        except (OSError, ValueError, http.client.HTTPException, statistics.StatisticsError) as error:
            print(f"{name} does not stream through {way}: {error}", file=sys.stderr)
            yield name, way, "-", "-", "-"


def measure(endpoint, rows, name):
    lam = boto3.client("lambda", endpoint_url=endpoint, **KEYS)
    api = boto3.client("apigatewayv2", endpoint_url=endpoint, **KEYS)
    node, python = versions()
    for language, runtime, file, handler, text in (("Node", node, "index.js", "index.handler", NODE), ("Python", python, "app.py", "app.handler", PYTHON)):
        function = f"bench-{language.lower()}"
        arn = lam.create_function(FunctionName=function, Runtime=runtime, Handler=handler, Role="arn:aws:iam::000000000000:role/bench",
                                  Code={"ZipFile": zipped(file, text)}, MemorySize=512, Timeout=10)["FunctionArn"]
        lam.get_waiter("function_active_v2").wait(FunctionName=function)
        assert json.load(lam.invoke(FunctionName=function)["Payload"])["statusCode"] == 200
        made = api.create_api(Name=function, ProtocolType="HTTP")
        way = api.create_integration(ApiId=made["ApiId"], IntegrationType="AWS_PROXY", IntegrationUri=arn, PayloadFormatVersion="2.0")
        api.create_route(ApiId=made["ApiId"], RouteKey="$default", Target=f"integrations/{way['IntegrationId']}")
        api.create_stage(ApiId=made["ApiId"], StageName="$default", AutoDeploy=True)
        with contextlib.suppress(Exception):
            lam.add_permission(FunctionName=function, StatementId="api", Action="lambda:InvokeFunction", Principal="apigateway.amazonaws.com")
        host = f"{made['ApiId']}.execute-api.us-east-1.localhost:{endpoint.rsplit(':', 1)[1]}"
        if name == "ministack":
            host = f"{made['ApiId']}.execute-api.localhost:{endpoint.rsplit(':', 1)[1]}"
        for clients in (1, 16, 64):
            url = f"{endpoint}/2015-03-31/functions/{function}/invocations"
            load(url, clients, "POST", "{}", signed(url, "{}"))
            rows.append((name, language, "Invoke", clients, load(url, clients, "POST", "{}", signed(url, "{}"))))
            load(f"{endpoint}/", clients, "GET", "", {"host": host})
            rows.append((name, language, "HTTP API", clients, load(f"{endpoint}/", clients, "GET", "", {"host": host})))


def main():
    rows, facts, streams = [], [], []
    data = tempfile.mkdtemp()
    ministack = os.path.join(ROOT, ".venv-bench", "bin", "ministack")
    subjects = [
        ("cumulet", [f"{TARGET}/cumulet", "up", "--listen", "127.0.0.1:4581", "--data-dir", data], {}, "http://127.0.0.1:4581", "/_cumulet/health"),
        ("ministack", [ministack], {"GATEWAY_PORT": "4582", "BIND_HOST": "127.0.0.1"}, "http://127.0.0.1:4582", "/_ministack/health"),
    ]
    for name, argv, env, endpoint, health in subjects:
        with server(argv, env, endpoint + health) as (process, seconds):
            time.sleep(1)
            facts.append((name, seconds * 1000, rss_mib(process.pid)))
            streams += measure_streams(endpoint, name)
            measure(endpoint, rows, name)
    shutil.rmtree(data, ignore_errors=True)
    cpu = re.search(r"model name\s*: (.*)", open("/proc/cpuinfo").read())
    print(f"\nMachine: {os.cpu_count()} x {cpu.group(1) if cpu else platform.processor()}, Linux {platform.release()}; {SECONDS} s a cell, after a warm-up of the same length\n")
    print("| | ready after ms | idle MiB |\n| --- | --- | --- |")
    for name, ms, mib in facts:
        print(f"| {name} | {ms:.0f} | {mib:.0f} |")
    print("\n| function | way | clients | | per second | p50 ms | p99 ms | errors |\n| --- | --- | --- | --- | --- | --- | --- | --- |")
    for name, language, way, clients, r in sorted(rows, key=lambda r: (r[1], r[2], r[3], r[0])):
        print(f"| {language} | {way} | {clients} | {name} | {r['per_second']:.0f} | {r['p50_us'] / 1000:.2f} | {r['p99_us'] / 1000:.2f} | {r['errors']} |")
    print(f"\nAn answer that begins at once and ends {STREAM_MS} ms later, {STREAMS} times:\n")
    print("| way | | first bytes after ms | at most | last bytes after ms |\n| --- | --- | --- | --- | --- |")
    for name, way, *figures in sorted(streams, key=lambda row: (row[1], row[0])):
        print(f"| {way} | {name} | {' | '.join(figures)} |")


if __name__ == "__main__":
    main()
