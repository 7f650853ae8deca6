"""boto3: a function whose successes go to a queue (`set-up`), and the wait until every event is there (`check COUNT`)."""
import io
import json
import os
import sys
import time
import zipfile

import boto3

lam, sqs, iam = (boto3.client(name) for name in ("lambda", "sqs", "iam"))


def set_up():
    trust = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}]}
    role = iam.create_role(RoleName="kept", AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
    may = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": "*"}]}
    iam.put_role_policy(RoleName="kept", PolicyName="may", PolicyDocument=json.dumps(may))
    url = sqs.create_queue(QueueName="kept")["QueueUrl"]
    queue = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr("app.py", "def handler(event, context):\n    return event['n']\n")
    lam.create_function(FunctionName="kept", Runtime=os.environ["RUNTIME"], Handler="app.handler", Role=role, Code={"ZipFile": data.getvalue()})
    lam.put_function_event_invoke_config(FunctionName="kept", DestinationConfig={"OnSuccess": {"Destination": queue}})


def check(count):
    url = sqs.get_queue_url(QueueName="kept")["QueueUrl"]
    seen, received = set(), 0
    deadline = time.monotonic() + 40
    while len(seen) < count:
        assert time.monotonic() < deadline, f"lost: {sorted(set(range(count)) - seen)}"
        for message in sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=2).get("Messages", []):
            seen.add(json.loads(message["Body"])["responsePayload"])
            received += 1
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    print(f"{count} events, {received} records of their ends")


set_up() if sys.argv[1] == "set-up" else check(int(sys.argv[2]))
