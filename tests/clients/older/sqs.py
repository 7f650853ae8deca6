"""SQS as the last boto3 sees it that spoke the query protocol to it: forms in, XML out."""

import boto3

sqs = boto3.client("sqs")
assert sqs.meta.service_model.metadata["protocol"] == "query"
url = sqs.create_queue(QueueName="older", Attributes={"DelaySeconds": "0"}, tags={"a": "1"})["QueueUrl"]
assert sqs.list_queues(QueueNamePrefix="old")["QueueUrls"] == [url]
assert sqs.list_queue_tags(QueueUrl=url)["Tags"] == {"a": "1"}
sqs.tag_queue(QueueUrl=url, Tags={"b": "2"})
sqs.untag_queue(QueueUrl=url, TagKeys=["a"])
assert sqs.list_queue_tags(QueueUrl=url)["Tags"] == {"b": "2"}
sqs.set_queue_attributes(QueueUrl=url, Attributes={"VisibilityTimeout": "20", "ReceiveMessageWaitTimeSeconds": "1"})
shown = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
assert shown["VisibilityTimeout"] == "20" and shown["QueueArn"].endswith(":older")
attributes = {
    "kind": {"DataType": "String", "StringValue": "<new>"},
    "raw": {"DataType": "Binary", "BinaryValue": b"\0\1"},
}
trace = {"AWSTraceHeader": {"DataType": "String", "StringValue": "Root=1-0-0"}}
sqs.send_message(QueueUrl=url, MessageBody="a&b", MessageAttributes=attributes, MessageSystemAttributes=trace)
entries = [{"Id": "x", "MessageBody": "x", "MessageAttributes": attributes}, {"Id": "y", "MessageBody": ""}]
sent = sqs.send_message_batch(QueueUrl=url, Entries=entries)
assert [e["Id"] for e in sent["Successful"]] == ["x"] and [e["Id"] for e in sent["Failed"]] == ["y"]
got = []
while len(got) < 2:
    got += sqs.receive_message(
        QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=5, MessageAttributeNames=["All"], AttributeNames=["All"]
    )["Messages"]
first = next(m for m in got if m["Body"] == "a&b")
assert first["MessageAttributes"]["kind"]["StringValue"] == "<new>"
assert first["MessageAttributes"]["raw"]["BinaryValue"] == b"\0\1"
assert first["Attributes"]["AWSTraceHeader"] == "Root=1-0-0"
sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=first["ReceiptHandle"], VisibilityTimeout=100)
changed = sqs.change_message_visibility_batch(
    QueueUrl=url, Entries=[{"Id": str(i), "ReceiptHandle": m["ReceiptHandle"], "VisibilityTimeout": 50} for i, m in enumerate(got)]
)
assert len(changed["Successful"]) == 2
deleted = sqs.delete_message_batch(
    QueueUrl=url, Entries=[{"Id": str(i), "ReceiptHandle": m["ReceiptHandle"]} for i, m in enumerate(got)]
)
assert len(deleted["Successful"]) == 2
assert "Messages" not in sqs.receive_message(QueueUrl=url, WaitTimeSeconds=0)
sqs.add_permission(QueueUrl=url, Label="l", AWSAccountIds=["111111111111"], Actions=["SendMessage", "ReceiveMessage"])
sqs.remove_permission(QueueUrl=url, Label="l")
fifo = sqs.create_queue(QueueName="older.fifo", Attributes={"FifoQueue": "true"})["QueueUrl"]
numbered = sqs.send_message(QueueUrl=fifo, MessageBody="1", MessageGroupId="g", MessageDeduplicationId="d")
assert len(numbered["SequenceNumber"]) == 20
sqs.purge_queue(QueueUrl=fifo)
sqs.delete_queue(QueueUrl=url)
for call, code in [
    (lambda: sqs.send_message(QueueUrl=url, MessageBody="x"), "AWS.SimpleQueueService.NonExistentQueue"),
    (lambda: sqs.delete_message(QueueUrl=fifo, ReceiptHandle="?"), "ReceiptHandleIsInvalid"),
    (lambda: sqs.purge_queue(QueueUrl=fifo), "AWS.SimpleQueueService.PurgeQueueInProgress"),
    (lambda: sqs.send_message_batch(QueueUrl=fifo, Entries=[]), "AWS.SimpleQueueService.EmptyBatchRequest"),
]:
    try:
        call()
        raise SystemExit(f"{code} was expected")
    except sqs.exceptions.ClientError as error:
        assert error.response["Error"]["Code"] == code, error
