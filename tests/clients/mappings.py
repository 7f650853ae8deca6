"""Event source mappings as boto3 sees them: a queue and a table's stream hand their records to a function."""

import io
import json
import os
import re
import sys
import time
import zipfile

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

here = os.path.dirname(os.path.abspath(__file__))
runtime = sys.argv[1]
functions, queues, tables, iam = (boto3.client(name) for name in ("lambda", "sqs", "dynamodb", "iam"))


def eventually(what, holds, seconds=60):
    end = time.time() + seconds
    while not (found := holds()):
        assert time.time() < end, f"waited too long: {what}"
        time.sleep(0.02)
    return found


def refused(code, text, call, **members):
    try:
        call(**members)
    except ClientError as error:
        assert error.response["Error"]["Code"] == code, error
        assert text in error.response["Error"]["Message"], error
        return
    raise SystemExit(f"not refused: {members}")


def seen():
    items = tables.scan(TableName="seen", ConsistentRead=True)["Items"]
    return {item["id"]["S"]: json.loads(item["detail"]["S"]) for item in items}


tables.create_table(
    TableName="seen",
    KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
    AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
    BillingMode="PAY_PER_REQUEST",
)
trust = {"Statement": [{"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}]}


def role(name, *actions):
    made = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
    policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": list(actions), "Resource": "*"}]}
    iam.put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=json.dumps(policy))
    return made


buffer = io.BytesIO()
with zipfile.ZipFile(buffer, "w") as archive:
    archive.write(os.path.join(here, "recorder.py"), "recorder.py")
code = {"ZipFile": buffer.getvalue()}


def function(name, role_arn, timeout=20):
    functions.create_function(
        FunctionName=name, Runtime=runtime, Handler="recorder.handler", Role=role_arn, Code=code, Timeout=timeout
    )


reader = role("reader", "sqs:*", "dynamodb:*", "s3:*")
function("f", reader)
function("poor", role("poor", "logs:*"))

# ---- A queue.
dead = queues.create_queue(QueueName="dead")["QueueUrl"]
dead_arn = queues.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
queue = queues.create_queue(
    QueueName="jobs",
    Attributes={
        "VisibilityTimeout": "20",
        "RedrivePolicy": json.dumps({"deadLetterTargetArn": dead_arn, "maxReceiveCount": "1"}),
    },
)["QueueUrl"]
arn = queues.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
create = functions.create_event_source_mapping
invalid = "InvalidParameterValueException"
refused(invalid, "does not have permissions to call ReceiveMessage on SQS", create, EventSourceArn=arn, FunctionName="poor")
refused("ResourceNotFoundException", "Function not found", create, EventSourceArn=arn, FunctionName="none")
refused(invalid, "Maximum batch window", create, EventSourceArn=arn, FunctionName="f", BatchSize=11)
refused(invalid, "StartingPosition", create, EventSourceArn=arn, FunctionName="f", StartingPosition="LATEST")
refused(invalid, "SQS Error Code", create, EventSourceArn=arn + "x", FunctionName="f")
refused(invalid, "filter pattern", create, EventSourceArn=arn, FunctionName="f", FilterCriteria={"Filters": [{"Pattern": "{"}]})
made = create(
    EventSourceArn=arn, FunctionName="f", FunctionResponseTypes=["ReportBatchItemFailures"], ScalingConfig={"MaximumConcurrency": 4}
)
assert made["State"] == "Creating" and made["BatchSize"] == 10, made
refused("ResourceConflictException", "already exists", create, EventSourceArn=arn, FunctionName="f")
uuid = made["UUID"]
got = functions.get_event_source_mapping(UUID=uuid)
assert got["State"] == "Enabled" and got["ScalingConfig"] == {"MaximumConcurrency": 4}, got
assert [m["UUID"] for m in functions.list_event_source_mappings(FunctionName="f")["EventSourceMappings"]] == [uuid]
assert functions.list_event_source_mappings(EventSourceArn=dead_arn)["EventSourceMappings"] == []

attribute = {"kind": {"DataType": "String", "StringValue": "new"}}
queues.send_message(QueueUrl=queue, MessageBody="one", MessageAttributes=attribute)
record = eventually("the message is handled", lambda: seen().get("one"))["record"]
assert record["eventSource"] == "aws:sqs" and record["eventSourceARN"] == arn and record["awsRegion"] == "us-east-1"
assert record["messageAttributes"]["kind"]["stringValue"] == "new", record
assert record["attributes"]["ApproximateReceiveCount"] == "1" and record["md5OfBody"], record
for i in range(0, 100, 10):
    queues.send_message_batch(QueueUrl=queue, Entries=[{"Id": str(j), "MessageBody": f"m{i + j}"} for j in range(10)])
queues.send_message(QueueUrl=queue, MessageBody="poison")
names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
eventually("all are handled", lambda: {f"m{i}" for i in range(100)} <= seen().keys())
counts = lambda url: [int(n) for n in queues.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"].values()]
eventually("all but the poisoned one are gone", lambda: sum(counts(queue)) == 1)
eventually("the poisoned one lies in the dead letter queue", lambda: counts(dead)[0] == 1)
assert "poison" not in seen()
assert functions.get_event_source_mapping(UUID=uuid)["LastProcessingResult"] == "OK"

# Only what the filter lets through is handed over; the rest is taken off the queue.
pattern = json.dumps({"body": {"kind": ["keep"], "size": [{"numeric": [">", 3]}]}})
functions.update_event_source_mapping(UUID=uuid, FilterCriteria={"Filters": [{"Pattern": pattern}]})
eventually("it works again", lambda: functions.get_event_source_mapping(UUID=uuid).get("FilterCriteria"))
wanted = json.dumps({"kind": "keep", "size": 4})
for body in (json.dumps({"kind": "keep", "size": 2}), json.dumps({"kind": "drop", "size": 9}), "no json", wanted):
    queues.send_message(QueueUrl=queue, MessageBody=body)
eventually("the wanted one is handled", lambda: wanted in seen())
eventually("the others are gone", lambda: sum(counts(queue)) == 0)
assert not {"no json"} & seen().keys()

# Disabled, it leaves messages alone; enabled, it goes on.
functions.update_event_source_mapping(UUID=uuid, Enabled=False, FilterCriteria={"Filters": []})
eventually("it is disabled", lambda: functions.get_event_source_mapping(UUID=uuid)["State"] == "Disabled")
queues.send_message(QueueUrl=queue, MessageBody="later")
assert counts(queue)[0] == 1
functions.update_event_source_mapping(UUID=uuid, Enabled=True)
eventually("it goes on", lambda: "later" in seen())
functions.delete_event_source_mapping(UUID=uuid)
refused("ResourceNotFoundException", "does not exist", functions.get_event_source_mapping, UUID=uuid)

# ---- A table's stream.
table = tables.create_table(
    TableName="things",
    KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
    AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
    BillingMode="PAY_PER_REQUEST",
    StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
)["TableDescription"]
stream = table["LatestStreamArn"]
tables.put_item(TableName="things", Item={"id": {"S": "a"}, "n": {"N": "1"}})
refused(invalid, "startingPosition", create, EventSourceArn=stream, FunctionName="f")
refused(invalid, "permissions to call GetRecords", create, EventSourceArn=stream, FunctionName="poor", StartingPosition="LATEST")
refused(invalid, "Stream not found", create, EventSourceArn=stream + "x", FunctionName="f", StartingPosition="LATEST")
made = create(
    EventSourceArn=stream,
    FunctionName="f",
    StartingPosition="TRIM_HORIZON",
    BatchSize=5,
    BisectBatchOnFunctionError=True,
    MaximumRetryAttempts=1,
    ParallelizationFactor=2,
    DestinationConfig={"OnFailure": {"Destination": dead_arn}},
)
tables.put_item(TableName="things", Item={"id": {"S": "a"}, "n": {"N": "2"}})
tables.delete_item(TableName="things", Key={"id": {"S": "a"}})


def changes(name):
    found = [(key.split("/")[2], detail) for key, detail in seen().items() if key.startswith(f"{name}/")]
    return [detail for _, detail in sorted(found, key=lambda pair: int(pair[0]))]


eventually("the changes are handled", lambda: len(changes("a")) == 3)
assert [c["eventName"] for c in changes("a")] == ["INSERT", "MODIFY", "REMOVE"]
first = changes("a")[0]
assert first["eventSource"] == "aws:dynamodb" and first["eventSourceARN"] == stream
assert first["dynamodb"]["NewImage"] == {"id": {"S": "a"}, "n": {"N": "1"}}, first

queues.purge_queue(QueueUrl=dead)
for name in ("x1", "x2", "bad", "x3", "x4"):
    tables.put_item(TableName="things", Item={"id": {"S": name}})
eventually("the good ones are handled", lambda: all(changes(name) for name in ("x1", "x2", "x3", "x4")))
letter = eventually("the bad one is reported", lambda: queues.receive_message(QueueUrl=dead, WaitTimeSeconds=2).get("Messages"))
report = json.loads(letter[0]["Body"])
assert report["requestContext"]["condition"] == "RetryAttemptsExhausted", report
assert report["DDBStreamBatchInfo"]["batchSize"] == 1 and report["DDBStreamBatchInfo"]["streamArn"] == stream, report
assert report["responseContext"]["functionError"] == "Unhandled", report

# A bucket takes the records themselves, too.
buckets = boto3.client("s3", config=Config(s3={"addressing_style": "path"}))
buckets.create_bucket(Bucket="dead-records")
functions.update_event_source_mapping(UUID=made["UUID"], DestinationConfig={"OnFailure": {"Destination": "arn:aws:s3:::dead-records"}})
eventually("it goes there", lambda: functions.get_event_source_mapping(UUID=made["UUID"])["DestinationConfig"]["OnFailure"]["Destination"].endswith("dead-records"))
tables.put_item(TableName="things", Item={"id": {"S": "bad"}, "n": {"N": "2"}})
kept = eventually("the bad one is kept", lambda: buckets.list_objects_v2(Bucket="dead-records").get("Contents"))
assert len(kept) == 1, kept
_, _, uuid, shard, stamp = kept[0]["Key"].split("/")
assert uuid == made["UUID"] and shard.startswith("shardId-") and re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d\.\d\d\.\d\d-[0-9a-f-]{36}", stamp), kept
report = json.loads(buckets.get_object(Bucket="dead-records", Key=kept[0]["Key"])["Body"].read())
assert report["DDBStreamBatchInfo"]["shardId"] == shard and report["requestContext"]["condition"] == "RetryAttemptsExhausted", report
records = json.loads(report["payload"])["Records"]
assert [record["dynamodb"]["Keys"] for record in records] == [{"id": {"S": "bad"}}], records
refused(invalid, "invalid", functions.update_event_source_mapping, UUID=made["UUID"], DestinationConfig={"OnFailure": {"Destination": "arn:aws:s3:::a/key"}})
# There is no Kinesis here to read.
for source in ("arn:aws:kinesis:us-east-1:000000000000:stream/s", "arn:aws:kafka:us-east-1:000000000000:cluster/c/1"):
    try:
        create(EventSourceArn=source, FunctionName="f", StartingPosition="LATEST")
        raise AssertionError(f"{source} was taken")
    except ClientError as e:
        assert f"not implemented: lambda: event source mappings of {source}" in str(e), e
