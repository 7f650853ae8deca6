"""CloudWatch as boto3 sees it, in each of the protocols that clients of it speak: metrics, alarms and what follows from
them, metric filters and embedded metrics in logs, and the platform's own numbers."""

import datetime
import io
import json
import sys
import time
import zipfile

import boto3
import botocore.session
from botocore.exceptions import ClientError

PROTOCOLS = {"json": "application/x-amz-json-1.0", "smithy-rpc-v2-cbor": "application/cbor", "query": "application/x-www-form-urlencoded"}


def client(protocol):
    """A client of the service's model as it would be if it had but one protocol."""
    session = botocore.session.Session()
    loader = session.get_component("data_loader")
    load = loader.load_service_model

    def only(service, kind, api_version=None):
        model = load(service, kind, api_version)
        if service == "cloudwatch" and kind == "service-2":
            model = {**model, "metadata": {**model["metadata"], "protocol": protocol, "protocols": [protocol]}}
        return model

    loader.load_service_model = only
    made = session.create_client("cloudwatch")
    seen = []

    def look(request, **_):
        kind = request.headers["Content-Type"]
        seen.append(kind.decode() if isinstance(kind, bytes) else kind)

    made.meta.events.register("before-send.cloudwatch.*", look)
    return made, seen


def eventually(what, holds, seconds=40):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = holds()
        if found:
            return found
        time.sleep(0.05)
    raise SystemExit(f"in vain: {what}")


def refused(code, call, **arguments):
    try:
        call(**arguments)
    except ClientError as error:
        assert error.response["Error"]["Code"] == code, (code, error.response)
        return error.response
    raise SystemExit(f"{code} was not answered")


def now():
    return datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0)


minute = now().replace(second=0) - datetime.timedelta(minutes=2)
dimensions = [{"Name": "Shop", "Value": "north"}]

for protocol, content_type in PROTOCOLS.items():
    watch, seen = client(protocol)
    namespace = f"Own/{protocol}"
    watch.put_metric_data(
        Namespace=namespace,
        MetricData=[
            {"MetricName": "orders", "Dimensions": dimensions, "Timestamp": minute, "Value": 2.5, "Unit": "Count"},
            {"MetricName": "orders", "Dimensions": dimensions, "Timestamp": minute, "Values": [1, 4], "Counts": [2, 1], "Unit": "Count"},
            {"MetricName": "set", "StatisticValues": {"SampleCount": 2, "Sum": 6, "Minimum": 1, "Maximum": 5}, "StorageResolution": 1},
        ],
    )
    metric = {"Namespace": namespace, "MetricName": "orders", "Dimensions": dimensions}
    data = watch.get_metric_data(
        MetricDataQueries=[
            {"Id": "sum", "MetricStat": {"Metric": metric, "Period": 60, "Stat": "Sum"}, "ReturnData": False},
            {"Id": "most", "MetricStat": {"Metric": metric, "Period": 60, "Stat": "p100"}},
            {"Id": "math", "Expression": "sum / most", "Label": "Share"},
        ],
        StartTime=minute - datetime.timedelta(minutes=5),
        EndTime=minute + datetime.timedelta(minutes=1),
    )
    results = {result["Id"]: result for result in data["MetricDataResults"]}
    assert results.keys() == {"most", "math"}, data
    assert results["most"]["Values"] == [4.0] and results["most"]["Timestamps"] == [minute], results
    assert results["math"]["Values"] == [8.5 / 4] and results["math"]["Label"] == "Share", results
    points = watch.get_metric_statistics(
        **metric, StartTime=minute, EndTime=minute + datetime.timedelta(minutes=1), Period=60,
        Statistics=["SampleCount", "Average"], ExtendedStatistics=["p50"],
    )["Datapoints"]
    assert points == [
        {"Timestamp": minute, "SampleCount": 4.0, "Average": 8.5 / 4, "Unit": "Count", "ExtendedStatistics": {"p50": 1.75}}
    ], points
    listed = watch.get_paginator("list_metrics").paginate(Namespace=namespace).build_full_result()["Metrics"]
    assert sorted(one["MetricName"] for one in listed) == ["orders", "set"], listed
    refused("InvalidParameterValue", watch.put_metric_data, Namespace="AWS/Own", MetricData=[{"MetricName": "m", "Value": 1}])
    refused("MissingParameter", watch.put_metric_data, Namespace="Own", MetricData=[{"MetricName": "m"}])
    for number in ["nan", "inf"]:
        refused("InvalidParameterValue", watch.put_metric_data, Namespace="Own", MetricData=[{"MetricName": "m", "Value": float(number)}])
    name = f"few {protocol}"
    watch.put_metric_alarm(
        AlarmName=name, MetricName="orders", Namespace=namespace, Dimensions=dimensions, Statistic="Sum", Period=60,
        EvaluationPeriods=2, DatapointsToAlarm=1, Threshold=100, ComparisonOperator="LessThanThreshold", ActionsEnabled=True,
        TreatMissingData="notBreaching", Tags=[{"Key": "a", "Value": "b"}],
    )
    alarm = eventually(
        "an alarm looks at what was measured",
        lambda: watch.describe_alarms(AlarmNames=[name], StateValue="ALARM")["MetricAlarms"],
    )[0]
    assert alarm["Threshold"] == 100.0 and alarm["Period"] == 60 and alarm["ActionsEnabled"] is True, alarm
    assert "1 out of the last 2 datapoints [8.5 (" in alarm["StateReason"], alarm
    assert isinstance(alarm["StateUpdatedTimestamp"], datetime.datetime), alarm
    history = watch.describe_alarm_history(AlarmName=name)["AlarmHistoryItems"]
    assert [item["HistoryItemType"] for item in history] == ["StateUpdate", "ConfigurationUpdate"], history
    refused("ResourceNotFound", watch.set_alarm_state, AlarmName="none", StateValue="OK", StateReason="r")
    refused("ResourceNotFound", watch.get_dashboard, DashboardName="none")
    watch.delete_alarms(AlarmNames=[name])
    assert {kind.split(";")[0] for kind in seen} == {content_type}, (protocol, seen)

