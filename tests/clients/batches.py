"""aws-lambda-powertools' batch processor behind a queue and a FIFO queue: what it reports as failed comes again, alone, and
then lies in the dead letter queue. Events come at least once, so only first times count. And a tumbling window over a table's stream, which ends by time."""

import io
import json
import os
import sys
import time
import zipfile

import aws_lambda_powertools
import boto3
import jmespath
import typing_extensions

runtime = sys.argv[1]
functions, sqs, tables, iam = (boto3.client(name) for name in ("lambda", "sqs", "dynamodb", "iam"))
trust = {"Statement": [{"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}]}
allow = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": ["sqs:*", "dynamodb:*"], "Resource": "*"}]}
role = iam.create_role(RoleName="r", AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
iam.put_role_policy(RoleName="r", PolicyName="p", PolicyDocument=json.dumps(allow))

CODE = """
import json
import os
import boto3
from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, SqsFifoPartialProcessor, process_partial_response

sqs = boto3.client("sqs")

def done(record):
    if record.body.startswith("bad"):
        raise ValueError(record.body)
    sqs.send_message(QueueUrl=os.environ["DONE"], MessageBody=record.body)

def standard(event, context):
    processor = BatchProcessor(event_type=EventType.SQS)
    return process_partial_response(event=event, record_handler=done, processor=processor, context=context)

def fifo(event, context):
    processor = SqsFifoPartialProcessor(skip_group_on_error=True)
    return process_partial_response(event=event, record_handler=done, processor=processor, context=context)

def window(event, context):
    count = event["state"].get("count", 0) + len(event["Records"])
    if event["isFinalInvokeForWindow"]:
        said = json.dumps({"count": count, "window": event["window"], "early": event["isWindowTerminatedEarly"]})
        sqs.send_message(QueueUrl=os.environ["DONE"], MessageBody=said)
    return {"state": {"count": count}}
"""


def tree(archive, package):
    folder = os.path.dirname(package.__file__)
    for path, _, files in os.walk(folder):
        for name in files:
            if name.endswith(".py"):
                full = os.path.join(path, name)
                archive.write(full, os.path.relpath(full, os.path.dirname(folder)))


buffer = io.BytesIO()
with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
    archive.writestr("worker.py", CODE)
    archive.write(typing_extensions.__file__, "typing_extensions.py")
    tree(archive, aws_lambda_powertools)
    tree(archive, jmespath)


def queue(name, **attributes):
    url = sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
    return url, sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]


def taken(url):
    got = sqs.receive_message(QueueUrl=url, WaitTimeSeconds=1, MaxNumberOfMessages=10).get("Messages", [])
    for message in got:
        sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    return [message["Body"] for message in got]


def all_of(url, count, seconds=100):
    """The first so many different ones, in their order."""
    found, end = [], time.time() + seconds
    while len(found) < count:
        assert time.time() < end, (url, found)
        found += [body for body in dict.fromkeys(taken(url)) if body not in found]
    return found


def function(name, handler, source, done, **mapping):
    functions.create_function(
        FunctionName=name,
        Runtime=runtime,
        Handler=f"worker.{handler}",
        Role=role,
        Timeout=10,
        MemorySize=256,
        Code={"ZipFile": buffer.getvalue()},
        Environment={"Variables": {"DONE": done, "POWERTOOLS_SERVICE_NAME": name}},
    )
    functions.create_event_source_mapping(FunctionName=name, EventSourceArn=source, **mapping)


partial = {"FunctionResponseTypes": ["ReportBatchItemFailures"], "BatchSize": 10}
redrive = lambda arn: json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": 2})

dead, dead_arn = queue("dead")
url, arn = queue("work", VisibilityTimeout="10", RedrivePolicy=redrive(dead_arn))
done, _ = queue("done")
bodies = [f"bad {n}" if n % 4 == 3 else f"good {n}" for n in range(20)]
for at in range(0, 20, 10):
    sqs.send_message_batch(QueueUrl=url, Entries=[{"Id": str(n), "MessageBody": bodies[n]} for n in range(at, at + 10)])
function("standard", "standard", arn, done, **partial)

fifo = {"FifoQueue": "true", "ContentBasedDeduplication": "true"}
dead_line, dead_line_arn = queue("dead.fifo", **fifo)
line, line_arn = queue("work.fifo", VisibilityTimeout="10", RedrivePolicy=redrive(dead_line_arn), **fifo)
lined, _ = queue("lined")
sent = {"a": ["a 0", "a 1", "bad a", "a 2", "a 3"], "b": ["b 0", "b 1", "b 2", "b 3", "b 4"]}
for group, texts in sent.items():
    for text in texts:
        sqs.send_message(QueueUrl=line, MessageBody=text, MessageGroupId=group)
function("fifo", "fifo", line_arn, lined, **partial)

windows, _ = queue("windows")
table = tables.create_table(
    TableName="things",
    KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
    AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
    BillingMode="PAY_PER_REQUEST",
    StreamSpecification={"StreamEnabled": True, "StreamViewType": "KEYS_ONLY"},
)["TableDescription"]
function(
    "window", "window", table["LatestStreamArn"], windows, StartingPosition="TRIM_HORIZON", TumblingWindowInSeconds=2, BatchSize=2
)
for n in range(5):
    tables.put_item(TableName="things", Item={"id": {"S": str(n)}})

assert sorted(all_of(done, 15)) == sorted(body for body in bodies if body.startswith("good"))
assert sorted(all_of(dead, 5)) == sorted(body for body in bodies if body.startswith("bad"))
order = all_of(lined, 7)
assert [text for text in order if text[0] == "a"] == ["a 0", "a 1"], order
assert [text for text in order if text[0] == "b"] == sent["b"], order
# Those behind it were given out with it as often, and were never handled.
assert all_of(dead_line, 3) == ["bad a", "a 2", "a 3"]
counted, ends = 0, []
while counted < 5:
    for text in all_of(windows, 1):
        said = json.loads(text)
        counted += said["count"]
        ends.append(said["window"])
        assert said["early"] is False
assert counted == 5 and len({end["start"] for end in ends}) == len(ends), ends
