"""DynamoDB as boto3 sees it, client and resource; boto3 checks the CRC-32 of every answer by itself."""

import gzip
import json
import time
from decimal import Decimal

import boto3
from amazon.ion import simpleion as ion
from boto3.dynamodb.conditions import Attr, Key
from botocore.exceptions import ClientError

db = boto3.client("dynamodb")
res = boto3.resource("dynamodb")
streams = boto3.client("dynamodbstreams")


def refused(code, call, message=None, **parameters):
    """The error a call ends with."""
    try:
        call(**parameters)
    except ClientError as error:
        assert error.response["Error"]["Code"] == code, error
        if message is not None:
            assert message in error.response["Error"]["Message"], error
        return error.response
    raise SystemExit(f"{call.__name__}({parameters}) should have ended with {code}")


def eventually(what, holds, seconds=60):
    """Waits for a condition, with a deadline."""
    deadline = time.monotonic() + seconds
    while True:
        answer = holds()
        if answer:
            return answer
        assert time.monotonic() < deadline, f"never came true: {what}"
        time.sleep(0.05)


def create(name, keys=("pk", "sk"), **more):
    kinds = {"n": "N"}
    attributes = sorted(set(keys) | set(more.pop("also", ())))
    db.create_table(
        TableName=name,
        AttributeDefinitions=[{"AttributeName": a, "AttributeType": kinds.get(a, "S")} for a in attributes],
        KeySchema=[{"AttributeName": k, "KeyType": t} for k, t in zip(keys, ["HASH", "RANGE"])],
        BillingMode=more.pop("BillingMode", "PAY_PER_REQUEST"),
        **more,
    )
    db.get_waiter("table_exists").wait(TableName=name, WaiterConfig={"Delay": 1})
    return res.Table(name)


