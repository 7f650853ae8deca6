"""Functions under load over many kills: says `kill` when it is under way, and goes on when it hears `up`.

Every event that was acknowledged, by a queue, a FIFO queue, a topic or an asynchronous invocation, was handled at least once
or lies in a dead letter queue; those that no attempt can handle lie there. Functions fail, are slow, end their own instance, and
have it and the templates it is cloned of killed from outside. Of the FIFO queue, what was handled came in the order of its group."""

import collections
import io
import json
import os
import random
import signal
import sys
import threading
import time
import zipfile

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

ROUNDS, runtime, data = int(sys.argv[1]), sys.argv[2], sys.argv[3]
PER_ROUND = 8
KINDS = ["fine"] * 6 + ["slow", "flaky", "crash", "poison"]
here = os.path.dirname(os.path.abspath(__file__))
config = Config(retries={"total_max_attempts": 1}, connect_timeout=5, read_timeout=20, max_pool_connections=40)
functions, sqs, sns, tables, iam = (boto3.client(name, config=config) for name in ("lambda", "sqs", "sns", "dynamodb", "iam"))
lock, up, is_over = threading.Lock(), threading.Event(), threading.Event()
up.set()
problems, acknowledged, count = [], collections.defaultdict(set), 0

CODE = """
import os
import random
import signal
import time

from recorder import write_first

def handle(body, way):
    kind = body.split()[1]
    if kind == "poison" or kind == "flaky" and random.random() < 0.5:
        raise ValueError(body)
    if kind == "crash" and random.random() < 0.5:
        os.kill(os.getpid(), signal.SIGKILL)
    if kind == "slow":
        time.sleep(0.4)
    write_first(f"{way} {body}", time.time_ns())

def handler(event, context):
    if "Records" not in event:
        return handle(event["body"], "direct")
    failed = []
    for record in event["Records"]:
        if "Sns" in record:
            handle(record["Sns"]["Message"], "topic")
            continue
        way = "line" if record["eventSourceARN"].endswith(".fifo") else "queue"
        try:
            handle(record["body"], way)
        except ValueError:
            failed.append(record["messageId"])
            if way == "line":
                later = event["Records"][event["Records"].index(record) + 1:]
                failed += [other["messageId"] for other in later]
                break
    return {"batchItemFailures": [{"itemIdentifier": id} for id in failed]}
"""

