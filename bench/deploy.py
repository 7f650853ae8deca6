"""Tools that deploy, side by side in one run: one application deployed, deployed again without a change, and removed, by AWS SAM's
command line, osls, Serverless Framework 3, the CDK, AWS's command line and, where it and its provider are on the machine, Terraform, on
Cumulet, durable, and on ministack as it is shipped. A proxy between tool and cloud adds up
the time in which at least one request was under way; the stack's events say how long its steps took. What remains of the wall
time is the tool's own: its start, its work on the template, and its waiting between two looks.
Prints a Markdown table and the machine. BENCH_TOOLS names the tools, BENCH_ONLY one subject, BENCH_PROGRAM another cumulet."""
import http.client
import json
import os
import platform
import re
import shutil
import socketserver
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from http.server import BaseHTTPRequestHandler

import boto3

from run import KEYS, ROOT, TARGET, server

APPS = os.path.join(ROOT, "tests", "clients", "deploy")
MODULES = os.path.join(APPS, "node_modules")
TOOLS = os.environ.get("BENCH_TOOLS", "sam,osls,serverless-3,cdk,aws,terraform").split(",")
PROVIDER = os.path.join("hashicorp", "aws", "5.100.0")
STEP_SECONDS_MAX = 180


class Clock:
    """The time in which something is under way."""

    def __init__(self):
        self.lock, self.under_way, self.since, self.total, self.count = threading.Lock(), 0, 0.0, 0.0, 0

    def __enter__(self):
        with self.lock:
            if self.under_way == 0:
                self.since = time.monotonic()
            self.under_way += 1
            self.count += 1

    def __exit__(self, *_):
        with self.lock:
            self.under_way -= 1
            if self.under_way == 0:
                self.total += time.monotonic() - self.since


class Proxy(socketserver.ThreadingTCPServer):
    allow_reuse_address = daemon_threads = True

    def __init__(self, port):
        clock = self.clock = Clock()

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def forward(self):
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                with clock:
                    there = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
                    # Under the name that the tool used: it is part of the signature.
                    there.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
                    for name, value in self.headers.items():
                        if name.lower() not in ("connection", "expect"):
                            there.putheader(name, value)
                    there.endheaders(body or None)
                    answer = there.getresponse()
                    payload = answer.read()
                    there.close()
                self.send_response_only(answer.status)
                for name, value in answer.getheaders():
                    if name.lower() not in ("transfer-encoding", "connection", "content-length"):
                        self.send_header(name, value)
                length = answer.getheader("content-length") if self.command == "HEAD" else str(len(payload))
                if length is not None:
                    self.send_header("content-length", length)
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(payload)

            do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = do_PATCH = forward

            def handle_expect_100(self):
                self.send_response_only(100)
                self.end_headers()
                return True

            def log_message(self, *_):
                pass

        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()


def environment(port):
    node = subprocess.check_output(["node", "-p", "process.versions.node"], text=True).split(".")[0]
    return {
        **os.environ,
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_CONFIG_FILE": "/dev/null",
        "CI": "1",
        "NODE_RUNTIME": f"nodejs{node}.x",
        "NODE_PATH": MODULES,
        "CDK_DEFAULT_ACCOUNT": "000000000000",
        "CDK_DEFAULT_REGION": "us-east-1",
        "CDK_DISABLE_VERSION_CHECK": "1",
        "SAM_CLI_TELEMETRY": "0",
        "SLS_TELEMETRY_DISABLED": "1",
        "SLS_NOTIFICATIONS_MODE": "off",
        "TF_IN_AUTOMATION": "1",
        "CHECKPOINT_DISABLE": "1",
        "TF_CLI_CONFIG_FILE": "settings.tfrc",
        "TF_VAR_runtime": f"python3.{sys.version_info.minor}",
    }


def mirror():
    """The folder of a mirror with Terraform's provider: named by TF_PLUGIN_MIRROR, or in one of the usual places."""
    usual = [os.environ.get("TF_PLUGIN_MIRROR", ""), os.path.expanduser("~/.terraform.d/plugins"), "/usr/local/share/terraform/plugins"]
    usual += ["/usr/share/terraform/plugins", *(entry.path for entry in os.scandir("/opt"))]

    def has_provider(folder):
        return os.path.isdir(folder) and any(
            os.path.isdir(os.path.join(registry.path, PROVIDER)) for registry in os.scandir(folder)
        )

    return next((folder for folder in usual if folder and has_provider(folder)), None)


