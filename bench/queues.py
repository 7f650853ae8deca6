"""Queues side by side in one run: Cumulet, durable, against ministack and moto's server as they are shipped. SendMessage,
ReceiveMessage of one and DeleteMessage, 1 KB messages, at 1, 16 and 64 clients; then, on Cumulet alone, a million messages
queued: how fast they go in, memory, the start-up over them, what counting them costs, and sending and receiving with them there
against an empty queue, in turns. The time from a send to the start of the function behind the queue, where a subject runs functions
without a container. Then, on Cumulet alone, many schedules: what they cost while none is due, and how late one is among them.
Prints Markdown tables and the machine.

BENCH_MESSAGES is how many are queued in the end, BENCH_SCHEDULES how many schedules there are, BENCH_SECONDS how long each cell is
measured, BENCH_ONLY names one subject. BENCH_PARTS names what is measured: operations, starts, many, schedules."""
import datetime
import json
import os
import platform
import re
import shutil
import tempfile
import threading
import time

import boto3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import BotoCoreError, ClientError

import tables
from run import KEYS, ROOT, TARGET, rss_mib, server, versions, zipped
from tables import Stuck, load, syncs_per_second

MESSAGES = int(os.environ.get("BENCH_MESSAGES", "1000000"))
SCHEDULES = int(os.environ.get("BENCH_SCHEDULES", "1000000"))
PARTS = os.environ.get("BENCH_PARTS", "operations,starts,many,schedules").split(",")
TURNS = 3
STARTS = 200
SECONDS = float(os.environ.get("BENCH_SECONDS", "5"))
CLIENTS = [1, 16, 64]
BODY = "x" * 1000
DELETED = 3000


def signed(endpoint, operation, body):
    return tables.signed(endpoint, operation, body, "AmazonSQS", "sqs")


def send(endpoint, url):
    return [signed(endpoint, "SendMessage", {"QueueUrl": url, "MessageBody": BODY})]


def receive(endpoint, url):
    return [signed(endpoint, "ReceiveMessage", {"QueueUrl": url, "VisibilityTimeout": 3600})]