def tables():
    table = create("plain", Tags=[{"Key": "team", "Value": "a"}], TableClass="STANDARD", DeletionProtectionEnabled=True)
    described = db.describe_table(TableName="plain")["Table"]
    assert described["TableStatus"] == "ACTIVE" and described["ItemCount"] == 0
    assert described["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"
    assert described["KeySchema"][1] == {"AttributeName": "sk", "KeyType": "RANGE"}
    arn = described["TableArn"]
    assert db.describe_table(TableName=arn)["Table"]["TableName"] == "plain"
    refused("ResourceInUseException", create, name="plain")
    refused("ResourceNotFoundException", db.describe_table, TableName="absent")
    refused("ResourceNotFoundException", db.get_item, TableName="absent", Key={"pk": {"S": "a"}})
    refused("ValidationException", db.create_table, TableName="bad", AttributeDefinitions=[], KeySchema=[])
    for n in range(3):
        create(f"many-{n}", keys=("pk",))
    seen = []
    for page in db.get_paginator("list_tables").paginate(PaginationConfig={"PageSize": 2}):
        seen += page["TableNames"]
    assert seen == ["many-0", "many-1", "many-2", "plain"], seen
    db.tag_resource(ResourceArn=arn, Tags=[{"Key": "x", "Value": "y"}])
    db.untag_resource(ResourceArn=arn, TagKeys=["team"])
    assert db.list_tags_of_resource(ResourceArn=arn)["Tags"] == [{"Key": "x", "Value": "y"}]
    refused("ValidationException", db.delete_table, TableName="plain")
    db.update_table(TableName="plain", DeletionProtectionEnabled=False)
    db.delete_table(TableName="plain")
    db.get_waiter("table_not_exists").wait(TableName="plain", WaiterConfig={"Delay": 1})
    assert db.describe_limits()["TableMaxReadCapacityUnits"] > 0
    assert db.describe_endpoints()["Endpoints"][0]["Address"]
    del table


def items():
    table = create("items")
    item = {
        "pk": "a", "sk": "1", "text": "é", "number": Decimal("12345678901234567890123456789012345678"),
        "small": Decimal("1E-130"), "bytes": b"\0\xff", "yes": True, "none": None,
        "list": [1, "two", {"three": [b"3"]}], "map": {"a": {"b": 1}}, "ss": {"a", "b"}, "ns": {1, 2}, "bs": {b"x"},
    }
    answer = table.put_item(Item=item, ReturnConsumedCapacity="TOTAL")
    assert answer["ConsumedCapacity"]["CapacityUnits"] == 1
    got = table.get_item(Key={"pk": "a", "sk": "1"}, ConsistentRead=True, ReturnConsumedCapacity="TOTAL")
    got["Item"]["bytes"] = got["Item"]["bytes"].value
    got["Item"]["list"][2]["three"] = [b.value for b in got["Item"]["list"][2]["three"]]
    got["Item"]["bs"] = {b.value for b in got["Item"]["bs"]}
    assert got["Item"] == item, got
    assert got["ConsumedCapacity"]["CapacityUnits"] == 1
    assert table.get_item(Key={"pk": "a", "sk": "1"}, ProjectionExpression="#m.a.b, #l[1]",
                          ExpressionAttributeNames={"#m": "map", "#l": "list"})["Item"] == {"map": {"a": {"b": 1}}, "list": ["two"]}
    assert "Item" not in table.get_item(Key={"pk": "a", "sk": "2"})
    old = table.put_item(Item={"pk": "a", "sk": "1", "n": 1}, ReturnValues="ALL_OLD")
    assert old["Attributes"]["text"] == "é"
    table.put_item(Item={"pk": "b", "sk": "1"}, ConditionExpression="attribute_not_exists(pk)")
    failed = refused("ConditionalCheckFailedException", table.put_item, "The conditional request failed",
                     Item={"pk": "a", "sk": "1"}, ConditionExpression="attribute_not_exists(pk)",
                     ReturnValuesOnConditionCheckFailure="ALL_OLD")
    assert failed["Item"]["n"] == {"N": "1"}, failed
    new = table.update_item(Key={"pk": "a", "sk": "1"}, UpdateExpression="ADD n :one SET m = :m REMOVE gone",
                            ExpressionAttributeValues={":one": 1, ":m": {"x": 1}}, ReturnValues="UPDATED_NEW")
    assert new["Attributes"] == {"n": 2, "m": {"x": 1}}
    old = table.update_item(Key={"pk": "a", "sk": "1"}, UpdateExpression="SET m.x = m.x + :one",
                            ExpressionAttributeValues={":one": 1}, ReturnValues="UPDATED_OLD")
    assert old["Attributes"] == {"m": {"x": 1}}, old
    made = table.update_item(Key={"pk": "c", "sk": "1"}, UpdateExpression="SET a = if_not_exists(a, :z)",
                             ExpressionAttributeValues={":z": 0}, ReturnValues="ALL_NEW")
    assert made["Attributes"] == {"pk": "c", "sk": "1", "a": 0}
    gone = table.delete_item(Key={"pk": "c", "sk": "1"}, ReturnValues="ALL_OLD")
    assert gone["Attributes"]["a"] == 0
    table.delete_item(Key={"pk": "c", "sk": "1"})
    refused("ConditionalCheckFailedException", table.delete_item, Key={"pk": "c", "sk": "1"}, ConditionExpression="a = :z",
            ExpressionAttributeValues={":z": 0})
    # Large items, and keys as long as they may be.
    large = {"pk": "x" * 2048, "sk": "y" * 1024, "data": "z" * 400_000}
    assert table.put_item(Item=large, ReturnConsumedCapacity="TOTAL")["ConsumedCapacity"]["CapacityUnits"] == 394
    key = {k: large[k] for k in ("pk", "sk")}
    assert table.get_item(Key=key)["Item"] == large
    table.put_item(Item={**key, "data": "small"})
    assert table.get_item(Key=key)["Item"]["data"] == "small"
    for parameters, message in [
        ({"Item": {"pk": "a"}}, "Missing the key sk in the item"),
        ({"Item": {"pk": 1, "sk": "a"}}, "Type mismatch for key pk expected: S actual: N"),
        ({"Item": {"pk": "", "sk": "a"}}, "cannot contain an empty string value. Key: pk"),
        ({"Item": {"pk": "x" * 2049, "sk": "a"}}, "Size of hashkey has exceeded"),
        ({"Item": {"pk": "x", "sk": "a" * 1025}}, "Aggregated size of all range keys"),
        ({"Item": {"pk": "x", "sk": "a", "d": "z" * 410_000}}, "Item size has exceeded the maximum allowed size"),
        ({"Item": {"pk": "x", "sk": "a"}, "ReturnValues": "ALL_NEW"}, "Return values set to invalid value"),
        ({"Item": {"pk": "x", "sk": "a"}, "ExpressionAttributeNames": {"#a": "b"}}, "can only be specified when using expressions"),
        ({"Item": {"pk": "x", "sk": "a"}, "ConditionExpression": "a = :x"}, "is not defined; attribute value: :x"),
    ]:
        refused("ValidationException", table.put_item, message, **parameters)
    refused("ValidationException", table.get_item, "The provided key element does not match the schema", Key={"pk": "a"})
    refused("ValidationException", table.update_item, "This attribute is part of the key", Key={"pk": "a", "sk": "1"},
            UpdateExpression="SET pk = :a", ExpressionAttributeValues={":a": "b"})
    return table


def reading():
    table = create("reading", keys=("pk", "n"))
    with table.batch_writer() as batch:
        for n in range(120):
            batch.put_item(Item={"pk": "p", "n": n - 60, "even": n % 2 == 0, "pad": "x" * 100})
        for n in range(30):
            batch.put_item(Item={"pk": f"q{n}", "n": 0})
    got = table.query(KeyConditionExpression=Key("pk").eq("p"))
    assert [i["n"] for i in got["Items"]] == list(range(-60, 60)) and "LastEvaluatedKey" not in got
    got = table.query(KeyConditionExpression=Key("pk").eq("p") & Key("n").between(-5, 5), ScanIndexForward=False)
    assert [i["n"] for i in got["Items"]] == list(range(5, -6, -1))
    for condition, expect in [
        (Key("n").lt(-58), [-60, -59]), (Key("n").lte(-59), [-60, -59]), (Key("n").gt(58), [59]),
        (Key("n").gte(58), [58, 59]), (Key("n").eq(7), [7]),
    ]:
        got = table.query(KeyConditionExpression=Key("pk").eq("p") & condition)
        assert [i["n"] for i in got["Items"]] == expect, condition
    got = table.query(KeyConditionExpression=Key("pk").eq("p"), FilterExpression=Attr("even").eq(True), Limit=10,
                      ReturnConsumedCapacity="TOTAL")
    assert (got["Count"], got["ScannedCount"], got["LastEvaluatedKey"]) == (5, 10, {"pk": "p", "n": -51})
    rest = table.query(KeyConditionExpression=Key("pk").eq("p"), ExclusiveStartKey=got["LastEvaluatedKey"], Select="COUNT")
    assert rest["Count"] == 110 and "Items" not in rest
    back = table.query(KeyConditionExpression=Key("pk").eq("p"), ExclusiveStartKey={"pk": "p", "n": 0},
                       ScanIndexForward=False, Limit=2)
    assert [i["n"] for i in back["Items"]] == [-1, -2]
    seen = []
    for segment in range(4):
        start = {}
        while True:
            page = table.scan(Segment=segment, TotalSegments=4, Limit=7, **start)
            seen += [(i["pk"], i["n"]) for i in page["Items"]]
            if "LastEvaluatedKey" not in page:
                break
            start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}
    assert len(seen) == 150 and len(set(seen)) == 150
    assert table.scan(FilterExpression=Attr("pk").begins_with("q"), Select="COUNT")["Count"] == 30
    # A page ends after a megabyte.
    big = create("big")
    for n in range(8):
        big.put_item(Item={"pk": "p", "sk": str(n), "data": "x" * 300_000})
    page = big.query(KeyConditionExpression=Key("pk").eq("p"), ReturnConsumedCapacity="TOTAL")
    assert page["Count"] == 4 and page["LastEvaluatedKey"]["sk"] == "3", (page["Count"], page["LastEvaluatedKey"])
    pages = list(db.get_paginator("scan").paginate(TableName="big"))
    assert [p["Count"] for p in pages] == [4, 4, 0] or [p["Count"] for p in pages] == [4, 4], [p["Count"] for p in pages]
    for parameters, message in [
        ({}, "Either the KeyConditions or KeyConditionExpression parameter must be specified"),
        ({"KeyConditionExpression": Key("n").eq(1)}, "Query condition missed key schema element: pk"),
        ({"KeyConditionExpression": Key("pk").eq(1)}, "Condition parameter type does not match schema type"),
        ({"KeyConditionExpression": Key("pk").eq("p"), "FilterExpression": Attr("n").eq(1)}, "Primary key attribute: n"),
        ({"KeyConditionExpression": Key("pk").eq("p"), "IndexName": "none"}, "The table does not have the specified index: none"),
        ({"KeyConditionExpression": Key("pk").eq("p"), "ExclusiveStartKey": {"pk": "q", "n": 1}}, "outside query boundaries"),
        ({"KeyConditionExpression": Key("pk").eq("p"), "ExclusiveStartKey": {"pk": "p"}}, "The provided starting key is invalid"),
    ]:
        refused("ValidationException", table.query, message, **parameters)
    for parameters, message in [
        ({"Segment": 4, "TotalSegments": 4}, "must be less than parameter TotalSegments"),
        ({"Segment": 0}, "TotalSegments parameter is required"),
    ]:
        refused("ValidationException", table.scan, message, **parameters)