def prepare(tool, folder):
    """What an application needs before the tool takes it."""
    if tool == "serverless-3":
        shutil.copy(os.path.join(APPS, "serverless-3", "endpoint.js"), folder)
        with open(os.path.join(folder, "serverless.yml"), "a") as file:
            file.write("plugins: [./endpoint.js]\n")
    if tool == "aws":
        path = os.path.join(folder, "template.yaml")
        text = open(path).read()
        with open(path, "w") as file:
            file.write(text.replace("      AutoPublishAlias: live\n", "      AutoPublishAlias: live\n      CodeUri: src\n"))
    if tool == "terraform":
        with zipfile.ZipFile(os.path.join(folder, "code.zip"), "w") as bundle:
            bundle.write(os.path.join(folder, "app.py"), "app.py")
        with open(os.path.join(folder, "settings.tfrc"), "w") as file:
            file.write(f'provider_installation {{\n  filesystem_mirror {{ path = "{mirror()}" }}\n}}\n')


def steps(tool):
    """The application's folder, its stack, what comes before and is not measured, and the commands of the three steps."""
    if tool == "sam":
        sam = os.path.join(ROOT, ".venv-deploy", "bin", "sam")
        runtime = f"Runtime=python3.{sys.version_info.minor}"
        deploy = [sam, "deploy", "--stack-name", "shop", "--resolve-s3", "--capabilities", "CAPABILITY_IAM", "--no-confirm-changeset"]
        deploy += ["--no-fail-on-empty-changeset", "--parameter-overrides", runtime]
        return "app", "shop", None, [deploy, deploy, [sam, "delete", "--stack-name", "shop", "--no-prompts"]]
    if tool == "osls":
        osls = os.path.join(MODULES, ".bin", "osls")
        return "osls", "shop-dev", None, [[osls, "deploy"], [osls, "deploy"], [osls, "remove"]]
    if tool == "serverless-3":
        serverless = ["node", os.path.join(MODULES, "serverless-3", "bin", "serverless.js")]
        return "osls", "shop-dev", None, [[*serverless, "deploy"], [*serverless, "deploy"], [*serverless, "remove"]]
    if tool == "aws":
        aws = os.path.join(ROOT, ".venv", "bin", "aws")
        package = f"{aws} cloudformation package --template-file template.yaml --s3-bucket artifacts --output-template-file packed.yaml"
        deploy = f"{aws} cloudformation deploy --template-file packed.yaml --stack-name shop --capabilities CAPABILITY_IAM"
        deploy += f" --no-fail-on-empty-changeset --parameter-overrides Runtime=python3.{sys.version_info.minor}"
        gone = f"{aws} cloudformation delete-stack --stack-name shop && {aws} cloudformation wait stack-delete-complete --stack-name shop"
        shell = lambda line: ["sh", "-c", line]
        bucket = [aws, "s3api", "create-bucket", "--bucket", "artifacts"]
        return "app", "shop", bucket, [shell(f"{package} && {deploy}"), shell(f"{package} && {deploy}"), shell(gone)]
    if tool == "terraform":
        terraform = lambda *arguments: ["terraform", *arguments, "-no-color"]
        apply = terraform("apply", "-auto-approve")
        return "terraform", None, terraform("init"), [apply, apply, terraform("destroy", "-auto-approve")]
    cdk = os.path.join(MODULES, ".bin", "cdk")
    deploy = [cdk, "deploy", "--require-approval", "never"]
    return "cdk", "Shop", [cdk, "bootstrap", "aws://000000000000/us-east-1"], [deploy, deploy, [cdk, "destroy", "--force"]]