def send_many(endpoint, url, count, folder):
    entries = [{"Id": str(n), "MessageBody": BODY} for n in range(10)]
    lines = [signed(endpoint, "SendMessageBatch", {"QueueUrl": url, "Entries": entries})] * (count // 10)
    return load(endpoint, 16, 0, lines, folder)


def receipts(sqs, url, count):
    """As many receipts, taken by eight clients at once."""
    taken, lock, end = [], threading.Lock(), time.monotonic() + tables.CELL_SECONDS_MAX

    def take():
        while len(taken) < count and time.monotonic() < end:
            got = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=3600).get("Messages", [])
            with lock:
                taken.extend(message["ReceiptHandle"] for message in got)

    threads = [threading.Thread(target=take) for _ in range(8)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    if len(taken) < count:
        raise Stuck(f"{len(taken)} of {count} messages were received")
    return taken[:count]


def measure(name, endpoint, rows, folder):
    patience = Config(read_timeout=30, retries={"total_max_attempts": 1})
    sqs = boto3.client("sqs", endpoint_url=endpoint, config=patience, **KEYS)
    for clients in CLIENTS:
        url = sqs.create_queue(QueueName=f"bench-{clients}")["QueueUrl"]
        lines = send(endpoint, url)
        load(endpoint, clients, SECONDS / 4, lines, folder)
        rows.append(("SendMessage", clients, name, load(endpoint, clients, SECONDS, lines, folder)))
        # Enough that the receivers do not run dry.
        send_many(endpoint, url, 20_000, folder)
        rows.append(("ReceiveMessage", clients, name, load(endpoint, clients, SECONDS, receive(endpoint, url), folder)))
        url = sqs.create_queue(QueueName=f"bench-delete-{clients}")["QueueUrl"]
        send_many(endpoint, url, DELETED, folder)
        deletes = [signed(endpoint, "DeleteMessage", {"QueueUrl": url, "ReceiptHandle": handle}) for handle in receipts(sqs, url, DELETED)]
        rows.append(("DeleteMessage", clients, name, load(endpoint, clients, 0, deletes, folder)))


def in_turns(endpoint, sides, folder):
    """Requests a second of each side, measured in turns, so that what else the machine does falls on all of them."""
    rates = {side: [] for side in sides}
    for _ in range(TURNS):
        for side, lines in sides.items():
            rates[side].append(load(endpoint, 16, SECONDS / TURNS, lines, folder)["per_second"])
    return {side: sum(found) / len(found) for side, found in rates.items()}


def beside(facts, what, rates):
    facts.append((f"{what} a second, 16 clients, empty queue", f"{rates['empty']:.0f}"))
    facts.append((f"{what} a second with them queued", f"{rates['full']:.0f} ({100 * rates['full'] / rates['empty']:.0f} %)"))


def many(argv, endpoint, health, folder):
    """What a queue of very many messages costs."""
    facts = []
    with server(argv, {}, endpoint + health) as (process, _):
        sqs = boto3.client("sqs", endpoint_url=endpoint, **KEYS)
        url = sqs.create_queue(QueueName="many")["QueueUrl"]
        facts.append(("MiB before", f"{rss_mib(process.pid):.0f}"))
        began = time.monotonic()
        errors = send_many(endpoint, url, MESSAGES, folder)["errors"]
        facts.append((f"{MESSAGES} messages in batches of ten, a second", f"{MESSAGES / (time.monotonic() - began):.0f} ({errors} errors)"))
        facts.append(("MiB with them queued", f"{rss_mib(process.pid):.0f}"))
        empty = sqs.create_queue(QueueName="empty")["QueueUrl"]
        beside(facts, "sends", in_turns(endpoint, {"empty": send(endpoint, empty), "full": send(endpoint, url)}, folder))
        few = sqs.create_queue(QueueName="few")["QueueUrl"]
        send_many(endpoint, few, 40_000, folder)
        beside(facts, "receives", in_turns(endpoint, {"empty": receive(endpoint, few), "full": receive(endpoint, url)}, folder))
    with server(argv, {}, endpoint + health) as (process, seconds):
        facts.append(("ready after, over them", f"{1000 * seconds:.0f} ms"))
        sqs = boto3.client("sqs", endpoint_url=endpoint, **KEYS)
        for what, call in [
            ("first receive after it", lambda: sqs.receive_message(QueueUrl=url)["Messages"]),
            ("first count after it", lambda: sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages"])),
            ("second count", lambda: sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages"])),
        ]:
            began = time.monotonic()
            assert call()
            facts.append((what, f"{1000 * (time.monotonic() - began):.1f} ms"))
    return facts


STARTER = """import os, time
def handler(event, context):
    now = time.time_ns()
    for record in event["Records"]:
        line = f"began {record['body']} {now}"
        print(line)
        # Where a subject's log cannot be read; its functions are processes of this machine.
        if os.environ.get("BENCH_FILE"):
            open(os.environ["BENCH_FILE"], "a").write(line + "\\n")
"""


def starts(name, endpoint, folder):
    """Milliseconds from each send to the function's start, sorted."""
    sqs, lam, logs = (boto3.client(service, endpoint_url=endpoint, **KEYS) for service in ("sqs", "lambda", "logs"))
    url = sqs.create_queue(QueueName="starts")["QueueUrl"]
    queue = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    iam = boto3.client("iam", endpoint_url=endpoint, **KEYS)
    trust = {"Statement": [{"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}]}
    allow = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sqs:*", "Resource": "*"}]}
    role = iam.create_role(RoleName="starts", AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
    iam.put_role_policy(RoleName="starts", PolicyName="p", PolicyDocument=json.dumps(allow))
    path = os.path.join(folder, f"starts-{name}")
    lam.create_function(FunctionName="starts", Runtime=versions()[1], Handler="app.handler", Role=role, Timeout=10, MemorySize=256,
                        Environment={"Variables": {"BENCH_FILE": "" if name == "cumulet" else path}}, Code={"ZipFile": zipped("app.py", STARTER)})
    lam.get_waiter("function_active_v2").wait(FunctionName="starts")
    lam.create_event_source_mapping(FunctionName="starts", EventSourceArn=queue, BatchSize=1)

    def began():
        if name != "cumulet":
            lines = open(path).read().splitlines() if os.path.exists(path) else []
        else:
            pages = logs.get_paginator("filter_log_events").paginate(logGroupName="/aws/lambda/starts", filterPattern="began")
            try:
                lines = [event["message"] for page in pages for event in page["events"]]
            except logs.exceptions.ResourceNotFoundException:
                lines = []
        return {line.split()[1]: int(line.split()[2]) for line in lines if line.startswith("began")}

    def until(count):
        end = time.monotonic() + 90
        while len(found := began()) < count:
            if time.monotonic() > end:
                return found
            time.sleep(0.2)
        return found

    sqs.send_message(QueueUrl=url, MessageBody="warm")
    if not until(1):
        return None
    sent = {}
    for n in range(STARTS):
        sent[str(n)] = time.time_ns()
        sqs.send_message(QueueUrl=url, MessageBody=str(n))
        time.sleep(0.05)
    found = until(STARTS + 1)
    return sorted((found[n] - at) / 1e6 for n, at in sent.items() if n in found)


def cpu_seconds(pid):
    fields = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def schedules(argv, endpoint, health, folder):
    """What very many schedules cost while none is due, and how late one of them is."""
    facts = []
    with server(argv, {}, endpoint + health) as (process, _):
        made, iam, sqs = (boto3.client(service, endpoint_url=endpoint, **KEYS) for service in ("scheduler", "iam", "sqs"))
        trust = {"Statement": [{"Effect": "Allow", "Principal": {"Service": "scheduler.amazonaws.com"}, "Action": "sts:AssumeRole"}]}
        allow = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sqs:*", "Resource": "*"}]}
        role = iam.create_role(RoleName="timer", AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
        iam.put_role_policy(RoleName="timer", PolicyName="p", PolicyDocument=json.dumps(allow))
        url = sqs.create_queue(QueueName="ticks")["QueueUrl"]
        target = {"Arn": "arn:aws:sqs:us-east-1:000000000000:ticks", "RoleArn": role, "Input": "tick"}

        def create(name, expression):
            made.create_schedule(Name=name, ScheduleExpression=expression, FlexibleTimeWindow={"Mode": "OFF"}, Target=target)

        def idle():
            before = cpu_seconds(process.pid)
            time.sleep(SECONDS)
            return 1000 * (cpu_seconds(process.pid) - before) / SECONDS

        def late(name):
            at = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0) + datetime.timedelta(seconds=3)
            create(name, f"at({at:%Y-%m-%dT%H:%M:%S})")
            message = sqs.receive_message(QueueUrl=url, WaitTimeSeconds=20, MessageSystemAttributeNames=["SentTimestamp"])["Messages"][0]
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
            return int(message["Attributes"]["SentTimestamp"]) - at.timestamp() * 1000

        facts.append(("ms of CPU a second, no schedule", f"{idle():.1f}"))
        facts.append(("ms late, the only schedule", f"{late('first'):.0f}"))
        body = {"ScheduleExpression": "at(2099-01-01T00:00:00)", "FlexibleTimeWindow": {"Mode": "OFF"}, "Target": target}
        spent, errors = 0, 0
        # Signed in portions, so that the signing is neither measured nor in the way of what is.
        for start in range(0, SCHEDULES, 20_000):
            lines = [scheduled(endpoint, f"s{n}", body) for n in range(start, min(start + 20_000, SCHEDULES))]
            began = time.monotonic()
            errors += load(endpoint, 16, 0, lines, folder)["errors"]
            spent += time.monotonic() - began
        facts.append((f"{SCHEDULES} schedules made, a second, 16 clients", f"{SCHEDULES / spent:.0f} ({errors} errors)"))
        time.sleep(5)
        facts.append(("ms of CPU a second with them", f"{idle():.1f}"))
        facts.append(("ms late among them", f"{late('last'):.0f}"))
        facts.append(("MiB with them", f"{rss_mib(process.pid):.0f}"))
    with server(argv, {}, endpoint + health) as (process, seconds):
        facts.append(("ready after, over them", f"{1000 * seconds:.0f} ms"))
        facts.append(("MiB when ready", f"{rss_mib(process.pid):.0f}"))
        made = boto3.client("scheduler", endpoint_url=endpoint, **KEYS)
        sqs = boto3.client("sqs", endpoint_url=endpoint, **KEYS)
        facts.append(("ms late among them, after the start", f"{late('later'):.0f}"))
    return facts


def scheduled(endpoint, name, body):
    request = AWSRequest("POST", f"{endpoint}/schedules/{name}", data=json.dumps(body), headers={"content-type": "application/json"})
    SigV4Auth(Credentials("test", "test"), "scheduler", "us-east-1").add_auth(request)
    return json.dumps({"headers": dict(request.headers.items()), "path": f"/schedules/{name}", "body": request.data if isinstance(request.data, str) else request.data.decode()})


def two_columns(title, facts):
    print(f"\n| {title} | |\n| --- | --- |")
    for fact, value in facts:
        print(f"| {fact} | {value} |", flush=True)


def main():
    folder = tempfile.mkdtemp()
    rows = []
    bench = lambda program: os.path.join(ROOT, ".venv-bench", "bin", program)
    cumulet = [f"{TARGET}/cumulet", "up", "--listen", "127.0.0.1:4601", "--data-dir", folder + "/data"]
    subjects = [
        ("cumulet", cumulet, {}, 4601, "/_cumulet/health"),
        ("ministack", [bench("ministack")], {"GATEWAY_PORT": "4602", "BIND_HOST": "127.0.0.1"}, 4602, "/_ministack/health"),
        ("moto", [bench("moto_server"), "-H", "127.0.0.1", "-p", "4603"], {}, 4603, "/moto-api/"),
    ]
    only = os.environ.get("BENCH_ONLY")
    beginnings, gaps = [], []
    for name, argv, env, port, health in subjects:
        if only in (None, name) and os.path.exists(argv[0]):
            endpoint = f"http://127.0.0.1:{port}"
            with server(argv, env, endpoint + health):
                if "operations" in PARTS:
                    try:
                        measure(name, endpoint, rows, folder)
                    except (Stuck, BotoCoreError, ClientError) as error:
                        gaps.append((name, str(error)[:200]))
                if "starts" in PARTS:
                    try:
                        beginnings.append((name, starts(name, endpoint, folder)))
                    except Exception as error:
                        beginnings.append((name, str(error)))
    cpu = re.search(r"model name\s*: (.*)", open("/proc/cpuinfo").read())
    machine = f"{os.cpu_count()} x {cpu.group(1) if cpu else platform.processor()}, Linux {platform.release()}"
    busy = f"load average {os.getloadavg()[0]:.1f}"
    print(f"\nMachine: {machine}; {busy}; {syncs_per_second(folder)} durable appends of 4 KiB a second; messages of 1 KB; {SECONDS} s a cell\n")
    if rows:
        print("| operation | clients | | per second | p50 ms | p99 ms | errors |\n| --- | --- | --- | --- | --- | --- | --- |")
    for kind, clients, name, r in sorted(rows, key=lambda row: row[:3]):
        print(f"| {kind} | {clients} | {name} | {r['per_second']:.0f} | {r['p50_us'] / 1000:.3f} | {r['p99_us'] / 1000:.3f} | {r['errors']} |")
    for name, why in gaps:
        print(f"\n{name} gave up: {why}")
    if beginnings:
        print(f"\nFrom a send to the start of the function, {STARTS} messages, one every 50 ms:\n\n| | started | p50 ms | p99 ms |\n| --- | --- | --- | --- |")
    for name, ms in beginnings:
        if isinstance(ms, list) and ms:
            print(f"| {name} | {len(ms)} | {ms[len(ms) // 2]:.1f} | {ms[len(ms) * 99 // 100]:.1f} |")
        else:
            print(f"| {name} | 0 | {ms or 'no function was run'} | |")
    if only in (None, "cumulet"):
        if MESSAGES and "many" in PARTS:
            two_columns("a queue of very many", many(cumulet[:-1] + [folder + "/many"], "http://127.0.0.1:4601", "/_cumulet/health", folder))
        if SCHEDULES and "schedules" in PARTS:
            two_columns("very many schedules", schedules(cumulet[:-1] + [folder + "/timers"], "http://127.0.0.1:4601", "/_cumulet/health", folder))
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
