"""Tables side by side in one run: Cumulet, durable, against dynalite, ministack and DynamoDB Local as they are shipped. PutItem,
GetItem, Query of a hundred items and TransactWriteItems of two, 1 KB items with random keys, at 1, 16 and 256 clients. Then, on
Cumulet alone, gets from that table and from one of ten thousand items, in turns. Prints Markdown tables, the machine, and how often a
second its disk makes a small append durable.

BENCH_ITEMS is how many items are there before, BENCH_SECONDS how long each cell is measured, BENCH_ONLY names one subject. With
BENCH_KINDS=sizes nothing but the two sizes is measured."""
import json
import os
import platform
import random
import re
import shutil
import subprocess
import tempfile
import time

import boto3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from run import KEYS, ROOT, TARGET, rss_mib, server

ITEMS = int(os.environ.get("BENCH_ITEMS", "100000"))
FEW_ITEMS = 10_000
TURNS = 5
KINDS = os.environ.get("BENCH_KINDS")
SECONDS = float(os.environ.get("BENCH_SECONDS", "5"))
CLIENTS = [1, 16, 256]
REQUESTS = 4000
PER_PARTITION = 100
PAD = "x" * 950
DYNAMODB_LOCAL = os.path.join(ROOT, "bench", "node", "dynamodb-local")
DYNALITE = os.path.join(ROOT, "bench", "node", "node_modules", "dynalite", "cli.js")


def item(n, version=0):
    return {"pk": {"S": f"user#{n // PER_PARTITION}"}, "sk": {"S": f"order#{n % PER_PARTITION:04}"}, "data": {"S": PAD}, "n": {"N": str(version)}}


def key(n):
    return {name: item(n)[name] for name in ("pk", "sk")}


# None hangs the run.
CELL_SECONDS_MAX = 120


def signed(endpoint, target, body, prefix="DynamoDB_20120810", scope="dynamodb"):
    text = json.dumps(body)
    headers = {"content-type": "application/x-amz-json-1.0", "x-amz-target": f"{prefix}.{target}"}
    request = AWSRequest("POST", endpoint + "/", data=text, headers=headers)
    SigV4Auth(Credentials("test", "test"), scope, "us-east-1").add_auth(request)
    return json.dumps({"headers": dict(request.headers.items()), "body": text})


class Stuck(Exception):
    """A subject that does not come to the end of a cell."""


def load(endpoint, clients, seconds, lines, folder, method="POST"):
    path = os.path.join(folder, "requests")
    with open(path, "w") as file:
        file.write("\n".join(lines))
    argv = [f"{TARGET}/cumulet-bench", endpoint + "/", str(clients), str(seconds), method, "@" + path]
    try:
        return json.loads(subprocess.check_output(argv, text=True, timeout=CELL_SECONDS_MAX + 4 * seconds))
    except subprocess.TimeoutExpired:
        raise Stuck(f"no end after {CELL_SECONDS_MAX + 4 * seconds:.0f} s") from None
    except subprocess.CalledProcessError:
        raise Stuck("it no longer answers") from None


def kinds(endpoint):
    """Requests of each kind. Those that write come in two versions, one after the other, so that each changes something."""
    one = [random.randrange(ITEMS) for _ in range(REQUESTS)]
    two = [random.sample(range(ITEMS), 2) for _ in range(REQUESTS)]
    put = lambda n, version: {"Put": {"TableName": "bench", "Item": item(n, version)}}
    yield "PutItem", [signed(endpoint, "PutItem", {"TableName": "bench", "Item": item(n, v)}) for v in (1, 2) for n in one]
    yield "GetItem", [signed(endpoint, "GetItem", {"TableName": "bench", "Key": key(n)}) for n in one]
    yield "Query of 100", [signed(endpoint, "Query", {
        "TableName": "bench", "KeyConditionExpression": "pk = :p", "ExpressionAttributeValues": {":p": item(n)["pk"]}}) for n in one]
    yield "TransactWriteItems of 2", [
        signed(endpoint, "TransactWriteItems", {"TransactItems": [put(n, v) for n in some]}) for v in (3, 4) for some in two]


def preload(endpoint, folder, table="bench", items=ITEMS):
    seconds, errors = 0, 0
    for start in range(0, items, 50_000):
        batch = lambda at: {"RequestItems": {table: [{"PutRequest": {"Item": item(n)}} for n in range(at, min(at + 25, items))]}}
        lines = [signed(endpoint, "BatchWriteItem", batch(at)) for at in range(start, min(start + 50_000, items), 25)]
        began = time.monotonic()
        errors += load(endpoint, 16, 0, lines, folder)["errors"]
        seconds += time.monotonic() - began
    return seconds, errors


def create(db, name, table):
    # The DynamoDB Local that npm has is older than tables paid by request.
    local = name == "DynamoDB Local"
    mode = {"ProvisionedThroughput": {"ReadCapacityUnits": 40000, "WriteCapacityUnits": 40000}} if local else {"BillingMode": "PAY_PER_REQUEST"}
    db.create_table(TableName=table, AttributeDefinitions=[{"AttributeName": n, "AttributeType": "S"} for n in ("pk", "sk")],
                    KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}], **mode)
    db.get_waiter("table_exists").wait(TableName=table, WaiterConfig={"Delay": 1})