def batches():
    table = create("batches", keys=("pk",))
    requests = [{"PutRequest": {"Item": {"pk": {"S": str(n)}, "n": {"N": str(n)}}}} for n in range(25)]
    answer = db.batch_write_item(RequestItems={"batches": requests}, ReturnConsumedCapacity="TOTAL")
    assert answer["UnprocessedItems"] == {} and answer["ConsumedCapacity"][0]["CapacityUnits"] == 25
    keys = [{"pk": {"S": str(n)}} for n in range(30)]
    got = db.batch_get_item(RequestItems={"batches": {"Keys": keys, "ProjectionExpression": "n"}})
    assert sorted(int(i["n"]["N"]) for i in got["Responses"]["batches"]) == list(range(25)) and got["UnprocessedKeys"] == {}
    refused("ValidationException", db.batch_write_item, "Too many items", RequestItems={"batches": requests + requests[:1]})
    refused("ValidationException", db.batch_write_item, "contains duplicates", RequestItems={"batches": [requests[0], requests[0]]})
    refused("ValidationException", db.batch_get_item, "contains duplicates", RequestItems={"batches": {"Keys": [keys[0], keys[0]]}})
    refused("ResourceNotFoundException", db.batch_get_item, RequestItems={"absent": {"Keys": keys[:1]}})
    # Sixteen megabytes are the most a batch answers; the rest comes back.
    for n in range(45):
        table.put_item(Item={"pk": f"big{n}", "data": "x" * 390_000})
    left, seen = {"batches": {"Keys": [{"pk": {"S": f"big{n}"}} for n in range(45)]}}, 0
    rounds = 0
    while left:
        got = db.batch_get_item(RequestItems=left)
        left, seen, rounds = got["UnprocessedKeys"], seen + len(got["Responses"]["batches"]), rounds + 1
    assert seen == 45 and rounds == 2, (seen, rounds)


