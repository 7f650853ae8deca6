"""EventBridge as boto3 sees it: rules to queues and buses, transformed, scheduled, archived, replayed, refused and buried."""

import json
import http.server
import sys
import threading
import time

import boto3

events, sqs = boto3.client("events"), boto3.client("sqs")


def eventually(what, holds, seconds=30):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = holds()
        if found:
            return found
        time.sleep(0.02)
    raise SystemExit(f"in vain: {what}")


def queue(name, source=None):
    """A queue that the bus may send to, and its ARN."""
    url = sqs.create_queue(QueueName=name)["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "events.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": arn,
    }
    if source:
        statement["Condition"] = {"ArnEquals": {"aws:SourceArn": source}}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})
    return url, arn


def receive(url):
    answer = sqs.receive_message(
        QueueUrl=url, WaitTimeSeconds=20, MessageAttributeNames=["All"], MaxNumberOfMessages=1
    )
    (message,) = answer["Messages"]
    sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    return message


def body(url):
    return json.loads(receive(url)["Body"])


# A rule to a queue, as it is and through a template.
rule = events.put_rule(Name="orders", EventPattern=json.dumps({"source": ["shop"], "detail": {"total": [{"numeric": [">", 10]}]}}))
plain_url, plain = queue("plain", rule["RuleArn"])
short_url, short = queue("short", rule["RuleArn"])
closed_url = sqs.create_queue(QueueName="closed")["QueueUrl"]
closed = plain.replace("plain", "closed")
dead_url, dead = queue("dead")
put = events.put_targets(
    Rule="orders",
    Targets=[
        {"Id": "plain", "Arn": plain},
        {
            "Id": "short",
            "Arn": short,
            "InputTransformer": {
                "InputPathsMap": {"id": "$.detail.id", "total": "$.detail.total"},
                "InputTemplate": '{"order": "number <id>", "total": <total>, "rule": <aws.events.rule-name>}',
            },
        },
        {"Id": "closed", "Arn": closed, "DeadLetterConfig": {"Arn": dead}},
    ],
)
assert put["FailedEntryCount"] == 0, put
entry = {"Source": "shop", "DetailType": "order", "Resources": ["arn:aws:x"]}
put = events.put_events(
    Entries=[
        {**entry, "Detail": json.dumps({"id": "a", "total": 12})},
        {**entry, "Detail": json.dumps({"id": "b", "total": 7})},
        {**entry, "Detail": "nonsense"},
    ]
)
assert put["FailedEntryCount"] == 1 and put["Entries"][2]["ErrorCode"] == "MalformedDetail", put
seen = body(plain_url)
assert list(seen) == ["version", "id", "detail-type", "source", "account", "time", "region", "resources", "detail"]
assert seen["id"] == put["Entries"][0]["EventId"] and seen["detail"] == {"id": "a", "total": 12}, seen
assert body(short_url) == {"order": "number a", "total": 12, "rule": "orders"}
# The queue without a policy does not take it.
letter = receive(dead_url)
attributes = {name: value["StringValue"] for name, value in letter["MessageAttributes"].items()}
assert attributes["ERROR_CODE"] == "NO_PERMISSIONS" and attributes["RULE_ARN"] == rule["RuleArn"], attributes
assert attributes["TARGET_ARN"] == closed and json.loads(letter["Body"])["id"] == seen["id"]
assert [r["Name"] for r in events.list_rules()["Rules"]] == ["orders"]
assert events.list_rule_names_by_target(TargetArn=plain)["RuleNames"] == ["orders"]
assert events.test_event_pattern(EventPattern='{"source":["shop"]}', Event=json.dumps(seen))["Result"]

# From bus to bus, and kept in an archive there.
bus = events.create_event_bus(Name="audit")["EventBusArn"]
archive = events.create_archive(ArchiveName="kept", EventSourceArn=bus)["ArchiveArn"]
all_of = events.put_rule(Name="all", EventBusName="audit", EventPattern='{"source":[{"exists":true}]}')["RuleArn"]
assert all_of.endswith(":rule/audit/all")
audit_url, audit = queue("audited", all_of)
events.put_targets(Rule="all", EventBusName="audit", Targets=[{"Id": "1", "Arn": audit}])
events.put_targets(Rule="orders", Targets=[{"Id": "bus", "Arn": bus}])
start = time.time() - 5
put = events.put_events(Entries=[{**entry, "Detail": json.dumps({"id": "c", "total": 99})}])
seen = body(audit_url)
assert seen["id"] == put["Entries"][0]["EventId"] and seen["source"] == "shop"
assert eventually("archived", lambda: events.describe_archive(ArchiveName="kept")["EventCount"] == 1)
events.start_replay(
    ReplayName="again",
    EventSourceArn=archive,
    EventStartTime=start,
    EventEndTime=time.time() + 5,
    Destination={"Arn": bus},
)
replayed = body(audit_url)
assert replayed["replay-name"] == "again" and replayed["id"] == seen["id"], replayed
eventually("completed", lambda: events.describe_replay(ReplayName="again")["State"] == "COMPLETED")

