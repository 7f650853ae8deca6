"""SQS as boto3 sees it; boto3 checks the MD5s of bodies and attributes by itself."""

import boto3

sqs = boto3.client("sqs")
url = sqs.create_queue(QueueName="orders")["QueueUrl"]
assert sqs.get_queue_url(QueueName="orders")["QueueUrl"] == url
attribute = {"kind": {"DataType": "String", "StringValue": "new"}, "raw": {"DataType": "Binary", "BinaryValue": b"\0\1"}}
sqs.send_message(QueueUrl=url, MessageBody="one", MessageAttributes=attribute)
sent = sqs.send_message_batch(QueueUrl=url, Entries=[{"Id": str(i), "MessageBody": f"b{i}"} for i in range(3)])
assert len(sent["Successful"]) == 3 and "Failed" not in sent
got = []
while len(got) < 4:
    answer = sqs.receive_message(
        QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=5, MessageAttributeNames=["All"], AttributeNames=["All"]
    )
    got += answer["Messages"]
assert sorted(m["Body"] for m in got) == ["b0", "b1", "b2", "one"]
assert next(m for m in got if m["Body"] == "one")["MessageAttributes"]["raw"]["BinaryValue"] == b"\0\1"
for message in got:
    sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
assert set(sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"].values()) == {"0"}
sqs.delete_queue(QueueUrl=url)
try:
    sqs.send_message(QueueUrl=url, MessageBody="x")
    raise SystemExit("a deleted queue took a message")
except sqs.exceptions.QueueDoesNotExist:
    pass

# A fair queue: who sends much does not hold up the others, over what one tenant has piled up.
url = sqs.create_queue(QueueName="shared", Attributes={"VisibilityTimeout": "600"})["QueueUrl"]
for _ in range(20):
    entries = [{"Id": str(i), "MessageBody": "loud", "MessageGroupId": "loud"} for i in range(10)]
    sqs.send_message_batch(QueueUrl=url, Entries=entries)
sqs.send_message(QueueUrl=url, MessageBody="quiet", MessageGroupId="quiet")
receive = lambda: sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, MessageSystemAttributeNames=["MessageGroupId"])["Messages"]
for _ in range(3):
    assert {message["Attributes"]["MessageGroupId"] for message in receive()} == {"loud"}
assert [message["Body"] for message in receive()] == ["quiet"] + ["loud"] * 9