def transactions():
    create("bank", keys=("pk",))
    create("log", keys=("pk",))
    put = lambda name, n: {"Put": {"TableName": "bank", "Item": {"pk": {"S": name}, "n": {"N": str(n)}}}}
    db.transact_write_items(TransactItems=[put("a", 100), put("b", 0)])
    move = [
        {"Update": {"TableName": "bank", "Key": {"pk": {"S": "a"}}, "UpdateExpression": "SET n = n - :x",
                    "ConditionExpression": "n >= :x", "ExpressionAttributeValues": {":x": {"N": "60"}},
                    "ReturnValuesOnConditionCheckFailure": "ALL_OLD"}},
        {"Update": {"TableName": "bank", "Key": {"pk": {"S": "b"}}, "UpdateExpression": "SET n = n + :x",
                    "ExpressionAttributeValues": {":x": {"N": "60"}}}},
        {"Put": {"TableName": "log", "Item": {"pk": {"S": "1"}}, "ConditionExpression": "attribute_not_exists(pk)"}},
    ]
    answer = db.transact_write_items(TransactItems=move, ClientRequestToken="t1", ReturnConsumedCapacity="TOTAL")
    assert [c["CapacityUnits"] for c in answer["ConsumedCapacity"]] == [4, 2], answer
    # The same again under the same token changes nothing; another request under it is refused.
    db.transact_write_items(TransactItems=move, ClientRequestToken="t1")
    refused("IdempotentParameterMismatchException", db.transact_write_items, TransactItems=move[:1], ClientRequestToken="t1")
    failed = refused("TransactionCanceledException", db.transact_write_items,
                     "[ConditionalCheckFailed, None, ConditionalCheckFailed]", TransactItems=move)
    reasons = failed["CancellationReasons"]
    assert reasons[0]["Item"]["n"] == {"N": "40"} and reasons[1]["Code"] == "None", failed
    get = lambda table, key: {"Get": {"TableName": table, "Key": {"pk": {"S": key}}}}
    got = db.transact_get_items(TransactItems=[get("bank", "a"), get("bank", "b"), get("log", "1"), get("log", "2")])
    assert [r.get("Item", {}).get("n", {}).get("N") for r in got["Responses"]] == ["40", "60", None, None]
    refused("ValidationException", db.transact_write_items, "multiple operations on one item", TransactItems=[put("c", 1), put("c", 2)])
    check = {"ConditionCheck": {"TableName": "log", "Key": {"pk": {"S": "9"}}, "ConditionExpression": "attribute_exists(pk)"}}
    refused("TransactionCanceledException", db.transact_write_items, "[None, ConditionalCheckFailed]", TransactItems=[put("c", 1), check])
    assert "Item" not in db.get_item(TableName="bank", Key={"pk": {"S": "c"}})


