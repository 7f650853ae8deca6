"""Functions that cause themselves through a queue, a topic and a bucket: each is stopped after sixteen turns, and the event
that would have been the next lies in the queue's dead letter queue, in the function's, and at its destination of failures."""

import io
import json
import sys
import time
import zipfile

import boto3

runtime = sys.argv[1]
functions, sqs, sns, s3, iam = (boto3.client(name) for name in ("lambda", "sqs", "sns", "s3", "iam"))
TURNS = 16

trust = {"Statement": [{"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}]}
allow = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": ["sqs:*", "sns:*", "s3:*"], "Resource": "*"}]}
role = iam.create_role(RoleName="r", AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
iam.put_role_policy(RoleName="r", PolicyName="p", PolicyDocument=json.dumps(allow))

CODE = """
import os
import boto3

def handler(event, context):
    kind, to, ran = (os.environ[name] for name in ("KIND", "TO", "RAN"))
    boto3.client("sqs").send_message(QueueUrl=ran, MessageBody=context.aws_request_id)
    if kind == "queue":
        boto3.client("sqs").send_message(QueueUrl=to, MessageBody="again")
    if kind == "topic":
        boto3.client("sns").publish(TopicArn=to, Message="again")
    if kind == "bucket":
        boto3.client("s3").put_object(Bucket=to, Key=context.aws_request_id, Body=b"again")
"""
buffer = io.BytesIO()
with zipfile.ZipFile(buffer, "w") as archive:
    archive.writestr("loop.py", CODE)


def queue(name, **attributes):
    url = sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
    return url, sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]


def function(kind, to, **members):
    ran, _ = queue(f"{kind}-ran")
    made = functions.create_function(
        FunctionName=kind,
        Runtime=runtime,
        Handler="loop.handler",
        Role=role,
        Timeout=10,
        MemorySize=256,
        Code={"ZipFile": buffer.getvalue()},
        Environment={"Variables": {"KIND": kind, "TO": to, "RAN": ran}},
        **members,
    )
    return made["FunctionArn"], ran


def taken(url, seconds):
    got = sqs.receive_message(QueueUrl=url, WaitTimeSeconds=seconds, MaxNumberOfMessages=10).get("Messages", [])
    for message in got:
        sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    return [message["Body"] for message in got]


def ended(kind, ran, dead):
    deadline = time.time() + 90
    while not (letters := taken(dead, 5)):
        assert time.time() < deadline, f"the loop through the {kind} was not stopped"
    turns = []
    while got := taken(ran, 0):
        turns += got
    assert len(turns) == TURNS, (kind, len(turns))
    assert not taken(ran, 2) and not taken(dead, 0), f"the loop through the {kind} goes on"
    return letters[0]


queue_dead, queue_dead_arn = queue("queue-dead")
redrive = json.dumps({"deadLetterTargetArn": queue_dead_arn, "maxReceiveCount": 1})
url, arn = queue("loop", VisibilityTimeout="10", RedrivePolicy=redrive)
_, queue_ran = function("queue", url)
functions.create_event_source_mapping(FunctionName="queue", EventSourceArn=arn, BatchSize=1)

topic_dead, topic_dead_arn = queue("topic-dead")
topic = sns.create_topic(Name="loop")["TopicArn"]
topic_function, topic_ran = function("topic", topic, DeadLetterConfig={"TargetArn": topic_dead_arn})
functions.add_permission(
    FunctionName="topic", StatementId="s", Action="lambda:InvokeFunction", Principal="sns.amazonaws.com", SourceArn=topic
)
sns.subscribe(TopicArn=topic, Protocol="lambda", Endpoint=topic_function)

bucket_dead, bucket_dead_arn = queue("bucket-dead")
s3.create_bucket(Bucket="loop")
bucket_function, bucket_ran = function("bucket", "loop")
functions.put_function_event_invoke_config(
    FunctionName="bucket", DestinationConfig={"OnFailure": {"Destination": bucket_dead_arn}}
)
functions.add_permission(
    FunctionName="bucket", StatementId="s", Action="lambda:InvokeFunction", Principal="s3.amazonaws.com", SourceArn="arn:aws:s3:::loop"
)
rule = {"LambdaFunctionArn": bucket_function, "Events": ["s3:ObjectCreated:*"]}
s3.put_bucket_notification_configuration(Bucket="loop", NotificationConfiguration={"LambdaFunctionConfigurations": [rule]})

sqs.send_message(QueueUrl=url, MessageBody="first")
sns.publish(TopicArn=topic, Message="first")
s3.put_object(Bucket="loop", Key="first", Body=b"first")
assert ended("queue", queue_ran, queue_dead) == "again"
letter = json.loads(ended("topic", topic_ran, topic_dead))
assert letter["Records"][0]["Sns"]["Message"] == "again", letter
record = json.loads(ended("bucket", bucket_ran, bucket_dead))
assert record["requestContext"]["condition"] == "RecursiveInvocation", record
assert record["requestPayload"]["Records"][0]["s3"]["bucket"]["name"] == "loop", record
