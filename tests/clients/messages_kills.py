"""Queues and topics under load over many kills: says `kill` when it is under way, and goes on when it hears `up`.

Every message whose sending was acknowledged is received; none comes again whose deletion was acknowledged; of a FIFO queue,
filled directly or through a FIFO topic, each group comes in its order and each message is one, however often it was sent."""

import collections
import json
import sys
import threading

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

ROUNDS = int(sys.argv[1])
PER_ROUND = 20
config = Config(retries={"total_max_attempts": 1}, connect_timeout=5, read_timeout=20, max_pool_connections=40)
sqs, sns = boto3.client("sqs", config=config), boto3.client("sns", config=config)
lock = threading.Lock()
up = threading.Event()
up.set()
is_over = threading.Event()
problems = []
acknowledged = collections.defaultdict(set)
count = 0


def queue(name, **attributes):
    attributes["VisibilityTimeout"] = "2"
    url = sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    allow = {"Effect": "Allow", "Principal": {"Service": "sns.amazonaws.com"}, "Action": "sqs:SendMessage", "Resource": arn}
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": json.dumps({"Statement": allow})})
    return url, arn


def topic(name, arn, **attributes):
    made = sns.create_topic(Name=name, Attributes=attributes)["TopicArn"]
    sns.subscribe(TopicArn=made, Protocol="sqs", Endpoint=arn, Attributes={"RawMessageDelivery": "true"})
    return made


fifo = {"FifoQueue": "true"}
queues = {name: queue(name, **(fifo if name.endswith(".fifo") else {})) for name in ["work", "line.fifo", "told", "told.fifo"]}
topics = {"told": topic("told", queues["told"][1]), "told.fifo": topic("told.fifo", queues["told.fifo"][1], FifoTopic="true")}


def attempt(call):
    """The answer, or none when it is not known what happened."""
    up.wait()
    try:
        return call()
    except BotoCoreError:
        return None
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] < 500:
            with lock:
                problems.append(str(error))
        return None


def send(name, group, number):
    body, order = f"{group} {number}", {}
    if name.endswith(".fifo"):
        order = {"MessageGroupId": group, "MessageDeduplicationId": f"{group}-{number}"}
    if name in topics:
        return sns.publish(TopicArn=topics[name], Message=body, **order)
    return sqs.send_message(QueueUrl=queues[name][0], MessageBody=body, **order)


def producer(name, group):
    global count
    number = 0
    while not is_over.is_set():
        if attempt(lambda: send(name, group, number)) is not None:
            with lock:
                acknowledged[name].add((group, number))
                count += 1
            number += 1


class Checker:
    def __init__(self, name):
        self.name, self.is_fifo = name, name.endswith(".fifo")
        self.seen, self.ids, self.gone = set(), collections.defaultdict(set), set()
        self.tried = collections.defaultdict(set)

    def received(self, messages):
        groups = {}
        for message in messages:
            group, number = message["Body"].split()
            number = int(number)
            self.seen.add((group, number))
            self.ids[group, number].add(message["MessageId"])
            if message["MessageId"] in self.gone:
                problems.append(f"{self.name}: {message['Body']} came after its deletion")
            if not self.is_fifo:
                continue
            if len(self.ids[group, number]) > 1 and self.name not in topics:
                problems.append(f"{self.name}: {message['Body']} is there twice")
            expect = groups.get(group)
            if expect is None:
                missing = [n for n in range(number) if n not in self.tried[group]]
                if missing:
                    problems.append(f"{self.name}: {message['Body']} came before {missing[:5]}")
            elif number != expect:
                problems.append(f"{self.name}: {message['Body']} came where {expect} was due")
            groups[group] = number + 1

    def deleting(self, message):
        group, number = message["Body"].split()
        self.tried[group].add(int(number))


checkers = {name: Checker(name) for name in queues}


def consumer(name):
    url, checker = queues[name][0], checkers[name]
    while True:
        answer = attempt(lambda: sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=1))
        messages = (answer or {}).get("Messages", [])
        with lock:
            checker.received(messages)
            if is_over.is_set() and acknowledged[name] <= checker.seen:
                return
        for message in messages:
            with lock:
                checker.deleting(message)
            handle = message["ReceiptHandle"]
            try:
                up.wait()
                sqs.delete_message(QueueUrl=url, ReceiptHandle=handle)
                with lock:
                    checker.gone.add(message["MessageId"])
            except BotoCoreError:
                break
            except ClientError as error:
                # Held for too long: it comes again, and all behind it.
                if "expired" not in str(error) and error.response["ResponseMetadata"]["HTTPStatusCode"] < 500:
                    with lock:
                        problems.append(str(error))
                break


threads = [threading.Thread(target=producer, args=(name, f"g{n}"), daemon=True) for name in queues for n in range(2)]
readers = [threading.Thread(target=consumer, args=(name,), daemon=True) for name in queues]
for thread in threads + readers:
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
for reader in readers:
    reader.join(90)
for name, checker in checkers.items():
    lost = acknowledged[name] - checker.seen
    if lost:
        problems.append(f"{name}: {len(lost)} of {len(acknowledged[name])} were lost: {sorted(lost)[:5]}")
print({name: len(sent) for name, sent in acknowledged.items()}, flush=True)
if problems:
    raise SystemExit("\n".join(problems[:20]))