def sizes(db, endpoint, process, folder):
    """Gets with one client from the table and from a small one, in turns, so that both have the same machine; and the memory after."""
    create(db, "cumulet", "few")
    preload(endpoint, folder, "few", FEW_ITEMS)
    get = lambda table, n: signed(endpoint, "GetItem", {"TableName": table, "Key": key(n)})
    few = [get("few", n) for n in random.sample(range(FEW_ITEMS), FEW_ITEMS)]
    many = [get("bench", random.randrange(ITEMS)) for _ in range(10 * FEW_ITEMS)]
    found = {"few": [], "many": []}
    for _ in range(TURNS):
        for name, lines in (("few", few), ("many", many)):
            found[name].append(load(endpoint, 1, SECONDS, lines, folder))
    print(f"\n| GetItem, one client, items in the table | per second | p50 ms | p99 ms | errors |\n| --- | --- | --- | --- | --- |")
    for name, count in (("few", FEW_ITEMS), ("many", ITEMS)):
        some = sorted(found[name], key=lambda r: r["p50_us"])
        one = some[len(some) // 2]
        print(f"| {count} | {one['per_second']:.0f} | {one['p50_us'] / 1000:.3f} | {one['p99_us'] / 1000:.3f} | {sum(r['errors'] for r in some)} |")
    print(f"\nThe median of {TURNS} turns; {rss_mib(process.pid):.0f} MiB after.")


def measure(name, endpoint, process, rows, facts, folder):
    db = boto3.client("dynamodb", endpoint_url=endpoint, **KEYS)
    create(db, name, "bench")
    seconds, errors = preload(endpoint, folder)
    facts.append((name, ITEMS / seconds, errors, rss_mib(process.pid)))
    if name == "cumulet":
        sizes(db, endpoint, process, folder)
    for kind, lines in kinds(endpoint) if KINDS != "sizes" else []:
        for clients in CLIENTS:
            load(endpoint, clients, SECONDS / 4, lines, folder)
            rows.append((kind, clients, name, load(endpoint, clients, SECONDS, lines, folder)))


def syncs_per_second(folder):
    """Appends of 4 KiB, each made durable."""
    with open(os.path.join(folder, "sync"), "wb", buffering=0) as file:
        until, count = time.monotonic() + 1, 0
        while time.monotonic() < until:
            file.write(b"x" * 4096)
            os.fdatasync(file.fileno())
            count += 1
    return count


def main():
    folder = tempfile.mkdtemp()
    rows, facts = [], []
    ministack = os.path.join(ROOT, ".venv-bench", "bin", "ministack")
    subjects = [
        ("cumulet", [f"{TARGET}/cumulet", "up", "--listen", "127.0.0.1:4591", "--data-dir", folder + "/data"], {}, 4591, "/_cumulet/health"),
        ("dynalite", ["node", DYNALITE, "--port", "4592", "--createTableMs", "0"], {}, 4592, ""),
        ("ministack", [ministack], {"GATEWAY_PORT": "4593", "BIND_HOST": "127.0.0.1"}, 4593, "/_ministack/health"),
    ]
    if shutil.which("java"):
        jar = ["java", f"-Djava.library.path={DYNAMODB_LOCAL}/DynamoDBLocal_lib", "-jar", f"{DYNAMODB_LOCAL}/DynamoDBLocal.jar"]
        subjects.append(("DynamoDB Local", [*jar, "-inMemory", "-port", "4594"], {}, 4594, "/shell/"))
    only = os.environ.get("BENCH_ONLY")
    for name, argv, env, port, health in subjects:
        if only in (None, name):
            endpoint = f"http://127.0.0.1:{port}"
            with server(argv, env, endpoint + health) as (process, _):
                measure(name, endpoint, process, rows, facts, folder)
    cpu = re.search(r"model name\s*: (.*)", open("/proc/cpuinfo").read())
    machine = f"{os.cpu_count()} x {cpu.group(1) if cpu else platform.processor()}, Linux {platform.release()}"
    print(f"\nMachine: {machine}; {syncs_per_second(folder)} durable appends of 4 KiB a second; {ITEMS} items of 1 KB; {SECONDS} s a cell\n")
    shutil.rmtree(folder, ignore_errors=True)
    print("| | items loaded a second | errors | MiB after |\n| --- | --- | --- | --- |")
    for name, rate, errors, mib in facts:
        print(f"| {name} | {rate:.0f} | {errors} | {mib:.0f} |")
    print("\n| operation | clients | | per second | p50 ms | p99 ms | errors |\n| --- | --- | --- | --- | --- | --- | --- |")
    for kind, clients, name, r in sorted(rows, key=lambda row: row[:3]):
        print(f"| {kind} | {clients} | {name} | {r['per_second']:.0f} | {r['p50_us'] / 1000:.3f} | {r['p99_us'] / 1000:.3f} | {r['errors']} |")


if __name__ == "__main__":
    main()
