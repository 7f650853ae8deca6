"""Queues side by side in one run: Cumulet, durable, against ministack and moto's server as they are shipped. SendMessage,
ReceiveMessage of one and DeleteMessage, 1 KB messages, at 1, 16 and 64 clients; then, on Cumulet alone, a million messages
queued: how fast they go in, memory, the start-up over them, and sending and receiving with them there against an empty queue.
Prints Markdown tables and the machine.

BENCH_MESSAGES is how many are queued in the end, BENCH_SECONDS how long each cell is measured, BENCH_ONLY names one subject."""
import os
import platform
import re
import shutil
import tempfile
import threading
import time

import boto3

import tables
from run import KEYS, ROOT, TARGET, rss_mib, server
from tables import load, syncs_per_second

MESSAGES = int(os.environ.get("BENCH_MESSAGES", "1000000"))
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
    taken, lock = [], threading.Lock()

    def take():
        while len(taken) < count:
            got = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=3600).get("Messages", [])
            with lock:
                taken.extend(message["ReceiptHandle"] for message in got)

    threads = [threading.Thread(target=take) for _ in range(8)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    return taken[:count]


def measure(name, endpoint, rows, folder):
    sqs = boto3.client("sqs", endpoint_url=endpoint, **KEYS)
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


def many(argv, endpoint, health, folder):
    """What a queue of very many messages costs."""
    facts = []
    with server(argv, {}, endpoint + health) as (process, _):
        sqs = boto3.client("sqs", endpoint_url=endpoint, **KEYS)
        url = sqs.create_queue(QueueName="many")["QueueUrl"]
        facts.append(("MiB before", f"{rss_mib(process.pid):.0f}"))
        empty = load(endpoint, 16, SECONDS, send(endpoint, url), folder)["per_second"]
        facts.append(("sends a second, 16 clients, empty queue", f"{empty:.0f}"))
        taken = load(endpoint, 16, SECONDS, receive(endpoint, url), folder)["per_second"]
        facts.append(("receives a second, 16 clients, a few thousand queued", f"{taken:.0f}"))
        began = time.monotonic()
        errors = send_many(endpoint, url, MESSAGES, folder)["errors"]
        facts.append((f"{MESSAGES} messages in batches of ten, a second", f"{MESSAGES / (time.monotonic() - began):.0f} ({errors} errors)"))
        facts.append(("MiB with them queued", f"{rss_mib(process.pid):.0f}"))
        full = load(endpoint, 16, SECONDS, send(endpoint, url), folder)["per_second"]
        facts.append(("sends a second with them queued", f"{full:.0f} ({100 * full / empty:.0f} % of the empty queue's)"))
        taken = load(endpoint, 16, SECONDS, receive(endpoint, url), folder)["per_second"]
        facts.append(("receives a second with them queued", f"{taken:.0f}"))
    with server(argv, {}, endpoint + health) as (process, seconds):
        facts.append(("ready after, over them", f"{1000 * seconds:.0f} ms"))
        began = time.monotonic()
        sqs = boto3.client("sqs", endpoint_url=endpoint, **KEYS)
        assert sqs.receive_message(QueueUrl=url)["Messages"]
        facts.append(("first receive after it", f"{1000 * (time.monotonic() - began):.0f} ms"))
    return facts


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
    for name, argv, env, port, health in subjects:
        if only in (None, name) and os.path.exists(argv[0]):
            endpoint = f"http://127.0.0.1:{port}"
            with server(argv, env, endpoint + health):
                measure(name, endpoint, rows, folder)
    cpu = re.search(r"model name\s*: (.*)", open("/proc/cpuinfo").read())
    machine = f"{os.cpu_count()} x {cpu.group(1) if cpu else platform.processor()}, Linux {platform.release()}"
    print(f"\nMachine: {machine}; {syncs_per_second(folder)} durable appends of 4 KiB a second; messages of 1 KB; {SECONDS} s a cell\n")
    print("| operation | clients | | per second | p50 ms | p99 ms | errors |\n| --- | --- | --- | --- | --- | --- | --- |")
    for kind, clients, name, r in sorted(rows, key=lambda row: row[:3]):
        print(f"| {kind} | {clients} | {name} | {r['per_second']:.0f} | {r['p50_us'] / 1000:.3f} | {r['p99_us'] / 1000:.3f} | {r['errors']} |")
    if MESSAGES and only in (None, "cumulet"):
        print("\n| a queue of very many | |\n| --- | --- |")
        for fact, value in many(cumulet[:-1] + [folder + "/many"], "http://127.0.0.1:4601", "/_cumulet/health", folder):
            print(f"| {fact} | {value} |")
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
