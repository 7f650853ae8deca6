"""Mixed load on two tables over many kills: says `kill` when it is under way, and checks everything when it hears `up`.

What was acknowledged has to be there, each index has to be what the table makes of it, and the stream has to be the
history: every record's old image is what the records before it left, and together they leave what the table holds."""

import random
import sys
import threading

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

ROUNDS = int(sys.argv[1])
WORKERS = 6
KEYS = 8
config = Config(retries={"total_max_attempts": 1}, connect_timeout=5, read_timeout=20, max_pool_connections=2 * WORKERS)
db = boto3.client("dynamodb", config=config)
streams = boto3.client("dynamodbstreams", config=config)
NAMES = ("one", "two")
INDEXES = {"by-kind": ("kind", "v"), "by-v": ("pk", "v")}


def make():
    for name in NAMES:
        key = lambda *names: [{"AttributeName": n, "KeyType": t} for n, t in zip(names, ("HASH", "RANGE"))]
        db.create_table(
            TableName=name, BillingMode="PAY_PER_REQUEST", KeySchema=key("pk", "sk"),
            AttributeDefinitions=[{"AttributeName": n, "AttributeType": "N" if n == "v" else "S"} for n in ("kind", "pk", "sk", "v")],
            GlobalSecondaryIndexes=[{"IndexName": "by-kind", "KeySchema": key("kind", "v"), "Projection": {"ProjectionType": "ALL"}}],
            LocalSecondaryIndexes=[{"IndexName": "by-v", "KeySchema": key("pk", "v"), "Projection": {"ProjectionType": "KEYS_ONLY"}}],
            StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
        )


class Worker(threading.Thread):
    """Writes keys of its own, so that it knows what each holds; of the last operation it may not know whether it happened."""

    def __init__(self, number, seed, known):
        super().__init__(daemon=True)
        self.number, self.random, self.known = number, random.Random(seed), known
        self.pending, self.acknowledged, self.is_over = {}, 0, False

    def item(self, key):
        item = {"pk": {"S": key[1]}, "sk": {"S": key[2]}, "v": {"N": str(self.random.randrange(1000))}}
        if self.random.random() < 0.7:
            item["kind"] = {"S": self.random.choice("abc")}
        if self.random.random() < 0.1:
            item["data"] = {"S": "x" * self.random.randrange(70_000, 150_000)}
        return item

    def step(self):
        draw = self.random.random()
        key = (self.random.choice(NAMES), f"w{self.number}", str(self.random.randrange(KEYS)))
        where = {"TableName": key[0], "Key": {"pk": {"S": key[1]}, "sk": {"S": key[2]}}}
        if draw < 0.5:
            item = self.item(key)
            self.pending = {key: item}
            db.put_item(TableName=key[0], Item=item)
        elif draw < 0.65:
            self.pending = {key: None}
            db.delete_item(**where)
        elif draw < 0.8:
            old = self.known.get(key) or {"pk": {"S": key[1]}, "sk": {"S": key[2]}}
            count = int(old.get("count", {"N": "0"})["N"]) + 1
            self.pending = {key: {**old, "count": {"N": str(count)}}}
            db.update_item(**where, UpdateExpression="ADD #c :one", ExpressionAttributeNames={"#c": "count"},
                           ExpressionAttributeValues={":one": {"N": "1"}})
        else:
            keys = [(name, f"w{self.number}", str(n)) for name in NAMES for n in self.random.sample(range(KEYS), 2)]
            self.pending = {k: self.item(k) for k in keys}
            db.transact_write_items(TransactItems=[{"Put": {"TableName": k[0], "Item": i}} for k, i in self.pending.items()])
        self.known.update(self.pending)
        self.pending = {}
        self.acknowledged += 1

    def run(self):
        # Between two operations a kill may go unnoticed: the client connects anew.
        while not self.is_over:
            try:
                self.step()
            except (BotoCoreError, ClientError):
                return


def scan(name, **more):
    pages = db.get_paginator("scan").paginate(TableName=name, **more)
    return [item for page in pages for item in page["Items"]]


def key_of(name, item):
    return (name, item["pk"]["S"], item["sk"]["S"])


def check(workers, known, history, positions):
    tables = {name: {key_of(name, i): i for i in scan(name, ConsistentRead=True)} for name in NAMES}
    held = {**tables["one"], **tables["two"]}
    for worker in workers:
        for key in {k for k in held if k[1] == f"w{worker.number}"} | set(worker.known):
            now = held.get(key)
            assert now == worker.known.get(key) or (key in worker.pending and now == worker.pending[key]), (key, now)
        # All of a transaction or nothing of it.
        done = [held.get(k) == i for k, i in worker.pending.items() if worker.known.get(k) != i]
        assert all(done) or not any(done), worker.pending
    known.clear()
    known.update(held)
    for name in NAMES:
        for index, keys in INDEXES.items():
            expect = {k: i for k, i in tables[name].items() if all(a in i for a in keys)}
            found = scan(name, IndexName=index)
            assert {key_of(name, i) for i in found} == set(expect) and len(found) == len(expect), (name, index)
            for item in found:
                whole = expect[key_of(name, item)]
                assert item == (whole if index == "by-kind" else {a: whole[a] for a in ("pk", "sk", "v")})
        while True:
            answer = streams.get_records(ShardIterator=positions[name])
            positions[name] = answer["NextShardIterator"]
            for record in answer["Records"]:
                change = record["dynamodb"]
                key = key_of(name, change["Keys"])
                assert history.get(key) == change.get("OldImage"), (key, record["eventName"])
                event = "INSERT" if "OldImage" not in change else "MODIFY" if "NewImage" in change else "REMOVE"
                assert event == record["eventName"]
                history.pop(key, None)
                if "NewImage" in change:
                    history[key] = change["NewImage"]
            if not answer["Records"]:
                break
        assert {k: i for k, i in history.items() if k[0] == name} == tables[name], name


def main():
    make()
    known, history, total = {}, {}, 0
    positions = {}
    for name in NAMES:
        arn = streams.list_streams(TableName=name)["Streams"][0]["StreamArn"]
        shard = streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"][0]["ShardId"]
        positions[name] = streams.get_shard_iterator(StreamArn=arn, ShardId=shard, ShardIteratorType="TRIM_HORIZON")["ShardIterator"]
    for n in range(ROUNDS):
        mine = [{k: i for k, i in known.items() if k[1] == f"w{w}"} for w in range(WORKERS)]
        workers = [Worker(w, 1000 * n + w, mine[w]) for w in range(WORKERS)]
        for worker in workers:
            worker.start()
        wanted = random.Random(n).randrange(5, 60)
        while sum(w.acknowledged for w in workers) < wanted and any(w.is_alive() for w in workers):
            workers[0].join(0.002)
        print("kill", flush=True)
        assert sys.stdin.readline().strip() == "up"
        for worker in workers:
            worker.is_over = True
        for worker in workers:
            worker.join()
        total += sum(w.acknowledged for w in workers)
        check(workers, known, history, positions)
    print(f"done {total}", flush=True)


main()
