"""Filter patterns of CloudWatch Logs as boto3 sees them: FilterLogEvents, TestMetricFilter, and those that are refused."""

import json
import time

import boto3
from botocore.exceptions import ClientError

logs = boto3.client("logs")
logs.create_log_group(logGroupName="app")
logs.create_log_stream(logGroupName="app", logStreamName="s")
lines = [
    json.dumps({"level": "error", "code": 404, "user": {"id": 7}, "tags": ["a", "b"], "ok": False, "none": None}),
    json.dumps({"level": "info", "code": 200, "user": {"id": 8}, "tags": [], "ok": True}),
    '127.0.0.1 - frank [10/Oct/2000:13:25:15 -0700] "GET /index.html HTTP/1.0" 404 1534',
    '10.0.0.7 - ann [10/Oct/2000:13:25:16 -0700] "PUT /x HTTP/1.0" 200 12',
    "ERROR could not reach db7 in time",
]
now = int(time.time() * 1000)
logs.put_log_events(
    logGroupName="app", logStreamName="s", logEvents=[{"timestamp": now + n, "message": line} for n, line in enumerate(lines)]
)


def matching(pattern):
    events = logs.filter_log_events(logGroupName="app", filterPattern=pattern)["events"]
    found = [lines.index(event["message"]) for event in events]
    tested = logs.test_metric_filter(filterPattern=pattern, logEventMessages=lines)["matches"]
    assert found == [match["eventNumber"] for match in tested], (pattern, found, tested)
    return found


for pattern, expected in [
    ("ERROR -INFO", [4]),
    ("?frank ?ann", [2, 3]),
    ("%db[0-9]%", [4]),
    ('{ $.level = "err*" }', [0]),
    ("{ $.code >= 200 && $.code < 300 }", [1]),
    ('{ ($.code = 4* || $.code = 5*) && $.user.id != 8 }', [0]),
    ("{ $.none IS NULL }", [0]),
    ("{ $.none NOT EXISTS }", [1]),
    ("{ $.ok IS TRUE }", [1]),
    ('{ $.tags[1] = "b" }', [0]),
    ("{ $.level = %^inf% }", [1]),
    ("[ip, id, user, time, request, status = 4*, bytes > 1000]", [2]),
    ("[ip = 10.*, ..., status, bytes]", [3]),
    ("[..., request = *index*, status, bytes]", [2]),
]:
    assert matching(pattern) == expected, (pattern, matching(pattern))
for pattern in ["{ $.a = 1", "[a, b", "%(a)%", "{ $.a EXISTS }", "%a% %b% %c%"]:
    for call in [
        lambda: logs.filter_log_events(logGroupName="app", filterPattern=pattern),
        lambda: logs.test_metric_filter(filterPattern=pattern, logEventMessages=["x"]),
        lambda: logs.put_subscription_filter(
            logGroupName="app", filterName="f", filterPattern=pattern, destinationArn="arn:aws:lambda:us-east-1:000000000000:function:f"
        ),
    ]:
        try:
            call()
            raise SystemExit(f"{pattern} was taken")
        except ClientError as error:
            assert error.response["Error"]["Code"] == "InvalidParameterException", error
pattern = "[ip, id, user, time, request, status, bytes]"
values = logs.test_metric_filter(filterPattern=pattern, logEventMessages=lines)["matches"][0]["extractedValues"]
assert values["$user"] == "frank" and values["$request"] == "GET /index.html HTTP/1.0" and values["$bytes"] == "1534"
