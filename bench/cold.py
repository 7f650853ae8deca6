"""Cold starts: the same function called again and again where every call needs a new instance, with clones and without,
beside a plain start of the interpreter. Prints a Markdown table and the machine's name. Needs root for clones."""
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time

import boto3
from botocore.config import Config

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from run import KEYS, NODE, PYTHON, TARGET, server, versions, zipped

CALLS = int(os.environ.get("BENCH_CALLS", "200"))
PORT = 4577
LOG = re.compile(r"Init Duration: ([\d.]+) ms")


def quantiles(values):
    values = sorted(values)
    return values[0], statistics.median(values), values[min(len(values) - 1, int(len(values) * 0.99))]


def plain(argv):
    times = []
    for _ in range(min(CALLS, 30)):
        began = time.perf_counter()
        subprocess.run(argv, check=True, stdout=subprocess.DEVNULL)
        times.append((time.perf_counter() - began) * 1000)
    return times


def calls(clones, runtime, handler, name, text):
    import base64

    options = ["--clones"] if clones else []
    with tempfile.TemporaryDirectory() as data:
        argv = [f"{TARGET}/cumulet", "up", "--listen", f"127.0.0.1:{PORT}", "--data-dir", data, "--idle-seconds", "0", *options]
        with server(argv, {}, f"http://127.0.0.1:{PORT}/_cumulet/health"):
            config = Config(retries={"max_attempts": 0})
            client = boto3.client("lambda", endpoint_url=f"http://127.0.0.1:{PORT}", config=config, **KEYS)
            iam = boto3.client("iam", endpoint_url=f"http://127.0.0.1:{PORT}", **KEYS)
            role = iam.create_role(RoleName="r", AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [
                {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}]}))["Role"]["Arn"]
            client.create_function(FunctionName="f", Runtime=runtime, Role=role, Handler=handler, MemorySize=256,
                                   Code={"ZipFile": zipped(name, text)})
            client.get_waiter("function_active_v2").wait(FunctionName="f")
            for _ in range(3):
                client.invoke(FunctionName="f")
                time.sleep(2)
            round_trips, inits = [], []
            for _ in range(CALLS):
                began = time.perf_counter()
                answer = client.invoke(FunctionName="f", LogType="Tail")
                round_trips.append((time.perf_counter() - began) * 1000)
                answer["Payload"].read()
                found = LOG.search(base64.b64decode(answer["LogResult"]).decode())
                if found:
                    inits.append(float(found.group(1)))
                time.sleep(0.02)
            return round_trips, inits


def main():
    node, python = versions()
    rows = []
    for label, runtime, handler, name, text, argv in (
        ("Node.js", node, "index.handler", "index.js", NODE, ["node", "-e", "0"]),
        ("Python", python, "index.handler", "index.py", PYTHON, [sys.executable, "-c", "import json"]),
    ):
        alone = plain(argv)
        rows.append((label, "interpreter alone, no sandbox", len(alone), quantiles(alone)))
        for clones in (False, True):
            trips, inits = calls(clones, runtime, handler, name, text)
            kind = "clone" if clones else "start"
            rows.append((label, f"{kind}: Init Duration", len(inits), quantiles(inits)))
            rows.append((label, f"{kind}: Invoke, client's round trip", len(trips), quantiles(trips)))
    print("| runtime | what | samples | min ms | median ms | p99 ms |\n| --- | --- | ---: | ---: | ---: | ---: |")
    for label, what, count, (least, median, high) in rows:
        print(f"| {label} | {what} | {count} | {least:.2f} | {median:.2f} | {high:.2f} |")
    cpu = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "?")
    print(f"\n{os.cpu_count()} x {cpu}, Linux {os.uname().release}, load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