def indexes():
    projection = {"ProjectionType": "ALL"}
    table = create(
        "indexed", also=("kind", "n"),
        LocalSecondaryIndexes=[{"IndexName": "by-n", "Projection": {"ProjectionType": "KEYS_ONLY"},
                                "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "n", "KeyType": "RANGE"}]}],
        GlobalSecondaryIndexes=[
            {"IndexName": "by-kind", "Projection": projection,
             "KeySchema": [{"AttributeName": "kind", "KeyType": "HASH"}, {"AttributeName": "n", "KeyType": "RANGE"}]},
            {"IndexName": "some", "Projection": {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["shown"]},
             "KeySchema": [{"AttributeName": "kind", "KeyType": "HASH"}]},
        ],
    )
    for n in range(20):
        item = {"pk": "p", "sk": f"{n:02}", "shown": n, "hidden": "h" * 10}
        if n % 2:
            item["kind"] = "odd"
        if n % 4:
            item["n"] = -n
        table.put_item(Item=item)
    by_kind = lambda **more: table.query(IndexName="by-kind", KeyConditionExpression=Key("kind").eq("odd"), **more)
    got = by_kind()
    assert [i["n"] for i in got["Items"]] == list(range(-19, 0, 2)) and got["Items"][0]["hidden"], got
    first = by_kind(Limit=3)
    assert first["LastEvaluatedKey"] == {"pk": "p", "sk": "15", "kind": "odd", "n": -15}, first["LastEvaluatedKey"]
    assert by_kind(ExclusiveStartKey=first["LastEvaluatedKey"])["Count"] == 7
    got = table.query(IndexName="by-n", KeyConditionExpression=Key("pk").eq("p") & Key("n").lt(-16), ConsistentRead=True)
    assert got["Items"] == [{"pk": "p", "sk": f"{n:02}", "n": -n} for n in (19, 18, 17)], got["Items"]
    whole = table.query(IndexName="by-n", KeyConditionExpression=Key("pk").eq("p"), Select="ALL_ATTRIBUTES")
    assert whole["Count"] == 15 and "hidden" in whole["Items"][0]
    some = table.scan(IndexName="some")
    assert some["Count"] == 10 and all(set(i) <= {"pk", "sk", "kind", "shown"} for i in some["Items"])
    refused("ValidationException", by_kind, "Consistent reads are not supported on global secondary indexes", ConsistentRead=True)
    refused("ValidationException", table.put_item, "Type mismatch for Index Key n", Item={"pk": "p", "sk": "x", "n": "text"})
    # Items move within indexes, out of them and into them.
    table.update_item(Key={"pk": "p", "sk": "01"}, UpdateExpression="SET n = :n", ExpressionAttributeValues={":n": 100})
    assert by_kind()["Items"][-1]["n"] == 100
    table.update_item(Key={"pk": "p", "sk": "01"}, UpdateExpression="REMOVE kind")
    assert by_kind()["Count"] == 9
    table.delete_item(Key={"pk": "p", "sk": "03"})
    assert by_kind()["Count"] == 8
    used = table.put_item(Item={"pk": "p", "sk": "99", "kind": "odd", "n": 1}, ReturnConsumedCapacity="INDEXES")["ConsumedCapacity"]
    assert used["CapacityUnits"] == 4 and used["GlobalSecondaryIndexes"]["by-kind"]["CapacityUnits"] == 1, used
    # An index on a table that is in use.
    table.put_item(Item={"pk": "p", "sk": "large", "late": "yes", "data": "x" * 200_000})
    with table.batch_writer() as batch:
        for n in range(500):
            batch.put_item(Item={"pk": f"l{n}", "sk": "1", "late": "yes" if n % 5 else "no"})
    db.update_table(
        TableName="indexed", AttributeDefinitions=[{"AttributeName": "late", "AttributeType": "S"}],
        GlobalSecondaryIndexUpdates=[{"Create": {"IndexName": "by-late", "Projection": projection,
                                                 "KeySchema": [{"AttributeName": "late", "KeyType": "HASH"}]}}],
    )

    def is_active():
        found = db.describe_table(TableName="indexed")["Table"]["GlobalSecondaryIndexes"]
        return all(i["IndexStatus"] == "ACTIVE" for i in found)

    eventually("the new index is active", is_active)
    pages = db.get_paginator("query").paginate(TableName="indexed", IndexName="by-late", KeyConditionExpression="late = :y",
                                               ExpressionAttributeValues={":y": {"S": "yes"}})
    found = [item for page in pages for item in page["Items"]]
    assert len(found) == 401, len(found)
    assert max(len(i.get("data", {"S": ""})["S"]) for i in found) == 200_000
    counts = {i["IndexName"]: i["ItemCount"] for i in db.describe_table(TableName="indexed")["Table"]["GlobalSecondaryIndexes"]}
    assert counts == {"by-kind": 9, "some": 9, "by-late": 501}, counts
    db.update_table(TableName="indexed", GlobalSecondaryIndexUpdates=[{"Delete": {"IndexName": "by-late"}}])
    refused("ValidationException", table.query, IndexName="by-late", KeyConditionExpression=Key("late").eq("yes"))


def changes():
    table = create("changes", keys=("pk",), StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"})
    arn = table.latest_stream_arn
    assert streams.list_streams(TableName="changes")["Streams"][0]["StreamArn"] == arn
    shard = streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"][0]["ShardId"]

    def iterator(kind, **more):
        return streams.get_shard_iterator(StreamArn=arn, ShardId=shard, ShardIteratorType=kind, **more)["ShardIterator"]

    latest = iterator("LATEST")
    table.put_item(Item={"pk": "a", "n": 1})
    table.put_item(Item={"pk": "a", "n": 1})  # Nothing changes: no record.
    table.put_item(Item={"pk": "a", "n": 2, "data": "x" * 150_000})
    table.delete_item(Key={"pk": "a"})
    table.delete_item(Key={"pk": "a"})
    for start in (latest, iterator("TRIM_HORIZON")):
        got = streams.get_records(ShardIterator=start)
        assert [r["eventName"] for r in got["Records"]] == ["INSERT", "MODIFY", "REMOVE"], got
        assert "NextShardIterator" in got
    records = got["Records"]
    assert records[0]["dynamodb"]["NewImage"] == {"pk": {"S": "a"}, "n": {"N": "1"}} and "OldImage" not in records[0]["dynamodb"]
    assert records[2]["dynamodb"]["OldImage"]["n"] == {"N": "2"} and "userIdentity" not in records[2]
    assert len(records[1]["dynamodb"]["NewImage"]["data"]["S"]) == 150_000
    numbers = [int(r["dynamodb"]["SequenceNumber"]) for r in records]
    assert numbers == sorted(set(numbers))
    after = iterator("AFTER_SEQUENCE_NUMBER", SequenceNumber=records[0]["dynamodb"]["SequenceNumber"])
    assert len(streams.get_records(ShardIterator=after)["Records"]) == 2
    at = iterator("AT_SEQUENCE_NUMBER", SequenceNumber=records[1]["dynamodb"]["SequenceNumber"])
    assert len(streams.get_records(ShardIterator=at, Limit=1)["Records"]) == 1
    db.update_table(TableName="changes", StreamSpecification={"StreamEnabled": False})
    assert streams.describe_stream(StreamArn=arn)["StreamDescription"]["StreamStatus"] == "DISABLED"
    last = streams.get_records(ShardIterator=streams.get_records(ShardIterator=latest)["NextShardIterator"])
    assert last["Records"] == [] and "NextShardIterator" not in last
    refused("ResourceNotFoundException", streams.describe_stream, StreamArn=arn.replace("changes", "absent"))


def expiry():
    table = create("expiring", keys=("pk",), StreamSpecification={"StreamEnabled": True, "StreamViewType": "OLD_IMAGE"})
    now = int(time.time())
    table.put_item(Item={"pk": "before", "at": now - 10})
    table.put_item(Item={"pk": "ancient", "at": 1})
    table.put_item(Item={"pk": "later", "at": now + 3600})
    table.put_item(Item={"pk": "text", "at": str(now - 10)})
    specification = {"Enabled": True, "AttributeName": "at"}
    db.update_time_to_live(TableName="expiring", TimeToLiveSpecification=specification)
    refused("ValidationException", db.update_time_to_live, "already enabled", TableName="expiring", TimeToLiveSpecification=specification)
    assert db.describe_time_to_live(TableName="expiring")["TimeToLiveDescription"] == {"TimeToLiveStatus": "ENABLED", "AttributeName": "at"}
    table.put_item(Item={"pk": "after", "at": now - 5})
    left = lambda: {i["pk"] for i in table.scan()["Items"]}
    eventually("what is over is gone", lambda: left() == {"ancient", "later", "text"})
    arn = table.latest_stream_arn
    shard = streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"][0]["ShardId"]
    start = streams.get_shard_iterator(StreamArn=arn, ShardId=shard, ShardIteratorType="TRIM_HORIZON")["ShardIterator"]
    gone = [r for r in streams.get_records(ShardIterator=start)["Records"] if r["eventName"] == "REMOVE"]
    assert {r["dynamodb"]["OldImage"]["pk"]["S"] for r in gone} == {"before", "after"}
    assert all(r["userIdentity"] == {"PrincipalId": "dynamodb.amazonaws.com", "Type": "Service"} for r in gone)


def backups():
    table = create("saved", keys=("pk",), also=("kind",), GlobalSecondaryIndexes=[
        {"IndexName": "by-kind", "Projection": {"ProjectionType": "ALL"}, "KeySchema": [{"AttributeName": "kind", "KeyType": "HASH"}]}])
    db.update_continuous_backups(TableName="saved", PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True})
    for n in range(300):
        table.put_item(Item={"pk": str(n), "kind": "old", "n": n})
    table.put_item(Item={"pk": "large", "kind": "old", "data": "x" * 300_000})
    arn = db.create_backup(TableName="saved", BackupName="first")["BackupDetails"]["BackupArn"]
    described = eventually("the backup is there", lambda: (
        d := db.describe_backup(BackupArn=arn)["BackupDescription"])["BackupDetails"]["BackupStatus"] == "AVAILABLE" and d)
    assert described["SourceTableDetails"]["ItemCount"] == 301
    assert [b["BackupName"] for b in db.list_backups(TableName="saved")["BackupSummaries"]] == ["first"]
    # On the wire it is a whole second.
    moment = int(time.time()) + 1
    eventually("the second is over", lambda: time.time() > moment + 0.01)
    with table.batch_writer() as batch:
        for n in range(100):
            batch.put_item(Item={"pk": str(n), "kind": "new", "n": -n})
        for n in range(100, 150):
            batch.delete_item(Key={"pk": str(n)})
        batch.delete_item(Key={"pk": "large"})
        for n in range(50):
            batch.put_item(Item={"pk": f"new{n}", "kind": "new"})
    db.restore_table_from_backup(TargetTableName="restored", BackupArn=arn)
    db.restore_table_to_point_in_time(SourceTableName="saved", TargetTableName="rewound", RestoreDateTime=moment)
    db.restore_table_to_point_in_time(SourceTableName="saved", TargetTableName="copied", UseLatestRestorableTime=True)
    for name in ("restored", "rewound", "copied"):
        db.get_waiter("table_exists").wait(TableName=name, WaiterConfig={"Delay": 1})
    everything = lambda name: {i["pk"]: i for page in db.get_paginator("scan").paginate(TableName=name)
                               for i in map(lambda raw: {k: list(v.values())[0] for k, v in raw.items()}, page["Items"])}
    expect = {str(n): {"pk": str(n), "kind": "old", "n": str(n)} for n in range(300)}
    expect["large"] = {"pk": "large", "kind": "old", "data": "x" * 300_000}
    assert everything("restored") == expect
    assert everything("rewound") == expect, len(everything("rewound"))
    assert everything("copied") == everything("saved")
    found = res.Table("rewound").query(IndexName="by-kind", KeyConditionExpression=Key("kind").eq("old"))
    assert found["Count"] == 301
    refused("TableAlreadyExistsException", db.restore_table_from_backup, TargetTableName="restored", BackupArn=arn)
    refused("InvalidRestoreTimeException", db.restore_table_to_point_in_time, SourceTableName="saved", TargetTableName="xyz",
            RestoreDateTime=moment - 86_400)
    refused("PointInTimeRecoveryUnavailableException", db.restore_table_to_point_in_time, SourceTableName="restored",
            TargetTableName="xyz", UseLatestRestorableTime=True)
    db.delete_backup(BackupArn=arn)
    refused("BackupNotFoundException", db.describe_backup, BackupArn=arn)


def capacity():
    throughput = {"ReadCapacityUnits": 1, "WriteCapacityUnits": 1}
    table = create("provisioned", keys=("pk",), BillingMode="PROVISIONED", ProvisionedThroughput=throughput)
    # A burst of five minutes' units is kept: one such item takes 300 of them and a little.
    table.put_item(Item={"pk": "a", "data": "x" * (301 * 1024)})
    refused("ProvisionedThroughputExceededException", table.put_item, Item={"pk": "b"})
    table.get_item(Key={"pk": "a"})
    db.update_table(TableName="provisioned", ProvisionedThroughput={"ReadCapacityUnits": 1, "WriteCapacityUnits": 50})
    table.put_item(Item={"pk": "b"})
    db.update_table(TableName="provisioned", BillingMode="PAY_PER_REQUEST")
    assert db.describe_table(TableName="provisioned")["Table"]["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"


def policies():
    arn = db.describe_table(TableName="items")["Table"]["TableArn"]
    refused("PolicyNotFoundException", db.get_resource_policy, ResourceArn=arn)
    document = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"000000000000"},"Action":"dynamodb:GetItem","Resource":"%s"}]}' % arn
    revision = db.put_resource_policy(ResourceArn=arn, Policy=document)["RevisionId"]
    assert db.get_resource_policy(ResourceArn=arn) ["Policy"] == document
    assert db.delete_resource_policy(ResourceArn=arn)["RevisionId"] == revision