# Actions: a topic that leads to a queue, a function, and an event on the bus.
watch = boto3.client("cloudwatch")
sns, sqs, events, lam, iam = (boto3.client(name) for name in ["sns", "sqs", "events", "lambda", "iam"])


def queue(name, service):
    url = sqs.create_queue(QueueName=name)["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    statement = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sqs:SendMessage", "Resource": arn}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})
    return url, arn


def receive(url):
    (message,) = sqs.receive_message(QueueUrl=url, WaitTimeSeconds=20)["Messages"]
    sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    return json.loads(message["Body"])


topic = sns.create_topic(Name="alarms")["TopicArn"]
told_url, told = queue("told", "sns.amazonaws.com")
sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=told, Attributes={"RawMessageDelivery": "true"})
bus_url, bus_arn = queue("bus", "events.amazonaws.com")
pattern = {"source": ["aws.cloudwatch"], "detail-type": ["CloudWatch Alarm State Change"], "detail": {"alarmName": ["acts"]}}
events.put_rule(Name="alarms", EventPattern=json.dumps(pattern))
events.put_targets(Rule="alarms", Targets=[{"Id": "q", "Arn": bus_arn}])
trust = {"Statement": [{"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}]}
role = iam.create_role(RoleName="alarm-function", AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
code = io.BytesIO()
with zipfile.ZipFile(code, "w") as bundle:
    # It logs what it got, and a metric of the embedded format.
    bundle.writestr(
        "index.py",
        "import json, time\n"
        "def handler(event, context):\n"
        "    print('GOT ' + json.dumps(event))\n"
        "    embedded = {'_aws': {'Timestamp': int(time.time() * 1000), 'CloudWatchMetrics': [{'Namespace': 'Embedded',\n"
        "        'Dimensions': [['kind']], 'Metrics': [{'Name': 'calls', 'Unit': 'Count'}]}]}, 'kind': 'test', 'calls': 3}\n"
        "    print(json.dumps(embedded))\n"
        "    if event.get('fail'):\n"
        "        raise ValueError('as asked')\n",
    )
function = lam.create_function(
    FunctionName="alarmed", Runtime=sys.argv[1], Handler="index.handler", Role=role, Code={"ZipFile": code.getvalue()}
)["FunctionArn"]
lam.get_waiter("function_active_v2").wait(FunctionName="alarmed")
lam.add_permission(
    FunctionName="alarmed", StatementId="alarms", Action="lambda:InvokeFunction",
    Principal="lambda.alarms.cloudwatch.amazonaws.com",
)
watch.put_metric_alarm(
    AlarmName="acts", MetricName="errors", Namespace="Own", Statistic="Maximum", Period=10, EvaluationPeriods=1, Threshold=1,
    ComparisonOperator="GreaterThanOrEqualToThreshold", AlarmActions=[topic, function],
)
watch.put_metric_alarm(
    AlarmName="quiet", MetricName="none", Namespace="Own", Statistic="Sum", Period=60, EvaluationPeriods=1, Threshold=1,
    ComparisonOperator="GreaterThanThreshold", TreatMissingData="breaching",
)
watch.put_composite_alarm(AlarmName="both", AlarmRule='ALARM("acts") AND NOT OK(quiet)')
refused("ValidationError", watch.put_composite_alarm, AlarmName="bad", AlarmRule="ALARM(absent)")
# This alarm goes off by the clock: the period is under way.
watch.put_metric_data(Namespace="Own", MetricData=[{"MetricName": "errors", "Value": 7, "StorageResolution": 1}])
message = receive(told_url)
assert (message["AlarmName"], message["NewStateValue"], message["Trigger"]["Period"]) == ("acts", "ALARM", 10), message
event = receive(bus_url)
assert event["resources"] == [message["AlarmArn"]] and event["detail"]["state"]["value"] == "ALARM", event
stat = event["detail"]["configuration"]["metrics"][0]["metricStat"]
assert stat["metric"] == {"namespace": "Own", "name": "errors", "dimensions": {}} and stat["stat"] == "Maximum", event
eventually("the composite alarm follows", lambda: watch.describe_alarms(AlarmTypes=["CompositeAlarm"], StateValue="ALARM")["CompositeAlarms"])
logs = boto3.client("logs")


def logged(text):
    try:
        return logs.filter_log_events(logGroupName="/aws/lambda/alarmed", filterPattern=text)["events"]
    except logs.exceptions.ResourceNotFoundException:
        return None


line = eventually("the function is called", lambda: logged("GOT"))[0]["message"]
called = json.loads(line.split("GOT ", 1)[1])
assert called["source"] == "aws.cloudwatch" and called["alarmData"]["alarmName"] == "acts", called
acted = eventually(
    "the history has both actions",
    lambda: [items for items in [watch.describe_alarm_history(AlarmName="acts", HistoryItemType="Action")["AlarmHistoryItems"]] if len(items) >= 2],
)[0]
assert all(item["HistorySummary"].startswith("Successfully executed action") for item in acted), acted
children = watch.describe_alarms(ChildrenOfAlarmName="both", AlarmTypes=["MetricAlarm"])["MetricAlarms"]
assert sorted(alarm["AlarmName"] for alarm in children) == ["acts", "quiet"], children

# An alarm on a queue, which is counted when the alarm looks.
left_url, _ = queue("left", "sns.amazonaws.com")
sqs.send_message(QueueUrl=left_url, MessageBody="left")
of_queue = [{"Name": "QueueName", "Value": "left"}]
watch.put_metric_alarm(
    AlarmName="left", MetricName="ApproximateNumberOfMessagesVisible", Namespace="AWS/SQS", Dimensions=of_queue,
    Statistic="Maximum", Period=60, EvaluationPeriods=1, Threshold=0, ComparisonOperator="GreaterThanThreshold",
)
eventually("a queue has something left", lambda: watch.describe_alarms(AlarmNames=["left"], StateValue="ALARM")["MetricAlarms"])

# Metric filters, over lines that are a minute old.
logs.create_log_group(logGroupName="app")
logs.create_log_stream(logGroupName="app", logStreamName="s")
transformation = {
    "metricName": "slow", "metricNamespace": "Filtered", "metricValue": "$.ms", "unit": "Milliseconds",
    "dimensions": {"Path": "$.path"},
}
logs.put_metric_filter(logGroupName="app", filterName="slow", filterPattern="{ $.ms > 100 }", metricTransformations=[transformation])
counted = {"metricName": "errors", "metricNamespace": "Filtered", "metricValue": "1", "defaultValue": 0}
logs.put_metric_filter(logGroupName="app", filterName="errors", filterPattern="ERROR", metricTransformations=[counted])
shown = logs.describe_metric_filters(logGroupName="app", filterNamePrefix="sl")["metricFilters"]
assert [one["metricTransformations"] for one in shown] == [[transformation]], shown
shown = logs.describe_metric_filters(metricName="errors", metricNamespace="Filtered")["metricFilters"]
assert [one["filterName"] for one in shown] == ["errors"], shown
assert logs.describe_log_groups(logGroupNamePrefix="app")["logGroups"][0]["metricFilterCount"] == 2
for bad in [{**counted, "metricValue": "x"}, {**counted, "dimensions": {"a": "$.b"}}, {**counted, "metricName": "a:b"}]:
    refused(
        "InvalidParameterException", logs.put_metric_filter, logGroupName="app", filterName="bad", filterPattern="x",
        metricTransformations=[bad],
    )
refused("ResourceNotFoundException", logs.put_metric_filter, logGroupName="none", filterName="f", filterPattern="", metricTransformations=[counted])
at = int(minute.timestamp() * 1000)
lines = ['{"ms": 150, "path": "/a"}', '{"ms": 50, "path": "/a"}', '{"ms": 250, "path": "/a"}', "an ERROR", "another ERROR"]
logs.put_log_events(
    logGroupName="app", logStreamName="s", logEvents=[{"timestamp": at + n, "message": line} for n, line in enumerate(lines)]
)


def total(namespace, name, dimensions, stat="Sum", start=minute):
    points = watch.get_metric_statistics(
        Namespace=namespace, MetricName=name, Dimensions=dimensions, StartTime=start - datetime.timedelta(minutes=5),
        EndTime=now() + datetime.timedelta(minutes=5), Period=3600, Statistics=[stat],
    )["Datapoints"]
    return sum(point[stat] for point in points)


eventually("a filter's values", lambda: total("Filtered", "slow", [{"Name": "Path", "Value": "/a"}]) == 400)
eventually("a filter's count", lambda: total("Filtered", "errors", []) == 2)
logs.delete_metric_filter(logGroupName="app", filterName="slow")
refused("ResourceNotFoundException", logs.delete_metric_filter, logGroupName="app", filterName="slow")
eventually("embedded metrics", lambda: total("Embedded", "calls", [{"Name": "kind", "Value": "test"}]) == 3)

# The platform's own numbers.
lam.put_function_concurrency(FunctionName="alarmed", ReservedConcurrentExecutions=0)
try:
    lam.invoke(FunctionName="alarmed")
except lam.exceptions.TooManyRequestsException:
    pass
lam.delete_function_concurrency(FunctionName="alarmed")
lam.invoke(FunctionName="alarmed", Payload=b'{"fail": true}')
of_function = [{"Name": "FunctionName", "Value": "alarmed"}]
eventually("a function's invocations", lambda: total("AWS/Lambda", "Invocations", of_function) == 2)
eventually("a function's refusals", lambda: total("AWS/Lambda", "Throttles", [{"Name": "FunctionName", "Value": "alarmed"}]) == 1)
eventually("a function's errors", lambda: total("AWS/Lambda", "Errors", of_function) == 1)
assert total("AWS/Lambda", "Duration", of_function) > 0 and total("AWS/Lambda", "Duration", of_function, "SampleCount") == 2
listed = watch.list_metrics(Namespace="AWS/Lambda", Dimensions=[{"Name": "FunctionName"}])["Metrics"]
assert {one["MetricName"] for one in listed} >= {"Invocations", "Errors", "Duration"}, listed
tables = boto3.client("dynamodb")
tables.create_table(
    TableName="measured", KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}], BillingMode="PAY_PER_REQUEST",
    AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
)
tables.put_item(TableName="measured", Item={"id": {"S": "a"}})
tables.get_item(TableName="measured", Key={"id": {"S": "a"}}, ConsistentRead=True)
of_table = [{"Name": "TableName", "Value": "measured"}]
eventually("a table's reads", lambda: total("AWS/DynamoDB", "ConsumedReadCapacityUnits", of_table) == 1)
eventually("a table's writes", lambda: total("AWS/DynamoDB", "ConsumedWriteCapacityUnits", of_table) == 1)
