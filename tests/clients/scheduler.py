"""EventBridge Scheduler as boto3 sees it: one-time schedules a moment ahead, under a role, to a queue, a bus and any operation."""

import datetime
import json
import time

import boto3

scheduler, sqs, iam = boto3.client("scheduler"), boto3.client("sqs"), boto3.client("iam")


def role(name, service, statement):
    trust = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
    document = lambda s: json.dumps({"Version": "2012-10-17", "Statement": [s]})
    arn = iam.create_role(RoleName=name, AssumeRolePolicyDocument=document(trust))["Role"]["Arn"]
    iam.put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=document(statement))
    return arn


def at(seconds, zone=datetime.timezone.utc):
    when = datetime.datetime.now(zone) + datetime.timedelta(seconds=seconds)
    return f"at({when:%Y-%m-%dT%H:%M:%S})"


def receive(url):
    answer = sqs.receive_message(
        QueueUrl=url, WaitTimeSeconds=20, MessageAttributeNames=["All"], MaxNumberOfMessages=1
    )
    (message,) = answer["Messages"]
    sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    return message


urls = {name: sqs.create_queue(QueueName=name)["QueueUrl"] for name in ["q", "dead", "closed"]}
arn = lambda name: sqs.get_queue_attributes(QueueUrl=urls[name], AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
sends = {"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": [arn("q"), arn("dead")]}
trusted = role("trusted", "scheduler.amazonaws.com", sends)
untrusted = role("untrusted", "lambda.amazonaws.com", sends)
off = {"Mode": "OFF"}

# Once, a second ahead, and gone after it.
made = scheduler.create_schedule(
    Name="once",
    ScheduleExpression=at(1),
    FlexibleTimeWindow=off,
    ActionAfterCompletion="DELETE",
    Target={"Arn": arn("q"), "RoleArn": trusted, "Input": '{"when":"<aws.scheduler.scheduled-time>"}'},
)
assert made["ScheduleArn"].endswith(":schedule/default/once")
assert "when" in json.loads(receive(urls["q"])["Body"])
end = time.monotonic() + 20
while scheduler.list_schedules()["Schedules"]:
    assert time.monotonic() < end, "the schedule is still there"

# Any operation of any service.
scheduler.create_schedule(
    Name="any",
    ScheduleExpression=at(0),
    FlexibleTimeWindow=off,
    Target={
        "Arn": "arn:aws:scheduler:::aws-sdk:sqs:sendMessage",
        "RoleArn": trusted,
        "Input": json.dumps({"QueueUrl": urls["q"], "MessageBody": "any"}),
    },
)
assert receive(urls["q"])["Body"] == "any"

# What the role may not do is buried.
scheduler.create_schedule(
    Name="closed",
    ScheduleExpression=at(0),
    FlexibleTimeWindow=off,
    Target={"Arn": arn("closed"), "RoleArn": trusted, "Input": "x", "DeadLetterConfig": {"Arn": arn("dead")}},
)
letter = receive(urls["dead"])
assert letter["MessageAttributes"]["ERROR_CODE"]["StringValue"] == "NO_PERMISSIONS", letter
assert letter["Body"] == "x"

# Groups, tags, lists, changes.
group = scheduler.create_schedule_group(Name="nightly", Tags=[{"Key": "a", "Value": "1"}])["ScheduleGroupArn"]
assert scheduler.list_tags_for_resource(ResourceArn=group)["Tags"] == [{"Key": "a", "Value": "1"}]
scheduler.untag_resource(ResourceArn=group, TagKeys=["a"])
scheduler.tag_resource(ResourceArn=group, Tags=[{"Key": "b", "Value": "2"}])
assert scheduler.list_tags_for_resource(ResourceArn=group)["Tags"] == [{"Key": "b", "Value": "2"}]
given = {
    "Name": "report",
    "GroupName": "nightly",
    "ScheduleExpression": "cron(30 2 ? * MON-FRI *)",
    "ScheduleExpressionTimezone": "Europe/Berlin",
    "FlexibleTimeWindow": {"Mode": "FLEXIBLE", "MaximumWindowInMinutes": 15},
    "StartDate": datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=1),
    "Target": {"Arn": arn("q"), "RoleArn": trusted},
}
scheduler.create_schedule(**given)
seen = scheduler.get_schedule(Name="report", GroupName="nightly")
assert seen["ScheduleExpressionTimezone"] == "Europe/Berlin" and seen["StartDate"] > datetime.datetime.now(datetime.timezone.utc)
scheduler.update_schedule(**{**given, "State": "DISABLED"})
assert scheduler.get_schedule(Name="report", GroupName="nightly")["State"] == "DISABLED"
names = [s["Name"] for page in scheduler.get_paginator("list_schedules").paginate(PaginationConfig={"PageSize": 1}) for s in page["Schedules"]]
assert names == ["any", "closed", "report"], names
assert [g["Name"] for g in scheduler.list_schedule_groups()["ScheduleGroups"]] == ["default", "nightly"]
scheduler.delete_schedule_group(Name="nightly")
end = time.monotonic() + 20
while len(scheduler.list_schedule_groups()["ScheduleGroups"]) > 1:
    assert time.monotonic() < end, "the group is still there"
try:
    scheduler.get_schedule(Name="report", GroupName="nightly")
    raise SystemExit("a schedule of a deleted group is there")
except scheduler.exceptions.ResourceNotFoundException:
    pass
for change, kind in [
    ({"Name": "any"}, scheduler.exceptions.ConflictException),
    ({"ScheduleExpression": "rate(1)"}, scheduler.exceptions.ValidationException),
    ({"GroupName": "nightly"}, scheduler.exceptions.ResourceNotFoundException),
    ({"Target": {"Arn": arn("q"), "RoleArn": untrusted}}, scheduler.exceptions.ValidationException),
]:
    wrong = {**given, "GroupName": "default", **change}
    try:
        scheduler.create_schedule(**wrong)
        raise SystemExit(f"{change} was taken")
    except kind:
        pass