def older_parameters():
    table = create("older", keys=("pk", "n"))
    for n in range(10):
        table.put_item(Item={"pk": "p", "n": n, "v": n}, Expected={"pk": {"Exists": False}})
    refused("ConditionalCheckFailedException", table.put_item, Item={"pk": "p", "n": 1}, Expected={"v": {"Value": 7}})
    table.update_item(Key={"pk": "p", "n": 1}, AttributeUpdates={"v": {"Action": "ADD", "Value": 5}, "w": {"Value": "x"}})
    got = table.query(KeyConditions={"pk": {"AttributeValueList": ["p"], "ComparisonOperator": "EQ"},
                                     "n": {"AttributeValueList": [3], "ComparisonOperator": "LT"}},
                      QueryFilter={"v": {"AttributeValueList": [0], "ComparisonOperator": "GT"}}, AttributesToGet=["n", "v"])
    assert got["Items"] == [{"n": 1, "v": 6}, {"n": 2, "v": 2}], got
    assert table.scan(ScanFilter={"w": {"ComparisonOperator": "NOT_NULL"}})["Count"] == 1
    refused("ValidationException", table.scan, "Can not use both expression and non-expression parameters",
            ScanFilter={"w": {"ComparisonOperator": "NOT_NULL"}}, ProjectionExpression="v")


