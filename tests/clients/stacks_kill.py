"""Signals, messages to topics, deletions and drift outlive a kill. Says `kill` when the cloud is to be killed and goes on when it is
told `up`."""

import json
import sys
import urllib.request

import boto3

from stacking import config, described, ends, stacks, status, until

topics, queues = boto3.client("sns", config=config), boto3.client("sqs", config=config)


def kill():
    print("kill", flush=True)
    assert sys.stdin.readline() == "up\n"


def put(url, body):
    request = urllib.request.Request(url, data=json.dumps(body).encode(), method="PUT", headers={"Content-Type": ""})
    with urllib.request.urlopen(request) as answer:
        return answer.status


queue = queues.create_queue(QueueName="told")["QueueUrl"]
arn = queues.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
topic = topics.create_topic(Name="told")["TopicArn"]
allow = {"Effect": "Allow", "Principal": "*", "Action": "sqs:SendMessage", "Resource": arn}
queues.set_queue_attributes(QueueUrl=queue, Attributes={"Policy": json.dumps({"Version": "2012-10-17", "Statement": [allow]})})
topics.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn, Attributes={"RawMessageDelivery": "true"})

waiting = {"Resources": {
    "Handle": {"Type": "AWS::CloudFormation::WaitConditionHandle"},
    "Parameter": {"Type": "AWS::SSM::Parameter", "Properties": {"Type": "String", "Value": "v"}},
    "Wait": {"Type": "AWS::CloudFormation::WaitCondition", "DependsOn": "Parameter",
             "Properties": {"Handle": {"Ref": "Handle"}, "Timeout": "300", "Count": 2}}},
    "Outputs": {"Data": {"Value": {"Fn::GetAtt": "Wait.Data"}}}}
stacks.create_stack(StackName="waits", TemplateBody=json.dumps(waiting), NotificationARNs=[topic])
rows = lambda: {r["LogicalResourceId"]: r for r in stacks.list_stack_resources(StackName="waits")["StackResourceSummaries"]}
until("the condition waits", lambda: "Wait" in rows())
url = rows()["Handle"]["PhysicalResourceId"]
assert put(url, {"Status": "SUCCESS", "UniqueId": "before", "Data": "1"}) == 200
kill()
assert status("waits") == "CREATE_IN_PROGRESS"
assert put(url, {"Status": "SUCCESS", "UniqueId": "after", "Data": "2"}) == 200
ends("waits", "CREATE_COMPLETE")
assert json.loads(described("waits")["Outputs"][0]["OutputValue"]) == {"before": "1", "after": "2"}
detection = stacks.detect_stack_drift(StackName="waits")["StackDriftDetectionId"]
kill()
assert stacks.describe_stack_drift_detection_status(StackDriftDetectionId=detection)["StackDriftStatus"] == "IN_SYNC"
told = {}


def is_told():
    for message in queues.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", []):
        notice = dict(line.split("=", 1) for line in message["Body"].splitlines())
        told[notice["EventId"].strip("'")] = notice
        queues.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
    return told.keys() >= wanted


wanted = {e["EventId"] for e in stacks.describe_stack_events(StackName="waits")["StackEvents"]}
until("the topic is told of every event", is_told)

# A deletion that was asked for while it is being created.
stacks.create_stack(StackName="never", TemplateBody=json.dumps(waiting))
until("the condition waits", lambda: len(stacks.list_stack_resources(StackName="never")["StackResourceSummaries"]) == 3)
stacks.delete_stack(StackName="never")
kill()
until("the stack is gone", lambda: "never" not in [s["StackName"] for s in stacks.describe_stacks()["Stacks"]])
