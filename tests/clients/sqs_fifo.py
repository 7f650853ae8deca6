"""FIFO queues, policies and message move tasks as boto3 sees them."""

import json
import time

import boto3

sqs = boto3.client("sqs")
dead = sqs.create_queue(QueueName="dead.fifo", Attributes={"FifoQueue": "true"})["QueueUrl"]
arn = sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
url = sqs.create_queue(
    QueueName="orders.fifo",
    Attributes={
        "FifoQueue": "true",
        "ContentBasedDeduplication": "true",
        "VisibilityTimeout": "1",
        "RedrivePolicy": json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": 1}),
    },
)["QueueUrl"]
first = sqs.send_message(QueueUrl=url, MessageBody="1", MessageGroupId="a")
again = sqs.send_message(QueueUrl=url, MessageBody="1", MessageGroupId="a")
assert (first["MessageId"], first["SequenceNumber"]) == (again["MessageId"], again["SequenceNumber"])
sent = sqs.send_message_batch(
    QueueUrl=url, Entries=[{"Id": str(i), "MessageBody": f"b{i}", "MessageGroupId": "a"} for i in range(3)]
)
assert len(sent["Successful"]) == 3
got = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, MessageSystemAttributeNames=["All"])["Messages"]
assert [m["Body"] for m in got] == ["1", "b0", "b1", "b2"]
assert got[0]["Attributes"]["SequenceNumber"] == first["SequenceNumber"]
for message in got[1:]:
    sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
# Nobody deletes the first one: it is dead, and moved back by hand.
letters = []
deadline = time.monotonic() + 20
while not letters:
    assert time.monotonic() < deadline
    assert "Messages" not in sqs.receive_message(QueueUrl=url, WaitTimeSeconds=1)
    count = sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=["ApproximateNumberOfMessages"])
    letters = [1] * int(count["Attributes"]["ApproximateNumberOfMessages"])
task = sqs.start_message_move_task(SourceArn=arn)["TaskHandle"]
assert task
back = sqs.receive_message(QueueUrl=url, WaitTimeSeconds=10)["Messages"]
assert [m["Body"] for m in back] == ["1"]
while sqs.list_message_move_tasks(SourceArn=arn)["Results"][0]["Status"] != "COMPLETED":
    assert time.monotonic() < deadline
sqs.add_permission(QueueUrl=url, Label="l", AWSAccountIds=["111111111111"], Actions=["SendMessage"])
policy = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["Policy"])["Attributes"]["Policy"]
assert json.loads(policy)["Statement"][0]["Sid"] == "l"
sqs.remove_permission(QueueUrl=url, Label="l")
try:
    sqs.send_message(QueueUrl=url, MessageBody="x")
    raise SystemExit("a FIFO queue took a message without a group")
except sqs.exceptions.ClientError as error:
    assert error.response["Error"]["Code"] == "MissingParameter", error
try:
    sqs.get_queue_url(QueueName="none")
    raise SystemExit("a queue that is not there has a URL")
except sqs.exceptions.QueueDoesNotExist as error:
    assert error.response["Error"]["Code"] == "AWS.SimpleQueueService.NonExistentQueue", error
