"""Fills the disk of a cloud with messages and prints how many were acknowledged; later checks that just those are there."""

import sys

import boto3
from botocore.exceptions import ClientError

what, url = sys.argv[1:3]
sqs = boto3.client("sqs")
if what == "fill":
    acknowledged, refusals = 0, 0
    # Each of them is refused for the lack of room, and the cloud goes on answering.
    while refusals < 5:
        try:
            sqs.send_message(QueueUrl=url, MessageBody=f"{acknowledged} " + "x" * 200_000)
            acknowledged += 1
        except ClientError as error:
            assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 500, error
            assert "failed" in error.response["Error"]["Message"], error
            refusals += 1
    assert sqs.list_queues()["QueueUrls"] == [url]
    print(acknowledged)
else:
    expected = {str(n) for n in range(int(sys.argv[3]))} | {"after"}
    seen = []
    while got := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=1).get("Messages", []):
        for message in got:
            seen.append(message["Body"].split()[0])
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    assert sorted(seen) == sorted(expected), (sorted(seen), len(expected))