# An API destination: authorised, and not shown what by.
calls = []


class Hook(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        text = self.rfile.read(int(self.headers["content-length"]))
        calls.append((self.path, self.headers["x-key"], json.loads(text)))
        # The first attempt is to be repeated.
        self.send_response(503 if len(calls) == 1 else 200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


server = http.server.HTTPServer(("127.0.0.1", 0), Hook)
threading.Thread(target=server.serve_forever, daemon=True).start()
connection = events.create_connection(
    Name="hook",
    AuthorizationType="API_KEY",
    AuthParameters={"ApiKeyAuthParameters": {"ApiKeyName": "x-key", "ApiKeyValue": "s3cret"}},
)["ConnectionArn"]
assert "s3cret" not in str(events.describe_connection(Name="hook"))
destination = events.create_api_destination(
    Name="hook",
    ConnectionArn=connection,
    InvocationEndpoint=f"http://127.0.0.1:{server.server_port}/hook/*",
    HttpMethod="POST",
)["ApiDestinationArn"]
events.put_rule(Name="hooks", EventPattern='{"source":["hooks"]}')
target = {"Id": "1", "Arn": destination, "InputPath": "$.detail", "HttpParameters": {"PathParameterValues": ["x"]}}
assert events.put_targets(Rule="hooks", Targets=[target])["FailedEntryCount"] == 0
events.put_events(Entries=[{"Source": "hooks", "DetailType": "t", "Detail": '{"a":1}'}])
eventually("called twice", lambda: len(calls) == 2)
assert calls == [("/hook/x", "s3cret", {"a": 1})] * 2, calls

# A log group, written to under a role.
logs, iam = boto3.client("logs"), boto3.client("iam")
logs.create_log_group(logGroupName="/aws/events/all")
trust = {"Effect": "Allow", "Principal": {"Service": "events.amazonaws.com"}, "Action": "sts:AssumeRole"}
role = iam.create_role(
    RoleName="writes", AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]})
)["Role"]["Arn"]
allow = {"Effect": "Allow", "Action": ["logs:CreateLogStream", "logs:PutLogEvents"], "Resource": "*"}
iam.put_role_policy(
    RoleName="writes", PolicyName="p", PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [allow]})
)
group = logs.describe_log_groups()["logGroups"][0]["arn"]
events.put_rule(Name="logged", EventPattern='{"source":["logged"]}')
events.put_targets(Rule="logged", Targets=[{"Id": "1", "Arn": group, "RoleArn": role, "InputPath": "$.detail"}])
events.put_events(Entries=[{"Source": "logged", "DetailType": "t", "Detail": '{"line":1}'}])
written = eventually("logged", lambda: logs.filter_log_events(logGroupName="/aws/events/all")["events"])
assert written[0]["message"] == '{"line":1}', written

# What is not there says so.
for call, code in [
    (lambda: events.describe_rule(Name="none"), "ResourceNotFoundException"),
    (lambda: events.put_rule(Name="r", EventPattern="{"), "InvalidEventPatternException"),
    (lambda: events.put_rule(Name="r", ScheduleExpression="rate(0 minutes)"), "ValidationException"),
    (lambda: events.create_endpoint(Name="e", RoutingConfig={}, EventBuses=[]), None),
    (lambda: events.list_partner_event_sources(NamePrefix="x"), "NotImplemented"),
]:
    try:
        call()
    except Exception as error:
        found = getattr(error, "response", {}).get("Error", {}).get("Code")
        assert code is None or found == code, (found, code)
    else:
        raise SystemExit(f"{code} was expected")

# Taken down in order.
events.remove_targets(Rule="all", EventBusName="audit", Ids=["1"])
events.delete_rule(Name="all", EventBusName="audit")
events.delete_archive(ArchiveName="kept")
events.delete_event_bus(Name="audit")
server.shutdown()
sys.exit(0)
