"""Events and one-time schedules over many kills: says `kill` when the load is under way, and goes on when it hears `up`.

Each event whose id was answered has to lie in the queue of its rule, in the dead letter queue of the target that refuses
it, and in the archive; each schedule that was answered has to have called its queue."""

import datetime
import json
import sys
import threading
import time

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

ROUNDS = int(sys.argv[1])
WORKERS = 4
config = Config(retries={"total_max_attempts": 1}, connect_timeout=5, read_timeout=20, max_pool_connections=16)
patient = Config(retries={"total_max_attempts": 8}, read_timeout=30)
events, scheduler = boto3.client("events", config=config), boto3.client("scheduler", config=config)
sqs, iam = boto3.client("sqs", config=patient), boto3.client("iam", config=patient)


def make():
    urls = {name: sqs.create_queue(QueueName=name)["QueueUrl"] for name in ("taken", "dead", "timed", "closed")}
    arns = {name: f"arn:aws:sqs:us-east-1:000000000000:{name}" for name in urls}
    for name in ("taken", "dead"):
        statement = {
            "Effect": "Allow",
            "Principal": {"Service": "events.amazonaws.com"},
            "Action": "sqs:SendMessage",
            "Resource": arns[name],
        }
        policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        sqs.set_queue_attributes(QueueUrl=urls[name], Attributes={"Policy": policy})
    events.put_rule(Name="all", EventPattern='{"source":["load"]}')
    events.put_targets(
        Rule="all",
        Targets=[
            {"Id": "taken", "Arn": arns["taken"], "InputPath": "$.id"},
            # Nobody may send to it: its events are buried.
            {"Id": "closed", "Arn": arns["closed"], "DeadLetterConfig": {"Arn": arns["dead"]}},
        ],
    )
    bus = events.describe_event_bus()["Arn"]
    events.create_archive(ArchiveName="all", EventSourceArn=bus)
    document = lambda statement: json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    trust = {"Effect": "Allow", "Principal": {"Service": "scheduler.amazonaws.com"}, "Action": "sts:AssumeRole"}
    role = iam.create_role(RoleName="timer", AssumeRolePolicyDocument=document(trust))["Role"]["Arn"]
    sends = {"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": arns["timed"]}
    iam.put_role_policy(RoleName="timer", PolicyName="p", PolicyDocument=document(sends))
    return urls, arns, role


urls, arns, role = make()
taken, timed, lock = set(), set(), threading.Lock()
stop, unsure = threading.Event(), [0]


def put(number):
    count = 0
    while not stop.is_set():
        count += 1
        try:
            detail = json.dumps({"n": count, "pad": "x" * (60_000 if count % 7 == 0 else 10)})
            entries = [{"Source": "load", "DetailType": "t", "Detail": detail}] * (1 + count % 3)
            answer = events.put_events(Entries=entries)
            assert answer["FailedEntryCount"] == 0, answer
            with lock:
                taken.update(entry["EventId"] for entry in answer["Entries"])
            if count % 5 == 0:
                name = f"s-{number}-{count}"
                at = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=count % 2)
                scheduler.create_schedule(
                    Name=name,
                    ScheduleExpression=f"at({at:%Y-%m-%dT%H:%M:%S})",
                    FlexibleTimeWindow={"Mode": "OFF"},
                    ActionAfterCompletion="DELETE",
                    Target={"Arn": arns["timed"], "RoleArn": role, "Input": name},
                )
                with lock:
                    timed.add(name)
        except (BotoCoreError, ClientError):
            # Not answered: it may have been taken, or not.
            unsure[0] += 1
            stop.wait(0.02)


def round_of_load():
    workers = [threading.Thread(target=put, args=(f"{time.time_ns()}-{n}",), daemon=True) for n in range(WORKERS)]
    before = len(taken)
    for worker in workers:
        worker.start()
    end = time.monotonic() + 30
    while len(taken) < before + 20:
        assert time.monotonic() < end, "no load"
        time.sleep(0.005)
    print("kill", flush=True)
    assert sys.stdin.readline() == "up\n"
    stop.set()
    for worker in workers:
        worker.join()
    stop.clear()


def drain(url, read, wanted):
    """What a queue holds, until all that is wanted has been seen; answers how often each was seen."""
    seen, end = {}, time.monotonic() + 60
    while not wanted <= set(seen):
        missing = wanted - set(seen)
        assert time.monotonic() < end, f"{len(missing)} of {len(wanted)} are missing in {url}: {sorted(missing)[:3]}"
        answer = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=1)
        messages = answer.get("Messages", [])
        for message in messages:
            what = read(message["Body"])
            seen[what] = seen.get(what, 0) + 1
        if messages:
            entries = [{"Id": str(n), "ReceiptHandle": m["ReceiptHandle"]} for n, m in enumerate(messages)]
            sqs.delete_message_batch(QueueUrl=url, Entries=entries)
    return seen


for _ in range(ROUNDS):
    round_of_load()
seen = drain(urls["taken"], json.loads, taken)
drain(urls["dead"], lambda body: json.loads(body)["id"], taken)
calls = drain(urls["timed"], str, timed)
archived = events.describe_archive(ArchiveName="all")["EventCount"]
assert archived >= len(taken), (archived, len(taken))
# The same thing twice is allowed, and rare: only what was under way in a kill.
again = sum(count - 1 for count in seen.values()), sum(count - 1 for count in calls.values())
print(f"{len(taken)} events, {len(timed)} schedules, {unsure[0]} without an answer, {again} seen again", flush=True)