def statements():
    create("music", also=("kind",), GlobalSecondaryIndexes=[
        {"IndexName": "by-kind", "Projection": {"ProjectionType": "ALL"}, "KeySchema": [{"AttributeName": "kind", "KeyType": "HASH"}]}])
    for n in range(6):
        db.execute_statement(Statement="""INSERT INTO "music" VALUE {'pk': ?, 'sk': ?, 'kind': 'k', 'n': ?}""",
                             Parameters=[{"S": f"a{n % 2}"}, {"S": str(n)}, {"N": str(n)}])
    refused("DuplicateItemException", db.execute_statement, Statement="""INSERT INTO "music" VALUE {'pk': 'a0', 'sk': '0'}""")
    one = db.execute_statement(Statement="""SELECT n FROM "music" WHERE pk = 'a1' AND sk > '1' ORDER BY sk DESC""")
    assert one["Items"] == [{"n": {"N": "5"}}, {"n": {"N": "3"}}], one
    assert len(db.execute_statement(Statement="""SELECT * FROM "music"."by-kind" WHERE kind = 'k'""")["Items"]) == 6
    seen, more = [], {}
    while True:
        page = db.execute_statement(Statement="""SELECT sk FROM "music" WHERE pk IN ['a0', 'a1']""", Limit=2, **more)
        seen += [i["sk"]["S"] for i in page["Items"]]
        if "NextToken" not in page:
            break
        more = {"NextToken": page["NextToken"]}
    assert sorted(seen) == ["0", "1", "2", "3", "4", "5"], seen
    new = db.execute_statement(Statement="""UPDATE "music" SET n = n + 10 WHERE pk = 'a0' AND sk = '0' RETURNING MODIFIED NEW *""")
    assert new["Items"] == [{"n": {"N": "10"}}]
    refused("ConditionalCheckFailedException", db.execute_statement, Statement="""UPDATE "music" SET n = 1 WHERE pk = 'a0' AND sk = '9'""")
    batch = db.batch_execute_statement(Statements=[
        {"Statement": """SELECT n FROM "music" WHERE pk = 'a0' AND sk = '0'"""},
        {"Statement": """SELECT n FROM "music" WHERE pk = 'a0' AND sk = '9'"""},
        {"Statement": """SELECT n FROM "music" WHERE pk = 'a0'"""},
    ])["Responses"]
    assert batch[0]["Item"] == {"n": {"N": "10"}} and "Item" not in batch[1] and batch[2]["Error"]["Code"] == "ValidationError", batch
    db.execute_transaction(TransactStatements=[
        {"Statement": """EXISTS(SELECT * FROM "music" WHERE pk = 'a0' AND sk = '0' AND n = 10)"""},
        {"Statement": """DELETE FROM "music" WHERE pk = 'a0' AND sk = '2'"""},
        {"Statement": """INSERT INTO "music" VALUE {'pk': 'b', 'sk': 'b'}"""},
    ])
    failed = refused("TransactionCanceledException", db.execute_transaction, "[None, DuplicateItem]", TransactStatements=[
        {"Statement": """DELETE FROM "music" WHERE pk = 'a0' AND sk = '4'"""},
        {"Statement": """INSERT INTO "music" VALUE {'pk': 'b', 'sk': 'b'}"""},
    ])
    del failed
    got = db.execute_transaction(TransactStatements=[
        {"Statement": """SELECT * FROM "music" WHERE pk = 'a0' AND sk = '2'"""},
        {"Statement": """SELECT sk FROM "music" WHERE pk = 'a0' AND sk = '4'"""},
    ])["Responses"]
    assert got == [{}, {"Item": {"sk": {"S": "4"}}}], got