def stack_seconds(cloudformation, stack_id, since):
    """How long the stack's operations took that ended since, by its own events."""
    if stack_id is None:
        return None
    try:
        events = cloudformation.describe_stack_events(StackName=stack_id)["StackEvents"]
    except Exception:
        return None
    total, ended = 0.0, None
    for event in events:
        if event["PhysicalResourceId"] != event["StackId"]:
            continue
        at, status = event["Timestamp"].timestamp(), event["ResourceStatus"]
        if status.endswith("_COMPLETE"):
            ended = at
        elif status.endswith("_IN_PROGRESS") and ended is not None and status.split("_")[0] in ("CREATE", "UPDATE", "DELETE"):
            if ended >= since:
                total += ended - at
            ended = None
    return total


def measure(tool, port):
    proxy = Proxy(port)
    env = environment(proxy.server_address[1])
    cloudformation = boto3.client("cloudformation", endpoint_url=f"http://127.0.0.1:{port}", **KEYS)
    app, stack, before, commands = steps(tool)
    folder = tempfile.mkdtemp()
    shutil.copytree(os.path.join(APPS, app), os.path.join(folder, "app"))
    prepare(tool, os.path.join(folder, "app"))
    rows, stack_id = [], None
    run = lambda argv: subprocess.run(argv, cwd=os.path.join(folder, "app"), env=env, capture_output=True, text=True, timeout=STEP_SECONDS_MAX)
    try:
        if before is not None and run(before).returncode != 0:
            return [("bootstrap", "failed")]
        for name, argv in zip(("deploy", "no change", "remove"), commands):
            clock = proxy.clock
            seconds, count, since, began = clock.total, clock.count, time.time(), time.monotonic()
            done = run(argv)
            wall = time.monotonic() - began
            if done.returncode != 0:
                why = (done.stderr or done.stdout).strip().splitlines()
                return [*rows, (name, f"failed: {why[-1][:120] if why else ''}")]
            if stack_id is None and stack is not None:
                stack_id = cloudformation.describe_stacks(StackName=stack)["Stacks"][0]["StackId"]
            rows.append((name, wall, clock.total - seconds, clock.count - count, stack_seconds(cloudformation, stack_id, since)))
        return rows
    except subprocess.TimeoutExpired:
        return [*rows, ("step", f"not done after {STEP_SECONDS_MAX} s")]
    finally:
        proxy.shutdown()
        shutil.rmtree(folder)


def main():
    folder = tempfile.mkdtemp()
    program = os.environ.get("BENCH_PROGRAM", f"{TARGET}/cumulet")
    subjects = [
        ("cumulet", [program, "up", "--listen", "127.0.0.1:4621", "--data-dir", folder + "/data"], {}, 4621, "/_cumulet/health"),
        ("ministack", [os.path.join(ROOT, ".venv-bench", "bin", "ministack")], {"GATEWAY_PORT": "4622", "BIND_HOST": "127.0.0.1"}, 4622, "/_ministack/health"),
    ]
    only = os.environ.get("BENCH_ONLY")
    cpu = re.search(r"model name\s*: (.*)", open("/proc/cpuinfo").read())
    print(f"Machine: {os.cpu_count()} x {cpu.group(1) if cpu else platform.processor()}, Linux {platform.release()}; load average {os.getloadavg()[0]:.1f}\n")
    print("| tool | step | | wall s | in requests s | requests | stack's steps s | tool's own s |\n| --- | --- | --- | --- | --- | --- | --- | --- |")
    for tool in TOOLS:
        if tool == "terraform" and (shutil.which("terraform") is None or mirror() is None):
            print("| terraform | | | it or its provider is not on this machine | | | | |")
            continue
        for name, argv, env, port, health in subjects:
            if only not in (None, name) or not os.path.exists(argv[0]):
                continue
            with server(argv, env, f"http://127.0.0.1:{port}{health}"):
                for step, *row in measure(tool, port):
                    if len(row) == 1:
                        print(f"| {tool} | {step} | {name} | {row[0]} | | | | |", flush=True)
                        continue
                    wall, requests, count, stack = row
                    shown = "–" if stack is None else f"{stack:.2f}"
                    own = wall - requests - (stack or 0)
                    print(f"| {tool} | {step} | {name} | {wall:.1f} | {requests:.2f} | {count} | {shown} | {own:.1f} |", flush=True)
            shutil.rmtree(folder + "/data", ignore_errors=True)
    shutil.rmtree(folder, ignore_errors=True)


main()
