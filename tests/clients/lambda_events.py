"""boto3: asynchronous invocation over a queue, with retries, destinations, dead letters and a function that calls itself."""
import io
import json
import os
import time
import zipfile

import boto3

lam, sqs, iam = (boto3.client(name) for name in ("lambda", "sqs", "iam"))


def zipped(text):
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr("app.py", text)
    return data.getvalue()


trust = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}]}
role = iam.create_role(RoleName="events", AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
may = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": ["sqs:*", "lambda:*"], "Resource": "*"}]}
iam.put_role_policy(RoleName="events", PolicyName="may", PolicyDocument=json.dumps(may))


def create(name, text, **more):
    lam.create_function(FunctionName=name, Runtime=os.environ["RUNTIME"], Handler="app.handler", Role=role, Code={"ZipFile": zipped(text)}, **more)


def queue(name):
    url = sqs.create_queue(QueueName=name)["QueueUrl"]
    return url, sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]


def receive(url):
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        for message in sqs.receive_message(QueueUrl=url, WaitTimeSeconds=5, MessageAttributeNames=["All"]).get("Messages", []):
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
            return message
    raise AssertionError(f"nothing came to {url}")


def send(name, event):
    assert lam.invoke(FunctionName=name, InvocationType="Event", Payload=json.dumps(event))["StatusCode"] == 202


good, bad, dead = queue("good"), queue("bad"), queue("dead")
create("works", "def handler(event, context):\n    if event.get('fail'):\n        raise ValueError('as asked')\n    return event['n'] + 1\n", DeadLetterConfig={"TargetArn": dead[1]})
lam.put_function_event_invoke_config(
    FunctionName="works", MaximumRetryAttempts=1,
    DestinationConfig={"OnSuccess": {"Destination": good[1]}, "OnFailure": {"Destination": bad[1]}},
)
send("works", {"n": 41})
record = json.loads(receive(good[0])["Body"])
assert record["requestContext"]["condition"] == "Success" and record["responsePayload"] == 42, record
send("works", {"fail": True})
record = json.loads(receive(bad[0])["Body"])
assert record["requestContext"]["condition"] == "RetriesExhausted", record
assert record["requestContext"]["approximateInvokeCount"] == 2, record
assert record["responsePayload"]["errorType"] == "ValueError", record
letter = receive(dead[0])
assert json.loads(letter["Body"]) == {"fail": True}, letter
assert letter["MessageAttributes"]["ErrorMessage"]["StringValue"] == "as asked", letter

# Each hands its end on to the next.
last = queue("last")
create("second", "def handler(event, context):\n    return event['responsePayload']\n")
lam.put_function_event_invoke_config(FunctionName="second", DestinationConfig={"OnSuccess": {"Destination": last[1]}})
second = lam.get_function_configuration(FunctionName="second")["FunctionArn"]
lam.update_function_event_invoke_config(FunctionName="works", DestinationConfig={"OnSuccess": {"Destination": second}})
send("works", {"n": 1})
assert json.loads(receive(last[0])["Body"])["responsePayload"] == 2

# A function that calls itself without end is stopped after sixteen times, and what was stopped is a dead letter.
loop_dead = queue("loop-dead")
LOOP = "import boto3\nclient = boto3.client('lambda')\ndef handler(event, context):\n    client.invoke(FunctionName='loop', InvocationType='Event', Payload='{}')\n"
create("loop", LOOP, Timeout=30, MemorySize=512, DeadLetterConfig={"TargetArn": loop_dead[1]})
lam.put_function_event_invoke_config(FunctionName="loop", MaximumRetryAttempts=0)
send("loop", {})
letter = receive(loop_dead[0])
assert letter["MessageAttributes"]["ErrorMessage"]["StringValue"] == "RecursiveInvocation", letter