trust = {"Statement": [{"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}]}
allow = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": ["sqs:*", "dynamodb:*"], "Resource": "*"}]}
role = iam.create_role(RoleName="r", AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
iam.put_role_policy(RoleName="r", PolicyName="p", PolicyDocument=json.dumps(allow))
tables.create_table(
    TableName="seen",
    KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
    AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
    BillingMode="PAY_PER_REQUEST",
)


def queue(name, **attributes):
    url = sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
    return url, sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]


fifo = {"FifoQueue": "true"}
dead, dead_arn = queue("dead")
dead_line, dead_line_arn = queue("dead.fifo", **fifo)
redrive = lambda arn: json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": 3})
work, work_arn = queue("work", VisibilityTimeout="5", RedrivePolicy=redrive(dead_arn))
line, line_arn = queue("line.fifo", VisibilityTimeout="5", RedrivePolicy=redrive(dead_line_arn), **fifo)
buffer = io.BytesIO()
with zipfile.ZipFile(buffer, "w") as archive:
    archive.writestr("worker.py", CODE)
    archive.write(os.path.join(here, "recorder.py"), "recorder.py")
function = functions.create_function(
    FunctionName="f",
    Runtime=runtime,
    Handler="worker.handler",
    Role=role,
    Timeout=3,
    Code={"ZipFile": buffer.getvalue()},
    DeadLetterConfig={"TargetArn": dead_arn},
)["FunctionArn"]
topic = sns.create_topic(Name="told")["TopicArn"]
functions.add_permission(
    FunctionName="f", StatementId="s", Action="lambda:InvokeFunction", Principal="sns.amazonaws.com", SourceArn=topic
)
sns.subscribe(TopicArn=topic, Protocol="lambda", Endpoint=function)
for source in (work_arn, line_arn):
    functions.create_event_source_mapping(
        FunctionName="f", EventSourceArn=source, BatchSize=5, FunctionResponseTypes=["ReportBatchItemFailures"]
    )

send = {
    "queue": lambda body, group: sqs.send_message(QueueUrl=work, MessageBody=body),
    "line": lambda body, group: sqs.send_message(
        QueueUrl=line, MessageBody=body, MessageGroupId=group, MessageDeduplicationId=body.replace(" ", "-")
    ),
    "topic": lambda body, group: sns.publish(TopicArn=topic, Message=body),
    "direct": lambda body, group: functions.invoke(
        FunctionName="f", InvocationType="Event", Payload=json.dumps({"body": body})
    ),
}


def attempt(call):
    """Whether it is known to be done."""
    up.wait()
    try:
        call()
        return True
    except BotoCoreError:
        return False
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] < 500:
            problems.append(str(error))
        return False


def producer(way, seed):
    global count
    chance, number = random.Random(seed), 0
    while not is_over.is_set():
        # Into a group that a poisoned message holds up, nothing more is sent.
        group = f"g{seed}-{number // 4}"
        body = f"{number:04} {chance.choice(KINDS)} {group}"
        while not attempt(lambda: send[way](body, group)):
            if is_over.is_set():
                return
        with lock:
            acknowledged[way].add(body)
            count += 1
        number += 1
        is_over.wait(0.05)


def of_proc(pid, file):
    try:
        return open(f"/proc/{pid}/{file}").read()
    except OSError:
        return ""


def instances():
    """The processes of functions: those below the platform that run an interpreter."""
    pids = [pid for pid in os.listdir("/proc") if pid.isdigit()]
    parents = {}
    for pid in pids:
        if stat := of_proc(pid, "stat"):
            parents[pid] = stat.rpartition(")")[2].split()[1]
    below = {pid for pid in pids if f"{data}\0" in of_proc(pid, "cmdline") + "\0" and "\0up\0" in of_proc(pid, "cmdline")}
    while more := {pid for pid, parent in parents.items() if parent in below and pid not in below}:
        below |= more
    return [int(pid) for pid in below if "python" in of_proc(pid, "cmdline")]


reaped = 0


def reaper(seed):
    global reaped
    chance = random.Random(seed)
    while not is_over.is_set():
        is_over.wait(0.4)
        if up.is_set() and (found := instances()):
            try:
                os.kill(chance.choice(found), signal.SIGKILL)
                reaped += 1
            except OSError:
                pass


threads = [threading.Thread(target=reaper, args=(7,), daemon=True)]
threads += [threading.Thread(target=producer, args=(way, n), daemon=True) for n, way in enumerate(send)]
for thread in threads:
    thread.start()
for round_ in range(ROUNDS):
    with lock:
        until = count + PER_ROUND
    while count < until and not problems:
        threading.Event().wait(0.005)
    if problems:
        break
    print("kill", flush=True)
    up.clear()
    assert sys.stdin.readline().strip() == "up"
    up.set()
is_over.set()
for thread in threads:
    thread.join(60)

seen, letters = {}, collections.Counter()
wanted = {f"{way} {body}" for way, bodies in acknowledged.items() for body in bodies}


def missing():
    for url in (dead, dead_line):
        for message in sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", []):
            text = message["Body"]
            if text.startswith("{"):
                event = json.loads(text)
                text = event["body"] if "body" in event else event["Records"][0]["Sns"]["Message"]
            letters[text] += 1
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    pages = tables.get_paginator("scan").paginate(TableName="seen", ConsistentRead=True)
    seen.update({item["id"]["S"]: int(item["detail"]["S"]) for page in pages for item in page["Items"]})
    return {one for one in wanted if one not in seen and one.split(" ", 1)[1] not in letters}


end = time.time() + 120
while (left := missing()) and time.time() < end and not problems:
    threading.Event().wait(0.2)
if left:
    problems.append(f"{len(left)} of {len(wanted)} were lost: {sorted(left)[:5]}")
handled = [one for one in seen if " poison " in one]
if handled:
    problems.append(f"what cannot be handled was: {handled[:3]}")
# The time is that of the first handling: in a group, nothing was handled before what was sent before it, but for the dead.
by_group = collections.defaultdict(list)
for one, at in seen.items():
    way, number, _, group = one.split()
    if way == "line":
        by_group[group].append((int(number), at))
for group, handled in by_group.items():
    times = [at for _, at in sorted(handled)]
    if times != sorted(times):
        problems.append(f"the group {group} was out of order: {sorted(handled)}")
print(f"{len(wanted)} events, {len(seen)} handled, {sum(letters.values())} dead letters, {reaped} instances killed", flush=True)
if not reaped and os.geteuid() == 0:
    problems.append("no instance was found that could be killed")
if problems:
    raise SystemExit("\n".join(problems[:20]))