def export():
    """Into a bucket, by a real client's eyes: the manifest leads to the items."""
    s3 = boto3.client("s3")
    s3.create_bucket(Bucket="exports")
    db.create_table(
        TableName="exported", BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}], KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
    )
    db.update_continuous_backups(TableName="exported", PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True})
    for i in range(30):
        db.put_item(TableName="exported", Item={"pk": {"S": f"k{i}"}, "n": {"N": str(i)}, "it's": {"L": [{"SS": ["a", '"']}, {"B": b"\0"}]}})
    arn = db.describe_table(TableName="exported")["Table"]["TableArn"]
    def lines(format):
        begun = db.export_table_to_point_in_time(TableArn=arn, S3Bucket="exports", S3Prefix="here", ExportFormat=format)["ExportDescription"]
        end = time.time() + 30
        while (shown := db.describe_export(ExportArn=begun["ExportArn"])["ExportDescription"])["ExportStatus"] == "IN_PROGRESS":
            assert time.time() < end, shown
            time.sleep(0.02)
        assert shown["ExportStatus"] == "COMPLETED" and shown["ItemCount"] == 30 and shown["ExportFormat"] == format, shown
        read = lambda key: s3.get_object(Bucket="exports", Key=key)["Body"].read()
        summary = json.loads(read(shown["ExportManifest"]))
        files = [json.loads(line) for line in read(summary["manifestFilesS3Key"]).splitlines()]
        return [line for file in files for line in gzip.decompress(read(file["dataFileS3Key"])).splitlines()]

    items = [json.loads(line)["Item"] for line in lines("DYNAMODB_JSON")]
    assert {item["pk"]["S"]: item["n"]["N"] for item in items} == {f"k{i}": str(i) for i in range(30)}
    items = [ion.loads(line.decode())["Item"] for line in lines("ION")]
    assert {item["pk"]: item["n"] for item in items} == {f"k{i}": i for i in range(30)}
    found = items[0]["it's"]
    assert [a.text for a in found[0].ion_annotations] == ["$dynamodb_SS"] and sorted(found[0]) == ['"', "a"] and found[1] == b"\0", found
    assert len(db.list_exports(TableArn=arn)["ExportSummaries"]) == 2
    refused(
        "InvalidExportTimeException", db.export_table_to_point_in_time, "", TableArn=arn, S3Bucket="exports", ExportType="INCREMENTAL_EXPORT",
        IncrementalExportSpecification={"ExportFromTime": time.time() - 3600},
    )


def absent():
    for call, parameters in [
        (db.list_global_tables, {}), (db.list_imports, {}),
        (db.describe_kinesis_streaming_destination, {"TableName": "items"}),
    ]:
        refused("NotImplemented", call, "not implemented: dynamodb.", **parameters)


tables()
items()
reading()
batches()
transactions()
indexes()
changes()
expiry()
backups()
capacity()
policies()
older_parameters()
statements()
export()
absent()
